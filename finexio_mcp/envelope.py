"""The only way out: every result and every error is shaped, masked, cleaned and fitted here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from pydantic_core import to_json

from finexio_mcp.errors import FinexioError, Problem, WriteStatus
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.masking import Mask
from finexio_mcp.guards.numbers import Secrets, hide_in, hide_passwords, telling
from finexio_mcp.shapes import CONTAINERS, is_array, is_flat, is_object
from finexio_mcp.tools.spec import Record

MAX_ERROR_CHARS = 10_000
MAX_PROBLEMS = 20
MAX_PROBLEM_CHARS = 200
MAX_OUR_CHARS = 400
ROOM_FOR_FRAME = 1_500
"""Characters kept free for cursors, counts and notices around the rows."""

TOO_LONG = "(too long to be shown)"
SHORTENED = "This answer was cut to fit: {rows} of {of} rows. next_cursor goes on right after them."
SHORTENED_FOR_GOOD = "This answer was cut to fit: {rows} of {of} rows. The others cannot be shown."
CUT = "Cut to fit: {names}. Ask for them one by one with `fields`."
CUT_ROWS = "Cut from every row to fit: {names}. See list_all_finexio_invoices."
CUT_LINES = "Notice: cut to fit, only the beginning is shown: {names}."
LEFT_OUT = "{count} rows are left out to fit; those without a status share the call's."
NO_SUCH_FIELD = "No record here has the field {name}{hint}"


Cursors = Callable[[int], tuple[str | None, str | None]]
"""From the number of rows served to the next and the previous cursor."""

FRAME = frozenset({"status", "op_id", "next_cursor", "prev_cursor", "result_count", "total_count", "notices", "error"})
"""What stands in an answer in our words; everything else may be Finexio's."""


@dataclass(frozen=True)
class Envelope:
    """One answer: structured, and the same as compact JSON."""

    content: dict[str, Any]
    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Written:
    """What became of a write: its id in the ledger and its status."""

    op_id: str
    status: WriteStatus


def new_op_id() -> str:
    """An id for a write, under which it stands in the ledger and in the log."""
    return f"op_{token_hex(8)}"


