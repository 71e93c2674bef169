"""The audit as those see it who look: in pages, so that nobody who writes waits for them, and memory stays flat."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Engine, RowMapping, and_, func, or_, select

from finexio_mcp.audit import chain, schema
from finexio_mcp.audit.chain import Head, Removal, Walk
from finexio_mcp.audit.database import open_reader
from finexio_mcp.audit.schema import ENTRIES, HEADS
from finexio_mcp.guards.ledger.place import Place, describe
from finexio_mcp.guards.ledger.trouble import Unusable, explain, is_foreign

PAGE: Final = 2_000

_E: Final = ENTRIES.c
_H: Final = HEADS.c


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which entries; `None` stands for all."""

    account: str | None = None
    caller: str | None = None
    """A name, a key, or the id of a token or a sign-in."""
    tool: str | None = None
    outcome: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    """Before this moment."""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """For a query."""
        if self.account is not None:
            yield _E.account == self.account
        if self.caller is not None:
            keys = (self.caller, *(f"{kind}:{self.caller}" for kind in ("token", "oauth")))
            yield or_(_E.caller_name == self.caller, _E.caller_key.in_(keys))
        if self.tool is not None:
            yield _E.tool == self.tool
        if self.outcome is not None:
            yield _E.outcome == self.outcome
        if self.since_ms is not None:
            yield _E.at_ms >= self.since_ms
        if self.until_ms is not None:
            yield _E.at_ms < self.until_ms

    def fields(self) -> dict[str, Any]:
        """What was asked for."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Verified:
    """What a check of one chain found."""

    head: Head
    entries: int
    problems: tuple[str, ...]
    first_ms: int | None = None
    """When the first entry that is there came."""
    removals: tuple[Removal, ...] = ()

    @classmethod
    def of(cls, head: Head, walk: Walk) -> Self:
        """What a walk to its end found."""
        return cls(head, walk.entries, tuple(walk.problems), walk.first_ms, tuple(walk.removals))


class Moved(Exception):
    """What was being read has been removed meanwhile, since it is too old."""


class Reader:
    """The audit, read only.

    Args:
        engine: From `open_reader`.
        scope: Origin and base path of the API that was called.
    """

    def __init__(self, engine: Engine, *, scope: str) -> None:
        self._engine = engine
        self.scope = scope
        with engine.begin() as connection:
            self.database_id = schema.database_id(connection) or ""
            self.unguarded = schema.missing_guards(connection)

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    def newest(self, chosen: Filter, limit: int) -> Iterator[RowMapping]:
        """Entries, newest first."""
        query = select(ENTRIES).where(_E.scope == self.scope, *chosen.conditions())
        query = query.order_by(_E.at_ms.desc(), _E.account, _E.seq.desc())
        last: RowMapping | None = None
        while limit > 0:
            page = query.limit(min(limit, PAGE))
            if last is not None:
                page = page.where(_after(last))
            with self._engine.begin() as connection:
                rows = connection.execute(page).mappings().all()
            yield from rows
            if len(rows) < min(limit, PAGE):
                return
            limit -= len(rows)
            last = rows[-1]

    def heads(self, account: str | None = None) -> list[Head]:
        """The chains of this Finexio."""
        query = select(HEADS).where(_H.scope == self.scope).order_by(_H.account)
        if account is not None:
            query = query.where(_H.account == account)
        with self._engine.begin() as connection:
            return [Head(**row) for row in connection.execute(query).mappings()]

    def knows_tool(self, name: str) -> bool:
        """Whether a call of it was recorded, perhaps by an earlier version that had it."""
        query = select(_E.seq).where(_E.scope == self.scope, _E.tool == name).limit(1)
        with self._engine.begin() as connection:
            return connection.execute(query).first() is not None

    def entries(self, head: Head, chosen: Filter | None = None) -> Iterator[RowMapping]:
        """The entries of a chain up to a head, in its order.

        Raises:
            Moved: Some of them were removed meanwhile.
        """
        query = _of_chain(head).where(_E.seq <= head.seq, *(chosen.conditions() if chosen is not None else ()))
        seq = 0
        while True:
            with self._engine.begin() as connection:
                rows = connection.execute(query.where(_E.seq > seq).limit(PAGE)).mappings().all()
                first = connection.execute(_head(head)).mappings().one()["first_seq"]
            if first != head.first_seq:
                raise Moved
            yield from rows
            if len(rows) < PAGE:
                return
            seq = rows[-1]["seq"]

    # Verifying -----------------------------------------------------------------

    def verify(self, account: str | None = None) -> Iterator[Verified]:
        """Check every chain in the database, or those of one account of this Finexio."""
        for scope, name in list(self._chains()):
            if account is None or (scope, name) == (self.scope, account):
                yield self._verify(scope, name)

    def _chains(self) -> Iterator[tuple[str, str]]:
        """Those of heads, and those of entries whose head somebody removed."""
        with self._engine.begin() as connection:
            found = {(row.scope, row.account) for row in connection.execute(select(_H.scope, _H.account))}
            last: tuple[str, str] | None = None
            while True:
                query = select(_E.scope, _E.account).order_by(_E.scope, _E.account).limit(1)
                if last is not None:
                    query = query.where(or_(_E.scope > last[0], and_(_E.scope == last[0], _E.account > last[1])))
                row = connection.execute(query).one_or_none()
                if row is None:
                    break
                last = (row.scope, row.account)
                found.add(last)
        return iter(sorted(found))

    def _verify(self, scope: str, account: str) -> Verified:
        start = chain.genesis(self.database_id, scope, account)
        head = self._head(scope, account)
        if head is None:
            none = Head(scope, account, 0, "", 1, start)
            return Verified(none, 0, ("head: missing",))
        walk = Walk(start, head)
        while True:
            # The head as well, in the same snapshot: what is too old may go while we read.
            with self._engine.begin() as connection:
                now = Head(**connection.execute(_head(head)).mappings().one())
                query = _of_chain(head).where(_E.seq > walk.seq).limit(PAGE)
                rows = connection.execute(query).mappings().all()
                last = connection.execute(select(func.max(_E.seq)).where(*_chain(head))).scalar_one() or 0
            if now.first_seq > walk.head.first_seq and now.first_seq > walk.seq + 1:
                walk.begin(now)
                continue
            for row in rows:
                walk.read(row)
            if walk.seq >= max(last, now.seq) or not rows:
                walk.end(now)
                return Verified.of(now, walk)

    def _head(self, scope: str, account: str) -> Head | None:
        with self._engine.begin() as connection:
            query = select(HEADS).where(_H.scope == scope, _H.account == account)
            found = connection.execute(query).mappings().one_or_none()
        return Head(**found) if found is not None else None


def no_chain(reader: Reader, account: str) -> str:
    """What is said of an account that was never called for."""
    there = ", ".join(head.account for head in reader.heads()) or "none"
    return f"No call for the account {account!r} was ever recorded. Accounts with calls: {there}."


@contextmanager
def reading(place: Place) -> Generator[Reader | None]:
    """Look into an audit that is there; `None` if nothing was ever recorded.

    Raises:
        Unusable: Saying what an operator should do, and where.
    """
    try:
        reader = _open(place)
    except Exception as error:
        raise _explained(error, place) from None
    if reader is None:
        yield None
        return
    with closing(reader):
        try:
            yield reader
        except Exception as error:
            # What is read is also written somewhere, and that may fail as well.
            if isinstance(error, OSError):
                raise
            raise _explained(error, place) from None


def _open(place: Place) -> Reader | None:
    engine = open_reader(place)
    return Reader(engine, scope=place.scope) if engine is not None else None


def _explained(error: Exception, place: Place) -> Exception:
    """What a failing database means; a mistake of ours stays one. A driver's exception holds the connection."""
    if isinstance(error, Unusable):
        return _placed(error, place)
    return _placed(explain(error, file=place.file), place) if is_foreign(error) else error


def _placed(trouble: Unusable, place: Place) -> Unusable:
    where = describe(place)
    return trouble if where in trouble.advice else Unusable(trouble.kind, f"{trouble.advice} (The audit: {where})")


def _after(row: RowMapping) -> ColumnElement[bool]:
    """Later in the order of `newest`."""
    same_time = _E.at_ms == row["at_ms"]
    further = or_(_E.account > row["account"], and_(_E.account == row["account"], _E.seq < row["seq"]))
    return or_(_E.at_ms < row["at_ms"], and_(same_time, further))


def _chain(head: Head) -> tuple[ColumnElement[bool], ...]:
    return _E.scope == head.scope, _E.account == head.account


def _of_chain(head: Head) -> Any:
    return select(ENTRIES).where(*_chain(head)).order_by(_E.seq)


def _head(head: Head) -> Any:
    return select(HEADS).where(_H.scope == head.scope, _H.account == head.account)
