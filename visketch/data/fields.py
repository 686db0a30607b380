"""Fields that a program passes to a model, and sketches that it passes to be rendered as fields."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visketch.config import SketchConfig
from visketch.errors import UsageError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch

Fields = Float[Tensor, "b h h"] | Float[np.ndarray, "b h h"]
PASS = "pass floats (fields, side, side), as `render` returns them"


def checked(fields: Fields, device: torch.device) -> Float[Tensor, "b h h"]:
    """Fields, as an array or a tensor of any type of float, in single precision on a device.

    Raises UsageError for anything else, for other shapes, and for values that are not finite.
    """
    if isinstance(fields, np.ndarray) and fields.dtype.kind == "f":
        fields = torch.from_numpy(np.ascontiguousarray(fields, np.float32))
    if not isinstance(fields, Tensor) or not fields.is_floating_point():
        raise UsageError(f"fields of type {getattr(fields, 'dtype', type(fields).__name__)}; {PASS}")
    if fields.is_meta or fields.layout != torch.strided:
        raise UsageError(f"fields in a tensor that is {'meta' if fields.is_meta else 'not dense'}; {PASS}")
    if fields.ndim != 3 or fields.shape[1] != fields.shape[2]:
        raise UsageError(f"fields of shape {tuple(fields.shape)}; {PASS}, and a single field as field[None]")
    fields = fields.to(device, torch.float32)
    if not fields.sum().isfinite():  # this takes a twentieth of the time of `fields.isfinite().all()`
        raise UsageError(f"the fields have values that are not numbers (NaN or infinite); {PASS}")
    return fields


def rendered(sketches: Sequence[Sketch], shape: SketchConfig) -> Float[np.ndarray, "b h h"]:
    """Sketches as fields of a shape. Raises UsageError for anything else, VisketchError for a blank sketch."""
    if not isinstance(sketches, Sequence) or not all(isinstance(one, Sketch) for one in sketches):
        raise UsageError("only a list of sketches can be rendered; read each drawing with visketch.data.drawing.sketch")
    if not sketches:
        return np.zeros((0, shape.canvas, shape.canvas), np.float32)
    return np.stack([sdf.render(sketch, shape) for sketch in sketches])
