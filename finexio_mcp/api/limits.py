"""How fast we may ask, and how often we may ask again."""

from __future__ import annotations

from finexio_mcp.clock import Clock
from finexio_mcp.errors import Overloaded


class RateLimit:
    """A token bucket: `per_second` requests, `burst` at once. Waiting callers are served in turn."""

    def __init__(self, per_second: float, burst: int, clock: Clock) -> None:
        self._interval = 1.0 / per_second if per_second else 0.0
        self._slack = self._interval * (burst - 1)
        self._clock = clock
        self._next = clock.monotonic() - self._slack

    async def wait(self, until: float) -> None:
        """Wait for a turn.

        Raises:
            Overloaded: It would come after `until`; no turn is taken.
        """
        if not self._interval:
            return
        now = self._clock.monotonic()
        turn = max(self._next, now - self._slack)
        if turn >= until:
            raise Overloaded(
                "Too many calls are waiting to be sent to Finexio; this one was not sent. Make fewer at once, and call "
                "again later.",
                retry_after_seconds=round(turn - now, 1),
            )
        self._next = turn + self._interval
        if turn > now:
            try:
                await self._clock.sleep(turn - now)
            except BaseException:
                # Whoever leaves gives the turn back, or callers that left would keep others waiting for ever.
                self._next -= self._interval
                raise


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
