"""The sampling steps of flow matching, shared by the coarse stages."""

from jaxtyping import Float
from torch import Tensor


def count(steps: int, strength: float) -> int:
    """How many of so many steps are made by a flow that starts at the time `strength`: that share, at least one."""
    return max(1, round(steps * strength))


def times(steps: int, strength: float = 1.0) -> list[float]:
    """The times of Euler's method for a flow from time `strength` to 0.

    It takes that share of `steps`, and the last time is 0.
    """
    steps = count(steps, strength)
    return [strength * (1 - step / steps) for step in range(steps + 1)]


def ancestral(
    x: Float[Tensor, "b t d"],
    clean: Float[Tensor, "b t d"],
    noise: Float[Tensor, "b t d"],
    time: Float[Tensor, " b"],
    after: Float[Tensor, " b"],
) -> Float[Tensor, "b t d"]:
    """Move x = (1 - time) clean + time noise to the earlier time `after`.

    The result is drawn from the posterior (Ho et al., 2020, arXiv 2006.11239): some of the noise in x is kept, and the
    rest is new.
    """
    time, after = time[:, None, None], after[:, None, None]
    kept = after**2 * (1 - time) / ((1 - after) * time)
    new = (after**2 - kept**2).clamp(min=0).sqrt()
    return (1 - after) * clean + kept * (x - (1 - time) * clean) / time + new * noise
