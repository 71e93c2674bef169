"""Changes of master data in doubt: what a record of the same key proves, and what only a person can settle."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from finexio_mcp.guards.ledger.states import State
from finexio_mcp.simulator import Fault, Simulator
from tests.calls import (
    BUYER,
    CREATE_BUYER,
    CREATE_CONTACT,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    CREATE_WEBHOOK,
    HOOK,
    PATCH_BUYER,
    PATCH_SUPPLIER,
    PATCH_WEBHOOK,
    PAYER,
    REPLACE_BUYER,
    SUPPLIER,
    VENDOR,
    WEBHOOK,
    Arguments,
    Content,
    ask,
    changes,
    office_for,
)
from tests.conftest import ERAS, Era
from tests.contract.samples import WHOLE_OWNER as OWNER
from tests.never_twice import APART_SECONDS, ROOM_SECONDS, Desk, landed, quick_directory, stands

LOST, NEVER_THERE, BLIND = Fault(lost_answer=True), Fault(reset="before_effect"), Fault(status=503)

BANKED = {
    "name": "Quay Sail Co",
    "external_reference_id": "SAIL-9",
    "payment_method": "ACH",
    "bank_account_number": "1112223334444",
    "bank_routing_number": "021000021",
}
OTHER_BANK = {**BANKED, "bank_account_number": "9992223334444"}
"""The end that Finexio shows is the same."""
MAILED = {
    "name": "Quay Sail Co",
    "external_reference_id": "SAIL-9",
    "payment_method": "Check",
    "delivery_method": "Mail",
    "remit_address_1": "9 Quay St",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602",
}
OWNED = {**PAYER, "owners": [OWNER]}
BANKED_VENDOR = {
    **VENDOR,
    "payment_method": "ACH",
    "remit_email": "ar@quay.example",
    "bank_account_number": "1112223334444",
    "bank_routing_number": "021000021",
}

CORRECTED: dict[str, tuple[str, Arguments, dict[str, Any], str | None]] = {
    "an owner's papers": (
        CREATE_BUYER,
        OWNED,
        {"owners": [{**OWNER, "ssn": "999-45-6789"}]},
        "list_all_finexio_buyers",
    ),
    "the front of an account": (
        CREATE_SUPPLIER,
        BANKED,
        {"bank_account_number": OTHER_BANK["bank_account_number"]},
        "list_all_finexio_suppliers",
    ),
    "a contact more": (
        CREATE_SUPPLIER,
        BANKED,
        {"contacts": [{"primary": True, "name": "Ida Moss", "external_reference_id": "SAIL-AR"}]},
        "list_all_finexio_suppliers",
    ),
    "an account in the older view": (
        CREATE_COUNTERPARTY,
        BANKED_VENDOR,
        {"bank_account_number": "9992223334444"},
        None,
    ),
    "a webhook's password": (CREATE_WEBHOOK, HOOK, {"password": "another one"}, "list_all_finexio_webhooks"),
}
"""Tool, what was created, what the second create says otherwise, and where its refusal sends to."""


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "ledger.db")


def look_fails(sim: Simulator, *, times: int | None = 4) -> None:
    """The looks that follow a lost write at once; four attempts are one read."""
    sim.fault(BLIND, times=times, match=lambda request: request.method == "GET")


def words_of(content: Content) -> str:
    return content["error"]["message"]


def made_in_the_portal(desk: Desk, fields: dict[str, Any], **ago: float) -> dict[str, Any]:
    """A supplier that somebody created by hand, so many hours or days ago."""
    created = (desk.sim.clock.now() - timedelta(**ago)).isoformat(timespec="microseconds")
    return desk.sim.add_supplier("by-hand", **fields, created=created, updated=created)


# The same key, another content -----------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("case", CORRECTED)
async def test_a_corrected_create_whose_refusal_was_lost_is_never_taken_for_the_first_one(
    case: str, era: Era, desk: Desk
) -> None:
    """Ours: Finexio keeps the first, so `confirmed` would be a lie about whose account it is."""
    tool, first, other, lists = CORRECTED[case]
    desk.sim = office_for(tool)
    second = {**first, **other}

    async with desk.open(era) as client:
        created = await ask(client, tool, first)
        desk.fault(LOST)
        lost = await ask(client, tool, second)
        before = landed(desk.sim)
        refused = await ask(client, tool, second)
        last = await ask(client, tool, second)

    assert created["status"] == "confirmed"
    assert (lost["status"], lost["error"]["code"]) == ("conflict", "conflict")
    assert (refused["status"], refused["error"]["may_have_happened"]) == ("rejected", False)
    assert last["status"] == "rejected"
    assert lists is None or lists in words_of(refused)
    assert len(changes(desk.sim)) == 4
    assert landed(desk.sim) == before == 1


@pytest.mark.parametrize("case", CORRECTED)
async def test_the_words_of_such_a_conflict_fit_a_change(case: str, desk: Desk) -> None:
    """Ours: it is no invoice, and a repeat of it does leave, which is what the words must not deny."""
    tool, first, other, _ = CORRECTED[case]
    desk.sim = office_for(tool)

    async with desk.open() as client:
        await ask(client, tool, first)
        desk.fault(LOST)
        lost = await ask(client, tool, {**first, **other})

    words = words_of(lost)
    assert "invoice" not in words.casefold()
    assert "nothing is sent twice" not in words
    assert "do not submit it again" not in words
    assert "sends it again" in words
    assert "finexio-mcp ledger resolve" in words


@pytest.mark.parametrize("case", CORRECTED)
async def test_a_corrected_create_stays_unproven_however_late_it_is_looked_up(case: str, desk: Desk) -> None:
    """Ours: neither the looks that nobody asks for, nor another server, make it `confirmed`."""
    tool, first, other, _ = CORRECTED[case]
    desk.sim = office_for(tool)
    second = {**first, **other}

    async with desk.open() as client:
        await ask(client, tool, first)
        desk.fault(LOST)
        look_fails(desk.sim)
        lost = await ask(client, tool, second)
        desk.sim.clear_faults()
    desk.pass_time(minutes=11)
    async with desk.open() as client:
        later = await ask(client, tool, second)

    assert (lost["status"], later["status"]) == ("in_doubt", "conflict")
    assert len(changes(desk.sim)) == 2


async def test_a_person_closes_the_conflict_of_a_create(desk: Desk) -> None:
    """Ours: the way that its words name leads out of it."""
    async with desk.open() as client:
        await ask(client, CREATE_SUPPLIER, BANKED)
        desk.fault(LOST)
        lost = await ask(client, CREATE_SUPPLIER, OTHER_BANK)
        await desk.book().resolve(lost["op_id"], number=None, state=State.ABSENT, note="Refused: the code was taken")
        states = await stands(client)

    assert lost["status"] == "conflict"
    assert states == [("absent", "operator"), ("confirmed", "accepted")]


async def test_a_create_that_was_changed_since_is_not_found_again(desk: Desk) -> None:
    """Ours: the record is the first create's, and reads otherwise now."""
    async with desk.open() as client:
        created = await ask(client, CREATE_SUPPLIER, MAILED)
        await ask(client, PATCH_SUPPLIER, {"id": created["result"]["id"], "remit_city": "Boise"})
        desk.fault(LOST)
        lost = await ask(client, CREATE_SUPPLIER, MAILED)

    assert lost["status"] == "conflict"


