"""What the ledger records, refuses and remembers, in either database."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import time
from collections.abc import Collection
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import IntegrityError

from finexio_mcp.guards.ledger import schema
from finexio_mcp.guards.ledger.engines import open_file
from finexio_mcp.guards.ledger.place import Peeked, Place, locate, peek, prepare
from finexio_mcp.guards.ledger.rows import Claim, Look, Outcome, Rules, Submission, Wanted
from finexio_mcp.guards.ledger.states import MOVES, Effect, State
from finexio_mcp.guards.ledger.store import Store, Unresolvable, Writing, create_file, open_engine, open_store
from finexio_mcp.guards.ledger.trouble import Unusable, explain
from finexio_mcp.settings import load

from .conftest import LEASE_MS, RULES, SCOPE, START_MS, Ledger, change, end_of, invoice

CONFIRMED = Outcome(state=State.CONFIRMED, reason="accepted", http_status=201, finexio_id="f-1")
REFUSED = Outcome(state=State.REJECTED, reason="refused", http_status=400)
UNKNOWN = Outcome(state=State.IN_DOUBT, reason="no_answer")
FOUND = Outcome(state=State.CONFIRMED, reason="found", finexio_id="f-1")
NOT_FOUND = Outcome(state=State.ABSENT, reason="not_found")
FOUND_OTHER = Outcome(state=State.CONFLICT, reason="found_other", finexio_id="f-1")


def claim(store: Store, *wanted: Wanted, op_id: str = "op-1", rules: Rules = RULES, effect: Effect = "pay") -> Claim:
    return store.claim(wanted, op_id=op_id, tool="some_tool", effect=effect, rules=rules)


def send(store: Store, *wanted: Wanted, op_id: str = "op-1", effect: Effect = "pay") -> tuple[Submission, ...]:
    """Claim and mark as sent."""
    rows = claim(store, *wanted, op_id=op_id, effect=effect).rows
    assert rows
    assert store.mark_sent(op_id, lease_ms=LEASE_MS)
    return rows


def submit(
    store: Store, *wanted: Wanted, op_id: str = "op-1", outcome: Outcome = CONFIRMED, effect: Effect = "pay"
) -> list[Submission]:
    """Claim, mark as sent, and settle all rows alike."""
    send(store, *wanted, op_id=op_id, effect=effect)
    return store.settle(op_id, dict.fromkeys(range(len(wanted)), outcome))


def states(rows: list[Submission] | tuple[Submission, ...]) -> list[str]:
    return [row.state.value for row in rows]


# A submission's life ---------------------------------------------------------------


def test_a_submission_goes_from_intended_to_confirmed(ledger: Ledger) -> None:
    """Ours: every step is on record, with its time, and the values come back as they went in."""
    store = ledger.store()
    wanted = invoice("INV-1", discount_cents=5)

    (row,) = claim(store, wanted).rows
    ledger.clock.ms += 10
    assert store.mark_sent("op-1", lease_ms=LEASE_MS)
    ledger.clock.ms += 10
    (settled,) = store.settle("op-1", {0: CONFIRMED})

    assert (row.state, row.owner, row.lease_until_ms) == (State.INTENDED, "me", START_MS + LEASE_MS)
    assert (row.invoice, row.change, row.generation, row.searched_from_ms) == (wanted.invoice, None, 1, None)
    assert (settled.state, settled.reason, settled.http_status) == (State.CONFIRMED, "accepted", 201)
    assert (settled.claimed_at_ms, settled.sent_at_ms, settled.settled_at_ms) == (
        START_MS,
        START_MS + 10,
        START_MS + 20,
    )
    assert (settled.finexio_id, settled.owner, settled.searched_from_ms) == ("f-1", None, START_MS + 10)
    assert store.get("op-1") == [settled]
    assert [(event.before, event.after, event.by) for event in store.history("op-1")] == [
        (None, State.INTENDED, "me"),
        (State.INTENDED, State.SENT, "me"),
        (State.SENT, State.CONFIRMED, "me"),
    ]
    assert store.counts() == {State.CONFIRMED: 1}
    assert store.verify().problems == ()


def test_a_change_of_master_data_comes_back_as_it_went_in(ledger: Ledger) -> None:
    """Ours: what a look needs to find it is kept, and nothing else."""
    store = ledger.store()
    wanted = change("a", "counterparty:9d0c", "counterparty:77")

    (row,) = claim(store, wanted, effect="write").rows

    assert (row.effect, row.change, row.invoice) == ("write", wanted.change, None)


def test_rows_of_a_batch_keep_their_places(ledger: Ledger) -> None:
    """Ours: the ledger inserts by identity, the caller counts by position."""
    store = ledger.store()

    rows = claim(store, *(invoice(f"INV-{9 - n}", amount_cents=n + 1) for n in range(9))).rows

    assert [row.position for row in rows] == list(range(9))
    assert [row.invoice.number for row in rows if row.invoice] == [f"INV-{9 - n}" for n in range(9)]


def test_one_identity_twice_in_a_claim_is_a_mistake_of_ours(ledger: Ledger) -> None:
    """Ours: whoever claims has looked at the batch before."""
    store = ledger.store()

    with pytest.raises(ValueError, match="twice"):
        claim(store, invoice("INV-1"), invoice("inv-1"))

    assert store.counts() == {}


# Known already ---------------------------------------------------------------------


def test_a_live_invoice_is_known_and_nothing_is_recorded(ledger: Ledger) -> None:
    """Ours: another process that asks for the same hears of the row that is there, new rows beside it included."""
    (first,) = claim(ledger.store(), invoice("INV-1")).rows
    other = ledger.store("other")

    again = claim(other, invoice("INV-2", amount_cents=7), invoice("INV-1"), op_id="op-2")

    assert (again.rows, dict(again.known), again.differing) == ((), {1: first}, frozenset())
    assert other.get("op-2") == []


@pytest.mark.parametrize("other", [{"amount_cents": 1}, {"invoice_date": "2026-11-02"}, {"discount_cents": 1}])
def test_the_same_number_with_other_content_differs(ledger: Ledger, other: dict[str, int | str]) -> None:
    """Ours: the caller hears of a conflict; the stored row is not touched."""
    store = ledger.store()
    submit(store, invoice("INV-1"))

    again = claim(store, invoice("INV-1", **other), op_id="op-2")  # type: ignore[arg-type]

    assert (states(tuple(again.known.values())), again.differing) == (["confirmed"], frozenset({0}))
    assert states(store.get("op-1")) == ["confirmed"]


@pytest.mark.parametrize("outcome", [UNKNOWN, CONFIRMED])
def test_what_may_have_happened_blocks(ledger: Ledger, outcome: Outcome) -> None:
    """Ours: a second submission waits for the first one's outcome."""
    store = ledger.store()
    (row,) = submit(store, invoice("INV-1"), outcome=outcome)

    assert claim(store, invoice("INV-1"), op_id="op-2").known == {0: row}


