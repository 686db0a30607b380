"""Measure what photos cost: recognition of test drawings from their strokes, and from synthetic photos of them.

    python studies/photos.py --data packed.arrow [--limit 200] [--checkpoint FOLDER] [--only NAME ...] [--save FOLDER]
                           [--json]

The pictures are drawn with Pillow, with one defect each. They are written to files and read as a user's pictures are.
"ink" is the F1 of the detected ink within 2 pixels, for pictures that keep their size.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from visketch.data.read import read
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.evaluate import styles
from visketch.evaluate.recognition import sample
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel

SIDE = 640  # the side of a photo in pixels; the sketch fills most of it
PAPER, GRAPHITE = np.array([238, 234, 224.0]), np.array([70, 70, 74.0])
Photo = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # ink in 0..1 (y x) → colours (y x 3), 0..255


def on_paper(ink: np.ndarray, pen: np.ndarray = GRAPHITE, paper: np.ndarray = PAPER) -> np.ndarray:
    return paper + ink[..., None] * (pen - paper)


def light(shape: tuple[int, int], rng: np.random.Generator, depth: float) -> np.ndarray:
    """Light that falls off in one direction, from 1 to 1 - depth."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape)
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    return (1 - depth * (along - along.min()) / np.ptp(along))[..., None]


def grain(photo: np.ndarray, rng: np.random.Generator, sigma: float = 5) -> np.ndarray:
    return ndimage.gaussian_filter(photo, (0.8, 0.8, 0)) + rng.normal(0, sigma, photo.shape)


