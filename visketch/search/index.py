"""An index of drawings on disk, and the drawings most similar to a query."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float

from visketch import parallel
from visketch.data.files import cache_folder
from visketch.data.folder import CATALOGUE
from visketch.data.read import Problem, expand
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.search import matrix
from visketch.search.database import Database, GraphRow, Hit
from visketch.search.features import features, mark
from visketch.search.indexer import BATCH, Indexer, OnProgress, embedder
from visketch.search.scan import ScannedDrawing, ScannedFile, listed, look, look_and_draw

SPAN = 1 << 17  # the number of ids in one neighbour file, which is in memory while it is built
EXACT = 200_000  # up to this many vectors, a query is compared with all (0.6 s); above, usearch builds graphs
SUFFIXES = {"exact": ".vectors", "graph": ".usearch"}
CANDIDATES = (
    64  # each neighbour file gives at least this many, and four times the results; they are then ranked exactly
)
NEIGHBOURS = re.compile(rf"\.?\d+-\d+-\d+({'|'.join(map(re.escape, SUFFIXES.values()))})(\.\d+\.part)?")
LOCK = "lock"
BUSY = "another process is writing it; wait until it has finished"


@dataclass(frozen=True)
class Update:
    """What an update of an index has done."""

    embedded: int  # drawings
    files: int  # new or changed ones
    removed: int  # files
    unread: int  # drawings or files that could not be read in this update
    unread_before: dict[str, int] = field(default_factory=dict)  # the same for each file that has not changed since


def usual(source: Path) -> Path:
    """The default folder for the index of a source. It is in the user's cache, never beside the drawings."""
    place = source.resolve()
    return cache_folder() / f"{place.name or 'root'}-{sha256(os.fsencode(place)).hexdigest()[:12]}.index"


def is_index(path: Path) -> bool:
    return (path / CATALOGUE).is_file()


