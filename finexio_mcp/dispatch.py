"""A call, in the order of its steps: access, arguments, policy, Finexio, envelope."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from finexio_mcp.api.client import FinexioClient
from finexio_mcp.api.requests import Request, build, build_get
from finexio_mcp.arguments import Checked, check
from finexio_mcp.batch import match_batch, rows_of_failure
from finexio_mcp.catalog import Listed, require
from finexio_mcp.cursor import PAGE_SIZE, CursorError, Place, decode, encode, same_filters
from finexio_mcp.envelope import Envelope, Outlet, Written, new_op_id
from finexio_mcp.errors import (
    FinexioError,
    Internal,
    InvalidCursor,
    NotFound,
    OutcomeUnknown,
    Unreadable,
    WriteStatus,
)
from finexio_mcp.guards.masking import Mask
from finexio_mcp.guards.policy import enforce
from finexio_mcp.paging import Page, PageGone, Slice, entry_key, read, read_array, row_key
from finexio_mcp.settings import Settings
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools import BY_NAME
from finexio_mcp.tools.spec import Effect, Listing, ToolSpec

logger = logging.getLogger("finexio_mcp.calls")


class Dispatcher:
    """Runs tool calls for one account.

    Args:
        settings: What the operator allows.
        client: Finexio.
        new_op_id: Makes the id under which a write stands in the log.
    """

    def __init__(
        self,
        settings: Settings,
        client: FinexioClient,
        *,
        new_op_id: Callable[[], str] = new_op_id,
    ) -> None:
        self._settings = settings
        self._client = client
        self._outlet = Outlet(Mask(settings.unmask), settings.result_chars, lambda: client.secrets)
        self._new_op_id = new_op_id

    async def run(self, listed: Listed, raw: Mapping[str, Any] | None) -> Envelope:
        """Run one call. Whatever goes wrong comes back as an envelope; nothing is raised."""
        tool = BY_NAME[listed.entry["name"]]
        started = time.monotonic()
        op_id = None if tool.effect is Effect.READ else self._new_op_id()
        try:
            require(listed, self._settings)
            checked = check(tool, raw)
            enforce(tool, checked.wire, self._settings)
        except FinexioError as error:
            envelope = self._fail(tool, error, raw, op_id)
        except Exception as error:
            envelope = self._fail(tool, _internal(error, sent=False), raw, op_id)
        else:
            envelope = await self._run_checked(tool, checked, op_id)
        _log(tool, envelope, op_id, time.monotonic() - started)
        return envelope

    async def _run_checked(self, tool: ToolSpec, checked: Checked, op_id: str | None) -> Envelope:
        sent = False
        try:
            if op_id is not None:
                until = self._client.deadline(tool.deadline_seconds)
                arguments, request = await self._prepare(tool, checked.wire, until)
                sent = True
                # A caller that leaves must not cut a write in half: it ends, and its outcome is logged.
                with anyio.CancelScope(shield=True):
                    return await self._write(tool, checked, arguments, request, until, op_id)
            if tool.listing is not None:
                return await self._list(tool, checked)
            return await self._get(tool, checked)
        except FinexioError as error:
            return self._fail(tool, _with_way_out(tool, error, checked), checked.wire, op_id)
        except Exception as error:
            return self._fail(tool, _internal(error, sent=sent), checked.wire, op_id)

    def _fail(self, tool: ToolSpec, error: FinexioError, arguments: Any, op_id: str | None) -> Envelope:
        if op_id is None:
            return self._outlet.failed(error, arguments=arguments)
        rows = rows_of_failure(error, arguments) if tool.effect is Effect.PAY else None
        return self._outlet.failed(error, arguments=arguments, written=Written(op_id, error.status), rows=rows)

    # Reads -------------------------------------------------------------------

    async def _get(self, tool: ToolSpec, checked: Checked) -> Envelope:
        until = self._client.deadline(tool.deadline_seconds)
        answer = await self._client.read(build(tool, checked.wire), until=until)
        record = tool.to_record(answer, checked.wire) if tool.to_record else single(answer)
        if record is None or (is_object(record) and not any(record.get(key) for key in tool.record.keys)):
            raise Unreadable("Finexio's answer holds no record; nothing changed.")
        return self._outlet.record(
            tool.record,
            record,
            arguments=checked.wire,
            fields=checked.local.get("fields"),
            notices=[*checked.notices, *_other_id(tool, record, checked.wire)],
        )

    async def _list(self, tool: ToolSpec, checked: Checked) -> Envelope:
        checked, place = _resume(tool, checked)
        limit = checked.local.get("limit", PAGE_SIZE)
        key = row_key if tool.record.keyed else entry_key
        until = self._client.deadline(tool.deadline_seconds)
        if tool.listing is Listing.ARRAY:
            answer = await self._client.read(build(tool, checked.wire), until=until)
            part = await read_array(_rows(tool, answer).rows, place, limit)
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
            cursors=_cursors(tool, checked, part, limit),
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
        return _rows(tool, answer)

    # Writes ------------------------------------------------------------------

    async def _prepare(self, tool: ToolSpec, arguments: dict[str, Any], until: float) -> tuple[dict[str, Any], Request]:
        """Everything that comes before a write leaves, so that what fails here has changed nothing."""
        if tool.before is not None:
            found = await self._client.read(build_get(tool.before.route, arguments), until=until)
            arguments = tool.before.resolve(_rows(tool, found).rows, arguments)
        request = build(tool, arguments)
        await self._client.turn(until)
        return arguments, request

    async def _write(
        self,
        tool: ToolSpec,
        checked: Checked,
        arguments: dict[str, Any],
        request: Request,
        until: float,
        op_id: str,
    ) -> Envelope:
        answer = await self._client.write(request, until=until, rows=tool.body_rows)
        if tool.effect is Effect.PAY:
            return self._batch_answer(tool, checked, answer, op_id)
        written = Written(op_id, "confirmed")
        notices = list(checked.notices)
        if tool.notice is not None and (notice := tool.notice(answer)):
            notices.append(notice)
        if not answer and tool.after is not None:
            answer, sentence = await self._look_after(tool.after, arguments, until)
            notices += [sentence] if sentence else []
        record = tool.to_record(answer, arguments) if tool.to_record else single(answer)
        if record is None or (tool.to_record is None and not tool.is_it(record, arguments)):
            raise OutcomeUnknown(
                "Finexio accepted the call, but its answer does not show that it was done. "
                "Look before sending it again."
            )
        return self._outlet.record(tool.record, record, arguments=checked.wire, notices=notices, written=written)

    async def _look_after(self, route: str, arguments: dict[str, Any], until: float) -> tuple[Any, str | None]:
        """Finexio accepted a change without showing the record; a look that fails does not undo the change."""
        try:
            return await self._client.read(build_get(route, arguments), until=until), None
        except FinexioError:
            return {"id": arguments["id"]}, "Changed; the record could not be shown just now."

    def _batch_answer(self, tool: ToolSpec, checked: Checked, answer: Any, op_id: str) -> Envelope:
        status, rows, notices = match_batch(checked.wire["invoices"], answer)
        written = Written(op_id, status)
        if status != "confirmed":
            error = OutcomeUnknown(
                "Finexio accepted the batch, but its answer does not show every invoice as it was sent. "
                "`result` says which are in doubt. Do not send them again; look with list_all_finexio_invoices "
                "and tell the user."
            )
            return self._outlet.failed(error, arguments=checked.wire, written=written, rows=rows)
        return self._outlet.batch(
            tool.record, rows, arguments=checked.wire, written=written, notices=[*checked.notices, *notices]
        )


def single(answer: Any) -> Any:
    """The one record in an object, in an array of one, or in a page that holds one."""
    if is_object(answer) and is_array(answer.get("results")):
        answer = answer["results"]
    if is_array(answer):
        answer = answer[0] if len(answer) == 1 else None
    return answer if is_object(answer) else None


def _rows(tool: ToolSpec, answer: Any) -> Page:
    """The rows in a page, in a bare array, or in a bare object."""
    if tool.to_rows is not None:
        rows = tool.to_rows(answer)
        return Page(rows, len(rows), last=True)
    if is_object(answer) and "results" in answer:
        rows, count = answer["results"], answer.get("count")
        if is_array(rows):
            whole = count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
            return Page(rows, whole, last=answer["next"] is None if "next" in answer else None)
    elif is_array(answer):
        return Page(answer, len(answer), last=True)
    elif is_object(answer) and not answer.keys().isdisjoint(tool.record.keys):
        return Page([answer], 1, last=True)
    raise Unreadable("Finexio's answer holds no list; nothing changed.")


def _other_id(tool: ToolSpec, record: Any, arguments: dict[str, Any]) -> list[str]:
    """Old keys may lead to records with new ids, so this is no failure; it must not pass unseen either."""
    comparable = is_object(record) and tool.record.keys == ("id",)
    found, asked = record.get("id") if comparable else None, arguments.get("id")
    same = not found or not asked or str(found).casefold() == str(asked).casefold()
    return [] if same else ["Finexio answered with a record of another id than the one asked for."]


def _resume(tool: ToolSpec, checked: Checked) -> tuple[Checked, Place]:
    """Where to read on. What a cursor carries passes the same checks as what is typed."""
    text = checked.local.get("next_cursor")
    if text is None:
        return checked, Place()
    try:
        filters, place = decode(text, tool.name)
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
    tool: ToolSpec, checked: Checked, part: Slice, limit: int
) -> Callable[[int], tuple[str | None, str | None]]:
    def write(place: Place | None) -> str | None:
        if place is None or not tool.paged:
            return None
        try:
            return encode(tool.name, checked.wire, place)
        except CursorError as error:
            raise InvalidCursor(str(error)) from None

    return lambda served: (write(part.next_place(served)), write(part.previous_place(limit)))


def _with_way_out(tool: ToolSpec, error: FinexioError, checked: Checked) -> FinexioError:
    if tool.way_out is not None and (sentence := tool.way_out(error, checked.wire)):
        error.message = f"{error.message} {sentence}"
    return error


def _internal(error: Exception, *, sent: bool) -> FinexioError:
    """A fault of ours. The message of a foreign exception may hold anything, so only its kind and place are logged."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("internal error: %s\n%s", type(error).__name__, where)
    if sent:
        return OutcomeUnknown(
            "Something went wrong in this server while writing, and it is unknown what Finexio did. Look before "
            "sending it again; the operator finds the cause in the log."
        )
    return Internal("Something went wrong in this server; nothing was sent. The operator finds the cause in the log.")


def _log(tool: ToolSpec, envelope: Envelope, op_id: str | None, seconds: float) -> None:
    status: WriteStatus | str = envelope.content.get("status", "ok")
    outcome = envelope.content["error"]["code"] if "error" in envelope.content else status
    logger.info(
        "%s %s%s %.0f ms",
        tool.name,
        outcome,
        f" {op_id}" if op_id else "",
        seconds * 1000,
        extra={"tool": tool.name, "outcome": outcome, "op_id": op_id, "duration_ms": round(seconds * 1000)},
    )
