"""Class names as people write them: in any case, singular or plural, with `-` or `_` for a space, and with some other
words for the same thing (`sofa` for couch).
"""

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
# Other words for a class, by class. A word that may mean two classes is in DOUBTFUL, and a word for something similar
# (an alligator, a hare) is left out. A young animal is drawn like an old one, so kittens are cats and puppies are dogs.
SYNONYMS = {
    "airplane": ("plane", "aeroplane"),
    "backpack": ("rucksack", "knapsack"),
    "bicycle": ("bike", "push bike"),
    "bowtie": ("bow tie",),
    "campfire": ("camp fire",),
    "car": ("automobile",),
    "cat": ("kitten", "kitty"),
    "cell phone": ("cellphone", "mobile phone", "smartphone"),
    "couch": ("sofa", "settee"),
    "crocodile": ("croc",),
    "dog": ("puppy", "doggy", "pup"),
    "donut": ("doughnut",),
    "eyeglasses": ("spectacles",),
    "firetruck": ("fire truck", "fire engine"),
    "flip flops": ("flipflops",),
    "flying saucer": ("ufo",),
    "hamburger": ("burger",),
    "hot dog": ("hotdog",),
    "house plant": ("houseplant", "potted plant"),
    "ice cream": ("icecream",),
    "light bulb": ("lightbulb",),
    "mailbox": ("letterbox", "letter box", "postbox", "post box", "mail box"),
    "microphone": ("mic",),
    "motorbike": ("motorcycle",),
    "moustache": ("mustache",),
    "paintbrush": ("paint brush",),
    "pants": ("trousers",),
    "paper clip": ("paperclip",),
    "pickup truck": ("pickup", "pick up truck"),
    "popsicle": ("ice lolly",),
    "pool": ("swimming pool",),
    "purse": ("handbag",),
    "rabbit": ("bunny",),
    "refrigerator": ("fridge",),
    "remote control": ("remote",),
    "rhinoceros": ("rhino",),
    "rollerskates": ("roller skates",),
    "sailboat": ("sailing boat", "sail boat"),
    "see saw": ("seesaw",),
    "smiley face": ("smiley",),
    "speedboat": ("speed boat",),
    "stairs": ("staircase",),
    "streetlight": ("street light", "street lamp", "streetlamp"),
    "sweater": ("pullover",),
    "t-shirt": ("tshirt", "tee shirt"),
    "table": ("dining table",),
    "teddy-bear": ("teddy",),
    "television": ("tv", "telly", "tv set", "television set"),
    "tennis racquet": ("tennis racket",),
    "traffic light": ("stoplight", "traffic signal"),
    "truck": ("lorry",),
    "wristwatch": ("wrist watch",),
}
DOUBTFUL = {
    "boat": ("sailboat", "speedboat", "canoe"),
    "glasses": ("eyeglasses", "wine glass"),
    "lamp": ("floor lamp", "lantern"),
    "phone": ("cell phone", "telephone"),
    "ship": ("cruise ship", "sailboat"),
    "watch": ("wristwatch", "alarm clock"),
}


def find(name: str, labels: Sequence[str]) -> str:
    """The label that a class name stands for. Raises UsageError, with the most similar labels for a string."""
    if not isinstance(name, str):
        raise UsageError(f"class {name!r}: name one class, such as {labels[0]!r}")
    if name in labels:
        return name
    found = forms(tuple(labels)).get(plain(name))
    if found is None:
        raise UsageError(f"unknown class {name!r}: {either(plain(name), labels) or nearest(plain(name), list(labels))}")
    return found


def either(word: str, labels: Collection[str]) -> str:
    """The end of an error message: the labels that a word of DOUBTFUL may mean. Empty for any other word."""
    some = [label for label in DOUBTFUL.get(word, ()) if label in labels]
    return f"did you mean {' or '.join(map(repr, some))}?" if some else ""


def plain(name: str) -> str:
    """A name in lower case, with single spaces and without an article."""
    words = name.casefold().replace("-", " ").replace("_", " ").split()
    return " ".join(words[1:] if words[:1] in (["the"], ["a"], ["an"]) and len(words) > 1 else words)


@lru_cache(16)
def forms(labels: Collection[str]) -> dict[str, str]:
    """Every spelling, singular and plural, with its label.

    The name of a label takes precedence over the plural of another label, and both over a synonym.
    """
    known = sorted(labels)
    other = {form: label for label in known for word in SYNONYMS.get(label, ()) for form in (word, *plurals(word))}
    several = {form: label for label in known for form in plurals(plain(label))}
    return other | several | {plain(label): label for label in known}


def plurals(name: str) -> list[str]:
    """The possible plurals of a name: `cats`, `buses`, `paint cans`, `mice`."""
    before, _, last = name.rpartition(" ")
    start = f"{before} " if before else ""
    made = [f"{last}s", f"{last}es"] if last.endswith((*HISSES, "o")) else [f"{last}s"]
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        made = [f"{last[:-1]}ies"]
    if last in IRREGULAR:
        made = [IRREGULAR[last], *made]
    if last.endswith("fish"):
        made = [f"{last}es", f"{last}s"]
    return [start + form for form in made]


def spans(words: Sequence[str], labels: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """The labels in a text, each with the position of its first word and the number of its words. If two begin at the
    same position, the longer one counts.
    """
    known, place = forms(labels), 0
    while place < len(words):
        sizes = range(min(LONGEST, len(words) - place), 0, -1)
        size = next((size for size in sizes if " ".join(words[place : place + size]) in known), 0)
        if size:
            yield place, size, known[" ".join(words[place : place + size])]
        place += size or 1
