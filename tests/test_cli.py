"""The command line as a whole, and the verbs that fetch, pack, train, measure and inform."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import one_line, visketch
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner, Result

from visketch.cli import train as training
from visketch.cli.main import app
from visketch.config import load
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.training.sketch import TRAINABLE

VERBS = ["generate", "classify", "refine", "complete", "trace", "show", "index", "search"]
VERBS += ["data fetch", "data pack", "data stats", "train", "info"]
VERBS += ["export classifier", "push"]
VERBS += [f"evaluate {what}" for what in ("vqvae", "classify", "generate", "search", "explain")]
LABELS = ("cat", "house", "star")


@pytest.fixture(scope="session")
def ndjson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the layout of QuickDraw's bucket: three classes with 20 drawings each."""
    home = tmp_path_factory.mktemp("bucket")
    (home / "full" / "simplified").mkdir(parents=True)
    for label in LABELS:
        rows = [drawings.draw(label, seed).strokes or () for seed in range(20)]
        lines = [json.dumps({"word": label, "drawing": [stroke.T.tolist() for stroke in row]}) for row in rows]
        (home / "full" / "simplified" / f"{label}.ndjson").write_text("\n".join(lines) + "\n")
    return home


@pytest.fixture(scope="session")
def data(ndjson: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "drawings.arrow"
    result = visketch("data", "pack", ndjson, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("60 drawings")
    return out


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose parts were each trained by the verb for a few steps."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    for part in ("vqvae", "diffusion", "classifier", "refiner"):
        words = ("--data", data, "--out", out, "--config", "tiny", "--set", f"train.{part}.steps=3")
        result = visketch("train", part, *words, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert (said["part"], said["step"], said["finished"]) == (part, 3, True)
        assert said["metrics"]["loss"] > 0
    return out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_helps_by_example(verb: str) -> None:
    result = visketch(*verb.split(), "--help")
    assert result.exit_code == 0
    assert f"visketch {verb}" in result.stdout.replace("visketch root", "visketch").split("Example")[1]
    if verb != "data fetch":
        assert "--json" in result.stdout


def test_every_help_says_what_is_never_written() -> None:
    def commands(group: Any, name: str) -> Iterator[tuple[str, str]]:
        for word, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, f"{name} {word}")
            else:
                yield f"{name} {word}", " ".join((command.help or "").split())

    promises = ("never written", "no file is written", "never replaced")
    helps = dict(commands(get_command(app), ""))
    assert len(helps) > 30
    assert not [name for name, text in helps.items() if not any(promise in text for promise in promises)]


@pytest.mark.parametrize("group", ["", "photos", "data", "language", "evaluate", "export"])
def test_every_verb_fits_on_its_line(group: str) -> None:
    verbs = visketch(*group.split(), "--help").stdout.split("Commands:")[1]
    assert not [line for line in verbs.splitlines() if line.endswith("...")]


def test_help_version_and_nothing() -> None:
    assert all(verb.split()[0] in visketch("--help").stdout for verb in VERBS)
    assert visketch("--version").stdout.startswith("visketch 0.")
    for words in ((), ("data",), ("evaluate",)):
        result = visketch(*words)
        assert result.exit_code == 2
        assert "Usage" in result.stderr
    one_line(visketch("clasify"), 2, "'classify'")


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "scipy", "diffusers", "accelerate", "PIL", "pyarrow", "skimage", "rich"}
    script = (
        "import sys; from visketch.cli.main import run\n"
        "sys.argv = ['visketch', 'train', '--help']\n"
        "try: run()\n"
        "except SystemExit: print('LOADED', *sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = said.split("LOADED")[1].split()
    assert "visketch.cli.train" in loaded
    assert not heavy & set(loaded)


def test_the_end_does_not_look_for_garbage() -> None:
    """Searching torch's and diffusers' half a million objects took seconds on a busy machine."""
    told = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 10_000))"  # called last
    done = subprocess.run(
        [sys.executable, "-c", f"{told}; from visketch.cli.main import run; run()", "--version"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "True", done.stderr


def test_ctrl_c_before_a_verb_begins_is_one_line() -> None:
    script = """
        import os, signal, sys
        class Interrupting:
            def find_spec(self, name, *where):
                if name == "typer":
                    os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        sys.meta_path.insert(0, Interrupting())
        from visketch.cli.start import run
        run()
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_tables_in_a_pipe_are_not_wrapped(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    (folder / "a.svg").write_text((Path(__file__).parents[1] / "docs/examples/cat.svg").read_text())
    words = [sys.executable, "-m", "visketch.cli.main", "search", folder / "a.svg", folder]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert f"{folder}/a.svg" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed(tmp_path: Path, closed: str) -> None:
    """As in a process that a daemon started."""
    drawing, out = tmp_path / "a.ndjson", tmp_path / "a.svg"
    drawing.write_text('{"drawing": [[[0, 9, 9], [0, 9, 0]]]}\n')
    words = f"{sys.executable} -m visketch.cli.main trace {drawing} --out {out} {closed}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.exists()


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="their file names are always valid text")
def test_a_list_names_a_file_whose_name_is_no_valid_text(tmp_path: Path) -> None:
    drawing = os.fsencode(tmp_path) + b"/caf\xe9.svg"
    shutil.copy(Path(__file__).parents[1] / "docs/examples/cat.svg", drawing)
    words = [sys.executable, "-m", "visketch.cli.main", "trace", "--from", "-", "--out", str(tmp_path / "a.ndjson")]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}  # as in most locales, but not in C.UTF-8
    done = subprocess.run(words, input=drawing + b"\n", capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "a.ndjson").exists()


def test_the_command_and_the_module_are_one(data: Path) -> None:
    """The command is `visketch` as installed, and the module is `-m visketch.cli.main`, as torchrun starts it."""
    for command in ([str(Path(sys.executable).with_name("visketch"))], [sys.executable, "-m", "visketch.cli.main"]):
        done = subprocess.run([*command, "data", "stats", str(data)], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[0].endswith("60 drawings of 3 classes")
        assert done.stderr == ""


def complete(line: str, **env: str) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_VISKETCH_COMPLETE": "complete_bash"}
    result = CliRunner().invoke(app, [], prog_name="visketch", env=words | env)
    return result.stdout.split()


def test_shells_complete_classes_from_the_checkpoint(trained: Path) -> None:
    assert complete(f"visketch generate --checkpoint {trained} --class h") == ["house"]
    assert complete("visketch generate --class s", VISKETCH_CHECKPOINT=str(trained)) == ["star"]
    assert complete("visketch generate --checkpoint /nowhere --class h") == []
    assert complete("visketch train v") == ["vqvae"]


class TestData:
    def test_fetch_takes_a_folder_as_root(self, ndjson: Path, tmp_path: Path) -> None:
        words = ("data", "fetch", "cat", "star", "--root", ndjson, "--out", tmp_path / "here", "--limit", 5)
        rows = json.loads(visketch(*words, "--json").stdout)["files"]
        assert [row["class"] for row in rows] == ["cat", "star"]
        for row in rows:
            assert len(Path(row["path"]).read_text().splitlines()) == 5
            assert Path(row["path"]).stat().st_size == row["bytes"]
        assert "2 classes" in visketch(*words).stdout

    def test_fetch_refuses(self, ndjson: Path, tmp_path: Path) -> None:
        one_line(visketch("data", "fetch", "catt", "--root", ndjson, "--out", tmp_path), 2, "'cat'")
        one_line(visketch("data", "fetch"), 2, "CLASS")
        one_line(visketch("data", "fetch", "cat", "--root", tmp_path / "none", "--out", tmp_path), 1, "no such file")
        (tmp_path / "file").write_text("")
        one_line(visketch("data", "fetch", "cat", "--root", ndjson, "--out", tmp_path / "file"), 1, "file")

    def test_fetch_that_fails_leaves_no_folder(self, tmp_path: Path) -> None:
        words = ("data", "fetch", "cat", "--root", tmp_path / "none", "--out", tmp_path / "out")
        one_line(visketch(*words), 1, "no such file")
        assert not (tmp_path / "out").exists()

    def test_pack_leaves_out_what_cannot_be_read(self, tmp_path: Path) -> None:
        source = tmp_path / "cat.ndjson"
        source.write_text('{"drawing":[[[0,9],[0,9]]]}\n{"drawing":[]}\n{"drawing":[[[0,NaN],[0,9]]]}\n')
        result = visketch("data", "pack", source, "--out", tmp_path / "a.arrow", "--json")
        assert result.exit_code == 1
        said = json.loads(result.stdout)
        assert (said["drawings"], said["left_out"]) == (1, 2)
        firsts = [line.partition(" ")[0] for line in result.stderr.splitlines()]
        assert firsts == ["error:", "error:", "warning:", "2"]
        assert "no test drawing of 1 class (cat)" in result.stderr or "no train drawing" in result.stderr
        assert len(Store(tmp_path / "a.arrow")) == 1

    def test_without_out_the_place_is_what_help_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("cat.ndjson").write_text('{"drawing":[[[0,9],[0,9]]]}\n')
        assert visketch("data", "pack", "cat.ndjson").exit_code == 0
        assert Path("quickdraw.arrow").is_file()

    def test_pack_refuses(self, ndjson: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        one_line(visketch("data", "pack", tmp_path / "none", "--out", tmp_path / "a.arrow"), 1, "no such file")
        one_line(visketch("data", "pack", ndjson, "--out", tmp_path / "file" / "a.arrow"), 1, "cannot be written")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]

    def test_stats(self, data: Path, tmp_path: Path) -> None:
        said = json.loads(visketch("data", "stats", data, "--json").stdout)
        assert said["drawings"] == sum(said["splits"].values()) == 60
        assert {name: sum(counts.values()) for name, counts in said["classes"].items()} == dict.fromkeys(LABELS, 20)
        assert "house" in visketch("data", "stats", data).stdout
        (tmp_path / "a.arrow").write_text("hello")
        one_line(visketch("data", "stats", tmp_path / "a.arrow"), 1, "not a packed data set")
        one_line(visketch("data", "stats", tmp_path / "b.arrow"), 1, "no such file")


class TestTrain:
    def test_interrupted_and_resumed(self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        words = ("train", "vqvae", "--data", data, "--out", tmp_path / "a", "--config", "tiny")
        report = training.Reporter.__call__

        def interrupt(self: training.Reporter, step: int, steps: int, metrics: dict[str, float]) -> None:
            report(self, step, steps, metrics)
            if step == 2:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(training.Reporter, "__call__", interrupt)
        result = visketch(*words, "--set", "train.vqvae.steps=4")
        assert result.exit_code == 130
        assert "stopped at step 2" in result.stderr
        assert "--resume" in result.stderr
        monkeypatch.undo()
        one_line(visketch(*words, "--set", "train.vqvae.steps=4"), 2, "--resume")
        result = visketch(*words, "--set", "train.vqvae.steps=4", "--resume")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("vqvae: 4 steps, loss")

    def test_says_what_is_missing_and_what_must_be_trained_again(self, data: Path, tmp_path: Path) -> None:
        folder = tiny_model.write_checkpoint(tmp_path / "a", tiny_model.small())
        words = ("--data", data, "--out", folder, "--config", folder / "config.toml")
        result = visketch("train", "classifier", *words, "--set", "train.classifier.steps=1")
        assert result.exit_code == 0, result.output
        assert "its probabilities are not calibrated, since there are fewer than 200" in result.stderr
        assert "refiner was trained with another encoder; train refiner again" in result.stderr

    def test_warns_of_classes_that_cannot_be_learned(self, tmp_path: Path) -> None:
        tiny_model.write_ndjson(tmp_path / "in/train/cat.ndjson", drawings.draw_many(3, labels=("cat",)))
        (tmp_path / "in/train/dog").mkdir()
        Image.fromarray(np.where(np.eye(64), 0, 255).astype(np.uint8)).save(tmp_path / "in/train/dog/1.png")
        pack([tmp_path / "in"], tmp_path / "a.arrow")
        words = ("--data", tmp_path / "a.arrow", "--out", tmp_path / "a", "--config", "tiny")
        words = (*words, "--set", "diffusion.backbone=strokes", "--set", "train.diffusion.steps=1")
        told = visketch("train", "diffusion", *words).stderr
        assert "on 3 drawings" in told
        assert "no drawing as strokes, of few enough pieces to learn dog from" in told

    def test_tells_now_and_then_without_a_terminal(self, data: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(training, "EVERY", 0.0)
        words = ("--data", data, "--out", tmp_path / "a", "--config", "tiny", "--set", "train.diffusion.steps=3")
        result = visketch("train", "diffusion", *words)
        told = [line for line in result.stderr.splitlines() if line.startswith("diffusion step")]
        assert len(told) == 2
        assert "sketches/s" in told[0]
        assert "left" in told[0]

    def test_dry_run(self, data: Path, tmp_path: Path) -> None:
        words = (
            "train",
            "classifier",
            "--data",
            data,
            "--out",
            tmp_path / "a",
            "--dry-run",
            "--set",
            "encoder.width=64",
        )
        said = json.loads(visketch(*words, "--config", "tiny", "--seed", 3, "--json").stdout)
        assert said["config"]["encoder"]["width"] == 64
        assert said["config"]["train"]["seed"] == 3
        assert set(said["parameters"]) == {"encoder", "classifier"}
        assert said["drawings"] == len(Store(data).rows("train"))
        assert not (tmp_path / "a").exists()
        people = visketch(*words, "--config", "tiny").stdout
        assert people.startswith("# trains")
        assert f"# on       {said['drawings']} drawings of 3 classes\n" in people
        assert "[encoder]\nwidth = 64" in people

    def test_dry_run_before_there_is_data(self, tmp_path: Path) -> None:
        words = ("train", "classifier", "--data", tmp_path / "none.arrow", "--config", "tiny", "--dry-run")
        people = visketch(*words).stdout
        assert "0 drawings of 345 classes" in people
        assert "none.arrow does not exist yet" in people

    @pytest.mark.parametrize("part", ["sequence", "refiner"])
    def test_dry_run_before_the_parts_that_are_needed(self, part: str, tmp_path: Path) -> None:
        words = ("train", part, "--data", tmp_path / "none.arrow", "--config", "tiny", "--out", tmp_path / "a")
        result = visketch(*words, "--dry-run", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["parameters"].keys() == {part}

    def test_tiny_is_tiny_for_every_part(self) -> None:
        settings = load("tiny").train
        assert {getattr(settings, part).steps for part in TRAINABLE} == {20}

    def test_resume_without_a_run_says_that_a_new_one_begins(self, data: Path, tmp_path: Path) -> None:
        words = ("train", "vqvae", "--config", "tiny", "--set", "train.vqvae.steps=2", "--data", data, "--resume")
        begun = visketch(*words, "--set", "train.precision=no", "--out", tmp_path / "typo")
        assert begun.exit_code == 0
        assert f"{tmp_path / 'typo'}: has no run of vqvae that could be continued" in begun.stderr
        assert "continued" not in visketch(*words, "--set", "train.precision=no", "--out", tmp_path / "typo").stderr

    def test_resume_takes_the_settings_of_the_run(self, data: Path, tmp_path: Path) -> None:
        words = ("train", "vqvae", "--data", data, "--out", tmp_path / "a")
        assert visketch(*words, "--config", "tiny", "--set", "train.vqvae.steps=2").exit_code == 0
        same = ("--set", "train.precision=no")  # of all runs in one process
        one_line(visketch(*words, *same), 2, "[sketch]", f"--config {tmp_path}/a/config.toml")
        result = visketch(*words, "--resume", "--set", "train.vqvae.steps=3")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("vqvae: 3 steps")

    @pytest.mark.parametrize(
        ("words", "code", "saying"),
        [
            (("cat",), 2, "vqvae"),
            (("vqvae", "--config", "huge"), 2, "no preset 'huge'"),
            (("vqvae", "--config", "missing.toml"), 1, "missing.toml"),
            (("vqvae", "--set", "train.vqvae.step=3"), 2, "'steps'"),
            (("vqvae", "--set", "train"), 2, "section.key=value"),
            (("vqvae", "--device", "mps"), 2, "--device cpu"),
            (("vqvae", "--data", "none.arrow"), 1, "visketch data pack"),
            (("refiner", "--config", "tiny"), 1, "has no vqvae"),
        ],
    )
    def test_refuses(self, words: tuple[str, ...], code: int, saying: str, data: Path, tmp_path: Path) -> None:
        rest = () if "--data" in words else ("--data", data)
        one_line(visketch("train", *words, *rest, "--out", tmp_path / "a"), code, saying)
        assert not (tmp_path / "a").exists()

    def test_where_it_cannot_write(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        words = ("--data", data, "--out", tmp_path / "file" / "a", "--config", "tiny")
        one_line_after_note(visketch("train", "vqvae", *words), 1, "file")


def one_line_after_note(result: Result, code: int, *saying: str) -> None:
    assert result.exit_code == code, result.output
    note, line = result.stderr.splitlines()
    assert note.startswith("training ")
    assert line.startswith("error: ")
    assert all(words in line for words in saying)


class TestEvaluate:
    def test_vqvae(self, trained: Path, data: Path) -> None:
        words = ("evaluate", "vqvae", "--data", data, "--checkpoint", trained, "--split", "train", "--limit", 9)
        said = json.loads(visketch(*words, "--json").stdout)
        (row,) = said["rows"]
        assert row["sketches"] == 9
        assert 0 <= row["ink_f1"] <= 1
        assert "perplexity" in visketch(*words).stdout

    def test_classify(self, trained: Path, data: Path) -> None:
        words = ("evaluate", "classify", "--data", data, "--checkpoint", trained, "--split", "train", "--limit", 9)
        said = json.loads(visketch(*words, "--json").stdout)
        assert 0 <= said["rows"][0]["overall"]["top1"] <= 1
        assert "top-5" in visketch(*words).stdout

    def test_refuses(self, trained: Path, data: Path, tmp_path: Path) -> None:
        words = ("--data", data, "--checkpoint", trained)
        one_line(visketch("evaluate", "generate", *words, "--class", "hous", "-n", 2), 2, "'house'")
        one_line(visketch("evaluate", "vqvae", *words, "--split", "exam"), 2, "--split")
        one_line(visketch("evaluate", "classify", *words[:2], "--checkpoint", tmp_path), 1, "no checkpoint there")


class TestInfo:
    def test_tells_what_is_there(self, trained: Path) -> None:
        said = json.loads(visketch("info", "--checkpoint", trained, "--json").stdout)
        assert said["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
        assert said["devices"][0].startswith("cpu")
        there = said["checkpoint"]
        assert (there["classes"], there["card"]) == (3, None)
        assert set(there["parts"]) == {"vqvae", "diffusion", "encoder", "refiner", "classifier"}
        assert all(part["fingerprint"] and part["facts"]["step"] == 3 for part in there["parts"].values())
        (trained / "README.md").write_text("a card")
        assert "README.md" in visketch("info", "--checkpoint", trained).stdout

    def test_a_checkpoint_that_is_not_there(self, tmp_path: Path) -> None:
        one_line(visketch("info", "--checkpoint", tmp_path), 1, "no checkpoint there")

    def test_a_torchvision_that_does_not_fit(self, trained: Path, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
        monkeypatch.syspath_prepend(tmp_path)
        result = visketch("info", "--checkpoint", trained)
        assert result.exit_code == 0
        assert result.stderr.startswith("warning: torchvision does not fit torch")
        assert "pip uninstall torchvision" in result.stderr
