"""The figures of the README's tables. Every function takes a model and data and returns what the table prints."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visketch import quadtree
from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.evaluate.recognition import BATCH, Watch, batches, quiet, rank_of
from visketch.model import ViSketch
from visketch.refining import inked_leaves


@dataclass(frozen=True)
class Reconstruction:
    """How well whole sketches survive being encoded and decoded leaf by leaf."""

    sketches: int
    ink_f1: float  # mean over sketches, ink within 1 pixel counts as hit
    mse: float  # of the field, over the inked leaves
    perplexity: float
    codebook_size: int


@dataclass(frozen=True)
class Generation:
    """One row: what the classifier says of sketches of known classes."""

    row: str
    sketches: int
    top1_among: float  # its best among the classes of the table
    top1: float  # its best among all classes
    top5: float
    seconds: float  # a sketch; 0 for real ones


def vqvae(
    model: ViSketch,
    store: Store,
    split: str = "test",
    limit: int | None = None,
    watch: Watch = quiet,
) -> Reconstruction:
    shape, net = model.config.sketch, model.part("vqvae")
    scores, errors, pixels = [], 0.0, 0
    used = torch.zeros(model.config.vqvae.codebook_size)
    for canvas, _ in batches(model, store, split, limit, watch):
        with torch.inference_mode():
            leaves = inked_leaves(canvas, shape, shape.depth)
            tiles = quadtree.tiles(canvas, shape.depth)[leaves.sketch, leaves.tile]
            seen = (tiles > 0).float() * 2 - 1 if model.config.vqvae.binary else tiles
            codes = net.encode(seen)
            drawn = net.decode(codes)
            again = quadtree.paint(torch.full_like(canvas, -1), leaves, drawn)
        scores.append(ink_f1(again > 0, canvas > 0))
        errors += float((drawn - seen).square().sum())
        pixels += tiles.numel()
        used += torch.bincount(codes.flatten().cpu(), minlength=len(used))
    share = used / used.sum()
    perplexity = float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
    f1 = torch.cat(scores)
    return Reconstruction(len(f1), float(f1.mean()), errors / pixels, perplexity, len(used))


def generation(
    model: ViSketch,
    store: Store,
    labels: Sequence[str],
    n: int = 64,
    split: str = "test",
    watch: Watch = quiet,
    **settings: Any,
) -> list[Generation]:
    """Real drawings, coarse only, refined in waves and one by one: what the model's own classifier makes of them.

    `settings` go to `ViSketch.generate`. Coarse and refined sketches of a row share their seeds.
    """
    numbers = torch.tensor([model.label_of(name) for name in labels])
    real = [model.render([store[int(i)] for i in _rows_of(store, split, name)[:n]]) for name in labels]
    truth = torch.cat([number.repeat(len(canvas)) for number, canvas in zip(numbers, real, strict=True)])
    rows = [_judge(model, f"real drawings ({split})", torch.cat(real), truth, numbers, 0.0)]
    kinds: dict[str, dict[str, Any]] = {
        "coarse only": {"coarse_only": True},
        "refined in waves": {},
        "refined one by one": {"order": "one-by-one"},
    }
    done = 0
    for kind, choice in kinds.items():
        start, canvases = time.perf_counter(), []
        for name in labels:
            for first in range(0, n, BATCH):
                seed = settings.get("seed", 0) + first
                canvases.append(model.generate(name, min(BATCH, n - first), **settings | choice | {"seed": seed}))
            done += 1
            watch(done, len(kinds) * len(labels))
        seconds = (time.perf_counter() - start) / (n * len(labels))
        rows.append(_judge(model, kind, torch.cat(canvases), numbers.repeat_interleave(n), numbers, seconds))
    return rows


def _judge(
    model: ViSketch, row: str, canvas: Tensor, label: Int[Tensor, " b"], among: Int[Tensor, " c"], seconds: float
) -> Generation:
    logits = torch.cat([model.logits(part) for part in canvas.split(BATCH)]).cpu()
    rank = rank_of(logits, label)
    best = among[logits[:, among].argmax(dim=1)]
    hit, top1, top5 = (float(x.double().mean()) for x in (best == label, rank == 0, rank < 5))
    return Generation(row, len(canvas), hit, top1, top5, seconds)


def _rows_of(store: Store, split: str, label: str) -> np.ndarray:
    rows = store.rows(split)
    rows = rows[store.label[rows] == store.labels.index(label)] if label in store.labels else rows[:0]
    if not len(rows):
        raise UsageError(f"{store.path}: has no {split} drawing of {label!r}")
    return rows


def ink_f1(drawn: Bool[Tensor, "b h h"], truth: Bool[Tensor, "b h h"]) -> Float[Tensor, " b"]:
    """F1 of the ink of each pair; a pixel is a hit if the other has ink at it or at one of its four neighbours."""
    precision = _share(drawn & _grown(truth), drawn)
    recall = _share(truth & _grown(drawn), truth)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-9)


def _share(part: Bool[Tensor, "b h h"], whole: Bool[Tensor, "b h h"]) -> Float[Tensor, " b"]:
    return part.flatten(1).sum(dim=1) / whole.flatten(1).sum(dim=1).clamp(min=1)


def _grown(ink: Bool[Tensor, "b h h"]) -> Bool[Tensor, "b h h"]:
    """Ink and its four neighbours: all within one pixel of it."""
    wide = F.max_pool2d(ink[:, None].float(), (1, 3), 1, (0, 1)).maximum(
        F.max_pool2d(ink[:, None].float(), (3, 1), 1, (1, 0))
    )
    return wide[:, 0] > 0
