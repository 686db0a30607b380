"""Write answers to an `.ndjson` or `.csv` file, row by row.

The file is complete up to its last row at any moment, so an interrupted run can be continued.
"""

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from visketch.errors import UsageError, VisketchError

from . import console

Row = dict[str, Any]
KINDS = (".ndjson", ".csv")
SETTLED, SEVERAL = 5.0, 10  # no rate is shown before so many seconds and answers


def columns(top: int) -> list[str]:
    """The columns of a CSV file with `top` guesses for each drawing."""
    guesses = (f"{name}{'' if place == 1 else f'_{place}'}" for place in range(1, top + 1) for name in GUESS)
    return ["path", "error", *guesses]


GUESS = ("label", "probability")


class Results:
    """The file, open for appending. `done`: the names of the drawings that have a row in it."""

    def __init__(self, path: Path, top: int, go_on: bool, overwrite: bool = False) -> None:
        """Open the file.

        Raises UsageError, and writes nothing, if the file exists (unless it is continued or overwritten) or if it is of
        another kind.
        """
        self.path, self.columns = path, columns(top)
        if path.suffix.lower() not in KINDS:
            raise UsageError(f"{path}: answers are written as .ndjson or .csv; give the file one of these suffixes")
        if path.is_dir():
            raise UsageError(f"{path}: this is a folder; name a file")
        self.done: set[str] = set()
        self.failed = self.answered = whole = 0
        if path.exists() and not overwrite:
            if not go_on:
                mend = "continue it with --skip-done, replace it with --overwrite, or choose another --out"
                raise UsageError(f"{path}: exists already; {mend}")
            whole = self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes of a file name that are no valid text are written as they are.
        self.file = open(path, "a", encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115
        self.file.truncate(whole)  # an incomplete last line is written again
        if self.csv and not whole:
            self._write(self.columns)

    @property
    def csv(self) -> bool:
        return self.path.suffix.lower() == ".csv"

    @property
    def seen(self) -> int:
        return self.answered + self.failed

    def _read(self) -> int:
        """Read which drawings are done. Returns the number of bytes that are complete rows."""
        whole = 0
        with open(self.path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            for number, text in enumerate(records(file, quotes=self.csv)):
                try:
                    self._note(text, header=self.csv and not number)
                except (ValueError, LookupError, TypeError, csv.Error):
                    raise VisketchError(
                        f"{self.path}: row {number + 1} is not a row of answers; choose another --out"
                    ) from None
                whole += len(text.encode("utf-8", "surrogateescape"))
        return whole

    def _note(self, text: str, header: bool) -> None:
        if header:
            if next(csv.reader([text])) != self.columns:
                raise UsageError(f"{self.path}: the columns differ; give the same --top, or choose another --out")
            return
        if self.csv:
            name, error, *_ = next(csv.reader(io.StringIO(text, newline="")))
        else:
            row = json.loads(text)
            name, error = row["path"], row.get("error", "")
        self.done.add(name)
        self._count(bool(error))

    def _count(self, failed: bool) -> None:
        self.failed += failed
        self.answered += not failed

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __call__(self, row: Row) -> None:
        self._count("error" in row)
        if not self.csv:
            self._write_text(json.dumps(row) + "\n")
            return
        guesses = (guess[name] for guess in row.get("predictions", ()) for name in GUESS)
        cells = [row["path"], row.get("error", ""), *guesses]
        self._write(cells + [""] * (len(self.columns) - len(cells)))

    def _write(self, cells: list[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._write_text(line.getvalue())

    def _write_text(self, line: str) -> None:
        self.file.write(line)
        self.file.flush()  # a reader sees complete rows, and a crash loses none


def records(lines: Iterable[str], quotes: bool) -> Iterator[str]:
    """The complete records of a file, each with its line end. If the last one is incomplete, it is left out.

    With `quotes`, a line end between quotes does not end a record, as in CSV.
    """
    record = ""
    for line in lines:
        record += line
        if line.endswith("\n") and not (quotes and record.count('"') % 2):
            yield record
            record = ""


class ProgressBar:
    """Shows the progress, the rate and, if the total is known, the remaining time.

    It is a bar. If stderr is not a terminal and `tell` is set, it is a line now and then. The rate is measured from the
    first answer on, since other processes start before it, and shown after SETTLED seconds and SEVERAL more answers.
    """

    def __init__(self, total: int | None, before: int, tell: bool) -> None:
        """`before` says how many of the total were done before this run."""
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

        what = (SpinnerColumn(), TextColumn("{task.completed:,} drawings"))
        known = (BarColumn(), MofNCompleteColumn()) if total else what
        left = (TimeRemainingColumn(),) if total else ()
        self.bar = console.progress(*known, TextColumn("{task.fields[rate]}"), *left, beside_results=not tell)
        self.task = self.bar.add_task("drawings", total=total, completed=before, rate="")
        self.total, self.before, self.tell = total, before, tell and not console.stderr().is_terminal
        self.start = self.told = self.first = time.monotonic()
        self.count = 0

    def __enter__(self) -> "ProgressBar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    def advance(self) -> None:
        self.count += 1
        now = time.monotonic()
        if self.count == 1:
            self.first = now
        measured, more = now - self.first, self.count - 1
        rate = more / measured if measured >= SETTLED and more >= SEVERAL else None
        self.bar.update(self.task, advance=1, rate=console.rate(rate) if rate else "")
        if self.tell and now - self.told >= console.EVERY:
            self.told = now
            here = self.before + self.count
            of = f" of {self.total:,}" if self.total else ""
            pace = f", {console.rate(rate)}" if rate else ""
            left = f", {console.duration((self.total - here) / rate)} left" if rate and self.total else ""
            console.note(f"{here:,}{of} drawings{pace}{left}")
