"""From ink to strokes to files: there is one stroke where a person drew one, and it is where it was drawn."""

import json
import re
import time
from pathlib import Path

import drawings
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from skimage.measure import euler_number, label

from visketch.config import SketchConfig
from visketch.data import write
from visketch.data.read import read
from visketch.data.svg import rendered
from visketch.geometry import bezier, junctions, sdf, sketch, trace
from visketch.geometry.sketch import Sketch, length
from visketch.render.grey import picture

SIDE = 128
SHAPE = SketchConfig()


def field(*lines: list, side: int = SIDE, pen: float = 4) -> np.ndarray:
    """The distance in pixels of lines in pixels, in the form in which a model draws it."""
    unit = tuple(np.array(line, np.float32) / side for line in lines)
    shape = SHAPE.model_copy(update={"pen": pen / side})
    return trace.from_field(sdf.field(unit, shape, side), shape.clamp)


def mask(*lines: list, side: int = SIDE, pen: float = 4) -> np.ndarray:
    return trace.from_pixels(field(*lines, side=side, pen=pen) > 0)


def aside(found: tuple[np.ndarray, ...], true: tuple[np.ndarray, ...]) -> float:
    """The mean distance between two sets of lines, in both directions."""
    one, other = (sketch.sample(tuple(line.astype(np.float32) for line in lines), 0.1) for lines in (found, true))
    return float(cKDTree(one).query(other)[0].mean() + cKDTree(other).query(one)[0].mean()) / 2


BOTH = pytest.mark.parametrize("draw", [field, mask])


@pytest.mark.parametrize("pen", [8, 24, 36, 48])
def test_a_thick_pen_leaves_the_slanted_lines_where_they_are(pen: int) -> None:
    house = np.array([[110, 520], [110, 260], [300, 80], [490, 260], [490, 520], [110, 520]])
    found = trace.trace(mask(house, side=600, pen=pen))
    assert aside(found.strokes, (house,)) < 0.12 * pen
    assert found.pen == pytest.approx(pen, abs=1)


@pytest.mark.parametrize("radius", [2, 5, 12, 18, 30])
def test_a_disc_is_one_dot(radius: int) -> None:
    found = trace.trace(mask([[40, 40], [40, 40]], side=80, pen=2 * radius))
    (dot,) = found.strokes
    assert len(dot) == 1
    assert np.abs(dot - 40).max() < 2
    assert found.pen == pytest.approx(2 * radius, rel=0.1, abs=2)


