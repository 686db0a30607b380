"""Scan files for drawings to index, and render the drawings as fields.

This module does not import torch, so that the reading processes of a cluster start quickly.
"""

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from visketch.config import SketchConfig
from visketch.data import made, store
from visketch.data.named import place_of, source_of
from visketch.data.read import Problem, read
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.search.database import Database, Entry, Hit


@dataclass(frozen=True)
class ScannedFile:
    """A file, with the size and the time that it had when it was listed."""

    path: str
    size: int
    changed: int  # in nanoseconds, the later of its modification and status change, since a copy may keep the former


def listed(path: str) -> ScannedFile | None:
    """The file with its size and time. Returns None if it is gone."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return ScannedFile(path, facts.st_size, max(facts.st_mtime_ns, facts.st_ctime_ns))


@dataclass(frozen=True)
class ScannedDrawing:
    """A drawing of a file with its field or vector, or an error. If it has neither, it marks the end of the file."""

    file: ScannedFile
    entry: Entry | None = None
    sketch: Sketch | None = None
    field: np.ndarray | None = None  # (h h)
    vector: np.ndarray | None = None  # (e)
    problem: VisketchError | None = None  # the error, which a blank drawing has too
    total: int | None = None  # the number of drawings in the file, if known

    @property
    def is_end(self) -> bool:
        return self.entry is None and self.problem is None


def look(file: ScannedFile) -> Iterator[ScannedDrawing]:
    """All drawings and errors of a file.

    A sheet that visketch wrote is not a drawing. Such sheets occur because a gallery may be what visketch drew.
    """
    if made.is_sheet(Path(file.path)):
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
    """All drawings and errors of a file, with fields in place of the drawings whose keys are not in `known`."""
    for seen in look(file):
        new = seen.entry is not None and seen.entry.key not in known
        yield replace(drawn(shape, seen) if new else seen, sketch=None)


def drawn(shape: SketchConfig, seen: ScannedDrawing) -> ScannedDrawing:
    """A scanned drawing with its field, or with the error if it has none."""
    if seen.sketch is None:
        return seen
    try:
        return replace(seen, field=sdf.render(seen.sketch, shape))
    except VisketchError as error:  # the drawing is blank
        return replace(seen, problem=error)


def drawings(file: Path, problem: Problem) -> Iterator[tuple[str, Sketch, int | None]]:
    """The drawings of a file or a packed data set.

    Each comes with what is shown after the name of the file, and with the number of drawings (None if unknown).
    """
    if store.is_packed(file):
        packed = Store(file)
        yield from ((f"#{row + 1}", packed[row], len(packed)) for row in range(len(packed)))
        return
    for sketch in read(file, problem):
        yield place_of(sketch, file), sketch, None


def outdated(hits: Iterable[Hit], database: Database) -> dict[str, str]:
    """The files of hits that are gone or have changed since they were indexed, each with which of the two it is."""
    found: dict[str, str] = {}
    for file in dict.fromkeys(hit.file for hit in hits):
        then = database.done_file(file)
        try:
            now = os.stat(file)
        except OSError:
            found[file] = "is gone"
            continue
        # The time of its status does not count, since a copy has a new one
        if then and (now.st_size != then[0] or now.st_mtime_ns > then[1]):
            found[file] = "has changed"
    return found


class HitDrawings:
    """The drawings of search results, read again. A file is read once for all its hits, when the first is taken."""

    def __init__(self, hits: Iterable[Hit]) -> None:
        self.hits: dict[str, list[Hit]] = {}
        for hit in hits:
            self.hits.setdefault(hit.file, []).append(hit)
        self.waiting: dict[str, dict[str, Sketch]] = {}  # by file and name

    def take(self, hit: Hit) -> Sketch:
        """The drawing of one of the hits. It is not kept, since pictures are large, so each can be taken once.

        Raises VisketchError if it is gone.
        """
        if hit.file not in self.waiting:
            self.waiting[hit.file] = _picked(Path(hit.file), self.hits[hit.file])
        found = self.waiting[hit.file].pop(hit.name, None)
        if found is None:
            why = "has changed" if Path(hit.file).exists() else "is gone"
            raise VisketchError(f"{hit.file}: {why} since it was indexed; index it again")
        return found


def _picked(file: Path, hits: Sequence[Hit]) -> dict[str, Sketch]:
    """The drawings of the hits of one file by their names, without those that are gone. Raises VisketchError if the
    file is a damaged data set.
    """
    if store.is_packed(file):
        packed = Store(file)
        return {hit.name: packed[hit.place] for hit in hits if hit.place < len(packed)}
    names = {source_of(hit.name, file): hit.name for hit in hits}
    found = islice(read(file, lambda error: None, names), len(names))  # it stops after the last one
    return {names[sketch.source]: sketch for sketch in found}
