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
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import zip_longest
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
STYLE = re.compile(
    r"outlined?|filled|fill|solid|line|linear|lined|stroke|bold|bulk|broken|duo|duotone|two|twotone|tone|thin|light|lite|"
    r"regular|medium|semibold|rounded|round|sharp|curved|fade|variant|colou?r|flat|glyph|pixel|mini|alt|icons?|emoji|"
    r"remix|baseline|free|rtl|ltr|1x|[oslf]|sm|lg|w[1-7]00|0[1-9]|10|12|16|18|20|24|28|32|48|dt"
)
PREFIX = re.compile(r"emoji|outline|baseline|round|sharp|twotone|ios|md|ui|fluent|bxs|bx|svg|fa|filled")
HELD_ALIKE, ALIKE = 0.93, 0.985  # the correlation of two icons from which one is left out
SIDE = 24  # pixels of the pictures that are compared


class Icon(NamedTuple):
    """An icon, with its class."""

    group: str  # its set
    name: str
    label: str
    svg: str


def class_words() -> dict[str, str]:
    """The names of `icon_words.json`, and the class that each of them stands for."""
    return {word: label for label, some in json.loads(WORDS.read_text()).items() for word in some}


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
    while len(parts) > 1 and STYLE.fullmatch(parts[-1]):
        parts.pop()
    while len(parts) > 1 and PREFIX.fullmatch(parts[0]):
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


def in_turn(icons: Sequence[Icon], limit: int) -> list[Icon]:
    """At most `limit` icons, from all sets in turn."""
    groups: dict[str, list[Icon]] = {}
    for icon in icons:
        groups.setdefault(icon.group, []).append(icon)
    rounds = zip_longest(*groups.values())
    return [icon for some in rounds for icon in some if icon][:limit]


def write(icon: Icon, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(icon.svg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("iconify", type=Path, help="the folder of @iconify/json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64, help="at most this many training icons of a class")
    args = parser.parse_args()
    found = list(icons(args.iconify, class_words()))
    with ProcessPoolExecutor() as pool:
        looks = list(pool.map(look, found, chunksize=200))
    seen = [(icon, small) for icon, small in zip(found, looks, strict=True) if small is not None]
    held = np.stack([small for icon, small in seen if icon.group in HELD])
    kept: dict[str, list[Icon]] = {}
    compared: dict[str, list[np.ndarray]] = {}
    for icon, small in seen:
        others = compared.setdefault(icon.label, [])
        alike = (held @ small).max() > HELD_ALIKE or (others and (np.stack(others) @ small).max() > ALIKE)
        if icon.group not in HELD and not alike:
            others.append(small)
            kept.setdefault(icon.label, []).append(icon)
    held_out = [icon for icon, _ in seen if icon.group in HELD]
    training = [icon for some in kept.values() for icon in in_turn(some, args.limit)]
    for icon in held_out:
        write(icon, args.out / "held" / icon.group / icon.label / f"{icon.name}.svg")
    for icon in training:
        write(icon, args.out / "train" / icon.label / f"{icon.group}--{icon.name}.svg")
    print(f"{len(found):,} icons show a class: {len(held_out):,} are held out, and {len(training):,} are for training")


if __name__ == "__main__":
    main()
