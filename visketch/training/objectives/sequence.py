"""The objective of the classifier of strokes."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor, nn

from visketch.config import Config
from visketch.data.store import Store
from visketch.geometry import pieces, sdf
from visketch.geometry.pieces import Pieces
from visketch.geometry.sketch import Sketch, augment, fit
from visketch.models.sequence import SequenceClassifier
from visketch.training import restyling
from visketch.training.objectives.objective import Batch, Example, Objective, Result, few_pieces, target


class SequenceObjective(Objective):
    """Predict the class from the strokes.

    Pictures are traced, and other programs do not keep the order in which a person draws. So the strokes of a share of
    the examples are traced from a picture of them (`train.sequence.traced`), with a random pen and size, or from the
    edges of filled areas (`train.sequence.fill`); in a share of all, the order is random (`train.sequence.shuffled`);
    and some strokes are drawn backwards. The network is told whether the order is that of drawing.

    A teacher is another classifier of strokes. It sees the same drawings as people drew them, and its answers are a
    share of the target (`train.sequence.taught`; Vapnik and Izmailov, 2015, call this privileged information).
    """

    learns_from = "drawing as strokes, of few enough pieces"
    SHAKE = 0.012  # the largest sigma by which points are moved, in [-1, 1]
    BACKWARDS = 0.1  # the share of the strokes that are drawn the other way
    SIDE = (112, 192)  # pixels of a picture that is traced
    PEN = (1 / 72, 1 / 30)  # its pen, as a share of the side
    MARGIN = 1 / 16

    def __init__(
        self,
        config: Config,
        sequence: SequenceClassifier,
        beside: dict[str, nn.Module],
        labels: list[str],
        teacher: tuple[SequenceClassifier] | None = None,
    ) -> None:
        """`beside` are the parts of the classifier, against which `sequence` is weighed after training."""
        super().__init__()
        self.beside = tuple(beside.items())  # in a tuple, so that they are neither trained nor saved
        self.config, self.settings, self.sequence = config, config.train.sequence, sequence
        self.label = {name: i for i, name in enumerate(labels)}
        self.parts = {"sequence": sequence}
        self.teacher = teacher  # in a tuple, so that the teacher is neither trained nor saved

    @property
    def frozen(self) -> dict[str, nn.Module]:
        return dict(self.beside)

    def lengths(self, store: Store) -> np.ndarray:
        return store.count(pieces.count)

    def admitted(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """The rows of drawings whose strokes have no more pieces than the network allows."""
        return few_pieces(store, rows, self.config.sequence.pieces)

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        drawn = lines = list(augment(sketch.lines(), rng, 1.0))
        traced: list[np.ndarray] | None = None
        if rng.random() < self.settings.fill and (ink := restyling.filled(tuple(lines), rng)) is not None:
            traced = self._traced(ink ^ ndimage.binary_erosion(ink, iterations=2))
        elif rng.random() < self.settings.traced:
            side, pen = int(rng.integers(*self.SIDE)), float(rng.uniform(*self.PEN))
            shape = self.config.sketch.model_copy(update={"pen": pen})
            traced = self._traced(sdf.field(fit(tuple(lines), self.MARGIN), shape, side) > 0)
        lines, in_order = traced or lines, not traced
        if rng.random() < self.settings.shuffled:
            lines, in_order = [lines[i] for i in rng.permutation(len(lines))], False
        lines = [line[::-1] if rng.random() < self.BACKWARDS else line for line in lines]
        cut = self._cut(lines)
        shaken = cut.points + rng.normal(scale=rng.random() * self.SHAKE, size=cut.points.shape).astype(np.float32)
        shown = Pieces(shaken, cut.joined, in_order)
        example = {"label": np.int64(self.label[str(sketch.label)]), **self._padded(shown)}
        return example | (self._padded(self._cut(drawn), "drawn ") if self.teacher else {})

    def _traced(self, ink: Bool[np.ndarray, "y x"]) -> list[np.ndarray] | None:
        """The strokes of a picture. Returns None if there are too many."""
        found = pieces.of_sketch(Sketch(pixels=ink), self.config.sequence.pieces)
        return None if found is None else pieces.join(found)

    def _cut(self, lines: list[np.ndarray]) -> Pieces:
        return pieces.cut([2 * line - 1 for line in fit(tuple(lines), margin=0.0)])

    def _padded(self, cut: Pieces, name: str = "") -> Example:
        """Pieces as arrays of the same length in all examples."""
        more = self.config.sequence.pieces - len(cut)
        return {
            f"{name}points": np.pad(cut.points, ((0, more), (0, 0), (0, 0))),
            f"{name}joined": np.pad(cut.joined, (0, more)),
            f"{name}count": np.int64(len(cut)),
            f"{name}in_order": np.bool_(cut.in_order),
        }

    def forward(self, batch: Batch) -> Result:
        logits = _logits(self.sequence, batch)
        label, taught = batch["label"], self.answers(batch) if self.teacher else None
        asked = target(label, logits.shape[1], self.settings.smoothing, taught, self.settings.taught)
        loss = F.cross_entropy(logits, asked)
        return loss, {"accuracy": (logits.argmax(dim=1) == label).float().mean()}

    @torch.no_grad()
    def answers(self, batch: Batch) -> Float[Tensor, "b c"]:
        """The probabilities that the teacher gives to the classes, from the strokes as they were drawn."""
        assert self.teacher  # for mypy
        return _logits(self.teacher[0].to(batch["label"].device), batch, "drawn ").softmax(dim=1)


def _logits(network: SequenceClassifier, batch: Batch, name: str = "") -> Float[Tensor, "b c"]:
    points, joined, count, in_order = (batch[f"{name}{each}"] for each in ("points", "joined", "count", "in_order"))
    longest = int(count.max())
    logits: Tensor = network(points[:, :longest], joined[:, :longest], count, in_order)
    return logits.float()
