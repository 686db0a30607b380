"""Sketches as vectors: centre lines, fitted to a canvas and sampled into points.

A sketch is its centre lines, and they are always drawn with the same pen (`sdf.py`). Strokes are such lines already,
and a raster is thinned to them. So a drawing looks the same to the models, whatever pen drew it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from visketch.errors import VisketchError

POINTS = 20_000  # the most points of a drawing; the lines between them are sampled, and more would need gigabytes


@dataclass(frozen=True)
class PageArea:
    """The page of a sketch.

    `box` is x, y, width and height in the sketch's unit. Strokes are in this unit, and pixels fill the box. The sides
    are as the file gives them (`210mm`), or empty if it does not.
    """

    box: tuple[float, float, float, float]
    width: str = ""
    height: str = ""

    @classmethod
    def of_pixels(cls, width: int | float, height: int | float) -> "PageArea":
        """A page whose unit is the pixel."""
        return cls((0.0, 0.0, float(width), float(height)), f"{width:.9g}", f"{height:.9g}")


@dataclass(frozen=True, eq=False)
class Sketch:
    """One drawing, as strokes or as pixels (exactly one of the two), with what is known about it.

    `strokes` are arrays (points, 2) float32, x to the right, y down, in any unit. `pixels` is (rows, columns) bool,
    where True is ink. `thin` is the skeleton of the pixels, in the same shape, if it is known. `in_order` says whether
    the strokes are in the order in which a person drew them, as far as the reader of the file can tell.
    """

    strokes: tuple[np.ndarray, ...] | None = None
    pixels: np.ndarray | None = None
    thin: np.ndarray | None = field(default=None, repr=False, kw_only=True)
    label: str | None = None
    source: str = ""
    page: PageArea | None = None
    in_order: bool = field(default=True, kw_only=True)
    about: dict[str, Any] = field(default_factory=dict)  # what the reader of its file found out

    def __post_init__(self) -> None:
        if (self.strokes is None) == (self.pixels is None):
            raise ValueError("a sketch has either strokes or pixels")
        if self.thin is not None and (self.pixels is None or self.thin.shape != self.pixels.shape):
            raise ValueError("a skeleton is that of a sketch's pixels")

    def lines(self) -> tuple[np.ndarray, ...]:
        """The centre lines, each (points, 2): the strokes, or the skeleton of the pixels. A dot is one point, however
        large it is (`one_dot`).

        Raises VisketchError if there is no ink, if there are too many points, or if a coordinate is not a finite
        number.
        """
        if self.pixels is not None:
            lines = runs(skeleton(self.pixels) if self.thin is None else self.thin)
            pen = _side(self.pixels) - longer_side(np.concatenate(lines)) if lines else 0.0
        else:
            lines = tuple(stroke for stroke in self.strokes or () if len(stroke))
            if sum(len(line) for line in lines) > POINTS:
                raise VisketchError(f"{self.source or 'sketch'}: more than {POINTS:,} points; simplify the drawing")
            if not all(np.isfinite(line).all() for line in lines):
                raise VisketchError(
                    f"{self.source or 'sketch'}: a stroke has a coordinate that is too large or not a number"
                )
            pen = float(self.about.get("pen") or 0.0)
        if not lines:
            raise VisketchError(f"{self.source or 'sketch'}: blank, it has no ink; give another drawing")
        return one_dot(lines, pen)


def one_dot(lines: tuple[np.ndarray, ...], pen: float) -> tuple[np.ndarray, ...]:
    """The lines of a drawing, or a single point in their middle if they reach no farther than their pen is wide.

    Such a drawing is one dot, of whose thinning a short line may be left. Fitted to the canvas, that would go from one
    side to the other.
    """
    points = np.concatenate(lines)
    if longer_side(points) > pen:
        return lines
    return (((points.min(axis=0) + points.max(axis=0)) / 2)[None].astype(np.float32),)


def _side(pixels: np.ndarray) -> int:
    """The longer side of the box around the ink of a mask, in pixels."""
    return max(int(np.ptp(np.flatnonzero(pixels.any(axis=axis)))) + 1 for axis in (0, 1))


def skeleton(pixels: np.ndarray) -> np.ndarray:
    """The lines of an ink mask (rows, columns), one pixel wide, in the same shape."""
    from skimage.morphology import skeletonize

    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    thin = np.zeros(pixels.shape, bool)
    if len(rows):
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        thin[box] = skeletonize(pixels[box].copy())  # skimage's compiled code may crash on an array that is read-only
    return thin


def runs(thin: np.ndarray) -> tuple[np.ndarray, ...]:
    """The centre lines of a skeleton (rows, columns): its straight runs of neighbouring pixels, as (x, y).

    A pixel without neighbours is a line of one point.
    """
    thin = np.pad(thin, 1)
    rows, columns = np.divmod(np.flatnonzero(thin), thin.shape[1])
    places = np.stack([columns, rows], axis=1)
    lines, lone = [], np.ones(len(rows), bool)
    for x, y in ((1, 0), (0, 1), (1, 1), (-1, 1)):
        after, before = thin[rows + y, columns + x], thin[rows - y, columns - x]
        lone &= ~(after | before)
        ends = []
        for end in (after & ~before, before & ~after):  # starts and ends come in the same order
            here = places[end]
            ends.append(here[np.lexsort((here @ (x, y), here @ (y, -x)))])
        lines.append(np.stack(ends, axis=1))
    lines.append(places[lone, None])
    return tuple(line for group in lines for line in group.astype(np.float32) - 0.5)


def longer_side(points: np.ndarray) -> float:
    """The longer side of the box around points (n, 2), in their unit. It is above 0, so that one can divide by it.

    A dot has a tiny side. So has whatever is as small as the rounding errors of its coordinates.
    """
    rounding = 1e-6 * float(np.abs(points).max())
    return max(float(np.ptp(points.astype(np.float64), axis=0).max()), rounding, 1e-30)


def fit(lines: tuple[np.ndarray, ...], margin: float) -> tuple[np.ndarray, ...]:
    """Centre the lines in the unit square with `margin` (a share of the side) on each side, keeping the
    aspect ratio.
    """
    points = np.concatenate(lines).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (1 - 2 * margin) / longer_side(points)
    # This is subtracted before scaling, since the scale of a dot is huge and would amplify rounding errors
    centre = (low + high) / 2
    # All lines are handled at once, since a skeleton has a thousand short ones
    fitted = ((points - centre) * scale + 0.5).astype(np.float32)
    ends = np.cumsum([len(line) for line in lines]).tolist()
    return tuple(fitted[end - len(line) : end] for line, end in zip(lines, ends, strict=True))


def on_canvas(lines: tuple[np.ndarray, ...], margin: float, side: int) -> tuple[np.ndarray, ...]:
    """Lines in pixels of a canvas of that side, where a field of them has its ink."""
    return tuple(line * np.float32(side) for line in fit(lines, margin))


def arc_lengths(stroke: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """The distance of each point of a stroke from its first point, along the stroke."""
    steps = np.linalg.norm(np.diff(stroke.astype(np.float64), axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def length(stroke: Float[np.ndarray, "n 2"]) -> float:
    return float(arc_lengths(stroke)[-1])


def segment_ends(lines: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where the segments of lines start, and where they end, each (segments, 2). A line of one point starts and ends
    there.
    """
    points, count = np.concatenate(lines), np.array([len(line) for line in lines])
    last, more = np.cumsum(count) - 1, count > 1
    return np.delete(points, last[more], axis=0), np.delete(points, (last - count + 1)[more], axis=0)


