"""The metrics of the tables: functions of features, logits and ink that are independent of any model.

Features are rows (i e), one vector for each sketch, from a judge. Sums are computed in double precision.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist, pdist
from scipy.stats import binomtest
from torch import Tensor

from visketch.errors import UsageError


def frechet_to(b: Float[np.ndarray, "j e"]) -> Callable[[np.ndarray], float]:
    """A function that gives the Fréchet distance of a set of features to `b`: that of the Gaussians fitted to both
    (FID, arXiv 1706.08500). It is 0 for equal sets. The expensive part, for `b`, is computed once.

    It is biased upward, and the more so the fewer rows there are, so compare only sets of equal size.
    """
    mean, root = b.mean(axis=0, dtype=np.float64), _root(b)

    def distance(a: Float[np.ndarray, "i e"]) -> float:
        shift, own = a.mean(axis=0, dtype=np.float64) - mean, _root(a)
        # The trace of the root of the product of the covariances is the sum of the singular values of the product of
        # their roots. So no matrix root is needed, and a singular covariance (fewer rows than columns) is no problem.
        shared = np.linalg.svd(own @ root.T, compute_uv=False).sum()
        return float(max(0.0, shift @ shift + (own**2).sum() + (root**2).sum() - 2 * shared))

    return distance


def _root(rows: np.ndarray) -> np.ndarray:
    """R, where RᵀR is the covariance of the rows. R has at most as many rows as columns."""
    centred = (rows - rows.mean(axis=0, dtype=np.float64)) / max(len(rows) - 1, 1) ** 0.5
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(rows) > rows.shape[1] else centred


def kernel_distance(
    a: Float[np.ndarray, "i e"], b: Float[np.ndarray, "j e"], subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The squared maximum mean discrepancy with the kernel (x·y / e + 1)³ (KID, arXiv 1801.01401).

    It is unbiased, so it may be below 0, and sets of different sizes can be compared. Returns the mean and the standard
    deviation over random subsets of `size` rows of each set, or of all rows if there are fewer.
    """
    rng = np.random.default_rng(seed)
    found = [_discrepancy(_some(a, size, rng), _some(b, size, rng)) for _ in range(subsets)]
    return float(np.mean(found)), float(np.std(found))


def _some(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(rows, min(size, len(rows)), replace=False).astype(np.float64)


def _discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    within = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in map(_cubic, (a, b))]
    return float(sum(within) - 2 * _cubic(a, b).mean())


def _cubic(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    return (a @ (a if b is None else b).T / a.shape[1] + 1) ** 3


def diversity(features: Float[np.ndarray, "i e"], labels: Int[np.ndarray, " i"]) -> float:
    """The mean distance of two sketches of one class, averaged over the classes. It is 0 if all sketches of a class are
    equal.
    """
    return float(np.mean([pdist(features[labels == label]).mean() for label in np.unique(labels)]))


def nearest(
    features: Float[np.ndarray, "i e"], reference: Float[np.ndarray, "j e"], chunk: int = 256
) -> Float[np.ndarray, " i"]:
    """The distance of every row to the nearest row of the reference, which is 0 for a copy. It works in chunks of
    `chunk` rows.
    """
    parts = range(0, len(features), chunk)
    return np.concatenate([cdist(features[at : at + chunk], reference).min(axis=1) for at in parts])


def coverage(
    real: Float[np.ndarray, "i e"], made: Float[np.ndarray, "j e"], k: int = 3
) -> tuple[Bool[np.ndarray, " j"], Bool[np.ndarray, " i"]]:
    """Which generated sketches lie among the real ones, and which real sketches lie among the generated ones.

    The means are precision and recall (Kynkäänniemi et al., 2019, arXiv 1904.06991). A point lies among others if it is
    nearer to one of them than that one's own k-th neighbour is. Compare only sets of equal sizes, since gaps get
    smaller as the number of points grows.
    """
    if min(len(real), len(made)) <= k:
        raise ValueError(f"{min(len(real), len(made))} points are too few for a {k}-th neighbour")
    reach_real, reach_made = (np.partition(cdist(rows, rows), k, axis=1)[:, k] for rows in (real, made))
    between = cdist(real, made)
    return (between <= reach_real[:, None]).any(axis=0), (between <= reach_made).any(axis=1)


def two_sample(real: Float[np.ndarray, "i e"], made: Float[np.ndarray, "j e"], seed: int = 0) -> Bool[np.ndarray, " n"]:
    """For which sketches a linear classifier, trained on the others, says correctly whether they are real or generated.

    The mean is the accuracy of the classifier two-sample test (C2ST; Lopez-Paz and Oquab, 2017, arXiv 1610.06545), and
    0.5 is best.

    The larger set is reduced to the size of the smaller one by random choice. The classifier is a cross-validated
    logistic regression on standardised features, and its regularisation is chosen within each training fold. Raises
    UsageError without scikit-learn.
    """
    try:
        from sklearn.linear_model import LogisticRegressionCV
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise UsageError("the two-sample test needs scikit-learn: pip install 'visketch[evaluate]'") from None
    size, rng = min(len(real), len(made)), np.random.default_rng(seed)
    features = np.concatenate([rows[rng.permutation(len(rows))[:size]] for rows in (real, made)])
    truth = np.repeat([0, 1], size)
    # The last three arguments are those that scikit-learn 1.10 changes or warns about.
    asked = {"l1_ratios": (0,), "scoring": "accuracy", "use_legacy_attributes": False}
    regression = LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), cv=3, max_iter=500, **asked)
    model = make_pipeline(StandardScaler(), regression)
    split = StratifiedKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(model, features, truth, cv=split) == truth


