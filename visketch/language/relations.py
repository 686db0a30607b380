"""Closed questions about where an object is, seen from another one, and whether it has a colour.

Examples: "Is the cat to the left of the dog?", "What is above the house?", "Is the cat black?"
"""

import re
from collections.abc import Sequence

from visketch.language.answers import Detection
from visketch.language.asked import OWN, SceneQuestion, generic, yes
from visketch.language.attributes import COLOURS, SAME, Filter
from visketch.language.boxes import middle

BELOW = ("below", "under", "underneath", "beneath")
# The axis (x, y) along which a word compares, and 1 if it means the larger value
SIDES = {"left": (0, -1), "right": (0, 1), "above": (1, -1), **dict.fromkeys(BELOW, (1, 1))}
SIDE = re.compile(rf"\b(?:(?:to|on|at) the )?(left|right)(?:[- ]hand)?(?: side)? of\b|\b(above|{'|'.join(BELOW)})\b")
EITHER = re.compile(r"\b(?:left|right) or (?:left|right)\b|\bwhich side\b")  # this asks for the side
COLOUR = rf"(?:{'|'.join([*COLOURS, *(word for word, same in SAME.items() if same in COLOURS)])})"
EVERY = {"everything": all, "anything": any, "something": any, "nothing": lambda has: not any(has)}
# "Is it an orange?" asks for the fruit
COLOURED = re.compile(rf"^\W*(?:is|are) (?!there\b)(.*?)(?<! a)(?<! an) ({COLOUR}(?: and {COLOUR})*)\W*$")
# Two objects are side by side if their middles differ by less than this share of the smaller one's side
BESIDE = 0.25


def beside(scene: SceneQuestion) -> str | None:
    """Answer questions such as "is the cat to the left of the dog?" and "what is above the house?".

    Returns None for questions of another kind. Raises VisketchError if the question is not understood, or if the answer
    differs between its objects.
    """
    found = SIDE.search(scene.text)
    if not found or EITHER.search(scene.text):
        return None
    if SIDE.search(scene.text, found.end()):
        raise scene.refuse("it asks for two places")
    before, after = (re.findall(r"\w+", part) for part in (scene.text[: found.start()], scene.text[found.end() :]))
    first, second = scene.named(before), scene.named(after) or [scene.label] * bool({*OWN} & {*after})
    scene.understood([*before, *after])
    if not second:  # "on the left of the picture" is a place
        return None
    if len(first) > 1 or len(second) > 1:
        raise scene.refuse()
    (axis, sign), others = SIDES[found[1] or found[2]], scene.only(second[0], after)

    def sides(things: Sequence[Detection]) -> set[bool]:
        return {_beyond(one, other, axis, sign) for one in things for other in others}

    some = scene.of(first[0], before) if first else scene.described(scene.things, before)
    beyond = [one for one in some if sides([one]) == {True}]
    if before[:1] == ["how"]:
        return str(len(beyond))
    if before[:1] in (["what"], ["which"], ["who"]) and not first:
        return ", ".join(sorted({one.label for one in beyond})) or "none"
    if before[:1] not in (["is"], ["are"]):
        raise scene.refuse()
    if {"there", "any", "anything", "something"} & {*before}:
        return yes(bool(beyond))
    if not first and generic(before) and Filter.among(before) != Filter():  # "the red object" may be of any class
        raise scene.refuse()
    return yes(scene.agreed(sides(scene.only(first[0] if first else scene.label, before))))


def coloured(scene: SceneQuestion) -> str | None:
    """Answer a question such as "is the cat black?".

    Returns None for questions of another kind, and if there is no picture to measure. Raises VisketchError if the
    question is not understood, or if the answer differs between its objects.
    """
    found = COLOURED.search(scene.text)
    if not found or not scene.picture:
        return None
    words = re.findall(r"\w+", found[1])
    names = scene.named(words)
    if scene.unknown(words) or not (names or {*OWN} & {*words} or generic(words)):
        return None
    if len(names) > 1 or "or" in words:
        raise scene.refuse()
    which = Filter.among(re.findall(r"\w+", found[2]))
    every = not names and (EVERY.keys() & {*words} or (generic(words) and not {*OWN} & {*words}))
    if every and words != ["the", "object"]:
        things = scene.described(scene.things, words)
        has = [thing in which.of(things, scene.picture) for thing in things]
        for word, all_of_them in EVERY.items():
            if word in words:
                return yes(all_of_them(has))
        if not things:
            return "none"
        return yes(scene.agreed({*has}))
    things = scene.only(names[0] if names else scene.label, words)
    meant = which.of(things, scene.picture)
    for word, of_them in {"any": any, "all": all, "each": all}.items():
        if word in words:
            return yes(of_them(thing in meant for thing in things))
    return yes(scene.agreed({thing in meant for thing in things}))


def _beyond(one: Detection, other: Detection, axis: int, sign: int) -> bool:
    """Whether an object is on that side of another one, and not beside it."""
    smaller = min(thing.box[axis + 2] - thing.box[axis] for thing in (one, other))
    return bool(sign * (middle(one.box) - middle(other.box))[axis] > BESIDE * smaller)
