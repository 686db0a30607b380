"""The parts of the sketch-language model, each compared with what it must be."""

from pathlib import Path

import language_dataset
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from questions import reason

pytest.importorskip("transformers")

from visketch.cli import locate, photos
from visketch.errors import UsageError, VisketchError
from visketch.language import answers, config, image
from visketch.language.answers import Detection, Output
from visketch.language.closed_questions import kind
from visketch.language.config import LanguageConfig, TowerConfig, WriterConfig
from visketch.language.dataset.instructions import QUESTIONS
from visketch.language.dataset.rows import InstructionRows
from visketch.language.llm import llava
from visketch.language.llm import tokenizer as words
from visketch.language.retrieval import PhotoHit
from visketch.language.vision.encoder import PairTower, centres, places
from visketch.render.poster import THUMB
from visketch.training import calibration
from visketch.training.objectives.llava import LlavaObjective, packed, stacked
from visketch.training.objectives.tower import TowerObjective, contrast, giou, moved, targets

TINY = LanguageConfig(
    labels=language_dataset.LABELS,
    tower=TowerConfig(widths=(4, 8, 8, 16), embedding=8, places=8),
    writer=WriterConfig(width=16, layers=1, heads=2, inner=16),
)
share = st.floats(0, 1, width=32)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> InstructionRows:
    return InstructionRows(language_dataset.write(tmp_path_factory.mktemp("data") / "pairs"), "train")


@pytest.fixture(scope="module")
def tokenizer(rows: InstructionRows):
    return words.learn(text for row in rows for text in (row.text, row.answer))


class TestPictures:
    @given(st.integers(1, 20000), st.integers(1, 20000), share, share, share, share)
    def test_boxes_find_back(self, width: int, height: int, x1: float, y1: float, x2: float, y2: float) -> None:
        letterbox = image.Letterbox(width, height)
        box = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        forth = letterbox.forth(box)
        assert all(0 <= place <= 1 for place in forth)
        assert letterbox.back(forth) == pytest.approx(box, abs=1e-6)

    def test_boxes_are_not_drawn_on_the_cached_picture(self, tmp_path: Path) -> None:
        Image.new("RGB", (600, 600), "white").save(tmp_path / "white.png")
        hit = PhotoHit(tmp_path / "white.png", 1.0, "detector", (((0.2, 0.2, 0.8, 0.8), 0.9),))
        photos.thumbnail(hit)
        locate.drawn(str(hit.path), [{"box": [100, 100, 300, 300], "score": 0.5}], [], "cat")
        for most in (4 * THUMB, locate.MOST):
            assert (np.asarray(image.upright(hit.path, most)[0]) == 255).all()

    def test_nothing_is_cropped(self) -> None:
        wide = Image.new("RGB", (300, 100), "white")
        wide.putpixel((0, 50), (255, 0, 0))
        wide.paste((255, 0, 0), (0, 40, 12, 60))
        wide.paste((0, 0, 255), (288, 40, 300, 60))
        square = image.square(wide, 96).square
        red, blue = (square[:, :, 0] > 200) & (square[:, :, 2] < 99), (square[:, :, 2] > 200) & (square[:, :, 0] < 99)
        assert np.argwhere(red)[:, 1].max() < 8
        assert np.argwhere(blue)[:, 1].min() > 88
        assert (square[:20] == 255).all(), "above and below is paper"

    @pytest.mark.parametrize("name", ["turned.jpg", "turned.tif"])
    def test_a_turned_photo_is_upright(self, tmp_path: Path, name: str) -> None:
        lying = Image.new("RGB", (80, 40), "white")
        lying.paste("black", (0, 0, 20, 40))  # at the left of the picture as it is stored
        exif = lying.getexif()
        exif[0x0112] = 6  # to be turned clockwise by 90 degrees
        file = tmp_path / name
        lying.save(file, exif=exif, quality=95)
        assert image.size_of(file) == (40, 80)
        for picture in (image.read(file, 64), image.of(Image.open(file), 64)):
            assert (picture.letterbox.width, picture.letterbox.height) == (40, 80)
            grey = picture.square[:, 32].mean(axis=1)
            assert grey[4] < 50
            assert grey[-4] > 200

    def test_a_large_panorama_is_read_whole(self, tmp_path: Path) -> None:
        wide = Image.new("L", (20_000, 300), 255)
        wide.paste(0, (19_000, 0, 20_000, 300))
        wide.save(tmp_path / "wide.png")
        picture = image.read(tmp_path / "wide.png", 128)
        assert picture.square.shape == (128, 128, 3)
        assert picture.letterbox == image.Letterbox(20_000, 300)
        assert picture.square[64, -2].max() < 60

    def test_a_large_turned_jpeg_keeps_its_proportions(self, tmp_path: Path) -> None:
        Image.new("RGB", (4000, 1000), "gray").save(tmp_path / "large.jpg")
        assert image.read(tmp_path / "large.jpg", 64).letterbox == image.Letterbox(4000, 1000)

    def test_transparent_is_white(self, tmp_path: Path) -> None:
        Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
        assert (image.read(tmp_path / "clear.png", 32).square == 255).all()

    @pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\nbroken"])
    def test_what_is_no_picture_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "file.png").write_bytes(content)
        with pytest.raises(VisketchError, match=r"file\.png"):
            image.read(tmp_path / "file.png", 32)

    def test_blank_is_seen(self) -> None:
        assert image.is_blank(image.square(Image.new("RGB", (50, 20), "white"), 32))
        assert not image.is_blank(image.square(language_dataset.page(("ring", (0.2, 0.2, 0.6, 0.6))), 32))


