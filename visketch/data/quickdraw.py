"""Google's Quick, Draw! drawings in their binary form.

The module `json_documents.py` reads the ndjson form, and `arrays.py` the bitmaps. Layout and fields:
https://github.com/googlecreativelab/quickdraw-dataset. The reader yields the drawings in the order of the file, with an
error in place of one that cannot be read.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

HEAD = struct.Struct("<Q2sbIH")  # key id, country, whether it was recognised, time stamp, number of strokes
COUNT = struct.Struct("<H")


def binary(path: Path) -> Iterator[Sketch | VisketchError]:
    """The drawings in a file of Google's binary format.

    Raises VisketchError if the file is incomplete, since the rest of it cannot be found then.
    """
    with path.open("rb") as file:
        number = 0
        while head := file.read(HEAD.size):
            number += 1
            source = f"{path}:{number}"
            try:
                _, _, recognised, _, count = HEAD.unpack(head)
                if recognised not in (0, 1):
                    raise VisketchError(f"{source}: not a QuickDraw binary file; give one of full/binary/<class>.bin")
                lines = [_stroke(file) for _ in range(count)]
            except struct.error:
                raise VisketchError(f"{source}: the drawing is incomplete; download the file again") from None
            try:
                yield Sketch(strokes=_checked(lines), source=source, about={"kind": "QuickDraw binary"})
            except ValueError as error:
                yield VisketchError(f"{source}: {error}; download the file again")


def _checked(lines: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    if not lines:
        raise ValueError("the drawing has no stroke")
    for line in lines:
        if not line.size:
            raise ValueError("the drawing has an empty stroke")
    return tuple(lines)


def _stroke(file: BinaryIO) -> np.ndarray:
    (points,) = COUNT.unpack(file.read(COUNT.size))
    values = file.read(2 * points)
    if len(values) < 2 * points:
        raise struct.error
    return np.frombuffer(values, np.uint8).reshape(2, points).T.astype(np.float32)
