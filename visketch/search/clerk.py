"""Reading what is to be indexed: files → drawings → vectors → catalogue, some at a time."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from visketch.data import store
from visketch.data.named import place_of
from visketch.data.read import Problem, read
from visketch.data.store import Store
from visketch.errors import VisketchError
from visketch.model import ViSketch
from visketch.search.catalogue import Catalogue, Done, Entry
from visketch.search.features import features
from visketch.strokes import Sketch

BATCH = 64  # drawings embedded together, and written down together

Watch = Callable[[int, int | None], None]  # how many of the files (of a single file: drawings) are done, of how many


class Clerk:
    """Takes one file after another; `flush` at the end."""

    def __init__(self, catalogue: Catalogue, model: ViSketch, problem: Problem) -> None:
        self.catalogue, self.model, self.problem = catalogue, model, problem
        self.embedded = self.files = 0
        self.unread: Counter[str] = Counter()
        self.begun: list[str] = []
        self.waiting: list[tuple[Entry, Sketch]] = []
        self.finished: list[tuple[str, int, int]] = []

    def take(self, file: str, known: tuple[int, int] | None, watch: Watch) -> None:
        """One file; not even opened if it has the size and the time that are known."""
        try:
            facts = os.stat(file)
        except OSError:
            return  # gone since it was listed
        state = facts.st_size, max(facts.st_mtime_ns, facts.st_ctime_ns)  # the latter: a copy may keep the former
        if known == state:
            return
        self.files += 1
        self.begun.append(file)
        for place, (name, sketch, total) in enumerate(drawings(Path(file), lambda error: self._note(file, error))):
            self.waiting.append((Entry(file, place, name, sketch.label, store.key(sketch)), sketch))
            if len(self.waiting) == BATCH:
                self.flush()
            watch(place + 1, total)
        self.finished.append((file, *state))
        if len(self.finished) == BATCH:  # of many files without a drawing none would ever be written down
            self.flush()

    def _note(self, file: str, error: VisketchError) -> None:
        self.unread[file] += 1
        self.problem(error)

    def flush(self) -> None:
        """Embed what waits and is drawn for the first time, and write all of it down in one step."""
        known = self.catalogue.known([entry.key for entry, _ in self.waiting])
        fresh = {entry.key: (entry, sketch) for entry, sketch in self.waiting if entry.key not in known}
        fields = {}
        for key, (entry, sketch) in fresh.items():
            try:
                fields[key] = self.model.render([sketch])
            except VisketchError as error:  # blank
                self._note(entry.file, error)
        vectors: dict[str, np.ndarray] = {}
        if fields:
            found = features(self.model, torch.cat(list(fields.values()))).cpu().numpy()
            vectors = dict(zip(fields, found, strict=True))
        done = [Done(*finished, self.unread[finished[0]]) for finished in self.finished]
        entries = [entry for entry, _ in self.waiting if entry.key in known or entry.key in vectors]
        self.catalogue.write(self.begun, vectors, entries, done)
        self.embedded += len(vectors)
        self.begun, self.waiting, self.finished = [], [], []


def drawings(file: Path, problem: Problem) -> Iterator[tuple[str, Sketch, int | None]]:
    """The drawings of a file or packed data set: what to show after the file's name, the drawing, how many there are
    (None: nobody knows).
    """
    if store.is_packed(file):
        packed = Store.open(file)
        yield from ((f"#{row + 1}", packed[row], len(packed)) for row in range(len(packed)))
        return
    for sketch in read(file, problem):
        yield place_of(sketch, file), sketch, None


def drawing(file: Path, place: int) -> Sketch:
    """One drawing again. Raises VisketchError if it is not there any more."""
    if store.is_packed(file):
        packed = Store.open(file)
        found = packed[place] if place < len(packed) else None
    else:
        found = next(islice(read(file, lambda error: None), place, None), None)
    if found is None:
        raise VisketchError(f"{file}: has changed since it was indexed; index it again")
    return found
