"""Compute the metrics of a row of the generation table from the outputs of the judge."""

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

SETS = 20  # the number of random sets of sketches over which a distance is averaged
FEWEST = 20  # the least number of sketches for which a likeness is computed
LIKENESS_SETS = 5  # the number of random sets for a likeness, and of seeds for the folds of the two-sample test
HALVES = 50  # the number of random halves for a standard error


@dataclass(frozen=True)
class JudgeOutputs:
    """The outputs of the judge for i sketches, with their classes in the order of the table."""

    logits: Float[np.ndarray, "i c"]
    features: Float[np.ndarray, "i e"]
    seam: Float[np.ndarray, " i"]  # this is not from the judge; it is in shares of the pen's width
    place: Int[np.ndarray, " i"]


@dataclass(frozen=True)
class Proportion:
    """A share of the sketches, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measure:
    """A figure with its standard error. The error is None if a class has fewer than four sketches."""

    value: float
    error: float | None


@dataclass(frozen=True)
class Cost:
    """The cost of a sketch. It is None for rows that were not drawn here, or not refined."""

    seconds: float | None  # the time from the class to the sketch
    steps: float | None  # the steps of the refiner, which the sketches of a batch share


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
    top1_among: Proportion  # how often the judge's best guess among the drawn classes is right
    top3_among: Proportion
    top1: Proportion  # how often its best guess among all classes that it knows is right
    fid: Measure  # the distance to the training drawings
    kid: Measure
    diversity: Measure
    nearest: Measure  # the mean distance to the nearest training drawing
    likeness: "Likeness | None"  # the likeness to real drawings that no training saw; None if there are too few
    seam: Measure  # the jump of the field where leaves meet, in shares of the pen's width; 0 for a drawing
    seconds: float | None  # this field and the next are as in Cost
    steps: float | None
    by_class: list[OfClass]  # in the order of the table


@dataclass(frozen=True)
class Likeness:
    """How similar the sketches of a row are to as many held-out real drawings. Figures are means over random sets."""

    precision: Measure  # the share of the sketches that lie among the real drawings
    recall: Measure  # the share of the real drawings that lie among the sketches
    c2st: Measure  # the accuracy of a linear classifier that tells them apart; 0.5 is best

    @classmethod
    def between(cls, real: JudgeOutputs, made: JudgeOutputs, each: int, seed: int) -> "Likeness | None":
        """Compare `each` sketches of every class with as many real drawings.

        The errors are the spread over sets of sketches. Returns None for fewer than FEWEST sketches, since the figures
        would have no meaning.
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
    """The training drawings for comparison: all of them, and a subset with the same number of each class."""

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
    """Compute the row of the table from the judge's outputs.

    `classes` holds the judge's numbers of the drawn classes. `each` is the number of sketches of a class that FID uses.
    """
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
    sets = SETS if len(place) > each * len(classes) else 1  # the smallest row has only one such set
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
    """The figures of the sketches of one class: of number `number` among `classes`."""
    right = np.full(len(logits), number)
    return OfClass(share(logits[:, classes], right, 1, seed), share(logits, classes[right], 1, seed))


def share(logits: Float[np.ndarray, "i c"], right: Int[np.ndarray, " i"], first: int, seed: int) -> Proportion:
    """How often the right class is among the `first` best guesses."""
    hits = (rank_of(torch.from_numpy(logits), torch.from_numpy(right)) < first).double().numpy()
    return Proportion(float(hits.mean()), *interval(hits, seed))


def subset(labels: Int[np.ndarray, " i"], each: int, seed: int) -> Int[np.ndarray, " j"]:
    """The positions of `each` random rows of every class."""
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(np.flatnonzero(labels == label), each, replace=False) for label in np.unique(labels)]
    return np.concatenate(chosen)
