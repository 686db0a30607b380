"""Start training from another checkpoint, which may have other classes."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from visketch import checkpoint
from visketch.atomic import write_atomically
from visketch.config import Config, read_config
from visketch.errors import UsageError
from visketch.models.parts import build
from visketch.models.sequence import SequenceClassifier


@torch.no_grad()
def init_from(part: str, module: nn.Module, config: Config, folder: Path) -> None:
    """Fill a fresh part with the weights that it has in another checkpoint.

    Rows of a class (in an embedding or the last layer) are copied by label. Classes that the other checkpoint does not
    have keep their fresh rows. Raises UsageError if the architecture differs, VisketchError if the checkpoint cannot be
    read.
    """
    there = read_config(folder)
    other = build(there, part)
    checkpoint.load_part(folder, part, other)
    given, wanted, per_class = other.state_dict(), module.state_dict(), class_tensors(config, part)
    fits = there.sketch == config.sketch and given.keys() == wanted.keys()
    fits = fits and all(given[name].shape == wanted[name].shape for name in given.keys() - per_class)
    if not fits:
        raise UsageError(
            f"{folder}: its {part} has another architecture; use its settings: --config {folder}/config.toml"
        )
    known = [label for label in config.labels if label in there.labels]
    here, from_there = ([labels.index(label) for label in known] for labels in (config.labels, there.labels))
    for name, tensor in wanted.items():
        if name in per_class:
            tensor[here] = given[name][from_there]
            tensor[len(config.labels) :] = given[name][len(there.labels) :]  # the null class
        else:
            tensor.copy_(given[name])


@torch.no_grad()
def begin_with_guide(sequence: SequenceClassifier, folder: Path) -> None:
    """Give a fresh classifier of strokes the weights of the diffusion's guide in the same folder, if there is one of
    the same size.

    The guide has learned what drawings look like, so the classifier learns faster. Raises VisketchError if the
    diffusion cannot be read.
    """
    if not checkpoint.part_file(folder, "diffusion").exists() or (there := read_config(folder)).coarse != "strokes":
        return
    diffusion = build(there, "diffusion")
    checkpoint.load_part(folder, "diffusion", diffusion)
    own = sequence.network.state_dict()
    given = {name: value for name, value in diffusion.guide.state_dict().items() if not name.startswith("write.")}
    wanted = {name: value.shape for name, value in own.items() if not name.startswith("write.")}
    if wanted == {name: value.shape for name, value in given.items()}:
        sequence.network.load_state_dict(given, strict=False)


def class_tensors(config: Config, part: str) -> set[str]:
    """The names of those tensors of a part that have a row for each class."""
    with torch.device("meta"):
        two, three = (
            build(config.model_copy(update={"labels": labels}), part).state_dict() for labels in ("ab", "abc")
        )
    return {name for name in two if two[name].shape != three[name].shape}


def copy_part(part: str, folder: Path, to: Path) -> None:
    """Copy a frozen dependency, unless the folder has it already. Raises VisketchError."""
    if not (to / f"{part}.safetensors").exists():
        write_atomically(to / f"{part}.safetensors", (folder / f"{part}.safetensors").read_bytes())


def history(folder: Path, part: str, resume: bool) -> dict[str, Any]:
    """What a part of a checkpoint says of the weights with which its training began, for a run that is resumed."""
    path = checkpoint.part_file(folder, part)
    facts = checkpoint.read_metadata(folder, part)["facts"] if resume and path.exists() else {}
    return {name: facts[name] for name in ("from", "before") if name in facts}


def steps_of(folder: Path, part: str) -> int:
    """The number of steps for which a part was trained, over all recorded runs. It is 0 if the part does not exist.

    Raises VisketchError if the part cannot be read.
    """
    if not (folder / f"{part}.safetensors").exists():
        return 0
    facts = checkpoint.read_metadata(folder, part)["facts"]
    return facts.get("before", 0) + facts.get("step", 0)
