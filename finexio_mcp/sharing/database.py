"""Connections for what servers count together: few, short-lived in their questions, and nobody else's.

The tables are `UNLOGGED` and nothing waits for the disk. They hold what is true for seconds: losing them in a crash
costs a burst of requests, or a few tries more, and that is less than a disk write for each request to Finexio.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread

from finexio_mcp.clock import Clock
from finexio_mcp.guards.ledger.place import locate
from finexio_mcp.guards.ledger.trouble import Unusable, explain, is_foreign
from finexio_mcp.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, TextClause

T = TypeVar("T")

ANSWER_SECONDS: Final = 0.5
"""How long a question may hold up whoever asks."""
FIRST_ANSWER_SECONDS: Final = 2.0
"""The same for the first one, which finds no connection and maybe no table."""
REST_SECONDS: Final = 5.0
"""After a failure nobody asks again for this long."""
AT_ONCE: Final = 2
# A thread that nobody waits for any more still has to end before the next question.
_CONNECT: Final = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 2_000,
}
_OPTIONS: Final = "-c statement_timeout=1s -c lock_timeout=500ms -c synchronous_commit=off -c timezone=UTC"
# Any number will do, as long as every process uses the same.
_ONE_CREATOR: Final = "SELECT pg_advisory_xact_lock(7130941206554)"
_NO_SUCH_TABLE: Final = "42P01"

logger = logging.getLogger("finexio_mcp.sharing")


class Away(Exception):
    """PostgreSQL cannot be asked now."""


class Database:
    """Asks one question at a time and never for long; makes its table when it is not there.

    Args:
        settings: Where the ledger is, which has to be a PostgreSQL.
        table: What makes the table. Its name holds a number, which goes up when the columns change: servers of two
            versions count apart then, for as long as both run.
        what: For the log, which hears of the first failure and of the end of a series.
        clock: Time.
    """

    def __init__(self, settings: Settings, table: str, *, what: str, clock: Clock | None = None) -> None:
        self._url = locate(settings).url
        self._table = table
        self._what = what
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._finalizer: Callable[[], object] | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._is_away = False
        self._rest_until = 0.0
        self._patience_seconds = FIRST_ANSWER_SECONDS

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer. A caller who leaves waits for it too, so that what was taken can be given back.

        Args:
            question: Asked in a thread; each statement in it is a transaction of its own.

        Raises:
            Away: There is none, or none soon enough. It is not known whether anything was done.
        """
        if self._is_away and self._clock.monotonic() < self._rest_until:
            raise Away
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        if self._engine is None:
            # The import takes longer than any answer may.
            await anyio.to_thread.run_sync(self._open, limiter=self._limiter)
        seconds, self._patience_seconds = self._patience_seconds, ANSWER_SECONDS
        try:
            with anyio.fail_after(seconds, shield=True):
                answer = await anyio.to_thread.run_sync(
                    self._ask, question, limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError:
            raise self._failed("no answer in time") from None
        except Exception as error:
            if not isinstance(error, Unusable) and not is_foreign(error):
                raise
            # Not even as a cause: a driver's exception holds the connection, password included.
            raise self._failed(explain(error).kind) from None
        if self._is_away:
            self._is_away = False
            logger.warning("%s can be counted together with other servers again", self._what)
        return answer

    def close(self) -> None:
        """Let go of connections; the next question opens them again."""
        with self._lock:
            self._engine = None
            if self._finalizer is not None:
                self._finalizer()

    def _failed(self, why: str) -> Away:
        self._rest_until = self._clock.monotonic() + REST_SECONDS
        if not self._is_away:
            self._is_away = True
            logger.warning(
                "%s cannot be counted together with other servers (%s); this one counts alone", self._what, why
            )
        return Away()

    # In threads --------------------------------------------------------------------

    def _ask(self, question: Callable[[Connection], T]) -> T:
        from sqlalchemy.exc import DBAPIError

        engine = self._open()
        try:
            return self._asked(engine, question)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _NO_SUCH_TABLE:
                self._make_table(engine)
            elif not error.connection_invalidated:
                raise
            # A kept connection may have died long ago. Asking twice takes two turns at worst, and so sends less.
            return self._asked(engine, question)

    def _asked(self, engine: Engine, question: Callable[[Connection], T]) -> T:
        with engine.connect() as connection:
            try:
                return question(connection)
            finally:
                if engine is not self._engine:
                    # Closed meanwhile: there is no pool that it could go back to.
                    connection.invalidate()

    def _make_table(self, engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
            connection.exec_driver_sql(_ONE_CREATOR)
            connection.exec_driver_sql(self._table)

    def _open(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = _engine(self._url)
                # Where nobody closes it, no connection is left behind either.
                self._finalizer = weakref.finalize(self, self._engine.dispose)
            return self._engine


def row(connection: Connection, statement: TextClause, values: Mapping[str, object]) -> Any:
    """The one row of a statement, or `None`."""
    return connection.execute(statement, values).one_or_none()


def _engine(url: str) -> Engine:
    """Connections that commit each statement by itself."""
    from sqlalchemy import create_engine, make_url

    parsed = make_url(url)
    given = parsed.query.get("options", "")
    options = f"{given if isinstance(given, str) else ' '.join(given)} {_OPTIONS}".strip()
    return create_engine(
        parsed,
        isolation_level="AUTOCOMMIT",
        pool_size=AT_ONCE,
        max_overflow=0,
        pool_timeout=ANSWER_SECONDS,
        pool_reset_on_return=None,
        hide_parameters=True,
        connect_args={**_CONNECT, "options": options},
    )
