"""Drawings → a packed data set (`store`)."""

import io
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visketch import parallel as engines
from visketch.data import folder, store
from visketch.data.arrays import BITMAP
from visketch.data.folder import SPLITS
from visketch.data.read import Problem, expand, read, stop
from visketch.data.store import Store, is_packed, key, split
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch

COARSE = 0.7  # pixels of an enlarged bitmap by which a traced stroke's points may be aside


def pack(
    sources: list[str | Path],
    path: str | Path,
    limit: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    problem: Problem = stop,
    without: Collection[str] = (),
    engine: engines.Engine = "local",
    training: Sequence[str | Path] = (),
    tally: Counter[tuple[str, str]] | None = None,
) -> int:
    """Write the drawings of `sources` (files, folders, globs, packed data sets) to a packed data set; returns how many.

    `limit`: drawings per class at most. `without`: classes that are left out. `engine`: "ray" has a cluster read.
    `progress`: called with files done, files, drawings so far. `training`: further sources, all for training, whatever
    their keys or folders say. `tally`: is told how many came in, by source and class.
    QuickDraw's bitmaps are traced, so that all drawings have strokes, which one pen draws.
    `problem`: gets the error of each drawing that cannot be read, which is then left out; by default the first one ends
    the packing. Nothing is at `path` before everything is written.
    Raises VisketchError if a source cannot be read or holds no drawing, or `path` cannot be written; UsageError if a
    class to leave out is not there.
    """
    path = Path(path)
    sources = [*sources, *training]
    files = [(file, Path(source)) for source in sources for file in expand([source])]
    for_training = {Path(source) for source in training}
    # Names, not paths: this travels into the weights, and nobody's folders are anybody's business.
    names = [Path(source).resolve().name for source in sources]
    provenance: dict[str, object] = {"sources": names, "limit": limit}
    if without:
        provenance["without"] = sorted(without)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    counts: Counter[str] = Counter()
    drawings = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _Writer(temporary, provenance) as writer:
            for done, found in enumerate(_read_all(files, limit, without, engine)):
                for row in _wanted(files[done], found, limit, without, counts):
                    if isinstance(row, VisketchError):
                        problem(row)
                    elif row.label not in without:
                        drawings += 1
                        if tally is not None:
                            tally[str(files[done][1]), row.label] += 1
                        if files[done][1] in for_training:
                            row = row._replace(split=0)
                        writer.add(row)
                        if progress and len(writer.rows) == 0:
                            progress(done, len(files), drawings)
                if progress:
                    progress(done + 1, len(files), drawings)
        if unknown := set(without) - set(counts):
            raise UsageError(f"without {min(unknown)!r}: no such class in {', '.join(map(str, sources))}")
        if not drawings:
            raise VisketchError(f"{', '.join(map(str, sources))}: no drawing in it, nothing was packed")
        os.replace(temporary, path)
    except OSError as error:
        raise VisketchError(f"{path}: cannot be written ({error.strerror or error}), choose another place") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return drawings


class _Row(NamedTuple):
    """A drawing as it is packed."""

    label: str
    split: int
    key: str
    points: np.ndarray
    lengths: list[int]
    pixels: bytes | None


RootedFile = tuple[Path, Path]  # and the source that it was found in
FoundRows = Iterable[_Row | VisketchError]  # what is in a file, or why it cannot be read


def _read_all(
    files: list[RootedFile], limit: int | None, without: Collection[str], engine: engines.Engine
) -> Iterator[FoundRows]:
    """What is in each file, in their order."""
    if engine == "local":
        yield from map(_rows, files)
        return
    prepare = partial(_rows_on_ray, limit, without)
    rows: Iterator[tuple[int, _Row | VisketchError | None]]
    rows = engines.on_ray(enumerate(files), prepare, None, store.ROWS)
    for _, group in groupby(rows, key=itemgetter(0)):
        yield (row for _, row in group if row is not None)


def _rows_on_ray(
    limit: int | None, without: Collection[str], item: tuple[int, RootedFile]
) -> Iterator[tuple[int, _Row | VisketchError | None]]:
    """What can be wanted of a file, with its number; None first, so that a file has something in any case."""
    number, file = item
    yield number, None
    yield from ((number, row) for row in _wanted(file, _rows(file), limit, without, Counter()))


