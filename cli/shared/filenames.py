"""Names for the files that are written: no folder in them, and nothing that file systems dislike."""

import re
import unicodedata
from itertools import chain, count
from pathlib import Path


def stem(label: str) -> str:
    """A class as a file name: spaces and the like become `_`."""
    return re.sub(r"[^\w.-]+", "_", label).lstrip(".") or "_"


def stem_of(drawing: str) -> str:
    """A drawing, by the name that is shown for it: `scans/cat.ndjson#3` → `cat-3`."""
    file, mark, number = drawing.rpartition("#")
    if not mark or Path(drawing).exists():
        file, number = drawing, ""
    name = "standard-input" if file == "-" else stem(Path(file).stem)
    return f"{name}-{stem(number)}" if number else name


def free(name: str, taken: set[str]) -> str:
    """The name, or with `-2`, `-3`, ... if it is taken; it is from now on.

    Names that differ in case alone, or in how accents are written, are one: on many disks they are one file.
    """
    tried = chain([name], (f"{name}-{number}" for number in count(2)))
    chosen = next(name for name in tried if _folded(name) not in taken)
    taken.add(_folded(chosen))
    return chosen


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
