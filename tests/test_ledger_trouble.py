"""A ledger that cannot be used: nothing is sent, reads go on, and once it is mended writes work without a restart."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from sqlalchemy import Engine, event

from finexio_mcp.guards.ledger import engines, place
from finexio_mcp.simulator import Fault
from tests.calls import (
    CREATE_WEBHOOK,
    PATCH_COUNTERPARTY,
    PAY,
    REPLACE_COUNTERPARTY,
    WRITES,
    Content,
    ask,
    changes,
    invoice,
)
from tests.conftest import ERAS, Era
from tests.never_twice import Desk, Door, landed, left_behind, paid, pay, quick_directory, stands

UNRECORDED = "The ledger could not record this outcome"


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "ledger.db")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock that nobody lets go of learns nothing in five seconds that it does not in a quarter."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.25)


# Breaking it -----------------------------------------------------------------------


@contextmanager
def connections_with(*pragmas: str) -> Generator[None]:
    """Every connection that is opened meanwhile behaves so."""

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


def read_only(_file: Path) -> AbstractContextManager[None]:
    return connections_with("query_only = ON")


@contextmanager
def full(file: Path) -> Generator[None]:
    with closing(sqlite3.connect(file)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    with connections_with(f"max_page_count = {pages}"):
        yield


@contextmanager
def locked(file: Path) -> Generator[None]:
    """Somebody else writes, and does not come to an end."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other, connections_with("busy_timeout = 20"):
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def damaged(file: Path) -> Generator[None]:
    whole = file.read_bytes()
    file.write_bytes(b"no database at all" + whole[18:])
    yield
    file.write_bytes(whole)


@contextmanager
def emptied(file: Path) -> Generator[None]:
    whole = file.read_bytes()
    file.write_bytes(b"")
    yield
    file.write_bytes(whole)


@contextmanager
def removed(file: Path) -> Generator[None]:
    aside = file.with_name(f"{file.name}.aside")
    file.rename(aside)
    yield
    aside.rename(file)


def without_key(file: Path) -> AbstractContextManager[None]:
    return removed(file.with_suffix(".key"))


@contextmanager
def newer(file: Path) -> Generator[None]:
    """Written by a version of tomorrow."""
    whole = file.read_bytes()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER head_fixed")
        connection.execute("UPDATE head SET version = 99")
    yield
    file.write_bytes(whole)


def fine(_path: Path) -> None:
    """The file system keeps what it is given."""


@contextmanager
def volatile(_file: Path) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "volatile_reason", str)
        yield


Broken = Callable[[Path], AbstractContextManager[None]]

WHILE_RUNNING: dict[str, tuple[Broken, str]] = {
    "read-only": (read_only, "writable"),
    "locked": (locked, "Wait and repeat the call"),
    "damaged": (damaged, "restore the newest backup"),
    "emptied": (emptied, "restore"),
    "removed": (removed, "Restore it from a backup"),
    "of a newer version": (newer, "Upgrade this server"),
}
AT_THE_START: dict[str, tuple[Broken, str]] = {
    **WHILE_RUNNING,
    "without its key": (without_key, "Restore the key"),
    "in a place that forgets": (volatile, "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER"),
}
"""How it is broken, and what an operator should hear."""


ALL = {**WRITES, REPLACE_COUNTERPARTY: {**WRITES[REPLACE_COUNTERPARTY], "internal_id": "QUAY-10"}}
"""One after the other in one office."""


async def all_writes(client: Client) -> dict[str, Content]:
    return {tool: await ask(client, tool, arguments) for tool, arguments in ALL.items()}


async def refuses(desk: Desk, client: Client, advice: str) -> None:
    """Every write is refused in words that help, nothing leaves, and reads go on."""
    desk.sim.journal.clear()
    told = await all_writes(client)
    reading = await ask(client, "list_all_finexio_invoices")
    for tool, content in told.items():
        assert (content["status"], content["error"]["code"]) == ("ledger_unavailable", "ledger_unavailable"), tool
        assert content["error"]["may_have_happened"] is False
        assert content["error"]["message"].startswith("Nothing was sent: ")
        assert advice in content["error"]["message"], content["error"]["message"]
        assert content["op_id"].startswith("op_")
    assert told[PAY]["result"] == [{"invoice_number": "HP-1"}]
    assert changes(desk.sim) == []
    assert "error" not in reading
    assert reading["result"]


