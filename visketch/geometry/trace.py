"""Trace ink into strokes, as a pen might have drawn them, along the ridge of its distance field.

The input is a signed distance to the edge of the ink in pixels, positive inside: a model's field, or the distance field
of a mask. The ink is thinned from its edge until a line of single pixels is left, which lies on the ridge. The field
gives the position of the ridge between the pixels. Where lines meet, the straightest pairs continue each other as one
stroke. At a sharp tip, its two sides do.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from visketch.errors import VisketchError
from visketch.geometry.junctions import height, joined
from visketch.geometry.skeleton import AROUND, thinned
from visketch.geometry.sketch import PageArea, Sketch, fit, length, one_dot

PAGE = 256.0  # the side of the page for strokes whose page is not known
PEN = 4.0  # the pen for them


@dataclass(frozen=True, eq=False)
class Trace:
    """Strokes, each (points, 2) in pixels of the picture, x to the right and y down; and the width of the pen that drew
    them.
    """

    strokes: tuple[np.ndarray, ...]
    pen: float

    def scaled(self, times: float) -> "Trace":
        return Trace(tuple(stroke * times for stroke in self.strokes), self.pen * times)

    def moved(self, x: float, y: float) -> "Trace":
        return Trace(tuple(stroke + np.array([x, y], np.float32) for stroke in self.strokes), self.pen)


def trace(distance: Float[np.ndarray, "y x"]) -> Trace:
    """Trace a signed distance to the edge of the ink, in pixels, into strokes in a plausible drawing order.

    Without ink there are no strokes. A stroke of one point is a dot.
    """
    distance = np.pad(distance.astype(np.float32), 1, constant_values=-1)
    beside = ndimage.minimum_filter(distance, footprint=[[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    distance = np.where(beside > 0, np.maximum(distance, 0.01), distance)  # a hole of one pixel counts as noise
    thin = thinned(distance)
    pieces = _pieces(thin)
    if not pieces:
        return Trace((), 0.0)
    placed = _on_the_ridge(pieces, distance)
    # The value of a pixel is lower than the ridge by the distance of the pixel from the ridge.
    pixels, points = np.concatenate(pieces), np.concatenate(placed)
    top = distance[pixels[:, 1], pixels[:, 0]] + np.linalg.norm(points - pixels, axis=1)
    pen = 2 * float(np.median(top))
    strokes = tuple((stroke - 0.5).astype(np.float32) for stroke in ordered(joined(pieces, placed, distance)))
    if len(strokes) == 1:
        thickest = 2 * float(distance.max())
        dot = one_dot(strokes, thickest)
        return Trace(dot, pen if dot is strokes else max(pen, thickest))
    return Trace(strokes, pen)


def from_field(field: Float[np.ndarray, "h h"], clamp: float) -> Float[np.ndarray, "h h"]:
    """Turn a model's field (`sdf.py`) into the distance in pixels. `clamp` is a share of the side."""
    return field * (clamp * len(field))


