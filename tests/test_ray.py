"""Many files on a cluster, by Ray Data. The cluster is this machine alone, and some of its processes are killed."""

import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import one_line
from command_line import visketch as run

import visketch.device
import visketch.model
from visketch import parallel
from visketch.data.named import Item
from visketch.errors import VisketchError
from visketch.model import SketchModel
from visketch.tasks import batch

FILES, EACH, BAD = 40, 3, "17.ndjson"
MULTIPLIES = visketch.device.multiplies_bfloat16  # its value before the tests begin


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    if not find_spec("ray"):
        pytest.skip('Ray is not installed: pip install "visketch[ray]"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # otherwise, other work on this machine would come first
        ray = parallel.connect(num_cpus=2, num_gpus=0)
        yield
        ray.shutdown()


@pytest.fixture(autouse=True)
def precision_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers are other processes, in which what is patched here has no effect."""
    monkeypatch.setattr(visketch.model, "multiplies_bfloat16", MULTIPLIES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny_model.small("name=random"))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of three drawings each, one of which cannot be read; the last file has a hundred drawings."""
    home = tmp_path_factory.mktemp("gallery")
    for number in range(FILES):
        sketches = drawings.draw_many(EACH, seed=number, labels=(tiny_model.LABELS[number % 3],))
        tiny_model.write_ndjson(home / f"{number:02}.ndjson", sketches)
    (home / BAD).write_text("hello, I am a letter")
    tiny_model.write_ndjson(home / "more.ndjson", drawings.draw_many(100))
    return home


def alike(rows: list[batch.Row], others: list[batch.Row]) -> None:
    """Check that these are the same drawings in the same order, with the same answers except for the rounding of other
    batches.
    """
    for row, other in zip(rows, others, strict=True):
        assert row["path"] == other["path"]
        assert row.get("error") == other.get("error")
        assert chances(row) == pytest.approx(chances(other), abs=0.02)


def chances(row: batch.Row) -> dict[str, float]:
    return {guess["label"]: guess["probability"] for guess in row.get("predictions", [])}


def test_the_killed_lose_nothing_and_double_nothing(cluster: None, folder: Path, gallery: Path, tmp_path: Path) -> None:
    """One of two processes with the model is killed half way, and before that, one of those that read."""
    shape = SketchModel.load(folder).config.sketch

    def dies(mark: Path) -> None:
        """Kill the first process that gets here."""
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def read(item: Item) -> Iterator[batch.RenderedDrawing]:
        for drawn in batch.draw(shape, item):
            if drawn.name.endswith("10.ndjson#2"):  # while what it read before is on its way
                dies(tmp_path / "a reader died")
            yield drawn

    def make_worker(device: str) -> parallel.Worker:
        (tmp_path / f"worker {os.getpid()}").touch()
        recognise = batch.batch_classifier(folder, 3, device)

        def work(some: list[batch.RenderedDrawing]) -> list[batch.Row]:
            if any(drawn.name.endswith("25.ndjson#1") for drawn in some):
                dies(tmp_path / "a worker died")
            return recognise(some)

        return work

    files = sorted(gallery.iterdir())
    rows = list(parallel.on_ray(files, read, make_worker, batch=8, workers=2))
    recognise = batch.batch_classifier(folder, 3, "cpu")
    alike(rows, list(parallel.local(files, partial(batch.draw, shape), recognise, batch=8, workers=0)))
    assert len(rows) == (FILES - 1) * EACH + 1 + 100
    assert {mark.name for mark in tmp_path.glob("a *")} == {"a reader died", "a worker died"}
    assert len(list(tmp_path.glob("worker *"))) == 3, "another took its place"


def test_classify_answers_as_here(cluster: None, folder: Path, gallery: Path, tmp_path: Path) -> None:
    """Both the local and the cluster run continue the rows of an interrupted run."""
    rows, begun = {}, tmp_path / "begun.ndjson"
    words = ("--checkpoint", folder, "--workers", 0, "--out", begun)
    assert run("classify", gallery / "more.ndjson", *words).exit_code == 0
    for kind in ("local", "ray"):
        out = tmp_path / f"{kind}.ndjson"
        words = ("--checkpoint", folder, "--engine", kind, "--workers", 1, "--out", out)
        out.write_text("".join(begun.read_text().splitlines(keepends=True)[:70]))
        result = run("classify", *sorted(gallery.glob("[1m]*")), *words, "--skip-done", "--json")
        assert result.exit_code == 1, "one is no drawing"
        assert BAD in one_error(result.stderr)
        facts = json.loads(result.stdout)
        assert (facts["answered"], facts["failed"], facts["skipped"]) == (9 * EACH + 100, 1, 70)
        rows[kind] = [json.loads(line) for line in out.read_text().splitlines()]
    alike(rows["ray"], rows["local"])


def one_error(stderr: str) -> str:
    (line,) = (line for line in stderr.splitlines() if line.startswith("error: "))
    return line


def test_index_holds_what_it_holds_here(cluster: None, folder: Path, gallery: Path, tmp_path: Path) -> None:
    for kind in ("local", "ray"):
        words = ("--out", tmp_path / kind, "--checkpoint", folder, "--engine", kind, "--json")
        said = json.loads(run("index", gallery, *words).stdout)
        assert said["now"] == {"embedded": said["different"], "files": FILES + 1, "removed": 0, "unread": 1}
        again = json.loads(run("index", gallery, *words).stdout)
        assert again["now"] == {"embedded": 0, "files": 0, "removed": 0, "unread": 0}
    inside = [catalogued(tmp_path / kind) for kind in ("local", "ray")]
    assert len(inside[0][1]) == (FILES - 1) * EACH + 100
    assert inside[0][:2] == inside[1][:2]
    assert np.allclose(inside[0][2], inside[1][2], atol=0.01)


def catalogued(index: Path) -> tuple[list, list, np.ndarray]:
    """What an index contains: its files, its drawings, and the vector of each drawing."""
    db = sqlite3.connect(index / "catalogue.sqlite")
    files = db.execute("select path, size, changed, unread from files order by path").fetchall()
    sql = """select path, place, name, label, key, value from drawings join files on files.id = drawings.file
             join vectors on vectors.id = drawings.vector order by path, place"""
    rows = db.execute(sql).fetchall()
    return files, [row[:-1] for row in rows], np.array([np.frombuffer(row[-1], "<f2") for row in rows], np.float32)


def test_packed_are_the_same_bytes(cluster: None, gallery: Path, tmp_path: Path) -> None:
    for label in tiny_model.LABELS:
        tiny_model.write_ndjson(tmp_path / f"in/{label}.ndjson", drawings.draw_many(9, labels=(label,)))
    (tmp_path / "in" / "letter.png").write_text("hello")
    said = []
    for kind in ("local", "ray"):
        words = ("--limit", 7, "--without", "house", "--out", tmp_path / f"{kind}.arrow", "--engine", kind)
        result = run("data", "pack", tmp_path / "in", gallery, *words)
        assert result.exit_code == 1, "one is no drawing"
        said.append(result.stderr)
    assert said[0] == said[1]
    assert (tmp_path / "ray.arrow").read_bytes() == (tmp_path / "local.arrow").read_bytes()


def test_what_goes_wrong_there_is_said_in_one_line(cluster: None, folder: Path, gallery: Path) -> None:
    def refuse(device: str) -> parallel.Worker:
        raise VisketchError("weights.toml: not on this machine, copy it there")

    with pytest.raises(VisketchError, match=r"^weights.toml: not on this machine, copy it there$"):
        list(parallel.on_ray([1], lambda one: [one], refuse, batch=1))
    words = ("classify", gallery, "--checkpoint", folder, "--engine", "ray", "--device")
    one_line(run(*words, "cuda"), 2, "no device 'cuda' in the cluster")
    one_line(run(*words, "mps"), 2, "use auto, cpu or cuda")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, folder: Path, gallery: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        where = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", where)
        monkeypatch.setattr(ray, "is_initialized", lambda: False)  # whatever other tests have started
        words = ("classify", gallery, "--checkpoint", folder, "--engine", "ray", "--out", tmp_path / "answers.csv")
        one_line(run(*words), 1, f"no Ray cluster at {where}; check RAY_ADDRESS")
    assert not list(tmp_path.iterdir())


def test_without_ray(monkeypatch: pytest.MonkeyPatch, folder: Path, gallery: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("classify", gallery, "--checkpoint", folder, "--engine", "ray")
    one_line(result, 1, 'Ray is not installed: pip install "visketch[ray]"')
