"""What really arrived and what really changed: the record that tests believe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RequestRecord:
    """One complete request, whatever became of its answer."""

    index: int
    method: str
    path: str
    """As it travelled: percent-encoded, without the query."""
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    """Lower-case names; `authorization` holds the user name only."""
    body: Any
    """Parsed JSON, or None."""
    body_bytes: bytes
    status: int | None
    """The status answered, even if it never arrived; None when the connection was cut instead."""
    user: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One change of the simulated world."""

    kind: str
    """What happened, such as `invoice.created` or `payment.settled`."""
    id: str
    request: int | None
    """Index of the request that did it; None when time did."""
    at: datetime


@dataclass
class Journal:
    requests: list[RequestRecord] = field(default_factory=list[RequestRecord])
    effects: list[Effect] = field(default_factory=list[Effect])
    received: int = 0
    """Requests since the simulator began; `clear` leaves it, so that indexes stay unique."""

    def clear(self) -> None:
        self.requests.clear()
        self.effects.clear()
