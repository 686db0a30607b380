"""Download QuickDraw drawings from Google's public bucket, or copy them from a folder with the same layout.

A local file is always a prefix of the original, whether a limit or a broken connection ended the download. So a
download can be continued by requesting the rest (HTTP Range).
"""

import io
import os
import shutil
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from importlib import resources
from pathlib import Path

from visketch import labels as names
from visketch.errors import UsageError, VisketchError, reason

ROOT = "https://storage.googleapis.com/quickdraw_dataset"
LAYOUT = Path("full", "simplified")
CHUNK = 1 << 16  # bytes
PAUSES = (1.0, 4.0)  # seconds before each further attempt
TIMEOUT = 30.0  # seconds to wait for the next byte

BROKEN = (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)

Progress = Callable[[str, int, int], None]


def classes() -> list[str]:
    """The 345 classes of QuickDraw."""
    return resources.files("visketch.data").joinpath("classes.txt").read_text(encoding="utf-8").splitlines()


def fetch(
    labels: list[str],
    root: str | None = None,
    folder: str | Path = "data/quickdraw",
    limit: int | None = None,
    workers: int = 4,
    progress: Progress | None = None,
) -> list[Path]:
    """Download the ndjson files of some classes to `folder`, in the layout of the bucket, and return their paths.

    An empty list of labels means all 345 classes. `root` is a URL or a folder; by default it is $VISKETCH_QUICKDRAW, or
    else Google's bucket. `limit` is the most drawings of each class. `progress` is called from worker threads with the
    class, the number of bytes here, and the number of bytes at the root. Files that exist are kept, interrupted
    downloads are continued, and a file only appears when it is complete. Raises UsageError for an unknown class,
    VisketchError if the root or the folder fails.
    """
    known = classes()
    labels = [names.find(label, known) for label in labels]
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; it must be at least 1")
    source = root or os.environ.get("VISKETCH_QUICKDRAW") or ROOT
    stopped, place = threading.Event(), Path(folder, LAYOUT)
    created = [path for path in (place, *place.parents) if not path.exists()]

    def one(label: str) -> Path:
        try:
            return _fetch(label, source, Path(folder), limit, progress or (lambda *_: None), stopped)
        except OSError as error:
            stopped.set()
            raise VisketchError(f"{folder}: {reason(error)}; free some space or choose another folder") from error
        except VisketchError:
            stopped.set()
            raise

    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(one, dict.fromkeys(labels or known)))
        finally:
            stopped.set()  # after an error or Ctrl-C, running downloads stop at their next chunk
            pool.shutdown()
            for path in created:  # those that are still empty
                with suppress(OSError):
                    path.rmdir()


def _fetch(
    label: str, root: str, folder: Path, limit: int | None, progress: Progress, stopped: threading.Event
) -> Path:
    path = folder / LAYOUT / f"{label}.ndjson"
    path.parent.mkdir(parents=True, exist_ok=True)
    for pause in (*PAUSES, None):
        try:
            _continue(path, label, root, limit, progress, stopped)
            break
        except BROKEN as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or pause is None or stopped.is_set():
                cause = getattr(error, "reason", None) or error
                said = reason(cause) if isinstance(cause, Exception) else cause
                mend = "check the network" + (" and the root" if root != ROOT else "")
                raise VisketchError(f"{_address(root, label)}: {said}; {mend}") from error
            stopped.wait(pause)
    return path


def _continue(
    path: Path, label: str, root: str, limit: int | None, progress: Progress, stopped: threading.Event
) -> None:
    """Download the rest of `path` into a .part file. Raises one of BROKEN if the connection ends early."""
    kept = _lines(path) if path.exists() else 0
    if limit is not None and kept >= limit:
        return
    part = path.with_name(f"{path.name}.part")
    here = next((file for file in (part, path) if file.exists()), None)
    lines = _lines(part) if here == part else kept
    if limit is None or lines < limit:
        stream, start, size = _open(root, label, here.stat().st_size if here else 0)
        with stream:
            if here == path and start == size:
                return
            if here == path:  # this is a prefix from an earlier limit, and it is kept until the new file is longer
                shutil.copyfile(path, part)
            lines = lines if start else 0
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                while (limit is None or lines < limit) and not stopped.is_set() and (chunk := stream.read(CHUNK)):
                    file.write(chunk)
                    lines += chunk.count(b"\n")
                    progress(label, file.tell(), size)
                end = file.tell()
        if stopped.is_set():
            return
        if end < size and (limit is None or lines < limit):
            raise ConnectionError(f"the connection ended after {end} of {size} bytes")
    if limit is not None:
        _cut(part, limit)
    os.replace(part, path)


def _open(root: str, label: str, start: int) -> tuple[io.BufferedIOBase, int, int]:
    """Open the file of a class from byte `start` on, or from byte 0 if the root does not support that.

    Returns the stream, the byte at which it starts, and the full size of the file.
    """
    address = _address(root, label)
    if "://" not in address:
        try:
            file = io.BufferedReader(io.FileIO(address))
        except OSError as error:
            raise VisketchError(f"{address}: {reason(error)}; check the root") from error
        size = os.fstat(file.fileno()).st_size
        return file, file.seek(start if start <= size else 0), size
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "") == f"bytes */{start}":
            return io.BytesIO(), start, start  # there is nothing after `start`
        return _open(root, label, 0)  # the local file is longer than the original, so it cannot be a prefix of it
    start = start if response.status == 206 else 0
    return response, start, start + int(response.headers.get("Content-Length", 0))


def _address(root: str, label: str) -> str:
    if "://" in root:
        return f"{root.rstrip('/')}/{LAYOUT.as_posix()}/{urllib.parse.quote(label)}.ndjson"
    return str(Path(root) / LAYOUT / f"{label}.ndjson")


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(CHUNK), b""))


def _cut(part: Path, limit: int) -> None:
    """Keep only the first `limit` lines of a file."""
    with part.open("r+b") as file:
        for _ in range(limit):
            file.readline()
        file.truncate()
