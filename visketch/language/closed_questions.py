"""Answer closed questions from detections: "describe, then filter" for more than counts and boxes.

A question is recognised by its words. Other questions are left to the language model.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from visketch import labels
from visketch.errors import VisketchError
from visketch.language import comparisons
from visketch.language.answers import Detection, suppressed
from visketch.language.attributes import Filter, colour
from visketch.language.boxes import area, middle
from visketch.language.comparisons import SceneQuestion
from visketch.language.dataset.instructions import whereabouts
from visketch.language.image import Picture, is_drawing

# The order matters: "where is it: left, right ...?" asks for a place, and "left or right of the cat?" asks for a
# relation.
KINDS = {
    "relation": r"(left or right|which side)\b.*\bof the\b",
    "where": r"\bwhere\b|which part",
    "next": r"next to|nearest|beside",
    "colour": r"\b(?:what|which) colou?r\b",
    "largest": r"largest|larger|biggest|bigger",
    "another": r"more than one|another|only one",
    "count": r"how many|how often|\bcount\b|number of",
    "name": r"what(?:'s| is)(?: (?:it|this|that|the (?:object|thing|sketch)))?(?: (?:a (?:sketch|drawing) )?of)?"
    r"(?: (?:(?:shown|drawn|depicted) )?(?:in|on|of|by) (?:the|this) sketch)?\W*$"
    r"|what (?:object )?does (?:the|this) sketch (?:depict|show|represent)",
    "there": r"\bvisible\b|(?:^|[:;,.?!] *)(?:is|are) there\b|\bdoes .* (?:show|contain)\b",
}
# The words after one of these, up to one of ENDS, name the object: "how many of the red cats are there?"
ASKED_FOR = (
    r"\b(?:how many|how often|number of|count|(?:is|are) there|(?:where|colou?r) (?:is|are)|shows?|contains?)\b"
    r"(?P<what>.*)"
)
PASSED = re.compile(
    r"a|all|an|another|any|does|if|in|is|its|more|much|number|of|one|only|other|same|similar|some|such|than|that|the|"
    r"these|this|those|whether"
)
ENDS = re.compile(
    r"a|an|and|appear|are|at|by|can|could|do|does|drawn|else|for|from|has|have|here|how|i|image|in|is|it|like|of|on|or|"
    r"shown|somewhere|that|the|them|there|they|to|visible|we|which|with|you|your"
)
ANYTHING = re.compile(
    r"anything|copy|copies|items?|match|matches|nothing|objects?|ones?|sketch|sketches|something|things?|times?"
)
NOT = re.compile(r"not|no|non|isn|aren|without|except|but|neither|nor|or|than|non-\w+")


def kind(question: str) -> str | None:
    """The kind of a question, which is one of KINDS. Returns None for any other question."""
    words = question.lower()
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, words)), None)


def reason(
    question: str,
    label: str,
    own: Sequence[Detection],
    others: Sequence[Detection],
    known: Collection[str] = (),
    told: Collection[str] | None = None,
    picture: Picture | None = None,
) -> str | None:
    """The answer to a closed question about the sketch's object, or about another class that the question names.

    `label` is the class of the sketch, `own` are its objects in the scene, and `others` are the other objects. `known`
    are all class names. `told` are the classes that the predictor can find, by default all. `picture` is where colours
    are measured; without it, colours are not understood.

    Returns None if the question is not closed, and "none" if the object is not in the scene. Raises VisketchError for a
    noun that is not one of these classes, and for attributes that are not understood.
    """
    drawn = picture is not None and is_drawing(picture)
    things = [*own, *suppressed(others, drawn)]
    compared = SceneQuestion(question, label, things, frozenset({label, *known}), told, picture)
    if (answer := comparisons.answer(compared)) is not None:
        return answer
    asked = kind(question)
    if asked is None:
        return None
    if asked == "name":
        return label
    meant, words = subject(question, asked, label, {label, *known, *(thing.label for thing in others)})
    if meant != label:
        if told is not None and meant not in told:
            mend = f"which is not one of the {len(told)} classes that can be found here"
            raise VisketchError(f"the question names {meant!r}, {mend}; ask about the object of the sketch")
        every = [*own, *others]
        own = suppressed([thing for thing in every if thing.label == meant], drawn)
        others = [thing for thing in every if thing.label != meant]
    which = _which(question, asked, words, meant, frozenset({label, *known}))
    if which != Filter() and (picture or not which.colours):  # "how many red cats?"
        own, rest = which.split(own, picture)
        others = [*others, *rest]
    if asked == "colour":
        return colour(own, picture) if picture else None
    return _answer(question, asked, own, others)


def subject(question: str, asked: str, label: str, known: Collection[str]) -> tuple[str, list[str]]:
    """The class that a question is about, and the words before its name.

    It is the sketch's class, unless the question names another class of `known`. `asked` is the kind of the question.
    Raises VisketchError if the question asks for something that is not a class.
    """
    words = re.findall(r"[\w-]+", question.lower())
    behind = re.search(r"^(?:is|are) (?P<what>.*\bvisible)", question.lower()) or re.search(ASKED_FOR, question.lower())
    if asked in ("count", "there", "another", "where", "colour") and behind:
        noun, rest = _noun(re.findall(r"[\w-]+", behind["what"]))
        if noun:
            named = [one for place, one in labels.named(rest, frozenset(known)) if place < len(noun)]
            if not named and not ANYTHING.fullmatch(noun[-1]) and Filter.among(noun[-1:]) == Filter():
                mend = "which is not a known class; ask about the object of the sketch"
                raise VisketchError(f"the question names {noun[-1]!r}, {mend}")
            return named[-1] if named else label, noun
    elif {"it", "sketch"} & set(words):
        return label, []
    if asked == "relation":  # "of the bus" says where, not what
        named = [one for place, one in labels.named(words, frozenset(known)) if words[:place][-2:] != ["of", "the"]]
        return named[0] if named else label, []
    named = [one for _, one in labels.named(words, frozenset(known))]
    return label if label in named or not named else max(named, key=len), []


def _which(question: str, asked: str, noun: Sequence[str], meant: str, known: frozenset[str]) -> Filter:
    """The attributes of the objects that the question is about: "red cats", and in counting questions also "cats that
    are red".

    Raises VisketchError for anything more complicated.
    """
    words = re.findall(r"[\w-]+", question.lower())
    own = set(re.findall(r"[\w-]+", meant.lower()))
    before, every = (Filter.among([word for word in some if word not in own]) for some in (noun, words))
    if asked in ("where", "relation"):
        every = replace(every, places=before.places)  # "left or right?" is the question itself
    if asked == "largest":
        every = replace(every, most=())
    counted = asked in ("count", "there", "another")
    several = len({one for _, one in labels.named(words, known)}) > 1 or len(every.colours) > 1
    if every != Filter() and (
        several or any(NOT.fullmatch(word) for word in words) or (before != every and not counted)
    ):
        mend = "put attributes before the name: how many red cats are there?"
        raise VisketchError(f"{question!r} the description of the objects is not understood; {mend}")
    return every


def _noun(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The noun after its article, and the noun with all words that follow."""
    first = next((place for place, word in enumerate(words) if not PASSED.fullmatch(word)), len(words))
    last = next((place for place in range(first, len(words)) if ENDS.fullmatch(words[place])), len(words))
    return [*words[first:last]], [*words[first:]]


