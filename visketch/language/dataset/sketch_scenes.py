"""Scenes and queries from the drawings of a packed data set. They are drawn with one pen and have exact boxes."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from visketch.config import SketchConfig
from visketch.data.folder import SPLITS
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.geometry import sketch
from visketch.language.dataset.scenes import Query, Scene, Thing, place

PEN = 1.5 / 128  # the width of the pen, as a share of the scene's side
FINER = 4  # lines are drawn at this multiple of the canvas, and then shrunk
VARIANTS = 3  # variants of a training drawing as a query: the original, and two that are turned and stretched


class SketchScenes:
    """The drawings of a packed data set as a source of scenes, drawn with one thin pen, and of query sketches."""

    def __init__(self, store: Store, classes: Iterable[str], canvas: int = 128, style: str = "human") -> None:
        """Take the drawings of some classes. Classes that are not in the data set are left out. Raises VisketchError if
        it has none of them.
        """
        self.store, self.canvas, self.style = store, canvas, style
        self.found: dict[tuple[str, str], tuple[str, ...]] = {}
        self.rows: dict[tuple[str, str], int] = {}
        for label in set(classes) & set(store.labels):
            of_class = np.flatnonzero(store.label == store.labels.index(label))
            for number, split in enumerate(SPLITS):
                rows = of_class[store.split[of_class] == number].tolist()
                self.found[label, split] = tuple(store[row].source for row in rows)
                self.rows |= {(label, key): row for key, row in zip(self.found[label, split], rows, strict=True)}
        if not self.rows:
            raise VisketchError(f"{store.path}: no drawing of any of the classes; pack some or choose others")

    def labels(self, split: str) -> set[str]:
        return {label for (label, part), keys in self.found.items() if part == split and keys}

    def sources(self, label: str, split: str) -> Sequence[str]:
        return self.found.get((label, split), ())

    def query(self, source: str, label: str, split: str, rng: np.random.Generator) -> Query:
        lines = self.store[self.rows[label, source]].lines()
        variant = int(rng.integers(VARIANTS)) if split == "train" else 0
        if variant:
            lines = sketch.augment(lines, np.random.default_rng([variant, int(source, 16)]), 0.7)
        return Query(label, source, f"{source}-{variant}", self.style, page(lines, self.canvas))

    def scene(self, labels: Sequence[str], split: str, rng: np.random.Generator) -> Scene:
        drawings, used = [], set()
        for label in labels:
            keys = self.found[label, split]
            key = keys[int(rng.integers(len(keys)))]
            used.add(key)
            lines = self.store[self.rows[label, key]].lines()
            drawings.append(sketch.augment(lines, rng, 0.5, drop=False) if split == "train" else lines)
        extents = [np.concatenate(lines) for lines in drawings]
        boxes = place(np.array([np.maximum(np.ptp(points, axis=0), 1e-3) for points in extents], np.float64), rng)
        pen = PEN
        ink: list[np.ndarray] = []
        things = []
        for label, lines, points, box in zip(labels, drawings, extents, boxes, strict=True):
            low, high = points.min(axis=0), points.max(axis=0)
            times = float(((box[2:] - box[:2] - pen) / np.maximum(high - low, 1e-3)).min())  # the pen is inside the box
            shift = (box[:2] + box[2:]) / 2 - (low + high) / 2 * times
            placed = tuple((line * times + shift).astype(np.float32) for line in lines)
            ink += placed
            drawn = np.concatenate(placed)
            x1, y1 = (drawn.min(axis=0) - pen / 2).clip(0, 1).tolist()
            x2, y2 = (drawn.max(axis=0) + pen / 2).clip(0, 1).tolist()
            things.append(Thing(label, (x1, y1, x2, y2)))
        return Scene(draw(tuple(ink), self.canvas, PEN), tuple(things), frozenset(used))


def page(lines: tuple[np.ndarray, ...], canvas: int) -> UInt8[np.ndarray, "h h"]:
    """Lines in any unit as a sketch that fills its page, dark on white, drawn with the usual pen."""
    usual = SketchConfig()
    return draw(sketch.fit(lines, usual.margin), canvas, usual.pen)


def draw(lines: tuple[np.ndarray, ...], canvas: int, pen: float) -> UInt8[np.ndarray, "h h"]:
    """Draw lines in the unit square as grey levels. `pen` is a share of the side.

    Large lines are drawn with Pillow and then shrunk. The result is close to the signed distance field, and for a thin
    pen it is many times as fast.
    """
    side = FINER * canvas
    picture = Image.new("L", (side, side), 255)
    brush, wide = ImageDraw.Draw(picture), max(1, round(pen * side))
    for line in lines:
        points = [tuple(point) for point in (line * side).tolist()]
        if len(points) > 1:
            brush.line(points, 0, wide, joint="curve")
        for x, y in (points[0], points[-1]):  # this gives round ends
            brush.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), 0)
    return np.asarray(picture.resize((canvas, canvas), Image.Resampling.BOX))