class Outlet:
    """Makes envelopes.

    Args:
        mask: Decides what is shown in clear.
        max_chars: Longest text of an answer.
        credentials: What this server signs in with, which no answer may hold.
    """

    def __init__(self, mask: Mask, max_chars: int, credentials: Callable[[], Collection[str]] = tuple) -> None:
        self._mask = mask
        self._max_chars = max_chars
        self._credentials = credentials

    def record(
        self,
        record: Record,
        answer: Any,
        *,
        arguments: dict[str, Any],
        fields: Sequence[str] | None = None,
        notices: Sequence[str] = (),
        written: Written | None = None,
    ) -> Envelope:
        """One record, or what stands in for one (`true`, an empty list)."""
        secrets = self._mask.learn(answer, arguments)
        shown = self._mask.apply(_show(record, answer, fields or (), asked=fields is not None), secrets)
        notices = [*notices, *_unknown_fields(record, [answer], fields)]
        frame = {} if written is None else {"status": written.status, "op_id": written.op_id}
        envelope = self._seal({**frame, "result": shown, **_noticed(notices)})
        if len(envelope.text) <= self._max_chars:
            return envelope
        shown, cut = _fit(shown, tuple(record.fields), self._max_chars - ROOM_FOR_FRAME)
        return self._seal({**frame, "result": shown, **_noticed([*notices, CUT.format(names=_few(cut))])})

    def rows(
        self,
        record: Record,
        rows: Sequence[Any],
        *,
        arguments: dict[str, Any],
        cursors: Cursors,
        total: int | None,
        fields: Sequence[str] | None = None,
        notices: Sequence[str] = (),
    ) -> Envelope:
        """As many rows as fit, and cursors that go on exactly there."""
        secrets = self._mask.learn(rows, arguments)
        view = self._mask.view(secrets)
        notices = [*notices, *_unknown_fields(record, rows, fields)]
        room = self._max_chars - ROOM_FOR_FRAME - sum(map(len, notices))
        names = fields or record.core
        shown: list[Any] = []
        pieces: list[str] = []
        for row in rows:
            row = _show(record, row, names, asked=fields is not None)
            piece = _dump(row)
            if not (is_object(row) and view.passes(row, piece)):
                row = view.shown(row)
                piece = _dump(row)
            if not pieces and len(piece) > room:
                row, cut = _fit(row, (), room)
                piece = _dump(row)
                notices.append(CUT.format(names=_few(cut)))
            room -= len(piece) + 1
            if pieces and room < 0:
                break
            shown.append(row)
            pieces.append(piece)
        following, previous = cursors(len(pieces))
        if len(pieces) < len(rows):
            sentence = SHORTENED if following else SHORTENED_FOR_GOOD
            notices.append(sentence.format(rows=len(pieces), of=len(rows)))
        frame: dict[str, Any] = {
            "next_cursor": following,
            "prev_cursor": previous,
            "result_count": len(pieces),
            "total_count": total,
            **_noticed(notices),
        }
        # Each row is serialised once, for its length and for the text.
        text = f'{{"result":[{",".join(pieces)}],{_dump(frame)[1:]}'
        return self._close({"result": shown, **frame}, text)

    def batch(
        self,
        record: Record,
        rows: Sequence[Any],
        *,
        arguments: dict[str, Any],
        written: Written,
        notices: Sequence[str],
    ) -> Envelope:
        """A row for each row that was sent; whatever must go to fit, ids and numbers stay."""
        secrets = self._mask.learn(rows, arguments)
        names = (*record.core, "status")
        shown: list[Any] = self._mask.apply([_show(record, row, names) for row in rows], secrets)
        shown, cut = _fit_columns(shown, record.core, self._max_chars - ROOM_FOR_FRAME)
        notices = [*notices, *([CUT_ROWS.format(names=_few(cut))] if cut else [])]
        return self._seal({"status": written.status, "op_id": written.op_id, "result": shown, **_noticed(notices)})

    def seen(self, records: Sequence[tuple[Record, Any]], *, arguments: dict[str, Any]) -> list[Any]:
        """What may be seen of several records, for an answer that is made of them."""
        secrets = self._mask.learn([answer for _, answer in records], arguments)
        return [self._mask.apply(_show(record, answer, ()), secrets) for record, answer in records]

    def results(self, rows: Sequence[dict[str, str]], note: Callable[[int], dict[str, str] | None]) -> Envelope:
        """As many results as fit, made of what was `seen`.

        Args:
            rows: All of them, the best first.
            note: From the number that is shown to a last one, which says what is missing, if anything is.
        """
        count = len(rows)
        while True:
            last = note(count)
            envelope = self._seal({"results": [*rows[:count], *([last] if last else [])]})
            if not count or len(envelope.text) <= self._max_chars:
                return envelope
            count -= 1

    def document(self, head: dict[str, str], lines: dict[str, list[str]], metadata: dict[str, str]) -> Envelope:
        """One record as text, made of what was `seen`; where it is too long, its longest fields lose their end."""
        room = self._max_chars - len(_dump({**head, "metadata": metadata})) - ROOM_FOR_FRAME
        kept, cut = _fit_lines(lines, room)
        text = [line for name in lines for line in kept[name]]
        if cut:
            text.append(CUT_LINES.format(names=_few(cut)))
        return self._seal({**head, "text": "\n".join(text), "metadata": metadata})

    def failed(
        self,
        error: FinexioError,
        *,
        arguments: Any = None,
        written: Written | None = None,
        rows: Sequence[dict[str, Any]] | None = None,
        notices: Sequence[str] = (),
    ) -> Envelope:
        """A failure in our words; the vendor's stand in `fields`, masked, cleaned and bounded."""
        secrets = self._mask.learn(arguments, list(rows or ()))
        message, shown = error.message, error.problems[:MAX_PROBLEMS]
        if more := len(error.problems) - len(shown):
            message += f" {more} more problems are not shown."
        body: dict[str, Any] = {
            "code": error.code,
            "message": message,
            "may_have_happened": error.may_have_happened,
            "retryable": error.retryable,
        }
        if error.retry_after_seconds is not None:
            body["retry_after_s"] = error.retry_after_seconds
        if error.http_status is not None:
            body["http_status"] = error.http_status
        if shown:
            body["fields"] = [self._problem(problem, secrets, quoted=error.quotes_finexio) for problem in shown]
            while len(_dump(body)) > MAX_ERROR_CHARS - ROOM_FOR_FRAME:
                body["fields"].pop()
        if written is None:
            return self._seal({"error": body}, is_error=True)
        frame = {"status": written.status, "op_id": written.op_id, "error": body}
        if rows is None:
            return self._seal({**frame, "result": None, **_noticed(notices)}, is_error=True)
        masked: list[Any] = self._mask.apply(list(rows), secrets)
        kept, cut = _fit_failed_rows(masked, MAX_ERROR_CHARS - len(_dump(frame)) - sum(map(len, notices)) - 200)
        return self._seal({**frame, "result": kept, **_noticed([*notices, *cut])}, is_error=True)

    def _problem(self, problem: Problem, secrets: Secrets, *, quoted: bool) -> dict[str, str]:
        field = self._mask.text(problem.field, secrets, limit=100)
        if not quoted:
            return {"field": field, "problem": clean(problem.problem, limit=MAX_OUR_CHARS, single_line=True)}
        words = self._mask.problem(problem.field, problem.problem, secrets, limit=MAX_PROBLEM_CHARS)
        return {"field": field, "problem": words}

    def _seal(self, content: dict[str, Any], *, is_error: bool = False) -> Envelope:
        return self._close(content, _dump(content), is_error=is_error)

    def _close(self, content: dict[str, Any], text: str, *, is_error: bool = False) -> Envelope:
        """The last look: our own credentials may have come back in anything."""
        credentials = [secret for secret in self._credentials() if telling(secret)]
        if hide_passwords(text, credentials) != text:
            # Only values that Finexio wrote: in the text a password may match a number, or JSON's own signs.
            content = {key: value if key in FRAME else hide_in(value, credentials) for key, value in content.items()}
            if "fields" in content.get("error", {}):
                error: dict[str, Any] = content["error"]
                content["error"] = {**error, "fields": hide_in(error["fields"], credentials)}
            text = _dump(content)
        return Envelope(content, text, is_error)


