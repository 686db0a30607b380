"""`visketch trace`: turn the lines of a picture into strokes."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visketch.errors import UsageError, VisketchError

from .shared import console, inputs, options
from .shared.filenames import free, stem_of
from .shared.outputs import Outputs, Overwrite, parse_drawings_out
from .shared.pictures import DRAWINGS, MOVING, PNG, STROKES, Lines, check_out, is_picture, moves, suffix_of, write_svg

if TYPE_CHECKING:
    from visketch.data.named import Named

SEVERAL = "there are several drawings; name a folder or a .ndjson file with --out"
Row = dict[str, Any]


def trace(
    paths: options.Paths = None,
    source: options.From = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=parse_drawings_out,
            metavar="PATH",
            help="A .svg, .gif or .webp file (with --animate also .png); for many a folder or a .ndjson file.",
        ),
    ] = None,
    animate: Annotated[
        bool,
        typer.Option(
            "--animate", help="Let the strokes appear one after another, in an .svg or .png; .gif and .webp always do."
        ),
    ] = False,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Turn pictures into strokes.

    A photo or scan of a drawing becomes an SVG of its centre lines, which fits over the picture and has its pen, or a
    line of Quick, Draw!'s ndjson. A file that already has strokes (SVG, ndjson, npz) keeps them, and an SVG keeps its
    page and units; in an SVG, smooth curves are drawn through the points. By default the output is ./<name>.svg, or the
    next free name. Colours, fills (their outline is kept), the widths of single strokes, and everything invisible are
    lost. Input files are never written, and existing files are only replaced with --overwrite.

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
        raise UsageError(SEVERAL)
    usual = Path(f"{stem_of(first)}.svg")
    if out and out.suffix.lower() in PNG and not animate:
        raise UsageError(
            f"{out}: a .png of strokes is an animation; add --animate, or name a .svg, .ndjson, .gif or .webp file"
        )
    check_out(out or usual, DRAWINGS if animate else (*STROKES, *MOVING))
    animate = moves(suffix_of(out or usual, None), animate)
    outputs = Outputs([*(paths or ()), *([source] if source else [])], overwrite)
    if out and is_picture(out):
        outputs.check(out)
    found = inputs.drawings(paths if source is None and paths else itertools.chain([first], wanted))
    first_two = list(itertools.islice(found, 2))
    if len(first_two) > 1 and (out is None or (is_picture(out) and out.suffix.lower() != ".ndjson")):
        raise UsageError(f"{out}: this is one file; name a folder or a .ndjson file" if out else SEVERAL)
    with outputs.place(out, usual) as chosen, console.progress(beside_results=True) as bar:
        task = bar.add_task("drawings", total=None)
        rows = []
        for row in write(itertools.chain(first_two, found), chosen, outputs, animate):
            rows.append(row)
            bar.advance(task)
            if "error" in row:
                console.error(f"{row['path']}: {row['error']}")
            elif not as_json:
                console.say(
                    f"{row['path']}: {console.many(row['strokes'], 'stroke')}, pen {row['pen']} px: {row['out']}"
                )
    if as_json:
        console.document(rows)
    failed = sum("error" in row for row in rows)
    if failed:
        if len(rows) > 1:
            console.note(f"{failed} of {len(rows)} could not be traced")
        raise typer.Exit(console.FAILED)


def write(found: Iterable["Named"], out: Path, outputs: Outputs, animate: bool = False) -> Iterator[Row]:
    """Trace every drawing and write it. Yields {"path", "out", "strokes", "points", "pen"} or {"path", "error"} for
    each.
    """
    from visketch.data import named
    from visketch.geometry.trace import on_page
    from visketch.render.animation import write_drawing

    taken: set[str] = set()
    with Lines(outputs.take(out)) if out.suffix.lower() == ".ndjson" else nullcontext() as lines:
        for name, sketch in found:
            try:
                if isinstance(sketch, str):
                    raise VisketchError(sketch)
                drawing, page = on_page(sketch)
                if lines:
                    lines.add(drawing, sketch.label)
                    file = out
                else:
                    own = free(stem_of(name), taken)
                    file = out if is_picture(out) else out / f"{own}.svg"
                    shown = {"of": Path(name).name} | ({"class": sketch.label} if sketch.label else {})
                    if animate:
                        write_drawing(outputs.take(file), drawing, page, shown)
                    else:
                        write_svg(outputs.take(file), [drawing], *page.box[2:], shown, page)
            except VisketchError as error:
                yield {"path": name, "error": named.about(error, name)}
            else:
                points = sum(map(len, drawing.strokes))
                facts = {"strokes": len(drawing.strokes), "points": points, "pen": float(f"{drawing.pen:.3g}")}
                yield {"path": name, "out": file, **facts}
