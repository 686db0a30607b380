"""Training of the parts of a sketch checkpoint, with accelerate: one CPU, one GPU, or many machines through torchrun.

A batch is a pure function of (seed, step, place in the batch), and so is everything random in the loss. Therefore
resuming needs only the weights, averages and moments, and gives the losses of a run that was never interrupted. Apart
from dropout and the VQ-VAE's quantiser, the losses do not depend on the number of processes, except for rounding (which
grows fast with Muon).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from visketch import checkpoint
from visketch.config import Config, read_config
from visketch.configs.training import PartTraining
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError, nearest
from visketch.model import SketchModel
from visketch.models.parts import build
from visketch.training import confidence, transfer
from visketch.training import state as snapshot
from visketch.training.loop import Loop, Outcome, Report, accelerated, fit, refuse_to_begin_anew, state_of
from visketch.training.objectives.diffusion import DiffusionObjective, StrokesObjective
from visketch.training.objectives.objective import Batch, Objective
from visketch.training.objectives.recognition import BaselineObjective, ClassifierObjective
from visketch.training.objectives.refiner import RefinerObjective
from visketch.training.objectives.sequence import SequenceObjective
from visketch.training.objectives.vqvae import VQVAEObjective

POOL = 16  # the number of batches whose drawings are sorted by length as one group
TRAINABLE = ("vqvae", "diffusion", "field", "classifier", "sequence", "refiner", "baseline")


class Batches(Dataset):
    """The batch of each step: this process's share of its drawings."""

    def __init__(self, objective: Objective, store: Store, config: Config, part: str, rank: int, world: int):
        settings: PartTraining = getattr(config.train, part)
        self.objective, self.store, self.seed, self.settings = objective, store, config.train.seed, settings
        self.rank, self.world = rank, world
        if settings.batch % world:  # otherwise the mean over processes would not be the mean over the batch
            raise UsageError(f"train.{part}.batch={settings.batch} cannot be shared evenly by {world} processes")
        # Rows are assigned as if every step were as large as the largest one, so that no history is needed.
        self.stride = settings.batch * max(objective.enlarged(share) for share in np.linspace(0, 1, 101))
        self.rows = admitted(objective, store, config)
        if not len(self.rows):
            mend = "pack one that has some (`visketch data pack --trace` makes strokes of pictures)"
            raise VisketchError(f"{store.path}: no {objective.learns_from} in its training split; {mend}")
        self.chance = balanced(store.label[self.rows], config.train.balance) if config.train.balance else None
        self.length = objective.lengths(store)
        self._epoch: tuple[int, np.ndarray] = (-1, self.rows)
        self._pool: tuple[int, np.ndarray] = (-1, self.rows)

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> Batch:
        progress = step / self.settings.steps
        examples = []
        for place in range(self.rank, self.settings.batch * self.objective.enlarged(progress), self.world):
            rng = np.random.default_rng((self.seed, step, place))
            sketch = self.store[self._row_of(step, place)]
            examples.append(self.objective.example(sketch, rng, progress))
        return {name: torch.from_numpy(np.stack([example[name] for example in examples])) for name in examples[0]}

    def _row_of(self, step: int, place: int) -> int:
        """The drawing at a place of a step's batch.

        Drawings of similar length are in the same batch, which needs less padding.
        """
        if self.length is None:
            return self._row(step * self.stride + place)
        pool, at = divmod(step, POOL)
        if pool != self._pool[0]:
            rows = np.array(
                [self._row(number) for number in range(pool * POOL * self.stride, (pool + 1) * POOL * self.stride)]
            )
            rng = np.random.default_rng((self.seed, pool, POOL))
            rows = rows[np.argsort(self.length[rows] + rng.random(len(rows)))]
            self._pool = pool, rng.permutation(rows.reshape(POOL, self.stride))
        return int(self._pool[1][at, place])

    def _row(self, number: int) -> int:
        epoch, place = divmod(number, len(self.rows))
        if epoch != self._epoch[0]:
            rng = np.random.default_rng((self.seed, epoch))
            drawn = (
                rng.permutation(self.rows)
                if self.chance is None
                else rng.choice(self.rows, len(self.rows), p=self.chance)
            )
            self._epoch = epoch, drawn
        return int(self._epoch[1][place])


