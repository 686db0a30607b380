"""Join the pieces of a skeleton into strokes: decide at each junction which piece continues which."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

STRAIGHT = math.cos(math.radians(60))  # two lines that meet continue each other if the turn is smaller than this
SPUR = 0.5  # a side branch shorter than this many half pens is only the edge of a thick line
TIP = 1.2  # two lines at a sharp angle merge before they meet; the merged tip may be this much longer
NEAR = 0.8  # junctions closer together than this many pens count as one
BRIDGE = 2.5  # the same limit for the two junctions of two lines that cross at a flat angle
FORWARD = math.cos(math.radians(60))  # crossing lines leave a bridge at no greater angle than this
LAST = 0.3  # if an even number of lines meet, the last two continue each other unless they turn back

End = tuple[int, int]  # an end of a piece: the number of the piece, and 0 for its first point or -1 for its last


@dataclass(frozen=True)
class Meeting:
    """A place where three or more pieces meet, or several such places so close together that they count as one."""

    ends: list[End]
    middle: np.ndarray  # (2)
    radius: float  # the reach of the ink; within it, the other lines bend the ridge


def joined(pieces: list[np.ndarray], placed: list[np.ndarray], distance: np.ndarray) -> list[np.ndarray]:
    """Join pieces into strokes, each (points, 2).

    `pieces` are lines of pixels, `placed` are the same lines on the ridge, and `distance` is the distance of each pixel
    to the edge of the ink.
    """
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
    """The meetings, the pieces that lie within one, and the free ends of the pieces."""
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
    """Whether a piece is the shared part of two crossing lines: at each of its ends, two lines continue forward."""
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
    """Decide which ends at a meeting belong together.

    Returns the pairs of ends that continue each other, the pieces that are only the point of a tip, and the corner of
    the tip.
    """
    arms = {end: _arm(placed[end[0]], end[1], meeting) for end in meeting.ends}
    short = {end: len(placed[end[0]]) for end in arms if (end[0], -1 - end[1]) in free}
    tips = [end for end, length in short.items() if length <= SPUR * meeting.radius + 1.5]
    left = [end for end in arms if end not in tips]
    if len(arms) == 3 and len(left) == 3:
        for end, length in short.items():
            one, other = (rest for rest in arms if rest != end)
            cosine = float(arms[one] @ arms[other])
            half = max((max(1 - cosine, 0.0) / 2) ** 0.5, 0.05)  # the sine of half the angle between them
            if cosine > 0 and length <= TIP * meeting.radius / half + 1.5:
                return [(one, other)], [end], placed[end[0]][-1 - end[1]]
    if not left:  # a dot, of which one piece remains
        return [], tips[1:], None
    if len(left) == 2 and tips:
        one, other = left
        sharp = arms[one] @ arms[other] > -STRAIGHT
        via = placed[tips[0][0]][-1 - tips[0][1]] if sharp and len(tips) == 1 else None
        return [(one, other)], tips, via
    pairs = []
    ranked = sorted((float(arms[a] @ arms[b]), a, b) for i, a in enumerate(left) for b in left[:i])
    for cosine, a, b in ranked:  # the straightest pair comes first
        last = len(left) == 2
        if a in left and b in left and cosine < (LAST if last else -STRAIGHT):
            pairs.append((a, b))
            left = [end for end in left if end not in (a, b)]
    return pairs, tips, None


def _arm(line: np.ndarray, side: int, meeting: Meeting) -> np.ndarray:
    """The direction in which a piece leaves its meeting, measured outside the ink of the meeting."""
    away = line if side == 0 else line[::-1]
    far = np.linalg.norm(away - meeting.middle, axis=1)
    out = int(np.argmax(far > meeting.radius)) if (far > meeting.radius).any() else len(away) // 2
    seen = away[out : out + max(4, round(2 * meeting.radius))]
    step = seen[-1] - seen[0] if len(seen) > 1 else away[-1] - meeting.middle
    return step / max(float(np.linalg.norm(step)), 1e-9)


def _cut(line: np.ndarray, side: int, meeting: Meeting, goes_on: bool) -> np.ndarray:
    """The line without the part that the meeting has bent. A line that ends in the meeting ends in its middle."""
    away = line if side == 0 else line[::-1]
    far = np.linalg.norm(away - meeting.middle, axis=1) > meeting.radius
    kept = away[int(np.argmax(far)) if far.any() else len(away) // 2 :]
    if not goes_on:
        kept = np.concatenate([meeting.middle[None], kept])
    return kept if side == 0 else kept[::-1]


def _to_the_end(line: np.ndarray, free: list[End], distance: np.ndarray) -> np.ndarray:
    """The line, lengthened or shortened at its free ends.

    Beyond the end of a line, the field falls by 1 for each pixel.
    """
    if len(line) < 3:
        return line
    line = line.copy()
    for _, side in free:
        back = line[min(4, len(line) - 1)] if side == 0 else line[-1 - min(4, len(line) - 1)]
        ahead = line[side] - back
        ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
        top, seen = height(distance, np.stack([back, line[side] + 2 * ahead]))
        line[side] += np.clip(seen - top + 2, -0.9, 2) * ahead
    return line


def _chains(lines: dict[int, np.ndarray], partner: dict[End, End], corner: dict[End, np.ndarray]) -> list[np.ndarray]:
    """Follow the partners from every end that has none. The lines that are left are rings."""
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


def height(distance: np.ndarray, points: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(distance, points.T[::-1], order=1, mode="nearest")
