"""Signed distance fields: how a drawing becomes pixels, and pixels ink again.

The field is `pen / 2 - distance to the nearest centre line`, so positive inside the ink and negative outside, clamped
to +-`clamp` and divided by it. Pen and clamp are shares of the canvas side. scipy's exact Euclidean transform says
which pixel with a line in it is nearest; the lines' places in that pixel and its eight neighbours say how near. So a
distance is right to 0.02 pixel on average, 99 of 100 are to 0.35. (A k-d tree of the points would be exact, at three
times the time.) Far from all lines the field saturates, so a large canvas is drawn block by block, where lines are.

Imports no torch: processes that only draw fields start without it, and so do apps that use an exported model.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from visketch import strokes
from visketch.config import SketchConfig

BLOCK = 64  # pixels


def render(sketch: strokes.Sketch, config: SketchConfig, canvas: int | None = None) -> Float[np.ndarray, "h h"]:
    """The sketch fitted to the canvas and drawn with the configured pen, as a field. Raises VisketchError if blank."""
    return field(strokes.fit(sketch.lines(), config.margin), config, canvas or config.canvas)


def field(lines: tuple[np.ndarray, ...], config: SketchConfig, canvas: int) -> Float[np.ndarray, "h h"]:
    """Centre lines in the unit square → their signed distance field on a `canvas` pixels wide."""
    points = strokes.sample(lines, spacing=0.7 / canvas) * canvas
    pixels = np.clip(points.astype(np.int64), 0, canvas - 1)
    # Beyond this the field saturates. 3 pixels more, because the point that counts may be nearer than the centre of the
    # nearest pixel with a line in it: by 0.7 if it lies in that pixel, by 2.1 if in a neighbour.
    margin = math.ceil((config.pen / 2 + config.clamp) * canvas) + 3
    if canvas <= max(4 * BLOCK, 16 * margin):  # then the margins would cost more than the blocks save
        return _shade(_distance(points, pixels, canvas), config, canvas)
    side = max(BLOCK, 2 * margin)
    drawn = np.full((canvas, canvas), -1, np.float32)
    for corner, near in _blocks(pixels, canvas, side, margin):
        origin = corner - margin
        distance = _distance(points[near] - origin.astype(np.float32), pixels[near] - origin, side + 2 * margin)
        x, y = corner
        square = drawn[y : y + side, x : x + side]  # the border may cut it off
        inside = distance[margin : margin + len(square), margin : margin + square.shape[1]]
        square[:] = _shade(inside, config, canvas)
    return drawn


def _shade(distance: np.ndarray, config: SketchConfig, canvas: int) -> np.ndarray:
    return np.clip((config.pen / 2 - distance / canvas) / config.clamp, -1, 1)


def _blocks(pixels: np.ndarray, canvas: int, side: int, margin: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every block with points in it or within `margin` of it: its corner (x, y), and which points those are."""
    wide, count, found = -(-canvas // side), len(pixels), []
    for step in itertools.product((-margin, margin), repeat=2):  # four corners say all: a block is two margins wide
        x, y = np.clip(pixels + step, 0, canvas - 1).T // side
        found.append((y * wide + x) * count + np.arange(count))
    block, point = np.divmod(np.unique(np.concatenate(found)), count)
    numbers, first = np.unique(block, return_index=True)
    for number, near in zip(numbers, np.split(point, first[1:]), strict=True):
        yield np.array([number % wide, number // wide]) * side, near


def _distance(points: np.ndarray, pixels: np.ndarray, canvas: int) -> np.ndarray:
    """From the centre of every pixel to the nearest of the points, whose pixels are given."""
    column, row = pixels.T
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
    return distance


def ink(field: Float[Any, "*b h h"], clamp: float) -> Float[Any, "*b h h"]:
    """Field → anti-aliased ink in [0, 1]: the edge is one pixel wide, half covered where the field is zero.

    Takes tensors and arrays, and gives what it took.
    """
    return (field * clamp * field.shape[-1] + 0.5).clip(0, 1)
