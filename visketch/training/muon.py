"""Muon, with a precision that the device does not emulate."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn, optim

from visketch.device import multiplies_bfloat16

MOMENTUM = 0.95
POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # Jordan's, which brings singular values close to 1 in few steps
STEPS = 5


class Muon(optim.Optimizer):
    """Muon (Jordan et al., 2024) for matrices: each update is made orthogonal, and scaled to the size of one of
    AdamW's (Liu et al., 2025, arXiv 2502.16982).

    It is `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, except that torch always multiplies in bfloat16. A CPU
    that emulates bfloat16 needs 25 times as long for that as for single precision, and longer than for all the rest of
    a training step (lab book, 2026-11-27).
    """

    def __init__(self, matrices: Iterable[nn.Parameter], weight_decay: float) -> None:
        super().__init__(matrices, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                mean = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix.grad))
                mean.lerp_(matrix.grad, 1 - MOMENTUM)
                update = orthogonal(matrix.grad.lerp(mean, MOMENTUM))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-0.2 * group["lr"] * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Float[Tensor, "o i"]) -> Float[Tensor, "o i"]:
    """Roughly the nearest matrix whose singular values are all 1. Those of the result are between 0.7 and 1.2, except
    in directions in which the matrix has almost nothing.

    The method is the iteration of Newton and Schulz.
    """
    a, b, c = POLYNOMIAL
    able = matrix.device.type != "cpu" or multiplies_bfloat16()
    tall = matrix.shape[0] > matrix.shape[1]
    wide = (matrix.T if tall else matrix).to(torch.bfloat16 if able else torch.float32)
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return (wide.T if tall else wide).to(matrix.dtype)
