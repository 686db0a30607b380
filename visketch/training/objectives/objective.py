"""What a part is trained on: examples that are a pure function of a drawing and a random generator, and a loss.

Everything random in a loss but dropout comes with the example, so that a step gives the same loss however many
processes share it.
"""

import numpy as np
from torch import Tensor, nn

from visketch.config import SketchConfig
from visketch.data.store import Store
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch, augment, fit

Example = dict[str, np.ndarray | np.generic]
Batch = dict[str, Tensor]
Result = tuple[Tensor, dict[str, Tensor]]  # the loss, and what else is worth logging


class Objective(nn.Module):
    """One part's training. `parts` are the modules it trains; frozen ones are held out of the module tree."""

    parts: dict[str, nn.Module]

    @property
    def frozen(self) -> dict[str, nn.Module]:
        """What it leans on and does not train."""
        return {}

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        """One drawing → what the loss needs, as arrays that stack. `progress` is the share of the steps done."""
        raise NotImplementedError

    def enlarged(self, progress: float) -> int:
        """How many times the configured batch a step takes: cheap early steps may take more."""
        return 1

    def admitted(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """Those of the row numbers whose drawings it can learn from."""
        return rows

    def lengths(self, store: Store) -> np.ndarray | None:
        """How long each drawing (drawings,) of a data set is to it, if those of one batch should be of like length."""
        return None

    def study(self, store: Store) -> None:
        """Called once before training, with the data set: for what is counted, not learned."""

    def forward(self, batch: Batch) -> Result:
        raise NotImplementedError

    def settle(self) -> None:
        """Called before the parts are written: bring them into the form in which they are used."""


def draw(sketch: Sketch, rng: np.random.Generator, config: SketchConfig, strength: float, canvas: int) -> np.ndarray:
    """An augmented drawing as a field (h h)."""
    lines = augment(sketch.lines(), rng, strength, drop=sketch.strokes is not None)
    return sdf.field(fit(lines, config.margin), config, canvas).astype(np.float32)
