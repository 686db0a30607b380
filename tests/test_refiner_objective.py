"""What the refiner is shown in training: the true drawing blurred, or the true drawing with a shaky hand."""

import drawings
import numpy as np
import pytest
import tiny_model

from visketch.geometry import sdf
from visketch.training.objectives.refiner import RefinerObjective


@pytest.mark.parametrize("share", [0, 1])
def test_shaken_strokes_stay_near_the_truth(share: int) -> None:
    settings = tiny_model.small(f"train.refiner.strokes={share}.0", "train.refiner.shake=0.02")
    parts = [tiny_model.awake(settings, name) for name in ("vqvae", "encoder", "refiner")]
    objective = RefinerObjective(settings, *parts, None, list(tiny_model.LABELS))
    moved = []
    for seed, sketch in enumerate(drawings.draw_many(12, labels=tiny_model.LABELS)):
        example = objective.example(sketch, np.random.default_rng(seed), 0.0)
        assert example["by strokes"] == bool(share)
        truth, drawn = (sdf.ink(example[name], settings.sketch.clamp) > 0.5 for name in ("canvas", "drawn"))
        moved.append((truth != drawn).mean())
        assert (truth & drawn).sum() > 0.3 * truth.sum()
    assert (max(moved) > 0.002) == bool(share)
