"""Photos with annotated objects in COCO's format: `instances.json` and a folder of images.

Source: cocodataset.org, "Data format", object detection. A box is x, y, width, height, and an outline is a list of
polygons. Regions of many objects (`iscrowd`) have only a box here. Categories that have another name in *Quick, Draw!*
get that name.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from visketch.data.photos import Photo, PhotoObject
from visketch.errors import VisketchError, reason

# COCO's name → the name in Quick, Draw!
WORDS = {
    "dining table": "table",
    "handbag": "purse",
    "motorcycle": "motorbike",
    "potted plant": "house plant",
    "remote": "remote control",
    "teddy bear": "teddy-bear",
    "tennis racket": "tennis racquet",
    "tv": "television",
}


def read(annotations: Path, images: Path, problem: Callable[[VisketchError], None]) -> list[Photo]:
    """The annotated photos, in the order of the file. Photos without objects are left out.

    `problem` receives an error for each photo or object that is left out because something is wrong with it. Raises
    VisketchError if the file is not in COCO's format, or if none of its photos exists.
    """
    try:
        content = json.loads(Path(annotations).read_bytes())
        names = {category["id"]: category["name"] for category in content["categories"]}
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        listed = [(item["image_id"], item) for item in content["annotations"]]
    except OSError as error:
        raise VisketchError(f"{annotations}: {reason(error)}; check the name") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VisketchError(f"{annotations}: not in COCO's format; give an instances.json") from error
    objects = defaultdict(list)
    for image, item in listed:
        try:
            objects[image].append(_object(item, names))
        except (KeyError, TypeError, ValueError):
            problem(VisketchError(f"{annotations}: object {item.get('id')} has no box or category and is left out"))
    found = []
    for image, name in files.items():
        path = Path(images) / name
        if not path.is_file():
            problem(VisketchError(f"{path}: {Path(annotations).name} lists this photo, but it does not exist"))
        elif objects[image]:
            found.append(Photo(path, tuple(objects[image])))
    if not found:
        raise VisketchError(f"{images}: has none of the photos in {annotations}; give their folder")
    return found


def _object(item: dict, names: dict) -> PhotoObject:
    x, y, wide, high = (float(place) for place in item["bbox"])
    name = names[item["category_id"]]
    crowd = bool(item.get("iscrowd"))
    outline = item.get("segmentation")
    polygons = () if crowd or not isinstance(outline, list) else tuple(_polygon(flat) for flat in outline)
    return PhotoObject(WORDS.get(name, name), (x, y, x + wide, y + high), polygons, crowd)


def _polygon(flat: list[float]) -> np.ndarray:
    return np.array(flat, np.float32).reshape(-1, 2)
