"""`visketch evaluate classify`: measure recognition, beside other classifiers and for other drawing styles."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..shared import console, options
from . import arguments

if TYPE_CHECKING:
    from visketch.evaluate.recognition import Accuracy, Recognition


def classify(
    baselines: arguments.Baselines = None,
    styles: Annotated[
        bool,
        typer.Option(
            "--styles", help="Also measure drawings that are turned, incomplete, drawn with other pens, or on paper."
        ),
    ] = False,
    depth: Annotated[
        list[int] | None,
        typer.Option(help="Also measure with a tree of this depth (0: the root tile alone); may be repeated."),
    ] = None,
    data: arguments.Data = arguments.DATA,
    split: arguments.Split = "test",
    limit: arguments.Limit = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how often drawings are recognised.

    With --baseline, other classifiers are measured on the same drawings, side by side. Only reads: no
    file is written.

    \b
    Examples:
      visketch evaluate classify --data quickdraw.arrow --split test
      visketch evaluate classify --baseline runs/resnet34 --baseline runs/vit --styles --limit 2000
      visketch evaluate classify --depth 0 --depth 1 --data quickdraw.arrow
    """
    model, store = arguments.load(checkpoint, device, data, split, "encoder", "classifier")
    contenders = arguments.load_baselines(baselines, device)
    from visketch.evaluate import recognition as library

    with console.progress() as bar:
        task = bar.add_task("drawings")

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = library.classify(model, store, split, limit, contenders, styles, on_progress, depth or ())
    if as_json:
        console.document(arguments.about(data, split, model) | asdict(found))
        return
    console.say(f"{found.rows[0].overall.sketches:,} drawings ({split}), {len(store.labels)} classes")
    if contenders or styles or depth:
        compare(found)
    else:
        tell(found)


def tell(found: "Recognition") -> None:
    """Print the figures of ViSketch alone."""
    row = found.rows[0]
    figures = [
        ["top-1", percent(row.overall)],
        ["top-5", f"{100 * row.overall.top5:.1f} %"],
        ["top-1, mean over classes", f"{100 * row.overall.class_mean:.1f} %"],
        ["time for a drawing", f"{found.drawing_ms + row.together_ms:.1f} ms"],
    ]
    console.table(["", ""], figures)


def compare(found: "Recognition") -> None:
    """Print a table with a column for each model. There are more figures than models, and terminals are narrow."""
    rows = found.rows
    lines = {
        "top-1": [percent(row.overall) for row in rows],
        "top-5": [f"{100 * row.overall.top5:.1f} %" for row in rows],
        "top-1, mean over classes": [f"{100 * row.overall.class_mean:.1f} %" for row in rows],
    }
    if found.subset:
        lines[f"top-1 of {len(found.subset)} classes"] = [percent(row.subset) if row.subset else "-" for row in rows]
    lines |= {
        "parameters": [f"{row.parameters:,}" for row in rows],
        "ms, one at a time": [f"{row.alone_ms:.1f}" for row in rows],
        "ms, 64 at a time": [f"{row.together_ms:.1f}" for row in rows],
    }
    lines |= {f"top-1, {style}": [percent(row.styles[style]) for row in rows] for style in rows[0].styles}
    console.table(["", *(row.name for row in rows)], [[name, *figures] for name, figures in lines.items()])
    threads = "one thread" if found.threads == 1 else f"{found.threads} threads"
    console.note(f"without drawing the picture, which takes {found.drawing_ms:.1f} ms; {threads}")


def percent(accuracy: "Accuracy") -> str:
    """Top-1, with half the width of its 95 % interval."""
    low, high = accuracy.interval
    return f"{100 * accuracy.top1:.1f} ± {50 * (high - low):.1f} %"