def _wanted(
    file: RootedFile, found: FoundRows, limit: int | None, without: Collection[str], counts: Counter[str]
) -> FoundRows:
    """What there is not yet enough of; of classes to be left out the first, so that they are known to be there.

    A file that is named for a class is of that class: once it has enough, the rest is not even read.
    """
    named = _class(file)

    def enough(label: str) -> bool:
        return counts[label] == (1 if label in without else limit)

    for row in () if enough(named) else found:
        if isinstance(row, VisketchError):
            yield row
        elif not enough(row.label):
            counts[row.label] += 1
            yield row
        elif row.label == named:
            return


def _class(file: RootedFile) -> str:
    """The class that a file is named for, if any."""
    return "" if is_packed(file[0]) else folder.label(file[0])


def _rows(file: RootedFile) -> FoundRows:
    named = _class(file)
    problems: list[VisketchError] = []
    for sketch, part in _drawings(*file, problems.append):
        yield from problems
        problems.clear()
        name = key(sketch)
        if sketch.about.get("kind") == BITMAP:
            sketch = _traced(sketch)
        strokes = sketch.strokes or ()
        points = np.concatenate([np.empty((0, 2), np.float32), *strokes]).astype(np.float32).ravel()
        pixels = None if sketch.pixels is None else _encode(sketch.pixels)
        lengths = [len(stroke) for stroke in strokes]
        place = SPLITS.index(part or split(name))  # what the data set says, else what the key does
        label = sketch.label or (folder.label(file[0], alone=True) if sketch.source == str(file[0]) else named)
        yield _Row(label, place, name, points, lengths, pixels)
    yield from problems


def _traced(sketch: Sketch) -> Sketch:
    """A small picture as the strokes that drew it, with few points: a bitmap says them no more exactly."""
    from skimage.measure import approximate_polygon

    from visketch.geometry.trace import from_pixels, trace

    assert sketch.pixels is not None
    lines = (approximate_polygon(stroke, COARSE) for stroke in trace(from_pixels(sketch.pixels)).strokes)
    return Sketch(strokes=tuple(line.astype(np.float32) for line in lines), label=sketch.label, source=sketch.source)


def _drawings(file: Path, root: Path, problem: Problem) -> Iterator[tuple[Sketch, str | None]]:
    """The drawings of a file, and the split if it says one; those of a packed data set keep theirs."""
    if is_packed(file):
        packed = Store.open(file)
        yield from ((packed[row], SPLITS[packed.split[row]]) for row in range(len(packed)))
    else:
        part = folder.split(file, root)
        yield from ((sketch, part) for sketch in read(file, problem))


class _Writer:
    """The file being written: rows in, record batches of store.ROWS rows out."""

    def __init__(self, path: Path, provenance: dict) -> None:
        self.schema = store.SCHEMA.with_metadata({"format": store.FORMAT, "provenance": json.dumps(provenance)})
        # Labels are numbered as they come; what a batch adds to the dictionary is written as a delta before it.
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self.sink = pa.OSFile(str(path), "wb")
        self.file = pa.ipc.new_file(self.sink, self.schema, options=options)
        self.labels: dict[str, int] = {}
        self.rows: list[tuple] = []

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        if self.rows:
            self.flush()
        self.file.close()
        self.sink.close()

    def add(self, row: _Row) -> None:
        number = self.labels.setdefault(row.label, len(self.labels))
        self.rows.append((number, row.split, row.key, row.points, row.lengths, row.pixels))
        if len(self.rows) == store.ROWS:
            self.flush()

    def flush(self) -> None:
        label, *columns = zip(*self.rows, strict=True)
        dictionary = pa.array(list(self.labels), pa.string())
        arrays = [pa.DictionaryArray.from_arrays(pa.array(label, pa.uint16()), dictionary)]
        types = [field.type for field in self.schema][1:]
        arrays += [pa.array(column, type) for column, type in zip(columns, types, strict=True)]
        self.file.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self.rows = []


def _encode(pixels: np.ndarray) -> bytes:
    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    return png.getvalue()
