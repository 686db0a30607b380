"""When a hand would draw each stroke: the seconds at which it begins and ends."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from visketch.geometry.sketch import arc_lengths, length, longer_side

SPEED = 1.6  # the speed of the pen, in longer sides of the drawing a second
LIFTED = 0.12  # seconds between two strokes
LONGEST = 8.0  # the most seconds that a drawing may take; a longer one is drawn faster


def pace(strokes: Sequence[Float[np.ndarray, "_ 2"]], given: int = 0) -> Float[np.ndarray, "n 2"]:
    """The start and the end, in seconds, of each of n strokes.

    Strokes are drawn one after another, and each takes as long as its length demands. The first `given` strokes are
    there from the beginning.
    """
    if not strokes:
        return np.zeros((0, 2))
    side = longer_side(np.concatenate(strokes))
    seconds = np.array([length(stroke) for stroke in strokes]) / side / SPEED
    seconds[:given] = 0
    pauses = np.where(np.arange(len(strokes)) > given, LIFTED, 0.0)
    ends = np.cumsum(seconds + pauses)
    both = np.stack([ends - seconds, ends], axis=1)
    return both * min(1.0, LONGEST / max(float(ends[-1]), 1e-6))


def between(
    stroke: Float[np.ndarray, "n 2"], start: float, end: float, first: float, last: float
) -> Float[np.ndarray, "m 2"]:
    """The part of a stroke that is drawn between the seconds `first` and `last`.

    The stroke itself begins at second `start` and ends at second `end`.
    """
    if last < start or (first >= end and first > start):
        return stroke[:0]
    along = arc_lengths(stroke)
    share = along / along[-1] if along[-1] else np.linspace(0, 1, len(stroke))
    low, high = (min(max((moment - start) / max(end - start, 1e-9), 0.0), 1.0) for moment in (first, last))
    ends = np.stack([[np.interp(place, share, axis) for axis in stroke.T] for place in (low, high)])
    return np.concatenate([ends[:1], stroke[(share > low) & (share < high)], ends[1:]])
