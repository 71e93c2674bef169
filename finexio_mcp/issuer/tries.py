"""How often somebody may try: wrong codes for one sign-in, wrong codes and registrations in a minute.

Counted in this process: with several replicas each counts for itself. A code cannot be guessed in any number of tries
that fits in its lifetime; the bounds keep guessing from costing us anything.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

WINDOW_MS = 60_000
WRONG_CODES_FOR_ONE = 5
WRONG_CODES_A_MINUTE = 60
REGISTRATIONS_A_MINUTE = 30


class Allowance:
    """So many a minute."""

    def __init__(self, limit: int, now_ms: Callable[[], int]) -> None:
        self._limit = limit
        self._now_ms = now_ms
        self._taken: deque[int] = deque()

    def is_used_up(self) -> bool:
        """Whether there is none left."""
        while self._taken and self._taken[0] <= self._now_ms() - WINDOW_MS:
            self._taken.popleft()
        return len(self._taken) >= self._limit

    def take(self) -> bool:
        """Use one up, if there is one left."""
        if self.is_used_up():
            return False
        self._taken.append(self._now_ms())
        return True


class WrongCodes:
    """Counts them, for each sign-in and for all.

    Args:
        now_ms: The time.
        forget_ms: After what time a sign-in is over, and needs no count. The bound for all keeps the rest small.
    """

    def __init__(self, now_ms: Callable[[], int], *, forget_ms: int) -> None:
        self._all = Allowance(WRONG_CODES_A_MINUTE, now_ms)
        self._now_ms = now_ms
        self._forget_ms = forget_ms
        self._each: Counter[str] = Counter()
        self._order: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        """How many sign-ins are remembered."""
        return len(self._each)

    def too_many_for(self, nonce: str) -> bool:
        """Whether no further code is looked at for this sign-in."""
        return self._each[nonce] >= WRONG_CODES_FOR_ONE

    def too_many(self) -> bool:
        """Whether no further code is looked at in this minute."""
        return self._all.is_used_up()

    def count(self, nonce: str) -> None:
        """One more."""
        while self._order and self._order[0][0] <= self._now_ms() - self._forget_ms:
            self._each.pop(self._order.popleft()[1], None)
        self._all.take()
        self._each[nonce] += 1
        self._order.append((self._now_ms(), nonce))
