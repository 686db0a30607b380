"""`visketch classify`: recognise what drawings show."""

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visketch.errors import UsageError

from .explain import explained, tell
from .shared import console, inputs, options
from .shared.outputs import Outputs, Overwrite, parse_drawings_out, parse_out
from .shared.pictures import PNG, check_out
from .shared.results import ProgressBar, Results, Row

if TYPE_CHECKING:
    from visketch.data.named import Item
    from visketch.model import SketchModel
    from visketch.parallel import Engine

BATCH = 64  # the number of drawings that are classified together
BAR, SHORTEST = 32, 4  # the most and the fewest columns of a bar; if there is less room, no bar is drawn
Answering = Callable[[Iterator[Any], Container[str]], Iterator[Row]]  # takes files, and the names of drawings to skip


def classify(
    paths: options.Paths = None,
    source: options.From = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print, the most probable first.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_out,
            metavar="FILE",
            help="Write the answers to this .ndjson or .csv file, row by row.",
        ),
    ] = None,
    skip_done: Annotated[
        bool, typer.Option("--skip-done", help="Continue the file of --out: skip the drawings that it already has.")
    ] = False,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    explain: Annotated[
        Path | None,
        typer.Option(
            parser=parse_drawings_out,
            metavar="PATH",
            help="Explain the answer (of the leaves alone, without the strokes), in words and in a PNG (or a folder "
            "of them).",
        ),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Classify each of several drawings on one page: page.png#1, #2 ...")
    ] = False,
    any_way_up: Annotated[
        bool,
        typer.Option(
            "--any-way-up",
            help="Try all four quarter turns; a turned drawing counts if its answer is 10 points more probable.",
        ),
    ] = False,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Recognise what drawings show.

    Reads PNG, JPEG, WebP, TIFF and GIF (also photos of paper or of a board), SVG, QuickDraw's ndjson, bin and npy,
    Kaggle's CSV, sketch-rnn's npz, Excalidraw, tldraw, InkML and strokes in JSON (docs/formats.md). A file of many
    drawings gets one answer for each drawing. A drawing that cannot be read is reported, the others are answered, and
    the exit code is 1. Only lines count: of coloured or solid areas, the outline is used. Ruled paper, frames and
    specks are ignored. Input files are never written. An existing file of answers is only replaced with --overwrite, or
    continued with --skip-done.

    \b
    Examples:
      visketch classify drawing.png
      visketch classify photos/ 'scans/*.jpg' --top 1
      visketch classify cat.ndjson --json
      cat drawing.svg | visketch classify -
      find scans -name '*.tif' | visketch classify --from -
      visketch classify scans/ --top 1 --out answers.csv
      visketch classify scans/ --top 1 --out answers.csv --skip-done
      visketch classify drawing.png --explain why.png
      RAY_ADDRESS=head:6379 visketch classify /shared/scans/ --engine ray --out answers.ndjson
    """
    if explain and engine != "local":
        raise UsageError("--explain works with --engine local only")
    if explain and (split or any_way_up):
        raise UsageError("--explain cannot be combined with --split or --any-way-up")
    if explain:
        check_out(explain, PNG)
    if skip_done and out is None:
        raise UsageError("--skip-done continues a file; name it with --out")
    if skip_done and overwrite:
        raise UsageError("--skip-done continues a file and --overwrite replaces it; give one of them")
    outputs = Outputs([*(paths or ()), *([source] if source else [])], overwrite)
    if out:  # the file of answers may lie in a folder that is read, but it is not a drawing
        files = [path for path in paths or () if Path(path).is_file()]
        Outputs([*files, *([source] if source else [])]).check(out, go_on=True)
    wanted = inputs.listed(paths, source)
    model = options.load(checkpoint, device if engine == "local" else "cpu")
    options.load_parts(model, "encoder", "classifier")
    if engine == "ray":
        from visketch import parallel as engines

        engines.connect()  # before the file of --out is created
    answering: Answering = partial(
        rows, model, top=top, workers=workers, engine=engine, device=device, split=split, any_way_up=any_way_up
    )
    if explain:
        answering = partial(explained, model, top=top, out=explain, outputs=outputs)
    if out is None:
        failed, seen = print_answers(answering, wanted, as_json)
    else:
        failed, seen = write_answers(answering, wanted, min(top, len(model.labels)), out, skip_done, overwrite, as_json)
    if failed:
        if seen > 1:
            console.note(f"{failed:,} of {seen:,} could not be read")
        raise typer.Exit(console.FAILED)


def print_answers(answering: Answering, paths: Iterable[str], as_json: bool) -> tuple[int, int]:
    """Print answers on stdout as they come. Returns how many drawings failed, and how many there were."""
    items, total = inputs.files(paths)
    failed = seen = 0
    with ProgressBar(total, 0, tell=False) as bar, console.JsonList() if as_json else nullcontext(show) as answer:
        for row in answering(items, ()):
            seen += 1
            bar.advance()
            if "error" in row:
                failed += 1
                console.error(f"{row['path']}: {row['error']}")
                if not as_json:
                    continue
            answer(row)
    return failed, seen


def write_answers(
    answering: Answering, paths: Iterable[str], guesses: int, out: Path, skip_done: bool, overwrite: bool, as_json: bool
) -> tuple[int, int]:
    """Write answers to a file as they come. Returns how many drawings failed, and how many there were."""
    with Results(out, guesses, skip_done, overwrite) as results:
        items, total = inputs.files(paths, out)
        before, failed_before = len(results.done), results.failed
        with ProgressBar(total, before, tell=True) as bar:
            try:
                for row in answering(items, results.done):
                    if row["path"] in results.done:  # one of several in a picture, whose name is only known now
                        continue
                    results(row)
                    bar.advance()
                    if "error" in row and results.failed - failed_before <= console.SHOWN:
                        console.error(f"{row['path']}: {row['error']}")
            except KeyboardInterrupt:
                console.note(f"{results.seen:,} answers are in {out}; continue with the same command and --skip-done")
                raise
    facts = {"path": out, "answered": results.answered, "failed": results.failed, "skipped": before}
    if as_json:
        console.document(facts | {"seconds": round(bar.seconds, 3)})
    else:
        console.say(f"{console.many(results.answered, 'drawing')}: {out}")
        rate = console.rate(bar.count / max(bar.seconds, 1e-6))
        new = f"{bar.count:,} in {console.duration(bar.seconds)}, {rate}" if bar.count else "nothing new"
        console.note(f"{new}, {console.there_before(before)}" if before else new)
    return results.failed, results.seen


def rows(
    model: "SketchModel",
    items: Iterator["Item"],
    done: Container[str],
    top: int,
    workers: int | None,
    engine: "Engine" = "local",
    device: str = "auto",
    split: bool = False,
    any_way_up: bool = False,
) -> Iterator[Row]:
    """A row for every drawing, in the order of the items: {"path", "predictions"} or {"path", "error"}.

    `device` is only used with --engine ray. Otherwise the model has its own device.
    """
    from visketch import parallel as engines
    from visketch.tasks import batch

    shape, most = model.config.reading, model.config.sequence.pieces if model.has("sequence") else 0
    if engine == "local":
        open_items, draw = batch.undone_drawings(items, done), partial(batch.draw, shape, split=split, pieces=most)
        return engines.local(open_items, draw, batch.BatchClassifier(model, top, any_way_up), BATCH, workers)
    make_worker = partial(batch.batch_classifier, model.folder, top, any_way_up=any_way_up)
    draw = partial(batch.draw, shape, done=done, split=split, pieces=most)
    return engines.on_ray(batch.undone(items, done), draw, make_worker, BATCH, workers, device)


def show(row: Row) -> None:
    """Print the answer for one drawing for people, with a bar for each class."""
    from rich.text import Text

    turned = f"  (turned by {row['turned']} degrees)" if row.get("turned") else ""
    console.say(f"{row['path']}{turned}")
    names = max((len(guess["label"]) for guess in row["predictions"]), default=0)
    width = max(names, min(18, console.stdout().width - 12))
    room = min(BAR, console.stdout().width - width - len("   100.0 %"))
    for guess in row["predictions"]:
        share = guess["probability"]
        bar = [(f" {console.bar(share, room)}", "cyan")] if room >= SHORTEST else []
        line = Text.assemble((f" {guess['label']:<{width}}", "bold"), *bar, f" {100 * share:5.1f} %")
        console.stdout().print(line, soft_wrap=True)
    if not row.get("sure", True):
        right = max(1, round(10 * row["predictions"][0]["probability"]))
        console.say(f" not sure: about {right} in ten answers this uncertain {'is' if right == 1 else 'are'} right")
    if "separate" in row:
        many = f"{row['path']}: {row['separate']} separate drawings"
        console.note(f"{many}; --split classifies each, `visketch count --by recogniser` counts those like a sketch")
    if "explanation" in row:
        tell(row)
