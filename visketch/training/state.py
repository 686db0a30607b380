"""The files of training: the state to resume from, the parts as a usable checkpoint, and the metrics."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from visketch import checkpoint
from visketch.atomic import write_atomically
from visketch.config import Config
from visketch.errors import UsageError, VisketchError
from visketch.training.objectives.objective import Objective
from visketch.training.optimizer import Optimizer

LEANS_ON = {"refiner": ("vqvae", "encoder"), "classifier": ("encoder",)}


class Average:
    """An exponential moving average of what training changes in a module. This average is what is shipped.

    It covers the trained parameters, and the statistics of the batch norms, which must fit them.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live: dict[str, Tensor] = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.live |= {name: b for name, b in module.named_buffers() if name.endswith(("running_mean", "running_var"))}
        self.mean = {name: value.detach().clone() for name, value in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.mean.values()), [p.detach() for p in self.live.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside this context, the module's weights are the average."""
        kept = {name: p.detach().clone() for name, p in self.live.items()}
        try:
            self.put(self.mean)
            yield
        finally:
            self.put(kept)

    @torch.no_grad()
    def put(self, values: dict[str, Tensor]) -> None:
        for name, value in self.live.items():
            value.copy_(values[name])


def save(
    state: Path,
    objective: nn.Module,
    optimizer: Optimizer,
    average: Average,
    step: int,
    trained_on: dict[str, str],
) -> None:
    """Write the state of training to one file, atomically. `trained_on` holds the fingerprints of what a resumed run
    must have too, such as the frozen parts.
    """
    tensors = {f"model/{name}": value for name, value in objective.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.mean.items()}
    tensors |= {f"moments/{name}": value for name, value in optimizer.state().items()}
    checkpoint.write_tensors(state, tensors, {"step": str(step), "trained_on": json.dumps(trained_on)})


def restore(
    state: Path, objective: nn.Module, optimizer: Optimizer, average: Average, trained_on: dict[str, str]
) -> int:
    """Load a state, and return its step. Raises VisketchError if it does not fit."""
    tensors, metadata = checkpoint.read_tensors(state)
    for what, mark in json.loads(metadata.get("trained_on", "{}")).items():
        if trained_on.get(what) != mark:
            raise VisketchError(f"{state}: the run began with another {what} ({mark}); restore that, or start again")
    prefixed: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "moments": {}}
    try:
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            prefixed[kind][rest] = value
        objective.load_state_dict(prefixed["model"])
        for name, mean in average.mean.items():
            mean.copy_(prefixed["average"][name])
        optimizer.restore(prefixed["moments"])
        return int(metadata["step"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise VisketchError(f"{state}: the configuration differs ({str(error).splitlines()[0]})") from None


def export(
    folder: Path, config: Config, objective: Objective, average: Average, trained_on: dict[str, str], facts: dict
) -> None:
    """Write the averaged parts, each with the fingerprints of the parts on which it depends.

    `trained_on` holds the fingerprints of the frozen parts at the time when they were loaded.
    """
    checkpoint.write_config(folder, config)
    marks = dict(trained_on)
    with average.in_place():
        objective.settle()
        for name, module in objective.parts.items():  # the encoder comes first
            needs = {part: marks[part] for part in LEANS_ON.get(name, ()) if part in marks}
            marks[name] = checkpoint.save_part(folder, name, module, needs, facts)


class Log:
    """Writes metrics as JSON lines, one object in a row, and for TensorBoard if that is asked for."""

    def __init__(self, folder: Path, part: str, main: bool, tensorboard: bool, step: int) -> None:
        """`step` is where training continues. Rows that an interrupted run wrote after that step are removed."""
        self.file = self.board = None
        if main:
            path = folder / "training" / f"{part}.jsonl"
            rows = path.read_text().splitlines(keepends=True) if path.exists() else []
            kept = [row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step]
            write_atomically(path, "".join(kept).encode())
            self.file = open(path, "a")  # noqa: SIM115, closed on exit
            if tensorboard:
                try:
                    from torch.utils.tensorboard import SummaryWriter
                except ImportError:
                    raise UsageError("--tensorboard needs tensorboard: pip install 'visketch[tensorboard]'") from None

                self.board = SummaryWriter(str(folder / "training" / "tensorboard" / part))

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        for sink in (self.file, self.board):
            if sink is not None:
                sink.close()

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        if self.file is not None:
            row = {"step": step, "time": round(time.time(), 2)} | {name: round(v, 6) for name, v in metrics.items()}
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()
        if self.board is not None:
            for name, value in metrics.items():
                self.board.add_scalar(name, value, step)
