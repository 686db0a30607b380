"""`visketch language`: data sets to learn to talk about sketches from, and training on them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from visketch.errors import UsageError

from .data import complete_class
from .language_train import train
from .shared import console, options
from .shared.outputs import parse_out

app = typer.Typer(no_args_is_help=True, help="Make a data set of sketches, scenes and instructions, and train on it.")


@app.command()
def prepare(
    drawings: Annotated[
        Path | None,
        typer.Option(help="People's drawings, packed by `visketch data pack`: for scenes, and to ask with."),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Photos in folders named for what they show; may be repeated."),
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Photos annotated in COCO's format: an instances.json.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where --coco's photos are; by default images/ beside it.")
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A further style to ask with: a packed data set; may be repeated."),
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(metavar="STYLE", help="Ask with this style in the test split alone; by default lines-3."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="drawings|photos|coco",
            help="Scenes to make, may be repeated; by default all that something is named for.",
            autocompletion=lambda: ["drawings", "photos", "coco"],
        ),
    ] = None,
    seen: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="CLASS", help="A class; may be repeated. By default 24.", autocompletion=complete_class
        ),
    ] = None,
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS", help="A class for the test split alone; by default 8.", autocompletion=complete_class
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=parse_out, metavar="FOLDER", help="The folder to write; a new one.")
    ] = Path("runs/language"),
    scenes: Annotated[int, typer.Option(min=1, help="Training scenes of each kind.")] = 12_000,
    validation: Annotated[int, typer.Option(min=1, help="Validation scenes of each kind.")] = 600,
    test: Annotated[int, typer.Option(min=1, help="Test scenes; half as many again are of unseen classes.")] = 600,
    most: Annotated[int, typer.Option("--objects", min=1, max=12, help="Objects of a scene at most.")] = 6,
    canvas: Annotated[int, typer.Option(min=64, max=1024, help="Pixels of a sketch's and a scene's side.")] = 128,
    format: Annotated[
        Literal["jsonl", "llava"],
        typer.Option(help="llava adds files for LLaVA's own trainer to the JSON lines that TRL reads."),
    ] = "jsonl",
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Compose scenes, and ask about them with sketches.

    Scenes are drawings on a page, photo objects on a background (boxes and counts are exact in both), or photos as
    they are. About each there are instructions with answers: describe (DESC), count (COUNT), locate (BBOX), questions
    (VQA), is it there (SBIR). Photo objects become sketches, too: styles lines-1, lines-2 and lines-3. Drawings and
    photos are split before anything is composed. The folder has a contact sheet to look at, contact.png.

    \b
    Examples:
      visketch language prepare --drawings quickdraw.arrow --out runs/language
      visketch language prepare --drawings quickdraw.arrow --coco instances.json --photos caltech101/
      visketch language prepare --drawings quickdraw.arrow --style mine=mine.arrow --hold-out mine
    """
    from visketch.language.dataset.prepare import SEEN, UNSEEN, DatasetPlan
    from visketch.language.dataset.prepare import prepare as library
    from visketch.language.dataset.sources import SourcePaths, open_all

    pairs = [entry.partition("=")[::2] for entry in style or ()]
    if wrong := [name for name, path in pairs if not name or not path]:
        raise UsageError(f"--style {wrong[0]}: give NAME=FILE")
    classes = tuple(seen or SEEN)
    without = tuple(unseen or (() if seen else UNSEEN))
    plan = DatasetPlan(classes, without, scenes, validation, test, most, seed)
    named = SourcePaths(
        drawings,
        tuple(photos or ()),
        coco,
        images,
        {name: Path(path) for name, path in pairs},
        tuple(hold_out or ()),
        tuple(kind or ()),
    )
    problems = console.Problems()
    with console.progress() as bar:
        task = bar.add_task("photos", visible=False)

        def cut(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        scenery, styles = open_all(named, (*classes, *without), canvas, problems, cut)
        writing = bar.add_task("scenes", total=plan.total * len(set(scenery) - {"coco"}) or None)
        facts = library(
            scenery, styles, out, plan, named.about(), [format], lambda done: bar.update(writing, completed=done)
        )
    if as_json:
        console.document({"path": out, "left_out": problems.count, **facts})
    else:
        show(out, facts)
    if problems.count:
        console.note(f"{problems.count} photos or objects could not be read and were left out{problems.unnamed}")
        raise typer.Exit(console.FAILED)


def show(out: Path, facts: dict) -> None:
    splits = facts["counts"]
    console.table(["", *splits], [[what, *(splits[split].get(what, 0) for split in splits)] for what in splits["test"]])
    console.say(f"{facts['sketches']:,} sketches to ask with: {out}")
    console.note(f"look at {out / 'contact.png'}")


app.command()(train)
