"""`visketch classify --explain`: the answers, with a picture and words for each."""

from collections.abc import Container, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visketch.errors import UsageError, VisketchError

from .shared import console
from .shared.filenames import free, stem_of
from .shared.outputs import Outputs
from .shared.pictures import is_picture, write_png

if TYPE_CHECKING:
    from visketch.data.named import Item, Named
    from visketch.model import SketchModel


def explained(
    model: "SketchModel", items: Iterator["Item"], done: Container[str], top: int, out: Path, outputs: Outputs
) -> Iterator[dict[str, Any]]:
    """A row for every drawing, as in `classify.rows`, with an "explanation" of what its leaves say.

    Raises UsageError before any work is done if a picture of `out` may not be written. `out` is a .png file or a folder
    (`check_out`).
    """
    from visketch.data.named import drawings
    from visketch.render.explanation import picture
    from visketch.tasks.batch import BatchClassifier, draw, undone_drawings
    from visketch.tasks.explain import explain

    found: Iterator[Named] = (drawing for item in undone_drawings(items, done) for drawing in drawings(item))
    alone = is_picture(out)
    if alone:
        first_two = list(islice(found, 2))
        if len(first_two) > 1:
            raise UsageError(f"{out}: there is more than one drawing; name a folder for the pictures")
        if first_two:  # otherwise all answers are there, and the picture may be as well
            outputs.check(out)
        found = iter(first_two)
    taken: set[str] = set()
    clamp, answer = model.config.sketch.clamp, BatchClassifier(model, top)
    most = model.config.sequence.pieces if model.has("sequence") else 0
    for name, sketch in found:
        try:
            if isinstance(sketch, str):
                raise VisketchError(sketch)
            why = explain(model, sketch, top)
            (row,) = answer([*draw(model.config.reading, (name, sketch), pieces=most)])
            path = out if alone else out / f"{free(stem_of(name), taken)}.png"
            write_png(
                outputs.take(path), picture(why, clamp, Path(name).name), {"of": name, "checkpoint": model.config.name}
            )
        except VisketchError as error:
            yield {"path": name, "error": str(error).removeprefix(f"{name.partition('#')[0]}: ")}
            continue
        said = {"words": why.words, "picture": str(path), "leaves": [asdict(vote) for vote in why.votes]}
        yield row | {"explanation": said}


def tell(row: dict[str, Any]) -> None:
    """Print the words for people, one sentence on each line."""
    why = row["explanation"]
    console.say(*(f" {line}" for line in why["words"].splitlines()), f" picture: {why['picture']}")
