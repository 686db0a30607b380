"""The shapes of drawing programs, as lines (points, 2): x to the right, y down."""

import numpy as np

STEPS = np.linspace(0, 2 * np.pi, 65)
BETWEEN = np.linspace(0, 1, 9)[1:, None]  # positions on a curve between two of its points


def closed(points: np.ndarray) -> np.ndarray:
    """A closed line through the points (n, 2), back to the first."""
    return np.concatenate([points, points[:1]])


def ellipse(width: float, height: float) -> np.ndarray:
    """The ellipse in the box from the origin to (width, height)."""
    return np.stack([(1 + np.cos(STEPS)) * width / 2, (1 + np.sin(STEPS)) * height / 2], axis=1)


def rectangle(width: float, height: float, radius: float = 0.0) -> np.ndarray:
    """The rectangle from the origin to (width, height). Its corners are rounded with `radius`."""
    if radius <= 0:
        return closed(np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64))
    quarter = np.linspace(0, np.pi / 2, 9)
    corners = [((width - radius, height - radius), 0), ((radius, height - radius), 1), ((radius, radius), 2)]
    corners.append(((width - radius, radius), 3))
    arcs = [
        np.array(middle) + radius * np.stack([np.cos(quarter + turn), np.sin(quarter + turn)], axis=1)
        for middle, turn in ((middle, quarters * np.pi / 2) for middle, quarters in corners)
    ]
    return closed(np.concatenate(arcs))


def polygon(corners: list, width: float, height: float) -> np.ndarray:
    """The closed line through corners in the unit square, stretched to the box from the origin to (width, height)."""
    return closed(np.array(corners, np.float64) * [width, height])


def regular(sides: int, width: float, height: float, inner: float = 1.0) -> np.ndarray:
    """A regular polygon with one corner at the top, stretched to the box.

    With `inner` below 1, it is a star with `sides` tips.
    """
    count = sides if inner == 1 else 2 * sides
    turns = np.arange(count) * 2 * np.pi / count - np.pi / 2
    points = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    points[1::2] *= inner
    low, high = points.min(axis=0), points.max(axis=0)
    return closed((points - low) / (high - low) * [width, height])


def smooth(points: np.ndarray) -> np.ndarray:
    """A cubic curve through the points (n, 2).

    The slope at each point is that of the line from the previous to the next point (Catmull-Rom).
    """
    if len(points) < 3:
        return points
    before, after = np.concatenate([points[:1], points[:-1]]), np.concatenate([points[1:], points[-1:]])
    slopes = (after - before) / 2
    parts = [points[:1]]
    for start, end, first, last in zip(points[:-1], points[1:], slopes[:-1], slopes[1:], strict=True):
        t, s = BETWEEN, 1 - BETWEEN
        parts.append(s * s * (1 + 2 * t) * start + t * t * (3 - 2 * t) * end + s * s * t * first - s * t * t * last)
    return np.concatenate(parts)


def bent(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    """An arc from start to end. Its middle lies `bend` beside the straight line, to the left if `bend` is positive."""
    way = end - start
    long = float(np.hypot(*way))
    if abs(bend) < 1e-3 * max(long, 1) or long == 0:
        return np.stack([start, end])
    middle = (start + end) / 2 + bend * np.array([way[1], -way[0]]) / long
    # The radius of the circle through the three points; its sign says on which side the circle lies
    radius = (long * long / 4 + bend * bend) / (2 * bend)
    centre = middle - radius * np.array([way[1], -way[0]]) / long
    first, last = (np.arctan2(*(point - centre)[::-1]) for point in (start, end))
    turn = (last - first) % (2 * np.pi)
    over = (np.arctan2(*(middle - centre)[::-1]) - first) % (2 * np.pi)
    turn = turn if over <= turn else turn - 2 * np.pi
    angles = first + np.linspace(0, turn, 33)
    return centre + abs(radius) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def head(line: np.ndarray, size: float, degrees: float) -> list[np.ndarray]:
    """An arrow head at the end of a line (points, 2), as one stroke.

    The angle between the line and a barb is `degrees`, and a barb is at most half as long as the line. There is none
    for a line without length.
    """
    tip = line[-1]
    far = line[np.hypot(*(line - tip).T) > 1e-9]
    if not len(far):
        return []
    lengths = np.hypot(*np.diff(line, axis=0).T)
    back = far[-1] - tip
    back *= min(size, float(lengths.sum()) / 2) / np.hypot(*back)
    barbs = [turned(back[None], turn)[0] + tip for turn in np.radians([-degrees, degrees])]
    return [np.stack([barbs[0], tip, barbs[1]])]


def turned(points: np.ndarray, angle: float, around: np.ndarray | None = None) -> np.ndarray:
    """Turn points (n, 2) by an angle in radians, around the origin or another point.

    The turn is clockwise as seen, since y points down. Values that overflow become infinite or NaN; they are refused
    where drawings are made.
    """
    middle = np.zeros(2) if around is None else around
    c, s = np.cos(angle), np.sin(angle)
    with np.errstate(over="ignore", invalid="ignore"):
        return (points - middle) @ np.array([[c, s], [-s, c]]) + middle
