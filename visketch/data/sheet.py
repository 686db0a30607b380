"""Cut the sheet of paper out of a photo that also shows the table on which it lies.

The edge of a sheet is a sharp step of the light. Brightness alone does not tell a sheet from a table, since one side of
the sheet can be darker than the other side of the table. So the picture is cut along its sharp steps, and the sheet is
a piece that is brighter than what lies just outside.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

from visketch.data import morphology
from visketch.data.scaling import reduced, resized

SIDE = 320  # pixels of the longer side of the copy in which the sheet is found; a shadow's edge is soft at this size
WINDOW = 1 / 9  # the width of the window as a share of the side; wider than any pen
STEP = 0.11  # the least step at the edge of a sheet, as a share of the brighter side
# The least share of the step within WIDE pixels that must lie within 3 pixels. The edge of a shadow is softer.
WIDE, SHARP = 13, 0.35
BLACK = 20  # levels below this count as this level, because dark noise would have steps everywhere
LEAST = 0.15  # the least share of the picture for a sheet
WHOLE = 0.7  # the least share of a sheet that is paper; the table around a sheet is not the sheet
SEEN = 0.1  # the least share of the border of the picture where the table is seen; a corner of a dark vignette has less
RECTANGLE = 0.85  # the least share of its rectangle that a sheet fills; perspective makes it a trapezium
EMPTY = 0.5  # the least brightness of most of a sheet, as a share of the paper; an outline drawn in chalk has less
DARKER = 0.9  # the least share of the edge of a sheet that is darker outside ...
MOST = 0.5  # ... and the same in the picture with its lines
EVEN = 5  # most of a surface of one colour varies by fewer levels than this
RIM = 3  # the width of the rim of a sheet that is left out, because the edge of a sheet is dark or blurred
OUTSIDE = 4  # how far the pixels that are compared lie from the edge


class CutOut(NamedTuple):
    """A sheet that was found. What is not paper in its box, and its narrow rim, has the colour of the nearest paper."""

    box: tuple[slice, slice]
    levels: UInt8[np.ndarray, "c v u"]
    beside: float  # the greatest width of the surface beside the sheet, in pixels
    even: bool  # whether that surface has one colour, as a line around a drawing would


def cut_out(levels: UInt8[np.ndarray, "c y x"]) -> CutOut | None:
    """The sheet in a picture, or None if there is none with a darker surface around it.

    The sheet may touch the border of the picture.
    """
    small = reduced(levels, SIDE)
    paper = _paper(small)
    sheet = _sheet(paper)
    if sheet is None or np.median((small / paper)[:, sheet]) < EMPTY:
        return None
    # With its lines, since the closing makes one bright area of the light squares on dark paper
    if not _is_darker_outside(sheet, np.maximum(small, BLACK).astype(np.float32), MOST):
        return None
    inside = resized(sheet, levels.shape[1:])
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    y, x = ndimage.distance_transform_edt(~sheet, return_distances=False, return_indices=True)
    away = ndimage.distance_transform_cdt(~sheet, "chessboard")  # in a corner it is not farther than along a side
    beside = (float(away.max()) - RIM) * max(levels.shape) / max(small.shape)
    outside = small.mean(axis=0)[away > RIM]
    even = bool(np.ptp(np.percentile(outside, (25, 75))) < EVEN) if len(outside) else True
    nearest = paper.round().astype(np.uint8)[:, y, x]
    around = np.stack([resized(channel, inside.shape, Image.Resampling.BILINEAR)[box] for channel in nearest])
    return CutOut(box, np.where(inside[box], levels[:, *box], around), beside, even)


def _paper(small: UInt8[np.ndarray, "c v u"]) -> Float[np.ndarray, "c v u"]:
    """The picture without its lines, which would cut the paper into pieces.

    The world beyond the picture counts as dark. Otherwise narrow strips of a table along the border would be removed
    like lines.
    """
    window = int(max(small.shape) * WINDOW)
    beyond = np.pad(small, ((0, 0), (window, window), (window, window)))
    closed = np.stack([morphology.closed_over(channel, window) for channel in beyond])
    within = closed[:, window : window + small.shape[1], window : window + small.shape[2]]
    return ndimage.gaussian_filter(np.maximum(within, BLACK).astype(np.float32), (0, 0.5, 0.5), mode="nearest")


def _sheet(paper: Float[np.ndarray, "c v u"]) -> Bool[np.ndarray, "v u"] | None:
    """The area of the sheet without a narrow rim, or None if there is no sheet."""
    step, wide = _steps(paper, 3), _steps(paper, WIDE)
    bright = np.stack([morphology.highest(channel, 3) for channel in paper])
    even = ((step < STEP * bright) | (step < SHARP * wide)).all(axis=0)
    parts, _ = ndimage.label(ndimage.binary_erosion(even, np.ones((2 * RIM - 1, 2 * RIM - 1)), border_value=1))
    area = np.bincount(parts.ravel())
    area[0] = 0
    best, most = None, 0.0
    for number in np.flatnonzero(area > LEAST * WHOLE * parts.size):
        sheet = ndimage.binary_fill_holes(parts == number)
        if sheet.mean() < LEAST or area[number] < WHOLE * sheet.sum():
            continue
        border = np.concatenate([sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]])
        light = float(paper[:, parts == number].mean())  # a table around a small sheet may look like a sheet too
        if border.mean() > 1 - SEEN or light < most:
            continue
        if _is_darker_outside(sheet, paper, DARKER) and _is_rectangle(sheet[::2, ::2]) and _is_subject(sheet, paper):
            best, most = sheet, light
    return best


def _steps(paper: Float[np.ndarray, "c v u"], window: int) -> Float[np.ndarray, "c v u"]:
    """The greatest difference in a square around each pixel."""
    return np.stack([morphology.highest(one, window) - morphology.lowest(one, window) for one in paper])


def _is_darker_outside(sheet: Bool[np.ndarray, "v u"], paper: Float[np.ndarray, "c v u"], least: float) -> bool:
    """Whether at least this share of the edge within the picture is brighter inside than outside, in some channel."""
    near, far = (morphology.highest(sheet, 2 * reach + 1) for reach in (OUTSIDE, OUTSIDE + 1))
    around = far & ~near
    if not around.any():
        return False
    y, x = ndimage.distance_transform_edt(~sheet, return_distances=False, return_indices=True)
    light = (paper[:, around] / paper[:, y[around], x[around]]).min(axis=0)
    return bool((light < 1 - STEP / 2).mean() >= least)


def _is_rectangle(sheet: Bool[np.ndarray, "v u"]) -> bool:
    """Whether an area fills a rectangle, which may be tilted and may reach beyond the picture."""
    y, x = np.indices(sheet.shape)
    least = sheet.size
    for angle in np.radians(np.arange(0, 90, 3)):
        within = np.ones_like(sheet)
        for place in (x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)):
            within &= (place >= place[sheet].min()) & (place <= place[sheet].max())
        least = min(least, int(within.sum()))
    return bool(sheet.sum() > RECTANGLE * least)


def _is_subject(sheet: Bool[np.ndarray, "v u"], paper: Float[np.ndarray, "c v u"]) -> bool:
    """Whether a bright area is what the picture shows: it covers the middle, or nothing is drawn on the rest."""
    high, wide = sheet.shape
    if sheet[high // 2, wide // 2]:
        return True
    dark = ~morphology.highest(sheet, 2 * OUTSIDE + 1)
    grey = paper.mean(axis=0)
    middle, light = float(np.median(grey[dark])), float(np.median(grey[sheet]))
    return float((np.abs(grey[dark] - middle) > 0.2 * (light - middle)).mean()) < 0.002
