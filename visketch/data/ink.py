"""Find the ink in the colours of a picture, whatever the paper, the light and the pen.

Ink differs from the paper around it. So the paper is estimated first, for every pixel and colour channel. It is what
remains after a closing, which removes dark structures narrower than a window. This handles shadows, coloured pens and
blackboards alike.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

from visketch.data import background, clutter, morphology, sheet, solid
from visketch.data.scaling import reduced, resized

SMALL = 160  # pixels of the longer side; enough to find the paper, its light and the surface around it
FINE = 16  # steps of the threshold for each level of contrast
CONTRAST = 24  # the least contrast of ink, in levels of 255
# The least contrast of ink on paper whose levels vary by at most EXACT, as in a picture that was drawn on a screen
PALE, EXACT = 8, 1
DARKEST = 0.3  # pixels darker than this share of the brightest paper are ink and not shadow
GRAINY = 9.0  # a picture is smoothed if neighbouring paper pixels differ by this many levels of 255 or more
# The least level of the squares of a transparency pattern, and the least number of squares along the border
LIGHT, CHECKS = 90, 12
APART = 12  # the least difference in levels between the squares and what is drawn on them
AROUND = 3  # pixels of the reduced picture by which the colour of a margin or a hole seems to be larger than it is


@dataclass(frozen=True)
class Ink:
    """The ink that was found, and what was detected on the way."""

    pixels: Bool[np.ndarray, "y x"]
    thin: Bool[np.ndarray, "y x"]  # the skeleton of the ink; it is needed anyway for the width of the pen
    rest: Bool[np.ndarray, "y x"]  # what is visible but not part of a line: the inside of filled areas, and dust
    inverted: bool = False  # whether the ink is light on dark paper
    sheet: bool = False  # whether the paper is only a part of the picture
    ruled: int = 0  # the number of ruled lines that were removed
    specks: int = 0  # the number of specks of dust that were removed
    pen: float = 0.0  # the width of the pen in pixels
    contrast: int = 0  # the difference between the darkest and the lightest level, in the channel where it is largest


def find(colours: UInt8[np.ndarray, "y x c"]) -> Ink:
    """Find the ink in colours (or in grey levels, c = 1). A picture without contrast has no ink."""
    levels = _without_checks(np.ascontiguousarray(np.moveaxis(colours, 2, 0)))
    if (levels == levels[:1]).all():
        levels = levels[:1]
    extremes = max(int(channel.max()) - int(channel.min()) for channel in levels)
    if PALE <= extremes < CONTRAST and (deeper := _deepened(levels)) is not None:
        return replace(find(np.moveaxis(deeper, 0, 2)), contrast=extremes)
    if extremes < CONTRAST:
        blank = np.zeros(levels.shape[1:], bool)
        return Ink(blank, blank, blank)
    paper = sheet.cut_out(levels)
    if paper is not None:
        found = _on_paper(paper.levels, photographed=True)
        pen = found.pen or (solid.BROAD * max(levels.shape) if paper.even else 0.0)  # if it is blank, the widest pen
        if paper.beside >= 1.5 * pen:  # otherwise it is a line of a drawing that was cut out closely
            pixels, thin, rest = np.zeros((3, *levels.shape[1:]), bool)
            for whole, part in ((pixels, found.pixels), (thin, found.thin), (rest, found.rest)):
                whole[paper.box] = part
            return replace(found, pixels=pixels, thin=thin, rest=rest, sheet=True, contrast=extremes)
    return replace(_on_paper(levels), contrast=extremes)


def _on_paper(levels: UInt8[np.ndarray, "c y x"], photographed: bool = False) -> Ink:
    """The ink in a picture of nothing but paper. Paper that was photographed is light, but not exactly even."""
    small = reduced(levels, SMALL)
    inverted = not photographed and _is_inverted(small.mean(axis=0).round().astype(np.uint8))
    if inverted:
        levels, small = 255 - levels, 255 - small
    flat = None if photographed else background.even(levels)
    contrast = _contrast(levels, small) if flat is None else _from_paper(levels, flat)
    before = _threshold(contrast)
    pixels = clutter.without_surroundings(clutter.without_frame(before))
    pixels, ruled = clutter.without_rules(pixels, contrast)
    drawn, margins = clutter.without_margin(pixels, contrast)
    if ruled or margins or flat is None:  # on a plain page of a screen, discs in a row are drawn
        drawn = clutter.without_holes(drawn, least=2 if ruled or margins else 3)
    colour = background.at_border(small) if flat is None else flat
    areas = background.coloured_areas(small, colour, pixels.shape) if flat is None else _opened(contrast > CONTRAST)
    # No coloured area is left where something was removed
    for gone, reach in ((before & ~pixels, 3), (pixels & ~drawn, 1 + AROUND * max(pixels.shape) // SMALL)):
        if gone.any():
            areas = areas & ~ndimage.binary_dilation(gone, iterations=reach)
    pixels = drawn
    pixels, filled = solid.outlined(pixels, areas, levels, colour)
    before = pixels
    pixels, thin, specks, pen = clutter.without_dust(pixels)
    return Ink(pixels, thin, filled | (before & ~pixels), inverted, ruled=ruled + margins, specks=specks, pen=pen)


def _deepened(levels: UInt8[np.ndarray, "c y x"]) -> UInt8[np.ndarray, "c y x"] | None:
    """A picture with the contrast of a pen, in which faint lines are on paper of exactly one colour. None for other
    paper, whose grain would become ink.
    """
    border = np.concatenate([levels[:, 0], levels[:, -1], levels[:, :, 0], levels[:, :, -1]], axis=1)
    paper = np.median(border, axis=1).astype(np.int16)
    away = levels - paper[:, None, None]
    if (np.abs(border - paper[:, None]) > EXACT).any() or (np.abs(away) <= EXACT).all(axis=0).mean() < 0.5:
        return None
    times = 200 // max(1, int(np.abs(away).max()))
    towards = 255 if -away.min() >= away.max() else 0  # dark lines need room below the paper, and light ones above it
    return np.clip(towards + times * away, 0, 255).astype(np.uint8)


def _without_checks(levels: UInt8[np.ndarray, "c y x"]) -> UInt8[np.ndarray, "c y x"]:
    """Replace the chequered pattern with which programs show transparency by paper."""
    grey = (levels.sum(axis=0, dtype=np.uint16) // len(levels)).astype(np.uint8)
    counts = ndimage.uniform_filter1d(np.bincount(grey.ravel(), minlength=256).astype(float), 5, mode="constant") * 5
    one = int(counts.argmax())
    other = int(np.where(np.abs(np.arange(256) - one) > 8, counts, 0).argmax())
    low, high = sorted((one, other))
    if low < LIGHT or counts[[one, other]].min() < 0.25 * grey.size or counts[[one, other]].sum() < 0.7 * grey.size:
        return levels
    border = np.concatenate([grey[0], grey[:, -1], grey[-1, ::-1], grey[::-1, 0]]) > (low + high) / 2
    if np.count_nonzero(np.diff(border)) < CHECKS or not 0.3 < border.mean() < 0.7:
        return levels
    dark, light = grey < low - APART, grey > high + APART
    if light.sum() > dark.sum():
        return np.where(light, levels, np.uint8(0))
    return np.where(dark, levels, np.uint8(255))


def _is_inverted(grey: UInt8[np.ndarray, "y x"]) -> bool:
    """Whether the ink is lighter than the paper.

    Lines form the long tail of the differences from the surroundings. If there is no such tail, as in a silhouette, the
    rarer of the two levels is ink.
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
    """The level of the paper. It is the level of most pixels, if they share one. Otherwise it is the local median,
    which follows shadows.
    """
    from skimage.filters import rank

    counts = np.bincount(grey.ravel())
    if counts.max() > grey.size / 2:
        return np.float32(counts.argmax())
    few = grey[::2, ::2]
    near = max(3, max(few.shape) // 5) // 2
    window = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    median = rank.median(np.pad(few, near, mode="edge"), window)[near:-near, near:-near]
    return resized(median, grey.shape).astype(np.float32)


def _contrast(levels: UInt8[np.ndarray, "c y x"], small: UInt8[np.ndarray, "c v u"]) -> Float[np.ndarray, "y x"]:
    """How much darker each pixel is than the paper, in the channel where the difference is largest.

    The result is in 0..255 of the light of the paper. Strongly grainy paper is smoothed first; then the channel (or the
    mean of all) in which lines stand out most from the grain is used.
    """
    window = max(15, max(levels.shape) * sheet.WINDOW) * max(small.shape) / max(levels.shape)
    papers = []
    for few in small:
        # Otherwise the grain would raise the estimate
        paper = ndimage.gaussian_filter(few.astype(np.float32), 1.0, mode="nearest")
        # A closing removes dark lines and keeps the edges of shadows. Then an opening, twice as wide: ink may be
        # brighter than the paper in one channel and darker in another.
        reach = int(window)
        paper = morphology.closed_over(_beyond(paper, reach), reach)[reach:-reach, reach:-reach]
        paper = -morphology.closed_over(-paper, int(2 * window))
        paper = ndimage.gaussian_filter(paper, 1.0, mode="nearest")
        paper = np.maximum(paper, max(1.0, DARKEST * float(paper.max())))
        papers.append(resized(paper, levels.shape[1:], Image.Resampling.BILINEAR))
    light = np.ones(levels.shape[1:], np.float32)
    for channel, paper in zip(levels, papers, strict=True):
        np.minimum(light, channel / paper, out=light)
    contrast = 255 * (1 - light)
    if not _is_grainy(contrast):
        return contrast
    return _smoothed(255 * (1 - levels / np.stack(papers)))


def _beyond(paper: Float[np.ndarray, "v u"], reach: int) -> Float[np.ndarray, "y x"]:
    """The picture with a border of `reach` pixels in which it goes on: a shadow gets darker, and nothing gets lighter.

    Otherwise a closing would take the dark end of a shadow for ink.
    """
    on = np.pad(paper, reach, mode="reflect", reflect_type="odd")
    return np.minimum(on, np.pad(paper, reach, mode="edge"))


def _is_grainy(contrast: Float[np.ndarray, "y x"]) -> bool:
    """Whether `_grain` is at least GRAINY. This counts pixels, which is faster than the median in `_grain`."""
    changes = np.abs(np.diff(contrast, axis=1))
    few = int(np.count_nonzero(changes * (1.4826 / 2**0.5) < GRAINY))
    return few <= changes.size // 2 if abs(few - changes.size / 2) > 1 else _grain(contrast) >= GRAINY


def _grain(contrast: Float[np.ndarray, "y x"]) -> float:
    """The standard deviation of neighbouring pixels in most of the page.

    It ignores the edges of shadows and fills. It is 0 for a single column.
    """
    if contrast.shape[1] < 2:
        return 0.0
    return float(np.median(np.abs(np.diff(contrast, axis=1)))) * 1.4826 / 2**0.5


def _smoothed(contrast: Float[np.ndarray, "c y x"]) -> Float[np.ndarray, "y x"]:
    """Of all channels and their mean, smoothed according to the strength of the grain, the one in which lines stand out
    most.
    """
    best, most = contrast[0], 0.0
    for one in [contrast.mean(axis=0), *contrast] if len(contrast) > 1 else contrast:
        smooth = ndimage.gaussian_filter(one, min(2.0, _grain(one) / GRAINY))
        low, middle, high = np.percentile(smooth, [25, 50, 99.5])
        clear = float((high - middle) / max(middle - low, 1e-3))
        if clear > most:
            best, most = smooth, clear
    return np.maximum(best, 0)


def _from_paper(levels: UInt8[np.ndarray, "c y x"], paper: UInt8[np.ndarray, " c"]) -> Float[np.ndarray, "y x"]:
    """The contrast as in `_contrast`, but for paper of one colour. Pixels that are lighter than the paper count as
    well.
    """
    light = np.zeros(levels.shape[1:], np.float32)
    for channel, level in zip(levels, paper.astype(np.float32), strict=True):
        away = level - channel
        np.maximum(light, np.where(away > 0, away / max(level, 1), -away / 255), out=light)
    return 255 * light


def _opened(area: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The area without structures narrower than three pixels. Nothing beyond the picture belongs to the area."""
    return morphology.highest(morphology.lowest(np.pad(area, 1), 3), 3)[1:-1, 1:-1]


def _threshold(contrast: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The pixels above Otsu's threshold, which is at least above the grain; and slightly weaker pixels that are
    connected to them.
    """
    from skimage.filters import threshold_otsu

    if contrast.max() < CONTRAST:
        return np.zeros(contrast.shape, bool)
    counts = np.bincount((FINE * contrast).astype(np.intp).ravel())
    below = np.concatenate([[0], np.cumsum(counts)])
    middle = int(np.searchsorted(below, contrast.size / 2)) - 1  # the median, and then the median distance from it
    reach = np.arange(len(counts))
    within = below[np.minimum(middle + reach + 1, len(counts))] - below[np.maximum(middle - reach, 0)]
    grain = (middle + 5 * 1.4826 * int(np.searchsorted(within, contrast.size / 2))) / FINE
    otsu = float(threshold_otsu(hist=(counts, (reach + 0.5) / FINE)))
    strong = max(otsu, grain, CONTRAST / 2)
    return clutter.hanging(contrast > max(0.8 * strong, grain, CONTRAST / 2), contrast > strong)
