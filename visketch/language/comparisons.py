"""Closed questions that compare: the sizes or places of two classes, and counts of several classes or of everything.

Examples: "Is the cat larger than the fish?", "How many fish and cats are there?", "Are there more cats than fish?". If
a question looks like one of these but is not understood, it is refused. It is never taken for another question.
"""

import re
from collections.abc import Callable, Sequence

from visketch.language import quantities, relations
from visketch.language.answers import Detection
from visketch.language.asked import OWN, YES_OR_NO, SceneQuestion, generic, yes
from visketch.language.attributes import Filter
from visketch.language.boxes import area
from visketch.language.wording import EXTREMES, spans

SIZE = {"larger": 1, "bigger": 1, "greater": 1, "smaller": -1, "littler": -1, "tinier": -1}
# These words compare something that is not measured here.
OTHER = re.compile(
    r"\b(?:tall|high|wid|long|short|thick|thinn|heavi|light|old|young|fast|slow|dark|bright|fatt|strong|near|clos|far"
    r"th|furth|low|deep|nic|prett|cut|bett|great)e?r than\b|\b(?:tallest|widest|longest|shortest|thickest|thinnest|"
    r"heaviest|lightest|oldest|youngest|fastest|slowest|darkest|brightest|fattest|strongest|farthest|furthest|deepest|"
    r"nicest|prettiest|cutest|best|second|third|fourth|last|first)\b|\bas \w+ as\b|\btwice\b|\btimes (?:as|larger)\b"
)
HAVE = re.compile(r"\b(?:have|has|had|wear|wears|wearing|hold|holds|holding)\b")
# "the cats in the house" are not all cats; "of the house" is in many questions that are understood
WITHIN = {"in", "on", "at", "from", "for", "by", "with", "without", "inside", "behind", "near", "into"}
ARTICLES = {"the", "a", "an", "this", "that", "these", "those", "any", "some", "my"}


def answer(scene: SceneQuestion) -> str | None:
    """The answer to a question that compares. Returns None if the question is of another kind.

    Raises VisketchError if the question is of these kinds but is not understood, or if it names something that is not
    in the picture.
    """
    text, words = scene.text, scene.words
    counts = bool(quantities.COUNTED.search(text))
    if counts and HAVE.search(text):
        raise scene.refuse("it asks for parts")
    if OTHER.search(text):
        raise scene.refuse("only sizes can be compared")
    there = re.match(r"\W*(?:is|are) there\b|\W*(?:does|do) .*\b(?:show|contain)\b", text)
    number = quantities.compared(text)
    patterns = quantities.MORE, quantities.NUMBER, relations.SIDE, relations.COLOURED
    compares = bool(number) or any(pattern.search(text) for pattern in patterns)
    if counts or there or SIZE.keys() & {*words} or compares:
        _no_places(scene)
    if SIZE.keys() & {*words}:
        return _refusing(scene, _larger)
    if more := quantities.MORE.search(text):
        return _refusing(scene, lambda scene: quantities.more(scene, more[1]))
    if number:
        return _refusing(scene, lambda scene: quantities.quantity(scene, *number))
    if (told := relations.beside(scene) or relations.coloured(scene)) is not None:
        return told
    if extremes := [word for word in words if word in EXTREMES]:
        names = scene.named(words)
        raise scene.refuse(f"it asks which {names[0]}; use visketch locate --which {extremes[0]}" if names else "")
    if counts:
        return quantities.count(scene)
    return quantities.there(scene) if there else None


def _no_places(scene: SceneQuestion) -> None:
    """Raises VisketchError if the question has words such as "in the house" or "on an object"."""
    words = scene.words
    starts = {place for place, _, _ in spans(words, scene.known)}
    for place, word in enumerate(words):
        if word not in WITHIN:
            continue
        behind = place + 1
        while behind < len(words) and behind not in starts and _describes(words[behind]):
            behind += 1
        thing = behind < len(words) and words[behind] not in ("drawing", "drawings") and generic([words[behind]])
        if behind in starts or thing:
            raise scene.refuse(f"{' '.join(words[place : behind + 1])!r} is not understood")


def _describes(word: str) -> bool:
    return word in ARTICLES or Filter.among([word]) != Filter()


def _refusing(scene: SceneQuestion, how: Callable[[SceneQuestion], str]) -> str:
    if scene.says_not():
        raise scene.refuse("it says not")
    return how(scene)


def _larger(scene: SceneQuestion) -> str:
    """Compare the sizes of two classes, or of the sketch's object and a class."""
    words = scene.words
    place = next(place for place, word in enumerate(words) if word in SIZE)
    scene.understood(words, passed=(*SIZE, "than", "who", "nothing"))
    if len([word for word in words if word in SIZE]) > 1 or words.count("than") > 1:
        raise scene.refuse("it asks for two things")
    sign, than = SIZE[words[place]], words.index("than") if "than" in words else -1
    before, after = words[:place], words[than + 1 :] if than > place else words[place + 1 :]
    first, second = scene.named(before), scene.named(after)
    if words[:1] and words[0] in ("which", "what", "who") and not first:
        if len(second) == 2 and "or" in after and than < 0:  # which is larger, the cat or the fish?
            return _which_of(scene, second, after, sign)
        if len(second) == 1 and than > place and (generic(before) or len(before) == 2):
            names = [thing.label for thing in scene.described(_beyond(scene, second[0], after, sign), before)]
            return ", ".join(sorted(set(names))) or "none"
        raise scene.refuse()
    if len(second) == 2 and not first and "or" in after and than < 0:
        return _which_of(scene, second, after, sign)
    if than < place or len(second) > 1 or len(first) > 1:
        raise scene.refuse()
    if not second and {*OWN} & {*after} and (first or generic(before)):
        second = [scene.label]
    if not second:
        raise scene.refuse()
    if first and scene.same(first[0], second[0]) and first != second:
        raise scene.refuse(f"{first[0]} and {second[0]} are found as one class")

    def beyond() -> list[Detection]:
        """Those that the words before describe, of the objects that are larger (or smaller) than all of the others."""
        some = _beyond(scene, second[0], after, sign)
        named = scene.of(first[0], before) if first else scene.described(scene.things, before)
        return [thing for thing in some if thing in named]

    if "how" in before and "many" in before:
        return str(len(beyond()))
    if "nothing" in before and not first:
        return yes(not beyond())
    if {"any", "anything", "something", "there"} & {*before} and (generic(before) or first):
        return yes(bool(beyond()))
    if before[:1] and before[0] not in YES_OR_NO:
        raise scene.refuse()
    if not first and not {*OWN, "object"} & {*before}:
        raise scene.refuse()
    if not first and generic(before) and Filter.among(before) != Filter():  # "the red object" may be of any class
        raise scene.refuse()
    some, others = scene.only(first[0] if first else scene.label, before), scene.only(second[0], after)
    some = [thing for thing in some if thing not in others] or some
    told = {sign * (area(one.box) - area(other.box)) > 0 for one in some for other in others}
    if len(told) > 1:
        raise scene.refuse(f"there are {len(some)} and {len(others)} of them, some larger and some smaller")
    return yes(told.pop())


def _which_of(scene: SceneQuestion, names: Sequence[str], words: Sequence[str], sign: int) -> str:
    if Filter.among(words) != Filter() or scene.same(*names):
        raise scene.refuse("it does not name two classes only")
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
