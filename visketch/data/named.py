"""All drawings of the paths that a user gives, each with a name to display, or the reason why it cannot be read.

The name of a picture is its path; that of the third drawing in a file of many is `cat.ndjson#3`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from visketch.data import folder
from visketch.data.read import expand, read
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

Named = tuple[str, Sketch | str]  # the displayed name; the drawing, or the reason why there is none
Item = Path | Named  # a file that is not read yet, or its result


def found(path: str) -> list[Item]:
    """The files that a path stands for (itself, those of a folder, those that match a glob), or the reason why there
    are none.
    """
    try:
        return [*expand([path])]
    except VisketchError as error:
        return [(path, about(error, path))]


def is_single(item: Item) -> bool:
    """Whether an item is one drawing, judged by its name: a picture is, an ndjson file is not."""
    return isinstance(item, tuple) or folder.is_single(item)


def opened(items: Iterable[Item]) -> Iterator[Item]:
    """Files of many drawings as their drawings, one by one, so that no file is held in memory; other items
    as they are.
    """
    for item in items:
        if isinstance(item, Path) and not is_single(item):
            yield from drawings(item)
        else:
            yield item


def drawings(item: Item) -> Iterator[Named]:
    """Every drawing of an item."""
    if isinstance(item, Path):
        yield from within(item, str(item))
    else:
        yield item


def within(file: Path, name: str) -> Iterator[Named]:
    """Every drawing of a file, displayed under `name`."""
    problems: list[VisketchError] = []
    sketches = read(file, problems.append)
    while True:
        sketch = next(sketches, None)
        for problem in problems:
            which = re.match(rf"{re.escape(str(file))}:((\w+:)?\d+): ", str(problem))
            yield (f"{name}#{which[1]}", str(problem)[which.end() :]) if which else (name, about(problem, str(file)))
        problems.clear()
        if sketch is None:
            return
        yield f"{name}{place_of(sketch, file)}", sketch


def place_of(sketch: Sketch, file: Path) -> str:
    """The place of a drawing in its file: `#3`, or nothing if it is the only one."""
    number = sketch.source.removeprefix(str(file)).lstrip(":")
    return f"#{number}" if number else ""


def about(error: VisketchError, path: str) -> str:
    """The error without the path, which is displayed beside it."""
    return str(error).removeprefix(f"{path}: ")
