"""Photos with their objects in COCO's format: `instances.json` and a folder of images.

Source: cocodataset.org, "Data format", object detection. Boxes are x, y, width, height and outlines lists of polygons;
regions of many objects (`iscrowd`) have a box alone here. Categories that *Quick, Draw!* calls otherwise get its word.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from visketch.data.photos import Photo, PhotoObject
from visketch.errors import VisketchError

# COCO's word: the same thing's in Quick, Draw!
SAME = {
    "dining table": "table",
    "handbag": "purse",
    "motorcycle": "motorbike",
    "potted plant": "house plant",
    "tennis racket": "tennis racquet",
    "tv": "television",
}


def read(annotations: Path, images: Path, problem: Callable[[VisketchError], None]) -> list[Photo]:
    """The annotated photos, in the order of the file; those without an object are left out.

    `problem` gets what is wrong with a photo or an object, which is then left out.
    Raises VisketchError if the file is not in COCO's format or none of its photos is there.
    """
    try:
        content = json.loads(Path(annotations).read_bytes())
        names = {category["id"]: category["name"] for category in content["categories"]}
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        listed = [(item["image_id"], item) for item in content["annotations"]]
    except OSError as error:
        raise VisketchError(f"{annotations}: {error.strerror or 'cannot be read'}, check the name") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VisketchError(f"{annotations}: not in COCO's format (instances), give an instances.json") from error
    objects = defaultdict(list)
    for image, item in listed:
        try:
            objects[image].append(_object(item, names))
        except (KeyError, TypeError, ValueError):
            problem(VisketchError(f"{annotations}: object {item.get('id')} has no box or category, it is left out"))
    found = []
    for image, name in files.items():
        path = Path(images) / name
        if not path.is_file():
            problem(VisketchError(f"{path}: no such photo, though {Path(annotations).name} names it"))
        elif objects[image]:
            found.append(Photo(path, tuple(objects[image])))
    if not found:
        raise VisketchError(f"{images}: none of the photos that {annotations} names; give the folder they are in")
    return found


def _object(item: dict, names: dict) -> PhotoObject:
    x, y, wide, high = (float(place) for place in item["bbox"])
    name = names[item["category_id"]]
    crowd = bool(item.get("iscrowd"))
    outline = item.get("segmentation")
    polygons = () if crowd or not isinstance(outline, list) else tuple(_polygon(flat) for flat in outline)
    return PhotoObject(SAME.get(name, name), (x, y, x + wide, y + high), polygons, crowd)


def _polygon(flat: list[float]) -> np.ndarray:
    return np.array(flat, np.float32).reshape(-1, 2)
