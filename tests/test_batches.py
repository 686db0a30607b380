"""What each training step gets: its drawings, its share of them, and its learning rate."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_model
import torch

from visketch.configs.training import PartTraining
from visketch.data.store import Store
from visketch.errors import UsageError
from visketch.training.loop import schedule
from visketch.training.sketch import Batches, balanced, capped, make_objective

STEPS = 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return tiny_model.pack_drawings(tmp_path_factory.mktemp("data"))


def batches(store: Store, tmp_path: Path, rank: int = 0, world: int = 1) -> Batches:
    chosen = tiny_model.labelled(store)
    return Batches(make_objective("classifier", chosen, tmp_path)[0], store, chosen, "classifier", rank, world)


def test_a_batch_is_a_pure_function_of_its_number(store: Store, tmp_path: Path) -> None:
    one, other = batches(store, tmp_path), batches(store, tmp_path)
    forward = [one[step] for step in range(0, STEPS, 4)]
    for step, batch in reversed(list(zip(range(0, STEPS, 4), forward, strict=True))):
        again = other[step]
        assert all(torch.equal(again[name], value) for name, value in batch.items())
    assert not torch.equal(forward[3]["canvas"], forward[4]["canvas"])


def test_processes_share_out_each_batch(store: Store, tmp_path: Path) -> None:
    whole = batches(store, tmp_path)
    shares = [batches(store, tmp_path, rank, 4) for rank in range(4)]
    for step in (0, 5, 19):
        batch = whole[step]
        for rank, share in enumerate(shares):
            assert all(torch.equal(value, batch[name][rank::4]) for name, value in share[step].items())


def test_a_batch_that_cannot_be_shared_evenly_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"train.classifier.batch=8 cannot be shared evenly by 3 processes"):
        batches(store, tmp_path, rank=0, world=3)


def test_a_growing_tree_takes_larger_batches_of_smaller_pictures(store: Store, tmp_path: Path) -> None:
    """With `grow = [0.2, 0.2]` and depth 1, the root alone is used for 4 steps, and then the tree."""
    shapes = [tuple(batches(store, tmp_path)[step]["canvas"].shape) for step in (0, 3, 4, 19)]
    assert shapes == [(16, 16, 16), (16, 16, 16), (8, 32, 32), (8, 32, 32)]


def test_every_drawing_is_seen_once_an_epoch(store: Store, tmp_path: Path) -> None:
    some = batches(store, tmp_path)
    rows = sorted(some.rows)
    epochs = [[some._row(len(rows) * epoch + place) for place in range(len(rows))] for epoch in range(3)]
    assert all(sorted(epoch) == rows for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("per_class", [1, 8, 100])
def test_classes_are_balanced(store: Store, per_class: int) -> None:
    rows = capped(store, per_class, seed=0)
    counts = Counter(store.labels[label] for label in store.label[rows])
    assert counts == {"cat": min(6, per_class), "house": min(12, per_class), "star": min(18, per_class)}
    assert set(rows) <= set(store.rows("train"))
    assert len(set(rows)) == len(rows)
    assert np.array_equal(rows, capped(store, per_class, seed=0))
    if per_class == 8:
        assert not np.array_equal(rows, capped(store, per_class, seed=1))


def test_the_learning_rate_rises_then_falls() -> None:
    chosen = PartTraining(steps=100, warmup=10)
    rates = [schedule(step, chosen) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1
    assert all(one > next for one, next in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.505, abs=0.01)
    assert rates[99] == pytest.approx(0.01, abs=0.002)
    assert schedule(0, PartTraining(steps=5, warmup=0)) == 1


@pytest.mark.parametrize(("balance", "power"), [(0.0, 1.0), (0.7, 0.3), (1.0, 0.0)])
def test_a_class_is_drawn_as_often_as_its_drawings_to_a_power(balance: float, power: float) -> None:
    label = np.repeat([0, 1, 2], [6, 12, 18])
    of_class = np.bincount(label, weights=balanced(label, balance))
    np.testing.assert_allclose(of_class, np.array([6, 12, 18]) ** power / (np.array([6, 12, 18]) ** power).sum())
