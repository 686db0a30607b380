"""Remove dark pixels that are not part of the drawing: a frame, the surface around the paper, ruled lines, the
margin, punched holes, the dots of dotted paper, dust.
"""

from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from visketch.data.morphology import extreme
from visketch.geometry.sketch import skeleton

DRAWN = 0.25  # the least extent of a drawing in a frame, as a share of the frame's longer side; less is a speck
AROUND = 0.95  # the least share of the picture within a frame
STRAIGHT = 0.9  # the least share of each side of the box that a frame covers; nobody draws lines that straight
NARROW = 0.2  # the greatest width of a strip of the surface around the paper, as a share of the picture
SOLID = 0.45  # the least share of its box that a strip fills, even a wedge; the outline of a drawing fills less
RULED = 3  # this many lines across the whole page, or more, belong to the paper ...
FAINT = 0.85  # ... provided that their contrast is at most this share of the drawing's
WEAK = 0.5  # finer lines of the paper have at least this share of the contrast of the others
DARKER = 1.4  # ink with so many times the contrast of a line of the paper is drawn over it
BESIDE = 0.3  # a margin is at most this share of the page away from an edge ...
FINER = 0.7  # ... and has at most this share of the width, times the contrast, of the pen
GAP = 9  # pixels of a margin that are missing where it crosses a ruled line
PUNCHED = (0.012, 0.06)  # the least and the greatest size of a punched hole, as a share of the page ...
EDGE = 0.12  # ... the greatest distance of its middle from an edge of the page ...
APART = 0.2  # ... and the least distance between two of them
DOTS = 40  # this many dots, or more, of the same size and evenly apart all over the page belong to the paper
PROBES = 1000  # points along the lines at which the pen is measured


