"""Turn photo objects into sketches without a network: the outline of the object and the lines inside it, traced as
strokes.

This follows SketchVCL (O3SLM, arXiv 2511.14368). As there, the outline is the morphological gradient of the object's
mask. For the inner lines, SketchVCL uses a network (PhotoSketch). Here they are Canny edges of the photo after an
edge-preserving filter. There are three levels of abstraction, from all lines to the outline alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from visketch.data.photos import PhotoObject
from visketch.errors import VisketchError
from visketch.geometry import trace
from visketch.geometry.pieces import simplified

SIDE = 112  # pixels of an object's longer side during tracing; a sketch has no finer detail
MARGIN = 6  # pixels around an object
LEVELS = (1, 2, 3)  # the levels of abstraction
SPECK = 12  # inner lines shorter than this many pixels are noise
TOLERANCE = {1: 0.7, 2: 1.5, 3: 2.5}  # the tolerance of simplifying at each level, in pixels
INSIDE = 4  # the number of inner lines that are kept at level 2; they are the longest ones
PLAIN = 40  # a margin is plain if its colours vary by fewer levels than this
SMALLEST = 32  # the smallest side of an object in the photo, in pixels


@dataclass(frozen=True)
class Cutout:
    """An object cut out of its photo: its colours and its mask, both with a margin around the object."""

    pixels: UInt8[np.ndarray, "y x 3"]
    mask: Bool[np.ndarray, "y x"]


def opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise VisketchError("photos need OpenCV; pip install visketch[language]") from error
    return cv2


def cut(pixels: UInt8[np.ndarray, "y x 3"], found: PhotoObject) -> Cutout | None:
    """The object, with a longer side of `SIDE` pixels. Returns None if it is too small or cannot be told from its
    surroundings.

    The mask comes from the object's polygons. Without polygons, it comes from GrabCut (Rother et al., 2004). If that
    fails and the margin is plain, it comes from the colour of the margin.
    """
    cv2 = opencv()
    high, wide = pixels.shape[:2]
    x1, y1, x2, y2 = (max(0.0, place) for place in found.box)
    x2, y2 = min(x2, wide), min(y2, high)
    if min(x2 - x1, y2 - y1) < SMALLEST:
        return None
    scale = (SIDE - 1) / max(x2 - x1, y2 - y1)
    size = (round((x2 - x1) * scale) + 2 * MARGIN, round((y2 - y1) * scale) + 2 * MARGIN)
    matrix = np.array([[scale, 0, MARGIN - x1 * scale], [0, scale, MARGIN - y1 * scale]], np.float32)
    shrunk = pixels
    if scale < 0.5:  # the photo is shrunk first, since a warp alone would skip pixels
        shrunk = cv2.resize(pixels, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        inner = matrix.copy()
        inner[:, :2] /= 2 * scale
    else:
        inner = matrix
    crop = cv2.warpAffine(shrunk, inner, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = _filled(found.polygons, matrix, size) if found.polygons else _parted(crop)
    if mask.sum() < 0.02 * mask.size:
        return None
    return Cutout(crop, mask)


def _filled(polygons: Sequence[np.ndarray], matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    cv2 = opencv()
    mask = np.zeros(size[::-1], np.uint8)
    for polygon in polygons:  # they are filled one by one; filled together, an overlap would become a hole
        cv2.fillPoly(mask, [np.rint(polygon @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32)], 1)
    return mask.astype(bool)


def _parted(crop: np.ndarray) -> np.ndarray:
    """The pixels that differ from the margin of the box, or none if GrabCut fails and the margin is not plain."""
    cv2 = opencv()
    high, wide = crop.shape[:2]
    box = np.zeros((high, wide), bool)
    box[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    away = np.abs(crop.astype(int) - np.median(crop[~box], axis=0)).max(axis=2) > PLAIN
    plain = away[~box].mean() < 0.3
    y, x = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j]
    likely = away if plain else x**2 + y**2 < 0.6  # the initial mask: another colour, or the middle
    state = np.where(box, np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD).astype(np.uint8)
    if not (box & likely).any():
        return np.zeros_like(box)
    cv2.setRNGSeed(0)  # so that the same photo always gives the same mask
    # There is one iteration, since more hardly change the mask. At half the size this is four times as fast, but it
    # often finds nothing.
    cv2.grabCut(crop, state, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    found = state == cv2.GC_PR_FGD
    for mask in (found, away & box) if plain else (found,):
        mask = _largest(mask)
        # An object may fill its box, but not the whole crop
        if 0.05 < mask.sum() / box.sum() < (1.1 if plain else 0.9):
            return mask
    return np.zeros_like(box)


def _shrunk(mask: np.ndarray, by: int) -> np.ndarray:
    cv2 = opencv()
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * by + 1, 2 * by + 1))
    return cv2.erode(mask.astype(np.uint8), kernel).astype(bool)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask, with a smoothed edge."""
    cv2 = opencv()
    smooth = cv2.medianBlur(mask.astype(np.uint8) * 255, 5)
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(smooth)
    if count < 2:
        return np.zeros_like(mask)
    return pieces == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())


def edges(found: Cutout) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """The outline of the object, and the lines inside it."""
    cv2 = opencv()
    mask = cv2.medianBlur(found.mask.astype(np.uint8) * 255, 5)
    outline = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > 0
    grey = cv2.bilateralFilter(cv2.cvtColor(found.pixels, cv2.COLOR_RGB2GRAY), 7, 60, 5)
    inside = _shrunk(found.mask, 4)
    middle = float(np.median(grey[inside])) if inside.any() else 128.0
    lines = cv2.Canny(grey, 0.66 * middle, 1.33 * middle, L2gradient=True) * inside.astype(np.uint8)
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    long = facts[:, cv2.CC_STAT_AREA] >= SPECK
    long[0] = False
    return outline, long[pieces]


def sketch(found: Cutout) -> dict[int, tuple[np.ndarray, ...]]:
    """The object as strokes, each (points, 2), at every level of abstraction.

    Level 1 has all lines, level 2 the outline and the longest inner lines, level 3 the outline alone. A higher level
    has fewer points.
    """
    outline, inner = edges(found)
    traced = trace.trace(trace.from_pixels(outline | inner)).strokes
    around = [stroke for stroke in traced if _share(stroke, outline) > 0.5]
    within = [stroke for stroke in traced if _share(stroke, outline) <= 0.5 and len(stroke) > SPECK // 2]
    longest = sorted(within, key=trace.length, reverse=True)[:INSIDE]
    chosen = {1: [*around, *within], 2: [*around, *longest], 3: around}
    return {
        level: tuple(stroke.astype(np.float32) for stroke in simplified(strokes, TOLERANCE[level]))
        for level, strokes in chosen.items()
    }


def _share(stroke: np.ndarray, where: np.ndarray) -> float:
    """The share of a stroke's points that lie in a mask."""
    x, y = np.rint(stroke - 0.5).astype(int).T
    return float(where[y.clip(0, where.shape[0] - 1), x.clip(0, where.shape[1] - 1)].mean())
