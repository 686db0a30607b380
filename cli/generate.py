"""`visketch generate`: draw new sketches of a class."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError

from .shared import console, options
from .shared.filenames import stem
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import (
    Lines,
    Sheet,
    SheetOfStrokes,
    check_out,
    columns_for,
    is_picture,
    suffix_of,
    trace,
    write_sketch,
)

if TYPE_CHECKING:
    from torch import Tensor

    from visketch.geometry.trace import Trace
    from visketch.model import Frame, SketchModel

BATCH = 64  # sketches drawn at once, so that memory does not grow with -n


def generate(
    classes: Annotated[
        list[str],
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="The class to draw; may be repeated.",
            autocompletion=options.complete_class,
        ),
    ],
    n: Annotated[
        int, typer.Option("-n", "--number", min=1, max=1_000_000, help="How many sketches of each class.")
    ] = 16,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_out,
            metavar="PATH",
            help="A folder for the sketches and a sheet of them, or a .png, .svg or .ndjson file.",
        ),
    ] = None,
    kind: options.Format = None,
    size: Annotated[
        int | None, typer.Option(min=8, max=4096, help="Side in pixels; by default the model's canvas.")
    ] = None,
    seed: options.Seed = 0,
    tries: options.Tries = None,
    steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Steps of the coarse stage.")] = None,
    guidance: options.Guidance = None,
    temperature: options.Temperature = 0.7,
    top_p: Annotated[
        float,
        typer.Option(
            min=0.01, max=1, help="The refiner samples among the most probable codes that make up this share."
        ),
    ] = 0.95,
    order: Annotated[
        Literal["waves", "one-by-one"], typer.Option(help="Refine many tiles at once, or one after another.")
    ] = "waves",
    coarse: Annotated[
        Literal["strokes", "field"] | None,
        typer.Option(help="What the coarse stage draws; by default what the checkpoint is made for."),
    ] = None,
    coarse_only: Annotated[bool, typer.Option("--coarse-only", help="Skip the refiner.")] = False,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Draw new sketches of a class.

    Without --out, a sheet of them goes to ./<class>.png, or to the next free name. Sketch number i of a seed is the
    same however many are drawn. SVG has centre lines with round ends, as a pen would draw them: the strokes of the
    coarse stage if it draws strokes, or else lines traced in the picture. ndjson has the same strokes in the format of
    Quick, Draw!, one sketch a line and one file for each class. Existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch generate --class cat
      visketch generate --class cat --class dog -n 4 --out pets/
      visketch generate --class "alarm clock" -n 1 --size 512 --out clock.png --seed 7
      visketch generate --class cat -n 1 --out cat.svg
      visketch generate --class cat --class dog -n 100 --out pets/ --format ndjson
    """
    classes = list(dict.fromkeys(options.check_classes(checkpoint, classes)))
    name = stem(classes[0]) if len(classes) == 1 else "sketches"
    usual = Path(f"{name}.{kind or 'png'}")
    check_out(out or usual)
    suffix = suffix_of(out or usual, kind)
    outputs = Outputs((), overwrite)
    if out:
        check_all(outputs, out, suffix, classes, n)
    from visketch.sampling import SamplingOptions

    model = options.load(checkpoint, device)
    tries = model.tries_of(SamplingOptions(tries=tries))
    stage = model.config.stage(coarse)
    needed = {model.config.coarse_part(coarse)} | (set() if coarse_only else {"encoder", "refiner", "vqvae"})
    options.load_parts(model, *sorted(needed | ({"encoder", "classifier"} if tries > 1 else set())))
    settings = {
        "tries": tries,
        "coarse": coarse or model.config.coarse,
        "steps": steps or stage.steps,
        "temperature": temperature,
        "top_p": top_p,
        "order": order,
    }
    settings |= {
        "guidance": stage.guidance if guidance is None else guidance,
        "coarse_only": coarse_only,
    }
    with outputs.place(out, usual) as chosen:
        side = size or model.config.sketch.canvas
        result = write(model, classes, n, seed, chosen, side, settings, suffix, outputs)
    if as_json:
        console.document(result)
    else:
        show(result, classes, n)


def check_all(outputs: Outputs, out: Path, suffix: str, classes: list[str], n: int) -> None:
    """Refuse a run that would replace a file, before any work. Raises UsageError."""
    if is_picture(out):
        outputs.check(out)
        return
    there = {path.name.casefold() for path in out.iterdir()} if out.is_dir() else set()
    wanted = (place_of(out, suffix, stem(label), number, alone=True) for label in classes for number in range(n))
    for path in (out / "sheet.png", *wanted) if there else ():
        if path and path.name.casefold() in there:
            outputs.check(path)


