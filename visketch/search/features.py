"""The vector that stands for a drawing in a search, and the mark of the weights that made it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visketch import checkpoint
from visketch.model import SketchModel

FEATURE = "pooled leaves and probabilities, 1"  # another one, another number: old indexes are then refused


def features(model: SketchModel, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b e"]:
    """Fields → vectors of length 1, whose products say how similar drawings are (1: alike)."""
    return side_by_side(*model.logits_and_features(canvas))


def side_by_side(logits: Float[Tensor, "b c"], pooled: Float[Tensor, "b w"]) -> Float[Tensor, "b e"]:
    """What is seen, and twice what it is taken for.

    The probabilities are as long as they are sure, so a drawing of no known class goes by what is seen. Each alone
    finds worse: one the known classes, the other the unknown ones (docs/search.md).
    """
    both = [F.normalize(pooled.float(), dim=1), 2 * logits.float().softmax(dim=1)]
    return F.normalize(torch.cat(both, dim=1), dim=1)


def mark(model: SketchModel) -> dict[str, str]:
    """What vectors must have in common to be compared: the weights that they come from, and how."""
    parts = {part: checkpoint.fingerprint(checkpoint.stored(model.part(part))) for part in ("encoder", "classifier")}
    return {"feature": FEATURE, **parts}
