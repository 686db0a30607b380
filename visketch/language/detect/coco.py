"""The detector as a predictor: it answers questions about a photo that are asked with a sketch.

ViSketch recognises the sketch. Its word stands for a COCO class, or for a narrower kind of one, and the boxes of that
class are the answer. The detector runs once on each photo, however many questions are asked.
"""

from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, UInt8

from visketch.data.coco import WORDS
from visketch.language import image
from visketch.language.answers import Answer, Detection
from visketch.language.attributes import Filter
from visketch.language.boxes import Box
from visketch.language.detect.categories import COCO, NARROWER, NOTES, category
from visketch.language.detect.photo import Detections, PhotoDetector
from visketch.language.detect.sketch_word import SIZE, SketchWord, UnknownWord
from visketch.language.vision.features import EncodedPicture
from visketch.language.wording import plain, spans

NAMES = frozenset(WORDS.get(name, name) for name in COCO.values())  # the classes that can be found, under our names
FAINTEST = 0.02  # the least product of weight and probability of a box to which --which applies
SIDE = 1024  # the longer side of a photo in pixels is at most this; even a tile then has more than the network takes


class CocoDetector:
    """Finds the 80 classes of COCO in photos."""

    def __init__(
        self, named: Callable[[EncodedPicture], dict[str, float]], detector: PhotoDetector | None = None
    ) -> None:
        """Load the detector.

        `named` gives the probability of each word for a sketch. Raises VisketchError if the detector cannot be loaded.
        """
        self.detector, self.named = detector or PhotoDetector(), named
        self.count_from = float(self.detector.settings["count_from"])
        self.present_from = float(self.detector.settings["present_from"])
        self.shown_from = float(self.detector.settings["shown_from"])
        self.sketches: WeakKeyDictionary[EncodedPicture, SketchWord] = WeakKeyDictionary()
        self.scenes: WeakKeyDictionary[EncodedPicture, Detections] = WeakKeyDictionary()

    def word(self, sketch: EncodedPicture) -> SketchWord:
        """The word that a sketch stands for. Raises VisketchError for a word without a class."""
        if sketch not in self.sketches:
            self.sketches[sketch] = SketchWord.of(self.named(sketch))
        return self.sketches[sketch]

    def look(self, scene: EncodedPicture) -> Detections:
        """The detections in a photo. Raises VisketchError if its file is gone."""
        if scene not in self.scenes:
            self.scenes[scene] = self.detector(pixels(scene.picture))
        return self.scenes[scene]

    def answer(self, sketch: EncodedPicture, scene: EncodedPicture, min_score: float | None = None) -> Answer:
        """Where the sketch's object is in a photo, and what else is there.

        A box counts from a probability of `count_from` on. If there is no such box, the best one counts from
        `present_from` on. That is much lower, because half of what people ask about is in the photo. The score of a box
        is its probability times that of the sketch's word. `min_score` is the least score of a box that counts, instead
        of both. Raises VisketchError for a word without a class, or if the photo's file is gone.
        """
        asked, seen = self.word(sketch), self.look(scene)
        word, category = asked.asks_for(there(seen))
        own, rest = seen.of(category.number), seen[seen.category != category.number]
        share = asked.share(category)
        kept = own[own.chance >= self.count_from if min_score is None else share * own.chance >= min_score]
        if not len(kept) and min_score is None:
            kept = own[(np.arange(len(own)) == 0) & (own.chance >= self.present_from)]  # the most probable comes first
        found = [Detection(word, box, share * sure) for _, box, sure in rows(kept)]
        others = [
            Detection(label(number), box, sure) for number, box, sure in rows(rest[rest.chance >= self.count_from])
        ]
        ordered = tuple(sorted(found, key=lambda one: one.box))
        note = category.note
        if asked.unknown_chance > asked.chance[category.number]:
            note = "; ".join(
                filter(None, [f"the sketch may show {asked.unknown!r}, which the detector does not know", note])
            )
        return Answer("detector", word, ordered, ordered, tuple(others), note)

    def score(self, sketch: EncodedPicture, scene: EncodedPicture, which: Filter | None = None) -> float:
        """The probability that the photo shows the sketch's object.

        It is the probability of each class in the photo, weighted by the sketch's probabilities. With `which`, only
        boxes that it describes count. It is 0 for a word without a class.
        """
        try:
            weights, seen = self.word(sketch).weights(), self.look(scene)
        except UnknownWord:
            return 0.0
        if which is not None:
            seen = meant(seen, weights, which, scene.picture)
        return float(weights @ there(seen))


def pixels(picture: image.Picture) -> UInt8[np.ndarray, "y x 3"]:
    """The upright picture, at most SIDE wide and high. Raises VisketchError if its file is gone."""
    if picture.original is None:
        return np.asarray(image.upright(picture.source, SIDE)[0]) if picture.source else image.inside(picture)
    smaller = picture.original.convert("RGB")
    smaller.thumbnail((SIDE, SIDE), reducing_gap=2)
    return np.asarray(smaller)


def there(seen: Detections) -> Float[np.ndarray, " k"]:
    """For each class, the probability that the photo shows such an object, which is that not all boxes of the class are
    wrong.
    """
    missing = np.ones(SIZE)
    np.multiply.at(missing, seen.category, 1 - seen.chance)
    return 1 - missing


def meant(seen: Detections, weights: Float[np.ndarray, " k"], which: Filter, picture: image.Picture) -> Detections:
    """The boxes that the words describe. "The largest" means the largest of the most probable class, if that class is
    there.
    """
    own = np.flatnonzero(weights[seen.category] * seen.chance >= FAINTEST)
    found = {
        Detection(str(place), box, sure): place for place, (_, box, sure) in zip(own, rows(seen[own]), strict=True)
    }
    return seen[np.array([found[one] for one in which.of([*found], picture)], int)]


def label(number: int) -> str:
    """The name of a COCO class: the word of *Quick, Draw!* if there is one, otherwise COCO's name."""
    return WORDS.get(COCO[number], COCO[number])


def rows(seen: Detections) -> list[tuple[int, Box, float]]:
    """The COCO id, the box and the probability of each detection."""
    boxes: list[Box] = [(x1, y1, x2, y2) for x1, y1, x2, y2 in seen.box.tolist()]
    return list(zip(seen.category.tolist(), boxes, seen.chance.tolist(), strict=True))


def found_as(words: Iterable[str]) -> dict[str, str]:
    """The name under which the objects of each word are found, for words of which the detector finds a wider class."""
    wider = {word: found for word in words if (found := category(word))}
    return {word: label(found.number) for word, found in wider.items() if found.narrower}


def notes(question: str) -> list[str]:
    """What the detector cannot tell of the words that a question names: any cup counts as a mug."""
    words, known = plain(question).split(), frozenset([*NARROWER, *NOTES])
    named = dict.fromkeys(name for _, _, name in spans(words, known))
    return [f"{name}: {found.note}" for name in named if (found := category(name)) and found.note]
