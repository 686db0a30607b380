"""Pages of pictures and text.

They are the output of `visketch show` (the quadtree, the context and the codes of one drawing) and the galleries of
search results.
"""

import colorsys
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from visketch.render.grey import grey

if TYPE_CHECKING:
    from torch import Tensor

    from visketch.config import SketchConfig
    from visketch.tasks.inspect import View

Box = tuple[int, int]  # left and top of an element

LEVELS = ["#7a7f87", "#3465c9", "#d9822b", "#2f9e60", "#8f4fbf", "#c2407d", "#1f98a6", "#8a7a2d"]
CHOSEN, INK, FAINT, NONE = "#d32f2f", "#1f2328", "#6a737d", "#e4e7eb"
EDGE, BIG, SMALL, GAP = 32, 640, 160, 28  # pixels: border, drawing, tile, space between them
RIGHT = 4 * (SMALL + GAP) - GAP  # the width of the column to the right of the drawing


class Page:
    """A white page for pictures and text."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), "white")
        self.draw = ImageDraw.Draw(self.image, "RGBA")

    def write(self, at: Box, text: str, size: int = 15, color: str = FAINT, anchor: str = "la") -> None:
        self.draw.text(at, text, fill=color, font=ImageFont.load_default(size), anchor=anchor)

    def put(self, at: Box, levels: np.ndarray, side: int, smooth: bool = True) -> None:
        picture = Image.fromarray(levels).resize(
            (side, side), Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        )
        self.image.paste(picture, at)

    def frame(self, at: Box, side: int, color: str, width: int = 1) -> None:
        left, top = at
        self.draw.rectangle((left, top, left + side - 1, top + side - 1), outline=color, width=width)

    def nothing(self, at: Box, side: int) -> None:
        """Draw the placeholder of a tile that does not exist."""
        left, top = at
        self.draw.rectangle((left, top, left + side - 1, top + side - 1), fill="#f6f7f9", outline=NONE)
        self.draw.line((left, top, left + side - 1, top + side - 1), fill=NONE)
        self.draw.line((left, top + side - 1, left + side - 1, top), fill=NONE)


THUMB, BETWEEN, CAPTION = 176, 16, 40  # pixels of a gallery: picture, space between, text below
Card = tuple[np.ndarray | None, str, str]  # a picture, or None if it is gone; two lines of text


def gallery(query: np.ndarray, found: Sequence[Card]) -> np.ndarray:
    """The query and the search results in rows, as a picture (rows columns 3) uint8."""
    columns = math.ceil(math.sqrt(len(found) + 1))
    wide, high = THUMB + BETWEEN, THUMB + BETWEEN + CAPTION
    rows = math.ceil((len(found) + 1) / columns)
    page = Page(2 * EDGE + columns * wide - BETWEEN, 2 * EDGE + rows * high - BETWEEN)
    for number, (picture, first, second) in enumerate([(query, "sketch", ""), *found]):
        row, column = divmod(number, columns)
        at = EDGE + column * wide, EDGE + row * high
        if picture is None:
            page.nothing(at, THUMB)
        else:
            page.put(at, picture, THUMB)
        page.frame(at, THUMB, NONE if number else CHOSEN, 1 if number else 3)
        page.write((at[0], at[1] + THUMB + 5), first, 14, INK if number else CHOSEN)
        page.write((at[0], at[1] + THUMB + 21), second[:24], 13, FAINT)
    return np.asarray(page.image)


def poster(seen: "View", shape: "SketchConfig", name: str) -> np.ndarray:
    """The picture (rows columns 3) uint8 of how the model sees one drawing."""
    right = EDGE + BIG + 2 * GAP
    page = Page(right + RIGHT + EDGE, EDGE + 64 + BIG + 84 + EDGE)
    page.write((EDGE, EDGE - 6), name, 26, INK)
    numbers = seen.numbers()
    guess = f" · looks like {seen.guess[0][0]} ({100 * seen.guess[0][1]:.0f} %)" if seen.guess else ""
    page.write((EDGE, EDGE + 28), f"{len(seen.leaves)} leaves, {len(numbers)} of them inked{guess}")
    top = EDGE + 64
    tree(page, (EDGE, top), seen, shape)
    below = context(page, (right, top), seen, shape)
    if seen.codes is not None:
        codes(page, (right, below), seen, shape)
    return np.asarray(page.image)


def tree(page: Page, at: Box, seen: "View", shape: "SketchConfig") -> None:
    """Draw the drawing under its quadtree, with a colour for each level, and mark the chosen leaf."""
    left, top = at
    page.put(at, grey(seen.field, shape.clamp, BIG)[0], BIG)
    from visketch.quadtree import place

    corners = []
    for (y, x, side), level, inked in zip(
        place(seen.leaves).tolist(), seen.leaves.level.tolist(), seen.inked.tolist(), strict=True
    ):
        pixels = round(side * BIG)
        corner = left + round((x - side / 2) * BIG), top + round((y - side / 2) * BIG)
        corners.append((corner, pixels))
        box = (*corner, corner[0] + pixels, corner[1] + pixels)
        color = LEVELS[level % len(LEVELS)]
        edge, fill = ("ff", "16") if inked else ("70", "00")
        page.draw.rectangle(box, outline=color + edge, fill=color + fill)
    page.frame((left, top), BIG, NONE)
    corner, pixels = corners[seen.leaf]
    page.frame(corner, pixels + 1, CHOSEN, 4)
    line = top + BIG + 14
    for level in sorted(set(seen.leaves.level.tolist())):
        here = seen.leaves.level == level
        count, inked = int(here.sum()), int((here & seen.inked).sum())
        page.draw.rectangle((left, line, left + 13, line + 13), fill=LEVELS[level % len(LEVELS)])
        text = f"level {level}: {count} leaves, {inked} inked"
        page.write((left + 20, line - 1), text)
        left += 44 + round(page.draw.textlength(text, font=ImageFont.load_default(15)))


def context(page: Page, at: Box, seen: "View", shape: "SketchConfig") -> int:
    """Draw the context of the chosen leaf: the root, then the 3 x 3 tiles of every level, with the leaf's ancestors in
    the middle.

    Returns the lower end in pixels.
    """
    left, top = at
    none = seen.context.count(-1)
    number = seen.numbers().index(seen.leaf)
    page.write((left, top), f"The context of leaf {number}", 19, INK)
    beyond = f", {none} of them beyond the border or finer than it" if none else ""
    page.write((left, top + 26), f"{len(seen.context)} tiles{beyond}")
    top += 54
    small = (min((RIGHT + GAP) // (shape.depth + 1) - GAP, 224) - 8) // 3
    side = 3 * small + 8
    tile(page, (left, top), seen.tiles[0], side, shape)
    page.frame((left, top), side, LEVELS[0], 2)
    page.write((left, top + side + 6), "the whole")
    for level in range(1, shape.depth + 1):
        left += side + GAP
        for place, slot in enumerate(seen.context[9 * level - 8 : 9 * level + 1]):
            row, column = divmod(place, 3)
            corner = left + column * (small + 4), top + row * (small + 4)
            if slot < 0:
                page.nothing(corner, small)
                continue
            tile(page, corner, seen.tiles[slot], small, shape)
            page.frame(corner, small, LEVELS[level % len(LEVELS)] if place == 4 else NONE, 2 if place == 4 else 1)
        page.write((left, top + side + 6), f"around, level {level}")
    return top + side + 46


def tile(page: Page, at: Box, field: "Tensor", side: int, shape: "SketchConfig") -> None:
    """Draw a tile as the network sees it: p x p pixels of signed distance, in which the middle of a line is black."""
    highest = min(1.0, shape.pen / 2 / shape.clamp)
    levels = (highest - field.numpy()) / (highest + 1) * 255
    page.put(at, np.clip(levels, 0, 255).round().astype(np.uint8), side, smooth=False)


def codes(page: Page, at: Box, seen: "View", shape: "SketchConfig") -> None:
    """Draw the chosen leaf, its codes and the leaf decoded from them; the decoded drawing; and the codes in use."""
    assert seen.codes is not None
    assert seen.drawn is not None
    assert seen.again is not None
    left, top = at
    number = seen.numbers().index(seen.leaf)
    page.write((left, top), f"Leaf {number} in codes", 19, INK)
    top += 30
    step = SMALL + GAP
    tile(page, (left, top), seen.tiles[int(seen.leaves.tile[seen.leaf])], SMALL, shape)
    mosaic(page, (left + step, top), seen.codes[seen.leaf].tolist(), seen.book)
    tile(page, (left + 2 * step, top), seen.drawn[seen.leaf], SMALL, shape)
    page.put((left + 3 * step, top), grey(seen.again, shape.clamp, 2 * SMALL)[0], SMALL)
    for place, text in enumerate(("the leaf", "its codes", "read back", "the whole read back")):
        page.frame((left + place * step, top), SMALL, CHOSEN if place == 0 else NONE, 2 if place == 0 else 1)
        page.write((left + place * step, top + SMALL + 6), text)
    usage(page, (left, top + SMALL + 52), 4 * step - GAP, seen)


def mosaic(page: Page, at: Box, chosen: list[int], book: int) -> None:
    rows = round(len(chosen) ** 0.5)
    side = SMALL // rows
    for place, code in enumerate(chosen):
        row, column = divmod(place, rows)
        left, top = at[0] + column * side, at[1] + row * side
        page.draw.rectangle((left, top, left + side - 1, top + side - 1), fill=tint(code, book))
        page.write((left + side // 2, top + side // 2), str(code), min(15, side // 2), INK, "mm")


def tint(code: int, book: int) -> str:
    """A pale colour for each code."""
    red, green, blue = colorsys.hls_to_rgb(code * 0.618 % 1, 0.80, 0.55)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def usage(page: Page, at: Box, width: int, seen: "View") -> None:
    """Draw how often the drawing uses each code of the codebook, from 0 to the last."""
    assert seen.codes is not None
    left, top = at
    counts = np.bincount(seen.codes[seen.inked].numpy().ravel(), minlength=seen.book)
    mine = set(seen.codes[seen.leaf].tolist())
    page.write((left, top), f"The codebook: {int((counts > 0).sum())} of {seen.book} codes are used here", 19, INK)
    most = int(counts.max())
    page.write((left, top + 26), f"one bar for each code, those of this leaf in red; the tallest is used {most} times")
    base, height = top + 52 + 100, 100
    for code, count in enumerate(counts.tolist()):
        start, end = (left + code * width // seen.book, left + (code + 1) * width // seen.book - 1)
        tall = round(height * (count / most) ** 0.5)
        if count:
            color = CHOSEN if code in mine else LEVELS[1]
            page.draw.rectangle((start, base - tall, max(start, end - (end - start > 3)), base), fill=color)
    page.draw.line((left, base + 1, left + width, base + 1), fill=FAINT)
