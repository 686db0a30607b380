"""`ViSketch`, the class that users import: drawings in, predictions and sketches out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from visketch.data.drawing import Drawing, sketch
from visketch.model import DEFAULTS, Generated, SketchModel
from visketch.results import DrawnSketch, SavedExplanation
from visketch.sampling import Frame, SamplingOptions
from visketch.tasks import complete, explain, like, morph, refine

OnProgress = Callable[[Frame], None]


def quiet(frame: Frame) -> None:
    """The default `on_progress`."""


class ViSketch(SketchModel):
    """A checkpoint to ask: `classify`, `generate`, `vary`, `morph`, `refine`, `complete`, `explain`.

    A drawing is a path, a PIL image, the bytes of a file or an open file, an array, a tensor or strokes: see
    `visketch.data.drawing.sketch`. Keyword arguments such as `tries=8` or `temperature=0.5` replace single
    `SamplingOptions`. All errors are a `VisketchError`; a wrong request is its subclass `UsageError`.
    """

    def generate(
        self,
        label: str,
        n: int = 1,
        *,
        seed: int = 0,
        options: SamplingOptions = DEFAULTS,
        coarse_only: bool = False,
        on_progress: OnProgress = quiet,
        **changes: Any,
    ) -> list[DrawnSketch]:
        """Draw `n` new sketches of a class. Sketch i has the seed `seed` + i and does not depend on `n`."""
        drawn = self.generate_fields(
            label, n, seed=seed, options=options, coarse_only=coarse_only, on_progress=on_progress, **changes
        )
        return self._generated(drawn, label, seed, {"coarse_only": coarse_only})

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
        """`n` sketches like a drawing of your own, of as many strokes; by weights that draw strokes.

        `strength` in [0, 1] says how much may change. `label` is what it shows, by default the classifier's guess.
        """
        own = sketch(drawing)
        label = label or self.classify_many([own], top=1)[0][0].label
        how: dict[str, Any] = {"strength": strength, "seed": seed, "options": options, "on_progress": on_progress}
        drawn = like.like(self, own, label, n, coarse_only=True, **how, **changes)
        return self._generated(drawn, label, seed, {"strength": strength})

    def morph(self, first: Drawing, last: Drawing, labels: tuple[str, str] | None = None, **how: Any) -> morph.Morph:
        """From one drawing to another in steps that are drawings: `.sketches()`. `labels` are what the two show, by
        default the classifier's guesses; `how`: `steps`, `strength` and `seed`, as in `tasks.morph.morph`.
        """
        ends = [sketch(drawing) for drawing in (first, last)]
        if labels is None:
            start, end = (guesses[0].label for guesses in self.classify_many(ends, top=1))
            labels = start, end
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
        """Draw a rough sketch again, clean. `label`: what it shows, by default the classifier's guess.

        `strength` in [0, 1] says how much may change; `canvas` is the side in pixels. See `tasks.refine.refine`.
        """
        rough = sketch(drawing)
        guess = None if label else self.classify_many([rough], top=1)[0][0]
        label = label or (guess.label if guess else "")
        fields = refine.refine(
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
        return self._drawn(fields[0], label, guess.probability if guess else None, seed, {"strength": strength})

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
        """Finish a half-drawn sketch in `n` ways, the most probable first. The given ink is kept.

        Without a `label`, the completions are spread over the classes that the classifier finds probable.
        """
        part = sketch(drawing)
        guesses = [] if label else self.classify_many([part], top=complete.PROPOSED)[0]
        labels = [label] * n if label else complete.spread(guesses, n)
        found = complete.complete(self, part, labels, seed=seed, options=options, on_progress=on_progress, **changes)
        found.sort(key=lambda one: (one.added == 0, -one.probability))
        traces = [complete.strokes(one, part, self.config.sketch) for one in found]
        return [
            self._drawn(one.canvas, one.label, one.probability, one.seed, {"added": one.added}, lines and lines.strokes)
            for one, lines in zip(found, traces, strict=True)
        ]

    def explain(self, drawing: Drawing, top: int = 5) -> SavedExplanation:
        """Which parts of a drawing decide its predicted class: `.words`, `.votes`, and `.save("why.png")`."""
        why = explain.explain(self, sketch(drawing), top)
        name = Path(drawing).name if isinstance(drawing, str | Path) else ""
        return SavedExplanation(**vars(why), clamp=self.config.sketch.clamp, name=name)

    def _drawn(
        self, canvas: Any, label: str, score: float | None, seed: int, facts: dict[str, Any], strokes: Any = None
    ) -> DrawnSketch:
        label = self.labels[self.label_of(label)]
        clamp = self.config.sketch.at(canvas.shape[-1]).clamp
        facts = {"checkpoint": self.config.name, **facts}
        return DrawnSketch.of(canvas, clamp, strokes, label=label, score=score, seed=seed, facts=facts)
