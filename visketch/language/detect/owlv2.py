"""Experimental: OWLv2 (Minderer et al., arXiv 2306.09683), an open-vocabulary detector, for users who have its weights.

It was never measured, since the weights were not available. The recogniser names the sketch, and the detector searches
for "a photo of a NAME".
"""

from typing import Any

import torch

from visketch.checkpoint import unloadable
from visketch.errors import VisketchError
from visketch.language import image
from visketch.language.answers import Detection
from visketch.language.llm.llava import transformers

LEAST = 0.1  # the least score of a box; this is the default of transformers and was not chosen on data


class Detector:
    """An Owlv2ForObjectDetection of transformers with its processor."""

    def __init__(self, base: str, device: str = "cpu") -> None:
        """Load the detector from `base`, which is a folder or a model in the Hub's cache.

        Raises UsageError without transformers, VisketchError if there are no weights.
        """
        library = transformers()
        try:
            self.model: Any = (
                library.Owlv2ForObjectDetection.from_pretrained(base, local_files_only=True).to(device).eval()
            )
            # AutoProcessor is not used, because it requires torchvision.
            images = library.Owlv2ImageProcessorPil.from_pretrained(base, local_files_only=True)
            tokenizer = library.AutoTokenizer.from_pretrained(base, local_files_only=True)
            self.processor = library.Owlv2Processor(images, tokenizer)
        except unloadable() as error:
            first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".:")
            mend = "download one with `hf download google/owlv2-base-patch16-ensemble` and name it, or a folder"
            raise VisketchError(f"{base}: no OWLv2 can be loaded from there ({first}); {mend}") from None

    @torch.inference_mode()
    def find(self, label: str, picture: image.Picture) -> list[Detection]:
        """Every box that may show an object of this name, in shares of the upright picture. Duplicates are included.

        Raises VisketchError if the picture's file is gone.
        """
        upright = image.inside(image.finer(picture, self.model.config.vision_config.image_size))
        high, wide = upright.shape[:2]
        text, form = [f"a photo of a {label}"], "channels_last"
        asked = self.processor(text=text, images=upright, return_tensors="pt", input_data_format=form)
        told = self.model(**asked.to(self.model.device))
        (found,) = self.processor.post_process_grounded_object_detection(told, LEAST, [(high, wide)])
        boxes = (found["boxes"].cpu().numpy() / (wide, high, wide, high)).clip(0, 1).tolist()
        some = [Detection(label, tuple(box), sure) for box, sure in zip(boxes, found["scores"].tolist(), strict=True)]
        return [one for one in some if _span(one, 0) * wide >= 1 and _span(one, 1) * high >= 1]


def _span(one: Detection, axis: int) -> float:
    return one.box[axis + 2] - one.box[axis]