def _dump(value: Any) -> str:
    return to_json(value).decode()


def _noticed(notices: Sequence[str]) -> dict[str, list[str]]:
    return {"notices": list(dict.fromkeys(notices))} if notices else {}


def _few(names: Sequence[str]) -> str:
    """Names in a sentence that stays one."""
    shown = ", ".join(names[:MAX_PROBLEMS])
    return shown if len(names) <= MAX_PROBLEMS else f"{shown} and {len(names) - MAX_PROBLEMS} more"


# Which fields ----------------------------------------------------------------


def _show(record: Record, row: Any, names: Sequence[str], *, asked: bool = False) -> Any:
    """The named fields of one record, without those that say nothing.

    Args:
        record: What the tool returns.
        row: What came.
        names: Those to show; none stands for all.
        asked: Whether the caller named them.
    """
    if "*" in names:
        return row
    if is_array(row):
        return [_show(record, item, names, asked=asked) for item in row]
    if not is_object(row):
        return row
    get = row.get
    shown = {name: value for name in names or row if (value := get(name)) is not None and value != ""}
    if not is_flat(shown.values()):
        shown = {name: _without_absent(value) for name, value in shown.items()}
    if record.only_if_true and not asked:
        return {name: value for name, value in shown.items() if value or name not in record.only_if_true}
    return shown


