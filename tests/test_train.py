"""Training: every part learns, a killed run continues as if it had not been killed, and processes share a batch."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from PIL import Image

from visketch import checkpoint, config
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.model import SketchModel
from visketch.training import loop
from visketch.training.sketch import Outcome, train

STEPS = 12  # the steps of the tiny preset, for every part
PARTS = ["vqvae", "diffusion", "classifier", "sequence", "baseline", "refiner"]
Losses = list[dict[str, float]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return tiny_model.pack_drawings(tmp_path_factory.mktemp("data"))


def run(part: str, store: Store, folder: Path, *overrides: str, stop: int = 0, **options) -> tuple[Outcome, Losses]:
    """Train in this process. `stop` is the step after which it gets a SIGTERM, as from a system that shuts down."""
    seen: Losses = []

    def report(step: int, steps: int, metrics: dict[str, float]) -> None:
        seen.append(metrics)
        if step == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    settings = config.load("tiny", [f"train.{part}.steps={STEPS}", *overrides])
    return train(part, store, folder, settings, report=report, **options), seen


@pytest.fixture(scope="module")
def trained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Outcome, Losses]]:
    """Every part, trained without interruption. Its folder is as it was just after that part had been trained."""
    folder, runs = tmp_path_factory.mktemp("runs") / "all", {}
    for part in PARTS:
        outcome, losses = run(part, store, folder)
        runs[part] = shutil.copytree(folder, folder.with_name(part)), outcome, losses
    return runs


def before(part: str, trained: dict, folder: Path) -> Path:
    """A folder with the parts that `part` needs, in the state before it was trained."""
    if part in ("refiner", "sequence"):
        shutil.copytree(trained["classifier"][0], folder)
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_every_part_learns(trained: dict, part: str) -> None:
    folder, outcome, losses = trained[part]
    assert outcome.finished
    assert outcome.step == len(losses) == STEPS
    assert outcome.metrics == losses[-1]
    assert all(np.isfinite(value) for metrics in losses for value in metrics.values())
    first, last = (np.mean([metrics["loss"] for metrics in piece]) for piece in (losses[:5], losses[-5:]))
    assert last < first or part == "baseline"  # the baseline needs more steps (see test_baseline)
    rows = [json.loads(line) for line in (folder / f"training/{part}.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [*range(1, 11), STEPS]
    assert rows[-1]["loss"] == pytest.approx(losses[-1]["loss"], abs=1e-5)


def test_the_trained_parts_can_be_used_at_once(trained: dict, store: Store) -> None:
    model = SketchModel.load(trained["refiner"][0])
    assert model.labels == store.labels == ["cat", "house", "star"]
    assert model.classify_many([store[0]])[0][0].label in model.labels
    assert model.generate_fields("star", 2, tries=1).canvas.isfinite().all()


@pytest.mark.parametrize("part", PARTS)
def test_what_is_shipped_is_the_moving_average(trained: dict, store: Store, part: str) -> None:
    folder = trained[part][0]
    state, metadata = checkpoint.read_tensors(folder / f"training/{part}.safetensors")
    assert metadata["step"] == str(STEPS)
    means = {name.removeprefix("average/"): value for name, value in state.items() if name.startswith("average/")}
    assert any(not torch.equal(value, state[f"model/{name}"]) for name, value in means.items())
    made = ["encoder", "classifier"] if part == "classifier" else [part]
    compared = set()
    for name in made:
        weights, _ = checkpoint.read_tensors(folder / f"{name}.safetensors")
        within = "trainable.vqvae." if name == "vqvae" else f"{name}."
        compared |= {within + key for key, value in weights.items() if within + key in means}
        for key, value in weights.items():
            if within + key in means:
                mean = means[within + key]
                expected = checkpoint.quantised(mean)[0] if checkpoint.scaled(mean) else mean.half()
                assert torch.equal(value, expected)
        facts = checkpoint.read_metadata(folder, name)["facts"]
        assert facts.pop("settings")["steps"] == STEPS
        assert facts == {
            "step": STEPS,
            "steps": STEPS,
            "data": store.provenance,
        }
    assert {name for name in means if not name.startswith("trainable.quantise")} == compared


def test_parts_name_the_parts_they_lean_on(trained: dict) -> None:
    folder = trained["refiner"][0]
    parts = [name for name in checkpoint.PARTS if (folder / f"{name}.safetensors").exists()]
    mark = {name: checkpoint.read_metadata(folder, name)["fingerprint"] for name in parts}
    leans = {name: checkpoint.read_metadata(folder, name)["trained_on"] for name in parts}
    assert leans["refiner"] == {"vqvae": mark["vqvae"], "encoder": mark["encoder"]}
    assert leans["classifier"] == {"encoder": mark["encoder"]}
    assert leans["encoder"] == leans["vqvae"] == leans["diffusion"] == leans["baseline"] == {}


def test_the_refiner_can_train_the_encoder_and_the_classifier_too(trained: dict, store: Store, tmp_path: Path) -> None:
    folder = before("refiner", trained, tmp_path / "run")
    old = {name: checkpoint.read_metadata(folder, name)["fingerprint"] for name in ("encoder", "classifier")}
    _, losses = run("refiner", store, folder, "train.refiner.joint=true", "train.refiner.steps=3")
    assert {"code loss", "class loss"} <= losses[0].keys()
    assert "class loss" not in trained["refiner"][2][0]
    model = SketchModel.load(folder)
    assert model.generate_fields("cat", tries=1).canvas.isfinite().all(), "all parts fit together"
    assert model.classify_many([store[0]])
    for name, mark in old.items():
        assert checkpoint.read_metadata(folder, name)["fingerprint"] != mark
        assert checkpoint.read_metadata(trained["refiner"][0], name)["fingerprint"] == mark, "left alone otherwise"


@pytest.mark.parametrize("part", PARTS)
def test_stopped_and_resumed_it_is_the_same_run(trained: dict, store: Store, tmp_path: Path, part: str) -> None:
    """The runs agree to the last bit. Saving at every step, as here, changes nothing either."""
    folder, always = before(part, trained, tmp_path / "run"), "train.save_minutes=0.0"
    outcome, losses = run(part, store, folder, always, stop=5)
    assert (outcome.finished, outcome.step) == (False, 5)
    outcome, more = run(part, store, folder, always, resume=True)
    assert outcome.finished
    assert losses + more == trained[part][2]
    marks = [checkpoint.read_metadata(home, part)["fingerprint"] for home in (folder, trained[part][0])]
    assert marks[0] == marks[1]
    assert run(part, store, folder, always, resume=True)[0].finished, "nothing is left to do"


KILLED = """
import os, signal, sys
from pathlib import Path
from visketch import config
from visketch.data.store import Store
from visketch.training.sketch import train

