"""What a program may hand in, and the page that tells of it: its code is run here."""

import re
from pathlib import Path

import drawings
import numpy as np
import pytest
import torch
from PIL import Image

from visketch.config import SketchConfig
from visketch.data.drawing import sketch
from visketch.errors import UsageError, VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import ViSketch

PAGE = Path(__file__).parents[1] / "docs/api.md"


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    field = torch.from_numpy(sdf.render(drawings.draw("cat"), SketchConfig(), 256))
    Image.fromarray((255 * (1 - sdf.ink(field, SketchConfig().clamp))).byte().numpy()).save(tmp_path / "sketch.png")
    return tmp_path / "sketch.png"


def test_the_page_of_the_docs_runs(
    cat: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cat.parent)
    said: list[str] = []
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(compile(block, str(PAGE), "exec"), names)
        said.append(capsys.readouterr().out)
    assert "cat" in said[0]
    assert len(eval(said[1])) == 4
    assert Image.open("cat.png").size == (128, 128)
    assert sketch("cat.svg").strokes
    assert "%" in said[4]
    assert said[5].startswith("nowhere.png: ")


def test_a_drawing_in_any_form_is_the_same_drawing(cat: Path) -> None:
    model = ViSketch.load()
    pixels = np.asarray(Image.open(cat).convert("L"))
    color = np.repeat(pixels[..., None], 3, axis=2)
    fields = model.render([sketch(each) for each in (cat, str(cat), pixels, color, 255 - pixels)])
    assert all(torch.equal(field, fields[0]) for field in fields)
    assert model.classify(cat)[0].label == "cat"
    lines = drawings.draw("cat").lines()
    quickdraw = [[line[:, 0].tolist(), line[:, 1].tolist()] for line in lines]
    for strokes in (list(lines), quickdraw, Sketch(strokes=lines)):
        assert model.classify(strokes)[0].label == model.classify(Sketch(strokes=lines))[0].label
    assert model.classify_many([]) == []


def test_a_mask_is_taken_as_it_is() -> None:
    mask = np.eye(20, dtype=bool)
    assert np.array_equal(sketch(mask).pixels, mask)


def test_pairs_of_points_in_arrays_are_points_and_not_coordinates() -> None:
    (line,) = sketch([np.array([[0, 60], [50, 0]])]).lines()
    assert line.tolist() == [[0, 60], [50, 0]]
    (line,) = sketch([[[0, 60], [50, 0]]]).lines()
    assert line.tolist() == [[0, 50], [60, 0]]


@pytest.mark.parametrize("wrong", [[], [3], [[1, 2, 3]], ["cat.png"], np.zeros((4, 4)), np.zeros(5, np.uint8)])
def test_what_is_no_drawing_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError):
        sketch(wrong)  # type: ignore[arg-type]


def test_a_blank_picture_is_refused() -> None:
    with pytest.raises(VisketchError, match="blank"):
        sketch(np.full((30, 30), 255, np.uint8))


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(VisketchError, match="nowhere"):
        ViSketch.load().classify(tmp_path / "nowhere.png")
