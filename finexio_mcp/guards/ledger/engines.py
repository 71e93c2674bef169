"""Connections to the ledger's database, set so that what is committed stays."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import NullPool, StaticPool

from finexio_mcp.guards.ledger.trouble import Unusable

BUSY_SECONDS = 5.0
"""How long a writer waits for another."""
WRITES: Final = "ledger_writes"
"""The execution option of connections whose transactions write."""

# With a rollback journal, only EXTRA also makes the journal's removal durable, and that is the commit.
_PRAGMAS: Final = (
    "PRAGMA synchronous = EXTRA",
    "PRAGMA fullfsync = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
)

# A server that stopped answering must not hold a write for longer than these together.
_POSTGRESQL: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_POSTGRESQL_OPTIONS: Final = (
    "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s -c timezone=UTC"
)


POOLED: Final = 4
MORE: Final = 4
"""Connections of a process that shares its pool: those that are kept, and those that are opened when all are in use."""


class Pools:
    """One engine for each PostgreSQL server, for all ledgers of a process, however many accounts there are.

    Writers wait for each other anyway, so a few connections are enough. Whoever finds all of them in use waits as
    long as for another writer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: dict[str, Engine] = {}

    def engine(self, url: str) -> Engine:
        """The engine of a server; whoever gets it does not close it."""
        with self._lock:
            engine = self._engines.get(url)
            if engine is None:
                engine = self._engines[url] = _postgresql(make_url(url), pooled=POOLED, more=MORE)
            return engine

    def close(self) -> None:
        """Let go of all connections; one that is in use goes when it is given back."""
        with self._lock:
            for engine in self._engines.values():
                engine.dispose()


def open_engine(url: str) -> Engine:
    """Make connections possible; none is opened, and no file is ever created.

    Args:
        url: `sqlite:////absolute/path`, `sqlite://` (in memory) or `postgresql+psycopg://...`.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return _postgresql(parsed)
    if parsed.database in (None, "", ":memory:"):
        return _sqlite(lambda: _connect(":memory:"), poolclass=StaticPool)
    return open_file(Path(parsed.database))


def open_file(path: Path) -> Engine:
    """The engine of a ledger in a file."""
    # Paths may hold anything; here nothing takes them apart.
    address = f"{path.absolute().as_uri()}?mode=rw"
    return _sqlite(lambda: _connect(address), poolclass=NullPool)


def put_in_place(path: Path, fill: Callable[[Engine], object]) -> None:
    """Put a new ledger in its place, whole or not at all; one that is there stays.

    Args:
        path: In a directory that is there.
        fill: Makes the ledger in an empty database.
    """
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600))
    try:
        fill(open_file(aside))
        # Unlike a rename, a link never takes another file's place.
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(address: str) -> sqlite3.Connection:
    memory = address == ":memory:"
    # No isolation level: transactions begin where we say so, and as we say.
    connection = sqlite3.connect(
        address, uri=not memory, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=not memory
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        mode: str = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    except BaseException:
        connection.close()
        raise
    if mode not in ("delete", "memory"):
        connection.close()
        raise Unusable("locked")
    return connection


def _sqlite(connect: Callable[[], sqlite3.Connection], **pool: Any) -> Engine:
    engine = create_engine("sqlite://", creator=connect, hide_parameters=True, **pool)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """A read that turns into a write fails when somebody else wrote meanwhile, so writers say so first."""
    if not connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql("BEGIN")
        return
    _begin_writing(cast(sqlite3.Connection, connection.connection.driver_connection))


def _begin_writing(connection: sqlite3.Connection) -> None:
    """Wait for the lock, asking at random moments: SQLite's own waiting starves whoever has waited longest."""
    connection.execute("PRAGMA busy_timeout = 0")
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep((1 + secrets.randbelow(10)) / 1000)
        else:
            break
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def _postgresql(url: URL, *, pooled: int = 2, more: int = 2) -> Engine:
    given = url.query.get("options", "")
    options = f"{given if isinstance(given, str) else ' '.join(given)} {_POSTGRESQL_OPTIONS}".strip()
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=pooled,
        max_overflow=more,
        pool_timeout=BUSY_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={**_POSTGRESQL, "options": options},
    )
