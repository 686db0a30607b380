"""Redrawing a rough sketch: what strength means, and that neither the batch nor the canvas changes it."""

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
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.sampling import Frame
from visketch.tasks.refine import refine, shrunk, thinned

CONFIG = tiny_model.small()
CAT, STAR = drawings.draw("cat"), drawings.draw("star")


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel(CONFIG, **{name: tiny_model.awake(CONFIG, name) for name in checkpoint.PARTS})


def same(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() < 1e-3)


def test_at_strength_one_nothing_of_the_sketch_is_left(model: SketchModel) -> None:
    drawn = refine(model, [CAT, STAR], ["cat", "cat"], strength=1.0, seed=5, steps=3)
    assert same(drawn[0], drawn[1])
    assert same(drawn[:1], model.generate_fields("cat", 1, seed=5, steps=3, tries=1).canvas)


def test_at_strength_zero_only_lines_are_drawn_again(model: SketchModel) -> None:
    """They are drawn from what is left of them on the coarse tile. The checkpoint need not even have a coarse stage."""
    lean = SketchModel(CONFIG, **{name: model.part(name) for name in ("vqvae", "encoder", "refiner")})
    drawn = refine(lean, [CAT], ["cat"], strength=0.0)
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
    together = refine(model, [CAT, STAR], ["cat", "star"], strength=0.4, steps=5)
    for i, (sketch, label) in enumerate(((CAT, "cat"), (STAR, "star"))):
        assert same(refine(model, [sketch], [label], strength=0.4, steps=5)[0], together[i])


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_a_larger_canvas_has_a_finer_pen(model: SketchModel, strength: float) -> None:
    drawn = refine(model, [CAT], ["cat"], strength=strength, canvas=256, steps=4)
    assert drawn.shape == (1, 256, 256)
    if strength == 0:
        *_, last = model.decode(shrunk(model, model.render([CAT], 256)), torch.tensor([0]), seeds=[0])
        assert same(drawn, last.canvas)


def test_lines_are_thinned_where_they_are(model: SketchModel) -> None:
    field = model.render([CAT])[0]
    lines = np.concatenate(thinned(model, field, 256, CAT).lines()) / 256
    ink = np.argwhere(sdf.ink(field, CONFIG.sketch.clamp).numpy() > 0.5)[:, ::-1]  # x, y
    centres = (ink + 0.5) / CONFIG.sketch.canvas
    distance = np.linalg.norm(lines[:, None] - centres, axis=2).min(axis=1)
    assert distance.max() < 1 / CONFIG.sketch.canvas


def test_refuses(model: SketchModel) -> None:
    with pytest.raises(UsageError, match=r"strength = 1\.5"):
        refine(model, [CAT], ["cat"], strength=1.5)
    with pytest.raises(UsageError, match="catt"):
        refine(model, [CAT], ["catt"], strength=0.0)
    with pytest.raises(UsageError, match="canvas of 100"):
        refine(model, [CAT], ["cat"], strength=0.0, canvas=100)
    with pytest.raises(VisketchError, match="blank"):
        refine(model, [Sketch(pixels=np.zeros((9, 9), bool))], ["cat"], strength=0.0)
