"""Labels, splits and names of drawings, from the names of files and folders.

<class>/<picture>                a picture, or another file of one drawing, has the class of its folder
<class>.ndjson .bin .npy .npz    a file of many drawings has the class of its name
train/ validation/ test/         folders above either are the splits
"""

import re
import warnings
from pathlib import Path

from visketch.errors import PassedOverWarning, VisketchError

SPLITS = ("train", "validation", "test")
MANY = {".ndjson", ".bin", ".npy", ".npz", ".json", ".csv", ".excalidrawlib"}
PICTURES = {".svg", ".svgz", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"}
PICTURES |= {".pnm", ".pbm", ".pgm", ".ppm"}
PAGES = {".excalidraw", ".tldr", ".inkml"}  # files with one drawing each, stored as strokes
PACKED = {".ndjson.gz", ".json.gz", ".csv.gz", ".inkml.gz", ".svg.gz"}
CATALOGUE = "catalogue.sqlite"  # the file that makes a folder an index of drawings (search/index.py)
# A folder may hold such files that are not drawings, so only files that begin like drawings are read.
GENERAL = {".json", ".csv", ".json.gz", ".csv.gz"}
DRAWN = (b'"drawing', b'"strokes"', b'"excalidraw', b'"tldraw', b'"paths"', b'"points"', b'"x":')
# Google's storage adds this to the name of a class when a file is downloaded by hand.
ADDED = re.compile(r"^(full_(simplified|raw|binary|numpy_bitmap)_|sketchrnn_)|\.full$")


def suffix(file: Path) -> str:
    """The suffix of a file in lower case. If the file is compressed, the suffix before it is included: `.ndjson.gz`."""
    last = file.suffix.lower()
    return Path(file.stem).suffix.lower() + last if last == ".gz" else last


def is_single(file: Path) -> bool:
    """Whether a file holds one drawing, judged by its name. A picture does, an ndjson file does not."""
    return suffix(file) in PICTURES | PAGES


def label(file: Path, alone: bool = False) -> str:
    """The class that the location of a file stands for. `alone` says that the file has only one drawing."""
    if _is_many(file) and not (alone and suffix(file).startswith(".json")):
        return ADDED.sub("", file.name[: -len(suffix(file))])
    return file.absolute().parent.name


def split(file: Path, root: Path) -> str | None:
    """The split that the folders below `root` stand for. Returns None if they do not name one."""
    file, root = file.absolute(), root.absolute()
    folders = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    above = folders if _is_many(file) else folders[:-1]
    return next((name for folder in above if (name := split_named(folder))), None)


def split_named(folder: str) -> str | None:
    """The split that the name of a folder stands for. Returns None if it stands for none."""
    name = {"valid": "validation", "val": "validation"}.get(folder, folder)
    return name if name in SPLITS else None


def shown_files(folder: Path) -> list[Path]:
    """The files in a folder and its subfolders, sorted, without those that are hidden or in a hidden folder."""
    names = ((file, file.relative_to(folder).parts) for file in sorted(folder.rglob("*")))
    return [file for file, parts in names if not any(part.startswith(".") for part in parts) and file.is_file()]


def files(folder: Path) -> list[Path]:
    """The files of drawings in a folder and its subfolders, sorted.

    Hidden files and indexes of drawings are left out. Other files are too, such as archives, and tables and JSON files
    that are not drawings; a `PassedOverWarning` names the first of them.
    """
    shown = shown_files(folder)
    indexes = {file.parent for file in shown if file.name == CATALOGUE}
    files = {file: _is_drawn(file) for file in shown if file.parent not in indexes}
    if others := [str(file.relative_to(folder)) for file, drawn in files.items() if not drawn]:
        what = f"{len(others)} files were" if len(others) > 1 else "1 file was"
        some = ", ".join([*others[:3], *(["..."] if len(others) > 3 else [])])
        warnings.warn(f"{folder}: {what} passed over: {some}", PassedOverWarning, stacklevel=3)
    return [file for file, drawn in files.items() if drawn]


def _is_drawn(file: Path) -> bool:
    known = MANY | PICTURES | PAGES | PACKED
    return suffix(file) in known and (suffix(file) not in GENERAL or _begins_drawn(file))


def _is_many(file: Path) -> bool:
    return suffix(file) in MANY or suffix(file).removesuffix(".gz") in MANY


def _begins_drawn(file: Path) -> bool:
    """Whether a JSON file or a table begins like a drawing. A file that cannot be opened counts, so that its reader
    reports it.
    """
    from visketch.data import files, kaggle

    try:
        head = files.head(file, 1024)
    except (OSError, VisketchError):
        return True
    if "csv" in suffix(file):
        return kaggle.is_it(head)
    text = re.sub(rb"\s", b"", head)
    return text.startswith(b"[[") or any(mark in text for mark in DRAWN)
