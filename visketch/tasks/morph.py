"""Turn one drawing into another in steps, each of which is a drawing itself.

The strokes of the two drawings are matched, and their points move in straight lines from the one to the other. What
lies between the two is no sketch of anything. So each step is noised, most strongly in the middle, and the stroke
diffusion draws it again from there as the nearer class (SDEdit, Meng et al., 2022, arXiv 2108.01073). The noise is the
same in all steps, so that neighbouring steps are alike. This is our choice: with the guidance of both classes mixed,
the steps in the middle were scribbles (lab book).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from visketch.errors import UsageError
from visketch.geometry.pieces import Pieces, count, join, spread
from visketch.geometry.sketch import Sketch, arc_lengths
from visketch.model import SketchModel
from visketch.models.stroke_transformer import to_pieces, to_tokens
from visketch.sampling import check_number, check_real, check_seed, generator
from visketch.tasks.like import pieces_of

STEPS = 12  # the default number of drawings, including both ends
MOST = 120
STRENGTH = 0.75  # the default strength of the noise in the middle
# A little stronger than for new sketches, since a step should look like its class, and variety is not wanted here. With
# much more, the guide, which has not seen such mixtures, leads astray (lab book, 2026-11-26).
GUIDANCE = 2.0
ALONG = 16  # the number of places at which two strokes are compared

Strokes = list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Morph:
    """The drawings of a morph, in [-1, 1]. The first and the last are as they were given.

    All drawings have the same number of strokes, and each stroke has the same number of points in all of them, so that
    points can be moved from one drawing to the next.
    """

    steps: list[Strokes]

    def sketches(self) -> list[Sketch]:
        return [Sketch(strokes=tuple(strokes), source=f"step {i}") for i, strokes in enumerate(self.steps, 1)]

    def between(self, share: float) -> Strokes:
        """The drawing at a share of the whole way. Between two steps, points move in straight lines."""
        place = share * (len(self.steps) - 1)
        low = min(int(place), len(self.steps) - 2)
        ends = zip(self.steps[low], self.steps[low + 1], strict=True)
        return [start + (end - start) * np.float32(place - low) for start, end in ends]


@torch.inference_mode()
def morph(
    model: SketchModel,
    first: Sketch,
    last: Sketch,
    labels: tuple[str, str],
    *,
    steps: int = STEPS,
    strength: float = STRENGTH,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Morph:
    """Draw `steps` drawings that lead from the first to the last drawing. `labels` are the classes of the two.

    `strength` in [0, 1) says how much the steps may differ from the straight way between the two drawings. It applies
    in full in the middle, and not at all at the ends. Raises UsageError for values out of range, for anything but two
    classes and for weights that draw no strokes, VisketchError for a drawing that is blank or has too many strokes.
    """
    seed = check_seed(seed)
    check_number("steps", steps, 2, MOST)
    strengths = "a number from 0 (straight from one to the other) up to below 1"
    check_real("strength", strength, lambda value: 0 <= value < 1, strengths)
    if not isinstance(labels, tuple | list) or len(labels) != 2:
        raise UsageError(f"labels = {labels!r}: take two classes, one for each drawing")
    numbers = [model.label_of(label) for label in labels]
    most = model.config.stage("strokes").pieces
    starts, ends, joined = matched(pieces_of(model, first), pieces_of(model, last), most)
    share = torch.linspace(0, 1, steps)
    points = torch.lerp(torch.from_numpy(starts), torch.from_numpy(ends), share[:, None, None, None])
    if strength and steps > 2:
        inner = _drawn(model, points[1:-1], joined, share[1:-1], numbers, strength, seed, on_progress)
        points = torch.cat([points[:1], inner, points[-1:]])
    return Morph([join(Pieces(each, joined)) for each in points.numpy()])


def _drawn(
    model: SketchModel,
    points: Float[Tensor, "b t k 2"],
    joined: np.ndarray,
    share: Float[Tensor, " b"],
    numbers: Sequence[int],
    strength: float,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> Float[Tensor, "b t k 2"]:
    """Draw straight steps again as the nearer class. Each is noised up to its own time, and drawn again from there."""
    diffusion, stage = model.part(model.config.coarse_part("strokes")), model.config.stage("strokes")
    here = model.device
    count = torch.full((len(points),), points.shape[1], device=here)
    label = torch.where(share < 0.5, numbers[0], numbers[-1]).to(here)
    start = to_tokens(points, torch.from_numpy(joined).expand(len(points), -1)).to(here)
    noise = torch.randn(stage.steps, 1, *start.shape[1:], generator=generator(seed, stage=4)).to(here)
    most = (strength * torch.sin(torch.pi * share)).to(here)
    with model.precision():
        clean = diffusion.sample(
            label,
            count,
            noise.expand(-1, len(start), -1, -1),
            GUIDANCE,
            on_progress=lambda done, total, x: on_progress(done, total),
            start=start,
            strength=most,
        )
    return to_pieces(clean.float())[0].cpu()


def matched(first: Pieces, last: Pieces, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match the strokes of two drawings. Returns both as pieces (t, k, 2), and which pieces are joined (t,). Piece i of
    the first becomes piece i of the last.

    If one drawing has fewer strokes, its strokes are cut in two until the numbers are equal. Strokes are paired so that
    the total distance is least (Kuhn, 1955). A stroke is reversed if that brings it nearer to its partner.
    """
    strokes, others = join(first), join(last)
    for fewer, more in ((strokes, others), (others, strokes)):
        while len(fewer) < len(more):
            _halve(fewer)
    cost = np.array([[_apart(stroke, other)[0] for other in others] for stroke in strokes])
    pairs = [(strokes[i], others[j]) for i, j in zip(*linear_sum_assignment(cost), strict=True)]
    pairs = [(stroke, other[::-1] if _apart(stroke, other)[1] else other) for stroke, other in pairs]
    parts = count(np.array([max(map(len, pair)) for pair in pairs])).tolist()
    while sum(parts) > most:  # the longest lines must make do with fewer points
        parts[int(np.argmax(parts))] -= 1
    starts, ends = (
        np.concatenate([spread(pair[which], each) for pair, each in zip(pairs, parts, strict=True)]) for which in (0, 1)
    )
    return starts, ends, np.concatenate([np.arange(each) > 0 for each in parts])


def _halve(strokes: Strokes) -> None:
    """Cut the longest stroke in the middle, in place."""
    along = [arc_lengths(stroke) for stroke in strokes]
    place = int(np.argmax([each[-1] for each in along]))
    stroke, each = strokes[place], along[place]
    middle = np.array([[np.interp(each[-1] / 2, each, axis) for axis in stroke.T]], np.float32)
    before = each < each[-1] / 2
    if not before.any():  # a dot
        before[0] = True
    strokes[place : place + 1] = [np.concatenate([stroke[before], middle]), np.concatenate([middle, stroke[~before]])]


def _apart(stroke: np.ndarray, other: np.ndarray) -> tuple[float, bool]:
    """The mean distance of two strokes, and whether it is reached with one of them reversed."""
    one, two = (_sampled(each) for each in (stroke, other))
    straight, turned = (float(np.linalg.norm(one - each, axis=1).mean()) for each in (two, two[::-1]))
    return min(straight, turned), turned < straight


def _sampled(stroke: np.ndarray) -> np.ndarray:
    along = arc_lengths(stroke)
    places = np.linspace(0, along[-1], ALONG)
    return np.stack([np.interp(places, along, axis) for axis in stroke.T], axis=1)
