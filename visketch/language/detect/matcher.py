"""The matcher finds the regions of a scene that show what a sketch shows, from the tower alone.

Beside every answer of the language model stands this one; it answers where validation scenes found it better. In drawn
scenes the recogniser (`recogniser.py`) names what its regions show.
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

SOMETHING = 0.4  # how sure it must be that there is something at a place
SAME = 0.45  # intersection over union from which two places speak of one object


@dataclass(frozen=True)
class Region:
    """A part of a scene that shows something: its box, how sure that is, and what it may be."""

    box: tuple[float, float, float, float]
    score: float
    chances: Float[Tensor, " c"]


class Matcher:
    """Works on the tokens that the language model is shown, so that a picture is looked at once for both."""

    def __init__(self, tower: PairTower, labels: list[str]) -> None:
        self.tower, self.labels = tower, labels
        self.seen = tower.norm.normalized_shape[0]  # of a token that much is what the network sees

    @torch.inference_mode()
    def name(self, sketch: Float[Tensor, "t e"]) -> Float[Tensor, " c"]:
        """What a sketch may show: the chance of each class."""
        return self.tower.named(sketch[:, : self.seen].float().mean(dim=0)).softmax(dim=0).cpu()

    @torch.inference_mode()
    def direction(self, sketch: Float[Tensor, "t e"]) -> Float[Tensor, " d"]:
        """The vector of length 1 that stands for what a sketch shows."""
        return self.tower.align(sketch[:, : self.seen].float().mean(dim=0))

    def nearest(self, direction: Float[np.ndarray, " d"], scene: Float[np.ndarray, "t e"]) -> float:
        """The cosine of the place of a scene that is nearest to a direction: its tokens carry theirs."""
        along = scene[:, self.seen : self.seen + len(direction)].astype(np.float32)
        return float((along @ direction).max() / math.sqrt(len(direction)))

    @torch.inference_mode()
    def regions(self, scene: Float[Tensor, "t e"]) -> list[Region]:
        """What stands where in a scene: places that speak of one object vote on its box and class."""
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
        """What the sketch shows; and every region with what it shows, and how sure it is that both are the same."""
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
