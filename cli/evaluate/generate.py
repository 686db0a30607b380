"""`visketch evaluate generate`: how good the drawings are that the model makes."""

from dataclasses import asdict
from typing import Annotated

import typer

from .. import console, options
from . import given

USUAL = [
    "bus",
    "cat",
    "elephant",
    "flamingo",
    "owl",
    "pig",
    "sheep",
]  # ours: animals mostly, so that they are not too easily told apart


def generate(
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="May be repeated; by default seven, mostly animals.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Sketches of each class.")] = 64,
    data: given.Data = given.DATA,
    split: given.Split = "test",
    seed: options.Seed = 0,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """How often generated sketches are recognised, beside real ones, coarse and refined.

    \b
    Example:
      visketch evaluate generate --class cat --class owl -n 100
    """
    model, store = given.load(checkpoint, device, data, split, "encoder", "classifier", "diffusion", "refiner", "vqvae")
    classes = classes or (USUAL if {*USUAL} <= {*model.labels} & {*store.labels} else store.labels[: len(USUAL)])
    from visketch.evaluate import tables as library

    with console.progress() as bar:
        task = bar.add_task("classes")
        found = library.generation(
            model,
            store,
            classes,
            n,
            split,
            lambda done, total: bar.update(task, completed=done, total=total),
            seed=seed,
        )
    if as_json:
        rows = [asdict(row) for row in found]
        console.document(given.about(data, split, model) | {"classes": classes, "n": n, "seed": seed, "rows": rows})
        return
    console.say(f"{n} each of {', '.join(classes)}; seed {seed}; judged by the checkpoint's own classifier", "")
    columns = [
        "",
        "sketches",
        f"best of {len(classes)}",
        f"best of {len(model.labels)}",
        "in the first 5",
        "s a sketch",
    ]
    shares = ((row.top1_among, row.top1, row.top5) for row in found)
    table = [
        [
            row.row,
            row.sketches,
            *(f"{100 * share:.1f} %" for share in three),
            f"{row.seconds:.2f}" if row.seconds else "-",
        ]
        for row, three in zip(found, shares, strict=True)
    ]
    console.table(columns, table)
