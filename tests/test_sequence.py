"""The classifier of strokes reads them in their order, and those of pictures as they are traced."""

from dataclasses import replace
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from PIL import Image, ImageDraw

from visketch import checkpoint
from visketch.data import svg
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.geometry import sdf
from visketch.geometry.pieces import LONGEST, TOLERANCE, Pieces, of_sketch, of_sketches, turned
from visketch.geometry.separate import separate
from visketch.geometry.sketch import Sketch, fit, sample
from visketch.model import SketchModel
from visketch.models.sequence import TOGETHER, SequenceClassifier, batch
from visketch.training import confidence
from visketch.training.objectives.sequence import SequenceObjective
from visketch.training.sketch import teacher
from visketch.training.transfer import begin_with_guide

MOST = 24
SETTINGS = tiny_model.small(
    "sequence.width=32", "sequence.layers=2", *(f"train.sequence.{each}=0" for each in ("shuffled", "traced", "fill"))
)
SOME = [replace(sketch, about={}) for sketch in drawings.draw_many(6, labels=tiny_model.LABELS)]


@pytest.fixture(scope="module")
def network() -> SequenceClassifier:
    return tiny_model.awake(SETTINGS, "sequence")


def pieces(sketch: Sketch) -> Pieces:
    found = of_sketch(sketch, MOST)
    assert found is not None
    return found


