"""Refining a coarse canvas leaf by leaf: the plan, what every leaf is shown, and the loop that draws.

Training looks at all leaves in one pass (`shown` with the finished canvas), drawing goes rank by rank (`draw`);
tests/test_refining.py proves that both show a leaf the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visketch import quadtree
from visketch.config import SketchConfig
from visketch.models.encoder import LeafEncoder, mixed_index
from visketch.models.refiner import Refiner
from visketch.models.vqvae import VQVAE

Choose = Callable[[Tensor, Tensor, int], Tensor]


def enlarge(coarse: Float[Tensor, "b p p"], canvas: int) -> Float[Tensor, "b h h"]:
    """The coarse sketch at full size, bilinearly (ViSketch-GPT 3.1)."""
    return F.interpolate(coarse[:, None], size=(canvas, canvas), mode="bilinear")[:, 0]


def inked_leaves(canvas: Float[Tensor, "b h h"], shape: SketchConfig, depth: int) -> quadtree.Leaves:
    """The leaves that hold ink, or come within half a pen of it. The others need no attention."""
    share = quadtree.information(canvas, depth, near=shape.near)
    leaves, inked = quadtree.split(share, shape.information)
    return leaves[inked]


@dataclass(frozen=True)
class Plan:
    """Which leaves of a batch of coarse canvases are refined, and when."""

    coarse: Float[Tensor, "b h h"]
    leaves: quadtree.Leaves
    rank: Int[Tensor, " n"]
    finished: Int[Tensor, "b m"]
    depth: int
    context: int  # levels that a leaf is shown

    @classmethod
    def make(
        cls, coarse: Float[Tensor, "b h h"], shape: SketchConfig, waves: Bool[Tensor, " b"], context: int | None = None
    ) -> "Plan":
        """`waves`: which sketches are refined in waves; the others one leaf at a time. `context`: by default all."""
        leaves = inked_leaves(coarse, shape, shape.depth)
        one_by_one, in_waves = quadtree.ranks(leaves, "one-by-one"), quadtree.ranks(leaves, "waves")
        rank = torch.where(waves[leaves.sketch], in_waves, one_by_one)
        finished = quadtree.finished(leaves, rank, len(coarse), shape.depth)
        return cls(coarse, leaves, rank, finished, shape.depth, shape.depth if context is None else context)

    @property
    def kept(self) -> slice:
        """The context slots that a leaf is shown."""
        return quadtree.inner(self.depth, self.context)

    def coarse_tiles(self) -> Float[Tensor, "b m p p"]:
        return quadtree.tiles(self.coarse, self.depth)


def shown(
    encoder: LeafEncoder, plan: Plan, refined: Float[Tensor, "b h h"], which: Bool[Tensor, " n"]
) -> Float[Tensor, "i j e"]:
    """The memory of the chosen leaves when the finished canvas is known: one pass for all of them."""
    tiles = torch.cat([plan.coarse_tiles(), quadtree.tiles(refined, plan.depth)], dim=1)
    leaves = plan.leaves[which]
    index, is_refined = mixed_index(leaves, plan.rank[which], plan.finished, plan.depth)
    return encoder(encoder.embed(tiles), leaves, index, is_refined, plan.kept)


@torch.no_grad()
def draw(
    plan: Plan, vqvae: VQVAE, encoder: LeafEncoder, refiner: Refiner, label: Int[Tensor, " b"], choose: Choose
) -> Iterator[tuple[Float[Tensor, "b h h"], Int[Tensor, "n t"]]]:
    """Refine rank by rank; after each, the canvas so far and all codes so far (-1 where not yet written).

    `choose`: the leaves' numbers among n (i), their logits (i v), place in the leaf → codes (i). A tile is embedded
    again only when the last leaf that touches it has been painted.
    """
    canvas, sketches, m = plan.coarse, len(plan.coarse), plan.finished.shape[1]
    coarse_tiles = plan.coarse_tiles()
    coarse = encoder.embed(coarse_tiles)
    refined = coarse.clone()
    own = coarse_tiles[plan.leaves.sketch, plan.leaves.tile]
    latents = vqvae.latents(own) if len(own) else own.new_zeros(0, 1, vqvae.config.width)
    codes = torch.full(latents.shape[:2], -1, device=canvas.device)
    index, is_refined = mixed_index(plan.leaves, plan.rank, plan.finished, plan.depth)
    for rank in plan.rank.unique().tolist():
        turn = (plan.rank == rank).nonzero()[:, 0]
        leaves = plan.leaves[turn]
        memory = encoder(torch.cat([coarse, refined], dim=1), leaves, index[turn], is_refined[turn], plan.kept)
        codes[turn] = refiner.write(memory, label[leaves.sketch], latents[turn], partial(choose, turn))
        canvas = quadtree.paint(canvas, leaves, vqvae.decode(codes[turn]))
        sketch, tile = (plan.finished == rank).nonzero(as_tuple=True)
        fresh = quadtree.tiles(canvas, plan.depth)[sketch, tile]
        refined[sketch, tile] = encoder.embed(fresh[:, None])[:, 0].to(refined.dtype)
        yield canvas, codes
    assert refined.shape == (sketches, m, refined.shape[-1])
