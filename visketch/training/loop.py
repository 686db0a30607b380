"""The training loop of every part, with accelerate: one CPU, one GPU, or many machines.

A batch is a pure function of the step, and so is everything random in the loss. Therefore resuming needs only the
weights, their averages and the optimiser's moments.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from filelock import FileLock, Timeout
from torch import nn
from torch.utils.data import DataLoader

from visketch.configs.training import PartTraining
from visketch.device import multiplies_bfloat16
from visketch.errors import UsageError, VisketchError, reason
from visketch.training import state as snapshot
from visketch.training.optimizer import Optimizer

Report = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Outcome:
    """The result of training. `finished` is False if training was stopped."""

    folder: Path
    step: int
    finished: bool
    metrics: dict[str, float]
    calibrated: bool | None = None  # None for a part whose answers have no probabilities to calibrate


def accelerated(precision: str) -> Accelerator:
    """The Accelerator for the available device."""
    # While the pictures are still small, the normalisation of the finer levels of the tree is not used.
    growing = DistributedDataParallelKwargs(find_unused_parameters=True)
    on_cpu = not torch.cuda.is_available()
    return Accelerator(mixed_precision=supported(precision, on_cpu), cpu=on_cpu, kwargs_handlers=[growing])


def supported(precision: str, on_cpu: bool) -> str:
    """A precision that the device does not emulate. A CPU without bfloat16 would train at a tenth of its speed."""
    return "no" if on_cpu and not multiplies_bfloat16() else precision


def state_of(folder: Path, part: str) -> Path:
    """The file from which the training of a part is resumed."""
    return folder / "training" / f"{part}.safetensors"


def refuse_to_begin_anew(state: Path, resume: bool) -> None:
    """Raises UsageError if a new run would replace the state of an earlier one."""
    if state.exists() and not resume:
        raise UsageError(
            f"{state}: a training run exists; continue it with --resume, or delete the file to start again"
        )


@dataclass(frozen=True)
class Loop:
    """The settings of a training run that do not depend on the part."""

    part: str
    folder: Path
    settings: PartTraining
    seed: int
    save_minutes: float
    tensorboard: bool = False
    workers: int = 0


def fit(
    accelerator: Accelerator,
    loop: Loop,
    objective: nn.Module,
    batches: Any,
    write: Callable[[snapshot.Average, int], None],
    *,
    resume: bool = False,
    trained_on: dict[str, str] | None = None,
    report: Report = lambda step, steps, metrics: None,
) -> Outcome:
    """Train on `batches`, which gives the batch of each step, until the last step or until a signal.

    `write` saves the average of the weights as the checkpoint. `trained_on` holds the fingerprints of what must be the
    same when the run is resumed, such as frozen parts. Raises VisketchError for a state that does not fit.
    """
    settings, folder, part, marks = loop.settings, loop.folder, loop.part, trained_on or {}
    state = state_of(folder, part)
    model = accelerator.prepare(objective.train())  # this may move the weights, so it comes before what refers to them
    optimizer = Optimizer(objective, settings)
    average = snapshot.Average(objective, settings.ema)
    step = snapshot.restore(state, objective, optimizer, average, marks) if resume and state.exists() else 0
    loader = DataLoader(batches, batch_size=None, sampler=range(step, settings.steps), num_workers=loop.workers)
    main = accelerator.is_main_process
    with (
        held(folder, part, main),
        snapshot.Log(folder, part, main, loop.tensorboard, step) as log,
        stop_signals() as stopped,
    ):
        saved, metrics = time.monotonic(), {}
        for batch in loader:
            metrics = _step(accelerator, model, optimizer, batch, step, loop.seed, settings)
            average.update(step)
            step += 1
            if step % 10 == 0 or step == settings.steps or step < 10:
                log(step, metrics)
            report(step, settings.steps, metrics)
            stop = bool(_any(accelerator, stopped() or step == settings.steps))
            if stop or _any(accelerator, time.monotonic() - saved > 60 * loop.save_minutes):
                if main:  # the parts come first, so that resuming writes them again if the run is killed in between
                    write(average, step)
                    snapshot.save(state, objective, optimizer, average, step, marks)
                accelerator.wait_for_everyone()
                saved = time.monotonic()
            if stop:
                break
    return Outcome(folder, step, step >= settings.steps, metrics)


def _step(accelerator, model, optimizer, batch, step, seed, settings: PartTraining) -> dict[str, float]:
    """One update of the weights. Returns the metrics, averaged over the processes."""
    torch.manual_seed(hash((seed, step, accelerator.process_index)) & 0x7FFFFFFF)  # for dropout
    batch = {name: value.to(accelerator.device, non_blocking=True) for name, value in batch.items()}
    loss, metrics = model(batch)
    if not torch.isfinite(loss):
        raise VisketchError(f"the loss is {loss.item()} at step {step}; try a lower lr (--set train.<part>.lr=...)")
    accelerator.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    lr = settings.lr * schedule(step, settings)
    optimizer.step(lr)
    values = torch.stack([loss.detach().float(), *(value.detach().float() for value in metrics.values())])
    if accelerator.num_processes > 1:
        values = accelerator.reduce(values, "mean")
    names = ["loss", *metrics]
    return dict(zip(names, values.tolist(), strict=True)) | {"norm": float(norm), "lr": lr}


def schedule(step: int, settings: PartTraining) -> float:
    """The learning rate of a step.

    It rises linearly (warm-up), stays constant, and over the last share `cooldown` of the steps follows a cosine to 1 %
    of `settings.lr`.
    """
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    falling = max(settings.cooldown * (settings.steps - settings.warmup), 1)
    share = (step - settings.steps + falling) / falling
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(max(share, 0), 1))))


@contextmanager
def held(folder: Path, part: str, main: bool) -> Iterator[None]:
    """Inside this context, no other run can train this part in this folder. Raises UsageError if one is doing so
    already.
    """
    lock = FileLock(folder / "training" / f".{part}.lock")
    try:
        if main:
            (folder / "training").mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{folder}: another run is training its {part}; wait for it, or use another --out") from None
    except OSError as error:
        raise VisketchError(f"{folder}: cannot be written, {reason(error)}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Inside this context, SIGINT and SIGTERM only set a flag. A second SIGINT interrupts immediately.

    Only the main thread receives signals. In another one, nothing sets the flag.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    flag = False

    def raise_flag(number: int, frame: object) -> None:
        nonlocal flag
        if flag and number == signal.SIGINT:
            raise KeyboardInterrupt
        flag = True

    before = {number: signal.signal(number, raise_flag) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _any(accelerator: Accelerator, flag: bool) -> bool:
    """Whether any process has set its flag. All processes must take the same branch."""
    if accelerator.num_processes == 1:
        return flag
    return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device)) > 0)
