"""Pack drawings into a data set (`store.py`)."""

import io
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visketch import parallel as engines
from visketch.atomic import replacing
from visketch.data import folder, store
from visketch.data.arrays import BITMAP
from visketch.data.folder import SPLITS
from visketch.data.read import Problem, expand, read, stop
from visketch.data.store import Store, is_packed, key, split
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch
from visketch.geometry.trace import lines_of

COARSE = 0.7  # simplifying may move a traced stroke by this many pixels of the enlarged bitmap


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
    trace: bool = False,
) -> int:
    """Write the drawings of `sources` (files, folders, globs, packed data sets) to a packed data set and return their
    number.

    `limit` is the most drawings of each class, and `without` names classes to leave out. With the `engine` "ray", a
    cluster reads the files. `progress` is called with the number of files done, the number of files, and the number of
    drawings so far. `training` names further sources: all their drawings go to the training split, whatever their keys
    or folders say. `tally` receives the number of drawings of each source and class. QuickDraw's bitmaps are traced, so
    that all drawings have strokes and are drawn with the same pen; with `trace`, other pictures are traced too.

    `problem` receives the error of each drawing that cannot be read, and the drawing is left out. By default the first
    error ends the packing. The file only appears when everything is written. Raises VisketchError if a source cannot be
    read or has no drawing, or if `path` cannot be written; UsageError if a class to leave out does not exist.
    """
    path = Path(path)
    sources = [*sources, *training]
    files = [FoundFile(file, Path(source), root) for source, root in _rooted(sources) for file in expand([source])]
    for_training = {Path(source) for source in training}
    # These are names and not paths, because they go into the checkpoint and must not reveal the user's folders.
    names = [Path(source).resolve().name for source in sources]
    provenance: dict[str, object] = {"sources": names, "limit": limit}
    if without:
        provenance["without"] = sorted(without)
    counts: Counter[str] = Counter()
    drawings = 0
    with replacing(path) as part:
        with _Writer(part, provenance) as writer:
            for done, found in enumerate(_read_all(files, limit, without, engine, trace)):
                source = files[done].source
                for row in _wanted(files[done], found, limit, without, counts):
                    if isinstance(row, VisketchError):
                        problem(row)
                    elif row.label not in without:
                        drawings += 1
                        if tally is not None:
                            tally[str(source), row.label] += 1
                        if source in for_training:
                            row = row._replace(split=0)
                        writer.add(row)
                        if progress and len(writer.rows) == 0:
                            progress(done, len(files), drawings)
                if progress:
                    progress(done + 1, len(files), drawings)
        if unknown := set(without) - set(counts):
            raise UsageError(f"without {min(unknown)!r}: no such class in {', '.join(map(str, sources))}")
        if not drawings:
            raise VisketchError(f"{', '.join(map(str, sources))}: there is no drawing in it; nothing was packed")
    return drawings


class _Row(NamedTuple):
    """A drawing as it is packed."""

    label: str
    split: int
    key: str
    points: np.ndarray
    lengths: list[int]
    pixels: bytes | None


class FoundFile(NamedTuple):
    """A file to pack, the source in which it was found, and the folder below which folders may name its split."""

    file: Path
    source: Path
    root: Path


FoundRows = Iterable[_Row | VisketchError]  # the drawings of a file, with an error in place of an unreadable one


def _rooted(sources: Sequence[str | Path]) -> Iterator[tuple[str | Path, Path]]:
    """The sources, each with its root. If there are several and all are named after splits, as in `pack data/train
    data/test`, the roots are the folders above, so that the names count.
    """
    named = [folder.split_named(Path(source).resolve().name) for source in sources]
    for source in sources:
        yield source, Path(source).absolute().parent if len(sources) > 1 and all(named) else Path(source)


def _read_all(
    files: list[FoundFile], limit: int | None, without: Collection[str], engine: engines.Engine, trace: bool
) -> Iterator[FoundRows]:
    """The drawings of each file, in the order of the files."""
    if engine == "local":
        yield from map(partial(_rows, trace), files)
        return
    prepare = partial(_rows_on_ray, limit, without, trace)
    rows: Iterator[tuple[int, _Row | VisketchError | None]]
    rows = engines.on_ray(enumerate(files), prepare, None, store.ROWS)
    for _, group in groupby(rows, key=itemgetter(0)):
        yield (row for _, row in group if row is not None)


def _rows_on_ray(
    limit: int | None, without: Collection[str], trace: bool, item: tuple[int, FoundFile]
) -> Iterator[tuple[int, _Row | VisketchError | None]]:
    """The drawings of a file that may be used, each with the number of the file. None comes first, so that every file
    yields something.
    """
    number, file = item
    yield number, None
    yield from ((number, row) for row in _wanted(file, _rows(trace, file), limit, without, Counter()))


def _wanted(
    file: FoundFile, found: FoundRows, limit: int | None, without: Collection[str], counts: Counter[str]
) -> FoundRows:
    """The drawings of a file whose classes do not have enough drawings yet.

    The first drawing of a class that is left out is also yielded, to show that the class exists. A file that is named
    after a class has that class: once the class is full, the rest of the file is not read.
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


def _class(file: FoundFile) -> str:
    """The class that a file is named after, or an empty string."""
    return "" if is_packed(file.file) else folder.label(file.file)


def _rows(trace: bool, file: FoundFile) -> FoundRows:
    named = _class(file)
    problems: list[VisketchError] = []
    for sketch, part in _drawings(file.file, file.root, problems.append):
        yield from problems
        problems.clear()
        name = key(sketch)
        if sketch.about.get("kind") == BITMAP:
            sketch = _traced(sketch)
        elif trace and sketch.pixels is not None:
            sketch = Sketch(strokes=lines_of(sketch), label=sketch.label, source=sketch.source)
        strokes = sketch.strokes or ()
        points = np.concatenate([np.empty((0, 2), np.float32), *strokes]).astype(np.float32).ravel()
        pixels = None if sketch.pixels is None else _encode(sketch.pixels)
        lengths = [len(stroke) for stroke in strokes]
        place = SPLITS.index(part or split(name))  # as the data set says, or else as follows from the key
        label = sketch.label or (folder.label(file.file, alone=True) if sketch.source == str(file.file) else named)
        yield _Row(label, place, name, points, lengths, pixels)
    yield from problems


def _traced(sketch: Sketch) -> Sketch:
    """A small picture as the strokes that drew it, with few points, since a bitmap is not more exact."""
    from skimage.measure import approximate_polygon

    assert sketch.pixels is not None
    lines = (approximate_polygon(stroke, COARSE) for stroke in lines_of(sketch))
    return Sketch(strokes=tuple(line.astype(np.float32) for line in lines), label=sketch.label, source=sketch.source)


def _drawings(file: Path, root: Path, problem: Problem) -> Iterator[tuple[Sketch, str | None]]:
    """The drawings of a file, each with its split if the file says one. Drawings of a packed data set keep theirs."""
    if is_packed(file):
        packed = Store(file)
        yield from ((packed[row], SPLITS[packed.split[row]]) for row in range(len(packed)))
    else:
        part = folder.split(file, root)
        yield from ((sketch, part) for sketch in read(file, problem))


class _Writer:
    """The file being written. It takes rows and writes record batches of store.ROWS rows."""

    def __init__(self, path: Path, provenance: dict) -> None:
        self.schema = store.SCHEMA.with_metadata({"format": store.FORMAT, "provenance": json.dumps(provenance)})
        # Labels are numbered in the order in which they appear. New labels are written as a delta before their batch.
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
