"""Colours of a picture → which pixels are ink, whatever the paper, the light and the pen.

Ink is what differs from the paper around it. So the paper is estimated first, everywhere and in every colour: what
remains when dark things narrower than a window are closed over. Then shadows, coloured pens and boards are all alike.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from PIL import Image
from scipy import ndimage

from visketch.strokes import skeleton

SMALL = 160  # pixels of the longer side: enough to tell the paper, its light and what it lies on
PROBES = 1000  # places along the lines where the pen is measured
FINE = 16  # parts of a level of contrast that a threshold tells apart
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
    whole = None if sheet is None else _resized(sheet, levels.shape[1:])
    if whole is not None:
        paper = np.median(small[:, sheet], axis=1).astype(np.uint8)[:, None, None]
        small, levels = np.where(sheet, small, paper), np.where(whole, levels, paper)
    inverted = sheet is None and _is_inverted(grey)
    contrast = _contrast(255 - levels, 255 - small) if inverted else _contrast(levels, small)
    pixels = _threshold(contrast)
    if whole is not None:
        pixels &= whole
    pixels = _without_surroundings(pixels)
    pixels, ruled = _without_rules(pixels, contrast)
    pixels, thin, specks, pen = _without_dust(pixels)
    return Ink(pixels, thin, inverted, sheet is not None, ruled, specks, pen)


def _resized(
    levels: Shaped[np.ndarray, "y x"], size: tuple[int, ...], how: Image.Resampling = Image.Resampling.BOX
) -> Shaped[np.ndarray, "v u"]:
    return np.asarray(Image.fromarray(levels).resize(size[::-1], how))


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


def _contrast(
    levels: UInt8[np.ndarray, "c y x"], small: UInt8[np.ndarray, "c v u"]
) -> Float[np.ndarray, "y x"]:
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
    return _hanging(contrast > max(0.8 * strong, grain, CONTRAST / 2), contrast > strong)


def _hanging(pixels: Bool[np.ndarray, "y x"], strong: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The parts of the ink that have a strong pixel; all of these are ink."""
    parts, count = ndimage.label(pixels)
    kept = np.zeros(count + 1, bool)
    kept[parts[strong]] = True
    return kept.take(parts)


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
    pen = _pen(left, skeleton(left))
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
        if not _may_be_ruled(pixels, axis):
            continue
        long = max(8, side // 8)
        lines = _extreme(np.maximum, pixels, 5, axis)
        for pick in (np.minimum, np.maximum):  # what of it runs on for so long
            lines = _extreme(pick, lines, long, along)
        if not _may_be_ruled(lines, axis):
            continue
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
    beside = pixels & ~ruled  # where lines of the paper cross they are darker, but nothing hangs on that
    return _hanging(beside | (ruled & (contrast > 1.4 * faint)), beside), sum(number for _, number in found)


def _may_be_ruled(pixels: Bool[np.ndarray, "y x"], axis: int) -> bool:
    """Whether enough of the page is crossed often enough, if each line leaves out a fifth of it at most."""
    down = np.pad(pixels, 1).swapaxes(0, axis)
    crossed = (down[1:] & ~down[:-1]).sum(axis=0, dtype=np.uint16)[1:-1]
    return bool((crossed >= RULED).mean() >= 1 - 0.2 * RULED)


def _without_dust(
    pixels: Bool[np.ndarray, "y x"],
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"], int, float]:
    """Without what is much smaller than the pen, and dots that lie outside of all that is larger; the skeleton of what
    is left; how many they were; the pen.
    """
    thin = skeleton(pixels)
    pen = _pen(pixels, thin)
    if not pen:
        return pixels, thin, 0, 0.0
    parts, count = ndimage.label(pixels, np.ones((3, 3)))
    boxes = ndimage.find_objects(parts)
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    corners = np.array([[b[0].start, b[1].start, b[0].stop, b[1].stop] for b in boxes])
    extent = (corners[:, 2:] - corners[:, :2]).max(axis=1)
    large = extent >= min(extent.max(), max(4 * pen, 0.25 * extent.max()))
    low, high = corners[large, :2].min(axis=0), corners[large, 2:].max(axis=0)
    outside = (corners[:, :2] < low).any(axis=1) | (corners[:, 2:] > high).any(axis=1)
    dust = ~large & ((area < 0.3 * pen**2) | (outside & (extent < 2.5 * pen)))
    if dust.any():
        kept = np.append(False, ~dust).take(parts)
        pixels, thin = pixels & kept, thin & kept
    return pixels, thin, int(dust.sum()), pen


def _pen(pixels: Bool[np.ndarray, "y x"], thin: Bool[np.ndarray, "y x"]) -> float:
    """The width of the pen in pixels: along the skeleton, how far it is to where there is no ink."""
    from scipy.spatial import KDTree

    middle = _places(thin) + 1
    if not len(middle):
        return 0.0
    ink = np.pad(pixels, 1)
    beside = (_extreme(np.maximum, ink, 3, 0) | _extreme(np.maximum, ink, 3, 1)) & ~ink
    distance, _ = KDTree(_places(beside)).query(middle[:: 1 + len(middle) // PROBES])
    return 2 * float(np.median(distance)) - 1


def _places(pixels: Bool[np.ndarray, "y x"]) -> Int[np.ndarray, "n 2"]:
    """np.argwhere, in a fifth of its time."""
    return np.stack(np.divmod(np.flatnonzero(pixels), pixels.shape[1]), axis=1)


def _closed(levels: Shaped[np.ndarray, "y x"], size: float) -> Shaped[np.ndarray, "y x"]:
    """Without what is darker than its surroundings and narrower than the window."""
    for pick in (np.maximum, np.minimum):
        for axis in (0, 1):
            levels = _extreme(pick, levels, int(size), axis)
    return levels


def _extreme(pick: np.ufunc, levels: Shaped[np.ndarray, "y x"], size: int, axis: int) -> Shaped[np.ndarray, "y x"]:
    """The largest or smallest (np.maximum, np.minimum) of `size` along an axis, one more if that is even.

    By windows that are doubled until they are as wide: on ink a dozen times as fast as scipy's filters.
    """
    half = size // 2
    rims = [levels.take([end], axis).repeat(half, axis) for end in (0, -1)]
    wide, width = np.concatenate([rims[0], levels, rims[1]], axis).swapaxes(0, axis), 1
    while width <= 2 * half:
        step = min(width, 2 * half + 1 - width)
        wide = pick(wide[:-step], wide[step:])
        width += step
    return wide.swapaxes(0, axis)
