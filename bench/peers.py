"""Who does the work that is measured: a server behind stdio, or plain HTTP from here."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import httpx2

from bench.driver import Driver, Refused
from bench.gauge import cpu_seconds
from bench.records import identifier
from bench.upstream import INVOICES, PAGES

LIST_INVOICES, GET_INVOICE = "list_all_finexio_invoices", "get_single_finexio_invoice_by_id"


@dataclass(frozen=True)
class Ask:
    """One piece of work, as a tool call and as the HTTP request behind it."""

    tool: str
    arguments: dict[str, Any]
    target: str
    rows: list[dict[str, Any]] | None = None


def one_invoice(index: int) -> Ask:
    """One small record by its id."""
    key = identifier("invoice", index)
    return Ask(GET_INVOICE, {"id": key}, f"/invoices/{key}/")


@dataclass(frozen=True)
class Spent:
    """What some work took."""

    seconds: float
    cpu_seconds: float


class Watch:
    """Started when it is made; `read` tells what was spent since, by the clock and by one process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu, self._began = cpu_seconds(pid), time.perf_counter()

    def read(self, pieces: int = 1) -> Spent:
        """What each of so many pieces of work took."""
        seconds = time.perf_counter() - self._began
        return Spent(seconds / pieces, (cpu_seconds(self._pid) - self._cpu) / pieces)


class Peer(Protocol):
    """Something that can do the work."""

    name: str
    pid: int

    async def work(self, asks: Sequence[Ask], *, width: int = 1) -> Spent:
        """Do it all, `width` pieces at a time; what one piece took."""
        ...

    async def walk(self) -> Spent:
        """Read all invoices, page after page; what that took."""
        ...


class Served:
    """A server behind stdio. CPU is that of the server alone."""

    def __init__(self, name: str, driver: Driver) -> None:
        self.name, self.pid = name, driver.pid
        self.driver = driver

    async def work(self, asks: Sequence[Ask], *, width: int = 1) -> Spent:
        frames = [self.driver.call(ask.tool, ask.arguments) for ask in asks]
        watch = Watch(self.pid)
        answers = await self.driver.exchange_all(frames, width=width)
        spent = watch.read(len(asks))
        for answer in answers:
            self.driver.read(answer)
        return spent

    async def walk(self) -> Spent:
        watch = Watch(self.pid)
        rows, calls, cursor = 0, 0, None
        while calls < 2 * PAGES:
            arguments = {"next_cursor": cursor} if cursor else {}
            answer = self.driver.read(await self.driver.exchange(self.driver.call(LIST_INVOICES, arguments)))
            content = answer["structuredContent"]
            calls += 1
            if "results" in content:
                # The bare server hands on Finexio's page, and takes the number of a page for a cursor.
                content = {"result": content["results"], "next_cursor": str(calls + 1) if content["next"] else None}
            rows += len(content["result"] or [])
            cursor = content["next_cursor"]
            if cursor is None:
                break
        if rows != INVOICES:
            raise Refused(f"{self.name} gave {rows} rows in {calls} calls")
        return watch.read()


class Direct:
    """Plain HTTP from this process with a client as it comes. CPU is that of this process."""

    name = "direct"
    pid = os.getpid()

    def __init__(self, base_url: str, http: httpx2.AsyncClient) -> None:
        self._base_url, self._http = base_url, http

    async def work(self, asks: Sequence[Ask], *, width: int = 1) -> Spent:
        waiting = iter(asks)

        async def worker() -> None:
            for ask in waiting:
                await self._send(ask)

        watch = Watch(self.pid)
        async with anyio.create_task_group() as tasks:
            for _ in range(width):
                tasks.start_soon(worker)
        return watch.read(len(asks))

    async def walk(self) -> Spent:
        watch = Watch(self.pid)
        for number in range(1, PAGES + 1):
            response = await self._http.get(f"{self._base_url}/invoices/", params={"page": number})
            response.raise_for_status().json()
        return watch.read()

    async def _send(self, ask: Ask) -> None:
        url = self._base_url + ask.target
        sending = self._http.get(url) if ask.rows is None else self._http.post(url, json=ask.rows)
        (await sending).raise_for_status().json()
