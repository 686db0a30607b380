"""Drawn scenes of classes that the tower never saw, with the shipped weights; and an OWLv2 with random weights."""

import json
from pathlib import Path

import drawings
import numpy as np
import pytest
import torch
from command_line import one_line, visketch
from PIL import Image, ImageDraw

from visketch.config import SketchConfig
from visketch.data.ink import Ink
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.language import image
from visketch.language.boxes import Box, overlaps
from visketch.language.detect.matcher import Region
from visketch.language.detect.open_vocabulary import drawn, joined, wholes
from visketch.language.model import SketchLanguage
from visketch.language.vision.pen import as_trained

HOUSES: list[Box] = [(0.05, 0.1, 0.4, 0.45), (0.55, 0.5, 0.95, 0.9)]
STAR: Box = (0.6, 0.05, 0.9, 0.35)


def put(page: Image.Image, strokes: drawings.Strokes, box: Box, pen: int) -> None:
    points = np.concatenate(strokes)
    low, span = points.min(axis=0), np.ptp(points, axis=0).max()
    corner = np.array([box[0] * page.width, box[1] * page.height])
    size = min((box[2] - box[0]) * page.width, (box[3] - box[1]) * page.height)
    for line in strokes:
        ImageDraw.Draw(page).line([tuple(place) for place in corner + (line - low) / span * size], 0, pen, "curve")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sketch of a house, a scene with two houses and a star, and a photo."""
    home = tmp_path_factory.mktemp("scenes")
    sketch = Image.new("L", (256, 256), 255)
    put(sketch, drawings.house(), (0.1, 0.1, 0.9, 0.9), 6)
    sketch.save(home / "house.png")
    scene = Image.new("L", (512, 512), 255)
    for box in HOUSES:
        put(scene, drawings.house(), box, 5)
    put(scene, drawings.star(), STAR, 5)
    scene.save(home / "scene.png")
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((240, 180)).save(home / "photo.png")
    return home


@pytest.fixture(scope="module")
def model() -> SketchLanguage:
    return SketchLanguage.load()


class TestDrawnScenes:
    def test_a_class_the_tower_does_not_know_is_found(self, folder: Path, model: SketchLanguage) -> None:
        assert model.matcher
        assert "house" not in model.matcher.labels
        pair = model.sketch(folder / "house.png"), model.scene(folder / "scene.png")
        (answer,) = model.find([pair])
        assert not isinstance(answer, VisketchError)
        assert (answer.by, answer.label, answer.count) == ("recogniser", "house", 2)
        shared = overlaps(np.array([thing.box for thing in answer.found]), np.array(HOUSES))
        assert shared.diagonal().min() > 0.7
        assert [thing.label for thing in answer.others] == ["star"]
        (before,) = model.find([pair], "matcher")
        assert not isinstance(before, VisketchError)
        assert before.label != "house"

    def test_questions_are_answered_with_its_names(self, folder: Path, model: SketchLanguage) -> None:
        pair = model.sketch(folder / "house.png"), model.scene(folder / "scene.png")
        assert model.ask(*pair, "what is it next to?") == ("star", "recogniser")
        assert model.ask(*pair, "how many are there?") == ("2", "recogniser")

    def test_pictures_are_read_once_and_together(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = SketchLanguage.load()
        sketch, scene, other = (model.look([folder / name])[0] for name in ("house.png", "scene.png", "scene.png"))
        sketches, read = model.recogniser.model, []
        draw = sketches.fields
        monkeypatch.setattr(sketches, "fields", lambda some, shape: read.append(len(some)) or draw(some, shape))
        first = model.score([(sketch, scene), (sketch, other), (sketch, scene)])
        assert len(read) == 1, "the sketches with the regions of all scenes"
        assert model.score([(sketch, scene)]) == first[:1]
        assert len(read) == 1
        assert first[0] == pytest.approx(first[1])
        assert first[0] > 0.5

    def test_photos_are_left_to_the_detector(self, folder: Path, model: SketchLanguage) -> None:
        photo = model.scene(folder / "photo.png")
        assert model.select(photo) == "detector"
        assert model.available(photo)[-2:] == ["detector", "matcher"]
        assert model.select(photo, "recogniser") == "recogniser", "who is asked answers"

    def test_who_is_not_asked_is_not_loaded(self, folder: Path) -> None:
        model = SketchLanguage.load()
        sketch, photo, scene = (model.look([folder / f"{name}.png"])[0] for name in ("house", "photo", "scene"))
        model.find([(sketch, photo)], "matcher")
        assert not {"recogniser", "coco"} & vars(model).keys()
        model.find([(sketch, scene)])
        assert "recogniser" in vars(model)
        assert "coco" not in vars(model)

    @pytest.mark.parametrize(("subject", "side"), [("cat", 256), ("star", 128)])
    def test_a_page_that_one_drawing_fills_shows_one(self, model: SketchLanguage, subject: str, side: int) -> None:
        """The pen is twice as thick as in the tower's training, and no object filled its scene there."""
        shape = SketchConfig()
        field = torch.from_numpy(sdf.render(drawings.draw(subject), shape, side))
        page = Image.fromarray((255 * (1 - sdf.ink(field, shape.clamp))).byte().numpy())
        answer = model.encode(page).find(drawings.draw(subject, seed=1))
        assert (answer.label, answer.count) == (subject, 1)

    @pytest.mark.parametrize("margin", [0.05, 0.08])
    @pytest.mark.parametrize("subject", ["cat", "circle", "fish", "flower", "house"])
    def test_a_drawing_shows_itself_once(self, model: SketchLanguage, subject: str, margin: float) -> None:
        """The tower sees several objects in a drawing that fills its page."""
        page = Image.new("L", (256, 256) if margin > 0.06 else (400, 400), 255)
        sketch = drawings.draw(subject)
        put(page, [*(sketch.strokes or ())], (margin, margin, 1 - margin, 1 - margin), 6 if margin > 0.06 else 4)
        answer = model.encode(page).find(sketch)
        assert (answer.label, answer.count) == (subject, 1)

    @pytest.mark.parametrize("name", ["cat", "cat-begun", "house", "house-begun", "house-rough"])
    def test_each_example_shows_itself_once(self, model: SketchLanguage, name: str) -> None:
        file = Path(__file__).parent.parent / f"docs/examples/{name}.svg"
        assert model.encode(file).count(file) == 1

    def test_a_small_thing_in_a_large_one_is_one_too(self, model: SketchLanguage) -> None:
        page = Image.new("L", (512, 512), 255)
        put(page, drawings.circle(), (0.05, 0.05, 0.95, 0.95), 5)
        put(page, drawings.fish(), (0.3, 0.35, 0.65, 0.7), 5)
        scene = model.encode(page)
        assert scene.count(drawings.draw("fish")) == 1
        assert scene.count(drawings.draw("circle")) == 1

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_circle_around_drawings_is_no_part_of_them(self, model: SketchLanguage, count: int) -> None:
        page, wide = Image.new("L", (512, 512), 255), 0.4 if count == 1 else 0.3
        put(page, drawings.circle(), (0.02, 0.02, 0.98, 0.98), 4)
        for place in range(count):
            left = 0.5 + (place - count / 2) * 1.25 * wide
            put(page, drawings.cat(), (left, 0.35, left + wide, 0.35 + wide), 4)
        scene = model.encode(page)
        assert scene.count(drawings.draw("cat")) == count
        assert scene.count(drawings.draw("circle")) == 1

    def test_a_thin_pen_is_shown_to_the_tower_as_it_is(self, folder: Path) -> None:
        thin, thick = image.read(folder / "scene.png", 128), image.read(folder / "house.png", 128)
        assert as_trained(thin) is thin.square
        assert (as_trained(thick) < 128).sum() < 0.8 * (thick.square < 128).sum()

    def test_the_verbs_say_who_answered(self, folder: Path) -> None:
        told = visketch(
            "count", folder / "house.png", folder / "scene.png", folder / "photo.png", "--json", "--compare"
        )
        assert told.exit_code == 1, told.output
        scene, photo = json.loads(told.stdout)["answers"]
        assert (scene["by"], scene["class"], scene["count"]) == ("recogniser", "house", 2)
        assert set(scene["others"]) == {"matcher"}
        assert "'house', which the detector does not know; --by recogniser" in photo["error"]


