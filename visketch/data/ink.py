"""Colours of a picture → which pixels are ink, whatever the paper, the light and the pen.

Ink is what differs from the paper around it. So the paper is estimated first, everywhere and in every colour: what
remains when dark things narrower than a window are closed over. Then shadows, coloured pens and boards are all alike.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

CONTRAST = 24  # levels of 255 between ink and paper, below which there is only paper
WINDOW = 1 / 9  # of the side: no pen is so wide
DARKEST = 0.3  # of the brightest paper: darker is no shadow but ink
SHEET = 0.15  # of the picture, at least, is a sheet of paper that lies on something darker
EDGE = 0.75  # so dark is at most what is just outside of it
NARROW = 0.2  # of the picture: wider is no strip of what the paper lies on
SOLID = 0.45  # of its box is filled by a strip, even a wedge: a drawing's outline fills less
RULED = 3  # lines right across the page, at least, are the paper's and not the drawing's
FAINT = 0.85  # if they have at most so much of its contrast


@dataclass(frozen=True)
class Ink:
    """What was found, and what had to be understood to find it."""

    pixels: Bool[np.ndarray, "y x"]
    inverted: bool = False  # light ink on dark paper
    sheet: bool = False  # the paper is a part of the picture
    ruled: int = 0  # lines of the paper that were left out
    specks: int = 0  # spots of dust that were left out
    pen: float = 0.0  # the width of the pen in pixels


def find(colours: UInt8[np.ndarray, "y x c"]) -> Ink:
    """Colours (or grey, c = 1) → ink. Without contrast there is none."""
    levels = colours.astype(np.float32)
    grey = levels.mean(axis=2)
    if np.ptp(grey) < CONTRAST and np.ptp(levels, axis=(0, 1)).max() < CONTRAST:
        return Ink(np.zeros(grey.shape, bool))
    sheet = _sheet(grey)
    if sheet is not None:
        levels = np.where(sheet[..., None], levels, np.median(levels[sheet], axis=0))
        grey = levels.mean(axis=2)
    inverted = sheet is None and _is_inverted(grey)
    contrast = _contrast(255 - levels if inverted else levels)
    pixels = _threshold(contrast)
    if sheet is not None:
        pixels &= sheet
    pixels = _without_surroundings(pixels)
    pixels, ruled = _without_rules(pixels, contrast)
    pixels, specks, pen = _without_dust(pixels)
    return Ink(pixels, inverted, sheet is not None, ruled, specks, pen)


def _sheet(grey: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"] | None:
    """Where the paper is, if it is one bright piece on something darker that fills the picture's border."""
    from skimage.filters import threshold_otsu

    step = max(1, max(grey.shape) // 256)
    small = ndimage.uniform_filter(grey, step)[::step, ::step]
    # Without the drawing, whose lines would cut the paper into pieces.
    size = max(3, round(max(small.shape) * WINDOW))
    paper = ndimage.grey_closing(small, (size, size), mode="nearest")
    bright = paper > threshold_otsu(paper)
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
    near = max(2, max(small.shape) // 60)
    inside = ndimage.minimum_filter(whole, 2 * near + 1, mode="constant")
    rim, around = whole & ~inside, ndimage.maximum_filter(whole, 2 * near + 1) & ~whole
    # A sheet has an edge; the light of a lamp has none.
    if not inside.any() or not around.any() or np.median(small[around]) > EDGE * np.median(small[rim]):
        return None
    return inside.repeat(step, axis=0).repeat(step, axis=1)[: grey.shape[0], : grey.shape[1]]


def _is_inverted(grey: Float[np.ndarray, "y x"]) -> bool:
    """Whether the ink is lighter than the paper.

    Lines are the long tail of what differs from its surroundings. If there is none (a silhouette), ink is the rarer.
    """
    from skimage.filters import rank, threshold_otsu

    step = max(1, max(grey.shape) // 96)
    small = ndimage.uniform_filter(grey, step)[::step, ::step]
    near = max(3, max(small.shape) // 5) // 2
    # Not the mean around it but the median, which follows the edge of a shadow: by running histograms, for scipy's
    # takes longer than all the rest.
    wide = np.pad(small, near, mode="edge").round().astype(np.uint8)
    local = small - rank.median(wide, np.ones((2 * near + 1, 2 * near + 1), np.uint8))[near:-near, near:-near]
    skewness = float(np.mean(local**3)) / max(float(np.mean(local**2)), 1e-6) ** 1.5
    if abs(skewness) > 1:
        return skewness > 0
    return float((grey <= threshold_otsu(grey)).mean()) > 0.5


def _contrast(levels: Float[np.ndarray, "y x c"]) -> Float[np.ndarray, "y x"]:
    """By how much of the paper's light, in 0..255, each pixel is darker, in the colour in which it is most."""
    side = max(levels.shape[:2])
    window = max(15, round(side * WINDOW)) | 1
    step = max(1, side // 256)  # the paper is smooth: a quarter of the pixels tells as much
    found = np.zeros(levels.shape[:2], np.float32)
    for channel in np.moveaxis(levels, 2, 0):
        small = ndimage.uniform_filter(channel, step)[::step, ::step] if step > 1 else channel
        small = ndimage.gaussian_filter(small, 1.0, mode="nearest")  # the grain would raise the paper
        size = max(3, window // step)
        # Closed over dark lines; a shadow's edge stays where it is. Then opened, twice as wide: ink may be brighter
        # than the paper in one colour and darker in another.
        small = ndimage.grey_closing(small, (size, size), mode="nearest")
        small = ndimage.grey_opening(small, (2 * size, 2 * size), mode="nearest")
        small = ndimage.gaussian_filter(small, 2.0, mode="nearest")
        paper = np.maximum(small, DARKEST * float(small.max()))
        if step > 1:
            at = [(np.arange(length) - (step - 1) / 2) / step for length in channel.shape]
            paper = ndimage.map_coordinates(paper, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
        np.maximum(found, 1 - channel / np.maximum(paper, 1), out=found)
    return 255 * found


def _threshold(contrast: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Otsu's threshold but above the grain, and what is nearly as strong where it hangs on what is."""
    from skimage.filters import apply_hysteresis_threshold, threshold_otsu

    if contrast.max() < CONTRAST:
        return np.zeros(contrast.shape, bool)
    middle = float(np.median(contrast))
    grain = middle + 5 * 1.4826 * float(np.median(np.abs(contrast - middle)))
    strong = max(float(threshold_otsu(contrast)), grain, CONTRAST / 2)
    return np.asarray(apply_hysteresis_threshold(contrast, max(0.8 * strong, grain, CONTRAST / 2), strong))


def _without_surroundings(pixels: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Without strips of what the paper lies on: solid, along most of a side of the picture, wider than two pens."""
    if max(side.mean() for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) <= 0.5:
        return pixels  # as nearly always: the rest need not be looked at
    parts, count = ndimage.label(pixels)
    area = np.bincount(parts.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(parts)
    strips = set()
    for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        along = np.bincount(side, minlength=count + 1)
        along[0] = 0
        number = int(along.argmax())
        if along[number] > len(side) / 2:
            high, wide = (part.stop - part.start for part in boxes[number - 1])
            narrow = min(high / len(pixels), wide / len(pixels[0])) < NARROW
            if narrow and area[number] > SOLID * high * wide:
                strips.add(number)
    left = pixels & ~np.isin(parts, list(strips))
    if not strips or not left.any():
        return pixels
    pen = _pen(left)
    depth = ndimage.distance_transform_edt(pixels)  # beyond the picture they go on
    thin = [number for number in strips if depth[parts == number].max() < 2 * pen]
    return left | np.isin(parts, thin)


def _without_rules(
    pixels: Bool[np.ndarray, "y x"], contrast: Float[np.ndarray, "y x"]
) -> tuple[Bool[np.ndarray, "y x"], int]:
    """Without the lines of ruled or squared paper, and how many they were; what crosses them stays."""
    found = []
    for axis in (0, 1):
        along, side = 1 - axis, pixels.shape[1 - axis]
        lines = _opened(ndimage.maximum_filter1d(pixels, 5, axis=axis), max(8, side // 8), along)
        parts, _ = ndimage.label(lines)
        across = [
            number
            for number, box in enumerate(ndimage.find_objects(parts), 1)
            if box[along].stop - box[along].start > 0.8 * side
            and box[axis].stop - box[axis].start < 0.1 * pixels.shape[axis]
        ]
        if len(across) >= RULED:
            found.append((pixels & np.isin(parts, across), len(across)))
    if not found:
        return pixels, 0
    ruled = np.logical_or.reduce([here for here, _ in found])
    faint = float(np.median(contrast[ruled]))
    ink = contrast[pixels & ~ruled]
    if len(ink) and faint > FAINT * float(np.median(ink)):
        return pixels, 0
    return pixels & (~ruled | (contrast > 1.4 * faint)), sum(number for _, number in found)


def _opened(pixels: Bool[np.ndarray, "y x"], length: int, axis: int) -> Bool[np.ndarray, "y x"]:
    """What of the ink runs on for so long in one direction."""
    return ndimage.maximum_filter1d(ndimage.minimum_filter1d(pixels, length, axis=axis), length, axis=axis)


def _without_dust(pixels: Bool[np.ndarray, "y x"]) -> tuple[Bool[np.ndarray, "y x"], int, float]:
    """Without what is much smaller than the pen, and dots that lie outside of all that is larger; how many; the pen."""
    pen = _pen(pixels)
    if not pen:
        return pixels, 0, 0.0
    parts, count = ndimage.label(pixels, np.ones((3, 3)))
    boxes = ndimage.find_objects(parts)
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    corners = np.array([[b[0].start, b[1].start, b[0].stop, b[1].stop] for b in boxes])
    extent = (corners[:, 2:] - corners[:, :2]).max(axis=1)
    large = extent >= min(extent.max(), max(4 * pen, 0.25 * extent.max()))
    low, high = corners[large, :2].min(axis=0), corners[large, 2:].max(axis=0)
    outside = (corners[:, :2] < low).any(axis=1) | (corners[:, 2:] > high).any(axis=1)
    dust = ~large & ((area < 0.3 * pen**2) | (outside & (extent < 2.5 * pen)))
    return pixels & ~np.concatenate([[False], dust])[parts], int(dust.sum()), pen


def _pen(pixels: Bool[np.ndarray, "y x"]) -> float:
    """The width of the pen in pixels; 0 without ink."""
    from skimage.morphology import skeletonize

    thin = skeletonize(pixels)
    if not thin.any():
        return 0.0
    return 2 * float(np.median(ndimage.distance_transform_edt(np.pad(pixels, 1))[1:-1, 1:-1][thin])) - 1
