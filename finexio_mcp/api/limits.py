"""How fast we may ask, and how often we may ask again."""

from __future__ import annotations

import math
from typing import Protocol

import anyio

from finexio_mcp.clock import Clock
from finexio_mcp.errors import Overloaded


class Rate(Protocol):
    """A limit on how fast requests leave."""

    async def wait(self, until: float) -> None:
        """Wait for a turn.

        Raises:
            Overloaded: It would come after `until`; no turn is taken.
        """
        ...


class Bucket:
    """When turns come: `per_second` of them, `burst` at once. It does the sums; nobody waits here.

    Args:
        per_second: None at all: no limit.
        burst: How many may come at once after a rest.
        last: The turn that was taken last; left out, the whole burst is there.
    """

    def __init__(self, per_second: float, burst: int, *, last: float = -math.inf) -> None:
        self.interval = 1.0 / per_second if per_second else 0.0
        self.slack = self.interval * (burst - 1)
        self.last = last

    def next(self, now: float) -> float:
        """The next turn; its moment may be over already, and then it can be had at once."""
        return max(self.last + self.interval, now - self.slack)


class RateLimit:
    """A limit of this process alone: `per_second` requests, `burst` at once.

    Callers stand in line in the order they came, and only the first of them has a turn. So whoever leaves takes none
    along, and those behind move up.
    """

    def __init__(self, per_second: float, burst: int, clock: Clock) -> None:
        self._bucket = Bucket(per_second, burst)
        self._clock = clock
        self._lock = anyio.Lock(fast_acquire=True)
        self._waiting = 0

    async def wait(self, until: float) -> None:
        """Wait for a turn.

        Raises:
            Overloaded: It would come after `until`; no turn is taken.
        """
        if not self._bucket.interval:
            return
        now = self._clock.monotonic()
        refuse_late(self._expected(now, self._waiting), now, until)
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            await self._first(until)
        finally:
            self._lock.release()

    async def _first(self, until: float) -> None:
        turn = await self._take(until)
        seconds = turn - self._clock.monotonic()
        if seconds <= 0:
            return
        try:
            await self._clock.sleep(seconds)
        except BaseException:
            await self._leave(turn)
            raise

    def _expected(self, now: float, ahead: int) -> float:
        """When the turn of somebody comes who has so many others ahead."""
        return self._bucket.next(now) + ahead * self._bucket.interval

    async def _take(self, until: float) -> float:
        """Take the next turn.

        Raises:
            Overloaded: It comes after `until`.
        """
        now = self._clock.monotonic()
        turn = self._bucket.next(now)
        refuse_late(turn, now, until)
        self._bucket.last = turn
        return turn

    async def _leave(self, turn: float) -> None:
        """Give the turn back that was taken last."""
        self._bucket.last = turn - self._bucket.interval


def refuse_late(turn: float, now: float, until: float) -> None:
    """Refuse a turn that comes too late.

    Raises:
        Overloaded: It does.
    """
    if turn >= until:
        raise too_many(turn - now)


def too_many(seconds: float) -> Overloaded:
    """That there is no turn within time, the next one being so far off."""
    return Overloaded(
        "Too many calls are waiting to be sent to Finexio; this one was not sent. Make fewer at once, and call "
        "again later.",
        retry_after_seconds=round(max(seconds, 0.1), 1),
    )


class RetryBudget:
    """Keeps an outage from being multiplied: once it is spent, calls fail on their first failure."""

    CAPACITY = 100.0
    COST = 10.0

    def __init__(self) -> None:
        self._left = self.CAPACITY

    def spend(self) -> bool:
        """Take what a retry costs; `False` if there is not enough."""
        if self._left < self.COST:
            return False
        self._left -= self.COST
        return True

    def succeeded(self, retries: int) -> None:
        """Give back what the retries of a good call cost, or a little for a call that needed none."""
        self._left = min(self.CAPACITY, self._left + (retries * self.COST if retries else 1.0))
