"""Where chance meets chance: resubmissions that fail, proof that comes late, restarts at a bad moment, odd answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp import Client

from finexio_mcp import settling
from finexio_mcp.arguments import check
from finexio_mcp.envelope import Outlet, new_op_id
from finexio_mcp.guards.identity import wanted_invoices
from finexio_mcp.guards.ledger.rows import Rules, Submission
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.readback import ReadBack
from finexio_mcp.replies import FOUND, NOT_SHOWN, REFUSED_BATCH, RUNNING, UNRECORDED
from finexio_mcp.shapes import is_object
from finexio_mcp.simulator import Fault, Simulator
from finexio_mcp.tools import BY_NAME
from finexio_mcp.verdicts import returned_rows
from tests.calls import (
    BUYER,
    CREATE_CONTACT,
    CREATE_COUNTERPARTY,
    DELETE_CONTACT,
    PATCH_COUNTERPARTY,
    PAY,
    SUPPLIER,
    UPDATE_CONTACT,
    WRITES,
    Content,
    ask,
    changes,
    invoice,
)
from tests.never_twice import (
    APART_SECONDS,
    LEASE_MS,
    ROOM_SECONDS,
    Desk,
    Door,
    landed,
    left_behind,
    paid,
    pay,
    quick_directory,
    rows_of,
    stands,
    until_absent,
)
from tests.test_duplicates import refund

PARTIES = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
LOST, NEVER_THERE = Fault(lost_answer=True), Fault(reset="before_effect")
AGAIN = invoice(resubmit=True)


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "ledger.db")


async def watched(desk: Desk, client: Client, over: Callable[[], bool] | None = None, *, minutes: int = 30) -> None:
    """Let time pass with nobody asking, step by step, so that the server's own looks get their turn."""
    with anyio.fail_after(30):
        for _ in range(minutes * 4):
            desk.pass_time(seconds=15)
            await stands(client, limit=1)
            if over is not None and over():
                return


async def submitted(desk: Desk, number: str = "HP-1") -> list[Submission]:
    """What the ledger has of an invoice, newest first."""
    return await desk.book().find(number=number)


# A resubmission that did not happen -----------------------------------------------


async def turned_away(desk: Desk, door: Door, client: Client) -> None:
    desk.fault(Fault(status=429))
    assert (await pay(client, AGAIN))["status"] == "not_executed"


async def never_connects(desk: Desk, door: Door, client: Client) -> None:
    desk.fault(Fault(connect_error=True), times=3)
    assert (await pay(client, AGAIN))["status"] == "not_executed"


async def left_by_its_caller(desk: Desk, door: Door, client: Client) -> None:
    door.before = True
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pay, client, AGAIN)
            await door.reached.wait()
            tasks.cancel_scope.cancel()
        while (await stands(client, limit=1)) != [("absent", "never_sent")]:
            pass
    door.before = False


