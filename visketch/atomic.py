"""Write files so that a reader sees either the old content or the new content, never a part of it."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visketch.errors import VisketchError, reason


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` for a new file or folder, which takes the place of `path` at the end if nothing has failed.

    If nothing was written, nothing changes. Raises VisketchError for an OSError within the block, too.
    """
    # Each writer has its own temporary file, since other threads and processes may write the same file
    part = path.with_name(f".{path.name}.{secrets.randbits(32)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if part.is_file():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        if part.exists():
            os.replace(part, path)
    except OSError as error:
        raise VisketchError(f"{path}: cannot be written, {reason(error)}") from error
    finally:  # Ctrl-C, too, leaves no temporary file
        with suppress(OSError, ValueError):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the content of a file. Raises VisketchError."""
    try:
        with replacing(path) as part:
            part.write_bytes(content)
    except ValueError as error:  # a path with a zero byte
        raise VisketchError(f"{path}: cannot be written, {reason(error)}") from error
