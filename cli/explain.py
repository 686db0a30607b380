"""What `visketch classify --explain` writes: the drawing under its leaves, each with its vote, and words."""

import textwrap
from collections.abc import Container, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visketch.errors import UsageError, VisketchError
from visketch.render.grey import grey

from .shared import console
from .shared.filenames import free, stem_of
from .shared.pictures import check_out, is_picture, write_png

if TYPE_CHECKING:
    import numpy as np

    from visketch.data.named import Item, Named
    from visketch.geometry.sketch import Sketch
    from visketch.model import ViSketch
    from visketch.render.poster import Page
    from visketch.tasks.explain import Explanation

SIDE, CAPTION, COLUMNS = 640, 128, 88  # pixels of the drawing, of the words above it; characters of a line of words
FOR, AGAINST = (47, 158, 96), (211, 47, 47)


def explained(
    model: "ViSketch", items: Iterator["Item"], done: Container[str], top: int, out: Path
) -> Iterator[dict[str, Any]]:
    """A row for every drawing, as `classify.rows`, with "explanation". Raises UsageError before any work is done."""
    from visketch.data.named import drawings
    from visketch.tasks.batch import undone_drawings
    from visketch.tasks.explain import explain

    found: Iterator[Named] = (drawing for item in undone_drawings(items, done) for drawing in drawings(item))
    alone = is_picture(check_out(out))
    if alone:
        first, second = next(found), next(found, None)
        if second is not None:
            raise UsageError(f"{out}: there is more than one drawing; name a folder for the pictures")
        found = iter([first])
    taken: set[str] = set()
    for name, sketch in found:
        try:
            if isinstance(sketch, str):
                raise VisketchError(sketch)
            why = explain(model, sketch)
            guesses = model.classify(sketch, top)
            path = out if alone else out / f"{free(stem_of(name), taken)}.png"
            write_png(path, picture(model, sketch, why, name), {"of": name, "checkpoint": model.config.name})
        except VisketchError as error:
            yield {"path": name, "error": str(error).removeprefix(f"{name.partition('#')[0]}: ")}
            continue
        said = {"words": why.words(), "picture": str(path), "leaves": [asdict(vote) for vote in why.votes]}
        predictions = [{"label": guess.label, "probability": round(guess.probability, 6)} for guess in guesses]
        yield {"path": name, "predictions": predictions, "explanation": said}


def tell(row: dict[str, Any]) -> None:
    """The words, for people: a sentence a line."""
    why = row["explanation"]
    console.say(*(f" {line}" for line in why["words"].splitlines()), f" picture: {why['picture']}")


def picture(model: "ViSketch", sketch: "Sketch", why: "Explanation", name: str) -> "np.ndarray":
    """(rows columns 3) uint8: what speaks for the class is green, what speaks against it red."""
    import numpy as np

    from visketch.render.poster import EDGE, INK, NONE, Page

    page = Page(SIDE + 2 * EDGE, SIDE + CAPTION + 2 * EDGE + 24)
    page.write((EDGE, EDGE - 8), Path(name).name, 24, INK)
    for number, line in enumerate(textwrap.wrap(why.words(), COLUMNS)[:5]):
        page.write((EDGE, EDGE + 26 + 20 * number), line, 15, INK)
    left, top = EDGE, EDGE + CAPTION
    page.put((left, top), grey(model.render([sketch]), model.config.sketch.clamp, SIDE)[0], SIDE)
    most = max(abs(vote.weight) for vote in why.votes) or 1.0
    for vote in why.votes:
        box = [round(value * SIDE) for value in vote.box]
        corners = (left + box[0], top + box[1], left + box[2], top + box[3])
        color = FOR if vote.weight >= 0 else AGAINST
        page.draw.rectangle(corners, fill=(*color, round(120 * abs(vote.weight) / most)), outline=(*color, 160))
        if box[2] - box[0] >= 90:
            weight, says = f"{100 * vote.weight:+.0f} %", f"{vote.label} {100 * vote.probability:.0f} %"
            over_ink(page, (corners[0] + 6, corners[1] + 4), weight, 17, INK)
            over_ink(page, (corners[0] + 6, corners[3] - 20), says, 13, INK)
    page.frame((left, top), SIDE, NONE)
    below = "above: how much the class owes to the leaf, green for, red against; below: what the leaf says by itself"
    page.write((left, top + SIDE + 8), below, 13)
    return np.asarray(page.image)


def over_ink(page: "Page", at: tuple[int, int], text: str, size: int, color: str) -> None:
    """Words with a white border."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    page.draw.text(at, text, fill=color, font=font, stroke_width=3, stroke_fill="white")
