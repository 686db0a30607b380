"""A strict grammar of questions about objects of one kind: how many, whether, where, what colour, next to what, the
largest, left or right of what, and what it is.

A pattern must match the whole question, so no word is passed over: "is there a cat with a hat?" is none of
these. The patterns are for the rows of signs of `wording`, in which `@0` is a class and `~` the object of the sketch.
"""

import re
from collections.abc import Iterator

NUMBERS = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
NUMBERS |= {"ten": 10}
ATTRIBUTE = r"[cspm]:\w+"
ATTRIBUTES = rf"(?:{ATTRIBUTE}(?: and| ,)? )*{ATTRIBUTE}"
AT = r"(?:on|at|in) the (?:p:\w+ )*p:\w+(?: (?:side|half|part|corner))?"
ARTICLE = (
    r"(?:the|a|an|this|that|these|those|all (?:of )?(?:the|these|those)|any|some|(?:any |some )?of (?:the|these|those))"
)
PRONOUN = r"(?:it|this|that|these|those|they|them|(?:the|this|my) sketch|(?:any |some )?of (?:these|those|them)|~)"
HEAD = rf"(?:@\d+|\?(?!(?:{'|'.join(NUMBERS)})\b)\w+|things?|ones?|~)"
BEHIND = rf"(?: {AT}| (?:that|which) (?:is|are) (?:{AT}|{ATTRIBUTES}))"
DESCRIBED = rf"(?:{ATTRIBUTE}(?: and| ,)? )*{HEAD}{BEHIND}?"
NOUN = rf"(?:{PRONOUN}|(?:{ARTICLE} )?{DESCRIBED}|(?:anything|something)(?: {ATTRIBUTES}|{BEHIND})?)"
SEEN = (
    r"(?: (?:is|are) (?:there|visible|shown|drawn|depicted|present)| there| visible| shown| drawn| present| are|"
    r" (?:can|do) (?:you|we|i) (?:see|find|count)| (?:you|we|i) (?:can )?see|"
    r" (?:that )?(?:can be|to be) (?:seen|found)|"
    r" appears?)?"
)
SEE = (  # "does it have" asks about the parts of an object
    r"(?:(?:can|do) (?:you|we|i) see|does it (?:show|contain)|"
    r"does (?:the|this) (?:picture|image|photo|photograph|scene|page) (?:show|contain|have))"
)
NEAR = r"(?:next to|nearest|nearest to|beside|closest to)"
SIDES = r"(?:p:left or (?:on |to )?(?:the )?p:right|p:right or (?:on |to )?(?:the )?p:left)"
# The kinds of questions, each with its patterns. ABOUT is a description of objects, and OTHER a second one.
PATTERNS = {
    "name": (
        r"(?:what|which)(?: thing)? is (?:it|this|that|~|(?:the|this|that) thing)",
        r"what is (?:it|this|that|~|the thing) (?:an? (?:sketch|thing) of|called)",
        r"what is (?:the|this|my) sketch(?: of)?|what is this an? (?:sketch|thing)(?: of)?|what is sketched",
        r"what (?:thing )?does (?:the|this|my) sketch (?:depict|show|represent)",
        r"what is (?:(?:shown|drawn|depicted) )?(?:in|on|by) (?:the|this|my) sketch",
    ),
    "is": (rf"(?:is|are) (?:{PRONOUN}|(?:the|this|that) thing) (?:(?:an? |the )?(?P<named>@\d+)|an? (?P<noun>\?\w+))",),
    "alone": (
        rf"(?:is|are) there (?:only|just) (?:one|a single)(?: of)? ABOUT{SEEN}",
        r"(?:is|are) there (?:only|just) one",
    ),
    "another": (rf"(?:is|are) there another(?: one)?(?: of)? ABOUT{SEEN}", rf"(?:is|are) there another(?: one)?{SEEN}"),
    "no": (rf"(?:is|are) there no (?P<about>{DESCRIBED}){SEEN}",),
    "nothing": (rf"(?:is|are) there nothing(?: (?P<more>{ATTRIBUTES}|{AT}))?",),
    "there": (
        rf"(?:is|are) there (?:ABOUT|any|some){SEEN}",
        r"(?:is|are) ABOUT (?:there|visible|shown|depicted|present)",
        rf"{SEE} ABOUT",
    ),
    "count": (
        rf"(?:(?:what is )?the number of|number of|how many|count)(?: of)? ABOUT(?: (?:are|is)(?: there)?)?"
        rf"(?: (?:(?:that|which) (?:are|is) )?(?P<more>{ATTRIBUTES}|{AT}))?{SEEN}",
        rf"how many(?: (?:are|is)(?: there)?)?(?: (?P<more>{ATTRIBUTES}|{AT}))?{SEEN}",
        r"how (?:often|many times) (?:is|are|does|do) ABOUT (?:appear|occur|there|shown|drawn|visible)",
    ),
    "where": (
        r"where (?:is|are) ABOUT(?: located| shown| drawn| to be found)?(?P<options> [:,](?: (?:p:\w+|,|or))+)?",
        r"(?:in )?which part (?:of the (?:picture|image|photo|scene|page|thing) )?(?:is|are) ABOUT",
        r"where (?:can|do) (?:you|we|i) (?:see|find) ABOUT",
        rf"(?:is|are) ABOUT {AT} or (?:{AT}|p:\w+)",
    ),
    "at": (rf"(?:is|are) ABOUT (?P<place>{AT})",),
    "colour": (
        r"(?:what|which) colou?rs? (?:is|are) ABOUT",
        r"(?:what|which) colou?rs? (?:does|do) ABOUT have",
        r"(?:(?:what|which) (?:is|are) |tell me |name )?(?:the )?colou?rs? of ABOUT",
        r"(?:(?:what|which) (?:is|are) )?ABOUT 's colou?rs?",
    ),
    "extreme": (
        r"is ABOUT (?:the )?(?P<most>m:\w+)(?: thing| one)?",
        r"is the (?P<most>m:\w+) thing ABOUT",
    ),
    "which": (
        r"(?:what|which|who)(?: thing| one)? is (?:the )?(?P<more>m:\w+)(?: thing| one)?",
        r"(?:name )?(?:the )?(?P<more>m:\w+) thing(?: is (?:what|which))?",
        rf"(?:what|which) (?:is|are) (?P<about>the (?:{ATTRIBUTE}(?: and| ,)? )+things?{BEHIND}?|the things?{BEHIND})",
        rf"(?:what|which)(?: things?)? (?:is|are) (?P<more>{ATTRIBUTES}|{AT})",
    ),
    "next": (
        r"what (?:is|are) ABOUT (?:next to|nearest to|closest to|beside)",
        rf"(?:what|who|(?:what|which) things?) is {NEAR} ABOUT",
    ),
    "relation": (
        rf"is ABOUT (?:on |to )?(?:the )?{SIDES} of OTHER",
        rf"on which side of OTHER is ABOUT(?: [:,])?(?: {SIDES})?",
        rf"which side of OTHER is ABOUT(?: [:,])?(?: on)?(?: {SIDES})?",
    ),
}


def _compiled() -> Iterator[tuple[str, re.Pattern[str]]]:
    for kind, patterns in PATTERNS.items():
        for pattern in patterns:
            filled = pattern.replace("ABOUT", f"(?P<about>{NOUN})").replace("OTHER", f"(?P<other>{NOUN})")
            yield kind, re.compile(filled)


COMPILED = tuple(_compiled())


def parse(row: str) -> tuple[str, dict[str, str]] | None:
    """The kind of a question, which is one of PATTERNS, and the parts of its row of signs by name.

    The parts are `about` and `other` (descriptions of objects), `more` (further attributes), `place` and `most` (what
    the question asks about them: `on the p:left`, `m:largest`), `named` (a class), `noun` (a word that may be one) and
    `options` (places from which to choose). Returns None if the question is none of these.
    """
    for kind, pattern in COMPILED:
        if found := pattern.fullmatch(row):
            return kind, {name: part for name, part in found.groupdict().items() if part}
    return None
