"""Fit the probabilities of the photo detector, and measure it on photos that were not used for the fit.

    python bench/detector.py --photos COCO [--write] [--json]

COCO is a folder with `instances.json` and `images/`. The photos are split in halves by the hash of their number. One
half fits the coefficients of `language/detect/photo.py:features` (a logistic regression: is there such an object, with
an overlap of at least 0.5?) and the thresholds for counting. The other half is measured: AP50 over the classes that are
words of *Quick, Draw!*, with one look at the whole photo and with twelve views; the share of pairs of photo and class
that are counted correctly, half of them with the class in the photo; and the duplicate boxes in crowds. `--write`
stores the fit in `detector.toml`.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visketch.evaluate.photo_metrics import Precision, precision
from visketch.language.boxes import overlaps
from visketch.language.detect import photo, ssd
from visketch.language.detect.categories import NARROWER, category
from visketch.language.detect.photo import Detections, Fused, PhotoDetector

SAME, CROWDED = 0.5, 8
WORDS = Path(__file__).parents[1] / "visketch/data/classes.txt"
ASKED = [one.number for word in WORDS.read_text().split("\n") if word not in NARROWER and (one := category(word))]


def fits(image: dict) -> bool:
    """Whether a photo belongs to the half that is used for the fit."""
    return int(hashlib.sha1(str(image["id"]).encode(), usedforsecurity=False).hexdigest()[:8], 16) % 2 == 0


def right(objects: list[dict], image: dict, box: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes, sorted from best to worst, show an object that no better box shows; and which boxes show a crowd.

    Boxes of crowds are left out of the fit.
    """
    hit, crowd = np.zeros(len(box), bool), np.zeros(len(box), bool)
    side = np.array([image["width"], image["height"]] * 2)
    for kind in np.unique(number):
        own = [one for one in objects if one["category_id"] == kind]
        if not own:
            continue
        x, y, wide, high = np.array([one["bbox"] for one in own], float).T
        shared = overlaps(box[number == kind] * side, np.stack([x, y, x + wide, y + high], axis=1))
        many = np.array([bool(one.get("iscrowd")) for one in own])
        free = ~many
        for place, row in zip(np.flatnonzero(number == kind), shared, strict=True):
            best = int(np.where(free, row, -1).argmax())
            hit[place] = free[best] and row[best] >= SAME
            crowd[place] = not hit[place] and bool((row[many] > 0.2).any())
            free[best] &= not hit[place]
    return hit, crowd


