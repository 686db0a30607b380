"""Measure sketches combined with words ("the red one like this"): scenes in coloured pens, asked by sketch and colour.

    python studies/which.py --data packed.arrow [--scenes 200] [--save PICTURE] [--json]

Each scene has two to five test drawings, each in its own colour, and at least two of them belong to the class in
question. An answer is right if it consists of the intended drawing alone (intersection over union at least 0.5).
"boxes given" measures the words alone. "without words" shows how often a random choice among the answers to the sketch
alone would be right.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visketch.data.store import Store
from visketch.language.answers import Detection
from visketch.language.attributes import Filter, only
from visketch.language.boxes import overlaps
from visketch.language.dataset.prepare import SEEN
from visketch.language.dataset.sketch_scenes import SketchScenes
from visketch.language.model import SketchLanguage

SIDE = 384
PENS = {
    "black": (25, 25, 30),
    "red": (214, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (235, 205, 20),
    "green": (40, 150, 70),
    "blue": (40, 90, 200),
    "purple": (130, 50, 160),
    "pink": (245, 110, 170),
    "brown": (120, 75, 40),
    "grey": (130, 130, 130),
}


def coloured(
    source: SketchScenes, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[str, str, Detection]], str]:
    """A scene: its picture (rows columns 3), its objects (class, colour, box), and the sketch to ask with."""
    label, *others = (str(one) for one in rng.choice(sorted(source.labels("test")), 4, replace=False))
    labels = [label, label, *[str(rng.choice([label, *others])) for _ in range(rng.integers(0, 4))]]
    scene = source.scene(labels, "test", rng)
    pens = rng.permutation([*PENS])[: len(labels)].tolist()
    page = np.full((SIDE, SIDE, 3), 255.0)
    for thing, pen in zip(scene.things, pens, strict=True):
        x1, y1, x2, y2 = (round(place * SIDE) for place in thing.box)
        part = slice(max(0, y1 - 1), y2 + 1), slice(max(0, x1 - 1), x2 + 1)
        ink = 1 - scene.pixels[part][..., None] / 255
        page[part] = np.minimum(page[part], 255 + ink * (np.array(PENS[pen]) - 255))
    things = [(one.label, pen, Detection(one.label, one.box, 1.0)) for one, pen in zip(scene.things, pens, strict=True)]
    free = [key for key in source.sources(label, "test") if key not in scene.used]
    return page.astype(np.uint8), things, str(rng.choice(free))


def same(found: list[Detection], wanted: list[Detection]) -> bool:
    boxes = [np.array([one.box for one in some]).reshape(-1, 4) for some in (found, wanted)]
    return len(found) == len(wanted) and bool((overlaps(*boxes).max(axis=0) >= 0.5).all())


def main() -> None:
    parser = argparse.ArgumentParser(description="A sketch and a colour: is the right one found?")
    parser.add_argument("--data", required=True, help="a packed data set; its test split is used")
    parser.add_argument("--scenes", type=int, default=200, help="at least nine (200)")
    parser.add_argument("--save", type=Path, help="write nine of the scenes as one picture")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.scenes < 9:
        parser.error("--scenes: at least nine")
    torch.set_num_threads(1)
    source, model = SketchScenes(Store(options.data), SEEN, SIDE), SketchLanguage.load()
    rng, right, pages = np.random.default_rng(0), {"boxes given": [], "sketch and words": [], "without words": []}, []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.scenes):
            page, things, key = coloured(source, rng)
            label, pen, meant = things[0]
            picture, drawing = Path(folder, "scene.png"), Path(folder, "sketch.png")
            Image.fromarray(page).save(picture)
            Image.fromarray(source.query(key, label, "test", rng).pixels).save(drawing)
            scene, which = model.scene(picture), Filter.told(pen)
            own = [thing for other, _, thing in things if other == label]
            right["boxes given"].append(same(which.of(own, scene.picture), [meant]))
            (answer,) = model.find([(model.sketch(drawing), scene)])
            right["sketch and words"].append(same([*only(answer, scene.picture, which).found], [meant]))
            one = sum(same([found], [meant]) for found in answer.found)
            right["without words"].append(one / max(1, len(answer.found)))
            pages.append(page)
    rates = {name: round(float(np.mean(some)), 3) for name, some in right.items()}
    if options.save:
        rows = [np.concatenate(pages[first : first + 3], axis=1) for first in range(0, 9, 3)]
        Image.fromarray(np.concatenate(rows)).save(options.save)
    if options.json:
        print(json.dumps({"scenes": options.scenes, **rates}))
        return
    for name, rate in rates.items():
        print(f"{name:18} {100 * rate:5.1f} %")


if __name__ == "__main__":
    main()