@torch.no_grad()
def test_a_drawing_is_read_the_same_beside_any_other(network: SequenceClassifier) -> None:
    together = network(*batch([pieces(sketch) for sketch in SOME]))
    for row, sketch in zip(together, SOME, strict=True):
        torch.testing.assert_close(network(*batch([pieces(sketch)]))[0], row, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_order_matters(network: SequenceClassifier) -> None:
    backwards = replace(SOME[0], strokes=(SOME[0].strokes or ())[::-1])
    assert len(backwards.strokes or ()) > 1
    one, other = network(*batch([pieces(SOME[0])])), network(*batch([pieces(backwards)]))
    assert (one - other).abs().max() > 1e-3


def test_it_learns_what_a_picture_does_not_show(network: SequenceClassifier) -> None:
    """Two classes with the same lines, which are drawn from the top to the bottom and from the bottom to the top."""
    lines = tuple(np.array([[0, y], [2 + y % 3, y]], np.float32) for y in range(5))
    settings = SETTINGS.model_copy(update={"labels": ("down", "up")})
    objective = SequenceObjective(settings, tiny_model.awake(settings, "sequence").train(), {}, list(settings.labels))
    both = [Sketch(strokes=lines, label="down"), Sketch(strokes=lines[::-1], label="up")]
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    for _ in range(180):
        examples = [objective.example(sketch, rng, 0.0) for sketch in both * 8]
        batch = {name: torch.from_numpy(np.stack([each[name] for each in examples])) for name in examples[0]}
        loss, said = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert said["accuracy"] > 0.9


def test_examples_that_are_traced_show_the_same_drawing(network: SequenceClassifier) -> None:
    """Every point of the drawing has a traced line nearby, and every traced point a line of the drawing."""
    objective = SequenceObjective(SETTINGS, network, {}, list(SETTINGS.labels))
    given = list(fit(SOME[0].lines(), margin=0.0))
    shape = SETTINGS.sketch.model_copy(update={"pen": 0.02})
    traced = objective._traced(sdf.field(fit(tuple(given), objective.MARGIN), shape, 128) > 0)
    assert traced is not None
    assert len(traced) > 1
    one, other = (sample(fit(tuple(lines), margin=0.0), 0.01) for lines in (given, traced))
    apart = np.linalg.norm(one[:, None] - other, axis=2)
    assert apart.max() > 0.5
    assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 0.05


def test_a_teacher_sees_the_strokes_as_they_were_drawn(tmp_path: Path) -> None:
    """Of a student that is its own teacher, and is shown the same strokes, the loss is the entropy of its answers."""
    home = tiny_model.write_checkpoint(tmp_path, SETTINGS)
    taught = [f"train.sequence.{each}" for each in (f"teacher={home}", "taught=1.0", "fill=0", "shuffled=0")]
    losses = {}
    for share in (0, 1):
        sizes = ("sequence.width=32", "sequence.layers=2", f"train.sequence.traced={0.999 * share}")
        settings = tiny_model.small(*sizes, *taught)
        (own,) = teacher(settings, "sequence", ("sequence",))
        objective = SequenceObjective(settings, own, {}, list(settings.labels), (own,))
        objective.SHAKE = objective.BACKWARDS = 0.0
        examples = [objective.example(sketch, np.random.default_rng(0), 0.0) for sketch in SOME]
        batch = {name: torch.from_numpy(np.stack([each[name] for each in examples])) for name in examples[0]}
        answers = objective.answers(batch)
        losses[share] = objective(batch)[0].item() + (answers * answers.log()).sum(dim=1).mean().item()
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses[1] > 1e-4


@torch.no_grad()
def test_drawings_of_like_length_are_read_together(network: SequenceClassifier) -> None:
    """The answers are those that each drawing gets alone, in the order of the drawings."""
    drawn = [*(pieces(sketch) for sketch in SOME), None] * 9
    assert sum(each is not None for each in drawn) > TOGETHER
    logits = torch.randn(len(drawn), len(tiny_model.LABELS), generator=torch.Generator().manual_seed(0))
    alone = torch.cat([network.beside(logits[i : i + 1], [each]) for i, each in enumerate(drawn)])
    torch.testing.assert_close(network.beside(logits, drawn), alone, rtol=1e-4, atol=1e-4)


def test_several_drawings_are_cut_as_each_alone() -> None:
    crowd = Sketch(strokes=tuple(np.eye(2, dtype=np.float32) for _ in range(MOST + 1)))
    many = [SOME[0], crowd, replace(SOME[1], about={"filled": True}), *SOME, Sketch(pixels=np.eye(40) > 0)]
    found = of_sketches(many, MOST)
    assert [each is None for each in found] == [False, True, True, *[False] * (len(SOME) + 1)]
    for each, sketch in zip(found, many, strict=True):
        if each is not None:
            alone = pieces(sketch)
            np.testing.assert_array_equal(each.points, alone.points)
            np.testing.assert_array_equal(each.joined, alone.joined)
            assert each.in_order == alone.in_order
    assert of_sketches([crowd], MOST) == [None]
    assert of_sketches([], MOST) == []


def test_only_known_strokes_change_an_answer(network: SequenceClassifier) -> None:
    logits = torch.randn(3, len(tiny_model.LABELS), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mixed = replace(pieces(SOME[0]), in_order=False)
        said, of_mixed = network(*batch([pieces(SOME[0]), mixed]))
        found = network.beside(logits, [None, pieces(SOME[0]), None])
        network.weights[0] = torch.tensor([0.5, 2.0])
        less = network.beside(logits, [pieces(SOME[0])] * 3)
        other = network.beside(logits[:1], [mixed])
        network.weights.fill_(1.0)
    assert torch.equal(found[0], logits[0])
    assert torch.equal(found[2], logits[2])
    torch.testing.assert_close(found[1], logits[1] + said)
    torch.testing.assert_close(less, 0.5 * logits + 2 * said, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other[0], logits[0] + of_mixed, rtol=1e-4, atol=1e-4)
    assert (said - of_mixed).abs().max() > 1e-4, "the network is told that the order is unknown"


@pytest.mark.parametrize("side", [60, 400, 1500])
def test_pictures_are_traced_at_any_size(side: int) -> None:
    line = Image.new("1", (side + 40, side + 90))
    places = [(20, 20), (20 + side, 20), (20 + side, 20 + side // 2)]
    ImageDraw.Draw(line).line(places, fill=1, width=max(2, side // 50))
    found = pieces(Sketch(pixels=np.asarray(line)))
    assert len(found) == 1
    assert not found.in_order
    corners = np.array([[-1, -0.5], [1, -0.5], [1, 0.5]])
    ends = found.points[0] if np.linalg.norm(found.points[0, 0] - corners[0]) < 1 else found.points[0, ::-1]
    assert np.abs(ends[[0, -1]] - corners[[0, 2]]).max() < 0.06
    assert np.linalg.norm(ends - corners[1], axis=1).min() < 0.06


def test_the_separate_parts_of_a_picture_are_pictures() -> None:
    page = np.zeros((200, 420), bool)
    page[20:180, 20:180] = np.eye(160, dtype=bool)
    page[60:62, 240:400] = page[60:160, 318:320] = True
    parts = separate(Sketch(pixels=page), told=True)
    assert len(parts) == 2
    assert (np.logical_or.reduce([part.pixels for part in parts]) == page).all()
    assert sorted(len(pieces(part)) for part in parts) == [1, 2]


def test_svg_has_strokes_in_no_known_order_and_filled_areas_have_none(tmp_path: Path) -> None:
    page = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 90"><path d="M10 10L80 15L30 80Z" {}/></svg>'
    for style, strokes in (('fill="none" stroke="black"', 1), ("", None)):
        (tmp_path / "a.svg").write_text(page.format(style))
        found = of_sketch(svg.strokes(tmp_path / "a.svg"), MOST)
        assert (None if found is None else len(found)) == strokes
        assert found is None or not found.in_order


def test_crowds_are_not_read() -> None:
    crowd = tuple(np.random.default_rng(0).random((MOST + 1, 3, 2)).astype(np.float32))
    assert of_sketch(Sketch(strokes=crowd), MOST) is None


def test_dense_strokes_are_thinned_and_very_long_ones_are_not_read() -> None:
    angle = np.linspace(0, 2 * np.pi, 20_000)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    found = of_sketch(Sketch(strokes=(circle,)), MOST)
    assert found is not None
    assert len(found) < 5
    spiral = circle * np.linspace(0, 1, len(circle))[:, None].astype(np.float32)
    turns = np.stack([np.cos(40 * angle), np.sin(40 * angle)], axis=1) * np.linalg.norm(spiral, axis=1, keepdims=True)
    assert 40 * np.pi / TOLERANCE > LONGEST, "the length of the spiral, in steps"
    assert of_sketch(Sketch(strokes=(turns.astype(np.float32),)), MOST) is None


def test_turned_pieces_are_those_of_the_turned_drawing() -> None:
    quarter = replace(SOME[1], strokes=tuple(np.stack([-s[:, 1], s[:, 0]], axis=1) for s in SOME[1].strokes or ()))
    np.testing.assert_allclose(turned(pieces(SOME[1]), 1).points, pieces(quarter).points, atol=1e-5)
    np.testing.assert_allclose(turned(pieces(SOME[1]), 4).points, pieces(SOME[1]).points, atol=1e-6)


class TestWeighing:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tiny_model.write_checkpoint(tmp_path / "made", SETTINGS)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        for label in tiny_model.LABELS:
            some = drawings.draw_many(70, seed=3, labels=(label,))
            tiny_model.write_ndjson(tmp_path / f"in/validation/{label}.ndjson", some)
            tiny_model.write_ndjson(tmp_path / f"in/train/{label}.ndjson", some[:2])
        pack([tmp_path / "in"], tmp_path / "packed.arrow")
        return Store(tmp_path / "packed.arrow")

    def test_the_sum_is_no_worse_than_the_picture_alone(self, folder: Path, store: Store) -> None:
        found = confidence.weigh(folder, store)
        assert found is not None
        facts = checkpoint.read_metadata(folder, "sequence")["facts"]
        assert facts["confidence"]["drawings"] == found.drawings >= 200
        model = SketchModel.load(folder)
        sketches = [store[int(row)] for row in store.rows("validation")]
        logits = model.logits(model.fields(sketches, model.config.reading))
        said = model.part("sequence")(*batch([pieces(sketch) for sketch in sketches]))
        other, own = model.part("sequence").weights[0]
        expected = other * logits + own * said.float()
        model.use_bf16 = False
        torch.testing.assert_close(model.sketch_logits(sketches), expected, rtol=0.05, atol=0.05)
        label = torch.tensor([model.label_of(str(sketch.label)) for sketch in sketches])
        loss = torch.nn.functional.cross_entropy
        assert loss(expected, label) <= loss(logits, label) + 0.02
        for factor in (0.9, 1.1):
            # Traced strokes have the same temperature, so it need not be quite the best for these alone
            assert loss(expected, label) <= loss(factor * expected, label) + 2e-3, "no temperature is better"

    def test_without_validation_drawings_nothing_is_written(self, folder: Path, tmp_path: Path) -> None:
        before = (folder / "sequence.safetensors").read_bytes()
        assert confidence.weigh(folder, tiny_model.pack_drawings(tmp_path / "few")) is None
        assert (folder / "sequence.safetensors").read_bytes() == before


def test_it_begins_with_the_weights_of_a_guide_of_the_same_size(tmp_path: Path) -> None:
    guided = ("diffusion.backbone=strokes", "diffusion.guide.width=32", "diffusion.guide.layers=2")
    settings = tiny_model.small("sequence.width=32", "sequence.layers=2", *guided)
    folder = tiny_model.write_checkpoint(tmp_path / "made", settings)
    guide = SketchModel.load(folder).part("diffusion").guide
    for width in (32, 64):
        network = tiny_model.awake(tiny_model.small(f"sequence.width={width}", "sequence.layers=2"), "sequence", seed=7)
        before = network.network.read.weight.clone()
        begin_with_guide(network, folder)
        assert torch.equal(network.network.read.weight, guide.read.weight if width == 32 else before)
        assert network.network.write.out_features == len(tiny_model.LABELS)


def test_strokes_of_any_size_are_read() -> None:
    """The squares of such numbers overflow single precision."""
    small = (np.array([[0, 0], [4, 1], [2, 5]], np.float32), np.array([[3, 3], [3, 4]], np.float32))
    for scale in (1e-30, 1.0, 1e30, 6e37):
        scaled = Sketch(strokes=tuple(line * np.float32(scale) for line in small))
        assert separate(scaled) == [scaled]
        assert len(pieces(scaled)) == 2
