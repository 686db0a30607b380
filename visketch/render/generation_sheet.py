"""The sheet of a generation table: judged sketches, with the rows of the table as rows and the classes as columns."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from visketch.config import SketchConfig
from visketch.render.grey import grey
from visketch.render.poster import EDGE, INK, Page

if TYPE_CHECKING:
    from torch import Tensor

ACROSS = 2  # columns and rows of sketches in a cell
SIDE, GAP, LEFT, TOP = 96, 20, 190, 40  # pixels: a sketch, between cells, for the captions


class GenerationSheet:
    """Collects the first sketches of every row and class, as pictures."""

    def __init__(self, shape: SketchConfig) -> None:
        self.shape = shape
        self.kept: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)

    def __call__(self, row: str, place: int, canvas: "Tensor") -> None:
        kept = self.kept[row, place]
        if len(kept) < ACROSS**2:
            kept.extend(grey(canvas[: ACROSS**2 - len(kept)], self.shape.at(canvas.shape[-1]).clamp, SIDE))

    def pixels(self, classes: Sequence[str], rows: Sequence[tuple[str, str]]) -> np.ndarray:
        """The sheet (rows columns 3) uint8, in which each row has its name and a caption."""
        cell = ACROSS * SIDE + GAP
        page = Page(2 * EDGE + LEFT + len(classes) * cell, 2 * EDGE + TOP + len(rows) * cell)
        for place, name in enumerate(classes):
            page.write((EDGE + LEFT + place * cell + ACROSS * SIDE // 2, EDGE), name, 19, INK, "ma")
        for number, (name, caption) in enumerate(rows):
            top = EDGE + TOP + number * cell
            page.write((EDGE, top + SIDE - 12), name, 17, INK)
            page.write((EDGE, top + SIDE + 12), caption)
            for place in range(len(classes)):
                for count, picture in enumerate(self.kept[name, place]):
                    down, right = divmod(count, ACROSS)
                    page.put((EDGE + LEFT + place * cell + right * SIDE, top + down * SIDE), picture, SIDE)
        return np.asarray(page.image)
