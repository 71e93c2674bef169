"""The figures: each peer does the same work in turns, and what it took is kept round by round."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from statistics import mean
from typing import Any

import httpx2

from bench.control import Control
from bench.driver import Driver, Era, child
from bench.gauge import cpu_seconds, own_megabytes, resident_megabytes
from bench.ledgers import Recording, fill
from bench.peers import LIST_INVOICES, Ask, Direct, Peer, Served, Spent, one_invoice
from bench.records import identifier, to_pay
from bench.rows import Row
from bench.upstream import INVOICES, PAGES, PAYMENTS

SLICES = 4
"""Each round is cut into slices in which the peers take turns, so that other work on the machine hits them alike."""
RECORDS_A_SLICE, PAGES_A_SLICE, BATCHES_A_SLICE, FLIGHTS_A_SLICE = 15, 6, 1, 48
IN_FLIGHT = 32
FLIGHT_DELAY_MS, CONNECTIONS_DELAY_MS = 20, 150
"""An upstream that answers at once would never have more than a few calls to hold; the longer wait makes it all."""
BATCH_ROWS = 500
FULL_ROWS = 100_000
MOST_WALKS = 3
"""A walk takes long enough to be told apart in few rounds."""

GET_PAYMENT = "get_single_finexio_payment_by_id"
CREATE_INVOICES = "finexio_invoices_bulk_create"

SEEN = ("name", "description", "inputSchema")
"""What a host puts in front of a model."""


class Size:
    """Two rows about one text: its characters and its tokens."""

    def __init__(self, figure: str, *, characters: str = "", tokens: str) -> None:
        self.rows = [Row(figure, "chars", characters), Row("  tokens (o200k)", "", tokens)]

    def add(self, peer: str, text: str) -> None:
        """Measure what one peer gave."""
        self.rows[0].add(peer, len(text))
        self.rows[1].add(peer, count_tokens(text))


class Bench:
    """Everything that runs during one measurement.

    Args:
        base_url: The upstream.
        era: The protocol that the servers are spoken to in.
        rounds: How often each peer has its turn.
        state: A directory of this run, for ledgers.
    """

    def __init__(self, base_url: str, http: httpx2.AsyncClient, *, era: Era, rounds: int, state: Path) -> None:
        self._base_url, self._http = base_url, http
        self._era: Era = era
        self._rounds = rounds
        self._state = state
        ours = {
            "FINEXIO_ENVIRONMENT": "simulator",
            "FINEXIO_BASE_URL": base_url,
            "FINEXIO_MCP_RATE": "0",
            "FINEXIO_MCP_LOG_LEVEL": "error",
            "FINEXIO_MCP_LEDGER_URL": f"sqlite:///{state}/ours.db",
            "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        }
        self._commands = {
            "ours": ("finexio_mcp", ours),
            "full": ("finexio_mcp", {**ours, "FINEXIO_MCP_LEDGER_URL": f"sqlite:///{state}/full.db"}),
            "bare": ("bench.bare", {"FINEXIO_BASE_URL": base_url}),
        }
        self._ours: Served
        self._bare: Served
        self._direct = Direct(base_url, http)
        self._upstream = Control(base_url, http)
        self._run = secrets.token_hex(2).upper()
        self._submitted = itertools.count(step=BATCH_ROWS)
        self.figures: dict[str, Callable[[], Awaitable[list[Row]]]] = {
            "start": self.start,
            "record": self.record,
            "payment": self.payment,
            "page": self.page,
            "batch": self.batch,
            "flight": self.flight,
            "walk": self.walk,
            "size": self.size,
            "ledger": self.ledger,
        }

    @contextlib.asynccontextmanager
    async def servers(self) -> AsyncGenerator[None]:
        """Both servers, running and warm."""
        async with self._server("ours") as self._ours, self._server("bare") as self._bare:
            for peer in self._peers(0):
                await peer.work([one_invoice(index) for index in range(20)])
            yield

    @contextlib.asynccontextmanager
    async def _server(self, name: str) -> AsyncGenerator[Served]:
        module, environment = self._commands[name]
        async with child(module, environment) as process:
            driver = Driver(process, self._era)
            await driver.open()
            driver.read(await driver.exchange(driver.frame("tools/list")))
            yield Served(name, driver)

    def _peers(self, turn: int) -> list[Peer]:
        """All three, in an order that turns around each time, so that what drifts hits them alike."""
        peers: list[Peer] = [self._ours, self._bare, self._direct]
        return peers[:: -1 if turn % 2 else 1]

    # Figures -----------------------------------------------------------------

    async def start(self) -> list[Row]:
        """From nothing to the first list of tools, and on to the answer of a first call, which no lazy import hides."""
        rows = [
            Row("start to the first tools/list", "ms", "1.10"),
            Row("  CPU", "ms"),
            Row("  memory (RSS)", "MB", "1.10"),
            Row("  memory (PSS)", "MB", "1.10"),
            Row("  to the first call's answer", "ms"),
            Row("  memory then (RSS)", "MB"),
        ]
        for turn in range(self._rounds + 1):
            for name in ("ours", "bare")[:: -1 if turn % 2 else 1]:
                took = await self._start(name)
                # The first start of each fills the caches of the file system.
                for row, value in zip(rows, took, strict=True):
                    if turn:
                        row.add(name, value)
        return rows

    async def _start(self, name: str) -> list[float]:
        began = time.perf_counter()
        async with self._server(name) as server:
            listed = [
                (time.perf_counter() - began) * 1000,
                cpu_seconds(server.pid) * 1000,
                resident_megabytes(server.pid),
                own_megabytes(server.pid),
            ]
            called = await server.work([one_invoice(0)])
            return [*listed, listed[0] + called.seconds * 1000, resident_megabytes(server.pid)]

    async def record(self) -> list[Row]:
        """One small record by id."""
        asks = [one_invoice(index) for index in range(RECORDS_A_SLICE)]
        return await self._calls("one invoice", lambda: asks, bound="1.00")

    async def payment(self) -> list[Row]:
        """One nested record by id."""
        asks = [_one_payment(index % PAYMENTS) for index in range(RECORDS_A_SLICE)]
        return await self._calls("one payment (nested)", lambda: asks, bound="1.00")

    async def page(self) -> list[Row]:
        """A list of 100 rows."""
        asks = [Ask(LIST_INVOICES, {}, "/invoices/")] * PAGES_A_SLICE
        return await self._calls("100-row page", lambda: asks, bound="1.00")

    async def batch(self) -> list[Row]:
        """A batch of 500 invoices, with new numbers each time."""
        return await self._calls(
            "500-invoice batch", lambda: [self._new_batch() for _ in range(BATCHES_A_SLICE)], bound=""
        )

    async def flight(self) -> list[Row]:
        """Many calls at a time, and the connections that they open."""
        asks = [one_invoice(index) for index in range(FLIGHTS_A_SLICE)]
        opened = Row("  connections opened", "", str(IN_FLIGHT))
        await self._upstream.delay(CONNECTIONS_DELAY_MS)
        for peer in self._peers(0):
            before = await self._upstream.connections()
            for _ in range(3):
                await peer.work(asks, width=IN_FLIGHT)
            opened.add(peer.name, await self._upstream.connections() - before)
        await self._upstream.delay(FLIGHT_DELAY_MS)
        rows = await self._calls(f"{IN_FLIGHT} calls in flight, a call", lambda: asks, bound="1.00", width=IN_FLIGHT)
        await self._upstream.delay(0)
        return [*rows, opened]

    async def walk(self) -> list[Row]:
        """All invoices, page after page."""
        time_row = Row(f"walk over {INVOICES:,} invoices", "s")
        cpu_row, gets = Row("  CPU", "s"), Row("  upstream GETs", "", str(PAGES))
        memory, grown = Row("  memory after (RSS)", "MB"), Row("  memory grown by one walk", "MB")
        for turn in range(min(self._rounds, MOST_WALKS) + 1):
            for peer in self._peers(turn):
                asked, held = await self._upstream.requests(), resident_megabytes(peer.pid)
                # The first turn takes the memory that any walk takes once.
                spent = await peer.walk()
                if not turn:
                    continue
                time_row.add(peer.name, spent.seconds)
                cpu_row.add(peer.name, spent.cpu_seconds)
                gets.add(peer.name, await self._upstream.requests() - asked)
                if isinstance(peer, Served):
                    memory.add(peer.name, resident_megabytes(peer.pid))
                    grown.add(peer.name, resident_megabytes(peer.pid) - held)
        return [time_row, cpu_row, gets, memory, grown]

    async def size(self) -> list[Row]:
        """What a model has to read; plain HTTP stands for the vendor's own JSON."""
        page, batch = Ask(LIST_INVOICES, {}, "/invoices/"), self._new_batch()
        whole = Row("tools/list, the whole answer", "chars")
        sizes = [
            Size("tools/list as a model sees it", tokens="6,300"),
            Size("100-invoice page", characters="45,000", tokens="18,000"),
            Size("500-invoice batch answer", tokens="20,000"),
        ]
        for server in (self._ours, self._bare):
            driver = server.driver
            listed = driver.read(await driver.exchange(driver.frame("tools/list")))["tools"]
            whole.add(server.name, len(_dump(listed)))
            texts = [_dump([{key: tool[key] for key in SEEN} for tool in listed])]
            for ask in (page, self._new_batch()):
                answer = driver.read(await driver.exchange(driver.call(ask.tool, ask.arguments)))
                texts.append(answer["content"][0]["text"])
            for row, text in zip(sizes, texts, strict=True):
                row.add(server.name, text)
        sizes[1].add("direct", (await self._http.get(f"{self._base_url}{page.target}")).text)
        sizes[2].add("direct", (await self._http.post(f"{self._base_url}{batch.target}", json=batch.rows)).text)
        return [whole, *(row for size in sizes for row in size.rows)]

    async def ledger(self) -> list[Row]:
        """What recording costs: by itself, as part of one write, and at a start beside a ledger that is full."""
        alone = Recording(self._state, self._run)
        rows = [Row(f"ledger alone: claim, send, settle {count}", "ms") for count in (1, BATCH_ROWS)]
        for _ in range(self._rounds):
            for row, count in zip(rows, (1, BATCH_ROWS), strict=True):
                row.add("ours", alone.record(count) * 1000)
        rows += await self._calls("one-invoice batch", lambda: [self._new_batch(1) for _ in range(4)], bound="")
        await asyncio.to_thread(fill, self._state / "full.db", self._base_url, FULL_ROWS)
        started = Row(f"start beside {FULL_ROWS:,} submissions", "ms", "1.10")
        for turn in range(self._rounds + 1):
            for name, kept in (("full", "ours"), ("bare", "bare"))[:: -1 if turn % 2 else 1]:
                took = (await self._start(name))[0]
                if turn:
                    started.add(kept, took)
        return [*rows, started]

    # Means -------------------------------------------------------------------

    async def _calls(self, figure: str, asks: Callable[[], list[Ask]], *, bound: str, width: int = 1) -> list[Row]:
        rows = [Row(figure, "ms", bound), Row("  CPU", "ms", bound)]
        # The first round is the warm-up.
        for turn in range(self._rounds + 1):
            spent: dict[str, list[Spent]] = {peer.name: [] for peer in self._peers(0)}
            for part in range(SLICES):
                for peer in self._peers(turn + part):
                    spent[peer.name].append(await peer.work(asks(), width=width))
            for name, parts in spent.items() if turn else ():
                rows[0].add(name, mean(part.seconds for part in parts) * 1000)
                rows[1].add(name, mean(part.cpu_seconds for part in parts) * 1000)
        return rows

    def _new_batch(self, count: int = BATCH_ROWS) -> Ask:
        rows = to_pay(self._run, next(self._submitted), count)
        return Ask(CREATE_INVOICES, {"invoices": rows}, "/invoices/batch/", rows)


def count_tokens(text: str) -> int:
    """How many tokens a current model of OpenAI's counts."""
    from bpe_openai import get_encoding

    return len(get_encoding("o200k_base").encode(text))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _one_payment(index: int) -> Ask:
    key = identifier("payment", index)
    return Ask(GET_PAYMENT, {"id": key}, f"/payments/{key}/")
