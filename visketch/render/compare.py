"""Sheets that compare drawings: before and after, or the given ink and the added ink."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from visketch.render.grey import grey

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

CELL = 256  # side of a drawing on a sheet, in pixels
MOST = 64  # the most drawings on a sheet; more would be too small to see
GIVEN, ADDED, BEFORE = (0, 0, 0), (20, 110, 220), (150, 150, 150)  # colours of the pen


def tinted(canvas: "Tensor", clamp: float, pen: tuple[int, int, int] = GIVEN) -> "np.ndarray":
    """A field (h h) as a picture (CELL CELL 3) uint8, in one colour on white."""
    import numpy as np

    ink = 1 - grey(canvas[None], clamp, CELL)[0][..., None] / 255
    return np.rint(255 + ink * (np.array(pen) - 255)).astype(np.uint8)


def told_apart(canvas: "Tensor", given: "Tensor", clamp: float) -> "np.ndarray":
    """A picture (CELL CELL 3) uint8 of a drawing, with the given ink in black and the added ink in blue."""
    import numpy as np

    # The darker of both is taken in each channel, so it is black where both have ink.
    return np.minimum(tinted(canvas, clamp, ADDED), tinted(given, clamp))


def beside(before: "Tensor", after: "Tensor", clamp: float) -> "np.ndarray":
    """A picture (CELL 2*CELL 3) uint8 of two drawings side by side, the first in grey."""
    import numpy as np

    return np.concatenate([tinted(before, clamp, BEFORE), tinted(after, clamp)], axis=1)


def sheet(pictures: Sequence["np.ndarray"]) -> "np.ndarray":
    """Pictures (rows columns 3) of equal size in a grid on white. The grid is about as high as it is wide."""
    import numpy as np

    high, wide = pictures[0].shape[:2]
    columns = max(1, round(math.sqrt(len(pictures) * high / wide)))
    rows, gap = math.ceil(len(pictures) / columns), CELL // 16
    pixels = np.full((rows * (high + gap) + gap, columns * (wide + gap) + gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * (high + gap) + gap, column * (wide + gap) + gap
        pixels[top : top + high, left : left + wide] = picture
    return pixels
