"""The colour of the paper of a picture, and areas of other colours."""

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image
from scipy import ndimage

from visketch.data.scaling import resized

EVEN = 8  # paper of one colour varies by at most this many levels
COLOURED = 0.25  # an area is coloured if its brightness relative to the paper differs by this share between channels


def even(levels: UInt8[np.ndarray, "c y x"]) -> UInt8[np.ndarray, " c"] | None:
    """The colour of exactly even paper: the colour of nearly all of the border and of much of the rest.

    Returns None if there is no such colour, as in a photo.
    """
    border = _rim(levels)
    paper = np.median(border, axis=1).astype(np.uint8)
    if _alike(border, paper[:, None]).mean() <= 0.9:
        return None
    return paper if _alike(levels, paper[:, None, None]).mean() > 0.25 else None


def _alike(levels: UInt8[np.ndarray, "c *s"], paper: UInt8[np.ndarray, "c *one"]) -> Bool[np.ndarray, "*s"]:
    """Where no channel differs from the paper by more than EVEN."""
    return (np.maximum(levels, paper) - np.minimum(levels, paper) <= EVEN).all(axis=0)


def at_border(small: UInt8[np.ndarray, "c v u"]) -> Float[np.ndarray, " c"]:
    """The colour of the paper, whatever the light: the colour of most pixels at the border."""
    return np.maximum(np.median(_rim(small), axis=1), 1)


def _gradient(small: UInt8[np.ndarray, "c v u"], paper: Float[np.ndarray, " c"]) -> Float[np.ndarray, "c v u"]:
    """The colour of the paper at each place: that of a linear gradient if the border has one, and otherwise `paper`."""
    y, x = np.indices(small.shape[1:]) / max(small.shape[1:])
    places = np.stack([np.ones_like(x), x, y])
    border, at = _rim(small).T, _rim(places).T
    slopes = np.linalg.lstsq(at, border, rcond=None)[0]
    if (np.abs(at @ slopes - border).max(axis=1) <= EVEN).mean() <= 0.9:
        return np.broadcast_to(paper[:, None, None], small.shape)
    return np.maximum(np.einsum("pvu,pc->cvu", places, slopes), 1)


def coloured_areas(
    small: UInt8[np.ndarray, "c v u"], paper: Float[np.ndarray, " c"], shape: tuple[int, ...]
) -> Bool[np.ndarray, "y x"]:
    """Where the hue differs from that of the paper, whatever the light. In a shadow it does not differ."""
    share = np.stack([ndimage.gaussian_filter(one, 1.0) for one in small / _gradient(small, paper)])
    coloured = 1 - share.min(axis=0) / np.maximum(share.max(axis=0), 0.05) > COLOURED
    return resized(coloured, shape, Image.Resampling.NEAREST)


def _rim(levels: Shaped[np.ndarray, "c y x"]) -> Shaped[np.ndarray, "c n"]:
    """The pixels at the border of a picture."""
    return np.concatenate([levels[:, 0], levels[:, -1], levels[:, :, 0], levels[:, :, -1]], axis=1)
