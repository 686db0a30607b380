"""Refine a coarse canvas leaf by leaf: the order of the leaves, the context of each leaf, and the drawing loop.

Training computes all leaves in one pass (`shown`, with the finished canvas). Drawing goes rank by rank (`draw`).
tests/test_decoding.py proves that a leaf has the same context in both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visketch import quadtree
from visketch.config import SketchConfig
from visketch.models.encoder import CHUNK, LeafEncoder, mixed_index
from visketch.models.refiner import Refiner
from visketch.models.vqvae import VQVAE

Choose = Callable[[Tensor, Tensor, int], Tensor]


def enlarge(coarse: Float[Tensor, "b p p"], canvas: int) -> Float[Tensor, "b h h"]:
    """The coarse sketch at full size, by bilinear interpolation (ViSketch-GPT 3.1)."""
    return F.interpolate(coarse[:, None], size=(canvas, canvas), mode="bilinear")[:, 0]


def inked_leaves(canvas: Float[Tensor, "b h h"], shape: SketchConfig, depth: int) -> quadtree.Leaves:
    """The leaves that hold ink or lie within half a pen of it. The other leaves are not processed.

    `shape` is the canvas and the depth that the weights were trained with. In a deeper tree, leaves see windows of that
    size.
    """
    share = quadtree.information(canvas, depth, near=shape.near)
    leaves, inked = quadtree.split(share, shape.information, shape.depth)
    return leaves[inked]


@dataclass(frozen=True)
class Plan:
    """The leaves of a batch of coarse canvases that are refined, and their order."""

    coarse: Float[Tensor, "b h h"]
    leaves: quadtree.Leaves
    rank: Int[Tensor, " n"]
    finished: Int[Tensor, "b m"]
    depth: int
    kept: slice  # the context slots of a leaf that are used

    @classmethod
    def make(
        cls, coarse: Float[Tensor, "b h h"], shape: SketchConfig, waves: Bool[Tensor, " b"], context: int | None = None
    ) -> "Plan":
        """Plan the refinement of coarse canvases.

        `waves` says which sketches are refined in waves; the others are refined one leaf at a time. `context` is the
        number of levels of context, by default all.
        """
        depth = shape.at(coarse.shape[-1]).depth
        leaves = inked_leaves(coarse, shape, depth)
        one_by_one, in_waves = quadtree.ranks(leaves, "one-by-one"), quadtree.ranks(leaves, "waves")
        rank = torch.where(waves[leaves.sketch], in_waves, one_by_one)
        finished = quadtree.finished(leaves, rank, len(coarse), depth)
        kept = quadtree.inner(shape.depth, shape.depth if context is None else context)
        return cls(coarse, leaves, rank, finished, depth, kept)

    def own_tiles(self, which: Tensor) -> Float[Tensor, "i p p"]:
        """The coarse tiles of the chosen leaves, as they are before refining."""
        leaves = self.leaves[which]
        return quadtree.look(self.coarse, self.depth, leaves.sketch, leaves.tile)


def shown(
    encoder: LeafEncoder, plan: Plan, refined: Float[Tensor, "b h h"], which: Bool[Tensor, " n"]
) -> Float[Tensor, "i j e"]:
    """The memory of the chosen leaves if the finished canvas is known. One pass computes all of them."""
    # This is one call, since training normalises over both
    both = encoder.embed_tiles(torch.cat([plan.coarse, refined]), plan.depth)
    leaves = plan.leaves[which]
    index, is_refined = mixed_index(leaves, plan.rank[which], plan.finished, plan.depth, encoder.levels)
    return encoder(rearrange(both, "(two b) m e -> b (two m) e", two=2), leaves, index, is_refined, plan.kept)


@torch.no_grad()
def draw(
    plan: Plan, vqvae: VQVAE, encoder: LeafEncoder, refiner: Refiner, label: Int[Tensor, " b"], choose: Choose
) -> Iterator[tuple[Float[Tensor, "b h h"], Int[Tensor, "n t"]]]:
    """Refine the leaves rank by rank. Yields the canvas and all codes so far after each rank (-1 where no code is
    written yet).

    Both are modified further, so copy what you keep. `choose` takes the numbers of i of the n leaves, their logits (i
    v) and the place in the leaf, and returns codes (i). A tile is embedded again once the last leaf that touches it has
    been painted.
    """
    canvas, m = plan.coarse.clone(), plan.finished.shape[1]
    embedded = encoder.embed_tiles(canvas, plan.depth).repeat(1, 2, 1)  # the coarse tiles, then the refined ones
    codes = torch.full((len(plan.leaves), len(refiner.position)), -1, device=canvas.device)
    index, is_refined = mixed_index(plan.leaves, plan.rank, plan.finished, plan.depth, encoder.levels)
    ranks = plan.rank.unique().tolist()
    for rank in ranks:
        for turn in (plan.rank == rank).nonzero()[:, 0].split(CHUNK):
            leaves = plan.leaves[turn]
            memory = encoder(embedded, leaves, index[turn], is_refined[turn], plan.kept)
            latents = vqvae.latents(plan.own_tiles(turn))
            codes[turn] = refiner.write(memory, label[leaves.sketch], latents, partial(choose, turn))
            quadtree.paint_over(canvas, leaves, vqvae.decode(codes[turn]))
        if rank < ranks[-1]:  # nothing reads it after the last rank
            done = encoder.shown(plan.finished == rank, plan.depth)
            embedded[:, m:][done] = encoder.see(canvas, plan.depth, done)[encoder.blanks :].to(embedded.dtype)
        yield canvas, codes


@torch.no_grad()
def without_seams(
    plan: Plan, vqvae: VQVAE, canvas: Float[Tensor, "b h h"], codes: Int[Tensor, "n t"], levels: int
) -> Float[Tensor, "b h h"]:
    """Decode the finest leaves of a refined canvas again from their codes, all leaves of a window side by side.

    The decoder then sees beyond the border of each leaf. If leaves are decoded one by one, lines break at these borders
    by a seventh of the pen's width (docs/questions/parallel-leaves.md). Beside the leaves lie squares with too little
    ink to be leaves, such as those whose corner a line cuts. Their codes are those of the canvas: if they counted as
    blank, such a line would break there. `levels` is the size of a window, which is the depth of the tree in training.
    """
    finest = (plan.leaves.level == plan.depth).nonzero()[:, 0]
    leaves, squares = plan.leaves[finest], 4**levels  # squares in a window
    place = leaves.sketch * 4 ** (plan.depth - levels) + leaves.z // squares
    windows, window = torch.unique(place, return_inverse=True)
    tiles = rearrange(quadtree.cut(canvas, plan.depth), "b (w z) p q -> (b w) z p q", z=squares)
    blank = vqvae.codebook.lookup(vqvae.encode(torch.full_like(tiles[:1, 0], -1)))
    canvas = canvas.clone()
    chunk = max(CHUNK // squares, 1)
    for first in range(0, len(windows), chunk):
        here = ((window >= first) & (window < first + chunk)).nonzero()[:, 0]
        which, square = window[here] - first, leaves.z[here] % squares
        seen = tiles[windows[first : first + chunk]]
        latents = repeat(blank, "1 t w -> i z t w", i=len(seen), z=squares).clone()
        beside = (seen > -1).flatten(2).any(dim=2)
        beside[which, square] = False
        latents[beside] = vqvae.codebook.lookup(vqvae.encode(seen[beside]))
        latents[which, square] = vqvae.codebook.lookup(codes[finest[here]])
        drawn = quadtree.cut(side_by_side(vqvae, latents), levels)
        quadtree.paint_over(canvas, leaves[here], drawn[which, square])
    return canvas


def side_by_side(vqvae: VQVAE, latents: Float[Tensor, "b z t w"]) -> Float[Tensor, "b h h"]:
    """Decode the squares of a canvas, given in Z-order, from their quantised latents as one picture."""
    maps = rearrange(latents, "b z (p q) w -> (b w) z p q", p=int(latents.shape[2] ** 0.5))
    return vqvae.draw(rearrange(quadtree.join(maps), "(b w) p q -> b (p q) w", b=len(latents)))


def sample_top_p(
    logits: Float[Tensor, "n v"], chance: Float[Tensor, " n"], temperature: float, top_p: float
) -> Int[Tensor, " n"]:
    """Sample codes among the most probable ones that make up `top_p`, at a temperature (0 takes the most probable).

    `chance`: uniform random numbers in [0, 1), used with the inverse of the cumulative distribution.
    """
    if temperature < 1e-4:  # a division by less would overflow
        return logits.argmax(dim=1)
    every = (logits.float() / temperature).softmax(dim=1)
    # Usually a few codes make up `top_p`, and selecting these is several times faster than sorting all codes.
    probability, code = every.topk(min(64, every.shape[1]), dim=1)
    if (probability.sum(dim=1) < top_p).any():
        probability, code = every.sort(dim=1, descending=True, stable=True)
    total = probability.cumsum(dim=1)
    kept = torch.where(total - probability < max(top_p, 1e-9), probability, 0)  # this keeps at least the best code
    total = kept.cumsum(dim=1)
    place = torch.searchsorted(total, chance[:, None] * total[:, -1:], right=True).clamp(max=code.shape[1] - 1)
    return code.gather(1, place)[:, 0]
