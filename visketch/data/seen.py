"""The visible lines of a page: the lines, or the parts of them, that are ink in the rendering of the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from visketch.data import morphology
from visketch.data.ink import Ink
from visketch.geometry.pieces import simplified
from visketch.geometry.sketch import sample

NEAR = 2  # the largest distance between a line and its ink, in pixels
WHOLE = 0.9  # a line is kept as it is if at least this share of it is visible
ACCOUNTED = (
    0.9  # the least share of the ink's skeleton that kept lines explain; otherwise the rendering shows something else
)
TELLING = 0.75  # the rendering of a line shows its colour only if the line is at least this many pixels wide
MIXED = 0.7  # the largest share of white that anti-aliasing mixes into the colour of a line
SAMPLES = 200_000  # the most points, along all lines, that are tested


@dataclass(frozen=True)
class PaintedLine:
    """A line of a page and how it is painted, in any unit."""

    points: Float[np.ndarray, "points 2"]
    width: float  # width of the pen; 0 for the edge of an area that is filled without an outline
    colour: tuple[int, int, int] | None = None  # colour of the pen; None if unknown or transparent


def only(
    lines: Sequence[PaintedLine], matrix: Float[np.ndarray, "2 3"], ink: Ink, colours: UInt8[np.ndarray, "y x 3"]
) -> list[PaintedLine] | None:
    """The visible lines, cut where they are hidden. Returns None if the lines do not explain what the rendering shows.

    `matrix` maps the unit of the lines to pixels. `ink` is the ink of the rendering, and `colours` are its colours on
    white.
    """
    scale = float(abs(np.linalg.det(matrix[:, :2])) ** 0.5)
    back = np.linalg.inv(matrix[:, :2])
    drawn = [(line.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32) for line in lines]
    length = sum(float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()) for points in drawn)
    if not np.isfinite(length):
        return None
    spacing = max(1.0, length / SAMPLES)
    near = ndimage.binary_dilation(ink.pixels, iterations=NEAR)
    painted = ink.pixels | ink.rest
    beside = morphology.near(ink.rest, ink.pen) if any(not line.width for line in lines) else ink.rest
    kept: list[PaintedLine] = []
    whole: list[bool] = []
    places: list[np.ndarray] = []
    reach: list[np.ndarray] = []
    for line, points in zip(lines, drawn, strict=True):
        pen = scale * line.width
        dense = sample((points,), spacing)
        colour = line.colour if pen >= TELLING else None
        own = _visible(dense, colour, near | ink.rest if pen else near, colours)
        gap = round(max(ink.pen, pen) / spacing)  # a line is hidden for this long where another one crosses it
        visible = ndimage.binary_closing(np.pad(own, gap), np.ones(2 * gap + 1))[gap:-gap] if gap else own
        if visible.mean() >= WHOLE:
            runs = [slice(None)]
        else:
            runs = [run for run in _runs(visible) if spacing * (run.stop - run.start) > max(4.0, 5 * ink.pen, pen)]
        inside = _visible(dense, colour, painted if pen else near, colours)
        runs = [run for run in runs if inside[run].mean() > 0.5]  # the run must be on the ink, and not only beside it
        for run in runs:
            part = line.points
            if run != slice(None):
                (part,) = simplified([(dense[run] - matrix[:, 2]) @ back.T], 0.5 / scale)
            kept.append(replace(line, points=part.astype(np.float32)))
            whole.append(run == slice(None))
            places.append(dense[run])
            far = np.full(len(dense[run]), max(NEAR, 0.75 * pen), np.float64)
            if not pen:  # the ink of a filled area's edge lies inside of it, and is as wide as other lines
                far[_visible(dense[run], None, beside, colours)] = max(NEAR, 0.75 * ink.pen)
            reach.append(far)
    if not kept or _accounted(ink, np.concatenate(places), np.concatenate(reach)) < ACCOUNTED:
        return None
    alone = _own_parts(whole, places, reach)
    return [line for line, is_own in zip(kept, alone, strict=True) if is_own]


def _own_parts(whole: Sequence[bool], places: Sequence[np.ndarray], reach: Sequence[np.ndarray]) -> list[bool]:
    """Whether each line is visible by itself.

    Where a hidden line runs along a visible one, that part of it only seems to be visible. `whole` says whether all of
    a line is visible, `places` holds its points (n 2), and `reach` the distance to which its ink extends from each
    point.
    """
    from scipy.spatial import KDTree

    if all(whole) or not any(whole):
        return [True] * len(whole)
    shown = [number for number, is_whole in enumerate(whole) if is_whole]
    tree, far = KDTree(np.concatenate([places[i] for i in shown])), np.concatenate([reach[i] for i in shown])

    def is_own(points: np.ndarray) -> bool:
        distance, nearest = tree.query(points)
        return float((distance > far[nearest]).mean()) > 1 - WHOLE

    return [is_whole or is_own(points) for is_whole, points in zip(whole, places, strict=True)]


def _visible(
    dense: Float[np.ndarray, "n 2"],
    colour: tuple[int, int, int] | None,
    painted: Bool[np.ndarray, "y x"],
    colours: UInt8[np.ndarray, "y x 3"],
) -> Bool[np.ndarray, " n"]:
    """Whether each point (x, y) is on the page, has ink, and has the colour of the pen near it."""
    high, wide = painted.shape
    x, y = np.floor(dense.T.clip(-1, max(high, wide) + 1)).astype(np.intp)
    visible = (x >= 0) & (y >= 0) & (x < wide) & (y < high)
    x, y = x.clip(0, wide - 1), y.clip(0, high - 1)
    visible &= painted[y, x]
    if colour is not None:
        pen = np.array(colour, np.int16)
        allowed = 16 + MIXED * float(np.abs(255 - pen).max())
        steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        around = [colours[(y + i).clip(0, high - 1), (x + j).clip(0, wide - 1)] for i, j in steps]
        visible &= np.min([np.abs(one - pen).max(axis=1) for one in around], axis=0) <= allowed
    return visible


def _runs(visible: Bool[np.ndarray, " n"]) -> Iterator[slice]:
    edges = np.flatnonzero(np.diff(visible, prepend=False, append=False)).tolist()
    return (slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def _accounted(ink: Ink, places: Float[np.ndarray, "n 2"], reach: Float[np.ndarray, " n"]) -> float:
    """The share of the ink's skeleton that lies within reach of a drawn point."""
    from scipy.spatial import KDTree

    rows, columns = np.nonzero(ink.thin)
    distance, nearest = KDTree(places).query(np.stack([columns, rows], axis=1) + 0.5)
    return float((distance <= reach[nearest]).mean()) if len(rows) else 0.0
