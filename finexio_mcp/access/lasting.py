"""Tokens of ours that go on while the database that they are looked up in is away."""

from __future__ import annotations

import hashlib
import math
from typing import Protocol

import anyio

from finexio_mcp.access.book import NO_ANSWER, AccessUnavailable
from finexio_mcp.access.grants import Grant
from finexio_mcp.access.kept import Now, Remembered, within

LASTING_SECONDS = 15 * 60.0
"""How long a token goes on after it was found good; and at most so long after it was revoked, while nobody can ask."""
REMEMBERED = 10_000
REST_SECONDS = 2.0
"""After a failure nobody who is remembered waits for the database again for this long."""
PATIENCE_SECONDS = 2.0
"""How long somebody who is remembered waits for it. A network that swallows packets would take fifteen to notice."""
LONGEST_SECONDS = 10.0
"""How long anybody else waits."""


class Book(Protocol):
    """Where our own tokens are looked up."""

    async def find(self, text: str) -> Grant | None: ...

    def knows_revoked(self, grant_id: str) -> bool: ...


class Lasting:
    """Looks tokens of ours up at each use, and goes by the last answer only while the database cannot be asked.

    What this process found good within the last 15 minutes stays so then, as it was, and no longer than it lasts; but
    not what it has heard to be revoked since.
    Trouble that does not pass by itself ends that: somebody has to look at it before anybody is let in.

    Args:
        book: Where tokens are looked up.
        now: Seconds since 1970.
    """

    def __init__(self, book: Book, now: Now) -> None:
        self._book = book
        self._now = now
        self._known: Remembered[Grant] = Remembered(REMEMBERED, now)
        self._asked_at = -math.inf
        self._is_away = False

    async def find(self, text: str) -> Grant | None:
        """The grant behind a token that is good, or was when that could last be told; `None` if it is not.

        Raises:
            AccessUnavailable: That cannot be told now, and nothing is remembered.
        """
        digest = hashlib.sha256(text.encode()).digest()
        known = self._remembered(digest)
        if known is not None and self._is_away:
            if within(self._now() - self._asked_at, REST_SECONDS):
                return known
            # Whoever asks now tells the others whether it is over.
            self._asked_at = self._now()
        failure: AccessUnavailable | None = None
        try:
            return await self._look_up(text, digest, LONGEST_SECONDS if known is None else PATIENCE_SECONDS)
        except AccessUnavailable as error:
            failure = error
        # It may have ended meanwhile.
        known = self._remembered(digest)
        if known is None or not failure.retryable:
            raise failure
        return known

    def _remembered(self, digest: bytes) -> Grant | None:
        known = self._known.get(digest)
        return None if known is None or self._book.knows_revoked(known.id) else known

    async def _look_up(self, text: str, digest: bytes, patience_seconds: float) -> Grant | None:
        try:
            with anyio.fail_after(patience_seconds):
                grant = await self._book.find(text)
        except TimeoutError:
            self._asked_at, self._is_away = self._now(), True
            raise AccessUnavailable(NO_ANSWER, retryable=True) from None
        except AccessUnavailable as error:
            self._asked_at, self._is_away = self._now(), error.retryable
            raise
        self._is_away = False
        if grant is None:
            self._known.forget(digest)
        else:
            ends = math.inf if grant.expires_at_ms is None else grant.expires_at_ms / 1000
            self._known.put(digest, grant, until=min(ends, self._now() + LASTING_SECONDS))
        return grant
