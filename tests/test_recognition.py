"""`visketch evaluate classify`: ViSketch and its baselines on the same pictures, in one table."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from visketch import checkpoint, quadtree
from visketch.cli.main import app
from visketch.config import Config
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.evaluate import recognition
from visketch.evaluate.styles import STYLES
from visketch.model import SketchModel

CONFIG = tiny_model.small("name=random")


@pytest.fixture(autouse=True)
def times_of_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are measured here too, but nothing depends on them."""
    monkeypatch.setattr(recognition, "ROUNDS", 1)


def save(folder: Path, settings: Config, *names: str) -> Path:
    """Write a checkpoint with random weights."""
    checkpoint.write_config(folder, settings)
    for name in names:
        checkpoint.save_part(folder, name, tiny_model.awake(settings, name), {}, {"step": 1, "steps": 2})
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ViSketch (`own`), two baselines, and the drawings. The test split has two drawings of each of three classes."""
    home = tmp_path_factory.mktemp("home")
    save(home / "own", CONFIG, "encoder", "classifier")
    for backbone in ("resnet34", "vit"):
        save(home / backbone, tiny_model.small(f"baseline.backbone={backbone}"), "baseline")
    tiny_model.pack_drawings(home)
    return home


@pytest.fixture(scope="module")
def store(home: Path) -> Store:
    return Store(home / "packed.arrow")


def classify(home: Path, *words: object) -> Result:
    given = ("evaluate", "classify", "--data", home / "packed.arrow", "--checkpoint", home / "own", *words)
    result = CliRunner().invoke(app, [str(word) for word in given], env={"COLUMNS": "120"})
    assert "Traceback" not in result.output
    return result


def refused(result: Result, code: int, *saying: str) -> None:
    (line,) = result.stderr.splitlines()
    assert result.exit_code == code
    assert result.stdout == ""
    assert all(words in line for words in ("error: ", *saying)), line


def test_programs_get_every_figure(home: Path) -> None:
    words = ("--baseline", home / "resnet34", "--baseline", home / "vit", "--styles", "--limit", 5, "--json")
    said = json.loads(classify(home, *words).stdout)
    assert (said["checkpoint"], said["split"], said["subset"]) == ("random", "test", [])
    assert said["drawing_ms"] > 0
    assert said["threads"] == torch.get_num_threads()
    own, resnet, vit = said["rows"]
    assert [row["name"] for row in said["rows"]] == ["visketch", "resnet34", "vit"]
    assert [Path(row["folder"]).name for row in said["rows"]] == ["own", "resnet34", "vit"]
    assert resnet["parameters"] == sum(
        p.numel() for p in SketchModel.load(home / "resnet34").part("baseline").parameters()
    )
    for row in (own, resnet, vit):
        assert row["subset"] is None, "there are three classes"
        assert list(row["styles"]) == list(STYLES)
        assert min(row["parameters"], row["alone_ms"], row["together_ms"]) > 0
        for figures in (row["overall"], *row["styles"].values()):
            assert figures["sketches"] == 5
            assert 0 <= figures["top1"] <= figures["top5"] == 1
            low, high = figures["interval"]
            assert low <= figures["top1"] <= high


def test_people_get_tables_that_fit(home: Path) -> None:
    alone = classify(home).stdout
    assert alone.startswith("6 drawings (test), 3 classes")
    assert "time for a drawing" in alone
    assert "parameters" not in alone
    both = classify(home, "--baseline", home / "resnet34", "--baseline", home / "vit", "--styles").stdout
    lines = both.splitlines()
    assert max(map(len, lines)) <= 80
    (head,) = (line for line in lines if "resnet34" in line)
    assert head.split() == ["visketch", "resnet34", "vit"]
    for row in ("top-1 ", "top-5 ", "parameters", *(f"top-1, {style}  " for style in STYLES)):
        assert sum(line.startswith(row) for line in lines) == 1, row


def test_every_model_sees_the_same_pictures(store: Store, home: Path) -> None:
    """The figures are those that each model gives when it is asked alone, drawing by drawing."""
    own, baseline = SketchModel.load(home / "own"), SketchModel.load(home / "resnet34")
    found = recognition.classify(own, store, baselines=[baseline])
    rows = store.rows("test")
    label = torch.from_numpy(store.label[rows].astype(int))
    with torch.no_grad():
        fields = own.render([store[int(row)] for row in rows])
        for row, logits in zip(found.rows, (own.logits(fields), baseline.part("baseline")(fields)), strict=True):
            assert row.overall.top1 == pytest.approx(float((logits.argmax(dim=1) == label).double().mean()))


def test_a_peer_sees_the_drawings_on_its_own_canvas(store: Store, home: Path, tmp_path: Path) -> None:
    small = tiny_model.small(f"sketch.canvas={CONFIG.sketch.canvas // 2}", f"sketch.depth={CONFIG.sketch.depth - 1}")
    baseline = SketchModel.load(save(tmp_path / "small", small, "baseline"))
    found = recognition.classify(SketchModel.load(home / "own"), store, "train", baselines=[baseline]).rows[1]
    rows = store.rows("train")
    with torch.no_grad():
        logits = baseline.part("baseline")(baseline.render([store[int(row)] for row in rows]))
    right = logits.argmax(dim=1) == torch.from_numpy(store.label[rows].astype(int))
    assert found.overall.top1 == pytest.approx(float(right.double().mean()))


def test_a_shallower_tree_reads_the_reduced_canvas(store: Store, home: Path) -> None:
    own = SketchModel.load(home / "own")
    _, root, *rest = recognition.classify(own, store, "train", depths=range(CONFIG.sketch.depth + 1)).rows
    assert [row.name for row in rest] == [f"to level {depth}" for depth in range(1, CONFIG.sketch.depth + 1)]
    fields = own.render([store[int(row)] for row in store.rows("train")])
    reduced = torch.nn.functional.adaptive_avg_pool2d(fields, CONFIG.sketch.tile)
    each, zero = torch.arange(len(fields)), torch.zeros(len(fields), dtype=torch.long)
    roots, encoder = quadtree.Leaves(each, zero, zero), own.part("encoder")
    with torch.no_grad():
        cls = encoder(encoder.embed(reduced, 0), roots, torch.zeros(len(fields), 1, dtype=torch.long), first=1)[:, 0]
        logits, _ = own.part("classifier")(cls, roots, len(fields))
    label = torch.from_numpy(store.label[store.rows("train")].astype(int))
    assert root.overall.top1 == pytest.approx(float((logits.argmax(dim=1) == label).double().mean()))
    torch.testing.assert_close(own.logits(fields, CONFIG.sketch.depth), own.logits(fields))
    refused(classify(home, "--depth", CONFIG.sketch.depth + 1), 2, "depth")


def test_chance_in_a_style_is_the_drawing_s_own(store: Store, home: Path) -> None:
    """It does not depend on which drawings are measured beside it."""
    own, look = SketchModel.load(home / "own"), STYLES["incomplete"]
    whole = recognition.batches(own, store, "train", None, recognition.quiet, look)
    fields = own.render([sketch for sketches, _ in whole for sketch in sketches])
    chosen = recognition.sample(store, "train", 7)
    ((few, _),) = recognition.batches(own, store, "train", 7, recognition.quiet, look)
    assert torch.equal(own.render(few), fields[np.searchsorted(store.rows("train"), chosen)])


def test_the_bar_goes_from_nothing_to_all(store: Store, home: Path) -> None:
    seen: list[tuple[int, int]] = []
    own = SketchModel.load(home / "own")
    recognition.classify(own, store, "train", styles=True, on_progress=lambda done, total: seen.append((done, total)))
    count = len(store.rows("train"))
    assert seen == [(count * passed, count * 7) for passed in range(1, 8)]


def test_the_smaller_task_is_a_hundred_classes_always_the_same() -> None:
    chosen = recognition.subset(345)
    assert chosen.sum() == 100
    assert torch.equal(chosen, recognition.subset(345))
    assert chosen[:100].sum() < 60, "not the first of the alphabet"
    assert not recognition.subset(100).any()


def test_in_the_smaller_task_only_its_classes_are_told_apart(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "SUBSET", 2)
    own = SketchModel.load(home / "own")
    found = recognition.classify(own, store, "train")
    assert len(found.subset) == 2
    numbers = [own.label_of(name) for name in found.subset]
    rows = [int(row) for row in store.rows("train") if store.labels[store.label[row]] in found.subset]
    guess = own.logits(own.render([store[row] for row in rows]))[:, numbers].argmax(dim=1)
    right = [found.subset[int(g)] == store.labels[store.label[row]] for g, row in zip(guess, rows, strict=True)]
    small = found.rows[0].subset
    assert small is not None
    assert (small.sketches, small.top1) == (len(rows), pytest.approx(np.mean(right)))
    assert small.top5 == 1


def test_the_mean_over_classes_counts_each_class_once() -> None:
    rank, label = torch.tensor([0, 0, 0, 7, 2]), torch.tensor([4, 4, 4, 1, 1])
    found = asdict(recognition.accuracy(rank, label))
    assert (found["sketches"], found["top1"], found["top5"], found["class_mean"]) == (5, 0.6, 0.8, 0.5)


class TestRefuses:
    def test_a_folder_without_a_peer(self, home: Path, tmp_path: Path) -> None:
        refused(classify(home, "--baseline", home / "own"), 1, "own: has no baseline (it has encoder, classifier)")
        refused(classify(home, "--baseline", tmp_path), 1, "no checkpoint there")

    def test_a_peer_of_other_classes(self, home: Path, tmp_path: Path) -> None:
        others = CONFIG.model_copy(update={"labels": ("cat", "house", "dog")})
        save(tmp_path / "dogs", others, "baseline")
        refused(classify(home, "--baseline", tmp_path / "dogs"), 2, "dogs", "other classes", "own")

    def test_without_transformers(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        refused(classify(home, "--baseline", home / "vit"), 2, "pip install 'visketch[evaluate]'")
        assert classify(home).exit_code == 0, "needed for baselines alone"

    def test_styles_of_pictures(self, home: Path, tmp_path: Path) -> None:
        for split in ("train", "test"):
            (tmp_path / "in" / split / "cat").mkdir(parents=True)
            Image.fromarray(np.uint8(255 - 255 * np.eye(40))).save(tmp_path / "in" / split / "cat" / "one.png")
        pack([tmp_path / "in"], tmp_path / "rasters.arrow")
        own = SketchModel.load(home / "own")
        with pytest.raises(UsageError, match="is a picture"):
            recognition.classify(own, Store(tmp_path / "rasters.arrow"), styles=True)
        assert recognition.classify(own, Store(tmp_path / "rasters.arrow")).rows[0].overall.sketches == 1


def test_drawings_of_one_kind_are_enough(home: Path, tmp_path: Path) -> None:
    """The data set may have only one of three classes. The other classes are then never right."""
    tiny_model.write_ndjson(tmp_path / "in/test/cat.ndjson", drawings.draw_many(3, labels=("cat",)))
    pack([tmp_path / "in"], tmp_path / "cats.arrow")
    found = recognition.classify(SketchModel.load(home / "own"), Store(tmp_path / "cats.arrow")).rows[0].overall
    assert found.class_mean == found.top1
