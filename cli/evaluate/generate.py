"""`visketch evaluate generate`: a judge classifies real, coarse and refined sketches of the same classes."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError

from ..shared import console, options
from ..shared.outputs import Overwrite, parse_out
from ..shared.pictures import PNG, check_out, is_picture
from . import arguments

if TYPE_CHECKING:
    from visketch.evaluate.generation import GenerationTable
    from visketch.evaluate.generation_metrics import Measure, Proportion
    from visketch.evaluate.judges import Judge

# Ours: animals mostly, so that they are not too easily told apart.
NAMED = 20  # classes that are named one by one
USUAL = ["bus", "cat", "elephant", "flamingo", "owl", "pig", "sheep"]


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
    n: Annotated[int, typer.Option("-n", "--number", min=2, help="Sketches of each class.")] = 150,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="An independent judge: the folder of a checkpoint with a baseline. By default the own classifier."
        ),
    ] = None,
    seen: Annotated[
        Literal["picture", "field"],
        typer.Option(help="The judge sees every sketch as a PNG is read, or as the field that came out of the model."),
    ] = "picture",
    samples: Annotated[
        Path | None,
        typer.Option(
            envvar="VISKETCH_SAMPLES", help="A folder of <class>.ndjson: sketch-rnn's, for a row of their own."
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(parser=parse_out, metavar="PATH", help="A .png file for some sketches of every row and class."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(parser=parse_out, metavar="PATH", help="A .png file for the figures as bars.")
    ] = None,
    guidance: options.Guidance = None,
    tries: Annotated[
        int,
        typer.Option(min=1, max=64, metavar="N", help="Draw each so often and keep what the classifier likes best."),
    ] = 1,
    data: arguments.Data = arguments.DATA,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Which real drawings.")] = "test",
    every: Annotated[bool, typer.Option("--all", help="All classes that the checkpoint and the data know.")] = False,
    order: Annotated[
        Literal["waves", "one-by-one"], typer.Option(help="Refine many tiles at once, or one after another.")
    ] = "waves",
    seed: options.Seed = 0,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """How good generated sketches are: beside real ones and other people's, coarse and refined, to one judge.

    Every row has the same number of each class. The seeds are --seed and those that follow it. What is judged is
    what the model draws, unless of --tries N sketches the classifier keeps one, as `visketch generate` does.

    \b
    Examples:
      visketch evaluate generate --data quickdraw.arrow --judge runs/judge --sheet table.png
      visketch evaluate generate --class cat --class owl -n 20
      visketch evaluate generate --all -n 4 --data quickdraw.arrow --judge runs/judge
    """
    if every and classes:
        raise UsageError("--all takes every class: leave out --class")
    for out in (sheet, plot):
        if out and not is_picture(check_out(out, PNG)):
            raise UsageError(f"{out}: it is one picture; name a .png file")
    if tries > 1 and not judge:
        raise UsageError("without --judge the classifier would judge what it chose among --tries; name a judge")
    options.check_classes(checkpoint, classes or [])
    if plot:
        from . import chart  # now, since where matplotlib is missing it says so
    model, store = arguments.load(checkpoint, device, data, split, "diffusion", "encoder", "refiner", "vqvae")
    from visketch.evaluate import generation, judges

    if judge:
        asked: Judge = judges.BaselineJudge.load(judge, str(model.device))
    else:
        options.load_parts(model, "classifier")
        asked = judges.OwnJudge(model)
    if every:
        classes = [label for label in model.labels if label in asked.labels and store.has(split, [label])]
    classes = classes or (USUAL if {*USUAL} <= {*model.labels} & {*store.labels} else store.labels[: len(USUAL)])
    from visketch.render.generation_sheet import GenerationSheet

    if tries > 1:
        options.load_parts(model, "classifier")
    kept = GenerationSheet(model.config.sketch.clamp)
    settings = generation.Settings(n, seed, split, seen, order, guidance=guidance, tries=tries)
    with console.progress() as bar:
        task = bar.add_task("")

        def on_progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        found = generation.table(model, asked, store, classes, settings, samples, on_progress, kept)
    if sheet:
        from ..shared.pictures import write_png

        # Without paths: they would give away the user's folders.
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
    """All figures and what they are of, for programs. The real drawings are the first row."""
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
    """The same for people: two tables, and what their columns mean."""
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
        console.note(f"There are only {real.sketches // asked} real drawings of the rarest class.")
    if not samples:
        console.note("No row of other people's sketches: --samples names a folder of them.")
    for path in written:
        console.say(f"written: {path}")


def explain(found: "GenerationTable") -> None:
    """What the columns of the tables mean."""
    console.note(
        f"In the judge's features: FID and KID, to {found.reference:,} training drawings, FID of "
        f"{found.fid_sketches:,} sketches of every row, so that rows compare; diversity, and distance to the nearest "
        f"of {found.training:,} training drawings, where real ones have 1 and copies nearly 0. Seam: "
        "how far the field jumps where leaves meet, in % of the pen's width; if nothing knows of leaves, 0."
    )
    console.note(
        f"Beside {found.held_out:,} real drawings that no training saw, as many sketches of every row: C2ST, how often "
        "a linear classifier tells them apart (50 % at best); precision, the share of the sketches that lie among the "
        "real ones; recall, the share of the real ones that lie among the sketches."
    )


def share(found: "Proportion") -> str:
    return f"{100 * found.value:5.1f} % ({100 * found.low:.1f}–{100 * found.high:.1f})"


def percent(found: "Measure") -> str:
    """Of what may be nothing but rounding, digits do not follow the error: `16.0 ± 0.4`."""
    error = "" if found.error is None else f" ± {100 * found.error:.1f}"
    return f"{round(100 * found.value, 1) + 0:.1f}{error}"  # + 0: there is no -0.0


def measure(found: "Measure", unit: float = 1.0) -> str:
    """A value with as many digits as its error allows: `12.3 ± 0.4`. `unit`: what counts as 1."""
    if not unit:
        return "-"
    value = found.value / unit
    if not found.error:
        return f"{value:.3g}"
    error = found.error / unit
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"
