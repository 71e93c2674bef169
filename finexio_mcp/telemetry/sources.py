"""Where metrics come from that are looked up when somebody asks for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

PerAccount = Callable[[], Mapping[str, float]]
"""Gives a number for each account, from memory, to any thread."""
Number = Callable[[], float]
"""Gives one for the whole process, as well."""


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """What the ledger says of the submissions of one account."""

    in_doubt: int
    in_conflict: int
    read_at: float
    """Seconds since 1970."""

    @property
    def is_open(self) -> bool:
        """Whether something still has to come of one of them."""
        return self.in_doubt + self.in_conflict > 0


Count = Callable[[], Awaitable[Mapping[str, Unsettled]]]
"""Asks the ledger; leaves out accounts that cannot be asked about."""


def _none() -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where numbers come from that are looked up when somebody asks for them."""

    accounts: Callable[[], Collection[str]]
    """Those that are configured; no other is ever named."""
    running: PerAccount = _none
    waiting: PerAccount = _none
    audit_waiting: Number | None = None
    """`None`: there is no audit."""
    audit_lost: Number | None = None