def test_what_provably_did_not_happen_does_not_block(ledger: Ledger) -> None:
    """Ours: refused and withdrawn submissions may be repeated; only the withdrawn one counts as a generation."""
    store = ledger.store()
    submit(store, invoice("INV-1"), outcome=REFUSED)
    (second,) = claim(store, invoice("INV-1"), op_id="op-2").rows
    assert store.withdraw("op-2")

    (third,) = claim(store, invoice("INV-1"), op_id="op-3").rows

    assert [row.generation for row in (second, third)] == [1, 2]
    assert not third.doubtful_before
    assert third.searched_from_ms is None


def test_after_an_absent_submission_the_next_is_doubtful(ledger: Ledger) -> None:
    """Ours: what was sent and not found may land late, so the next one's refusal may speak of it."""
    store = ledger.store()
    (row,) = submit(store, invoice("INV-1"), outcome=UNKNOWN)
    store.begin_look(lease_ms=LEASE_MS)
    store.end_look({row.id: Look(outcome=NOT_FOUND, next_look_at_ms=None, absent_since_ms=START_MS)})
    ledger.clock.ms += 5000

    send(store, invoice("INV-1"), op_id="op-2")
    (again,) = store.get("op-2")

    assert (again.generation, again.doubtful_before) == (2, True)
    assert (again.sent_at_ms, again.searched_from_ms) == (START_MS + 5000, START_MS)
    assert store.verify().problems == ()


def test_another_scope_is_another_ledger(ledger: Ledger) -> None:
    """Ours: sandbox and production never answer for each other."""
    submit(ledger.store(), invoice("INV-1"))
    elsewhere = Store(ledger.engine, scope="https://other.example.test", owner="me", now=ledger.clock)

    assert elsewhere.get("op-1") == elsewhere.find() == elsewhere.history("op-1") == []
    assert elsewhere.owners_of(["f-1"]) == elsewhere.counts() == {}
    assert len(claim(elsewhere, invoice("INV-1"), op_id="op-2").rows) == 1


# Submitting again after a refund ---------------------------------------------------


def test_a_confirmed_invoice_gives_way_when_finexio_allows_it(ledger: Ledger) -> None:
    """Ours: the earlier row stays, superseded; the next generation blocks in its place."""
    store = ledger.store()
    (first,) = submit(store, invoice("INV-1"))

    (second,) = claim(store, invoice("INV-1", resubmits=first.id), op_id="op-2").rows

    assert second.generation == 2
    assert claim(store, invoice("INV-1", resubmits=first.id), op_id="op-3").known == {0: second}
    assert states(store.get("op-1")) == ["confirmed"]
    assert store.verify().problems == ()


def test_only_the_confirmed_row_itself_gives_way(ledger: Ledger) -> None:
    """Ours: neither a row in doubt nor another row's permission lets an invoice be submitted again."""
    store = ledger.store()
    (doubtful,) = submit(store, invoice("INV-1"), outcome=UNKNOWN)
    (confirmed,) = submit(store, invoice("INV-2", amount_cents=2), op_id="op-2")

    assert claim(store, invoice("INV-1", resubmits=doubtful.id), op_id="op-3").known == {0: doubtful}
    asked = invoice("INV-2", amount_cents=2, resubmits=doubtful.id)
    assert claim(store, asked, op_id="op-4").known == {0: confirmed}


# Near-duplicates -------------------------------------------------------------------


def test_a_near_duplicate_of_a_confirmed_invoice_is_told_of(ledger: Ledger) -> None:
    """Ours: almost the same number, or the same amount and date, at the same supplier."""
    store = ledger.store()
    submit(store, invoice("INV-1", near_number="1"), invoice("INV-2", amount_cents=7, near_number="2"))

    found = claim(store, invoice("1", amount_cents=3), invoice("X", amount_cents=7), invoice("Y"), op_id="op-2")

    assert len(found.rows) == 3
    assert [(near.position, near.why, near.earlier.position) for near in found.near] == [
        (0, "number", 0),
        (1, "amount", 1),
        (2, "amount", 0),
    ]
    assert not found.near_refuses


@pytest.mark.parametrize(
    "other", [{"supplier": "s-2"}, {"invoice_date": "2026-11-02"}, {"amount_cents": 11_00}, {"supplier": "s-1 x"}]
)
def test_what_is_not_alike_is_not_told_of(ledger: Ledger, other: dict[str, int | str]) -> None:
    """Ours: same amount on another date, or at another supplier, is business as usual."""
    store = ledger.store()
    submit(store, invoice("INV-1"))

    assert claim(store, invoice("INV-2", **other), op_id="op-2").near == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["warn", "refuse", "off"])
def test_a_near_duplicate_of_an_unsettled_invoice_is_refused(ledger: Ledger, rule: str) -> None:
    """Ours: whatever the operator says, since it may be the same invoice in another form."""
    store = ledger.store()
    (first,) = submit(store, invoice("INV-1"), outcome=UNKNOWN)

    found = claim(
        store,
        invoice("INV-1A", not_a_duplicate_of="f-1"),
        op_id="op-2",
        rules=Rules(lease_ms=LEASE_MS, duplicates=rule),  # type: ignore[arg-type]
    )

    assert (found.rows, found.near_refuses, [near.earlier for near in found.near]) == ((), True, [first])


def test_the_operator_may_refuse_near_duplicates_or_not_hear_of_them(ledger: Ledger) -> None:
    """Ours: `refuse` and `off`; naming the earlier invoice gets around both, since it says that somebody looked."""
    store = ledger.store()
    submit(store, invoice("INV-1"))
    refusing, silent = Rules(lease_ms=LEASE_MS, duplicates="refuse"), Rules(lease_ms=LEASE_MS, duplicates="off")

    assert claim(store, invoice("INV-2"), op_id="op-2", rules=refusing).near_refuses
    assert claim(store, invoice("INV-2"), op_id="op-3", rules=silent).near == ()
    known_as_other = claim(store, invoice("INV-3", not_a_duplicate_of="f-1"), op_id="op-4", rules=refusing)

    # The second one is not settled yet.
    assert [near.earlier.op_id for near in known_as_other.near] == ["op-3"]
    store.withdraw("op-3")
    assert claim(store, invoice("INV-3", not_a_duplicate_of="f-1"), op_id="op-5", rules=refusing).rows


