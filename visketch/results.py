"""The results of `ViSketch`: sketches that can be saved, shown and used as input, and explanations with a picture."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from visketch.checkpoint import write_atomically
from visketch.data import write
from visketch.errors import UsageError
from visketch.geometry import trace
from visketch.geometry.sketch import Sketch
from visketch.render.animation import ANIMATED, write_animation
from visketch.render.files import png, write_png, write_svg
from visketch.render.grey import grey
from visketch.tasks.explain import Explanation

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 256  # pixels of a sketch in a notebook
SUFFIXES = (".png", ".svg", ".ndjson", ".gif", ".webp")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DrawnSketch(Sketch):
    """A sketch that the model drew. `strokes` are in pixels of its canvas: those that the coarse stage drew, if it
    draws strokes, or else the centre lines of the field.

    A notebook shows it as a picture. It is a `Sketch`, so it can be classified, refined or searched for.
    """

    field: Float[Tensor, "h h"]  # the signed distance to the ink, positive inside
    clamp: float  # the distance at which the field saturates, a share of the canvas
    pen: float  # the width of the line, in pixels of the canvas
    score: float | None = None  # the probability of its class by the classifier; None if it was not classified
    seed: int = 0
    # How it was made; written into its file
    facts: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, canvas: Float[Tensor, "h h"], clamp: float, strokes: tuple[np.ndarray, ...] | None = None, **more: Any
    ) -> "DrawnSketch":
        """A field → a sketch. `strokes`: those that the model drew, in pixels; without them the field is traced."""
        canvas = canvas.cpu()
        traced = trace.trace(trace.from_field(canvas.float().numpy(), clamp))
        strokes = traced.strokes if strokes is None else strokes
        return cls(strokes=strokes, field=canvas, clamp=clamp, pen=traced.pen, source="drawn", **more)

    def pixels_at(self, side: int) -> np.ndarray:
        """(side side) uint8, dark on white, sharp at any size."""
        return grey(self.field[None], self.clamp, side)[0]

    def image(self, size: int | None = None) -> "Image":
        """A grey PIL image, `size` pixels wide; by default as wide as the canvas."""
        from PIL import Image

        return Image.fromarray(self.pixels_at(size or len(self.field)))

    def save(self, path: str | Path, size: int | None = None, animate: bool = False) -> Path:
        """Write a .png or .svg `size` pixels wide, or a line of .ndjson; returns the path. A .gif or .webp draws it
        stroke by stroke, and so do .svg and .png with `animate`.

        Raises UsageError for another suffix, VisketchError if the file cannot be written.
        """
        path, side = Path(path), size or len(self.field)
        facts = {"class": self.label, "seed": self.seed, "score": self.score, "size": side, **self.facts}
        suffix = path.suffix.lower()
        if suffix in (".gif", ".webp") or (animate and suffix in ANIMATED):
            lines = trace.Trace(self.strokes or (), self.pen).scaled(side / len(self.field))
            write_animation(path, [lines], side, side, facts)
        elif suffix == ".png":
            write_png(path, self.pixels_at(side), facts)
        elif suffix == ".svg":
            lines = trace.Trace(self.strokes or (), self.pen).scaled(side / len(self.field))
            write_svg(path, [lines], side, side, facts)
        elif suffix == ".ndjson":
            write_atomically(path, write.ndjson(self.strokes or (), self.label).encode())
        else:
            raise UsageError(f"{path}: sketches are written as {', '.join(SUFFIXES)}; name such a file")
        return path

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score={self.score:.2f}"
        return f"DrawnSketch({self.label!r}, {len(self.strokes or ())} strokes{score}, seed={self.seed})"

    def _repr_png_(self) -> bytes:
        return png(self.pixels_at(SHOWN), {})


@dataclass(frozen=True, eq=False)
class SavedExplanation(Explanation):
    """An explanation with its picture: the drawing under its leaves, green for the class and red against it."""

    clamp: float = dataclasses.field(default=0.0, kw_only=True, repr=False)
    name: str = dataclasses.field(default="", kw_only=True)  # of the drawing, shown above the picture

    def image(self) -> "Image":
        from PIL import Image

        from visketch.render.explanation import picture

        return Image.fromarray(picture(self, self.clamp, self.name))

    def save(self, path: str | Path) -> Path:
        """Write the picture as .png; returns the path. Raises UsageError for another suffix, VisketchError if it cannot
        be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise UsageError(f"{path}: an explanation is a picture; name a .png file")
        write_png(path, np.asarray(self.image()), {"of": self.name})
        return path

    def _repr_png_(self) -> bytes:
        return png(np.asarray(self.image()), {})
