"""How the verbs print: results go to stdout, progress and errors to stderr, and each error is one line.

rich is imported where it is used, since --help does not need it.
"""

import contextlib
import errno
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from visketch.errors import PassedOverWarning, RenamedWarning, UsageError, VisketchError, reason, reworded

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

EVERY = 30.0  # seconds between lines of progress if there is no terminal for a bar
MAIN = os.environ.get("RANK", "0") == "0"  # only one of the processes that torchrun starts prints

UNLIMITED = 10_000  # the columns of a file or a pipe, which a table does not fill
SHOWN = 10  # this many of the inputs that could not be read are named, and the others are counted

CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]")  # except tabs and line ends

debug = False  # whether tracebacks are printed (--debug)


@cache
def _console(file: TextIO) -> "Console":
    from rich.console import Console

    wide = None if file.isatty() or "COLUMNS" in os.environ else UNLIMITED
    # Names of files may have what rich takes for the code of an emoji, such as :cat:
    return Console(file=file, width=wide, highlight=False, emoji=False)


def stdout() -> "Console":
    """The rich console of sys.stdout. It is looked up each time, since tests replace sys.stdout."""
    return _console(sys.stdout)


def stderr() -> "Console":
    return _console(sys.stderr)


def say(*lines: object) -> None:
    """Print results for people on stdout. Markup is printed as it is, and a long line is not wrapped."""
    for line in lines:
        stdout().print(visible(line), markup=False, soft_wrap=True)


def visible(text: object) -> str:
    """A text with its control characters spelled out, since those in the name of a file could change the terminal."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text))


PARTS = " ▏▎▍▌▋▊▉"  # a column, filled by eighths
# These replace characters that the encoding of stdout lacks.
PLAIN = {"█": "#", "×": "x", "→": "->", "…": "...", "·": "-", "±": "+-", "–": "-", "—": "-", "−": "-", "’": "'"}
PLAIN |= {part: "#" if place >= 4 else " " for place, part in enumerate(PARTS)}
PLAIN |= dict.fromkeys("─━╸╺", "-")


def bar(share: float, width: int) -> str:
    """A bar that fills `share` of `width` columns."""
    eighths = round(share * width * 8)
    full = "█" * (eighths // 8) + PARTS[eighths % 8].strip()
    return full + " " * (width - len(full))


def plainly(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encodings. It replaces characters that the encoding lacks by similar ones, or by their code
    points.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = (PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in text)
    return "".join(plain), error.end


class Problems:
    """Collects inputs that could not be read. It names the first SHOWN and counts all.

    They are errors, or with `harmless` warnings: what was asked is answered from the other inputs.
    """

    def __init__(self, harmless: bool = False) -> None:
        self.count, self.tell = 0, warn if harmless else error

    def __call__(self, problem: VisketchError) -> None:
        self.count += 1
        if self.count <= SHOWN:
            self.tell(problem)

    @property
    def unnamed(self) -> str:
        """The end of a sentence with the number of those inputs, if some were not named."""
        return f", {self.count - SHOWN} of them not named here" if self.count > SHOWN else ""


def note(line: str) -> None:
    """Print on stderr what is not a result, such as progress or how to continue."""
    stderr().print(visible(line), markup=False, soft_wrap=True, style="dim")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """A replacement for `warnings.showwarning`. It prints our own warnings, about an old name or about what was passed
    over, as notes, without their source line.
    """
    if issubclass(category, (RenamedWarning, PassedOverWarning)):
        note(str(message))
    else:
        stderr().print(warnings.formatwarning(message, category, filename, lineno, line), markup=False)


def error(message: object) -> None:
    """Print an error as one line on stderr."""
    from rich.text import Text

    line = visible(" ".join(str(message).splitlines()))
    stderr().print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def warn(message: object) -> None:
    """Print a warning as one line on stderr; the run continues."""
    from rich.text import Text

    stderr().print(Text.assemble(("warning: ", "yellow"), visible(message)), soft_wrap=True)


def document(value: Any) -> None:
    """Print one JSON document on stdout. It is ASCII, so that it is safe on any terminal and with any file name."""
    print(json.dumps(value, indent=2, default=str))


class JsonList:
    """A JSON list on stdout. It is written row by row, one on a line, so that memory does not grow with it."""

    def __enter__(self) -> "JsonList":
        self.before = "[\n"
        return self

    def __call__(self, row: dict) -> None:
        print(self.before + json.dumps(row), end="", flush=True)
        self.before = ",\n"

    def __exit__(self, *_: object) -> None:
        print("[]" if self.before == "[\n" else "\n]")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print rows for people on stdout. Numbers are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    numbers = [
        all(isinstance(row[i], int | float) or _looks_numeric(row[i]) for row in rows) for i in range(len(columns))
    ]
    for name, number in zip(columns, numbers, strict=True):
        grid.add_column(name, justify="right" if number else "left", header_style="dim", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(f"{value:,}" if isinstance(value, int) else visible(value)) for value in row))
    stdout().print(grid)


def _looks_numeric(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"-|-?[\d.,]+( ± [\d.]+)?( %)?", value))


def progress(*columns: "ProgressColumn", beside_results: bool = False) -> "Progress":
    """A progress bar on stderr that disappears at the end. If stderr is not a terminal, there is none.

    `beside_results` says that results are printed at the same time. If they go to a terminal, no bar is needed. stdout
    is not redirected, since rich would send it to the stream of the bar.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(
        *(columns or usual),
        console=stderr(),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not sys.stderr.isatty() or (beside_results and sys.stdout.isatty()),
    )


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner on stderr while something without measurable progress runs, such as loading weights."""
    if not sys.stderr.isatty():
        yield
        return
    with stderr().status(what):
        yield


def many(count: int, what: str) -> str:
    """A number of things, as text: `1 stroke`, `2,000 strokes`, `3 classes`."""
    ending = "" if count == 1 else "es" if what.endswith("s") else "s"
    return f"{count:,} {what}{ending}"


def some(names: Sequence[str]) -> str:
    """The first three of some names, as text: `cat, dog, owl ...`."""
    return f"{', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"


def there_before(count: int) -> str:
    """How many results of an earlier run were found: `1 was there before`."""
    return f"{count:,} {'was' if count == 1 else 'were'} there before"


def first_of(count: int, total: int) -> str:
    """The end of a sentence that says how many of the things are on a sheet, if not all: ` (the first 64 of 100)`."""
    return f" (the first {count:,} of {total:,})" if count < total else ""


def duration(seconds: float) -> str:
    """Seconds as text: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def rate(per_second: float) -> str:
    """A rate as text: `120 a second`, or if that would be 0, `12 a minute` or `3 an hour`."""
    if per_second >= 1:
        return f"{per_second:,.0f} a second"
    return f"{60 * per_second:.0f} a minute" if 60 * per_second >= 1 else f"{3600 * per_second:.0f} an hour"


