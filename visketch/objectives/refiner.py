"""What the refiner is trained on."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from visketch import quadtree, strokes
from visketch.config import Config
from visketch.models.classifier import Classifier
from visketch.models.encoder import LeafEncoder
from visketch.models.refiner import Refiner
from visketch.models.vqvae import VQVAE
from visketch.objectives.objective import Batch, Example, Objective, Result, draw
from visketch.objectives.recognition import choose, classify_loss, per_sketch
from visketch.refining import Plan, enlarge, shown

REDRAW_STEPS = 4  # of the diffusion, from a time that is seldom late


class RefinerObjective(Objective):
    """Codes of sampled leaves, each shown exactly what refining will show it, in one parallel pass.

    The coarse sketch is the truth as the diffusion would have drawn it: noised, and drawn from there. So what is to be
    mended are its own errors, and the truth is still known. (Our choice: blur and noise of our own making, as first
    used, taught to mend lines and not content; lab book, 2026-11-21.)

    By default the shared encoder is frozen as the classifier's training left it. `joint` trains it here too, and the
    classifier (if there is one) beside it, so that it goes on serving both.
    """

    def __init__(
        self,
        config: Config,
        diffusion: Any,
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
        self._frozen: dict[str, Any] = {"diffusion": diffusion, "vqvae": vqvae, "encoder": encoder}
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
        waves = {"one-by-one": 0.0, "waves": 1.0, "both": 0.5}[settings.order]
        return {
            "canvas": draw(sketch, rng, shape, 0.5, shape.canvas),
            "score": rng.random(tiles, dtype=np.float32),
            "label": np.int64(self.label[str(sketch.label)]),
            "noise": rng.standard_normal((shape.tile, shape.tile), dtype=np.float32),
            "time": np.float32(rng.random() * settings.redraw),
            "waves": np.bool_(rng.random() < waves),
        }

    def forward(self, batch: Batch) -> Result:
        shape, settings = self.config.sketch, self.config.train.refiner
        truth = quadtree.tiles(batch["canvas"], shape.depth)
        diffusion, label = self._frozen["diffusion"], batch["label"]
        drawn = diffusion.redraw(truth[:, 0], label, batch["noise"], batch["time"], REDRAW_STEPS)
        coarse = enlarge(drawn, shape.canvas)
        plan = Plan.make(coarse, shape, batch["waves"], self.config.refiner.context)
        chosen = choose(plan.leaves, batch["score"], settings.leaves)
        leaves = plan.leaves[chosen]
        vqvae = self._frozen["vqvae"]
        with torch.no_grad():
            codes = vqvae.encode(truth[plan.leaves.sketch, plan.leaves.tile])
            refined = quadtree.paint(coarse, plan.leaves, vqvae.decode(codes))
            latents = vqvae.latents(plan.own_tiles(chosen))
        with torch.set_grad_enabled(self.joint):
            memory = shown(self.encoder if self.joint else self._frozen["encoder"], plan, refined, chosen)
        codes = codes[chosen]
        logits = self.refiner(codes, memory, label[leaves.sketch], latents)
        each = F.cross_entropy(rearrange(logits.float(), "n t v -> n v t"), codes, reduction="none").mean(dim=1)
        loss = per_sketch(each, leaves, len(truth)).mean()
        metrics = {"code loss": loss, "code accuracy": (logits.argmax(-1) == codes).float().mean()}
        if self.classifier is not None:
            other = self.config.train.classifier
            beside, more = classify_loss(self.encoder, self.classifier, shape, batch, other, settings.leaves)
            loss, metrics = loss + settings.classify * beside, metrics | more
        return loss, metrics
