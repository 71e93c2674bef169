"""Reading back: what Finexio shows of a submission in doubt, and when not to find it means that it is not there."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.api.client import open_client
from finexio_mcp.arguments import check
from finexio_mcp.errors import LedgerUnavailable
from finexio_mcp.guards.identity import wanted_change
from finexio_mcp.guards.ledger.rows import Look, Outcome, Submission
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.readback import (
    APART_SECONDS,
    LATE_SECONDS,
    LEASE_SECONDS,
    LOOKS,
    MAX_POINTERS,
    Finding,
    ReadBack,
    Verdict,
    next_step,
)
from finexio_mcp.settings import Settings
from finexio_mcp.simulator import Fault, Simulator
from finexio_mcp.tools import BY_NAME, TOOLS
from tests.calls import (
    BUYER,
    BUYER_CONTACT,
    BUYER_REFERENCE,
    CREATE_BUYER,
    CREATE_BUYER_CONTACT,
    CREATE_CONTACT,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    CREATE_WEBHOOK,
    DELETE_BUYER_CONTACT,
    DELETE_CONTACT,
    DELETE_WEBHOOK,
    HOOK,
    INVOICE,
    PATCH_BUYER,
    PATCH_COUNTERPARTY,
    PATCH_SUPPLIER,
    PATCH_WEBHOOK,
    PAYEE,
    PAYER,
    REFERENCE,
    REPLACE_BUYER,
    REPLACE_COUNTERPARTY,
    REPLACE_SUPPLIER,
    SUPPLIER,
    UPDATE_BUYER_CONTACT,
    UPDATE_CONTACT,
    VENDOR,
    WEBHOOK,
    WRITES,
    FakeClock,
    LateClock,
    Upstream,
    office,
    office_for,
    reply,
)
from tests.conftest import simulator_settings
from tests.readback_world import (
    NOW,
    NOW_MS,
    Books,
    MovingList,
    Row,
    ago,
    at,
    booked,
    change_submission,
    others,
    submission,
)

KEY = b"k" * 32
SCOPE = "http://simulator.invalid/v2"
NOT_THERE, UNKNOWN, TOO_LONG = Finding("not_there"), Finding("unknown"), Finding("too_long")


class Ledger:
    """Says which submission has which id, and remembers what it was asked."""

    def __init__(self, *, rival: bool = False, **owners: int) -> None:
        self.rival = rival
        self.owners = {name.replace("_", "-"): row_id for name, row_id in owners.items()}

    async def owners_of(self, ids: Collection[str]) -> Mapping[str, int]:
        return {finexio_id: self.owners[finexio_id] for finexio_id in ids if finexio_id in self.owners}

    async def has_rival(self, _row: Submission, _created_by: Sequence[str]) -> bool:
        return self.rival


def readback(
    upstream: httpx2.AsyncBaseTransport | Simulator, clock: FakeClock, ledger: Ledger | None = None
) -> ReadBack:
    transport = upstream.transport() if isinstance(upstream, Simulator) else upstream
    client = open_client(simulator_settings(), transport=transport, clock=clock)
    ledger = ledger or Ledger()
    return ReadBack(client, clock, key=KEY, owners_of=ledger.owners_of, has_rival=ledger.has_rival)


async def look(
    upstream: httpx2.AsyncBaseTransport | Simulator,
    row: Submission | None = None,
    *,
    ledger: Ledger | None = None,
    seconds: float = 1_000.0,
    clock: FakeClock | None = None,
) -> Finding:
    """What a look at one row finds out."""
    row, clock = row or submission(), clock or FakeClock()
    until = clock.now + seconds
    return (await readback(upstream, clock, ledger).look([row], until=until))[row.id]


def books(*rows: Row, **fields: Any) -> Books:
    return Books(invoices=MovingList(list(rows)), **fields)


# --- Invoices: what counts


async def test_an_invoice_that_is_there_is_found() -> None:
    """Ours: buyer, supplier, number and amount are the proof; its id is what the ledger keeps."""
    assert await look(books(*others(20), booked("i-1"))) == Finding("found", "i-1")


async def test_an_invoice_that_is_not_there_is_not_there() -> None:
    """Ours: said only of a list that was read completely."""
    assert await look(books(*others(20))) == NOT_THERE


@pytest.mark.parametrize("number", ["HP-1", "hp-1", " HP-1 ", "ＨＰ-1"])
async def test_a_number_is_known_however_finexio_writes_it(number: str) -> None:
    """Ours: it is the same identity that refuses a second submission."""
    assert await look(books(booked("i-1", number))) == Finding("found", "i-1")


async def test_another_amount_is_for_a_person() -> None:
    """Ours: the same invoice with another content is a conflict."""
    assert await look(books(booked("i-1", amount_cents=125_01))) == Finding("other", "i-1")


async def test_two_records_are_for_a_person() -> None:
    """Ours: nobody can say which of them is ours, so none is claimed."""
    assert await look(books(booked("i-1"), booked("i-2"))) == Finding("other")


async def test_amounts_are_read_as_text_too() -> None:
    """Documented: some amounts are described as text."""
    assert await look(books(booked("i-1", amount_cents="12500"))) == Finding("found", "i-1")


async def test_another_supplier_with_the_same_number_and_amount_is_another_invoice() -> None:
    """Ours: invoice numbers are the supplier's."""
    assert await look(books(booked("i-1", receiving_counterparty_id="supplier-2"))) == NOT_THERE


async def test_two_suppliers_with_the_same_number_and_amount_each_get_their_own() -> None:
    """Ours: one search serves several rows, and mixes none of them up."""
    finexio = books(booked("i-1", receiving_counterparty_id="supplier-2"), booked("i-2"))
    rows = [submission(row_id=1), submission(row_id=2, supplier="supplier-2"), submission("HP-3", row_id=3)]
    clock = FakeClock()

    found = await readback(finexio, clock).look(rows, until=clock.now + 60)

    assert found == {1: Finding("found", "i-2"), 2: Finding("found", "i-1"), 3: NOT_THERE}
    assert finexio.asked == ["/invoices/"]


