"""The ledger for those who only want to look at it: opened where it is there, and never made."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar

from finexio_mcp.guards.ledger.place import Place, describe, peek
from finexio_mcp.guards.ledger.trouble import Unusable, explain, is_foreign

if TYPE_CHECKING:
    from finexio_mcp.guards.ledger.store import Store

T = TypeVar("T")


def consult(place: Place, ask: Callable[[Store], T], *, account: str | None = None) -> T | None:
    """Ask a ledger that is there; `None` if there is none yet, or it lives in a server's memory.

    Args:
        place: Where it would be.
        ask: What to ask.
        account: Only of this one's submissions; `None`: of all.

    Raises:
        Unusable: Saying what an operator should do, and where.
    """
    store: Store | None = None
    try:
        store = _open(place, account)
        return ask(store) if store is not None else None
    except Unusable as trouble:
        raise _placed(trouble, place) from None
    except Exception as error:
        if not is_foreign(error) and not isinstance(error, UnicodeError):
            raise
        # Not even as a cause: a driver's exception holds the connection, password included.
        raise _placed(explain(error, file=place.file), place) from None
    finally:
        if store is not None:
            store.close()


def _open(place: Place, account: str | None) -> Store | None:
    if place.trouble is not None:
        raise Unusable(place.trouble)
    if place.memory:
        return None
    if place.file is not None:
        peeked = peek(place)
        if peeked is None:
            return None
        # What a writer that died left locked is mended by the next opening that may write.
        if peeked.trouble not in (None, "locked"):
            raise Unusable(peeked.trouble)
    from finexio_mcp.guards.ledger import schema
    from finexio_mcp.guards.ledger.engines import open_engine, open_file
    from finexio_mcp.guards.ledger.store import Store

    engine = open_file(place.file) if place.file is not None else open_engine(place.url)
    if place.file is None:
        with engine.connect() as connection:
            begun = schema.present(connection) & set(schema.METADATA.tables)
        if not begun:
            engine.dispose()
            return None
    store = Store(engine, scope=place.scope, account=account, owner=token_hex(8))
    store.check()
    return store


def _placed(trouble: Unusable, place: Place) -> Unusable:
    where = describe(place)
    return trouble if where in trouble.advice else Unusable(trouble.kind, f"{trouble.advice} (The ledger: {where})")
