"""The chain over the entries of one account, and what shows that somebody changed it; pure, no database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from finexio_mcp.guards.ledger.chain import digest, link

DAY_MS: Final = 86_400_000
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


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What an entry of the kind `retention` tells: which entries went, and how long they were to be kept."""

    seq: int
    at_ms: int
    hash: str
    removed: int
    first_seq: int
    last_seq: int
    days: int
    start_ms: int
    """When the oldest of them came, and when the youngest."""
    end_ms: int
    follows: str
    """The hash of the last of them, which the first one that is kept follows."""

    @classmethod
    def of(cls, row: Row) -> Self | None:
        """What an entry tells, if it does so as this server does."""
        try:
            facts: Any = json.loads(row["arguments"])
            told = cls(
                **{name: row[name] for name in ("seq", "at_ms", "hash")},
                **{name: facts[name] for name in ("removed", "first_seq", "last_seq", "days", "follows")},
                start_ms=_ms(facts["from"]),
                end_ms=_ms(facts["to"]),
            )
            possible = 0 < told.removed <= told.last_seq - told.first_seq + 1 and told.last_seq < told.seq
            return told if possible and told.days > 0 else None
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def is_early(self) -> bool:
        """Whether it took what was not too old."""
        return self.end_ms >= self.at_ms - self.days * DAY_MS


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


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
    first_ms: int | None = None
    """When the first entry that is there came."""
    removals: list[Removal] = field(default_factory=list[Removal])
    _removed: Removal | None = None
    _unsaid: int = 0

    def __post_init__(self) -> None:
        self.begin(self.head)

    def begin(self, head: Head) -> None:
        """Go on where the chain now begins, since all that was read so far was removed meanwhile."""
        self.head, self.seq, self.hash, self.first_ms = head, head.first_seq - 1, head.before_first, None
        self.entries, self.removals, self._removed = 0, [], None

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
            self._read_removal(row)
        self.first_ms = row["at_ms"] if self.first_ms is None else self.first_ms
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

    def _read_removal(self, row: Row) -> None:
        before, self._removed = self._removed, Removal.of(row)
        told = self._removed
        if told is None:
            self._note(f"entry {row['seq']}: it tells of a removal, but not as this server does")
            return
        if told.is_early:
            self._note(f"entry {told.seq}: it removed what was younger than the {told.days} days that it tells of")
        if before is not None and told.first_seq != before.last_seq + 1:
            self._note(f"entry {told.seq}: its removal does not begin where the one before ended")
        self.removals.append(told)

    def _check_beginning(self, head: Head) -> None:
        if head.first_seq == 1:
            if head.before_first != self.genesis:
                self._note("head: the chain is not the one of this account in this database")
            return
        told = self._removed
        if told is None or (told.last_seq, told.follows) != (head.first_seq - 1, head.before_first):
            self._note(f"entry 1 to {head.first_seq - 1}: missing, and no entry tells of their removal")

    def _note(self, problem: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)
        else:
            self._unsaid += 1