@BOTH
class TestStrokes:
    @pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, 2.7])
    def test_a_line_is_where_it_was_drawn_and_as_long(self, draw, slope: float) -> None:
        along = 40 * np.array([1, slope]) / np.hypot(1, slope)
        ends = np.array([64.3, 63.6]) + np.array([[-1], [1]]) * along
        found = draw(ends)
        (line,) = trace.trace(found).strokes
        assert aside((line,), (ends,)) < (0.1 if draw is field else 0.45)
        assert length(line) == pytest.approx(80, abs=1.5)

    @pytest.mark.parametrize("pen", [3.0, 4.0, 7.0])
    def test_the_pen_s_width(self, draw, pen: float) -> None:
        found = trace.trace(draw([[20, 30], [100, 45], [60, 110]], pen=pen))
        assert found.pen == pytest.approx(pen, abs=0.5)

    def test_lines_that_cross_go_on(self, draw) -> None:
        for turn in (90, 60, 40):
            angle = np.radians(turn)
            step = 40 * np.array([np.cos(angle), np.sin(angle)])
            lines = ([[24, 64], [104, 64]], [64 - step, 64 + step])
            found = trace.trace(draw(*lines)).strokes
            assert len(found) == 2
            assert sorted(map(trace.length, found)) == pytest.approx([80, 80], abs=3)

    def test_one_that_ends_on_another(self, draw) -> None:
        found = trace.trace(draw([[20, 64], [108, 64]], [[64, 64], [64, 110]])).strokes
        assert [length(line) for line in found] == pytest.approx([88, 45], abs=2)

    def test_a_sharp_tip_is_one_stroke_and_reaches_it(self, draw) -> None:
        for wide in (10, 20, 40):
            (line,) = trace.trace(draw([[64 - wide, 110], [64, 20], [64 + wide, 110]])).strokes
            assert np.linalg.norm(line - (64, 20), axis=1).min() < 4

    def test_a_line_that_crosses_itself_is_one(self, draw) -> None:
        star = drawings.star()[0] * SIDE / 256
        (line,) = trace.trace(draw(star)).strokes
        assert aside((line,), (star,)) < 0.5
        loop = np.stack([64 + 40 * np.sin(t := np.linspace(0, 2 * np.pi, 60)), 64 + 40 * np.sin(2 * t)], axis=1)
        (line,) = trace.trace(draw(loop[:-2])).strokes
        assert aside((line,), (loop,)) < 0.5

    def test_a_ring_is_closed(self, draw) -> None:
        (line,) = trace.trace(draw(drawings.arc(64, 64, 40))).strokes
        assert (line[0] == line[-1]).all()
        assert np.hypot(*(line - 64).T) == pytest.approx(40, abs=0.6)

    def test_a_dot_is_a_stroke(self, draw) -> None:
        (dot,) = trace.trace(draw([[50.0, 70.0], [50.2, 70.0]])).strokes
        assert np.linalg.norm(dot.mean(axis=0) - (50, 70)) < 1
        assert len(dot) == 1 or length(dot) < 3

    def test_nothing_is_no_stroke(self, draw) -> None:
        assert trace.trace(np.full((9, 7), -1, np.float32)).strokes == ()

    def test_people_s_drawings(self, draw, each_drawing: Sketch) -> None:
        lines = tuple(line * SIDE for line in sketch.fit(each_drawing.lines(), SHAPE.margin))
        found = trace.trace(draw(*lines)).strokes
        assert aside(found, lines) < 0.6
        assert len(lines) / 2 <= len(found) <= 2 * len(lines)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4))
def test_thinning_keeps_pieces_and_holes_whatever_the_ink(seed: int, blur: float) -> None:
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 50)), blur)
    pixels = np.pad(noise > 0.02 / blur, 1)
    thin = trace.thinned(trace.from_pixels(pixels))
    assert not (thin & ~pixels).any()
    assert label(thin, connectivity=2).max() == label(pixels, connectivity=2).max()
    assert euler_number(thin, 2) == euler_number(pixels, 2)
    covered = trace.trace(trace.from_pixels(pixels)).strokes
    assert bool(covered) == pixels.any()
    assert all(np.isfinite(stroke).all() for stroke in covered)


def test_thousands_of_strokes_are_ordered_at_once() -> None:
    """Each is compared with all others, so this must not take more than a few operations of numpy for each stroke."""
    places = np.random.default_rng(0).random((3000, 1, 2)).astype(np.float32) * 1000
    lines = list(places + np.array([[0, 0], [1, 1]], np.float32))
    began = time.process_time()
    found = trace.ordered(lines)
    assert time.process_time() - began < 2
    either_way = {tuple(way.ravel()) for line in lines for way in (line, line[::-1])}
    assert {tuple(line.ravel()) for line in found} <= either_way
    ends = np.array([[line[0], line[-1]] for line in found])
    for place in range(0, 2999, 100):
        nearest = np.linalg.norm(ends[place + 1 :] - ends[place, 1], axis=2).min()
        assert np.linalg.norm(ends[place + 1, 0] - ends[place, 1]) == pytest.approx(nearest)