async def test_an_old_invoice_of_the_number_does_not_count() -> None:
    """Ours: one that was refunded last month is not what left a minute ago."""
    assert await look(books(booked("i-1", created=ago(hours=27)))) == NOT_THERE


@pytest.mark.parametrize("hours", [-14, 25.9])
async def test_a_moment_without_a_zone_may_be_off_by_as_many_hours(hours: float) -> None:
    """Documented: times have no zone."""
    assert await look(books(booked("i-1", created=ago(hours=hours)))) == Finding("found", "i-1")


async def test_a_moment_with_a_zone_is_understood() -> None:
    """Ours: 27 hours ago stays so, whatever the clock there showed."""
    created = f"{at(NOW - timedelta(hours=27) + timedelta(hours=5))}+05:00"

    assert await look(books(booked("i-1", created=created))) == NOT_THERE


async def test_an_earlier_submission_that_was_not_found_may_have_landed_late() -> None:
    """Ours: then the search begins where the first one left."""
    row = submission(searched_from_ms=NOW_MS - 48 * 3_600_000)

    assert await look(books(booked("i-1", created=ago(hours=47))), row) == Finding("found", "i-1")


async def test_an_invoice_of_another_submission_does_not_count() -> None:
    """Ours: an earlier one that was refunded today is in the ledger under its id."""
    assert await look(books(booked("i-1")), ledger=Ledger(i_1=7)) == NOT_THERE


async def test_an_invoice_of_another_submission_does_not_end_a_search_early() -> None:
    """Ours: several pages are met twice before ours is said not to be there."""
    assert await look(books(booked("i-1"), *others(450, minutes=1)), ledger=Ledger(i_1=7)) == NOT_THERE


async def test_beside_an_invoice_of_another_submission_ours_is_found() -> None:
    """Ours: so two records are one that is ours."""
    assert await look(books(booked("i-1"), booked("i-2")), ledger=Ledger(i_1=7)) == Finding("found", "i-2")


async def test_an_invoice_that_is_known_as_ours_counts() -> None:
    """Ours: a look may be repeated."""
    assert await look(books(booked("i-1")), ledger=Ledger(i_1=1)) == Finding("found", "i-1")


@pytest.mark.parametrize("broken", [{"created": None}, {"created": "soon"}, {"amount_cents": None}, {"id": None}])
async def test_a_record_that_cannot_be_read_is_neither_proof_nor_absence(broken: Row) -> None:
    """Ours: it may be ours."""
    assert await look(books(booked("i-1") | broken)) == UNKNOWN


async def test_a_record_that_cannot_be_read_does_not_hide_one_that_can() -> None:
    """Ours: what was proven stays so."""
    assert await look(books(booked("i-1", created=None), booked("i-2"))) == Finding("found", "i-2")


async def test_a_ledger_that_cannot_be_asked_is_not_a_finding() -> None:
    """Ours: without it nobody knows whose an invoice is."""

    class Broken(Ledger):
        async def owners_of(self, ids: Collection[str]) -> Mapping[str, int]:
            raise LedgerUnavailable("")

    with pytest.raises(LedgerUnavailable):
        await look(books(booked("i-1")), ledger=Broken())


# --- Invoices: how far a look gets


@pytest.mark.parametrize("order", ["newest first", "oldest first", "none"])
async def test_an_invoice_is_found_in_any_order(order: str) -> None:
    """Documented: nothing about the order."""
    rows = [booked("i-1"), *others(450)]
    if order == "oldest first":
        rows.reverse()
    if order == "none":
        random.Random(3).shuffle(rows)

    assert await look(books(*rows)) == Finding("found", "i-1")
    assert await look(books(*rows), submission("HP-2")) == NOT_THERE


async def test_pages_are_asked_for_once_a_second() -> None:
    """Ours: the search leaves room for the calls of people."""
    clock = FakeClock()
    finexio = books(*others(450, minutes=1))

    await look(finexio, clock=clock)

    assert len(finexio.asked) == 11
    assert clock.slept == [1.0] * 10


async def test_two_looks_share_the_pause() -> None:
    """Ours: one page a second, whoever looks."""
    clock, finexio = FakeClock(), books(*others(3))
    reader = readback(finexio, clock)

    for _ in range(3):
        await reader.look([submission()], until=clock.now + 60)

    assert clock.slept == [1.0, 1.0]


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, {"detail": "no"}),
        reply(403, {"detail": "Invalid username/password."}),
        reply(200, b"<html>"),
        reply(200, b'{"count": 3'),
        reply(200, {"count": 0, "results": None}),
        reply(200, {"id": "i-1"}),
        reply(200, b""),
        reply(404, {"detail": "Not found."}),
        httpx2.ReadError("reset"),
    ],
)
async def test_a_broken_page_says_nothing_about_absence(answer: httpx2.Response | Exception) -> None:
    """Ours: any failure ends the search without a verdict."""
    assert await look(books(*others(250), broken={"/invoices/": answer})) == UNKNOWN


async def test_what_was_found_before_a_page_broke_stays_found() -> None:
    """Ours: a positive needs no complete list."""
    rows = [booked("i-1"), *others(450, minutes=1)]
    finexio = books(*rows, broken={"/invoices/?page=5": reply(500)})

    assert await look(finexio) == Finding("found", "i-1")
    assert await look(finexio, submission("HP-2")) == UNKNOWN


