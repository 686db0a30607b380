"""The sampling steps of flow matching, shared by the coarse stages."""


def times(steps: int, strength: float = 1.0) -> list[float]:
    """The times of Euler's method for a flow from time `strength` to 0, in that share of `steps`; the last is 0."""
    steps = max(1, round(steps * strength))
    return [strength * (1 - step / steps) for step in range(steps + 1)]
