"""Connections to the database of the audit, which is made when the first entry is written."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine

from finexio_mcp.audit import schema
from finexio_mcp.guards.ledger.beside import is_begun, open_database, open_to_write
from finexio_mcp.guards.ledger.place import Place
from finexio_mcp.settings import Settings

LOCK: Final = 7130941206554


def open_writer(place: Place, settings: Settings) -> Engine:
    """What transactions that write begin with; database and tables are made where there never were any.

    Raises:
        Unusable: Saying what an operator should do. Other exceptions are the driver's.
    """
    return open_to_write(place, settings, _make_tables, lock=LOCK)


def open_reader(place: Place) -> Engine | None:
    """What transactions that only read begin with; `None` if there is no database yet, or nothing in it.

    Raises:
        Unusable: Saying what an operator should do. Other exceptions are the driver's.
    """
    if not is_begun(place):
        return None
    engine = open_database(place)
    if place.file is None:
        # One snapshot for all that one transaction reads; in SQLite every transaction is that.
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    try:
        with engine.begin() as connection:
            if schema.database_id(connection) is not None:
                return engine
    except BaseException:
        engine.dispose()
        raise
    engine.dispose()
    return None


def _make_tables(connection: Connection) -> None:
    if schema.database_id(connection) is None:
        schema.build(connection)
