"""An index of the objects in the photos of a folder, in SQLite.

The detector runs once on each photo, and every search reads the boxes from the index. It is written in atomic steps, so
a process can be killed at any moment, and the next one continues.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from visketch.data.sqlite_text import decoded, encoded
from visketch.errors import VisketchError
from visketch.language.boxes import Box
from visketch.language.detect.photo import Detections
from visketch.language.detect.sketch_word import SIZE, SketchWord

SCHEMA = """
drop table if exists about;
drop table if exists photos;
drop table if exists boxes;
create table about (mark text);
create table photos (id integer primary key, path text unique, size integer, changed integer, drawing integer);
create table boxes (photo integer, category integer, x1 real, y1 real, x2 real, y2 real, chance real);
create index boxes_of_a_category on boxes (category, photo, chance);
create index boxes_of_a_photo on boxes (photo);
"""
DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
AT_ONCE = 32  # photos in one transaction
FAINT = 1e-3  # classes with a smaller weight in the sketch are not searched
Facts = tuple[int, int]  # the size of a file, and its modification time in nanoseconds


@dataclass(frozen=True)
class IndexedPhoto:
    """A photo, the probability (0 to 1) that it shows the sketch's object, and the boxes of its most probable class."""

    path: Path
    score: float
    category: int
    boxes: tuple[tuple[Box, float], ...]


