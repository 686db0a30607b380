"""Measure `visketch classify` on a folder of pictures: files a second, compared with the model alone, and peak memory.

    python bench/batch.py [--files 1000 --files 10000] [--workers N] [--checkpoint FOLDER] [--json]

"The model alone" is `model.classify` on sketches in memory that are not yet rendered. It is measured before and after
each number of files, because the load of a machine varies. The start of the command, measured on one file, is
subtracted from its time. The pictures are the tests' drawings as PNG files, 256 pixels wide. Memory is that of the
command and its processes, sampled while they run (Linux only).
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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import drawings
import numpy as np
from PIL import Image

from visketch import parallel
from visketch.config import SketchConfig
from visketch.data.read import read
from visketch.geometry import sdf
from visketch.model import SketchModel

DIFFERENT = 500  # drawings; the others are copies of them
READY = 256  # sketches given to the model alone, in batches of 64


def draw(folder: Path, count: int) -> None:
    """Write `count` pictures."""
    shape = SketchConfig()
    for number in range(count):
        path, first = folder / f"{number:06}.png", folder / f"{number % DIFFERENT:06}.png"
        if number >= DIFFERENT:
            path.write_bytes(first.read_bytes())
            continue
        field = sdf.render(drawings.draw_many(1, seed=number)[0], shape, 256)
        Image.fromarray((255 * (1 - sdf.ink(field, shape.clamp))).astype(np.uint8)).save(path)


def alone(model: SketchModel, files: list[Path]) -> float:
    """The rate of the model alone, in sketches a second."""
    sketches = [sketch for file in files[:READY] for sketch in read(file)]
    start = time.perf_counter()
    for first in range(0, len(sketches), 64):
        model.classify_many(sketches[first : first + 64])
    return len(sketches) / (time.perf_counter() - start)


def resident(group: int) -> int:
    """The memory of all processes of a session in MiB. Shared pages count once for each process."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == group:
                total += int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # the process has just ended
            continue
    return total >> 20


def command(folder: Path, out: Path, workers: int, more: list[str]) -> tuple[float, int]:
    """The duration of the whole command in seconds, and its peak memory in MiB."""
    words = [sys.executable, "-m", "visketch.cli.main", "classify", str(folder), "--out", str(out)]
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        [*words, "--workers", str(workers), *more], start_new_session=True, stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"visketch classify ended with {process.returncode}")
    return time.perf_counter() - start, peak


def measure(files: int, workers: int, checkpoint: str | None) -> dict:
    more = ["--checkpoint", str(Path(checkpoint).absolute())] if checkpoint else []
    model = SketchModel.load(checkpoint)
    with tempfile.TemporaryDirectory() as home:
        folder, single = Path(home, "pictures"), Path(home, "single")
        for place, count in ((folder, files), (single, 1)):
            place.mkdir()
            draw(place, count)
        pictures = sorted(folder.iterdir())
        alone(model, pictures)  # warm-up
        rates = [alone(model, pictures)]
        start, _ = command(single, Path(home, "single.ndjson"), workers, more)
        whole, peak = command(folder, Path(home, "all.ndjson"), workers, more)
        rates.append(alone(model, pictures))
        answers = Path(home, "all.ndjson").read_bytes().count(b"\n")
        assert answers == files, f"{answers} answers to {files} files"
    rate, by_itself = files / (whole - start), statistics.mean(rates)
    return {
        "files": files,
        "workers": workers,
        "seconds": round(whole, 1),
        "files_a_second": round(rate, 1),
        "model_alone": round(by_itself, 1),
        "ratio": round(rate / by_itself, 2),
        "peak_mib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Many files: rate and memory.")
    parser.add_argument("--files", type=int, action="append", help="how many; may be repeated (1000 and 10000)")
    parser.add_argument("--workers", type=int, default=parallel.usual_workers(), help="as `visketch classify` has it")
    parser.add_argument("--checkpoint", help="a checkpoint's folder, instead of the shipped one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = [measure(files, options.workers, options.checkpoint) for files in options.files or [1000, 10000]]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    print(f"{'files':>7} {'workers':>8} {'files/s':>8} {'model alone':>12} {'ratio':>6} {'peak':>9}")
    for row in rows:
        print("{files:7,} {workers:8} {files_a_second:8} {model_alone:12} {ratio:6} {peak_mib:5} MiB".format(**row))


if __name__ == "__main__":
    main()
