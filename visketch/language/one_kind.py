"""Answers to the questions of `grammar`, which are about objects of one kind."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from visketch import labels
from visketch.errors import VisketchError
from visketch.language import grammar
from visketch.language.answers import Detection
from visketch.language.asked import SceneQuestion, yes
from visketch.language.attributes import BETWEEN, MOST, Filter, colour, measures
from visketch.language.boxes import Box, middle
from visketch.language.dataset.instructions import whereabouts
from visketch.language.wording import attributes, signs

PICTURE = re.compile(r"\b(?:picture|image|photo|photograph|scene|page)\b")
FILLS = 2 / 3  # an object that covers this share of a side, about its middle, is at neither end of it
COUNTS: dict[str, Callable[[int], str]] = {
    "count": str,
    "there": lambda count: yes(count > 0),
    "another": lambda count: yes(count > 1),
    "alone": lambda count: yes(count == 1),
    "no": lambda count: yes(count == 0),
}


@dataclass(frozen=True)
class Meant:
    """The objects that a description stands for."""

    things: Sequence[Detection]
    others: Sequence[Detection]  # the objects of other classes; empty if the description is of objects of any class
    name: str
    every: bool  # it describes objects of any class
    described: bool  # it has attributes


def answer(scene: SceneQuestion) -> str | None:
    """The answer to a question of the grammar. Returns None if it is none of these, or if there is no picture on which
    to measure the colour that it asks for.

    Raises VisketchError for a noun that is not a class, and for attributes that contradict each other.
    """
    row, names = signs(scene.text, scene.known)
    parsed = grammar.parse(row)
    if parsed is None:
        return None
    kind, parts = parsed
    if kind in ("name", "is") and PICTURE.search(scene.text):  # "the object in the picture" is not the sketch's
        raise scene.refuse()
    if kind == "name":
        return scene.label
    if kind == "is":
        name = _class(scene, parts.get("named") or parts["noun"], names)
        return yes(name in (scene.label, scene.kinds.get(scene.label)))
    about = parts.get("about", "things" if kind in ("which", "nothing") else "~")
    meant = _meant(scene, about, parts.get("more", ""), names)
    if kind == "nothing":
        return yes(not meant.things)
    if kind == "which":
        return ", ".join(sorted({thing.label for thing in meant.things})) or "none"
    if meant.every and kind in ("next", "relation", "extreme", "another"):
        raise scene.refuse()
    if kind in COUNTS:
        return COUNTS[kind](len(meant.things))
    if not meant.things:
        return "none"
    if kind == "colour":
        picture = scene.picture
        return None if picture is None else _each(scene, meant.things, lambda thing: colour([thing], picture))
    if kind == "where":
        place = whereabouts if scene.single or "options" in parts else part_of_picture
        return _each(scene, meant.things, lambda thing: place(thing.box))
    if kind == "at":
        some = re.match(r"any|some", about) is not None
        return _at(scene, meant, attributes(parts["place"]), some)
    if kind == "relation":
        return _relation(scene, meant, _meant(scene, parts["other"], "", names))
    if meant.described:
        raise scene.refuse("an object with attributes is not compared with all the others")
    return _next(scene, meant) if kind == "next" else _extreme(scene, meant, parts["most"][2:])


def _class(scene: SceneQuestion, sign: str, names: Sequence[str]) -> str:
    """The class of a sign such as `@0`. Raises VisketchError for a word that is not a class."""
    if not sign.startswith("?"):
        return names[int(sign[1:])]
    mend = labels.either(sign[1:], scene.known) or "ask about the object of the sketch"
    raise VisketchError(f"the question names {sign[1:]!r}, which is not a known class; {mend}")


def _meant(scene: SceneQuestion, row: str, more: str, names: Sequence[str]) -> Meant:
    """The objects that a description and further attributes stand for. Raises VisketchError."""
    which = attributes(f"{row} {more}")
    head = re.search(r"@\d+|\?\w+|\bthings?\b|\b(?:any|some)thing\b", row)
    every, name = False, scene.label
    things, others = scene.own, scene.others
    if head and head[0][0] in "@?":
        name = _class(scene, head[0], names)
        if not scene.same(name, scene.label):
            things, others = scene.apart(name)
    elif head and (which != Filter() or not re.fullmatch(r"(?:the|this|that) thing|(?:these|those) things", row)):
        things, others, name, every = scene.things, [], "object", True
    if which != Filter():
        scene.require(which)
        things = which.of(things, scene.picture)
    return Meant(things, others, name, every, which != Filter())


def _each(scene: SceneQuestion, things: Sequence[Detection], tell: Callable[[Detection], str]) -> str:
    """What there is to tell about the only object, or about each of several, from left to right."""
    if scene.single or len(things) == 1:
        return tell(_surest(things))
    return f"there are {len(things)}: {', '.join(map(tell, things))}"


def part_of_picture(box: Box) -> str:
    """The name of the part of the picture with the centre of a box, as `whereabouts` gives it. An object that is in the
    middle of an axis, or reaches from one end of it to the other, is at the left, the right, the top or the bottom
    alone.
    """
    words = whereabouts(box).split()
    if len(words) == 1:
        return words[0]
    off = np.abs(middle(box) - 0.5)
    neither = [off[axis] <= (1 / 6 if box[axis + 2] - box[axis] >= FILLS else BETWEEN) for axis in (0, 1)]
    return words[1] if neither[1] else words[0] if neither[0] else " ".join(words)


def _at(scene: SceneQuestion, meant: Meant, place: Filter, some: bool) -> str:
    """Whether the objects are at that place. If the question asks for `some`, one is enough; otherwise raises
    VisketchError if the answer differs between them.
    """
    things = [_surest(meant.things)] if scene.single else meant.things
    there = place.of(things, scene.picture)
    return yes(bool(there) if some else scene.agreed({thing in there for thing in things}))


def _next(scene: SceneQuestion, meant: Meant) -> str:
    """The class of the object of another class whose middle is nearest."""
    if not meant.others:
        return "nothing"

    def nearest(one: Detection) -> str:
        return min(meant.others, key=lambda thing: float(np.hypot(*(middle(thing.box) - middle(one.box))))).label

    near = [nearest(thing) for thing in meant.things]
    return near[0] if len({*near}) == 1 else _each(scene, meant.things, nearest)


def _extreme(scene: SceneQuestion, meant: Meant, most: str) -> str:
    """Whether the largest (or the leftmost ...) of all objects is one of those that are meant."""
    along = np.array(MOST[most])
    return yes(max([*meant.things, *meant.others], key=lambda one: float(measures(one) @ along)) in meant.things)


def _relation(scene: SceneQuestion, meant: Meant, other: Meant) -> str:
    """Whether an object is left or right of another one. Raises VisketchError if there is no other one, and if the
    answer differs between several.
    """
    if other.every or (other.things and other.things == meant.things):
        raise scene.refuse()
    if not other.things:
        raise scene.missing(other.name)
    some, others = ([_surest(one.things)] if scene.single else one.things for one in (meant, other))
    told = {bool(middle(one.box)[0] < middle(two.box)[0]) for one in some for two in others}
    return "left" if scene.agreed(told) else "right"


def _surest(things: Sequence[Detection]) -> Detection:
    return max(things, key=lambda thing: thing.score)
