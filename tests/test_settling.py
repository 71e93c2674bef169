"""Settling: what is in doubt is looked up until it is known, by whoever is there, and nothing is sent for that."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp import Client

from finexio_mcp.arguments import check
from finexio_mcp.calls import Ended, Observer
from finexio_mcp.catalog import read
from finexio_mcp.guards.identity import wanted_invoices
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.engines import Pools
from finexio_mcp.guards.ledger.rows import Rules
from finexio_mcp.guards.ledger.seen import Sightings
from finexio_mcp.guards.ledger.states import OPEN, State
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.hub import Hub
from finexio_mcp.settling import MAX_FAILURES
from finexio_mcp.simulator import Fault
from finexio_mcp.tools import BY_NAME
from tests.calls import (
    BUYER,
    CREATE_BUYER,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    PATCH_BUYER,
    PATCH_COUNTERPARTY,
    PATCH_SUPPLIER,
    PAY,
    REPLACE_WEBHOOK,
    SUPPLIER,
    UPDATE_CONTACT,
    WRITES,
    Upstream,
    ask,
    changes,
    invoice,
    reply,
)
from tests.conftest import ERAS, Era, simulator_settings
from tests.contract.samples import WHOLE_OWNER as OWNER
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql
from tests.never_twice import (
    ADDRESS,
    LEASE_MS,
    ROOM_SECONDS,
    Desk,
    Door,
    abandoned,
    landed,
    left_behind,
    paid,
    pay,
    quick_directory,
    rows_of,
    stands,
    until_absent,
)

LOST, NEVER_THERE = Fault(lost_answer=True), Fault(reset="before_effect")
PARTIES = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "ledger.db")


@pytest.fixture
def firm(desk: Desk) -> dict[str, dict[str, Any]]:
    """Settings of two accounts that are two logins of one company."""
    password, file = desk.file.with_name("password"), desk.file.with_name("accounts.toml")
    password.write_text("demo")
    names = ("acme", "globex")
    tables = (f"[accounts.{name}]\nusername = 'demo'\npassword_file = '{password}'\n" for name in names)
    file.write_text("".join(tables))
    return {name: {"FINEXIO_MCP_ACCOUNTS_FILE": str(file), "FINEXIO_MCP_ACCOUNT": name} for name in names}


async def watched_until(desk: Desk, client: Client, over: Callable[[list[tuple[str, str | None]]], bool]) -> float:
    """Let minutes pass, and nobody ask, until the ledger says so; how many seconds that took."""
    begun = desk.clock.now
    with anyio.fail_after(20):
        while not over(await stands(client)):
            desk.pass_time(seconds=15)
    return desk.clock.now - begun


# Found -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["oldest_first", "newest_first", "unordered"])
async def test_an_invoice_is_found_in_a_list_of_any_order(order: Any, desk: Desk) -> None:
    """Documented: nothing is said of the order. Ours: three pages are enough of a haystack."""
    now = desk.sim.clock.now()
    for at in range(250):
        record = desk.sim.add_invoice(invoice_number=f"OTHER-{at}", amount_cents=at + 1, status="complete", **PARTIES)
        record["created"] = record["updated"] = (now - timedelta(hours=at)).isoformat(timespec="microseconds")
    desk.sim.order["invoices"] = order
    desk.fault(LOST)

    async with desk.open() as client:
        found = await pay(client, invoice())
        desk.fault(NEVER_THERE)
        lost = await pay(client, invoice("HP-2", 9_99))
        await until_absent(desk, client, invoice("HP-2", 9_99))

    assert (found["status"], lost["status"]) == ("confirmed", "in_doubt")
    assert paid(desk.sim, "HP-1") == 1


async def test_an_invoice_that_shows_up_late_is_found_by_the_looks_that_nobody_asks_for(desk: Desk) -> None:
    """Ours: looks go on by schedule, without a caller, and never send."""
    desk.sim.quirks.visible_after = timedelta(minutes=9)
    desk.fault(LOST)

    async with desk.open() as client:
        first = await pay(client, invoice())
        took = await watched_until(desk, client, lambda rows: rows != [("in_doubt", "no_answer")])
        found = await stands(client)
        last = await pay(client, invoice())

    assert (first["status"], found, last["status"]) == ("in_doubt", [("confirmed", "found")], "already_submitted")
    assert 540 <= took <= 1_600
    assert len(changes(desk.sim)) == 1


@pytest.mark.parametrize("minutes", [20, 120])
async def test_an_invoice_that_shows_up_very_late_is_paid_once(minutes: int, desk: Desk) -> None:
    """Ours: even one that was given up is found again once its number is refused; only then is it settled."""
    desk.sim.quirks.visible_after = timedelta(minutes=minutes)
    desk.fault(LOST)
    told: list[str] = []

    async with desk.open() as client:
        for _ in range(20):
            told.append((await pay(client, invoice()))["status"])
            desk.pass_time(minutes=8)

    assert told[0] == "in_doubt"
    assert told[-1] == "already_submitted"
    assert "confirmed" not in told[: minutes // 8]
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("create", "patch"),
    [(CREATE_COUNTERPARTY, PATCH_COUNTERPARTY), (CREATE_SUPPLIER, PATCH_SUPPLIER), (CREATE_BUYER, PATCH_BUYER)],
)
async def test_a_change_that_was_lost_is_found_by_what_the_record_says(
    create: str, patch: str, era: Era, desk: Desk
) -> None:
    """Ours: `confirmed` after a lost answer means that Finexio shows it."""
    desk.fault(LOST)

    async with desk.open(era) as client:
        created = await ask(client, create, WRITES[create])
        desk.fault(NEVER_THERE)
        patched = await ask(client, patch, WRITES[patch])

    assert (created["status"], patched["status"]) == ("confirmed", "in_doubt")
    assert created["result"]["id"] in {**desk.sim.suppliers, **desk.sim.buyers}
    assert landed(desk.sim) == 1


@pytest.mark.parametrize("tool", [PATCH_COUNTERPARTY, PATCH_SUPPLIER, PATCH_BUYER])
async def test_a_change_that_somebody_made_by_hand_meanwhile_settles_the_doubt(tool: str, desk: Desk) -> None:
    """Ours: what was asked for is so; nobody has to send it again."""
    desk.fault(NEVER_THERE)
    record, *change = WRITES[tool].items()

    async with desk.open() as client:
        first = await ask(client, tool, WRITES[tool])
        {**desk.sim.suppliers, **desk.sim.buyers}[record[1]].update(change)
        second = await ask(client, tool, WRITES[tool])

    assert (first["status"], second["status"]) == ("in_doubt", "already_submitted")
    assert len(changes(desk.sim)) == 1


async def test_the_looks_that_nobody_asks_for_confirm_no_create_whose_key_was_taken(desk: Desk) -> None:
    """Ours: the record there is the first create's; of a corrected identity number nothing is shown."""
    first = {**WRITES[CREATE_BUYER], "owners": [OWNER]}
    second = {**first, "owners": [{**OWNER, "ssn": "999-45-6789"}]}

    async with desk.open() as client:
        await ask(client, CREATE_BUYER, first)
        desk.fault(LOST)
        desk.sim.fault(Fault(status=503), times=4, match=lambda request: request.method == "GET")
        lost = await ask(client, CREATE_BUYER, second)
        await watched_until(desk, client, lambda rows: rows[0] != ("in_doubt", "no_answer"))
        found = await stands(client)
        refused = await ask(client, CREATE_BUYER, second)

    assert lost["status"] == "in_doubt"
    assert found == [("conflict", "found_other"), ("confirmed", "accepted")]
    assert refused["status"] == "rejected"
    assert (len(changes(desk.sim)), landed(desk.sim)) == (3, 1)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "change"),
    [
        (PATCH_SUPPLIER, {"id": SUPPLIER, "bank_account_number": "000123456789"}),
        (PATCH_BUYER, {"id": BUYER, "owners": [OWNER]}),
    ],
    ids=["the end of an account", "the papers of an owner"],
)
async def test_a_change_that_finexio_shows_in_part_stays_in_doubt_and_is_never_sent_again(
    tool: str, change: dict[str, Any], era: Era, desk: Desk
) -> None:
    """Documented: of a supplier's account the last four are shown. Ours: they may well be the old ones, and of an
    identity number nothing is kept to compare; both are for a person, who says what is so."""
    desk.fault(LOST)

    async with desk.open(era) as client:
        first = await ask(client, tool, change)
        told: list[str] = []
        for _ in range(12):
            desk.pass_time(minutes=20)
            told.append((await ask(client, tool, change))["status"])
        await desk.book().resolve(first["op_id"], number=None, state=State.CONFIRMED, note="Seen in the portal")
        last = await ask(client, tool, change)

    assert (first["status"], set(told), last["status"]) == ("in_doubt", {"in_doubt"}, "already_submitted")
    assert (len(changes(desk.sim)), landed(desk.sim)) == (1, 1)


