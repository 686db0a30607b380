"""Redrawing a rough sketch: what strength means, and that neither the batch nor the canvas changes it."""

from functools import partial
from typing import Any

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from torch import Tensor

from visketch import checkpoint
from visketch.decoding import enlarge
from visketch.errors import UsageError, VisketchError
from visketch.geometry import sdf
from visketch.geometry.pieces import Pieces, pieces
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.models.strokes import StrokeDiffusion
from visketch.sampling import Frame
from visketch.tasks.refine import pieces_to_redraw, refine, shrunk, thinned, traced

CONFIG = tiny_model.small()
CAT, STAR = drawings.draw("cat"), drawings.draw("star")


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel(CONFIG, **{name: tiny_model.awake(CONFIG, name) for name in checkpoint.PARTS})


def same(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() < 1e-3)


def test_at_strength_one_nothing_of_the_sketch_is_left(model: SketchModel) -> None:
    drawn = refine(model, [CAT, STAR], ["cat", "cat"], strength=1.0, seed=5, steps=3).canvas
    assert same(drawn[0], drawn[1])
    assert same(drawn[:1], model.generate_fields("cat", 1, seed=5, steps=3, tries=1).canvas)


def test_at_strength_zero_only_lines_are_drawn_again(model: SketchModel) -> None:
    """They are drawn from what is left of them on the coarse tile. The checkpoint need not even have a coarse stage."""
    lean = SketchModel(CONFIG, **{name: model.part(name) for name in ("vqvae", "encoder", "refiner")})
    drawn = refine(lean, [CAT], ["cat"], strength=0.0).canvas
    tile = CONFIG.sketch.tile
    coarse = enlarge(torch.nn.functional.adaptive_avg_pool2d(model.render([CAT]), tile), CONFIG.sketch.canvas)
    *_, last = model.decode(coarse, torch.tensor([model.label_of("cat")]), seeds=[0])
    assert same(drawn, last.canvas)


def test_in_between_the_noised_sketch_is_drawn_from_there(model: SketchModel) -> None:
    """Only the share `strength` of the steps is taken. The first starts at that time, from that mixture of sketch and
    noise.
    """
    frames: list[Frame] = []
    refine(model, [CAT], ["cat"], strength=0.5, steps=8, on_progress=frames.append)
    assert [frame.total for frame in frames if frame.stage == "coarse"] == [4] * 4
    diffusion, seen = model.part("diffusion"), []
    field, noise = torch.full((1, 16, 16), -1.0), torch.randn(1, 16, 16)
    flow = diffusion.flow
    diffusion.flow = lambda x, time, label: (seen.append((time[0].item(), x.clone())), flow(x, time, label))[1]
    try:
        diffusion.sample(torch.tensor([0]), noise, 10, 1.0, rough=field, strength=0.3)
    finally:
        del diffusion.flow
    assert [time for time, _ in seen] == pytest.approx([0.3, 0.2, 0.1], abs=1e-4)
    torch.testing.assert_close(seen[0][1], 0.7 * field + 0.3 * noise)


def test_a_sketch_is_redrawn_the_same_beside_any_other(model: SketchModel) -> None:
    together = refine(model, [CAT, STAR], ["cat", "star"], strength=0.4, steps=5).canvas
    for i, (sketch, label) in enumerate(((CAT, "cat"), (STAR, "star"))):
        assert same(refine(model, [sketch], [label], strength=0.4, steps=5).canvas[0], together[i])


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_a_larger_canvas_has_a_finer_pen(model: SketchModel, strength: float) -> None:
    drawn = refine(model, [CAT], ["cat"], strength=strength, canvas=256, steps=4).canvas
    assert drawn.shape == (1, 256, 256)
    if strength == 0:
        *_, last = model.decode(shrunk(model, model.render([CAT], 256)), torch.tensor([0]), seeds=[0])
        assert same(drawn, last.canvas)


def test_lines_are_thinned_where_they_are(model: SketchModel) -> None:
    field = model.render([CAT])[0]
    lines = np.concatenate(thinned(model, field, 256).lines()) / 256
    ink = np.argwhere(sdf.ink(field, CONFIG.sketch.clamp).numpy() > 0.5)[:, ::-1]  # x, y
    centres = (ink + 0.5) / CONFIG.sketch.canvas
    distance = np.linalg.norm(lines[:, None] - centres, axis=2).min(axis=1)
    assert distance.max() < 1 / CONFIG.sketch.canvas


