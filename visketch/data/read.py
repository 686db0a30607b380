"""Read the sketches in any file of drawings."""

import glob
import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from visketch.data import files, folder, foreign, inkml, kaggle
from visketch.errors import VisketchError, reason
from visketch.geometry.sketch import Sketch

HEAD = 4096  # the number of bytes that are read to find the type of a file
Problem = Callable[[VisketchError], None]


def stop(error: VisketchError) -> None:
    """The default `problem`: it raises the error, so the first drawing that cannot be read ends the reading."""
    raise error


def read(
    path: str | Path, problem: Problem = stop, wanted: Container[str] | None = None, name: str = ""
) -> Iterator[Sketch]:
    """The drawings in a file: one from a picture or an SVG, many from an ndjson, npy or npz file.

    The first bytes decide the type of the file; docs/formats.md lists all types. `problem` receives the error of each
    drawing that cannot be read, or of the whole file. It may raise the error, as the default does, or return, and then
    reading continues. With `wanted`, only the drawings with such a `source` are given; the others in a JSON file are
    skipped, and so are their errors. Warnings call the file `name`, by default its path. Raises VisketchError with one
    line: the path, what is wrong, and what to do.
    """
    path = Path(path)
    seen = wanted is not None  # a file without any of the wanted drawings may still have others
    drawings = _drawings(path, wanted, name)
    while True:
        try:
            drawing = next(drawings, None)
        except VisketchError as error:
            drawing, drawings = error, iter(())
        except OSError as error:
            drawing, drawings = VisketchError(f"{path}: {_reason(error)}"), iter(())
        if drawing is None:
            break
        seen = True
        if isinstance(drawing, VisketchError):
            problem(drawing)
        elif wanted is None or drawing.source in wanted:
            yield drawing
    if not seen:
        problem(VisketchError(f"{path}: no drawing in it; give a file that has one"))


def only(path: str | Path, name: str = "") -> Sketch:
    """The only drawing in a file. Of the frames of a picture, the first one counts. Warnings call it `name`.

    Raises VisketchError if it cannot be read, or if there are several.
    """
    drawings = read(path, name=name)
    first = next(drawings)
    frame = first.pixels is not None and first.page is not None
    if not frame and next(drawings, None) is not None:
        raise VisketchError(f"{path}: more than one drawing in it; give them one by one")
    return first


def expand(paths: list[str | Path]) -> list[Path]:
    """The files that some paths stand for.

    A file stands for itself. A folder stands for the files of drawings in it and in its subfolders. A glob stands for
    the files that match. Raises VisketchError for a path without files.
    """
    found_files: list[Path] = []
    for path in map(Path, paths):
        try:
            if path.is_dir():
                found = folder.files(path)
            elif path.exists():
                found = [path]
            else:
                found = expand(
                    [match for match in sorted(glob.glob(str(path), recursive=True)) if os.path.exists(match)]
                )
        except OSError as error:
            raise VisketchError(f"{path}: {_reason(error)}") from error
        if not found:
            problem = "no file of drawings in it; give another" if path.is_dir() else "no such file; check the name"
            raise VisketchError(f"{path}: {problem}")
        found_files += found
    return found_files


def _drawings(path: Path, wanted: Container[str] | None, name: str) -> Iterator[Sketch | VisketchError]:
    """Call the reader for the type of the file.

    Readers are imported here, so that `visketch --help` loads neither Pillow nor numpy.
    """
    if "\0" in str(path):
        raise VisketchError(f"{str(path)!r}: the name has a zero byte, which no file's name can have; check it")
    if path.is_dir():
        raise VisketchError(f"{path}: this is a folder; give a file in it")
    if path.exists() and not path.is_file():
        raise VisketchError(f"{path}: not a regular file; save the drawing as one")
    head = files.head(path, HEAD)
    if not head:
        raise VisketchError(f"{path}: the file is empty; save or download it again")
    if known := foreign.start(head):
        raise VisketchError(f"{path}: {known}")
    suffix, start = folder.suffix(path), head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"\x93NUMPY") or suffix == ".npy":
        from visketch.data import arrays

        yield from arrays.drawings(path)
    elif head.startswith(b"PK\x03\x04") or suffix == ".npz":
        from visketch.data import arrays, sketchrnn

        yield from arrays.drawings(path) if sketchrnn.holds(path, "x") else sketchrnn.drawings(path)
    elif start[:1] in (b"{", b"[") or suffix == ".ndjson":
        from visketch.data import json_documents

        yield from json_documents.drawings(path, wanted)
    elif suffix == ".csv" or kaggle.is_it(head):
        yield from kaggle.drawings(path)
    elif suffix == ".bin":
        from visketch.data import quickdraw

        yield from quickdraw.binary(path)
    elif inkml.is_it(head) or suffix == ".inkml":
        yield inkml.strokes(path)
    elif start.startswith(b"<") or suffix == ".svg":
        from visketch.data import svg

        yield svg.strokes(path, name)
    else:
        from visketch.data import image

        yield from image.masks(path)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file; check the name"
    if isinstance(error, PermissionError):
        return "you may not read it; change its permissions"
    return f"cannot be read ({reason(error)}); check the disk"
