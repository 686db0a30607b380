"""`visketch evaluate language`, with a small model that was trained for a few steps."""

import json
from pathlib import Path

import language_dataset
import numpy as np
import pytest
from command_line import one_line, visketch

pytest.importorskip("transformers")

from visketch.errors import VisketchError
from visketch.evaluate import language_metrics
from visketch.evaluate.language_table import evaluate
from visketch.language import config
from visketch.language.dataset.rows import InstructionRows
from visketch.language.model import SketchLanguage
from visketch.training.language import train

KNOBS = [
    "tower.widths=[8, 8, 16, 16]",
    "tower.embedding=8",
    "tower.places=8",
    "writer.width=16",
    "writer.layers=1",
    "writer.heads=2",
    "writer.inner=16",
    "train.precision=no",
    "train.tower.steps=30",
    "train.tower.batch=8",
    "train.tower.lr=0.01",
    "train.align.steps=2",
    "train.align.batch=2",
    "train.instruct.steps=2",
    "train.instruct.batch=2",
    "threshold=0.2",
]
PART = "drawings, seen classes"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_dataset.write(tmp_path_factory.mktemp("data") / "pairs", scenes=12)


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "language"
    for stage in config.STAGES:
        train(stage, InstructionRows(data, "train"), out, config.load("tiny", KNOBS))
    return out


def test_the_table_is_what_asking_one_by_one_gives(data: Path, folder: Path) -> None:
    model, rows = SketchLanguage.load(folder), InstructionRows(data, "test")
    table = evaluate(model, rows, gallery=8, queries=4)
    counts, boxes = [], []
    for row in rows:
        if row.task in ("COUNT", "BBOX"):
            pair = tuple(model.look([data / row.sketch, data / row.scene]))
            (found,) = model.find([pair], "matcher")  # type: ignore[list-item]
            assert not isinstance(found, VisketchError)
            (counts if row.task == "COUNT" else boxes).append(found)
    asked = {task: [row for row in rows if row.task == task] for task in ("COUNT", "BBOX", "SBIR")}
    assert table.counting["matcher"][PART] == language_metrics.counting(asked["COUNT"], [one.count for one in counts])
    kept = [[thing.box for thing in one.found] for one in boxes]
    assert table.detection["matcher"][PART] == language_metrics.detection(asked["BBOX"], kept)
    assert table.duplicates["matcher"][1] == sum(len(one.raw) for one in boxes)
    galleries = language_metrics.galleries(asked["SBIR"], 8, 4)
    assert len(galleries) == 4
    scores = []
    for gallery in galleries:
        sketch, *scenes = model.look([data / name for name in (gallery.row.sketch, *gallery.scenes)])
        scores.append([model.score([(sketch, scene)], "matcher")[0] for scene in scenes])
    assert table.retrieval["matcher"][PART].precision == pytest.approx(
        language_metrics.retrieval(galleries, [np.array(score) for score in scores]).precision
    )
    right = [one.label == row.label for one, row in zip(counts, asked["COUNT"], strict=True)]
    assert table.naming["matcher"][PART].right == sum(right) / len(right)
    assert table.naming["classifier"][PART].right == 0  # rings and crosses are not among its classes
    unasked = {"default"} if model.settings.answers == "matcher" else set()
    assert set(table.counting) == {"description", "words", "matcher", "recogniser"} | unasked
    assert table.yes_no["language"][PART].rows == len(asked["SBIR"])


def test_the_verb(data: Path, folder: Path) -> None:
    words = [
        "evaluate",
        "language",
        "--data",
        data,
        "--checkpoint",
        folder,
        "--gallery",
        6,
        "--queries",
        2,
        "--limit",
        4,
    ]
    result = visketch(*words, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["counting"]["words"][PART]["rows"] == 4
    assert 0 <= found["detection"]["description"][PART]["accuracy_50"] <= 1
    shown = visketch(*words)
    assert shown.exit_code == 0, shown.output
    for title in ("Counting, exact", "Closed questions", "Boxes", "Retrieval", "Is it there"):
        assert title in shown.stdout
    one_line(visketch("evaluate", "language", "--data", data / "none", "--checkpoint", folder), 1, "cannot be read")
