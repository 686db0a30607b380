"""What the verbs that ask with a sketch share: arguments, loading the model, and a row for each picture."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.errors import VisketchError

from . import console, options

if TYPE_CHECKING:
    from visketch.language.answers import Answer
    from visketch.language.attributes import Filter
    from visketch.language.model import Pair, SketchLanguage
    from visketch.language.vision.features import EncodedPicture

Row = dict[str, Any]

Asked = Annotated[str, typer.Argument(metavar="SKETCH", help="A drawing of what is meant: PNG, JPEG, SVG, ndjson ...")]
Pictures = Annotated[
    list[str], typer.Argument(metavar="PICTURE...", help="Photos, or drawings of scenes; files, folders or globs.")
]
Picture = Annotated[str, typer.Argument(metavar="PICTURE", help="A photo, or the drawing of a scene.")]
Who = Literal["language", "matcher", "recogniser", "detector"]
By = Annotated[
    Who | None,
    typer.Option(
        help="Who answers: the detector, which knows 93 classes in photos; the recogniser, which knows all classes "
        "of `visketch classify` in drawn scenes; the matcher, which compares regions with the sketch; or the language "
        "model. By default the detector in photos and the recogniser in drawn scenes.",
    ),
]
Words = Annotated[
    str | None,
    typer.Option(
        "--which",
        metavar="WORDS",
        help='Which of them, by colour, size or place: "red", "the small ones on the left", "largest".',
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="FOLDER|NAME",
        envvar="VISKETCH_LANGUAGE",
        help="A folder that `visketch language train` wrote, or a shipped one's name; by default 'language'.",
    ),
]

Detector = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="FOLDER|NAME",
        help="An OWLv2 in a folder or the Hub's cache, asked for what the sketch is named: it takes the place of the "
        "shipped detector.",
    ),
]


def load(checkpoint: str | None, device: str, detector: str | None = None) -> "SketchLanguage":
    """The model that the options name. Raises UsageError, VisketchError."""
    with console.waiting("Loading the model ..."):
        device = options.resolve(device)
        from visketch.language.model import SketchLanguage

        model = SketchLanguage.load(checkpoint, device)
        if detector:
            from visketch.language.detect.owlv2 import Detector

            model.detector = Detector(detector, device)
        return model


def query(model: "SketchLanguage", sketch: str) -> "EncodedPicture":
    """The sketch to ask with; warns if it may be the picture. Raises VisketchError."""
    from visketch.language import image

    with contextlib.suppress(VisketchError):  # strokes are no picture, and no photo
        if image.is_photo(image.read(sketch, model.canvas).square):
            console.warn(f"{sketch}: looks like a photo; the sketch comes first, the picture second")
    try:
        return model.sketch(sketch)
    except VisketchError as error:
        raise VisketchError(f"{error} (the sketch comes first, the picture second)") from None


def which(words: str | None) -> "Filter | None":
    """What --which says. Raises UsageError."""
    from visketch.language.attributes import Filter

    return None if words is None else Filter.told(words)


def found(
    model: "SketchLanguage", pair: "Pair", by: Who | None, which: "Filter | None", min_score: float | None = None
) -> "Answer":
    """Where what the sketch shows is, and of it what is meant. Raises VisketchError."""
    from visketch.language.attributes import only

    (answer,) = model.find([pair], by, min_score)
    if isinstance(answer, VisketchError):
        raise answer
    return only(answer, pair[1].picture, which) if which else answer


def each(paths: list[str], answer: Callable[[str], Row]) -> Iterator[Row]:
    """A row for every picture, or {"path", "error"}; the good ones are answered whatever the others are."""
    for path in spread(paths):
        try:
            yield {"path": path} | answer(path)
        except VisketchError as error:
            yield {"path": path, "error": str(error).removeprefix(f"{path}: ")}


def spread(paths: list[str]) -> list[str]:
    """Files as they are, folders as the pictures in them, globs as what they match; what is not there as it is."""
    import glob

    from visketch.language.image import SUFFIXES

    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            found += [str(file) for file in sorted(Path(path).iterdir()) if file.suffix.lower() in SUFFIXES]
        else:
            found += [path] if Path(path).exists() else sorted(glob.glob(path)) or [path]
    if not found:
        raise VisketchError(f"{paths[0]}: no picture in it, give another")
    return found


def beside(row: Row, more: str = "") -> str:
    """Who answered, what else is to be said of it, and what that one cannot tell."""
    note = f"; {row['note']}" if row.get("note") else ""
    return f"(by {row['by']}{more}{note})"


def conclude(rows: list[Row], as_json: bool, sketch: str, show: Callable[[Row], None]) -> None:
    """Rows as JSON, or each shown by `show`; exits with 1 if some failed."""
    if as_json:
        console.document({"sketch": sketch, "answers": rows})
    for row in rows:
        if "error" in row:
            console.error(f"{row['path']}: {row['error']}")
        elif not as_json:
            show(row)
    if any("error" in row for row in rows):
        raise typer.Exit(console.FAILED)
