"""The stem, which turns pixels into tokens: a residual convolution network shared by all levels of the quadtree."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.models.blocks import BatchNorm, Conv3x3

WIDEST = 16  # the channels of the last stages, in multiples of the first stage's


class Stem(nn.Module):
    """A residual convolution network that halves a picture until each of its p x p tiles has become one place, its
    token.

    It runs over the whole picture of a level, so a token also depends on what lies beyond the border of its tile. All
    levels share the weights but not the normalisation, because on finer levels the lines are sparser and the pen is
    wider.
    """

    def __init__(self, tile: int, channels: int, width: int, levels: int) -> None:
        """`levels` is the number of levels with the root. A tile with an odd side is halved as often as possible."""
        super().__init__()
        self.halvings = (tile & -tile).bit_length() - 1
        widths = [channels * min(2**stage, WIDEST) for stage in range(self.halvings)]
        norm = partial(LevelNorm, levels=levels)
        self.first, self.norm = nn.Conv2d(1, channels, 3, stride=2, padding=1, bias=False), norm(channels)
        self.stages = nn.ModuleList(HalvingConv(before, after, norm) for before, after in pairwise(widths))
        self.out = nn.Linear(widths[-1], width)
        self.tile = tile
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def pictures(self, pictures: Float[Tensor, "n h w"], level: int) -> Float[Tensor, "n y x e"]:
        """One token for each tile of whole pictures of one level."""
        x = pictures[:, None].contiguous(memory_format=torch.channels_last)
        x = F.relu(self.norm(self.first(x), level), inplace=True)
        for stage in self.stages:
            x = stage(x, level)
        odd = self.tile >> self.halvings
        return self.out(rearrange(F.avg_pool2d(x, odd) if odd > 1 else x, "n c y x -> n y x c"))

    def forward(self, tiles: Float[Tensor, "n p p"], level: Int[Tensor, " n"]) -> Float[Tensor, "n e"]:
        """One token for each tile, of any levels. Each tile is a picture of its own, so what lies beyond its border
        counts as blank.
        """
        levels, number = level.unique(return_inverse=True)
        tokens = [self.pictures(tiles[number == i], here)[:, 0, 0] for i, here in enumerate(levels.tolist())]
        return torch.cat(tokens)[number.argsort(stable=True).argsort()]


class LevelNorm(nn.Module):
    """Batch normalisation with separate statistics, scale and shift for each level."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(BatchNorm(width) for _ in range(levels))

    def forward(self, x: Float[Tensor, "n c y x"], level: int) -> Float[Tensor, "n c y x"]:
        return self.norms[level](x)


class HalvingConv(nn.Module):
    """A block that halves the side: two 3 x 3 convolutions with an averaged and projected residual connection."""

    def __init__(self, before: int, after: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first, self.second = Conv3x3(before, after, stride=2), Conv3x3(after, after)
        self.short = nn.Conv2d(before, after, 1, bias=False)
        self.first_norm, self.second_norm, self.short_norm = norm(after), norm(after), norm(after)

    def forward(self, x: Float[Tensor, "n c y x"], level: int) -> Float[Tensor, "n d v u"]:
        hidden = F.relu(self.first_norm(self.first(x), level), inplace=True)
        short = self.short_norm(self.short(F.avg_pool2d(x, 2)), level)
        return F.relu(self.second_norm(self.second(hidden), level) + short, inplace=True)
