"""The ledger's statements: each method of `Store` is one transaction."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from finexio_mcp.guards.ledger import chain, likeness, moves, schema, stored
from finexio_mcp.guards.ledger.engines import WRITES, open_engine, open_file, put_in_place
from finexio_mcp.guards.ledger.place import Place, is_new, seal
from finexio_mcp.guards.ledger.rows import (
    Claim,
    Event,
    Look,
    Near,
    Outcome,
    Rules,
    Submission,
    Verified,
    Wanted,
)
from finexio_mcp.guards.ledger.schema import EVENTS, HEAD, OLD_VERSION, SUBMISSIONS, VERSION
from finexio_mcp.guards.ledger.seen import Mark, Seen
from finexio_mcp.guards.ledger.states import OPEN, Effect, State
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.settings import DEFAULT_ACCOUNT

__all__ = ["Store", "Unresolvable", "create_file", "open_engine", "open_store"]

logger = logging.getLogger("finexio_mcp.ledger")

DAY_MS: Final = 24 * 60 * 60 * 1000
MAX_NEAR: Final = 3
"""Near-duplicates that are told of, for each row that is wanted."""
MAX_NOTE: Final = 500
MAX_PROBLEMS: Final = 100
CHUNK: Final = 2000

_CLOCK: Final = {
    "sqlite": text("SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"),
    "postgresql": text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"),
}
# Any number will do, as long as every process uses the same.
_ONE_CREATOR: Final = text("SELECT pg_advisory_xact_lock(7130941206552)")

_S: Final = SUBMISSIONS.c
_COLUMNS: Final[Sequence[ColumnElement[Any]]] = tuple(_S)
_OLD_COLUMNS: Final[Sequence[ColumnElement[Any]]] = tuple(
    literal(schema.BEFORE_ACCOUNTS[column.name]).label(column.name) if column.name in schema.BEFORE_ACCOUNTS else column
    for column in _S
)
"""The same of a ledger of version 1."""
_MOVE: Final = (
    update(SUBMISSIONS)
    .where(
        _S.id == bindparam("b_id"),
        _S.state == bindparam("b_state"),
        _S.owner.is_not_distinct_from(bindparam("b_owner")),
    )
    .values({name: bindparam(name) for name in stored.CHANGING})
)


class Unresolvable(Exception):
    """A person's word that the ledger cannot take; the message says why."""


@dataclass
class Writing:
    """A transaction that holds the head, and what it will add to the chain."""

    connection: Connection
    head: RowMapping
    now_ms: int
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def open_store(
    place: Place,
    *,
    owner: str,
    account: str | None = DEFAULT_ACCOUNT,
    engine: Engine | None = None,
    seen: Seen | None = None,
    now: Callable[[], int] | None = None,
) -> Store:
    """The store of a place that was prepared; made there if there never was one.

    Args:
        place: What `locate` found.
        owner: A random name of this process.
        account: See `Store`.
        engine: Connections that others use too; `None` makes some.
        seen: See `Store`.
        now: See `Store`.

    Raises:
        Unusable: Saying what an operator should do.
    """
    if place.file is None:
        engine = engine or open_engine(place.url)
        store = Store(engine, scope=place.scope, account=account, owner=owner, seen=seen, now=now)
        store.create()
        return store
    if is_new(place):
        create_file(place.file)
    store = Store(open_file(place.file), scope=place.scope, account=account, owner=owner, seen=seen, now=now)
    store.check()
    seal(place)
    return store


def create_file(path: Path) -> None:
    """Put an empty ledger there, for this user alone. It appears whole or not at all, and takes no other's place."""

    def fill(engine: Engine) -> None:
        with closing(Store(engine, scope="", owner="")) as store:
            store.create()

    put_in_place(path, fill)