async def test_an_end_that_is_gone_says_nothing_about_absence() -> None:
    """Documented: a page past the end is a 404; ours: one that was there a moment ago moved."""
    gone = reply(404, {"detail": "Invalid page."})

    assert await look(books(*others(250), broken={"/invoices/?page=3": gone})) == UNKNOWN


async def test_an_end_that_moved_is_looked_for_again() -> None:
    """Ours: it is no failure."""

    def lose_the_oldest(rows: list[Row]) -> None:
        rows.pop()

    def nothing(_rows: list[Row]) -> None:
        pass

    finexio = Books(invoices=MovingList(others(201), steps=[nothing, nothing, lose_the_oldest]))

    assert await look(finexio) == NOT_THERE
    assert finexio.asked == [f"/invoices/{page}" for page in ("", "?page=2", "?page=3", "", "?page=2")]


async def test_a_look_that_runs_out_of_time_says_nothing_about_absence() -> None:
    """Ours: the caller waits no longer than it said."""
    clock = FakeClock()

    assert await look(books(*others(450, minutes=1)), seconds=3.5, clock=clock) == UNKNOWN
    assert await look(books(*others(3)), seconds=80, clock=LateClock()) == UNKNOWN
    assert clock.now <= 1_003.5


async def test_a_bare_array_is_a_whole_list() -> None:
    """Ours: some lists of Finexio's come without an envelope."""
    rows = [*others(20), booked("i-1")]

    assert await look(Upstream(reply(200, rows))) == Finding("found", "i-1")
    assert await look(Upstream(reply(200, rows)), submission("HP-2")) == NOT_THERE


async def test_a_bare_array_of_a_hundred_may_be_a_page() -> None:
    """Ours: it does not say whether there is more."""
    assert await look(Upstream(reply(200, others(100)))) == UNKNOWN


async def test_a_list_that_is_too_long_is_left_to_a_person() -> None:
    """Ours: 201 pages in no order are not read."""
    rows = others(20_001)
    random.Random(3).shuffle(rows)
    finexio = books(*rows)

    assert await look(finexio) == TOO_LONG
    assert len(finexio.asked) == 4  # two ends, the middle, and the drawdowns


async def test_a_look_only_reads() -> None:
    """Ours: whatever is found, nothing is sent."""
    sim = office()

    await look(sim, late())
    await look(sim, changed(PATCH_COUNTERPARTY))

    assert {request.method for request in sim.journal.requests} == {"GET"}


# --- Invoices: against the simulator


def left(sim: Simulator, number: str = "HP-1", amount_cents: int = 125_00, **fields: Any) -> Submission:
    """A submission that left at the simulator's present time."""
    left_ms = int((sim.clock.now() - NOW.replace(tzinfo=None)).total_seconds() * 1000) + NOW_MS
    return submission(number, amount_cents, sent_at_ms=left_ms, searched_from_ms=left_ms, **fields)


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "unordered"])
@pytest.mark.parametrize("ignored", [True, False])
async def test_what_the_books_hold_is_what_is_found(order: Any, ignored: bool) -> None:
    """Documented: the list, its envelope and its times; the books are the judge."""
    sim = Simulator(seed=1)
    sim.order["invoices"] = order
    sim.quirks.ignore_invoice_filter = ignored
    buyer, supplier = next(iter(sim.buyers)), next(iter(sim.suppliers))
    parties = {"originating_counterparty_id": buyer, "receiving_counterparty_id": supplier}
    sim.add_invoice("i-1", invoice_number="HP-1", amount_cents=125_00, **parties)
    sim.add_invoice("i-2", invoice_number="HP-2", amount_cents=1, **parties)
    rows = [left(sim, f"HP-{number}", row_id=number, buyer=buyer, supplier=supplier) for number in (1, 2, 3)]
    clock = FakeClock()

    found = await readback(sim, clock).look(rows, until=clock.now + 600)

    assert found == {1: Finding("found", "i-1"), 2: Finding("other", "i-2"), 3: NOT_THERE}


async def test_an_invoice_that_shows_late_is_not_there_and_then_found() -> None:
    """Ours: that is why one look in vain means nothing."""
    sim = office()
    sim.quirks.visible_after = timedelta(minutes=10)
    row = left(sim)
    sim.add_invoice("i-1", invoice_number="HP-1", amount_cents=125_00)

    assert await look(sim, row) == NOT_THERE
    sim.advance(minutes=11)
    assert await look(sim, row) == Finding("found", "i-1")


async def test_a_flickering_finexio_is_asked_again() -> None:
    """Ours: a page that fails for a moment does not end a look."""
    sim = office()
    sim.fault(Fault(status=503), times=2)

    assert await look(sim, left(sim)) == NOT_THERE


# --- Drawdowns


def late(number: str = "HP-1", **fields: Any) -> Submission:
    """A submission that was looked for three times in vain."""
    return submission(number, looks=3, **fields)


def funded(*ids: str, number: str = "HP-1", **fields: Any) -> Row:
    parties = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
    return {"id": "p-1", **parties, "invoices": [{"id": key, "invoice_number": number} for key in ids], **fields}


def hidden(**invoice: Any) -> Books:
    """Books whose list does not show an invoice that a drawdown has funded."""

    class Hiding(Books):
        def _answer(self, path: str, query: dict[str, list[str]]) -> Any:
            return booked("i-1", **invoice) if path == "/invoices/i-1/" else super()._answer(path, query)

    drawdown = {"processor_request_id": "DJ1", "originating_counterparty_id": BUYER}
    return Hiding(drawdowns=[drawdown], payments={"DJ1": [funded("i-0", number="HP-0"), funded("i-1")]})


