"""Which judges judge generated sketches, and what they are shown."""

from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from PIL import Image
from torch import Tensor, nn

from visketch import checkpoint
from visketch.config import Config
from visketch.data.read import read
from visketch.errors import UsageError, VisketchError
from visketch.evaluate.judges import BaselineJudge, ClassifierJudge, check, load, reread
from visketch.model import SketchModel

CONFIG = tiny_model.small()


class Baseline(nn.Module):
    """A substitute for a network of another kind."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pool, self.out = nn.AdaptiveAvgPool2d(4), nn.Linear(16, classes)

    def features(self, field: Tensor) -> Tensor:
        return self.pool(field[:, None]).flatten(1)

    def forward(self, field: Tensor) -> Tensor:
        return self.out(self.features(field))


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel(CONFIG, **{name: tiny_model.awake(CONFIG, name) for name in ("encoder", "classifier")})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint that has a baseline and nothing else."""
    monkeypatch.setattr("visketch.model.build", lambda config, part: Baseline(len(config.labels)))
    checkpoint.write_config(tmp_path, CONFIG)
    checkpoint.save_part(tmp_path, "baseline", Baseline(len(CONFIG.labels)), {}, {})
    return tmp_path


def test_the_own_judge_says_what_the_model_says(model: SketchModel) -> None:
    canvas = model.render(drawings.draw_many(4))
    logits, features = ClassifierJudge(model).logits_and_features(canvas)
    torch.testing.assert_close(logits, model.logits(canvas))
    assert features.shape == (4, CONFIG.encoder.width)
    with torch.inference_mode():
        torch.testing.assert_close(model.part("classifier").out(features), logits)
    assert not ClassifierJudge(model).independent


def test_a_blank_sketch_can_be_judged(model: SketchModel) -> None:
    canvas = torch.cat([torch.full((1, 64, 64), -1.0), model.render([drawings.draw("cat")])])
    logits, features = ClassifierJudge(model).logits_and_features(canvas)
    assert logits.isfinite().all()
    assert features.isfinite().all()
    only_blank, _ = ClassifierJudge(model).logits_and_features(canvas[:1])
    torch.testing.assert_close(only_blank[0], logits[0], rtol=0, atol=1e-4)


def test_a_peer_is_loaded_from_its_folder(folder: Path) -> None:
    judge = load(folder)
    assert (tuple(judge.labels), judge.shape, judge.independent) == (tiny_model.LABELS, CONFIG.sketch, True)
    assert judge.name == folder.name
    field = torch.rand(5, 64, 64)
    logits, features = judge.logits_and_features(field)
    assert (logits.shape, features.shape) == ((5, 3), (5, 16))
    torch.testing.assert_close(logits, judge.baseline(field).detach())
    torch.testing.assert_close(features, judge.baseline.features(field))
    (folder / "baseline.safetensors").unlink()
    with pytest.raises(VisketchError, match="has no baseline"):
        load(folder)
    with pytest.raises(VisketchError, match="no checkpoint there"):
        load(folder / "nowhere")


def test_another_checkpoints_classifier_judges_too(model: SketchModel, tmp_path: Path) -> None:
    checkpoint.write_config(tmp_path, CONFIG)
    for part in ("encoder", "classifier"):
        checkpoint.save_part(tmp_path, part, model.part(part), {}, {})
    judge = load(tmp_path)
    assert (judge.name, judge.independent) == (tmp_path.name, True)
    canvas = model.render([drawings.draw("cat")])
    expected = SketchModel.load(tmp_path).logits(canvas)
    torch.testing.assert_close(judge.logits_and_features(canvas)[0], expected, rtol=1e-4, atol=1e-4)


def judge_of(labels: tuple[str, ...], config: Config) -> BaselineJudge:
    return BaselineJudge(
        SketchModel(config.model_copy(update={"labels": labels}), Path("runs/judge"), baseline=Baseline(len(labels)))
    )


def test_a_judge_must_know_the_classes() -> None:
    check(judge_of(("star", "cat"), CONFIG), ["cat"], CONFIG.sketch, "picture")
    with pytest.raises(UsageError, match="judge does not know house, star"):
        check(judge_of(("cat",), CONFIG), ["cat", "house", "star"], CONFIG.sketch, "picture")


def test_a_judge_of_another_canvas_must_see_pictures() -> None:
    other = judge_of(tiny_model.LABELS, tiny_model.small("sketch.canvas=128"))
    check(other, ["cat"], CONFIG.sketch, "picture")
    with pytest.raises(UsageError, match="another canvas or pen"):
        check(other, ["cat"], CONFIG.sketch, "field")
    check(judge_of(tiny_model.LABELS, tiny_model.small("sketch.depth=1")), ["cat"], CONFIG.sketch, "field")


@pytest.mark.parametrize("side", [64, 128])
def test_reread_is_writing_a_png_and_reading_it(side: int, model: SketchModel, tmp_path: Path) -> None:
    canvas, wanted = model.render(drawings.draw_many(3)), tiny_model.small(f"sketch.canvas={side}").sketch
    fields = reread(canvas, CONFIG.sketch, wanted)
    assert fields.shape == (3, side, side)
    reader = SketchModel(CONFIG.model_copy(update={"sketch": wanted}))
    for field, ink in zip(fields, model.ink(canvas), strict=True):
        Image.fromarray((255 * (1 - ink)).round().byte().numpy()).save(tmp_path / "a.png")
        assert torch.equal(field, reader.render(list(read(tmp_path / "a.png")))[0])


def test_reread_keeps_the_lines_and_forgets_the_pen(model: SketchModel) -> None:
    """The thick field has twice the pen and is no longer a distance. Both it and the exact field come back with the
    usual pen.
    """
    canvas = model.render([drawings.draw("house")])
    thick = ((canvas + CONFIG.sketch.near).clamp(-1, 1) * 3).clamp(-1, 1)
    fields = reread(torch.cat([canvas, thick]), CONFIG.sketch, CONFIG.sketch)
    inked = [float((field > 0).float().mean()) for field in (canvas[0], thick[0], *fields)]
    assert inked[1] > 1.5 * inked[0]
    assert inked[2:] == pytest.approx([inked[0]] * 2, rel=0.25)
    assert (fields[0] - canvas[0]).abs().mean() < 0.1


def test_reread_leaves_a_blank_sketch_blank() -> None:
    blank = torch.full((2, 64, 64), -1.0)
    assert torch.equal(reread(blank, CONFIG.sketch, CONFIG.sketch), blank)
    assert np.asarray(blank).max() == -1