def test_many_near_duplicates_are_told_of_in_part(ledger: Ledger) -> None:
    """Ours: unsettled ones first, then the newest, three of them."""
    store = ledger.store()
    submit(store, *(invoice(f"INV-{n}") for n in range(5)))
    quiet = Rules(lease_ms=LEASE_MS, duplicates="off")
    store.claim([invoice("INV-5", supplier="s-9")], op_id="op-9", tool="t", effect="pay", rules=quiet)

    near = claim(store, invoice("INV-6"), op_id="op-2").near

    assert [found.earlier.position for found in near] == [4, 3, 2]


# The limit of a day ----------------------------------------------------------------


def test_a_day_has_a_limit(ledger: Ledger) -> None:
    """Ours: what was claimed in the last 24 hours counts, unless it provably did not happen."""
    store = ledger.store()
    rules = Rules(lease_ms=LEASE_MS, max_day_cents=100)
    submit(store, invoice("INV-1", amount_cents=60))
    submit(store, invoice("INV-2", amount_cents=30), op_id="op-2", outcome=REFUSED)

    over = claim(store, invoice("INV-3", amount_cents=41), op_id="op-3", rules=rules)
    assert (over.rows, over.day_cents) == ((), 101)
    assert claim(store, invoice("INV-4", amount_cents=40), op_id="op-4", rules=rules).rows

    ledger.clock.ms += 24 * 60 * 60 * 1000
    assert claim(store, invoice("INV-3", amount_cents=41), op_id="op-5", rules=rules).rows


# Changes of master data ------------------------------------------------------------


def test_a_change_repeated_at_once_is_known(ledger: Ledger) -> None:
    """Ours: a retry is answered; ten minutes later the same change is meant again."""
    store = ledger.store()
    (first,) = submit(store, change("a"), effect="write")
    again = change("a")

    assert claim(store, again, op_id="op-2", effect="write").known == {0: first}
    assert store.recall(again, effect="write", rules=RULES) == first

    ledger.clock.ms += RULES.repeat_ms
    assert store.recall(again, effect="write", rules=RULES) is None
    assert claim(store, again, op_id="op-3", effect="write").rows


@pytest.mark.parametrize(
    ("other", "known"),
    [
        (change("b", "counterparty:1"), False),
        (change("b", "counterparty:f-1"), False),
        (change("b", "webhook:f-1"), True),
        (change("b", "counterparty:2"), True),
    ],
    ids=["same record", "the record it made", "id of another kind", "other record"],
)
def test_after_another_change_of_the_record_a_change_is_meant_again(ledger: Ledger, other: Wanted, known: bool) -> None:
    """Ours: A, then B, then A again must end with A."""
    store = ledger.store()
    first = change("a", "counterparty:1")
    submit(store, first, effect="write")
    submit(store, other, op_id="op-2", effect="write", outcome=UNKNOWN)

    assert bool(claim(store, first, op_id="op-3", effect="write").known) is known


def test_another_change_that_did_not_happen_does_not_count(ledger: Ledger) -> None:
    """Ours: what was refused changed nothing."""
    store = ledger.store()
    first = change("a", "counterparty:1")
    submit(store, first, effect="write")
    submit(store, change("b", "counterparty:1"), op_id="op-2", effect="write", outcome=REFUSED)

    assert claim(store, first, op_id="op-3", effect="write").known


def test_recall_claims_nothing(ledger: Ledger) -> None:
    """Ours: it asks only."""
    store = ledger.store()
    assert store.recall(change("a"), effect="write", rules=RULES) is None
    (row,) = claim(store, change("a"), effect="write").rows

    assert ledger.store("other").recall(change("a"), effect="write", rules=RULES) == row
    assert store.counts() == {State.INTENDED: 1}


# Leases ----------------------------------------------------------------------------


def test_only_its_owner_may_send_within_the_lease(ledger: Ledger) -> None:
    """Ours: a process that slept too long finds the door closed, and nothing is changed by trying."""
    store, other = ledger.store(), ledger.store("other")
    claim(store, invoice("INV-1"), invoice("INV-2", amount_cents=2))

    assert not other.mark_sent("op-1", lease_ms=LEASE_MS)
    assert not store.mark_sent("op-2", lease_ms=LEASE_MS)
    ledger.clock.ms += LEASE_MS
    assert not store.mark_sent("op-1", lease_ms=LEASE_MS)
    assert states(store.get("op-1")) == ["intended", "intended"]
    ledger.clock.ms -= 1
    assert store.mark_sent("op-1", lease_ms=LEASE_MS)
    assert not store.mark_sent("op-1", lease_ms=LEASE_MS)


def test_rows_are_taken_over_only_past_their_lease(ledger: Ledger) -> None:
    """Ours: what was not sent never will be; what was sent is in doubt, and due."""
    store, other = ledger.store(), ledger.store("other")
    claim(store, invoice("INV-1"))
    send(store, invoice("INV-2", amount_cents=2), op_id="op-2")

    assert other.next_due_ms() == START_MS + LEASE_MS
    ledger.clock.ms += LEASE_MS - 1
    assert other.take_over() == []
    ledger.clock.ms += 1
    taken = other.take_over()

    assert [(row.state, row.reason, row.owner) for row in taken] == [
        (State.ABSENT, "abandoned", None),
        (State.IN_DOUBT, "taken_over", None),
    ]
    assert not store.mark_sent("op-1", lease_ms=LEASE_MS)
    assert not store.withdraw("op-1")
    assert other.next_due_ms() == ledger.clock.ms
    assert [event.by for event in store.history("op-2")] == ["me", "me", "other"]


def test_a_claim_takes_over_what_stands_in_its_way(ledger: Ledger) -> None:
    """Ours: a caller that repeats itself after a crash need not wait for anybody."""
    store, other = ledger.store(), ledger.store("other")
    claim(store, invoice("INV-1"))
    send(store, invoice("INV-2", amount_cents=2), op_id="op-2")
    ledger.clock.ms += LEASE_MS

    assert claim(other, invoice("INV-1"), op_id="op-3").rows
    assert states(tuple(claim(other, invoice("INV-2", amount_cents=2), op_id="op-4").known.values())) == ["in_doubt"]
    assert states(other.get("op-1")) == ["absent"]


def test_rows_that_stay_sent_keep_their_lease(ledger: Ledger) -> None:
    """Ours: while a refused batch is looked at again, nobody takes it over."""
    store = ledger.store()
    send(store, invoice("INV-1"), invoice("INV-2", amount_cents=2))
    store.extend("op-1", [1], lease_ms=3 * LEASE_MS)
    ledger.store("other").extend("op-1", [0], lease_ms=3 * LEASE_MS)
    ledger.clock.ms += 2 * LEASE_MS

    assert [row.position for row in store.take_over()] == [0]


