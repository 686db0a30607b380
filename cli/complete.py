"""`visketch complete`: finish a half-drawn sketch in several ways."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visketch.errors import UsageError, VisketchError

from .shared import console, inputs, options
from .shared.filenames import stem, stem_of
from .shared.outputs import Outputs, Overwrite, parse_drawings_out
from .shared.pictures import DRAWINGS, check_out, is_picture, moves, suffix_of, write_sheet, write_sketch

if TYPE_CHECKING:
    import numpy as np

    from visketch.geometry.sketch import Sketch
    from visketch.geometry.trace import Trace
    from visketch.model import SketchModel
    from visketch.sampling import Frame
    from visketch.tasks.complete import Completion


def complete(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="The drawing so far, in any format that `classify` reads, or -.")
    ],
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="What it becomes: cat, or cat,dog; may be repeated. By default the classifier's guesses.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    n: Annotated[
        int, typer.Option("-n", "--number", min=1, max=1000, help="How many completions, over all classes.")
    ] = 8,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_drawings_out,
            metavar="PATH",
            help="A folder for the sketches and a sheet of them, or a .png file (-n 1: .svg, .ndjson, .gif, .webp).",
        ),
    ] = None,
    kind: options.Format = None,
    animate: options.Animate = False,
    tries: Annotated[
        int, typer.Option(min=1, max=64, help="Placements tried for each completion; the best one is kept.")
    ] = 4,
    size: Annotated[
        int | None, typer.Option(min=8, max=4096, help="Side in pixels; by default the model's canvas.")
    ] = None,
    seed: options.Seeds = 0,
    steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Steps of the coarse stage.")] = None,
    guidance: options.Guidance = None,
    coarse: options.Coarse = None,
    temperature: options.Temperature = 0.7,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Finish a half-drawn sketch, keeping what is drawn.

    The place and the size of the given part in the whole drawing are found by trying several. The sheet shows the part
    first, and then the completions, the best first and at most 64; added ink is blue. The files go to the folder
    ./<name>-completed/, or a single completion (-n 1) to ./<name>-completed.png. Colours and the pen of the given part
    are lost. Input files are never written, and existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch complete part.svg
      visketch complete part.svg --class cat -n 16 --out cats/
      visketch complete part.png --class cat,dog -n 6 --out pets.png
      visketch complete part.svg -n 1 --animate --out whole.svg
    """
    check_out(out or Path("completed.png"), DRAWINGS)
    suffix = suffix_of(out or Path("completed"), kind)
    animate = moves(suffix, animate)
    usual = Path(f"{stem_of(path)}-completed{suffix if n == 1 else ''}")
    if out and is_picture(out) and n > 1:
        if suffix != ".png":
            raise UsageError(f"{out}: holds one completion; use -n 1, or name a folder and --format {suffix[1:]}")
        if animate:
            raise UsageError(f"{out}: a sheet stands still; use -n 1, name a folder, or leave out --animate")
    outputs = Outputs([path], overwrite)
    if out and is_picture(out):
        outputs.check(out)
    classes = options.several_classes(checkpoint, classes or [])
    if len(classes) > n:
        raise UsageError(f"-n {n}: too few for {len(classes)} classes; take at least one completion of each")
    name, part = inputs.first_drawing(path)
    model = options.load(checkpoint, device)
    drawn_by, start = coarse or model.config.coarse, time.perf_counter()
    refined = ("refiner", "vqvae") if drawn_by == "field" else ()  # strokes are never refined
    if not refined and temperature != options.sampling({}).temperature:
        console.note("--temperature is an option of the refiner, which is skipped; add --coarse field")
    options.load_parts(model, model.config.coarse_part(coarse), "encoder", *refined, "classifier")
    settings: dict[str, Any] = {"seed": seed, "tries": tries, "temperature": temperature, "coarse": drawn_by}
    settings |= {"steps": steps or model.config.stage(coarse).steps}
    from visketch.geometry.separate import separate
    from visketch.tasks.complete import PROPOSED, spread, usual_guidance

    settings |= {"guidance": usual_guidance(model.config, coarse) if guidance is None else guidance}
    proposed = [] if classes else model.classify_many([part], top=PROPOSED)[0]
    labels = [str(label) for label in classes or []] * n
    labels = labels[:n] if classes else spread(proposed, n)
    with outputs.place(out, usual) as chosen:
        found = finish(model, part, labels, settings)
        side = size or model.config.sketch.canvas
        result = write(model, name, part, found, chosen, suffix, side, settings, outputs, animate)
    result["seconds"] = round(time.perf_counter() - start, 3)
    if (parts := len(separate(part))) > 1:
        result["separate"] = parts
    result["proposed"] = [{"label": guess.label, "probability": round(guess.probability, 6)} for guess in proposed]
    if as_json:
        console.document(result)
    else:
        show(result)


