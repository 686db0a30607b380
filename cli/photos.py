"""`visketch search --photos`: the photos of a folder that show what a sketch shows."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from visketch.errors import VisketchError

from . import asking, console
from .pictures import write_png

if TYPE_CHECKING:
    import numpy as np

    from visketch.language.photos import Hit

SIDE, GAP, CAPTION = 176, 16, 40  # pixels of the sheet, as of drawings


def search_photos(
    sketch: str, folder: Path, n: int, out: Path | None, checkpoint: str | None, device: str, as_json: bool
) -> None:
    """Look at what is new in the folder, rank, and tell."""
    from visketch.search.gallery import usual

    if not folder.is_dir():
        raise VisketchError(f"{folder}: not a folder of photos, name one")
    model = asking.load(checkpoint, device)
    asked = asking.query(model, sketch)
    from visketch.language.photos import Photos

    with console.progress() as bar:
        task = bar.add_task("photos", total=None)
        photos = Photos(
            model,
            folder,
            usual(folder).with_suffix(".photos.npy"),
            console.error,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    found = photos.search(asked, n)
    if out:
        write_png(out, sheet(asked.picture.square, found), {"sketch": sketch, "photos": str(folder)})
    rows = [
        {"rank": rank, "path": hit.path, "score": round(hit.score, 4), "similarity": round(hit.similarity, 4)}
        for rank, hit in enumerate(found, 1)
    ]
    if as_json:
        by = model.answering()
        console.document({"sketch": sketch, "photos": len(photos.files), "by": by, "found": rows, "picture": out})
        return
    table = [[row["rank"], str(row["path"]), f"{row['score']:.3f}", f"{row['similarity']:.3f}"] for row in rows]
    console.table(["", "photo", "shows it", "similarity"], table)
    if out:
        console.say(f"picture: {out}")


def sheet(sketch: "np.ndarray", found: "list[Hit]") -> "np.ndarray":
    """(rows columns 3) uint8: the sketch, and the photos in rows."""
    import numpy as np
    from PIL import Image, ImageOps

    from .poster import CHOSEN, EDGE, FAINT, INK, NONE, Page

    columns = math.ceil(math.sqrt(len(found) + 1))
    wide, high = SIDE + GAP, SIDE + GAP + CAPTION
    page = Page(2 * EDGE + columns * wide - GAP, 2 * EDGE + math.ceil((len(found) + 1) / columns) * high - GAP)
    for number, hit in enumerate([None, *found]):
        row, column = divmod(number, columns)
        at = EDGE + column * wide, EDGE + row * high
        if hit is None:
            page.put(at, sketch, SIDE)
        else:
            with Image.open(hit.path) as opened:
                small = ImageOps.contain(ImageOps.exif_transpose(opened).convert("RGB"), (SIDE, SIDE))
            page.image.paste(small, (at[0] + (SIDE - small.width) // 2, at[1] + (SIDE - small.height) // 2))
        page.frame(at, SIDE, NONE if hit else CHOSEN, 1 if hit else 3)
        words = (f"{number} · {hit.score:.3f}", hit.path.name) if hit else ("sketch", "")
        page.write((at[0], at[1] + SIDE + 5), words[0], 14, INK if hit else CHOSEN)
        page.write((at[0], at[1] + SIDE + 21), words[1][:24], 13, FAINT)
    return np.asarray(page.image)
