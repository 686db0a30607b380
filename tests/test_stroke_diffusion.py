"""The coarse stage of strokes learns, and its sketches depend only on their own noise, class and number of pieces."""

import drawings
import numpy as np
import pytest
import tiny_model as parts
import torch

from visketch.data.store import Store
from visketch.geometry.pieces import pieces
from visketch.models.stroke_transformer import to_pieces, to_tokens
from visketch.models.strokes import LOOKS, NOISED, StrokeDiffusion
from visketch.training.objectives.diffusion import StrokesObjective, some
from visketch.training.sketch import Batches

SETTINGS = parts.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2", "diffusion.pieces=20")
LABEL, COUNT = torch.tensor([0, 1, 2, 1]), torch.tensor([3, 7, 1, 5])


@pytest.fixture(scope="module")
def network() -> StrokeDiffusion:
    return parts.awake(SETTINGS, "diffusion")


@pytest.fixture
def noise(network: StrokeDiffusion) -> torch.Tensor:
    return torch.randn(4, 4, 7, network.size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return parts.pack_drawings(tmp_path_factory.mktemp("strokes"))


def test_the_loss_falls(store: Store) -> None:
    objective = StrokesObjective(SETTINGS, parts.awake(SETTINGS, "diffusion").train(), list(parts.LABELS))
    rng = np.random.default_rng(0)
    examples = [objective.example(sketch, rng, 0.0) for sketch in drawings.draw_many(8, labels=parts.LABELS)]
    batch = {name: torch.from_numpy(np.stack([example[name] for example in examples])) for name in examples[0]}
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss, both = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append([both["network"].item(), both["guide"].item()])
        assert loss.item() == pytest.approx(sum(losses[-1]))
    assert losses[-1][0] < 0.6 * losses[0][0]
    assert losses[-1][1] < 0.6 * losses[0][1]


def test_tokens_keep_the_pieces() -> None:
    points = torch.randn(2, 5, 12, 2, generator=torch.Generator().manual_seed(1))
    points[0, 2] = points[0, 2, :1]  # a dot
    joined = torch.tensor([[False, True, False, True, False]] * 2)
    again, same = to_pieces(to_tokens(points.clamp(-1, 1), joined))
    torch.testing.assert_close(again, points.clamp(-1, 1))
    assert torch.equal(same, joined)


@torch.no_grad()
def test_a_sketch_does_not_depend_on_the_others_of_its_batch(network: StrokeDiffusion, noise: torch.Tensor) -> None:
    together = network.sample(LABEL, COUNT, noise)
    for i, count in enumerate(COUNT.tolist()):
        alone = network.sample(LABEL[i : i + 1], COUNT[i : i + 1], noise[:, i : i + 1, :count])
        torch.testing.assert_close(together[i, :count], alone[0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_class_number_and_noise_matter(network: StrokeDiffusion, noise: torch.Tensor) -> None:
    usual = network.sample(LABEL, COUNT, noise)
    for other in (
        network.sample(LABEL.roll(1), COUNT, noise),
        network.sample(LABEL, COUNT, noise.roll(1, dims=1)),
        network.sample(LABEL, COUNT, noise, guidance=5.0),
    ):
        assert not torch.allclose(usual[0, :3], other[0, :3], atol=1e-3)


@torch.no_grad()
def test_given_pieces_stay_exactly_and_the_others_heed_them(network: StrokeDiffusion, noise: torch.Tensor) -> None:
    start = torch.randn(noise.shape[1:], generator=torch.Generator().manual_seed(2))
    given = torch.zeros(noise.shape[1:3], dtype=torch.bool)
    given[:, 0] = True
    drawn = network.sample(LABEL, COUNT, noise, start=start, given=given)
    assert torch.equal(drawn[given], start[given])
    other = network.sample(LABEL, COUNT, noise, start=-start, given=given)
    assert not torch.allclose(drawn[1, 1:], other[1, 1:], atol=1e-3)


@torch.no_grad()
def test_steps_are_ancestral(network: StrokeDiffusion, noise: torch.Tensor) -> None:
    given = torch.zeros(noise.shape[1:3], dtype=torch.bool)
    x = noise[0]
    for step in range(4):
        time, after = 1 - step / 4, 0.75 - step / 4
        now = torch.full((4,), time)
        strong, weak = (part(x, now, LABEL, COUNT, given) for part in (network.network, network.guide))
        clean = weak + 3 * (strong - weak)
        if after:
            variance = (time**2 - ((1 - time) / (1 - after) * after) ** 2) * after**2 / time**2  # of the posterior
            found = (x - (1 - time) * clean) / time
            x = (1 - after) * clean + (after**2 - variance) ** 0.5 * found + variance**0.5 * noise[step + 1]
    drawn = network.sample(LABEL, COUNT, noise, guidance=3.0)
    for i, count in enumerate(COUNT.tolist()):
        torch.testing.assert_close(drawn[i, :count], clean[i, :count], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_surprise_is_the_summed_error_of_the_network(network: StrokeDiffusion) -> None:
    """Each drawing is noised several times, in the same way whatever is beside it."""
    drawn = pieces([drawings.draw(name).lines() for name in parts.LABELS])
    label = torch.arange(len(drawn))
    noise = torch.randn(LOOKS, SETTINGS.diffusion.pieces, network.size, generator=torch.Generator().manual_seed(0))
    slow = []
    for each, number in zip(drawn, label.split(1), strict=True):
        tokens, count = to_tokens(torch.from_numpy(each.points)[None], torch.from_numpy(each.joined)[None]), len(each)
        noisy, given = torch.lerp(tokens, noise[:, :count], NOISED), torch.zeros(1, count, dtype=torch.bool)
        found = [
            network.network(one[None], torch.tensor([NOISED]), number, torch.tensor([count]), given) for one in noisy
        ]
        slow.append(np.mean([float(((one - tokens) / NOISED).square().mean(dim=2).sum()) for one in found]))
    assert len({len(each) for each in drawn}) > 1
    assert network.surprise(drawn, label).tolist() == pytest.approx(slow, rel=1e-3)


def test_some_of_a_drawing_is_given_in_whole_strokes_or_as_a_beginning() -> None:
    joined, seen = np.array([False, True, False, False, True, True]), set()
    for seed in range(200):
        given = some(joined, np.random.default_rng(seed))
        assert not given.all()
        beginning = not (np.diff(given.astype(int)) > 0).any()
        whole = all(len(set(given[group])) == 1 for group in ([0, 1], [2], [3, 4, 5]))
        assert beginning or whole
        seen.add(tuple(given))
    assert len(seen) > 6


def test_batches_are_of_like_length_and_hold_every_drawing_once_an_epoch(store: Store) -> None:
    objective = StrokesObjective(SETTINGS, parts.awake(SETTINGS, "diffusion"), list(parts.LABELS))
    objective.study(store)
    batches = Batches(objective, store, SETTINGS.model_copy(update={"labels": tuple(store.labels)}), "diffusion", 0, 1)
    lengths = objective.lengths(store)
    assert lengths.tolist() == [len(objective_pieces(store, row)) for row in range(len(store))]
    torch.testing.assert_close(batches[3]["noise"], batches[3]["noise"])
    assert objective.diffusion.histogram.sum(dim=1).tolist() == pytest.approx([1, 1, 1])


def objective_pieces(store: Store, row: int) -> list:
    from visketch.geometry.pieces import cut

    return list(cut(store[row].strokes or ()).joined)