def finish(model: "SketchModel", part: "Sketch", labels: list[str], settings: dict[str, Any]) -> list["Completion"]:
    """Draw the completions, with a progress bar. Returns them with the best first."""
    from visketch.data.named import about
    from visketch.tasks.complete import best_first
    from visketch.tasks.complete import complete as finished

    with console.progress() as bar:
        task = bar.add_task("coarse")

        def on_progress(frame: "Frame") -> None:
            bar.update(task, completed=frame.done, total=frame.total, description=frame.stage)

        try:
            found = finished(
                model, part, labels, seed=settings["seed"], options=options.sampling(settings), on_progress=on_progress
            )
        except VisketchError as error:
            raise type(error)(f"{part.source}: {about(error, part.source)}") from error
    return best_first(found)


def write(
    model: "SketchModel",
    name: str,
    part: "Sketch",
    found: list["Completion"],
    out: Path,
    suffix: str,
    side: int,
    settings: dict[str, Any],
    outputs: Outputs,
    animate: bool,
) -> dict[str, Any]:
    """Write the files, and return what to say about them.

    An SVG has the strokes that were given in a group of their own. With `animate`, they are there from the beginning.
    Raises VisketchError.
    """
    from visketch.metrics import kept
    from visketch.render.compare import MOST, sheet
    from visketch.tasks.complete import strokes

    clamp, single = model.config.sketch.clamp, is_picture(out)
    facts = {"of": Path(name).name, **settings, "size": side, "checkpoint": model.config.name}
    rows, drawn = [], [strokes(completion, part, model.config.sketch) for completion in found]
    for number, (completion, (lines, given)) in enumerate(zip(found, drawn, strict=True), 1):
        path = out if single and len(found) == 1 else None
        if not single:
            path = out / f"{number:02d}-{stem(completion.label)}{suffix}"
        row: dict[str, Any] = {"path": path, "class": completion.label, "probability": round(completion.probability, 6)}
        row |= {"added": round(completion.added, 4), "seed": completion.seed, "place": vars(completion.place)}
        row["kept"] = round(float(kept(completion.given[None] > 0, completion.canvas[None] > 0)), 4)
        if path:
            about = facts | {**row, "path": None}
            write_sketch(outputs.take(path), completion.canvas, clamp, side, about, lines, animate, given)
        rows.append(row)
    on_sheet, shown = None, [*zip(found, drawn, strict=True)][:MOST]
    if len(found) > 1 or not single:
        on_sheet = out if single else out / "sheet.png"
        write_sheet(outputs.take(on_sheet), sheet(pictures(model, part, shown)), facts)
    about_sheet = {"sheet": on_sheet, "on_sheet": len(shown) if on_sheet else 0}
    return {"part": name, **about_sheet, **facts, "device": str(model.device), "completions": rows}


def pictures(
    model: "SketchModel", part: "Sketch", drawn: list[tuple["Completion", tuple["Trace | None", int]]]
) -> list["np.ndarray"]:
    """The pictures of a sheet: the part, and the completions, which come with their `strokes`, with the added ink in
    blue.
    """
    from visketch.geometry.sketch import fit
    from visketch.geometry.trace import Trace, lines_of
    from visketch.render.compare import CELL, tinted, told_apart
    from visketch.render.grey import of_strokes, picture

    shape = model.config.sketch
    shown = [tinted(of_strokes(Trace(fit(lines_of(part), shape.margin), shape.pen), CELL))]
    for completion, (lines, count) in drawn:
        given = Trace(lines.strokes[:count], lines.pen) if lines else None
        whole = picture(completion.canvas, shape.clamp, CELL, lines)
        shown.append(told_apart(whole, picture(completion.given, shape.clamp, CELL, given)))
    return shown


def in_percent(guesses: list[dict[str, Any]]) -> str:
    """Guesses as text: `house 97 %, barn 3 %`. Those that round to 0 % are left out."""
    shares = {guess["label"]: round(100 * guess["probability"]) for guess in guesses}
    return ", ".join(f"{label} {share} %" for label, share in shares.items() if share)


def show(result: dict[str, Any]) -> None:
    """Print the result for people."""
    if result["proposed"]:
        console.say(f"{result['part']} may become {in_percent(result['proposed'])}; name the class with --class")
    if "separate" in result:
        many = f"{result['part']}: {result['separate']} separate drawings"
        console.note(f"{many}, completed as one; crop each into its own file")
    files = any(row["path"] for row in result["completions"])  # otherwise all are on the sheet only
    rows = [
        [
            *([row["path"]] if files else []),
            row["class"],
            f"{100 * row['probability']:.1f} %",
            f"{100 * row['added']:.0f} %",
        ]
        for row in result["completions"]
    ]
    console.table([*(["sketch"] if files else []), "class", "classifier", "new ink"], rows)
    if result["sheet"]:
        many = console.first_of(result["on_sheet"], len(result["completions"]))
        console.say(f"all on one sheet: {result['sheet']}{many}")
    tried, seconds = console.many(result["tries"], "placement"), console.duration(result["seconds"])
    console.note(f"seed {result['seed']} · {tried} tried for each · {seconds}")
