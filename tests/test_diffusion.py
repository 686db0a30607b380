"""The coarse stage learns, and its samples depend on their own noise, their class and nothing else."""

from itertools import pairwise

import drawings
import numpy as np
import pytest
import tiny_model
import torch

from visketch import config, quadtree
from visketch.geometry import sdf
from visketch.models.diffusion import Diffusion
from visketch.training.objectives.diffusion import DiffusionObjective

TILE, CLASSES = 16, 3


@pytest.fixture(scope="module")
def diffusion() -> Diffusion:
    return tiny_model.awake(tiny_model.small(), "diffusion")


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.randn(4, TILE, TILE, generator=torch.Generator().manual_seed(0))


LABEL = torch.tensor([0, 1, 2, 1])


def test_the_loss_falls() -> None:
    settings = tiny_model.small()
    diffusion = tiny_model.awake(settings, "diffusion").train()
    fields = torch.stack([torch.from_numpy(sdf.render(sketch, settings.sketch)) for sketch in drawings.draw_many(6)])
    root, label = quadtree.tiles(fields, 2)[:, 0], torch.arange(6) % CLASSES
    noise, time = torch.randn_like(root), torch.linspace(0.1, 0.9, 6)
    optimizer = torch.optim.AdamW(diffusion.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = diffusion.loss(root, label, noise, time)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@torch.no_grad()
def test_the_loss_is_the_error_of_the_flow_from_field_to_noise(diffusion: Diffusion, noise: torch.Tensor) -> None:
    field, time = torch.rand(4, TILE, TILE) * 2 - 1, torch.tensor([0.0, 0.3, 0.7, 1.0])
    expected = 0.0
    for i in range(4):
        between = (1 - time[i]) * field[i] + time[i] * noise[i]
        flow = diffusion.flow(between[None], time[i : i + 1], LABEL[i : i + 1])[0]
        expected += (flow - (noise[i] - field[i])).square().mean().item() / 4
    assert diffusion.loss(field, LABEL, noise, time).item() == pytest.approx(expected, rel=1e-4)


def times(diffusion: Diffusion, noise: torch.Tensor, steps: int) -> list[float]:
    """The times at which sampling calls for the flow."""
    seen: list[float] = []
    flow = diffusion.flow
    diffusion.flow = lambda x, time, label: (seen.append(time[0].item()), flow(x, time, label))[1]
    try:
        diffusion.sample(LABEL[:1], noise[:1], steps, guidance=1.0)
    finally:
        del diffusion.flow
    return seen


def test_sampling_starts_at_pure_noise_and_ends_near_the_sketch(diffusion: Diffusion, noise: torch.Tensor) -> None:
    seen = times(diffusion, noise, 20)
    assert len(seen) == 20
    assert seen[0] == 1
    assert all(before > after > 0 for before, after in pairwise(seen))


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@torch.no_grad()
def test_a_sample_is_what_eulers_method_gives(diffusion: Diffusion, noise: torch.Tensor, guidance: float) -> None:
    """The times are the scheduler's own. Guidance 1 is the plain conditional flow."""
    fast = diffusion.sample(LABEL, noise, 4, guidance)
    grid = [*times(diffusion, noise, 4), 0.0]
    for i in range(4):
        x = noise[i : i + 1]
        for time, next_time in pairwise(grid):
            flow = diffusion.flow(x, torch.tensor([time]), LABEL[i : i + 1])
            if guidance != 1:
                without = diffusion.flow(x, torch.tensor([time]), torch.tensor([CLASSES]))
                flow = without + guidance * (flow - without)
            x = x + (next_time - time) * flow
        torch.testing.assert_close(fast[i], x[0].clamp(-1, 1), rtol=0, atol=1e-4)


def test_guidance_one_is_no_guidance(diffusion: Diffusion, noise: torch.Tensor) -> None:
    one, nearly = (diffusion.sample(LABEL, noise, 4, guidance) for guidance in (1.0, 1 + 1e-6))
    torch.testing.assert_close(one, nearly, rtol=0, atol=1e-4)
    assert (diffusion.sample(LABEL, noise, 4, 3.0) - one).abs().max() > 1e-2


def test_the_same_noise_gives_the_same_sample_whatever_is_beside_it(diffusion: Diffusion, noise: torch.Tensor) -> None:
    together = diffusion.sample(LABEL, noise)
    assert torch.equal(diffusion.sample(LABEL, noise), together)
    for i in range(4):
        alone = diffusion.sample(LABEL[i : i + 1], noise[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)


def test_noise_and_class_both_matter(diffusion: Diffusion, noise: torch.Tensor) -> None:
    sample = diffusion.sample(LABEL, noise)
    assert (diffusion.sample((LABEL + 1) % CLASSES, noise) - sample).abs().amax(dim=(1, 2)).min() > 1e-3
    assert (diffusion.sample(LABEL, -noise) - sample).abs().amax(dim=(1, 2)).min() > 1e-2
    assert sample.abs().max() <= 1


def test_progress_and_the_configured_steps(noise: torch.Tensor, diffusion: Diffusion) -> None:
    told: list[tuple[int, int]] = []
    diffusion.sample(LABEL, noise, on_progress=lambda step, steps, x: told.append((step, steps)))
    assert told == [(i + 1, diffusion.config.steps) for i in range(diffusion.config.steps)]
    assert diffusion.config.steps == config.load("tiny").diffusion.steps


def test_one_example_in_ten_has_no_class_and_nothing_else_drops_it(diffusion: Diffusion, noise: torch.Tensor) -> None:
    """Guidance needs the flow without a class. If every block dropped the class by itself, none would learn it."""
    objective = DiffusionObjective(tiny_model.small(), diffusion, list(tiny_model.LABELS))
    sketch = drawings.draw("star")
    label = [int(objective.example(sketch, np.random.default_rng(i), 0.0)["label"]) for i in range(400)]
    assert set(label) == {tiny_model.LABELS.index("star"), CLASSES}
    assert 20 < label.count(CLASSES) < 65
    time = torch.full((4,), 0.5)
    diffusion.train()
    assert torch.equal(diffusion.flow(noise, time, LABEL), diffusion.flow(noise, time, LABEL))
    diffusion.eval()
    null = diffusion.flow(noise, time, torch.full_like(LABEL, CLASSES))
    assert (diffusion.flow(noise, time, LABEL) - null).abs().amax(dim=(1, 2)).min() > 1e-4
