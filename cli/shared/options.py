"""Options that several verbs share, and how their values are used."""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError, VisketchError

from . import console

if TYPE_CHECKING:
    from visketch.config import SketchConfig
    from visketch.model import SketchModel
    from visketch.sampling import SamplingOptions


def complete_checkpoint(incomplete: str) -> list[str]:
    """Shell completion for checkpoints: the shipped names, and the checkpoints in the current folder."""
    from visketch.config import shipped

    here = [str(path.parent) for path in Path().glob("*/config.toml")]
    here += [str(path.parent) for path in Path().glob("*/*/config.toml")]
    return [name for name in [*shipped(), *here] if name.startswith(incomplete)]


def complete_class(ctx: Any, incomplete: str) -> list[str]:
    """Shell completion for classes: those of the checkpoint that is on the command line so far (typer's `ctx` has it).

    They are read without torch.
    """
    from visketch.config import find

    try:
        config = find(ctx.params.get("checkpoint"), cached=True) / "config.toml"
        labels = tomllib.loads(config.read_text(encoding="utf-8"))["labels"]
    except (OSError, ValueError, KeyError, VisketchError):  # a completion must not print errors
        labels = []
    return [label for label in labels if label.startswith(incomplete)]


Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="FOLDER|NAME|OWNER/NAME",
        envvar="VISKETCH_CHECKPOINT",
        help="A checkpoint: a folder, the name of a shipped one, or OWNER/NAME[@REVISION] on the Hugging Face Hub. "
        "By default the shipped 'small'.",
        autocompletion=complete_checkpoint,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        envvar="VISKETCH_DEVICE",
        help="auto, cpu, cuda, cuda:1 or mps; auto is a CUDA card if there is one, else the CPU.",
        autocompletion=lambda: ["auto", "cpu", "cuda", "mps"],
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=256,
        help="Processes that read and render drawings; by default one for each core, at most 8; 0: none. "
        "With --engine ray: processes that run the model; by default one for each GPU or core.",
    ),
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(metavar="local|ray", help="Run on this machine, or on the Ray cluster that RAY_ADDRESS names."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Coarse = Annotated[
    Literal["strokes", "field"] | None,
    typer.Option(help="What the coarse stage draws; by default what the checkpoint is made for."),
]
Guidance = Annotated[
    float | None,
    typer.Option(min=0, max=20, help="How much the class counts; a higher value gives tidier, less varied sketches."),
]
Tries = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        metavar="N",
        help="Draw each sketch this often and keep the one that the classifier finds most probable; by default 1.",
    ),
]
Temperature = Annotated[
    float,
    typer.Option(min=0, max=10, help="The sampling temperature of the refiner; 0 always takes the most probable code."),
]
Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH...]",
        show_default=False,
        help="Pictures, drawings, folders or globs; - reads one from standard input.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="The same seed gives the same result.")]
Seeds = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        max=2**32 - 1,
        help="Sketch number i, from 0, is drawn with the seed + i; so seeds that differ by -n or more share no sketch.",
    ),
]

From = Annotated[
    str | None,
    typer.Option("--from", metavar="FILE|-", help="A list of more paths, one a line; - reads it from standard input."),
]
Format = Annotated[
    Literal["png", "svg", "ndjson", "gif", "webp"] | None,
    typer.Option(
        "--format", metavar="png|svg|ndjson|gif|webp", help="The format of the files in a folder; by default png."
    ),
]
Animate = Annotated[
    bool,
    typer.Option(
        "--animate", help="Show it being drawn, stroke by stroke, in an .svg or .png; .gif and .webp always do."
    ),
]


def check_classes(checkpoint: str | None, classes: list[str]) -> list[str]:
    """The labels of some class names (`cats` means cat). They are checked before torch is imported.

    Raises UsageError for an unknown class, VisketchError if the checkpoint cannot be read.
    """
    from visketch.config import find, read_config

    config = read_config(find(checkpoint))
    return [config.labels[config.label_of(name)] for name in classes]


def one_class(checkpoint: str | None, name: str | None) -> str | None:
    """The label of the class name of --class, if there is one.

    Raises UsageError for several (`cat,dog`), and the same errors as `check_classes`.
    """
    if name and "," in name:
        raise UsageError(f"--class {name}: this command takes one class")
    return check_classes(checkpoint, [name])[0] if name else None


def shape_on(checkpoint: str | None, canvas: int | None) -> "SketchConfig":
    """The shape of sketches on a canvas of so many pixels, or on that of training. This does not import torch.

    Raises UsageError for a canvas that is not possible, VisketchError if the checkpoint cannot be read.
    """
    from visketch.config import find, read_config

    shape = read_config(find(checkpoint)).sketch
    return shape.at(canvas or shape.canvas)


def split_names(classes: list[str]) -> list[str]:
    """The class names in the words of --class, of which one may have several: `cat,dog`.

    Raises UsageError if a name is empty.
    """
    names = [name.strip() for word in classes for name in word.split(",")]
    if not all(names):
        raise UsageError(f"--class {','.join(classes)!r}: a name is empty")
    return names


def several_classes(checkpoint: str | None, classes: list[str]) -> list[str]:
    """The labels of some class names, where a word may stand for several classes (`cat,dog`) or for `all`. Each label
    comes once.

    Raises the same errors as `check_classes`.
    """
    from visketch.config import find, read_config

    names = split_names(classes)
    every = read_config(find(checkpoint)).labels if "all" in names else ()
    named = check_classes(checkpoint, [name for name in names if name != "all"])
    return list(dict.fromkeys([*named, *every]))


def parse_detail(detail: str) -> str | int:
    """The value of --detail: few, usual, many, or a number of strokes. Raises UsageError for anything else."""
    if detail in ("few", "usual", "many"):
        return detail
    if not detail.isdecimal() or int(detail) < 1:
        raise UsageError(f"--detail {detail}: take few, usual, many or a number of strokes, from 1")
    return int(detail)


def named(error: UsageError) -> UsageError:
    """The same error about a value under the name of its option: `detail = 500: ...` becomes `--detail 500: ...`."""
    found = re.match(r"(\w+) = '?([\w.]+)'?: ", str(error))
    return UsageError(f"--{found[1].replace('_', '-')} {found[2]}: {str(error)[found.end() :]}") if found else error


def load(checkpoint: str | None, device: str) -> "SketchModel":
    """Load the model that the options name. Raises UsageError for an unknown device, and VisketchError."""
    from visketch.config import find

    with console.waiting("Loading the model ..."):
        folder = find(checkpoint)  # first, since importing torch takes seconds
        from visketch.model import SketchModel

        return SketchModel.load(folder, device)


def sampling(settings: dict[str, Any]) -> "SamplingOptions":
    """The sampling options among the settings of a verb."""
    from dataclasses import fields

    from visketch.sampling import SamplingOptions

    return SamplingOptions(**{one.name: settings[one.name] for one in fields(SamplingOptions) if one.name in settings})


def load_parts(model: "SketchModel", *parts: str) -> None:
    """Load some parts now, so that a missing or damaged one is reported before any work. Raises VisketchError."""
    with console.waiting("Loading the model ..."):
        for part in parts:
            model.part(part)
