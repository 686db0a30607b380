"""How often drawings are recognised."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from visketch.data.store import Store
from visketch.metrics import rank_of
from visketch.model import ViSketch

BATCH = 64  # sketches looked at together
Watch = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Recognition:
    sketches: int
    top1: float
    top5: float
    class_mean: float  # top-1, mean over the classes: data sets are skewed
    milliseconds: float  # a sketch, in batches, drawing its field included


def classify(
    model: ViSketch,
    store: Store,
    split: str = "test",
    limit: int | None = None,
    watch: Watch = quiet,
) -> Recognition:
    ranks, labels, start = [], [], time.perf_counter()
    for canvas, label in batches(model, store, split, limit, watch):
        ranks.append(rank_of(model.logits(canvas), label))
        labels.append(label)
    seconds = time.perf_counter() - start
    rank, label = torch.cat(ranks), torch.cat(labels)
    hits = (rank == 0).double()
    count = torch.bincount(label)
    per_class = (torch.zeros(len(count), dtype=torch.double).index_add(0, label, hits) / count)[count > 0]
    return Recognition(
        len(rank),
        float(hits.mean()),
        float((rank < 5).double().mean()),
        float(per_class.mean()),
        1e3 * seconds / len(rank),
    )


def batches(
    model: ViSketch, store: Store, split: str, limit: int | None, watch: Watch, size: int = BATCH
) -> Iterator[tuple[Float[Tensor, "b h h"], Int[Tensor, " b"]]]:
    """The drawings of a split as fields, with the model's numbers of their classes. `limit` takes an even sample."""
    number = np.array([model.label_of(name) for name in store.labels])
    rows = store.rows(split)
    if limit and limit < len(rows):
        rows = np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
    for first in range(0, len(rows), size):
        chosen = rows[first : first + size]
        yield model.render([store[int(i)] for i in chosen]), torch.from_numpy(number[store.label[chosen]])
        watch(first + len(chosen), len(rows))
