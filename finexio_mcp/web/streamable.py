"""Streamable HTTP for every revision of the protocol, at one address and without sessions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from finexio_mcp.web.edge import MAX_BODY_BYTES


class Streamable:
    """The two legs of the transport, as the SDK has them.

    Revisions with a handshake are answered in plain JSON: a stream would be opened for each call, would be cut when the
    server is told to stop, and would carry nothing else, since calls here tell nothing on their way. The newer revision
    decides by itself, and ends a read whose client has left.

    Args:
        server: The MCP server.
        unchecked: Says that Host and Origin were checked before.
    """

    def __init__(self, server: Server[Any], unchecked: TransportSecuritySettings) -> None:
        self._handshake, self._newer = (
            StreamableHTTPSessionManager(
                server,
                stateless=True,
                json_response=json_response,
                security_settings=unchecked,
                max_request_body_size=MAX_BODY_BYTES,
            )
            for json_response in (True, False)
        )

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Be ready to serve."""
        async with self._handshake.run(), self._newer.run():
            yield

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its header says which leg it is for, and the SDK judges what it says."""
        version = Headers(scope=scope).get(MCP_PROTOCOL_VERSION_HEADER)
        shakes_hands = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        await (self._handshake if shakes_hands else self._newer).handle_request(scope, receive, send)
