"""`visketch locate`: find in pictures what a sketch shows."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import UsageError

from .shared import console, options, sketch_query
from .shared.filenames import free, stem_of
from .shared.outputs import Outputs, Overwrite, parse_drawings_out
from .shared.pictures import PNG, check_out, is_picture, write_png

if TYPE_CHECKING:
    import numpy as np

    from visketch.language.attributes import Filter
    from visketch.language.boxes import Box
    from visketch.language.model import SketchLanguage
    from visketch.language.vision.features import EncodedPicture

FOUND, DUPLICATE = "#d32f2f", "#9aa0a6"
MOST = 4096  # the most pixels on the longer side of the picture with boxes


def locate(
    sketch: sketch_query.Asked,
    pictures: sketch_query.Pictures,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_drawings_out,
            metavar="PATH",
            help="Draw the boxes in a PNG, or in a folder of PNGs.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The least score of a box: a lower one finds more boxes, and more wrong ones."),
    ] = None,
    which: sketch_query.Words = None,
    by: sketch_query.By = None,
    checkpoint: sketch_query.Checkpoint = None,
    detector: sketch_query.Detector = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find what a sketch shows in pictures, as boxes.

    A box is x1, y1, x2, y2 in pixels from the top left, and has a score. Of boxes that overlap by half, only the one
    with the highest score is kept. --out draws the others in grey, on a picture of at most 4096 pixels. Only the lines
    of the sketch count. Input files are never written, and existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch locate cat.png photo.jpg --out boxes.png
      visketch locate cat.png photos/ --json --min-score 0.1
      visketch locate cat.png scene.png --which "the small red one on the left"
    """
    if out:
        check_out(out, PNG)
        if is_picture(out) and len(sketch_query.spread(pictures)) > 1:
            raise UsageError(f"{out}: this is one picture for several inputs; name a folder")
    outputs = Outputs([sketch, *pictures], overwrite)
    if out and is_picture(out):
        outputs.check(out)
    meant = sketch_query.which(which)
    model = sketch_query.load(checkpoint, device, detector)
    model.require(by)
    asked = sketch_query.query(model, sketch)
    rows = list(sketch_query.each(pictures, partial(located, model, asked, by, meant, min_score, out, outputs, set())))
    sketch_query.conclude(rows, as_json, sketch, show)


def located(
    model: "SketchLanguage",
    sketch: "EncodedPicture",
    by: "sketch_query.Who | None",
    which: "Filter | None",
    min_score: float | None,
    out: Path | None,
    outputs: Outputs,
    taken: set[str],
    path: str,
) -> sketch_query.Row:
    """What was found in one picture: {"class", "by", "note", "boxes", "duplicates", "picture"}.

    Boxes are in pixels of the upright picture. `taken` are the file names that are in use.
    """
    scene = model.scene(path)
    answer = sketch_query.found(model, (sketch, scene), by, which, min_score)
    wide, high = scene.picture.letterbox.width, scene.picture.letterbox.height
    boxes = [{"box": pixels(thing.box, wide, high), "score": round(thing.score, 3)} for thing in answer.found]
    duplicates = [pixels(thing.box, wide, high) for thing in answer.raw if thing not in answer.found]
    file = None
    if out:
        file = out if is_picture(out) else out / f"{free(stem_of(path), taken)}.png"
        facts = {"sketch": sketch.picture.source, "picture": path, "class": answer.label}
        write_png(outputs.take(file), drawn(path, boxes, duplicates, answer.label), facts)
    facts = {"class": answer.label, "by": answer.by, "note": answer.note}
    return facts | {"boxes": boxes, "duplicates": duplicates, "picture": file}


def pixels(box: "Box", wide: int, high: int) -> list[int]:
    """A box in shares of a picture's sides, in pixels of a picture of this size."""
    return [round(place * side) for place, side in zip(box, (wide, high, wide, high), strict=True)]


def drawn(path: str, boxes: list[dict], duplicates: list[list[int]], label: str) -> "np.ndarray":
    """The upright picture (rows columns 3) uint8 with its boxes.

    A small picture is enlarged so that the words fit, and a very large one is shrunk. Raises VisketchError if the file
    is gone.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from visketch.language.image import upright

    cached, size_of_file = upright(path, MOST)
    larger = max(1, round(512 / max(cached.size)))
    # This is a copy even if the size stays the same, so the cached picture is not drawn on
    picture = cached.resize((cached.width * larger, cached.height * larger), Image.Resampling.LANCZOS)
    times = max(picture.size) / max(size_of_file)
    draw, pen = ImageDraw.Draw(picture), max(2, max(picture.size) // 300)
    size = max(14, max(picture.size) // 45)
    for box in duplicates:
        draw.rectangle([place * times for place in box], outline=DUPLICATE, width=max(1, pen // 2))
    for row in boxes:
        x1, y1, x2, y2 = (place * times for place in row["box"])
        draw.rectangle((x1, y1, x2, y2), outline=FOUND, width=pen)
        words, font = f"{label} {row['score']:.2f}", ImageFont.load_default(size)
        left, top, right, bottom = draw.textbbox((x1 + 2, max(0, y1 - size - 4)), words, font=font)
        draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=FOUND)
        draw.text((x1 + 2, max(0, y1 - size - 4)), words, fill="white", font=font)
    return np.asarray(picture)


def show(row: sketch_query.Row) -> None:
    if not row["boxes"]:
        console.say(f"{row['path']}: none found ({row['class']})  {sketch_query.beside(row, found=False)}")
    else:
        more = f"; {len(row['duplicates'])} more were duplicates" if row["duplicates"] else ""
        console.say(f"{row['path']}: {len(row['boxes'])} × {row['class']}  {sketch_query.beside(row, more)}")
        table = [[*(str(place) for place in one["box"]), f"{one['score']:.2f}"] for one in row["boxes"]]
        console.table(["x1", "y1", "x2", "y2", "score"], table)
    if row["picture"]:
        console.say(f"picture: {row['picture']}")
