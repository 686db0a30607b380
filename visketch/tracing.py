"""Ink → strokes: the way a pen would have taken, found on the ridge of the ink's distance field.

What is traced is a signed distance in pixels to the ink's edge, positive inside: a model's field as it is, or that of
a mask. Ink is thinned from its edge inward until one pixel is left, which stands on the ridge; the field says where
between the pixels the ridge runs. Where lines meet, the straightest pairs go on as one stroke; at a sharp tip the two
sides of it do. The thinning keeps what is one piece in one piece, and holes open (simple points: Yokoi 1973).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))  # (y, x), counter-clockwise from right
STRAIGHT = math.cos(math.radians(60))  # two lines that meet go on as one if they turn by less
RIDGE = 0.65  # a line ends where it is so thick at least, compared with what is near it; what is thinner is its edge
SPUR = 0.5  # a side of a line, shorter than so many times half its pen, is its edge
TIP = 1.2  # where two lines meet at a sharp angle their ink is one before they meet; so much longer may its tip be
NEAR = 0.8  # junctions that are nearer than so many pens are one
BRIDGE = 2.5  # and such between which two lines cross at a flat angle
FORWARD = math.cos(math.radians(60))
LAST = 0.3  # of an even number that meet, the last two go on as one unless they turn back

End = tuple[int, int]  # of a piece: its number, and 0 for its start or -1 for its last point


@dataclass(frozen=True)
class Trace:
    """Strokes (points, 2) in pixels of the picture, x to the right, y down, and the width of the pen that drew them."""

    strokes: tuple[np.ndarray, ...]
    pen: float

    def scaled(self, times: float) -> "Trace":
        return Trace(tuple(stroke * times for stroke in self.strokes), self.pen * times)

    def moved(self, x: float, y: float) -> "Trace":
        return Trace(tuple(stroke + np.float32([x, y]) for stroke in self.strokes), self.pen)


def trace(distance: Float[np.ndarray, "y x"]) -> Trace:
    """A signed distance to the ink's edge, in pixels → the strokes, in the order in which a person might draw them.

    No ink gives no strokes. A stroke of one point is a dot.
    """
    distance = np.pad(distance.astype(np.float32), 1, constant_values=-1)
    beside = ndimage.minimum_filter(distance, footprint=[[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    distance = np.where(beside > 0, np.maximum(distance, 0.01), distance)  # a hole of one pixel is noise
    thin = thinned(distance)
    pieces = _pieces(thin)
    if not pieces:
        return Trace((), 0.0)
    placed = _on_the_ridge(pieces, distance)
    # What a pixel says is less than the ridge's height by as much as the pixel is aside of it.
    pixels, points = np.concatenate(pieces), np.concatenate(placed)
    top = distance[pixels[:, 1], pixels[:, 0]] + np.linalg.norm(points - pixels, axis=1)
    pen = 2 * float(np.median(top))
    strokes = _joined(pieces, placed, distance)
    return Trace(tuple((stroke - 0.5).astype(np.float32) for stroke in ordered(strokes)), pen)


def from_field(field: Float[np.ndarray, "h h"], clamp: float) -> Float[np.ndarray, "h h"]:
    """A model's field (`sdf.py`) → the distance in pixels; `clamp` is a share of the side."""
    return field * (clamp * len(field))


