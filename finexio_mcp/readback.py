"""What Finexio shows about submissions in doubt. It only ever reads."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from finexio_mcp.api.client import FinexioClient
from finexio_mcp.api.requests import Request, build
from finexio_mcp.clock import Clock
from finexio_mcp.cursor import PAGE_SIZE
from finexio_mcp.errors import DeadlinePassed, FinexioError, NotFound, Unreadable
from finexio_mcp.guards.digests import Match, compare
from finexio_mcp.guards.ledger.rows import ChangeFacts, InvoiceFacts, Look, Outcome, Reason, Submission
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.paging import Page, PageGone
from finexio_mcp.records import id_of, rows_of, single
from finexio_mcp.scan import Reach, moment, search
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools import BY_NAME, TOOLS
from finexio_mcp.tools.drawdowns import LIST_DRAWDOWN_PAYMENTS, LIST_DRAWDOWNS
from finexio_mcp.tools.invoices import GET_INVOICE, LIST_INVOICES, identity
from finexio_mcp.tools.spec import Listing, ToolSpec, Trace

Row = dict[str, Any]
OwnersOf = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
HasRival = Callable[[Submission, Sequence[str]], Awaitable[bool]]

WINDOW = timedelta(hours=26)
"""How long before it left something of ours can seem to have been created: Finexio's times have no zone."""
DRAWDOWNS_FROM_LOOK = 3
"""Looks at once, after 30 s and after 2 minutes come too early for a drawdown."""
MAX_POINTERS = 5
"""Drawdowns that are followed for one invoice, since a server that ignores the filter shows all of them."""
MAX_POINTED_PAGES = 5
"""Of the payments of one drawdown."""

LEASE_SECONDS = 105
"""Longest time for which the process that sent a row may still be at it: 75 s for a batch, and 30 s to settle it."""
LATE_SECONDS = 900
"""From the end of that to the first look that counts towards absence."""
APART_SECONDS = 300
"""From that look to the one that may conclude it."""

Verdict = Literal["found", "other", "not_there", "unknown", "too_long"]

LOOKS = {tool.route: tool for tool in TOOLS if tool.method == "GET"}
VERDICTS: Mapping[Reach, Verdict] = {"complete": "not_there", "incomplete": "unknown", "too_long": "too_long"}
"""What it means to have found nothing."""


@dataclass(frozen=True)
class Finding:
    """What a look found out about one submission.

    * `found`: Finexio has it.
    * `other`: Finexio has another content under its identity, or two records of it; a person decides.
    * `not_there`: all of the list was read, and it is not in it.
    * `unknown`: the look failed, or what it saw does not tell.
    * `too_long`: the list is too long to be read; a person has to look.
    """

    verdict: Verdict
    finexio_id: str | None = None


UNKNOWN = Finding("unknown")


