"""Sketches: what they may contain, fitting, sampling, thinning."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.morphology import skeletonize

from visketch.config import SketchConfig
from visketch.errors import VisketchError
from visketch.geometry import sdf, sketch
from visketch.geometry.sketch import Sketch, fit, longer_side
from visketch.geometry.trace import lines_of

coordinate = st.floats(-1e4, 1e4, width=32)
polyline = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=8).map(
    lambda points: np.array(points, np.float32)
)
polylines = st.lists(polyline, min_size=1, max_size=5).map(tuple)


def extent(lines: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    points = np.concatenate(lines)
    return points.min(axis=0), points.max(axis=0)


def test_a_sketch_is_strokes_or_pixels() -> None:
    with pytest.raises(ValueError, match="either"):
        Sketch()
    with pytest.raises(ValueError, match="either"):
        Sketch(strokes=(), pixels=np.zeros((4, 4), bool))


def test_empty_strokes_are_skipped_and_a_blank_sketch_is_named(cat: Sketch) -> None:
    empty = np.zeros((0, 2), np.float32)
    assert len(Sketch(strokes=(empty, *(cat.strokes or ()), empty)).lines()) == len(cat.strokes or ())
    with pytest.raises(VisketchError, match=r"cat\.svg: blank"):
        Sketch(strokes=(empty,), source="cat.svg").lines()


@given(lines=polylines, margin=st.floats(0, 0.3))
@settings(deadline=None)
def test_fit_keeps_the_aspect_and_fills_the_margins(lines: tuple[np.ndarray, ...], margin: float) -> None:
    low, high = extent(lines)
    fitted_low, fitted_high = extent(sketch.fit(lines, margin))
    # A drawing that is smaller than its own rounding error has no aspect ratio to keep.
    if (high - low).max() < 1e-3 * max(np.abs(low).max(), np.abs(high).max(), 1e-3):
        return
    assert (fitted_low + fitted_high) / 2 == pytest.approx(np.full(2, 0.5), abs=1e-3)
    assert (fitted_high - fitted_low).max() == pytest.approx(1 - 2 * margin, abs=1e-3)
    scale = (1 - 2 * margin) / (high - low).max()
    assert fitted_high - fitted_low == pytest.approx((high - low) * scale, abs=1e-3)


@given(lines=polylines)
@settings(deadline=None)
def test_fit_stays_within_the_square(lines: tuple[np.ndarray, ...]) -> None:
    low, high = extent(sketch.fit(lines, 0.04))
    assert low.min() >= 0.039
    assert high.max() <= 0.961


def test_fit_is_the_same_drawing_wherever_it_was(cat: Sketch) -> None:
    here, there = (sketch.fit(lines, 0.04) for lines in (cat.lines(), tuple(line * 3 + 700 for line in cat.lines())))
    for ours, theirs in zip(here, there, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)
        assert ours.dtype == np.float32


@given(lines=polylines)
@settings(deadline=None)
def test_sampled_points_are_near_each_other_and_keep_the_corners(lines: tuple[np.ndarray, ...]) -> None:
    fitted, spacing = sketch.fit(lines, 0.04), 0.01
    points = sketch.sample(fitted, spacing)
    for line in fitted:
        assert (np.abs(points[None] - line[:, None]).max(axis=-1).min(axis=-1) < 1e-6).all()
    apart = sketch.sample(fitted[:1], spacing)
    assert np.linalg.norm(np.diff(apart, axis=0), axis=1).max(initial=0) <= spacing * 1.001


def test_sampling_never_joins_two_strokes() -> None:
    two = (np.array([[0, 0], [0.1, 0]], np.float32), np.array([[0.9, 0], [1, 0]], np.float32))
    points = sketch.sample(two, 0.01)
    assert not ((points[:, 0] > 0.101) & (points[:, 0] < 0.899)).any()


def test_the_skeleton_is_the_middle_of_a_thick_line() -> None:
    pixels = np.zeros((40, 60), bool)
    pixels[18:23, 10:50] = True
    points = np.concatenate(sketch.runs(sketch.skeleton(pixels)))
    assert (points[(points[:, 0] > 15) & (points[:, 0] < 45), 1] == 20.5).all()  # the ends may fork
    assert points[:, 0].min() < 14
    assert points[:, 0].max() > 46


def test_a_raster_is_its_skeleton() -> None:
    pixels = np.eye(30, dtype=bool)
    pixels[2, 20] = True  # a single pixel
    diagonal, dot = Sketch(pixels=pixels).lines()
    assert dot == pytest.approx(np.array([[20.5, 2.5]]))
    assert diagonal == pytest.approx(np.array([[0.5, 0.5], [29.5, 29.5]]))


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 0.6))
@settings(max_examples=40, deadline=None)
def test_its_lines_join_all_neighbours_and_nothing_else(seed: int, share: float) -> None:
    pixels = np.random.default_rng(seed).random((12, 17)) < share
    thin = {(int(x), int(y)) for y, x in zip(*np.nonzero(skeletonize(pixels)), strict=True)}
    pairs = {frozenset([(x, y), (x + i, y + j)]) for x, y in thin for i in (-1, 0, 1) for j in (-1, 0, 1)}
    joined, lone = [], []
    for line in sketch.runs(sketch.skeleton(pixels)):
        start, end = (line[[0, -1]] - 0.5).round().astype(int)
        steps = max(abs(end - start))
        places = [tuple(map(int, start + (end - start) * k // max(steps, 1))) for k in range(steps + 1)]
        joined += [frozenset(pair) for pair in itertools.pairwise(places)]
        lone += places if len(places) == 1 else []
    wanted = {pair for pair in pairs if pair <= thin and len(pair) == 2}
    assert set(joined) == wanted
    assert len(joined) == len(wanted)  # each comes once
    assert set(lone) == thin - {place for pair in wanted for place in pair}


@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 9, 30, 61])
def test_a_dot_stays_a_dot_however_it_is_given(side: int) -> None:
    across = np.arange(side) - (side - 1) / 2
    pixels = np.zeros((100, 120), bool)
    pixels[20 : 20 + side, 40 : 40 + side] = across**2 + across[:, None] ** 2 <= side**2 / 4
    stroke = np.array([[10, 10], [10.01, 10]], np.float32)
    for one in (Sketch(pixels=pixels), Sketch(strokes=(stroke,), about={"pen": float(side)})):
        for lines in (one.lines(), lines_of(one)):
            assert [len(line) for line in lines] == [1]
    assert np.abs(Sketch(pixels=pixels).lines()[0] - (40 + side / 2, 20 + side / 2)).max() <= 1
    pixels[99, 119] = True  # a speck beside it
    assert all(len(lines) > 1 for lines in (Sketch(pixels=pixels).lines(), lines_of(Sketch(pixels=pixels))))


def test_a_small_raster_has_no_gaps() -> None:
    """At 28 pixels, the size of QuickDraw's bitmaps, neighbouring pixels are further apart than the pen is wide."""
    shape = SketchConfig()
    pixels = np.eye(28, dtype=bool)
    line = Sketch(strokes=(np.array([[0.5, 0.5], [27.5, 27.5]], np.float32),))
    assert sdf.render(Sketch(pixels=pixels), shape) == pytest.approx(sdf.render(line, shape), abs=0.07)
    turned = Sketch(pixels=pixels).lines()
    assert sketch.augment(turned, np.random.default_rng(0), 1.0, drop=False)[0].shape == turned[0].shape
    assert len(sketch.augment(turned, np.random.default_rng(0), 1.0, drop=False)) == len(turned)


