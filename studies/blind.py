"""A blind test: can somebody name generated sketches, and tell them from people's drawings?

    python studies/blind.py make --data packed.arrow --out blind/ --key key.json [--seed 1000] [--refined]
    python studies/blind.py score key.json answers.json

`make` draws one sheet of 20 new sketches for each of seven classes, in random order and without names (name-1.png,
name-2.png and so on). It also draws up to 140 numbered pairs (pairs-1.png and so on). A pair is a drawing by a person
and a new sketch of the same class, left and right at random. The key holds the answers, so keep it away from the
viewer. Each sketch is drawn once, and none is selected. Both sides of a pair are strokes drawn with the same pen, so
the style of the line gives nothing away. With `--refined`, the new sketches are refined pictures instead. The viewer
sees only the pictures, and writes answers.json: {"names": ["...", 7 in all], "pairs": "LRRL..."}, where L means that
the left drawing is by a person.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from visketch.data.store import Store
from visketch.model import SketchModel

CLASSES = ("bus", "cat", "elephant", "flamingo", "owl", "pig", "sheep")
EACH, ACROSS, SIDE, EDGE = 20, 5, 160, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    making, scoring = verbs.add_parser("make"), verbs.add_parser("score")
    making.add_argument("--data", type=Path, required=True)
    making.add_argument("--out", type=Path, required=True)
    making.add_argument("--key", type=Path, required=True)
    making.add_argument("--refined", action="store_true")
    making.add_argument("--seed", type=int, default=1000)
    making.add_argument("--checkpoint")
    scoring.add_argument("key", type=Path)
    scoring.add_argument("answers", type=Path)
    chosen = parser.parse_args()
    if chosen.verb == "make":
        model, store = SketchModel.load(chosen.checkpoint), Store(chosen.data)
        chosen.key.write_text(json.dumps(make(model, store, chosen.out, chosen.seed, chosen.refined)))
    else:
        print(json.dumps(score(json.loads(chosen.key.read_text()), chosen.answers), indent=2))


def make(model: SketchModel, store: Store, out: Path, seed: int, refined: bool) -> dict[str, object]:
    """Write the pictures and return the key."""
    out.mkdir(parents=True, exist_ok=False)
    rng = np.random.default_rng(seed)
    names = rng.permutation(CLASSES).tolist()
    pairs: list[list[np.ndarray]] = []
    sides = ""
    for number, name in enumerate(names, 1):
        rows = rng.permutation([row for row in store.rows("test") if store.labels[store.label[row]] == name])[:EACH]
        real = pictures(model, model.render([store[int(row)] for row in rows]))
        drawn = pictures(model, model.generate_fields(name, 2 * EACH, seed=seed, refine=refined).canvas)
        Image.fromarray(sheet(drawn[EACH:])).save(out / f"name-{number}.png")
        for person, machine in zip(real, drawn[:EACH], strict=False):
            left = bool(rng.random() < 0.5)
            sides += "L" if left else "R"
            pairs.append([person, machine] if left else [machine, person])
    order = rng.permutation(len(pairs)).tolist()
    for page, first in enumerate(range(0, len(order), EACH), 1):
        some = [(place + 1, pairs[order[place]]) for place in range(first, min(first + EACH, len(order)))]
        paired(some).save(out / f"pairs-{page}.png")
    return {"names": names, "pairs": "".join(sides[place] for place in order)}


def pictures(model: SketchModel, canvas: torch.Tensor) -> list[np.ndarray]:
    """Turn fields into grey pictures (SIDE SIDE), black lines on white."""
    ink = (255 * (1 - model.ink(canvas))).byte().numpy()
    return [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for one in ink]


def sheet(drawn: list[np.ndarray]) -> np.ndarray:
    rows = [np.concatenate(drawn[at : at + ACROSS], axis=1) for at in range(0, len(drawn), ACROSS)]
    return np.concatenate(rows, axis=0)


def paired(some: list[tuple[int, list[np.ndarray]]]) -> Image.Image:
    """A sheet of numbered pairs, each in a frame."""
    wide, high = 2 * SIDE + 3 * EDGE, SIDE + 3 * EDGE
    across = 3
    page = Image.new("L", (across * wide, math.ceil(len(some) / across) * high), 255)
    draw = ImageDraw.Draw(page)
    for place, (number, two) in enumerate(some):
        y, x = divmod(place, across)
        left, top = x * wide, y * high
        draw.rectangle((left + 2, top + 2, left + wide - 3, top + high - 3), outline=160)
        draw.text((left + 6, top + 4), str(number), 0, ImageFont.load_default(14))
        for side, picture in enumerate(two):
            page.paste(Image.fromarray(picture), (left + EDGE + side * (SIDE + EDGE), top + 2 * EDGE))
    return page


def score(key: dict, answers: Path) -> dict[str, object]:
    """Count the sheets that were named and the drawings by people that were recognised, with the 95 % interval."""
    said = json.loads(answers.read_text())
    named = sum(one.strip().lower() == name for one, name in zip(said["names"], key["names"], strict=True))
    right = [one == true for one, true in zip(said["pairs"].upper(), key["pairs"], strict=True)]
    share = sum(right) / len(right)
    half = 1.96 * math.sqrt(share * (1 - share) / len(right))
    return {
        "named": named,
        "sheets": len(key["names"]),
        "person picked": share,
        "interval": [share - half, share + half],
    }


if __name__ == "__main__":
    main()
