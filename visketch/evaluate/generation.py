"""The generation table: a judge compares real drawings, other people's samples, and our sketches, both coarse and
refined.

Every row has the same number of sketches of each class, so that every class has the same weight in every figure.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from visketch.config import Coarse
from visketch.data.read import read
from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.evaluate.generation_metrics import (
    NOTHING,
    Cost,
    GenerationRow,
    JudgeOutputs,
    Likeness,
    Reference,
    measure,
)
from visketch.evaluate.judges import Judge, JudgedAs, check, reread
from visketch.geometry.sketch import Sketch
from visketch.metrics import seam
from visketch.model import SketchModel
from visketch.quadtree import Order
from visketch.sampling import SamplingOptions, candidate_seeds
from visketch.tasks.refine import thinned

BATCH = 64  # the number of sketches that are drawn and judged together
REFERENCE, ALTOGETHER = 1000, 7000  # the most training drawings that are judged: of a class, and of all classes

TRAINING, SAMPLES = "training drawings", "sketch-rnn samples"
ROWS: dict[Coarse, tuple[str, str]] = {  # for each coarse stage: the rows of its sketches, and of the refined ones
    "field": ("coarse field", "refined field"),
    "strokes": ("strokes", "strokes refined"),
}

OTHER = {"test": "validation", "validation": "test"}  # the split with which real drawings are compared

OnProgress = Callable[[str, int, int], None]  # the current step, the number of sketches judged, the number of sketches
OnSketches = Callable[[str, int, Tensor], None]  # the row, the number of the class, and fields (b h h)


@dataclass(frozen=True)
class Settings:
    """How many sketches of each class are drawn, how they are drawn, and how the judge sees them.

    The seed of sketch i is `seed` + i.
    """

    n: int = 150
    seed: int = 0
    split: str = "test"  # the split of the real drawings
    seen: JudgedAs = "picture"
    order: Order = "waves"  # the order in which the refiner draws
    steps: int | None = None  # None: what the checkpoint says for each coarse stage
    guidance: float | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    tries: int = 1  # candidates of which the checkpoint's classifier keeps one
    canvas: int | None = None  # the side, in pixels, on which all sketches are drawn; None: that of training


@dataclass(frozen=True)
class GenerationTable:
    settings: Settings
    classes: list[str]
    training: int  # the number of training drawings among which the nearest is searched
    reference: int  # the size of a subset with the same number of each class; FID and KID are distances to it
    fid_sketches: int  # the size of the smallest row; for larger rows, FID is the mean over sets of this size
    held_out: int  # the number of real drawings with which as many of a row are compared for precision, recall and C2ST
    rows: list[GenerationRow]


class Evaluator:
    """Passes sketches to the judge and collects its outputs for each row of the table, but keeps no sketches."""

    def __init__(
        self, model: SketchModel, judge: Judge, seen: JudgedAs, total: int, on_progress: OnProgress, show: OnSketches
    ) -> None:
        self.model, self.judge, self.seen, self.total, self.on_progress, self.show = (
            model,
            judge,
            seen,
            total,
            on_progress,
            show,
        )
        self.outputs: dict[str, list[tuple[np.ndarray, ...]]] = defaultdict(list)
        self.done = 0

    def begin(self, what: str) -> None:
        """Report that the next step begins."""
        self.on_progress(what, self.done, self.total)

    def add(self, row: str, place: int, canvas: Float[Tensor, "b h h"]) -> None:
        """Judge sketches of one class for a row. Their seams are measured on the fields as they were drawn."""
        shape = self.model.config.sketch.at(canvas.shape[-1])
        self.show(row, place, canvas)
        seams = seam(canvas, shape.tile, shape.near) * shape.clamp / shape.pen
        field = reread(canvas, shape, self.judge.shape) if self.seen == "picture" else canvas
        said = (*self.judge.logits_and_features(field), seams)
        self.outputs[row].append((*(part.cpu().numpy() for part in said), np.full(len(canvas), place)))
        self.done += len(canvas)
        self.begin(row)

    def outputs_of(self, row: str) -> JudgeOutputs:
        return JudgeOutputs(*(np.concatenate(column) for column in zip(*self.outputs[row], strict=True)))


@torch.inference_mode()
def table(
    model: SketchModel,
    judge: Judge,
    store: Store,
    labels: Sequence[str],
    settings: Settings = Settings(),
    samples: Path | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
    show: OnSketches = lambda row, place, canvas: None,
) -> GenerationTable:
    """Judge real drawings, `samples` (a folder of <class>.ndjson), and new sketches, coarse and refined.

    `show` receives every sketch as it was drawn, including the training drawings. Raises UsageError for classes or a
    judge that do not fit, VisketchError for a file that cannot be read.
    """
    if settings.n < 2:
        raise UsageError(f"n = {settings.n}: there must be at least two sketches of a class")
    names = list(dict.fromkeys(model.labels[model.label_of(label)] for label in labels))
    check(judge, names, model.config.sketch.at(settings.canvas or model.config.sketch.canvas), settings.seen)
    real = f"real drawings ({settings.split})"
    others = f"real drawings ({OTHER[settings.split]})"
    given = {
        TRAINING: _drawings(store, "train", names, max(2, min(REFERENCE, ALTOGETHER // len(names))), settings.seed),
        real: _even(_drawings(store, settings.split, names, settings.n, settings.seed)),
    }
    if store.has(OTHER[settings.split], names):
        given[others] = _even(_drawings(store, OTHER[settings.split], names, settings.n, settings.seed))
    if samples:
        given[SAMPLES] = _even([_samples(samples / f"{name}.ndjson", settings.n) for name in names])
    stages = coarse_stages(model)
    total = sum(len(sketches) for classes in given.values() for sketches in classes)
    total += 2 * len(stages) * settings.n * len(names)
    evaluator = Evaluator(model, judge, settings.seen, total, on_progress, show)
    for row, classes in given.items():
        evaluator.begin(row)
        for place, sketches in enumerate(classes):
            for first in range(0, len(sketches), BATCH):
                evaluator.add(row, place, model.render(sketches[first : first + BATCH], settings.canvas))
    costs = {row: NOTHING for row in given if row not in (TRAINING, others)}
    for stage in stages:
        costs |= _draw(evaluator, names, settings, stage)
    return _measure(evaluator, names, settings, costs, real, others)


def coarse_stages(model: SketchModel) -> list[Coarse]:
    """The kinds of coarse stage that a checkpoint has: fields, strokes or both."""
    beside: list[Coarse] = ["field"] if model.config.coarse == "strokes" and model.has("field") else []
    return [*beside, model.config.coarse]


def _drawings(store: Store, split: str, names: list[str], most: int, seed: int) -> list[list[Sketch]]:
    """At most `most` random drawings of each class. Raises UsageError if there are fewer than two."""
    drawings, of_split = [], store.rows(split)
    for name in names:
        rows = of_split[store.label[of_split] == store.labels.index(name)] if name in store.labels else of_split[:0]
        if len(rows) < 2:
            raise UsageError(f"{store.path}: has {len(rows)} {split} drawings of {name!r}; at least two are needed")
        drawings.append([store[row] for row in np.random.default_rng(seed).permutation(rows)[:most]])
    return drawings


def _samples(path: Path, most: int) -> list[Sketch]:
    """The first drawings of a file. Raises UsageError if there are fewer than two."""
    found = list(islice(read(path), most))
    if len(found) < 2:
        raise UsageError(f"{path}: has one drawing; at least two are needed")
    return found


def _even(classes: list[list[Sketch]]) -> list[list[Sketch]]:
    """Cut all classes down to the number of sketches of the rarest class."""
    fewest = min(map(len, classes))
    return [sketches[:fewest] for sketches in classes]


def _draw(evaluator: Evaluator, names: list[str], settings: Settings, stage: Coarse) -> dict[str, Cost]:
    """Draw sketches as `ViSketch.generate` does, coarse and refined; returns the cost of one sketch for each row.

    The coarse stage runs once; its sketches are then refined, on the canvas that the settings ask for.
    """
    model, (drawn, refined) = evaluator.model, ROWS[stage]
    spent, steps = {drawn: 0.0, refined: 0.0}, 0
    tries, side = settings.tries, model.config.sketch.canvas
    batch = max(1, BATCH * side // (settings.canvas or side) // tries)  # a larger canvas has more leaves
    options = SamplingOptions(temperature=settings.temperature, top_p=settings.top_p, order=settings.order)
    for place, name in enumerate(names):
        for first in range(0, settings.n, batch):
            firsts = [settings.seed + number for number in range(first, min(first + batch, settings.n))]
            seeds = candidate_seeds(firsts, tries)
            label = torch.full((len(seeds),), model.label_of(name), device=model.device)
            evaluator.begin(drawn)
            begin = time.perf_counter()
            coarse = _coarse(model, label, seeds, settings, stage)
            spent[drawn] += _since(begin, coarse)
            evaluator.add(drawn, place, model.best_of(coarse, label, tries).canvas)
            evaluator.begin(refined)
            begin, canvas = time.perf_counter(), coarse
            for frame in model.decode(coarse, label, seeds=seeds, options=options):
                canvas, steps = frame.canvas, steps + len(firsts)
            canvas = model.best_of(canvas, label, tries).canvas
            spent[refined] += _since(begin, canvas)
            evaluator.add(refined, place, canvas)
    count = settings.n * len(names)
    return {drawn: Cost(spent[drawn] / count, None), refined: Cost(sum(spent.values()) / count, steps / count)}


def _coarse(
    model: SketchModel, label: Int[Tensor, " b"], seeds: list[int], settings: Settings, stage: Coarse
) -> Float[Tensor, "b h h"]:
    if stage == "strokes":
        options = SamplingOptions(steps=settings.steps, guidance=settings.guidance)
        return model.render(model.strokes(label, seeds, options), settings.canvas)
    field = model.coarse(label, seeds, settings.steps, settings.guidance)
    if settings.canvas in (None, model.config.sketch.canvas):
        return field
    return torch.stack([_finer(model, each, settings.canvas) for each in field])


def _finer(model: SketchModel, field: Float[Tensor, "h h"], canvas: int) -> Float[Tensor, "k k"]:
    """The centre lines of a field on a larger canvas, where the pen is finer. A field without ink stays blank."""
    sketch = thinned(model, field, canvas)
    blank = torch.full((canvas, canvas), -1.0, device=field.device)
    return model.render([sketch], canvas)[0] if sketch.pixels is not None and sketch.pixels.any() else blank


def _since(begin: float, canvas: Tensor) -> float:
    float(canvas[0, 0, 0])  # reading a pixel waits until an accelerator has finished
    return time.perf_counter() - begin


def _measure(
    evaluator: Evaluator, names: list[str], settings: Settings, costs: dict[str, Cost], real: str, others: str
) -> GenerationTable:
    training, outputs = evaluator.outputs_of(TRAINING), {row: evaluator.outputs_of(row) for row in costs}
    reference = Reference(training, settings.seed)
    classes = np.array([evaluator.judge.labels.index(name) for name in names])
    each, rows = min(len(said.place) for said in outputs.values()) // len(names), []
    held_out = dict.fromkeys(outputs, outputs[real])
    held_out[real] = evaluator.outputs_of(others) if others in evaluator.outputs else outputs[real]
    compared = min(len(said.place) for said in (*outputs.values(), *held_out.values())) // len(names)
    for row, said in outputs.items():
        evaluator.begin(f"figures: {row}")
        # Otherwise there would be nothing to compare the real drawings with
        alike = row != real or others in evaluator.outputs
        likeness = Likeness.between(held_out[row], said, compared, settings.seed) if alike else None
        rows.append(measure(row, said, classes, reference, likeness, each, costs[row], settings.seed))
    counts = len(reference.all), len(reference.even), each * len(names), compared * len(names)
    return GenerationTable(settings, names, *counts, rows)
