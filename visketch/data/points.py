"""Turn the strokes of a drawing, in any of the forms that programs use, into arrays (points, 2).

A stroke is one of

    [[x, x, ...], [y, y, ...]]      rows, as in *Quick, Draw!*
    [[x, y], [x, y], ...]           pairs
    [{"x": 1, "y": 2}, ...]         points with names
    {"x": [...], "y": [...]}        rows with names
    {"points": any of these}        with other fields beside; or "path", "paths", "stroke", "coordinates"

A point with names may be {"X": 1, "Y": 2}, or have its place inside: {"location": {"x": 1, "y": 2}, "force": 0.5}.
A drawing may also be a list of segments with names, {"px": 0, "py": 0, "x": 1, "y": 2}.
Third and fourth rows or numbers (time, pressure) are ignored. Rows and pairs look alike if every stroke has two or
three points. Then the other strokes of the drawing, and the drawings beside it, decide.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

Layout = Literal["rows", "pairs"]
Strokes = tuple[np.ndarray, ...]

# The fields in which programs keep the points of a stroke
INSIDE = (
    "points",
    "path",
    "paths",
    "stroke",
    "strokes",
    "drawing",
    "coordinates",
)
PLACE = ("location", "position")  # the fields in which programs keep the place of a point
ERASED = {"tool": "eraser", "compositeOperation": "destination-out", "globalCompositeOperation": "destination-out"}
IDENTITY = [1, 0, 0, 1, 0, 0]
SURE = (True, True)
BLUR = 1 / 256  # the most by which single precision may move a point, as a share of the drawing's longer side
ROUNDING = 1e-12  # a drawing that is smaller, as a share of its coordinates, is a dot with rounding errors
WRONG = "a stroke is neither [[x...], [y...]] nor [[x, y], ...], with equally many numbers for each"


class Undecided(ValueError):
    """The drawing can be read in both layouts, with different results."""


def strokes(drawing: Any, layout: Layout | None = None) -> Strokes:
    """The strokes of a drawing, each (points, 2) float32.

    `layout` is the layout to use if the shapes of the strokes do not decide. Raises ValueError if there is no stroke,
    if a stroke is empty or has another form, if a coordinate is not a finite number, or if coordinates are so large
    that single precision does not resolve the drawing. Raises Undecided if rows and pairs are both possible, if they
    differ, and if nothing decides between them.
    """
    each = _read_all(drawing)
    possible = _possible(each)
    if layout in possible:
        possible = [layout]
    for level in range(len(SURE)):  # evidence for one of the two layouts, the strongest first
        likely = [one for one in possible if all(read[one][1][level] for read in each[: 1 if level else None])]
        possible = likely or possible
    first, *more = [_checked([read[one][0] for read in each]) for one in possible]
    if more and not all(np.array_equal(one, other) for one, other in zip(first, more[0], strict=True)):
        raise Undecided(
            "its strokes have two or three points each, so they could be [[x...], [y...]] or [[x, y], ...]; "
            'write the points as {"x": 1, "y": 2}'
        )
    return first


def layouts(drawing: Any) -> list[Layout]:
    """The layouts that a drawing can have, judged by the shapes of its strokes alone. There are none if it is not a
    drawing.
    """
    try:
        return _possible(_read_all(drawing))
    except ValueError:
        return []


def agreed(drawings: Iterable[Any]) -> Layout | None:
    """The layout that some drawings have in common, if those whose shapes decide it agree. Returns None otherwise."""
    told = {found[0] for drawing in drawings if len(found := layouts(drawing)) == 1}
    return told.pop() if len(told) == 1 else None


def _read_all(drawing: Any) -> list[dict[Layout, tuple[np.ndarray, tuple[bool, ...]]]]:
    if not isinstance(drawing, list | tuple):
        raise ValueError("the drawing is not a list of strokes")
    if not len(drawing):
        raise ValueError("the drawing has no stroke")
    if all(is_point(point) for point in drawing):
        drawing = (
            _joined(drawing) if all("px" in point and "py" in point for point in drawing) else [_one_stroke(drawing)]
        )
    return [_stroke(stroke) for stroke in drawing]


def is_point(value: Any) -> bool:
    """Whether a value is a point with names, and not a stroke with a place of its own."""
    return isinstance(value, dict) and isinstance(value.get("x", value.get("X")), int | float) and not _within(value)


def _one_stroke(listed: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The points of a drawing without strokes. Raises ValueError if a word or a flag in them changes, which may tell
    where a stroke ends.
    """
    for name, first in listed[0].items():
        if isinstance(first, bool | str) and any(point.get(name) != first for point in listed):
            raise ValueError(f'the points have a "{name}" that changes; give the points of each stroke as a list')
    return listed