class TestRegions:
    def region(self, box: Box) -> Region:
        return Region(box, 0.9, torch.ones(2) / 2)

    def test_a_region_has_its_own_ink_and_no_more(self) -> None:
        pixels = np.zeros((100, 100), bool)
        pixels[20:40, 20] = pixels[20:40, 39] = True  # two lines of one object
        pixels[10:90, 42] = True  # a line of a neighbour, of which little lies in the region
        ((ink, region),) = drawn(pixels, [self.region((0.18, 0.22, 0.44, 0.38))], 2)
        assert region.box == (0.2, 0.2, 0.4, 0.4)
        assert ink.shape == (20, 20)
        assert ink.sum() == 40

    def test_what_hangs_together_with_all_is_cut(self) -> None:
        pixels = np.zeros((100, 100), bool)
        pixels[50] = True
        ((ink, region),) = drawn(pixels, [self.region((0.4, 0.4, 0.6, 0.6))], 2)
        assert region.box == (0.4, 0.4, 0.6, 0.6)
        assert ink.any()

    def test_a_line_is_whole_only_if_it_is_no_region_yet(self) -> None:
        pixels = np.zeros((100, 100), bool)
        pixels[[10, 90], 10:91] = pixels[10:91, [10, 90]] = True
        rest = np.zeros_like(pixels)
        boxes = ((0.05, 0.05, 0.5, 0.5), (0.5, 0.5, 0.95, 0.95))
        cut = [region for _, region in drawn(pixels, [self.region(box) for box in boxes], 2)]
        assert all(region.cut for region in cut)
        ((_, whole), own) = wholes(Ink(pixels, pixels, rest), cut)[-1]
        assert (whole.box, own) == ((0.1, 0.1, 0.91, 0.91), [0, 1])
        around = self.region((0.1, 0.1, 0.91, 0.91))
        assert len(wholes(Ink(pixels, pixels, rest), [around, *cut])) == 1, "the page alone"

    def test_what_is_cut_out_of_a_line_is_without_what_it_cuts_apart(self) -> None:
        pixels = np.zeros((100, 100), bool)
        pixels[[10, 90], 10:91] = pixels[10:91, [10, 90]] = True  # a frame
        pixels[40:50, 40:50] = True  # a thing in it
        whole, corner = (self.region(box) for box in ((0.38, 0.38, 0.52, 0.52), (0.05, 0.05, 0.45, 0.45)))
        (_, thing), (ink, cut) = drawn(pixels, [whole, corner], 2)
        assert (thing.cut, cut.cut) == (False, True)
        assert not ink[35:, 35:].any()
        assert ink.any()
        large = self.region((0.05, 0.05, 0.7, 0.7))  # has all of the thing
        (_, thing), (ink, cut) = drawn(pixels, [whole, large], 2)
        assert (thing.cut, cut.cut) == (False, True)
        assert ink[30:60, 30:60].sum() == 100

    def test_of_two_that_touch_each_is_more_than_its_window(self) -> None:
        pixels = np.zeros((100, 100), bool)
        for left, right in ((10, 50), (50, 98)):  # two boxes that share a side
            pixels[[20, 60], left : right + 1] = True
            pixels[20:61, [left, right]] = True
        pixels[40, 50:98] = True  # a shelf in the right box
        pixels[[30, 36], 20:27] = pixels[30:37, [20, 26]] = True  # a window in the left box
        ((ink, region),) = drawn(pixels, [self.region((0.1, 0.2, 0.5, 0.6))], 2)
        assert region.box == (0.1, 0.2, 0.5, 0.6)
        assert min(ink.shape) > 40

    def test_where_nothing_is_drawn_nothing_is(self) -> None:
        assert drawn(np.zeros((100, 100), bool), [self.region((0.1, 0.1, 0.5, 0.5))], 2) == []

    def test_what_no_region_touches_is_one_too_unless_it_is_small(self) -> None:
        pixels = np.zeros((100, 100), bool)
        pixels[10:30, 10] = pixels[60:90, 50] = pixels[70, 53:60] = pixels[5:9, 90] = True
        (_, first), (ink, overlooked) = drawn(pixels, [self.region((0.05, 0.05, 0.35, 0.35))], 2)
        assert first.box == (0.1, 0.1, 0.11, 0.3)
        assert overlooked.box == (0.5, 0.6, 0.6, 0.9), "two lines near each other are one drawing"
        assert ink.sum() == 37
        assert overlooked.chances.tolist() == [0.5, 0.5]

    def test_a_whole_drawing_replaces_its_parts_of_the_same_class(self) -> None:
        def region(name: int, sure: float, cut: bool = False) -> Region:
            chances = torch.full((3,), (1 - sure) / 2)
            chances[name] = sure
            return Region((0.0, 0.0, 1.0, 1.0), 1.0, chances, cut)

        parts = [region(0, 0.5), region(0, 0.6), region(1, 0.9), region(2, 0.4, cut=True), region(0, 0.7)]
        whole = region(0, 0.6)
        assert joined(parts, [(whole, [0, 1, 2, 3])]) == [parts[2], parts[4], whole]
        doubtful = region(0, 0.4)
        assert joined(parts, [(doubtful, [0, 1, 2, 3])]) == parts
        assert joined(parts, [(region(2, 0.5), [0, 1])])[:-1] == parts

    def test_the_tower_decides_among_its_own_classes_alone(self, folder: Path, model: SketchLanguage) -> None:
        assert model.matcher
        recogniser, pixels = model.recogniser, np.asarray(Image.open(folder / "house.png")) < 128
        drawing = Sketch(pixels=pixels)
        here, there = recogniser.shared
        even = torch.full((len(model.matcher.labels),), 1 / len(model.matcher.labels))
        sure = torch.full_like(even, 0.001)
        sure[there[0]] = 1
        (unmoved,), (moved,) = recogniser._agreed([drawing], [even]), recogniser._agreed([drawing], [sure])
        assert moved.sum() == pytest.approx(1, abs=1e-4)
        assert moved[here].sum() == pytest.approx(float(unmoved[here].sum()), rel=1e-3)
        assert moved[here[0]] > unmoved[here[0]]
        others = [number for number in range(len(moved)) if number not in here]
        assert torch.allclose(moved[others], unmoved[others], atol=1e-5)


