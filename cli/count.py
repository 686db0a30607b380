"""`visketch count`: count the objects in pictures that are what a sketch shows."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import console, options, sketch_query

if TYPE_CHECKING:
    from visketch.language.attributes import Filter
    from visketch.language.model import SketchLanguage
    from visketch.language.vision.features import EncodedPicture


def count(
    sketch: sketch_query.Asked,
    pictures: sketch_query.Pictures,
    which: sketch_query.Words = None,
    by: sketch_query.By = None,
    checkpoint: sketch_query.Checkpoint = None,
    detector: sketch_query.Detector = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also print what the matcher and the recogniser count, if they can.")
    ] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Count the objects in pictures that are what a sketch shows.

    In a drawn scene, any class that `visketch classify` knows can be counted. In a photo, 93 classes can: 64 exactly,
    and 29 as the broader class that the detector knows (an owl as a bird). With --by language, a language model
    describes the picture, and the objects in its description are counted. Only the lines of the sketch count. Only
    reads: no file is written.

    \b
    Examples:
      visketch count cat.png photo.jpg
      visketch count cat.png photos/ --json
      visketch count cat.png scene.png --which red
      visketch count cat.svg scene.png --compare
    """
    meant = sketch_query.which(which)
    model = sketch_query.load(checkpoint, device, detector)
    model.require(by)
    asked = sketch_query.query(model, sketch)
    rows = list(sketch_query.each(pictures, partial(counted, model, asked, by, meant, compare)))
    sketch_query.conclude(rows, as_json, sketch, show)


def counted(
    model: "SketchLanguage",
    sketch: "EncodedPicture",
    by: "sketch_query.Who | None",
    which: "Filter | None",
    compare: bool,
    path: str,
) -> sketch_query.Row:
    """The count in one picture: {"count", "class", "by", "note", "others"}. With `compare`, "others" has the counts of
    the matcher and the recogniser, if they are not the ones that answer.
    """
    scene = model.scene(path)
    answer = sketch_query.found(model, (sketch, scene), by, which)
    # The language model is slow, and the shipped detector may not know the class
    passed = {answer.by, "language"} | ({"detector"} if not model.detector else set())
    rest = [one for one in model.available(scene) if compare and one not in passed]
    others = {one: sketch_query.found(model, (sketch, scene), one, which).count for one in rest}
    return {"count": answer.count, "class": answer.label, "by": answer.by, "note": answer.note, "others": others}


def show(row: sketch_query.Row) -> None:
    number = row["count"]
    found = f"{number} × {row['class']}" if number else f"none found ({row['class']})"
    others = "".join(f"; the {one} counts {other}" for one, other in row["others"].items())
    console.say(f"{row['path']}: {found}  {sketch_query.beside(row, others, number > 0)}")
