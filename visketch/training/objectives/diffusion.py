"""What the diffusion is trained on."""

from typing import Any

import numpy as np

from visketch.config import Config
from visketch.geometry.sketch import Sketch
from visketch.training.objectives.objective import Batch, Example, Objective, Result, draw


class DiffusionObjective(Objective):
    """Flow matching on the root tile; one example in ten has the null class.

    Times are logit-normal: the middle of the way is where there is most to learn (Esser et al., 2024).
    """

    def __init__(self, config: Config, diffusion: Any, labels: list[str]) -> None:
        super().__init__()
        self.config, self.diffusion = config, diffusion
        self.label = {name: i for i, name in enumerate(labels)}
        self.parts = {"diffusion": diffusion}

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        field = draw(sketch, rng, shape, 0.0, 2 * shape.tile)
        coarse = field.reshape(shape.tile, 2, shape.tile, 2).mean(axis=(1, 3))
        return {
            # Mirrored or not, else as drawn: after twenty epochs it knew its drawings by heart (lab book, 2026-11-21).
            "field": coarse[:, ::-1].copy() if rng.random() < 0.5 else coarse,
            "noise": rng.standard_normal((shape.tile, shape.tile), dtype=np.float32),
            "time": np.float32(1 / (1 + np.exp(-rng.standard_normal()))),
            "label": np.int64(self.label[str(sketch.label)] if rng.random() > 0.1 else len(self.label)),
        }

    def forward(self, batch: Batch) -> Result:
        return self.diffusion.loss(batch["field"], batch["label"], batch["noise"], batch["time"]), {}
