"""All drawings of the paths that a user gives, each with a name to display, or with the reason why it cannot be read.

The name of a picture is its path. The third drawing in a file of many is named `cat.ndjson#3`.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from visketch.data import folder
from visketch.data.read import expand, read
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

Named = tuple[str, Sketch | str]  # the displayed name; and the drawing, or the reason why there is none
Item = Path | Named  # a file that has not been read yet, or the result of reading one


def found(path: str) -> list[Item]:
    """The files that a path stands for, or the reason why there are none.

    A path stands for itself, for the files of a folder, or for the files that match a glob.
    """
    try:
        return [*expand([path])]
    except VisketchError as error:
        return [(path, about(error, path))]


def is_single(item: Item) -> bool:
    """Whether an item is one drawing, judged by its name. A picture is, an ndjson file is not."""
    return isinstance(item, tuple) or folder.is_single(item)


def opened(items: Iterable[Item]) -> Iterator[Item]:
    """Replace every file of many drawings by its drawings, and pass on all other items as they are.

    The drawings are read one by one, so that no file is held in memory.
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
        with _named(name, str(file)):
            sketch = next(sketches, None)
        for problem in problems:
            which = re.match(rf"{re.escape(str(file))}:((\w+:)?\d+): ", str(problem))
            yield (f"{name}#{which[1]}", str(problem)[which.end() :]) if which else (name, about(problem, str(file)))
        problems.clear()
        if sketch is None:
            return
        yield f"{name}{place_of(sketch, file)}", sketch


@contextmanager
def _named(name: str, file: str) -> Iterator[None]:
    """Inside, warnings about a file say the name under which it is displayed."""
    if name == file:
        yield
        return
    with warnings.catch_warnings(record=True) as told:
        yield
    for warning in told:
        warnings.warn(str(warning.message).replace(file, name), warning.category, stacklevel=2)


def place_of(sketch: Sketch, file: Path) -> str:
    """The place of a drawing in its file, such as `#3`. It is empty if the drawing is the only one."""
    number = sketch.source.removeprefix(str(file)).lstrip(":")
    return f"#{number}" if number else ""


def source_of(place: str, file: Path) -> str:
    """The `source` of the drawing for which `place_of` gives this place in the file."""
    return f"{file}:{place.removeprefix('#')}" if place else str(file)


def about(error: VisketchError, path: str) -> str:
    """The message of an error without the path, which is displayed beside it.

    The path may be written in another way than in the error: `./cat.svg` is `cat.svg` there.
    """
    said = str(error)
    return next((said.removeprefix(f"{name}: ") for name in (path, Path(path)) if said.startswith(f"{name}: ")), said)
