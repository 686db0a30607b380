"""Morphology compared with scipy's, which serves as the slow definition; and the medians of parts."""

import numpy as np
import pytest
from scipy import ndimage

from visketch.data import morphology, solid


@pytest.fixture(params=range(12))
def area(request: pytest.FixtureRequest) -> np.ndarray:
    """Blobs of a different size and shape each time, some of which touch the border."""
    rng = np.random.default_rng(request.param)
    noise = ndimage.gaussian_filter(rng.normal(size=rng.integers(20, 70, 2)), rng.uniform(1, 4))
    return noise > np.quantile(noise, rng.uniform(0.2, 0.95))


def test_discs(area: np.ndarray) -> None:
    for radius in (1.0, 1.5, 2.0, 5.0, 7.3, 100.0):
        _compare_discs(area, radius)


def _compare_discs(area: np.ndarray, radius: float) -> None:
    distance = ndimage.distance_transform_edt
    grown = distance(~area) <= radius
    assert np.array_equal(morphology.near(area, radius), grown)
    if not grown.all():
        assert np.array_equal(morphology.closed(area, radius), area | (distance(grown) > radius))
    core = distance(area) > radius
    opened = area & (distance(~core) <= radius) if core.any() else core
    assert np.array_equal(morphology.opened(area, radius), opened)


def test_squares_and_neighbours(area: np.ndarray) -> None:
    levels = (ndimage.distance_transform_edt(area) * 9).astype(np.uint8)
    for window in (3, 5, 11):
        assert np.array_equal(morphology.highest(levels, window), ndimage.maximum_filter(levels, window))
        assert np.array_equal(morphology.lowest(levels, window), ndimage.minimum_filter(levels, window))
    for beyond in (False, True):
        expected = ndimage.binary_erosion(area, border_value=beyond)
        assert np.array_equal(morphology.eroded(area, beyond), expected)


def test_nothing_is_near_an_empty_area() -> None:
    empty = np.zeros((9, 7), bool)
    assert not morphology.near(empty, 100.0).any()
    assert morphology.near(~empty, 0.0).all()


def test_medians_of_parts(area: np.ndarray) -> None:
    parts, count = ndimage.label(area)
    levels = np.random.default_rng(0).integers(0, 256, area.shape).astype(np.uint8)
    expected = ndimage.median(levels, parts, np.arange(1, count + 1))
    assert np.array_equal(solid._medians(levels[area], parts[area], count), expected)
