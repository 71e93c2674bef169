"""A call, in the order of its steps: access, arguments, policy, Finexio, envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from anyio.abc import TaskGroup

from finexio_mcp import submissions
from finexio_mcp.api.client import FinexioClient
from finexio_mcp.api.requests import build
from finexio_mcp.arguments import Checked, check
from finexio_mcp.batch import rows_of_failure
from finexio_mcp.callers import OPERATOR, Caller
from finexio_mcp.catalog import Listed, require
from finexio_mcp.clock import Clock
from finexio_mcp.cursor import PAGE_SIZE, CursorError, Place, decode, encode, same_filters
from finexio_mcp.envelope import Envelope, Outlet, Written, new_op_id
from finexio_mcp.errors import (
    FinexioError,
    Internal,
    InvalidCursor,
    NotFound,
)
from finexio_mcp.finding.finder import Finder
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.masking import Mask
from finexio_mcp.guards.policy import enforce
from finexio_mcp.logs import log_fault
from finexio_mcp.paging import Page, PageGone, Slice, entry_key, read, read_array, row_key
from finexio_mcp.records import found_in, other_id, rows_of
from finexio_mcp.settings import DEFAULT_ACCOUNT, Settings
from finexio_mcp.settling import Settler
from finexio_mcp.tools import BY_NAME
from finexio_mcp.tools.spec import Effect, Listing, ToolSpec
from finexio_mcp.writes import Writes

logger = logging.getLogger("finexio_mcp.calls")


class Dispatcher:
    """Runs tool calls for one account.

    Args:
        settings: What the operator allows.
        client: Finexio.
        book: The ledger under every write.
        clock: Time, for writes.
        tasks: What goes on after an answer: writes on their way, and looks at those in doubt.
        patient: Wait for the outcome of a write however long it takes.
    """

    def __init__(
        self,
        settings: Settings,
        client: FinexioClient,
        book: Book,
        *,
        clock: Clock,
        tasks: TaskGroup,
        patient: bool = False,
    ) -> None:
        self._settings = settings
        # The account that is there without any other has always had these cursors.
        self._salt = "" if settings.account == DEFAULT_ACCOUNT else settings.account
        self._client = client
        self._book = book
        self._outlet = Outlet(Mask(settings.unmask), settings.result_chars, lambda: client.secrets)
        self._finder = Finder(client, self._outlet, settings.api_url)
        self._settler = Settler(settings, client, book, clock=clock, tasks=tasks)
        self._writes = Writes(
            settings, client, book, self._settler, self._outlet, clock=clock, tasks=tasks, patient=patient
        )

    async def recover(self) -> None:
        """Take over what an earlier process left in the ledger."""
        await self._settler.recover()

    async def drain(self) -> None:
        """Wait until no write is on its way."""
        await self._writes.drain()

    async def counts(self) -> Mapping[State, int]:
        """How many submissions something still has to come of, by state.

        Raises:
            LedgerUnavailable: The ledger cannot be read.
        """
        return await self._book.counts()

    async def run(self, listed: Listed, raw: Mapping[str, Any] | None, *, caller: Caller = OPERATOR) -> Envelope:
        """Run one call. Whatever goes wrong comes back as an envelope; nothing is raised."""
        tool = BY_NAME[listed.entry["name"]]
        op_id = None if tool.effect is Effect.READ else new_op_id()
        try:
            require(listed, self._settings, caller)
            checked = check(tool, raw)
            enforce(tool, checked.wire, self._settings)
        except FinexioError as error:
            return self._fail(tool, error, raw, op_id)
        except Exception as error:
            return self._fail(tool, _internal(error), raw, op_id)
        return await self._run_checked(tool, checked, op_id, caller)

    async def _run_checked(self, tool: ToolSpec, checked: Checked, op_id: str | None, caller: Caller) -> Envelope:
        try:
            if op_id is not None:
                return await self._writes.run(tool, checked, op_id, by=caller.key)
            if tool.own:
                return await self._own(tool, checked)
            if tool.gathers:
                return await self._finder.run(tool, checked.wire)
            if tool.listing is not None:
                return await self._list(tool, checked)
            return await self._get(tool, checked)
        except FinexioError as error:
            return self._fail(tool, _with_way_out(tool, error, checked), checked.wire, op_id)
        except Exception as error:
            return self._fail(tool, _internal(error), checked.wire, op_id)

    def _fail(self, tool: ToolSpec, error: FinexioError, arguments: Any, op_id: str | None) -> Envelope:
        if op_id is None:
            return self._outlet.failed(error, arguments=arguments)
        rows = rows_of_failure(arguments) if tool.effect is Effect.PAY else None
        return self._outlet.failed(error, arguments=arguments, written=Written(op_id, error.status), rows=rows)

    # Reads -------------------------------------------------------------------

    async def _get(self, tool: ToolSpec, checked: Checked) -> Envelope:
        until = self._client.deadline(tool.deadline_seconds)
        answer = await self._client.read(build(tool, checked.wire), until=until)
        record = found_in(tool, answer, checked.wire)
        return self._outlet.record(
            tool.record,
            record,
            arguments=checked.wire,
            fields=checked.local.get("fields"),
            notices=[*checked.notices, *other_id(tool, record, checked.wire)],
        )

    async def _list(self, tool: ToolSpec, checked: Checked) -> Envelope:
        checked, place = _resume(tool, checked, self._salt)
        limit = checked.local.get("limit", PAGE_SIZE)
        key = row_key if tool.record.keyed else entry_key
        until = self._client.deadline(tool.deadline_seconds)
        if tool.listing is Listing.ARRAY:
            answer = await self._client.read(build(tool, checked.wire), until=until)
            part = await read_array(rows_of(tool, answer).rows, place, limit)
        else:

            async def fetch(number: int) -> Page:
                return await self._page(tool, checked, number, until)

            moving = tool.rows_leave or any(name in checked.wire for name in tool.moves_with)
            part = await read(fetch, place, limit, moving=moving, key=key)
        return self._outlet.rows(
            tool.record,
            part.rows,
            arguments=checked.wire,
            fields=checked.local.get("fields"),
            notices=[*checked.notices, *part.notices],
            total=part.total_count,
            cursors=_cursors(tool, checked, part, limit, self._salt),
        )

    async def _own(self, tool: ToolSpec, checked: Checked) -> Envelope:
        """What this server's own ledger knows."""
        fields = checked.local.get("fields")
        if tool.listing is None:
            record = await submissions.show(self._book, checked.wire["op_id"])
            return self._outlet.record(tool.record, record, arguments=checked.wire, fields=fields)
        checked, place = _resume(tool, checked, self._salt)
        before_id = int(place.last_ids[0]) if place.last_ids else None
        limit = checked.local.get("limit", PAGE_SIZE)
        rows = await submissions.find(self._book, checked.wire, limit=limit, before_id=before_id)

        def cursors(served: int) -> tuple[str | None, str | None]:
            following = rows.goes_on_after(served)
            place = None if following is None else Place(last_ids=(str(following),))
            return _write_cursor(tool, checked, place, self._salt), None

        return self._outlet.rows(
            tool.record, rows.shown, arguments=checked.wire, fields=fields, total=None, cursors=cursors
        )

    async def _page(self, tool: ToolSpec, checked: Checked, number: int, until: float) -> Page:
        request = build(tool, checked.wire, page=number)
        try:
            try:
                answer = await self._client.read(request, until=until)
            except FinexioError as error:
                if not tool.at_host_root or error.http_status != 404:
                    raise
                try:
                    answer = await self._client.read(request, until=until, at_host_root=True)
                except FinexioError:
                    raise error from None
        except NotFound:
            if number > 1:
                raise PageGone from None
            raise
        return rows_of(tool, answer)


