"""Nearest neighbours by comparison with every vector. The vectors are one memory-mapped matrix, which is exact and fast
to write.

Below a few hundred thousand vectors, a search takes less than half a second, whereas a graph (`ann.py`) takes minutes
to build.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from visketch.atomic import replacing
from visketch.errors import VisketchError

CHUNK = 1 << 14  # the number of vectors that are multiplied at once


def write(new: Path, vectors: Iterable[tuple[Int[np.ndarray, " i"], Float[np.ndarray, "i e"]]]) -> int:
    """Write ids and vectors of length 1 (at least one) to a file, in half precision.

    Returns the number of vectors. The file appears when it is complete.
    """
    rows = [_rows(ids, some) for ids, some in vectors]
    with replacing(new) as part, part.open("wb") as file:
        np.save(file, np.concatenate(rows))
    return sum(map(len, rows))


def _rows(ids: Int[np.ndarray, " i"], vectors: Float[np.ndarray, "i e"]) -> np.ndarray:
    rows = np.empty(len(ids), [("id", "<i8"), ("vector", "<f2", vectors.shape[1:])])
    rows["id"], rows["vector"] = ids, vectors
    return rows


class VectorMatrix:
    """A memory-mapped file that `write` has written. Opening it raises VisketchError if the file is not one."""

    def __init__(self, path: Path) -> None:
        try:
            # This is copy-on-write, although nothing is written, because torch warns about read-only arrays
            self.rows = np.load(path, mmap_mode="c")
        except (OSError, ValueError) as error:
            raise VisketchError(f"{path}: not a file of vectors ({error}); rebuild the index with --renew") from None

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, vector: Float[np.ndarray, " e"], n: int) -> Int[np.ndarray, " i"]:
        """The ids of the n vectors with the greatest cosine, in no particular order."""
        query = torch.from_numpy(vector.astype(np.float32))
        every = torch.from_numpy(self.rows["vector"])  # torch converts half precision ten times as fast as numpy
        cosine = torch.cat([some.float() @ query for some in every.split(CHUNK)]).numpy()
        n = min(n, len(cosine))
        return self.rows["id"][np.argpartition(-cosine, n - 1)[:n]].astype(np.int64)
