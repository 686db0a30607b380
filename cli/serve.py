"""`visketch serve`: the studio, a web page to draw on, and its HTTP API."""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import UsageError, VisketchError

from .shared import console, options

if TYPE_CHECKING:
    from visketch.model import SketchModel


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any free one.")] = 8345,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="GALLERY", help="What 'find similar' searches: an index, or a gallery, which is indexed first."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="VISKETCH_TOKEN", show_default=False, help="The secret that clients have to send."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="An allowed host name besides localhost; may be repeated."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=256, help="At most this many drawings are recognised together.")
    ] = 64,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Open the studio, a web page to draw on, and its HTTP API.

    The page shows a drawing recognised, refined and completed. The page and the API have one address. Unless --host
    says otherwise, it is on this machine only. Nothing is sent to any other server. Ctrl-C stops the server. With
    --json, the first line has the address. Drawings that are sent are not kept: apart from the index of the gallery, no
    file is written.

    \b
    Examples:
      visketch serve --open
      visketch serve --index gallery/
      visketch serve --host 0.0.0.0 --token "$(openssl rand -hex 16)" --name studio.example
      curl -F file=@cat.png http://127.0.0.1:8345/v1/classify
    """
    try:
        from visketch.serve import run
    except ImportError as error:
        if error.name and error.name.startswith("visketch"):
            raise
        raise UsageError("the studio needs fastapi and uvicorn: pip install 'visketch[serve]'") from None
    run.check_token(host, token)
    listening = run.listen(host, port)
    model = options.load(checkpoint, device)
    options.load_parts(model, "encoder", "classifier", *(["sequence"] if model.has("sequence") else []))
    from visketch.serve.app import build
    from visketch.serve.service import Service

    folder = opened(index, model) if index else None
    studio = Service(model, folder, index.resolve().name if index else "")
    for part, other in studio.outdated.items():
        console.warn(f"{model.folder}: {part} was trained with another {other}; the studio works without it")
    options.load_parts(model, *studio.needed)  # now, since the first request would otherwise wait for it
    app = build(studio, names=frozenset(map(str.lower, name or ())), token=token, batch=batch)
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/{f'#token={token}' if token else ''}"

    def started() -> None:
        if as_json:
            console.document({"address": address, "checkpoint": model.config.name, "index": folder})
        else:
            console.say(f"visketch is at {address}")
            console.note("Ctrl-C ends it")
        sys.stdout.flush()
        if browser:
            webbrowser.open(address)

    run.run(app, listening, started)
    console.note("stopped")


def opened(gallery: Path, model: "SketchModel") -> Path:
    """The index of a gallery, brought up to date as `visketch search` does. Raises VisketchError."""
    from visketch.search.index import Index, is_index, usual

    from .index import bring_up_to_date

    if not gallery.exists():
        raise VisketchError(f"{gallery}: no such file or folder; check the name")
    if is_index(gallery):
        Index(gallery, model).database.close()  # so that a damaged index is reported now
        return gallery
    folder = usual(gallery)
    made = Index(folder, model, create=True)
    bring_up_to_date(made, gallery)
    made.database.close()
    return folder
