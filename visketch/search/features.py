"""The vector of a drawing for search, and the identity of the weights that made it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visketch import checkpoint
from visketch.model import SketchModel

FEATURE = "pooled leaves and probabilities, 1"  # change this with the vectors, so that older indexes are refused


def features(model: SketchModel, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b e"]:
    """Turn fields into vectors of length 1. Their dot products are similarities (1 for equal drawings)."""
    return side_by_side(*model.logits_and_features(canvas))


def side_by_side(logits: Float[Tensor, "b c"], pooled: Float[Tensor, "b w"]) -> Float[Tensor, "b e"]:
    """The pooled leaves and the probabilities in one vector, in which the probabilities have twice the weight.

    The length of the probabilities grows with their certainty, so a drawing of an unknown class is compared by its
    pooled leaves. Each of the two alone is worse: the pooled leaves for known classes, the probabilities for unknown
    ones (docs/search.md).
    """
    both = [F.normalize(pooled.float(), dim=1), 2 * logits.float().softmax(dim=1)]
    return F.normalize(torch.cat(both, dim=1), dim=1)


def mark(model: SketchModel) -> dict[str, str]:
    """What comparable vectors must have in common: the weights that made them, and the method."""
    parts = {part: checkpoint.fingerprint(checkpoint.stored(model.part(part))) for part in ("encoder", "classifier")}
    return {"feature": FEATURE, **parts}
