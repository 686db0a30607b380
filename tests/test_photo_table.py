"""`visketch evaluate language --photos`: photos in COCO's format, with drawings as questions."""

import json
from pathlib import Path

import drawings
import pytest
import street
from command_line import one_line, visketch
from PIL import Image

pytest.importorskip("pycocotools")

from visketch.evaluate.photo_metrics import Precision, precision
from visketch.language.detect.categories import NUMBERS

NAMES = {"stop sign": street.stop_sign, "clock": street.clock}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streets and a plain sky in COCO's format, and drawings as queries."""
    home = tmp_path_factory.mktemp("photos")
    (home / "coco/images").mkdir(parents=True)
    images, annotations = [], []
    for number in (1, 2, 3):
        picture = street.street(number) if number < 3 else Image.new("RGB", (640, 480), (90, 140, 200))
        picture.save(home / f"coco/images/{number}.jpg", quality=92)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480})
        for name, boxes in street.BOXES.items() if number < 3 else ():
            for x1, y1, x2, y2 in boxes:
                box = [x1, y1, x2 - x1, y2 - y1]
                annotations.append({"image_id": number, "category_id": NUMBERS[name], "bbox": box})
    categories = [{"id": number, "name": name} for name, number in NUMBERS.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (home / "coco/instances.json").write_text(json.dumps(content))
    for name, strokes in NAMES.items():
        place = home / "drawings/test" / name
        place.mkdir(parents=True)
        for number in range(2):
            street.picture_of(strokes(), 200 + 40 * number).save(place / f"{number}.png")
    other = home / "drawings/train/house"
    other.mkdir(parents=True)
    street.picture_of(drawings.house()).save(other / "1.png")
    packed = visketch("data", "pack", home / "drawings", "--out", home / "packed.arrow")
    assert packed.exit_code == 0, packed.output
    return home


def test_the_table(folder: Path) -> None:
    words = "evaluate", "language", "--photos", folder / "coco", "--sketches", folder / "packed.arrow"
    told = visketch(*words, "--json", "--each", 1)
    assert told.exit_code == 0, told.output
    table = json.loads(told.stdout)
    assert (table["photos"], table["words"], table["sketches"], table["refused"]) == (3, 2, 2, 0)
    told_word = table["boxes"]["detector, told the word"]
    assert told_word["ap50"] == pytest.approx(1)
    assert told_word["large"] > 0.7
    assert told_word["small"] is None, "no object is so small"
    assert table["boxes"]["detector"]["ap50"] > 0.9
    assert table["counting"]["detector, told the word"]["rows"] == 6  # four with the object there, two without
    assert table["present"]["detector, told the word"]["right"] == 1
    assert table["retrieval"]["detector, told the word"]["mean_average_precision"] == 1
    assert set(table["counting"]) == {"detector", "detector, told the word", "matcher", "language"}


def test_the_table_for_people(folder: Path) -> None:
    words = "evaluate", "language", "--photos", folder / "coco", "--sketches", folder / "packed.arrow"
    told = visketch(*words, "--limit", 2)
    assert told.exit_code == 0, told.output
    for title in ("AP50", "Counted right", "Closed questions", "Retrieval", "detector has probably seen"):
        assert title in told.stdout


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    words = "evaluate", "language", "--sketches", folder / "packed.arrow", "--photos"
    one_line(visketch("evaluate", "language", "--photos", folder / "coco"), 2, "--sketches")
    one_line(visketch(*words, tmp_path), 1, "neither instances.json")
    (tmp_path / "images").mkdir()
    (tmp_path / "instances.json").write_text("{}")
    one_line(visketch(*words, tmp_path), 1, "not in COCO's format")
    (tmp_path / "instances.json").write_text((folder / "coco/instances.json").read_text())
    one_line(visketch(*words, tmp_path), 1, "1.jpg: instances.json lists this photo, but it does not exist")


def test_precision_is_one_for_the_truth_and_falls_with_every_false_box() -> None:
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}],
        "annotations": [{"image_id": 1, "category_id": 16, "bbox": [10, 10, 20, 20]}],
        "categories": [{"id": 16, "name": "bird"}],
    }
    right = {"image_id": 1, "category_id": 16, "bbox": [10, 10, 20, 20], "score": 0.5}
    wrong = right | {"bbox": [60, 60, 20, 20], "score": 0.9}
    assert precision(content, [right], [16]).ap50 == pytest.approx(1)
    assert precision(content, [wrong, right], [16]).ap50 == pytest.approx(0.5)
    assert precision(content, [wrong, right], [16]).small == pytest.approx(0.5)
    assert precision(content, [], [16]) == Precision(0.0, 0.0, 0.0, None, None), "only sizes that do not exist are None"
    assert precision(content, [], [17]) == Precision(0.0, 0.0, None, None, None)
    with_crowd = content | {"annotations": [content["annotations"][0] | {"iscrowd": 1}]}
    assert precision(with_crowd, [], [16]).small is None


def test_the_mean_leaves_out_what_was_not_measured() -> None:
    some = [Precision(0.2, 0.4, 0.5, None, None), Precision(0.4, 0.6, 0.0, None, 0.25)]
    assert vars(Precision.mean(some)) == pytest.approx(vars(Precision(0.3, 0.5, 0.25, None, 0.25)))
