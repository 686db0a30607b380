"""Where a run may write. Every verb follows the same rule.

A file that the command reads is never written. A file that the command did not make is only replaced with --overwrite.
Two outputs of one run never get the same name (`filenames.free`).
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from visketch.errors import UsageError, VisketchError

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files. Input files are never written.")]


class Outputs:
    """The inputs of a run, and the files that it has written. `reads` holds files, whole folders and globs."""

    def __init__(self, reads: Iterable[str | Path] = (), overwrite: bool = False) -> None:
        self.reads, self.overwrite = [str(path) for path in reads], overwrite
        self._made: set[str] = set()
        self._known: dict[str, set[tuple[int, int]]] = {}  # the files of each input path

    def check(self, path: Path, go_on: bool = False) -> Path:
        """Check the path of an output before any work is done, and return it.

        `go_on` says that the file may exist and will be continued. Raises UsageError if the path may not be written.
        """
        if reason := self._reason(path, go_on or self.overwrite):
            raise UsageError(reason)
        return path

    def take(self, path: Path) -> Path:
        """Check the path of one of many outputs just before it is written, and return it. From then on it belongs to
        this run.

        Raises VisketchError if it may not be written. This does not affect the other outputs.
        """
        if reason := self._reason(path, self.overwrite):
            raise VisketchError(reason)
        self._made.add(os.path.abspath(path))
        return path

    def _reason(self, path: Path, may_be_there: bool) -> str:
        """The reason why a path may not be written, or an empty string."""
        if not os.path.lexists(path) or os.path.abspath(path) in self._made:
            return ""
        if path.is_dir():
            return f"{path}: this is a folder; name a file"
        if self._is_read(path):
            return f"{path}: this file is an input of the command and is not written; choose another name"
        return "" if may_be_there else f"{path}: exists already; choose another name, or replace it with --overwrite"

    def _is_read(self, path: Path) -> bool:
        own = _identity(path)
        for name in self.reads:
            if name not in self._known:
                self._known[name] = {*_identities(name)}
        return own is not None and any(own in files for files in self._known.values())

    @contextmanager
    def place(self, out: Path | None, usual: Path) -> Iterator[Path]:
        """The path of an output: `out` if it is given, and otherwise the first of `usual`, usual-2, usual-3 ... that
        does not exist.

        An empty file (or, if `usual` has not the suffix of a drawing, an empty folder) takes the name at once, so that
        two commands cannot choose the same one. It is removed again if nothing was written.
        """
        from .pictures import DRAWINGS

        if out:
            yield out
            return
        suffix = usual.suffix if usual.suffix.lower() in DRAWINGS else ""  # `v1.0-completed` is a folder
        tried, number = usual, 2
        while True:
            try:
                tried.open("x").close() if suffix else tried.mkdir()
                break
            except FileExistsError:
                tried, number = usual.with_name(f"{usual.name.removesuffix(suffix)}-{number}{suffix}"), number + 1
        self._made.add(os.path.abspath(tried))
        try:
            yield tried
        finally:
            if tried.is_dir() and not any(tried.iterdir()):
                tried.rmdir()
            elif tried.is_file() and not tried.stat().st_size:
                tried.unlink()


def parse_out(typed: str | Path) -> Path:
    """The path of an output, as it was typed or as an option's default.

    Raises UsageError for -, for an option in place of a path (`--explain --out why.png`), and for a slash after the
    name of a picture.
    """
    from .pictures import is_picture

    out = str(typed)
    if out in ("-", "/dev/stdout", "/dev/stderr"):
        raise UsageError(f"{out}: this command writes files and not to standard output; name a file")
    if out.startswith("-"):
        raise UsageError(f"{out}: an option, but a path is missing before it; for a file of that name, write ./{out}")
    if out.endswith(("/", os.sep)) and is_picture(Path(out)):
        suffix = Path(out).suffix
        raise UsageError(f"{out}: for a file of that name leave out the {out[-1]}; for a folder leave out {suffix}")
    return Path(out)


def parse_drawings_out(typed: str | Path) -> Path:
    """The path of drawings: of a file, or of a folder of files.

    Raises UsageError as `parse_out` does, and for the ending of a file that is not written (`cat.webm`), which would
    otherwise become the name of a folder. A folder with such a name exists, or is typed with a slash at its end.
    """
    from .pictures import ENDINGS

    out = parse_out(typed)
    named_as_folder = str(typed).endswith(("/", os.sep)) or out.is_dir()
    ending = out.suffix[1:]
    if not named_as_folder and out.suffix.lower() not in ENDINGS and looks_like_an_ending(ending):
        raise UsageError(f"{out}: {ending.upper()} is not written (--help names what is); for a folder, name {out}/")
    return out


def looks_like_an_ending(ending: str) -> bool:
    """Whether the end of a name looks like a type of file: `webm` and `7z` do, the `0` of `v1.0` and `2024` do not."""
    return bool(re.fullmatch("[A-Za-z0-9]{2,5}", ending)) and not ending.isdecimal()


def _identities(name: str) -> Iterator[tuple[int, int]]:
    """The identities of the files that a path stands for."""
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
    """The device and inode of a file, however its path is written (links, case). Returns None if there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
