"""Several accounts in one ledger: an invoice is submitted once, whoever asks, and nobody sees what is another's."""

from __future__ import annotations

import dataclasses

import pytest

from finexio_mcp.guards.ledger.rows import ChangeFacts, Look, Outcome, Rules, Submission, Wanted
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store

from .conftest import LEASE_MS, RULES, SCOPE, Ledger, change, invoice
from .test_store import CONFIRMED, REFUSED, UNKNOWN, claim, send, states, submit

ABSENT = Outcome(state=State.ABSENT, reason="not_found")


def account(ledger: Ledger, name: str | None, owner: str | None = None) -> Store:
    return Store(ledger.engine, scope=SCOPE, account=name, owner=owner or f"of-{name}", now=ledger.clock)


@pytest.fixture
def acme(ledger: Ledger) -> Store:
    return account(ledger, "acme")


@pytest.fixture
def globex(ledger: Ledger) -> Store:
    return account(ledger, "globex")


@pytest.fixture
def everybody(ledger: Ledger) -> Store:
    """As an operator looks."""
    return account(ledger, None)


def give_up(store: Store, row: Submission) -> None:
    store.begin_look(lease_ms=LEASE_MS, ids=[row.id], due_only=False)
    store.end_look({row.id: Look(outcome=ABSENT, next_look_at_ms=None, absent_since_ms=None)})


# One invoice, one submission -------------------------------------------------------


@pytest.mark.parametrize("state", ["intended", "sent", "in_doubt", "confirmed"])
def test_an_invoice_that_another_account_has_is_not_claimed(state: str, acme: Store, globex: Store) -> None:
    """Ours: and of the other's submission nothing is told, not even how far it is."""
    match state:
        case "intended":
            claim(acme, invoice("INV-1"))
        case "sent":
            send(acme, invoice("INV-1"))
        case _:
            submit(acme, invoice("INV-1"), outcome=CONFIRMED if state == "confirmed" else UNKNOWN)

    told = claim(globex, invoice("INV-0", amount_cents=5), invoice("INV-1", amount_cents=7), op_id="op-2")

    assert told == dataclasses.replace(claim(globex, invoice("INV-1"), op_id="op-3"), elsewhere=frozenset({1}))
    assert (told.rows, told.known, told.near, told.differing) == ((), {}, (), frozenset())
    assert globex.counts() == {}
    assert globex.recall(invoice("INV-1"), effect="pay", rules=RULES) is None


def test_what_is_known_and_what_is_elsewhere_are_told_apart(acme: Store, globex: Store) -> None:
    """Ours: a batch of both is refused whole, each row with what may be known of it."""
    submit(acme, invoice("INV-1"))
    submit(globex, invoice("INV-2", amount_cents=77), op_id="op-2")

    told = claim(globex, *(invoice(f"INV-{n}", amount_cents=70 + n) for n in range(4)), op_id="op-3")

    assert (told.elsewhere, told.known.keys(), told.differing) == ({1}, {2}, {2})


def test_an_account_that_never_sent_it_frees_the_number_for_another(ledger: Ledger, acme: Store, globex: Store) -> None:
    """Ours: nothing left, and nothing will: its process may not send any more."""
    (row,) = claim(acme, invoice("INV-1")).rows
    ledger.clock.ms = row.lease_until_ms

    told = claim(globex, invoice("INV-1"), op_id="op-2")

    assert states(told.rows) == ["intended"]
    assert [(each.state, each.reason) for each in acme.get("op-1")] == [(State.ABSENT, "abandoned")]
    assert not acme.mark_sent("op-1", lease_ms=LEASE_MS)
    assert acme.verify().problems == ()


def test_what_another_account_sent_is_left_to_it(ledger: Ledger, acme: Store, globex: Store) -> None:
    """Ours: also when its time is over; it is taken over and looked up with its own login."""
    (row,) = send(acme, invoice("INV-1"))
    ledger.clock.ms += 10 * LEASE_MS

    told = claim(globex, invoice("INV-1"), op_id="op-2")

    assert told.elsewhere == {0}
    assert states(acme.get("op-1")) == ["sent"]
    assert globex.take_over() == []
    assert globex.begin_look(lease_ms=LEASE_MS, ids=[row.id], due_only=False) == []
    assert states(acme.take_over()) == ["in_doubt"]
    assert globex.begin_look(lease_ms=LEASE_MS, due_only=False) == []
    assert claim(globex, invoice("INV-1"), op_id="op-3").elsewhere == {0}


def test_what_another_account_gave_up_may_have_landed_late(acme: Store, globex: Store) -> None:
    """Ours: so the next submission counts as a later one, and a refusal of it proves nothing."""
    (row,) = submit(acme, invoice("INV-1"), outcome=UNKNOWN)
    give_up(acme, row)

    (mine,) = claim(globex, invoice("INV-1"), op_id="op-2").rows

    assert (mine.generation, mine.doubtful_before, mine.account) == (2, True, "globex")


