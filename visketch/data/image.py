"""Pictures of drawings (PNG, JPEG, WebP and their like) → ink masks: scans, screenshots, photos of paper.

What ink is, `ink.py` says; here files become colours. Of a file of many pictures each is a drawing, read in its turn.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from visketch.data import ink
from visketch.errors import VisketchError
from visketch.geometry.sketch import PageArea, Sketch

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow's others call programs or are no drawings
SIDE = 1024  # pixels of the longer side at most: more only costs time, the models see 256
PIXELS = 89_000_000  # of a picture; a progressive JPEG is decoded whole too
JPEG_PIXELS = 210_000_000  # of any other JPEG: the largest phones have 200 million
LOCK = Lock()  # Pillow's limit is the whole process's
TURNS = {3: 180, 6: 90, 8: 270}  # EXIF's orientations that are turns, in degrees clockwise; the others mirror too


def masks(path: Path) -> Iterator[Sketch | VisketchError]:
    """The ink of every picture in the file, or what is wrong with it.

    Raises VisketchError if the file is no picture, broken, too large to open.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file may have wrong and still be read
            with opened(path) as picture:
                yield from _frames(picture, path)
    except Image.UnidentifiedImageError:
        raise VisketchError(f"{path}: not a picture nor a drawing, give PNG, JPEG, WebP, SVG, ndjson or npz") from None
    except (VisketchError, PermissionError, FileNotFoundError):
        raise
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise VisketchError(f"{path}: the picture is broken or cut short, save it again") from error


def opened(path: Path) -> Image.Image:
    """The picture, not decoded yet, whatever its size: that is looked at next. Pillow raises what is wrong."""
    formats = (*FORMATS, *_heic(path))
    with LOCK:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _check_size(picture: Image.Image, path: Path) -> None:
    """Raises VisketchError for too many pixels: a JPEG, shrunk while it is decoded, may have more than others."""
    shrinks = picture.format == "JPEG" and not picture.info.get("progressive")
    most = JPEG_PIXELS if shrinks else PIXELS
    if picture.width * picture.height > most:
        raise VisketchError(f"{path}: more than {most // 1_000_000} million pixels, shrink the picture")


def _frames(picture: Image.Image, path: Path) -> Iterator[Sketch | VisketchError]:
    kind, number, more = picture.format, 0, True
    many = bool(getattr(picture, "is_animated", False))
    while more:
        number += 1
        source = f"{path}:{number}" if many else str(path)
        _check_size(picture, path)
        upright = _page(picture)
        found, about = understand(picture)
        if found.pixels.any():
            facts = {"kind": kind, **about}
            yield Sketch(pixels=found.pixels, thin=found.thin, source=source, about=facts, page=upright)
        else:
            even = found.contrast < 2 * ink.CONTRAST
            yield VisketchError(
                f"{source}: blank, there is no ink in it"
                if even
                else f"{source}: no drawing could be told from what is around it, cut it out or photograph it again"
            )
        try:
            picture.seek(number)
        except EOFError:
            more = False


def _page(picture: Image.Image) -> PageArea:
    """As large as the picture is upright, before it is shrunk."""
    wide, high = picture.size
    if picture.getexif().get(0x0112, 1) >= 5:
        wide, high = high, wide
    return PageArea((0.0, 0.0, float(wide), float(high)))


def _heic(path: Path) -> tuple[str, ...]:
    """The format of iPhone photos, for which Pillow needs another library. Raises VisketchError where it is missing."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:12] not in (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"hevc"):
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        message = f'{path}: a HEIC photo, pip install "visketch[heic]" or save it as JPEG'
        raise VisketchError(message) from None
    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def understand(picture: Image.Image) -> tuple[ink.Ink, dict[str, Any]]:
    """The ink of one picture of any mode, and what it took to find it."""
    width, height = picture.size
    turn = picture.getexif().get(0x0112, 1)
    colours, clear = _colours(picture)
    found = ink.find(colours)
    facts = {"width": width, "height": height, "turned": TURNS.get(turn, 0), "mirrored": turn in (2, 4, 5, 7)}
    seen = {"inverted": found.inverted, "sheet": found.sheet, "rules": found.ruled, "specks": found.specks}
    scale = max(width, height) / max(found.pixels.shape)
    return found, {**facts, "transparent": clear, **seen, "pen": round(found.pen * scale, 1)}


def _colours(picture: Image.Image) -> tuple[np.ndarray, bool]:
    """A picture → colours (rows, columns, 1 or 3) uint8, upright, at most SIDE wide and high; whether it was clear.

    What is transparent becomes paper: white, or black if what is not transparent is light.
    """
    picture.draft("RGB", (SIDE, SIDE))  # a JPEG is shrunk while it is decoded
    if picture.mode.startswith(("I", "F")):
        picture = eight_bits(picture)
    clear = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    plain = "L" if picture.mode in ("1", "L") else "RGB"
    picture = picture.convert("RGBA" if clear else plain)
    picture.thumbnail((SIDE, SIDE), reducing_gap=2)
    picture = ImageOps.exif_transpose(picture)
    if clear:
        alpha = np.asarray(picture.getchannel("A"))
        levels = np.asarray(picture.convert("L"))
        light = alpha.any() and np.average(levels, weights=alpha) > 127
        paper = Image.new("RGBA", picture.size, "black" if light and alpha.min() < 128 else "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    colours = np.asarray(picture)
    return (colours[..., None] if colours.ndim == 2 else colours), clear


def eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float pictures, whose range is not said, stretched over 0..255."""
    levels = np.asarray(picture).astype(np.float32)
    low, high = float(np.nanmin(levels)), float(np.nanmax(levels))
    levels = np.nan_to_num((levels - low) * (255 / max(high - low, 1e-6)))
    stretched = Image.fromarray(levels.astype(np.uint8))
    stretched.info = {key: value for key, value in picture.info.items() if key == "exif"}
    return stretched