def report(step, steps, metrics):
    if step == 9:
        os.kill(os.getpid(), signal.SIGKILL)

settings = config.load("tiny", ["train.save_minutes=0.0005", f"train.classifier.steps={sys.argv[3]}"])
train("classifier", Store(sys.argv[1]), Path(sys.argv[2]), settings, report=report)
"""


def test_killed_without_warning_it_goes_on_from_the_last_save(trained: dict, store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, store.path, tmp_path, str(STEPS)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    saved = int(checkpoint.read_tensors(tmp_path / "training/classifier.safetensors")[1]["step"])
    assert 0 < saved < 9
    outcome, losses = run("classifier", store, tmp_path, resume=True)
    assert outcome.finished
    assert losses == trained["classifier"][2][saved:]


TOGETHER = """
import json, os, sys
from pathlib import Path
from visketch import config
from visketch.data.store import Store
from visketch.training.sketch import train

other = os.fork()  # before torch computes anything, so that it is imported only once
rank = "0" if other else "1"
os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}  # as torchrun does
store, folder = Store(sys.argv[1]), Path(sys.argv[2])
for part in sys.argv[3].split(","):
    seen = []
    report = lambda step, steps, metrics: seen.append(metrics)
    train(part, store, folder / part, config.load("tiny", sys.argv[4:]), report=report)
    (folder / f"{part}.json").write_text(json.dumps(seen))
