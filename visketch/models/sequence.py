"""A second classifier, which reads the strokes of a drawing, as they were drawn or as traced from a picture."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch.config import SequenceConfig
from visketch.geometry.pieces import Pieces
from visketch.models.stroke_transformer import TOKEN, StrokeTransformer, padded, to_tokens

# The drawings in one pass. Those of a pass have about as many pieces, so little of it is padding: of 64 test drawings
# of 7 pieces on average, the longest has 19.
TOGETHER = 24


def batch(
    drawings: Sequence[Pieces],
) -> tuple[Float[Tensor, "b t k 2"], Bool[Tensor, "b t"], Int[Tensor, " b"], Bool[Tensor, " b"]]:
    """The pieces of drawings as the classifier takes them."""
    return *padded(drawings), torch.tensor([drawn.in_order for drawn in drawings])


class SequenceClassifier(nn.Module):
    """A Transformer over the pieces of a drawing, each of which votes for its class.

    Its tokens and its network are those of the stroke diffusion, so it can begin with the weights of a guide, which
    has seen every drawing. This is our choice: the classifier of the leaves and this one make different errors, and
    the weighted sum of their logits is right more often than either (docs/results.md). It is told where the strokes
    are not in the order in which a person drew them, as in SVG and in traced pictures, and is heard less there.
    """

    def __init__(self, config: SequenceConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        self.network = StrokeTransformer(TOKEN, config.width, config.layers, config.heads, config.pieces, 0, classes)
        # The weights of the other classifier's logits and of these: of strokes in order, and of others (row 1)
        self.weights: Tensor
        self.register_buffer("weights", torch.ones(2, 2))

    def forward(
        self,
        points: Float[Tensor, "b t k 2"],
        joined: Bool[Tensor, "b t"],
        count: Int[Tensor, " b"],
        in_order: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b c"]:
        """The logits of drawings that fill [-1, 1]: the mean of the votes of their first `count` pieces."""
        clean = torch.zeros(len(points), device=points.device)
        # This mark tells the diffusion which pieces are given. Here it tells that the order is unknown.
        marked = (~in_order)[:, None].expand_as(joined)
        votes = self.network(to_tokens(points, joined), clean, None, count, marked)
        there = torch.arange(joined.shape[1], device=count.device) < count[:, None]
        return (votes * there[..., None]).sum(dim=1) / count[:, None]

    def beside(self, logits: Float[Tensor, "b c"], strokes: Sequence[Pieces | None]) -> Float[Tensor, "b c"]:
        """The logits of both classifiers together, given those of the other one and the strokes of each drawing.

        They stay as they are for drawings without strokes (None).
        """
        known = sorted((len(drawn), i, drawn) for i, drawn in enumerate(strokes) if drawn is not None)
        logits = logits.clone()
        for first in range(0, len(known), TOGETHER):
            _, rows, drawings = map(list, zip(*known[first : first + TOGETHER], strict=True))
            said = self(*(part.to(logits.device) for part in batch(drawings)))
            other, own = self.weights[[int(not drawn.in_order) for drawn in drawings]].unsqueeze(-1).unbind(dim=1)
            logits[rows] = other * logits[rows] + own * said.float()
        return logits
