"""The model: its parts, and how they work together. Read this first.

Drawing: class → `diffusion` → coarse p x p sketch → enlarged → quadtree → for each leaf: `encoder` (context) →
`refiner` (codes) → `vqvae` (pixels) → painted. Recognition: sketch → quadtree → `encoder` → `classifier` → class; where
there are strokes, as drawn or as traced, the logits of `sequence` are added.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch import checkpoint, quadtree
from visketch.config import Config, SketchConfig, find, read_config
from visketch.data.fields import Fields, checked, rendered
from visketch.device import multiplies_bfloat16, resolve
from visketch.errors import RenamedWarning, UsageError
from visketch.geometry import sdf
from visketch.geometry.marks import all_views
from visketch.geometry.pieces import Pieces, of_sketches
from visketch.geometry.sketch import Sketch, on_canvas
from visketch.models.classifier import averaged
from visketch.models.parts import build
from visketch.parallel import refuse_after_fork
from visketch.sampling import Frame, Generated, SamplingOptions, candidate_seeds, check_number, check_seed, generator

DEFAULTS = SamplingOptions()
Model = TypeVar("Model", bound="SketchModel")
Drawing = Any  # whatever `visketch.data.drawing` reads


def __getattr__(name: str) -> Any:
    """`ViSketch` was defined here in earlier versions. It can still be imported from here, with a warning."""
    if name != "ViSketch":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import visketch

    warnings.warn("visketch.model.ViSketch is now called visketch.ViSketch", RenamedWarning, stacklevel=2)
    return visketch.ViSketch


@dataclass(frozen=True)
class Prediction:
    label: str
    probability: float


class SketchModel:
    """The parts of a checkpoint, with methods that take fields. `ViSketch` (api.py) takes drawings instead.

    A part is loaded when it is first needed, so classifying does not import the diffusion library.
    """

    def __init__(self, config: Config, folder: Path | None = None, device: str = "cpu", **parts: nn.Module) -> None:
        """`parts` are modules that the caller has already (training, tests). The others are loaded from `folder`."""
        self.config, self.folder, self.device = config, folder, torch.device(resolve(str(device)))
        self.labels = list(config.labels)
        self._parts = {name: part.to(self.device).eval() for name, part in parts.items()}
        self._loading = threading.Lock()
        self.use_bf16 = self.device.type == "cpu" and multiplies_bfloat16()  # see `precision`; may be set

    @classmethod
    def load(cls: type[Model], folder: str | Path | None = None, device: str = "cpu") -> Model:
        """Load a checkpoint: a folder, or the name of a shipped one (by default `small`). Raises VisketchError."""
        path = find(folder)
        return cls(read_config(path), path, device)

    def part(self, name: str) -> Any:
        """A part with its weights, on the device, in evaluation mode. Raises VisketchError if there is none."""
        refuse_after_fork()
        with self._loading:  # several threads may need a part at the same time
            if name not in self._parts:
                if self.folder is None:
                    raise UsageError(f"this model has no {name}")
                # Weights created in inference mode could not be trained. Their random numbers are not the caller's.
                with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                    module = build(self.config, name)
                    checkpoint.load_part(self.folder, name, module)
                    self._parts[name] = module.to(self.device).eval()
            return self._parts[name]

    def has(self, name: str) -> bool:
        """Whether the model has a part, loaded or in the checkpoint's folder."""
        return name in self._parts or bool(self.folder and checkpoint.part_file(self.folder, name).exists())

    def to(self: Model, device: str | torch.device) -> Model:
        """The same model, moved to a device ("cpu", "cuda", "cuda:1" ...). Raises UsageError if there is none."""
        self.device = torch.device(resolve(str(device)))
        self.use_bf16 = self.device.type == "cpu" and multiplies_bfloat16()
        for part in self._parts.values():
            part.to(self.device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """The state without the lock, which cannot be pickled, so that a model can be sent to another process."""
        return {name: value for name, value in vars(self).items() if name != "_loading"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._loading = threading.Lock()

    def precision(self) -> torch.autocast:
        """The precision of classifying and of the coarse stage: bfloat16 if `use_bf16`, which is twice as fast (the lab
        book has its cost in accuracy). The refiner stays in single precision, since rounding can change a code.
        """
        return torch.autocast("cpu", torch.bfloat16, enabled=self.use_bf16)

    def label_of(self, name: str) -> int:
        """The number of a class, in any case, with `-` or `_` for a space. Raises UsageError with the nearest names."""
        return self.config.label_of(name)

    def render(self, sketches: Sequence[Sketch], canvas: int | None = None) -> Float[Tensor, "b h h"]:
        """Render sketches as fields, on the canvas of training or on a larger one, with the same pen in pixels.

        Every method that takes fields takes larger ones too: leaves of a deeper tree see windows as large as the canvas
        of training (`quadtree.context`). Raises VisketchError for a blank sketch, UsageError for an impossible side and
        for anything but sketches.
        """
        return self.fields(sketches, self.config.sketch.at(canvas or self.config.sketch.canvas))

    def fields(self, sketches: Sequence[Sketch], shape: SketchConfig) -> Float[Tensor, "b h h"]:
        """Render sketches as fields of a shape. Raises VisketchError for a blank one, UsageError for anything else."""
        return torch.from_numpy(rendered(sketches, shape)).to(self.device)

    def ink(self, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b h h"]:
        """Turn fields into anti-aliased ink in [0, 1]."""
        return sdf.ink(canvas, self.config.sketch.at(canvas.shape[-1]).clamp)

    @torch.inference_mode()
    def embed(self, canvas: Fields, depth: int | None = None) -> tuple[Float[Tensor, "n e"], quadtree.Leaves]:
        """The CLS vector of every inked leaf of some fields, and the leaves.

        `depth` is that of the tree. If it is less than the canvas has, the canvas is read reduced. By default the tree
        lacks the levels that the classifier does not read (`Config.reading`). Raises UsageError for a greater
        depth, and for anything but a batch of finite fields (`data.fields.checked`).
        """
        from visketch.decoding import inked_leaves
        from visketch.models.encoder import context_index, portions

        canvas, shape, encoder = checked(canvas, self.device), self.config.sketch, self.part("encoder")
        read, side = self.config.reading, canvas.shape[-1]
        whole = read.depth if side == read.canvas else shape.at(side).depth
        if depth is None:
            depth = whole if side == read.canvas else whole - (shape.depth - read.depth)
        if not 0 <= depth <= whole:
            raise UsageError(f"depth = {depth}: the tree of this canvas has levels 0 to {whole}")
        canvas = F.avg_pool2d(canvas[:, None], 2 ** (whole - depth))[:, 0] if depth < whole else canvas
        leaves = inked_leaves(canvas, shape, depth)
        index = context_index(leaves, depth, shape.depth)
        some = portions(len(leaves), self.device)
        with self.precision():
            embedded = encoder.embed(canvas, depth)
            cls = torch.cat([encoder(embedded, leaves[which], index[which], first=1)[:, 0] for which in some])
        return cls[: len(leaves)].float(), leaves

    @torch.inference_mode()
    def logits_and_features(
        self, canvas: Fields, depth: int | None = None
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b e"]]:
        """The logits of fields, and the pooled leaves from which they are computed. `depth`: as in `embed`."""
        cls, leaves = self.embed(canvas, depth)
        classifier = self.part("classifier")
        with self.precision():
            pooled = classifier.pool(cls, leaves, len(canvas))
            return classifier.out(pooled).float(), pooled.float()

    def logits(self, canvas: Fields, depth: int | None = None) -> Float[Tensor, "b c"]:
        """The logits of fields, by their leaves. `depth`: as in `embed`."""
        return self.logits_and_features(canvas, depth)[0]

    def sketch_logits(self, sketches: Sequence[Sketch]) -> Float[Tensor, "b c"]:
        """The logits of drawings, by their fields and their strokes. Raises VisketchError for a blank sketch."""
        of, shown, canvas = all_views(sketches, self.config.reading)
        return averaged(self.with_strokes(self.logits(canvas), self.pieces(shown)), of)

    def pieces(self, sketches: Sequence[Sketch]) -> list[Pieces | None]:
        """The strokes of drawings as `sequence` reads them; None if it does not exist or cannot read them."""
        most = self.config.sequence.pieces
        return of_sketches(sketches, most) if self.has("sequence") else [None] * len(sketches)

    @torch.inference_mode()
    def with_strokes(self, logits: Float[Tensor, "b c"], strokes: Sequence[Pieces | None]) -> Float[Tensor, "b c"]:
        """The logits of drawings by their fields, changed where the strokes are known too, if there is a `sequence`."""
        with self.precision():
            return self.part("sequence").beside(logits, strokes) if any(strokes) else logits

    def classify_many(self, drawings: Sequence[Drawing], top: int = 5) -> list[list[Prediction]]:
        """The `top` most probable classes of each drawing, best first.

        A drawing is a path, a PIL image, the bytes of a file or an open file, an array, a tensor or strokes: see
        `visketch.data.drawing.sketch`. Raises VisketchError for a drawing that is blank or cannot be read, UsageError
        for anything that is not a drawing.
        """
        from visketch.data.drawing import sketches

        return self._best(self.sketch_logits(sketches(drawings)), top) if drawings else []

    def classify_fields(
        self,
        canvas: Fields,
        top: int = 5,
        strokes: Sequence[Pieces | None] = (),
        of: Sequence[int] = (),
    ) -> list[list[Prediction]]:
        """The same as `classify_many`, for drawings that are fields already, with their strokes if these are known. If
        some are views of one drawing, `of` has the number of the drawing for each, in ascending order.
        """
        return self._best(averaged(self.with_strokes(self.logits(canvas), strokes), of), top)

    def _best(self, logits: Float[Tensor, "b c"], top: int) -> list[list[Prediction]]:
        check_number("top", top, 1)
        probability, label = logits.softmax(dim=1).topk(min(top, len(self.labels)), dim=1)
        return [
            [Prediction(self.labels[i], p) for i, p in zip(row, chances, strict=True)]
            for row, chances in zip(label.tolist(), probability.tolist(), strict=True)
        ]

    def generate_fields(
        self,
        label: str | Sequence[str],
        n: int = 1,
        *,
        seed: int = 0,
        options: SamplingOptions = DEFAULTS,
        on_progress: Callable[[Frame], None] = lambda frame: None,
        **changes: Any,
    ) -> Generated:
        """Draw `n` new sketches of a class, or of each of several classes, as fields. The same seed gives the same
        sketches, and sketch i of a class does not depend on `n` (except for rounding, see `precision`).

        `changes` replace single `options`. `on_progress` sees all candidates, and those of one sketch are consecutive.
        Raises UsageError for an unknown class or an option out of range.
        """
        check_number("n", n, 1)
        seed = check_seed(seed)
        options = SamplingOptions.changed(options, changes)
        tries = options.tries or 1
        names = [label] if isinstance(label, str) else list(label)
        seeds = candidate_seeds([seed + i for _ in names for i in range(n)], tries)
        numbers = [self.label_of(name) for name in names for _ in range(n * tries)]
        labels = torch.tensor(numbers, device=self.device)
        if (options.coarse or self.config.coarse) == "strokes":
            drawn = self.strokes(labels, seeds, options, on_progress)
            return self.best_strokes(drawn, labels, seeds, options, on_progress)
        if options.detail != "usual":
            raise UsageError(f"detail = {options.detail!r}: the coarse stage draws no strokes that could be counted")
        canvas = self.coarse(labels, seeds, options.steps, options.guidance, on_progress)
        if options.refined("field"):
            canvas = self.redrawn(canvas, labels, seeds, options, on_progress)
        return self.best_of(canvas, labels, tries)

    def best_strokes(
        self,
        drawn: Sequence[Sketch],
        label: Int[Tensor, " b_tries"],
        seeds: Sequence[int],
        options: SamplingOptions,
        on_progress: Callable[[Frame], None],
    ) -> Generated:
        """The best of each `tries` consecutive candidates of strokes. A refined sketch has a field, but no strokes."""
        made, shape = self.best_of(self.render(drawn), label, options.tries or 1), self.config.sketch
        best, canvas = made.chosen.tolist(), made.canvas
        if options.refined("strokes"):
            canvas = self.redrawn(canvas, label[made.chosen], [seeds[i] for i in best], options, on_progress)
            return replace(made, canvas=canvas)
        strokes = tuple(on_canvas(drawn[i].lines(), shape.margin, shape.canvas) for i in best)
        return replace(made, strokes=strokes)

    def redrawn(
        self,
        canvas: Float[Tensor, "b h h"],
        label: Int[Tensor, " b"],
        seeds: Sequence[int],
        options: SamplingOptions,
        on_progress: Callable[[Frame], None],
    ) -> Float[Tensor, "b h h"]:
        """Fields whose leaves the refiner has redrawn. The arguments are those of `decode`."""
        for frame in self.decode(canvas, label, seeds=seeds, options=options):
            canvas = frame.canvas
            on_progress(frame)
        return canvas

    @torch.inference_mode()
    def coarse(
        self,
        label: Int[Tensor, " b"],
        seeds: Sequence[int],
        steps: int | None = None,
        guidance: float | None = None,
        on_progress: Callable[[Frame], None] = lambda frame: None,
        rough: Float[Tensor, "b p p"] | None = None,
        strength: float = 1.0,
    ) -> Float[Tensor, "b h h"]:
        """Draw the coarse stage as a field: one sketch for each label and seed, enlarged to the canvas.

        `rough` are fields to start from, and `strength` how much of them may change, as in `Diffusion.sample`.
        """
        from visketch.decoding import enlarge

        tile, side = self.config.sketch.tile, self.config.sketch.canvas
        noise = torch.stack([torch.randn(tile, tile, generator=generator(s, stage=0)) for s in seeds])

        def show(done: int, total: int, x: Tensor) -> None:
            on_progress(Frame("coarse", done, total, lambda: enlarge(x, side)))

        diffusion = self.part(self.config.coarse_part("field"))
        with self.precision():
            return enlarge(diffusion.sample(label, noise.to(self.device), steps, guidance, show, rough, strength), side)

    @torch.inference_mode()
    def strokes(
        self,
        label: Int[Tensor, " b"],
        seeds: Sequence[int],
        options: SamplingOptions = DEFAULTS,
        on_progress: Callable[[Frame], None] = lambda frame: None,
        given: Sequence[Pieces] | None = None,
        like: Sequence[Pieces] | None = None,
        strength: float = 1.0,
    ) -> list[Sketch]:
        """Draw the coarse stage as strokes in drawing order: one sketch for each label and seed.

        `given` has, for each sketch, pieces of strokes in [-1, 1] that are there already; only the strokes drawn beside
        them are returned. `like` has pieces to start from, and `strength` says how much of them may change, as in
        `StrokeDiffusion.draw`. Raises UsageError if the checkpoint's diffusion draws no strokes.
        """
        diffusion = self.part(self.config.coarse_part("strokes"))
        chance = [generator(s, stage=0) for s in seeds]
        if like:
            rows = zip(map(len, like), chance, strict=True)
            steps = options.steps or diffusion.config.steps
            noise = [torch.randn(steps, count, diffusion.size, generator=one) for count, one in rows]
        else:
            noise = diffusion.noise(label, chance, options.steps, given, options.detail)

        def sketches(drawn: list[list[np.ndarray]]) -> list[Sketch]:
            return [
                Sketch(strokes=tuple(strokes), label=self.labels[number])
                for strokes, number in zip(drawn, label.tolist(), strict=True)
            ]

        def show(done: int, total: int, shares: tuple[float, ...], drawn: Callable[[], list[list[np.ndarray]]]) -> None:
            on_progress(Frame("coarse", done, total, lambda: self.render(sketches(drawn())), drawn, shares))

        with self.precision():
            return sketches(diffusion.draw(label, noise, options.guidance, show, given, like, strength, options.soon))

    @torch.inference_mode()
    def best_of(self, canvas: Float[Tensor, "b_tries h h"], label: Int[Tensor, " b_tries"], tries: int) -> Generated:
        """The best of each `tries` consecutive candidates: the one whose class is most probable, by the classifier.

        A single candidate is not classified.
        """
        if tries == 1:
            return Generated(canvas, torch.arange(len(canvas)), None)
        probability = self.logits(canvas).softmax(dim=1).gather(1, label[:, None]).view(-1, tries)
        best = probability.argmax(dim=1)
        chosen = torch.arange(len(best), device=canvas.device) * tries + best
        return Generated(canvas[chosen], chosen.cpu(), probability.amax(dim=1).cpu())

    @torch.inference_mode()
    def decode(
        self,
        canvas: Float[Tensor, "b h h"],
        label: Int[Tensor, " b"],
        *,
        seeds: Sequence[int],
        options: SamplingOptions = DEFAULTS,
    ) -> Iterator[Frame]:
        """Redraw the inked leaves of coarse canvases. Yields after every rank. There is one seed for each sketch."""
        from visketch.decoding import Plan, draw, sample_top_p, without_seams

        waves = torch.full((len(canvas),), options.order == "waves", device=self.device)
        plan = Plan.make(canvas, self.config.sketch, waves, self.config.refiner.context)
        codes = self.config.sketch.codes
        chance = torch.stack(  # one number for each tile and code, so it depends on neither the order nor the batch
            [torch.rand(plan.finished.shape[1], codes, generator=generator(s, stage=1)) for s in seeds]
        ).to(self.device)

        def choose(turn: Tensor, logits: Tensor, place: int) -> Tensor:
            found = chance[plan.leaves.sketch[turn], plan.leaves.tile[turn], place]
            return sample_top_p(logits, found, options.temperature, options.top_p)

        total = len(plan.rank.unique())
        steps = draw(plan, self.part("vqvae"), self.part("encoder"), self.part("refiner"), label, choose)
        for done, (canvas, written) in enumerate(steps, 1):
            if done == total:
                canvas = without_seams(plan, self.part("vqvae"), canvas, written, self.config.sketch.depth)
            yield Frame("refine", done, total, partial(torch.as_tensor, canvas))
