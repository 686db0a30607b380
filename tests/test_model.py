"""The methods that a newcomer calls (classify, generate, refine), and the sampling of codes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visketch import checkpoint, quadtree
from visketch.decoding import sample_top_p
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch
from visketch.model import Prediction, SketchModel
from visketch.models.parts import build
from visketch.sampling import Frame, SamplingOptions, candidate_seeds, generator
from visketch.tasks.explain import Explanation
from visketch.tasks.morph import Morph
from visketch.training.objectives.recognition import classify_loss

CONFIG = tiny_model.small()


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel(CONFIG, **{name: tiny_model.awake(CONFIG, name) for name in checkpoint.PARTS})


def test_classify_ranks_the_classes(model: SketchModel) -> None:
    sketches = drawings.draw_many(3)
    rows = model.classify_many(sketches, top=2)
    logits = model.sketch_logits(sketches)
    for row, said in zip(rows, logits.softmax(dim=1), strict=True):
        order = said.argsort(descending=True)[:2]
        assert [prediction.label for prediction in row] == [tiny_model.LABELS[i] for i in order]
        assert [prediction.probability for prediction in row] == pytest.approx(said[order].tolist())
    every = model.classify_many(sketches, top=99)[0]
    assert {prediction.label for prediction in every} == set(tiny_model.LABELS)
    assert sum(prediction.probability for prediction in every) == pytest.approx(1)


def test_a_sketch_is_classified_the_same_beside_any_other(model: SketchModel) -> None:
    sketches = drawings.draw_many(4)
    together = model.logits(model.render(sketches))
    for i, sketch in enumerate(sketches):
        torch.testing.assert_close(model.logits(model.render([sketch]))[0], together[i], rtol=0, atol=1e-4)


def test_bfloat16_barely_moves_an_answer(model: SketchModel) -> None:
    field = model.render(drawings.draw_many(8))
    single, cls = model.logits(field).softmax(dim=1), model.embed(field)[0]
    brief = SketchModel(CONFIG, **{name: model.part(name) for name in checkpoint.PARTS})
    brief.use_bf16 = True
    rounded = brief.logits(field)
    assert (rounded.dtype, brief.embed(field)[0].dtype) == (torch.float32, torch.float32)
    assert 0 < (rounded.softmax(dim=1) - single).abs().max() < 0.05
    assert 0 < (brief.embed(field)[0] - cls).abs().mean() < 0.03
    one, other = (each.generate_fields("cat", 2, steps=4, refine=False, tries=1).canvas for each in (model, brief))
    assert 0 < (one - other).abs().mean() < 0.03
    assert torch.equal(brief.generate_fields("cat", 2, steps=4, refine=False, tries=1).canvas, other), (
        "the same seed, the same sketch"
    )
    assert not torch.is_autocast_enabled("cpu")


def test_strokes_and_their_pixels_are_one_drawing(model: SketchModel) -> None:
    """The probabilities hardly change if the drawing is given as a raster."""
    sketch = drawings.draw("house")
    pixels = model.ink(model.render([sketch]))[0].numpy() > 0.5
    one, other = (model.logits(model.render([form])).softmax(dim=1) for form in (sketch, Sketch(pixels=pixels)))
    assert (one - other).abs().max() < 0.1


def test_a_blank_sketch_is_refused_and_a_dot_is_not(model: SketchModel) -> None:
    with pytest.raises(VisketchError, match="blank"):
        model.classify_many([Sketch(strokes=())])
    assert isinstance(model.classify_many([Sketch(strokes=(np.zeros((1, 2), np.float32),))])[0][0], Prediction)


def test_an_unknown_class_names_the_nearest(model: SketchModel) -> None:
    for call in (lambda: model.generate_fields("hause", tries=1).canvas, lambda: model.label_of("hause")):
        with pytest.raises(UsageError, match=r"hause.*'house'"):
            call()


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="diffusion"):
        SketchModel(CONFIG).generate_fields("cat", tries=1)
    with pytest.raises(UsageError, match=r"encodr.*'encoder'"):
        build(CONFIG, "encodr")


def test_loading_a_part_keeps_the_random_numbers_of_the_caller(tmp_path: Path) -> None:
    model = SketchModel.load(tiny_model.write_checkpoint(tmp_path, CONFIG))
    before = torch.get_rng_state()
    for name in checkpoint.PARTS:
        model.part(name)
        assert torch.equal(torch.get_rng_state(), before), name


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16, np.float64, np.float16, ">f4"])
def test_fields_may_be_of_any_type_of_float(model: SketchModel, kind: Any) -> None:
    fields = model.render(drawings.draw_many(2))
    given = fields.to(kind) if isinstance(kind, torch.dtype) else fields.numpy().astype(kind)
    torch.testing.assert_close(model.logits(given), model.logits(fields), rtol=0, atol=0.05)


def test_no_sketches_are_no_fields_and_no_answers(model: SketchModel) -> None:
    none = model.render([])
    assert none.shape == (0, 64, 64)
    assert model.logits(none).shape == (0, 3)
    assert model.classify_fields(none) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_fields_of_what_is_not_a_number_are_refused(model: SketchModel, value: float) -> None:
    fields = model.render(drawings.draw_many(2))
    fields[1, 3, 4] = value
    for ask in (model.embed, model.logits_and_features, model.logits, model.classify_fields):
        with pytest.raises(UsageError, match="NaN or infinite"):
            ask(fields)


def test_results_with_tensors_are_compared_by_identity(model: SketchModel) -> None:
    makers = (
        lambda: model.generate_fields("cat", seed=3, steps=2, refine=False),
        lambda: Morph([[np.zeros((2, 2), np.float32)]]),
        lambda: Explanation("cat", 1.0, [], 0.0),
    )
    for make in makers:
        one, other = make(), make()
        assert one != other
        assert {one: 1}[one] == 1


def test_parts_are_read_when_they_are_needed(tmp_path: Path) -> None:
    checkpoint.write_config(tmp_path, CONFIG)
    for name in ("encoder", "classifier"):
        checkpoint.save_part(tmp_path, name, tiny_model.awake(CONFIG, name), {}, {})
    model = SketchModel.load(tmp_path)
    assert model.labels == list(tiny_model.LABELS)
    assert model.classify_many([drawings.draw("cat")])[0][0].label in tiny_model.LABELS
    with pytest.raises(VisketchError, match=r"has no diffusion .it has encoder, classifier."):
        model.generate_fields("cat", tries=1)


@pytest.mark.parametrize("order", ["waves", "one-by-one"])
def test_the_same_seed_gives_the_same_sketches_and_n_does_not_matter(model: SketchModel, order: str) -> None:
    three = model.generate_fields("cat", 3, seed=5, order=order, tries=1).canvas
    assert three.shape == (3, 64, 64)
    assert three.abs().max() <= 1
    assert torch.equal(model.generate_fields("cat", 3, seed=5, order=order, tries=1).canvas, three)
    one = model.generate_fields("cat", 1, seed=5, order=order, tries=1).canvas
    torch.testing.assert_close(one[0], three[0], rtol=0, atol=1e-3)
    # Sketch i has the seed `seed + i`, so a later seed is a later sketch.
    torch.testing.assert_close(
        model.generate_fields("cat", 1, seed=7, order=order, tries=1).canvas[0], three[2], rtol=0, atol=1e-3
    )
    assert (three[0] - three[1]).abs().max() > 0.1


def test_several_classes_come_one_after_another(model: SketchModel) -> None:
    both = model.generate_fields(["cat", "star"], 2, seed=1, tries=1).canvas
    for i, label in enumerate(["cat", "star"]):
        torch.testing.assert_close(
            model.generate_fields(label, 2, seed=1, tries=1).canvas, both[2 * i : 2 * i + 2], rtol=0, atol=1e-3
        )
    assert (both[0] - both[2]).abs().max() > 0.1, "the class matters, though the noise is the same"


def test_frames_tell_how_far_it_is_and_end_with_the_result(model: SketchModel) -> None:
    frames: list[Frame] = []

    def keep(frame: Frame) -> None:
        canvas = frame.canvas.clone()
        frames.append(replace(frame, draw=lambda: canvas))

    result = model.generate_fields("cat", 2, steps=3, on_progress=keep, tries=1).canvas
    coarse, refine = ([frame for frame in frames if frame.stage == stage] for stage in ("coarse", "refine"))
    assert frames == [*coarse, *refine]
    assert [(frame.done, frame.total) for frame in coarse] == [(1, 3), (2, 3), (3, 3)]
    assert {frame.canvas.shape for frame in frames} == {(2, 64, 64)}
    assert [frame.done for frame in refine] == list(range(1, refine[0].total + 1))
    assert len(refine) <= 4 * CONFIG.sketch.depth + 1, "in waves"
    assert torch.equal(refine[-1].canvas, result)
    assert (refine[0].canvas - result).abs().max() > 1e-3


def test_strokes_are_the_same_alone_and_among_others_and_are_what_generate_renders() -> None:
    settings = tiny_model.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2")
    model = SketchModel(settings, diffusion=tiny_model.awake(settings, "diffusion"))
    seen: list[torch.Tensor] = []
    label = torch.tensor([0, 1, 2])
    options = SamplingOptions(steps=3)
    three = model.strokes(label, [5, 6, 7], options, on_progress=lambda frame: seen.append(frame.canvas.clone()))
    alone = model.strokes(label[1:2], [6], options)
    assert [sketch.label for sketch in three] == list(tiny_model.LABELS)
    for many, one in zip(three[1].strokes or (), alone[0].strokes or (), strict=True):
        np.testing.assert_allclose(many, one, atol=1e-4)
    assert torch.equal(seen[-1], model.render(three))
    made = model.generate_fields("house", seed=6, steps=3, refine=False, tries=1)
    assert torch.equal(made.canvas, model.render(alone))
    assert made.strokes is not None
    assert torch.allclose(model.render([Sketch(strokes=made.strokes[0])]), made.canvas, atol=1e-3), "in pixels of it"
    with pytest.raises(UsageError, match="no strokes"):
        SketchModel(CONFIG).strokes(label, [1, 2, 3])


def test_unrefined_is_where_refining_begins(model: SketchModel) -> None:
    frames: list[Frame] = []
    coarse = model.generate_fields("cat", 1, seed=3, refine=False, on_progress=frames.append, tries=1).canvas
    assert {frame.stage for frame in frames} == {"coarse"}
    *_, last = model.decode(coarse, torch.tensor([0]), seeds=[3])
    torch.testing.assert_close(last.canvas, model.generate_fields("cat", 1, seed=3, tries=1).canvas, rtol=0, atol=1e-4)


def test_refining_one_by_one_takes_a_step_a_leaf(model: SketchModel) -> None:
    canvas = model.render([drawings.draw("cat")])
    leaves = model.embed(canvas)[1]
    frames = list(model.decode(canvas, torch.tensor([0]), seeds=[0], options=SamplingOptions(order="one-by-one")))
    assert [frame.total for frame in frames] == [len(leaves)] * len(leaves)


def test_a_blank_canvas_is_refined_into_nothing(model: SketchModel) -> None:
    assert list(model.decode(torch.full((1, 64, 64), -1.0), torch.tensor([0]), seeds=[0])) == []


def test_a_larger_canvas_is_classified_and_refined_with_the_same_weights(model: SketchModel) -> None:
    sketches = [drawings.draw("cat"), drawings.draw("house")]
    canvas = model.render(sketches, 256)
    ink, small = model.ink(canvas), model.ink(model.render(sketches))
    assert ink.shape == (2, 256, 256)
    assert 3 < ink.sum() / small.sum() < 5, "four times as long, and the pen as wide in pixels"
    leaves = model.embed(canvas)[1]
    assert leaves.level.eq(4).all()
    assert len(leaves) > 2.5 * len(model.embed(model.render(sketches))[1])
    assert model.logits(canvas).shape == (2, 3)
    before = canvas.clone()
    *_, last = model.decode(canvas, torch.tensor([0, 1]), seeds=[0, 1])
    assert torch.equal(canvas, before), "what is given stays as it is"
    changed = (last.canvas != canvas).unfold(1, 16, 16).unfold(2, 16, 16).any(dim=-1).any(dim=-1)
    assert int(changed.sum()) == len(leaves), "all inked leaves, and nothing else"
    *_, alone = model.decode(canvas[1:], torch.tensor([1]), seeds=[1])
    torch.testing.assert_close(alone.canvas[0], last.canvas[1], rtol=0, atol=1e-3)


def test_a_canvas_that_no_tree_has_is_refused(model: SketchModel) -> None:
    with pytest.raises(UsageError, match="96 pixels is not possible; use one of 64, 128, 256, 512, 1024, 2048"):
        model.logits(torch.full((1, 96, 96), -1.0))
    with pytest.raises(UsageError, match="a canvas of 32 pixels"):
        model.render([drawings.draw("cat")], 32)


def test_training_goes_on_after_inference_in_one_process(tmp_path: Path) -> None:
    """Weights that were first read, and tables that were first made, in inference mode must not be tensors that
    autograd refuses.
    """
    checkpoint.write_config(tmp_path, CONFIG)
    for name in ("encoder", "classifier"):
        checkpoint.save_part(tmp_path, name, tiny_model.awake(CONFIG, name), {}, {})
    quadtree.context.cache_clear()
    quadtree._level_of.cache_clear()
    model = SketchModel.load(tmp_path)
    canvas = model.render(drawings.draw_many(2))
    model.logits(canvas)
    encoder, classifier = model.part("encoder"), model.part("classifier")
    batch = {"canvas": canvas, "label": torch.tensor([0, 1]), "score": torch.rand(2, 21)}
    classify_loss(encoder, classifier, CONFIG.sketch, batch, CONFIG.train.classifier, 3)[0].backward()
    assert encoder.cls.grad.abs().max() > 0


def test_every_stage_of_every_try_has_numbers_of_its_own() -> None:
    """Torch's generator uses only 32 bits of a seed."""
    drawn = [
        tuple(torch.rand(4, generator=generator(seed, stage)).tolist())
        for seed in candidate_seeds([0, 1, 2**32 - 1], 4)
        for stage in range(3)
    ]
    assert len(set(drawn)) == 3 * 4 * 3


