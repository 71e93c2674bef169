"""Searches a list that moves while it is read, and tells whether what it did not meet can still be in it.

A list is read in passes, each from its newest end back to where rows are too old to matter; one whose order
is not by age is read whole. That nothing was missed is known when, at one moment, as many rows were in the list
as the list had room for there: a row met before that moment and again after it was there at that moment, since
rows that leave do not come back. One page that holds everything that matters is such a moment by itself; a search
over several pages takes a second pass.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal

from finexio_mcp.cursor import PAGE_SIZE
from finexio_mcp.paging import Fetch, PageGone
from finexio_mcp.shapes import is_object

Reach = Literal["complete", "incomplete", "too_long"]
"""`complete`: what was in the list throughout was met. `too_long`: that would take too many pages."""

MAX_PAGES = 200
"""In one pass."""
MAX_PASSES = 4
"""A list that changes while it is read is read again, three times at most."""
DATES = ("created", "updated")
"""A list by last change can look like one by age, so that it is no proof of age while both grow alike."""
MIN_MOMENT_CHARS = len("2025-10-01T12:00")
"""A date alone may lie a day before the moment that it stands for."""
ALWAYS = datetime.max.replace(tzinfo=UTC)


class _Moved(Exception):
    """Pages contradict each other or themselves: the list changed, or its count is wrong."""


class _Disorder(Exception):
    """Rows are not in the order that the ends of the list promised."""

    def __init__(self, left: tuple[str, ...]) -> None:
        super().__init__()
        self.left = left
        """The dates that the list may still be ordered by."""


class _TooLong(Exception):
    """More pages than may be read."""


async def _never() -> bool:
    return False


async def search(
    fetch: Fetch,
    see: Callable[[Sequence[Any]], None],
    *,
    since: datetime | None = None,
    enough: Callable[[], Awaitable[bool]] = _never,
) -> Reach:
    """Read a list as far as it takes.

    Args:
        fetch: Gets an upstream page by its number, from 1; raises PageGone past the end. What else it
            raises ends the search.
        see: Is handed the rows of every page that is read; rows of an incomplete search too.
        since: Rows created before do not matter. None: all rows matter.
        enough: Asked before each further pass, whether what was met is all that is wanted.
    """
    dates = DATES if since is not None else ()
    reader = _Reader(fetch, see)
    proof: _Proof | None = None
    for attempt in range(MAX_PASSES):
        if attempt and await enough():
            break
        try:
            first = await reader.read(1)
            if proof is None:
                order = await _learn(reader, first, dates)
                dates = order.dates if order else ()
                proof = _Proof(order, since)
            await _walk(reader, proof, await _newest(reader, first, proof.order))
        except _TooLong:
            return "too_long"
        except _Moved:
            proof = None
        except _Disorder as disorder:
            dates, proof = disorder.left, None
        else:
            if proof.complete:
                return "complete"
    return "incomplete"


# Pages -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A page that agrees with itself."""

    number: int
    rows: list[Any]
    count: int | None
    start: int
    """How many rows of the list stand before it."""
    is_last: bool

    @property
    def end(self) -> int:
        return self.start + len(self.rows)