def test_what_turns_up_late_does_not_push_another_accounts_submission_aside(acme: Store, globex: Store) -> None:
    """Ours: the database holds one live row; the proof is told to the log and to a person, not lost in an error."""
    (row,) = submit(acme, invoice("INV-1"), outcome=UNKNOWN)
    give_up(acme, row)
    submit(globex, invoice("INV-1"), op_id="op-2")

    assert states(acme.settle("op-1", {0: CONFIRMED})) == ["absent"]
    assert states(globex.get("op-2")) == ["confirmed"]


def test_an_invoice_that_was_paid_and_refunded_stays_its_accounts(acme: Store, globex: Store) -> None:
    """Ours: even when its next generation was never sent."""
    (row,) = submit(acme, invoice("INV-1"))
    claim(acme, invoice("INV-1", resubmits=row.id), op_id="op-2")
    assert acme.withdraw("op-2")

    assert claim(globex, invoice("INV-1"), op_id="op-3").elsewhere == {0}
    assert claim(globex, invoice("INV-1", resubmits=row.id), op_id="op-4").elsewhere == {0}
    assert claim(acme, invoice("INV-1"), op_id="op-5").known.keys() == {0}


# Everything else is an account's own -----------------------------------------------


def test_nobody_sees_or_moves_what_is_anothers(ledger: Ledger, acme: Store, globex: Store) -> None:
    """Ours: an op_id of another account is like an unknown one, whatever is asked of it."""
    (row,) = submit(acme, invoice("INV-1"), outcome=UNKNOWN)
    submit(acme, invoice("INV-2", amount_cents=99), op_id="op-2")

    assert globex.get("op-1") == []
    assert globex.find() == []
    assert globex.history("op-1") == []
    assert globex.counts() == {}
    assert set(globex.unsettled().values()) == {0}
    assert globex.next_due_ms() is None
    assert globex.settle("op-1", {0: CONFIRMED}) == []
    assert not globex.withdraw("op-1")
    assert globex.end_look({row.id: Look(outcome=ABSENT, next_look_at_ms=None, absent_since_ms=None)}) == []
    with pytest.raises(Exception, match="no such submission"):
        globex.resolve("op-1", number=None, state=State.CONFIRMED, note="seen")
    assert states(acme.get("op-1")) == ["in_doubt"]


def test_what_looks_alike_is_looked_for_in_an_accounts_own_submissions(acme: Store, globex: Store) -> None:
    """Ours: another company's invoice of the same amount is nobody's duplicate, and nobody's business."""
    submit(acme, invoice("INV-1"), outcome=UNKNOWN)

    claimed = claim(globex, invoice("INV-01", near_number="inv-1", buyer="b-2"), op_id="op-2")

    assert (claimed.near, len(claimed.rows)) == ((), 1)


@pytest.mark.parametrize("state", ["intended", "sent", "in_doubt"])
def test_what_looks_like_an_unsettled_invoice_of_another_login_is_not_claimed(
    state: str, acme: Store, globex: Store
) -> None:
    """Ours: two logins of one company might pay it twice; only that it is so is told, and of other buyers nothing."""
    match state:
        case "intended":
            claim(acme, invoice("INV-0077", near_number="77"))
        case "sent":
            send(acme, invoice("INV-0077", near_number="77"))
        case _:
            submit(acme, invoice("INV-0077", near_number="77"), outcome=UNKNOWN)

    told = claim(globex, invoice("INV 77", amount_cents=4, near_number="77"), op_id="op-2")
    other_buyer = claim(globex, invoice("INV 77", amount_cents=4, near_number="77", buyer="b-2"), op_id="op-3")

    assert (told.elsewhere, told.near, told.rows) == ({0}, (), ())
    assert (other_buyer.elsewhere, other_buyer.near, len(other_buyer.rows)) == (frozenset(), (), 1)


def test_the_days_sum_is_an_accounts_own(acme: Store, globex: Store) -> None:
    """Ours: one company cannot use up another's limit."""
    rules = Rules(lease_ms=LEASE_MS, max_day_cents=15_00)
    submit(acme, invoice("INV-1"))

    assert claim(globex, invoice("INV-2"), op_id="op-2", rules=rules).rows
    assert claim(acme, invoice("INV-3", amount_cents=6_00), op_id="op-3", rules=rules).day_cents == 16_00


def test_a_change_repeated_in_another_account_is_another_change(acme: Store, globex: Store) -> None:
    """Ours: what was answered to one is sent for the other, even were it known by the same digest."""
    submit(acme, change("a", "counterparty:c-1"), effect="write")

    assert acme.recall(change("a", "counterparty:c-1"), effect="write", rules=RULES)
    assert globex.recall(change("a", "counterparty:c-1"), effect="write", rules=RULES) is None
    (row,) = claim(globex, change("b", "counterparty:c-1"), op_id="op-2", effect="write").rows
    assert not globex.has_rival(row, ["email"])


