"""Strokes from the command line: `visketch generate` as SVG and ndjson, and `visketch trace`."""

import json
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import full_disk, one_line, visketch
from PIL import Image

from visketch.data.made import facts
from visketch.data.read import read
from visketch.evaluate import styles
from visketch.geometry.sketch import fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has every part and draws nonsense."""
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny_model.small("name=random"))


def scan(path: Path, label: str = "cat", seed: int = 0) -> Path:
    """A drawing as a picture of 256 pixels."""
    styles.picture(drawings.draw(label, seed), styles.PEN).save(path)
    return path


class TestGenerate:
    def generate(self, folder: Path, *words: object) -> dict:
        result = visketch("generate", "-c", "cat", *words, "--json", "--coarse-only", "--checkpoint", folder)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def test_one_svg_is_as_large_as_asked_and_says_how_it_was_made(self, folder: Path, tmp_path: Path) -> None:
        said = self.generate(folder, "-n", 1, "--size", 300, "--seed", 5, "--out", tmp_path / "cat.svg")
        assert said["paths"] == [str(tmp_path / "cat.svg")]
        text = (tmp_path / "cat.svg").read_text()
        assert 'viewBox="0 0 300 300"' in text
        assert "&quot;" in text or '"seed": 5' in text
        (sketch,) = read(tmp_path / "cat.svg")
        points = np.concatenate(sketch.strokes or ())
        assert -5 <= points.min() < points.max() <= 305, "a traced end may lie beyond the edge by half a pen"

    def test_svg_and_png_show_the_same(self, folder: Path, tmp_path: Path) -> None:
        for name in ("cat.svg", "cat.png"):
            self.generate(folder, "-n", 1, "--out", tmp_path / name)
        strokes, ink = next(read(tmp_path / "cat.svg")).strokes, np.asarray(Image.open(tmp_path / "cat.png")) < 128
        points = np.concatenate(strokes or ()).astype(int).clip(0, 63)
        assert ink[points[:, 1], points[:, 0]].mean() > 0.95

    def test_many_in_one_file(self, folder: Path, tmp_path: Path) -> None:
        self.generate(folder, "-c", "star", "-n", 3, "--out", tmp_path / "all.ndjson")
        assert [sketch.label for sketch in read(tmp_path / "all.ndjson")] == ["cat"] * 3 + ["star"] * 3
        self.generate(folder, "-n", 4, "--out", tmp_path / "all.svg")
        assert (tmp_path / "all.svg").read_text().count("<g ") == 4
        assert sorted(path.name for path in tmp_path.iterdir()) == ["all.ndjson", "all.svg"]

    def test_a_folder_of_either(self, folder: Path, tmp_path: Path) -> None:
        self.generate(folder, "-c", "star", "-n", 2, "--out", tmp_path / "a", "--format", "svg")
        names = [path.name for path in sorted((tmp_path / "a").iterdir())]
        assert names == ["cat-0000.svg", "cat-0001.svg", "sheet.png", "star-0000.svg", "star-0001.svg"]
        said = self.generate(folder, "-c", "star", "-n", 2, "--out", tmp_path / "b", "--format", "ndjson")
        assert said["paths"] == [str(tmp_path / "b" / name) for name in ("cat.ndjson", "star.ndjson")]
        assert len(list(read(tmp_path / "b" / "cat.ndjson"))) == 2

    def test_after_a_failure_the_lines_are_whole_and_can_be_gone_on_with(self, folder: Path, tmp_path: Path) -> None:
        words = ("generate", "-c", "cat", "-n", 4, "--checkpoint", folder, "--out")
        whole = visketch(*words, tmp_path / "b.ndjson")
        assert whole.exit_code == 0
        lines = (tmp_path / "b.ndjson").read_bytes().splitlines(keepends=True)
        words = (*words, tmp_path / "a.ndjson")
        with full_disk(at=len(lines[0] + lines[1]) + 20):
            goes_on = "2 sketches are written; continue with --skip-done"
            one_line(visketch(*words), 1, "a.ndjson", "cannot be written", goes_on)
        assert len(list(read(tmp_path / "a.ndjson"))) == 2
        with (tmp_path / "a.ndjson").open("a") as file:
            file.write('{"word": "cut o')  # the process was killed while it wrote
        one_line(visketch(*words), 2, "exists already")
        one_line(visketch(*words, "--skip-done", "--steps", 3), 2, "made with steps = ", "not 3")
        assert visketch(*words, "--skip-done").exit_code == 0
        rows = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text().splitlines()]
        assert [row["seed"] for row in rows] == [0, 1, 2, 3]
        assert all(0 <= row["score"] <= 1 and row["made"]["checkpoint"] == "random" for row in rows)
        assert [row["drawing"] for row in rows] == [json.loads(line)["drawing"] for line in lines]
        assert "nothing new, 4 were there before" in visketch(*words, "--skip-done").stderr
        assert "1 new, 3 were there before" in visketch(*words, "--skip-done", "--seed", 1).stderr


def test_a_value_out_of_range_is_told_under_the_name_of_its_option(tmp_path: Path) -> None:
    settings = tiny_model.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2")
    words = ("generate", "-c", "cat", "-n", 1, "--out", tmp_path / "a.svg", "--checkpoint")
    words = (*words, tiny_model.write_checkpoint(tmp_path / "strokes", settings), "--detail")
    assert one_line(visketch(*words, 500), 2).startswith("error: --detail 500: at most 24 strokes")
    assert one_line(visketch(*words, "few", "--coarse", "field"), 2).startswith("error: --detail few: the coarse stage")


class TestTrace:
    def test_a_picture_becomes_an_svg_beside_us(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        scan(tmp_path / "scan.png")
        for expected in ("scan.svg", "scan-2.svg"):
            result = visketch("trace", "scan.png")
            assert result.exit_code == 0, result.output
            assert expected in result.stdout
        (sketch,) = read(tmp_path / "scan.svg")
        assert 6 <= len(sketch.strokes or ()) <= 24, "of the cat's 12 strokes"
        assert 'viewBox="0 0 256 256"' in (tmp_path / "scan.svg").read_text()

    def test_a_png_is_an_animation(self, tmp_path: Path) -> None:
        words = ("trace", scan(tmp_path / "scan.png"), "--out", tmp_path / "a.png")
        one_line(visketch(*words), 2, "a.png", "add --animate")
        assert visketch(*words, "--animate").exit_code == 0

    def test_many_to_a_folder_or_one_ndjson(self, tmp_path: Path) -> None:
        (tmp_path / "in/b").mkdir(parents=True)
        for name in ("in/cat.png", "in/b/cat.png"):
            scan(tmp_path / name)
        tiny_model.write_ndjson(tmp_path / "in/star.ndjson", drawings.draw_many(2, labels=("star",)))
        (tmp_path / "in/bad.png").write_text("no picture")
        for name in ("drawings.zip", "doc.pdf", "b/cat", ".hidden", "notes.txt"):
            (tmp_path / "in" / name).write_text("passed over")
        result = visketch("trace", tmp_path / "in", "--out", tmp_path / "out", "--json")
        assert result.exit_code == 1
        note = f"{tmp_path / 'in'}: 4 files were passed over: b/cat, doc.pdf, drawings.zip, ..."
        assert result.stderr.splitlines()[0] == note
        rows = json.loads(result.stdout)
        assert ["error" in row for row in rows] == [False, True, False, False, False]
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == ["cat-2.svg", "cat.svg", "star-1.svg", "star-2.svg"]
        visketch("trace", tmp_path / "in", "--out", tmp_path / "all.ndjson")
        assert len(list(read(tmp_path / "all.ndjson"))) == 4

    def test_what_the_coarse_stage_draws_is_written_as_it_is(self, tmp_path: Path) -> None:
        settings = tiny_model.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2")
        folder = tiny_model.write_checkpoint(tmp_path / "strokes", settings)
        from visketch.model import SketchModel

        model = SketchModel.load(folder)
        drawn = model.generate_fields("cat", 2, seed=5, steps=3, tries=1).strokes
        words = ("generate", "--class", "cat", "--checkpoint", folder, "--seed", 5, "--steps", 3, "--tries", 1)
        result = visketch(*words, "-n", 2, "--out", tmp_path / "two.ndjson", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["coarse"] == "strokes"
        for lines, written in zip(drawn or (), read(tmp_path / "two.ndjson"), strict=True):
            assert len(written.strokes or ()) == len(lines)
            for line, stroke in zip(fit(lines, 0.0), fit(written.strokes or (), 0.0), strict=True):
                np.testing.assert_allclose(line[[0, -1]], stroke[[0, -1]], atol=2 / 255)
        result = visketch(*words, "-n", 1, "--coarse", "field", "--out", tmp_path / "field.svg", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["coarse"] == "field"

    def test_strokes_stay_as_they_are(self, tmp_path: Path) -> None:
        sketch = drawings.draw("house")
        tiny_model.write_ndjson(tmp_path / "house.ndjson", [sketch])
        visketch("trace", tmp_path / "house.ndjson", "--out", tmp_path / "again.ndjson")
        (again,) = read(tmp_path / "again.ndjson")
        assert len(again.strokes or ()) == len(sketch.strokes or ())

    def test_the_class_is_that_of_the_file_and_never_its_name(self, tmp_path: Path) -> None:
        scan(tmp_path / "mm.png")
        line = {"word": "house", "drawing": [[[0, 90, 90, 9], [0, 0, 90, 60]]]}
        (tmp_path / "told.ndjson").write_text(json.dumps(line))
        for verb in ("trace", "animate"):
            for name, label in (("mm.png", None), ("told.ndjson", "house")):
                out = tmp_path / f"{verb}-{name}.svg"
                result = visketch(verb, tmp_path / name, "--out", out)
                assert result.exit_code == 0, result.output
                assert facts(out).get("class") == label
                assert ("<title>" in out.read_text()) == bool(label)

    def test_refusals(self, tmp_path: Path) -> None:
        scan(tmp_path / "a.png")
        scan(tmp_path / "b.png")
        one_line(visketch("trace", tmp_path / "a.png", "--out", tmp_path / "c.png"), 2, ".svg, .ndjson, .gif or .webp")
        one_line(visketch("trace", tmp_path / "a.png", tmp_path / "b.png"), 2, "--out")
        one_line(visketch("trace", tmp_path / "none.png", "--out", tmp_path / "c.ndjson"), 1, "no such file")
        two = (tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "c.svg")
        one_line(visketch("trace", *two), 2, "a folder or a .ndjson file")
        tiny_model.write_ndjson(tmp_path / "two.ndjson", drawings.draw_many(2))
        one_line(visketch("trace", tmp_path / "two.ndjson", "--out", tmp_path / "c.svg"), 2, "a .ndjson file")
        one_line(visketch("trace", tmp_path / "two.ndjson"), 2, "several drawings")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "two.ndjson"]

    def test_a_gif_always_moves(self, tmp_path: Path) -> None:
        scan(tmp_path / "a.png")
        assert visketch("trace", tmp_path / "a.png", "--out", tmp_path / "a.gif").exit_code == 0
        with Image.open(tmp_path / "a.gif") as picture:
            assert picture.n_frames > 1

    @pytest.mark.parametrize("name", ["../../escape", "/etc/escape", "..", ".hidden", "a\0b"])
    def test_no_name_leads_out_of_the_folder(self, name: str, folder: Path, tmp_path: Path) -> None:
        from visketch.cli.shared.filenames import stem, stem_of
        from visketch.cli.shared.generation import place_of

        out = tmp_path / "out"
        for made in (
            place_of(out, ".svg", stem(name), 0, alone=True),
            place_of(out, ".ndjson", stem(name), 0, alone=True),
            out / f"{stem_of(name)}.svg",
        ):
            assert made is not None
            assert made.resolve().parent == out
            assert made.name.isprintable()
        line = json.dumps({"word": name, "drawing": [[[0, 9], [0, 9]]]})
        (tmp_path / "words.ndjson").write_text(line)
        result = visketch("trace", tmp_path / "words.ndjson", "--out", out)
        assert result.exit_code == 0, result.output
        assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"words.ndjson", "words-1.svg"}
