"""HTTP with server-sent events, the transport of clients from before Streamable HTTP."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mcp.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from finexio_mcp.web.edge import MAX_BODY_BYTES
from finexio_mcp.web.exchange import exchange_of
from finexio_mcp.web.refusing import rpc_refusal
from finexio_mcp.web.rules import MESSAGES_PATH

STREAMS_AT_ONCE = 64
"""Open streams of one caller."""
TOO_MANY = "Too many open streams of yours; close some."


class EventStreams:
    """The two ends of the transport, as ASGI apps: `open` is the stream, `post` takes what a client says.

    Args:
        server: The MCP server.
        unchecked: Says that Host and Origin were checked before.
    """

    def __init__(self, server: Server[Any], unchecked: TransportSecuritySettings) -> None:
        self._server = server
        self._transport = SseServerTransport(MESSAGES_PATH, unchecked, MAX_BODY_BYTES)
        self._open: Counter[str] = Counter()
        self.post = self._transport.handle_post_message

    async def open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client for as long as its stream is open."""
        if scope["method"] != "GET":
            # Routes that take GET take HEAD too, for which a stream would be opened and never read.
            await Response(status_code=405, headers={"Allow": "GET"})(scope, receive, send)
            return
        key = exchange_of(scope).caller.key
        if self._open[key] >= STREAMS_AT_ONCE:
            full = rpc_refusal(429, "overloaded", TOO_MANY, {"Retry-After": "30"})
            await full(scope, receive, send)
            return
        self._open[key] += 1
        try:
            async with self._transport.connect_sse(scope, receive, send) as (reading, writing):
                await self._server.run(reading, writing, self._server.create_initialization_options())
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