class TestTower:
    def test_a_token_for_every_place_that_tells_where_it_is(self) -> None:
        tower = PairTower(TINY.tower, 2).eval()
        tokens, mask = tower(torch.rand(3, 3, 128, 128))
        assert tokens.shape == (3, 64, tower.width)
        assert mask.all()
        place = places(8, 8)
        assert torch.cdist(place, place).fill_diagonal_(9).min() > 0.05

    def test_embeddings_are_directions(self) -> None:
        tower = PairTower(TINY.tower, 2).eval()
        seen = tower.see(torch.rand(2, 3, 128, 128))
        torch.testing.assert_close(tower.align(seen).norm(dim=2), torch.ones(2, 64))

    def test_boxes_reach_around_their_place(self) -> None:
        tower = PairTower(TINY.tower, 2).eval()
        boxes = tower.boxes(torch.randn(2, 64, 16))
        centre = centres(8)
        assert (boxes[..., :2] <= centre).all()
        assert (boxes[..., 2:] >= centre).all()

    def test_an_object_covers_its_places_and_a_small_one_the_nearest(self) -> None:
        things = [("ring", (0.0, 0.0, 0.25, 0.25)), ("cross", (0.51, 0.51, 0.54, 0.54))]
        covered, boxes = targets(things, {"cross": 0, "ring": 1}, centres(8).numpy())
        grid = covered.reshape(8, 8)
        assert (grid[:2, :2] == 1).all()
        assert grid[4, 4] == 0
        assert (covered != 2).sum() == 5
        assert boxes.reshape(8, 8, 4)[4, 4] == pytest.approx((0.51, 0.51, 0.54, 0.54))

    def test_a_moved_scene_has_its_boxes_where_its_objects_are(self) -> None:
        box = (0.3, 0.4, 0.6, 0.65)
        scene = np.asarray(language_dataset.page(("ring", box)).convert("RGB"))
        for seed in range(10):
            warped, left = moved(scene, (("ring", box),), np.random.default_rng(seed))
            ys, xs = np.nonzero(warped.mean(axis=2) < 128)
            ((_, where),) = left
            drawn = xs.min() / 128, ys.min() / 128, (xs.max() + 1) / 128, (ys.max() + 1) / 128
            assert drawn == pytest.approx(where, abs=0.03)

    def test_giou_of_equal_boxes_is_one_and_of_distant_ones_negative(self) -> None:
        box = torch.tensor([[0.1, 0.1, 0.3, 0.3]])
        assert giou(box, box).item() == pytest.approx(1, abs=1e-5)
        assert giou(box, box + 0.6).item() < -0.5

    def test_contrast_is_small_where_classes_agree(self) -> None:
        axes = torch.eye(3)
        label, covered = torch.tensor([0, 1]), torch.tensor([0, 1, 2])
        right = contrast(axes[:2], label, axes, covered, 2, 0.1)
        wrong = contrast(axes[[1, 0]], label, axes, covered, 2, 0.1)
        assert right < 0.1 < wrong

    def test_the_tower_learns_from_a_batch_of_empty_scenes(self) -> None:
        tower = PairTower(TINY.tower, classes=2)
        pictures = torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8)
        nothing = {"covered": torch.full((2, 64), 2), "box": torch.zeros(2, 64, 4)}
        batch = {"sketch": pictures, "label": torch.tensor([0, 1]), "scene": pictures} | nothing
        loss, metrics = TowerObjective(tower, 0.1)(batch)
        loss.backward()
        assert all(value.isfinite() for value in (loss, *metrics.values()))
        assert all(one.grad.isfinite().all() for one in tower.parameters() if one.grad is not None)


