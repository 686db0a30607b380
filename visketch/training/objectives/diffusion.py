"""The objectives of the two diffusions: fields for the paper's coarse stage, and pieces of strokes for the other."""

from typing import Any

import numpy as np
import torch

from visketch.config import Config
from visketch.data.store import Store
from visketch.geometry import pieces
from visketch.geometry.sketch import Sketch, augment, fit
from visketch.models.stroke_transformer import to_tokens
from visketch.training.objectives.objective import Batch, Example, Objective, Result, draw, few_pieces

UNCLASSED = 0.1  # the share of examples with the null class, by which fields are guided


class DiffusionObjective(Objective):
    """Flow matching on the root tile; one example in ten has the null class.

    Times are logit-normal, since most can be learned at intermediate times (Esser et al., 2024).
    """

    def __init__(self, config: Config, diffusion: Any, labels: list[str], part: str = "diffusion") -> None:
        super().__init__()
        self.config, self.diffusion = config, diffusion
        self.label = {name: i for i, name in enumerate(labels)}
        self.parts = {part: diffusion}

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        field = draw(sketch, rng, shape, 0.0, 2 * shape.tile)
        coarse = field.reshape(shape.tile, 2, shape.tile, 2).mean(axis=(1, 3))
        return {
            # Drawings are mirrored at random, and otherwise used as they are. Without mirroring, the network had
            # memorised its drawings after twenty epochs (lab book, 2026-11-21).
            "field": coarse[:, ::-1].copy() if rng.random() < 0.5 else coarse,
            "noise": rng.standard_normal((shape.tile, shape.tile), dtype=np.float32),
            "time": np.float32(1 / (1 + np.exp(-rng.standard_normal()))),
            "label": self.number(sketch) if rng.random() > UNCLASSED else np.int64(len(self.label)),
        }

    def number(self, sketch: Sketch) -> np.int64:
        return np.int64(self.label[str(sketch.label)])

    def forward(self, batch: Batch) -> Result:
        return self.diffusion.loss(batch["field"], batch["label"], batch["noise"], batch["time"]), {}


class StrokesObjective(DiffusionObjective):
    """Flow matching on pieces of strokes.

    In a share of the examples (`train.diffusion.given`), a part of the drawing is given: its beginning, or some of its
    strokes. In this way the network also learns to complete drawings.
    """

    learns_from = "drawing as strokes, of few enough pieces"
    TURNED = 1 / 3  # the strength of `augment`: up to 7 degrees and 8 %
    MIDDLE = -0.2  # mean of the logit of the times; below 0, more of the times at which small strokes take shape

    def lengths(self, store: Store) -> np.ndarray:
        return store.count(pieces.count)

    def admitted(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """The rows of drawings whose strokes have no more pieces than the network allows."""
        return few_pieces(store, rows, self.config.diffusion.pieces)

    def study(self, store: Store) -> None:
        """Count the pieces of the training drawings of each class."""
        rows = self.admitted(store, store.rows("train"))
        histogram = torch.zeros_like(self.diffusion.histogram)
        label = torch.tensor([self.label[store.labels[number]] for number in store.label[rows]])
        histogram.index_put_((label, torch.from_numpy(self.lengths(store)[rows])), torch.tensor(1.0), accumulate=True)
        self.diffusion.histogram.copy_(histogram / histogram.sum(dim=1, keepdim=True).clamp(min=1))

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        most = self.config.diffusion.pieces
        # Drawings are not mirrored: a judge tells mirrored ones from people's (lab book, 2026-11-26).
        lines = augment(sketch.lines(), rng, self.TURNED, drop=False, mirror=False)
        cut = pieces.cut([2 * line - 1 for line in fit(lines, margin=0.0)])
        beyond = most - len(cut)
        given = np.zeros(most, bool)
        if rng.random() < self.config.train.diffusion.given:
            given[: len(cut)] = some(cut.joined, rng)
        return {
            "points": np.pad(cut.points, ((0, beyond), (0, 0), (0, 0))),
            "joined": np.pad(cut.joined, (0, beyond)),
            "given": given,
            "count": np.int64(len(cut)),
            "noise": rng.standard_normal((most, self.diffusion.size), dtype=np.float32),
            "time": np.float32(1 / (1 + np.exp(-rng.standard_normal() - self.MIDDLE))),
            "label": self.number(sketch),
        }

    def forward(self, batch: Batch) -> Result:
        longest = int(batch["count"].max())
        points, joined, given, noise = (batch[name][:, :longest] for name in ("points", "joined", "given", "noise"))
        tokens = to_tokens(points, joined)
        loss, guide = self.diffusion.loss(tokens, batch["label"], batch["count"], given, noise, batch["time"])
        return loss + guide, {"network": loss.detach(), "guide": guide.detach()}


def some(joined: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which pieces (t,) of a drawing are given. Usually this is its beginning, otherwise random strokes, and never the
    whole.
    """
    if rng.random() < 0.6:
        return np.arange(len(joined)) < rng.integers(len(joined))
    stroke = np.cumsum(~joined) - 1
    chosen = rng.random(stroke[-1] + 1) < rng.random()
    chosen[rng.integers(len(chosen))] = False
    return chosen[stroke]
