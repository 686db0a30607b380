"""Turning one drawing into another: matched strokes, the steps between, and the verb."""

import json
from pathlib import Path
from typing import Any

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import one_line, visketch
from PIL import Image

from visketch.errors import UsageError, VisketchError
from visketch.geometry.pieces import POINTS, TOLERANCE, cut, fitted, simplified, spread
from visketch.geometry.sketch import Sketch, fit
from visketch.model import SketchModel
from visketch.models.strokes import StrokeDiffusion
from visketch.render.morphing import smoothed, svg
from visketch.tasks.like import like
from visketch.tasks.morph import STRENGTH, Morph, matched, morph

STROKES = ("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2", "diffusion.pieces=20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("strokes"), tiny_model.small(*STROKES))


@pytest.fixture(scope="module")
def model(folder: Path) -> SketchModel:
    return SketchModel.load(folder)


def test_an_animation_follows_the_curves_of_its_strokes() -> None:
    few, more = (drawings.arc(0, 0, 1, points=count).astype(np.float32) for count in (13, 25))
    dot = np.zeros((1, 2), np.float32)
    steps = smoothed(Morph([[few, dot], [more, dot]]), 0.1).steps
    assert len(steps[0][0]) == len(steps[1][0]) > 100
    for ring, _ in steps:
        way = np.diff(ring, axis=0) / np.linalg.norm(np.diff(ring, axis=0), axis=1)[:, None]
        assert (way[1:] * way[:-1]).sum(axis=1).min() > np.cos(np.radians(12)), "the first has turns of 30 degrees"
    assert np.abs(steps[0][0] - steps[1][0]).max() < 0.05, "both begin where the strokes do"


def test_strokes_become_those_that_are_nearest_whatever_their_order_and_direction() -> None:
    lines = [np.array([[x, 0], [x, 1]], np.float32) for x in (-1.0, 0.0, 1.0)]
    other = [lines[2][::-1] * 0.9, lines[0], lines[1]]
    starts, ends, joined = matched(cut(lines), cut(other), most=20)
    assert not joined.any()
    assert np.abs(starts - ends).max() < 0.11


def test_a_drawing_of_fewer_strokes_has_its_longest_cut() -> None:
    circle, cat = (fitted(drawings.draw(name).lines(), 20) for name in ("circle", "cat"))
    starts, ends, joined = matched(circle, cat, most=20)
    assert starts.shape == ends.shape == (len(joined), POINTS, 2)
    assert len(joined) <= 20
    radius = np.linalg.norm((starts - starts.reshape(-1, 2).mean(axis=0)).reshape(-1, 2), axis=1)
    assert radius.min() > 0.6, "still the circle"


def test_spread_keeps_vertices_while_there_is_room() -> None:
    corner = np.array([[0, 0], [1, 0], [1, 1]], np.float32)
    pieces = spread(corner, 2)
    assert pieces.shape == (2, POINTS, 2)
    np.testing.assert_array_equal(pieces[0, -1], pieces[1, 0])
    assert (pieces.reshape(-1, 2) == [1, 0]).all(axis=1).any()
    long = np.stack([np.arange(90.0), np.zeros(90)], axis=1).astype(np.float32)
    np.testing.assert_allclose(spread(long, 1)[0, [0, -1]], long[[0, -1]])


def test_the_ends_are_the_drawings_and_every_step_has_the_same_points(model: SketchModel) -> None:
    cat, house = drawings.draw("cat"), drawings.draw("house")
    found = morph(model, cat, house, ("cat", "house"), steps=6)
    shapes = {tuple(len(stroke) for stroke in strokes) for strokes in found.steps}
    assert (len(found.steps), len(shapes)) == (6, 1)
    for sketch, step in ((cat, found.steps[0]), (house, found.steps[-1])):
        own = np.concatenate(simplified([2 * line - 1 for line in fit(sketch.lines(), 0.0)], TOLERANCE))
        points = np.concatenate(step)
        assert np.linalg.norm(own[:, None] - points[None], axis=2).min(axis=1).max() < 0.12
    same = morph(model, cat, house, ("cat", "house"), steps=6)
    other = morph(model, cat, house, ("cat", "house"), steps=6, seed=1)
    np.testing.assert_array_equal(np.concatenate(same.steps[3]), np.concatenate(found.steps[3]))
    assert np.abs(np.concatenate(other.steps[3]) - np.concatenate(found.steps[3])).max() > 1e-3
    np.testing.assert_allclose(np.concatenate(found.between(0.4)), np.concatenate(found.steps[2]), atol=1e-6)


def test_without_strength_points_go_straight_and_with_it_each_step_is_of_the_nearer_class(
    model: SketchModel, monkeypatch
) -> None:
    cat, star = drawings.draw("cat"), drawings.draw("star")
    straight = morph(model, cat, star, ("cat", "star"), steps=3, strength=0.0)
    first, middle, last = (np.concatenate(step) for step in straight.steps)
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1e-5)
    heard: list[list[int]] = []
    guided = StrokeDiffusion.guided

    def listening(self, x, time, label, *more):
        heard.append(label.tolist())
        return guided(self, x, time, label, *more)

    monkeypatch.setattr(StrokeDiffusion, "guided", listening)
    morph(model, cat, star, ("cat", "star"), steps=6)
    assert heard == [[0, 0, 2, 2]] * round(STRENGTH * model.config.diffusion.steps)


