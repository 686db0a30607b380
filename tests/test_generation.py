"""The generation table: which sketches it has, how they are drawn, and how figures follow from the judge's outputs."""

from pathlib import Path
from typing import Any

import drawings
import numpy as np
import pytest
import tiny_model
import torch
import torch.nn.functional as F
from torch import Tensor

from visketch import checkpoint
from visketch.config import SketchConfig
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.evaluate import generation
from visketch.evaluate.generation import ROWS, SAMPLES, TRAINING, GenerationTable, Settings, table
from visketch.evaluate.generation_metrics import NOTHING, Cost, JudgeOutputs, Reference, measure, subset
from visketch.metrics import diversity, frechet_to, kernel_distance, seam
from visketch.model import SketchModel
from visketch.sampling import SamplingOptions

REAL = "real drawings (test)"
COARSE, REFINED = ROWS["field"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawings")


@pytest.fixture(scope="module")
def store(home: Path) -> Store:
    """6 cats, 12 houses and 18 stars for training, and two of each for testing."""
    return tiny_model.pack_drawings(home)


@pytest.fixture(scope="module")
def model() -> SketchModel:
    config = tiny_model.small()
    return SketchModel(config, **{name: tiny_model.awake(config, name) for name in checkpoint.PARTS})


class Judge:
    """A judge that sees a field in 8 x 8 pixels and records what it was shown."""

    name, independent, labels = "a test's", True, ("moon", *tiny_model.LABELS)

    def __init__(self, shape: SketchConfig) -> None:
        self.shape, self.shown = shape, []

    def logits_and_features(self, field: Tensor) -> tuple[Tensor, Tensor]:
        self.shown.append(field)
        features = torch.nn.functional.adaptive_avg_pool2d(field[:, None], 8).flatten(1)
        return features[:, :4], features


def run(
    model: SketchModel, store: Store, *labels: str, **more: Any
) -> tuple[GenerationTable, dict[tuple[str, int], Tensor], Judge]:
    """The table, the sketches that it is about, and its judge."""
    judge, drawn = Judge(model.config.sketch), {}
    settings = Settings(**{"n": 3, "seen": "field", "steps": 2} | more.pop("settings", {}))

    def show(row: str, place: int, canvas: Tensor) -> None:
        drawn[row, place] = torch.cat([drawn[row, place], canvas]) if (row, place) in drawn else canvas

    return table(model, judge, store, labels or tiny_model.LABELS, settings, show=show, **more), drawn, judge


def test_sketches_are_those_of_generate(model: SketchModel, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn once, coarse and refined, in batches of any size."""
    monkeypatch.setattr(generation, "BATCH", 2)
    settings = {"order": "one-by-one", "seed": 5, "guidance": 3.0, "temperature": 0.9, "top_p": 0.8}
    found, drawn, _ = run(model, store, "star", "cat", settings=settings)
    assert (found.settings.steps, found.settings.guidance) == (2, 3.0)
    for place, name in enumerate(["star", "cat"]):
        coarse = model.generate_fields(name, 3, seed=5, steps=2, guidance=3.0, refine=False, tries=1).canvas
        torch.testing.assert_close(drawn[COARSE, place], coarse, rtol=0, atol=1e-3)
        refined = model.generate_fields(
            name, 3, seed=5, steps=2, guidance=3.0, temperature=0.9, top_p=0.8, order="one-by-one", tries=1
        ).canvas
        torch.testing.assert_close(drawn[REFINED, place], refined, rtol=0, atol=1e-3)
        assert (refined - coarse).abs().max() > 0.1


def test_each_coarse_stage_is_drawn_with_its_own_guidance(store: Store) -> None:
    config = tiny_model.small("diffusion.backbone=strokes", "diffusion.guidance=5.0", "field.guidance=1.5")
    model = SketchModel(config, **{name: tiny_model.awake(config, name) for name in checkpoint.PARTS})
    found, drawn, _ = run(model, store, "cat", settings={"steps": None})
    assert found.settings.guidance is None
    for row, stage in ((COARSE, "field"), ("strokes", "strokes")):
        expected = model.generate_fields("cat", 3, coarse=stage, refine=False).canvas
        torch.testing.assert_close(drawn[row, 0], expected, rtol=0, atol=1e-3)


def test_a_larger_canvas_has_the_same_sketches_in_a_finer_pen(store: Store) -> None:
    config = tiny_model.small("diffusion.backbone=strokes")
    model = SketchModel(config, **{name: tiny_model.awake(config, name) for name in checkpoint.PARTS})
    side = 2 * config.sketch.canvas
    _, usual, judge = run(model, store, "cat", settings={"seen": "picture"})
    _, drawn, larger = run(model, store, "cat", settings={"seen": "picture", "canvas": side})
    assert {canvas.shape[1:] for canvas in drawn.values()} == {(side, side)}
    assert [field.shape for field in larger.shown] == [field.shape for field in judge.shown]
    strokes = model.strokes(torch.tensor([model.label_of("cat")] * 3), [0, 1, 2], SamplingOptions(steps=2))
    torch.testing.assert_close(drawn["strokes", 0], model.render(strokes, side))
    for row in (REAL, COARSE):  # the same lines: nearly all of the finer ink lies on ink of the usual pen
        fine, coarse = F.max_pool2d(drawn[row, 0][:, None], 2) > 0, usual[row, 0][:, None] > 0
        assert (fine & coarse).sum() > 0.8 * fine.sum() > 0
        assert fine.sum() < coarse.sum()


def test_every_row_has_as_many_of_each_class(model: SketchModel, store: Store, home: Path) -> None:
    found, drawn, judge = run(model, store, samples=home / "in/train", settings={"n": 7})
    assert [row.row for row in found.rows] == [REAL, SAMPLES, COARSE, REFINED]
    each = {REAL: 2, SAMPLES: 6, COARSE: 7, REFINED: 7}
    for row in found.rows:
        assert row.sketches == 3 * each[row.row]
        assert [len(drawn[row.row, place]) for place in range(3)] == [each[row.row]] * 3
    assert (found.training, found.reference, found.fid_sketches) == (6 + 12 + 18, 3 * 6, 3 * 2)
    assert len(torch.cat(judge.shown)) == found.training + sum(row.sketches for row in found.rows)


def test_the_judge_sees_fields_as_they_are_or_as_pictures_are_read(model: SketchModel, store: Store) -> None:
    _, drawn, judge = run(model, store, "cat")
    assert torch.equal(torch.cat(judge.shown), torch.cat([*drawn.values()]))
    _, _, other = run(model, store, "cat", settings={"seen": "picture"})
    for field, reread in zip(torch.cat(judge.shown)[:8], torch.cat(other.shown)[:8], strict=True):
        assert not torch.equal(field, reread)
        assert (field - reread).abs().mean() < 0.2, "real drawings look alike both ways"


def test_seconds_count_the_coarse_stage_and_steps_do_not(model: SketchModel, store: Store) -> None:
    real, coarse, waves = run(model, store, "cat")[0].rows
    *_, one_by_one = run(model, store, "cat", settings={"order": "one-by-one"})[0].rows
    assert real.seconds is None
    assert waves.seconds > coarse.seconds > 0
    assert real.steps is coarse.steps is None
    assert 1 <= waves.steps <= 4 < one_by_one.steps <= 16


def test_copies_are_found_out(model: SketchModel, store: Store, home: Path) -> None:
    _, copies, coarse, *_ = run(model, store, samples=home / "in/train")[0].rows
    assert copies.nearest.value == pytest.approx(0, abs=1e-6)
    assert coarse.nearest.value > 0.1


def test_seams_are_those_of_the_fields_as_drawn(model: SketchModel, store: Store) -> None:
    found, drawn, _ = run(model, store, "cat", settings={"seen": "picture"})
    shape = model.config.sketch
    for row in found.rows:
        canvas = drawn[row.row, 0]
        expected = seam(canvas, shape.tile, shape.near).mean() * shape.clamp / shape.pen
        assert row.seam.value == pytest.approx(float(expected), abs=1e-6)
    _, coarse, refined = found.rows
    assert abs(coarse.seam.value) < 1e-3
    assert refined.seam.value, "nothing is drawn without any"


def test_progress_is_told_by_the_row(model: SketchModel, store: Store) -> None:
    told: list[tuple[str, int, int]] = []
    run(model, store, "cat", "star", on_progress=lambda *what: told.append(what))
    done, total = [so_far for _, so_far, _ in told], {total for *_, total in told}
    assert done == sorted(done)
    assert total == {done[-1]} == {6 + 18 + 2 * (2 + 2 * 3)}
    rows = list(dict.fromkeys(what for what, *_ in told))
    assert rows == [TRAINING, REAL, COARSE, REFINED, *(f"figures: {row}" for row in (REAL, COARSE, REFINED))]


def test_what_it_refuses(model: SketchModel, store: Store, home: Path, tmp_path: Path) -> None:
    for error, saying, asked in (
        (UsageError, "'house'", {"labels": ["hous"]}),
        (UsageError, "two sketches", {"settings": {"n": 1}}),
        (UsageError, "has 0 validation drawings of 'cat'", {"settings": {"split": "validation"}}),
        (VisketchError, r"cat\.ndjson: no such file", {"samples": tmp_path}),
    ):
        with pytest.raises(error, match=saying):
            run(model, store, *asked.pop("labels", ["cat"]), **asked)
    (tmp_path / "cat.ndjson").write_text((home / "in/test/cat.ndjson").read_text().splitlines()[0])
    with pytest.raises(UsageError, match="one drawing; at least two"):
        run(model, store, "cat", samples=tmp_path)
    judge = Judge(model.config.sketch)
    judge.labels = ("cat", "house")
    with pytest.raises(UsageError, match="does not know star"):
        table(model, judge, store, tiny_model.LABELS)


def test_a_class_in_any_writing_and_twice_is_one(model: SketchModel, store: Store) -> None:
    assert run(model, store, "CAT", "cat")[0].classes == ["cat"]


class TestMeasure:
    """Figures from made-up outputs of a judge."""

    outputs = JudgeOutputs(
        logits=np.array([[9, 3, 2, 1], [9, 1, 2, 3], [9, 1, 2, 3], [0, 3, 2, 1.0]] * 2),
        features=np.random.default_rng(0).normal(size=(8, 3)),
        seam=np.arange(8) / 10,
        place=np.repeat([0, 1], 4),
    )
    training = JudgeOutputs(
        np.zeros((9, 4)), np.random.default_rng(1).normal(size=(9, 3)), np.zeros(9), np.repeat([0, 1], [6, 3])
    )

    def test_shares(self) -> None:
        """Among the two requested classes, 3 and 1, half of the sketches of each are recognised; among all four, one in
        eight.
        """
        row = measure("a", self.outputs, np.array([3, 1]), Reference(self.training, 0), None, 4, NOTHING, 0)
        assert (row.top1_among.value, row.top3_among.value, row.top1.value) == (0.5, 1, 1 / 8)
        assert 0 <= row.top1_among.low < 0.5 < row.top1_among.high <= 1

    def test_shares_of_every_class(self) -> None:
        """Among 3 and 1, the judge's best guesses for either class are 1, 3, 3, 1. Among all classes, its best guess is
        right once.
        """
        row = measure("a", self.outputs, np.array([3, 1]), Reference(self.training, 0), None, 4, NOTHING, 0)
        assert [one.top1_among.value for one in row.by_class] == [0.5, 0.5]
        assert [one.top1.value for one in row.by_class] == [0, 1 / 4]

    def test_distances(self) -> None:
        reference = Reference(self.training, 0)
        assert len(reference.even) == 6
        row = measure("a", self.outputs, np.array([3, 1]), reference, None, 4, Cost(1.5, 3.0), 0)
        assert row.fid.value == pytest.approx(frechet_to(reference.even)(self.outputs.features))
        assert row.kid.value == pytest.approx(kernel_distance(self.outputs.features, reference.even)[0])
        assert row.diversity.value == diversity(self.outputs.features, self.outputs.place)
        apart = np.linalg.norm(self.outputs.features[:, None] - self.training.features, axis=2)
        assert row.nearest.value == pytest.approx(apart.min(axis=1).mean())
        assert row.seam.value == pytest.approx(0.35)
        assert all(found.error > 0 for found in (row.fid, row.kid, row.diversity, row.nearest, row.seam))

    def test_a_larger_row_is_measured_at_the_size_of_the_smallest(self) -> None:
        """Otherwise FID, which falls as the number of sketches grows, would flatter the row."""
        rng = np.random.default_rng(0)
        training, rows = np.repeat([0, 1], 200), np.repeat([0, 1], 150)
        reference = Reference(JudgeOutputs(np.zeros((400, 2)), rng.normal(size=(400, 8)), np.zeros(400), training), 0)
        outputs = JudgeOutputs(np.zeros((300, 2)), rng.normal(size=(300, 8)), np.zeros(300), rows)
        few, many = (
            measure("a", outputs, np.array([0, 1]), reference, None, each, NOTHING, 0).fid.value for each in (10, 150)
        )
        alone = [frechet_to(reference.even)(outputs.features[subset(outputs.place, 10, seed)]) for seed in range(50)]
        assert few > 3 * many
        assert few == pytest.approx(np.mean(alone), rel=0.15)

    def test_subsets_are_even_and_repeat_nothing(self) -> None:
        labels = np.array([2, 0, 0, 2, 0, 2, 0])
        chosen = subset(labels, 3, seed=1)
        assert len(set(chosen.tolist())) == 6
        assert sorted(labels[chosen].tolist()) == [0, 0, 0, 2, 2, 2]
        assert not np.array_equal(chosen, subset(labels, 3, seed=2))


def test_strokes_have_rows_of_their_own_beside_the_field(store: Store) -> None:
    settings = tiny_model.small("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2")
    strokes = SketchModel(settings, **{name: tiny_model.awake(settings, name) for name in checkpoint.PARTS})
    found, drawn, _ = run(strokes, store, "cat", "star")
    assert [row.row for row in found.rows] == [REAL, *ROWS["field"], *ROWS["strokes"]]
    label = torch.full((3,), strokes.label_of("cat"))
    assert torch.equal(drawn["strokes", 0], strokes.render(strokes.strokes(label, [0, 1, 2], SamplingOptions(steps=2))))


def test_likeness_is_to_real_drawings_that_no_training_saw(model: SketchModel, home: Path) -> None:
    for part, seed in (("train", 1), ("validation", 2), ("test", 3)):
        tiny_model.write_ndjson(home / f"even/{part}/cat.ndjson", drawings.draw_many(24, seed=seed, labels=("cat",)))
    pack([home / "even"], home / "even.arrow")
    found, *_ = run(model, Store(home / "even.arrow"), "cat", settings={"n": 24}, samples=home / "even/test")
    assert found.held_out == 24
    real, copies, coarse, _ = (row.likeness for row in found.rows)
    assert real.recall.value > 0.5
    assert copies.precision.value == copies.recall.value == 1, "the samples are the test drawings themselves"
    assert coarse.recall.value < 0.3 < 0.8 < coarse.c2st.value
    few, *_ = run(model, Store(home / "even.arrow"), "cat", settings={"n": 3})
    assert all(row.likeness is None for row in few.rows)
