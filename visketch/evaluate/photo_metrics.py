"""The metrics of objects found in photos, by COCO's own measures (cocodataset.org, "Detection evaluation").

Only this module imports pycocotools, COCO's reference implementation.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from visketch.errors import UsageError


@dataclass(frozen=True)
class Precision:
    """The average precision of boxes, averaged over classes, as shares of 1.

    It is given over overlaps of 0.5 to 0.95, at 0.5, and by the size of objects (below 32², up to 96², and more
    pixels). That of a size is None if there is no such object.
    """

    ap: float
    ap50: float
    small: float | None
    medium: float | None
    large: float | None

    @classmethod
    def mean(cls, some: "Sequence[Precision]") -> "Precision":
        """The mean of several results. A size is None if it is None in all of them."""
        means: dict[str, Any] = {}
        for one in fields(cls):
            there = [value for result in some if (value := getattr(result, one.name)) is not None]
            means[one.name] = sum(there) / len(there) if there else None
        return cls(**means)


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
        truth, nothing = COCO(), COCO()
        truth.dataset = {"info": {}} | dict(instances, annotations=objects)
        truth.createIndex()
        nothing.dataset = {"annotations": []}  # loadRes needs a box, but without one, the sizes that exist have 0
        judged = COCOeval(truth, truth.loadRes([dict(one) for one in found]) if found else nothing, "bbox")
        judged.params.catIds = sorted(categories)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    ap, ap50, _, *sizes = (float(value) for value in judged.stats[:6])
    small, medium, large = (value if value >= 0 else None for value in sizes)
    return Precision(max(ap, 0.0), max(ap50, 0.0), small, medium, large)