class ReadBack:
    """Looks submissions up.

    Args:
        client: Finexio.
        clock: Time, for the pauses.
        key: The key of the ledger's digests.
        owners_of: Which submission has which of these Finexio ids.
        has_rival: Whether another change may have made what this one was to create.
        pause_seconds: Shortest time from one page to the next, over all looks of this object.
    """

    def __init__(
        self,
        client: FinexioClient,
        clock: Clock,
        *,
        key: bytes,
        owners_of: OwnersOf,
        has_rival: HasRival,
        pause_seconds: float = 1.0,
    ) -> None:
        self._client, self._clock = client, clock
        self._key, self._owners_of, self._has_rival = key, owners_of, has_rival
        self._pause_seconds = pause_seconds
        self._next_turn = clock.monotonic()

    async def look(self, rows: Sequence[Submission], *, until: float) -> dict[int, Finding]:
        """What Finexio shows of each row now, by the row's id. Invoices share one search.

        Raises:
            LedgerUnavailable: It cannot be asked which ids belong to other submissions.
        """
        sought = [_Sought.of(row, row.invoice) for row in rows if row.invoice is not None]
        findings = {row.id: UNKNOWN for row in rows}
        if sought:
            findings |= await self._look_for_invoices(sought, until)
        for row in rows:
            if row.change is not None and (tool := BY_NAME.get(row.tool)) and tool.trace:
                findings[row.id] = await self._look_for_change(row, row.change, tool.trace, until)
        return findings

    # Invoices ----------------------------------------------------------------------

    async def _look_for_invoices(self, sought: Sequence[_Sought], until: float) -> dict[int, Finding]:
        reach = await self._search_invoices(sought, until)
        await self._ask_owners(sought)
        for one in sought:
            late = one.row.looks >= DRAWDOWNS_FROM_LOOK
            if not one.hits and (late or reach == "too_long") and not await self._follow_drawdowns(one, until):
                break
        await self._ask_owners(sought)
        return {one.row.id: one.finding(reach) for one in sought}

    async def _search_invoices(self, sought: Sequence[_Sought], until: float) -> Reach:
        def see(rows: Sequence[Any]) -> None:
            for row in rows:
                for one in by_identity.get(identity(row), ()) if is_object(row) else ():
                    one.see(row)

        async def enough() -> bool:
            await self._ask_owners(sought)
            return all(one.hits for one in sought)

        async def fetch(number: int) -> Page:
            return await self._page(LIST_INVOICES, {}, number, until)

        by_identity: dict[tuple[str, str, str], list[_Sought]] = {}
        for one in sought:
            by_identity.setdefault(one.identity, []).append(one)
        try:
            return await search(fetch, see, since=min(one.since for one in sought), enough=enough)
        except FinexioError:
            return "incomplete"

    async def _ask_owners(self, sought: Sequence[_Sought]) -> None:
        """Drop what belongs to other submissions, such as an earlier invoice of the number that was refunded."""
        ids = {finexio_id for one in sought for finexio_id in one.hits}
        if not ids:
            return
        owners = await self._owners_of(ids)
        for one in sought:
            one.hits = {
                finexio_id: cents
                for finexio_id, cents in one.hits.items()
                if owners.get(finexio_id, one.row.id) == one.row.id
            }

    async def _follow_drawdowns(self, one: _Sought, until: float) -> bool:
        """See invoices of this number that a drawdown has funded; they are judged like all others.

        Returns:
            Whether drawdowns can be listed at the moment.
        """
        request = build(LIST_DRAWDOWNS, {"invoice_number": one.invoice.number})
        try:
            shown = rows_of(LIST_DRAWDOWNS, await self._read(request, until)).rows
        except FinexioError:
            return False
        for drawdown in _of_buyer(shown, one.invoice)[:MAX_POINTERS]:
            with contextlib.suppress(FinexioError):
                await self._follow_drawdown(one, drawdown, until)
        return True

    async def _follow_drawdown(self, one: _Sought, drawdown: str, until: float) -> None:
        for number in range(1, MAX_POINTED_PAGES + 1):
            request = build(LIST_DRAWDOWN_PAYMENTS, {"processor_request_id": drawdown}, page=number)
            page = rows_of(LIST_DRAWDOWN_PAYMENTS, await self._read(request, until))
            for finexio_id in dict.fromkeys(_paid_invoices(page.rows, one.identity)):
                record = single(await self._read(build(GET_INVOICE, {"id": finexio_id}), until))
                if record is not None and identity(record) == one.identity:
                    one.see(record)
            if page.last is not False or one.hits:
                return

    # Changes of master data --------------------------------------------------------

    async def _look_for_change(self, row: Submission, change: ChangeFacts, trace: Trace, until: float) -> Finding:
        rival = bool(trace.created_by) and await self._has_rival(row, trace.created_by)
        shown = _Shown(change, trace, self._key, _searched_since(row), rival)
        tool = LOOKS[trace.look]
        names = [*tool.path_names, *trace.query]
        arguments = {name: change.kept[name] for name in names if name in change.kept}
        try:
            if tool.listing is None:
                reach = await self._show_record(shown, build(tool, arguments), until)
            else:
                reach = await self._show_list(shown, tool, arguments, until)
        except NotFound:
            # Without an id in its path it is the address that is wrong.
            reach = "complete" if tool.path_names else "incomplete"
        except FinexioError:
            reach = "incomplete"
        if trace.created_by and (ids := {found for record in shown.records.values() if (found := id_of(record))}):
            owners = await self._owners_of(ids)
            shown.known_before = frozenset(found for found in ids if owners.get(found, row.id) < row.id)
        return shown.finding(reach)

    async def _show_record(self, shown: _Shown, request: Request, until: float) -> Reach:
        record = single(await self._read(request, until, at_host_root=shown.trace.at_host_root))
        shown.see([record])
        return "complete" if shown.records else "incomplete"

    async def _show_list(self, shown: _Shown, tool: ToolSpec, arguments: Row, until: float) -> Reach:
        async def enough() -> bool:
            return shown.finding("incomplete").verdict in {"found", "other"}

        async def fetch(number: int) -> Page:
            return await self._page(tool, arguments, number, until, at_host_root=shown.trace.at_host_root)

        return await search(fetch, shown.see, enough=enough)

    # Reading -----------------------------------------------------------------------

    async def _page(
        self, tool: ToolSpec, arguments: Row, number: int, until: float, *, at_host_root: bool = False
    ) -> Page:
        try:
            answer = await self._read(build(tool, arguments, page=number), until, at_host_root=at_host_root)
        except NotFound:
            if number > 1:
                raise PageGone from None
            raise
        if is_object(answer) and "results" not in answer:
            raise Unreadable("Finexio's answer holds no list; nothing changed.")
        page = rows_of(tool, answer)
        if is_array(answer) and tool.listing is Listing.PAGES and len(answer) == PAGE_SIZE:
            # It may be all, or the first page of more.
            return Page(page.rows)
        return page

    async def _read(self, request: Request, until: float, *, at_host_root: bool = False) -> Any:
        await self._turn(until)
        try:
            return await self._client.read(request, until=until)
        except FinexioError as error:
            if not at_host_root or error.http_status != 404:
                raise
            try:
                return await self._client.read(request, until=until, at_host_root=True)
            except FinexioError:
                raise error from None

    async def _turn(self, until: float) -> None:
        now = self._clock.monotonic()
        turn = max(now, self._next_turn)
        if turn >= until:
            raise DeadlinePassed("There was no time left to look; nothing changed.")
        self._next_turn = turn + self._pause_seconds
        if turn > now:
            await self._clock.sleep(turn - now)


