"""Errors that a user can fix. The command line prints them as one line; other exceptions are bugs."""

import re


class VisketchError(Exception):
    """Something outside the program is wrong: a file, a disk, a checkpoint. Exit code 1."""


class UsageError(VisketchError):
    """The request is wrong: an unknown class, key or option, or an argument of the wrong kind. Exit code 2."""


class RenamedWarning(FutureWarning):
    """An old name was used. The message names its replacement."""


class PassedOverWarning(UserWarning):
    """Something is not read that may have been meant: files of a folder that are not drawings, or a picture that an SVG
    embeds. The message names it.
    """


def reason(error: Exception) -> str:
    """The operating system's words for an error, in lower case so that they fit into a line."""
    said = getattr(error, "strerror", None) or str(error)
    return said[:1].lower() + said[1:]


# These are messages of pydantic about a wrong value, with what users read instead.
REWORDED = {
    r"Input should be greater than or equal to (\S+)": r"must be \1 or more",
    r"Input should be less than or equal to (\S+)": r"must be \1 or less",
    r"Input should be greater than (\S+)": r"must be more than \1",
    r"Input should be a valid integer.*": "must be a whole number",
    r"Input should be a valid number.*": "must be a number",
    r"Input should be a valid": "must be a",
    r"Input should be": "must be",
    r"Value error, ": "",
}


def reworded(message: str) -> str:
    """A message of pydantic about a wrong value, in plain words."""
    for pattern, plain in REWORDED.items():
        message = re.sub(pattern, plain, message)
    return message


def nearest(word: str, known: list[str]) -> str:
    """The end of an error message: the names in `known` that are most similar to `word`."""
    import difflib

    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {', '.join(repr(name) for name in close)}?"
    return f"known: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"
