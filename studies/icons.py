"""Collect the icons of Iconify's sets that show one of the 345 classes, as training drawings and to test with.

    npm install @iconify/json
    python studies/icons.py node_modules/@iconify/json --out icons
    visketch data pack icons/train --out icons.arrow

`icon_words.json` has the names of icons that show a class. It was made by hand. Names of styles and sizes are removed
from the name of an icon first (`cat-outline-24`). Sets of logos are left out, and so are sets whose licence is not
permissive. The sets HELD are never trained on. What looks like one of their icons is not trained on either, since many
sets were copied from others, and neither is what looks like another icon of its class.

The result is <out>/train/<class>/<set>--<name>.svg and <out>/held/<set>/<class>/<name>.svg.
"""

import argparse
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import resvg_py
from jaxtyping import Float
from PIL import Image

WORDS = Path(__file__).with_name("icon_words.json")
HELD = (
    *("tabler", "mdi", "openmoji", "emojione-v1", "entypo", "typcn", "si-glyph"),
    *("streamline-freehand", "streamline-freehand-color"),
)
LOGOS = {"Logos", "Programming"}  # what Iconify calls these sets of other kinds
FLAGS = {"flag", "circle-flags", "flagpack", "cif", "ginetex", "academicons", "bpmn", "token", "bitcoin-icons", "wi"}
CLOSED = re.compile("NC|GPL|SA")  # what a licence has in its name if it is not permissive
STYLES = set(
    "outline outlined filled fill solid line linear lined stroke bold bulk broken duotone duo twotone two tone thin "
    "light lite regular medium semibold rounded round sharp curved fade variant color colour flat glyph pixel mini alt "
    "icon icons emoji remix baseline free rtl ltr 1x o s l f sm lg w100 w200 w300 w400 w500 w600 w700 01 02 03 04 05 "
    "06 07 08 09 10 12 16 18 20 24 28 32 48 dt".split()
)
PREFIXES = set("emoji outline baseline round sharp twotone ios md ui fluent bxs bx svg fa filled".split())
HELD_ALIKE, ALIKE = 0.93, 0.985  # the correlation of two icons from which one is left out
SIDE = 24  # pixels of the pictures that are compared


class Icon(NamedTuple):
    """An icon, with its class."""

    group: str  # its set
    name: str
    label: str
    svg: str


def icons(root: Path, words: dict[str, str]) -> Iterator[Icon]:
    """The icons that show a class. `words` maps names to classes, and `root` is the folder of @iconify/json."""
    for group, about in json.loads((root / "collections.json").read_text()).items():
        closed = CLOSED.search(about["license"].get("spdx", "")) and group not in HELD
        if closed or about.get("category") in LOGOS or group in FLAGS:
            continue
        found = json.loads((root / "json" / f"{group}.json").read_text())
        for name, icon in found["icons"].items():
            label = words.get(name) or words.get(plain(name))
            moves = "animate" in icon["body"]  # then it is blank at first
            if label and not (icon.get("hidden") or moves or "<text" in icon["body"]):
                yield Icon(group, name, label, svg(icon, found))


def plain(name: str) -> str:
    """The name of an icon without its style and size."""
    parts = name.split("-")
    while len(parts) > 1 and parts[-1] in STYLES:
        parts.pop()
    while len(parts) > 1 and parts[0] in PREFIXES:
        parts.pop(0)
    return "-".join(parts)


def svg(icon: dict, group: dict) -> str:
    box = [icon.get(side, group.get(side, default)) for side, default in zip(("left", "top"), (0, 0), strict=True)]
    size = [icon.get(side, group.get(side, 16)) for side in ("width", "height")]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{" ".join(map(str, box + size))}" width="{size[0]}" height="{size[1]}">{icon["body"]}</svg>'
    ).replace("currentColor", "black")


def look(icon: Icon) -> Float[np.ndarray, " i"] | None:
    """A small picture of an icon, cut to its ink and normalised. Returns None if the icon is blank."""
    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=icon.svg, width=4 * SIDE, background="white"))
    except ValueError:
        return None
    ink = 255 - np.asarray(Image.open(io.BytesIO(png)).convert("L"), np.float32)
    rows, columns = np.nonzero(ink > max(ink.max() / 4, 2))
    if not len(rows):
        return None
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(np.uint8)
    small = np.asarray(Image.fromarray(cut).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    small -= small.mean()
    length = np.linalg.norm(small)
    return small / length if length else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("iconify", type=Path, help="the folder of @iconify/json")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    words = {word: label for label, some in json.loads(WORDS.read_text()).items() for word in some}
    found = list(icons(args.iconify, words))
    with ProcessPoolExecutor() as pool:
        seen = list(pool.map(look, found, chunksize=200))
    pairs = [(icon, small) for icon, small in zip(found, seen, strict=True) if small is not None]
    held = np.stack([small for icon, small in pairs if icon.group in HELD])
    taken: dict[str, list[np.ndarray]] = {}
    count: Counter[str] = Counter()
    for icon, small in pairs:
        if icon.group in HELD:
            path = args.out / "held" / icon.group / icon.label / f"{icon.name}.svg"
        else:
            others = taken.setdefault(icon.label, [])
            if (held @ small).max() > HELD_ALIKE or (others and (np.stack(others) @ small).max() > ALIKE):
                count["left out"] += 1
                continue
            others.append(small)
            path = args.out / "train" / icon.label / f"{icon.group}--{icon.name}.svg"
        count["held" if icon.group in HELD else "train"] += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(icon.svg)
    print(json.dumps(count))


if __name__ == "__main__":
    main()
