"""Scenes, instructions, outlines of photo objects, and the data set that is written from them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import one_line, visketch
from drawings import draw_many
from PIL import Image, ImageDraw

from visketch.data import coco, photos
from visketch.data.fetch import classes
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.language.dataset import instructions, photo_to_sketch
from visketch.language.dataset.instructions import whereabouts
from visketch.language.dataset.photo_scenes import Annotated, Objects, Outlines, style_of
from visketch.language.dataset.prepare import DatasetPlan, prepare
from visketch.language.dataset.scenes import Styles, Thing, choose, counted, place
from visketch.language.dataset.sketch_scenes import SketchScenes

SEEN, UNSEEN = ("cat", "house", "star", "fish"), ("flower", "spiral")
SPLITS = ("train", "validation", "test")
COLOURS = {"ball": (200, 40, 40), "brick": (40, 60, 200), "kite": (20, 150, 60)}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawings of each class and split, packed."""
    folder = tmp_path_factory.mktemp("packed")
    from visketch.data import write

    for number, split in enumerate(SPLITS):
        for sketch in draw_many(8 * len(SEEN + UNSEEN), seed=number + 1, labels=SEEN + UNSEEN):
            place = folder / "drawings" / split / f"{sketch.label}.ndjson"
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a") as file:
                file.write(write.ndjson(sketch.strokes or (), sketch.label))
    out = folder / "drawings.arrow"
    assert visketch("data", "pack", folder / "drawings", "--out", out).exit_code == 0
    return out


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of coloured shapes on noise, in COCO's format and in folders by class."""
    folder = tmp_path_factory.mktemp("photographed")
    rng = np.random.default_rng(0)
    images, objects = [], []
    for number in range(40):
        picture = Image.fromarray(rng.integers(90, 140, (160, 240, 3), np.uint8))
        brush = ImageDraw.Draw(picture)
        for column, label in enumerate(rng.permutation([*COLOURS])[: 1 + number % 3].tolist()):
            x, y, side = 10 + 75 * column, 20 + int(rng.integers(0, 60)), 56
            corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
            if label == "kite":
                half = side // 2
                corners = [(x + half, y), (x + side, y + half), (x + half, y + side), (x, y + half)]
            brush.polygon(corners, COLOURS[label], (0, 0, 0))
            flat = [float(place) for corner in corners for place in corner]
            box = [x, y, side, side]
            kind = [*COLOURS].index(label) + 1
            objects.append({"id": len(objects), "image_id": number, "category_id": kind, "bbox": box, "iscrowd": 0})
            objects[-1]["segmentation"] = [flat]
            if column == 0:
                single = folder / "classes" / label / f"{number}.png"
                single.parent.mkdir(parents=True, exist_ok=True)
                picture.crop((x - 8, y - 8, x + side + 9, y + side + 9)).save(single)
        (folder / "images").mkdir(exist_ok=True)
        picture.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(COLOURS)]
    content = {"images": images, "annotations": objects, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def written(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    drawings = SketchScenes(Store(packed), SEEN + UNSEEN)
    out = tmp_path_factory.mktemp("written") / "data"
    plan = DatasetPlan(SEEN, UNSEEN, train=12, validation=4, test=8, most=4)
    prepare({"drawings": drawings}, Styles({"human": drawings}), out, plan, formats=("jsonl", "llava"))
    return out


def rows(folder: Path, split: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def answer(row: dict) -> str:
    return row["completion"][0]["content"][0]["text"]


class TestScenes:
    @pytest.mark.parametrize("count", range(1, 9))
    def test_objects_keep_their_shapes_and_do_not_overlap(self, count: int) -> None:
        rng = np.random.default_rng(count)
        shapes = rng.uniform(0.1, 1, (count, 2))
        boxes = place(shapes, rng)
        sizes = boxes[:, 2:] - boxes[:, :2]
        np.testing.assert_allclose(sizes[:, 0] / sizes[:, 1], shapes[:, 0] / shapes[:, 1])
        assert boxes.min() >= 0
        assert boxes.max() <= 1
        for one in range(count):
            for other in range(one):
                apart = (boxes[one, :2] >= boxes[other, 2:]) | (boxes[other, :2] >= boxes[one, 2:])
                assert apart.any()

    def test_the_first_object_is_of_the_classes_asked_for(self) -> None:
        rng = np.random.default_rng(0)
        assert {choose(3, ["a", "b", "c"], rng, ["c"])[0] for _ in range(20)} == {"c"}

    def test_boxes_hold_all_the_ink_and_no_more(self, packed: Path) -> None:
        drawings = SketchScenes(Store(packed), SEEN, canvas=256)
        scene = drawings.scene(["cat", "star", "star"], "test", np.random.default_rng(1))
        left = scene.pixels < 128
        for thing in scene.things:
            x1, y1, x2, y2 = (round(place * 256) for place in thing.box)
            ink = np.argwhere(left[y1:y2, x1:x2])
            assert np.abs(ink.min(axis=0)).max() <= 2
            assert np.abs(ink.max(axis=0) - (y2 - y1 - 1, x2 - x1 - 1)).max() <= 2
            left[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = False
        assert not left.any()

    def test_no_sketch_of_what_is_in_the_scene(self, packed: Path) -> None:
        drawings = SketchScenes(Store(packed), SEEN)
        styles, rng = Styles({"human": drawings}), np.random.default_rng(0)
        own = frozenset(list(drawings.sources("cat", "test"))[1:])
        assert {styles.query("cat", "test", rng, own).source for _ in range(5)} == {drawings.sources("cat", "test")[0]}
        with pytest.raises(VisketchError, match="too few test sketches of 'cat'"):
            styles.query("cat", "test", rng, frozenset(drawings.sources("cat", "test")))

    def test_styles_held_out_are_for_tests_alone(self, packed: Path) -> None:
        drawings = SketchScenes(Store(packed), SEEN)
        other = SketchScenes(Store(packed), SEEN, style="other")
        styles, rng = Styles({"human": drawings, "other": other}, ["other"]), np.random.default_rng(0)
        asked = {split: {styles.query("cat", split, rng, frozenset()).style for _ in range(20)} for split in SPLITS}
        assert asked == {"train": {"human"}, "validation": {"human"}, "test": {"human", "other"}}
        with pytest.raises(UsageError, match="no style 'thick'"):
            Styles({"human": drawings}, ["thick"])


class TestInstructions:
    THINGS = (
        Thing("cat", (0.6, 0.6, 0.9, 0.9)),
        Thing("owl", (0.1, 0.1, 0.3, 0.3)),
        Thing("bus", (0.05, 0.6, 0.5, 0.95)),
    )

    def test_answers(self) -> None:
        assert instructions.describe("cat", self.THINGS) == (
            "The sketch shows a cat. The picture shows a bus [0.05, 0.60, 0.50, 0.95], an owl [0.10, 0.10, 0.30,"
            " 0.30], a cat [0.60, 0.60, 0.90, 0.90]. It appears 1 times."
        )
        assert instructions.count("dog", self.THINGS) == "0"
        assert instructions.locate("owl", self.THINGS) == "[0.10, 0.10, 0.30, 0.30]"
        assert instructions.locate("dog", self.THINGS) == "none"

    def test_closed_questions(self) -> None:
        rng = np.random.default_rng(0)
        expected = {"name": "cat", "where": "bottom right", "another": "no", "largest": "no", "next": "bus"}
        for question, right in expected.items():
            assert instructions.ask(question, self.THINGS, "cat", rng)[1] == right
        text, right = instructions.ask("relation", self.THINGS, "cat", rng)
        assert "bus" in text or "owl" in text
        assert right == "right"

    def test_the_picture_has_five_parts(self) -> None:
        middles = {"centre": (0.5, 0.6), "top left": (0.2, 0.4), "bottom right": (0.9, 0.51), "top right": (0.7, 0.1)}
        for part, (x, y) in middles.items():
            assert whereabouts((x - 0.05, y - 0.05, x + 0.05, y + 0.05)) == part


class TestWritten:
    def test_every_answer_follows_from_the_objects(self, written: Path) -> None:
        for split in SPLITS:
            for row in rows(written, split):
                things = [Thing(item["label"], tuple(item["box"])) for item in row["objects"]]
                assert row["boxes"] == instructions.boxes(row["label"], things)
                assert row["split"] == split
                there = counted(things).get(row["label"], 0)
                text = row["prompt"][0]["content"][-1]["text"]
                assert text.startswith(f"{row['task']}: ")
                if row["task"] == "COUNT":
                    assert answer(row) == str(there)
                elif row["task"] == "SBIR":
                    assert answer(row) == ("yes" if there else "no")
                elif row["task"] == "BBOX":
                    assert answer(row).count("[") == there
                elif row["task"] == "DESC":
                    assert answer(row).count("[") == len(things)
                    assert answer(row).endswith(f"It appears {there} times.")

    def test_pictures_are_there_once_and_square(self, written: Path) -> None:
        named = {name for split in SPLITS for row in rows(written, split) for name in row["images"]}
        assert {str(path.relative_to(written)) for path in written.glob("pictures/*/*.png")} == named
        for name in named:
            with Image.open(written / name) as picture:
                assert (picture.size, picture.mode) == ((128, 128), "L")

    def test_nothing_is_in_two_splits_and_unseen_classes_are_in_one(self, written: Path, packed: Path) -> None:
        store = Store(packed)
        own = {split: {store[row].source for row in store.rows(split)} for split in SPLITS}
        for split in SPLITS:
            for row in rows(written, split):
                assert {row["sketch_of"], *row["scene_of"]} <= own[split]
                assert row["sketch_of"] not in row["scene_of"]
                assert row["seen"] == (row["label"] in SEEN)
                if split != "test":
                    assert {item["label"] for item in row["objects"]} | {row["label"]} <= set(SEEN)
        assert {row["label"] for row in rows(written, "test") if not row["seen"]} == set(UNSEEN)

    def test_llava_has_the_same_rows(self, written: Path) -> None:
        for split in SPLITS:
            theirs = json.loads((written / f"llava-{split}.json").read_text())
            for row, other in zip(rows(written, split), theirs, strict=True):
                assert (other["id"], other["image"]) == (row["id"], row["images"])
                asked, told = other["conversations"]
                assert asked["value"] == f"<image>\n<image>\n{row['prompt'][0]['content'][-1]['text']}"
                assert told == {"from": "gpt", "value": answer(row)}

    def test_the_same_plan_gives_the_same_rows(self, written: Path, packed: Path, tmp_path: Path) -> None:
        drawings = SketchScenes(Store(packed), SEEN + UNSEEN)
        plan = DatasetPlan(SEEN, UNSEEN, train=12, validation=4, test=8, most=4)
        prepare({"drawings": drawings}, Styles({"human": drawings}), tmp_path / "again", plan)
        for file in ("train.jsonl", "test.jsonl", "dataset.json"):
            assert (tmp_path / "again" / file).read_text() == (written / file).read_text()

    def test_nothing_half_written_stays(self, packed: Path, tmp_path: Path) -> None:
        drawings = SketchScenes(Store(packed), ["cat"])
        with pytest.raises(VisketchError, match=r"\(cat, owl\) only cat has .* two are needed; name .* --class"):
            prepare(
                {"drawings": drawings}, Styles({"human": drawings}), tmp_path / "data", DatasetPlan(("cat", "owl"), ())
            )
        assert not list(tmp_path.iterdir())


class TestPhotos:
    def test_coco_says_what_is_where(self, photographed: Path) -> None:
        found = coco.read(photographed / "instances.json", photographed / "images", pytest.fail)
        assert len(found) == 40
        assert {item.label for photo in found for item in photo.objects} == set(COLOURS)
        assert {photo.split for photo in found} == set(SPLITS)
        item = found[0].objects[0]
        assert item.box[2] - item.box[0] == 56
        np.testing.assert_allclose(item.polygons[0].min(axis=0), item.box[:2])

    def test_broken_files_are_named(self, photographed: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.json").write_text('{"images": []}')
        with pytest.raises(VisketchError, match="not in COCO's format"):
            coco.read(tmp_path / "bad.json", tmp_path, pytest.fail)
        problems: list[VisketchError] = []
        with pytest.raises(VisketchError, match="none of the photos"):
            coco.read(photographed / "instances.json", tmp_path, problems.append)
        assert len(problems) == 40
        (tmp_path / "ball").mkdir()
        (tmp_path / "ball" / "broken.jpg").write_bytes(b"nothing")
        problems.clear()
        with pytest.raises(VisketchError, match="no photo in it"):
            photos.read(tmp_path, problems.append)
        assert "broken.jpg" in str(problems[0])

    def test_classes_of_coco_have_the_names_of_quick_draw(self, tmp_path: Path) -> None:
        Image.new("RGB", (40, 40)).save(tmp_path / "1.png")
        names = {87: "scissors", 75: "remote", 88: "teddy bear", 72: "tv"}
        content = {
            "images": [{"id": 1, "file_name": "1.png"}],
            "annotations": [{"image_id": 1, "category_id": number, "bbox": [0, 0, 9, 9]} for number in names],
            "categories": [{"id": number, "name": name} for number, name in names.items()],
        }
        (tmp_path / "instances.json").write_text(json.dumps(content))
        (photo,) = coco.read(tmp_path / "instances.json", tmp_path, pytest.fail)
        assert [item.label for item in photo.objects] == ["scissors", "remote control", "teddy-bear", "television"]
        assert {item.label for item in photo.objects} <= {*classes()}

    def test_only_pictures_are_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pillow would open further formats, and some of them with other programs."""
        (tmp_path / "ball").mkdir()
        lying = tmp_path / "ball" / "lying.jpg"
        turned = Image.Exif()
        turned[0x0112] = 6
        Image.new("RGB", (40, 20), (200, 0, 0)).save(lying, exif=turned)
        Image.new("RGB", (40, 20), (200, 0, 0)).save(tmp_path / "ball" / "page.jpg", "EPS")
        problems: list[VisketchError] = []
        (photo,) = photos.read(tmp_path, problems.append)
        assert [*map(str, problems)] == [
            f"{tmp_path / 'ball' / 'page.jpg'}: the photo cannot be read; remove it or save it again"
        ]
        assert photo.objects[0].box == (0, 0, 20, 40)
        assert photo.pixels().shape == (40, 20, 3)
        with pytest.raises(VisketchError, match="cannot be read"):
            photos.Photo(tmp_path / "ball" / "page.jpg", ()).pixels()
        monkeypatch.setattr(photos.image, "JPEG_PIXELS", 799)
        with pytest.raises(VisketchError, match="million pixels"):
            photo.pixels()

    @pytest.mark.parametrize("outlined", [True, False], ids=["polygon", "GrabCut"])
    def test_objects_are_cut_out(self, photographed: Path, outlined: bool) -> None:
        for photo in coco.read(photographed / "instances.json", photographed / "images", pytest.fail)[:6]:
            for item in photo.objects:
                given = item if outlined else photos.PhotoObject(item.label, item.box)
                cutout = photo_to_sketch.cut(photo.pixels(), given)
                assert cutout is not None
                colour = np.abs(cutout.pixels.astype(int) - COLOURS[item.label]).max(axis=2) < 60
                common, either = (colour & cutout.mask).sum(), (colour | cutout.mask).sum()
                assert common / either > 0.85

    def test_levels_of_abstraction(self) -> None:
        picture = Image.new("RGB", (100, 100), (240, 240, 240))
        brush = ImageDraw.Draw(picture)
        brush.rectangle((20, 20, 80, 80), (60, 120, 60))
        for y in (32, 44, 56, 68):
            brush.rectangle((30, y, 70, y + 4), (200, 200, 90))
        square = np.array([[20, 20], [80, 20], [80, 80], [20, 80]], np.float32)
        cutout = photo_to_sketch.cut(
            np.asarray(picture), photos.PhotoObject("window", (20.0, 20.0, 80.0, 80.0), (square,))
        )
        assert cutout is not None
        sketch = photo_to_sketch.sketch(cutout)
        points = {level: sum(map(len, strokes)) for level, strokes in sketch.items()}
        assert points[1] > points[2] > points[3] >= 5
        assert len(sketch[3]) == 1  # only the outline, which is a square
        low, high = sketch[3][0].min(axis=0), sketch[3][0].max(axis=0)
        np.testing.assert_allclose(low, photo_to_sketch.MARGIN, atol=3)
        np.testing.assert_allclose(high, photo_to_sketch.MARGIN + photo_to_sketch.SIDE, atol=3)

    def test_too_small_is_left_out(self) -> None:
        grey = np.zeros((60, 60, 3), np.uint8)
        assert photo_to_sketch.cut(grey, photos.PhotoObject("dot", (10.0, 10.0, 20.0, 20.0))) is None
        assert photo_to_sketch.cut(grey, photos.PhotoObject("nothing", (0.0, 0.0, 60.0, 60.0))) is None  # of one colour

    def test_without_opencv_the_mend_is_named(self, photographed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cv2", None)  # as if it were not installed
        found = coco.read(photographed / "instances.json", photographed / "images", pytest.fail)
        with pytest.raises(VisketchError, match=r"pip install visketch\[language\]"):
            Objects(found, COLOURS)

    def test_pasted_objects_are_where_the_boxes_say(self, photographed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = coco.read(photographed / "instances.json", photographed / "images", pytest.fail)
        objects = Objects(found, COLOURS, canvas=128)
        grey = np.full((128, 128, 3), 128, np.uint8)  # a blurred photo would have the objects' colours
        monkeypatch.setattr(objects, "_background", lambda split, rng: grey)
        scene = objects.scene(["ball", "kite", "brick"], "train", np.random.default_rng(0))
        assert scene.pixels.shape == (128, 128, 3)
        for thing in scene.things:
            near = np.abs(scene.pixels.astype(int) - COLOURS[thing.label]).max(axis=2) < 70
            y, x = np.nonzero(near)
            seen = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / 128
            np.testing.assert_allclose(seen, thing.box, atol=0.035)

    def test_photos_as_they_are(self, photographed: Path, packed: Path, tmp_path: Path) -> None:
        found = coco.read(photographed / "instances.json", photographed / "images", pytest.fail)
        objects = Objects(found, COLOURS)
        styles = Styles({style_of(level): Outlines(objects, level) for level in (1, 2)}, ["lines-2"])
        plan = DatasetPlan(tuple(COLOURS), (), train=3, validation=2, test=3, most=2)
        facts = prepare({"photos": objects, "coco": Annotated(found)}, styles, tmp_path / "data", plan)
        shown = {Path(row["images"][1]).stem for row in rows(tmp_path / "data", "test") if row["kind"] == "coco"}
        assert len(shown) == facts["counts"]["test"]["coco scenes"]
        splits = {photo.path.stem: photo.split for photo in found}
        for split in SPLITS:
            for row in rows(tmp_path / "data", split):
                for source in [row["sketch_of"], *row["scene_of"]]:
                    assert splits[source.split("-")[1]] == split
                assert row["style"] == "lines-1" or split == "test"

    def test_a_crowd_is_not_counted(self, photographed: Path, tmp_path: Path) -> None:
        content = json.loads((photographed / "instances.json").read_text())
        first = content["annotations"][0]
        first["iscrowd"], first["segmentation"] = 1, {"counts": [], "size": [160, 240]}
        (tmp_path / "instances.json").write_text(json.dumps(content))
        found = coco.read(tmp_path / "instances.json", photographed / "images", pytest.fail)
        (photo,) = (photo for photo in found if any(item.crowd for item in photo.objects))
        (crowd,) = (item.label for item in photo.objects if item.crowd)
        for scene in Annotated([photo]).scenes(photo.split):
            assert crowd in scene.unsure
            assert crowd not in counted(scene.things)


class TestVerb:
    def test_writes_a_data_set(self, packed: Path, photographed: Path, tmp_path: Path) -> None:
        classes = [word for name in SEEN for word in ("--class", name)]
        words = ["--scenes", 3, "--validation", 2, "--test", 2, "--out", tmp_path / "data", "--unseen", "spiral"]
        result = visketch("language", "prepare", "--drawings", packed, *classes, *words, "--json")
        assert result.exit_code == 0, result.output
        facts = json.loads(result.stdout)
        assert facts["counts"]["train"]["drawings scenes"] == 3
        assert facts["sources"]["drawings"] == packed.name
        assert (tmp_path / "data" / "contact.png").stat().st_size > 1000
        one_line(visketch("language", "prepare", "--drawings", packed, *classes, *words), 2, "exists already")

    def test_photos_in_folders_with_another_style(self, packed: Path, photographed: Path, tmp_path: Path) -> None:
        words = [
            "--class",
            "ball",
            "--class",
            "brick",
            "--class",
            "kite",
            "--scenes",
            2,
            "--validation",
            1,
            "--test",
            1,
        ]
        folders = ["--photos", photographed / "classes", "--coco", photographed / "instances.json", "--kind", "photos"]
        result = visketch("language", "prepare", *folders, *words, "--out", tmp_path / "data", "--format", "llava")
        assert result.exit_code == 0, result.output
        assert {row["kind"] for row in rows(tmp_path / "data", "train")} == {"photos"}
        assert (tmp_path / "data" / "llava-train.json").exists()

    def test_refuses(self, packed: Path, tmp_path: Path) -> None:
        out = ["--out", tmp_path / "data"]
        one_line(visketch("language", "prepare", *out), 2, "name --drawings")
        one_line(visketch("language", "prepare", "--drawings", packed, "--kind", "coco", *out), 2, "need --coco")
        one_line(visketch("language", "prepare", "--drawings", packed, "--kind", "oil", *out), 2, "no kind")
        one_line(visketch("language", "prepare", "--drawings", packed, "--style", "mine", *out), 2, "NAME=FILE")
        one_line(visketch("language", "prepare", "--drawings", tmp_path / "none.arrow", *out), 1, "no such file")
        assert not list(tmp_path.iterdir())
