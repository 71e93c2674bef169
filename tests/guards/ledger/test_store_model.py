"""The ledger against a plain model of it, with processes that crash between any two steps and within them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Engine

from finexio_mcp.guards.ledger.rows import Look, Outcome
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store, Unresolvable, Writing, open_engine

from .conftest import LEASE_MS, RULES, SCOPE, Clock, invoice

T = TypeVar("T")

NUMBERS = range(4)
PROCESSES = range(3)
STEP_MS = LEASE_MS // 3

ANSWERS = {
    "confirmed": Outcome(state=State.CONFIRMED, reason="accepted", http_status=201),
    "rejected": Outcome(state=State.REJECTED, reason="refused", http_status=400),
    "in_doubt": Outcome(state=State.IN_DOUBT, reason="no_answer"),
}
FINDINGS = {
    "confirmed": Outcome(state=State.CONFIRMED, reason="found"),
    "absent": Outcome(state=State.ABSENT, reason="not_found"),
    "conflict": Outcome(state=State.CONFLICT, reason="found_other"),
    "in_doubt": None,
}
PICK = st.integers(0, 3)
DIES = st.sampled_from([False, False, False, True])


class PowerCut(Exception):
    """The process ends before its transaction is committed."""


class Frail(Store):
    """A store whose process may end at the last moment."""

    dies = False

    def _append(self, writing: Writing) -> int:
        end = super()._append(writing)
        if self.dies:
            raise PowerCut
        return end


@dataclass
class Row:
    """What the model knows of a submission."""

    op_id: str
    position: int
    number: int
    generation: int
    owner: str | None
    lease: int
    claimed: int
    doubtful: bool
    state: str = "intended"
    sent: int | None = None
    due: int | None = None
    looks: int = 0
    by_operator: bool = False
    superseded: bool = False

    @property
    def live(self) -> bool:
        return not self.superseded and self.state not in {"rejected", "absent"}

    @property
    def gone(self) -> bool:
        """Nothing of it blocks any more, but the next one is another generation."""
        return self.superseded or self.by_operator or self.state == "absent"

    def become(self, state: str, *, due: int | None = None) -> None:
        self.state, self.due, self.owner, self.lease = state, due, None, 0

    def expire(self, now: int) -> None:
        if self.lease <= now and self.state == "intended":
            self.become("absent")
        elif self.lease <= now and self.state == "sent":
            self.become("in_doubt", due=now)


class TheLedger(RuleBasedStateMachine):
    """Three processes, a handful of invoices, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = empty_ledger()
        self.clock = Clock()
        self.rows: list[Row] = []
        self.ops = 0
        self.lives = 0
        self.owners = [""] * len(PROCESSES)
        self.stores: list[Frail] = []
        for who in PROCESSES:
            self.stores.append(self.begin(who))

    def begin(self, who: int) -> Frail:
        """A process that knows nothing of the one before it."""
        self.lives += 1
        self.owners[who] = f"process-{self.lives}"
        return Frail(self.engine, scope=SCOPE, owner=self.owners[who], now=self.clock)

    def ask(self, who: int, dies: bool, ask: Callable[[Frail], T]) -> T | None:
        """What the process hears, or `None` if it died on the way; then nothing of the step may be seen."""
        store = self.stores[who]
        if not dies:
            return ask(store)
        store.dies = True
        with pytest.raises(PowerCut):
            ask(store)
        self.stores[who] = self.begin(who)
        return None

    def rows_of(self, pick: int) -> tuple[str, list[Row]]:
        """One of the latest calls: with older ones little is left to happen."""
        op_id = f"op-{max(self.ops - 1 - pick, 0)}"
        return op_id, [row for row in self.rows if row.op_id == op_id]

    # What processes do ---------------------------------------------------------

    @rule(
        who=st.sampled_from(PROCESSES),
        numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3, unique=True),
        again=st.booleans(),
        dies=DIES,
    )
    def claim(self, who: int, numbers: list[int], again: bool, dies: bool) -> None:
        """Claim a batch; `again`: Finexio said that what is confirmed may be submitted again."""
        op_id = f"op-{self.ops}"
        ids = {row: index for index, row in enumerate(map(id, self.rows), start=1)}
        live = {row.number: row for row in self.rows if row.live and row.number in numbers}
        wanted = [
            invoice(
                f"INV-{number}",
                amount_cents=number + 1,
                resubmits=ids[id(live[number])] if again and number in live else None,
            )
            for number in numbers
        ]
        claimed = self.ask(
            who, dies, lambda store: store.claim(wanted, op_id=op_id, tool="t", effect="pay", rules=RULES)
        )
        if claimed is None:
            return
        for row in live.values():
            row.expire(self.clock.ms)
        replaced = {number: row for number, row in live.items() if again and row.state == "confirmed"}
        known = {numbers.index(number): row for number, row in live.items() if row.live and number not in replaced}
        assert {position: row.op_id for position, row in claimed.known.items()} == {
            position: row.op_id for position, row in known.items()
        }
        assert len(claimed.rows) == (0 if known else len(numbers))
        if known:
            return
        self.ops += 1
        for row in replaced.values():
            row.superseded = True
        # By identity, as the ledger counts them.
        for number in sorted(numbers):
            before = [row for row in self.rows if row.number == number]
            self.rows.append(
                Row(
                    op_id=op_id,
                    position=numbers.index(number),
                    number=number,
                    generation=1 + sum(row.gone for row in before),
                    owner=self.owners[who],
                    lease=self.clock.ms + LEASE_MS,
                    claimed=self.clock.ms,
                    doubtful=any(row.by_operator or (row.state == "absent" and row.sent is not None) for row in before),
                )
            )

    @precondition(lambda self: self.ops)
    @rule(who=st.sampled_from(PROCESSES), pick=PICK, dies=DIES)
    def mark_sent(self, who: int, pick: int, dies: bool) -> None:
        op_id, rows = self.rows_of(pick)
        marked = self.ask(who, dies, lambda store: store.mark_sent(op_id, lease_ms=LEASE_MS))
        if marked is None:
            return
        now = self.clock.ms
        assert marked == all(
            row.state == "intended" and row.owner == self.owners[who] and row.lease > now for row in rows
        )
        for row in rows if marked else ():
            row.state, row.sent, row.lease = "sent", now, now + LEASE_MS

    @precondition(lambda self: self.ops)
    @rule(who=st.sampled_from(PROCESSES), pick=PICK, dies=DIES)
    def withdraw(self, who: int, pick: int, dies: bool) -> None:
        op_id, rows = self.rows_of(pick)
        withdrawn = self.ask(who, dies, lambda store: store.withdraw(op_id))
        if withdrawn is None:
            return
        assert withdrawn == all(row.state == "intended" and row.owner == self.owners[who] for row in rows)
        for row in rows if withdrawn else ():
            row.become("absent")

    @precondition(lambda self: self.ops)
    @rule(
        who=st.sampled_from(PROCESSES),
        pick=PICK,
        answers=st.lists(st.sampled_from([*ANSWERS, None]), min_size=3, max_size=3),
        dies=DIES,
    )
    def settle(self, who: int, pick: int, answers: list[str | None], dies: bool) -> None:
        op_id, rows = self.rows_of(pick)
        outcomes = {position: ANSWERS[answer] for position, answer in enumerate(answers) if answer is not None}
        if self.ask(who, dies, lambda store: store.settle(op_id, outcomes, look_at_ms_after=STEP_MS)) is None:
            return
        for row in rows:
            answer = answers[row.position]
            ours = row.state == "sent" and row.owner == self.owners[who]
            if answer is not None and (ours or (row.state == "in_doubt" and answer == "confirmed")):
                row.become(answer, due=self.clock.ms + STEP_MS if answer == "in_doubt" else None)

    @rule(who=st.sampled_from(PROCESSES), dies=DIES)
    def take_over(self, who: int, dies: bool) -> None:
        taken = self.ask(who, dies, lambda store: store.take_over())
        if taken is None:
            return
        before = [(row, row.state) for row in self.rows]
        for row in self.rows:
            row.expire(self.clock.ms)
        assert len(taken) == sum(row.state != state for row, state in before)

    @rule(who=st.sampled_from(PROCESSES), dies=DIES)
    def begin_look(self, who: int, dies: bool) -> None:
        begun = self.ask(who, dies, lambda store: store.begin_look(lease_ms=LEASE_MS))
        if begun is None:
            return
        now = self.clock.ms
        free = [row for row in self.rows if row.owner in (None, self.owners[who]) or row.lease <= now]
        due = [row for row in free if row.state == "in_doubt" and row.due is not None and row.due <= now]
        assert {(row.op_id, row.position) for row in begun} == {(row.op_id, row.position) for row in due}
        for row in due:
            row.owner, row.lease = self.owners[who], now + LEASE_MS

    @precondition(lambda self: self.rows)
    @rule(who=st.sampled_from(PROCESSES), pick=PICK, found=st.sampled_from([*FINDINGS]), dies=DIES)
    def end_look(self, who: int, pick: int, found: str, dies: bool) -> None:
        index = max(len(self.rows) - 1 - pick, 0)
        row, due = self.rows[index], self.clock.ms + STEP_MS
        look = Look(outcome=FINDINGS[found], next_look_at_ms=due, absent_since_ms=None)
        if self.ask(who, dies, lambda store: store.end_look({index + 1: look})) is None:
            return
        if row.state == "in_doubt" and row.owner == self.owners[who]:
            row.become(found, due=due if found == "in_doubt" else None)
            row.looks += 1

    @precondition(lambda self: self.ops)
    @rule(pick=PICK, state=st.sampled_from([State.CONFIRMED, State.ABSENT]))
    def resolve(self, pick: int, state: State) -> None:
        op_id, rows = self.rows_of(pick)
        open_rows = [row for row in rows if row.state in {"in_doubt", "conflict"}]
        if not open_rows:
            with pytest.raises(Unresolvable):
                self.stores[0].resolve(op_id, number=None, state=state, note="n")
            return
        assert len(self.stores[0].resolve(op_id, number=None, state=state, note="n")) == len(open_rows)
        for row in open_rows:
            row.become(state.value)
            row.by_operator = True

    @rule(who=st.sampled_from(PROCESSES))
    def crash(self, who: int) -> None:
        self.stores[who] = self.begin(who)

    @rule(steps=st.integers(1, 4))
    def let_time_pass(self, steps: int) -> None:
        self.clock.ms += steps * STEP_MS

    # What always holds ---------------------------------------------------------

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        stored = self.stores[0].find(limit=1000)[::-1]
        assert [
            (row.op_id, row.position, row.state, row.owner, row.lease_until_ms, row.claimed_at_ms, row.sent_at_ms)
            for row in stored
        ] == [(row.op_id, row.position, row.state, row.owner, row.lease, row.claimed, row.sent) for row in self.rows]
        assert [
            (row.generation, row.next_look_at_ms, row.looks, row.by_operator, row.doubtful_before) for row in stored
        ] == [(row.generation, row.due, row.looks, row.by_operator, row.doubtful) for row in self.rows]

    @invariant()
    def an_invoice_is_submitted_once(self) -> None:
        """Live, or sent and not known to be nowhere: at most one at a time."""
        for number in NUMBERS:
            assert sum(row.live for row in self.rows if row.number == number) <= 1

    @invariant()
    def what_is_next_is_known(self) -> None:
        times = [row.lease for row in self.rows if row.state in {"intended", "sent"}]
        times += [max(row.due, row.lease) for row in self.rows if row.state == "in_doubt" and row.due is not None]
        assert self.stores[0].next_due_ms() == min(times, default=None)

    def teardown(self) -> None:
        assert self.stores[0].verify().problems == ()


@cache
def engine_in_memory() -> tuple[Engine, sqlite3.Connection]:
    """One for all examples, since what it learns about statements costs time; and an empty ledger to begin with."""
    engine = open_engine("sqlite://")
    Store(engine, scope=SCOPE, owner="").create()
    empty = sqlite3.connect(":memory:")
    raw(engine).backup(empty)
    return engine, empty


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Generator[None]:
    yield
    engine, empty = engine_in_memory()
    engine.dispose()
    empty.close()


def raw(engine: Engine) -> sqlite3.Connection:
    connection = engine.raw_connection()
    found = connection.driver_connection
    connection.close()
    assert isinstance(found, sqlite3.Connection)
    return found


def empty_ledger() -> Engine:
    engine, empty = engine_in_memory()
    empty.backup(raw(engine))
    return engine


TestTheLedger = TheLedger.TestCase
TestTheLedger.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
