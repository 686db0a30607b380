"""The leaf encoder, which the refiner and the classifier share. It never sees the label."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch import quadtree
from visketch.config import EncoderConfig, SketchConfig
from visketch.models.blocks import Block
from visketch.models.stem import Stem

CHUNK = 512  # the tiles or leaves in one pass through a network (not in training), which limits the memory
PIXELS = 2**20  # the pixels of whole canvases in one pass through the stem (not in training)
CACHED = 128  # CHUNK on a CPU: intermediate results then fit into its caches, which is up to a fifth faster than 512


def portions(count: int, device: torch.device) -> tuple[Int[Tensor, " i"], ...]:
    """The numbers 0 ... count - 1 in portions for a network: CHUNK at once, or CACHED on a CPU.

    The last portion is filled up with zeros, so cut off the results for these. This limits the number of different
    sizes to two dozen. Torch makes and keeps kernels for every new size, and a long run would grow by a hundred MiB in
    a thousand sketches.
    """
    most = CACHED if device.type == "cpu" else CHUNK
    step = max(8, 2 ** (count % most).bit_length() // 8)
    number = torch.arange(-(-count // step) * step, device=device)
    return torch.where(number < count, number, 0).split(most)


class LeafEncoder(nn.Module):
    """Turns the context tiles of every leaf into its CLS vector and its memory (ViSketch-GPT 3.2 and 3.4)."""

    def __init__(self, config: EncoderConfig, sketch: SketchConfig) -> None:
        super().__init__()
        e = config.width
        self.levels = sketch.depth
        self.stem = Stem(sketch.tile, config.stem, e, sketch.depth + 1)
        self.blanks = sketch.depth + 1  # the number of different blank tiles: one for each level
        self.none = nn.Parameter(torch.randn(1, e) * 0.02)
        self.slot = nn.Parameter(torch.randn(9 * sketch.depth + 1, e) * 0.02)
        self.refined = nn.Parameter(torch.randn(e) * 0.02)
        self.cls = nn.Parameter(torch.randn(e) * 0.02)
        self.place = nn.Linear(9, e)
        self.norm_in, self.norm_out = nn.LayerNorm(e), nn.LayerNorm(e)
        self.blocks = nn.ModuleList(Block(e, config.heads, config.dropout) for _ in range(config.layers))

    def embed(self, canvas: Float[Tensor, "b h h"], depth: int) -> Float[Tensor, "b m e"]:
        """One token for each tile, for classifying.

        The stem sees the whole picture of each level that leaves see, so a token also contains the surroundings of its
        tile.
        """
        at_once = len(canvas) if self.training else max(1, PIXELS // canvas.shape[-1] ** 2)
        return torch.cat([self.embed_levels(some, depth) for some in canvas.split(at_once)])

    def embed_levels(self, canvas: Float[Tensor, "b h h"], depth: int) -> Float[Tensor, "b m e"]:
        """The same as `embed`, with all canvases at once."""
        top, tokens = max(depth - self.levels, 0), []
        for level in range(top, depth + 1):
            picture = F.avg_pool2d(canvas[:, None], 2 ** (depth - level))[:, 0] if level < depth else canvas
            tokens.append(_along_z(self.stem.pictures(picture, level - top), level))
        coarser = tokens[0].new_zeros(1, 1, 1).expand(canvas.shape[0], quadtree.first_tile(top), tokens[0].shape[2])
        return torch.cat([coarser, *tokens], dim=1) if top else torch.cat(tokens, dim=1)

    def embed_tiles(self, canvas: Float[Tensor, "b h h"], depth: int) -> Float[Tensor, "b m e"]:
        """One token for each tile, for refining.

        A token does not depend on anything beyond the border of its tile, so what is drawn later cannot change it.
        Blank tiles share one pass through the stem, and so do tiles that are too coarse to be seen.
        """
        inked = self.shown(quadtree.inked(canvas, depth), depth)
        which = self.level_of(depth, canvas.device).clamp(max=self.blanks - 1).expand(len(canvas), -1).clone()
        which[inked] = torch.arange(self.blanks, self.blanks + int(inked.sum()), device=canvas.device)
        return F.embedding(which, self.see(canvas, depth, inked))

    def level_of(self, depth: int, device: torch.device) -> Int[Tensor, " m"]:
        """The level of each tile in its window. It is 0 for the window itself and for coarser tiles."""
        above = max(depth - self.levels, 0)
        counts = torch.tensor([4**level for level in range(depth + 1)], device=device)
        return torch.repeat_interleave((torch.arange(depth + 1, device=device) - above).clamp(min=0), counts)

    def shown(self, tiles: Bool[Tensor, "b m"], depth: int) -> Bool[Tensor, "b m"]:
        """The tiles that a leaf of the finest level may see: its window, and tiles that are finer."""
        finer = torch.arange(tiles.shape[1], device=tiles.device) >= quadtree.first_tile(max(depth - self.levels, 0))
        return tiles & finer

    def see(self, canvas: Float[Tensor, "b h h"], depth: int, which: Bool[Tensor, "b m"]) -> Float[Tensor, "i e"]:
        """The tokens of the blank tiles, followed by those of the chosen tiles of all sketches."""
        sketch, tile = which.nonzero(as_tuple=True)
        level, blank_level = self.level_of(depth, canvas.device)[tile], torch.arange(self.blanks, device=canvas.device)
        at_once = torch.arange(len(tile), device=canvas.device)  # training normalises over all tiles
        side = canvas.shape[-1] >> depth
        blank, tokens = canvas.new_full((self.blanks, side, side), -1), []
        for some in (at_once,) if self.training else portions(len(tile), canvas.device):
            tiles = torch.cat([blank, quadtree.look(canvas, depth, sketch[some], tile[some])])
            tokens.append(self.stem(tiles, torch.cat([blank_level, level[some]])))
            blank, blank_level = blank[:0], blank_level[:0]  # the blank tiles come first, and only once
        return torch.cat(tokens)[: self.blanks + len(tile)]

    def forward(
        self,
        embedded: Float[Tensor, "b m e"],
        leaves: quadtree.Leaves,
        index: Int[Tensor, "n k"],
        refined: Float[Tensor, "n k"] | None = None,
        kept: slice = slice(None),
        first: int | None = None,
    ) -> Float[Tensor, "n j e"]:
        """The CLS vector of each leaf, followed by its memory.

        `embedded` holds the sketches' tiles through `embed`, of one canvas or of several one after another. `index` is
        the number of the sketch's tile in each slot, -1 for none. `refined` is 1 where that tile is a refined one; by
        default all are, which is right for classifying. `kept` are the slots that a leaf sees; the others are removed
        before attention.

        Position 0 of the result is the CLS vector, and the kept slots follow. `first` is the number of positions to
        compute. With 1, only the CLS vector is computed, which saves most of the last block.
        """
        b, m, _ = embedded.shape
        table = torch.cat([rearrange(embedded, "b m e -> (b m) e"), self.none.to(embedded.dtype)])
        flat = torch.where(index < 0, b * m, index + m * leaves.sketch[:, None])
        # F.embedding is used because the backward pass of advanced indexing is slow on a CPU.
        slots = F.embedding(flat, table) + self.slot[: index.shape[1]]
        slots = slots + (self.refined if refined is None else refined[..., None] * self.refined)
        # CLS starts as the mean of the leaf's own tile and its ancestors. Without this short path to the stem, learning
        # took several times as long.
        inside = quadtree.within_window(leaves, index.shape[1] // 9)
        own = self.path(slots, inside.level, kept.start or 0)
        cls = self.cls + own + self.place(_waves(quadtree.place(inside, index.shape[1] // 9)))
        x = self.norm_in(torch.cat([cls[:, None], slots[:, kept]], dim=1))
        for block in self.blocks[:-1]:
            x, _ = block(x)
        x, _ = self.blocks[-1](x, first=first)
        return self.norm_out(x)

    def path(self, slots: Float[Tensor, "n k e"], level: Int[Tensor, " n"], outermost: int) -> Float[Tensor, "n e"]:
        """The mean of a leaf's own token and those of its ancestors, from slot `outermost` on."""
        middles = [
            max(9 * above - 4, 0) for above in range(slots.shape[1] // 9 + 1)
        ]  # the middle slot of each level: root, 1, ...
        shown = torch.tensor([middle >= outermost for middle in middles], device=level.device)
        weight = shown & (torch.arange(len(middles), device=level.device) <= level[:, None])
        return (slots[:, middles] * weight[:, :, None]).sum(dim=1) / weight.sum(dim=1, keepdim=True).clamp(min=1)


def _along_z(places: Float[Tensor, "b y x e"], level: int) -> Float[Tensor, "b z e"]:
    """Reorder the vectors of a level's tiles from rows and columns to the Z-curve."""
    cut = quadtree.cut(rearrange(places, "b y x e -> (b e) y x"), level)
    return rearrange(cut, "(b e) z 1 1 -> b z e", e=places.shape[3])


def _waves(place: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """Coordinates, with one slow sine and one slow cosine of each."""
    return torch.cat([place, torch.sin(torch.pi * 2 * place), torch.cos(torch.pi * 2 * place)], dim=1)


def context_index(leaves: quadtree.Leaves, depth: int, levels: int | None = None) -> Int[Tensor, "n k"]:
    """The slots of leaves whose tiles all come from one canvas.

    In a deep tree, these are the slots of its last `levels` (see `quadtree.context`).
    """
    return quadtree.context(depth, levels).to(leaves.sketch.device)[leaves.tile]


def mixed_index(
    leaves: quadtree.Leaves,
    rank: Int[Tensor, " n"],
    finished: Int[Tensor, "b m"],
    depth: int,
    levels: int | None = None,
) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
    """The slots of leaves during refining. Coarse tiles are numbered 0..m-1 and refined tiles m..2m-1.

    A slot holds the refined tile where `finished < rank`. Returns the numbers of the tiles, and where they are refined.
    """
    index = context_index(leaves, depth, levels)
    turn = finished[leaves.sketch[:, None], index.clamp(min=0)]
    refined = (turn < repeat(rank, "n -> n k", k=index.shape[1])) & (index >= 0)
    return torch.where(refined, index + finished.shape[1], index), refined.float()
