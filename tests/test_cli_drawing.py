"""`visketch generate`, `classify` and `show`: what they promise to programs, and what they refuse in one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import full_disk, one_line, visketch
from PIL import Image
from typer.testing import CliRunner, Result

from visketch import checkpoint
from visketch.cli.main import app
from visketch.cli.shared import console
from visketch.cli.shared import filenames as names
from visketch.cli.shared import generation as drawing
from visketch.cli.shared.dataset import Dataset
from visketch.cli.shared.outputs import Outputs, parse_out
from visketch.errors import VisketchError

CONFIG = tiny_model.small("name=random")
WHOLE = "interrupted; the files that were written are complete"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has every part and draws nonsense."""
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), CONFIG)


@pytest.fixture
def cats(tmp_path: Path) -> dict[str, Path]:
    """One cat in several kinds of file."""
    strokes = drawings.draw("cat").strokes or ()
    lines = [[stroke[:, 0].tolist(), stroke[:, 1].tolist()] for stroke in strokes]
    paths = " ".join("M" + " L".join(f"{x:.0f} {y:.0f}" for x, y in stroke) for stroke in strokes)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><path d="{paths}" stroke="black" fill="none"/></svg>'
    files = {kind: tmp_path / f"cat.{kind}" for kind in ("svg", "png", "ndjson")}
    files["svg"].write_text(svg)
    files["ndjson"].write_text(f"{json.dumps({'drawing': lines})}\n" * 3)
    picture(files["png"])
    return files


def picture(path: Path, mode: str = "L", **saving: object) -> Path:
    """Save a picture of a cross, black on white, in any mode."""
    pixels = np.full((90, 120), 255, np.uint8)
    pixels[40:44, 10:110] = pixels[10:80, 60:64] = 0
    Image.fromarray(pixels).convert(mode).save(path, **saving)
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