def write(
    model: "SketchModel",
    classes: list[str],
    n: int,
    seed: int,
    out: Path,
    side: int,
    settings: dict[str, Any],
    suffix: str,
    outputs: Outputs,
) -> dict[str, Any]:
    """Draw the sketches and write each batch; returns what to print about them. Raises VisketchError."""
    stems = {label: stem(label) for label in classes}
    if len(set(stems.values())) < len(stems):
        raise UsageError("two of these classes would get the same file names; draw them in separate runs")
    start, clamp = time.perf_counter(), model.config.sketch.clamp
    facts = {"seed": seed, **settings, "size": side, "checkpoint": model.config.name}
    columns, sketches = columns_for(len(classes), n), list[dict[str, Any]]()
    sheet: Sheet | SheetOfStrokes | None = None
    if not (is_picture(out) and (suffix == ".ndjson" or n * len(classes) == 1)):
        sheet = (SheetOfStrokes if is_picture(out) and suffix == ".svg" else Sheet)(n * len(classes), columns, side)
    with telling(sketches, n * len(classes), suffix), ExitStack() as files:
        lines: dict[Path, Lines] = {}
        for label, number, canvas, drawn in draw(model, classes, n, seed, settings):
            about = facts | {"class": label, "seed": seed + number}
            path = place_of(out, suffix, stems[label], number, alone=sheet is None)
            if sheet:
                sheet.add(classes.index(label) * n + number, canvas, clamp, drawn)
            if suffix == ".ndjson" and path:
                if path not in lines:
                    lines[path] = files.enter_context(Lines(outputs.take(path)))
                lines[path].add(trace(canvas, clamp, side, drawn), label)
            elif path:
                write_sketch(outputs.take(path), canvas, clamp, side, about, drawn)
            sketches.append({"class": label, "seed": seed + number, "path": path})
    on_sheet = out if is_picture(out) else out / "sheet.png"
    if sheet:
        sheet.write(outputs.take(on_sheet), facts | {"classes": classes, "n": n})
    return {
        "paths": list(dict.fromkeys(sketch["path"] for sketch in sketches if sketch["path"])) or [on_sheet],
        "sheet": on_sheet,
        **facts,
        "seconds": round(time.perf_counter() - start, 3),
        "device": str(model.device),
        "sketches": sketches,
    }


@contextmanager
def telling(sketches: list[dict[str, Any]], total: int, suffix: str) -> Iterator[None]:
    """If interrupted, print how many of the sketches have a file. An ndjson file appears when it is complete."""
    try:
        yield
    except KeyboardInterrupt:
        written = 0 if suffix == ".ndjson" else sum(sketch["path"] is not None for sketch in sketches)
        console.note(f"{written:,} of {total:,} sketches are written")
        raise


def place_of(out: Path, suffix: str, name: str, number: int, alone: bool) -> Path | None:
    """The file of a sketch; None if it only goes on the sheet."""
    if is_picture(out):
        return out if alone else None
    return out / (f"{name}.ndjson" if suffix == ".ndjson" else f"{name}-{number:04d}{suffix}")


def draw(
    model: "SketchModel", classes: list[str], n: int, seed: int, settings: dict[str, Any]
) -> Iterator[tuple[str, int, "Tensor", "Trace | None"]]:
    """Every sketch as its class, its number, its field (h h) and the strokes of the coarse stage, if it drew strokes.
    Draws in batches and shows a progress bar.
    """
    from visketch.geometry.trace import Trace

    pen = model.config.sketch.pen * model.config.sketch.canvas
    with console.progress() as bar:
        coarse, refine = bar.add_task("coarse"), bar.add_task("refine", visible=not settings["coarse_only"])
        tasks = {"coarse": coarse, "refine": refine}

        def on_progress(frame: "Frame") -> None:
            bar.update(tasks[frame.stage], completed=frame.done, total=frame.total)

        done, total = 0, n * len(classes)
        for labels, first, count in batches(classes, n, max(1, BATCH // settings["tries"])):
            many = f" [dim]{done + 1}-{done + len(labels) * count} of {total}[/]" if total > 1 else ""
            bar.reset(coarse, description=f"coarse{many}")
            bar.reset(refine, description=f"refine{many}")
            made = model.generate_fields(
                labels,
                count,
                seed=seed + first,
                options=options.sampling(settings),
                coarse_only=settings["coarse_only"],
                on_progress=on_progress,
            )
            done += len(made.canvas)
            for place, field in enumerate(made.canvas):
                drawn = Trace(made.strokes[place], pen) if made.strokes else None
                yield labels[place // count], first + place % count, field, drawn


def batches(classes: list[str], n: int, most: int = BATCH) -> Iterator[tuple[list[str], int, int]]:
    """(classes, the first number, how many of each), with at most `most` sketches at a time."""
    together = max(1, most // n)
    for at in range(0, len(classes), together):
        for first in range(0, n, most):
            yield classes[at : at + together], first, min(most, n - first)


def show(result: dict[str, Any], classes: list[str], n: int) -> None:
    """Print the result for people."""
    sheet = result["sheet"]
    what = f"{n} each of {', '.join(classes)}" if len(classes) > 1 else f"{n} × {classes[0]}" if n > 1 else classes[0]
    if result["paths"] == [sheet]:
        console.say(f"{what}: {sheet}")
    else:
        console.say(
            f"{what}: {result['paths'][0]}" + (f" … {result['paths'][-1].name}" if len(result["paths"]) > 1 else "")
        )
        if sheet not in result["paths"]:
            console.say(f"all on one sheet: {sheet}")
    refined = (
        "coarse only"
        if result["coarse_only"]
        else f"refined {result['order'].replace('waves', 'in waves').replace('-', ' ')}"
    )
    seconds = console.duration(result["seconds"])
    console.note(
        f"seed {result['seed']} · {result['steps']} coarse steps · {refined} · {seconds} on {result['device']}"
    )
