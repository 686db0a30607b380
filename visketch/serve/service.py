"""The verbs of the API, and how the model answers them. Everything runs on the model's single thread (`worker.py`)."""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visketch.checkpoint import fingerprints, outdated
from visketch.data import write
from visketch.errors import UsageError, VisketchError
from visketch.geometry import trace as tracing
from visketch.geometry.marks import views
from visketch.geometry.separate import separate
from visketch.geometry.sketch import Sketch
from visketch.model import Generated, SketchModel
from visketch.sampling import SamplingOptions
from visketch.serve import requests, schemas
from visketch.serve.responses import DECIMALS, PAGE, ProgressFrames, added, gif, listed, on_page, unit
from visketch.serve.worker import Emit
from visketch.tasks import complete as completing
from visketch.tasks.batch import sure
from visketch.tasks.explain import explain
from visketch.tasks.like import like
from visketch.tasks.morph import morph
from visketch.tasks.refine import refine

# The parts of a checkpoint that each verb needs. "field" and "strokes" stand for the part that draws the coarse stage
# in that form.
NEEDED = {
    "classify": {"encoder", "classifier"},
    "explain": {"encoder", "classifier"},
    "search": {"encoder", "classifier"},
    "vectorize": set(),
    "vary": {"encoder", "classifier", "strokes"},
    "morph": {"encoder", "classifier", "strokes"},
    "refine": {"encoder", "classifier", "refiner", "vqvae"},
    "complete": {"encoder", "classifier", "refiner", "vqvae", "field"},
    "generate": {"encoder", "classifier", "refiner", "vqvae", "diffusion"},
}
SHARE = 4  # the fewest drawings for which another core is used
FIRST = (np.array([[0, 0], [255, 255]], dtype=np.float32),)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of threads that torch uses inside the context."""
    usual = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


class Service:
    def __init__(self, model: SketchModel, index: Path | None = None, searched: str = "") -> None:
        """`index` is the folder of the index. `searched` is the name of the gallery, as shown to people."""
        self.model, self.index, self.searched = model, index, searched
        self.name = model.config.name
        self.strokes = model.config.coarse == "strokes"
        stage = {"field": model.config.coarse_part("field")} | ({"strokes": "diffusion"} if self.strokes else {})
        parts = {verb: {stage.get(part, part) for part in needed} for verb, needed in NEEDED.items()}
        if self.strokes:  # strokes are never refined
            parts |= {verb: {"encoder", "classifier", "diffusion"} for verb in ("generate", "complete")}
        if model.has("sequence"):
            parts["classify"] = parts["classify"] | {"sequence"}
        self.outdated = outdated(model.folder) if model.folder else {}
        there = {part for part in set().union(*parts.values()) if model.has(part) and part not in self.outdated}
        self.parts = {verb: needed for verb, needed in parts.items() if needed <= there}
        self.verbs = [verb for verb in self.parts if verb != "search" or index]
        self.sure = {part: sure(model, part) for part in ("classifier", "sequence")}  # the least probability
        self.weights = fingerprints(model.folder, self.needed) if model.folder else {}
        self.cores = torch.get_num_threads() if model.device.type == "cpu" else 1

    def load(self, emit: Emit) -> None:
        """Load what the verbs need, before the first request. Raises VisketchError."""
        for part in self.needed:
            self.model.part(part)
        self.recognise([(Sketch(strokes=FIRST), 1)])  # the first drawing takes twice as long
        if "search" in self.verbs:
            self.gallery.open()

    @property
    def needed(self) -> list[str]:
        return sorted(set().union(*(self.parts[verb] for verb in self.verbs)))

    @cached_property
    def gallery(self) -> Any:
        """The index. It is opened on the thread that searches it, as SQLite requires."""
        from visketch.search.index import Index

        assert self.index
        return Index(self.index, self.model)

    @torch.inference_mode()
    def answer(self, verb: str, sketch: Sketch | None, asked: schemas.ApiRequest, emit: Emit) -> schemas.ApiResponse:
        """Answer any verb but classify, which is answered by `recognise`. Raises VisketchError."""
        start = time.perf_counter()
        answer = getattr(self, verb)(sketch, asked, emit)
        return answer.model_copy(update={"seconds": round(time.perf_counter() - start, 4)})

    def recognise(self, asked: Sequence[tuple[Sketch, int]]) -> list[schemas.ClassifyResponse | VisketchError]:
        """Classify drawings together. `asked` has pairs of a drawing and a number of classes.

        An error in one drawing does not affect the others. If there are many drawings, they are divided: every core
        renders and classifies some of them by itself, and then takes more, so that no core is idle. If all cores worked
        together on each product of one batch, they would wait for one another after each product.
        """
        if self.cores == 1 or len(asked) < 2 * SHARE:
            with threads(1):
                return self._recognised(asked)
        each = max(SHARE, math.ceil(len(asked) / (4 * self.cores)))
        some = [asked[first : first + each] for first in range(0, len(asked), each)]
        shared = [self.crew.submit(self._recognised, piece) for piece in some]
        wait(shared)  # if one fails, the others finish before the next batch begins
        return [answer for piece in shared for answer in piece.result()]

    @cached_property
    def crew(self) -> ThreadPoolExecutor:
        """A pool with one thread for each core. In these threads torch uses no further threads, and neither in threads
        that start later.
        """
        return ThreadPoolExecutor(self.cores, "share", torch.set_num_threads, (1,))

    def _recognised(self, asked: Sequence[tuple[Sketch, int]]) -> list[schemas.ClassifyResponse | VisketchError]:
        start = time.perf_counter()
        seen, found = [], dict[int, VisketchError | schemas.ClassifyResponse]()
        for number, (sketch, _) in enumerate(asked):
            try:
                seen.append((number, len(separate(sketch)), views(sketch, self.model.config.reading)))
            except VisketchError as error:
                found[number] = error
        if seen:
            of, shown = zip(*((i, view) for i, (_, _, shown) in enumerate(seen) for view in shown), strict=True)
            strokes, most = self.model.pieces([view for view, _ in shown]), max(top for _, top in asked)
            rows = self.model.classify_fields(np.stack([field for _, field in shown]), most, strokes, of)
            seconds = round(time.perf_counter() - start, 4)
            for i, ((number, parts, _), row) in enumerate(zip(seen, rows, strict=True)):
                least = self.sure["classifier" if strokes[of.index(i)] is None else "sequence"]
                some = [schemas.PredictionItem(label=p.label, probability=round(p.probability, 6)) for p in row]
                found[number] = schemas.ClassifyResponse(
                    checkpoint=self.name,
                    seconds=seconds,
                    predictions=some[: asked[number][1]],
                    sure=None if least is None else row[0].probability >= least,
                    separate=parts,
                )
        return [found[number] for number in range(len(asked))]

    def vectorize(self, sketch: Sketch, asked: schemas.VectorizeRequest, emit: Emit) -> schemas.VectorizeResponse:
        trace, wide, high = tracing.strokes_of(sketch)
        if not trace.strokes:
            raise VisketchError(f"{sketch.source}: it has no lines that could be traced")
        facts = {"class": sketch.label} if sketch.label else {}
        return schemas.VectorizeResponse(
            checkpoint=self.name,
            drawing=listed(trace.strokes),
            width=wide,
            height=high,
            pen=round(trace.pen, DECIMALS),
            svg=write.svg([(trace.strokes, trace.pen)], wide, high, facts, animate=asked.animate),
            ndjson=write.ndjson(trace.strokes, sketch.label),
            gif=gif(trace, wide, high, facts) if asked.animate else None,
        )

    def explain(self, sketch: Sketch, asked: schemas.ExplainRequest, emit: Emit) -> schemas.ExplainResponse:
        why = explain(self.model, sketch)
        return schemas.ExplainResponse(
            checkpoint=self.name,
            label=why.label,
            probability=unit(why.probability),
            words=why.words,
            without=unit(why.without),
            leaves=[schemas.VoteItem(**vars(vote)) for vote in why.votes],
        )

    def search(self, sketch: Sketch, asked: schemas.SearchRequest, emit: Emit) -> schemas.SearchResponse:
        from visketch.search.index import alike
        from visketch.search.scan import HitDrawings

        hits = alike(self.gallery.search(sketch, asked.n))
        drawings, found = HitDrawings(hits), []
        for rank, hit in enumerate(hits, 1):
            emit("progress", partial(dict, stage="read", done=rank, total=len(hits)))
            name = f"{Path(hit.file).name}{hit.name}"
            found.append(
                schemas.HitItem(
                    rank=rank,
                    name=name,
                    label=hit.label,
                    similarity=round(hit.similarity, 4),
                    **self._seen(drawings, hit),
                )
            )
        count = self.gallery.database.drawings()
        return schemas.SearchResponse(checkpoint=self.name, drawings=count, found=found)

    def _seen(self, drawings: Any, hit: Any) -> dict[str, Any]:
        try:
            trace, wide, high = tracing.strokes_of(drawings.take(hit))
        except (VisketchError, OSError):
            return {"size": tracing.PAGE, "pen": tracing.PEN, "drawing": []}
        return {"size": float(max(wide, high)), "pen": round(trace.pen, DECIMALS), "drawing": listed(trace.strokes)}

    def refine(self, sketch: Sketch, asked: schemas.RefineRequest, emit: Emit) -> schemas.SketchesResponse:
        label = self._label(asked.label, sketch)
        show = ProgressFrames(self.model, emit)
        options = SamplingOptions(temperature=asked.temperature)
        settings: dict[str, Any] = {"strength": asked.strength, "seed": asked.seed, "options": options}
        made = refine(self.model, [sketch], [label], **settings, on_progress=show)
        drawn = self._drawn(made.canvas, label, [asked.seed], [0], strokes=made.strokes)
        return schemas.SketchesResponse(checkpoint=self.name, sketches=drawn)

    def generate(self, sketch: None, asked: schemas.GenerateRequest, emit: Emit) -> schemas.SketchesResponse:
        if asked.n * asked.tries > schemas.SKETCHES:
            raise UsageError(
                f"n = {asked.n}, tries = {asked.tries}: at most {schemas.SKETCHES} sketches can be drawn at once"
            )
        label = self.model.labels[self.model.label_of(asked.label)]
        names, refine = ("guidance", "temperature", "tries", "detail"), False if asked.coarse_only else None
        options = SamplingOptions(**{name: getattr(asked, name) for name in names}, refine=refine, soon=True)
        show = ProgressFrames(self.model, emit)
        drawn = self.model.generate_fields(label, asked.n, seed=asked.seed, options=options, on_progress=show)
        return self._generated(drawn, label, asked)

    def vary(self, sketch: Sketch, asked: schemas.VaryRequest, emit: Emit) -> schemas.SketchesResponse:
        label = self._label(asked.label, sketch)
        how: dict[str, Any] = {"strength": asked.strength, "seed": asked.seed, "tries": asked.tries, "soon": True}
        show = ProgressFrames(self.model, emit)
        drawn = like(self.model, sketch, label, asked.n, **how, on_progress=show)
        return self._generated(drawn, label, asked)

    def morph(self, sketch: Sketch, asked: schemas.MorphRequest, emit: Emit) -> schemas.MorphResponse:
        last = requests.sketch(asked.to)
        labels = self._label(asked.label, sketch), self._label(asked.to_label, last)
        how: dict[str, Any] = {"steps": asked.steps, "strength": asked.strength, "seed": asked.seed}

        def show(done: int, total: int) -> None:
            emit("coarse", partial(dict, stage="coarse", done=done, total=total))

        found = morph(self.model, sketch, last, labels, **how, on_progress=show)
        pages = [on_page(strokes) for strokes in found.steps]
        pen = round(self.model.config.sketch.pen * PAGE, DECIMALS)
        return schemas.MorphResponse(checkpoint=self.name, classes=labels, size=PAGE, pen=pen, drawings=pages)

    def _label(self, named: str | None, sketch: Sketch) -> str:
        """The class that is named, or else the classifier's guess. Raises UsageError for an unknown class."""
        if named is None:
            return self.model.classify_many([sketch], top=1)[0][0].label
        return self.model.labels[self.model.label_of(named)]

    def _generated(
        self, drawn: Generated, label: str, asked: schemas.GenerateRequest | schemas.VaryRequest
    ) -> schemas.SketchesResponse:
        seeds = [asked.seed + i for i in range(asked.n)]
        sketches = self._drawn(drawn.canvas, label, seeds, drawn.chosen.tolist(), drawn.probability, drawn.strokes)
        return schemas.SketchesResponse(checkpoint=self.name, sketches=sketches)

    def _drawn(
        self,
        canvas: Float[Tensor, "b h h"],
        label: str,
        seeds: list[int],
        pictures: list[int],
        probability: Float[Tensor, " b"] | None = None,
        strokes: Sequence[Sequence[np.ndarray]] | None = None,
    ) -> list[schemas.SketchItem]:
        """Drawn sketches as items of the response.

        `pictures` holds the number of each sketch's picture in the events. `probability` is that of the class, and
        `strokes` are those that the model drew, in pixels. Both may be unknown.
        """
        number = self.model.label_of(label)
        if probability is None:
            probability = self.model.logits(canvas).softmax(dim=1)[:, number]
        sketches = []
        own = [None] * len(canvas) if strokes is None else strokes
        rows = zip(canvas, probability.tolist(), seeds, pictures, own, strict=True)
        for field, chance, seed, shown, lines in rows:
            facts = {"class": self.model.labels[number], "probability": unit(chance), "seed": seed}
            facts["picture"] = shown
            sketches.append(schemas.SketchItem(**facts, **self._strokes(field, lines)))
        return sketches

    def _strokes(self, field: Float[Tensor, "h h"], drawn: Sequence[np.ndarray] | None = None) -> dict[str, Any]:
        if drawn is not None:
            pen = round(self.model.config.sketch.pen * len(field), DECIMALS)
            return {"size": float(len(field)), "pen": pen, "drawing": listed(drawn)}
        distance = tracing.from_field(field.cpu().numpy(), self.model.config.sketch.clamp)
        trace = tracing.trace(distance)
        return {"size": float(len(field)), "pen": round(trace.pen, DECIMALS), "drawing": listed(trace.strokes)}

    def complete(self, sketch: Sketch, asked: schemas.CompleteRequest, emit: Emit) -> schemas.CompleteResponse:
        if asked.label:
            labels = [self.model.labels[self.model.label_of(asked.label)]] * asked.n
        else:
            labels = completing.spread(self.model.classify_many([sketch], top=completing.PROPOSED)[0], asked.n)
        show = ProgressFrames(self.model, emit)
        options = SamplingOptions(temperature=asked.temperature, tries=asked.tries, soon=True)
        found = completing.complete(self.model, sketch, labels, seed=asked.seed, options=options, on_progress=show)
        found = completing.best_first(found)
        return schemas.CompleteResponse(
            checkpoint=self.name, sketches=[self._completion(sketch, asked, each) for each in found]
        )

    def _completion(
        self, part: Sketch, asked: schemas.CompleteRequest, found: completing.Completion
    ) -> schemas.CompletionItem:
        """A completion as an item of the response: the given strokes, moved to their place, followed by the traced new
        ones.
        """
        shape = self.model.config.sketch
        given = [line * shape.canvas for line in found.place.lines(tracing.lines_of(part))]
        return schemas.CompletionItem(
            **{"class": found.label},
            probability=unit(found.probability),
            seed=found.seed,
            picture=(found.seed - asked.seed) * asked.tries + found.tried,
            size=float(shape.canvas),
            pen=round(shape.pen * shape.canvas, DECIMALS),
            given=len(given),
            added=unit(found.added),
            drawing=listed([*given, *added(found, shape)]),
        )
