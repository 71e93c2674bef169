"""The figures over HTTP: latency, throughput and memory, with tokens checked, in both eras of the protocol."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import httpx2

from bench.control import Control
from bench.driver import Era, Refused
from bench.gauge import peak_megabytes, resident_megabytes
from bench.peers import Spent, one_invoice
from bench.rows import Row
from bench.web import Post, read_any
from bench.webservers import WebServed, WebServer, serving

SLICES = 4
IN_FLIGHT = 32
DELAY_MS = 20
"""As fast as an API over the internet ever answers: the slow one. Without it the stand-in holds few calls at a time."""
CROWD = 500
LONG_RUN, LONG_PARTS = 20_000, 4
WARM_UP = 200
NEWER: Final = "2026-07-28"
OLDER: Final = "2025-11-25"
ERAS: Final[tuple[Era, ...]] = (NEWER, OLDER)


@dataclass(frozen=True)
class Load:
    """What is asked for in one slice of a round."""

    figure: str
    post: Callable[[WebServed, int], Post]
    count: int
    width: int = 1
    delay_ms: int = 0


def _record(peer: WebServed, index: int) -> Post:
    return peer.call(one_invoice(index))


def _list(peer: WebServed, _index: int) -> Post:
    return peer.listing()


LOADS = (
    Load("one record", _record, 15),
    Load("tools/list", _list, 8),
    Load(f"{IN_FLIGHT} in flight", _record, 4 * IN_FLIGHT, IN_FLIGHT),
    Load(f"{IN_FLIGHT} in flight, slow API", _record, 4 * IN_FLIGHT, IN_FLIGHT, DELAY_MS),
)


class Throughput:
    """Measures both servers over HTTP.

    Args:
        base_url: The upstream.
        http: What controls it.
        rounds: How often each server has its turn.
        state: A directory of this run.
        further: Settings of our server.
    """

    def __init__(
        self, base_url: str, http: httpx2.AsyncClient, *, rounds: int, state: Path, further: Mapping[str, str]
    ) -> None:
        self._base_url, self._rounds, self._state, self._further = base_url, rounds, state, further
        self._upstream = Control(base_url, http)
        self.figures = {"http": self.speed, "crowd": self.crowd}

    async def speed(self) -> list[Row]:
        """Each load on both servers in both eras."""
        async with self._servers() as servers:
            peers = [WebServed(server, era) for era in ERAS for server in servers]
            for peer in peers:
                await peer.work([_record(peer, index) for index in range(WARM_UP)], width=IN_FLIGHT)
            found = [await self._measure(load, peers) for load in LOADS]
        # Told era by era, measured load by load.
        return [row for rows in zip(*found, strict=True) for part in rows for row in part]

    async def _measure(self, load: Load, peers: Sequence[WebServed]) -> list[list[Row]]:
        """The rows of each era, and those of one era beside the other."""
        await self._upstream.delay(load.delay_ms)
        for peer in peers:
            peer.reconnect()
        spent: dict[tuple[Era, str], list[Spent]] = {(peer.era, peer.name): [] for peer in peers}
        # The first round is the warm-up.
        for turn in range(self._rounds + 1):
            parts: dict[tuple[Era, str], list[Spent]] = {key: [] for key in spent}
            for part in range(SLICES):
                for peer in _turned(peers, turn + part):
                    posts = [load.post(peer, index) for index in range(load.count)]
                    parts[peer.era, peer.name].append(await peer.work(posts, width=load.width))
            for key, taken in parts.items() if turn else ():
                seconds, cpu_seconds = mean(one.seconds for one in taken), mean(one.cpu_seconds for one in taken)
                spent[key].append(Spent(seconds, cpu_seconds))
        await self._upstream.delay(0)
        eras = [_rows(f"HTTP {era}: {load.figure}", load.width, _of(spent, era)) for era in ERAS]
        return [*eras, _rows(f"ours {NEWER}/{OLDER}: {load.figure}", 1, _eras(spent), against="older")]

    async def crowd(self) -> list[Row]:
        """Many calls at once, and very many in a row: who is answered, and what it takes in memory."""
        before, peak = Row("HTTP: memory before (RSS)", "MB"), Row(f"  at most, {CROWD} calls at once", "MB")
        after = Row("  after those, in both eras", "MB")
        done, put_off = Row(f"  answered, of {len(ERAS) * CROWD:,}", ""), Row("  told to come back", "")
        later = [Row(f"  after {LONG_RUN * part // LONG_PARTS:,} more", "MB") for part in range(1, LONG_PARTS + 1)]
        async with self._servers() as servers:
            for server in servers:
                peers = [WebServed(server, era) for era in ERAS]
                for peer in peers:
                    await peer.work([_record(peer, index) for index in range(WARM_UP)], width=IN_FLIGHT)
                before.add(server.name, resident_megabytes(server.pid))
                answered = sum([await self._crowd(server, peer) for peer in peers])
                done.add(server.name, answered)
                put_off.add(server.name, len(ERAS) * CROWD - answered)
                peak.add(server.name, peak_megabytes(server.pid))
                after.add(server.name, resident_megabytes(server.pid))
                # Whether the bare server's memory stays flat is its own business, and would take as long again.
                for row in later if server.name == "ours" else ():
                    await self._go_on(peers, LONG_RUN // LONG_PARTS)
                    row.add(server.name, resident_megabytes(server.pid))
        return [before, peak, done, put_off, after, *later]

    async def _crowd(self, server: WebServer, peer: WebServed) -> int:
        """How many of so many calls were answered with a record; the others may come back, and nothing else."""
        await self._upstream.delay(DELAY_MS)
        posts = [_record(peer, index) for index in range(CROWD)]
        answers = await server.driver.exchange(posts, width=CROWD)
        await self._upstream.delay(0)
        answered = 0
        for post, answer in zip(posts, answers, strict=True):
            result = read_any(post, answer)
            failed, text = bool(result.get("isError")), result["content"][0]["text"]
            if ('"overloaded"' if failed else post.expected) not in text:
                raise Refused(f"{peer.name} answered one of {CROWD} calls with: {text[:500]}")
            answered += not failed
        return answered

    async def _go_on(self, peers: Sequence[WebServed], count: int) -> None:
        for peer in peers:
            for _ in range(count // len(peers) // 500):
                await peer.work([_record(peer, index) for index in range(500)], width=IN_FLIGHT)

    @contextlib.asynccontextmanager
    async def _servers(self) -> AsyncGenerator[list[WebServer]]:
        async with (
            serving("ours", self._base_url, self._state, further=self._further) as ours,
            serving("bare", self._base_url, self._state) as bare,
        ):
            yield [ours, bare]


def _turned(peers: Sequence[WebServed], turn: int) -> list[WebServed]:
    """In an order that turns each time, and around, so that what drifts hits all alike."""
    at = turn % len(peers)
    turned = [*peers[at:], *peers[:at]]
    return turned[:: -1 if turn // len(peers) % 2 else 1]


def _of(spent: dict[tuple[Era, str], list[Spent]], era: Era) -> dict[str, list[Spent]]:
    return {name: taken for (one, name), taken in spent.items() if one == era}


def _eras(spent: dict[tuple[Era, str], list[Spent]]) -> dict[str, list[Spent]]:
    return {"ours": spent[NEWER, "ours"], "older": spent[OLDER, "ours"]}


def _rows(figure: str, width: int, spent: dict[str, list[Spent]], *, against: str = "bare") -> list[Row]:
    rows = [Row(figure, "ms", "1.00", against=against), Row("  CPU", "ms", "1.00", against=against)]
    if width > 1:
        rows.append(Row("  calls a second", "", against=against))
    for name, taken in spent.items():
        for one in taken:
            values = (one.seconds * 1000, one.cpu_seconds * 1000, 1 / one.seconds)
            for row, value in zip(rows, values, strict=False):
                row.add(name, value)
    return rows
