"""The leaf encoder: what it is shown, slot by slot, and that a leaf's answer depends on that leaf alone."""

import drawings
import pytest
import tiny_model
import torch
import torch.nn.functional as F
from torch import Tensor

from visketch import quadtree
from visketch.decoding import inked_leaves
from visketch.geometry import sdf
from visketch.models.blocks import Conv3x3
from visketch.models.encoder import CACHED, CHUNK, LeafEncoder, _waves, context_index, mixed_index, portions
from visketch.quadtree import Leaves

SHAPE = tiny_model.small().sketch


@pytest.fixture(scope="module")
def encoder() -> LeafEncoder:
    return tiny_model.awake(tiny_model.small(), "encoder")


@pytest.fixture(scope="module")
def canvas() -> Tensor:
    """Four drawings and a blank sheet."""
    drawn = [torch.from_numpy(sdf.render(sketch, SHAPE)) for sketch in drawings.draw_many(4)]
    return torch.stack([*drawn[:2], torch.full_like(drawn[0], -1), *drawn[2:]])


@torch.no_grad()
@pytest.mark.parametrize(("side", "stride"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2), (5, 1), (6, 2)])
@torch.enable_grad()
def test_a_convolution_to_few_places_is_that_of_torch(side: int, stride: int) -> None:
    conv = Conv3x3(3, 5, stride)
    for x in (torch.randn(4, 3, side, side), torch.randn(2, 3, side, side + 1)):
        found, usual = (x.clone().requires_grad_() for _ in range(2))
        own = F.conv2d(usual, conv.weight, stride=stride, padding=1)
        torch.testing.assert_close(conv(found), own)
        conv(found).square().sum().backward()
        given, conv.weight.grad = conv.weight.grad, None
        own.square().sum().backward()
        torch.testing.assert_close(found.grad, usual.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(given, conv.weight.grad, rtol=1e-4, atol=1e-4)
        conv.weight.grad = None


def test_blank_tiles_share_one_pass_and_get_what_their_own_would_give(encoder: LeafEncoder, canvas: Tensor) -> None:
    tiles = quadtree.tiles(canvas, SHAPE.depth)
    assert 0.2 < (tiles.amax(dim=(2, 3)) == -1).float().mean() < 0.8
    seen: list[int] = []
    hook = encoder.stem.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    embedded = encoder.embed_tiles(canvas, SHAPE.depth)
    hook.remove()
    inked = int((tiles.amax(dim=(2, 3)) > -1).sum())
    assert seen == [3 + len(portions(inked, canvas.device)[0])], "one blank tile for each level"
    plain = torch.stack([encoder.stem(own, encoder.level_of(SHAPE.depth, canvas.device)) for own in tiles])
    torch.testing.assert_close(embedded, plain, rtol=0, atol=1e-5)


def test_gradients_reach_the_stem_through_shared_blanks(encoder: LeafEncoder) -> None:
    blank = torch.full((1, 32, 32), -1.0)
    encoder.zero_grad()
    encoder.embed_tiles(blank, 1).sum().backward()
    shared = encoder.stem.out.weight.grad.clone()
    encoder.zero_grad()
    encoder.stem(quadtree.tiles(blank, 1)[0], encoder.level_of(1, blank.device)).sum().backward()
    torch.testing.assert_close(shared, encoder.stem.out.weight.grad, rtol=1e-5, atol=1e-5)
    encoder.zero_grad()


@torch.no_grad()
def test_tiles_go_through_the_stem_in_chunks(
    encoder: LeafEncoder, canvas: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoder.embed_tiles(canvas, SHAPE.depth)
    monkeypatch.setattr("visketch.models.encoder.CACHED", 7)
    torch.testing.assert_close(encoder.embed_tiles(canvas, SHAPE.depth), whole, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("device", "most"), [("cpu", CACHED), ("meta", CHUNK)])  # meta: any device that is not a CPU
def test_portions_cover_all_once_in_few_sizes(device: str, most: int) -> None:
    """The sizes must be few, since long runs keep memory for every size that occurs."""
    sizes = set()
    for count in (*range(1300), 5 * most, 5 * most + 1):
        some = portions(count, torch.device(device))
        sizes |= {len(part) for part in some}
        numbers = torch.cat(some)
        if device == "cpu":
            assert numbers[:count].equal(torch.arange(count))
            assert not numbers[count:].any()
        assert len(numbers) - count < max(8, count / 4)
    assert max(sizes) == most
    assert len(sizes) < 30


def test_of_a_deeper_tree_only_what_leaves_are_shown_is_embedded(encoder: LeafEncoder) -> None:
    """The canvas is eight times as wide, so windows and finer tiles are embedded. A leaf's place is its place in its
    window.
    """
    shape = SHAPE.at(512)
    canvas = torch.from_numpy(sdf.render(drawings.draw("cat"), shape))[None]
    level, coarser = encoder.level_of(5, canvas.device), quadtree.first_tile(5 - 2)
    embedded, blank = encoder.embed_tiles(canvas, 5), encoder.stem(torch.full((1, 16, 16), -1.0), level[:1])
    plain = encoder.stem(quadtree.tiles(canvas, 5)[0], level)
    torch.testing.assert_close(embedded[0, coarser:], plain[coarser:], rtol=0, atol=1e-5)
    torch.testing.assert_close(embedded[0, :coarser], blank.expand(coarser, -1), rtol=0, atol=1e-5)
    leaves = inked_leaves(canvas, SHAPE, 5)
    assert leaves.level.eq(5).all()
    index = context_index(leaves, 5, SHAPE.depth)
    x = tokens(encoder, embedded, leaves, index)
    inside = Leaves(leaves.sketch, torch.full_like(leaves.level, 2), leaves.z % 16)
    shown = x[:, [1, 1 + 9 - 4, 1 + 9 * 2 - 4]].mean(dim=1)
    expected = encoder.cls + shown + encoder.place(_waves(quadtree.place(inside)))
    torch.testing.assert_close(x[:, 0], expected, rtol=0, atol=1e-5)
    assert torch.equal(index[:, 9 * 2 - 4], leaves.tile)


def tokens(encoder: LeafEncoder, *given) -> Tensor:
    """CLS and the slots as they enter the encoder, which is the input of its first norm."""
    seen: list[Tensor] = []
    hook = encoder.norm_in.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder(*given)
    hook.remove()
    return seen[0]


@torch.no_grad()
def test_slots_hold_what_a_slow_loop_puts_there(encoder: LeafEncoder) -> None:
    """There are two canvases one after another, as in refining: tile i of the second is number m + i."""
    m = quadtree.first_tile(3)
    embedded = torch.randn(3, 2 * m, 32)
    leaves = Leaves(torch.tensor([0, 0, 2]), torch.tensor([2, 1, 2]), torch.tensor([0, 3, 9]))
    refined = torch.randint(2, (3, 19)).float()
    index = context_index(leaves, 2)
    index = torch.where((index >= 0) & (refined > 0), index + m, index)
    expected = torch.empty(3, 19, 32)
    for leaf in range(3):
        for slot in range(19):
            tile = int(index[leaf, slot])
            token = encoder.none[0] if tile < 0 else embedded[leaves.sketch[leaf], tile]
            expected[leaf, slot] = token + encoder.slot[slot] + refined[leaf, slot] * encoder.refined
    shown = tokens(encoder, embedded, leaves, index, refined)
    torch.testing.assert_close(shown[:, 1:], expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_cls_starts_as_the_mean_of_the_leafs_own_tile_and_its_ancestors(encoder: LeafEncoder) -> None:
    """Whatever the level of a leaf, these are the slots where its tile and its ancestors are in its context."""
    level = torch.tensor([0] + [1] * 4 + [2] * 16)
    every = Leaves(torch.zeros(21, dtype=torch.long), level, torch.arange(21) - (4**level - 1) // 3)
    index = context_index(every, 2)
    x = tokens(encoder, torch.randn(1, 21, 32), every, index)
    beside = x[:, 0] - encoder.place(_waves(quadtree.place(every))) - encoder.cls
    for leaf in range(21):
        line = [leaf]
        while line[-1]:
            line.append((line[-1] - 1) // 4)
        slots = [1 + index[leaf].tolist().index(tile) for tile in line]
        torch.testing.assert_close(beside[leaf], x[leaf, slots].mean(dim=0), rtol=0, atol=1e-5)


@torch.no_grad()
def test_classifying_is_the_last_frame_of_generating(encoder: LeafEncoder, canvas: Tensor) -> None:
    """Without `refined`, every tile counts as refined."""
    leaves = inked_leaves(canvas, SHAPE, SHAPE.depth)
    embedded, index = encoder.embed(canvas, SHAPE.depth), context_index(leaves, SHAPE.depth)
    every = encoder(embedded, leaves, index, torch.ones(index.shape))
    torch.testing.assert_close(encoder(embedded, leaves, index), every, rtol=0, atol=0)
    assert (encoder(embedded, leaves, index, torch.zeros(index.shape)) - every).abs().max() > 1e-2


@pytest.mark.parametrize("order", ["one-by-one", "waves"])
def test_a_slot_shows_the_refined_tile_once_all_its_leaves_are_drawn(canvas: Tensor, order: quadtree.Order) -> None:
    leaves = inked_leaves(canvas, SHAPE, SHAPE.depth)
    rank = quadtree.ranks(leaves, order)
    finished = quadtree.finished(leaves, rank, len(canvas), SHAPE.depth)
    plain, m = context_index(leaves, SHAPE.depth), quadtree.first_tile(SHAPE.depth + 1)
    index, refined = mixed_index(leaves, rank, finished, SHAPE.depth)
    for leaf in range(len(leaves)):
        for slot, tile in enumerate(plain[leaf].tolist()):
            done = tile >= 0 and finished[leaves.sketch[leaf], tile] < rank[leaf]
            assert index[leaf, slot] == (tile + m if done else tile)
            assert refined[leaf, slot] == float(done)
        assert refined[leaf, 0] == 0, "the root holds the leaf itself, so it is never finished"


@torch.no_grad()
def test_a_leaf_is_the_same_alone_or_packed(encoder: LeafEncoder, canvas: Tensor) -> None:
    leaves = inked_leaves(canvas, SHAPE, SHAPE.depth)
    embedded, index = encoder.embed(canvas, SHAPE.depth), context_index(leaves, SHAPE.depth)
    packed = encoder(embedded, leaves, index)
    for leaf in range(0, len(leaves), 5):
        one = slice(leaf, leaf + 1)
        torch.testing.assert_close(encoder(embedded, leaves[one], index[one]), packed[one], rtol=0, atol=1e-5)
    # The same holds for a sketch whose tiles are embedded alone, and whose leaves are packed alone.
    own = leaves.sketch == 3
    alone = inked_leaves(canvas[3:4], SHAPE, SHAPE.depth)
    assert torch.equal(alone.tile, leaves.tile[own])
    embedded = encoder.embed(canvas[3:4], SHAPE.depth)
    again = encoder(embedded, alone, context_index(alone, SHAPE.depth))
    torch.testing.assert_close(again, packed[own], rtol=0, atol=1e-5)


@torch.no_grad()
def test_cls_alone_is_the_same_cls(encoder: LeafEncoder, canvas: Tensor) -> None:
    """Computing only the first positions saves work and changes nothing in them."""
    leaves = inked_leaves(canvas, SHAPE, SHAPE.depth)
    embedded, index = encoder.embed(canvas, SHAPE.depth), context_index(leaves, SHAPE.depth)
    every = encoder(embedded, leaves, index)
    for first in (1, 3):
        some = encoder(embedded, leaves, index, first=first)
        assert some.shape == (len(leaves), first, 32)
        torch.testing.assert_close(some, every[:, :first], rtol=0, atol=1e-5)


@torch.no_grad()
def test_cls_knows_where_its_leaf_lies(encoder: LeafEncoder) -> None:
    """Two leaves that are shown the same tokens differ by their place."""
    leaves = Leaves(torch.zeros(2, dtype=torch.long), torch.tensor([2, 2]), torch.tensor([3, 12]))
    index = torch.full((2, 19), -1)
    out = encoder(torch.randn(1, 21, 32), leaves, index)
    assert (out[0] - out[1]).abs().max() > 1e-3


@torch.no_grad()
def test_a_shallower_tree_is_fewer_slots(encoder: LeafEncoder, canvas: Tensor) -> None:
    """Training begins with the root alone and then four leaves, with the same encoder and the first slots."""
    for depth in (0, 1):
        small = torch.nn.functional.avg_pool2d(canvas[:, None], 4 >> depth)[:, 0]
        leaves = inked_leaves(small, SHAPE, depth)
        out = encoder(encoder.embed(small, depth), leaves, context_index(leaves, depth))
        assert out.shape == (len(leaves), 1 + 9 * depth + 1, 32)
        assert out.isfinite().all()


@torch.no_grad()
def test_no_leaves_are_no_rows(encoder: LeafEncoder) -> None:
    blank = torch.full((2, 64, 64), -1.0)
    leaves = inked_leaves(blank, SHAPE, SHAPE.depth)
    out = encoder(encoder.embed(blank, SHAPE.depth), leaves, context_index(leaves, SHAPE.depth))
    assert out.shape == (0, 20, 32)
