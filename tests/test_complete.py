"""Completing a half-drawn sketch: the given part stays, the rest is drawn around it, and the most probable place is
kept.
"""

from dataclasses import replace

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from torch import Tensor

from visketch import checkpoint
from visketch.config import SketchConfig
from visketch.errors import UsageError, VisketchError
from visketch.geometry import sdf, sketch
from visketch.geometry.pieces import Pieces
from visketch.geometry.sketch import Sketch
from visketch.metrics import kept
from visketch.model import SketchModel
from visketch.models.diffusion import Diffusion
from visketch.models.strokes import StrokeDiffusion
from visketch.sampling import Frame
from visketch.tasks.complete import KNOWN, SHARES, best_first, complete, draw_around, places, strokes, with_strokes

CONFIG = tiny_model.small()
WHOLE = drawings.draw("cat")
PART = replace(WHOLE, strokes=(WHOLE.strokes or ())[:3])


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel(CONFIG, **{name: tiny_model.awake(CONFIG, name) for name in checkpoint.PARTS})


class TestDrawAround:
    given = torch.full((2, 16, 16), -1.0)
    given[:, 4:8, 4:8] = 0.5
    label = torch.tensor([0, 1])

    @staticmethod
    def fresh() -> Tensor:
        return torch.randn(2, 16, 16)

    def test_near_what_is_given_it_is_given(self, model: SketchModel) -> None:
        drawn = draw_around(model.part("diffusion"), self.given, self.label, self.fresh, 6, 2.0)
        near = self.given > -KNOWN
        assert torch.equal(drawn[near], self.given[near])
        assert (drawn[~near] - self.given[~near]).abs().max() > 0.1
        assert drawn.abs().max() <= 1

    def test_who_knows_the_sketch_draws_it(self) -> None:
        """The network here always predicts the same sketch. What it sees at a time has that time's share of noise."""
        target, seen = torch.rand(2, 16, 16) * 2 - 1, []

        class Sure(Diffusion):
            def guided(self, x: Tensor, time: Tensor, label: Tensor, guidance: float) -> Tensor:
                noise = (x - (1 - time[:, None, None]) * torch.where(known, given, target)) / time[:, None, None]
                seen.append((time[0].item(), noise.std().item()))
                return (x - target) / time[:, None, None]

        given, known = self.given, self.given > -KNOWN
        torch.manual_seed(0)
        sure = Sure(CONFIG.diffusion, 16, 3)
        drawn = draw_around(sure, given, self.label, self.fresh, 10, 1.0)
        torch.testing.assert_close(drawn, torch.where(known, given, target), rtol=0, atol=1e-4)
        assert len(seen) > 10, "most steps are taken more than once"
        assert all(abs(deviation - 1) < 0.15 for _, deviation in seen), seen

    def test_without_anything_given_it_is_a_sample(self, model: SketchModel) -> None:
        """This holds until a step is repeated."""
        diffusion, noise = model.part("diffusion"), self.fresh()
        drawn = draw_around(diffusion, torch.full_like(noise, -1), self.label, lambda: noise, 1, 2.0)
        torch.testing.assert_close(drawn, diffusion.sample(self.label, noise, 1, 2.0), rtol=0, atol=1e-4)


def test_places_are_within_the_margin_and_first_as_a_whole_drawing() -> None:
    lines, margin = PART.lines(), 1 / 24
    found = places(lines, margin, seed=3, tries=6)
    for place, share in zip(found, (SHARES * 2)[:6], strict=True):
        points = np.concatenate(place.lines(lines))
        assert points.min() >= margin - 1e-5
        assert points.max() <= 1 - margin + 1e-5
        assert np.ptp(points, axis=0).max() == pytest.approx(share * (1 - 2 * margin), abs=1e-5)
    np.testing.assert_allclose(
        np.concatenate(found[0].lines(lines)), np.concatenate(sketch.fit(lines, margin)), atol=1e-5
    )
    assert places(lines, margin, seed=3, tries=6) == found
    assert places(lines, margin, seed=4, tries=6) != found


class TestWithStrokes:
    shape = SketchConfig()

    def field(self, *lines: list[tuple[float, float]]) -> Tensor:
        drawn = tuple(np.array(line, np.float32) for line in lines)
        return torch.from_numpy(sdf.field(drawn, self.shape, 128).astype(np.float32))[None]

    def test_strokes_are_added_and_join(self) -> None:
        given, stroke = self.field([(0.2, 0.2), (0.8, 0.2)]), self.field([(0.5, 0.2), (0.5, 0.8)])
        both = torch.maximum(given, stroke)
        assert torch.equal(with_strokes(given, both, self.shape) > 0, both > 0)

    def test_specks_and_fringes_are_not(self) -> None:
        given = self.field([(0.2, 0.2), (0.8, 0.2)])
        beside, speck = self.field([(0.2, 0.21), (0.8, 0.21)]), self.field([(0.5, 0.6)])
        drawn = torch.maximum(torch.maximum(given, beside), speck)
        assert torch.equal(with_strokes(given, drawn, self.shape), given)


