"""The recognition accuracy of ViSketch, and of baselines on the same drawings."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visketch.config import SketchConfig
from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.evaluate.styles import STYLES, Style, as_drawn, pen
from visketch.geometry.pieces import Pieces
from visketch.geometry.sketch import Sketch
from visketch.metrics import interval, rank_of
from visketch.model import SketchModel
from visketch.models.parts import size

BATCH = 64  # the number of sketches that are rendered or classified together
SUBSET = 100  # the number of classes in the smaller task, which other papers use
ROUNDS = 3  # the number of times that a duration is measured
OnProgress = Callable[[int, int], None]
LabelledBatches = Iterable[tuple[list[Sketch], Int[Tensor, " b"]]]  # the sketches, and the numbers of their classes


def quiet(done: int, total: int) -> None:
    """The default `on_progress`: it reports nothing."""


@dataclass(frozen=True)
class Accuracy:
    sketches: int
    top1: float
    interval: tuple[float, float]  # the 95 % interval of top-1
    top5: float
    class_mean: float  # top-1 averaged over the classes, since data sets are skewed


@dataclass(frozen=True)
class RecognitionRow:
    """The figures of one model. Times are those of one sketch, from the field to the answer."""

    name: str
    folder: Path | None
    parameters: int
    alone_ms: float  # with one sketch at a time
    together_ms: float  # with BATCH sketches at a time
    overall: Accuracy
    subset: Accuracy | None  # drawings of SUBSET classes, classified among these; None if there are no more classes
    styles: dict[str, Accuracy]


@dataclass(frozen=True)
class Recognition:
    rows: list[RecognitionRow]  # ViSketch first
    drawing_ms: float  # the time to render a sketch's field, which is not part of the models' times
    threads: int
    subset: list[str]  # the classes of `RecognitionRow.subset`


@dataclass(frozen=True)
class RecognitionModel:
    """A model to measure. `logits` classifies fields of the `shape`, which `model.fields` renders, with the strokes of
    the drawings, or with None where they are not used.
    """

    name: str
    model: SketchModel
    parameters: int
    logits: Callable[[Float[Tensor, "b h h"], Sequence[Pieces | None]], Float[Tensor, "b c"]]
    shape: SketchConfig
    strokes: bool = False  # whether it uses the strokes
    shown: Style = as_drawn  # what it is given of a drawing

    def given(self, sketches: Sequence[Sketch]) -> tuple[Float[Tensor, "b h h"], list[Pieces | None]]:
        """The fields of drawings and their strokes, as `logits` takes them."""
        seen = [self.shown(sketch, np.random.default_rng(0)) for sketch in sketches]
        strokes: list[Pieces | None] = [None] * len(seen)
        return self.model.fields(seen, self.shape), self.model.pieces(seen) if self.strokes else strokes


def classify(
    model: SketchModel,
    store: Store,
    split: str = "test",
    limit: int | None = None,
    baselines: Sequence[SketchModel] = (),
    styles: bool = False,
    on_progress: OnProgress = quiet,
    depths: Sequence[int] = (),
) -> Recognition:
    """Measure the recognition of a model and of baselines.

    `baselines` are checkpoints with a baseline. With `styles`, drawings in other styles are measured too. With
    `depths`, the model is also measured with trees of these depths (0: the root tile alone), which shows what each
    level adds. Raises UsageError for a depth that the tree does not have, for a baseline with other classes, and for a
    drawing without strokes that is to be restyled.
    """
    contenders = [_visketch(model), *(_visketch(model, depth) for depth in depths)]
    if model.has("sequence"):
        both = [_with_strokes(model, "visketch", as_drawn), _with_strokes(model, "a PNG of it", as_picture)]
        contenders = [*both, *contenders]
    contenders += [_baseline(baseline, model) for baseline in baselines]
    among = subset(len(model.labels))
    looks = {"as drawn": as_drawn} | (STYLES if styles else {})
    found: dict[str, tuple[Tensor, list[Tensor]]] = {}
    for look, style in looks.items():

        def step(done: int, total: int, before: int = len(found)) -> None:
            on_progress(before * total + done, len(looks) * total)

        found[look] = ranks(contenders, batches(model, store, split, limit, step, style), among)
    label, rank = found.pop("as drawn")
    inside = among[label]
    sketches = [store[int(row)] for row in sample(store, split, limit)[:BATCH]]
    given = [contender.given(sketches) for contender in contenders]
    rows = [
        RecognitionRow(
            name=contender.name,
            folder=contender.model.folder,
            parameters=contender.parameters,
            alone_ms=milliseconds(
                contender.logits, [(one, strokes[j : j + 1]) for j, one in enumerate(fields.split(1))], len(sketches)
            ),
            together_ms=milliseconds(contender.logits, [(fields, strokes)], len(sketches)),
            overall=accuracy(rank[i][0], label),
            subset=accuracy(rank[i][1, inside], label[inside]) if inside.any() else None,
            styles={look: accuracy(rank[i][0], label) for look, (label, rank) in found.items()},
        )
        for i, (contender, (fields, strokes)) in enumerate(zip(contenders, given, strict=True))
    ]
    drawing = milliseconds(contenders[0].given, [(sketches,)], len(sketches))
    names = [name for name, chosen in zip(model.labels, among.tolist(), strict=True) if chosen]
    return Recognition(rows, drawing, torch.get_num_threads(), names)


def _visketch(model: SketchModel, depth: int | None = None) -> RecognitionModel:
    """The classifier of leaves, without the strokes."""
    name = "visketch" if depth is None else f"to level {depth}" if depth else "root alone"
    if model.has("sequence") and depth is None:
        name = "without strokes"
    shape = model.config.reading if depth is None else model.config.sketch

    def logits(field: Float[Tensor, "b h h"], drawn: Sequence[Pieces | None]) -> Float[Tensor, "b c"]:
        return model.logits(field, depth).cpu()

    return RecognitionModel(name, model, size(model.part("encoder"), model.part("classifier")), logits, shape)


def as_picture(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    """A drawing as a PNG that is read. A raster stays what it is."""
    return sketch if sketch.strokes is None else pen(sketch, rng)


def _with_strokes(model: SketchModel, name: str, shown: Style) -> RecognitionModel:
    """Both classifiers, given drawings in a style."""

    def logits(field: Float[Tensor, "b h h"], drawn: Sequence[Pieces | None]) -> Float[Tensor, "b c"]:
        return model.with_strokes(model.logits(field), drawn).cpu()

    parts = size(*map(model.part, ("encoder", "classifier", "sequence")))
    return RecognitionModel(name, model, parts, logits, model.config.reading, strokes=True, shown=shown)


def _baseline(baseline: SketchModel, model: SketchModel) -> RecognitionModel:
    """A baseline as a model to measure. Its pictures may have another size. Raises UsageError if it cannot be compared
    with the model.
    """
    if baseline.labels != model.labels:
        raise UsageError(
            f"{baseline.folder}: its baseline has other classes than {model.folder}; train it on the same data"
        )
    net = baseline.part("baseline")

    @torch.inference_mode()
    def logits(field: Float[Tensor, "b h h"], drawn: Sequence[Pieces | None]) -> Float[Tensor, "b c"]:
        with baseline.precision():
            return net(field).float().cpu()

    return RecognitionModel(baseline.config.baseline.backbone, baseline, size(net), logits, baseline.config.sketch)


def subset(classes: int) -> Bool[Tensor, " c"]:
    """The classes of the smaller task, which are always the same SUBSET. There are none if the model has no more
    classes than that.
    """
    chosen = torch.zeros(classes, dtype=torch.bool)
    if classes > SUBSET:
        chosen[np.random.default_rng(0).choice(classes, SUBSET, replace=False)] = True
    return chosen


def sample(store: Store, split: str, limit: int | None) -> np.ndarray:
    """The row numbers of a split, or `limit` of them, chosen at random but always the same."""
    return some(store.rows(split), limit)


def some(rows: np.ndarray, limit: int | None) -> np.ndarray:
    """Rows, or `limit` of them, chosen at random but always the same."""
    if limit and limit < len(rows):
        rows = np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
    return rows


def batches(
    model: SketchModel, store: Store, split: str, limit: int | None, on_progress: OnProgress, style: Style = as_drawn
) -> Iterator[tuple[list[Sketch], Int[Tensor, " b"]]]:
    """The drawings of a split in batches, with the model's numbers of their classes. Random choices depend only on the
    row.
    """
    number = np.array([model.label_of(name) for name in store.labels])
    rows = sample(store, split, limit)
    for first in range(0, len(rows), BATCH):
        chosen = rows[first : first + BATCH]
        sketches = [style(store[int(row)], np.random.default_rng((0, int(row)))) for row in chosen]
        yield sketches, torch.from_numpy(number[store.label[chosen]])
        on_progress(first + len(chosen), len(rows))


def ranks(
    contenders: Sequence[RecognitionModel], drawings: LabelledBatches, among: Bool[Tensor, " c"]
) -> tuple[Int[Tensor, " b"], list[Int[Tensor, "2 b"]]]:
    """The classes of the drawings; and, for each model, the number of classes that it ranks before the right one.

    The number is given among all classes, and among the classes in `among`.
    """
    labels: list[Tensor] = []
    seen: list[list[Tensor]] = [[] for _ in contenders]
    for sketches, label in drawings:
        labels.append(label)
        given: dict[tuple, tuple[Tensor, list[Pieces | None]]] = {}  # each is made only once
        for contender, kept in zip(contenders, seen, strict=True):
            used_to = (repr(contender.shape), contender.strokes, contender.shown)
            if used_to not in given:
                given[used_to] = contender.given(sketches)
            logits = contender.logits(*given[used_to])
            kept.append(torch.stack([rank_of(logits, label), rank_of(logits, label, among)]))
    return torch.cat(labels), [torch.cat(kept, dim=1) for kept in seen]


def accuracy(rank: Int[Tensor, " b"], label: Int[Tensor, " b"]) -> Accuracy:
    """The accuracy that follows from the ranks: `rank` is the number of classes ranked before the right one."""
    hits = (rank == 0).double()
    count = torch.bincount(label)
    per_class = (torch.zeros(len(count), dtype=torch.double).index_add(0, label, hits) / count)[count > 0]
    top1, top5, class_mean = (float(x.mean()) for x in (hits, (rank < 5).double(), per_class))
    return Accuracy(len(rank), top1, interval(hits.numpy()), top5, class_mean)


def milliseconds(work: Callable[..., object], calls: Sequence[tuple[Any, ...]], sketches: int) -> float:
    """The time that `work` takes for one sketch: the median of ROUNDS of all calls, after a warm-up round."""
    seconds = []
    for _ in range(1 + ROUNDS):
        start = time.perf_counter()
        for given in calls:
            work(*given)
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds[1:]) / sketches
