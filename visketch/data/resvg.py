"""An SVG page as it looks, drawn by resvg. The only module that imports it."""

import io
import re
from xml.etree.ElementTree import Element, tostring

from PIL import Image

LAYERED = re.compile(r"(?<![\w-])(opacity|mask|clip-path|mix-blend-mode|isolation)\b")
LAYERS = 200  # elements that are drawn on a page of their own first: each takes milliseconds
DEPTH = 64  # of elements within elements: resvg's recursion ends in a crash
ASPECT = 50  # a page that is so many times as wide as high, or the reverse, is drawn as a line


def draw(root: Element, width: float, height: float, side: int) -> Image.Image | None:
    """A page of `width` and `height` in any unit → its picture (RGBA, clear where nothing is), the longer side of so
    many pixels. Fonts are not looked for, so text is not drawn.

    None if resvg cannot draw it, or only at a price: too deep, too many layers, out of all proportion.
    """
    import resvg_py

    # Written so that what is not a number is refused too.
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
    """How many elements ask for a layer; all, if a style sheet does."""
    asking = count = 0
    everywhere = False
    for element in root.iter():
        count += 1
        words = " ".join(element.attrib) + " " + element.get("style", "")
        asking += bool(LAYERED.search(words))
        everywhere |= bool(element.text and str(element.tag).endswith("style") and LAYERED.search(element.text))
    return count if everywhere else asking
