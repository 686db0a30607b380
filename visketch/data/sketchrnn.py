"""sketch-rnn's .npz files: arrays `train`, `valid` and `test` of drawings in stroke-3 or stroke-5 form (`stroke3.py`).

The arrays hold objects, which numpy stores as pickles. A pickle can execute anything, and numpy's own classes trust
what a pickle says of memory. So this unpickler makes arrays of numbers and of other arrays, and checks them first.
"""

import codecs
import math
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import foreign, stroke3
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

PARTS = ("train", "valid", "test")
LARGEST = 1 << 30  # the most bytes of an uncompressed array; the largest published one has a tenth of this


def holds(path: Path, array: str) -> bool:
    """Whether an archive has an array of this name."""
    return f"{array}.npy" in _names(path)


def drawings(path: Path) -> Iterator[Sketch | VisketchError]:
    """The drawings of all parts, with an error in place of each drawing that cannot be read.

    Raises VisketchError if the file is of another kind.
    """
    seen = False
    for part in PARTS:
        found = array(path, part)
        seen = seen or found is not None
        for number, points in enumerate(() if found is None else found, 1):
            yield _sketch(points, f"{path}:{part}:{number}")
    if not seen:
        if known := foreign.zip(_names(path)):
            raise VisketchError(f"{path}: {known}")
        raise VisketchError(f"{path}: it has no train, valid or test array; give a sketch-rnn .npz file")


def objects(path: Path) -> np.ndarray:
    """The array of objects in a .npy file. Raises VisketchError if the file is broken or holds anything but arrays and
    numbers.
    """
    with _reading(path):
        if path.stat().st_size > LARGEST:
            raise VisketchError(f"{path}: larger than {LARGEST >> 30} GiB; split the file")
        return _array(BytesIO(path.read_bytes()))


def _names(path: Path) -> list[str]:
    """The names of the files in an archive. There are none for a broken archive, which its reader reports."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except OSError:
        raise
    except Exception:  # a broken directory can make zipfile raise anything
        return []


def array(path: Path, name: str) -> np.ndarray | None:
    """An array of an archive, or None if the file does not have it.

    Raises VisketchError if the file is broken, or if the array is too large or holds anything but arrays and numbers.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            return None
        if archive.getinfo(f"{name}.npy").file_size > LARGEST:
            raise VisketchError(f"{path}: {name} is larger than {LARGEST >> 30} GiB; split the file")
        return _array(BytesIO(archive.read(f"{name}.npy")))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever a broken or hostile file makes zipfile, pickle and numpy raise inside into a VisketchError."""
    try:
        yield
    except (VisketchError, PermissionError):
        raise
    except Refused as error:
        raise VisketchError(f"{path}: it would run {error}, take a file that holds arrays only") from None
    except Exception as error:
        raise VisketchError(f"{path}: not a complete numpy file; download it again") from error


def _sketch(rows: np.ndarray, source: str) -> Sketch | VisketchError:
    try:
        return Sketch(strokes=stroke3.strokes(stroke3.numbers(rows)), source=source, about={"kind": "sketch-rnn npz"})
    except ValueError as error:
        return VisketchError(f"{source}: {error}; remove that drawing")


def _array(file: BytesIO) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if not dtype.hasobject:  # all drawings have the same length
        return np.frombuffer(file.read(), dtype).reshape(shape)
    return Unpickler(file, encoding="latin1").load()


class Refused(Exception):
    """A pickle names something that is not part of an array."""


class PickledType:
    """A dtype in a pickle, of numbers or of objects. numpy's own would accept flags by which bytes become pointers."""

    def __init__(self, kind: str, *_: object) -> None:
        if not re.fullmatch(r"[biuf]\d|O8?", kind):
            raise ValueError(f"an array of {kind}")
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray(np.ndarray):
    """An array in a pickle, which must have as many elements as its shape says."""

    def __setstate__(self, state: tuple) -> None:
        version, shape, kind, order, content = state
        size = math.prod(shape)
        if len(content) != (size if kind.dtype.hasobject else size * kind.dtype.itemsize):
            raise ValueError(f"{len(content)} elements or bytes for {shape}")
        super().__setstate__((version, shape, kind.dtype, order, content))


def _empty(*_: object) -> np.ndarray:
    return np.ndarray.__new__(PickledArray, (0,), np.uint8)


PARTS_OF_ARRAYS: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("numpy", "ndarray"): None,  # only the name of what `_reconstruct` makes
    ("numpy", "dtype"): PickledType,
    ("numpy.core.multiarray", "_reconstruct"): _empty,  # numpy 1
    ("numpy._core.multiarray", "_reconstruct"): _empty,  # numpy 2
    ("_codecs", "encode"): codecs.encode,  # for bytes that Python 3 wrote in Python 2's protocol
}


class Unpickler(pickle.Unpickler):
    """An unpickler that makes numpy arrays, lists and dictionaries, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PARTS_OF_ARRAYS:
            raise Refused(f"{module}.{name}")
        return PARTS_OF_ARRAYS[module, name]
