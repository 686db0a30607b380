"""The metrics compared with their slow or analytic definitions."""

import itertools

import drawings
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visketch import metrics, quadtree
from visketch.config import SketchConfig
from visketch.decoding import enlarge
from visketch.geometry import sdf
from visketch.metrics import (
    diversity,
    frechet_to,
    ink_f1,
    interval,
    kernel_distance,
    nearest,
    rank_of,
    retrieval,
    seam,
    spread,
)


def root(matrix: np.ndarray) -> np.ndarray:
    """The root of a symmetric matrix whose eigenvalues are not negative, except by rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values.clip(min=0)) @ vectors.T


def gaussian(rng: np.random.Generator, n: int, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Rows whose mean and covariance are exactly the given ones."""
    rows = rng.normal(size=(n, len(mean)))
    rows = rows - rows.mean(axis=0)
    white = rows @ np.linalg.inv(root(np.cov(rows.T)))
    return white @ root(covariance) + mean


def slow_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The definition of the paper, with the root of the product in its symmetric form."""
    one, other = np.cov(a.T), np.cov(b.T)
    shared = root(root(one) @ other @ root(one))
    return float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(one + other - 2 * shared))


class TestFrechet:
    def test_of_known_gaussians(self) -> None:
        """If covariances share their axes, the distance is that of the means and of the standard deviations."""
        rng = np.random.default_rng(0)
        turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        one, other = np.array([1.0, 4.0, 9.0, 0.25]), np.array([4.0, 4.0, 1.0, 1.0])
        a = gaussian(rng, 50, np.zeros(4), turn * one @ turn.T)
        b = gaussian(rng, 70, np.array([3.0, 0, 4, 0]), turn * other @ turn.T)
        assert frechet_to(b)(a) == pytest.approx(25 + np.square(np.sqrt(one) - np.sqrt(other)).sum(), rel=1e-9)

    @pytest.mark.parametrize(("i", "j", "e"), [(200, 300, 6), (5, 300, 20), (300, 7, 20), (8, 6, 40), (2, 2, 64)])
    def test_is_the_slow_definition_even_with_fewer_rows_than_columns(self, i: int, j: int, e: int) -> None:
        rng = np.random.default_rng(i)
        a, b = rng.normal(size=(i, e)), rng.normal(1, 2, size=(j, e)) @ rng.normal(size=(e, e))
        assert frechet_to(b)(a) == pytest.approx(slow_frechet(a, b), rel=1e-6)
        assert frechet_to(b)(a) == pytest.approx(frechet_to(a)(b), rel=1e-9)

    def test_of_a_set_and_itself_or_itself_moved(self) -> None:
        rows = np.random.default_rng(0).normal(size=(9, 30)).astype(np.float32)
        assert frechet_to(rows)(rows) == pytest.approx(0, abs=1e-9)
        assert frechet_to(rows + 2)(rows) == pytest.approx(4 * 30, rel=1e-5)

    def test_of_single_rows_is_their_distance(self) -> None:
        assert frechet_to(np.full((1, 3), 2.0))(np.zeros((1, 3))) == 12

    def test_is_biased_upward_where_rows_are_few(self) -> None:
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(4000, 10))
        few, many = (np.mean([frechet_to(rows)(rng.normal(size=(n, 10))) for _ in range(20)]) for n in (20, 500))
        assert few > 5 * many > 0


def slow_kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(x * y) / len(x) + 1) ** 3

    first = np.mean([kernel(x, y) for x, y in itertools.permutations(a, 2)])
    second = np.mean([kernel(x, y) for x, y in itertools.permutations(b, 2)])
    return float(first + second - 2 * np.mean([kernel(x, y) for x in a for y in b]))


class TestKernelDistance:
    def test_is_the_slow_definition(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(7, 5)), rng.normal(0.5, 1, size=(9, 5)).astype(np.float32)
        mean, deviation = kernel_distance(a, b, subsets=3)
        assert mean == pytest.approx(slow_kernel_distance(a, b), rel=1e-6)
        assert deviation == pytest.approx(0, abs=1e-9), "every subset is all there is"

    def test_is_unbiased_however_few_the_rows(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(4000, 4)), rng.normal(0.3, 1, size=(4000, 4))
        whole, _ = kernel_distance(a, b, subsets=1, size=4000)
        mean, deviation = kernel_distance(a, b, subsets=2000, size=20, seed=1)
        assert mean == pytest.approx(whole, abs=4 * deviation / 2000**0.5)
        same, deviation = kernel_distance(a, rng.normal(size=(4000, 4)), subsets=2000, size=20)
        assert abs(same) < 4 * deviation / 2000**0.5

    def test_is_the_same_for_the_same_seed(self) -> None:
        rows = np.random.default_rng(0).normal(size=(50, 3))
        said = [kernel_distance(rows[:25], rows[25:], 10, 5, seed) for seed in (1, 1, 2)]
        assert said[0] == said[1] != said[2]


def test_diversity_is_the_mean_distance_within_a_class() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(9, 4)), np.array([0, 1, 0, 2, 0, 1, 2, 2, 2])
    slow = [
        np.mean([np.linalg.norm(x - y) for x, y in itertools.combinations(features[labels == label], 2)])
        for label in range(3)
    ]
    assert diversity(features, labels) == pytest.approx(np.mean(slow))
    assert diversity(np.repeat(features[:3], 3, axis=0), np.repeat([0, 1, 2], 3)) == 0, "one sketch, repeated"


@given(i=st.integers(1, 9), j=st.integers(1, 9), chunk=st.integers(1, 10), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_nearest_is_the_least_distance(i: int, j: int, chunk: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, reference = rng.normal(size=(i, 3)), rng.normal(size=(j, 3))
    slow = [min(np.linalg.norm(row - other) for other in reference) for row in rows]
    assert nearest(rows, reference, chunk) == pytest.approx(slow)
    assert not nearest(reference, reference, chunk).any()


def test_interval_is_that_of_a_share() -> None:
    hits = np.arange(400) % 10 < 3
    low, high = interval(hits)
    assert (low, high) == interval(hits)
    half = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.01)
    low, high = interval(np.ones(14))
    assert 0.75 < low < 0.8 < high == pytest.approx(1)  # of 14 right answers, nobody can say that all will be right
    values = np.random.default_rng(0).normal(size=400)
    assert interval(values) == pytest.approx((values.mean() - 0.098, values.mean() + 0.098), abs=0.02)


class TestSpread:
    def test_of_a_mean_is_its_standard_error(self) -> None:
        """This holds for classes of odd sizes too. What distinguishes the classes does not count, since their shares
        are fixed.
        """
        rng = np.random.default_rng(0)
        labels = np.repeat([0, 1, 2], 41)
        values = rng.normal(size=123) + 100 * labels
        expected = np.sqrt(sum(values[labels == label].var(ddof=1) / 41 for label in range(3))) / 3
        found = spread(lambda rows: float(values[rows].mean()), labels, samples=4000)
        assert found == pytest.approx(expected, rel=0.05)
        assert found == spread(lambda rows: float(values[rows].mean()), labels, samples=4000)

    def test_of_a_distance_is_that_of_fresh_sets(self) -> None:
        """The spread over halves of one set agrees with the spread over newly drawn sets."""
        rng = np.random.default_rng(0)
        labels, other = np.zeros(100, np.int64), rng.normal(1, 1, size=(2000, 4))
        sets = rng.normal(size=(200, 100, 4))
        said = [spread(lambda rows, a=a: frechet_to(other)(a[rows]), labels) for a in sets[:10]]
        assert np.mean(said) == pytest.approx(np.std([frechet_to(other)(a) for a in sets]), rel=0.25)

    def test_of_too_few_rows_is_not_known(self) -> None:
        labels = np.repeat([0, 1], [3, 50])
        assert spread(lambda rows: 0.0, labels) is None
        assert spread(lambda rows: 0.0, np.repeat([0, 1], 4)) == 0


def test_rank_is_how_many_come_before() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.4], [0.9, 0.5, 0.4], [0.1, 0.5, 0.4]])
    assert rank_of(logits, torch.tensor([0, 0, 2])).tolist() == [2, 0, 1]


def slow_f1(drawn: np.ndarray, truth: np.ndarray) -> float:
    def share(part: np.ndarray, whole: np.ndarray) -> float:
        there = np.argwhere(whole)
        hit = [any(abs(row - y) + abs(column - x) <= 1 for y, x in there) for row, column in np.argwhere(part)]
        return np.mean(hit) if hit else 0.0

    precision, recall = share(drawn, truth), share(truth, drawn)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_ink_f1_forgives_a_pixel_but_not_a_diagonal_one() -> None:
    rng = np.random.default_rng(0)
    drawn, truth = rng.random((6, 9, 9)) < 0.1, rng.random((6, 9, 9)) < 0.1
    truth[0] = False
    found = ink_f1(torch.from_numpy(drawn), torch.from_numpy(truth))
    assert found.tolist() == pytest.approx([slow_f1(one, other) for one, other in zip(drawn, truth, strict=True)])


def slow_seam(field: np.ndarray, tile: int, near: float) -> float:
    def mean_gap(first: int) -> float:
        gaps = []
        for lines in (field, field.T):
            for line in lines:
                for at in range(first, len(line), tile):
                    from_left = line[at - 1] + (line[at - 1] - line[at - 2]) / 2
                    from_right = line[at] - (line[at + 1] - line[at]) / 2
                    if max(line[at - 1], line[at]) > -near:
                        gaps.append(abs(from_right - from_left))
        return float(np.mean(gaps)) if gaps else 0.0

    return mean_gap(tile) - mean_gap(tile // 2)


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    return torch.from_numpy(np.stack([sdf.render(sketch, SketchConfig()) for sketch in drawings.draw_many(64)]))


class TestSeam:
    shape = SketchConfig()

    def of(self, field: torch.Tensor) -> torch.Tensor:
        """The seam in shares of the pen's width."""
        return seam(field, self.shape.tile, self.shape.near) * self.shape.clamp / self.shape.pen

    def test_is_the_slow_definition(self, real: torch.Tensor) -> None:
        noisy = real[:4] + torch.randn(real[:4].shape, generator=torch.Generator().manual_seed(0)) / 20
        noisy = torch.cat([noisy, torch.full_like(noisy[:1], -1)])
        for tile, near in ((32, 0.25), (16, 0.0)):
            slow = [slow_seam(field, tile, near) for field in noisy.double().numpy()]
            assert seam(noisy, tile, near).tolist() == pytest.approx(slow, abs=1e-6)

    def test_of_drawings_is_nothing_and_of_enlarged_ones_too(self, real: torch.Tensor) -> None:
        found = self.of(real)
        assert abs(found.mean()) < 3 * found.std() / 8 < 0.02
        coarse = quadtree.tiles(real, self.shape.depth)[:, 0]
        assert self.of(enlarge(coarse, self.shape.canvas)).abs().max() < 1e-5

    def test_of_tiles_that_slipped_is_the_worse_the_further(self, real: torch.Tensor) -> None:
        """Every tile moves by itself by at most 1 or 2 pixels: an eighth or a quarter of the pen, on average."""
        rng = np.random.default_rng(0)
        slipped = []
        for most in (1, 2):
            tiles = quadtree.cut(real, self.shape.depth)
            steps = range(-most, most + 1)
            moved = torch.stack([quadtree.cut(real.roll((step, step), (1, 2)), self.shape.depth) for step in steps])
            chosen = torch.from_numpy(rng.integers(len(steps), size=tiles.shape[:2]))
            tiles = moved[chosen, torch.arange(len(tiles))[:, None], torch.arange(tiles.shape[1])]
            slipped.append(float(self.of(quadtree.join(tiles)).mean()))
        assert 0.08 < slipped[0] < 0.2
        assert 1.5 * slipped[0] < slipped[1] < 2.5 * slipped[0]


