"""The outermost layer: who is meant, from where, how much and how slowly; and no exception gets past it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Collection, Iterator
from typing import cast

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finexio_mcp.web.exchange import NAME_HEADER, name_request
from finexio_mcp.web.refusing import MISMATCH, Refused, refusal_for
from finexio_mcp.web.rules import is_local

MAX_BODY_BYTES = 1 << 20
BODY_SECONDS = 20.0
"""How long a body may take to arrive."""

ANYBODY = frozenset({"/healthz", "/readyz"})
"""Paths that tell nothing and are asked by probes, which know an address and no name."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
HSTS = "max-age=31536000"
ROUTING = ("mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id")
"""Headers that say where a message belongs. Of two that differ, a proxy may have read the other one."""
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?", re.ASCII)

logger = logging.getLogger("finexio_mcp.web")


class Edge:
    """ASGI middleware around everything.

    Args:
        app: What is protected.
        names: Host names by which clients reach the server, beside those of this machine.
        origins: Web origins whose pages may call, beside the server's own.
        https: Whether clients reach the server over TLS.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str], origins: Collection[str], https: bool) -> None:
        self._app = app
        self._scheme = "https" if https else "http"
        self._names = frozenset(names)
        self._origins = frozenset(origins)
        self._headers = {**SECURITY_HEADERS, **({"Strict-Transport-Security": HSTS} if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, request_id = False, name_request(scope)

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers[NAME_HEADER] = request_id
                if "no-store" not in headers.get("cache-control", "no-store"):
                    # The SDK's streams may be kept by caches; they hold the same as its other answers.
                    headers["Cache-Control"] += ", no-store"
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["path"], scope["method"])
            await self._app(scope, Body(receive), send_with_headers)
        except Exception as error:
            refused = _refused(error)
            if refused is not None and not begun:
                await _answer(refused, scope, receive, send_with_headers)

    def _check(self, headers: Headers, path: str, method: str) -> None:
        if path not in ANYBODY:
            self._check_host(headers)
            self._check_origin(headers)
        if any(len(headers.getlist(name)) > 1 for name in ROUTING):
            raise Refused(400, MISMATCH, "A header that says where the message belongs is there more than once.")
        declared = headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()):
            raise Refused(400, "invalid_request", "Content-Length is no number.")
        if int(declared[:20]) > MAX_BODY_BYTES:
            raise _too_large()
        if method != "POST" and (int(declared[:20]) or "transfer-encoding" in headers):
            raise Refused(400, "invalid_request", "Only POST has a body here.")

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        name = _name_of(hosts[0]) if len(hosts) == 1 else ""
        if not is_local(name) and name not in self._names:
            raise Refused(
                421,
                "misdirected_request",
                "This server is not reached by that host name; the operator names those that it is reached by.",
            )

    def _check_origin(self, headers: Headers) -> None:
        """Browsers say which page makes a request; other clients say nothing."""
        own = f"{self._scheme}://{headers['host']}"
        origins = headers.getlist("origin")
        # Images and the like are fetched without an origin, but not without saying that they are.
        site, mode, kind = (headers.get(f"sec-fetch-{name}", "") for name in ("site", "mode", "dest"))
        embedded = site not in {"", "none", "same-origin"} and (mode, kind) != ("navigate", "document")
        if (embedded and not origins) or any(origin != own and origin not in self._origins for origin in origins):
            raise Refused(403, "origin_not_allowed", "Pages of that origin may not call this server.")


def _refused(error: Exception) -> Refused | None:
    """How to answer what went wrong; nothing, if nobody is there any more."""
    causes = list(_leaves(error))
    if all(isinstance(cause, ClientDisconnect) for cause in causes):
        # Anybody could fill the log.
        logger.debug("a client left before its request was whole")
        return None
    refused = next((cause for cause in causes if isinstance(cause, Refused)), None)
    if refused is None:
        # The text of an exception may hold anything, so only its kind and place are kept.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("unhandled %s\n%s", type(causes[0]).__name__, where)
    return refused or Refused(500, "internal", "Internal error; the operator finds the cause in the log.")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Task groups wrap what went wrong in them."""
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error


class Body:
    """What the client sends, as far as it keeps within a size and a time."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = MAX_BODY_BYTES
        self._deadline: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        self._deadline = self._deadline or anyio.current_time() + BODY_SECONDS
        message: Message = {}
        with anyio.CancelScope(deadline=self._deadline) as waiting:
            message = await self._receive()
        if waiting.cancelled_caught:
            raise Refused(408, "request_timeout", "The request's body did not arrive in time.")
        self._whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large()
        return message


async def whole(receive: Receive) -> Receive:
    """A body that has arrived, in one piece, for those who should not meet a client that leaves in the middle.

    Raises:
        ClientDisconnect: It did.
        Refused: It is too large, or too slow.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    arrived: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return arrived.pop() if arrived else await receive()

    return replay


def _name_of(host: str) -> str:
    """The name in a `Host` header, without its port."""
    match = HOST.fullmatch(host.lower())
    return (match[1] or match[2]).rstrip(".") if match is not None else ""


def _too_large() -> Refused:
    return Refused(413, "payload_too_large", f"Requests may have {MAX_BODY_BYTES >> 20} MiB at most.")


async def _answer(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    # The rest of a body that is not wanted must not be taken for the next request.
    headers = {"Connection": "close"} if refused.status in {408, 413} else None
    answer = refusal_for(scope)(refused.status, refused.error, refused.message, headers)
    await answer(scope, receive, send)
