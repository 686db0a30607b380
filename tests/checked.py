"""The checker of annotations that the tests install: beartype, applied to a function only when it is first called.

beartype writes and compiles a checker for each function. For the whole package this takes several seconds in every
process that runs tests, and the tests of one process never call most of these functions.
"""

from collections.abc import Callable
from typing import Any

import beartype


def when_called(function: Callable[..., Any]) -> Callable[..., Any]:
    checked: Callable[..., Any] | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        checked = checked or beartype.beartype(function)
        return checked(*args, **kwargs)

    return call