class TestWords:
    def test_every_row_is_read_back(self, rows: InstructionRows, tokenizer) -> None:
        speech = words.Prompts(tokenizer, 64)
        for row in rows:
            turn = speech.turn(row.text, row.answer)
            assert speech.text(turn.answer.tolist()) == row.answer
            assert tokenizer.unk_token_id not in [*turn.question, *turn.answer]
            assert turn.answer[-1] == tokenizer.eos_token_id

    def test_every_place_is_one_word(self, tokenizer) -> None:
        for place in range(101):
            assert len(tokenizer(f"{place / 100:.2f}")["input_ids"]) == 1

    def test_it_is_the_chat_template(self, rows: InstructionRows, tokenizer) -> None:
        row, speech = rows.rows[0], words.Prompts(tokenizer, 1)
        said = tokenizer.apply_chat_template(
            [
                {"role": "user", "content": [{"type": "image"}] * 2 + [{"type": "text", "text": row.text}]},
                {"role": "assistant", "content": [{"type": "text", "text": row.answer}]},
            ],
            tokenize=True,
            return_dict=True,
        )["input_ids"]
        turn = speech.turn(row.text, row.answer)
        assert [*speech.opening, *turn.question, *turn.answer] == said

    def test_yes_and_no_differ_at_once(self, tokenizer) -> None:
        speech = words.Prompts(tokenizer, 4)
        yes, no = speech.first("SBIR: ?", "yes", "no")
        assert tokenizer.convert_ids_to_tokens([yes, no]) == ["yes", "no"]

    def test_a_question_brings_no_pictures(self, tokenizer) -> None:
        with pytest.raises(UsageError, match="<image>"):
            words.Prompts(tokenizer, 4).question("what is <image>?")


class TestSequences:
    def test_turns_behind_one_opening_lose_what_they_lose_alone(self, rows: InstructionRows, tokenizer) -> None:
        torch.manual_seed(0)
        model = llava.build(TINY, tokenizer)
        speech = words.Prompts(tokenizer, 64)
        turns = [speech.turn(row.text, row.answer) for row in rows.rows[:5]]
        seen = torch.randn(2, 64, 32)
        objective = LlavaObjective(model).eval()

        def loss(turns: list[words.Turn]) -> tuple[float, float]:
            batch, _ = stacked([packed(speech.opening, turns)], speech.pad)
            return objective(batch | {"seen": seen})[0].item(), batch["weights"].sum().item()

        alone = [loss([turn]) for turn in turns]
        expected = sum(value * weight for value, weight in alone) / sum(weight for _, weight in alone)
        assert loss(turns)[0] == pytest.approx(expected, rel=1e-4)

    def test_pairs_in_one_row_and_padding_change_nothing(self, rows: InstructionRows, tokenizer) -> None:
        torch.manual_seed(0)
        objective = LlavaObjective(llava.build(TINY, tokenizer)).eval()
        speech = words.Prompts(tokenizer, 64)
        turns = [speech.turn(row.text, row.answer) for row in rows.rows[:10]]
        some = [packed(speech.opening, [turns[0]]), packed(speech.opening, turns), packed(speech.opening, [turns[1]])]
        seen = torch.randn(6, 64, 32)
        batch, order = stacked(some, speech.pad)
        assert len(batch["ids"]) == 2, "the short ones share a row"
        moved = torch.cat([seen[2 * number : 2 * number + 2] for number in order])
        together = objective(batch | {"seen": moved})[0].item()
        total = weight = 0.0
        for number, one in enumerate(some):
            alone, _ = stacked([one], speech.pad)
            share = alone["weights"].sum().item()
            total += objective(alone | {"seen": seen[2 * number : 2 * number + 2]})[0].item() * share
            weight += share
        assert together == pytest.approx(total / weight, rel=1e-4)

    def test_attention_is_that_of_torch(self) -> None:
        query, key, value = torch.randn(3, 2, 4, 7, 5)
        mask = torch.zeros(2, 1, 7, 7).masked_fill(torch.rand(2, 1, 7, 7) > 0.6, -1e9)
        ours, _ = llava.attend(torch.nn.Identity(), query, key, value, mask, 0.3)
        torchs = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, scale=0.3)
        torch.testing.assert_close(ours, torchs.transpose(1, 2))


