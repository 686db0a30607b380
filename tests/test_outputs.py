"""What may be written: never an input, and nothing that the run did not make itself, unless --overwrite says so."""

import os
from pathlib import Path

import drawings
import pytest
from command_line import one_line, visketch
from PIL import Image, ImageDraw

from visketch.cli.shared.filenames import free
from visketch.cli.shared.outputs import Outputs, parse_drawings_out, parse_out
from visketch.errors import UsageError, VisketchError


def draw(path: Path, strokes: drawings.Strokes) -> Path:
    picture = Image.new("L", (256, 256), 255)
    for line in strokes:
        ImageDraw.Draw(picture).line([tuple(point) for point in line], 0, 5)
    picture.save(path)
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's folder: two pictures, and an SVG that would get the name of a traced one."""
    home = tmp_path / "mine"
    home.mkdir()
    draw(home / "a.png", drawings.house())
    draw(home / "drawing.png", drawings.cat())
    (home / "drawing.svg").write_text('<svg><path d="M0 0L9 9" stroke="red"/></svg>')
    return home


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


class TestOutputs:
    def test_what_is_read_is_not_written_by_whatever_name(self, tmp_path: Path) -> None:
        read = draw(tmp_path / "a.png", drawings.star())
        (tmp_path / "link.png").symlink_to(read)
        os.link(read, tmp_path / "hard.png")
        (tmp_path / "folder").symlink_to(tmp_path)
        for overwrite in (False, True):
            for reads in ([read], [tmp_path], [f"{tmp_path}/*.png"], [tmp_path / "folder" / "a.png"]):
                for name in ("a.png", "link.png", "hard.png", "folder/a.png", "./a.png"):
                    with pytest.raises(UsageError, match="is an input of the command"):
                        Outputs(reads, overwrite).check(tmp_path / name)

    def test_what_is_there_is_replaced_only_if_asked(self, tmp_path: Path) -> None:
        there = draw(tmp_path / "there.png", drawings.star())
        (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")  # a link to nothing also belongs to somebody
        for path in (there, tmp_path / "nowhere.png"):
            with pytest.raises(UsageError, match="--overwrite"):
                Outputs().check(path)
            with pytest.raises(VisketchError, match="--overwrite"):
                Outputs().take(path)
            assert Outputs(overwrite=True).take(path) == path
        with pytest.raises(UsageError, match="a folder"):
            Outputs(overwrite=True).check(tmp_path)

    def test_what_a_run_made_is_its_own(self, tmp_path: Path) -> None:
        outputs, path = Outputs(), tmp_path / "new.png"
        outputs.take(path)
        path.write_bytes(b"1")
        assert outputs.take(path) == path
        with pytest.raises(VisketchError):
            Outputs().take(path)

    def test_names_that_some_disks_take_for_one_are_one(self) -> None:
        taken: set[str] = set()
        assert [free(name, taken) for name in ("Cat", "cat", "CAT", "caf\u00e9", "cafe\u0301")] == [
            "Cat",
            "cat-2",
            "CAT-3",
            "caf\u00e9",
            "cafe\u0301-2",
        ]

    def test_a_dash_is_no_file(self) -> None:
        for name in ("-", "/dev/stdout"):
            with pytest.raises(UsageError, match="standard output"):
                parse_out(name)

    def test_an_option_is_no_file(self, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(mine)
        one_line(visketch("classify", "a.png", "--explain", "--json"), 2, "a path is missing before it")
        assert not (mine / "--json").exists()


class TestVerbs:
    def test_trace_into_the_folder_that_is_read(self, mine: Path) -> None:
        before = content(mine)
        done = visketch("trace", mine, "--out", mine)
        assert done.exit_code == 1
        assert "drawing.svg: this file is an input of the command" in done.stderr
        after = content(mine)
        assert {name: after[name] for name in before} == before
        assert sorted(after) == ["a.png", "a.svg", "drawing-2.svg", "drawing.png", "drawing.svg"]

    def test_a_file_of_the_user_stays(self, mine: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "a.svg").write_text("mine")
        done = visketch("trace", mine / "a.png", mine / "drawing.png", "--out", out)
        assert done.exit_code == 1
        assert "a.svg: exists already" in done.stderr
        assert (out / "a.svg").read_text() == "mine"
        assert "<svg" in (out / "drawing.svg").read_text()  # the other files are written
        assert visketch("trace", mine / "a.png", "--out", out / "a.svg", "--overwrite").exit_code == 0
        assert "<svg" in (out / "a.svg").read_text()

    @pytest.mark.parametrize(
        "words",
        [
            ("trace", "a.png", "--out", "drawing.svg"),
            ("refine", "a.png", "--out", "a.png"),
            ("refine", "a.png", "--out", "drawing.png"),
            ("complete", "a.png", "--out", "a.png"),
            ("generate", "--class", "cat", "--out", "a.png"),
            ("show", "a.png", "--out", "a.png"),
            ("classify", "a.png", "--explain", "a.png"),
            ("search", "a.png", ".", "--out", "drawing.png"),
            ("locate", "a.png", "drawing.png", "--out", "drawing.png"),
            ("data", "pack", ".", "--out", "drawing.svg"),
        ],
    )
    def test_one_file_that_may_not_be_written_is_wrong_usage(
        self, words: tuple[str, ...], mine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(mine)
        before = content(mine)
        one_line(visketch(*words), 2, "is an input" if words[-1] in words[:-2] or "." in words else "exists already")
        assert content(mine) == before

    @pytest.mark.parametrize(
        "words",
        [
            ("classify", "a.png", "--explain"),
            ("search", "a.png", ".", "--out"),
            ("locate", "a.png", "drawing.png", "--out"),
            ("photos", "search", "a.png", ".", "--out"),
            ("evaluate", "explain", "--plot"),
        ],
    )
    def test_a_png_is_not_written_under_another_ending(
        self, words: tuple[str, ...], mine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(mine)
        for ending in ("svg", "ndjson", "jpg"):
            one_line(visketch(*words, f"w.{ending}"), 2, f"{ending.upper()} is not written; name a .png file")
        assert not [*mine.glob("w.*")]

    @pytest.mark.parametrize(
        "words",
        [
            ("animate", "a.png", "--out"),
            ("evaluate", "explain", "--plot"),
            ("evaluate", "generate", "--sheet"),
            ("morph", "a.png", "drawing.png", "--out"),
            ("photos", "search", "a.png", ".", "--out"),
            ("search", "a.png", ".", "--out"),
            ("show", "a.png", "--out"),
        ],
    )
    def test_a_verb_that_writes_one_file_offers_no_folder(
        self, words: tuple[str, ...], mine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(mine)
        (mine / "there").mkdir()
        for name in ("w.jpg", "there", "new"):
            assert one_line(visketch(*words, name), 2, "name a .").endswith(" file")

    @pytest.mark.parametrize(
        "words",
        [
            ("classify", "a.png", "--explain"),
            ("complete", "a.png", "--out"),
            ("generate", "--class", "cat", "--out"),
            ("locate", "a.png", "drawing.png", "--out"),
            ("refine", "a.png", "--out"),
            ("trace", "a.png", "--out"),
        ],
    )
    def test_the_ending_of_another_file_is_no_folder(
        self, words: tuple[str, ...], mine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(mine)
        one_line(visketch(*words, "w.webm"), 2, "WEBM is not written", "w.webm/")
        assert not (mine / "w.webm").exists()

    def test_folders_may_have_dots(self, tmp_path: Path) -> None:
        (tmp_path / "cats.good").mkdir()
        for name in ("cats.good", "v1.0", "cats.2024", "cats.webm/", "cats.of all", "cat.svg", "cat.pdf"):
            assert parse_drawings_out(f"{tmp_path}/{name}") == tmp_path / name

    def test_answers(self, mine: Path) -> None:
        lines = mine / "cats.ndjson"
        lines.write_text('{"drawing": [[[0, 9, 9, 0], [0, 0, 9, 9]]]}\n')
        before = lines.read_bytes()
        for more in ([], ["--skip-done"], ["--overwrite"]):
            one_line(visketch("classify", lines, "--out", lines, *more), 2, "is an input of the command")
            assert lines.read_bytes() == before
        lines.unlink()
        answers = mine / "answers.csv"
        answers.write_text("mine")
        one_line(visketch("classify", mine, "--out", answers), 2, "exists already")
        assert answers.read_text() == "mine"
        assert visketch("classify", mine, "--top", "1", "--out", answers, "--overwrite").exit_code == 0
        assert answers.read_text().count("\n") == 4
        one_line(visketch("classify", mine, "--out", answers, "--overwrite", "--skip-done"), 2, "one of them")

    def test_sketches_of_a_folder_are_not_drawn_over(self, tmp_path: Path) -> None:
        (tmp_path / "pets").mkdir()
        (tmp_path / "pets/CAT-0001.png").write_text("mine")  # on a Mac, this is the same file as cat-0001.png
        done = visketch("generate", "--class", "cat", "-n", "2", "--out", tmp_path / "pets", "--coarse-only")
        if (tmp_path / "pets/cat-0001.png").exists():  # here, it is another file
            assert done.exit_code == 0
        (tmp_path / "pets/cat-0000.png").write_text("mine")
        before = content(tmp_path / "pets")
        one_line(visketch("generate", "--class", "cat", "-n", "2", "--out", tmp_path / "pets"), 2, "exists already")
        assert content(tmp_path / "pets") == before

    def test_a_dot_in_a_name_is_no_ending(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        outputs = Outputs()
        for usual, expected in (
            ("v1.0-completed", ("v1.0-completed", "v1.0-completed-2", "v1.0-completed-3")),
            ("v1.0-completed.png", ("v1.0-completed.png", "v1.0-completed-2.png", "v1.0-completed-3.png")),
        ):
            for name in expected:
                with outputs.place(None, Path(usual)) as chosen:
                    assert chosen.is_dir() == (".png" not in usual)
                    chosen.write_text("mine") if chosen.is_file() else (chosen / "a.png").write_text("mine")
                assert str(chosen) == name
                assert chosen.exists()
        draw(tmp_path / "v1.1.png", drawings.cat())
        words = ("complete", "v1.1.png", "-n", 2, "--class", "cat", "--tries", 1, "--steps", 1, "--json")
        for name in ("v1.1-completed", "v1.1-completed-2"):
            done = visketch(*words)
            assert done.exit_code == 0, done.output
            names = sorted(path.name for path in (tmp_path / name).iterdir())
            assert names == ["01-cat.png", "02-cat.png", "sheet.png"]


@pytest.mark.parametrize(
    "words",
    [("trace", "a.png"), ("refine", "a.png"), ("generate", "--class", "cat"), ("classify", "a.png"), ("show", "a.png")],
)
def test_a_dash_is_wrong_usage(words: tuple[str, ...], mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    one_line(visketch(*words, "--out", "-"), 2, "standard output")
    assert not (mine / "-").exists()


def test_a_folder_is_not_read_again_while_it_fills(mine: Path) -> None:
    (mine / "drawing.svg").unlink()
    done = visketch("trace", mine / "a.png", mine, "--out", mine)
    assert done.exit_code == 0
    assert sorted(file.name for file in mine.glob("*.svg")) == ["a-2.svg", "a.svg", "drawing.svg"]
