"""One search: every list that can be asked for what a query holds, side by side, and what could not be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio

from finexio_mcp.api.client import FinexioClient
from finexio_mcp.api.requests import build
from finexio_mcp.arguments import check
from finexio_mcp.cursor import PAGE_SIZE
from finexio_mcp.errors import FinexioError, InvalidArguments, NotFound
from finexio_mcp.finding.kinds import (
    BY_NAME,
    COUNTERPARTY,
    DRAWDOWN,
    INVOICE,
    PAYMENT,
    SUPPLIER_ID,
    SUPPLIER_NAME,
    Kind,
    Row,
    key_of,
)
from finexio_mcp.finding.terms import LEAST_NUMBER, LEAST_WORD, TRACKING, Terms, plain, same, words_of
from finexio_mcp.paging import Page
from finexio_mcp.records import found_in, rows_of
from finexio_mcp.scan import moment
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.counterparties import LIST_COUNTERPARTIES
from finexio_mcp.tools.drawdowns import LIST_DRAWDOWN_PAYMENTS, LIST_DRAWDOWNS
from finexio_mcp.tools.invoices import LIST_INVOICES
from finexio_mcp.tools.payments import LIST_PAYMENTS
from finexio_mcp.tools.spec import ToolSpec

Look = Callable[[], Awaitable[object]]
Answer = TypeVar("Answer")

MAX_GETS = 16
"""For what a query holds, those aside that are sent again because they failed."""
MAX_PARTIES = 2
"""Suppliers that are asked for besides, so that a title can say whom an invoice or payment is for."""
INVOICE_PAGES = 4
"""The first, the last, and two more from the newest end."""
FUNDINGS = 2
"""Drawdowns that are looked into for one invoice number."""
TRIES_FOR_A_NAME = 2
"""All its words, then the longest alone."""

EXACT, CONTAINS, ALL_WORDS, SOME_WORDS = range(4)
"""How well a record answers the query, the best first."""

PART = "a part of the query"
OLDER = "some of the newest invoices"
FURTHER = "further {}"
PAYMENTS = "further payments of a drawdown"


@dataclass
class Hit:
    """A record that answers the query."""

    kind: Kind
    key: str
    row: Row
    rank: int


class Search:
    """Asks for what a query holds.

    Args:
        client: Finexio.
        until: When it has to be over.
    """

    def __init__(self, client: FinexioClient, until: float) -> None:
        self._client, self._until = client, until
        self._hits: dict[str, Hit] = {}
        self._met: set[str] = set()
        """Words that turned out to be what they look like."""
        self._newest: list[Any] | None = None
        self._answers = 0
        self.parties: dict[str, Row] = {}
        """Suppliers, by id, that are no hits themselves."""
        self.failed: dict[str, FinexioError] = {}
        """What could not be asked, and why."""
        self.missed: dict[str, None] = {}
        """What else was not looked at, in words."""

    @property
    def hits(self) -> list[Hit]:
        """The best first; of the same rank, the one that was met first."""
        return sorted(self._hits.values(), key=lambda hit: hit.rank)

    async def run(self, terms: Terms) -> None:
        """Ask, as far as the number of requests goes.

        Raises:
            FinexioError: Nothing at all could be asked.
        """
        terms = self._affordable(terms)
        looks: list[Look] = [
            lambda kind=kind, key=key: self._by_id(BY_NAME[kind], key) for kinds, key in terms.ids for kind in kinds
        ]
        looks += [lambda word=word: self._tracked(word) for word in terms.tracked]
        looks += [lambda word=word: self._drawn(word) for word in terms.drawn]
        looks += [lambda name=name: self._named(name) for name in terms.names]
        if terms.alone and not terms.numbers:
            looks += [lambda name=name: self._coded(name) for name in terms.names]
        await together(*looks, lambda: self._numbered(terms.numbers, terms.whole))
        # What only looked like an id of Finexio's may be a supplier's invoice number.
        await self._numbered([word for word in (*terms.tracked, *terms.drawn) if word not in self._met], terms.whole)
        if self.failed and not self._answers:
            raise next(iter(self.failed.values()))
        await together(*(lambda key=key: self._party(key) for key in self._unnamed()[:MAX_PARTIES]))

    def _affordable(self, terms: Terms) -> Terms:
        """The terms for which the requests suffice, whatever comes of each."""
        left, pages = MAX_GETS, INVOICE_PAGES

        def take(
            words: Iterable[Answer], cost: Callable[[Answer], int], *, numbers: bool = False
        ) -> tuple[Answer, ...]:
            nonlocal left, pages
            taken: list[Answer] = []
            for word in words:
                needed = cost(word) + (pages if numbers else 0)
                if needed > left:
                    self.missed[PART] = None
                    break
                left -= needed
                pages = 0 if numbers else pages
                taken.append(word)
            return tuple(taken)

        # Its code, its tracking id, its drawdowns and their payments.
        number = 3 + FUNDINGS
        return replace(
            terms,
            ids=take(terms.ids, lambda term: len(term[0])),
            drawn=take(terms.drawn, lambda _word: 2 + number, numbers=True),
            tracked=take(terms.tracked, lambda _word: number, numbers=True),
            numbers=take(terms.numbers, lambda _word: number, numbers=True),
            names=take(terms.names, lambda _name: TRIES_FOR_A_NAME + terms.alone),
        )

    # Looks -------------------------------------------------------------------

    async def _by_id(self, kind: Kind, key: str) -> bool:
        record = await self._try(kind, lambda: self._get(kind, key))
        if record is None:
            return False
        row: Row = record if is_object(record) else {}
        self._add(kind, row if key_of(row, kind.key) else {**row, kind.key: key}, EXACT)
        return True

    async def _tracked(self, word: str) -> None:
        page = await self._list(PAYMENT, LIST_PAYMENTS, {"tracking_id": word})
        for row in self._with(page, "tracking_id", word, PAYMENT):
            self._add(PAYMENT, row, EXACT)
            self._met.add(word)

    async def _drawn(self, word: str) -> None:
        if await self._by_id(DRAWDOWN, word):
            self._met.add(word)
            page = await self._list(DRAWDOWN, LIST_DRAWDOWN_PAYMENTS, {"processor_request_id": word})
            for row in page.rows:
                self._add(PAYMENT, row, CONTAINS)
            if not _is_whole(page):
                self.missed[PAYMENTS] = None

    async def _named(self, name: str) -> None:
        longest = [word for word in words_of(name) if word != name]
        for asked in [name, *longest][:TRIES_FOR_A_NAME]:
            page = await self._list(COUNTERPARTY, LIST_COUNTERPARTIES, {"name": asked})
            ranks = [(rank, row) for row in page.rows if (rank := _rank(name, row)) is not None]
            for rank, row in ranks:
                self._add(COUNTERPARTY, row, rank)
            if not _is_whole(page) or (page.rows and not ranks):
                self.missed[FURTHER.format(COUNTERPARTY.plural)] = None
            if ranks:
                break

    async def _coded(self, word: str) -> None:
        # Finexio keeps vendor codes in capitals, and finds them by exactly that.
        page = await self._list(COUNTERPARTY, LIST_COUNTERPARTIES, {"internal_id": word.upper()})
        for row in self._with(page, "internal_id", word, COUNTERPARTY):
            self._add(COUNTERPARTY, row, EXACT)

    async def _numbered(self, words: Sequence[str], whole: str) -> None:
        if words:
            looks: list[Look] = [lambda word=word: self._coded(word) for word in words]
            looks += [lambda word=word: self._tracked(word) for word in words if not TRACKING.fullmatch(word)]
            looks += [lambda word=word: self._funded(word) for word in words]
            await together(*looks, lambda: self._in_newest(words, whole))

    async def _funded(self, word: str) -> None:
        """By way of drawdowns, the only filter by invoice number; one counts if its payments show the invoice."""
        page = await self._list(DRAWDOWN, LIST_DRAWDOWNS, {"invoice_number": word})
        drawdowns = [(key, row) for row in page.rows if (key := key_of(row, DRAWDOWN.key))]
        if drawdowns[FUNDINGS:] or not _is_whole(page):
            self.missed[FURTHER.format(DRAWDOWN.plural)] = None
        await together(*(lambda key=key, row=row: self._paid_by(key, row, word) for key, row in drawdowns[:FUNDINGS]))

    async def _paid_by(self, key: str, drawdown: Row, word: str) -> None:
        page = await self._list(DRAWDOWN, LIST_DRAWDOWN_PAYMENTS, {"processor_request_id": key})
        for payment in filter(is_object, page.rows):
            invoices = payment.get("invoices")
            for invoice in filter(is_object, invoices if is_array(invoices) else []):
                if same(invoice.get("invoice_number"), word):
                    supplier = {name: payment.get(name) for name in (SUPPLIER_NAME, SUPPLIER_ID)}
                    self._add(INVOICE, {**supplier, **invoice}, EXACT)
                    self._add(PAYMENT, payment, CONTAINS)
                    self._add(DRAWDOWN, drawdown, CONTAINS)
        if not _is_whole(page):
            self.missed[PAYMENTS] = None

    def _with(self, page: Page, name: str, word: str, source: Kind) -> list[Row]:
        """The rows that were asked for. Rows, and none of them, mean that the filter was ignored."""
        rows = [row for row in page.rows if is_object(row) and same(row.get(name), word)]
        if page.rows and not rows:
            self.missed[FURTHER.format(source.plural)] = None
        return rows

    def _unnamed(self) -> list[str]:
        """Ids of suppliers of the best hits whose names no hit tells."""
        known = {hit.key for hit in self._hits.values() if hit.kind is COUNTERPARTY}
        keys = [
            key_of(hit.row, SUPPLIER_ID)
            for hit in self.hits
            if SUPPLIER_ID in hit.kind.party and not hit.row.get(SUPPLIER_NAME)
        ]
        return list(dict.fromkeys(key for key in keys if key and key not in known))

    async def _party(self, key: str) -> None:
        # For a title alone: that it could not be had changes nothing about what was found.
        with contextlib.suppress(FinexioError):
            record = await self._get(COUNTERPARTY, key)
            if is_object(record):
                self.parties[key] = record

    async def _in_newest(self, words: Sequence[str], whole: str) -> None:
        if self._newest is None:
            self._newest = await self._read_newest()
        wanted = {plain(word) for word in (*words, whole)}
        parts = {word for word in map(plain, words) if len(word) > LEAST_NUMBER}
        for row in filter(is_object, self._newest):
            number = plain(row.get("invoice_number"))
            if number in wanted or any(part in number for part in parts):
                self._add(INVOICE, row, EXACT if number in wanted else SOME_WORDS)

    async def _read_newest(self) -> list[Any]:
        """The newest invoices, whichever end of the list they are at."""
        first = await self._invoices(1)
        rows = [*first.rows]
        if _is_whole(first):
            return rows
        pages = -(-(first.count or 0) // PAGE_SIZE)
        last = await self._invoices(pages) if pages > 1 else Page([])
        newest_first = _is_newest_first([*first.rows, *last.rows])
        if first.count is None or (newest_first is None and pages > INVOICE_PAGES):
            self.missed[OLDER] = None
        inner = range(2, pages) if newest_first else range(pages - 1, 1, -1)
        found = [last]

        async def read_on(number: int) -> None:
            found.append(await self._invoices(number))

        await together(*(lambda number=number: read_on(number) for number in inner[: INVOICE_PAGES - 2]))
        return [*rows, *(row for page in found for row in page.rows)]

    # Requests ----------------------------------------------------------------

    async def _invoices(self, number: int) -> Page:
        page = await self._list(INVOICE, LIST_INVOICES, {}, page=number)
        if number > 1 and not page.rows and INVOICE.plural not in self.failed:
            self.missed[OLDER] = None
        return page

    async def _list(self, source: Kind, tool: ToolSpec, arguments: Row, *, page: int = 1) -> Page:
        """A page of a list; an empty one if it could not be had, which is noted."""

        async def look() -> Page:
            try:
                return rows_of(tool, await self._read(tool, arguments, page))
            except NotFound:
                if page > 1:
                    # The end moved.
                    return Page([])
                raise

        return await self._try(source, look) or Page([], 0, last=True)

    async def _get(self, kind: Kind, key: str) -> Any:
        try:
            return found_in(kind.get, await self._read(kind.get, {"id": key}), {"id": key})
        except NotFound:
            return None

    async def _read(self, tool: ToolSpec, arguments: Row, page: int = 1) -> Any:
        request = build(tool, check(tool, arguments).wire, page)
        until = min(self._until, self._client.deadline(tool.deadline_seconds))
        return await self._client.read(request, until=until)

    async def _try(self, source: Kind, look: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """One source that fails does not hide the others."""
        try:
            answer = await look()
        except InvalidArguments:
            # No filter takes such a word.
            self.missed[PART] = None
            return None
        except FinexioError as error:
            self.failed.setdefault(source.plural, error)
            return None
        self._answers += 1
        return answer

    def _add(self, kind: Kind, row: Any, rank: int) -> None:
        """Keep a record once, in its fullest form."""
        if (key := key_of(row, kind.key)) is None:
            return
        known = self._hits.setdefault(kind.id_of(key), Hit(kind, key, row, rank))
        known.rank = min(known.rank, rank)
        fuller, other = (row, known.row) if len(row) > len(known.row) else (known.row, row)
        known.row = {**other, **fuller}


def _rank(name: str, row: Any) -> int | None:
    """How well a counterparty's name answers; `None`: not at all, as when a filter was ignored."""
    wanted, called = plain(name), plain(row.get("name")) if is_object(row) else ""
    if wanted in called:
        return EXACT if wanted == called else CONTAINS
    there = [word in called for word in wanted.split() if len(word) >= LEAST_WORD]
    return None if not any(there) else ALL_WORDS if all(there) else SOME_WORDS


def _is_whole(page: Page) -> bool:
    """Whether a first page holds all that the list has."""
    return (
        len(page.rows) >= page.count
        if page.count is not None
        else page.last is not False and len(page.rows) < PAGE_SIZE
    )


def _is_newest_first(rows: Sequence[Any]) -> bool | None:
    """In which order rows of both ends of a list stand; `None` if they do not tell."""
    moments = [at for row in rows if is_object(row) and (at := moment(row.get("created"))) is not None]
    orders = [newest_first for newest_first in (True, False) if moments == sorted(moments, reverse=newest_first)]
    return orders[0] if len(orders) == 1 and len(moments) == len(rows) else None


async def together(*looks: Look) -> None:
    """Side by side. A fault of ours in one of them is raised as what it is, not in a group."""
    faults: list[Exception] = []

    async def guarded(look: Look) -> None:
        try:
            await look()
        except Exception as fault:
            faults.append(fault)

    async with anyio.create_task_group() as tasks:
        for look in looks:
            tasks.start_soon(guarded, look)
    if faults:
        raise faults[0]
