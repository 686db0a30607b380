"""Animations of drawings: when each stroke appears, and the files that show it."""

import itertools
import json
import re
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import one_line, visketch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visketch.data.read import read
from visketch.errors import UsageError
from visketch.geometry.bezier import bezier, smooth
from visketch.geometry.pace import LIFTED, LONGEST, SPEED, between, pace
from visketch.geometry.sketch import PageArea, length, sample
from visketch.geometry.trace import Trace
from visketch.render.animation import FRAME, HOLD, frames, movie, write_animation, write_drawing

LINE = np.array([[0, 0], [100, 0]], np.float32)


def test_a_stroke_takes_as_long_as_it_is_and_the_next_comes_after_it() -> None:
    times = pace([LINE, LINE[:, ::-1] / 2, LINE[:1]])
    np.testing.assert_allclose(times[:, 1] - times[:, 0], [1 / SPEED, 0.5 / SPEED, 0], atol=1e-9)
    np.testing.assert_allclose(times[1:, 0] - times[:-1, 1], LIFTED)
    assert pace([LINE] * 100)[-1, 1] == pytest.approx(LONGEST)
    np.testing.assert_array_equal(pace([LINE, LINE, LINE], given=2)[:2], 0)
    assert pace([]).shape == (0, 2)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.floats(0, 3), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_what_is_drawn_between_moments_is_the_whole_stroke(cuts: list[float], seed: int) -> None:
    stroke = np.random.default_rng(seed).normal(size=(7, 2)).cumsum(axis=0)
    moments = [-1.0, *sorted(cuts), 4.0]
    parts = [between(stroke, 0.5, 2.5, a, b) for a, b in itertools.pairwise(moments)]
    assert sum(length(part) for part in parts if len(part)) == pytest.approx(length(stroke))
    drawn = np.concatenate([part for part in parts if len(part)])
    np.testing.assert_allclose(drawn[[0, -1]], stroke[[0, -1]])


def test_smooth_runs_along_the_curves() -> None:
    stroke = drawings.arc(50, 50, 40)
    for within in (1.0, 0.01):
        line = smooth(stroke, 4.0, within)
        np.testing.assert_allclose(np.linalg.norm(line - 50, axis=1), 40, atol=1.0)
        curves = bezier(stroke, 4.0)
        middles = curves.transpose(0, 2, 1) @ [1 / 8, 3 / 8, 3 / 8, 1 / 8]
        along = sample((line.astype(np.float32),), 0.01)
        assert np.linalg.norm(middles[:, None] - along, axis=2).min(axis=1).max() < within + 0.01
    assert len(smooth(stroke[:1], 4.0, 0.1)) == 1


def cat() -> Trace:
    return Trace(drawings.draw("cat").strokes or (), 6.0)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_pictures_fill_up_with_ink_and_end_with_the_whole(tmp_path: Path, suffix: str) -> None:
    write_animation(tmp_path / f"cat{suffix}", [cat()], 256, 256, {"class": "cat"})
    with Image.open(tmp_path / f"cat{suffix}") as picture:
        shown = []
        for number in range(suffix == ".png", picture.n_frames):  # a PNG has a picture for viewers that show only one
            picture.seek(number)
            shown.append((np.asarray(picture.convert("L")) < 128).mean())
        assert picture.info.get("loop") == 0
    assert shown[0] < 0.1 * shown[-1]
    assert all(before <= after + 1e-4 for before, after in itertools.pairwise(shown))
    points = np.concatenate(cat().strokes).astype(int).clip(0, 255)
    last = np.asarray(list(frames([cat()], 256, 256))[-1])
    assert (last[points[:, 1], points[:, 0]] < 128).mean() > 0.95


