"""What the verbs that ask with a sketch share: arguments, loading the model, and a row for each picture."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import UsageError, VisketchError

from . import console, inputs

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch
    from visketch.language.answers import Answer
    from visketch.language.attributes import Filter
    from visketch.language.model import Pair, SketchLanguage
    from visketch.language.vision.features import EncodedPicture

Row = dict[str, Any]


def parse_picture(typed: str) -> str:
    """The path of a picture. Raises UsageError for -, which only the sketch may be."""
    if typed == "-":
        raise UsageError("-: only the sketch can come from standard input; name a file for the picture")
    return typed


Asked = Annotated[
    str, typer.Argument(metavar="SKETCH", help="A drawing of the object: PNG, JPEG, SVG, ndjson ...; - is stdin.")
]
Pictures = Annotated[
    list[str],
    typer.Argument(
        parser=parse_picture,
        metavar="PICTURE...",
        help="Photos or drawn scenes: files, folders (with their subfolders) or globs.",
    ),
]
Picture = Annotated[str, typer.Argument(parser=parse_picture, metavar="PICTURE", help="A photo or a drawn scene.")]
Who = Literal["language", "matcher", "recogniser", "detector"]
By = Annotated[
    Who | None,
    typer.Option(
        help="The predictor that answers: the detector knows 93 classes in photos; the recogniser knows all classes of "
        "`visketch classify` in drawn scenes; the matcher compares regions with the sketch; language is the language "
        "model. By default the detector for photos and the recogniser for drawn scenes.",
    ),
]
Words = Annotated[
    str | None,
    typer.Option(
        "--which",
        metavar="WORDS",
        help='Only some of the objects, by colour, size or place: "red", "the small ones on the left", "largest".',
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="FOLDER|NAME",
        envvar="VISKETCH_LANGUAGE",
        help="A folder of `visketch language train`, or the name of a shipped model; by default 'language'.",
    ),
]

Detector = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="FOLDER|NAME",
        help="Experimental, never measured: an OWLv2 in a folder or in the Hub's cache, asked for the class of the "
        "sketch. It replaces the shipped detector.",
    ),
]


def load(checkpoint: str | None, device: str, detector: str | None = None) -> "SketchLanguage":
    """Load the model that the options name. Raises UsageError for an unknown device, and VisketchError."""
    with console.waiting("Loading the model ..."):
        from visketch.language.model import SketchLanguage

        model = SketchLanguage.load(checkpoint, device)
        if detector:
            from visketch.language.detect.owlv2 import Detector

            model.detector = Detector(detector, model.device)
        return model


def query(model: "SketchLanguage", sketch: str) -> "EncodedPicture":
    """The encoded sketch to ask with; - is the first drawing of standard input.

    Warns if it looks like a photo, since the arguments may then be in the wrong order. Raises VisketchError if it
    cannot be read.
    """
    try:
        encoded = model.sketch(_piped() if sketch == "-" else sketch)
    except VisketchError as error:
        raise VisketchError(f"{error} (the sketch comes first, the picture second)") from None
    if encoded.picture.sketch and encoded.picture.sketch.about.get("photo"):
        console.warn(f"{sketch}: this looks like a photo; the sketch comes first, the picture second")
    return encoded


def _piped() -> "Sketch":
    """The first drawing of standard input. Raises VisketchError if it cannot be read."""
    name, sketch = inputs.first_drawing("-")
    return replace(sketch, source=name)  # its temporary file is gone soon


def which(words: str | None) -> "Filter | None":
    """The filter that --which describes. Raises UsageError for unknown words."""
    from visketch.language.attributes import Filter

    return None if words is None else Filter.told(words)


def found(
    model: "SketchLanguage", pair: "Pair", by: Who | None, which: "Filter | None", min_score: float | None = None
) -> "Answer":
    """The objects that the sketch and --which describe. Raises VisketchError."""
    from visketch.language.attributes import only

    (answer,) = model.find([pair], by, min_score)
    if isinstance(answer, VisketchError):
        raise answer
    return only(answer, pair[1].picture, which) if which else answer


def wider(question: str) -> str:
    """What the detector cannot tell of the words that a question names."""
    from visketch.language.detect.coco import notes

    return "; ".join(notes(question))


def each(paths: list[str], answer: Callable[[str], Row]) -> Iterator[Row]:
    """A row for every picture, or {"path", "error"} if it failed. The other pictures are still answered."""
    from visketch.data.named import about

    for path in spread(paths):
        try:
            if Path(path).is_dir():
                raise VisketchError(f"{path}: no picture in this folder; give another")
            yield {"path": path} | answer(path)
        except VisketchError as error:
            yield {"path": path, "error": about(error, path)}


def spread(paths: list[str]) -> list[str]:
    """The pictures of files, of folders with their subfolders, and of globs. A path without a picture is kept, so that
    it is reported.
    """
    return [picture for path in paths for picture in _pictures(path) or [path]]


def _pictures(path: str) -> list[str]:
    """The pictures of one path. A file counts as one, even if it is a link to nothing."""
    import glob

    from visketch.language import image

    if Path(path).is_dir():
        return [str(file) for file in image.files(Path(path))]
    if os.path.lexists(path):
        return [path]
    matches = sorted(glob.glob(path, recursive=True))
    return list(dict.fromkeys(picture for match in matches for picture in _pictures(match)))


def beside(row: Row, more: str = "", found: bool = True) -> str:
    """The predictor, further counts and the note of a row, in brackets. If the detector has found nothing, they say who
    reads drawings.
    """
    if not found and row["by"] == "detector":
        more += "; for a photo of drawings, --by recogniser"
    note = f"; {row['note']}" if row.get("note") else ""
    return f"(by {row['by']}{more}{note})"


def conclude(rows: list[Row], as_json: bool, sketch: str, show: Callable[[Row], None]) -> None:
    """Print the rows as JSON, or each row by `show`. Exits with 1 if some pictures failed."""
    if as_json:
        console.document({"sketch": sketch, "answers": rows})
    for row in rows:
        if "error" in row:
            console.error(f"{row['path']}: {row['error']}")
        elif not as_json:
            show(row)
    if any("error" in row for row in rows):
        raise typer.Exit(console.FAILED)
