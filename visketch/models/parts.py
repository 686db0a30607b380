"""The parts of a checkpoint as networks with fresh weights. A part imports only what it needs."""

from typing import Any

from torch import nn

from visketch import checkpoint
from visketch.config import Config
from visketch.errors import UsageError, nearest


def build(config: Config, part: str) -> Any:
    """One part with fresh weights. Only what that part needs is imported."""
    width, classes = config.encoder.width, len(config.labels)
    if part == "vqvae":
        from visketch.models.vqvae import VQVAE

        return VQVAE(config.vqvae)
    if part == "diffusion" and config.coarse == "strokes":
        from visketch.models.strokes import StrokeDiffusion

        return StrokeDiffusion(config.diffusion, classes)
    if part in ("diffusion", "field"):
        from visketch.models.diffusion import Diffusion

        return Diffusion(getattr(config, part), config.sketch.tile, classes)
    if part == "encoder":
        from visketch.models.encoder import LeafEncoder

        return LeafEncoder(config.encoder, config.sketch)
    if part == "refiner":
        from visketch.models.refiner import Refiner

        return Refiner(
            config.refiner, width, config.sketch.codes, config.vqvae.codebook_size, config.vqvae.width, classes
        )
    if part == "classifier":
        from visketch.models.classifier import Classifier

        return Classifier(config.classifier, width, classes)
    if part == "sequence":
        from visketch.models.sequence import SequenceClassifier

        return SequenceClassifier(config.sequence, classes)
    if part == "baseline":
        from visketch.models.baseline import Baseline

        return Baseline(config.baseline, config.sketch.canvas, classes)
    raise UsageError(f"no part {part!r}: {nearest(part, list(checkpoint.PARTS))}")


def size(*parts: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for part in parts for p in part.parameters())
