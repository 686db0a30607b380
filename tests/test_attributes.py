"""Words in addition to a sketch: they say which of the objects that were found are meant."""

import json
import re
from pathlib import Path

import drawings
import numpy as np
import pytest
from command_line import one_line, visketch
from PIL import Image, ImageColor, ImageDraw
from questions import reason

from visketch.errors import UsageError, VisketchError
from visketch.language import image
from visketch.language.answers import Detection
from visketch.language.attributes import COLOURS, Filter, named
from visketch.language.boxes import Box
from visketch.language.dataset.instructions import QUESTIONS
from visketch.language.model import SketchLanguage

LEFT: Box = (0.05, 0.1, 0.35, 0.4)
RIGHT: Box = (0.45, 0.35, 0.95, 0.85)
THINGS = [Detection("house", LEFT, 0.9), Detection("house", RIGHT, 0.8)]
RIGHT_ANSWERS = {
    "name": ["house"],
    "where": ["top left"],
    "relation": ["right"],
    "another": ["yes"],
    "next": ["bus"],
    "largest": ["yes"],
}  # for the houses above and a bus to the left of the surer one
BUS = Detection("bus", (0.01, 0.15, 0.2, 0.25), 0.5)


def put(page: Image.Image, box: Box, pen: str) -> None:
    """Draw a house that fills a box."""
    points = np.concatenate(drawings.house())
    low, span = points.min(axis=0), np.ptp(points, axis=0).max()
    corner, size = np.array(box[:2]) * page.width, (box[2] - box[0]) * page.width
    for line in drawings.house():
        ImageDraw.Draw(page).line([tuple(place) for place in corner + (line - low) / span * size], pen, 5, "curve")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sketch of a house, a scene with a small red house and a large blue one, and a scene with black ones."""
    home = tmp_path_factory.mktemp("which")
    (home / "scenes").mkdir()
    sketch = Image.new("RGB", (256, 256), "white")
    put(sketch, (0.1, 0.1, 0.9, 0.9), "black")
    sketch.save(home / "house.png")
    for name, pens in (("coloured", ("#d62828", "#285ac8")), ("black", ("black", "black"))):
        scene = Image.new("RGB", (512, 512), "white")
        for box, pen in zip((LEFT, RIGHT), pens, strict=True):
            put(scene, box, pen)
        scene.save(home / "scenes" / f"{name}.png")
    return home


@pytest.fixture(scope="module")
def scene(folder: Path) -> image.Picture:
    return image.read(folder / "scenes" / "coloured.png", 128)


class TestColours:
    @pytest.mark.parametrize(
        ("name", "shades"),
        [
            ("black", "black #222222 #101030"),
            ("white", "white #f4f4f0 ivory"),
            ("grey", "grey #aaaaaa silver dimgray"),
            ("red", "red #d32f2f darkred crimson firebrick"),
            ("orange", "orange darkorange #ff7f00"),
            ("yellow", "yellow gold #ffeb3b khaki"),
            ("green", "green lime darkgreen seagreen olive"),
            ("blue", "blue navy royalblue skyblue cyan"),
            ("purple", "purple indigo violet #8e24aa"),
            ("pink", "pink hotpink deeppink lightpink"),
            ("brown", "brown saddlebrown sienna #6e4b32"),
        ],
    )
    def test_shades_have_their_basic_names(self, name: str, shades: str) -> None:
        pixels = np.array([ImageColor.getrgb(shade)[:3] for shade in shades.split()], np.uint8)
        assert [COLOURS[number] for number in named(pixels)] == [name] * len(pixels)

    def test_things_of_a_photo_have_the_colour_of_their_middle(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        noise[6:24, 6:24] = (200, 30, 30)
        photo = image.square(Image.fromarray(noise), 128)
        things = [Detection("apple", (0.08, 0.08, 0.42, 0.42), 0.9), Detection("apple", (0.5, 0.5, 0.9, 0.9), 0.8)]
        assert not image.is_drawing(photo)
        assert Filter.told("red").of(things, photo) == things[:1]


class TestWords:
    @pytest.mark.parametrize(
        ("words", "meant"),
        [
            ("red", [0]),
            ("the blue one", [1]),
            ("green", []),
            ("the small red one on the left", [0]),
            ("large", [1]),
            ("largest", [1]),
            ("the smallest of these", [0]),
            ("on the right", [1]),
            ("at the top", [0]),
            ("lower", [1]),
            ("leftmost", [0]),
            ("lowest", [1]),
            ("small and on the right", []),
        ],
    )
    def test_they_say_which(self, words: str, meant: list[int], scene: image.Picture) -> None:
        assert Filter.told(words).of(THINGS, scene) == [THINGS[number] for number in meant]

    @pytest.mark.parametrize("words", ["fluffy", "the fluffy red one", "the one", " "])
    def test_others_are_not_understood(self, words: str) -> None:
        with pytest.raises(UsageError, match=r"use a colour \(black, white"):
            Filter.told(words)

    @pytest.mark.parametrize("words", ["largest leftmost", "large and small", "on the left and right", "top bottom"])
    def test_nothing_is_both(self, words: str) -> None:
        with pytest.raises(UsageError, match="nothing can be both"):
            Filter.told(words)

    def test_things_of_one_size_are_neither_larger_nor_smaller(self, scene: image.Picture) -> None:
        same = [Detection("cat", (x, 0.1, x + 0.1, 0.2), 0.9) for x in (0.1, 0.3, 0.5, 0.7, 0.85)]
        for words in ("large", "small"):
            assert Filter.told(words).of(same, scene) == same

    def test_where_there_is_no_ink_there_is_no_colour(self, scene: image.Picture) -> None:
        empty = Detection("cat", (0.9, 0.02, 0.98, 0.08), 0.9)
        assert reason("what colour is it?", "cat", [empty], (), picture=scene) == "none"
        assert reason("what colour is it?", "cat", [], (), picture=scene) == "none"

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("how many red houses are there?", "1"),
            ("how many houses are there?", "2"),
            ("are there any green houses?", "no"),
            ("is there a small blue one?", "no"),
            ("where is the red house?", "top left"),
            ("what colour is it?", "there are 2: red, blue"),
            ("how many houses are red?", "1"),
            ("how many red are there?", "1"),
            ("how many are on the left?", "1"),
            ("how many houses are there that are red?", "1"),
            ("which color is the house?", "there are 2: red, blue"),
            ("what colour is the large one?", "blue"),
            ("is the small house red?", "yes"),
            ("is the red house on the left?", "yes"),
            ("is the cat at the bottom?", "no"),
            ("is anything in the top left corner?", "yes"),
            ("is the cat on the left or on the right?", "top right"),
            ("is the large one red and white?", "no"),
            ("is the red house left of the cat?", "yes"),
            ("is the sky blue?", None),
            ("is the small house not blue?", None),
        ],
    )
    def test_questions_may_have_them(self, question: str, answer: str | None, scene: image.Picture) -> None:
        cat = Detection("cat", (0.8, 0.05, 0.95, 0.2), 0.7)
        assert reason(question, "house", THINGS, (cat,), ("cat",), picture=scene) == answer

    @pytest.mark.parametrize(
        "question",
        [
            "are there any houses that are not red?",
            "is the red house the largest?",
            "what is the red house next to?",
        ],
    )
    def test_more_than_that_is_refused(self, question: str, scene: image.Picture) -> None:
        with pytest.raises(VisketchError, match="questions of this kind are not answered"):
            reason(question, "house", THINGS, (), ("cat",), picture=scene)

    @pytest.mark.parametrize("question", ["is the house red?", "is it red or blue?", "is it on the left?"])
    def test_what_not_all_of_them_have_is_refused(self, question: str, scene: image.Picture) -> None:
        with pytest.raises(VisketchError, match="questions of this kind are not answered"):
            reason(question, "house", THINGS, (), picture=scene)

    def test_a_name_is_no_colour(self, scene: image.Picture) -> None:
        assert reason("is there an orange?", "orange", THINGS[:1], (), picture=scene) == "yes"

    def test_every_wording_of_the_data_set_is_still_answered(self, scene: image.Picture) -> None:
        for asked, wordings in QUESTIONS.items():
            for wording in wordings:
                question, others = "VQA: " + wording.format(other="bus"), [BUS]
                told = reason(question, "house", THINGS, others, ("bus",), picture=scene, single=True)
                assert told in RIGHT_ANSWERS[asked], wording


class TestVerbs:
    def test_count_and_locate_those_that_are_meant(self, folder: Path) -> None:
        words = folder / "house.png", folder / "scenes" / "coloured.png", "--which", "blue", "--json"
        (row,) = json.loads(visketch("count", *words, "--compare").stdout)["answers"]
        assert (row["count"], row["others"]) == (1, {"matcher": 1})
        (row,) = json.loads(visketch("count", *words).stdout)["answers"]
        assert row["others"] == {}, "the others are not asked unless they are to be compared"
        (row,) = json.loads(visketch("locate", *words).stdout)["answers"]
        ((x1, y1, x2, y2),) = (one["box"] for one in row["boxes"])
        assert x1 < 0.7 * 512 < x2
        assert y1 < 0.6 * 512 < y2

    def test_the_sketch_comes_from_standard_input(self, folder: Path) -> None:
        sketch, scene = folder / "house.png", folder / "scenes" / "coloured.png"
        for verb, *more in (("count",), ("locate",), ("ask", "how many houses are there?")):
            words = scene, *more, "--json"
            piped = visketch(verb, "-", *words, input=sketch.read_bytes())
            assert piped.exit_code == 0, piped.output
            assert json.loads(piped.stdout)["answers"] == json.loads(visketch(verb, sketch, *words).stdout)["answers"]
            one_line(visketch(verb, sketch, "-", *more), 2, "-: only the sketch can come from standard input")
        one_line(visketch("count", "-", scene, input=b""), 1, "-: standard input is empty")
        one_line(visketch("count", "-", scene, input=b"hello"), 1, "-: not a picture", "the sketch comes first")

    def test_whoever_found_them_in_a_picture_of_any_shape(self, tmp_path: Path) -> None:
        """Boxes of a detector are on the picture already, those of the others on the square around it."""
        wide = Image.new("RGB", (512, 256), "white")
        box = (0.1, 0.2, 0.3, 0.6)
        put(wide, box, "#d62828")
        wide.save(tmp_path / "wide.png")

        class Told:
            def find(self, label: str, picture: image.Picture) -> list[Detection]:
                return [Detection(label, box, 0.9)]

        model = SketchLanguage.load()
        model.detector = Told()  # type: ignore[assignment]
        scene = model.scene(tmp_path / "wide.png")
        red, blue = (model.score([(scene, scene)], "detector", Filter.told(word))[0] for word in ("red", "blue"))
        assert red > 0.5 > blue == 0

    def test_pictures_that_show_none_are_left_out(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        words = "photos", "search", folder / "house.png", folder / "scenes", "--which", "red", "--json"
        found = json.loads(visketch(*words).stdout)["found"]
        assert [Path(hit["path"]).stem for hit in found] == ["coloured"]
        assert found[0]["score"] > 0.5
        located = visketch("locate", folder / "house.png", found[0]["path"], "--which", "red", "--json")
        (answer,) = json.loads(located.stdout)["answers"]
        assert found[0]["boxes"] == answer["boxes"], "the boxes of a drawn scene, in pixels"
        table = visketch(*words[:-1], env={"COLUMNS": "300"}).stdout
        assert re.search(r"coloured.png\s+\S+\s+1\s+recogniser", table)

    def test_one_question_costs_no_other_its_answer(self, folder: Path) -> None:
        asked = "how many red houses are there?", "is there a unicorn?", "how many are blue?"
        told = visketch("ask", folder / "house.png", folder / "scenes" / "coloured.png", *asked, "--json")
        assert told.exit_code == 1
        first, second, third = json.loads(told.stdout)["answers"]
        assert (first["answer"], third["answer"]) == ("1", "1")
        assert "unicorn" in second["error"]

    def test_what_is_not_understood_is_told_at_once(self, folder: Path) -> None:
        scene = folder / "scenes" / "coloured.png"
        one_line(visketch("count", folder / "house.png", scene, "--which", "fluffy"), 2, "'fluffy' is not an attribute")
        one_line(visketch("count", folder / "house.png", scene, "--which", ""), 2, "'' is not an attribute")
        one_line(visketch("search", folder / "house.png", folder / "scenes", "--which", "red"), 2, "--which")
