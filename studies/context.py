"""Measure how many levels of context the refiner needs: refiners with different context refine the same test drawings.

    python studies/context.py [runs/context-0 runs/context-1 ...] [--data quickdraw.arrow] [--plot context.png] [--json]

The coarse sketch is a test drawing shrunk to its root tile, so the right result is known. The refiners (by default the
shipped one) are compared with the enlarged coarse sketch and with the VQ-VAE's reconstruction of the drawing from its
own codes. No refiner can do better than that reconstruction.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from matplotlib.figure import Figure
from torch import Tensor

from visketch import quadtree
from visketch.config import find
from visketch.data.store import Store
from visketch.decoding import enlarge, inked_leaves, side_by_side
from visketch.evaluate.judges import ClassifierJudge, reread
from visketch.geometry.sketch import Sketch
from visketch.metrics import ink_f1, rank_of, seam
from visketch.model import SketchModel
from visketch.models.vqvae import VQVAE
from visketch.quadtree import Order
from visketch.sampling import SamplingOptions
from visketch.training.sketch import make_objective

BATCH = 32
ORDERS: tuple[Order, ...] = ("one-by-one", "waves")
Row = dict[str, Any]


def code_loss(folder: Path, sketches: list[Sketch]) -> dict[str, float]:
    """Loss and accuracy of predicting the next code, on coarse sketches with noise as in training."""
    torch.manual_seed(0)
    model = SketchModel.load(folder)
    objective, _ = make_objective("refiner", model.config, folder, start=folder)
    for module in (objective, *objective.frozen.values()):
        module.eval()
    found = []
    for first in range(0, len(sketches), BATCH):
        examples = [
            objective.example(sketch, np.random.default_rng((0, first, place)), 1.0)
            for place, sketch in enumerate(sketches[first : first + BATCH])
        ]
        batch = {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}
        with torch.no_grad():
            found.append(objective(batch)[1])
    return {name: float(np.mean([float(one[name]) for one in found])) for name in ("code loss", "code accuracy")}


@torch.inference_mode()
def worth(model: SketchModel, drawn: Tensor, truth: Tensor, label: Tensor) -> Row:
    """The quality of sketches: seams relative to the pen, agreement with the ink of the drawing, share recognised."""
    shape = model.config.sketch
    said = torch.cat(
        [ClassifierJudge(model).logits_and_features(reread(some, shape, shape))[0] for some in drawn.split(BATCH)]
    )
    seams = seam(drawn, shape.tile, shape.near) * shape.clamp / shape.pen
    return {
        "seam": float(seams.mean()),
        "seam error": float(seams.std() / len(seams) ** 0.5),
        "ink f1": float(ink_f1(drawn > 0, truth > 0).mean()),
        "top-1": float((rank_of(said, label) == 0).float().mean()),
    }


def refined(model: SketchModel, coarse: Tensor, label: Tensor, order: Order) -> tuple[Tensor, float]:
    """Refine the sketches. Returns them and the milliseconds that each took."""
    drawn, begin = [], time.process_time()
    for first in range(0, len(coarse), BATCH):
        some = slice(first, first + BATCH)
        canvas, seeds = coarse[some], list(range(len(coarse)))[some]
        for frame in model.decode(canvas, label[some], seeds=seeds, options=SamplingOptions(order=order)):
            canvas = frame.canvas
        drawn.append(canvas)
    return torch.cat(drawn), 1000 * (time.process_time() - begin) / len(coarse)


def borderless(vqvae: VQVAE, drawn: Tensor, depth: int) -> Tensor:
    """Reconstruct from the same codes, with leaves decoded side by side: the decoder sees both sides of a border."""
    tiles = quadtree.cut(drawn, depth)
    latents = vqvae.codebook.lookup(vqvae.encode(tiles.flatten(0, 1)))
    squares = rearrange(latents, "(b z) t w -> b z t w", b=len(drawn))
    return torch.cat([side_by_side(vqvae, some) for some in squares.split(BATCH)])


def measure(folders: list[Path], sketches: list[Sketch]) -> list[Row]:
    model = SketchModel.load(folders[0])
    shape, vqvae = model.config.sketch, model.part("vqvae")
    truth = model.render(sketches)
    label = torch.tensor([model.label_of(str(sketch.label)) for sketch in sketches])
    tiles = quadtree.tiles(truth, shape.depth)
    coarse = enlarge(tiles[:, 0], shape.canvas)
    leaves = inked_leaves(truth, shape, shape.depth)
    with torch.inference_mode():
        codes = vqvae.encode(tiles[leaves.sketch, leaves.tile])
        best = quadtree.paint(torch.full_like(truth, -1), leaves, vqvae.decode(codes))
        side_by_side = borderless(vqvae, truth, shape.depth)
    given = {"enlarged, not refined": coarse, "its own codes": best}
    given |= {"its own codes, borderless": side_by_side, "the drawing itself": truth}
    rows = [{"row": name} | worth(model, drawn, truth, label) for name, drawn in given.items()]
    for folder in folders:
        model = SketchModel.load(folder)
        levels = min(model.config.refiner.context, shape.depth)
        slots = len(range(9 * shape.depth + 1)[quadtree.inner(shape.depth, levels)])
        said = code_loss(folder, sketches)
        refined(model, coarse[:BATCH], label[:BATCH], "waves")  # warm-up
        for order in ORDERS:
            drawn, spent = refined(model, coarse, label, order)
            about = {"row": f"{folder.name}, {order}", "context": levels, "slots": slots, "order": order, "ms": spent}
            rows.append(about | said | worth(model, drawn, truth, label))
    return rows


def plot(path: Path, rows: list[Row]) -> None:
    """One panel for each measure and one line for each order; the upper bound is dotted."""
    panels = {"code accuracy": 100, "seam": 100, "ink f1": 1, "top-1": 100, "ms": 1}
    titles = ("codes right, %", "seam, % of the pen", "ink F1", "top-1 of all classes, %", "ms a sketch (cpu)")
    figure = Figure(figsize=(12, 2.8), dpi=100, layout="constrained")
    for panel, title, (name, unit) in zip(figure.subplots(1, len(panels)), titles, panels.items(), strict=True):
        for order, colour in zip(ORDERS, ("#3070b0", "#60b0a0"), strict=True):
            shown = sorted((row["context"], unit * row[name]) for row in rows if row.get("order") == order)
            panel.plot(*zip(*shown, strict=True), color=colour, marker="o", ms=4, label=order)
        for row in rows[:2] if name in rows[0] else ():
            panel.axhline(unit * row[name], color="#888888", ls=":", lw=1)
            panel.annotate(row["row"], (0, unit * row[name]), fontsize=7, color="#666666", va="bottom")
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("levels of context", fontsize=8)
        panel.set_xticks(sorted({row["context"] for row in rows if "context" in row}))
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    figure.axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="What levels of context are worth to the refiner.")
    parser.add_argument("checkpoints", nargs="*", default=["small"], help="folders or names (small)")
    parser.add_argument("--data", type=Path, default=Path("quickdraw.arrow"))
    parser.add_argument("--drawings", type=int, default=256, help="test drawings, an even sample (256)")
    parser.add_argument("--plot", type=Path, help="a .png file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = Store(options.data)
    some = store.rows("test")
    some = some[:: max(1, len(some) // options.drawings)][: options.drawings]
    rows = measure([find(name) for name in options.checkpoints], [store[int(number)] for number in some])
    if options.plot:
        plot(options.plot, rows)
    if options.json:
        print(json.dumps({"drawings": len(some), "rows": rows}))
        return
    print(f"{len(some)} test drawings\n{'':28} slots   loss  right   seam (± se)    ink F1  top-1      ms")
    for row in rows:
        codes = "{slots:6} {code loss:6.3f} {code accuracy:6.1%}" if "slots" in row else " " * 20
        line = "{row:28}" + codes + "  {seam:6.1%} ± {seam error:4.1%}  {ink f1:6.4f} {top-1:6.1%}"
        print((line + ("{ms:8.1f}" if "ms" in row else "")).format(**row))


if __name__ == "__main__":
    main()
