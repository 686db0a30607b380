"""Morphology on pictures, faster than scipy's: dilation, erosion, closing and opening by squares and discs.

All functions give the same results as scipy's. What lies beyond the picture is neither ink nor paper, unless a function
says otherwise.
"""

import math

import numpy as np
from jaxtyping import Bool, Shaped


def extreme(pick: np.ufunc, levels: Shaped[np.ndarray, "y x"], size: int, axis: int) -> Shaped[np.ndarray, "y x"]:
    """The maximum or the minimum (np.maximum, np.minimum) over `size` pixels along an axis. An even size is increased
    by one.

    The window is doubled until it is wide enough. On ink this is a dozen times as fast as scipy's filters.
    """
    half = size // 2
    rims = [levels.take([end], axis).repeat(half, axis) for end in (0, -1)]
    wide, width = np.concatenate([rims[0], levels, rims[1]], axis).swapaxes(0, axis), 1
    while width <= 2 * half:
        step = min(width, 2 * half + 1 - width)
        wide = pick(wide[:-step], wide[step:])
        width += step
    return wide.swapaxes(0, axis)


def highest(levels: Shaped[np.ndarray, "y x"], window: int) -> Shaped[np.ndarray, "y x"]:
    """The maximum over a square of `window` pixels: a dilation. An even window is increased by one."""
    return extreme(np.maximum, extreme(np.maximum, levels, window, 0), window, 1)


def lowest(levels: Shaped[np.ndarray, "y x"], window: int) -> Shaped[np.ndarray, "y x"]:
    """The minimum over a square of `window` pixels: an erosion. An even window is increased by one."""
    return extreme(np.minimum, extreme(np.minimum, levels, window, 0), window, 1)


def closed_over(levels: Shaped[np.ndarray, "y x"], window: int) -> Shaped[np.ndarray, "y x"]:
    """A closing by a square. It removes what is darker than its surroundings and narrower than the window."""
    return lowest(highest(levels, window), window)


def near(area: Bool[np.ndarray, "y x"], radius: float) -> Bool[np.ndarray, "y x"]:
    """The pixels whose distance from the area is at most the radius: a dilation by a disc.

    It is computed from the distance along each row, one row of the disc after another. This is faster than a distance
    transform unless the radius is very large.
    """
    high, wide = area.shape
    column = np.arange(wide, dtype=np.int32)
    before = np.maximum.accumulate(np.where(area, column, -wide - 1), axis=1)
    after = np.minimum.accumulate(np.where(area, column, 2 * wide + 1)[:, ::-1], axis=1)[:, ::-1]
    along = np.minimum(column - before, after - column).astype(np.int16)
    found = np.zeros_like(area)
    for down in range(min(math.floor(radius), high - 1) + 1):
        half = min(math.isqrt(math.floor(radius * radius - down * down)), wide)
        row = along <= half
        found[: high - down] |= row[down:]
        found[down:] |= row[: high - down]
    return found


def closed(area: Bool[np.ndarray, "y x"], radius: float) -> Bool[np.ndarray, "y x"]:
    """A closing by a disc: gaps narrower than twice the radius are filled."""
    grown = near(area, radius)
    return area if grown.all() else area | ~near(~grown, radius)


def opened(area: Bool[np.ndarray, "y x"], radius: float) -> Bool[np.ndarray, "y x"]:
    """An opening by a disc: what is narrower than twice the radius is removed."""
    return area & near(~near(~area, radius), radius)


def eroded(area: Bool[np.ndarray, "y x"], beyond: bool) -> Bool[np.ndarray, "y x"]:
    """The pixels whose four neighbours belong to the area too. `beyond` says whether pixels outside the picture do."""
    padded = np.pad(area, 1, constant_values=beyond)
    return area & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
