"""Labels, splits and names of drawings, from the names of files and folders.

<class>/<picture>                the class of a picture, or another file of one drawing, is its folder
<class>.ndjson .bin .npy .npz    a file of many drawings is its class
train/ validation/ test/         above either, they are the split
"""

import re
from pathlib import Path

from visketch.errors import VisketchError

SPLITS = ("train", "validation", "test")
MANY = {".ndjson", ".bin", ".npy", ".npz", ".json", ".csv", ".excalidrawlib"}
PICTURES = {".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"}
PAGES = {".excalidraw", ".tldr", ".inkml"}  # one drawing each, in strokes
PACKED = {".ndjson.gz", ".json.gz", ".csv.gz", ".inkml.gz"}
# Of these a folder may have others that are no drawings: those that begin as drawings do are taken.
GENERAL = {".json", ".csv", ".json.gz", ".csv.gz"}
DRAWN = (b'"drawing', b'"strokes"', b'"excalidraw', b'"tldraw', b'"paths"', b'"points"', b'"x":')
# What Google's storage adds to a class's name when a file is downloaded by hand.
ADDED = re.compile(r"^(full_(simplified|raw|binary|numpy_bitmap)_|sketchrnn_)|\.full$")


def suffix(file: Path) -> str:
    """A file's ending in small letters, with that before it if it is packed: `.ndjson.gz`."""
    last = file.suffix.lower()
    return Path(file.stem).suffix.lower() + last if last == ".gz" else last


def is_single(file: Path) -> bool:
    """Whether it is one drawing, to go by its name: pictures are, an ndjson is not."""
    return suffix(file) in PICTURES | PAGES


def label(file: Path, alone: bool = False) -> str:
    """The class that the file's place stands for. `alone`: there is one drawing in it, and no number to it."""
    if _is_many(file) and not (alone and suffix(file).startswith(".json")):
        return ADDED.sub("", file.name[: -len(suffix(file))])
    return file.absolute().parent.name


def split(file: Path, root: Path) -> str | None:
    """The split that the folders below `root` say, or None."""
    folders = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    above = folders if _is_many(file) else folders[:-1]
    named = {"valid": "validation", "val": "validation"}
    return next((name for folder in above if (name := named.get(folder, folder)) in SPLITS), None)


def files(folder: Path) -> list[Path]:
    """The files of drawings in a folder and all below it, sorted. Hidden ones are left out, and so are tables and JSON
    files of other things.
    """
    known = MANY | PICTURES | PAGES | PACKED
    found = (file for file in folder.rglob("*") if suffix(file) in known and file.is_file())
    seen = (file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return sorted(file for file in seen if suffix(file) not in GENERAL or _begins_drawn(file))


def _is_many(file: Path) -> bool:
    return suffix(file) in MANY or suffix(file).removesuffix(".gz") in MANY


def _begins_drawn(file: Path) -> bool:
    """Whether a file of JSON or a table begins as drawings do; what cannot be opened is for its reader to tell."""
    from visketch.data import files, kaggle

    try:
        head = files.head(file, 1024)
    except (OSError, VisketchError):
        return True
    if "csv" in suffix(file):
        return kaggle.is_it(head)
    text = re.sub(rb"\s", b"", head)
    return text.startswith(b"[[") or any(mark in text for mark in DRAWN)
