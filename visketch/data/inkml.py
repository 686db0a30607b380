"""InkML: the recorded traces of a pen. The format: https://www.w3.org/TR/InkML/ (20 September 2011).

A trace is a list of points, each with the values of its channels. The format of the trace says which of them are x and
y. Traces of a raised pen are left out, and traces that continue others are joined to them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from visketch.data import files
from visketch.errors import VisketchError
from visketch.geometry.sketch import POINTS, Sketch

LARGEST = 1 << 24  # the most bytes of a file
MARK = re.compile(rb"<(?:[\w.-]+:)?ink[\s>/]")
# How a value is encoded, and the value: explicit (!), the difference to the previous value (') or the second
# difference ("); repeated (*), unknown (?), true or false.
VALUE = re.compile(r"""([!'"]?)\s*([-+]?(?:#[0-9A-Fa-f]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|[*?TF])""")


class Format(NamedTuple):
    """The positions of x and y among the channels of a trace, and their signs.

    A sign is 1 if the values grow to the right or downwards, and -1 otherwise.
    """

    x: int = 0
    y: int = 1
    right: int = 1
    down: int = 1


def is_it(head: bytes) -> bool:
    """Whether a file with these first bytes is InkML."""
    return bool(MARK.search(head))


def strokes(path: Path) -> Sketch:
    """All traces of a file as one drawing. Raises VisketchError if the file is broken, too large, or has no ink."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        root = ElementTree.fromstring(files.whole(path, LARGEST))
    except DefusedXmlException:
        raise VisketchError(f"{path}: the file defines XML entities; export it again as plain InkML") from None
    except (ParseError, ValueError, LookupError) as error:
        raise VisketchError(f"{path}: not complete XML ({error}); export it again") from None
    try:
        lines = list(_joined(root))
    except (ValueError, OverflowError) as error:
        raise VisketchError(f"{path}: {error}; export it again") from None
    if not lines:
        raise VisketchError(f"{path}: blank, it has no trace of a pen; give another file")
    return Sketch(strokes=tuple(lines), source=str(path), about={"kind": "InkML"})


def _joined(root: Element) -> Iterator[np.ndarray]:
    """The lines of the traces. A trace that continues another one is part of its line."""
    lines: dict[str, list[np.ndarray]] = {}
    count = 0
    for number, (element, form) in enumerate(_traces(root)):
        line = _trace(element.text or "", form)
        count += len(line)
        if count > POINTS:
            raise ValueError(f"more than {POINTS:,} points")
        name, before = _id(element) or str(number), element.get("priorRef", "").rpartition("#")[2]
        if element.get("continuation") in ("middle", "end") and before in lines:
            lines[name] = lines.pop(before)
        lines.setdefault(name, []).append(line)
    yield from (np.concatenate(parts).astype(np.float32) for parts in lines.values() if any(map(len, parts)))


def _traces(root: Element) -> Iterator[tuple[Element, Format]]:
    """The traces of a pen on paper, each with its format.

    The format is that of the trace's own context, of the groups around it, or of the last context before it.
    """
    formats, contexts = _formats(root)
    current = next(iter(formats.values())) if len(formats) == 1 else Format()
    outer: dict[Element, Format] = {}  # the formats of the groups that name a context, and of what is in them
    for element in root.iter():
        if files.local_name(element) == "context":
            current = contexts.get(element, current)
        named = contexts.get(element.get("contextRef", "").rpartition("#")[2], outer.get(element))
        if named and files.local_name(element) in ("traceGroup", "trace"):
            outer |= dict.fromkeys([element, *element], named)
        if files.local_name(element) == "trace" and element.get("type") != "penUp":
            yield element, named or current


def _formats(root: Element) -> tuple[dict[str, Format], dict[Element | str, Format]]:
    """The formats of traces by their names (or numbers), and those of the contexts, as elements and by their names."""
    formats = {
        _id(element) or str(number): _format(element)
        for number, element in enumerate(root.iter())
        if files.local_name(element) == "traceFormat"
    }
    sources: dict[str, Format] = {}
    for element in root.iter():
        if files.local_name(element) == "inkSource":
            sources |= {_id(element): _format(one) for one in element if files.local_name(one) == "traceFormat"}
    contexts: dict[Element | str, Format] = {}
    for element in root.iter():
        if files.local_name(element) != "context":
            continue
        inner = next((one for one in element.iter() if files.local_name(one) == "traceFormat"), None)
        named = element.get("traceFormatRef", "").rpartition("#")[2]
        source = element.get("inkSourceRef", "").rpartition("#")[2]
        above = element.get("contextRef", "").rpartition("#")[2]
        known = _format(inner) if inner is not None else formats.get(named)
        known = known or sources.get(source) or contexts.get(above)
        if known:
            contexts |= {element: known} | ({_id(element): known} if _id(element) else {})
    return formats, contexts


def _format(element: Element) -> Format:
    """The format that an element describes. Raises ValueError if it has no X and Y."""
    channels = [one for one in element.iter() if files.local_name(one) == "channel"]
    names = [one.get("name", "").upper() for one in channels]
    if not names:
        return Format()
    if "X" not in names or "Y" not in names:
        raise ValueError("the traces have no channels X and Y")
    x, y = names.index("X"), names.index("Y")
    right, down = (-1 if channels[place].get("orientation") == "-ve" else 1 for place in (x, y))
    return Format(x, y, right, down)


def _trace(text: str, form: Format) -> np.ndarray:
    """The points (n, 2) of a trace. Raises ValueError if the text does not follow the format."""
    wanted = max(form.x, form.y) + 1
    how = ["!"] * wanted  # the encoding of each channel, until the text gives another one
    value, speed, change = [0.0] * wanted, [0.0] * wanted, [0.0] * wanted
    points = []
    for point in text.split(","):
        tokens = VALUE.findall(point)
        if not tokens:
            if point.strip():
                raise ValueError(f"a trace has {point.strip()[:20]!r} in the place of a point")
            continue
        if len(tokens) < wanted:
            raise ValueError(f"a trace has a point of {len(tokens)} values and not {wanted}")
        for channel, (told, token) in enumerate(tokens[:wanted]):
            how[channel] = told or how[channel]
            if token in ("?", "T", "F"):
                continue
            number = None if token == "*" else _number(token)
            if how[channel] == "!":
                value[channel], speed[channel] = value[channel] if number is None else number, 0.0
                continue
            if how[channel] == "'":
                speed[channel] = speed[channel] if number is None else number
            else:
                change[channel] = change[channel] if number is None else number
                speed[channel] += change[channel]
            value[channel] += speed[channel]
        points.append((form.right * value[form.x], form.down * value[form.y]))
    line = np.array(points, np.float64).reshape(-1, 2)
    if not (np.abs(line) < 1e30).all():
        raise ValueError("a coordinate is not a number")
    return line


def _number(token: str) -> float:
    sign = -1 if token.startswith("-") else 1
    digits = token.lstrip("+-")
    return sign * float(int(digits[1:], 16)) if digits.startswith("#") else sign * float(digits)


def _id(element: Element) -> str:
    return element.get("{http://www.w3.org/XML/1998/namespace}id", element.get("id", ""))
