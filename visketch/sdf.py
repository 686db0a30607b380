"""Signed distance fields: how a drawing becomes pixels, and pixels ink again.

The field is `pen / 2 - distance to the nearest centre line`, so positive inside the ink and negative outside, clamped
to +-`clamp` and divided by it. Pen and clamp are shares of the canvas side. scipy's exact Euclidean transform says
which pixel with a line in it is nearest; the lines' places in that pixel and its eight neighbours say how near. So a
distance is right to 0.02 pixel on average, 99 of 100 are to 0.35. (A k-d tree of the points would be exact, at three
times the time.)
"""

import itertools

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from visketch import strokes
from visketch.config import SketchConfig


def render(sketch: strokes.Sketch, config: SketchConfig, canvas: int | None = None) -> Float[np.ndarray, "h h"]:
    """The sketch fitted to the canvas and drawn with the configured pen, as a field. Raises VisketchError if blank."""
    return field(strokes.fit(sketch.lines(), config.margin), config, canvas or config.canvas)


def field(lines: tuple[np.ndarray, ...], config: SketchConfig, canvas: int) -> Float[np.ndarray, "h h"]:
    """Centre lines in the unit square → their signed distance field on a `canvas` pixels wide."""
    points = strokes.sample(lines, spacing=0.7 / canvas) * canvas
    column, row = np.clip(points.astype(np.int64), 0, canvas - 1).T
    wide = canvas + 2  # a border of empty pixels, so that every pixel has eight neighbours
    cells = (row + 1) * wide + column + 1
    # Of the points in one pixel two are kept, the last and the first: where a line leaves it and where it enters, or
    # one on each of two lines that cross. Complex numbers, because x and y are then gathered and measured in one go.
    place = points.astype(np.float32).view(np.complex64)[:, 0]
    places = np.full((2, wide * wide), 1e6, np.complex64)
    places[0, cells], places[1, cells[::-1]] = place, place[::-1]
    empty = np.ones((canvas, canvas), bool)
    empty[row, column] = False
    row, column = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    nearest = (row + 1) * wide + column + 1
    axis = np.arange(canvas, dtype=np.float32) + 0.5
    centre = (axis + 1j * axis[:, None]).astype(np.complex64)
    distance = np.full((canvas, canvas), np.inf, np.float32)
    for up, left, kept in itertools.product((-1, 0, 1), (-1, 0, 1), places):
        np.minimum(distance, np.abs(kept[nearest + up * wide + left] - centre), out=distance)
    return np.clip((config.pen / 2 - distance / canvas) / config.clamp, -1, 1)


def ink(field: Float[Tensor, "*b h h"], clamp: float) -> Float[Tensor, "*b h h"]:
    """Field → anti-aliased ink in [0, 1]: the edge is one pixel wide, half covered where the field is zero."""
    return torch.clamp(field * clamp * field.shape[-1] + 0.5, 0, 1)