# Whose record it is ----------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("stored", [BANKED, OTHER_BANK], ids=["the same account", "an account with the same end"])
async def test_a_record_that_was_there_for_days_was_not_created_by_this(
    stored: dict[str, Any], era: Era, desk: Desk
) -> None:
    """Ours: somebody made it in the portal, and nobody sees whose account it holds."""
    made_in_the_portal(desk, stored, days=3)
    desk.fault(NEVER_THERE)

    async with desk.open(era) as client:
        lost = await ask(client, CREATE_SUPPLIER, BANKED)
        refused = await ask(client, CREATE_SUPPLIER, BANKED)

    assert (lost["status"], refused["status"]) == ("conflict", "rejected")
    assert landed(desk.sim) == 0


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (CREATE_SUPPLIER, BANKED),
        (CREATE_SUPPLIER, {**BANKED, "contacts": [{"primary": True, "name": "Ida Moss"}]}),
        (CREATE_BUYER, OWNED),
        (CREATE_COUNTERPARTY, BANKED_VENDOR),
        (CREATE_WEBHOOK, HOOK),
    ],
    ids=["account", "contact", "owner", "older view", "webhook"],
)
async def test_a_create_that_arrived_is_found_although_part_of_it_is_hidden(
    tool: str, sent: dict[str, Any], era: Era, desk: Desk
) -> None:
    """Ours: a record of this key that is new, and that nothing else made, is the one that was sent."""
    desk.sim = office_for(tool)
    desk.fault(LOST)

    async with desk.open(era) as client:
        lost = await ask(client, tool, sent)
        again = await ask(client, tool, sent)

    assert (lost["status"], again["status"]) == ("confirmed", "already_submitted")
    assert (len(changes(desk.sim)), landed(desk.sim)) == (1, 1)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("tool", "sent"), [(CREATE_SUPPLIER, MAILED), (CREATE_BUYER, PAYER)])
