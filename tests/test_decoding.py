"""Training shows every leaf exactly what drawing will show it. One parallel pass is compared with the rank-by-rank
loop.
"""

from dataclasses import dataclass, replace

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from torch import Tensor

from visketch import quadtree
from visketch.config import Config
from visketch.decoding import Plan, draw, enlarge, shown, without_seams
from visketch.geometry import sdf

CONFIG = tiny_model.small()
CODES = (CONFIG.sketch.tile // 8) ** 2
LABEL = torch.tensor([0, 1, 2, 0, 1])


def coarse(config: Config = CONFIG) -> Tensor:
    """Five coarse canvases: drawings, and between them a blank one and one with a single dot."""
    shape = config.sketch
    root = [quadtree.tiles(torch.from_numpy(sdf.render(sketch, shape))[None], shape.depth)[:, 0] for sketch in SKETCHES]
    blank, dot = torch.full_like(root[0], -1), torch.full_like(root[0], -1)
    dot[:, 5:8, 9:12] = 0.3
    return enlarge(torch.cat([root[0], blank, root[1], dot, root[2]]), shape.canvas)


SKETCHES = [drawings.draw("cat"), drawings.draw("stairs"), drawings.draw("fish")]
SLOTS = {0: 1, 1: 9, 2: 19}  # the slots that each number of levels of context has
ORDERS = {"one-by-one": [False] * 5, "waves": [True] * 5, "mixed": [False, True, True, True, False]}


def plan(order: str, every_leaf: bool, context: int = 2) -> Plan:
    """A plan. With `every_leaf`, it also has the blank leaves of all levels, so that shallow leaves are painted too."""
    waves = torch.tensor(ORDERS[order])
    made = Plan.make(coarse(), CONFIG.sketch, waves, context)
    if not every_leaf:
        return made
    leaves, _ = quadtree.split(quadtree.information(coarse(), 2, near=0.25), CONFIG.sketch.information)
    rank = torch.where(waves[leaves.sketch], quadtree.ranks(leaves, "waves"), quadtree.ranks(leaves, "one-by-one"))
    return Plan(coarse(), leaves, rank, quadtree.finished(leaves, rank, 5, 2), 2, quadtree.inner(2, context))


@dataclass
class Drawn:
    """Everything that drawing with given codes showed and predicted, leaf by leaf."""

    plan: Plan
    teacher: Tensor  # (n t) codes
    memory: Tensor  # (n 1+k e)
    logits: Tensor  # (n t v)
    canvases: list[Tensor]
    codes: list[Tensor]


class Parts:
    vqvae, encoder, refiner = (tiny_model.awake(CONFIG, name) for name in ("vqvae", "encoder", "refiner"))


def record(plan: Plan, label: Tensor = LABEL) -> Drawn:
    n, e, v = len(plan.leaves), CONFIG.encoder.width, CONFIG.vqvae.codebook_size
    teacher = torch.randint(v, (n, CODES), generator=torch.Generator().manual_seed(1))
    memory, logits = torch.full((n, 1 + len(range(19)[plan.kept]), e), torch.nan), torch.full((n, CODES, v), torch.nan)
    seen: list[Tensor] = []

    def choose(turn: Tensor, given: Tensor, place: int) -> Tensor:
        if place == 0:
            memory[turn] = seen[-1]
        logits[turn, place] = given
        return teacher[turn, place]

    hook = Parts.encoder.register_forward_hook(lambda module, inputs, output: seen.append(output))
    steps = [
        (canvas.clone(), codes.clone())
        for canvas, codes in draw(plan, Parts.vqvae, Parts.encoder, Parts.refiner, label, choose)
    ]
    hook.remove()
    return Drawn(plan, teacher, memory, logits, [canvas for canvas, _ in steps], [codes for _, codes in steps])


@pytest.mark.parametrize("context", SLOTS)
@pytest.mark.parametrize("every_leaf", [False, True], ids=["inked leaves", "every leaf"])
@pytest.mark.parametrize("order", ORDERS)
@torch.no_grad()
def test_one_pass_shows_each_leaf_what_drawing_shows_it(order: str, every_leaf: bool, context: int) -> None:
    drawn = record(plan(order, every_leaf, context))
    leaves, finished_canvas = drawn.plan.leaves, drawn.canvases[-1]
    every = torch.ones(len(leaves), dtype=torch.bool)
    memory = shown(Parts.encoder, drawn.plan, finished_canvas, every)
    torch.testing.assert_close(memory, drawn.memory, rtol=0, atol=1e-5)
    latents = Parts.vqvae.latents(drawn.plan.own_tiles(every))
    logits = Parts.refiner(drawn.teacher, memory, LABEL[leaves.sketch], latents)
    torch.testing.assert_close(logits, drawn.logits, rtol=0, atol=1e-5)
    # To show that the comparison means something: on the coarse canvas, as if nothing were refined yet, the memory
    # differs.
    unrefined = shown(Parts.encoder, drawn.plan, drawn.plan.coarse, every)
    changed = (unrefined - memory).abs().amax(dim=(1, 2)).gt(1e-3).float().mean()
    assert changed > 0.5 if context else changed == 0, "a leaf's own tile is refined by nobody before it"


@pytest.mark.parametrize("context", SLOTS)
@torch.no_grad()
def test_nothing_beyond_its_context_changes_what_the_refiner_says_of_a_leaf(context: int) -> None:
    made = plan("mixed", every_leaf=False, context=context)
    noise = torch.rand_like(made.coarse) * 2 - 1
    reach = 16 * context  # one level: the leaves around it; both: everything, since at 64 pixels the root is shown

    def said(made: Plan, refined: Tensor, which: Tensor) -> Tensor:
        leaf = made.leaves[which]
        latents = Parts.vqvae.latents(made.own_tiles(which))
        codes = torch.zeros(len(leaf), CODES, dtype=torch.long)
        return Parts.refiner(codes, shown(Parts.encoder, made, refined, which), LABEL[leaf.sketch], latents)

    for number in range(0, len(made.leaves), 5):
        which = torch.arange(len(made.leaves)) == number
        y, x, _ = (64 * quadtree.place(made.leaves)[number]).long().tolist()
        beyond = torch.ones(64, 64, dtype=torch.bool)
        beyond[max(0, y - 8 - reach) : y + 8 + reach, max(0, x - 8 - reach) : x + 8 + reach] = False
        other = replace(made, coarse=torch.where(beyond, noise, made.coarse))
        difference = (said(other, noise.where(beyond, made.coarse), which) - said(made, made.coarse, which)).abs().max()
        assert difference < 1e-5 if context < 2 else difference > 1e-3 or not beyond.any()


@pytest.mark.parametrize("order", ORDERS)
@torch.no_grad()
def test_so_it_does_on_a_larger_canvas(order: str) -> None:
    """The tree is two levels deeper than in training, and leaves see windows."""
    fields = [torch.from_numpy(sdf.render(sketch, CONFIG.sketch.at(256))) for sketch in SKETCHES]
    blurred = torch.nn.functional.avg_pool2d(torch.stack([*fields, *fields[:2]])[:, None], 4)[:, 0]
    drawn = record(Plan.make(enlarge(blurred, 256), CONFIG.sketch, torch.tensor(ORDERS[order])))
    assert drawn.plan.depth == 4
    every = torch.ones(len(drawn.plan.leaves), dtype=torch.bool)
    memory = shown(Parts.encoder, drawn.plan, drawn.canvases[-1], every)
    torch.testing.assert_close(memory, drawn.memory, rtol=0, atol=1e-5)


@torch.no_grad()
def test_leaves_of_a_rank_are_drawn_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record(plan("waves", every_leaf=True))
    monkeypatch.setattr("visketch.decoding.CHUNK", 3)
    parts = record(plan("waves", every_leaf=True))
    torch.testing.assert_close(parts.memory, whole.memory, rtol=0, atol=1e-5)
    torch.testing.assert_close(parts.logits, whole.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(parts.canvases[-1], whole.canvases[-1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_share_of_the_leaves_is_shown_the_same_as_all_of_them() -> None:
    made = plan("mixed", every_leaf=True)
    refined = torch.randn_like(made.coarse).clamp(-1, 1)
    which = torch.arange(len(made.leaves)) % 3 == 1
    every = shown(Parts.encoder, made, refined, torch.ones_like(which))
    torch.testing.assert_close(shown(Parts.encoder, made, refined, which), every[which], rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
@torch.no_grad()
def test_the_canvas_is_painted_with_the_codes_and_nothing_else(order: str) -> None:
    drawn = record(plan(order, every_leaf=True))
    painted = quadtree.paint(drawn.plan.coarse, drawn.plan.leaves, Parts.vqvae.decode(drawn.teacher))
    torch.testing.assert_close(drawn.canvases[-1], painted, rtol=0, atol=1e-5)
    assert torch.equal(drawn.codes[-1], drawn.teacher)


@pytest.mark.parametrize("order", ORDERS)
def test_each_step_writes_the_leaves_of_one_rank(order: str) -> None:
    drawn = record(plan(order, every_leaf=True))
    ranks = drawn.plan.rank.unique().tolist()
    assert len(drawn.codes) == len(ranks)
    for rank, codes in zip(ranks, drawn.codes, strict=True):
        written = drawn.plan.rank <= rank
        assert torch.equal(codes[written], drawn.teacher[written])
        assert codes[~written].eq(-1).all()
    if order == "waves":
        assert len(ranks) <= 4 * 2 + 1


def test_only_inked_leaves_are_planned() -> None:
    made = plan("waves", every_leaf=False)
    assert made.leaves.sketch.unique().tolist() == [0, 2, 3, 4], "all but the blank one"
    tiles = made.own_tiles(torch.arange(len(made.leaves)))
    assert (tiles.amax(dim=(1, 2)) > -0.5).all()


def test_the_label_never_reaches_the_encoder() -> None:
    """Otherwise classifying from the shared encoder would leak the label. The refiner does see it."""
    made = plan("mixed", every_leaf=False)
    one, other = record(made, LABEL), record(made, (LABEL + 1) % 3)
    assert torch.equal(one.memory, other.memory)
    assert (one.logits - other.logits).abs().amax(dim=(1, 2)).gt(1e-3).all()


@torch.no_grad()
def test_writing_with_a_cache_is_the_forward_pass() -> None:
    n, refiner = 5, Parts.refiner
    memory, latents = torch.randn(n, 20, 32), torch.randn(n, CODES, CONFIG.vqvae.width)
    codes, label = torch.randint(CONFIG.vqvae.codebook_size, (n, CODES)), torch.randint(3, (n,))
    said = []

    def choose(logits: Tensor, place: int) -> Tensor:
        said.append(logits)
        return codes[:, place]

    assert torch.equal(refiner.write(memory, label, latents, choose), codes)
    logits = refiner(codes, memory, label, latents)
    torch.testing.assert_close(torch.stack(said, dim=1), logits, rtol=0, atol=1e-5)
    for place in range(CODES):  # causal: a code changes what is predicted after it, and nothing before it
        changed = codes.clone()
        changed[:, place] = (changed[:, place] + 1) % CONFIG.vqvae.codebook_size
        difference = (refiner(changed, memory, label, latents) - logits).abs().amax(dim=(0, 2))
        assert (difference[: place + 1] < 1e-5).all()
        assert (difference[place + 1 :] > 1e-4).all()


@torch.no_grad()
def test_every_place_of_a_leaf_has_its_own_code() -> None:
    """The network gets the place and what the coarse tile shows there. Neither changes a logit before its own."""
    refiner = tiny_model.awake(CONFIG, "refiner", seed=3)
    memory, latents = torch.randn(2, 20, 32), torch.randn(2, CODES, CONFIG.vqvae.width)
    codes, label = torch.zeros(2, CODES, dtype=torch.long), torch.tensor([0, 1])
    logits = refiner(codes, memory, label, latents)
    for place in range(CODES):
        for given in (refiner.position[place], latents[:, place]):
            push = torch.randn(given.shape[-1])  # this is not a constant, which norms would remove again
            given += push
            difference = (refiner(codes, memory, label, latents) - logits).abs().amax(dim=(0, 2))
            given -= push
            assert (difference[:place] < 1e-4).all()
            assert difference[place] > 1e-2


def test_a_blank_canvas_is_left_alone() -> None:
    blank = torch.full((2, 64, 64), -1.0)
    made = Plan.make(blank, CONFIG.sketch, torch.tensor([True, False]))
    assert len(made.leaves) == 0
    assert list(draw(made, Parts.vqvae, Parts.encoder, Parts.refiner, LABEL[:2], lambda *_: pytest.fail("asked"))) == []


def test_a_sketch_is_drawn_the_same_whatever_is_drawn_beside_it() -> None:
    """Codes are chosen greedily. Rounding differs with the batch, but here not by enough to change a best code."""

    def best(turn: Tensor, logits: Tensor, place: int) -> Tensor:
        return logits.argmax(dim=1)

    def drawn(which: list[int]) -> Tensor:
        made = Plan.make(coarse()[which], CONFIG.sketch, torch.tensor(ORDERS["mixed"])[which])
        *_, (canvas, _) = draw(made, Parts.vqvae, Parts.encoder, Parts.refiner, LABEL[which], best)
        return canvas

    together = drawn([0, 1, 2, 3, 4])
    for sketch in (0, 2, 3, 4):
        torch.testing.assert_close(drawn([sketch])[0], together[sketch], rtol=0, atol=1e-4)


def test_enlarging_is_bilinear() -> None:
    import naive_quadtree

    small = torch.randn(2, 4, 4)
    expected = np.stack([naive_quadtree.enlarge(one, 4) for one in small.double().numpy()])
    np.testing.assert_allclose(enlarge(small, 16).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("side", [64, 128])
@torch.no_grad()
def test_side_by_side_leaves_are_decoded_as_one_picture(side: int) -> None:
    """A window's codes are in one map, with the canvas's own codes where there is no leaf. What is not a leaf stays as
    it is.
    """
    fields = [torch.from_numpy(sdf.render(sketch, CONFIG.sketch.at(side))) for sketch in SKETCHES[:2]]
    canvas, vqvae = torch.stack(fields), Parts.vqvae
    made = Plan.make(canvas, CONFIG.sketch, torch.tensor([True, False]))
    canvas = (canvas + 0.9).clamp(max=1)  # the squares that are no leaves are not blank either
    codes = torch.randint(CONFIG.vqvae.codebook_size, (len(made.leaves), CODES), generator=torch.manual_seed(0))
    expected = canvas.clone()
    squares = [(sketch, y, x) for sketch in range(2) for y in range(0, side, 64) for x in range(0, side, 64)]
    place = (side * quadtree.place(made.leaves)[:, :2] - 8).round().long().tolist()
    of = dict(zip(zip(made.leaves.sketch.tolist(), *zip(*place, strict=True), strict=True), codes, strict=True))

    def codes_at(sketch: int, top: int, left: int) -> Tensor:
        own = vqvae.encode(canvas[None, sketch, top : top + 16, left : left + 16])[0]
        return of.get((sketch, top, left), own)

    for sketch, top, left in squares:
        rows = [[codes_at(sketch, top + y, left + x).view(2, 2) for x in range(0, 64, 16)] for y in range(0, 64, 16)]
        drawn = vqvae.decode(torch.cat([torch.cat(row, dim=1) for row in rows]).reshape(1, -1))[0]
        for y, x in ((y, x) for y in range(0, 64, 16) for x in range(0, 64, 16)):
            if (sketch, top + y, left + x) in of:
                expected[sketch, top + y : top + y + 16, left + x : left + x + 16] = drawn[y : y + 16, x : x + 16]
    found = without_seams(made, vqvae, canvas, codes, CONFIG.sketch.depth)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not torch.equal(found, canvas)


def test_without_leaves_there_are_no_seams() -> None:
    made = Plan.make(torch.full((2, 64, 64), -1.0), CONFIG.sketch, torch.tensor([True, False]))
    codes = torch.zeros(0, CODES, dtype=torch.long)
    assert torch.equal(without_seams(made, Parts.vqvae, made.coarse, codes, 2), made.coarse)