async def killed_before_the_first_byte(desk: Desk, door: Door, client: Client) -> None:
    book = desk.book()
    checked = check(BY_NAME[PAY], {"invoices": [invoice()]})
    (wanted,) = wanted_invoices(checked.wire, checked.local, book.place.scope)
    (first,) = await book.find(number="HP-1")
    claim = await book.claim(
        [replace(wanted, resubmits=first.id)], op_id=new_op_id(), tool=PAY, effect="pay", rules=Rules(lease_ms=LEASE_MS)
    )
    assert [row.generation for row in claim.rows] == [first.generation + 1]
    desk.pass_time(seconds=LEASE_MS // 1000 + 60)


async def refused(desk: Desk, door: Door, client: Client) -> None:
    desk.fault(Fault(status=400, body=b'[{"invoice_date": ["Too old."]}]'))
    assert (await pay(client, AGAIN))["status"] == "rejected"


async def lost_on_the_way(desk: Desk, door: Door, client: Client) -> None:
    desk.fault(NEVER_THERE)
    assert (await pay(client, AGAIN))["status"] == "in_doubt"
    await until_absent(desk, client, AGAIN)


FAILS: Mapping[str, Any] = {
    "turned away": turned_away,
    "refused": refused,
    "lost on the way, and given up": lost_on_the_way,
    "never connects": never_connects,
    "left by its caller": left_by_its_caller,
    "killed before the first byte": killed_before_the_first_byte,
}


async def refunded_and_not_paid_again(desk: Desk, door: Door, client: Client, fails: str) -> str:
    """An invoice that was paid, refunded, and whose resubmission came to nothing; its id at Finexio."""
    first = (await pay(client, invoice()))["result"][0]["id"]
    await refund(desk, first)
    await FAILS[fails](desk, door, client)
    assert paid(desk.sim, "HP-1") == 1
    desk.sim.journal.requests.clear()
    return first


@pytest.mark.parametrize("fails", FAILS)
async def test_after_a_resubmission_that_did_not_happen_a_plain_repeat_pays_nothing(fails: str, desk: Desk) -> None:
    """Ours: the refunded invoice is still the one that was submitted; only `resubmit` may pay it again."""
    door = Door(desk.sim)
    async with desk.open(over=door) as client:
        first = await refunded_and_not_paid_again(desk, door, client, fails)
        told = [await pay(client, invoice()) for _ in range(2)]
    async with desk.open() as client:
        told.append(await pay(client, invoice()))

    assert [content["status"] for content in told] == ["already_submitted"] * 3
    assert [content["result"][0]["id"] for content in told] == [first] * 3
    assert changes(desk.sim) == []
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("fails", FAILS)
async def test_after_a_resubmission_that_did_not_happen_another_amount_is_a_conflict(fails: str, desk: Desk) -> None:
    """Ours: the number belongs to the invoice that was paid."""
    door = Door(desk.sim)
    async with desk.open(over=door) as client:
        await refunded_and_not_paid_again(desk, door, client, fails)
        told = [await pay(client, invoice(amount_cents=999_00)) for _ in range(2)]

    assert [content["status"] for content in told] == ["conflict"] * 2
    assert changes(desk.sim) == []
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("fails", FAILS)
@pytest.mark.parametrize("says", [True, False], ids=["still refunded", "resubmitted by hand meanwhile"])
async def test_a_second_try_to_resubmit_asks_finexio_anew(says: bool, fails: str, desk: Desk) -> None:
    """Documented: `can_be_resubmitted` may have changed. Ours: its word of now counts, once for each payment."""
    door = Door(desk.sim)
    async with desk.open(over=door) as client:
        first = await refunded_and_not_paid_again(desk, door, client, fails)
        desk.sim.invoices[first]["can_be_resubmitted"] = says
        told = await pay(client, AGAIN)
        asked = [request.path for request in desk.sim.journal.requests if request.method == "GET"]
        plain = await pay(client, invoice())

    assert f"/v2/invoices/{first}/" in asked
    assert told["status"] == ("confirmed" if says else "already_submitted")
    assert plain["status"] == "already_submitted"
    assert plain["result"][0]["id"] == told["result"][0]["id"]
    assert paid(desk.sim, "HP-1") == (2 if says else 1)


# Proof that comes late -------------------------------------------------------------


async def given_up(desk: Desk) -> str:
    """What is on its way is taken over, and a person says that it is not there; its op_id."""
    desk.pass_time(hours=1)
    book = desk.book()
    (row,) = await book.take_over()
    (row,) = await book.resolve(row.op_id, number=None, state=State.ABSENT, note="Not in the portal")
    assert row.state is State.ABSENT
    return row.op_id


@pytest.mark.parametrize("again", [False, True], ids=["a submission", "a resubmission"])
async def test_an_answer_that_shows_what_was_given_up_makes_it_a_conflict(again: bool, desk: Desk) -> None:
    """Ours: never `not_executed` with the proof of it in hand, and nobody pays it a second time."""
    door = Door(desk.sim)
    told: list[Content] = []
    op_id = ""

    async def ask_for_it(client: Client) -> None:
        told.append(await pay(client, AGAIN if again else invoice()))

    async with desk.open(over=door) as client:
        if again:
            await refund(desk, (await pay(client, invoice()))["result"][0]["id"])
        door.behind = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_for_it, client)
            with anyio.fail_after(10):
                await door.reached.wait()
            op_id = await given_up(desk)
            door.may_pass.set()
        found = (await stands(client, invoice_number="HP-1"))[0]
        sent_by_then = len(changes(desk.sim))
        repeats = [await pay(client, invoice()), await pay(client, AGAIN)]
    async with desk.open() as client:
        repeats.append(await pay(client, invoice()))

    newest = [effect.id for effect in desk.sim.journal.effects if effect.kind == "invoice.created"][-1]
    assert (told[0]["op_id"], told[0]["status"], told[0]["error"]["code"]) == (op_id, "conflict", "conflict")
    assert told[0]["error"]["may_have_happened"] is True
    assert told[0]["error"]["retryable"] is False
    assert told[0]["result"][0]["id"] == newest
    assert found == ("conflict", "found_late")
    assert [content["status"] for content in repeats] == ["conflict"] * 3
    assert [content["result"][0]["id"] for content in repeats] == [newest] * 3
    assert len(changes(desk.sim)) == sent_by_then
    assert paid(desk.sim, "HP-1") == (2 if again else 1)


