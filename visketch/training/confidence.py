"""How far a classifier's probabilities can be believed, measured on validation drawings, and mended.

One temperature divides all logits (Guo et al., 2017, "On calibration of modern neural networks"). It is folded into the
last layer, so that whatever uses the classifier says the same, calibrated probabilities; which class is best does not
change.
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
from visketch.model import SketchModel

FEWEST = 200  # validation drawings, below which nothing is measured
MOST = 3000  # of them, an even sample
BATCH = 64
BINS = 15  # of probabilities, over which the error is averaged
PRECISION = 0.9  # how often an answer that is called sure is right


@dataclass(frozen=True)
class Confidence:
    drawings: int
    temperature: float
    error_before: float  # expected calibration error: how far probabilities are from how often they are right
    error: float  # with the temperature
    sure: float  # the probability of the best class from which on PRECISION of the answers are right
    share_sure: float  # of the drawings


def calibrate(folder: Path, store: Store) -> Confidence | None:
    """Measure the classifier of a checkpoint, and write it anew, with the temperature in its last layer and the result
    in its facts. None, and nothing written, if there are fewer than FEWEST validation drawings of its classes.
    """
    model = SketchModel.load(folder)
    rows = [row for row in store.rows("validation").tolist() if store.labels[store.label[row]] in model.labels]
    if len(rows) < FEWEST:
        return None
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST]).tolist()
    label = torch.tensor([model.label_of(store.labels[store.label[row]]) for row in rows])
    parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    logits = torch.cat([model.logits(model.render([store[row] for row in part])).cpu() for part in parts])
    found = measured(logits, label)
    classifier, metadata = model.part("classifier"), checkpoint.read_metadata(folder, "classifier")
    with torch.no_grad():
        classifier.out.weight /= found.temperature
        classifier.out.bias /= found.temperature
    facts = metadata["facts"] | {"confidence": asdict(found)}
    checkpoint.save_part(folder, "classifier", classifier, metadata["trained_on"], facts)
    return found


def measured(logits: Float[Tensor, "n c"], label: Int[Tensor, " n"]) -> Confidence:
    """The temperature with the least cross-entropy, and what it makes of the probabilities."""
    tried = np.exp(np.linspace(np.log(0.2), np.log(5), 161))
    losses = [float(F.cross_entropy(logits / float(one), label)) for one in tried]
    temperature = float(tried[int(np.argmin(losses))])
    before, after = (logits.softmax(dim=1).max(dim=1), (logits / temperature).softmax(dim=1).max(dim=1))
    right = after.indices == label
    sure, share = sure_from(after.values, right)
    error_before, error = (expected_error(best.values, right) for best in (before, after))
    return Confidence(len(label), temperature, error_before, error, sure, share)


def expected_error(probability: Float[Tensor, " n"], right: Bool[Tensor, " n"]) -> float:
    """The expected calibration error: in BINS of equal width, mean probability against how often right."""
    number = (probability * BINS).long().clamp(max=BINS - 1)
    difference = torch.bincount(number, probability.double() - right.double(), minlength=BINS)
    return float(difference.abs().sum() / len(probability))


def sure_from(probability: Float[Tensor, " n"], right: Bool[Tensor, " n"]) -> tuple[float, float]:
    """The least probability at and above which PRECISION of the answers are right, and the share of such answers.

    If no probability is so good, none is: 1 and 0.
    """
    order = probability.argsort(descending=True)
    precision = right[order].double().cumsum(dim=0) / torch.arange(1, len(order) + 1)
    good = (precision >= PRECISION).nonzero()[:, 0]
    if not len(good):
        return 1.0, 0.0
    last = int(good[-1])
    return float(probability[order[last]]), (last + 1) / len(order)
