"""The stem: one network for all levels. Its tokens stand where their tiles stand, and see beyond them."""

import drawings
import pytest
import tiny_model
import torch
from torch import Tensor

from visketch import quadtree
from visketch.geometry import sdf
from visketch.models.encoder import LeafEncoder, _along_z
from visketch.models.stem import Stem

SETTINGS = tiny_model.small()
SHAPE = SETTINGS.sketch


@pytest.fixture(scope="module")
def encoder() -> LeafEncoder:
    return tiny_model.awake(SETTINGS, "encoder")


@pytest.fixture(scope="module")
def canvas() -> Tensor:
    return torch.stack([torch.from_numpy(sdf.render(sketch, SHAPE)) for sketch in drawings.draw_many(3)])


def test_a_token_a_tile_of_any_side() -> None:
    for tile in (8, 16, 24, 32, 40):
        stem = Stem(tile, 4, 6, levels=3).eval()
        assert stem.pictures(torch.randn(2, 2 * tile, 4 * tile), 1).shape == (2, 2, 4, 6)


@torch.no_grad()
def test_tokens_stand_where_their_tiles_stand(encoder: LeafEncoder, canvas: Tensor) -> None:
    """They are compared with a slow loop over the rows and columns of every level's picture."""
    embedded = encoder.embed(canvas, 2)
    for level in range(3):
        picture = torch.nn.functional.avg_pool2d(canvas[:, None], 2 ** (2 - level))[:, 0]
        seen = encoder.stem.pictures(picture, level)
        for z in range(4**level):
            y = sum((z >> 2 * i + 1 & 1) << i for i in range(level))
            x = sum((z >> 2 * i & 1) << i for i in range(level))
            tile = quadtree.first_tile(level) + z
            torch.testing.assert_close(embedded[:, tile], seen[:, y, x], rtol=0, atol=1e-5)


@torch.no_grad()
def test_classifying_sees_beyond_a_tiles_border_and_refining_does_not(encoder: LeafEncoder, canvas: Tensor) -> None:
    changed = canvas.clone()
    changed[:, :, 16:20] = 1  # just right of the first column of tiles
    beside = [0, 2, 8, 10]  # that column of the finest level, along the Z-curve
    first = quadtree.first_tile(2)
    for embed, sees in ((encoder.embed, True), (encoder.embed_tiles, False)):
        before, after = (embed(picture, 2)[:, first:][:, beside] for picture in (canvas, changed))
        assert bool((before - after).abs().amax() > 1e-4) == sees


@torch.no_grad()
def test_a_tile_by_itself_is_a_picture_of_its_level(encoder: LeafEncoder, canvas: Tensor) -> None:
    level = torch.tensor([0] + [1] * 4 + [2] * 16)
    alone = torch.stack([encoder.stem(tiles, level) for tiles in quadtree.tiles(canvas, 2)])
    torch.testing.assert_close(encoder.embed_tiles(canvas, 2), alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder.embed(canvas, 2)[:, 0], alone[:, 0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_deeper_trees_windows_are_read_as_the_canvas_was(encoder: LeafEncoder) -> None:
    """The canvas is four times as wide, and levels count from the window."""
    canvas = torch.from_numpy(sdf.render(drawings.draw("cat"), SHAPE.at(256)))[None]
    embedded = encoder.embed(canvas, 4)
    window = quadtree.first_tile(2)
    assert not embedded[:, :window].any(), "what is coarser than a window is shown to no leaf"
    picture = torch.nn.functional.avg_pool2d(canvas[:, None], 4)[:, 0]
    expected = _along_z(encoder.stem.pictures(picture, 0), 2)
    torch.testing.assert_close(embedded[:, window : window + 16], expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_batch_in_parts_is_the_same(encoder: LeafEncoder, canvas: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoder.embed(canvas, 2)
    monkeypatch.setattr("visketch.models.encoder.PIXELS", 64 * 64)
    torch.testing.assert_close(encoder.embed(canvas, 2), whole, rtol=0, atol=1e-5)


def test_every_level_has_its_own_norms_and_the_weights_are_shared(encoder: LeafEncoder, canvas: Tensor) -> None:
    encoder.zero_grad()
    encoder.stem.pictures(canvas, 1).sum().backward()
    names = {name for name, weight in encoder.stem.named_parameters() if weight.grad is not None}
    assert all((".norms." not in name) or (".norms.1." in name) for name in names)
    assert {name for name, _ in encoder.stem.named_parameters() if ".norms." not in name} <= names
    encoder.zero_grad()
