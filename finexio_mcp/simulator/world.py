"""The world that the operations act on: books, clock, chance and what is still to come."""

import heapq
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from typing import Literal

from .books import Books, Record
from .chance import Chance
from .clock import VirtualClock, stamp
from .journal import Effect, Journal
from .quirks import Quirks

Order = Literal["newest_first", "oldest_first", "unordered"]

LIST_ORDER: dict[str, Order] = {
    "counterparties": "oldest_first",
    "suppliers": "oldest_first",
    "buyers": "oldest_first",
    "history": "newest_first",
    "invoices": "oldest_first",
    "payments": "newest_first",
    "drawdowns": "newest_first",
    "webhooks": "oldest_first",
}
"""Finexio does not say how its lists are ordered; this is where we begin."""


class World:
    """What one Finexio account is made of. Operations and time change it; nothing else does."""

    def __init__(self, *, seed: int, clock: VirtualClock, quirks: Quirks, origin: str) -> None:
        self.books = Books()
        self.clock = clock
        self.chance = Chance(seed, self.books.counters)
        self.quirks = quirks
        self.journal = Journal()
        self.order: dict[str, Order] = dict(LIST_ORDER)
        self.origin = origin
        """Scheme, host and port under which check images and subscriptions are found."""
        self.image_key = b""
        self.changed = False
        self.acting_request: int | None = None
        self._moment: datetime | None = None

    def now(self) -> datetime:
        """The clock, or, while the past is being caught up, the moment being lived through."""
        return self._moment or self.clock.now()

    def stamp(self) -> str:
        return stamp(self.now())

    def live_at(self, moment: datetime | None) -> None:
        self._moment = moment

    def effect(self, kind: str, record_id: str) -> None:
        """Put a change on record. Every function that changes a record calls this once."""
        self.changed = True
        self.journal.effects.append(Effect(kind=kind, id=record_id, request=self.acting_request, at=self.now()))

    def plan(self, at: datetime, action: str, record_id: str, detail: str = "") -> None:
        heapq.heappush(self.books.agenda, (stamp(at), self.chance.count("step"), action, record_id, detail))

    def counterparty(self, record_id: str) -> Record | None:
        return self.books.suppliers.get(record_id) or self.books.buyers.get(record_id)

    def ordered(self, list_name: str, records: Iterable[Record], age: str = "created") -> list[Record]:
        """Records in the order this list is in; of the same age, the one booked first is older."""
        order = self.order[list_name]
        if order == "unordered":
            return sorted(records, key=lambda record: self.chance.shuffle_key(_identity(record)))
        rows = sorted(records, key=itemgetter(age))
        if order == "newest_first":
            rows.reverse()
        return rows


def _identity(record: Record) -> str:
    return str(record.get("id") or record.get("processor_request_id") or record)