def test_leases_go_by_the_clock_of_the_database(ledger: Ledger) -> None:
    """Ours: processes on several hosts have only that one in common."""
    store = Store(ledger.engine, scope=SCOPE, owner="me")

    before = int(time.time() * 1000)
    (row,) = claim(store, invoice("INV-1")).rows
    after = int(time.time() * 1000)

    assert before - 1 <= row.claimed_at_ms <= after + 1
    assert row.lease_until_ms == row.claimed_at_ms + LEASE_MS
    assert abs(store.now_ms() - after) < 5000


# Settling --------------------------------------------------------------------------


def test_a_batch_is_settled_row_by_row(ledger: Ledger) -> None:
    """Ours: each row has its own outcome, and what has none stays sent."""
    store = ledger.store()
    send(store, *(invoice(f"INV-{n}", amount_cents=n + 1) for n in range(4)))

    rows = store.settle("op-1", {0: CONFIRMED, 1: REFUSED, 2: UNKNOWN}, look_at_ms_after=500)

    assert states(rows) == ["confirmed", "rejected", "in_doubt", "sent"]
    assert [row.next_look_at_ms for row in rows] == [None, None, START_MS + 500, None]
    assert store.get("op-1") == rows


def test_another_process_settles_nothing_that_is_sent(ledger: Ledger) -> None:
    """Ours: only who sent it got the answer."""
    send(ledger.store(), invoice("INV-1"))

    assert states(ledger.store("other").settle("op-1", {0: CONFIRMED})) == ["sent"]


@pytest.mark.parametrize(("outcome", "state"), [(CONFIRMED, "confirmed"), (REFUSED, "in_doubt"), (UNKNOWN, "in_doubt")])
def test_a_late_answer_settles_what_was_taken_over_only_if_it_shows_it(
    ledger: Ledger, outcome: Outcome, state: str
) -> None:
    """Ours: an answer that shows the invoice is proof; any other leaves the question to who looks it up."""
    store, other = ledger.store(), ledger.store("other")
    send(store, invoice("INV-1"))
    ledger.clock.ms += LEASE_MS
    other.take_over()
    (looked_at,) = other.begin_look(lease_ms=LEASE_MS)

    assert states(store.settle("op-1", {0: outcome})) == [state]

    look = Look(outcome=None, next_look_at_ms=None, absent_since_ms=None)
    assert states(other.end_look({looked_at.id: look})) == [state]
    assert store.verify().problems == ()


def test_what_is_settled_stays_settled(ledger: Ledger) -> None:
    """Ours: a second answer changes nothing."""
    store = ledger.store()
    submit(store, invoice("INV-1"), outcome=REFUSED)

    assert states(store.settle("op-1", {0: CONFIRMED})) == ["rejected"]
    assert not store.withdraw("op-1")


# Looking ---------------------------------------------------------------------------


def test_one_process_at_a_time_looks_a_row_up(ledger: Ledger) -> None:
    """Ours: until its lease is over; the one that looks may begin again."""
    store, other = ledger.store(), ledger.store("other")
    (row,) = submit(store, invoice("INV-1"), outcome=UNKNOWN)

    assert [each.id for each in store.begin_look(lease_ms=LEASE_MS)] == [row.id]
    assert other.begin_look(lease_ms=LEASE_MS) == []
    assert store.next_due_ms() == START_MS + LEASE_MS
    assert len(store.begin_look(lease_ms=LEASE_MS)) == 1
    ledger.clock.ms += LEASE_MS
    (taken,) = other.begin_look(lease_ms=LEASE_MS)

    still = Look(outcome=None, next_look_at_ms=1, absent_since_ms=2)
    assert store.end_look({row.id: still}) == [taken]
    (after,) = other.end_look({row.id: still})
    assert (after.looks, after.next_look_at_ms, after.absent_since_ms) == (1, 1, 2)
    assert (after.owner, after.lease_until_ms, after.state) == (None, 0, State.IN_DOUBT)


def test_rows_are_looked_up_when_they_are_due_or_named(ledger: Ledger) -> None:
    """Ours: the schedule is for the background; who asks for a row need not wait for it."""
    store = ledger.store()
    send(store, *(invoice(f"INV-{n}", amount_cents=n + 1) for n in range(3)))
    rows = store.settle("op-1", dict.fromkeys(range(3), UNKNOWN), look_at_ms_after=100)
    by_hand, later = rows[0].id, rows[1].id
    store.begin_look(lease_ms=LEASE_MS, ids=[by_hand], due_only=False)
    store.end_look({by_hand: Look(outcome=None, next_look_at_ms=None, absent_since_ms=None)})

    assert store.begin_look(lease_ms=LEASE_MS) == []
    assert store.begin_look(lease_ms=LEASE_MS, ids=[later]) == []
    assert store.begin_look(lease_ms=LEASE_MS, ids=[]) == []
    assert len(store.begin_look(lease_ms=0, ids=[by_hand, later], due_only=False)) == 2
    ledger.clock.ms += 100
    assert len(store.begin_look(lease_ms=LEASE_MS)) == 2
    assert len(store.begin_look(lease_ms=LEASE_MS, limit=1)) == 1


@pytest.mark.parametrize("outcome", [FOUND, NOT_FOUND, FOUND_OTHER])
def test_a_look_settles_a_row(ledger: Ledger, outcome: Outcome) -> None:
    """Ours: found, found with another content, or not found twice."""
    store = ledger.store()
    (row,) = submit(store, invoice("INV-1"), outcome=UNKNOWN)
    store.begin_look(lease_ms=LEASE_MS)

    (after,) = store.end_look({row.id: Look(outcome=outcome, next_look_at_ms=None, absent_since_ms=5)})

    assert (after.state, after.reason, after.finexio_id) == (outcome.state, outcome.reason, outcome.finexio_id)
    assert (after.looks, after.settled_at_ms, after.absent_since_ms) == (1, START_MS, 5)
    assert store.next_due_ms() is None
    assert store.owners_of(["f-1", "f-2"]) == ({} if outcome is NOT_FOUND else {"f-1": row.id})
    assert store.verify().problems == ()