def test_refusals(model: SketchModel) -> None:
    cat = drawings.draw("cat")
    scribble = Sketch(strokes=tuple(np.random.default_rng(0).normal(size=(2000, 4, 2)).astype(np.float32)), source="s")
    for wrong in ({"steps": 1}, {"steps": 1000}, {"strength": 1.0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            morph(model, cat, cat, ("cat", "cat"), **wrong)
    with pytest.raises(VisketchError, match="s: 2,000 strokes: at most 20 can be changed; use a simpler drawing"):
        morph(model, cat, scribble, ("cat", "cat"))


@pytest.mark.parametrize("wrong", [{"detail": "few"}, {"detail": 3}, {"coarse": "field"}])
def test_a_variation_refuses_what_it_could_not_follow(model: SketchModel, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} = .*: a variation "):
        like(model, drawings.draw("cat"), "cat", **wrong)


class TestVerb:
    def test_files_and_classes_as_sheet_gif_and_svg(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        for label in ("cat", "house"):
            tiny_model.write_ndjson(tmp_path / f"{label}.ndjson", [drawings.draw(label)])
        result = visketch("morph", "cat.ndjson", "house.ndjson", "--steps", 5, "--size", 64, "--checkpoint", folder)
        assert result.exit_code == 0, result.output
        assert "seed 0 · the steps look like " in result.stderr
        assert Image.open("cat-house.png").size == (3 * 68 + 4, 2 * 68 + 4)
        words = ("morph", "--from", "cat", "--to", "star", "--seed", 7, "--size", 64, "--checkpoint", folder, "--json")
        said = json.loads(visketch(*words, "--out", "a.gif").stdout)
        assert said["classes"] == ["cat", "star"]
        for named in (("--class", "cat,cat"), ("-c", "cat", "-c", "cat")):
            twice = visketch("morph", "cat.ndjson", "house.ndjson", *named, "--steps", 2, *words[7:])
            assert json.loads(twice.stdout)["classes"] == ["cat", "cat"]
        assert len(said["drawings"]) == 12
        with Image.open("a.gif") as picture:
            assert picture.n_frames > 60
        assert visketch(*words, "--out", "a.svg").exit_code == 0
        text = Path("a.svg").read_text()
        assert text.count("<animate ") >= 2
        assert "prefers-reduced-motion" in text

    def test_refusals(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        tiny_model.write_ndjson(tmp_path / "cat.ndjson", [drawings.draw("cat")])
        Path("blank.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
        weights = ("--checkpoint", folder)
        one_line(visketch("morph", *weights), 2, "name two drawings")
        one_line(visketch("morph", "cat.ndjson", *weights), 2, "1 drawing named")
        one_line(visketch("morph", "cat.ndjson", "cat.ndjson", "--from", "cat", *weights), 2, "not both")
        one_line(visketch("morph", "--from", "cat", *weights), 2, "--to")
        one_line(visketch("morph", "cat.ndjson", "cat.ndjson", "-c", "cat", *weights), 2, "--class")
        one_line(visketch("morph", "cat.ndjson", "cat.ndjson", "-c", "cat,", *weights), 2, "a name is empty")
        one_line(visketch("morph", "cat.ndjson", "blank.svg", *weights), 1, "blank.svg", "blank")
        one_line(visketch("morph", "cat.ndjson", "none.svg", *weights), 1, "no such file")
        one_line(visketch("morph", "--from", "cat", "--to", "star", "--out", "a.ndjson", *weights), 2, ".gif")
        one_line(visketch("morph", "--from", "cat", "--to", "star", "--out", "none/../cat.ndjson", *weights), 2)
        pixels = tiny_model.write_checkpoint(tmp_path / "pixels", tiny_model.small("name=pixels"))
        one_line(visketch("morph", "--from", "cat", "--to", "star", "--checkpoint", pixels), 2, "draws no strokes")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.svg", "cat.ndjson", "pixels"]


def test_the_svg_has_the_same_commands_in_every_step(model: SketchModel) -> None:
    found = morph(model, drawings.draw("cat"), drawings.draw("star"), ("cat", "star"), steps=4)
    text = svg(found, 128, 0.03, {"classes": ["cat", "star"]})
    for values in text.split('values="')[1:]:
        paths = values.split('"')[0].split(";")
        assert len(paths) == 2 * 4 + 2
        assert len({path.count("L") for path in paths}) == 1