def _without_absent(value: Any) -> Any:
    """Nulls and empty texts say nothing, at any depth, and cost tokens."""
    if is_object(value):
        return {
            key: _without_absent(item) if isinstance(item, CONTAINERS) else item
            for key, item in value.items()
            if item is not None and item != ""
        }
    return [_without_absent(item) for item in value] if is_array(value) else value


def _unknown_fields(record: Record, rows: Sequence[Any], fields: Sequence[str] | None) -> list[str]:
    """A misspelt field would otherwise look like an empty one."""
    missing = [name for name in fields or () if name != "*" and name not in record.fields]
    return [
        NO_SUCH_FIELD.format(name=name, hint=_nearest(name, record))
        for name in missing
        if not any(is_object(row) and name in row for row in rows)
    ]


def _nearest(name: str, record: Record) -> str:
    near = difflib.get_close_matches(name, record.fields, n=1)
    return f"; did you mean {near[0]}?" if near else f". There are: {', '.join(record.fields)}."


# Fitting ---------------------------------------------------------------------


def _fit(shown: Any, names: Sequence[str], room: int) -> tuple[Any, list[str]]:
    """One record, or several of one write, without what is too long."""
    if is_object(shown):
        return _fit_record(shown, room)
    if is_array(shown) and shown and all(map(is_object, shown)):
        return _fit_columns(shown, names, room)
    return TOO_LONG, ["the whole answer"]


def _fit_record(row: dict[str, Any], room: int) -> tuple[dict[str, Any], list[str]]:
    """Without its longest fields, as many as it takes."""
    sizes = {name: len(_dump(name)) + len(_dump(value)) + 2 for name, value in row.items()}
    excess = sum(sizes.values()) - room
    cut: list[str] = []
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if excess <= 0:
            break
        excess -= sizes[name]
        cut.append(name)
    return {name: value for name, value in row.items() if name not in cut}, cut


def _fit_lines(fields: dict[str, list[str]], room: int) -> tuple[dict[str, list[str]], list[str]]:
    """Without the last lines of the longest fields, as many as it takes."""
    sizes = {name: [len(_dump(line)) for line in lines] for name, lines in fields.items()}
    excess = sum(map(sum, sizes.values())) - room
    kept, cut = {**fields}, list[str]()
    for name in sorted(sizes, key=lambda name: sum(sizes[name]), reverse=True):
        if excess <= 0:
            break
        left = len(sizes[name])
        while left and excess > 0:
            left -= 1
            excess -= sizes[name][left]
        kept[name] = fields[name][:left]
        cut.append(name)
    return kept, cut


KEPT_COLUMNS = ("id", "invoice_number", "external_reference_id", "status")


def _fit_columns(rows: list[dict[str, Any]], core: Sequence[str], room: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Without the last columns, as many as it takes; those that say what happened stay whatever it costs."""
    excess = len(_dump(rows)) - room
    cut: list[str] = []
    for name in reversed([name for name in core if name not in KEPT_COLUMNS]):
        if excess <= 0:
            break
        excess -= sum(len(_dump({name: row[name]})) - 1 for row in rows if name in row)
        cut.append(name)
    return [{key: value for key, value in row.items() if key not in cut} for row in rows] if cut else rows, cut


def _fit_failed_rows(rows: list[Any], room: int) -> tuple[list[Any], list[str]]:
    """Every row if they fit, or if Finexio took some of them: which ones nothing else would tell."""
    if len(_dump(rows)) <= room or any("id" in row for row in rows):
        return rows, []
    kept = [row for row in rows if "status" in row and (room := room - len(_dump(row)) - 1) >= 0]
    return kept, [LEFT_OUT.format(count=len(rows) - len(kept))]