class TestRetrieval:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 1000))
    def test_is_what_the_definition_says(self, count: int, classes: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        features, labels = rng.normal(size=(count, 5)).astype(np.float32), rng.integers(classes, size=count)
        average, precision = retrieval(torch.from_numpy(features), torch.from_numpy(labels), first=3, chunk=7)
        for query in range(count):
            others = sorted(set(range(count)) - {query}, key=lambda other: -float(features[query] @ features[other]))
            hits = [labels[other] == labels[query] for other in others]
            if not any(hits):
                assert np.isnan(average[query])
                continue
            at_hits = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
            assert average[query] == pytest.approx(np.mean(at_hits))
            assert precision[query] == pytest.approx(np.mean(hits[:3]))


def test_coverage_is_who_lies_within_reach_of_the_others_k_th_neighbour() -> None:
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(30, 3)), rng.normal(0.5, 2, size=(25, 3))

    def within(point: np.ndarray, others: np.ndarray, k: int) -> bool:
        for other in others:
            reach = sorted(np.linalg.norm(others - other, axis=1))[k]  # the nearest one is the point itself
            if np.linalg.norm(point - other) <= reach:
                return True
        return False

    precision, recall = metrics.coverage(real, made, k=2)
    assert precision.tolist() == [within(point, real, 2) for point in made]
    assert recall.tolist() == [within(point, made, 2) for point in real]


def test_coverage_tells_repetition_from_error() -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(size=(200, 4))
    precision, recall = metrics.coverage(real, np.repeat(real[:1], 50, axis=0) + 1e-3 * rng.normal(size=(50, 4)))
    assert precision.mean() == 1
    assert recall.mean() < 0.1
    assert metrics.coverage(real, real + 100)[0].mean() == 0


def test_the_two_sample_test_tells_what_differs_and_is_at_a_loss_where_nothing_does() -> None:
    rng = np.random.default_rng(2)
    same, other = rng.normal(size=(300, 8)), rng.normal(size=(200, 8))
    assert 0.4 < metrics.two_sample(same, other).mean() < 0.6
    assert len(metrics.two_sample(same, other)) == 400
    assert metrics.two_sample(same, other + 2).mean() > 0.97
