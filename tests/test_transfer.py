"""Starting from another checkpoint: what belongs to a class moves with its label, and everything else is copied as it
is.
"""

import shutil
from pathlib import Path

import drawings
import pytest
import tiny_model
import torch

from visketch import checkpoint, config
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.model import SketchModel
from visketch.models.parts import build
from visketch.training import transfer
from visketch.training.sketch import train
from visketch.training.transfer import steps_of

NEW = ("star", "dog", "cat")  # another order, and a class that the checkpoint does not have
OLD_ROWS = {"star": 2, "cat": 0}  # the positions in parts.LABELS


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of all parts with random weights, for parts.LABELS."""
    folder = tmp_path_factory.mktemp("start")
    settings = config.load("tiny").model_copy(update={"labels": tiny_model.LABELS})
    checkpoint.write_config(folder, settings)
    marks: dict[str, str] = {}
    for part in checkpoint.PARTS:
        facts = {"step": 3, "before": 4}
        marks[part] = checkpoint.save_part(folder, part, tiny_model.awake(settings, part), {}, facts)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two of the old classes, and a new one."""
    home = tmp_path_factory.mktemp("mine")
    for seed, (label, drawn) in enumerate((("cat", "cat"), ("dog", "house"), ("star", "star"))):
        tiny_model.write_ndjson(home / f"train/{label}.ndjson", drawings.draw_many(8, seed=seed, labels=(drawn,)))
    pack([home], home / "mine.arrow")
    return Store(home / "mine.arrow")


def weights(folder: Path, part: str) -> dict[str, torch.Tensor]:
    return checkpoint.restored(checkpoint.read_tensors(folder / f"{part}.safetensors")[0])


def adopted(part: str, start: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], set[str]]:
    """The old and the new weights, and the names of those that have a row for every class."""
    settings = config.load("tiny").model_copy(update={"labels": NEW})
    module = build(settings, part)
    transfer.init_from(part, module, settings, start)
    return (
        {name: value.float() for name, value in weights(start, part).items()},
        module.state_dict(),
        transfer.class_tensors(settings, part),
    )


@pytest.mark.parametrize("part", ["diffusion", "encoder", "refiner", "classifier", "sequence", "baseline"])
def test_rows_of_classes_go_with_their_labels(start: Path, part: str) -> None:
    old, new, per_class = adopted(part, start)
    assert bool(per_class) == (part != "encoder")
    for name, value in new.items():
        if name not in per_class:
            assert torch.equal(value.float(), old[name]), name
            continue
        for label, row in OLD_ROWS.items():
            assert torch.equal(value[NEW.index(label)], old[name][row]), name
        fresh = value[NEW.index("dog")]
        assert not any(torch.equal(fresh, row) for row in old[name]), name
        assert torch.equal(value[len(NEW) :], old[name][len(tiny_model.LABELS) :]), "the null class"


@pytest.mark.parametrize("part", ["diffusion", "classifier", "refiner"])
def test_training_goes_on_from_it(start: Path, store: Store, tmp_path: Path, part: str) -> None:
    """The learning rate is nearly zero, so the weights stay those that were copied."""
    settings = config.load("tiny", [f"train.{part}.steps=2", f"train.{part}.lr=1e-9"])
    outcome = train(part, store, tmp_path, settings, start=start)
    assert outcome.finished
    facts = checkpoint.read_metadata(tmp_path, part)["facts"]
    assert (facts["from"], facts["before"]) == (start.name, 3 + 4)
    assert steps_of(tmp_path, part) == 3 + 4 + 2
    more = config.load("tiny", [f"train.{part}.steps=3", f"train.{part}.lr=1e-9"])
    train(part, store, tmp_path, more, resume=True)
    assert steps_of(tmp_path, part) == 3 + 4 + 3, "a run that is resumed keeps its history"
    old, new = weights(start, part), weights(tmp_path, part)
    labels = config.read_config(tmp_path).labels
    per_class = transfer.class_tensors(settings, part)
    for name in per_class:
        assert torch.allclose(new[name][labels.index("star")].float(), old[name][2].float(), atol=1e-3), name
    for name in new.keys() - per_class:
        if "running_" not in name:
            assert torch.allclose(new[name].float(), old[name].float(), atol=1e-3), name


def test_parts_that_are_leant_on_are_lent(start: Path, store: Store, tmp_path: Path) -> None:
    for part in ("classifier", "diffusion", "refiner"):
        train(part, store, tmp_path, config.load("tiny", [f"train.{part}.steps=1"]), start=start)
    marks = [checkpoint.read_metadata(folder, "vqvae")["fingerprint"] for folder in (start, tmp_path)]
    assert marks[0] == marks[1]
    encoders = [checkpoint.read_metadata(folder, "encoder")["fingerprint"] for folder in (start, tmp_path)]
    assert encoders[0] != encoders[1], "the trained one is kept"
    assert SketchModel.load(tmp_path).generate_fields("dog", tries=1).canvas.isfinite().all()


def test_what_does_not_fit_is_refused(start: Path, store: Store, tmp_path: Path) -> None:
    wide = config.load("tiny", ["diffusion.width=32"])
    with pytest.raises(UsageError, match=r"its diffusion has another architecture; .* --config .*config.toml"):
        train("diffusion", store, tmp_path / "wide", wide, start=start)
    assert not (tmp_path / "wide/diffusion.safetensors").exists()
    with pytest.raises(UsageError, match="the vqvae has no classes, so the other"):
        train("vqvae", store, tmp_path / "codes", config.load("tiny"), start=start)
    poor = tmp_path / "poor"
    poor.mkdir()
    shutil.copy(start / "config.toml", poor)
    with pytest.raises(VisketchError, match="has no vqvae"):
        train("refiner", store, tmp_path / "new", config.load("tiny"), start=poor)


def test_a_teacher_must_know_the_same_classes(start: Path, store: Store, tmp_path: Path) -> None:
    settings = config.load("tiny", [f"train.classifier.teacher={start}"])
    with pytest.raises(UsageError, match=r"start.*: a teacher must have the same classes"):
        train("classifier", store, tmp_path, settings)
    assert not list(tmp_path.iterdir())
