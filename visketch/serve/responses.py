"""Progress events that are sent while a sketch is drawn, and drawings as JSON."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from scipy import ndimage
from torch import Tensor

from visketch import quadtree
from visketch.config import SketchConfig
from visketch.decoding import inked_leaves
from visketch.geometry import trace
from visketch.model import SketchModel
from visketch.render.animation import frames, movie
from visketch.sampling import Frame
from visketch.serve.worker import Emit
from visketch.tasks.complete import STROKE, Completion

DECIMALS = 2  # decimals of a coordinate
SHOWN = 512  # the longer side of an animation in pixels
PAGE = 256.0  # the side of the page on which strokes are shown while they are drawn
EDGE = 1 / 16  # the border of that page, as a share of its side


class ProgressFrames:
    """Turns frames into events.

    If the coarse stage draws strokes, `coarse` has the strokes as they are predicted so far. Otherwise, `coarse` has
    pictures of the noise that becomes a sketch. `leaves` has the quadtree over it: for each sketch, the left, top and
    side of each leaf in shares, and its turn. `refine` has the canvases after each turn. All candidates are shown, and
    those of one sketch are consecutive. A picture is only made if a client listens.
    """

    def __init__(self, model: SketchModel, emit: Emit) -> None:
        self.model, self.emit = model, emit
        self.coarse: Tensor | None = None

    def __call__(self, frame: Frame) -> None:
        if frame.strokes:
            self.emit("coarse", partial(self._strokes, frame))
            return
        if frame.stage == "coarse":
            self.coarse = frame.canvas
        elif self.coarse is not None:
            shape, coarse, self.coarse = self.model.config.sketch, self.coarse.clamp(-1, 1), None
            self.emit("leaves", lambda: {"leaves": leaves(coarse, shape)})
        self.emit(frame.stage, partial(self._shown, frame))

    @staticmethod
    def _strokes(frame: Frame) -> dict[str, Any]:
        """What is drawn so far, on a page of side PAGE, in QuickDraw's form."""
        assert frame.strokes
        drawings = [on_page(strokes) for strokes in frame.strokes()]
        how = {"stage": frame.stage, "done": frame.done, "total": frame.total, "shares": frame.shares}
        return how | {"size": PAGE, "drawings": drawings}

    def _shown(self, frame: Frame) -> dict[str, Any]:
        if frame.stage == "coarse":
            tile = self.model.config.sketch.tile
            ink = (F.interpolate(frame.canvas[:, None], size=(tile, tile), mode="area")[:, 0] + 1) / 2
        else:
            ink = self.model.ink(frame.canvas)
        pictures = [picture(each) for each in ink.cpu().numpy()]
        return {"stage": frame.stage, "done": frame.done, "total": frame.total, "pictures": pictures}


def leaves(canvas: Float[Tensor, "b h h"], shape: SketchConfig) -> list[list[tuple[float, float, float, int]]]:
    """The leaves of each sketch that are refined: left, top and side as shares of the canvas, and the turn."""
    found = inked_leaves(canvas, shape, shape.at(canvas.shape[-1]).depth)
    turn = torch.unique(quadtree.ranks(found, "waves"), return_inverse=True)[1]
    rows: list[list[tuple[float, float, float, int]]] = [[] for _ in canvas]
    places = zip(found.sketch.tolist(), quadtree.place(found).tolist(), turn.tolist(), strict=True)
    for sketch, (y, x, side), when in places:
        rows[sketch].append((round(x - side / 2, 5), round(y - side / 2, 5), side, when + 1))
    return rows


def picture(ink: np.ndarray) -> str:
    """A data URL of a PNG that shows ink (h h) in [0, 1] in black on transparent paper."""
    alpha = (255 * ink.clip(0, 1)).round().astype(np.uint8)
    both = np.stack([np.zeros_like(alpha), alpha], axis=-1)
    content = io.BytesIO()
    Image.fromarray(both, "LA").save(content, "PNG", compress_level=4)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def added(found: Completion, shape: SketchConfig) -> list[np.ndarray]:
    """The strokes of the new ink of a completion, without specks, in pixels of its canvas."""
    if found.added_strokes is not None:
        return [stroke * shape.canvas for stroke in found.added_strokes]
    new = ((found.canvas > 0) & (found.given <= 0)).cpu().numpy()
    pieces, count = ndimage.label(new, np.ones((3, 3)))
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    size[0] = 0
    large = size >= STROKE * (shape.pen * shape.canvas) ** 2
    return list(trace.trace(trace.from_pixels(large[pieces])).strokes)


def on_page(strokes: Sequence[np.ndarray]) -> list[list[list[float]]]:
    """Move strokes from [-1, 1] to a page of side PAGE, with a border, in the form of *Quick, Draw!*."""
    return listed([((stroke + 1) / 2 * (1 - 2 * EDGE) + EDGE) * PAGE for stroke in strokes], 1)


def listed(strokes: Sequence[np.ndarray], decimals: int = DECIMALS) -> list[list[list[float]]]:
    """Strokes (points, 2) as lists, in the form of *Quick, Draw!*."""
    return [np.round(stroke.T.astype(np.float64), decimals).tolist() for stroke in strokes]


def gif(drawing: trace.Trace, wide: int | float, high: int | float, facts: dict) -> str:
    """A GIF of a drawing being drawn, in base64."""
    times = SHOWN / max(wide, high)
    pictures = list(frames([drawing.scaled(times)], max(1, round(wide * times)), max(1, round(high * times))))
    return base64.b64encode(movie(Path("drawing.gif"), pictures, facts)).decode()


def unit(share: float) -> float:
    """A share, rounded and limited to 0..1, since a sum of many can be slightly outside."""
    return round(min(max(float(share), 0.0), 1.0), 6)
