"""A Transformer over the pieces of a sketch, and how a piece is written down as a token.

The stroke diffusion, its guide and the classifier of strokes are such networks.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch.geometry.pieces import POINTS, Pieces
from visketch.models.blocks import attend

FREQUENCIES = 64  # how many sines and cosines encode the time
# These give about unit variance: a factor for coordinates in [-1, 1], a factor for coordinates in units of a piece's
# own half size, and a summand for the logarithm of the half size. The half size is at least SMALLEST.
PLACE, SHAPE, SIZE = 2.0, 1.5, 1.2
SMALLEST = 0.01
TOKEN = 4 * POINTS + 2  # the numbers of a token: the points twice, the size, and whether it is joined
BLUNT = 0.33  # the half size of a piece whose place and whose shape give a point equally well


def padded(
    drawings: Sequence[Pieces],
) -> tuple[Float[Tensor, "b t k 2"], Bool[Tensor, "b t"], Int[Tensor, " b"]]:
    """The pieces of drawings as a batch."""
    points = nn.utils.rnn.pad_sequence([torch.from_numpy(each.points) for each in drawings], batch_first=True)
    joined = nn.utils.rnn.pad_sequence([torch.from_numpy(each.joined) for each in drawings], batch_first=True)
    return points, joined, torch.tensor([len(each) for each in drawings])


def to_tokens(points: Float[Tensor, "b t k 2"], joined: Bool[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
    """Turn pieces of drawings that fill [-1, 1] into tokens.

    A token holds the points of a piece on the canvas, the same points in units of the piece's own size (so that small
    pieces are as exact as large ones), that size, and whether the piece begins where the previous one ends.
    """
    low, high = points.amin(dim=2), points.amax(dim=2)
    size = ((high - low).amax(dim=2) / 2).clamp(min=SMALLEST)
    own = (points - (low + high)[:, :, None] / 2) / size[..., None, None]
    flat = [rearrange(scale * part, "b t k xy -> b t (k xy)") for scale, part in ((PLACE, points), (SHAPE, own))]
    return torch.cat([*flat, torch.stack([size.log() + SIZE, 2 * joined.float() - 1], dim=2)], dim=2)


def to_pieces(tokens: Float[Tensor, "b t d"]) -> tuple[Float[Tensor, "b t k 2"], Bool[Tensor, "b t"]]:
    """The inverse of `to_tokens`. The two descriptions of a point in a token need not agree.

    The error of a point's place is proportional to the canvas, and the error of its shape is proportional to the size
    of the piece. The two are averaged, weighted by the inverse of their variances.
    """
    place, own, size, joined = tokens.split([2 * POINTS, 2 * POINTS, 1, 1], dim=2)
    points, own = (rearrange(part, "b t (k xy) -> b t k xy", xy=2) for part in (place / PLACE, own / SHAPE))
    size = (size - SIZE).exp().clamp(max=1.2)[..., None]
    zoomed = own * size
    zoomed = zoomed + (points - zoomed).mean(dim=2, keepdim=True)
    return torch.lerp(points, zoomed, 1 / (1 + (size / BLUNT) ** 2)), joined[..., 0] > 0


class StrokeTransformer(nn.Module):
    """Sees the noisy tokens of a whole sketch and predicts the clean tokens, or something else for each token.

    (Networks that predict the noise, or the target of preconditioning, learned more slowly: lab book.) `size` is that
    of a token, `out` the number of values to predict for each, by default as many. With `classes` = 0 the network does
    not know what is drawn.
    """

    def __init__(
        self, size: int, width: int, layers: int, heads: int, most: int, classes: int, out: int | None = None
    ) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(size, width), nn.Linear(width, out or size)
        self.position = nn.Parameter(torch.randn(most, width) * 0.02)
        self.given = nn.Parameter(torch.randn(width) * 0.02)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.count = nn.Embedding(most + 1, width)
        self.label = nn.Embedding(classes, width) if classes else None
        self.modulation, self.last = nn.Linear(width, 6 * width), nn.Linear(width, 2 * width)
        self.blocks = nn.ModuleList(ModulatedBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        for table in (self.count, self.label):
            if table is not None:
                nn.init.normal_(table.weight, std=0.5)
        for layer in (self.modulation, self.last, self.write):  # an untrained network predicts the mean
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        noisy: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
        label: Int[Tensor, " b"] | None,
        count: Int[Tensor, " b"],
        given: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t o"]:
        """Predict from noisy tokens at a time in [0, 1]; at 0 they are clean.

        `count` is the number of tokens of each sketch; the results for further tokens have no meaning. `given` marks
        tokens that are clean already.
        """
        angle = time[:, None] * torch.logspace(0, 3, FREQUENCIES, device=time.device)
        told = self.time(torch.cat([angle.sin(), angle.cos()], dim=1)) + self.count(count)
        if self.label is not None:
            told = told + self.label(label)
        told = F.silu(told)
        x = self.read(noisy) + self.position[: noisy.shape[1]] + given[..., None] * self.given
        there = torch.arange(noisy.shape[1], device=count.device) < count[:, None]
        # An exported graph has no branches, so it masks every batch.
        whole = not torch.compiler.is_exporting() and bool(there.all())
        mask = None if whole else rearrange(there, "b t -> b 1 1 t")
        modulation = self.modulation(told)
        for block in self.blocks:
            x = block(x, modulation, mask)
        shift, stretch = rearrange(self.last(told), "b (two e) -> two b 1 e", two=2)
        return self.write(self.norm(x) * (1 + stretch) + shift).float()


class ModulatedBlock(nn.Module):
    """A transformer block whose norms are shifted, scaled and gated by the condition.

    This is adaLN (Peebles and Xie, 2023, arXiv 2212.09748). All blocks share the modulation, and each block adds a
    table of its own (PixArt-alpha).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.table = nn.Parameter(torch.zeros(6 * width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.out, self.down):  # residual branches start at zero
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: Float[Tensor, "b t e"], modulation: Float[Tensor, "b sixe"], mask: Bool[Tensor, "b 1 1 t"] | None
    ) -> Float[Tensor, "b t e"]:
        shift, stretch, gate, shift_mlp, stretch_mlp, gate_mlp = rearrange(
            modulation + self.table, "b (six e) -> six b 1 e", six=6
        )
        normed = self.norm(x) * (1 + stretch) + shift
        query, key, value = rearrange(
            self.query_key_value(normed), "b t (three heads d) -> three b heads t d", three=3, heads=self.heads
        )
        x = x + (1 + gate) * self.out(rearrange(attend(query, key, value, mask), "b heads t d -> b t (heads d)"))
        normed = self.norm(x) * (1 + stretch_mlp) + shift_mlp
        return x + (1 + gate_mlp) * self.down(F.relu(self.up(normed)).square())
