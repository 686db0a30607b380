"""Drawings that are drawn before one's eyes: SVG that moves by itself, GIF, WebP and animated PNG."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visketch.errors import UsageError
from visketch.geometry.bezier import smooth
from visketch.geometry.pace import between, pace
from visketch.render.files import write_svg

if TYPE_CHECKING:
    from PIL.Image import Image

    from visketch.geometry.sketch import PageArea
    from visketch.geometry.trace import Trace

ANIMATED = (".svg", ".gif", ".webp", ".png")
FRAME = 40  # milliseconds of a picture: GIF knows hundredths of a second
HOLD = 1600  # milliseconds for which the whole drawing is shown before it begins again
SIDE = 512  # pixels of the longer side, by default
LARGEST = 1024  # pixels of the longer side: all pictures are in memory at once
FINER = 2048  # pixels of the longer side on which is drawn, before it is shrunk: at most 4 times as many


def write_animation(
    path: Path,
    drawings: "Sequence[Trace]",
    width: int | float,
    height: int | float,
    facts: dict,
    page: "PageArea | None" = None,
    given: int = 0,
) -> None:
    """A page of drawings whose strokes appear in their order, as the suffix of `path` says; all begin at once.

    An SVG plays once, the others again and again. `page`: that of an SVG, as in `write_svg`. `given`: so many strokes
    of each are there from the beginning. Raises UsageError for another suffix or a picture too large, VisketchError.
    """
    from visketch.checkpoint import write_atomically

    if path.suffix.lower() == ".svg":
        write_svg(path, drawings, width, height, facts, page, animate=True, given=given)
        return
    size = max(1, round(width)), max(1, round(height))
    write_atomically(path, movie(path, list(frames(drawings, *size, given)), facts))


def write_drawing(path: Path, drawing: "Trace", page: "PageArea", facts: dict, side: int = SIDE) -> None:
    """One drawing where it lies on its page: an SVG has the page's size and unit, pictures are `side` pixels wide or
    high. Raises UsageError, VisketchError.
    """
    x, y, width, height = page.box
    if path.suffix.lower() == ".svg":
        write_animation(path, [drawing], width, height, facts, page)
    else:
        times = side / max(width, height)
        write_animation(path, [drawing.moved(-x, -y).scaled(times)], width * times, height * times, facts)


def write_page(path: Path, drawings: "Sequence[Trace]", width: int, height: int, facts: dict) -> None:
    """The same for a page of any size: pixels are as many as can be. Raises UsageError, VisketchError."""
    share = 1.0 if path.suffix.lower() == ".svg" else min(1.0, LARGEST / max(width, height))
    write_animation(path, [drawing.scaled(share) for drawing in drawings], width * share, height * share, facts)


def movie(path: Path, pictures: "Sequence[Image]", facts: dict, hold: int = HOLD) -> bytes:
    """Pictures one after another as the file that the suffix of `path` says, the last for `hold` milliseconds.

    Raises UsageError for another suffix, or for pictures that are too large.
    """
    from PIL.PngImagePlugin import PngInfo

    suffix = path.suffix.lower()
    if suffix not in ANIMATED[1:]:
        raise UsageError(f"{path}: animations are written as {', '.join(ANIMATED)}; name such a file")
    if max(pictures[0].size) > LARGEST:
        raise UsageError(f"{path}: pictures that move are at most {LARGEST} pixels wide; ask for less, or for an .svg")
    more: dict[str, Any] = {}
    if suffix == ".png":
        more["pnginfo"] = PngInfo()
        more["pnginfo"].add_text("Software", "visketch")
        more["pnginfo"].add_text("Description", json.dumps(facts, default=str))
    elif suffix == ".gif":
        more["comment"] = json.dumps(facts, default=str).encode()
    else:
        more |= {"lossless": True, "minimize_size": True}
    content = io.BytesIO()
    durations = [FRAME] * (len(pictures) - 1) + [hold]
    first, *rest = pictures
    first.save(content, suffix[1:].upper(), save_all=True, append_images=rest, duration=durations, loop=0, **more)
    return content.getvalue()


def frames(drawings: "Sequence[Trace]", width: int, height: int, given: int = 0) -> "Iterator[Image]":
    """The page as grey pictures of so many pixels, one for every FRAME milliseconds until all is drawn."""
    from PIL import Image, ImageDraw

    finer = max(1, min(4, FINER // max(width, height)))
    canvas = Image.new("L", (width * finer, height * finer), 255)
    draw = ImageDraw.Draw(canvas)
    lines = [
        (smooth(stroke, drawing.pen), *time, drawing.pen)
        for drawing in drawings
        for stroke, time in zip(drawing.strokes, pace(drawing.strokes, given).tolist(), strict=True)
    ]
    last = max((end for _, _, end, _ in lines), default=0.0)
    for number in range(math.ceil(1000 * last / FRAME) + 1):
        now = number * FRAME / 1000
        for line, start, end, pen in lines:
            ink(draw, between(line, start, end, now - FRAME / 1000, now) * finer - 0.5, pen * finer)
        yield canvas.resize((width, height), Image.Resampling.BOX)


def ink(draw: Any, line: np.ndarray, pen: float) -> None:
    """A line (points, 2) on PIL's canvas, with round ends and joins."""
    points = [tuple(point) for point in line.tolist()]
    if len(points) > 1:
        draw.line(points, fill=0, width=max(1, round(pen)))
    for x, y in points:
        draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=0)
