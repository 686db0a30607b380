"""JSON files: one drawing a line (ndjson), or one document with one or more drawings.

A drawing is a QuickDraw record, a list of strokes in one of the forms of `points.py`, rows of stroke-3 or stroke-5, or
a document of Excalidraw or tldraw. For any other JSON document, the error says what it is and what to export instead.
"""

import json
from collections.abc import Callable, Container, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import excalidraw, files, foreign, points, stroke3, tldraw
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

INSIDE = ("drawing", "strokes", "lines", "paths", "ink")  # the fields in which records keep their drawing
SEVERAL = ("drawings", "requests", "strokeGroups")  # the same for documents of several; two are of handwriting APIs
PUBLISHED = ("key_id", "countrycode")  # fields of QuickDraw's files, in which strokes are rows
PARTS = ("train", "valid", "validation", "test")  # the parts of a data set in stroke-3
AHEAD = 1000  # the number of lines that are read to find the layout of a file's strokes
Found = Iterator[Sketch | VisketchError]


def drawings(path: Path, wanted: Container[str] | None = None) -> Found:
    """Every drawing of a file, with an error in place of each drawing that cannot be read.

    With `wanted`, a drawing in a file of many is skipped unless its `source` is among them, which saves most of the
    time. Raises VisketchError if the file has no drawings.
    """
    first = next((line for line in files.lines(path) if not line.isspace()), b"")
    alone = _parsed(first.removeprefix(b"\xef\xbb\xbf"))
    if (isinstance(alone, dict) and _inside(alone)) or (_is_lines(path) and alone is not None):
        yield from ndjson(path, wanted)
        return
    try:
        content = files.whole(path)
    except VisketchError:
        if alone is None:
            raise
        yield from ndjson(path, wanted)
        return
    document = _parsed(content.removeprefix(b"\xef\xbb\xbf"))
    if document is None and (alone is not None or _is_lines(path) or _has_lines(path)):
        yield from ndjson(path, wanted)
    elif document is None:
        raise VisketchError(f"{path}: not complete JSON; save it again")
    else:
        yield from _document(document, path, wanted)


def ndjson(path: Path, wanted: Container[str] | None = None) -> Found:
    """One drawing from each line. A line is a QuickDraw record, whose `word` is its class, or a list of strokes.

    With `wanted`, a line is skipped without parsing it unless its `source` (`path:number`, the first is 1) is among
    them.
    """

    @cache
    def told() -> points.Layout | None:
        """The layout of the strokes, judged by those of the first lines in which it is unambiguous."""
        some = (_parsed(line) for line in islice(files.lines(path), AHEAD))
        return points.agreed(_drawing(record) for record in some)

    for number, line in enumerate(files.lines(path), 1):
        source = f"{path}:{number}"
        if line.isspace() or (wanted is not None and source not in wanted):
            continue
        record = _parsed(line.removeprefix(b"\xef\xbb\xbf"))
        if record is None:
            wrong = "null" if line.strip() == b"null" else "not complete JSON"
            yield VisketchError(f"{source}: the line is {wrong}; fix or remove it")
        else:
            yield _record(record, source, "line", told)


def _is_lines(path: Path) -> bool:
    return any(suffix.lower() == ".ndjson" for suffix in path.suffixes[-2:])


def _has_lines(path: Path) -> bool:
    """Whether one of the first lines is a record. If so, single lines may be broken."""
    return any(isinstance(one, dict) and _inside(one) for one in map(_parsed, islice(files.lines(path), AHEAD)))


def _published(record: Any) -> points.Layout | None:
    return "rows" if isinstance(record, dict) and all(name in record for name in PUBLISHED) else None


def _drawing(record: Any) -> Any:
    return record.get(_inside(record)) if isinstance(record, dict) else record


def _inside(record: dict[str, Any]) -> str:
    """The name of the field in which a record keeps its drawing, or ""."""
    return next((name for name in INSIDE if isinstance(record.get(name), list)), "")


