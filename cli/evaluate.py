"""`visketch evaluate`: the figures that say how good a checkpoint is."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError

from . import console, options

if TYPE_CHECKING:
    from visketch.data.store import Store
    from visketch.model import ViSketch

app = typer.Typer(no_args_is_help=True, help="Measure a checkpoint on a data set.")

USUAL = [
    "bus",
    "cat",
    "elephant",
    "flamingo",
    "owl",
    "pig",
    "sheep",
]  # ours: animals mostly, so that they are not too easily told apart

Data = Annotated[
    Path, typer.Option("--data", envvar="VISKETCH_DATA", help="A data set written by `visketch data pack`.")
]
Split = Annotated[Literal["train", "validation", "test"], typer.Option(help="Which drawings.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many drawings, an even sample.")]

DATA = Path("quickdraw.arrow")


@app.command()
def vqvae(
    data: Data = DATA,
    split: Split = "test",
    limit: Limit = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """How well drawings survive being written in codes and read back.

    \b
    Example:
      visketch evaluate vqvae --data quickdraw.arrow --limit 2000
    """
    model, store = load(checkpoint, device, data, split, "vqvae")
    from visketch import evaluate as library

    with console.progress() as bar:
        task = bar.add_task("drawings")
        found = library.vqvae(
            model, store, split, limit, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        console.document(about(data, split, model) | asdict(found))
        return
    console.say(f"{found.sketches:,} drawings ({split})")
    rows = [
        ["ink F1, within 1 pixel", f"{100 * found.ink_f1:.1f} %"],
        ["mean squared error of the field", f"{found.mse:.5f}"],
        ["code book perplexity", f"{found.perplexity:.1f} of {found.codebook_size}"],
    ]
    console.table(["", ""], rows)


@app.command()
def classify(
    data: Data = DATA,
    split: Split = "test",
    limit: Limit = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """How often drawings are recognised.

    \b
    Example:
      visketch evaluate classify --data quickdraw.arrow --split test
    """
    model, store = load(checkpoint, device, data, split, "encoder", "classifier")
    from visketch import evaluate as library

    with console.progress() as bar:
        task = bar.add_task("drawings")
        found = library.classify(
            model, store, split, limit, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        console.document(about(data, split, model) | asdict(found))
        return
    console.say(f"{found.sketches:,} drawings ({split}), {len(store.labels)} classes")
    rows = [
        ["top-1", f"{100 * found.top1:.1f} %"],
        ["top-5", f"{100 * found.top5:.1f} %"],
        ["top-1, mean over classes", f"{100 * found.class_mean:.1f} %"],
        ["a drawing takes", f"{found.milliseconds:.1f} ms"],
    ]
    console.table(["", ""], rows)


@app.command()
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
    data: Data = DATA,
    split: Split = "test",
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
    model, store = load(checkpoint, device, data, split, "encoder", "classifier", "diffusion", "refiner", "vqvae")
    classes = classes or (USUAL if {*USUAL} <= {*model.labels} & {*store.labels} else store.labels[: len(USUAL)])
    from visketch import evaluate as library

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
        console.document(about(data, split, model) | {"classes": classes, "n": n, "seed": seed, "rows": rows})
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


def load(checkpoint: str | None, device: str, data: Path, split: str, *parts: str) -> "tuple[ViSketch, Store]":
    """The model with its parts, and the data set. Raises UsageError, VisketchError."""
    from visketch.data.store import Store

    store = Store.open(data)
    if not len(store.rows(split)):
        raise UsageError(f"{data}: has no {split} drawing; choose another --split")
    model = options.load(checkpoint, device)
    options.load_parts(model, *parts)
    return model, store


def about(data: Path, split: str, model: "ViSketch") -> dict[str, Any]:
    return {"checkpoint": model.config.name, "data": data, "split": split}
