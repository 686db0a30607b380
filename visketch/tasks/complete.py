"""Complete a half-drawn sketch in several ways: the coarse stage draws around the given part, which is kept.

The place and the size of the part within the whole drawing are unknown. So each completion is tried at several places,
and the best one is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor

from visketch.config import Coarse, Config, SketchConfig
from visketch.decoding import enlarge
from visketch.geometry import sdf
from visketch.geometry.pieces import fitted
from visketch.geometry.place import Place
from visketch.geometry.sketch import Sketch, longer_side
from visketch.geometry.trace import Trace, lines_of
from visketch.model import DEFAULTS, Prediction, SketchModel
from visketch.sampling import TRIES, Frame, SamplingOptions, check_seed, generator

if TYPE_CHECKING:  # this imports diffusers, which takes seconds and is not needed to complete strokes
    from visketch.models.diffusion import Diffusion

OnFrame = Callable[[Frame], None]

# Strokes are added with more guidance than new sketches are drawn with, since variety matters less here: of 80
# validation drawings, 86 % of the first completions were recognised, and 85 % with a guidance of 1.75 (lab book).
GUIDANCE = 2.25
SHARES = (1.0, 1.0, 0.85, 0.7)  # the part's longer side as a share of the whole's; first halves have a median of 0.96
KNOWN = 0.6  # nothing new is drawn this close to the given ink (in units of the field), to avoid double lines
ROUNDS = 2  # how often a step is repeated
AGAIN = (0.15, 0.9)  # the times at which steps are repeated; before, there is no structure yet, and after, it is fixed
STROKE = 2.0  # added ink smaller than this many pens squared is not a stroke
BATCH = 64  # the number of sketches that are drawn together
# How much the surprise of the stroke diffusion counts beside the logarithm of the class's probability. Without it, the
# classifier prefers cluttered drawings: with it, completions are recognised as often and have two strokes less (138
# halves of validation drawings, lab book).
CLUTTER = 0.1
PROPOSED = 4  # the number of classes over which completions are spread by default


@dataclass(frozen=True)
class Completion:
    label: str
    probability: float  # the probability of its class, by the classifier
    merit: float  # how good it is among others, -inf without new ink: see `merits`
    added: float  # the share of the ink that is new
    seed: int
    tried: int  # the number of the place that was chosen
    canvas: Float[Tensor, "h h"]
    given: Float[Tensor, "h h"]  # the field of the given part; the canvas is nowhere lower
    place: Place
    added_strokes: tuple[np.ndarray, ...] | None = None  # in shares of the side, if the coarse stage draws strokes


@torch.inference_mode()
def complete(
    model: SketchModel,
    part: Sketch,
    labels: Sequence[str],
    *,
    seed: int = 0,
    options: SamplingOptions = DEFAULTS,
    on_progress: OnFrame = lambda frame: None,
    **changes: Any,
) -> list[Completion]:
    """One completion for each label, in their order, each the best of `options.tries` places (see `merits`).

    Completion i has the seed `seed` + i and does not depend on the others. The part is moved and scaled as a whole, to
    its own `place` in each completion, and is not changed otherwise. Raises VisketchError for a part that is blank or
    has too many strokes, UsageError for an unknown class.
    """
    seed = check_seed(seed)
    options = SamplingOptions.changed(options, changes)
    tries = options.tries or TRIES
    numbers, found = [model.label_of(label) for label in labels], []
    by_strokes = (options.coarse or model.config.coarse) == "strokes"
    lines = lines_of(part) if by_strokes else part.lines()
    if options.guidance is None:
        options = replace(options, guidance=usual_guidance(model.config, options.coarse))
    drawing, margin = (_with_strokes, 0.0) if by_strokes else (_with_fields, model.config.sketch.margin)
    for first in range(0, len(labels), max(1, BATCH // tries)):
        some = range(first, min(first + max(1, BATCH // tries), len(labels)))
        seeds = [seed + i for i in some]
        spots = [place for s in seeds for place in places(lines, margin, s, tries)]
        label = torch.tensor([numbers[i] for i in some for _ in range(tries)], device=model.device)
        spots, new, given, canvas = drawing(model, part, spots, label, seeds, options, on_progress)
        chance = model.logits(canvas).softmax(dim=1).gather(1, label[:, None])[:, 0]
        added = ((canvas > 0) & (given <= 0)).flatten(1).sum(dim=1) / (canvas > 0).flatten(1).sum(dim=1).clamp(min=1)
        merit = merits(model, part, spots, new, label, chance).masked_fill(added == 0, -torch.inf)
        best = rearrange(merit, "(b j) -> b j", j=tries).argmax(dim=1).tolist()
        for i, j in zip(some, best, strict=True):
            at = (i - first) * tries + j
            facts = (float(chance[at]), float(merit[at]), float(added[at]))
            kept = (canvas[at].clone(), given[at].clone())  # views would keep the whole batch in memory
            found.append(Completion(model.labels[numbers[i]], *facts, seed + i, j, *kept, spots[at], new[at]))
    return found


def best_first(found: Sequence[Completion]) -> list[Completion]:
    """Completions in the order in which they are shown."""
    return sorted(found, key=lambda completion: -completion.merit)


def merits(
    model: SketchModel,
    part: Sketch,
    spots: Sequence[Place],
    new: Sequence[tuple[np.ndarray, ...] | None],
    label: Int[Tensor, " b"],
    chance: Float[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """How good completions are: the logarithm of the probability of their class, less the surprise of the stroke
    diffusion if they are strokes.

    This is our choice. The classifier alone prefers drawings with everything twice, and the surprise alone those with
    nothing added.
    """
    merit, strokes = chance.log(), lines_of(part)
    drawn = [(*place.lines(strokes), *added) for place, added in zip(spots, new, strict=True) if added is not None]
    if not drawn:
        return merit
    diffusion = model.part(model.config.coarse_part("strokes"))
    with model.precision():
        surprise = diffusion.surprise([fitted(lines, diffusion.config.pieces) for lines in drawn], label)
    return merit - CLUTTER * surprise.float()


def usual_guidance(config: Config, coarse: Coarse | None = None) -> float:
    """The guidance with which a part is completed if none is given."""
    return GUIDANCE if (coarse or config.coarse) == "strokes" else config.stage(coarse).guidance


Drawn = tuple[list[Place], list[tuple[np.ndarray, ...] | None], Tensor, Tensor]  # places, strokes, given, canvas


def _with_fields(
    model: SketchModel,
    part: Sketch,
    spots: list[Place],
    label: Int[Tensor, " b"],
    seeds: Sequence[int],
    options: SamplingOptions,
    on_progress: OnFrame,
) -> Drawn:
    """Draw around the part on the coarse tile, and refine the result."""
    given = _fields(model, [place.lines(part.lines()) for place in spots])
    canvas = _around(model, given, label, seeds, options, on_progress)
    again = [s for s in seeds for _ in range(len(spots) // len(seeds))]
    canvas = model.redrawn(canvas, label, again, options, on_progress)
    return spots, [None] * len(spots), given, with_strokes(given, canvas, model.config.sketch)


def _with_strokes(
    model: SketchModel,
    part: Sketch,
    spots: list[Place],
    label: Int[Tensor, " b"],
    seeds: Sequence[int],
    options: SamplingOptions,
    on_progress: OnFrame,
) -> Drawn:
    """Add strokes to those of the part, traced if it is a picture. Nothing is refined, so these do not change."""
    from visketch.tasks.complete_strokes import strokes_around

    found = strokes_around(model, part, spots, label, seeds, options, on_progress)
    spots, new = [place for place, _ in found], [added for _, added in found]
    strokes = lines_of(part)
    given = [place.lines(strokes) for place in spots]
    wholes = [(*lines, *added) for lines, added in zip(given, new, strict=True)]
    return spots, list(new), _fields(model, given), _fields(model, wholes)


def strokes(found: Completion, part: Sketch, shape: SketchConfig) -> tuple[Trace | None, int]:
    """The strokes of a completion in pixels of its canvas, those of the part first, and how many of them are the
    part's.

    Returns None and 0 if the strokes must be traced from the field.
    """
    if found.added_strokes is None:
        return None, 0
    given = found.place.lines(lines_of(part))
    return Trace((*given, *found.added_strokes), shape.pen).scaled(float(shape.canvas)), len(given)


def spread(proposed: Sequence[Prediction], n: int) -> list[str]:
    """`n` classes, with each proposed class in proportion to its probability (D'Hondt's rule)."""
    count = dict.fromkeys((guess.label for guess in proposed), 0)
    for _ in range(n):
        most = max(proposed, key=lambda guess: guess.probability / (count[guess.label] + 1))
        count[most.label] += 1
    return [label for label, times in count.items() for _ in range(times)]


def places(lines: Sequence[np.ndarray], margin: float, seed: int, tries: int) -> list[Place]:
    """Possible places of a part on the canvas.

    In the first, the part is as large as the whole. In the others it is smaller, and lies at random in the middle or at
    either end of the free space.
    """
    points = np.concatenate(lines).astype(np.float64)
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    room, found = 1 - 2 * margin, []
    largest = room / longer_side(points)
    for number in range(tries):
        scale = SHARES[number % len(SHARES)] * largest
        where = np.random.default_rng([seed, number]).choice([0.0, 0.5, 1.0], 2) if number else np.full(2, 0.5)
        x, y = margin + where * (room - size * scale) - low * scale
        found.append(Place(float(scale), float(x), float(y)))
    return found


def _fields(model: SketchModel, drawings: Sequence[tuple[np.ndarray, ...]]) -> Float[Tensor, "b h h"]:
    shape = model.config.sketch
    return torch.from_numpy(np.stack([sdf.field(lines, shape, shape.canvas) for lines in drawings])).to(model.device)


def _around(
    model: SketchModel,
    given: Float[Tensor, "b h h"],
    label: Int[Tensor, " b"],
    seeds: Sequence[int],
    options: SamplingOptions,
    on_progress: OnFrame,
) -> Float[Tensor, "b h h"]:
    """Coarse canvases on which the given part is as sharp as before. Each seed is used for equally many sketches."""
    config, tries = model.config, len(given) // len(seeds)
    chances, tile, side = [generator(s, stage=2) for s in seeds], config.sketch.tile, config.sketch.canvas
    diffusion, stage = model.part(config.coarse_part("field")), config.stage("field")

    def fresh() -> Tensor:
        return torch.cat([torch.randn(tries, tile, tile, generator=each) for each in chances]).to(model.device)

    def show(done: int, total: int, x: Tensor) -> None:
        on_progress(Frame("coarse", done, total, lambda: enlarge(x, side)))

    root = F.avg_pool2d(given, side // tile)
    assert options.guidance is not None  # for mypy
    with model.precision():
        coarse = draw_around(diffusion, root, label, fresh, options.steps or stage.steps, options.guidance, show)
    return torch.maximum(enlarge(coarse, side), given)


def with_strokes(
    given: Float[Tensor, "b h h"], drawn: Float[Tensor, "b h h"], shape: SketchConfig
) -> Float[Tensor, "b h h"]:
    """The given part, unchanged, together with the strokes that are drawn beside it.

    Refining also leaves a fringe along given lines, where it draws them slightly shifted, and it turns specks into
    dots. Neither is a stroke. So ink that is separate from the given ink is only added if it has the size of a stroke.
    """
    pen = shape.pen * shape.canvas
    clear = ((drawn > 0) & (given < -shape.near)).cpu().numpy()
    keep = np.zeros_like(clear)
    for kept, ink in zip(keep, clear, strict=True):
        pieces, count = ndimage.label(ink, np.ones((3, 3)))
        large = np.flatnonzero(np.bincount(pieces.ravel(), minlength=count + 1) >= STROKE * pen**2)
        near = np.isin(pieces, large[large > 0])  # 0 is the background
        kept[:] = ndimage.binary_dilation(near, iterations=round(1.5 * pen))  # up to the given line that it touches
    return torch.where(torch.from_numpy(keep).to(given.device), torch.maximum(drawn, given), given)


@torch.no_grad()
def draw_around(
    diffusion: "Diffusion",
    given: Float[Tensor, "b p p"],
    label: Int[Tensor, " b"],
    fresh: Callable[[], Float[Tensor, "b p p"]],
    steps: int,
    guidance: float,
    on_progress: Callable[[int, int, Tensor], None] = lambda done, total, x: None,
) -> Float[Tensor, "b p p"]:
    """Fields in [-1, 1] that equal `given` near its ink, and are completed elsewhere by the diffusion.

    At every step, the prediction near the ink is replaced by what is given. The rest needs time to adapt to this, so
    most steps are repeated ROUNDS times, with noise added in between. This is RePaint (Lugmayr et al., 2022, arXiv
    2201.09865), which the paper describes for DDPM. `fresh` gives new noise at each call.
    """
    known, x = given > -KNOWN, fresh()
    for step in range(steps):
        time, after = 1 - step / steps, 1 - (step + 1) / steps
        rounds = ROUNDS if AGAIN[0] < time < AGAIN[1] else 1
        for left in reversed(range(rounds)):
            flow = diffusion.guided(x, torch.full((len(x),), time, device=x.device), label, guidance)
            sketch = torch.where(known, given, x - time * flow)
            x = torch.lerp(sketch, x, after / time)
            if left:  # this goes from time `after` back to `time`: the share of the sketch shrinks, and noise is added
                share = (1 - time) / (1 - after)
                x = share * x + (time**2 - (share * after) ** 2) ** 0.5 * fresh()
        on_progress(step + 1, steps, x)
    return x.clamp(-1, 1)
