"""Checkpoints: what is saved is loaded again, and what does not belong together is refused, in one line."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import tiny_model
import torch
from safetensors.torch import save_file

from visketch import atomic, checkpoint
from visketch.config import read_config
from visketch.configs.training import TrainConfig
from visketch.errors import VisketchError
from visketch.models.parts import build

CONFIG = tiny_model.small()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An encoder, and a refiner that was trained with it."""
    home = tmp_path / "ours"
    checkpoint.write_config(home, CONFIG)
    mark = checkpoint.save_part(home, "encoder", tiny_model.awake(CONFIG, "encoder"), {}, {"step": 7})
    checkpoint.save_part(home, "refiner", tiny_model.awake(CONFIG, "refiner"), {"encoder": mark}, {})
    return home


def refused(folder: Path, part: str, saying: str) -> None:
    with pytest.raises(VisketchError, match=saying) as caught:
        checkpoint.load_part(folder, part, build(CONFIG, part))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", checkpoint.PARTS)
def test_a_part_comes_back_as_it_is_stored(part: str, tmp_path: Path) -> None:
    saved, loaded = tiny_model.awake(CONFIG, part), build(CONFIG, part)
    mark = checkpoint.save_part(tmp_path, part, saved, {}, {"step": 7, "data": {"sources": ["cats"]}})
    metadata = checkpoint.load_part(tmp_path, part, loaded)
    assert metadata == checkpoint.read_metadata(tmp_path, part)
    assert metadata == {"fingerprint": mark, "trained_on": {}, "facts": {"step": 7, "data": {"sources": ["cats"]}}}
    matrices = [name for name, value in saved.named_parameters() if checkpoint.scaled(value)]
    assert matrices
    for name, value in saved.state_dict().items():
        found = loaded.state_dict()[name]
        if name in matrices:
            step = value.abs().amax(dim=(1,) if value.ndim == 2 else (2, 3), keepdim=True) / 127
            assert ((found - value).abs() <= 0.51 * step + 1e-6).all(), name
        else:
            assert torch.equal(found, value.half().to(value.dtype)), name
    assert checkpoint.save_part(tmp_path, part, loaded, {}, {}) == mark, "saved again, it is the same part"


def test_matrices_take_a_byte_a_weight_and_rows_of_zeros_stay_zero() -> None:
    layer = torch.nn.Linear(40, 3)
    with torch.no_grad():
        layer.weight[1] = 0
        layer.weight[2] *= 1e-6
    state = checkpoint.stored(layer)
    assert state["weight"].dtype == torch.int8
    assert state["weight"].shape == (3, 40)
    found = checkpoint.restored(state)["weight"]
    assert (found[1] == 0).all()
    assert torch.allclose(found, layer.weight, rtol=0, atol=float(layer.weight.detach().abs().max()) / 250)


def test_weights_of_earlier_versions_are_read(folder: Path) -> None:
    """Matrices used to be stored in half precision."""
    module = tiny_model.awake(CONFIG, "classifier")
    state = {name: value.half() if value.is_floating_point() else value for name, value in module.state_dict().items()}
    about = {"part": "classifier", "fingerprint": checkpoint.fingerprint(state), "trained_on": "{}", "facts": "{}"}
    checkpoint.write_tensors(folder / "classifier.safetensors", state, about)
    loaded = build(CONFIG, "classifier")
    checkpoint.load_part(folder, "classifier", loaded)
    assert all(torch.equal(value.half(), state[name]) for name, value in loaded.state_dict().items())


def test_scales_without_their_matrix_are_refused(folder: Path) -> None:
    tensors, metadata = checkpoint.read_tensors(folder / "encoder.safetensors")
    tensors = {name: value for name, value in tensors.items() if name != "place.weight"}
    metadata["fingerprint"] = checkpoint.fingerprint(tensors)
    checkpoint.write_tensors(folder / "encoder.safetensors", tensors, metadata)
    refused(folder, "encoder", "its matrices and their scales do not match")


def test_the_configuration_comes_back(folder: Path) -> None:
    assert read_config(folder) == CONFIG.model_copy(update={"train": TrainConfig()})
    changed = tiny_model.small("sketch.pen=0.1", "name=ours").model_copy(update={"train": TrainConfig()})
    checkpoint.write_config(folder, changed)
    assert read_config(folder) == changed


def test_knobs_of_training_that_another_version_had_do_not_matter(folder: Path) -> None:
    path = folder / "config.toml"
    path.write_text(path.read_text() + "\n[train.poetry]\nrhyme = true\n")
    assert read_config(folder).labels == CONFIG.labels


def test_fingerprints_tell_weights_apart() -> None:
    one = checkpoint.stored(tiny_model.awake(CONFIG, "classifier"))
    assert checkpoint.fingerprint(one) == checkpoint.fingerprint(dict(reversed(one.items())))
    for name in one:
        other = {key: value.clone() for key, value in one.items()}
        other[name].flatten()[-1] += 1
        assert checkpoint.fingerprint(other) != checkpoint.fingerprint(one), name