def from_pixels(pixels: Bool[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """An ink mask → the distance in pixels: the edge runs between the pixels."""
    padded = np.pad(pixels, 1)
    inside = ndimage.distance_transform_edt(padded)
    outside = ndimage.distance_transform_edt(~padded)
    return np.where(padded, inside - 0.5, 0.5 - outside)[1:-1, 1:-1].astype(np.float32)


# Thinning


def thinned(distance: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """The ridge of the ink, one pixel wide; the border of the picture has to be without ink.

    Pixels go in the order of their distance, and of one height in four turns, no two of which are neighbours: so each
    is looked at with its neighbours as they are, and all of a turn at once.
    """
    ink = distance > 0
    wide = distance.shape[1]
    steps = np.array([y * wide + x for y, x in AROUND])
    here = np.flatnonzero(ink)
    height = distance.ravel()[here]
    if not len(here):
        return ink
    near = 2 * math.ceil(float(np.median(height)) * 2) + 1
    strong = height >= RIDGE * ndimage.maximum_filter(distance, near).ravel()[here]
    turn = here // wide % 2 * 2 + here % wide % 2
    left, peak = ink.ravel(), float(height.max())
    for level in [*np.arange(0.25, peak, max(0.25, peak / 24)), peak]:
        low = height <= level
        waiting = [here[low & (turn == number)] for number in range(4)]
        ends = [strong[low & (turn == number)] for number in range(4)]
        gone = True
        while gone:
            gone = False
            for number in range(4):
                at = waiting[number]
                code = (left[at[:, None] + steps] << np.arange(8)).sum(axis=1)
                out = SIMPLE[code] & ~(ENDS[code] & ends[number])
                left[at[out]] = False
                waiting[number], ends[number] = at[~out], ends[number][~out]
                gone |= bool(out.any())
        keep = left[here]
        here, height, strong, turn = here[keep], height[keep], strong[keep], turn[keep]
    return left.reshape(distance.shape)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """For every neighbourhood, one bit a neighbour: whether the pixel may go without tearing anything; is an end."""
    on = (np.arange(256)[:, None] >> np.arange(8)) & 1
    off = 1 - on
    tears = sum(off[:, k] - off[:, k] * off[:, k + 1] * off[:, (k + 2) % 8] for k in (0, 2, 4, 6))
    return tears == 1, on.sum(axis=1) == 1


SIMPLE, ENDS = _tables()


# Pieces: lines of pixels between ends and junctions


def _pieces(thin: np.ndarray) -> list[np.ndarray]:
    """The pixels (points, 2) as (x, y), from an end or junction to the next; a ring without either is one piece."""
    wide = thin.shape[1]
    pixels = np.flatnonzero(thin)
    at = dict.fromkeys(pixels.tolist())
    beside: dict[int, list[int]] = {}
    for pixel in at:
        found = []
        for number, (y, x) in enumerate(AROUND):
            other = pixel + y * wide + x
            # A diagonal step is none where two straight ones lead there: so stairs have no junctions.
            if other in at and (number % 2 == 0 or (pixel + y * wide not in at and pixel + x not in at)):
                found.append(other)
        beside[pixel] = found
    nodes = [pixel for pixel, others in beside.items() if len(others) != 2]
    seen: set[tuple[int, int]] = set()
    lines = [[node] for node in nodes if not beside[node]]
    walked = set(nodes)
    for node in [*nodes, *pixels.tolist()]:  # after the nodes, what is left are rings
        ring = len(beside[node]) == 2
        if ring and node in walked:
            continue
        for other in beside[node][:1] if ring else beside[node]:
            if (node, other) in seen:
                continue
            line = [node, other]
            walked.add(other)
            while len(beside[line[-1]]) == 2 and line[-1] != node:
                one, two = beside[line[-1]]
                line.append(two if one == line[-2] else one)
                walked.add(line[-1])
            seen |= {(line[0], line[1]), (line[-1], line[-2])}
            lines.append(line)
    return [np.stack([np.array(line) % wide, np.array(line) // wide], axis=1) for line in lines]


def _on_the_ridge(pieces: list[np.ndarray], distance: np.ndarray) -> list[np.ndarray]:
    """The pieces moved sideways to where the field is highest, and smoothed by half a pixel."""
    placed = [piece.astype(np.float64) for piece in pieces]
    for _ in range(2):
        placed = [_smooth(line) for line in placed]
        points = np.concatenate(placed)
        along = np.concatenate([_direction(piece) for piece in placed])
        across = along[:, ::-1] * (-1, 1)
        reach = np.maximum(1.0, 0.7 * _height(distance, points))[:, None]
        rise = _height(distance, points + reach * across) - _height(distance, points - reach * across)
        # On both sides of a ridge the field falls by 1 a pixel, so half the difference is how far off it is.
        points = points + np.clip(rise / 2, -1, 1)[:, None] * across
        placed = np.split(points, np.cumsum([len(piece) for piece in placed])[:-1])
    placed = [_smooth(piece) for piece in placed]
    for piece, line in zip(pieces, placed, strict=True):
        if len(piece) > 1 and np.array_equal(piece[0], piece[-1]):  # a ring stays closed
            line[-1] = line[0]
    return placed


def _height(distance: np.ndarray, points: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(distance, points.T[::-1], order=1, mode="nearest")


def _smooth(line: np.ndarray) -> np.ndarray:
    if len(line) < 3:
        return line
    if np.array_equal(line[0], line[-1]):
        around = ndimage.gaussian_filter1d(line[:-1], 1.0, axis=0, mode="wrap")
        return np.concatenate([around, around[:1]])
    inner = ndimage.gaussian_filter1d(line, 1.0, axis=0, mode="nearest")
    return np.concatenate([line[:1], inner[1:-1], line[-1:]])


def _direction(line: np.ndarray) -> np.ndarray:
    if len(line) < 2:
        return np.zeros_like(line)
    step = np.gradient(line, axis=0)
    return step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)


# Joining: which pieces are one stroke


@dataclass(frozen=True)
class Meeting:
    """Where three or more pieces meet, or a few such places so near one another that they are one."""

    ends: list[End]
    middle: np.ndarray  # (2)
    radius: float  # how far the ink reaches: within it the ridge is bent by what it meets


def _joined(pieces: list[np.ndarray], placed: list[np.ndarray], distance: np.ndarray) -> list[np.ndarray]:
    """Pieces → strokes, (points, 2)."""
    meetings, inner, free = _meetings(pieces, distance)
    placed = [
        _to_the_end(line, [end for end in ((i, 0), (i, -1)) if end in free], distance) for i, line in enumerate(placed)
    ]
    lines = list(placed)
    partner: dict[End, End] = {}
    corner: dict[End, np.ndarray] = {}
    for meeting in meetings:
        pairs, tips, via = _pairs(meeting, placed, free)
        inner |= {number for number, _ in tips}
        for one, other in pairs:
            partner[one], partner[other] = other, one
            if via is not None:
                corner[one] = corner[other] = via
        for end in meeting.ends:
            lines[end[0]] = _cut(lines[end[0]], end[1], meeting, end in partner)
    return _chains({i: line for i, line in enumerate(lines) if i not in inner}, partner, corner)


def _meetings(pieces: list[np.ndarray], distance: np.ndarray) -> tuple[list[Meeting], set[int], set[End]]:
    """The meetings, the pieces that lie within one, and the ends at which nothing else is."""
    at: dict[tuple[int, int], list[End]] = {}
    for number, piece in enumerate(pieces):
        for side in (0, -1):
            at.setdefault(tuple(piece[side].tolist()), []).append((number, side))
    free = {ends[0] for ends in at.values() if len(ends) == 1}
    nodes = [pixel for pixel, ends in at.items() if len(ends) > 2]
    group = {node: {node} for node in nodes}
    inner = set()
    for number, piece in enumerate(pieces):
        one, other = tuple(piece[0].tolist()), tuple(piece[-1].tolist())
        if one not in group or other not in group:
            continue
        share = (len(piece) - 1) / sum(distance[y, x] for x, y in (one, other))
        if share <= NEAR or (share <= BRIDGE and _bridges(number, at[one], at[other], pieces)):
            inner.add(number)
            both = group[one] | group[other]
            group |= dict.fromkeys(both, both)
    meetings = []
    for members in {id(members): members for members in group.values()}.values():
        ends = [end for node in sorted(members) for end in at[node] if end[0] not in inner]
        middle = np.mean(list(members), axis=0)
        radius = max(1.0, max(float(distance[y, x]) for x, y in members))
        meetings.append(Meeting(ends, middle, radius))
    return meetings, inner, free


def _bridges(number: int, ends: list[End], others: list[End], pieces: list[np.ndarray]) -> bool:
    """Whether a piece is what two lines share where they cross: at each of its ends two go on, forward."""
    forward = (pieces[number][-1] - pieces[number][0]).astype(float)
    outer = [end for end in (*ends, *others) if end[0] != number]
    if len(ends) != 3 or len(others) != 3 or len(outer) != 4 or not forward.any():
        return False
    for at, (i, side) in enumerate(outer):
        away = pieces[i] if side == 0 else pieces[i][::-1]
        arm = away[min(len(away) - 1, 2 * len(pieces[number]) + 4)] - away[0]
        sign = -1 if at < 2 else 1
        if sign * (arm @ forward) <= FORWARD * np.linalg.norm(arm) * np.linalg.norm(forward):
            return False
    return True


def _pairs(
    meeting: Meeting, placed: list[np.ndarray], free: set[End]
) -> tuple[list[tuple[End, End]], list[End], np.ndarray | None]:
    """Which ends go on as which, which pieces are no strokes but the point of a tip, and the corner it makes."""
    arms = {end: _arm(placed[end[0]], end[1], meeting) for end in meeting.ends}
    short = {end: len(placed[end[0]]) for end in arms if (end[0], -1 - end[1]) in free}
    tips = [end for end, length in short.items() if length <= SPUR * meeting.radius + 1.5]
    left = [end for end in arms if end not in tips]
    if len(arms) == 3 and len(left) == 3:
        for end, length in short.items():
            one, other = (rest for rest in arms if rest != end)
            cosine = float(arms[one] @ arms[other])
            half = max(((1 - cosine) / 2) ** 0.5, 0.05)  # the sine of half the angle between them
            if cosine > 0 and length <= TIP * meeting.radius / half + 1.5:
                return [(one, other)], [end], placed[end[0]][-1 - end[1]]
    if not left:
        return [], [], None
    if len(left) == 2 and tips:
        one, other = left
        sharp = arms[one] @ arms[other] > -STRAIGHT
        via = placed[tips[0][0]][-1 - tips[0][1]] if sharp and len(tips) == 1 else None
        return [(one, other)], tips, via
    pairs = []
    ranked = sorted((float(arms[a] @ arms[b]), a, b) for i, a in enumerate(left) for b in left[:i])
    for cosine, a, b in ranked:  # the straightest first
        last = len(left) == 2
        if a in left and b in left and cosine < (LAST if last else -STRAIGHT):
            pairs.append((a, b))
            left = [end for end in left if end not in (a, b)]
    return pairs, tips, None


def _arm(line: np.ndarray, side: int, meeting: Meeting) -> np.ndarray:
    """The direction in which a piece leaves its meeting, seen where it is out of its ink."""
    away = line if side == 0 else line[::-1]
    far = np.linalg.norm(away - meeting.middle, axis=1)
    out = int(np.argmax(far > meeting.radius)) if (far > meeting.radius).any() else len(away) // 2
    seen = away[out : out + max(4, round(2 * meeting.radius))]
    step = seen[-1] - seen[0] if len(seen) > 1 else away[-1] - meeting.middle
    return step / max(float(np.linalg.norm(step)), 1e-9)


def _cut(line: np.ndarray, side: int, meeting: Meeting, goes_on: bool) -> np.ndarray:
    """Without what the meeting has bent; a line that ends there ends in its middle."""
    away = line if side == 0 else line[::-1]
    far = np.linalg.norm(away - meeting.middle, axis=1) > meeting.radius
    kept = away[int(np.argmax(far)) if far.any() else len(away) // 2 :]
    if not goes_on:
        kept = np.concatenate([meeting.middle[None], kept])
    return kept if side == 0 else kept[::-1]


def _to_the_end(line: np.ndarray, free: list[End], distance: np.ndarray) -> np.ndarray:
    """Lengthened or shortened at its free ends: past the end of a line its field falls by 1 a pixel."""
    if len(line) < 3:
        return line
    line = line.copy()
    for _, side in free:
        back = line[min(4, len(line) - 1)] if side == 0 else line[-1 - min(4, len(line) - 1)]
        ahead = line[side] - back
        ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
        top, seen = _height(distance, np.stack([back, line[side] + 2 * ahead]))
        line[side] += np.clip(seen - top + 2, -0.9, 2) * ahead
    return line


def _chains(lines: dict[int, np.ndarray], partner: dict[End, End], corner: dict[End, np.ndarray]) -> list[np.ndarray]:
    """Follow the partners from every end that has none; what then is left are rings."""
    strokes, left = [], dict.fromkeys(lines)
    starts = [end for i in lines for end in ((i, 0), (i, -1)) if end not in partner]
    for start in [*starts, *((i, 0) for i in lines)]:
        if start[0] not in left:
            continue
        parts, here = [], start
        while True:
            del left[here[0]]
            parts.append(lines[here[0]] if here[1] == 0 else lines[here[0]][::-1])
            out = (here[0], -1 - here[1])
            if out not in partner:
                break
            if out in corner:
                parts.append(corner[out][None])
            here = partner[out]
            if here[0] not in left:
                parts.append(lines[start[0]][:1] if start[1] == 0 else lines[start[0]][-1:])
                break
        strokes.append(np.concatenate(parts))
    return strokes


def ordered(strokes: list[np.ndarray]) -> list[np.ndarray]:
    """The longest first, then always the one that begins (or ends: then it is turned) nearest to where the pen is."""
    if not strokes:
        return []
    left = list(strokes)
    longest = max(range(len(left)), key=lambda i: length(left[i]))
    drawn = [left.pop(longest)]
    while left:
        ends = np.array([[stroke[0], stroke[-1]] for stroke in left])
        far = np.linalg.norm(ends - drawn[-1][-1], axis=2)
        number, turned = divmod(int(far.argmin()), 2)
        stroke = left.pop(number)
        drawn.append(stroke[::-1] if turned else stroke)
    return drawn


def length(stroke: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum())
