"""`visketch evaluate search`: measure how well drawings of the same class find one another."""

from dataclasses import asdict
from typing import Annotated

import typer

from ..shared import console, options
from . import arguments


def search(
    baselines: arguments.Baselines = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="CLASS", help="Only this class; may be repeated.")
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Only classes that the checkpoint was not trained on (zero-shot).")
    ] = False,
    data: arguments.Data = arguments.DATA,
    split: arguments.Split = "test",
    limit: arguments.Limit = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how well drawings of the same class find one another.

    Every drawing is a query to all the others. The others of its class are what should be found. With --baseline, the
    features of other classifiers are measured too. Only reads: no file is written.

    \b
    Examples:
      visketch evaluate search --data quickdraw.arrow --baseline runs/resnet34 --limit 3000
      visketch data pack quickdraw.arrow --without cat --without bus --out seen.arrow
      visketch evaluate search --data quickdraw.arrow --unseen --checkpoint runs/seen
    """
    model, store = arguments.load(checkpoint, device, data, split, "encoder", "classifier")
    contenders = arguments.load_baselines(baselines, device)
    from visketch.evaluate import search as library

    with console.progress() as bar:
        task = bar.add_task("drawings")

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = library.search(model, store, split, limit, contenders, classes or [], unseen, on_progress)
    if as_json:
        console.document(arguments.about(data, split, model) | {"unseen": unseen} | asdict(found))
        return
    console.say(f"{found.drawings:,} drawings ({split}), {len(found.classes)} classes, {found.queries:,} queries")
    columns = ["", "compared by", "width", "mAP", "P@10", "mAP, mean over classes", "P@10, mean over classes"]
    table = []
    for row in found.rows:
        low, high = row.interval
        means = (row.precision_at_10, row.class_mean_average_precision, row.class_precision_at_10)
        average = f"{100 * row.mean_average_precision:.1f} ± {50 * (high - low):.1f} %"
        table.append([row.name, row.vector, row.width, average, *(f"{100 * value:.1f} %" for value in means)])
    console.table(columns, table)
