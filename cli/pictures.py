"""Fields → pictures of black ink on white, and PNG files that appear whole or not at all."""

import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from visketch.errors import UsageError, VisketchError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

OTHERS = {".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".pdf", ".ndjson"}
SHEET = 8192  # pixels of a sheet's side at most


def grey(canvas: "Tensor", clamp: float, side: int) -> "np.ndarray":
    """Fields (b h h) → grey levels (b side side) uint8. A field enlarges without losing its edge; ink would blur."""
    import torch.nn.functional as F

    from visketch import sdf

    field = canvas[:, None].float().cpu()
    if side > field.shape[-1]:
        field = F.interpolate(field, size=(side, side), mode="bicubic", align_corners=False)
    ink = sdf.ink(field[:, 0], clamp)
    if side < ink.shape[-1]:
        ink = F.interpolate(ink[:, None], size=(side, side), mode="bilinear", antialias=True)[:, 0]
    return (255 * (1 - ink)).round().byte().numpy()


class Sheet:
    """Pictures (side side) in rows of `columns`, shrunk as far as the whole sheet asks."""

    def __init__(self, total: int, columns: int, side: int) -> None:
        rows = math.ceil(total / columns)
        self.columns = columns
        self.side = max(1, min(side, SHEET // max(rows, columns)))
        self.gap = max(1, self.side // 16)
        import numpy as np

        cell = self.side + self.gap
        self.pixels = np.full((rows * cell + self.gap, columns * cell + self.gap), 255, np.uint8)

    def place(self, number: int, picture: "np.ndarray") -> None:
        if len(picture) > self.side:
            import numpy as np
            from PIL import Image

            picture = np.asarray(Image.fromarray(picture).resize((self.side, self.side), Image.Resampling.BOX))
        row, column = divmod(number, self.columns)
        top, left = (place * (self.side + self.gap) + self.gap for place in (row, column))
        self.pixels[top : top + self.side, left : left + self.side] = picture


def columns_for(classes: int, n: int) -> int:
    """How many pictures to a row: one row a class where there are few of each, else about as many as there are rows."""
    return n if classes > 1 and n <= 16 else math.ceil(math.sqrt(classes * n))


def write_png(path: Path, pixels: "np.ndarray", facts: dict) -> None:
    """Write grey levels or colours; `facts` say inside the file how it was made. Raises VisketchError."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from visketch.checkpoint import write_atomically

    about, content = PngInfo(), io.BytesIO()
    about.add_text("Software", "visketch")
    about.add_text("Description", json.dumps(facts))
    Image.fromarray(pixels).save(content, "PNG", pnginfo=about)
    write_atomically(path, content.getvalue())


def write_sketch(path: Path, canvas: "Tensor", clamp: float, side: int, facts: dict) -> None:
    """One field (h h) as a PNG `side` wide; `facts` say inside the file how it was made. Raises VisketchError."""
    write_png(path, grey(canvas[None], clamp, side)[0], facts)


def parse_out(out: str) -> Path:
    """A place as it was typed. Raises UsageError for the slash of a folder after the name of a picture."""
    if out.endswith(("/", os.sep)) and is_picture(Path(out)):
        raise UsageError(f"{out}: leave out the {out[-1]} for a picture of that name, or name a folder without .png")
    return Path(out)


def check_out(out: Path) -> Path:
    """Refuse, before any work, a place where a PNG or a folder of them cannot be written. Raises VisketchError."""
    if out.suffix.lower() in OTHERS:
        raise UsageError(f"{out}: sketches are written as PNG; name a .png file or a folder")
    if out.exists() and not out.is_dir() and out.suffix.lower() != ".png":
        raise VisketchError(f"{out}: is a file; name a .png file or a folder")
    there = next(place for place in (out, *out.absolute().parents) if place.exists())
    if there != out and not there.is_dir():
        raise VisketchError(f"{there}: is a file, not a folder; choose another --out")
    if not os.access(there, os.W_OK):
        raise VisketchError(f"{there}: cannot be written, you may not or the disk is read-only; choose another --out")
    return out


def is_picture(out: Path) -> bool:
    """Whether `out` means one picture, rather than a folder of them."""
    return out.suffix.lower() == ".png" and not out.is_dir()


@contextmanager
def place(out: Path | None, usual: Path) -> Iterator[Path]:
    """`out`; or if nobody named it `usual`, or the first of usual-2, usual-3 ... that is not there.

    An empty file (or, where `usual` has no suffix, an empty folder) takes that name at once, so that of two commands
    neither overwrites the other's; it goes again if nothing comes of it.
    """
    if out:
        yield out
        return
    tried, number = usual, 2
    while True:
        try:
            tried.open("x").close() if usual.suffix else tried.mkdir()
            break
        except FileExistsError:
            tried, number = usual.with_stem(f"{usual.stem}-{number}"), number + 1
    try:
        yield tried
    finally:
        if tried.is_dir() and not any(tried.iterdir()):
            tried.rmdir()
        elif tried.is_file() and not tried.stat().st_size:
            tried.unlink()