def test_nothing_is_due_when_only_a_person_can_settle_it(ledger: Ledger) -> None:
    """Ours: the background sleeps."""
    store = ledger.store()
    assert store.next_due_ms() is None
    (row,) = submit(store, invoice("INV-1"), outcome=UNKNOWN)
    store.begin_look(lease_ms=LEASE_MS)
    store.end_look({row.id: Look(outcome=None, next_look_at_ms=None, absent_since_ms=None)})

    assert store.next_due_ms() is None


# A person's word -------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.CONFIRMED, State.ABSENT])
@pytest.mark.parametrize("outcome", [None, FOUND_OTHER], ids=["in doubt", "conflict"])
def test_a_person_settles_what_nobody_else_can(ledger: Ledger, state: State, outcome: Outcome | None) -> None:
    """Ours: it is on record as a person's word, with the note, and the next submission knows of it."""
    store = ledger.store()
    send(store, invoice("INV-1"), invoice("INV-2", amount_cents=2))
    rows = store.settle("op-1", {0: UNKNOWN, 1: UNKNOWN})
    store.begin_look(lease_ms=LEASE_MS)
    store.end_look({row.id: Look(outcome=outcome, next_look_at_ms=None, absent_since_ms=None) for row in rows})

    (settled,) = store.resolve("op-1", number=" inv-2 ", state=state, note="Called them.")

    assert (settled.position, settled.state, settled.reason, settled.by_operator) == (1, state, "operator", True)
    last = store.history("op-1")[-1]
    assert (last.by, last.note, last.after) == ("operator", "Called them.", state)
    assert store.verify().problems == ()
    assert len(store.resolve("op-1", number=None, state=state, note="Both.")) == 1
    again = claim(store, invoice("INV-2", amount_cents=2), op_id="op-2")
    assert bool(again.rows) is (state is State.ABSENT)
    assert all((row.generation, row.doubtful_before) == (2, True) for row in again.rows)


def test_a_persons_word_has_its_limits(ledger: Ledger) -> None:
    """Ours: neither what is on its way nor what is settled, and never without a reason."""
    store = ledger.store()
    send(store, invoice("INV-1"))
    submit(store, invoice("INV-2", amount_cents=2), op_id="op-2")
    submit(store, invoice("INV-3", amount_cents=3), op_id="op-3", outcome=UNKNOWN)

    def refused(op_id: str, *, number: str | None = None, state: State = State.ABSENT, note: str = "Because.") -> str:
        with pytest.raises(Unresolvable) as caught:
            store.resolve(op_id, number=number, state=state, note=note)
        return str(caught.value)

    assert "still being sent" in refused("op-1")
    assert "settled already" in refused("op-2")
    assert "no such" in refused("op-9")
    assert "no such" in refused("op-3", number="INV-1")
    assert "confirmed or absent" in refused("op-3", state=State.REJECTED)
    assert "note" in refused("op-3", note="  ")
    assert "500" in refused("op-3", note="x" * 501)
    assert store.resolve("op-3", number=None, state=State.ABSENT, note="x" * 500)


# Asking ----------------------------------------------------------------------------


def test_submissions_are_found_newest_first(ledger: Ledger) -> None:
    """Ours: by number however it is written, by supplier, by state, and page by page."""
    store = ledger.store()
    submit(store, invoice("INV 1"), outcome=REFUSED)
    submit(store, invoice("INV 1"), op_id="op-2")
    submit(store, invoice("INV-2", supplier="s-2"), op_id="op-3")

    def ops(rows: list[Submission]) -> list[str]:
        return [row.op_id for row in rows]

    assert ops(store.find()) == ["op-3", "op-2", "op-1"]
    assert ops(store.find(number="  inv   １ ")) == ["op-2", "op-1"]
    assert ops(store.find(supplier="s-2")) == ["op-3"]
    assert ops(store.find(states=[State.CONFIRMED])) == ["op-3", "op-2"]
    assert ops(store.find(limit=1, before_id=store.find()[0].id)) == ["op-2"]


def test_a_finexio_id_belongs_to_whom_it_was_given_first(ledger: Ledger) -> None:
    """Ours: a later submission cannot take it."""
    store = ledger.store()
    (first,) = submit(store, invoice("INV-1"))
    submit(store, invoice("INV-2", amount_cents=2), op_id="op-2")

    assert store.owners_of(["f-1", "f-9"]) == {"f-1": first.id}
    assert store.owners_of([]) == {}


@pytest.mark.parametrize(
    ("record", "outcome", "rival"),
    [
        ('counterparty:code:A_1%"é', CONFIRMED, True),
        ('counterparty:code:A_1%"é', UNKNOWN, True),
        ('counterparty:code:A_1%"é', REFUSED, False),
        ('counterparty:code:AX1%"é', CONFIRMED, False),
        ('counterparty:code:a_1%"é', CONFIRMED, False),
        ('counterparty:code:A_1%"é2', CONFIRMED, False),
    ],
)
def test_a_change_of_a_record_of_the_same_key_is_a_rival(
    ledger: Ledger, record: str, outcome: Outcome, rival: bool
) -> None:
    """Ours: to the letter, whatever the key holds; what was refused made nothing."""
    store = ledger.store()
    (row,) = submit(store, change("a", "counterparty:0", 'counterparty:code:A_1%"é'), effect="write", outcome=UNKNOWN)

    assert not store.has_rival(row, ("code",))
    submit(store, change("b", "counterparty:9", record), op_id="op-2", effect="write", outcome=outcome)

    assert store.has_rival(row, ("code",)) is rival


@pytest.mark.parametrize(("key", "rival"), [("email", False), ("code", True)])
def test_a_record_of_another_key_is_no_rival(ledger: Ledger, key: str, rival: bool) -> None:
    """Ours: two webhooks of one event have two addresses; where a key is not said, it may be the same."""
    store = ledger.store()
    (row,) = submit(store, change("a", "webhook:event:paid"), effect="write", outcome=UNKNOWN)
    submit(store, change("b", "webhook:event:paid"), op_id="op-2", effect="write")

    assert store.has_rival(row, (key,)) is rival


def test_an_invoice_has_no_rivals_of_this_kind(ledger: Ledger) -> None:
    """Ours: its number is its own identity."""
    store = ledger.store()
    (row,) = submit(store, invoice("INV-1"))

    assert not store.has_rival(row, ("invoice_number",))


# The rules of the database ---------------------------------------------------------


def test_the_database_allows_only_the_moves_that_there_are(ledger: Ledger) -> None:
    """Ours: a statement of ours that went wrong, or somebody else's, cannot make a state up."""
    claim(ledger.store(), invoice("INV-1"))
    allowed: set[tuple[str, str]] = set()
    for before, after in permutations(State, 2):
        with ledger.engine.connect() as connection:
            for state in _path_to(before):
                connection.execute(text(f"UPDATE submissions SET state = '{state}'"))
            try:
                connection.execute(text(f"UPDATE submissions SET state = '{after}'"))
                allowed.add((before, after))
            except IntegrityError:
                pass
            connection.rollback()

    assert allowed == {(before, after) for before, afters in MOVES.items() for after in afters}


