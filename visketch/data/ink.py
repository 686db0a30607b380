"""Colours of a picture → which pixels are ink, whatever the paper, the light and the pen.

Ink is what differs from the paper around it. So the paper is estimated first, everywhere and in every colour: what
remains when dark things narrower than a window are closed over. Then shadows, coloured pens and boards are all alike.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image
from scipy import ndimage

from visketch.data import clutter

SMALL = 160  # pixels of the longer side: enough to tell the paper, its light and what it lies on
FINE = 16  # parts of a level of contrast that a threshold tells apart
CONTRAST = 24  # levels of 255 between ink and paper, below which there is only paper
WINDOW = 1 / 9  # of the side: no pen is so wide
DARKEST = 0.3  # of the brightest paper: darker is no shadow but ink
SHEET = 0.15  # of the picture, at least, is a sheet of paper that lies on something darker
EDGE = 0.75  # so dark is at most what is just outside of it


@dataclass(frozen=True)
class Ink:
    """What was found, and what had to be understood to find it."""

    pixels: Bool[np.ndarray, "y x"]
    thin: Bool[np.ndarray, "y x"]  # its skeleton, which the pen's width asks for
    inverted: bool = False  # light ink on dark paper
    sheet: bool = False  # the paper is a part of the picture
    ruled: int = 0  # lines of the paper that were left out
    specks: int = 0  # spots of dust that were left out
    pen: float = 0.0  # the width of the pen in pixels


def find(colours: UInt8[np.ndarray, "y x c"]) -> Ink:
    """Colours (or grey, c = 1) → ink. Without contrast there is none."""
    levels = np.ascontiguousarray(np.moveaxis(colours, 2, 0))
    if (levels == levels[:1]).all():
        levels = levels[:1]
    if max(int(channel.max()) - int(channel.min()) for channel in levels) < CONTRAST:
        blank = np.zeros(levels.shape[1:], bool)
        return Ink(blank, blank)
    scale = min(1.0, SMALL / max(levels.shape))
    size = tuple(max(1, round(scale * length)) for length in levels.shape[1:])
    small = np.stack([_resized(channel, size) for channel in levels])
    grey = small.mean(axis=0).round().astype(np.uint8)
    sheet = _sheet(grey)
    if sheet is not None:
        whole = _resized(sheet, levels.shape[1:])
        paper = np.median(small[:, sheet], axis=1).astype(np.uint8)[:, None, None]
        small, levels = np.where(sheet, small, paper), np.where(whole, levels, paper)
    inverted = sheet is None and _is_inverted(grey)
    contrast = _contrast(255 - levels, 255 - small) if inverted else _contrast(levels, small)
    pixels = _threshold(contrast)
    if sheet is not None:
        pixels &= whole
    pixels = clutter.without_surroundings(clutter.without_frame(pixels))
    pixels, ruled = clutter.without_rules(pixels, contrast)
    pixels, thin, specks, pen = clutter.without_dust(pixels)
    return Ink(pixels, thin, inverted, sheet is not None, ruled, specks, pen)


def _resized(
    levels: Shaped[np.ndarray, "y x"], size: tuple[int, ...], how: Image.Resampling = Image.Resampling.BOX
) -> Shaped[np.ndarray, "v u"]:
    return np.asarray(Image.fromarray(levels).resize((size[1], size[0]), how))


def _sheet(grey: UInt8[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"] | None:
    """Where the paper is, if it is one bright piece on something darker that fills the picture's border."""
    from skimage.filters import threshold_otsu

    # Without the drawing, whose lines would cut the paper into pieces.
    paper = _closed(grey, max(grey.shape) * WINDOW)
    threshold = threshold_otsu(paper)
    bright = paper > threshold
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    if border.mean() > 0.2 or bright.mean() < SHEET / 2:
        return None
    parts, _ = ndimage.label(bright)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    whole = ndimage.binary_fill_holes(largest)
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    # Chalk on a board is bright too, but little of what it surrounds is.
    if whole.mean() < SHEET or largest.sum() < 0.7 * whole.sum() or whole.sum() < 0.6 * box:
        return None
    near = max(2, max(grey.shape) // 60)
    inside = ndimage.minimum_filter(whole, 2 * near + 1, mode="constant")
    rim, around = whole & ~inside, ndimage.maximum_filter(whole, 2 * near + 1) & ~whole
    # A sheet has an edge; the light of a lamp has none.
    if not inside.any() or not around.any() or np.median(grey[around]) > EDGE * np.median(grey[rim]):
        return None
    return inside if np.median(grey[inside]) > threshold else None  # else it is an outline in chalk, closed over


def _is_inverted(grey: UInt8[np.ndarray, "y x"]) -> bool:
    """Whether the ink is lighter than the paper.

    Lines are the long tail of what differs from its surroundings. If there is none (a silhouette), ink is the rarer.
    """
    from skimage.filters import threshold_otsu

    local = grey - _around(grey)
    square = local * local
    if not local.any():
        return False
    skewness = float(np.mean(square * local)) / max(float(np.mean(square)), 1e-6) ** 1.5
    if abs(skewness) > 1:
        return skewness > 0
    return float((grey <= threshold_otsu(grey)).mean()) > 0.5


def _around(grey: UInt8[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"] | np.float32:
    """The paper's level: that of most pixels, if they have one; else near each the median, which follows a shadow."""
    from skimage.filters import rank

    counts = np.bincount(grey.ravel())
    if counts.max() > grey.size / 2:
        return np.float32(counts.argmax())
    few = grey[::2, ::2]
    near = max(3, max(few.shape) // 5) // 2
    window = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    median = rank.median(np.pad(few, near, mode="edge"), window)[near:-near, near:-near]
    return _resized(median, grey.shape).astype(np.float32)


def _contrast(levels: UInt8[np.ndarray, "c y x"], small: UInt8[np.ndarray, "c v u"]) -> Float[np.ndarray, "y x"]:
    """By how much of the paper's light, in 0..255, each pixel is darker, in the colour in which it is most."""
    window = max(15, max(levels.shape) * WINDOW) * max(small.shape) / max(levels.shape)
    light = np.ones(levels.shape[1:], np.float32)
    for channel, few in zip(levels, small, strict=True):
        paper = ndimage.gaussian_filter(few.astype(np.float32), 1.0, mode="nearest")  # the grain would raise it
        # Closed over dark lines; a shadow's edge stays where it is. Then opened, twice as wide: ink may be brighter
        # than the paper in one colour and darker in another.
        paper = -_closed(-_closed(paper, window), 2 * window)
        paper = ndimage.gaussian_filter(paper, 1.0, mode="nearest")
        paper = np.maximum(paper, max(1.0, DARKEST * float(paper.max())))
        np.minimum(light, channel / _resized(paper, channel.shape, Image.Resampling.BILINEAR), out=light)
    return 255 * (1 - light)


def _threshold(contrast: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Otsu's threshold but above the grain, and what is nearly as strong where it hangs on what is."""
    from skimage.filters import threshold_otsu

    if contrast.max() < CONTRAST:
        return np.zeros(contrast.shape, bool)
    counts = np.bincount((FINE * contrast).astype(np.intp).ravel())
    below = np.concatenate([[0], np.cumsum(counts)])
    middle = int(np.searchsorted(below, contrast.size / 2)) - 1  # the median, and how far from it half of all is
    reach = np.arange(len(counts))
    within = below[np.minimum(middle + reach + 1, len(counts))] - below[np.maximum(middle - reach, 0)]
    grain = (middle + 5 * 1.4826 * int(np.searchsorted(within, contrast.size / 2))) / FINE
    otsu = float(threshold_otsu(hist=(counts, (reach + 0.5) / FINE)))
    strong = max(otsu, grain, CONTRAST / 2)
    return clutter.hanging(contrast > max(0.8 * strong, grain, CONTRAST / 2), contrast > strong)


def _closed(levels: Shaped[np.ndarray, "y x"], size: float) -> Shaped[np.ndarray, "y x"]:
    """Without what is darker than its surroundings and narrower than the window."""
    for pick in (np.maximum, np.minimum):
        for axis in (0, 1):
            levels = clutter.extreme(pick, levels, int(size), axis)
    return levels