def scribble(number: int, second: float = 1.0) -> Sketch:
    """So many lines, far from one another. The length of every second one is multiplied by `second`."""
    places = np.stack(np.meshgrid(np.arange(7), np.arange(7)), axis=-1).reshape(-1, 1, 2)[:number]
    ends = np.array([[0, 0], [0.5, 0.3]])
    strokes = (place + ends * (1 if row % 2 else second) for row, place in enumerate(places))
    return Sketch(strokes=tuple(line.astype(np.float32) for line in strokes), source="lines")


def differing(number: int, drawings: list[Pieces], label: Tensor) -> list[int]:
    return [abs(len(drawn) - number) for drawn in drawings]


class TestByStrokes:
    """A checkpoint whose coarse stage draws strokes, and whose refiner draws every line as it is."""

    @pytest.fixture
    def model(self, monkeypatch: pytest.MonkeyPatch) -> SketchModel:
        monkeypatch.setattr(SketchModel, "redrawn", lambda model, canvas, *_: canvas)
        config = tiny_model.small("diffusion.backbone=strokes", "diffusion.pieces=20")
        return SketchModel(config, **{name: tiny_model.awake(config, name) for name in checkpoint.PARTS})

    @pytest.mark.parametrize("canvas", [None, 256])
    def test_the_strokes_are_the_result(self, model: SketchModel, canvas: int | None) -> None:
        frames: list[Frame] = []
        made = refine(
            model, [CAT, STAR], ["cat", "star"], strength=0.4, steps=5, canvas=canvas, on_progress=frames.append
        )
        assert [frame.done for frame in frames] == [1, 2]  # the share 0.4 of five steps
        assert made.strokes is not None
        side, margin = canvas or CONFIG.sketch.canvas, CONFIG.sketch.margin
        for field, strokes, sketch, label in zip(made.canvas, made.strokes, (CAT, STAR), ("cat", "star"), strict=True):
            points = np.concatenate(strokes)
            assert field.shape == (side, side)
            assert np.ptp(points, axis=0).max() == pytest.approx((1 - 2 * margin) * side, abs=0.01)
            assert same(model.render([Sketch(strokes=strokes)], side)[0], field)
            alone = refine(model, [sketch], [label], strength=0.4, steps=5, canvas=canvas)
            assert same(alone.canvas[0], field)

    def test_what_the_network_finds_more_probable_is_drawn_again(
        self, model: SketchModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The strokes of the drawing, or the lines that the refiner drew."""
        field, label = model.render([CAT])[0], torch.tensor([model.label_of("cat")])
        own, found = pieces([CAT.lines()])[0], traced(model, field, CAT)
        assert len(own) != len(found)
        for better in (own, found):
            monkeypatch.setattr(StrokeDiffusion, "surprise", partial(differing, len(better)))
            assert np.array_equal(pieces_to_redraw(model, field, CAT, label).points, better.points)
            picture = Sketch(pixels=(model.ink(field[None])[0] > 0.5).numpy())
            assert np.array_equal(pieces_to_redraw(model, field, picture, label).points, found.points)
            many = scribble(30)  # more than the network has
            lines = model.render([many])[0]
            assert np.array_equal(pieces_to_redraw(model, lines, many, label).points, traced(model, lines, many).points)

    def test_a_field_is_drawn_if_it_is_asked_for(self, model: SketchModel) -> None:
        made = refine(model, [CAT], ["cat"], strength=0.4, steps=3, coarse="field")
        assert made.strokes is None

    def test_more_strokes_than_the_network_has(self, model: SketchModel) -> None:
        """The shortest are left out, unless they are more than the others."""

        def taken(*how: Any) -> Pieces:
            sketch = scribble(*how)
            return traced(model, model.render([sketch])[0], sketch)

        assert len(taken(9)) == 9
        lengths = np.linalg.norm(taken(30, 0.6).points[:, -1] - taken(30, 0.6).points[:, 0], axis=1)
        assert len(lengths) == 20
        assert (lengths > 0.8 * lengths.max()).sum() == 15  # all long ones
        with pytest.raises(VisketchError, match="lines: 45 strokes after refining: at most 40 can be changed"):
            taken(45)


def test_refuses(model: SketchModel) -> None:
    with pytest.raises(UsageError, match=r"strength = 1\.5"):
        refine(model, [CAT], ["cat"], strength=1.5)
    with pytest.raises(UsageError, match="catt"):
        refine(model, [CAT], ["catt"], strength=0.0)
    with pytest.raises(UsageError, match="canvas of 100"):
        refine(model, [CAT], ["cat"], strength=0.0, canvas=100)
    with pytest.raises(VisketchError, match="blank"):
        refine(model, [Sketch(pixels=np.zeros((9, 9), bool))], ["cat"], strength=0.0)
