"""Closed questions answered from what was found: "describe, then filter" for more than numbers and boxes.

A question is known by its words. What is not known here is for the language model to answer in its own words.
"""

import re
from collections.abc import Sequence

import numpy as np

from visketch.language.answers import Found
from visketch.language.instructions import whereabouts

# In this order: "where is it: left, right ...?" asks where, "left or right of the cat?" for a relation.
KINDS = {
    "relation": r"(left or right|which side)\b.*\bof the\b",
    "where": r"\bwhere\b|which part",
    "next": r"next to|nearest|beside",
    "largest": r"largest|larger|biggest|bigger",
    "another": r"more than one|another|only one",
    "count": r"how many|how often|\bcount\b|number of",
    "name": r"what .*(sketch|is (it|this|that)\b)",
    "there": r"\b(visible|is there|does .* show|contain)\b",
}


def kind(question: str) -> str | None:
    """What is asked, one of KINDS, or None."""
    words = question.lower()
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, words)), None)


def reason(question: str, label: str, own: Sequence[Found], others: Sequence[Found]) -> str | None:
    """The answer to a closed question about the sketch's object, or None if it is not one.

    `label`: what the sketch shows; `own`: where that was found; `others`: what else was. "none" if that is not there.
    """
    asked = kind(question)
    if asked is None:
        return None
    if asked in ("name", "count", "there", "another"):
        few = {"name": label, "count": str(len(own)), "there": _yes(len(own) > 0), "another": _yes(len(own) > 1)}
        return few[asked]
    if not own:
        return "none"
    surest = max(own, key=lambda thing: thing.sure)
    if asked == "where":
        return whereabouts(surest.box)
    if asked == "largest":
        return _yes(max([*own, *others], key=lambda thing: _area(thing)) in own)
    if asked == "next":
        if not others:
            return "nothing"
        return min(others, key=lambda thing: float(np.hypot(*(_middle(thing) - _middle(surest))))).label
    return _relation(question, surest, others)


def _relation(question: str, surest: Found, others: Sequence[Found]) -> str | None:
    """Left or right of the object that the question names; None if nothing of that name was found."""
    named = [thing for thing in others if re.search(rf"\bof the {re.escape(thing.label)}\b", question.lower())]
    if not named:
        return None
    other = max(named, key=lambda thing: thing.sure)
    return "left" if _middle(surest)[0] < _middle(other)[0] else "right"


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _middle(thing: Found) -> np.ndarray:
    x1, y1, x2, y2 = thing.box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2])


def _area(thing: Found) -> float:
    x1, y1, x2, y2 = thing.box
    return (x2 - x1) * (y2 - y1)
