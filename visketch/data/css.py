"""CSS that browsers know but renderers of SVG do not: variables, newer ways to write colours, transforms in styles, and
lines whose width is not scaled.
"""

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from visketch.data.files import local_name

DEFINED = re.compile(r"(?<![\w-])(--[\w-]{1,100})\s*:\s*([^;{}]{1,60});?\s*")
INNER = r"(?:[^()]|\([^()]{0,200}\)){0,200}?"  # text that may contain pairs of brackets
COLOUR = r"(?:[^(),]|\([^()]{0,200}\)){0,200}?"
VARIABLE = re.compile(rf"var\(\s*(--[\w-]{{1,100}})\s*(?:,({INNER}))?\)")
LIGHT_DARK = re.compile(rf"light-dark\(({COLOUR}),{COLOUR}\)")
# Colours that resvg would draw black (`hsl(0deg 80% 40%)`, `rgb(0 0 0 / 50%)`) or not at all, and some that it knows.
SPACES = "rgba?|hsla?|hwb|lab|lch|oklab|oklch|color"
WRITTEN = re.compile(rf"(?<![\w-])(?:{SPACES})\([^()]{{1,100}}\)", re.IGNORECASE)
KNOWN = re.compile(r"rgb\((?:\s*\d{1,3}\s*,){2}\s*\d{1,3}\s*\)")  # the usual way, which is known everywhere
DEEPEST = 4  # how deep variables may refer to other variables
STYLED = re.compile(r"transform\s*:|vector-effect")  # what a page needs before its style sheets are applied here
RULES = 500  # the most rules of style sheets that are applied here, since each is compared with each element
LENGTH = re.compile(r"\s*\+?(\d*\.?\d+(?:e[-+]?\d+)?)\s*(px|mm|cm|in|pt|pc|q)?\s*", re.IGNORECASE)
LENGTHS = {"": 1.0, "px": 1.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "pt": 96 / 72, "pc": 16.0, "q": 96 / 101.6}
ANGLES = {"": 1.0, "deg": 1.0, "rad": 180 / math.pi, "grad": 0.9, "turn": 360.0}  # in degrees
# The functions of CSS for which attributes have another name: the name there, and where the argument belongs.
ALONG = {
    "translatex": ("translate", "{},0"),
    "translatey": ("translate", "0,{}"),
    "scalex": ("scale", "{},1"),
    "scaley": ("scale", "1,{}"),
    "skewx": ("skewX", "{}"),
    "skewy": ("skewY", "{}"),
}
SIDES = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}


def spell_out(root: Element) -> None:
    """Replace variables and newer colours in the attributes and style sheets of a page.

    A variable becomes its value, or its fallback if it has none. A variable has the same value on the whole page.
    `light-dark(a, b)` becomes `a`, and `oklch(40% 0.2 20)` becomes `#8a0020`.
    """
    sheets = [element for element in root.iter() if element.text and is_sheet(element)]
    texts = [element.text or "" for element in sheets] + [element.get("style", "") for element in root.iter()]
    known = {name: value.strip() for text in texts if "--" in text for name, value in DEFINED.findall(text)}
    for element in sheets:
        element.text = _plain(element.text or "", known)
    for element in root.iter():
        for name, value in element.attrib.items():
            if "--" in value or WRITTEN.search(value) or "light-dark(" in value:
                element.set(name, _plain(value, known))


def drop(root: Element, *properties: str) -> None:
    """Remove properties from all styles and style sheets of a page."""
    written = re.compile(rf"(?<![\w-])(?:{'|'.join(properties)})\s*:[^;}}]*;?\s*")
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", written.sub("", element.get("style", "")))
        if element.text and is_sheet(element):
            element.text = written.sub("", element.text)


def is_sheet(element: Element) -> bool:
    return local_name(element) == "style"


def _plain(text: str, known: dict[str, str]) -> str:
    text = DEFINED.sub("", text)  # resvg stops reading at a definition
    most = 8 * len(text) + 200  # so that variables that refer to variables cannot grow without limit
    for _ in range(DEEPEST):
        longer = VARIABLE.sub(lambda found: known.get(found[1], (found[2] or "").strip()), text)
        if longer == text or len(longer) > most:
            break
        text = longer
    return WRITTEN.sub(lambda found: _in_hex(found[0]), LIGHT_DARK.sub(r"\1", text))


@lru_cache(1000)
def _in_hex(colour: str) -> str:
    """A colour as #rrggbb, or as #rrggbbaa if it is not opaque. A text that is no colour is kept."""
    if KNOWN.fullmatch(colour):
        return colour
    from coloraide import Color  # imported here, since few pages need it

    try:
        return Color(colour.lower()).convert("srgb").to_string(hex=True, fit="clip")
    except (ValueError, OverflowError):
        return colour


def pixels(length: str) -> float | None:
    """A length in CSS pixels. Returns None for a text that is none, or depends on something else."""
    found = LENGTH.fullmatch(length)
    return float(found[1]) * LENGTHS[(found[2] or "").lower()] if found else None


