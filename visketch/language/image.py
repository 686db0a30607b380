"""Pictures → squares that a tower sees: letterboxed, never cropped; and boxes on the square → boxes on the picture."""

import os
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

from visketch.data import in_memory, ink, svg
from visketch.data.image import FORMATS, eight_bits
from visketch.errors import VisketchError
from visketch.language.boxes import Box

if TYPE_CHECKING:
    from visketch.geometry.sketch import Sketch

MOST = 400_000_000  # pixels: a panorama of 20,000 x 20,000 is read, a bomb is not
# of the pictures that a folder is searched for
SUFFIXES = (".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
PAPER = 0.75  # of a drawing, at least, has the colour of its paper; of 400 drawn scenes 0.83, of 1 in 100 photos
TONES = 16  # levels that a colour may differ by and still be that of the paper
DECODED = 1024  # pixels of the longer side, at most, that a picture is looked at with
FINE = 384  # pixels of the square on which a scene's ink is found: at 128 its drawings are recognised less often
EVEN = 24  # levels of grey between the darkest and the lightest pixel that are still nothing


@dataclass(frozen=True)
class Letterbox:
    """How a picture lies in its square: `width` and `height` in pixels, as it is upright."""

    width: int
    height: int

    def inside(self) -> Box:
        """The part of the square that is picture."""
        side = max(self.width, self.height)
        x, y = (side - self.width) / 2 / side, (side - self.height) / 2 / side
        return x, y, 1 - x, 1 - y

    def back(self, box: Box) -> Box:
        """A box on the square → the same on the picture; what is beyond it is cut off."""
        left, top, right, bottom = self.inside()
        x1, x2 = ((x - left) / (right - left) for x in box[::2])
        y1, y2 = ((y - top) / (bottom - top) for y in box[1::2])
        x1, y1, x2, y2 = np.clip([x1, y1, x2, y2], 0, 1).tolist()
        return x1, y1, x2, y2

    def forth(self, box: Box) -> Box:
        """The inverse of `back`."""
        left, top, right, bottom = self.inside()
        x1, x2 = (left + x * (right - left) for x in box[::2])
        y1, y2 = (top + y * (bottom - top) for y in box[1::2])
        return x1, y1, x2, y2


@dataclass(frozen=True)
class Picture:
    """A picture as a square of colours, and how to find back."""

    square: UInt8[np.ndarray, "h h 3"]
    letterbox: Letterbox
    source: str = ""
    original: Image.Image | None = field(default=None, compare=False, repr=False)  # if it has no file to go back to
    sketch: "Sketch | None" = field(default=None, compare=False, repr=False)  # what a query was drawn from

    @cached_property
    def ink(self) -> ink.Ink:
        """The ink of the picture on a square of FINE pixels. Raises VisketchError if its file is gone."""
        return ink.find(finer(self, FINE).square)


def read(path: str | Path, canvas: int) -> Picture:
    """A picture file, turned upright, letterboxed to a square of `canvas` pixels. Raises VisketchError."""
    picture, size = upright(path, DECODED)
    return square(picture, canvas, str(path), size)


def of(picture: Any, canvas: int) -> Picture:
    """A picture that a program has in memory, letterboxed: a PIL image, or an array or tensor of levels or colours.

    Raises UsageError for what is none of these.
    """
    if not isinstance(picture, Image.Image):
        picture = in_memory.to_image(picture)
    whole = ImageOps.exif_transpose(shrunk(picture.copy(), DECODED))
    return replace(square(whole, canvas, size=picture.size), original=whole)


def upright(path: str | Path, most: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture file in colour, turned upright, at most so wide and high; and its width and height before.

    A large JPEG is shrunk while it is decoded, so a panorama costs little memory. An SVG is drawn as large as that; its
    width and height are those of its page. The last few are kept, since
    a scene is looked at on several squares; do not change what is returned. Raises VisketchError.
    """
    try:
        about = os.stat(path)
    except OSError:
        return _decoded(str(path), most)
    return _kept(str(path), most, (about.st_mtime_ns, about.st_size))


@lru_cache(maxsize=4)
def _kept(path: str, most: int, changed: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    return _decoded(path, most)


def _decoded(path: str, most: int) -> tuple[Image.Image, tuple[int, int]]:
    try:
        if is_svg(path):
            return svg.rendered(Path(path), most)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST
            try:
                with Image.open(path, formats=FORMATS) as picture:
                    size = picture.size
                    picture.draft("RGB", (most, most))
                    small = shrunk(picture, most)
                    turned = ImageOps.exif_transpose(small)
                    lying = (small.width > small.height) != (turned.width > turned.height)
                    return turned, size[::-1] if lying else size
            finally:
                Image.MAX_IMAGE_PIXELS = before
    except VisketchError:
        raise
    except Image.DecompressionBombError:
        raise VisketchError(f"{path}: more than {MOST:,} pixels, shrink the picture") from None
    except Image.UnidentifiedImageError:
        raise VisketchError(f"{path}: not a picture, give PNG, JPEG, WebP or SVG") from None
    except IsADirectoryError:
        raise VisketchError(f"{path}: a folder, give a picture in it") from None
    except FileNotFoundError:
        raise VisketchError(f"{path}: no such file, check the name") from None
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise VisketchError(f"{path}: the picture cannot be read or is cut short, save it again") from error


def is_svg(path: str | Path) -> bool:
    with open(path, "rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") or Path(path).suffix == ".svg"


def shrunk(picture: Image.Image, most: int) -> Image.Image:
    """The picture in colour, at most so wide and high; what is transparent is white. It remembers its orientation."""
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
    """An upright picture, letterboxed: the margins have the colour of its edge, white around a drawing.

    `size`: its width and height before it was shrunk, if it was.
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


def is_photo(square: UInt8[np.ndarray, "h h 3"]) -> bool:
    """Whether it is a photo and no drawing: less than half of it has the colour of its edge."""
    edge = np.median(np.concatenate([square[0], square[-1]]), axis=0)
    return bool((np.abs(square.astype(np.int16) - edge).max(axis=2) < 32).mean() < 0.5)


def inside(picture: Picture) -> UInt8[np.ndarray, "y x 3"]:
    """The square without its margins."""
    side = len(picture.square)
    x1, y1, x2, y2 = (round(side * edge) for edge in picture.letterbox.inside())
    return picture.square[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def finer(picture: Picture, canvas: int) -> Picture:
    """The same on a square of `canvas` pixels, from its file if it has one. Raises VisketchError if that is gone."""
    if picture.source:
        return read(picture.source, canvas)
    if picture.original is not None:
        return square(picture.original, canvas, size=(picture.letterbox.width, picture.letterbox.height))
    size = picture.letterbox.width, picture.letterbox.height
    return square(Image.fromarray(inside(picture)), canvas, size=size)


def is_drawing(picture: Picture) -> bool:
    """Whether it is almost only paper and ink; a photo that is evenly lit in all other places is taken for one too."""
    return bool((from_paper(inside(picture)) < TONES).mean() >= PAPER)


def from_paper(pixels: UInt8[np.ndarray, "y x 3"]) -> Float[np.ndarray, "y x"]:
    """How far each pixel is from the colour of the paper, the median, in the channel in which it is farthest."""
    return np.abs(pixels - np.median(pixels, axis=(0, 1))).max(axis=2)


def is_blank(picture: Picture) -> bool:
    """Whether nothing is on it: it is one even colour."""
    return int(np.ptp(picture.square.astype(np.int16).mean(axis=2))) < EVEN


def drawn(drawing: Any, canvas: int) -> Picture:
    """A sketch in any form that visketch reads, as training drew it: fitted to the canvas, dark lines of one pen.

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
