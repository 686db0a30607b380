"""Detections and answers: parse boxes and counts from text, and remove duplicate boxes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from visketch.errors import VisketchError
from visketch.language.boxes import Box, overlaps, shares

NUMBER = r"([01]\.\d+)"
BOX = re.compile(rf"\[\s*{NUMBER}[,\s]+{NUMBER}[,\s]+{NUMBER}[,\s]+{NUMBER}\s*\]")
THING = re.compile(rf"\s*(?:an?\s+)?(?P<name>[^\[\].,;]*?)\s*(?P<box>{BOX.pattern})")
Predictor = Literal["language", "matcher", "recogniser", "detector"]
OVERLAP = 0.5  # two boxes show one object if their intersection over union is larger than this
WITHIN = 0.8  # a box is part of another drawing if more than this share of it lies in the other box


@dataclass(frozen=True)
class Detection:
    """An object that was found: its class, its box in shares of the picture's sides, and its score from 0 to 1."""

    label: str
    box: Box
    score: float


@dataclass(frozen=True)
class Answer:
    """The result of asking about a scene with a sketch. Boxes are shares of the picture's sides."""

    by: Predictor
    label: str  # the class of the sketch
    found: tuple[Detection, ...]  # the objects of this class in the scene, from left to right
    raw: tuple[Detection, ...]  # the same objects, with duplicates
    others: tuple[Detection, ...]  # the other objects in the scene
    note: str = ""  # what the predictor cannot tell, in a few words

    @property
    def count(self) -> int:
        """The number of objects that were found."""
        return len(self.found)


def answer(
    by: Predictor, label: str, raw: Sequence[Detection], others: Sequence[Detection], drawn: bool = False
) -> Answer:
    """Make an answer without duplicates. `drawn` says that the scene is a drawing, in which no object is found again
    inside itself.
    """
    return Answer(by, label, tuple(suppressed(raw, drawn)), tuple(raw), tuple(others))


@dataclass(frozen=True)
class Output:
    """A text from the language model, with the probability of each stretch (start, end) of it."""

    text: str
    chances: tuple[tuple[int, int, float], ...] = ()

    def sure(self, start: int, end: int) -> float:
        """The geometric mean of the probabilities of the words in a stretch of the text.

        With a geometric mean, a single improbable word counts.
        """
        some = [chance for first, last, chance in self.chances if first < end and last > start]
        product = 1.0
        for chance in some:
            product *= max(chance, 1e-6) ** (1 / len(some))
        return product if some else 1.0


@dataclass(frozen=True)
class Description:
    """A parsed answer to DESC."""

    label: str  # the class of the sketch
    things: tuple[Detection, ...]
    times: int

    def of_label(self) -> list[Detection]:
        return [thing for thing in self.things if thing.label == self.label]


def description(said: Output) -> Description:
    """Parse an answer to DESC. Raises VisketchError if it has another form."""
    head = re.match(r"The sketch shows (?:an? )?(?P<name>[^.]+)\.\s*The picture shows ", said.text)
    if not head:
        raise VisketchError(f"the model's answer is not a description: {said.text[:80]!r}; ask in other words")
    times = re.search(r"appears (\d+) times?", said.text)
    things = tuple(found(said, THING, head.end()))
    label = head["name"].strip()
    here = sum(thing.label == label for thing in things)
    return Description(label, things, int(times[1]) if times else here)


def boxes(said: Output) -> list[Detection]:
    """Parse an answer to BBOX. The answer `none` gives no box. Raises VisketchError if it has another form."""
    some = list(found(said, BOX))
    if not some and "none" not in said.text.lower():
        raise VisketchError(f"the model's answer has no box: {said.text[:80]!r}; ask in other words")
    return some


def found(said: Output, pattern: re.Pattern[str], start: int = 0) -> list[Detection]:
    """Every well-formed box of an answer, with the name before it if `pattern` captures one."""
    some = []
    for match in pattern.finditer(said.text, start):
        x1, y1, x2, y2 = (float(number) for number in match.groups()[-4:])
        if x1 < x2 <= 1 and y1 < y2 <= 1:
            label = (match.groupdict().get("name") or "").strip()
            some.append(Detection(label, (x1, y1, x2, y2), said.sure(*match.span())))
    return some


def count(said: Output) -> int:
    """Parse the number in an answer to COUNT. Raises VisketchError if there is none."""
    number = re.search(r"\d+", said.text)
    if not number:
        raise VisketchError(f"the model's answer is not a number: {said.text[:80]!r}; ask in other words")
    return int(number[0])


def suppressed(things: Sequence[Detection], drawn: bool = False, overlap: float = OVERLAP) -> list[Detection]:
    """Remove duplicates and sort the rest from left to right.

    Of overlapping boxes, the one with the highest score is kept (non-maximum suppression). If the picture is `drawn`,
    an object inside an object of the same class is a duplicate too: the head of a cat is not a second cat. In a photo,
    one may stand before the other.
    """
    kept: list[Detection] = []
    for thing in sorted(things, key=lambda thing: -thing.score):
        others, box = np.array([other.box for other in kept]).reshape(-1, 4), np.array([thing.box])
        same = np.array([other.label == thing.label for other in kept], bool)
        part = drawn & same & (shares(box, others)[0] >= WITHIN)
        if not (part | (overlaps(box, others)[0] >= overlap)).any():
            kept.append(thing)
    return sorted(kept, key=lambda thing: thing.box)


def relabelled(things: Sequence[Detection], label: str) -> list[Detection]:
    return [replace(thing, label=label) for thing in things]
