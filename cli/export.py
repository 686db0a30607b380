"""`visketch export`: write a part of a checkpoint for apps without torch."""

from pathlib import Path
from typing import Annotated

import typer

from visketch.errors import UsageError

from .shared import console, options
from .shared.outputs import Outputs, Overwrite, parse_out

app = typer.Typer(no_args_is_help=True, help="Write a part as a file for apps without torch.")


@app.callback()
def export() -> None:
    """Write a part of a checkpoint as a file for apps without torch."""


@app.command()
def classifier(
    out: Annotated[Path, typer.Argument(parser=parse_out, metavar="MODEL.onnx", help="The ONNX file to write.")],
    checkpoint: options.Checkpoint = None,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Write the classifier as one ONNX file.

    The model takes fields (signed distances) and returns logits; the quadtree is part of it, and its metadata has the
    labels. docs/export.md shows how to use it in an app. Needs the extra `onnx`. Before the file is written, its logits
    are compared with those of torch. An existing file is only replaced with --overwrite.

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