def test_a_drawing_of_far_too_many_points_is_refused() -> None:
    scribble = np.random.default_rng(0).random((sketch.POINTS + 1, 2)).astype(np.float32)
    with pytest.raises(VisketchError, match="points; simplify"):
        Sketch(strokes=(scribble,)).lines()


def test_huge_coordinates_are_fitted() -> None:
    line = np.array([[3e38, 3e38], [3.1e38, 3.1e38]], np.float32)
    assert np.concatenate(sketch.fit((line,), 0.1)) == pytest.approx(np.array([[0.1, 0.1], [0.9, 0.9]]))


@pytest.mark.parametrize("unit", [1e-20, 1e-7, 1.0, 1e20])
def test_any_unit_is_fitted(unit: float) -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * np.float32(unit)
    (fitted,) = fit((square,), 0.1)
    assert fitted.min() == pytest.approx(0.1)
    assert fitted.max() == pytest.approx(0.9)


def test_rounding_errors_are_not_enlarged_to_a_drawing() -> None:
    dot = np.array([[1000, 1000], [np.nextafter(np.float32(1000), np.float32(2000)), 1000]], np.float32)
    (fitted,) = fit((dot,), 0.1)
    assert np.ptp(fitted) < 0.1
    assert longer_side(dot[:1]) > 0