# What was seen -----------------------------------------------------------------


@dataclass
class _Sought:
    """An invoice, and what was seen of it."""

    row: Submission
    invoice: InvoiceFacts
    identity: tuple[str, str, str]
    since: datetime
    hits: dict[str, int] = field(default_factory=dict[str, int])
    """Finexio id to cents."""
    unclear: bool = False
    """Something of this identity was seen that proves nothing, and must not be taken for absent either."""

    @classmethod
    def of(cls, row: Submission, invoice: InvoiceFacts) -> _Sought:
        facts = {
            "originating_counterparty_id": invoice.buyer,
            "receiving_counterparty_id": invoice.supplier,
            "invoice_number": invoice.number,
        }
        return cls(row, invoice, identity(facts), _searched_since(row))

    def see(self, record: Row) -> None:
        """Note a record of this identity."""
        created, finexio_id, cents = moment(record.get("created")), id_of(record), _cents(record.get("amount_cents"))
        if created is not None and created < self.since:
            return
        if created is None or cents is None or finexio_id is None:
            self.unclear = True
        else:
            self.hits[finexio_id] = cents

    def finding(self, reach: Reach) -> Finding:
        if len(self.hits) > 1:
            return Finding("other")
        for finexio_id, cents in self.hits.items():
            return Finding("found" if cents == self.invoice.amount_cents else "other", finexio_id)
        return UNKNOWN if self.unclear and reach == "complete" else Finding(VERDICTS[reach])


