"""Measure how many sketches are classified a second, and the time of each stage, compared with other networks.

    python bench/classify.py [--batch 1 --batch 64] [--data quickdraw.arrow] [--runs 5] [--threads N] [--json]

ViSketch, with the network that reads the strokes and without it, and the plain CNN (`baseline.backbone = cnn`) are
measured from strokes to answer. A ResNet34 is measured from pixels to answer, at the usual 224 pixels and at 128, the
side of the canvas. The CNN and the ResNet34 have random weights. Each runs in single precision and, if the CPU has
instructions for it, in bfloat16. They alternate, so other load on the machine slows all of them alike. Times are
medians, and a ratio is the median of the ratios of all rounds. With `--data`, the sketches are test drawings.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import drawings

from visketch import model as library
from visketch.config import BaselineConfig
from visketch.data.store import Store
from visketch.device import multiplies_bfloat16
from visketch.evaluate.recognition import sample
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.models.baseline import Baseline

REST = "quadtree and context"  # the time that is in no other stage
Classify = Callable[[list[Sketch], bool], dict[str, float]]
PRECISIONS = {"fp32": False, **({"bf16": True} if multiplies_bfloat16() else {})}


class Stopwatch:
    """Adds up the seconds spent in the calls that it wraps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def time(self, stage: str, owner: Any, method: str) -> None:
        call = getattr(owner, method)

        def timed(*given: object, **named: object) -> object:
            start = time.perf_counter()
            result = call(*given, **named)
            self.seconds[stage] += time.perf_counter() - start
            return result

        setattr(owner, method, timed)


def visketch(model: SketchModel) -> Classify:
    """The time of each stage of classification; "whole" is their total."""
    watch = Stopwatch()
    watch.time("drawing", library, "all_views")
    watch.time("stem", model.part("encoder").stem, "pictures")
    watch.time("encoder", model.part("encoder"), "forward")
    watch.time("pooling", model.part("classifier"), "pool")
    watch.time("cutting strokes", model, "pieces")
    watch.time("reading strokes", model, "with_strokes")

    def classify(sketches: list[Sketch], brief: bool) -> dict[str, float]:
        model.use_bf16 = brief
        watch.seconds.clear()
        start = time.perf_counter()
        model.classify_many(sketches)
        whole = time.perf_counter() - start
        return {**watch.seconds, REST: whole - sum(watch.seconds.values()), "whole": whole}

    return classify


def leaves(model: SketchModel, sketches: list[Sketch], brief: bool) -> float:
    """The time of classification without reading the strokes."""
    model.use_bf16 = brief
    start = time.perf_counter()
    model.classify_fields(model.fields(sketches, model.config.reading))
    return time.perf_counter() - start


@torch.inference_mode()
def cnn(net: Baseline, model: SketchModel, sketches: list[Sketch], brief: bool) -> float:
    start = time.perf_counter()
    field = model.fields(sketches, model.config.reading)
    with torch.autocast("cpu", torch.bfloat16, enabled=brief):
        net(field)
    return time.perf_counter() - start


@torch.inference_mode()
def resnet(net: Baseline, pixels: Tensor, brief: bool) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=brief):
        net(pixels)
    return time.perf_counter() - start


def measure(
    model: SketchModel, classify: Classify, nets: dict[str, Baseline], sketches: list[Sketch], runs: int
) -> list[dict]:
    """The rows of the table for one batch size."""
    net, batch = nets["resnet34"], len(sketches)
    pixels = {side: F.interpolate(model.render(sketches)[:, None], size=(side, side))[:, 0] for side in (224, 128)}
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(runs + 1):
        seen = {f"visketch, {name}": classify(sketches, brief) for name, brief in PRECISIONS.items()}
        for name, brief in PRECISIONS.items():
            seen[f"without strokes, {name}"] = {"whole": leaves(model, sketches, brief)}
            seen[f"plain CNN, {name}"] = {"whole": cnn(nets["cnn"], model, sketches, brief)}
        for side in pixels:
            for name, brief in PRECISIONS.items():
                seen[f"ResNet34 at {side}, {name}"] = {"whole": resnet(net, pixels[side], brief)}
        rounds.append(seen)
    del rounds[0]  # the warm-up
    rows = []
    for name in rounds[0]:
        stages = {stage: statistics.median(seen[name][stage] for seen in rounds) for stage in rounds[0][name]}
        row = {"batch": batch, "name": name, "a_second": round(batch / stages["whole"], 1)}
        for key, other in {"times_cnn": "plain CNN, fp32", "times_resnet34": "ResNet34 at 224, fp32"}.items():
            row[key] = round(statistics.median(seen[other]["whole"] / seen[name]["whole"] for seen in rounds), 2)
        if "drawing" in stages:
            row["stages_ms"] = {stage: round(1e3 * seconds / batch, 3) for stage, seconds in stages.items()}
            row["drawing_and_tree"] = round((stages["drawing"] + stages[REST]) / stages["whole"], 3)
        rows.append(row)
    return rows


def some(data: Path, number: int) -> list[Sketch]:
    store = Store(data)
    return [store[int(row)] for row in sample(store, "test", number)]


def show(rows: list[dict]) -> None:
    for batch in dict.fromkeys(row["batch"] for row in rows):
        print(f"\n{f'{batch} at once':26} {'sketches/s':>10} {'x plain CNN':>12} {'x ResNet34 at 224':>18} (both fp32)")
        here = [row for row in rows if row["batch"] == batch]
        for row in here:
            print("  {name:24} {a_second:12} {times_cnn:12} {times_resnet34:18}".format(**row))
        for row in here:
            if "stages_ms" in row:
                print("  " + row["name"] + ", ms a sketch:", *(f"{k} {v:.2f} ·" for k, v in row["stages_ms"].items()))
                print(f"    drawing, quadtree and context: {100 * row['drawing_and_tree']:.1f} % of the whole")


def main() -> None:
    parser = argparse.ArgumentParser(description="Classifying, stage by stage, beside other networks.")
    parser.add_argument("--batch", type=int, action="append", help="sketches at once; may be repeated (1 and 64)")
    parser.add_argument("--runs", type=int, default=5, help="the median of so many (5)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU (all)")
    parser.add_argument("--data", type=Path, help="a packed data set whose test drawings are classified")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = SketchModel.load(options.checkpoint)
    nets = {
        name: Baseline(BaselineConfig(backbone=name), model.config.sketch.canvas, len(model.labels)).eval()
        for name in ("cnn", "resnet34")
    }
    classify, rows = visketch(model), []
    for batch in options.batch or [1, 64]:
        sketches = some(options.data, batch) if options.data else drawings.draw_many(batch)
        rows += measure(model, classify, nets, sketches, options.runs)
    if options.json:
        print(json.dumps({"runs": options.runs, "threads": options.threads, "rows": rows}))
        return
    print(f"Classifying, {options.threads} threads, median of {options.runs} runs")
    show(rows)


if __name__ == "__main__":
    main()
