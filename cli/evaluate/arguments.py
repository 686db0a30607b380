"""The arguments that the verbs of `visketch evaluate` share: a data set and a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError

from ..shared import options

if TYPE_CHECKING:
    from visketch.data.store import Store
    from visketch.model import SketchModel

Data = Annotated[
    Path, typer.Option("--data", envvar="VISKETCH_DATA", help="A data set written by `visketch data pack`.")
]
Split = Annotated[Literal["train", "validation", "test"], typer.Option(help="Which drawings.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most this many drawings, chosen at random.")]
Baselines = Annotated[
    list[Path] | None,
    typer.Option("--baseline", metavar="FOLDER", help="A folder of `visketch train baseline`; may be repeated."),
]

DATA = Path("quickdraw.arrow")


def load(checkpoint: str | None, device: str, data: Path, split: str, *parts: str) -> "tuple[SketchModel, Store]":
    """Load the model with its parts, and open the data set. Raises UsageError for an unknown device, VisketchError for
    files that cannot be read.
    """
    from visketch.data.store import Store

    store = Store(data)
    if not len(store.rows(split)):
        raise UsageError(f"{data}: has no {split} drawing; choose another --split")
    model = options.load(checkpoint, device)
    options.load_parts(model, *parts)
    return model, store


def load_baselines(folders: list[Path] | None, device: str) -> "list[SketchModel]":
    """Load the models in some folders, with their baselines. Raises VisketchError."""
    contenders = [options.load(str(folder), device) for folder in folders or []]
    for contender in contenders:
        options.load_parts(contender, "baseline")
    return contenders


def about(data: Path, split: str, model: "SketchModel") -> dict[str, Any]:
    return {"checkpoint": model.config.name, "data": data, "split": split}
