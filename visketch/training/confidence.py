"""Calibration of a classifier's probabilities on validation drawings.

One temperature divides all logits (Guo et al., 2017, "On calibration of modern neural networks"). It is folded into the
last layer, or into the weights of the sum of two classifiers, so that all users get the same calibrated probabilities.
The order of the classes does not change.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visketch import checkpoint
from visketch.data.store import Store
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel

FEWEST = 200  # the least number of validation drawings
MOST = 3000  # the most validation drawings that are used, sampled evenly
BATCH = 64
BINS = 15  # the number of bins of probability for the calibration error
# The share of its fitted weight that the classifier of strokes gets where their order is not known. The weight is
# fitted to quick drawings. These are recognised as well with less of it, and icons better (our choice: lab book,
# 2026-11-27).
HEARD = 0.75
PRECISION = 0.9  # the accuracy of the answers that are called sure


@dataclass(frozen=True)
class Confidence:
    drawings: int
    temperature: float
    error_before: float  # the expected calibration error without the temperature
    error: float  # the expected calibration error with the temperature
    sure: float  # the least probability at which PRECISION of the answers are right
    share_sure: float  # the share of the drawings whose probability is at least `sure`


def calibrate(folder: Path, store: Store) -> Confidence | None:
    """Measure and calibrate the classifier of a checkpoint.

    The classifier is written again, with the temperature in its last layer and the result in its facts. Returns None,
    and writes nothing, if there are fewer than FEWEST validation drawings of its classes.
    """
    model = SketchModel.load(folder)
    if (chosen := validation(model, store)) is None:
        return None
    batches, label = chosen
    found = measured(of_pictures(model, batches), label)
    classifier, metadata = model.part("classifier"), checkpoint.read_metadata(folder, "classifier")
    with torch.no_grad():
        classifier.out.weight /= found.temperature
        classifier.out.bias /= found.temperature
    facts = metadata["facts"] | {"confidence": asdict(found)}
    checkpoint.save_part(folder, "classifier", classifier, metadata["trained_on"], facts)
    return found


def weigh(folder: Path, store: Store) -> Confidence | None:
    """Weigh the classifier of strokes of a checkpoint against that of pictures.

    The weights are those with which the sum of both logits has the least cross-entropy, with every class counted the
    same. They are stored in `sequence`: those for strokes in the order of drawing, and those for the strokes that are
    traced from pictures of the same drawings, where the classifier of strokes gets only HEARD of its weight. Both are
    divided by the temperature of the sums. Its facts get the confidence of the sums. Returns None, and writes nothing,
    if there are fewer than FEWEST validation drawings of its classes whose strokes can be read.
    """
    model = SketchModel.load(folder)
    if (chosen := validation(model, store)) is None:
        return None
    batches, label = chosen
    sequence, metadata = model.part("sequence"), checkpoint.read_metadata(folder, "sequence")
    pictures, logits = of_pictures(model, batches), list[Tensor]()
    nothing = torch.zeros(BATCH, len(model.labels), device=model.device)
    for row, shown in enumerate((batches, [[_picture(sketch, model) for sketch in some] for some in batches])):
        strokes = [model.pieces(some) for some in shown]
        known = torch.tensor([drawn is not None for some in strokes for drawn in some])
        if known.sum() < FEWEST:
            return None
        sequence.weights[row] = torch.tensor([0.0, 1.0])
        alone = torch.cat([model.with_strokes(nothing[: len(some)], some).cpu() for some in strokes])
        other, own = _weights(pictures[known], alone[known], label[known])
        if row == 1:
            own = HEARD * own
            other = _weights(pictures[known], own * alone[known], label[known], fixed=True)[0]
        sequence.weights[row] = torch.stack([other, own])
        logits.append(torch.where(known[:, None], other * pictures + own * alone, pictures))
    found = measured(torch.cat(logits), label.repeat(2))
    sequence.weights /= found.temperature
    facts = metadata["facts"] | {"confidence": asdict(found)}
    needs = checkpoint.fingerprints(folder, ["classifier"])
    checkpoint.save_part(folder, "sequence", sequence, needs, facts)
    return found


def validation(model: SketchModel, store: Store) -> tuple[list[list[Sketch]], Int[Tensor, " n"]] | None:
    """Validation drawings in batches, and the numbers of their classes. Returns None if there are fewer than FEWEST."""
    rows = [row for row in store.rows("validation").tolist() if store.labels[store.label[row]] in model.labels]
    if len(rows) < FEWEST:
        return None
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST]).tolist()
    label = torch.tensor([model.label_of(store.labels[store.label[row]]) for row in rows])
    return [[store[row] for row in rows[first : first + BATCH]] for first in range(0, len(rows), BATCH)], label


def _weights(
    pictures: Float[Tensor, "n c"], strokes: Float[Tensor, "n c"], label: Int[Tensor, " n"], fixed: bool = False
) -> Float[Tensor, " 2"]:
    """The weights of both logits with which their sum has the least cross-entropy, in the mean over the classes. If
    `fixed`, the weight of the strokes is 1.
    """
    weights = torch.ones(2, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")
    share = 1 / torch.bincount(label)[label]

    def loss() -> Tensor:
        search.zero_grad()
        own = weights[1].detach() if fixed else weights[1]
        each = F.cross_entropy(weights[0] * pictures + own * strokes, label, reduction="none")
        found = (share * each).sum() / share.sum()
        found.backward()
        return found

    search.step(loss)
    return weights.detach()


def _picture(sketch: Sketch, model: SketchModel) -> Sketch:
    """A drawing as the ink of a picture."""
    shape = model.config.sketch
    return Sketch(pixels=sdf.render(sketch, shape.at(2 * shape.canvas)) > 0, label=sketch.label)


def of_pictures(model: SketchModel, batches: list[list[Sketch]]) -> Float[Tensor, "n c"]:
    """The logits of the classifier of pictures."""
    return torch.cat([model.logits(model.fields(some, model.config.reading)).cpu() for some in batches])


def measured(logits: Float[Tensor, "n c"], label: Int[Tensor, " n"]) -> Confidence:
    """The temperature with the least cross-entropy, and the calibration before and after it is applied."""
    tried = np.exp(np.linspace(np.log(0.2), np.log(5), 161))
    losses = [float(F.cross_entropy(logits / float(one), label)) for one in tried]
    temperature = float(tried[int(np.argmin(losses))])
    before, after = (logits.softmax(dim=1).max(dim=1), (logits / temperature).softmax(dim=1).max(dim=1))
    right = after.indices == label
    sure, share = sure_from(after.values, right)
    error_before, error = (expected_error(best.values, right) for best in (before, after))
    return Confidence(len(label), temperature, error_before, error, sure, share)


def expected_error(probability: Float[Tensor, " n"], right: Bool[Tensor, " n"]) -> float:
    """The expected calibration error: the difference of mean probability and accuracy, over BINS of equal width."""
    number = (probability * BINS).long().clamp(max=BINS - 1)
    difference = torch.bincount(number, probability.double() - right.double(), minlength=BINS)
    return float(difference.abs().sum() / len(probability))


def sure_from(probability: Float[Tensor, " n"], right: Bool[Tensor, " n"]) -> tuple[float, float]:
    """The least probability from which on PRECISION of the answers are right, and the share of such answers.

    The result is 1 and 0 if there is no such probability.
    """
    order = probability.argsort(descending=True)
    precision = right[order].double().cumsum(dim=0) / torch.arange(1, len(order) + 1)
    good = (precision >= PRECISION).nonzero()[:, 0]
    if not len(good):
        return 1.0, 0.0
    last = int(good[-1])
    return float(probability[order[last]]), (last + 1) / len(order)
