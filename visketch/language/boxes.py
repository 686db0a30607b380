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
    """The intersection over union of each pair of boxes."""
    common, areas, other_areas = _common(some, others)
    return common / np.maximum(areas + other_areas - common, 1e-12)


def shares(some: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """For each pair of boxes, the share of the smaller one that lies in the other."""
    common, areas, other_areas = _common(some, others)
    return common / np.maximum(np.minimum(areas, other_areas), 1e-12)


def _common(
    some: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n 1"], Float[np.ndarray, " m"]]:
    """For each pair of boxes, the area of their intersection; and the areas of the boxes themselves."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    areas, other_areas = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (some, others))
    return (high - low).clip(0).prod(axis=2), areas[:, None], other_areas