@dataclass
class _Shown:
    """A change of master data, and the records that may be those that it touched."""

    change: ChangeFacts
    trace: Trace
    key: bytes
    since: datetime
    rival: bool
    """Whether another change may have made the record."""
    records: dict[str, Row] = field(default_factory=dict[str, Row])
    known_before: frozenset[str] = frozenset()
    """Ids that an earlier submission has."""

    def see(self, rows: Sequence[Any]) -> None:
        kept = dict(self.change.kept)
        for row in rows:
            if is_object(row) and self.trace.is_it(row, kept):
                # Without an id, what it holds is all that it is known by.
                self.records[str(row.get("id") or sorted((name, str(row[name])) for name in row))] = row

    def finding(self, reach: Reach) -> Finding:
        if self.trace.gone:
            if self.records:
                return Finding("not_there")
            return Finding("found", self.change.kept.get("id")) if reach == "complete" else Finding(VERDICTS[reach])
        matches = list(self._matches())
        says = {match for match, _ in matches}
        if says == {Match.SAME}:
            return Finding("found", id_of(matches[0][1]) if len(matches) == 1 else None)
        if Match.OTHER in says:
            return Finding("other")
        if not says or Match.UNKNOWN in says:
            return UNKNOWN
        # Some of several records are there and some are not: nobody can make that one outcome.
        return Finding("other" if reach == "complete" and Match.SAME in says else VERDICTS[reach])

    def _matches(self) -> Iterator[tuple[Match, Row]]:
        """For each record that was sent, the one at Finexio that tells most of it; each of those stands for one."""
        left = list(self.records.values())
        for digests in self.change.digests:
            found = [(self._compare(digests, row), row) for row in left]
            best = min(found, key=lambda pair: RANK[pair[0]], default=(Match.DIFFERENT, Row()))
            if best[0] is Match.SAME:
                left.remove(best[1])
            yield best

    def _compare(self, digests: Mapping[str, str], record: Row) -> Match:
        """Of a record that was there before, or that another change may have made, the key alone proves nothing."""
        match = compare(self.key, digests, record, created_by=self.trace.created_by)
        was_there = self._was_there(record)
        if match is not Match.SAME or not self.trace.created_by or not (was_there or self.rival):
            return match
        if compare(self.key, digests, record) is Match.SAME:
            return Match.SAME
        return Match.OTHER if was_there else Match.UNKNOWN

    def _was_there(self, record: Row) -> bool:
        created = moment(record.get("created") or record.get("created_at"))
        return id_of(record) in self.known_before or (created is not None and created < self.since)


def _searched_since(row: Submission) -> datetime:
    """The earliest that what this submission made can seem to have been created."""
    left_ms = next(at for at in (row.searched_from_ms, row.sent_at_ms, row.claimed_at_ms) if at is not None)
    return datetime.fromtimestamp(left_ms / 1000, UTC) - WINDOW


RANK = {match: rank for rank, match in enumerate((Match.SAME, Match.OTHER, Match.UNKNOWN, Match.DIFFERENT))}


def _cents(value: Any) -> int | None:
    """Cents, which Finexio's description also gives as text."""
    try:
        return int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        return None


def _of_buyer(drawdowns: Sequence[Any], invoice: InvoiceFacts) -> list[str]:
    """Ids of drawdowns that are not known to be another buyer's."""
    return [
        str(row["processor_request_id"])
        for row in drawdowns
        if is_object(row)
        and row.get("processor_request_id")
        and str(row.get("originating_counterparty_id") or invoice.buyer).casefold() == invoice.buyer.casefold()
    ]


