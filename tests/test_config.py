"""All settings: presets load, and a wrong key, type or file is reported with what would have been right."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from visketch import config
from visketch.config import Config
from visketch.errors import UsageError, VisketchError


@pytest.mark.parametrize("preset", ["tiny", "small", "base"])
def test_every_preset_loads_and_says_its_name(preset: str) -> None:
    loaded = config.load(preset)
    assert loaded.name == preset
    assert loaded.sketch.tile << loaded.sketch.depth == loaded.sketch.canvas
    for width, heads in [
        (loaded.encoder.width, loaded.encoder.heads),
        (loaded.encoder.width, loaded.refiner.heads),
        (loaded.encoder.width, loaded.classifier.heads),
        (loaded.diffusion.width, loaded.diffusion.heads),
    ]:
        assert width % heads == 0
    for part in ("vqvae", "diffusion", "refiner", "classifier", "baseline"):
        training = getattr(loaded.train, part)
        assert training.warmup < training.steps


@pytest.mark.parametrize("preset", ["tiny", "small", "base"])
def test_peers_are_trained_as_the_classifier_is(preset: str) -> None:
    """The exceptions are the optimiser and the number of steps. `RecognitionObjective` shows both the same pictures."""
    training = config.load(preset).train
    alike = set(type(training.baseline).model_fields) - {"lr", "muon", "steps"}
    assert training.baseline.model_dump(include=alike) == training.classifier.model_dump(include=alike)


def test_presets_are_listed() -> None:
    assert config.presets() == ["base", "small", "tiny"]


def test_the_sizes_of_the_paper() -> None:
    small, base = config.load("small").sketch, config.load("base").sketch
    assert (small.canvas, small.depth, small.tile) == (128, 2, 32)
    assert (base.canvas, base.depth, base.tile) == (256, 3, 32)


def test_a_larger_canvas_has_the_same_pen_and_tiles_in_pixels() -> None:
    shape = config.load("small").sketch
    large = shape.at(4096)
    assert (large.canvas, large.depth, large.tile, large.codes) == (4096, 7, 32, 16)
    assert (large.pen * 4096, large.clamp * 4096) == (shape.pen * 128, shape.clamp * 128) == (4, 8)
    assert (large.near, large.margin, large.information) == (shape.near, shape.margin, shape.information)
    assert shape.at(128) == shape
    for side in (64, 200, 8192):
        with pytest.raises(UsageError, match=f"a canvas of {side} pixels is not possible; use one of 128, .*4096"):
            shape.at(side)


def test_overrides_replace_one_knob() -> None:
    plain = config.load("tiny")
    changed = config.load(
        "tiny", ["train.vqvae.lr=1e-4", "train.classifier.grow=[0.5]", "name=mine", "vqvae.plain=true"]
    )
    assert changed.train.vqvae.lr == 1e-4
    assert changed.train.classifier.grow == (0.5,)
    assert changed.name == "mine", "a bare word is a string"
    assert changed.vqvae.plain
    assert changed.train.vqvae.steps == plain.train.vqvae.steps, "its neighbours stay"
    assert changed.encoder == plain.encoder
    assert config.load("tiny", ["sketch.pen=1"]).sketch.pen == 1.0, "a whole number is a number"


@pytest.mark.parametrize(
    ("override", "saying"),
    [
        ("encoder.widht=3", "unknown key 'encoder.widht': did you mean 'width'"),
        ("encodr.width=3", "unknown key 'encodr': did you mean 'encoder'"),
        ("train.vqvae.step=3", "unknown key 'train.vqvae.step': did you mean 'steps'"),
        ("train.classifier.zzz=3", "unknown key 'train.classifier.zzz': known: auxiliary"),
        ("encoder.width=wide", "encoder.width: must be a whole number, it is 'wide'"),
        ("encoder.width=3.5", "encoder.width: must be a whole number, it is 3.5"),
        ("encoder.width=true", "encoder.width: must be a whole number, it is True"),
        ("vqvae.plain=1", "vqvae.plain: .*boolean, it is 1"),
        ("train.precision=half", "train.precision: .*'no' or 'bf16', it is 'half'"),
        ("train.refiner.order=random", "train.refiner.order: .*'one-by-one', 'waves' or 'both'"),
        ("train.classifier.grow=[0.1, x]", "train.classifier.grow: "),
        ("sketch.depth=0", "sketch.depth: must be 1 or more, it is 0"),
        ("sketch.depth=8", "sketch.depth: must be 7 or less"),
        ("sketch.canvas=100", "canvas must be a multiple of 8 . 2.depth = 16, it is 100"),
        ("baseline={backbone='vit', patch=12}", "canvas / 2.depth = 16 must be a multiple of baseline.patch = 12"),
        (
            "baseline={backbone='vit', width=33, patch=8}",
            "baseline.width = 33 must be a multiple of baseline.heads = 6",
        ),
        ("baseline.backbone=resnet50", "baseline.backbone: .*'resnet34', 'vit' or 'cnn', it is 'resnet50'"),
        ("train.baseline.leaves=3", "unknown key 'train.baseline.leaves': known: batch"),
        ("encoder=3", "encoder: .*EncoderConfig, it is 3"),
        ("encoder.width", "write it as section.key=value"),
        ("name.first=3", "'name' is a value, not a section"),
        ("=3", "unknown key ''"),
    ],
)
def test_a_wrong_override_names_what_is_right(override: str, saying: str) -> None:
    with pytest.raises(UsageError, match=saying) as caught:
        config.load("tiny", [override])
    assert "\n" not in str(caught.value)


def test_a_file_is_a_preset_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[encoder]\nwidth = 96\n')
    assert config.load(path) == Config(name="mine", encoder=config.EncoderConfig(width=96))
    assert config.load(str(path), ["encoder.width=48"]).encoder.width == 48


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    broken, typo, binary = tmp_path / "broken.toml", tmp_path / "typo.toml", tmp_path / "binary.toml"
    broken.write_text("[encoder\nwidth = 3")
    typo.write_text("[encoder]\nwidht = 3")
    binary.write_bytes(b"\xff\xfe\x00")
    for path, error, saying in [
        (broken, VisketchError, "broken.toml: not valid TOML, .*line 1"),
        (typo, UsageError, "typo.toml: unknown key 'encoder.widht': did you mean 'width'"),
        (binary, VisketchError, "binary.toml: cannot be read, not text"),
        (tmp_path / "none.toml", VisketchError, "none.toml: cannot be read, no such file"),
    ]:
        with pytest.raises(error, match=saying) as caught:
            config.load(path)
        assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no preset 'smal': did you mean 'small'"):
        config.load("smal")
    with pytest.raises(UsageError, match="no preset 'huge': known: base, small, tiny"):
        config.load("huge")


def test_knobs_cannot_be_turned_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load("tiny").encoder.width = 3


def test_find_takes_a_folder_or_the_name_of_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "config.toml").write_text("")
    assert config.find(folder) == folder
    monkeypatch.setattr(config.resources, "files", lambda package: tmp_path)
    assert config.shipped() == {"ours": folder}
    assert config.find("ours") == folder
    with pytest.raises(VisketchError, match=r"our: no checkpoint there .*'ours'"):
        config.find("our")
    with pytest.raises(VisketchError, match="small: no checkpoint there"):
        config.find()
    shutil.rmtree(folder)
    with pytest.raises(VisketchError, match="this installation has none"):
        config.find()


READING = """
import sys
from pathlib import Path
from types import SimpleNamespace
from visketch import config
from visketch.cli.shared.options import complete_class
from visketch.language import config as language
from visketch.language.dataset.prepare import card, Writer

home = Path(sys.argv[1])
assert config.read_config(home).labels == ("caf\\xe9",)
assert config.load(home / "config.toml").labels == ("caf\\xe9",)
assert complete_class(SimpleNamespace(params={"checkpoint": str(home)}), "caf") == ["caf\\xe9"]
assert language.read(home).name == language.load(home / language.FILE).name == "caf\\xe9"
facts = {"seen": ["caf\\xe9"], "unseen": [], "styles": [], "styles_in_test_alone": [], "sources": {}}
Writer(home, ()).finish(facts)
assert "caf\\xe9" in (home / "README.md").read_text(encoding="utf-8")
"""


def test_files_are_utf8_in_any_locale(tmp_path: Path) -> None:
    from visketch.language.config import FILE

    (tmp_path / "config.toml").write_text('labels = ["café"]\n', encoding="utf-8")
    (tmp_path / FILE).write_text('name = "café"\n', encoding="utf-8")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", READING, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
