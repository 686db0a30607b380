"""Turn filled areas into lines.

If an area has a dark outline, the outline is kept, whatever the fill is. Otherwise the edge of the area becomes the
line.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from scipy import ndimage

from visketch.data import morphology
from visketch.data.morphology import closed_over, near
from visketch.geometry.sketch import skeleton

# The pen is measured in a reduced copy of the picture. This is its longer side in pixels.
SMALL = 400
# Ink that is wider than the narrow lines by more than this factor is not a line.
WIDE = 2.5
# A pen is at most this wide, as a share of the drawing's extent.
BROAD = 1 / 12
# In a tiny picture, a place where lines meet may be up to this many pixels wide.
LEAST = 6.0
# If a drawing was made with one pen, most of its lines differ in width by a factor of less than EVEN, and a place where
# lines meet is less than JOINED times as wide as a line.
EVEN, JOINED = 1.5, 2.2
# A thick pen closes the gaps between its own lines, so its drawing can look like a filled area. It is a drawing if at
# least the share USUAL of the length of its lines has the same width, within a factor of ALIKE_WIDTH, and if no blob is
# wider than BLOB times that width.
USUAL, ALIKE_WIDTH, BLOB = 0.4, 1.25, 2.7
# It is a fine pen's, and no crayon's, if at least this share has the same width.
NEARLY_ALL = 0.8
# The windows with which outlines are searched, from narrow to wide, in pixels of the reduced picture.
WINDOWS = (5, 7, 9, 13, 17, 23, 31, 43, 59, 83)
# A window is wide enough for the outline if it finds at least this share of the depth that wider windows find.
PLATEAU = 0.85
# A drawing has an outline if a line runs along at least this share of the edge between its areas and the paper.
LINED = 0.6
# A crayon leaves light gaps of up to this many pixels of the reduced picture.
CRAYON = 7
# A crayon's texture: at least this share of the painted pixels is lighter than the pixels around them.
ROUGH = 0.15
# A pen's texture: at most this share of them is.
SMOOTH = 0.05
# Gaps in an area that was painted with a crayon are closed up to 1 / FINE of the drawing's extent.
FINE = 200
# If closing the gaps enlarges the drawing by less than this factor, it was not drawn with a crayon.
GAPS = 1.08
# A line is darker than the pixels beside it by at least this many levels of 255.
FAINT = 24.0
# A black or nearly black line is darker than the pixels beside it by at least this many levels.
DEEP = 60.0
# Two colours that differ by fewer levels than this count as the same.
ALIKE = 40.0
# If more than this share of the edge of an area has no outline, the edge itself is drawn.
OPEN = 0.3


def outlined(
    pixels: Bool[np.ndarray, "y x"],
    areas: Bool[np.ndarray, "y x"],
    levels: UInt8[np.ndarray, "c y x"],
    paper: Shaped[np.ndarray, " c"],
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Replace filled areas by their outlines. Returns the ink, and a mask of the pixels that were filled.

    `pixels` is the ink found so far. `areas` is everything that differs from the paper in any channel. `levels` is the
    picture, with 0 for black and 255 for white. `paper` is the level of the paper in each channel.
    """
    nothing = np.zeros_like(pixels)
    painted = pixels | areas
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    if not len(rows):
        return pixels, nothing
    extent = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    step = max(1, round(max(pixels.shape) / SMALL))
    few = painted[::step, ::step]
    if not few.any():
        return pixels, nothing
    gap = round(extent / step / FINE)
    closed = _closed_square(few, gap)  # gaps are closed, because a crayon leaves some
    widths, widest = _widths(few, step)
    if closed.sum() < GAPS * few.sum() and _is_one_pen(widths, widest, step, extent):  # this is nearly always so
        return pixels, nothing
    if _is_one_pen(*_widths(closed, step), step, extent):
        return pixels, nothing
    if _is_one_pen(widths, widest, step, extent) and _usual(_widths(painted, 1)[0])[1] >= NEARLY_ALL:
        return pixels, nothing  # the lines of a fine pen are close together; those of a crayon's texture differ more
    light = _light(levels, paper)
    value = light.max(axis=0)[::step, ::step]
    rough = float((value - _without_gaps(value, CRAYON) > 0.6 * FAINT)[closed].mean())
    if rough <= SMOOTH and _is_thick_pen(widths, widest, extent):
        return pixels, nothing
    if rough > ROUGH:
        light = np.stack([_without_gaps(one, CRAYON * step) for one in light])
    # First the brightest channel alone: a coloured crayon is bright there despite its texture, and a black line is
    # dark. If there is no black line, all channels together show a coloured one.
    for colours, depth in ((light.max(axis=0, keepdims=True), DEEP), (light, FAINT)):
        found = _window(closed, np.stack([_darkest(one, step) for one in colours]), extent / step, depth)
        if found is not None:
            return _lines(pixels, painted, light, colours, (found[0] + 1) * step, found[1], extent)
    return _edges(morphology.closed(painted, extent / 80), light, extent), painted


