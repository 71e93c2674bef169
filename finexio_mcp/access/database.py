"""Connections to the database of grants, which is made when the first is written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from secrets import randbelow
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from finexio_mcp.access import schema
from finexio_mcp.guards.ledger.beside import is_begun, open_to_write
from finexio_mcp.guards.ledger.engines import BUSY_SECONDS, open_engine
from finexio_mcp.guards.ledger.place import Place
from finexio_mcp.settings import Settings

T = TypeVar("T")

LOCK: Final = 7130941206553


# To read ---------------------------------------------------------------------------


class Kept:
    """A connection for reading that is kept, since opening one costs more than asking.

    Each question is one statement, for nothing holds several together. One thread at a time.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._file_id: tuple[int, int] | None = None

    def ask(self, question: Callable[[Connection], T]) -> T | None:
        """The answer, or `None` if nothing was ever granted there.

        Raises:
            Exception: Of ours, SQLAlchemy or a driver: the database cannot be used.
        """
        if self._connection is not None and self._file_id != _file_id(self._place.file):
            # Moved or replaced: what was kept shows what nobody changes any more.
            self.close()
        # A kept connection to a server may have died long ago, and reading twice changes nothing.
        if self._connection is not None and self._place.file is None:
            with contextlib.suppress(Exception):
                return question(self._connection)
            self.close()
        connection = self._connection or self._open()
        if connection is None:
            return None
        try:
            return _patiently(lambda: question(connection))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go; the next question opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _open(self) -> Connection | None:
        place = self._place
        if not is_begun(place):
            return None
        # Looked at first: if it is replaced meanwhile, the next question finds another one.
        self._file_id = _file_id(place.file)
        self._engine = _reading(place.file) if place.file is not None else open_engine(place.url)
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            if _patiently(lambda: schema.is_there(connection)):
                return connection
        except BaseException:
            self.close()
            raise
        self.close()
        return None


def _reading(file: Path) -> Engine:
    address = f"{file.absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        # Used in one thread after the other. It may write, or it could not undo what a process left half done when it
        # ended; it does not.
        connection = sqlite3.connect(address, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA mmap_size = 0")
        except BaseException:
            connection.close()
            raise
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)


def _patiently(ask: Callable[[], T]) -> T:
    """Ask again at random moments while somebody commits: SQLite's own steps become long, and miss most gaps."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return ask()
        except OperationalError as error:
            if not _is_busy(error.orig) or time.monotonic() > give_up:
                raise
        time.sleep((1 + randbelow(5)) / 1000)


def _is_busy(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _file_id(file: Path | None) -> tuple[int, int] | None:
    if file is None:
        return None
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


# To write --------------------------------------------------------------------------


def open_writer(place: Place, settings: Settings) -> Engine:
    """What transactions that write begin with; database and tables are made where there never were any.

    Raises:
        Unusable: Saying what an operator should do. Other exceptions are the driver's.
    """
    return open_to_write(place, settings, _make_tables, lock=LOCK)


def _make_tables(connection: Connection) -> None:
    if not schema.is_there(connection):
        schema.build(connection)