class _Reader:
    """Reads pages, and lets none pass that contradicts its own count."""

    def __init__(self, fetch: Fetch, see: Callable[[Sequence[Any]], None]) -> None:
        self._fetch, self._see = fetch, see
        self._size = PAGE_SIZE
        self.latest: _Sheet | None = None

    async def read(self, number: int) -> _Sheet:
        try:
            page = await self._fetch(number)
        except PageGone:
            raise _Moved from None
        self._see(page.rows)
        found = len(page.rows)
        if number == 1:
            self._size = found or PAGE_SIZE
        start = (number - 1) * self._size
        if page.count is None:
            usual = PAGE_SIZE if number == 1 else self._size
            is_last = found < usual if page.last is None else page.last
            agrees = found <= self._size if is_last else found == self._size
        else:
            is_last = page.count <= start + self._size
            agrees = found == max(0, min(self._size, page.count - start)) and page.last in {None, is_last}
        if not agrees:
            raise _Moved
        self.latest = _Sheet(number, page.rows, page.count, start, is_last)
        return self.latest

    def pages(self, count: int) -> int:
        return -(-count // self._size)


async def _walk(reader: _Reader, proof: _Proof, start: _Sheet) -> None:
    """One pass from the newest end, as far as it takes."""
    step = -1 if proof.order and not proof.order.newest_first else 1
    proof.begin()
    sheet = start
    for _ in range(MAX_PAGES):
        proof.take(sheet)
        if proof.complete:
            return
        room = proof.room(sheet)
        if room is not None:
            proof.close(sheet, room)
            return
        sheet = await reader.read(sheet.number + step)
    raise _TooLong


# Order -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Order:
    """That of a list by age, and the dates that may be what it is ordered by."""

    newest_first: bool
    dates: tuple[str, ...]

    def ages(self, rows: Sequence[Any]) -> list[datetime]:
        """The moments by which rows are ordered, whichever of its dates that is.

        Raises:
            _Disorder: They are not.
        """
        of_dates = {date: _moments(rows, date) for date in self.dates}
        left = tuple(date for date, found in of_dates.items() if found and _is_sorted(found, self.newest_first))
        if rows and left != self.dates:
            raise _Disorder(left if "created" in left else ())
        return [max(found) for found in zip(*(of_dates[date] or [] for date in self.dates), strict=True)]


async def _learn(reader: _Reader, first: _Sheet, dates: tuple[str, ...]) -> _Order | None:
    """The order of the list, if it is one by age.

    Both ends of a list by supplier can look like those of a list by age, so the middle is looked at too.
    """
    if first.is_last or first.count is None or not dates:
        return None
    pages = reader.pages(first.count)
    middle = [await reader.read((1 + pages) // 2)] if pages > 2 else []
    last = await reader.read(pages)
    rows: dict[str, Any] = {}
    for row in (row for sheet in (first, *middle, last) for row in sheet.rows):
        # What moved on from one page to the next stands on both.
        rows.setdefault(_name(row), row)
    ways = {date: _way(list(rows.values()), date) for date in dates}
    newest_first = ways["created"]
    if newest_first is None or (not newest_first) in ways.values():
        return None
    return _Order(newest_first, tuple(date for date in dates if ways[date] is newest_first))


async def _newest(reader: _Reader, first: _Sheet, order: _Order | None) -> _Sheet:
    """The page at which a pass begins."""
    if first.is_last or first.count is None:
        return first
    pages = reader.pages(first.count)
    if order is None and pages > MAX_PAGES:
        raise _TooLong
    if order is None or order.newest_first:
        return first
    latest = reader.latest
    return latest if latest is not None and latest.number == pages else await reader.read(pages)


def _way(rows: Sequence[Any], date: str) -> bool | None:
    """Whether rows come newest first; None if this date does not order them."""
    found = _moments(rows, date)
    if not found or found[0] == found[-1]:
        return None
    newest_first = found[0] > found[-1]
    return newest_first if _is_sorted(found, newest_first) else None


def _is_sorted(moments: Sequence[datetime], newest_first: bool) -> bool:
    return all(left >= right if newest_first else left <= right for left, right in pairwise(moments))


def _moments(rows: Sequence[Any], date: str) -> list[datetime] | None:
    """None if one of them cannot be read."""
    found = [moment(row.get(date)) if is_object(row) else None for row in rows]
    return None if None in found else [at for at in found if at is not None]


def moment(value: Any) -> datetime | None:
    """A moment as Finexio writes it. One without a zone is taken for UTC; None for what is no moment."""
    if not isinstance(value, str) or len(value) < MIN_MOMENT_CHARS:
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# Proof -------------------------------------------------------------------------


class _Proof:
    """Rows met before and after one moment, held against how many there can have been."""

    def __init__(self, order: _Order | None, since: datetime | None) -> None:
        self.order = order
        self._since = since
        self._before: set[str] = set()
        self._after: set[str] = set()
        self._room: int | None = None
        self._counts: set[int | None] = set()
        self._in_pass: set[str] = set()
        self._edge: datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether every row that mattered at that moment was met."""
        return self._room is not None and len(self._before & self._after) == self._room

    def begin(self) -> None:
        """A pass begins."""
        self._edge = None
        self._in_pass.clear()

    def take(self, sheet: _Sheet) -> None:
        """Note the rows of a page of a list that has kept its length."""
        found = self._that_matter(sheet)
        self._counts.add(sheet.count)
        if len(self._counts) > 1:
            raise _Moved
        if self.order is None and found.keys() <= self._in_pass and not sheet.is_last:
            # The same page under another number: nothing would ever end this.
            raise _Moved
        if self.order is not None:
            # Rows that came in front push others to the next page; a row that was nowhere before is older than all.
            strangers = found.keys() - self._before - self._after
            if self._edge is not None and any(found[name] > self._edge for name in strangers):
                raise _Disorder(())
            self._edge = min(self.order.ages(sheet.rows), default=self._edge)
        self._in_pass |= found.keys()
        self._after |= found.keys()

    def room(self, sheet: _Sheet) -> int | None:
        """How many rows that matter the list can have held when this page was read; None if older pages may tell."""
        if self.order is None or self._since is None:
            return (sheet.end if sheet.count is None else sheet.count) if sheet.is_last else None
        old = [at for at, age in enumerate(self.order.ages(sheet.rows)) if age < self._since]
        if self.order.newest_first:
            return sheet.start + old[0] if old else sheet.count if sheet.is_last else None
        whole = sheet.count or 0
        return whole - (sheet.start + old[-1] + 1) if old else whole if sheet.number == 1 else None

    def close(self, sheet: _Sheet, room: int) -> None:
        """Take the moment at which this page was read."""
        self._before |= self._after
        self._after = set(self._that_matter(sheet))
        self._room = room

    def _that_matter(self, sheet: _Sheet) -> dict[str, datetime]:
        """Rows by what they are known by; their ages too, in a list by age."""
        names = [_name(row) for row in sheet.rows]
        if self.order is None or self._since is None:
            return dict.fromkeys(names, ALWAYS)
        since = self._since
        ages = self.order.ages(sheet.rows)
        return {name: age for name, age in zip(names, ages, strict=True) if age >= since}


def _name(row: Any) -> str:
    """What a row is known by: its id where it has one, else all of it."""
    known = row.get("id") if is_object(row) else None
    return str(known) if known and isinstance(known, str | int) else json.dumps(row, sort_keys=True)