async def test_a_batch_that_landed_in_part_is_settled_row_by_row(desk: Desk) -> None:
    """Ours: what is there is confirmed, what is not stays in doubt; only that one is free in the end."""
    rows = forty(desk)[BAD - 1 : BAD + 2]
    desk.sim.quirks.batch_atomic = False
    desk.fault(LOST)

    async with desk.open() as client:
        first = await pay(client, *rows)
        desk.pass_time(seconds=ROOM_SECONDS)
        await pay(client, *rows)
        desk.pass_time(minutes=6)
        last = await pay(client, *rows)
        rest = await pay(client, rows[1] | {"invoice_date": rows[0]["invoice_date"]})

    good, bad = "confirmed", f"B-{BAD}"
    assert first["status"] == "in_doubt"
    assert rows_of(first) == {f"B-{BAD - 1}": good, bad: "in_doubt", f"B-{BAD + 1}": good}
    assert rows_of(last) == {
        f"B-{BAD - 1}": "already_submitted",
        bad: "not_executed",
        f"B-{BAD + 1}": "already_submitted",
    }
    assert rest["status"] == "confirmed"
    assert [paid(desk.sim, row["invoice_number"]) for row in rows] == [1, 1, 1]


async def test_a_batch_of_which_a_part_was_given_up_says_which_rows_to_send(desk: Desk) -> None:
    """Ours: the same call would be refused as part known, so the answer must not send anybody there."""
    rows = forty(desk)[BAD - 1 : BAD + 2]
    desk.sim.quirks.batch_atomic = False
    desk.fault(LOST)

    async with desk.open() as client:
        await pay(client, *rows)
        desk.pass_time(seconds=ROOM_SECONDS)
        await pay(client, *rows)
        desk.pass_time(minutes=6)
        given_up = await pay(client, *rows)
        same_call = await pay(client, *rows)

    assert given_up["status"] == "not_executed"
    assert "Leave these out and send the rest" in same_call["error"]["message"]
    assert "with the same call" not in given_up["error"]["message"]


