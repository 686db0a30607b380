"""`visketch data`: download drawings, pack them into a data set, and describe one."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import console, options
from .shared.outputs import Outputs, Overwrite, parse_out

if TYPE_CHECKING:
    from visketch.data.statistics import Statistics


app = typer.Typer(no_args_is_help=True, help="Download drawings, pack them into a data set, describe one.")


def complete_class(incomplete: str) -> list[str]:
    from visketch.data.fetch import classes

    return [name for name in ["all", *classes()] if name.startswith(incomplete)]


@app.command()
def fetch(
    classes: Annotated[
        list[str],
        typer.Argument(metavar="CLASS...", help="QuickDraw classes, or `all` (345).", autocompletion=complete_class),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=parse_out, metavar="FOLDER", help="The folder to download to.")
    ] = Path("data/quickdraw"),
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many drawings of each class.")] = None,
    root: Annotated[
        str | None,
        typer.Option(
            envvar="VISKETCH_QUICKDRAW", metavar="URL|FOLDER", help="The source; by default Google's public bucket."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Download QuickDraw drawings.

    There are 345 classes with 100,000 drawings or more each, 23 GB in all (see --limit). Files that are already there
    are kept and never replaced. Interrupted downloads are continued.

    \b
    Examples:
      visketch data fetch cat dog 'alarm clock' --limit 5000
      visketch data fetch all --limit 1000 --out data/quickdraw
    """
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn

    from visketch.data import fetch as library

    wanted = [] if "all" in classes else classes
    with console.progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn()) as bar:
        tasks: dict[str, TaskID] = {}

        def report(label: str, here: int, size: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=None if limit else size)
            bar.update(tasks[label], completed=here, visible=limit is not None or here < size)

        files = library.fetch(wanted, root, out, limit, progress=report)
    sizes = {file: file.stat().st_size for file in files}
    if as_json:
        rows = [{"class": file.stem, "path": file, "bytes": size} for file, size in sizes.items()]
        console.document({"folder": out, "files": rows})
    else:
        console.say(f"{console.many(len(files), 'class')}, {sum(sizes.values()) / 1e6:,.1f} MB: {files[0].parent}")
        console.note(f"next: visketch data pack {files[0].parent} --out quickdraw.arrow")


@app.command()
def pack(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, folders or globs of drawings, or packed data sets.")
    ],
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="More drawings, for training only (such as QuickDraw's bitmaps, which are traced); may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=parse_out, metavar="FILE", help="The data set to write.")
    ] = Path("quickdraw.arrow"),
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many drawings of each class.")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Leave this class out, to measure classes that training never saw; may be repeated.",
            autocompletion=complete_class,
        ),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Trace pictures: training diffusion and sequence needs strokes.")
    ] = False,
    engine: options.Engine = "local",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Pack drawings into one data set, which `train` and `evaluate` read.

    The class of a drawing is what its file says. Otherwise it is the name of the file (cat.ndjson) or of its folder
    (cat/3.png). Folders named train, validation and test are the splits. Drawings that cannot be read are reported and
    left out, and the exit code is then 1. Input files are never written, and existing files are only replaced with
    --overwrite.

    \b
    Examples:
      visketch data pack data/quickdraw --out quickdraw.arrow --limit 1000
      visketch data pack quickdraw quickdraw-more --train quickdraw-bitmaps --out all.arrow
      visketch data pack my-drawings/ --out mine.arrow --trace
      visketch data pack quickdraw.arrow --without cat --without bus --out seen.arrow
      RAY_ADDRESS=head:6379 visketch data pack /shared/quickdraw --engine ray
    """
    from visketch.data.packing import pack as library
    from visketch.data.statistics import statistics
    from visketch.data.store import Store

    Outputs([*sources, *(train or ())], overwrite).check(out)
    problems, tally = console.Problems(), Counter[tuple[str, str]]()
    with console.progress() as bar:
        task = bar.add_task("files")

        def report(done: int, files: int, drawings: int) -> None:
            bar.update(task, completed=done, total=files, description=f"{drawings:,} drawings, files")

        drawings = library([*sources], out, limit, report, problems, without or (), engine, train or (), tally, trace)
    for part, purpose in (("train", "learn from"), ("test", "measure")):
        if missing := [label for label, counts in statistics(Store(out)).classes.items() if not counts[part]]:
            what = f"no {part} drawing of {console.many(len(missing), 'class')} ({console.some(missing)})"
            console.warn(f"{what}: there is nothing to {purpose}; add drawings, or put some into a folder named {part}")
    came = {source: {label: n for (of, label), n in tally.items() if of == source} for source, _ in tally}
    if as_json:
        size = out.stat().st_size
        console.document(
            {"path": out, "drawings": drawings, "left_out": problems.count, "bytes": size, "sources": came}
        )
    else:
        if len(came) > 1:
            show_sources(came)
        console.say(f"{console.many(drawings, 'drawing')}, {out.stat().st_size / 1e6:,.1f} MB: {out}")
    if problems.count:
        console.note(f"{problems.count} could not be read and were left out{problems.unnamed}")
        raise typer.Exit(console.FAILED)


def show_sources(came: dict[str, dict[str, int]]) -> None:
    """Print how many drawings came from each source. `came` gives the number of drawings for each source and class."""
    rows = [
        [
            source,
            sum(counts.values()),
            len(counts),
            min(counts.values()),
            int(median(counts.values())),
            max(counts.values()),
        ]
        for source, counts in came.items()
    ]
    console.table(["source", "drawings", "classes", "fewest", "median", "most"], rows)


@app.command()
def stats(
    file: Annotated[Path, typer.Argument(help="A data set written by `visketch data pack`.")],
    everything: Annotated[bool, typer.Option("--all", help="Print every class, not only the first twenty.")] = False,
    as_json: options.Json = False,
) -> None:
    """Describe a data set: its classes, splits and sizes of drawings.

    Only reads: no file is written.

    \b
    Examples:
      visketch data stats quickdraw.arrow
      visketch data stats quickdraw.arrow --json
    """
    from visketch.data.statistics import statistics
    from visketch.data.store import Store

    store = Store(file)
    found = statistics(store)
    if as_json:
        console.document({"path": file, **asdict(found), "provenance": store.provenance})
    else:
        show(file, found, everything)


def show(file: Path, found: "Statistics", everything: bool) -> None:
    rasters = f", {found.rasters:,} of them pictures" if found.rasters else ""
    console.say(
        f"{file}: {console.many(found.drawings, 'drawing')} of {console.many(len(found.classes), 'class')}{rasters}"
    )
    middle = (
        f"{name} {values['mean']:.1f} ({values['median']:.0f})"
        for name, values in (("strokes", found.strokes), ("points", found.points))
    )
    console.say(f"per drawing, mean (median): {', '.join(middle)}", "")
    rows = [[label, *counts.values(), sum(counts.values())] for label, counts in sorted(found.classes.items())]
    shown = rows if everything else rows[:20]
    total = [["all", *found.splits.values(), found.drawings]]
    console.table(["class", *found.splits, "all"], shown + total)
    if len(shown) < len(rows):
        console.note(f"{len(rows) - len(shown)} more classes; --all shows them")