async def test_a_drawdown_shows_an_invoice_that_the_list_does_not() -> None:
    """Documented: it is found by invoice_number; ours: its payments and the invoice itself are what counts."""
    finexio = hidden()

    assert await look(finexio, late()) == Finding("found", "i-1")
    assert finexio.asked == [
        "/invoices/",
        "/reconciliation/drawdown?invoice_number=HP-1",
        "/reconciliation/drawdown/DJ1/payments",
        "/invoices/i-1/",
    ]


@pytest.mark.parametrize(
    ("invoice", "finding"),
    [
        ({"amount_cents": 1}, Finding("other", "i-1")),
        ({"created": ago(days=30)}, NOT_THERE),
        ({"receiving_counterparty_id": "supplier-2"}, NOT_THERE),
        ({"number": "HP-9"}, NOT_THERE),
        ({"created": None}, UNKNOWN),
    ],
)
async def test_a_funded_invoice_is_judged_like_any_other(invoice: Row, finding: Finding) -> None:
    """Ours: a pointer is no proof."""
    assert await look(hidden(**invoice), late()) == finding


async def test_a_funded_invoice_of_another_submission_does_not_count() -> None:
    """Ours: nor is it one for which nobody asked."""
    assert await look(hidden(), late(), ledger=Ledger(i_1=7)) == NOT_THERE


async def test_early_looks_ask_for_no_drawdown() -> None:
    """Documented: an invoice gets its payment within half an hour."""
    finexio = hidden()

    assert await look(finexio, submission(looks=2)) == NOT_THERE
    assert finexio.asked == ["/invoices/"]


@pytest.mark.parametrize("target", ["?invoice_number=HP-1", "/DJ1/payments"])
async def test_a_drawdown_that_cannot_be_read_changes_no_verdict(target: str) -> None:
    """Ours: it can only add what was found."""
    finexio = hidden()
    finexio.broken = {f"/reconciliation/drawdown{target}": reply(400)}

    assert await look(finexio, late()) == NOT_THERE


async def test_nothing_found_by_drawdowns_is_no_absence() -> None:
    """Ours: only the list of invoices can show that."""
    finexio = Books(broken={"/invoices/": reply(500)})

    assert await look(finexio, late()) == UNKNOWN


async def test_a_list_that_is_too_long_is_helped_by_drawdowns() -> None:
    """Ours: a person is asked for only if they do not show it either."""
    rows = others(20_001)
    random.Random(3).shuffle(rows)
    finexio = hidden()
    finexio.invoices = MovingList(rows)

    assert await look(finexio) == Finding("found", "i-1")
    assert await look(finexio, submission("HP-2")) == TOO_LONG


async def test_an_ignored_filter_leads_to_a_few_drawdowns_only() -> None:
    """Ours: a server that shows all drawdowns is not followed through all of them."""
    mine = [{"processor_request_id": f"DJ{number}", "originating_counterparty_id": BUYER} for number in range(50)]
    finexio = Books(
        drawdowns=[{"processor_request_id": "X", "originating_counterparty_id": "buyer-2"}, *mine],
        payments={row["processor_request_id"]: [funded("i-9", number="HP-9")] for row in mine},
    )

    assert await look(finexio, late()) == NOT_THERE
    assert finexio.asked[2:] == [f"/reconciliation/drawdown/DJ{number}/payments" for number in range(MAX_POINTERS)]


async def test_the_payments_of_a_large_drawdown_are_read_on() -> None:
    """Documented: they come in pages."""
    finexio = hidden()
    finexio.payments = {"DJ1": [*[funded("i-9", number="HP-9")] * 150, funded("i-1")]}

    assert await look(finexio, late()) == Finding("found", "i-1")


async def test_a_drawdown_of_the_simulator_is_followed() -> None:
    """Documented: the shapes of drawdowns and their payments."""
    sim = office()
    sim.quirks.visible_after = timedelta(days=1)
    row = left(sim, "OLD-1", 50_00, looks=3)

    assert await look(sim, row) == Finding("found", INVOICE)


# --- Changes of master data


def changed(tool: str, arguments: Mapping[str, Any] | None = None, **fields: Any) -> Submission:
    """A change that is in doubt, as the ledger has it; contacts are addressed by their reference."""
    spec = BY_NAME[tool]
    wire = check(spec, WRITES[tool] if arguments is None else arguments).wire
    wanted = wanted_change(spec, wire, SCOPE, KEY)
    assert wanted.change is not None
    return change_submission(tool, wanted.change, **fields)


CHANGES = [tool.name for tool in TOOLS if tool.trace is not None]


@pytest.mark.parametrize("tool", CHANGES)
def test_every_change_is_looked_up_by_a_tool_that_reads(tool: str) -> None:
    """Ours: so it is asked for as it is known to work."""
    trace = BY_NAME[tool].trace
    assert trace is not None

    assert trace.look in LOOKS


