"""The classifier's pooling: each sketch is judged by its own leaves, by all of them, and by nothing else."""

from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch

from visketch.models.classifier import Classifier
from visketch.quadtree import Leaves
from visketch.training.objectives.recognition import ClassifierObjective
from visketch.training.sketch import teacher

COUNTS = [3, 0, 1, 14, 7]  # leaves of each sketch


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return tiny_model.awake(tiny_model.small("classifier.layers=2"), "classifier")


def packed(counts: list[int]) -> Leaves:
    sketch = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    z = torch.cat([torch.arange(count) for count in counts])
    return Leaves(sketch, torch.full_like(sketch, 2), z)


@pytest.fixture(scope="module")
def cls() -> torch.Tensor:
    return torch.randn(sum(COUNTS), 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_padding_changes_nothing(classifier: Classifier, cls: torch.Tensor) -> None:
    leaves = packed(COUNTS)
    logits, votes = classifier(cls, leaves, len(COUNTS))
    assert logits.shape == (len(COUNTS), 3)
    assert votes.shape == (len(cls), 3)
    for sketch, count in enumerate(COUNTS):
        own = leaves.sketch == sketch
        alone, own_votes = classifier(cls[own], packed([count]), 1)
        torch.testing.assert_close(alone[0], logits[sketch], rtol=0, atol=1e-5)
        torch.testing.assert_close(own_votes, votes[own], rtol=0, atol=1e-5)


@torch.no_grad()
def test_every_leaf_of_a_sketch_counts_and_no_other(classifier: Classifier, cls: torch.Tensor) -> None:
    leaves = packed(COUNTS)
    logits, _ = classifier(cls, leaves, len(COUNTS))
    for leaf in range(len(cls)):
        changed = cls.clone()
        changed[leaf] = -changed[leaf]
        difference = (classifier(changed, leaves, len(COUNTS))[0] - logits).abs().amax(dim=1)
        moved = [sketch for sketch in range(len(COUNTS)) if difference[sketch] > 1e-5]
        assert moved == [int(leaves.sketch[leaf])]


@torch.no_grad()
def test_the_order_of_the_leaves_does_not_matter(classifier: Classifier, cls: torch.Tensor) -> None:
    """The CLS vectors already contain the places of the leaves."""
    last, turned = cls[-7:], cls[-7:].flip(0)
    one, other = classifier(last, packed([7]), 1)[0], classifier(turned, packed([7]), 1)[0]
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_sketch_without_leaves_gets_an_answer(classifier: Classifier, cls: torch.Tensor) -> None:
    logits, votes = classifier(cls[:0], packed([0, 0]), 2)
    assert logits.isfinite().all()
    assert votes.shape == (0, 3)


def test_a_teacher_says_what_is_to_be_answered(tmp_path: Path) -> None:
    """A student that is its own teacher gets its own answers as the target, whatever the label, so the loss is its own
    entropy.
    """
    taught = f"train.classifier.teacher={tiny_model.write_checkpoint(tmp_path, tiny_model.small())}"
    losses = {}
    for share in (0.0, 1.0):
        settings = tiny_model.small(taught, f"train.classifier.taught={share}", "train.classifier.leaves=100")
        both = teacher(settings, "classifier", ("encoder", "classifier"))
        objective = ClassifierObjective(settings, *both, list(tiny_model.LABELS), both).eval()
        for label in ("cat", "star"):
            example = objective.example(drawings.draw("cat"), np.random.default_rng(0), 1.0)
            example["label"] = np.int64(tiny_model.LABELS.index(label))
            batch = {name: torch.from_numpy(np.stack([value])) for name, value in example.items()}
            losses[share, label] = objective(batch)[1]["class loss"].item()
        answer = objective.answers(batch["canvas"])[0]
    assert losses[1.0, "cat"] == pytest.approx(-(answer * answer.log()).sum().item(), rel=1e-3)
    assert losses[1.0, "cat"] == pytest.approx(losses[1.0, "star"])
    assert losses[0.0, "cat"] != pytest.approx(losses[0.0, "star"], rel=1e-3)
