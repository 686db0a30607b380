"""Render an SVG page with resvg. Only this module imports it."""

import io
import re
from xml.etree.ElementTree import Element, tostring

from PIL import Image

from visketch.data.files import local_name

LAYERED = re.compile(r"(?<![\w-])(opacity|mask|clip-path|mix-blend-mode|isolation)\b")
LAYERS = 200  # the most elements that are drawn on a layer of their own, which takes milliseconds each
DEPTH = 64  # the deepest nesting of elements; beyond it, resvg's recursion would crash
ASPECT = 50  # the largest ratio of a page's sides; beyond it, a page would be rendered as a line


def draw(root: Element, width: float, height: float, side: int) -> Image.Image | None:
    """Render a page of `width` and `height` (in any unit) as a picture.

    The picture is RGBA and transparent where nothing is drawn. Its longer side has `side` pixels. No fonts are loaded,
    so text is not drawn. Returns None if resvg cannot draw the page, or could not at a reasonable cost: it is nested
    too deeply, it needs too many layers, or its proportions are extreme.
    """
    import resvg_py

    # This is written so that NaN is refused too.
    if not (0 < width < 1e9 and 0 < height < 1e9 and 1 / ASPECT < width / height < ASPECT):
        return None
    if _deeper(root, DEPTH) or _layers(root) > LAYERS:
        return None
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    text = tostring(root, encoding="unicode")
    try:
        drawn = resvg_py.svg_to_bytes(svg_string=text, width=size[0], height=size[1], dpi=96, skip_system_fonts=True)
    except ValueError:
        return None
    return Image.open(io.BytesIO(bytes(drawn))).convert("RGBA").resize(size)


def _deeper(root: Element, most: int) -> bool:
    level = [root]
    for _ in range(most):
        level = [child for element in level for child in element]
    return bool(level)


def _layers(root: Element) -> int:
    """The number of elements that need a layer; all of them if there is a style sheet."""
    asking = count = 0
    everywhere = False
    for element in root.iter():
        count += 1
        words = " ".join(element.attrib) + " " + element.get("style", "")
        asking += bool(LAYERED.search(words))
        everywhere |= bool(element.text and local_name(element) == "style" and LAYERED.search(element.text))
    return count if everywhere else asking
