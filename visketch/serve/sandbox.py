"""Read uploaded files in a separate process.

If a file takes too much time or memory, or crashes the reader, only its sender gets an error. The process is killed and
a new one is started. The process does not import torch, so it starts quickly.
"""

import multiprocessing
import shutil
import tempfile
import warnings
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

SECONDS = 15.0  # the most seconds to read a file
START = 60.0  # the most seconds for the process to start
PIXELS = 40_000_000  # the most pixels of a picture; a phone's photo has 12 million
INFLATED = 100 << 20  # the most bytes of an uncompressed npz
MEMORY = 4 << 30  # the most bytes of address space
SUFFIXES = (".bin", ".npy", ".npz", ".ndjson", ".svg")  # suffixes that readers use in addition to the first bytes


class SandboxedReader:
    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._lock = Lock()  # one file at a time
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._folder: tempfile.TemporaryDirectory | None = None

    def read(self, content: bytes, name: str) -> Sketch:
        """The drawing in a file. Of its `name`, only the suffix is used, and only if it is a known one.

        Raises VisketchError if the file cannot be read, or not in time, or if it has several drawings. (Of the frames
        of a picture, the first one counts.)
        """
        suffix = next((known for known in SUFFIXES if name.lower().endswith(known)), "")
        with self._lock:
            pipe = self._started()
            try:
                pipe.send((content, suffix))
                if not pipe.poll(self.seconds):
                    raise VisketchError(f"upload: not read within {self.seconds:.0f} seconds; simplify the drawing")
                found = pipe.recv()
            except (EOFError, OSError):
                self._stop()
                raise VisketchError("upload: too complex to read; simplify or shrink the drawing") from None
            except VisketchError:
                self._stop()
                raise
        if isinstance(found, str):
            raise VisketchError(found)
        return found

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _started(self) -> Connection:
        if self._pipe and self._process and self._process.is_alive():
            return self._pipe
        self._stop()
        context = multiprocessing.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="visketch-", ignore_cleanup_errors=True)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._folder.name), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(START):
            self._stop()
            raise VisketchError("upload: the reader did not start; try again")
        self._pipe.recv()
        return self._pipe

    def _stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.join()
        if self._pipe:
            self._pipe.close()
        if self._folder:
            self._folder.cleanup()
        self._process = self._pipe = self._folder = None


def serve(pipe: Connection, folder: str) -> None:
    """The code of the process. It receives (content, suffix) and sends a sketch or an error, until the other end is
    closed.
    """
    import signal

    from visketch.data import image, read  # noqa: F401  (imported now, so that the first file does not wait for it)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")  # who sent a file does not see the server's stderr
    with suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            content, suffix = pipe.recv()
            pipe.send(first(content, Path(folder, f"upload{suffix}")))
    shutil.rmtree(folder, ignore_errors=True)


def first(content: bytes, file: Path) -> Sketch | str:
    """The drawing in a file with this content, or the error. Of a picture's frames, the first one counts. The file
    exists only during the call.
    """
    from visketch.data.read import only

    try:
        file.write_bytes(content)
        check(file)
        sketch = only(file)
        return replace(sketch, label=sketch.label if file.suffix == ".ndjson" else None, source="upload")
    except VisketchError as error:
        return str(error).replace(str(file), "upload")
    except MemoryError:
        return "upload: too complex to read; simplify or shrink the drawing"
    finally:
        file.unlink(missing_ok=True)


def check(file: Path) -> None:
    """Refuse, by its first bytes, a file that a reader would accept but a server should not accept. Raises
    VisketchError.
    """
    import zipfile

    from PIL import Image

    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > INFLATED:
                raise VisketchError(f"{file}: larger than {INFLATED >> 20} MB unpacked; split the file")
        return
    with suppress(OSError, Image.DecompressionBombError, ValueError, SyntaxError), Image.open(file) as picture:
        if picture.width * picture.height > PIXELS:
            raise VisketchError(f"{file}: more than {PIXELS // 10**6} million pixels; shrink the picture")