def admitted(objective: Objective, store: Store, config: Config) -> np.ndarray:
    """Row numbers of the training drawings from which a part learns."""
    return objective.admitted(store, capped(store, config.train.per_class, config.train.seed))


def balanced(label: np.ndarray, balance: float) -> np.ndarray:
    """How often to draw each row (rows,), so that a class with n rows has the weight n^(1 - balance)."""
    chance = np.bincount(label)[label] ** -balance
    return chance / chance.sum()


def capped(store: Store, per_class: int, seed: int) -> np.ndarray:
    """Row numbers of the training split, at most `per_class` of each class, since data sets are skewed."""
    rows = np.random.default_rng(seed).permutation(store.rows("train"))
    return np.sort(rows[earlier(store.label[rows]) < per_class])


def earlier(label: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same label, for each entry (entries,)."""
    order = np.argsort(label, kind="stable")
    count = np.empty(len(label), np.int64)
    count[order] = np.arange(len(label)) - np.searchsorted(label[order], label[order])
    return count


def train(
    part: str,
    store: Store,
    folder: Path,
    config: Config,
    *,
    start: Path | None = None,
    resume: bool = False,
    workers: int = 0,
    tensorboard: bool = False,
    begin: Callable[[Objective, np.ndarray], None] = lambda objective, rows: None,
    report: Report = lambda step, steps, metrics: None,
) -> Outcome:
    """Train one part into a checkpoint folder. Other parts that it needs are read from there.

    `start` is another checkpoint, with the initial weights and the frozen dependencies. `begin` receives the objective
    and the row numbers of its drawings before training starts. The state from which training can resume is saved in
    `folder/training/<part>.safetensors`, and the metrics in `<part>.jsonl`. SIGINT and SIGTERM stop it after the
    current step, with everything saved. A finished classifier is calibrated on the validation drawings, and a finished
    `sequence` is weighed (`confidence`).

    Raises UsageError for settings or a folder that do not fit, VisketchError for files that cannot be read or written.
    """
    if part not in TRAINABLE:
        raise UsageError(f"no part {part!r} to train: {nearest(part, list(TRAINABLE))}")
    settings: PartTraining = getattr(config.train, part)
    config = config.model_copy(update={"labels": tuple(store.labels)})
    accelerator = accelerated(config.train.precision)
    torch.manual_seed(config.train.seed)
    state = state_of(folder, part)
    objective, trained_on = make_objective(part, config, folder, start, resume and state.exists())
    refuse_to_begin_anew(state, resume)
    batches = Batches(objective, store, config, part, accelerator.process_index, accelerator.num_processes)
    begin(objective, batches.rows)
    for name, module in objective.frozen.items():
        if start:
            transfer.copy_part(name, start, folder)
        module.to(accelerator.device).eval().requires_grad_(False)

    begun = transfer.history(folder, part, resume)
    if start:
        begun = {"from": start.name, "before": transfer.steps_of(start, part)}

    def write(average: snapshot.Average, step: int) -> None:
        facts = {"step": step, "steps": settings.steps, "data": store.provenance}
        facts |= begun
        facts["settings"] = settings.model_dump(mode="json")
        snapshot.export(folder, config, objective, average, trained_on, facts)

    objective.study(store)
    loop = Loop(part, folder, settings, config.train.seed, config.train.save_minutes, tensorboard, workers)
    same = trained_on | {"data set": store.fingerprint, "seed": str(config.train.seed)}
    outcome = fit(accelerator, loop, objective, batches, write, resume=resume, trained_on=same, report=report)
    measure = {"classifier": confidence.calibrate, "sequence": confidence.weigh}.get(part)
    if not (measure and outcome.finished and accelerator.is_main_process):
        return outcome
    # A finished run that is resumed was measured before, unless it was killed in between
    before = "confidence" in checkpoint.read_metadata(folder, part)["facts"]
    return replace(outcome, calibrated=before or measure(folder, store) is not None)


def make_objective(
    part: str,
    config: Config,
    folder: Path,
    start: Path | None = None,
    resuming: bool = False,
    sizes_only: bool = False,
) -> tuple[Objective, dict[str, str]]:
    """The objective of a part, with its modules filled from the parts in `folder`; and the fingerprints of the frozen
    parts.

    The encoder is shared. Training starts from the one in the folder, unless a state is loaded next (`resuming`). Other
    parts start with fresh weights, or with those of `start`. With `sizes_only`, parts that are needed and not there yet
    have fresh weights too, for a preview. Raises UsageError and VisketchError.
    """
    _check_folder(folder, config)
    labels, marks = list(config.labels), {}

    def frozen(name: str) -> Any:
        module = build(config, name)
        lent = start is not None and not (folder / f"{name}.safetensors").exists()
        if sizes_only and not checkpoint.part_file(start if start and lent else folder, name).exists():
            return module
        marks[name] = checkpoint.load_part(start if start and lent else folder, name, module)["fingerprint"]
        return module

    def trained(name: str, shared: bool = False) -> Any:
        module = build(config, name)
        if not resuming and shared and (folder / f"{name}.safetensors").exists():
            checkpoint.load_part(folder, name, module)
        elif not resuming and start:
            transfer.init_from(name, module, config, start)
        return module

    if part == "vqvae":
        if start:
            raise UsageError(
                "the vqvae has no classes, so the other parts can use that of --from as it is; train those"
            )
        return VQVAEObjective(config, trained("vqvae")), marks
    if part == "field":
        return DiffusionObjective(config, trained("field"), labels, "field"), marks
    if part == "diffusion":
        kind = StrokesObjective if config.diffusion.backbone == "strokes" else DiffusionObjective
        return kind(config, trained("diffusion"), labels), marks
    if part == "classifier":
        both = trained("encoder", shared=True), trained("classifier")
        return ClassifierObjective(config, *both, labels, teacher(config, part, ("encoder", part))), marks
    if part == "sequence":
        needed = {name: frozen(name) for name in ("encoder", "classifier")}
        begun = start if start and checkpoint.part_file(start, part).exists() else None
        sequence = build(config, part)
        if not resuming and begun:
            transfer.init_from(part, sequence, config, begun)
        elif not resuming and not sizes_only:
            transfer.begin_with_guide(sequence, start or folder)
        return SequenceObjective(config, sequence, needed, labels, teacher(config, part, (part,))), marks
    if part == "baseline":
        return BaselineObjective(config, trained("baseline"), labels), marks
    joint = config.train.refiner.joint
    vqvae = frozen("vqvae")
    encoder = trained("encoder", shared=True) if joint else frozen("encoder")
    beside = joint and (folder / "classifier.safetensors").exists()
    classifier = trained("classifier", shared=True) if beside else None
    return RefinerObjective(config, vqvae, encoder, trained("refiner"), classifier, labels), marks


def teacher(config: Config, part: str, names: tuple[str, ...]) -> Any:
    """The parts that teach a part, as a tuple, from the checkpoint that its settings name as the `teacher`. Returns
    None if they name none.

    Raises UsageError for a teacher with other classes or tiles or for fewer pieces, VisketchError if it cannot be read.
    """
    if not (place := getattr(config.train, part).teacher):
        return None
    model = SketchModel.load(place)
    if model.config.labels != config.labels or model.config.sketch.tile != config.sketch.tile:
        raise UsageError(f"{place}: a teacher must have the same classes in the same order, and equally large tiles")
    if part == "sequence" and model.config.sequence.pieces < config.sequence.pieces:
        raise UsageError(f"{place}: this teacher reads only {model.config.sequence.pieces} pieces of strokes")
    return tuple(model.part(name).requires_grad_(False) for name in names)


def _check_folder(folder: Path, config: Config) -> None:
    """Raises UsageError if the configuration differs from that of the folder.

    All parts in a folder share one configuration, apart from the training settings and the sections of parts that do
    not exist.
    """
    if not (folder / "config.toml").exists():
        return
    there = read_config(folder)
    for section in (
        "labels",
        "sketch",
        *(part for part in checkpoint.PARTS if checkpoint.part_file(folder, part).exists()),
    ):
        if getattr(there, section) != getattr(config, section):
            if section == "labels":
                raise UsageError(f"{folder}: has a checkpoint with other classes than the data; choose another --out")
            mend = f"name its settings with --config {folder}/config.toml, or choose another --out"
            raise UsageError(f"{folder}: has a checkpoint with another [{section}]; {mend}")
