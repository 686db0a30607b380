"""The VQ-VAE and its own codebook, against the library that trains it."""

import drawings
import pytest
import tiny_model
import torch
from torch import Tensor

from visketch import quadtree
from visketch.geometry import sdf
from visketch.models.vqvae import TrainableVQVAE


def tiles(settings, count: int = 6) -> Tensor:
    shape = settings.sketch
    canvas = torch.stack([torch.from_numpy(sdf.render(sketch, shape)) for sketch in drawings.draw_many(count)])
    every = quadtree.tiles(canvas, shape.depth).flatten(0, 1)
    return every[every.amax(dim=(1, 2)) > -0.5]


@pytest.fixture(scope="module", params=[False, True], ids=["shipped", "plain"])
def trained(request: pytest.FixtureRequest) -> tuple[TrainableVQVAE, Tensor, list[float]]:
    """A few steps on a few drawings. The codebook has been started by k-means, it has moved, and dead codes were
    replaced.
    """
    settings = tiny_model.small(f"vqvae.plain={str(request.param).lower()}")
    torch.manual_seed(0)
    trainable = TrainableVQVAE(tiny_model.awake(settings, "vqvae")).train()
    given = tiles(settings)
    optimizer = torch.optim.AdamW([p for p in trainable.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(12):
        drawn, _, commitment = trainable(given)
        loss = (drawn - given).square().mean() + commitment.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append((drawn - given).square().mean().item())
    return trainable.eval(), given, losses


def test_it_learns(trained) -> None:
    losses = trained[2]
    assert losses[-1] < 0.5 * losses[0]


@torch.no_grad()
def test_the_own_codebook_finds_the_codes_of_the_library(trained) -> None:
    trainable, given, _ = trained
    vqvae = trainable.settle().eval()
    seen = vqvae.latents(given)
    latents = torch.cat([seen, seen + torch.randn_like(seen), 3 * torch.randn_like(seen)])
    quantised, codes, _ = trainable.quantise(latents)
    assert torch.equal(vqvae.codebook.nearest(latents), codes)
    assert torch.equal(vqvae.encode(given), codes[: len(given)])
    assert codes.unique().numel() > 8, "one code would agree with anything"
    torch.testing.assert_close(vqvae.codebook.lookup(codes), quantised, rtol=0, atol=1e-5)


@torch.no_grad()
def test_settled_it_draws_what_it_drew_in_training(trained) -> None:
    trainable, given, _ = trained
    drawn, codes, _ = trainable(given)
    vqvae = trainable.settle().eval()
    torch.testing.assert_close(vqvae.decode(codes), drawn.clamp(-1, 1), rtol=0, atol=1e-5)


@torch.no_grad()
def test_settling_alone_moves_the_codebook(trained) -> None:
    """Until then, the three tensors stay as they were drawn: they are neither trained nor shared with the library."""
    trainable = trained[0]
    codebook = trainable.vqvae.codebook
    assert not any(parameter.requires_grad for parameter in codebook.parameters())
    codebook.codes.zero_()
    trainable.settle()
    assert torch.equal(codebook.codes, trainable.quantise.codebook)


@torch.no_grad()
def test_shapes_and_range() -> None:
    settings = tiny_model.small()
    vqvae, given = tiny_model.awake(settings, "vqvae"), tiles(settings)
    codes = vqvae.encode(given)
    assert codes.shape == (len(given), (settings.sketch.tile // 8) ** 2)
    assert (codes >= 0).all()
    assert (codes < settings.vqvae.codebook_size).all()
    drawn = vqvae.decode(codes)
    assert drawn.shape == given.shape
    assert drawn.abs().max() <= 1
