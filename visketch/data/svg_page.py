"""Parse SVG pages. What no drawing needs is refused or removed: entities, scripts, filters, text, embedded pictures."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from visketch.data import css, files
from visketch.errors import VisketchError

LARGEST = 1 << 20  # the most bytes; a detailed drawing has a few hundred thousand, and a megabyte takes seconds
ELEMENTS = 5_000  # the most elements, including copies by <use> and closed outlines
# These elements read other files, run code, show no lines, or could keep the renderer busy without limit.
LEFT_OUT = ("image", "script", "filter", "foreignObject", "text", "animate", "animateMotion", "animateTransform", "set")
NAMESPACE = re.compile(rb"""<!ENTITY\s+(\w+)\s+(["'])(https?://[^"'&%<>]{0,200})\2\s*>""")  # as Illustrator writes them
HIDDEN = re.compile(r"(?<![\w-])display\s*:\s*none")


def parsed(path: Path) -> Element:
    """The page without the elements in LEFT_OUT, in the CSS that renderers know. Raises VisketchError as `whole` and
    `cleaned` do.
    """
    return cleaned(whole(path), path)


def whole(path: Path) -> Element:
    """The page as it is in the file.

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
    if files.local_name(root) != "svg":
        raise VisketchError(f"{path}: XML, but not SVG; give a drawing")
    if _size(root) > ELEMENTS:
        raise VisketchError(f"{path}: more than {ELEMENTS} elements, or <use> in a circle; simplify the drawing")
    return root


def embeds_picture(root: Element) -> bool:
    """Whether a page has a picture of pixels that is not hidden, as one that was only traced may be."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if element.get("display") == "none" or HIDDEN.search(element.get("style", "")):
            continue
        if files.local_name(element) == "image":
            return True
        waiting += element
    return False


def cleaned(root: Element, path: Path) -> Element:
    """Remove the elements in LEFT_OUT from the page of a file, and spell out its CSS. This changes the page.

    Raises VisketchError for a style that cannot be spelled out.
    """
    css.spell_out(root)
    try:
        size = sized(root) or (1.0, 1.0)
        css.apply(root, page := _inner(root) or size, min(size[0] / page[0], size[1] / page[1]))
    except ValueError as error:
        raise VisketchError(f"{path}: the style `{error}` cannot be read; apply the transforms first") from None
    css.drop(root, "filter")  # an element whose filter is missing would not be drawn
    sheets = [element for element in root.iter() if css.is_sheet(element)]
    for element in [*root.iter()]:
        for place, child in [*enumerate(element)][::-1]:
            if files.local_name(child) in LEFT_OUT or css.is_sheet(child):
                element.remove(child)
            elif files.local_name(child) == "symbol":  # svgelements would draw a symbol where it stands
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
            if files.local_name(element) == "use":
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


def sized(root: Element) -> tuple[float, float] | None:
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
