"""Middleware before the application: allowed hosts and origins, the token, and the headers of every response.

A web page from elsewhere must not reach a server on the user's machine. The Host header reveals a request that uses a
name which was made to point here (DNS rebinding). The Origin header reveals a request from a script of another site.
"""

import ipaddress
import re
import secrets
import time
import uuid
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from visketch.serve.metrics import Metrics
from visketch.serve.schemas import ProblemDetails

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAID = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
KEPT = ("/v1/", "/metrics", "/openapi.json")  # these need the token; the page itself has no secrets
REQUEST_ID = re.compile(r"[\w.-]{1,64}")


class Middleware:
    def __init__(self, app: Starlette, names: frozenset[str], token: str | None, most: int, gauges: Metrics) -> None:
        """`names` are the allowed Host headers; IP addresses and localhost always pass. `most` is the most bytes of a
        request.
        """
        self.app, self.names, self.token, self.most, self.gauges = app, names | {"localhost"}, token, most, gauges
        self.paths = {route.path for route in app.routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, start = Headers(scope=scope), time.perf_counter()
        asked = scope["method"]
        if asked == "HEAD":  # HEAD is answered like GET, but without a body
            scope = {**scope, "method": "GET"}
        given = headers.get("x-request-id", "")
        number = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = number
        status = 0

        async def say(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = number
                for name, value in SAID.items():
                    answer[name] = value
                answer.setdefault("cache-control", "no-store" if scope["path"].startswith(KEPT) else "no-cache")
            elif asked == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        came = 0

        async def hear() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.most:
                raise HTTPException(413, self._too_large())
            return message

        refused = self._refused(scope, headers)
        try:
            await (problem(*refused, number) if refused else self.app)(scope, hear, say)
        finally:
            path = self._booked(scope)
            self.gauges.requests.labels(path, str(status)).inc()
            self.gauges.seconds.labels(path).observe(time.perf_counter() - start)

    def _booked(self, scope: Scope) -> str:
        """The path under which a request is counted. A request that was refused has no route, but may name one."""
        if "route" in scope:
            return scope["route"].path
        return scope["path"] if scope["path"] in self.paths else "page"

    def _refused(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 403, f"{host[:80]!r} is not an allowed host name; use the server's address, or start it with --name"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "pages of other sites may not use this server"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most:
            return 413, self._too_large()
        if self.token and scope["path"].startswith(KEPT):
            kind, _, token = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), self.token.encode()):
                return 401, "the token is missing or wrong; send 'Authorization: Bearer ...'"
        return None

    def _too_large(self) -> str:
        return f"more than {self.most >> 20} MB; send less"

    def _is_ours(self, host: str) -> bool:
        """Whether a host is this server. Names must be known, but an IP address cannot be made to point elsewhere."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self.names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def problem(status: int, detail: str, number: str, headers: dict[str, str] | None = None) -> Response:
    """A response that says what went wrong (RFC 9457)."""
    from http import HTTPStatus

    body = ProblemDetails(title=HTTPStatus(status).phrase, status=status, detail=detail, request_id=number)
    extra = {"www-authenticate": "Bearer"} if status == 401 else {}
    return Response(body.model_dump_json(), status, {**extra, **(headers or {})}, "application/problem+json")
