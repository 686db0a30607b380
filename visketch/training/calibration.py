"""Calibration on validation scenes, and never on test scenes.

It chooses the thresholds of the matcher and of the recogniser, and the default predictor.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from visketch.language.answers import Predictor
from visketch.language.dataset.rows import InstructionRow, InstructionRows
from visketch.language.model import Pair, SketchLanguage

MOST = 400  # the most validation pairs that are used, sampled evenly
STEPS = 95  # the number of thresholds to try


def asked(rows: InstructionRows) -> list[InstructionRow]:
    """The rows of COUNT, or MOST of them, sampled evenly."""
    some = [row for row in rows if row.task == "COUNT"]
    return [some[place] for place in np.unique(np.linspace(0, len(some) - 1, min(MOST, len(some))).round().astype(int))]


def thresholds(model: SketchLanguage, rows: InstructionRows) -> dict[Predictor, float]:
    """The thresholds at which the matcher and the recogniser count right most often.

    The recogniser's is chosen in drawn scenes, if there are any. Of equally good thresholds, the middle one is taken,
    since it is furthest from the worse ones.
    """
    some = asked(rows)
    pairs = _looked_at(model, some, rows)
    chosen: dict[Predictor, float] = {}
    for by in ("matcher", "recogniser"):
        mine = [place for place, (_, scene) in enumerate(pairs) if by in model.available(scene)]
        if mine:
            every = model.match([pairs[place] for place in mine], by)
            sure = [[found.score for found in things] for _, things in every]
            chosen[by], _ = best(sure, np.array([len(some[place].boxes) for place in mine]))
    return chosen


def _looked_at(model: SketchLanguage, some: Sequence[InstructionRow], rows: InstructionRows) -> list[Pair]:
    names = list(dict.fromkeys(name for row in some for name in (row.sketch, row.scene)))
    seen = dict(zip(names, model.look([rows.folder / name for name in names]), strict=True))
    return [(seen[row.sketch], seen[row.scene]) for row in some]


def best(sure: Sequence[Sequence[float]], counts: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """The threshold above which the number of regions is right most often, and how often that is."""
    tried = np.linspace(0.02, 0.96, STEPS)
    found = np.array([[(np.array(some) >= least).sum() for some in sure] for least in tried])
    right = (found == counts).mean(axis=1)
    good = np.flatnonzero(right >= right.max() - 1e-9)
    return float(tried[good[len(good) // 2]]), float(right.max())


def better(model: SketchLanguage, rows: InstructionRows) -> dict[str, float]:
    """How often the language model counts right, and how often the default predictor without it does.

    Returns nothing if there are no rows of COUNT.
    """
    some = asked(rows)
    if not some:
        return {}
    pairs = _looked_at(model, some, rows)
    told = {"language": model.find(pairs, "language")}
    if model.matcher:
        told["matcher"] = [model.find([pair], model.fallback(pair[1]))[0] for pair in pairs]
    return {
        by: sum(getattr(one, "count", None) == len(row.boxes) for one, row in zip(found, some, strict=True)) / len(some)
        for by, found in told.items()
    }
