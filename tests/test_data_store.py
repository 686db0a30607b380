"""The packed data set: what goes in comes out again, splits are kept, and memory use is constant."""

import hashlib
import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from visketch.data import store
from visketch.data.folder import SPLITS
from visketch.data.packing import pack
from visketch.data.statistics import statistics
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch


def write(path, drawings, word=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"drawing": drawing} | ({"word": word} if word else {}) for drawing in drawings]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def scribbles(count, seed=0):
    random = np.random.default_rng(seed)
    for _ in range(count):
        lengths = random.integers(1, 9, random.integers(1, 5))
        yield [random.integers(0, 256, (2, length)).tolist() for length in lengths]


def as_drawing(sketch):
    return [stroke.T.tolist() for stroke in sketch.strokes]


def test_drawings_come_back_as_packed_over_several_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROWS", 7)
    cats, dogs = list(scribbles(20)), list(scribbles(12, seed=1))
    write(tmp_path / "in/cat.ndjson", cats)
    write(tmp_path / "in/dog.ndjson", dogs)
    calls = []
    assert pack([tmp_path / "in"], tmp_path / "out.arrow", progress=lambda *call: calls.append(call)) == 32
    data = Store(tmp_path / "out.arrow")
    assert data.labels == ["cat", "dog"]
    assert [as_drawing(data[row]) for row in range(len(data))] == cats + dogs
    assert [data[row].label for row in (0, 19, 20, 31)] == ["cat", "cat", "dog", "dog"]
    assert data.label.tolist() == [0] * 20 + [1] * 12
    assert calls[-1] == (2, 2, 32)
    assert list(tmp_path.glob("*.part")) == []
    with pytest.raises(IndexError):
        data[32]


def test_split_is_the_place_of_the_sha1_of_the_compact_json(tmp_path):
    drawings = list(scribbles(400))
    write(tmp_path / "cat.ndjson", drawings)
    pack([tmp_path / "cat.ndjson"], tmp_path / "out.arrow")
    data = Store(tmp_path / "out.arrow")
    for row, drawing in enumerate(drawings):
        digest = hashlib.sha1(json.dumps(drawing, separators=(",", ":")).encode()).hexdigest()
        place = int(digest, 16) / 16**40
        expected = "test" if place < 0.10 else "validation" if place < 0.15 else "train"
        assert SPLITS[data.split[row]] == expected
        assert data[row].source == digest[:16]
    assert sorted(np.concatenate([data.rows(split) for split in SPLITS])) == list(range(400))
    assert 15 <= len(data.rows("test")) <= 75
    with pytest.raises(UsageError, match="train, validation, test"):
        data.rows("tests")


def test_folders_named_for_splits_are_honoured_only_below_the_source(tmp_path):
    root = tmp_path / "test" / "data"  # a folder "test" above the source has no meaning
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        write(root / part / "cat" / f"{name}.ndjson", scribbles(5, seed=ord(name)))
    (root / "test" / "dog").mkdir(parents=True)
    picture = np.zeros((20, 20), np.uint8)
    picture[5, 2:18] = 255
    Image.fromarray(255 - picture).save(root / "test" / "dog" / "1.png")
    pack([root], tmp_path / "out.arrow")
    data = Store(tmp_path / "out.arrow")
    found = {(data.labels[label], SPLITS[split]) for label, split in zip(data.label, data.split, strict=True)}
    assert found == {("a", "train"), ("b", "validation"), ("c", "test"), ("dog", "test")}
    row = data.rows("test")[-1]
    assert (data[row].pixels == (picture > 0)).all()
    assert set(data[row].pixels.view(np.uint8).flat) == {0, 1}, "else compiled code that trusts booleans crashes"
    assert [line.tolist() for line in data[row].lines()] == [[[2.5, 5.5], [17.5, 5.5]]]
    assert data.provenance["sources"] == [root.name], "no path of this machine"
    pack([root / part for part in ("train", "val", "test")], tmp_path / "out.arrow")
    data = Store(tmp_path / "out.arrow")
    found = {(data.labels[label], SPLITS[split]) for label, split in zip(data.label, data.split, strict=True)}
    assert found == {("a", "train"), ("b", "validation"), ("c", "test"), ("dog", "test")}, "all sources are splits"
    plain = list(scribbles(100))
    write(root / "plain" / "cat.ndjson", plain)
    pack([root / "plain"], tmp_path / "out.arrow")
    assert len(Store(tmp_path / "out.arrow").rows("train")) > 50


