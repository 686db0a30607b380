"""The objectives of the classifier and its baselines. Both get the same pictures in the same order."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visketch import quadtree
from visketch.config import Config, SketchConfig
from visketch.configs.training import ClassifierTraining, RecognitionTraining
from visketch.decoding import inked_leaves
from visketch.geometry.sketch import Sketch
from visketch.models.classifier import Classifier
from visketch.models.encoder import LeafEncoder, context_index
from visketch.training import restyling
from visketch.training.objectives.objective import Batch, Example, Objective, Result, draw, target


class RecognitionObjective(Objective):
    """Predict the class from a picture that grows: early in training, it shows what shallower trees show.

    A tree of depth d is a whole sketch at p 2^d pixels, so increasing d enlarges the picture. What the root tile shows
    can be learned at a twentieth of the cost (our choice; lab book, 2026-11-21).
    """

    def __init__(self, config: Config, settings: RecognitionTraining, labels: list[str]) -> None:
        super().__init__()
        self.config, self.settings, self.grow = config, settings, settings.grow
        self.label = {name: i for i, name in enumerate(labels)}

    def depth(self, progress: float) -> int:
        ends = np.cumsum(self.grow)
        stage = int(np.searchsorted(ends, progress, side="right"))
        return stage if stage < len(ends) else self.config.sketch.depth

    def enlarged(self, progress: float) -> int:
        return 2 ** (self.config.sketch.depth - self.depth(progress))

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        canvas = draw(self.restyled(sketch, rng), rng, shape, 1.0, shape.tile << max(self.depth(progress), 1))
        if self.depth(progress) == 0:
            canvas = canvas.reshape(shape.tile, 2, shape.tile, 2).mean(axis=(1, 3))
        return {"canvas": canvas, "label": np.int64(self.label[str(sketch.label)])}

    def restyled(self, sketch: Sketch, rng: np.random.Generator) -> Sketch:
        """Redraw some of the drawings in another style, and fill the areas of some."""
        if sketch.strokes is None or not (self.settings.restyle or self.settings.fill):
            return sketch
        if rng.random() < self.settings.fill and (ink := restyling.filled(sketch.lines(), rng)) is not None:
            return Sketch(pixels=ink, label=sketch.label)
        if rng.random() < self.settings.restyle:
            return replace(sketch, strokes=restyling.restyle(sketch.lines(), rng))
        return sketch


class ClassifierObjective(RecognitionObjective):
    """Predict the class from sampled leaves.

    A teacher is another encoder and classifier. Its answers for the same augmented pictures are a share of the target
    (`train.classifier.taught`; Beyer et al., 2022, arXiv 2106.05237).
    """

    def __init__(
        self,
        config: Config,
        encoder: LeafEncoder,
        classifier: Classifier,
        labels: list[str],
        teacher: tuple[LeafEncoder, Classifier] | None = None,
    ) -> None:
        super().__init__(config, config.train.classifier, labels)
        self.encoder, self.classifier = encoder, classifier
        self.parts = {"encoder": encoder, "classifier": classifier}
        self.teacher = teacher  # in a tuple, so that the teacher is neither trained nor saved

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        picture = super().example(sketch, rng, progress)
        tiles = quadtree.first_tile(self.config.sketch.depth + 1)
        return picture | {"score": rng.random(tiles, dtype=np.float32)}

    def forward(self, batch: Batch) -> Result:
        settings, shape = self.config.train.classifier, self.config.sketch
        if self.teacher:
            batch = batch | {"taught": self.answers(batch["canvas"])}
        return classify_loss(self.encoder, self.classifier, shape, batch, settings, settings.leaves)

    @torch.no_grad()
    def answers(self, canvas: Float[Tensor, "b h w"]) -> Float[Tensor, "b c"]:
        """The probabilities that the teacher gives to the classes, from all inked leaves."""
        assert self.teacher  # for mypy
        encoder, classifier = self.teacher
        for module in self.teacher:
            module.to(canvas.device)
        return classify(encoder, classifier, self.config.sketch, canvas).float().softmax(dim=1)


class BaselineObjective(RecognitionObjective):
    """Predict the class from the whole picture."""

    def __init__(self, config: Config, baseline: nn.Module, labels: list[str]) -> None:
        super().__init__(config, config.train.baseline, labels)
        self.baseline = baseline
        self.parts = {"baseline": baseline}

    def forward(self, batch: Batch) -> Result:
        label = batch["label"]
        logits = self.baseline(batch["canvas"])
        loss = F.cross_entropy(logits.float(), label, label_smoothing=self.config.train.baseline.smoothing)
        return loss, {"accuracy": (logits.argmax(dim=1) == label).float().mean()}


def classify(
    encoder: LeafEncoder, classifier: Classifier, shape: SketchConfig, canvas: Float[Tensor, "b h h"]
) -> Float[Tensor, "b c"]:
    """The logits from all inked leaves."""
    leaves = inked_leaves(canvas, shape, depth := quadtree.depth_of_canvas(canvas.shape[-1], shape.tile))
    cls = encoder(encoder.embed(canvas, depth), leaves, context_index(leaves, depth), first=1)[:, 0]
    logits: Tensor = classifier(cls, leaves, len(canvas))[0]
    return logits


def classify_loss(
    encoder: LeafEncoder,
    classifier: Classifier,
    shape: SketchConfig,
    batch: Batch,
    settings: ClassifierTraining,
    sampled: int,
) -> Result:
    """The cross-entropy of the pooled leaves, plus `settings.auxiliary` times the mean cross-entropy of each leaf
    alone.

    The target is the label. If `batch` has the probabilities `taught` (b c), these are a share of the target.
    """
    canvas, label = batch["canvas"], batch["label"]
    leaves = inked_leaves(canvas, shape, depth := quadtree.depth_of_canvas(canvas.shape[-1], shape.tile))
    leaves = leaves[choose(leaves, batch["score"], sampled)]
    cls = encoder(encoder.embed(canvas, depth), leaves, context_index(leaves, depth), first=1)[:, 0]
    logits, votes = classifier(cls, leaves, len(canvas))
    asked = target(label, logits.shape[1], settings.smoothing, batch.get("taught"), settings.taught)
    loss = F.cross_entropy(logits.float(), asked)
    each = F.cross_entropy(votes.float(), label[leaves.sketch], reduction="none")
    alone = per_sketch(each, leaves, len(canvas)).mean()
    accuracy = (logits.argmax(dim=1) == label).float().mean()
    return loss + settings.auxiliary * alone, {"class loss": loss, "accuracy": accuracy}


def choose(leaves: quadtree.Leaves, score: Float[Tensor, "b m"], most: int) -> Bool[Tensor, " n"]:
    """At most `most` leaves of each sketch, those with the highest scores. m may be larger than the number of tiles."""
    drawn = score[leaves.sketch, leaves.tile]
    order = torch.argsort(drawn, descending=True, stable=True)
    order = order[torch.argsort(leaves.sketch[order], stable=True)]
    place = quadtree.ranks(leaves[order], "one-by-one")
    which = torch.zeros_like(drawn, dtype=torch.bool)
    which[order] = place < most
    return which


def per_sketch(values: Float[Tensor, " n"], leaves: quadtree.Leaves, sketches: int) -> Float[Tensor, " b"]:
    """The mean over the leaves of each sketch (0 if it has none)."""
    total = values.new_zeros(sketches).index_add(0, leaves.sketch, values)
    return total / torch.bincount(leaves.sketch, minlength=sketches).clamp(min=1)
