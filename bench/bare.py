"""The peer: the least one writes on the low-level SDK, with the same tools, nothing checked, masked or shaped.

Run as `python -m bench.bare`, or `python -m bench.bare http` for HTTP. It runs the tools that are measured and only
lists the others.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server

CATALOG = Path(__file__).parent.parent / "finexio_mcp" / "catalog.json"
ROUTES = {
    "get_single_finexio_invoice_by_id": "/invoices/{id}/",
    "get_single_finexio_payment_by_id": "/payments/{id}/",
    "list_all_finexio_invoices": "/invoices/",
    "finexio_invoices_bulk_create": "/invoices/batch/",
}


class Upstream:
    """A default client, made at the first call."""

    def __init__(self) -> None:
        self._base_url = os.environ["FINEXIO_BASE_URL"]
        self._client: httpx2.AsyncClient | None = None

    async def send(self, tool: str, arguments: dict[str, Any]) -> httpx2.Response:
        if self._client is None:
            self._client = httpx2.AsyncClient(auth=("demo", "demo"))
        url = self._base_url + ROUTES[tool].format(**arguments)
        if "invoices" in arguments:
            return await self._client.post(url, json=arguments["invoices"])
        # The schema has no page, so here the cursor is the number of one.
        page = arguments.get("next_cursor")
        return await self._client.get(url, params={"page": page} if page else None)


def build() -> Server[Any]:
    """The server, for either transport."""
    # Ours offers no other toolset either, unless it is asked for.
    rows = [row for row in json.loads(CATALOG.read_text(encoding="utf-8")) if row["toolset"] == "core"]
    listing = [types.Tool.model_validate(row["entry"]) for row in rows]
    upstream = Upstream()

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listing)

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        response = await upstream.send(params.name, params.arguments or {})
        response.raise_for_status()
        data = response.json()
        return types.CallToolResult(
            # The vendor's own text: serialising again would only make the peer slower.
            content=[types.TextContent(type="text", text=response.text)],
            structured_content=data if isinstance(data, dict) else {"result": data},
        )

    schemas = {row["entry"]["name"]: row["entry"]["inputSchema"] for row in rows}
    return Server(
        "bare",
        version="0",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # Without it the SDK lists all tools for each call over HTTP, and anything would look fast beside that.
        get_tool_input_schema=schemas.get,
    )


async def serve_stdio() -> None:
    """Serve one client on stdin and stdout."""
    server = build()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


async def serve_http() -> None:
    """Serve on a free port of this machine until a signal comes; tells its address on stderr."""
    import uvicorn

    app = build().streamable_http_app(stateless_http=True)
    # By default idle connections are closed after 5 seconds, and the other server's turn may take longer.
    config = uvicorn.Config(
        app, log_config=None, access_log=False, http="h11", loop="asyncio", ws="none", timeout_keep_alive=75
    )
    # Named TCP, or asyncio would leave Nagle's algorithm on, which costs 40 ms now and then.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(2048)
        print(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
        await uvicorn.Server(config).serve([sock])


if __name__ == "__main__":
    anyio.run(serve_http if sys.argv[1:] == ["http"] else serve_stdio)
