"""The sampling steps of flow matching, shared by the coarse stages."""

from diffusers import FlowMatchEulerDiscreteScheduler


def euler(steps: int, strength: float = 1.0) -> FlowMatchEulerDiscreteScheduler:
    """Euler steps of a flow from time `strength` to 0, in that share of `steps`."""
    steps = max(1, round(steps * strength))
    scheduler = FlowMatchEulerDiscreteScheduler()
    # Given explicitly, because by default the last step goes from 0.001 to 0 and does nothing.
    scheduler.set_timesteps(sigmas=[strength * (1 - step / steps) for step in range(steps)])
    return scheduler
