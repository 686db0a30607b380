"""`visketch export`: write a part of a checkpoint for apps without torch, or a site that needs no server."""

from pathlib import Path
from typing import Annotated

import typer

from visketch.errors import UsageError

from .shared import console, options
from .shared.outputs import Outputs, Overwrite, parse_out

app = typer.Typer(no_args_is_help=True, help="Write a part for apps without torch, or a site.")


@app.callback()
def export() -> None:
    """Write a part of a checkpoint as a file for apps without torch, or the studio as a site without a server."""


@app.command()
def classifier(
    out: Annotated[Path, typer.Argument(parser=parse_out, metavar="MODEL.onnx", help="The ONNX file to write.")],
    checkpoint: options.Checkpoint = None,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Write the classifier as one ONNX file.

    The model takes fields (signed distances) and returns logits. The quadtree is part of it, and its metadata has the
    labels. docs/export.md shows how to use it in an app. This needs the extra `onnx`. Before the file is written, its
    logits are compared with those of torch. The checkpoint is never written, and an existing file is only replaced with
    --overwrite.

    \b
    Examples:
      visketch export classifier model.onnx
      visketch export classifier model.onnx --checkpoint runs/mine --json
    """
    if out.suffix.lower() != ".onnx" or out.is_dir():
        raise UsageError(f"{out}: name a .onnx file")
    Outputs((), overwrite).check(out)
    model = options.load(checkpoint, "cpu")
    options.load_parts(model, "encoder", "classifier")
    with console.waiting("Exporting ..."):
        from visketch.tasks.export import export_classifier

        facts = export_classifier(model, out)
    if as_json:
        console.document(facts)
        return
    console.say(f"classifier of {facts['classes']} classes, {facts['bytes'] / 1e6:,.1f} MB: {out}")
    console.note(f"its logits differ from torch's by {facts['difference']:.1g} at most")


@app.command()
def site(
    out: Annotated[Path, typer.Argument(parser=parse_out, metavar="FOLDER", help="The folder to write.")],
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="FILE.tgz", help="The npm package onnxruntime-web, instead of fetching it."),
    ] = None,
    checkpoint: options.Checkpoint = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing site.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write the studio as static files that work in the browser.

    The page recognises, draws and finishes drawings. Any file server can serve the folder. After the first visit, the
    page works offline. This needs weights that draw strokes, and the extra `onnx`. ONNX Runtime for browsers is fetched
    from npm's registry, once. A folder with other files is never written.

    \b
    Examples:
      visketch export site public/
      python -m http.server --directory public/        # http://localhost:8000
      visketch export site public/ --checkpoint runs/mine --runtime onnxruntime-web-1.22.0.tgz --overwrite
    """
    from visketch.tasks.site import check, export_site

    check(out, overwrite)
    model = options.load(checkpoint, "cpu")
    with console.waiting("Exporting ..."):
        facts = export_site(model, out, runtime, overwrite)
    if as_json:
        console.document(facts)
        return
    console.say(f"site of {facts['files']} files, {facts['bytes'] / 1e6:,.1f} MB: {out}")
    console.note(f"try it: python -m http.server --directory {out}")
