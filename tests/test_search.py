"""Searching: what an index holds, how it is updated, that killing it loses nothing, and the two verbs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Timer

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch
from PIL import Image

from visketch.atomic import replacing
from visketch.cli.shared import console
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.render.files import write_sheet
from visketch.search import database, index, indexer, scan
from visketch.search.ann import NeighbourGraph, grow
from visketch.search.features import features
from visketch.search.index import Index, usual


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny_model.small("name=random"))


@pytest.fixture(scope="module")
def model() -> SketchModel:
    """The shipped weights. To random weights, all drawings are nearly the same."""
    return SketchModel.load()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISKETCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A gallery: two files of five drawings each, one of them in a subfolder, and a picture."""
    home = tmp_path / "gallery"
    tiny_model.write_ndjson(home / "cats.ndjson", drawings.draw_many(5, labels=("cat",)))
    tiny_model.write_ndjson(home / "more" / "stars.ndjson", drawings.draw_many(5, labels=("star",)))
    picture(home / "more" / "house.png", drawings.draw("house"))
    return home


def picture(path: Path, sketch: Sketch) -> None:
    levels = np.full((256, 256), 255, np.uint8)
    for stroke in sketch.strokes or ():
        for a, b in pairwise(stroke):
            x, y = (a + (b - a) * np.linspace(0, 1, 100)[:, None]).round().astype(int).clip(0, 254).T
            levels[y, x] = levels[y + 1, x] = levels[y, x + 1] = 0
    Image.fromarray(levels).save(path)


@pytest.fixture
def opened(model: SketchModel, tmp_path: Path) -> Iterator[Index]:
    opened = Index(tmp_path / "an.index", model, create=True)
    yield opened
    opened.database.close()


def fail(error: VisketchError) -> None:
    raise AssertionError(error)


def exact(model: SketchModel, query: Sketch, sketches: list[Sketch]) -> np.ndarray:
    """The similarities by their slow definition."""
    found = features(model, model.fields([query, *sketches], model.config.reading)).numpy()
    return found[1:] @ found[0]


