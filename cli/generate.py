"""`visketch generate`: draw new sketches of a class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError

from .shared import console, inputs, options
from .shared.filenames import stem
from .shared.generation import Order, place_of, write
from .shared.outputs import Outputs, Overwrite, parse_drawings_out
from .shared.pictures import DRAWINGS, check_out, is_picture, moves, suffix_of

NAMED = 12  # the most classes that the result names

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch
    from visketch.model import SketchModel


def generate(
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="What to draw: cat, or cat,dog, or all; may be repeated.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000_000, help="How many of each class.")] = 16,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_drawings_out,
            metavar="PATH",
            help="A folder for the sketches and a sheet of them, or a .png, .svg, .ndjson, .gif or .webp file.",
        ),
    ] = None,
    kind: options.Format = None,
    animate: options.Animate = False,
    detail: Annotated[
        str, typer.Option(metavar="few|usual|many|N", help="Few or many strokes for the class, or their number.")
    ] = "usual",
    source: Annotated[
        str | None,
        typer.Option("--like", metavar="DRAWING", help="Draw variations of this drawing, a file for `classify`."),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option("--strength", "-s", min=0, max=1, help="With --like: how much may change; by default 0.4."),
    ] = None,
    size: Annotated[int | None, typer.Option(min=8, max=4096, help="Side in pixels; by default the canvas.")] = None,
    seed: options.Seeds = 0,
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
    coarse: options.Coarse = None,
    refine: Annotated[
        bool | None,
        typer.Option("--refine/--no-refine", help="Redraw every tile; by default a field is refined, strokes are not."),
    ] = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    skip_done: Annotated[
        bool, typer.Option("--skip-done", help="Continue the .ndjson file of an interrupted run.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Draw new sketches of a class.

    Without --out, a sheet of them goes to ./<class>.png, or to the next free name. With the same seed, sketch number i
    is the same however many you ask for. An SVG has centre lines with round ends, as a pen would draw them. An
    animation draws them in their order. An ndjson file has the same strokes in the form of Quick, Draw!'s files, one
    sketch on a line, with its seed and its score (the classifier's probability). It is written line by line, and
    --skip-done continues it. Strokes that the coarse stage draws are not refined, unless you ask for it with --refine.
    The refiner redraws pixels, so the strokes of a refined sketch are traced in its picture. Input files are never
    written, and existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch generate --class cat
      visketch generate --class cat --class dog -n 4 --out pets/
      visketch generate --class "alarm clock" -n 1 --size 512 --out clock.png --seed 7
      visketch generate --class cat -n 1 --out cat.svg
      visketch generate --class cat -n 1 --animate --out cat.svg
      visketch generate --class owl -n 9 --detail few --out owls.gif
      visketch generate --like my-cat.svg --strength 0.4 -n 9 --out variations.png
      visketch generate --class all -n 100 --out drawings.ndjson
    """
    rough = None
    if source:
        rough, classes = like_what(source, classes, checkpoint, device)
    elif strength is not None:
        raise UsageError("--strength says how much of a drawing may change; name the drawing with --like")
    if not classes:
        raise UsageError("name what to draw with --class, or a drawing with --like")
    classes = options.several_classes(checkpoint, classes)
    name = stem(classes[0]) if len(classes) == 1 else "sketches"
    usual = Path(f"{name}.{kind or 'png'}")
    check_out(out or usual, DRAWINGS)
    suffix = suffix_of(out or usual, kind)
    animate = moves(suffix, animate)
    outputs = Outputs([source] if source else (), overwrite)
    if skip_done and (suffix != ".ndjson" or overwrite or out is None):
        raise UsageError("--skip-done continues an .ndjson file; name it with --out, and leave out --overwrite")
    if out and not skip_done:
        check_all(outputs, out, suffix, classes, n)
    from visketch.tasks.like import STRENGTH

    asked: dict[str, Any] = {"tries": tries, "coarse": coarse, "steps": steps, "guidance": guidance, "top_p": top_p}
    asked |= {"temperature": temperature, "order": order, "refine": refine, "detail": options.parse_detail(detail)}
    model = options.load(checkpoint, device)
    settings = settle(model, asked)
    if rough:
        settings |= {"like": Path(str(source)).name, "strength": STRENGTH if strength is None else strength}
    side = size or model.config.sketch.canvas
    wanted = Order(model, classes, n, seed, settings, side, suffix, animate, rough)
    with outputs.place(out, usual) as chosen:
        try:
            result = write(wanted, chosen, outputs, overwrite or out is None, skip_done)
        except UsageError as error:
            raise options.named(error) from error
    if as_json:
        console.document(result)
    else:
        show(result, classes, n)