async def works(desk: Desk, client: Client) -> None:
    """Every write happens; the office has its one webhook already."""
    told = await all_writes(client)
    statuses = {tool: content["status"] for tool, content in told.items()}
    assert statuses == dict.fromkeys(WRITES, "confirmed") | {CREATE_WEBHOOK: "rejected"}
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("trouble", WHILE_RUNNING)
async def test_a_ledger_that_breaks_while_the_server_runs_stops_every_write_until_it_is_mended(
    trouble: str, desk: Desk
) -> None:
    """Ours: `ledger_unavailable` says what to do; nobody has to restart anything."""
    broken, advice = WHILE_RUNNING[trouble]

    async with desk.open() as client:
        assert (await pay(client, invoice("OLD-2", 10_00)))["status"] == "confirmed"
        with broken(desk.file):
            await refuses(desk, client, advice)
        await works(desk, client)
        before = await pay(client, invoice("OLD-2", 10_00))

    assert before["status"] == "already_submitted", "what it knew before, it still knows"


@pytest.mark.parametrize("trouble", AT_THE_START)
async def test_a_server_that_starts_on_a_broken_ledger_reads_and_writes_once_it_is_mended(
    trouble: str, desk: Desk
) -> None:
    """Ours: a start never fails for its ledger, and never makes a new one in its place."""
    broken, advice = AT_THE_START[trouble]
    async with desk.open() as client:
        assert (await pay(client, invoice("OLD-2", 10_00)))["status"] == "confirmed"
    allowed = broken is not volatile

    with pytest.MonkeyPatch.context() as patch:
        if broken is volatile:
            # Where the tests keep their ledgers may itself be such a place.
            patch.setattr(place, "volatile_reason", fine)
        async with desk.open(FINEXIO_MCP_ALLOW_VOLATILE_LEDGER=allowed) as client:
            with broken(desk.file):
                await refuses(desk, client, advice)
            await works(desk, client)
            before = await pay(client, invoice("OLD-2", 10_00))

    assert before["status"] == "already_submitted"


async def test_a_ledger_that_is_full_takes_no_batch_and_nothing_is_sent(desk: Desk) -> None:
    """Ours: a batch that cannot be recorded whole is not sent in part."""
    rows = [invoice(f"B-{at}", 10_00 + at) for at in range(60)]

    async with desk.open() as client:
        await pay(client, invoice("OLD-2", 10_00))
        with full(desk.file):
            content = await pay(client, *rows)
            reading = await ask(client, "list_all_finexio_invoices")
            states = await stands(client)
        after = await pay(client, *rows)

    assert content["status"] == "ledger_unavailable"
    assert "Free space" in content["error"]["message"]
    assert "error" not in reading
    assert states == [("confirmed", "accepted")]
    assert after["status"] == "confirmed"
    assert len(changes(desk.sim)) == 2


async def test_only_a_lock_is_worth_a_retry(desk: Desk) -> None:
    """Ours: `retryable` sends nobody into a loop over a damaged file."""
    async with desk.open() as client:
        await pay(client, invoice("OLD-2", 10_00))
        with locked(desk.file):
            busy = await pay(client, invoice())
        with damaged(desk.file):
            lost = await pay(client, invoice())

    assert (busy["error"]["retryable"], lost["error"]["retryable"]) == (True, False)


async def test_an_older_copy_in_its_place_is_not_written_to(desk: Desk) -> None:
    """Ours: a backup that was put back under a running server does not know what was paid since."""
    copy = desk.file.with_name("backup")

    async with desk.open() as client:
        await pay(client, invoice("OLD-2", 10_00))
        shutil.copy(desk.file, copy)
        await pay(client, invoice())
        newest = desk.file.read_bytes()
        shutil.copy(copy, desk.file)
        again = await pay(client, invoice())
        desk.file.write_bytes(newest)
        mended = await pay(client, invoice())

    assert again["status"] == "ledger_unavailable"
    assert mended["status"] == "already_submitted"
    assert paid(desk.sim, "HP-1") == 1


