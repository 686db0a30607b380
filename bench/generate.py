"""Measure generation: the coarse stage, refining in waves and leaf by leaf, and how far each is from its lower bound.

    python bench/generate.py [-n 16] [--runs 3] [--threads N] [--json]

The lower bound of a stage is its number of operations (counted) divided by the speed of a large matrix product
(measured in the same run and number format). `one by one` refines the next leaf of all sketches together. `sketch after
sketch` is the paper's way: one leaf of one sketch at a time. Both do the same arithmetic as the waves. All stages start
from the same coarse sketches, and they alternate, so other load on the machine slows all of them alike.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from visketch.decoding import enlarge
from visketch.device import multiplies_bfloat16
from visketch.model import SketchModel
from visketch.quadtree import Order
from visketch.sampling import SamplingOptions

SIDE = 1024  # of the multiplied matrices


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def operations(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def rate(format: torch.dtype) -> float:
    """The best of ten measurements of a matrix product, in floating-point operations a second."""
    a, b = (torch.randn(SIDE, SIDE).to(format) for _ in range(2))
    return 2 * SIDE**3 / min(seconds(lambda: a @ b) for _ in range(10))


class Stages:
    """The stages that are measured, by name, on `n` sketches of one class."""

    def __init__(self, model: SketchModel, n: int) -> None:
        self.model, self.n = model, n
        self.noise = torch.randn(n, model.config.sketch.tile, model.config.sketch.tile)
        self.label = torch.full((n,), model.label_of(model.labels[0]))
        self.canvas = enlarge(self.coarse(brief=False), model.config.sketch.canvas)

    def coarse(self, brief: bool) -> Tensor:
        self.model.use_bf16 = brief
        with self.model.precision():
            return self.model.part("diffusion").sample(self.label, self.noise)

    def refine(self, order: Order, which: slice = slice(None)) -> None:
        seeds = range(self.n)[which]
        options = SamplingOptions(order=order)
        for _ in self.model.decode(self.canvas[which], self.label[which], seeds=seeds, options=options):
            pass

    def after_each_other(self) -> None:
        for i in range(self.n):
            self.refine("one-by-one", slice(i, i + 1))

    def all(self) -> dict[str, Callable[[], object]]:
        brief = {"coarse, bf16": lambda: self.coarse(brief=True)} if multiplies_bfloat16() else {}
        return {
            "coarse, fp32": lambda: self.coarse(brief=False),
            **brief,
            "refine in waves": lambda: self.refine("waves"),
            "refine one by one": lambda: self.refine("one-by-one"),
            "refine sketch after sketch": self.after_each_other,
        }


@torch.inference_mode()
def measure(model: SketchModel, n: int, runs: int) -> tuple[list[dict], dict[str, float]]:
    stages = Stages(model, n).all()
    peaks = {"fp32": rate(torch.float32), "bf16": rate(torch.bfloat16)}
    bases = {"coarse": "coarse, fp32", "refine": "refine in waves"}
    counted = {kind: operations(stages[base]) for kind, base in bases.items()}  # also the warm-up
    rounds = [{name: seconds(work) for name, work in stages.items()} for _ in range(runs)]
    rows = []
    for name in stages:
        kind, took = name[:6], statistics.median(found[name] for found in rounds)
        ratio = statistics.median(found[name] / found[bases[kind]] for found in rounds)
        reached = counted[kind] / took / peaks["bf16" if "bf16" in name else "fp32"]
        row = {
            "stage": name,
            "seconds": round(took, 3),
            "ratio": round(ratio, 2),
            "gflop": round(counted[kind] / 1e9, 1),
        }
        rows.append(row | {"of_matrix_rate": round(reached, 3)})
    return rows, {name: round(peak / 1e9, 1) for name, peak in peaks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Drawing, stage by stage, against the floor of its arithmetic.")
    parser.add_argument("-n", type=int, default=16, help="sketches (16)")
    parser.add_argument("--runs", type=int, default=3, help="the median of so many (3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU (all)")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows, peaks = measure(SketchModel.load(options.checkpoint), options.n, options.runs)
    if options.json:
        facts = {"sketches": options.n, "runs": options.runs, "threads": options.threads, "matrix_gflops": peaks}
        print(json.dumps(facts | {"rows": rows}))
        return
    print(f"Drawing {options.n} sketches, {options.threads} threads, median of {options.runs} runs")
    print(f"A matrix product here: {peaks['fp32']} GFLOP/s in fp32, {peaks['bf16']} in bf16")
    print(f"{'':28} {'seconds':>9} {'ratio':>7} {'GFLOP':>8} {'of that rate':>13}")
    for row in rows:
        print(
            "{stage:28} {seconds:9} {ratio:7} {gflop:8} {share:11.1f} %".format(
                **row, share=100 * row["of_matrix_rate"]
            )
        )


if __name__ == "__main__":
    main()
