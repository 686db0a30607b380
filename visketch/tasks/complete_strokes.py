"""Complete a half-drawn sketch with a coarse stage of strokes. The given strokes are fixed tokens.

The network was trained on drawings of which the beginning or some strokes were given (`train.diffusion.given`). So no
blending is needed: the strokes that it adds join the given ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int
from torch import Tensor

from visketch.errors import VisketchError
from visketch.geometry.pieces import TOLERANCE, Pieces, cut, join, simplified
from visketch.geometry.place import Place
from visketch.geometry.sketch import Sketch, longer_side
from visketch.geometry.trace import lines_of
from visketch.model import SketchModel
from visketch.sampling import Frame, SamplingOptions, candidate_seeds

Lines = tuple[np.ndarray, ...]


def strokes_around(
    model: SketchModel,
    part: Sketch,
    places: Sequence[Place],
    label: Int[Tensor, " b"],
    seeds: Sequence[int],
    options: SamplingOptions,
    on_progress: Callable[[Frame], None],
) -> list[tuple[Place, Lines]]:
    """Add strokes around a part at each of its b places in the whole drawing.

    Returns, for each place, the place of the part on the canvas, with space for what was added, and the added strokes
    in shares of the canvas's side. Each seed is used for the same number of places. Raises VisketchError for a part
    with more strokes than the network allows.
    """
    strokes = lines_of(part)
    given = [_pieces(place.lines(strokes)) for place in places]
    most = model.config.diffusion.pieces
    if len(given[0]) >= most:
        raise VisketchError(
            f"{part.source or 'sketch'}: {len(given[0]):,} pieces of strokes: at most {most - 1} can be completed; "
            "use a simpler drawing"
        )
    beside = [join(pieces) for pieces in given]

    def show(frame: Frame) -> None:  # shows the given strokes too, since the added ones alone are no drawing
        new = frame.strokes
        shown = (lambda: [[*part, *added] for part, added in zip(beside, new(), strict=True)]) if new else None
        on_progress(replace(frame, strokes=shown))

    drawn = model.strokes(
        label,
        candidate_seeds(seeds, len(places) // len(seeds)),
        options,
        show,
        given,
    )
    margin = model.config.sketch.margin
    return [_fitted(place, place.lines(strokes), new, margin) for place, new in zip(places, drawn, strict=True)]


def _pieces(lines: Lines) -> Pieces:
    """Turn lines in the unit square into pieces in [-1, 1]."""
    return cut(simplified([2 * line - 1 for line in lines], TOLERANCE))


def _fitted(place: Place, given: Lines, added: Sketch, margin: float) -> tuple[Place, Lines]:
    """Fit the whole drawing to the canvas. Returns the place of the given part, and the added strokes."""
    new = [(line + 1) / 2 for line in added.strokes or ()]
    points = np.concatenate([*given, *new]).astype(np.float64)
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    times = (1 - 2 * margin) / longer_side(points)
    x, y = 0.5 - (low + size / 2) * times
    moved = Place(place.scale * times, place.x * times + x, place.y * times + y)
    return moved, Place(times, float(x), float(y)).lines(new)
