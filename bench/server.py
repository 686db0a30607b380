"""Start `visketch serve` as a separate process, for benchmarks."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def served(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the server, and yield its process and its address.

    If it does not start, its error is on stderr, and this exits with the same code.
    """
    command = [sys.executable, "-m", "visketch.cli.main", "serve", "--port", "0", "--json", *map(str, words)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        said = ""
        while not said.endswith("}\n"):
            line = server.stdout.readline()
            if not line:
                sys.exit(server.wait() or 1)
            said += line
        yield server, json.loads(said)["address"]
    finally:
        server.terminate()
        server.wait(30)
