"""Recognise many drawings: other processes read and render them, and they are classified in batches.

This module does not import torch, so that the processes that read files start quickly.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from visketch.config import SketchConfig
from visketch.data.named import Item, about, drawings, opened
from visketch.errors import VisketchError
from visketch.geometry.marks import views
from visketch.geometry.pieces import Pieces, of_sketch, turned
from visketch.geometry.separate import separate
from visketch.geometry.sketch import Sketch

if TYPE_CHECKING:
    from visketch.model import SketchModel

Row = dict[str, Any]

UPRIGHT = 0.1  # the least gain in probability for which a turned drawing is preferred


class RenderedView(NamedTuple):
    """A field (h h), and its strokes if they are known."""

    field: np.ndarray
    strokes: Pieces | None


@dataclass(frozen=True)
class RenderedDrawing:
    """A drawing with its displayed name, as its views; or the reason why there are none."""

    name: str
    views: tuple[RenderedView, ...]
    problem: str = ""
    separate: int = 1  # the number of separate drawings in it


def draw(
    shape: SketchConfig, item: Item, done: Container[str] = (), *, split: bool = False, pieces: int = 0
) -> Iterator[RenderedDrawing]:
    """Every drawing of an item as views, except those that are done. Their strokes are cut into at most so many pieces.

    With `split`, the separate drawings on one page are drawings of their own, named after the page with a number.
    """

    def seen(sketch: Sketch) -> tuple[RenderedView, ...]:
        return tuple(
            RenderedView(field, of_sketch(one, pieces) if pieces else None) for one, field in views(sketch, shape)
        )

    for name, sketch in drawings(item):
        if name in done:
            continue
        if isinstance(sketch, str):
            yield RenderedDrawing(name, (), sketch)
            continue
        try:
            parts = separate(sketch, told=split)
            if split and len(parts) > 1:
                for number, part in enumerate(parts, 1):
                    own = f"{name}{'.' if '#' in name else '#'}{number}"
                    if own not in done:
                        yield RenderedDrawing(own, seen(part))
            else:
                yield RenderedDrawing(name, seen(sketch), separate=len(parts))
        except VisketchError as error:
            yield RenderedDrawing(name, (), about(error, sketch.source))


def undone(items: Iterable[Item], done: Container[str]) -> Iterator[Item]:
    """The items, except those whose names show, before they are read, that they are done."""
    return (item for item in items if (str(item) if isinstance(item, Path) else item[0]) not in done)


def undone_drawings(items: Iterable[Item], done: Container[str]) -> Iterator[Item]:
    """The items that are not done, with files of many drawings opened here and their done drawings left out."""
    return undone(opened(items), done)


class BatchClassifier:
    """Turns batches of drawings into rows: {"path", "predictions"}, the most probable first, or {"path", "error"}.

    If the classifier is calibrated, a row has "sure": whether nine in ten such answers are right. If there are several
    separate drawings in it, "separate" is their number. With `any_way_up`, each drawing is classified in all four
    quarter turns. A turned one only counts if its answer is more probable by UPRIGHT; "turned" has the degrees
    clockwise.
    """

    def __init__(self, model: "SketchModel", top: int, any_way_up: bool = False) -> None:
        self.model, self.top, self.sure = model, top, {part: sure(model, part) for part in ("classifier", "sequence")}
        self.turns = range(4 if any_way_up else 1)

    def __call__(self, some: list[RenderedDrawing]) -> list[Row]:
        seen = [drawn.views for drawn in some if drawn.views]
        ways = [(own, turn) for own in seen for turn in self.turns]
        fields = [np.rot90(view.field, -turn) for own, turn in ways for view in own]
        strokes = [view.strokes and turned(view.strokes, turn) for own, turn in ways for view in own]
        of = [number for number, (own, _) in enumerate(ways) for _ in own]
        answers = iter(self.model.classify_fields(np.stack(fields), self.top, strokes, of) if fields else [])
        rows = []
        for drawn in some:
            if not drawn.views:
                rows.append({"path": drawn.name, "error": drawn.problem})
                continue
            guesses = [next(answers) for _ in self.turns]
            # Most drawings are the right way up
            turn = max(self.turns, key=lambda turn: guesses[turn][0].probability - (UPRIGHT if turn else 0))
            row: Row = {"path": drawn.name, **self.answer(guesses[turn], drawn.views[0].strokes is not None)}
            row |= {"turned": 90 * turn} if turn else {}
            rows.append(row | ({"separate": drawn.separate} if drawn.separate > 1 else {}))
        return rows

    def answer(self, guesses: list[Any], by_strokes: bool) -> Row:
        said: Row = {"predictions": [_rounded(guess) for guess in guesses]}
        least = self.sure["sequence" if by_strokes else "classifier"]
        return said if least is None else said | {"sure": guesses[0].probability >= least}


def sure(model: "SketchModel", part: str = "classifier") -> float | None:
    """The least probability at which nine in ten answers are right, of the classifier or of `sequence` beside it.

    Returns None if it was not measured.
    """
    from visketch import checkpoint  # imported here, since it imports torch, which rendering processes do not need

    facts = checkpoint.read_metadata(model.folder, part)["facts"] if model.folder and model.has(part) else {}
    return facts.get("confidence", {}).get("sure")


def batch_classifier(checkpoint: str | Path | None, top: int, device: str, any_way_up: bool = False) -> BatchClassifier:
    """Make a BatchClassifier where it runs, on any machine of a cluster. Raises VisketchError."""
    from visketch.model import SketchModel

    return BatchClassifier(SketchModel.load(checkpoint, device), top, any_way_up)


def _rounded(guess: Any) -> Row:
    return {"label": guess.label, "probability": round(guess.probability, 6)}
