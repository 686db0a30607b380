"""The picture of an explanation: the drawing under its leaves, each with its vote, and the text above."""

import textwrap

import numpy as np
from PIL import ImageFont

from visketch.render.grey import grey
from visketch.render.poster import EDGE, INK, NONE, Page
from visketch.tasks.explain import Explanation

SIDE, CAPTION, COLUMNS = 640, 128, 88  # pixels of the drawing and of the text above it; characters in a line of text
FOR, AGAINST = (47, 158, 96), (211, 47, 47)


def picture(why: Explanation, clamp: float, name: str) -> np.ndarray:
    """The picture (rows columns 3) uint8 of an explanation. Leaves for the class are green, leaves against it red.

    `name` is the name of the drawing, which is shown above it.
    """
    page = Page(SIDE + 2 * EDGE, SIDE + CAPTION + 2 * EDGE + 24)
    page.write((EDGE, EDGE - 8), name, 24, INK)
    for number, line in enumerate(textwrap.wrap(why.words, COLUMNS)[:5]):
        page.write((EDGE, EDGE + 26 + 20 * number), line, 15, INK)
    left, top = EDGE, EDGE + CAPTION
    assert why.canvas is not None
    page.put((left, top), grey(why.canvas, clamp, SIDE)[0], SIDE)
    most = max(abs(vote.weight) for vote in why.votes) or 1.0
    for vote in why.votes:
        box = [round(value * SIDE) for value in vote.box]
        corners = (left + box[0], top + box[1], left + box[2], top + box[3])
        color = FOR if vote.weight >= 0 else AGAINST
        page.draw.rectangle(corners, fill=(*color, round(120 * abs(vote.weight) / most)), outline=(*color, 160))
        if box[2] - box[0] >= 90:
            weight, says = f"{100 * vote.weight:+.0f} %", f"{vote.label} {100 * vote.probability:.0f} %"
            over_ink(page, (corners[0] + 6, corners[1] + 4), weight, 17, INK)
            over_ink(page, (corners[0] + 6, corners[3] - 20), says, 13, INK)
    page.frame((left, top), SIDE, NONE)
    below = "above: the leaf's share of the votes, green for the class, red against; below: its class by itself"
    page.write((left, top + SIDE + 8), below, 13)
    return np.asarray(page.image)


def over_ink(page: Page, at: tuple[int, int], text: str, size: int, color: str) -> None:
    """Write text with a white border, so that it can be read over ink."""
    font = ImageFont.load_default(size)
    page.draw.text(at, text, fill=color, font=font, stroke_width=3, stroke_fill="white")
