"""Names of earlier versions. They still work, and a note says what the current name is."""

from pathlib import Path

import pytest
import tiny_model
import torch
from command_line import visketch

import visketch as visketch_package
from visketch import checkpoint, config
from visketch.cli.shared import console
from visketch.cli.shared.old_spellings import renewed
from visketch.errors import RenamedWarning, UsageError
from visketch.model import SketchModel


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train peer --out runs/vit", "train baseline --out runs/vit"),
        ("train language --stage tower", "language train --stage tower"),
        ("search cat.svg photos/ --photos -n 3", "photos search cat.svg photos/ -n 3"),
        ("evaluate classify --peer a --peer=b", "evaluate classify --baseline a --baseline=b"),
        ("generate -c cat --coarse-only", "generate -c cat --no-refine"),
    ],
)
def test_commands(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(console, "note", notes.append)
    assert renewed(new.split()) == new.split()
    assert not notes
    assert renewed(old.split()) == new.split()
    assert all("is now" in note for note in notes)
    assert notes


def test_a_command_in_old_words_runs(tmp_path: Path) -> None:
    done = visketch("train", "language", "--stage", "tower", "--data", tmp_path)
    assert "visketch language train" in done.stderr
    assert done.exit_code == 1, "there is no data set"


def test_the_class_of_the_model() -> None:
    with pytest.warns(RenamedWarning, match=r"visketch\.model\.ViSketch is now called visketch\.ViSketch"):
        from visketch.model import ViSketch
    assert ViSketch is visketch_package.ViSketch


def test_a_section() -> None:
    with pytest.warns(RenamedWarning, match=r"x\.toml: \[peer\] is now called \[baseline\]"):
        old = config.parse({"peer": {"backbone": "vit"}}, "x.toml")
    assert old.baseline.backbone == "vit"
    with pytest.warns(RenamedWarning, match="peer is now called baseline"):
        assert config.load("tiny", ["train.peer.steps=7"]).train.baseline.steps == 7
    with pytest.raises(UsageError, match="peer"):
        config.parse({"peer": {}, "baseline": {}}, "x.toml")


def test_a_file_of_weights(tmp_path: Path) -> None:
    """The file was written by an earlier version, as its name and its metadata say."""
    settings = tiny_model.small()
    checkpoint.write_config(tmp_path, settings)
    module = tiny_model.awake(settings, "baseline")
    checkpoint.save_part(tmp_path, "peer", module, {}, {})
    loaded = SketchModel.load(tmp_path).part("baseline")
    for name, value in checkpoint.stored(module).items():
        assert torch.equal(checkpoint.stored(loaded)[name], value)
