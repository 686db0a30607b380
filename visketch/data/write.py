"""Turn strokes into the text of files: SVG that drawing programs open as centre lines, and lines of *Quick, Draw!*'s
ndjson.

`svg.py` and `json_documents.py` read these files back.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from visketch.geometry.bezier import bezier, is_closed
from visketch.geometry.pace import pace
from visketch.geometry.pieces import simplified
from visketch.geometry.sketch import PageArea, Sketch, longer_side

Strokes = Sequence[np.ndarray]  # each (points, 2), x to the right, y down

# A path is hidden before its turn, since its round cap would otherwise show as a dot. Dashes are longer than the path
# (whose length counts as 1), since rounding would otherwise leave a gap at its end.
MOTION = """  <style>
    @keyframes draw {
      from { stroke-dasharray: 1.01; stroke-dashoffset: 1.01; visibility: hidden }
      to { stroke-dasharray: 1.01; stroke-dashoffset: 0 }
    }
    @keyframes appear { from { visibility: hidden } }
    @media (prefers-reduced-motion: reduce) { path { animation: none !important } }
  </style>
"""

LARGEST = 255  # the largest coordinate in QuickDraw's simplified form
TOLERANCE = 1.0  # simplified strokes stay this near to the original ones, in the same unit


def svg(
    drawings: Sequence[tuple[Strokes, float]],
    width: int | float,
    height: int | float,
    facts: dict,
    page: PageArea | None = None,
    animate: bool = False,
    given: int = 0,
) -> str:
    """The text of an SVG page, with one group for each drawing.

    Each drawing is its strokes, in the unit of the page, and the width of the pen. The paper is transparent. A stroke
    is one path of cubic curves with round caps and joins, closed if the stroke is; a dot is a path of no length.
    `facts` (the title, and how the drawing was made) become the title and the description, which viewers show and never
    draw. `page` is the page on which the strokes were found. It replaces `width` and `height`, so that the file lies
    exactly over its source.

    The first `given` strokes of each drawing, if any, are those that were given, and get a group of their own. With
    `animate`, the strokes of each drawing appear one after another (see `pace`); the given ones are there from the
    beginning. If the viewer's system asks for less motion, the whole drawing is shown at once.
    """
    page = page or PageArea.of_pixels(width, height)
    digits = max(2, 5 - math.ceil(math.log10(max(page.box[2:]))))
    groups = "\n".join(_groups(strokes, pen, digits, given, animate) for strokes, pen in drawings)
    box = " ".join(_number(value, digits) for value in page.box)
    sides = {"width": page.width, "height": page.height}
    size = "".join(f' {name}="{escape(side)}"' for name, side in sides.items() if side)
    title = f"  <title>{escape(str(facts['class']))}</title>\n" if "class" in facts else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"{size}>\n'
        f"{title}  <desc>{escape(json.dumps(facts, default=str))}</desc>\n{MOTION if animate else ''}{groups}\n</svg>\n"
    )


def _groups(strokes: Strokes, pen: float, digits: int, given: int, animate: bool) -> str:
    """One group for a drawing, or two if strokes of it were given."""
    motion = [_motion(*time) for time in pace(strokes, given).tolist()] if animate else [""] * len(strokes)
    drawn = (_path(stroke, pen, digits) for stroke in strokes)
    paths = [f'    <path d="{path}"{moves}/>\n' for path, moves in zip(drawn, motion, strict=True)]
    width = _number(pen, max(digits, 3 - math.ceil(math.log10(pen))) if pen else digits)  # a hairline keeps its width
    style = f'fill="none" stroke="black" stroke-linecap="round" stroke-linejoin="round" stroke-width="{width}"'
    parts = {' id="given"': paths[:given], ' id="new"': paths[given:]} if given else {"": paths}
    return "\n".join(f"  <g{name} {style}>\n{''.join(part)}  </g>" for name, part in parts.items())


def _motion(start: float, end: float) -> str:
    """The attributes of a path that is drawn between two moments, given in seconds."""
    if end == 0:
        return ""
    if end == start:
        return f' style="animation: appear 0s {_number(start, 3)}s both"'
    return f' pathLength="1" style="animation: draw {_number(end - start, 3)}s {_number(start, 3)}s linear both"'


def _path(stroke: np.ndarray, pen: float, digits: int) -> str:
    curves = bezier(stroke, pen)
    if not len(curves):
        return f"M{_numbers(stroke[0], digits)}h0"
    segments = [_segment(curve, digits) for curve in curves]
    if is_closed(stroke):
        segments = [*(segments[:-1] if segments[-1].startswith("L") else segments), "Z"]  # Z draws a last straight line
    return f"M{_numbers(curves[0, 0], digits)}" + "".join(segments)


def _segment(curve: np.ndarray, digits: int) -> str:
    straight = np.allclose(
        curve[1:3], curve[:1] + (curve[3:] - curve[:1]) * [[1 / 3], [2 / 3]], atol=0.1 * 10.0**-digits
    )
    points = curve[3:] if straight else curve[1:]
    return ("L" if straight else "C") + _numbers(points, digits)


def _numbers(values: np.ndarray, digits: int) -> str:
    return " ".join(_number(value, digits) for value in values.ravel().tolist())


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def ndjson(strokes: Strokes, word: str | None, made: datetime | None = None, more: dict[str, Any] | None = None) -> str:
    """One line with the fields of Google's published files, in their simplified form.

    Coordinates are whole numbers from 0 to 255, the drawing lies in the upper left corner, and it has few points.
    `key_id` follows from the drawing, so the same drawing always has the same one. The country is unknown and therefore
    "ZZ". `more` holds further fields of our own.
    """
    from visketch.data.store import key

    drawing = [np.rint(line).astype(int) for line in quickdraw(strokes)]
    number = int(key(Sketch(strokes=tuple(line.astype(np.float32) for line in drawing))), 16) % 10**16
    record = {
        "word": word or "",
        "countrycode": "ZZ",
        "timestamp": f"{made or datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC",
        "recognized": True,
        "key_id": f"{number:016d}",
        **(more or {}),
        "drawing": [line.T.tolist() for line in drawing],
    }
    return json.dumps(record, separators=(",", ":")) + "\n"


def quickdraw(strokes: Strokes) -> list[np.ndarray]:
    """Move strokes to the origin, scale their longer side to LARGEST, and simplify them."""
    points = np.concatenate(strokes).astype(np.float64)
    low, scale = points.min(axis=0), LARGEST / longer_side(points)
    return simplified([(stroke.astype(np.float64) - low) * scale for stroke in strokes], TOLERANCE)
