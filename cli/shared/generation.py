"""Draw new sketches batch by batch, and write each of them as soon as it is drawn."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visketch.errors import UsageError, VisketchError

from . import console, options
from .dataset import Dataset
from .filenames import stem
from .outputs import Outputs
from .pictures import Sheet, SheetOfStrokes, columns_for, is_picture, trace, write_sketch

if TYPE_CHECKING:
    from torch import Tensor

    from visketch.geometry.sketch import Sketch
    from visketch.geometry.trace import Trace
    from visketch.model import Generated, SketchModel
    from visketch.sampling import Frame

# The sketches that are drawn at once, so that memory does not grow with -n. Those of strokes are sorted by length, and
# the more there are, the fewer pieces are computed only because the longest sketch of a batch has them.
BATCH, STROKES = 64, 256


@dataclass(frozen=True)
class Order:
    """What is to be drawn, and how it is written."""

    model: "SketchModel"
    classes: list[str]
    n: int  # sketches of each class
    seed: int
    settings: dict[str, Any]
    side: int  # pixels
    suffix: str
    animate: bool = False
    like: "Sketch | None" = None  # the drawing of which the sketches are variations

    @property
    def total(self) -> int:
        return self.n * len(self.classes)

    @property
    def facts(self) -> dict[str, Any]:
        """How the sketches are made, apart from their seeds and classes."""
        return {**self.settings, "checkpoint": self.model.config.name}


@dataclass(frozen=True)
class Drawn:
    """A sketch that was drawn."""

    label: str
    number: int  # its number among the sketches of its class
    field: "Tensor"
    strokes: "Trace | None"  # the strokes, if the coarse stage drew some
    score: float | None  # the classifier's probability of the class, if it was asked


def write(order: Order, out: Path, outputs: Outputs, overwrite: bool, skip_done: bool) -> dict[str, Any]:
    """Draw sketches and write each as it comes. Returns what to say about them. Raises VisketchError."""
    stems = {label: stem(label) for label in order.classes}
    if len(set(stems.values())) < len(stems):
        raise UsageError("two of these classes would get the same file names; draw them one after another")
    start, clamp, suffix = time.perf_counter(), order.model.config.sketch.clamp, order.suffix
    facts = {"seed": order.seed, **order.facts, "size": order.side}
    sheet = None if is_picture(out) and (suffix == ".ndjson" or order.total == 1) else sheet_of(order, out)
    sketches, sets = list[dict[str, Any]](), dict[Path, Dataset]()
    with ExitStack() as files, telling(sketches, sets, order):
        if suffix == ".ndjson":
            for label in order.classes:
                path = place_of(out, suffix, stems[label], 0, alone=True)
                if path and path not in sets:
                    sets[path] = files.enter_context(Dataset(path, order.facts, skip_done, overwrite))
        asked = {(label, order.seed + i) for label in order.classes for i in range(order.n)}
        done = asked & set().union(*(each.done for each in sets.values()))
        for drawn in draw(order, done):
            seed = order.seed + drawn.number
            path = place_of(out, suffix, stems[drawn.label], drawn.number, alone=sheet is None)
            if sheet:
                place = order.classes.index(drawn.label) * order.n + drawn.number
                sheet.add(place, drawn.field, clamp, drawn.strokes)
            if path in sets:
                lines = trace(drawn.field, clamp, order.side, drawn.strokes)
                path = path if sets[path].add(lines, drawn.label, seed, drawn.score) else None
            elif path:
                about = facts | {"class": drawn.label, "seed": seed}
                file = outputs.take(path)
                write_sketch(file, drawn.field, clamp, order.side, about, drawn.strokes, animate=order.animate)
            sketches.append({"class": drawn.label, "seed": seed, "score": drawn.score, "path": path})
    own = out if is_picture(out) else out / "sheet.png" if overwrite else None  # otherwise an earlier sheet is kept
    with outputs.place(own, out / "sheet.png") as on_sheet:
        about = facts | {"classes": order.classes, "n": order.n}
        if isinstance(sheet, SheetOfStrokes):
            sheet.write(outputs.take(on_sheet), about, order.animate)
        elif sheet:
            sheet.write(outputs.take(on_sheet), about)
    return {
        "paths": list(dict.fromkeys(sketch["path"] for sketch in sketches if sketch["path"])) or [on_sheet],
        "sheet": on_sheet,
        **facts,
        "done_before": len(done),
        "seconds": round(time.perf_counter() - start, 3),
        "device": str(order.model.device),
        "sketches": sketches,
    }


def sheet_of(order: Order, out: Path) -> Sheet | SheetOfStrokes:
    """An empty sheet: of strokes if it is written as an SVG or as an animation, and otherwise of pixels."""
    columns = columns_for(len(order.classes), order.n)
    if is_picture(out) and (order.suffix == ".svg" or order.animate):
        return SheetOfStrokes(order.total, columns, order.side)
    sheet = Sheet(order.total, columns, order.side, named=len(order.classes) > 1)
    if len(order.classes) > 1:
        for number, label in enumerate(order.classes):
            sheet.name(number * order.n, label, order.n)
    return sheet


@contextmanager
def telling(sketches: list[dict[str, Any]], sets: dict[Path, Dataset], order: Order) -> Iterator[None]:
    """If the run inside this context is interrupted or fails, say how many of the sketches are written, and how to
    continue.
    """
    try:
        yield
    except KeyboardInterrupt:
        written, go_on = sum(sketch["path"] is not None for sketch in sketches), ""
        if sets:
            written, go_on = sum(len(each.done) for each in sets.values()), "; continue with --skip-done"
        console.note(f"{written:,} of {order.total:,} sketches are written{go_on if written else ''}")
        raise
    except VisketchError as error:
        if written := sum(len(each.done) for each in sets.values()):
            raise type(error)(f"{error}; {written:,} sketches are written; continue with --skip-done") from error
        raise


def place_of(out: Path, suffix: str, name: str, number: int, alone: bool) -> Path | None:
    """The file that a sketch goes to; None if it only goes on the sheet."""
    if is_picture(out):
        return out if alone else None
    return out / (f"{name}.ndjson" if suffix == ".ndjson" else f"{name}-{number:04d}{suffix}")


def draw(order: Order, done: set[tuple[str, int]]) -> Iterator[Drawn]:
    """Draw every sketch, except those in `done` (class and seed), in batches and with a progress bar."""
    from visketch.geometry.trace import Trace

    model, settings = order.model, order.settings
    plain = settings["coarse"] == "strokes" and not settings["refine"]
    most = max(1, (STROKES if plain else BATCH) // settings["tries"])
    pen = model.config.sketch.pen * model.config.sketch.canvas
    with console.progress() as bar:
        whole = bar.add_task("sketches", total=order.total, completed=len(done), visible=order.total > most)
        coarse, refine = bar.add_task("coarse"), bar.add_task("refine", visible=settings["refine"])
        tasks, begin, told, count = {"coarse": coarse, "refine": refine}, time.monotonic(), time.monotonic(), len(done)

        def on_progress(frame: "Frame") -> None:
            bar.update(tasks[frame.stage], completed=frame.done, total=frame.total)

        for labels, first, each in batches(order.classes, order.n, most):
            wanted = [(label, first + i) for label in labels for i in range(each)]
            if all((label, order.seed + number) in done for label, number in wanted):
                continue
            made = generated(order, labels, first, each, on_progress)
            scores = made.probability.tolist() if made.probability is not None else [None] * len(wanted)
            for place, (label, number) in enumerate(wanted):
                if (label, order.seed + number) not in done:
                    lines = Trace(made.strokes[place], pen) if made.strokes else None
                    yield Drawn(label, number, made.canvas[place], lines, scores[place])
                    count += 1
            bar.update(whole, completed=count)
            if time.monotonic() - told >= console.EVERY and not console.stderr().is_terminal:
                told = time.monotonic()
                rate = (count - len(done)) / max(told - begin, 1e-6)
                left = console.duration((order.total - count) / max(rate, 1e-6))
                console.note(f"{count:,} of {order.total:,} sketches, {rate:.1f} a second, {left} left")


def generated(order: Order, labels: list[str], first: int, count: int, on_progress: Any) -> "Generated":
    """Draw one batch. The probability of each sketch's class is included if the checkpoint has a classifier."""
    from dataclasses import replace

    import torch

    model, settings = order.model, order.settings
    chosen = options.sampling(settings)
    how: dict[str, Any] = {"seed": order.seed + first, "options": chosen, "on_progress": on_progress}
    if order.like:
        from visketch.tasks.like import like

        made = like(model, order.like, labels, count, strength=settings["strength"], **how)
    else:
        made = model.generate_fields(labels, count, **how)
    if made.probability is None and order.suffix == ".ndjson" and model.has("classifier"):
        number = torch.tensor([model.label_of(label) for label in labels for _ in range(count)], device=model.device)
        chance = model.logits(made.canvas).softmax(dim=1).gather(1, number[:, None])[:, 0]
        made = replace(made, probability=chance.cpu())
    return made


def batches(classes: list[str], n: int, most: int = BATCH) -> Iterator[tuple[list[str], int, int]]:
    """Batches of at most `most` sketches: the classes, the number of the first sketch, and how many of each class."""
    together = max(1, most // n)
    for at in range(0, len(classes), together):
        for first in range(0, n, most):
            yield classes[at : at + together], first, min(most, n - first)
