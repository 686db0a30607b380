"""The leaf encoder: what the refiner and the classifier share. It never sees the label."""

from functools import partial

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch import quadtree
from visketch.config import EncoderConfig, SketchConfig
from visketch.models.blocks import BatchNorm, Block, ResidualConv, channels_last

CHUNK = 512  # tiles or leaves that go through a network at once, when it is used: memory stays that of so many
CACHED = 128  # the same on a CPU, whose caches hold what becomes of so many: up to a fifth faster than with 512


def portions(count: int, device: torch.device) -> tuple[Int[Tensor, " i"], ...]:
    """0 ... count - 1 for a network to take in turn, CHUNK at once (on a CPU CACHED), the last filled up with zeros:
    cut off what comes of these.

    So there are two dozen sizes and no more: for every new one torch makes kernels, and keeps them, and a long run
    would grow, by a hundred MiB in a thousand sketches.
    """
    most = CACHED if device.type == "cpu" else CHUNK
    step = max(8, 2 ** (count % most).bit_length() // 8)
    number = torch.arange(-(-count // step) * step, device=device)
    return torch.where(number < count, number, 0).split(most)


class TileStem(nn.Module):
    """A small residual convolution network: one p x p tile → one token.

    The last 4 x 4 map is flattened, not averaged: where a line runs within its tile matters.
    """

    def __init__(self, tile: int, channels: int, width: int) -> None:
        super().__init__()
        c = channels
        self.layers = channels_last(nn.Sequential(*_halve(1, c, kernel=5), *_halve(c, 2 * c), *_halve(2 * c, 4 * c)))
        self.out = nn.Linear(4 * c * (tile // 8) ** 2, width)

    def forward(self, tiles: Float[Tensor, "n p p"]) -> Float[Tensor, "n e"]:
        maps = self.layers(tiles[:, None].contiguous(memory_format=torch.channels_last))
        return self.out(rearrange(maps, "n c p q -> n (p q c)"))


def _halve(before: int, after: int, kernel: int = 3) -> list[nn.Module]:
    """Half the side, and one residual block."""
    conv = nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False)
    norm = partial(BatchNorm, shared=1)  # every process puts one and the same blank tile first (`LeafEncoder.embed`)
    return [conv, norm(after), nn.ReLU(inplace=True), ResidualConv(after, norm)]


class LeafEncoder(nn.Module):
    """Context tiles of every leaf → CLS and memory (ViSketch-GPT 3.2 and 3.4)."""

    def __init__(self, config: EncoderConfig, sketch: SketchConfig) -> None:
        super().__init__()
        e = config.width
        self.levels = sketch.depth
        self.stem = TileStem(sketch.tile, config.stem, e)
        self.none = nn.Parameter(torch.randn(1, e) * 0.02)
        self.slot = nn.Parameter(torch.randn(9 * sketch.depth + 1, e) * 0.02)
        self.refined = nn.Parameter(torch.randn(e) * 0.02)
        self.cls = nn.Parameter(torch.randn(e) * 0.02)
        self.place = nn.Linear(9, e)
        self.norm_in, self.norm_out = nn.LayerNorm(e), nn.LayerNorm(e)
        self.blocks = nn.ModuleList(Block(e, config.heads, config.dropout) for _ in range(config.layers))

    def embed(self, canvas: Float[Tensor, "b h h"], depth: int) -> Float[Tensor, "b m e"]:
        """One token a tile. Blank tiles share one pass through the stem, and so do those too coarse to be shown."""
        inked = self.shown(quadtree.inked(canvas, depth), depth)
        which = torch.zeros(inked.shape, dtype=torch.long, device=canvas.device)
        which[inked] = torch.arange(1, int(inked.sum()) + 1, device=canvas.device)
        return nn.functional.embedding(which, self.see(canvas, depth, inked))

    def shown(self, tiles: Bool[Tensor, "b m"], depth: int) -> Bool[Tensor, "b m"]:
        """Those of the tiles that a leaf of the finest level may be shown: its window, and what is finer."""
        finer = torch.arange(tiles.shape[1], device=tiles.device) >= quadtree.first_tile(max(depth - self.levels, 0))
        return tiles & finer

    def see(self, canvas: Float[Tensor, "b h h"], depth: int, which: Bool[Tensor, "b m"]) -> Float[Tensor, "i e"]:
        """A blank tile, and then the chosen ones of all sketches, as tokens."""
        sketch, tile = which.nonzero(as_tuple=True)
        at_once = torch.arange(len(tile), device=canvas.device)  # in training, which normalises over all
        side = canvas.shape[-1] >> depth
        blank, tokens = canvas.new_full((1, side, side), -1), []
        for some in (at_once,) if self.training else portions(len(tile), canvas.device):
            tokens.append(self.stem(torch.cat([blank, quadtree.look(canvas, depth, sketch[some], tile[some])])))
            blank = blank[:0]  # it comes first, once
        return torch.cat(tokens)[: 1 + len(tile)]

    def forward(
        self,
        embedded: Float[Tensor, "b m e"],
        leaves: quadtree.Leaves,
        index: Int[Tensor, "n k"],
        refined: Float[Tensor, "n k"] | None = None,
        kept: slice = slice(None),
        first: int | None = None,
    ) -> Float[Tensor, "n j e"]:
        """`embedded`: the sketches' tiles through `embed`, of one canvas or of several one after another.

        `index`: which of a sketch's tiles stands in each slot, -1 for none. `refined`: 1 where that tile is shown
        refined; left out, all are (as for classifying). `kept`: the slots that a leaf is shown; the others are left out
        before anything attends to them. Position 0 of the result is CLS, then come the slots kept; `first`: how many of
        these are wanted (1: CLS alone, which spares most of the last block).
        """
        b, m, _ = embedded.shape
        table = torch.cat([rearrange(embedded, "b m e -> (b m) e"), self.none.to(embedded.dtype)])
        flat = torch.where(index < 0, b * m, index + m * leaves.sketch[:, None])
        # F.embedding, because advanced indexing has a slow backward on CPU.
        slots = nn.functional.embedding(flat, table) + self.slot[: index.shape[1]]
        slots = slots + (self.refined if refined is None else refined[..., None] * self.refined)
        # CLS starts as the leaf's own tile: without this short way to the stem, learning took several times longer.
        inside = quadtree.within_window(leaves, index.shape[1] // 9)
        own = slots[torch.arange(index.shape[0], device=slots.device), (9 * inside.level - 4).clamp(min=0)]
        cls = self.cls + own + self.place(_waves(quadtree.place(inside, index.shape[1] // 9)))
        x = self.norm_in(torch.cat([cls[:, None], slots[:, kept]], dim=1))
        for block in self.blocks[:-1]:
            x, _ = block(x)
        x, _ = self.blocks[-1](x, first=first)
        return self.norm_out(x)


def _waves(place: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """Coordinates as themselves, and as one slow sine and cosine each."""
    return torch.cat([place, torch.sin(torch.pi * 2 * place), torch.cos(torch.pi * 2 * place)], dim=1)


def context_index(leaves: quadtree.Leaves, depth: int, levels: int | None = None) -> Int[Tensor, "n k"]:
    """The slots of leaves whose tiles all come from one canvas; of a deep tree, its last `levels` (`context`)."""
    return quadtree.context(depth, levels).to(leaves.sketch.device)[leaves.tile]


def mixed_index(
    leaves: quadtree.Leaves,
    rank: Int[Tensor, " n"],
    finished: Int[Tensor, "b m"],
    depth: int,
    levels: int | None = None,
) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
    """The slots of leaves in the middle of refining: coarse tiles are numbered 0..m-1, refined ones m..2m-1.

    A slot shows the refined tile where `finished < rank`. Returns the index and where it is refined.
    """
    index = context_index(leaves, depth, levels)
    turn = finished[leaves.sketch[:, None], index.clamp(min=0)]
    refined = (turn < repeat(rank, "n -> n k", k=index.shape[1])) & (index >= 0)
    return torch.where(refined, index + finished.shape[1], index), refined.float()
