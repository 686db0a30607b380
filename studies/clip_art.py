"""Sort clip art by the class that it shows, as training drawings and to test with.

    apt-get download openclipart-svg && dpkg -x openclipart-svg_*.deb .
    python studies/clip_art.py usr/share/openclipart/svg --out clip-art
    visketch data pack clip-art --out clip-art.arrow

A picture shows the class that its title or the name of its file names, alone or after other words ("laughing cat").
`icon_words.json` has the names of classes. This is right for most pictures, not for all. Half of the pictures, chosen
by a hash of the name of the file, are test drawings. What looks like one of these is not trained on.

The result is <out>/<train or test>/<class>/<name>.svg.
"""

import argparse
import hashlib
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import icons
import numpy as np
from jaxtyping import Float

from visketch.config import SketchConfig
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.geometry import sdf

FOLDERS = {"logos", "flags", "signs", "special", "duplicates", "playing_cards"}  # these show no objects
ORNAMENTS = re.compile("gramastar|theme|symbol")  # titles of series of ornaments
TITLE = re.compile(r"<dc:title>\s*([^<]*)")
LINKS = {"of", "with", "and", "in", "on"}  # "the house of a cat" shows no cat
ALIKE = 0.9  # the correlation of two fields from which a training drawing is left out


class Picture(NamedTuple):
    path: Path
    label: str

    @property
    def split(self) -> str:
        digest = hashlib.sha1(self.path.stem.encode(), usedforsecurity=False).hexdigest()
        return "test" if int(digest[0], 16) < 8 else "train"


def label(title: str, stem: str, words: dict[str, str]) -> str | None:
    """The class that a picture's title or the name of its file names, or None."""
    parts = re.sub("[^a-z0-9]+", "-", title.lower()).strip("-0123456789").split("-")
    file = re.sub(r"_\d+$", "", stem).lower().split("_")
    tried = [parts, *(parts[-count:] for count in (2, 1) if not LINKS.intersection(parts[:-count]))]
    tried += [file[:count] for count in (3, 2, 1) if len(file) <= count + 3]
    names = ["-".join(some) for some in tried]
    named = (words.get(name) or words.get(icons.plain(name)) or words.get(name.removesuffix("s")) for name in names)
    return next(filter(None, named), None)


def pictures(root: Path, words: dict[str, str]) -> list[Picture]:
    """The pictures that show a class, each file name once."""
    found: dict[str, Picture] = {}
    for path in sorted(root.rglob("*.svg")):
        if FOLDERS & set(path.parts):
            continue
        title = TITLE.search(path.read_text(errors="replace"))
        named = title[1].strip() if title else ""
        shown = None if ORNAMENTS.search(named.lower()) else label(named, path.stem, words)
        if shown:
            found.setdefault(path.stem, Picture(path, shown))
    return list(found.values())


def look(picture: Picture) -> Float[np.ndarray, " i"] | None:
    """The picture's field at 64 px, normalised. Returns None if the picture cannot be read or shows several things."""
    try:
        (sketch,) = read(picture.path)
        field = sdf.render(sketch, SketchConfig(canvas=64, depth=1)).ravel()
    except (VisketchError, ValueError):
        return None
    field = field - field.mean()
    return field / max(np.linalg.norm(field), 1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip_art", type=Path, help="a folder of SVG files")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = pictures(args.clip_art, icons.class_words())
    with ProcessPoolExecutor() as pool:
        fields = list(pool.map(look, found, chunksize=20))
    seen = [(picture, field) for picture, field in zip(found, fields, strict=True) if field is not None]
    held = np.stack([field for picture, field in seen if picture.split == "test"])
    kept = [one for one, field in seen if one.split == "test" or (held @ field).max() <= ALIKE]
    for picture in kept:
        folder = args.out / picture.split / picture.label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture.path, folder)
    tests = sum(picture.split == "test" for picture in kept)
    print(f"{len(kept):,} pictures show a class: {len(kept) - tests:,} are for training, {tests:,} to test with")


if __name__ == "__main__":
    main()
