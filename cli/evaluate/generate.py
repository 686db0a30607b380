"""`visketch evaluate generate`: a judge compares real, coarse and refined sketches of the same classes."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError

from ..shared import console, options
from ..shared.outputs import Outputs, Overwrite, parse_out
from ..shared.pictures import PNG, check_out
from . import arguments

if TYPE_CHECKING:
    from visketch.evaluate.generation import GenerationTable
    from visketch.evaluate.generation_metrics import Measure, Proportion
    from visketch.evaluate.judges import Judge

NAMED = 20  # up to this many classes are listed by name
# These are mostly animals, so that they are not too easy to tell apart
USUAL = ["bus", "cat", "elephant", "flamingo", "owl", "pig", "sheep"]


def generate(
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="A class to draw; may be repeated. By default seven classes, mostly animals.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=2, help="Sketches of each class.")] = 150,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="An independent judge: the folder of a baseline, or of another checkpoint with a classifier. By "
            "default the checkpoint's own classifier."
        ),
    ] = None,
    seen: Annotated[
        Literal["picture", "field"],
        typer.Option(
            help="The judge sees each sketch as a picture that was written and read, or as the model's field."
        ),
    ] = "picture",
    samples: Annotated[
        Path | None,
        typer.Option(
            envvar="VISKETCH_SAMPLES",
            help="A folder of <class>.ndjson, such as sketch-rnn's samples, for a row of its own.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            parser=parse_out, metavar="PATH", help="Write some sketches of every row and class to this .png file."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(parser=parse_out, metavar="PATH", help="Draw the figures as bars in this .png file.")
    ] = None,
    guidance: options.Guidance = None,
    canvas: Annotated[
        int | None,
        typer.Option(min=8, max=4096, metavar="PIXELS", help="Draw and refine on 128 (by default), 256 ... pixels."),
    ] = None,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="Draw each sketch this often and keep the one that the classifier finds most probable.",
        ),
    ] = 1,
    data: arguments.Data = arguments.DATA,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Which real drawings.")] = "test",
    every: Annotated[
        bool, typer.Option("--all", help="All classes that both the checkpoint and the data have.")
    ] = False,
    order: Annotated[
        Literal["waves", "one-by-one"], typer.Option(help="Refine many tiles at once, or one after another.")
    ] = "waves",
    seed: options.Seed = 0,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Measure generated sketches beside real drawings.

    Coarse and refined sketches have their own rows, and so have other people's samples. Every row has the same number
    of sketches of each class. The seeds are --seed and the numbers after it. Everything that the model draws is judged;
    with --tries N, only the best of N by the classifier, as in `visketch generate`. Weights and data are never written,
    and existing pictures are only replaced with --overwrite.

    \b
    Examples:
      visketch evaluate generate --data quickdraw.arrow --judge runs/judge --sheet table.png
      visketch evaluate generate --class cat,owl -n 20
      visketch evaluate generate --all -n 4 --data quickdraw.arrow --judge runs/judge
    """
    if every and classes:
        raise UsageError("--all takes every class; leave out --class")
    for out in filter(None, (sheet, plot)):
        check_out(out, PNG, folders=False)
        Outputs((), overwrite).check(out)
    if tries > 1 and not judge:
        raise UsageError("without --judge the classifier would judge what it chose among --tries; name a judge")
    classes, shape = options.several_classes(checkpoint, classes or []), options.shape_on(checkpoint, canvas)
    if plot:
        from . import chart  # before any work, since it raises UsageError if matplotlib is missing
    model, store = arguments.load(checkpoint, device, data, split, "diffusion", "encoder", "refiner", "vqvae")
    from visketch.evaluate import generation, judges

    if tries > 1 or not judge:
        options.load_parts(model, "classifier")
    asked: Judge = judges.load(judge, str(model.device)) if judge else judges.ClassifierJudge(model)
    if every:
        classes = [label for label in model.labels if label in asked.labels and store.has(split, [label])]
    classes = classes or (USUAL if {*USUAL} <= {*model.labels} & {*store.labels} else store.labels[: len(USUAL)])
    from visketch.render.generation_sheet import GenerationSheet

    kept = GenerationSheet(model.config.sketch)
    settings = generation.Settings(n, seed, split, seen, order, guidance=guidance, tries=tries, canvas=shape.canvas)
    with console.progress() as bar:
        task = bar.add_task("")

        def on_progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        found = generation.table(model, asked, store, classes, settings, samples, on_progress, kept)
    if sheet:
        from ..shared.pictures import write_png

        # Paths are left out, since they would reveal the user's folders.
        made = {"checkpoint": model.config.name, "classes": found.classes, **asdict(found.settings)}
        captions = [(row.row, f"{100 * row.top1_among.value:.1f} % recognised") for row in found.rows]
        write_png(sheet, kept.pixels(found.classes, captions), made)
    if plot:
        chart.write(plot, found, asked)
    if as_json:
        facts = describe(found, asked) | {"samples": samples, "sheet": sheet, "plot": plot}
        console.document(arguments.about(data, split, model) | facts)
    else:
        show(found, asked, samples, [out for out in (sheet, plot) if out])


