"""Whether the server lives, and whether it is ready: for those who keep it running, and without a secret."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse

from finexio_mcp.access.book import AccessBook, AccessUnavailable
from finexio_mcp.engine import Engine
from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.guards.ledger.place import Place, locate
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.settings import Settings

KEPT_SECONDS = 2.0
"""An answer serves everybody who asks within this time, or probes from anywhere could keep the database busy."""
PATIENCE_SECONDS = 5.0


async def healthz(_request: Request) -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """Whether calls can be served: the ledger, the tokens, the configuration. Finexio is not asked.

    Args:
        settings: What the operator decides.
        book: The tokens.
        engine: From when on there is one, what calls run on.
    """

    def __init__(self, settings: Settings, book: AccessBook, engine: Callable[[], Engine | None]) -> None:
        self._settings, self._book, self._engine = settings, book, engine
        self._lock = anyio.Lock()
        self._known: tuple[float, dict[str, str]] | None = None

    async def readyz(self, _request: Request) -> JSONResponse:
        """Answer with 503 unless calls can be served."""
        engine = self._engine()
        if engine is None or engine.draining:
            return JSONResponse({"status": "shutting down"}, 503)
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > KEPT_SECONDS:
                self._known = (time.monotonic(), await self._look())
        checks = self._known[1]
        ready = all(found in {"ok", "in memory", "not begun"} for found in checks.values())
        return JSONResponse({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)

    async def _look(self) -> dict[str, str]:
        configured = self._settings.credentials() is not None
        return {
            "configuration": "ok" if configured else "credentials for Finexio are missing",
            "ledger": await self._look_at_ledger(),
            "tokens": await self._look_at_tokens(),
        }

    async def _look_at_ledger(self) -> str:
        place = locate(self._settings)
        if place.memory:
            return "in memory"
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                head = await anyio.to_thread.run_sync(_head, place, abandon_on_cancel=True)
        except TimeoutError:
            return "no answer in time"
        except Unusable as trouble:
            return trouble.kind.replace("_", " ")
        return "not begun" if head is None else "ok"

    async def _look_at_tokens(self) -> str:
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                await self._book.grants()
        except TimeoutError:
            return "no answer in time"
        except AccessUnavailable:
            return "cannot be read"
        return "ok"


def _head(place: Place) -> str | None:
    return consult(place, Store.head)
