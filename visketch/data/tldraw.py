"""Files of tldraw (.tldr), its snapshots and its clipboard. Each page is a drawing.

A document is a set of records. A shape has coordinates within its parent, which is a page, a group or a frame. The
format: https://github.com/tldraw/tldraw, packages/tlschema. Pen strokes, lines, arrows and geometric shapes are ink;
text, notes, frames and pictures are not. Files of tldraw 1, whose shapes have no `props`, are read by `tldraw1.py`.
"""

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import shapes, tldraw1
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

Shape = dict[str, Any]

DEEPEST = 64  # how deeply groups may be nested
HEAD = (20.0, 25.0)  # the head of an arrow: length and degrees
HALF = 0.5
STAR = 0.5  # the inner radius of a star
ARROW = [(0, 0.25), (0.6, 0.25), (0.6, 0), (1, 0.5), (0.6, 1), (0.6, 0.75), (0, 0.75)]
CORNERS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0.5, 0), (1, 1), (0, 1)],
    "diamond": [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)],
    "rhombus": [(0.25, 0), (1, 0), (0.75, 1), (0, 1)],
    "rhombus-2": [(0, 0), (0.75, 0), (1, 1), (0.25, 1)],
    "trapezoid": [(0.2, 0), (0.8, 0), (1, 1), (0, 1)],
    "arrow-right": ARROW,
    "arrow-left": [(1 - x, y) for x, y in ARROW],
    "arrow-down": [(y, x) for x, y in ARROW],
    "arrow-up": [(y, 1 - x) for x, y in ARROW],
    "heart": [(0.5, 0.2), (0.7, 0), (1, 0.2), (1, 0.4), (0.5, 1), (0, 0.4), (0, 0.2), (0.3, 0)],
}
SIDES = {"pentagon": 5, "hexagon": 6, "octagon": 8}
INSIDE: dict[str, list[list[tuple[float, float]]]] = {
    "x-box": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    "check-box": [[(0.25, 0.5), (0.45, 0.75), (0.8, 0.25)]],
}


def is_it(document: dict[str, Any]) -> bool:
    """Whether a JSON document is tldraw's."""
    return "tldrawFileFormatVersion" in document or bool(_records(document)) or tldraw1.is_it(document)


def drawings(document: dict[str, Any], path: Path) -> Iterator[Sketch | VisketchError]:
    """A drawing for each page with ink. If no page has any, there is one error instead."""
    if tldraw1.is_it(document):
        pages, shown = tldraw1.pages(document), 0
    else:
        records = {str(record.get("id")): record for record in _records(document)}
        every = [record for record in records.values() if _is_shape(record)]
        shown, pages = len(every), {}
        for shape in sorted(every, key=lambda shape: str(shape.get("index", ""))):
            pages.setdefault(_page(shape, records), []).append(shape)
    try:
        drawn = [tldraw1.lines(some) if not shown else _lines(some, records) for some in pages.values()]
    except Unreadable as problem:
        yield VisketchError(f"{path}: {problem}; export the page as SVG")
        return
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError):
        yield VisketchError(f"{path}: a tldraw shape cannot be read; export the page as SVG")
        return
    inked = [lines for lines in drawn if lines]
    if not inked:
        yield VisketchError(f"{path}: blank, it has no lines; text, notes and pictures do not count")
    for number, lines in enumerate(inked, 1):
        source = f"{path}:{number}" if len(inked) > 1 else str(path)
        strokes = tuple(line.astype(np.float32) for line in lines)
        if all(np.isfinite(line).all() for line in strokes):
            yield Sketch(strokes=strokes, source=source, about={"kind": "tldraw"})
        else:
            yield VisketchError(f"{source}: a coordinate is not a number; save the file again")


class Unreadable(Exception):
    """A shape is stored in a way that this module does not know."""


