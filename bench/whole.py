"""Measure the time and memory of whole commands, as a user waits for them.

    python bench/whole.py [--runs 5] [--checkpoint FOLDER] [--json]

Start-up, imports and loading the weights are included. A first run brings the files into the system's cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "docs/examples/cat.svg"
COMMANDS = {
    "classify one.png": ["classify", "one.png"],
    "generate --class cat -n 1": ["generate", "--class", "cat", "-n", "1", "--out", "cats"],
    "generate --class cat -n 16": ["generate", "--class", "cat", "-n", "16", "--out", "cats"],
}


def measure(arguments: list[str], folder: Path) -> tuple[float, float]:
    """The wall time in seconds and the peak resident memory in MiB of a single process."""
    with open(folder / "said", "w+b") as said:
        start = time.perf_counter()
        command = [sys.executable, "-m", "visketch.cli.main", *arguments]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)  # getrusage would give the greatest of all children so far
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"visketch {' '.join(arguments)}: {said.read().decode().strip()}")
    return seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def picture(path: Path) -> None:
    """The example as a PNG."""
    import torch
    from PIL import Image

    from visketch.config import SketchConfig
    from visketch.data.read import read
    from visketch.geometry import sdf

    shape = SketchConfig()
    field = torch.from_numpy(sdf.render(next(iter(read(EXAMPLE))), shape, 256))
    Image.fromarray((255 * (1 - sdf.ink(field, shape.clamp))).byte().numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall time and peak memory of whole commands.")
    parser.add_argument("--runs", type=int, default=5, help="the median of so many (5)")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    more = ["--checkpoint", str(Path(options.checkpoint).absolute())] if options.checkpoint else []
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture(folder / "one.png")
        for title, arguments in COMMANDS.items():
            runs = [measure([*arguments, *more], folder) for _ in range(options.runs + 1)][1:]
            seconds, memory = (statistics.median(column) for column in zip(*runs, strict=True))
            rows.append({"command": title, "seconds": round(seconds, 2), "peak_mib": round(memory)})
    if options.json:
        print(json.dumps({"runs": options.runs, "rows": rows}))
        return
    print(f"Whole processes, median of {options.runs} runs")
    for row in rows:
        print("visketch {command:28} {seconds:7} s {peak_mib:7} MiB".format(**row))


if __name__ == "__main__":
    main()
