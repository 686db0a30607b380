"""Sketches as vectors: centre lines, fitted to a canvas and sampled into points.

A sketch is its centre lines; the pen is ours (`sdf.py` draws it). Strokes give their lines as they are, a raster
gives them by thinning, so that a drawing means the same to the models whatever pen drew it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visketch.errors import VisketchError

POINTS = 20_000  # of a drawing: each line between them is sampled, so a scribble of more would ask for gigabytes


@dataclass(frozen=True)
class Sketch:
    """One drawing, as strokes or as pixels (exactly one of the two), with what is known about it.

    `strokes`: each (points, 2) float32, x to the right, y down, in any unit.
    `pixels`: (rows, columns) bool, True is ink.
    """

    strokes: tuple[np.ndarray, ...] | None = None
    pixels: np.ndarray | None = None
    label: str | None = None
    source: str = ""
    about: dict[str, Any] = field(default_factory=dict, compare=False)  # what its reader understood

    def __post_init__(self) -> None:
        if (self.strokes is None) == (self.pixels is None):
            raise ValueError("a sketch has either strokes or pixels")

    def lines(self) -> tuple[np.ndarray, ...]:
        """The centre lines, each (points, 2): the strokes, or the skeleton of the pixels.

        Raises VisketchError if there is no ink or far too much, or a coordinate is not a finite number.
        """
        if self.pixels is not None:
            lines = skeleton(self.pixels)
        else:
            lines = tuple(stroke for stroke in self.strokes or () if len(stroke))
            if sum(len(line) for line in lines) > POINTS:
                raise VisketchError(f"{self.source or 'sketch'}: more than {POINTS:,} points, simplify the drawing")
            if not all(np.isfinite(line).all() for line in lines):
                raise VisketchError(f"{self.source or 'sketch'}: a stroke has a coordinate that is not a number")
        if not lines:
            raise VisketchError(f"{self.source or 'sketch'}: blank, there is no ink in it")
        return lines


def skeleton(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    """The centre lines of an ink mask (rows, columns): segments between neighbouring pixels of its skeleton (x, y).

    A pixel without neighbours is a line of one point.
    """
    from skimage.morphology import skeletonize

    thin = np.pad(skeletonize(pixels), 1)
    rows, columns = np.nonzero(thin)
    here = np.stack([columns, rows], axis=1)
    steps = np.array([(1, 0), (0, 1), (1, 1), (-1, 1)])
    pairs = [np.stack([here, here + step], axis=1)[thin[rows + step[1], columns + step[0]]] for step in steps]
    around = sum(thin[rows + y, columns + x].astype(int) for y in (-1, 0, 1) for x in (-1, 0, 1))
    lone = here[around == 1][:, None]
    return tuple(line.astype(np.float32) - 0.5 for group in (*pairs, lone) for line in group)


def fit(lines: tuple[np.ndarray, ...], margin: float) -> tuple[np.ndarray, ...]:
    """Centre the lines in the unit square with `margin` (a share of the side) on each side, aspect kept."""
    points = np.concatenate(lines).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 1e-6)
    scale = (1 - 2 * margin) / side
    centre = (low + high) / 2  # taken off before scaling: for a dot the scale is huge, and so would be its rounding
    return tuple(((line - centre) * scale + 0.5).astype(np.float32) for line in lines)


def sample(lines: tuple[np.ndarray, ...], spacing: float) -> np.ndarray:
    """Points (points, 2) along the lines, neighbours at most `spacing` apart, the corners among them."""
    starts = np.concatenate([line if len(line) == 1 else line[:-1] for line in lines])
    ends = np.concatenate([line if len(line) == 1 else line[1:] for line in lines])
    steps = np.ceil(np.linalg.norm(ends - starts, axis=1) / spacing).astype(np.int64) + 1
    segment = np.repeat(np.arange(len(starts)), steps)
    first = np.repeat(np.cumsum(steps) - steps, steps)
    along = (np.arange(len(segment)) - first) / np.maximum(steps[segment] - 1, 1)
    return starts[segment] + (ends - starts)[segment] * along[:, None].astype(np.float32)


def augment(
    lines: tuple[np.ndarray, ...], rng: np.random.Generator, strength: float, drop: bool = True
) -> tuple[np.ndarray, ...]:
    """A new drawing of the same thing: turned, sheared, stretched, mirrored, and a few strokes left out.

    `strength` 1 turns by up to 20 degrees, shears and stretches by up to 25 %, and drops 10 % of the strokes; less is
    less, and 0 changes nothing. Half are mirrored left to right. The lines may be in any unit: `fit` follows.
    `drop` False keeps every line: those of a raster are no strokes.
    """
    if strength == 0:
        return lines
    angle, shear, stretch = rng.uniform(-1, 1, 3) * strength * (np.pi / 9, 0.25, 0.25)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[np.exp(stretch) * mirror, shear], [0, np.exp(-stretch)]])
    kept = rng.random(len(lines)) >= 0.1 * strength
    if not drop or not kept.any():
        kept[:] = True
    return tuple((line @ matrix.T).astype(np.float32) for line, keep in zip(lines, kept, strict=True) if keep)
