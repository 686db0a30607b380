"""Turn sketches into grey levels, for pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from visketch.geometry.trace import Trace

SMALLEST = 128  # pixels: smaller pictures are shrunk from this side, since their lines may be thinner than a pixel
SHARP = 0.1  # pixels: the lines of a picture are at most this far from the curves of the strokes


def grey(canvas: "Tensor", clamp: float, side: int) -> "np.ndarray":
    """Turn fields (b h h) into grey levels (b side side) uint8.

    The field is enlarged, and not the ink, which keeps edges sharp.
    """
    import torch.nn.functional as F

    from visketch.geometry import sdf

    field = canvas[:, None].float().cpu()
    if side > field.shape[-1]:
        field = F.interpolate(field, size=(side, side), mode="bicubic", align_corners=False)
    ink = sdf.ink(field[:, 0], clamp)
    if side < ink.shape[-1]:
        ink = F.interpolate(ink[:, None], size=(side, side), mode="bilinear", antialias=True)[:, 0]
    return (255 * (1 - ink)).round().byte().numpy()


def picture(canvas: "Tensor", clamp: float, side: int, drawn: "Trace | None" = None) -> "np.ndarray":
    """Draw a sketch as grey levels (side side) uint8.

    `drawn` are the strokes from which the field (h h) was rendered, in pixels of the field, if they are known. They are
    drawn as the same curves as in an SVG. Otherwise the picture is that of the field.
    """
    if drawn is None or not drawn.strokes:
        return grey(canvas[None], clamp, side)[0]
    return of_strokes(drawn.scaled(1 / len(canvas)), side)


def of_strokes(drawn: "Trace", side: int) -> "np.ndarray":
    """Draw strokes in the unit square as grey levels (side side) uint8."""
    import numpy as np
    from PIL import Image

    from visketch.config import SketchConfig
    from visketch.geometry import sdf
    from visketch.geometry.bezier import smooth

    finest = max(side, SMALLEST)
    shape = SketchConfig(pen=drawn.pen, clamp=1 / finest)  # the ink's edge is a pixel wide, so no more is needed
    lines = tuple(smooth(stroke, drawn.pen, SHARP / finest) for stroke in drawn.strokes)
    levels = np.rint(255 * (1 - sdf.ink(sdf.field(lines, shape, finest), shape.clamp))).astype(np.uint8)
    return levels if side == finest else np.asarray(Image.fromarray(levels).resize((side, side), Image.Resampling.BOX))
