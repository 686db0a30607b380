"""Refine a rough sketch: the refiner draws its lines again, and the coarse stage may change it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from visketch.decoding import enlarge
from visketch.errors import VisketchError
from visketch.geometry import sdf, trace
from visketch.geometry.pieces import Pieces, fitted, pieces
from visketch.geometry.sketch import Sketch, length, on_canvas
from visketch.model import DEFAULTS, SketchModel
from visketch.sampling import Frame, SamplingOptions, check_real, check_seed

OnFrame = Callable[[Frame], None]

FINEST = 1024  # the largest picture, in pixels, in which lines are thinned; more would only cost time


class Refined(NamedTuple):
    """Sketches that were drawn again."""

    canvas: Float[Tensor, "b h h"]
    strokes: tuple[tuple[np.ndarray, ...], ...] | None = None  # of each, in pixels, if the coarse stage drew strokes


@torch.inference_mode()
def refine(
    model: SketchModel,
    sketches: Sequence[Sketch],
    labels: Sequence[str],
    *,
    strength: float = 0.0,
    canvas: int | None = None,
    seed: int = 0,
    options: SamplingOptions = DEFAULTS,
    fields: Float[Tensor, "b h h"] | None = None,
    on_progress: OnFrame = lambda frame: None,
    **changes: Any,
) -> Refined:
    """Draw sketches again for their classes. The result of a sketch does not depend on the others.

    `strength` in [0, 1] says how much may change. At 0, only the lines are drawn again, by the refiner, from the sketch
    reduced to the coarse tile. Above 0, the coarse stage draws the sketch again from a noised one, for its class
    (SDEdit, Meng et al., 2022, arXiv 2108.01073), and at 1 nothing of the sketch is left. A coarse stage that draws
    strokes starts from those of the sketch or from the lines that the refiner drew (`pieces_to_redraw`), and its
    strokes are the result. One that draws a field starts from the tile, and its result is refined.

    `canvas` is as in `SketchModel.render`; a larger one has finer lines and a deeper tree. The coarse field has only
    one pen. So its result is first refined on the canvas of training, and its centre lines are then drawn on the larger
    canvas. `fields` are the sketches rendered on that canvas, if they are available. `changes` replace single
    `options`.

    Raises VisketchError for a sketch that is blank, or that has too little ink or too many strokes to be drawn again;
    UsageError for values out of range.
    """
    strengths = "a number from 0 (only the lines change) to 1 (everything does)"
    check_real("strength", strength, lambda value: 0 <= value <= 1, strengths)
    seed = check_seed(seed)
    options, shape = SamplingOptions.changed(options, changes), model.config.sketch
    label, seeds = torch.tensor([model.label_of(name) for name in labels], device=model.device), [seed] * len(labels)
    if fields is None:
        fields = model.render(sketches, canvas)
    usual = fields if strength == 0 or fields.shape[-1] == shape.canvas else model.render(sketches)
    if strength == 0 or (options.coarse or model.config.coarse) == "strokes":
        clean = model.redrawn(shrunk(model, usual), label, seeds, options, on_progress)
        for ink, sketch in zip(model.ink(clean), sketches, strict=True):
            if not (ink > 0.5).any():
                raise VisketchError(f"{sketch.source or 'sketch'}: too little ink to refine; draw more")
        if strength == 0:
            return Refined(clean)
        rows = zip(clean, sketches, label.split(1), strict=True)
        like = [pieces_to_redraw(model, field, sketch, number) for field, sketch, number in rows]
        drawn = model.strokes(label, [seed] * len(like), options, on_progress, like=like, strength=strength)
        side = canvas or shape.canvas
        strokes = tuple(on_canvas(sketch.lines(), shape.margin, side) for sketch in drawn)
        return Refined(model.render(drawn, side), strokes)
    rough = F.avg_pool2d(usual, 2**shape.depth)
    coarse = model.coarse(label, [seed] * len(rough), options.steps, options.guidance, on_progress, rough, strength)
    fields = model.redrawn(coarse, label, seeds, options, on_progress)
    if canvas in (None, shape.canvas):
        return Refined(fields)
    again = [
        replace(thinned(model, field, canvas), label=sketch.label, source=sketch.source)
        for field, sketch in zip(fields, sketches, strict=True)
    ]
    return refine(
        model, again, labels, strength=0.0, canvas=canvas, seed=seed, options=options, on_progress=on_progress
    )


def shrunk(model: SketchModel, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b h h"]:
    """Reduce a field to the coarse tile and enlarge it again, to the resolution of the canvas of training."""
    return enlarge(F.avg_pool2d(canvas, 2**model.config.sketch.depth), canvas.shape[-1])


def pieces_to_redraw(
    model: SketchModel, field: Float[Tensor, "h h"], sketch: Sketch, label: Int[Tensor, " 1"]
) -> Pieces:
    """What the stroke diffusion draws again: the strokes of a sketch, or the lines of its refined field.

    A field is traced if the sketch has no strokes, or if the network finds the traced lines more probable: it knows
    strokes as people draw them, but strokes that shake or are broken look better after they were refined. Raises
    VisketchError for a sketch with too many strokes.
    """
    most = model.config.stage("strokes").pieces
    own = pieces([sketch.strokes])[0] if sketch.strokes is not None else None
    if own is None or len(own) > most:
        return traced(model, field, sketch)
    try:
        found = traced(model, field, sketch)
    except VisketchError:
        return own
    of_own, of_found = model.part(model.config.coarse_part("strokes")).surprise([own, found], label.expand(2))
    return own if of_own <= of_found else found


def traced(model: SketchModel, field: Float[Tensor, "h h"], sketch: Sketch) -> Pieces:
    """The lines of a refined field as pieces, of which the stroke diffusion has not too many.

    Lines that are no longer than the pen is wide are specks and are left out, and so are the shortest ones that are too
    many. Raises VisketchError if these would be more than the others.
    """
    shape, most = model.config.sketch, model.config.stage("strokes").pieces
    lines = trace.trace(trace.from_field(field.float().cpu().numpy(), shape.clamp)).strokes
    kept = [line for line in lines if length(line) >= shape.pen * shape.canvas] or list(lines)
    if len(kept) > 2 * most:
        raise VisketchError(
            f"{sketch.source or 'sketch'}: {len(kept):,} strokes after refining: at most {2 * most} can be changed; "
            "use a simpler drawing, or strength 0"
        )
    longest = sorted(range(len(kept)), key=lambda place: -length(kept[place]))[:most]
    return fitted([kept[place] for place in sorted(longest)], most)


def thinned(model: SketchModel, field: Float[Tensor, "h h"], canvas: int) -> Sketch:
    """The ink of a field as a sketch, so that it can be drawn with another pen.

    The field is enlarged first, since a skeleton is only as smooth as its pixels.
    """
    size = min(canvas, FINEST)
    fine = F.interpolate(field[None, None], size=(size, size), mode="bicubic", align_corners=False)[0, 0]
    ink = sdf.ink(fine, model.config.sketch.clamp) > 0.5
    return Sketch(pixels=ink.cpu().numpy())
