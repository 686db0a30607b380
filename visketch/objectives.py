"""What each part is trained on: examples that are a pure function of a drawing and a random generator, and a loss.

Everything random in a loss but dropout comes with the example, so that a step gives the same loss however many
processes share it.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from visketch import quadtree, sdf, strokes
from visketch.config import ClassifierTraining, Config, SketchConfig
from visketch.models.classifier import Classifier
from visketch.models.encoder import LeafEncoder, context_index
from visketch.models.refiner import Refiner
from visketch.models.vqvae import VQVAE, TrainableVQVAE
from visketch.refining import Plan, enlarge, inked_leaves, shown

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

    def example(self, sketch: strokes.Sketch, rng: np.random.Generator, progress: float) -> Example:
        """One drawing → what the loss needs, as arrays that stack. `progress` is the share of the steps done."""
        raise NotImplementedError

    def enlarged(self, progress: float) -> int:
        """How many times the configured batch a step takes: cheap early steps may take more."""
        return 1

    def forward(self, batch: Batch) -> Result:
        raise NotImplementedError

    def settle(self) -> None:
        """Called before the parts are written: bring them into the form in which they are used."""


def draw(
    sketch: strokes.Sketch, rng: np.random.Generator, config: SketchConfig, strength: float, canvas: int
) -> np.ndarray:
    """An augmented drawing as a field (h h)."""
    lines = strokes.augment(sketch.lines(), rng, strength, drop=sketch.strokes is not None)
    return sdf.field(strokes.fit(lines, config.margin), config, canvas).astype(np.float32)


class VQVAEObjective(Objective):
    """Reconstruct inked tiles of all levels; the nearer the zero level, the more a pixel weighs."""

    TILES = 8  # a sketch; the finest tiles are most of them

    def __init__(self, config: Config, vqvae: VQVAE) -> None:
        super().__init__()
        self.config = config
        self.trainable = TrainableVQVAE(vqvae)
        self.parts = {"vqvae": vqvae}

    def example(self, sketch: strokes.Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        tiles = quadtree.first_tile(shape.depth + 1)
        return {
            "canvas": draw(sketch, rng, shape, 1.0, shape.canvas),
            "score": rng.random(tiles, dtype=np.float32),
        }

    def forward(self, batch: Batch) -> Result:
        tiles = quadtree.tiles(batch["canvas"], self.config.sketch.depth)
        inked = tiles.amax(dim=(2, 3)) > -0.5
        chosen = torch.where(inked, batch["score"], -1).topk(min(self.TILES, tiles.shape[1]), dim=1).indices
        which = torch.zeros_like(inked).scatter(1, chosen, torch.ones_like(inked)) & inked
        tiles = tiles[which]
        if self.config.vqvae.binary:
            tiles = (tiles > 0).float() * 2 - 1
        drawn, codes, commitment = self.trainable(tiles)
        error = (drawn - tiles).square()
        weight = 1 + 10 * torch.exp(-(tiles / 0.2).square())
        loss = (error * weight).mean()
        used = torch.bincount(codes.flatten(), minlength=self.config.vqvae.codebook_size) / codes.numel()
        perplexity = torch.exp(-(used * torch.log(used.clamp(min=1e-9))).sum())
        return loss + commitment.sum(), {"mse": error.mean(), "perplexity": perplexity}

    def settle(self) -> None:
        self.trainable.settle()


class DiffusionObjective(Objective):
    """Flow matching on the root tile; one example in ten has the null class.

    Times are logit-normal: the middle of the way is where there is most to learn (Esser et al., 2024).
    """

    def __init__(self, config: Config, diffusion: Any, labels: list[str]) -> None:
        super().__init__()
        self.config, self.diffusion = config, diffusion
        self.label = {name: i for i, name in enumerate(labels)}
        self.parts = {"diffusion": diffusion}

    def example(self, sketch: strokes.Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        field = draw(sketch, rng, shape, 0.0, 2 * shape.tile)  # as drawn: with few epochs, variants only cost capacity
        return {
            "field": field.reshape(shape.tile, 2, shape.tile, 2).mean(axis=(1, 3)),
            "noise": rng.standard_normal((shape.tile, shape.tile), dtype=np.float32),
            "time": np.float32(1 / (1 + np.exp(-rng.standard_normal()))),
            "label": np.int64(self.label[str(sketch.label)] if rng.random() > 0.1 else len(self.label)),
        }

    def forward(self, batch: Batch) -> Result:
        return self.diffusion.loss(batch["field"], batch["label"], batch["noise"], batch["time"]), {}


class ClassifierObjective(Objective):
    """Class from sampled leaves; in the first part of training from shallower trees.

    A tree of depth d is a whole sketch at p 2^d pixels, so growing d is growing the picture: the stem, the blocks and
    the head learn from the root tile alone at a twentieth of the cost, then from 4 leaves, then from all
    (our choice; lab book, 2026-11-21).
    """

    def __init__(self, config: Config, encoder: LeafEncoder, classifier: Classifier, labels: list[str]) -> None:
        super().__init__()
        self.config, self.encoder, self.classifier = config, encoder, classifier
        self.label = {name: i for i, name in enumerate(labels)}
        self.parts = {"encoder": encoder, "classifier": classifier}

    def depth(self, progress: float) -> int:
        ends = np.cumsum(self.config.train.classifier.grow)
        stage = int(np.searchsorted(ends, progress, side="right"))
        return stage if stage < len(ends) else self.config.sketch.depth

    def enlarged(self, progress: float) -> int:
        return 2 ** (self.config.sketch.depth - self.depth(progress))

    def example(self, sketch: strokes.Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape = self.config.sketch
        canvas = draw(sketch, rng, shape, 1.0, shape.tile << max(self.depth(progress), 1))
        if self.depth(progress) == 0:
            canvas = canvas.reshape(shape.tile, 2, shape.tile, 2).mean(axis=(1, 3))
        return {
            "canvas": canvas,
            "score": rng.random(quadtree.first_tile(shape.depth + 1), dtype=np.float32),
            "label": np.int64(self.label[str(sketch.label)]),
        }

    def forward(self, batch: Batch) -> Result:
        settings = self.config.train.classifier
        return classify_loss(self.encoder, self.classifier, self.config.sketch, batch, settings, settings.leaves)


def classify_loss(
    encoder: LeafEncoder,
    classifier: Classifier,
    shape: SketchConfig,
    batch: Batch,
    settings: ClassifierTraining,
    sampled: int,
) -> Result:
    """Cross-entropy of the pooled leaves, plus `settings.auxiliary` times the mean of that of every leaf alone."""
    canvas, label = batch["canvas"], batch["label"]
    depth = (canvas.shape[-1] // shape.tile).bit_length() - 1
    leaves = inked_leaves(canvas, shape, depth)
    leaves = leaves[choose(leaves, batch["score"], sampled)]
    embedded = encoder.embed(quadtree.tiles(canvas, depth))
    encoded = encoder(embedded, leaves, context_index(leaves, depth))
    logits, votes = classifier(encoded[:, 0], leaves, len(canvas))
    loss = F.cross_entropy(logits.float(), label, label_smoothing=settings.smoothing)
    each = F.cross_entropy(votes.float(), label[leaves.sketch], reduction="none")
    alone = per_sketch(each, leaves, len(canvas)).mean()
    accuracy = (logits.argmax(dim=1) == label).float().mean()
    return loss + settings.auxiliary * alone, {"class loss": loss, "accuracy": accuracy}


class RefinerObjective(Objective):
    """Codes of sampled leaves, each shown exactly what refining will show it, in one parallel pass.

    By default the shared encoder is frozen as the classifier's training left it. `joint` trains it here too, and the
    classifier (if there is one) beside it, so that it goes on serving both.
    """

    def __init__(
        self,
        config: Config,
        vqvae: VQVAE,
        encoder: LeafEncoder,
        refiner: Refiner,
        classifier: Classifier | None,
        labels: list[str],
    ) -> None:
        super().__init__()
        self.config, self.refiner = config, refiner
        self.label = {name: i for i, name in enumerate(labels)}
        self.joint = config.train.refiner.joint
        self.parts = {"refiner": refiner}
        # What is frozen stays out of the module tree: neither trained, nor averaged, nor saved.
        self._frozen: dict[str, Any] = {"vqvae": vqvae, "encoder": encoder}
        self.classifier = None
        if self.joint:
            self.encoder = self._frozen.pop("encoder")
            self.parts = {"encoder": encoder, "refiner": refiner}
            if classifier is not None:
                self.classifier = self.parts["classifier"] = classifier

    @property
    def frozen(self) -> dict[str, nn.Module]:
        return self._frozen

    def example(self, sketch: strokes.Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape, settings = self.config.sketch, self.config.train.refiner
        tiles = quadtree.first_tile(shape.depth + 1)
        # Half of the noise is in blobs of 4 x 4 pixels: the diffusion does not miss pixels, it misses bits of lines.
        noise = rng.standard_normal((shape.tile, shape.tile), dtype=np.float32)
        blobs = rng.standard_normal((shape.tile // 4, shape.tile // 4), dtype=np.float32)
        noise = (noise + np.kron(blobs, np.ones((4, 4), np.float32))) * np.float32(0.5**0.5)
        waves = {"one-by-one": 0.0, "waves": 1.0, "both": 0.5}[settings.order]
        return {
            "canvas": draw(sketch, rng, shape, 0.5, shape.canvas),
            "score": rng.random(tiles, dtype=np.float32),
            "label": np.int64(self.label[str(sketch.label)]),
            "noise": noise * np.float32(rng.random() * settings.noise),
            "sharp": np.float32(1 - rng.random() * settings.blur),
            "waves": np.bool_(rng.random() < waves),
        }

    def forward(self, batch: Batch) -> Result:
        shape, settings = self.config.sketch, self.config.train.refiner
        truth = quadtree.tiles(batch["canvas"], shape.depth)
        coarse = enlarge(corrupt(truth[:, 0], batch["noise"], batch["sharp"]), shape.canvas)
        plan = Plan.make(coarse, shape, batch["waves"])
        chosen = choose(plan.leaves, batch["score"], settings.leaves)
        leaves = plan.leaves[chosen]
        vqvae = self._frozen["vqvae"]
        with torch.no_grad():
            codes = vqvae.encode(truth[plan.leaves.sketch, plan.leaves.tile])
            refined = quadtree.paint(coarse, plan.leaves, vqvae.decode(codes))
            latents = vqvae.latents(plan.coarse_tiles()[leaves.sketch, leaves.tile])
        with torch.set_grad_enabled(self.joint):
            memory = shown(self.encoder if self.joint else self._frozen["encoder"], plan, refined, chosen)
        codes = codes[chosen]
        logits = self.refiner(codes, memory, batch["label"][leaves.sketch], latents)
        each = F.cross_entropy(rearrange(logits.float(), "n t v -> n v t"), codes, reduction="none").mean(dim=1)
        loss = per_sketch(each, leaves, len(truth)).mean()
        metrics = {"code loss": loss, "code accuracy": (logits.argmax(-1) == codes).float().mean()}
        if self.classifier is not None:
            other = self.config.train.classifier
            beside, more = classify_loss(self.encoder, self.classifier, shape, batch, other, settings.leaves)
            loss, metrics = loss + settings.classify * beside, metrics | more
        return loss, metrics


def choose(leaves: quadtree.Leaves, score: Float[Tensor, "b m"], most: int) -> Bool[Tensor, " n"]:
    """At most `most` leaves of each sketch, those with the highest scores (m may exceed the tree's tiles)."""
    drawn = score[leaves.sketch, leaves.tile]
    order = torch.argsort(drawn, descending=True, stable=True)
    order = order[torch.argsort(leaves.sketch[order], stable=True)]
    place = quadtree.ranks(leaves[order], "one-by-one")
    which = torch.zeros_like(drawn, dtype=torch.bool)
    which[order] = place < most
    return which


def per_sketch(values: Float[Tensor, " n"], leaves: quadtree.Leaves, sketches: int) -> Float[Tensor, " b"]:
    """The mean over each sketch's leaves (0 where it has none)."""
    total = values.new_zeros(sketches).index_add(0, leaves.sketch, values)
    return total / torch.bincount(leaves.sketch, minlength=sketches).clamp(min=1)


def corrupt(
    root: Float[Tensor, "b p p"], noise: Float[Tensor, "b p p"], sharp: Float[Tensor, " b"]
) -> Float[Tensor, "b p p"]:
    """The coarse sketch as the diffusion might have drawn it: a little blurred, a little noisy.

    `sharp` mixes the sketch (1) with its 3 x 3 binomial blur (0).
    """
    row = torch.tensor([0.25, 0.5, 0.25], device=root.device)
    blurred = F.conv2d(F.pad(root[:, None], (1, 1, 1, 1), mode="replicate"), (row[:, None] * row)[None, None])[:, 0]
    return (torch.lerp(blurred.to(root.dtype), root, sharp[:, None, None]) + noise).clamp(-1, 1)
