"""Measure how much of hatching and stippling survives in a distance field, and what further channels would keep.

    python studies/textures.py [--drawings 3] [--json]
    python studies/textures.py --steps 350 --data quickdraw.arrow --plot curves.png --pictures pictures.png

Every drawing is represented in five ways on the canvas of the small preset. Its lines are then detected in the canvas
itself, in its root tile, and in the reconstruction by the shipped VQ-VAE. `--steps` trains a VQ-VAE of the same size
for each representation, on textures and doodles, and detects the lines in its reconstruction.
"""

import argparse
import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import channels
import hatching
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import hessian_matrix, hessian_matrix_eigvals
from skimage.morphology import skeletonize

from visketch import quadtree
from visketch.config import SketchConfig
from visketch.data.store import Store
from visketch.geometry import sdf, sketch
from visketch.model import SketchModel

SHAPE = SketchConfig()
SPACINGS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)  # in widths of the pen
FINE = 4  # lines are drawn and detected on a grid that is finer by this factor
THIN = 1 / 4  # a share of the pen: one pixel

Picture = np.ndarray  # (channels h h), each in [-1, 1]


def write_down(drawing: hatching.Drawing) -> dict[str, Picture]:
    """A drawing in every representation that is compared."""
    centre = sdf.field(drawing.lines, SHAPE, SHAPE.canvas)
    fine = sdf.field(drawing.lines, SHAPE, FINE * SHAPE.canvas) * SHAPE.clamp  # relative to the canvas
    inked, thin = fine > 0, fine > SHAPE.pen / 2 * (1 - THIN)
    edge = (ndimage.distance_transform_edt(inked) - ndimage.distance_transform_edt(~inked)) / inked.shape[0]
    edge = np.clip(pooled(edge, 2, FINE // 2 - 1) / SHAPE.clamp, -1, 1)
    ways = {"edge": [edge], "centre line": [centre], "ink": [2 * pooled(inked, FINE) - 1]}
    ways |= {"thin ink": [2 * pooled(thin, FINE) - 1]}
    ways |= {"edge + thin ink": ways["edge"] + ways["thin ink"]}
    return {way: np.stack(channels).astype(np.float32) for way, channels in ways.items()}


def pooled(fine: np.ndarray, side: int, start: int = 0) -> np.ndarray:
    """Average the middle `side` pixels of every FINE. All of them give an area, two give the value at the centre."""
    blocks = fine.reshape(SHAPE.canvas, FINE, SHAPE.canvas, FINE)[:, start : start + side, :, start : start + side]
    return blocks.mean(axis=(1, 3))


def thinned(picture: np.ndarray) -> np.ndarray:
    """Lines as the package detects them in a picture: the skeleton of everything above 0."""
    return skeletonize(picture > 0)


def crests(picture: np.ndarray, sigma: float, least: float) -> np.ndarray:
    """Lines as ridges of a minimal height, where the picture falls off to both sides."""
    fall = -hessian_matrix_eigvals(hessian_matrix(picture, sigma, use_gaussian_derivatives=False))[1]
    return skeletonize((fall > 0.3 * np.quantile(fall, 0.995)) & (picture > least))


def found(way: str, picture: Picture) -> np.ndarray:
    """The lines detected in a picture, as points (x, y) relative to the canvas, by the best known method for each
    representation."""
    side = picture.shape[-1]
    times = FINE * SHAPE.canvas // side
    fine = F.interpolate(torch.from_numpy(picture[-1])[None, None], scale_factor=times, mode="bicubic")[0, 0].numpy()
    if way in ("edge", "ink"):
        lines = skeletonize(fine > 0)  # as the package reads pictures
    elif way == "centre line":  # within a pixel of a line; farther away there are also crests between dots
        lines = crests(fine, 0.6 * times, least=(SHAPE.pen / 2 - 0.8 / side) / SHAPE.clamp)
    else:  # a quarter of the area that a thin line covers in a pixel it crosses
        lines = crests(fine, 0.6 * times, least=0.5 * side / SHAPE.canvas - 1)
    rows, columns = np.nonzero(lines)
    return (np.stack([columns, rows], axis=1) + 0.5) / (FINE * SHAPE.canvas)


def score(points: np.ndarray, drawing: hatching.Drawing, spacing: float) -> float:
    """F1 of the detected points and the points on the lines of the texture. A point is a hit within one pixel of the
    canvas, or within a quarter of the spacing if that is less: between lines two pixels apart, every point is within
    one pixel of a line.

    Points within a pen's width of an outline do not count, because outlines are long and easy to detect.
    """
    near, truth = min(1 / SHAPE.canvas, spacing / 4), sampled(drawing.texture)
    if drawing.outlines:
        outline = cKDTree(sampled(drawing.outlines))
        points, truth = (some[outline.query(some)[0] > SHAPE.pen] for some in (points, truth))
    if not len(points) or not len(truth):
        return float(len(points) == len(truth))
    precision = np.mean(cKDTree(truth).query(points)[0] <= near)
    recall = np.mean(cKDTree(points).query(truth)[0] <= near)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


WAYS = ("edge", "centre line", "ink", "thin ink", "edge + thin ink")


def sampled(lines: hatching.Lines) -> np.ndarray:
    return sketch.sample(lines, spacing=0.25 / SHAPE.canvas)


Row = dict[str, Any]  # the drawing, the representation, the place, and the F1 of the detected lines


def textures(drawings: int, seed: int) -> list[tuple[str, float, hatching.Drawing]]:
    """`count` drawings of every kind and spacing; the spacing is a multiple of the pen."""
    rng = np.random.default_rng(seed)
    every = product(range(drawings), hatching.KINDS, SPACINGS)
    return [(kind, spacing, hatching.draw(kind, spacing * SHAPE.pen, rng)) for _, kind, spacing in every]


def real(data: Path, split: str, count: int) -> list[hatching.Drawing]:
    """An evenly spaced sample of the doodles."""
    store = Store(data)
    rows = store.rows(split)[:: max(1, len(store.rows(split)) // count)][:count]
    return [hatching.Drawing((), sketch.fit(store[int(row)].lines(), SHAPE.margin)) for row in rows]


def train(steps: int, data: Path) -> dict[str, channels.Codec]:
    """One codec for each representation, all trained in the same way, half on textures and half on doodles."""
    drawings = [drawing for *_, drawing in textures(8, seed=1)]
    drawings += real(data, "train", len(drawings))
    pool = [write_down(drawing) for drawing in drawings]
    return {way: channels.train(torch.from_numpy(np.stack([ways[way] for ways in pool])), SHAPE, steps) for way in WAYS}


def shrunk(picture: Picture, times: int) -> Picture:
    """The canvas as tiles of a coarser level show it."""
    side = SHAPE.canvas // times
    return picture.reshape(len(picture), side, times, side, times).mean(axis=(2, 4))


@cache
def shipped() -> SketchModel:
    return SketchModel.load()


@torch.inference_mode()
def looks(way: str, picture: Picture, codecs: dict[str, channels.Codec]) -> dict[str, Picture]:
    """A picture as it is at each place in the model."""
    seen = {"canvas": picture, "root": shrunk(picture, SHAPE.canvas // SHAPE.tile)}
    if way == "centre line":
        vqvae = shipped().part("vqvae")
        tiles = quadtree.cut(torch.from_numpy(picture), SHAPE.depth)
        seen["shipped codes"] = quadtree.join(vqvae.decode(vqvae.encode(tiles[0]))[None]).numpy()
    if way in codecs:
        seen["codes"] = channels.read_back(codecs[way], torch.from_numpy(picture)[None], SHAPE)[0].numpy()
    return seen


def measure(drawn: list[tuple[str, float, hatching.Drawing]], codecs: dict[str, channels.Codec]) -> list[Row]:
    """One row for every drawing, representation and place."""
    rows = []
    for kind, spacing, drawing in drawn:
        for way, picture in write_down(drawing).items():
            for what, shown in looks(way, picture, codecs).items():
                f1 = score(found(way, shown), drawing, spacing * SHAPE.pen)
                rows.append({"seen": what, "way": way, "kind": kind, "spacing": spacing, "f1": f1})
    return rows


def mean(rows: list[Row], **of: str | float) -> float:
    """Mean F1 of the rows that have these values."""
    return float(np.mean([row["f1"] for row in rows if all(row[name] == value for name, value in of.items())]))


LOOKS = {"canvas": "the canvas", "root": "its root tile, 32 pixels", "codes": "read back from codes, trained alike"}
COLOURS = dict(zip(WAYS, ("#999999", "#3070b0", "#222222", "#60b0a0", "#e0a030"), strict=True))


def plot(path: Path, rows: list[Row]) -> None:
    """F1 against spacing: one panel for each place, one curve for each representation."""
    shown = [what for what in LOOKS if any(row["seen"] == what for row in rows)]
    figure = Figure(figsize=(3.6 * len(shown) + 2, 3.2), dpi=100, layout="constrained")
    for panel, what in zip(figure.subplots(1, len(shown), sharey=True), shown, strict=True):
        for way, colour in COLOURS.items():
            f1 = [mean(rows, seen=what, way=way, spacing=spacing) for spacing in SPACINGS]
            panel.plot(
                SPACINGS, f1, color=colour, marker="o", ms=3, ls="--" if way == "edge + thin ink" else "-", label=way
            )
        if what != "root":
            f1 = [mean(rows, seen="shipped codes", way="centre line", spacing=spacing) for spacing in SPACINGS]
            panel.plot(SPACINGS, f1, color=COLOURS["centre line"], ls=":", label="centre line, shipped VQ-VAE")
        panel.set(title=LOOKS[what], xlabel="widths of the pen from line to line", xscale="log", ylim=(0, 1.03))
        panel.set_xticks(SPACINGS, [f"{spacing:g}" for spacing in SPACINGS])
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("F1 of the lines found")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside right center")
    figure.savefig(path)


def pictures(path: Path, codecs: dict[str, channels.Codec]) -> None:
    """One drawing of every kind in every representation, with the detected lines in red."""
    shown = (
        [("canvas", way) for way in WAYS[:4]] + [("shipped codes", "centre line")] + [("codes", way) for way in codecs]
    )
    drawn = list(zip(hatching.KINDS, (0.75, 2.0, 1.0, 1.5), strict=True))
    figure = Figure(figsize=(1.5 * len(shown), 1.65 * len(drawn)), dpi=100, layout="constrained")
    for panels, (kind, spacing) in zip(figure.subplots(len(drawn), len(shown)), drawn, strict=True):
        drawing = hatching.draw(kind, spacing * SHAPE.pen, np.random.default_rng(5))
        ways = write_down(drawing)
        for panel, (what, way) in zip(panels, shown, strict=True):
            picture = looks(way, ways[way], codecs)[what]
            points = found(way, picture)
            panel.imshow(-picture[-1], cmap="gray", vmin=-1, vmax=1)
            panel.plot(*(points * SHAPE.canvas - 0.5).T, ",", color="red")
            panel.set_axis_off()
            panel.set_title(f"F1 {score(points, drawing, spacing * SHAPE.pen):.2f}", fontsize=7)
    for panel, (what, way) in zip(figure.axes, shown, strict=False):
        panel.set_title(f"{way}\n{'' if what == 'canvas' else what + ', '}{panel.get_title()}", fontsize=7)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB").quantize(48).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What hatching and stippling leave of themselves in a field.")
    parser.add_argument("--drawings", type=int, default=3, help="of every kind and spacing (3)")
    parser.add_argument("--steps", type=int, default=0, help="train VQ-VAEs for so many steps (0: do not)")
    parser.add_argument("--data", type=Path, default=Path("quickdraw.arrow"), help="doodles to train on as well")
    parser.add_argument("--plot", type=Path, help="a .png file for the curves")
    parser.add_argument("--pictures", type=Path, help="a .png file for some drawings and what is read back of them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    codecs = train(options.steps, options.data) if options.steps else {}
    rows = measure(textures(options.drawings, seed=2), codecs)
    doodles = measure([("doodle", 4.0, one) for one in real(options.data, "test", 48)], codecs) if codecs else []
    if options.plot:
        plot(options.plot, rows)
    if options.pictures:
        pictures(options.pictures, codecs)
    if options.json:
        print(json.dumps({"drawings": options.drawings, "steps": options.steps, "rows": rows, "doodles": doodles}))
        return
    show(rows)
    for way in codecs:
        print(f"doodles, {way}: {mean(doodles, seen='codes', way=way):.3f}")


def show(rows: list[Row]) -> None:
    """F1 by spacing, over all kinds."""
    looked = list(dict.fromkeys((row["seen"], row["way"]) for row in rows))
    print(f"{'widths of the pen from line to line':36}" + "".join(f"{spacing:7}" for spacing in SPACINGS))
    for what, way in sorted(looked, key=lambda look: look[0]):
        found = [mean(rows, seen=what, way=way, spacing=spacing) for spacing in SPACINGS]
        print(f"{what + ', ' + way:36}" + "".join(f"{f1:7.3f}" for f1 in found))


if __name__ == "__main__":
    main()
