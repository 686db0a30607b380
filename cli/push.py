"""`visketch push`: upload a checkpoint to the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from .shared import console, options


def push(
    folder: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    name: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The model on the Hub; it is created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Create the model as a private one.")] = False,
    as_json: options.Json = False,
) -> None:
    """Upload a checkpoint to the Hugging Face Hub.

    Its weights, its configuration and its model card (README.md) are uploaded, but not the state of unfinished
    training. Then `--checkpoint OWNER/NAME` downloads it. Log in first with `hf auth login`, or set HF_TOKEN. Files of
    the same names on the Hub get a new version. Local files are never written.

    \b
    Examples:
      visketch push runs/mine me/sketches
      visketch push runs/mine me/sketches --private --json
    """
    from visketch import hub
    from visketch.config import read_config

    read_config(folder)
    if not (folder / "README.md").exists():
        console.warn(f"{folder}: no model card; say in its README.md what it was trained on, and push again")
    with console.waiting(f"Uploading to {name} ..."):
        address = hub.push(folder, name, private)
    if as_json:
        console.document({"model": name, "commit": address})
    else:
        console.say(f"{folder}: {address}")
