"""What is chosen on validation scenes, never on tests: how sure the matcher must be, and who answers by default."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from visketch.language.features import look
from visketch.language.matcher import Matcher
from visketch.language.model import SketchLanguage
from visketch.language.pictures import read
from visketch.language.rows import Row, Rows
from visketch.language.tower import PairTower

MOST = 400  # validation pairs that are asked, an even sample
STEPS = 95  # thresholds that are tried

Tokens = dict[str, Float[Tensor, "t e"]]


def asked(rows: Rows) -> list[Row]:
    """The rows of COUNT, or as many of them as are enough."""
    some = [row for row in rows if row.task == "COUNT"]
    return [some[place] for place in np.unique(np.linspace(0, len(some) - 1, min(MOST, len(some))).round().astype(int))]


def threshold(tower: PairTower, labels: list[str], rows: Rows, canvas: int) -> tuple[float, float]:
    """How sure the matcher must be to count right most often, and how often that is.

    Of thresholds that are as good the middle one, which stands furthest from being wrong.
    """
    some = asked(rows)
    names = list(dict.fromkeys(name for row in some for name in (row.sketch, row.scene)))
    tokens: Tokens = {}
    for first in range(0, len(names), 64):
        part = names[first : first + 64]
        squares = [read(rows.folder / name, canvas).square for name in part]
        tokens |= zip(part, look(tower, squares), strict=True)
    matcher = Matcher(tower, labels)
    sure = [[found.sure for found in matcher.match(tokens[row.sketch], tokens[row.scene])[1]] for row in some]
    return best(sure, np.array([len(row.boxes) for row in some]))


def best(sure: Sequence[Sequence[float]], counts: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """The threshold above which there are most often as many as there should be, and how often."""
    tried = np.linspace(0.02, 0.96, STEPS)
    found = np.array([[(np.array(some) >= least).sum() for some in sure] for least in tried])
    right = (found == counts).mean(axis=1)
    good = np.flatnonzero(right >= right.max() - 1e-9)
    return float(tried[good[len(good) // 2]]), float(right.max())


def better(model: SketchLanguage, rows: Rows) -> dict[str, float]:
    """How often each that can answer counts right."""
    some = asked(rows)
    names = list(dict.fromkeys(name for row in some for name in (row.sketch, row.scene)))
    seen = dict(zip(names, model.look([rows.folder / name for name in names]), strict=True))
    pairs = [(seen[row.sketch], seen[row.scene]) for row in some]
    counts = {by: [getattr(answer, "count", None) for answer in model.find(pairs, by)] for by in model.able()}
    wanted = [len(row.boxes) for row in some]
    return {
        by: sum(one == other for one, other in zip(told, wanted, strict=True)) / len(wanted)
        for by, told in counts.items()
    }
