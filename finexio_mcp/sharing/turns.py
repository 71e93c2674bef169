"""Turns that all servers take together, one row for each key, by the database's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from finexio_mcp.clock import Clock
from finexio_mcp.settings import Settings
from finexio_mcp.sharing.database import Database, row

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_AHEAD_MS: Final = 60_000.0
"""Nobody takes a turn that is further off. So one that is was taken before the database's clock was put back."""

# The turn that was taken last, not the next one that is free: so another interval holds at once.
TABLE: Final = """CREATE UNLOGGED TABLE IF NOT EXISTS shared_turns_1 (
    key text PRIMARY KEY,
    last_ms double precision NOT NULL
)"""

# One statement, so that the row's lock is held for no longer than it takes; its time stands still meanwhile.
_NOW: Final = "(extract(epoch FROM statement_timestamp()) * 1000)::double precision"
_LAST: Final = f"CASE WHEN t.last_ms > {_NOW} + :ahead_ms THEN {_NOW} ELSE t.last_ms END"
_NEXT: Final = f"greatest({_LAST} + :interval_ms, {_NOW} - :slack_ms)"
_TAKE: Final = f"""INSERT INTO shared_turns_1 AS t (key, last_ms) VALUES (:key, {_NOW} - :slack_ms)
ON CONFLICT (key) DO UPDATE SET last_ms = {_NEXT} WHERE {_NEXT} < {_NOW} + :latest_ms
RETURNING last_ms, last_ms - {_NOW}"""  # noqa: S608
_SEE: Final = f"SELECT {_NEXT} - {_NOW} FROM shared_turns_1 AS t WHERE key = :key"  # noqa: S608
_LEAVE: Final = """UPDATE shared_turns_1 SET last_ms = last_ms - :interval_ms
WHERE key = :key AND last_ms = :turn_ms"""


@dataclass(frozen=True)
class Turn:
    """A turn that was taken."""

    moment_ms: float
    """By the database's clock."""
    in_ms: float
    """How far off it was when it was taken; below zero: it could have been used before."""


class TooLate(Exception):
    """No turn was taken, since the next one comes too late."""

    def __init__(self, in_ms: float) -> None:
        super().__init__()
        self.in_ms = in_ms


class Turns:
    """The turns of this and all other servers on one PostgreSQL.

    Every method raises `Away` when it cannot be asked.

    Args:
        settings: Where it is.
        clock: Time, for what is not asked of it.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._database = Database(settings, TABLE, what="requests to Finexio", clock=clock)

    async def take(self, key: str, *, interval_ms: float, slack_ms: float, latest_ms: float) -> Turn:
        """Take the next turn.

        Args:
            key: Whose turns.
            interval_ms: From one turn to the next.
            slack_ms: How far the turn may lie back, which is what lets several come at once after a rest. Below zero:
                it comes no sooner than that from now.
            latest_ms: It has to come before that.

        Raises:
            TooLate: It does not; none was taken.
        """
        latest_ms = min(latest_ms, MOST_AHEAD_MS)
        if -slack_ms >= latest_ms:
            raise TooLate(-slack_ms)
        ahead_ms = MOST_AHEAD_MS + interval_ms
        values = {"key": key, "interval_ms": interval_ms, "slack_ms": slack_ms, "ahead_ms": ahead_ms}
        taken, in_ms = await self._database.ask(lambda connection: _take(connection, values, latest_ms))
        if taken is None:
            raise TooLate(in_ms)
        return Turn(taken, in_ms)

    async def leave(self, key: str, turn: Turn, *, interval_ms: float) -> None:
        """Give a turn back, unless another was taken since."""
        values = {"key": key, "interval_ms": interval_ms, "turn_ms": turn.moment_ms}
        await self._database.ask(lambda connection: _leave(connection, values))

    def close(self) -> None:
        """Let go of connections."""
        self._database.close()


def _take(connection: Connection, values: Mapping[str, object], latest_ms: float) -> tuple[float | None, float]:
    from sqlalchemy import text

    taken = row(connection, text(_TAKE), {**values, "latest_ms": latest_ms})
    if taken is not None:
        return taken
    seen = row(connection, text(_SEE), values)
    return None, seen[0] if seen is not None else latest_ms


def _leave(connection: Connection, values: Mapping[str, object]) -> None:
    from sqlalchemy import text

    connection.execute(text(_LEAVE), values)