class PhotoIndex:
    """The open index of one folder.

    `drawings` are the pictures in the folder that are not photos. They are searched in another way.
    """

    def __init__(self, file: Path, mark: str) -> None:
        """Open the index in `file`, or create it.

        `mark` identifies the detector. An index of another detector is discarded, and so is a file that is damaged or
        not a database. Raises VisketchError.
        """
        self.file, self.mark = file, mark
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", None) not in DAMAGED:
                    raise
                self.db.close()
                file.unlink(missing_ok=True)
                self._connect()
        except (OSError, sqlite3.Error) as error:
            raise VisketchError(f"{file}: cannot be written, {error}; set VISKETCH_CACHE to another folder") from None

    def _connect(self) -> None:
        """Open the database, and make the tables unless they are of this detector."""
        self.db = sqlite3.connect(self.file, timeout=30)
        if self._is_current():
            return
        with self.db:
            self.db.execute("begin immediate")
            if not self._is_current():  # another process may just have made it
                for statement in SCHEMA.split(";\n")[:-1]:
                    self.db.execute(statement)
                self.db.execute("insert into about values (?)", (self.mark,))

    def _is_current(self) -> bool:
        """Whether the database is an index made by this detector. It is False if it is empty or of another kind."""
        try:
            return self.db.execute("select mark from about").fetchall() == [(self.mark,)]
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:  # for example it is locked
                raise
            return False  # the table or its column does not exist

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction. Raises VisketchError if another process has made the index anew for another detector."""
        with self.db:
            self.db.execute("begin immediate")
            if not self._is_current():
                raise VisketchError(f"{self.file}: another process uses it with another detector; start again")
            yield

    def update(
        self,
        files: Sequence[Path],
        look: Callable[[Path], Detections | None],
        problem: Callable[[VisketchError], None],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Index the new and changed files among `files`, and remove all others.

        `look` detects the objects in a photo, and returns None for a drawing. `problem` receives the error of each file
        that cannot be read. Such a file is tried again next time. Raises VisketchError if another process has made the
        index anew for another detector.
        """
        facts = {path: fact for path in files if (fact := _facts(path))}
        known = {
            decoded(path): (size, changed)
            for path, size, changed in self.db.execute("select path, size, changed from photos")
        }
        new = [path for path, fact in facts.items() if known.get(str(path)) != fact]
        if gone := set(known) - {str(path) for path in facts}:
            with self._writing():
                self._forget(gone)
        for first in range(0, len(new), AT_ONCE):
            seen: list[tuple[Path, Detections | None]] = []
            for path in new[first : first + AT_ONCE]:
                try:
                    seen.append((path, look(path)))
                except VisketchError as error:
                    problem(error)
                on_progress(first + len(seen), len(new))
            with self._writing():
                self._forget({str(path) for path in new[first : first + AT_ONCE]})
                for path, found in seen:
                    self._write(path, facts[path], found)
        on_progress(len(new), len(new))

    def _forget(self, paths: Iterable[str]) -> None:
        for path in map(encoded, paths):
            self.db.execute("delete from boxes where photo = (select id from photos where path = ?)", (path,))
            self.db.execute("delete from photos where path = ?", (path,))

    def _write(self, path: Path, facts: Facts, found: Detections | None) -> None:
        row = self.db.execute(
            "insert into photos (path, size, changed, drawing) values (?, ?, ?, ?)",
            (encoded(str(path)), *facts, found is None),
        )
        if found is not None:
            values = np.column_stack([found.box, found.chance]).tolist()
            self.db.executemany(
                "insert into boxes (photo, category, x1, y1, x2, y2, chance) values (?, ?, ?, ?, ?, ?, ?)",
                [(row.lastrowid, int(kind), *one) for kind, one in zip(found.category, values, strict=True)],
            )

    def counts(self) -> tuple[int, int]:
        """The number of photos, and the number of drawings."""
        photos, drawings = self.db.execute(
            "select ifnull(sum(not drawing), 0), ifnull(sum(drawing), 0) from photos"
        ).fetchone()
        return photos, drawings

    def photos(self) -> list[Path]:
        return self._paths("not drawing")

    def drawings(self) -> list[Path]:
        return self._paths("drawing")

    def _paths(self, those: str) -> list[Path]:
        rows = self.db.execute(f"select path from photos where {those} order by path")
        return [Path(decoded(path)) for (path,) in rows]

    def search(self, asked: SketchWord, n: int, min_score: float = 0.0) -> list[IndexedPhoto]:
        """The n photos with the highest probability of showing the sketch's object, the best first. Those below
        `min_score` are left out.
        """
        weights = asked.weights()
        ranked = sorted(self.scores(weights).items(), key=lambda pair: (-pair[1], pair[0]))[:n]
        return [self._hit(photo, score, weights) for photo, score in ranked if score >= min_score]

    def scores(self, weights: Float[np.ndarray, " k"]) -> dict[int, float]:
        """For each photo that has a box of a weighted class, the weighted probability that it shows such an object."""
        some = np.flatnonzero(weights >= FAINT).tolist()
        marks = ",".join("?" * len(some))
        sql = f"select photo, category, chance from boxes where category in ({marks}) order by photo, category"
        rows = np.array(self.db.execute(sql, some).fetchall(), float).reshape(-1, 3)
        if not len(rows):
            return {}
        groups, starts = np.unique(rows[:, 0] * SIZE + rows[:, 1], return_index=True)
        there = 1 - np.multiply.reduceat(1 - rows[:, 2], starts)
        photos, places = np.unique(groups // SIZE, return_inverse=True)
        sums = np.bincount(places, there * weights[(groups % SIZE).astype(int)])
        return dict(zip(photos.astype(int).tolist(), sums.tolist(), strict=True))

    def seen(self, path: Path) -> Detections:
        """All boxes of a photo, the most probable first."""
        sql = """select category, x1, y1, x2, y2, chance from boxes join photos on photos.id = photo where path = ?
                 order by chance desc"""
        found = np.array(self.db.execute(sql, (encoded(str(path)),)).fetchall(), float).reshape(-1, 6)
        return Detections(found[:, 1:5], found[:, 0].astype(int), found[:, 5])

    def _hit(self, photo: int, score: float, weights: Float[np.ndarray, " k"]) -> IndexedPhoto:
        (path,) = self.db.execute("select path from photos where id = ?", (photo,)).fetchone()
        sql = "select category, x1, y1, x2, y2, chance from boxes where photo = ? order by chance desc"
        rows = self.db.execute(sql, (photo,)).fetchall()
        category = max(rows, key=lambda row: weights[row[0]] * row[5])[0]
        boxes = tuple(((x1, y1, x2, y2), chance) for kind, x1, y1, x2, y2, chance in rows if kind == category)
        return IndexedPhoto(Path(decoded(path)), score, category, boxes)

    def close(self) -> None:
        self.db.close()


def _facts(path: Path) -> Facts | None:
    """The size and the modification time of a file. Returns None if the file is gone."""
    with suppress(OSError):
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    return None
