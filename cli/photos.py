"""`visketch search --photos`: the photos of a folder that show what a sketch shows."""

from pathlib import Path
from typing import TYPE_CHECKING

from visketch.errors import UsageError, VisketchError

from .locate import FOUND
from .shared import console, sketch_query
from .shared.pictures import write_png

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from visketch.language.retrieval import PhotoHit

SURE = 0.5  # of a box that is drawn


def search_photos(
    sketch: str,
    folder: Path,
    n: int,
    out: Path | None,
    which: str | None,
    by: "sketch_query.Who | None",
    checkpoint: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Look at what is new in the folder, rank, and tell."""
    from visketch.search.index import usual

    if not folder.is_dir():
        raise VisketchError(f"{folder}: not a folder of photos, name one")
    if by == "recogniser":
        raise UsageError("--by recogniser is for drawn scenes; they are told from photos without it")
    meant = sketch_query.which(which)
    model = sketch_query.load(checkpoint, device)
    model.require(by)
    asked = sketch_query.query(model, sketch)
    from visketch.language.retrieval import PictureSearch

    problems = console.Problems()
    with console.progress() as bar:
        task = bar.add_task("photos", total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        pictures = PictureSearch(model, folder, usual(folder), problems, on_progress, by)
    if problems.unnamed:
        console.note(f"{problems.count} could not be read{problems.unnamed}")
    found = pictures.search(asked, n, meant)
    if out:
        write_png(out, sheet(asked.picture.square, found), {"sketch": sketch, "photos": str(folder)})
    rows = [row(rank, hit) for rank, hit in enumerate(found, 1)]
    if as_json:
        console.document({"sketch": sketch, "photos": pictures.count, "found": rows, "picture": out})
        return
    if not rows:
        console.say(f"none of {pictures.count} pictures shows it")
    else:
        table = [[one["rank"], str(one["path"]), f"{one['score']:.3f}", len(one["boxes"]), one["by"]] for one in rows]
        console.table(["", "photo", "shows it", "boxes", "by"], table)
    if out:
        console.say(f"picture: {out}")


def row(rank: int, hit: "PhotoHit") -> dict:
    """Boxes in shares of the photo's sides, the surest first: how large the photo is, the index does not know."""
    boxes = [{"box": [round(place, 4) for place in box], "sure": round(sure, 3)} for box, sure in hit.boxes]
    facts = {"rank": rank, "path": hit.path, "score": round(hit.score, 4), "by": hit.by, "boxes": boxes}
    return facts | ({} if hit.similarity is None else {"similarity": round(hit.similarity, 4)})


def sheet(sketch: "np.ndarray", found: "list[PhotoHit]") -> "np.ndarray":
    """(rows columns 3) uint8: the sketch, and the photos with their boxes in rows."""
    import numpy as np

    from visketch.render.poster import Card, gallery

    cards: list[Card] = []
    for number, hit in enumerate(found, 1):
        small = None
        try:
            small = np.asarray(thumbnail(hit))
        except VisketchError as error:  # gone since it was looked at
            console.warn(error)
        cards.append((small, f"{number} · {hit.score:.3f}", hit.path.name))
    return gallery(sketch, cards)


def thumbnail(hit: "PhotoHit") -> "Image.Image":
    """The photo in a square, with the boxes that count, or else the surest. Raises VisketchError if it is gone."""
    from PIL import ImageDraw, ImageOps

    from visketch.language.image import upright
    from visketch.render.poster import THUMB

    picture = upright(hit.path, 4 * THUMB)[0]
    draw, pen = ImageDraw.Draw(picture), max(2, max(picture.size) // 60)
    for box in [box for box, sure in hit.boxes if sure >= SURE] or [box for box, _ in hit.boxes[:1]]:
        corners = [place * side for place, side in zip(box, picture.size * 2, strict=True)]
        draw.rectangle(corners, outline=FOUND, width=pen)
    return ImageOps.pad(picture, (THUMB, THUMB), color="white")
