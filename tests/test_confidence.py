"""Calibrated probabilities: the temperature, the error, the threshold. Calibration does not change a checkpoint's
answers.
"""

from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import visketch
from torch import Tensor

from visketch import checkpoint, config
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.model import SketchModel
from visketch.tasks.batch import sure
from visketch.training import confidence
from visketch.training.confidence import FEWEST, _picture, calibrate, expected_error, measured, sure_from, weigh
from visketch.training.sketch import train


def drawn(times: float, count: int = 20_000) -> tuple[Tensor, Tensor]:
    """Logits that are `times` as large as the frequencies of their classes justify."""
    chance = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(count, 5, generator=chance)
    label = torch.multinomial(true.softmax(dim=1), 1, generator=chance)[:, 0]
    return true * times, label


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_the_temperature_is_by_how_much_the_logits_are_too_large(times: float) -> None:
    found = measured(*drawn(times))
    assert found.temperature == pytest.approx(times, rel=0.06)
    assert found.error < 0.02
    assert found.error_before > 0.08 or times == 1


def test_the_error_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    probability, right = rng.random(500), rng.random(500) < 0.6
    slow = 0.0
    for number in range(15):
        here = (probability * 15).astype(int) == number
        if here.any():
            slow += here.mean() * abs(probability[here].mean() - right[here].mean())
    assert expected_error(torch.from_numpy(probability), torch.from_numpy(right)) == pytest.approx(slow)
    assert expected_error(torch.ones(4), torch.tensor([True, True, True, False])) == pytest.approx(0.25)


def test_sure_is_where_nine_of_ten_are_right() -> None:
    logits, label = drawn(1.0)
    best = logits.softmax(dim=1).max(dim=1)
    sure, share = sure_from(best.values, best.indices == label)
    above = best.values >= sure
    assert float((best.indices == label)[above].double().mean()) == pytest.approx(0.9, abs=0.005)
    assert share == pytest.approx(float(above.double().mean()), abs=1e-3)
    assert sure_from(torch.tensor([0.9, 0.8]), torch.tensor([False, False])) == (1.0, 0.0)


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Store:
    home = tmp_path_factory.mktemp("validation")
    for label in tiny_model.LABELS:
        some = drawings.draw_many(FEWEST // 3 + 1, labels=(label,))
        tiny_model.write_ndjson(home / f"in/validation/{label}.ndjson", some)
    pack([home / "in"], home / "packed.arrow")
    return Store(home / "packed.arrow")


def test_a_calibrated_checkpoint_gives_the_same_answers_and_says_when_it_is_not_sure(
    validation: Store, tmp_path: Path
) -> None:
    folder = tiny_model.write_checkpoint(tmp_path / "model", tiny_model.small())
    (folder / "sequence.safetensors").unlink()  # whose answers have a threshold of their own
    before = SketchModel.load(folder)
    fields = before.fields([validation[row] for row in range(8)], before.config.reading)
    logits = before.logits(fields)
    found = calibrate(folder, validation)
    assert found is not None
    after = SketchModel.load(folder)
    assert sure(after) == found.sure
    torch.testing.assert_close(after.logits(fields), logits / found.temperature, rtol=0.02, atol=0.02)
    assert checkpoint.read_metadata(folder, "classifier")["facts"]["step"] == 1, "the other facts are kept"
    again = calibrate(folder, validation)
    assert again is not None
    assert again.error_before == pytest.approx(found.error, abs=0.02), "measured anew, it is what it was said to be"
    cat = tmp_path / "cat.ndjson"
    tiny_model.write_ndjson(cat, [drawings.draw("cat")])
    words = ("classify", cat, "--checkpoint", folder)
    told = visketch(*words)
    assert told.exit_code == 0
    probability = after.classify_many([cat], top=1)[0][0].probability
    assert ("not sure" in told.stdout) == (probability < found.sure)
    assert ('"sure": false' in visketch(*words, "--json").stdout) == (probability < found.sure)


def test_the_sum_of_both_classifiers_is_calibrated(validation: Store, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(confidence, "FEWEST", 20)
    monkeypatch.setattr(confidence, "MOST", 60)
    folder = tiny_model.write_checkpoint(tmp_path / "model", tiny_model.small())
    assert weigh(folder, validation) is not None
    after = SketchModel.load(folder)
    chosen = confidence.validation(after, validation)
    assert chosen is not None
    some, label = [sketch for batch in chosen[0] for sketch in batch], chosen[1]
    logits = [after.sketch_logits(shown) for shown in (some, [_picture(sketch, after) for sketch in some])]
    again = measured(torch.cat(logits), label.repeat(2))
    assert again.temperature == pytest.approx(1, abs=0.05)


def test_of_few_drawings_nothing_is_measured(tmp_path: Path) -> None:
    folder = tiny_model.write_checkpoint(tmp_path / "model", tiny_model.small())
    before = (folder / "classifier.safetensors").read_bytes()
    assert calibrate(folder, tiny_model.pack_drawings(tmp_path)) is None
    assert (folder / "classifier.safetensors").read_bytes() == before
    assert sure(SketchModel.load(folder)) is None


def test_a_finished_run_is_measured_once(tmp_path: Path) -> None:
    for label in tiny_model.LABELS:
        for split, count in (("train", 8), ("validation", FEWEST // 3 + 1)):
            tiny_model.write_ndjson(tmp_path / f"in/{split}/{label}.ndjson", drawings.draw_many(count, labels=(label,)))
    pack([tmp_path / "in"], tmp_path / "packed.arrow")
    store, folder = Store(tmp_path / "packed.arrow"), tmp_path / "run"
    for part in ("classifier", "sequence"):
        settings = config.load("tiny", [f"train.{part}.steps=1"])
        train(part, store, folder, settings)
        written = (folder / f"{part}.safetensors").read_bytes()
        assert train(part, store, folder, settings, resume=True).finished
        assert (folder / f"{part}.safetensors").read_bytes() == written, "nothing was trained, so nothing has changed"
        metadata = checkpoint.read_metadata(folder, part)
        module = SketchModel.load(folder).part(part)
        del metadata["facts"]["confidence"]
        checkpoint.save_part(folder, part, module, metadata["trained_on"], metadata["facts"])
        train(part, store, folder, settings, resume=True)
        assert "confidence" in checkpoint.read_metadata(folder, part)["facts"], "the run was killed before it"
