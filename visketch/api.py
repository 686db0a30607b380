"""`ViSketch`, the class that users import, and its results: sketches and explanations that can be saved and shown."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, overload

import numpy as np
from jaxtyping import Float
from torch import Tensor

from visketch.atomic import write_atomically
from visketch.data import write
from visketch.data.drawing import Drawing, several, sketch
from visketch.errors import UsageError
from visketch.geometry import trace
from visketch.geometry.sketch import Sketch
from visketch.model import DEFAULTS, Generated, Prediction, SketchModel
from visketch.render.animation import ANIMATED, write_animation
from visketch.render.files import png, write_png, write_svg
from visketch.render.grey import picture
from visketch.sampling import Frame, SamplingOptions, check_number
from visketch.tasks import complete, explain, like, morph, refine
from visketch.tasks.complete import Completion
from visketch.tasks.explain import Explanation

if TYPE_CHECKING:
    from PIL.Image import Image

    # A list of these is several drawings. A list of anything else may be the strokes of one drawing.
    Whole = TypeVar("Whole", bound=str | PathLike[str] | bytes | BinaryIO | Image | Sketch)

OnProgress = Callable[[Frame], None]
SHOWN = 256  # the side, in pixels, of a sketch shown in a notebook
LARGEST = 4096  # the longest side, in pixels, of a picture of a sketch
SUFFIXES = (".png", ".svg", ".ndjson", ".gif", ".webp")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DrawnSketch(Sketch):
    """A sketch that the model drew.

    `strokes` are in pixels of its canvas. If the coarse stage draws strokes, they are the strokes that it drew.
    Otherwise they are the centre lines traced from the field. A notebook shows the sketch as a picture. It is also a
    `Sketch`, so it can be classified, refined or searched for.
    """

    strokes: tuple[np.ndarray, ...] = ()
    field: Float[Tensor, "h h"]  # the signed distance to the ink, positive inside
    clamp: float  # the distance at which the field saturates, a share of the canvas
    pen: float  # the width of the line, in pixels of the canvas
    given: int = 0  # how many of the first strokes were given and not drawn by the model, as in a completion
    score: float | None = None  # the classifier's probability of its class; None if it was not classified
    seed: int = 0
    # How the sketch was made; this is written into its file
    facts: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        canvas: Float[Tensor, "h h"],
        clamp: float,
        pen: float,
        strokes: tuple[np.ndarray, ...] | None = None,
        **more: Any,
    ) -> "DrawnSketch":
        """Turn a field into a sketch.

        `strokes` are the strokes that the model drew, in pixels, with a pen of `pen` pixels. Without them, the field is
        traced. `more` are further fields of the sketch.
        """
        canvas, in_order = canvas.cpu(), strokes is not None  # tracing finds lines in no particular order
        if strokes is None:
            traced = trace.trace(trace.from_field(canvas.float().numpy(), clamp))
            strokes, pen = traced.strokes, traced.pen
        return cls(strokes=strokes, in_order=in_order, field=canvas, clamp=clamp, pen=pen, source="drawn", **more)

    def pixels_at(self, side: int) -> np.ndarray:
        """The sketch as grey levels (side side) uint8, dark on white. It is sharp at any size.

        Strokes that the model drew are the same curves as in an SVG.
        """
        drawn = trace.Trace(self.strokes, self.pen) if self.in_order else None
        return picture(self.field, self.clamp, side, drawn)

    def image(self, size: int | None = None) -> "Image":
        """The sketch as a grey PIL image, `size` pixels wide. By default it is as wide as the canvas.

        Raises UsageError for a size that is not from 1 to LARGEST.
        """
        from PIL import Image

        return Image.fromarray(self.pixels_at(self._side(size)))

    def _side(self, size: int | None) -> int:
        if size is None:
            return len(self.field)
        check_number("size", size, 1, LARGEST)
        return size

    def save(self, path: str | Path, size: int | None = None, animate: bool = False) -> Path:
        """Write the sketch to a file and return the path.

        The suffix is .png or .svg (`size` pixels wide) or .ndjson (one line). A .gif or .webp file shows the sketch
        being drawn stroke by stroke, and so do .svg and .png files with `animate`.

        Raises UsageError for another suffix, a size that is not from 1 to LARGEST, or anything that is not a path;
        VisketchError if the file cannot be written.
        """
        path, side = _path(path), self._side(size)
        facts = {"class": self.label, "seed": self.seed, "score": self.score, "size": side, **self.facts}
        suffix = path.suffix.lower()
        if suffix in (".gif", ".webp") or (animate and suffix in ANIMATED):
            lines = trace.Trace(self.strokes, self.pen).scaled(side / len(self.field))
            write_animation(path, [lines], side, side, facts, given=self.given)
        elif suffix == ".png":
            write_png(path, self.pixels_at(side), facts)
        elif suffix == ".svg":
            lines = trace.Trace(self.strokes, self.pen).scaled(side / len(self.field))
            write_svg(path, [lines], side, side, facts, given=self.given)
        elif suffix == ".ndjson":
            write_atomically(path, write.ndjson(self.strokes, self.label).encode())
        else:
            raise UsageError(f"{path}: sketches are written as {', '.join(SUFFIXES)}; name such a file")
        return path

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score={self.score:.2f}"
        strokes = f"{len(self.strokes)} stroke{'s'[: len(self.strokes) != 1]}"
        return f"DrawnSketch({self.label!r}, {strokes}{score}, seed={self.seed})"

    def _repr_png_(self) -> bytes:
        return png(self.pixels_at(SHOWN), {})


@dataclass(frozen=True, eq=False)
class SavedExplanation(Explanation):
    """An explanation with its picture: the drawing under its leaves. Leaves for the class are green, leaves against it
    red.
    """

    clamp: float = dataclasses.field(default=0.0, kw_only=True, repr=False)
    name: str = dataclasses.field(default="", kw_only=True)  # the name of the drawing, shown above the picture

    def image(self) -> "Image":
        from PIL import Image

        from visketch.render.explanation import picture

        return Image.fromarray(picture(self, self.clamp, self.name))

    def save(self, path: str | Path) -> Path:
        """Write the picture as a .png file and return the path.

        Raises UsageError for another suffix or anything that is not a path; VisketchError if the file cannot be
        written.
        """
        path = _path(path)
        if path.suffix.lower() != ".png":
            raise UsageError(f"{path}: an explanation is a picture; name a .png file")
        write_png(path, np.asarray(self.image()), {"of": self.name})
        return path

    def _repr_png_(self) -> bytes:
        return png(np.asarray(self.image()), {})


def _path(path: str | Path) -> Path:
    """The path of a file to write. Raises UsageError for anything else."""
    if not isinstance(path, str | PathLike):
        kind = type(path).__name__
        raise UsageError(f"a result is saved to a path, not to an object of type {kind}; give a path, or use .image()")
    return Path(path)


def quiet(frame: Frame) -> None:
    """The default `on_progress`: it reports nothing."""


class ViSketch(SketchModel):
    """A sketch checkpoint, with one method for each thing that it can do: `classify`, `generate`, `vary`, `morph`,
    `refine`, `complete` and `explain`.

    A drawing is a path, a PIL image, the bytes of a file or an open file, an array, a tensor or strokes: see
    `visketch.data.drawing.sketch`. Keyword arguments such as `tries=8` or `temperature=0.5` replace single
    `SamplingOptions`. Every error is a `VisketchError`; a wrong value raises its subclass `UsageError`.
    """

    @overload
    def classify(self, drawing: "Whole | np.ndarray | Tensor", top: int = 5) -> list[Prediction]: ...
    @overload
    def classify(self, drawing: "list[Whole] | tuple[Whole, ...]", top: int = 5) -> list[list[Prediction]]: ...
    @overload
    def classify(self, drawing: Drawing, top: int = 5) -> Any: ...

    def classify(self, drawing: Drawing, top: int = 5) -> Any:
        """The `top` most probable classes of a drawing, best first. A list of drawings gives a list of such lists. They
        are classified together, which is several times as fast.

        Raises VisketchError for a drawing that is blank or cannot be read, UsageError for anything that is not a
        drawing. To a type checker, the result for lists of strokes is `Any`: these can be one drawing or several.
        """
        drawings = several(drawing)
        return self.classify_many([drawing], top)[0] if drawings is None else self.classify_many(drawings, top)

    def generate(
        self,
        label: str,
        n: int = 1,
        *,
        seed: int = 0,
        options: SamplingOptions = DEFAULTS,
        on_progress: OnProgress = quiet,
        **changes: Any,
    ) -> list[DrawnSketch]:
        """Draw `n` new sketches of a class.

        Sketch i has the seed `seed` + i, and it does not depend on `n`. `on_progress` receives a `Frame` after every
        step. Raises UsageError for an unknown class or an option out of range.
        """
        options, label = SamplingOptions.changed(options, changes), self._label(label)
        drawn = self.generate_fields(label, n, seed=seed, options=options, on_progress=on_progress)
        facts = {"refine": options.refined(options.coarse or self.config.coarse)}
        return self._generated(drawn, label, int(seed), facts)

    def vary(
        self,
        drawing: Drawing,
        label: str | None = None,
        n: int = 1,
        *,
        strength: float = like.STRENGTH,
        seed: int = 0,
        options: SamplingOptions = DEFAULTS,
        on_progress: OnProgress = quiet,
        **changes: Any,
    ) -> list[DrawnSketch]:
        """Draw `n` sketches that resemble a given drawing and have the same number of strokes.

        `strength` in [0, 1] says how much may change. `label` is the class of the drawing, by default the classifier's
        guess. Raises UsageError if the weights do not draw strokes, if an option is out of range, and for a `detail` or
        `coarse="field"`; VisketchError for a drawing with too many strokes.
        """
        own = sketch(drawing)
        label = self._label(label, own)
        how: dict[str, Any] = {"strength": strength, "seed": seed, "options": options, "on_progress": on_progress}
        drawn = like.like(self, own, label, n, **how, **changes)
        return self._generated(drawn, label, int(seed), {"strength": strength})

    def morph(
        self,
        first: Drawing,
        last: Drawing,
        labels: tuple[str, str] | None = None,
        *,
        steps: int = morph.STEPS,
        strength: float = morph.STRENGTH,
        seed: int = 0,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> morph.Morph:
        """Turn one drawing into another, in steps that are drawings themselves. `.sketches()` of the result gives them.

        `labels` are the classes of the two drawings, by default the classifier's guesses. The other arguments and the
        errors are those of `tasks.morph.morph`.
        """
        ends = [sketch(drawing) for drawing in (first, last)]
        if labels is None:
            start, end = (guesses[0].label for guesses in self.classify_many(ends, top=1))
            labels = start, end
        how: dict[str, Any] = {"steps": steps, "strength": strength, "seed": seed, "on_progress": on_progress}
        return morph.morph(self, ends[0], ends[1], labels, **how)

    def _generated(self, drawn: Generated, label: str, seed: int, facts: dict[str, Any]) -> list[DrawnSketch]:
        count = len(drawn.canvas)
        scores = drawn.probability.tolist() if drawn.probability is not None else [None] * count
        strokes = drawn.strokes or [None] * count
        return [
            self._drawn(canvas, label, score, seed + i, facts, lines)
            for i, (canvas, score, lines) in enumerate(zip(drawn.canvas, scores, strokes, strict=True))
        ]

    def refine(
        self,
        drawing: Drawing,
        label: str | None = None,
        *,
        strength: float = 0.0,
        canvas: int | None = None,
        seed: int = 0,
        options: SamplingOptions = DEFAULTS,
        on_progress: OnProgress = quiet,
        **changes: Any,
    ) -> DrawnSketch:
        """Draw a rough sketch again with clean lines.

        `label` is the class of the sketch, by default the classifier's guess. `strength` in [0, 1] says how much may
        change. `canvas` is the side of the canvas in pixels. See `tasks.refine.refine`.
        """
        rough = sketch(drawing)
        label = self._label(label, rough)
        made = refine.refine(
            self,
            [rough],
            [label],
            strength=strength,
            canvas=canvas,
            seed=seed,
            options=options,
            on_progress=on_progress,
            **changes,
        )
        strokes = made.strokes[0] if made.strokes else None
        drawn = self._drawn(made.canvas[0], label, None, seed, {"strength": strength}, strokes)
        seen = made.canvas
        if seen.shape[-1] != self.config.sketch.canvas:  # larger ones are not recognised (questions/high-resolution.md)
            seen = self.fields([drawn], self.config.reading)
        score = float(self.logits(seen)[0].softmax(dim=0)[self.label_of(label)])
        return dataclasses.replace(drawn, score=score)

    def complete(
        self,
        drawing: Drawing,
        label: str | None = None,
        n: int = 4,
        *,
        seed: int = 0,
        options: SamplingOptions = DEFAULTS,
        on_progress: OnProgress = quiet,
        **changes: Any,
    ) -> list[DrawnSketch]:
        """Finish a half-drawn sketch in `n` ways and return them, the best first. The given ink is kept.

        Without a `label`, the completions are spread over the classes that the classifier finds probable.
        """
        check_number("n", n, 1)
        part = sketch(drawing)
        guesses = self.classify_many([part], top=complete.PROPOSED)[0] if label is None else []
        labels = complete.spread(guesses, n) if label is None else [label] * n
        found = complete.complete(self, part, labels, seed=seed, options=options, on_progress=on_progress, **changes)
        return [self._completed(one, part) for one in complete.best_first(found)]

    def _completed(self, found: Completion, part: Sketch) -> DrawnSketch:
        lines, given = complete.strokes(found, part, self.config.sketch)
        about = found.label, found.probability, found.seed, {"added": found.added}
        return dataclasses.replace(self._drawn(found.canvas, *about, lines and lines.strokes), given=given)

    def explain(self, drawing: Drawing, top: int = 5) -> SavedExplanation:
        """Explain which parts of a drawing decide its class.

        The class is that of the leaves alone, at all levels, so `classify` may give another one: it also reads the
        strokes. The result has `.label`, `.words`, `.votes` and `.save("why.png")`. `top` is the number of classes that
        it lists. Raises VisketchError for a drawing that is blank or cannot be read.
        """
        why = explain.explain(self, sketch(drawing), top)
        name = Path(drawing).name if isinstance(drawing, str | Path) else ""
        return SavedExplanation(**vars(why), clamp=self.config.sketch.clamp, name=name)

    def _label(self, label: str | None, drawing: Sketch | None = None) -> str:
        """A class, in its own spelling. Without a `label`, it is the most probable class of the drawing."""
        if label is None and drawing is not None:
            return self.classify_many([drawing], top=1)[0][0].label
        return self.labels[self.label_of(label)]  # type: ignore[arg-type]

    def _drawn(
        self, canvas: Any, label: str, score: float | None, seed: int, facts: dict[str, Any], strokes: Any = None
    ) -> DrawnSketch:
        shape = self.config.sketch.at(canvas.shape[-1])
        facts = {"checkpoint": self.config.name, **facts}
        about = {"label": label, "score": score, "seed": seed, "facts": facts}
        return DrawnSketch.of(canvas, shape.clamp, shape.pen * shape.canvas, strokes, **about)
