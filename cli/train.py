"""`visketch train`: train a part of a checkpoint on a packed data set."""

import os
import sys
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from visketch.device import resolve
from visketch.errors import UsageError

from .shared import console, options
from .shared.console import EVERY, MAIN
from .shared.outputs import parse_out

if TYPE_CHECKING:
    import numpy as np
    from rich.progress import Progress
    from torch import nn

    from visketch.config import Config
    from visketch.data.store import Store
    from visketch.training.objectives.objective import Objective


def train(
    part: Annotated[
        Literal["vqvae", "diffusion", "field", "classifier", "sequence", "refiner", "baseline"],
        typer.Argument(
            metavar="vqvae|diffusion|field|classifier|sequence|refiner|baseline",
            help="vqvae: the codebook; diffusion: the coarse stage; field: the paper's coarse stage, of pixels; "
            "sequence: classifies strokes in their order, needs classifier; refiner: needs vqvae and classifier; "
            "baseline: a standard classifier to compare with. "
            "(`visketch language train` trains the language model.)",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            envvar="VISKETCH_DATA",
            help="A data set written by `visketch data pack`.",
        ),
    ] = Path("quickdraw.arrow"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=parse_out, metavar="FOLDER", help="The checkpoint's folder; by default runs/<config>."
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="PRESET|FILE",
            help="tiny, small (by default), base; or a TOML file.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FOLDER|NAME",
            help="Start from the weights and settings of this checkpoint, for a few drawings of your own.",
            autocompletion=options.complete_checkpoint,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Short for --set train.seed=...")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, by default with its settings.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes that prepare the batches.")] = 0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write metrics for TensorBoard.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be trained, and stop.")] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Train one part of a checkpoint.

    The order is vqvae, diffusion, classifier, sequence, refiner. A baseline, to compare with, goes into a folder of its
    own. Ctrl-C stops after the current step and saves everything. The same command with --resume continues. On several
    cards or machines: torchrun --nproc-per-node 4 -m visketch.cli.main train ... Data and --from are never written, and
    a run that exists is only continued.

    \b
    Examples:
      visketch train vqvae --data quickdraw.arrow --out runs/mine
      visketch train refiner --data quickdraw.arrow --out runs/mine --set train.refiner.steps=5000
      visketch train classifier --from small --data mine.arrow --out runs/mine --set train.classifier.steps=300
      visketch train classifier --config base --dry-run
      visketch train baseline --out runs/vit --set baseline.backbone=vit
    """
    choose(device)
    with console.waiting("Loading ..."):
        from visketch import config as configs
        from visketch.data.fetch import classes
        from visketch.data.store import Store

        begun = configs.find(start) if start else None
        knobs = [*(overrides or []), *([f"train.seed={seed}"] if seed is not None else [])]
        here = (out or Path("runs", "small")) / "config.toml"
        usual = begun / "config.toml" if begun else "small"
        chosen = configs.load(config or (here if resume and here.exists() else usual), knobs)
        out = out or Path("runs", chosen.name)
        from visketch.training import sketch as library
        from visketch.training.loop import state_of

        store = None if dry_run and not data.exists() else Store(data)
        labels = store.labels if store else chosen.labels or classes()
        chosen = chosen.model_copy(update={"labels": tuple(labels)})
        if dry_run:
            objective, _ = library.make_objective(part, chosen, out, begun, sizes_only=True)
            drawings = len(library.admitted(objective, store, chosen)) if store else 0
    if dry_run or store is None:
        preview(part, chosen, out, objective.parts, data, drawings, as_json)
        return
    if resume and MAIN and not state_of(out, part).exists():
        console.note(f"{out}: has no run of {part} that could be continued, so a new one begins")
    began = time.perf_counter()
    with Reporter(part, chosen, store, out) as reporter:
        outcome = library.train(
            part,
            store,
            out,
            chosen,
            start=begun,
            resume=resume,
            workers=workers,
            tensorboard=tensorboard,
            begin=reporter.begin,
            report=reporter,
        )
    if MAIN:
        conclude(part, asdict(outcome) | {"seconds": round(time.perf_counter() - began, 1)}, as_json)
    if not outcome.finished:
        raise typer.Exit(console.INTERRUPTED)


def choose(device: str) -> None:
    """Hide the cards that --device does not name, since training uses all cards that it sees.

    This must run before torch is imported.
    """
    kind, _, number = device.partition(":")
    if kind == "mps":
        raise UsageError("training runs on cpu or cuda; use --device cpu")
    if kind == "cuda" and number.isdigit():
        seen = [card for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card]
        if seen and int(number) >= len(seen):
            raise UsageError(f"no device {device!r} here ({len(seen)} CUDA cards); use --device cpu or auto")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[int(number)] if seen else number
        device = "cuda"
    elif kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    resolve(device)


def described(modules: "dict[str, nn.Module]") -> str:
    return ", ".join(f"{name} ({count:,} parameters)" for name, count in sizes(modules).items())


def sizes(modules: "dict[str, nn.Module]") -> dict[str, int]:
    from visketch.models.parts import size

    return {name: size(module) for name, module in modules.items()}


def preview(
    part: str,
    config: "Config",
    out: Path,
    modules: "dict[str, nn.Module]",
    data: Path,
    drawings: int,
    as_json: bool,
) -> None:
    """Print what would be trained, on what data, and with which settings."""
    knobs = config.model_dump(mode="json", exclude={"labels"})
    classes = len(config.labels)
    if as_json:
        facts = {"part": part, "folder": out, "parameters": sizes(modules), "drawings": drawings, "classes": classes}
        console.document(facts | {"config": knobs})
        return
    import tomli_w

    console.say(f"# trains   {described(modules)}")
    missing = "" if data.exists() else f" ({data} does not exist yet)"
    console.say(f"# on       {drawings:,} drawings of {classes} classes{missing}")
    console.say(f"# into     {out}", "", tomli_w.dumps(knobs).strip())


def conclude(part: str, outcome: dict[str, Any], as_json: bool) -> None:
    """Print the result of training, and warn of the parts that must be trained again."""
    from visketch.checkpoint import outdated

    for name, other in outdated(outcome["folder"]).items():
        console.warn(f"{outcome['folder']}: {name} was trained with another {other}; train {name} again")
    if as_json:
        console.document({"part": part, **outcome})
        return
    step, seconds = outcome["step"], console.duration(outcome["seconds"])
    if outcome["finished"]:
        metrics = ", ".join(
            f"{name} {value:.4g}" for name, value in outcome["metrics"].items() if name not in ("norm", "lr")
        )
        console.say(f"{part}: {step:,} steps, {metrics or 'already finished'}; {seconds}")
        console.say(f"written to {outcome['folder']}")
        if outcome["calibrated"] is False:
            from visketch.training.confidence import FEWEST

            few = f"there are fewer than {FEWEST} validation drawings that it could be measured on"
            console.note(f"{part}: its probabilities are not calibrated, since {few}")
    else:
        console.note(f"{part}: stopped at step {step:,}, everything is saved; the same command with --resume continues")


class Reporter:
    """Shows the reports of training as a bar. If there is no terminal, it prints a line now and then."""

    def __init__(self, part: str, config: "Config", store: "Store", out: Path) -> None:
        self.part, self.store, self.out = part, store, out
        self.batch = getattr(config.train, part).batch
        self.bar = _bar() if MAIN and sys.stderr.isatty() else None
        self.recent: deque[tuple[float, int, int]] = deque(maxlen=50)  # time, step, sketches so far
        self.sketches, self.told = 0, time.monotonic()

    def __enter__(self) -> "Reporter":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        if self.bar:
            self.bar.stop()

    def begin(self, objective: "Objective", rows: "np.ndarray") -> None:
        """Say what is trained, on how many drawings, and which classes it cannot learn."""
        self.objective = objective
        if not MAIN:
            return
        console.note(f"training {described(objective.parts)} on {len(rows):,} drawings, into {self.out}")
        learned = {*self.store.label[rows].tolist()}
        if missing := [name for number, name in enumerate(self.store.labels) if number not in learned]:
            console.warn(f"{self.store.path}: no {objective.learns_from} to learn {console.some(missing)} from")

    def __call__(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        now = time.monotonic()
        self.sketches += self.batch * self.objective.enlarged((step - 1) / steps)
        self.recent.append((now, step, self.sketches))
        then, first, before = self.recent[0]
        seconds = max(now - then, 1e-6)
        if not MAIN or step == first:
            return
        rate = f"{(self.sketches - before) / seconds:.0f} sketches/s"
        left = f"{console.duration((steps - step) * seconds / (step - first))} left"
        loss = f"loss {metrics.get('loss', float('nan')):.4f}"
        if self.bar:
            if not self.bar.tasks:
                self.bar.add_task(self.part, total=steps, loss="", rate="", left="")
            self.bar.update(self.bar.tasks[0].id, completed=step, loss=loss, rate=rate, left=left)
        elif now - self.told >= EVERY:
            self.told = now
            console.note(f"{self.part} step {step:,} of {steps:,}, {loss}, {rate}, {left}")


def _bar() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    shown = (TextColumn(f"{{task.fields[{name}]}}") for name in ("loss", "rate", "left"))
    return console.progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *shown)
