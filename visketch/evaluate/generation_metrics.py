"""The metrics of a row of the generation table, from the outputs of the judge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int

from visketch.metrics import (
    coverage,
    diversity,
    frechet_to,
    interval,
    kernel_distance,
    nearest,
    rank_of,
    spread,
    two_sample,
)

SETS = 20  # random sets of sketches over which a distance is averaged
FEWEST = 20  # the least number of sketches for a likeness
LIKENESS_SETS = 5  # random sets for a likeness, and seeds of the two-sample test's folds
HALVES = 50  # random halves for a standard error


@dataclass(frozen=True)
class JudgeOutputs:
    """The outputs of the judge for sketches (i), with their classes in the order of the table."""

    logits: Float[np.ndarray, "i c"]
    features: Float[np.ndarray, "i e"]
    seam: Float[np.ndarray, " i"]  # not from the judge: in shares of the pen's width
    place: Int[np.ndarray, " i"]


@dataclass(frozen=True)
class Proportion:
    """A share of the sketches, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measure:
    """A figure with its standard error, which is None for fewer than four sketches of a class."""

    value: float
    error: float | None


@dataclass(frozen=True)
class Cost:
    """The cost of a sketch; None for rows that were not drawn here, or not refined."""

    seconds: float | None  # from the class to the sketch
    steps: float | None  # steps of the refiner, shared by the sketches of a batch


NOTHING = Cost(None, None)


@dataclass(frozen=True)
class OfClass:
    """The figures of one class."""

    top1_among: Proportion
    top1: Proportion


@dataclass(frozen=True)
class GenerationRow:
    row: str
    sketches: int
    top1_among: Proportion  # the judge's best among the drawn classes is right
    top3_among: Proportion
    top1: Proportion  # its best among all classes it knows is right
    fid: Measure  # distance to the training drawings
    kid: Measure
    diversity: Measure
    nearest: Measure  # mean distance to the nearest training drawing
    likeness: "Likeness | None"  # to real drawings that no training saw; None if there are too few
    seam: Measure  # the jump of the field where leaves meet, in shares of the pen's width; 0 for a drawing
    seconds: float | None  # this and the next as in Cost
    steps: float | None
    by_class: list[OfClass]  # in the order of the table


@dataclass(frozen=True)
class Likeness:
    """How similar a row's sketches and held-out real drawings are, equally many of each; means over random sets."""

    precision: Measure  # the share of the sketches that lie among the real drawings
    recall: Measure  # the share of the real drawings that lie among the sketches
    c2st: Measure  # the accuracy of a linear classifier that tells them apart: 0.5 is best

    @classmethod
    def between(cls, real: JudgeOutputs, made: JudgeOutputs, each: int, seed: int) -> "Likeness | None":
        """`each`: how many of a class are compared. The errors are the spread over sets of sketches.

        None for fewer than FEWEST sketches, for which the figures would have no meaning.
        """
        if each * len(np.unique(real.place)) < FEWEST:
            return None
        found = []
        for number in range(LIKENESS_SETS):
            ours, theirs = (said.features[subset(said.place, each, seed + number)] for said in (made, real))
            precision, recall = coverage(theirs, ours)
            found.append((precision.mean(), recall.mean(), two_sample(theirs, ours, seed + number).mean()))
        return cls(*(Measure(float(np.mean(values)), float(np.std(values))) for values in zip(*found, strict=True)))


class Reference:
    """The training drawings for comparison: all of them, and a subset with equally many of each class."""

    def __init__(self, training: JudgeOutputs, seed: int) -> None:
        self.all = training.features
        self.even = self.all[subset(training.place, int(np.bincount(training.place).min()), seed)]
        self.frechet = frechet_to(self.even)


def measure(
    row: str,
    outputs: JudgeOutputs,
    classes: np.ndarray,
    reference: Reference,
    likeness: Likeness | None,
    each: int,
    cost: Cost,
    seed: int,
) -> GenerationRow:
    """`classes`: the judge's numbers of the drawn classes. `each`: the number of sketches of a class for FID."""
    features, place = outputs.features, outputs.place
    error: Callable[..., float | None] = partial(spread, labels=place, seed=seed, samples=HALVES)

    def fid(rows: np.ndarray) -> float:
        return reference.frechet(features[rows])

    def kid(rows: np.ndarray, sets: int = 1) -> float:
        return kernel_distance(features[rows], reference.even, sets, seed=seed)[0]

    def varied(rows: np.ndarray) -> float:
        return diversity(features[rows], place[rows])

    def mean(values: np.ndarray) -> Measure:
        return Measure(float(values.mean()), error(lambda rows: float(values[rows].mean())))

    every = np.arange(len(place))
    sets = SETS if len(place) > each * len(classes) else 1  # the smallest row has only one set
    return GenerationRow(
        row,
        len(place),
        share(outputs.logits[:, classes], place, 1, seed),
        share(outputs.logits[:, classes], place, 3, seed),
        share(outputs.logits, classes[place], 1, seed),
        Measure(float(np.mean([fid(subset(place, each, seed + number)) for number in range(sets)])), error(fid)),
        Measure(kid(every, SETS), error(kid)),
        Measure(varied(every), error(varied)),
        mean(nearest(features, reference.all)),
        likeness,
        mean(outputs.seam),
        cost.seconds,
        cost.steps,
        [of_class(outputs.logits[place == number], classes, number, seed) for number in range(len(classes))],
    )


def of_class(logits: Float[np.ndarray, "i c"], classes: Int[np.ndarray, " j"], number: int, seed: int) -> OfClass:
    """The figures of the sketches of one class, the given one of `classes`."""
    right = np.full(len(logits), number)
    return OfClass(share(logits[:, classes], right, 1, seed), share(logits, classes[right], 1, seed))


def share(logits: Float[np.ndarray, "i c"], right: Int[np.ndarray, " i"], first: int, seed: int) -> Proportion:
    """How often the right class is among the best `first`."""
    hits = (rank_of(torch.from_numpy(logits), torch.from_numpy(right)) < first).double().numpy()
    return Proportion(float(hits.mean()), *interval(hits, seed))


def subset(labels: Int[np.ndarray, " i"], each: int, seed: int) -> Int[np.ndarray, " j"]:
    """The numbers of `each` random rows of every class."""
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(np.flatnonzero(labels == label), each, replace=False) for label in np.unique(labels)]
    return np.concatenate(chosen)
