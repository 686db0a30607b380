"""Write fields as PNG, SVG, ndjson or animations, in files that appear complete or not at all."""

import math
import os
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visketch.atomic import replacing
from visketch.errors import UsageError, VisketchError
from visketch.render.files import trace, write_png, write_sheet, write_svg
from visketch.render.grey import picture

if TYPE_CHECKING:
    from torch import Tensor

    from visketch.geometry.trace import Trace

PNG = (".png",)
STROKES = (".svg", ".ndjson")
KINDS = (*PNG, *STROKES)  # the formats in which sketches are written
MOVING = (".gif", ".webp")  # formats that are always animations; with --animate, .svg and .png are too
DRAWINGS = (*KINDS, *MOVING)
OTHERS = {*MOVING, ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pdf", ".eps", ".json", ".txt"}
ENDINGS = {*OTHERS, *DRAWINGS}  # what `check_out` knows
SHEET = 8192  # the most pixels of a sheet's side

drawn_once = lru_cache(maxsize=1)(picture)  # a sketch goes to the sheet and then to its own file


class Sheet:
    """Drawings in rows of `columns`, each `side` pixels wide, or less if the sheet would be too large.

    With `named`, there is space for words below each drawing.
    """

    def __init__(self, total: int, columns: int, side: int, named: bool = False) -> None:
        rows = math.ceil(total / columns)
        self.columns = columns
        self.side = max(1, min(side, SHEET // max(rows, columns)))
        self.gap, self.letters = max(1, self.side // 16), max(10, self.side // 12)  # pixels
        import numpy as np

        self.wide, self.high = self.side + self.gap, self.side + self.gap + (3 * self.letters // 2 if named else 0)
        self.pixels = np.full((rows * self.high + self.gap, columns * self.wide + self.gap), 255, np.uint8)

    def add(self, number: int, canvas: "Tensor", clamp: float, drawn: "Trace | None" = None) -> None:
        """Put a sketch in its place: a field (h h), and the strokes `drawn` as in `picture`."""
        top, left = self._corner(number)
        self.pixels[top : top + self.side, left : left + self.side] = drawn_once(canvas, clamp, self.side, drawn)

    def name(self, number: int, words: str, count: int) -> None:
        """Write words below a drawing. They apply to `count` drawings, this one and the next ones."""
        import numpy as np
        from PIL import Image, ImageDraw, ImageFont

        top, left = self._corner(number)
        wide = min(count, self.columns - number % self.columns) * self.wide - self.gap
        page = Image.new("L", (wide, self.high - self.wide), 255)
        ImageDraw.Draw(page).text((0, 0), words, 0, ImageFont.load_default(self.letters))
        top += self.side
        self.pixels[top : top + page.height, left : left + wide] = np.asarray(page)

    def _corner(self, number: int) -> tuple[int, int]:
        row, column = divmod(number, self.columns)
        return row * self.high + self.gap, column * self.wide + self.gap

    def write(self, path: Path, facts: dict) -> None:
        write_sheet(path, self.pixels, facts)


class SheetOfStrokes:
    """Drawings in rows, like `Sheet`, but as strokes on one SVG page, with a group for each drawing."""

    def __init__(self, total: int, columns: int, side: int) -> None:
        self.rows, self.columns, self.side = math.ceil(total / columns), columns, side
        self.gap = max(1, side // 16)
        self.drawings: list[Trace] = []

    def add(self, number: int, canvas: "Tensor", clamp: float, drawn: "Trace | None" = None) -> None:
        self.put(number, trace(canvas, clamp, self.side, drawn))

    def put(self, number: int, drawing: "Trace") -> None:
        """Put strokes, which are on a page of side `side`, in their place."""
        row, column = divmod(number, self.columns)
        x, y = (float(place * (self.side + self.gap) + self.gap) for place in (column, row))
        self.drawings.append(drawing.moved(x, y))

    def write(self, path: Path, facts: dict, animate: bool = False) -> None:
        """Write the sheet. With `animate`, all drawings are drawn at once, stroke by stroke."""
        wide, high = (count * (self.side + self.gap) + self.gap for count in (self.columns, self.rows))
        if animate:
            from visketch.render.animation import write_page

            write_page(path, self.drawings, wide, high, facts)
        else:
            write_svg(path, self.drawings, wide, high, facts)


def columns_for(classes: int, n: int) -> int:
    """The number of pictures in a row.

    There are about as many columns as rows. If there are few pictures of each class, a row has all pictures of one
    class, or of several.
    """
    return n * max(1, round(math.sqrt(classes / n))) if classes > 1 and n <= 16 else math.ceil(math.sqrt(classes * n))


def write_sketch(
    path: Path,
    canvas: "Tensor",
    clamp: float,
    side: int,
    facts: dict,
    drawn: "Trace | None" = None,
    animate: bool = False,
    given: int = 0,
) -> None:
    """Write one field (h h) in the format of the suffix of `path`: PNG or SVG, `side` pixels wide, or one line of
    ndjson.

    The first `given` strokes are those that were given: an SVG has them in a group of their own. With `animate`, the
    strokes appear one after another, and the given ones are there from the beginning.
    `facts` are written into the file and say how the sketch was made. If they have a "class", it names what the sketch
    shows. `drawn` is as in `trace`. Raises VisketchError.
    """
    if animate:
        from visketch.render.animation import write_animation

        write_animation(path, [trace(canvas, clamp, side, drawn)], side, side, facts, given=given)
    elif path.suffix.lower() == ".png":
        write_png(path, drawn_once(canvas, clamp, side, drawn), facts)
    elif path.suffix.lower() == ".svg":
        write_svg(path, [trace(canvas, clamp, side, drawn)], side, side, facts, given=given)
    else:
        with Lines(path) as lines:
            lines.add(trace(canvas, clamp, side, drawn), facts.get("class"))


class Lines:
    """An ndjson file that is written drawing by drawing and gets its name when it is complete.

    If there are no drawings, there is no file. Raises VisketchError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.count, self.stack = path, 0, ExitStack()

    def __enter__(self) -> "Lines":
        self.part = self.stack.enter_context(replacing(self.path))
        return self

    def add(self, drawing: "Trace", word: str | None) -> None:
        """Add a drawing. A drawing without strokes is left out, since the format cannot hold it."""
        from visketch.data import write

        if drawing.strokes:
            if not self.count:
                self.file = self.stack.enter_context(self.part.open("w", encoding="utf-8"))
            self.file.write(write.ndjson(drawing.strokes, word))
            self.count += 1

    def __exit__(self, *failed: Any) -> None:
        self.stack.__exit__(*failed)


def check_out(out: Path, kinds: tuple[str, ...], folders: bool = True) -> Path:
    """Check, before any work is done, that a file of one of these kinds can be written; with `folders`, also a folder
    of them.

    Raises VisketchError if it cannot be written, UsageError for anything else.
    """
    names = " or ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
    mend = f"name a {names} file{' or a folder' if folders else ''}"
    if out.suffix.lower() in ENDINGS - {*kinds}:
        raise UsageError(f"{out}: {out.suffix[1:].upper()} is not written; {mend}")
    if not folders and (out.is_dir() or out.suffix.lower() not in kinds):
        raise UsageError(f"{out}: one file is written; {mend}")
    if out.exists() and not out.is_dir() and out.suffix.lower() not in kinds:
        raise VisketchError(f"{out}: this is a file; {mend}")
    there = next(place for place in (out, *out.absolute().parents) if place.exists())
    if there != out and not there.is_dir():
        raise VisketchError(f"{there}: this is a file and not a folder; choose another --out")
    if not os.access(there, os.W_OK):
        raise VisketchError(f"{there}: cannot be written (no permission, or a read-only disk); choose another --out")
    return out


def is_picture(out: Path) -> bool:
    """Whether `out` means one file rather than a folder of files."""
    return out.suffix.lower() in DRAWINGS and not out.is_dir()


def moves(suffix: str, animate: bool, asked_by: object = "--animate") -> bool:
    """Whether an animation is written. Raises UsageError if one is asked for in a format that cannot move."""
    if animate and suffix == ".ndjson":
        raise UsageError(f"{asked_by}: ndjson has strokes and no motion; name a .svg, .gif, .webp or .png file")
    return animate or suffix in MOVING


def suffix_of(out: Path, kind: str | None) -> str:
    """The format to write: that of the file name, or otherwise --format. Raises UsageError if the two differ."""
    if not is_picture(out):
        return f".{kind or 'png'}"
    if kind and out.suffix.lower() != f".{kind}":
        raise UsageError(
            f"{out}: --format {kind} is for folders, and a file name has its own format; leave one of them out"
        )
    return out.suffix.lower()
