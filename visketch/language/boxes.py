"""Boxes in pictures: area, centre, and overlap (intersection over union)."""

import numpy as np
from jaxtyping import Float

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 as shares of the sides, x to the right, y down


def middle(box: Box) -> Float[np.ndarray, " 2"]:
    x1, y1, x2, y2 = box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2])


def area(box: Box) -> float:
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1)


def overlaps(some: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of each with each."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    common = (high - low).clip(0).prod(axis=2)
    areas = (some[:, 2:] - some[:, :2]).clip(0).prod(axis=1)[:, None]
    total = areas + (others[:, 2:] - others[:, :2]).clip(0).prod(axis=1) - common
    return common / np.maximum(total, 1e-12)