class Store:
    """The ledger, as one process uses it for one account.

    Every transaction that writes locks the head row first, so writers go one after the other. The unique index over
    live identities holds without that lock too; each of the two alone keeps an invoice from being claimed twice.

    An invoice is the same invoice whoever submits it, so there the index and the lock reach over all accounts; and a
    record at Finexio that another account's submission made proves nothing about one's own. Of rows of another account
    nothing else is seen, and nothing is told.

    A ledger of version 1 is read as it is. What only looks may therefore look before an upgrade, at a backup, and
    beside servers of the earlier version, which refuse to write once it was migrated. The first transaction that writes
    migrates it.

    Args:
        engine: From `open_engine`.
        scope: Origin and base path that are really called. Rows of other scopes are not seen.
        account: Whose submissions; `None`: those of all, for operators, who claim nothing.
        owner: A random name of this process.
        seen: What others of this process saw of the ledger; `None`: there are none.
        now: Milliseconds since 1970; `None` is the database's own clock, the only one that processes share.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        scope: str,
        owner: str,
        account: str | None = DEFAULT_ACCOUNT,
        seen: Seen | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        self._engine = engine
        self._scope = scope
        self._account = account
        self._owner = owner
        self._clock = now
        self._version: int | None = None
        self._seen = seen or Seen()
        self._sqlite = engine.dialect.name == "sqlite"
        self._writers = engine.execution_options(**{WRITES: True})
        # One snapshot for all that one method reads; in SQLite every transaction is that.
        self._readers = (
            engine
            if self._sqlite
            else engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        )

    # The ledger itself ---------------------------------------------------------

    def create(self) -> None:
        """Make the ledger in a database that is empty; one that is there already is checked.

        Raises:
            Unusable: What is there is something else.
        """
        with self._writers.begin() as connection:
            if not self._sqlite:
                connection.execute(_ONE_CREATOR)
            present = schema.present(connection)
            if not (present if self._sqlite else present & set(schema.METADATA.tables)):
                if self._seen.mark().ledger_id is not None:
                    raise Unusable("replaced")
                schema.build(connection)
                ledger_id = token_hex(16)
                connection.execute(
                    insert(HEAD).values(
                        id=1, version=VERSION, ledger_id=ledger_id, seq=0, hash=chain.genesis(ledger_id)
                    )
                )
        self.check()

    def check(self) -> None:
        """See that this is a ledger, whole, of this version, in a database that keeps what it confirms.

        Raises:
            Unusable: Saying what an operator should do.
        """
        mark = self._seen.mark()
        with self._readers.begin() as connection:
            present = schema.present(connection)
            if "head" not in present:
                raise Unusable("not_ours" if present - schema.EXPECTED else "damaged")
            self._recognise(connection.execute(select(HEAD)).mappings().one_or_none(), mark)
            if not present >= schema.EXPECTED:
                raise Unusable("damaged")
            if self._sqlite:
                self._check_file(connection)
            else:
                self._check_server(connection)

    def recognise_key(self, key: bytes) -> None:
        """See that this is the key that the ledger was begun with; another would not recognise what was changed.

        Raises:
            Unusable: It is another one.
        """
        with self._reading() as connection:
            head = connection.execute(select(HEAD)).mappings().one()
        told = _key_check(key, head)
        if head["key_check"] is None:
            with self._writing() as writing:
                writing.connection.execute(update(HEAD).where(HEAD.c.key_check.is_(None)).values(key_check=told))
                known = writing.connection.execute(select(HEAD.c.key_check)).scalar_one()
        else:
            known = head["key_check"]
        if not hmac.compare_digest(known, told):
            raise Unusable("wrong_key")

    def check_key(self, key: bytes) -> None:
        """As `recognise_key`, for those who only look. A ledger that nobody has written to yet takes any.

        Raises:
            Unusable: It is another one.
        """
        with self._reading() as connection:
            head = connection.execute(select(HEAD)).mappings().one()
        if head["key_check"] is not None and not hmac.compare_digest(head["key_check"], _key_check(key, head)):
            raise Unusable("wrong_key")

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    def now_ms(self) -> int:
        """The time that leases go by."""
        if self._clock is not None:
            return self._clock()
        with self._reading() as connection:
            return self._time(connection)

    def head(self) -> str:
        """The end of the chain."""
        return self.end()[1]

    def end(self) -> tuple[int, str]:
        """Number and hash of the newest event."""
        with self._reading() as connection:
            seq, hash_ = connection.execute(select(HEAD.c.seq, HEAD.c.hash)).one()
            return seq, hash_

    # Submitting ----------------------------------------------------------------

    def claim(
        self,
        wanted: Sequence[Wanted],
        *,
        op_id: str,
        tool: str,
        effect: Effect,
        rules: Rules,
        caller: str | None = None,
    ) -> Claim:
        """Record all that a call is about to submit as `intended`, or nothing, and say why.

        Args:
            wanted: No identity twice.
            op_id: A new random name of the call.
            tool: Its tool.
            effect: What the tool does to the world.
            rules: What the claim is held to.
            caller: The key of who orders it.
        """
        identities = {want.identity: position for position, want in enumerate(wanted)}
        if len(identities) != len(wanted):
            raise ValueError("one identity is wanted twice")
        if self._account is None:
            raise ValueError("only an account submits")
        with self._writing() as writing:
            standing = self._blocking(writing, identities)
            live = {identity: row for identity, row in standing.items() if row.account == self._account}
            elsewhere = frozenset(identities[identity] for identity in standing.keys() - live.keys())
            replaced = {
                identity: row for identity, row in live.items() if likeness.gives_way(row, wanted[identities[identity]])
            }
            known = {identities[identity]: row for identity, row in live.items() if identity not in replaced}
            if effect == "write":
                repeated = self._repeated(writing.connection, identities, writing.now_ms - rules.repeat_ms)
                known = {**{identities[identity]: row for identity, row in repeated.items()}, **known}
            if known or elsewhere:
                differing = frozenset(
                    position for position, row in known.items() if likeness.differs(row, wanted[position])
                )
                return Claim(now_ms=writing.now_ms, known=known, differing=differing, elsewhere=elsewhere)
            near, elsewhere = self._near(writing.connection, wanted, rules)
            if elsewhere:
                return Claim(now_ms=writing.now_ms, elsewhere=elsewhere)
            if any(likeness.refuses(found, rules) for found in near):
                return Claim(now_ms=writing.now_ms, near=near, near_refuses=True)
            if effect == "pay" and rules.max_day_cents is not None:
                day_cents = self._day_cents(writing, wanted, replaced.values())
                if day_cents > rules.max_day_cents:
                    return Claim(now_ms=writing.now_ms, near=near, day_cents=day_cents)
            common = {"op_id": op_id, "tool": tool, "effect": effect, "caller": caller}
            rows = self._insert(writing, wanted, replaced, common, lease_ms=rules.lease_ms)
            return Claim(now_ms=writing.now_ms, rows=rows, near=near)

    def recall(self, wanted: Wanted, *, effect: Effect, rules: Rules) -> Submission | None:
        """What a claim would find known, without claiming anything. What was left behind is taken over, as there."""
        identities = {wanted.identity: 0}
        with self._writing() as writing:
            found = self._blocking(writing, identities).get(wanted.identity)
            if found is not None and not self._is_own(found):
                return None
            if effect == "write" and found is None:
                since_ms = writing.now_ms - rules.repeat_ms
                found = self._repeated(writing.connection, identities, since_ms).get(wanted.identity)
            return found

    def mark_sent(self, op_id: str, *, lease_ms: int) -> bool:
        """Record that the first byte of a call is about to leave.

        Returns:
            `False`, and nothing is changed, unless every row is `intended`, ours, and within its lease.
        """
        with self._writing() as writing:
            rows = self._rows_of(writing.connection, op_id)
            now_ms = writing.now_ms
            if not rows or not all(self._may_send(row, now_ms) for row in rows):
                return False
            self._apply(writing, [(row, moves.sent(row, now_ms, now_ms + lease_ms)) for row in rows])
            return True

    def withdraw(self, op_id: str) -> bool:
        """Record that nothing left; `False`, and nothing is changed, unless every row is `intended` and ours."""
        with self._writing() as writing:
            rows = self._rows_of(writing.connection, op_id)
            if not rows or not all(row.state is State.INTENDED and row.owner == self._owner for row in rows):
                return False
            self._apply(writing, [(row, moves.moved(row, State.ABSENT, "never_sent", writing.now_ms)) for row in rows])
            return True

    def settle(self, op_id: str, outcomes: Mapping[int, Outcome], *, look_at_ms_after: int = 0) -> list[Submission]:
        """Record what came of rows that were sent.

        A row that somebody took over meanwhile is settled only by an answer that shows it: that is proof, while
        anything else is for those to judge who look it up.

        Args:
            op_id: The call.
            outcomes: By position; rows left out stay as they are.
            look_at_ms_after: In how long rows in doubt are to be looked up.

        Returns:
            All rows of the call, as they now stand.
        """
        with self._writing() as writing:
            rows = self._rows_of(writing.connection, op_id)
            look_at_ms = writing.now_ms + look_at_ms_after
            changes = [
                (row, moves.settled(row, outcomes[row.position], writing.now_ms, look_at_ms=look_at_ms))
                for row in rows
                if row.position in outcomes and self._may_settle(row, outcomes[row.position])
            ]
            changes += self._found_late(writing, [(row, outcomes.get(row.position)) for row in rows])
            return self._apply(writing, changes, among=rows)

    def extend(self, op_id: str, positions: Collection[int], *, lease_ms: int) -> None:
        """Keep rows that stay `sent` while more is found out."""
        with self._writing() as writing:
            until_ms = writing.now_ms + lease_ms
            self._apply(
                writing,
                [
                    (row, replace(row, lease_until_ms=until_ms))
                    for row in self._rows_of(writing.connection, op_id)
                    if row.position in positions and row.state is State.SENT and row.owner == self._owner
                ],
            )

    # What was left behind, and what is in doubt --------------------------------

    def take_over(self, op_id: str | None = None) -> list[Submission]:
        """See to rows whose lease is over: what was not sent never will be, what was sent is in doubt.

        Args:
            op_id: Only those of this call.

        Returns:
            Those rows, as they now stand.
        """
        with self._writing() as writing:
            over = self._select().where(schema.IS_LEASED, _S.lease_until_ms <= writing.now_ms)
            if op_id is not None:
                over = over.where(_S.op_id == op_id)
            rows = _submissions(writing.connection, over.order_by(_S.id))
            return self._apply(writing, [(row, moves.taken_over(row, writing.now_ms)) for row in rows])

    def begin_look(
        self, *, lease_ms: int, ids: Collection[int] | None = None, due_only: bool = True, limit: int = 500
    ) -> list[Submission]:
        """Take rows in doubt, so that nobody else looks them up at the same time.

        Args:
            lease_ms: For how long.
            ids: Only these.
            due_only: Only rows whose next look is due.
            limit: At most so many, the most overdue first.
        """
        with self._writing() as writing:
            free = or_(_S.owner.is_(None), _S.owner == self._owner, _S.lease_until_ms <= writing.now_ms)
            query = self._select().where(schema.IS_IN_DOUBT, free)
            if ids is not None:
                query = query.where(_S.id.in_(sorted(ids)))
            if due_only:
                query = query.where(_S.next_look_at_ms <= writing.now_ms)
            query = query.order_by(_S.next_look_at_ms.is_(None), _S.next_look_at_ms, _S.id).limit(limit)
            until_ms = writing.now_ms + lease_ms
            rows = _submissions(writing.connection, query)
            return self._apply(
                writing, [(row, replace(row, owner=self._owner, lease_until_ms=until_ms)) for row in rows]
            )

    def end_look(self, looks: Mapping[int, Look]) -> list[Submission]:
        """Record what looks found, by the submission's id, where they are still ours to tell.

        Returns:
            All these rows, as they now stand.
        """
        with self._writing() as writing:
            rows = _submissions(writing.connection, self._select().where(_S.id.in_(sorted(looks))).order_by(_S.id))
            changes = [
                (row, moves.looked(row, looks[row.id], writing.now_ms))
                for row in rows
                if row.state is State.IN_DOUBT and row.owner == self._owner
            ]
            changes += self._found_late(writing, [(row, looks[row.id].outcome) for row in rows])
            return self._apply(writing, changes, among=rows)

    def next_due_ms(self) -> int | None:
        """When the next row is to be looked up or taken over; `None` if nothing is open."""
        # Somebody who looks a row up holds it until the lease ends.
        at_ms = case((_S.lease_until_ms > _S.next_look_at_ms, _S.lease_until_ms), else_=_S.next_look_at_ms)
        with self._reading() as connection:
            ours = self._ours()
            times = (
                connection.execute(select(func.min(_S.lease_until_ms)).where(ours, schema.IS_LEASED)).scalar(),
                connection.execute(
                    select(func.min(at_ms)).where(ours, schema.IS_IN_DOUBT, _S.next_look_at_ms.is_not(None))
                ).scalar(),
            )
        return min((time for time in times if time is not None), default=None)

    def resolve(self, op_id: str, *, number: str | None, state: State, note: str) -> list[Submission]:
        """Record a person's word on rows in doubt or in conflict.

        Args:
            op_id: The call.
            number: Only the invoice with this number.
            state: `confirmed` or `absent`.
            note: Why, in the person's words.

        Returns:
            The rows that were settled.

        Raises:
            Unresolvable: Saying why not; then nothing is changed.
        """
        if state not in (State.CONFIRMED, State.ABSENT):
            raise Unresolvable("A submission can only be resolved as confirmed or absent.")
        if not note.strip() or len(note) > MAX_NOTE:
            raise Unresolvable(f"Give a note that says why, of at most {MAX_NOTE} characters.")
        with self._writing() as writing:
            rows = self._rows_of(writing.connection, op_id)
            if number is not None:
                rows = [
                    row
                    for row in rows
                    if row.invoice and stored.canonical(row.invoice.number) == stored.canonical(number)
                ]
            changes = [
                (row, moves.moved(row, state, "operator", writing.now_ms, by_operator=True))
                for row in rows
                if row.state in (State.IN_DOUBT, State.CONFLICT)
            ]
            if not changes:
                raise Unresolvable(_why_not(rows))
            return self._apply(writing, changes, by=chain.OPERATOR, note=note)

    # Asking --------------------------------------------------------------------

    def get(self, op_id: str) -> list[Submission]:
        """The rows of one call, in its order."""
        with self._reading() as connection:
            return self._rows_of(connection, op_id)

    def owners_of(self, finexio_ids: Collection[str]) -> dict[str, int]:
        """The submission, whosever, that each Finexio id belongs to, where one is known; of several the first.

        Two logins of one company see the same records, and what one of them made is no proof for the other.
        """
        query = select(_S.finexio_id, func.min(_S.id)).where(
            _S.scope == self._scope, _S.finexio_id.in_(sorted(finexio_ids)), schema.HAS_FINEXIO_ID
        )
        with self._reading() as connection:
            rows = connection.execute(query.group_by(_S.finexio_id))
            return {finexio_id: id_ for finexio_id, id_ in rows if finexio_id is not None}

    def has_rival(self, row: Submission, created_by: Sequence[str]) -> bool:
        """Whether another change, whosever, that reached Finexio, or may have, made what this one was to create.

        Args:
            row: A change.
            created_by: The fields by which its record is known.
        """
        if row.change is None or not row.change.records:
            return False
        named = or_(*(_S.change.contains(json.dumps(key), autoescape=True) for key in row.change.records))
        reached = _S.id != row.id, _S.state.not_in([State.ABSENT, State.REJECTED])
        with self._reading() as connection:
            others = _submissions(connection, self._everybodys().where(named, *reached))
        return any(likeness.contests(other, row, created_by) for other in others)

    def find(
        self,
        *,
        number: str | None = None,
        supplier: str | None = None,
        states: Collection[State] | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> list[Submission]:
        """Submissions, newest first.

        Args:
            number: An invoice's, however it is written.
            supplier: An invoice's.
            states: Only those that stand in one of these.
            limit: At most so many.
            before_id: Only those before this one.
        """
        asked: list[ColumnElement[bool]] = []
        if number is not None:
            asked.append(_S.number_key == stored.canonical(number))
        if supplier is not None:
            asked.append(_S.supplier == supplier.casefold())
        if states is not None:
            asked.append(_S.state.in_(sorted(states)))
        if before_id is not None:
            asked.append(_S.id < before_id)
        with self._reading() as connection:
            return _submissions(connection, self._select().where(*asked).order_by(_S.id.desc()).limit(limit))

    def history(self, op_id: str) -> list[Event]:
        """What happened to the rows of one call."""
        with self._reading() as connection:
            ids = select(_S.id).where(self._ours(), _S.op_id == op_id)
            query = select(EVENTS).where(EVENTS.c.submission_id.in_(ids)).order_by(EVENTS.c.seq)
            return [stored.event(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[State, int]:
        """How many submissions stand in each state."""
        query = select(_S.state, func.count()).group_by(_S.state)
        with self._reading() as connection:
            return {State(state): count for state, count in connection.execute(query.where(self._ours()))}

    def unsettled(self) -> dict[State, int]:
        """The same of those that something still has to come of, which are few and found by an index of their own."""
        kinds = (
            (schema.IS_LEASED, (State.INTENDED, State.SENT)),
            (schema.IS_IN_DOUBT, (State.IN_DOUBT,)),
            (schema.IS_CONFLICT, (State.CONFLICT,)),
        )
        counted: dict[State, int] = {}
        with self._reading() as connection:
            for condition, states in kinds:
                query = select(_S.state, func.count()).where(self._ours(), condition).group_by(_S.state)
                found = {State(state): count for state, count in connection.execute(query)}
                counted.update({state: found.get(state, 0) for state in states})
        return counted

    def verify(self) -> Verified:
        """Compute the whole chain anew, and hold every submission of the ledger, whosever, against its events.

        It reads in parts, so others can go on writing meanwhile.
        """
        with self._reading() as connection:
            head = connection.execute(select(HEAD)).mappings().one()
            last = connection.execute(select(func.max(EVENTS.c.seq))).scalar() or 0
            missing = schema.EXPECTED - schema.present(connection)
            sound = not self._sqlite or connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar() == "ok"
        problems = [f"database: {name} is missing" for name in sorted(missing)]
        problems += [] if sound else ["database: the file is damaged"]
        problems += [] if last == head["seq"] else ["head: it is not at the last event"]
        begun, found = self._verify_events(head)
        problems += found
        seen, found = self._verify_submissions()
        problems += found
        problems += [f"submission {id_}: missing" for id_ in sorted(begun - seen)]
        if len(problems) > MAX_PROBLEMS:
            problems[MAX_PROBLEMS:] = [f"and {len(problems) - MAX_PROBLEMS} more"]
        return Verified(events=head["seq"], head=head["hash"], problems=tuple(problems))

    # Transactions --------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Generator[Writing]:
        if self._version != VERSION:
            self._migrate()
        mark = self._seen.mark()
        try:
            with self._writers.begin() as connection:
                head = self._lock_head(connection, mark)
                writing = Writing(connection, head, self._time(connection))
                yield writing
                seq = self._append(writing)
            self._seen.note(head["ledger_id"], seq, VERSION)
        except IntegrityError:
            # Our own reading allowed what the database refuses: never to be taken for an answer.
            raise Unusable("inconsistent") from None

    @contextmanager
    def _reading(self) -> Generator[Connection]:
        mark = self._seen.mark()
        with self._readers.begin() as connection:
            self._recognise(connection.execute(select(HEAD)).mappings().one_or_none(), mark)
            yield connection

    def _migrate(self) -> None:
        """Bring a ledger of version 1 to this one, in a transaction of its own: it locks more than others do."""
        with self._reading():
            pass
        if self._version == OLD_VERSION:
            with self._writers.begin() as connection:
                schema.migrate(connection)
            self.check()
            logger.warning(
                "the ledger is of version %d now; servers that only know an earlier one cannot write", VERSION
            )

    def _lock_head(self, connection: Connection, mark: Mark) -> RowMapping:
        """Wait until no other transaction writes. SQLite's began so."""
        return self._recognise(connection.execute(select(HEAD).with_for_update()).mappings().one_or_none(), mark)

    def _recognise(self, head: RowMapping | None, mark: Mark) -> RowMapping:
        """See that it is still the ledger that this process knows, and not an earlier copy of it.

        Args:
            head: As it is read now.
            mark: How far the ledger had come before this transaction began.
        """
        if head is None:
            raise Unusable("damaged")
        version = head["version"]
        if version not in (OLD_VERSION, VERSION):
            raise Unusable("unknown_version")
        if not mark.fits(head["ledger_id"], head["seq"], version):
            raise Unusable("replaced")
        self._seen.note(head["ledger_id"], head["seq"], version)
        self._version = version
        return head

    def _time(self, connection: Connection) -> int:
        """After the lock: before it, any time may pass."""
        if self._clock is not None:
            return self._clock()
        return connection.execute(_CLOCK[connection.dialect.name]).scalar_one()

    def _append(self, writing: Writing) -> int:
        """Add the events to the chain, and say where it ends now."""
        if not writing.events:
            return writing.head["seq"]
        seq, previous = writing.head["seq"], writing.head["hash"]
        for event in writing.events:
            seq += 1
            event["seq"] = seq
            previous = event["hash"] = chain.link(previous, event)
        writing.connection.execute(insert(EVENTS), writing.events)
        moved = writing.connection.execute(
            update(HEAD).where(HEAD.c.seq == writing.head["seq"]).values(seq=seq, hash=previous)
        )
        if moved.rowcount != 1:
            raise Unusable("inconsistent")
        return seq

    def _apply(
        self,
        writing: Writing,
        changes: Sequence[tuple[Submission, Submission]],
        *,
        among: Sequence[Submission] | None = None,
        by: str | None = None,
        note: str | None = None,
    ) -> list[Submission]:
        """Bring rows from what was read to what they are to be, each only if it is still what was read.

        Returns:
            The rows as they now stand; with `among` those too that did not move, in that order.
        """
        if changes:
            values = [
                {"b_id": before.id, "b_state": before.state, "b_owner": before.owner, **stored.changing(after)}
                for before, after in changes
            ]
            if writing.connection.execute(_MOVE, values).rowcount != len(changes):
                raise Unusable("inconsistent")
        for before, after in changes:
            if before.state is not after.state:
                self._tell(writing, after, before=before.state, by=by, note=note)
        now = {after.id: after for _, after in changes}
        return [now.get(row.id, row) for row in among] if among is not None else list(now.values())

    def _tell(
        self,
        writing: Writing,
        row: Submission,
        *,
        before: State | None = None,
        by: str | None = None,
        note: str | None = None,
        facts: str | None = None,
        supersedes: int | None = None,
    ) -> None:
        writing.events.append(
            {
                "submission_id": row.id,
                "at_ms": writing.now_ms,
                "op_id": row.op_id,
                "position": row.position,
                "before": before and before.value,
                "after": row.state.value,
                "by": by or self._owner,
                "reason": row.reason,
                "http_status": row.http_status,
                "finexio_id": row.finexio_id,
                "note": note,
                "facts": facts,
                "supersedes": supersedes,
            }
        )

    # Parts of a claim ----------------------------------------------------------

    def _ours(self) -> ColumnElement[bool]:
        """The rows that this store works on; for the version that the open transaction found."""
        if self._account is None:
            whose: ColumnElement[bool] = true()
        elif self._version == OLD_VERSION:
            whose = true() if self._account == DEFAULT_ACCOUNT else false()
        else:
            whose = _S.account == self._account
        return and_(_S.scope == self._scope, whose)

    def _is_own(self, row: Submission) -> bool:
        return self._account in (None, row.account)

    def _everybodys(self) -> Select[Any]:
        """Whosever; so that no invoice is submitted twice, and nothing that another made is taken for one's own."""
        columns = _OLD_COLUMNS if self._version == OLD_VERSION else _COLUMNS
        return select(*columns).where(_S.scope == self._scope)

    def _select(self) -> Select[Any]:
        return self._everybodys().where(self._ours())

    def _rows_of(self, connection: Connection, op_id: str) -> list[Submission]:
        return _submissions(connection, self._select().where(_S.op_id == op_id).order_by(_S.position))

    def _live(self, connection: Connection, identities: Collection[str]) -> dict[str, Submission]:
        """The rows that block these identities, whosever."""
        query = self._everybodys().where(_S.identity.in_(sorted(identities)), schema.IS_LIVE)
        return {row.identity: row for row in _submissions(connection, query)}

    def _blocking(self, writing: Writing, identities: Collection[str]) -> dict[str, Submission]:
        """The rows that stand in the way, whosever, after what was left behind is taken over.

        An invoice that was to be paid again, and then was not, is still the one that was paid.
        """
        paid = self._everybodys().where(_S.identity.in_(sorted(identities)), _S.superseded == 1).order_by(_S.id)
        refunded = {row.identity: row for row in _submissions(writing.connection, paid)}
        return refunded | self._abandon(writing, self._live(writing.connection, identities))

    def _abandon(self, writing: Writing, live: Mapping[str, Submission]) -> dict[str, Submission]:
        """Take over those whose lease is over, and leave out what does not block any more.

        What another account sent is left to whoever looks up for it. What it never sent only frees the identity.
        """
        over = [
            row
            for row in live.values()
            if moves.is_left_behind(row, writing.now_ms) and (self._is_own(row) or row.state is State.INTENDED)
        ]
        rows = self._apply(
            writing, [(row, moves.taken_over(row, writing.now_ms)) for row in over], among=list(live.values())
        )
        return {row.identity: row for row in rows if row.state is not State.ABSENT}

    def _repeated(self, connection: Connection, identities: Collection[str], since_ms: int) -> dict[str, Submission]:
        """Changes of these identities, confirmed a moment ago, that no other change of the same records followed."""
        writes = self._select().where(_S.effect == "write")
        query = writes.where(
            _S.identity.in_(sorted(identities)), _S.state == State.CONFIRMED, _S.settled_at_ms > since_ms
        )
        confirmed = {row.identity: row for row in _submissions(connection, query.order_by(_S.id))}
        if not confirmed:
            return {}
        later = writes.where(
            _S.id > min(row.id for row in confirmed.values()), _S.state.not_in([State.ABSENT, State.REJECTED])
        )
        others = [(row.id, likeness.record_keys(row)) for row in _submissions(connection, later)]
        return {
            identity: row
            for identity, row in confirmed.items()
            if not any(id_ > row.id and keys & likeness.record_keys(row) for id_, keys in others)
        }

    def _near(
        self, connection: Connection, wanted: Sequence[Wanted], rules: Rules
    ) -> tuple[tuple[Near, ...], frozenset[int]]:
        """Live invoices of the same supplier with almost the same number, or with the same amount and date.

        Of other accounts only what is unsettled and for the same buyer counts, and of that only the position is told.
        """
        kinds: tuple[tuple[dict[str, list[int]], ColumnElement[str], Literal["number", "amount"]], ...] = (
            (likeness.grouped(wanted, likeness.number_key), schema.SUPPLIER_NUMBER, "number"),
            (likeness.grouped(wanted, likeness.amount_key), schema.SUPPLIER_AMOUNT, "amount"),
        )
        found: dict[int, dict[int, Near]] = {}
        elsewhere: set[int] = set()
        for positions, key, why in kinds:
            chosen = key.in_(sorted(positions)), schema.IS_LIVE
            query = self._everybodys().add_columns(key.label("near_key")).where(*chosen)
            for row in connection.execute(query).mappings() if positions else ():
                earlier = stored.submission(row)
                for position in positions[row["near_key"]]:
                    if not self._is_own(earlier):
                        if likeness.is_near_elsewhere(earlier, wanted[position], rules):
                            elsewhere.add(position)
                    elif likeness.is_near(earlier, wanted[position], rules):
                        near = Near(position=position, earlier=earlier, why=why)
                        found.setdefault(position, {}).setdefault(earlier.id, near)
        nears = tuple(
            near
            for position, nears in sorted(found.items())
            for near in sorted(likeness.unknown_to_caller(nears.values(), wanted[position]), key=likeness.urgency)[
                :MAX_NEAR
            ]
        )
        return nears, frozenset(elsewhere)

    def _day_cents(self, writing: Writing, wanted: Sequence[Wanted], replaced: Collection[Submission]) -> int:
        """What the last 24 hours come to with this claim."""
        query = select(func.coalesce(func.sum(_S.amount_cents), 0)).where(
            self._ours(),
            schema.IS_LIVE,
            _S.effect == "pay",
            _S.claimed_at_ms > writing.now_ms - DAY_MS,
            _S.id.not_in(sorted(row.id for row in replaced)),
        )
        earlier = int(writing.connection.execute(query).scalar_one())
        return earlier + sum(want.invoice.amount_cents for want in wanted if want.invoice is not None)

    def _insert(
        self,
        writing: Writing,
        wanted: Sequence[Wanted],
        replaced: Mapping[str, Submission],
        common: Mapping[str, Any],
        *,
        lease_ms: int,
    ) -> tuple[Submission, ...]:
        connection = writing.connection
        self._supersede(connection, replaced.values())
        past = self._past(connection, [want.identity for want in wanted])
        rows = [
            {
                **stored.BLANK,
                **common,
                "scope": self._scope,
                "account": self._account,
                "claimed_at_ms": writing.now_ms,
                "owner": self._owner,
                "lease_until_ms": writing.now_ms + lease_ms,
                **stored.facts(want),
                **past.get(want.identity, stored.NO_PAST),
                "position": position,
            }
            for position, want in enumerate(wanted)
        ]
        # In one order for all, or two batches could wait for each other at the unique index.
        connection.execute(insert(SUBMISSIONS), sorted(rows, key=itemgetter("identity")))
        query = self._select().where(_S.op_id == common["op_id"]).order_by(_S.position)
        claimed: list[Submission] = []
        for row in connection.execute(query).mappings():
            submission = stored.submission(row)
            earlier = replaced.get(submission.identity)
            facts = chain.digest(stored.fixed(row))
            self._tell(writing, submission, facts=facts, supersedes=earlier.id if earlier is not None else None)
            claimed.append(submission)
        return tuple(claimed)

    def _supersede(self, connection: Connection, rows: Collection[Submission]) -> None:
        """Confirmed rows make room for the next generation. Some did before, for one that was then not submitted."""
        if rows:
            chosen = _S.id.in_(sorted(row.id for row in rows)), _S.state == State.CONFIRMED
            connection.execute(update(SUBMISSIONS).where(*chosen, _S.superseded == 0).values(superseded=1))
            done = connection.execute(select(func.count()).where(*chosen, _S.superseded == 1)).scalar_one()
            if done != len(rows):
                raise Unusable("inconsistent")

    def _past(self, connection: Connection, identities: Collection[str]) -> dict[str, dict[str, int | None]]:
        """What earlier submissions of these identities, whosever, mean for the next one: any may have landed late."""
        gone = and_(_S.state == State.ABSENT, _S.sent_at_ms.is_not(None))
        doubtful = or_(gone, _S.by_operator == 1)
        done_with = or_(_S.state == State.ABSENT, _S.by_operator == 1, _S.superseded == 1)
        query = (
            select(
                _S.identity,
                func.sum(case((done_with, 1), else_=0)),
                func.max(case((doubtful, 1), else_=0)),
                func.min(case((doubtful, _S.sent_at_ms))),
            )
            .where(_S.scope == self._scope, _S.identity.in_(sorted(identities)))
            .group_by(_S.identity)
        )
        return {
            identity: {"generation": 1 + done, "doubtful_before": doubts, "earlier_sent_at_ms": sent_at_ms}
            for identity, done, doubts, sent_at_ms in connection.execute(query)
        }

    # Parts of other methods ----------------------------------------------------

    def _found_late(
        self, writing: Writing, outcomes: Iterable[tuple[Submission, Outcome | None]]
    ) -> list[tuple[Submission, Submission]]:
        """What was given up and is there after all blocks again, unless a later submission, whosever, already does."""
        late = [
            (row, outcome) for row, outcome in outcomes if outcome is not None and moves.is_late_proof(row, outcome)
        ]
        if not late:
            return []
        live = self._live(writing.connection, [row.identity for row, _ in late])
        now_ms = writing.now_ms
        return [(row, moves.found_late(row, outcome, now_ms)) for row, outcome in late if row.identity not in live]

    def _may_send(self, row: Submission, now_ms: int) -> bool:
        return row.state is State.INTENDED and row.owner == self._owner and row.lease_until_ms > now_ms

    def _may_settle(self, row: Submission, outcome: Outcome) -> bool:
        if row.state is State.IN_DOUBT:
            return outcome.state is State.CONFIRMED
        return row.state is State.SENT and row.owner == self._owner

    def _check_file(self, connection: Connection) -> None:
        # Indexes are left to `verify`: this has to be done before the first write of every process.
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise Unusable("damaged")

    def _check_server(self, connection: Connection) -> None:
        for setting in ("synchronous_commit", "fsync"):
            if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "off":
                raise Unusable("not_synchronous")

    def _verify_events(self, head: RowMapping) -> tuple[set[int], list[str]]:
        """The submissions that events begin, and what is wrong with the chain up to a head."""
        begun: set[int] = set()
        problems: list[str] = []
        seq, previous = 0, chain.genesis(head["ledger_id"])
        while True:
            query = select(EVENTS).where(EVENTS.c.seq > seq, EVENTS.c.seq <= head["seq"])
            with self._reading() as connection:
                part = connection.execute(query.order_by(EVENTS.c.seq).limit(CHUNK)).mappings().all()
            problems += chain.broken_links(part, seq=seq, previous=previous)
            if not part:
                break
            begun |= {event["submission_id"] for event in part}
            seq, previous = part[-1]["seq"], part[-1]["hash"]
        if (seq, previous) != (head["seq"], head["hash"]):
            problems.append("head: the chain does not lead to it")
        return begun, problems

    def _verify_submissions(self) -> tuple[set[int], list[str]]:
        """The submissions that are there, and how they differ from what the events tell."""
        seen: set[int] = set()
        problems: list[str] = []
        last = -1
        while True:
            with self._reading() as connection:
                columns = _OLD_COLUMNS if self._version == OLD_VERSION else _COLUMNS
                query = select(*columns).where(_S.id > last).order_by(_S.id).limit(CHUNK)
                part = connection.execute(query).mappings().all()
                if not part:
                    return seen, problems
                ids = [row["id"] for row in part]
                events = self._events_of(connection, ids)
                superseded = set(
                    connection.execute(select(EVENTS.c.supersedes).where(EVENTS.c.supersedes.in_(ids))).scalars()
                )
            for row in part:
                differ = chain.disagreements(
                    row, stored.fixed(row), events.get(row["id"], []), superseded=row["id"] in superseded
                )
                problems += [f"submission {row['id']}: {what}" for what in differ]
            seen.update(ids)
            last = ids[-1]

    def _events_of(self, connection: Connection, ids: Sequence[int]) -> dict[int, list[RowMapping]]:
        found: dict[int, list[RowMapping]] = {}
        query = select(EVENTS).where(EVENTS.c.submission_id.in_(ids)).order_by(EVENTS.c.seq)
        for event in connection.execute(query).mappings():
            found.setdefault(event["submission_id"], []).append(event)
        return found


def _key_check(key: bytes, head: RowMapping) -> str:
    return hmac.new(key, head["ledger_id"].encode(), "sha256").hexdigest()


def _why_not(rows: Sequence[Submission]) -> str:
    if not rows:
        return "There is no such submission."
    if all(row.state in OPEN for row in rows):
        return "It is still being sent. Wait until its outcome is known or in doubt."
    return "It is settled already; only a submission in doubt or in conflict can be resolved."


def _submissions(connection: Connection, query: Select[Any]) -> list[Submission]:
    return [stored.submission(row) for row in connection.execute(query).mappings()]
