"""Entries that wait to be written: bounded, and honest about those that found no room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from finexio_mcp.audit.entries import Entry, Gap

MOST_ENTRIES: Final = 10_000
MOST_CHARS: Final = 32_000_000
"""Long batches take more room than most."""


@dataclass(eq=False)
class Item:
    """An entry, and who waits until it is kept."""

    entry: Entry
    done: Future[None] | None = None
    gap: Gap | None = None
    """What it tells of, if it stands for lost ones."""

    def tell(self) -> None:
        """Let go whoever waits."""
        if self.done is not None:
            tell(self.done)


def tell(done: Future[None]) -> None:
    """Let go whoever waits, unless they left."""
    if done.set_running_or_notify_cancel():
        done.set_result(None)


class Waiting:
    """A queue for one thread at a time.

    When it is full the oldest reads go first, then the oldest of the others. For each account that lost some, one entry
    in their place says how many, and from when to when.
    """

    def __init__(self, most_entries: int = MOST_ENTRIES, most_chars: int = MOST_CHARS) -> None:
        self._most_entries, self._most_chars = most_entries, most_chars
        self._items: deque[Item] = deque()
        self._chars = 0
        self._gaps: dict[str, Gap] = {}
        self.lost = 0
        """Since the start."""

    def __len__(self) -> int:
        return len(self._items) + len(self._gaps)

    def add(self, item: Item) -> None:
        """Put one at the end."""
        self._items.append(item)
        self._chars += item.entry.chars
        if self._is_full():
            self._make_room()

    def take(self, count: int, *, at_ms: int) -> list[Item]:
        """The oldest ones; what tells of lost ones comes first, and takes no place of what was tried before."""
        gaps, self._gaps = self._gaps, {}
        taken = [Item(gap.entry(account, at_ms=at_ms), gap=gap) for account, gap in sorted(gaps.items())]
        while self._items and len(taken) < count + len(gaps):
            taken.append(self._items.popleft())
            self._chars -= taken[-1].entry.chars
        return taken

    def put_back(self, items: Iterable[Item], *, tried: bool) -> None:
        """Put what could not be written where it was.

        Args:
            items: What was taken.
            tried: It may have been written after all. What is told of lost ones then stays as it is.
        """
        for item in reversed(list(items)):
            if item.gap is not None and not tried:
                self._gaps.setdefault(item.entry.account, Gap()).join(item.gap)
            else:
                self._items.appendleft(item)
                self._chars += item.entry.chars
        if self._is_full():
            self._make_room()

    def give_up(self, item: Item) -> None:
        """Count one as lost."""
        if item.entry.kind == "call":
            self._gaps.setdefault(item.entry.account, Gap()).add(item.entry)
        self.lost += 1
        item.tell()

    def _is_full(self) -> bool:
        return len(self._items) > self._most_entries or self._chars > self._most_chars

    def _make_room(self) -> None:
        """Somewhat more than is needed, since to look for reads takes time when there are few."""
        spare = max(1, self._most_entries // 100)
        surplus = max(len(self._items) - self._most_entries + spare, 1)
        chars = self._chars - self._most_chars
        leaving: set[int] = set()
        for is_read in (True, False):
            for index, item in enumerate(self._items):
                if surplus <= 0 and chars <= 0:
                    break
                if item.entry.kind == "call" and (item.entry.access == "read") is is_read:
                    leaving.add(index)
                    surplus -= 1
                    chars -= item.entry.chars
        kept: deque[Item] = deque()
        for index, item in enumerate(self._items):
            if index in leaving:
                self._chars -= item.entry.chars
                self.give_up(item)
            else:
                kept.append(item)
        self._items = kept