def forget(desk: Desk) -> None:
    """Finexio no longer minds the number, so that a second invoice of it is taken: what must then be told."""
    for record in desk.sim.invoices.values():
        if record["invoice_number"] == "HP-1":
            record["can_be_resubmitted"] = True


async def test_an_answer_that_shows_what_was_given_up_and_paid_anew_is_told_and_logged(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: two are there, which nobody can undo here; the caller and the operator hear of it."""
    door = Door(desk.sim)
    door.behind = True
    told: list[Content] = []
    op_id, anew = "", Content()

    async def ask_for_it(client: Client) -> None:
        told.append(await pay(client, invoice()))

    async with desk.open(over=door) as first, desk.open() as second, anyio.create_task_group() as tasks:
        tasks.start_soon(ask_for_it, first)
        with anyio.fail_after(10):
            await door.reached.wait()
        op_id = await given_up(desk)
        forget(desk)
        anew = await pay(second, invoice())
        door.may_pass.set()

    assert anew["status"] == "confirmed"
    assert (told[0]["status"], told[0]["error"]["may_have_happened"]) == ("conflict", True)
    assert told[0]["result"][0]["id"] not in {None, anew["result"][0]["id"]}
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [op_id in line for line in errors] == [True]
    assert paid(desk.sim, "HP-1") == 2


class Gate(Door):
    """Bars a look at the list of invoices once its answer is in hand."""

    shut = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await super().handle_async_request(request)
        if self.shut and request.method == "GET" and request.url.path.endswith("/invoices/"):
            await self._wait()
        return answer


@pytest.mark.parametrize("cents", [125_00, 999_99], ids=["found", "found with another amount"])
@pytest.mark.parametrize("anew", [False, True], ids=["only given up", "given up and paid anew"])
async def test_a_look_that_finds_what_a_person_gave_up_meanwhile_is_believed(
    anew: bool, cents: int, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: what Finexio shows outweighs what a person did not see; nothing is sent for it."""
    gate = Gate(desk.sim)
    desk.fault(NEVER_THERE)
    told: list[Content] = []

    async def ask_for_it(client: Client) -> None:
        told.append(await pay(client, invoice()))

    async with desk.open(over=gate) as client, desk.open() as other:
        first = await pay(client, invoice())
        desk.sim.add_invoice("late-1", invoice_number="HP-1", amount_cents=cents, **PARTIES)
        gate.shut = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_for_it, client)
            with anyio.fail_after(10):
                await gate.reached.wait()
            await desk.book().resolve(first["op_id"], number=None, state=State.ABSENT, note="Not in the portal")
            if anew:
                forget(desk)
                assert (await pay(other, invoice()))["status"] == "confirmed"
            caplog.clear()
            gate.may_pass.set()
        (row,) = [row for row in await submitted(desk) if row.op_id == first["op_id"]]
        sent = len(changes(desk.sim))
        await pay(client, invoice())

    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert first["status"] == "in_doubt"
    if anew:
        assert (row.state, row.reason) == (State.ABSENT, "operator")
        assert [first["op_id"] in line for line in errors] == [True]
        assert (told[0]["status"], told[0]["result"][0]["id"]) == ("conflict", "late-1")
    else:
        assert (row.state, row.reason, row.finexio_id) == (State.CONFLICT, "found_late", "late-1")
        assert (told[0]["status"], told[0]["result"][0]["id"]) == ("conflict", "late-1")
    assert len(changes(desk.sim)) == sent
    assert paid(desk.sim, "HP-1") == anew


async def test_an_answer_that_shows_a_change_that_was_given_up_keeps_it_from_being_made_twice(desk: Desk) -> None:
    """Ours: whoever repeats the call that Finexio has answered by then does not get a second contact."""
    door = Door(desk.sim)
    door.behind = True
    contact = {"supplier_id": SUPPLIER, "primary": False, "name": "Ida Moss", "email": "ida@harbor.example"}
    told: list[Content] = []

    async def ask_for_it(client: Client) -> None:
        told.append(await ask(client, CREATE_CONTACT, contact))

    async with desk.open(over=door) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_for_it, client)
            with anyio.fail_after(10):
                await door.reached.wait()
            await given_up(desk)
            door.may_pass.set()
        door.behind = False
        again = await ask(client, CREATE_CONTACT, contact)

    assert (told[0]["status"], again["status"]) == ("confirmed", "already_submitted")
    assert landed(desk.sim) == 1


