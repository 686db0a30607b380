"""Drawings in the form of sketch-rnn: one row for each point, with its offset from the previous one and the state of
the pen.

    stroke-3    dx, dy, p              p is 1 if the pen is lifted after the point
    stroke-5    dx, dy, p1, p2, p3     p1: the pen stays down, p2: it is lifted, p3: the drawing ends before this row

The form is defined by Ha and Eck, "A Neural Representation of Sketch Drawings" (arXiv 1704.03477), section 3.1. Rows
with p3 pad drawings of different lengths, so that they fit in one array.
"""

from typing import Any

import numpy as np

PLACES = (
    "no row goes left or up, so these may be positions x, y and not offsets dx, dy; write positions as [[x, y], ...]"
)


def is_it(rows: np.ndarray) -> bool:
    """Whether an array (points, columns) can only be in this form: the pen states are 0 or 1, and both occur."""
    if rows.ndim != 2 or rows.shape[1] not in (3, 5) or len(rows) < 2:
        return False
    pen = rows[:, 2:]
    if not ((pen == 0) | (pen == 1)).all():
        return False
    return bool((pen.sum(axis=1) == 1).all()) if rows.shape[1] == 5 else bool(pen.any() and not pen.all())


def numbers(rows: Any) -> np.ndarray:
    """One drawing of an array or list of objects as an array of numbers.

    If all drawings have the same length, numpy makes one array of their single numbers, each of them an object. Raises
    ValueError for objects that are no numbers.
    """
    rows = np.asarray(rows)
    try:
        return rows.astype(np.float64) if rows.dtype.hasobject else rows
    except TypeError:
        raise ValueError("not a drawing of rows dx, dy, pen") from None


def strokes(rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Turn rows (points, 3 or 5) into strokes, each (points, 2) float32.

    Raises ValueError for an array of another shape, for one without points, and for a coordinate that is not a finite
    number.
    """
    if rows.ndim != 2 or rows.shape[1] not in (3, 5) or rows.dtype.kind not in "biuf":
        raise ValueError("not a drawing of rows dx, dy, pen")
    if rows.shape[1] == 5:
        ends = np.flatnonzero(rows[:, 4] > 0.5)
        rows = rows[: ends[0]] if len(ends) else rows
        rows = np.concatenate([rows[:, :2], rows[:, 3:4]], axis=1)
    if not len(rows):
        raise ValueError("blank, it has no points")
    if not np.isfinite(rows).all():
        raise ValueError("a coordinate is not a number")
    with np.errstate(over="ignore"):
        line = np.cumsum(rows[:, :2], axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(line).all():
        raise ValueError("a coordinate is not a number")
    return tuple(np.split(line, np.flatnonzero(rows[:-1, 2] > 0.5) + 1))


def check(rows: np.ndarray) -> None:
    """Raises ValueError if rows are probably positions rather than offsets: none of them goes back."""
    ways = rows[1:, :2]
    if len(ways) > 1 and (ways >= 0).all():
        raise ValueError(PLACES)
