"""The objective of the classifier of strokes."""

import numpy as np
import torch.nn.functional as F
from torch import nn

from visketch.config import Config
from visketch.data.store import Store
from visketch.geometry import pieces, sdf
from visketch.geometry.sketch import Sketch, augment, fit
from visketch.models.sequence import SequenceClassifier
from visketch.training.objectives.objective import Batch, Example, Objective, Result, few_pieces


class SequenceObjective(Objective):
    """Predict the class from the strokes.

    Pictures are traced, and other programs do not keep the order in which a person draws. So the strokes of a share of
    the examples are traced from a picture of them (`train.sequence.traced`), with a random pen and size; in a share of
    all, the order is random (`train.sequence.shuffled`); and some strokes are drawn backwards.
    """

    SHAKE = 0.012  # the largest sigma by which points are moved, in [-1, 1]
    BACKWARDS = 0.1  # the share of the strokes that are drawn the other way
    SIDE = (112, 192)  # pixels of a picture that is traced
    PEN = (1 / 72, 1 / 30)  # its pen, as a share of the side
    MARGIN = 1 / 16

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
        if rng.random() < self.settings.traced:
            lines = self._traced(lines, rng)
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

    def _traced(self, lines: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """The strokes of a picture of lines, or the lines themselves if there are too many strokes in it."""
        side, pen = int(rng.integers(*self.SIDE)), float(rng.uniform(*self.PEN))
        shape = self.config.sketch.model_copy(update={"pen": pen})
        ink = sdf.field(fit(tuple(lines), self.MARGIN), shape, side) > 0
        found = pieces.of_sketch(Sketch(pixels=ink), self.config.sequence.pieces)
        return lines if found is None else pieces.join(found)

    def forward(self, batch: Batch) -> Result:
        longest = int(batch["count"].max())
        logits = self.sequence(batch["points"][:, :longest], batch["joined"][:, :longest], batch["count"])
        label = batch["label"]
        loss = F.cross_entropy(logits.float(), label, label_smoothing=self.settings.smoothing)
        return loss, {"accuracy": (logits.argmax(dim=1) == label).float().mean()}
