"""The same drawing by another hand: it is still the same drawing, and no two results are equal."""

import drawings
import numpy as np
import pytest
import tiny_model

from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.training import restyling
from visketch.training.objectives.recognition import BaselineObjective
from visketch.training.sketch import make_objective

NAMES = ("cat", "fish", "stairs")


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_another_drawing_of_the_same(name: str) -> None:
    """Of 40 results, each is a drawing, most lie near the original, and none is equal to it."""
    shape, lines = tiny_model.small().sketch, drawings.draw(name).lines()
    plain = sdf.render(Sketch(strokes=lines), shape) > 0
    near = sdf.render(Sketch(strokes=lines), shape) > -0.9
    shares, seen = [], set()
    for seed in range(40):
        drawn = restyling.restyle(lines, rng(seed))
        assert all(line.dtype == np.float32 and line.ndim == 2 and np.isfinite(line).all() for line in drawn)
        ink = sdf.render(Sketch(strokes=drawn), shape) > 0
        shares.append((ink & near).sum() / ink.sum())
        seen.add(ink.tobytes())
        assert 0.5 < ink.sum() / plain.sum() < 2.5
    assert np.median(shares) > 0.7
    assert len(seen) > 35


def test_the_same_seed_gives_the_same_drawing() -> None:
    lines = drawings.draw("cat").lines()
    for one, other in zip(restyling.restyle(lines, rng(3)), restyling.restyle(lines, rng(3)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_dot_and_a_line_can_be_restyled() -> None:
    for lines in ((np.zeros((1, 2), np.float32),), (np.array([[0, 0], [9, 9]], np.float32),)):
        for seed in range(60):
            assert restyling.restyle(lines, rng(seed))


class TestFilled:
    SQUARE = (np.array([[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]], np.float32),)
    CROSSED = (*SQUARE, np.array([[0, 4], [8, 4]], np.float32))

    def test_what_is_enclosed_is_ink(self) -> None:
        shares = [
            float(ink.mean()) for seed in range(20) if (ink := restyling.filled(self.SQUARE, rng(seed))) is not None
        ]
        assert len(shares) == 20
        assert max(shares) > 0.7, "the whole square"
        assert min(shares) < 0.2, "or its line alone"

    def test_inner_lines_are_gaps(self) -> None:
        inks = [restyling.filled(self.CROSSED, rng(seed)) for seed in range(20)]
        assert any(ink is not None and ink[100].mean() > 0.7 and ink[128, 64:192].mean() < 0.1 for ink in inks)

    def test_open_lines_enclose_nothing(self) -> None:
        assert restyling.filled((self.SQUARE[0][:3],), rng(0)) is None


def test_training_takes_the_shares_that_are_asked_for(tmp_path) -> None:
    """Without both settings, an example is unchanged. With both, it is changed."""
    sketch = drawings.draw("cat")

    def examples(*settings: str) -> list[np.ndarray]:
        config = tiny_model.small(*settings)
        objective = make_objective("baseline", config, tmp_path)[0]
        assert isinstance(objective, BaselineObjective)
        named = Sketch(strokes=sketch.strokes, label="cat")
        return [np.asarray(objective.example(named, rng(seed), 1.0)["canvas"]) for seed in range(12)]

    plain, restyled = examples(), examples("train.baseline.restyle=0.5", "train.baseline.fill=0.25")
    same = [np.array_equal(one, other) for one, other in zip(plain, restyled, strict=True)]
    assert 0 <= sum(same) < 6
    again = examples("train.baseline.restyle=0.5", "train.baseline.fill=0.25")
    assert all(np.array_equal(one, other) for one, other in zip(restyled, again, strict=True))
