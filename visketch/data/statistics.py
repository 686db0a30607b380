"""Statistics of a packed data set."""

from dataclasses import dataclass

import numpy as np

from visketch.data.folder import SPLITS
from visketch.data.store import Store


@dataclass(frozen=True)
class Statistics:
    """How many drawings a data set has, and how large they are.

    `classes` gives the number of drawings for each class and split. `strokes` and `points` hold the "mean" and the
    "median" of a drawing; rasters do not count.
    """

    drawings: int
    rasters: int
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    strokes: dict[str, float]
    points: dict[str, float]


def statistics(store: Store) -> Statistics:
    """Count the drawings of each class and split, and the strokes and points of a drawing."""
    table = np.bincount(
        store.label.astype(np.int64) * len(SPLITS) + store.split, minlength=len(store.labels) * len(SPLITS)
    )
    table = table.reshape(len(store.labels), len(SPLITS))
    strokes, points = store.sizes()
    vector = strokes > 0
    return Statistics(
        drawings=len(store),
        rasters=int((~vector).sum()),
        splits=dict(zip(SPLITS, table.sum(axis=0).tolist(), strict=True)),
        classes={
            label: dict(zip(SPLITS, row, strict=True)) for label, row in zip(store.labels, table.tolist(), strict=True)
        },
        strokes=_middle(strokes[vector]),
        points=_middle(points[vector]),
    )


def _middle(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {"mean": 0.0, "median": 0.0}
    return {"mean": float(values.mean()), "median": float(np.median(values))}
