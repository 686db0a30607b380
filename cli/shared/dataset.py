"""An ndjson file of new sketches that grows line by line.

At any moment, all its lines are complete, so an interrupted run can be continued.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visketch.errors import UsageError, VisketchError, reason

if TYPE_CHECKING:
    from visketch.geometry.trace import Trace

MADE = "made"  # the field of a line that says how its sketch was made


class Dataset:
    """The file, open for appending. `done` has the class and the seed of each sketch that has a line in it.

    A line has the fields of QuickDraw's files and three more: "seed", "score" (the classifier's probability of the
    class, or null if the classifier was not asked) and "made" (the options and the checkpoint).
    """

    def __init__(self, path: Path, made: dict[str, Any], go_on: bool, overwrite: bool = False) -> None:
        """Open the file. `made` says how the sketches are made. `go_on` continues an existing file, if all its sketches
        were made in this way.

        Raises UsageError, and writes nothing, if the file exists and is neither continued nor overwritten, or if its
        sketches were made otherwise. Raises VisketchError if the file is no such data set or cannot be written.
        """
        self.path, self.made = path, json.loads(json.dumps(made))
        self.done: set[tuple[str, int]] = set()
        whole = 0
        try:
            if path.exists() and not overwrite:
                if not go_on:
                    mend = "continue it with --skip-done, replace it with --overwrite, or choose another --out"
                    raise UsageError(f"{path}: exists already; {mend}")
                whole = self._read()
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, "ab", buffering=0)  # noqa: SIM115
            self.file.truncate(whole)  # a line that was cut off is written again
        except OSError as error:
            raise VisketchError(f"{path}: cannot be written, {reason(error)}") from error

    def _read(self) -> int:
        """Read which sketches are done. Returns the number of bytes of the file that are complete lines."""
        whole = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    row = json.loads(line)
                    word, seed, made = row["word"], int(row["seed"]), row[MADE]
                    if "coarse_only" in made:  # the earlier name of the opposite
                        made["refine"] = not made.pop("coarse_only")
                except (ValueError, LookupError, TypeError):
                    raise VisketchError(
                        f"{self.path}:{number}: not a line that visketch generate wrote; choose another --out"
                    ) from None
                if made != self.made:
                    other = next(name for name in {**made, **self.made} if made.get(name) != self.made.get(name))
                    was, now = made.get(other), self.made.get(other)
                    raise UsageError(f"{self.path}: was made with {other} = {was}, not {now}; choose another --out")
                self.done.add((word, seed))
                whole += len(line)
        return whole

    def __enter__(self) -> "Dataset":
        return self

    def add(self, drawing: "Trace", word: str, seed: int, score: float | None) -> bool:
        """Append a drawing. Returns False for a drawing without strokes, which the format cannot hold. Raises
        VisketchError.
        """
        from visketch.data import write

        if not drawing.strokes:
            return False
        score = None if score is None else round(score, 6)
        line = write.ndjson(drawing.strokes, word, more={"seed": seed, "score": score, MADE: self.made}).encode()
        whole = os.path.getsize(self.path)
        try:
            while line:  # a disk that gets full takes a part of the line, and refuses the rest
                line = line[self.file.write(line) :]
        except OSError as error:
            self.file.truncate(whole)
            raise VisketchError(f"{self.path}: cannot be written, {reason(error)}") from error
        self.done.add((word, seed))
        return True

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if not self.done:
            self.path.unlink(missing_ok=True)
