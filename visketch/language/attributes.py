"""Filter detections by words in addition to the sketch, such as "the red one like this".

The sketch gives the class, and the words select by colour, size or place. All three are measured on the picture, so
this works with every predictor. This is our choice: the paper's 7B model reads such words itself, but a small model
does not learn them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from visketch.errors import UsageError
from visketch.language import image
from visketch.language.answers import Answer, Detection
from visketch.language.boxes import area, middle
from visketch.language.image import Picture

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
SAME = {"gray": "grey", "violet": "purple", "upper": "top", "lower": "bottom", "center": "centre", "middle": "centre"}
SIZES = {"large": 1, "big": 1, "small": -1, "little": -1}
PLACES = ("left", "right", "top", "bottom", "centre")
# These words select one object: the one with the largest value along (x, y, size).
MOST = {
    "largest": (0, 0, 1),
    "biggest": (0, 0, 1),
    "smallest": (0, 0, -1),
    "leftmost": (-1, 0, 0),
    "rightmost": (1, 0, 0),
    "topmost": (0, -1, 0),
    "highest": (0, -1, 0),
    "lowest": (0, 1, 0),
}
FILLERS = re.compile(
    r"the|a|an|ones?|like|this|that|these|those|is|are|which|and|in|on|at|of|side|half|colou?red|sketch"
)
KNOWN = (
    f"a colour ({', '.join(COLOURS)}), a size ({', '.join(SIZES)}), a place ({', '.join(PLACES)}), {', '.join(MOST)}"
)
SIDE = 384  # the side, in pixels, of the picture on which colours are measured
BETWEEN = 1 / 12  # an object this near to the middle of an axis is at neither side of it
ENOUGH = 0.3  # an object has a colour if at least this share of it does
SAME_SIZE = 1e-6  # the tolerance of the logarithm of an area
CORE = 0.15  # share of a box cut off at each edge, since in a photo this margin shows more background than object
FULL = 0.7  # the least contrast of pixels that count, as a share of the ink's; paler pixels are partly paper


@dataclass(frozen=True)
class Filter:
    """The attributes that an object must have. Each is one of the words above."""

    colours: tuple[str, ...] = ()  # an object may have several: "red and white"
    sizes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    halves: bool = False  # whether the places are halves of the picture, and not only sides of it

    @classmethod
    def told(cls, text: str) -> "Filter":
        """Parse some words. Raises UsageError for an unknown word, and if no object can have all the attributes."""
        words = re.findall(r"[\w-]+", text.lower())
        known = {*COLOURS, *SIZES, *PLACES, *MOST, *SAME}
        strange = next((word for word in words if word not in known and not FILLERS.fullmatch(word)), None)
        told = cls.among(words)
        if strange or told == cls():
            raise UsageError(f"{strange or text!r} is not an attribute; use {KNOWN}")
        if told.contradicts or len(told.most) > 1:
            raise UsageError(f"{text!r}: nothing can be both; use one of them")
        return told

    @classmethod
    def among(cls, words: Sequence[str]) -> "Filter":
        """The attributes among these words; other words are ignored."""
        words = [SAME.get(word, word) for word in words]
        colours, sizes, places, most = (
            tuple(word for word in words if word in some) for some in (COLOURS, SIZES, PLACES, MOST)
        )
        return cls(colours, sizes, places, most, halves=bool(places) and "half" in words)

    @property
    def contradicts(self) -> bool:
        """Whether no object can have all the places and sizes."""
        against = {"left", "right"} <= {*self.places} or {"top", "bottom"} <= {*self.places}
        return against or len({SIZES[size] for size in self.sizes}) > 1

    def of(self, things: Sequence[Detection], picture: Picture | None) -> list[Detection]:
        """The objects that have the attributes. Boxes are shares of the picture's sides.

        The picture is needed for colours. "Large" objects have at least the mean size, and "small" ones at most, so a
        single object is both. Raises VisketchError if the picture's file is gone.
        """
        usual = np.mean([measures(one)[2] for one in things]) if things else 0.0
        left = [
            one
            for one in things
            if all(_is_at(one, place, 0.0 if self.halves else BETWEEN) for place in self.places)
            and all(SIZES[size] * (measures(one)[2] - usual) > -SAME_SIZE for size in self.sizes)
        ]
        if self.colours and left:
            assert picture is not None
            shares = colours(image.finer(picture, SIDE), left)
            numbers = [COLOURS.index(colour) for colour in self.colours]
            left = [one for one, share in zip(left, shares, strict=True) if (share[numbers] >= ENOUGH).all()]
        for most in self.most:
            left = sorted(left, key=lambda one: float(measures(one) @ np.array(MOST[most])))[-1:]
        return left

    def split(self, things: Sequence[Detection], picture: Picture | None) -> tuple[list[Detection], list[Detection]]:
        """The objects that have the attributes, as in `of`, and the other objects."""
        meant = self.of(things, picture)
        return meant, [thing for thing in things if thing not in meant]


def measures(thing: Detection) -> Float[np.ndarray, " 3"]:
    """The centre of an object (x and y), and the logarithm of its area."""
    return np.array([*middle(thing.box), np.log(max(area(thing.box), 1e-9))])


def _is_at(thing: Detection, place: str, between: float) -> bool:
    x, y = middle(thing.box)
    if place == "centre":
        return bool(max(abs(x - 0.5), abs(y - 0.5)) <= 1 / 6)
    low, high = 0.5 - between, 0.5 + between
    return bool({"left": x < low, "right": x > high, "top": y < low, "bottom": y > high}[place])


def only(answer: Answer, picture: Picture, which: Filter) -> Answer:
    """The answer with only the objects that have the attributes. The others are moved to `others`."""
    meant, rest = which.split(answer.found, picture)
    return replace(answer, found=tuple(meant), raw=tuple(meant), others=(*answer.others, *rest))


def colour(things: Sequence[Detection], picture: Picture) -> str:
    """The most frequent colour of the object with the highest score. Raises VisketchError if the picture's file is
    gone.
    """
    if not things:
        return "none"
    surest = max(things, key=lambda thing: thing.score)
    shares = colours(image.finer(picture, SIDE), [surest])[0]
    return COLOURS[int(shares.argmax())] if shares.any() else "none"


def colours(picture: Picture, things: Sequence[Detection]) -> Float[np.ndarray, "n 11"]:
    """The share of each colour in each object. It is measured in the ink of a drawing, and in the middle of the box in
    a photo.
    """
    pixels, drawing = image.inside(picture), image.is_drawing(picture)
    from_paper = image.from_paper(pixels)
    high, wide = pixels.shape[:2]
    shares = np.zeros((len(things), len(COLOURS)))
    for share, thing in zip(shares, things, strict=True):
        x1, y1, x2, y2 = thing.box
        edge = 0.0 if drawing else CORE
        x1, x2 = x1 + edge * (x2 - x1), x2 - edge * (x2 - x1)
        y1, y2 = y1 + edge * (y2 - y1), y2 - edge * (y2 - y1)
        top, left = int(y1 * high), int(x1 * wide)
        here = np.s_[top : max(int(y2 * high), top + 1), left : max(int(x2 * wide), left + 1)]
        own = pixels[here].reshape(-1, 3)
        if drawing:
            away = from_paper[here].ravel()
            ink = away[away > image.TONES]
            own = own[away > max(image.TONES, FULL * float(np.percentile(ink, 75)))] if len(ink) else own[:0]
        if len(own):
            share[:] = np.bincount(named(own), minlength=len(COLOURS)) / len(own)
    return shares


def named(pixels: UInt8[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The number of the basic colour term (Berlin and Kay, 1969) for each sRGB colour, by its lightness, chroma and hue
    in CIELAB.
    """
    from skimage.color import rgb2lab

    light, a, b = rgb2lab(pixels[None] / 255)[0].T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    rules = [
        ("black", (light < 18) & (chroma < 30)),
        ("white", (chroma < 12) & (light > 82)),
        ("black", (chroma < 12) & (light < 35)),
        ("grey", chroma < 12),
        ("pink", ((hue >= 340) | (hue < 10)) & (light > 45)),
        ("pink", (hue < 50) & (light > 62) & (chroma < 60)),
        ("brown", (hue >= 25) & (hue < 90) & (light < 50) & (chroma < 62)),
        ("red", (hue >= 340) | (hue < 50)),
        ("orange", hue < 82),
        ("yellow", (hue < 112) & (light > 58)),
        ("green", hue < 195),
        ("blue", hue < 310),
        ("purple", np.ones(len(light), bool)),
    ]
    return np.select([rule for _, rule in rules], [COLOURS.index(name) for name, _ in rules])
