"""The SDK's own client with a token, in either era, and what it is told."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import anyio
import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.calls import Content
from tests.conftest import Era
from tests.web.serving import PATIENCE_SECONDS

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For this machine, where nobody speaks TLS: reading the certificates of the whole world takes its time."""


@contextlib.asynccontextmanager
async def connected(base_url: str, token: str | None, era: Era) -> AsyncGenerator[Client]:
    """A client over Streamable HTTP. Open it in the test itself."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(verify=NO_CERTIFICATES, trust_env=False, timeout=PATIENCE_SECONDS, headers=headers) as http,
        Client(streamable_http_client(f"{base_url}/mcp", http_client=http), mode=era) as client,
    ):
        yield client


async def said(client: Client, tool: str, arguments: Mapping[str, Any]) -> Content:
    """What a call answers, without the SDK's own check of it."""
    params = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
    with anyio.fail_after(PATIENCE_SECONDS):
        answer = await client.session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
    assert answer.is_error is ("error" in cast("Content", answer.structured_content))
    return cast("Content", answer.structured_content)