def plain(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return on_paper(ink, np.zeros(3), np.full(3, 255.0))


def photo(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return grain(on_paper(ink) * light(ink.shape, rng, 0.4), rng)


def shadow(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The shadow of the photographer, half as bright as the page, with a soft edge."""
    edge = ndimage.gaussian_filter((light(ink.shape, rng, 1.0)[..., 0] > rng.uniform(0.3, 0.7)).astype(float), 12)
    return grain(on_paper(ink) * (0.45 + 0.55 * edge[..., None]), rng)


def dark_corners(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A vignette, strong grain, and dust."""
    y, x = (np.mgrid[0 : len(ink), 0 : len(ink)] / len(ink) - 0.5) * 2
    dust = np.zeros_like(ink)
    for at in rng.integers(4, len(ink) - 4, (25, 2)):
        dust[at[0] : at[0] + rng.integers(1, 4), at[1] : at[1] + rng.integers(1, 4)] = rng.uniform(0.4, 1)
    return grain(on_paper(np.maximum(ink, dust)) * (1 - 0.35 * (x**2 + y**2))[..., None], rng, 9)


def ruled(ink: np.ndarray, rng: np.random.Generator, squared: bool = False, heavier: bool = False) -> np.ndarray:
    """Blue lines every 32 pixels, slightly tilted; on squared paper in both directions, every fifth `heavier`."""
    page = on_paper(np.zeros_like(ink))
    y, x = np.mgrid[0 : len(ink), 0 : len(ink)]
    slope = rng.uniform(-0.02, 0.02)
    strengths = [(32, np.array([150, 175, 215.0]))] + heavier * [(160, np.array([90, 115, 195.0]))]
    for (apart, colour), across in product(strengths, (y + slope * x, x - slope * y)[: 1 + squared]):
        near = np.abs((across + 7) % apart - 16)
        page += np.clip(1.6 - near, 0, 1)[..., None] * (colour - page)
    page += ink[..., None] * (np.array([40, 42, 60.0]) - page)
    return grain(page * light(ink.shape, rng, 0.25), rng, 3)


def notebook(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A ruled page with a red margin, which the drawing crosses or not, and three punched holes."""
    page = ruled(ink, rng)
    side = len(ink)
    y, x = np.mgrid[0:side, 0:side]
    margin = np.clip(1.8 - np.abs(x - rng.uniform(0.1, 0.2) * side), 0, 1) * (1 - ink)
    page += margin[..., None] * (np.array([225, 110, 120.0]) - page)
    for middle in (0.15, 0.5, 0.85):
        hole = np.clip(0.02 * side - np.hypot(x - 0.04 * side, y - middle * side), 0, 1)[..., None]
        page += hole * (np.array([60, 50, 45.0]) - page)
    return page


def dotted(ink: np.ndarray, rng: np.random.Generator, clean: bool = False) -> np.ndarray:
    """Paper with a grid of grey dots, photographed or, if it is `clean`, on a screen."""
    y, x = np.mgrid[0 : len(ink), 0 : len(ink)]
    apart = 24
    dots = np.clip(2.2 - np.hypot((x + 5) % apart - apart / 2, (y + 9) % apart - apart / 2), 0, 1)[..., None]
    page = on_paper(np.zeros_like(ink))
    page += dots * (np.array([160, 160, 165.0]) - page)
    page += ink[..., None] * (np.array([40, 42, 60.0]) - page)
    return page if clean else grain(page * light(ink.shape, rng, 0.25), rng, 3)


def framed(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A whiteboard in its frame, with a strip of the wall around it."""
    side = len(ink)
    marker = np.array([[30, 30, 35], [30, 60, 160], [190, 40, 40], [30, 120, 60.0]])[rng.integers(4)]
    page = on_paper(ink, marker, np.full(3, 240.0))
    pads = [(int(part) + 8, int(part)) for part in (0.02 * side, 0.03 * side)]
    frame, wall = np.array([150, 152, 156.0]), np.array([205, 196, 180.0])
    for pad, colour in zip(pads, (frame, wall), strict=True):
        page = np.stack([np.pad(page[..., i], pad, constant_values=colour[i]) for i in range(3)], axis=-1)
    return grain(page * light(page.shape[:2], rng, 0.25), rng, 3)


def coloured(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A red, orange, green or light blue pen. In grey, some of them are as bright as the paper."""
    pens = np.array([[225, 60, 60], [245, 160, 60], [60, 180, 90], [90, 170, 240.0]])
    return grain(on_paper(ink, pens[rng.integers(4)]) * light(ink.shape, rng, 0.3), rng)


def pencil(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A faint line on rough paper."""
    tooth = ndimage.gaussian_filter(rng.normal(size=ink.shape), 1)
    return grain(on_paper(ink * np.clip(0.45 + 0.8 * tooth, 0.1, 1)) * light(ink.shape, rng, 0.3), rng)


def board(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chalk on a dark board that was wiped."""
    wiped = ndimage.gaussian_filter(rng.normal(size=ink.shape), 40) * 400
    tooth = np.clip(0.7 + 0.6 * ndimage.gaussian_filter(rng.normal(size=ink.shape), 1), 0, 1)
    page = np.array([45, 62, 52.0]) + wiped[..., None]
    return grain(
        (page + (ink * tooth)[..., None] * (np.array([225, 225, 215.0]) - page)) * light(ink.shape, rng, 0.4), rng
    )


def table(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tilted sheet on a dark wooden table."""
    side = len(ink)
    big = np.pad(on_paper(ink), ((side // 4,) * 2, (side // 4,) * 2, (0, 0)), constant_values=-1)
    turned = ndimage.rotate(big, rng.uniform(-8, 8), axes=(1, 0), reshape=False, order=1, cval=-1)
    y, x = np.mgrid[0 : len(big), 0 : len(big)]
    wood = (np.array([110, 75, 50.0]) * (1 + 0.2 * np.sin(y / 9 + 2 * np.sin(x / 80)))[..., None]) * np.ones(3)
    return grain(np.where(turned.min(axis=2, keepdims=True) < 0, wood, turned) * light(y.shape, rng, 0.3), rng)


PHOTOS: dict[str, tuple[Photo, float, int]] = {  # the function, the pen as a share of the side, the side in pixels
    "scan": (plain, 1 / 64, SIDE),
    "tiny, 48 px": (plain, 1 / 32, 48),
    "marker": (photo, 1 / 20, SIDE),
    "fine pen": (photo, 1 / 160, SIDE),
    "photo": (photo, 1 / 80, SIDE),
    "shadow": (shadow, 1 / 80, SIDE),
    "dark corners": (dark_corners, 1 / 80, SIDE),
    "ruled": (ruled, 1 / 80, SIDE),
    "squared": (lambda ink, rng: ruled(ink, rng, squared=True), 1 / 80, SIDE),
    "graph paper": (lambda ink, rng: ruled(ink, rng, squared=True, heavier=True), 1 / 80, SIDE),
    "notebook": (notebook, 1 / 80, SIDE),
    "dotted": (dotted, 1 / 80, SIDE),
    "screen, dotted": (lambda ink, rng: dotted(ink, rng, clean=True), 1 / 80, SIDE),
    "whiteboard": (framed, 1 / 60, SIDE),
    "coloured": (coloured, 1 / 80, SIDE),
    "pencil": (pencil, 1 / 80, SIDE),
    "board": (board, 1 / 60, SIDE),
    "table": (table, 1 / 80, SIDE),
}


def take(sketch: Sketch, name: str, row: int, path: Path) -> np.ndarray:
    """Write the photo to `path`. Returns the mask of the true ink, (y x) bool."""
    how, pen, side = PHOTOS[name]
    picture = styles.picture(sketch, pen).resize((side, side), Image.Resampling.LANCZOS)
    ink = 1 - np.asarray(picture, np.float64) / 255
    colours = np.clip(how(ink, np.random.default_rng((1, row))), 0, 255).astype(np.uint8)
    Image.fromarray(colours).save(path, "PNG" if how is plain else "JPEG", **({} if how is plain else {"quality": 70}))
    return ink > 0.5


def same(found: np.ndarray, true: np.ndarray) -> float:
    near = [ndimage.binary_dilation(ink, iterations=2) for ink in (found, true)]
    precision, recall = (found & near[1]).sum() / max(found.sum(), 1), (true & near[0]).sum() / max(true.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def measure(model: SketchModel, store: Store, rows: np.ndarray, name: str | None, save: Path | None) -> dict:
    """The row of the table for one kind of photo. If `name` is None, it is the row for the drawings themselves."""
    hits, f1, seconds = [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for row in rows.tolist():
            sketch: Sketch | None = store[row]
            label = store.labels[store.label[row]]
            if name:
                path = Path(folder, "photo.jpg")
                true = take(store[row], name, row, path)
                start = time.perf_counter()
                try:
                    sketch = next(read(path))
                    assert sketch.pixels is not None
                    if sketch.pixels.shape == true.shape:
                        f1.append(same(sketch.pixels, true))
                except VisketchError:
                    sketch = None
                    f1.append(0.0)
                seconds += time.perf_counter() - start
                if save and len(hits) < 6:
                    save.mkdir(parents=True, exist_ok=True)
                    pair = [Image.open(path).convert("RGB")]
                    if sketch is not None:
                        pair.append(Image.fromarray(~sketch.pixels).convert("RGB"))
                    page = Image.new("RGB", (sum(p.width for p in pair) + 8, pair[0].height), "grey")
                    for place, one in enumerate(pair):
                        page.paste(one, (place * (pair[0].width + 8), 0))
                    page.save(save / f"{name.replace(' ', '-')}-{len(hits)}.jpg")
            hits.append(sketch is not None and model.classify_many([sketch], top=1)[0][0].label == label)
    return {
        "photo": name or "as drawn",
        "top1": round(float(np.mean(hits)), 4),
        "ink": round(float(np.mean(f1)), 3) if f1 else None,
        "ms_to_read": round(1e3 * seconds / len(rows), 1) if name else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Recognition of test drawings from made-up photos.")
    parser.add_argument("--data", required=True, help="a packed data set; its test split is used")
    parser.add_argument("--limit", type=int, default=200, help="so many drawings (200)")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--only", nargs="*", help="only these kinds")
    parser.add_argument("--save", type=Path, help="write some of the photos, and the ink found, to this folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, store = SketchModel.load(options.checkpoint), Store(options.data)
    rows = sample(store, "test", options.limit)
    names = [None, *(name for name in PHOTOS if not options.only or name in options.only)]
    table = []
    for name in names:
        table.append(measure(model, store, rows, name, options.save))
        if not options.json:
            row = table[-1]
            ink = f"ink F1 {row['ink']:.3f}" if row["ink"] is not None else " " * 12
            ms = f"{row['ms_to_read']:6.1f} ms to read" if row["ms_to_read"] is not None else ""
            print(f"{row['photo']:14} top-1 {100 * row['top1']:5.1f} %  {ink}  {ms}", flush=True)
    if options.json:
        print(json.dumps({"drawings": len(rows), "rows": table}))


if __name__ == "__main__":
    main()
