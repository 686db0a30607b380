"""The matcher finds the regions of a scene that show the same as a sketch, from the tokens of the tower alone.

It answers by default if it was better than the language model on validation scenes. In drawn scenes, the recogniser
(`open_vocabulary.py`) classifies its regions.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visketch.language.answers import Detection
from visketch.language.boxes import overlaps
from visketch.language.vision.encoder import PairTower

SOMETHING = 0.4  # the least probability that there is an object at a place
SAME = 0.45  # two places show one object if the intersection over union of their boxes is larger than this


@dataclass(frozen=True)
class Region:
    """A part of a scene with an object: its box, the probability that there is an object, and the probabilities of its
    classes. It is `cut` if its ink belongs to something larger.
    """

    box: tuple[float, float, float, float]
    score: float
    chances: Float[Tensor, " c"]
    cut: bool = False


class Matcher:
    """Finds a sketch's object in a scene. It uses the same tokens as the language model, so each picture is encoded
    once for both.
    """

    def __init__(self, tower: PairTower, labels: list[str]) -> None:
        self.tower, self.labels = tower, labels
        self.seen = tower.norm.normalized_shape[0]  # the width of the part of a token with the network's features

    @torch.inference_mode()
    def name(self, sketch: Float[Tensor, "t e"]) -> Float[Tensor, " c"]:
        """The class probabilities of a sketch."""
        return self.tower.named(sketch[:, : self.seen].float().mean(dim=0)).softmax(dim=0).cpu()

    @torch.inference_mode()
    def direction(self, sketch: Float[Tensor, "t e"]) -> Float[Tensor, " d"]:
        """The vector of length 1 that represents what a sketch shows."""
        return self.tower.align(sketch[:, : self.seen].float().mean(dim=0))

    def nearest(self, direction: Float[np.ndarray, " d"], scene: Float[np.ndarray, "t e"]) -> float:
        """The highest cosine between a direction and the places of a scene. The tokens contain the vectors of their
        places.
        """
        along = scene[:, self.seen : self.seen + len(direction)].astype(np.float32)
        return float((along @ direction).max() / math.sqrt(len(direction)))

    @torch.inference_mode()
    def regions(self, scene: Float[Tensor, "t e"]) -> list[Region]:
        """The objects of a scene. Places that show the same object vote on its box and its class."""
        seen = scene[:, : self.seen].float()
        chances = self.tower.covered(seen).softmax(dim=1).cpu()
        boxes = self.tower.boxes(seen[None])[0].clamp(0, 1).cpu()
        there = 1 - chances[:, -1]
        shared = overlaps(boxes.double().numpy(), boxes.double().numpy())
        left = [place for place in there.argsort(descending=True).tolist() if there[place] > SOMETHING]
        regions = []
        while left:
            first = left[0]
            same = [place for place in left if place == first or shared[first, place] > SAME]
            left = [place for place in left if place not in same]
            weight = there[same] / there[same].sum()
            voted = (chances[same, :-1] * weight[:, None]).sum(dim=0)
            x1, y1, x2, y2 = (boxes[same] * weight[:, None]).sum(dim=0).tolist()
            regions.append(Region((x1, y1, x2, y2), float(there[first]), voted / voted.sum()))
        return regions

    def match(self, sketch: Float[Tensor, "t e"], scene: Float[Tensor, "t e"]) -> tuple[str, list[Detection]]:
        """The class of the sketch; and every region, with its class and the probability that it shows the same as the
        sketch.
        """
        chances = self.name(sketch)
        things = [
            Detection(
                self.labels[int(region.chances.argmax())],
                region.box,
                region.score * float((region.chances * chances).sum()),
            )
            for region in self.regions(scene)
        ]
        return self.labels[int(chances.argmax())], things
