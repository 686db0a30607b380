"""Pictures at other sizes."""

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image


def resized(
    levels: Shaped[np.ndarray, "y x"], size: tuple[int, ...], how: Image.Resampling = Image.Resampling.BOX
) -> Shaped[np.ndarray, "v u"]:
    """A channel or a mask at another size (rows, columns)."""
    return np.asarray(Image.fromarray(levels).resize((size[1], size[0]), how))


def reduced(levels: UInt8[np.ndarray, "c y x"], side: int) -> UInt8[np.ndarray, "c v u"]:
    """All channels, so that the longer side has at most `side` pixels."""
    scale = min(1.0, side / max(levels.shape[1:]))
    size = tuple(max(1, round(scale * length)) for length in levels.shape[1:])
    return np.stack([resized(channel, size) for channel in levels])
