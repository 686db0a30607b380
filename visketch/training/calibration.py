"""Calibration on validation scenes, never on tests: the least scores of the matcher and the recogniser, and who answers
by default.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from visketch.language.answers import Predictor
from visketch.language.dataset.rows import InstructionRow, InstructionRows
from visketch.language.model import Pair, SketchLanguage

MOST = 400  # validation pairs that are asked, an even sample
STEPS = 95  # thresholds that are tried


def asked(rows: InstructionRows) -> list[InstructionRow]:
    """The rows of COUNT, or as many of them as are enough."""
    some = [row for row in rows if row.task == "COUNT"]
    return [some[place] for place in np.unique(np.linspace(0, len(some) - 1, min(MOST, len(some))).round().astype(int))]


def thresholds(model: SketchLanguage, rows: InstructionRows) -> dict[Predictor, float]:
    """How sure the matcher and the recogniser must be to count right most often; the latter in drawn scenes, if any.

    Of thresholds that are as good the middle one, which stands furthest from being wrong.
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
    """The threshold above which there are most often as many as there should be, and how often."""
    tried = np.linspace(0.02, 0.96, STEPS)
    found = np.array([[(np.array(some) >= least).sum() for some in sure] for least in tried])
    right = (found == counts).mean(axis=1)
    good = np.flatnonzero(right >= right.max() - 1e-9)
    return float(tried[good[len(good) // 2]]), float(right.max())


def better(model: SketchLanguage, rows: InstructionRows) -> dict[str, float]:
    """How often the language model counts right, and how often who would answer without it."""
    some = asked(rows)
    pairs = _looked_at(model, some, rows)
    told = {"language": model.find(pairs, "language")}
    if model.matcher:
        told["matcher"] = [model.find([pair], model.fallback(pair[1]))[0] for pair in pairs]
    return {
        by: sum(getattr(one, "count", None) == len(row.boxes) for one, row in zip(found, some, strict=True)) / len(some)
        for by, found in told.items()
    }