def test_of_many_tries_the_likeliest_is_kept(model: SketchModel) -> None:
    label = torch.tensor([model.label_of("cat")] * 6)
    seeds = candidate_seeds([3, 4], 3)
    assert seeds[::3] == [3, 4]
    tried = model.coarse(label, seeds, steps=3)
    chance = model.logits(tried).log_softmax(dim=1)[:, label[0]].view(2, 3)
    best = tried.view(2, 3, *tried.shape[1:])[torch.arange(2), chance.argmax(dim=1)]
    kept = model.generate_fields("cat", 2, seed=3, steps=3, refine=False, tries=3).canvas
    torch.testing.assert_close(kept, best, rtol=0, atol=1e-3)
    with pytest.raises(UsageError, match="tries = 0"):
        model.generate_fields("cat", tries=0)


def slow_pick(logits: list[float], chance: float, temperature: float, top_p: float) -> set[int]:
    """Nucleus sampling by its definition: all codes that rounding may allow."""
    weights = [np.exp((value - max(logits)) / temperature) for value in logits]
    order = sorted(range(len(logits)), key=lambda code: -weights[code])
    kept, mass = [], 0.0
    for code in order:
        if kept and mass >= top_p:
            break
        kept.append(code)
        mass += weights[code] / sum(weights)
    total = sum(weights[code] for code in kept)
    allowed, mass = set(), 0.0
    for code in kept:
        low, mass = mass, mass + weights[code] / total
        if low - 1e-5 <= chance <= mass + 1e-5:
            allowed.add(code)
    return allowed


