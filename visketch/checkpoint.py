"""A checkpoint is a folder with a `config.toml` and one safetensors file for each part.

Only this module imports safetensors. The metadata of each part holds the fingerprints of the parts that it was trained
with, and loading refuses a part if these do not match. Matrices and kernels are stored as 8-bit integers with a scale
for each row or kernel, and all other weights in half precision. They are used in single precision.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from visketch.atomic import write_atomically
from visketch.config import Config
from visketch.errors import VisketchError

# `field` is the paper's coarse stage, kept beside a diffusion of strokes. `sequence` classifies strokes, where there
# are any, beside the classifier. `baseline` is a separate model, for comparison.
PARTS = ("vqvae", "diffusion", "field", "encoder", "refiner", "classifier", "sequence", "baseline")
SCALE = ".scale"  # what the name of a matrix's scale ends in
SMALLEST = 2.0**-24  # the smallest scale, which is the smallest number of half precision
OLD_NAMES = {"baseline": "peer"}  # names of parts in earlier versions: files with these names are still read


def part_file(folder: Path, part: str) -> Path:
    """The file with a part's weights: `<part>.safetensors`, or a file with the part's old name."""
    path = folder / f"{part}.safetensors"
    old = folder / f"{OLD_NAMES.get(part, part)}.safetensors"
    return old if old.exists() and not path.exists() else path


def write_config(folder: Path, config: Config) -> None:
    """Write a configuration as the `config.toml` of a checkpoint's folder. Raises VisketchError."""
    import tomli_w

    write_atomically(folder / "config.toml", tomli_w.dumps(config.model_dump(mode="json")).encode())


def fingerprint(state: dict[str, Tensor]) -> str:
    """16 hex digits that identify the weights as they are stored."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def stored(module: nn.Module) -> dict[str, Tensor]:
    """A module's weights in the form in which they are stored, on the CPU.

    A matrix of parameters is stored as integers from -127 to 127, and `<name>.scale` holds what they are multiplied by:
    one number for each row. Convolutions have one number for each kernel of more than one place. Everything else is in
    half precision. Storing restored weights again changes nothing, unless all weights of a matrix's row are smaller
    than 0.008. This is our choice, because a wheel with all weights must stay small. With one number for all kernels of
    an output channel, integers cost accuracy (lab book, 2026-11-26).
    """
    state: dict[str, Tensor] = {}
    parameters = dict(module.named_parameters())
    for name, value in module.state_dict().items():
        value = value.detach().cpu()
        if name in parameters and scaled(value):
            state[name], state[name + SCALE] = quantised(value.float())
        else:
            state[name] = (value.half() if value.is_floating_point() else value).contiguous().clone()
    return state


def scaled(weights: Tensor | np.ndarray) -> bool:
    """Whether weights are stored as integers: a matrix, or kernels of more than one place."""
    return weights.ndim == 2 or (weights.ndim == 4 and tuple(weights.shape[2:]) != (1, 1))


def quantised(weights: Float[Tensor, "*shape"]) -> tuple[Int8[Tensor, "*shape"], Float[Tensor, "..."]]:
    """Weights as integers with a scale for each row of a matrix (i j), or for each kernel of a convolution (o i y x).

    The largest entry becomes 127 or -127.
    """
    scale = weights.abs().amax(dim=tuple(range(weights.ndim // 2, weights.ndim)), keepdim=True) / 127
    scale = scale.half() if weights.ndim == 2 else scale.bfloat16()  # many kernels are too small for half precision
    scale[scale == 0] = SMALLEST
    return (weights / scale.float()).round().clamp(-127, 127).to(torch.int8).contiguous(), scale.contiguous()


def restored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `stored`: every weight as a number. Weights of earlier versions, without scales, are unchanged."""
    scales = {name: value for name, value in state.items() if name.endswith(SCALE)}
    weights = {name: value for name, value in state.items() if name not in scales}
    for name, scale in scales.items():
        weights[name.removesuffix(SCALE)] = weights[name.removesuffix(SCALE)].float() * scale.float()
    return weights


