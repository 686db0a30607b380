"""Measure `visketch refine`: real drawings are roughened and then refined at several strengths.

    python studies/refine.py --data packed.arrow --judge runs/resnet34 [--limit 200] [--strengths 0 0.2 0.4 0.6]
                           [--split test] [--checkpoint FOLDER] [--json] [--sheet redrawn.png]

Drawings are roughened in three ways: as a bitmap of 28 pixels, with shaking lines, and with broken lines. For each, the
table says how often the judge, a classifier of 345 classes, names the right class before and after refining, both with
the class given and with the classifier's guess. It also gives the ink F1 (1 px, at 128) against the clean drawing. The
judge sees rendered pictures. `--sheet` shows twelve drawings, one in each column.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visketch.data import image
from visketch.data.store import Store
from visketch.evaluate import judges
from visketch.evaluate.judges import Judge, reread
from visketch.evaluate.recognition import sample
from visketch.evaluate.styles import PEN, picture
from visketch.geometry.sketch import Sketch, fit
from visketch.geometry.sketch import sample as points_along
from visketch.metrics import ink_f1, interval
from visketch.model import SketchModel
from visketch.tasks.refine import refine

BATCH = 32


def bitmap(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    """A bitmap of 28 x 28 pixels, the size of common data sets."""
    small = picture(sketch, 2 * PEN).resize((28, 28), Image.Resampling.BOX)
    return replace(sketch, strokes=None, pixels=image.understand(small)[0].pixels)


def shaking(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    """A point every 4 % of the side, each displaced by 1.5 % of it."""
    lines = [points_along((line,), 0.04) for line in fit(sketch.lines(), 0)]
    return replace(sketch, strokes=tuple(line + rng.normal(0, 0.015, line.shape).astype(np.float32) for line in lines))


def broken(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    """Pieces of 6 to 15 % of the side, and gaps of 2 to 6 % between them."""
    pieces = []
    for line in fit(sketch.lines(), 0):
        fine, at = points_along((line,), 0.005), 0
        while at < len(fine):
            length = int(rng.uniform(0.06, 0.15) / 0.005)
            pieces.append(fine[at : at + length])
            at += length + int(rng.uniform(0.02, 0.06) / 0.005)
    return replace(sketch, strokes=tuple(pieces))


ROUGH: dict[str, Callable[[Sketch, np.random.Generator], Sketch]] = {
    "28-pixel bitmap": bitmap,
    "shaking": shaking,
    "broken": broken,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6])
    parser.add_argument("--split", default="test")
    parser.add_argument("--checkpoint")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sheet", type=Path)
    chosen = parser.parse_args()
    model, judge, store = SketchModel.load(chosen.checkpoint), judges.load(chosen.judge), Store(chosen.data)
    drawings = [store[int(row)] for row in sample(store, chosen.split, chosen.limit)]
    clean = model.render(drawings)
    rows: list[dict] = []
    pictures = [clean]

    def tell(row: dict) -> None:
        rows.append(row)
        if not chosen.json:
            print(row_of(row), flush=True)

    tell(measured(model, judge, clean, clean, drawings, "clean", "as drawn"))
    for name, spoil in ROUGH.items():
        rough = [spoil(sketch, np.random.default_rng(i)) for i, sketch in enumerate(drawings)]
        before = model.render(rough)
        tell(measured(model, judge, before, clean, drawings, name, "before"))
        pictures.append(before)
        known = [str(sketch.label) for sketch in rough]
        guessed = [row[0].label for row in model.classify_many(rough, top=1)]
        for strength in chosen.strengths:
            for labels, how in ((known, "class given"), (guessed, "class guessed")):
                after = again(model, rough, labels, strength)
                tell(measured(model, judge, after, clean, drawings, name, f"{strength:.2g}, {how}"))
                if labels is known:
                    pictures.append(after)
    if chosen.json:
        print(json.dumps(rows, indent=2))
    if chosen.sheet:
        ink = torch.cat([torch.cat(list(model.ink(canvas[:12])), dim=1) for canvas in pictures])
        Image.fromarray((255 * (1 - ink)).byte().numpy()).save(chosen.sheet)


def again(model: SketchModel, rough: list[Sketch], labels: list[str], strength: float) -> torch.Tensor:
    return torch.cat(
        [
            refine(model, rough[at : at + BATCH], labels[at : at + BATCH], strength=strength).canvas
            for at in range(0, len(rough), BATCH)
        ]
    )


def measured(
    model: SketchModel,
    judge: Judge,
    canvas: torch.Tensor,
    clean: torch.Tensor,
    drawings: list[Sketch],
    rough: str,
    how: str,
) -> dict[str, object]:
    right = torch.tensor([judge.labels.index(str(sketch.label)) for sketch in drawings])
    seen = reread(canvas, model.config.sketch, judge.shape)
    hits = (
        (torch.cat([judge.logits_and_features(some)[0].argmax(dim=1) for some in seen.split(BATCH)]) == right)
        .double()
        .numpy()
    )
    f1 = float(ink_f1(canvas > 0, clean > 0).mean())
    best = torch.cat([model.logits(some).argmax(dim=1) for some in canvas.split(BATCH)])
    named = [model.labels[number] for number in best.tolist()]
    own = float(np.mean([name == sketch.label for name, sketch in zip(named, drawings, strict=True)]))
    return {"rough": rough, "strength": how, "top1": hits.mean(), "interval": interval(hits), "own": own, "ink_f1": f1}


def row_of(row: dict) -> str:
    low, high = row["interval"]
    share = f"{100 * row['top1']:.1f} % ({100 * low:.1f}–{100 * high:.1f})"
    return f"| {row['rough']} | {row['strength']} | {share} | {100 * row['own']:.1f} % | {row['ink_f1']:.3f} |"


if __name__ == "__main__":
    main()
