"""The server process: open a port, run uvicorn on it, and shut down cleanly."""

import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from visketch.errors import UsageError, VisketchError, reason
from visketch.serve.middleware import Middleware

KEPT = 65  # seconds for which a connection may be idle; this is longer than any Retry-After
GRACE = 5  # seconds to finish responses when the server stops


def is_private(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raises UsageError if other machines can reach the address and there is no token."""
    if not token and not is_private(host):
        example = secrets.token_urlsafe(12)
        raise UsageError(
            f"--host {host}: other machines can reach it, so it needs a token: --token {example} or VISKETCH_TOKEN"
        )


def listen(host: str, port: int) -> socket.socket:
    """Open the port. Raises VisketchError if that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        said = reason(error).partition(" (while attempting")[0]  # Python adds the address once more
        raise VisketchError(f"{host}:{port}: {said}; choose another --host or --port") from None
    # A response is sent as a head and a body. Without TCP_NODELAY, which connections inherit, the body waits 40 ms
    # until the client has acknowledged the head. asyncio sets it only on sockets that were created with the protocol
    # number.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


class Server(uvicorn.Server):
    """A server that stops cleanly. On Ctrl-C or SIGTERM, waiting requests are refused, running responses are finished,
    and `run` returns.
    """

    def __init__(self, app: Middleware) -> None:
        ends: dict[str, Any] = {"timeout_graceful_shutdown": GRACE, "timeout_keep_alive": KEPT}
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", **ends))
        self.worker = app.app.state.worker

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.worker.stop()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The same as uvicorn's, but the signal is not raised again at the end, since it has been handled."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(app: Middleware, port: socket.socket, started: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal stops the server. `started` is called once it accepts requests."""
    server = Server(app)
    before = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await before(sockets)
        started()

    server.startup = startup  # type: ignore[method-assign]
    server.run(sockets=[port])
