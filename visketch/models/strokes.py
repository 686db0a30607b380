"""The coarse stage as strokes: it turns a class into a set of pieces in drawing order, by flow matching.

The paper's coarse stage is a diffusion over pixels, which blurs small details. This one is a diffusion over pieces of
strokes (`geometry/pieces.py`), in which an eye is as much a token as the head is. It is our choice, after StrokeFusion
(Zhou et al., 2025, arXiv 2503.23752), which draws sets of normalised strokes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch.config import DiffusionConfig, GuideConfig
from visketch.errors import UsageError
from visketch.geometry.pieces import Pieces, join
from visketch.models import flow
from visketch.models.stroke_transformer import TOKEN, StrokeTransformer, padded, to_pieces, to_tokens

NOISIEST = 0.05  # the loss is weighted like that of a velocity, 1 / time², but no more than at this time
TOGETHER = 64  # the sketches drawn at once; all take as long as the one with the most pieces
LOOKS, NOISED = 4, 0.4  # how often the network predicts pieces that it is to judge, and from which time
QUARTERS = {"few": (0.0, 0.25), "many": (0.75, 1.0)}  # quantiles of a class's drawings, by number of pieces


Drawn = list[list[np.ndarray]]  # the strokes of each sketch, each (points, 2)
Progress = Callable[[int, int, tuple[float, ...], Callable[[], Drawn]], None]


class StrokeDiffusion(nn.Module):
    """Draws the pieces of a sketch of a class, by a Transformer and its guide.

    The guide is a smaller Transformer that does not know the class. Where the two differ, guidance goes further in the
    direction of the larger one: away from other classes, as in classifier-free guidance, and away from the errors of a
    weaker network (autoguidance; Karras et al., 2024, arXiv 2406.02507). It takes a fraction of the time that a null
    class takes in the large network, and the sketches are more like people's (lab book, 2026-11-26).

    A sketch has one token for each piece (`stroke_transformer.to_tokens`). `histogram` (c, pieces + 1) counts how many
    drawings of each class have how many pieces.
    """

    def __init__(self, config: DiffusionConfig, classes: int) -> None:
        super().__init__()
        self.config, self.classes, self.size = config, classes, TOKEN

        def network(shape: DiffusionConfig | GuideConfig, classes: int) -> StrokeTransformer:
            return StrokeTransformer(self.size, shape.width, shape.layers, shape.heads, config.pieces, classes)

        self.network, self.guide = network(config, classes), network(config.guide, 0)
        self.histogram: Tensor
        self.register_buffer("histogram", torch.ones(classes, config.pieces + 1) / config.pieces)

    def loss(
        self,
        tokens: Float[Tensor, "b t d"],
        label: Int[Tensor, " b"],
        count: Int[Tensor, " b"],
        given: Bool[Tensor, "b t"],
        noise: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The mean squared errors of the velocity, of the network and of the guide, over all tokens that exist and are
        not given.
        """
        noisy = torch.lerp(tokens, noise, torch.where(given, 0, time[:, None])[..., None])
        asked = ~given & (torch.arange(tokens.shape[1], device=count.device) < count[:, None])

        def error(network: StrokeTransformer) -> Tensor:
            each = velocity_error(network(noisy, time, label, count, given), tokens, time)
            return (each * asked).sum() / asked.sum().clamp(min=1)

        return error(self.network), error(self.guide)

    @torch.no_grad()
    def surprise(
        self,
        drawings: Sequence[Pieces],
        label: Int[Tensor, " b"],
        noise: Float[Tensor, "look t d"] | None = None,
    ) -> Float[Tensor, " b"]:
        """How badly the network predicts drawings that fill [-1, 1] from noised ones: its squared errors, summed over
        their pieces.

        This estimates how improbable they are (Li et al., 2023, arXiv 2303.16203). The noise is the same for all, so
        that they can be compared: by default LOOKS rows from a fixed seed.
        """
        if noise is None:
            noise = torch.randn(LOOKS, self.config.pieces, self.size, generator=torch.Generator().manual_seed(0))
        points, joined, count = (part.to(label.device) for part in padded(drawings))
        looks, tokens = len(noise), to_tokens(points, joined).repeat_interleave(len(noise), dim=0)
        noise = noise[:, : tokens.shape[1]].to(label.device).repeat(len(drawings), 1, 1)
        time = torch.full((len(tokens),), NOISED, device=label.device)
        given = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=label.device)
        several = (each.repeat_interleave(looks) for each in (label, count))
        found = self.network(torch.lerp(tokens, noise, NOISED), time, *several, given)
        each = rearrange(velocity_error(found, tokens, time), "(b look) t -> b look t", look=looks).mean(dim=1)
        return (each * (torch.arange(each.shape[1], device=count.device) < count[:, None])).sum(dim=1)

    @torch.no_grad()
    def sample(
        self,
        label: Int[Tensor, " b"],
        count: Int[Tensor, " b"],
        noise: Float[Tensor, "s b t d"],
        guidance: float | None = None,
        on_progress: Callable[[int, int, Tensor], None] = lambda done, total, x: None,
        start: Float[Tensor, "b t d"] | None = None,
        given: Bool[Tensor, "b t"] | None = None,
        strength: float | Float[Tensor, " b"] = 1.0,
    ) -> Float[Tensor, "b t d"]:
        """Turn noise, one row for each of s steps, into tokens, with guidance (1 switches it off).

        The steps are ancestral: each step renews a part of the noise, so that it can correct the errors of earlier
        steps. With Euler steps, which keep the initial noise, fewer drawings were recognised. With completely new noise
        in each step, the drawings varied less (lab book).

        `start` holds tokens to start from. The `given` ones are kept as they are. If `strength` is below 1, the others
        are noised up to that time and drawn again from there, in that share of the steps (SDEdit, Meng et al., 2022,
        arXiv 2108.01073). `on_progress` receives the clean tokens that are predicted at each step; the last ones are
        those that are returned.
        """
        guidance = self.config.guidance if guidance is None else guidance
        given = torch.zeros(noise.shape[1:3], dtype=torch.bool, device=noise.device) if given is None else given
        start = torch.zeros_like(noise[0]) if start is None else start
        most = torch.as_tensor(strength, device=noise.device).expand(noise.shape[1])
        steps = flow.count(len(noise), float(most.max()))
        route = torch.outer(torch.tensor(flow.times(steps), device=noise.device), most)
        x = torch.lerp(start, noise[0], route[0, :, None, None])
        for done, (time, after) in enumerate(pairwise(route), 1):
            x = torch.where(given[..., None], start, x)
            clean = torch.where(given[..., None], start, self.guided(x, time, label, count, given, guidance))
            on_progress(done, steps, clean)
            if done < steps:
                x = flow.ancestral(x, clean, noise[done], time, after)
        return clean

    def noise(
        self,
        label: Int[Tensor, " b"],
        generators: Sequence[torch.Generator],
        steps: int | None = None,
        given: Sequence[Pieces] | None = None,
        detail: str | int = "usual",
    ) -> list[Float[Tensor, "s _ d"]]:
        """The noise from which a sketch of each label is drawn: for each of its steps and each of its pieces.

        The number of pieces is random, with the frequencies that it has among the drawings of the class. `given` holds
        pieces that are there already; the sketch gets more pieces than these. `detail` "few" draws the number from the
        quarter of the drawings with the fewest pieces, and "many" from the quarter with the most; it may also be a
        number of pieces. Raises UsageError for a number above the network's limit.
        """
        if isinstance(detail, int) and detail > self.config.pieces:
            raise UsageError(f"detail = {detail}: at most {self.config.pieces} strokes are drawn with these weights")
        noise = []
        for row, generator in enumerate(generators):
            likely, least = self.histogram[label[row]].cpu(), len(given[row]) if given else 0
            likely = torch.where(torch.arange(len(likely)) > least, likely, 0)
            if isinstance(detail, int):
                likely = torch.zeros_like(likely).index_fill_(0, torch.tensor(max(detail, least + 1)), 1.0)
            elif detail in QUARTERS and likely.any():
                likely = between(likely, *QUARTERS[detail])
            count = int(torch.multinomial(likely, 1, generator=generator)) if likely.any() else least + 1
            noise.append(torch.randn(steps or self.config.steps, count, self.size, generator=generator))
        return noise

    @torch.no_grad()
    def draw(
        self,
        label: Int[Tensor, " b"],
        noise: Sequence[Float[Tensor, "s _ d"]],
        guidance: float | None = None,
        on_progress: Progress = lambda done, total, shares, drawn: None,
        given: Sequence[Pieces] | None = None,
        like: Sequence[Pieces] | None = None,
        strength: float = 1.0,
        soon: bool = False,
    ) -> Drawn:
        """Draw the strokes of a sketch for each label. Coordinates fill [-1, 1].

        `noise` has, for each sketch, a row for each step and each of its pieces. `on_progress` receives the number of
        steps done, the number of all steps, the share of each sketch that is done, and a function that returns what is
        drawn so far.

        `given` holds the first pieces of each sketch, which stay as they are. `like` holds all pieces of each sketch,
        which are noised up to the time `strength` and drawn again from there, as in `sample`. Give at most one of the
        two.

        Sketches of similar length are drawn together, since a batch takes as long as its longest sketch. With `soon`,
        the first sketch is drawn alone, before the others.
        """
        count, known = torch.tensor([rows.shape[1] for rows in noise]), given or like
        lead = min(int(soon), len(noise))
        order = torch.cat([torch.arange(lead), lead + count[lead:].argsort(stable=True)])
        groups = [group for part in (order[:lead], order[lead:]) for group in part.split(TOGETHER) if len(group)]
        drawn: Drawn = [[np.zeros((1, 2), np.float32)] for _ in noise]  # a dot, until the sketch is drawn
        shares = np.zeros(len(noise))
        for number, group in enumerate(groups):
            places = group.tolist()

            def put(tokens: Tensor, places: list[int] = places) -> Drawn:
                points, joined = (part.cpu().numpy() for part in to_pieces(tokens))
                for row, place in enumerate(places):
                    new = slice(len(given[place]) if given else 0, noise[place].shape[1])
                    if given and joined[row, new.start]:  # a piece that continues a given stroke begins at its end
                        points[row, new.start, 0] = given[place].points[-1, -1]
                    drawn[place] = join(Pieces(points[row, new], joined[row, new]))
                return drawn

            def seen(done: int, total: int, x: Tensor, number: int = number, put: Any = put) -> None:
                shares[groups[number].numpy()] = done / total
                on_progress(number * total + done, len(groups) * total, tuple(shares.tolist()), partial(put, x))

            rows = nn.utils.rnn.pad_sequence([noise[place].transpose(0, 1) for place in places])
            rows = rearrange(rows, "t b s d -> s b t d").to(label.device)
            start, which = self.kept([known[place] for place in places], rows[0]) if known else (None, None)
            here, several = label[group.to(label.device)], count[group].to(label.device)
            kept = which if given else None
            put(self.sample(here, several, rows, guidance, seen, start, kept, strength))
        return drawn

    def kept(
        self, given: Sequence[Pieces], noise: Float[Tensor, "b t d"]
    ) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        """Put given pieces at the first tokens of each sketch. Returns all tokens, and which of them are given."""
        start, which = torch.zeros_like(noise), torch.zeros(noise.shape[:2], dtype=torch.bool, device=noise.device)
        for row, pieces in enumerate(given):
            points, joined = torch.from_numpy(pieces.points), torch.from_numpy(pieces.joined)
            start[row, : len(pieces)] = to_tokens(points[None], joined[None])[0].to(noise.device)
            which[row, : len(pieces)] = True
        return start, which

    def guided(
        self,
        x: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
        label: Int[Tensor, " b"],
        count: Int[Tensor, " b"],
        given: Bool[Tensor, "b t"],
        guidance: float | Float[Tensor, ""],
    ) -> Float[Tensor, "b t d"]:
        """The predicted clean tokens, moved away from what the guide predicts; a guidance of 1 switches this off."""
        clean = self.network(x, time, label, count, given)
        if isinstance(guidance, float | int) and guidance == 1:
            return clean
        weak = self.guide(x, time, label, count, given)
        return weak + guidance * (clean - weak)


def velocity_error(
    found: Float[Tensor, "b t d"], tokens: Float[Tensor, "b t d"], time: Float[Tensor, " b"]
) -> Float[Tensor, "b t"]:
    """The mean squared error of the velocity of each token, from the clean tokens that a network found."""
    return ((found - tokens) / time.clamp(min=NOISIEST)[:, None, None]).square().mean(dim=2)


def between(likely: Float[Tensor, " n"], low: float, high: float) -> Float[Tensor, " n"]:
    """The part of a histogram that lies between two of its quantiles."""
    share = F.pad(likely.cumsum(0) / likely.sum(), (1, 0))
    return share.clamp(low, high).diff()
