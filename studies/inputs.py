"""Measure recognition of drawings in the forms that people have: coloured in, as silhouettes, on grainy paper, beside
dark areas.

    python studies/inputs.py --data packed.arrow [--limit 100] [--only NAME ...] [--save FOLDER] [--json]

Each kind draws test drawings as files, with random colours, pens, sizes and papers. The table shows how many of them
get the same class as the same strokes in black on white, and how many get the right one. `--save` writes those with
another class.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from visketch.data.read import read
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.evaluate.recognition import sample
from visketch.geometry import sketch as strokes
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel

Rng = np.random.Generator
Lines = tuple[np.ndarray, ...]
WARM = [(230, 60, 50), (250, 150, 40), (250, 220, 60), (130, 80, 45), (245, 150, 180), (150, 90, 60), (200, 30, 60)]
COLD = [(70, 130, 220), (80, 180, 90), (150, 90, 200), (90, 200, 210), (170, 170, 170), (30, 90, 60), (40, 50, 120)]
PENS = [(0, 0, 0), (25, 25, 30), (40, 30, 90), (70, 40, 20), (20, 70, 40)]


def canvas(lines: Lines, rng: Rng, side: int | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """The ink in 0..1 (y x), the numbers of the areas that it surrounds (y x; 0 is outside), and the pen in pixels."""
    side = side or int(rng.choice([256, 400, 512, 640, 900]))
    pen = max(2.0, side * rng.uniform(1 / 130, 1 / 45))
    page = Image.new("L", (2 * side, 2 * side), 0)
    draw = ImageDraw.Draw(page)
    for line in strokes.fit(lines, rng.uniform(0.04, 0.15)):
        points = [(float(x), float(y)) for x, y in line * 2 * side]
        draw.line(points, fill=255, width=round(2 * pen), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - pen, y - pen, x + pen, y + pen), fill=255)
    ink = np.asarray(page.reduce(2), np.float64) / 255
    gaps = ndimage.binary_closing(np.pad(ink > 0.3, 8), iterations=max(1, round(pen)))[8:-8, 8:-8]
    parts, _ = ndimage.label(~gaps)
    border = set(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]).tolist())
    areas = np.where(np.isin(parts, [*border, 0]), 0, parts)
    grown = ndimage.grey_dilation(areas, size=2 * round(pen) + 3)
    return ink, np.where((areas == 0) & (ink > 0), grown, areas), pen


def over(page: np.ndarray, ink: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return page + ink[..., None] * (np.array(colour, float) - page)


def paint(areas: np.ndarray, rng: Rng, how: str, palette: list) -> np.ndarray:
    """White paper with its areas coloured in."""
    page = np.full((*areas.shape, 3), 255.0)
    y, x = np.mgrid[0 : areas.shape[0], 0 : areas.shape[1]]
    one = palette[rng.integers(len(palette))]
    for number in np.unique(areas)[1:]:
        here = areas == number
        colour = np.array(palette[rng.integers(len(palette))] if how != "one" else one, float)
        fill = np.broadcast_to(colour, page.shape)
        if how == "gradient":
            other = np.array(palette[rng.integers(len(palette))], float)
            angle = rng.uniform(0, 6.3)
            along = x * np.cos(angle) + y * np.sin(angle)
            t = ((along - along[here].min()) / max(np.ptp(along[here]), 1))[..., None].clip(0, 1)
            fill = colour + t * (other - colour)
        if how == "crayon":
            angle = rng.uniform(0, 6.3)
            along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
            noise = ndimage.gaussian_filter(rng.normal(size=areas.shape), 1.2)
            cover = 0.72 + 0.2 * np.sin(across / rng.uniform(1.5, 4) + 0.02 * along) + 1.2 * noise
            fill = 255 + cover.clip(0, 1)[..., None] * (colour - 255)
        if how == "halves":
            other = np.array(palette[rng.integers(len(palette))], float)
            middle = x[here].mean()
            fill = np.where((x < middle)[..., None], colour, other)
        page[here] = fill[here]
    return page


def fill(how: str, palette: list = WARM + COLD, photo: bool = False) -> Callable:
    def make(lines: Lines, rng: Rng, path: Path) -> None:
        ink, areas, _ = canvas(lines, rng)
        pen = PENS[rng.integers(len(PENS) if how != "one" else 2)]
        page = over(paint(areas, rng, how, palette), ink, pen)
        if photo:
            y, x = np.mgrid[0 : len(ink), 0 : len(ink)] / len(ink)
            page = page * 0.92 * (1 - 0.3 * (x * rng.random() + y * rng.random()) / 2)[..., None]
            page = ndimage.gaussian_filter(page, (0.7, 0.7, 0)) + rng.normal(0, 4, page.shape)
        save(page, path, rng)

    return make


def light_outline(lines: Lines, rng: Rng, path: Path) -> None:
    """A coloured outline that is not much darker than the fill, or lighter."""
    ink, areas, _ = canvas(lines, rng)
    pens = [(90, 140, 220), (230, 110, 40), (120, 190, 90), (160, 110, 200), (150, 150, 150), (220, 80, 90)]
    light = [(255, 235, 150), (255, 215, 220), (210, 240, 255), (220, 250, 210), (240, 230, 215)]
    save(over(paint(areas, rng, "many", light), ink, pens[rng.integers(len(pens))]), path, rng)


def dark_fill(lines: Lines, rng: Rng, path: Path) -> None:
    """Dark fills within a black outline."""
    ink, areas, _ = canvas(lines, rng)
    dark = [(90, 50, 25), (20, 60, 120), (30, 90, 50), (110, 20, 30), (80, 80, 85), (70, 30, 100)]
    save(over(paint(areas, rng, "many", dark), ink, (0, 0, 0)), path, rng)


def save(page: np.ndarray, path: Path, rng: Rng) -> None:
    picture = Image.fromarray(page.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        picture.save(path, "PNG")
    else:
        picture.save(path, "JPEG", quality=int(rng.integers(70, 96)))


def silhouette(colours: bool) -> Callable:
    def make(lines: Lines, rng: Rng, path: Path) -> None:
        side = int(np.exp(rng.uniform(np.log(64), np.log(1600))))
        ink, areas, _ = canvas(lines, rng, max(side, 128))
        solid = (ink > 0.5) | (areas > 0)
        smooth = ndimage.gaussian_filter(solid.astype(float), rng.choice([0, 0.7]))
        both = [*WARM, *COLD, *PENS]
        paper = np.array([(255, 255, 255), (250, 240, 210), (200, 225, 245), (235, 200, 205)][rng.integers(4)], float)
        pen = both[rng.integers(len(both))] if colours else (0, 0, 0)
        if colours and abs(np.mean(pen) - paper.mean()) < 60:
            pen = (30, 30, 60)
        page = over(np.full((*ink.shape, 3), paper if colours else 255.0), smooth, pen)
        picture = Image.fromarray(page.clip(0, 255).astype(np.uint8))
        if side < 128:
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        picture.save(path, "PNG")

    return make


def kraft(lines: Lines, rng: Rng, path: Path) -> None:
    """Brown, grey or ochre paper with grain of sigma 4 to 14; a line 60 to 110 levels darker."""
    ink, _, _ = canvas(lines, rng, int(rng.choice([640, 900, 1200])))
    paper = np.array([(176, 137, 95), (190, 160, 120), (160, 150, 140), (200, 170, 110)][rng.integers(4)], float)
    page = paper - ink[..., None] * rng.uniform(60, 110)
    grain = rng.normal(size=(*ink.shape, 3 if rng.random() < 0.5 else 1))
    if rng.random() < 0.4:
        grain = ndimage.gaussian_filter(grain, (0.8, 0.8, 0))
        grain /= grain.std()
    page = page + rng.uniform(4, 14) * grain
    Image.fromarray(page.clip(0, 255).astype(np.uint8)).save(path, "JPEG", quality=int(rng.integers(60, 96)))


def checker(lines: Lines, rng: Rng, path: Path) -> None:
    """The chequered pattern that programs show in place of transparency."""
    ink, _, _ = canvas(lines, rng)
    y, x = np.mgrid[0 : len(ink), 0 : len(ink)] // int(rng.choice([8, 10, 16, 20]))
    dark = int(rng.choice([190, 204, 220, 239]))
    save(over(np.where((x + y) % 2, dark, 255)[..., None] * np.ones(3), ink, (0, 0, 0)), path, rng)


def half(lines: Lines, rng: Rng, path: Path) -> None:
    """A picture with a drawing on paper in one half; the other half is dark."""
    ink, _, _ = canvas(lines, rng)
    share, level = rng.uniform(0.25, 1.2), rng.uniform(20, 100)
    rest = np.full((len(ink), round(share * len(ink)), 3), level)
    parts = [over(np.full((*ink.shape, 3), 255.0), ink, (0, 0, 0)), rest]
    save(np.concatenate(parts if rng.random() < 0.5 else parts[::-1], axis=1), path, rng)


KINDS: dict[str, Callable[[Lines, Rng, Path], None]] = {
    "one warm fill": fill("one", WARM),
    "many fills": fill("many"),
    "halves": fill("halves"),
    "gradient": fill("gradient"),
    "crayon": fill("crayon"),
    "photo of fills": fill("many", photo=True),
    "light outline": light_outline,
    "dark fill": dark_fill,
    "silhouette": silhouette(False),
    "coloured silhouette": silhouette(True),
    "kraft": kraft,
    "checker": checker,
    "half dark": half,
}


def outline(lines: Lines, rng: Rng) -> Sketch | None:
    """The outline of a drawing as a silhouette, or None if it encloses too little for one."""
    from skimage.measure import find_contours

    ink, areas, _ = canvas(lines, rng, 512)
    if (areas > 0).sum() < 2 * (ink > 0.5).sum():
        return None
    edges = find_contours(np.pad((ink > 0.5) | (areas > 0), 1).astype(float), 0.5)
    return Sketch(strokes=tuple(edge[:, ::-1].astype(np.float32) for edge in edges if len(edge) > 8))


def measure(model: SketchModel, store: Store, rows: np.ndarray, name: str, keep: Path | None) -> dict:
    same, right = [], []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows.tolist():
            lines = store[row].lines()
            rng = np.random.default_rng((7, row))
            plain = Sketch(strokes=lines)
            if "silhouette" in name:
                plain = outline(lines, np.random.default_rng((7, row)))
                if plain is None:
                    continue
            path = Path(folder, "input")
            KINDS[name](lines, rng, path)
            expected = model.classify_many([plain], top=1)[0][0].label
            try:
                sketch = next(read(path))
                given = model.classify_many([sketch], top=1)[0][0].label
            except VisketchError as error:
                sketch, given = None, str(error)
            same.append(given == expected)
            right.append(given == store.labels[store.label[row]])
            if keep and not same[-1]:
                keep.mkdir(parents=True, exist_ok=True)
                pair = [Image.open(path).convert("RGB")]
                if sketch is not None and sketch.pixels is not None:
                    pair.append(Image.fromarray(~sketch.pixels).convert("RGB"))
                both = Image.new("RGB", (sum(one.width for one in pair) + 8, pair[0].height), "grey")
                for place, one in enumerate(pair):
                    both.paste(one, (place * (pair[0].width + 8), 0))
                both.thumbnail((900, 450))
                both.save(keep / f"{name.replace(' ', '-')}-{row}-{expected}-{given[:20].replace('/', '')}.png")
    return {"kind": name, "same": round(float(np.mean(same)), 4), "right": round(float(np.mean(right)), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Test drawings as people really have them.")
    parser.add_argument("--data", required=True, help="a packed data set; its test split is used")
    parser.add_argument("--limit", type=int, default=100, help="so many drawings (100)")
    parser.add_argument("--only", nargs="*", help="only these kinds")
    parser.add_argument("--save", type=Path, help="write what is named otherwise, and the ink found, to this folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, store = SketchModel.load(), Store(options.data)
    rows = sample(store, "test", options.limit)
    table = []
    for name in options.only or KINDS:
        table.append(measure(model, store, rows, name, options.save))
        if not options.json:
            row = table[-1]
            print(f"{name:20} named alike {100 * row['same']:5.1f} %   right {100 * row['right']:5.1f} %", flush=True)
    if options.json:
        print(json.dumps({"drawings": len(rows), "rows": table}))


if __name__ == "__main__":
    main()
