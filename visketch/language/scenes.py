"""Scenes: pictures of several objects whose places are known, composed of drawings that no other split has.

A scene is square, its boxes are shares of its side: x1, y1, x2, y2, x to the right, y down. Objects do not overlap, so
a box shows one object and a count is never a matter of opinion.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from visketch import sdf, strokes
from visketch.config import SketchConfig
from visketch.data.folder import SPLITS
from visketch.data.store import Store
from visketch.errors import VisketchError

Box = tuple[float, float, float, float]

LARGEST = 0.6  # of the scene's side: an object that is alone
GAP = 0.01  # of the side, between objects and at the edge
REPEAT = 0.6  # how likely the next object is of a class that is there already
VARIANTS = 3  # of a training drawing as a query: as it was drawn, and turned and stretched in two ways


@dataclass(frozen=True)
class Thing:
    """An object of a scene."""

    label: str
    box: Box


@dataclass(frozen=True)
class Query:
    """A sketch that something is asked about: its picture's name, and how it came about."""

    label: str
    name: str
    style: str
    pixels: UInt8[np.ndarray, "h h"] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Scene:
    pixels: UInt8[np.ndarray, "..."] = field(compare=False, repr=False)
    things: tuple[Thing, ...]
    used: frozenset[str]  # what it was made of: none of it may be the question as well


class Source(Protocol):
    """What scenes are composed of."""

    def labels(self, split: str) -> set[str]:
        """The classes of which it has objects for scenes, and sketches for questions."""

    def scene(self, labels: Sequence[str], split: str, rng: np.random.Generator) -> Scene:
        """A scene of objects of these classes."""

    def query(self, label: str, split: str, rng: np.random.Generator, without: frozenset[str]) -> Query:
        """A sketch of this class, of nothing that is in `without`."""


def choose(
    count: int, classes: Sequence[str], rng: np.random.Generator, first: Sequence[str] | None = None
) -> list[str]:
    """The classes of so many objects: often one again that is there, so that there is something to count.

    `first`: the classes that the first object may be of, if not all.
    """
    labels = [str(rng.choice(first or classes))]
    while len(labels) < count:
        labels.append(str(rng.choice(labels if rng.random() < REPEAT else classes)))
    return labels


def place(shapes: Float[np.ndarray, "n 2"], rng: np.random.Generator) -> Float[np.ndarray, "n 4"]:
    """Boxes of these widths and heights (in any unit, kept but for the scale) somewhere in the unit square, apart."""
    shapes = shapes / shapes.max(axis=1, keepdims=True)
    side = min(LARGEST, 0.9 / math.sqrt(len(shapes)))
    while True:
        sizes = shapes * (side * rng.uniform(0.55, 1, (len(shapes), 1)))
        boxes = np.zeros((len(shapes), 4))
        put: list[int] = []
        for number in np.argsort(-sizes.prod(axis=1)):  # the largest first, while there is room
            size = sizes[number]
            corners = rng.uniform(GAP, np.maximum(1 - GAP - size, GAP + 1e-6), (40, 2))
            tried = np.concatenate([corners, corners + size], axis=1)
            free = ~_overlap(tried, boxes[put]).any(axis=1)
            if not free.any():
                break
            boxes[number] = tried[free.argmax()]
            put.append(int(number))
        if len(put) == len(shapes):
            return boxes
        side *= 0.95


def _overlap(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(some[:, None, :2], others[None, :, :2]) - GAP
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    return (low < high).all(axis=2)


class Drawings:
    """Drawings of a packed data set, as lines of one thin pen; questions are other drawings of it, filling the page."""

    def __init__(self, store: Store, classes: Iterable[str], canvas: int = 128) -> None:
        """Raises VisketchError for a class that the data set has not."""
        self.store, self.canvas = store, canvas
        self.whole = SketchConfig(canvas=canvas)
        thin = max(1.5 / canvas, 1 / 128)
        self.thin = SketchConfig(canvas=canvas, pen=thin, clamp=thin)
        self.rows: dict[tuple[str, str], np.ndarray] = {}
        for label in classes:
            if label not in store.labels:
                raise VisketchError(f"{store.path}: no drawing of {label!r}, pack some or leave the class out")
            of_class = np.flatnonzero(store.label == store.labels.index(label))
            for number, split in enumerate(SPLITS):
                self.rows[label, split] = of_class[store.split[of_class] == number]

    def labels(self, split: str) -> set[str]:
        return {label for (label, part), rows in self.rows.items() if part == split and len(rows) > 1}

    def scene(self, labels: Sequence[str], split: str, rng: np.random.Generator) -> Scene:
        drawings, used = [], set()
        for label in labels:
            sketch = self._pick(label, split, rng, frozenset())
            used.add(sketch.source)
            lines = sketch.lines()
            drawings.append(strokes.augment(lines, rng, 0.5, drop=False) if split == "train" else lines)
        extents = [np.concatenate(lines) for lines in drawings]
        shapes = np.array([np.maximum(np.ptp(points, axis=0), 1e-3) for points in extents], np.float64)
        boxes = place(shapes, rng)
        pen = self.thin.pen
        ink, things = [], []
        for label, lines, points, box in zip(labels, drawings, extents, boxes, strict=True):
            low, high = points.min(axis=0), points.max(axis=0)
            times = float(((box[2:] - box[:2] - pen) / np.maximum(high - low, 1e-3)).min())  # the pen is inside the box
            shift = (box[:2] + box[2:]) / 2 - (low + high) / 2 * times
            placed = tuple((line * times + shift).astype(np.float32) for line in lines)
            ink += placed
            drawn = np.concatenate(placed)
            corners = np.concatenate([drawn.min(axis=0) - pen / 2, drawn.max(axis=0) + pen / 2]).clip(0, 1)
            things.append(Thing(label, tuple(corners.tolist())))
        return Scene(self._draw(tuple(ink), self.thin), tuple(things), frozenset(used))

    def query(self, label: str, split: str, rng: np.random.Generator, without: frozenset[str]) -> Query:
        sketch = self._pick(label, split, rng, without)
        variant = int(rng.integers(VARIANTS)) if split == "train" else 0
        lines = sketch.lines()
        if variant:
            lines = strokes.augment(lines, np.random.default_rng([variant, int(sketch.source, 16)]), 0.7)
        pixels = self._draw(strokes.fit(lines, self.whole.margin), self.whole)
        return Query(label, f"{sketch.source}-{variant}", "human", pixels)

    def _pick(self, label: str, split: str, rng: np.random.Generator, without: frozenset[str]) -> strokes.Sketch:
        rows = self.rows[label, split]
        while True:
            sketch = self.store[rng.choice(rows)]
            if sketch.source not in without:
                return sketch
            if len(rows) <= len(without):
                keys = {self.store[row].source for row in rows}
                if keys <= without:
                    raise VisketchError(f"{self.store.path}: too few {split} drawings of {label!r} to ask about them")

    def _draw(self, lines: tuple[np.ndarray, ...], config: SketchConfig) -> np.ndarray:
        drawn = sdf.ink(sdf.field(lines, config, self.canvas), config.clamp)
        return (255 * (1 - drawn)).round().astype(np.uint8)


def counted(things: Iterable[Thing]) -> dict[str, int]:
    """How many there are of each class."""
    counts: dict[str, int] = defaultdict(int)
    for thing in things:
        counts[thing.label] += 1
    return dict(counts)
