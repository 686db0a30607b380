"""Photos of objects: the place of each object, and its pixels.

This module reads folders of photos by class, and `coco.py` reads COCO's format. Photos are split like drawings, by the
SHA-1 of the photo's name, so that no object is in two splits. The test share is larger than for drawings, since there
are few photos.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from visketch.data import folder, image
from visketch.errors import VisketchError

PICTURES = folder.PICTURES - {".svg", ".svgz", ".gif"}
TEST, VALIDATION = 0.3, 0.1  # shares of the photos


@dataclass(frozen=True)
class PhotoObject:
    """An object of a photo: its class, its box, and its outline if that is known.

    The box is x1, y1, x2, y2 in pixels. `polygons` are arrays (points, 2) of x and y, and their union is the object.
    Without them, only the box is known.
    """

    label: str
    box: tuple[float, float, float, float]
    polygons: tuple[np.ndarray, ...] = ()
    crowd: bool = False  # whether this is a region of many objects


@dataclass(frozen=True)
class Photo:
    path: Path
    objects: tuple[PhotoObject, ...]
    turned: bool = False  # whether coordinates are those of the photo after it was turned as its EXIF data says

    @property
    def split(self) -> str:
        """The split of the photo. It follows from the names of the photo and its folder, so it does not depend on the
        rest of the path.
        """
        name = "/".join(self.path.absolute().parts[-2:]).encode()
        place = int(hashlib.sha1(name, usedforsecurity=False).hexdigest()[:8], 16) / 16**8
        return "test" if place < TEST else "validation" if place < TEST + VALIDATION else "train"

    def pixels(self) -> UInt8[np.ndarray, "y x 3"]:
        """The pixels of the photo. Raises VisketchError if it cannot be read."""
        with _opened(self.path) as picture:
            upright = ImageOps.exif_transpose(picture) if self.turned else picture
            return np.array(upright.convert("RGB"))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A photo that is not decoded yet. Raises VisketchError if it cannot be opened or decoded, or is too large."""
    try:
        with image.opened(path) as picture:
            if picture.width * picture.height > image.JPEG_PIXELS:
                most = image.JPEG_PIXELS // 1_000_000
                raise VisketchError(f"{path}: more than {most} million pixels; shrink the photo")
            yield picture
    except VisketchError:
        raise
    except Exception as error:  # a broken file can make Pillow's decoders raise anything
        raise VisketchError(f"{path}: the photo cannot be read; remove it or save it again") from error


def read(root: Path, problem: Callable[[VisketchError], None]) -> list[Photo]:
    """The photos of a folder. Each shows one object as large as the photo, of the class that its folder is named after.

    `problem` receives the error of each photo that is left out. Raises VisketchError if there is no photo.
    """
    found = []
    for path in sorted(Path(root).glob("*/*")):
        if path.suffix.lower() not in PICTURES or path.name.startswith("."):
            continue
        try:
            with _opened(path) as picture:
                wide, high = image.upright_size(picture)
        except VisketchError as error:
            problem(error)
            continue
        found.append(Photo(path, (PhotoObject(folder.label(path), (0.0, 0.0, float(wide), float(high))),), turned=True))
    if not found:
        raise VisketchError(f"{root}: no photo in it; give a folder whose subfolders are named by class")
    return found