def fail(problem: BaseException) -> int:
    """Print in one line what went wrong and what to do. Returns the exit code."""
    if debug:
        import traceback

        traceback.print_exception(problem)
    if type(problem).__name__ == "NoArgsIsHelpError":
        problem.show()  # type: ignore[attr-defined]
        return MISUSED
    if isinstance(problem, OSError):
        _give_up_stdout()
    if isinstance(problem, BrokenPipeError):  # such as `| head -1`: whoever read stdout has enough
        return FAILED
    message, code = _explain(problem)
    error(message)
    return code


def _explain(problem: BaseException) -> tuple[str, int]:
    if isinstance(problem, UsageError):
        return str(problem), MISUSED
    if isinstance(problem, VisketchError):
        return str(problem), FAILED
    if hasattr(problem, "format_message"):  # typer's own errors: a wrong option, a missing argument
        context = getattr(problem, "ctx", None)
        said = reworded(" ".join(problem.format_message().split())).rstrip(".")
        mend = f"; try '{context.command_path} --help'" if context else ""
        return f"{said}{mend}", MISUSED
    if isinstance(problem, OSError):
        where = f"{os.fsdecode(problem.filename)}: " if isinstance(problem.filename, str | bytes) else ""
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"{where}{reason(problem)}; {'free some space or ' if full else ''}choose another place", FAILED
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
        return "out of memory; ask for less at once, or use --device cpu", FAILED
    what = next(iter(str(problem).splitlines()), "")
    return f"unexpected {type(problem).__name__}: {what} (this is a bug: visketch --debug ... prints where)", FAILED


def _give_up_stdout() -> None:
    """Discard what stdout could not take, for example on a full disk.

    At exit, Python would otherwise try again and fail with a traceback.
    """
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