def interval(hits: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of `hits`: Wilson's if all are 0 or 1, otherwise by the percentile bootstrap.

    (The bootstrap of shares of 0 or 1 would have no width at all.)
    """
    if np.isin(hits, (0, 1)).all():
        found = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
        return float(found.low), float(found.high)
    rng = np.random.default_rng(seed)
    means = [hits[rng.integers(len(hits), size=len(hits))].mean() for _ in range(1000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def spread(
    statistic: Callable[[np.ndarray], float], labels: Int[np.ndarray, " i"], seed: int = 0, samples: int = 100
) -> float | None:
    """The standard error of a statistic of rows, from random halves of every class (the delete-half jackknife).

    `statistic` takes row numbers. The bootstrap would repeat rows, which raises a Fréchet distance and lowers a
    diversity. Halves repeat none. Their values are those of half the rows, and only the spread of these values is used.
    Returns None if a class has fewer than four rows.
    """
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if min(len(rows) for rows in classes) < 4:
        return None
    rng = np.random.default_rng(seed)
    found = [
        statistic(np.concatenate([rng.choice(rows, len(rows) // 2, replace=False) for rows in classes]))
        for _ in range(samples)
    ]
    kept = sum(len(rows) // 2 for rows in classes)
    return float(np.std(found) * (kept / (len(labels) - kept)) ** 0.5)


def rank_of(
    logits: Float[Tensor, "b c"], label: Int[Tensor, " b"], among: Bool[Tensor, " c"] | slice = slice(None)
) -> Int[Tensor, " b"]:
    """The number of classes that are ranked before the right one, among all classes or among `among`."""
    return (logits > logits.gather(1, label[:, None]))[:, among].sum(dim=1)


def retrieval(
    features: Float[Tensor, "i e"], labels: Int[Tensor, " i"], first: int = 10, chunk: int = 256
) -> tuple[Float[np.ndarray, " i"], Float[np.ndarray, " i"]]:
    """The average precision, and the precision among the first `first` results, with every row as a query to all the
    others.

    Rows are compared by their dot products. The rows with the query's label are relevant. Both figures are NaN if there
    are none.
    """
    found = [_retrieved(features, labels, rows, first) for rows in torch.arange(len(features)).split(chunk)]
    average, precision = zip(*found, strict=True)
    return torch.cat(average).numpy(), torch.cat(precision).numpy()


def _retrieved(features: Tensor, labels: Tensor, rows: Tensor, first: int) -> tuple[Tensor, Tensor]:
    similarity = features[rows] @ features.T
    similarity[torch.arange(len(rows)), rows] = -torch.inf  # the query itself comes last and is cut off
    order = similarity.argsort(dim=1, descending=True)[:, :-1]
    hit = (labels[order] == labels[rows, None]).double()
    precision = hit.cumsum(dim=1) / torch.arange(1, hit.shape[1] + 1)
    relevant = hit.sum(dim=1)
    none = torch.where(relevant > 0, 0.0, torch.nan)
    return (precision * hit).sum(dim=1) / relevant.clamp(min=1) + none, hit[:, :first].mean(dim=1) + none


def ink_f1(drawn: Bool[Tensor, "b h h"], truth: Bool[Tensor, "b h h"]) -> Float[Tensor, " b"]:
    """The F1 score of the ink of each pair.

    A pixel is a hit if the other picture has ink at the same place or at one of its four neighbours.
    """
    precision = _share(drawn & _grown(truth), drawn)
    recall = kept(truth, drawn)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-9)


def kept(given: Bool[Tensor, "b h h"], drawn: Bool[Tensor, "b h h"]) -> Float[Tensor, " b"]:
    """The share of the given ink that is also drawn, at the same pixel or at one of its four neighbours."""
    return _share(given & _grown(drawn), given)


def _share(part: Bool[Tensor, "b h h"], whole: Bool[Tensor, "b h h"]) -> Float[Tensor, " b"]:
    return part.flatten(1).sum(dim=1) / whole.flatten(1).sum(dim=1).clamp(min=1)


def _grown(ink: Bool[Tensor, "b h h"]) -> Bool[Tensor, "b h h"]:
    """The ink, and the four neighbours of each of its pixels."""
    wide = F.max_pool2d(ink[:, None].float(), (1, 3), 1, (0, 1)).maximum(
        F.max_pool2d(ink[:, None].float(), (3, 1), 1, (1, 0))
    )
    return wide[:, 0] > 0


def seam(field: Float[Tensor, "b h h"], tile: int, near: float) -> Float[Tensor, " b"]:
    """How much larger the jumps of a field are where tiles meet than half a tile away, near ink (above -`near`).

    Apart from chance, it is 0 if the field was not made of tiles. This holds for the field of a drawing, and for a
    field that was enlarged as a whole.
    """
    both = torch.cat([field, field.transpose(1, 2)], dim=1)  # borders in both directions
    starts = torch.arange(0, field.shape[-1], tile, device=field.device)
    return _break(both, starts[1:], near) - _break(both, starts + tile // 2, near)


def _break(field: Float[Tensor, "b i h"], column: Int[Tensor, " j"], near: float) -> Float[Tensor, " b"]:
    """The mean jump at the left border of some columns: the difference between the values that both sides extrapolate
    to it.
    """
    before, left, right, after = (field[:, :, column + step] for step in (-2, -1, 0, 1))
    gap = (right - left - (left - before + after - right) / 2).abs()
    shown = left.maximum(right) > -near
    return (gap * shown).sum(dim=(1, 2)) / shown.sum(dim=(1, 2)).clamp(min=1)
