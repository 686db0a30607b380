"""`visketch train language`: the sketch-language model, stage by stage."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .shared import console
from .shared.console import EVERY, MAIN

if TYPE_CHECKING:
    from visketch.training.loop import Outcome


def train_language(
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
    """Train a stage, or with `dry_run` say what would be."""
    with console.waiting("Loading ..."):
        from visketch.language import config
        from visketch.language.dataset.rows import InstructionRows
        from visketch.training import language as library

        chosen = config.load(preset or "tiny", knobs)
        out = out or Path("runs", f"language-{chosen.name}")
        rows = InstructionRows(data, "train")
    about = f"{len(rows):,} rows of {len(rows.scenes):,} scenes"
    if dry_run:
        facts = chosen.model_dump(mode="json", exclude={"labels"}, exclude_none=True)
        if as_json:
            console.document({"stage": stage, "folder": out, "rows": len(rows), "config": facts})
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
