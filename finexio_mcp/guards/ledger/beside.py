"""Tables of others in the ledger's database, which is begun with them where there never was one."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from sqlalchemy import Connection, Engine, text

from finexio_mcp.guards.ledger.engines import WRITES, open_engine, open_file, put_in_place
from finexio_mcp.guards.ledger.place import Place, is_new, peek, prepare
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.settings import Settings

_ONE_CREATOR = text("SELECT pg_advisory_xact_lock(:number)")

logger = logging.getLogger("finexio_mcp.ledger")

Make = Callable[[Connection], None]
"""Makes tables in the transaction that is open, unless they are there."""


def open_database(place: Place) -> Engine:
    """Make connections possible; none is opened, and nothing is created."""
    return open_file(place.file) if place.file is not None else open_engine(place.url)


def open_to_write(place: Place, settings: Settings, make: Make, *, lock: int) -> Engine:
    """What transactions that write begin with; database and tables are made where there never were any.

    Args:
        place: From `home`.
        settings: For the key of a ledger that is begun.
        make: Makes the tables.
        lock: Any number, as long as every process uses the same for these tables.

    Raises:
        Unusable: Saying what an operator should do. Other exceptions are the driver's.
    """

    def made(engine: Engine) -> Engine:
        engine = engine.execution_options(**{WRITES: True})
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_ONE_CREATOR, {"number": lock})
            make(connection)
        return engine

    if place.file is not None and place.key_file is None:
        _make_simulated(place.file, made)
    else:
        _make_ledger(place, settings)
    engine = open_database(place)
    try:
        return made(engine)
    except BaseException:
        engine.dispose()
        raise


def is_begun(place: Place) -> bool:
    """Whether there is a database to look into.

    Raises:
        Unusable: There should be one.
    """
    if place.trouble is not None:
        raise Unusable(place.trouble)
    if place.file is None or place.key_file is None:
        return place.file is None or place.file.exists()
    peeked = peek(place)
    if peeked is None:
        return False
    # What a writer that died left locked is mended by the next opening that may write, as all here may.
    if peeked.trouble not in (None, "locked"):
        raise Unusable(peeked.trouble)
    return True


def _make_ledger(place: Place, settings: Settings) -> None:
    """Begin the ledger where there is none: a file without its tables would be taken for a damaged one."""
    key = prepare(place, settings)
    if not is_new(place):
        is_begun(place)
        return
    from finexio_mcp.guards.ledger.store import open_store

    with contextlib.closing(open_store(place, owner=token_hex(8))) as store:
        store.recognise_key(key)
    logger.warning("a new, empty ledger was begun; if there was one before, stop and restore it")


def _make_simulated(file: Path, fill: Callable[[Engine], object]) -> None:
    directory = file.parent
    for path in (*reversed(directory.parents), directory):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    if os.name == "posix" and not directory.is_symlink():
        os.chmod(directory, 0o700)
    if not file.exists():
        put_in_place(file, fill)
