"""Measure classification from fields to logits: by torch, by compiled torch, and by ONNX Runtime, also in int8.

    python bench/export.py [--batch 1 --batch 64] [--runs 10] [--threads N] [--compile] [--data FILE] [--json]

All use the same number of threads. torch also runs in bfloat16 if the CPU has instructions for it; int8 is ONNX
Runtime's dynamic quantisation of the exported file. They alternate, so other load on the machine slows all of them
alike. Times are medians, and a ratio is the median of the ratios of all rounds. With --data, the share of test drawings
that each names correctly is measured as well, on 1,500 drawings or on all if there are fewer.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import drawings

from visketch.data.store import Store
from visketch.device import multiplies_bfloat16
from visketch.errors import UsageError, VisketchError
from visketch.model import SketchModel
from visketch.tasks.export import export_classifier

Way = Callable[[Tensor], Tensor]
MOST = 1500  # test drawings that are classified


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ways(model: SketchModel, sessions: dict[str, onnxruntime.InferenceSession], compiled: bool) -> dict[str, Way]:
    """The functions from fields to logits that are compared, by name."""

    def torch_in(some: SketchModel, brief: bool) -> Way:
        def run(fields: Tensor) -> Tensor:
            some.use_bf16 = brief
            return some.logits(fields).float()

        return run

    def onnx_in(session: onnxruntime.InferenceSession) -> Way:
        return lambda fields: torch.from_numpy(session.run(None, {"field": fields.numpy()})[0])

    models = {"torch": model}
    if compiled:
        models["torch, compiled"] = faster = copy.deepcopy(model)
        faster.part("encoder").compile(dynamic=True)
        faster.part("classifier").compile(dynamic=True)
    precisions = {"fp32": False, **({"bf16": True} if multiplies_bfloat16() else {})}
    by_torch = {
        f"{name}, {precision}": torch_in(some, brief)
        for name, some in models.items()
        for precision, brief in precisions.items()
    }
    return {**by_torch, **{f"onnxruntime, {name}": onnx_in(session) for name, session in sessions.items()}}


def measure(model: SketchModel, by: dict[str, Way], batch: int, runs: int) -> list[dict]:
    """The rows of the table for one batch size."""
    fields = model.fields(drawings.draw_many(batch), model.config.reading)
    rounds = [{name: seconds(partial(run, fields)) for name, run in by.items()} for _ in range(runs + 1)][1:]
    return [
        {
            "batch": batch,
            "name": name,
            "ms": round(1e3 * statistics.median(seen[name] for seen in rounds), 2),
            "times_torch": round(statistics.median(seen["torch, fp32"] / seen[name] for seen in rounds), 2),
        }
        for name in by
    ]


def tested(store: Store) -> np.ndarray:
    """The row numbers of MOST of the test drawings, or of all. Raises UsageError if there is none."""
    rows = store.rows("test")
    if not len(rows):
        raise UsageError(f"{store.path}: no test drawings in it; take another --data")
    return rows[:: max(1, len(rows) // MOST)][:MOST]


def accuracy(
    model: SketchModel, by: dict[str, Way], store: Store, rows: np.ndarray, batch: int = 50
) -> dict[str, float]:
    """The accuracy of each function; drawings without a label count as wrong."""
    right = dict.fromkeys(by, 0)
    for first in range(0, len(rows), batch):
        sketches = [store[int(row)] for row in rows[first : first + batch]]
        fields, true = model.fields(sketches, model.config.reading), [sketch.label for sketch in sketches]
        for name, run in by.items():
            named = [model.labels[place] for place in run(fields).argmax(dim=1).tolist()]
            right[name] += sum(one == other for one, other in zip(named, true, strict=True))
    return {name: round(count / len(rows), 4) for name, count in right.items()}


def opened(path: Path, threads: int) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description="The exported classifier beside torch.")
    parser.add_argument("--batch", type=int, action="append", help="sketches at once; may be repeated (1 and 64)")
    parser.add_argument("--runs", type=int, default=10, help="the median of so many (10)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU (all)")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--compile", action="store_true", help="torch.compile too (takes minutes)")
    parser.add_argument("--data", type=Path, help="a packed data set: how many test drawings each names right")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:  # so that it fails before anything is measured
        store = Store(options.data) if options.data else None
        some = tested(store) if store else np.empty(0, int)
    except VisketchError as error:
        sys.exit(f"error: {error}")
    model = SketchModel.load(options.checkpoint)
    with tempfile.TemporaryDirectory() as home:
        path, small = Path(home, "model.onnx"), Path(home, "int8.onnx")
        difference = export_classifier(model, path)["difference"]
        graph = onnx.load(path)
        del graph.graph.value_info[:]  # shapes written by the exporter, which onnx infers differently
        quantize_dynamic(graph, small, op_types_to_quantize=["MatMul", "Gemm"])
        sessions = {"fp32": opened(path, options.threads), "int8": opened(small, options.threads)}
    by = ways(model, sessions, options.compile)
    rows = [row for batch in options.batch or [1, 64] for row in measure(model, by, batch, options.runs)]
    right = accuracy(model, by, store, some) if store else {}
    if options.json:
        print(
            json.dumps(
                {
                    "threads": options.threads,
                    "difference": difference,
                    "rows": rows,
                    "right": right,
                    "drawings": len(some),
                }
            )
        )
        return
    print(f"Fields to logits, {options.threads} threads; the exported logits differ by {difference:.1g} at most")
    for row in rows:
        print("{batch:4} at once  {name:22} {ms:9} ms  {times_torch:5}x as fast as torch, fp32".format(**row))
    for name, share in right.items():
        print(f"  {name:22} names {100 * share:.1f} % of {len(some):,} test drawings")


if __name__ == "__main__":
    main()