def _path_to(state: State) -> list[State]:
    if state is State.INTENDED:
        return []
    before = next(before for before, afters in MOVES.items() if state in afters)
    return [*_path_to(before), state]


REFUSED_STATEMENTS = (
    "DELETE FROM submissions",
    "DELETE FROM events",
    "DELETE FROM head",
    "UPDATE events SET note = 'x'",
    "UPDATE head SET seq = seq - 1",
    "UPDATE head SET ledger_id = 'x'",
    "UPDATE head SET version = 3",
    "UPDATE submissions SET id = 99",
    "UPDATE submissions SET superseded = 1",
    "UPDATE submissions SET finexio_id = 'f-9'",
    "UPDATE submissions SET sent_at_ms = 1",
    "UPDATE submissions SET by_operator = 1",
    "UPDATE submissions SET change = '{}'",
    "UPDATE submissions SET account = 'acme'",
    "UPDATE submissions SET caller = 'x'",
    "UPDATE submissions SET earlier_sent_at_ms = 5",
    *(f"UPDATE submissions SET {column.name} = NULL" for column in schema.FIXED),
)


def test_the_database_refuses_what_no_statement_of_ours_does(ledger: Ledger) -> None:
    """Ours: history and facts cannot be changed in passing."""
    claim(ledger.store(), invoice("INV-1"))
    always_null = {f"UPDATE submissions SET {name} = NULL" for name in ("change", "earlier_sent_at_ms", "caller")}
    passed: set[str] = set()

    for statement in REFUSED_STATEMENTS:
        try:
            ledger.execute(statement)
            passed.add(statement)
        except IntegrityError:
            pass

    assert passed == always_null
    assert ledger.store().verify().problems == ()


def test_the_database_refuses_a_submission_that_does_not_begin_as_one(ledger: Ledger) -> None:
    """Ours: nothing enters the ledger as sent or confirmed."""
    store = ledger.store()
    claim(store, invoice("INV-1"))
    columns = ", ".join(
        column.name
        for column in schema.SUBMISSIONS.c
        if column.name not in {"id", "live", "state", "op_id", "identity"}
    )
    copied = f"INSERT INTO submissions ({columns}, identity, op_id, state) SELECT {columns}, 'x', 'op-2'"

    with pytest.raises(IntegrityError):
        ledger.execute(f"{copied}, 'confirmed' FROM submissions")
    ledger.execute(f"{copied}, 'intended' FROM submissions")

    # It got in, but not unseen.
    assert any("no event" in problem for problem in store.verify().problems)


def test_postgresql_does_not_empty_tables_of_the_ledger(server: Ledger) -> None:
    """Ours: TRUNCATE is a deletion too."""
    claim(server.store(), invoice("INV-1"))

    for statement in ("TRUNCATE events", "TRUNCATE submissions CASCADE", "TRUNCATE head"):
        with pytest.raises(IntegrityError):
            server.execute(statement)


def test_a_second_live_row_of_an_identity_is_an_error_of_ours(ledger: Ledger) -> None:
    """Ours: the unique index refuses what the reading overlooked, and that is never told as `known`."""

    class Blind(Store):
        def _live(self, connection: Connection, identities: Collection[str]) -> dict[str, Submission]:
            return {}

    claim(ledger.store(), invoice("INV-1"))

    with pytest.raises(Unusable) as caught:
        claim(ledger.store("other", kind=Blind), invoice("INV-1", near_number="x", amount_cents=1), op_id="op-2")

    assert caught.value.kind == "inconsistent"
    assert ledger.store().counts() == {State.INTENDED: 1}


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    """Ours: neither rows without events nor a head that is ahead."""

    class Crashing(Store):
        def _append(self, writing: Writing) -> int:
            super()._append(writing)
            raise RuntimeError("the power went")

    store = ledger.store("other", kind=Crashing)

    with pytest.raises(RuntimeError):
        claim(store, invoice("INV-1"))

    assert ledger.store().counts() == {}
    assert ledger.store().verify().events == 0


# The chain -------------------------------------------------------------------------


def tamper(ledger: Ledger, *statements: str) -> None:
    """Edit the ledger as somebody would who knows how to get past its rules, and puts them back afterwards."""
    if not ledger.sqlite:
        ledger.execute("SET session_replication_role = replica", *statements)
        return
    with contextlib.closing(sqlite3.connect(ledger.path)) as connection:
        rules = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in rules:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, rule in rules:
            connection.execute(rule)
        connection.commit()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ("UPDATE submissions SET amount_cents = 1 WHERE id = 1", "submission 1: it is not what was recorded"),
        ("UPDATE submissions SET identity = 'x' WHERE id = 1", "submission 1: it is not what was recorded"),
        ("UPDATE submissions SET state = 'absent' WHERE id = 1", "submission 1: its state"),
        ("UPDATE submissions SET finexio_id = 'f-2' WHERE id = 1", "submission 1: its state"),
        ("UPDATE submissions SET by_operator = 1 WHERE id = 1", "submission 1: its state"),
        ("UPDATE submissions SET sent_at_ms = 1 WHERE id = 1", "submission 1: its state"),
        ("UPDATE submissions SET superseded = 1 WHERE id = 1", "submission 1: whether it was submitted again"),
        ("UPDATE submissions SET op_id = 'op-9' WHERE id = 1", "submission 1: its events name another call"),
        ("DELETE FROM submissions WHERE id = 1", "submission 1: missing"),
        ("UPDATE events SET note = 'x' WHERE seq = 2", "event 2: it or"),
        ("UPDATE events SET at_ms = 5 WHERE seq = 2", "event 2: it or"),
        ("UPDATE events SET hash = 'x' WHERE seq = 2", "event 2: it or"),
        ("DELETE FROM events WHERE seq = 2", "event 2: missing"),
        ("DELETE FROM events WHERE seq = 6", "head: it is not at the last event"),
        ("UPDATE head SET seq = 5", "head: it is not at the last event"),
        ("UPDATE head SET hash = 'x'", "head: the chain does not lead to it"),
    ],
)
def test_an_edit_is_noticed(ledger: Ledger, edit: str, problem: str) -> None:
    """Ours: whoever gets past the database's own rules is found by the chain."""
    store = ledger.store()
    submit(store, invoice("INV-1"))
    submit(store, invoice("INV-2", amount_cents=2), op_id="op-2")
    assert store.verify().problems == ()
    tamper(ledger, edit)

    problems = ledger.store().verify().problems
    assert any(found.startswith(problem) for found in problems), problems


