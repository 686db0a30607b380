"""Inspect how the model sees one drawing: its quadtree, the context of a leaf, its codes and its classes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from visketch.errors import UsageError, VisketchError

if TYPE_CHECKING:
    from torch import Tensor

    from visketch.model import SketchModel
    from visketch.quadtree import Leaves


@dataclass(frozen=True)
class View:
    """Everything that `visketch show` displays about one drawing."""

    field: "Tensor"  # (1 h h)
    leaves: "Leaves"  # all leaves, which together cover the canvas
    inked: "Tensor"  # (n) whether each leaf holds ink
    leaf: int  # the number of the chosen leaf among all
    tiles: "Tensor"  # (m p p)
    context: list[int]  # the numbers of its context tiles, -1 for none
    codes: "Tensor | None" = None  # (n t) of every leaf; None without a vqvae
    drawn: "Tensor | None" = None  # (n p p) the leaves decoded from their codes
    again: "Tensor | None" = None  # (1 h h) the whole drawing, decoded
    book: int = 0  # the size of the codebook
    guess: tuple[tuple[str, float], ...] = ()

    def numbers(self) -> list[int]:
        """The inked leaves as positions among all leaves. The option --leaf counts these."""
        return self.inked.nonzero()[:, 0].tolist()


def look(model: "SketchModel", field: "Tensor", leaf: int | None) -> View:
    """Everything about one field, as far as the checkpoint has the parts for it.

    `leaf` is the number of the inked leaf to look at, by default the one with the most ink. Raises UsageError for a
    leaf that does not exist.
    """
    import torch

    from visketch import quadtree

    shape = model.config.sketch
    share = quadtree.information(field, shape.depth, near=shape.near)
    leaves, inked = quadtree.split(share, shape.information)
    tiles = quadtree.tiles(field, shape.depth)
    numbers = inked.nonzero()[:, 0]
    if not len(numbers):
        raise VisketchError("no leaf of the drawing holds ink; draw more")
    if leaf is None:  # the leaf with the most ink
        leaf = int(share[0, leaves[inked].tile].argmax())
    if leaf >= len(numbers):
        raise UsageError(f"--leaf {leaf}: the drawing has {len(numbers)} inked leaves, 0 to {len(numbers) - 1}")
    chosen = int(numbers[leaf])
    context = quadtree.context(shape.depth)[int(leaves.tile[chosen])].tolist()
    more: dict[str, Any] = {}
    if model.has("vqvae"):
        with torch.inference_mode():
            vqvae = model.part("vqvae")
            codes = vqvae.encode(tiles[0, leaves.tile])
            drawn = vqvae.decode(codes)
            again = quadtree.paint(torch.full_like(field, -1), leaves[inked], drawn[inked])
        more |= {"codes": codes.cpu(), "drawn": drawn.cpu(), "again": again.cpu()}
        more["book"] = model.config.vqvae.codebook_size
    if model.has("encoder") and model.has("classifier"):
        probability, label = model.logits(field).softmax(dim=1)[0].topk(min(3, len(model.labels)))
        more["guess"] = tuple(zip([model.labels[i] for i in label.tolist()], probability.tolist(), strict=True))
    leaves = quadtree.Leaves(leaves.sketch.cpu(), leaves.level.cpu(), leaves.z.cpu())
    return View(field.cpu(), leaves, inked.cpu(), chosen, tiles[0].cpu(), context, **more)


def summary(seen: View) -> dict[str, Any]:
    """What the picture shows, in numbers."""
    levels = seen.leaves.level.tolist()
    counts = {level: [0, 0] for level in sorted(set(levels))}
    for level, inked in zip(levels, seen.inked.tolist(), strict=True):
        counts[level][0] += 1
        counts[level][1] += inked
    numbers = seen.numbers()
    facts: dict[str, Any] = {
        "leaves": len(levels),
        "inked_leaves": len(numbers),
        "levels": [{"level": level, "leaves": all, "inked": inked} for level, (all, inked) in counts.items()],
        "leaf": {
            "number": numbers.index(seen.leaf),
            "level": levels[seen.leaf],
            "z": int(seen.leaves.z[seen.leaf]),
            "context": len(seen.context),
            "none": seen.context.count(-1),
        },
    }
    if seen.codes is not None and seen.again is not None:
        from visketch.metrics import ink_f1

        facts["codes"] = {
            "of_the_leaf": seen.codes[seen.leaf].tolist(),
            "different": len(seen.codes[seen.inked].unique()),
            "code_book": seen.book,
            "ink_f1": round(float(ink_f1(seen.again > 0, seen.field > 0)[0]), 4),
        }
    facts["guess"] = [{"label": label, "probability": round(share, 6)} for label, share in seen.guess]
    return facts
