"""Scenes: pictures of several objects whose places are known, composed of what no other split has.

A scene is square, its boxes are shares of its side: x1, y1, x2, y2, x to the right, y down. Objects do not overlap, so
a box shows one object and a count is never a matter of opinion.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from visketch.errors import UsageError, VisketchError
from visketch.language.boxes import Box

LARGEST = 0.6  # of the scene's side: an object that is alone
GAP = 0.01  # of the side, between objects and at the edge
REPEAT = 0.6  # how likely the next object is of a class that is there already


@dataclass(frozen=True)
class Thing:
    """An object of a scene."""

    label: str
    box: Box


@dataclass(frozen=True)
class Query:
    """A sketch to ask with: the drawing or object it is of, its picture's name, and how it came about."""

    label: str
    source: str
    name: str
    style: str
    pixels: UInt8[np.ndarray, "h h"] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Scene:
    pixels: UInt8[np.ndarray, "..."] = field(compare=False, repr=False)
    things: tuple[Thing, ...]
    used: frozenset[str]  # what it was made of: none of it may be the question as well
    unsure: frozenset[str] = frozenset()  # classes that may be there, but nobody counted


@runtime_checkable
class Scenery(Protocol):
    """What scenes are composed of."""

    def labels(self, split: str) -> set[str]:
        """The classes of which it has objects."""

    def scene(self, labels: Sequence[str], split: str, rng: np.random.Generator) -> Scene:
        """A scene of objects of these classes."""


@runtime_checkable
class Style(Protocol):
    """Sketches of one style, to ask with."""

    def sources(self, label: str, split: str) -> Sequence[str]:
        """The names of what there is of a class."""

    def query(self, source: str, label: str, split: str, rng: np.random.Generator) -> Query:
        """The sketch of this source."""


class Styles:
    """All styles that there are to ask with, the usual one half of the time; some of them in tests alone."""

    def __init__(self, styles: dict[str, Style], held_out: Collection[str] = ()) -> None:
        """Raises UsageError if a style that is to be held out is none, or nothing is left to learn from."""
        if unknown := set(held_out) - set(styles):
            raise UsageError(f"no style {min(unknown)!r} to hold out, there are {', '.join(styles)}")
        if not set(styles) - set(held_out):
            raise UsageError("every style is held out: leave one to learn from")
        self.styles, self.held_out = styles, frozenset(held_out)

    def labels(self, split: str, among: Collection[str]) -> set[str]:
        """The classes that can be asked about."""
        return {label for label in among if len(self._of(label, split, frozenset()))}

    def query(self, label: str, split: str, rng: np.random.Generator, without: frozenset[str]) -> Query:
        """A sketch of this class, of nothing that is in `without`. Raises VisketchError if there is none."""
        found = self._of(label, split, without)
        if not found:
            raise VisketchError(f"too few {split} sketches of {label!r} to ask with: add some, or leave the class out")
        name = next(iter(found))
        if len(found) > 1 and rng.random() < 0.5:
            name = str(rng.choice([*found][1:]))
        sources = found[name]
        while (source := sources[int(rng.integers(len(sources)))]) in without:
            pass
        return self.styles[name].query(source, label, split, rng)

    def _of(self, label: str, split: str, without: frozenset[str]) -> dict[str, Sequence[str]]:
        found = {}
        for name, style in self.styles.items():
            if name not in self.held_out or split == "test":
                sources = style.sources(label, split)
                if len(sources) > len(without) or set(sources) - without:
                    found[name] = sources
        return found


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


def counted(things: Iterable[Thing]) -> dict[str, int]:
    """How many there are of each class."""
    counts: dict[str, int] = defaultdict(int)
    for thing in things:
        counts[thing.label] += 1
    return dict(counts)