def test_a_reordered_history_is_noticed(ledger: Ledger) -> None:
    """Ours: two events that change places."""
    store = ledger.store()
    claim(store, invoice("INV-1"))
    claim(store, invoice("INV-2", amount_cents=2), op_id="op-2")
    tamper(
        ledger, *(f"UPDATE events SET seq = {after} WHERE seq = {before}" for before, after in ((1, 9), (2, 1), (9, 2)))
    )

    problems = store.verify().problems
    assert "event 1: it or the one before was changed" in problems


def test_the_head_tells_two_histories_apart(ledger: Ledger) -> None:
    """Ours: it is what an operator notes, since the chain cannot show a cut tail."""
    store = ledger.store()
    heads = {store.head()}
    claim(store, invoice("INV-1"))
    heads.add(store.head())
    store.mark_sent("op-1", lease_ms=LEASE_MS)
    heads.add(store.head())

    assert len(heads) == 3
    assert store.verify().head == store.head()


def test_many_problems_are_told_in_part(file: Ledger) -> None:
    """Ours: an answer has a size."""
    store = file.store()
    claim(store, *(invoice(f"INV-{n}", amount_cents=n + 1) for n in range(150)))
    tamper(file, "UPDATE submissions SET amount_cents = 0")

    problems = store.verify().problems

    assert len(problems) == 101
    assert problems[-1] == "and 50 more"


# The ledger itself -----------------------------------------------------------------


def test_a_ledger_that_is_there_is_not_made_again(ledger: Ledger) -> None:
    """Ours: whoever comes second finds what the first one made."""
    submit(ledger.store(), invoice("INV-1"))
    head = ledger.store().head()

    ledger.store("other").create()

    assert ledger.store().head() == head


def unusable(store: Store) -> str:
    with pytest.raises(Unusable) as caught:
        store.check()
    return caught.value.kind


def test_an_empty_database_is_no_ledger(empty_url: str) -> None:
    """Ours: a file that lost its content is damaged; it is filled only by who says so."""
    store = Store(open_engine(empty_url), scope=SCOPE, owner="me")
    try:
        assert unusable(store) == "damaged"
        store.create()
        store.check()
    finally:
        store.close()


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    """Ours: nothing is added to a database that has something in it."""
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (id)")
    connection.commit()
    connection.close()
    store = Store(open_engine(f"sqlite:///{path}"), scope=SCOPE, owner="me")

    with pytest.raises(Unusable) as caught:
        store.create()

    assert caught.value.kind == unusable(store) == "not_ours"


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        ("UPDATE head SET version = 3", "unknown_version"),
        ("DELETE FROM head", "damaged"),
        ("DROP INDEX submissions_live", "damaged"),
    ],
)
def test_a_ledger_that_is_not_whole_is_not_used(ledger: Ledger, edit: str, kind: str) -> None:
    """Ours: not by checking it, and by no other way either."""
    tamper(ledger, edit)

    assert unusable(ledger.store()) == kind


def test_a_ledger_without_its_guards_is_not_used(file: Ledger) -> None:
    """Ours: somebody took a trigger away."""
    file.execute("DROP TRIGGER events_fixed")

    assert unusable(file.store()) == "damaged"
    assert file.store().verify().problems == ("database: events_fixed is missing",)


def test_every_transaction_knows_its_ledger(ledger: Ledger) -> None:
    """Ours: one of a later version, or another one in its place, is noticed by whatever is asked next."""
    store = ledger.store()
    store.check()
    tamper(ledger, "UPDATE head SET ledger_id = 'x'")

    for ask in (store.head, store.take_over, lambda: claim(store, invoice("INV-1"))):
        with pytest.raises(Unusable) as caught:
            ask()
        assert caught.value.kind == "replaced"


def test_a_file_put_in_its_place_is_noticed(file: Ledger) -> None:
    """Ours: another ledger, and an earlier copy of this one too."""
    path = file.path
    store = file.store()
    store.check()
    early = path.read_bytes()
    claim(store, invoice("INV-1"))
    late = path.read_bytes()

    def kind() -> str:
        with pytest.raises(Unusable) as caught:
            store.find()
        return caught.value.kind

    path.write_bytes(early)
    assert kind() == "replaced"
    path.unlink()
    create_file(path)
    assert kind() == "replaced"
    path.write_bytes(late)
    assert len(store.find()) == 1


def test_a_missing_file_is_never_made_by_opening(file: Ledger) -> None:
    """Ours: nothing is re-created silently."""
    file.path.unlink()

    with pytest.raises(Exception, match="unable to open") as caught:
        claim(file.store(), invoice("INV-1"))

    assert explain(caught.value, file=file.path).kind == "missing_file"
    assert list(file.path.parent.iterdir()) == []


def test_a_damaged_file_is_not_used(file: Ledger) -> None:
    """Ours: before the first write it is looked through."""
    path = file.path
    store = file.store()
    claim(store, *(invoice(f"INV-{n}", amount_cents=n + 1) for n in range(50)))
    content = bytearray(path.read_bytes())
    content[-8192:] = b"\xff" * 8192
    path.write_bytes(content)

    assert unusable(file.store()) == "damaged"


def test_a_new_file_appears_whole_and_private(tmp_path: Path) -> None:
    """Ours: for this user alone, and nothing lies beside it."""
    path = tmp_path / "ledger.db"

    create_file(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    Store(open_engine(f"sqlite:///{path}"), scope=SCOPE, owner="me").check()


def test_a_new_file_takes_no_others_place(file: Ledger, tmp_path: Path) -> None:
    """Ours: not even an empty file's; two that begin at once end with one ledger."""
    head = file.store().head()

    create_file(file.path)
    empty = tmp_path / "empty.db"
    empty.touch()
    create_file(empty)

    assert file.store().head() == head
    assert empty.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [empty]


def test_a_path_may_hold_anything(tmp_path: Path) -> None:
    """Ours: names of directories are the user's business."""
    path = tmp_path / "a b#%41'ü" / "ledger.db"
    path.parent.mkdir()

    create_file(path)

    Store(open_file(path), scope=SCOPE, owner="me").check()


def test_a_file_is_opened_so_that_what_is_committed_stays(file: Ledger) -> None:
    """Ours: the settings that survive a power cut, on every connection."""
    with file.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "mmap_size", "busy_timeout")
        }

    assert found == {
        "journal_mode": "delete",
        "synchronous": 3,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "mmap_size": 0,
        "busy_timeout": 5000,
    }


