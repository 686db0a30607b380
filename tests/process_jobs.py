"""Functions that tests run in other processes. They are in a module of their own so that these processes import nothing
else.
"""

import os
import signal
import warnings
from collections.abc import Iterator
from typing import Any

from visketch.errors import PassedOverWarning


def squares(number: int) -> Iterator[tuple[int, int]]:
    """Zero, one or two results for an item, each with the id of the process that made it."""
    yield from [(number**2, os.getpid())] * (number % 3)


def killed(number: int) -> list[int]:
    """Kill the own process when the number is 200."""
    if number == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return [number]


def warned(number: int) -> list[int]:
    """Warn of the numbers 3 and 99."""
    if number in (3, 99):
        warnings.warn(str(number), PassedOverWarning, stacklevel=1)
    return [number]


def label(model: Any, drawing: Any) -> str:
    """Classify a drawing with a model that was created in another process."""
    return model.classify(drawing)[0].label


def count(model: Any, scene: Any, drawing: Any) -> int:
    return model.encode(scene).count(drawing)
