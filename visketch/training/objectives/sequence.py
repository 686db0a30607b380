"""The objective of the classifier of strokes."""

import numpy as np
import torch.nn.functional as F
from torch import nn

from visketch.config import Config
from visketch.data.store import Store
from visketch.geometry import pieces
from visketch.geometry.sketch import Sketch, augment, fit
from visketch.models.sequence import SequenceClassifier
from visketch.training.objectives.objective import Batch, Example, Objective, Result, few_pieces


class SequenceObjective(Objective):
    """Predict the class from the strokes.

    Drawings of other programs have strokes too, but not in the order in which a person draws them, and not always in
    that direction. So in a share of the examples the order is random (`train.sequence.shuffled`), and some strokes are
    drawn backwards.
    """

    SHAKE = 0.012  # the largest sigma by which points are moved, in [-1, 1]
    BACKWARDS = 0.06  # the share of the strokes that are drawn the other way

    def __init__(
        self, config: Config, sequence: SequenceClassifier, beside: dict[str, nn.Module], labels: list[str]
    ) -> None:
        """`beside` are the parts of the classifier, against which `sequence` is weighed after training."""
        super().__init__()
        self.beside = tuple(beside.items())  # in a tuple, so that they are neither trained nor saved
        self.config, self.settings, self.sequence = config, config.train.sequence, sequence
        self.label = {name: i for i, name in enumerate(labels)}
        self.parts = {"sequence": sequence}

    @property
    def frozen(self) -> dict[str, nn.Module]:
        return dict(self.beside)

    def lengths(self, store: Store) -> np.ndarray:
        return store.count(pieces.count)

    def admitted(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """The rows of drawings whose strokes have no more pieces than the network allows."""
        return few_pieces(store, rows, self.config.sequence.pieces)

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        most = self.config.sequence.pieces
        lines = list(augment(sketch.lines(), rng, 1.0))
        if rng.random() < self.settings.shuffled:
            rng.shuffle(lines)
        lines = [line[::-1] if rng.random() < self.BACKWARDS else line for line in lines]
        cut = pieces.cut([2 * line - 1 for line in fit(tuple(lines), margin=0.0)])
        shaken = cut.points + rng.normal(scale=rng.random() * self.SHAKE, size=cut.points.shape).astype(np.float32)
        return {
            "points": np.pad(shaken, ((0, most - len(cut)), (0, 0), (0, 0))),
            "joined": np.pad(cut.joined, (0, most - len(cut))),
            "count": np.int64(len(cut)),
            "label": np.int64(self.label[str(sketch.label)]),
        }

    def forward(self, batch: Batch) -> Result:
        longest = int(batch["count"].max())
        logits = self.sequence(batch["points"][:, :longest], batch["joined"][:, :longest], batch["count"])
        label = batch["label"]
        loss = F.cross_entropy(logits.float(), label, label_smoothing=self.settings.smoothing)
        return loss, {"accuracy": (logits.argmax(dim=1) == label).float().mean()}
