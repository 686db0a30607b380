"""The meaning of a question about a picture: the classes that it names, and the objects of these classes that were
found.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from visketch.errors import VisketchError
from visketch.language.answers import Detection, suppressed
from visketch.language.attributes import Filter
from visketch.language.image import Picture, is_drawing
from visketch.language.wording import THINGS, plain, spans

GENERIC = {*THINGS, "drawing", "everything", "anything", "something", "nothing"}
KINDS = {"kind", "type", "class", "sort", "category", "kinds", "types", "classes", "sorts", "categories"}
OWN = {"it", "this", "that", "sketch", "sketched", "them", "these", "those", "one", "ones"}
NOT = re.compile(r"not|isn|aren|no|non|without|except|excluding|but|besides|neither|nor|non-\w+|other|others|else|only")
YES_OR_NO = ("is", "are", "was", "were", "do", "does", "can")
FILLERS = re.compile(
    r"a|all|altogether|am|an|and|any|appear|are|at|be|can|count|depicted|different|do|does|drawn|each|find|found|from|"
    r"give|how|i|image|in|is|kinds?|many|me|name|number|of|on|or|page|photo|picture|please|scene|see|seen|show|shown|"
    r"shows|tell|the|there|total|types?|visible|vqa|was|we|were|what|which|you|your|contain|contains|does|various|"
    r"distinct|separate|overall|together|here|now"
)
MEND = (
    "ask what it is, how many there are, where, what colour, what is next to it, which is the largest, or whether it "
    "is left of, above or larger than another class"
)


class SceneQuestion:
    """A question, the objects found in the picture, and what the names in the question mean.

    `label` is the class of the sketch, `own` are its objects, and `others` are the other objects. `known` are all class
    names. `told` are the classes that the predictor can find, by default all. `kinds` are further classes, each with
    the class under which it is found (a mug is found as a cup). `picture` is where colours are measured. `single` says
    that there is one object of each class.
    """

    def __init__(
        self,
        question: str,
        label: str,
        own: Sequence[Detection],
        others: Sequence[Detection],
        known: Collection[str] = (),
        told: Collection[str] | None = None,
        picture: Picture | None = None,
        kinds: Mapping[str, str] | None = None,
        single: bool = False,
    ) -> None:
        self.question, self.label, self.own, self.others = question, label, list(own), list(others)
        self.told, self.picture, self.kinds, self.single = told, picture, kinds or {}, single
        self.known = frozenset({label, *known, *(thing.label for thing in others)})
        self.drawn = picture is not None and is_drawing(picture)
        self.things = [*self.own, *suppressed(self.others, self.drawn)]
        self.text = plain(question)
        self.words = re.findall(r"\w+", self.text)

    def refuse(self, why: str = "") -> VisketchError:
        return refusal(self.question, f" ({why})" if why else "")

    def missing(self, name: str) -> VisketchError:
        """The error if there is no object of a class to compare with."""
        return VisketchError(f"{self.question!r}: no {name} was found in the picture, so there is nothing to compare")

    def named(self, words: Sequence[str]) -> list[str]:
        return [name for _, _, name in spans(words, self.known)]

    def same(self, name: str, other: str) -> bool:
        """Whether two names are found as one class."""
        return self.kinds.get(name, name) == self.kinds.get(other, other)

    def apart(self, name: str) -> tuple[list[Detection], list[Detection]]:
        """The objects of a class other than the sketch's, and all objects of other classes. Raises VisketchError if
        this class cannot be found here.
        """
        self._can_find(name)
        every = [*self.own, *self.others]
        found = suppressed([thing for thing in every if self.same(thing.label, name)], self.drawn)
        return found, [thing for thing in every if not self.same(thing.label, name)]

    def of(self, name: str, words: Sequence[str] = ()) -> list[Detection]:
        """The objects of a class, or those of them that the words describe.

        Raises VisketchError if this cannot be decided here.
        """
        self._can_find(name)
        found = [thing for thing in self.things if self.same(thing.label, name)]
        if self.same(name, self.label) and not self.single:
            found = self.own  # as in an answer to "how many?"; what is less sure is not counted
        return self.described(found, self._beside_names(words))

    def described(self, things: Sequence[Detection], words: Sequence[str]) -> list[Detection]:
        """Those of some objects that the words describe. Raises VisketchError if this cannot be decided here."""
        which = Filter.among(words)
        if which == Filter():
            return list(things)
        self.require(which)
        return which.of(things, self.picture)

    def require(self, which: Filter) -> None:
        """Raises VisketchError if colours are not known, or if it is not clear which objects have all attributes."""
        if which.colours and self.picture is None:
            raise self.refuse("colours are not known here")
        if which.contradicts or len(which.colours) > 1 or len(which.most) > 1:
            raise self.refuse("one colour, one size and one place can be named")

    def only(self, name: str, words: Sequence[str] = ()) -> list[Detection]:
        """The objects of a class that the words describe, as in `of`. Raises VisketchError if there are none to
        compare.
        """
        found = self.of(name, words)
        if not found:
            raise self.missing(name)
        return found

    def agreed(self, told: set[bool]) -> bool:
        """The answer that holds for all the objects that are meant. Raises VisketchError if it differs between them."""
        if len(told) > 1:
            raise self.refuse("the answer differs between its objects")
        return next(iter(told))

    def _can_find(self, name: str) -> None:
        if self.told is None or name == self.label or self.kinds.get(name, name) in self.told:
            return
        mend = f"which is not one of the {len(self.told)} classes that can be found here"
        raise VisketchError(f"the question names {name!r}, {mend}; ask about the object of the sketch")

    def strange(self, words: Sequence[str]) -> list[str]:
        """The words that are neither names nor attributes nor fillers."""
        rest = self._beside_names(words)
        return [word for word in rest if not FILLERS.fullmatch(word) and Filter.among([word]) == Filter()]

    def unknown(self, words: Sequence[str]) -> list[str]:
        """The strange words that do not stand for an object either."""
        return [word for word in self.strange(words) if word not in OWN and not generic([word])]

    def understood(self, words: Sequence[str], passed: Collection[str] = ()) -> None:
        """Raises VisketchError for a word that is unknown, unless it is in `passed`."""
        for word in self.unknown(words):
            if word not in passed:
                raise self.refuse(f"{word!r} is not understood")

    def _beside_names(self, words: Sequence[str]) -> list[str]:
        """The words that are not part of a class's name."""
        places = {place + step for place, size, _ in spans(words, self.known) for step in range(size)}
        return [word for place, word in enumerate(words) if place not in places]

    def says_not(self, passed: Collection[str] = ()) -> bool:
        """Whether the question has a word such as not, without or other. Words in `passed` do not count."""
        return any(NOT.fullmatch(word) for word in self.words if word not in passed)


def refusal(question: str, why: str = "", mend: str = "") -> VisketchError:
    """The error for a question of a kind that is not answered, with a reason and a further way to mend it, if any."""
    return VisketchError(f"{question!r}: questions of this kind are not answered{why}; {MEND}{mend}")


def generic(words: Sequence[str]) -> list[str]:
    """The words that stand for objects of any class, such as objects or drawings."""
    return [word for word in words if word.removesuffix("s") in GENERIC or word in GENERIC]


def yes(true: bool) -> str:
    return "yes" if true else "no"