class TestAnswers:
    TEXT = (
        "The sketch shows a cat. The picture shows a cat [0.10, 0.20, 0.35, 0.40], "
        "a stop sign [0.50, 0.20, 0.75, 0.40]. It appears 1 times."
    )

    def test_a_description_is_read(self) -> None:
        read = answers.description(Output(self.TEXT))
        assert (read.label, read.times) == ("cat", 1)
        assert [thing.label for thing in read.things] == ["cat", "stop sign"]
        assert read.of_label()[0].box == (0.10, 0.20, 0.35, 0.40)

    def test_a_box_is_as_sure_as_its_words(self) -> None:
        start = self.TEXT.index("0.35")
        said = Output(self.TEXT, ((0, start, 1.0), (start, start + 4, 0.0625), (start + 4, len(self.TEXT), 1.0)))
        cat, sign = answers.description(said).things
        assert cat.score < 1
        assert sign.score == 1

    def test_boxes_that_are_none_are_left_out(self) -> None:
        said = Output("[0.50, 0.20, 0.40, 0.40]; [0.10, 0.10, 0.30, 0.30]")
        assert [found.box for found in answers.boxes(said)] == [(0.10, 0.10, 0.30, 0.30)]
        assert answers.boxes(Output("none")) == []

    @pytest.mark.parametrize("read", [answers.description, answers.boxes, answers.count])
    def test_what_cannot_be_read_is_said(self, read) -> None:
        with pytest.raises(VisketchError, match="ask in other words"):
            read(Output("What a day"))

    def test_of_duplicates_the_surest_is_kept(self) -> None:
        one, two = Detection("cat", (0.1, 0.1, 0.5, 0.5), 0.6), Detection("cat", (0.12, 0.1, 0.5, 0.5), 0.9)
        other = Detection("cat", (0.6, 0.6, 0.9, 0.9), 0.2)
        assert answers.suppressed([one, two, other]) == [two, other]


