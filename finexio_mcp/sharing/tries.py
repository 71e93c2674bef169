"""Tries that all servers count together: so many in a stretch of time, and then none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from finexio_mcp.clock import Clock
from finexio_mcp.guards.ledger.place import scope_of
from finexio_mcp.settings import Settings
from finexio_mcp.sharing.database import Database, row

if TYPE_CHECKING:
    from sqlalchemy import Connection

SWEEP_SECONDS: Final = 60.0

TABLE: Final = """CREATE UNLOGGED TABLE IF NOT EXISTS shared_tries_1 (
    key text PRIMARY KEY,
    moments_ms double precision[] NOT NULL,
    until_ms double precision NOT NULL
)"""

_NOW: Final = "(extract(epoch FROM statement_timestamp()) * 1000)::double precision"
# A clock that was put back leaves moments that are yet to come, and nobody should wait for those.
_COUNTED: Final = f"unnest(t.moments_ms) AS moment WHERE moment > {_NOW} - :window_ms AND moment <= {_NOW}"
_TAKE: Final = f"""INSERT INTO shared_tries_1 AS t (key, moments_ms, until_ms)
VALUES (:key, ARRAY[{_NOW}], {_NOW} + :window_ms)
ON CONFLICT (key) DO UPDATE
SET moments_ms = ARRAY(SELECT moment FROM {_COUNTED}) || {_NOW}, until_ms = {_NOW} + :window_ms
WHERE (SELECT count(*) FROM {_COUNTED}) < :most
RETURNING cardinality(moments_ms)"""  # noqa: S608
_SWEEP: Final = f"DELETE FROM shared_tries_1 WHERE until_ms < {_NOW}"  # noqa: S608


class Tries:
    """The tries of this and all other servers on one PostgreSQL.

    Args:
        settings: Where it is.
        clock: Time, for what is not asked of it.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._scope = scope_of(settings.api_url)
        self._database = Database(settings, TABLE, what="tries to sign in", clock=self._clock)
        self._sweep_at = self._clock.monotonic()

    async def take(self, what: str, who: str, *, most: int, window_seconds: float) -> int | None:
        """Use one up, if there is one left.

        Args:
            what: Of what.
            who: Whose.
            most: How many there may be in any stretch as long as the window.
            window_seconds: How long that is.

        Returns:
            How many are left after this one; `None`: there was none.

        Raises:
            Away: PostgreSQL cannot be asked.
        """
        # Addresses of people are nobody's business, not even here.
        key = hashlib.sha256(f"{self._scope} {what} {who}".encode()).hexdigest()
        values = {"key": key, "window_ms": window_seconds * 1000, "most": most}
        now = self._clock.monotonic()
        sweeps = now >= self._sweep_at
        if sweeps:
            self._sweep_at = now + SWEEP_SECONDS
        used = await self._database.ask(lambda connection: _take(connection, values, sweeps=sweeps))
        return None if used is None else max(0, most - used)

    def close(self) -> None:
        """Let go of connections."""
        self._database.close()


def _take(connection: Connection, values: Mapping[str, object], *, sweeps: bool) -> int | None:
    from sqlalchemy import text

    if sweeps:
        connection.execute(text(_SWEEP))
    taken = row(connection, text(_TAKE), values)
    return taken[0] if taken is not None else None
