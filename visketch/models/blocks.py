"""The transformer and convolution blocks of all parts."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce

Cache = tuple[Tensor, Tensor]


def attend(
    query: Float[Tensor, "b heads i d"],
    key: Float[Tensor, "b heads j d"],
    value: Float[Tensor, "b heads j d"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "b heads i d"]:
    """Softmax attention. `mask` is True where a query may attend to a key.

    On a CPU it uses plain matrix products. For our short sequences, the backward pass of PyTorch's fused kernel took 55
    % of a training step in bf16 (lab book, 2026-11-21).
    """
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4)
    return scores.softmax(dim=-1).to(value.dtype) @ value


class Attention(nn.Module):
    """Multi-head attention of x to itself or to a memory."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)  # a residual branch that starts at zero trains stably without tuning
        nn.init.zeros_(self.out.bias)

    def keys(self, memory: Float[Tensor, "b j e"]) -> Cache:
        key, value = rearrange(self.key_value(memory), "b j (two heads d) -> two b heads j d", two=2, heads=self.heads)
        return key, value

    def forward(
        self, x: Float[Tensor, "b i e"], keys: Cache, mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "b i e"]:
        query = rearrange(self.query(x), "b i (heads d) -> b heads i d", heads=self.heads)
        return self.out(rearrange(attend(query, *keys, mask), "b heads i d -> b i (heads d)"))


class MLP(nn.Module):
    """A multilayer perceptron with squared ReLU.

    Here this is as good as GELU and much cheaper on a CPU, where a GELU costs as much as its linear layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Float[Tensor, "*b e"]) -> Float[Tensor, "*b e"]:
        return self.down(F.relu(self.up(x), inplace=True).square())


class Block(nn.Module):
    """A pre-norm transformer block: self-attention, cross-attention if `cross` is set, and an MLP."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, cross: bool = False) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width) if cross else None
        self.cross = Attention(width, heads) if cross else None
        self.mlp_norm, self.mlp = nn.LayerNorm(width), MLP(width)
        self.dropout = nn.Dropout(dropout)

    def memory(self, memory: Float[Tensor, "b j e"]) -> Cache:
        """The keys and values of the memory, computed once, in the layout that matrix products need."""
        assert self.cross is not None
        key, value = self.cross.keys(memory)
        return key.contiguous(), value.contiguous()

    def forward(
        self,
        x: Float[Tensor, "b i e"],
        mask: Bool[Tensor, "..."] | None = None,
        memory: Cache | None = None,
        past: Cache | None = None,
        first: int | None = None,
    ) -> tuple[Float[Tensor, "b j e"], Cache]:
        """Compute the block for some positions of x.

        `memory` is the result of `self.memory`. `past` holds the keys and values of earlier positions. `first` is the
        number of positions to compute; the others are only attended to. Returns the new x, and the keys and values of
        all positions so far.
        """
        normed = self.norm(x)
        keys = self.attention.keys(normed)
        x, normed = x[:, :first], normed[:, :first]
        if past is not None:
            keys = torch.cat([past[0], keys[0]], dim=2), torch.cat([past[1], keys[1]], dim=2)
        x = x + self.dropout(self.attention(normed, keys, mask))
        if self.cross is not None and self.cross_norm is not None and memory is not None:
            x = x + self.dropout(self.cross(self.cross_norm(x), memory))
        return x + self.dropout(self.mlp(self.mlp_norm(x))), keys


def channels_last(layers: nn.Sequential) -> nn.Sequential:
    """Layers in the memory layout in which convolutions are fast on a CPU."""
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs


class Conv3x3(nn.Conv2d):
    """A 3 x 3 convolution without bias, which keeps the side or, with a stride of 2, halves it.

    If it leaves at most 2 x 2 places, it is computed on a CPU as one matrix product, which takes a third of the time
    of PyTorch's convolution there, in training too (lab book, 2026-11-28).
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__(before, after, 3, stride, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n d v u"]:
        stride = self.stride[0]
        if max(x.shape[2:]) > 2 * stride or x.is_cuda or torch.compiler.is_exporting():
            return super().forward(x)
        around = F.pad(rearrange(x, "n c y x -> n y x c"), (0, 0, 1, 1, 1, 1))
        seen = [around[:, y : y + x.shape[2] : stride, z : z + x.shape[3] : stride] for y in range(3) for z in range(3)]
        kernel = rearrange(self.weight, "d c y x -> d (y x c)")  # the layout that channels_last has in memory
        return rearrange(F.linear(torch.cat(seen, dim=3), kernel), "n v u d -> n d v u")


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation with the statistics of all processes together, on any device.

    The stem needs it: with group normalisation it learned half as fast (lab book, 2026-11-21). PyTorch's SyncBatchNorm
    works only on GPUs.
    """

    def forward(self, x: Float[Tensor, "n e p q"]) -> Float[Tensor, "n e p q"]:
        if not (self.training and distributed.is_initialized() and distributed.get_world_size() > 1):
            return super().forward(x)
        wide = x.float()
        count = wide.new_tensor([x.shape[0] * x[0, 0].numel()])
        sums = torch.cat([wide.sum(dim=(0, 2, 3)), wide.square().sum(dim=(0, 2, 3)), count])
        total, squares, count = all_reduce(sums).split([x.shape[1], x.shape[1], 1])
        mean = total / count
        variance = squares / count - mean.square()
        with torch.no_grad():
            for running, now in ((self.running_mean, mean), (self.running_var, variance * count / (count - 1))):
                assert running is not None
                running.lerp_(now, self.momentum or 0.1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (wide * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(x.dtype)


class ResidualConv(nn.Module):
    """Two 3 x 3 convolutions with a residual connection."""

    def __init__(self, width: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.first_norm, self.second_norm = norm(width), norm(width)

    def forward(self, x: Float[Tensor, "n e p q"]) -> Float[Tensor, "n e p q"]:
        hidden = F.relu(self.first_norm(self.first(x)), inplace=True)
        return F.relu(x + self.second_norm(self.second(hidden)), inplace=True)
