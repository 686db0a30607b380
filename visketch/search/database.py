"""The database of an index, in SQLite: files, the drawings in them, and a vector for each different drawing.

A vector is stored by the content of its drawing (`store.key`) and not by its place. So if a file is touched, moved,
renamed or extended, nothing is embedded twice. All writes are atomic, so a process can be killed at any moment. A file
is done when its size and time are stored, and all other files are read again.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from visketch.data.sqlite_text import decoded, encoded
from visketch.errors import VisketchError

FORMAT = 1
SCHEMA = """
create table about (name text primary key, value text);
create table files (id integer primary key, path text unique, size integer, changed integer, unread integer);
create table vectors (id integer primary key autoincrement, key text unique, value blob);
create table drawings (file integer, place integer, name text, label text, vector integer, primary key (file, place))
    without rowid;
create index drawings_of_a_vector on drawings (vector);
create table graphs (number integer primary key, name text, bytes integer, vectors integer, last integer);
"""
UNREAD = "select path, unread from files where unread > 0 order by path"
CHUNK = 4096  # the number of vectors that are read at once
STORED = np.dtype("<f2")


@dataclass(frozen=True)
class Entry:
    """One drawing to store."""

    file: str
    place: int  # its position among the readable drawings of its file
    name: str  # shown after the name of the file, such as `#3`; empty for a file of one drawing
    label: str | None
    key: str


@dataclass(frozen=True)
class Done:
    """A file whose drawings are all stored."""

    file: str
    size: int
    changed: int  # in nanoseconds, the later of its modification and its status change
    unread: int  # the number of drawings in it that cannot be read


@dataclass(frozen=True)
class Hit:
    file: str
    place: int
    name: str
    label: str | None
    similarity: float


@dataclass(frozen=True)
class GraphRow:
    number: int
    name: str
    bytes: int
    vectors: int
    last: int  # the id of the last vector


class Database:
    def __init__(self, path: Path, about: dict[str, str] | None = None) -> None:
        """Open the database at `path`; with `about`, create it if it does not exist. Raises VisketchError."""
        self.path = path
        if not path.exists() and about is None:
            raise VisketchError(f"{path.parent}: not an index; make one with `visketch index`")
        try:
            self.db = sqlite3.connect(path, timeout=30)
            if about is not None and not self._tables():
                try:
                    self._create(about)
                except sqlite3.Error as error:
                    raise VisketchError(f"{path}: cannot be written ({error})") from None
            (version,) = self.db.execute("pragma user_version").fetchone()
            self.about = {name: json.loads(value) for name, value in self.db.execute("select name, value from about")}
        except sqlite3.Error as error:
            raise VisketchError(f"{path}: damaged, or not an index ({error}); rebuild it with --renew") from None
        if version != FORMAT:
            raise VisketchError(f"{path.parent}: an index of another version; rebuild it with --renew")

    def _tables(self) -> int:
        return self.db.execute("select count(*) from sqlite_master").fetchone()[0]

    def _create(self, about: dict[str, str]) -> None:
        rows = [(name, json.dumps(value)) for name, value in about.items()]
        with self.db:
            self.db.execute("begin immediate")
            if self._tables():  # another process has just created it
                return
            for statement in SCHEMA.split(";\n")[:-1]:  # executescript would commit too early
                self.db.execute(statement)
            self.db.executemany("insert into about values (?, ?)", rows)
            self.db.execute(f"pragma user_version = {FORMAT}")

    def close(self) -> None:
        self.db.close()

    def done(self) -> dict[str, tuple[int, int]]:
        """The size and the time of every file that is stored completely."""
        rows = self.db.execute("select path, size, changed from files where size is not null")
        return {decoded(path): (size, changed) for path, size, changed in rows}

    def done_file(self, file: str) -> tuple[int, int] | None:
        """The size and the time of one file. Returns None if it is not stored completely."""
        sql = "select size, changed from files where path = ? and size is not null"
        return self.db.execute(sql, (encoded(file),)).fetchone()

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose drawings have a vector already."""
        marks = ",".join("?" * len(keys))
        return {key for (key,) in self.db.execute(f"select key from vectors where key in ({marks})", list(keys))}

    def keys(self) -> Iterator[str]:
        """The keys of all drawings that have a vector."""
        return (key for (key,) in self.db.execute("select key from vectors"))

    def write(
        self, begun: Iterable[str], vectors: dict[str, np.ndarray], entries: Iterable[Entry], done: Iterable[Done]
    ) -> None:
        """Write in one atomic step: the files that are begun (again), vectors by their keys, drawings, and the files
        that are done.
        """
        with self.db:
            for path in map(encoded, begun):
                self.db.execute("insert into files (path) values (?) on conflict do update set size = null", (path,))
                self.db.execute("delete from drawings where file = (select id from files where path = ?)", (path,))
            self.db.executemany(
                "insert or ignore into vectors (key, value) values (?, ?)",
                [(key, value.astype(STORED).tobytes()) for key, value in vectors.items()],
            )
            self.db.executemany(
                "insert into drawings select (select id from files where path = ?), ?, ?, ?, id "
                "from vectors where key = ?",
                [
                    (encoded(entry.file), entry.place, entry.name, entry.label and encoded(entry.label), entry.key)
                    for entry in entries
                ],
            )
            self.db.executemany(
                "update files set size = ?, changed = ?, unread = ? where path = ?",
                [(file.size, file.changed, file.unread, encoded(file.file)) for file in done],
            )

    def keep(self, files: Iterable[str]) -> int:
        """Remove all other files, and the vectors that no drawing has any more. Returns the number of removed files."""
        with self.db:
            self.db.execute("create temporary table kept (path text primary key)")
            self.db.executemany("insert or ignore into kept values (?)", ((encoded(path),) for path in files))
            gone = self.db.execute("delete from files where path not in kept").rowcount
            self.db.execute("delete from drawings where file not in (select id from files)")
            self.db.execute("delete from vectors where id not in (select vector from drawings)")
            self.db.execute("drop table kept")
        return gone

    def counts(self) -> dict[str, int]:
        """The numbers of files, of drawings, of different drawings, and of drawings that could not be read."""
        files, unread = self.db.execute("select count(*), ifnull(sum(unread), 0) from files").fetchone()
        return {"files": files, "drawings": self.drawings(), "different": self.different(), "unread": unread}

    def drawings(self) -> int:
        """The number of drawings."""
        return self.db.execute("select count(*) from drawings").fetchone()[0]

    def different(self) -> int:
        """The number of different drawings. Each of them has one vector."""
        return self.db.execute("select count(*) from vectors").fetchone()[0]

    def unread(self) -> dict[str, int]:
        """The files that could not be read completely, with the number of their drawings that could not be read."""
        return {decoded(path): unread for path, unread in self.db.execute(UNREAD)}

    def span(self, first: int, end: int) -> tuple[int, int]:
        """The number of vectors with an id from `first` up to, but not including, `end`; and the last id (0 if there
        are none).
        """
        sql = "select count(*), ifnull(max(id), 0) from vectors where id >= ? and id < ?"
        return self.db.execute(sql, (first, end)).fetchone()

    def last(self) -> int:
        return self.db.execute("select ifnull(max(id), 0) from vectors").fetchone()[0]

    def vectors(self, first: int, end: int) -> Iterator[tuple[Int[np.ndarray, " i"], Float[np.ndarray, "i e"]]]:
        """The ids from `first` up to, but not including, `end`, with their vectors, in chunks."""
        rows = self.db.execute("select id, value from vectors where id >= ? and id < ? order by id", (first, end))
        while some := rows.fetchmany(CHUNK):
            ids, values = zip(*some, strict=True)
            yield np.array(ids), _read(values)

    def graphs(self) -> dict[int, GraphRow]:
        return {row[0]: GraphRow(*row) for row in self.db.execute("select * from graphs")}

    def put_graph(self, row: GraphRow) -> None:
        values = (row.number, row.name, row.bytes, row.vectors, row.last)
        with self.db:
            self.db.execute("insert or replace into graphs values (?, ?, ?, ?, ?)", values)

    def drop_graph(self, number: int) -> None:
        with self.db:
            self.db.execute("delete from graphs where number = ?", (number,))

    def rank(self, query: Float[np.ndarray, " e"], ids: Int[np.ndarray, " i"], n: int) -> list[Hit]:
        """The n most similar drawings among those that have one of these vectors, compared by their cosines."""
        found: list[tuple[float, int]] = []
        for some in np.array_split(ids, max(1, len(ids) // 500)):
            marks = ",".join("?" * len(some))
            rows = self.db.execute(f"select id, value from vectors where id in ({marks})", some.tolist()).fetchall()
            if rows:
                numbers, values = zip(*rows, strict=True)
                vectors = _read(values)
                # Half precision has changed the lengths, so equal drawings would not have a similarity of 1
                cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
                found += zip(cosines.clip(-1, 1).tolist(), numbers, strict=True)
        sql = """select path, place, name, label from drawings join files on files.id = drawings.file
                 where vector = ? order by path, place"""
        hits = (
            Hit(decoded(path), place, name, label and decoded(label), similarity)
            for similarity, number in sorted(found, key=lambda pair: (-pair[0], pair[1]))
            for path, place, name, label in self.db.execute(sql, (number,))
        )
        return list(islice(hits, n))


def _read(values: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(values), STORED).reshape(len(values), -1).astype(np.float32)
