"""`visketch morph`: turn one drawing into another, in steps that are drawings themselves."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visketch.errors import UsageError

from .shared import console, inputs, options
from .shared.filenames import stem, stem_of
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import MOVING, PNG, Sheet, check_out, columns_for

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch
    from visketch.model import Prediction, SketchModel

KINDS = (*PNG, ".svg", *MOVING)


def morph(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[FIRST LAST]", show_default=False, help="Two drawings.")
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="The classes of the two, in their order: cat,owl. By default the classifier's guesses.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            help="Instead of FIRST: draw a sketch of this class.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="NAME",
            help="Instead of LAST: draw a sketch of this class.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=120, help="How many drawings, including both ends.")] = 12,
    strength: Annotated[
        float,
        typer.Option("--strength", "-s", min=0, max=0.99, help="How much is drawn anew in the middle; 0: nothing."),
    ] = 0.75,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_out,
            metavar="PATH",
            help="A .png for a sheet; a .gif, .webp or .svg for an animation.",
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=8, max=1024, help="Pixels of a drawing's side.")] = 256,
    seed: options.Seed = 0,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Turn one drawing into another.

    The strokes of the first become the strokes of the second, and the model draws every step between them anew, so that
    each step is a sketch of something. This needs weights that draw strokes. The sheet goes to ./<first>-<last>.png, or
    to the next free name. A .gif, .webp or .svg moves there and back. Colours, fills (their outline is kept) and the
    widths of single strokes are lost. Input files are never written, and existing files are only replaced with
    --overwrite.

    \b
    Examples:
      visketch morph cat.svg owl.svg
      visketch morph cat.svg owl.svg --steps 24 --out cat-owl.gif
      visketch morph --from cat --to owl --seed 7 --out cat-owl.svg
    """
    drawn = asked(paths or [], start, end)
    asked_for = options.split_names(classes) if classes else [name for name in (start, end) if name]
    names = options.check_classes(checkpoint, asked_for)
    if len(names) not in (0, 2):
        raise UsageError(f"--class: {len(names)} named; name what each of the two drawings shows, or neither")
    ends = [stem(name) for name in names] if drawn else [stem_of(path) for path in paths or []]
    usual = Path(f"{'-'.join(ends)}.png")
    check_out(out or usual, KINDS, folders=False)
    outputs = Outputs(paths or [], overwrite)
    if out:
        outputs.check(out)
    sketches = [inputs.first_drawing(path)[1] for path in paths or []]
    model = options.load(checkpoint, device)
    options.load_parts(model, model.config.coarse_part("strokes"), "encoder", "classifier")
    begin = time.perf_counter()
    from visketch.geometry.sketch import Sketch

    if drawn:
        made = model.generate_fields(names, 1, seed=seed, refine=False, coarse="strokes")
        pairs = zip(made.strokes or (), names, strict=True)
        sketches = [Sketch(strokes=strokes, label=name, source=name) for strokes, name in pairs]
    taken = [] if names else [guess for (guess,) in model.classify_many(sketches, top=1)]
    labels = names or [guess.label for guess in taken]
    with outputs.place(out, usual) as chosen:
        facts: dict[str, Any] = {"classes": labels, "steps": steps, "strength": strength, "seed": seed, "size": size}
        guesses = write(model, sketches, facts | {"checkpoint": model.config.name}, outputs.take(chosen))
    rows = [{"label": guess.label, "probability": round(guess.probability, 6)} for guess in guesses]
    if as_json:
        console.document({"path": chosen, **facts, "seconds": round(time.perf_counter() - begin, 3), "drawings": rows})
    else:
        console.say(f"{labels[0]} to {labels[1]} in {steps} steps: {chosen}")
        if taken:
            sure = " and ".join(f"{guess.label} ({100 * guess.probability:.0f} % sure)" for guess in taken)
            console.note(f"taken for {sure} by the classifier; name the classes with --class")
        console.note(f"seed {seed} · the steps look like {', '.join(dict.fromkeys(guess.label for guess in guesses))}")


def asked(paths: list[str], start: str | None, end: str | None) -> bool:
    """Whether the model is to draw both ends. Raises UsageError for anything but two drawings or two classes."""
    if paths and (start or end):
        raise UsageError("name two drawings, or two classes with --from and --to, not both")
    if not paths and not (start and end):
        raise UsageError("name two drawings, or two classes with --from and --to")
    if paths and len(paths) != 2:
        raise UsageError(f"{len(paths)} drawing{'' if len(paths) == 1 else 's'} named; name two")
    return not paths


def write(model: "SketchModel", sketches: list["Sketch"], facts: dict[str, Any], path: Path) -> list["Prediction"]:
    """Draw the steps and write them to a file. Returns the classifier's guess for each step. Raises VisketchError."""
    from visketch.geometry.sketch import on_canvas
    from visketch.geometry.trace import Trace
    from visketch.render.morphing import write_morph
    from visketch.tasks.morph import morph as morphed

    with console.progress() as bar:
        task = bar.add_task("morph")
        first, last = sketches
        found = morphed(
            model,
            first,
            last,
            (facts["classes"][0], facts["classes"][1]),
            steps=facts["steps"],
            strength=facts["strength"],
            seed=facts["seed"],
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    sketches, shape = found.sketches(), model.config.sketch
    fields = model.render(sketches)
    if path.suffix.lower() == ".png":
        sheet = Sheet(len(fields), columns_for(1, len(fields)), facts["size"])
        for number, (sketch, field) in enumerate(zip(sketches, fields, strict=True)):
            lines = Trace(on_canvas(sketch.lines(), shape.margin, shape.canvas), shape.pen * shape.canvas)
            sheet.add(number, field, shape.clamp, lines)
        sheet.write(path, facts)
    else:
        write_morph(path, found, facts["size"], shape.pen, facts)
    return [guess for (guess,) in model.classify_fields(fields, top=1)]
