"""Several servers at one Finexio, in a time that passes only while all of them sleep."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import anyio

from finexio_mcp.clock import Clock
from finexio_mcp.errors import Overloaded
from finexio_mcp.settings import Settings, load
from finexio_mcp.sharing.database import ANSWER_SECONDS, REST_SECONDS, Away
from finexio_mcp.sharing.rate import SharedRate
from finexio_mcp.sharing.turns import MOST_AHEAD_MS, TooLate, Turn, Turns

STEPS = 25
"""More than a task takes from waking up to its next sleep."""


class Timeline(Clock):
    """The time of all servers."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._numbers = count()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        event = anyio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), event))
        await event.wait()

    async def pass_by(self) -> None:
        """Let it pass until nobody sleeps any more."""
        await self._settle()
        while self._sleepers:
            self.now, _, event = heapq.heappop(self._sleepers)
            event.set()
            await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(STEPS):
            await anyio.lowlevel.checkpoint()


@dataclass(frozen=True)
class Visitor:
    """Somebody who wants to send a request."""

    after: float
    """Seconds since whoever came before."""
    server: int
    patience: float
    leaves_after: float | None = None


@dataclass
class World:
    """A database, what it holds, and when it is away for whom."""

    clock: Timeline
    latency: float = 0.0
    outages: Sequence[tuple[float, float]] = ()
    cut_off: frozenset[int] = frozenset()
    silent: bool = True
    """While it is away: whether it says nothing, or refuses."""
    rows: dict[str, float] = field(default_factory=dict[str, float])

    def is_away(self, server: int) -> bool:
        return server in self.cut_off or any(start <= self.clock.now < end for start, end in self.outages)


class PretendTurns(Turns):
    """`Turns` as one server sees it, with its sums in Python."""

    def __init__(self, world: World, server: int) -> None:
        self._world, self._server = world, server
        self._rest_until = 0.0

    async def take(self, key: str, *, interval_ms: float, slack_ms: float, latest_ms: float) -> Turn:
        world = self._world
        if world.clock.now < self._rest_until:
            raise Away
        await self._answered()
        now_ms, latest_ms = world.clock.now * 1000, min(latest_ms, MOST_AHEAD_MS)
        last_ms = world.rows.get(key)
        next_ms = now_ms - slack_ms if last_ms is None else max(last_ms + interval_ms, now_ms - slack_ms)
        if next_ms >= now_ms + latest_ms:
            raise TooLate(next_ms - now_ms)
        world.rows[key] = next_ms
        await world.clock.sleep(world.latency / 2)
        return Turn(next_ms, next_ms - now_ms)

    async def leave(self, key: str, turn: Turn, *, interval_ms: float) -> None:
        if self._world.is_away(self._server):
            raise Away
        if self._world.rows[key] == turn.moment_ms:
            self._world.rows[key] -= interval_ms

    async def _answered(self) -> None:
        await self._world.clock.sleep(self._world.latency / 2)
        if self._world.is_away(self._server):
            if self._world.silent:
                await self._world.clock.sleep(ANSWER_SECONDS - self._world.latency / 2)
            self._rest_until = self._world.clock.now + REST_SECONDS
            raise Away


def settings_of(*, rate: float, burst: int, replicas: int) -> Settings:
    return load(
        FINEXIO_ENVIRONMENT="sandbox",
        FINEXIO_MCP_RATE=rate,
        FINEXIO_MCP_RATE_BURST=burst,
        FINEXIO_MCP_REPLICAS=replicas,
    )


@dataclass
class Visits:
    """What became of the visitors, by their numbers."""

    sent: dict[int, float] = field(default_factory=dict[int, float])
    refused: dict[int, float] = field(default_factory=dict[int, float])
    left: set[int] = field(default_factory=set[int])

    @property
    def moments(self) -> list[float]:
        return sorted(self.sent.values())


async def visit(world: World, settings: Settings, visitors: Sequence[Visitor]) -> Visits:
    """Let them all come."""
    clock, visits = world.clock, Visits()
    rates = [SharedRate(PretendTurns(world, server), settings, clock) for server in range(settings.replicas)]

    async def come(number: int, visitor: Visitor, after: float) -> None:
        await clock.sleep(after)
        with anyio.CancelScope() as scope:
            if visitor.leaves_after is not None:
                tasks.start_soon(leave, visitor.leaves_after, scope)
            try:
                await rates[visitor.server].wait(clock.now + visitor.patience)
                visits.sent[number] = clock.now
            except Overloaded:
                visits.refused[number] = clock.now
        if scope.cancelled_caught:
            visits.left.add(number)

    async def leave(after: float, scope: anyio.CancelScope) -> None:
        await clock.sleep(after)
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        after = 0.0
        for number, visitor in enumerate(visitors):
            after += visitor.after
            tasks.start_soon(come, number, visitor, after)
        await clock.pass_by()
    return visits


def most_in_any_window(moments: Sequence[float], rate: float) -> float:
    """How many more requests some stretch of time saw than the rate alone allows."""
    return max(
        (
            last - first + 1 - (moments[last] - moments[first]) * rate
            for first in range(len(moments))
            for last in range(first, len(moments))
        ),
        default=0.0,
    )
