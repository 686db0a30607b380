"""Training the sketch-language model, and asking the result: everything is small, but nothing is simulated."""

import json
import shutil
import signal
from pathlib import Path

import language_dataset
import numpy as np
import pytest
import torch
from command_line import one_line, visketch
from PIL import Image

pytest.importorskip("transformers")

from visketch.checkpoint import read_tensors, restored, save_part, stored
from visketch.cli.locate import drawn
from visketch.errors import UsageError, VisketchError
from visketch.language import config
from visketch.language.boxes import overlaps
from visketch.language.dataset.rows import InstructionRows
from visketch.language.image import Picture
from visketch.language.llm import generate
from visketch.language.model import SketchLanguage
from visketch.language.retrieval import PictureSearch
from visketch.language.vision.encoder import PairTower
from visketch.language.vision.features import BATCH, features
from visketch.training.language import train, tune

KNOBS = [
    "tower.widths=[8, 12, 16, 24]",
    "tower.embedding=8",
    "tower.places=8",
    "writer.width=24",
    "writer.layers=1",
    "writer.heads=2",
    "writer.inner=32",
    "train.precision=no",
    *(f"{chosen}=0.123" for chosen in ("threshold", "recognised")),
    "train.tower.steps=90",
    "train.tower.batch=12",
    "train.tower.lr=0.01",
    "train.tower.warmup=5",
    "train.tower.ema=0.9",
    "train.align.steps=6",
    "train.align.batch=4",
    "train.instruct.steps=6",
    "train.instruct.batch=4",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_dataset.write(tmp_path_factory.mktemp("data") / "pairs", scenes=40)


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after all three stages. Its tower tells rings from crosses, but its language model knows hardly a
    word.
    """
    out = tmp_path_factory.mktemp("runs") / "language"
    rows, chosen = InstructionRows(data, "train"), config.load("tiny", KNOBS)
    for stage in config.STAGES:
        assert train(stage, rows, out, chosen).finished
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> SketchLanguage:
    return SketchLanguage.load(folder)


def speaking(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a folder's language model, including its tower and projector."""
    speaker = SketchLanguage.load(folder).generator
    assert speaker is not None
    return speaker.model.state_dict()


def test_a_killed_run_goes_on_as_if_it_had_not_been(data: Path, folder: Path, tmp_path: Path) -> None:
    rows, chosen = InstructionRows(data, "train"), config.load("tiny", KNOBS)

    def stop(step: int, steps: int, metrics: dict[str, float]) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    for name, report in (("whole", lambda *_: None), ("parts", stop)):
        out = tmp_path / name
        out.mkdir()
        (out / "tower.safetensors").write_bytes((folder / "tower.safetensors").read_bytes())
        outcome = train("align", rows, out, chosen, report=report)
        assert outcome.finished == (name == "whole")
    with pytest.raises(UsageError, match="--resume"):
        train("align", rows, out, chosen)
    assert train("align", rows, out, chosen, resume=True).finished
    whole, parts = (read_tensors(tmp_path / name / "training" / "align.safetensors")[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, msg=name)


def test_the_tower_stays_as_it_was_and_the_projector_learns_unless_frozen(
    data: Path, folder: Path, tmp_path: Path
) -> None:
    first = speaking(folder)
    frozen = config.load("tiny", [*KNOBS, "train.instruct.freeze_projector=true"])
    train("instruct", InstructionRows(data, "train"), tmp_path, frozen, start=folder)
    then = speaking(tmp_path)
    changed = {name for name, value in then.items() if not torch.equal(value, first[name])}
    assert changed
    assert not any("vision_tower" in name or "projector" in name for name in changed)


def test_without_alignment_is_one_folder_with_a_tower_alone(data: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tower.safetensors").write_bytes((folder / "tower.safetensors").read_bytes())
    assert train("instruct", InstructionRows(data, "train"), tmp_path, config.load("tiny", KNOBS)).finished


def test_what_is_chosen_is_chosen_on_validation_scenes(data: Path, folder: Path) -> None:
    chosen = config.read(folder)
    assert chosen.labels == language_dataset.LABELS
    assert 0.123 not in (chosen.threshold, chosen.recognised)
    assert chosen.answers == "matcher", "a language model of twelve steps cannot be better"


@pytest.mark.parametrize("stage", ["tower", "instruct"])
def test_without_validation_rows_that_count_the_choice_stays(
    data: Path, folder: Path, tmp_path: Path, stage: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("training"))
    before = config.read(copy)
    rows = InstructionRows(data, "validation")
    rows.rows = [row for row in rows if row.task != "COUNT"]
    tune(stage, copy, rows, before)
    assert config.read(copy) == before


def test_the_language_model_needs_a_tower(data: Path, tmp_path: Path) -> None:
    with pytest.raises(VisketchError, match="tower"):
        train("align", InstructionRows(data, "train"), tmp_path, config.load("tiny", KNOBS))


def test_the_leaf_encoder_is_a_tower_too(data: Path, tmp_path: Path) -> None:
    rows, chosen = InstructionRows(data, "train"), config.load("tiny", [*KNOBS, "tower.kind=leaf"])
    assert train("align", rows, tmp_path, chosen).finished
    model = SketchLanguage.load(tmp_path)
    assert model.available() == ["language"]
    seen = model.look([data / rows.rows[0].scene])[0]
    corner = seen.tokens.reshape(4, 4, -1)[:, :, : model.sight.tower.tower.model.config.encoder.width]
    inked = np.asarray(Image.open(data / rows.rows[0].scene)).reshape(4, 32, 4, 32).min(axis=(1, 3)) < 128
    for y, x in np.ndindex(4, 4):
        assert not inked[y, x] or corner[y, x].abs().sum() > 0
    assert model.score([(seen, seen)])[0] <= 1


def test_what_was_seen_is_kept_and_only_what_is_new_is_looked_at(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(name: str) -> Picture | None:
        asked.append(name)
        if name == "bad":
            return None
        if name == "gone":
            raise VisketchError("gone")
        from visketch.language.image import square

        return square(language_dataset.page(("ring", (0.1, 0.1, 0.1 * int(name), 0.9))), 128)

    class Mean(torch.nn.Module):
        def __init__(self, times: float) -> None:
            super().__init__()
            self.times = torch.nn.Parameter(torch.tensor(times))

        def forward(self, pixels):
            tokens = self.times * pixels.mean(dim=1)[:, :4, :6]
            return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool)

    first = features(tmp_path / "kept.npy", ["3", "bad", "5"], Mean(1.0), read)
    assert [*first.place] == ["3", "5"]
    again = features(tmp_path / "kept.npy", ["5", "7"], Mean(1.0), read)
    assert asked == ["3", "bad", "5", "7"]
    assert np.array_equal(again["5"], first["5"])
    features(tmp_path / "kept.npy", ["5"], Mean(2.0), read)
    assert asked[-1] == "5"
    with pytest.raises(VisketchError, match="gone"):
        features(tmp_path / "kept.npy", [*["3"] * BATCH, "gone"], Mean(2.0), read)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kept.json", "kept.npy"]


class TestAsking:
    def test_the_matcher_finds_what_it_was_trained_to_find(self, data: Path, model: SketchLanguage) -> None:
        rows = [row for row in InstructionRows(data, "test") if row.task == "COUNT"]
        right = hits = there = 0
        for row in rows:
            pair = tuple(model.look([data / row.sketch, data / row.scene]))
            (answer,) = model.find([pair], "matcher")
            right += answer.count == len(row.boxes)
            hits += sum(
                any(overlaps(np.array([found.box]), np.array([box])) > 0.5 for found in answer.found)
                for box in row.boxes
            )
            there += len(row.boxes)
        most = max(sum(len(row.boxes) == n for row in rows) for n in range(4))
        assert right > most, "more often right than the commonest count"
        assert hits > 0.6 * there

    def test_scores_of_many_are_those_of_each(self, data: Path, model: SketchLanguage) -> None:
        sketch, *scenes = model.look(
            [data / "pictures/sketch/ring-0.png", *sorted((data / "pictures/scene").iterdir())[:5]]
        )
        together = model.score([(sketch, scene) for scene in scenes], "language")
        alone = [model.score([(sketch, scene)], "language")[0] for scene in scenes]
        assert together == pytest.approx(alone, abs=1e-4)
        assert len({round(score, 6) for score in together}) > 1

    def test_an_answer_that_cannot_be_read_is_an_error_of_its_pair(self, data: Path, model: SketchLanguage) -> None:
        sketch, scene = model.look([data / "pictures/sketch/ring-0.png", data / "pictures/scene/test-0.png"])
        (answer,) = model.find([(sketch, scene)], "language")  # a model that was trained for six steps cannot answer
        assert isinstance(answer, VisketchError)
        assert "ask in other words" in str(answer)

    def test_photos_are_ranked_and_bad_ones_named(self, data: Path, model: SketchLanguage, tmp_path: Path) -> None:
        for name, label in (("a", "ring"), ("b", "cross"), ("c", "ring")):
            language_dataset.page((label, (0.2, 0.2, 0.6, 0.6))).save(tmp_path / f"{name}.png")
        (tmp_path / "broken.png").write_bytes(b"no")
        problems: list[VisketchError] = []
        pictures = PictureSearch(model, tmp_path, tmp_path / "kept.index", problems.append, by="matcher")
        found = pictures.search(model.look([data / "pictures/sketch/ring-0.png"])[0], 3)
        assert [hit.path.stem for hit in found][-1] == "b"
        assert len(problems) == 1
        assert "broken.png" in str(problems[0])


class TestVerbs:
    def test_count_and_locate(self, data: Path, folder: Path, tmp_path: Path) -> None:
        language_dataset.page(("ring", (0.1, 0.1, 0.45, 0.45)), ("cross", (0.55, 0.5, 0.9, 0.9))).resize(
            (384, 192)
        ).save(tmp_path / "wide.png")
        asked = [data / "pictures/sketch/ring-1.png", tmp_path / "wide.png", "--checkpoint", folder, "--by", "matcher"]
        told = visketch("count", *asked, "--json")
        assert told.exit_code == 0, told.output
        (row,) = json.loads(told.stdout)["answers"]
        assert row["by"] == "matcher"
        told = visketch("locate", *asked, "--json", "--out", tmp_path / "boxes.png")
        (row,) = json.loads(told.stdout)["answers"]
        for one in row["boxes"]:
            x1, y1, x2, y2 = one["box"]
            assert 0 <= x1 < x2 <= 384
            assert 0 <= y1 < y2 <= 192
        assert Image.open(tmp_path / "boxes.png").size == (384, 192)

    def test_pictures_of_any_depth_are_drawn_as_they_were_read(self, tmp_path: Path) -> None:
        clear = Image.new("RGBA", (600, 300), (0, 0, 0, 0))
        clear.save(tmp_path / "clear.png")
        deep = np.full((300, 600), 65535, np.uint16)
        deep[:, :200], deep[:, 200:400] = 0, 257 * 128
        Image.fromarray(deep).save(tmp_path / "deep.png")
        assert (drawn(str(tmp_path / "clear.png"), [], [], "ring") == 255).all()
        assert drawn(str(tmp_path / "deep.png"), [], [], "ring")[0, [0, 300, -1], 0].tolist() == [0, 128, 255]
        Image.new("L", (13_500, 6750), 255).save(tmp_path / "huge.png")
        huge = drawn(str(tmp_path / "huge.png"), [{"box": [6750, 0, 13_499, 6749], "score": 1.0}], [], "ring")
        assert huge.shape == (2048, 4096, 3)
        assert (huge[1000, 2045:2053] != 255).any()
        assert (huge[1000, :2040] == 255).all()

    def test_good_pictures_are_answered_beside_bad_ones(self, data: Path, folder: Path, tmp_path: Path) -> None:
        Image.new("RGB", (40, 30), "white").save(tmp_path / "blank.png")
        good = data / "pictures/scene/test-1.png"
        sketch = data / "pictures/sketch/ring-1.png"
        told = visketch(
            "count", sketch, "nosuch.jpg", good, tmp_path / "blank.png", "--checkpoint", folder, "--by", "matcher"
        )
        assert told.exit_code == 1
        assert len(told.stdout.splitlines()) == 1
        assert "nosuch.jpg: no such file" in told.stderr
        assert "blank.png: blank" in told.stderr

    def test_a_blank_sketch(self, folder: Path, tmp_path: Path) -> None:
        Image.new("L", (40, 30), 255).save(tmp_path / "blank.png")
        told = visketch("count", tmp_path / "blank.png", tmp_path / "blank.png", "--checkpoint", folder)
        one_line(told, 1, "blank.png", "no ink", "sketch comes first")

    def test_a_tower_alone_is_enough_to_count(self, data: Path, folder: Path, tmp_path: Path) -> None:
        for name in ("tower.safetensors", "language.toml"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
        pictures = data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png"
        assert visketch("count", *pictures, "--checkpoint", tmp_path).exit_code == 0
        told = visketch("ask", *pictures, "how many?", "--checkpoint", tmp_path, "--json")
        assert json.loads(told.stdout)["answers"][0]["by"] == "matcher", "ViSketch knows no rings"
        one_line(
            visketch("ask", *pictures, "is it heavy?", "--checkpoint", tmp_path), 2, "language model", "ask what it is"
        )
        one_line(visketch("count", *pictures, "--by", "language", "--checkpoint", tmp_path), 2, "no language model")

    def test_swapped_pictures_are_noticed(self, data: Path, folder: Path, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((90, 90)).save(tmp_path / "photo.jpg")
        told = visketch(
            "count",
            tmp_path / "photo.jpg",
            data / "pictures/sketch/ring-1.png",
            "--checkpoint",
            folder,
            "--by",
            "matcher",
        )
        assert "the sketch comes first" in told.stderr

    def test_an_empty_question(self, data: Path, folder: Path) -> None:
        told = visketch(
            "ask", data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png", " ", "--checkpoint", folder
        )
        one_line(told, 2, "question is empty")

    def test_words_of_a_task_are_for_the_language_model(self, data: Path, folder: Path) -> None:
        pictures = data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png"
        asked = "ask", *pictures, "what is it?", "DESC: what is there?", "--checkpoint", folder
        one_line(visketch(*asked, "--by", "matcher"), 2, "DESC", "language model")

    def test_a_strange_question_is_only_guessed_at_on_request(self, data: Path, folder: Path) -> None:
        pictures = data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png"
        strange = "ask", *pictures, "What is the weather like?", "--checkpoint", folder
        one_line(visketch(*strange), 1, "not answered", "how many", "--by language")
        told = visketch(*strange, "--by", "language")
        assert told.exit_code == 0, told.output
        assert "do not rely on its other answers" in told.stderr
        told = visketch("ask", *pictures, "How many are there?", "--checkpoint", folder)
        assert "do not rely" not in told.stderr

    def test_another_tower_than_that_of_training_is_refused(self, data: Path, folder: Path, tmp_path: Path) -> None:
        for file in folder.iterdir():
            if file.is_file():
                (tmp_path / file.name).write_bytes(file.read_bytes())
        model = SketchLanguage.load(tmp_path)
        assert isinstance(model.sight, PairTower)
        model.sight.named.bias.data += 0.1
        save_part(tmp_path, "tower", model.sight, {}, {})
        pictures = data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png"
        told = visketch("count", *pictures, "--checkpoint", tmp_path, "--by", "language")
        one_line(told, 1, str(tmp_path), "another tower", "train the stages align and instruct again")

    def test_a_tower_as_it_is_stored_is_that_of_its_half_precision(self) -> None:
        tower, other = torch.nn.Linear(64, 20_000), torch.nn.Linear(64, 20_000)
        tower.load_state_dict(restored(stored(tower)))
        other.load_state_dict({name: value.half() for name, value in tower.state_dict().items()})
        assert any(not torch.equal(value, stored(other)[name]) for name, value in stored(tower).items())
        assert generate._same(tower, other)

    def test_damaged_weights(self, data: Path, folder: Path, tmp_path: Path) -> None:
        for file in folder.iterdir():
            if file.is_file():
                (tmp_path / file.name).write_bytes(
                    file.read_bytes()[: 1000 if file.name == "model.safetensors" else None]
                )
        pictures = data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png"
        told = visketch("count", *pictures, "--checkpoint", tmp_path, "--by", "language")
        one_line(told, 1, str(tmp_path), "visketch language train")

    def test_photos_are_searched_with_the_language_models_checkpoint(
        self, data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        language_dataset.page(("ring", (0.2, 0.2, 0.6, 0.6))).save(tmp_path / "ring.png")
        monkeypatch.setenv("VISKETCH_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("VISKETCH_CHECKPOINT", "nowhere")
        monkeypatch.setenv("VISKETCH_LANGUAGE", str(folder))
        asked = "photos", "search", data / "pictures/sketch/ring-1.png", tmp_path
        told = visketch(*asked, "--out", tmp_path / "found.png", "--json")
        assert told.exit_code == 0, told.output
        one_line(visketch(*asked, "--checkpoint", "nosuch"), 1, "nosuch")

    def test_many_questions_at_once(self, data: Path, folder: Path) -> None:
        pictures = data / "pictures/sketch/ring-1.png", data / "pictures/scene/test-1.png"
        told = visketch("ask", *pictures, "what is it?", "COUNT: how many?", "--checkpoint", folder, "--json")
        assert [row["question"] for row in json.loads(told.stdout)["answers"]] == ["what is it?", "COUNT: how many?"]

    def test_no_such_model(self, data: Path) -> None:
        sketch = data / "pictures/sketch/ring-1.png"
        one_line(visketch("count", sketch, sketch, "--checkpoint", "nowhere"), 1, "nowhere", "visketch language train")

    def test_train_needs_a_stage_and_a_data_set(self, tmp_path: Path) -> None:
        one_line(visketch("language", "train", "--data", tmp_path), 2, "--stage")
        told = visketch("language", "train", "--stage", "align", "--data", tmp_path, "--out", tmp_path / "out")
        one_line(told, 1, "visketch language prepare")

    def test_dry_run_before_there_is_data(self, tmp_path: Path) -> None:
        words = ("language", "train", "--stage", "tower", "--data", tmp_path / "none", "--dry-run")
        people = visketch(*words).stdout
        assert "none does not exist yet" in people
        assert "[writer]" in people
        assert json.loads(visketch(*words, "--json").stdout)["rows"] == 0

    def test_train_says_what_it_would_do(self, data: Path, tmp_path: Path) -> None:
        told = visketch(
            "language", "train", "--stage", "tower", "--data", data, "--out", tmp_path, "--dry-run", "--json"
        )
        facts = json.loads(told.stdout)
        assert facts["rows"] == 200
        assert facts["config"]["writer"]["layers"] == 3
