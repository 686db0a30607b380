"""`visketch photos`: search the photos of a folder with a sketch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import UsageError, VisketchError

from .locate import FOUND, pixels
from .shared import console, options, sketch_query
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import PNG, check_out, write_png

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from visketch.language.boxes import Box
    from visketch.language.model import SketchLanguage
    from visketch.language.retrieval import PhotoHit, PictureSearch

SURE = 0.5  # the least score of a box that counts


app = typer.Typer(no_args_is_help=True, help="Find photos that show what a sketch shows.")

Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="A folder with photos and drawn scenes; folders in it are searched too."),
]


@app.command()
def search(
    sketch: sketch_query.Asked,
    folder: Folder,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many photos to find.")] = 12,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_out,
            metavar="PATH",
            help="Write a picture of the results, with the sketch first.",
        ),
    ] = None,
    which: sketch_query.Words = None,
    by: sketch_query.By = None,
    checkpoint: sketch_query.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find the photos in a folder that show what a sketch shows.

    The folder is indexed first, as by `visketch photos index`. Photos that hardly show it are left out. Drawn scenes
    are told apart from photos, and are searched as well. Photos that cannot be read are warned of. Only the lines of
    the sketch count. Input files are never written, and existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch photos search cat.svg photos/ --out found.png
      visketch photos search cat.svg photos/ --which red --json
    """
    if out:
        check_out(out, PNG, folders=False)
        Outputs([sketch, folder], overwrite).check(out)
    check(folder, by)
    meant = sketch_query.which(which)
    model = sketch_query.load(checkpoint, device)
    model.require(by)
    asked = sketch_query.query(model, sketch)
    pictures = opened(model, folder, by, console.Problems(harmless=True))
    found = pictures.search(asked, n, meant)
    if out:
        write_png(out, sheet(asked.picture.square, found), {"sketch": sketch, "photos": str(folder)})
    rows = [row(rank, hit) for rank, hit in enumerate(found, 1)]
    if as_json:
        console.document({"sketch": sketch, "photos": pictures.count, "found": rows, "picture": out})
        return
    if not rows:
        console.say(f"none of the {pictures.count} pictures shows it")
    else:
        table = [
            [one["rank"], str(one["path"]), f"{one['score']:.3f}", len(counted(hit)), one["by"]]
            for one, hit in zip(rows, found, strict=True)
        ]
        console.table(["", "photo", "shows it", "boxes", "by"], table)
    if out:
        console.say(f"picture: {out}")


@app.command()
def index(
    folder: Folder,
    checkpoint: sketch_query.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Index the photos of a folder before searching.

    The index is kept in the user's cache (or in VISKETCH_CACHE). A second run reads only photos that are new or
    changed. Photos that cannot be read are reported and left out, and the exit code is then 1. The photos are never
    written.

    \b
    Example:
      visketch photos index photos/
    """
    check(folder, None)
    pictures = opened(sketch_query.load(checkpoint, device), folder, None, console.Problems())
    unread = pictures.unread
    if as_json:
        facts = {"folder": folder, "photos": pictures.count}
        console.document(facts | {"unread": len(unread), "unread_files": unread})
    else:
        console.say(f"{console.many(pictures.count, 'picture')} in {folder}")
    if unread:
        raise typer.Exit(console.FAILED)


def check(folder: Path, by: "sketch_query.Who | None") -> None:
    """Refuse a folder or a predictor that cannot be searched, before any work is done. Raises VisketchError and
    UsageError.
    """
    if not folder.is_dir():
        raise VisketchError(f"{folder}: not a folder; name a folder of photos")
    if by == "recogniser":
        raise UsageError(
            "--by recogniser is not for folders; leave out --by, drawn scenes are recognised as such automatically"
        )


def opened(
    model: "SketchLanguage", folder: Path, by: "sketch_query.Who | None", problems: console.Problems
) -> "PictureSearch":
    """Open the search of a folder, and index its new pictures with a progress bar. `problems` receives those that
    cannot be read.
    """
    from visketch.language.retrieval import PictureSearch
    from visketch.search.index import usual

    with console.progress() as bar:
        task = bar.add_task("photos", total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        pictures = PictureSearch(model, folder, usual(folder), problems, on_progress, by)
    if problems.unnamed:
        console.note(f"{problems.count} could not be read{problems.unnamed}")
    return pictures


def row(rank: int, hit: "PhotoHit") -> dict:
    """A result for programs, with the boxes that count, the most certain first, in pixels as those of `locate`."""
    from visketch.language.image import size_of

    boxes: list[dict] = []
    try:
        size = size_of(hit.path)
        boxes = [{"box": pixels(box, *size), "score": round(sure, 3)} for box, sure in counted(hit)]
    except VisketchError as error:  # the file was deleted after it was indexed
        console.warn(error)
    facts = {"rank": rank, "path": hit.path, "score": round(hit.score, 4), "by": hit.by, "boxes": boxes}
    return facts | ({} if hit.similarity is None else {"similarity": round(hit.similarity, 4)})


def sheet(sketch: "np.ndarray", found: "list[PhotoHit]") -> "np.ndarray":
    """The sketch, and the photos with their boxes, in rows, as a picture (rows columns 3) uint8."""
    import numpy as np

    from visketch.render.poster import Card, gallery

    cards: list[Card] = []
    for number, hit in enumerate(found, 1):
        small = None
        try:
            small = np.asarray(thumbnail(hit))
        except VisketchError as error:  # the file was deleted after it was indexed
            console.warn(error)
        cards.append((small, f"{number} · {hit.score:.3f}", hit.path.name))
    return gallery(sketch, cards)


def counted(hit: "PhotoHit") -> "tuple[tuple[Box, float], ...]":
    """The boxes of a hit that count. Of a photo, which has faint ones too, the most certain one if none counts."""
    if hit.by != "detector":
        return hit.boxes
    return tuple((box, sure) for box, sure in hit.boxes if sure >= SURE) or hit.boxes[:1]


def thumbnail(hit: "PhotoHit") -> "Image.Image":
    """The photo in a square, with the boxes that count, or with the most certain one if none counts.

    Raises VisketchError if the photo is gone.
    """
    from PIL import ImageDraw, ImageOps

    from visketch.language.image import upright
    from visketch.render.poster import THUMB

    picture = upright(hit.path, 4 * THUMB)[0].copy()  # upright keeps its result in a cache
    draw, pen = ImageDraw.Draw(picture), max(2, max(picture.size) // 60)
    for box, _ in counted(hit):
        corners = [place * side for place, side in zip(box, picture.size * 2, strict=True)]
        draw.rectangle(corners, outline=FOUND, width=pen)
    return ImageOps.pad(picture, (THUMB, THUMB), color="white")