class TestIsDrawing:
    @pytest.mark.parametrize(("paper", "pen"), [("white", "black"), ("#f4ecd8", "#1b3a8f"), ("#20352b", "white")])
    def test_paper_and_ink_of_any_colour(self, paper: str, pen: str) -> None:
        page = Image.new("RGB", (300, 200), paper)
        ImageDraw.Draw(page).ellipse((40, 40, 160, 160), outline=pen, width=4)
        assert image.is_drawing(image.square(page, 128))

    @pytest.mark.parametrize("paper", [(255, 255, 255), (244, 236, 216)])
    def test_a_page_in_uneven_light(self, paper: tuple[int, int, int]) -> None:
        page = Image.new("RGB", (300, 200), paper)
        ImageDraw.Draw(page).ellipse((40, 40, 160, 160), outline=(40, 40, 60), width=4)
        light = np.linspace(1, 0.45, 300)[:, None] * np.linspace(0.95, 0.8, 200)[:, None, None]
        noise = np.random.default_rng(0).normal(0, 3, (200, 300, 3))
        photo = Image.fromarray((np.asarray(page) * light + noise).clip(0, 255).astype(np.uint8))
        assert image.is_drawing(image.square(photo, 128))
        coloured = np.asarray(photo) * np.linspace((1, 0.6, 0.6), (0.6, 1, 1), 300)  # light does not do this to paper
        assert not image.is_drawing(image.square(Image.fromarray(coloured.astype(np.uint8)), 128))

    def test_margins_are_no_paper(self, folder: Path) -> None:
        with Image.open(folder / "photo.png") as photo:
            assert not image.is_drawing(image.square(photo.resize((800, 100)), 128))


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an OWLv2 with one layer and random weights, as `hf download` would fetch the real one."""
    transformers = pytest.importorskip("transformers")
    from visketch.language.llm import tokenizer as words

    home = tmp_path_factory.mktemp("owl")
    layer = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = words.learn(["a photo of a house"])
    text = layer | {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    vision = layer | {"image_size": 64, "patch_size": 8}
    torch.manual_seed(0)
    shape = transformers.Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    transformers.Owlv2ForObjectDetection(shape).save_pretrained(home)
    transformers.Owlv2ImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(home)
    tokenizer.save_pretrained(home)
    return home


class TestDetector:
    def test_boxes_are_in_pixels_of_the_upright_picture(self, owl: Path, folder: Path, tmp_path: Path) -> None:
        turned = Image.Exif()
        turned[0x0112] = 6
        Image.open(folder / "photo.png").save(tmp_path / "turned.png", exif=turned)
        asked = "--by", "detector", "--detector", owl
        told = visketch("locate", folder / "house.png", tmp_path / "turned.png", *asked, "--json")
        assert told.exit_code == 0, told.output
        (row,) = json.loads(told.stdout)["answers"]
        assert (row["by"], row["class"]) == ("detector", "house")
        assert row["boxes"], "random weights find something everywhere"
        for one in row["boxes"]:
            x1, y1, x2, y2 = one["box"]
            assert 0 <= x1 < x2 <= 180
            assert 0 <= y1 < y2 <= 240
        assert row["duplicates"]
        told = visketch("locate", folder / "house.png", tmp_path / "turned.png", *asked)
        assert f"{len(row['duplicates'])} more were duplicates" in told.stdout

    def test_a_box_is_where_the_detector_says(self, owl: Path, folder: Path) -> None:
        from visketch.language.detect.owlv2 import Detector

        detector = Detector(str(owl))
        wide = image.square(Image.new("RGB", (64, 32), "white"), 64)

        def told(**_: object) -> object:
            from transformers.models.owlv2.modeling_owlv2 import Owlv2ObjectDetectionOutput

            # The right half of a square of 64 pixels, whose upper half is the picture, as OWLv2 pads it.
            return Owlv2ObjectDetectionOutput(
                logits=torch.tensor([[[2.0], [-9.0]]]), pred_boxes=torch.tensor([[[0.75, 0.25, 0.5, 0.5]] * 2])
            )

        detector.model.forward = told
        (found,) = detector.find("house", wide)
        assert found.box == pytest.approx((0.5, 0, 1, 1), abs=1e-5)
        assert found.score == pytest.approx(0.8808, abs=1e-3)

    def test_it_is_a_baseline_that_answers_when_asked(self, owl: Path, folder: Path) -> None:
        told = visketch("count", folder / "house.png", folder / "scene.png", "--detector", owl, "--json", "--compare")
        (row,) = json.loads(told.stdout)["answers"]
        assert row["by"] == "recogniser"
        assert set(row["others"]) == {"detector", "matcher"}

    def test_damaged_weights(self, owl: Path, folder: Path, tmp_path: Path) -> None:
        for file in owl.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes()[: 1000 if file.suffix == ".safetensors" else None])
        asked = "locate", folder / "house.png", folder / "scene.png", "--by", "detector"
        one_line(visketch(*asked, "--detector", tmp_path), 1, "no OWLv2 can be loaded")

    def test_missing_weights(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("transformers")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        asked = "locate", folder / "house.png", folder / "scene.png", "--by", "detector"
        one_line(visketch(*asked, "--detector", tmp_path), 1, "hf download google/owlv2-base-patch16-ensemble")
