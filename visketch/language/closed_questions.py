"""Answer closed questions from detections: "describe, then filter" for more than counts and boxes.

A question is answered if every word of it is understood (`one_kind`, `comparisons`), and refused if it only looks like
such a question. Other questions are left to the language model.
"""

import re

from visketch.language import comparisons, one_kind
from visketch.language.asked import SceneQuestion, generic
from visketch.language.wording import KNOWN, plain

# The order matters: "where is it: left, right ...?" asks for a place, and "left or right of the cat?" asks for a
# relation.
KINDS = {
    "relation": r"(left or right|which side)\b.*\bof the\b",
    "where": r"\bwhere\b|which part",
    "next": r"next to|nearest|beside",
    "colour": r"\b(?:what|which) colou?r\b",
    "largest": r"largest|larger|biggest|bigger",
    "another": r"more than one|another|only one",
    "count": r"how many|how often|\bcount\b|number of",
    "name": r"what(?:'s| is)(?: (?:it|this|that|the (?:object|thing|sketch)))?(?: (?:a (?:sketch|drawing) )?of)?"
    r"(?: (?:(?:shown|drawn|depicted) )?(?:in|on|of|by) (?:the|this) sketch)?\W*$"
    r"|what (?:object )?does (?:the|this) sketch (?:depict|show|represent)",
    "there": r"\bvisible\b|(?:^|[:;,.?!] *)(?:is|are) there\b|\bdoes .* (?:show|contain)\b",
}


def kind(question: str) -> str | None:
    """The kind of a question, which is one of KINDS. Returns None for any other question."""
    words = plain(question)
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, words)), None)


def reason(scene: SceneQuestion) -> str | None:
    """The answer to a closed question about the sketch's object, or about another class that the question names.

    Without a picture, colours are not understood. Returns None if the question is not closed, and "none" if the object
    is not in the scene. If there are several and the question asks where they are, what colour they have or what is
    next to them, all are told. Raises VisketchError for a noun that is not a class that can be found, and for a
    question of which not every word is understood.
    """
    if not scene.text:
        return None
    if (answer := one_kind.answer(scene) or comparisons.answer(scene)) is not None:
        return answer
    asked = kind(scene.question)
    if asked is None or (asked == "colour" and scene.picture is None):
        return None
    if re.search(r"[?.!;] ", scene.text):
        raise scene.refuse("it is more than one question")
    strange = [word for word in scene.strange(scene.words) if not KNOWN.fullmatch(word) and not generic([word])]
    raise scene.refuse(
        "it says not, other or only" if scene.says_not() else f"{strange[0]!r} is not understood" if strange else ""
    )