def like_what(
    source: str, classes: list[str] | None, checkpoint: str | None, device: str
) -> tuple["Sketch", list[str]]:
    """The drawing of --like, and the classes of its variations. If no class is named, it is the classifier's guess.

    Raises VisketchError, with the name of the drawing.
    """
    name, sketch = inputs.first_drawing(source)
    if classes:
        return sketch, classes
    model = options.load(checkpoint, device)
    options.load_parts(model, "encoder", "classifier")
    guess = model.classify_many([sketch], top=1)[0][0]
    sure = f"{100 * guess.probability:.0f} % sure"
    console.note(f"{name}: {guess.label}, the classifier's guess, {sure}; name the class with --class")
    return sketch, [guess.label]


def settle(model: "SketchModel", asked: dict[str, Any]) -> dict[str, Any]:
    """Fill in the checkpoint's defaults for the options, and load the parts that they need. Raises VisketchError."""
    coarse, stage = asked["coarse"] or model.config.coarse, model.config.stage(asked["coarse"])
    settings = asked | {"coarse": coarse, "tries": asked["tries"] or 1}
    settings["refine"] = options.sampling({"refine": asked["refine"]}).refined(coarse)
    settings |= {name: getattr(stage, name) for name in ("steps", "guidance") if asked[name] is None}
    usual, refining = options.sampling({}), ("order", "temperature", "top_p")
    if not settings["refine"] and any(asked[name] != getattr(usual, name) for name in refining):
        console.note("--order, --temperature and --top-p are options of the refiner, which is skipped; add --refine")
    needed = {model.config.coarse_part(coarse)}
    needed |= {"encoder", "refiner", "vqvae"} if settings["refine"] else set()
    needed |= {"encoder", "classifier"} if settings["tries"] > 1 else set()
    options.load_parts(model, *sorted(needed))
    return settings


def check_all(outputs: Outputs, out: Path, suffix: str, classes: list[str], n: int) -> None:
    """Refuse a run that would replace a file, before any work is done. Raises UsageError."""
    if is_picture(out):
        outputs.check(out)
        return
    there = {path.name.casefold() for path in out.iterdir()} if out.is_dir() else set()
    wanted = (place_of(out, suffix, stem(label), number, alone=True) for label in classes for number in range(n))
    for path in wanted if there else ():
        if path and path.name.casefold() in there:
            outputs.check(path)


def show(result: dict[str, Any], classes: list[str], n: int) -> None:
    """Print the result for people."""
    sheet = result["sheet"]
    named = ", ".join(classes) if len(classes) <= NAMED else f"{len(classes)} classes"
    what = f"{n} each of {named}" if len(classes) > 1 else f"{n} × {classes[0]}" if n > 1 else classes[0]
    if result["paths"] == [sheet]:
        console.say(f"{what}: {sheet}")
    else:
        console.say(
            f"{what}: {result['paths'][0]}" + (f" … {result['paths'][-1].name}" if len(result["paths"]) > 1 else "")
        )
        if sheet not in result["paths"]:
            console.say(f"all on one sheet: {sheet}")
    order = result["order"].replace("waves", "in waves").replace("-", " ")
    refined = f"{result['coarse']}, {f'refined {order}' if result['refine'] else 'not refined'}"
    seconds = console.duration(result["seconds"])
    steps = console.many(result["steps"], "coarse step")
    if before := result["done_before"]:
        new = f"{len(result['sketches']):,} new" if result["sketches"] else "nothing new"
        console.note(f"{new}, {console.there_before(before)}")
    console.note(f"seed {result['seed']} · {steps} · {refined} · {seconds} on {result['device']}")