def test_the_longest_comes_first_then_the_nearest_end() -> None:
    lines = [np.array(ends, float) for ends in ([[0, 9], [0, 5]], [[5, 0], [2, 0]], [[0, 0], [0, 4.5]])]
    found = trace.ordered(lines)
    assert [stroke.tolist() for stroke in found] == [[[0, 0], [0, 4.5]], [[0, 5], [0, 9]], [[2, 0], [5, 0]]]


def test_two_lines_that_leave_a_tip_in_the_same_direction() -> None:
    """The product of two equal unit vectors is above 1 for some directions, by a rounding error."""
    stub = np.stack([np.zeros(3), np.linspace(0, 2, 3)], axis=1)
    for angle in np.linspace(0.1, 1.5, 60):
        line = np.arange(40.0)[:, None] * (np.cos(angle), -np.sin(angle))
        meeting = junctions.Meeting([(0, 0), (1, 0), (2, 0)], np.zeros(2), 1.0)
        pairs, tips, _ = junctions._pairs(meeting, [line, line, stub], {(2, -1)})
        assert pairs == [((0, 0), (1, 0))]
        assert tips == [(2, 0)]


class TestCurves:
    def test_follow_the_stroke_end_to_end(self, each_drawing: Sketch) -> None:
        for stroke in each_drawing.strokes or ():
            found = bezier.bezier(stroke, pen=6.0)
            assert np.allclose(found[0, 0], stroke[0], atol=1e-4)
            assert np.allclose(found[-1, 3], stroke[-1], atol=1e-4)
            assert np.allclose(found[:-1, 3], found[1:, 0], atol=1e-6)
            assert aside((points(found),), (stroke,)) < 1

    def test_a_smooth_line_needs_few_and_a_straight_one_one(self) -> None:
        assert len(bezier.bezier(np.array([[0.0, 0], [50, 20], [100, 40]]), pen=4.0)) == 1
        assert len(bezier.bezier(drawings.arc(0, 0, 50, points=200), pen=4.0)) <= 16

    def test_corners_stay_corners(self) -> None:
        corner = np.array([[0.0, 0], [50, 0], [50, 50]])
        found = bezier.bezier(corner, pen=4.0)
        assert np.abs(found.reshape(-1, 2) - (50, 0)).sum(axis=1).min() == 0
        assert aside((points(found),), (corner,)) < 0.04

    def test_straight_parts_between_rounded_corners_stay_straight(self) -> None:
        quarter = [(16 + 4 * np.sin(t), 4 - 4 * np.cos(t)) for t in np.linspace(0, np.pi / 2, 9)]
        line = np.array([(0.0, 0.0), *quarter, (20.0, 30.0)])
        found = bezier.bezier(line, pen=4.0)
        assert found[0].tolist() == pytest.approx(np.linspace((0, 0), (16, 0), 4))
        assert found[-1].tolist() == pytest.approx(np.linspace((20, 4), (20, 30), 4))
        assert aside((points(found),), (line,)) < 0.1

    def test_a_dot_has_none(self) -> None:
        assert len(bezier.bezier(np.array([[3.0, 4.0]]), pen=4.0)) == 0
        assert len(bezier.bezier(np.array([[3.0, 4.0], [3.0, 4.0]]), pen=4.0)) == 0


def points(curve: np.ndarray) -> np.ndarray:
    """Points on Bézier curves."""
    t = np.linspace(0, 1, 20)[:, None, None]
    a, b, c, d = curve.transpose(1, 0, 2)
    on = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    return on.transpose(1, 0, 2).reshape(-1, 2)


