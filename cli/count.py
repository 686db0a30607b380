"""`visketch count`: how many of what a sketch shows are in pictures."""

from functools import partial
from typing import TYPE_CHECKING

from . import asking, console, options

if TYPE_CHECKING:
    from visketch.language.model import Seen, SketchLanguage
    from visketch.language.which import Which


def count(
    sketch: asking.Asked,
    pictures: asking.Pictures,
    which: asking.Words = None,
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
      visketch count cat.png scene.png --which red
      visketch count cat.svg scene.png --by matcher
    """
    meant = asking.which(which)
    model = asking.load(checkpoint, device, detector)
    model.require(by)
    asked = asking.query(model, sketch)
    rows = list(asking.each(pictures, partial(counted, model, asked, by, meant)))
    asking.conclude(rows, as_json, sketch, show)


def counted(
    model: "SketchLanguage", sketch: "Seen", by: "asking.Who | None", which: "Which | None", path: str
) -> asking.Row:
    """{"count", "class", "by", "others"}: what the others count is there for comparison."""
    scene = model.scene(path)
    answer = asking.found(model, (sketch, scene), by, which)
    rest = [one for one in model.able(scene) if one not in (answer.by, "language")]
    others = {one: asking.found(model, (sketch, scene), one, which).count for one in rest}
    return {"count": answer.count, "class": answer.label, "by": answer.by, "others": others}


def show(row: asking.Row) -> None:
    number = row["count"]
    found = f"{number} × {row['class']}" if number else f"none found ({row['class']})"
    beside = "".join(f"; the {one} counts {other}" for one, other in row["others"].items())
    console.say(f"{row['path']}: {found}  (by {row['by']}{beside})")
