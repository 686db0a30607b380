"""Turn pictures of drawings (PNG, JPEG, WebP and others) into ink masks: scans, screenshots, photos of paper.

`ink.py` finds the ink, and this module turns files into colours. If a file holds several pictures, each of them is a
drawing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from visketch.data import ink
from visketch.data.morphology import near
from visketch.errors import VisketchError
from visketch.geometry.sketch import PageArea, Sketch

# Pillow's other formats call programs or are not pictures of drawings
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "PPM",  # also PGM, PBM and PNM
)
SIDE = 1024  # the longer side in pixels is at most this; more would only cost time, since the models see 256
PIXELS = 89_000_000  # the most pixels of a picture; also of a progressive JPEG, which is decoded at full size
JPEG_PIXELS = 210_000_000  # the most pixels of any other JPEG; the largest phone cameras have 200 million
EDGE = 3.0  # whether a drawing on transparent paper is light is decided so many pixels from the paper
LIGHT = 215  # a colour is light if its darkest channel is above this level: it can hardly be told from white paper
LOCK = Lock()  # Pillow's limit is global to the process
ORIENTATION = 0x0112  # the tag of EXIF that says how a picture is turned; from 5 on, it lies on its side
TURNS = {3: 180, 6: 90, 8: 270}  # EXIF orientations that only turn a picture, in degrees clockwise; others mirror it


def masks(path: Path) -> Iterator[Sketch | VisketchError]:
    """The ink of every picture in the file, or an error in place of a picture that cannot be read.

    Raises VisketchError if the file is not a picture, is broken, or is too large to open.
    """
    try:
        with opened(path) as picture:
            yield from _frames(picture, path)
    except Image.UnidentifiedImageError:
        raise VisketchError(f"{path}: not a picture or a drawing; give PNG, JPEG, WebP, SVG, ndjson or npz") from None
    except (VisketchError, PermissionError, FileNotFoundError):
        raise
    except Exception as error:  # a broken file can make Pillow's decoders raise anything
        raise VisketchError(f"{path}: the picture is broken or incomplete; save it again") from error


def opened(path: Path) -> Image.Image:
    """Open a picture of any size without decoding it. The caller checks the size. Pillow's errors are passed on."""
    formats = (*FORMATS, *_heic(path))
    with LOCK:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = usual
    if picture.format == "TIFF":  # Pillow maps a file with a name into memory, with the sides of a turned one mixed up
        picture.filename = ""
    if picture.format == "MPO":  # a JPEG with further pictures, which are its depth, its brightness or a preview
        picture.close()
        return JpegImageFile(path)
    return picture


def _check_size(picture: Image.Image, path: Path) -> None:
    """Raises VisketchError if a picture has too many pixels. A JPEG may have more, since it is shrunk while it is
    decoded.
    """
    shrinks = picture.format == "JPEG" and not picture.info.get("progressive")
    most = JPEG_PIXELS if shrinks else PIXELS
    if picture.width * picture.height > most:
        raise VisketchError(f"{path}: more than {most // 1_000_000} million pixels; shrink the picture")


def _frames(picture: Image.Image, path: Path) -> Iterator[Sketch | VisketchError]:
    kind, number, more = picture.format, 0, True
    many = bool(getattr(picture, "is_animated", False))
    while more:
        number += 1
        source = f"{path}:{number}" if many else str(path)
        _check_size(picture, path)
        wide, high = upright_size(picture)  # before it is shrunk
        page = PageArea.of_pixels(wide, high)
        found, about = understand(picture)
        if found.pixels.any():
            facts = {"kind": kind, **about}
            yield Sketch(pixels=found.pixels, thin=found.thin, source=source, about=facts, page=page)
        else:
            even = found.contrast < 2 * ink.CONTRAST
            yield VisketchError(
                f"{source}: blank, it has no ink; give another drawing"
                if even
                else f"{source}: the drawing cannot be told from its surroundings; cut it out or photograph it again"
            )
        try:
            picture.seek(number)
        except EOFError:
            more = False


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """The width and height of a picture that is not shrunk yet, after it is turned upright.

    Pillow gives those of a TIFF upright already.
    """
    lying = picture.format != "TIFF" and picture.getexif().get(ORIENTATION, 1) >= 5
    return picture.size[::-1] if lying else picture.size