class TestFiles:
    def test_svg_is_read_again(self, each_drawing: Sketch, tmp_path: Path) -> None:
        lines = tuple(line * SIDE for line in sketch.fit(each_drawing.lines(), SHAPE.margin))
        found = trace.trace(field(*lines))
        path = tmp_path / "a.svg"
        path.write_text(write.svg([(found.strokes, found.pen)], SIDE, SIDE, {"class": "a & b", "seed": 3}))
        (again,) = read(path)
        assert len(again.strokes) == len(found.strokes)
        assert aside(again.strokes, found.strokes) < 0.3
        text = path.read_text()
        for word in ('viewBox="0 0 128 128"', 'stroke-linecap="round"', 'stroke-linejoin="round"', "<title>a &amp; b<"):
            assert word in text

    def test_svg_drawn_by_another_is_the_raster(self, each_drawing: Sketch) -> None:
        resvg = pytest.importorskip("resvg_py")
        import io

        from PIL import Image

        from visketch.metrics import ink_f1

        lines = tuple(line * 256 for line in sketch.fit(each_drawing.lines(), SHAPE.margin))
        raster = field(*lines, side=256, pen=8.0)
        found = trace.trace(trace.from_pixels(raster > 0))
        page = write.svg([(found.strokes, found.pen)], 256, 256, {})
        png = bytes(resvg.svg_to_bytes(svg_string=page, background="white"))
        seen = np.asarray(Image.open(io.BytesIO(png)).convert("L")) < 128
        assert float(ink_f1(torch.from_numpy(seen)[None], torch.from_numpy(raster > 0)[None])[0]) > 0.97

    def test_ndjson_is_that_of_the_published_files(self, each_drawing: Sketch, tmp_path: Path) -> None:
        lines = each_drawing.strokes or ()
        path = tmp_path / "a.ndjson"
        path.write_text(write.ndjson(lines, "cat") + write.ndjson(lines, None))
        again, other = read(path)
        assert (again.label, other.label) == ("cat", None)
        assert len(again.strokes) == len(lines)
        values = np.concatenate(again.strokes)
        assert (values.min(axis=0) == 0).all()
        assert values.max() == 255
        scale = 255 / np.ptp(np.concatenate(lines), axis=0).max()
        moved = tuple((line - np.concatenate(lines).min(axis=0)) * scale for line in lines)
        assert aside(again.strokes, moved) < 1
        record = json.loads(path.read_text().splitlines()[0])
        assert record.keys() == {"word", "countrycode", "timestamp", "recognized", "key_id", "drawing"}
        assert len(record["key_id"]) == 16
        assert record["recognized"] is True

    def test_a_dot_survives_both(self, tmp_path: Path) -> None:
        lines = (np.array([[5.0, 5.0]], np.float32), np.array([[9.0, 9], [20, 30]], np.float32))
        (tmp_path / "a.svg").write_text(write.svg([(lines, 2.0)], 32, 32, {}))
        (tmp_path / "a.ndjson").write_text(write.ndjson(lines, "dot"))
        for name in ("a.svg", "a.ndjson"):
            (again,) = read(tmp_path / name)
            assert [len(np.unique(line, axis=0)) for line in again.strokes] == [1, 2]

    @pytest.mark.parametrize("animate", [False, True])
    def test_closed_strokes_are_closed_paths_and_are_read_as_before(self, animate: bool, tmp_path: Path) -> None:
        ring = np.concatenate([drawings.arc(64, 64, 40)[:-1], drawings.arc(64, 64, 40)[:1]])
        box = np.array([[10, 10], [90, 10], [90, 60], [10, 60], [10, 10]], np.float32)
        lines = (ring.astype(np.float32), box, box[:4])
        path = tmp_path / "a.svg"
        path.write_text(write.svg([(lines, 2.0)], 128, 128, {}, animate=animate))
        paths = re.findall(r' d="([^"]+)"', path.read_text())
        assert [text[-1] == "Z" for text in paths] == [True, True, False]
        assert paths[1] == "M10 10L90 10L90 60L10 60Z"
        again = next(read(path)).strokes or ()
        assert aside(again, lines) < 0.1
        np.testing.assert_array_equal(again[1], box)
        assert (again[0][0] == again[0][-1]).all()
        assert (again[0][-2] != again[0][-1]).any()

    def test_given_strokes_have_a_group_of_their_own(self) -> None:
        lines = (np.array([[5.0, 5.0]], np.float32), np.array([[9.0, 9], [20, 30]], np.float32))
        names = [re.findall(r' id="(\w+)"', write.svg([(lines, 2.0)], 32, 32, {}, given=count)) for count in (1, 0)]
        assert names == [["given", "new"], []]

    @pytest.mark.parametrize("size", ['width="40mm" height="20mm"', 'width="40mm"', ""])
    def test_the_size_of_a_page_is_that_of_its_source(self, size: str, tmp_path: Path) -> None:
        line = '<path fill="none" stroke="#000" stroke-width="3" d="M10 10L90 40"/>'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 50"{size and " "}{size}>'
        (tmp_path / "a.svg").write_text(f"{head}{line}</svg>")
        drawn, page = trace.on_page(next(read(tmp_path / "a.svg")))
        assert write.svg([(drawn.strokes, drawn.pen)], 1, 1, {}, page).startswith(head)


