"""`visketch evaluate language`: measure answers to questions that are asked with a sketch."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import UsageError

from ..shared import console, options, sketch_query
from . import arguments, language_photos

if TYPE_CHECKING:
    from rich.progress import TaskID

    from visketch.evaluate.language_table import LanguageTable


def language(
    data: Annotated[
        Path, typer.Option("--data", metavar="FOLDER", help="A data set written by `visketch language prepare`.")
    ] = Path("runs/language"),
    split: arguments.Split = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many questions of each task and part, or photos.")
    ] = None,
    gallery: Annotated[int, typer.Option(min=2, help="How many scenes a sketch searches.")] = 100,
    queries: Annotated[int, typer.Option(min=1, help="At most this many query sketches of each part.")] = 100,
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos",
            metavar="FOLDER",
            help="Annotated photos instead of --data: instances.json and images/, or COCO's archives.",
        ),
    ] = None,
    sketches: Annotated[
        Path | None,
        typer.Option(
            "--sketches", metavar="FILE", help="With --photos: a packed data set; its test drawings are the queries."
        ),
    ] = None,
    each: Annotated[
        int, typer.Option("--each", min=1, help="With --photos: the number of drawings of each class.")
    ] = 2,
    checkpoint: sketch_query.Checkpoint = None,
    detector: sketch_query.Detector = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure answers to questions that are asked with a sketch.

    The questions are counting, boxes, closed questions and retrieval. Every predictor is measured: the matcher, and the
    language model by its description of the scene and by its direct answers. Scenes of drawings, scenes of photo
    cut-outs and whole photos have their own rows. So have classes that training saw or did not see, and styles of
    sketches. Beside the predictors stand the most frequent answer and chance. Only reads: no file is written.

    \b
    Examples:
      visketch evaluate language --data runs/language
      visketch evaluate language --data runs/language --split validation --limit 200 --json
      visketch evaluate language --photos coco/ --sketches quickdraw.arrow
    """
    if (photos is None) != (sketches is None):
        raise UsageError("--photos and --sketches go together; give both or neither")
    if photos is not None and sketches is not None:
        language_photos.evaluate(photos, sketches, each, limit, checkpoint, device, as_json)
        return
    model = sketch_query.load(checkpoint, device, detector)
    from visketch.evaluate.language_table import evaluate
    from visketch.language.dataset.rows import InstructionRows

    rows = InstructionRows(data, split)
    with console.progress() as bar:
        tasks: dict[str, TaskID] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        table = evaluate(model, rows, limit, gallery, queries, on_progress)
    if as_json:
        console.document({"data": data, "split": split, "checkpoint": checkpoint, **asdict(table)})
    else:
        show(table)


def show(table: "LanguageTable") -> None:
    """Print a table for each task, with shares in per cent."""
    columns = ["", "by", "rows", "right", "commonest answer", "chance"]
    exactly = {
        "Counting, exact": table.counting,
        "What the sketch shows": table.naming,
        "Closed questions": table.questions,
        "Is it there, yes or no": table.yes_no,
    }
    for title, found in exactly.items():
        lines = [
            [part, who, one.rows, *map(_share, (one.right, one.majority, one.chance))]
            for part, who, one in _lines(found)
        ]
        console.table(columns, lines, title)
        console.say("")
    lines = [
        [kind, who, one.rows, *map(_share, (one.right, one.majority, one.chance))]
        for kind, who, one in _lines(table.kinds_of_question)
    ]
    console.table(columns, lines, "Closed questions by kind, seen classes")
    console.say("")
    found_at = ["Acc", "Acc@0.5", "precision@0.5", "small", "medium", "large", "none said", "one box", "chance"]
    lines = []
    for part, who, box in _lines(table.detection):
        shares = (box.accuracy, box.accuracy_50, box.precision_50, box.small, box.medium, box.large)
        lines.append([part, who, box.boxes, *map(_share, (*shares, box.none_right, box.majority_50, box.chance_50))])
    console.table(["", "by", "boxes", *found_at], lines, "Boxes")
    for who, (out, every) in table.duplicates.items():
        console.say(f"{who}: {out:,} of {every:,} boxes were duplicates and were removed")
    console.say("")
    columns = ["", "by", "sketches", "gallery", "P@1", "P@5", "P@10", "mAP", "chance"]
    lines = []
    for part, who, rank in _lines(table.retrieval):
        shares = (*rank.precision.values(), rank.mean_average_precision, rank.chance)
        lines.append([part, who, rank.queries, rank.gallery, *map(_share, shares)])
    console.table(columns, lines, "Retrieval")


def _lines(found: dict) -> list[tuple]:
    """A (part, predictor, measure) for every part and predictor."""
    parts = sorted({part for by_part in found.values() for part in by_part})
    return [(part, who, by_part[part]) for part in parts for who, by_part in found.items() if part in by_part]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
