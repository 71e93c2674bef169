"""The limit on requests to Finexio that all servers keep together, and each its share of while they cannot."""

from __future__ import annotations

import contextlib
from typing import Final

from finexio_mcp.api.limits import Bucket, RateLimit, refuse_late, too_many
from finexio_mcp.clock import Clock
from finexio_mcp.guards.ledger.place import scope_of
from finexio_mcp.settings import Settings
from finexio_mcp.sharing.database import ANSWER_SECONDS, REST_SECONDS, Away
from finexio_mcp.sharing.turns import TooLate, Turn, Turns

NOTICED_SECONDS: Final = REST_SECONDS + ANSWER_SECONDS
"""By then every server that sends has seen that PostgreSQL is back."""


class SharedRate(RateLimit):
    """One account's limit. Turns come from `Turns`, and while it cannot be asked from a bucket of this server's share.

    No change between the two lets more through than the limit: a server that falls back begins with nothing in its
    share; one that comes back keeps to its share, and counts in both, until the others must have come back too.

    What remains: while some servers cannot reach PostgreSQL and others can, or have not noticed, the former use their
    shares beside the latter, who use the whole. And where there are more servers than the burst has requests, each may
    send one at once, for a share has no less.

    Args:
        turns: Those of this process.
        settings: The account's.
        clock: Time.
    """

    def __init__(self, turns: Turns, settings: Settings, clock: Clock) -> None:
        super().__init__(settings.rate, settings.rate_burst, clock)
        self._turns = turns
        self._settings = settings
        self._key = f"rate {scope_of(settings.api_url)} {settings.account}"
        self._pace = self._bucket.interval
        self._taken: Turn | None = None
        self._share: Bucket | None = None
        self._back_at: float | None = None

    def _expected(self, now: float, ahead: int) -> float:
        if self._share is not None:
            return self._share.next(now) + ahead * self._share.interval
        return self._bucket.next(now) + ahead * self._pace

    async def _take(self, until: float) -> float:
        asked_at = self._clock.monotonic()
        earliest = self._earliest(asked_at)
        try:
            self._taken = await self._turns.take(
                self._key,
                interval_ms=self._bucket.interval * 1000,
                slack_ms=(asked_at - earliest) * 1000,
                latest_ms=(until - asked_at) * 1000,
            )
        except TooLate as late:
            raise too_many(late.in_ms / 1000) from None
        except Away:
            return self._take_alone(until)
        return self._note(self._taken)

    def _earliest(self, now: float) -> float:
        """When the next turn may come at the earliest, whatever the other servers did."""
        if self._share is None:
            return now - self._bucket.slack
        # By then the others know, too, and have used the turns that they gave themselves.
        if self._back_at is None or now < self._back_at + NOTICED_SECONDS + self._share.interval:
            return self._share.next(now)
        self._share = None
        # What the others sent while nobody counted together may have been a burst, so there is none left.
        return now + self._bucket.interval

    def _note(self, taken: Turn) -> float:
        now = self._clock.monotonic()
        # By the moment of the answer, so never too early.
        turn = now + taken.in_ms / 1000
        self._note_pace(turn, now)
        self._bucket.last = turn
        if self._share is not None:
            self._share.last = max(self._share.last, turn)
            self._back_at = now if self._back_at is None else self._back_at
        return turn

    def _note_pace(self, turn: float, now: float) -> None:
        """Learn how fast this line moves while others take turns too, to tell newcomers early that it is too long."""
        interval = self._bucket.interval
        busy = self._waiting and turn > now
        between = min(turn - self._bucket.last, interval * self._settings.replicas)
        self._pace = max(interval, between) if busy else interval

    def _take_alone(self, until: float) -> float:
        now = self._clock.monotonic()
        self._taken, self._back_at = None, None
        if self._share is None:
            self._share = self._new_share(now)
        turn = self._share.next(now)
        # The answer that did not come may have taken all the time there was.
        refuse_late(max(turn, now), now, until)
        self._share.last = turn
        return turn

    def _new_share(self, now: float) -> Bucket:
        servers = self._settings.replicas
        return Bucket(self._settings.rate / servers, max(1, self._settings.rate_burst // servers), last=now)

    async def _leave(self, turn: float) -> None:
        if self._share is not None:
            self._share.last = turn - self._share.interval
        if self._taken is None:
            return
        self._bucket.last = turn - self._bucket.interval
        with contextlib.suppress(Away):
            await self._turns.leave(self._key, self._taken, interval_ms=self._bucket.interval * 1000)