def describe(found: "GenerationTable", judge: "Judge") -> dict[str, Any]:
    """All figures, and how they were made, for programs. The real drawings are the first row."""
    facts = asdict(found)
    facts |= facts.pop("settings")
    facts["judge"] = {"name": judge.name, "independent": judge.independent, "classes": len(judge.labels)}
    for row in facts["rows"]:
        row["by_class"] = dict(zip(found.classes, row["by_class"], strict=True))
        for name in ("diversity", "nearest"):
            row[f"{name}_of_real"] = ratio(row[name]["value"], facts["rows"][0][name]["value"])
    return facts


def ratio(value: float, real: float) -> float | None:
    return value / real if real else None


def show(found: "GenerationTable", judge: "Judge", samples: Path | None, written: list[Path]) -> None:
    """Print the figures for people: two tables, and what their columns mean."""
    settings, asked, known = found.settings, len(found.classes), len(judge.labels)
    named = ", ".join(found.classes) if asked <= NAMED else f"{asked} classes"
    who = judge.name if judge.independent else "the checkpoint's own classifier, no independent judge (--judge)"
    console.say(
        f"{settings.n} each of {named}; seeds from {settings.seed}",
        f"judged by {who}; sketches seen as {settings.seen}s",
        "",
    )
    console.table(
        [
            "top-1 and top-3, 95 % intervals",
            "sketches",
            f"of {asked}",
            f"top-3 of {asked}",
            f"of {known}",
            "s a sketch",
        ],
        [
            [
                row.row,
                row.sketches,
                *map(share, (row.top1_among, row.top3_among, row.top1)),
                "-" if row.seconds is None else f"{row.seconds:.2f}",
            ]
            for row in found.rows
        ],
    )
    console.say("")
    console.table(
        ["± spread over sets", "C2ST", "precision", "recall"],
        [
            [row.row, *(["-"] * 3 if like is None else map(percent, (like.c2st, like.precision, like.recall)))]
            for row in found.rows
            for like in [row.likeness]
        ],
    )
    real = found.rows[0]
    rows = [
        [
            row.row,
            measure(row.fid),
            measure(row.kid),
            measure(row.diversity, real.diversity.value),
            measure(row.nearest, real.nearest.value),
            percent(row.seam),
        ]
        for row in found.rows
    ]
    console.say("")
    console.table(["± standard error", "FID", "KID", "diversity", "nearest", "seam, %"], rows)
    console.say("")
    explain(found)
    if real.sketches < settings.n * asked:
        console.note(f"The rarest class has only {real.sketches // asked} real drawings.")
    if not samples:
        console.note("No row of other samples: name a folder of them with --samples.")
    for path in written:
        console.say(f"written: {path}")


def explain(found: "GenerationTable") -> None:
    """Print what the columns of the tables mean."""
    console.note(
        f"In the judge's features: FID and KID to {found.reference:,} training drawings, FID of "
        f"{found.fid_sketches:,} sketches of every row, so that rows can be compared; diversity, and distance to the "
        f"nearest of {found.training:,} training drawings, where real drawings have 1 and copies nearly 0. Seam: "
        "the jump of the field where leaves meet, in % of the pen's width; 0 where no leaves were drawn."
    )
    console.note(
        f"Against {found.held_out:,} real drawings that no training saw, with as many sketches of every row: C2ST, the "
        "accuracy of a linear classifier that tells them apart (50 % is best); precision, the share of the sketches "
        "that lie among the real drawings; recall, the share of the real drawings that lie among the sketches."
    )


def share(found: "Proportion") -> str:
    return f"{100 * found.value:5.1f} % ({100 * found.low:.1f}–{100 * found.high:.1f})"


def percent(found: "Measure") -> str:
    """A percentage with its error. It has one decimal, since the error itself may be smaller than 1: `16.0 ± 0.4`."""
    error = "" if found.error is None else f" ± {100 * found.error:.1f}"
    return f"{round(100 * found.value, 1) + 0:.1f}{error}"  # + 0 avoids -0.0


def measure(found: "Measure", unit: float = 1.0) -> str:
    """A value with as many digits as its error allows: `12.3 ± 0.4`. `unit` is the value that is shown as 1."""
    if not unit:
        return "-"
    value = found.value / unit
    if not found.error:
        return f"{value:.3g}"
    error = found.error / unit
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"
