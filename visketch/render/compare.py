"""Sheets that compare drawings: before and after, or the given ink and the added ink."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CELL = 256  # side of a drawing on a sheet, in pixels
LETTERS = 14  # height of a name below a drawing, in pixels
MOST = 64  # the most drawings on a sheet; more would be too small to see
GIVEN, ADDED, BEFORE = (0, 0, 0), (20, 110, 220), (150, 150, 150)  # colours of the pen


def tinted(levels: "np.ndarray", pen: tuple[int, int, int] = GIVEN) -> "np.ndarray":
    """Grey levels (CELL CELL) as a picture (CELL CELL 3) uint8, in one colour on white."""
    import numpy as np

    ink = 1 - levels[..., None] / 255
    return np.rint(255 + ink * (np.array(pen) - 255)).astype(np.uint8)


def told_apart(whole: "np.ndarray", given: "np.ndarray") -> "np.ndarray":
    """A picture (CELL CELL 3) uint8 of a drawing, with the given ink in black and the added ink in blue. Both are grey
    levels.
    """
    import numpy as np

    # The darker of both is taken in each channel, so it is black where both have ink.
    return np.minimum(tinted(whole, ADDED), tinted(given))


def beside(before: "np.ndarray", after: "np.ndarray") -> "np.ndarray":
    """A picture (CELL 2*CELL 3) uint8 of two drawings, given as grey levels, side by side, the first in grey."""
    import numpy as np

    return np.concatenate([tinted(before, BEFORE), tinted(after)], axis=1)


def sheet(pictures: Sequence["np.ndarray"], names: Sequence[str] = ()) -> "np.ndarray":
    """Pictures (rows columns 3) of equal size in a grid on white, each above its name if there are names.

    The grid is about as high as it is wide.
    """
    import numpy as np

    high, wide = pictures[0].shape[:2]
    columns = max(1, round(math.sqrt(len(pictures) * high / wide)))
    rows, gap = math.ceil(len(pictures) / columns), CELL // 16
    below = 3 * LETTERS // 2 if names else 0
    pixels = np.full((rows * (high + below + gap) + gap, columns * (wide + gap) + gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * (high + below + gap) + gap, column * (wide + gap) + gap
        pixels[top : top + high, left : left + wide] = picture
        if names:
            pixels[top + high : top + high + below, left : left + wide] = caption(names[number], wide, below)
    return pixels


def caption(name: str, wide: int, high: int) -> "np.ndarray":
    """A line of text as a picture (high wide 3) uint8. The middle of a name that is too long is left out."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    page, font, text, cut = Image.new("RGB", (wide, high), "white"), ImageFont.load_default(LETTERS), name, len(name)
    draw = ImageDraw.Draw(page)
    while cut > 2 and draw.textlength(text, font) > wide:
        cut -= 1
        text = f"{name[: (cut + 1) // 2]}...{name[len(name) - cut // 2 :]}"
    draw.text((0, 0), text, "black", font)
    return np.asarray(page)
