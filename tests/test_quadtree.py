"""The vectorised quadtree compared with the recursive one of tests/naive_quadtree.py, and with plain loops."""

import drawings
import naive_quadtree
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_quadtree import Place

from visketch import quadtree
from visketch.config import SketchConfig
from visketch.geometry import sdf
from visketch.quadtree import Leaves

NEAR, THRESHOLD = 0.25, 0.004
DEPTHS = range(1, 8)
TILE = {1: 16, 2: 16, 3: 16, 4: 8, 5: 4, 6: 2, 7: 1}  # small tiles at high depth, so that no canvas is wider than 128


def adversaries(depth: int) -> dict[str, np.ndarray]:
    side = TILE[depth] << depth
    canvases = {name: np.full((side, side), -1, np.float32) for name in ("blank", "corner", "centre", "edge")}
    canvases["corner"][0, -1] = 1
    canvases["centre"][side // 2, side // 2] = 1
    canvases["edge"][-1] = 1
    rows, columns = np.indices((side, side))
    canvases["quarter"] = np.where((rows < side // 2) & (columns < side // 2), 1, -1).astype(np.float32)
    canvases["full"] = np.ones((side, side), np.float32)
    canvases["checkerboard"] = np.where((rows + columns) % 2, 1, -1).astype(np.float32)
    canvases["chequered tiles"] = np.where((rows // TILE[depth] + columns // TILE[depth]) % 2, 1, -1).astype(np.float32)
    return canvases


def canvases(depth: int) -> np.ndarray:
    """Drawings and adversarial canvases (b h h) in one batch. There are fewer dense ones where recursion would take
    seconds.
    """
    drawn = [sdf.render(sketch, SketchConfig(), TILE[depth] << depth) for sketch in drawings.draw_many(2)]
    return np.stack([*drawn, *list(adversaries(depth).values())[: None if depth < 6 else 6]])


def split(
    canvas: np.ndarray, depth: int, threshold: float = THRESHOLD, levels: int | None = None
) -> tuple[Leaves, torch.Tensor]:
    return quadtree.split(quadtree.information(torch.from_numpy(canvas), depth, NEAR), threshold, levels)


def places(leaves: Leaves) -> list[Place]:
    """The level, row and column of packed leaves, from `place` alone."""
    row, column, side = quadtree.place(leaves).double().T
    whole = torch.stack([leaves.level.double(), row / side - 0.5, column / side - 0.5], dim=1)
    assert torch.equal(whole, whole.round())
    return [tuple(place) for place in whole.long().tolist()]


def check_against_recursion(canvas: np.ndarray, depth: int, threshold: float, levels: int | None = None) -> None:
    leaves, inked = split(canvas, depth, threshold, levels)
    shown = depth if levels is None else levels
    trees = [naive_quadtree.grow(one, depth, NEAR, threshold, shown) for one in canvas]
    expected = [(sketch, leaf) for sketch, tree in enumerate(trees) for leaf in naive_quadtree.leaves(tree)]
    assert leaves.sketch.tolist() == [sketch for sketch, _ in expected]
    assert leaves.level.tolist() == [leaf.level for _, leaf in expected]
    assert leaves.z.tolist() == [naive_quadtree.z(leaf.place) for _, leaf in expected]
    assert leaves.tile.tolist() == [naive_quadtree.number(leaf.place) for _, leaf in expected]
    assert inked.tolist() == [leaf.rich for _, leaf in expected]
    assert places(leaves) == [leaf.place for _, leaf in expected]
    # The context as the batch gets it, by one gather from the table. A few leaves of every sketch are enough.
    table = quadtree.context(depth, levels)[leaves.tile].tolist()
    for i in range(0, len(expected), 1 + len(expected) // 200):
        slots = naive_quadtree.context(expected[i][1], shown)
        assert table[i] == [-1 if slot is None else naive_quadtree.number(slot) for slot in slots]


@pytest.mark.parametrize("depth", DEPTHS)
def test_it_splits_as_the_recursive_one(depth: int) -> None:
    check_against_recursion(canvases(depth), depth, THRESHOLD)


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("depth", range(3, 8))
def test_so_it_does_with_windows(depth: int, levels: int) -> None:
    check_against_recursion(canvases(depth), depth, THRESHOLD, levels)


def test_a_small_drawing_on_a_large_canvas_is_found_by_its_window() -> None:
    """The drawing's share of the whole is below the threshold. Its share of its window is what it would be on a small
    canvas.
    """
    alone = canvases(2)[:1]
    large = np.full((1, 512, 512), -1, np.float32)
    large[:, 320:384, 128:192] = alone
    inked = [leaves[rich] for leaves, rich in (split(alone, 2, 0.05), split(large, 5, 0.05, levels=2))]
    inside = quadtree.within_window(inked[1], 2)
    assert len(inked[0]) > 4
    assert torch.equal(inside.tile, inked[0].tile)
    assert torch.equal(quadtree.place(inside), quadtree.place(inked[0]))
    offset = torch.tensor([320 / 512, 128 / 512, 0])
    torch.testing.assert_close(quadtree.place(inked[1]), quadtree.place(inside) / 8 + offset, rtol=0, atol=0)
    assert not split(large, 5, 0.05)[1][1:].any(), "and without windows it is lost"


@given(data=st.data(), depth=st.integers(1, 5), threshold=st.sampled_from([0.0, 1 / 256, 0.004, 1 / 16, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_so_it_does_on_any_canvas(data: st.DataObject, depth: int, threshold: float) -> None:
    """Canvases are sparse, because a canvas of noise is rich everywhere. Dyadic thresholds are met exactly, so "more"
    is strict.
    """
    side = 2 << depth
    pixel = st.tuples(st.integers(0, 1), st.integers(0, side - 1), st.integers(0, side - 1))
    ink = data.draw(st.lists(pixel, max_size=40))
    canvas = np.full((2, side, side), -NEAR, np.float32)  # at -near itself there is no information
    for sketch, row, column in ink:
        canvas[sketch, row, column] = 0
    check_against_recursion(canvas, depth, threshold)


@pytest.mark.parametrize("depth", DEPTHS)
def test_leaves_cover_every_canvas_exactly_once(depth: int) -> None:
    canvas = canvases(depth)
    leaves, _ = split(canvas, depth)
    covered = np.zeros(canvas.shape, int)
    for sketch, place in zip(leaves.sketch.tolist(), places(leaves), strict=True):
        covered[sketch][naive_quadtree.square(place, canvas.shape[-1])] += 1
    assert (covered == 1).all()


def test_what_the_adversaries_give() -> None:
    """This shows that the comparison above meets shallow leaves, deep leaves, and canvases without inked leaves."""
    count = {}
    for name, canvas in adversaries(3).items():
        leaves, inked = split(canvas[None], 3, threshold=0.0)
        count[name] = len(leaves), int(inked.sum())
    assert count == {
        "blank": (1, 0),
        "corner": (10, 1),
        "centre": (10, 1),
        "edge": (22, 8),
        "quarter": (19, 16),
        "full": (64, 64),
        "checkerboard": (64, 64),
        "chequered tiles": (64, 32),
    }


@pytest.mark.parametrize("depth", DEPTHS)
def test_tiles_are_the_squares_of_the_canvas_shrunk(depth: int) -> None:
    canvas, tile = canvases(depth)[:3], TILE[depth]
    tiles = quadtree.tiles(torch.from_numpy(canvas), depth).numpy()
    assert tiles.shape == (3, (4 ** (depth + 1) - 1) // 3, tile, tile)
    every = list(naive_quadtree.all_places(depth))
    for place in every[:: 1 + len(every) // 500]:
        scale = 2 ** (depth - place[0])
        piece = canvas[(slice(None), *naive_quadtree.square(place, canvas.shape[-1]))]
        shrunk = piece.reshape(3, tile, scale, tile, scale).mean(axis=(2, 4), dtype=np.float64)
        np.testing.assert_allclose(tiles[:, naive_quadtree.number(place)], shrunk, atol=1e-6)


@pytest.mark.parametrize("depth", DEPTHS)
def test_look_gives_some_of_the_tiles_and_inked_says_which_are_not_blank(depth: int) -> None:
    canvas = torch.from_numpy(canvases(depth)[:5])
    tiles, inked = quadtree.tiles(canvas, depth), quadtree.inked(canvas, depth)
    assert torch.equal(inked, tiles.amax(dim=(2, 3)) > -1)
    some = inked & (torch.rand(inked.shape) < 0.5)
    torch.testing.assert_close(quadtree.look(canvas, depth, *some.nonzero(as_tuple=True)), tiles[some])
    none = torch.zeros(0, dtype=torch.long)
    assert quadtree.look(canvas, depth, none, none).shape == (0, TILE[depth], TILE[depth])


@pytest.mark.parametrize("level", range(8))
def test_cut_follows_the_z_curve_and_join_undoes_it(level: int) -> None:
    canvas = torch.randn(2, 1 << max(level, 4), 1 << max(level, 4))
    squares = quadtree.cut(canvas, level)
    every = [place for place in naive_quadtree.all_places(level) if place[0] == level]
    assert squares.shape[1] == len(every)
    for place in every[:: 1 + len(every) // 300]:
        rows, columns = naive_quadtree.square(place, canvas.shape[-1])
        assert torch.equal(squares[:, naive_quadtree.z(place)], canvas[:, rows, columns])
    assert torch.equal(quadtree.join(squares), canvas)


@pytest.mark.parametrize("depth", DEPTHS)
def test_information_is_the_share_of_each_tile_near_ink(depth: int) -> None:
    canvas = canvases(depth)
    share = quadtree.information(torch.from_numpy(canvas), depth, NEAR).numpy()
    every = list(naive_quadtree.all_places(depth))
    for place in every[:: 1 + len(every) // 500]:
        piece = canvas[(slice(None), *naive_quadtree.square(place, canvas.shape[-1]))]
        np.testing.assert_array_equal(share[:, naive_quadtree.number(place)], (piece > -NEAR).mean(axis=(1, 2)))


@pytest.mark.parametrize("depth", DEPTHS)
def test_context_is_the_neighbourhood_of_every_ancestor(depth: int) -> None:
    """Every tile of the table is checked, whether or not a sketch has it; or a share of the tiles if there are many."""
    table = quadtree.context(depth)
    assert table.shape == ((4 ** (depth + 1) - 1) // 3, 9 * depth + 1)
    full = naive_quadtree.grow(np.ones((2**depth, 2**depth)), depth, NEAR, 0.0, depth)
    nodes = [full]
    for node in nodes:
        nodes.extend(node.children)
    assert len(nodes) == len(table)
    for node in nodes[:: 1 + len(nodes) // 600]:
        slots = naive_quadtree.context(node, depth)
        expected = [-1 if slot is None else naive_quadtree.number(slot) for slot in slots]
        assert table[naive_quadtree.number(node.place)].tolist() == expected


@pytest.mark.parametrize("depth", DEPTHS)
def test_inner_slots_are_the_nearest_levels_and_the_root_comes_last(depth: int) -> None:
    leaf = quadtree.context(depth)[-1].tolist()  # in the corner: its own tile and three around it, at every level
    own = len(quadtree.context(depth)) - 1
    for levels in range(depth + 2):
        shown = [tile for tile in leaf[quadtree.inner(depth, levels)] if tile >= 0]
        if levels == 0:
            assert shown == [own]
        else:
            outermost = quadtree.first_tile(max(depth - levels + 1, 0))
            assert shown == [tile for tile in leaf if tile >= outermost or (levels >= depth and tile == 0)]


def test_context_at_the_border_and_below_the_tile() -> None:
    """Worked out by hand, at depth 2. Level 1 has tiles 1 2 / 3 4, and level 2 begins 5 6 9 10 / 7 8 11 12."""
    table = quadtree.context(2).tolist()
    none = [-1] * 9
    assert table[0] == [0, *none, *none]
    assert table[4] == [0, 1, 2, -1, 3, 4, -1, -1, -1, -1, *none]
    assert table[5] == [0, -1, -1, -1, -1, 1, 2, -1, 3, 4, -1, -1, -1, -1, 5, 6, -1, 7, 8]
    assert table[8] == [0, -1, -1, -1, -1, 1, 2, -1, 3, 4, 5, 6, 9, 7, 8, 11, 13, 14, 17]


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_window_is_to_its_leaves_what_the_canvas_is(depth: int, levels: int) -> None:
    """Leaves find the tiles of their window where the leaves of a tree of that depth find those of the canvas. They
    also see tiles beyond the border.
    """
    table = quadtree.context(depth, levels)
    if depth <= levels:
        assert torch.equal(table, quadtree.context(depth))
        return
    finest, last = torch.arange(4**depth), 4**levels
    window = finest // last
    here = torch.arange(quadtree.first_tile(levels + 1))  # a tile of the canvas ...
    level = torch.tensor([place[0] for place in naive_quadtree.all_places(levels)]).sort().values
    deeper = level + depth - levels
    first = (4**deeper - 1) // 3 + window[:, None] * 4**level - (4**level - 1) // 3  # ... in each window
    alone = quadtree.context(levels)[quadtree.first_tile(levels) + finest % last]
    expected = torch.where(alone < 0, -1, (first + here).gather(1, alone.clamp(min=0)))
    shown = table[quadtree.first_tile(depth) + finest]
    assert torch.equal(torch.where(alone < 0, -1, shown), expected)
    assert (shown >= 0).sum() > (alone >= 0).sum()


@pytest.mark.parametrize("depth", DEPTHS)
def test_ranks_one_by_one_count_the_leaves_of_each_sketch(depth: int) -> None:
    leaves, _ = split(canvases(depth), depth)
    expected = [i for sketch in leaves.sketch.unique() for i in range(int((leaves.sketch == sketch).sum()))]
    assert quadtree.ranks(leaves, "one-by-one").tolist() == expected


@pytest.mark.parametrize("depth", DEPTHS)
def test_leaves_of_a_wave_are_never_neighbours_and_waves_are_few(depth: int) -> None:
    canvas = canvases(depth)
    leaves, _ = split(canvas, depth)
    waves = quadtree.ranks(leaves, "waves")
    turns: dict[tuple[int, int], list[Place]] = {}
    for sketch, wave, place in zip(leaves.sketch.tolist(), waves.tolist(), places(leaves), strict=True):
        turns.setdefault((sketch, wave), []).append(place)
    for sketch in range(len(canvas)):
        assert len([turn for turn in turns if turn[0] == sketch]) <= 4 * depth + 1
    for together in turns.values():
        seen = np.zeros((2**depth + 2, 2**depth + 2), bool)
        for place in together:
            rows, columns = naive_quadtree.square(place, 2**depth)
            assert not seen[rows.start : rows.stop + 2, columns.start : columns.stop + 2].any()
            seen[rows.start + 1 : rows.stop + 1, columns.start + 1 : columns.stop + 1] = True


def test_coarser_leaves_come_in_earlier_waves() -> None:
    leaves, _ = split(canvases(3), 3)
    waves = quadtree.ranks(leaves, "waves")
    for level in range(3):
        if (leaves.level == level).any() and (leaves.level > level).any():
            assert waves[leaves.level == level].max() < waves[leaves.level > level].min()


@pytest.mark.parametrize("only_inked", [False, True])
@pytest.mark.parametrize("order", ["one-by-one", "waves"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_finished_is_the_last_leaf_that_touches_a_tile(depth: int, order: quadtree.Order, only_inked: bool) -> None:
    canvas = canvases(depth)[[0, 2, 3, 6]]  # a drawing, blank, a corner, a quarter
    leaves, inked = split(canvas, depth)
    leaves = leaves[inked] if only_inked else leaves
    rank = quadtree.ranks(leaves, order)
    finished = quadtree.finished(leaves, rank, len(canvas), depth)
    for sketch in range(len(canvas)):
        own = leaves.sketch == sketch
        expected = naive_quadtree.finished(dict(zip(places(leaves[own]), rank[own].tolist(), strict=True)), depth)
        assert all(finished[sketch, naive_quadtree.number(place)] == last for place, last in expected.items())


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_paint_puts_each_patch_on_its_square(depth: int) -> None:
    tile = 4
    ink = np.full((4, tile << depth, tile << depth), -1, np.float32)
    ink[1, 0, 0] = ink[2, -1, 5] = 1
    ink[3] = 1
    leaves, _ = split(ink, depth, threshold=0.0)
    leaves = leaves[torch.arange(len(leaves)) % 5 != 3]  # some squares keep what was there
    assert set(leaves.level.tolist()) == set(range(depth + 1))
    patches = torch.randn(len(leaves), tile, tile)
    canvas = torch.randn(ink.shape)
    expected = canvas.numpy().astype(np.float64)
    for sketch, place, patch in zip(leaves.sketch, places(leaves), patches.double().numpy(), strict=True):
        expected[sketch][naive_quadtree.square(place, ink.shape[-1])] = naive_quadtree.enlarge(
            patch, 2 ** (depth - place[0])
        )
    before = canvas.clone()
    np.testing.assert_allclose(quadtree.paint(canvas, leaves, patches).numpy(), expected, atol=1e-5)
    assert torch.equal(canvas, before), "the given canvas must stay as it is"
    quadtree.paint_over(canvas, leaves, patches)
    np.testing.assert_allclose(canvas.numpy(), expected, atol=1e-5)


def test_painting_the_tiles_of_a_canvas_gives_the_canvas_back() -> None:
    canvas = torch.from_numpy(np.stack([sdf.render(sketch, SketchConfig()) for sketch in drawings.draw_many(3)]))
    leaves, inked = quadtree.split(quadtree.information(canvas, 2, NEAR), 0.0)
    leaves = leaves[inked]
    patches = quadtree.tiles(canvas, 2)[leaves.sketch, leaves.tile]
    painted = quadtree.paint(torch.full_like(canvas, -1), leaves, patches)
    assert torch.equal(painted > -NEAR, canvas > -NEAR)


def test_pad_gives_each_sketch_a_row() -> None:
    leaves, inked = split(canvases(3), 3)
    leaves = leaves[inked]
    sketches = len(canvases(3)) + 1  # one more than the leaves belong to
    values = torch.randn(len(leaves), 5)
    padded, present = quadtree.pad(values, leaves, sketches)
    counts = [int((leaves.sketch == sketch).sum()) for sketch in range(sketches)]
    assert 0 in counts[:-1], "a sketch without leaves must be among them, not only at the end"
    assert padded.shape == (sketches, max(counts), 5)
    for sketch, count in enumerate(counts):
        assert torch.equal(padded[sketch, :count], values[leaves.sketch == sketch])
        assert padded[sketch, count:].eq(0).all()
        assert present[sketch].tolist() == [i < count for i in range(max(counts))]


def test_pad_of_no_leaves_at_all_is_padding() -> None:
    none = torch.zeros(0, dtype=torch.long)
    padded, present = quadtree.pad(torch.zeros(0, 5), Leaves(none, none, none), 3)
    assert padded.shape == (3, 1, 5)
    assert not present.any()
    assert quadtree.place(Leaves(none, none, none)).shape == (0, 3)


def test_place_is_the_centre_and_the_side() -> None:
    every = list(naive_quadtree.all_places(4))
    level = torch.tensor([place[0] for place in every])
    z = torch.tensor([naive_quadtree.z(place) for place in every])
    got = quadtree.place(Leaves(torch.zeros_like(z), level, z))
    expected = [((row + 0.5) / 2**level, (column + 0.5) / 2**level, 1 / 2**level) for level, row, column in every]
    assert torch.equal(got, torch.tensor(expected))


def test_depth_and_tiles_say_the_same() -> None:
    for depth in range(9):
        tiles = sum(4**level for level in range(depth + 1))
        assert quadtree.first_tile(depth + 1) == tiles
        assert quadtree.depth_of_tiles(tiles) == depth
