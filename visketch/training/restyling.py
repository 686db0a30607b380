"""The same drawing in another style. This is training data from which recognisers learn more than one way of drawing.

Everything is a pure function of the lines and a random generator. Lines may be in any unit. In the result, the unit is
the larger side of the drawing and its centre is at 0; `sketch.fit` follows. The frequencies of the changes were chosen
by eye on 64 drawings (lab book, 2026-11-25).
"""

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw
from scipy import ndimage

from visketch.geometry.sketch import fit, longer_side

Lines = tuple[np.ndarray, ...]

SIDE = 256  # pixels of a picture whose areas are filled
SMALLEST = 0.02  # the least size of an enclosed area that is filled, as a share of the picture


def restyle(lines: Lines, rng: np.random.Generator) -> Lines:
    """Restyle a drawing.

    The whole may be bent or seen in perspective. Single strokes may be moved, shaky, broken, doubled or rounded. A part
    may be missing, and hatching may be added.
    """
    drawn = _by_another_hand(_askew(_centred(lines), rng), rng)
    if rng.random() < 0.04:
        drawn += _hatching(rng)
    if rng.random() < 0.08:
        drawn = _with_a_part_missing(drawn, rng)
    return tuple(line.astype(np.float32) for line in drawn)


def _centred(lines: Lines) -> list[np.ndarray]:
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    return [(line - (low + high) / 2) / longer_side(points) for line in lines]


def _askew(lines: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """The lines with a slight perspective, and with waves."""
    if rng.random() < 0.3:
        away = rng.normal(0, 0.25, 2)
        lines = [line / (1 + np.clip(line @ away, -0.5, 0.5))[:, None] for line in lines]
    if rng.random() < 0.3:
        height, length, phase = rng.normal(0, 0.03, 2), rng.uniform(2, 6, 2), rng.uniform(0, 2 * np.pi, 2)
        lines = [line + height * np.sin(length * line[:, ::-1] + phase) for line in lines]
    return lines


def _by_another_hand(lines: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    elsewhere, shaky, doubled, broken, rounded = rng.random(5) < (0.35, 0.2, 0.06, 0.08, 0.12)
    tremor, drawn = rng.uniform(0.003, 0.012), []
    for line in lines:
        if elsewhere:
            line = _moved(line, rng)
        if shaky:
            line = line + _tremor(len(line), rng, tremor)
        if rounded and len(line) > 3:
            line = np.concatenate([line[:1], (line[:-1] + line[1:]) / 2, line[-1:]])
        if broken and len(line) > 4:
            gap = int(rng.integers(1, len(line) - 1))
            drawn.append(line[:gap])
            line = line[gap + int(rng.integers(2)) :]
        drawn.append(line)
        if doubled:
            drawn.append(line + rng.normal(0, 0.012, 2) + _tremor(len(line), rng, 0.006))
    return drawn


def _moved(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The line, slightly shifted, turned and scaled."""
    angle, size, middle = rng.normal(0, 0.06), np.exp(rng.normal(0, 0.07)), line.mean(axis=0)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (line - middle) @ turn.T + middle + rng.normal(0, 0.02, 2)


def _tremor(points: int, rng: np.random.Generator, size: float) -> np.ndarray:
    """Smooth noise (points, 2) along a line."""
    knots = max(2, min(points, int(rng.integers(3, 9))))
    values, along = rng.normal(0, size, (knots, 2)), np.linspace(0, knots - 1, points)
    return np.stack([np.interp(along, np.arange(knots), values[:, axis]) for axis in (0, 1)], axis=1)


def _hatching(rng: np.random.Generator) -> list[np.ndarray]:
    """A few parallel lines at a random place."""
    start, angle, apart = rng.uniform(-0.3, 0.3, 2), rng.uniform(0, np.pi), rng.uniform(0.02, 0.05)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    places = start + across * apart * np.arange(rng.integers(3, 9))[:, None]
    return [np.stack([place, place + along * rng.uniform(0.1, 0.3)]) for place in places]


def _with_a_part_missing(lines: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """The lines without the part in a circle. They are unchanged if nothing would be left."""
    centre, radius, kept = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.08, 0.2), []
    for line in lines:
        away = np.linalg.norm(line - centre, axis=1) > radius
        ends = np.flatnonzero(np.diff(away)) + 1
        kept += [piece for piece, out in zip(np.split(line, ends), np.split(away, ends), strict=True) if out.all()]
    return kept or lines


def filled(lines: Lines, rng: np.random.Generator) -> Bool[np.ndarray, "y x"] | None:
    """The ink of the drawing as an icon of filled areas. Returns None if it encloses nothing.

    Either everything that the drawing encloses is ink, with its inner lines as gaps, or some of the areas between its
    lines are ink.
    """
    pen = int(rng.integers(4, 12))
    picture = Image.new("1", (SIDE, SIDE))
    draw = ImageDraw.Draw(picture)
    for line in fit(lines, margin=1 / 16):
        draw.line([(float(x), float(y)) for x, y in line * SIDE], fill=1, width=pen, joint="curve")
    ink = np.asarray(picture)
    enclosed = ndimage.binary_fill_holes(ink) & ~ink
    if enclosed.mean() < SMALLEST:
        return None
    return _silhouette(ink, enclosed, pen) if rng.random() < 0.6 else _some(ink, enclosed, rng)


def _silhouette(ink: Bool[np.ndarray, "y x"], enclosed: Bool[np.ndarray, "y x"], pen: int) -> Bool[np.ndarray, "y x"]:
    whole = ink | enclosed
    inside = ndimage.minimum_filter(whole, pen + 3)
    return whole & ~(ink & inside)


def _some(
    ink: Bool[np.ndarray, "y x"], enclosed: Bool[np.ndarray, "y x"], rng: np.random.Generator
) -> Bool[np.ndarray, "y x"]:
    parts, count = ndimage.label(enclosed)
    chosen = rng.random(count + 1) < 0.5
    chosen[0] = False
    return ink | chosen[parts]
