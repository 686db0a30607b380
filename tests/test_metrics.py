"""Figures and how far they can be trusted."""

import numpy as np
import pytest

from visketch import metrics


def test_the_interval_is_the_textbook_s() -> None:
    """mean ± 1.96 √(p (1 - p) / n), of a few hundred hits and misses."""
    hits = np.random.default_rng(1).random(600) < 0.7
    low, high = metrics.interval(hits)
    half = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / len(hits))
    assert low == pytest.approx(hits.mean() - half, abs=half / 8)
    assert high == pytest.approx(hits.mean() + half, abs=half / 8)
    assert metrics.interval(hits) == (low, high), "the same seed gives the same"
    assert metrics.interval(hits, seed=1) != (low, high)


def test_where_all_agree_there_is_no_doubt() -> None:
    assert metrics.interval(np.ones(9)) == (1.0, 1.0)
    assert metrics.interval(np.array([False])) == (0.0, 0.0)
