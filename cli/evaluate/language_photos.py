"""`visketch evaluate language --photos`: measure hand-drawn sketches as questions about annotated photos."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..shared import console, sketch_query

if TYPE_CHECKING:
    from visketch.evaluate.photo_table import PhotoTable


def evaluate(
    photos: Path, sketches: Path, each: int, limit: int | None, checkpoint: str | None, device: str, as_json: bool
) -> None:
    """Measure the predictors, and print the table or write it as JSON. Raises UsageError and VisketchError."""
    from visketch.data.store import Store
    from visketch.evaluate import photo_table

    model = sketch_query.load(checkpoint, device)
    drawings = Store(sketches)
    with console.progress() as bar:
        task = bar.add_task("who answers", total=None)
        table = photo_table.evaluate(
            model,
            photos,
            drawings,
            each,
            limit,
            on_progress=lambda what, done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        console.document({"data": photos, "sketches": sketches, "checkpoint": checkpoint, **asdict(table)})
    else:
        show(table)


def show(table: "PhotoTable") -> None:
    """Print a table for each task, with shares in per cent."""
    console.say(
        f"{table.photos} photos, {table.words} words, {table.sketches} sketches, of which the detector refuses "
        f"{percent(table.refused)}; {table.seconds:.2f} s for each photo"
    )
    console.say("The detector has probably seen photos of COCO's train2017 in its training.")
    lines = [[who, *map(percent, asdict(one).values())] for who, one in table.boxes.items()]
    console.table(["by", "AP", "AP50", "small", "medium", "large"], lines, "Boxes")
    console.say("")
    for title, found in (
        ("Counted right; in half of the pairs the photo shows the class", table.counting),
        ("Those that are there", table.present),
        ("Those that are not", table.absent),
        ("Closed questions", table.questions),
    ):
        lines = [
            [who, str(one.rows), percent(one.right), percent(one.majority), percent(one.chance)]
            for who, one in found.items()
        ]
        console.table(["by", "rows", "right", "commonest answer", "chance"], lines, title)
        console.say("")
    lines = [
        [who, str(one.queries), *map(percent, (*one.precision.values(), one.mean_average_precision, one.chance))]
        for who, one in table.retrieval.items()
    ]
    console.table(["by", "sketches", "P@1", "P@5", "P@10", "mAP", "chance"], lines, "Retrieval")


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
