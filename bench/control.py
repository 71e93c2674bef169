"""What the stand-in for Finexio is told and asked between measurements."""

from __future__ import annotations

from typing import Any

import httpx2


class Control:
    """The upstream as the bench sees it.

    Args:
        base_url: The upstream's API.
        http: What asks it.
    """

    def __init__(self, base_url: str, http: httpx2.AsyncClient) -> None:
        self._root, self._http = base_url.removesuffix("/v2"), http

    async def requests(self) -> int:
        """How many it has answered."""
        return (await self._get("/stats"))["requests"]

    async def connections(self) -> int:
        """How many were opened to it."""
        return (await self._get("/stats"))["connections"]

    async def delay(self, milliseconds: int) -> None:
        """Make every later answer wait."""
        await self._get(f"/delay/{milliseconds}")

    async def _get(self, target: str) -> Any:
        response = await self._http.get(self._root + target)
        return response.raise_for_status().json()
