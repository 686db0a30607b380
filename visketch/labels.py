"""Class names as people write them: in any case, singular or plural, with `-` or `_` for a space."""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from visketch.errors import UsageError, nearest

LONGEST = 5  # the most words of a name: The Great Wall of China
IRREGULAR = {
    "calf": "calves",
    "child": "children",
    "foot": "feet",
    "goose": "geese",
    "knife": "knives",
    "leaf": "leaves",
    "man": "men",
    "mouse": "mice",
    "octopus": "octopi",
    "ox": "oxen",
    "person": "people",
    "shelf": "shelves",
    "tooth": "teeth",
    "wolf": "wolves",
    "woman": "women",
}
HISSES = ("s", "x", "z", "ch", "sh")


def find(name: str, labels: Sequence[str]) -> str:
    """The label that a class name stands for. Raises UsageError with the most similar labels."""
    if name in labels:
        return name
    found = forms(tuple(labels)).get(plain(name))
    if found is None:
        raise UsageError(f"unknown class {name!r}: {nearest(plain(name), list(labels))}")
    return found


def plain(name: str) -> str:
    """A name in lower case, with single spaces and without an article."""
    words = name.casefold().replace("-", " ").replace("_", " ").split()
    return " ".join(words[1:] if words[:1] in (["the"], ["a"], ["an"]) and len(words) > 1 else words)


@lru_cache(16)
def forms(labels: Collection[str]) -> dict[str, str]:
    """Every spelling, singular and plural, with its label.

    The name of a label takes precedence over the plural of another label.
    """
    several = {form: label for label in sorted(labels) for form in plurals(plain(label))}
    return several | {plain(label): label for label in labels}


def plurals(name: str) -> list[str]:
    """The possible plurals of a name: `cats`, `buses`, `paint cans`, `mice`."""
    before, _, last = name.rpartition(" ")
    start = f"{before} " if before else ""
    made = [f"{last}s", f"{last}es"] if last.endswith((*HISSES, "o")) else [f"{last}s"]
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        made = [f"{last[:-1]}ies"]
    if last in IRREGULAR:
        made = [IRREGULAR[last], f"{last}s"]
    if last.endswith("fish"):
        made = [f"{last}es", f"{last}s"]
    return [start + form for form in made]


def named(words: Sequence[str], labels: frozenset[str]) -> Iterator[tuple[int, str]]:
    """The labels in a text, each with the position of its first word. If two begin at the same position, the longer one
    counts.
    """
    known, place = forms(labels), 0
    while place < len(words):
        sizes = range(min(LONGEST, len(words) - place), 0, -1)
        size = next((size for size in sizes if " ".join(words[place : place + size]) in known), 0)
        if size:
            yield place, known[" ".join(words[place : place + size])]
        place += size or 1
