"""Where a drawing lies on a canvas, and how large."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """Where a drawing lies: a point of it is at `scale` * point + (x, y), in shares of the canvas's side."""

    scale: float
    x: float
    y: float

    def lines(self, lines: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The drawing there, each line (points, 2) in the unit square."""
        spot = np.array([self.x, self.y])
        return tuple((line.astype(np.float64) * self.scale + spot).astype(np.float32) for line in lines)
