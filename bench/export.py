"""How long the exported classifier takes, beside torch: from fields to logits.

    python bench/export.py [--batch 1 --batch 64] [--runs 10] [--threads N] [--checkpoint FOLDER] [--json]

Both in single precision, with as many threads; torch also in bfloat16 where the CPU multiplies it. They take turns, so
that a busy machine slows all; times are medians, a ratio is the median of the ratios of the rounds.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import drawings

from visketch.export import export_classifier
from visketch.model import ViSketch, multiplies_bfloat16


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(model: ViSketch, session: onnxruntime.InferenceSession, batch: int, runs: int) -> list[dict]:
    """Rows of the table, for so many sketches at once."""
    fields = model.render(drawings.draw_many(batch))
    given = {"field": fields.numpy()}

    def torch_in(brief: bool) -> Callable[[], object]:
        def run() -> object:
            model.brief = brief
            return model.logits(fields)

        return run

    ways = {"torch, fp32": torch_in(False), "onnxruntime, fp32": lambda: session.run(None, given)}
    if multiplies_bfloat16():
        ways["torch, bf16"] = torch_in(True)
    rounds = [{name: seconds(run) for name, run in ways.items()} for _ in range(runs + 1)][1:]  # the first warms up
    return [
        {
            "batch": batch,
            "name": name,
            "ms": round(1e3 * statistics.median(seen[name] for seen in rounds), 2),
            "times_torch": round(statistics.median(seen["torch, fp32"] / seen[name] for seen in rounds), 2),
        }
        for name in ways
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="The exported classifier beside torch.")
    parser.add_argument("--batch", type=int, action="append", help="sketches at once; may be repeated (1 and 64)")
    parser.add_argument("--runs", type=int, default=10, help="the median of so many (10)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU (all)")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = ViSketch.load(options.checkpoint)
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "model.onnx")
        difference = export_classifier(model, path)["difference"]
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    rows = [row for batch in options.batch or [1, 64] for row in measure(model, session, batch, options.runs)]
    if options.json:
        print(json.dumps({"threads": options.threads, "difference": difference, "rows": rows}))
        return
    print(f"Fields to logits, {options.threads} threads; the logits differ by {difference:.1g} at most")
    for row in rows:
        print("{batch:4} at once  {name:18} {ms:9} ms  {times_torch:5}x as fast as torch, fp32".format(**row))


if __name__ == "__main__":
    main()