def test_a_viewer_that_shows_one_picture_of_a_png_shows_the_whole_drawing(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    write_animation(path, [cat()], 256, 256, {})
    whole = [*frames([cat()], 256, 256)][-1]
    with Image.open(path) as picture:
        assert picture.default_image
        assert np.array_equal(np.asarray(picture.convert("L")), np.asarray(whole))
        picture.seek(1)
        assert picture.info["duration"] == FRAME
        picture.seek(picture.n_frames - 1)
        assert picture.info["duration"] == HOLD
    assert next(read(path)).pixels.sum() > 500, "and it is the first drawing that is read"


def test_an_svg_moves_by_itself_and_is_read_as_the_same_strokes(tmp_path: Path) -> None:
    dot = np.array([[3, 3]], np.float32)
    drawing = Trace((*cat().strokes, dot), 6.0)
    write_animation(tmp_path / "a.svg", [drawing], 256, 256, {"class": "cat"}, given=2)
    text = (tmp_path / "a.svg").read_text()
    delays = [float(value) for value in re.findall(r"animation: draw [\d.]+s ([\d.]+)s", text)]
    assert delays == sorted(delays)
    assert len(delays) == len(drawing.strokes) - 3
    assert text.count("animation: appear") == 1
    assert "prefers-reduced-motion" in text
    assert len(next(read(tmp_path / "a.svg")).strokes or ()) == len(drawing.strokes)


def test_hairlines_are_seen(tmp_path: Path) -> None:
    write_drawing(tmp_path / "a.gif", Trace(cat().strokes, 0.001), PageArea.of_pixels(256, 256), {}, side=128)
    with Image.open(tmp_path / "a.gif") as picture:
        picture.seek(picture.n_frames - 1)
        assert (np.asarray(picture.convert("L")) < 128).sum() > 100


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.svg, \.gif, \.webp, \.png"):
        write_animation(tmp_path / "a.mp4", [cat()], 256, 256, {})
    with pytest.raises(UsageError, match="at most 1024 pixels"):
        movie(tmp_path / "a.gif", [Image.new("L", (2000, 8))], {})
    assert not list(tmp_path.iterdir())


class TestVerb:
    def test_one_of_many_or_a_sheet_of_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        tiny_model.write_ndjson(tmp_path / "cats.ndjson", drawings.draw_many(3, labels=("cat",)))
        result = visketch("animate", "cats.ndjson", "-n", 2)
        assert result.stdout == "1 drawing: cats.svg\n"
        result = visketch("animate", "cats.ndjson", "--out", "cats.gif", "--size", 64, "--json")
        assert json.loads(result.stdout) == {"path": "cats.gif", "drawings": 3, "failed": 0}
        with Image.open("cats.gif") as picture:
            assert picture.n_frames > 20
            assert picture.size == (140, 140)

    def test_refusals(self, tmp_path: Path) -> None:
        tiny_model.write_ndjson(tmp_path / "cats.ndjson", drawings.draw_many(2))
        (tmp_path / "blank.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
        one_line(visketch("animate", tmp_path / "cats.ndjson", "-n", 3), 1, "has no drawing 3")
        one_line(visketch("animate", tmp_path / "blank.svg", "--out", tmp_path / "a.gif"), 1, "blank.svg")
        one_line(visketch("animate", tmp_path / "none.svg", "--out", tmp_path / "a.gif"), 1, "no such file")
        still = f"error: {tmp_path / 'a.ndjson'}: ndjson has strokes and no motion"
        told = visketch("animate", tmp_path / "cats.ndjson", "--out", tmp_path / "a.ndjson")
        assert one_line(told, 2).startswith(still)
        one_line(visketch("animate", tmp_path / "cats.ndjson", "--out", tmp_path / "a.mp4"), 2, ".gif")
        words = ("animate", tmp_path / "cats.ndjson", "--size", 2000, "--out", tmp_path / "a.gif")
        assert visketch(*words).exit_code == 0, "a sheet is shrunk"
        one_line(visketch(*words, "-n", 1, "--overwrite"), 2, "at most 1024")
        one_line(visketch(*words), 2, "exists already")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "blank.svg", "cats.ndjson"]