def _heic(path: Path) -> tuple[str, ...]:
    """The formats of iPhone photos, for which Pillow needs another library. Raises VisketchError if that is missing."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:12] not in (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"hevc"):
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        message = f'{path}: a HEIC photo; pip install "visketch[heic]" or save it as JPEG'
        raise VisketchError(message) from None
    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def understand(picture: Image.Image) -> tuple[ink.Ink, dict[str, Any]]:
    """The ink of one picture of any mode, and facts about how it was found."""
    width, height = picture.size
    turn = picture.getexif().get(ORIENTATION, 1)
    colours, clear, margin = _colours(picture)
    found = ink.find(colours)
    if margin:
        inside = slice(margin, -margin), slice(margin, -margin)
        found = replace(found, pixels=found.pixels[inside], thin=found.thin[inside], rest=found.rest[inside])
    facts = {"width": width, "height": height, "turned": TURNS.get(turn, 0), "mirrored": turn in (2, 4, 5, 7)}
    seen = {"inverted": found.inverted, "sheet": found.sheet, "rules": found.ruled, "specks": found.specks}
    if is_photo(colours[::4, ::4]):
        facts["photo"] = True
    if found.rest.sum() > found.pixels.sum():
        facts["filled"] = True  # more than half of what is visible is the inside of areas
    scale = max(width, height) / max(found.pixels.shape)
    return found, {**facts, "transparent": clear, **seen, "pen": round(found.pen * scale, 1)}


def is_photo(colours: UInt8[np.ndarray, "y x c"]) -> bool:
    """Whether a picture is a photo rather than a drawing: less than half of it has the colour of its edge."""
    edge = np.median(np.concatenate([colours[0], colours[-1]]), axis=0)
    return bool((np.abs(colours.astype(np.int16) - edge).max(axis=2) < 32).mean() < 0.5)


def _tile(picture: UInt8[np.ndarray, "y x 4"]) -> tuple[int, int, int] | None:
    """The colour of a tile that reaches all four sides of a picture, of which only the corners are clear. Otherwise
    None.
    """
    alpha = picture[..., 3]
    rows, columns = (slice(side // 4, side - side // 4) for side in alpha.shape)
    if alpha.min() == 255 or (alpha[rows] < 255).any() or (alpha[:, columns] < 255).any():
        return None
    middle = np.concatenate([picture[0, columns], picture[-1, columns], picture[rows, 0], picture[rows, -1]])
    red, green, blue = np.median(middle[:, :3], axis=0).astype(int).tolist()
    return red, green, blue


def _paper(picture: UInt8[np.ndarray, "y x 4"]) -> tuple[int, int, int]:
    """The colour of the paper under a partly transparent picture that is no tile.

    It is white, or black if the drawing would hardly be seen on white where it borders on transparent pixels. Yellow is
    seen on white, and so is white with a black outline.
    """
    colours, alpha = picture[..., :3], picture[..., 3]
    clear = alpha < alpha.max() / 2
    edge = np.where(near(clear, EDGE) & ~clear, alpha, 0)
    light = clear.any() and edge.any() and np.average(colours.min(axis=2), weights=edge) > LIGHT
    return (0, 0, 0) if light else (255, 255, 255)


def _margin(alpha: UInt8[np.ndarray, "y x"]) -> int:
    """The width in pixels of the paper to add on each side of something that was cut out up to the border, otherwise 0.

    Without it, the border would be no edge of an area, and the colour there could be taken for that of the paper.
    """
    shown = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]) > 127
    return -(-max(alpha.shape) // 6) if shown.any() and not shown.all() else 0


def _colours(picture: Image.Image) -> tuple[np.ndarray, bool, int]:
    """Turn a picture into colours (rows, columns, 1 or 3) uint8, upright and, without the margin, at most SIDE pixels
    wide and high.

    Returns the colours, whether the picture had transparency, and the width in pixels of the margin that was added
    around it (`_margin`). Transparent areas become paper (`_paper`), or go on in the colour of a `_tile`.
    """
    picture.draft("RGB", (SIDE, SIDE))  # a JPEG is shrunk while it is decoded
    if picture.mode.startswith(("I", "F")):
        picture = eight_bits(picture)
    clear = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    plain = "L" if picture.mode in ("1", "L") else "RGB"
    picture = picture.convert("RGBA" if clear else plain)
    picture.thumbnail((SIDE, SIDE), reducing_gap=2)
    picture = ImageOps.exif_transpose(picture)
    margin = 0
    if clear:
        whole = np.asarray(picture)
        tile = _tile(whole)
        margin = 0 if tile else _margin(whole[..., 3])
        size = picture.width + 2 * margin, picture.height + 2 * margin
        page = Image.new("RGBA", size, tile or _paper(whole))
        page.alpha_composite(picture, (margin, margin))
        picture = page.convert("RGB")
    colours = np.asarray(picture)
    return (colours[..., None] if colours.ndim == 2 else colours), clear, margin


def eight_bits(picture: Image.Image) -> Image.Image:
    """Stretch 16-bit, 32-bit and float pictures to 0..255, since their range is unknown."""
    levels = np.asarray(picture).astype(np.float32)
    low, high = float(np.nanmin(levels)), float(np.nanmax(levels))
    levels = np.nan_to_num((levels - low) * (255 / max(high - low, 1e-6)))
    stretched = Image.fromarray(levels.astype(np.uint8))
    stretched.info = {key: value for key, value in picture.info.items() if key == "exif"}
    return stretched
