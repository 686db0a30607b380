"""Let what a checked module imports use the bytecode that there is.

jaxtyping gives bytecode another name for as long as a checked module is executed, so all that this module imports first
(diffusers, transformers, torch's compiler ...) is compiled anew, and in each process if no bytecode may be written:
that takes 12 seconds. Here only the checked module itself gets another name.
"""

from functools import partial
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any
from unittest.mock import patch

from jaxtyping import _import_hook as hook


def _get_code(loader: Any, name: str) -> CodeType | None:
    path = partial(hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", path):
        return SourceFileLoader.get_code(loader, name)


def keep_the_others() -> None:
    """Change jaxtyping's loader. This must precede the import of a checked module."""
    loader = hook._JaxtypingLoader
    loader.get_code, loader.exec_module = _get_code, SourceFileLoader.exec_module