@given(
    logits=st.lists(st.integers(-80, 80).map(lambda i: i / 10), min_size=2, max_size=12, unique=True),
    chance=st.floats(0, 1, exclude_max=True, width=32),
    temperature=st.sampled_from([0.3, 0.7, 1.0, 2.0]),
    top_p=st.sampled_from([0.0, 0.123, 0.5, 0.95, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_pick_is_nucleus_sampling(logits: list[float], chance: float, temperature: float, top_p: float) -> None:
    code = sample_top_p(torch.tensor([logits]), torch.tensor([chance]), temperature, top_p)
    assert int(code) in slow_pick(logits, chance, temperature, top_p)


@pytest.mark.parametrize("spread", [0.0, 0.3, 6.0])
def test_pick_of_many_codes_is_that_of_sorting_them_all(spread: float) -> None:
    """This holds whether a few codes make up `top_p` or nearly all are needed."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(20, 512, generator=generator) * spread + torch.linspace(0, 1e-3, 512)
    chance = torch.rand(20, generator=generator)
    for top_p in (0.05, 0.9, 1.0):
        codes = sample_top_p(logits, chance, 1.0, top_p)
        for row in range(20):
            assert int(codes[row]) in slow_pick(logits[row].double().tolist(), float(chance[row]), 1.0, top_p)


def test_pick_draws_each_code_as_often_as_is_due() -> None:
    logits, n = torch.tensor([0.0, 1.0, 2.0, -1.0]), 20_000
    codes = sample_top_p(logits.expand(n, 4), torch.rand(n, generator=torch.Generator().manual_seed(0)), 1.0, 1.0)
    share: Tensor = torch.bincount(codes, minlength=4) / n
    torch.testing.assert_close(share, logits.softmax(dim=0), rtol=0, atol=0.02)


def test_pick_at_temperature_nought_takes_the_best() -> None:
    logits = torch.randn(50, 9)
    assert torch.equal(sample_top_p(logits, torch.rand(50), 0.0, 0.5), logits.argmax(dim=1))


@pytest.mark.parametrize("top_p", [0.0, 0.5, 0.95])
def test_pick_never_leaves_the_nucleus_even_at_the_greatest_chance(top_p: float) -> None:
    """The largest float below 1, multiplied by a rounded sum, may equal that sum."""
    logits = torch.randn(5000, 64, generator=torch.Generator().manual_seed(0)) * 3
    chance = torch.full((5000,), 1 - 2**-24)
    probability, order = logits.softmax(dim=1).sort(dim=1, descending=True)
    best = (order == sample_top_p(logits, chance, 1.0, top_p)[:, None]).nonzero()[:, 1]
    before = probability.cumsum(dim=1).gather(1, best[:, None])[:, 0] - probability.gather(1, best[:, None])[:, 0]
    assert ((before < top_p + 1e-5) | (best == 0)).all()
