"""File names from classes and from the names of drawings: without folders, and valid on every file system."""

import re
import unicodedata
from itertools import chain, count
from pathlib import Path

from visketch.data.folder import suffix

FORBIDDEN = '<>:"/\\|?*'  # in the names of files, on some file system


def stem(label: str) -> str:
    """The name of a class as a file name, in which spaces and special characters become `_`."""
    return re.sub(r"[^\w.-]+", "_", label).lstrip(".") or "_"


def stem_of(drawing: str) -> str:
    """The displayed name of a drawing as a file name: `scans/cat.ndjson#3` becomes `cat-3`, `a b.svg.gz` becomes `a b`.

    Only characters that some file system forbids, or that cannot be printed, become `_`.
    """
    file, mark, number = drawing.rpartition("#")
    if not mark or Path(drawing).exists():
        file, number = drawing, ""
    path = Path("standard-input" if file == "-" else file)
    own = path.name[: len(path.name) - len(suffix(path))]
    name = "".join(one if one.isprintable() and one not in FORBIDDEN else "_" for one in own).lstrip(".") or "_"
    return f"{name}-{stem(number)}" if number else name


def free(name: str, taken: set[str]) -> str:
    """The name itself, or with `-2`, `-3`, ... added if it is taken. From now on, the result counts as taken.

    Names that differ only in case, or in the encoding of accents, count as equal, since on many disks they are the same
    file.
    """
    tried = chain([name], (f"{name}-{number}" for number in count(2)))
    chosen = next(name for name in tried if _folded(name) not in taken)
    taken.add(_folded(chosen))
    return chosen


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