class TestClosedStrokes:
    """Where a closed stroke closes, its curves are like everywhere else."""

    @pytest.mark.parametrize("pen", [2.0, 4.0, 8.0])
    def test_a_traced_circle_is_round(self, pen: float) -> None:
        (stroke,) = trace.trace(mask(drawings.arc(64, 64, 50, points=200), pen=pen)).strokes
        line = bezier.smooth(stroke, pen, 0.01)
        np.testing.assert_allclose(np.linalg.norm(line - 64, axis=1), 50, atol=0.25)
        curves = bezier.bezier(stroke, pen)
        start, end = curves[0, 1] - curves[0, 0], curves[-1, 3] - curves[-1, 2]
        assert start @ end > 0.999 * np.linalg.norm(start) * np.linalg.norm(end), "and has no kink"

    def test_curves_begin_at_a_corner(self) -> None:
        middle = np.array([[30, 10], [90, 10], [90, 60], [10, 60], [10, 10], [30, 10]], np.float32)
        curves = bezier.bezier(middle, 2.0)
        np.testing.assert_array_equal(curves[:, 0], middle[1:5])

    @given(st.lists(st.tuples(*[st.floats(0, 9, width=32)] * 2), min_size=2, max_size=9), st.sampled_from([0.01, 1, 4]))
    @settings(max_examples=50, deadline=None)
    def test_any_closed_stroke_stays_closed(self, points: list[tuple[float, float]], pen: float) -> None:
        curves = bezier.bezier(np.array([*points, points[0]], np.float32), float(pen))
        assert not len(curves) or (curves[0, 0] == curves[-1, -1]).all()

    @pytest.mark.parametrize("start", [0, 8, 16, 17])
    def test_straight_sides_between_rounded_corners_stay_straight(self, start: int) -> None:
        corners = [(80, 50, 0), (20, 50, 90), (20, 20, 180), (80, 20, 270)]
        around = np.concatenate([drawings.arc(x, y, 10, turn, turn + 90, points=17) for x, y, turn in corners])
        around = np.roll(around, -start, axis=0).astype(np.float32)
        curves = bezier.bezier(np.concatenate([around, around[:1]]), 2.0)
        assert len(curves) == 8


def test_pictures_have_the_curves_of_an_svg(each_drawing: Sketch, tmp_path: Path) -> None:
    lines = tuple(line * 128 for line in sketch.fit(each_drawing.lines(), SHAPE.margin))
    (tmp_path / "a.svg").write_text(write.svg([(lines, 4.0)], SIDE, SIDE, {}))
    for side, most in ((512, 0.05), (40, 0.15)):
        found = picture(torch.zeros(SIDE, SIDE), 1 / 16, side, trace.Trace(lines, 4.0))
        seen = np.asarray(rendered(tmp_path / "a.svg", side)[0].convert("L"))
        ink = 255 - seen.astype(int)
        assert np.abs(found.astype(int) - seen).sum() < most * ink.sum()
