"""`visketch count`: how many of what a sketch shows are in pictures."""

from functools import partial
from typing import TYPE_CHECKING

from . import asking, console, options

if TYPE_CHECKING:
    from visketch.language.model import Seen, SketchLanguage


def count(
    sketch: asking.Asked,
    pictures: asking.Pictures,
    by: asking.By = None,
    checkpoint: asking.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Count the objects in pictures that a sketch shows.

    The language model describes the whole picture and its own list is counted; beside it stands what the matcher
    counts without a language model. The sketch is looked at once for all pictures.

    \b
    Examples:
      visketch count cat.png photo.jpg
      visketch count cat.png photos/ --json
      visketch count cat.svg scene.png --by matcher
    """
    model = asking.load(checkpoint, device)
    asked = asking.query(model, sketch)
    who = model.answering(by)
    rows = list(asking.each(pictures, partial(counted, model, asked, who)))
    asking.conclude(rows, as_json, sketch, show)


def counted(model: "SketchLanguage", sketch: "Seen", who: "asking.Who", path: str) -> asking.Row:
    """{"count", "class", "by", "others"}: what the other one counts is there for comparison."""
    from visketch.errors import VisketchError

    pair = sketch, model.scene(path)
    answers = {one: model.find([pair], one)[0] for one in model.able()}
    answer = answers[who]
    if isinstance(answer, VisketchError):
        raise answer
    others = {one: other.count for one, other in answers.items() if one != who and not isinstance(other, VisketchError)}
    return {"count": answer.count, "class": answer.label, "by": who, "others": others}


def show(row: asking.Row) -> None:
    number = row["count"]
    found = f"{number} × {row['class']}" if number else f"none found ({row['class']})"
    beside = "".join(f"; the {one} counts {other}" for one, other in row["others"].items())
    console.say(f"{row['path']}: {found}  (by {row['by']}{beside})")