def _joined(segments: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Strokes of segments from (px, py) to (x, y), as programs with p5.js keep them. A stroke ends where the next
    segment begins elsewhere.
    """
    found: list[list[dict[str, Any]]] = []
    for end in segments:
        start = {"x": end["px"], "y": end["py"]}
        if not found or any(_named(found[-1][-1], axis) != _named(start, axis) for axis in "xy"):
            found.append([start])
        found[-1].append(end)
    return found


def _possible(each: Sequence[dict[Layout, Any]]) -> list[Layout]:
    """The layouts that all strokes can have. Raises ValueError if there is none."""
    known: tuple[Layout, ...] = ("rows", "pairs")
    possible = [layout for layout in known if all(layout in one for one in each)]
    if not possible:
        raise ValueError(WRONG)
    return possible


def _stroke(stroke: Any) -> dict[Layout, tuple[np.ndarray, tuple[bool, ...]]]:
    """A stroke (points, 2) in each layout that it can have, with the evidence for that layout (see `_read`)."""
    if isinstance(stroke, dict):
        stroke = _unwrapped(stroke)
    if isinstance(stroke, list | tuple) and len(stroke) and all(isinstance(point, dict) for point in stroke):
        stroke = np.array([[_named(point, "x"), _named(point, "y")] for point in stroke], np.float64)
        return {"rows": (stroke, SURE), "pairs": (stroke, SURE)}
    if isinstance(stroke, np.ndarray) and stroke.ndim == 2 and stroke.shape[1] == 2:
        stroke = _numbers(stroke)
        if len(stroke) == 2:  # these are pairs, by convention, unless other strokes of the drawing can only be rows
            return {"rows": (stroke.T, (False, False)), "pairs": (stroke, SURE)}
        return {"rows": (stroke, SURE), "pairs": (stroke, SURE)}
    try:
        values = _numbers(np.array(stroke))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise ValueError(WRONG) from None
    if not values.size:
        raise ValueError("the drawing has an empty stroke")
    if values.ndim != 2:
        raise ValueError(WRONG)
    return {layout: _read(values, layout) for layout in ("rows", "pairs") if _fits(values.shape, layout)}


def _numbers(values: np.ndarray) -> np.ndarray:
    """An array as real numbers. Raises ValueError or TypeError if it holds something else."""
    if values.dtype.kind not in "biufO":  # numpy would convert texts and dates, and drop the imaginary part of numbers
        raise ValueError(WRONG)
    return values.astype(np.float64)


def _fits(shape: Sequence[int], layout: Layout) -> bool:
    """Whether an array of numbers can have a layout.

    Points may have four values, with time and pressure, only if there are many points.
    """
    points, each = shape if layout == "pairs" else shape[::-1]
    return each in (2, 3) or (each == 4 and points > 4)


def _read(values: np.ndarray, layout: Layout) -> tuple[np.ndarray, tuple[bool, ...]]:
    """The points, and the evidence for the layout.

    There are two pieces of evidence. The stronger one: the points are not all equal, and the further values may be
    times or pressures. The weaker one, for the first stroke of a drawing: the further values are times that begin at 0.
    """
    points = values if layout == "pairs" else values.T
    moves = len(points) == 1 or bool((points[:, :2] != points[:1, :2]).any())
    beside = points[:, 2:3]
    times = bool((beside >= 0).all() and (np.diff(beside, axis=0) >= 0).all())
    pressures = layout == "pairs" and bool(((beside >= 0) & (beside <= 1)).all())
    return points[:, :2], (moves and (times or pressures), bool(beside.size and times and beside[0, 0] == 0))


def _unwrapped(stroke: dict[str, Any]) -> Any:
    """The points of a stroke that is stored as a record."""
    if stroke.get("drawMode") is False or any(stroke.get(name) == value for name, value in ERASED.items()):
        raise ValueError("a stroke is an eraser's; export the drawing as SVG or PNG")
    if stroke.get("transform", IDENTITY) != IDENTITY:
        raise ValueError("a stroke has a transform; export the drawing as SVG or PNG")
    for x, y in (("x", "y"), ("X", "Y")):
        if isinstance(stroke.get(x), list | tuple):
            return _pairs(stroke[x], stroke.get(y))
    inside = _within(stroke)
    if inside is None:
        raise ValueError(f'a stroke has neither "x" and "y" nor "{INSIDE[0]}"')
    if inside and all(isinstance(value, int | float) for value in inside):  # x, y, x, y ...
        if len(inside) % 2:
            raise ValueError("a stroke of x, y, x, y ... has an odd number of values")
        return _pairs(inside[::2], inside[1::2])
    return inside


def _within(stroke: dict[str, Any]) -> list[Any] | tuple[Any, ...] | None:
    return next((stroke[name] for name in INSIDE if isinstance(stroke.get(name), list | tuple)), None)


def _pairs(x: Any, y: Any) -> list[dict[str, Any]]:
    if not isinstance(y, list | tuple) or len(x) != len(y):
        raise ValueError(WRONG)
    return [{"x": one, "y": other} for one, other in zip(x, y, strict=True)]


def _named(point: dict[str, Any], axis: str) -> float:
    place = next((point[name] for name in PLACE if isinstance(point.get(name), dict | list | tuple)), point)
    if isinstance(place, dict):
        value = place.get(axis, place.get(axis.upper()))
    else:
        value = dict(zip("xy", place, strict=False)).get(axis)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'a point has no number "{axis}"')
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a stroke has a coordinate that is too large or not a number") from None


def _checked(lines: Sequence[np.ndarray]) -> Strokes:
    """The lines of a drawing in single precision. Raises ValueError if that cannot hold them."""
    points = np.concatenate(lines)
    with np.errstate(over="ignore"):  # values that are too large for float32 become infinite and are refused below
        single = points.astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError("a stroke has a coordinate that is too large or not a number")
    moved = np.abs(single - points).max(initial=0)
    if moved and ROUNDING * np.abs(points).max() < np.ptp(points, axis=0).max() < moved / BLUR:
        raise ValueError("its coordinates are too large for its size; subtract the least x and the least y from them")
    return tuple(np.split(single, np.cumsum([len(line) for line in lines[:-1]])))
