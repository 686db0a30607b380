"""CSS that browsers know but renderers of SVG do not: variables, and colours for light and dark pages."""

import re
from xml.etree.ElementTree import Element

DEFINED = re.compile(r"(?<![\w-])(--[\w-]{1,100})\s*:\s*([^;{}]{1,60});?\s*")
INNER = r"(?:[^()]|\([^()]{0,200}\)){0,200}?"  # text that may contain pairs of brackets
COLOUR = r"(?:[^(),]|\([^()]{0,200}\)){0,200}?"
VARIABLE = re.compile(rf"var\(\s*(--[\w-]{{1,100}})\s*(?:,({INNER}))?\)")
LIGHT_DARK = re.compile(rf"light-dark\(({COLOUR}),{COLOUR}\)")
DEEPEST = 4  # how deep variables may refer to other variables


def spell_out(root: Element) -> None:
    """Replace variables and `light-dark(a, b)` in the attributes and style sheets of a page.

    A variable becomes its value, or its fallback if it has none. `light-dark(a, b)` becomes `a`. A variable has the
    same value on the whole page.
    """
    sheets = [element for element in root.iter() if element.text and str(element.tag).rpartition("}")[2] == "style"]
    texts = [element.text or "" for element in sheets] + [element.get("style", "") for element in root.iter()]
    known = {name: value.strip() for text in texts if "--" in text for name, value in DEFINED.findall(text)}
    for element in sheets:
        element.text = _plain(element.text or "", known)
    for element in root.iter():
        for name, value in element.attrib.items():
            if "--" in value or "light-dark(" in value:
                element.set(name, _plain(value, known))


def _plain(text: str, known: dict[str, str]) -> str:
    text = DEFINED.sub("", text)  # resvg stops reading at a definition
    most = 8 * len(text) + 200  # so that variables that refer to variables cannot grow without limit
    for _ in range(DEEPEST):
        longer = VARIABLE.sub(lambda found: known.get(found[1], (found[2] or "").strip()), text)
        if longer == text or len(longer) > most:
            break
        text = longer
    return LIGHT_DARK.sub(r"\1", text)
