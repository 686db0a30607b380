"""numpy's .npy files: bitmaps (QuickDraw's and others), and rows of points as sketch-rnn has them.

    (drawings, 784)                      bitmaps of 28 x 28, as QuickDraw publishes them: white ink on black
    (drawings, side, side), or one       bitmaps of any side, with or without a channel axis of length 1
    (points, 3 or 5), or drawings of it  stroke-3 and stroke-5
    (points, 2)                          one stroke of x and y
    objects                              a list of drawings in stroke-3 or stroke-5

The values of bitmaps are 0 to 255, 0 to 1, -1 to 1, or booleans; if most pixels are bright, the ink is dark.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from visketch.data import sketchrnn, stroke3
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

SIDE = 28  # pixels of QuickDraw's bitmaps
BITMAP = "QuickDraw bitmap"
SMALL, ENLARGED = 64, 4  # bitmaps with a smaller side are enlarged before their lines are found; by this factor
SMALLEST, LARGEST = 16, 1024  # pixels of a bitmap's side
SOME = 256  # the number of bitmaps that are read to find the range of the values
FORMS = "bitmaps (n x 784, or n x side x side), stroke-3 and stroke-5 (points x 3 or 5) can be read"


def drawings(path: Path) -> Iterator[Sketch | VisketchError]:
    """The drawings of an array, with an error in place of each drawing that cannot be read.

    Raises VisketchError if the file holds another kind of array.
    """
    array = _opened(path)
    if array.dtype.hasobject:
        yield from _objects(array, path)
        return
    shape = f"{array.dtype} {' x '.join(map(str, array.shape))}"
    if array.dtype.kind not in "biuf":
        raise VisketchError(f"{path}: its array is {shape}; {FORMS}")
    if 1 in array.shape[1:2] and array.ndim == 4:
        array = array[:, 0]
    elif array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    rows = _rows(array)
    if rows is not None:
        yield from _points(rows, path, alone=array.ndim == 2)
        return
    if array.ndim == 2 and array.shape[1] == 2 and len(array):
        yield _one_stroke(array, path)
        return
    alone = array.ndim == 2 and array.shape[0] == array.shape[1] and array.shape[1] != SIDE * SIDE
    if array.ndim == 2 and array.shape[1] == SIDE * SIDE:
        array = array.reshape(-1, SIDE, SIDE)
    elif alone:
        array = array[None]
    if array.ndim != 3 or array.shape[1] != array.shape[2] or not SMALLEST <= array.shape[1] <= LARGEST:
        raise VisketchError(f"{path}: its array is {shape}; {FORMS}")
    yield from _bitmaps(array, path, alone)


def _opened(path: Path) -> np.ndarray:
    """The array in a file. Raises VisketchError if the file is broken, or if it holds more than arrays and numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) and "x" in array.files:  # an archive of bitmaps and facts about them
            array = sketchrnn.array(path, "x")
    except VisketchError:
        raise
    except Exception as error:  # a broken header can make numpy raise anything
        if "pickle" not in str(error).lower() and "object" not in str(error).lower():
            raise VisketchError(f"{path}: not a complete numpy file; download it again") from error
        array = sketchrnn.objects(path)
    if not isinstance(array, np.ndarray):
        raise VisketchError(f"{path}: an archive of arrays; rename it to .npz")
    return array


def _rows(array: np.ndarray) -> np.ndarray | None:
    """An array of drawings as rows (drawings, points, columns). Returns None if it is something else."""
    some = array[None] if array.ndim == 2 else array
    if some.ndim != 3 or some.shape[2] not in (3, 5) or not len(some):
        return None
    return some if any(stroke3.is_it(np.asarray(rows)) for rows in some[:SOME]) else None


def _points(rows: np.ndarray, path: Path, alone: bool) -> Iterator[Sketch | VisketchError]:
    for number, one in enumerate(rows, 1):
        yield _sketch(one, str(path) if alone else f"{path}:{number}")


def _sketch(rows: Any, source: str) -> Sketch | VisketchError:
    try:
        rows = stroke3.numbers(rows)
        if rows.ndim != 2 or rows.shape[1] not in (3, 5):
            raise ValueError("not a drawing of rows dx, dy, pen")
        stroke3.check(rows[rows[:, 4] < 1] if rows.shape[1] == 5 else rows)
        return Sketch(strokes=stroke3.strokes(rows), source=source, about={"kind": f"stroke-{rows.shape[1]}"})
    except (ValueError, TypeError) as error:
        return VisketchError(f"{source}: {error}; fix or remove that drawing")


def _objects(array: np.ndarray, path: Path) -> Iterator[Sketch | VisketchError]:
    """The drawings of a list of arrays, or of a dictionary of such lists."""
    content = array.item() if array.ndim == 0 else array
    parts = content.items() if isinstance(content, dict) else [("", content)]
    for name, drawings in parts:
        for number, rows in enumerate(drawings if isinstance(drawings, list | tuple | np.ndarray) else (), 1):
            yield _sketch(rows, f"{path}:{f'{name}:' if name else ''}{number}")


def _one_stroke(array: np.ndarray, path: Path) -> Sketch | VisketchError:
    if not np.isfinite(array).all():
        return VisketchError(f"{path}: a coordinate is not a number; fix the file")
    return Sketch(strokes=(np.array(array, np.float32),), source=str(path), about={"kind": "points"})


def _bitmaps(array: np.ndarray, path: Path, alone: bool) -> Iterator[Sketch | VisketchError]:
    with np.errstate(over="ignore"):  # infinite values are refused below
        some = np.asarray(array[:: max(1, len(array) // SOME)][:SOME]).astype(np.float32)
    low, high = float(np.nanmin(some, initial=0)), float(np.nanmax(some, initial=0))
    ranges = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
    bounds = next(((first, last) for first, last in ranges if first <= low and high <= last), None)
    if bounds is None:
        raise VisketchError(f"{path}: its values are {low:.3g} to {high:.3g}; bitmaps have 0 to 255, 0 to 1 or -1 to 1")
    middle = sum(bounds) / 2
    dark = bool((some > middle).mean() > 0.5)
    for number, levels in enumerate(array, 1):
        source = str(path) if alone else f"{path}:{number}"
        pixels = _ink(np.asarray(levels), bounds, dark)
        if not np.isfinite(levels).all():
            yield VisketchError(f"{source}: a pixel is not a number; remove that drawing")
        elif pixels.any():
            kind = BITMAP if levels.shape == (SIDE, SIDE) else "bitmap"
            yield Sketch(pixels=pixels, source=source, about={"kind": kind})
        else:
            yield VisketchError(f"{source}: blank, it has no ink; give another drawing")


def _ink(levels: np.ndarray, bounds: tuple[float, float], dark: bool) -> np.ndarray:
    """Turn levels (side, side) into ink.

    A small bitmap is enlarged four times. Its grey levels say where the edge of the ink lies between the pixels, and if
    it were thinned at 28 pixels, neighbouring lines would merge. `dark` says that the ink is darker than the paper.
    """
    low, high = bounds
    shares = np.nan_to_num((levels.astype(np.float32) - low) / (high - low))
    shares = 1 - shares if dark else shares
    if len(levels) >= SMALL:
        return shares > 0.5
    from PIL import Image

    side = ENLARGED * len(levels)
    grey = Image.fromarray((255 * shares).round().astype(np.uint8))
    return np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC)) > 100
