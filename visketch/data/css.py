"""CSS that browsers know but renderers of SVG do not: variables, and newer ways to write colours."""

import re
from functools import lru_cache
from xml.etree.ElementTree import Element

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


def spell_out(root: Element) -> None:
    """Replace variables and newer colours in the attributes and style sheets of a page.

    A variable becomes its value, or its fallback if it has none. A variable has the same value on the whole page.
    `light-dark(a, b)` becomes `a`, and `oklch(40% 0.2 20)` becomes `#8a0020`.
    """
    sheets = [element for element in root.iter() if element.text and str(element.tag).rpartition("}")[2] == "style"]
    texts = [element.text or "" for element in sheets] + [element.get("style", "") for element in root.iter()]
    known = {name: value.strip() for text in texts if "--" in text for name, value in DEFINED.findall(text)}
    for element in sheets:
        element.text = _plain(element.text or "", known)
    for element in root.iter():
        for name, value in element.attrib.items():
            if "--" in value or WRITTEN.search(value) or "light-dark(" in value:
                element.set(name, _plain(value, known))


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
