"""The position and size of a drawing on a canvas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """The position and size of a drawing on a canvas.

    A point of the drawing goes to `scale` * point + (x, y), in shares of the canvas's side.
    """

    scale: float
    x: float
    y: float

    def lines(self, lines: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The lines of the drawing at its place, each (points, 2) in the unit square."""
        spot = np.array([self.x, self.y])
        return tuple((line.astype(np.float64) * self.scale + spot).astype(np.float32) for line in lines)
