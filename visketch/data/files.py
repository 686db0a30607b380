"""Read files, plain or gzipped, as bytes and lines; find the cache folder.

Sizes are limited, since a small archive may unpack to a huge file.
"""

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from visketch.errors import VisketchError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LONGEST = 1 << 24  # the most bytes of a line; the longest raw drawing of *Quick, Draw!* has a tenth of this
LARGEST = 1 << 26  # the most bytes of a document that is read as a whole
CHUNK = 1 << 20
BROKEN = (gzip.BadGzipFile, zlib.error, EOFError)


def opened(path: Path) -> BufferedIOBase:
    """Open a file for reading. It is unpacked if its first bytes are those of gzip. Raises OSError."""
    file = path.open("rb")
    if file.peek(2)[:2] != b"\x1f\x8b":
        return file
    file.close()
    return gzip.GzipFile(path)


def head(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file, unpacked. Raises VisketchError for a broken gzip file, and OSError."""
    parts, left = [], count
    with opened(path) as file:
        try:
            # In chunks: one large read would reserve its whole buffer
            while left and (part := file.read(min(left, CHUNK))):
                parts.append(part)
                left -= len(part)
        except BROKEN:
            raise _broken(path) from None
    return b"".join(parts)


def whole(path: Path, most: int = LARGEST) -> bytes:
    """All bytes of a file, unpacked.

    Raises VisketchError if there are more than `most` or if the archive is broken, and OSError.
    """
    content = head(path, most + 1)
    if len(content) > most:
        raise VisketchError(f"{path}: larger than {most >> 20} MB; split or simplify it")
    return content


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, unpacked, each with its line end. Empty lines are included.

    Raises VisketchError if a line has more than LONGEST bytes or the archive is broken, and OSError.
    """
    with opened(path) as file:
        try:
            while line := file.readline(LONGEST):
                if len(line) == LONGEST:
                    raise VisketchError(f"{path}: a line is longer than {LONGEST >> 20} MB; split the file")
                yield line
        except BROKEN:
            raise _broken(path) from None


def _broken(path: Path) -> VisketchError:
    return VisketchError(f"{path}: the gzip archive is broken or incomplete; download it again")


def cache_folder() -> Path:
    """The folder for files that can be made again: $VISKETCH_CACHE, or the system's folder for caches. It may not exist
    yet.
    """
    given, home = os.environ.get("VISKETCH_CACHE"), Path.home()
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return home / "Library/Caches/visketch"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local")) / "visketch"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "visketch"


def local_name(element: "Element") -> str:
    """The tag of an XML element without its namespace."""
    return str(element.tag).rpartition("}")[2]
