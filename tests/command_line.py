"""Run the command line inside a test, and check its errors."""

from typer.testing import CliRunner, Result

from visketch.cli.main import app


def visketch(*words: object, **extra: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], **extra)  # type: ignore[arg-type]
    assert "Traceback" not in result.output
    return result


def one_line(result: Result, code: int, *saying: str) -> str:
    """Assert that stdout is empty and stderr is one error line that contains all of `saying`. Returns the line."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for words in saying:
        assert words in line
    return line
