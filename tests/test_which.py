"""A sketch and words: which of the things that were found are meant."""

import json
from pathlib import Path

import drawings
import numpy as np
import pytest
from commands import one_line, visketch
from PIL import Image, ImageColor, ImageDraw

from visketch.errors import UsageError
from visketch.language import pictures
from visketch.language.answers import Found
from visketch.language.boxes import Box
from visketch.language.reasoning import reason
from visketch.language.which import COLOURS, Which, named

LEFT: Box = (0.05, 0.1, 0.35, 0.4)
RIGHT: Box = (0.45, 0.35, 0.95, 0.85)
THINGS = [Found("house", LEFT, 0.9), Found("house", RIGHT, 0.8)]


def put(page: Image.Image, box: Box, pen: str) -> None:
    """A house that fills a box."""
    points = np.concatenate(drawings.house())
    low, span = points.min(axis=0), np.ptp(points, axis=0).max()
    corner, size = np.array(box[:2]) * page.width, (box[2] - box[0]) * page.width
    for line in drawings.house():
        ImageDraw.Draw(page).line([tuple(place) for place in corner + (line - low) / span * size], pen, 5, "curve")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sketch of a house, a scene with a small red one and a large blue one, and one of black ones."""
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
def scene(folder: Path) -> pictures.Picture:
    return pictures.read(folder / "scenes" / "coloured.png", 128)


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
        photo = pictures.square(Image.fromarray(noise), 128)
        things = [Found("apple", (0.08, 0.08, 0.42, 0.42), 0.9), Found("apple", (0.5, 0.5, 0.9, 0.9), 0.8)]
        assert not pictures.is_drawing(photo)
        assert Which.told("red").of(things, photo) == things[:1]


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
            ("the houses that are blue", [1]),
        ],
    )
    def test_they_say_which(self, words: str, meant: list[int], scene: pictures.Picture) -> None:
        assert Which.told(words, "house").of(THINGS, scene) == [THINGS[number] for number in meant]

    @pytest.mark.parametrize("words", ["fluffy", "the fluffy red one", "the one", " "])
    def test_others_are_not_understood(self, words: str) -> None:
        with pytest.raises(UsageError, match=r"say a colour \(black, white"):
            Which.told(words)

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("how many red houses are there?", "1"),
            ("how many houses are there?", "2"),
            ("are there any green houses?", "no"),
            ("is there a small blue one?", "no"),
            ("where is the red house?", "top left"),
            ("what colour is it?", "red"),
            ("which color is the house?", "red"),
            ("what colour is the large one?", "blue"),
        ],
    )
    def test_questions_may_have_them(self, question: str, answer: str, scene: pictures.Picture) -> None:
        assert reason(question, "house", THINGS, (), picture=scene) == answer


class TestVerbs:
    def test_count_and_locate_those_that_are_meant(self, folder: Path) -> None:
        words = folder / "house.png", folder / "scenes" / "coloured.png", "--which", "blue", "--json"
        (row,) = json.loads(visketch("count", *words).stdout)["answers"]
        assert (row["count"], row["others"]["matcher"] <= 2) == (1, True)
        (row,) = json.loads(visketch("locate", *words).stdout)["answers"]
        ((x1, y1, x2, y2),) = (one["box"] for one in row["boxes"])
        assert x1 < 0.7 * 512 < x2
        assert y1 < 0.6 * 512 < y2

    def test_photos_that_show_one_come_first(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        words = "search", folder / "house.png", folder / "scenes", "--photos", "--which", "red", "--json"
        found = json.loads(visketch(*words).stdout)["found"]
        assert [Path(hit["path"]).stem for hit in found] == ["coloured", "black"]
        assert found[0]["score"] > 0.5 > found[1]["score"] == 0

    def test_what_is_not_understood_is_told_at_once(self, folder: Path) -> None:
        scene = folder / "scenes" / "coloured.png"
        one_line(visketch("count", folder / "house.png", scene, "--which", "fluffy"), 2, "'fluffy' does not say which")
        one_line(visketch("search", folder / "house.png", folder / "scenes", "--which", "red"), 2, "with --photos")
