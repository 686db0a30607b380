"""What is dark but no drawing: a frame, strips of what the paper lies on, the lines of ruled paper, dust."""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

from visketch.geometry.sketch import skeleton

DRAWN = 0.25  # of a frame's longer side is as wide or as high as a drawing within it, at least: less is a speck
AROUND = 0.95  # of the picture is within its frame, at least
STRAIGHT = 0.9  # of each side of its box is a frame: no hand draws so
NARROW = 0.2  # of the picture: wider is no strip of what the paper lies on
SOLID = 0.45  # of its box is filled by a strip, even a wedge: a drawing's outline fills less
RULED = 3  # lines right across the page, at least, are the paper's and not the drawing's
FAINT = 0.85  # if they have at most so much of its contrast
PROBES = 1000  # places along the lines where the pen is measured


def without_frame(pixels: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Without a straight frame along all four sides of the picture, if there is a drawing within it."""
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
        frame[2 * int(np.median(frame.sum(axis=0))) + 1 :] = False  # deeper goes what is drawn to its edge
        np.rot90(within, turn)[frame] = False
    extent = max(int(np.ptp(some)) if len(some) else 0 for some in np.nonzero(within))
    return left if extent >= DRAWN * max(box.shape) else pixels


def without_surroundings(pixels: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
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


def without_rules(
    pixels: Bool[np.ndarray, "y x"], contrast: Float[np.ndarray, "y x"]
) -> tuple[Bool[np.ndarray, "y x"], int]:
    """Without the lines of ruled or squared paper, and how many they were; what crosses them stays."""
    found = []
    for axis in (0, 1):
        along, side = 1 - axis, pixels.shape[1 - axis]
        if not _may_be_ruled(pixels, axis):
            continue
        long = max(8, side // 8)
        lines = extreme(np.maximum, pixels, 5, axis)
        for pick in (np.minimum, np.maximum):  # what of it runs on for so long
            lines = extreme(pick, lines, long, along)
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
    dark = ruled & (contrast > 1.4 * faint)
    # Where lines of the paper cross they are darker too: a dot, on which no ink hangs and which does not run on.
    sure = pixels & ~ruled
    for axis in (0, 1):
        sure = sure | extreme(np.minimum, dark, max(5, dark.shape[axis] // 32), axis)
    return hanging((pixels & ~ruled) | dark, sure), sum(number for _, number in found)


def _may_be_ruled(pixels: Bool[np.ndarray, "y x"], axis: int) -> bool:
    """Whether enough of the page is crossed often enough, if each line leaves out a fifth of it at most."""
    down = np.pad(pixels, 1).swapaxes(0, axis)
    crossed = (down[1:] & ~down[:-1]).sum(axis=0, dtype=np.uint16)[1:-1]
    return bool((crossed >= RULED).mean() >= 1 - 0.2 * RULED)


def without_dust(
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
    beside = (extreme(np.maximum, ink, 3, 0) | extreme(np.maximum, ink, 3, 1)) & ~ink
    distance, _ = KDTree(_places(beside)).query(middle[:: 1 + len(middle) // PROBES])
    return 2 * float(np.median(distance)) - 1


def _places(pixels: Bool[np.ndarray, "y x"]) -> Int[np.ndarray, "n 2"]:
    """np.argwhere, in a fifth of its time."""
    return np.stack(np.divmod(np.flatnonzero(pixels), pixels.shape[1]), axis=1)


def hanging(pixels: Bool[np.ndarray, "y x"], strong: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The parts of the ink that have a strong pixel; all of these are ink."""
    parts, count = ndimage.label(pixels)
    kept = np.zeros(count + 1, bool)
    kept[parts[strong]] = True
    return kept.take(parts)


def extreme(pick: np.ufunc, levels: Shaped[np.ndarray, "y x"], size: int, axis: int) -> Shaped[np.ndarray, "y x"]:
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
