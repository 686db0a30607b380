"""How the tests check annotations: as jaxtyping's import hook does with beartype, but in less time.

jaxtyping checks each call of a function with two functions made for that, one for its arguments, and one for its
arguments again and its result. It makes them, and has beartype compile them, when the function is defined. For the
whole package this takes several seconds in every process that runs tests, most of it for functions that none of its
tests call. Here a function is compiled when it is first called, and arguments and result are checked once.

jaxtyping also gives bytecode another name for as long as a checked module is executed, so all that this module imports
first (diffusers, transformers, torch's compiler ...) would be compiled anew. Here only the checked module itself gets
another name.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import Any, ForwardRef, Literal, get_args, get_origin
from unittest.mock import patch

import jaxtyping
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import _import_hook as hook
from jaxtyping._storage import pop_shape_memo, push_shape_memo, shape_str

JAXTYPED = jaxtyping.jaxtyped


def install() -> None:
    """Check every call of a function of visketch. This must precede every import of it."""
    jaxtyping.jaxtyped = lambda typechecker: partial(checked, typechecker=typechecker)
    hook._JaxtypingLoader.get_code = _get_code
    hook._JaxtypingLoader.exec_module = SourceFileLoader.exec_module
    jaxtyping.install_import_hook("visketch", "checked.when_called")


def when_called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let beartype check a function. It is compiled when it is first called."""
    compiled: Callable[..., Any] | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal compiled
        compiled = compiled or beartype(function)
        return compiled(*args, **kwargs)

    return call


def checked(what: Any, typechecker: Callable) -> Any:
    """A function or a class of visketch with checked annotations. A letter means the same size within a call."""
    if not isinstance(what, FunctionType) or inspect.isgeneratorfunction(what) or inspect.iscoroutinefunction(what):
        return JAXTYPED(what, typechecker=typechecker)
    if any(map(_quoted, what.__annotations__.values())):  # its names may exist for mypy alone
        return JAXTYPED(what, typechecker=typechecker)
    compiled = typechecker(what)

    @wraps(what)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        sizes = push_shape_memo({})
        try:
            return compiled(*args, **kwargs)
        except BeartypeCallHintViolation as error:
            where = f"{what.__module__}.{what.__qualname__}"
            raise jaxtyping.TypeCheckError(f"{where}: {error} {shape_str(sizes)}") from error
        finally:
            pop_shape_memo()

    return call


def _quoted(hint: Any) -> bool:
    """Is an annotation, or a part of it, the name of a type rather than the type?"""
    if isinstance(hint, str | ForwardRef):
        return True
    parts = hint if isinstance(hint, list) else () if get_origin(hint) is Literal else get_args(hint)
    return any(map(_quoted, parts))


def _get_code(loader: Any, name: str) -> CodeType | None:
    path = partial(hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", path):
        return SourceFileLoader.get_code(loader, name)
