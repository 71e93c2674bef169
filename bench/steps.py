"""Load in steps until it bends: one server and two, for several accounts and callers, on one PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Final

import httpx2

from bench.bends import PAYMENT, Climbed, markdown, together
from bench.climbing import Climb, Step
from bench.company import Company
from bench.control import Control
from bench.gauge import cpu_seconds, family_cpu_seconds, resident_megabytes
from bench.measure import CREATE_INVOICES
from bench.peers import LIST_INVOICES, one_invoice
from bench.postgresql import Database, postgresql
from bench.records import to_pay
from bench.web import Post, WebDriver
from bench.webservers import WebServer

ERA: Final = "2026-07-28"
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
REPLICAS = (1, 2)
MOST_ROUNDS = 3
"""A climb takes long enough to be told apart in few rounds."""
EVERY = 20
WARM_UP_WIDTH, WARM_UP_SECONDS = 32, 2.0

Ask = Callable[[WebDriver, int], Post]


@dataclass(frozen=True)
class Load:
    """What is asked for, of an upstream that takes so long, by all callers or by one."""

    name: str
    ask: Ask
    delay_ms: int
    widths: Sequence[int] = WIDTHS
    alone: bool = False


class Asks:
    """Calls of every kind. No two payments have the same invoice number."""

    def __init__(self) -> None:
        self._run = token_hex(2).upper()
        self._paid = itertools.count()

    def record(self, driver: WebDriver, number: int) -> Post:
        """One invoice by its id."""
        ask = one_invoice(number % 1_000)
        return _call(driver, ask.tool, ask.arguments, expected=ask.arguments["id"])

    def page(self, driver: WebDriver, _number: int) -> Post:
        """A list of 100."""
        return _call(driver, LIST_INVOICES, {}, expected='"result_count":100')

    def mixed(self, driver: WebDriver, number: int) -> Post:
        """One in twenty is a payment, the others are records."""
        return self.record(driver, number) if number % EVERY else self.payment(driver, number)

    def payment(self, driver: WebDriver, _number: int) -> Post:
        """A batch of one invoice."""
        rows = to_pay(self._run, next(self._paid), 1)
        post = _call(driver, CREATE_INVOICES, {"invoices": rows}, expected='"status":"confirmed"')
        return replace(post, kind=PAYMENT)


def _call(driver: WebDriver, tool: str, arguments: object, *, expected: str) -> Post:
    return driver.post(ERA, "tools/call", {"name": tool, "arguments": arguments}, expected=expected)


class Steps:
    """Measures by steps.

    Args:
        base_url: The upstream.
        upstream: Its process.
        http: What controls it.
        rounds: How often each climb is made.
        state: A directory of this run.
        further: Settings of the servers.
    """

    def __init__(
        self,
        base_url: str,
        upstream: int,
        http: httpx2.AsyncClient,
        *,
        rounds: int,
        state: Path,
        further: Mapping[str, str],
    ) -> None:
        self._base_url, self._upstream = base_url, upstream
        self._control = Control(base_url, http)
        self._rounds, self._state, self._further = min(rounds, MOST_ROUNDS), state, further
        self._trouble: set[str] = set()
        asks = Asks()
        self._warm_up = Load("Warm-up", asks.mixed, 0)
        self._loads = (
            Load("One record by id, upstream 0 ms", asks.record, 0),
            Load("One record by id, upstream 100 ms", asks.record, 100),
            Load("A list of 100, upstream 100 ms", asks.page, 100, WIDTHS[:8]),
            Load("One payment among 20 calls, upstream 100 ms", asks.mixed, 100),
            Load("Payments only, upstream 100 ms", asks.payment, 100, WIDTHS[:6]),
            Load("One caller only, one record by id, upstream 400 ms", asks.record, 400, WIDTHS[3:], alone=True),
        )

    async def measure(self) -> str:
        """All climbs, as Markdown."""
        began, busy = time.monotonic(), os.getloadavg()[0]
        found: dict[tuple[Load, int], list[list[Step]]] = {}
        async with postgresql() as database:
            company = Company(self._base_url, database, self._state, self._further)
            for turn in range(self._rounds):
                for count in REPLICAS[:: -1 if turn % 2 else 1]:
                    async with company.servers(count) as servers:
                        for load, climb in (await self._climb_all(company, servers)).items():
                            found.setdefault((load, count), []).append(climb)
        took = (
            f"{_machine()}; {self._rounds} round{'s' if self._rounds > 1 else ''} in {time.monotonic() - began:.0f} s; "
            f"load average when it began {busy:.1f}."
        )
        climbs = [Climbed(load.name, count, together(found[load, count])) for load in self._loads for count in REPLICAS]
        return "\n".join([took, "", *markdown(climbs), *_troubles(self._trouble)])

    async def _climb_all(self, company: Company, servers: Sequence[WebServer]) -> dict[Load, list[Step]]:
        tokens = await company.tokens()
        addresses = [server.driver.address for server in servers]
        drivers = [[WebDriver(address, token) for token in tokens] for address in addresses]
        await self._control.delay(0)
        warm_up = Climb(addresses, _asking(self._warm_up, drivers))
        await asyncio.to_thread(_climb, warm_up, [WARM_UP_WIDTH], WARM_UP_SECONDS, [], [])
        found: dict[Load, list[Step]] = {}
        for load in self._loads:
            await self._control.delay(load.delay_ms)
            climb = Climb(addresses, _asking(load, drivers))
            gauges = self._gauges(company.database, servers)
            pids = [server.pid for server in servers]
            found[load] = await asyncio.to_thread(_climb, climb, load.widths, None, gauges, pids)
            if climb.trouble is not None:
                self._trouble.add(climb.trouble)
        await self._control.delay(0)
        return found

    def _gauges(self, database: Database, servers: Sequence[WebServer]) -> list[Callable[[], float]]:
        pids = [server.pid for server in servers]
        return [
            *(lambda pid=pid: cpu_seconds(pid) for pid in pids),
            lambda: family_cpu_seconds(database.pid),
            lambda: cpu_seconds(os.getpid()) + cpu_seconds(self._upstream),
        ]


def _asking(load: Load, drivers: Sequence[Sequence[WebDriver]]) -> Callable[[int, int], Post]:
    def post(server: int, number: int) -> Post:
        callers = drivers[server]
        # The servers take turns too, and each has calls of all callers.
        caller = 0 if load.alone else number // len(drivers) % len(callers)
        return load.ask(callers[caller], number)

    return post


def _climb(
    climb: Climb,
    widths: Sequence[int],
    seconds: float | None,
    gauges: Sequence[Callable[[], float]],
    pids: Sequence[int],
) -> list[Step]:
    found: list[Step] = []
    try:
        for width in widths:
            step = climb.step(width, seconds or _seconds(width), gauges)
            step.megabytes = [resident_megabytes(pid) for pid in pids]
            found.append(step)
    finally:
        climb.close()
    return found


def _seconds(width: int) -> float:
    return 0.6 if width < 16 else 0.8 if width < 128 else 1.2


def _machine() -> str:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {gigabytes:.0f} GiB"


def _troubles(trouble: set[str]) -> list[str]:
    return ["", *(f"An answer that should not have been: {text}" for text in sorted(trouble))] if trouble else []
