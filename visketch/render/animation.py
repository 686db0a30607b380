"""Animations in which drawings appear stroke by stroke: self-playing SVG, GIF, WebP and animated PNG."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visketch.errors import UsageError
from visketch.geometry.bezier import smooth
from visketch.geometry.pace import between, pace
from visketch.render.files import write_svg
from visketch.render.grey import SHARP

if TYPE_CHECKING:
    from PIL.Image import Image

    from visketch.geometry.sketch import PageArea
    from visketch.geometry.trace import Trace

ANIMATED = (".svg", ".gif", ".webp", ".png")
FRAME = 40  # milliseconds for which a frame is shown; GIF counts in hundredths of a second
HOLD = 1600  # milliseconds for which the finished drawing is shown before the animation starts again
SIDE = 512  # the default longer side in pixels
LARGEST = 1024  # the longer side in pixels is at most this, since all frames are in memory at once
FINER = 2048  # frames are drawn up to 4 times as large, with at most this longer side, and then shrunk


def write_animation(
    path: Path,
    drawings: "Sequence[Trace]",
    width: int | float,
    height: int | float,
    facts: dict,
    page: "PageArea | None" = None,
    given: int = 0,
) -> None:
    """Write a page of drawings whose strokes appear in order. All drawings begin at the same time.

    The suffix of `path` chooses the format. An SVG plays once; the other formats repeat. `page` is the page of an SVG,
    as in `write_svg`. The first `given` strokes of each drawing are there from the beginning. Raises UsageError for
    another suffix or a picture that is too large, VisketchError if the file cannot be written.
    """
    from visketch.atomic import write_atomically

    if path.suffix.lower() == ".svg":
        write_svg(path, drawings, width, height, facts, page, animate=True, given=given)
        return
    size = max(1, round(width)), max(1, round(height))
    write_atomically(path, movie(path, list(frames(drawings, *size, given)), facts))


def write_drawing(path: Path, drawing: "Trace", page: "PageArea", facts: dict, side: int = SIDE) -> None:
    """Animate one drawing in its place on its page.

    An SVG has the size and the unit of the page. In the other formats, the longer side of the page has `side` pixels,
    and the pen is at least a pixel wide, so that hairlines are seen.
    Raises UsageError and VisketchError as `write_animation` does.
    """
    x, y, width, height = page.box
    if path.suffix.lower() == ".svg":
        write_animation(path, [drawing], width, height, facts, page)
    else:
        times = side / max(width, height)
        larger = drawing.moved(-x, -y).scaled(times)
        seen = replace(larger, pen=max(1.0, larger.pen))
        write_animation(path, [seen], width * times, height * times, facts)


def write_page(path: Path, drawings: "Sequence[Trace]", width: int, height: int, facts: dict) -> None:
    """Animate a page of any size.

    In formats of pixels, a page that is larger than LARGEST is shrunk to it. Raises UsageError and VisketchError as
    `write_animation` does.
    """
    share = 1.0 if path.suffix.lower() == ".svg" else min(1.0, LARGEST / max(width, height))
    write_animation(path, [drawing.scaled(share) for drawing in drawings], width * share, height * share, facts)


def movie(path: Path, pictures: "Sequence[Image]", facts: dict, hold: int = HOLD) -> bytes:
    """Turn frames into the content of an animated file, whose format is that of the suffix of `path`.

    The last frame is shown for `hold` milliseconds. In a PNG it is also the picture of viewers that show only one, and
    no frame of the animation. `facts` are written into the file. Raises UsageError for another suffix, or for frames
    that are too large.
    """
    from PIL.PngImagePlugin import PngInfo

    suffix = path.suffix.lower()
    if suffix not in ANIMATED[1:]:
        raise UsageError(f"{path}: animations are written as {', '.join(ANIMATED)}; name such a file")
    if max(pictures[0].size) > LARGEST:
        raise UsageError(f"{path}: pictures that move are at most {LARGEST} pixels wide; ask for less, or for an .svg")
    more: dict[str, Any] = {}
    first, *rest = pictures
    if suffix == ".png":
        first, rest = pictures[-1], [*pictures]
        more["default_image"] = True
        more["pnginfo"] = PngInfo()
        more["pnginfo"].add_text("Software", "visketch")
        more["pnginfo"].add_text("Description", json.dumps(facts, default=str))
    elif suffix == ".gif":
        more["comment"] = json.dumps(facts, default=str).encode()
    else:
        more |= {"lossless": True, "minimize_size": True}
    content = io.BytesIO()
    durations = [FRAME] * (len(pictures) - 1) + [hold]
    first.save(content, suffix[1:].upper(), save_all=True, append_images=rest, duration=durations, loop=0, **more)
    return content.getvalue()


def frames(drawings: "Sequence[Trace]", width: int, height: int, given: int = 0) -> "Iterator[Image]":
    """The frames of an animated page: grey pictures of `width` x `height` pixels, one for every FRAME milliseconds
    until everything is drawn.

    The first `given` strokes of each drawing are there from the beginning.
    """
    from PIL import Image, ImageDraw

    finer = max(1, min(4, FINER // max(width, height)))
    canvas = Image.new("L", (width * finer, height * finer), 255)
    draw = ImageDraw.Draw(canvas)
    lines = [
        (smooth(stroke, drawing.pen, SHARP), *time, drawing.pen)
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
    """Draw a line (points, 2) on PIL's canvas `draw`, with round ends and joins. `pen` is its width in pixels."""
    points = [tuple(point) for point in line.tolist()]
    if len(points) > 1:
        draw.line(points, fill=0, width=max(1, round(pen)))
    for x, y in points:
        draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=0)
