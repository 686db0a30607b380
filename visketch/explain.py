"""Why a drawing is taken for what it is: which leaves decide.

A leaf's *vote* for a class is a number of any sign and scale, the larger the more the class owes to the leaf.
docs/questions/explain.md measures which kind of vote is true: erase the leaves that vote most, and the class must go.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from visketch import quadtree
from visketch.model import ViSketch

BATCH = 64  # canvases looked at together


@dataclass(frozen=True)
class Look:
    """One drawing as the classifier saw it."""

    canvas: Float[Tensor, "1 h h"]
    cls: Float[Tensor, "n e"]  # of every inked leaf
    leaves: quadtree.Leaves
    logits: Float[Tensor, "1 c"]

    @classmethod
    def at(cls, model: ViSketch, canvas: Float[Tensor, "1 h h"]) -> "Look":
        vectors, leaves = model.embed(canvas)
        return cls(canvas, vectors, leaves, pooled_logits(model, vectors, leaves, 1))

    @property
    def label(self) -> int:
        """The number of the likeliest class."""
        return int(self.logits[0].argmax())


Vote = Callable[[ViSketch, Look, int], Tensor]  # of every leaf (n), for a class


@torch.inference_mode()
def pooled_logits(
    model: ViSketch, cls: Float[Tensor, "n e"], leaves: quadtree.Leaves, sketches: int
) -> Float[Tensor, "b c"]:
    with model.precision():
        return model.part("classifier")(cls, leaves, sketches)[0].float()


@torch.inference_mode()
def alone(model: ViSketch, look: Look) -> Float[Tensor, "n c"]:
    """What each leaf, with what it sees around it, would say by itself: probabilities."""
    with model.precision():
        return model.part("classifier")(look.cls, look.leaves, 1)[1].float().softmax(dim=1)


def erase(canvas: Float[Tensor, "1 h h"], leaves: quadtree.Leaves, which: Tensor) -> Float[Tensor, "b h h"]:
    """The drawing without some leaves, blank where they were. `which` (b n): True is erased."""
    copies = canvas.repeat(len(which), 1, 1)
    sketch, leaf = which.nonzero(as_tuple=True)
    gone = quadtree.Leaves(sketch, leaves.level[leaf], leaves.z[leaf])
    quadtree.paint_over(copies, gone, canvas.new_full((len(gone), 8, 8), -1))
    return copies


def chances(model: ViSketch, canvases: Float[Tensor, "b h h"], label: int) -> Float[Tensor, " b"]:
    """The log-probability of a class on each of the canvases."""
    logits = torch.cat([model.logits(some) for some in canvases.split(BATCH)])
    return logits.log_softmax(dim=1)[:, label]


def attention(model: ViSketch, look: Look, label: int) -> Float[Tensor, " n"]:
    """How much the pooled vector looks at each leaf in the last block, mean over the heads; the same for all classes."""
    return model.part("classifier").attention(look.cls, look.leaves, 1)


def left_out(model: ViSketch, look: Look, label: int) -> Float[Tensor, " n"]:
    """What the log-probability loses if the leaf is not pooled, though its neighbours still see its ink."""
    sketch, leaf = (~torch.eye(len(look.leaves), dtype=torch.bool, device=look.cls.device)).nonzero(as_tuple=True)
    others = quadtree.Leaves(sketch, look.leaves.level[leaf], look.leaves.z[leaf])
    logits = pooled_logits(model, look.cls[leaf], others, len(look.leaves))
    return look.logits.log_softmax(dim=1)[0, label] - logits.log_softmax(dim=1)[:, label]


def erased(model: ViSketch, look: Look, label: int) -> Float[Tensor, " n"]:
    """What the log-probability loses if the leaf's ink is erased, and all is looked at anew."""
    each = torch.eye(len(look.leaves), dtype=torch.bool, device=look.canvas.device)
    without = chances(model, erase(look.canvas, look.leaves, each), label)
    return look.logits.log_softmax(dim=1)[0, label] - without


def gradient(model: ViSketch, look: Look, label: int) -> Float[Tensor, " n"]:
    """Gradient times input of the logit, summed over the leaf's vector."""
    with torch.inference_mode(False), torch.enable_grad():
        cls = look.cls.clone().requires_grad_()
        leaves = quadtree.Leaves(look.leaves.sketch.clone(), look.leaves.level.clone(), look.leaves.z.clone())
        logits = model.part("classifier")(cls, leaves, 1)[0]
        (slope,) = torch.autograd.grad(logits[0, label], cls)
        return (slope * cls).sum(dim=1).detach()


def own(model: ViSketch, look: Look, label: int) -> Float[Tensor, " n"]:
    """The log-probability that the leaf gives the class by itself."""
    return alone(model, look)[:, label].log()


VOTES: dict[str, Vote] = {
    "erased": erased,
    "left out": left_out,
    "gradient": gradient,
    "attention": attention,
    "own class": own,
}