def from_pixels(pixels: Bool[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """Turn an ink mask into the distance in pixels. The edge runs between the pixels."""
    padded = np.pad(pixels, 1)
    inside = ndimage.distance_transform_edt(padded)
    outside = ndimage.distance_transform_edt(~padded)
    return np.where(padded, inside - 0.5, 0.5 - outside)[1:-1, 1:-1].astype(np.float32)


def reduced(pixels: Bool[np.ndarray, "y x"], side: int) -> Bool[np.ndarray, "v u"]:
    """The box of an ink mask, reduced by a whole number until no side is longer than `side`. No line gets lost."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return pixels[:0, :0]
    box = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    times = -(-max(box.shape) // side)
    high, wide = (-(-length // times) for length in box.shape)
    padded = np.pad(box, [(0, high * times - box.shape[0]), (0, wide * times - box.shape[1])])
    return np.any(padded.reshape(high, times, wide, times), axis=(1, 3))


def lines_of(sketch: Sketch) -> tuple[Float[np.ndarray, "_ 2"], ...]:
    """The strokes of a sketch, in its own unit. Those of a picture are traced, in pixels.

    Raises VisketchError if there is no ink.
    """
    lines = sketch.lines() if sketch.pixels is None else trace(from_pixels(sketch.pixels)).strokes
    if not lines:
        raise VisketchError(f"{sketch.source or 'sketch'}: blank, it has no ink; give another drawing")
    return lines


def strokes_of(sketch: Sketch) -> tuple[Trace, int, int]:
    """The strokes of a sketch, and the width and height of their page. Raises VisketchError if there are none."""
    if sketch.pixels is not None:
        high, wide = sketch.pixels.shape
        return trace(from_pixels(sketch.pixels)), wide, high
    lines = fit(sketch.lines(), margin=PEN / PAGE)
    return Trace(lines, PEN / PAGE).scaled(PAGE), int(PAGE), int(PAGE)


def on_page(sketch: Sketch) -> tuple[Trace, PageArea]:
    """The strokes of a sketch on their page, in its unit, or on a default page if theirs is not known.

    Raises VisketchError if there are none.
    """
    drawn, wide, high = strokes_of(sketch)
    if sketch.page is None:
        return drawn, PageArea.of_pixels(wide, high)
    x, y, page_wide, page_high = sketch.page.box
    if sketch.pixels is None:
        pen = sketch.about.get("pen") or PEN / PAGE * max(page_wide, page_high)
        return Trace(sketch.lines(), float(pen)), sketch.page
    scale = np.array([page_wide / wide, page_high / high])
    lines = (stroke * scale + (x, y) for stroke in drawn.strokes)
    return Trace(tuple(line.astype(np.float32) for line in lines), drawn.pen * float(scale.mean())), sketch.page


# The following functions cut the skeleton into pieces: lines of pixels between ends and junctions


def _pieces(thin: np.ndarray) -> list[np.ndarray]:
    """The pixels (points, 2), as (x, y), from one end or junction to the next. A ring without either is one piece."""
    wide = thin.shape[1]
    pixels = np.flatnonzero(thin)
    at = dict.fromkeys(pixels.tolist())
    beside: dict[int, list[int]] = {}
    for pixel in at:
        found = []
        for number, (y, x) in enumerate(AROUND):
            other = pixel + y * wide + x
            # A diagonal step does not count if two straight steps lead to the same place, so stairs have no junctions.
            if other in at and (number % 2 == 0 or (pixel + y * wide not in at and pixel + x not in at)):
                found.append(other)
        beside[pixel] = found
    nodes = [pixel for pixel, others in beside.items() if len(others) != 2]
    seen: set[tuple[int, int]] = set()
    lines = [[node] for node in nodes if not beside[node]]
    walked = set(nodes)
    for node in [*nodes, *pixels.tolist()]:  # the pixels that are left after the nodes belong to rings
        ring = len(beside[node]) == 2
        if ring and node in walked:
            continue
        for other in beside[node][:1] if ring else beside[node]:
            if (node, other) in seen:
                continue
            line = [node, other]
            walked.add(other)
            while len(beside[line[-1]]) == 2 and line[-1] != node:
                one, two = beside[line[-1]]
                line.append(two if one == line[-2] else one)
                walked.add(line[-1])
            seen |= {(line[0], line[1]), (line[-1], line[-2])}
            lines.append(line)
    return [np.stack([np.array(line) % wide, np.array(line) // wide], axis=1) for line in lines]


def _on_the_ridge(pieces: list[np.ndarray], distance: np.ndarray) -> list[np.ndarray]:
    """The pieces, moved sideways to the maximum of the field and smoothed by half a pixel."""
    placed = [piece.astype(np.float64) for piece in pieces]
    for _ in range(2):
        placed = [_smooth(line) for line in placed]
        points = np.concatenate(placed)
        along = np.concatenate([_direction(piece) for piece in placed])
        across = along[:, ::-1] * (-1, 1)
        reach = np.maximum(1.0, 0.7 * height(distance, points))[:, None]
        rise = height(distance, points + reach * across) - height(distance, points - reach * across)
        # On both sides of a ridge the field falls by 1 for each pixel, so half the difference is the offset.
        points = points + np.clip(rise / 2, -1, 1)[:, None] * across
        placed = np.split(points, np.cumsum([len(piece) for piece in placed])[:-1])
    placed = [_smooth(piece) for piece in placed]
    for piece, line in zip(pieces, placed, strict=True):
        if len(piece) > 1 and np.array_equal(piece[0], piece[-1]):  # this keeps a ring closed
            line[-1] = line[0]
    return placed


def _smooth(line: np.ndarray) -> np.ndarray:
    if len(line) < 3:
        return line
    if np.array_equal(line[0], line[-1]):
        around = ndimage.gaussian_filter1d(line[:-1], 1.0, axis=0, mode="wrap")
        return np.concatenate([around, around[:1]])
    inner = ndimage.gaussian_filter1d(line, 1.0, axis=0, mode="nearest")
    return np.concatenate([line[:1], inner[1:-1], line[-1:]])


def _direction(line: np.ndarray) -> np.ndarray:
    if len(line) < 2:
        return np.zeros_like(line)
    step = np.gradient(line, axis=0)
    return step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)


def ordered(strokes: list[np.ndarray]) -> list[np.ndarray]:
    """Strokes in a plausible drawing order.

    The longest comes first. After each stroke follows the one that begins nearest to the pen, or ends nearest to it,
    and is then reversed.
    """
    if not strokes:
        return []
    ends = np.array([[stroke[0], stroke[-1]] for stroke in strokes], np.float64)
    number, turned, drawn = int(np.argmax([length(stroke) for stroke in strokes])), 0, list[np.ndarray]()
    while True:
        drawn.append(strokes[number][::-1] if turned else strokes[number])
        if len(drawn) == len(strokes):
            return drawn
        ends[number] = np.inf  # it is drawn, so nothing is near it
        number, turned = divmod(int(np.linalg.norm(ends - drawn[-1][-1], axis=2).argmin()), 2)
