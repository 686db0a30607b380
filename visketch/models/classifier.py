"""The classifier: the leaves' CLS vectors pooled by self-attention (ViSketch-GPT 3.4)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visketch import quadtree
from visketch.config import ClassifierConfig
from visketch.models.blocks import Block


class Classifier(nn.Module):
    def __init__(self, config: ClassifierConfig, width: int, classes: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(width, classes)

    def forward(
        self, cls: Float[Tensor, "n e"], leaves: quadtree.Leaves, sketches: int
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "n c"]]:
        """→ logits of the sketches, and each leaf's own logits (an auxiliary loss, and a vote to show)."""
        return self.out(self.dropout(self.pool(cls, leaves, sketches))), self.out(self.norm(cls))

    def pool(self, cls: Float[Tensor, "n e"], leaves: quadtree.Leaves, sketches: int) -> Float[Tensor, "b e"]:
        """→ the sketches' vectors, of which `out` makes logits."""
        return self.pool_padded(*quadtree.pad(cls, leaves, sketches))

    def pool_padded(self, tokens: Float[Tensor, "b l e"], present: Bool[Tensor, "b l"]) -> Float[Tensor, "b e"]:
        """`pool` of leaves that are padded already; how far makes no difference."""
        x = torch.cat([self.query.to(tokens.dtype).expand(tokens.shape[0], 1, -1), tokens], dim=1)
        mask = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)[:, None, None]
        for block in self.blocks[:-1]:
            x, _ = block(x, mask)
        x, _ = self.blocks[-1](x, mask, first=1)
        return self.norm(x[:, 0])
