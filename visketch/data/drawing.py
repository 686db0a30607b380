"""Turn a drawing, in any form that a program may hold it in, into a `Sketch`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import in_memory, points
from visketch.data.read import only
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch

# A path, the bytes of a file, an open file, a PIL image, an array, a tensor, strokes, or a Sketch.
Drawing = Any
LONGEST = 4096  # the most characters of a path
IN_MEMORY = ("", "picture", "strokes", "bytes", "drawn")  # the sources of drawings that have no name of their own
KINDS = "a path, a PIL image, the bytes of a file or an open file, an array, a tensor, or strokes"


def sketch(drawing: Drawing) -> Sketch:
    """Turn a drawing into a `Sketch`.

    A drawing is the path of a file with one drawing, the bytes of such a file, an open file, a picture, strokes, or a
    `Sketch` already. (`visketch.data.read.read` gives all drawings of a file.) A picture is a PIL image, or an array or
    tensor as in `in_memory.of_array`. Strokes are arrays (points, 2) of x and y. They may also be lists in the form of
    *Quick, Draw!*, [[x...], [y...]] each, or lists of pairs, [[x, y], ...] (see `visketch.data.points`).

    Raises VisketchError if a file cannot be read, has no ink or has several drawings. Raises UsageError for anything
    else, and for lists that could have either form.
    """
    if isinstance(drawing, Sketch):
        return drawing
    if isinstance(drawing, str | Path):
        if "\n" in str(drawing) or len(str(drawing)) > LONGEST:
            raise UsageError("a text, where the path of a file is expected; pass the content of a file as bytes")
        return only(drawing)
    if isinstance(drawing, bytes | bytearray | memoryview):
        return in_memory.of_bytes(bytes(drawing))
    if isinstance(drawing, in_memory.Image.Image):
        return in_memory.of_image(drawing)
    if isinstance(drawing, np.ndarray) or in_memory.is_tensor(drawing):
        return in_memory.of_array(drawing)
    if hasattr(drawing, "read"):
        try:
            content = drawing.read()
        except (OSError, ValueError) as error:
            raise UsageError("the file is closed, or cannot be read; open it with mode 'rb'") from error
        if not isinstance(content, bytes):
            raise UsageError("the file is open in text mode; open it with mode 'rb'")
        return in_memory.of_bytes(content)
    if isinstance(drawing, Iterable) and not isinstance(drawing, Mapping):
        return _strokes(drawing)
    raise UsageError(f"not a drawing but of type {type(drawing).__name__}; pass {KINDS}")


def sketches(drawings: Sequence[Drawing]) -> list[Sketch]:
    """`sketch` for several drawings. If there are more than one, an error says which of them it is about."""
    found = []
    for number, drawing in enumerate(drawings):
        place = f"drawings[{number}]"
        try:
            own = sketch(drawing)
        except VisketchError as error:
            raise type(error)(f"{place}: {error}" if len(drawings) > 1 else str(error)) from None
        named = len(drawings) == 1 or own.source not in IN_MEMORY
        found.append(own if named else replace(own, source=place))
    return found


def several(drawings: Drawing) -> list[Drawing] | None:
    """The drawings in a list of drawings. Returns None for a single drawing, which may itself be a list of strokes."""
    if not isinstance(drawings, list | tuple) or isinstance(drawings, Sketch):
        return None
    return list(drawings) if all(in_memory.is_picture(one) or _depth(one) >= 3 for one in drawings) else None


def _depth(value: Any) -> int:
    """How deeply lists are nested: 1 for a list of numbers, 3 for the strokes of a drawing."""
    depth = 0
    while True:
        if isinstance(value, np.ndarray) or in_memory.is_tensor(value):
            return depth + value.ndim
        if not isinstance(value, list | tuple) or not value:
            return depth
        value, depth = value[0], depth + 1


def _strokes(drawing: Iterable[Any]) -> Sketch:
    each = [in_memory.to_numpy(one) for one in drawing]
    if several(each):
        raise UsageError("several drawings, where one is expected; `classify` takes a list of them")
    try:
        lines = points.strokes(tuple(each) if isinstance(drawing, tuple) else each)
    except points.Undecided as error:
        raise UsageError(f"not a drawing: {error}, or pass arrays (points, 2)") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"not a drawing: {error}; pass {KINDS}") from None
    return Sketch(strokes=lines, source="strokes")
