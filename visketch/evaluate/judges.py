"""Judges of generated sketches: classifiers with features, and the form in which they see sketches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visketch.config import SketchConfig
from visketch.data import ink
from visketch.errors import UsageError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel

JudgedAs = Literal["picture", "field"]


@runtime_checkable
class Judge(Protocol):
    """The interface of a judge.

    `independent` says that it shares no part with the model that it judges. `shape` says how its fields are drawn.
    """

    name: str
    independent: bool
    labels: Sequence[str]
    shape: SketchConfig

    def logits_and_features(self, field: Float[Tensor, "b h h"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b e"]]:
        """The logits and the features, in one call, since most judges compute the logits from the features."""
        ...


class ClassifierJudge:
    """A checkpoint's classifier as a judge. Its features are the pooled leaves.

    It is only independent if another checkpoint draws, since a checkpoint's own classifier shares its encoder with the
    refiner.
    """

    def __init__(self, model: SketchModel, independent: bool = False) -> None:
        self.model, self.independent, self.shape = model, independent, model.config.sketch
        self.name = model.folder.name if independent and model.folder else "own classifier"
        self.labels: Sequence[str] = model.labels

    def logits_and_features(self, field: Float[Tensor, "b h h"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b e"]]:
        return self.model.logits_and_features(field.to(self.model.device))


class BaselineJudge:
    """A network of another kind as a judge, trained only on real drawings. Its features are the inputs of its last
    layer.
    """

    independent = True

    def __init__(self, model: SketchModel) -> None:
        """Take the baseline of a checkpoint. Raises VisketchError if `model` has none."""
        self.baseline, self.device = model.part("baseline"), model.device
        self.name, self.shape = model.folder.name if model.folder else "baseline", model.config.sketch
        self.labels: Sequence[str] = model.labels

    @torch.inference_mode()
    def logits_and_features(self, field: Float[Tensor, "b h h"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b e"]]:
        features = self.baseline.features(field.to(self.device))
        return self.baseline.out(features).float(), features.float()


def load(folder: str | Path, device: str = "cpu") -> Judge:
    """The judge in a checkpoint's folder: its baseline, or its classifier if it has none. Raises VisketchError."""
    model = SketchModel.load(folder, device)
    if model.has("classifier") and not model.has("baseline"):
        return ClassifierJudge(model, independent=True)
    return BaselineJudge(model)


def check(judge: Judge, labels: Sequence[str], drawn: SketchConfig, seen: JudgedAs) -> None:
    """Raises UsageError for a judge that does not know these classes, or that cannot see fields of this kind."""
    unknown = [label for label in labels if label not in judge.labels]
    if unknown:
        raise UsageError(f"the judge {judge.name} does not know {', '.join(unknown)}; train one on these classes")
    tree = {"depth", "information"}
    if seen == "field" and judge.shape.model_dump(exclude=tree) != drawn.model_dump(exclude=tree):
        raise UsageError(
            f"the judge {judge.name} was trained on fields of another canvas or pen; show it pictures (--seen picture)"
        )


def reread(canvas: Float[Tensor, "b h h"], drawn: SketchConfig, wanted: SketchConfig) -> Float[Tensor, "b side side"]:
    """Turn fields into the fields that `wanted` gives for their pictures, which are ink on white, read like any
    picture.

    So the judge sees the lines, but neither inexact distances nor the thickness of the pen. A sketch without ink stays
    blank.
    """
    levels = (255 * (1 - sdf.ink(canvas.float().cpu(), drawn.clamp))).round().byte().numpy()
    blank = np.full((wanted.canvas, wanted.canvas), -1, np.float32)
    seen = (ink.find(grey[..., None]) for grey in levels)
    drawn_again = (Sketch(pixels=one.pixels, thin=one.thin) if one.pixels.any() else None for one in seen)
    fields = [blank if sketch is None else sdf.render(sketch, wanted) for sketch in drawn_again]
    return torch.from_numpy(np.stack(fields).astype(np.float32))
