"""The quadtree over a square canvas: a constant table and one gather, without node objects or recursion.

A *tile* is any square of any level, seen at p x p pixels. Tiles are numbered level by level and along the Z-curve
within a level: the children of z are 4z..4z+3, its parent is z // 4. A *leaf* is a tile that was not split; the leaves
of a whole batch are packed into three vectors. D is the depth, m the number of tiles, k = 9 D + 1 the number of context
slots.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visketch.config import DEEPEST

Order = Literal["one-by-one", "waves"]


@dataclass(frozen=True)
class Leaves:
    """Packed leaves, sorted by sketch and then along the Z-curve. All are int64 vectors of length n."""

    sketch: Int[Tensor, " n"]
    level: Int[Tensor, " n"]
    z: Int[Tensor, " n"]

    @property
    def tile(self) -> Int[Tensor, " n"]:
        """The tile's number within its sketch."""
        return (4**self.level - 1) // 3 + self.z

    def __len__(self) -> int:
        return len(self.sketch)

    def __getitem__(self, which: Tensor | slice) -> "Leaves":
        return Leaves(self.sketch[which], self.level[which], self.z[which])


def first_tile(level: int) -> int:
    """The number of a level's first tile; with level = D + 1, the number of tiles m."""
    return (4**level - 1) // 3


def depth_of_tiles(tiles: int) -> int:
    """The depth of a tree of m tiles."""
    return ((3 * tiles + 1).bit_length() - 1) // 2 - 1


