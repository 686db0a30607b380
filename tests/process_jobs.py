"""What other processes are asked to do in tests: a module of its own, so that they import nothing else."""

import os
import signal
from collections.abc import Iterator
from typing import Any


def squares(number: int) -> Iterator[tuple[int, int]]:
    """None, one or two things an item, and whose process made them."""
    yield from [(number**2, os.getpid())] * (number % 3)


def killed(number: int) -> list[int]:
    """Ends the process that comes to 200."""
    if number == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return [number]


def label(model: Any, drawing: Any) -> str:
    """The class that a model, which another process made, gives a drawing."""
    return model.classify(drawing)[0].label


def count(model: Any, scene: Any, drawing: Any) -> int:
    return model.encode(scene).count(drawing)
