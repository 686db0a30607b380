"""Fit strokes with a few cubic Bézier curves, for drawing programs, or with a few straight lines, as *Quick, Draw!*
does.
"""

import math
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from visketch.geometry.sketch import arc_lengths, longer_side, sample

CORNER = np.cos(np.radians(50))  # a stroke has a corner where it turns by more than this within a pen's width
# A straight part of a page is longer than LONG widths of the pen, and the segments of the arc into which it runs are
# shorter than SHORT widths, and turn it by less than SOFT.
LONG, SHORT, SOFT = 1.0, 0.5, np.cos(np.radians(15))
ROUND = 8  # a ring is fitted with so many even curves if that is close enough, since they keep a circle round
TOLERANCE = 1 / 14  # the mean distance that a curve may have from its points, in widths of the pen
# The pen of a hairline says nothing about the scale of its turns, and sampled that finely, it would have millions of
# points. It is fitted as if its pen had this share of the stroke's longer side.
HAIRLINE, AS_IF = 1 / 2000, 1 / 200


def bezier(stroke: Float[np.ndarray, "n 2"], pen: float) -> Float[np.ndarray, "m 4 2"]:
    """Cubic Bézier curves, four points each, that follow the stroke from end to end; a dot gives none.

    Corners are kept, and so are the straight parts of a page between its rounded corners. `pen` is the width of the pen
    in the unit of the stroke; it is the scale on which a turn counts as a corner. Between corners, a cubic spline with
    as few knots as the tolerance allows (FITPACK, Dierckx 1993) is cut at its knots. A closed stroke, whose last point
    is its first, becomes a closed curve without a kink where it closes; if it has corners, the curve begins at one.
    """
    side = longer_side(stroke)
    if pen < HAIRLINE * side:
        pen = AS_IF * side
    line, closed = _resampled(stroke, pen / 4), is_closed(stroke)
    if len(line) < 2:
        return np.zeros((0, 4, 2))
    cuts = {*_corners(line, closed), *_ends_of_straight_parts(stroke, line, pen, closed)}
    last = len(line) - 1
    if closed and cuts:
        first = min(cuts)
        line = np.roll(line[:-1], -first, axis=0)[[*range(last), 0]]
        cuts = {(cut - first) % last for cut in cuts}
    parts = list(pairwise(sorted({0, *cuts, last})))
    return np.concatenate([_fitted(line[a : b + 1], TOLERANCE * pen, closed and not cuts) for a, b in parts])


def is_closed(stroke: Float[np.ndarray, "n 2"]) -> bool:
    """Whether the stroke ends exactly where it begins, and is no dot."""
    return bool((stroke[0] == stroke[-1]).all() and (stroke != stroke[0]).any())


def smooth(stroke: Float[np.ndarray, "n 2"], pen: float, within: float) -> Float[np.ndarray, "m 2"]:
    """Points along the curves of `bezier`. The lines between them are at most `within` from the curves, in the unit of
    the stroke. A dot stays one point.
    """
    curves = bezier(stroke, pen)
    if not len(curves):
        return stroke[:1].astype(np.float64)
    # The second derivative of a curve is at most six times the largest second difference of its points, and a chord
    # over a step of 1 / n lies off the curve by at most 1 / (8 n²) of the second derivative.
    bend = float(np.linalg.norm(np.diff(curves, n=2, axis=1), axis=2).max())
    steps = max(1, math.ceil((6 / 8 * bend / within) ** 0.5))
    t = np.linspace(0, 1, steps + 1)[1:, None]
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])  # (4, steps, 1)
    along = np.einsum("msw,nmd->nsd", weights, curves).reshape(-1, 2)
    return np.concatenate([curves[0, :1], along])


def _resampled(stroke: np.ndarray, spacing: float) -> np.ndarray:
    """Points about `spacing` apart, which include the points of the stroke."""
    line = sample((stroke.astype(np.float32),), spacing).astype(np.float64)
    new = np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-6 * spacing
    line = line[np.concatenate([[True], new])]
    if is_closed(stroke):
        line[-1] = line[0]  # sampling may round them differently
    return line