async def test_a_record_that_was_known_and_reads_exactly_as_sent_is_what_was_asked_for(
    tool: str, sent: dict[str, Any], era: Era, desk: Desk
) -> None:
    """Ours: every field of it is shown, so that whoever made it, it is so."""
    async with desk.open(era) as client:
        first = await ask(client, tool, sent)
        desk.pass_time(minutes=11)
        desk.fault(LOST)
        second = await ask(client, tool, sent)

    assert [content["status"] for content in (first, second)] == ["confirmed", "confirmed"]
    assert first["result"]["id"] == second["result"]["id"]
    assert landed(desk.sim) == 1


async def test_a_record_from_the_portal_that_reads_exactly_as_sent_is_what_was_asked_for(desk: Desk) -> None:
    """Ours: its age says who made it, and not that it is wrong."""
    made_in_the_portal(desk, MAILED, days=3)
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        lost = await ask(client, CREATE_SUPPLIER, MAILED)

    assert (lost["status"], lost["result"]["id"]) == ("confirmed", "by-hand")


async def test_a_record_from_the_portal_of_the_same_day_cannot_be_told_from_ours(desk: Desk) -> None:
    """Known gap: Finexio's times have no zone, so a day is the least that proves another's hand; invoices alike."""
    made_in_the_portal(desk, BANKED, hours=25)
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        lost = await ask(client, CREATE_SUPPLIER, BANKED)

    assert (lost["status"], lost["result"]["id"]) == ("confirmed", "by-hand")


@pytest.mark.parametrize("era", ERAS)
async def test_a_record_that_an_earlier_update_went_to_is_older_than_the_create(era: Era, desk: Desk) -> None:
    """Ours: it was made in the portal an hour ago, and what was changed before cannot be created after."""
    made_in_the_portal(desk, OTHER_BANK, hours=1)

    async with desk.open(era) as client:
        patched = await ask(client, PATCH_SUPPLIER, {"id": "by-hand", "notes": "Called them."})
        desk.fault(NEVER_THERE)
        lost = await ask(client, CREATE_SUPPLIER, BANKED)

    assert (patched["status"], lost["status"]) == ("confirmed", "conflict")


@pytest.mark.parametrize("era", ERAS)
async def test_an_update_that_came_later_does_not_take_the_record_from_its_create(era: Era, desk: Desk) -> None:
    """Ours: the list showed the new supplier before we looked it up, and somebody went on with it."""
    desk.fault(LOST)
    look_fails(desk.sim)

    async with desk.open(era) as client:
        lost = await ask(client, CREATE_SUPPLIER, BANKED)
        desk.sim.clear_faults()
        (new,) = (row["id"] for row in desk.sim.suppliers.values() if row["external_reference_id"] == "SAIL-9")
        patched = await ask(client, PATCH_SUPPLIER, {"id": new, "notes": "Called them."})
        found = await ask(client, CREATE_SUPPLIER, BANKED)

    assert [content["status"] for content in (lost, patched, found)] == ["in_doubt", "confirmed", "already_submitted"]
    assert found["result"]["id"] == new
    assert len(changes(desk.sim)) == 2


# What Finexio has the last word on -------------------------------------------------

