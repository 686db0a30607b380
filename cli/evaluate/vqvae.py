"""`visketch evaluate vqvae`: measure how well drawings are reconstructed from their codes."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..shared import console, options
from . import arguments


def vqvae(
    data: arguments.Data = arguments.DATA,
    split: arguments.Split = "test",
    limit: arguments.Limit = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FOLDER|NAME",
            envvar="VISKETCH_CHECKPOINT",
            help="A checkpoint; may be repeated, with a row for each. By default the shipped 'small'.",
            autocompletion=options.complete_checkpoint,
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how well drawings are reconstructed from their codes.

    Only reads: no file is written.

    \b
    Examples:
      visketch evaluate vqvae --data quickdraw.arrow --limit 2000
      visketch evaluate vqvae --checkpoint small --checkpoint runs/binary --checkpoint runs/plain
    """
    names = [str(path) for path in checkpoints] if checkpoints else ["small"]
    loaded = [arguments.load(name, device, data, split, "vqvae") for name in names]
    from visketch.evaluate.vqvae import reconstruct

    with console.progress() as bar:
        task = bar.add_task("")

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        rows = []
        for name, (model, store) in zip(names, loaded, strict=True):
            bar.reset(task, description=name)
            rows.append(reconstruct(model, store, split, limit, on_progress))
    if as_json:
        said = [{"checkpoint": name} | asdict(row) for name, row in zip(names, rows, strict=True)]
        console.document({"data": data, "split": split, "rows": said})
        return
    console.say(f"{rows[0].sketches:,} drawings ({split}), encoded and decoded leaf by leaf")
    columns = ["checkpoint", "target", "quantiser", "ink F1 (1 px)", "perplexity", "codes used", "MSE of the target"]
    table = [
        [
            Path(name).name,  # a whole path would not fit into the table
            row.target,
            row.quantiser,
            f"{100 * row.ink_f1:.1f} %",
            f"{row.perplexity:.1f} of {row.codebook_size}",
            f"{100 * row.used:.1f} %",
            f"{row.mse:.5f}",
        ]
        for name, row in zip(names, rows, strict=True)
    ]
    if len(table) == 1:
        console.table(["", ""], list(zip(columns, table[0], strict=True)))
    else:
        console.table(columns, table)
