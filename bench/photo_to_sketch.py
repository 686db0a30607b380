"""Measure how many photo objects are converted to sketches a second, on one core:

    python bench/photo_to_sketch.py --coco instances.json

Prints the rate of all steps together (read, cut out, edges, strokes at three levels of detail), and the share of each.
"""

import argparse
import time
from pathlib import Path

from visketch.data import coco, photos
from visketch.language.dataset import photo_to_sketch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coco", type=Path, help="instances.json, its photos in images/ beside it")
    parser.add_argument("--photos", type=Path, help="a folder of folders of photos (GrabCut)")
    parser.add_argument("--limit", type=int, default=300, help="photos at most")
    given = parser.parse_args()
    photo_to_sketch.opencv().setNumThreads(1)
    if given.coco:
        report("polygons", coco.read(given.coco, given.coco.parent / "images", print)[: given.limit])
    if given.photos:
        report("GrabCut", photos.read(given.photos, print)[:: max(1, 1697 // given.limit)][: given.limit])


def report(name: str, found: list[photos.Photo]) -> None:
    spent = dict.fromkeys(("read", "cut", "edges", "strokes"), 0.0)
    objects = 0

    def took(step: str, since: float) -> float:
        now = time.process_time()
        spent[step] += now - since
        return now

    for photo in found:
        start = time.process_time()
        pixels = photo.pixels()
        took("read", start)
        for item in photo.objects:
            start = time.process_time()
            cutout = None if item.crowd else photo_to_sketch.cut(pixels, item)
            start = took("cut", start)
            if cutout is None:
                continue
            photo_to_sketch.edges(cutout)
            start = took("edges", start)
            photo_to_sketch.sketch(cutout)
            took("strokes", start)
            objects += 1
    total = sum(spent.values()) - spent["edges"]  # `sketch` includes the edges
    shares = ", ".join(f"{step} {1000 * seconds / objects:.1f} ms" for step, seconds in spent.items())
    print(f"{name}: {objects} objects, {objects / total:.0f} a second of one core ({shares})")


if __name__ == "__main__":
    main()