def test_a_ledger_in_memory_lasts_as_long_as_its_store() -> None:
    """Ours: for the simulator, which forgets too."""
    store = Store(open_engine("sqlite://"), scope=SCOPE, owner="me")
    store.create()

    submit(store, invoice("INV-1"))

    assert store.counts() == {State.CONFIRMED: 1}
    store.close()


@pytest.mark.parametrize("setting", ["synchronous_commit"])
def test_postgresql_has_to_keep_what_it_confirms(server: Ledger, setting: str) -> None:
    """Ours: an operator who traded durability for speed hears of it before anything is sent."""
    url = server.url.replace("options=", f"options=-c{setting}%3Doff%20")
    store = Store(open_engine(url), scope=SCOPE, owner="me")
    try:
        assert unusable(store) == "not_synchronous"
    finally:
        store.close()


def test_postgresql_does_not_wait_for_ever(server: Ledger) -> None:
    """Ours: bounds on statements, locks and idle transactions, and the isolation that the statements are made for."""
    with server.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "transaction_isolation",
            )
        }

    assert found == {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
        "transaction_isolation": "read committed",
    }


# What it costs, and what it holds --------------------------------------------------


Asked = list[tuple[str, Any, bool]]


def record(engine: Engine) -> Asked:
    """Statement, parameters, and whether it was for many rows, of all that follows."""
    asked: Asked = []

    def before(_c: object, _k: object, statement: str, parameters: object, _x: object, many: bool) -> None:
        asked.append((statement, parameters, many))

    event.listen(engine, "before_cursor_execute", before)
    return asked


def test_a_batch_costs_as_many_statements_as_one_invoice(ledger: Ledger) -> None:
    """Ours: a database may be a network away."""
    engine = ledger.engine
    asked = record(engine)
    store = Store(engine, scope=SCOPE, owner="me", now=ledger.clock)
    counts: dict[int, int] = {}
    # The first question of a store is of which version the ledger is.
    assert store.counts() == {}

    for rows in (1, 300):
        asked.clear()
        op_id = f"op-{rows}"
        send(store, *(invoice(f"{op_id}-{n}", amount_cents=1000 * rows + n) for n in range(rows)), op_id=op_id)
        settled = store.settle(op_id, dict.fromkeys(range(rows), UNKNOWN))
        ids = [row.id for row in settled]
        assert len(store.begin_look(lease_ms=LEASE_MS, ids=ids)) == rows
        store.end_look(dict.fromkeys(ids, Look(outcome=FOUND, next_look_at_ms=None, absent_since_ms=None)))
        counts[rows] = len([statement for statement, _, _ in asked if statement.startswith(("SEL", "INS", "UPD"))])

    assert counts[1] == counts[300] < 40


def test_no_question_reads_the_whole_ledger(file: Ledger) -> None:
    """Ours: in ten years as on the first day. SQLite uses partial indexes only for conditions word for word."""
    engine = file.engine
    asked = record(engine)
    store = Store(engine, scope=SCOPE, owner="me", now=file.clock)
    rules = Rules(lease_ms=LEASE_MS, max_day_cents=10**9)
    (row,) = claim(store, invoice("INV-1"), rules=rules).rows
    store.mark_sent("op-1", lease_ms=LEASE_MS)
    store.settle("op-1", {0: UNKNOWN})
    claim(store, invoice("INV-1"), op_id="op-2")
    submit(store, change("a"), op_id="op-3", effect="write")
    claim(store, change("a"), op_id="op-4", effect="write")
    store.take_over()
    store.begin_look(lease_ms=LEASE_MS)
    store.end_look({row.id: Look(outcome=FOUND, next_look_at_ms=None, absent_since_ms=None)})
    store.next_due_ms()
    store.owners_of(["f-1"])
    store.find(number="INV-1")
    store.find(supplier="s-1")
    store.history("op-1")

    scanned: set[str] = set()
    with engine.connect() as connection:
        for statement, parameters, many in asked:
            if statement.startswith(("SELECT", "UPDATE")) and " head" not in statement:
                first = parameters[0] if many else parameters
                steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", first).mappings()
                scanned |= {statement for step in steps if step["detail"].startswith(("SCAN sub", "SCAN ev"))}

    assert scanned == set()


def test_a_glance_without_the_store_sees_the_same(file: Ledger, tmp_path: Path) -> None:
    """Ours: the start of the server asks through another library."""
    store = file.store()
    claim(store, invoice("INV-1"))
    submit(store, invoice("INV-2", amount_cents=2), op_id="op-2", outcome=UNKNOWN)
    key = tmp_path / "ledger.key"
    key.write_bytes(b"k" * 32)
    place = Place(file.url, file.path, key, memory=False, scope=SCOPE)

    seen = peek(place, now_ms=START_MS + LEASE_MS + 1)

    assert seen == Peeked(expired=1, due=1, **end_of(store))


def test_a_first_start_ends_with_a_ledger_and_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: and the next start finds both; a ledger that is gone is not made again."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = load(FINEXIO_ENVIRONMENT="sandbox", FINEXIO_MCP_ALLOW_VOLATILE_LEDGER="1")
    place = locate(settings)
    assert place.file is not None

    for known in ([], ["op-1"]):
        prepare(place, settings)
        store = open_store(place, owner="me")
        assert [row.op_id for row in store.find()] == known
        if not known:
            claim(store, invoice("INV-1"))

    place.file.unlink()
    with pytest.raises(Unusable) as caught:
        prepare(place, settings)
    assert caught.value.kind == "missing_file"


# The key ----------------------------------------------------------------------------


def test_a_ledger_knows_its_key_again(ledger: Ledger) -> None:
    """Ours: two hosts with different keys would not recognise each other's changes."""
    ledger.store("nobody yet").check_key(b"x" * 32)
    ledger.store("first").recognise_key(b"k" * 32)

    ledger.store("second").recognise_key(b"k" * 32)
    ledger.store("who looks").check_key(b"k" * 32)
    with pytest.raises(Unusable) as caught:
        ledger.store("who looks").check_key(b"x" * 32)
    assert caught.value.kind == "wrong_key"
    with pytest.raises(Unusable) as caught:
        ledger.store("third").recognise_key(b"x" * 32)

    assert caught.value.kind == "wrong_key"
    fresh = Ledger(ledger.url).engine
    with pytest.raises(Exception, match="head_fixed"), fresh.begin() as connection:
        connection.execute(text("UPDATE head SET key_check = 'another'"))
    fresh.dispose()
