"""Approximate nearest neighbours on disk, by usearch (an HNSW graph of int8 vectors). Only this module imports usearch.

A graph is derived from vectors that are stored elsewhere, so it can be rebuilt at any time. It is read through a memory
map, so it may be larger than memory. While it is built, it is in memory.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from visketch.atomic import replacing
from visketch.errors import UsageError, VisketchError

try:
    from usearch.index import Index
except ImportError:
    raise UsageError("large indexes need usearch: pip install 'visketch[search]'") from None

SEARCHED = 128  # the number of candidates while the graph is searched, and while it is built


def grow(old: Path | None, new: Path, more: Iterable[tuple[Int[np.ndarray, " i"], Float[np.ndarray, "i e"]]]) -> int:
    """Add vectors of length 1 (at least one) to the graph `old`, or to an empty one, and write the result to `new`.

    Returns the number of vectors. `new` appears when it is complete.
    """
    graph = None
    for keys, vectors in more:
        if graph is None:
            graph = Index(ndim=vectors.shape[1], metric="cos", dtype="i8", expansion_add=SEARCHED)
            if old:
                graph.load(str(old))
        graph.add(keys.astype(np.uint64), vectors.astype(np.float32))
    assert graph is not None
    with replacing(new) as part:
        graph.save(str(part))
    return len(graph)


class NeighbourGraph:
    """A graph on disk. Opening it raises VisketchError if the file is not one."""

    def __init__(self, path: Path) -> None:
        index = Index.restore(str(path), view=True, expansion_search=SEARCHED)
        if index is None:
            raise VisketchError(f"{path}: not a graph; rebuild the index with --renew")
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    def nearest(self, vector: Float[np.ndarray, " e"], n: int) -> Int[np.ndarray, " i"]:
        """The keys of about the n nearest vectors. Their order is not reliable, since int8 is coarse."""
        found = self.index.search(vector.astype(np.float32), min(n, len(self.index)), threads=1)
        return found.keys.astype(np.int64)
