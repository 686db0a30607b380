"""studies/on_gpu.py, which trained the shipped weights, in little and on the CPU."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))

import on_gpu

from visketch import checkpoint
from visketch.config import read_config
from visketch.data.store import Store
from visketch.geometry import pieces, sdf
from visketch.geometry.sketch import fit
from visketch.models.parts import build


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return tiny_model.pack_drawings(tmp_path_factory.mktemp("gpu"))


@pytest.fixture(scope="module")
def drawings(store: Store) -> on_gpu.Drawings:
    found = on_gpu.Drawings({"real": store, "synthetic": store})
    found.split = np.where(found.row % 5 == 0, 1, 0)  # so few drawings have no validation split
    return found


@pytest.fixture
def args(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(
        out=tmp_path, minutes=0.02, reports=2, workers=1, batch=8, test=8, every=1, changed=0.6, dropout=0.1,
        set=[], wide=["encoder.width=64"], sources=[0.7, 0.2, 0.1], start=None,
    )  # fmt: skip


def test_fields_are_those_of_the_project(store: Store) -> None:
    shape = tiny_model.small().sketch
    lines = [fit(store[row].lines(), shape.margin) for row in range(5)] + [(np.full((1, 2), 0.5, np.float32),)]
    found = on_gpu.fields(on_gpu.padded([on_gpu.segments(each) for each in lines]), shape, 1)
    expected = np.stack([sdf.field(each, shape, 2 * shape.tile) for each in lines])
    assert np.abs(found.numpy() - expected).max() < 0.02, "half precision"


def test_pieces_are_those_of_the_project_and_stay_so_if_nothing_is_changed(drawings: on_gpu.Drawings) -> None:
    found = on_gpu.Pieces(drawings, np.arange(6), 1, 24)
    points, joined, there = found.get(torch.arange(6))
    for row in range(6):
        expected = pieces.cut([2 * line - 1 for line in fit(drawings[row].lines(), margin=0.0)])
        assert int(there[row].sum()) == len(expected)
        assert np.abs(points[row, : len(expected)].numpy() - expected.points).max() < 1e-3
        assert joined[row, : len(expected)].tolist() == expected.joined.tolist()
    same, done = on_gpu.changed(points, there, 0.0)
    assert torch.allclose(same, points, atol=2e-3)
    assert not done.any()


def test_changed_drawings_fill_the_square_and_say_what_was_done(drawings: on_gpu.Drawings) -> None:
    torch.manual_seed(0)
    points, _, there = on_gpu.Pieces(drawings, np.arange(12), 1, 24).get(torch.arange(12))
    found, done = on_gpu.changed(points, there, 1.0)
    assert torch.allclose(found.abs().amax(dim=(1, 2, 3)), torch.ones(12), atol=1e-3)
    assert 0 < done[:, 0].sum() < 12
    assert (done[:, 1:].abs() <= 1).all()
    assert done[:, 1:].any(dim=1).all()
    assert not found[~there].any()


def test_given_pieces_are_never_all_of_a_drawing() -> None:
    torch.manual_seed(0)
    there = torch.arange(9) < torch.randint(1, 10, (400, 1))
    joined = (torch.rand(400, 9) < 0.4) & there
    joined[:, 0] = False
    given = on_gpu.given_pieces(joined, there, 1.0)
    assert not (given & ~there).any()
    assert (given.sum(dim=1) < there.sum(dim=1)).all()
    assert given.any()
    assert not on_gpu.given_pieces(joined, there, 0.0).any()


def test_every_source_has_its_share(drawings: on_gpu.Drawings) -> None:
    rows = drawings.of(0, 1)
    chance = drawings.chances(rows, [0.6, 0.3, 0.1], 0.5)
    share = np.bincount(drawings.source[rows], chance, minlength=3)
    assert share == pytest.approx([0.6 / 0.7, 0, 0.1 / 0.7]), "nothing is traced here"


def test_batches_have_every_drawing_once_and_about_as_many_pieces_each() -> None:
    count = torch.randint(1, 20, (4000,))
    found = on_gpu.batches(count, torch.arange(4000))
    assert torch.cat(found).sort().values.tolist() == list(range(4000))
    total = torch.tensor([float(count[rows].sum()) for rows in found])
    assert len(found) == 16
    assert total.max() < 1.1 * total.min()


@pytest.mark.parametrize("part", ["strokes", "classifier", "baselines"])
def test_what_it_trains_is_a_checkpoint(part: str, args: argparse.Namespace, drawings: on_gpu.Drawings) -> None:
    knob = {
        "strokes": "diffusion.backbone=strokes",
        "classifier": "classifier.layers=1",
        "baselines": "baseline.layers=2",
    }
    trained(part, knob[part], args, drawings)


@pytest.mark.parametrize("part", ["styles", "pretrained"])
def test_it_goes_on_from_a_classifier(
    part: str, args: argparse.Namespace, drawings: on_gpu.Drawings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A teacher without ImageNet's weights, which are 23 MB in a package of their own.
    monkeypatch.setattr(on_gpu, "Pretrained", lambda shape, classes: on_gpu.WideCNN(classes))
    config = tiny_model.small("classifier.layers=1").model_copy(update={"labels": tuple(drawings.labels)})
    args.start = args.out / "before"
    before = on_gpu.Tree(config)
    on_gpu.save_tree(argparse.Namespace(out=args.start, minutes=0), config, drawings, before, 5)
    other = on_gpu.Drawings(drawings.stores | {"icons": drawings.stores["real"]})
    other.split = np.where(other.row % 5 == 0, 1, 0)
    args.sources = [0.5, 0, 0.1, 0.4]
    trained(part, "classifier.layers=1", args, other)
    out = [
        checkpoint.load_part(folder, "classifier", on_gpu.Tree(config).classifier) for folder in (args.start, args.out)
    ]
    assert out[0]["facts"]["steps"] == 5
    assert out[1]["facts"]["data"].keys() == {"real", "synthetic", "icons"}


def trained(part: str, knob: str, args: argparse.Namespace, drawings: on_gpu.Drawings) -> None:
    """Train for a moment, and look at what is written."""
    config = tiny_model.small(knob).model_copy(update={"labels": tuple(drawings.labels)})
    checkpoint.write_config(args.out, config)
    args.part, args.config = part, str((args.out / "config.toml").rename(args.out / "start.toml"))
    on_gpu.TRAINED[part](args, config, drawings)
    written = {"strokes": ["diffusion"], "baselines": [f"{name}/baseline" for name in on_gpu.BASELINES]}
    for path in written.get(part, ["encoder", "classifier"]):
        folder, name = args.out / Path(path).parent, Path(path).name
        facts = checkpoint.load_part(folder, name, build(read_config(folder), name))["facts"]
        assert facts["steps"] > 0
        assert facts["data"].keys() == drawings.stores.keys()
    rows = [json.loads(line) for line in (args.out / "training" / f"{part}.jsonl").read_text().splitlines()]
    assert rows[0]["parameters"] > 0
    assert rows[-1]["drawings"] >= rows[1]["drawings"] > 0