def _answer(question: str, asked: str, own: Sequence[Detection], others: Sequence[Detection]) -> str | None:
    if asked in ("count", "there", "another"):
        if re.search(r"only one|just one", question.lower()):
            return _yes(len(own) == 1)
        return {"count": str(len(own)), "there": _yes(len(own) > 0), "another": _yes(len(own) > 1)}[asked]
    if not own:
        return "none"
    surest = max(own, key=lambda thing: thing.score)
    if asked == "where":
        return whereabouts(surest.box)
    if asked == "largest":
        return _yes(max([*own, *others], key=lambda thing: area(thing.box)) in own)
    if asked == "next":
        if not others:
            return "nothing"
        return min(others, key=lambda thing: float(np.hypot(*(middle(thing.box) - middle(surest.box))))).label
    return _relation(question, surest, others)


def _relation(question: str, surest: Detection, others: Sequence[Detection]) -> str | None:
    """Whether an object is left or right of the object that the question names. Returns None if there is no such
    object.
    """
    named = [thing for thing in others if re.search(rf"\bof the {re.escape(thing.label)}\b", question.lower())]
    if not named:
        return None
    other = max(named, key=lambda thing: thing.score)
    return "left" if middle(surest.box)[0] < middle(other.box)[0] else "right"


def _yes(true: bool) -> str:
    return "yes" if true else "no"
