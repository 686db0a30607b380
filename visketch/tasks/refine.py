"""Refine a rough sketch: the coarse stage may change it, and the refiner draws its lines again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from visketch.decoding import enlarge
from visketch.errors import UsageError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import DEFAULTS, SketchModel
from visketch.sampling import Frame, SamplingOptions

OnFrame = Callable[[Frame], None]

FINEST = 1024  # the largest picture, in pixels, in which lines are thinned; more would only cost time


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
) -> Float[Tensor, "b h h"]:
    """Turn sketches with their classes into refined fields. The result of a sketch does not depend on the others.

    `strength` in [0, 1] says how much may change. At 0, only the lines are drawn again, from the sketch reduced to the
    coarse tile. Above 0, the tile is noised up to that time, and the coarse stage draws it again for its class. At 1,
    nothing of the sketch is left.

    `canvas` is as in `SketchModel.render`; a larger one has finer lines and a deeper tree. The coarse stage has only
    one pen. So its result is first refined on the canvas of training, and its centre lines are then drawn on the larger
    canvas. `fields` are the sketches rendered on that canvas, if they are available. `changes` replace single
    `options`.

    Raises VisketchError for a blank sketch, UsageError for values out of range.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"strength = {strength}: must be between 0 (only the lines) and 1 (everything)")
    options, shape = replace(options, **changes), model.config.sketch
    label = torch.tensor([model.label_of(name) for name in labels], device=model.device)
    if fields is None:
        fields = model.render(sketches, canvas)
    if strength == 0:
        return refined(model, shrunk(model, fields), label, seed, options, on_progress)
    on_canvas = fields if fields.shape[-1] == shape.canvas else model.render(sketches)
    rough = F.avg_pool2d(on_canvas, 2**shape.depth)
    coarse = model.coarse(label, [seed] * len(rough), options.steps, options.guidance, on_progress, rough, strength)
    drawn = refined(model, coarse, label, seed, options, on_progress)
    if canvas in (None, shape.canvas):
        return drawn
    again = [
        replace(thinned(model, field, canvas), label=sketch.label, source=sketch.source)
        for field, sketch in zip(drawn, sketches, strict=True)
    ]
    return refine(
        model, again, labels, strength=0.0, canvas=canvas, seed=seed, options=options, on_progress=on_progress
    )


def shrunk(model: SketchModel, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b h h"]:
    """Reduce a field to the coarse tile and enlarge it again, to the resolution of the canvas of training."""
    return enlarge(F.avg_pool2d(canvas, 2**model.config.sketch.depth), canvas.shape[-1])


def refined(
    model: SketchModel,
    canvas: Float[Tensor, "b h h"],
    label: Int[Tensor, " b"],
    seed: int,
    options: SamplingOptions,
    on_progress: OnFrame,
) -> Float[Tensor, "b h h"]:
    for frame in model.decode(canvas, label, seeds=[seed] * len(canvas), options=options):
        canvas = frame.canvas
        on_progress(frame)
    return canvas


def thinned(model: SketchModel, field: Float[Tensor, "h h"], canvas: int) -> Sketch:
    """The ink of a field as a sketch, so that it can be drawn with another pen.

    The field is enlarged first, since a skeleton is only as smooth as its pixels.
    """
    size = min(canvas, FINEST)
    fine = F.interpolate(field[None, None], size=(size, size), mode="bicubic", align_corners=False)[0, 0]
    ink = sdf.ink(fine, model.config.sketch.clamp) > 0.5
    return Sketch(pixels=ink.cpu().numpy())
