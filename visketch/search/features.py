"""The vector that stands for a drawing in a search, and the mark of the weights that made it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visketch import checkpoint
from visketch.model import ViSketch

FEATURE = "pooled leaves and probabilities, 1"  # another one, another number: old indexes are then refused


def features(model: ViSketch, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b e"]:
    """Fields → vectors of length 1, whose products say how similar drawings are (1: alike)."""
    return side_by_side(*model.look(canvas))


def side_by_side(logits: Float[Tensor, "b c"], pooled: Float[Tensor, "b w"]) -> Float[Tensor, "b e"]:
    """What is seen and what it is taken for, each of length 1, weighing the same.

    Probabilities alone find a known class better still, and know nothing of drawings of any other (docs/search.md).
    """
    both = [F.normalize(pooled.float(), dim=1), F.normalize(logits.float().softmax(dim=1), dim=1)]
    return torch.cat(both, dim=1) / 2**0.5


def mark(model: ViSketch) -> dict[str, str]:
    """What vectors must have in common to be compared: the weights that they come from, and how."""
    parts = {part: checkpoint.fingerprint(checkpoint.stored(model.part(part))) for part in ("encoder", "classifier")}
    return {"feature": FEATURE, **parts}