def sample(lines: tuple[np.ndarray, ...], spacing: float) -> np.ndarray:
    """Points (points, 2) along the lines, at most `spacing` apart. They include the corners."""
    starts, stops = segment_ends(lines)
    length = np.linalg.norm(stops.astype(np.float64) - starts, axis=1)  # in single precision its square may overflow
    steps = np.ceil(length / spacing).astype(np.int64) + 1
    segment = np.repeat(np.arange(len(starts)), steps)
    first = np.repeat(np.cumsum(steps) - steps, steps)
    along = (np.arange(len(segment)) - first) / np.maximum(steps[segment] - 1, 1)
    return starts[segment] + (stops - starts)[segment] * along[:, None].astype(np.float32)


def augment(
    lines: tuple[np.ndarray, ...], rng: np.random.Generator, strength: float, drop: bool = True, mirror: bool = True
) -> tuple[np.ndarray, ...]:
    """A variant of a drawing: turned, sheared, stretched, mirrored, and without a few of its strokes.

    A `strength` of 1 turns it by up to 20 degrees, shears and stretches it by up to 25 %, and drops 10 % of the
    strokes; 0 changes nothing. Half of the drawings are mirrored, unless `mirror` is False. The lines may be in any
    unit, since `fit` follows. Without `drop`, every line is kept: the lines of a raster are not strokes.
    """
    if strength == 0:
        return lines
    angle, shear, stretch = rng.uniform(-1, 1, 3) * strength * (np.pi / 9, 0.25, 0.25)
    side = -1.0 if mirror and rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[np.exp(stretch) * side, shear], [0, np.exp(-stretch)]])
    kept = rng.random(len(lines)) >= 0.1 * strength
    if not drop or not kept.any():
        kept[:] = True
    return tuple((line @ matrix.T).astype(np.float32) for line, keep in zip(lines, kept, strict=True) if keep)
