"""`visketch search --photos`: the photos of a folder that show what a sketch shows."""

from pathlib import Path
from typing import TYPE_CHECKING

from visketch.errors import VisketchError

from .shared import console, sketch_query
from .shared.pictures import write_png

if TYPE_CHECKING:
    import numpy as np

    from visketch.language.retrieval import PhotoHit


def search_photos(
    sketch: str,
    folder: Path,
    n: int,
    out: Path | None,
    which: str | None,
    checkpoint: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Look at what is new in the folder, rank, and tell."""
    from visketch.search.index import usual

    if not folder.is_dir():
        raise VisketchError(f"{folder}: not a folder of photos, name one")
    meant = sketch_query.which(which)
    model = sketch_query.load(checkpoint, device)
    asked = sketch_query.query(model, sketch)
    from visketch.language.retrieval import PhotoIndex

    problems = console.Problems()
    with console.progress() as bar:
        task = bar.add_task("photos", total=None)
        photos = PhotoIndex(
            model,
            folder,
            usual(folder).with_suffix(".photos.npy"),
            problems,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if problems.unnamed:
        console.note(f"{problems.count} could not be read{problems.unnamed}")
    found = photos.search(asked, n, which=meant)
    if out:
        write_png(out, sheet(asked.picture.square, found), {"sketch": sketch, "photos": str(folder)})
    rows = [
        {"rank": rank, "path": hit.path, "score": round(hit.score, 4), "similarity": round(hit.similarity, 4)}
        | {"by": hit.by}
        for rank, hit in enumerate(found, 1)
    ]
    if as_json:
        console.document({"sketch": sketch, "photos": len(photos.files), "found": rows, "picture": out})
        return
    table = [
        [row["rank"], str(row["path"]), f"{row['score']:.3f}", f"{row['similarity']:.3f}", row["by"]] for row in rows
    ]
    console.table(["", "photo", "shows it", "similarity", "by"], table)
    if out:
        console.say(f"picture: {out}")


def sheet(sketch: "np.ndarray", found: "list[PhotoHit]") -> "np.ndarray":
    """(rows columns 3) uint8: the sketch, and the photos in rows."""
    import numpy as np
    from PIL import ImageOps

    from visketch.language.image import upright
    from visketch.render.poster import THUMB, Card, gallery

    cards: list[Card] = []
    for number, hit in enumerate(found, 1):
        small = None
        try:
            small = np.asarray(ImageOps.pad(upright(hit.path, 4 * THUMB)[0], (THUMB, THUMB), color="white"))
        except VisketchError as error:  # gone since it was looked at
            console.warn(error)
        cards.append((small, f"{number} · {hit.score:.3f}", hit.path.name))
    return gallery(sketch, cards)
