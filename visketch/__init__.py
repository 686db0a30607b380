"""Recognise and generate hand-drawn sketches: `ViSketch` and `SketchLanguage`.

Importing this package loads neither class and does not import torch. Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visketch.api import ViSketch
    from visketch.errors import UsageError, VisketchError
    from visketch.language.model import SketchLanguage
    from visketch.sampling import SamplingOptions

    __version__: str

__all__ = ["SamplingOptions", "SketchLanguage", "UsageError", "ViSketch", "VisketchError", "__version__"]

HOMES = {
    "SamplingOptions": "visketch.sampling",
    "SketchLanguage": "visketch.language.model",
    "UsageError": "visketch.errors",
    "ViSketch": "visketch.api",
    "VisketchError": "visketch.errors",
}


if not TYPE_CHECKING:  # a type checker that saw it would take any name for one of the package

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("visketch")
        if name not in HOMES:
            raise AttributeError(f"module 'visketch' has no attribute {name!r}")
        return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
