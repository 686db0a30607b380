"""Measure `visketch morph`: are the steps between two drawings themselves drawings?

    python studies/morph.py --data packed.arrow --judge checkpoints/judge [--pairs 20] [--steps 12] [--seed 0]
                          [--strength 0 0.8] [--checkpoint FOLDER] [--json] [--sheet drawn.png]

Each pair is two real drawings of different classes, whose classes the judge names correctly. No class occurs twice.
There is a row for the steps between the ends, for each strength; a row for sketches of the same classes that `generate`
draws; and a row for other real drawings of these classes.

The columns are: how many are named as one of the two classes (for sketches and drawings, as their own class), among all
classes of the judge; how sure the judge is of its first guess; how many lie among real drawings of these classes
(precision), and the distance to the nearest of them, in the judge's features. `ends` says how many ends are still named
correctly, as the morph gives them. `moves` and `leap` say how far the points move from one step to the next, as a mean
and at most, in sides of the page. The sheets have a row for each pair.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from visketch.data.store import Store
from visketch.evaluate import judges
from visketch.evaluate.judges import Judge, reread
from visketch.geometry.sketch import Sketch
from visketch.metrics import coverage, nearest
from visketch.model import SketchModel
from visketch.render.grey import grey
from visketch.tasks.morph import STEPS, STRENGTH, Morph, morph

SIDE = 96  # pixels of a drawing on the sheet
EACH = 5  # real drawings, and sketches, of each class


@dataclass(frozen=True)
class Seen:
    """Drawings as the judge sees them: probabilities (b c), features (b e)."""

    chance: np.ndarray
    features: np.ndarray

    @property
    def guess(self) -> np.ndarray:
        return self.chance.argmax(axis=1)


def look(model: SketchModel, judge: Judge, sketches: list[Sketch]) -> Seen:
    pictures = reread(model.render(sketches), model.config.sketch, judge.shape)
    said = [judge.logits_and_features(some) for some in pictures.split(32)]
    logits, features = (torch.cat(part).float() for part in zip(*said, strict=True))
    return Seen(logits.softmax(dim=1).numpy(), features.numpy())


def of_class(store: Store, label: str, count: int, seed: int) -> list[Sketch]:
    rows = store.rows("test")
    rows = rows[store.label[rows] == store.labels.index(label)]
    return [store[row] for row in np.random.default_rng(seed).permutation(rows)[:count]]


def leaps(found: Morph) -> np.ndarray:
    """How far the points move, on average, from each step to the next."""
    points = np.stack([np.concatenate(step) for step in found.steps]) / 2
    return np.linalg.norm(np.diff(points, axis=0), axis=2).mean(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strength", type=float, nargs="+", default=[0.0, STRENGTH])
    parser.add_argument("--checkpoint")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sheet", type=Path)
    chosen = parser.parse_args()
    model, judge, store = SketchModel.load(chosen.checkpoint), judges.load(chosen.judge), Store(chosen.data)
    classes = [label for label in model.labels if label in judge.labels and label in store.labels]
    names, real = [], list[list[Sketch]]()  # of each class: the end, what is compared, and with what
    for label in np.random.default_rng(chosen.seed).permutation(classes):
        some = of_class(store, str(label), 4 + 2 * EACH, chosen.seed)
        most = model.config.stage("strokes").pieces // 2
        right = look(model, judge, some[:4]).guess == judge.labels.index(label)
        ends = [one for one, named in zip(some[:4], right, strict=True) if named and len(one.lines()) <= most]
        if len(some) == 4 + 2 * EACH and ends:
            names.append(str(label))
            real.append([ends[0], *some[4:]])
        if len(names) == 2 * chosen.pairs:
            break
    own = np.array([judge.labels.index(label) for label in names])
    theirs = np.repeat(own, EACH)
    reference = look(model, judge, [one for some in real for one in some[1 + EACH :]]).features
    rows = dict[str, dict[str, float]]()

    def tell(row: str, seen: Seen, named: np.ndarray, more: dict[str, float]) -> None:
        choice = np.random.default_rng(chosen.seed).permutation(len(named))[: len(reference)]
        rows[row] = {
            "named": float(named.mean()),
            "sure": float(seen.chance.max(axis=1).mean()),
            "precision": float(coverage(reference, seen.features[choice])[0].mean()),
            "nearest": float(nearest(seen.features, reference).mean()),
            **more,
        }

    for strength in chosen.strength:
        morphs = [
            morph(
                model,
                first[0],
                last[0],
                (names[2 * i], names[2 * i + 1]),
                steps=chosen.steps,
                strength=strength,
                seed=i,
            )
            for i, (first, last) in enumerate(zip(real[::2], real[1::2], strict=True))
        ]
        every = [sketch for each in morphs for sketch in each.sketches()]
        seen = look(model, judge, every)
        place = np.arange(len(every)) % chosen.steps
        pair = own.reshape(-1, 2)[np.arange(len(every)) // chosen.steps]
        between = (place > 0) & (place < chosen.steps - 1)
        named = (seen.guess[:, None] == pair).any(axis=1)
        ends = seen.guess == np.where(place > 0, pair[:, 1], pair[:, 0])
        moved = np.stack([leaps(each) for each in morphs])
        more = {
            "ends": float(ends[~between].mean()),
            "moves": float(moved.mean()),
            "leap": float(moved.max(axis=1).mean()),
        }
        tell(f"steps, strength {strength:g}", Seen(seen.chance[between], seen.features[between]), named[between], more)
        if chosen.sheet:
            pictures = grey(model.render(every), model.config.sketch.clamp, SIDE)
            table = rearrange(pictures, "(pair step) h w -> (pair h) (step w)", step=chosen.steps)
            Image.fromarray(table).save(chosen.sheet.with_stem(f"{chosen.sheet.stem}-{strength:g}"))
    drawn = model.generate_fields(names, EACH, seed=chosen.seed, refine=False, coarse="strokes")
    for row, sketches in (
        ("generated", [Sketch(strokes=strokes) for strokes in drawn.strokes or ()]),
        ("real", [one for some in real for one in some[1 : 1 + EACH]]),
    ):
        seen = look(model, judge, sketches)
        tell(row, seen, seen.guess == theirs, {})
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return
    for row, found in rows.items():
        print(f"| {row} | " + " | ".join(f"{name} {value:.3f}" for name, value in found.items()) + " |")


if __name__ == "__main__":
    main()
