"""One learning rate for two optimisers. Each updates the parameters that it is meant for, as torch's own would."""

import pytest
import torch
from torch import nn

from visketch.configs.training import PartTraining
from visketch.models.blocks import channels_last
from visketch.training.muon import Muon
from visketch.training.optimizer import Optimizer, as_matrix


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    convolutions = channels_last(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten()))
    return nn.Sequential(convolutions, nn.Linear(6 * 4 * 4, 5), nn.LayerNorm(5))


def backward(module: nn.Module, seed: int) -> None:
    picture = torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    (module(picture) * torch.arange(5)).square().mean().backward()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_matrix_is_a_view_with_a_row_for_each_output(layout: torch.memory_format) -> None:
    weight = torch.randn(8, 3, 5, 5).to(memory_format=layout)
    matrix = as_matrix(weight)
    assert matrix.shape == (8, 75)
    matrix[2] = 7
    assert (weight[2] == 7).all()
    assert not (weight[1] == 7).any()


def test_updates_of_matrices_are_orthogonal_and_of_the_size_of_adamws() -> None:
    """Singular values are near 0.2 sqrt(longer side), however small the gradient. (Muon's iteration is not exact.)"""
    module, lr = net(), 1e-3
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimizer = Optimizer(module, PartTraining(weight_decay=0.0))
    backward(module, 1)
    ranks = {name: torch.linalg.matrix_rank(as_matrix(p.grad)) for name, p in module.named_parameters() if p.ndim > 1}
    assert list(ranks.values()) == [8, 6, 4], "before a layer norm, one direction of a linear layer changes nothing"
    optimizer.step(lr)
    for name, parameter in module.named_parameters():
        step = before[name] - parameter.detach()
        assert parameter.grad is None
        if parameter.ndim > 1:
            values = torch.linalg.svdvals(as_matrix(step))[: ranks[name]] / lr
            assert (values / (0.2 * max(as_matrix(step).shape) ** 0.5)).sub(1).abs().max() < 0.7, name
        else:
            moved = step[step.abs() > 0]  # AdamW's first step is lr up or down
            assert torch.allclose(moved.abs(), torch.full_like(moved, lr), rtol=1e-3), name


def test_the_memory_layout_of_convolutions_does_not_matter() -> None:
    """Otherwise the columns of a weight and of its gradient would be mixed up, and the update would be orthogonal but
    wrong.
    """
    last, first = net(), net().to(memory_format=torch.contiguous_format)
    assert [p.stride() for p in last.parameters()] != [p.stride() for p in first.parameters()]
    for module in (last, first):
        optimizer = Optimizer(module, PartTraining())
        backward(module, 1)
        optimizer.step(1e-2)
    for one, other in zip(last.parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


@pytest.mark.parametrize("able", [True, False])
def test_muon_is_that_of_torch_in_either_precision(able: bool, monkeypatch) -> None:
    monkeypatch.setattr("visketch.training.muon.multiplies_bfloat16", lambda: able)
    begin = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    ours, theirs = nn.Parameter(begin.clone()), nn.Parameter(begin.clone())
    muon = Muon([ours], weight_decay=0.1)
    expected = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        ours.grad = theirs.grad = torch.randn(12, 30, generator=torch.Generator().manual_seed(seed + 1))
        muon.param_groups[0]["lr"] = 0.1
        muon.step()
        expected.step()
    assert (ours - begin).abs().mean() > 0.03
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-3 if able else 2e-2)


def test_without_muon_it_is_adamw() -> None:
    ours, theirs = net(), net()
    settings = PartTraining(muon=False, weight_decay=0.1)
    optimizer = Optimizer(ours, settings)
    decayed, kept = ([p for p in theirs.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.98)
    )
    for seed in range(3):
        for module in (ours, theirs):
            backward(module, seed)
        optimizer.step(1e-2)
        adamw.step()
        adamw.zero_grad()
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, yours)


def test_it_goes_on_from_its_state_as_if_never_interrupted() -> None:
    straight, first, second = net(), net(), net()
    always, begun = (Optimizer(module, PartTraining()) for module in (straight, first))
    for seed in range(4):
        backward(straight, seed)
        always.step(1e-2)
    for seed in range(2):
        backward(first, seed)
        begun.step(1e-2)
    second.load_state_dict(first.state_dict())
    resumed = Optimizer(second, PartTraining())
    resumed.restore({name: value.clone() for name, value in begun.state().items()})
    for seed in range(2, 4):
        backward(second, seed)
        resumed.step(1e-2)
    for mine, yours in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, yours)
