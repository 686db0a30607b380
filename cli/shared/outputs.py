"""Where a run may write: one rule for every verb.

What a command reads it never writes. What it did not make it never replaces, unless --overwrite says so. Two outputs
of one run never get the same name (`names.free`).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from visketch.errors import UsageError, VisketchError

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are there. What is read is never written.")
]


class Outputs:
    """What one run reads and what it has made. `reads`: files, folders (all that is in them) and globs."""

    def __init__(self, reads: Iterable[str | Path] = (), overwrite: bool = False) -> None:
        self.reads, self.overwrite = [str(path) for path in reads], overwrite
        self._made: set[str] = set()
        self._known: dict[str, set[tuple[int, int]]] = {}  # of each path that is read

    def check(self, path: Path, go_on: bool = False) -> Path:
        """The path of an output, before any work is done. `go_on`: it may be there, and is gone on with.

        Raises UsageError if it may not be written.
        """
        if reason := self._reason(path, go_on or self.overwrite):
            raise UsageError(reason)
        return path

    def take(self, path: Path) -> Path:
        """The same for an output of many, just before it is written; from now on it is this run's own.

        Raises VisketchError: the others are still written.
        """
        if reason := self._reason(path, self.overwrite):
            raise VisketchError(reason)
        self._made.add(os.path.abspath(path))
        return path

    def _reason(self, path: Path, may_be_there: bool) -> str:
        """Why a path may not be written, or ""."""
        if not os.path.lexists(path) or os.path.abspath(path) in self._made:
            return ""
        if path.is_dir():
            return f"{path}: is a folder; name a file"
        if self._is_read(path):
            return f"{path}: is read by this command and never written; choose another --out"
        return "" if may_be_there else f"{path}: is there already; choose another --out, or replace it by --overwrite"

    def _is_read(self, path: Path) -> bool:
        own = _identity(path)
        for name in self.reads:
            if name not in self._known:
                self._known[name] = {*_identities(name)}
        return own is not None and any(own in files for files in self._known.values())

    @contextmanager
    def place(self, out: Path | None, usual: Path) -> Iterator[Path]:
        """`out`; or if nobody named it `usual`, or the first of usual-2, usual-3 ... that is not there.

        An empty file (or, where `usual` has no suffix, an empty folder) takes that name at once, so that of two
        commands neither overwrites the other's; it goes again if nothing comes of it.
        """
        if out:
            yield out
            return
        tried, number = usual, 2
        while True:
            try:
                tried.open("x").close() if usual.suffix else tried.mkdir()
                break
            except FileExistsError:
                tried, number = usual.with_stem(f"{usual.stem}-{number}"), number + 1
        self._made.add(os.path.abspath(tried))
        try:
            yield tried
        finally:
            if tried.is_dir() and not any(tried.iterdir()):
                tried.rmdir()
            elif tried.is_file() and not tried.stat().st_size:
                tried.unlink()


def parse_out(out: str) -> Path:
    """A place as it was typed. Raises UsageError for -, and for the slash of a folder after the name of a picture."""
    from .pictures import is_picture

    if out in ("-", "/dev/stdout", "/dev/stderr"):
        raise UsageError(f"{out}: files are written, not standard output; name one")
    if out.endswith(("/", os.sep)) and is_picture(Path(out)):
        suffix = Path(out).suffix
        raise UsageError(f"{out}: leave out the {out[-1]} for a file of that name, or name a folder without {suffix}")
    return Path(out)


def _identities(name: str) -> Iterator[tuple[int, int]]:
    """The files that a path leads to."""
    import glob

    path = Path(name)
    if path.is_dir():
        found: Iterable[Path | str] = (file for file in path.rglob("*") if file.is_file())
    else:
        found = [path] if os.path.lexists(path) else glob.glob(name, recursive=True)
    for file in found:
        if identity := _identity(file):
            yield identity


def _identity(path: Path | str) -> tuple[int, int] | None:
    """What a file is on its disk, by whatever name, link or case it is reached; None for a link to nothing."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