def _light(levels: UInt8[np.ndarray, "c y x"], paper: Shaped[np.ndarray, " c"]) -> UInt8[np.ndarray, "c y x"]:
    """The light of each channel relative to the paper: 255 where it is as bright as the paper."""
    table = np.arange(256)[None] * (255 / np.maximum(paper, 1))[:, None]
    return np.stack([one[channel] for one, channel in zip(table.clip(0, 255).astype(np.uint8), levels, strict=True)])


def _widths(painted: Bool[np.ndarray, "y x"], step: int) -> tuple[Float[np.ndarray, " n"], float]:
    """The line widths along the skeleton, sorted, and the greatest width anywhere. Both are in pixels of the full
    picture. `painted` is reduced by the factor `step` and is not empty.
    """
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    box = painted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    widths = 2 * step * ndimage.distance_transform_edt(np.pad(box, 1))[1:-1, 1:-1]
    return np.sort(widths[skeleton(box)]), float(widths.max())


def _is_one_pen(widths: Float[np.ndarray, " n"], widest: float, step: int, extent: int) -> bool:
    """Whether all lines could be from one pen or brush: they have the same width, except where they meet.

    `extent` is the longer side of the drawing, in pixels of the full picture.
    """
    thin, middle, thick = np.percentile(widths, [20, 50, 80]).tolist()
    unit = 2 * step  # the precision of small widths: a pen of 4 pixels often measures 6
    even = thick < EVEN * thin + unit and widest < JOINED * middle + unit and middle < 2 * BROAD * extent
    return even or widest <= min(max(WIDE * thin, 4 * step), max(BROAD * extent, LEAST))


def _is_thick_pen(widths: Float[np.ndarray, " n"], widest: float, extent: int) -> bool:
    """Whether everything was drawn with one thick pen, which closed some gaps between its own lines."""
    width, share = _usual(widths)
    return share >= USUAL and width <= BROAD * extent and widest <= BLOB * width


