"""Text that is not valid Unicode, in SQLite: names of files that are not UTF-8, and broken labels of drawings.

Python writes what it cannot decode as lone surrogates. sqlite3 refuses a text that has one.
"""


def encoded(text: str) -> str | bytes:
    """What SQLite stores for a text: the text itself, or its bytes if it has lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def decoded(stored: str | bytes) -> str:
    """The text for which `encoded` gave `stored`."""
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")
