"""A morph as an animation, there and back again: GIF, WebP, animated PNG or SVG."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np

from visketch.geometry.bezier import is_closed, smooth
from visketch.geometry.sketch import arc_lengths
from visketch.render.animation import FINER, FRAME, ink, movie
from visketch.tasks.morph import Morph, Strokes

if TYPE_CHECKING:
    from PIL.Image import Image

SECONDS = 2.4  # the time for one way
SPACED = 2  # points on each width of the pen along a smoothed stroke; with fewer, its corners would be cut
REST = 0.8  # seconds at each end
EDGE = 1 / 12  # the margin around the drawing, as a share of the side


def write_morph(path: Path, morph: Morph, side: int, pen: float, facts: dict) -> None:
    """Write a morph as an animation, in the format of the suffix of `path`.

    It is `side` pixels wide, and `pen` is a share of the side. Raises UsageError for another suffix or a picture that
    is too large, VisketchError if the file cannot be written.
    """
    from visketch.atomic import write_atomically

    morph = smoothed(morph, 2 * pen / (1 - 2 * EDGE))
    if path.suffix.lower() == ".svg":
        write_atomically(path, svg(morph, side, pen, facts).encode())
        return
    count = round(1000 * SECONDS / FRAME)
    there = [picture(placed(morph.between(i / count), side), side, pen * side) for i in range(count + 1)]
    rest = round(1000 * REST / FRAME)
    write_atomically(path, movie(path, [*there, *there[-1:] * rest, *there[-2::-1]], facts, hold=round(1000 * REST)))


def smoothed(morph: Morph, pen: float) -> Morph:
    """A morph along the curves of `bezier`, with points at equal distances. `pen` is its width in the morph's unit."""
    steps = list[Strokes]()
    for stroke in zip(*morph.steps, strict=True):
        lines = [smooth(each, pen, pen / 16) for each in stroke]
        along = [arc_lengths(line) for line in lines]
        count = 1 + math.ceil(SPACED * max(each[-1] for each in along) / pen)
        steps.append([_spread(*each, count) for each in zip(stroke, lines, along, strict=True)])
    return Morph([list(step) for step in zip(*steps, strict=True)])


def _spread(stroke: np.ndarray, line: np.ndarray, along: np.ndarray, count: int) -> np.ndarray:
    """`count` points at equal distances along the smoothed line of a stroke, from where the stroke begins."""
    places = np.linspace(0, along[-1], count)
    points = np.stack([np.interp(places, along, axis) for axis in line.T], axis=1).astype(np.float32)
    if count > 1 and is_closed(stroke):  # its curves begin at a corner
        first = int(np.linalg.norm(points[:-1] - stroke[0], axis=1).argmin())
        points = np.roll(points[:-1], -first, axis=0)[[*range(count - 1), 0]]
    return points


def placed(strokes: Sequence[np.ndarray], side: int) -> list[np.ndarray]:
    """Move strokes from [-1, 1] to a page of side `side`, with a margin."""
    return [((stroke + 1) / 2 * (1 - 2 * EDGE) + EDGE) * side for stroke in strokes]


def picture(strokes: Sequence[np.ndarray], side: int, pen: float) -> "Image":
    """Strokes as a grey PIL image."""
    from PIL import ImageDraw
    from PIL.Image import Resampling, new

    finer = max(1, min(4, FINER // side))
    canvas = new("L", (side * finer, side * finer), 255)
    draw = ImageDraw.Draw(canvas)
    for stroke in strokes:
        ink(draw, stroke * finer - 0.5, pen * finer)
    return canvas.resize((side, side), Resampling.BOX)


def svg(morph: Morph, side: int, pen: float, facts: dict) -> str:
    """The text of an SVG that moves by itself.

    If the viewer's system asks for less motion, it shows both ends, the first in grey under the last in black.
    """
    pages, whole = [placed(strokes, side) for strokes in morph.steps], 2 * (SECONDS + REST)
    way = (REST / 2 + np.linspace(0, SECONDS, len(pages))) / whole  # each end has half a rest before and after it
    moments, shown = [0.0, *way, *(1 - way[::-1]), 1.0], [pages[0], *pages, *pages[::-1], pages[0]]
    keys, seconds = ";".join(f"{moment:.4f}" for moment in moments), f"{whole:g}s"
    moving = "\n".join(
        f'    <path d="{_path(pages[0][i])}"><animate attributeName="d" dur="{seconds}" repeatCount="indefinite" '
        f'keyTimes="{keys}" values="{";".join(_path(page[i]) for page in shown)}"/></path>'
        for i in range(len(pages[0]))
    )
    ends = "\n".join(
        f'    <g stroke="{color}">' + "".join(f'<path d="{_path(stroke)}"/>' for stroke in page) + "</g>"
        for color, page in (("#bbb", pages[0]), ("black", pages[-1]))
    )
    style = f'fill="none" stroke-linecap="round" stroke-linejoin="round" stroke-width="{pen * side:.2f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{side}" height="{side}">\n'
        f"  <title>{escape(' to '.join(facts['classes']))}</title>\n"
        f"  <desc>{escape(json.dumps(facts, default=str))}</desc>\n"
        "  <style>.still { display: none } @media (prefers-reduced-motion: reduce) "
        "{ .still { display: inline } .moving { display: none } }</style>\n"
        f'  <g class="moving" stroke="black" {style}>\n{moving}\n  </g>\n'
        f'  <g class="still" {style}>\n{ends}\n  </g>\n</svg>\n'
    )


def _path(stroke: np.ndarray) -> str:
    points = [f"{x:.1f} {y:.1f}" for x, y in stroke.tolist()]
    return "M" + "L".join(points)