def _usual(widths: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The most common of the sorted widths, and the share of widths within a factor of ALIKE_WIDTH of it."""
    ends = np.searchsorted(widths, widths * ALIKE_WIDTH, "right") - np.searchsorted(widths, widths / ALIKE_WIDTH)
    most = int(ends.argmax())
    return float(widths[most]), float(ends[most]) / len(widths)


def _closed_square(area: Bool[np.ndarray, "y x"], gap: int) -> Bool[np.ndarray, "y x"]:
    """The area with its gaps closed, if they are at most twice `gap` pixels wide."""
    if not gap:
        return area
    return closed_over(np.pad(area, gap), 2 * gap + 1)[gap:-gap, gap:-gap]


def _darkest(levels: Shaped[np.ndarray, "y x"], step: int) -> Shaped[np.ndarray, "v u"]:
    """The lowest level in each square of `step` x `step` pixels."""
    high, wide = (-(-side // step) * step for side in levels.shape)
    padded = np.pad(levels, ((0, high - levels.shape[0]), (0, wide - levels.shape[1])), mode="edge")
    return padded.reshape(high // step, step, wide // step, step).min(axis=(1, 3))


def _without_gaps(levels: UInt8[np.ndarray, "y x"], window: int) -> UInt8[np.ndarray, "y x"]:
    """Darken everything that is lighter than its surroundings and narrower than the window."""
    return 255 - closed_over(255 - levels, window)


def _depth(light: UInt8[np.ndarray, "c y x"], window: int) -> UInt8[np.ndarray, "y x"]:
    """How much darker each pixel is than both sides of it, in the channel where the difference is largest."""
    return np.max(
        [closed_over(one, window) - one for one in light], axis=0
    )  # never negative: closing only raises levels


def _window(
    painted: Bool[np.ndarray, "y x"], light: UInt8[np.ndarray, "c y x"], extent: float, depth: float
) -> tuple[int, float] | None:
    """Find the window for the outline between the areas and the paper. Returns its side in pixels and the least depth
    of the outline, or None if most of the edge has no line of this depth.

    It is the narrowest window in which the lines are about as deep as in wider ones. The texture of a fill is less deep
    than its outline, so it does not count as a line.
    """
    edge = painted & ~morphology.eroded(painted, beyond=True)
    if not edge.any():
        return None
    found = []
    for window in WINDOWS:
        if window > max(1.7 * BROAD * extent, WINDOWS[3]):
            break
        near = morphology.highest(_depth(light, window), window)[edge]
        least = max(FAINT, 0.5 * float(np.percentile(near, 25)))
        found.append((window, least, float(near.mean()), float((near >= least).mean()), np.percentile(near, 40)))
    for place, (window, least, mean, lined, most) in enumerate(found[:-2]):
        deeper = max(other[2] for other in found[place + 1 : place + 3])
        if mean >= PLATEAU * deeper and lined >= LINED and most >= depth:
            return window, least
    return None


def _lines(
    pixels: Bool[np.ndarray, "y x"],
    painted: Bool[np.ndarray, "y x"],
    light: UInt8[np.ndarray, "c y x"],
    colours: UInt8[np.ndarray, "d y x"],
    window: int,
    least: float,
    extent: int,
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Find the dark lines and drop the fills between them. Returns the ink, and a mask of the dropped areas.

    A line has a depth of at least `least` within `window` pixels, in one of `colours`. Ink outside the fills is kept.
    """
    deep, pen = _depth(colours, window), 0.7 * window
    lines = (deep >= least) & (deep >= 0.25 * morphology.highest(deep, 2 * int(pen) + 1))
    radius = max(1.5, 0.4 * pen)
    painted = painted | morphology.closed(painted & ~lines, max(2.0, pen, extent / 80))
    fills = morphology.opened(painted & ~lines, radius)
    dark = np.median(light[:, lines], axis=1)[:, None] if lines.any() else np.zeros((len(light), 1))
    parts, grown, count = _parts(fills, np.abs(light - dark[..., None]).max(axis=0), radius)
    fills = parts > 0
    if not count:
        return pixels, fills
    own = np.stack([_medians(channel[fills], parts[fills], count) for channel in light])
    inked = np.abs(own - dark).max(axis=0) < ALIKE  # this is as dark as the lines, so it is part of a line
    # The ends of a round area are narrower than the window, but they have its colour
    within = lines & np.append(False, ~inked)[grown]
    lines[within] = (own[:, grown[within] - 1] - light[:, within]).max(axis=0) >= FAINT
    deepest = parts[~near(~fills, max(WIDE * pen, 1.5 * BROAD * extent) / 2)]
    broad = np.bincount(deepest, minlength=count + 1)[1:] > 0
    edge = painted & ~morphology.eroded(painted, beyond=True)
    far = ~near(lines, 1.5 * pen)
    open_ = np.bincount(grown[edge & far], minlength=count + 1)[1:]
    rim = np.bincount(parts[fills & ~morphology.eroded(fills, beyond=False)], minlength=count + 1)[1:]
    bare = (open_ > OPEN * rim) & (rim > extent / 10)
    drop = np.append(False, ~inked | broad)
    dropped = drop[grown] & painted
    ink = (pixels & ~dropped) | lines
    edged = np.append(False, (bare & ~inked) | (broad & inked))
    if edged.any():
        ink |= _rim(edged[grown] & painted, max(2.0, pen / 2))
    return ink, dropped


def _parts(
    fills: Bool[np.ndarray, "y x"], away: Float[np.ndarray, "y x"], radius: float
) -> tuple[Int[np.ndarray, "y x"], Int[np.ndarray, "y x"], int]:
    """Number the connected parts of the fills from 1 on. Returns the numbers, the same with each part enlarged by what
    `radius` has taken from it, and how many there are.

    Areas that are as dark as the lines, such as the pupils of a yellow face, are parts of their own, unless they blend
    into the fill beside them. `away` says by how many levels each pixel differs from the lines.
    """
    window = 2 * int(radius + 1) + 1
    inked, some = ndimage.label(morphology.opened(fills & (away < ALIKE), radius))
    beside = morphology.highest(inked, window + 4) * (fills & (inked == 0))
    step = np.bincount(beside.ravel(), away.ravel(), some + 1) / np.maximum(
        np.bincount(beside.ravel(), minlength=some + 1), 1
    )
    blends = (step > 0) & (step < 2 * ALIKE)
    blends[0] = True
    inked, some = ndimage.label(~blends[inked])
    others, more = ndimage.label(morphology.opened(fills & (inked == 0), radius))
    others[others > 0] += some
    grown = morphology.highest(inked, window) * (away < ALIKE)
    return np.maximum(inked, others), np.where(grown > 0, grown, morphology.highest(others, window)), some + more


def _medians(levels: UInt8[np.ndarray, " n"], parts: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, " k"]:
    """The median level of each of the parts numbered 1 to `count`. No part is empty."""
    counts = np.bincount(256 * (parts.astype(np.intp) - 1) + levels, minlength=256 * count).reshape(count, 256)
    below = counts.cumsum(axis=1)
    total = below[:, -1:]
    return ((below <= (total - 1) // 2).sum(axis=1) + (below <= total // 2).sum(axis=1)) / 2


def _edges(painted: Bool[np.ndarray, "y x"], light: UInt8[np.ndarray, "c y x"], extent: int) -> Bool[np.ndarray, "y x"]:
    """The ink of a drawing that has no outline: the edges of its areas, and its thin parts.

    Borders between colours within an area are added, unless they cover a fifth of the area or more.
    """
    wide = max(1.5, extent / 150)
    ink = _rim(_without_holes(painted, extent), wide)
    inner = ~near(~painted, 2 * wide + 1)
    size = 2 * int(wide / 2) + 3
    steps = np.max([morphology.highest(one, size) - morphology.lowest(one, size) for one in light], axis=0)
    borders = inner & (steps > 2 * FAINT)
    if borders.sum() < 0.2 * inner.sum():
        ink |= borders
    return ink


def _without_holes(area: Bool[np.ndarray, "y x"], extent: int) -> Bool[np.ndarray, "y x"]:
    """The area with its holes filled, if they are too small to be drawn as holes."""
    holes, _ = ndimage.label(~area)
    size = np.bincount(holes.ravel())
    small = size < (extent / 20) ** 2
    small[0] = False
    return area | small[holes]


def _rim(area: Bool[np.ndarray, "y x"], wide: float) -> Bool[np.ndarray, "y x"]:
    """The part of an area within `wide` pixels of its edge. The border of the picture is not an edge."""
    return area & near(~area, wide)