def depth_of_canvas(side: int, tile: int) -> int:
    """The depth of a tree whose finest tiles, `tile` pixels wide, fill a canvas of this side."""
    return (side // tile).bit_length() - 1


def _pattern(level: int) -> tuple[str, dict[str, int]]:
    """The einops axes of a level cut into tiles: `y0 x0 y1 x1 ...` as binary digits is the position on the Z-curve."""
    rows, columns = (" ".join(f"{axis}{i}" for i in range(level)) for axis in "yx")
    order = " ".join(f"y{i} x{i}" for i in range(level))
    return f"b ({rows} p) ({columns} q) -> b ({order}) p q", {f"{axis}{i}": 2 for axis in "yx" for i in range(level)}


def cut(canvas: Float[Tensor, "b h h"], level: int) -> Float[Tensor, "b z p p"]:
    """The canvas cut into the 4^level squares of a level, along the Z-curve."""
    pattern, sizes = _pattern(level)
    return rearrange(canvas, pattern, **sizes)


def join(squares: Float[Tensor, "b z p p"]) -> Float[Tensor, "b h h"]:
    """The inverse of `cut`."""
    pattern, sizes = _pattern((squares.shape[1].bit_length() - 1) // 2)
    before, after = pattern.split(" -> ")
    return rearrange(squares, f"{after} -> {before}", **sizes)


def tiles(canvas: Float[Tensor, "b h h"], depth: int) -> Float[Tensor, "b m p p"]:
    """Every tile of every level at p x p, p = h / 2^depth, from one average-pool pyramid."""
    levels = [cut(canvas, depth)]
    for level in reversed(range(depth)):
        canvas = reduce(canvas, "b (h 2) (w 2) -> b h w", "mean")
        levels.append(cut(canvas, level))
    return torch.cat(levels[::-1], dim=1)


def look(
    canvas: Float[Tensor, "b h h"], depth: int, sketch: Int[Tensor, " n"], tile: Int[Tensor, " n"]
) -> Float[Tensor, "n p p"]:
    """Some of `tiles`, at a cost proportional to their area: on a large canvas most tiles are blank and
    are not needed.
    """
    side = canvas.shape[-1] >> depth
    seen, level_of = canvas.new_empty(len(tile), side, side), _level_of(depth, tile.device)[tile]
    for level in range(depth + 1):
        here = level_of == level
        if here.any():
            y, x = _unravel(tile[here] - first_tile(level), level)
            seen[here] = F.avg_pool2d(_squares(canvas, level)[sketch[here], y, x], 2 ** (depth - level))
    return seen


def _squares(canvas: Float[Tensor, "b h h"], level: int) -> Float[Tensor, "b y x s s"]:
    """The squares of a level by row and column: a view, unlike `cut`."""
    return rearrange(canvas, "b (y s) (x t) -> b y x s t", y=2**level, x=2**level)


def inked(canvas: Float[Tensor, "b h h"], depth: int) -> Bool[Tensor, "b m"]:
    """The tiles that are not blank. In a blank tile the field is saturated everywhere."""
    levels = [rearrange(cut(_squares(canvas, depth).amax(dim=(3, 4)), depth), "b z 1 1 -> b z")]
    for _ in range(depth):
        levels.append(reduce(levels[-1], "b (z 4) -> b z", "max"))
    return torch.cat(levels[::-1], dim=1) > -1


def information(canvas: Float[Tensor, "b h h"], depth: int, near: float) -> Float[Tensor, "b m"]:
    """The share of each tile's area where the field is above -`near`: ink and what is close to it.

    The surroundings of ink count because a line just outside a tile may enter it when it is refined.
    """
    side = canvas.shape[-1] >> depth
    inked = rearrange(canvas > -near, "b (y p) (x q) -> b y p x q", p=side, q=side)
    # Counted as integers, since rearranging floats is slow
    share = inked.sum(dim=(2, 4), dtype=torch.int32).to(canvas.dtype) / side**2
    levels = [rearrange(cut(share, depth), "b z 1 1 -> b z")]
    for _ in range(depth):
        levels.append(reduce(levels[-1], "b (z 4) -> b z", "mean"))
    return torch.cat(levels[::-1], dim=1)


def split(
    information: Float[Tensor, "b m"], threshold: float, levels: int | None = None
) -> tuple[Leaves, Bool[Tensor, " n"]]:
    """Split each tile that holds more than `threshold` of information, and each window that holds any, in one vector
    step for each level.

    A window is a tile `levels` above the finest level, or a coarser one; by default only the root is one. Returns every
    leaf (together they cover each canvas once), and which of them hold information; those are all of the finest level.
    A leaf without information is painted as it is, neither refined nor classified.
    """
    leaf, rich = grow(information, threshold, levels)
    depth = depth_of_tiles(information.shape[1])
    sketch, tile = leaf.nonzero(as_tuple=True)
    levels_of = _level_of(depth, leaf.device)[tile]
    z = tile - (4**levels_of - 1) // 3
    order = torch.argsort(sketch * 4**depth + z * 4 ** (depth - levels_of))
    return Leaves(sketch[order], levels_of[order], z[order]), rich[sketch, tile][order]


def grow(
    information: Float[Tensor, "b m"], threshold: float, levels: int | None = None
) -> tuple[Bool[Tensor, "b m"], Bool[Tensor, "b m"]]:
    """`split` before the leaves are packed: which tiles are leaves, and which hold information."""
    depth = depth_of_tiles(information.shape[1])
    windows = first_tile(depth - _fewer(levels, depth) + 1)
    rich = information > threshold
    rich[:, :windows] = information[:, :windows] > 0  # a single dot is little information, but it may be all there is
    exists = torch.ones_like(rich[:, :1])
    whole = []
    for level in range(depth):
        split_here = exists & rich[:, first_tile(level) : first_tile(level + 1)]
        whole.append(exists & ~split_here)
        exists = repeat(split_here, "b z -> b (z 4)")
    return torch.cat([*whole, exists], dim=1), rich


@cache
def _level_of(depth: int, device: torch.device) -> Int[Tensor, " m"]:
    return torch.cat([torch.full((4**level,), level, device=device) for level in range(depth + 1)])


def _fewer(levels: int | None, depth: int) -> int:
    return depth if levels is None else min(levels, depth)


@cache
def context(depth: int, levels: int | None = None) -> Int[Tensor, "m k"]:
    """For every tile the numbers of its context tiles, -1 where there is none.

    Slot 0 is the root. Then come, for each level 1..D, the 3 x 3 neighbours (row by row) of the tile's ancestor at that
    level; the last ancestor is the tile itself. There are none beyond the border and at levels finer than the tile.
    (ViSketch-GPT 3.2: 9 D + 1 tiles; that the single one is the root is our interpretation.)

    With fewer `levels` than the tree has, a deeper tile gets its last levels, and in slot 0 the ancestor above them:
    its window, as large in pixels as the canvas of a tree of that depth (our choice). The only difference from such a
    tree is that tiles beyond the window's border are included.
    """
    shown = _fewer(levels, depth)
    table = torch.full((first_tile(depth + 1), 9 * shown + 1), -1)
    for level in range(depth + 1):
        y, x = _unravel(torch.arange(4**level), level)
        offset = torch.arange(-1, 2)
        rows, columns = y[:, None, None] + offset[:, None], x[:, None, None] + offset
        inside = (rows >= 0) & (rows < 2**level) & (columns >= 0) & (columns < 2**level)
        neighbours = torch.where(inside, _ravel(rows, columns, level) + first_tile(level), -1).flatten(1)
        for finer in range(level, min(level + shown, depth) + 1):  # the tiles that see this level, and in which slots
            ancestor = torch.arange(4**finer) // 4 ** (finer - level)
            group = level - max(finer - shown, 0)
            slots = slice(9 * group - 8, 9 * group + 1) if group else slice(0, 1)
            seen = neighbours if group else neighbours[:, 4:5]
            table[first_tile(finer) : first_tile(finer + 1), slots] = seen[ancestor]
    return table


def within_window(leaves: Leaves, levels: int) -> Leaves:
    """The leaves at their places within their windows, as if a window were the canvas of a tree of `levels`."""
    level = leaves.level.clamp(max=levels)
    return Leaves(leaves.sketch, level, leaves.z % 4**level)


def inner(depth: int, levels: int) -> slice:
    """The context slots of a leaf of the finest level for its innermost `levels`: 0 is its own tile alone, 1 adds the 3
    x 3 around it, 2 the 3 x 3 around its parent. With `depth` all slots: the root belongs to the outermost level, whose
    neighbours already cover most of it.
    """
    if levels >= depth:
        return slice(None)
    return slice(9 * (depth - levels) + 1, None) if levels else slice(9 * depth - 4, 9 * depth - 3)


def _unravel(z: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """Position on the Z-curve → row and column."""
    y = sum(((z >> 2 * i + 1) & 1) << i for i in range(level)) + torch.zeros_like(z)
    x = sum(((z >> 2 * i) & 1) << i for i in range(level)) + torch.zeros_like(z)
    return y, x


def _ravel(y: Tensor, x: Tensor, level: int) -> Tensor:
    """Row and column → position on the Z-curve."""
    return sum((((y >> i) & 1) << 2 * i + 1) | (((x >> i) & 1) << 2 * i) for i in range(level)) + torch.zeros_like(y)


def place(leaves: Leaves, depth: int = DEEPEST) -> Float[Tensor, "n 3"]:
    """The places of the leaves of a tree: row and column of the centre and the side, as shares of the canvas."""
    y, x = _unravel(leaves.z, depth)
    side = 0.5**leaves.level
    return torch.stack([(y + 0.5) * side, (x + 0.5) * side, side], dim=1)


def ranks(leaves: Leaves, order: Order) -> Int[Tensor, " n"]:
    """The turn of each leaf. Leaves of one sketch with equal rank are refined at once.

    `one-by-one` is the paper's order, along the Z-curve. `waves` (our choice) refines all leaves of one level and one
    child position together; they are never 3 x 3 neighbours, and there are at most 4 D + 1 waves for any sketch.
    """
    if order == "waves":
        return 4 * leaves.level + leaves.z % 4
    place_in_batch = torch.arange(len(leaves), device=leaves.sketch.device)
    return place_in_batch - torch.searchsorted(leaves.sketch, leaves.sketch)


def finished(leaves: Leaves, rank: Int[Tensor, " n"], sketches: int, depth: int) -> Int[Tensor, "b m"]:
    """The rank of the last leaf that touches each tile, -1 if none does.

    A leaf of rank r sees the refined tile if `finished < r`, else the coarse one.
    """
    device = leaves.sketch.device
    tile = torch.full((sketches, first_tile(depth + 1)), -1, device=device)
    tile[leaves.sketch, leaves.tile] = rank
    for level in range(depth):  # downwards: a leaf touches all tiles within it
        below = tile[:, first_tile(level + 1) : first_tile(level + 2)]
        above = repeat(tile[:, first_tile(level) : first_tile(level + 1)], "b z -> b (z 4)")
        below.copy_(torch.maximum(below, above))
    for level in reversed(range(depth)):  # upwards: all leaves within a tile touch it
        here = tile[:, first_tile(level) : first_tile(level + 1)]
        below = reduce(tile[:, first_tile(level + 1) : first_tile(level + 2)], "b (z 4) -> b z", "max")
        here.copy_(torch.maximum(here, below))
    return tile


def paint(canvas: Float[Tensor, "b h h"], leaves: Leaves, patches: Float[Tensor, "n p p"]) -> Float[Tensor, "b h h"]:
    """A new canvas with the leaves' p x p patches on it, enlarged bilinearly to their squares."""
    canvas = canvas.clone()
    paint_over(canvas, leaves, patches)
    return canvas


def paint_over(canvas: Float[Tensor, "b h h"], leaves: Leaves, patches: Float[Tensor, "n p p"]) -> None:
    """`paint` in place: the cost is proportional to the area of the leaves."""
    side, tile = canvas.shape[-1], patches.shape[-1]
    depth = depth_of_canvas(side, tile)
    for level in range(depth + 1):
        here = leaves.level == level
        if here.any():
            scale = 2 ** (depth - level)
            enlarged = patches[here]
            if scale > 1:
                enlarged = F.interpolate(enlarged[:, None], scale_factor=scale, mode="bilinear")[:, 0]
            y, x = _unravel(leaves.z[here], level)
            _squares(canvas, level)[leaves.sketch[here], y, x] = enlarged.to(canvas.dtype)


def pad(
    values: Float[Tensor, "n e"], leaves: Leaves, sketches: int
) -> tuple[Float[Tensor, "b l e"], Bool[Tensor, "b l"]]:
    """Packed values → one row of leaves for each sketch, padded with zeros; and which places hold a leaf.

    Leaves are padded only here. A sketch without leaves gets a row of padding.
    """
    index = ranks(leaves, "one-by-one")
    longest = int(index.max()) + 1 if len(leaves) else 1
    padded = values.new_zeros(sketches, longest, values.shape[1])
    present = torch.zeros(sketches, longest, dtype=torch.bool, device=values.device)
    padded[leaves.sketch, index] = values
    present[leaves.sketch, index] = True
    return padded, present
