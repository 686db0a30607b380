"""Drawings in other styles. One thing changes, by the amount that the style says, and everything else stays."""

import drawings
import numpy as np
import pytest
from scipy import ndimage

from visketch.errors import UsageError
from visketch.evaluate import styles
from visketch.geometry.sketch import Sketch, fit


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", styles.STYLES)
def test_a_style_is_a_pure_function_of_drawing_and_chance(name: str, each_drawing: Sketch) -> None:
    one, again = (styles.STYLES[name](each_drawing, rng()) for _ in range(2))
    assert all(map(np.array_equal, one.lines(), again.lines()))
    assert (one.label, one.source) == (each_drawing.label, each_drawing.source)
    assert (one.pixels is not None) == (name.startswith("pen") or name == "paper")


@pytest.mark.parametrize("name", ["turned", "incomplete", "paper"])
def test_chance_matters_to_some(name: str, cat: Sketch) -> None:
    drawn = {styles.STYLES[name](cat, rng(seed)).lines()[0].tobytes() for seed in range(8)}
    assert len(drawn) > 1


@pytest.mark.parametrize(("name", "width"), [("pen x 0.5", 2), ("pen", 4), ("pen x 3", 12)])
def test_a_pen_s_ink_is_as_wide_as_it_says(name: str, width: int) -> None:
    """In pixels of 256, this is the area of the ink over the length of the lines, for a circle, whose lines do not
    meet.
    """
    sketch = drawings.draw("circle", tremble=0)
    (line,) = fit(sketch.lines(), styles.MARGIN)
    length = styles.SIDE * np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
    pixels = styles.STYLES[name](sketch, rng()).pixels
    assert pixels is not None
    assert pixels.shape == (styles.SIDE, styles.SIDE)
    assert pixels.sum() / length == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_turned_is_by_twenty_degrees(seed: int) -> None:
    flat = Sketch(strokes=(np.array([(0, 0), (100, 0)], np.float32),))
    start, end = styles.turned(flat, rng(seed)).lines()[0]
    angle = np.degrees(np.arctan2(*(end - start)[::-1]))
    assert abs(angle) == pytest.approx(20, abs=1e-3)
    assert np.linalg.norm(end - start) == pytest.approx(100, rel=1e-5)


def test_incomplete_lacks_three_strokes_in_ten_but_never_all() -> None:
    stairs = Sketch(strokes=tuple(np.array([(0, y), (9, y)], np.float32) for y in range(50)))
    kept = [len(styles.incomplete(stairs, rng(seed)).lines()) for seed in range(40)]
    assert np.mean(kept) == pytest.approx(35, abs=2)
    star = drawings.draw("star")
    assert all(len(styles.incomplete(star, rng(seed)).lines()) == 1 for seed in range(10))


def test_paper_is_read_back_as_the_drawing_with_specks(each_drawing: Sketch) -> None:
    clean, found = styles.pen(each_drawing, rng()).pixels, styles.paper(each_drawing, rng(1)).pixels
    assert clean is not None
    assert found is not None
    assert not np.array_equal(clean, found), "it is not that clean"
    near = ndimage.binary_dilation(clean, iterations=2)
    assert (clean & ndimage.binary_dilation(found, iterations=2)).sum() / clean.sum() > 0.95
    assert (found & ~near).mean() < 0.02


def test_a_picture_has_its_style_already() -> None:
    raster = Sketch(pixels=np.eye(9, dtype=bool), source="scan.png")
    for style in styles.STYLES.values():
        with pytest.raises(UsageError, match=r"scan.png: this is a picture"):
            style(raster, rng())
