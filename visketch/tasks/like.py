"""Variations of a drawing: its strokes are noised and drawn again from there, for its class."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from visketch.errors import UsageError, VisketchError
from visketch.geometry.pieces import Pieces, fitted, join
from visketch.geometry.sketch import Sketch
from visketch.geometry.trace import lines_of
from visketch.model import DEFAULTS, Generated, SketchModel
from visketch.sampling import Frame, SamplingOptions, candidate_seeds, check_number, check_real, check_seed

STRENGTH = 0.4  # the default strength


@torch.inference_mode()
def like(
    model: SketchModel,
    sketch: Sketch,
    label: str | Sequence[str],
    n: int = 1,
    *,
    strength: float = STRENGTH,
    seed: int = 0,
    options: SamplingOptions = DEFAULTS,
    on_progress: Callable[[Frame], None] = lambda frame: None,
    **changes: Any,
) -> Generated:
    """Draw `n` sketches of a class (or of each of several classes) that resemble a given one and have as many strokes.

    `strength` in [0, 1] says how much may change. The strokes are noised up to that time of the diffusion and drawn
    again from there (SDEdit, Meng et al., 2022, arXiv 2108.01073). At 0 nothing changes, and at 1 nothing of the
    drawing is left. The other arguments are as in `SketchModel.generate_fields`. Raises UsageError for values out of
    range, for a `detail`, for `coarse="field"` and for weights that draw no strokes, VisketchError for a drawing that
    is blank or has too many strokes.
    """
    strengths = "a number from 0 (nothing changes) to 1 (all is new)"
    check_real("strength", strength, lambda value: 0 <= value <= 1, strengths)
    check_number("n", n, 1)
    seed = check_seed(seed)
    options, names = SamplingOptions.changed(options, changes), [label] if isinstance(label, str) else list(label)
    pieces, tries = pieces_of(model, sketch), options.tries or 1
    if options.detail != "usual":
        raise UsageError(f"detail = {options.detail!r}: a variation has as many strokes as the drawing; leave it out")
    if options.coarse == "field":
        raise UsageError("coarse = 'field': a variation is drawn as strokes; leave it out, or take 'strokes'")
    seeds = candidate_seeds([seed + i for _ in names for i in range(n)], tries)
    numbers = [model.label_of(name) for name in names for _ in range(n * tries)]
    labels = torch.tensor(numbers, device=model.device)
    drawn = [Sketch(strokes=tuple(join(pieces)))] * len(seeds)
    if strength:
        drawn = model.strokes(labels, seeds, options, on_progress, like=[pieces] * len(seeds), strength=strength)
    return model.best_strokes(drawn, labels, seeds, options, on_progress)


def pieces_of(model: SketchModel, sketch: Sketch) -> Pieces:
    """A drawing as pieces that the network can take.

    Raises VisketchError for a drawing that is blank or has too many strokes, with the name of the drawing, and
    UsageError for weights that draw no strokes.
    """
    most = model.config.stage("strokes").pieces
    strokes = lines_of(sketch)
    try:
        return fitted(strokes, most)
    except VisketchError as error:
        raise VisketchError(f"{sketch.source or 'sketch'}: {error}") from None
