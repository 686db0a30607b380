"""Towers turn pixels into tokens and a mask. They are the only interface between pictures and the language model.

A tower takes squares (b 3 h h) in [0, 1], where white is 1. It gives a token for each place, row by row, and a mask of
the places where there is something to see. Sketches and scenes use the same tower.
"""

import math
from functools import cache
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visketch.language.config import TowerConfig

Tokens = tuple[Float[Tensor, "b t e"], Bool[Tensor, "b t"]]


@runtime_checkable
class Tower(Protocol):
    """The interface of a tower."""

    tokens: int  # t, the number of tokens of a picture
    width: int  # e, the width of a token

    def __call__(self, pixels: Float[Tensor, "b 3 h h"]) -> Tokens: ...


class TowerBlock(nn.Module):
    """Two convolutions with a residual connection (He et al., 2015)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)])
        self.around = nn.Conv2d(inner, outer, 1, bias=False) if stride > 1 or inner != outer else nn.Identity()
        self.stride = stride

    def forward(self, x: Float[Tensor, "b i y x"]) -> Float[Tensor, "b o q p"]:
        short = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        x = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(x)) + self.around(short))


class PairTower(nn.Module):
    """A small convolutional network, trained on pairs of sketches and scenes (objective `tower`).

    A token has three parts: the features of its place, the vector in the common space of sketches and objects, and the
    encoded place.
    """

    def __init__(self, settings: TowerConfig, classes: int) -> None:
        super().__init__()
        one, two, three, four = settings.widths
        self.settings = settings
        self.stem = nn.Sequential(nn.Conv2d(3, one, 3, 2, 1, bias=False), nn.BatchNorm2d(one), nn.ReLU())
        self.stages = nn.Sequential(
            TowerBlock(one, two, 2),
            TowerBlock(two, three, 2),
            TowerBlock(three, three, 1),
            TowerBlock(three, four, 2),
            TowerBlock(four, four, 1),
        )
        self.norm = nn.LayerNorm(four)
        self.embed = nn.Linear(four, settings.embedding, bias=False)
        self.named = nn.Linear(four, classes)  # the class of a sketch, from its mean features
        self.covered = nn.Linear(four, classes + 1)  # the class of the object at a place; the last one means no object
        self.reach = nn.Linear(four, 4)  # the distances to the sides of its box: left, up, right and down
        self.tokens, self.width = settings.grid**2, four + settings.embedding + settings.places

    def see(self, pixels: Float[Tensor, "b 3 h h"]) -> Float[Tensor, "b t c"]:
        """The features of each place."""
        ink = (1 - pixels).contiguous(memory_format=torch.channels_last)  # paper is 0, as it is beyond the border
        return self.norm(self.stages(self.stem(ink)).flatten(2).mT)

    def align(self, seen: Float[Tensor, "*b c"]) -> Float[Tensor, "*b d"]:
        """Turn features into vectors of length 1. They are similar for a sketch and for what it shows."""
        return F.normalize(self.embed(seen).float(), dim=-1)

    def boxes(self, seen: Float[Tensor, "b t c"]) -> Float[Tensor, "b t 4"]:
        """The box of the object at each place, in shares of the square."""
        reach = F.softplus(self.reach(seen).float()) / 4
        x, y = centres(self.settings.grid, seen.device).unbind(1)
        left, up, right, down = reach.unbind(2)
        return torch.stack([x - left, y - up, x + right, y + down], dim=2)

    def forward(self, pixels: Float[Tensor, "b 3 h h"]) -> Tokens:
        seen = self.see(pixels)
        aligned = self.align(seen) * math.sqrt(self.settings.embedding)
        place = places(self.settings.grid, self.settings.places).to(seen.device).expand(len(seen), -1, -1)
        tokens = torch.cat([seen.float(), aligned, place], dim=2)
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)


def centres(grid: int, device: torch.device | None = None) -> Float[Tensor, "t 2"]:
    """The centre of every place, row by row, as x and y in shares of the square."""
    axis = (torch.arange(grid, device=device) + 0.5) / grid
    return torch.stack([axis.repeat(grid), axis.repeat_interleave(grid)], dim=1)


@cache  # this is not a buffer, since transformers creates models without values and loads only the weights
def places(grid: int, width: int) -> Float[Tensor, "t w"]:
    """Sines and cosines of the row and column of each place, with wavelengths from two places to the whole grid."""
    axis = torch.arange(grid) + 0.5
    wave = torch.pi / grid * torch.logspace(0, math.log2(grid), width // 4, base=2)
    angle = axis[:, None] * wave
    one = torch.cat([angle.sin(), angle.cos()], dim=1)
    both = torch.cat([one[:, None].expand(-1, grid, -1), one[None].expand(grid, -1, -1)], dim=2)
    return both.flatten(0, 1)
