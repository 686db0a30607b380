"""`visketch classify` over many files: results as they come, continuing, interruptions, other processes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import one_line, visketch
from PIL import Image
from process_jobs import killed, squares, warned
from typer.testing import Result

from visketch import parallel
from visketch.cli.shared import console, inputs
from visketch.cli.shared.results import ProgressBar, Results, columns
from visketch.data import named
from visketch.errors import PassedOverWarning, VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.tasks import batch

CONFIG = tiny_model.small("name=random")
MANY = 80  # more files than are read before other processes start


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), CONFIG)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many pictures, in which the fourth and the seventieth file are not pictures."""
    home = tmp_path_factory.mktemp("pictures")
    for number, sketch in enumerate(drawings.draw_many(MANY)):
        path = home / f"{number:03}.png"
        if number in (3, 69):
            path.write_text("hello, I am a letter")
        else:
            ink = sdf.ink(sdf.render(sketch, CONFIG.sketch, 64), CONFIG.sketch.clamp)
            Image.fromarray((255 * (1 - ink)).astype(np.uint8)).save(path)
    return home


def classify(folder: Path, *words: object, **extra: object) -> Result:
    return visketch("classify", *words, "--top", 2, "--checkpoint", folder, **extra)


def rows_in(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestResults:
    def test_every_file_has_a_row_in_order(self, folder: Path, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "new" / "a.ndjson"
        result = classify(folder, pictures, "--out", out, "--workers", 2)
        assert result.exit_code == 1, "two are no pictures"
        rows = rows_in(out)
        assert [row["path"] for row in rows] == [str(path) for path in sorted(pictures.iterdir())]
        assert [number for number, row in enumerate(rows) if "error" in row] == [3, 69]
        assert result.stdout == f"{MANY - 2} drawings: {out}\n"
        first, second, rate, last = result.stderr.splitlines()
        assert first.startswith(f"error: {pictures}/003.png: not a picture")
        assert second.startswith(f"error: {pictures}/069.png")
        assert rate.startswith(f"{MANY} in ")
        assert last == f"2 of {MANY} could not be read"

    def test_they_are_the_same_whoever_reads(self, folder: Path, pictures: Path, tmp_path: Path) -> None:
        """Files may be read by other processes or by this one, with or without `--json`."""
        for workers in (0, 1):
            classify(folder, pictures, "--out", tmp_path / f"{workers}.ndjson", "--workers", workers)
        assert (tmp_path / "0.ndjson").read_text() == (tmp_path / "1.ndjson").read_text()
        assert json.loads(classify(folder, pictures, "--json").stdout) == rows_in(tmp_path / "0.ndjson")

    def test_csv(self, folder: Path, pictures: Path, tmp_path: Path) -> None:
        odd = tmp_path / 'a "b", c\nd'
        odd.mkdir()
        for name in ("000.png", "003.png"):
            (odd / name).write_bytes((pictures / name).read_bytes())
        ndjson, table = tmp_path / "a.ndjson", tmp_path / "a.csv"
        said = json.loads(classify(folder, odd, "--out", table, "--json").stdout)
        assert (said["path"], said["answered"], said["failed"], said["skipped"]) == (str(table), 1, 1, 0)
        classify(folder, odd, "--out", ndjson)
        with open(table, newline="") as file:
            header, good, bad = csv.reader(file)
        assert header == ["path", "error", "label", "probability", "label_2", "probability_2"]
        first, second = rows_in(ndjson)
        flat = [str(value) for guess in first["predictions"] for value in guess.values()]
        assert good == [first["path"], "", *flat]
        assert bad == [second["path"], second["error"], *[""] * 4]
        whole = table.read_bytes()
        assert classify(folder, odd, "--out", table, "--skip-done").exit_code == 1
        assert table.read_bytes() == whole

    def test_the_results_in_the_folder_are_no_drawings(self, folder: Path, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes((pictures / "000.png").read_bytes())
        out = tmp_path / "a.ndjson"
        for more in ((), ("--skip-done",)):
            assert classify(folder, tmp_path, "--out", out, *more).exit_code == 0
            assert [row["path"] for row in rows_in(out)] == [str(tmp_path / "a.png")]

    def test_many_drawings_in_files(self, folder: Path, tmp_path: Path) -> None:
        tiny_model.write_ndjson(tmp_path / "in" / "star.ndjson", drawings.draw_many(90, labels=("star",)))
        out = tmp_path / "a.ndjson"
        assert classify(folder, tmp_path / "in", "--out", out).exit_code == 0
        assert [row["path"] for row in rows_in(out)] == [f"{tmp_path}/in/star.ndjson#{i}" for i in range(1, 91)]

    def test_refuses(self, folder: Path, pictures: Path, tmp_path: Path) -> None:
        taken = tmp_path / "a.ndjson"
        taken.write_text("precious")
        one_line(classify(folder, pictures, "--out", taken), 2, "--skip-done")
        one_line(classify(folder, pictures, "--out", taken.with_suffix(".txt")), 2, ".ndjson or .csv")
        one_line(classify(folder, pictures, "--skip-done"), 2, "--out")
        assert taken.read_text() == "precious"
        taken.write_text("precious\n")
        one_line(classify(folder, pictures, "--out", taken, "--skip-done"), 1, "row 1 is not a row of answers")
        assert taken.read_text() == "precious\n"
        table = tmp_path / "a.csv"
        table.write_text(",".join(columns(top=1)) + "\n")
        one_line(classify(folder, pictures, "--out", table, "--skip-done"), 2, "--top")


def heed_interrupts() -> None:
    """Let SIGINT have its effect again. A shell's background jobs ignore it, and so would the processes that the tests
    start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


class TestGoingOn:
    @pytest.mark.parametrize("suffix", [".ndjson", ".csv"])
    def test_after_any_cut_nothing_is_lost_and_nothing_twice(
        self, suffix: str, folder: Path, pictures: Path, tmp_path: Path
    ) -> None:
        some = sorted(pictures.iterdir())[:6]
        out = tmp_path / f"a{suffix}"
        classify(folder, *some, "--out", out)
        whole = out.read_bytes()
        expected = [re.sub(r"(\.\d{4})\d+", r"\1", row) for row in whole.decode().splitlines()]
        for cut in (0, 5, len(whole) // 2, len(whole) - 1):
            out.write_bytes(whole[:cut])
            result = classify(folder, *some, "--out", out, "--skip-done")
            rows = out.read_text().splitlines()
            # The last digits depend on which drawings are in one batch.
            assert [re.sub(r"(\.\d{4})\d+", r"\1", row) for row in rows] == expected, cut
            assert result.exit_code == 1, "an error of the first run is still one"
            assert result.stderr.splitlines()[-1] == "1 of 6 could not be read"

    def test_what_is_done_is_not_read(self, folder: Path, pictures: Path, tmp_path: Path, monkeypatch) -> None:
        some, out = sorted(pictures.iterdir())[:3], tmp_path / "a.ndjson"
        classify(folder, *some[:2], "--out", out)
        read = []
        monkeypatch.setattr(named, "within", lambda file, name: read.append(name) or iter([(name, "not today")]))
        classify(folder, *some, "--out", out, "--skip-done", "--workers", 0)
        assert read == [str(some[2])]
        assert len(rows_in(out)) == 3

    def test_interrupted(self, folder: Path, pictures: Path, tmp_path: Path, monkeypatch) -> None:
        out, write = tmp_path / "a.ndjson", Results.__call__

        def interrupt(self: Results, row: dict) -> None:
            write(self, row)
            if self.seen == 70:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Results, "__call__", interrupt)
        heed_interrupts()
        result = classify(folder, pictures, "--out", out)
        assert result.exit_code == 130
        assert f"70 answers are in {out}; continue with the same command and --skip-done" in result.stderr
        assert len(rows_in(out)) == 70
        monkeypatch.undo()
        assert classify(folder, pictures, "--out", out, "--skip-done").exit_code == 1
        assert [row["path"] for row in rows_in(out)] == [str(path) for path in sorted(pictures.iterdir())]

    @pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
    def test_a_real_process_ends_with_its_workers(
        self, sent: signal.Signals, folder: Path, pictures: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "a.ndjson"
        words = [sys.executable, "-m", "visketch.cli.main", "classify", *[str(pictures)] * 50]
        words += ["--out", str(out), "--workers", "2", "--checkpoint", str(folder)]
        command = subprocess.Popen(
            words, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_interrupts
        )
        try:
            wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") > MANY)
            family = processes_of(command.pid)
            assert len(family) >= 3
            if sent == signal.SIGINT:
                os.killpg(command.pid, sent)  # as a terminal does it: every process gets the signal
        finally:
            if sent == signal.SIGKILL or sys.exc_info()[0]:
                command.kill()
        _, said = command.communicate(timeout=240)
        wait_until(lambda: not any(map(alive, family)))
        assert "Traceback" not in said
        if sent == signal.SIGINT:
            assert command.returncode == 130
            assert said.splitlines()[-1] == "interrupted; the files that were written are complete"
            assert all("path" in row for row in rows_in(out))


def wait_until(true) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_of(group: int) -> list[int]:
    """The processes of a session, according to /proc."""
    if not Path("/proc").is_dir():
        pytest.skip("no /proc on this system")
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if session(int(path.name)) == group]


def session(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return None


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestRate:
    def test_starting_does_not_count(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The first answer comes after the start of other processes, which took most of a minute on a busy machine."""
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr("visketch.cli.shared.results.time", SimpleNamespace(monotonic=lambda: clock.now))
        with (tmp_path / "stderr").open("w") as file:
            monkeypatch.setattr(sys, "stderr", file)
            bar = ProgressBar(144, 0, tell=True)
            for now in (47.0, *(47 + n / 4 for n in range(1, 144))):
                clock.now = now
                bar.advance()
        told = (tmp_path / "stderr").read_text().splitlines()
        assert told == ["1 of 144 drawings", "121 of 144 drawings, 4 a second, 5.8 s left"]

    def test_no_rate_is_nought(self) -> None:
        rates = {1234.0: "1,234 a second", 1.4: "1 a second", 0.4: "24 a minute", 0.01: "36 an hour"}
        assert {rate: console.rate(rate) for rate in rates} == rates


class TestEngine:
    @pytest.mark.parametrize("workers", [0, 1, 3])
    def test_warnings_of_other_processes_are_shown_here(self, workers: int) -> None:
        with pytest.warns(PassedOverWarning) as told:
            assert list(parallel.ahead(warned, range(100), workers)) == [*range(100)]
        assert [str(one.message) for one in told] == ["3", "99"]

    @pytest.mark.parametrize("workers", [0, 1, 3])
    def test_keeps_the_order(self, workers: int) -> None:
        made = list(parallel.ahead(squares, range(400), workers))
        assert [square for square, _ in made] == [n * n for n in range(400) for _ in range(n % 3)]
        makers = {maker for _, maker in made}
        assert os.getpid() in makers
        assert (len(makers) > 1) == (workers > 0)

    def test_batches(self) -> None:
        sizes: list[int] = []
        rows = list(parallel.local(range(10), squares, lambda some: sizes.append(len(some)) or some, 4, 0))
        assert sizes == [4, 4, 1]
        assert [square for square, _ in rows] == [1, 4, 4, 16, 25, 25, 49, 64, 64]

    def test_reads_no_further_ahead_than_it_must(self) -> None:
        """Else memory would grow with the number of files."""
        given: list[int] = []
        items = (given.append(number) or number for number in range(10**6))
        ahead = parallel.ahead(squares, items, 1)
        for _ in range(500):
            next(ahead)
        ahead.close()
        assert len(given) < 500 + 300

    @pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
    def test_a_process_that_is_killed(self) -> None:
        with pytest.raises(VisketchError, match="killed"):
            list(parallel.ahead(killed, range(400), 1))


class TestRecogniser:
    def test_is_the_model(self, folder: Path) -> None:
        model, sketches = SketchModel.load(folder), drawings.draw_many(5)
        items = [(sketch.source, sketch) for sketch in sketches]
        items.insert(2, ("blank", Sketch(strokes=(), source="blank")))
        drawn = [one for item in items for one in batch.draw(CONFIG.sketch, item, pieces=24)]
        rows = batch.batch_classifier(folder, 2, "cpu")(drawn)
        assert rows.pop(2) == {"path": "blank", "error": "blank, it has no ink; give another drawing"}
        for row, guesses in zip(rows, model.classify_many(sketches, top=2), strict=True):
            assert [guess["label"] for guess in row["predictions"]] == [guess.label for guess in guesses]
            assert [guess["probability"] for guess in row["predictions"]] == pytest.approx(
                [guess.probability for guess in guesses], abs=1e-5
            )

    def test_readers_import_no_torch(self) -> None:
        """They are many, and torch takes a second and 200 MiB of each."""
        script = (
            "import sys, visketch.tasks.batch, visketch.data.image, visketch.data.svg; print('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"


def test_the_total_is_known_of_pictures_alone(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").touch()
    assert inputs.files([str(pictures), f"{pictures}/*.png"])[1] == 2 * MANY
    assert inputs.files([str(pictures), str(tmp_path)])[1] is None
    items, total = inputs.files([str(pictures)])
    assert (total, len(list(batch.undone(items, {f"{pictures}/000.png"})))) == (MANY, MANY - 1)


def test_draw_names_what_it_is_given(cat: Sketch) -> None:
    (drawn,) = partial(batch.draw, CONFIG.sketch)(("a cat", cat))
    assert drawn.name == "a cat"
    assert np.array_equal(drawn.views[0].field, sdf.render(cat, CONFIG.sketch))
