"""Drawings from the paths of the command line, from a list of paths, or from standard input."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from visketch.errors import UsageError, VisketchError, reason

from . import console

if TYPE_CHECKING:
    from visketch.data.named import Item, Named
    from visketch.geometry.sketch import Sketch


def listed(paths: list[str] | None, source: str | None) -> Iterable[str]:
    """The paths of the command line, followed by those of the list, as they are read.

    Raises UsageError if there are neither, VisketchError if the list cannot be read.
    """
    if source is None:
        if not paths:
            raise UsageError("name a drawing, or a list of them with --from")
        return paths
    names = _lines(source)
    first = list(islice(names, 1))  # so that a missing list is reported before any work
    return chain(paths or (), first, names)


def _lines(source: str) -> Iterator[str]:
    try:
        with sys.stdin if source == "-" else open(source, encoding="utf-8", errors="surrogateescape") as lines:
            yield from (line.rstrip("\r\n") for line in lines if line.strip())
    except OSError as error:
        raise VisketchError(f"{source}: cannot be read, {reason(error)}") from error


def drawings(paths: Iterable[str]) -> Iterator["Named"]:
    """Every drawing of every path with its displayed name, or with the reason why it cannot be read.

    `cat.ndjson#3` is the drawing on the third line.
    """
    from visketch.data import named

    for item in files(paths)[0]:
        yield from named.drawings(item)


def first_drawing(path: str) -> tuple[str, "Sketch"]:
    """The first drawing of a path, for a verb that takes one, with its displayed name. If there are more, says so.

    Raises VisketchError if it cannot be read.
    """
    found = drawings([path])
    name, sketch = next(found)
    if isinstance(sketch, str):
        raise VisketchError(f"{name}: {sketch}")
    if next(found, None):
        console.note(f"{path}: several drawings; only the first is used")
    return name, sketch


def not_refined(paths: list[str]) -> Iterator["Named"]:
    """The drawings of the paths. Files of folders and globs that refine wrote itself are left out, and told at the end.

    So a second run in the same folder does not refine the results of the first one. Raises VisketchError if nothing is
    left.
    """
    from visketch.data import made, named

    over, there, typed = list[str](), False, {*map(Path, paths)}
    for item in files(paths)[0]:
        if isinstance(item, Path) and item not in typed and made.is_refined(item):
            over.append(str(item))
        else:
            there = True
            yield from named.drawings(item)
    if not there:
        raise VisketchError(f"{paths[0]}: refine wrote all of its drawings; name a file to refine it again")
    if over:
        what = f"{len(over):,} files were" if len(over) > 1 else "1 file was"
        some = ", ".join([*over[:3], *(["..."] if len(over) > 3 else [])])
        console.note(f"{what} passed over, since refine wrote them: {some}")


def files(paths: Iterable[str], out: Path | None = None) -> tuple[Iterator["Item"], int | None]:
    """Every file of every path; and the number of drawings in them, if the names tell it.

    The file of answers, `out`, is skipped, since it may lie in a folder that is read.
    """
    from visketch.data import named

    def look(path: str) -> "list[Item] | None":
        return None if path == "-" else [item for item in named.found(path) if not is_out(item)]

    def is_out(item: "Item") -> bool:
        if out is None or not isinstance(item, Path):
            return False
        return item == out or (item.exists() and out.exists() and item.samefile(out))

    found: Iterable[list[Item] | None] = map(look, paths)
    total = None
    if isinstance(paths, list):  # a list that is read line by line might have no end
        found = [look(path) for path in paths]
        if all(some is not None and all(map(named.is_single, some)) for some in found):
            total = sum(len(some or ()) for some in found)
    return (item for some in found for item in (standard_input() if some is None else some)), total


def standard_input() -> Iterator["Item"]:
    """The content of standard input. It is copied to a temporary file, since readers take files."""
    from visketch.data.named import within

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "standard input")
        if not file.write_bytes(sys.stdin.buffer.read()):
            yield "-", "standard input is empty; pipe a drawing to it"
            return
        yield from within(file, "-")