async def done(tool: str, sim: Simulator) -> None:
    """What the tool asks for, done by other means."""
    supplier, buyer, hook = sim.suppliers[SUPPLIER], sim.buyers[BUYER], sim.webhooks.get(WEBHOOK)
    if tool == CREATE_COUNTERPARTY:
        sim.add_counterparty("new-1", name=VENDOR["name"], internal_id=VENDOR["internal_id"])
    if tool == REPLACE_COUNTERPARTY:
        supplier.update(name=VENDOR["name"], external_reference_id=VENDOR["internal_id"])
    if tool == PATCH_COUNTERPARTY:
        supplier.update(payment_terms=45)
    if tool == CREATE_CONTACT:
        sim.add_contact(SUPPLIER, id="new-1", external_reference_id="HP-2", name="Ida Moss", email=None, phone="")
    if tool == UPDATE_CONTACT:
        supplier["contacts"][0].update(name="Rae Holt", primary=True)
    if tool == DELETE_CONTACT:
        supplier["contacts"].clear()
    if tool == CREATE_WEBHOOK:
        sim.add_webhook("new-1", **HOOK)
    if tool == PATCH_WEBHOOK and hook:
        hook.update(payment_status=True)
    if tool == DELETE_WEBHOOK:
        sim.webhooks.clear()
    if tool == CREATE_SUPPLIER:
        sim.add_supplier("new-1", **PAYEE)
    if tool == REPLACE_SUPPLIER:
        supplier.update(WRITES[REPLACE_SUPPLIER])
    if tool == PATCH_SUPPLIER:
        supplier.update(care_of="Rae Lund")
    if tool == CREATE_BUYER:
        sim.add_buyer("new-1", **PAYER)
    if tool == REPLACE_BUYER:
        buyer.update(WRITES[REPLACE_BUYER])
    if tool == PATCH_BUYER:
        buyer.update(dba_name="Store One")
    if tool == CREATE_BUYER_CONTACT:
        sim.add_contact(BUYER, id="new-1", external_reference_id="S1-2", name="Ida Moss", email=None, phone="")
    if tool == UPDATE_BUYER_CONTACT:
        buyer["contacts"][0].update(name="Rae Holt", primary=True)
    if tool == DELETE_BUYER_CONTACT:
        buyer["contacts"].clear()


PROVABLE = [tool for tool in CHANGES if tool != "update_a_finexio_webhook_by_id"]
"""A replaced webhook has a new password, which nobody is shown again."""
FINEXIO_IDS = {
    **dict.fromkeys((CREATE_COUNTERPARTY, CREATE_CONTACT, CREATE_WEBHOOK), "new-1"),
    **dict.fromkeys((CREATE_SUPPLIER, CREATE_BUYER, CREATE_BUYER_CONTACT), "new-1"),
    **dict.fromkeys((REPLACE_SUPPLIER, PATCH_SUPPLIER), SUPPLIER),
    **dict.fromkeys((REPLACE_BUYER, PATCH_BUYER), BUYER),
    UPDATE_BUYER_CONTACT: BUYER_CONTACT,
    DELETE_BUYER_CONTACT: BUYER_REFERENCE,
    REPLACE_COUNTERPARTY: SUPPLIER,
    PATCH_COUNTERPARTY: SUPPLIER,
    UPDATE_CONTACT: "contact-1",
    DELETE_CONTACT: REFERENCE,
    PATCH_WEBHOOK: WEBHOOK,
    DELETE_WEBHOOK: WEBHOOK,
}


@pytest.mark.parametrize("tool", PROVABLE)
async def test_a_change_that_was_made_is_found(tool: str) -> None:
    """Ours: the record reads as it was sent, or is gone as it should be."""
    sim = office_for(tool)
    await done(tool, sim)

    assert await look(sim, changed(tool)) == Finding("found", FINEXIO_IDS[tool])


@pytest.mark.parametrize("tool", PROVABLE)
async def test_a_change_that_was_not_made_is_not_there(tool: str) -> None:
    """Ours: the record reads otherwise, is missing, or is still there."""
    assert await look(office_for(tool), changed(tool)) == NOT_THERE


@pytest.mark.parametrize("tool", CHANGES)
@pytest.mark.parametrize("answer", [reply(500), reply(200, b"<html>"), reply(403, {"detail": "no"}), reply(200, b"")])
async def test_a_look_at_a_change_that_fails_says_nothing(tool: str, answer: httpx2.Response) -> None:
    """Ours: also when something was to be deleted."""
    assert await look(Upstream(answer), changed(tool)) == UNKNOWN


async def test_a_new_password_cannot_be_seen() -> None:
    """Ours: everything else reads as it was sent, and that is not all."""
    sim = office()
    sim.webhooks[WEBHOOK].update(HOOK)

    assert await look(sim, changed("update_a_finexio_webhook_by_id")) == UNKNOWN


async def test_a_vendor_code_with_another_content_is_for_a_person() -> None:
    """Ours: somebody else created a supplier under it."""
    sim = office()
    sim.add_counterparty(name="Another Co", internal_id=VENDOR["internal_id"])

    assert (await look(sim, changed(CREATE_COUNTERPARTY))).verdict == "other"


@pytest.mark.parametrize("tool", [DELETE_WEBHOOK, DELETE_CONTACT])
async def test_what_is_gone_with_everything_around_it_was_deleted(tool: str) -> None:
    """Documented: a record that is not there is a 404."""
    sim = office()
    sim.webhooks.clear()
    sim.suppliers.clear()

    assert (await look(sim, changed(tool))).verdict == "found"


async def test_a_page_of_some_proxy_is_not_a_deletion() -> None:
    """Ours: a 404 in HTML is not Finexio's."""
    assert await look(Upstream(reply(404, b"<html>")), changed(DELETE_WEBHOOK)) == UNKNOWN


async def test_a_list_whose_address_is_wrong_is_not_empty() -> None:
    """Ours: a list of all webhooks is always there."""
    assert await look(Upstream(reply(404, {"detail": "Not found."})), changed(CREATE_WEBHOOK)) == UNKNOWN


async def test_webhooks_are_looked_for_outside_the_version_too() -> None:
    """Documented: their list has an address of its own."""
    sim = office_for(CREATE_WEBHOOK)
    sim.quirks.webhook_list_at_root = True
    await done(CREATE_WEBHOOK, sim)

    assert await look(sim, changed(CREATE_WEBHOOK)) == Finding("found", "new-1")


async def test_a_record_of_another_id_tells_nothing() -> None:
    """Ours: an old key may lead to a record with a new one."""
    answer = reply(200, {"id": "someone-else", "payment_terms": 45})

    assert await look(Upstream(answer), changed(PATCH_COUNTERPARTY)) == UNKNOWN


BANKED = {
    **PAYEE,
    "payment_method": "ACH",
    "bank_account_number": "1112223334444",
    "bank_routing_number": "021000021",
}
BANKED.pop("delivery_method")


