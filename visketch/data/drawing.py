"""A drawing in any form that a program may have it in → a sketch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import ink, quickdraw
from visketch.data.read import read
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch

Drawing = Sketch | str | Path | np.ndarray | Sequence[Any]


def sketch(drawing: Drawing) -> Sketch:
    """A path (of a file of many its first drawing), a picture, or strokes → a sketch.

    A picture is an array (rows, columns) or (rows, columns, channels): bool, True is ink; or uint8, of which the ink is
    found as in a file. Strokes are arrays (points, 2) of x and y, or as *Quick, Draw!* has them, [[x...], [y...]] each.
    Raises VisketchError for a file that cannot be read or no ink, UsageError for what is none of these.
    """
    if isinstance(drawing, Sketch):
        return drawing
    if isinstance(drawing, str | Path):
        return next(read(drawing))
    if isinstance(drawing, np.ndarray):
        return _inked(drawing)
    try:
        as_points = [isinstance(line, np.ndarray) and line.ndim == 2 and line.shape[1] == 2 for line in drawing]
        lines = quickdraw.strokes([line.T if points else line for line, points in zip(drawing, as_points, strict=True)])
    except (TypeError, ValueError) as error:
        raise UsageError(f"no drawing: {error}; give a path, an array or strokes") from None
    return Sketch(strokes=lines, source="strokes")


def _inked(picture: np.ndarray) -> Sketch:
    if picture.ndim == 2 and picture.dtype == bool:
        return Sketch(pixels=picture, source="picture")
    if picture.ndim not in (2, 3) or picture.dtype != np.uint8:
        raise UsageError(
            f"a picture is (rows, columns) or (rows, columns, channels), bool or uint8, not {picture.dtype}"
        )
    found = ink.find(picture.reshape(*picture.shape[:2], -1)[..., :3])
    if not found.pixels.any():
        raise VisketchError("picture: blank, there is no ink in it")
    return Sketch(pixels=found.pixels, thin=found.thin, source="picture")
