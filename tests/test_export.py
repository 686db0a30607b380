"""The exported classifier: the same logits, its metadata, and an app that uses it without torch."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch

from visketch import checkpoint
from visketch.config import SketchConfig, find
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.model import SketchModel
from visketch.tasks.export import export_classifier

onnx = pytest.importorskip("onnx", reason="pip install visketch[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install visketch[onnx]")

EXAMPLES = sorted((Path(__file__).parents[1] / "docs/examples").glob("*.svg"))
CONSUME = Path(__file__).parents[1] / "docs/examples/consume.py"


KINDS = ["shipped", "random"]
EXPORT = """
import sys
from visketch.cli.main import app

for folder, out in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        app(["export", "classifier", out, "--checkpoint", folder, "--json"])
    except SystemExit as done:
        assert not done.code
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[SketchModel, Path]]:
    """A model of each kind and its file: the shipped weights, and random ones with a deeper tree."""
    home, models = tmp_path_factory.mktemp("export"), {}
    for kind in KINDS:
        folder = find()
        if kind != "shipped":
            deeper = tiny_model.small(f"name={kind}", "sketch.canvas=128", "sketch.depth=3")
            folder = tiny_model.write_checkpoint(home / kind, deeper)
        models[kind] = SketchModel.load(folder), home / f"{kind}.onnx"
    # By a process of their own: what checks every shape here would make the size of the batch a fixed one.
    words = [word for model, path in models.values() for word in (str(model.folder), str(path))]
    done = subprocess.run([sys.executable, "-c", EXPORT, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rest = done.stdout
    for _, path in models.values():
        said, end = json.JSONDecoder().raw_decode(rest)
        assert said["bytes"] == path.stat().st_size
        assert said["difference"] < 1e-3
        rest = rest[end:].lstrip()
    assert not rest
    return models


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, exports: dict[str, tuple[SketchModel, Path]]) -> tuple[SketchModel, Path]:
    return exports[request.param]


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
    """The script of the docs, where `import torch` fails; it is as short as the docs say."""
    model, path = exported
    without = "import runpy, sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; "
    script = without + "runpy.run_path(sys.argv[0], run_name='__main__')"
    words = [sys.executable, "-c", script, CONSUME, path, *EXAMPLES]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line, example in zip(done.stdout.splitlines(), EXAMPLES, strict=True):
        [[best]] = model.classify_many(list(read(example)), top=1)
        assert line == f"{example}: {best.label}, {best.probability:.1%}"
    assert len(CONSUME.read_text().splitlines()) <= 23


class TestRefusals:
    def test_a_wrong_name(self, tmp_path: Path) -> None:
        one_line(visketch("export", "classifier", tmp_path / "model.pt"), 2, ".onnx")

    def test_without_the_extra(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        monkeypatch.setitem(sys.modules, "onnx", None)
        one_line(visketch("export", "classifier", tmp_path / "a.onnx"), 1, 'pip install "visketch[onnx]"')

    def test_what_computes_something_else_is_not_written(
        self, exports: dict[str, tuple[SketchModel, Path]], tmp_path: Path, monkeypatch
    ) -> None:
        model, path = exports["random"]
        config = model.config
        model = SketchModel(
            config, model.folder, **{part: tiny_model.awake(config, part, 7) for part in ("encoder", "classifier")}
        )
        wrong = SimpleNamespace(model_proto=onnx.load(path))  # of other weights
        monkeypatch.setattr(torch.onnx, "export", lambda *given, **named: wrong)
        with pytest.raises(VisketchError, match="not written"):
            export_classifier(model, tmp_path / "a.onnx")
        assert not list(tmp_path.iterdir())
