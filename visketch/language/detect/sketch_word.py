"""What a sketch asks the detector for: words of *Quick, Draw!*, each with its chance, → COCO classes.

A drawing is seldom sure: a couch may be a bench. Its chances are kept for as long as possible. A photo in which there
is a bench and no couch says which of the two was meant, since people ask about what they see.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from visketch.errors import VisketchError
from visketch.language.detect.categories import COCO, Category, category

SIZE = max(COCO) + 1  # of a vector by COCO's ids
# A sketch is refused if a word that no class covers is so many times as likely as the likeliest class. Photos are asked
# about things that are in photos, so unknown words are less likely there than among all drawings.
REFUSED = 5.0
# Of things that people ask about in a photo half are there (PRESENT), one of the 2.4 words that a COCO photo shows on
# average or of the 61 others; TRUST tempers what follows from it, so that a sure sketch is never overruled.
PRESENT, SHOWN, WORDS = 0.5, 2.4, 64
TRUST = 0.5
SHARP = 2.0  # exponent of the chances in a search: the second guess counts less than its chance says


class UnknownWord(VisketchError):
    """The sketch is of something that the detector does not know."""


@dataclass(frozen=True)
class SketchWord:
    """The chance of each COCO class, at its id, and the likeliest word of each; the likeliest word of no class."""

    chance: Float[np.ndarray, " k"]
    words: Mapping[int, str]
    unknown: str
    unknown_chance: float

    @classmethod
    def of(cls, chances: Mapping[str, float]) -> "SketchWord":
        """From the chance of each word. Raises UnknownWord if the sketch is of a word that no class covers."""
        chance, words, known = np.zeros(SIZE), dict[int, str](), list[str]()
        unknown, unknown_chance = "", 0.0
        for word, share in sorted(chances.items(), key=lambda pair: -pair[1]):
            found = category(word)
            if found:
                chance[found.number] += share
                words.setdefault(found.number, word)
                known.append(word)
            elif not unknown:
                unknown, unknown_chance = word, share
        if unknown_chance > REFUSED * chance.max():
            raise UnknownWord(
                f"the sketch shows {unknown!r}, which the detector does not know; --by matcher compares without "
                f"knowing, and is seldom right in photos; known are {', '.join(sorted(known))}"
            )
        return cls(chance, words, unknown, unknown_chance)

    def asks_for(self, there: Float[np.ndarray, " k"]) -> tuple[str, Category]:
        """The word that is asked for in a photo, and its class; `there`: how likely each class is in the photo."""
        shown = PRESENT * there / SHOWN
        not_shown = (1 - PRESENT) * (1 - there) / (WORDS - SHOWN)
        number = int((self.chance * (shown + not_shown) ** TRUST).argmax())
        word = self.words[number]
        found = category(word)
        assert found is not None
        return word, found

    def weights(self) -> Float[np.ndarray, " k"]:
        """Of each class in a search over many photos; they add up to 1."""
        sharp = self.chance**SHARP
        return sharp / sharp.sum()
