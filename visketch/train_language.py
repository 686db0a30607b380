"""Training of the sketch-language model: its tower, then two stages of the language model over the frozen tower.

`tower` trains a pair tower; `align` lets the projector and the language model describe what the tower sees (DESC alone,
dense and with boxes); `instruct` goes on with all tasks, DESC among them, or it is forgotten (O3SLM section G).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from visketch import checkpoint, snapshot
from visketch.errors import UsageError
from visketch.fitting import Loop, Outcome, Report, accelerated, fit, refuse_to_begin_anew, state_of
from visketch.language import settings as knobs
from visketch.language.pairs import TowerBatches, TowerObjective
from visketch.language.rows import Rows
from visketch.language.settings import LanguageSettings
from visketch.language.tower import PairTower


def train(
    stage: str,
    rows: Rows,
    folder: Path,
    settings: LanguageSettings,
    *,
    start: Path | None = None,
    resume: bool = False,
    workers: int = 0,
    tensorboard: bool = False,
    report: Report = lambda step, steps, metrics: None,
) -> Outcome:
    """Train one stage into a checkpoint folder, on a data set's training split; resumable, as `visketch.train`.

    `start`: a folder whose tower the training of a tower goes on from. Raises UsageError, VisketchError.
    """
    if stage not in knobs.STAGES:
        raise UsageError(f"no stage {stage!r}: take one of {', '.join(knobs.STAGES)}")
    refuse_to_begin_anew(state_of(folder, stage), resume)
    settings = settings.model_copy(update={"labels": tuple(settings.labels or rows.labels)})
    accelerator = accelerated(settings.train.precision)
    torch.manual_seed(settings.train.seed)
    training = getattr(settings.train, stage)
    objective, batches, write = tower_stage(rows, folder, settings, start)
    loop = Loop(stage, folder, training, settings.train.seed, settings.train.save_minutes, tensorboard, workers)
    return fit(accelerator, loop, objective, batches, write, resume=resume, report=report)


Stage = tuple[Any, Any, Callable[[snapshot.Average, int], None]]


def tower_stage(rows: Rows, folder: Path, settings: LanguageSettings, start: Path | None) -> Stage:
    """A pair tower's objective, batches, and how it is written."""
    training, labels = settings.train.tower, list(settings.labels)
    if settings.tower.kind != "pair":
        raise UsageError(f"a {settings.tower.kind} tower comes with its weights; go on with --stage align")
    tower = PairTower(settings.tower, len(labels)).to(memory_format=torch.channels_last)
    if start:
        checkpoint.load_part(start, "tower", tower)
    objective = TowerObjective(tower, settings.train.temperature)
    batches = TowerBatches(rows, labels, settings.tower.canvas, training.batch, training.steps, settings.train.seed)

    def write(average: snapshot.Average, step: int) -> None:
        knobs.write(folder, settings)
        facts = {"step": step, "steps": training.steps, "data": rows.folder.name}
        with average.in_place():
            checkpoint.save_part(folder, "tower", tower, {}, facts)

    return objective, batches, write
