"""Small marks far from a drawing, and a frame around it, do not decide what it is."""

from dataclasses import replace

import drawings
import numpy as np
import pytest
import torch

from visketch.config import SketchConfig
from visketch.geometry import sdf
from visketch.geometry.marks import views
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.models.classifier import averaged

SHAPE = SketchConfig()
CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
ANGLE = np.linspace(0, 2 * np.pi, 20)


def marked(size: float, away: float) -> Sketch:
    """A cat with a ring beside it. Both are shares of the cat's extent."""
    cat = drawings.draw("cat")
    points = np.concatenate(cat.lines())
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    middle = (high[0] + (away + size / 2) * extent, high[1])
    ring = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1) * size * extent / 2 + middle
    return replace(cat, strokes=(*cat.lines(), ring.astype(np.float32)))


@pytest.mark.parametrize(("size", "away", "found"), [(0.1, 0.3, True), (0.5, 0.3, False), (0.1, 0.02, False)])
def test_only_small_and_far_marks_are_left_out(size: float, away: float, found: bool) -> None:
    shown = views(marked(size, away), SHAPE)
    assert len(shown) == 1 + found
    if found:
        cat = drawings.draw("cat")
        (_, whole), (rest, without) = shown
        assert np.array_equal(whole, sdf.render(marked(size, away), SHAPE))
        assert np.array_equal(without, sdf.render(cat, SHAPE))
        assert len(rest.strokes or ()) == len(cat.lines())


def framed(shake: float) -> Sketch:
    """A cat in a frame, whose corners are moved by at most `shake` of its extent."""
    cat = drawings.draw("cat")
    points = np.concatenate(cat.lines())
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]], low]) + 0.2 * extent * CORNERS
    shaken = corners + shake * extent * np.array([[1, 1], [-1, 1], [1, 1], [-1, -1], [1, 1]])
    return replace(cat, strokes=(shaken.astype(np.float32), *cat.lines()))


@pytest.mark.parametrize(("shake", "found"), [(0.0, True), (0.1, False)])
def test_a_straight_frame_is_left_out(shake: float, found: bool) -> None:
    shown = views(framed(shake), SHAPE)
    assert len(shown) == 1 + found
    if found:
        assert np.array_equal(shown[1][1], sdf.render(drawings.draw("cat"), SHAPE))


def test_marks_beside_the_ink_of_a_picture_are_left_out() -> None:
    picture = Sketch(pixels=sdf.render(marked(0.1, 0.3), SHAPE.at(512)) > 0)
    _, (rest, _) = views(picture, SHAPE)
    assert picture.pixels is not None
    assert rest.pixels is not None
    rows, columns = np.nonzero(picture.pixels & ~rest.pixels)
    assert len(rows)
    assert columns.min() > np.nonzero(rest.pixels)[1].max()


def test_probabilities_of_views_are_averaged() -> None:
    logits = torch.randn(4, 3)
    mean = averaged(logits, [0, 0, 1, 2]).exp()
    chance = logits.softmax(dim=1)
    torch.testing.assert_close(mean, torch.stack([chance[:2].mean(dim=0), chance[2], chance[3]]))
    assert averaged(logits, range(4)) is logits
    assert averaged(logits, ()) is logits


def test_a_mark_does_not_make_another_class() -> None:
    model = SketchModel.load()
    ((first, *_), (second, *_)) = model.classify_many([drawings.draw("cat"), marked(0.1, 0.5)])
    assert first.label == second.label == "cat"
