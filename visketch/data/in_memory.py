"""Turn drawings in the memory of a program into sketches: arrays, tensors, PIL images, the bytes of a file.

A picture becomes a PIL image and is then read like a file, so that the result is the same.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visketch.data import image
from visketch.data.read import only
from visketch.errors import UsageError, VisketchError, reason
from visketch.geometry.sketch import Sketch

CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
SHAPES = "a picture is (rows, columns), (rows, columns, channels) or (channels, rows, columns), with 1 to 4 channels"


def is_tensor(drawing: object) -> bool:
    """Whether an object is a torch tensor. This does not import torch."""
    return type(drawing).__module__.partition(".")[0] == "torch" and hasattr(drawing, "detach")


def is_picture(drawing: object) -> bool:
    """Whether an object can only be a whole drawing, and not one stroke of a drawing."""
    if isinstance(drawing, np.ndarray) or is_tensor(drawing):
        values = to_numpy(drawing)
        return values.ndim == 3 or values.dtype == bool or 2 not in values.shape
    return isinstance(drawing, str | Path | bytes | Sketch | Image.Image) or hasattr(drawing, "read")


def to_image(drawing: Any) -> Image.Image:
    """Turn an array or a tensor of grey levels or colours into a PIL image. In a mask, True becomes black.

    Raises UsageError for other shapes and types.
    """
    if not isinstance(drawing, np.ndarray) and not is_tensor(drawing):
        raise UsageError(f"a {type(drawing).__name__} is not a picture; pass a path, a PIL image, an array or a tensor")
    values = _picture(drawing)
    levels = np.where(values, 0, 255).astype(np.uint8) if values.dtype == bool else _levels(values)
    return Image.fromarray(levels, CHANNELS[levels.shape[2]] if levels.ndim == 3 else "L")


def of_array(drawing: Any) -> Sketch:
    """The ink of an array or a tensor.

    In a bool array, True is ink. A uint8 array holds grey levels or colours, dark on light or light on dark, with or
    without alpha. A float array holds the same in 0..1. Raises UsageError for other shapes and types, VisketchError if
    there is no ink.
    """
    values = _picture(drawing)
    if values.dtype == bool and values.ndim == 2:
        if not values.any():
            raise VisketchError("picture: blank, it has no ink; give another drawing")
        return Sketch(pixels=values, source="picture")
    return of_image(to_image(values))


def of_image(picture: Image.Image) -> Sketch:
    """The ink of a PIL image of any mode. Raises VisketchError if there is none."""
    if not picture.width or not picture.height:
        raise UsageError(f"an empty picture of {picture.width} x {picture.height} pixels; pass one that has pixels")
    try:
        whole = picture.copy()  # this is a copy, since reading may shrink it in place
    except (OSError, ValueError) as error:  # Pillow only decodes now: the file may be incomplete, or closed
        raise VisketchError(f"the picture cannot be read ({reason(error)}); open its file again") from error
    found, about = image.understand(whole)
    if not found.pixels.any():
        raise VisketchError("picture: blank, it has no ink; give another drawing")
    return Sketch(pixels=found.pixels, thin=found.thin, source="picture", about=about)


def of_bytes(content: bytes) -> Sketch:
    """The only drawing in a file with this content. Raises VisketchError if it cannot be read or there are several."""
    if not content:
        raise UsageError("empty bytes; pass the content of a file with a drawing")
    with tempfile.TemporaryDirectory(prefix="visketch-") as folder:
        file = Path(folder, "bytes")
        file.write_bytes(content)
        try:
            found = only(file, "bytes")
        except VisketchError as error:
            raise type(error)(str(error).replace(str(file), "bytes")) from None
    return replace(found, source="bytes")


def to_numpy(value: Any) -> Any:
    """A tensor as an array. Anything else is returned as it is. Raises UsageError for a tensor that is not dense."""
    if not is_tensor(value):
        return value
    try:
        values = value.detach().cpu()
        # numpy has no bfloat16
        return (values.float() if values.is_floating_point() and values.element_size() < 4 else values).numpy()
    except (RuntimeError, TypeError) as error:  # a meta, sparse, quantised or nested tensor
        raise UsageError(
            f"a {value.dtype} tensor that numpy cannot hold ({value.layout} on {value.device}); pass a dense one"
        ) from error


def _picture(drawing: Any) -> np.ndarray:
    """An array or a tensor as (h w) or (h w c). Raises UsageError for other shapes."""
    values = to_numpy(drawing)
    if values.size == 0:
        raise UsageError(f"an empty picture {_shape(values)}; pass one that has pixels")
    if values.ndim == 3:
        return _channels_last(values, is_tensor(drawing))
    if values.ndim != 2:
        raise UsageError(f"an array {_shape(values)} is not a picture: {SHAPES}; pass several pictures as a list")
    return values


def _shape(values: np.ndarray) -> str:
    return f"of shape {tuple(values.shape)}"


def _channels_last(values: np.ndarray, first: bool) -> np.ndarray:
    """Turn (c h w) or (h w c) into (h w c), or into (h w) if there is one channel.

    `first` says that the channels come first if both readings are possible.
    """
    as_first, as_last = values.shape[0] in CHANNELS, values.shape[2] in CHANNELS
    if not as_first and not as_last:
        raise UsageError(f"an array {_shape(values)} is not a picture: {SHAPES}")
    if as_first and (first or not as_last):
        values = np.moveaxis(values, 0, 2)
    return values[..., 0] if values.shape[2] == 1 else values


def _levels(values: np.ndarray) -> np.ndarray:
    """Turn levels of any type into uint8. Raises UsageError if the type does not say which value is white."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == bool:
        raise UsageError(f"a mask of ink must be (rows, columns), not {_shape(values)}")
    if values.dtype.kind not in "fiu":
        raise UsageError(f"an array of {values.dtype} is not a picture; pass bool, uint8 or floats in 0..1")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UsageError("the picture has values that are not numbers (NaN or infinite); pass floats in 0..1")
    low, high = float(values.min()), float(values.max())
    most = 1.0 if values.dtype.kind == "f" else 255.0
    if low < 0 or high > most:
        raise UsageError(
            f"a picture of {values.dtype} from {low:g} to {high:g}; pass uint8, or floats in 0..1 (0 is black)"
        )
    if most == 255 and high <= 1:
        raise UsageError(
            f"a picture of {values.dtype} with values 0 and 1; pass bool (True is ink), uint8, or floats in 0..1"
        )
    return np.ascontiguousarray(np.rint(values * (255 / most)).astype(np.uint8))
