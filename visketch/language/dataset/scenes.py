"""Scenes: pictures of several objects at known places, composed of sources that no other split uses.

A scene is square. Its boxes are x1, y1, x2, y2 in shares of its side, with x to the right and y down. Objects do not
overlap, so a box shows one object and a count is unambiguous.
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

LARGEST = 0.6  # the largest extent of a single object, as a share of the scene's side
GAP = 0.01  # the least gap between objects and at the edge, as a share of the side
REPEAT = 0.6  # the probability that the next object has a class that is there already


@dataclass(frozen=True)
class Thing:
    """An object of a scene: its class and its box."""

    label: str
    box: Box


@dataclass(frozen=True)
class Query:
    """A query sketch: the drawing or object that it shows, the name of its picture, and its style."""

    label: str
    source: str
    name: str
    style: str
    pixels: UInt8[np.ndarray, "h h"] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Scene:
    pixels: UInt8[np.ndarray, "..."] = field(compare=False, repr=False)
    things: tuple[Thing, ...]
    used: frozenset[str]  # the sources of its objects, none of which may also be the query
    unsure: frozenset[str] = frozenset()  # classes that may be in the scene but are not counted


@runtime_checkable
class Scenery(Protocol):
    """A source of scenes."""

    def labels(self, split: str) -> set[str]:
        """The classes of the objects in a split."""

    def scene(self, labels: Sequence[str], split: str, rng: np.random.Generator) -> Scene:
        """A scene with objects of these classes."""


@runtime_checkable
class Style(Protocol):
    """The source of query sketches of one style."""

    def sources(self, label: str, split: str) -> Sequence[str]:
        """The names of the sources of a class."""

    def query(self, source: str, label: str, split: str, rng: np.random.Generator) -> Query:
        """The sketch of a source."""


class Styles:
    """All styles of queries. The first one is used half of the time. Some styles are only used in tests."""

    def __init__(self, styles: dict[str, Style], held_out: Collection[str] = ()) -> None:
        """Collect the styles. Those in `held_out` are only used in tests. Raises UsageError if one of these does not
        exist, or if no style is left for training.
        """
        if unknown := set(held_out) - set(styles):
            raise UsageError(f"no style {min(unknown)!r} to hold out; there are {', '.join(styles)}")
        if not set(styles) - set(held_out):
            raise UsageError("every style is held out; leave one for training")
        self.styles, self.held_out = styles, frozenset(held_out)

    def labels(self, split: str, among: Collection[str]) -> set[str]:
        """Those classes in `among` for which there are sketches."""
        return {label for label in among if len(self._of(label, split, frozenset()))}

    def query(self, label: str, split: str, rng: np.random.Generator, without: frozenset[str]) -> Query:
        """A sketch of this class whose source is not in `without`. Raises VisketchError if there is none."""
        found = self._of(label, split, without)
        if not found:
            raise VisketchError(f"too few {split} sketches of {label!r} as queries; add some, or leave the class out")
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
    """The classes of the objects of a scene. They are often repeated, so that there is something to count.

    `first` are the classes that the first object may have, if not all.
    """
    labels = [str(rng.choice(first or classes))]
    while len(labels) < count:
        labels.append(str(rng.choice(labels if rng.random() < REPEAT else classes)))
    return labels


def place(shapes: Float[np.ndarray, "n 2"], rng: np.random.Generator) -> Float[np.ndarray, "n 4"]:
    """Boxes with the given proportions at random places in the unit square, without overlaps."""
    shapes = shapes / shapes.max(axis=1, keepdims=True)
    side = min(LARGEST, 0.9 / math.sqrt(len(shapes)))
    while True:
        sizes = shapes * (side * rng.uniform(0.55, 1, (len(shapes), 1)))
        boxes = np.zeros((len(shapes), 4))
        put: list[int] = []
        for number in np.argsort(-sizes.prod(axis=1)):  # the largest box is placed first, as long as there is room
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
    """The number of objects of each class."""
    counts: dict[str, int] = defaultdict(int)
    for thing in things:
        counts[thing.label] += 1
    return dict(counts)
