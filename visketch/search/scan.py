"""Scan files for drawings to index, and render their fields.

Imports no torch, so that the processes of a cluster that read files start quickly.
"""

import json
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from visketch.config import SketchConfig
from visketch.data import store
from visketch.data.named import place_of
from visketch.data.read import Problem, read
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.search.database import Entry


@dataclass(frozen=True)
class ScannedFile:
    """A file with its size and time at the moment of listing."""

    path: str
    size: int
    changed: int  # in nanoseconds, the later of modification and status change: a copy may keep the former


def listed(path: str) -> ScannedFile | None:
    """The file; None if it is gone."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return ScannedFile(path, facts.st_size, max(facts.st_mtime_ns, facts.st_ctime_ns))


@dataclass(frozen=True)
class ScannedDrawing:
    """A drawing of a file with its field or vector, or an error, or (neither) the end of the file."""

    file: ScannedFile
    entry: Entry | None = None
    sketch: Sketch | None = None
    field: np.ndarray | None = None  # (h h)
    vector: np.ndarray | None = None  # (e)
    problem: VisketchError | None = None  # also for a blank drawing
    total: int | None = None  # the number of drawings in the file, if known

    @property
    def is_end(self) -> bool:
        return self.entry is None and self.problem is None


def look(file: ScannedFile) -> Iterator[ScannedDrawing]:
    """All drawings and errors of a file. A sheet that visketch wrote is no drawing: a gallery may be what it drew."""
    if _is_sheet(Path(file.path)):
        yield ScannedDrawing(file)
        return
    problems: list[VisketchError] = []
    for place, (name, sketch, total) in enumerate(drawings(Path(file.path), problems.append)):
        yield from (ScannedDrawing(file, problem=problem) for problem in problems)
        problems.clear()
        yield ScannedDrawing(file, Entry(file.path, place, name, sketch.label, store.key(sketch)), sketch, total=total)
    yield from (ScannedDrawing(file, problem=problem) for problem in problems)
    yield ScannedDrawing(file)


def look_and_draw(shape: SketchConfig, known: Container[str], file: ScannedFile) -> Iterator[ScannedDrawing]:
    """The same with fields in place of the drawings, for those whose key is not known."""
    for seen in look(file):
        new = seen.entry is not None and seen.entry.key not in known
        yield replace(drawn(shape, seen) if new else seen, sketch=None)


def drawn(shape: SketchConfig, seen: ScannedDrawing) -> ScannedDrawing:
    """With the field of the drawing, or the error if it has none."""
    if seen.sketch is None:
        return seen
    try:
        return replace(seen, field=sdf.render(seen.sketch, shape))
    except VisketchError as error:  # it is blank
        return replace(seen, problem=error)


def drawings(file: Path, problem: Problem) -> Iterator[tuple[str, Sketch, int | None]]:
    """The drawings of a file or packed data set: what is displayed after the name of the file, the drawing, and the
    number of drawings (None if unknown).
    """
    if store.is_packed(file):
        packed = Store.open(file)
        yield from ((f"#{row + 1}", packed[row], len(packed)) for row in range(len(packed)))
        return
    for sketch in read(file, problem):
        yield place_of(sketch, file), sketch, None


def drawing(file: Path, place: int) -> Sketch:
    """One drawing, read again. Raises VisketchError if it is gone."""
    if store.is_packed(file):
        packed = Store.open(file)
        found = packed[place] if place < len(packed) else None
    else:
        found = next(islice(read(file, lambda error: None), place, None), None)
    if found is None:
        raise VisketchError(f"{file}: has changed since it was indexed; index it again")
    return found


def _is_sheet(path: Path) -> bool:
    """Whether a file is a sheet of visketch: a picture of drawings that are elsewhere."""
    from PIL import Image

    if path.suffix.lower() != ".png":
        return False
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            about = picture.info
            return about.get("Software") == "visketch" and bool(json.loads(about.get("Description", "{}")).get("sheet"))
    except (OSError, SyntaxError, ValueError, AttributeError):  # it is no such file
        return False
