"""Find every object of COCO's 80 classes in a photo, each with the probability that it is right.

The network sees a square of 300 pixels, in which small objects vanish. So it runs on twelve views of the photo: the
whole photo twice, four overlapping large tiles, and six small ones. Every second view is mirrored, because a mirrored
view makes other errors. Boxes on which views agree are fused (after weighted boxes fusion, Solovyev et al. 2021, arXiv
1910.13302). A logistic regression turns the scores of the views and the size of the box into a probability: that there
is such an object, at an overlap of at least 0.5. Its coefficients are in `detector.toml`, and `bench/detector.py` fits
them.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from visketch.language.boxes import overlaps
from visketch.language.detect import ssd

VERSION = 2  # increase it whenever the results of the same network change: old indexes are then rebuilt
WHOLE = (0.0, 0.0, 1.0, 1.0)
# How many tiles lie along the longer and the shorter side, and their sizes as shares of these sides. Tiles overlap, so
# that most objects fit in one.
LARGE, SMALL = ((2, 0.625), (2, 0.625)), ((3, 0.42), (2, 0.56))
WHOLES, TILES = (0, 1), (slice(2, 6), slice(6, 12))  # the places of the whole photo, and of the tiles, among the views
WEIGHTS = np.array([1.0, 1.0] + 4 * [0.6] + 6 * [0.5])  # the weights of the views in fused boxes and scores
CUT = 0.015  # a box that is this close to an inner edge (as a share of the tile) may show only a part of an object
SLACK = 0.02  # a tile covers a box that extends beyond the tile by less than this share of the photo
SAME = 0.5  # boxes of one class show one object if their intersection over union is larger than this
FAINTEST, MOST = 0.04, 300  # the least score of boxes that are fused, and the most of them for each view
LEAST = 0.01  # the least probability of a detection
LOWEST = 0.02  # the score that counts for a view that missed what others found


@dataclass(frozen=True)
class Detections:
    """The objects in a photo, the most probable first. Boxes are shares of its sides; `category` is COCO's id."""

    box: Float[np.ndarray, "n 4"]
    category: Int[np.ndarray, " n"]
    chance: Float[np.ndarray, " n"]

    def of(self, category: int) -> "Detections":
        return self[self.category == category]

    def __getitem__(self, which: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Detections":
        return Detections(self.box[which], self.category[which], self.chance[which])

    def __len__(self) -> int:
        return len(self.chance)


@dataclass(frozen=True)
class Fused:
    """Boxes on which several views agree.

    For each view there is its score (0 if it did not find the box), and whether it covers the box.
    """

    box: Float[np.ndarray, "n 4"]
    category: Int[np.ndarray, " n"]
    score: Float[np.ndarray, "n looks"]
    covered: Bool[np.ndarray, "n looks"]

    def mean(self) -> Float[np.ndarray, " n"]:
        """The weighted mean score of the views that cover a box."""
        return (self.score * WEIGHTS).sum(axis=1) / (self.covered * WEIGHTS).sum(axis=1)


class PhotoDetector:
    """The shipped detector. Loading takes about 0.1 s; a photo takes twelve passes of the network."""

    def __init__(self, home: Path | None = None) -> None:
        """Load the detector.

        `home` is another folder with the same files. Raises VisketchError if the files are damaged or onnxruntime is
        missing.
        """
        self.network, self.settings = ssd.load(home or ssd.folder())
        self.mark = hashlib.sha256(json.dumps([VERSION, self.settings]).encode()).hexdigest()[
            :16
        ]  # this mark identifies the results
        self.pool = ThreadPoolExecutor(min(len(WEIGHTS), os.cpu_count() or 1))

    def __call__(self, pixels: UInt8[np.ndarray, "y x 3"]) -> Detections:
        """All objects in an upright colour photo of any size."""
        fused = fuse(self.looks(pixels), windows(*pixels.shape[:2]))
        chance = 1 / (1 + np.exp(-features(fused) @ np.array(self.settings["coefficients"])))
        order = np.argsort(-chance, kind="stable")
        order = order[chance[order] >= LEAST]
        return Detections(fused.box[order].clip(0, 1), fused.category[order], chance[order])

    def looks(self, pixels: UInt8[np.ndarray, "y x 3"]) -> "list[Look]":
        """The boxes of each view before they are fused, in the order of `windows`."""

        def look(place: int, window: Window) -> Look:
            view, mirrored = part(pixels, window), place % 2 == 1
            seen = self.network(np.ascontiguousarray(view[:, ::-1]) if mirrored else view)
            return back(*seen, window, mirrored)

        return list(self.pool.map(look, range(len(WEIGHTS)), windows(*pixels.shape[:2])))


Window = tuple[float, float, float, float]  # left, top, right and bottom, as shares of the photo's sides
Look = tuple[Float[np.ndarray, "_ 4"], Int[np.ndarray, " _"], Float[np.ndarray, " _"]]  # boxes, COCO ids and scores


def windows(high: int, wide: int) -> list[Window]:
    """The windows of all views of a photo with these sides in pixels."""
    tiles: list[Window] = []
    for along, across in (LARGE, SMALL):
        (columns, width), (rows, height) = (along, across) if wide >= high else (across, along)
        tiles += [
            (float(x), float(y), float(x + width), float(y + height))
            for y in np.linspace(0, 1 - height, rows)
            for x in np.linspace(0, 1 - width, columns)
        ]
    return [WHOLE, WHOLE, *tiles]


def part(pixels: UInt8[np.ndarray, "y x 3"], window: Sequence[float]) -> UInt8[np.ndarray, "v u 3"]:
    """The pixels of a window, which has at least one pixel in each direction."""
    high, wide = pixels.shape[:2]
    x1, y1, x2, y2 = (round(share * side) for share, side in zip(window, (wide, high, wide, high), strict=True))
    return pixels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def back(
    box: Float[np.ndarray, "a 4"], scores: Float[np.ndarray, "a k"], window: Sequence[float], mirrored: bool
) -> Look:
    """The boxes that the network found in a window, without duplicates, in shares of the photo.

    Boxes that an inner edge of the window may cut off are left out.
    """
    anchor, category = np.nonzero(scores[:, 1:] > FAINTEST)
    category = category + 1
    score, box = scores[anchor, category].astype(float), box[anchor].astype(float)
    first = np.argsort(-score, kind="stable")[: 4 * MOST]
    kept = first[suppress(box[first], category[first])][:MOST]
    box, category, score = box[kept], category[kept], score[kept]
    if mirrored:
        box = np.stack([1 - box[:, 2], box[:, 1], 1 - box[:, 0], box[:, 3]], axis=1)
    low, high = np.array(window[:2]), np.array(window[2:])
    inner = np.concatenate([np.where(low > 0, CUT, -np.inf), np.where(high < 1, 1 - CUT, np.inf)])
    whole = np.all(box[:, :2] >= inner[:2], axis=1) & np.all(box[:, 2:] <= inner[2:], axis=1)
    corners = box[whole] * np.tile(high - low, 2) + np.tile(low, 2)
    return corners, category[whole], score[whole]


def suppress(box: Float[np.ndarray, "n 4"], category: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Non-maximum suppression. Returns the positions of the boxes that are kept. The boxes must be sorted by score."""
    apart = box + 10 * category[:, None]  # this shifts each class, so that boxes of different classes do not overlap
    same = overlaps(apart, apart) > SAME
    left = np.ones(len(box), bool)
    for place in range(len(box)):
        if left[place]:
            left[place + 1 :] &= ~same[place, place + 1 :]
    return np.flatnonzero(left)


def fuse(looks: Sequence[Look], windows: Sequence[Window]) -> Fused:
    """Fuse boxes of one class in several views that show one object into one box: their mean, weighted by view and
    score. `windows` are those of the views.

    The best box is joined with boxes of other views that overlap it, at most one from each view.
    """
    box, category, score = (np.concatenate(values) for values in zip(*looks, strict=True))
    look = np.repeat(np.arange(len(looks)), [len(values) for _, _, values in looks])
    strength = score * WEIGHTS[look]
    order = np.argsort(-strength, kind="stable")
    box, category, score, look, strength = (values[order] for values in (box, category, score, look, strength))
    apart = box + 10 * category[:, None]
    same = overlaps(apart, apart) > SAME
    left = np.ones(len(box), bool)
    groups: list[np.ndarray] = []
    for place in range(len(box)):
        if left[place]:
            gathered = np.flatnonzero(left & same[place])
            left[gathered] = False
            _, one = np.unique(look[gathered], return_index=True)
            groups.append(gathered[one])
    mean = np.array([np.average(box[group], axis=0, weights=strength[group]) for group in groups]).reshape(-1, 4)
    scores = np.zeros((len(groups), len(looks)))
    for row, group in zip(scores, groups, strict=True):
        row[look[group]] = score[group]
    kind = category[np.array([group[0] for group in groups], int)]
    covered = np.stack([_inside(mean, window) for window in windows], axis=1) | (scores > 0)
    found = Fused(mean, kind, scores, covered)
    order = np.argsort(-found.mean(), kind="stable")
    order = order[suppress(mean[order], kind[order])]
    return Fused(mean[order], kind[order], scores[order], covered[order])


def _inside(box: Float[np.ndarray, "n 4"], window: Sequence[float]) -> Bool[np.ndarray, " n"]:
    low, high = np.array(window[:2]) - SLACK, np.array(window[2:]) + SLACK
    return np.all(box[:, :2] >= low, axis=1) & np.all(box[:, 2:] <= high, axis=1)


def features(fused: Fused) -> Float[np.ndarray, "n f"]:
    """The inputs of the logistic regression.

    They are the log-odds of the scores in the whole photo and of those in the large and in the small tiles (mean and
    maximum), and the logarithm of the box's share of the photo.
    """
    odds = fused.score.clip(LOWEST, 0.99)
    odds = np.log(odds / (1 - odds))
    area = (fused.box[:, 2] - fused.box[:, 0]) * (fused.box[:, 3] - fused.box[:, 1])
    size = (np.log(area.clip(1e-5)) + 3) / 2
    columns = [np.ones(len(size)), size, size**2]
    for place in WHOLES:
        columns += [odds[:, place], odds[:, place] * size]
    for group in TILES:
        tiles, covered = odds[:, group], fused.covered[:, group]
        tiled = covered.any(axis=1)
        mean = np.where(tiled, (tiles * covered).sum(axis=1) / covered.sum(axis=1).clip(1), 0)
        best = np.where(tiled, tiles.max(axis=1), 0)
        columns += [mean, best, best * size, tiled.astype(float), odds[:, 0] * tiled]
    return np.stack(columns, axis=1)
