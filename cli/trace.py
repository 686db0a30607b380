"""`visketch trace`: turn the lines of a picture into strokes."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from visketch.errors import UsageError, VisketchError

from .shared import console, inputs, options
from .shared.filenames import free, stem_of
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import DRAWINGS, STROKES, Lines, check_out, is_picture, moves, write_svg

Row = dict[str, Any]


def trace(
    paths: options.Paths = None,
    source: options.From = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_out,
            metavar="PATH",
            help="A .svg file; for many drawings a folder or a .ndjson file.",
        ),
    ] = None,
    animate: Annotated[
        bool, typer.Option("--animate", help="Let the strokes appear one after another: .svg, .gif, .webp or .png.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Turn pictures into strokes.

    A photo or scan of a drawing becomes an SVG of its centre lines, which fits over the picture and has its pen, or a
    line of Quick, Draw!'s ndjson. A file that already has strokes (SVG, ndjson, npz) keeps them, and an SVG keeps its
    page and units. By default the output is ./<name>.svg, or the next free name. Colours, fills (their outline is
    kept), the widths of single strokes, and everything invisible are lost. Input files are never written, and existing
    files are only replaced with --overwrite.

    \b
    Examples:
      visketch trace photo.jpg
      visketch trace photo.jpg --out drawing.svg
      visketch trace scans/ --out strokes/
      visketch trace 'cats/*.png' --out cats.ndjson
      visketch trace photo.jpg --animate --out drawing.svg
    """
    listed = inputs.listed(paths, source)
    wanted = iter(listed)
    first = next(wanted, "")
    if out is None and (source or len(paths or ()) > 1 or Path(first).is_dir()):
        raise UsageError("there are several drawings; name a folder or a .ndjson file with --out")
    usual = Path(f"{stem_of(first)}.svg")
    check_out(out or usual, DRAWINGS if animate else STROKES)
    moves((out or usual).suffix.lower(), animate)
    outputs = Outputs([*(paths or ()), *([source] if source else [])], overwrite)
    if out and is_picture(out):
        outputs.check(out)
    with outputs.place(out, usual) as chosen, console.progress(beside_results=True) as bar:
        task = bar.add_task("drawings", total=None)
        rows = []
        names = paths if source is None and paths else itertools.chain([first], wanted)
        for row in write(names, chosen, outputs, animate):
            rows.append(row)
            bar.advance(task)
            if "error" in row:
                console.error(f"{row['path']}: {row['error']}")
            elif not as_json:
                console.say(f"{row['path']}: {row['strokes']} strokes, pen {row['pen']} px: {row['out']}")
    if as_json:
        console.document(rows)
    failed = sum("error" in row for row in rows)
    if failed:
        if len(rows) > 1:
            console.note(f"{failed} of {len(rows)} could not be traced")
        raise typer.Exit(console.FAILED)


def write(paths: Iterable[str], out: Path, outputs: Outputs, animate: bool = False) -> Iterator[Row]:
    """Trace every drawing and write it. Yields {"path", "out", "strokes", "points", "pen"} or {"path", "error"} for
    each.
    """
    from visketch.data import named
    from visketch.geometry.trace import on_page
    from visketch.render.animation import write_drawing

    taken: set[str] = set()
    with Lines(outputs.take(out)) if out.suffix.lower() == ".ndjson" else nullcontext() as lines:
        for name, found in inputs.drawings(paths):
            try:
                if isinstance(found, str):
                    raise VisketchError(found)
                drawing, page = on_page(found)
                if lines:
                    lines.add(drawing, found.label)
                    file = out
                else:
                    if is_picture(out) and taken:
                        raise UsageError(
                            f"{out}: only the first drawing was written there; name a folder or a .ndjson file"
                        )
                    own = free(stem_of(name), taken)
                    file = out if is_picture(out) else out / f"{own}.svg"
                    shown = {"class": found.label or Path(name).stem}
                    if animate:
                        write_drawing(outputs.take(file), drawing, page, shown)
                    else:
                        write_svg(outputs.take(file), [drawing], *page.box[2:], shown, page)
            except UsageError:
                raise
            except VisketchError as error:
                yield {"path": name, "error": named.about(error, name)}
            else:
                points = sum(map(len, drawing.strokes))
                facts = {"strokes": len(drawing.strokes), "points": points, "pen": round(drawing.pen, 1)}
                yield {"path": name, "out": file, **facts}
