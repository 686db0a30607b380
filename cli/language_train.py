"""`visketch language train`: train the sketch-language model, stage by stage."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .shared import console, options
from .shared.console import EVERY, MAIN
from .train import choose, conclude

if TYPE_CHECKING:
    from visketch.training.loop import Outcome


def train(
    stage: Annotated[
        Literal["tower", "align", "instruct"],
        typer.Option(help="The stage to train, in this order: tower, align (describing), instruct (answering)."),
    ],
    data: Annotated[
        Path, typer.Option("--data", envvar="VISKETCH_LANGUAGE_DATA", help="The folder of `visketch language prepare`.")
    ] = Path("runs/language"),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The checkpoint's folder; by default runs/language-<config>.")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="PRESET|FILE", help="tiny (by default), llava-7b; or a TOML file.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="FOLDER", help="Start from the weights of this checkpoint.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Short for --set train.seed=...")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes that prepare the batches.")] = 0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write metrics for TensorBoard.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be trained, and stop.")] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Train one stage of the sketch-language model.

    The tower learns to find in a scene what a sketch shows. `align` teaches the language model to describe what the
    tower sees, and `instruct` teaches it to answer questions. Ctrl-C stops the run and saves everything, and --resume
    continues it. A run that exists is never replaced, and its data are never written.

    \b
    Examples:
      visketch language train --stage tower --data language/ --out runs/language
      visketch language train --stage align --data language/ --out runs/language
      visketch language train --stage instruct --data language/ --out runs/language
    """
    choose(device)
    knobs = [*(overrides or []), *([f"train.seed={seed}"] if seed is not None else [])]
    began = time.perf_counter()
    done = run(stage, data, out, config, start, knobs, resume, workers, tensorboard, dry_run, as_json)
    if MAIN and done:
        conclude(f"language {stage}", asdict(done) | {"seconds": round(time.perf_counter() - began, 1)}, as_json)
    if done and not done.finished:
        raise typer.Exit(console.INTERRUPTED)


def run(
    stage: str,
    data: Path,
    out: Path | None,
    preset: str | None,
    start: str | None,
    knobs: list[str],
    resume: bool,
    workers: int,
    tensorboard: bool,
    dry_run: bool,
    as_json: bool,
) -> "Outcome | None":
    """Train a stage. With `dry_run`, only print what would be trained."""
    with console.waiting("Loading ..."):
        from visketch.language import config
        from visketch.language.dataset.rows import InstructionRows
        from visketch.training import language as library

        chosen = config.load(preset or "tiny", knobs)
        out = out or Path("runs", f"language-{chosen.name}")
        rows = None if dry_run and not data.exists() else InstructionRows(data, "train")
    about = f"{len(rows):,} rows of {len(rows.scenes):,} scenes" if rows else f"0 rows, since {data} does not exist yet"
    if dry_run or rows is None:
        facts = chosen.model_dump(mode="json", exclude={"labels"}, exclude_none=True)
        if as_json:
            console.document({"stage": stage, "folder": out, "rows": len(rows) if rows else 0, "config": facts})
        else:
            import tomli_w

            console.say(f"# trains   language, stage {stage}", f"# on       {about}", f"# into     {out}", "")
            console.say(tomli_w.dumps(facts).strip())
        return None
    if MAIN:
        console.note(f"training stage {stage} of {chosen.name} on {about}, into {out}")
    with console.progress() as bar:
        told = [time.monotonic()]
        tasks: dict[str, int] = {}

        def advance(what: str, done: int, total: int, words: str = "") -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)  # type: ignore[arg-type]
            if not sys.stderr.isatty() and MAIN and time.monotonic() - told[0] >= EVERY:
                told[0] = time.monotonic()
                console.note(f"{what} {done:,} of {total:,}{words}")

        return library.train(
            stage,
            rows,
            out,
            chosen,
            start=Path(start) if start else None,
            resume=resume,
            workers=workers,
            tensorboard=tensorboard,
            report=lambda step, steps, found: advance(stage, step, steps, f", loss {found.get('loss', 0):.4f}"),
            on_progress=lambda done, total: advance("looking at pictures", done, total),
        )
