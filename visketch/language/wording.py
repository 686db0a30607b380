"""The words of a question in a plain form, in which one word or sign stands for each thing that a question can name.

`plain` spells a question in one way ("What's" is "what is"). `signs` then replaces names and attributes, so that the
patterns of `grammar` need no lists of words. `@3` is the fourth class that the question names, `c:red` a colour,
`s:big` a size, `p:left` a place, and `m:largest` the largest of several. `thing` and `things` are objects of any class,
`~` is the object of the sketch, and `?word` is a word that is none of these and not known.
"""

import re
from collections.abc import Sequence

from visketch import labels
from visketch.language.attributes import COLOURS, MOST, PLACES, SAME, SIZES, Filter

EXTREMES = {word: word for word in MOST} | {"biggest": "largest", "greatest": "largest"}
EXTREMES |= {"tiniest": "smallest", "littlest": "smallest"}
THINGS = ("object", "thing", "item", "figure", "shape", "element")
ATTRIBUTES = (
    {word: f"c:{word}" for word in COLOURS}
    | {word: f"s:{word}" for word in SIZES}
    | {word: f"p:{word}" for word in PLACES}
    | {word: f"m:{most}" for word, most in EXTREMES.items()}
)
ATTRIBUTES |= {word: ATTRIBUTES[same] for word, same in SAME.items()}
# The words of `grammar`, and further words that are never a noun. Any other word may be one.
KNOWN = re.compile(
    r"a|about|above|all|an|and|another|answer|any|anything|appear|appears|are|aren|as|at|be|behind|below|beside|"
    r"but|by|can|class|closest|color|colors|colour|colours|contain|contains|corner|count|depict|depicted|depicts|"
    r"did|do|does|doing|drawing|drawings|drawn|each|else|everything|except|fewer|find|for|found|from|give|half|"
    r"hand|has|have|he|her|here|his|holding|how|i|if|image|images|in|inside|is|isn|it|its|just|kind|kinds|least|"
    r"less|like|located|look|looks|lowest|many|me|more|most|my|name|near|nearest|neither|never|next|no|nor|not|"
    r"nothing|number|occur|occurs|of|often|on|one|ones|only|or|other|others|page|paper|part|photo|photograph|"
    r"picture|pictures|please|present|represent|represented|represents|resemble|resembles|resembling|s|same|scene|"
    r"see|seen|she|sheet|show|showing|shown|shows|side|similar|sketch|sketched|something|tell|than|that|the|their|"
    r"them|there|these|they|this|those|times|to|total|type|types|under|up|visible|was|we|wearing|were|what|where|"
    r"whether|which|who|with|without|you|your"
)
PICTURE = r"(?:picture|image|photo|photograph|scene|page|drawing|sheet|paper)"
OWN = r"(?:the|this|that|my|a|an|any|some|your|another)"
SHOWS = r"(?:of|in|on|like|(?:shown|drawn|depicted|represented|sketched|pictured) (?:in|by|on)|similar to|resembling)"
# What is replaced in the row of signs. The order matters.
RULES = [
    (r"\b(?:please|overall|altogether|together|in total)\b", " "),
    (r"\b(?:drawings?|sketch(?:es)?|pictures?) of (?:a |an |the |some )?(?=@)", " "),
    (rf"\b(left|right|top|bottom|centre|half|side|corner|part) of (?:the|this|that) {PICTURE}\b", r"\1 "),
    (rf"\b(?:on|in|at|of|from) (?:the|this|that|my) {PICTURE}(?= |$)(?! of)", " "),
    (r"\bsome where\b|\bsomewhere\b", " "),
    (r"\bin it\b|\bhere\b", " "),
    (r"[ ,:?.]*answer (?:with )?yes or no\b", " "),
    (r" +", " "),
    (r"\bdrawing(s?)\b", r"thing\1"),
    (rf"(?:\b(?:{OWN}|of the) )?\b(?:thing|things|one|ones|anything|something) (?:that |which |{SHOWS})"
     r"(?:looks? like|resembles?)? ?(?:the|this|that|my|your) sketch\b", "~"),
    (rf"(?:\b{OWN} )?\b(?:things?|ones?|anything|something) (?:like|similar to|resembling) "
     r"(?:it|this|that|these|those|them|~)(?= |$)", "~"),
    (rf"\b{OWN} (?:sketched|drawn) (?:thing|one)\b|\bwhat (?:the|this) sketch shows\b", "~"),
]  # fmt: skip


def plain(question: str) -> str:
    """A question in lower case and without contractions, hyphens, and signs at its end."""
    text = re.sub(r"[‘’`´]", "'", question.lower()).removeprefix("vqa:").replace("&", " and ")
    text = re.sub(r"\b(what|where|who|which|there|how|it|that|here|he|she)'?s\b(?<!\bits)", r"\1 is", text)
    text = re.sub(r"n't\b", " not", text).replace("s' ", "s 's ").replace("'s ", " 's ")
    text = re.sub(r"\b(left|right)[- ]hand (?=side|of\b|corner|part|half)", r"\1 ", text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text).replace("can not", "cannot")
    text = text.replace("the the ", "the ")  # "left of the The Eiffel Tower", in the questions of the data set
    return re.sub(r"\s+", " ", text).strip(' ?.!…"')


def spans(words: Sequence[str], known: frozenset[str]) -> list[tuple[int, int, str]]:
    """The classes among some words: the position and the number of their words, and the class.

    `orange` is a colour before a noun and at the end of "is it orange?".
    """
    return [one for one in labels.spans(words, known) if not (one[1] == 1 and _is_colour(words, one[0], known))]


def _is_colour(words: Sequence[str], place: int, known: frozenset[str]) -> bool:
    if words[place] not in COLOURS:
        return False
    behind = words[place + 1 :]
    if not behind:
        return place > 0 and words[place - 1] not in ("a", "an", "the", "one", "another", "many", "no", "any", "count")
    noun = behind[0].removesuffix("s") in (*THINGS, "one") or behind[0] in ATTRIBUTES
    return noun or any(start == 0 for start, _, _ in labels.spans(behind[:5], known))


def signs(text: str, known: frozenset[str]) -> tuple[str, list[str]]:
    """A plain text as a row of words and signs, and the classes to which `@0`, `@1` ... refer."""
    words = re.findall(r"'s\b|\w+|[^\w\s]", text)
    found = {place: (size, name) for place, size, name in spans(words, known)}
    made, names, place = list[str](), list[str](), 0
    while place < len(words):
        size, name = found.get(place, (1, ""))
        made.append(f"@{len(names)}" if name else _sign(words[place]))
        names += [name] if name else []
        place += size
    row = " ".join(made)
    for pattern, by in RULES:
        row = re.sub(pattern, by, row)
    return row.strip(" ,:"), names


def _sign(word: str) -> str:
    if word in ATTRIBUTES:
        return ATTRIBUTES[word]
    single = word.removesuffix("s")
    if single in THINGS:
        return "things" if word != single else "thing"
    return word if KNOWN.fullmatch(word) or not word[0].isalpha() else f"?{word}"


def attributes(row: str) -> Filter:
    """The attributes in a part of a row of signs."""
    words = [word for word in row.split() if word[1:2] == ":" or word == "half"]
    return Filter.among([word.partition(":")[2] or word for word in words])
