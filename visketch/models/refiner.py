"""The refiner: a Transformer decoder that writes the codes of a leaf one after another (ViSketch-GPT 3.3)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.config import RefinerConfig
from visketch.models.blocks import Block


class Refiner(nn.Module):
    """Predicts the codes of a leaf from its memory, the class, and the latents of its coarse tile at each place.

    The latents are our addition. The memory has one token for each tile, which says what is drawn around the leaf.
    Where exactly the coarse line runs is best known from the latents that the frozen VQ-VAE encoder gives at the place
    of the code.
    """

    def __init__(self, config: RefinerConfig, memory: int, codes: int, codebook_size: int, latent: int, classes: int):
        """`memory` is the width of the memory, which may differ from the refiner's own width."""
        super().__init__()
        width = config.width
        self.read = nn.Linear(memory, width)
        self.start = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(codes, width) * 0.02)
        self.code = nn.Embedding(codebook_size, width)
        self.label = nn.Embedding(classes, width)
        self.latent = nn.Linear(latent, width)
        nn.init.normal_(self.code.weight, std=0.02)
        nn.init.normal_(self.label.weight, std=0.02)
        blocks = (Block(width, config.heads, config.dropout, cross=True) for _ in range(config.layers))
        self.blocks: Any = nn.ModuleList(blocks)  # torch declares its items as Module
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, codebook_size)

    def _given(self, label: Int[Tensor, " n"], latents: Float[Tensor, "n t d"]) -> Float[Tensor, "n t w"]:
        """What is known about every place before any code is written: the class, and the latents."""
        return self.position + self.latent(latents) + self.label(label)[:, None]

    def forward(
        self,
        codes: Int[Tensor, "n t"],
        memory: Float[Tensor, "n j e"],
        label: Int[Tensor, " n"],
        latents: Float[Tensor, "n t d"],
    ) -> Float[Tensor, "n t v"]:
        """The logits of every code, given the codes before it. This is for training, in one pass."""
        n, t = codes.shape
        memory = self.read(memory)
        previous = torch.cat([self.start.expand(n, -1, -1), self.code(codes[:, :-1])], dim=1)
        x = previous + self._given(label, latents)
        causal = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
        for block in self.blocks:
            x, _ = block(x, causal, block.memory(memory))
        return self.out(self.norm(x))

    @torch.no_grad()
    def write(
        self,
        memory: Float[Tensor, "n j e"],
        label: Int[Tensor, " n"],
        latents: Float[Tensor, "n t d"],
        choose: Callable[[Tensor, int], Tensor],
    ) -> Int[Tensor, "n t"]:
        """Write the codes one after another, with a key-value cache. `choose` takes logits (n v) and the place, and
        returns codes (n).
        """
        memory = self.read(memory)
        memories = [block.memory(memory) for block in self.blocks]
        given = self._given(label, latents)
        past: list = [None] * len(self.blocks)
        previous, codes = self.start.expand(len(memory), -1, -1), []
        for place in range(latents.shape[1]):
            x = previous + given[:, place : place + 1]
            for i, block in enumerate(self.blocks):
                x, past[i] = block(x, memory=memories[i], past=past[i])
            codes.append(choose(self.out(self.norm(x[:, 0])), place))
            previous = self.code(codes[-1])[:, None]
        return torch.stack(codes, dim=1)
