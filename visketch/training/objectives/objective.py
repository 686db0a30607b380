"""The objective of a part: its examples, which are a pure function of a drawing and a random generator, and its loss.

Except for dropout, everything random in a loss is part of the example, so that a step gives the same loss for any
number of processes.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.config import SketchConfig
from visketch.data.store import Store
from visketch.geometry import pieces, sdf
from visketch.geometry.sketch import Sketch, augment, fit

Example = dict[str, np.ndarray | np.generic]
Batch = dict[str, Tensor]
Result = tuple[Tensor, dict[str, Tensor]]  # the loss, and further values to log


class Objective(nn.Module):
    """How one part is trained. `parts` are the modules that it trains. Frozen ones are kept out of the module tree."""

    parts: dict[str, nn.Module]
    learns_from = "drawing"  # what `admitted` admits, in words

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The parts that the objective needs but does not train."""
        return {}

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        """Turn one drawing into the inputs of the loss, as arrays that can be stacked.

        `progress` is the share of the steps that are done.
        """
        raise NotImplementedError

    def enlarged(self, progress: float) -> int:
        """The size of a step's batch, in multiples of the configured size. Early steps that are cheap can have larger
        batches.
        """
        return 1

    def admitted(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """The row numbers of the drawings from which the part can learn."""
        return rows

    def lengths(self, store: Store) -> np.ndarray | None:
        """The length of each drawing (drawings,). Returns None unless the drawings of a batch should have similar
        lengths.
        """
        return None

    def study(self, store: Store) -> None:
        """Count what is counted rather than learned. This is called once before training, with the data set."""

    def forward(self, batch: Batch) -> Result:
        raise NotImplementedError

    def settle(self) -> None:
        """Bring the parts into their final form. This is called before they are written."""


def target(
    label: Int[Tensor, " b"], classes: int, smoothing: float, taught: Float[Tensor, "b c"] | None, share: float
) -> Float[Tensor, "b c"]:
    """What a classifier is to answer: the smoothed label, and a teacher's answer, if there is one, as a share of it."""
    own = F.one_hot(label, classes) * (1 - smoothing) + smoothing / classes
    return own if taught is None else torch.lerp(own, taught, share)


def few_pieces(store: Store, rows: np.ndarray, most: int) -> np.ndarray:
    """The rows of drawings whose strokes have at most `most` pieces. Drawings of pixels have none, and do not count."""
    length = store.count(pieces.count)[rows]
    return rows[(length > 0) & (length <= most)]


def draw(sketch: Sketch, rng: np.random.Generator, config: SketchConfig, strength: float, canvas: int) -> np.ndarray:
    """Augment a drawing and render it as a field (h h)."""
    lines = augment(sketch.lines(), rng, strength, drop=sketch.strokes is not None)
    return sdf.field(fit(lines, config.margin), config, canvas).astype(np.float32)
