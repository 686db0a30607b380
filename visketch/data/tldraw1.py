"""Files of tldraw 1: pages of shapes with a `point`, turned around their centre, in the coordinates of the page."""

from typing import Any

import numpy as np

from visketch.data import shapes

Shape = dict[str, Any]
HEAD = (20.0, 25.0)  # the head of an arrow: length and degrees


def is_it(document: dict[str, Any]) -> bool:
    """Whether a JSON document has pages in the form of tldraw 1."""
    return bool(pages(document))


def pages(document: dict[str, Any]) -> dict[str, list[Shape]]:
    """The shapes of each page, in their order. There are none in any other document."""
    inner = document.get("document")
    found = inner.get("pages") if isinstance(inner, dict) else None
    if not isinstance(found, dict):
        return {}
    kept: dict[str, list[Shape]] = {}
    for name, page in found.items():
        some = page.get("shapes") if isinstance(page, dict) else None
        if isinstance(some, dict):
            kept[name] = [shape for shape in some.values() if isinstance(shape, dict)]
    return kept


def lines(page: list[Shape]) -> list[np.ndarray]:
    """The lines of the shapes of a page. Raises ValueError, KeyError or TypeError for a broken shape."""
    found = []
    for shape in page:
        own = [line for line in _own(shape) if len(line)]
        if own and not shape.get("isGhost"):
            middle = own[0].min(axis=0) + np.ptp(own[0], axis=0) / 2
            place = np.array(shape["point"], np.float64)
            found += [shapes.turned(line, float(shape.get("rotation") or 0), middle) + place for line in own]
    return found


def _own(shape: Shape) -> list[np.ndarray]:
    kind = shape.get("type")
    if kind == "draw":
        line = np.array([point[:2] for point in shape["points"]], np.float64).reshape(-1, 2)
        return [shapes.closed(line) if shape.get("isClosed") else line]
    if kind == "rectangle":
        return [shapes.rectangle(*(float(side) for side in shape["size"]))]
    if kind == "triangle":
        width, height = (float(side) for side in shape["size"])
        return [shapes.polygon([(0.5, 0), (1, 1), (0, 1)], width, height)]
    if kind == "ellipse":
        return [shapes.ellipse(*(2 * float(side) for side in shape["radius"]))]
    return _arrow(shape) if kind in ("arrow", "line") else []


def _arrow(shape: Shape) -> list[np.ndarray]:
    handles, decorations = shape["handles"], shape.get("decorations") or {}
    start, end = (np.array(handles[name]["point"], np.float64) for name in ("start", "end"))
    line = shapes.bent(start, end, float(shape.get("bend") or 0) * float(np.hypot(*(end - start))) / 2)
    ways = {"start": line[::-1], "end": line}
    return [line, *(part for name, way in ways.items() if decorations.get(name) for part in shapes.head(way, *HEAD))]
