"""What a frozen tower says of every picture of a data set: looked at once, then mapped from disk."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from visketch.checkpoint import write_atomically
from visketch.language import pictures

BATCH = 64


class Features:
    """Pictures' names → their tokens (t e), in half precision, in a memory-mapped file."""

    def __init__(self, file: Path) -> None:
        about = json.loads(file.with_suffix(".json").read_text())
        self.mark: str = about["mark"]
        self.place = {name: number for number, name in enumerate(about["names"])}
        self.array = np.load(file, mmap_mode="r")

    def __getitem__(self, name: str) -> Float[np.ndarray, "t e"]:
        return self.array[self.place[name]]


def features(
    file: Path,
    mark: str,
    folder: Path,
    names: Sequence[str],
    tower: nn.Module,
    canvas: int,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Features:
    """The tokens of the pictures `names` in `folder`; made if `file` has not those of this tower (`mark`).

    The file is there when it is whole. Raises VisketchError for a picture that cannot be read.
    """
    if file.exists() and file.with_suffix(".json").exists():
        known = Features(file)
        if known.mark == mark and set(names) <= set(known.place):
            return known
        del known
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    array = None
    for first in range(0, len(names), BATCH):
        seen = look(tower, [pictures.read(folder / name, canvas).square for name in names[first : first + BATCH]])
        if array is None:
            array = np.lib.format.open_memmap(part, "w+", np.float16, (len(names), *seen.shape[1:]))
        array[first : first + len(seen)] = seen.half().cpu().numpy()
        watch(min(first + BATCH, len(names)), len(names))
    assert array is not None
    array.flush()
    part.replace(file)
    write_atomically(file.with_suffix(".json"), json.dumps({"mark": mark, "names": list(names)}).encode())
    return Features(file)


@torch.no_grad()
def look(tower: nn.Module, squares: Sequence[np.ndarray]) -> Float[Tensor, "b t e"]:
    """Squares → tokens; those of places with nothing to see are zero."""
    device = next(iter(tower.parameters()), torch.empty(0)).device
    pixels = torch.from_numpy(np.stack(squares)).to(device).permute(0, 3, 1, 2).float() / 255
    tokens, mask = tower(pixels)
    return tokens * mask[..., None]