def _paid_invoices(payments: Sequence[Any], wanted: tuple[str, str, str]) -> Iterator[str]:
    """Ids of the invoices of this number under payments of this buyer to this supplier."""
    for payment in payments:
        invoices = payment.get("invoices") if is_object(payment) else None
        for row in invoices if is_array(invoices) else ():
            if is_object(row) and row.get("id"):
                funded = {**payment, "invoice_number": row.get("invoice_number")}
                if identity(funded) == wanted:
                    yield str(row["id"])


# What follows from it ----------------------------------------------------------


def next_step(
    row: Submission,
    finding: Finding,
    *,
    now_ms: int,
    schedule_seconds: Sequence[int],
    doubt_since_ms: int | None = None,
    lease_seconds: int = LEASE_SECONDS,
    begun_ms: int | None = None,
) -> Look:
    """What a look leaves behind in the ledger.

    Args:
        row: As it stood before the look.
        finding: What the look found.
        now_ms: When it ended, in the ledger's clock.
        schedule_seconds: When to look, counted from when the doubt arose.
        doubt_since_ms: When it arose; if not given, when the row was sent.
        lease_seconds: How long after it was marked as sent a row may still have been on its way.
        begun_ms: When the look began, which may be minutes before it ended; if not given, when it ended.
    """
    begun_ms = now_ms if begun_ms is None else begun_ms
    if finding.verdict == "found":
        return _settled(State.CONFIRMED, "found", finding.finexio_id, row.absent_since_ms)
    if finding.verdict == "other":
        return _settled(State.CONFLICT, "found_other", finding.finexio_id, row.absent_since_ms)
    since_ms = _counts_from(row, lease_seconds)
    absent_since_ms = row.absent_since_ms
    if absent_since_ms is not None and absent_since_ms < since_ms:
        absent_since_ms = None
    # What Finexio accepted is there, under whatever name: not to find it is no proof that it is not.
    if finding.verdict == "not_there" and begun_ms >= since_ms and row.reason != "unseen":
        if absent_since_ms is None:
            absent_since_ms = now_ms
        elif begun_ms >= absent_since_ms + APART_SECONDS * 1000:
            return _settled(State.ABSENT, "not_found", None, absent_since_ms)
    if finding.verdict == "too_long":
        return Look(outcome=None, next_look_at_ms=None, absent_since_ms=absent_since_ms)
    ahead = _next_look(row, now_ms, schedule_seconds, doubt_since_ms)
    if ahead is None and finding.verdict == "not_there" and absent_since_ms is not None:
        # The schedule ends one look short of a verdict.
        ahead = max(absent_since_ms + APART_SECONDS * 1000, now_ms + 1000)
    return Look(outcome=None, next_look_at_ms=ahead, absent_since_ms=absent_since_ms)


def _next_look(row: Submission, now_ms: int, schedule_seconds: Sequence[int], doubt_since_ms: int | None) -> int | None:
    """The next time of the schedule. One that passed while nobody was there to look goes on from now."""
    arose_ms = next(at for at in (doubt_since_ms, row.sent_at_ms, row.claimed_at_ms) if at is not None)
    times = (arose_ms + seconds * 1000 for seconds in schedule_seconds)
    ahead = min((at for at in times if at > now_ms), default=None)
    if ahead is None and row.looks + 1 < len(schedule_seconds):
        pause_seconds = schedule_seconds[row.looks + 1] - schedule_seconds[row.looks]
        return now_ms + max(pause_seconds, 1) * 1000
    return ahead


def _counts_from(row: Submission, lease_seconds: int) -> int:
    """From when on not to find a row says something. A row that was never marked as sent has its lease."""
    ended_ms = row.lease_until_ms if row.sent_at_ms is None else row.sent_at_ms + lease_seconds * 1000
    return ended_ms + LATE_SECONDS * 1000


def _settled(state: State, reason: Reason, finexio_id: str | None, absent_since_ms: int | None) -> Look:
    outcome = Outcome(state=state, reason=reason, finexio_id=finexio_id)
    return Look(outcome=outcome, next_look_at_ms=None, absent_since_ms=absent_since_ms)
