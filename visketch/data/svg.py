"""Turn SVG drawings (also gzipped, .svgz) into strokes: the visible lines of the page, in document order.

An SVG should give the same drawing as its rendering. So the page is also rendered, by resvg, and its ink is found as in
a picture. Lines are kept where that ink is. If they do not explain the ink, the rendering is read instead.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, register_namespace, tostring

import numpy as np
from PIL import Image

from visketch.data import image, resvg, seen, svg_page
from visketch.data.seen import PaintedLine
from visketch.errors import PassedOverWarning, VisketchError
from visketch.geometry.sketch import POINTS, PageArea, Sketch

CURVE = np.linspace(0, 1, 17)[1:]  # positions along a curve; a full circle, which is four arcs, has 64 corners
SIDE = 512  # the longer side of the rendering in pixels
WHITE = (255, 255, 255)
HAIR = 0.1  # a thinner line, in pixels of the rendering, may leave no ink there

register_namespace("", "http://www.w3.org/2000/svg")


def strokes(path: Path, name: str = "") -> Sketch:
    """The drawing on an SVG page, as strokes in the unit of the viewBox, or as pixels if its rendering shows something
    else or there are more than POINTS points.

    It reads paths and basic shapes, through groups, transforms, units, styles and <use>. Curves become polylines.
    Nothing outside the file is read, and no picture of pixels that is embedded in it, of which a PassedOverWarning
    tells. It calls the file `name`, by default its path. Raises VisketchError if the file is not SVG, defines entities
    other than namespaces, is too large (see `svg_page`), or shows nothing.
    """
    root = svg_page.whole(path)
    pictured, sides = svg_page.embeds_picture(root), (root.get("width", ""), root.get("height", ""))
    found = _drawn(svg_page.cleaned(root, path), sides, path)
    if pictured:
        _tell_of_picture(name or str(path))
    return found


def _tell_of_picture(name: str) -> None:
    message = f"{name}: an embedded picture was ignored; save it as PNG"
    warnings.warn(message, PassedOverWarning, stacklevel=3)


def _drawn(root: Element, sides: tuple[str, str], path: Path) -> Sketch:
    """The drawing on the cleaned page of a file. `sides` are its width and height before it was cleaned, which sets
    missing ones. Raises VisketchError if it shows nothing.
    """
    size = svg_page.sized(root)
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
    page = PageArea(_viewport(matrix, size), *sides)
    if not found.pixels.any():
        kept: list[PaintedLine] | None = _hairlines(lines, to_pixels)
        if not kept:
            raise VisketchError(f"{path}: blank, nothing in it is visible; text and pictures do not count")
    else:
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
    root = svg_page.whole(path)
    pictured = svg_page.embeds_picture(root)
    size = _page_size(svg_page.cleaned(root, path))
    picture = resvg.draw(root, *size, side) if size else None
    if picture is None or size is None:
        raise VisketchError(f"{path}: the SVG cannot be rendered; export it again, or as PNG")
    if pictured:
        _tell_of_picture(str(path))
    return on_paper(picture, "white"), _whole_pixels(size)


def page_size(path: Path) -> tuple[int, int]:
    """The width and height of an SVG page in CSS pixels. Raises VisketchError."""
    size = _page_size(svg_page.parsed(path))
    if size is None:
        raise VisketchError(f"{path}: the SVG has neither a size nor lines; export it again, or as PNG")
    return _whole_pixels(size)


def _page_size(root: Element) -> tuple[float, float] | None:
    """The size of a cleaned page in CSS pixels. Without a size of its own, it is given one that holds its lines."""
    size = svg_page.sized(root)
    if size is None and (lines := _lines(root)[0]):
        size, _ = _around(root, lines)
    return size


def _whole_pixels(size: tuple[float, float]) -> tuple[int, int]:
    return max(1, round(size[0])), max(1, round(size[1]))


def on_paper(picture: Image.Image, paper: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, paper), picture).convert("RGB")


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
            end = None if segment.end is None else tuple(segment.end)
            if end and not (isinstance(segment, Close) and len(points) > 1 and points[-1] == end):
                points.append(end)
        else:
            points += [tuple(point) for point in segment.npoint(CURVE)]
    if len(points) > 1:
        yield PaintedLine(np.array(points), width, colour)


def _hairlines(lines: list[PaintedLine], to_pixels: np.ndarray) -> list[PaintedLine]:
    """The coloured lines that are too thin to be seen in the rendering, as laser cutters want them. `to_pixels` (2 3)
    maps their unit to its pixels.
    """
    scale = abs(np.linalg.det(to_pixels[:, :2])) ** 0.5
    coloured = (line for line in lines if line.colour and line.colour != WHITE)
    return [line for line in coloured if 0 < scale * line.width < HAIR]


def _viewport(matrix: np.ndarray, size: tuple[float, float]) -> tuple[float, float, float, float]:
    """The part of the viewBox's plane that is on the page: x, y, width, height."""
    back = np.linalg.inv(matrix[:, :2])
    (x, y), (right, low) = ((np.array(corner) - matrix[:, 2]) @ back.T for corner in ((0, 0), size))
    return float(x), float(y), float(right - x), float(low - y)
