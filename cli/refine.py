"""`visketch refine`: draw rough sketches again."""

import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visketch.errors import UsageError, VisketchError

from .shared import console, inputs, options
from .shared.filenames import free, stem_of
from .shared.outputs import Outputs, Overwrite, parse_drawings_out
from .shared.pictures import DRAWINGS, check_out, is_picture, moves, suffix_of, write_sheet, write_sketch

if TYPE_CHECKING:
    import numpy as np

    from visketch.geometry.sketch import Sketch
    from visketch.geometry.trace import Trace
    from visketch.model import SketchModel
    from visketch.sampling import Frame

BATCH = 16  # how many sketches are redrawn together on the canvas of training; fewer on a larger one

Row = dict[str, Any]


def refine(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Rough sketches, in any format that `classify` reads; - is standard input."
        ),
    ],
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="The class of the sketches; by default the classifier's guess for each.",
            autocompletion=options.complete_class,
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option("--strength", "-s", min=0, max=1, help="How much may change, from 0 (only the lines) to 1 (all)."),
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_drawings_out,
            metavar="PATH",
            help="A .png, .svg, .ndjson, .gif or .webp file for one, a .png for the sheet of several, or a folder.",
        ),
    ] = None,
    kind: options.Format = None,
    animate: options.Animate = False,
    compare: Annotated[bool, typer.Option("--compare", help="Write a single sketch beside the original.")] = False,
    size: Annotated[int | None, typer.Option(min=8, max=4096, help="Side in pixels; by default the canvas.")] = None,
    canvas: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            metavar="PIXELS",
            help="Pixels to draw on: 128 (by default), 256, 512 ... 4096. A larger canvas has a finer pen and detail.",
        ),
    ] = None,
    seed: options.Seed = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Steps of the coarse stage at --strength 1.")
    ] = None,
    guidance: options.Guidance = None,
    coarse: options.Coarse = None,
    temperature: options.Temperature = 0.7,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Draw rough sketches again with clean lines.

    By default only the lines are drawn again: they become solid and smooth. With --strength, the coarse stage draws
    the strokes anew and may change them towards the class: at 0.2 a little, and at 0.6 they show what such a thing
    usually looks like. One sketch goes to ./<name>-refined.png. Several go to the folder ./refined/, with a sheet of
    before and after, which shows the first 64. In a folder, what refine wrote is passed over. Details that the
    classifier does not understand may get lost, so look at the sheet. Input files are never written, and existing files
    are only replaced with --overwrite.

    \b
    Examples:
      visketch refine rough.png
      visketch refine rough.png --class cat --strength 0.6 --compare --out cat.png
      visketch refine scans/ --class owl --out owls/
      visketch refine plan.svg --canvas 1024 --out clean.svg
      visketch refine rough.png --animate --out clean.svg
    """
    check_out(out or Path("refined.png"), DRAWINGS)
    suffix = suffix_of(out or Path("refined"), kind)
    animate = moves(suffix, animate)
    if compare and animate:
        raise UsageError("--compare is a .png that stands still; leave out --animate")
    label = options.one_class(checkpoint, label)
    outputs = Outputs(paths, overwrite)
    if out:
        outputs.check(out if is_picture(out) else out / "sheet.png")
    found = inputs.not_refined(paths)
    first = list(islice(found, 2))
    alone = len(first) == 1
    if out and alone and not is_picture(out):
        outputs.check(out / f"{stem_of(first[0][0])}-refined{suffix}")
    if compare and not alone:
        raise UsageError("--compare is for one sketch; several are compared on their sheet")
    if out and is_picture(out) and (suffix != ".png" or animate) and (compare or not alone):
        raise UsageError(f"{out}: a comparison or a sheet is a .png; for several name a folder and a --format")
    shape, model = options.shape_on(checkpoint, canvas), options.load(checkpoint, device)
    redrawn = (model.config.coarse_part(coarse),) if strength else ()
    options.load_parts(model, "encoder", "refiner", "vqvae", *redrawn, *(() if label else ("classifier",)))
    settings: Row = {"strength": strength, "canvas": shape.canvas, "seed": seed, "temperature": temperature}
    settings |= of_coarse_stage(model, strength, {"coarse": coarse, "steps": steps, "guidance": guidance})
    usual = Path(f"{stem_of(first[0][0])}-refined{'.png' if compare else suffix}" if alone else "refined")
    start = time.perf_counter()
    with outputs.place(out, usual) as chosen, console.progress() as bar:
        side = size or shape.canvas
        work = Refinement(model, chosen, suffix, side, settings, label, alone, compare, outputs, animate)
        rows = list(work.run(chain(first, found), bar))
        on_sheet = work.write_sheet()
    seconds = round(time.perf_counter() - start, 3)
    shown = len(work.pairs or ())
    result: Row = {"sheet": on_sheet, "on_sheet": shown, **settings, "size": work.side}
    result |= {"checkpoint": model.config.name, "seconds": seconds}
    if as_json:
        console.document(result | {"device": str(model.device), "sketches": rows})
    else:
        show(rows, on_sheet, shown)
    failed = sum("error" in row for row in rows)
    if failed:
        if len(rows) > 1:
            console.note(f"{failed} of {len(rows)} could not be refined")
        raise typer.Exit(console.FAILED)


def of_coarse_stage(model: "SketchModel", strength: float, asked: Row) -> Row:
    """The settings of the coarse stage, with the checkpoint's defaults for those that are None.

    At strength 0 there are none, since the stage is skipped, and those that were asked for are told.
    """
    if not strength:
        if any(value is not None for value in asked.values()):
            names = "--coarse, --steps and --guidance"
            console.note(f"{names} are options of the coarse stage, which is skipped; add --strength")
        return {}
    stage = model.config.stage(asked["coarse"])
    usual = {"coarse": model.config.coarse, "steps": stage.steps, "guidance": stage.guidance}
    return {name: usual[name] if value is None else value for name, value in asked.items()}


class Refinement:
    """A run of `visketch refine`: the sketches, how they are redrawn, and where they are written."""

    def __init__(
        self,
        model: "SketchModel",
        out: Path,
        suffix: str,
        side: int,
        settings: Row,
        label: str | None,
        alone: bool,
        compare: bool,
        outputs: Outputs,
        animate: bool = False,
    ) -> None:
        self.model, self.out, self.suffix, self.side, self.settings, self.label = (
            model,
            out,
            suffix,
            side,
            settings,
            label,
        )
        self.pairs: list[np.ndarray] | None = [] if compare or not (alone and is_picture(out)) else None
        self.names: list[str] = []  # of the pairs
        self.taken: set[str] = set()
        self.alone, self.compare, self.outputs, self.animate = alone, compare, outputs, animate

    def run(self, found: Iterator[tuple[str, "Sketch | str"]], bar: Any) -> Iterator[Row]:
        """A row for every drawing: {"path", "class", "guessed", "out"} or {"path", "error"}. "guessed" is the
        probability of the class if it was not named but guessed from the rough drawing. If there are several separate
        drawings on the page, "separate" is their number.
        """
        from visketch.geometry.separate import separate

        task = bar.add_task("redrawing", total=None)

        def on_progress(frame: "Frame") -> None:
            bar.update(task, completed=frame.done, total=frame.total, description=frame.stage)

        many = max(1, BATCH * (self.model.config.sketch.canvas // self.settings["canvas"]) ** 2)
        while some := list(islice(found, many)):
            sketches = [sketch for _, sketch in some if not isinstance(sketch, str)]
            redrawn = iter(self.redrawn(sketches, on_progress))
            for path, sketch in some:
                answer = sketch if isinstance(sketch, str) else next(redrawn)
                if isinstance(answer, str):
                    console.error(f"{path}: {answer}")
                    yield {"path": path, "error": answer}
                    continue
                try:
                    parts = len(separate(sketch)) if not isinstance(sketch, str) else 1
                    row = {"path": path, **self.write(path, *answer)}
                    yield row | ({"separate": parts} if parts > 1 else {})
                except VisketchError as error:
                    console.error(f"{path}: {error}")
                    yield {"path": path, "error": str(error)}

    def redrawn(self, sketches: list["Sketch"], on_progress: Any) -> list[Any]:
        """For each sketch, the field before, the field and the strokes after, the class, and its probability if it is
        a guess; or the error.
        """
        from visketch.data.named import about
        from visketch.geometry.trace import Trace
        from visketch.tasks.refine import refine

        if not sketches:
            return []
        try:
            before = self.model.render(sketches, self.settings["canvas"])
            guesses = [] if self.label else [row[0] for row in self.model.classify_many(sketches, top=1)]
            labels = [guess.label for guess in guesses] or [str(self.label)] * len(sketches)
            chances: list[float | None] = [round(guess.probability, 6) for guess in guesses] or [None] * len(sketches)
            how = {name: self.settings[name] for name in ("strength", "canvas", "seed")}
            made = refine(
                self.model,
                sketches,
                labels,
                **how,
                options=options.sampling(self.settings),
                fields=before,
                on_progress=on_progress,
            )
        except UsageError:
            raise
        except VisketchError as error:
            if len(sketches) == 1:
                return [about(error, sketches[0].source)]
            return [answer for sketch in sketches for answer in self.redrawn([sketch], on_progress)]
        pen = self.model.config.sketch.pen * self.model.config.sketch.canvas  # in pixels, the same on every canvas
        strokes = [Trace(lines, pen) for lines in made.strokes] if made.strokes else [None] * len(sketches)
        return list(zip(before, made.canvas, strokes, labels, chances, strict=True))

    def write(
        self, path: str, before: Any, after: Any, strokes: "Trace | None", label: str, guessed: float | None
    ) -> Row:
        """Write the file of one sketch, and keep both fields for the sheet."""
        clamp = self.model.config.sketch.at(len(after)).clamp
        out = self.file(path)
        if out and not self.compare:
            self.outputs.take(out)
        if self.pairs is not None:
            from visketch.render.compare import CELL, MOST, beside
            from visketch.render.grey import picture

            if len(self.pairs) < MOST:
                self.pairs.append(beside(picture(before, clamp, CELL), picture(after, clamp, CELL, strokes)))
                self.names.append(Path(path).name)
        if out and not self.compare:
            facts = {"of": Path(path).name, "class": label, **self.settings}
            write_sketch(out, after, clamp, self.side, facts, strokes, self.animate)
        return {"class": label, "guessed": guessed, "out": out}

    def file(self, path: str) -> Path | None:
        """The file of a sketch. Returns None if it only goes on the sheet.

        The name ends in `-refined`, since `out` may be the folder of the input.
        """
        if is_picture(self.out):
            return self.out if self.alone else None
        return self.out / f"{free(f'{stem_of(path)}-refined', self.taken)}{self.suffix}"

    def write_sheet(self) -> Path | None:
        if not self.pairs:
            return None
        from visketch.render.compare import sheet

        path = self.out if is_picture(self.out) else self.out / "sheet.png"
        write_sheet(
            self.outputs.take(path),
            sheet(self.pairs, () if self.alone else self.names),
            {"shows": "before and after", **self.settings},
        )
        return path


def show(rows: list[Row], on_sheet: Path | None, shown: int) -> None:
    """Print the result for people. `shown` sketches are on the sheet."""
    for row in rows:
        if "error" not in row:
            to = f" → {row['out']}" if row["out"] else ""
            guess = ""
            if row["guessed"] is not None:
                guess = f", the classifier's guess, {100 * row['guessed']:.0f} % sure; name the class with --class"
            console.say(f"{row['path']}{to} (as {row['class']}{guess})")
            if "separate" in row:
                many = f"{row['path']}: {row['separate']} separate drawings"
                console.note(f"{many}, refined as one; crop each into its own file")
    if on_sheet and any(row.get("out") != on_sheet for row in rows):
        many = console.first_of(shown, sum("error" not in row for row in rows))
        console.say(f"before and after: {on_sheet}{many}")
