"""Labels, splits and names of drawings, from the names of files and folders.

<class>/<picture>                a picture's class is its folder
<class>.ndjson .bin .npy .npz    a file of many drawings is its class
train/ validation/ test/         above either, they are the split
"""

import re
from pathlib import Path

SPLITS = ("train", "validation", "test")
MANY = {".ndjson", ".bin", ".npy", ".npz"}
PICTURES = {".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"}
# What Google's storage adds to a class's name when a file is downloaded by hand.
ADDED = re.compile(r"^(full_(simplified|raw|binary|numpy_bitmap)_|sketchrnn_)|\.full$")


def label(file: Path) -> str:
    """The class that the file's place stands for."""
    return ADDED.sub("", file.stem) if file.suffix.lower() in MANY else file.absolute().parent.name


def split(file: Path, root: Path) -> str | None:
    """The split that the folders below `root` say, or None."""
    folders = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    above = folders if file.suffix.lower() in MANY else folders[:-1]
    named = {"valid": "validation", "val": "validation"}
    return next((name for folder in above if (name := named.get(folder, folder)) in SPLITS), None)


def files(folder: Path) -> list[Path]:
    """The files of drawings in a folder and all below it, sorted; hidden ones are left out."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in MANY | PICTURES and file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))
