"""`visketch classify`: what drawings show."""

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visketch.errors import VisketchError

from . import console, options

if TYPE_CHECKING:
    from visketch.model import ViSketch
    from visketch.strokes import Sketch

BATCH = 64  # drawings looked at together

Row = dict[str, Any]


def classify(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            show_default=False,
            help="Pictures, drawings, folders or globs; - reads one from standard input.",
        ),
    ] = None,
    source: options.From = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to name, the likeliest first.")] = 5,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Say what drawings show.

    Takes PNG, JPEG, WebP, TIFF and GIF (photos of paper or of a board too), SVG, QuickDraw's ndjson, bin and npy, and
    sketch-rnn's npz. A file of many drawings gets one answer for each. What cannot be read is named and the rest is
    answered; then the exit code is 1.

    \b
    Examples:
      visketch classify drawing.png
      visketch classify photos/ 'scans/*.jpg' --top 1
      visketch classify cat.ndjson --json
      cat drawing.svg | visketch classify -
      find scans -name '*.tif' | visketch classify --from -
    """
    wanted = options.listed(paths, source)
    first = list(islice(wanted, 1))  # so that a list that is not there is said before the model is loaded
    model = options.load(checkpoint, device)
    options.load_parts(model, "encoder", "classifier")
    failed = seen = 0
    from rich.progress import SpinnerColumn, TextColumn

    bar = console.progress(SpinnerColumn(), TextColumn("{task.completed:,} drawings"), beside_results=True)
    with bar, console.JsonList() if as_json else nullcontext(show) as answer:
        task = bar.add_task("drawings", total=None)
        for row in rows(model, chain(first, wanted), top):
            seen += 1
            bar.advance(task)
            if "error" in row:
                failed += 1
                console.error(f"{row['path']}: {row['error']}")
                if not as_json:
                    continue
            answer(row)
    if failed:
        if seen > 1:
            console.note(f"{failed} of {seen} could not be read")
        raise typer.Exit(console.FAILED)


def rows(model: "ViSketch", paths: Iterable[str], top: int) -> Iterator[Row]:
    """A row for every drawing, in the order of the paths: {"path", "predictions"} or {"path", "error"}."""
    waiting: list[tuple[str, Sketch | str]] = []
    drawn = 0
    for path, found in drawings(paths):
        waiting.append((path, found))
        drawn += not isinstance(found, str)
        if drawn == BATCH:
            yield from answers(model, waiting, top)
            waiting, drawn = [], 0
    yield from answers(model, waiting, top)


def answers(model: "ViSketch", waiting: list[tuple[str, "Sketch | str"]], top: int) -> Iterator[Row]:
    """Rows for what is waiting: drawings, looked at together, and errors as they are."""
    sketches = [found for _, found in waiting if not isinstance(found, str)]
    found_by_sketch = iter(look(model, sketches, top))
    for path, found in waiting:
        answer = found if isinstance(found, str) else next(found_by_sketch)
        yield {"path": path, "error" if isinstance(answer, str) else "predictions": answer}


def look(model: "ViSketch", sketches: list["Sketch"], top: int) -> list[list[Row] | str]:
    """Each sketch's predictions, or why there are none."""
    if not sketches:
        return []
    try:
        found = model.classify(sketches, top)
    except VisketchError as error:
        if len(sketches) == 1:
            return [about(error, sketches[0].source)]
        return [answer for sketch in sketches for answer in look(model, [sketch], top)]
    return [[{"label": guess.label, "probability": round(guess.probability, 6)} for guess in row] for row in found]


def drawings(paths: Iterable[str]) -> Iterator[tuple[str, "Sketch | str"]]:
    """Every drawing of every path with the name to show, or why there is none. `cat.ndjson#3` is the third line's."""
    from visketch.data.read import expand

    for path in paths:
        if path == "-":
            yield from standard_input()
            continue
        try:
            files = expand([path])
        except VisketchError as error:
            yield path, about(error, path)
            continue
        for file in files:
            yield from within(file, str(file))


def within(file: Path, name: str) -> Iterator[tuple[str, "Sketch | str"]]:
    from visketch.data.read import read

    problems: list[VisketchError] = []
    sketches = read(file, problems.append)
    while True:
        sketch = next(sketches, None)
        for problem in problems:
            which = re.match(rf"{re.escape(str(file))}:((\w+:)?\d+): ", str(problem))
            yield (f"{name}#{which[1]}", str(problem)[which.end() :]) if which else (name, about(problem, str(file)))
        problems.clear()
        if sketch is None:
            return
        number = sketch.source.removeprefix(str(file)).lstrip(":")
        yield f"{name}#{number}" if number else name, sketch


def standard_input() -> Iterator[tuple[str, "Sketch | str"]]:
    """What comes in at standard input, by way of a file, since a file is what readers read."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "standard input")
        file.write_bytes(sys.stdin.buffer.read())
        yield from within(file, "-")


def about(error: VisketchError, path: str) -> str:
    """The error without the path, which stands beside it."""
    return str(error).removeprefix(f"{path}: ")


def show(row: Row) -> None:
    """One drawing's answer for people: a bar for each class."""
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    console.say(row["path"])
    grid = Table.grid(padding=(0, 1), pad_edge=True)
    grid.add_column(min_width=18, style="bold")
    grid.add_column(width=32)
    grid.add_column(justify="right")
    for guess in row["predictions"]:
        share = guess["probability"]
        grid.add_row(Text(guess["label"]), Bar(1, 0, share, color="cyan"), f"{100 * share:.1f} %")
    console.stdout().print(grid)
