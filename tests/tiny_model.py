"""Small parts with random weights, and a small packed data set to train them on."""

import json
from pathlib import Path

import drawings
import numpy as np
import torch
from torch import nn

from visketch import checkpoint, config
from visketch.config import Config
from visketch.data.packing import pack
from visketch.data.store import Store
from visketch.geometry.sketch import Sketch
from visketch.models.parts import build
from visketch.training.state import LEANS_ON

LABELS = ("cat", "house", "star")


def small(*overrides: str) -> Config:
    """The tiny preset at depth 2 with tiles of 16 pixels, which gives 4 codes for each leaf, and with three classes."""
    settings = ("sketch.canvas=64", "sketch.depth=2", "encoder.layers=2", "refiner.layers=2", "encoder.width=32")
    loaded = config.load("tiny", [*settings, *overrides])
    return loaded.model_copy(update={"labels": LABELS})


def awake(settings: Config, part: str, seed: int = 0) -> nn.Module:
    """A part in evaluation mode with random weights, which the seed determines.

    All weights are random, because residual branches start at zero and would hide their input.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(settings, part)
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return module.eval()


def write_checkpoint(home: Path, settings: Config) -> Path:
    """Write a complete checkpoint with random weights."""
    checkpoint.write_config(home, settings)
    marks: dict[str, str] = {}
    for part in checkpoint.PARTS:
        needs = {other: marks[other] for other in LEANS_ON.get(part, ())}
        marks[part] = checkpoint.save_part(home, part, awake(settings, part), needs, {"step": 1, "steps": 2})
    return home


def write_ndjson(path: Path, sketches: list[Sketch]) -> None:
    """Write drawings in the format of QuickDraw: integers, x and y as separate rows."""
    lines = [[np.rint(stroke).T.astype(int).tolist() for stroke in sketch.strokes or ()] for sketch in sketches]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"drawing": drawing}) + "\n" for drawing in lines))


def pack_drawings(home: Path) -> Store:
    """A skewed data set of three classes: 6 cats, 12 houses and 18 stars for training, and two of each for testing."""
    for count, label in enumerate(LABELS, 1):
        write_ndjson(home / f"in/train/{label}.ndjson", drawings.draw_many(6 * count, labels=(label,)))
        write_ndjson(home / f"in/test/{label}.ndjson", drawings.draw_many(2, seed=9, labels=(label,)))
    pack([home / "in"], home / "packed.arrow")
    return Store(home / "packed.arrow")


def labelled(store: Store, *overrides: str) -> Config:
    """The tiny preset with the classes of a packed data set."""
    return config.load("tiny", overrides).model_copy(update={"labels": tuple(store.labels)})