def without_frame(pixels: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Remove a straight frame along all four sides of the picture, if there is a drawing within it."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return pixels
    left = pixels.copy()
    box, within = (some[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for some in (pixels, left))
    sides = (box[0], box[-1], box[:, 0], box[:, -1])
    if min(np.divide(box.shape, pixels.shape)) < AROUND or min(side.mean() for side in sides) < STRAIGHT:
        return pixels
    for turn in range(4):
        frame = np.logical_and.accumulate(np.rot90(box, turn), axis=0)
        frame[2 * int(np.median(frame.sum(axis=0))) + 1 :] = False  # deeper ink is part of a drawing at the frame
        np.rot90(within, turn)[frame] = False
    extent = max(int(np.ptp(some)) if len(some) else 0 for some in np.nonzero(within))
    return left if extent >= DRAWN * max(box.shape) else pixels


def without_surroundings(pixels: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Remove strips of the surface around the paper.

    A strip is solid, runs along most of one side of the picture, and is wider than two pens.
    """
    if max(side.mean() for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) <= 0.5:
        return pixels  # the usual case: nothing touches the border
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
    depth = ndimage.distance_transform_edt(pixels)  # a strip continues beyond the border of the picture
    thin = [number for number in strips if depth[parts == number].max() < 2 * pen]
    return left | np.isin(parts, thin)


def without_rules(
    pixels: Bool[np.ndarray, "y x"], contrast: Float[np.ndarray, "y x"]
) -> tuple[Bool[np.ndarray, "y x"], int]:
    """Remove the lines of ruled or squared paper. Returns the other ink, and the number of lines that were removed.

    Graph paper may have lines of several strengths. Ink that crosses a line or lies beside it is kept. `contrast` says
    how much darker each pixel is than the paper.
    """
    lines = _rules(pixels)
    if not lines:
        return pixels, 0
    # Of finer lines among them, only parts may be ink
    weak = contrast > WEAK * float(np.median(contrast[pixels & np.logical_or.reduce(lines)]))
    lines = [line for line in (pixels & line for line in _rules(weak) or lines) if line.any()]
    ruled = np.logical_or.reduce(lines)
    usual, drawn = float(np.median(contrast[ruled])), pixels & ~ruled
    for axis in (0, 1):
        for line in _across(_runs(drawn, axis), axis):
            drawn = drawn & ~line  # a margin is no drawing either
    most = FAINT * _level(contrast[drawn]) if drawn.any() else DARKER * usual
    if usual > most:
        return pixels, 0
    faint = np.zeros_like(contrast)
    for line in lines:
        level = float(np.median(contrast[pixels & line]))
        faint[line] = np.maximum(faint[line], level if level <= most else usual)  # most of the line is drawn over
    dark = ruled & (contrast > DARKER * faint)
    # Lines of the paper are darker where they cross. Such a crossing is a dot that no other ink touches and that does
    # not continue. What is left of other lines is no darker than those that were found.
    sure = pixels & ~ruled & (contrast > faint.max())
    for axis in (0, 1):
        sure = sure | extreme(np.minimum, dark, max(5, dark.shape[axis] // 32), axis)
    return hanging((pixels & ~ruled) | dark, sure), len(lines)


def without_margin(
    pixels: Bool[np.ndarray, "y x"], contrast: Float[np.ndarray, "y x"]
) -> tuple[Bool[np.ndarray, "y x"], int]:
    """Remove the margin of a page: one or two lines near an edge, straight across the whole page, that are both paler
    and finer than the drawing. Returns the other ink, and the number of lines that were removed.

    `contrast` says how much darker each pixel is than the paper. What crosses the margin is kept: darker ink, and ink
    that goes on at both sides.
    """
    number = 0
    for axis in (0, 1):
        # The usual case: no line runs along most of a side, where ink would be in nearly every row (or column)
        sides = np.array_split(pixels, [round(BESIDE * pixels.shape[axis]), -round(BESIDE * pixels.shape[axis])], axis)
        if max(side.any(axis=axis).mean() for side in sides[::2]) < 0.8:
            continue
        joined = pixels
        for pick in (np.maximum, np.minimum):  # ruled lines have left gaps where they crossed the margin
            joined = extreme(pick, joined, GAP, 1 - axis)
        for line in _across(_runs(joined, axis), axis):
            margin, others = pixels & line, pixels & ~line
            length = pixels.shape[1 - axis]
            place = float(np.flatnonzero(line.any(axis=1 - axis)).mean()) / pixels.shape[axis]
            if min(place, 1 - place) > BESIDE or not others.any():
                continue
            # The width of a line times its contrast: the edges of a fine pen are pale, so its width alone is not known
            thin = skeleton(others)
            strong = float(contrast[margin].sum()) / length, float(contrast[others].sum()) / thin.sum()
            faint = _level(contrast[margin])
            if margin.sum() > max(2, FINER * _pen(others, thin)) * length:
                continue
            if faint > FAINT * _level(contrast[others]) or strong[0] > FINER * strong[1]:
                continue
            left = pixels & ~(margin & (contrast <= DARKER * faint))
            wide = 2 * round(margin.sum() / length) + 5
            closed = extreme(np.minimum, extreme(np.maximum, left, wide, axis), wide, axis)
            pixels, number = left | (margin & closed), number + 1
    return pixels, number


def _level(contrast: Float[np.ndarray, " n"]) -> float:
    """The contrast of fine lines, given that of their pixels. Half of these may be paler, at the edges of the lines."""
    return float(np.percentile(contrast, 75))


def _rules(pixels: Bool[np.ndarray, "y x"]) -> list[Bool[np.ndarray, "y x"]]:
    """The band of each line across the whole page, in those directions in which there are enough of them."""
    found = []
    for axis in (0, 1):
        lines = _runs(pixels, axis) if _may_be_ruled(pixels, axis) else None
        if lines is not None and _may_be_ruled(lines, axis):
            across = _across(lines, axis)
            found += across if len(across) >= RULED else []
    return found


def _runs(pixels: Bool[np.ndarray, "y x"], axis: int) -> Bool[np.ndarray, "y x"]:
    """The runs of ink, across that axis, that are at least an eighth of the page long. They may be slightly tilted, and
    have gaps of two pixels.
    """
    long = max(8, pixels.shape[1 - axis] // 8)
    lines = extreme(np.maximum, pixels, 5, axis)
    for pick, size in ((np.maximum, 3), (np.minimum, 3 + long), (np.maximum, long)):
        lines = extreme(pick, lines, size, 1 - axis)
    return lines


def _across(lines: Bool[np.ndarray, "y x"], axis: int) -> list[Bool[np.ndarray, "y x"]]:
    """Those of the lines that cross the whole page, each as a mask."""
    parts, _ = ndimage.label(lines)
    return [
        parts == number
        for number, box in enumerate(ndimage.find_objects(parts), 1)
        if box[1 - axis].stop - box[1 - axis].start > 0.8 * lines.shape[1 - axis]
        and box[axis].stop - box[axis].start < 0.1 * lines.shape[axis]
    ]


def without_holes(pixels: Bool[np.ndarray, "y x"], least: int) -> Bool[np.ndarray, "y x"]:
    """Remove punched holes: discs of the same size, far apart in a row along an edge of the page, with hardly any other
    ink between them and the edge. Fewer than `least` are not removed.
    """
    parts, count = ndimage.label(pixels)
    if count <= least:
        return pixels
    page = max(pixels.shape)
    boxes = np.array([[(side.start, side.stop) for side in box] for box in ndimage.find_objects(parts)])
    sizes, middle = boxes[..., 1] - boxes[..., 0], boxes.mean(axis=2)
    size, area = sizes.max(axis=1), np.bincount(parts.ravel())[1:]
    low, high = (share * page for share in PUNCHED)
    disc = (low < size) & (size < high) & (sizes.min(axis=1) > 0.75 * size) & (area > 0.7 * sizes.prod(axis=1))
    for axis, end in product((0, 1), (False, True)):
        away = np.abs(middle[:, axis] - end * pixels.shape[axis])
        row = np.flatnonzero(disc & (away < EDGE * page))
        for measure in (size, away):
            if len(row):
                row = row[np.abs(measure[row] - np.median(measure[row])) < 0.3 * np.median(size[row])]
        if len(row) < least or np.diff(np.sort(middle[row, 1 - axis])).min() < APART * page:
            continue
        holes = np.isin(parts, row + 1)
        beyond = np.flip(pixels & ~holes, axis) if end else pixels & ~holes
        if beyond.take(range(int(away[row].min())), axis).sum() < area[row].sum():
            return pixels & ~holes
    return pixels


def _may_be_ruled(pixels: Bool[np.ndarray, "y x"], axis: int) -> bool:
    """Whether enough of the page is crossed by ink often enough for ruled lines, allowing for gaps of a fifth in each
    line.
    """
    down = np.pad(pixels, 1).swapaxes(0, axis)
    crossed = (down[1:] & ~down[:-1]).sum(axis=0, dtype=np.uint16)[1:-1]
    return bool((crossed >= RULED).mean() >= 1 - 0.2 * RULED)


def without_dust(
    pixels: Bool[np.ndarray, "y x"],
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"], int, float]:
    """Remove specks much smaller than the pen, dots that lie outside everything larger, and the dots of dotted paper.

    Returns the ink, its skeleton, the number of removed specks, and the width of the pen in pixels.
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
    dust[~large] |= _printed((corners[~large, :2] + corners[~large, 2:]) / 2, extent[~large], pixels.shape)
    if dust.any():
        kept = np.append(False, ~dust).take(parts)
        pixels, thin = pixels & kept, thin & kept
    return pixels, thin, int(dust.sum()), pen


def _printed(
    middle: Float[np.ndarray, "n 2"], extent: Int[np.ndarray, " n"], page: tuple[int, ...]
) -> Bool[np.ndarray, " n"]:
    """Which of the small parts of a page are the dots of dotted paper, given their middles and their sizes."""
    from scipy.spatial import KDTree

    printed = np.zeros(len(extent), bool)
    if len(extent) < DOTS:
        return printed
    size = np.median(extent)
    alike = np.flatnonzero(np.abs(extent - size) <= max(1.0, 0.35 * size))
    if len(alike) < DOTS or (np.ptp(middle[alike], axis=0) < 0.7 * np.array(page)).any():
        return printed
    apart = KDTree(middle[alike]).query(middle[alike], 2)[0][:, 1]
    even = np.abs(apart / np.median(apart) - 1) < 0.25  # of dots at random places, four in ten
    if even.mean() > 0.8 and size < 0.6 * np.median(apart):
        printed[alike[even]] = True
    return printed


def _pen(pixels: Bool[np.ndarray, "y x"], thin: Bool[np.ndarray, "y x"]) -> float:
    """The width of the pen in pixels, from the distance between the skeleton and the nearest pixel without ink."""
    from scipy.spatial import KDTree

    middle = _places(thin) + 1
    if not len(middle):
        return 0.0
    ink = np.pad(pixels, 1)
    beside = (extreme(np.maximum, ink, 3, 0) | extreme(np.maximum, ink, 3, 1)) & ~ink
    distance, _ = KDTree(_places(beside)).query(middle[:: 1 + len(middle) // PROBES])
    return 2 * float(np.median(distance)) - 1


def _places(pixels: Bool[np.ndarray, "y x"]) -> Int[np.ndarray, "n 2"]:
    """The same as np.argwhere, but five times as fast."""
    return np.stack(np.divmod(np.flatnonzero(pixels), pixels.shape[1]), axis=1)


def hanging(pixels: Bool[np.ndarray, "y x"], strong: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The connected parts of the ink that contain a strong pixel. Every strong pixel must be ink."""
    parts, count = ndimage.label(pixels)
    kept = np.zeros(count + 1, bool)
    kept[parts[strong]] = True
    return kept.take(parts)
