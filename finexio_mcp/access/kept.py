"""What is kept of an authorization server's answers, so that it is asked rarely and never twice at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio

from finexio_mcp.access.refusals import Undecided

T = TypeVar("T")

Now = Callable[[], float]
"""Seconds since 1970."""

REST_SECONDS = 5.0
"""After a failure nobody tries again for this long."""

logger = logging.getLogger("finexio_mcp.access")


def within(age: float, seconds: float) -> bool:
    """Whether something is younger than that; an age below zero (the clock was set back) proves nothing."""
    return 0 <= age < seconds


class Kept(Generic[T]):
    """One value that is fetched at first use and again when it has aged, by one fetch at a time.

    Args:
        what: For the log, which hears of the first failure and of the end of a series.
        fetch: Gets the value, within a time of its own, or raises `Undecided`.
        fresh_seconds: How long the value is used without a question.
        usable_seconds: How long it is used when it cannot be fetched again.
        now: The clock.
    """

    def __init__(
        self,
        what: str,
        fetch: Callable[[], Awaitable[T]],
        *,
        fresh_seconds: float,
        usable_seconds: float,
        now: Now,
    ) -> None:
        self._what = what
        self._fetch = fetch
        self._fresh_seconds = fresh_seconds
        self._usable_seconds = usable_seconds
        self._now = now
        self._lock = anyio.Lock()
        self._value: T | None = None
        self._fetched_at = -math.inf
        self._failure: str | None = None
        self._failed_at = -math.inf

    @property
    def held(self) -> T | None:
        """The value as it was fetched last, whatever its age."""
        return self._value

    async def get(self) -> T:
        """The value, fetched if need be; an older one if that fails or is under way.

        Raises:
            Undecided: There is none.
        """
        if (value := self._younger_than(self._fresh_seconds)) is not None:
            return value
        old = self._younger_than(self._usable_seconds)
        if old is not None and (self._lock.locked() or self._rests()):
            return old
        try:
            return await self._renew(self._value)
        except Undecided:
            if old is None:
                raise
            return old

    async def newer(self, than: T, *, at_most_every_seconds: float) -> T:
        """Another value than this one, or the same again if it was fetched just now.

        Raises:
            Undecided: It cannot be fetched.
        """
        if self._value is not None and self._value is not than:
            return self._value
        if self._younger_than(at_most_every_seconds) is not None:
            return than
        return await self._renew(than)

    async def _renew(self, known: T | None) -> T:
        async with self._lock:
            if self._value is not None and self._value is not known:
                return self._value
            if self._failure is not None and self._rests():
                raise Undecided(self._failure, self._rest_left())
            # Whoever asked first may go away; those who wait, and the next, still want the answer.
            with anyio.CancelScope(shield=True):
                await self._fetch_now()
            return cast("T", self._value)

    async def _fetch_now(self) -> None:
        try:
            value = await self._fetch()
        except Undecided as failure:
            if failure.advice != self._failure:
                logger.warning("no %s: %s", self._what, failure.advice)
            self._failure, self._failed_at = failure.advice, self._now()
            raise
        if self._failure is not None:
            logger.warning("the %s can be had again", self._what)
        self._value, self._fetched_at, self._failure = value, self._now(), None

    def _younger_than(self, seconds: float) -> T | None:
        return self._value if within(self._now() - self._fetched_at, seconds) else None

    def _rests(self) -> bool:
        return self._failure is not None and within(self._now() - self._failed_at, REST_SECONDS)

    def _rest_left(self) -> int:
        return max(1, math.ceil(self._failed_at + REST_SECONDS - self._now()))


class Remembered(Generic[T]):
    """Values by a token's digest, each until its time is over; the oldest go when there are too many."""

    def __init__(self, most: int, now: Now) -> None:
        self._most = most
        self._now = now
        self._values: dict[bytes, tuple[T, float, float]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, digest: bytes) -> T | None:
        """What was put in, while it holds."""
        found = self._values.get(digest)
        if found is None:
            return None
        value, since, until = found
        if since <= self._now() < until:
            return value
        del self._values[digest]
        return None

    def forget(self, digest: bytes) -> None:
        """Keep it no longer."""
        self._values.pop(digest, None)

    def put(self, digest: bytes, value: T, *, until: float) -> None:
        """Keep a value until then."""
        self._values.pop(digest, None)
        while len(self._values) >= self._most:
            del self._values[next(iter(self._values))]
        self._values[digest] = (value, self._now(), until)