def shown_supplier(**fields: Any) -> httpx2.Response:
    """A list with one supplier of that code and of an account with that end, as Finexio shows it."""
    row = {"id": "new-1", **BANKED, "bank_account_number": "4444", "created": ago(minutes=1), **fields}
    return reply(200, {"count": 1, "next": None, "previous": None, "results": [row]})


@pytest.mark.parametrize(("hours", "verdict"), [(-14, "found"), (0, "found"), (25.9, "found"), (27, "other")])
async def test_a_record_that_is_older_than_its_create_is_somebody_elses(hours: float, verdict: Verdict) -> None:
    """Ours: what a create made is new, by a clock of any zone, and of its account only the end is shown."""
    found = await look(Upstream(shown_supplier(created=ago(hours=hours))), changed(CREATE_SUPPLIER, BANKED))

    assert found == Finding(verdict, "new-1" if verdict == "found" else None)


async def test_a_create_that_was_given_up_may_have_landed_before_the_one_that_is_looked_up() -> None:
    """Ours: then a record counts from when the first one left."""
    row = changed(CREATE_SUPPLIER, BANKED, searched_from_ms=NOW_MS - 48 * 3_600_000)

    assert await look(Upstream(shown_supplier(created=ago(hours=47))), row) == Finding("found", "new-1")


async def test_the_age_of_a_webhook_has_a_name_of_its_own() -> None:
    """Documented: `created_at`."""
    sim = office_for(CREATE_WEBHOOK)
    await done(CREATE_WEBHOOK, sim)
    sim.webhooks["new-1"].update(created_at=ago(days=3))

    assert (await look(sim, changed(CREATE_WEBHOOK))).verdict == "other"


@pytest.mark.parametrize("created", [None, "", "soon", "2026-03-02", 1])
@pytest.mark.parametrize(("owner", "verdict"), [(0, "other"), (None, "found"), (1, "found")])
async def test_a_record_that_does_not_tell_its_age_is_known_by_whose_it_is(
    created: Any, owner: int | None, verdict: Verdict
) -> None:
    """Known gap: one that no earlier submission has is taken for the created one; Finexio shows the age of all."""
    ledger = Ledger() if owner is None else Ledger(new_1=owner)

    found = await look(Upstream(shown_supplier(created=created)), changed(CREATE_SUPPLIER, BANKED), ledger=ledger)

    assert found.verdict == verdict


@pytest.mark.parametrize("fields", [{"created": ago(days=3)}, {}])
@pytest.mark.parametrize(("sent", "verdict"), [(PAYEE, "found"), (BANKED, "other")])
async def test_what_was_there_before_has_to_read_as_sent_in_full(
    fields: Row, sent: dict[str, Any], verdict: Verdict
) -> None:
    """Ours: the key proves nothing then; all of it does, where all of it is shown."""
    shown = {**sent, **fields, **({"bank_account_number": "4444"} if sent is BANKED else {})}

    found = await look(Upstream(shown_supplier(**shown)), changed(CREATE_SUPPLIER, sent), ledger=Ledger(new_1=0))

    assert found.verdict == verdict


async def test_an_update_that_came_later_takes_no_record_from_its_create() -> None:
    """Ours: only what was known before cannot have been created."""
    found = await look(Upstream(shown_supplier()), changed(CREATE_SUPPLIER, BANKED, row_id=4), ledger=Ledger(new_1=7))

    assert found == Finding("found", "new-1")


async def test_a_create_is_not_judged_without_the_ledger_and_an_update_is() -> None:
    """Ours: without it nobody knows whose a record is; a record that is named by its id is known."""

    class Broken(Ledger):
        async def owners_of(self, ids: Collection[str]) -> Mapping[str, int]:
            raise LedgerUnavailable("")

    with pytest.raises(LedgerUnavailable):
        await look(Upstream(shown_supplier()), changed(CREATE_SUPPLIER, BANKED), ledger=Broken())
    assert await look(office(), changed(PATCH_SUPPLIER), ledger=Broken()) == NOT_THERE


@pytest.mark.parametrize(
    ("change", "shown", "verdict"),
    [
        ({"delivery_method": "Email"}, {"delivery_method": "Email"}, "found"),
        ({"delivery_method": "Email"}, {"delivery_method": None}, "unknown"),
        ({"delivery_method": "Mail"}, {"delivery_method": "Email"}, "unknown"),
        ({"delivery_method": "Email", "payment_terms": 30}, {"delivery_method": None, "payment_terms": 30}, "unknown"),
        ({"delivery_method": "Email", "payment_terms": 30}, {"delivery_method": "Email"}, "not_there"),
    ],
)
async def test_a_delivery_that_reads_otherwise_says_nothing(change: Row, shown: Row, verdict: Verdict) -> None:
    """Documented: for a card Finexio makes Email of Mail, and for ACH it keeps none."""
    record = {"id": SUPPLIER, "payment_method": "Card", "payment_terms": 45, **shown}

    found = await look(Upstream(reply(200, record)), changed(PATCH_SUPPLIER, {"id": SUPPLIER, **change}))

    assert found.verdict == verdict