class TestComplete:
    def test_what_is_given_stays(self, model: SketchModel) -> None:
        for each in complete(model, PART, ["cat", "star"], tries=3, steps=4):
            assert (each.canvas >= each.given).all()
            assert float(kept(each.given[None] > 0, each.canvas[None] > 0)) == 1
            again = sdf.field(each.place.lines(PART.lines()), CONFIG.sketch, CONFIG.sketch.canvas)
            np.testing.assert_allclose(each.given.numpy(), again, atol=1e-5)
            new = (each.canvas > 0) & (each.given <= 0)
            assert 0 < each.added == pytest.approx(float(new.sum() / (each.canvas > 0).sum()))

    def test_number_i_is_the_same_whatever_is_beside_it(self, model: SketchModel, monkeypatch) -> None:
        many = complete(model, PART, ["cat", "star", "cat"], tries=2, seed=7, steps=4)
        assert [each.seed for each in many] == [7, 8, 9]
        monkeypatch.setattr("visketch.tasks.complete.BATCH", 2)
        for one, other in zip(
            complete(model, PART, ["cat", "star", "cat"], tries=2, seed=7, steps=4), many, strict=True
        ):
            assert (one.label, one.place) == (other.label, other.place)
            torch.testing.assert_close(one.canvas, other.canvas, rtol=0, atol=1e-3)
        (alone,) = complete(model, PART, ["star"], tries=2, seed=8, steps=4)
        torch.testing.assert_close(alone.canvas, many[1].canvas, rtol=0, atol=1e-3)

    def test_the_likeliest_place_is_kept(self, model: SketchModel) -> None:
        frames: list[Frame] = []
        (found,) = complete(model, PART, ["star"], tries=4, steps=4, on_progress=lambda frame: frames.append(frame))
        spots = places(PART.lines(), CONFIG.sketch.margin, 0, 4)
        given = torch.from_numpy(np.stack([sdf.field(p.lines(PART.lines()), CONFIG.sketch, 64) for p in spots]))
        tried = with_strokes(given, frames[-1].canvas, CONFIG.sketch)
        chance = model.logits(tried).softmax(dim=1)[:, model.label_of("star")]
        assert found.probability == pytest.approx(float(chance.max()), abs=1e-4)
        assert found.place == spots[found.tried] == spots[int(chance.argmax())]

    def test_a_try_that_adds_nothing_comes_last(self, model: SketchModel, monkeypatch: pytest.MonkeyPatch) -> None:
        """It comes last even if the classifier finds it most probable."""
        nothing = {"left out": 3}

        def stubborn(given: Tensor, drawn: Tensor, shape: SketchConfig) -> Tensor:
            """Add strokes to all tries except some."""
            chosen = with_strokes(given, drawn, shape)
            chosen[: nothing["left out"]] = given[: nothing["left out"]]
            return chosen

        monkeypatch.setattr("visketch.tasks.complete.with_strokes", stubborn)
        spots = places(PART.lines(), CONFIG.sketch.margin, 0, 4)
        (found,) = complete(model, PART, ["star"], tries=4, steps=4)
        assert found.place == spots[3]
        nothing["left out"] = 4
        (found,) = complete(model, PART, ["star"], tries=4, steps=4)
        assert found.added == 0

    def test_a_dot_and_a_picture_can_be_completed(self, model: SketchModel) -> None:
        dot = Sketch(strokes=(np.array([[500.0, 300.0]], np.float32),))
        picture = np.zeros((40, 60), bool)
        picture[10, 5:50] = True
        for part in (dot, Sketch(pixels=picture)):
            (found,) = complete(model, part, ["cat"], tries=2, steps=2)
            assert (found.given > 0).any()

    def test_refuses(self, model: SketchModel) -> None:
        with pytest.raises(VisketchError, match="blank"):
            complete(model, Sketch(pixels=np.zeros((9, 9), bool)), ["cat"])
        with pytest.raises(UsageError, match="catt"):
            complete(model, PART, ["catt"])
        with pytest.raises(UsageError, match="tries"):
            complete(model, PART, ["cat"], tries=0)


