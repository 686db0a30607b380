"""Closed questions about quantities: of several classes, of everything, and more or fewer than a number or another
class.

Examples: "How many fish and cats are there?", "How many objects?", "Are there more cats than fish?", "Are there two
cats?", "Are there at least two?"
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product

from visketch.labels import spans
from visketch.language.asked import KINDS, OWN, YES_OR_NO, SceneQuestion, generic, yes
from visketch.language.attributes import Filter
from visketch.language.grammar import NUMBERS

NUMBER = re.compile(r"\b(more|fewer|less) than (\w+)\b|\b(at least|at most|exactly) (\w+)\b")
BARE = re.compile(r"\W*(?:are there|(?:do|can) you see|does it (?:show|contain)) (\w+)\b")
COUNTED = re.compile(r"\bhow many\b|\bnumber of\b|^\W*count\b")
MORE = re.compile(r"\b(more|fewer|less)\b(?: [\w-]+){1,6} than\b")


def compared(text: str) -> tuple[str, str] | None:
    """How a question compares with a number, and the number as it is written: "are there at least two cats?" gives
    ("at least", "two"), and "are there two cats?" gives ("exactly", "two"). Returns None for other questions.
    """
    found, bare = NUMBER.search(text), BARE.match(text)
    how, than = (found[1] or found[3], found[2] or found[4]) if found else ("exactly", bare[1] if bare else "")
    least = 0 if found else 2  # "are there no cats?" and "is there one?" are other questions
    return (how, than) if (limit := number(than)) is not None and limit >= least else None


def more(scene: SceneQuestion, how: str) -> str:
    """Answer a question such as "are there more cats than fish?". `how` is the word that compares. Raises
    VisketchError.
    """
    scene.understood(scene.words, passed=("more", "fewer", "less", "than"))
    if not re.match(r"(?:is|are) there|(?:do|can) you see|does it (?:show|contain)", scene.text):
        raise scene.refuse()
    split = scene.words.index("than")
    first, second = scene.named(scene.words[:split]), scene.named(scene.words[split + 1 :])
    if len(first) != 1 or len(second) != 1 or scene.words[0] not in YES_OR_NO:
        raise scene.refuse()
    if scene.same(first[0], second[0]) and first != second:
        raise scene.refuse(f"{first[0]} and {second[0]} are found as one class")

    def told(parts: Sequence[Sequence[str]]) -> str:
        some, others = (len(scene.of(name, part)) for name, part in zip((first[0], second[0]), parts, strict=True))
        return yes(some > others if how == "more" else some < others)

    return _agreed(scene, [scene.words[:split], scene.words[split + 1 :]], told)


def quantity(scene: SceneQuestion, how: str, than: str) -> str:
    """Answer a question such as "are there at least two cats?".

    `how` is the comparison, such as "at least", and `than` is the number, in words or digits. Raises VisketchError.
    """
    names, limit = scene.named(scene.words), number(than) or 0
    scene.understood(scene.words, passed=(*how.split(), "than", than, "like"))
    if len(names) > 1 or scene.words[0] not in YES_OR_NO or {*scene.words} & {*KINDS, "different", "distinct", "or"}:
        raise scene.refuse()
    if not names and not {*OWN} & {*scene.words} - {"one", "ones"} and generic(scene.words):
        found = len(scene.described(scene.things, scene.words))
    else:
        found = len(scene.of(names[0] if names else scene.label, scene.words))
    tests = {"more": found > limit, "fewer": found < limit, "less": found < limit}
    tests |= {"at least": found >= limit, "at most": found <= limit, "exactly": found == limit}
    return yes(tests[how])


def number(word: str) -> int | None:
    return int(word) if word.isdecimal() else NUMBERS.get(word)


def count(scene: SceneQuestion) -> str | None:
    """The count of several classes together, of everything, or of different classes. Returns None for one class."""
    if len(COUNTED.findall(scene.text)) > 1:
        raise scene.refuse("it asks for several numbers")
    words = scene.words
    start = next((place for place, word in enumerate(words) if word in ("many", "of", "count")), 0) + 1
    ahead, behind = words[:start], words[start:]
    if scene.named(ahead) or scene.strange(ahead) or words[0] in ("is", "are", "was", "were", "does"):
        raise scene.refuse(f"{' '.join(ahead)!r} is not understood")
    listed = _words(scene, "and")
    parts = _parts(scene, listed[listed.index(words[start - 1]) + 1 :])
    names = [scene.named(part) for part in parts]
    if any(names) and generic(behind) and scene.says_not():
        raise scene.refuse("it says not")
    if sum(map(len, names)) > 1 or (any(names) and len(parts) > 1):
        if scene.says_not() or not all(len(some) == 1 for some in names):
            raise scene.refuse("it names several, in a way that is not understood")
        if scene.strange(behind):
            raise scene.refuse(f"{scene.strange(behind)[0]!r} is no class it knows")

        def told(parts: Sequence[Sequence[str]]) -> str:
            found = (scene.of(some[0], [*ahead, *part]) for some, part in zip(names, parts, strict=True))
            return str(len({id(thing) for things in found for thing in things}))

        return _agreed(scene, parts, told)
    if any(names) or (not generic(behind) and not {*behind} & KINDS):
        return None
    if {*OWN, "same", "like", "similar"} & {*behind}:
        return None
    if scene.says_not():
        raise scene.refuse("it says not")
    strange = [word for word in scene.strange(behind) if not generic([word]) and word not in KINDS]
    if strange:
        raise scene.refuse(f"{strange[0]!r} is not understood")
    things = scene.described(scene.things, words)
    return str(len({thing.label for thing in things}) if {*behind} & KINDS else len(things))


def there(scene: SceneQuestion) -> str | None:
    """Answer a question such as "is there a cat and a fish?". Returns None if it names at most one class."""
    names = scene.named(scene.words)
    if len(set(names)) < 2 or not {"and", "or"} & {*scene.words}:
        return None
    if scene.says_not() or {"and", "or"} <= {*scene.words} or scene.strange(scene.words):
        raise scene.refuse("it names several, in a way that is not understood")
    parts = _parts(scene, _words(scene, "or" if "or" in scene.words else "and"))
    if not all(len(scene.named(part)) == 1 for part in parts):
        raise scene.refuse("it names several, in a way that is not understood")
    if "and" in scene.words and any(scene.same(name, other) for name in names for other in names if name != other):
        raise scene.refuse(f"{' and '.join(dict.fromkeys(names))} are found as one class")

    def told(parts: Sequence[Sequence[str]]) -> str:
        found = (bool(scene.of(scene.named(part)[0], part)) for part in parts)
        return yes(all(found) if "and" in scene.words else any(found))

    return _agreed(scene, parts, told)


def _agreed(
    scene: SceneQuestion, parts: Sequence[Sequence[str]], answer: Callable[[Sequence[Sequence[str]]], str]
) -> str:
    """The answer about a list of classes, if it does not depend on how the list is read. Raises VisketchError if it
    does.
    """
    told = {answer(reading) for reading in _readings(scene, parts)}
    if len(told) > 1:
        raise scene.refuse("it is not clear which of its words are said of all that it names")
    return told.pop()


def _readings(scene: SceneQuestion, parts: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    """The possible meanings of a list. Each part has one class, and the words that are said of it.

    What is said behind the last class may be said of all ("cats and fish on the left"), and is if it is a predicate
    ("cats and fish are red"). What is said of the first may be said of all too ("red cats and fish"), but not if the
    others have articles ("a red cat and a fish").
    """
    split = [next(spans(part, scene.known)) for part in parts]
    before = [part[:place] for part, (place, _, _) in zip(parts, split, strict=True)]
    after = [part[place + size :] for part, (place, size, _) in zip(parts, split, strict=True)]
    first: list[Sequence[str]] = [()]
    last: list[Sequence[str]] = [()]
    if _describes(after[-1]) and not any(map(_describes, after[:-1])):
        last = [after[-1]] if after[-1][0] in ("is", "are") else [(), after[-1]]
    if _describes(before[0]) and not any(_describes(words) or {"a", "an", "the"} & {*words} for words in before[1:]):
        first = [(), before[0]]
    for head, tail in product(first, last):
        yield [
            [*(head if place else ()), *part, *(tail if part is not parts[-1] else ())]
            for place, part in enumerate(parts)
        ]


def _describes(words: Sequence[str]) -> bool:
    return Filter.among(words) != Filter()


def _words(scene: SceneQuestion, joint: str) -> list[str]:
    """The words of a question, with that word in place of each comma."""
    return re.findall(r"\w+", scene.text.replace(",", f" {joint} "))


def _parts(scene: SceneQuestion, words: Sequence[str]) -> list[list[str]]:
    """The parts of a list: the words between `and`, `or` and `plus`, where these name or seem to name something."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("and", "or", "plus"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if scene.named(part) or scene.strange(part)]
