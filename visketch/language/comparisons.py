"""Closed questions that compare: the sizes or places of two classes, the largest object of all, and counts of several
classes or of everything.

Examples: "Is the cat larger than the fish?", "Which object is the smallest?", "How many fish and cats are there?", "Are
there more cats than fish?". If a question looks like one of these but is not understood, it is refused. It is never
taken for another question.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from visketch.language import quantities, relations
from visketch.language.answers import Detection
from visketch.language.asked import KINDS, OWN, YES_OR_NO, SceneQuestion, generic, yes
from visketch.language.attributes import MOST, Filter, colour
from visketch.language.boxes import area, middle
from visketch.language.dataset.instructions import whereabouts

SIZE = {"larger": 1, "bigger": 1, "greater": 1, "smaller": -1, "littler": -1, "tinier": -1}
EXTREME = MOST | {"smallest": (0, 0, -1), "littlest": (0, 0, -1), "tiniest": (0, 0, -1), "greatest": (0, 0, 1)}
# These words compare something that is not measured here.
OTHER = re.compile(
    r"\b(?:tall|high|wid|long|short|thick|thinn|heavi|light|old|young|fast|slow|dark|bright|fatt|strong|near|clos|far"
    r"th|furth|low|deep|nic|prett|cut|bett|great)e?r than\b|\b(?:tallest|widest|longest|shortest|thickest|thinnest|"
    r"heaviest|lightest|oldest|youngest|fastest|slowest|darkest|brightest|fattest|strongest|farthest|furthest|deepest|"
    r"nicest|prettiest|cutest|best|second|third|fourth|last|first)\b|\bas \w+ as\b|\btwice\b|\btimes (?:as|larger)\b"
)
HAVE = re.compile(r"\b(?:have|has|had|wear|wears|wearing|hold|holds|holding)\b")


def kind(question: str) -> bool:
    """Whether a question is of one of these kinds, judged by its words and without class names."""
    words = re.findall(r"[\w-]+", question.lower())
    compares = bool(
        {*SIZE, *EXTREME} & {*words} or OTHER.search(question.lower()) or quantities.NUMBER.search(question.lower())
    )
    compares = compares or bool(quantities.MORE.search(question.lower()))
    return compares or ("how many" in question.lower() and bool(generic(words)))


def answer(scene: SceneQuestion) -> str | None:
    """The answer to a question that compares. Returns None if the question is of another kind.

    Raises VisketchError if the question is of these kinds but is not understood, or if it names something that is not
    in the picture.
    """
    text, words = scene.text, scene.words
    counts = bool(re.search(r"\bhow many\b|\bnumber of\b|^\W*count\b", text))
    if counts and HAVE.search(text):
        raise scene.refuse("it asks for parts")
    if OTHER.search(text):
        raise scene.refuse("only sizes can be compared")
    if SIZE.keys() & {*words}:
        return _refusing(scene, _larger)
    if more := quantities.MORE.search(text):
        return _refusing(scene, lambda scene: quantities.more(scene, more[1]))
    if (found := quantities.NUMBER.search(text)) and quantities.number(found[2] or found[4]) is not None:
        return _refusing(scene, lambda scene: quantities.quantity(scene, found[1] or found[3], found[2] or found[4]))
    if (told := relations.beside(scene) or relations.coloured(scene)) is not None:
        return told
    if EXTREME.keys() & {*words}:
        return _extreme(scene)
    if counts:
        return quantities.count(scene)
    if re.match(r"\W*(?:is|are) there\b|\W*(?:does|do) .*\b(?:show|contain)\b", text):
        return quantities.there(scene)
    return None


def _refusing(scene: SceneQuestion, how: Callable[[SceneQuestion], str]) -> str:
    if scene.says_not():
        raise scene.refuse("it says not")
    return how(scene)


def _larger(scene: SceneQuestion) -> str:
    """Compare the sizes of two classes, or of the sketch's object and a class."""
    words = scene.words
    place = next(place for place, word in enumerate(words) if word in SIZE)
    sign, than = SIZE[words[place]], words.index("than") if "than" in words else -1
    before, after = words[:place], words[than + 1 :] if than > place else words[place + 1 :]
    first, second = scene.named(before), scene.named(after)
    if words[:1] and words[0] in ("which", "what", "who") and not first:
        if len(second) == 2 and "or" in after and than < 0:  # which is larger, the cat or the fish?
            return _which_of(scene, second, sign)
        if len(second) == 1 and than > place and (generic(before) or len(before) == 2):
            names = [thing.label for thing in _beyond(scene, second[0], after, sign)]
            return ", ".join(sorted(set(names))) or "none"
        raise scene.refuse()
    if len(second) == 2 and not first and "or" in after and than < 0:
        return _which_of(scene, second, sign)
    if than < place or len(second) > 1 or len(first) > 1:
        raise scene.refuse()
    if not second and {*OWN} & {*after} and (first or generic(before)):
        second = [scene.label]
    if not second:
        raise scene.refuse()
    if "how" in before and "many" in before:
        beyond = _beyond(scene, second[0], after, sign)
        return str(len([thing for thing in beyond if not first or thing.label == first[0]]))
    if "nothing" in before and not first:
        return yes(not _beyond(scene, second[0], after, sign))
    if {"any", "anything", "something", "there"} & {*before} and (generic(before) or first):
        beyond = _beyond(scene, second[0], after, sign)
        return yes(any(not first or thing.label == first[0] for thing in beyond))
    if before[:1] and before[0] not in YES_OR_NO:
        raise scene.refuse()
    if not first and not {*OWN, "object"} & {*before}:
        raise scene.refuse()
    some, others = scene.only(first[0] if first else scene.label, before), scene.only(second[0], after)
    some = [thing for thing in some if thing not in others] or some
    told = {sign * (area(one.box) - area(other.box)) > 0 for one in some for other in others}
    if len(told) > 1:
        raise scene.refuse(f"there are {len(some)} and {len(others)} of them, some larger and some smaller")
    return yes(told.pop())