def test_limit_is_per_class(tmp_path):
    write(tmp_path / "in/cat.ndjson", scribbles(9))
    write(tmp_path / "in/mixed.ndjson", scribbles(5, seed=1), word="cat")
    write(tmp_path / "in/more.ndjson", scribbles(2, seed=2), word="owl")
    assert pack([tmp_path / "in"], tmp_path / "out.arrow", limit=3) == 5
    data = Store(tmp_path / "out.arrow")
    assert np.bincount(data.label).tolist() == [3, 2]
    assert data.provenance["limit"] == 3


def test_bad_drawings_are_reported_and_left_out(tmp_path):
    (tmp_path / "cat.ndjson").write_text('{"drawing":[[[1,2],[3,4]]]}\n{"drawing":[]}\n{"drawing":[[[5],[6]]]}\n')
    problems = []
    assert pack([tmp_path / "cat.ndjson"], tmp_path / "out.arrow", problem=problems.append) == 2
    assert len(problems) == 1
    assert "cat.ndjson:2: " in str(problems[0])
    with pytest.raises(VisketchError, match="ndjson:2"):
        pack([tmp_path / "cat.ndjson"], tmp_path / "other.arrow")
    assert not list(tmp_path.glob("other*"))


def test_nothing_to_pack_and_nowhere_to_write(tmp_path):
    (tmp_path / "cat.ndjson").write_text("\n")
    with pytest.raises(VisketchError, match="nothing was packed"):
        pack([tmp_path / "cat.ndjson"], tmp_path / "out.arrow", problem=lambda error: None)
    write(tmp_path / "cat.ndjson", scribbles(1))
    with pytest.raises(VisketchError, match="cannot be written"):
        pack([tmp_path / "cat.ndjson"], tmp_path / "cat.ndjson" / "out.arrow")


@pytest.mark.parametrize("content", [b"", b"no arrow", None])
def test_what_is_no_store_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "out.arrow"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VisketchError, match="visketch data pack") as caught:
        Store(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_store_is_refused(tmp_path):
    write(tmp_path / "cat.ndjson", scribbles(50))
    pack([tmp_path / "cat.ndjson"], tmp_path / "out.arrow")
    whole = (tmp_path / "out.arrow").read_bytes()
    (tmp_path / "out.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VisketchError, match="not a packed data set"):
        Store(tmp_path / "out.arrow")


def test_a_store_travels_to_workers_as_its_path(tmp_path):
    write(tmp_path / "cat.ndjson", scribbles(500))
    pack([tmp_path / "cat.ndjson"], tmp_path / "out.arrow")
    data = Store(tmp_path / "out.arrow")
    data[3]
    sent = pickle.dumps(data)
    assert len(sent) < 500
    assert as_drawing(pickle.loads(sent)[3]) == as_drawing(data[3])


def test_reading_copies_nothing(tmp_path):
    write(tmp_path / "cat.ndjson", scribbles(3))
    pack([tmp_path / "cat.ndjson"], tmp_path / "out.arrow")
    stroke = Store(tmp_path / "out.arrow")[1].strokes[0]
    assert not stroke.flags.owndata
    assert not stroke.flags.writeable


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1e4), st.floats(-1e3, 1e3))
def test_key_of_free_strokes_ignores_place_and_size(scale, shift):
    line = np.array([[0, 0], [0.37, 1], [1, 0.61]]) * scale + shift + 0.123
    moved = Sketch(strokes=(line.astype(np.float32),))
    whole = (moved.strokes[0] == np.rint(moved.strokes[0])).all()  # a drawing in whole numbers is taken as it is
    assume(not whole and scale > abs(shift) / 100)  # otherwise float32 could not tell its points apart
    assert store.key(moved) == hashlib.sha1(b"[[[0,94,255],[0,255,156]]]").hexdigest()[:16]


