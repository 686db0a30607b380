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
    detector: asking.Detector = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Count the objects in pictures that a sketch shows.

    In a drawn scene any class that `visketch classify` knows can be counted, in a photo those of the matcher. With
    --by language a language model describes the picture and its own list is counted. Whoever answers, what the matchers
    count stands beside it. The sketch is looked at once for all pictures.

    \b
    Examples:
      visketch count cat.png photo.jpg
      visketch count cat.png photos/ --json
      visketch count cat.svg scene.png --by matcher
    """
    model = asking.load(checkpoint, device, detector)
    model.require(by)
    asked = asking.query(model, sketch)
    rows = list(asking.each(pictures, partial(counted, model, asked, by)))
    asking.conclude(rows, as_json, sketch, show)


def counted(model: "SketchLanguage", sketch: "Seen", by: "asking.Who | None", path: str) -> asking.Row:
    """{"count", "class", "by", "others"}: what the others count is there for comparison."""
    from visketch.errors import VisketchError

    scene = model.scene(path)
    (answer,) = model.find([(sketch, scene)], by)
    if isinstance(answer, VisketchError):
        raise answer
    beside = {
        one: model.find([(sketch, scene)], one)[0] for one in model.able(scene) if one not in (answer.by, "language")
    }
    others = {one: other.count for one, other in beside.items() if not isinstance(other, VisketchError)}
    return {"count": answer.count, "class": answer.label, "by": answer.by, "others": others}


def show(row: asking.Row) -> None:
    number = row["count"]
    found = f"{number} × {row['class']}" if number else f"none found ({row['class']})"
    beside = "".join(f"; the {one} counts {other}" for one, other in row["others"].items())
    console.say(f"{row['path']}: {found}  (by {row['by']}{beside})")