def test_a_part_trained_with_another_encoder_is_refused(folder: Path) -> None:
    checkpoint.load_part(folder, "refiner", build(CONFIG, "refiner"))
    assert checkpoint.outdated(folder) == {}
    checkpoint.save_part(folder, "encoder", tiny_model.awake(CONFIG, "encoder", seed=1), {}, {})
    refused(folder, "refiner", "trained with encoder .* but the folder has encoder .*; train refiner again")
    assert checkpoint.outdated(folder) == {"refiner": "encoder"}
    (folder / "encoder.safetensors").unlink()
    refused(folder, "refiner", "has no encoder .it has refiner.")


def test_a_missing_part_says_what_is_there(folder: Path, tmp_path: Path) -> None:
    refused(folder, "vqvae", "has no vqvae .it has encoder, refiner.; train it first")
    refused(tmp_path / "nowhere", "vqvae", "it has no part at all")


@pytest.mark.parametrize("share", [0, 0.0005, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(folder: Path, share: float) -> None:
    path = folder / "encoder.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(folder, "encoder", "encoder.safetensors: not a readable safetensors file")


def test_a_damaged_file_is_refused_wherever_the_damage_is(folder: Path) -> None:
    """Every byte of the metadata and some of the weights are changed. A file that still loads must have the same
    weights.
    """
    path = folder / "refiner.safetensors"
    whole, expected = path.read_bytes(), checkpoint.stored(tiny_model.awake(CONFIG, "refiner"))
    header = 8 + int.from_bytes(whole[:8], "little")
    start = whole.index(b'"__metadata__"')
    end = whole.index(b"}", whole.index(b'"part"')) + 1
    survived = 0
    for place in [*range(start, end), *range(8, header, 97), *range(header, len(whole), len(whole) // 40)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        module = build(CONFIG, "refiner")
        with suppress(VisketchError):
            checkpoint.load_part(folder, "refiner", module)
            survived += 1
            found = checkpoint.stored(module)
            assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert survived < 40, "only the names of metadata that nobody needs may change unnoticed"


def test_a_foreign_file_is_refused(folder: Path) -> None:
    save_file({"weight": torch.zeros(3)}, folder / "vqvae.safetensors")
    refused(folder, "vqvae", "vqvae.safetensors: not a visketch vqvae")
    shutil.copy(folder / "encoder.safetensors", folder / "vqvae.safetensors")
    refused(folder, "vqvae", "not a visketch vqvae")
    (folder / "vqvae.safetensors").write_text("hello")
    refused(folder, "vqvae", "not a readable safetensors file")


@pytest.mark.parametrize("override", ["encoder.layers=1", "encoder.layers=3", "encoder.width=64"])
def test_a_part_of_another_configuration_is_refused(folder: Path, override: str) -> None:
    with pytest.raises(VisketchError, match=r"encoder.safetensors: does not fit .*config.toml") as caught:
        checkpoint.load_part(folder, "encoder", build(tiny_model.small(override), "encoder"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"sketch = [", b"\xff\xfe", b"[sketch]\ncanvass = 64\n"])
def test_a_folder_without_a_good_configuration_is_refused(folder: Path, content: bytes | None) -> None:
    path = folder / "config.toml"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VisketchError, match=r"config.toml") as caught:
        read_config(folder)
    assert "\n" not in str(caught.value)


def test_named_tensors_of_any_kind_come_back(tmp_path: Path) -> None:
    tensors = {"a/b": torch.randn(2, 3), "flag": torch.tensor(True), "turned": torch.randn(3, 4).T}
    checkpoint.write_tensors(tmp_path / "deep/state.safetensors", tensors, {"step": "3"})
    back, metadata = checkpoint.read_tensors(tmp_path / "deep/state.safetensors")
    assert metadata == {"step": "3"}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], value) for name, value in tensors.items())
    with pytest.raises(VisketchError, match="not a readable safetensors file"):
        checkpoint.read_tensors(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "part"
    atomic.write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_half(file: Path, content: bytes) -> None:
        file.open("wb").write(content[:1])
        fail()

    if failing == "write":
        monkeypatch.setattr(Path, "write_bytes", write_half)
    else:
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(VisketchError, match="part: cannot be written, no space left on device"):
        atomic.write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "no half file stays"


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As two threads do: the second begins before the first has finished."""
    path = tmp_path / "part"
    with atomic.replacing(path) as one:
        one.write_bytes(b"one")
        with atomic.replacing(path) as other:
            other.write_bytes(b"other")
        assert path.read_bytes() == b"other"
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_killed_in_the_middle_of_writing_it_leaves_the_old_file(tmp_path: Path) -> None:
    """The process is really killed, by a signal that cannot be caught, after it has written the content and before it
    renames the file.
    """
    path = tmp_path / "part"
    atomic.write_atomically(path, b"old")
    script = (
        "import os, signal, sys; from pathlib import Path; from visketch import atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_atomically(Path(sys.argv[1]), b'new')\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    atomic.write_atomically(path, b"newer")  # what the killed process left behind is no obstacle
    assert path.read_bytes() == b"newer"
    assert [file for file in tmp_path.iterdir() if not file.name.startswith(".")] == [path]


@pytest.mark.parametrize("where", ["file/part", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(VisketchError, match=f"{where}: cannot be written"):
        atomic.write_atomically(tmp_path / where, b"new")
