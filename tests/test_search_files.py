"""Searching a gallery whose files change while it is open, have names that are not UTF-8, or have many drawings."""

import json
import os
import sqlite3
import sys
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
from command_line import full_disk, visketch
from fastapi.testclient import TestClient

from visketch.data import json_documents
from visketch.data.packing import pack
from visketch.data.sqlite_text import decoded, encoded
from visketch.data.store import Store, key
from visketch.errors import VisketchError
from visketch.language.detect.categories import NUMBERS
from visketch.language.detect.index import PhotoIndex
from visketch.language.detect.photo import Detections
from visketch.language.detect.sketch_word import SketchWord
from visketch.model import SketchModel
from visketch.search.database import Hit
from visketch.search.index import Index, usual
from visketch.search.scan import HitDrawings, listed, look
from visketch.serve.app import build
from visketch.serve.service import Service

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel.load()


def fail(error: VisketchError) -> None:
    raise AssertionError(error)


def test_an_index_on_a_full_disk_is_not_called_damaged(tmp_path: Path) -> None:
    tiny_model.write_ndjson(tmp_path / "drawings" / "cats.ndjson", drawings.draw_many(3, labels=("cat",)))
    with full_disk(at=100):
        result = visketch("index", tmp_path / "drawings", "--out", tmp_path / "index")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert "damaged" not in result.stderr


def test_an_open_index_finds_what_another_process_adds_and_removes(model: SketchModel, tmp_path: Path) -> None:
    gallery, query = tmp_path / "gallery", drawings.draw("star", 3)
    tiny_model.write_ndjson(gallery / "cats.ndjson", drawings.draw_many(3, labels=("cat",)))
    writer = Index(tmp_path / "an.index", model, create=True)
    writer.update(gallery, fail)
    reader = Index(tmp_path / "an.index", model)
    assert reader.search(query, 1)[0].similarity < 0.9
    tiny_model.write_ndjson(gallery / "star.ndjson", [query])
    writer.update(gallery, fail)
    (hit,) = reader.search(query, 1)
    assert (Path(hit.file).name, hit.similarity) == ("star.ndjson", pytest.approx(1, abs=1e-3))
    mapped = reader.neighbours
    reader.search(query, 1)
    assert reader.neighbours is mapped, "what has not changed is not opened again"
    (gallery / "star.ndjson").unlink()
    writer.update(gallery, fail)
    assert len(reader.search(query, 9)) == 3


@pytest.mark.parametrize("text", ["", "cat.png", "café.png", "caf\udce9.png", "\ud800"])
def test_every_text_can_be_stored(text: str) -> None:
    (stored,) = sqlite3.connect(":memory:").execute("select ?", (encoded(text),)).fetchone()
    assert decoded(stored) == text


