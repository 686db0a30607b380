"""The exported classifier: the same logits, its metadata, and an app that uses it without torch."""

import json
import subprocess
import sys
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch
from PIL import Image

from visketch import checkpoint
from visketch.config import SketchConfig
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.model import SketchModel
from visketch.tasks import export

onnx = pytest.importorskip("onnx", reason="pip install visketch[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install visketch[onnx]")

EXAMPLES = sorted((Path(__file__).parents[1] / "docs/examples").glob("*.svg"))
CONSUME = Path(__file__).parents[1] / "docs/examples/consume.py"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[SketchModel, Path]:
    """A model and its file. The weights are random, and the tree is deeper than that of the shipped weights."""
    home = tmp_path_factory.mktemp("export")
    deeper = tiny_model.small("name=random", "sketch.canvas=128", "sketch.depth=3")
    model = SketchModel.load(tiny_model.write_checkpoint(home / "random", deeper))
    # This runs in a process of its own, since the checker of shapes would make the size of the batch a constant.
    words = ["export", "classifier", home / "random.onnx", "--checkpoint", home / "random", "--json"]
    command = [sys.executable, "-m", "visketch.cli.main", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["bytes"] == (home / "random.onnx").stat().st_size
    assert said["difference"] < 1e-3
    return model, home / "random.onnx"


def logits(path: Path, fields: torch.Tensor) -> np.ndarray:
    (found,) = onnxruntime.InferenceSession(path).run(["logits"], {"field": fields.numpy()})
    return found


class TestLogits:
    @pytest.mark.parametrize("count", [1, 2, 13])
    def test_are_those_of_torch_in_any_batch(self, exported: tuple[SketchModel, Path], count: int) -> None:
        model, path = exported
        fields = model.fields(drawings.draw_many(count), model.config.reading)
        expected = model.logits(fields).numpy()
        assert np.abs(logits(path, fields) - expected).max() < 1e-3
        assert np.abs(expected[0]).max() > 0.1, "it says something"

    def test_of_the_examples_and_of_blank_fields(self, exported: tuple[SketchModel, Path]) -> None:
        model, path = exported
        examples = [sketch for example in EXAMPLES for sketch in read(example)]
        fields = model.fields(examples, model.config.reading)
        fields = torch.cat([fields[:1], -torch.ones_like(fields[:1]), fields])
        assert np.abs(logits(path, fields) - model.logits(fields).numpy()).max() < 1e-3
        assert np.abs(logits(path, fields[1:2]) - model.logits(fields[1:2]).numpy()).max() < 1e-3


def test_the_file_says_what_it_is(exported: tuple[SketchModel, Path]) -> None:
    model, path = exported
    onnx.checker.check_model(str(path), full_check=True)
    about = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(about["labels"]) == model.labels
    assert SketchConfig(**json.loads(about["sketch"])) == model.config.reading
    for part in ("encoder", "classifier"):
        assert about[part] == checkpoint.read_metadata(model.folder or Path(), part)["fingerprint"]
    assert about["name"] == model.config.name
    assert [(given.name, given.shape[1:]) for given in onnxruntime.InferenceSession(path).get_inputs()] == [
        ("field", [model.config.reading.canvas] * 2)
    ]


def test_an_app_without_torch(exported: tuple[SketchModel, Path], tmp_path: Path) -> None:
    """The script of the docs is short, runs where `import torch` fails, and goes on after a blank page."""
    model, path = exported
    blank = tmp_path / "blank.png"
    Image.new("L", (64, 64), 255).save(blank)
    without = "import runpy, sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; "
    script = without + "runpy.run_path(sys.argv[0], run_name='__main__')"
    words = [sys.executable, "-c", script, CONSUME, path, blank, *EXAMPLES]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{blank}: blank, it has no ink; give another drawing\n"
    for line, example in zip(done.stdout.splitlines(), EXAMPLES, strict=True):
        [[best]] = model.classify_fields(model.fields(list(read(example)), model.config.reading), top=1)
        assert line == f"{example}: {best.label}, {best.probability:.1%}"
    assert len(CONSUME.read_text().splitlines()) <= 26


class TestRefusals:
    def test_a_wrong_name(self, tmp_path: Path) -> None:
        one_line(visketch("export", "classifier", tmp_path / "model.pt"), 2, ".onnx")

    def test_without_the_extra(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        monkeypatch.setitem(sys.modules, "onnx", None)
        one_line(visketch("export", "classifier", tmp_path / "a.onnx"), 1, 'pip install "visketch[onnx]"')

    def test_what_computes_something_else_is_not_written(
        self, exported: tuple[SketchModel, Path], tmp_path: Path, monkeypatch
    ) -> None:
        model, path = exported
        others = {part: tiny_model.awake(model.config, part, 7) for part in ("encoder", "classifier")}
        monkeypatch.setattr(export, "_to_onnx", lambda *given: path.read_bytes())  # a file with other weights
        with pytest.raises(VisketchError, match="not written"):
            export.export_classifier(SketchModel(model.config, model.folder, **others), tmp_path / "a.onnx")
        assert not list(tmp_path.iterdir())
