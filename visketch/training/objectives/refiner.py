"""The objective of the refiner."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from visketch import quadtree
from visketch.config import Config
from visketch.decoding import Plan, enlarge, shown
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch, augment, fit
from visketch.models.classifier import Classifier
from visketch.models.encoder import LeafEncoder
from visketch.models.refiner import Refiner
from visketch.models.vqvae import VQVAE
from visketch.training.objectives.objective import Batch, Example, Objective, Result
from visketch.training.objectives.recognition import choose, classify_loss, per_sketch


class RefinerObjective(Objective):
    """Predict the codes of sampled leaves, each with exactly the context that it has during refining, in one parallel
    pass.

    The coarse sketch is the true one, blurred and noised. For a coarse stage of strokes, it may also be drawn from
    shaken strokes (`train.refiner.strokes`). Coarse sketches that the diffusion had redrawn, with its own errors, were
    no better (lab book, 2026-11-21).

    By default the shared encoder is frozen in the state in which the classifier's training left it. `joint` also trains
    the encoder, and the classifier if there is one, so that the encoder stays good for both.
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
        # Frozen parts are kept out of the module tree, so they are not trained, averaged or saved.
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

    def example(self, sketch: Sketch, rng: np.random.Generator, progress: float) -> Example:
        shape, settings = self.config.sketch, self.config.train.refiner
        tiles = quadtree.first_tile(shape.depth + 1)
        # Half of the noise is in blobs of 4 x 4 pixels, because the diffusion misses parts of lines rather than single
        # pixels.
        noise = rng.standard_normal((shape.tile, shape.tile), dtype=np.float32)
        blobs = rng.standard_normal((shape.tile // 4, shape.tile // 4), dtype=np.float32)
        noise = (noise + np.kron(blobs, np.ones((4, 4), np.float32))) * np.float32(0.5**0.5)
        lines = fit(augment(sketch.lines(), rng, 0.5, drop=sketch.strokes is not None), shape.margin)
        canvas = sdf.field(lines, shape, shape.canvas).astype(np.float32)
        by_strokes = rng.random() < settings.strokes
        drawn = canvas
        if by_strokes:
            sigma = rng.random() * settings.shake
            shaken = tuple((line + sigma * rng.standard_normal(line.shape)).astype(np.float32) for line in lines)
            drawn = sdf.field(shaken, shape, shape.canvas).astype(np.float32)
        waves = {"one-by-one": 0.0, "waves": 1.0, "both": 0.5}[settings.order]
        return {
            "canvas": canvas,
            "drawn": drawn,
            "by strokes": np.bool_(by_strokes),
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
        coarse = torch.where(batch["by strokes"][:, None, None], batch["drawn"], coarse)
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
        logits = self.refiner(codes, memory, batch["label"][leaves.sketch], latents)
        each = F.cross_entropy(rearrange(logits.float(), "n t v -> n v t"), codes, reduction="none").mean(dim=1)
        loss = per_sketch(each, leaves, len(truth)).mean()
        metrics = {"code loss": loss, "code accuracy": (logits.argmax(-1) == codes).float().mean()}
        if self.classifier is not None:
            other = self.config.train.classifier
            beside, more = classify_loss(self.encoder, self.classifier, shape, batch, other, settings.leaves)
            loss, metrics = loss + settings.classify * beside, metrics | more
        return loss, metrics


def corrupt(
    root: Float[Tensor, "b p p"], noise: Float[Tensor, "b p p"], sharp: Float[Tensor, " b"]
) -> Float[Tensor, "b p p"]:
    """The coarse sketch as the diffusion might draw it, slightly blurred and noisy.

    `sharp` mixes the sketch (1) with its 3 x 3 binomial blur (0).
    """
    row = torch.tensor([0.25, 0.5, 0.25], device=root.device)
    blurred = F.conv2d(F.pad(root[:, None], (1, 1, 1, 1), mode="replicate"), (row[:, None] * row)[None, None])[:, 0]
    return (torch.lerp(blurred.to(root.dtype), root, sharp[:, None, None]) + noise).clamp(-1, 1)
