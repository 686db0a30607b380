"""Measure a search in a large gallery, compared with a numpy scan of all vectors.

    python bench/search.py [--items 100000] [--queries 200] [-n 12] [--width W] [--json]

The gallery is synthetic: vectors around 345 centres, as wide as those of the shipped weights, in the format of
`visketch index`. A search starts with the query's vector and ends with the list of drawings. Both methods alternate, so
other load slows both alike. Times are medians, and the ratio is the median of the ratios. Recall is the share of the n
nearest vectors that is found.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from visketch.model import SketchModel
from visketch.search.database import Done, Entry
from visketch.search.index import Index

CLASSES, STEP = 345, 10_000


def made_up(count: int, width: int, seed: int) -> np.ndarray:
    """Vectors (count, width) of length 1 around CLASSES centres. They spread less and less along the axes."""
    centres = np.random.default_rng(0).normal(size=(CLASSES, width)).astype(np.float32)
    rng = np.random.default_rng(seed)
    spread = 5 * np.arange(1, width + 1, dtype=np.float32) ** -0.5
    vectors = centres[rng.integers(CLASSES, size=count)] + spread * rng.standard_normal((count, width), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(gallery: Index, vectors: np.ndarray) -> None:
    """Store the vectors as drawings of one file."""
    for first in range(0, len(vectors), STEP):
        some = {f"{first + i:016x}": vector for i, vector in enumerate(vectors[first : first + STEP])}
        entries = [Entry("all", first + i, f"#{first + i + 1}", None, key) for i, key in enumerate(some)]
        gallery.database.write(["all"] if first == 0 else [], some, entries, [])
    gallery.database.write([], {}, [], [Done("all", 0, 0, 0)])


def measure(folder: Path, items: int, width: int, queries: int, n: int) -> dict:
    vectors = made_up(items, width, 1)
    gallery = Index(folder, SketchModel.load(), create=True)
    fill(gallery, vectors)
    start = time.perf_counter()
    gallery.open()
    built = time.perf_counter() - start
    start = time.perf_counter()
    gallery.open()
    opened = time.perf_counter() - start
    seconds: list[tuple[float, float]] = []
    found = 0
    for query in made_up(queries, width, 2):
        start = time.perf_counter()
        hits = gallery.nearest(query, n)
        middle = time.perf_counter()
        similarity = vectors @ query
        best = np.argpartition(-similarity, n)[:n]
        best = best[np.argsort(-similarity[best])]
        seconds.append((middle - start, time.perf_counter() - middle))
        found += len({hit.place for hit in hits} & set(best.tolist()))
    ours, exact = zip(*seconds[queries // 10 :], strict=True)  # the first ones load the file into memory
    return {
        "items": items,
        "width": width,
        "search_ms": 1e3 * statistics.median(ours),
        "search_ms_99": 1e3 * float(np.quantile(ours, 0.99)),
        "exact_ms": 1e3 * statistics.median(exact),
        "times_exact": statistics.median(b / a for a, b in zip(ours, exact, strict=True)),
        "recall": found / (n * queries),
        "first_ms": 1e3 * seconds[0][0],
        "open_ms": 1e3 * opened,
        "build_s": built,
        "mb_on_disk": gallery.bytes() / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Searching, beside comparing with every vector in numpy.")
    parser.add_argument("--items", type=int, default=100_000, help="drawings in the gallery (100,000)")
    parser.add_argument("--queries", type=int, default=200, help="how many are searched for (200)")
    parser.add_argument("-n", type=int, default=12, help="found for each (12)")
    parser.add_argument("--width", type=int, help="of a vector, by default the shipped weights'")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    config = SketchModel.load().config
    width = options.width or config.encoder.width + len(config.labels)
    with tempfile.TemporaryDirectory() as folder:
        row = measure(Path(folder) / "made-up.index", options.items, width, options.queries, options.n)
    if options.json:
        print(json.dumps(row))
        return
    print(f"{row['items']:,} vectors of {row['width']} numbers, {row['mb_on_disk']:.0f} MB on disk")
    print(
        f"a search: {row['search_ms']:.1f} ms (99 of 100: {row['search_ms_99']:.1f}, the first {row['first_ms']:.1f})"
    )
    print(f"comparing with all in numpy, in memory: {row['exact_ms']:.1f} ms, {row['times_exact']:.1f} times as long")
    print(f"of the {options.n} nearest {100 * row['recall']:.2f} % are found")
    print(f"opening takes {row['open_ms']:.1f} ms; building the graph took {row['build_s']:.0f} s")


if __name__ == "__main__":
    main()
