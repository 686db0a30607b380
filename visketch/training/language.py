"""Training of the sketch-language model: first its tower, and then, in two stages, the language model with the tower
frozen.

`tower` trains a pair tower. `align` trains the projector and the language model to describe what the tower sees. It
uses only DESC, which is dense and has boxes. `instruct` continues with all tasks, including DESC, which would otherwise
be forgotten (O3SLM, section G).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from visketch import checkpoint
from visketch.errors import UsageError
from visketch.language import config as knobs
from visketch.language.config import LanguageConfig
from visketch.language.dataset.rows import InstructionRows
from visketch.language.vision.encoder import PairTower
from visketch.training import state
from visketch.training.loop import Loop, Outcome, Report, accelerated, fit, refuse_to_begin_anew, state_of
from visketch.training.objectives.tower import TowerBatches, TowerObjective


def train(
    stage: str,
    rows: InstructionRows,
    folder: Path,
    settings: LanguageConfig,
    *,
    start: Path | None = None,
    resume: bool = False,
    workers: int = 0,
    tensorboard: bool = False,
    report: Report = lambda step, steps, metrics: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Train one stage into a checkpoint folder, on the training split of a data set. It can be resumed like
    `training.sketch.train`.

    `start` is another folder with the initial weights: those of the tower for `tower` and `align`, those of the
    language model for `instruct`. By default the weights in `folder` are used. If that has only a tower, `instruct`
    begins without alignment. `on_progress` receives the number of pictures that the frozen tower has encoded. Raises
    UsageError for a stage that cannot begin, VisketchError for files that cannot be read or written.
    """
    if stage not in knobs.STAGES:
        raise UsageError(f"no stage {stage!r}; use one of {', '.join(knobs.STAGES)}")
    refuse_to_begin_anew(state_of(folder, stage), resume)
    settings = settings.model_copy(update=known(start or folder) or {"labels": tuple(rows.labels)})
    accelerator = accelerated(settings.train.precision)
    torch.manual_seed(settings.train.seed)
    training = getattr(settings.train, stage)
    if stage == "tower":
        objective, batches, write = tower_stage(rows, folder, settings, start)
    else:
        objective, batches, write = speech_stage(stage, rows, folder, settings, start, accelerator.device, on_progress)
    loop = Loop(stage, folder, training, settings.train.seed, settings.train.save_minutes, tensorboard, workers)
    outcome = fit(accelerator, loop, objective, batches, write, resume=resume, report=report)
    if outcome.finished and stage != "align" and (rows.folder / "validation.jsonl").exists() and not settings.base:
        tune(stage, folder, InstructionRows(rows.folder, "validation"), settings)
    return outcome


def known(folder: Path) -> dict[str, Any]:
    """The results of earlier stages in a folder, if there are any."""
    if not (folder / knobs.FILE).exists():
        return {}
    there = knobs.read(folder)
    return {
        "labels": there.labels,
        "threshold": there.threshold,
        "recognised": there.recognised,
        "answers": there.answers,
    }


def tune(stage: str, folder: Path, rows: InstructionRows, settings: LanguageConfig) -> None:
    """Choose settings on validation scenes: the thresholds after the tower, and the default predictor after other
    stages. Without rows of COUNT, they stay as they are.
    """
    from visketch.language.model import SketchLanguage
    from visketch.training import calibration

    there = knobs.read(folder).model_copy(update={"train": settings.train})
    chosen: dict[str, Any]
    if stage == "tower":
        tower = PairTower(there.tower, len(there.labels)).eval()
        checkpoint.load_part(folder, "tower", tower)
        least = calibration.thresholds(SketchLanguage(there, tower), rows)
        names = {"matcher": "threshold", "recogniser": "recognised"}
        chosen = {names[by]: round(value, 3) for by, value in least.items()}
    else:
        right = calibration.better(SketchLanguage.load(folder), rows)
        chosen = {"answers": max(right, key=lambda by: right[by])} if right else {}
    knobs.write(folder, there.model_copy(update=chosen))


Stage = tuple[Any, Any, Callable[[state.Average, int], None]]


def tower_stage(rows: InstructionRows, folder: Path, settings: LanguageConfig, start: Path | None) -> Stage:
    """The objective of a pair tower, its batches, and the function that writes it."""
    training, labels = settings.train.tower, list(settings.labels)
    if settings.tower.kind != "pair":
        raise UsageError(f"a {settings.tower.kind} tower is trained already; continue with --stage align")
    tower = PairTower(settings.tower, len(labels))
    tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start:
        checkpoint.load_part(start, "tower", tower)
    objective = TowerObjective(tower, settings.train.temperature)
    batches = TowerBatches(rows, labels, settings.tower.canvas, training.batch, training.steps, settings.train.seed)

    def write(average: state.Average, step: int) -> None:
        knobs.write(folder, settings)
        facts = {"step": step, "steps": training.steps, "data": rows.folder.name}
        with average.in_place():
            checkpoint.save_part(folder, "tower", tower, {}, facts)

    return objective, batches, write


def speech_stage(
    stage: str,
    rows: InstructionRows,
    folder: Path,
    settings: LanguageConfig,
    start: Path | None,
    device: torch.device,
    on_progress: Callable[[int, int], None],
) -> Stage:
    """The objective of the language model on the cached tokens of the tower, its batches, and the function that writes
    it.
    """
    from visketch.language import image
    from visketch.language.llm import llava
    from visketch.language.llm.tokenizer import Prompts
    from visketch.language.vision.features import features
    from visketch.training.objectives.llava import LlavaBatches, LlavaObjective

    training = getattr(settings.train, stage)
    begun = start or folder
    model, tokenizer = language_model(stage, rows, begun, settings)
    sight = llava.VisionTower(model).eval().to(device)
    names = [*rows.scenes, *rows.sketches]
    file = folder / "training" / "features.npy"
    seen = features(file, names, sight, lambda name: image.read(rows.folder / name, sight.canvas), on_progress)
    aligned = begun if stage == "instruct" and (begun / "adapter_model.safetensors").exists() else None
    model = llava.prepare(model, settings.lora, training.freeze_projector, aligned)
    speech = Prompts(tokenizer, llava.tokens_of(model.config))
    batches = LlavaBatches(rows, speech, seen, training, stage, settings.train.seed)

    def write(average: state.Average, step: int) -> None:
        knobs.write(folder, settings)
        with average.in_place():
            llava.save(model, tokenizer, folder)

    return LlavaObjective(model), batches, write


def language_model(stage: str, rows: InstructionRows, begun: Path, settings: LanguageConfig) -> tuple[Any, Any]:
    """The initial model of a stage, and its tokenizer. A base has no adapter yet (see `llava.prepare`)."""
    from visketch.language.llm import llava
    from visketch.language.llm import tokenizer as words

    if settings.base:
        return llava.build(settings), llava.transformers().AutoTokenizer.from_pretrained(settings.base)
    if stage == "instruct" and (begun / "model.safetensors").exists():
        return llava.load(settings, begun)
    tower = llava.make_tower(settings.tower, len(settings.labels))
    if settings.tower.kind == "pair":
        checkpoint.load_part(begun, "tower", tower)
    tokenizer = words.learn(text for row in rows for text in (row.text, row.answer))
    return llava.build(settings, tokenizer, tower), tokenizer