class TestByStrokes:
    """A checkpoint whose coarse stage draws strokes adds strokes, and does not change the given ones."""

    @pytest.fixture(scope="class")
    def model(self) -> SketchModel:
        settings = tiny_model.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2")
        return SketchModel(settings, **{name: tiny_model.awake(settings, name) for name in checkpoint.PARTS})

    def test_what_is_given_is_kept_and_strokes_are_added(self, model: SketchModel) -> None:
        whole = drawings.draw("house")
        part = Sketch(strokes=(whole.strokes or ())[:2])
        found = complete(model, part, ["house", "cat"], seed=3, tries=2, steps=3)
        assert [one.label for one in found] == ["house", "cat"]
        for one in found:
            assert torch.equal(torch.maximum(one.canvas, one.given), one.canvas), "no given ink is lost"
            assert one.added_strokes
            lines, count = strokes(one, part, model.config.sketch)
            assert lines is not None
            assert count == 2
            assert len(lines.strokes) == 2 + len(one.added_strokes)
            for line, given in zip(lines.strokes, part.lines(), strict=False):
                np.testing.assert_allclose(line / 64, one.place.lines([given])[0], atol=1e-5)
            points = np.concatenate(lines.strokes) / 64
            margin = model.config.sketch.margin
            assert points.min() == pytest.approx(margin, abs=1e-3)
            assert points.max() == pytest.approx(1 - margin, abs=1e-3)

    def test_what_is_probable_and_does_not_surprise_is_kept(
        self, model: SketchModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The number of pieces stands for the surprise here."""

        def length(network: StrokeDiffusion, drawn: list[Pieces], label: Tensor) -> Tensor:
            return torch.tensor([float(len(one)) for one in drawn])

        monkeypatch.setattr(StrokeDiffusion, "surprise", length)
        part, added = Sketch(strokes=(drawings.draw("cat").strokes or ())[:3]), {}
        for clutter in (0.0, 5.0):
            monkeypatch.setattr("visketch.tasks.complete.CLUTTER", clutter)
            found = complete(model, part, ["cat"] * 4, seed=3, tries=4, steps=3)
            added[clutter] = sum(len(one.added_strokes or ()) for one in found)
            merits = [one.merit for one in best_first(found)]
            assert merits == sorted((one.merit for one in found), reverse=True)
            if not clutter:
                assert merits == pytest.approx(sorted(np.log([one.probability for one in found]), reverse=True))
        assert added[5.0] < added[0.0]

    def test_one_completion_does_not_depend_on_the_others(self, model: SketchModel) -> None:
        part = Sketch(strokes=(drawings.draw("cat").strokes or ())[:3])
        both = complete(model, part, ["cat", "cat"], seed=3, tries=2, steps=3)
        alone = complete(model, part, ["cat"], seed=4, tries=2, steps=3)
        torch.testing.assert_close(both[1].canvas, alone[0].canvas, atol=1e-3, rtol=0)
        assert not torch.allclose(both[0].canvas, both[1].canvas, atol=0.1)

    def test_a_picture_is_traced_and_its_ink_stays(self, model: SketchModel) -> None:
        pixels = np.zeros((60, 80), bool)
        pixels[10:50, 20:23] = pixels[48:51, 20:60] = True
        (one,) = complete(model, Sketch(pixels=pixels), ["house"], tries=1, steps=3)
        assert torch.equal(torch.maximum(one.canvas, one.given), one.canvas)
        assert one.added > 0

    @pytest.mark.parametrize("ink", [np.s_[5:7, 5:15], np.s_[5:14, 20:29]], ids=["dash", "dot"])
    def test_what_is_written_of_a_small_picture_is_what_was_placed(self, model: SketchModel, ink: tuple) -> None:
        pixels = np.zeros((20, 40), bool)
        pixels[ink] = True
        part, shape = Sketch(pixels=pixels), model.config.sketch
        for one in complete(model, part, ["house", "cat"], tries=4, steps=3):
            written, count = strokes(one, part, shape)
            assert written is not None
            assert count == len(written.strokes) - len(one.added_strokes or ())
            lines = tuple(line / shape.canvas for line in written.strokes)
            np.testing.assert_allclose(sdf.field(lines[:count], shape, shape.canvas), one.given, atol=1e-4)
            points = np.concatenate(lines)
            assert points.min() >= shape.margin - 1e-3
            assert points.max() <= 1 - shape.margin + 1e-3

    def test_a_drawing_with_more_strokes_than_there_are_places_is_refused(self, model: SketchModel) -> None:
        dots = tuple(np.array([[x, x]], np.float32) for x in range(40))
        with pytest.raises(VisketchError, match="dots: 40 pieces of strokes: at most 23") as caught:
            complete(model, Sketch(strokes=dots, source="dots"), ["cat"], tries=1, steps=3)
        assert not isinstance(caught.value, UsageError), "nothing is wrong with the request"
