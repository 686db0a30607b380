"""Measure how well drawings are reconstructed from their codes."""

from dataclasses import dataclass

import torch

from visketch import quadtree
from visketch.data.store import Store
from visketch.decoding import inked_leaves
from visketch.evaluate.recognition import OnProgress, batches, quiet
from visketch.metrics import ink_f1
from visketch.model import SketchModel


@dataclass(frozen=True)
class Reconstruction:
    """One row of the table: the figures for whole sketches, encoded and decoded leaf by leaf."""

    target: str  # what a pixel means: "signed distance" or "binary"
    quantiser: str  # how the codebook was trained: "chosen" or "plain"
    sketches: int
    ink_f1: float  # mean over sketches; ink within 1 pixel counts as a hit
    perplexity: float
    codebook_size: int
    used: float  # the share of the codes that are used
    mse: float  # over the inked leaves; only comparable between targets of the same kind


def reconstruct(
    model: SketchModel,
    store: Store,
    split: str = "test",
    limit: int | None = None,
    on_progress: OnProgress = quiet,
) -> Reconstruction:
    """Encode and decode the drawings of a split, and compare the results with the drawings. Raises VisketchError if the
    checkpoint has no VQ-VAE.
    """
    config, net = model.config, model.part("vqvae")
    scores, errors, pixels = [], 0.0, 0
    counts = torch.zeros(config.vqvae.codebook_size, dtype=torch.double)
    for sketches, _ in batches(model, store, split, limit, on_progress):
        canvas = model.render(sketches)
        with torch.inference_mode():
            leaves = inked_leaves(canvas, config.sketch, config.sketch.depth)
            tiles = quadtree.tiles(canvas, config.sketch.depth)[leaves.sketch, leaves.tile]
            seen = (tiles > 0).float() * 2 - 1 if config.vqvae.binary else tiles
            codes = net.encode(seen)
            drawn = net.decode(codes)
            again = quadtree.paint(torch.full_like(canvas, -1), leaves, drawn)
        scores.append(ink_f1(again > 0, canvas > 0).cpu())
        errors += float((drawn - seen).square().sum())
        pixels += tiles.numel()
        counts += torch.bincount(codes.flatten().cpu(), minlength=len(counts))
    share, f1 = counts / counts.sum(), torch.cat(scores)
    return Reconstruction(
        target="binary" if config.vqvae.binary else "signed distance",
        quantiser="plain" if config.vqvae.plain else "chosen",
        sketches=len(f1),
        ink_f1=float(f1.mean()),
        perplexity=float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum())),
        codebook_size=len(counts),
        used=float((counts > 0).double().mean()),
        mse=errors / pixels,
    )
