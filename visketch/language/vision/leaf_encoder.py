"""Experimental: the leaf encoder of a ViSketch checkpoint as a frozen tower, with a token for every leaf of a drawing.

It is worse than the pair tower (docs/language.md). Its weights stay in their checkpoint. A picture first becomes lines
(the ink of a drawing or the edges of a photo), and the lines become a field.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from visketch.data import ink
from visketch.data.image import is_photo
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.language.config import TowerConfig
from visketch.language.vision.encoder import Tokens, places
from visketch.model import SketchModel


class LeafTower(nn.Module):
    """A tower with a token for every finest place of the canvas: the vector of the leaf that contains the place. Blank
    places are masked.
    """

    def __init__(self, settings: TowerConfig, checkpoint: str | None = None) -> None:
        """`checkpoint` is a folder or the name of a shipped one, as for `ViSketch.load`. Raises VisketchError."""
        super().__init__()
        self.model = SketchModel.load(checkpoint)  # not a module, so its weights are neither trained nor saved
        shape = self.model.config.sketch
        self.depth, grid = shape.depth, 1 << shape.depth
        self.tokens, self.width = grid**2, self.model.config.encoder.width + settings.places
        self.grid, self.places = grid, settings.places
        # The positions on the Z-curve, in the order of the rows
        self.order = sorted(range(grid**2), key=lambda z: _unwound(z, shape.depth))

    def forward(self, pixels: Float[Tensor, "b 3 h h"]) -> Tokens:
        squares = (255 * pixels).byte().permute(0, 2, 3, 1).cpu().numpy()
        shape = self.model.config.sketch
        fields = torch.from_numpy(np.stack([field(square, shape) for square in squares]))
        cls, leaves = self.model.embed(fields, self.depth)
        tokens = torch.zeros(len(pixels), self.tokens, cls.shape[1])
        mask = torch.zeros(len(pixels), self.tokens, dtype=torch.bool)
        where = zip(leaves.sketch.tolist(), leaves.level.tolist(), leaves.z.tolist(), strict=True)
        for vector, (sketch, level, z) in zip(cls, where, strict=True):
            cells = 4 ** (self.depth - level)
            tokens[sketch, z * cells : (z + 1) * cells] = vector
            mask[sketch, z * cells : (z + 1) * cells] = True
        placed = torch.cat([tokens[:, self.order], places(self.grid, self.places).expand(len(tokens), -1, -1)], dim=2)
        return placed.to(pixels.device), mask[:, self.order].to(pixels.device)


def _unwound(z: int, depth: int) -> int:
    """Turn a position on the Z-curve into the position row by row."""
    x = sum((z >> 2 * bit & 1) << bit for bit in range(depth))
    y = sum((z >> 2 * bit + 1 & 1) << bit for bit in range(depth))
    return (y << depth) + x


def field(square: UInt8[np.ndarray, "h h 3"], shape: sdf.SketchConfig) -> Float[np.ndarray, "p p"]:
    """The lines of a picture, at their places, as a field. It is saturated everywhere if there are none."""
    try:
        found = lines(square)
        return sdf.field(tuple(line / len(square) for line in found), shape, shape.canvas).astype(np.float32)
    except VisketchError:
        return np.full((shape.canvas, shape.canvas), -1, np.float32)


def lines(square: UInt8[np.ndarray, "h h 3"]) -> tuple[np.ndarray, ...]:
    """The centre lines of a drawing, or the edges of a photo, in pixels. Raises VisketchError if there are none."""
    if not is_photo(square):
        found = ink.find(square)
        return Sketch(pixels=found.pixels, thin=found.thin, source="picture").lines()
    from skimage.feature import canny

    return Sketch(pixels=canny(square.mean(axis=2) / 255, sigma=1.6), source="picture").lines()