def _which_of(scene: SceneQuestion, names: Sequence[str], sign: int) -> str:
    sizes = [[sign * area(thing.box) for thing in scene.only(name)] for name in names]
    if min(sizes[0]) > max(sizes[1]):
        return names[0]
    if min(sizes[1]) > max(sizes[0]):
        return names[1]
    raise scene.refuse("the answer differs between its objects")


def _beyond(scene: SceneQuestion, name: str, words: Sequence[str], sign: int) -> list[Detection]:
    """The objects that are larger (or smaller) than all objects of a class."""
    others = scene.only(name, words)
    most = max(sign * area(thing.box) for thing in others)
    return [thing for thing in scene.things if thing not in others and sign * area(thing.box) > most]


def _extreme(scene: SceneQuestion) -> str | None:
    """The name of the largest (or smallest) object of all, or its place or colour.

    Returns None for a question about one class, and for a yes-no question.
    """
    words = scene.words
    names, all_of_them = scene.named(words), bool(generic(words)) and not {"sketch", "this"} & {*words}
    if words[0] in YES_OR_NO:
        return _is_extreme(scene)
    if scene.says_not(passed=("only",)):
        raise scene.refuse("it says not")
    extremes = [word for word in words if word in EXTREME]
    if len(extremes) > 1 or "how" in words[:1]:
        raise scene.refuse()
    if names:
        if re.search(r"\b(?:where|colou?r)\b", scene.text):
            return None  # this is about one class, which `which` handles
        raise scene.refuse(f"it asks which {names[0]}; use visketch locate --which {extremes[0]}")
    if re.search(r"\b(?:where|colou?r)\b", scene.text) and not all_of_them:
        return None
    passed = {*EXTREME, *OWN, *KINDS, "where", "colour", "color"}
    strange = [word for word in scene.strange(words) if word not in passed and not generic([word])]
    if strange:
        raise scene.refuse(f"{strange[0]!r} is not a known class")
    if not scene.things:
        return "none"
    which = Filter.among([word for word in words if word not in MOST])
    if which.colours and scene.picture is None:
        raise scene.refuse("colours are not known here")
    things = which.of(scene.things, scene.picture) if which != Filter() else scene.things
    if not things:
        return "none"
    chosen = max(things, key=lambda thing: float(_measures(thing) @ np.array(EXTREME[extremes[0]])))
    if "where" in words:
        return whereabouts(chosen.box)
    if re.search(r"\bcolou?r\b", scene.text):
        return colour([chosen], scene.picture) if scene.picture else None
    return chosen.label


def _is_extreme(scene: SceneQuestion) -> str | None:
    """Answer "is the cat the smallest object?". Returns None for the largest, which `closed_questions` handles."""
    (extreme, *more), names = [word for word in scene.words if word in EXTREME], scene.named(scene.words)
    if extreme in ("largest", "biggest"):
        return None
    if more or len(names) > 1 or scene.says_not():
        raise scene.refuse()
    own = scene.only(names[0] if names else scene.label)
    return yes(max(scene.things, key=lambda thing: float(_measures(thing) @ np.array(EXTREME[extreme]))) in own)


def _measures(thing: Detection) -> np.ndarray:
    return np.array([*middle(thing.box), area(thing.box)])