def _records(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a file, a snapshot or the clipboard. There are none in any other document."""
    places = [document, document.get("document"), document.get("data")]
    for place in places:
        if not isinstance(place, dict):
            continue
        found = place.get("records", place.get("store", place.get("shapes")))
        some = list(found.values()) if isinstance(found, dict) else found
        if isinstance(some, list) and some and all(isinstance(one, dict) for one in some):
            known = [one for one in some if "typeName" in one or ("type" in one and "props" in one)]
            if known:
                return [*known, *(one for one in place.get("bindings") or [] if isinstance(one, dict))]
    return []


def _is_shape(record: dict[str, Any]) -> bool:
    return record.get("typeName", "shape") == "shape" and isinstance(record.get("props"), dict)


def _above(shape: Shape, records: dict[str, Shape]) -> list[Shape]:
    """The shape and its parents, from the inside out."""
    chain = [shape]
    while (above := records.get(str(chain[-1].get("parentId")))) and _is_shape(above) and len(chain) < DEEPEST:
        chain.append(above)
    return chain


def _page(shape: Shape, records: dict[str, Shape]) -> str:
    return str(_above(shape, records)[-1].get("parentId"))


def _lines(page: list[Shape], records: dict[str, Shape]) -> list[np.ndarray]:
    """The lines of the shapes of a page, in the coordinates of the page."""
    bound: dict[str, dict[str, Shape]] = {}
    for record in records.values():
        if record.get("typeName") == "binding" or ("fromId" in record and "toId" in record):
            terminal = str((record.get("props") or {}).get("terminal"))
            bound.setdefault(str(record.get("fromId")), {})[terminal] = record
    lines = []
    for shape in page:
        chain = _above(shape, records)
        if any(one.get("opacity", 1) == 0 for one in chain) or shape["props"].get("color") == "white":
            continue
        if shape.get("type") == "arrow":
            lines += _arrow(shape, records, bound.get(str(shape.get("id")), {}))
        else:
            lines += [_on_page(line, chain) for line in _own(shape)]
    return [line for line in lines if len(line)]


def _on_page(line: np.ndarray, chain: list[Shape]) -> np.ndarray:
    for shape in chain:
        place = np.array([float(shape["x"]), float(shape["y"])])
        line = shapes.turned(line, float(shape.get("rotation") or 0)) + place
    return line


def _own(shape: Shape) -> list[np.ndarray]:
    """The lines of a shape from its own origin. There are none if it is not ink."""
    props, kind = shape["props"], shape.get("type")
    if kind in ("draw", "highlight"):
        scale = np.array([float(props.get("scaleX", 1)), float(props.get("scaleY", 1))])
        parts = [_segment(segment) for segment in props["segments"]]
        line = np.concatenate([np.empty((0, 2)), *parts]) * scale
        return [shapes.closed(line) if props.get("isClosed") else line]
    if kind == "line":
        named = props.get("points", props.get("handles"))
        points = sorted(named.values(), key=lambda one: str(one.get("index", ""))) if isinstance(named, dict) else named
        line = _places(points)
        return [shapes.smooth(line) if props.get("spline") == "cubic" else line]
    return _geometric(props) if kind == "geo" else []


def _segment(segment: dict[str, Any]) -> np.ndarray:
    """The points (n, 2) of a part of a stroke, which are stored with names or as numbers in base64."""
    if isinstance(segment.get("path"), str):  # the first point is in float32, and offsets are in float16
        each = 2 if segment.get("dim") == 2 else 3
        content = base64.b64decode(segment["path"])
        first = np.frombuffer(content[: 4 * each], "<f4").astype(np.float64)
        ways = np.frombuffer(content[4 * each :], "<f2").astype(np.float64).reshape(-1, each)
        return np.cumsum(np.concatenate([first[None], ways]), axis=0)[:, :2] if len(first) else np.empty((0, 2))
    if isinstance(segment.get("points"), str):  # positions are in float16
        return np.frombuffer(base64.b64decode(segment["points"]), "<f2").astype(np.float64).reshape(-1, 3)[:, :2]
    if not isinstance(segment.get("points"), list):
        raise Unreadable("a tldraw stroke is stored in an unknown way")
    return _places(segment["points"])


def _places(points: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[float(point["x"]), float(point["y"])] for point in points], np.float64).reshape(-1, 2)


def _geometric(props: dict[str, Any]) -> list[np.ndarray]:
    width, height = float(props["w"]), float(props["h"]) + float(props.get("growY") or 0)
    kind = props.get("geo", "rectangle")
    if kind in ("ellipse", "cloud"):
        return [shapes.ellipse(width, height)]
    if kind == "oval":
        return [shapes.rectangle(width, height, min(width, height) * HALF)]
    if kind in SIDES or kind == "star":
        return [shapes.regular(SIDES.get(kind, 5), width, height, STAR if kind == "star" else 1.0)]
    if kind in CORNERS:
        outline = shapes.polygon(CORNERS[kind], width, height)
        return [shapes.smooth(outline) if kind == "heart" else outline]
    inside = [np.array(line, np.float64) * [width, height] for line in INSIDE.get(kind, [])]
    return [shapes.rectangle(width, height), *inside]


def _arrow(shape: Shape, records: dict[str, Shape], bound: dict[str, Shape]) -> list[np.ndarray]:
    """The line and the heads of an arrow on the page. An end that is bound to a shape stops at the box of the shape."""
    props, chain, ends = shape["props"], _above(shape, records), {}
    boxes: dict[str, np.ndarray] = {}
    for end in ("start", "end"):
        place = props.get(end) or {}
        record = bound.get(end)
        target = records.get(str(record["toId"] if record else place.get("boundShapeId")))
        if target is not None and _is_shape(target):
            anchor = ((record["props"] if record else place).get("normalizedAnchor")) or {"x": HALF, "y": HALF}
            box = _box(target)
            above = _above(target, records)
            ends[end] = _on_page(np.array([[anchor["x"], anchor["y"]]], np.float64) * box[2], above)[0]
            boxes[end] = _on_page(box, above)
        else:
            ends[end] = _on_page(np.array([[float(place["x"]), float(place["y"])]]), chain)[0]
    line = shapes.bent(ends["start"], ends["end"], float(props.get("bend") or 0))
    for end, box in boxes.items():
        line = _outside(line, box, from_end=end == "end")
    heads = [
        part
        for end, way in (("Start", line[::-1]), ("End", line))
        if props.get(f"arrowhead{end}", "arrow" if end == "End" else "none") != "none" and len(line)
        for part in shapes.head(way, *HEAD)
    ]
    return [line, *heads]


def _box(shape: Shape) -> np.ndarray:
    """The corners (4, 2) of the area of a shape, from its own origin. The third corner is opposite to the origin."""
    props = shape["props"]
    if "w" in props and "h" in props:
        high = np.array([float(props["w"]), float(props["h"]) + float(props.get("growY") or 0)])
    else:
        points = np.concatenate([np.zeros((1, 2)), *_own(shape)])
        high = points.max(axis=0)
    return np.array([[0, 0], [high[0], 0], high, [0, high[1]]])


def _outside(line: np.ndarray, box: np.ndarray, from_end: bool) -> np.ndarray:
    """A line (points, 2) without the part, at one of its ends, that lies in a box of four corners. The box may be
    turned.
    """
    way = line[::-1] if from_end else line
    steps = np.concatenate([start + (end - start) * np.linspace(0, 1, 33)[:, None] for start, end in pairwise(way)])
    edges = np.roll(box, -1, axis=0) - box
    sides = np.stack(
        [edge[0] * (steps[:, 1] - at[1]) - edge[1] * (steps[:, 0] - at[0]) for at, edge in zip(box, edges, strict=True)]
    )
    inside = (sides >= 0).all(axis=0) | (sides <= 0).all(axis=0)
    first = int(np.argmin(inside)) if not inside.all() else 0
    kept = steps[first:]
    return kept[::-1] if from_end else kept