WITH_DELIVERY = {"id": SUPPLIER, "payment_terms": 30, "delivery_method": "Email"}
DELIVERY = {"id": SUPPLIER, "delivery_method": "Email"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_change_of_which_the_rest_was_so_before_is_not_proven_by_it(era: Era, desk: Desk) -> None:
    """Ours: of the two fields one says nothing new, and the other still reads as before."""
    desk.sim.suppliers[SUPPLIER]["payment_terms"] = 30
    before = desk.sim.suppliers[SUPPLIER]["delivery_method"]
    desk.fault(NEVER_THERE)

    async with desk.open(era) as client:
        told = [(await ask(client, PATCH_SUPPLIER, WITH_DELIVERY))["status"]]
        while told[-1] == "in_doubt" and len(told) < 10:
            desk.pass_time(minutes=15)
            told.append((await ask(client, PATCH_SUPPLIER, WITH_DELIVERY))["status"])

    assert before == "Mail"
    assert set(told) <= {"in_doubt", "not_executed"}
    assert landed(desk.sim) == 0
    assert desk.sim.suppliers[SUPPLIER]["delivery_method"] == before


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("change", [DELIVERY, WITH_DELIVERY])
async def test_a_delivery_that_arrived_is_found(change: dict[str, Any], era: Era, desk: Desk) -> None:
    """Ours: it reads as it was sent."""
    desk.fault(LOST)

    async with desk.open(era) as client:
        lost = await ask(client, PATCH_SUPPLIER, change)

    assert lost["status"] == "confirmed"
    assert desk.sim.suppliers[SUPPLIER]["delivery_method"] == "Email"


@pytest.mark.parametrize("era", ERAS)
async def test_a_delivery_that_never_arrived_is_never_said_to_be_there(era: Era, desk: Desk) -> None:
    """Ours: while it reads otherwise it is in doubt or given up; once it reads so, it is so."""
    desk.fault(NEVER_THERE)

    async with desk.open(era) as client:
        first = await ask(client, PATCH_SUPPLIER, DELIVERY)
        desk.pass_time(minutes=3)
        second = await ask(client, PATCH_SUPPLIER, DELIVERY)
        desk.sim.suppliers[SUPPLIER]["delivery_method"] = "Email"
        third = await ask(client, PATCH_SUPPLIER, DELIVERY)

    assert [content["status"] for content in (first, second, third)] == ["in_doubt", "in_doubt", "already_submitted"]
    assert landed(desk.sim) == 0


async def test_a_change_whose_other_field_reads_otherwise_is_given_up(desk: Desk) -> None:
    """Ours: what Finexio may change itself does not hide that the rest is not there; the repeat sends it once."""
    change = {**WITH_DELIVERY, "payment_terms": 77}
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        told = [(await ask(client, PATCH_SUPPLIER, change))["status"]]
        for seconds in (ROOM_SECONDS, APART_SECONDS, 1):
            desk.pass_time(seconds=seconds)
            told.append((await ask(client, PATCH_SUPPLIER, change))["status"])

    assert told == ["in_doubt", "in_doubt", "not_executed", "confirmed"]
    assert (len(changes(desk.sim)), landed(desk.sim)) == (2, 1)


# What only a person can settle -----------------------------------------------------

HIDDEN: dict[str, tuple[str, Arguments]] = {
    "an account": (PATCH_SUPPLIER, {"id": SUPPLIER, "bank_account_number": "000123456789"}),
    "owners": (PATCH_BUYER, {"id": BUYER, "owners": [OWNER]}),
    "owners in a replace": (REPLACE_BUYER, {"id": BUYER, **OWNED, "external_reference_id": "STORE-1"}),
    "a password": (PATCH_WEBHOOK, {"id": WEBHOOK, "password": "another one"}),
}
SHOWN: dict[str, tuple[str, Arguments]] = {
    "notes": (PATCH_SUPPLIER, {"id": SUPPLIER, "notes": "Called them."}),
    "a name": (PATCH_BUYER, {"id": BUYER, "dba_name": "Store One"}),
    "a flag": (PATCH_WEBHOOK, {"id": WEBHOOK, "payment_status": True}),
    # A create is known by its key.
    "an account of somebody new": (CREATE_SUPPLIER, BANKED),
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("case", HIDDEN)
async def test_a_doubt_about_what_is_hidden_says_who_can_end_it(case: str, era: Era, desk: Desk) -> None:
    """Ours: to repeat the call is safe and may not be enough, and the model has to know whom to send."""
    tool, change = HIDDEN[case]
    desk.fault(LOST)

    async with desk.open(era) as client:
        first = await ask(client, tool, change)
        again = await ask(client, tool, change)

    for told in (first, again):
        assert told["status"] == "in_doubt"
        assert "nothing is sent twice" in words_of(told)
        assert "finexio-mcp ledger resolve" in words_of(told)
    assert (len(changes(desk.sim)), landed(desk.sim)) == (1, 1)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("case", SHOWN)
async def test_a_doubt_about_what_is_shown_sends_for_nobody(case: str, era: Era, desk: Desk) -> None:
    """Ours: a later look settles it."""
    tool, change = SHOWN[case]
    desk.fault(NEVER_THERE)

    async with desk.open(era) as client:
        told = await ask(client, tool, change)

    assert told["status"] == "in_doubt"
    assert "nothing is sent twice" in words_of(told)
    assert "ledger resolve" not in words_of(told)
    assert landed(desk.sim) == 0


@pytest.mark.parametrize("case", HIDDEN)
@pytest.mark.parametrize("state", [State.CONFIRMED, State.ABSENT])
async def test_the_command_that_a_doubt_names_ends_it(case: str, state: State, desk: Desk) -> None:
    """Ours: a person says that it is there, or that it may be sent again, and the next call goes by that."""
    tool, change = HIDDEN[case]
    desk.fault(LOST)

    async with desk.open() as client:
        first = await ask(client, tool, change)
        await desk.book().resolve(first["op_id"], number=None, state=state, note="Seen in the portal")
        then = await ask(client, tool, change)

    assert then["status"] == ("already_submitted" if state is State.CONFIRMED else "confirmed")
    assert len(changes(desk.sim)) == (1 if state is State.CONFIRMED else 2)


async def test_an_account_whose_end_reads_otherwise_needs_no_person(desk: Desk) -> None:
    """Ours: that it is not there can be seen; only that it is there cannot."""
    tool, change = HIDDEN["an account"]
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        told = [(await ask(client, tool, change))["status"]]
        for seconds in (ROOM_SECONDS, APART_SECONDS, 1):
            desk.pass_time(seconds=seconds)
            told.append((await ask(client, tool, change))["status"])

    assert told == ["in_doubt", "in_doubt", "not_executed", "confirmed"]
    assert (len(changes(desk.sim)), landed(desk.sim)) == (2, 1)


# One code --------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("tool", "sent"), [(CREATE_SUPPLIER, MAILED), (CREATE_BUYER, PAYER)])
async def test_blanks_around_a_code_make_no_second_record(
    tool: str, sent: dict[str, Any], era: Era, desk: Desk
) -> None:
    """Ours: a model that copies a blank along repeats the call, and does not make another."""
    spellings = [f" {sent['external_reference_id']}", f"{sent['external_reference_id']}  "]

    async with desk.open(era) as client:
        first = await ask(client, tool, sent)
        others = [await ask(client, tool, {**sent, "external_reference_id": code}) for code in spellings]

    codes = [row["external_reference_id"] for row in {**desk.sim.suppliers, **desk.sim.buyers}.values()]
    assert first["status"] == "confirmed"
    assert [content["status"] for content in others] == ["already_submitted", "already_submitted"]
    assert codes.count(sent["external_reference_id"]) == 1
    assert all(code == code.strip() for code in codes)
    assert (len(changes(desk.sim)), len(await _keys(desk))) == (1, 1)


async def _keys(desk: Desk) -> set[tuple[str, ...]]:
    """The records that the ledger has, by their keys there."""
    return {row.change.records for row in await desk.book().find() if row.change is not None}


@pytest.mark.parametrize("era", ERAS)
async def test_a_code_with_blanks_that_was_lost_is_found_without_them(era: Era, desk: Desk) -> None:
    """Ours: it is asked for as it was sent."""
    desk.fault(LOST)

    async with desk.open(era) as client:
        lost = await ask(client, CREATE_SUPPLIER, {**BANKED, "external_reference_id": " sail-9 "})
        other = await ask(client, CREATE_SUPPLIER, {**OTHER_BANK, "external_reference_id": "sail-9"})

    assert (lost["status"], other["status"]) == ("confirmed", "rejected")
    assert landed(desk.sim) == 1


# Rivals -------------------------------------------------------------------------


@pytest.mark.parametrize("case", CORRECTED)
async def test_a_create_that_never_arrived_is_not_found_in_the_corrected_one(case: str, desk: Desk) -> None:
    """Ours: the code is the other one's."""
    tool, first, other, _ = CORRECTED[case]
    desk.sim = office_for(tool)
    desk.fault(NEVER_THERE)
    async with desk.open() as client:
        lost = await ask(client, tool, first)
        corrected = await ask(client, tool, {**first, **other})
        again = await ask(client, tool, first)
    assert (lost["status"], corrected["status"]) == ("in_doubt", "confirmed")
    assert again["status"] not in {"confirmed", "already_submitted"}


@pytest.mark.parametrize("case", CORRECTED)
async def test_of_two_creates_in_doubt_under_one_key_not_both_are_confirmed(case: str, desk: Desk) -> None:
    """Ours: one of them did not happen, and what is hidden does not tell which."""
    tool, first, other, _ = CORRECTED[case]
    desk.sim = office_for(tool)
    desk.fault(LOST)
    look_fails(desk.sim)
    async with desk.open() as client:
        await ask(client, tool, first)
        desk.sim.clear_faults()
        desk.fault(LOST)
        second = await ask(client, tool, {**first, **other})
    assert landed(desk.sim) == 1
    assert second["status"] not in {"confirmed", "already_submitted"}


async def test_what_a_person_confirmed_is_not_found_again_by_a_corrected_create(desk: Desk) -> None:
    """Ours: a person's word leaves no id, and counts all the same."""
    tool, first, other, _ = CORRECTED["an owner's papers"]
    desk.fault(LOST)
    look_fails(desk.sim)
    async with desk.open() as client:
        lost = await ask(client, tool, first)
        desk.sim.clear_faults()
        await desk.book().resolve(lost["op_id"], number=None, state=State.CONFIRMED, note="Seen in the portal")
        desk.fault(LOST)
        second = await ask(client, tool, {**first, **other})
    assert second["status"] not in {"confirmed", "already_submitted"}


async def test_a_refusal_after_a_change_was_given_up_speaks_of_no_invoice(desk: Desk) -> None:
    """Ours: the words fit what was sent."""
    desk.fault(NEVER_THERE)
    async with desk.open() as client:
        await ask(client, CREATE_SUPPLIER, MAILED)
        desk.pass_time(seconds=ROOM_SECONDS)
        await ask(client, CREATE_SUPPLIER, MAILED)
        desk.pass_time(seconds=APART_SECONDS)
        given_up = await ask(client, CREATE_SUPPLIER, MAILED)
        desk.fault(Fault(status=400, body=b'{"name": ["No."]}'))
        refused = await ask(client, CREATE_SUPPLIER, MAILED)
    assert (given_up["status"], refused["status"]) == ("not_executed", "in_doubt")
    assert "invoice" not in refused["error"]["message"]


async def test_contacts_that_are_there_in_part_are_not_said_to_be_refused(desk: Desk) -> None:
    """Ours: what is told is what happened."""
    two = [{"primary": False, "name": n, "external_reference_id": r} for n, r in (("Ida", "HP-2"), ("Per", "HP-3"))]
    desk.fault(NEVER_THERE)
    async with desk.open() as client:
        await ask(client, CREATE_CONTACT, {"supplier_id": SUPPLIER, "contacts": two})
        desk.sim.add_contact(SUPPLIER, external_reference_id="HP-2", name="Ida", email=None, phone="")
        told = await ask(client, CREATE_CONTACT, {"supplier_id": SUPPLIER, "contacts": two})
    assert told["status"] == "conflict"
    assert "refused there" not in told["error"]["message"]


async def test_a_delivery_that_never_arrived_says_who_can_end_it_or_ends(desk: Desk) -> None:
    """Ours: nobody waits for what cannot come."""
    desk.fault(NEVER_THERE)
    async with desk.open() as client:
        told = await ask(client, PATCH_SUPPLIER, DELIVERY)
        says = "ledger resolve" in told["error"]["message"]
        desk.pass_time(seconds=ROOM_SECONDS)
        await ask(client, PATCH_SUPPLIER, DELIVERY)
        desk.pass_time(seconds=APART_SECONDS)
        last = await ask(client, PATCH_SUPPLIER, DELIVERY)
    assert says or last["status"] == "not_executed"


async def test_blanks_around_a_vendor_code_make_no_second_record(desk: Desk) -> None:
    """Ours: in the deprecated view as in the current one."""
    async with desk.open() as client:
        first = await ask(client, CREATE_COUNTERPARTY, VENDOR)
        second = await ask(client, CREATE_COUNTERPARTY, {**VENDOR, "internal_id": " QUAY-9"})
    assert (first["status"], second["status"]) == ("confirmed", "already_submitted")
