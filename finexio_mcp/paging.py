"""Reading on in a list that moves: one upstream page a call, the place found again by the rows served last."""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, TypeAlias, cast

from finexio_mcp.cursor import PAGE_SIZE, REMEMBERED, Place

RESIZED = "The list changed while it was read: it had {before} rows and has {now} now."
MOVED = "The list changed while it was read: rows came and went."
REORDERED = "The list seems to be in another order now: rows may be missing or come twice."
LOST = "The place in the list could not be found again: rows may be missing or come twice. To be sure, start again."
SHORT = "The list ended before total_count was reached: Finexio gave no further rows."


class PageGone(Exception):
    """There is no such page: what `fetch` raises for the 404 past the end."""


@dataclass(frozen=True, slots=True)
class Page:
    """One upstream page; `last` says whether it named no next page, None where it would not have said."""

    rows: list[Any]
    count: int | None = None
    last: bool | None = None


Fetch: TypeAlias = Callable[[int], Awaitable[Page]]
Key: TypeAlias = Callable[[Any], str]
Spot: TypeAlias = tuple[int, int]  # a page number and an offset on that page


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one upstream page, and the means to go on after as many of them as were served."""

    rows: list[Any]
    total_count: int | None
    notices: tuple[str, ...]
    start: Spot
    end: Spot | None
    """Where reading goes on after the last row; None where the list ends."""
    earlier_keys: tuple[str, ...]
    keys: tuple[str | None, ...]

    def next_place(self, served: int) -> Place | None:
        """The place after the first `served` rows; None at the end of the list."""
        if not 0 <= served <= len(self.rows):
            raise ValueError("The slice does not have that many rows.")
        page, offset = self.start
        spot = self.end if served == len(self.rows) else (page, offset + served)
        return None if spot is None else Place(*spot, self._last_ids(served), self.total_count)

    def previous_place(self, limit: int) -> Place | None:
        """The place `limit` rows back, but on one upstream page; None at the first row.

        It remembers no rows, so the start of that read is not corrected for what moved.
        """
        page, offset = self.start
        if offset > 0:
            return Place(page, max(0, offset - limit), count=self.total_count)
        return Place(page - 1, max(0, PAGE_SIZE - limit), count=self.total_count) if page > 1 else None

    def _last_ids(self, served: int) -> tuple[str, ...]:
        last: tuple[str, ...] = ()
        for key in (*self.earlier_keys, *self.keys[:served])[-REMEMBERED:]:
            # What stands before a row that cannot be told from others would point to the wrong place.
            last = () if key is None else (*last, key)
        return last


def row_key(row: Any) -> str:
    """What a row is known by, in twelve characters: its id where it has one, else all of it."""
    if isinstance(row, dict):
        record = cast("dict[str, Any]", row)
        if value := record.get("id") or record.get("processor_request_id"):
            return _digest(str(value))
        if (owner := record.get("object_id")) and (moment := record.get("timestamp")):
            return _digest(f"{owner}\n{moment}")
    return entry_key(row)


def entry_key(row: Any) -> str:
    """The key of an entry that never changes: all of it. For history, where `id` may be that of the record."""
    return _digest(json.dumps(row, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


async def read(fetch: Fetch, place: Place, limit: int, *, moving: bool, key: Key = row_key) -> Slice:
    """Read at most `limit` rows from `place` on, never across the end of an upstream page.

    In a list whose order does not depend on what changes, rows that are there throughout come exactly once over a
    walk, or a notice says that rows may be missing or come twice. The row served last must stand right before the
    place; where it does not, it is looked for on pages p, p-1, p+1, p-2, p+2, then where it would be if all that came
    or went had done so before it.

    * Inside a page the check is free, always made, and sees every shift.
    * At the start of a page it costs a fetch of the page before. That is spent when the count moved or is not known,
      and when the list is `moving`. Otherwise a served row that shows up again is still seen, for free.
    * Not seen: at the start of a page of a list that is not `moving`, a row gone from before the place while another
      came after it, so that the count stands. Pass `moving` for every list that rows can leave, filtered or not.
    * Not seen either: the same between two fetches of one call.

    Args:
        fetch: Gets an upstream page by its number, from 1; raises PageGone past the end.
        place: `Place()` to start, else what a cursor carried.
        limit: How many rows at most.
        moving: Whether rows can leave the list, or enter it elsewhere than at its ends.
        key: What a row is known by. Rows that share a key on one page are not relied on.
    """
    book = _Book(fetch, key)
    spot, doubts = await _find(book, place, moving=moving)
    earlier_keys = () if LOST in doubts else place.last_ids
    number, offset, sheet = await _settle(book, spot, earlier_keys)
    rows = sheet.page.rows[offset : offset + limit]
    end = offset + len(rows)
    following = (number, end) if end < len(sheet.page.rows) else (number + 1, 0) if book.goes_on(sheet) else None
    moved = bool(rows) and (number, offset) != (place.page, place.offset)
    notices = [*_changes(place.count, book.counts, moved=moved and not doubts), *doubts]
    if not rows and following is None and _position((number, offset)) < (book.count or 0):
        notices.append(SHORT)
    return Slice(
        rows=rows,
        total_count=book.count,
        notices=tuple(notices),
        start=(number, offset),
        end=following,
        earlier_keys=earlier_keys,
        keys=sheet.keys[offset:end],
    )


async def read_array(rows: Sequence[Any], place: Place, limit: int, *, key: Key = row_key) -> Slice:
    """Read as `read` does from a list that came whole, always checking the place, since that costs nothing."""

    async def cut(number: int) -> Page:
        end = number * PAGE_SIZE
        if number > 1 and end - PAGE_SIZE >= len(rows):
            raise PageGone
        return Page(list(rows[end - PAGE_SIZE : end]), len(rows), end >= len(rows))

    return await read(cut, place, limit, moving=True, key=key)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """An upstream page with its number and a key for each row, None for rows that share theirs."""

    number: int
    page: Page
    keys: tuple[str | None, ...]

    def find(self, keys: Sequence[str]) -> dict[str, Spot]:
        return {key: (self.number, at) for at, key in enumerate(self.keys) if key is not None and key in keys}


class _Book:
    """The upstream pages read during one call; dropped when a later one shows another count."""

    def __init__(self, fetch: Fetch, key: Key) -> None:
        self._fetch, self._key = fetch, key
        self._sheets: dict[int, _Sheet] = {}
        self._end: int | None = None
        self.counts: list[int] = []

    @property
    def count(self) -> int | None:
        return self.counts[-1] if self.counts else None

    async def look(self, number: int) -> _Sheet | None:
        """The page, or None where there is none or it is empty."""
        if number < 1 or (self._end is not None and number >= self._end):
            return None
        if number not in self._sheets:
            try:
                page = await self._fetch(number)
            except PageGone:
                page = Page([], 0 if number == 1 else None, last=True)
            self._keep(number, page)
        return self._sheets.get(number)

    def _keep(self, number: int, page: Page) -> None:
        if page.count is not None and page.count >= 0:
            if self.count not in (None, page.count):
                self._sheets.clear()
            self.counts.append(page.count)
        if page.rows:
            keys = [self._key(row) for row in page.rows]
            seen = Counter(keys)
            self._sheets[number] = _Sheet(number, page, tuple(key if seen[key] == 1 else None for key in keys))
        else:
            self.end_before(number)

    def end_before(self, number: int) -> None:
        self._end = number if self._end is None else min(number, self._end)

    def goes_on(self, sheet: _Sheet) -> bool:
        """Whether to ask for one more page. A link or a count is enough to try; an empty page has the last word."""
        page, number = sheet.page, sheet.number
        if not page.rows or (self._end is not None and number + 1 >= self._end):
            return False
        if page.last is False:
            return True
        if page.count is not None and page.count >= _position((number, len(page.rows))):
            return page.count > number * PAGE_SIZE
        return page.last is None and len(page.rows) >= PAGE_SIZE


async def _find(book: _Book, place: Place, *, moving: bool) -> tuple[Spot, list[str]]:
    """The spot to go on from, and what is doubtful about it."""
    here = (place.page, place.offset)
    sheet = await book.look(place.page)
    if sheet is not None:
        steady = not moving and place.count is not None and place.count == book.count
        if not place.last_ids or (steady and place.offset == 0 and not sheet.find(place.last_ids)):
            return here, []
    elif place.page == 1:
        return (1, 0), []
    found = await _search(book, place)
    if not found:
        return _guess(book, place), [LOST]
    spot, side_by_side = _latest(found, place.last_ids)
    out_of_sight = place.last_ids[-1] not in found and _growth(book, place) >= PAGE_SIZE
    return spot, [REORDERED] if out_of_sight or not side_by_side else []


async def _search(book: _Book, place: Place) -> dict[str, Spot]:
    """Where rows served last are now."""
    page = place.page
    for number in (page, page - 1, page + 1, page - 2, page + 2) if place.last_ids else (page - 1,):
        if found := await _sight(book, number, place.last_ids):
            return found
    if book.count is None:
        await book.look(1)
    growth = _growth(book, place)
    moved_to, _ = _spot(_position((page, place.offset)) + growth - 1)
    # What came or went behind the place makes this guess too far from where it was.
    return await _sight(book, moved_to, place.last_ids) or await _sight(
        book, moved_to + (1 if growth < 0 else -1), place.last_ids
    )


async def _sight(book: _Book, number: int, last_ids: Sequence[str]) -> dict[str, Spot]:
    sheet = await book.look(number)
    found = sheet.find(last_ids) if sheet else {}
    # An earlier row is here and the latest is not: it may have been pushed over the end of the page.
    if found and last_ids[-1] not in found and (sheet := await book.look(number + 1)):
        found |= sheet.find(last_ids)
    return found


def _latest(found: dict[str, Spot], last_ids: Sequence[str]) -> tuple[Spot, bool]:
    """The spot after the latest row that the others bear out, and whether all are still side by side.

    Served as a, b, c and found as c … a, b, it is c that was moved: b is the one to go on from.
    """
    rows = [(at, found[key]) for at, key in enumerate(last_ids) if key in found]
    orders = (order for size in (3, 2, 1) for order in reversed(list(combinations(rows, size))))
    trusted = next(order for order in orders if all(left[1] < right[1] for left, right in pairwise(order)))
    apart = any(
        _position(right) - _position(left) > later - earlier for (earlier, left), (later, right) in pairwise(trusted)
    )
    number, offset = trusted[-1][1]
    return (number, offset + 1), len(trusted) == len(rows) and not apart


def _guess(book: _Book, place: Place) -> Spot:
    """Where nothing that stayed is missed if rows only left: as far back as the list got shorter."""
    return _spot(_position((place.page, place.offset)) + min(0, _growth(book, place)))


def _growth(book: _Book, place: Place) -> int:
    return 0 if book.count is None or place.count is None else book.count - place.count


def _position(spot: Spot) -> int:
    return (spot[0] - 1) * PAGE_SIZE + spot[1]


def _spot(position: int) -> Spot:
    number, offset = divmod(max(0, position), PAGE_SIZE)
    return number + 1, offset


async def _settle(book: _Book, spot: Spot, last_ids: Sequence[str]) -> tuple[int, int, _Sheet]:
    """Step over the end of a page, so that an answer is empty only where the list ends."""
    number, offset = spot
    sheet = await book.look(number)
    if sheet is None:
        return number, 0, _Sheet(number, Page([]), ())
    if offset < len(sheet.page.rows):
        return number, offset, sheet
    following = await book.look(number + 1) if book.goes_on(sheet) else None
    if following is None or following.page.rows == sheet.page.rows:
        book.end_before(number + 1)
        return number, len(sheet.page.rows), sheet
    # Between the two fetches rows may have come in front and pushed the latest one over.
    pushed = following.find(last_ids[-1:]).values()
    return number + 1, max((at + 1 for _, at in pushed), default=0), following


def _changes(before: int | None, counts: Sequence[int], *, moved: bool) -> list[str]:
    seen = [count for count in (before, *counts) if count is not None]
    if seen and seen[0] != seen[-1]:
        return [RESIZED.format(before=seen[0], now=seen[-1])]
    return [MOVED] if moved or len(set(seen)) > 1 else []
