"""Fit strokes with a few cubic Bézier curves, for drawing programs, or with a few straight lines, as *Quick, Draw!*
does.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from visketch.geometry.sketch import arc_lengths, sample

CORNER = np.cos(np.radians(50))  # a stroke has a corner where it turns by more than this within a pen's width
# A straight part of a page is longer than LONG widths of the pen, and the segments of the arc into which it runs are
# shorter than SHORT widths, and turn it by less than SOFT.
LONG, SHORT, SOFT = 1.0, 0.5, np.cos(np.radians(15))
TOLERANCE = 1 / 14  # the mean distance that a curve may have from its points, in widths of the pen


def bezier(stroke: Float[np.ndarray, "n 2"], pen: float) -> Float[np.ndarray, "m 4 2"]:
    """Cubic Bézier curves, four points each, that follow the stroke from end to end; a dot gives none.

    Corners are kept, and so are the straight parts of a page between its rounded corners. `pen` is the width of the pen
    in the unit of the stroke; it is the scale on which a turn counts as a corner. Between corners, a cubic spline with
    as few knots as the tolerance allows (FITPACK, Dierckx 1993) is cut at its knots.
    """
    line = _resampled(stroke, pen / 4)
    if len(line) < 2:
        return np.zeros((0, 4, 2))
    cuts = sorted({0, *_corners(line), *_ends_of_straight_parts(stroke, line, pen), len(line) - 1})
    return np.concatenate([_fitted(line[a : b + 1], TOLERANCE * pen) for a, b in pairwise(cuts)])


def smooth(stroke: Float[np.ndarray, "n 2"], pen: float) -> Float[np.ndarray, "m 2"]:
    """Points along the curves of `bezier`, eight for each curve. A dot stays one point."""
    curves = bezier(stroke, pen)
    if not len(curves):
        return stroke[:1].astype(np.float64)
    t = np.linspace(0, 1, 9)[1:, None]
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])  # (4, 8, 1)
    along = np.einsum("msw,nmd->nsd", weights, curves).reshape(-1, 2)
    return np.concatenate([curves[0, :1], along])


def _resampled(stroke: np.ndarray, spacing: float) -> np.ndarray:
    """Points about `spacing` apart, which include the points of the stroke."""
    line = sample((stroke.astype(np.float32),), spacing).astype(np.float64)
    new = np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-6 * spacing
    return line[np.concatenate([[True], new])]


def _corners(line: np.ndarray) -> list[int]:
    """The positions of the sharpest turns of the stroke, in order."""
    reach = 3
    if len(line) < 2 * reach + 1:
        return []
    before, after = line[reach:-reach] - line[: -2 * reach], line[2 * reach :] - line[reach:-reach]
    size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    turn = (before * after).sum(axis=1) / np.maximum(size, 1e-12)
    found: list[int] = []
    for place in np.argsort(turn, kind="stable"):
        if turn[place] > CORNER:
            break
        if all(abs(int(place) + reach - other) > reach for other in found):
            found.append(int(place) + reach)
    return sorted(found)


def _ends_of_straight_parts(stroke: np.ndarray, line: np.ndarray, pen: float) -> list[int]:
    """The positions in the resampled line where a long segment of the stroke runs into an arc, or an arc into it."""
    way = np.diff(stroke.astype(np.float64), axis=0)
    size = np.linalg.norm(way, axis=1)
    longer, shorter = np.maximum(size[1:], size[:-1]), np.minimum(size[1:], size[:-1])
    straight = (way[1:] * way[:-1]).sum(axis=1) > SOFT * size[1:] * size[:-1]
    ends = np.cumsum(size)[:-1][straight & (longer > LONG * pen) & (shorter < SHORT * pen)]
    return np.abs(arc_lengths(line)[:, None] - ends).argmin(axis=0).tolist()


def _fitted(line: np.ndarray, tolerance: float) -> np.ndarray:
    """Curves for one smooth part: a straight line if it is close enough, otherwise the curves of a spline."""
    straight = line[:1] + np.linspace(0, 1, 4)[:, None] * (line[-1:] - line[:1])
    if len(line) < 5 or np.abs(_aside(line)).max() < tolerance:
        return straight[None]
    from scipy import interpolate  # here, since it takes 0.2 s and most processes fit no curve

    weight = np.ones(len(line))
    weight[[0, -1]] = 100  # keeps the ends in place
    (knots, values, degree), _ = interpolate.splprep(line.T, w=weight, s=len(line) * tolerance**2)
    axes = [interpolate.PPoly.from_spline((knots, value, degree)) for value in values]
    curves = np.stack([interpolate.BPoly.from_power_basis(axis).c for axis in axes], axis=2)  # (4 points, m, 2)
    points = curves[:, np.diff(knots) > 0].transpose(1, 0, 2)
    points[0, 0], points[-1, -1] = line[0], line[-1]
    return points


def _aside(line: np.ndarray) -> np.ndarray:
    """The distance of each point from the straight line between the ends."""
    along = line[-1] - line[0]
    size = np.linalg.norm(along)
    if size < 1e-9:
        return np.linalg.norm(line - line[0], axis=1)
    return ((line - line[0]) @ (-along[1], along[0])) / size