def save_part(folder: Path, part: str, module: nn.Module, trained_on: dict[str, str], facts: dict) -> str:
    """Write one part atomically and return its fingerprint.

    `trained_on` holds the fingerprints of the parts that it was trained with. `facts`, such as the number of steps and
    the data, are stored in the metadata. Raises VisketchError.
    """
    from safetensors.torch import save

    state = stored(module)
    mark = fingerprint(state)
    metadata = {"part": part, "fingerprint": mark, "trained_on": json.dumps(trained_on), "facts": json.dumps(facts)}
    write_atomically(folder / f"{part}.safetensors", save(state, metadata=metadata))
    return mark


def unloadable() -> tuple[type[Exception], ...]:
    """The exceptions that libraries raise if weights are missing, incomplete, or belong to another model."""
    from safetensors import SafetensorError

    return OSError, ValueError, RuntimeError, SafetensorError


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors of any type atomically, so that training can be resumed from them. Raises VisketchError."""
    from safetensors.torch import save

    write_atomically(path, save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata that `write_tensors` wrote. Raises VisketchError."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file. Raises VisketchError if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise VisketchError(f"{path}: not a readable safetensors file ({error})") from None


def read_metadata(folder: Path, part: str) -> dict:
    """Read {"fingerprint", "trained_on", "facts"} of a part, without reading its weights. Raises VisketchError."""
    path = part_file(folder, part)
    if not path.exists():
        have = [name for name in PARTS if part_file(folder, name).exists()]
        first = "train classifier first" if part == "encoder" else "train it first"  # which trains both
        raise VisketchError(f"{folder}: has no {part} (it has {', '.join(have) or 'no part at all'}); {first}")
    with _opened(path) as file:
        metadata = file.metadata() or {}
    if metadata.get("part") not in (part, OLD_NAMES.get(part)) or "fingerprint" not in metadata:
        raise VisketchError(f"{path}: not a visketch {part}")
    try:
        more = {name: json.loads(metadata.get(name, "{}")) for name in ("trained_on", "facts")}
    except ValueError:
        raise VisketchError(f"{path}: its metadata is damaged; copy it again") from None
    return {"fingerprint": metadata["fingerprint"], **more}


def fingerprints(folder: Path, parts: Iterable[str]) -> dict[str, str]:
    """The fingerprint of each of these parts of a checkpoint. Raises VisketchError if one cannot be read."""
    return {part: read_metadata(folder, part)["fingerprint"] for part in parts}


def outdated(folder: Path) -> dict[str, str]:
    """The parts of a checkpoint that were trained with another part, which has been trained again since; with the name
    of that part. Raises VisketchError for a part that cannot be read.
    """
    marks = {part: read_metadata(folder, part) for part in PARTS if part_file(folder, part).exists()}
    return {
        part: other
        for part, metadata in marks.items()
        for other, mark in metadata["trained_on"].items()
        if other in marks and marks[other]["fingerprint"] != mark
    }


def load_part(folder: Path, part: str, module: nn.Module) -> dict:
    """Load a part's weights into a module and return the part's metadata.

    Raises VisketchError if the file is missing, damaged or of another kind, if it does not fit the configuration, or if
    the part was trained with other parts than those in the folder.
    """
    path, metadata = part_file(folder, part), read_metadata(folder, part)
    state, _ = read_tensors(path)
    if fingerprint(state) != metadata["fingerprint"]:
        raise VisketchError(
            f"{path}: the weights are damaged (they do not match their fingerprint); copy the file again"
        )
    for other, mark in metadata["trained_on"].items():
        found = read_metadata(folder, other)["fingerprint"]
        if found != mark:
            raise VisketchError(
                f"{path}: was trained with {other} {mark}, but the folder has {other} {found}; train {part} again"
            )
    try:
        state = restored(state)
    except (KeyError, RuntimeError):
        raise VisketchError(f"{path}: its matrices and their scales do not match; copy the file again") from None
    expected = module.state_dict()
    odd = list(expected.keys() ^ state.keys())
    odd += [name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape]
    if odd:
        raise VisketchError(f"{path}: does not fit {folder / 'config.toml'} ({sorted(odd)[0]} differs)")
    module.load_state_dict(state)
    return metadata