class Suppliers(httpx2.AsyncBaseTransport):
    """Lists suppliers page by page, whatever is asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.list = MovingList(list(rows))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.params["internal_id"] == VENDOR["internal_id"]
        body = self.list.page(int(request.url.params.get("page", "1")))
        return reply(404, {"detail": "Invalid page."}) if body is None else reply(200, body)


def suppliers(count: int) -> list[Row]:
    return [{"id": f"s-{number}", "type": "Supplier", "internal_id": f"S-{number}"} for number in range(count)]


@pytest.mark.parametrize("place", [0, 120, 250])
async def test_an_ignored_filter_does_not_hide_a_supplier(place: int) -> None:
    """Ours: rows that were not asked for are passed over, and the list is read on."""
    rows = suppliers(250)
    rows.insert(place, {"id": "new-1", **VENDOR})

    assert await look(Suppliers(rows), changed(CREATE_COUNTERPARTY)) == Finding("found", "new-1")


async def test_an_ignored_filter_does_not_make_a_supplier_absent() -> None:
    """Ours: not before the whole list was read, and met twice."""
    finexio = Suppliers(suppliers(250))

    assert await look(finexio, changed(CREATE_COUNTERPARTY)) == NOT_THERE
    assert finexio.list.asked == [1, 2, 3, 1, 2]


async def test_an_ignored_filter_over_too_many_suppliers_is_left_to_a_person() -> None:
    """Ours: as with invoices."""
    assert await look(Suppliers(suppliers(20_001)), changed(CREATE_COUNTERPARTY)) == TOO_LONG


CONTACTS = {
    "supplier_id": SUPPLIER,
    "contacts": [
        {"primary": False, "name": "Ida Moss", "external_reference_id": "HP-2"},
        {"primary": False, "name": "Per Lind", "external_reference_id": "HP-3"},
    ],
}


@pytest.mark.parametrize(("created", "verdict"), [([], "not_there"), (["HP-2"], "other"), (["HP-2", "HP-3"], "found")])
async def test_several_contacts_are_one_outcome(created: list[str], verdict: Verdict) -> None:
    """Ours: where some are there and some are not, a person decides."""
    sim = office()
    names = {"HP-2": "Ida Moss", "HP-3": "Per Lind"}
    for reference in created:
        sim.add_contact(SUPPLIER, external_reference_id=reference, name=names[reference], email=None, phone="")

    assert await look(sim, changed(CREATE_CONTACT, CONTACTS)) == Finding(verdict)


async def test_two_contacts_that_are_alike_are_two() -> None:
    """Ours: one record at Finexio stands for one of them."""
    alike = {"primary": False, "name": "Ida Moss"}
    row = changed(CREATE_CONTACT, {"supplier_id": SUPPLIER, "contacts": [alike, alike]})
    sim = office()
    blank = {"external_reference_id": None, "email": None, "phone": None}

    sim.add_contact(SUPPLIER, name="Ida Moss", **blank)
    assert await look(sim, row) == Finding("other")
    sim.add_contact(SUPPLIER, name="Ida Moss", **blank)
    assert await look(sim, row) == Finding("found")


async def test_a_change_by_a_tool_that_is_no_more_is_left_alone() -> None:
    """Ours: a ledger outlives versions."""
    row = changed(PATCH_COUNTERPARTY)
    gone = change_submission("some_old_tool", row.change) if row.change else row

    assert await look(office(), gone) == UNKNOWN


# --- What follows from a look


SCHEDULE = Settings.model_fields["look_seconds"].get_default(call_default_factory=True)
SENT_MS = NOW_MS
COUNTS_MS = SENT_MS + (LEASE_SECONDS + LATE_SECONDS) * 1000
APART_MS = APART_SECONDS * 1000


def after(verdict: Verdict, now_ms: int, *, finexio_id: str | None = None, **fields: Any) -> Look:
    fields.setdefault("sent_at_ms", SENT_MS)
    row = submission(**fields)
    return next_step(row, Finding(verdict, finexio_id), now_ms=now_ms, schedule_seconds=SCHEDULE)


def test_what_was_found_is_confirmed() -> None:
    """Ours: under the id that Finexio gave it."""
    look_ = after("found", SENT_MS, finexio_id="i-1")

    assert look_.outcome == Outcome(state=State.CONFIRMED, reason="found", finexio_id="i-1")
    assert look_.next_look_at_ms is None


def test_another_content_is_a_conflict() -> None:
    """Ours: out of which only a person's word leads."""
    look_ = after("other", SENT_MS, finexio_id="i-1")

    assert look_.outcome == Outcome(state=State.CONFLICT, reason="found_other", finexio_id="i-1")


def test_an_early_look_in_vain_counts_for_nothing() -> None:
    """Ours: what is still on its way shows late."""
    assert after("not_there", COUNTS_MS - 1).absent_since_ms is None
    assert after("not_there", COUNTS_MS).absent_since_ms == COUNTS_MS


def test_two_late_looks_in_vain_are_absence() -> None:
    """Ours: five minutes apart."""
    soon = after("not_there", COUNTS_MS + APART_MS - 1, absent_since_ms=COUNTS_MS)
    then = after("not_there", COUNTS_MS + APART_MS, absent_since_ms=COUNTS_MS)

    assert (soon.outcome, soon.absent_since_ms) == (None, COUNTS_MS)
    assert then.outcome == Outcome(state=State.ABSENT, reason="not_found")


def test_a_long_look_counts_from_its_beginning() -> None:
    """Ours: what it read first may be minutes older than what it read last."""

    def long_look(begun_ms: int, absent_since_ms: int | None = None) -> Look:
        row = submission(sent_at_ms=SENT_MS, absent_since_ms=absent_since_ms)
        return next_step(row, NOT_THERE, now_ms=begun_ms + 400_000, schedule_seconds=SCHEDULE, begun_ms=begun_ms)

    assert long_look(COUNTS_MS - 1).absent_since_ms is None
    first = long_look(COUNTS_MS)
    assert first.absent_since_ms == COUNTS_MS + 400_000
    assert long_look(COUNTS_MS + 400_000 + APART_MS - 1, first.absent_since_ms).outcome is None
    assert long_look(COUNTS_MS + 400_000 + APART_MS, first.absent_since_ms).outcome is not None