def apply(root: Element, page: tuple[float, float], scale: float) -> None:
    """Change transforms in styles to attributes, and set the width of lines that are not scaled to what it is in the
    unit of their element.

    `page` is the width and height of the page in its own unit, and `scale` is that unit in CSS pixels. Raises
    ValueError for a transform that no attribute can express.
    """
    texts = (
        text for element in root.iter() for text in (*element.attrib.values(), *element.attrib, element.text or "")
    )
    if not any(STYLED.search(text) for text in texts):
        return
    style = _cascade(root)
    for element in root.iter():
        if (text := style(element).get("transform")) is not None:
            element.attrib.pop("transform", None)
            if made := _transform(text, style(element), page):
                element.set("transform", made)
    drop(root, "transform", "transform-origin")  # resvg would prefer them to the attribute, and reads little of them
    _unscaled(root, scale, "1", style)


def _cascade(root: Element) -> Callable[[Element], dict[str, str]]:
    """A function that returns the properties of an element: those of style sheets and of its own style."""
    import cssselect2
    import tinycss2

    def declared(content: Any) -> dict[str, str]:
        found = tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True)
        return {one.lower_name: tinycss2.serialize(one.value).strip() for one in found if one.type == "declaration"}

    def rules() -> Iterator[Any]:
        for element in root.iter():
            if is_sheet(element):
                yield from tinycss2.parse_stylesheet(element.text or "", skip_comments=True, skip_whitespace=True)

    matcher, known = cssselect2.Matcher(), {}
    for _, rule in zip(range(RULES), rules(), strict=False):
        if rule.type == "qualified-rule":
            try:
                selectors = cssselect2.compile_selector_list(rule.prelude)
            except cssselect2.SelectorError:
                continue
            properties = declared(rule.content)
            for selector in selectors:
                if selector.pseudo_element is None:
                    matcher.add_selector(selector, properties)
    for wrapped in cssselect2.ElementWrapper.from_xml_root(root).iter_subtree():
        element, properties = wrapped.etree_element, {}
        for *_, found in matcher.match(wrapped):  # in the order in which they override each other
            properties |= found
        known[element] = properties | declared(element.get("style", ""))
    return known.__getitem__


def _transform(text: str, style: dict[str, str], page: tuple[float, float]) -> str:
    """The attribute for a transform in CSS, around its origin. It is empty if nothing is moved.

    `page` is the width and height to which percentages refer. Raises ValueError.
    """
    import tinycss2

    def number(token: Any, units: dict[str, float]) -> float:
        if token.type not in ("number", "dimension") or (unit := getattr(token, "lower_unit", "")) not in units:
            raise ValueError(text)
        return float(token.value) * units[unit]

    made = []
    for function in tinycss2.parse_component_value_list(text, skip_comments=True):
        if function.type == "whitespace" or text.strip() == "none":
            continue
        if function.type != "function":
            raise ValueError(text)
        name = function.lower_name
        units = (
            LENGTHS if name.startswith("translate") else ANGLES if name.startswith(("rotate", "skew")) else {"": 1.0}
        )
        values = [number(token, units) for token in function.arguments if token.type not in ("whitespace", "literal")]
        if name in ALONG and len(values) == 1:
            name, form = ALONG[name]
            made.append(f"{name}({form.format(f'{values[0]:.9g}')})")
        elif len(values) in {"matrix": (6,), "translate": (1, 2), "scale": (1, 2), "rotate": (1,)}.get(name, ()):
            made.append(f"{name}({','.join(f'{value:.9g}' for value in values)})")
        else:
            raise ValueError(text)
    if made and style.get("transform-box", "view-box") != "view-box":
        raise ValueError(f"transform-box: {style['transform-box']}")
    if not made or not (origin := style.get("transform-origin")):
        return " ".join(made)
    words = [token for token in tinycss2.parse_component_value_list(origin) if token.type != "whitespace"][:2]
    if len(words) == 2 and getattr(words[0], "lower_value", "") in ("top", "bottom"):
        words = words[::-1]
    at = []
    for token, side in zip([*words, None], page, strict=False):
        if token is None or getattr(token, "lower_value", "") in SIDES:
            at.append(SIDES[token.lower_value if token else "center"] * side)
        else:
            at.append(token.value / 100 * side if token.type == "percentage" else number(token, LENGTHS))
    x, y = at
    return f"translate({x:.9g},{y:.9g}) {' '.join(made)} translate({-x:.9g},{-y:.9g})"


def _unscaled(element: Element, scale: float, width: str, style: Callable[[Element], dict[str, str]]) -> None:
    """Set the width of each line below an element that has `vector-effect: non-scaling-stroke`.

    `scale` is the scale of the element's surroundings, and `width` is the width that it inherits.
    """
    from svgelements import Matrix

    matrix, own = Matrix(element.get("transform", "")), style(element)
    scale *= abs(matrix.determinant) ** 0.5
    width = own.get("stroke-width", element.get("stroke-width", width))
    fixed = "non-scaling-stroke" in (own.get("vector-effect"), element.attrib.pop("vector-effect", None))
    if fixed and scale > 0 and (wide := pixels(width)) is not None:
        rest = element.get("style", "").strip(" ;")
        element.set("style", f"{rest and rest + ';'}vector-effect:none;stroke-width:{wide / scale:.9g}")
    for child in element:
        _unscaled(child, scale, width, style)