def test_statistics(tmp_path):
    write(tmp_path / "in/cat.ndjson", [[[[0, 1], [0, 1]]], [[[0, 1, 2], [0, 1, 2]], [[5], [5]]]])
    (tmp_path / "in/dog").mkdir()
    Image.fromarray(np.pad(np.zeros((2, 9), np.uint8), 8, constant_values=255)).save(tmp_path / "in/dog/1.png")
    pack([tmp_path / "in"], tmp_path / "out.arrow")
    found = statistics(Store(tmp_path / "out.arrow"))
    assert (found.drawings, found.rasters) == (3, 1)
    assert found.strokes == {"mean": 1.5, "median": 1.5}
    assert found.points == {"mean": 3.0, "median": 3.0}
    assert {label: sum(row.values()) for label, row in found.classes.items()} == {"cat": 2, "dog": 1}
    assert sum(found.splits.values()) == 3


class TestBitmaps:
    """Grey levels of 28 x 28, as Google and others have them. They are traced, so that all training drawings have the
    same pen.
    """

    @staticmethod
    def levels() -> np.ndarray:
        """A cross whose lines are as wide as Google's."""
        rows = np.zeros((3, 28, 28), np.uint8)
        rows[:, 13:15, 4:24] = 255
        rows[1:, 4:24, 13:15] = 255
        return rows

    def test_are_packed_as_the_strokes_that_drew_them(self, tmp_path):
        np.savez(tmp_path / "line.npz", x=self.levels(), source=np.zeros(3), key_id=np.zeros(3, np.uint64))
        np.save(tmp_path / "cross.npy", self.levels().reshape(3, 784))
        assert pack([tmp_path / "line.npz", tmp_path / "cross.npy"], tmp_path / "out.arrow") == 6
        data = Store(tmp_path / "out.arrow")
        line, cross = data[0], data[1]
        assert line.pixels is None
        assert len(line.strokes) == 1
        assert len(line.strokes[0]) <= 4, "few points say a straight line"
        assert np.ptp(line.strokes[0], axis=0) == pytest.approx([76, 0], abs=6)
        assert len(cross.strokes) == 2
        assert as_drawing(data[3]) == as_drawing(data[0]), "an archive and an array are read alike"

    def test_other_pictures_are_traced_if_that_is_asked_for(self, tmp_path):
        Image.fromarray(self.levels()[0]).resize((140, 140)).save(tmp_path / "line.png")
        stores = []
        for trace in (False, True):
            pack([tmp_path / "line.png"], tmp_path / "out.arrow", trace=trace)
            stores.append(Store(tmp_path / "out.arrow"))
        assert [store[0].strokes is None for store in stores] == [True, False]
        assert stores[0].split == stores[1].split, "the split is that of the picture"

    def test_a_source_for_training_alone_has_no_other_split(self, tmp_path):
        drawings = list(scribbles(100))
        write(tmp_path / "plain/cat.ndjson", drawings[:50])
        write(tmp_path / "more/test/cat.ndjson", drawings[50:])
        tally = Counter()
        pack([tmp_path / "plain"], tmp_path / "out.arrow", training=[tmp_path / "more"], tally=tally)
        data = Store(tmp_path / "out.arrow")
        assert len(data) == 100
        assert set(data.split[50:].tolist()) == {0}
        assert len(set(data.split[:50].tolist())) == 3
        assert tally == {(str(tmp_path / "plain"), "cat"): 50, (str(tmp_path / "more"), "cat"): 50}
