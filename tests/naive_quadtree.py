"""A textbook quadtree with nodes and recursion, for one sketch at a time. It is slow, and shares no code with
visketch/quadtree.py, which is tested and timed against it.

A *place* is (level, row, column): which square of the level's grid. All canvases are (h h) numpy arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

Place = tuple[int, int, int]


@dataclass
class Node:
    level: int
    row: int
    column: int
    rich: bool  # whether the tile holds more information than the threshold
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.level, self.row, self.column


def square(place: Place, canvas: int) -> tuple[slice, slice]:
    """The rows and columns of the canvas that a place covers."""
    level, row, column = place
    side = canvas >> level
    return slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)


def grow(
    canvas: np.ndarray,
    depth: int,
    near: float,
    threshold: float,
    levels: int,
    place: Place = (0, 0, 0),
    parent: Node | None = None,
) -> Node:
    """The tree below a place. A tile is split while more than `threshold` of its area is above `-near`, `depth` times
    at most.

    A window, which lies `levels` above the finest tiles or is coarser, is split while there is anything in it.
    """
    share = np.mean(canvas[square(place, len(canvas))] > -near)
    rich = share > (threshold if place[0] > depth - levels else 0)
    node = Node(*place, rich=bool(rich), parent=parent)
    if rich and node.level < depth:
        for below in children(place):
            node.children.append(grow(canvas, depth, near, threshold, levels, below, node))
    return node


def children(place: Place) -> list[Place]:
    level, row, column = place
    return [(level + 1, 2 * row + down, 2 * column + right) for down in (0, 1) for right in (0, 1)]


def leaves(node: Node) -> Iterator[Node]:
    """The leaves below a node, along the Z-curve."""
    if not node.children:
        yield node
    for child in node.children:
        yield from leaves(child)


def context(node: Node, levels: int) -> list[Place | None]:
    """The root, and then for every level the 3 x 3 places around the node's ancestor at that level. A place is None
    where there is none.

    In a deeper tree, an ancestor `levels` above the node takes the place of the root, and the levels are those below
    it.
    """
    ancestors: list[Node] = [node]
    while ancestors[0].parent is not None and len(ancestors) <= levels:
        ancestors.insert(0, ancestors[0].parent)
    slots: list[Place | None] = [ancestors[0].place]
    for step in range(1, levels + 1):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if step >= len(ancestors):
                    slots.append(None)
                    continue
                level, row, column = ancestors[step].level, ancestors[step].row + down, ancestors[step].column + right
                inside = 0 <= row < 2**level and 0 <= column < 2**level
                slots.append((level, row, column) if inside else None)
    return slots


def all_places(depth: int, place: Place = (0, 0, 0)) -> Iterator[Place]:
    """Every tile down to `depth`."""
    yield place
    if place[0] < depth:
        for below in children(place):
            yield from all_places(depth, below)


@cache
def z(place: Place) -> int:
    """The position of a place on the Z-curve of its level."""
    level, row, column = place
    return 0 if level == 0 else 4 * z((level - 1, row // 2, column // 2)) + 2 * (row % 2) + column % 2


@cache
def number(place: Place) -> int:
    """The number of a tile among all tiles. Coarser levels come first."""
    return sum(4**level for level in range(place[0])) + z(place)


def finished(ranks: dict[Place, int], depth: int) -> dict[Place, int]:
    """For every tile, the greatest rank of a leaf that touches it, or -1 if none does. It is found by colouring the
    finest grid.
    """
    grid = np.full((2**depth, 2**depth), -1)
    for place, rank in ranks.items():
        grid[square(place, 2**depth)] = rank
    return {place: int(grid[square(place, 2**depth)].max()) for place in all_places(depth)}


def enlarge(patch: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a patch bilinearly, pixel by pixel. Centres are at halves, and the border is repeated."""
    side = len(patch)
    result = np.empty((side * scale, side * scale))
    for row in range(side * scale):
        for column in range(side * scale):
            y, x = (np.clip((i + 0.5) / scale - 0.5, 0, side - 1) for i in (row, column))
            top, left = int(y), int(x)
            below, right = min(top + 1, side - 1), min(left + 1, side - 1)
            upper = patch[top, left] * (1 - x + left) + patch[top, right] * (x - left)
            lower = patch[below, left] * (1 - x + left) + patch[below, right] * (x - left)
            result[row, column] = upper * (1 - y + top) + lower * (y - top)
    return result
