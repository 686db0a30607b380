"""`visketch evaluate explain`: check explanations by deleting the leaves that they name."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..shared import console, options
from ..shared.outputs import Outputs, Overwrite, parse_out
from ..shared.pictures import PNG, check_out
from . import arguments


def explain(
    plot: Annotated[
        Path | None, typer.Option(parser=parse_out, metavar="PATH", help="Draw the curves in a PNG.")
    ] = None,
    data: arguments.Data = arguments.DATA,
    split: arguments.Split = "test",
    limit: arguments.Limit = 200,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Check whether the leaves of --explain decide the answer.

    The leaves of each drawing are erased one by one, starting with those that a measure ranks highest. This is done for
    several measures. The faster the probability of the drawing's class falls, the better the measure. Weights and data
    are never written, and an existing picture is only replaced with --overwrite.

    \b
    Examples:
      visketch evaluate explain --data quickdraw.arrow
      visketch evaluate explain --limit 1000 --plot deletion.png
    """
    if plot:
        check_out(plot, PNG, folders=False)
        Outputs((), overwrite).check(plot)
        from . import chart
    model, store = arguments.load(checkpoint, device, data, split, "encoder", "classifier")
    from visketch.evaluate.explanation import deletion

    with console.progress() as bar:
        task = bar.add_task("drawings")

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = deletion(model, store, split, limit, on_progress)
    if plot:
        chart.curves(plot, found)
    if as_json:
        console.document(arguments.about(data, split, model) | asdict(found) | {"plot": plot})
        return
    console.say(f"{found.drawings:,} drawings ({split}): probability of their class after erasing leaves")
    some = [1, 2, 4]
    columns = ["first the", *(f"{100 * found.shares[i]:.0f} %" for i in some), "mean", "below random"]
    rows = []
    for row in found.curves:
        low, high = row.interval
        steps = (f"{100 * row.probability[i]:.1f} %" for i in some)
        rows.append(
            [row.order, *steps, f"{100 * row.area:.1f} ± {50 * (high - low):.1f} %", f"{100 * row.below_random:.0f} %"]
        )
    console.table(columns, rows)
    if plot:
        console.say(f"picture: {plot}")
