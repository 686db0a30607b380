"""Spellings of earlier versions. They still work, and a note says what the new spelling is."""

from collections.abc import Sequence

from . import console

VERBS = {("train", "peer"): ("train", "baseline"), ("train", "language"): ("language", "train")}
OPTIONS = {"evaluate": {"--peer": "--baseline"}, "generate": {"--coarse-only": "--no-refine"}}  # of each verb


def renewed(words: Sequence[str]) -> list[str]:
    """The words of a command in the current spelling, with a note on stderr for each old one."""
    words = list(words)
    for old, new in VERBS.items():
        if tuple(words[: len(old)]) == old:
            words[: len(old)] = new
            console.note(f"`visketch {' '.join(old)}` is now `visketch {' '.join(new)}`")
    if words[:1] == ["search"] and "--photos" in words:
        words = ["photos", *(word for word in words if word != "--photos")]
        console.note("`visketch search --photos` is now `visketch photos search`")
    options = OPTIONS.get(words[0], {}) if words else {}
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options:
            words[place] = options[name] + equals + value
            console.note(f"{name} is now {options[name]}")
    return words
