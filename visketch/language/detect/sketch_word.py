"""The word that a sketch stands for. It leads from the probabilities of the words of *Quick, Draw!* to COCO classes.

A drawing is often ambiguous: a couch may be a bench. So the probabilities are kept for as long as possible. A photo
that shows a bench and no couch decides between the two, since people ask about what they see.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from visketch.errors import VisketchError
from visketch.language.detect.categories import COCO, Category, category

SIZE = max(COCO) + 1  # the length of a vector that is indexed by COCO's ids
# A sketch is refused if a word without a class is this many times as probable as the most probable class. People ask
# about things that occur in photos, so other words are less probable here than among all drawings. With 10, of 100
# validation drawings 3 of a known word are refused (5 with 5), and 79 of an unknown one (86). If an unknown word is the
# more probable one and the sketch is not refused, the answer says so.
REFUSED = 10.0
# Half of the things that people ask about are in the photo (PRESENT): one of the 2.4 words that a COCO photo shows on
# average, or one of the 61 others. TRUST softens this evidence, so that it never overrules an unambiguous sketch.
PRESENT, SHOWN, WORDS = 0.5, 2.4, 64
TRUST = 0.75
SHARP = 2.0  # the exponent of the probabilities in a search, so that the second guess counts less than its probability


class UnknownWord(VisketchError):
    """The sketch shows something that the detector does not know."""


@dataclass(frozen=True)
class SketchWord:
    """The probability of each COCO class for a sketch, by the id of the class, with the class's most probable word. It
    also has the most probable word that has no class.
    """

    chance: Float[np.ndarray, " k"]
    words: Mapping[int, str]
    unknown: str
    unknown_chance: float

    @classmethod
    def of(cls, chances: Mapping[str, float]) -> "SketchWord":
        """Make it from the probability of each word. Raises UnknownWord if the sketch shows a word without a class."""
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
                f"the sketch shows {unknown!r}, which the detector does not know; --by recogniser is for photos "
                "of drawings, --by matcher compares without a class and is seldom right in photos; "
                f"docs/language.md lists the {len(known)} words that it knows, such as {', '.join(sorted(known)[:5])}"
            )
        return cls(chance, words, unknown, unknown_chance)

    def asks_for(self, there: Float[np.ndarray, " k"]) -> tuple[str, Category]:
        """The word that is meant in a photo, and its class. `there` is the probability of each class in the photo."""
        shown = PRESENT * there / SHOWN
        not_shown = (1 - PRESENT) * (1 - there) / (WORDS - SHOWN)
        number = int((self.chance * (shown + not_shown) ** TRUST).argmax())
        word = self.words[number]
        found = category(word)
        assert found is not None
        return word, found

    def share(self, category: Category) -> float:
        """The probability that the sketch shows a class, if it shows one of them."""
        return float(self.chance[category.number] / self.chance.sum())

    def weights(self) -> Float[np.ndarray, " k"]:
        """The weight of each class in a search over many photos. The weights add up to 1."""
        sharp = self.chance**SHARP
        return sharp / sharp.sum()
