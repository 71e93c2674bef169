"""Whether the server lives, and whether it is ready: for those who keep it running, and without a secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, Protocol

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse

from finexio_mcp.access.book import AccessBook, AccessUnavailable
from finexio_mcp.accounts import Accounts
from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.guards.ledger.place import Place, key_of, locate
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.guards.ledger.trouble import PASSING, Unusable
from finexio_mcp.settings import Settings, SettingsError

KEPT_SECONDS = 2.0
"""An answer serves everybody who asks within this time, or probes from anywhere could keep the database busy."""
FIRST_SECONDS = 5.0
"""How long an answer is waited for while the server was never ready: its first look opens everything."""
PATIENCE_SECONDS = 0.5
"""And afterwards. Who probes waits a second at the least."""


class Finding(NamedTuple):
    """What one look came to."""

    text: str
    trouble: Literal["none", "passing", "lasting"] = "none"


MISSING = Finding("credentials for Finexio are missing", "lasting")
SILENT = Finding("no answer in time", "passing")


class Serving(Protocol):
    """What calls run on."""

    @property
    def draining(self) -> bool: ...


async def healthz(_request: Request) -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """Whether calls can be served: the ledger, the tokens, the configuration. Finexio is not asked.

    A server that was ready stays so in trouble that passes by itself. While the database is away reads go on; and were
    every replica taken out of service for that, nothing would.

    Args:
        settings: What the operator decides.
        book: The tokens.
        serving: From when on there is one, what calls run on.
        accounts: Those it serves, once it does; otherwise they are read here, if there is a file of them.
    """

    def __init__(
        self,
        settings: Settings,
        book: AccessBook,
        serving: Callable[[], Serving | None],
        accounts: Callable[[], Accounts] | None = None,
    ) -> None:
        self._settings, self._book, self._serving, self._accounts = settings, book, serving, accounts
        self._was_ready = False
        self._checks = {
            "configuration": _Check(self._look_at_configuration),
            "ledger": _Check(self._look_at_ledger),
            "tokens": _Check(self._look_at_tokens),
        }

    async def readyz(self, _request: Request) -> JSONResponse:
        """Answer with 503 unless calls can be served."""
        serving = self._serving()
        if serving is None or serving.draining:
            return JSONResponse({"status": "shutting down"}, 503)
        patience = PATIENCE_SECONDS if self._was_ready else FIRST_SECONDS
        found = await asyncio.gather(*(check.finding(patience) for check in self._checks.values()))
        troubles = {finding.trouble for finding in found}
        if troubles == {"none"}:
            self._was_ready = True
        served = self._was_ready and "lasting" not in troubles
        status = "not ready" if not served else "ready" if troubles == {"none"} else "degraded"
        checks = {name: finding.text for name, finding in zip(self._checks, found, strict=True)}
        return JSONResponse({"status": status, "checks": checks}, 200 if served else 503)

    async def _look_at_configuration(self) -> Finding:
        if self._settings.accounts_file is None:
            return Finding("ok") if self._settings.credentials() is not None else MISSING
        return await anyio.to_thread.run_sync(self._look_at_accounts)

    def _look_at_accounts(self) -> Finding:
        """A file that was spoilt while the server runs leaves it with the accounts that it had."""
        try:
            if self._accounts is None:
                own = Accounts(self._settings)
                self._accounts = lambda: own
            accounts = self._accounts()
        except SettingsError:
            return Finding("the accounts file cannot be used", "lasting")
        found = (accounts.find(name) for name in accounts.names())
        if not any(account is not None and account.login.credentials() is not None for account in found):
            return MISSING
        changed = accounts.trouble is not None
        return Finding("the accounts file cannot be used; what it said before holds", "passing") if changed else OK

    async def _look_at_ledger(self) -> Finding:
        place = locate(self._settings)
        if place.memory:
            return Finding("in memory")
        try:
            head = await anyio.to_thread.run_sync(_head, place, self._settings)
        except Unusable as trouble:
            return Finding(trouble.kind.replace("_", " "), "passing" if trouble.kind in PASSING else "lasting")
        return Finding("not begun") if head is None else OK

    async def _look_at_tokens(self) -> Finding:
        try:
            await self._book.check()
        except AccessUnavailable as trouble:
            return Finding("cannot be read", "passing" if trouble.retryable else "lasting")
        return OK


OK = Finding("ok")


class _Check:
    """One look at a time, whoever asks. One that takes too long goes on, and its answer is for those who ask later."""

    def __init__(self, look: Callable[[], Awaitable[Finding]]) -> None:
        self._look = look
        self._looking: asyncio.Task[Finding] | None = None
        self._known: tuple[float, Finding] | None = None

    async def finding(self, patience_seconds: float) -> Finding:
        """What was found within the last moments, or is found within this time."""
        if self._known is not None and time.monotonic() - self._known[0] <= KEPT_SECONDS:
            return self._known[1]
        if self._looking is None:
            self._looking = asyncio.create_task(self._find())
        looking = self._looking
        done, _ = await asyncio.wait({looking}, timeout=patience_seconds)
        return looking.result() if done else SILENT

    async def _find(self) -> Finding:
        try:
            found = await self._look()
            self._known = (time.monotonic(), found)
            return found
        finally:
            self._looking = None


def _head(place: Place, settings: Settings) -> str | None:
    def ask(store: Store) -> str:
        # With another key the ledger can be read, and every write is refused.
        store.check_key(key_of(place, settings))
        return store.head()

    return consult(place, ask)
