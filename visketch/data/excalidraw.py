"""Excalidraw's files: scenes (.excalidraw), the clipboard, and libraries (.excalidrawlib).

The format: https://docs.excalidraw.com/docs/codebase/json-schema. Everything that is drawn in a visible colour is ink,
except text, pictures, frames and deleted elements.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import shapes
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

ROUND = 32.0  # the largest radius of a corner
HEADS = {"arrow": (25.0, 20.0), "bar": (15.0, 90.0), "diamond": (12.0, 25.0), "diamond_outline": (12.0, 25.0)}
HEAD = (15.0, 25.0)  # the arrow head of any other arrow: length and degrees
CLEAR = ("transparent", "", "none")
WHITE = {"#fff": "#ffffff", "white": "#ffffff"}


def is_it(document: dict[str, Any]) -> bool:
    """Whether a JSON document is Excalidraw's."""
    return str(document.get("type", "")).startswith("excalidraw")


def is_element(value: Any) -> bool:
    """Whether a JSON value is an element of a scene, as programs keep them in a list."""
    return _is(value) and {"type", "x", "y", "strokeColor", "versionNonce"} <= value.keys()


def drawings(document: dict[str, Any], path: Path) -> Iterator[Sketch | VisketchError]:
    """The drawings in a document: a scene is one drawing, and each item of a library is one.

    An item that shows no drawing yields an error in its place.
    """
    paper = (document.get("appState") or {}).get("viewBackgroundColor") if _is(document.get("appState")) else None
    library = document.get("libraryItems", document.get("library"))
    if not isinstance(library, list):
        yield _sketch(document.get("elements"), paper, str(path))
        return
    for number, item in enumerate(library, 1):
        yield _sketch(item.get("elements") if _is(item) else item, paper, f"{path}:{number}")


def _sketch(elements: Any, paper: Any, source: str) -> Sketch | VisketchError:
    if not isinstance(elements, list):
        return VisketchError(f"{source}: an Excalidraw file without elements; save the scene again")
    kept = [one for one in elements if _is(one) and not one.get("isDeleted")]
    try:
        lines = [line for one in kept if _shows(one, paper) for line in _lines(one)]
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        return VisketchError(f"{source}: an Excalidraw element cannot be read; export the scene as SVG")
    if not lines:
        return VisketchError(f"{source}: blank, it has no lines; text, pictures and frames do not count")
    strokes = tuple(line.astype(np.float32) for line in lines)
    if not all(np.isfinite(line).all() for line in strokes):
        return VisketchError(f"{source}: a coordinate is not a number; save the scene again")
    return Sketch(strokes=strokes, source=source, about={"kind": "Excalidraw", "shapes": len(kept)})


def _is(value: Any) -> bool:
    return isinstance(value, dict)


def _shows(element: dict[str, Any], paper: Any) -> bool:
    """Whether an element is visible: its outline or its fill is neither transparent nor the colour of the paper."""
    behind = _colour(paper or "#ffffff")
    if element.get("opacity", 100) == 0:
        return False
    pen = _colour(element.get("strokeColor", "#000000")) if element.get("strokeWidth", 1) else "transparent"
    fill = _colour(element.get("backgroundColor", "transparent"))
    return any(colour != behind and not _is_clear(colour) for colour in (pen, fill))


def _colour(value: Any) -> str:
    text = str(value).strip().lower()
    return WHITE.get(text, text)


def _is_clear(colour: str) -> bool:
    return colour in CLEAR or (len(colour) == 9 and colour.endswith("00")) or (len(colour) == 5 and colour[-1] == "0")


def _lines(element: dict[str, Any]) -> list[np.ndarray]:
    """The lines of an element on the page, turned by its angle around its centre."""
    lines = _unturned(element)
    if not lines:
        return []
    middle = np.ptp(lines[0], axis=0) / 2 + lines[0].min(axis=0)
    place = np.array([float(element.get("x", 0)), float(element.get("y", 0))])
    angle = float(element.get("angle") or 0)
    return [shapes.turned(line, angle, middle) + place for line in lines]


def _unturned(element: dict[str, Any]) -> list[np.ndarray]:
    """The lines of an element from its own origin, the outline first. There are none if the element is not ink."""
    kind = element.get("type")
    if kind in ("freedraw", "draw", "line", "arrow"):
        return _linear(element, kind)
    if kind not in ("rectangle", "diamond", "ellipse"):
        return []
    width, height = float(element.get("width", 0)), float(element.get("height", 0))
    if kind == "ellipse":
        return [shapes.ellipse(width, height)]
    if kind == "diamond":
        return [shapes.polygon([(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)], width, height)]
    radius = min(ROUND, min(abs(width), abs(height)) / 4) if _is_round(element) and min(width, height) > 0 else 0.0
    return [shapes.rectangle(width, height, radius)]


def _linear(element: dict[str, Any], kind: str) -> list[np.ndarray]:
    points = element.get("points") or []
    line = np.array([[p["x"], p["y"]] if _is(p) else [p[0], p[1]] for p in points], np.float64)
    if not len(line):
        return []
    if kind in ("line", "arrow") and _is_round(element) and not element.get("elbowed"):
        line = shapes.smooth(line)
    ends = {"start": element.get("startArrowhead"), "end": element.get("endArrowhead")}
    if kind == "arrow":
        ends["end"] = element.get("endArrowhead", "arrow")
    heads = [_head(way, str(ends[end])) for end, way in (("start", line[::-1]), ("end", line)) if ends[end]]
    return [line, *(part for some in heads for part in some)]


def _head(line: np.ndarray, kind: str) -> list[np.ndarray]:
    size, degrees = HEADS.get(kind, HEAD)
    if kind in ("dot", "circle", "circle_outline"):
        return [shapes.ellipse(size, size) + line[-1] - size / 2]
    return shapes.head(line, size, degrees)


def _is_round(element: dict[str, Any]) -> bool:
    return element.get("roundness") is not None or element.get("strokeSharpness") == "round"
