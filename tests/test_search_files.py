"""Searching a gallery whose files change while it is open."""

from pathlib import Path

import drawings
import pytest
import tiny_model

from visketch.errors import VisketchError
from visketch.model import SketchModel
from visketch.search.index import Index


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel.load()


def fail(error: VisketchError) -> None:
    raise AssertionError(error)


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
