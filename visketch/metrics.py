"""Figures and how far they can be trusted."""

import numpy as np
from jaxtyping import Shaped


def interval(hits: Shaped[np.ndarray, " b"], seed: int = 0, samples: int = 1000) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of `hits`: percentile bootstrap."""
    rng = np.random.default_rng(seed)
    means = [hits[rng.integers(len(hits), size=len(hits))].mean() for _ in range(samples)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
