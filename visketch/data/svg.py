"""SVG drawings: every visible shape's outline, in document order, as strokes. Colours and widths are not kept."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

LARGEST = 1 << 20  # bytes; a rich drawing has some hundred thousand, and a megabyte takes seconds
ELEMENTS = 5_000  # and closed outlines
CURVE = np.linspace(0, 1, 17)[1:]  # places along a curve: a full circle, four arcs, gets 64 corners


def strokes(path: Path) -> Sketch:
    """Paths and basic shapes, through groups, transforms, units and <use>, curves flattened.

    Nothing outside the file is read. Raises VisketchError if it is not SVG, defines entities, is larger than LARGEST
    bytes or ELEMENTS elements, or draws nothing.
    """
    from svgelements import SVG, Shape

    text = path.read_bytes()
    if len(text) > LARGEST:
        raise VisketchError(f"{path}: larger than {LARGEST >> 20} MB, simplify the drawing")
    check(text, path)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused below
            page = SVG.parse(BytesIO(text))
            shapes = [shape for shape in page.elements() if isinstance(shape, Shape) and _visible(shape, page)]
            lines = tuple(line for shape in shapes for line in _lines(shape))
    except Exception as error:  # svgelements raises whatever a broken attribute leads it to
        raise VisketchError(f"{path}: a shape in it cannot be understood, export it again as plain SVG") from error
    if not lines:
        raise VisketchError(f"{path}: blank, no shape is drawn in it (text and pictures do not count)")
    if not all(np.isfinite(line).all() for line in lines):
        raise VisketchError(f"{path}: a coordinate is not a number, export it again as plain SVG")
    return Sketch(strokes=lines, source=str(path), about={"kind": "SVG", "shapes": len(shapes)})


def check(text: bytes, path: Path) -> None:
    """Refuse what could make a small file a large one: entities, elements without number, <use> within <use>."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        root = ElementTree.fromstring(text)
    except DefusedXmlException:
        raise VisketchError(f"{path}: defines XML entities, export it again as plain SVG") from None
    except (ParseError, ValueError, LookupError) as error:
        raise VisketchError(f"{path}: not whole XML ({error}), export it again") from None
    if _name(root) != "svg":
        raise VisketchError(f"{path}: XML but not SVG, give a drawing")
    # A copied element that copies others is how few lines become billions; tools do not write it.
    if sum(1 for _ in root.iter()) > ELEMENTS:
        raise VisketchError(f"{path}: more than {ELEMENTS} elements, simplify the drawing")
    copied = {to for element in root.iter() if _name(element) == "use" for to in _copies(element)}
    sizes = {}
    for element in root.iter():
        if f"#{element.get('id')}" in copied:
            inside = list(element.iter())
            uses = any(_name(child) == "use" for child in inside)
            sizes[f"#{element.get('id')}"] = ELEMENTS if uses else len(inside)
    count = 0
    for element in root.iter():
        count += max((sizes.get(to, 1) for to in _copies(element)), default=1) if _name(element) == "use" else 1
        count += element.get("d", "").lower().count("z")  # svgelements takes quadratic time over these
        if count > ELEMENTS:
            raise VisketchError(f"{path}: more than {ELEMENTS} elements or <use> within <use>, simplify the drawing")


def _copies(element: Element) -> list[str]:
    """What a <use> may copy: `href`, `xlink:href`, or both."""
    return [value for key, value in element.attrib.items() if key.endswith("href")]


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _visible(shape, page) -> bool:
    """Whether a shape leaves a mark: not hidden, painted, and neither white nor the page's own background."""
    from svgelements import Rect

    if shape.values.get("visibility") in ("hidden", "collapse") or shape.values.get("opacity") in ("0", 0):
        return False
    if shape.stroke.value is not None:
        return True
    if shape.fill.value is None or shape.fill.hexrgb == "#ffffff":
        return False
    box = shape.bbox() if isinstance(shape, Rect) and page.viewbox else None
    return box is None or (box[2] - box[0]) * (box[3] - box[1]) < 0.98 * page.width * page.height


def _lines(shape) -> Iterator[np.ndarray]:
    """The shape's outline as lines (points, 2), one for each part drawn without lifting the pen."""
    from svgelements import Close, Line, Move, Path

    points: list[tuple[float, float]] = []
    for segment in Path(shape):
        if isinstance(segment, Move):
            if len(points) > 1:
                yield np.array(points, np.float32)
            points = [tuple(segment.end)]
        elif isinstance(segment, Line | Close):
            if segment.end is not None:
                points.append(tuple(segment.end))
        else:
            points += [tuple(point) for point in segment.npoint(CURVE)]
    if len(points) > 1:
        yield np.array(points, np.float32)
