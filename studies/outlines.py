"""Draw the objects of photos as outlines with their inner edges, as training drawings and to test with.

    python studies/outlines.py --coco coco/instances.json --photos caltech101 --out outlines
    visketch data pack outlines --out outlines.arrow

COCO's photos are in `images` beside its file. `--photos` is a folder whose subfolders are named by class. Only objects
of the 345 classes are drawn: with all lines, and with the outline and the longest inner lines. The photos of the test
split of `visketch language prepare` become test drawings.

The result is <out>/<train or test>/<class>/<photo>-<object>-<level>.svg.
"""

import argparse
from pathlib import Path

from visketch.data import coco, photos, write
from visketch.data.fetch import classes
from visketch.language.dataset.photo_to_sketch import MARGIN, SIDE, cut, sketch

LEVELS = (1, 2)  # the outline alone shows too little of most objects
PAGE = SIDE + 2 * MARGIN


def outlines(photo: photos.Photo, labels: list[str]) -> dict[str, str]:
    """The objects of a photo as SVG, by the end of their path."""
    made = {}
    wanted = [item for item in photo.objects if item.label in labels and not item.crowd]
    pixels = photo.pixels() if wanted else None
    for number, item in enumerate(wanted):
        assert pixels is not None
        cutout = cut(pixels, item)
        levels = sketch(cutout) if cutout else {}
        for level in LEVELS:
            if levels.get(level):
                text = write.svg([(levels[level], 1.5)], PAGE, PAGE, {"class": item.label})
                made[f"{item.label}/{photo.path.stem}-{number}-{level}.svg"] = text
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coco", type=Path, help="instances.json")
    parser.add_argument("--photos", type=Path, help="a folder of folders of photos")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found: list[photos.Photo] = []
    if args.coco:
        found += coco.read(args.coco, args.coco.parent / "images", print)
    if args.photos:
        found += photos.read(args.photos, print)
    counts = {"train": 0, "test": 0}
    labels = classes()
    for photo in found:
        split = "test" if photo.split == "test" else "train"
        for end, text in outlines(photo, labels).items():
            path = args.out / split / end
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            counts[split] += 1
    print(f"{counts['train']:,} outlines for training, and {counts['test']:,} to test with")


if __name__ == "__main__":
    main()
