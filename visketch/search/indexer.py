"""Store scanned drawings and their vectors in the database, in batches."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from visketch.data.read import Problem
from visketch.errors import VisketchError
from visketch.model import SketchModel
from visketch.search.database import Database, Done
from visketch.search.features import features, mark
from visketch.search.scan import ScannedDrawing, ScannedFile, drawn

BATCH = 64  # the number of drawings that are embedded and stored together

OnProgress = Callable[[int, int | None], None]  # files done (of a single file: drawings done), and their number


class Embedder:
    """Turns fields into vectors."""

    def __init__(self, model: SketchModel) -> None:
        self.model = model

    def __call__(self, some: list[ScannedDrawing]) -> list[ScannedDrawing]:
        fields = [seen.field for seen in some if seen.field is not None]
        if not fields:
            return some
        vectors = iter(features(self.model, torch.as_tensor(np.stack(fields), device=self.model.device)).cpu().numpy())
        return [seen if seen.field is None else replace(seen, field=None, vector=next(vectors)) for seen in some]


def embedder(checkpoint: Path | None, wanted: dict[str, str], device: str) -> Embedder:
    """Make an Embedder where it runs, on any machine of a cluster.

    Raises VisketchError if the weights there differ from the `wanted` ones.
    """
    model = SketchModel.load(checkpoint, device)
    if mark(model) != wanted:
        raise VisketchError(
            f"{checkpoint}: the weights differ on another machine of the cluster; copy the same ones to all"
        )
    return Embedder(model)


class Indexer:
    """Stores scanned drawings. Call `flush` at the end.

    A drawing without a vector is embedded, unless the database has one for it.
    """

    def __init__(self, catalogue: Database, model: SketchModel, problem: Problem) -> None:
        self.database, self.problem = catalogue, problem
        self.shape, self.embed = model.config.reading, Embedder(model)
        self.embedded = self.files = 0
        self.unread: Counter[str] = Counter()
        self.current = ""
        self.begun: list[str] = []
        self.waiting: list[ScannedDrawing] = []
        self.finished: list[ScannedFile] = []

    def __call__(self, seen: ScannedDrawing) -> None:
        """Add one drawing. Drawings must come file by file."""
        if seen.file.path != self.current:
            self.current = seen.file.path
            self.files += 1
            self.begun.append(self.current)
        if seen.entry:
            self.waiting.append(seen)
        elif seen.problem:
            self._note(seen.file.path, seen.problem)
        else:
            self.finished.append(seen.file)
        # Otherwise a long row of files without drawings would never be stored.
        if BATCH in (len(self.waiting), len(self.finished)):
            self.flush()

    def _note(self, file: str, error: VisketchError) -> None:
        self.unread[file] += 1
        self.problem(error)

    def flush(self) -> None:
        """Embed the waiting drawings that are new, and store everything in one step."""
        entries = [(seen.entry, seen) for seen in self.waiting if seen.entry]
        known = self.database.known([entry.key for entry, _ in entries])
        fresh = {entry.key: seen for entry, seen in entries if entry.key not in known}
        vectors: dict[str, np.ndarray] = {}
        for key, seen in zip(fresh, self.embed([drawn(self.shape, seen) for seen in fresh.values()]), strict=True):
            if seen.vector is not None:
                vectors[key] = seen.vector
            elif seen.problem:
                self._note(seen.file.path, seen.problem)
        done = [Done(file.path, file.size, file.changed, self.unread[file.path]) for file in self.finished]
        written = [entry for entry, _ in entries if entry.key in known or entry.key in vectors]
        self.database.write(self.begun, vectors, written, done)
        self.embedded += len(vectors)
        self.begun, self.waiting, self.finished = [], [], []
