"""Which device to compute on, and what it can do."""

import re

from visketch.errors import UsageError


def resolve(device: str) -> str:
    """The device that a name means here: `auto` is the first CUDA card, if there is one, and otherwise the CPU.

    Raises UsageError if there is no such device.
    """
    kind, _, number = device.partition(":")
    if not re.fullmatch(r"auto|cpu|mps(:0)?|cuda(:\d+)?", device):
        raise UsageError(f"no device {device!r}; use auto, cpu, cuda, cuda:0, cuda:1 ... or mps")
    if kind == "cpu":
        return device
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return "cuda" if cards else "cpu"
    if kind == "cuda" and int(number or 0) >= cards:
        raise UsageError(f"no device {device!r} here ({cards} CUDA cards); use cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("no device 'mps' here; use cpu or auto")
    return device


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16. A CPU without them emulates it, which is slow."""
    import torch

    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch lack it
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
