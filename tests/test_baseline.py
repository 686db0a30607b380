"""The baselines: textbook networks that see whole pictures and are trained in the same way as the classifier."""

import sys
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from torch import nn

from visketch import config
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.model import SketchModel
from visketch.models.blocks import BatchNorm
from visketch.models.parts import build
from visketch.training.objectives.recognition import BaselineObjective, ClassifierObjective
from visketch.training.sketch import train

BACKBONES = ["resnet34", "vit", "cnn"]


@pytest.fixture(scope="module", params=BACKBONES)
def baseline(request: pytest.FixtureRequest) -> nn.Module:
    """A baseline for pictures of 64 pixels and three classes."""
    return tiny_model.awake(tiny_model.small(f"baseline.backbone={request.param}"), "baseline")


@pytest.fixture(scope="module")
def field() -> torch.Tensor:
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("side", [16, 24, 64, 96])
@torch.no_grad()
def test_a_picture_of_any_side_gets_an_answer(baseline: nn.Module, side: int) -> None:
    picture = torch.rand(2, side, side) * 2 - 1
    features = baseline.features(picture)
    assert features.shape == (2, {"resnet34": 64, "vit": 32, "cnn": 320}[baseline.backbone])
    assert baseline(picture).shape == (2, 3)
    torch.testing.assert_close(baseline.out(features), baseline(picture))


@torch.no_grad()
def test_pictures_are_judged_one_by_one(baseline: nn.Module, field: torch.Tensor) -> None:
    together, alone = baseline(field), torch.cat([baseline(one) for one in field.split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-4, "and not all alike"


def test_every_weight_learns(baseline: nn.Module, field: torch.Tensor) -> None:
    baseline.zero_grad()
    nn.functional.cross_entropy(baseline(field), torch.tensor([0, 1, 2])).backward()
    for name, weight in baseline.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any() or name.endswith("k_proj.bias"), name  # it has no effect on softmax
    baseline.zero_grad()


def test_by_default_they_are_the_textbook_s_and_of_like_size() -> None:
    """The ResNet34 of He et al. has 21,797,672 parameters, with three colours and 1,000 classes."""
    sizes = {}
    for backbone in BACKBONES:
        settings = config.load("small", [f"baseline.backbone={backbone}"])
        with torch.device("meta"):
            net = build(settings.model_copy(update={"labels": tiny_model.LABELS}), "baseline").net
        sizes[backbone] = sum(weight.numel() for weight in net.parameters())
    assert sizes["resnet34"] == 21_797_672 - 1000 * 513 - 2 * 64 * 49
    assert sizes["vit"] == pytest.approx(sizes["resnet34"], rel=0.05)


def test_batch_norms_are_those_that_see_all_processes() -> None:
    baseline = build(tiny_model.small(), "baseline")
    norms = [module for module in baseline.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 36  # one after each convolution: the first one, 32 in blocks, 3 in shortcuts
    assert all(isinstance(norm, BatchNorm) for norm in norms)


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
def test_it_is_shown_what_the_classifier_is_shown(progress: float) -> None:
    """The pictures are the same, and equally large: 16 pixels, then 32, then 64."""
    settings = tiny_model.small("train.baseline.grow=[0.2, 0.2]", "train.classifier.grow=[0.2, 0.2]")
    labels, built = (
        list(tiny_model.LABELS),
        {part: build(settings, part) for part in ("encoder", "classifier", "baseline")},
    )
    contender = BaselineObjective(settings, built["baseline"], labels)
    own = ClassifierObjective(settings, built["encoder"], built["classifier"], labels)
    one, other = (o.example(drawings.draw("cat"), np.random.default_rng(3), progress) for o in (contender, own))
    assert one["canvas"].shape == ({0.0: 16, 0.3: 32, 0.9: 64}[progress],) * 2
    assert np.array_equal(one["canvas"], other["canvas"])
    assert one["label"] == other["label"]
    assert contender.enlarged(progress) == own.enlarged(progress)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_learns_cats_from_stars(backbone: str, tmp_path: Path) -> None:
    labels = ("cat", "star")
    for split, seed in (("train", 0), ("test", 9)):
        for label in labels:
            sketches = drawings.draw_many(20, seed=seed, labels=(label,))
            tiny_model.write_ndjson(tmp_path / f"in/{split}/{label}.ndjson", sketches)
    pack([tmp_path / "in"], tmp_path / "packed.arrow")
    store = Store(tmp_path / "packed.arrow")
    knobs = [
        f"baseline.backbone={backbone}",
        "train.baseline.steps=60",
        "train.baseline.muon=false",  # Muon learns as much, but takes three times as long
        "train.baseline.grow=[]",
        "train.baseline.ema=0.5",
    ]
    assert train("baseline", store, tmp_path / "run", config.load("tiny", knobs)).finished
    model = SketchModel.load(tmp_path / "run")
    rows = store.rows("test")
    with torch.no_grad():
        guess = model.part("baseline")(model.render([store[int(row)] for row in rows])).argmax(dim=1)
    assert (guess.numpy() == store.label[rows]).mean() > 0.9


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    build(tiny_model.small("baseline.backbone=cnn"), "baseline")  # this one does not need transformers
    for backbone in ("resnet34", "vit"):
        with pytest.raises(UsageError, match=r"pip install 'visketch\[evaluate\]'") as caught:
            build(tiny_model.small(f"baseline.backbone={backbone}"), "baseline")
        assert "\n" not in str(caught.value)
