"""Pictures of drawings (PNG, JPEG, WebP and their like) → ink masks: scans, screenshots, photos of paper."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from visketch.errors import VisketchError
from visketch.strokes import Sketch

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow's others call programs or are no drawings
SIDE = 1024  # pixels of the longer side at most: more only costs time, the models see 256
CONTRAST = 24  # grey levels between ink and paper below which there is only paper


def mask(path: Path) -> Sketch:
    """The picture's ink. Raises VisketchError if it is no picture, broken, too large to open, or blank."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file may have wrong and still be read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                levels = grey(picture)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise VisketchError(f"{path}: more than 89 million pixels, shrink the picture") from None
    except Image.UnidentifiedImageError:
        raise VisketchError(f"{path}: not a picture nor a drawing, give PNG, JPEG, WebP, SVG, ndjson or npz") from None
    except (PermissionError, FileNotFoundError):
        raise
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise VisketchError(f"{path}: the picture is broken or cut short, save it again") from error
    pixels = ink(levels)
    if not pixels.any():
        raise VisketchError(f"{path}: blank, there is no ink in it")
    return Sketch(pixels=pixels, source=str(path))


def grey(picture: Image.Image) -> np.ndarray:
    """A picture of any mode → grey levels (rows, columns) uint8, upright, at most SIDE wide and high.

    What is transparent becomes paper: white, or black if what is not transparent is light.
    """
    picture.draft("L", (SIDE, SIDE))  # a JPEG is shrunk while it is decoded
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    clear = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    picture = picture.convert("RGBA") if clear else picture.convert("L")
    picture.thumbnail((SIDE, SIDE), reducing_gap=2)
    picture = ImageOps.exif_transpose(picture)
    if clear:
        alpha = np.asarray(picture.getchannel("A"))
        levels = np.asarray(picture.convert("L"))
        light = alpha.any() and np.average(levels, weights=alpha) > 127
        paper = Image.new("RGBA", picture.size, "black" if light and alpha.min() < 128 else "white")
        picture = Image.alpha_composite(paper, picture).convert("L")
    return np.asarray(picture)


def ink(levels: np.ndarray) -> np.ndarray:
    """Grey levels (rows, columns) → which pixels are ink: the rarer side of Otsu's threshold.

    If neither side is rare the light was uneven, as in a photo: then what differs from its surroundings is ink.
    Nothing is ink where the contrast is below CONTRAST.
    """
    dark = _darker(levels)
    if 0.25 < dark.mean() < 0.75 and len(np.unique(levels)) > 16:
        from scipy import ndimage

        plain = levels.astype(np.float32)
        local = plain - ndimage.gaussian_filter(plain, max(levels.shape) / 32, mode="nearest")
        sign = np.sign(np.mean(local**3))  # thin lines are the long tail of the differences
        return _darker((255 - np.clip(local * sign, 0, 255)).astype(np.uint8))
    return ~dark if dark.mean() > 0.5 else dark


def _darker(levels: np.ndarray) -> np.ndarray:
    from skimage.filters import threshold_otsu

    if int(levels.max()) - int(levels.min()) < CONTRAST:
        return np.zeros(levels.shape, bool)
    return levels <= threshold_otsu(levels)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float pictures, whose range is not said, stretched over 0..255."""
    levels = np.asarray(picture).astype(np.float32)
    low, high = float(np.nanmin(levels)), float(np.nanmax(levels))
    levels = np.nan_to_num((levels - low) * (255 / max(high - low, 1e-6)))
    stretched = Image.fromarray(levels.astype(np.uint8))
    stretched.info = {key: value for key, value in picture.info.items() if key == "exif"}
    return stretched
