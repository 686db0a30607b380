"""A small data set of rings and crosses for tests of the sketch-language model, in the layout that `prepare` writes."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from visketch.language.dataset import instructions
from visketch.language.dataset.scenes import Thing

LABELS = ("cross", "ring")
SIDE = 128


def shape(draw: ImageDraw.ImageDraw, label: str, box: tuple[float, float, float, float], pen: int) -> None:
    x1, y1, x2, y2 = (round(place * SIDE) for place in box)
    if label == "ring":
        draw.ellipse((x1, y1, x2, y2), outline=0, width=pen)
    else:
        draw.line((x1, y1, x2, y2), fill=0, width=pen)
        draw.line((x1, y2, x2, y1), fill=0, width=pen)


def page(*things: tuple[str, tuple[float, float, float, float]], pen: int = 2) -> Image.Image:
    picture = Image.new("L", (SIDE, SIDE), 255)
    for label, box in things:
        shape(ImageDraw.Draw(picture), label, box, pen)
    return picture


def write(folder: Path, scenes: int = 24, seed: int = 0) -> Path:
    """Fill `folder` with train, validation and test rows. Each scene has one to three objects."""
    rng = np.random.default_rng(seed)
    for name in ("sketch", "scene"):
        (folder / "pictures" / name).mkdir(parents=True)
    for label in LABELS:
        for number in range(4):
            edge = 0.08 + 0.03 * number
            drawn = page((label, (edge, edge, 1 - edge, 1 - edge)), pen=4)
            drawn.save(folder / f"pictures/sketch/{label}-{number}.png")
    for split in ("train", "validation", "test"):
        with (folder / f"{split}.jsonl").open("w") as lines:
            for number in range(scenes):
                lines.writelines(_rows(folder, split, number, rng))
    return folder


def _rows(folder: Path, split: str, number: int, rng: np.random.Generator) -> list[str]:
    corners = rng.permutation([(x, y) for x in (0.05, 0.55) for y in (0.05, 0.55)])[: 1 + number % 3]
    things = []
    for x, y in corners:
        side = rng.uniform(0.28, 0.4)
        things.append(Thing(str(rng.choice(LABELS)), (x, y, x + side, y + side)))
    name = f"pictures/scene/{split}-{number}.png"
    page(*((thing.label, thing.box) for thing in things)).save(folder / name)
    label, count = str(rng.choice(LABELS)), int(rng.integers(4))
    rows = []
    for task, answer in instructions.ANSWERS.items():
        text = f"{task}: {instructions.WORDINGS[task][0]}"
        rows.append((task, "", text, answer(label, things)))
    there = any(thing.label == label for thing in things)
    rows.append(("SBIR", "", f"SBIR: {instructions.WORDINGS['SBIR'][0]}", "yes" if there else "no"))
    rows.append(("VQA", "name", f"VQA: {instructions.QUESTIONS['name'][0]}", label))
    return [
        json.dumps(
            {"id": f"{split}-{number}-{place}", "images": [f"pictures/sketch/{label}-{count}.png", name]}
            | instructions.chat(text, answer)
            | {"task": task, "question": question, "label": label, "style": "human", "seen": True, "kind": "drawings"}
            | {"boxes": instructions.boxes(label, things), "objects": instructions.objects(things), "split": split}
        )
        + "\n"
        for place, (task, question, text, answer) in enumerate(rows)
    ]
