"""The objective of a part: examples that are a pure function of a drawing and a random generator, and a loss.

Everything random in a loss except dropout is part of the example, so that a step gives the same loss for any number of
processes.
"""

import numpy as np
from torch import Tensor, nn

from visketch.config import SketchConfig
from visketch.data.store import Store
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch, augment, fit

Example = dict[str, np.ndarray | np.generic]
Batch = dict[str, Tensor]
Result = tuple[Tensor, dict[str, Tensor]]  # the loss, and further values to log


class Objective(nn.Module):
    """The training of one part. `parts` are the modules that it trains; frozen ones are kept out of the module tree."""

    parts: dict[str, nn.Module]

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """The parts that it needs and does not train."""
        return {}

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        """One drawing → the inputs of the loss, as arrays that can be stacked. `progress`: the share of the
        steps done.
        """
        raise NotImplementedError

    def enlarged(self, progress: float) -> int:
        """The size of a step's batch in multiples of the configured one: cheap early steps can be larger."""
        return 1

    def admitted(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """The row numbers of drawings that it can learn from."""
        return rows

    def lengths(self, store: Store) -> np.ndarray | None:
        """The length of each drawing (drawings,), if the drawings of a batch should have similar lengths."""
        return None

    def study(self, store: Store) -> None:
        """Called once before training, with the data set, to count what is not learned."""

    def forward(self, batch: Batch) -> Result:
        raise NotImplementedError

    def settle(self) -> None:
        """Called before the parts are written, to bring them into their final form."""


def draw(sketch: Sketch, rng: np.random.Generator, config: SketchConfig, strength: float, canvas: int) -> np.ndarray:
    """An augmented drawing as a field (h h)."""
    lines = augment(sketch.lines(), rng, strength, drop=sketch.strokes is not None)
    return sdf.field(fit(lines, config.margin), config, canvas).astype(np.float32)
