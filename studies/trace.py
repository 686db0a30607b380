"""Measure the accuracy and speed of tracing on test drawings, against their original strokes and another tracer.

    python studies/trace.py --data packed.arrow [--limit 300] [--json]

Each drawing is traced from the model's field (128 px, pen 4) and from masks as in PNG files (256 px, pens 3 and 8).
resvg renders the resulting SVG, which is compared with a rendering of the original strokes, both at 256 px. The last
rows are alternatives: the skeleton of skimage without the ridge but with the same joins, and skan (`pip install skan
resvg-py`), which makes one path for every edge of the skeleton's graph.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from unittest.mock import patch

import numpy as np
import resvg_py
import torch
from PIL import Image
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from visketch.config import SketchConfig
from visketch.data import write
from visketch.data.store import Store
from visketch.evaluate.recognition import sample
from visketch.geometry import sdf, sketch, trace
from visketch.geometry.trace import Trace
from visketch.metrics import ink_f1

SIDE = 256  # the side in pixels at which pictures are compared
Way = Callable[[np.ndarray], Trace]  # from a distance field in pixels to strokes


def distance(lines: tuple[np.ndarray, ...], side: int, pen: float, mask: bool) -> np.ndarray:
    """The distance field of a drawing in the unit square, for a pen of a given width in pixels."""
    shape = SketchConfig(pen=pen / side)
    field = sdf.field(lines, shape, side)
    return trace.from_pixels(field > 0) if mask else trace.from_field(field, shape.clamp)


def drawn(found: Trace, side: int) -> np.ndarray:
    """The SVG rendered by resvg, (SIDE SIDE) bool."""
    page = write.svg([(found.strokes, found.pen)], side, side, {})
    png = bytes(resvg_py.svg_to_bytes(svg_string=page, width=SIDE, height=SIDE, background="white"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")) < 128


def without_ridge(distance: np.ndarray) -> Trace:
    with (
        patch.object(trace, "thinned", lambda distance: skeletonize(distance > 0)),
        patch.object(trace, "_on_the_ridge", lambda pieces, _: [piece.astype(float) for piece in pieces]),
    ):
        return trace.trace(distance)


def skan(distance: np.ndarray) -> Trace:
    """The paths of skan, unchanged, with a pen of the ink's median width."""
    from skan import Skeleton

    thin = skeletonize(distance > 0)
    graph = Skeleton(thin)
    paths = [graph.path_coordinates(number)[:, ::-1] + 0.5 for number in range(graph.n_paths)]
    return Trace(tuple(path.astype(np.float32) for path in paths), 2 * float(np.median(distance[thin])))


def measure(way: Way, lines: tuple[np.ndarray, ...], side: int, pen: float, mask: bool) -> dict:
    start = distance(lines, side, pen, mask)
    before = time.perf_counter()
    found = way(start)
    traced = time.perf_counter()
    page = drawn(found, side)
    truth = sdf.field(lines, SketchConfig(pen=pen / side), SIDE) > 0
    pair = (torch.from_numpy(np.array(ink))[None] for ink in (page, truth))
    human = sketch.sample(lines, 1 / SIDE)
    own = sketch.sample(tuple(line / side for line in found.strokes), 1 / SIDE)
    aside = cKDTree(human).query(own)[0].mean() + cKDTree(own).query(human)[0].mean()
    return {
        "f1": float(ink_f1(*pair)[0]),
        "ratio": len(found.strokes) / len(lines),
        "aside": aside / 2 * SIDE,
        "ms": 1e3 * (traced - before),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Tracing against human strokes.")
    parser.add_argument("--data", required=True, help="a packed data set; its test split is used")
    parser.add_argument("--limit", type=int, default=300, help="so many drawings (300)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    store = Store(options.data)
    rows = sample(store, "test", options.limit)
    lines = [sketch.fit(store[row].lines(), SketchConfig().margin) for row in rows]
    tasks: list[tuple[str, Way, int, float, bool]] = [
        ("field, 128 px, pen 4", trace.trace, 128, 4, False),
        ("mask, 256 px, pen 3", trace.trace, 256, 3, True),
        ("mask, 256 px, pen 8", trace.trace, 256, 8, True),
        ("mask, pen 3, no ridge", without_ridge, 256, 3, True),
        ("mask, pen 8, no ridge", without_ridge, 256, 8, True),
    ]
    if find_spec("skan"):
        tasks += [(f"mask, pen {pen}, skan", skan, 256, pen, True) for pen in (3, 8)]
    table = []
    for name, way, side, pen, mask in tasks:
        way(distance(lines[0], side, pen, mask))  # the first call imports and compiles, so it is not timed
        found = [measure(way, drawing, side, pen, mask) for drawing in lines]
        column = {key: [row[key] for row in found] for key in found[0]}
        table.append(
            {
                "way": name,
                "ink_f1": round(statistics.mean(column["f1"]), 4),
                "ink_f1_5th_percentile": round(float(np.quantile(column["f1"], 0.05)), 4),
                "strokes_to_human": round(statistics.median(column["ratio"]), 2),
                "within_a_factor_of_two": round(float(np.mean([0.5 <= r <= 2 for r in column["ratio"]])), 3),
                "aside_px": round(statistics.median(column["aside"]), 3),
                "ms": round(statistics.median(column["ms"]), 1),
            }
        )
    if options.json:
        print(json.dumps({"drawings": len(lines), "rows": table}))
        return
    print(f"{len(lines)} test drawings; ink F1 within 1 px at {SIDE} px; strokes: median of traced to human")
    for row in table:
        print(
            "{way:24} F1 {ink_f1:.3f} (5 % below {ink_f1_5th_percentile:.3f})  strokes {strokes_to_human:.2f}, "
            "{within_a_factor_of_two:.0%} within a factor of two  {aside_px:.2f} px aside  {ms:5.1f} ms".format(**row)
        )


if __name__ == "__main__":
    main()
