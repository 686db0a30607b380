"""Pictures and strokes in files that appear complete or not at all, with facts about their origin inside."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from visketch.geometry.sketch import PageArea
    from visketch.geometry.trace import Trace


def png(pixels: "np.ndarray", facts: dict) -> bytes:
    """The content of a PNG file with grey levels or colours. `facts` about its origin are written into it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    about, content = PngInfo(), io.BytesIO()
    about.add_text("Software", "visketch")
    about.add_text("Description", json.dumps(facts))
    Image.fromarray(pixels).save(content, "PNG", pnginfo=about)
    return content.getvalue()


def write_png(path: Path, pixels: "np.ndarray", facts: dict) -> None:
    """Write grey levels or colours to a PNG file, with `facts` about their origin. Raises VisketchError."""
    from visketch.atomic import write_atomically

    write_atomically(path, png(pixels, facts))


def write_sheet(path: Path, pixels: "np.ndarray", facts: dict) -> None:
    """Write a picture of several drawings to a PNG file and mark it, so that a search leaves it out. Raises
    VisketchError.
    """
    write_png(path, pixels, facts | {"sheet": True})


def trace(canvas: "Tensor", clamp: float, side: int, drawn: "Trace | None" = None) -> "Trace":
    """The strokes of a field (h h) and the width of their pen, on a page that is `side` wide.

    `drawn` are the strokes from which the field was rendered, in pixels of the field, if they are known. Otherwise the
    field is traced.
    """
    from visketch.geometry import trace as tracing

    found = drawn or tracing.trace(tracing.from_field(canvas.float().cpu().numpy(), clamp))
    return found.scaled(side / len(canvas))


def write_svg(
    path: Path,
    drawings: Sequence["Trace"],
    width: int | float,
    height: int | float,
    facts: dict,
    page: "PageArea | None" = None,
    animate: bool = False,
    given: int = 0,
) -> None:
    """Write a page of strokes to an SVG file, with a group for each drawing.

    `page` is the page on which the strokes were found. `animate` and `given` are as in `write.svg`. Raises
    VisketchError.
    """
    from visketch.atomic import write_atomically
    from visketch.data import write

    found = [(drawing.strokes, drawing.pen) for drawing in drawings]
    text = write.svg(found, width, height, facts, page, animate, given)
    write_atomically(path, text.encode())
