"""The meaning of a question about a picture: the classes that it names, and the objects of these classes that were
found.
"""

import re
from collections.abc import Collection, Sequence

from visketch import labels
from visketch.errors import VisketchError
from visketch.language.answers import Detection
from visketch.language.attributes import Filter
from visketch.language.image import Picture

THINGS = {"object", "thing", "item", "drawing", "figure", "shape", "element", "everything", "anything", "something"} | {
    "nothing"
}
KINDS = {"kind", "type", "class", "sort", "category", "kinds", "types", "classes", "sorts", "categories"}
OWN = {"it", "this", "that", "sketch", "sketched", "them", "these", "those", "one", "ones"}
NOT = re.compile(r"not|isn|aren|no|non|without|except|excluding|but|besides|neither|nor|non-\w+|other|others|else|only")
YES_OR_NO = ("is", "are", "was", "were", "do", "does", "can")
FILLERS = re.compile(
    r"a|all|altogether|am|an|and|any|appear|are|at|be|can|count|depicted|different|do|does|drawn|each|find|found|from|"
    r"give|how|i|image|in|is|kinds?|many|me|name|number|of|on|or|page|photo|picture|please|scene|see|seen|show|shown|"
    r"shows|tell|the|there|total|types?|visible|vqa|was|we|were|what|which|you|your|contain|contains|does|s|various|"
    r"distinct|separate|overall|together|here|now"
)
MEND = (
    "ask what it is, how many there are, where, what colour, what is next to it, which is the largest, or whether it "
    "is left of, above or larger than another class"
)


class SceneQuestion:
    """A question, the objects found in the picture, and what the names in the question mean."""

    def __init__(
        self,
        question: str,
        label: str,
        things: Sequence[Detection],
        known: frozenset[str],
        told: Collection[str] | None,
        picture: Picture | None,
    ) -> None:
        self.question, self.label, self.things, self.known = question, label, list(things), known
        self.told, self.picture = told, picture
        self.text = question.lower().removeprefix("vqa:").replace("&", " and ")
        self.words = re.findall(r"[\w-]+", self.text)

    def refuse(self, why: str = "") -> VisketchError:
        return refusal(self.question, f" ({why})" if why else "")

    def named(self, words: Sequence[str]) -> list[str]:
        return [name for _, name in labels.named(words, self.known)]

    def of(self, name: str, words: Sequence[str] = ()) -> list[Detection]:
        """The objects of a class, or those of them that the words describe.

        Raises VisketchError if this cannot be decided here.
        """
        if self.told is not None and name not in self.told and name != self.label:
            mend = f"which is not one of the {len(self.told)} classes that can be found here"
            raise VisketchError(f"the question names {name!r}, {mend}; ask about the object of the sketch")
        own = set(re.findall(r"[\w-]+", name.lower()))
        which = Filter.among([word for word in words if word not in own])
        found = [thing for thing in self.things if thing.label == name]
        if which == Filter():
            return found
        if which.colours and self.picture is None:
            raise self.refuse("colours are not known here")
        return which.of(found, self.picture)

    def only(self, name: str, words: Sequence[str] = ()) -> list[Detection]:
        """The objects of a class that the words describe, as in `of`. Raises VisketchError if there are none to
        compare.
        """
        found = self.of(name, words)
        if not found:
            raise VisketchError(
                f"{self.question!r}: no {name} was found in the picture, so there is nothing to compare"
            )
        return found

    def strange(self, words: Sequence[str]) -> list[str]:
        """The words that are neither names nor attributes nor fillers."""
        places: set[int] = set()
        for place, _ in labels.named(words, self.known):
            places |= set(range(place, place + self._length(words, place)))
        rest = [word for place, word in enumerate(words) if place not in places]
        return [word for word in rest if not FILLERS.fullmatch(word) and Filter.among([word]) == Filter()]

    def _length(self, words: Sequence[str], place: int) -> int:
        sizes = range(min(labels.LONGEST, len(words) - place), 0, -1)
        forms = labels.forms(self.known)
        return next(size for size in sizes if " ".join(words[place : place + size]) in forms)

    def says_not(self, passed: Collection[str] = ()) -> bool:
        """Whether the question has a word such as not, without or other. Words in `passed` do not count."""
        return any(NOT.fullmatch(word) for word in self.words if word not in passed)


def refusal(question: str, why: str = "", mend: str = "") -> VisketchError:
    """The error for a question of a kind that is not answered, with a reason and a further way to mend it, if any."""
    return VisketchError(f"{question!r}: questions of this kind are not answered{why}; {MEND}{mend}")


def generic(words: Sequence[str]) -> list[str]:
    """The words that stand for objects of any class, such as objects or drawings."""
    return [word for word in words if word.removesuffix("s") in THINGS or word in THINGS]


def yes(true: bool) -> str:
    return "yes" if true else "no"
