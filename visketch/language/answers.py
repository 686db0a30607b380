"""Detections and answers: boxes and counts parsed from text, and duplicate boxes removed."""

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
OVERLAP = 0.5  # intersection over union from which two boxes show one object
WITHIN = 0.8  # of the smaller box in the larger, from which it is a part of the same drawing


@dataclass(frozen=True)
class Detection:
    """An object that was found: its class, its box in shares of the picture's sides, and how sure that is (0 to 1)."""

    label: str
    box: Box
    score: float


@dataclass(frozen=True)
class Answer:
    """What was found of the sketch's object in a scene, and by whom. Boxes in shares of the picture's sides."""

    by: Predictor
    label: str  # what the sketch is taken for
    found: tuple[Detection, ...]  # where it is, from left to right
    raw: tuple[Detection, ...]  # the same before duplicates were taken out
    others: tuple[Detection, ...]  # what else is there
    note: str = ""  # what the one who answered cannot tell, in a few words

    @property
    def count(self) -> int:
        return len(self.found)


def answer(
    by: Predictor, label: str, raw: Sequence[Detection], others: Sequence[Detection], drawn: bool = False
) -> Answer:
    """An answer without duplicates. `drawn`: the scene is a drawing, so no object is found again inside itself."""
    return Answer(by, label, tuple(suppressed(raw, drawn)), tuple(raw), tuple(others))


@dataclass(frozen=True)
class Output:
    """An answer: its text, and of each stretch of it (start, end) how likely it was."""

    text: str
    chances: tuple[tuple[int, int, float], ...] = ()

    def sure(self, start: int, end: int) -> float:
        """The mean chance of the words in a stretch of the text (geometric, so one guess among sure words counts)."""
        some = [chance for first, last, chance in self.chances if first < end and last > start]
        product = 1.0
        for chance in some:
            product *= max(chance, 1e-6) ** (1 / len(some))
        return product if some else 1.0


@dataclass(frozen=True)
class Description:
    """What a DESC answer says."""

    label: str  # what the sketch shows
    things: tuple[Detection, ...]
    times: int

    def of_label(self) -> list[Detection]:
        return [thing for thing in self.things if thing.label == self.label]


def description(said: Output) -> Description:
    """Raises VisketchError for what is no description."""
    head = re.match(r"The sketch shows (?:an? )?(?P<name>[^.]+)\.\s*The picture shows ", said.text)
    if not head:
        raise VisketchError(f"the model's answer is no description: {said.text[:80]!r}; ask in other words")
    times = re.search(r"appears (\d+) times?", said.text)
    things = tuple(found(said, THING, head.end()))
    label = head["name"].strip()
    here = sum(thing.label == label for thing in things)
    return Description(label, things, int(times[1]) if times else here)


def boxes(said: Output) -> list[Detection]:
    """The boxes of a BBOX answer; none for `none`. Raises VisketchError for what is neither."""
    some = list(found(said, BOX))
    if not some and "none" not in said.text.lower():
        raise VisketchError(f"the model's answer has no box: {said.text[:80]!r}; ask in other words")
    return some


def found(said: Output, pattern: re.Pattern[str], start: int = 0) -> list[Detection]:
    """Every well-formed box of an answer, with the name before it if `pattern` has one."""
    some = []
    for match in pattern.finditer(said.text, start):
        x1, y1, x2, y2 = (float(number) for number in match.groups()[-4:])
        if x1 < x2 <= 1 and y1 < y2 <= 1:
            label = (match.groupdict().get("name") or "").strip()
            some.append(Detection(label, (x1, y1, x2, y2), said.sure(*match.span())))
    return some


def count(said: Output) -> int:
    """The number of a COUNT answer. Raises VisketchError if there is none."""
    number = re.search(r"\d+", said.text)
    if not number:
        raise VisketchError(f"the model's answer is no number: {said.text[:80]!r}; ask in other words")
    return int(number[0])


def suppressed(things: Sequence[Detection], drawn: bool = False, overlap: float = OVERLAP) -> list[Detection]:
    """Without duplicates: of boxes that overlap, the surest (non-maximum suppression); from left to right.

    `drawn`: in a drawing a thing is not found again inside a thing of the same class: its head is no second cat. In
    photos one may well stand before another.
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
