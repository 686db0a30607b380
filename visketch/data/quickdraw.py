"""Google's Quick, Draw! drawings: ndjson (simplified, or raw with timing), binary, and 28 x 28 bitmaps.

Layout and fields: https://github.com/googlecreativelab/quickdraw-dataset. Each reader yields its drawings in the file's
order, and in the place of one that is none the error to show: the rest of the file is still good.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

HEAD = struct.Struct("<Q2sbIH")  # key id, country, recognised or not, time stamp, strokes
COUNT = struct.Struct("<H")
SIDE = 28
ENLARGED = 4  # times, a bitmap when it is read
BITMAP = "QuickDraw bitmap"


def ndjson(path: Path) -> Iterator[Sketch | VisketchError]:
    """One JSON object a line: `drawing`, and `word` if the class is known."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            source = f"{path}:{number}"
            try:
                drawing, word = _fields(line)
                drawn = strokes(drawing)
                about = {"kind": "QuickDraw ndjson", "timed": any(len(stroke) > 2 for stroke in drawing)}
                yield Sketch(strokes=drawn, label=word, source=source, about=about)
            except ValueError as error:
                yield VisketchError(f"{source}: {error}, mend or remove that line")


def binary(path: Path) -> Iterator[Sketch | VisketchError]:
    """Google's packed format. Raises VisketchError where the file is cut short: nothing after that can be found."""
    with path.open("rb") as file:
        number = 0
        while head := file.read(HEAD.size):
            number += 1
            source = f"{path}:{number}"
            try:
                _, _, recognised, _, count = HEAD.unpack(head)
                if recognised not in (0, 1):
                    raise VisketchError(f"{source}: not a QuickDraw binary file, give one of full/binary/<class>.bin")
                lines = [_stroke(file) for _ in range(count)]
            except struct.error:
                raise VisketchError(f"{source}: the drawing is cut short, fetch the file again") from None
            try:
                yield Sketch(strokes=_checked(lines), source=source, about={"kind": "QuickDraw binary"})
            except ValueError as error:
                yield VisketchError(f"{source}: {error}, fetch the file again")


def bitmaps(path: Path) -> Iterator[Sketch | VisketchError]:
    """numpy bitmaps, white ink on black: an array (drawings, 784) uint8, or an archive with (drawings, 28, 28) as `x`.

    Raises VisketchError if the array is another one.
    """
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        rows = rows if isinstance(rows, np.ndarray) else rows["x"]
    except Exception as error:  # numpy raises whatever a broken header leads it to
        raise VisketchError(f"{path}: not a whole numpy file, fetch it again") from error
    if rows.shape[1:] not in ((SIDE * SIDE,), (SIDE, SIDE)) or rows.dtype != np.uint8:
        shape = f"{rows.dtype} {'x'.join(map(str, rows.shape))}"
        raise VisketchError(f"{path}: its array is {shape}, QuickDraw bitmaps are uint8 n x {SIDE * SIDE}")
    for number, row in enumerate(rows, 1):
        pixels = _enlarged(np.asarray(row).reshape(SIDE, SIDE))
        if pixels.any():
            yield Sketch(pixels=pixels, source=f"{path}:{number}", about={"kind": BITMAP})
        else:
            yield VisketchError(f"{path}:{number}: blank, there is no ink in it")


def _enlarged(levels: np.ndarray) -> np.ndarray:
    """Grey levels, white ink on black → the ink, four times as large: between the pixels the levels say where it ends.

    Thinned at 28 pixels, neighbouring lines would run together.
    """
    from PIL import Image

    side = ENLARGED * SIDE
    return np.asarray(Image.fromarray(levels).resize((side, side), Image.Resampling.BICUBIC)) > 100


def strokes(drawing: list) -> tuple[np.ndarray, ...]:
    """QuickDraw's `drawing`, [[x...], [y...]] or [[x...], [y...], [t...]] a stroke → strokes, each (points, 2).

    Raises ValueError if there is no stroke, an empty one, or a coordinate that is not a finite number.
    """
    try:
        with np.errstate(over="ignore"):  # too large for float32: infinite, which is refused
            lines = [np.array(stroke[:2], np.float32).T for stroke in drawing]
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ValueError("a stroke is not [[x...], [y...]], numbers and as many of each") from None
    return _checked(lines)


def _checked(lines: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    if not lines:
        raise ValueError("the drawing has no stroke")
    for line in lines:
        if not line.size:
            raise ValueError("the drawing has an empty stroke")
        if line.ndim != 2 or line.shape[1] != 2:
            raise ValueError("a stroke is not [[x...], [y...]], numbers and as many of each")
        if not np.isfinite(line).all():
            raise ValueError("a stroke has a coordinate that is not a number")
    return tuple(lines)


def _fields(line: bytes) -> tuple[list, str | None]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("the line is not JSON (cut short?)") from None
    if not isinstance(record, dict) or not isinstance(record.get("drawing"), list):
        raise ValueError('the line has no "drawing"')
    word = record.get("word")
    if not isinstance(word, str | None):
        raise ValueError('"word" is not a string')
    return record["drawing"], word or None


def _stroke(file: BinaryIO) -> np.ndarray:
    (points,) = COUNT.unpack(file.read(COUNT.size))
    values = file.read(2 * points)
    if len(values) < 2 * points:
        raise struct.error
    return np.frombuffer(values, np.uint8).reshape(2, points).T.astype(np.float32)