async def test_a_ledger_that_was_removed_with_its_key_under_a_running_server_is_not_made_anew(desk: Desk) -> None:
    """Ours: a server that had a ledger knows that there was one."""
    async with desk.open() as client:
        await pay(client, invoice())
        with removed(desk.file), without_key(desk.file.with_name("ledger.db")):
            again = await pay(client, invoice())
            assert not desk.file.exists()
        mended = await pay(client, invoice())

    assert (again["status"], mended["status"]) == ("ledger_unavailable", "already_submitted")
    assert paid(desk.sim, "HP-1") == 1


async def test_no_message_holds_a_path_of_the_key_or_a_statement(desk: Desk) -> None:
    """Ours: a driver's own words never reach a caller."""
    async with desk.open() as client:
        await pay(client, invoice("OLD-2", 10_00))
        told: list[str] = []
        for broken, _ in WHILE_RUNNING.values():
            with broken(desk.file):
                told.append(str(await pay(client, invoice())))

    assert not [word for word in ("sqlite3", "SELECT", "INSERT", "Traceback", "sqlalche.me") if word in str(told)]


# While a write is on its way -------------------------------------------------------


async def answered_into_the_void(desk: Desk, tool: str, fault: Fault | None, era: Era = "auto") -> tuple[Content, str]:
    """The ledger goes while Finexio answers, and comes back; the answer, and what a repeat says half an hour later."""
    door = Door(desk.sim)
    door.behind = True
    told: list[Content] = []
    if fault is not None:
        desk.fault(fault)

    async def ask_for_it(client: Client) -> None:
        told.append(await ask(client, tool, WRITES[tool]))

    with anyio.fail_after(20):
        async with desk.open(era, over=door) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_for_it, client)
                await door.reached.wait()
                with removed(desk.file):
                    door.may_pass.set()
                    while not told:
                        await anyio.lowlevel.checkpoint()
            early = await ask(client, tool, WRITES[tool])
            assert early["status"] in {"in_progress", "in_doubt", "already_submitted"}, early
            desk.pass_time(minutes=4)
            later = await ask(client, tool, WRITES[tool])
    return told[0], later["status"]


@pytest.mark.parametrize("era", ERAS)
async def test_an_outcome_that_cannot_be_recorded_is_told_as_it_is(era: Era, desk: Desk) -> None:
    """Ours: Finexio took it, so the caller hears that; the ledger learns it later, by looking."""
    told, later = await answered_into_the_void(desk, PAY, None, era)

    assert told["status"] == "confirmed"
    assert told["result"][0]["id"] in desk.sim.invoices
    assert any(UNRECORDED in notice for notice in told["notices"])
    assert later == "already_submitted"
    assert (len(changes(desk.sim)), paid(desk.sim, "HP-1")) == (1, 1)


@pytest.mark.parametrize("tool", [tool for tool in WRITES if tool != PAY])
async def test_a_change_that_cannot_be_recorded_is_told_as_it_is(tool: str, desk: Desk) -> None:
    """Ours: the same for every other write; a webhook's password can never be looked up."""
    if tool == CREATE_WEBHOOK:
        desk.sim.webhooks.clear()

    told, later = await answered_into_the_void(desk, tool, None)

    assert told["status"] == "confirmed"
    assert any(UNRECORDED in notice for notice in told["notices"])
    assert later in {"already_submitted", "in_doubt"}
    assert (len(changes(desk.sim)), landed(desk.sim)) == (1, 1)


REFUSED = Fault(status=400, body=b'[{"invoice_date": ["Too old."]}]')


@pytest.mark.parametrize(
    ("fault", "status"), [(REFUSED, "rejected"), (Fault(status=502), "in_doubt"), (Fault(status=429), "not_executed")]
)
async def test_a_failure_that_cannot_be_recorded_is_told_as_it_is(fault: Fault, status: str, desk: Desk) -> None:
    """Ours: refused, unknown or turned away: the caller hears it, and the ledger says that it is in doubt."""
    told, later = await answered_into_the_void(desk, PAY, fault)

    assert told["status"] == status
    assert any(UNRECORDED in notice for notice in told["notices"])
    assert later == "in_doubt"
    assert (len(changes(desk.sim)), paid(desk.sim, "HP-1")) == (1, 0)


