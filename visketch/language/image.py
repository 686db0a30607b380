"""Turn pictures into the squares that a tower sees, and boxes on a square into boxes on the picture.

Pictures are letterboxed and never cropped.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from scipy import ndimage

from visketch.data import in_memory, ink, svg
from visketch.data.folder import shown_files
from visketch.data.image import eight_bits, opened, upright_size
from visketch.errors import VisketchError
from visketch.language.boxes import Box

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch

MOST = 400_000_000  # the most pixels; enough for a panorama of 20,000 x 20,000, but not for a decompression bomb
# the suffixes of pictures in a folder
SUFFIXES = (".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm")
PAPER = (
    0.75  # the least share of paper in a drawing; 400 drawn scenes had at least 0.83, and 1 in 100 photos has as much
)
# Photos of pages: of 120 drawn scenes in made-up light 118 pass, of 396 photos 6 (our choice: lab book, 2026-11-28).
GRID = 32  # the light is compared at so many places in each direction
TINT = 0.02  # the largest difference of the paper's colour: of the share of a channel in its sum
SHADE = 0.3  # the darkest paper has at least this share of the brightest paper's light
UNEVEN = 0.55  # the least share of paper
TONES = 16  # the largest difference between a paper pixel and the colour of the paper, in levels
DECODED = 1024  # the longer side of a decoded picture in pixels is at most this
FINE = 384  # pixels of the square on which a scene's ink is found; at 128, its drawings are recognised less often
EVEN = 24  # a picture with a smaller range of grey levels is blank


@dataclass(frozen=True)
class Letterbox:
    """The position of a picture in its square. `width` and `height` are those of the upright picture in pixels."""

    width: int
    height: int

    def inside(self) -> Box:
        """The part of the square without its margins, as a box."""
        side = max(self.width, self.height)
        x, y = (side - self.width) / 2 / side, (side - self.height) / 2 / side
        return x, y, 1 - x, 1 - y

    def back(self, box: Box) -> Box:
        """Turn a box on the square into the same box on the picture, clipped to the picture."""
        left, top, right, bottom = self.inside()
        x1, x2 = ((x - left) / (right - left) for x in box[::2])
        y1, y2 = ((y - top) / (bottom - top) for y in box[1::2])
        x1, y1, x2, y2 = np.clip([x1, y1, x2, y2], 0, 1).tolist()
        return x1, y1, x2, y2

    def forth(self, box: Box) -> Box:
        """Turn a box on the picture into the same box on the square."""
        left, top, right, bottom = self.inside()
        x1, x2 = (left + x * (right - left) for x in box[::2])
        y1, y2 = (top + y * (bottom - top) for y in box[1::2])
        return x1, y1, x2, y2


@dataclass(frozen=True)
class Picture:
    """A picture as a square of colours, with the means to map boxes back to it."""

    square: UInt8[np.ndarray, "h h 3"]
    letterbox: Letterbox
    source: str = ""
    original: Image.Image | None = field(default=None, compare=False, repr=False)  # the picture, if it has no file
    sketch: "Sketch | None" = field(default=None, compare=False, repr=False)  # the drawing, if this is a query

    @cached_property
    def ink(self) -> ink.Ink:
        """The ink of the picture, on a square of FINE pixels. Raises VisketchError if its file is gone."""
        return ink.find(finer(self, FINE).square)


def read(path: str | Path, canvas: int) -> Picture:
    """Read a picture file, turn it upright, and letterbox it to a square of `canvas` pixels. Raises VisketchError."""
    picture, size = upright(path, DECODED)
    return square(picture, canvas, str(path), size)


def files(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders, judged by their names and sorted. Hidden files are left out."""
    return [file for file in shown_files(folder) if file.suffix.lower() in SUFFIXES]


def of(picture: Any, canvas: int) -> Picture:
    """Letterbox a picture in memory: a PIL image, or an array or tensor of grey levels or colours.

    Raises UsageError for anything else.
    """
    if not isinstance(picture, Image.Image):
        picture = in_memory.to_image(picture)
    whole = ImageOps.exif_transpose(shrunk(picture.copy(), DECODED))
    return replace(square(whole, canvas, size=upright_size(picture)), original=whole)


