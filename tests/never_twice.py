"""An office whose ledger outlives its servers, a clock in the test's hand, and what the journal says of payments."""

from __future__ import annotations

import contextlib
import tempfile
import unicodedata
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
from mcp import Client

from finexio_mcp.arguments import check
from finexio_mcp.clock import Clock
from finexio_mcp.envelope import new_op_id
from finexio_mcp.guards.identity import wanted_invoices
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.rows import Rules
from finexio_mcp.simulator import Fault, Simulator
from finexio_mcp.tools import BY_NAME
from tests.calls import PAY, WRITES, Content, ask, changes, connect_at, office
from tests.conftest import Era, simulator_settings

ADDRESS = "http://127.0.0.1:9/v2"
"""Nothing listens there: the transport leads elsewhere, and the ledger lies in a file."""

MEMORY = Path("/dev/shm")
SHORT_SECONDS = 8.0
"""Pauses within a call pass by themselves; those between looks wait for the hand."""
BEHIND_SECONDS = 12 * 3600.0
"""The hand begins in the past, so that whoever goes by the machine's clock finds every lease over."""

LEASE_MS = 105_000
"""Of a batch: 75 s for the answer, and 30 s to record it."""
ROOM_SECONDS = 1_010
"""After it was sent: from then on, not to be found counts."""
APART_SECONDS = 301
"""From one such look to the next one that counts."""


class HandClock(Clock):
    """Time that a test moves. A pause that is longer than any within a call ends when the hand gets there."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.short_seconds = SHORT_SECONDS
        self.wall_ahead = datetime.now(UTC).timestamp() - BEHIND_SECONDS - self.now
        self._asleep: list[tuple[float, anyio.Event]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.wall_ahead

    async def sleep(self, seconds: float) -> None:
        if seconds <= self.short_seconds:
            self.now += seconds
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        self._asleep.append((self.now + seconds, woken))
        await woken.wait()

    def move(self, seconds: float) -> None:
        self.now += seconds
        for at, woken in self._asleep:
            if at <= self.now:
                woken.set()
        self._asleep = [(at, woken) for at, woken in self._asleep if at > self.now]


@dataclass
class Desk:
    """Servers come and go; Finexio, the ledger and the time stay."""

    file: Path
    sim: Simulator = field(default_factory=office)
    clock: HandClock = field(default_factory=HandClock)

    def open(
        self, era: Era = "auto", *, over: httpx2.AsyncBaseTransport | None = None, **settings: Any
    ) -> contextlib.AbstractAsyncContextManager[Client]:
        """A client of a server that starts now."""
        usual = {
            "FINEXIO_BASE_URL": ADDRESS,
            "FINEXIO_MCP_LEDGER_URL": f"sqlite:///{self.file}",
        }
        return connect_at(self.clock, over or self.sim, era, **{**usual, **settings})

    def book(self) -> Book:
        """The ledger as another process has it, such as a command that a person runs."""
        settings = simulator_settings(FINEXIO_BASE_URL=ADDRESS, FINEXIO_MCP_LEDGER_URL=f"sqlite:///{self.file}")
        return Book(settings, now=lambda: int(self.clock.wall() * 1000))

    def pass_time(self, **delta: float) -> None:
        """Here and at Finexio."""
        step = timedelta(**delta)
        self.sim.advance(step)
        self.clock.move(step.total_seconds())

    def fault(self, fault: Fault, *, times: int | None = 1) -> None:
        """For the next requests that could change something."""
        self.sim.fault(fault, times=times, match=lambda request: request.method != "GET")


@contextlib.contextmanager
def quick_directory() -> Generator[Path]:
    """A directory in memory where the machine has one: what is tested here is not the disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


class Door(httpx2.AsyncBaseTransport):
    """The way to an office, which a test can bar before the connection stands, or behind the answer."""

    tells_its_steps = True

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.before = self.behind = False
        """Whether a write waits before it connects, or with its answer in hand."""
        self.reached = anyio.Event()
        self.may_pass = anyio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        writes = request.method != "GET"
        if writes and self.before:
            await self._wait()
        answer = await self.sim.transport().handle_async_request(request)
        if writes and self.behind:
            await self._wait()
        return answer

    async def _wait(self) -> None:
        self.reached.set()
        await self.may_pass.wait()


# What the journal says -----------------------------------------------------------


def landed(sim: Simulator) -> int:
    """How many requests of a client changed something."""
    sent = {request.index for request in changes(sim)}
    return len({effect.request for effect in sim.journal.effects} & sent)


def canonical(number: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", number).casefold().split())


def paid(sim: Simulator, number: str) -> int:
    """How many invoices of this number, however it is written, were ever created by a request."""
    created = [effect.id for effect in sim.journal.effects if effect.kind == "invoice.created"]
    return sum(canonical(sim.invoices[record]["invoice_number"]) == canonical(number) for record in created)


# What the server says ------------------------------------------------------------


async def pay(client: Client, *invoices: Mapping[str, Any]) -> Content:
    return await ask(client, PAY, {"invoices": [dict(row) for row in invoices]})


def rows_of(content: Content) -> dict[str, str]:
    """Invoice number to status, the call's own where a row has none."""
    return {row["invoice_number"]: row.get("status", content["status"]) for row in content["result"]}


async def stands(client: Client, **filters: Any) -> list[tuple[str, str | None]]:
    """State and reason of what the ledger has, newest first."""
    content = await ask(client, "find_finexio_submissions", filters)
    return [(row["state"], row.get("reason")) for row in content["result"]]


async def until_absent(desk: Desk, client: Client, *invoices: Mapping[str, Any]) -> None:
    """Repeat a call in doubt until two late looks have found nothing."""
    desk.pass_time(seconds=ROOM_SECONDS)
    assert (await pay(client, *invoices))["status"] == "in_doubt"
    desk.pass_time(seconds=APART_SECONDS)
    told = await pay(client, *invoices)
    assert told["status"] == "not_executed", told


async def left_behind(desk: Desk, *invoices: Mapping[str, Any], sent: bool) -> str:
    """What a process leaves in the ledger that was killed before the first byte, or right after it; its op_id."""
    book, op_id = desk.book(), new_op_id()
    checked = check(BY_NAME[PAY], {"invoices": [dict(row) for row in invoices]})
    wanted = wanted_invoices(checked.wire, checked.local, book.place.scope)
    claim = await book.claim(wanted, op_id=op_id, tool=PAY, effect="pay", rules=Rules(lease_ms=LEASE_MS))
    assert len(claim.rows) == len(invoices)
    assert not sent or await book.mark_sent(op_id, lease_ms=LEASE_MS)
    return op_id


@contextlib.asynccontextmanager
async def abandoned(desk: Desk, door: Door, tool: str) -> AsyncGenerator[None]:
    """Another server is at a write, and hangs at a barred door for as long as this lasts."""
    async with desk.open(over=door) as neighbour, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, neighbour, tool, WRITES[tool])
        with anyio.fail_after(10):
            await door.reached.wait()
        yield
        door.may_pass.set()
