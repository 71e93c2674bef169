"""The peer: the least one writes on the low-level SDK, with the same tools, nothing checked, masked or shaped.

Run as `python -m bench.bare`. It runs the tools that are measured and only lists the others.
"""

from __future__ import annotations

import json
import os
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


async def main() -> None:
    """Serve one client on stdin and stdout."""
    rows = json.loads(CATALOG.read_text(encoding="utf-8"))
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

    server = Server("bare", version="0", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
