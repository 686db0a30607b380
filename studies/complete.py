"""Measure `visketch complete`: real drawings are cut to the first half of their strokes and completed.

    python studies/complete.py --data packed.arrow --judge runs/resnet34 [--each 6] [-n 4] [--tries 4] [--seed 0]
                             [--classes cat owl ...] [--split test] [--checkpoint FOLDER] [--json] [--sheet drawn.png]

The judge is a classifier of 345 classes. The table says how often it names the right class: for the whole drawings, for
their first halves, for all completions, and for the completion that visketch ranks first of `n`. It also says how much
of the given ink is kept, within one pixel. As for a user, the program must find the place of the half on the canvas.
The judge sees rendered pictures. Each class is represented by random drawings with at least two strokes. The sheet
shows each drawing, its half and its completions.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visketch.data.store import Store
from visketch.evaluate import judges
from visketch.evaluate.judges import Judge, reread
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.metrics import interval, kept
from visketch.model import SketchModel
from visketch.tasks.complete import best_first, complete

CLASSES = ["bus", "cat", "elephant", "flamingo", "owl", "pig", "sheep"]


def drawings(store: Store, split: str, classes: list[str], each: int) -> list[Sketch]:
    found, rows = [], store.rows(split)
    for label in classes:
        of_class = np.random.default_rng(0).permutation(rows[store.label[rows] == store.labels.index(label)])
        several = (sketch for sketch in (store[row] for row in of_class) if len(sketch.strokes or ()) > 1)
        found += [sketch for sketch, _ in zip(several, range(each), strict=False)]
    return found


def half(sketch: Sketch) -> Sketch:
    strokes = sketch.strokes or ()
    return replace(sketch, strokes=strokes[: len(strokes) // 2])


def named(model: SketchModel, judge: Judge, canvas: torch.Tensor, labels: list[str]) -> np.ndarray:
    """For each field, whether the judge names the right class."""
    right = torch.tensor([judge.labels.index(label) for label in labels])
    seen = reread(canvas, model.config.sketch, judge.shape)
    return (
        (torch.cat([judge.logits_and_features(some)[0].argmax(dim=1) for some in seen.split(32)]) == right)
        .double()
        .numpy()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--classes", nargs="+", default=CLASSES)
    parser.add_argument("--each", type=int, default=6)
    parser.add_argument("-n", type=int, default=4)
    parser.add_argument("--tries", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="test")
    parser.add_argument("--checkpoint")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sheet", type=Path)
    chosen = parser.parse_args()
    model, judge, store = SketchModel.load(chosen.checkpoint), judges.load(chosen.judge), Store(chosen.data)
    whole = drawings(store, chosen.split, chosen.classes, chosen.each)
    parts, labels = [half(sketch) for sketch in whole], [str(sketch.label) for sketch in whole]
    before = {"whole drawing": model.render(whole), "first half": model.render(parts)}
    hits = {name: named(model, judge, canvas, labels) for name, canvas in before.items()}
    rest, best, shares, cells = [], [], [], []
    for number, (part, label) in enumerate(zip(parts, labels, strict=True)):
        found = best_first(complete(model, part, [label] * chosen.n, tries=chosen.tries, seed=chosen.seed))
        canvas, given = (torch.stack([getattr(each, what) for each in found]) for what in ("canvas", "given"))
        right = named(model, judge, canvas, [label] * chosen.n)
        rest.append(right.mean())
        best.append(right[0])
        shares += kept(given > 0, canvas > 0).tolist()
        cells.append(torch.cat([*(shown[number] for shown in before.values()), *canvas], dim=1))
        if chosen.sheet:  # written after each drawing, so that it can be looked at during the run
            ink = sdf.ink(torch.cat(cells), model.config.sketch.clamp * model.config.sketch.canvas / cells[0].shape[-1])
            Image.fromarray((255 * (1 - ink)).byte().numpy()).save(chosen.sheet)
    hits |= {f"completions, mean of {chosen.n}": np.array(rest), "the one put first": np.array(best)}
    rows = [{"row": name, "top1": float(each.mean()), "interval": interval(each)} for name, each in hits.items()]
    facts = {"drawings": len(whole), "kept_mean": float(np.mean(shares)), "kept_least": float(np.min(shares))}
    if chosen.json:
        print(json.dumps({"rows": rows, **facts}, indent=2))
        return
    for name, each in hits.items():
        low, high = interval(each)
        print(f"| {name} | {100 * each.mean():.1f} % ({100 * low:.1f}–{100 * high:.1f}) |")
    mean, least = (f"{100 * facts[name]:.2f} %" for name in ("kept_mean", "kept_least"))
    print(f"{len(whole)} drawings; of the given ink {mean} is kept, {least} of the worst")


if __name__ == "__main__":
    main()
