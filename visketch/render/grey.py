"""Turn fields into grey levels, for pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


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
