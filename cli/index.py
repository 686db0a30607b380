"""`visketch index`: embed drawings for search."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import VisketchError

from .shared import console, options
from .shared.outputs import parse_out

if TYPE_CHECKING:
    from visketch.model import SketchModel
    from visketch.parallel import Engine
    from visketch.search.index import Index, Update


Source = Annotated[
    Path, typer.Argument(metavar="GALLERY", help="A folder of drawings, an ndjson file, or a packed data set.")
]


def index(
    gallery: Source,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_out,
            metavar="FOLDER",
            help="The folder of the index; by default in the user's cache.",
        ),
    ] = None,
    renew: Annotated[bool, typer.Option("--renew", help="Delete the index first, to use other weights.")] = False,
    engine: options.Engine = "local",
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Index drawings for `visketch search`.

    A second run embeds only files that are new or changed, and removes files that are gone. It can be stopped at any
    moment and continued. Without --out, the index goes to the user's cache (or to VISKETCH_CACHE), where `visketch
    search` finds it. Files that cannot be read are reported and left out, and the exit code is 1 as long as there are
    any. The drawings are never written. A folder that exists and is not an index is refused.

    \b
    Examples:
      visketch index gallery/
      visketch index quickdraw.arrow --out quickdraw.index
      visketch index gallery/ --renew --checkpoint runs/mine
      RAY_ADDRESS=head:6379 visketch index /shared/gallery/ --engine ray
    """
    from visketch.search.index import Index, is_index, usual

    if not gallery.exists():
        raise VisketchError(f"{gallery}: no such file or folder; check the name")
    if is_index(gallery):
        raise VisketchError(f"{gallery}: this is an index; name the drawings, and the index with --out")
    model = load(checkpoint, device if engine == "local" else "cpu")
    folder = out or usual(gallery)
    opened = Index(folder, model, create=True, renew=renew)
    done = bring_up_to_date(opened, gallery, engine, device)
    counts, size = opened.database.counts(), opened.bytes()
    if as_json:
        now = {name: count for name, count in asdict(done).items() if name != "unread_before"}
        unread = [*opened.database.unread()]
        console.document({"index": folder, **counts, "unread_files": unread, "bytes": size, "now": now})
    else:
        known = f"{console.many(counts['drawings'], 'drawing')} in {console.many(counts['files'], 'file')}"
        console.say(f"{known}, {size / 1e6:,.1f} MB: {folder}")
        embedded, removed = console.many(done.embedded, "drawing"), console.many(done.removed, "file")
        read = console.many(done.files, "new or changed file")
        console.note(f"embedded {embedded}; read {read}, removed {removed} from the index")
        console.note(f"next: visketch search sketch.png {out or gallery}")
    if counts["unread"]:
        raise typer.Exit(console.FAILED)


def load(checkpoint: str | None, device: str) -> "SketchModel":
    model = options.load(checkpoint, device)
    options.load_parts(model, "encoder", "classifier")
    return model


def bring_up_to_date(
    opened: "Index", source: Path, engine: "Engine" = "local", device: str = "auto", searched: bool = False
) -> "Update":
    """Index new and changed files, with a progress bar.

    All files that cannot be read are reported, including those that were not read again because they have not changed:
    as errors, or as warnings if the index is only brought up to date for a search.
    """
    problems = console.Problems(harmless=searched)
    with console.progress() as bar:
        task = bar.add_task("indexing", total=None)

        def on_progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        done = opened.update(source, problems, on_progress, engine, device)
    for file, count in done.unread_before.items():
        why = f"{console.many(count, 'drawing')} could not be read before, and the file has not changed since"
        problems(VisketchError(f"{file}: {why}"))
    if problems.unnamed:
        console.note(f"{problems.count} could not be read{problems.unnamed}")
    return done