class TestGenerate:
    def test_a_folder_gets_every_sketch_and_a_sheet(self, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "new" / "pets"
        result = visketch(
            "generate", "--class", "cat", "--class", "star", "-n", 3, "--out", out, "--checkpoint", folder
        )
        assert result.exit_code == 0, result.output
        names = [f"{name}-000{i}.png" for name in ("cat", "star") for i in range(3)]
        assert sorted(path.name for path in out.iterdir()) == sorted([*names, "sheet.png"])
        assert str(out / "sheet.png") in result.stdout
        for name in names:
            with Image.open(out / name) as sketch:
                assert (sketch.size, sketch.mode) == ((64, 64), "L")
                facts = json.loads(sketch.info["Description"])
            assert (facts["class"], facts["seed"]) == (name[:-9], int(name[-5]))
        assert pixels(out / "cat-0000.png").max() == 255, "the paper is white"

    def test_a_folder_that_has_sketches_already(self, folder: Path, tmp_path: Path) -> None:
        """Other sketches are put beside them, with a sheet of their own. The same names are refused."""
        for label in ("cat", "star"):
            result = visketch("generate", "-c", label, "-n", 2, "-o", tmp_path, "--checkpoint", folder)
            assert result.exit_code == 0, result.output
        assert str(tmp_path / "sheet-2.png") in result.stdout
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        assert len(before) == 6
        words = ("generate", "-c", "cat", "-n", 1, "-o", tmp_path, "--checkpoint", folder)
        one_line(visketch(*words), 2, "cat-0000.png: exists already", "another name", "--overwrite")
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert visketch(*words, "--overwrite", "--seed", 5).exit_code == 0
        changed = {path.name for path in tmp_path.iterdir() if path.read_bytes() != before.get(path)}
        assert changed == {"cat-0000.png", "sheet.png"}

    def test_a_sheet_of_several_classes_has_their_names(self, folder: Path, tmp_path: Path) -> None:
        words = ("-n", 2, "--size", 96, "--checkpoint", folder)
        for label in ("house", "star"):
            out = tmp_path / f"{label}.png"
            assert visketch("generate", "-c", "cat", "-c", label, "-o", out, *words).exit_code == 0
        one, other = (pixels(tmp_path / f"{label}.png") for label in ("house", "star"))
        strip = 15  # with letters of 10 pixels
        high, gap = 96 + 6 + strip, 6
        assert one.shape == (2 * high + gap, 2 * (96 + 6) + gap)
        assert (one[:high] == other[:high]).all(), "two cats, and the same word"
        names = [sheet[high + gap + 96 : 2 * high] for sheet in (one, other)]
        assert (names[0] < 128).any()
        assert (names[0] != names[1]).any()

    def test_json_tells_all(self, folder: Path, tmp_path: Path) -> None:
        words = ("--seed", 7, "--steps", 2, "--size", 100, "--json", "--checkpoint", folder)
        result = visketch("generate", "-c", "cat", "-n", 2, "--out", tmp_path / "a", *words)
        said = json.loads(result.stdout)
        assert [Path(path) for path in said["paths"]] == [tmp_path / "a" / f"cat-000{i}.png" for i in range(2)]
        assert Path(said["sheet"]) == tmp_path / "a" / "sheet.png"
        assert (said["seed"], said["steps"], said["size"]) == (7, 2, 100)
        assert said["seconds"] > 0
        assert [sketch["seed"] for sketch in said["sketches"]] == [7, 8]
        assert pixels(Path(said["paths"][0])).shape == (100, 100)

    def test_a_png_gets_the_sheet_or_the_only_sketch(self, folder: Path, tmp_path: Path) -> None:
        many, single = tmp_path / "many.png", tmp_path / "one.png"
        assert visketch("generate", "-c", "cat", "-n", 4, "-o", many, "--checkpoint", folder).exit_code == 0
        result = visketch("generate", "-c", "cat", "-n", 1, "-o", single, "--checkpoint", folder, "--json")
        assert json.loads(result.stdout)["paths"] == [str(single)]
        assert pixels(single).shape == (64, 64)
        assert pixels(many).shape == (140, 140)
        assert sorted(tmp_path.iterdir()) == [many, single]

    def test_without_out_nothing_is_overwritten(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        for expected in ("cat.png", "cat-2.png", "cat-3.png"):
            result = visketch("generate", "-c", "cat", "-n", 1, "--coarse-only", "--checkpoint", folder)
            assert expected in result.stdout
            assert (tmp_path / expected).exists()

    def test_two_at_once_take_different_names(self, tmp_path: Path) -> None:
        usual = tmp_path / "cat.png"
        with (
            Outputs().place(None, usual) as one,
            Outputs().place(None, usual) as other,
            Outputs().place(None, usual) as third,
        ):
            assert [path.name for path in (one, other, third)] == ["cat.png", "cat-2.png", "cat-3.png"]
            other.write_text("drawn")
        assert list(tmp_path.iterdir()) == [tmp_path / "cat-2.png"]

    def test_a_folder_s_slash_after_a_picture(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "x.png").write_text("precious")
        for verb in (("generate", "-c", "cat"), ("show", "cat.svg")):
            one_line(visketch(*verb, "--out", f"{tmp_path}/x.png/", "--checkpoint", folder), 2, "x.png/", "leave out")
        assert (tmp_path / "x.png").read_text() == "precious"
        (tmp_path / "y.png").mkdir()
        assert parse_out(f"{tmp_path}/y.png/") == tmp_path / "y.png"

    @pytest.mark.parametrize(
        ("words", "code", "saying"),
        [
            (["generate", "--class", "catt"], 2, "'catt'"),
            (["refine", "cat.svg", "--checkpoint", "/nowhere"], 1, "/nowhere: no checkpoint there"),
        ],
    )
    def test_an_unknown_name_is_told_before_torch_is_imported(self, words: list[str], code: int, saying: str) -> None:
        script = (
            "import sys; from visketch.cli.main import run\n"
            "sys.argv = ['visketch', *sys.argv[1:]]\n"
            "try: run()\n"
            "except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
        assert done.stdout == f"{code} False\n"
        assert saying in done.stderr

    def test_same_seed_same_sketch_whatever_n_and_batch(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        words = ("--class", "cat", "--seed", 5, "--checkpoint", folder)
        visketch("generate", *words, "-n", 5, "--out", tmp_path / "five")
        visketch("generate", *words, "-n", 1, "--out", tmp_path / "one.png")
        monkeypatch.setattr(drawing, "BATCH", 2)
        visketch("generate", *words, "--class", "star", "-n", 5, "--out", tmp_path / "twos")
        for i in range(5):
            name = f"cat-000{i}.png"
            assert np.abs(pixels(tmp_path / "five" / name) - pixels(tmp_path / "twos" / name)).max() <= 1
        assert np.abs(pixels(tmp_path / "five" / "cat-0000.png") - pixels(tmp_path / "one.png")).max() <= 1
        assert np.abs(pixels(tmp_path / "five" / "cat-0000.png") - pixels(tmp_path / "five" / "cat-0001.png")).max() > 1

    def test_names_with_colons_are_told_as_they_are(self, cats: dict[str, Path], tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        cats["svg"].rename("a:cat:b.svg")
        told = visketch("trace", "a:cat:b.svg", "--out", "x:dog:y.svg").stdout
        assert told.startswith("a:cat:b.svg: ")
        assert told.rstrip().endswith(": x:dog:y.svg")

    def test_a_name_cannot_change_the_terminal(self, cats: dict, tmp_path: Path) -> None:
        good, bad = tmp_path / "a\x1b[31m.svg", tmp_path / "b\x9b1m\x07.svg"
        cats["svg"].rename(good)
        bad.write_text("no drawing")
        told = visketch("trace", good, bad, "--out", tmp_path / "out")
        assert "a\\x1b[31m.svg: " in told.stdout
        assert "b\\x9b1m\\x07.svg: " in told.stderr
        assert not re.search(r"[\x07\x1b\x9b]", told.stdout + told.stderr)

    def test_batches_cover_everything_once(self) -> None:
        for classes, n in (("abc", 1), ("abc", 64), ("ab", 65), ("abcdef", 30), ("a", 1000)):
            found = [
                (name, first + i)
                for names, first, count in drawing.batches([*classes], n)
                for name in names
                for i in range(count)
            ]
            assert sorted(found) == sorted((name, i) for name in classes for i in range(n))
            assert all(len(names) * count <= drawing.BATCH for names, _, count in drawing.batches([*classes], n))

    @pytest.mark.parametrize(
        ("label", "stem"), [("alarm clock", "alarm_clock"), ("../a/b", "_a_b"), ("Ñandú", "Ñandú")]
    )
    def test_a_class_makes_a_file_name(self, label: str, stem: str) -> None:
        assert names.stem(label) == stem

    @pytest.mark.parametrize(
        ("words", "saying"),
        [
            (("-c", "catt"), "did you mean 'cat'"),
            ((), "--class"),
            (("-c", "cat", "-n", "0"), "must be 1 or more; try"),
            (("-c", "cat", "-n", "many"), "-n"),
            (("-c", "cat", "--steps", "0"), "--steps"),
            (("-c", "cat", "--temperature", "nan"), "--temperature"),
            (("-c", "cat", "--top-p", "2"), "--top-p"),
            (("-c", "cat", "--order", "sideways"), "one-by-one"),
            (("-c", "cat", "--device", "toaster"), "no device 'toaster'"),
            (("-c", "cat", "--device", "cuda:99"), "no device 'cuda:99'"),
            (("-c", "cat", "--out", "cat.jpg"), ".png"),
            (("-c", "cat", "--out", "cat.svg", "--format", "png"), "--format"),
            (("-c", "cat", "--format", "jpg"), "--format"),
            (("-c", "cat", "--colour"), "--colour"),
        ],
    )
    def test_wrong_usage(self, words: tuple[str, ...], saying: str, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        one_line(visketch("generate", *words, "--checkpoint", folder), 2, saying)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("where", ["file", "file/cats", "file/cat.png"])
    def test_a_place_that_is_no_folder(self, where: str, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("precious")
        one_line(visketch("generate", "-c", "cat", "--out", tmp_path / where, "--checkpoint", folder), 1, "is a file")
        assert (tmp_path / "file").read_text() == "precious"

    def test_a_read_only_place(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)  # the answer that root gets on a read-only disk
        one_line(
            visketch("generate", "-c", "cat", "--out", tmp_path / "a", "--checkpoint", folder), 1, "cannot be written"
        )
        assert not list(tmp_path.iterdir())

    def test_a_full_disk_leaves_no_half_file(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        one_line(visketch("generate", "-c", "cat", "--out", tmp_path / "a", "--checkpoint", folder), 1, "no space left")
        assert not list((tmp_path / "a").iterdir())

    def test_a_disk_that_gets_full_leaves_whole_lines(self, tmp_path: Path) -> None:
        drawing, path = SimpleNamespace(strokes=[np.array([[0.0, 0], [9, 9]])]), tmp_path / "a.ndjson"
        with Dataset(path, {}, go_on=False) as made:
            made.add(drawing, "cat", 0, 0.5)
            line = path.read_bytes()
            with full_disk(at=len(line) + 20), pytest.raises(VisketchError, match=r"a\.ndjson: cannot be written"):
                made.add(drawing, "cat", 1, 0.5)
        assert path.read_bytes() == line

    def test_interrupted_while_a_file_is_written(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        result = visketch("generate", "-c", "cat", "--out", tmp_path / "a", "--checkpoint", folder)
        assert result.exit_code == 130
        assert not list((tmp_path / "a").iterdir())

    def test_interrupted(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("visketch.model.SketchModel.generate_fields", interrupt)
        monkeypatch.chdir(tmp_path)
        result = visketch("generate", "-c", "cat", "--checkpoint", folder)
        assert (result.exit_code, result.stdout) == (130, "")
        assert result.stderr.splitlines() == ["0 of 16 sketches are written", WHOLE]
        assert not list(tmp_path.iterdir()), "the name it had taken is free again"

    @pytest.mark.parametrize(("kind", "files", "how"), [("png", 2, ""), ("ndjson", 1, "; continue with --skip-done")])
    def test_interrupted_between_batches(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, files: int, how: str
    ) -> None:
        from visketch.model import Generated, SketchModel

        drawn = iter([torch.ones(2, 64, 64)])

        def interrupt(*_: object, **__: object) -> Generated:
            if (canvas := next(drawn, None)) is None:
                raise KeyboardInterrupt
            return Generated(canvas, torch.arange(len(canvas)), None)

        monkeypatch.setattr(SketchModel, "generate_fields", interrupt)
        monkeypatch.setattr("visketch.cli.shared.generation.BATCH", 2)
        words = ("-c", "cat", "-n", 5, "--tries", 1, "--format", kind, "--out", tmp_path / "a", "--checkpoint", folder)
        result = visketch("generate", *words)
        assert result.exit_code == 130
        assert result.stderr.splitlines() == [f"2 of 5 sketches are written{how}", WHOLE]
        assert len(list((tmp_path / "a").iterdir())) == files

    def test_a_bug_is_one_line_too_and_debug_shows_where(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        def bug(*_: object, **__: object) -> None:
            raise ZeroDivisionError("by zero\nand so on")

        monkeypatch.setattr("visketch.model.SketchModel.generate_fields", bug)
        words = ("generate", "-c", "cat", "--out", tmp_path / "a", "--checkpoint", folder)
        one_line(visketch(*words), 1, "ZeroDivisionError: by zero", "--debug")
        result = CliRunner().invoke(app, ["--debug", *map(str, words)])
        assert result.exit_code == 1
        assert "Traceback" in result.stderr


class TestClassify:
    def test_every_drawing_gets_a_row_in_order(self, folder: Path, cats: dict[str, Path]) -> None:
        inputs = [cats["svg"], cats["ndjson"], cats["png"]]
        result = visketch("classify", *inputs, "--json", "--top", 2, "--checkpoint", folder)
        assert result.exit_code == 0, result.output
        rows = json.loads(result.stdout)
        expected = [cats["svg"], *(f"{cats['ndjson']}#{i}" for i in (1, 2, 3)), cats["png"]]
        assert [row["path"] for row in rows] == [str(path) for path in expected]
        for row in rows:
            assert row.keys() == {"path", "predictions"}
            first, second = row["predictions"]
            assert first.keys() == {"label", "probability"}
            assert first["label"] in tiny_model.LABELS
            assert 1 >= first["probability"] >= second["probability"] >= 0
        assert rows[1]["predictions"] == rows[2]["predictions"]

    def test_folders_globs_and_standard_input(self, folder: Path, cats: dict[str, Path]) -> None:
        home = cats["svg"].parent
        rows = json.loads(
            visketch("classify", f"{home}/*.svg", home, "-", "--json", "--checkpoint", folder,
                     input=cats["png"].read_bytes()).stdout
        )  # fmt: skip
        names = [Path(row["path"]).name for row in rows]
        assert names == ["cat.svg", "cat.ndjson#1", "cat.ndjson#2", "cat.ndjson#3", "cat.png", "cat.svg", "-"]
        assert rows[-1]["predictions"] == rows[4]["predictions"]

    def test_for_people(self, folder: Path, cats: dict[str, Path]) -> None:
        result = visketch("classify", cats["svg"], "--top", 3, "--checkpoint", folder)
        first, *guesses = result.stdout.splitlines()
        assert first == str(cats["svg"])
        assert {guess.split()[0] for guess in guesses} == set(tiny_model.LABELS)
        assert all(guess.rstrip().endswith("%") for guess in guesses)

    def test_several_drawings_on_a_page_are_told(self, folder: Path, tmp_path: Path) -> None:
        tiny_model.write_ndjson(tmp_path / "page.ndjson", [drawings.two_on_a_page()])
        words = ("classify", tmp_path / "page.ndjson", "--checkpoint", folder)
        assert "2 separate drawings; --split classifies each, `visketch count --by recogn" in visketch(*words).stderr
        (row,) = json.loads(visketch(*words, "--json").stdout)
        assert row["separate"] == 2

    def test_more_drawings_than_a_batch(self, folder: Path, cats: dict[str, Path]) -> None:
        line = cats["ndjson"].read_text().splitlines()[0]
        bad = '{"drawing":[]}'
        cats["ndjson"].write_text("\n".join([*[line] * 70, bad, *[line] * 70]))
        result = visketch("classify", cats["ndjson"], "--json", "--checkpoint", folder)
        rows = json.loads(result.stdout)
        assert [row["path"] for row in rows] == [f"{cats['ndjson']}#{i}" for i in range(1, 142)]
        assert ["error" in row for row in rows] == [i == 70 for i in range(141)]
        assert result.exit_code == 1

    @pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "I;16", "F", "CMYK"])
    def test_a_picture_of_any_mode(self, mode: str, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / ("cat.tif" if mode in ("F", "CMYK") else "cat.png")
        result = visketch("classify", picture(path, mode), "--checkpoint", folder)
        assert result.exit_code == 0, result.output

    def test_bad_files_are_named_and_good_ones_answered(
        self, folder: Path, cats: dict[str, Path], tmp_path: Path
    ) -> None:
        good, bad = cats["svg"], bad_files(tmp_path)
        inputs = [good, *bad, cats["png"]]
        result = visketch("classify", *inputs, "--json", "--checkpoint", folder)
        assert result.exit_code == 1
        rows = json.loads(result.stdout)
        assert [row["path"] for row in rows] == [str(path) for path in inputs]
        assert ["predictions" in row for row in rows] == [True, *[False] * len(bad), True]
        *errors, last = result.stderr.splitlines()
        assert last == f"{len(bad)} of {len(inputs)} could not be read"
        for row, line, (path, reason) in zip(rows[1:-1], errors, bad.items(), strict=True):
            assert line == f"error: {path}: {row['error']}"
            assert reason in row["error"]
            assert ";" in row["error"], "it says the mend"

    def test_errors_name_a_file_once(self, folder: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name, saying in (
            ("./-cat.svg", "error: ./-cat.svg: no such file"),
            ("-", "error: -: standard input is em"),
        ):
            assert one_line(visketch("classify", name, "--checkpoint", folder, input=b""), 1).startswith(saying)

    def test_one_is_singular(self, folder: Path, cats: dict[str, Path], tmp_path: Path) -> None:
        words = ("classify", cats["png"], "--checkpoint", folder, "--out", tmp_path / "a.csv")
        assert visketch(*words).stdout.startswith("1 drawing: ")
        assert visketch(*words, "--skip-done").stderr == "nothing new, 1 was there before\n"
        assert [console.many(count, "class") for count in (1, 2000)] == ["1 class", "2,000 classes"]

    def test_bad_lines_in_a_good_file(self, folder: Path, cats: dict[str, Path]) -> None:
        line = cats["ndjson"].read_text().splitlines()[0]
        bad = ['{"drawing":[]}', '{"drawing":[[[],[]]]}', '{"drawing":[[[1,NaN],[2,2]]]}', "{", '{"word":"cat"}']
        cats["ndjson"].write_text("\n".join([*bad, line]))
        result = visketch("classify", cats["ndjson"], "--json", "--checkpoint", folder)
        rows = json.loads(result.stdout)
        assert [row["path"] for row in rows] == [f"{cats['ndjson']}#{i}" for i in range(1, 7)]
        assert ["error" in row for row in rows] == [True] * 5 + [False]
        assert result.exit_code == 1

    def test_one_bad_file_is_one_line(self, folder: Path, tmp_path: Path) -> None:
        one_line(visketch("classify", tmp_path / "none.png", "--checkpoint", folder), 1, "none.png", "no such file")
        result = visketch("classify", "-", "--checkpoint", folder, input=b"hello")
        assert one_line(result, 1).startswith("error: -: not a picture")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
    def test_needs_no_library_of_the_other_parts(self, folder: Path, cats: dict[str, Path]) -> None:
        """A full disk at the end is also reported in one line."""
        script = (
            "import sys; from visketch.cli.main import app\n"
            "try: app(sys.argv[1:])\n"
            "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        )
        words = [sys.executable, "-c", script, "classify", str(cats["svg"]), "--json", "--checkpoint", str(folder)]
        with open("/dev/full", "w") as full:
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        error, loaded = done.stderr.splitlines()
        assert error.startswith("error: no space left on device")
        assert done.returncode == 1
        read, write = os.pipe()
        os.close(read)  # what `| head -1` does when it has its line
        done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
        os.close(write)
        assert len(done.stderr.splitlines()) == 1  # only what the script itself prints
        assert "torch" in loaded.split()
        assert not {"diffusers", "vector_quantize_pytorch", "accelerate", "transformers"} & set(loaded.split())


def bad_files(home: Path) -> dict[Path, str]:
    """Files that cannot be classified, with what must be said about each."""
    for name, content in {
        "empty.png": b"",
        "text.png": b"hello, I am a letter",
        "none.ndjson": b"\n\n",
        "none.svg": b'<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        "half.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0',
        "half.npz": b"PK\x03\x04 and no more",
    }.items():
        (home / name).write_bytes(content)
    (home / "cut.png").write_bytes(picture(home / "whole.png").read_bytes()[:60])
    Image.new("1", (12_000, 12_000), 1).save(home / "bomb.png")
    Image.new("L", (50, 50), 255).save(home / "blank.png")
    (home / "folder").mkdir()
    reasons = {
        "missing.png": "no such file",
        "empty.png": "empty",
        "text.png": "not a picture",
        "none.ndjson": "no drawing",
        "none.svg": "blank",
        "half.svg": "not complete XML",
        "half.npz": "not a complete",
        "cut.png": "incomplete",
        "bomb.png": "89 million",
        "blank.png": "blank",
        "folder": "no file of drawings",
    }
    if os.geteuid():  # root may read every file
        picture(home / "secret.png").chmod(0)
        reasons["secret.png"] = "permissions"
    return {home / name: reason for name, reason in reasons.items()}


class TestShow:
    def test_draws_what_the_model_sees(self, folder: Path, cats: dict[str, Path], tmp_path: Path) -> None:
        out = tmp_path / "seen.png"
        result = visketch("show", cats["svg"], "--out", out, "--leaf", 2, "--checkpoint", folder, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert said["leaf"]["number"] == 2
        assert sum(level["leaves"] for level in said["levels"]) == said["leaves"]
        assert sum(level["inked"] for level in said["levels"]) == said["inked_leaves"]
        assert len(said["codes"]["of_the_leaf"]) == 4
        assert {guess["label"] for guess in said["guess"]} == set(tiny_model.LABELS)
        assert pixels(out).shape[2] == 3
        people = visketch("show", cats["png"], "--out", out, "--overwrite", "--checkpoint", folder)
        assert str(out) in people.stdout

    def test_the_first_of_several_is_said_to_be_the_first(self, folder: Path, tmp_path: Path) -> None:
        for count in (1, 2):
            tiny_model.write_ndjson(tmp_path / f"{count}.ndjson", drawings.draw_many(count))
            words = ("--out", tmp_path / f"{count}.png", "--checkpoint", folder)
            result = visketch("show", tmp_path / f"{count}.ndjson", *words)
            assert result.exit_code == 0, result.output
            assert ("only the first is used" in result.stderr) == (count > 1)

    def test_with_only_a_configuration_it_shows_the_tree(self, cats: dict[str, Path], tmp_path: Path) -> None:
        checkpoint.write_config(tmp_path / "bare", CONFIG)
        result = visketch("show", cats["svg"], "-o", tmp_path / "a.png", "--checkpoint", tmp_path / "bare", "--json")
        assert result.exit_code == 0, result.output
        assert "codes" not in json.loads(result.stdout)

    def test_refusals(self, folder: Path, cats: dict[str, Path], tmp_path: Path) -> None:
        words = ("--checkpoint", folder, "--out", tmp_path / "a.png")
        one_line(visketch("show", cats["svg"], "--leaf", 99, *words), 2, "--leaf 99", "inked leaves")
        one_line(visketch("show", tmp_path / "none.svg", *words), 1, "no such file")
        one_line(visketch("show", cats["svg"], "--checkpoint", folder, "--out", tmp_path), 2, "name a .png file")
        assert not (tmp_path / "a.png").exists()


class TestCheckpoints:
    """Every verb that needs a checkpoint refuses a bad one in one line."""

    @pytest.fixture
    def broken(self, folder: Path, tmp_path: Path) -> Path:
        return shutil.copytree(folder, tmp_path / "broken")

    def classify(self, where: object, cats: dict[str, Path]) -> Result:
        return visketch("classify", cats["svg"], "--checkpoint", where)

    def test_none_there(self, cats: dict[str, Path], tmp_path: Path) -> None:
        one_line(self.classify(tmp_path / "nowhere", cats), 1, "nowhere", "no checkpoint there")

    @pytest.mark.parametrize(
        ("content", "saying"), [(b"\x89PNG", "config.toml"), (b"name = [", "config.toml"), (b"legs = 4", "legs")]
    )
    def test_a_configuration_that_is_none(
        self, content: bytes, saying: str, broken: Path, cats: dict[str, Path]
    ) -> None:
        (broken / "config.toml").write_bytes(content)
        one_line(self.classify(broken, cats), 1, saying)

    def test_a_missing_part(self, broken: Path, cats: dict[str, Path]) -> None:
        (broken / "classifier.safetensors").unlink()
        one_line(self.classify(broken, cats), 1, "has no classifier")

    def test_a_cut_part(self, broken: Path, cats: dict[str, Path]) -> None:
        path = broken / "encoder.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        one_line(self.classify(broken, cats), 1, "not a readable safetensors file")
        result = visketch("info", "--checkpoint", broken)
        assert result.exit_code == 1
        assert "encoder" in result.stdout
        assert result.stderr.startswith("error: ")

    def test_a_flipped_bit(self, broken: Path, tmp_path: Path) -> None:
        path = broken / "diffusion.safetensors"
        content = bytearray(path.read_bytes())
        content[-3] ^= 16
        path.write_bytes(content)
        words = ("--out", tmp_path / "a.png", "--checkpoint", broken)
        one_line(visketch("generate", "-c", "cat", *words), 1, "damaged")
        assert not (tmp_path / "a.png").exists()

    def test_another_ones_part(self, broken: Path, tmp_path: Path) -> None:
        checkpoint.save_part(broken, "vqvae", tiny_model.awake(CONFIG, "vqvae", seed=1), {}, {})
        words = ("--out", tmp_path / "a.png", "--checkpoint", broken)
        one_line(visketch("generate", "-c", "cat", *words), 1, "was trained with vqvae")

    def test_named_by_the_environment(self, folder: Path, cats: dict[str, Path]) -> None:
        result = visketch("classify", cats["svg"], env={"VISKETCH_CHECKPOINT": str(folder)})
        assert result.exit_code == 0, result.output
