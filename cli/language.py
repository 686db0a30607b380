"""`visketch language`: make data sets for the sketch-language model, and train it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from visketch.errors import UsageError

from .data import complete_class
from .language_train import train
from .shared import console, options
from .shared.outputs import parse_out

app = typer.Typer(no_args_is_help=True, help="Make instructions about sketches and scenes, and train on them.")


@app.command()
def prepare(
    drawings: Annotated[
        Path | None,
        typer.Option(help="Drawings packed by `visketch data pack`, for scenes and for queries."),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Photos in folders that are named by class; may be repeated."),
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Photos annotated in COCO's format: an instances.json.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The photos of --coco; by default images/ beside it.")
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Another style of query sketches: a packed data set; may be repeated."),
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(metavar="STYLE", help="Use this style of queries in the test split only; by default lines-3."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="drawings|photos|coco",
            help="The kind of scenes to make; may be repeated. By default every kind that data is given for.",
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
            metavar="CLASS", help="A class for the test split only; by default 8.", autocompletion=complete_class
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", parser=parse_out, metavar="FOLDER", help="The folder to write; it must not exist."),
    ] = Path("runs/language"),
    scenes: Annotated[int, typer.Option(min=1, help="Training scenes of each kind.")] = 12_000,
    validation: Annotated[int, typer.Option(min=1, help="Validation scenes of each kind.")] = 600,
    test: Annotated[int, typer.Option(min=1, help="Test scenes; half as many more are made of unseen classes.")] = 600,
    most: Annotated[int, typer.Option("--objects", min=1, max=12, help="At most this many objects in a scene.")] = 6,
    canvas: Annotated[int, typer.Option(min=64, max=1024, help="Side of sketches and scenes in pixels.")] = 128,
    format: Annotated[
        Literal["jsonl", "llava"],
        typer.Option(help="llava also writes files for LLaVA's own trainer; TRL reads the JSON lines."),
    ] = "jsonl",
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Compose scenes, and questions to ask about them with sketches.

    A scene is drawings on a page, photo objects on a background (both with exact boxes and counts), or a photo as it
    is. Each scene has instructions with answers: describe it (DESC), count (COUNT), locate (BBOX), answer questions
    (VQA), and say whether something is there (SBIR). Photo objects also become sketches, in the styles lines-1, lines-2
    and lines-3. Drawings and photos are split before any scene is composed. The contact sheet contact.png shows
    examples. Input files are never written, and a folder that exists is refused.

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
    console.say(f"{facts['sketches']:,} query sketches: {out}")
    console.note(f"examples: {out / 'contact.png'}")


app.command()(train)
