"""Measure time and memory on canvases of 128 to 4,096 pixels, with weights that were trained on a small canvas.

    python bench/canvas.py [--sides 128 256 512 1024 2048 4096] [--dense 1024] [--runs 3] [--data packed.arrow]
                           [--checkpoint FOLDER] [--json] [--plot canvas.png]

There are three drawings: one that is as large as the canvas, one that is equally small on every canvas, and the large
one with every tile a leaf, up to `--dense` pixels. Each line of the table is measured in a separate process: the CPU
time of one thread (the median of the runs), and the peak memory above that of the loaded weights, used at the size they
were trained on. With `--data`, it also measures the quality of test drawings on larger canvases.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from visketch import quadtree
from visketch.data.read import read
from visketch.data.store import Store
from visketch.decoding import enlarge
from visketch.evaluate.recognition import sample
from visketch.geometry import sdf
from visketch.geometry.sketch import fit
from visketch.metrics import ink_f1, rank_of
from visketch.model import SketchModel
from visketch.training.objectives.refiner import corrupt

EXAMPLE = Path(__file__).parents[1] / "docs/examples/cat.svg"
SIDES = (128, 256, 512, 1024, 2048, 4096)
DRAWINGS = {"growing": "ink grows with the side", "small": "the same ink at every side", "dense": "every tile a leaf"}
TASKS = ("draw", "classify", "refine")


def draw(model: SketchModel, drawing: str, side: int) -> Tensor:
    """The example on a canvas: as wide as the canvas, or in a corner and always as wide as the canvas of training."""
    shape = model.config.sketch
    lines = fit(next(iter(read(EXAMPLE))).lines(), shape.margin)
    if drawing == "small":
        lines = tuple(line * (shape.canvas / side) for line in lines)
    return torch.from_numpy(sdf.field(lines, shape.at(side), side))[None]


def refine(model: SketchModel, canvas: Tensor, label: Tensor | None = None) -> Tensor:
    for frame in model.decode(canvas, torch.tensor([0]) if label is None else label, seeds=range(len(canvas))):
        canvas = frame.canvas
    return canvas


def leave_nothing_out() -> None:
    """Switch the quadtree off: all tiles are embedded, and all leaves are refined."""
    quadtree.inked = lambda canvas, depth: torch.ones(len(canvas), quadtree.first_tile(depth + 1), dtype=torch.bool)
    quadtree.information = lambda canvas, depth, near: quadtree.inked(canvas, depth).float()


def one(model: SketchModel, drawing: str, side: int, runs: int) -> dict:
    """Measure one drawing on one canvas. Every measurement has its own process."""
    work: dict[str, Callable[[Tensor], object]] = {
        "draw": lambda _: draw(model, drawing, side),
        "classify": model.logits,
        "refine": lambda canvas: refine(model, canvas),
    }
    for task in TASKS:
        work[task](draw(model, "growing", model.config.sketch.canvas))
    before, row = peak(), {"drawing": drawing, "canvas": side}
    if drawing == "dense":
        leave_nothing_out()
    canvas = draw(model, drawing, side)
    for task in TASKS:
        seconds = []
        for _ in range(runs):
            start = time.process_time()
            work[task](canvas)
            seconds.append(time.process_time() - start)
        row |= {f"{task}_s": round(statistics.median(seconds), 3), f"{task}_mib": round(peak() - before)}
    return row | {"leaves": len(model.embed(canvas)[1])}


def peak() -> float:
    """The peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def measure(drawing: str, side: int, runs: int, checkpoint: str | None) -> dict:
    more = ["--checkpoint", checkpoint] if checkpoint else []
    command = [sys.executable, __file__, "--one", drawing, str(side), "--runs", str(runs), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{drawing} at {side} px: {done.stderr.strip()}")
    print(f"{drawing} at {side} px", file=sys.stderr)
    return json.loads(done.stdout)


def worth(model: SketchModel, store: Store, side: int, count: int, redrawn: int) -> dict:
    """The quality on a canvas of this size.

    It is the top-1 of test drawings, through windows and shrunk to the canvas of training. For `redrawn` of them, made
    coarse as in the refiner's training, it is also the ink F1 before and after refining.
    """
    sketches = [store[int(row)] for row in sample(store, "test", count)]
    label = torch.tensor([model.label_of(str(sketch.label)) for sketch in sketches])
    windows, shrunk = [], []
    for some, right in zip(torch.arange(count).split(16), label.split(16), strict=True):
        canvas = model.render([sketches[i] for i in some], side)
        windows.append(rank_of(model.logits(canvas), right) == 0)
        small = F.avg_pool2d(canvas[:, None], side // model.config.sketch.canvas)[:, 0]
        shrunk.append(rank_of(model.logits(small), right) == 0)
    truth = model.render(sketches[:redrawn], side)
    coarse = rough(truth, side)
    pieces = zip(coarse.split(8), label[:redrawn].split(8), strict=True)
    refined = torch.cat([refine(model, *piece) for piece in pieces])
    return {
        "canvas": side,
        "windows": round(float(torch.cat(windows).float().mean()), 3),
        "shrunk": round(float(torch.cat(shrunk).float().mean()), 3),
        "coarse_f1": round(float(ink_f1(coarse > 0, truth > 0).mean()), 3),
        "refined_f1": round(float(ink_f1(refined > 0, truth > 0).mean()), 3),
        "steps": steps((refined - truth) * model.config.sketch.clamp * model.config.sketch.canvas, truth),
    }


def rough(truth: Tensor, side: int) -> Tensor:
    """Shrink fields by a factor of four, blur them, add noise, and enlarge them, as `RefinerObjective.example` does."""
    rng, small = np.random.default_rng(0), F.avg_pool2d(truth[:, None], 4)[:, 0]
    noise = rng.standard_normal(small.shape, dtype=np.float32)
    blobs = np.kron(rng.standard_normal((len(small), side // 16, side // 16), dtype=np.float32), np.ones((1, 4, 4)))
    noise = (noise + blobs).astype(np.float32) * 0.5**0.5 * rng.random((len(small), 1, 1), dtype=np.float32) * 0.15
    sharp = torch.from_numpy(1 - rng.random(len(small), dtype=np.float32))
    return enlarge(corrupt(small, torch.from_numpy(noise), sharp), side)


def steps(error: Tensor, truth: Tensor, leaf: int = 32, window: int = 128) -> dict[str, float]:
    """The change of the field's error from one pixel to the next, in pixels: within leaves, and across borders."""
    found: dict[str, list[Tensor]] = {"within": [], "leaf": [], "window": []}
    for e, t in ((error, truth), (error.mT, truth.mT)):
        near = (t.abs() < 1)[..., 1:] & (t.abs() < 1)[..., :-1]
        right = torch.arange(1, e.shape[-1])
        window_border, leaf_border = right % window == 0, right % leaf == 0
        kinds = {"within": ~leaf_border, "leaf": leaf_border & ~window_border, "window": window_border}
        for kind, columns in kinds.items():
            found[kind].append(e.diff(dim=-1).abs()[..., columns][near[..., columns]])
    return {kind: round(float(torch.cat(values).mean()), 3) for kind, values in found.items() if len(torch.cat(values))}


def plot(rows: list[dict], path: str) -> None:
    """Plot time and memory against the side of the canvas, and time against the number of leaves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
    for drawing, title in DRAWINGS.items():
        some = [row for row in rows if row["drawing"] == drawing]
        side, leaves = ([row[key] for row in some] for key in ("canvas", "leaves"))
        seconds = [sum(row[f"{task}_s"] for task in TASKS) for row in some]
        memory = [row["refine_mib"] for row in some]
        for axis, x, y in zip(axes, (side, side, leaves), (seconds, memory, seconds), strict=True):
            axis.plot(x, y, "o-", label=title, markersize=4)
    labels = [("canvas side, px", "seconds"), ("canvas side, px", "MiB above the weights"), ("leaves", "seconds")]
    for axis, (x, y) in zip(axes, labels, strict=True):
        axis.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
        axis.grid(alpha=0.3)
        axis.set_yticks(ticks := (4, 16, 64, 256) if axis is axes[1] else (0.2, 0.5, 1, 2, 5), ticks)
        axis.minorticks_off()
    for axis in axes[:2]:
        axis.set_xticks(SIDES, SIDES)
    axes[0].set_title("draw, classify and refine one sketch", fontsize=10)
    axes[1].set_title("peak memory", fontsize=10)
    axes[2].set_title("the same times over leaves", fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=100)


def show(rows: list[dict], worths: list[dict]) -> None:
    if rows:
        print(f"{'drawing':28} {'canvas':>6} {'leaves':>6}", *(f"{f'{task} s':>10} {'MiB':>5}" for task in TASKS))
    for row in rows:
        figures = (f"{row[f'{task}_s']:10} {row[f'{task}_mib']:5}" for task in TASKS)
        print(f"{DRAWINGS[row['drawing']]:28} {row['canvas']:6} {row['leaves']:6}", *figures)
    for row in worths:
        over = ", ".join(f"{kind} {value}" for kind, value in row["steps"].items())
        print(
            "{canvas:5} px: top-1 {windows} through windows, {shrunk} shrunk; ink F1 {coarse_f1} coarse, {refined_f1} "
            "refined; steps of its error in pixels: {over}".format(**row, over=over)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory over the side of the canvas.")
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES, help="of the canvas (128 to 4096)")
    parser.add_argument("--dense", type=int, default=1024, help="the largest side at which nothing is left out (1024)")
    parser.add_argument("--runs", type=int, default=3, help="the median of so many (3)")
    parser.add_argument("--data", help="a packed data set: recognise and refine its test drawings too")
    parser.add_argument("--sketches", type=int, default=200, help="test drawings to recognise (200)")
    parser.add_argument("--redrawn", type=int, default=16, help="test drawings to refine (16)")
    parser.add_argument("--worth", type=int, nargs="+", default=[128, 256, 512], help="the sides for them (to 512)")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", help="write the plot there")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        drawing, side = options.one
        print(json.dumps(one(SketchModel.load(options.checkpoint), drawing, int(side), options.runs)))
        return
    rows = [
        measure(drawing, side, options.runs, options.checkpoint)
        for drawing in DRAWINGS
        for side in options.sides
        if drawing != "dense" or side <= options.dense
    ]
    worths = []
    if options.data:
        model, store = SketchModel.load(options.checkpoint), Store(options.data)
        worths = [worth(model, store, side, options.sketches, options.redrawn) for side in options.worth]
    if options.plot and rows:
        plot(rows, options.plot)
    if options.json:
        print(json.dumps({"runs": options.runs, "rows": rows, "worth": worths}))
    else:
        show(rows, worths)


if __name__ == "__main__":
    main()
