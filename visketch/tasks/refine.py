"""A user's own rough sketch → a clean one: the coarse stage may change it, refining draws its lines again."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from visketch.decoding import enlarge
from visketch.errors import UsageError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import Frame, ViSketch
from visketch.quadtree import Order

Watch = Callable[[Frame], None]

FINEST = 1024  # pixels at which lines are thinned: more only costs time


@torch.inference_mode()
def redraw(
    model: ViSketch,
    sketches: Sequence[Sketch],
    labels: Sequence[str],
    *,
    strength: float = 0.0,
    canvas: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    temperature: float = 0.7,
    top_p: float = 0.95,
    order: Order = "waves",
    watch: Watch = lambda frame: None,
) -> Float[Tensor, "b h h"]:
    """Sketches and the class of each → fields. What comes of a sketch does not depend on the others.

    `strength` in [0, 1] says how much may change. 0: nothing but the lines, which are drawn again from the sketch
    shrunk to the coarse tile. Above: the tile is noised up to that time and the coarse stage draws it again, as
    the class asks; at 1 nothing of the sketch is left. `canvas`: as in `ViSketch.render`; a larger one has finer lines
    and a deeper tree. What the coarse stage drew is refined on the canvas of training first, and its centre lines then
    are drawn on the larger one, since the coarse stage knows one pen only.
    Raises VisketchError for a blank sketch, UsageError for what is not in these ranges.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength}: take a number from 0 (only the lines) to 1 (all anew)")
    shape = model.config.sketch
    label = torch.tensor([model.label_of(name) for name in labels], device=model.device)
    settings: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "order": order}
    if strength == 0:
        return refined(model, shrunk(model, model.render(sketches, canvas)), label, seed, watch, **settings)
    rough = F.avg_pool2d(model.render(sketches), 2**shape.depth)
    coarse = model.coarse(label, [seed] * len(rough), steps, guidance, watch, rough, strength)
    drawn = refined(model, coarse, label, seed, watch, **settings)
    if canvas in (None, shape.canvas):
        return drawn
    again = [thinned(model, field, canvas, sketch) for field, sketch in zip(drawn, sketches, strict=True)]
    return redraw(model, again, labels, strength=0.0, canvas=canvas, seed=seed, watch=watch, **settings)


def shrunk(model: ViSketch, canvas: Float[Tensor, "b h h"]) -> Float[Tensor, "b h h"]:
    """What is left of a field that has been as small as the coarse tile is beside the canvas of training."""
    return enlarge(F.avg_pool2d(canvas, 2**model.config.sketch.depth), canvas.shape[-1])


def refined(
    model: ViSketch, canvas: Float[Tensor, "b h h"], label: Int[Tensor, " b"], seed: int, watch: Watch, **settings
) -> Float[Tensor, "b h h"]:
    for frame in model.refine(canvas, label, seeds=[seed] * len(canvas), **settings):
        canvas = frame.canvas
        watch(frame)
    return canvas


def thinned(model: ViSketch, field: Float[Tensor, "h h"], canvas: int, sketch: Sketch) -> Sketch:
    """The ink of a field, to be drawn with another pen. Enlarged first: a skeleton is as smooth as its pixels."""
    size = min(canvas, FINEST)
    fine = F.interpolate(field[None, None], size=(size, size), mode="bicubic", align_corners=False)[0, 0]
    ink = sdf.ink(fine, model.config.sketch.clamp) > 0.5
    return Sketch(pixels=ink.cpu().numpy(), label=sketch.label, source=sketch.source)