@pytest.mark.parametrize("verdict", ["unknown", "too_long"])
def test_a_look_that_failed_is_no_evidence_either_way(verdict: Verdict) -> None:
    """Ours: a complete look before it keeps counting, and it does not count itself."""
    assert after(verdict, COUNTS_MS + APART_MS).absent_since_ms is None
    kept = after(verdict, COUNTS_MS + APART_MS, absent_since_ms=COUNTS_MS)
    assert (kept.outcome, kept.absent_since_ms) == (None, COUNTS_MS)


def test_what_is_too_long_to_read_is_left_to_a_person() -> None:
    """Ours: looking again would not make it shorter."""
    assert after("too_long", SENT_MS).next_look_at_ms is None


def test_looks_follow_the_schedule() -> None:
    """Ours: 30 s, 2 min, 10 min, then every quarter of an hour until two hours are over."""
    times: list[int] = []
    now_ms: int | None = SENT_MS
    while now_ms is not None:
        now_ms = after("unknown", now_ms, looks=len(times)).next_look_at_ms
        times += [] if now_ms is None else [(now_ms - SENT_MS) // 1000]

    assert times == list(SCHEDULE[1:])


def test_a_schedule_counts_from_when_the_doubt_arose() -> None:
    """Ours: an answer may take a minute not to come."""
    row = submission(sent_at_ms=SENT_MS)
    step = next_step(row, UNKNOWN, now_ms=SENT_MS, schedule_seconds=SCHEDULE, doubt_since_ms=SENT_MS + 75_000)

    assert step.next_look_at_ms == SENT_MS + 75_000


def test_a_schedule_that_nobody_kept_goes_on_where_it_stopped() -> None:
    """Ours: after a night without a server there was one look, not eleven."""
    night_ms = SENT_MS + 10 * 3_600_000

    assert after("unknown", night_ms, looks=1).next_look_at_ms == night_ms + 90_000
    assert after("unknown", night_ms, looks=len(SCHEDULE) - 1).next_look_at_ms is None


def test_a_schedule_that_ends_one_look_short_of_a_verdict_gets_it() -> None:
    """Ours: nobody is asked to decide what the next look decides."""
    end_ms = SENT_MS + 24 * 3_600_000
    first = after("not_there", end_ms, looks=len(SCHEDULE) - 1)

    assert (first.absent_since_ms, first.next_look_at_ms) == (end_ms, end_ms + APART_MS)
    second = after("not_there", end_ms + APART_MS, looks=len(SCHEDULE), absent_since_ms=end_ms)
    assert second.outcome == Outcome(state=State.ABSENT, reason="not_found")
    failed = after("unknown", end_ms + APART_MS, looks=len(SCHEDULE), absent_since_ms=end_ms)
    assert (failed.outcome, failed.next_look_at_ms) == (None, None)


@pytest.mark.parametrize("doubt_seconds", [0, 75, 105, 3_600])
def test_the_usual_schedule_reaches_absence(doubt_seconds: int) -> None:
    """Ours: an invoice that never landed can be paid within the hour."""
    begun_ms = SENT_MS + doubt_seconds * 1000
    row, now_ms, looks = submission(sent_at_ms=SENT_MS), begun_ms, 0
    while True:
        step = next_step(row, NOT_THERE, now_ms=now_ms, schedule_seconds=SCHEDULE, doubt_since_ms=begun_ms)
        looks += 1
        if step.outcome is not None:
            break
        assert step.next_look_at_ms is not None
        now_ms = step.next_look_at_ms
        row = submission(sent_at_ms=SENT_MS, looks=looks, absent_since_ms=step.absent_since_ms)

    assert step.outcome.state is State.ABSENT
    assert now_ms - begun_ms <= 2_400_000


@settings(max_examples=500)
@given(
    looks=st.lists(
        st.tuples(st.integers(0, 4_000_000), st.sampled_from(["not_there", "unknown", "too_long", "not_there"])),
        max_size=12,
    ),
    lease_until_ms=st.integers(0, 2 * NOW_MS),
)
def test_absence_takes_two_complete_looks_late_and_apart(looks: list[tuple[int, Verdict]], lease_until_ms: int) -> None:
    """Ours: however the looks fall, and whatever leases they take themselves."""
    now_ms, absent_since_ms, complete = SENT_MS, None, list[int]()
    for done_, (pause_ms, verdict) in enumerate(looks):
        now_ms += pause_ms
        step = after(verdict, now_ms, looks=done_, absent_since_ms=absent_since_ms, lease_until_ms=lease_until_ms)
        complete += [now_ms] if verdict == "not_there" else []
        absent_since_ms = step.absent_since_ms
        late_ = [at_ms for at_ms in complete if at_ms >= COUNTS_MS]
        may_be_absent = bool(late_) and verdict == "not_there" and now_ms - late_[0] >= APART_MS
        assert (step.outcome is not None) is may_be_absent
        if step.outcome is not None:
            assert step.outcome == Outcome(state=State.ABSENT, reason="not_found")
            break


@given(
    since_ms=st.one_of(st.none(), st.integers(0, 2 * NOW_MS)),
    now_ms=st.integers(SENT_MS, SENT_MS + 10_000_000),
    verdict=st.sampled_from(["not_there", "unknown", "too_long"]),
    sent_at_ms=st.one_of(st.none(), st.just(SENT_MS)),
)
def test_no_memory_of_an_earlier_look_makes_absence_early(
    since_ms: int | None, now_ms: int, verdict: Verdict, sent_at_ms: int | None
) -> None:
    """Ours: one from before its time counts for nothing, even if it was recorded."""
    step = after(verdict, now_ms, absent_since_ms=since_ms, sent_at_ms=sent_at_ms, lease_until_ms=SENT_MS + 105_000)

    if step.outcome is not None:
        assert since_ms is not None
        assert COUNTS_MS <= since_ms <= now_ms - APART_MS
