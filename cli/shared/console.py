"""What the verbs print with: results on stdout, progress and errors on stderr, failures as one line.

rich is imported where it is used: --help needs none of it.
"""

import contextlib
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from visketch.errors import RenamedWarning, UsageError, VisketchError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

EVERY = 30.0  # seconds between the lines where there is no terminal for a bar
MAIN = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one speaks

SHOWN = 10  # things that could not be read are named one by one up to so many

debug = False  # show tracebacks (--debug)


@cache
def _console(file: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=file, highlight=False)


def stdout() -> "Console":
    """Made anew when sys.stdout is another one, as in tests."""
    return _console(sys.stdout)


def stderr() -> "Console":
    return _console(sys.stderr)


def say(*lines: object) -> None:
    """Results for people, on stdout: markup is plain text, and a long line stays one line."""
    for line in lines:
        stdout().print(line, markup=False, soft_wrap=True)


PARTS = " ▏▎▍▌▋▊▉"  # of a column, in eighths
# What stands for a character that stdout cannot write.
PLAIN = {"█": "#", "×": "x", "→": "->", "…": "...", "·": "-", "±": "+-", "–": "-", "—": "-", "−": "-", "’": "'"}
PLAIN |= {part: "#" if place >= 4 else " " for place, part in enumerate(PARTS)}
PLAIN |= dict.fromkeys("─━╸╺", "-")


def bar(share: float, width: int) -> str:
    """A bar as long as a share of `width` columns."""
    eighths = round(share * width * 8)
    full = "█" * (eighths // 8) + PARTS[eighths % 8].strip()
    return full + " " * (width - len(full))


def plainly(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that an encoding has not: others where they say the same, else their numbers."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = (PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in text)
    return "".join(plain), error.end


class Problems:
    """Hears of what could not be read: names the first, counts all."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: VisketchError) -> None:
        self.count += 1
        if self.count <= SHOWN:
            error(problem)

    @property
    def unnamed(self) -> str:
        """The end of a sentence that counts them, where some were not named."""
        return f", {self.count - SHOWN} of them not named here" if self.count > SHOWN else ""


def note(line: str) -> None:
    """What is no result (what goes on, how to continue), on stderr."""
    stderr().print(line, markup=False, soft_wrap=True, style="dim")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Stands in for `warnings.showwarning`: an old name that was used is a note, without its place in the code."""
    if issubclass(category, RenamedWarning):
        note(str(message))
    else:
        stderr().print(warnings.formatwarning(message, category, filename, lineno, line), markup=False)


def error(message: object) -> None:
    """One line on stderr."""
    from rich.text import Text

    line = " ".join(str(message).splitlines())
    stderr().print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def warn(message: object) -> None:
    """One line on stderr about what is odd, though it stops nothing."""
    from rich.text import Text

    stderr().print(Text.assemble(("warning: ", "yellow"), str(message)), soft_wrap=True)


def document(value: Any) -> None:
    """One JSON document on stdout. ASCII, so that it survives any terminal and any file name."""
    print(json.dumps(value, indent=2, default=str))


class JsonList:
    """A JSON list on stdout, written row by row, one a line, so that memory does not grow with it."""

    def __enter__(self) -> "JsonList":
        self.before = "[\n"
        return self

    def __call__(self, row: dict) -> None:
        print(self.before + json.dumps(row), end="", flush=True)
        self.before = ",\n"

    def __exit__(self, *_: object) -> None:
        print("[]" if self.before == "[\n" else "\n]")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Rows for people, on stdout; what is a number stands to the right."""
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
        grid.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in row))
    stdout().print(grid)


def _looks_numeric(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"-|-?[\d.,]+( ± [\d.]+)?( %)?", value))


def progress(*columns: "ProgressColumn", beside_results: bool = False) -> "Progress":
    """A bar on stderr that vanishes when it is done; nothing where stderr is no terminal.

    `beside_results`: results are printed meanwhile; if they go to a terminal they are progress enough.
    Stdout is left alone: rich would send what is printed to the bar's own stream.
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
    """A spinner on stderr while something without measurable progress goes on, such as loading weights."""
    if not sys.stderr.isatty():
        yield
        return
    with stderr().status(what):
        yield


def duration(seconds: float) -> str:
    """Seconds for people: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def fail(problem: BaseException) -> int:
    """Say in one line what went wrong and how to mend it; returns the exit code."""
    if debug:
        import traceback

        traceback.print_exception(problem)
    if type(problem).__name__ == "NoArgsIsHelpError":
        problem.show()  # type: ignore[attr-defined]
        return MISUSED
    if isinstance(problem, OSError):
        _give_up_stdout()
    message, code = _explain(problem)
    error(message)
    return code


def _explain(problem: BaseException) -> tuple[str, int]:
    if isinstance(problem, UsageError):
        return str(problem), MISUSED
    if isinstance(problem, VisketchError):
        return str(problem), FAILED
    if hasattr(problem, "format_message"):  # typer's own: a wrong option, a missing argument
        context, said = getattr(problem, "ctx", None), problem.format_message().replace("Value error, ", "").rstrip(".")
        mend = f"; try '{context.command_path} --help'" if context else ""
        return f"{said}{mend}", MISUSED
    if isinstance(problem, OSError):
        where = f"{os.fsdecode(problem.filename)}: " if isinstance(problem.filename, str | bytes) else ""
        return f"{where}{problem.strerror or problem}; make room or choose another place", FAILED
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
        return "out of memory; ask for less at once, or take --device cpu", FAILED
    what = next(iter(str(problem).splitlines()), "")
    return f"unexpected {type(problem).__name__}: {what} (a bug: visketch --debug ... shows where)", FAILED


def _give_up_stdout() -> None:
    """What stdout could not take (a full disk) would be tried again at exit, and fail again with a traceback."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