def _resume(tool: ToolSpec, checked: Checked, account: str) -> tuple[Checked, Place]:
    """Where to read on. What a cursor carries passes the same checks as what is typed."""
    text = checked.local.get("next_cursor")
    if text is None:
        return checked, Place()
    try:
        filters, place = decode(text, tool.name, account=account)
    except CursorError as error:
        raise InvalidCursor(str(error)) from None
    if not same_filters(checked.wire, filters):
        raise InvalidCursor(
            "next_cursor belongs to other filters than those beside it. Leave the filters out, or start without it."
        )
    try:
        carried = check(tool, filters)
    except FinexioError:
        raise InvalidCursor("next_cursor cannot be used. Leave it out to start at the first row.") from None
    return Checked(carried.wire, checked.local, checked.notices), place


def _cursors(
    tool: ToolSpec, checked: Checked, part: Slice, limit: int, account: str
) -> Callable[[int], tuple[str | None, str | None]]:
    return lambda served: (
        _write_cursor(tool, checked, part.next_place(served), account),
        _write_cursor(tool, checked, part.previous_place(limit), account),
    )


def _write_cursor(tool: ToolSpec, checked: Checked, place: Place | None, account: str) -> str | None:
    if place is None or not tool.paged:
        return None
    try:
        return encode(tool.name, checked.wire, place, account=account)
    except CursorError as error:
        raise InvalidCursor(str(error)) from None


def _with_way_out(tool: ToolSpec, error: FinexioError, checked: Checked) -> FinexioError:
    if tool.way_out is not None and (sentence := tool.way_out(error, checked.wire)):
        error.message = f"{error.message} {sentence}"
    return error


def _internal(error: Exception) -> FinexioError:
    """A fault of ours, told without its words."""
    log_fault(logger, error)
    return Internal("Something went wrong in this server; nothing was sent. The operator finds the cause in the log.")