async def test_of_two_servers_that_watch_one_looks(desk: Desk) -> None:
    """Ours: one process at a time for each row, however many there are."""
    desk.fault(NEVER_THERE)

    async with desk.open() as first, desk.open() as second:
        await pay(first, invoice())
        await ask(second, PATCH_COUNTERPARTY, WRITES[PATCH_COUNTERPARTY])
        desk.sim.journal.clear()
        looks: list[int] = []
        for _ in range(30):
            desk.pass_time(seconds=2)
            await stands(first)
            await stands(second)
            looks.append(sum(request.path == "/v2/invoices/" for request in desk.sim.journal.requests))

    assert looks[-1] == 1, looks


# Absent ----------------------------------------------------------------------------


async def test_absent_takes_two_complete_looks_that_are_late_and_apart(desk: Desk) -> None:
    """Ours: fifteen minutes after the lease ended, and once more five minutes later; not one look before counts."""
    desk.fault(NEVER_THERE)
    told: list[tuple[int, str]] = []

    async with desk.open() as client:
        await pay(client, invoice())
        begun = desk.clock.now
        for until in (60, 400, 990, 1_003, 1_010, 1_200, 1_300, 1_320):
            desk.pass_time(seconds=begun + until - desk.clock.now)
            told.append((until, (await pay(client, invoice()))["status"]))

    assert told == [
        *((until, "in_doubt") for until in (60, 400, 990, 1_003, 1_010, 1_200, 1_300)),
        (1_320, "not_executed"),
    ]
    assert len(changes(desk.sim)) == 1


async def test_looks_that_fail_prove_nothing(desk: Desk) -> None:
    """Ours: while Finexio cannot be read, nothing is given up, however late it is."""
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        await pay(client, invoice())
        desk.sim.fault(Fault(status=503), times=None, method="GET")
        blind: list[str] = []
        for _ in range(5):
            desk.pass_time(minutes=30)
            blind.append((await pay(client, invoice()))["status"])
        desk.sim.clear_faults()
        seeing = await pay(client, invoice())
        desk.pass_time(minutes=6)
        last = await pay(client, invoice())

    assert blind == ["in_doubt"] * 5
    assert (seeing["status"], last["status"]) == ("in_doubt", "not_executed")
    assert len(changes(desk.sim)) == 1


