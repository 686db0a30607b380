"""Measure how well drawings of the same class find one another: by the vectors of `visketch search`, and by the
features of baselines.

Every drawing is a query once, and all the others are the gallery. Those of its class are relevant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.evaluate.judges import BaselineJudge, ClassifierJudge, Judge
from visketch.evaluate.recognition import BATCH, OnProgress, quiet, some
from visketch.geometry import sdf
from visketch.metrics import interval, retrieval
from visketch.model import SketchModel
from visketch.search.features import side_by_side


@dataclass(frozen=True)
class SearchRow:
    """The figures of one kind of vector."""

    name: str
    vector: str  # "features and probabilities" (as in `visketch search`) or "features alone"
    width: int
    mean_average_precision: float
    interval: tuple[float, float]  # the 95 % interval of the mean average precision
    precision_at_10: float
    class_mean_average_precision: float  # the mean over the classes, since data sets are skewed
    class_precision_at_10: float


@dataclass(frozen=True)
class SearchTable:
    drawings: int
    queries: int  # the number of drawings with at least one other drawing of their class
    classes: list[str]
    rows: list[SearchRow]  # ViSketch first


def search(
    model: SketchModel,
    store: Store,
    split: str = "test",
    limit: int | None = None,
    baselines: Sequence[SketchModel] = (),
    labels: Sequence[str] = (),
    unseen: bool = False,
    on_progress: OnProgress = quiet,
) -> SearchTable:
    """Measure the search with every drawing of a split as a query.

    `labels` restricts it to these classes; by default all are used. `unseen` restricts it to classes that the
    checkpoint was not trained on. Baselines may have another canvas. Raises UsageError if there is no such drawing, or
    if a baseline was trained on these classes.
    """
    judges: list[Judge] = [ClassifierJudge(model), *map(BaselineJudge, baselines)]
    names = chosen(model, store, labels, unseen)
    for judge in judges[1:]:
        if unseen and (cheats := [name for name in names if name in judge.labels]):
            raise UsageError(
                f"the baseline {judge.name} was trained on {', '.join(cheats[:3])}; train one without these classes"
            )
    rows = store.rows(split)
    rows = some(rows[np.isin(store.label[rows], [store.labels.index(name) for name in names])], limit)
    label = store.label[rows].astype(np.int64)
    if (np.bincount(label, minlength=1) < 2).all():
        raise UsageError(f"{store.path}: it has no class of these with two {split} drawings")
    found = []
    for judge, (logits, features) in zip(judges, looks(judges, model, store, rows, on_progress), strict=True):
        name = "visketch" if judge is judges[0] else judge.name
        both = side_by_side(logits, features)
        found.append(row(name, "features and probabilities", both, label))
        found.append(row(name, "features alone", torch.nn.functional.normalize(features, dim=1), label))
    queries = int((np.bincount(label)[label] > 1).sum())
    present = [store.labels[number] for number in np.unique(label)]
    return SearchTable(len(rows), queries, present, found)


def chosen(model: SketchModel, store: Store, labels: Sequence[str], unseen: bool) -> list[str]:
    """The classes of the data set that are measured. Raises UsageError if one of `labels` does not exist, or if none is
    left.
    """
    if missing := [name for name in labels if name not in store.labels]:
        raise UsageError(f"{store.path}: has no class {missing[0]!r}")
    names = [name for name in (labels or store.labels) if not (unseen and name in model.labels)]
    if not names:
        raise UsageError(
            f"{store.path}: {model.config.name} was trained on all of these classes; see data pack --without"
        )
    return names


@torch.inference_mode()
def looks(
    judges: Sequence[Judge], model: SketchModel, store: Store, rows: Int[np.ndarray, " i"], on_progress: OnProgress
) -> list[tuple[Float[Tensor, "i c"], Float[Tensor, "i e"]]]:
    """For each judge, its logits and its features of the drawings."""
    seen: list[list[tuple[Tensor, Tensor]]] = [[] for _ in judges]
    for first in range(0, len(rows), BATCH):
        sketches = [store[int(number)] for number in rows[first : first + BATCH]]
        fields = {
            shape: torch.from_numpy(np.stack([sdf.render(sketch, shape) for sketch in sketches]))
            for shape in {judge.shape for judge in judges}
        }
        for judge, kept in zip(judges, seen, strict=True):
            with model.precision():
                logits, features = judge.logits_and_features(fields[judge.shape])
            kept.append((logits.cpu(), features.cpu()))
        on_progress(min(first + BATCH, len(rows)), len(rows))
    return [(torch.cat([one for one, _ in kept]), torch.cat([two for _, two in kept])) for kept in seen]


def row(name: str, vector: str, features: Float[Tensor, "i e"], label: Int[np.ndarray, " i"]) -> SearchRow:
    average, at_10 = retrieval(features, torch.from_numpy(label))
    asked = ~np.isnan(average)
    average, at_10, label = average[asked], at_10[asked], label[asked]
    classes = [label == number for number in np.unique(label)]
    return SearchRow(
        name,
        vector,
        features.shape[1],
        float(average.mean()),
        interval(average),
        float(at_10.mean()),
        float(np.mean([average[of].mean() for of in classes])),
        float(np.mean([at_10[of].mean() for of in classes])),
    )
