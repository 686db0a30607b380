"""Strokes as pieces. If they are cut and joined again, the lines are the same, and every vertex is among the points."""

import drawings
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import approximate_polygon

from visketch.geometry import pieces

POINT = st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32))
STROKES = st.lists(st.lists(POINT, min_size=1, max_size=40), min_size=1, max_size=6)


def slowly(run: np.ndarray, k: int) -> np.ndarray:
    """The definition: as long as there are fewer than k points, the segment with the longest parts gets one more
    division.
    """
    if len(run) == 1:
        return np.repeat(run, k, axis=0)
    length, parts = np.linalg.norm(np.diff(run, axis=0), axis=1), np.ones(len(run) - 1, int)
    for _ in range(k - len(run)):
        parts[np.argmax(length / parts)] += 1
    steps = [run[i] + (run[i + 1] - run[i]) * (j + 1) / parts[i] for i in range(len(parts)) for j in range(parts[i])]
    return np.stack([run[0], *steps])


@given(STROKES)
def test_every_vertex_is_a_point_of_a_piece_and_joining_gives_the_strokes_back(drawn: list) -> None:
    strokes = [np.array(stroke, np.float32) for stroke in drawn]
    cut = pieces.cut(strokes)
    joined = pieces.join(cut)
    assert len(joined) == len(strokes)
    assert cut.points.shape == (len(cut), pieces.POINTS, 2)
    for before, after in zip(strokes, joined, strict=True):
        nearest = np.linalg.norm(before[:, None] - after[None], axis=2).min(axis=1)
        assert nearest.max() < 1e-6
        np.testing.assert_allclose(after[[0, -1]], before[[0, -1]], atol=1e-6)
    assert int(pieces.count(np.array([len(stroke) for stroke in strokes])).sum()) == len(cut)


@pytest.mark.parametrize("label", ["cat", "house", "star"])
def test_added_points_divide_the_longest_parts(label: str) -> None:
    for sketch in drawings.draw_many(5, labels=(label,)):
        for stroke in sketch.strokes or ():
            if len(stroke) <= pieces.POINTS:
                expected = slowly(stroke.astype(np.float64), pieces.POINTS)
                np.testing.assert_allclose(pieces.cut([stroke]).points[0], expected, rtol=1e-4, atol=1e-3)


def test_a_long_stroke_is_pieces_that_follow_each_other() -> None:
    cut = pieces.cut([np.stack([np.arange(30.0), np.zeros(30)], axis=1), np.zeros((1, 2))])
    assert cut.joined.tolist() == [False, True, True, False]
    np.testing.assert_array_equal(cut.points[0, -1], cut.points[1, 0])


def test_joined_pieces_that_part_meet_half_way() -> None:
    points = np.zeros((2, pieces.POINTS, 2), np.float32)
    points[1, :, 0] = 1
    (stroke,) = pieces.join(pieces.Pieces(points, np.array([False, True])))
    assert stroke[pieces.POINTS - 1].tolist() == [0.5, 0]


def test_simplifying_thins_smooth_strokes_and_keeps_corners() -> None:
    angle = np.linspace(0, 2 * np.pi, 400)
    circle, square = np.stack([np.cos(angle), np.sin(angle)], axis=1), np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    round_one, same = pieces.simplified([circle, square], pieces.TOLERANCE)
    assert 8 < len(round_one) < 60
    assert np.abs(np.linalg.norm(round_one, axis=1) - 1).max() < pieces.TOLERANCE
    np.testing.assert_array_equal(same, square)


def test_simplified_strokes_are_those_of_the_recursive_method() -> None:
    rng = np.random.default_rng(0)
    for turn in range(40):
        walks = [np.cumsum(rng.normal(size=(rng.integers(1, 60), 2)), axis=0) for _ in range(rng.integers(1, 8))]
        if turn % 3 == 0:
            walks = [np.concatenate([walk, walk[:1]]) for walk in walks]  # closed
        for found, walk in zip(pieces.simplified(walks, 1.5), walks, strict=True):
            np.testing.assert_array_equal(found, approximate_polygon(walk, 1.5) if len(walk) > 2 else walk)
    assert pieces.simplified([], 1.5) == []