class Index:
    """An open index: a folder with an SQLite database, and with neighbour files made from its vectors, one for each
    span of ids.

    A neighbour file is a matrix that is compared completely (`matrix.py`), or in a large index a graph (`ann.py`).
    """

    def __init__(self, folder: Path, model: SketchModel, create: bool = False, renew: bool = False) -> None:
        """Open the index in a folder. With `create`, an empty one is made if there is none; with `renew` too, one that
        is there is deleted first.

        Raises VisketchError if there is no index, if it was made with other weights, and if one to delete is being
        written.
        """
        self.folder, self.model = folder, model
        wanted = mark(model)
        if create:
            if not is_index(folder):
                check_place(folder)
            elif renew:
                remove(folder)
            folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(folder / CATALOGUE, wanted if create else None)
        for part, made in self.database.about.items():
            if wanted.get(part) != made:
                raise VisketchError(
                    f"{folder}: was made with other weights ({part} {made}, here {wanted.get(part)}); rebuild it "
                    "with `visketch index --renew`, or name their --checkpoint"
                )
        self.lock = FileLock(folder / LOCK, timeout=0)
        self.neighbours: dict[GraphRow, Any] = {}  # the files that are mapped into memory

    def update(
        self,
        source: Path,
        problem: Problem,
        on_progress: OnProgress = lambda done, total: None,
        engine: parallel.Engine = "local",
        device: str = "auto",
    ) -> Update:
        """Embed the new and changed drawings of `source` (a folder, a file of drawings, or a data set), and remove
        those that are gone.

        The update can be interrupted at any point, even killed: finished work is kept, and the next update continues.
        `problem` receives the error of each drawing that cannot be read. With the `engine` "ray", a cluster reads and
        embeds the drawings, on `device`. Raises VisketchError.
        """
        with self._writing():
            clerk = Indexer(self.database, self.model, problem)
            # A link keeps its name in the gallery
            files = [str(file.parent.resolve() / file.name) for file in expand([source])]
            known = self.database.done()
            there = filter(None, map(listed, files))
            changed = [file for file in there if known.get(file.path) != (file.size, file.changed)]
            done = len(files) - len(changed)
            for seen in self._look(changed, engine, device):
                clerk(seen)
                done += seen.is_end
                if len(files) > 1:
                    on_progress(done, len(files))
                elif seen.entry:
                    on_progress(seen.entry.place + 1, seen.total)
            clerk.flush()
            removed = self.database.keep(files) if clerk.files or len(known) != len(files) else 0
            self._build()
        self.neighbours = {}
        before = {file: unread for file, unread in self.database.unread().items() if file not in clerk.unread}
        return Update(clerk.embedded, clerk.files, removed, clerk.unread.total(), before)

    def _look(self, files: list[ScannedFile], engine: parallel.Engine, device: str) -> Iterator[ScannedDrawing]:
        if engine == "local":
            return chain.from_iterable(map(look, files))
        prepare = partial(look_and_draw, self.model.config.reading, frozenset(self.database.keys()))
        make_worker = partial(embedder, self.model.folder, mark(self.model))
        return parallel.on_ray(files, prepare, make_worker, BATCH, device=device)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self.lock:
                yield
        except Timeout:
            raise VisketchError(f"{self.folder}: {BUSY}") from None

    @property
    def kind(self) -> str:
        """The kind of neighbour files that an index of this size has."""
        large = self.database.different() > EXACT
        return "graph" if large and find_spec("usearch") else "exact"

    def _build(self) -> None:
        """Bring the neighbour files up to date with the vectors of the database."""
        rows, kind = self.database.graphs(), self.kind
        for number in sorted({*rows, *range(self.database.last() // SPAN + 1)}):
            self._build_one(number, rows.get(number), kind)
        kept = {row.name for row in self.database.graphs().values()}
        for file in _neighbour_files(self.folder):
            if file.name not in kept:
                file.unlink(missing_ok=True)

    def _build_one(self, number: int, row: GraphRow | None, kind: str) -> None:
        """Bring one neighbour file, of this kind, up to date.

        A matrix is rewritten when a vector is new or removed. A graph gets the vectors that it lacks; removed vectors
        stay in it until they are more than a fifth.
        """
        first, end = number * SPAN, (number + 1) * SPAN
        vectors, last = self.database.span(first, end)
        whole = row is not None and _whole(self.folder, row)
        if not vectors:
            if row:
                self.database.drop_graph(number)
        elif kind == "exact":
            if row is None or not whole or not self._is_current(row, vectors, last):
                file = self.folder / f"{number:04}-{last}-{vectors}{SUFFIXES['exact']}"
                count = matrix.write(file, self.database.vectors(first, end))
                self.database.put_graph(GraphRow(number, file.name, file.stat().st_size, count, last))
        elif row and whole and row.name.endswith(SUFFIXES["graph"]):
            new, _ = self.database.span(row.last + 1, end)
            if 4 * (row.vectors + new) > 5 * vectors:
                self._grow(None, number, first, last)
            elif new:
                self._grow(row, number, row.last + 1, last)
        else:
            self._grow(None, number, first, last)

    def _is_current(self, row: GraphRow, vectors: int, last: int) -> bool:
        return row.name.endswith(SUFFIXES["exact"]) and (row.vectors, row.last) == (vectors, last)

    def _grow(self, row: GraphRow | None, number: int, first: int, last: int) -> None:
        from visketch.search import ann

        new = self.folder / f"{number:04}-{last}-{first}{SUFFIXES['graph']}"
        old = self.folder / row.name if row else None
        count = ann.grow(old, new, self.database.vectors(first, last + 1))
        self.database.put_graph(GraphRow(number, new.name, new.stat().st_size, count, last))

    def open(self) -> None:
        """Map the neighbour files into memory.

        Files can be out of date because an update was killed. They are built first, unless an update is running. Graphs
        are rebuilt as matrices if usearch is not installed here.
        """
        rows, kind = self.database.graphs().values(), self.kind
        last = max((row.last for row in rows), default=0)
        if last < self.database.last() or not all(self._readable(row, kind) for row in rows):
            with suppress(Timeout), self.lock:
                self._build()
            rows = self.database.graphs().values()
        self.neighbours = {row: self._mapped(self.folder / row.name) for row in rows if self._readable(row, kind)}

    def _readable(self, row: GraphRow, kind: str) -> bool:
        return _whole(self.folder, row) and (row.name.endswith(SUFFIXES["exact"]) or kind == "graph")

    @staticmethod
    def _mapped(file: Path) -> Any:
        if file.suffix == SUFFIXES["exact"]:
            return matrix.VectorMatrix(file)
        from visketch.search import ann

        return ann.NeighbourGraph(file)

    def bytes(self) -> int:
        """The size of the index on disk, in bytes."""
        return sum(file.stat().st_size for file in _own_files(self.folder))

    def search(self, query: Sketch, n: int) -> list[Hit]:
        """The n most similar drawings, the most similar first. Raises VisketchError if the query is blank."""
        return self.nearest(
            features(self.model, self.model.fields([query], self.model.config.reading))[0].cpu().numpy(), n
        )

    def nearest(self, vector: Float[np.ndarray, " e"], n: int) -> list[Hit]:
        """The n drawings whose vectors are nearest to a vector of length 1.

        What another process has added since the last search is found too, once its update has finished.
        """
        if not self.neighbours or self.neighbours.keys() != set(self.database.graphs().values()):
            self.open()
        neighbours = self.neighbours.values()
        wanted, most = max(CANDIDATES, 4 * n), sum(map(len, neighbours))
        while True:
            ids = [some.nearest(vector, wanted) for some in neighbours]
            hits = self.database.rank(vector, np.concatenate([np.empty(0, np.int64), *ids]), n)
            if len(hits) == n or wanted >= most:
                return hits
            wanted *= 2  # many of them have been removed


def alike(hits: list[Hit]) -> list[Hit]:
    """The hits with a similarity above 0. If there are none, all hits."""
    return [hit for hit in hits if hit.similarity > 0] or hits


def check_place(folder: Path) -> None:
    """Raises VisketchError if a folder for a new index has something else in it, or is a file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "folder" if folder.is_dir() else "file"
        raise VisketchError(f"{folder}: the {what} exists and is not an index; choose another --out")


def remove(folder: Path) -> None:
    """Delete an index and nothing else: its folder stays if it has other files. Raises VisketchError if it is being
    written.
    """
    if is_index(folder):
        try:
            with FileLock(folder / LOCK, timeout=0):
                for file in _own_files(folder):
                    file.unlink(missing_ok=True)
                with suppress(OSError):  # the folder is not empty
                    folder.rmdir()
        except Timeout:
            raise VisketchError(f"{folder}: {BUSY}") from None


def _own_files(folder: Path) -> list[Path]:
    """The files of an index. In this order they are deleted: what is left after an interruption is still an index."""
    database = [folder / f"{CATALOGUE}{ending}" for ending in ("-journal", "-wal", "-shm", "")]
    return [file for file in (*_neighbour_files(folder), *database, folder / LOCK) if file.exists()]


def _neighbour_files(folder: Path) -> list[Path]:
    """The neighbour files in a folder, with those that were not completed."""
    return [file for file in folder.iterdir() if NEIGHBOURS.fullmatch(file.name)]


def _whole(folder: Path, row: GraphRow) -> bool:
    file = folder / row.name
    return file.is_file() and file.stat().st_size == row.bytes