class Thief(httpx2.AsyncBaseTransport):
    """Takes the ledger away as soon as somebody looks something up."""

    tells_its_steps = True

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.aside = desk.file.with_name("aside")

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and not self.aside.exists():
            self._desk.file.rename(self.aside)
        return await self._desk.sim.transport().handle_async_request(request)


@pytest.mark.parametrize("fault", [Fault(lost_answer=True), Fault(status=502)], ids=["landed", "not landed"])
async def test_a_look_that_cannot_be_recorded_leaves_it_in_doubt(fault: Fault, desk: Desk) -> None:
    """Ours: what was found and not recorded is not claimed; it is found again."""
    thief = Thief(desk)
    desk.fault(fault)

    async with desk.open(over=thief) as client:
        told = await pay(client, invoice())
        thief.aside.rename(desk.file)
        repeated = await pay(client, invoice()) if fault.lost_answer else told
    if thief.aside.exists():
        thief.aside.rename(desk.file)
    async with desk.open() as client:
        desk.pass_time(minutes=12)
        later = await pay(client, invoice())

    assert told["status"] == "in_doubt"
    assert repeated["status"] in {"in_doubt", "ledger_unavailable"}
    assert later["status"] == ("already_submitted" if fault.lost_answer else "in_doubt")
    assert len(changes(desk.sim)) == 1


async def test_a_ledger_that_goes_before_the_first_byte_lets_nothing_pass(desk: Desk) -> None:
    """Ours: any write, not only invoices."""
    door = Door(desk.sim)
    door.before = True
    told: list[Content] = []

    async def ask_for_it(client: Client) -> None:
        told.append(await ask(client, PATCH_COUNTERPARTY, WRITES[PATCH_COUNTERPARTY]))

    async with desk.open(over=door) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_for_it, client)
            await door.reached.wait()
            with read_only(desk.file):
                door.may_pass.set()
                while not told:
                    await anyio.lowlevel.checkpoint()
        sent_by_then = len(changes(desk.sim))
        door.before = False
        desk.pass_time(minutes=3)
        again = await ask(client, PATCH_COUNTERPARTY, WRITES[PATCH_COUNTERPARTY])

    assert (told[0]["status"], told[0]["error"]["may_have_happened"], sent_by_then) == ("ledger_unavailable", False, 0)
    assert again["status"] == "confirmed"


# Looking, and starting -------------------------------------------------------------


async def test_what_shows_the_ledger_says_that_it_cannot(desk: Desk) -> None:
    """Ours: a ledger that was removed must not look like one in which nothing stands."""
    async with desk.open() as client:
        op_id = (await pay(client, invoice()))["op_id"]
    async with desk.open() as client:
        with removed(desk.file):
            found = await ask(client, "find_finexio_submissions")
            shown = await ask(client, "get_finexio_submission", op_id=op_id)
            created = desk.file.exists()
        after = await stands(client)

    assert [content["error"]["code"] for content in (found, shown)] == ["ledger_unavailable"] * 2
    assert not created
    assert after == [("confirmed", "accepted")]


@pytest.mark.parametrize("trouble", ["locked", "damaged", "without its key"])
async def test_what_a_dead_process_left_is_told_once_the_ledger_can_be_read(trouble: str, desk: Desk) -> None:
    """Ours: a start that could not look at the ledger has not looked after it, so a later write does and says so."""
    await left_behind(desk, invoice(), sent=True)
    desk.pass_time(minutes=3)
    broken, _ = AT_THE_START[trouble]

    async with desk.open() as client:
        with broken(desk.file):
            refused = await pay(client, invoice("NEW-1", 10_00))
        first = await pay(client, invoice("NEW-1", 10_00))

    assert (refused["status"], first["status"]) == ("ledger_unavailable", "confirmed")
    assert any("HP-1" in notice for notice in first["notices"])