# A restart at a bad moment ---------------------------------------------------------


@pytest.mark.parametrize("begins", ["with a write", "with a list"])
async def test_a_restart_between_two_looks_ends_no_looking(
    begins: str, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: a look that is due in a quarter of an hour is made by whoever runs then."""
    desk.fault(NEVER_THERE)
    async with desk.open() as client:
        first = await pay(client, invoice())
        await watched(desk, client, minutes=12)
    (between,) = await submitted(desk)
    assert between.next_look_at_ms is not None
    assert between.next_look_at_ms > desk.clock.wall() * 1000 + 60_000
    glance = desk.book().peek()
    assert glance is not None
    assert (glance.due, glance.ahead) == (0, 1)

    caplog.set_level("INFO", "finexio_mcp.ledger")
    async with desk.open() as client:
        if begins == "with a write":
            assert (await pay(client, invoice("OTHER-5", 5_00)))["status"] == "confirmed"
        else:
            await client.list_tools()
            with anyio.fail_after(10):
                while "ledger head" not in caplog.text:
                    await anyio.lowlevel.checkpoint()
        await watched(desk, client)
        (later,) = await submitted(desk)

    assert (first["status"], between.state) == ("in_doubt", State.IN_DOUBT)
    assert between.looks >= 3
    assert (later.state, later.reason) == (State.ABSENT, "not_found")
    assert later.looks > between.looks


@pytest.mark.parametrize("sent", [False, True], ids=["intended", "sent"])
async def test_what_was_cut_off_a_moment_ago_is_taken_over_when_its_lease_ends(
    sent: bool, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: desktop hosts restart a server at once, within the lease; it waits that out, and then tells."""
    caplog.set_level("INFO", "finexio_mcp.ledger")
    op_id = await left_behind(desk, invoice(), sent=sent)
    desk.pass_time(seconds=5)
    glance = desk.book().peek()
    assert glance is not None
    assert (glance.expired, glance.ahead) == (0, 1)

    async with desk.open() as client:
        early = await pay(client, invoice("NEW-1", 10_00))
        (leased,) = await submitted(desk)
        during = await pay(client, invoice())
        await watched(desk, client, minutes=3)
        (over,) = await submitted(desk)
        told = [await pay(client, invoice(f"NEW-{at}", 10_00 + at)) for at in (2, 3)]
        again = await pay(client, invoice())

    assert leased.state is (State.SENT if sent else State.INTENDED)
    assert (early["status"], during["status"]) == ("confirmed", "in_progress")
    assert op_id not in str(early["notices"])
    assert (over.state, over.reason) == ((State.IN_DOUBT, "taken_over") if sent else (State.ABSENT, "abandoned"))
    assert [op_id in str(content["notices"]) for content in told] == [True, False]
    assert [op_id in line.getMessage() for line in caplog.records if "process ended" in line.getMessage()] == [True]
    assert again["status"] == ("in_doubt" if sent else "confirmed")
    assert paid(desk.sim, "HP-1") == (0 if sent else 1)


# Ids and answers that nobody expects -----------------------------------------------


class Rewriting(httpx2.AsyncBaseTransport):
    """An office whose answers come out otherwise than they went in."""

    tells_its_steps = True

    def __init__(self, sim: Simulator, edit: Callable[[dict[str, Any]], None]) -> None:
        self.sim, self.edit = sim, edit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self.sim.transport().handle_async_request(request)
        body: Any = json.loads(await answer.aread())
        for record in returned_rows(body.get("results", body) if is_object(body) else body):
            self.edit(record)
        # Escaped, so that it may hold what no encoding takes.
        return httpx2.Response(
            answer.status_code, headers={"content-type": "application/json"}, content=json.dumps(body).encode()
        )


ODD_IDS: Mapping[str, Any] = {
    "lone surrogate": "\ud800",
    "endless": "x" * 10_000,
    "list": ["late-1"],
    "object": {"id": "late-1"},
    "empty": "",
    "true": True,
    "line break": "late\n1",
}


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_an_id_that_cannot_be_kept_breaks_neither_the_answer_nor_the_looks(odd: str, desk: Desk) -> None:
    """Ours: the invoice stays in doubt, for a person in the end; others are settled all the same."""

    def edit(record: dict[str, Any]) -> None:
        if record.get("invoice_number") == "HP-1":
            record["id"] = ODD_IDS[odd]

    desk.sim.quirks.visible_after = timedelta(minutes=5)
    async with desk.open(over=Rewriting(desk.sim, edit)) as client:
        first = await pay(client, invoice())
        desk.fault(LOST)
        other = await pay(client, invoice("OTHER-5", 5_00))
        await watched(desk, client)
        (settled,) = await submitted(desk, "OTHER-5")
        repeat = await pay(client, invoice())
        both = await pay(client, invoice(), invoice("OTHER-5", 5_00))

    assert (first["status"], first["error"]["may_have_happened"]) == ("in_doubt", True)
    assert (other["status"], settled.state, settled.reason) == ("in_doubt", State.CONFIRMED, "found")
    assert repeat["status"] == both["status"] == "in_doubt"
    assert [paid(desk.sim, number) for number in ("HP-1", "OTHER-5")] == [1, 1]
    assert len(changes(desk.sim)) == 2


async def test_a_watch_that_stumbles_now_and_then_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: only failures in a row end it, not the few of a long day."""
    monkeypatch.setattr(settling, "MAX_FAILURES", 3)
    take_over, rounds = Store.take_over, 0

    def stumbling(store: Store) -> list[Submission]:
        nonlocal rounds
        rounds += 1
        if rounds % 3:
            raise Unusable("locked")
        return take_over(store)

    desk.fault(NEVER_THERE)
    async with desk.open() as client:
        await pay(client, invoice())
        monkeypatch.setattr(Store, "take_over", stumbling)
        await watched(desk, client, minutes=60)
        (row,) = await submitted(desk)

    assert rounds > 9
    assert (row.state, row.reason) == (State.ABSENT, "not_found")


@pytest.mark.parametrize(
    ("name", "shown"), [("invoice_number", "HP20931"), ("receiving_counterparty_id", "3b0f-canonical")]
)
async def test_what_finexio_took_and_shows_under_another_name_is_never_freed(name: str, shown: str, desk: Desk) -> None:
    """Ours: it was accepted, so not to find it proves nothing; it waits for a person, and a start says so."""
    mine = invoice("HP 20931")

    def edit(record: dict[str, Any]) -> None:
        if record.get("invoice_number") == "HP 20931":
            record[name] = shown

    office = Rewriting(desk.sim, edit)
    async with desk.open(over=office) as client:
        told = [await pay(client, mine)]
        await watched(desk, client, minutes=150)
        told.append(await pay(client, mine))
        (row,) = await submitted(desk, "HP 20931")
    async with desk.open(over=office) as client:
        told.append(await pay(client, mine))

    assert [content["status"] for content in told] == ["in_doubt"] * 3
    assert (row.state, row.reason, row.next_look_at_ms) == (State.IN_DOUBT, "unseen", None)
    assert row.looks >= 5
    assert "finexio-mcp ledger list" in str(told[2]["notices"])
    assert len(changes(desk.sim)) == 1


THREE = [invoice(f"A-{at}", at * 1_000) for at in (1, 2, 3)]


async def mistaken(_reader: ReadBack, *_: Any, **__: Any) -> None:
    raise TypeError("a mistake of ours")


def busy(_store: Store, *_: Any, **__: Any) -> list[Submission]:
    raise Unusable("locked")


FAILING_LOOKS: Mapping[str, tuple[Any, str, Any]] = {
    "the ledger is busy": (Store, "begin_look", busy),
    "the ledger is busy afterwards": (Store, "end_look", busy),
    "a mistake of ours": (ReadBack, "look", mistaken),
}


@pytest.mark.parametrize("fails", FAILING_LOOKS)
async def test_a_look_that_fails_takes_nothing_from_what_is_known(
    fails: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: what was recorded is told; only the row that had to be looked up stays in doubt, and is found later."""

    def edit(record: dict[str, Any]) -> None:
        if hidden and record.get("invoice_number") == "A-2":
            record["invoice_number"] = "Z"

    hidden = True
    async with desk.open(over=Rewriting(desk.sim, edit)) as client:
        with monkeypatch.context() as patched:
            patched.setattr(*FAILING_LOOKS[fails])
            told = await pay(client, *THREE)
        hidden = False
        await watched(desk, client, minutes=12)
        again = await pay(client, *THREE)

    assert told["status"] == "in_doubt"
    assert rows_of(told) == {"A-1": "confirmed", "A-2": "in_doubt", "A-3": "confirmed"}
    assert ["id" in row for row in told["result"]] == [True, False, True]
    assert UNRECORDED not in told["notices"]
    assert set(rows_of(again).values()) == {"already_submitted"}
    assert [paid(desk.sim, row["invoice_number"]) for row in THREE] == [1, 1, 1]
    assert len(changes(desk.sim)) == 1


SHAPES = {PAY: "batch", CREATE_COUNTERPARTY: "record"}


@pytest.mark.parametrize("lost", [False, True], ids=["accepted", "in doubt"])
@pytest.mark.parametrize("tool", SHAPES)
async def test_an_answer_that_cannot_be_shaped_still_says_what_happened(
    tool: str, lost: bool, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: whatever Finexio's record holds, nobody is told that nothing was sent."""
    failing = "failed" if lost else SHAPES[tool]
    shape, met = getattr(Outlet, failing), 0

    def unshapely(outlet: Outlet, *given: Any, **named: Any) -> Any:
        nonlocal met
        met += 1
        if met == 1:
            raise RuntimeError("what Finexio said")
        return shape(outlet, *given, **named)

    if lost:
        desk.fault(NEVER_THERE)
    monkeypatch.setattr(Outlet, failing, unshapely)
    async with desk.open() as client:
        told = await ask(client, tool, WRITES[tool])
        again = await ask(client, tool, WRITES[tool])

    assert met >= 2
    assert told["status"] == ("in_doubt" if lost else "confirmed")
    assert told["op_id"] == again["op_id"]
    assert NOT_SHOWN in told["notices"]
    assert "what Finexio said" not in str(told)
    assert not lost or told["error"]["may_have_happened"] is True
    if tool == PAY:
        assert told["result"][0]["invoice_number"] == "HP-1"
        assert lost or told["result"][0]["id"] == again["result"][0]["id"]
    assert landed(desk.sim) == (not lost)


async def test_a_refusal_that_cannot_be_shaped_does_not_say_that_nothing_was_created(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the good rows of that batch are still being looked up."""
    shape, met = Outlet.failed, 0

    def unshapely(outlet: Outlet, *given: Any, **named: Any) -> Any:
        nonlocal met
        met += 1
        if met == 1:
            raise RuntimeError("what Finexio said")
        return shape(outlet, *given, **named)

    desk.fault(Fault(status=400, body=b'[{}, {"invoice_date": ["Too old."]}]'))
    monkeypatch.setattr(Outlet, "failed", unshapely)
    async with desk.open() as client:
        told = await pay(client, *THREE[:2])

    assert (told["status"], told["error"]["may_have_happened"]) == ("in_progress", True)
    assert rows_of(told) == {"A-1": "in_progress", "A-2": "rejected"}
    assert "nothing was created" not in told["error"]["message"]


# Rows of one batch that look alike -------------------------------------------------

ALIKE: Mapping[str, list[dict[str, Any]]] = {
    "number": [invoice("INV-0042", 10_00), invoice("OTHER-5", 5_00), invoice("42", 77_00)],
    "amount": [invoice("AA-7", 10_00), invoice("OTHER-5", 5_00), invoice("ZZ-9", 10_00)],
}


@pytest.mark.parametrize("alike", ALIKE)
@pytest.mark.parametrize("rule", ["warn", "refuse", "off"])
async def test_rows_of_one_batch_that_look_alike_are_noticed(rule: str, alike: str, desk: Desk) -> None:
    """Ours: a bill stands twice most often in one pile of paper; the operator's rule holds there too."""
    rows = ALIKE[alike]
    async with desk.open(FINEXIO_MCP_DUPLICATES=rule) as client:
        told = await pay(client, *rows)
        states = await stands(client)
        known_better = await pay(client, *rows[:2], rows[2] | {"not_a_duplicate_of": "the-one-before"})

    sentences = [notice for notice in told.get("notices", []) if "alike" in notice]
    assert len(sentences) == (rule == "warn")
    assert "alike" not in str(known_better.get("notices", []))
    if rule == "refuse":
        (field,) = told["error"]["fields"]
        assert (told["status"], told["error"]["may_have_happened"], states) == ("refused_by_policy", False, [])
        assert (field["field"], "invoices[0]" in field["problem"]) == ("invoices[2]", True)
        assert known_better["status"] == "confirmed"
    else:
        assert told["status"] == "confirmed"
        assert known_better["status"] == "already_submitted"
    assert rule != "warn" or ("invoices[2]" in sentences[0] and "invoices[0]" in sentences[0])
    assert [paid(desk.sim, row["invoice_number"]) for row in rows] == [1, 1, 1]
    assert len(changes(desk.sim)) == 1


# Refusals that are none ------------------------------------------------------------

UNNAMED = b'{"detail": "Duplicate."}'


@pytest.mark.parametrize("rows", [THREE[:1], THREE], ids=["alone", "several"])
async def test_a_refusal_of_what_is_there_is_no_error(rows: list[dict[str, Any]], desk: Desk) -> None:
    """Ours: a refusal without a field is looked up; what Finexio shows was accepted, whatever it said."""
    desk.fault(Fault(status=400, body=UNNAMED, takes_effect=True))

    async with desk.open() as client:
        told = await pay(client, *rows)
        again = await pay(client, *rows)

    assert (told["status"], again["status"]) == ("confirmed", "already_submitted")
    assert "error" not in told
    assert FOUND in told["notices"]
    assert all(row["id"] for row in told["result"])
    assert len(changes(desk.sim)) == 1


@pytest.mark.parametrize(
    "fault",
    [NEVER_THERE, Fault(status=502), Fault(status=400, body=UNNAMED)],
    ids=["no answer", "no clear answer", "no clear refusal"],
)
async def test_what_is_in_doubt_says_that_this_very_call_may_be_repeated(fault: Fault, desk: Desk) -> None:
    """Ours: a repeat of the same call is how a model asks; any other form is not."""
    desk.fault(fault)

    async with desk.open() as client:
        told = [await pay(client, invoice()) for _ in range(2)]

    assert [content["status"] for content in told] == ["in_doubt"] * 2
    for content in told:
        message = content["error"]["message"].casefold()
        assert "repeat this exact call" in message
        assert "in any other form" in message
    assert len(changes(desk.sim)) == 1


async def test_good_rows_of_a_refused_batch_are_not_called_on_their_way(desk: Desk) -> None:
    """Ours: nothing is being submitted any more; the refusal says what to do, and doing it works."""
    desk.fault(Fault(status=400, body=b'[{}, {"invoice_date": ["Too old."]}]'))
    rows = THREE[:2]

    async with desk.open() as client:
        told = await pay(client, *rows)
        desk.pass_time(seconds=31)
        with anyio.fail_after(10):
            while await stands(client, state="sent", limit=1):
                pass
        corrected = await pay(client, *rows)

    assert (told["status"], told["error"]["code"]) == ("in_progress", "rejected")
    assert rows_of(told) == {"A-1": "in_progress", "A-2": "rejected"}
    assert told["error"]["message"].endswith(REFUSED_BATCH)
    assert RUNNING not in told.get("notices", [])
    assert corrected["status"] == "confirmed"
    assert [paid(desk.sim, row["invoice_number"]) for row in rows] == [1, 1]


# A batch of which one row is known -------------------------------------------------


async def stands_confirmed(desk: Desk, client: Client) -> str:
    return (await pay(client, invoice()))["op_id"]


async def stands_in_doubt(desk: Desk, client: Client) -> str:
    desk.fault(NEVER_THERE)
    return (await pay(client, invoice()))["op_id"]


async def stands_in_progress(desk: Desk, client: Client) -> str:
    return await left_behind(desk, invoice(), sent=True)


async def stands_in_conflict(desk: Desk, client: Client) -> str:
    desk.fault(NEVER_THERE)
    desk.sim.add_invoice("by-hand", invoice_number="HP-1", amount_cents=999_99, **PARTIES)
    return (await pay(client, invoice()))["op_id"]


async def stands_a_look_before_absence(desk: Desk, client: Client) -> str:
    op_id = await stands_in_doubt(desk, client)
    desk.pass_time(seconds=ROOM_SECONDS)
    await pay(client, invoice())
    desk.pass_time(seconds=APART_SECONDS)
    return op_id


@dataclass(frozen=True)
class Mixed:
    """What a batch is told of which one row stands in the ledger, by how that one stands."""

    before: Any
    status: str
    row: str
    code: str
    may_have_happened: bool


MIXED: Mapping[str, Mixed] = {
    "confirmed": Mixed(stands_confirmed, "not_executed", "already_submitted", "not_executed", False),
    "in doubt": Mixed(stands_in_doubt, "in_doubt", "in_doubt", "in_doubt", True),
    "in progress": Mixed(stands_in_progress, "in_progress", "in_progress", "not_executed", True),
    "in conflict": Mixed(stands_in_conflict, "conflict", "conflict", "conflict", True),
    "absent": Mixed(stands_a_look_before_absence, "not_executed", "not_executed", "not_executed", False),
}


@pytest.mark.parametrize("stood", MIXED)
async def test_a_batch_with_one_known_row_is_told_by_how_that_one_stands(stood: str, desk: Desk) -> None:
    """Ours: nothing of it is sent; whether something may have happened is that row's matter, and so is the op_id."""
    expected = MIXED[stood]
    async with desk.open() as client:
        op_id = await expected.before(desk, client)
        sent = len(changes(desk.sim))
        told = await pay(client, invoice("NEW-9", 9_00), invoice())
        sent_by_then = len(changes(desk.sim))
        again = await pay(client, invoice("NEW-9", 9_00), invoice())

    assert sent_by_then == sent
    assert rows_of(told) == {"NEW-9": "not_executed", "HP-1": expected.row}
    assert (told["status"], told["error"]["code"], told["error"]["may_have_happened"], told["op_id"]) == (
        expected.status,
        expected.code,
        expected.may_have_happened,
        op_id,
    )
    assert told["error"]["retryable"] is False
    # Only where that one turned out to be absent is the same call sent.
    assert again["status"] == ("confirmed" if stood == "absent" else expected.status)
    assert paid(desk.sim, "NEW-9") == (stood == "absent")


@pytest.mark.parametrize("stood", ["confirmed", "in doubt", "in progress"])
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a new one"])
async def test_another_content_than_that_of_a_known_row_is_a_conflict(beside: bool, stood: str, desk: Desk) -> None:
    """Ours: the first may have happened exactly if its own outcome is open."""
    rows = [invoice(amount_cents=99_00), *([invoice("NEW-9", 9_00)] if beside else [])]
    async with desk.open() as client:
        op_id = await MIXED[stood].before(desk, client)
        sent = len(changes(desk.sim))
        told = await pay(client, *rows)
        same = await pay(client, invoice())

    assert (told["status"], told["error"]["code"], told["op_id"]) == ("conflict", "conflict", op_id)
    assert told["error"]["may_have_happened"] is (stood != "confirmed")
    assert [field["field"] for field in told["error"]["fields"]] == ["invoices[0]"]
    assert same["status"] == MIXED[stood].row
    assert len(changes(desk.sim)) == sent


# Answers in time -------------------------------------------------------------------


class Blind(Door):
    """Lets nobody look, once it is shut."""

    shut = True

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.shut and request.method == "GET":
            await self._wait()
        return await super().handle_async_request(request)


IN_TIME_SECONDS = 5
"""Far from the deadlines of the writes themselves, which are 45 s and 75 s."""


@pytest.mark.parametrize("tool", [UPDATE_CONTACT, DELETE_CONTACT])
async def test_a_lookup_before_a_change_that_hangs_keeps_nobody_waiting(tool: str, desk: Desk) -> None:
    """Ours: the caller hears in time that nothing was sent, and that is so."""
    async with desk.open(over=Blind(desk.sim), FINEXIO_MCP_ANSWER_SECONDS=0.5) as client:
        with anyio.fail_after(IN_TIME_SECONDS):
            told = await ask(client, tool, WRITES[tool])

    assert (told["status"], told["error"]["may_have_happened"]) == ("not_executed", False)
    assert changes(desk.sim) == []


async def test_a_look_whether_it_may_be_paid_again_that_hangs_keeps_nobody_waiting(desk: Desk) -> None:
    """Ours: what Finexio did not say in time is no yes."""
    blind = Blind(desk.sim)
    blind.shut = False
    async with desk.open(over=blind, FINEXIO_MCP_ANSWER_SECONDS=1.0) as client:
        await refund(desk, (await pay(client, invoice()))["result"][0]["id"])
        blind.shut = True
        with anyio.fail_after(IN_TIME_SECONDS):
            told = await pay(client, AGAIN)
        blind.shut = False
        again = await pay(client, AGAIN)

    assert told["status"] in {"not_executed", "already_submitted"}
    assert again["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 2


@pytest.mark.parametrize("tool", [PAY, PATCH_COUNTERPARTY])
async def test_a_first_look_that_outlasts_the_caller_leaves_it_in_doubt(tool: str, desk: Desk) -> None:
    """Ours: nothing is being submitted any more, so it is not called in_progress."""
    desk.fault(NEVER_THERE)
    async with desk.open(over=Blind(desk.sim), FINEXIO_MCP_ANSWER_SECONDS=1.0) as client:
        with anyio.fail_after(IN_TIME_SECONDS):
            told = [await ask(client, tool, WRITES[tool]) for _ in range(2)]

    assert [content["status"] for content in told] == ["in_doubt"] * 2
    assert [content["error"]["may_have_happened"] for content in told] == [True] * 2
    assert all(RUNNING not in content.get("notices", []) for content in told)
    assert len(changes(desk.sim)) == 1
