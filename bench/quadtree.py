"""Compare the vectorised quadtree with a recursive one: splitting, leaves and their context.

    python bench/quadtree.py [--batch 64] [--runs 7] [--json]

The recursive quadtree is tests/naive_quadtree.py. Both must give the same leaves, which is checked here as well. Both
start from canvases in memory and end with the numbers of the context tiles of every leaf. They use one thread.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import drawings
import naive_quadtree

from visketch import quadtree
from visketch.config import SketchConfig
from visketch.geometry import sdf

SHAPES = [SketchConfig(canvas=128, depth=2), SketchConfig(canvas=256, depth=3)]
Result = tuple[list[int], list[list[int]]]  # the tile of every leaf, and its context tiles


def vectorised(canvas: torch.Tensor, shape: SketchConfig) -> tuple[torch.Tensor, torch.Tensor]:
    share = quadtree.information(canvas, shape.depth, near=shape.pen / 2 / shape.clamp)
    leaves, _ = quadtree.split(share, shape.information)
    return leaves.tile, quadtree.context(shape.depth)[leaves.tile]


def recursive(canvas: np.ndarray, shape: SketchConfig) -> Result:
    tiles, contexts = [], []
    for one in canvas:
        tree = naive_quadtree.grow(one, shape.depth, shape.pen / 2 / shape.clamp, shape.information, shape.depth)
        for leaf in naive_quadtree.leaves(tree):
            slots = naive_quadtree.context(leaf, shape.depth)
            tiles.append(naive_quadtree.number(leaf.place))
            contexts.append([-1 if slot is None else naive_quadtree.number(slot) for slot in slots])
    return tiles, contexts


def median(run: Callable[[], object], runs: int) -> float:
    """The median in milliseconds, after one run that fills the tables and caches of both."""
    run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(shape: SketchConfig, batch: int, runs: int) -> dict[str, float]:
    canvas = np.stack([sdf.render(sketch, shape) for sketch in drawings.draw_many(batch)])
    tensor = torch.from_numpy(canvas)
    tile, context = vectorised(tensor, shape)
    assert (tile.tolist(), context.tolist()) == recursive(canvas, shape), "the two do not agree"
    fast, slow = (median(run, runs) for run in (lambda: vectorised(tensor, shape), lambda: recursive(canvas, shape)))
    return {
        "canvas": shape.canvas,
        "depth": shape.depth,
        "leaves": len(tile),
        "vectorised_ms": round(fast, 2),
        "recursive_ms": round(slow, 2),
        "ratio": round(slow / fast, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The vectorised quadtree against the recursive one.")
    parser.add_argument("--batch", type=int, default=64, help="sketches at once (64)")
    parser.add_argument("--runs", type=int, default=7, help="the median of so many (7)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(shape, options.batch, options.runs) for shape in SHAPES]
    if options.json:
        print(json.dumps({"batch": options.batch, "runs": options.runs, "rows": rows}))
        return
    print(f"Quadtrees of {options.batch} drawings, one thread, median of {options.runs} runs")
    print(f"{'canvas':>7} {'depth':>6} {'leaves':>7} {'vectorised':>12} {'recursive':>11} {'ratio':>7}")
    for row in rows:
        print("{canvas:7} {depth:6} {leaves:7} {vectorised_ms:9} ms {recursive_ms:8} ms {ratio:6}x".format(**row))


if __name__ == "__main__":
    main()
