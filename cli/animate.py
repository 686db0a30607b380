"""`visketch animate`: show drawings being drawn, stroke by stroke."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visketch.errors import VisketchError

from .shared import console, inputs, options
from .shared.filenames import stem_of
from .shared.outputs import Outputs, Overwrite, parse_out
from .shared.pictures import MOVING, PNG, SheetOfStrokes, check_out, columns_for, moves

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch

MOST = 64  # the most drawings on a sheet


def animate(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Drawings in any format that `classify` reads; - is standard input."),
    ],
    number: Annotated[
        int | None, typer.Option("-n", "--number", min=1, metavar="N", help="Only the Nth drawing of a file of many.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=parse_out, metavar="PATH", help="A .svg, .gif, .webp or .png file."),
    ] = None,
    size: Annotated[int, typer.Option(min=8, max=4096, help="Pixels of a drawing's longer side.")] = 512,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Show drawings being drawn, stroke by stroke.

    Strokes appear in their order, at the speed of a pen. Pictures are traced first. Several drawings, or a file of
    many, become a sheet on which all are drawn at once; it shows the first 64. An SVG plays once and needs nothing
    else; if the viewer's system asks for less motion, it shows the whole drawing. GIF, WebP and PNG repeat. By default
    the output is ./<name>.svg, or the next free name. Colours, fills (their outline is kept) and the widths of single
    strokes are lost. Input files are never written, and existing files are only replaced with --overwrite.

    \b
    Examples:
      visketch animate drawing.svg
      visketch animate cat.ndjson -n 3 --out cat.gif
      visketch animate cats/ --size 128 --out cats.webp
    """
    usual = Path(f"{stem_of(paths[0])}.svg")
    moves((out or usual).suffix.lower(), animate=True, asked_by=out)
    check_out(out or usual, (".svg", *MOVING, *PNG), folders=False)
    outputs = Outputs(paths, overwrite)
    if out:
        outputs.check(out)
    first, last = (number - 1, number) if number else (0, MOST + 1)
    found = list(islice(inputs.drawings(paths), first, last))
    if not found:
        raise VisketchError(f"{paths[0]}: has no drawing {number}")
    if len(found) > MOST:
        console.note(f"the first {MOST} drawings are shown; -n 100 shows the hundredth alone")
    from visketch.data.named import about
    from visketch.geometry.trace import on_page, strokes_of
    from visketch.render.animation import write_drawing

    drawn, failed = list["Sketch"](), 0
    for name, sketch in found[:MOST]:
        try:
            if isinstance(sketch, str):
                raise VisketchError(sketch)
            on_page(sketch)
            drawn.append(sketch)
        except VisketchError as error:
            failed += 1
            console.error(f"{name}: {about(error, name)}")
    if not drawn:
        raise typer.Exit(console.FAILED)
    with outputs.place(out, usual) as chosen:
        if len(found) == 1:
            drawing, page = on_page(drawn[0])
            shown = {"of": Path(paths[0]).name} | ({"class": drawn[0].label} if drawn[0].label else {})
            write_drawing(outputs.take(chosen), drawing, page, shown, size)
        else:
            sheet = SheetOfStrokes(len(drawn), columns_for(1, len(drawn)), size)
            for place, sketch in enumerate(drawn):
                drawing, wide, high = strokes_of(sketch)
                sheet.put(place, drawing.scaled(size / max(wide, high)))
            sheet.write(outputs.take(chosen), {"of": Path(paths[0]).name}, animate=True)
    if as_json:
        console.document({"path": chosen, "drawings": len(drawn), "failed": failed})
    else:
        console.say(f"{console.many(len(drawn), 'drawing')}: {chosen}")
    if failed:
        raise typer.Exit(console.FAILED)
