"""The classifier: self-attention pools the CLS vectors of the leaves, beginning with their mean (ViSketch-GPT 3.4)."""

from collections.abc import Sequence

import torch
from einops import einsum, rearrange
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
        """The logits of the sketches, and the logits of each leaf, which serve as an auxiliary loss and as a vote to
        show.
        """
        return self.out(self.dropout(self.pool(cls, leaves, sketches))), self.out(self.norm(cls))

    def pool(self, cls: Float[Tensor, "n e"], leaves: quadtree.Leaves, sketches: int) -> Float[Tensor, "b e"]:
        """The vectors of the sketches, which `out` turns into logits."""
        return self.pool_padded(*quadtree.pad(cls, leaves, sketches))

    def pool_padded(self, tokens: Float[Tensor, "b l e"], present: Bool[Tensor, "b l"]) -> Float[Tensor, "b e"]:
        """The same as `pool`, for leaves that are padded already. The amount of padding makes no difference."""
        x, mask = self.before_last(tokens, present)
        x, _ = self.blocks[-1](x, mask, first=1)
        return self.norm(x[:, 0])

    def attention(self, cls: Float[Tensor, "n e"], leaves: quadtree.Leaves, sketches: int) -> Float[Tensor, " n"]:
        """The attention of each sketch's vector to its leaves in the last block, averaged over the heads."""
        x, mask = self.before_last(*quadtree.pad(cls, leaves, sketches))
        last = self.blocks[-1]
        assert isinstance(last, Block)  # for mypy
        look, normed = last.attention, last.norm(x)
        query = rearrange(look.query(normed[:, 0]), "b (heads d) -> b heads d", heads=look.heads)
        scores = einsum(query, look.keys(normed)[0], "b heads d, b heads l d -> b heads l") * query.shape[-1] ** -0.5
        weights = scores.float().masked_fill(~mask[:, 0], -1e4).softmax(dim=2).mean(dim=1)[:, 1:]
        return weights[leaves.sketch, quadtree.ranks(leaves, "one-by-one")]

    def before_last(
        self, tokens: Float[Tensor, "b l e"], present: Bool[Tensor, "b l"]
    ) -> tuple[Float[Tensor, "b 1+l e"], Bool[Tensor, "b 1 1 1+l"]]:
        """The input of the last block, which is the query and the leaves; and which leaves are present."""
        mean = tokens.sum(dim=1) / present.sum(dim=1, keepdim=True).clamp(min=1)
        query = self.query.to(tokens.dtype) + mean[:, None]
        x = torch.cat([query, tokens], dim=1)
        mask = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)[:, None, None]
        for block in self.blocks[:-1]:
            x, _ = block(x, mask)
        return x, mask


def averaged(logits: Float[Tensor, "n c"], of: Sequence[int]) -> Float[Tensor, "b c"]:
    """The logarithm of the mean probabilities of the views of each drawing. `of` has the drawing of each view; without
    several of one, the logits stay as they are.
    """
    if not of or len(of) == of[-1] + 1:
        return logits
    drawing = torch.tensor(of, device=logits.device)
    sums = logits.new_zeros(of[-1] + 1, logits.shape[1]).index_add(0, drawing, logits.softmax(dim=1))
    return (sums / drawing.bincount()[:, None]).log()
