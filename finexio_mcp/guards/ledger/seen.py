"""How far each ledger had come when this process last looked, for all who use it here."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A ledger at some moment. Nothing that is read of it later may be older."""

    ledger_id: str | None = None
    seq: int = 0
    version: int = 0

    def fits(self, ledger_id: str, seq: int, version: int) -> bool:
        """Whether a ledger that was read since can be the same one."""
        return self.ledger_id in (None, ledger_id) and seq >= self.seq and version >= self.version


class Seen:
    """The furthest that a ledger was seen. One that went back, as after a failover, has forgotten what was paid."""

    def __init__(self) -> None:
        self._mark = Mark()
        self._told = False
        self._lock = threading.Lock()

    def is_new(self) -> bool:
        """Whether nobody asked this before: what is told of a ledger at the start is told once."""
        told, self._told = self._told, True
        return not told

    def mark(self) -> Mark:
        """To be taken before a transaction begins: what was committed by then, it has to see."""
        return self._mark

    def note(self, ledger_id: str, seq: int, version: int) -> None:
        """A ledger was read, or written and committed."""
        with self._lock:
            self._mark = Mark(ledger_id, max(seq, self._mark.seq), max(version, self._mark.version))


class Sightings:
    """What was seen of each ledger, by its address: accounts come and change, and what was paid stays paid."""

    def __init__(self) -> None:
        self._all: dict[str, Seen] = {}
        self._lock = threading.Lock()

    def of(self, address: str) -> Seen:
        """Of the ledger at this address."""
        with self._lock:
            return self._all.setdefault(address, Seen())
