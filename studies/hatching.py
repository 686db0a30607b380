"""Draw outlines filled with hatching, cross-hatching or stippling: textures that quick doodles lack."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

Lines = tuple[np.ndarray, ...]

KINDS = ("hatching", "cross-hatching", "stippling", "mixture")


class Drawing(NamedTuple):
    """The centre lines of a drawing in the unit square. A dot is a line of one point."""

    outlines: Lines
    texture: Lines

    @property
    def lines(self) -> Lines:
        return self.outlines + self.texture


def draw(kind: str, spacing: float, rng: np.random.Generator) -> Drawing:
    """Draw a texture. `spacing` is the distance between lines, and the least distance between dots."""
    if kind == "mixture":  # side by side, so that a tile has both
        near, far = outline(rng, (0.33, 0.36), 0.26), outline(rng, (0.67, 0.64), 0.26)
        return Drawing((near, far), hatch(near, spacing, rng.uniform(0, np.pi), rng) + stipple(far, spacing, rng))
    shape, angle = outline(rng, (0.5, 0.5), 0.42), rng.uniform(0, np.pi)
    if kind == "stippling":
        return Drawing((shape,), stipple(shape, spacing, rng))
    lines = hatch(shape, spacing, angle, rng)
    if kind == "cross-hatching":
        lines += hatch(shape, spacing, angle + rng.uniform(np.pi / 3, 2 * np.pi / 3), rng)
    return Drawing((shape,), lines)


def outline(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> np.ndarray:
    """A closed, wobbly line around a centre, (points, 2)."""
    angle, reach = np.linspace(0, 2 * np.pi, 65), np.full(65, 0.8)
    for waves in (2, 3, 4):
        reach += rng.uniform(0, 0.2 / 3) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (np.array(centre) + radius * reach[:, None] * circle).astype(np.float32)


def hatch(shape: np.ndarray, spacing: float, angle: float, rng: np.random.Generator) -> Lines:
    """Parallel lines within a closed shape, slightly uneven, as if drawn by hand."""
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    side, place = shape @ across, shape @ along
    offsets = np.arange(side.min() + rng.uniform(0, spacing), side.max(), spacing)
    lines = []
    for offset in offsets + rng.normal(0, 0.04 * spacing, len(offsets)):
        crossed = np.flatnonzero((side[:-1] > offset) != (side[1:] > offset))
        share = (offset - side[crossed]) / (side[crossed + 1] - side[crossed])
        ends = np.sort(place[crossed] + share * (place[crossed + 1] - place[crossed]))
        lines += [pair[:, None] * along + offset * across for pair in ends.reshape(-1, 2)]
    return tuple(line.astype(np.float32) for line in lines)


def stipple(shape: np.ndarray, spacing: float, rng: np.random.Generator) -> Lines:
    """Dots within a closed shape, at least `spacing` apart, with no room left for another one (Poisson discs)."""
    low, high = shape.min(axis=0), shape.max(axis=0)
    points = rng.uniform(low, high, size=(int(20 * np.prod(high - low) / spacing**2), 2))
    tree, free = cKDTree(points), within(shape, points)
    for number in range(len(points)):
        if free[number]:
            free[tree.query_ball_point(points[number], spacing)] = False
            free[number] = True
    return tuple(points[free][:, None].astype(np.float32))


def within(shape: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points lie inside a closed line: a ray to the right from such a point crosses it an odd number of times."""
    (x0, y0), (x1, y1) = shape[:-1].T, shape[1:].T
    x, y = points[:, 0, None], points[:, 1, None]
    crossed = (y0 > y) != (y1 > y)
    level = np.where(y1 == y0, 1, y1 - y0)
    return (crossed & (x < x0 + (y - y0) * (x1 - x0) / level)).sum(axis=1) % 2 == 1
