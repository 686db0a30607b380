"""The field compared with a distance that is computed the slow way, and ink recovered from the field."""

import drawings
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visketch.config import SketchConfig
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch, fit, sample

CONFIG = SketchConfig()


def slow_distance(lines: tuple[np.ndarray, ...], canvas: int) -> np.ndarray:
    """The definition itself: the distance in pixels from every pixel's centre to the nearest point of the nearest
    segment.
    """
    axis = np.arange(canvas) + 0.5
    pixels = np.stack(np.meshgrid(axis, axis), axis=-1)
    nearest = np.full((canvas, canvas), np.inf)
    for line in lines:
        for start, end in zip(line, line[1:] if len(line) > 1 else line, strict=False):
            start, along = start.astype(float) * canvas, (end - start).astype(float) * canvas
            share = np.clip((pixels - start) @ along / max(along @ along, 1e-12), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(pixels - start - share[..., None] * along, axis=-1))
    return nearest


def errors(lines: tuple[np.ndarray, ...], canvas: int) -> np.ndarray:
    """The difference between the field and the definition, in pixels, at every pixel where one of the two is not
    saturated.
    """
    field = sdf.field(lines, CONFIG, canvas)
    exact = np.clip((CONFIG.pen / 2 - slow_distance(lines, canvas) / canvas) / CONFIG.clamp, -1, 1)
    seen = (np.abs(field) < 1) | (np.abs(exact) < 1)
    return np.abs(field - exact)[seen] * CONFIG.clamp * canvas


@pytest.mark.parametrize("canvas", [64, 128, 640])
def test_the_field_is_the_distance_to_the_nearest_segment(each_drawing: Sketch, canvas: int) -> None:
    assert errors(fit(each_drawing.lines(), CONFIG.margin), canvas).max() < 1e-3


def test_the_cost_follows_the_ink(cat: Sketch) -> None:
    """A pen that stays equally wide in pixels reaches no further on a larger canvas."""
    small, large = CONFIG, CONFIG.at(1024)
    lines = fit(cat.lines(), CONFIG.margin)
    eighth = tuple(line / 8 for line in lines)
    field = sdf.field(eighth, large, 1024)
    np.testing.assert_allclose(field[:128, :128], sdf.field(lines, small, 128), atol=1e-3)
    assert (field[128 + 10 :] == -1).all()


@given(points=st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_so_it_is_for_any_line(points: list[tuple[float, float]]) -> None:
    """The lines include dots, lines that retrace themselves, and lines that leave the canvas."""
    assert errors((np.array(points, np.float32),), 64).max(initial=0) < 1e-3


def test_a_field_is_float32_within_one_and_positive_where_the_ink_is(each_drawing: Sketch) -> None:
    field = sdf.render(each_drawing, CONFIG)
    assert field.shape == (128, 128)
    assert field.dtype == np.float32
    assert field.min() == -1
    assert 0 < field.max() <= CONFIG.pen / 2 / CONFIG.clamp + 1e-6
    points = sample(fit(each_drawing.lines(), CONFIG.margin), spacing=1 / 128)
    column, row = (points * 128).astype(int).T
    assert (field[row, column] > 0).all()


def test_canvas_is_an_argument(cat: Sketch) -> None:
    small, large = (torch.from_numpy(sdf.render(cat, CONFIG, canvas)) for canvas in (64, 256))
    pooled = torch.nn.functional.avg_pool2d(large[None], 4)[0]
    assert (pooled - small).abs().mean() < 0.03


def test_margins_are_white_paper(each_drawing: Sketch) -> None:
    ink = sdf.ink(torch.from_numpy(sdf.render(each_drawing, CONFIG)), CONFIG.clamp)
    border = int((CONFIG.margin - CONFIG.pen / 2) * 128)
    assert border >= 1
    inside = torch.zeros_like(ink, dtype=torch.bool)
    inside[border:-border, border:-border] = True
    assert ink[~inside].max() == 0
    assert ink[inside].max() == 1


def test_ink_comes_back_as_wide_as_the_pen() -> None:
    """For a straight stroke of 100 pixels with round ends beyond it, area = length * pen + circle."""
    stroke = (np.array([[14, 64], [114, 64]], np.float32) / 128,)
    ink = sdf.ink(torch.from_numpy(sdf.field(stroke, CONFIG, 128)), CONFIG.clamp)
    pen = CONFIG.pen * 128
    assert ink.sum().item() == pytest.approx(100 * pen + np.pi * pen**2 / 4, rel=0.02)
    assert ink[:, 64].sum().item() == pytest.approx(pen, abs=0.1)


def test_ink_is_half_at_the_edge_and_takes_any_batch() -> None:
    assert sdf.ink(torch.zeros(2, 1, 8, 8), CONFIG.clamp).eq(0.5).all()
    assert sdf.ink(torch.full((8, 8), -1.0), CONFIG.clamp).eq(0).all()
    assert sdf.ink(torch.full((3, 128, 128), 1.0), CONFIG.clamp).eq(1).all()


@pytest.mark.parametrize("label", drawings.SUBJECTS)
def test_a_raster_gives_nearly_the_field_of_the_strokes_that_drew_it(label: str) -> None:
    """To the models, ink on paper is the same drawing, once it is thinned, as the strokes that drew it."""
    sketch = drawings.draw(label)
    field = sdf.render(sketch, CONFIG)
    paper = sdf.ink(torch.from_numpy(sdf.render(sketch, CONFIG, 512)), CONFIG.clamp).numpy() > 0.5
    again = sdf.render(Sketch(pixels=paper), CONFIG)
    difference = np.abs(again - field) * CONFIG.clamp * 128  # pixels
    assert difference.mean() < 0.35
    ink, ink_again = field > 0, again > 0
    assert (ink & ink_again).sum() / (ink | ink_again).sum() > 0.75  # thinning shortens the ends by about half a pen


@pytest.mark.parametrize(
    "blank",
    [Sketch(strokes=()), Sketch(strokes=(np.zeros((0, 2), np.float32),)), Sketch(pixels=np.zeros((9, 9), bool))],
)
def test_a_blank_sketch_is_refused(blank: Sketch) -> None:
    with pytest.raises(VisketchError, match="blank"):
        sdf.render(blank, CONFIG)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_coordinate_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(VisketchError, match="not a number"):
        sdf.render(Sketch(strokes=(np.array([[0, 0], [value, 1]], np.float32),)), CONFIG)


def test_a_dot_is_a_dot() -> None:
    """A single point has no size by which it could be scaled, so it becomes a spot of the pen in the middle."""
    field = sdf.render(Sketch(strokes=(np.array([[7, 7]], np.float32),)), CONFIG)
    ink = sdf.ink(torch.from_numpy(field), CONFIG.clamp)
    assert ink.sum().item() == pytest.approx(np.pi * (CONFIG.pen * 64) ** 2, rel=0.1)
    assert ink[63:65, 63:65].eq(1).all()
