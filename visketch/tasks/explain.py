"""Explain a classification: which leaves of the quadtree decide it.

A leaf's *vote* is what it adds to the probability of the class if the leaves are drawn one after another and the
drawing is classified after each of them. This is averaged over some random orders (Shapley values, sampled as in Castro
et al., 2009). So the votes of a drawing add up to its probability, and a leaf below 0 is evidence against the class.

docs/questions/explain.md compares this vote with others. The test is that the probability must fall when the leaves
with the highest votes are erased.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from visketch import quadtree
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch, fit, longer_side
from visketch.model import Prediction, SketchModel
from visketch.sampling import check_number

BATCH = 64  # the number of canvases that are classified together
ORDERS = 4  # the number of random orders; each is also used in reverse
MOST = 4  # at most this many leaves are named as deciding
AGAINST = -0.05  # a weight below this is mentioned
NUMBERS = ("no", "one", "two", "three", "four")

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Vote:
    """The vote of one leaf."""

    box: Box  # in the unit square to which the drawing is fitted
    input: Box  # on the input: in shares of a picture's width and height, or in the unit of strokes
    weight: float  # its vote as a share of all votes, which add up to 1; below 0, it is against the class
    attention: float  # from the pooling; these add up to less than 1, since the rest goes to the query itself
    label: str  # the class that the leaf by itself, with its context, would get
    probability: float


@dataclass(frozen=True, eq=False)
class Explanation:
    label: str
    probability: float
    votes: list[Vote]  # the highest first
    without: float  # the probability if the deciding leaves are erased
    guesses: tuple[Prediction, ...] = ()  # the most probable classes, best first
    canvas: Float[Tensor, "1 h h"] | None = field(default=None, repr=False)  # the drawing as a field
    note: str = ""  # what classifying reads and this does not

    @property
    def words(self) -> str:
        """A few sentences about the parts that decided, one on each line."""
        first = self.votes[: deciding([vote.weight for vote in self.votes])]
        one, weight = len(first) == 1, sum(vote.weight for vote in first)
        where = f"{_places(self._regions(first))} {'has' if one else 'have'}"
        if weight < 0.5:
            where = f"It comes from all over: even the {_number(len(first))} strongest leaves have only"
        still = "still " if 2 * self.without > self.probability else ""
        parts = [
            f"{self.label}, {percent(self.probability)}.",
            f"{where} {100 * weight:.0f} % of the weight; {_says(first)}.",
            f"Without {'it' if one else 'them'}, {self.label} {still}has {percent(self.without)}.",
        ]
        if against := [vote for vote in self.votes if vote.weight < AGAINST]:
            speak = "speaks" if len(against) == 1 else "speak"
            parts.append(f"{_places(self._regions(against))} {speak} against it{self._instead(against)}.")
        if others := sum(vote.label != self.label for vote in self.votes):
            parts.append(f"Of {len(self.votes)} leaves {_some_say(others)} something else.")
        return "\n".join(filter(None, [*parts, self.note]))

    def _instead(self, against: list[Vote]) -> str:
        """The classes that leaves against the class predict by themselves. Leaves that predict the class itself are not
        counted.
        """
        others = [vote for vote in against if vote.label != self.label]
        if len(others) == len(against):
            return f"; {_says(others)}"
        return f"; {_some_say(len(others))} {_listed(Counter(vote.label for vote in others))}" if others else ""

    def _regions(self, votes: list[Vote]) -> Counter[str]:
        """The number of votes in each region of the drawing."""
        centres = np.array([_centre(vote) for vote in self.votes])
        low, high = centres.min(axis=0), centres.max(axis=0)
        return Counter(_region((np.array(_centre(vote)) - low) / np.maximum(high - low, 1e-9)) for vote in votes)


def deciding(weights: Sequence[float]) -> int:
    """How many of the highest weights together make up half of all weights. It is at most MOST."""
    reached = np.cumsum(weights) >= 0.5
    return min(int(reached.argmax()) + 1 if reached.any() else MOST, MOST, len(weights))


def _centre(vote: Vote) -> tuple[float, float]:
    left, top, right, bottom = vote.box
    return (left + right) / 2, (top + bottom) / 2


def _region(place: np.ndarray) -> str:
    """The name of a place (x, y) in the unit square."""
    edges = [bool(abs(value - 0.5) > 0.25) for value in place]
    off = [bool(abs(value - 0.5) > 0.1) for value in place] if not any(edges) else edges
    horizontal = ("left", "right")[int(place[0] > 0.5)] if off[0] else ""
    vertical = ("upper", "lower")[int(place[1] > 0.5)] if off[1] else ""
    inside = "" if any(edges) else "inside "
    if vertical and horizontal:
        return f"{inside}at the {vertical} {horizontal}"
    if vertical:
        return f"{inside}at the {'top' if vertical == 'upper' else 'bottom'}"
    return f"{inside}on the {horizontal}" if horizontal else "in the middle"


def _places(regions: Counter[str]) -> str:
    """`{"at the top": 2, "in the middle": 1}` → `Two leaves at the top and one in the middle`."""
    (first, count), *more = regions.most_common()
    several = f"{_number(count).capitalize()} {'leaf' if count == 1 else 'leaves'} {first}"
    start = several if more or count > 1 else f"The leaf {first}"
    return _joined([start, *(f"{_number(n)} {where}" for where, n in more)])


def _says(votes: Sequence[Vote]) -> str:
    alone = "by itself it says" if len(votes) == 1 else "by themselves they say"
    return f"{alone} {_listed(Counter(vote.label for vote in votes))}"


def _some_say(count: int) -> str:
    return "one by itself says" if count == 1 else f"{_number(count)} by themselves say"


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _listed(labels: Counter[str]) -> str:
    return _joined([label if n == 1 or len(labels) == 1 else f"{label} ({n}x)" for label, n in labels.most_common()])


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@dataclass(frozen=True)
class Look:
    """One drawing with the classifier's intermediate results."""

    canvas: Float[Tensor, "1 h h"]
    cls: Float[Tensor, "n e"]  # the CLS vector of every inked leaf
    leaves: quadtree.Leaves
    logits: Float[Tensor, "1 c"]

    @classmethod
    def at(cls, model: SketchModel, canvas: Float[Tensor, "1 h h"]) -> "Look":
        # The whole tree, since coarse leaves would explain little
        depth = quadtree.depth_of_canvas(canvas.shape[-1], model.config.sketch.tile)
        vectors, leaves = model.embed(canvas, depth)
        return cls(canvas, vectors, leaves, pooled(model, vectors, leaves, 1))

    @property
    def label(self) -> int:
        """The number of the most probable class."""
        return int(self.logits[0].argmax())


