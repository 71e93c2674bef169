"""The observer that keeps every call."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from finexio_mcp.calls import Ended, Observer
from finexio_mcp.settings import Settings

if TYPE_CHECKING:
    from finexio_mcp.audit.masked import Masked
    from finexio_mcp.audit.recorder import Recorder

DURABLE_SECONDS: Final = 2.0
"""How long the answer to a write waits for its entry."""
CLOSE_SECONDS: Final = 5.0


class AuditLog(Observer):
    """Keeps every call in the ledger's database, in a chain for each account.

    Nothing is opened, and SQLAlchemy is not imported, before the first call ended. Nobody waits for a read to be kept;
    the answer to a write waits until its entry is durable, unless that takes too long or the database is known to be
    away. What cannot be written waits in memory, and is written with its own time once it can be.

    Args:
        settings: Where the ledger is: as they were given, not as changed for a simulator inside the server.
        now: Milliseconds since 1970, for tests. Otherwise the host's clock.
        secrets: Texts that may never be kept, wherever they stand: what this server itself signs in with.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], int] | None = None,
        secrets: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._now = now or (lambda: time.time_ns() // 1_000_000)
        self._secrets = secrets
        self._masked: Masked | None = None
        self._recorder: Recorder | None = None

    @property
    def waiting(self) -> int:
        """Entries that are in memory only."""
        return self._recorder.waiting if self._recorder is not None else 0

    @property
    def lost(self) -> int:
        """Entries that were given up since the start; the audit says where."""
        return self._recorder.lost if self._recorder is not None else 0

    @property
    def failing(self) -> bool:
        """Whether nothing can be recorded at the moment."""
        return self._recorder.failing if self._recorder is not None else False

    async def ended(self, call: Ended) -> None:
        """Keep a call; one that may have changed something is waited for."""
        from finexio_mcp.audit.entries import of_call

        recorder, masked = self._ready()
        hurry = call.access != "read"
        done = recorder.add(of_call(call, masked), hurry=hurry)
        if hurry and not recorder.failing:
            with anyio.move_on_after(DURABLE_SECONDS):
                await asyncio.wrap_future(done)

    async def flush(self) -> None:
        """Wait until nothing waits any more; whoever calls this bounds it."""
        if self._recorder is not None:
            await asyncio.wrap_future(self._recorder.flush())

    async def aclose(self) -> None:
        """Write what waits, for five seconds at most. It may be used again."""
        if self._recorder is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(functools.partial(self._recorder.close, CLOSE_SECONDS))

    def _ready(self) -> tuple[Recorder, Masked]:
        if self._recorder is None or self._masked is None:
            from finexio_mcp.audit.masked import Masked
            from finexio_mcp.audit.recorder import Recorder
            from finexio_mcp.guards.ledger.place import home

            self._masked = Masked(self._secrets)
            self._recorder = Recorder(self._settings, home(self._settings), now=self._now)
        return self._recorder, self._masked
