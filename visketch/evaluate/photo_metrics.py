"""The metrics of objects found in photos, by COCO's own measures (cocodataset.org, "Detection evaluation").

Only this module imports pycocotools, COCO's reference implementation.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visketch.errors import UsageError

CROWDED = 8  # a photo shows a crowd if it has at least this many objects of a class
SAME = 0.5  # the least intersection over union at which a box shows an object


@dataclass(frozen=True)
class Precision:
    """The average precision of boxes, averaged over classes, as shares of 1.

    It is given over overlaps of 0.5 to 0.95, at 0.5, and by the size of objects (below 32², up to 96², and more
    pixels). It is None if there is no such object.
    """

    ap: float
    ap50: float
    small: float | None
    medium: float | None
    large: float | None


def precision(instances: Mapping[str, Any], found: Sequence[Mapping[str, Any]], categories: Iterable[int]) -> Precision:
    """Measure found boxes against COCO's annotations `instances`.

    `found` has results in COCO's format ("image_id", "category_id", "bbox", "score"). `categories` are the ids of the
    measured classes. Raises UsageError without pycocotools.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UsageError("measuring boxes needs pycocotools: pip install 'visketch[evaluate]'") from None
    objects = [
        {"id": number, "iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3]} | dict(one, id=number)
        for number, one in enumerate(instances["annotations"], 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}} | dict(instances, annotations=objects)
        truth.createIndex()
        if not found:
            return Precision(0.0, 0.0, None, None, None)
        judged = COCOeval(truth, truth.loadRes([dict(one) for one in found]), "bbox")
        judged.params.catIds = sorted(categories)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    ap, ap50, _, *sizes = (float(value) for value in judged.stats[:6])
    small, medium, large = (value if value >= 0 else None for value in sizes)
    return Precision(max(ap, 0.0), max(ap50, 0.0), small, medium, large)