def explain(model: SketchModel, sketch: Sketch, top: int = 5) -> Explanation:
    """Explain which leaves decide for the most probable class. The result also lists the `top` classes.

    Raises VisketchError for a sketch that is blank or has almost no ink.
    """
    check_number("top", top, 1)
    look = Look.at(model, model.render([sketch]))
    if not len(look.leaves):
        raise VisketchError(f"{sketch.source or 'sketch'}: too little ink to explain: no leaf holds any; draw more")
    label = look.label
    vote = shares(model, look, label)
    # It is positive, since the probability of the best class is above that on a blank canvas
    weight = vote / vote.sum().clamp(min=1e-9)
    order = weight.argsort(descending=True)
    gone = torch.zeros(1, len(order), dtype=torch.bool, device=order.device)
    gone[0, order[: deciding(weight[order].tolist())]] = True
    without = chances(model, erase(look.canvas, look.leaves, gone), label).exp()
    attention, (said, own) = looked_at(model, look), alone(model, look).max(dim=1)
    boxes = [
        (x - side / 2, y - side / 2, x + side / 2, y + side / 2) for y, x, side in quadtree.place(look.leaves).tolist()
    ]
    on_input = Viewport.of(sketch, model.config.sketch.margin)
    columns = zip(*(column.tolist() for column in (weight, attention, said, own)), strict=True)
    votes = [
        Vote(box, on_input(box), share, seen, model.labels[name], certain)
        for box, (share, seen, certain, name) in zip(boxes, columns, strict=True)
    ]
    probability, ranked = look.logits.softmax(dim=1)[0].topk(min(top, len(model.labels)))
    guesses = tuple(Prediction(model.labels[i], p) for i, p in zip(ranked.tolist(), probability.tolist(), strict=True))
    best, ordered = guesses[0], [votes[i] for i in order.tolist()]
    return Explanation(
        best.label, best.probability, ordered, float(without), guesses, look.canvas, _note(model, sketch)
    )


