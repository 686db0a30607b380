"""Strokes as pieces: runs of a fixed number of points, which a network can draw all at once.

A piece is `POINTS` points along a stroke. The stroke's own vertices are among them, so corners stay sharp. A long
stroke becomes several pieces, each of which begins where the previous one ends. This is our choice, after trials with
pieces of equal length (which lose corners) and with normalised pieces (lab book).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, Integer

from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch, arc_lengths, fit
from visketch.geometry.trace import from_pixels, reduced, trace

POINTS = 12  # k; nine in ten of QuickDraw's strokes have no more vertices
# Simplifying may move a line by this much in [-1, 1], which is three quarters of what QuickDraw's recipe allows. So 99
# of 100 vertices of QuickDraw's drawings stay, and smooth curves get about as many as if they came from there.
TOLERANCE = 3 / 255
TRACED = 256  # pixels of the longer side of a picture that is traced for recognition
LONGEST = 2000  # the most points of a drawing that is simplified for recognition, after those that lie close together


Strokes = Sequence[Float[np.ndarray, "_ 2"]]


@dataclass(frozen=True)
class Pieces:
    """A drawing of t pieces. `joined` says whether a piece begins where the previous one ends, `in_order` whether a
    person drew them in this order.
    """

    points: Float[np.ndarray, "t k 2"]
    joined: Bool[np.ndarray, " t"]
    in_order: bool = True

    def __len__(self) -> int:
        return len(self.joined)


def cut(strokes: Sequence[Float[np.ndarray, "_ 2"]], k: int = POINTS) -> Pieces:
    """Cut strokes into pieces, in the same unit and order. Each stroke must have at least one point."""
    lengths = np.array([len(stroke) for stroke in strokes])
    parts = count(lengths, k)
    stroke, begin = np.repeat(np.arange(len(strokes)), parts), np.cumsum(lengths) - lengths
    part = np.arange(len(stroke)) - np.repeat(np.cumsum(parts) - parts, parts)
    vertices = ((lengths - 1) / parts)[stroke]  # of a piece without its first, on average
    first, last = (begin[stroke] + np.rint(end * vertices).astype(int) for end in (part, part + 1))
    return Pieces(_filled(np.concatenate(strokes), first, last, k), part > 0)


def spread(stroke: Float[np.ndarray, "_ 2"], parts: int) -> Float[np.ndarray, "parts k 2"]:
    """A stroke as exactly `parts` pieces. Its vertices are among their points, unless there are too many of them."""
    places = parts * (POINTS - 1) + 1
    if len(stroke) > places:
        along = arc_lengths(stroke)
        even = np.linspace(0, along[-1], places)
        stroke = np.stack([np.interp(even, along, axis) for axis in stroke.T], axis=1).astype(np.float32)
    points = _filled(stroke, np.array([0]), np.array([len(stroke) - 1]), places)[0]
    firsts = range(0, places - 1, POINTS - 1)
    return np.stack([points[first : first + POINTS] for first in firsts])


def fitted(strokes: Sequence[Float[np.ndarray, "_ 2"]], most: int) -> Pieces:
    """A drawing's strokes as pieces that fill [-1, 1], in the form in which the network is trained on drawings.

    The strokes are simplified by TOLERANCE, and further if that leaves more than `most` pieces. Raises VisketchError if
    the drawing has more strokes than that.
    """
    if len(strokes) > most:
        raise VisketchError(f"{len(strokes):,} strokes: at most {most} can be changed; use a simpler drawing")
    tolerance = TOLERANCE
    while len(found := pieces([strokes], tolerance)[0]) > most:
        tolerance *= 1.5
    return found


def pieces(drawings: Sequence[Strokes], tolerance: float = TOLERANCE) -> list[Pieces]:
    """Drawings as pieces that fill [-1, 1], of lines that are simplified by `tolerance`.

    Like `simplified` and `cut`, it handles all lines at once. For a drawing of few short strokes, almost all of the
    time would go to the calls of numpy.
    """
    strokes = simplified([line for drawing in drawings for line in _wide(drawing)], tolerance)
    whole, parts = cut(strokes), count(np.array([len(stroke) for stroke in strokes]))
    ends = np.cumsum([0, *map(len, drawings)])
    places = np.concatenate([[0], np.cumsum(parts)])[ends].tolist()
    return [Pieces(whole.points[a:b], whole.joined[a:b]) for a, b in itertools.pairwise(places)]


def of_sketches(sketches: Sequence[Sketch], most: int) -> list[Pieces | None]:
    """The strokes of drawings as a classifier of strokes reads them, each in at most `most` pieces. A picture is
    traced.

    The result is None for a drawing of more strokes than that, and for one that is so long that it would take long to
    simplify; and for one of filled areas, since people draw other strokes than their edges (of such icons, fewer are
    recognised with their strokes than without). Raises VisketchError if there is no ink, or if a coordinate is not a
    finite number.
    """
    found: list[Pieces | None] = [None] * len(sketches)
    read = {i: lines for i, sketch in enumerate(sketches) if 0 < len(lines := _lines(sketch)) <= most}
    thinned = _thinned([_wide(lines) for lines in read.values()])
    short = {i: strokes for i, strokes in zip(read, thinned, strict=True) if sum(map(len, strokes)) <= LONGEST}
    if not short:
        return found
    for i, drawing in zip(short, pieces(list(short.values())), strict=True):
        in_order = sketches[i].in_order and sketches[i].pixels is None
        found[i] = replace(drawing if len(drawing) <= most else fitted(short[i], most), in_order=in_order)
    return found


def of_sketch(sketch: Sketch, most: int) -> Pieces | None:
    """`of_sketches` for one drawing."""
    return of_sketches([sketch], most)[0]


def _lines(sketch: Sketch) -> Strokes:
    """The strokes of a drawing, traced if it is a picture; none for filled areas."""
    if sketch.about.get("filled"):
        return []
    return sketch.lines() if sketch.pixels is None else trace(from_pixels(reduced(sketch.pixels, TRACED))).strokes


def _wide(strokes: Strokes) -> Strokes:
    """The strokes of a drawing so that they fill [-1, 1]."""
    return [2 * line - 1 for line in fit(tuple(strokes), margin=0.0)]


def _thinned(drawings: Sequence[Strokes]) -> list[Strokes]:
    """Drawings in [-1, 1] without points that are nearer to one another than TOLERANCE, as tablets send them."""
    strokes = [stroke for drawing in drawings for stroke in drawing]
    if not strokes:
        return []
    points, lengths = np.concatenate(strokes), np.array([len(stroke) for stroke in strokes])
    first = np.cumsum(lengths) - lengths
    along = np.cumsum(np.hypot(*np.diff(points.astype(np.float64), axis=0, prepend=points[:1]).T))
    place = np.floor((along - np.repeat(along[first], lengths)) / TOLERANCE)
    kept = np.diff(place, prepend=0) > 0
    kept[first] = kept[first + lengths - 1] = True
    thinned = iter(np.split(points[kept], np.cumsum(np.add.reduceat(kept, first))[:-1]))
    return [[next(thinned) for _ in drawing] for drawing in drawings]


def turned(drawing: Pieces, quarters: int) -> Pieces:
    """A drawing that fills [-1, 1], turned clockwise by so many quarter turns."""
    points = drawing.points
    for _ in range(quarters % 4):
        points = np.stack([-points[..., 1], points[..., 0]], axis=-1)
    return replace(drawing, points=points)


def count(points: Integer[np.ndarray, " i"], k: int = POINTS) -> Int[np.ndarray, " i"]:
    """The number of pieces that `cut` makes of each of i strokes, given their numbers of points."""
    return np.maximum(1, -(-(points.astype(np.int64) - 1) // (k - 1)))


def join(pieces: Pieces) -> list[Float[np.ndarray, "_ 2"]]:
    """The strokes from which `cut` made these pieces, except for the points that it added.

    Where joined pieces do not meet exactly, the mean of both ends is used.
    """
    strokes: list[np.ndarray] = []
    for points, joined in zip(pieces.points, pieces.joined, strict=True):
        if joined and strokes:
            before = strokes[-1]
            meeting = (before[-1:] + points[:1]) / 2
            strokes[-1] = np.concatenate([before[:-1], meeting, points[1:]])
        else:
            strokes.append(points.copy())
    return strokes


def simplified(strokes: Sequence[Float[np.ndarray, "_ 2"]], tolerance: float) -> list[Float[np.ndarray, "_ 2"]]:
    """Strokes with fewer vertices, where no line is moved by more than `tolerance` (Ramer, Douglas and Peucker).

    All strokes are divided at once, one level of their divisions after another.
    """
    if not strokes:
        return []
    points, lengths = np.concatenate(strokes), np.array([len(stroke) for stroke in strokes])
    place = points[:, 0] + 1j * points[:, 1].astype(np.float64)
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    kept = np.zeros(len(points), bool)
    kept[first] = kept[last] = True
    while len(first):
        inside = last - first - 1  # the vertices between the ends of each line
        first, last, inside = (ends[inside > 0] for ends in (first, last, inside))
        if not len(first):
            break
        start = np.cumsum(inside) - inside
        vertex = np.arange(start[-1] + inside[-1]) + np.repeat(first + 1 - start, inside)
        far = _distance(place[vertex], *(np.repeat(place[ends], inside) for ends in (first, last)))
        most = np.maximum.reduceat(far, start)
        at = np.minimum.reduceat(np.where(far == np.repeat(most, inside), vertex, len(points)), start)
        first, last, at = (ends[most > tolerance] for ends in (first, last, at))
        kept[at] = True
        first, last = np.concatenate([first, at]), np.concatenate([at, last])
    return np.split(points[kept], np.cumsum(np.add.reduceat(kept, np.cumsum(lengths) - lengths))[:-1])


def _distance(
    points: Complex[np.ndarray, " n"], start: Complex[np.ndarray, " n"], end: Complex[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The distance of each point from a line segment, all as complex numbers."""
    way, offset = end - start, points - start
    along = (offset * way.conj()).real / np.maximum(way.real**2 + way.imag**2, 1e-300)
    return np.abs(offset - along.clip(0, 1) * way)


