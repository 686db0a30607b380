"""Small parts with random weights, wide awake: a fresh residual branch is zero, and would hide what it is shown."""

import torch
from torch import nn

from visketch import config
from visketch.config import Config
from visketch.model import build

LABELS = ("cat", "house", "star")


def small(*overrides: str) -> Config:
    """The tiny preset at depth 2 with 16-pixel tiles, so 4 codes a leaf, and three classes."""
    settings = ("sketch.canvas=64", "sketch.depth=2", "encoder.layers=2", "refiner.layers=2", "encoder.width=32")
    loaded = config.load("tiny", [*settings, *overrides])
    return loaded.model_copy(update={"labels": LABELS})


def awake(settings: Config, part: str, seed: int = 0) -> nn.Module:
    """A part in evaluation mode whose every weight is random; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(settings, part)
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return module.eval()
