"""Strokes → the text of files: SVG that drawing programs open as centre lines, and lines of *Quick, Draw!*'s ndjson.

`svg.py` and `json_documents.py` read these files back.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import numpy as np

from visketch.geometry.bezier import bezier, simplified
from visketch.geometry.sketch import PageArea, Sketch

Strokes = Sequence[np.ndarray]  # each (points, 2), x to the right, y down

LARGEST = 255  # the largest coordinate in QuickDraw's simplified form
TOLERANCE = 1.0  # the largest error of simplifying, in the same unit


def svg(
    drawings: Sequence[tuple[Strokes, float]],
    width: int | float,
    height: int | float,
    facts: dict,
    page: PageArea | None = None,
) -> str:
    """A page of drawings, a group each: their strokes in the unit of the page, and the width of the pen. The paper is
    transparent.

    A stroke is one open path of cubic curves with round caps and joins; a dot is a path without length. `facts` (the
    class, and how it was made) become the title and description, which viewers do not draw. `page`: the page on which
    the strokes were found, instead of `width` and `height`, so that the file fits over its source.
    """
    page = page or PageArea((0.0, 0.0, float(width), float(height)))
    digits = max(2, 5 - math.ceil(math.log10(max(page.box[2:]))))
    groups = "\n".join(_group(strokes, pen, digits) for strokes, pen in drawings)
    sides = [_number(value, digits) for value in page.box]
    box = " ".join(sides)
    size = f'width="{escape(page.width or sides[2])}" height="{escape(page.height or sides[3])}"'
    title = f"  <title>{escape(str(facts['class']))}</title>\n" if "class" in facts else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size}>\n'
        f"{title}  <desc>{escape(json.dumps(facts, default=str))}</desc>\n{groups}\n</svg>\n"
    )


def _group(strokes: Strokes, pen: float, digits: int) -> str:
    style = 'fill="none" stroke="black" stroke-linecap="round" stroke-linejoin="round"'
    paths = "\n".join(f'    <path d="{_path(stroke, pen, digits)}"/>' for stroke in strokes)
    return f'  <g {style} stroke-width="{_number(pen, digits)}">\n{paths}\n  </g>'


def _path(stroke: np.ndarray, pen: float, digits: int) -> str:
    start = "M" + " ".join(_number(float(value), digits) for value in stroke[0])
    curves = bezier(stroke, pen)
    if not len(curves):
        return f"{start}h0"
    return start + "".join(_segment(curve, digits) for curve in curves)


def _segment(curve: np.ndarray, digits: int) -> str:
    straight = np.allclose(
        curve[1:3], curve[:1] + (curve[3:] - curve[:1]) * [[1 / 3], [2 / 3]], atol=0.1 * 10.0**-digits
    )
    points = curve[3:] if straight else curve[1:]
    return ("L" if straight else "C") + " ".join(_number(value, digits) for value in points.ravel().tolist())


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def ndjson(strokes: Strokes, word: str | None, made: datetime | None = None) -> str:
    """One line with the fields of Google's published files, in their simplified form: integers from 0 to 255, the
    drawing in the upper left corner, few points.

    `key_id` is derived from the drawing, so equal drawings have equal ids. The country is unknown: "ZZ".
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
        "drawing": [line.T.tolist() for line in drawing],
    }
    return json.dumps(record, separators=(",", ":")) + "\n"


def quickdraw(strokes: Strokes) -> list[np.ndarray]:
    """Move strokes to the origin, scale the longer side to LARGEST, and simplify."""
    points = np.concatenate(strokes).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = LARGEST / max(float((high - low).max()), 1e-6)
    return [simplified((stroke.astype(np.float64) - low) * scale, TOLERANCE) for stroke in strokes]
