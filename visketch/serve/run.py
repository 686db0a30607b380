"""The server as a process: a port, uvicorn on it, and an end without loose ends."""

import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from visketch.errors import UsageError, VisketchError
from visketch.serve.middleware import Middleware

KEPT = 65  # seconds that a connection may be idle: longer than anybody is told to wait
GRACE = 5  # seconds for answers on their way when the server ends


def is_private(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raises UsageError for an address that others reach without a token."""
    if not token and not is_private(host):
        example = secrets.token_urlsafe(12)
        raise UsageError(f"--host {host}: others reach it; choose a token: --token {example} or VISKETCH_TOKEN")


def listen(host: str, port: int) -> socket.socket:
    """The port, taken. Raises VisketchError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise VisketchError(f"{host}:{port}: {error.strerror}; choose another --host or --port") from None
    # An answer goes out as head and body. Without this, which connections inherit, the body waits until the client's
    # system acknowledges the head: 40 ms. asyncio sets it only on sockets that were made with the protocol's number.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


class Server(uvicorn.Server):
    """On Ctrl-C or SIGTERM what waits is told so, answers on their way go out, and `run` returns."""

    def __init__(self, app: Middleware) -> None:
        ends: dict[str, Any] = {"timeout_graceful_shutdown": GRACE, "timeout_keep_alive": KEPT}
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", **ends))
        self.worker = app.app.state.worker  # type: ignore[attr-defined]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.worker.stop()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but that the signal is not raised again at the end: it has been heeded."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(app: Middleware, port: socket.socket, started: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal ends it."""
    server = Server(app)
    before = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await before(sockets)
        started()

    server.startup = startup  # type: ignore[method-assign]
    server.run(sockets=[port])