def upright(path: str | Path, most: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture file in colour, turned upright, with sides of at most `most` pixels; and its original width and height.

    A large JPEG is shrunk while it is decoded, so a panorama needs little memory. An SVG is rendered with a longer side
    of `most`, and its width and height are those of its page. The last few pictures are cached, since a scene is used
    at several sizes, so do not modify the result. Raises VisketchError.
    """
    try:
        about = os.stat(path)
    except OSError:
        return _decoded(str(path), most)
    return _kept(str(path), most, (about.st_mtime_ns, about.st_size))


@lru_cache(maxsize=4)
def _kept(path: str, most: int, changed: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    return _decoded(path, most)


def size_of(path: str | Path) -> tuple[int, int]:
    """The width and height of a picture file, turned upright. They are read from its head, without decoding it.

    Raises VisketchError.
    """
    with _refusing(str(path)):
        if is_svg(path):
            return svg.page_size(Path(path))
        with opened(Path(path)) as picture:
            return upright_size(picture)


def _decoded(path: str, most: int) -> tuple[Image.Image, tuple[int, int]]:
    with _refusing(path):
        if is_svg(path):
            return svg.rendered(Path(path), most)
        with opened(Path(path)) as picture:
            size = upright_size(picture)
            if picture.width * picture.height > MOST:
                raise VisketchError(f"{path}: more than {MOST:,} pixels; shrink the picture")
            picture.draft("RGB", (most, most))
            small = shrunk(picture, most)
            return ImageOps.exif_transpose(small), size


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """Turn whatever fails while a picture file is read into a VisketchError of one line. Refuse an empty file."""
    try:
        if os.path.isfile(path) and not os.path.getsize(path):
            raise VisketchError(f"{path}: the file is empty; save or download it again")
        yield
    except VisketchError:
        raise
    except Image.UnidentifiedImageError:
        raise VisketchError(f"{path}: not a picture; give PNG, JPEG, WebP or SVG") from None
    except IsADirectoryError:
        raise VisketchError(f"{path}: this is a folder; give a picture in it") from None
    except FileNotFoundError:
        raise VisketchError(f"{path}: no such file; check the name") from None
    except Exception as error:  # a broken file can make Pillow's decoders raise anything
        raise VisketchError(f"{path}: the picture cannot be read or is incomplete; save it again") from error


def is_svg(path: str | Path) -> bool:
    with open(path, "rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") or Path(path).suffix == ".svg"


def shrunk(picture: Image.Image, most: int) -> Image.Image:
    """The picture in colour, with sides of at most `most` pixels.

    Transparent areas become white. The orientation is kept in the metadata.
    """
    orientation = picture.getexif()
    if picture.mode.startswith(("I", "F")):
        picture = eight_bits(picture)
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture.thumbnail((most, most), reducing_gap=2)
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    colours = picture.convert("RGB")
    colours.thumbnail((most, most), reducing_gap=2)
    colours.info["exif"] = orientation.tobytes()
    return colours


def square(picture: Image.Image, canvas: int, source: str = "", size: tuple[int, int] | None = None) -> Picture:
    """Letterbox an upright picture.

    The margins have the colour of its edge, which is white for most drawings. `size` is its width and height before it
    was shrunk, if it was.
    """
    width, height = size or picture.size
    scale = canvas / max(width, height)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    smaller = max(picture.size) > canvas
    small = picture.convert("RGB").resize(shape, Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR)
    pixels = np.asarray(small)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    sheet = np.empty((canvas, canvas, 3), np.uint8)
    sheet[:] = np.median(edge, axis=0)
    y, x = (canvas - pixels.shape[0]) // 2, (canvas - pixels.shape[1]) // 2
    sheet[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return Picture(sheet, Letterbox(width, height), source)


def inside(picture: Picture) -> UInt8[np.ndarray, "y x 3"]:
    """The pixels of the square without its margins."""
    side = len(picture.square)
    x1, y1, x2, y2 = (round(side * edge) for edge in picture.letterbox.inside())
    return picture.square[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def finer(picture: Picture, canvas: int) -> Picture:
    """The same picture on a square of `canvas` pixels. It is read from its file again if it has one.

    Raises VisketchError if the file is gone.
    """
    if picture.source:
        return read(picture.source, canvas)
    if picture.original is not None:
        return square(picture.original, canvas, size=(picture.letterbox.width, picture.letterbox.height))
    size = picture.letterbox.width, picture.letterbox.height
    return square(Image.fromarray(inside(picture)), canvas, size=size)


def is_drawing(picture: Picture) -> bool:
    """Whether a picture consists almost entirely of paper and ink. A photo of a page counts too, and so does one with
    an even background.
    """
    pixels = inside(picture)
    return bool((from_paper(pixels) < TONES).mean() >= PAPER) or _is_page(pixels)


def _is_page(pixels: UInt8[np.ndarray, "y x 3"]) -> bool:
    """Whether the picture is a photo of a page, on which the light is uneven but the colour of the paper is not."""
    small = np.asarray(Image.fromarray(pixels).resize((GRID, GRID), Image.Resampling.BOX))
    around = (GRID // 4 + 1, GRID // 4 + 1, 1)
    paper = ndimage.percentile_filter(small, 70, size=around, mode="nearest").clip(1)
    light = paper.sum(axis=2, keepdims=True, dtype=np.float32)
    hue = paper / light
    if np.abs(hue - np.median(hue, axis=(0, 1))).max() > TINT or light.min() < SHADE * light.max():
        return False
    large = Image.fromarray(paper).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    away = np.abs(pixels / np.asarray(large, np.float32) - 1).max(axis=2)
    return bool((255 * away < TONES).mean() >= UNEVEN)


def from_paper(pixels: UInt8[np.ndarray, "y x 3"]) -> Float[np.ndarray, "y x"]:
    """How far each pixel is from the colour of the paper (the median), in the channel where this is largest."""
    return np.abs(pixels - np.median(pixels, axis=(0, 1))).max(axis=2)


def is_blank(picture: Picture) -> bool:
    """Whether a picture has only one even colour."""
    return int(np.ptp(picture.square.astype(np.int16).mean(axis=2))) < EVEN


def drawn(drawing: Any, canvas: int) -> Picture:
    """A drawing, in any form that visketch reads, as the tower saw drawings in its training: fitted to the canvas, with
    dark lines of one pen.

    Raises VisketchError if it is blank or cannot be read.
    """
    from visketch.config import SketchConfig
    from visketch.data.drawing import sketch
    from visketch.geometry import sdf

    shape = SketchConfig(canvas=canvas)
    read = sketch(drawing)
    ink = sdf.ink(sdf.render(read, shape), shape.clamp)
    grey = (255 * (1 - ink)).round().astype(np.uint8)
    return Picture(np.repeat(grey[..., None], 3, axis=2), Letterbox(canvas, canvas), read.source, sketch=read)
