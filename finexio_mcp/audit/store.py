"""The transactions that add to the audit, and those that remove what is old: each does all that it says, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from finexio_mcp.audit import chain, schema
from finexio_mcp.audit.chain import DAY_MS, Head, Removal
from finexio_mcp.audit.entries import Entry, of_server
from finexio_mcp.audit.schema import ENTRIES, HEADS
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.guards.ledger.trouble import Unusable

PORTION: Final = 10_000
"""How many entries one transaction removes: payments may wait for its lock."""

_E: Final = ENTRIES.c
_H: Final = HEADS.c
_CHAIN: Final = (_E.scope == bindparam("scope"), _E.account == bindparam("account"))
_HEAD: Final = select(HEADS).where(_H.scope == bindparam("scope"), _H.account == bindparam("account"))
_LAST: Final = select(func.max(_E.seq)).where(*_CHAIN)
_SAID: Final = tuple(_E[field.name] for field in fields(Entry))
"""All that an entry says; the rest is its place."""
_THERE: Final = select(*_SAID).where(
    *_CHAIN, _E.seq > bindparam("after"), _E.request_id.in_(bindparam("ids", expanding=True))
)
_OLDEST: Final = select(_E.seq, _E.at_ms, _E.hash).where(*_CHAIN, _E.seq >= bindparam("first")).order_by(_E.seq)


class Store:
    """The audit, as one process adds to it.

    Every transaction locks the heads of the chains that it adds to, in their order, so that processes and hosts go one
    after the other.

    Args:
        engine: From `open_writer`.
        scope: Origin and base path of the API that was called. Chains of others are not touched.
        ended: Where chains ended before an attempt that failed, by account. Kept by whoever tries again.
    """

    def __init__(self, engine: Engine, *, scope: str, ended: dict[str, int] | None = None) -> None:
        self._engine = engine
        self._scope = scope
        self._ended = {} if ended is None else ended
        with engine.begin() as connection:
            self._database_id = _known(schema.database_id(connection))
            self.unguarded = schema.missing_guards(connection)
        self.astray: set[str] = set()
        """Accounts whose head was not where their entries end: somebody changed one of the two."""

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    def heads(self) -> list[Head]:
        """Every chain, as it stands."""
        query = select(HEADS).where(_H.scope == self._scope).order_by(_H.account)
        with self._engine.begin() as connection:
            return [Head(**row) for row in connection.execute(query).mappings()]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries to the chains of their accounts, in the order given; after a failure, those that are missing."""
        by_account: dict[str, list[Entry]] = {}
        for entry in entries:
            by_account.setdefault(entry.account, []).append(entry)
        with self._engine.begin() as connection:
            for account, own in sorted(by_account.items()):
                head = self._locked(connection, account)
                own = self._not_there(connection, account, own)
                # Before the first row: afterwards the connection may be gone at any moment.
                self._ended.setdefault(account, head.seq)
                self._add(connection, head, own)
        self._ended.clear()

    def retain(self, days: int, *, at_ms: int) -> tuple[str, Removal] | None:
        """Remove what is older than so many days, from the beginning of each chain: a portion of one of them.

        Returns:
            Of which account, and what its chain tells of it; `None` if nothing is too old any more.
        """
        for head in self.heads():
            if self._is_old(head, at_ms - days * DAY_MS):
                with self._engine.begin() as connection:
                    told = self._remove(connection, self._locked(connection, head.account), days, at_ms)
                # Otherwise somebody else was faster.
                if told is not None:
                    return head.account, told
        return None

    # Parts ---------------------------------------------------------------------

    def _locked(self, connection: Connection, account: str) -> Head:
        """The head of a chain, which is begun if there is none; nobody else adds to it until we are done."""
        key = {"scope": self._scope, "account": account}
        found = connection.execute(_HEAD.with_for_update(), key).mappings().one_or_none()
        if found is None:
            start = chain.genesis(self._database_id, self._scope, account)
            new = {**key, "seq": 0, "hash": start, "first_seq": 1, "before_first": start}
            _begin_chain(connection, new)
            found = connection.execute(_HEAD.with_for_update(), key).mappings().one()
        return Head(**found)

    def _not_there(self, connection: Connection, account: str, entries: Sequence[Entry]) -> list[Entry]:
        """Those that an attempt whose answer was lost did not add: by all that they say, not by a name alone."""
        if account not in self._ended:
            return list(entries)
        asked = {
            "scope": self._scope,
            "account": account,
            "after": self._ended[account],
            "ids": [entry.request_id for entry in entries],
        }
        there = Counter(Entry(**row) for row in connection.execute(_THERE, asked).mappings())
        missing: list[Entry] = []
        for entry in entries:
            if there[entry] > 0:
                there[entry] -= 1
            else:
                missing.append(entry)
        return missing

    def _add(self, connection: Connection, head: Head, entries: Sequence[Entry]) -> str:
        """Add to a chain whose head is locked, and say where it ends now."""
        if not entries:
            return head.hash
        key = {"scope": self._scope, "account": head.account}
        last: int = connection.execute(_LAST, key).scalar_one() or 0
        if last != head.seq:
            # The audit goes on, and `verify` shows for ever where it broke.
            self.astray.add(head.account)
        rows = [
            *chain.chained(
                ({"scope": self._scope, **entry.values()} for entry in entries),
                seq=max(last, head.seq),
                previous=head.hash,
            )
        ]
        connection.execute(insert(ENTRIES), rows)
        self._move(connection, head, {"seq": rows[-1]["seq"], "hash": rows[-1]["hash"]})
        return rows[-1]["hash"]

    def _move(self, connection: Connection, head: Head, values: Mapping[str, int | str]) -> None:
        here = (_H.scope == self._scope, _H.account == head.account)
        if connection.execute(update(HEADS).where(*here).values(**values)).rowcount != 1:
            raise Unusable("inconsistent")

    def _is_old(self, head: Head, before_ms: int) -> bool:
        key = {"scope": self._scope, "account": head.account, "first": head.first_seq}
        with self._engine.connect() as connection:
            oldest = connection.execute(_OLDEST.limit(1), key).one_or_none()
        return oldest is not None and oldest.at_ms < before_ms

    def _remove(self, connection: Connection, head: Head, days: int, at_ms: int) -> Removal | None:
        key = {"scope": self._scope, "account": head.account, "first": head.first_seq}
        old = connection.execute(_OLDEST.limit(PORTION), key).all()
        keep = next((index for index, row in enumerate(old) if row.at_ms >= at_ms - days * DAY_MS), len(old))
        old = old[:keep]
        if not old:
            return None
        times = [row.at_ms for row in old]
        facts = {
            "removed": len(old),
            "first_seq": head.first_seq,
            "last_seq": old[-1].seq,
            "from": moment(min(times)),
            "to": moment(max(times)),
            "days": days,
            "follows": old[-1].hash,
        }
        told = of_server(head.account, "retention", "removed", facts, at_ms=at_ms, failed=False)
        seq = max(connection.execute(_LAST, key).scalar_one(), head.seq) + 1
        row = next(chain.chained([{"scope": self._scope, **told.values()}], seq=seq - 1, previous=head.hash))
        connection.execute(insert(ENTRIES), [row])
        begins = {"first_seq": old[-1].seq + 1, "before_first": old[-1].hash}
        self._move(connection, head, {"seq": seq, "hash": row["hash"], **begins})
        own = (_E.scope == self._scope, _E.account == head.account)
        connection.execute(delete(ENTRIES).where(*own, _E.seq <= old[-1].seq))
        return Removal.of(row)


def _known(database_id: str | None) -> str:
    if database_id is None:
        raise Unusable("damaged")
    return database_id


def _begin_chain(connection: Connection, values: Mapping[str, int | str]) -> None:
    """Make a head, unless somebody else just did."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_into
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_into
    connection.execute(insert_into(HEADS).values(**values).on_conflict_do_nothing())
