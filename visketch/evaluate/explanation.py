"""Check explanations by deletion: erase leaves in the order of their votes, and see how fast the probability falls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from visketch import quadtree
from visketch.data.store import Store
from visketch.evaluate.recognition import OnProgress, quiet, sample
from visketch.metrics import interval
from visketch.model import SketchModel
from visketch.tasks.explain import Look, alone, chances, erase, looked_at, pooled, shares

SHARES = np.linspace(0, 1, 11)  # shares of a drawing's leaves that are erased
RANDOM = 3  # the number of random orders of each drawing

LeafOrder = Callable[[SketchModel, Look, int], Tensor]  # a value for each leaf (n); the largest is erased first


@dataclass(frozen=True)
class Curve:
    """The probability of the class predicted for the whole drawing, averaged over the drawings."""

    order: str
    probability: list[float]  # at each of `Deletion.shares`
    area: float  # the mean over the shares; lower is better
    interval: tuple[float, float]  # the 95 % interval of the area
    below_random: float  # the share of the drawings whose area is below that of random orders


@dataclass(frozen=True)
class Deletion:
    drawings: int
    shares: list[float]
    curves: list[Curve]  # the vote of `classify --explain` comes first, random orders come last


def erased(model: SketchModel, look: Look, label: int) -> Float[Tensor, " n"]:
    """For each leaf, minus the log-probability of the class if only this leaf is erased."""
    each = torch.eye(len(look.leaves), dtype=torch.bool, device=look.canvas.device)
    return -chances(model, erase(look.canvas, look.leaves, each), label)


def left_out(model: SketchModel, look: Look, label: int) -> Float[Tensor, " n"]:
    """For each leaf, minus the log-probability of the class if the leaf is not pooled, although its neighbours still
    see its ink.
    """
    sketch, leaf = (~torch.eye(len(look.leaves), dtype=torch.bool, device=look.cls.device)).nonzero(as_tuple=True)
    others = quadtree.Leaves(sketch, look.leaves.level[leaf], look.leaves.z[leaf])
    return -pooled(model, look.cls[leaf], others, len(look.leaves)).log_softmax(dim=1)[:, label]


def gradient(model: SketchModel, look: Look, label: int) -> Float[Tensor, " n"]:
    """Gradient times input: the gradient of the class's logit with respect to the leaf's vector, times that vector."""
    with torch.inference_mode(False), torch.enable_grad():
        cls = look.cls.clone().requires_grad_()
        leaves = quadtree.Leaves(look.leaves.sketch.clone(), look.leaves.level.clone(), look.leaves.z.clone())
        logits = model.part("classifier")(cls, leaves, 1)[0]
        (slope,) = torch.autograd.grad(logits[0, label], cls)
        return (slope * cls).sum(dim=1).detach()


def ink(model: SketchModel, look: Look, label: int) -> Float[Tensor, " n"]:
    """The amount of ink in the leaf: not a vote, but a strong baseline."""
    depth = model.config.sketch.depth
    return quadtree.information(look.canvas, depth, near=0.0)[0, look.leaves.tile]


ORDERS: dict[str, LeafOrder] = {
    "shares": shares,
    "erased": erased,
    "left out": left_out,
    "gradient": gradient,
    "attention": lambda model, look, label: looked_at(model, look),
    "own class": lambda model, look, label: alone(model, look)[:, label],
    "most ink": ink,
}
ROWS = (*ORDERS, "least shares", "random")


@torch.inference_mode()
def deletion(
    model: SketchModel, store: Store, split: str = "test", limit: int | None = None, on_progress: OnProgress = quiet
) -> Deletion:
    """Measure every order of erasing on the drawings that have more than two leaves."""
    rows, found = sample(store, split, limit), []
    for done, number in enumerate(rows.tolist(), 1):
        look = Look.at(model, model.render([store[number]]))
        if len(look.leaves) > 2:
            found.append(curves(model, look, number))
        on_progress(done, len(rows))
    every = np.stack(found)  # drawings, orders, shares
    areas = every.mean(axis=2)
    rest = areas[:, -1]
    named = [
        Curve(
            order,
            every[:, place].mean(axis=0).tolist(),
            float(areas[:, place].mean()),
            interval(areas[:, place]),
            float((areas[:, place] < rest).mean()),
        )
        for place, order in enumerate(ROWS)
    ]
    return Deletion(len(found), SHARES.tolist(), named)


def curves(model: SketchModel, look: Look, seed: int) -> Float[np.ndarray, "orders shares"]:
    """The curves of one drawing, one for each order. Random orders are averaged."""
    rng, n = np.random.default_rng(seed), len(look.leaves)
    orders = [torch.argsort(order(model, look, look.label), descending=True, stable=True) for order in ORDERS.values()]
    chance = [torch.from_numpy(rng.permutation(n)).to(look.canvas.device) for _ in range(RANDOM)]
    found = [curve(model, look, order) for order in (*orders, orders[0].flip(0), *chance)]
    return np.stack([*found[:-RANDOM], np.mean(found[-RANDOM:], axis=0)])


def curve(model: SketchModel, look: Look, order: Int[Tensor, " n"]) -> Float[np.ndarray, " shares"]:
    """The probability of the drawing's class after erasing the first leaves of an order, at each share of leaves."""
    n = len(order)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(n, device=order.device)
    counts: Sequence[int] = np.unique(np.round(SHARES * n).astype(int)).tolist()
    which = torch.stack([rank < count for count in counts])
    probability = chances(model, erase(look.canvas, look.leaves, which), look.label).exp()
    return np.interp(SHARES * n, counts, probability.cpu().numpy())
