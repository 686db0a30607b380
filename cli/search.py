"""`visketch search`: find the drawings of a gallery that are most similar to a sketch."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import UsageError, VisketchError
from visketch.render.grey import grey

from .shared import console, inputs, options
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import PNG, check_out, write_sheet

if TYPE_CHECKING:
    import numpy as np

    from visketch.geometry.sketch import Sketch
    from visketch.model import SketchModel
    from visketch.search.database import Hit
    from visketch.search.index import Index


def search(
    sketch: Annotated[str, typer.Argument(metavar="SKETCH", help="A drawing (the first of a file); - is stdin.")],
    gallery: Annotated[
        Path,
        typer.Argument(metavar="GALLERY", help="A folder of drawings, an ndjson file, a packed data set, or an index."),
    ],
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many drawings to find.")] = 12,
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
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find the drawings that are most similar to a sketch. (`visketch photos search` searches photos.)

    A gallery that is not an index is indexed first, as by `visketch index`: the first search indexes all of it, and
    later ones only new and changed files. An index is searched as it is, and found files that are gone or have
    changed are warned of. The similarity of equal drawings is 1. Drawings with a similarity of 0 or below are left out,
    unless there are no others. Files of the gallery that cannot be read are warned of. Only lines count. Input files
    are never written, and existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch search sketch.png gallery/ -n 12 --out found.png
      visketch search cat.svg quickdraw.index --json
    """
    if out:
        check_out(out, PNG, folders=False)
        Outputs([sketch, gallery], overwrite).check(out)
    from visketch.search.index import Index, alike, is_index, usual
    from visketch.search.scan import outdated

    from .index import bring_up_to_date, load

    if Path(sketch).is_dir():
        raise UsageError(f"{sketch}: a folder; the sketch comes first, the gallery second")
    if not gallery.exists():
        raise VisketchError(f"{gallery}: no such file or folder; check the name")
    name, query = next(inputs.drawings([sketch]))
    if isinstance(query, str):
        raise VisketchError(f"{name}: {query}")
    model = load(checkpoint, device)
    if is_index(gallery):
        opened = Index(gallery, model)
    else:
        opened = Index(usual(gallery), model, create=True)
        bring_up_to_date(opened, gallery, searched=True)
    found = alike(opened.search(query, n))
    if not found:
        raise VisketchError(f"{gallery}: no drawing in it could be read; give another gallery")
    old = outdated(found, opened.database)
    for file, why in old.items():
        console.warn(f"{file}: {why} since it was indexed; index it again")
    if out:
        write_sheet(out, sheet(model, query, found, old), {"of": name, "checkpoint": model.config.name})
    tell(opened, name, found, out, as_json)


def tell(opened: "Index", name: str, found: Sequence["Hit"], out: Path | None, as_json: bool) -> None:
    rows = [
        {"rank": rank, "path": shown(hit), "label": hit.label, "similarity": round(hit.similarity, 4)}
        for rank, hit in enumerate(found, 1)
    ]
    if as_json:
        of = opened.database.drawings()
        console.document({"sketch": name, "index": opened.folder, "drawings": of, "found": rows, "picture": out})
        return
    label = any(row["label"] for row in rows)
    columns = ["", "drawing", *(["class"] if label else []), "similarity"]
    table = [
        [row["rank"], row["path"], *([row["label"] or ""] if label else []), f"{row['similarity']:.3f}"] for row in rows
    ]
    console.table(columns, table)
    if out:
        console.say(f"picture: {out}")


def shown(hit: "Hit") -> str:
    """The path of a drawing. It is relative if the drawing is below the current folder, and otherwise absolute."""
    path = Path(hit.file)
    here = Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}{hit.name}"


def sheet(model: "SketchModel", query: "Sketch", found: Sequence["Hit"], old: Container[str]) -> "np.ndarray":
    """The query and the results in rows, as a picture (rows columns 3) uint8.

    The place of a drawing that is gone stays blank. This is warned of, unless its file is one of the `old` ones.
    """
    from visketch.render.poster import THUMB, Card, gallery
    from visketch.search.scan import HitDrawings

    def drawn(sketch: "Sketch") -> "np.ndarray":
        return grey(model.render([sketch]), model.config.sketch.clamp, THUMB)[0]

    cards: list[Card] = []
    drawings = HitDrawings(found)
    for number, hit in enumerate(found, 1):
        picture = None
        try:
            picture = drawn(drawings.take(hit))
        except VisketchError as error:
            if hit.file not in old:
                console.warn(error)
        cards.append((picture, f"{number} · {hit.similarity:.3f}", hit.label or Path(hit.file).name + hit.name))
    return gallery(drawn(query), cards)
