"""Turn SVG drawings (also gzipped, .svgz) into strokes: the visible lines of the page, in document order.

An SVG should give the same drawing as its rendering. So the page is also rendered, by resvg, and its ink is found as in
a picture. Lines are kept where that ink is. If they do not explain the ink, the rendering is read instead.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, register_namespace, tostring

import numpy as np
from PIL import Image

from visketch.data import css, files, image, resvg, seen
from visketch.data.seen import PaintedLine
from visketch.errors import VisketchError
from visketch.geometry.sketch import POINTS, PageArea, Sketch

LARGEST = 1 << 20  # the most bytes; a detailed drawing has a few hundred thousand, and a megabyte takes seconds
ELEMENTS = 5_000  # the most elements, including copies by <use> and closed outlines
CURVE = np.linspace(0, 1, 17)[1:]  # positions along a curve; a full circle, which is four arcs, has 64 corners
SIDE = 512  # the longer side of the rendering in pixels
# These elements read other files, run code, show no lines, or could keep the renderer busy without limit.
LEFT_OUT = ("image", "script", "filter", "foreignObject", "text", "animate", "animateMotion", "animateTransform", "set")
NAMESPACE = re.compile(rb"""<!ENTITY\s+(\w+)\s+(["'])(https?://[^"'&%<>]{0,200})\2\s*>""")  # as Illustrator writes them
WHITE = (255, 255, 255)
HAIR = 0.1  # a thinner line, in pixels of the rendering, may leave no ink there

register_namespace("", "http://www.w3.org/2000/svg")


def strokes(path: Path) -> Sketch:
    """The drawing on an SVG page, as strokes in the unit of the viewBox, or as pixels if its rendering shows something
    else or there are more than POINTS points.

    It reads paths and basic shapes, through groups, transforms, units, styles and <use>. Curves become polylines.
    Nothing outside the file is read. Raises VisketchError if the file is not SVG, defines entities other than
    namespaces, has more than LARGEST bytes or ELEMENTS elements, or shows nothing.
    """
    root = parsed(path)
    size = _sized(root)
    lines, matrix = _lines(root)
    if size is None and lines:
        size, matrix = _around(root, lines)
    picture = resvg.draw(root, *size, SIDE) if size else None
    about: dict[str, Any] = {"kind": "SVG"}
    if picture is None or size is None:  # there is no rendering, so only the lines are known
        if not lines:
            raise VisketchError(f"{path}: blank, it has no shapes; text and pictures do not count")
        return Sketch(strokes=tuple(line.points for line in lines), source=str(path), about=about, in_order=False)
    found, facts = image.understand(picture)
    to_pixels = matrix * (SIDE / max(size))
    page = PageArea(_viewport(matrix, size), root.get("width", ""), root.get("height", ""))
    if not found.pixels.any():
        if hairs := _hairlines(lines, to_pixels):
            return Sketch(strokes=hairs, source=str(path), about=about, page=page, in_order=False)
        raise VisketchError(f"{path}: blank, nothing in it is visible; text and pictures do not count")
    about |= {"filled": True} if facts.get("filled") else {}
    paper = "black" if facts["inverted"] else "white"
    kept = seen.only(lines, to_pixels, found, np.asarray(on_paper(picture, paper))) if lines else None
    if kept is None or sum(len(line.points) for line in kept) > POINTS:
        return Sketch(
            pixels=found.pixels, thin=found.thin, source=str(path), about=about | {"rendered": True}, page=page
        )
    about["pen"] = float(np.median([line.width for line in kept])) or None
    return Sketch(strokes=tuple(line.points for line in kept), source=str(path), about=about, page=page, in_order=False)


def rendered(path: Path, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """Render an SVG page on white paper, with `side` pixels on its longer side.

    Returns the picture, and the width and height of the page in CSS pixels. Raises VisketchError.
    """
    root = parsed(path)
    size = _sized(root)
    if size is None and (lines := _lines(root)[0]):
        size, _ = _around(root, lines)
    picture = resvg.draw(root, *size, side) if size else None
    if picture is None or size is None:
        raise VisketchError(f"{path}: the SVG cannot be rendered; export it again, or as PNG")
    return on_paper(picture, "white"), (max(1, round(size[0])), max(1, round(size[1])))


def on_paper(picture: Image.Image, paper: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, paper), picture).convert("RGB")


def parsed(path: Path) -> Element:
    """Parse the page and remove the elements in LEFT_OUT.

    Raises VisketchError if it is not SVG, and for anything with which a small file could become a large one: entities,
    too many elements, copies of copies.
    """
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    text = files.whole(path, LARGEST)
    try:
        root = ElementTree.fromstring(_without_namespace_entities(text))
    except DefusedXmlException:
        raise VisketchError(f"{path}: the file defines XML entities; export it again as plain SVG") from None
    except (ParseError, ValueError, LookupError) as error:
        raise VisketchError(f"{path}: not complete XML ({error}); export it again") from None
    if _name(root) != "svg":
        raise VisketchError(f"{path}: XML, but not SVG; give a drawing")
    if _size(root) > ELEMENTS:
        raise VisketchError(f"{path}: more than {ELEMENTS} elements, or <use> in a circle; simplify the drawing")
    css.spell_out(root)
    try:
        size = _sized(root) or (1.0, 1.0)
        css.apply(root, page := _inner(root) or size, min(size[0] / page[0], size[1] / page[1]))
    except ValueError as error:
        raise VisketchError(f"{path}: the style `{error}` cannot be read; apply the transforms first") from None
    css.drop(root, "filter")  # an element whose filter is missing would not be drawn
    sheets = [element for element in root.iter() if css.is_sheet(element)]
    for element in [*root.iter()]:
        for place, child in [*enumerate(element)][::-1]:
            if _name(child) in LEFT_OUT or css.is_sheet(child):
                element.remove(child)
            elif _name(child) == "symbol":  # svgelements would draw a symbol where it stands
                element[place] = Element("{http://www.w3.org/2000/svg}defs")
                element[place].append(child)
        element.attrib.pop("filter", None)
    root[:0] = sheets  # svgelements applies a sheet only to what follows it
    return root


def _without_namespace_entities(text: bytes) -> bytes:
    """Expand the entities that stand for the address of a namespace. Other entities are kept, and refused later.

    A page in UTF-16 becomes one in UTF-8.
    """
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = re.sub(r"^\s*<\?xml[^>]*>", "", text.decode("utf-16")).encode()
    for name, _, value in NAMESPACE.findall(text):
        if text.count(b"&%s;" % name) * len(value) > LARGEST:
            return text
        text = text.replace(b"&%s;" % name, value)
    return NAMESPACE.sub(b"", text)


def _size(root: Element) -> int:
    """The number of elements that are drawn, including copies by <use> and closed outlines. It is more than ELEMENTS if
    there are too many.

    Closed outlines count because svgelements takes quadratic time for them.
    """
    named = {f"#{element.get('id')}": element for element in root.iter() if element.get("id")}
    known: dict[int, int] = {}
    open_: set[int] = set()

    def size(element: Element) -> int:
        if id(element) in open_:
            return ELEMENTS + 1  # the element copies itself
        if id(element) not in known:
            open_.add(id(element))
            count = 1 + element.get("d", "").lower().count("z")
            for child in element:
                count += size(child)
            if _name(element) == "use":
                count += max((size(named[to]) for to in _copies(element) if to in named), default=0)
            open_.remove(id(element))
            known[id(element)] = min(count, ELEMENTS + 1)
        return known[id(element)]

    try:
        return size(root) if sum(1 for _ in root.iter()) <= ELEMENTS else ELEMENTS + 1
    except RecursionError:
        return ELEMENTS + 1


def _copies(element: Element) -> list[str]:
    """The targets of a <use> element: those of `href`, of `xlink:href`, or of both."""
    return [value for key, value in element.attrib.items() if key.endswith("href")]


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _sized(root: Element) -> tuple[float, float] | None:
    """The width and height of the page in CSS pixels. Returns None if nothing defines them.

    If they are missing on the root, they are set there.
    """
    inner = _inner(root)
    wide, high = (css.pixels(root.get(side, "")) for side in ("width", "height"))
    if inner and not (wide and high):
        wide, high = (
            (wide, wide * inner[1] / inner[0]) if wide else (high * inner[0] / inner[1], high) if high else inner
        )
        root.set("width", f"{wide:g}")
        root.set("height", f"{high:g}")
    return (wide, high) if wide and high else None


def _inner(root: Element) -> tuple[float, float] | None:
    """The width and height of the viewBox, if there is one."""
    box = re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", root.get("viewBox", ""))
    return (float(box[2]), float(box[3])) if len(box) == 4 and min(map(float, box[2:])) > 0 else None


def _around(root: Element, lines: list[PaintedLine]) -> tuple[tuple[float, float], np.ndarray]:
    """Give a page without a size a size that holds its lines. Returns the size, and the map from the unit of the lines
    to its pixels.
    """
    points = np.concatenate([line.points for line in lines]).astype(np.float64)
    pen = max(line.width for line in lines)
    (x, y), (right, low) = (points.min(axis=0) - pen).tolist(), (points.max(axis=0) + pen).tolist()
    wide, high = max(right - x, 1e-3), max(low - y, 1e-3)
    root.attrib |= {
        "viewBox": f"{x:.9g} {y:.9g} {wide:.9g} {high:.9g}",
        "width": f"{wide:.9g}",
        "height": f"{high:.9g}",
    }
    return (wide, high), np.array([[1, 0, -x], [0, 1, -y]])


def _lines(root: Element) -> tuple[list[PaintedLine], np.ndarray]:
    """The lines of the page in the unit of its viewBox, and the map (2 3) from there to CSS pixels.

    If the page stretches its viewBox (preserveAspectRatio), the unit is a CSS pixel, in which the lines are stretched.
    There are no lines if svgelements cannot read them: a broken attribute can make it raise anything.
    """
    from svgelements import SVG, Matrix, Shape

    try:
        with np.errstate(all="ignore"):  # values that are not finite are removed below
            page = SVG.parse(BytesIO(tostring(root)))
            view = Matrix(page.viewbox_transform or "")
            matrix = np.array([[view.a, view.c, view.e], [view.b, view.d, view.f]], np.float64)
            if not np.isclose(view.a, view.d):
                matrix = np.eye(2, 3)
            back = np.linalg.inv(matrix[:, :2])
            scale = float(matrix[0, 0])
            lines = [
                replace(
                    line, points=((line.points - matrix[:, 2]) @ back.T).astype(np.float32), width=line.width / scale
                )
                for shape in page.elements()
                if isinstance(shape, Shape)
                for line in _outlines(shape)
            ]
    except Exception:
        return [], np.eye(2, 3)
    return [line for line in lines if np.isfinite(line.points).all() and np.isfinite(line.width)], matrix


def _outlines(shape: Any) -> Iterator[PaintedLine]:
    """The outline of a painted shape in CSS pixels: one line for each part that is drawn without lifting the pen."""
    from svgelements import Close, Move, Path
    from svgelements import Line as Straight

    if shape.values.get("visibility") in ("hidden", "collapse"):
        return
    width, colour = 0.0, None
    if shape.stroke.value is not None and shape.stroke.alpha and shape.stroke_width:
        width = abs(float(shape.implicit_stroke_width))
        opaque = shape.stroke.alpha == 255 and not {"opacity", "mask", "mix-blend-mode"} & set(shape.values)
        colour = (shape.stroke.red, shape.stroke.green, shape.stroke.blue) if opaque else None
    elif shape.fill.value is None or not shape.fill.alpha:
        return
    points: list[tuple[float, float]] = []
    for segment in Path(shape):
        if isinstance(segment, Move):
            if len(points) > 1:
                yield PaintedLine(np.array(points), width, colour)
            points = [tuple(segment.end)]
        elif isinstance(segment, Straight | Close):
            if segment.end is not None:
                points.append(tuple(segment.end))
        else:
            points += [tuple(point) for point in segment.npoint(CURVE)]
    if len(points) > 1:
        yield PaintedLine(np.array(points), width, colour)


def _hairlines(lines: list[PaintedLine], to_pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    """The coloured lines that are too thin to be seen in the rendering, as laser cutters want them. `to_pixels` (2 3)
    maps their unit to its pixels.
    """
    scale = abs(np.linalg.det(to_pixels[:, :2])) ** 0.5
    coloured = (line for line in lines if line.colour and line.colour != WHITE)
    return tuple(line.points for line in coloured if 0 < scale * line.width < HAIR)


def _viewport(matrix: np.ndarray, size: tuple[float, float]) -> tuple[float, float, float, float]:
    """The part of the viewBox's plane that is on the page: x, y, width, height."""
    back = np.linalg.inv(matrix[:, :2])
    (x, y), (right, low) = ((np.array(corner) - matrix[:, 2]) @ back.T for corner in ((0, 0), size))
    return float(x), float(y), float(right - x), float(low - y)
