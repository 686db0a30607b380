"""Run the command line inside a test, and check its errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner, Result

from visketch.cli.main import app


def visketch(*words: object, **extra: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], **extra)  # type: ignore[arg-type]
    assert "Traceback" not in result.output
    return result


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """Inside, no file can grow beyond `at` bytes: the system takes what fits, and then fails, as a full disk does."""
    resource = pytest.importorskip("resource", reason="this system does not limit files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_line(result: Result, code: int, *saying: str) -> str:
    """Assert that stdout is empty and stderr is one error line that contains all of `saying`. Returns the line."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for words in saying:
        assert words in line
    return line
