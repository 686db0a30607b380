"""Chance: where every random number of a new sketch comes from, and how it picks codes."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def candidates(seeds: Sequence[int], tries: int) -> list[int]:
    """For each seed so many, itself first; the others are nobody's."""
    return [seed + (other << 34) for seed in seeds for other in range(tries)]


def generator(seed: int, stage: int) -> torch.Generator:
    """Random numbers of one stage of one sketch: of all, so that no stage decides by what another has seen."""
    mixed = np.random.SeedSequence([seed, stage]).generate_state(1)  # torch looks at 32 bits of a seed and no more
    return torch.Generator().manual_seed(int(mixed[0]))


def pick(
    logits: Float[Tensor, "n v"], chance: Float[Tensor, " n"], temperature: float, top_p: float
) -> Int[Tensor, " n"]:
    """Sample codes: the most probable ones that make up `top_p`, at a temperature (0 takes the best).

    `chance` in [0, 1) decides, through the inverse of the cumulative distribution.
    """
    if temperature == 0:
        return logits.argmax(dim=1)
    every = (logits.float() / temperature).softmax(dim=1)
    # Nearly always a few codes make up `top_p`, and finding these is several times faster than sorting all.
    probability, code = every.topk(min(64, every.shape[1]), dim=1)
    if (probability.sum(dim=1) < top_p).any():
        probability, code = every.sort(dim=1, descending=True, stable=True)
    total = probability.cumsum(dim=1)
    kept = torch.where(total - probability < max(top_p, 1e-9), probability, 0)  # at least the best one
    total = kept.cumsum(dim=1)
    place = torch.searchsorted(total, chance[:, None] * total[:, -1:], right=True).clamp(max=code.shape[1] - 1)
    return code.gather(1, place)[:, 0]
