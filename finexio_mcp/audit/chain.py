"""The chain over the entries of one account, and what shows that somebody changed it; pure, no database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from finexio_mcp.guards.ledger.chain import digest, link
from finexio_mcp.shapes import is_object

MAX_PROBLEMS: Final = 20
"""Of one chain; the rest is counted."""

Row = Mapping[Any, Any]


def genesis(database_id: str, scope: str, account: str) -> str:
    """What the first entry follows: those of another account, Finexio or database do not fit."""
    return digest({"audit": database_id, "scope": scope, "account": account})


def chained(rows: Iterable[dict[str, Any]], *, seq: int, previous: str) -> Iterator[dict[str, Any]]:
    """Rows with the place and the hash that they get behind entry `seq`, whose hash is `previous`."""
    for row in rows:
        seq += 1
        placed = {**row, "seq": seq}
        previous = link(previous, placed)
        yield {**placed, "hash": previous}


@dataclass(frozen=True)
class Head:
    """Where a chain begins and ends."""

    scope: str
    account: str
    seq: int
    hash: str
    first_seq: int
    before_first: str

    @property
    def entries(self) -> int:
        """How many there should be."""
        return self.seq - self.first_seq + 1


@dataclass
class Walk:
    """A chain as it is read, row by row in its order; `problems` says what is wrong with it.

    Args:
        genesis: What the very first entry follows.
        head: Where it begins, by its head.
    """

    genesis: str
    head: Head
    problems: list[str] = field(default_factory=list[str])
    entries: int = 0
    seq: int = 0
    hash: str = ""
    _removed: Mapping[str, Any] | None = None
    _unsaid: int = 0

    def __post_init__(self) -> None:
        self.begin(self.head)

    def begin(self, head: Head) -> None:
        """Go on where the chain now begins, since older entries were removed meanwhile."""
        self.head, self.seq, self.hash = head, head.first_seq - 1, head.before_first

    def read(self, row: Row) -> None:
        """Look at the next row there is."""
        seq: int = row["seq"]
        expected = self.seq + 1
        if seq <= self.seq:
            self._note(f"entry {seq}: it stands where it does not belong")
            return
        if seq > expected:
            # What it follows is gone, so nothing can be said of its own place.
            self._note(f"entry {expected}{f' to {seq - 1}' if seq - 1 > expected else ''}: missing")
        elif link(self.hash, row) != row["hash"]:
            self._note(f"entry {seq}: it or the one before was changed or moved")
        if row["kind"] == "retention":
            self._removed = _facts(row)
        self.seq, self.hash, self.entries = seq, row["hash"], self.entries + 1

    def end(self, head: Head) -> None:
        """The rows are through, and this is the head now."""
        if self.seq < head.seq:
            last = f" to {head.seq}" if head.seq > self.seq + 1 else ""
            self._note(f"entry {self.seq + 1}{last}: missing")
        elif (self.seq, self.hash) != (head.seq, head.hash):
            self._note(f"head: it stands at entry {head.seq}, and the chain goes to entry {self.seq}")
        self._check_beginning(head)
        if self._unsaid:
            self.problems.append(f"and {self._unsaid} more")

    def _check_beginning(self, head: Head) -> None:
        if head.first_seq == 1:
            if head.before_first != self.genesis:
                self._note("head: the chain is not the one of this account in this database")
            return
        removed = self._removed or {}
        if (removed.get("last_seq"), removed.get("follows")) != (head.first_seq - 1, head.before_first):
            self._note(f"entry 1 to {head.first_seq - 1}: missing, and no entry tells of their removal")

    def _note(self, problem: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)
        else:
            self._unsaid += 1


def _facts(row: Row) -> Mapping[str, Any] | None:
    try:
        facts: Any = json.loads(row["arguments"])
    except ValueError:
        return None
    return facts if is_object(facts) else None
