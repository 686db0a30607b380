"""Which of a page's lines can be seen: those, or the parts of them, that are ink in its rendering."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from visketch.data.ink import Ink
from visketch.geometry.bezier import simplified
from visketch.geometry.sketch import sample

NEAR = 2  # pixels, at most, between a line and its ink
WHOLE = 0.9  # of a line, at least, can be seen: then it is kept as it is
ACCOUNTED = 0.9  # of the ink's skeleton, at least, lies where a line is kept: else the rendering shows something else
TELLING = 0.75  # pixels: of a narrower line the rendering does not show the colour
MIXED = 0.7  # of the way from its own colour to white, at most, is an edge of a line smoothed
SAMPLES = 200_000  # places along all lines that are looked at


@dataclass(frozen=True)
class PaintedLine:
    """A line of a page and how it is painted; in any unit."""

    points: Float[np.ndarray, "points 2"]
    width: float  # of the pen; 0 for the edge of an area that is filled without one
    colour: tuple[int, int, int] | None = None  # of the pen; None if it is not known or lets something through


def only(
    lines: Sequence[PaintedLine], matrix: Float[np.ndarray, "2 3"], ink: Ink, colours: UInt8[np.ndarray, "y x 3"]
) -> list[PaintedLine] | None:
    """The lines that can be seen, cut where they cannot; None if they do not account for what the rendering shows.

    `matrix`: from the lines' unit to pixels. `ink`, `colours`: what the rendering shows, and its colours on white.
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
    kept: list[PaintedLine] = []
    places: list[np.ndarray] = []
    reach: list[np.ndarray] = []
    for line, points in zip(lines, drawn, strict=True):
        pen = scale * line.width
        dense = sample((points,), spacing)
        colour = line.colour if pen >= TELLING else None
        own = _visible(dense, colour, near | ink.rest if pen else near, colours)
        gap = round(max(ink.pen, pen) / spacing)  # so far across another line it is hidden
        visible = ndimage.binary_closing(np.pad(own, gap), np.ones(2 * gap + 1))[gap:-gap] if gap else own
        if visible.mean() >= WHOLE:
            runs = [slice(None)]
        else:
            runs = [run for run in _runs(visible) if spacing * (run.stop - run.start) > max(4.0, 5 * ink.pen, pen)]
        inside = _visible(dense, colour, painted if pen else near, colours)
        runs = [run for run in runs if inside[run].mean() > 0.5]  # not only beside the ink
        for run in runs:
            part = line.points if run == slice(None) else simplified((dense[run] - matrix[:, 2]) @ back.T, 0.5 / scale)
            kept.append(replace(line, points=part.astype(np.float32)))
            places.append(dense[run])
            reach.append(np.full(len(dense[run]), max(NEAR, 0.75 * pen), np.float64))
    if not kept or _accounted(ink, np.concatenate(places), np.concatenate(reach)) < ACCOUNTED:
        return None
    return kept


def _visible(
    dense: Float[np.ndarray, "n 2"],
    colour: tuple[int, int, int] | None,
    painted: Bool[np.ndarray, "y x"],
    colours: UInt8[np.ndarray, "y x 3"],
) -> Bool[np.ndarray, " n"]:
    """Whether each place (x, y) is on the page, has ink, and near it the pen's colour."""
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
    """The share of the ink's skeleton that lies within reach of a place that was drawn."""
    from scipy.spatial import KDTree

    rows, columns = np.nonzero(ink.thin)
    distance, nearest = KDTree(places).query(np.stack([columns, rows], axis=1) + 0.5)
    return float((distance <= reach[nearest]).mean()) if len(rows) else 0.0
