"""What other processes are asked to do in tests: a module of its own, so that they import nothing else."""

import os
import signal
from collections.abc import Iterator


def squares(number: int) -> Iterator[tuple[int, int]]:
    """None, one or two things an item, and whose process made them."""
    yield from [(number**2, os.getpid())] * (number % 3)


def killed(number: int) -> list[int]:
    """Ends the process that comes to 200."""
    if number == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return [number]