class TestGallery:
    def test_finds_what_comparing_with_all_finds(self, model: SketchModel, opened: Index, tmp_path: Path) -> None:
        sketches = [sketch for seed in range(5) for sketch in drawings.draw_many(8, seed)]
        tiny_model.write_ndjson(tmp_path / "all.ndjson", sketches)
        read = [sketch for _, sketch, _ in scan.drawings(tmp_path / "all.ndjson", fail)]
        opened.update(tmp_path / "all.ndjson", fail)
        for query in drawings.draw_many(5, seed=9):
            hits, truth = opened.search(query, 7), exact(model, query, read)
            assert [hit.similarity for hit in hits] == pytest.approx(np.sort(truth)[::-1][:7], abs=2e-3)
            for hit in hits:
                assert hit.similarity == pytest.approx(truth[hit.place], abs=2e-3)
                assert hit.name == f"#{hit.place + 1}"
        assert len(opened.search(query, 100)) == 40, "all of them, if so many are asked for"

    def test_a_drawing_finds_itself_in_every_kind_of_source(self, opened: Index, home: Path, tmp_path: Path) -> None:
        assert opened.update(home, fail).embedded == 11
        assert opened.search(drawings.draw("star", 3), 1)[0].file.endswith("stars.ndjson")
        (hit, *_) = opened.search(next(iter(scan.drawings(home / "more/house.png", fail)))[1], 1)
        assert (Path(hit.file).name, hit.name, hit.label) == ("house.png", "", None)
        assert hit.similarity == pytest.approx(1, abs=1e-3)
        pack([home / "cats.ndjson"], tmp_path / "cats.arrow")
        done = opened.update(tmp_path / "cats.arrow", fail)
        assert (done.embedded, done.files, done.removed) == (0, 1, 3), "the same drawings have their vectors already"
        query = Store(tmp_path / "cats.arrow")[2]
        (hit, *_) = opened.search(query, 1)
        assert (hit.file, hit.place, hit.name, hit.label) == (str(tmp_path / "cats.arrow"), 2, "#3", "cats")
        assert np.array_equal((scan.HitDrawings([hit]).take(hit).strokes or ())[0], (query.strokes or ())[0])

    def test_equal_drawings_have_a_similarity_of_1(self, opened: Index, tmp_path: Path) -> None:
        """More exactly than half precision, in which the vectors are stored."""
        tiny_model.write_ndjson(tmp_path / "all.ndjson", drawings.draw_many(12))
        opened.update(tmp_path / "all.ndjson", fail)
        same = [opened.search(sketch, 1)[0] for _, sketch, _ in scan.drawings(tmp_path / "all.ndjson", fail)]
        assert [hit.place for hit in same] == [*range(12)]
        assert [hit.similarity for hit in same] == pytest.approx([1] * 12, abs=1e-5)

    def test_embeds_only_what_is_new(self, opened: Index, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened.update(home, fail)
        seen = count(monkeypatch)
        assert opened.update(home, fail) == index.Update(0, 0, 0, 0)
        os.utime(home / "cats.ndjson", ns=(1, 1))
        assert opened.update(home, fail) == index.Update(0, 1, 0, 0), "touched, but the same"
        (home / "cats.ndjson").rename(home / "moved.ndjson")
        assert opened.update(home, fail) == index.Update(0, 1, 1, 0)
        tiny_model.write_ndjson(home / "moved.ndjson", drawings.draw_many(7, labels=("cat",)))
        assert opened.update(home, fail) == index.Update(2, 1, 0, 0), "two were added to it"
        assert sum(seen) == 2
        (home / "more" / "stars.ndjson").unlink()
        assert opened.update(home, fail) == index.Update(0, 0, 1, 0)
        assert opened.database.counts() == {"files": 2, "drawings": 8, "different": 8, "unread": 0}
        assert {Path(hit.file).name for hit in opened.search(drawings.draw("star", 3), 20)} == {
            "moved.ndjson",
            "house.png",
        }

    def test_sheets_are_left_out(self, opened: Index, home: Path) -> None:
        levels = np.asarray(Image.open(home / "more/house.png"))
        write_sheet(home / "sheet.png", np.hstack([levels, levels]), {"n": 2})
        Image.fromarray(np.hstack([levels, levels])).save(home / "sheet-2.png")  # a file that visketch did not write
        opened.update(home, fail)
        names = {Path(hit.file).name for hit in opened.search(drawings.draw("house"), 100)}
        assert names == {"cats.ndjson", "stars.ndjson", "house.png", "sheet-2.png"}

    def test_the_same_drawing_twice_is_found_twice(self, opened: Index, home: Path) -> None:
        (home / "again.ndjson").write_bytes((home / "cats.ndjson").read_bytes())
        assert opened.update(home, fail).embedded == 11
        first, second = opened.search(drawings.draw("cat", 0), 2)
        assert {first.file, second.file} == {str(home / "again.ndjson"), str(home / "cats.ndjson")}
        assert first.similarity == second.similarity

    def test_what_cannot_be_read_is_told_once_and_counted(self, opened: Index, home: Path) -> None:
        (home / "broken.png").write_text("no picture")
        (home / "some.ndjson").write_text(
            '{"drawing":[[[0,9],[0,9]]]}\nrubbish\n{"drawing":[]}\n{"drawing":[[[9,0],[0,9]]]}\n'
        )
        errors: list[VisketchError] = []
        done = opened.update(home, errors.append)
        assert (done.embedded, done.unread, len(errors)) == (13, 3, 3)
        assert opened.update(home, fail).unread == 0
        assert opened.database.counts()["unread"] == 3
        names = {hit.name for hit in opened.search(drawings.draw("cat"), 20) if hit.file.endswith("some.ndjson")}
        assert names == {"#1", "#4"}
        for hit in opened.search(drawings.draw("cat"), 20):
            assert scan.HitDrawings([hit]).take(hit).lines()

    def test_refuses_other_weights(self, opened: Index, home: Path, model: SketchModel) -> None:
        opened.update(home, fail)
        other = SketchModel(
            model.config, encoder=tiny_model.awake(model.config, "encoder", 7), classifier=model.part("classifier")
        )
        with pytest.raises(VisketchError, match=r"other weights \(encoder \w{16}, here \w{16}\).*--renew"):
            Index(opened.folder, other)
        Index(
            opened.folder, SketchModel(model.config, encoder=model.part("encoder"), classifier=model.part("classifier"))
        )

    @pytest.mark.parametrize(("exact_up_to", "suffix"), [(index.EXACT, ".vectors"), (0, ".usearch")])
    def test_several_files_are_one_index(
        self, opened: Index, model: SketchModel, tmp_path: Path, monkeypatch, exact_up_to: int, suffix: str
    ) -> None:
        monkeypatch.setattr(index, "SPAN", 8)
        monkeypatch.setattr(index, "EXACT", exact_up_to)
        sketches = drawings.draw_many(30)
        tiny_model.write_ndjson(tmp_path / "all.ndjson", sketches)
        opened.update(tmp_path / "all.ndjson", fail)
        assert len(list(opened.folder.glob(f"*{suffix}"))) == 4
        query = drawings.draw("fish", 77)
        truth = exact(model, query, [sketch for _, sketch, _ in scan.drawings(tmp_path / "all.ndjson", fail)])
        assert [hit.similarity for hit in opened.search(query, 9)] == pytest.approx(np.sort(truth)[::-1][:9], abs=2e-3)
        tiny_model.write_ndjson(tmp_path / "all.ndjson", sketches[20:])
        opened.update(tmp_path / "all.ndjson", fail)
        assert len(list(opened.folder.glob(f"*{suffix}"))) == 2, "of what is gone nothing is kept"
        assert len(opened.search(query, 30)) == 10

    @pytest.mark.parametrize("exact_up_to", [index.EXACT, 0])
    def test_a_damaged_file_is_made_again(
        self, opened: Index, home: Path, model: SketchModel, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
    ) -> None:
        monkeypatch.setattr(index, "EXACT", exact_up_to)
        opened.update(home, fail)
        before = opened.search(drawings.draw("cat", 3), 5)
        (file,) = [file for file in opened.folder.iterdir() if file.suffix in index.SUFFIXES.values()]
        file.write_bytes(file.read_bytes()[:-100])
        assert Index(opened.folder, model).search(drawings.draw("cat", 3), 5) == before
        file.unlink()
        assert Index(opened.folder, model).search(drawings.draw("cat", 3), 5) == before

    def test_an_index_that_outgrows_comparing_gets_graphs_and_back(
        self, opened: Index, home: Path, model: SketchModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If usearch is missing, an index with graphs can still be searched, by comparing with all vectors."""
        opened.update(home, fail)
        before = opened.search(drawings.draw("cat", 3), 5)
        for found, suffix in ((True, ".usearch"), (False, ".vectors")):
            monkeypatch.setattr(index, "EXACT", 0)
            monkeypatch.setattr(index, "find_spec", lambda name, found=found: found)
            again = Index(opened.folder, model)
            again.update(home, fail)
            assert again.search(drawings.draw("cat", 3), 5) == before
            assert {file.suffix for file in opened.folder.iterdir()} & set(index.SUFFIXES.values()) == {suffix}

    def test_the_drawings_are_counted_once_in_an_update(self, opened: Index, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(index, "SPAN", 8)
        tiny_model.write_ndjson(tmp_path / "all.ndjson", drawings.draw_many(30))
        told: list[str] = []
        opened.database.db.set_trace_callback(told.append)
        opened.update(tmp_path / "all.ndjson", fail)
        assert len(list(opened.folder.glob("*.vectors"))) == 4
        assert [words for words in told if "count(*) from" in words and "where" not in words] == [
            "select count(*) from vectors"
        ]
        assert (opened.database.drawings(), opened.database.different()) == (30, 30)

    def test_two_can_create_it_at_once(self, tmp_path: Path) -> None:
        path, about = tmp_path / "new.sqlite", {"encoder": "a"}
        other = sqlite3.connect(path, check_same_thread=False)
        other.execute("begin immediate")
        for statement in database.SCHEMA.split(";\n")[:-1]:
            other.execute(statement)
        other.execute("insert into about values ('encoder', '\"a\"')")
        other.execute(f"pragma user_version = {database.FORMAT}")
        Timer(0.3, other.commit).start()
        assert database.Database(path, about).about == about

    def test_two_do_not_write_at_once(self, opened: Index, home: Path, model: SketchModel) -> None:
        with opened.lock, pytest.raises(VisketchError, match="another process"):
            Index(opened.folder, model).update(home, fail)

    def test_refuses_a_place_where_something_else_is(self, model: SketchModel, home: Path, tmp_path: Path) -> None:
        with pytest.raises(VisketchError, match="is not an index"):
            Index(home, model, create=True)
        with pytest.raises(VisketchError, match="not an index"):
            Index(home, model)
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / index.CATALOGUE).write_text("rubbish " * 1000)
        with pytest.raises(VisketchError, match="--renew"):
            Index(tmp_path / "bad", model)


def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From here on, record how many drawings are embedded at a time."""
    seen: list[int] = []

    def counted(model: SketchModel, canvas: torch.Tensor) -> torch.Tensor:
        seen.append(len(canvas))
        return features(model, canvas)

    monkeypatch.setattr(indexer, "features", counted)
    return seen


TORN = "select count(*) from drawings where vector is null or file is null"
INDEXING = """
import os, signal, sys
from visketch import ViSketch, atomic
from visketch.search import index, indexer

indexer.BATCH = 8


def update(left):
    # killed at the `left`th statement of SQL, rename or fsync: so in the middle of a transaction, too

    def watched(call):
        def counted(*given, **named):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)

        return counted

    opened = index.Index(index.Path(sys.argv[2]), ViSketch.load(sys.argv[1]), create=True)
    opened.database.db.set_trace_callback(watched(lambda statement: None))
    atomic.os.replace, atomic.os.fsync = watched(os.replace), watched(os.fsync)
    opened.update(index.Path(sys.argv[3]), sys.exit)


for moment in sys.stdin:  # a process for each, which need not import torch again
    child = os.fork()
    if not child:
        update(int(moment))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class TestInterrupted:
    def test_an_exception_anywhere_loses_no_step(self, opened: Index, tmp_path: Path, monkeypatch) -> None:
        """The third step fails. Two steps are kept, and the next run embeds only the rest."""
        monkeypatch.setattr(indexer, "BATCH", 4)
        tiny_model.write_ndjson(tmp_path / "all.ndjson", drawings.draw_many(15))
        write, steps = database.Database.write, []

        def stop(self: database.Database, *given: object) -> None:
            steps.append(given)
            if len(steps) == 3:
                raise KeyboardInterrupt
            write(self, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(database.Database, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            opened.update(tmp_path / "all.ndjson", fail)
        assert len(opened.search(drawings.draw("cat"), 20)) == 8, "what is there can be searched"
        done = opened.update(tmp_path / "all.ndjson", fail)
        assert done.embedded == 7
        assert sorted(hit.place for hit in opened.search(drawings.draw("cat"), 20)) == list(range(15))

    def test_killed_at_any_moment(self, folder: Path, tmp_path: Path) -> None:
        """kill -9 at many moments. What is left is always complete, and in the end everything is there once."""
        source, out = tmp_path / "all.ndjson", tmp_path / "all.index"
        tiny_model.write_ndjson(source, drawings.draw_many(48))
        before, killed = 0, 0
        words = [sys.executable, "-c", INDEXING, str(folder), str(out), str(source)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as indexing:
            assert indexing.stdin
            assert indexing.stdout
            for moment in (9, 70, 90):
                print(moment, file=indexing.stdin, flush=True)
                code = int(indexing.stdout.readline())
                assert code in (0, -signal.SIGKILL)
                killed += code != 0
                with sqlite3.connect(out / index.CATALOGUE) as db:
                    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
                    (vectors,) = db.execute("select count(*) from vectors").fetchone()
                    (torn,) = db.execute(TORN).fetchone()
                assert torn == 0
                assert vectors >= before
                before = vectors
        assert killed >= 2
        opened = Index(out, SketchModel.load(folder))
        opened.update(source, fail)
        assert sorted(hit.place for hit in opened.search(drawings.draw("cat"), 100)) == list(range(48))
        assert len(list(out.glob("*.vectors"))) == 1


def test_what_is_unlike_is_left_out() -> None:
    def hits(*similarities: float) -> list[database.Hit]:
        return [database.Hit("file", place, "", None, similarity) for place, similarity in enumerate(similarities)]

    assert index.alike(hits(0.9, 0.1, 0.0, -0.2)) == hits(0.9, 0.1)
    assert index.alike(hits(-0.1, -0.2)) == hits(-0.1, -0.2), "rather than nothing"
    assert index.alike([]) == []


def test_a_graph_grows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert grow(None, tmp_path / "a", [(np.arange(100), vectors[:100])]) == 100
    assert grow(tmp_path / "a", tmp_path / "b", [(np.arange(100, 300), vectors[100:])]) == 300
    graph = NeighbourGraph(tmp_path / "b")
    for number in (3, 120, 299):
        assert number in graph.nearest(vectors[number], 4)
        truth = set(np.argsort(-(vectors @ vectors[number]))[:10].tolist())
        assert truth <= set(graph.nearest(vectors[number], 40).tolist())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


class TestVerbs:
    def test_search_indexes_what_has_no_index(self, home: Path, cache: Path, tmp_path: Path) -> None:
        before = sorted(home.rglob("*"))
        out, query = tmp_path / "found.png", tmp_path / "query.ndjson"
        tiny_model.write_ndjson(query, [drawings.draw("star", 3)])
        result = visketch("search", query, home, "-n", 3, "--out", out, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert said["drawings"] == 11
        assert [row["rank"] for row in said["found"]] == [1, 2, 3]
        similar = [row["similarity"] for row in said["found"]]
        assert similar == sorted(similar, reverse=True)
        assert said["found"][0]["path"].endswith("stars.ndjson#4")
        assert said["found"][0]["similarity"] == pytest.approx(1, abs=1e-3)
        assert sorted(home.rglob("*")) == before, "nothing is written beside the drawings"
        assert Path(said["index"]).parent == cache
        with Image.open(out) as sheet:
            assert sheet.width == sheet.height - 2 * 40 == 2 * 32 + 2 * 176 + 16
            assert json.loads(sheet.info["Description"])["of"] == f"{query}#1"
            levels = np.asarray(sheet.convert("L"))
        assert (levels[40:200, 40:200] < 60).any(), "the query"
        assert np.abs(levels[40:200, 40:200].astype(int) - levels[40:200, 232:392]).mean() < 1, "and the same, found"
        people = visketch("search", query, home, "-n", 3, env={"COLUMNS": "200"})
        assert "stars.ndjson#4" in people.stdout
        assert len(people.stdout.splitlines()) == 4

    def test_index_and_search_it(self, home: Path, tmp_path: Path) -> None:
        out = tmp_path / "my.index"
        said = json.loads(visketch("index", home, "--out", out, "--json").stdout)
        assert (said["drawings"], said["files"], said["now"]["embedded"]) == (11, 3, 11)
        assert said["bytes"] == sum(file.stat().st_size for file in out.iterdir())
        again = visketch("index", home, "--out", out)
        assert again.stdout.startswith("11 drawings in 3 files")
        assert "embedded 0" in again.stderr
        (home / "cats.ndjson").unlink()
        for place in (out, home):
            found = json.loads(visketch("search", home / "more/house.png", place, "-n", 20, "--json").stdout)
            assert found["found"][0]["path"].endswith("more/house.png")
            assert found["drawings"] == (11 if place == out else 6), "an index is searched as it is"
            assert all(row["similarity"] > 0 for row in found["found"])
        for wanted in ((), ("--out", tmp_path / "found.png")):
            told = visketch("search", home / "more/house.png", out, "-n", 20, *wanted)
            assert told.exit_code == 0
            assert f"{home / 'cats.ndjson'}: is gone since it was indexed; index it again" in told.stderr

    @pytest.mark.parametrize("wanted", [(), ("--out", "found.png")])
    def test_an_index_is_searched_with_a_warning_of_changed_files(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        words = "search", home / "more/house.png", tmp_path / "my.index", "-n", 20, *wanted
        assert visketch("index", home, "--out", tmp_path / "my.index").exit_code == 0
        (home / "more/house.png").chmod(0o444)  # a new status alone is no change
        tiny_model.write_ndjson(home / "cats.ndjson", drawings.draw_many(2, labels=("cat",)))
        told = visketch(*words)
        assert told.exit_code == 0
        assert told.stderr == f"warning: {home / 'cats.ndjson'}: has changed since it was indexed; index it again\n"

    def test_a_link_has_its_name_in_the_gallery(self, home: Path, tmp_path: Path) -> None:
        picture(tmp_path / "elsewhere.png", drawings.draw("fish"))
        (home / "linked.png").symlink_to(tmp_path / "elsewhere.png")
        (tmp_path / "another way").symlink_to(home)
        for gallery in (home, tmp_path / "another way"):
            (hit,) = json.loads(visketch("search", home / "linked.png", gallery, "-n", 1, "--json").stdout)["found"]
            assert (hit["path"], hit["similarity"]) == (str(home / "linked.png"), 1)
        assert json.loads(visketch("index", home, "--json").stdout)["now"]["files"] == 0, "it is the same gallery"

    def test_an_index_in_its_own_gallery_is_not_passed_over_aloud(self, home: Path) -> None:
        for _ in range(2):
            done = visketch("index", home, "--out", home / "my.index")
            assert done.exit_code == 0, done.output
            assert "passed over" not in done.stderr

    def test_renewing_keeps_the_files_of_others(self, home: Path, tmp_path: Path) -> None:
        out, again = tmp_path / "my.index", ("index", home, "--out", tmp_path / "my.index", "--renew")
        assert visketch("index", home, "--out", out).exit_code == 0
        with replacing(out / "0000-11-11.vectors") as unfinished:
            pass
        unfinished.write_text("of a process that was killed")
        others = [out / "notes.txt", out / "my.vectors", out / f"{index.CATALOGUE}.bak", out / "more" / "lock"]
        (out / "more").mkdir()
        for other in others:
            other.write_text("mine")
        said = json.loads(visketch(*again, "--json").stdout)
        assert said["now"]["embedded"] == 11, "it was made anew"
        assert all(other.read_text() == "mine" for other in others)
        assert not unfinished.exists()
        assert said["bytes"] == sum(file.stat().st_size for file in {*out.iterdir()} - {*others, out / "more"})
        index.remove(out)
        assert {*out.rglob("*")} == {*others, out / "more"}
        with pytest.raises(VisketchError, match="is not an index"):
            index.check_place(out)
        assert visketch("index", home, "--out", tmp_path / "other.index").exit_code == 0
        index.remove(tmp_path / "other.index")
        assert not (tmp_path / "other.index").exists()

    def test_what_cannot_be_read_is_said(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (home / "broken.png").write_text("no picture")
        result = visketch("index", home)
        assert result.exit_code == 1
        assert "broken.png" in result.stderr
        assert result.stdout.startswith("11 drawings in 4 files")
        again = visketch("index", home)
        assert again.exit_code == 1, "it is still not in the index"
        why = "1 drawing could not be read before, and the file has not changed since"
        assert f"error: {home / 'broken.png'}: {why}" in again.stderr
        assert "embedded 0 drawings; read 0 new or changed files, removed 0 files from the index" in again.stderr
        (home / "torn.png").write_text("no picture")
        (home / "cats.ndjson").unlink()
        third = visketch("index", home)
        assert "embedded 0 drawings; read 1 new or changed file, removed 1 file from the index" in third.stderr
        assert third.stderr.count("torn.png") == third.stderr.count("broken.png") == 1, "each is named once"
        said = json.loads(visketch("index", home, "--json").stdout)
        assert (said["unread"], said["now"]["unread"]) == (2, 0)
        assert said["unread_files"] == [str(home / "broken.png"), str(home / "torn.png")]
        with monkeypatch.context() as patch:
            patch.setattr(console, "SHOWN", 1)
            assert "2 could not be read, 1 of them not named here" in visketch("index", home).stderr
        (home / "another.png").write_text("no picture")
        found = visketch("search", home / "more/house.png", home)
        assert found.exit_code == 0, "the question is answered"
        assert found.stderr.count("warning: ") == 3
        assert f"warning: {home / 'another.png'}: not a picture" in found.stderr
        assert f"warning: {home / 'broken.png'}: {why}" in found.stderr

    def test_other_weights(self, home: Path, folder: Path) -> None:
        visketch("index", home)
        other = ("--checkpoint", folder)
        one_line(visketch("search", home / "more/house.png", home, *other), 1, "other weights", "encoder", "--renew")
        assert visketch("index", home, "--renew", *other).exit_code == 0
        assert visketch("search", home / "more/house.png", home, *other).exit_code == 0

    def test_refuses(self, home: Path, tmp_path: Path) -> None:
        query = home / "more/house.png"
        one_line(visketch("search", query, tmp_path / "none"), 1, "no such file")
        one_line(visketch("search", tmp_path / "none.png", home), 1, "none.png: no such file")
        one_line(visketch("search", home, query), 2, f"{home}: a folder; the sketch comes first, the gallery second")
        one_line(visketch("search", query, home, "--out", "a.jpg"), 2, ".png")
        one_line(visketch("index", tmp_path / "none"), 1, "no such file")
        one_line(visketch("index", home, "--out", home), 1, "the folder exists and is not an index")
        one_line(visketch("index", home, "--out", query), 1, "the file exists and is not an index")
        (tmp_path / "empty").mkdir()
        one_line(visketch("search", query, tmp_path / "empty"), 1, "no file of drawings")
        assert (home / "cats.ndjson").exists()

    def test_needs_nothing_but_the_plain_install(self, home: Path, cache: Path) -> None:
        code = "import sys; sys.modules['usearch'] = None; from visketch.cli.main import run; run()"
        words = [sys.executable, "-c", code, "search", str(home / "more/house.png"), str(home)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "house.png" in done.stdout


def test_the_cache_is_where_the_system_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VISKETCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    here, there = usual(tmp_path / "a" / "gallery"), usual(tmp_path / "b" / "gallery")
    assert here.parent == there.parent == tmp_path / "visketch"
    assert here != there
    assert here == usual(tmp_path / "a" / "x" / ".." / "gallery")
    assert here.name.startswith("gallery-")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Library/Caches" in str(usual(tmp_path))
