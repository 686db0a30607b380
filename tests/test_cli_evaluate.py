"""`visketch evaluate vqvae` and `generate`: their tables for people and for programs, and what they refuse."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch
from PIL import Image

from visketch.cli.evaluate.generate import measure, percent
from visketch.data.store import Store
from visketch.evaluate.generation import ROWS
from visketch.evaluate.generation_metrics import Measure
from visketch.evaluate.judges import BaselineJudge, ClassifierJudge
from visketch.evaluate.search import looks
from visketch.model import SketchModel


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return tiny_model.pack_drawings(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny_model.small("name=random"))


def numbers(found: Any) -> list[float]:
    """All numbers anywhere in a JSON document."""
    if isinstance(found, dict | list):
        return [number for part in (found.values() if isinstance(found, dict) else found) for number in numbers(part)]
    return [found] if isinstance(found, int | float) else []


class TestGenerate:
    @pytest.fixture
    def words(self, store: Store, folder: Path) -> tuple[object, ...]:
        return ("evaluate", "generate", "--data", store.path, "--checkpoint", folder, "-n", 4)

    def test_json_tells_all(self, words: tuple[object, ...], store: Store, tmp_path: Path) -> None:
        sheet, plot = tmp_path / "new" / "table.png", tmp_path / "new" / "plot.png"
        more = ("--seed", 3, "--samples", store.path.parent / "in/train", "--sheet", sheet, "--plot", plot, "--json")
        result = visketch(*words, *more)
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert said["classes"] == list(tiny_model.LABELS)
        names = ["real drawings (test)", "sketch-rnn samples", *ROWS["field"]]
        assert [row["row"] for row in said["rows"]] == names
        assert [row["sketches"] for row in said["rows"]] == [6, 12, 12, 12]
        assert said["judge"] == {"name": "own classifier", "independent": False, "classes": 3}
        settings = {"n": 4, "seed": 3, "split": "test", "seen": "picture", "guidance": None, "temperature": 0.7}
        assert settings.items() <= said.items()
        assert {"steps", "top_p", "checkpoint", "data", "samples", "training", "reference", "fid_sketches"} <= set(said)
        for row in said["rows"]:
            assert 0 <= row["top1"]["low"] <= row["top1"]["value"] <= row["top1"]["high"] <= 1
            assert row["top1_among"]["value"] <= row["top3_among"]["value"] == 1
            assert {"value", "error"} == set(row["fid"]) == set(row["kid"]) == set(row["seam"])
            assert list(row["by_class"]) == list(tiny_model.LABELS)
            shares = [one["top1"]["value"] for one in row["by_class"].values()]
            assert np.mean(shares) == pytest.approx(row["top1"]["value"]), "as many of each class"
        real, samples, *_ = said["rows"]
        assert (real["diversity_of_real"], real["nearest_of_real"], real["fid"]["error"]) == (1, 1, None)
        assert samples["nearest_of_real"] < 0.01, "they are training drawings"
        assert np.isfinite(numbers(said)).all()
        with Image.open(sheet) as picture:
            assert picture.width > 3 * 2 * 96
            assert json.loads(picture.info["Description"])["seed"] == 3
            assert np.asarray(picture).min() < 60, "there is ink on it"
        with Image.open(plot) as picture:
            assert picture.size == (1000, 620)
            assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 5, "a colour a row"

    def test_people_get_two_tables_in_120_columns(self, words: tuple[object, ...]) -> None:
        result = visketch(*words, "--class", "cat", "--class", "star", env={"COLUMNS": "120"})
        assert result.exit_code == 0, result.output
        assert "no independent judge" in result.stdout
        assert "sketches seen as pictures" in result.stdout
        first, second = result.stdout.split("FID")
        for table in (first, second):
            assert all(row in table for row in ("real drawings (test)", *ROWS["field"]))
        assert max(map(len, result.stdout.splitlines())) <= 120
        assert "--samples" in result.stderr
        assert "only 2 real drawings" in result.stderr

    def test_refuses(self, words: tuple[object, ...], store: Store, folder: Path, tmp_path: Path) -> None:
        one_line(visketch(*words, "--class", "hous"), 2, "'house'")
        one_line(visketch(*words, "--split", "validation"), 2, "no validation drawing")
        one_line(visketch(*words, "--split", "train"), 2, "--split")
        one_line(visketch(*words, "--sheet", tmp_path), 2, ".png")
        one_line(visketch(*words, "--sheet", "a.jpg"), 2, ".png")
        one_line(visketch(*words, "--plot", tmp_path), 2, ".png")
        one_line(visketch(*words, "--judge", tmp_path), 1, "no checkpoint there")
        one_line(visketch(*words, "--samples", tmp_path, "--class", "cat"), 1, "cat.ndjson", "no such file")
        one_line(visketch(*words, "-n", 1), 2, "number")

    def test_plots_where_there_is_matplotlib(self, words: tuple[object, ...], monkeypatch, tmp_path: Path) -> None:
        monkeypatch.delitem(sys.modules, "visketch.cli.evaluate.chart", raising=False)
        monkeypatch.delattr("visketch.cli.evaluate.chart", raising=False)
        for module in ("matplotlib.axes", "matplotlib.figure"):
            monkeypatch.setitem(sys.modules, module, None)
        one_line(visketch(*words, "--plot", tmp_path / "plot.png"), 2, "pip install 'visketch[evaluate]'")


class TestVQVAE:
    def test_a_row_for_every_checkpoint(self, store: Store, folder: Path, tmp_path: Path) -> None:
        other = tiny_model.write_checkpoint(
            tmp_path / "a folder", tiny_model.small("vqvae.binary=true", "vqvae.plain=true", "vqvae.codebook_size=64")
        )
        words = ("evaluate", "vqvae", "--data", store.path, "--checkpoint", folder, "--checkpoint", other)
        said = json.loads(visketch(*words, "--json").stdout)
        first, second = said["rows"]
        assert [first["checkpoint"], second["checkpoint"]] == [str(folder), str(other)]
        assert (first["target"], first["quantiser"]) == ("signed distance", "chosen")
        assert (second["target"], second["quantiser"], second["codebook_size"]) == ("binary", "plain", 64)
        for row in (first, second):
            assert row["sketches"] == 6
            assert 0 < row["used"] <= 1
            assert 1 <= row["perplexity"] <= row["used"] * row["codebook_size"] + 1e-6
        people = visketch(*words, env={"COLUMNS": "200"}).stdout
        assert people.startswith("6 drawings (test)")
        assert len(people.splitlines()) == 4
        assert "signed distance" in people
        alone = visketch(*words[:-2]).stdout.splitlines()
        first_words = ["checkpoint", "target", "quantiser", "ink", "perplexity", "codes", "MSE"]
        assert [line.split()[0] for line in alone[2:]] == first_words

    def test_a_single_one_may_be_named_by_the_environment(self, store: Store, folder: Path) -> None:
        said = visketch("evaluate", "vqvae", "--data", store.path, "--json", env={"VISKETCH_CHECKPOINT": str(folder)})
        assert [row["checkpoint"] for row in json.loads(said.stdout)["rows"]] == [str(folder)]

    def test_refuses(self, store: Store, folder: Path, tmp_path: Path) -> None:
        words = ("evaluate", "vqvae", "--data", store.path, "--checkpoint", folder)
        one_line(visketch(*words, "--checkpoint", tmp_path), 1, "no checkpoint there")


@pytest.mark.parametrize(
    ("value", "error", "unit", "said"),
    [
        (23.456, 1.234, 1.0, "23.5 ± 1.2"),
        (23.456, 0.0999, 1.0, "23.456 ± 0.100"),
        (523.4, 81.2, 1.0, "523 ± 81"),
        (-0.00123, 0.0004, 1.0, "-0.00123 ± 0.00040"),
        (3.0, 0.3, 2.0, "1.50 ± 0.15"),
        (12.345, None, 1.0, "12.3"),
        (1.0, 0.0, 1.0, "1"),
        (1.0, 0.1, 0.0, "-"),
    ],
)
def test_a_measure_has_the_digits_that_its_error_allows(value, error, unit, said) -> None:
    assert measure(Measure(value, error), unit) == said


def test_a_percentage_has_one_digit_and_no_sign_without_one() -> None:
    said = [percent(Measure(value, error)) for value, error in ((0.1597, 0.004), (-7e-10, 3e-10), (-0.0022, None))]
    assert said == ["16.0 ± 0.4", "0.0 ± 0.0", "-0.2"]


class TestSearch:
    def test_a_row_for_every_kind_of_vector(self, store: Store, folder: Path) -> None:
        words = ("evaluate", "search", "--data", store.path, "--checkpoint", folder, "--baseline", folder)
        said = json.loads(visketch(*words, "--split", "train", "--limit", 20, "--json").stdout)
        assert (said["drawings"], said["classes"], said["unseen"]) == (20, list(tiny_model.LABELS), False)
        settings = tiny_model.small()
        wide = settings.encoder.width
        assert [(row["vector"], row["width"]) for row in said["rows"][:2]] == [
            ("features and probabilities", wide + 3),
            ("features alone", wide),
        ]
        assert {row["name"] for row in said["rows"]} == {"visketch", folder.name}
        for row in said["rows"]:
            low, high = row["interval"]
            assert 0 < low <= row["mean_average_precision"] <= high <= 1
            assert 0 < row["class_precision_at_10"] <= 1
        people = visketch(*words, env={"COLUMNS": "120"}).stdout
        assert people.startswith("6 drawings (test), 3 classes, 6 queries")
        assert len(people.splitlines()) == 6

    def test_of_some_classes(self, store: Store, folder: Path) -> None:
        words = ("evaluate", "search", "--data", store.path, "--checkpoint", folder, "--class", "cat")
        said = json.loads(visketch(*words, "--json").stdout)
        assert (said["drawings"], said["classes"]) == (2, ["cat"])
        assert said["rows"][0]["mean_average_precision"] == 1, "of one class everything is relevant"
        one_line(visketch(*words, "--class", "dog"), 2, "no class 'dog'")

    def test_of_classes_that_training_did_not_see(self, store: Store, folder: Path, tmp_path: Path) -> None:
        """Zero-shot from the start: a data set without a class, a checkpoint of it, judged on that class alone."""
        seen = tmp_path / "seen.arrow"
        assert visketch("data", "pack", store.path, "--without", "star", "--out", seen).exit_code == 0
        packed = Store(seen)
        assert packed.labels == ["cat", "house"]
        assert packed.provenance["without"] == ["star"]
        assert [len(packed.rows(split)) for split in ("train", "test")] == [18, 4], "each drawing keeps its split"
        words = ("--config", "tiny", "--set", "train.classifier.steps=2", "--out", tmp_path / "run")
        assert visketch("train", "classifier", "--data", seen, *words).exit_code == 0
        words = ("evaluate", "search", "--data", store.path, "--unseen", "--split", "train")
        said = json.loads(visketch(*words, "--checkpoint", tmp_path / "run", "--json").stdout)
        assert (said["drawings"], said["classes"], said["unseen"]) == (18, ["star"], True)
        one_line(visketch(*words, "--checkpoint", folder), 2, "trained on all of these classes")
        baseline = ("--checkpoint", tmp_path / "run", "--baseline", folder)
        one_line(visketch(*words, *baseline), 2, "was trained on star")

    def test_a_peer_sees_the_drawings_on_its_own_canvas(self, store: Store, folder: Path, tmp_path: Path) -> None:
        shape = tiny_model.small().sketch
        half = tiny_model.small(f"sketch.canvas={shape.canvas // 2}", f"sketch.depth={shape.depth - 1}")
        baseline, model = SketchModel.load(tiny_model.write_checkpoint(tmp_path, half)), SketchModel.load(folder)
        rows = store.rows("train")
        found = looks([ClassifierJudge(model), BaselineJudge(baseline)], model, store, rows, lambda done, total: None)
        for judged, (logits, _) in zip((model, baseline), found, strict=True):
            fields = judged.render([store[int(row)] for row in rows])
            with model.precision():
                alone = model.logits(fields) if judged is model else baseline.part("baseline")(fields)
            assert torch.allclose(logits, alone.float().detach(), atol=1e-5)

    def test_pack_refuses_to_leave_out_what_is_not_there(self, store: Store, tmp_path: Path) -> None:
        one_line(visketch("data", "pack", store.path, "--without", "stra", "--out", tmp_path / "a"), 2, "'stra'")
        assert not list(tmp_path.iterdir())
