"""Signed distance fields: from drawings to fields, and from fields to ink.

The field is `pen / 2 - distance to the nearest centre line`, so it is positive inside the ink and negative outside. It
is clamped to +-`clamp` and divided by `clamp`. Pen and clamp are shares of the canvas side. Far from all lines the
field is saturated, so distances are only computed in a window around each piece of a line, and the smallest is kept.
This is exact, and its cost is proportional to the ink. (A distance transform of the pixels has errors of a third of a
pixel and takes two to four times as long: lab book.)

This module does not import torch, so that processes which only draw fields start without it, and so do apps with an
exported model.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from visketch.config import SketchConfig
from visketch.geometry.sketch import Sketch, fit, segment_ends

CACHED = 2**16  # the number of distances that are computed at once, so that they stay in the processor's cache


def render(sketch: Sketch, config: SketchConfig, canvas: int | None = None) -> Float[np.ndarray, "h h"]:
    """Fit a sketch to the canvas and draw it with the configured pen, as a field.

    `canvas` is the side in pixels, by default that of `config`. Raises VisketchError if the sketch is blank.
    """
    return field(fit(sketch.lines(), config.margin), config, canvas or config.canvas)


def field(lines: tuple[np.ndarray, ...], config: SketchConfig, canvas: int) -> Float[np.ndarray, "h h"]:
    """The signed distance field of centre lines in the unit square, on a canvas of `canvas` pixels."""
    clamp, near = config.clamp * canvas, config.pen / 2 / config.clamp
    reach = near + 1  # the field saturates here; distances are in units of the clamp, places in pixels
    start, direction, length = _pieces(lines, canvas, longest=reach * clamp)
    side = math.ceil(length.max() + 2 * reach * clamp) + 1
    corner = np.ceil(np.minimum(start, start + direction * length[:, None]) - reach * clamp - 0.5).astype(np.int64)
    corner = corner.clip(-side, canvas)  # nothing is drawn beyond the canvas
    squared = np.full((canvas + 2 * side, canvas + 2 * side), reach**2, np.float32)
    axis = np.arange(side, dtype=np.float32)
    for some in np.split(np.arange(len(start)), range(0, len(start), max(1, CACHED // side**2))[1:]):
        away = (axis - (start - corner - 0.5)[some, :, None].astype(np.float32)) / np.float32(clamp)
        windows = _squared_distances(away, direction[some], length[some] / np.float32(clamp))
        for (x, y), window in zip((corner[some] + side).tolist(), windows, strict=True):
            here = squared[y : y + side, x : x + side]
            np.minimum(here, window, out=here)
    drawn = np.sqrt(squared[side:-side, side:-side])
    np.subtract(near, drawn, out=drawn)
    return np.minimum(drawn, 1, out=drawn)


def _pieces(lines: tuple[np.ndarray, ...], canvas: int, longest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines as straight pieces in pixels, none longer than `longest`: start (n 2), direction (n 2) and length (n)."""
    start, end = (part * np.float32(canvas) for part in segment_ends(lines))
    way = end - start
    length = np.linalg.norm(way, axis=1)[:, None]
    direction = np.tile(np.array([1, 0], np.float32), (len(way), 1))  # a dot may have any direction
    np.divide(way, length, out=direction, where=length > 1e-6)
    parts = np.ceil(length[:, 0] / longest).astype(np.int64).clip(1)
    length = length / parts[:, None].astype(np.float32)
    piece = np.repeat(np.arange(len(parts)), parts)
    before = np.arange(len(piece)) - np.repeat(np.cumsum(parts) - parts, parts)
    start = start[piece] + (direction * length)[piece] * before[:, None].astype(np.float32)
    return start, direction[piece], length[piece, 0]


def _squared_distances(
    away: Float[np.ndarray, "n 2 w"], direction: Float[np.ndarray, "n 2"], length: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n w w"]:
    """The squared distances from pixels to pieces of lines.

    `away` holds the offsets in x and in y of the pixels from the start of the piece.
    """
    x, y = away.swapaxes(0, 1)
    dx, dy = direction.T[:, :, None]
    beyond = (y * dy)[:, :, None] + (x * dx)[:, None]
    beside = (y * dx)[:, :, None] - (x * dy)[:, None]
    within = np.maximum(beyond, 0)
    beyond -= np.minimum(within, length[:, None, None], out=within)  # .clip takes twice as long
    beyond *= beyond
    beside *= beside
    beyond += beside
    return beyond


def ink(field: Float[Any, "*b h h"], clamp: float) -> Float[Any, "*b h h"]:
    """Turn fields into anti-aliased ink in [0, 1].

    The edge is one pixel wide, and a pixel is half covered where the field is zero. Takes tensors or arrays, and
    returns the same kind.
    """
    return (field * clamp * field.shape[-1] + 0.5).clip(0, 1)
