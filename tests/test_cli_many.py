"""`visketch generate` with a stage of strokes: many classes, more or less detail, and variations of a drawing."""

import json
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch

from visketch import checkpoint
from visketch.data.read import read
from visketch.errors import UsageError
from visketch.evaluate import styles
from visketch.geometry.pieces import fitted
from visketch.geometry.sketch import Sketch, fit
from visketch.model import SketchModel
from visketch.models.strokes import StrokeDiffusion, between
from visketch.tasks.like import like

SETTINGS = tiny_model.small(
    "diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2", "diffusion.pieces=20"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that draws nonsense as strokes and has no refiner."""
    home = tiny_model.write_checkpoint(tmp_path_factory.mktemp("strokes"), SETTINGS)
    checkpoint.part_file(home, "refiner").unlink()
    return home


@pytest.fixture(scope="module")
def model(folder: Path) -> SketchModel:
    return SketchModel.load(folder)


def generate(folder: Path, *words: object) -> dict:
    result = visketch("generate", *words, "--steps", 2, "--tries", 1, "--json", "--checkpoint", folder)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_several_classes_and_all_of_them(folder: Path, tmp_path: Path) -> None:
    said = generate(folder, "--class", "stars, cat", "-n", 2, "--out", tmp_path / "a.ndjson")
    assert [row["class"] for row in said["sketches"]] == ["star", "star", "cat", "cat"]
    assert all(0 <= row["score"] <= 1 for row in said["sketches"])
    said = generate(folder, "--class", "all", "-n", 1, "--out", tmp_path / "b.gif")
    assert {row["class"] for row in said["sketches"]} == set(tiny_model.LABELS)
    for word in ("cat,", "  ", "cat, ,owl"):
        one_line(visketch("generate", "--class", word, "--checkpoint", folder), 2, "a name is empty")
    one_line(visketch("generate", "--class", "cat,hous", "--checkpoint", folder), 2, "'house'")
    one_line(visketch("generate", "--checkpoint", folder), 2, "--class", "--like")
    one_line(visketch("generate", "--class", "cat", "-n", 0, "--checkpoint", folder), 2, "-n")


@pytest.mark.parametrize("name", ["pets.ndjson", "pets.gif"])
@pytest.mark.parametrize(
    "words",
    [
        ("complete", "{}"),
        ("generate", "--like", "{}"),
        ("morph", "{}", "{}"),
    ],
)
def test_of_several_drawings_the_first_is_used_and_that_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pets = drawings.draw_many(2, labels=("cat",))
    first, *others = (styles.picture(pet, styles.PEN) for pet in pets)
    for count in (2, 1):
        tiny_model.write_ndjson(tmp_path / "pets.ndjson", pets[:count])
        first.save("pets.gif", save_all=True, append_images=others[: count - 1])
        result = visketch(*(word.format(name) for word in words), "--checkpoint", folder)
        assert result.exit_code == 0, result.output
        assert (f"{name}: several drawings; only the first is used\n" in result.stderr) == (count == 2)


def test_strokes_are_refined_only_on_request(folder: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.svg"):  # without a refiner
        assert not generate(folder, "--class", "cat", "-n", 1, "--out", tmp_path / name)["refine"]
    one_line(visketch("generate", "--class", "cat", "--refine", "--checkpoint", folder), 1, "refiner")
    whole = tiny_model.write_checkpoint(tmp_path / "whole", SETTINGS)
    drawn = generate(whole, "--class", "cat", "-n", 1, "--out", tmp_path / "drawn.svg")
    refined = generate(whole, "--class", "cat", "-n", 1, "--refine", "--out", tmp_path / "refined.svg")
    assert (drawn["refine"], refined["refine"]) == (False, True)
    one, other = ("".join((tmp_path / name).read_text().split("<path")[1:]) for name in ("drawn.svg", "refined.svg"))
    assert one != other, "a refined sketch is written as it was refined, in every format"
    model = SketchModel.load(whole)
    for refine in (None, True, False):
        assert (model.generate_fields("cat", steps=2, refine=refine).strokes is None) == (refine is True)
    usual, refined, coarse = (
        model.generate_fields("cat", steps=2, refine=refine, coarse="field").canvas for refine in (None, True, False)
    )
    assert torch.equal(usual, refined), "a field is refined by default"
    assert not torch.equal(usual, coarse)


def test_detail_says_how_many_strokes(folder: Path, model: SketchModel, tmp_path: Path) -> None:
    generate(folder, "--class", "cat", "-n", 3, "--detail", 5, "--out", tmp_path / "five.ndjson")
    assert all(len(sketch.strokes or ()) <= 5 for sketch in read(tmp_path / "five.ndjson"))
    for detail, words in (("0", "from 1"), ("some", "few, usual, many"), ("21", "at most 20")):
        out = tmp_path / "no.svg"
        one_line(
            visketch("generate", "--class", "cat", "--detail", detail, "--out", out, "--checkpoint", folder), 2, words
        )
        assert not out.exists()
    with pytest.raises(UsageError, match="draws no strokes that could be counted"):
        model.generate_fields("cat", detail="few", coarse="field")
    with pytest.raises(UsageError, match="detail = 0"):
        model.generate_fields("cat", detail=0)


def test_few_and_many_are_the_quarters_of_what_is_usual() -> None:
    network = tiny_model.awake(SETTINGS, "diffusion")
    assert isinstance(network, StrokeDiffusion)
    network.histogram[:] = torch.tensor([0.0, *[1.0] * 20])
    label = torch.zeros(200, dtype=torch.long)
    counts = {
        detail: [
            rows.shape[1]
            for rows in network.noise(label, [torch.Generator().manual_seed(i) for i in range(200)], detail=detail)
        ]
        for detail in ("few", "usual", "many", 7)
    }
    assert set(counts["few"]) == {1, 2, 3, 4, 5}
    assert set(counts["many"]) == {16, 17, 18, 19, 20}
    assert min(counts["usual"]) < 4 < 17 < max(counts["usual"])
    assert set(counts[7]) == {7}
    torch.testing.assert_close(between(torch.tensor([1.0, 1.0, 2.0]), 0.0, 0.25), torch.tensor([0.25, 0.0, 0.0]))


def test_variations_stay_near_the_drawing_as_far_as_the_strength_says(model: SketchModel, monkeypatch) -> None:
    """The network here returns what it sees, so the noise that remains is what the strength says."""
    monkeypatch.setattr(StrokeDiffusion, "guided", lambda self, x, *_: x)
    cat = drawings.draw("cat")
    own = np.concatenate(fit(cat.lines(), 0.0))

    def off(strength: float) -> float:
        drawn = like(model, cat, "cat", strength=strength, steps=20, tries=1, refine=False).strokes
        assert drawn
        points = np.concatenate(fit(drawn[0], 0.0))
        return float(np.linalg.norm(points[:, None] - own[None], axis=2).min(axis=1).mean())

    assert off(0.0) < 0.03
    assert off(0.05) < off(0.2) < off(0.9)
    with pytest.raises(UsageError, match="strength = 2"):
        off(2.0)


def test_a_variation_has_its_seed_and_the_command_line_says_so(
    folder: Path, model: SketchModel, tmp_path: Path
) -> None:
    tiny_model.write_ndjson(tmp_path / "cat.ndjson", [drawings.draw("cat")])
    words = ("--like", tmp_path / "cat.ndjson", "--strength", 0.5)
    said = generate(folder, *words, "-n", 2, "--class", "cat", "--out", tmp_path / "two.ndjson")
    assert (said["like"], said["strength"]) == ("cat.ndjson", 0.5)
    generate(folder, *words, "-n", 1, "--seed", 1, "--class", "cat", "--out", tmp_path / "second.ndjson")
    second, same = list(read(tmp_path / "two.ndjson"))[1], next(read(tmp_path / "second.ndjson"))
    for line, other in zip(second.strokes or (), same.strokes or (), strict=True):
        np.testing.assert_allclose(line, other, atol=1)
    words = ("generate", *words, "-n", 1, "--out", tmp_path / "guessed.svg", "--checkpoint", folder)
    assert "the classifier's guess, " in (told := visketch(*words).stderr)
    assert "% sure; name the class with --class\n" in told


def test_what_cannot_be_varied_is_said(folder: Path, tmp_path: Path) -> None:
    scribble = Sketch(strokes=tuple(np.random.default_rng(0).integers(0, 255, (2000, 4, 2)).astype(np.float32)))
    tiny_model.write_ndjson(tmp_path / "scribble.ndjson", [scribble])
    (tmp_path / "blank.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
    words = ("generate", "--class", "cat", "--checkpoint", folder, "--out", tmp_path / "a.svg", "--like")
    one_line(visketch(*words, tmp_path / "scribble.ndjson"), 1, "scribble.ndjson", "2,000 strokes: at most 20 can be")
    one_line(visketch(*words, tmp_path / "blank.svg"), 1, "blank")
    one_line(visketch(*words[:3], "--strength", 0.4, "--checkpoint", folder), 2, "--like")
    pixels = tiny_model.write_checkpoint(tmp_path / "pixels", tiny_model.small("name=pixels"))
    words = ("generate", "--class", "cat", "--checkpoint", pixels, "--like", tmp_path / "scribble.ndjson")
    one_line(visketch(*words), 2, "'pixels' draws no strokes")


def test_a_drawing_of_long_lines_is_simplified_until_it_fits() -> None:
    wave = np.stack([np.linspace(0, 100, 400), 30 * np.sin(np.linspace(0, 60, 400))], axis=1)
    whole = fitted([wave.astype(np.float32)], 100)
    assert len(whole) > 3, "it would not fit as it is"
    assert len(fitted([wave.astype(np.float32)], 3)) <= 3
