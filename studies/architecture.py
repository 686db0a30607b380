"""Draw docs/architecture.png: the pipeline as a figure, for one sketch that the shipped weights generate and classify.

python studies/architecture.py [--class cat] [--seed 7] [--out docs/architecture.png]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from visketch import quadtree
from visketch.api import DrawnSketch
from visketch.decoding import inked_leaves
from visketch.model import SketchModel
from visketch.render.files import write_png
from visketch.render.grey import grey
from visketch.render.poster import FAINT, INK, LEVELS, Page

SIDE, GAP, EDGE, TEXT = 176, 60, 28, 62  # pixels: picture, gap, border, caption
STEPS = (
    ("diffusion", "a class becomes a", "coarse sketch, p x p"),
    ("quadtree", "enlarged and split", "where there is ink"),
    ("encoder, refiner", "leaf by leaf, in waves:", "VQ-VAE codes, in context"),
    ("vqvae", "codes become pixels,", "the field h x h"),
    ("geometry.trace", "the ridge of the field", "as strokes"),
)


def pictures(model: SketchModel, label: str, seed: int) -> tuple[list[np.ndarray], Tensor]:
    """The picture of each step (SIDE SIDE 3), and the refined field (1 h h)."""
    coarse = model.generate_fields(label, seed=seed, tries=8, refine=False, coarse="field").canvas
    number = torch.tensor([model.label_of(label)], device=model.device)
    seen = [frame.canvas.clone() for frame in model.decode(coarse, number, seeds=[seed])]
    refined, half, clamp = seen[-1], seen[(len(seen) - 1) // 2], model.config.sketch.clamp
    drawn = DrawnSketch.of(refined[0], clamp, label=label)
    lines = Page(SIDE, SIDE)
    for place, stroke in enumerate(drawn.strokes or ()):
        points = [tuple(point) for point in (stroke * SIDE / len(refined[0])).tolist()]
        lines.draw.line(points, fill=LEVELS[1 + place % (len(LEVELS) - 1)], width=3, joint="curve")
    fields = [grey(field, clamp, SIDE)[0] for field in (coarse, coarse, half, refined)]
    shown = [np.repeat(field[..., None], 3, axis=2) for field in fields]
    shown[1] = with_leaves(shown[1], coarse, model)
    return [*shown, np.asarray(lines.image)], refined


def with_leaves(picture: np.ndarray, canvas: Tensor, model: SketchModel) -> np.ndarray:
    """The picture with the leaves that hold ink, each framed in the colour of its level."""
    page = Page(SIDE, SIDE)
    page.put((0, 0), picture, SIDE)
    leaves = inked_leaves(canvas, model.config.sketch, model.config.sketch.depth)
    for level, (y, x, side) in zip(leaves.level.tolist(), quadtree.place(leaves).tolist(), strict=True):
        corner = round(SIDE * (x - side / 2)), round(SIDE * (y - side / 2))
        page.frame(corner, round(SIDE * side), LEVELS[level], 2)
    return np.asarray(page.image)


def figure(model: SketchModel, label: str, seed: int) -> np.ndarray:
    """The figure (rows columns 3), uint8: the steps of drawing from left to right, and recognition below them."""
    shown, refined = pictures(model, label, seed)
    page = Page(2 * EDGE + len(shown) * (SIDE + GAP) - GAP, 2 * EDGE + SIDE + TEXT + 96)
    page.write((EDGE, EDGE - 14), f"Drawing: {label!r}", 15, INK)
    for place, (picture, (name, first, second)) in enumerate(zip(shown, STEPS, strict=True)):
        left, top = EDGE + place * (SIDE + GAP), EDGE + 8
        page.put((left, top), picture, SIDE)
        page.frame((left, top), SIDE, FAINT)
        page.write((left, top + SIDE + 6), name, 15, INK)
        page.write((left, top + SIDE + 26), first, 13)
        page.write((left, top + SIDE + 42), second, 13)
        if place:
            arrow(page, left - GAP + 10, top + SIDE // 2, left - 10)
    guess = model.classify_fields(refined, top=3)[0]
    told = ", ".join(f"{one.label} {one.probability:.0%}" for one in guess)
    low = EDGE + SIDE + TEXT + 30
    page.write((EDGE, low), "Recognition: the way back", 15, INK)
    steps = ("strokes or pixels", "field (sdf)", "quadtree", "encoder: a vector a leaf", f"classifier: {told}")
    x = EDGE
    for place, words in enumerate(steps):
        page.write((x, low + 30), words, 14, INK)
        end = x + round(page.draw.textlength(words, font_size=14))
        if place < len(steps) - 1:
            arrow(page, end + 12, low + 38, end + 44)
        x = end + 56
    return np.asarray(page.image)


def arrow(page: Page, start: int, y: int, end: int) -> None:
    page.draw.line((start, y, end, y), fill=INK, width=2)
    page.draw.polygon([(end, y), (end - 8, y - 5), (end - 8, y + 5)], fill=INK)


def main() -> None:
    parser = argparse.ArgumentParser(description="The pipeline as a figure.")
    parser.add_argument("--class", dest="label", default="cat", help="what is drawn (cat)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("docs/architecture.png"))
    options = parser.parse_args()
    model = SketchModel.load()
    write_png(options.out, figure(model, options.label, options.seed), {"class": options.label, "seed": options.seed})
    print(options.out)


if __name__ == "__main__":
    main()
