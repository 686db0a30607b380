"""Recognise many drawings: reading and rendering, which other processes do, and classifying batches.

Imports no torch, so that the processes that read files start quickly.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visketch.config import SketchConfig
from visketch.data.named import Item, about, drawings, opened
from visketch.errors import VisketchError
from visketch.geometry import sdf

if TYPE_CHECKING:
    from visketch.model import SketchModel

Row = dict[str, Any]


@dataclass(frozen=True)
class RenderedDrawing:
    """A drawing by the name to show, as a field (h h), or why there is none."""

    name: str
    field: np.ndarray | None
    problem: str = ""


def draw(shape: SketchConfig, item: Item, done: Container[str] = ()) -> Iterator[RenderedDrawing]:
    """Every drawing of an item, but for those done, as its field."""
    for name, sketch in drawings(item):
        if name in done:
            continue
        if isinstance(sketch, str):
            yield RenderedDrawing(name, None, sketch)
            continue
        try:
            yield RenderedDrawing(name, sdf.render(sketch, shape))
        except VisketchError as error:
            yield RenderedDrawing(name, None, about(error, sketch.source))


def undone(items: Iterable[Item], done: Container[str]) -> Iterator[Item]:
    """The items but for those known to be among those done, before they are read."""
    return (item for item in items if (str(item) if isinstance(item, Path) else item[0]) not in done)


def undone_drawings(items: Iterable[Item], done: Container[str]) -> Iterator[Item]:
    """The same, with files of many drawings opened here."""
    return undone(opened(items), done)


class BatchClassifier:
    """Batches of drawings → rows: {"path", "predictions"}, the likeliest first, or {"path", "error"}.

    "sure" is in it too if the classifier is calibrated: whether nine of ten such answers are right.
    """

    def __init__(self, model: "SketchModel", top: int) -> None:
        self.model, self.top, self.sure = model, top, sure(model)

    def __call__(self, some: list[RenderedDrawing]) -> list[Row]:
        fields = [drawn.field for drawn in some if drawn.field is not None]
        answers = iter(self.model.classify_fields(np.stack(fields), self.top) if fields else [])
        return [
            {"path": drawn.name, "error": drawn.problem}
            if drawn.field is None
            else {"path": drawn.name, **self.answer(next(answers))}
            for drawn in some
        ]

    def answer(self, guesses: list[Any]) -> Row:
        said: Row = {"predictions": [_rounded(guess) for guess in guesses]}
        return said if self.sure is None else said | {"sure": guesses[0].probability >= self.sure}


def sure(model: "SketchModel") -> float | None:
    """The probability from which on nine of ten answers are right; None if it was never measured."""
    from visketch import checkpoint  # which imports torch: processes that only draw start without it

    facts = checkpoint.read_metadata(model.folder, "classifier")["facts"] if model.folder else {}
    return facts.get("confidence", {}).get("sure")


def batch_classifier(checkpoint: str | Path | None, top: int, device: str) -> BatchClassifier:
    """One made where it works, on any machine of a cluster. Raises VisketchError."""
    from visketch.model import SketchModel

    return BatchClassifier(SketchModel.load(checkpoint, device), top)


def _rounded(guess: Any) -> Row:
    return {"label": guess.label, "probability": round(guess.probability, 6)}
