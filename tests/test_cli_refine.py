"""`visketch refine` and `visketch complete`: what they write and say, and what they refuse in one line."""

import json
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import one_line, visketch
from PIL import Image

from visketch.cli.complete import in_percent
from visketch.cli.shared.filenames import stem_of
from visketch.data.read import read
from visketch.model import Prediction
from visketch.tasks.complete import spread


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has every part and draws nonsense."""
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny_model.small("name=random"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `in/cat.ndjson`, which has two cats."""
    tiny_model.write_ndjson(tmp_path / "in/cat.ndjson", drawings.draw_many(2, labels=("cat",)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def svg(path: Path, label: str) -> Path:
    strokes = drawings.draw(label).strokes or ()
    paths = " ".join("M" + " L".join(f"{x:.0f} {y:.0f}" for x, y in stroke) for stroke in strokes)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg"><path d="{paths}" stroke="black" fill="none"/></svg>')
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


class TestRefine:
    def test_one_sketch(self, folder: Path, here: Path) -> None:
        svg(here / "star.svg", "star")
        for name in ("star-refined.png", "star-refined-2.png"):
            result = visketch("refine", "star.svg", "--checkpoint", folder)
            assert result.exit_code == 0, result.output
            assert name in result.stdout
            assert "guess" in result.stdout
            assert pixels(here / name).shape == (64, 64)
        with Image.open(here / name) as picture:
            assert json.loads(picture.info["Description"])["of"] == "star.svg"

    def test_several_and_one_that_cannot_be_read(self, folder: Path, here: Path) -> None:
        (here / "bad.png").write_text("no picture")
        words = ("refine", "in", "bad.png", "in/cat.ndjson", "--class", "cat", "--checkpoint", folder, "--json")
        result = visketch(*words)
        assert result.exit_code == 1
        assert "bad.png: not a picture" in result.stderr
        said = json.loads(result.stdout)
        names = ["cat-1-refined.png", "cat-2-refined.png", None, "cat-1-refined-2.png", "cat-2-refined-2.png"]
        assert [Path(row["out"]).name if "out" in row else None for row in said["sketches"]] == names
        assert {path.name for path in (here / "refined").iterdir()} == {*filter(None, names), "sheet.png"}
        assert said["sketches"][0]["class"] == "cat"
        assert said["sketches"][0]["guessed"] is None
        assert "error" in said["sketches"][2]
        assert (here / "refined/cat-1-refined.png").read_bytes() == (here / "refined/cat-1-refined-2.png").read_bytes()

    def test_what_lies_in_the_folder_stays(self, folder: Path, here: Path) -> None:
        before = svg(here / "in/star.svg", "star").read_text()
        visketch("refine", "in", "--out", "in", "--checkpoint", folder, "--strength", 0)
        assert (here / "in/star.svg").read_text() == before
        names = {"cat.ndjson", "star.svg", "cat-1-refined.png", "cat-2-refined.png", "star-refined.png", "sheet.png"}
        assert {path.name for path in (here / "in").iterdir()} == names

    def test_a_second_run_does_not_refine_its_own_results(self, folder: Path, here: Path) -> None:
        svg(here / "cat.svg", "cat")
        words = ("--class", "cat", "--checkpoint", folder)
        for kind in ("png", "svg"):
            result = visketch("refine", ".", *words, "--format", kind, "--json")
            assert {row["path"] for row in json.loads(result.stdout)["sketches"]} == {
                "cat.svg", "in/cat.ndjson#1", "in/cat.ndjson#2"
            }  # fmt: skip
        again = visketch("refine", ".", *words, "--json")
        assert "8 files were passed over, since refine wrote them: refined" in again.stderr
        assert len(json.loads(again.stdout)["sketches"]) == 3
        assert "passed over" not in visketch("refine", "refined/cat-refined.png", *words).stderr, "it is named"
        nothing = visketch("refine", "refined", *words)
        assert nothing.exit_code == 1
        assert "refine wrote all of its drawings" in nothing.stderr

    def test_beside_what_it_was(self, folder: Path, here: Path) -> None:
        svg(here / "star.svg", "star")
        visketch("refine", "star.svg", "--compare", "--out", "both.png", "--checkpoint", folder)
        high, wide, _ = pixels(here / "both.png").shape
        assert wide > 1.8 * high
        one_line(visketch("refine", "in", "--compare", "--checkpoint", folder), 2, "--compare is for one")

    def test_the_coarse_stage_is_skipped_unless_there_is_a_strength(self, folder: Path, here: Path) -> None:
        words = ("refine", svg(here / "cat.svg", "cat"), "--class", "cat", "--steps", 3, "--checkpoint", folder)
        skipped = visketch(*words, "--guidance", 9, "--json")
        assert "the coarse stage, which is skipped; add --strength" in skipped.stderr
        assert not {"coarse", "steps", "guidance"} & json.loads(skipped.stdout).keys()
        used = visketch(*words, "--strength", 0.5, "--json")
        assert used.stderr == ""
        assert json.loads(used.stdout)["steps"] == 3

    def test_several_drawings_on_a_page_are_told(self, folder: Path, here: Path) -> None:
        tiny_model.write_ndjson(here / "page.ndjson", [drawings.two_on_a_page()])
        words = ("refine", "page.ndjson", "--class", "cat", "--checkpoint", folder)
        assert "2 separate drawings, refined as one; crop each into its own file" in visketch(*words).stderr
        (row,) = json.loads(visketch(*words, "--json").stdout)["sketches"]
        assert row["separate"] == 2

    def test_a_sheet_of_some_says_so(self, folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        words = ("refine", "in", "--class", "cat", "--checkpoint", folder, "--out")
        assert visketch(*words, "all.png").stdout.endswith("before and after: all.png\n")
        monkeypatch.setattr("visketch.render.compare.MOST", 1)
        assert visketch(*words, "some.png").stdout.endswith("before and after: some.png (the first 1 of 2)\n")
        assert json.loads(visketch(*words, "more.png", "--json").stdout)["on_sheet"] == 1
        assert "which shows the first 64" in visketch("refine", "--help").stdout.replace("\n  ", " ")

    def test_sizes(self, folder: Path, here: Path) -> None:
        svg(here / "star.svg", "star")
        words = ("refine", "star.svg", "--checkpoint", folder, "--strength", 0, "--json")
        said = json.loads(visketch(*words, "--canvas", 256, "--out", "fine.png").stdout)
        assert (said["canvas"], said["size"]) == (256, 256)
        visketch(*words, "--size", 256, "--out", "bold.png")
        fine, bold = (255 - pixels(here / name) for name in ("fine.png", "bold.png"))
        assert fine.shape == bold.shape == (256, 256)
        assert fine.sum() < bold.sum(), "a finer pen"
        one_line(visketch(*words[:4], "--canvas", 100), 2, "a canvas of 100 pixels")

    def test_refuses(self, folder: Path, here: Path) -> None:
        one_line(visketch("refine", "in", "--class", "catt", "--checkpoint", folder), 2, "'catt'", "cat")
        one_line(visketch("refine", "in", "--class", "cat,star"), 2, "--class cat,star: this command takes one class")
        one_line(visketch("refine", "in", "--strength", 2, "--checkpoint", folder), 2, "strength")
        one_line(visketch("refine", "in", "--out", "x.jpg", "--checkpoint", folder), 2, "x.jpg", ".png")
        one_line(visketch("refine", "none.png", "--checkpoint", folder), 1, "none.png: no such file")
        assert [path.name for path in here.iterdir()] == ["in"]

    def test_names_for_files(self) -> None:
        names = {"scans/cat.ndjson#3": "cat-3", "-": "standard-input", "-#2": "standard-input-2"}
        names |= {
            "a b (1).png": "a b (1)",
            "a/fish.svg.gz": "fish",
            "a:b?.png": "a_b_",
            "scan 2.ndjson.gz#2": "scan 2-2",
        }
        assert {name: stem_of(name) for name in names} == names


class TestComplete:
    words = ("complete", "in/cat.ndjson", "--steps", 2, "--tries", 2)

    def test_a_folder_of_all(self, folder: Path, here: Path) -> None:
        result = visketch(*self.words, "--class", "cat", "--class", "star", "-n", 3, "--checkpoint", folder, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        found = said["completions"]
        assert sorted(row["class"] for row in found) == ["cat", "cat", "star"]
        assert [row["probability"] for row in found] == sorted((row["probability"] for row in found), reverse=True)
        assert [row["kept"] for row in found] == [1, 1, 1]
        assert {row["seed"] for row in found} == {0, 1, 2}
        assert all(0 < row["added"] < 1 for row in found)
        names = [f"{number:02d}-{row['class']}.png" for number, row in enumerate(found, 1)]
        assert {path.name for path in (here / "cat-completed").iterdir()} == {*names, "sheet.png"}
        assert said["proposed"] == []
        sheet = pixels(here / "cat-completed/sheet.png")
        blue = (sheet[..., 2] > 180) & (sheet[..., 0] < 80)
        assert blue.any()
        assert (sheet.max(axis=2) < 40).any()
        first = sheet[16:272, 16:272]
        assert not ((first[..., 2] - first[..., 0]) > 20).any(), "the part alone comes first"

    def test_the_given_ink_is_on_the_picture_where_it_is_said_to_be(self, folder: Path, here: Path) -> None:
        said = json.loads(visketch(*self.words, "-n", 2, "--checkpoint", folder, "--json").stdout)
        points = np.concatenate(next(iter(read(here / "in/cat.ndjson"))).lines())
        for row in said["completions"]:
            place = row["place"]
            at = (points * place["scale"] + (place["x"], place["y"])) * 64
            assert (pixels(Path(row["path"]))[at[:, 1].astype(int), at[:, 0].astype(int)] < 128).all()
        assert sum(guess["probability"] for guess in said["proposed"]) == pytest.approx(1, abs=1e-4)

    def test_a_single_one(self, folder: Path, here: Path) -> None:
        result = visketch(*self.words, "-n", 1, "--size", 100, "--checkpoint", folder)
        assert "may become" in result.stdout
        assert pixels(here / "cat-completed.png").shape == (100, 100)
        assert {path.name for path in here.iterdir()} == {"in", "cat-completed.png"}

    def test_several_drawings_on_a_page_are_told(self, folder: Path, here: Path) -> None:
        tiny_model.write_ndjson(here / "page.ndjson", [drawings.two_on_a_page()])
        words = ("complete", "page.ndjson", "--class", "cat", "-n", 1, "--steps", 2)
        words = (*words, "--tries", 1, "--checkpoint", folder)
        told = visketch(*words)
        assert "2 separate drawings, completed as one; crop each into its own file" in told.stderr
        assert "sketch" in told.stdout.splitlines()[0]
        on_sheet = visketch(*words, "-n", 2, "--out", "two.png").stdout
        assert on_sheet.startswith("class"), "no empty column for files"
        assert json.loads(visketch(*words, "--json").stdout)["separate"] == 2

    def test_the_coarse_stage_can_be_chosen(self, here: Path) -> None:
        settings = tiny_model.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2")
        strokes = tiny_model.write_checkpoint(here / "strokes", settings)
        words = ("complete", svg(here / "cat.svg", "cat"), "--class", "cat", "-n", 1, "--steps", 2, "--tries", 1)
        for coarse in ("strokes", "field"):
            result = visketch(*words, "--coarse", coarse, "--temperature", 1, "--checkpoint", strokes, "--json")
            assert result.exit_code == 0, result.output
            assert json.loads(result.stdout)["coarse"] == coarse
            assert ("--temperature" in result.stderr) == (coarse == "strokes"), "strokes are not refined"

    def test_guesses_of_no_percent_are_not_shown(self) -> None:
        shares = {"house": 0.97, "barn": 0.026, "church": 0.004}
        guesses = [{"label": label, "probability": share} for label, share in shares.items()]
        assert in_percent(guesses) == "house 97 %, barn 3 %"

    def test_a_sheet_of_some_says_so(self, folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        words = (*self.words, "--class", "cat", "-n", 3, "--checkpoint", folder, "--out")
        assert "all on one sheet: all.png\n" in visketch(*words, "all.png").stdout
        monkeypatch.setattr("visketch.render.compare.MOST", 2)
        assert "all on one sheet: some.png (the first 2 of 3)\n" in visketch(*words, "some.png").stdout
        assert json.loads(visketch(*words, "more.png", "--json").stdout)["on_sheet"] == 2

    def test_refuses(self, folder: Path, here: Path) -> None:
        (here / "bad.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        one_line(visketch("complete", "bad.svg", "--checkpoint", folder), 1, "bad.svg: blank")
        one_line(visketch("complete", "none.svg", "--checkpoint", folder), 1, "none.svg: no such file")
        one_line(visketch(*self.words, "--class", "catt", "--checkpoint", folder), 2, "'catt'")
        for name in ("cz.svg", "cz.ndjson", "cz.gif"):
            instead = f"{name}: holds one completion; use -n 1, or name a folder and --format {name[3:]}"
            one_line(visketch(*self.words, "-n", 2, "--out", name, "--checkpoint", folder), 2, instead)
        moving = ("-n", 2, "--animate", "--out", "cz.png", "--checkpoint", folder)
        one_line(visketch(*self.words, *moving), 2, "cz.png: a sheet stands still; use -n 1, name a folder, or leave")
        assert {path.name for path in here.iterdir()} == {"in", "bad.svg"}

    def test_classes_are_as_many_as_they_are_likely(self) -> None:
        proposed = [Prediction("cat", 0.6), Prediction("dog", 0.3), Prediction("owl", 0.05)]
        assert spread(proposed, 1) == ["cat"]
        assert spread(proposed, 9) == ["cat"] * 6 + ["dog"] * 3