async def test_absence_is_found_without_a_caller_and_frees_the_same_call(desk: Desk) -> None:
    """Ours: a person who comes back after lunch sends the same call, and it is sent."""
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        await pay(client, invoice())
        took = await watched_until(desk, client, lambda rows: rows != [("in_doubt", "no_answer")])
        found = await stands(client)
        sent = await pay(client, invoice())

    assert found == [("absent", "not_found")]
    assert took >= 1_305
    assert sent["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 1


async def test_a_look_survives_a_restart_and_starts_nothing_over(desk: Desk) -> None:
    """Ours: the first late look may be one server's, the second another's."""
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        await pay(client, invoice())
        desk.pass_time(seconds=ROOM_SECONDS)
        first = await pay(client, invoice())
    desk.pass_time(minutes=6)
    async with desk.open() as client:
        second = await pay(client, invoice())

    assert (first["status"], second["status"]) == ("in_doubt", "not_executed")


async def test_a_doubt_that_no_look_can_end_waits_for_a_person_who_is_told_at_the_next_start(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: a new password leaves no trace, so after two hours a person has to look; a start says so, once."""
    caplog.set_level("INFO", "finexio_mcp.ledger")
    desk.fault(LOST)

    async with desk.open() as client:
        first = await ask(client, REPLACE_WEBHOOK, WRITES[REPLACE_WEBHOOK])
        for _ in range(20):
            desk.pass_time(minutes=10)
            assert (await ask(client, REPLACE_WEBHOOK, WRITES[REPLACE_WEBHOOK]))["status"] == "in_doubt"
    caplog.clear()
    async with desk.open() as client:
        told = [await pay(client, invoice(f"HP-{at}", 10_00 + at)) for at in range(2)]

    assert first["status"] == "in_doubt"
    assert ["finexio-mcp ledger list" in str(content["notices"]) for content in told] == [True, False]
    assert sum("finexio-mcp ledger list" in record.getMessage() for record in caplog.records) == 1
    assert landed(desk.sim) == 3


# A refused batch -------------------------------------------------------------------

MANY = 40
BAD = 17


def forty(desk: Desk) -> list[dict[str, Any]]:
    """Forty invoices; the date of one is within a year by our calendar, and not by Finexio's."""
    desk.sim.advance(days=5)
    old = (datetime.now(UTC) - timedelta(days=363)).date().isoformat()
    rows = [invoice(f"B-{at}", 10_00 + at) for at in range(MANY)]
    rows[BAD]["invoice_date"] = old
    return rows


def good_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for at, row in enumerate(rows) if at != BAD]


async def test_the_good_rows_of_a_refused_batch_are_free_after_half_a_minute(desk: Desk) -> None:
    """Ours: Finexio does not say whether it keeps them, so they are looked up twice before they may be sent again."""
    rows = forty(desk)

    async with desk.open() as client:
        refused = await pay(client, *rows)
        early = await pay(client, *good_of(rows))
        desk.pass_time(seconds=31)
        with anyio.fail_after(10):
            while await stands(client, state="sent", limit=1):
                pass
        states = set(await stands(client, limit=100))
        again = await pay(client, *good_of(rows))

    assert refused["status"] == "in_progress"
    assert (refused["error"]["code"], refused["error"]["may_have_happened"]) == ("rejected", True)
    assert refused["error"]["fields"][0]["field"] == f"invoices[{BAD}].invoice_date"
    assert rows_of(refused)[f"B-{BAD}"] == "rejected"
    assert early["status"] == "in_progress"
    assert states == {("rejected", "refused"), ("rejected", "refused_with_batch")}
    assert again["status"] == "confirmed"
    assert all(paid(desk.sim, row["invoice_number"]) == 1 for row in good_of(rows))
    assert len(changes(desk.sim)) == 2


async def test_a_caller_with_time_hears_of_a_refused_batch_when_it_is_settled(desk: Desk) -> None:
    """Ours: whoever may wait longer than half a minute need not ask twice."""
    rows = forty(desk)
    desk.clock.short_seconds = 31

    async with desk.open(FINEXIO_MCP_ANSWER_SECONDS=60) as client:
        refused = await pay(client, *rows)
        again = await pay(client, *good_of(rows))

    assert set(rows_of(refused).values()) == {"rejected"}
    assert refused["error"]["may_have_happened"] is False
    assert again["status"] == "confirmed"
    assert all(paid(desk.sim, row["invoice_number"]) == 1 for row in good_of(rows))


@pytest.mark.parametrize("seconds", [0, 20], ids=["at once", "late"])
async def test_the_good_rows_that_finexio_kept_are_confirmed_and_not_paid_again(seconds: int, desk: Desk) -> None:
    """Ours: a batch that is not all or nothing is told row by row."""
    rows = forty(desk)
    desk.sim.quirks.batch_atomic = False
    desk.sim.quirks.visible_after = timedelta(seconds=seconds)

    async with desk.open() as client:
        refused = await pay(client, *rows)
        desk.pass_time(seconds=31)
        with anyio.fail_after(10):
            while await stands(client, state="sent", limit=1):
                pass
        good = await pay(client, *good_of(rows))
        corrected = await pay(client, rows[BAD] | {"invoice_date": rows[0]["invoice_date"]})

    kept = {f"B-{at}": "rejected" if at == BAD else "confirmed" for at in range(MANY)}
    assert rows_of(refused) == kept if seconds == 0 else refused["status"] == "in_progress"
    assert refused["error"]["may_have_happened"] is True
    assert (good["status"], corrected["status"]) == ("already_submitted", "confirmed")
    assert all(paid(desk.sim, row["invoice_number"]) == 1 for row in rows)
    assert len(changes(desk.sim)) == 2


async def test_rows_of_a_refused_batch_whose_server_ended_are_looked_up_by_the_next_one(desk: Desk) -> None:
    """Ours: what nobody came back to look up is in doubt, and then found."""
    rows = forty(desk)
    desk.sim.quirks.batch_atomic = False
    desk.sim.quirks.visible_after = timedelta(minutes=2)

    async with desk.open() as client:
        assert (await pay(client, *rows))["status"] == "in_progress"
    desk.pass_time(minutes=12)
    async with desk.open() as client:
        good = await pay(client, *good_of(rows))

    assert good["status"] == "already_submitted"
    assert all(paid(desk.sim, row["invoice_number"]) == 1 for row in good_of(rows))


# After a crash ---------------------------------------------------------------------


async def test_what_a_dead_process_sent_is_looked_up_and_told_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: past its lease it is in doubt; the next server says so on stderr and in its first write, and settles it."""
    caplog.set_level("INFO", "finexio_mcp.ledger")
    op_id = await left_behind(desk, invoice(), sent=True)
    desk.sim.add_invoice("landed", invoice_number="HP-1", amount_cents=125_00, **PARTIES)
    desk.pass_time(minutes=2)

    async with desk.open() as client:
        told = [await pay(client, invoice(f"NEW-{at}", 10_00 + at)) for at in range(2)]
        await watched_until(desk, client, lambda rows: all(state == "confirmed" for state, _ in rows))
        again = await pay(client, invoice())

    named = [[sentence for sentence in content["notices"] if "HP-1" in sentence] for content in told]
    assert [len(sentences) for sentences in named] == [1, 0]
    assert op_id in named[0][0]
    assert "the outcome is unknown" in named[0][0]
    logged = [record.getMessage() for record in caplog.records if "process ended" in record.getMessage()]
    assert [op_id in line for line in logged] == [True]
    assert "HP-1" not in logged[0]
    assert (again["status"], again["result"][0]["id"]) == ("already_submitted", "landed")
    assert len(changes(desk.sim)) == 2


async def test_what_a_dead_process_never_sent_is_free_and_told_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: no byte of it left, so the same call sends it."""
    caplog.set_level("INFO", "finexio_mcp.ledger")
    op_id = await left_behind(desk, invoice(), sent=False)
    desk.pass_time(minutes=2)

    async with desk.open() as client:
        told = [await pay(client, invoice(f"NEW-{at}", 10_00 + at)) for at in range(2)]
        states = await stands(client, invoice_number="HP-1")
        sent = await pay(client, invoice())

    assert ["nothing of that was submitted" in str(content["notices"]) for content in told] == [True, False]
    assert [op_id in record.getMessage() for record in caplog.records if "process ended" in record.getMessage()] == [
        True
    ]
    assert states == [("absent", "abandoned")]
    assert sent["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("sent", [False, True], ids=["intended", "sent"])
async def test_what_a_living_neighbour_is_at_is_left_alone(sent: bool, desk: Desk) -> None:
    """Ours: within its lease a row belongs to the process that wrote it, and everybody else waits."""
    await left_behind(desk, invoice(), sent=sent)
    desk.pass_time(seconds=80)

    async with desk.open() as client:
        other = await pay(client, invoice("NEW-1", 10_00))
        same = await pay(client, invoice())
        states = await stands(client, invoice_number="HP-1")

    assert (other["status"], same["status"]) == ("confirmed", "in_progress")
    assert "process ended" not in str(other["notices"])
    assert states == [("sent" if sent else "intended", None)]
    assert paid(desk.sim, "HP-1") == 0


async def test_a_start_takes_over_without_a_call(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: a server that only lists its tools looks after what is in doubt all the same."""
    caplog.set_level("INFO", "finexio_mcp.ledger")
    await left_behind(desk, invoice(), sent=True)
    desk.sim.add_invoice("landed", invoice_number="HP-1", amount_cents=125_00, **PARTIES)
    desk.pass_time(minutes=2)

    async with desk.open() as client:
        await client.list_tools()
        with anyio.fail_after(10):
            while await stands(client) != [("confirmed", "found")]:
                pass

    assert any("process ended" in record.getMessage() for record in caplog.records)
    assert changes(desk.sim) == []


async def test_a_neighbour_that_dies_while_this_server_runs_is_taken_over_too(desk: Desk) -> None:
    """Ours: its rows do not wait for a restart of anybody; a repeat of its call is enough."""
    async with desk.open() as client:
        await pay(client, invoice("NEW-1", 10_00))
        await left_behind(desk, invoice(), sent=True)
        during = await pay(client, invoice())
        desk.pass_time(minutes=2)
        after = await pay(client, invoice())
        desk.sim.add_invoice("landed", invoice_number="HP-1", amount_cents=125_00, **PARTIES)
        found = await pay(client, invoice())

    assert [content["status"] for content in (during, after, found)] == ["in_progress", "in_doubt", "already_submitted"]
    assert len(changes(desk.sim)) == 1


@pytest.mark.parametrize("sent", [False, True], ids=["intended", "sent"])
@pytest.mark.parametrize("tool", [UPDATE_CONTACT, CREATE_COUNTERPARTY, PATCH_SUPPLIER, CREATE_BUYER])
async def test_a_change_that_a_neighbour_left_behind_is_taken_over_by_a_repeat(
    tool: str, sent: bool, desk: Desk
) -> None:
    """Ours: a change too does not wait for a restart, whether or not it has to be looked up before it is sent."""
    door = Door(desk.sim)
    door.before, door.behind = not sent, sent

    async with desk.open() as client:
        await pay(client, invoice())
        async with abandoned(desk, door, tool):
            during = await ask(client, tool, WRITES[tool])
            desk.pass_time(minutes=4)
            after = await ask(client, tool, WRITES[tool])

    assert during["status"] == "in_progress"
    assert after["status"] == ("already_submitted" if sent else "confirmed")
    assert landed(desk.sim) == 2


# A person's word -------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.CONFIRMED, State.ABSENT])
async def test_a_persons_word_frees_or_blocks_without_a_restart(state: State, desk: Desk) -> None:
    """Ours: `finexio-mcp ledger resolve` runs beside the server."""
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        first = await pay(client, invoice())
        await desk.book().resolve(first["op_id"], number="hp-1", state=state, note="Seen in the portal")
        second = await pay(client, invoice())
        third = await pay(client, invoice())

    assert first["status"] == "in_doubt"
    assert second["status"] == ("already_submitted" if state is State.CONFIRMED else "confirmed")
    assert third["status"] == "already_submitted"
    assert paid(desk.sim, "HP-1") == (0 if state is State.CONFIRMED else 1)


async def test_a_persons_word_that_was_wrong_does_not_pay_twice(desk: Desk) -> None:
    """Ours: after a person said that it is not there, a refusal by Finexio is looked up and not believed."""
    desk.sim.quirks.visible_after = timedelta(minutes=1)
    desk.fault(LOST)

    async with desk.open() as client:
        first = await pay(client, invoice())
        await desk.book().resolve(first["op_id"], number=None, state=State.ABSENT, note="Not in the portal")
        second = await pay(client, invoice())
        desk.pass_time(minutes=2)
        third = await pay(client, invoice())

    assert [content["status"] for content in (first, second, third)] == ["in_doubt", "in_doubt", "already_submitted"]
    assert paid(desk.sim, "HP-1") == 1


async def test_a_persons_word_ends_a_conflict(desk: Desk) -> None:
    """Ours: out of a conflict only a person leads."""
    desk.fault(NEVER_THERE)
    desk.sim.add_invoice("by-hand", invoice_number="HP-1", amount_cents=999_99, **PARTIES)

    async with desk.open() as client:
        first = await pay(client, invoice())
        desk.pass_time(hours=5)
        later = await pay(client, invoice())
        await desk.book().resolve(first["op_id"], number=None, state=State.CONFIRMED, note="It was paid by hand")
        last = await pay(client, invoice())

    assert [content["status"] for content in (first, later, last)] == ["conflict", "conflict", "already_submitted"]
    assert len(changes(desk.sim)) == 1


# More than one server on one PostgreSQL --------------------------------------------


@pytest.fixture
def shared(postgresql: str) -> dict[str, Any]:
    """Where all servers of a company meet."""
    url = new_schema(postgresql).replace("+psycopg", "")
    return {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": "k" * 32}


@pytest.fixture
def gone(shared: dict[str, Any], desk: Desk) -> Generator[Book]:
    """The ledger as a replica had it that ended."""
    pools = Pools()
    settings = simulator_settings(FINEXIO_BASE_URL=ADDRESS, **shared)
    yield Book(settings, pools=pools, now=lambda: int(desk.clock.wall() * 1000))
    pools.close()


async def left_behind_in(book: Book, *, sent: bool) -> str:
    """What a replica leaves there that was killed before the first byte, or right after it; its op_id."""
    checked = check(BY_NAME[PAY], {"invoices": [dict(invoice())]})
    wanted = wanted_invoices(checked.wire, checked.local, book.place.scope)
    rules = Rules(lease_ms=LEASE_MS)
    claim = await book.claim(wanted, op_id="op_left_behind", tool=PAY, effect="pay", rules=rules)
    assert claim.rows
    assert not sent or await book.mark_sent("op_left_behind", lease_ms=LEASE_MS)
    return "op_left_behind"


async def napping(desk: Desk) -> None:
    """Until nobody does anything but wait for the hand."""
    with anyio.fail_after(10):
        while not desk.clock._asleep:  # pyright: ignore[reportPrivateUsage]
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("sent", [False, True], ids=["intended", "sent"])
async def test_what_a_replica_leaves_behind_is_settled_by_another_without_a_call(
    sent: bool, shared: dict[str, Any], gone: Book, desk: Desk
) -> None:
    """Ours: it runs since before that, with nothing open, and nobody asks it for anything."""
    desk.sim.add_invoice("landed", invoice_number="HP-1", amount_cents=125_00, **PARTIES)

    async with desk.open(**shared) as client:
        await client.list_tools()
        await napping(desk)
        op_id = await left_behind_in(gone, sent=sent)
        seen = [row.state for row in await gone.get(op_id)]
        with anyio.fail_after(20):
            while (rows := await gone.get(op_id))[0].state in OPEN:
                await napping(desk)
                desk.pass_time(seconds=15)

    assert seen == [State.SENT if sent else State.INTENDED]
    assert [row.state for row in rows] == [State.CONFIRMED if sent else State.ABSENT]
    assert changes(desk.sim) == []


async def test_a_database_that_is_away_never_ends_the_watch_and_is_told_of_once(
    shared: dict[str, Any],
    gone: Book,
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ours: longer than any number of tries, and the first one after it finds what was left behind."""
    caplog.set_level("WARNING", "finexio_mcp.ledger")
    away: list[bool] = []
    asked = Store.next_due_ms

    def next_due_ms(store: Store) -> int | None:
        if away:
            raise Unusable("unreachable")
        return asked(store)

    monkeypatch.setattr(Store, "next_due_ms", next_due_ms)
    async with desk.open(**shared) as client:
        await client.list_tools()
        await napping(desk)
        caplog.clear()
        away.append(True)
        for _ in range(MAX_FAILURES + 20):
            desk.pass_time(seconds=30)
            await napping(desk)
        during = [record.getMessage() for record in caplog.records]
        away.clear()
        op_id = await left_behind_in(gone, sent=False)
        with anyio.fail_after(20):
            while (await gone.get(op_id))[0].state in OPEN:
                desk.pass_time(seconds=30)
                await napping(desk)

    assert len(during) == 2
    assert during[0] == "the ledger cannot be used: unreachable"
    assert during[1].startswith("the ledger cannot be watched: LedgerUnavailable")


async def test_a_server_that_starts_while_the_database_is_away_watches_it_later(
    shared: dict[str, Any], gone: Book, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: what a dead replica left is settled even if nobody ever writes through this one."""
    op_id = await left_behind_in(gone, sent=False)
    desk.pass_time(minutes=2)
    away = [True]
    opened = Store.check

    def check(store: Store) -> None:
        if away:
            raise Unusable("unreachable")
        opened(store)

    monkeypatch.setattr(Store, "check", check)
    async with desk.open(**shared) as client:
        await client.list_tools()
        await napping(desk)
        away.clear()
        with anyio.fail_after(20):
            while (await gone.get(op_id))[0].state in OPEN:
                desk.pass_time(seconds=30)
                await napping(desk)

    assert [row.state for row in await gone.get(op_id)] == [State.ABSENT]


# One invoice, two accounts ---------------------------------------------------------


def account_of(desk: Desk, name: str) -> dict[str, Any]:
    """A server of this account, which shares the ledger and Finexio with that of the default one."""
    (desk.file.parent / "password").write_text("demo")
    file = desk.file.parent / "accounts.toml"
    file.write_text(f'[accounts.{name}]\nusername = "demo"\npassword_file = "{desk.file.parent}/password"\n')
    return {"FINEXIO_MCP_ACCOUNTS_FILE": str(file), "FINEXIO_MCP_ACCOUNT": name}


@pytest.mark.parametrize("era", ERAS)
async def test_an_invoice_that_another_account_paid_is_refused_and_nothing_of_that_is_told(
    era: Era, desk: Desk
) -> None:
    """Ours: the one who asks hears that it is held, the other's answers stay as they were, and Finexio sees one."""
    async with desk.open(era) as client:
        first = await pay(client, invoice())
        async with desk.open(era, **account_of(desk, "globex")) as other:
            alone = await pay(other, invoice())
            mixed = await pay(other, invoice("NEW-1", 10_00), invoice())
            theirs = await ask(other, "find_finexio_submissions", {})
            unknown = await ask(other, "get_finexio_submission", {"op_id": first["op_id"]})
            free = await pay(other, invoice("NEW-1", 10_00))
        again = await pay(client, invoice())

    assert (first["status"], again["status"], again["op_id"]) == ("confirmed", "already_submitted", first["op_id"])
    assert (alone["status"], alone["error"]["code"], alone["error"]["retryable"]) == ("conflict", "conflict", False)
    assert alone["error"]["may_have_happened"] is False
    assert alone["result"] == [{"invoice_number": "HP-1"}]
    assert alone["op_id"] != first["op_id"]
    assert rows_of(mixed) == {"NEW-1": "not_executed", "HP-1": "conflict"}
    assert [field["field"] for field in mixed["error"]["fields"]] == ["invoices[1]"]
    assert theirs["result"] == []
    assert unknown["error"]["code"] == "not_found"
    assert free["status"] == "confirmed"
    told = json.dumps([alone, mixed, theirs])
    assert not [secret for secret in (first["op_id"], first["result"][0]["id"], "default") if secret in told]
    assert (paid(desk.sim, "HP-1"), paid(desk.sim, "NEW-1")) == (1, 1)


# Two accounts ----------------------------------------------------------------------

BANKED = {
    "name": "Quay Sail Co",
    "external_reference_id": "SAIL-9",
    "payment_method": "ACH",
    "bank_account_number": "1112223334444",
    "bank_routing_number": "021000021",
}


@pytest.mark.parametrize("first", ["acme", "globex"])
async def test_what_another_login_of_the_company_created_does_not_confirm_a_create_that_never_landed(
    first: str, desk: Desk, firm: dict[str, dict[str, Any]]
) -> None:
    """Ours: the record has the code that was asked for, and whose bank account it holds nobody can see."""
    other_bank = {**BANKED, "bank_account_number": "9992223334444"}

    async with desk.open(**firm["acme"]) as acme, desk.open(**firm["globex"]) as globex:
        if first == "globex":
            assert (await ask(globex, CREATE_SUPPLIER, BANKED))["status"] == "confirmed"
        desk.fault(NEVER_THERE)
        lost = await ask(acme, CREATE_SUPPLIER, other_bank)
        if first == "acme":
            assert (await ask(globex, CREATE_SUPPLIER, BANKED))["status"] == "confirmed"
            lost = await ask(acme, CREATE_SUPPLIER, other_bank)
        theirs = await ask(globex, "find_finexio_submissions", {})

    assert lost["status"] == ("in_doubt" if first == "acme" else "conflict")
    assert landed(desk.sim) == 1
    assert theirs["result"][0]["op_id"] not in json.dumps(lost)


async def test_the_end_of_the_chain_is_logged_once_a_start_with_its_number(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: before anything is added, so that what `verify` prints later can be held against it."""
    async with desk.open() as client:
        await pay(client, invoice())
    caplog.clear()
    caplog.set_level("INFO", "finexio_mcp.ledger")

    glance = desk.book().peek()
    async with desk.open() as client:
        await pay(client, invoice("N-2", 700))
        await pay(client, invoice("N-3", 800))

    assert glance is not None
    assert heads_in(caplog) == [f"ledger head {glance.head} after event 3"]


async def test_accounts_of_one_server_log_the_end_of_their_chain_together(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: it is one chain; an account that is changed or comes later says nothing new."""
    sightings = Sightings()
    settings = simulator_settings(FINEXIO_BASE_URL=ADDRESS, FINEXIO_MCP_LEDGER_URL=f"sqlite:///{desk.file}")
    caplog.set_level("INFO", "finexio_mcp.ledger")

    for account in ("acme", "globex", "acme"):
        await Book(settings, account=account, sightings=sightings).key()

    assert len(heads_in(caplog)) == 1


def heads_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [told for record in caplog.records if (told := record.getMessage()).startswith("ledger head")]


# Who watches ----------------------------------------------------------------------


@pytest.mark.parametrize("repeated", [False, True], ids=["on its way", "in doubt"])
async def test_whoever_watches_has_the_op_id_of_a_write_whose_caller_left(
    repeated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: what was ordered and what became of it are told by two records, which have to meet."""
    ended, arrived = list[Ended](), anyio.Event()

    class Watching(Observer):
        async def ended(self, call: Ended) -> None:
            ended.append(call)

    class Stuck(Upstream):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if repeated and request.method != "GET":
                raise httpx2.ReadError("gone")
            arrived.set()
            await anyio.sleep_forever()
            return await super().handle_async_request(request)

    monkeypatch.setattr("finexio_mcp.observers.CallLog", Watching)
    async with Hub(simulator_settings(FINEXIO_MCP_TOOLSETS="core,ledger"), Stuck(reply(500))) as hub:
        for _ in range(1 + repeated):
            arrived = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: hub.run(read()[PAY], dict(WRITES[PAY])))
                with anyio.fail_after(10):
                    await arrived.wait()
                tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            found = await hub.run(read()["find_finexio_submissions"], {})

    op_ids = {call.op_id for call in ended if call.outcome == "caller_left"}
    assert op_ids == {row["op_id"] for row in found.content["result"]}
    assert len(op_ids) == 1
