"""The tokens of a frozen tower for every picture of a data set, computed once and memory-mapped."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from visketch.atomic import replacing, write_atomically
from visketch.checkpoint import fingerprint, stored
from visketch.language.answers import Detection
from visketch.language.image import Picture
from visketch.parallel import refuse_after_fork

BATCH = 64


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture and the tokens that the tower made of its square."""

    tokens: Float[Tensor, "t e"]
    picture: Picture

    def placed(self, things: Sequence[Detection]) -> list[Detection]:
        """Turn boxes on the square into boxes on the picture. Boxes beside the picture are left out."""
        back = [replace(thing, box=self.picture.letterbox.back(thing.box)) for thing in things]
        return [thing for thing in back if thing.box[0] < thing.box[2] and thing.box[1] < thing.box[3]]


class Features:
    """The tokens (t e) of pictures by their names, in half precision, in a memory-mapped file."""

    def __init__(self, file: Path | None, mark: str = "") -> None:
        """Open the file. Without one, there are no tokens. `mark` identifies the tower."""
        about: dict = json.loads(file.with_suffix(".json").read_bytes()) if file else {"mark": mark, "names": []}
        self.mark: str = about["mark"]
        self.place: dict[str, int] = {name: number for number, name in enumerate(about["names"])}
        self.array: np.ndarray = np.load(file, mmap_mode="r") if file else np.empty((0, 0, 0), np.float16)

    def __getitem__(self, name: str) -> Float[np.ndarray, "t e"]:
        return self.array[self.place[name]]


def features(
    file: Path,
    names: Sequence[str],
    tower: nn.Module,
    read: Callable[[str], Picture | None],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Features:
    """The tokens that this tower gives for the pictures `names`. Those that are already in `file` are reused.

    `read` turns a name into its picture, or returns None to leave the picture out. The file appears when it is
    complete.
    """
    mark = fingerprint(stored(tower))
    known = Features(file) if file.exists() and file.with_suffix(".json").exists() else None
    if known and known.mark != mark:
        known = None
    if known and known.place.keys() == set(names):
        return known
    here = known.place.keys() if known else set()
    new = [name for name in names if name not in here]
    kept = [name for name in names if name in here]
    array, written = None, list[str]()
    with replacing(file) as part:
        for first in range(0, len(new), BATCH):
            some = [(name, picture) for name in new[first : first + BATCH] if (picture := read(name)) is not None]
            seen = look(tower, [picture.square for _, picture in some]).half().cpu().numpy() if some else None
            if seen is not None:
                if array is None:
                    array = np.lib.format.open_memmap(part, "w+", np.float16, (len(kept) + len(new), *seen.shape[1:]))
                array[len(written) : len(written) + len(seen)] = seen
                written += [name for name, _ in some]
            on_progress(min(first + BATCH, len(new)), len(new))
        if array is None and known is None:
            return Features(None, mark)
        if array is None:
            assert known is not None
            array = np.lib.format.open_memmap(part, "w+", np.float16, (len(kept), *known.array.shape[1:]))
        for name in kept:
            assert known is not None
            array[len(written)] = known[name]
            written.append(name)
        array.flush()
        file.with_suffix(".json").unlink(missing_ok=True)  # if this is interrupted, the file will have no wrong names
    write_atomically(file.with_suffix(".json"), json.dumps({"mark": mark, "names": written}).encode())
    return Features(file)


@torch.no_grad()
def look(tower: nn.Module, squares: Sequence[np.ndarray]) -> Float[Tensor, "b t e"]:
    """Turn squares into tokens. Tokens of places where there is nothing to see are zero.

    Raises UsageError in a process that was forked after torch had computed.
    """
    refuse_after_fork()
    device = next(iter(tower.parameters()), torch.empty(0)).device
    pixels = torch.from_numpy(np.stack(squares)).to(device).permute(0, 3, 1, 2).float() / 255
    tokens, mask = tower(pixels)
    return tokens * mask[..., None]