@only_linux
def test_names_that_are_not_utf_8(model: SketchModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISKETCH_CACHE", str(tmp_path / "cache"))
    gallery, name = tmp_path / os.fsdecode(b"gal\xe9rie"), os.fsdecode(b"caf\xe9.ndjson")
    tiny_model.write_ndjson(gallery / "cats.ndjson", drawings.draw_many(3, labels=("cat",)))
    star = [np.rint(line).T.tolist() for line in drawings.draw("star", 3).lines()]
    lines = {"drawing": star}, {"drawing": star, "word": "\ud800"}  # JSON lets a label be broken as well
    (gallery / name).write_text("\n".join(map(json.dumps, lines)))
    (gallery / os.fsdecode(b"br\xf6ken.png")).write_bytes(b"no picture")
    told = visketch("search", gallery / name, gallery, "--out", tmp_path / "found.png", "--json")
    assert told.exit_code == 0, told.output
    assert told.stderr.count("warning:") == told.stderr.count("not a picture") == 1
    found = json.loads(told.stdout)["found"]
    assert [(row["path"], row["label"]) for row in found[:2]] == [
        (f"{gallery / name}#1", None),
        (f"{gallery / name}#2", "\ud800"),
    ]
    assert json.loads(visketch("index", gallery, "--json").stdout)["now"]["embedded"] == 0
    (gallery / name).rename(gallery / os.fsdecode(b"th\xe9.ndjson"))
    service = Service(model, usual(gallery), gallery.name)
    assert json.loads(visketch("index", gallery, "--json").stdout)["now"]["removed"] == 1
    with TestClient(build(service), base_url="http://localhost") as client:
        assert client.get("/v1/about").json()["index"] == r"gal\udce9rie"
        _, found = client.post("/v1/search", json={"drawing": star, "n": 2}).json()["found"]
    assert (found["name"], found["label"], len(found["drawing"])) == (r"th\udce9.ndjson#2", r"\ud800", len(star))


@only_linux
def test_photos_whose_names_are_not_utf_8(tmp_path: Path) -> None:
    photo, drawing = tmp_path / "stra\udcdfe.jpg", tmp_path / "h\udce4user.jpg"
    looked: list[Path] = []

    def look(path: Path) -> Detections | None:
        looked.append(path)
        return None if path == drawing else dog

    dog = Detections(np.array([[0, 0, 0.5, 0.5]]), np.array([NUMBERS["dog"]]), np.array([0.75]))
    index = PhotoIndex(tmp_path / "photos.sqlite", "one")
    for file in (photo, drawing):
        file.write_bytes(b"1")
    for _ in range(2):
        index.update([photo, drawing], look, pytest.fail)
    assert looked == [photo, drawing], "once"
    assert index.drawings() == [drawing]
    assert [hit.path for hit in index.search(SketchWord.of({"dog": 0.9}), 5)] == [photo]
    assert index.seen(photo).chance.tolist() == [0.75]
    index.update([drawing], look, pytest.fail)
    assert index.counts() == (0, 1)


class TestHitDrawings:
    def gallery(self, folder: Path) -> dict[str, Path]:
        """The same drawings in files of several types; lines that hold none are among those of the first."""
        sketches = drawings.draw_many(30)
        tiny_model.write_ndjson(folder / "plain.ndjson", sketches)
        lines = (folder / "plain.ndjson").read_text().splitlines()
        (folder / "all.ndjson").write_text("\n".join(["", lines[0], " ", "rubbish", '{"drawing": []}', *lines[1:]]))
        (folder / "all.json").write_text(f"[{','.join(lines)}]")
        (folder / "parts.json").write_text(f'{{"drawings": [{{"drawing": []}}, {",".join(lines)}]}}')
        np.save(folder / "all.npy", np.random.default_rng(0).integers(0, 2, (30, 28, 28), np.uint8))
        pack([folder / "plain.ndjson"], folder / "all.arrow")
        return {name: folder / name for name in ("all.ndjson", "all.json", "parts.json", "all.npy", "all.arrow")}

    @pytest.mark.parametrize("name", ["all.ndjson", "all.json", "parts.json", "all.npy", "all.arrow"])
    def test_are_those_that_were_indexed(self, tmp_path: Path, name: str) -> None:
        file = listed(str(self.gallery(tmp_path)[name]))
        assert file
        indexed = [seen.entry for seen in look(file) if seen.entry]
        assert len(indexed) == 30
        some = [indexed[place] for place in (29, 3, 0, 17)]
        hits = [Hit(entry.file, entry.place, entry.name, entry.label, 1.0) for entry in some]
        found = HitDrawings(hits)
        assert [key(found.take(hit)) for hit in hits] == [entry.key for entry in some]

    def test_a_file_is_read_once_and_only_where_there_are_hits(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = self.gallery(tmp_path)
        parsed: list[bytes] = []
        opened: list[Path] = []
        parse, open_store = json_documents._parsed, Store.__init__
        monkeypatch.setattr(json_documents, "_parsed", lambda text: parsed.append(text) or parse(text))
        monkeypatch.setattr(Store, "__init__", lambda store, file: opened.append(file) or open_store(store, file))
        hits = [Hit(str(files["all.ndjson"]), place, f"#{place + 5}", None, 1.0) for place in (20, 3, 9)]
        hits += [Hit(str(files["all.arrow"]), place, f"#{place + 1}", None, 1.0) for place in (20, 3, 9)]
        found = HitDrawings(hits)
        for hit in hits:
            assert found.take(hit).lines()
        assert len(parsed) == 4, "the first line tells the type of the file, and three are drawings"
        assert len(opened) == 1

    def test_what_is_gone_is_said(self, tmp_path: Path) -> None:
        files = self.gallery(tmp_path)
        files["all.json"].unlink()
        beyond = [Hit(str(files[name]), 99, "#100", None, 1.0) for name in files]
        found = HitDrawings(beyond)
        for hit in beyond:
            changed = "is gone" if hit.file.endswith("all.json") else "has changed"
            with pytest.raises(VisketchError, match=f"{changed} since it was indexed"):
                found.take(hit)