def regress(columns: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Logistic regression with a small ridge penalty. Returns the weights of the columns."""
    x, y = torch.tensor(columns), torch.tensor(hit, dtype=torch.float64)
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights, y, reduction="sum")
        value = value + (weights[1:] ** 2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach().numpy()


def chances(found: Fused, weights: np.ndarray) -> Detections:
    """The boxes with their probabilities according to the regression, the most probable first."""
    chance = 1 / (1 + np.exp(-photo.features(found) @ weights))
    order = np.argsort(-chance, kind="stable")
    return Detections(found.box[order], found.category[order], chance[order])


def measured(content: dict, images: list[dict], found: dict[int, Detections]) -> Precision:
    """The average precision of the boxes in these images."""
    ids = {image["id"] for image in images}
    rows = []
    for image in images:
        wide, high = image["width"], image["height"]
        one = found[image["id"]]
        for (x1, y1, x2, y2), number, chance in zip(one.box.tolist(), one.category, one.chance, strict=True):
            box = [x1 * wide, y1 * high, (x2 - x1) * wide, (y2 - y1) * high]
            rows.append({"image_id": image["id"], "category_id": int(number), "bbox": box, "score": float(chance)})
    annotations = [one for one in content["annotations"] if one["image_id"] in ids]
    return precision(content | {"images": images, "annotations": annotations}, rows, ASKED)


def counted(
    objects: dict[int, list[dict]], images: list[dict], found: dict[int, Detections], present: float, count: float
) -> tuple[float, float]:
    """The shares of pairs of class and photo that are counted correctly: pairs with such objects, and pairs without."""
    there, absent = [], []
    for image in images:
        for number in ASKED:
            own = [one for one in objects[image["id"]] if one["category_id"] == number]
            if any(one.get("iscrowd") for one in own):
                continue
            chance = found[image["id"]].of(number).chance
            told = max(int((chance >= count).sum()), int((chance >= present).any()))
            (there if own else absent).append(told == len(own))
    return float(np.mean(there)), float(np.mean(absent))


def crowded(objects: dict[int, list[dict]], images: list[dict], found: dict[int, Detections], least: float) -> dict:
    """Count the boxes in photos with at least CROWDED objects of a class.

    Returns the number of right boxes, of duplicates (a better box shows the object already) and of wrong boxes, and the
    number of objects.
    """
    sums = dict.fromkeys(("objects", "right", "duplicates", "wrong"), 0)
    for image in images:
        for number in ASKED:
            own = [one for one in objects[image["id"]] if one["category_id"] == number and not one.get("iscrowd")]
            if len(own) < CROWDED:
                continue
            boxes = found[image["id"]].of(number)
            boxes = boxes[boxes.chance >= least]
            hit, _ = right(own, image, boxes.box, boxes.category)
            x, y, wide, high = np.array([one["bbox"] for one in own], float).T
            sides = np.array([image["width"], image["height"]] * 2)
            near = overlaps(boxes.box * sides, np.stack([x, y, x + wide, y + high], axis=1)).max(axis=1, initial=0)
            twice = ~hit & (near >= SAME)
            sums["objects"] += len(own)
            sums["right"] += int(hit.sum())
            sums["duplicates"] += int(twice.sum())
            sums["wrong"] += int((~hit & ~twice).sum())
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    content = json.loads((given.photos / "instances.json").read_text())
    images, objects = content["images"], {image["id"]: [] for image in content["images"]}
    for one in content["annotations"]:
        objects[one["image_id"]].append(one)
    detector, fused, whole = PhotoDetector(), {}, {}
    for image in images:
        with Image.open(given.photos / "images" / image["file_name"]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        looks = detector.looks(pixels)
        fused[image["id"]] = photo.fuse(looks, photo.windows(*pixels.shape[:2]))
        whole[image["id"]] = Detections(*looks[0])
    own, rest = ([image for image in images if fits(image) is half] for half in (True, False))
    columns, hits = [], []
    for image in own:
        one = fused[image["id"]]
        hit, crowd = right(objects[image["id"]], image, one.box, one.category)
        columns.append(photo.features(one)[~crowd])
        hits.append(hit[~crowd])
    weights = regress(np.concatenate(columns), np.concatenate(hits)).round(3)
    judged = {number: chances(one, weights) for number, one in fused.items()}
    plain = {number: Detections(one.box, one.category, one.mean()) for number, one in fused.items()}
    settings = detector.settings
    table = {"photos": len(rest), "coefficients": weights.tolist()}
    for name, found, present, count in (
        ("one look", whole, *thresholds(objects, own, whole)),
        ("twelve, fused", plain, *thresholds(objects, own, plain)),
        ("twelve, as chances", judged, settings["present_from"], settings["count_from"]),
    ):
        there, absent = counted(objects, rest, found, present, count)
        table[name] = vars(measured(content, rest, found)) | {
            "present_from": present,
            "count_from": count,
            "counted, there": there,
            "counted, absent": absent,
            "counted": (there + absent) / 2,
            "crowds": crowded(objects, images, found, count),
        }
    print(json.dumps(table, indent=None if given.json else 1))
    if given.write:
        file = ssd.folder() / ssd.FILE
        lines = [line for line in file.read_text().split("\n") if not line.startswith("coefficients")]
        lines.insert(lines.index("# of the regression") + 1, f"coefficients = {weights.tolist()}")
        file.write_text("\n".join(lines))


def thresholds(objects: dict, images: list[dict], found: dict[int, Detections]) -> tuple[float, float]:
    """The thresholds with the most correct counts: for one object to be present, and for each further one to count."""
    tried = [(a, b) for a in (0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3) for b in (0.3, 0.4, 0.5, 0.6) if a <= b]
    return max(tried, key=lambda pair: sum(counted(objects, images, found, *pair)))


if __name__ == "__main__":
    main()