def _filled(
    points: Float[np.ndarray, "n 2"], first: Int[np.ndarray, " t"], last: Int[np.ndarray, " t"], k: int
) -> Float[np.ndarray, "t k 2"]:
    """Fill runs of at most k vertices, `points[first : last + 1]`, up to exactly k points, by dividing their segments
    so that the longest part is as short as possible.

    The divisions are allocated by highest quotient (D'Hondt): a segment that has c parts bids its length / c for one
    more.
    """
    t, vertices = len(first), last - first + 1
    padded = points[np.minimum(first[:, None] + np.arange(k), last[:, None])]
    length = np.linalg.norm(np.diff(padded, axis=1), axis=2)  # (t k-1), 0 beyond the last vertex
    there = np.arange(k - 1) < (vertices - 1)[:, None]
    bids = np.where(there[..., None], length[..., None] / np.arange(1, k), -1).reshape(t, -1)
    place = np.argsort(np.argsort(-bids, axis=1, kind="stable"), axis=1)  # the rank of each bid, the highest first
    won = (place < (k - vertices)[:, None]).reshape(t, k - 1, k - 1).sum(axis=2)
    parts = np.where(there, 1 + won, 0)
    parts[vertices == 1, 0] = k - 1  # a dot has all its points at one place
    segment = np.repeat(np.tile(np.arange(k - 1), t), parts.ravel()).reshape(t, k - 1)
    before = np.cumsum(parts, axis=1) - parts
    along = np.arange(1, k) - np.take_along_axis(before, segment, axis=1)
    share = (along / np.take_along_axis(parts, segment, axis=1))[..., None]
    start = np.take_along_axis(padded[:, :-1], segment[..., None], axis=1)
    end = np.take_along_axis(padded[:, 1:], segment[..., None], axis=1)
    return np.concatenate([padded[:, :1], start + (end - start) * share], axis=1).astype(np.float32)
