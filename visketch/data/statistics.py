"""Statistics of a packed data set."""

from dataclasses import dataclass

import numpy as np

from visketch.data.folder import SPLITS
from visketch.data.store import Store


@dataclass(frozen=True)
class Statistics:
    """`classes`: class → split → number of drawings. `strokes`, `points`: "mean" and "median", without rasters."""

    drawings: int
    rasters: int
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    strokes: dict[str, float]
    points: dict[str, float]


def statistics(store: Store) -> Statistics:
    """The number of drawings of each class and split, and the strokes and points of a drawing."""
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