# What one account made proves nothing for another ----------------------------------


def test_a_record_belongs_to_whoever_submitted_it_for_all_accounts(acme: Store, globex: Store) -> None:
    """Ours: two logins of one company see the same records, and what one of them made is not the other's."""
    (row,) = submit(acme, invoice("INV-1"))

    assert globex.owners_of(["f-1", "f-2"]) == acme.owners_of(["f-1", "f-2"]) == {"f-1": row.id}


CODE = "counterparty:code:a-1"


def code(name: str, digest: str | None = "digest-a-1") -> Wanted:
    """A create of a record of one code, whose digest it may leave out."""
    digests = {"email": f"digest-{name}", **({"code": digest} if digest is not None else {})}
    facts = ChangeFacts(records=(CODE,), kept={"code": "a-1"}, digests=(digests,))
    return Wanted(identity=f"change {name}", change=facts)


@pytest.mark.parametrize(
    ("theirs", "outcome", "rival"),
    [
        ("digest-a-1", CONFIRMED, True),
        ("digest-a-1", UNKNOWN, True),
        ("digest-a-1", REFUSED, False),
        ("another", CONFIRMED, False),
        (None, CONFIRMED, False),
    ],
)
def test_a_create_of_another_account_is_a_rival_under_the_same_key_alone(
    theirs: str | None, outcome: Outcome, rival: bool, acme: Store, globex: Store
) -> None:
    """Ours: it may be a login of the same company; a key that is not said is most often another company's."""
    (row,) = submit(acme, code("a"), effect="write", outcome=UNKNOWN)
    submit(globex, code("b", theirs), op_id="op-2", effect="write", outcome=outcome)

    assert acme.has_rival(row, ["code"]) is rival


def test_what_another_account_made_before_is_known_by_its_id_and_is_no_rival(acme: Store, globex: Store) -> None:
    """Ours: or two companies that number their suppliers alike would leave each other in doubt for ever."""
    (theirs,) = submit(globex, code("b"), op_id="op-2", effect="write")
    (row,) = submit(acme, code("a"), effect="write", outcome=UNKNOWN)

    assert not acme.has_rival(row, ["code"])
    assert acme.owners_of(["f-1"]) == {"f-1": theirs.id}


# The operator's view ---------------------------------------------------------------


def test_an_operator_sees_all_accounts_and_submits_for_none(
    acme: Store, globex: Store, everybody: Store, ledger: Ledger
) -> None:
    """Ours: what it is about stands in each row."""
    claimed = acme.claim([invoice("INV-1")], op_id="op-1", tool="t", effect="pay", rules=RULES, caller="token-1")
    submit(globex, invoice("INV-2", amount_cents=99), op_id="op-2", outcome=UNKNOWN)
    submit(ledger.store(), invoice("INV-3", amount_cents=98), op_id="op-3")

    assert [(row.account, row.caller) for row in everybody.find()] == [
        ("default", None),
        ("globex", None),
        ("acme", "token-1"),
    ]
    assert everybody.get("op-1") == list(claimed.rows)
    assert states(everybody.resolve("op-2", number=None, state=State.CONFIRMED, note="seen")) == ["confirmed"]
    assert everybody.verify().problems == ()
    with pytest.raises(ValueError, match="only an account"):
        claim(everybody, invoice("INV-9"))


def test_the_last_word_of_an_operator_frees_the_number_for_all(acme: Store, globex: Store, everybody: Store) -> None:
    """Ours: a person looked; what comes next counts as a later submission all the same."""
    submit(acme, invoice("INV-1"), outcome=UNKNOWN)
    everybody.resolve("op-1", number=None, state=State.ABSENT, note="not there")

    (row,) = claim(globex, invoice("INV-1"), op_id="op-2").rows

    assert row.doubtful_before


def test_what_the_process_of_an_account_that_is_gone_left_behind_can_be_taken_over_for_it(
    ledger: Ledger, acme: Store, globex: Store, everybody: Store
) -> None:
    """Ours: one call at a time, and only when its time is over; nobody else would ever see to it."""
    (row,) = send(acme, invoice("INV-1"))
    send(globex, invoice("INV-2", amount_cents=99), op_id="op-2")

    assert everybody.take_over("op-1") == []
    ledger.clock.ms += 10 * LEASE_MS

    assert states(everybody.take_over("op-1")) == ["in_doubt"]
    assert states(globex.get("op-2")) == ["sent"]
    assert states(everybody.resolve("op-1", number=None, state=State.ABSENT, note="not there")) == ["absent"]
    assert acme.get("op-1")[0].id == row.id
    assert everybody.verify().problems == ()
