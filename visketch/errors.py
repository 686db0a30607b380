"""Errors that a user can fix. The command line prints them as one line; other exceptions are bugs."""


class VisketchError(Exception):
    """Something outside the program is wrong: a file, a disk, a checkpoint. Exit code 1."""


class UsageError(VisketchError):
    """The request is wrong: an unknown class, key or option, or an argument of the wrong kind. Exit code 2."""


class RenamedWarning(FutureWarning):
    """An old name was used. The message says which name replaces it."""


def nearest(word: str, known: list[str]) -> str:
    """The end of an error message: the names in `known` that are most similar to `word`."""
    import difflib

    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {', '.join(repr(name) for name in close)}?"
    return f"known: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"
