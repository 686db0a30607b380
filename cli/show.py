"""`visketch show`: show how the model sees a drawing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import console, inputs, options
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import PNG, check_out, write_png

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch


def show(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="One drawing: a picture, an SVG, or the first of an ndjson file.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=parse_out, metavar="PATH", help="The picture to write; by default ./<name>-seen.png."
        ),
    ] = None,
    leaf: Annotated[int | None, typer.Option(min=0, help="The number of the inked leaf to show, from 0.")] = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = "auto",
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Show how the model sees a drawing.

    Prints what was understood of the file, and writes a picture: the drawing with its quadtree, the context of one
    leaf, and the drawing decoded from its codes. Only lines count. Input files are never written, and existing files
    are only replaced with --overwrite.

    \b
    Examples:
      visketch show drawing.svg
      visketch show drawing.png --leaf 12 --out seen.png
    """
    from visketch.tasks.inspect import look, summary

    usual = Path(f"{path.stem}-seen.png")
    check_out(out or usual, PNG, folders=False)
    outputs = Outputs([path], overwrite)
    if out:
        outputs.check(out)
    _, sketch = inputs.first_drawing(str(path))
    model = options.load(checkpoint, device)
    with console.waiting("Looking ..."):
        seen = look(model, model.render([sketch]), leaf)
        from visketch.render.poster import poster

        drawn = poster(seen, model.config.sketch, path.name)
        with outputs.place(out, usual) as chosen:
            write_png(outputs.take(chosen), drawn, {"of": path.name, "checkpoint": model.config.name})
    facts = {"picture": chosen, "read": understood(sketch), **summary(seen)}
    if as_json:
        console.document(facts)
    else:
        tell(path, facts)


def understood(sketch: "Sketch") -> dict[str, Any]:
    """What the reader understood of the file."""
    facts = dict(sketch.about)
    if sketch.strokes is not None:
        facts |= {"strokes": len(sketch.strokes), "points": sum(map(len, sketch.strokes))}
    return facts if sketch.label is None else {**facts, "label": sketch.label}


def in_words(read: dict[str, Any]) -> str:
    """What was understood of the file, in one line: `JPEG, 4032 x 3024, turned 90 degrees, light ink on dark paper, pen
    14 px`.
    """
    words = [str(read.get("kind", "drawing"))]
    if "width" in read:
        words.append(f"{read['width']} x {read['height']}")
    said = {
        "turned": "turned {} degrees",
        "mirrored": "mirrored",
        "transparent": "transparent",
        "inverted": "light ink on dark paper",
        "sheet": "a sheet on something darker",
        "rules": "{} of the paper left out",
        "specks": "{} left out",
        "pen": "pen {} px",
        "timed": "with timing",
        "strokes": "{}",
        "points": "{}",
        "label": "said to be {}",
    }
    counted = {"rules": "line", "specks": "speck", "strokes": "stroke", "points": "point"}
    read = read | {key: console.many(read[key], what) for key, what in counted.items() if read.get(key)}
    return ", ".join([*words, *(text.format(read[key]) for key, text in said.items() if read.get(key))])


def tell(path: Path, facts: dict[str, Any]) -> None:
    """Print for people what was understood of the file."""
    leaf = facts["leaf"]
    console.say(f"{path}: {in_words(facts['read'])}")
    console.say(f"{facts['leaves']} leaves, {facts['inked_leaves']} of them inked")
    console.table(["level", "leaves", "inked"], [list(row.values()) for row in facts["levels"]])
    none = f", {leaf['none']} of them empty (beyond the border, or too fine)" if leaf["none"] else ""
    console.say(f"leaf {leaf['number']} (level {leaf['level']}) is shown {leaf['context']} tiles{none}")
    if "codes" in facts:
        codes = facts["codes"]
        console.say(f"codes of the leaf: {' '.join(map(str, codes['of_the_leaf']))}")
        f1 = f"{100 * codes['ink_f1']:.1f} %"
        console.say(f"the drawing uses {codes['different']} of {codes['code_book']} codes; decoded, its ink F1 is {f1}")
    if facts["guess"]:
        guesses = (f"{row['label']} {100 * row['probability']:.1f} %" for row in facts["guess"])
        console.say(f"looks like {', '.join(guesses)}")
    console.say(f"picture: {facts['picture']}")
