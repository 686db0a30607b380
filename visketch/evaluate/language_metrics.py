"""The metrics of answers to questions that are asked with a sketch, after O3SLM's protocols (arXiv 2511.14368).

Counting and closed questions are measured by exact match, and detection by the boxes that are found at an overlap.
Retrieval is measured by mAP and by precision at K. (The paper calls this Acc@K, but its values fall with K, so they are
precisions.) Each metric has two baselines: always the most frequent answer, and chance. Rows are those of `visketch
language prepare`. Answers are already parsed, and are in the order of the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment

from visketch.language.boxes import overlaps
from visketch.language.dataset.rows import InstructionRow

Box = Sequence[float]
Some = TypeVar("Some")

OVERLAPS = np.arange(0.5, 1.0, 0.05)  # COCO's thresholds of intersection over union
RANKS = (1, 5, 10)
# An object is medium or large from these shares of the picture on: COCO's 32² and 96² pixels of 640 x 480. Objects of
# composed scenes are larger.
SIZES = {"coco": (0.0033, 0.03)}
SIZES_COMPOSED = (0.04, 0.1)


@dataclass(frozen=True)
class ExactMetrics:
    """How many answers are right, as shares of 1.

    `majority` is the result of always giving the most frequent answer, `chance` that of a random one.
    """

    rows: int
    right: float
    majority: float
    chance: float


@dataclass(frozen=True)
class DetectionMetrics:
    """The metrics of boxes, as shares of 1.

    `accuracy_50` is the share of true boxes that are found, each by a box of its own, at an overlap of 0.5. `accuracy`
    is its mean over overlaps of 0.5 to 0.95. `small`, `medium` and `large` are the same for objects of a size, or None
    if there are none. `precision_50` is the share of answered boxes that match a true one. `none_right` is the share of
    the rows without a true box that also have no answered one. `majority_50` is the result of always answering the mean
    box, `chance_50` that of answering the boxes of another row.
    """

    rows: int
    boxes: int
    accuracy: float
    accuracy_50: float
    precision_50: float
    small: float | None
    medium: float | None
    large: float | None
    none_right: float | None
    majority_50: float
    chance_50: float


@dataclass(frozen=True)
class RetrievalMetrics:
    """The metrics of ranked galleries.

    `precision` is given at each of RANKS. `chance` is the share of relevant scenes in a gallery.
    """

    queries: int
    gallery: int
    precision: dict[int, float]
    mean_average_precision: float
    chance: float


@dataclass(frozen=True)
class Gallery:
    """A sketch, the scenes among which its class is searched, and which of them show it."""

    row: InstructionRow  # one of the rows with this sketch
    scenes: tuple[str, ...]
    wanted: Bool[np.ndarray, " n"] = field(compare=False)


def exact(truth: Sequence[Hashable], answers: Sequence[Hashable], groups: Sequence[str] | None = None) -> ExactMetrics:
    """The shares of answers that equal the truth.

    `groups` names kinds of questions, each of which has its own most frequent answer and chance. Chance is the accuracy
    of answers that are drawn with the frequencies of the true ones. Raises ValueError if the lengths differ.
    """
    by_group: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for group, true in zip(groups or [""] * len(truth), truth, strict=True):
        by_group[group][true] += 1
    right = sum(true == answer for true, answer in zip(truth, answers, strict=True))
    common = sum(max(counts.values()) for counts in by_group.values())
    chance = sum(sum(n * n for n in counts.values()) / counts.total() for counts in by_group.values())
    rows = len(truth)
    return ExactMetrics(rows, *(value / rows if rows else 0.0 for value in (right, common, chance)))


def counting(rows: Sequence[InstructionRow], counts: Sequence[int | None]) -> ExactMetrics:
    """The metrics of exact counts. None means that there is no answer."""
    return exact([len(row.boxes) for row in rows], counts)


def questions(rows: Sequence[InstructionRow], texts: Sequence[str]) -> ExactMetrics:
    """The metrics of closed questions, by the text of the answers, ignoring case, spaces and a full stop.

    Each kind of question has its own most frequent answer.
    """
    kinds = [row.question or row.task for row in rows]
    return exact([_plain(row.answer) for row in rows], [_plain(text) for text in texts], kinds)


def _plain(text: str) -> str:
    return " ".join(text.casefold().removesuffix(".").split())


def detection(rows: Sequence[InstructionRow], boxes: Sequence[Sequence[Box]]) -> DetectionMetrics:
    """The metrics of any number of answered boxes for each row, in shares of the scene's sides."""
    truth = [row.boxes for row in rows]
    found = [_found(true, given) for true, given in zip(truth, boxes, strict=True)]
    sizes = [_size(row.kind, box) for row in rows for box in row.boxes]
    hits = np.concatenate([np.zeros((0, len(OVERLAPS)), bool), *found])
    total, answered = len(hits), sum(len(given) for given in boxes)
    by_size = {size: hits[np.array(sizes) == size] for size in ("small", "medium", "large")} if total else {}
    none = [not given for true, given in zip(truth, boxes, strict=True) if not true]
    flat = np.array([box for true in truth for box in true]).reshape(-1, 4)
    usual = [flat.mean(axis=0).tolist()] if total else []
    shown = [true for true in truth if true]
    further = shown[len(shown) // 2 :] + shown[: len(shown) // 2]  # neighbouring rows may show the same scene
    return DetectionMetrics(
        rows=len(rows),
        boxes=total,
        accuracy=_mean(hits) or 0.0,
        accuracy_50=_mean(hits[:, 0]) or 0.0,
        precision_50=float(hits[:, 0].sum()) / answered if answered else 0.0,
        small=_mean(by_size.get("small", ())),
        medium=_mean(by_size.get("medium", ())),
        large=_mean(by_size.get("large", ())),
        none_right=_mean(none),
        majority_50=_mean([hit for true in shown for hit in _found(true, usual)[:, 0]]) or 0.0,
        chance_50=_mean([hit for true, other in zip(shown, further, strict=True) for hit in _found(true, other)[:, 0]])
        or 0.0,
    )


def _mean(some: Any) -> float | None:
    return float(np.mean(some)) if len(some) else None


def _size(kind: str, box: Box) -> str:
    area = (box[2] - box[0]) * (box[3] - box[1])
    medium, large = SIZES.get(kind, SIZES_COMPOSED)
    return "small" if area < medium else "medium" if area < large else "large"


def _found(true: Sequence[Box], given: Sequence[Box]) -> Bool[np.ndarray, "n o"]:
    """Which true boxes are found at each of OVERLAPS: the largest possible number, each by a box of its own."""
    hits = np.zeros((len(true), len(OVERLAPS)), bool)
    if len(true) and len(given):
        shared = overlaps(np.array(true, float), np.array(given, float))
        for column, least in enumerate(OVERLAPS):
            near = shared >= least - 1e-9
            rows, columns = linear_sum_assignment(near + 1e-3 * shared, maximize=True)
            hits[rows, column] = near[rows, columns]
    return hits


def galleries(
    rows: Sequence[InstructionRow],
    size: int = 100,
    queries: int = 100,
    among: Sequence[InstructionRow] = (),
    seed: int = 0,
) -> list[Gallery]:
    """Sketches, each with the scenes among which its class is searched.

    There are `size` scenes, the same for all sketches; they come from `among` or else from the rows. The classes take
    turns. Each sketch has at least one relevant scene, and none that was composed of the sketch itself.
    """
    rng = np.random.default_rng(seed)
    shows = {row.scene: {label for label, _ in row.objects} for row in among or rows}
    made_of = {row.scene: set(row.scene_of) for row in among or rows}
    scenes = [str(scene) for scene in rng.permutation(sorted(shows))[:size]]
    sketches: dict[str, dict[str, InstructionRow]] = defaultdict(dict)
    for row in rows:
        sketches[row.label].setdefault(row.sketch, row)
    turns = [[(turn, row) for turn, row in enumerate(_shuffled([*some.values()], rng))] for some in sketches.values()]
    found = []
    for _, row in sorted((pair for some in turns for pair in some), key=lambda pair: pair[0]):
        own = tuple(scene for scene in scenes if row.sketch_of not in made_of[scene])
        wanted = np.array([row.label in shows[scene] for scene in own], bool)
        if wanted.any():
            found.append(Gallery(row, own, wanted))
    return found[:queries]


def _shuffled(some: list[Some], rng: np.random.Generator) -> list[Some]:
    return [some[int(place)] for place in rng.permutation(len(some))]


def retrieval(galleries: Sequence[Gallery], scores: Sequence[Float[np.ndarray, " n"]]) -> RetrievalMetrics:
    """Rank the scenes of each gallery by their scores, the highest first. Equal scores keep their random order."""
    precision: dict[int, list[float]] = {rank: [] for rank in RANKS}
    averages = []
    for gallery, score in zip(galleries, scores, strict=True):
        ranked = gallery.wanted[np.argsort(-np.asarray(score, float), kind="stable")]
        averages.append(float((np.cumsum(ranked) / np.arange(1, len(ranked) + 1))[ranked].mean()))
        for rank in RANKS:
            precision[rank].append(float(ranked[:rank].mean()))
    return RetrievalMetrics(
        queries=len(galleries),
        gallery=max((len(gallery.scenes) for gallery in galleries), default=0),
        precision={rank: _mean(values) or 0.0 for rank, values in precision.items()},
        mean_average_precision=_mean(averages) or 0.0,
        chance=_mean([gallery.wanted.mean() for gallery in galleries]) or 0.0,
    )


def split_up(rows: Sequence[InstructionRow]) -> dict[str, list[int]]:
    """The positions of the rows by kind of scene and by classes that training saw or did not see. If there are several
    styles, also by style.
    """
    parts: dict[str, list[int]] = defaultdict(list)
    styles: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        styles[_part(row)].add(row.style)
    for place, row in enumerate(rows):
        parts[_part(row)].append(place)
        if len(styles[_part(row)]) > 1:
            parts[f"{_part(row)}, {row.style}"].append(place)
    return dict(sorted(parts.items()))


def _part(row: InstructionRow) -> str:
    return f"{row.kind}, {'seen' if row.seen else 'unseen'} classes"


def scenes_for(part: str, rows: Sequence[InstructionRow], size: int) -> list[InstructionRow]:
    """The rows whose scenes are searched with the sketches of a part, whatever the style.

    They are of the same kind and have the same classes as the part. If these are too few, only the kind is the same.
    """
    kind, classes = part.split(", ")[:2]
    same = [row for row in rows if _part(row) == f"{kind}, {classes}"]
    return same if len({row.scene for row in same}) >= size else [row for row in rows if row.kind == kind]


def by_part(
    rows: Sequence[InstructionRow], answers: Sequence[Some], measure: Callable[[list[InstructionRow], list[Some]], Any]
) -> dict:
    """Measure every part of the rows (`split_up`)."""
    return {
        name: measure([rows[place] for place in places], [answers[place] for place in places])
        for name, places in split_up(rows).items()
    }