def _note(model: SketchModel, sketch: Sketch) -> str:
    """Why `classify` may give another answer than an explanation, in a sentence. Empty if it reads the same."""
    larger = ["larger leaves"] if model.config.classifier.depth < model.config.sketch.depth else []
    more = " and ".join(larger + (["the strokes too"] if model.pieces([sketch])[0] is not None else []))
    return f"The answer of classify may differ, since it reads {more}." if more else ""


@dataclass(frozen=True)
class Viewport:
    """The position of a drawing on the canvas, which maps boxes back to the input (see `sketch.fit`)."""

    centre: np.ndarray
    scale: float
    size: np.ndarray  # the size of a picture in pixels; 1 for strokes

    @classmethod
    def of(cls, sketch: Sketch, margin: float) -> "Viewport":
        points = np.concatenate(sketch.lines())
        low, high = points.min(axis=0), points.max(axis=0)
        fitted = np.concatenate(fit((np.stack([low, high]),), margin))
        size = np.ones(2) if sketch.pixels is None else np.array(sketch.pixels.shape[::-1], float)
        return cls((low + high) / 2, longer_side(fitted) / longer_side(points), size)

    def __call__(self, box: Box) -> Box:
        corners = ((np.array(box).reshape(2, 2) - 0.5) / self.scale + self.centre) / self.size
        left, top, right, bottom = corners.ravel().tolist()
        return left, top, right, bottom


@torch.inference_mode()
def pooled(
    model: SketchModel, cls: Float[Tensor, "n e"], leaves: quadtree.Leaves, sketches: int
) -> Float[Tensor, "b c"]:
    """The logits of sketches from their leaves."""
    classifier = model.part("classifier")
    with model.precision():
        return classifier.out(classifier.pool(cls, leaves, sketches)).float()


@torch.inference_mode()
def alone(model: SketchModel, look: Look) -> Float[Tensor, "n c"]:
    """The class probabilities of each leaf by itself, with its context."""
    with model.precision():
        return model.part("classifier")(look.cls, look.leaves, 1)[1].float().softmax(dim=1)


@torch.inference_mode()
def looked_at(model: SketchModel, look: Look) -> Float[Tensor, " n"]:
    """The attention of the pooling to each leaf in its last block. It does not depend on the class."""
    with model.precision():
        return model.part("classifier").attention(look.cls, look.leaves, 1)


def shares(model: SketchModel, look: Look, label: int, orders: int = ORDERS) -> Float[Tensor, " n"]:
    """The votes: what each leaf adds to the probability of the class, averaged over the orders.

    They add up to the probability of the whole drawing minus that of a blank canvas.
    """
    n, rng = len(look.leaves), np.random.default_rng(0)
    forth = np.stack([rng.permutation(n) for _ in range(orders)])
    order = torch.from_numpy(np.concatenate([forth, forth[:, ::-1]])).to(look.canvas.device)
    turn = order.argsort(dim=1)
    gone = rearrange(turn[:, None] < torch.arange(n + 1, device=turn.device)[:, None], "o k n -> (o k) n")
    chance = chances(model, erase(look.canvas, look.leaves, gone), label).exp()
    lost = -rearrange(chance, "(o k) -> o k", k=n + 1).diff(dim=1)  # what the k-th leaf of the order adds
    return lost.gather(1, turn).mean(dim=0)


def erase(
    canvas: Float[Tensor, "1 h h"], leaves: quadtree.Leaves, which: Bool[Tensor, "b n"]
) -> Float[Tensor, "b h h"]:
    """Copies of the drawing that are blank where leaves are erased (True in `which`)."""
    copies = canvas.repeat(len(which), 1, 1)
    sketch, leaf = which.nonzero(as_tuple=True)
    gone = quadtree.Leaves(sketch, leaves.level[leaf], leaves.z[leaf])
    side = canvas.shape[-1] >> int(leaves.level.max())
    quadtree.paint_over(copies, gone, canvas.new_full((len(gone), side, side), -1))
    return copies


def chances(model: SketchModel, canvases: Float[Tensor, "b h h"], label: int) -> Float[Tensor, " b"]:
    """The log-probability of a class for each canvas."""
    depth = quadtree.depth_of_canvas(canvases.shape[-1], model.config.sketch.tile)
    logits = torch.cat([model.logits(some, depth) for some in canvases.split(BATCH)])
    return logits.log_softmax(dim=1)[:, label]