def _corners(line: np.ndarray, closed: bool) -> list[int]:
    """The positions of the sharpest turns of the stroke. A turn where a closed stroke closes is at 0."""
    reach, last = 3, len(line) - 1
    if len(line) < 2 * reach + 1:
        return []
    if closed:
        line = np.concatenate([line[-1 - reach : -1], line, line[1:reach]])
    before, after = line[reach:-reach] - line[: -2 * reach], line[2 * reach :] - line[reach:-reach]
    size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    turn = (before * after).sum(axis=1) / np.maximum(size, 1e-12)
    found: list[int] = []
    for place in np.argsort(turn, kind="stable").tolist():
        if turn[place] > CORNER:
            break
        at = place if closed else place + reach
        apart = (abs(at - other) for other in found)
        if all(min(each, last - each if closed else each) > reach for each in apart):
            found.append(at)
    return found


def _ends_of_straight_parts(stroke: np.ndarray, line: np.ndarray, pen: float, closed: bool) -> list[int]:
    """The positions in the resampled line where a long segment of the stroke runs into an arc, or an arc into it."""
    way = np.diff(stroke.astype(np.float64), axis=0)
    size = np.linalg.norm(way, axis=1)
    after, sizes = (np.concatenate([part[1:], part[: int(closed)]]) for part in (way, size))
    way, before = way[: len(after)], size[: len(after)]
    longer, shorter = np.maximum(sizes, before), np.minimum(sizes, before)
    straight = (after * way).sum(axis=1) > SOFT * sizes * before
    ends = np.cumsum(before)[straight & (longer > LONG * pen) & (shorter < SHORT * pen)]
    places = np.abs(arc_lengths(line)[:, None] - ends).argmin(axis=0)
    return (places % (len(line) - 1) if closed else places).tolist()


def _fitted(line: np.ndarray, tolerance: float, ring: bool) -> np.ndarray:
    """Curves for one smooth part: a straight line if it is close enough, otherwise the curves of a spline. A `ring` is
    smooth where it closes, too.
    """
    straight = np.linspace(line[0], line[-1], 4)
    if len(line) < 5 or np.abs(_aside(line)).max() < tolerance:
        return straight[None]
    from scipy import interpolate  # here, since it takes 0.2 s and most processes fit no curve

    weight, most, found = np.ones(len(line)), len(line) * tolerance**2, None
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    if ring and ROUND * steps.max() < steps.sum():  # each of the even curves has points of its own
        knots = np.concatenate([[0] * 3, np.linspace(0, 1, ROUND + 1), [1] * 3])
        (found, _), off, _, _ = interpolate.splprep(line.T, task=-1, t=knots, per=1, full_output=1)
        found = found if off <= most else None
    if not ring:
        weight[[0, -1]] = 100  # keeps the ends in place
    spline = found or interpolate.splprep(line.T, w=weight, s=most, per=ring)[0]
    knots = np.unique(spline[0].clip(0, 1))  # those of a ring go on beyond its ends
    place, way = (np.stack(interpolate.splev(knots, spline, order), axis=1) for order in (0, 1))
    third = np.diff(knots)[:, None] / 3
    points = np.stack([place[:-1], place[:-1] + third * way[:-1], place[1:] - third * way[1:], place[1:]], axis=1)
    if ring:
        points[-1, -1] = points[0, 0]
    else:
        points[0, 0], points[-1, -1] = line[0], line[-1]
    return points


def _aside(line: np.ndarray) -> np.ndarray:
    """The distance of each point from the straight line between the ends."""
    along = line[-1] - line[0]
    size = np.linalg.norm(along)
    if size < 1e-9:
        return np.linalg.norm(line - line[0], axis=1)
    return ((line - line[0]) @ (-along[1], along[0])) / size