if other:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
"""


def test_two_processes_get_the_losses_of_one(trained: dict, store: Store, tmp_path: Path) -> None:
    """There is no dropout, which each process draws for itself. There are only a few steps, since rounding errors grow.
    Muon lets all of them grow at once, since to it the smallest direction of a gradient is worth as much as the
    largest; only the diffusion is trained with it.
    """
    shared = ["classifier", "refiner", "diffusion", "vqvae", "baseline"]
    plain = ["classifier.dropout=0.0", "refiner.dropout=0.0", *(f"train.{part}.steps=3" for part in shared)]
    plain += [f"train.{part}.muon={'true' if part == 'diffusion' else 'false'}" for part in shared]
    plain += ["train.baseline.steps=2"]  # in this deep and narrow network, rounding errors grow tenfold a step
    for home in (tmp_path / "one", tmp_path / "two"):
        before("refiner", trained, home / "refiner")
        checkpoint.write_config(home / "refiner", tiny_model.labelled(store, *plain))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    command = [sys.executable, "-c", TOGETHER, store.path, tmp_path / "two", ",".join(shared), *plain]
    ended = subprocess.run(command, env=os.environ | meeting, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for part in shared:
        both = json.loads((tmp_path / f"two/{part}.json").read_text())
        _, alone = run(part, store, tmp_path / "one" / part, *plain)
        for step, (one, two) in enumerate(zip(alone, both, strict=True)):
            if part == "vqvae":  # its quantiser takes its first codes from what each process sees
                assert np.isfinite(two["loss"])
            else:
                assert two["loss"] == pytest.approx(one["loss"], rel=1e-3), (part, step)
                assert two["norm"] == pytest.approx(one["norm"], rel=1e-2), (part, step)


def test_workers_change_nothing(trained: dict, store: Store, tmp_path: Path) -> None:
    assert run("classifier", store, tmp_path, stop=2, workers=2)[1] == trained["classifier"][2][:2]


def test_a_run_is_not_begun_over_another(trained: dict, store: Store) -> None:
    with pytest.raises(UsageError, match=r"vqvae.safetensors: a training run exists; continue it with --resume"):
        run("vqvae", store, trained["vqvae"][0])


def test_a_folder_holds_one_configuration(trained: dict, store: Store, tmp_path: Path) -> None:
    folder = trained["refiner"][0]
    with pytest.raises(UsageError, match=r"has a checkpoint with another \[encoder\]; name its settings with --config"):
        run("classifier", store, folder, "encoder.width=64", resume=True)
    tiny_model.write_ndjson(tmp_path / "in/train/dog.ndjson", drawings.draw_many(6, labels=("cat",)))
    pack([tmp_path / "in"], tmp_path / "dogs.arrow")
    with pytest.raises(UsageError, match=r"other classes than the data"):
        run("classifier", Store(tmp_path / "dogs.arrow"), folder, resume=True)


@pytest.mark.parametrize("change", ["vqvae.width=32", "train.vqvae.muon=false"])
def test_a_snapshot_of_another_configuration_is_refused(
    trained: dict, store: Store, tmp_path: Path, change: str
) -> None:
    shutil.copytree(trained["vqvae"][0] / "training", tmp_path / "training")
    with pytest.raises(VisketchError, match=r"vqvae.safetensors: the configuration differs") as caught:
        run("vqvae", store, tmp_path, change, resume=True)
    assert "\n" not in str(caught.value)


def test_a_run_goes_on_with_its_data_and_seed(trained: dict, store: Store, tmp_path: Path) -> None:
    shutil.copytree(trained["vqvae"][0], tmp_path / "run")
    with pytest.raises(VisketchError, match="the run began with another seed"):
        run("vqvae", store, tmp_path / "run", "train.seed=5", resume=True)
    pack([store.path], tmp_path / "less.arrow", limit=5)
    with pytest.raises(VisketchError, match="the run began with another data set"):
        run("vqvae", Store(tmp_path / "less.arrow"), tmp_path / "run", resume=True)


def test_another_thread_can_train(store: Store, tmp_path: Path) -> None:
    """Only the main thread may handle signals."""
    with ThreadPoolExecutor(1) as pool:
        outcome, _ = pool.submit(run, "vqvae", store, tmp_path, "train.vqvae.steps=1").result()
    assert outcome.finished


@pytest.mark.parametrize("part", ["diffusion", "sequence"])
def test_strokes_are_not_learned_from_pictures(trained: dict, tmp_path: Path, part: str) -> None:
    for label in tiny_model.LABELS:
        (tmp_path / "in/train" / label).mkdir(parents=True)
        Image.fromarray(np.where(np.eye(64), 0, 255).astype(np.uint8)).save(tmp_path / f"in/train/{label}/1.png")
    pack([tmp_path / "in"], tmp_path / "pictures.arrow")
    folder = before(part, trained, tmp_path / "run")
    backbone = ["diffusion.backbone=strokes"] if part == "diffusion" else []
    with pytest.raises(VisketchError, match=r"no drawing as strokes.* in its training split; .*--trace"):
        run(part, Store(tmp_path / "pictures.arrow"), folder, *backbone)


def test_wrong_requests_say_what_is_right(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no part 'refine' to train: did you mean 'refiner'"):
        train("refine", store, tmp_path, config.load("tiny"))
    with pytest.raises(VisketchError, match=r"has no vqvae .*train it first"):
        run("refiner", store, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VisketchError, match=r"file: cannot be written"):
        run("vqvae", store, tmp_path / "file")


def test_without_training_drawings_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    tiny_model.write_ndjson(tmp_path / "in/test/cat.ndjson", drawings.draw_many(3, labels=("cat",)))
    pack([tmp_path / "in"], tmp_path / "packed.arrow")
    with pytest.raises(VisketchError, match=r"packed.arrow: .*no drawing.*train"):
        run("vqvae", Store(tmp_path / "packed.arrow"), tmp_path / "run")


def test_a_cpu_without_bfloat16_trains_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, expected in ((True, "bf16"), (False, "no")):
        monkeypatch.setattr(loop, "multiplies_bfloat16", lambda able=able: able)
        assert loop.supported("bf16", on_cpu=True) == expected
        assert loop.supported("no", on_cpu=True) == "no"
        assert loop.supported("bf16", on_cpu=False) == "bf16"  # accelerate knows what a GPU can do


def test_a_loss_that_is_no_number_ends_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(VisketchError, match=r"the loss is nan at step [0-9]+; try a lower lr") as caught:
        run("diffusion", store, tmp_path, "train.diffusion.lr=1e30")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "diffusion.safetensors").exists()


def test_one_run_at_a_time_trains_a_part(store: Store, tmp_path: Path) -> None:
    def report(step: int, steps: int, metrics: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="another run is training its vqvae; wait for it"):
            run("vqvae", store, tmp_path, resume=True)

    train("vqvae", store, tmp_path, config.load("tiny", ["train.vqvae.steps=1"]), report=report)
    assert run("vqvae", store, tmp_path, "train.vqvae.steps=1", resume=True)[0].finished, "then it is free again"


def test_signals_are_handed_back(store: Store, tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run("vqvae", store, tmp_path, "train.vqvae.steps=1")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