def _record(
    record: Any, source: str, what: str, told: Callable[[], points.Layout | None] = lambda: None
) -> Sketch | VisketchError:
    """The drawing of a record, or the error.

    `what` is the word for it in errors, line or drawing. `told` gives the layout of the drawings beside it.
    """
    mend = f"fix or remove that {what}"
    if not (_inside(record) if isinstance(record, dict) else _is_list_of_strokes(record)):
        return VisketchError(f'{source}: the {what} has no "drawing"; {mend}')
    word = record.get("word") if isinstance(record, dict) else None
    if not isinstance(word, str | None):
        return VisketchError(f'{source}: "word" is not a string; {mend}')
    drawing = _drawing(record)
    try:
        rows = _rows(drawing)
        if rows is not None:
            stroke3.check(rows)
            kind = {"kind": f"stroke-{rows.shape[1]}"}
            return Sketch(strokes=stroke3.strokes(rows), label=word or None, source=source, about=kind)
        open_question = len(points.layouts(drawing)) > 1
        strokes = points.strokes(drawing, (told() or _published(record)) if open_question else None)
    except points.Undecided as error:
        return VisketchError(f"{source}: {error}")
    except ValueError as error:
        return VisketchError(f"{source}: {error}; {mend}")
    timed = all(isinstance(stroke, list) and len(stroke) == 3 and len(stroke[0]) != 2 for stroke in drawing)
    about = {"kind": "QuickDraw ndjson" if what == "line" else "JSON", "timed": timed}
    return Sketch(strokes=strokes, label=word or None, source=source, about=about)


def _is_list_of_strokes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(stroke, list | dict) for stroke in value[:1])


def _rows(value: Any) -> np.ndarray | None:
    """The rows of stroke-3 or stroke-5 if a list holds them, otherwise None."""
    if not isinstance(value, list) or not value or not isinstance(value[0], list) or len(value[0]) not in (3, 5):
        return None
    try:
        rows = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    return rows if rows.ndim == 2 and stroke3.is_it(rows) else None


def _document(document: Any, path: Path, wanted: Container[str] | None) -> Found:
    if isinstance(document, list) and document and all(excalidraw.is_element(one) for one in document):
        document = {"type": "excalidraw", "elements": document}
    if isinstance(document, dict):
        if excalidraw.is_it(document):
            yield from excalidraw.drawings(document, path)
        elif tldraw.is_it(document):
            yield from tldraw.drawings(document, path)
        elif parts := [part for part in PARTS if isinstance(document.get(part), list)]:
            for part in parts:
                yield from _many(document[part], path, wanted, f"{part}:")
        elif _inside(document):
            yield _record(document, str(path), "drawing")
        elif several := next((document[name] for name in SEVERAL if isinstance(document.get(name), list)), None):
            yield from _many(several, path, wanted)
        else:
            raise VisketchError(f"{path}: {foreign.json(document)}")
        return
    if not isinstance(document, list):
        raise VisketchError(f"{path}: JSON, but no drawing; give a list of strokes, [[[x...], [y...]], ...]")
    depth = _depth(document)
    if depth == 1 and document and isinstance(document[0], dict) and not points.is_point(document[0]):
        if any(_inside(one) in ("drawing", "strokes") for one in document if isinstance(one, dict)):
            yield from _many(document, path, wanted)
        else:  # strokes as records, in the way of signature pads and other canvases
            yield _record(document, str(path), "drawing")
    elif depth == 2:
        whole = points.is_point(document[0]) or _rows(document) is not None  # otherwise the list is one stroke
        yield _record(document if whole else [document], str(path), "drawing")
    elif depth == 3 and all(_rows(one) is not None for one in document):
        yield from _many(document, path, wanted)
    elif depth == 3:
        yield _record(document, str(path), "drawing")
    elif depth == 4:
        yield from _many(document, path, wanted)
    else:
        raise VisketchError(f"{path}: JSON, but no drawing; give a list of strokes, [[[x...], [y...]], ...]")


def _many(records: list, path: Path, wanted: Container[str] | None, part: str = "") -> Found:
    @cache
    def told() -> points.Layout | None:
        return points.agreed(map(_drawing, records[:AHEAD]))

    for number, record in enumerate(records, 1):
        source = f"{path}:{part}{number}"
        if wanted is None or source in wanted:
            yield _record(record, source, "drawing", told)


def _depth(value: Any) -> int:
    """The number of lists around the first number; a point with names counts as the list [x, y]."""
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, next(iter(value), None)
    return depth + points.is_point(value)


def _parsed(text: bytes) -> Any:
    """The value of a JSON text, or None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
