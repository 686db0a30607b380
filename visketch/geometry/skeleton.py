"""The skeleton of ink: lines one pixel wide on the ridge of the distance field. Topology is preserved (Yokoi 1973)."""

import math
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))  # (y, x), counter-clockwise from right
RIDGE = 0.65  # the end of a line is at least this thick, relative to its surroundings; a thinner end is an edge


def thinned(distance: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The ridge of the ink, one pixel wide. There must be no ink at the border of the picture.

    Pixels are removed in the order of their distance. Pixels of equal distance are removed in four turns, such that no
    two neighbours are in one turn. So each pixel is tested against its current neighbours, although a whole turn is
    tested at once.
    """
    ink = distance > 0
    wide = distance.shape[1]
    steps = np.array([y * wide + x for y, x in AROUND])
    here = np.flatnonzero(ink)
    height = distance.ravel()[here]
    if not len(here):
        return ink
    near = 2 * math.ceil(float(np.median(height)) * 2) + 1
    strong = height >= RIDGE * ndimage.maximum_filter(distance, near).ravel()[here]
    order = height.argsort(kind="stable")
    here, height, strong = here[order], height[order], strong[order]
    left, peak = ink.ravel(), float(height[-1])
    step = min(max(0.25, peak / 24), 0.5)  # with larger steps, slanted lines would get spurs at each level
    levels = np.append(np.arange(0.25, peak, step), peak)
    stayed, stayed_strong = here[:0], strong[:0]  # the pixels of lower levels that are left
    for low, level in pairwise([0, *np.searchsorted(height, levels, side="right")]):
        now, now_strong = np.append(stayed, here[low:level]), np.append(stayed_strong, strong[low:level])
        turn = now // wide % 2 * 2 + now % wide % 2
        waiting = [now[turn == number] for number in range(4)]
        ends = [now_strong[turn == number] for number in range(4)]
        gone = True
        while gone:
            gone = False
            for number in range(4):
                at = waiting[number]
                code = (left[at[:, None] + steps] << np.arange(8)).sum(axis=1)
                out = SIMPLE[code] & ~(ENDS[code] & ends[number])
                left[at[out]] = False
                waiting[number], ends[number] = at[~out], ends[number][~out]
                gone |= bool(out.any())
        stayed, stayed_strong = np.concatenate(waiting), np.concatenate(ends)
    return left.reshape(distance.shape)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """For each neighbourhood (one bit for each neighbour): whether the pixel can be removed without changing the
    topology, and whether it is an end.
    """
    on = (np.arange(256)[:, None] >> np.arange(8)) & 1
    off = 1 - on
    tears = sum(off[:, k] - off[:, k] * off[:, k + 1] * off[:, (k + 2) % 8] for k in (0, 2, 4, 6))
    return tears == 1, on.sum(axis=1) == 1


SIMPLE, ENDS = _tables()
