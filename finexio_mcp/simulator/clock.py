"""The simulator's own time: naive, as Finexio's is, and standing still unless someone moves it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

FAST_DAYS = 60
"""Long enough for any payment to settle. Then time goes on as outside, or invoices of today would soon be too old."""


def stamp(moment: datetime) -> str:
    """Write a moment as Finexio does: no zone, always six decimals."""
    return moment.isoformat(timespec="microseconds")


def read_stamp(text: str) -> datetime:
    """Read a moment in any ISO 8601 form; one with a zone is brought to UTC and loses it."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def wall_clock() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class VirtualClock:
    """Moves when told to, or, once `run` was called, a day in so many real seconds."""

    def __init__(self, now: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        if now.tzinfo is not None:
            raise ValueError("The simulator's time has no zone, as Finexio's has none.")
        self._base = now
        self._monotonic = monotonic
        self._day_seconds: float | None = None
        self._running_since = 0.0

    def now(self) -> datetime:
        if self._day_seconds is None:
            return self._base
        elapsed = self._monotonic() - self._running_since
        fast = min(elapsed, FAST_DAYS * self._day_seconds)
        return self._base + timedelta(days=fast / self._day_seconds, seconds=elapsed - fast)

    def advance(self, step: timedelta) -> None:
        if step < timedelta(0):
            raise ValueError("Time does not go back.")
        self._base += step

    def run(self, day_seconds: float | None) -> None:
        """Let a virtual day pass in `day_seconds`, for a while; None stops the clock where it is."""
        self._base = self.now()
        self._day_seconds = day_seconds
        self._running_since = self._monotonic()

    def be_at_least(self, moment: datetime) -> None:
        """Follow another process that shares these books and is ahead."""
        behind = moment - self.now()
        if behind > timedelta(0):
            self._base += behind

    def set(self, moment: datetime) -> None:
        """Start again at a moment, back in time if need be: for a new world only."""
        self._base = moment
        self._running_since = self._monotonic()