class TestReasoning:
    OWN = (Detection("cat", (0.1, 0.1, 0.3, 0.3), 0.9),)
    OTHERS = (Detection("bus", (0.35, 0.1, 0.45, 0.2), 0.8), Detection("cup", (0.5, 0.5, 0.95, 0.95), 0.8))

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("what does the sketch show?", "cat"),
            ("how many are there?", "1"),
            ("where is it?", "top left"),
            ("what is it next to?", "bus"),
            ("is it left or right of the bus?", "left"),
            ("is it the largest thing in the picture?", "no"),
            ("is there more than one?", "no"),
            ("is it there?", "yes"),
            ("does the picture show it?", "yes"),
            ("is it red?", None),
            ("what colour is it?", None),
            ("what is the sky like?", None),
            ("is there a bus?", "yes"),
            ("is there a dog?", "no"),
            ("are there any dogs?", "no"),
            ("how many buses are there?", "1"),
            ("how many big cups can you see in the picture?", "1"),
            ("how many of these are there?", "1"),
            ("how many objects like the sketch are in it?", "1"),
            ("is there anything like this?", "yes"),
            ("where is the cup?", "bottom right"),
            ("where is the dog?", "none"),
            ("is the cup the largest?", "yes"),
            ("what is next to the cup?", "bus"),
            ("is the cup left or right of the bus?", "right"),
            ("how many fire hydrants are there?", "0"),
        ],
    )
    def test_closed_questions_are_answered_from_what_was_found(self, question: str, answer: str | None) -> None:
        assert reason(question, "cat", self.OWN, self.OTHERS, ("dog", "fire hydrant")) == answer

    @pytest.mark.parametrize(
        "question",
        [
            "how many unicorns are there?",
            "is there a red unicorn?",
            "count unicorns",
            "what colour is the unicorn?",
        ],
    )
    def test_a_noun_that_is_no_class_is_named(self, question: str) -> None:
        with pytest.raises(VisketchError, match=r"'unicorns?', which is not a known class"):
            reason(question, "cat", self.OWN, self.OTHERS)

    def test_a_word_that_may_mean_two_classes_is_not_guessed(self) -> None:
        with pytest.raises(VisketchError, match="'phone', which is not a known class; did you mean 'cell phone' or"):
            reason("is there a phone?", "cat", self.OWN, self.OTHERS, ("cell phone", "telephone"))

    def test_what_is_not_there_is_at_no_side(self) -> None:
        with pytest.raises(VisketchError, match="no dog was found in the picture"):
            reason("is it left or right of the dog?", "cat", self.OWN, self.OTHERS, ("dog",))

    def test_two_questions_in_one_are_refused(self) -> None:
        with pytest.raises(VisketchError, match="more than one question"):
            reason("is it there? where is it?", "cat", self.OWN, self.OTHERS)

    def test_a_class_that_cannot_be_told_is_no_answer(self) -> None:
        with pytest.raises(VisketchError, match="'dog', which is not one of the 2 classes"):
            reason("is there a dog?", "cat", self.OWN, self.OTHERS, ("dog",), ("cat", "bus"))
        assert reason("is there a cat?", "cat", self.OWN, self.OTHERS, ("dog",), ("bus",)) == "yes"

    def test_every_wording_of_the_data_set_is_known(self) -> None:
        for asked, wordings in QUESTIONS.items():
            for wording in wordings:
                assert kind("VQA: " + wording.format(other="bus")) == asked

    def test_of_what_is_not_there_nothing_is_said(self) -> None:
        assert reason("where is it?", "cat", (), self.OTHERS) == "none"
        assert reason("how many are there?", "cat", (), self.OTHERS) == "0"


class TestTuning:
    def test_the_threshold_counts_right_most_often(self) -> None:
        sure, counts = [[0.9, 0.2], [0.85, 0.7, 0.3], [0.1]], np.array([1, 2, 0])
        least, right = calibration.best(sure, counts)
        assert right == 1
        assert 0.3 < least < 0.7

    def test_what_cannot_be_right_is_said_to_be_wrong(self) -> None:
        assert calibration.best([[0.5]], np.array([3]))[1] == 0


class TestSettings:
    def test_presets_and_knobs(self) -> None:
        assert config.load("llava-7b").lora == config.LoraConfig(rank=64)
        assert config.load("tiny", ["train.align.steps=7"]).train.align.steps == 7

    @pytest.mark.parametrize("wrong", ["train.align.stepz=7", "train.align.steps=many", "tower.canvas=100"])
    def test_wrong_knobs_are_named(self, wrong: str) -> None:
        with pytest.raises(UsageError, match=wrong.partition("=")[0].split(".")[1][:5]):
            config.load("tiny", [wrong])

    def test_a_base_and_lora_need_each_other(self) -> None:
        with pytest.raises(UsageError, match=r"base = some/llava needs LoRA; set lora\.rank"):
            config.load("tiny", ["base=some/llava"])
        assert config.load("tiny", ["base=some/llava", "lora.rank=2"]).lora == config.LoraConfig(rank=2)
        with pytest.raises(UsageError, match="lora is for a base"):
            config.load("tiny", ["lora.rank=2"])

    def test_an_unknown_preset(self) -> None:
        with pytest.raises(UsageError, match="llava-7b"):
            config.load("llava-7")
