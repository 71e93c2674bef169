"""What a caller is told about a write: a status for the call, one for each row, and what to do next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finexio_mcp.envelope import Envelope, Outlet, Written
from finexio_mcp.errors import (
    Conflict,
    FinexioError,
    NotExecuted,
    OutcomeUnknown,
    Problem,
    RefusedByPolicy,
    Rejected,
    WriteStatus,
)
from finexio_mcp.guards.digests import NO_DIGEST, SETTLED, TAIL
from finexio_mcp.guards.ledger.rows import Claim, Near, Submission, Wanted, moment
from finexio_mcp.guards.ledger.states import OPEN, State
from finexio_mcp.tools.spec import ToolSpec

Row = dict[str, Any]

WORST_FIRST: tuple[WriteStatus, ...] = (
    "conflict",
    "in_doubt",
    "in_progress",
    "not_executed",
    "rejected",
    "already_submitted",
    "confirmed",
)
GOOD: frozenset[WriteStatus] = frozenset({"confirmed", "already_submitted", "in_progress"})
"""Statuses that are no error."""

ACCEPTED = "Accepted by Finexio; payments follow by themselves. Not yet paid."
FOUND = "Finexio's answer did not show it, so Finexio was asked, and the invoices are there."
CHANGED = "Done: Finexio's answer was lost, so Finexio was asked, and the change is there."
RUNNING = "Being submitted. Do not submit it again in any other form; repeat this exact call later to see the outcome."
EARLIER = "Submitted earlier ({when}); nothing was sent now."
SAID = "That Finexio has it is what a person recorded."
EXTRA = "Finexio's answer also shows invoices that were not in this call; they are left out."
NOT_SHOWN = "Finexio's answer could not be shown; the operator finds the cause in the log."
UNRECORDED = (
    "The ledger could not record this outcome, so a repeated call may say that it is in doubt until it was looked up."
)
IN_DOUBT = (
    "The outcome is unknown: it may have happened. Do not submit it in any other form. Repeat this exact call later: "
    "nothing is sent twice, and it tells what is known by then. A person may need to look; tell the user that it is "
    "unknown."
)
MAYBE_THERE = (
    "Finexio refused this, and an invoice with this number may already exist there. Whether it is one that was sent "
    "from here is being looked up: repeat this exact call later, and do not submit it in any other form."
)
REFUSED_BATCH = (
    "Rows without a reason of their own are in_progress: Finexio does not say whether it keeps them, so they are "
    "looked up. Wait half a minute, then send the call again with the refused rows corrected: rows that Finexio kept "
    "are named then, and not sent twice."
)
WITH_BATCH = (
    "Rows without a reason of their own were refused with the batch; nothing of them was found. They may be sent again."
)
DIFFERS = (
    "Nothing was sent: an invoice of this number was submitted before with another amount, currency, date or discount. "
    "A person must decide; do not change the number to get around this."
)
ELSEWHERE = (
    "Nothing was sent: an invoice with this number, or an unsettled one that looks like it, is already held by this "
    "server for the same buyer and supplier, under another login. A person must look (`finexio-mcp ledger list`); do "
    "not change the number to get around this."
)
CONFLICT = (
    "Finexio has this with another content than was sent from here, or has it after it was given up. A person must "
    "look and settle it with `finexio-mcp ledger resolve`; do not submit it again in any form."
)
MAYBE_THERE_ALREADY = (
    "Finexio refused this, and an earlier attempt may have arrived late. That is being looked up: repeat this exact "
    "call later."
)
PARTLY_THERE = (
    "Finexio has this only in part, or has it after it was given up. Look at the records, and send only what is "
    "missing. A person can close the open entry with `finexio-mcp ledger resolve`."
)
CONFLICT_OF_CHANGE = (
    "Finexio has a record of this key with another content than was sent from here, so this was most likely refused "
    "there. Look at that record: to change it use an update; repeating this call sends it again. A person can close "
    "the open entry with `finexio-mcp ledger resolve`."
)
UNSEEN = (
    "Finexio shows part of this only by its end, otherwise or not at all (account numbers, identity numbers, "
    "passwords, deliveries): if looking does not settle it, a person has to, with `finexio-mcp ledger resolve`."
)
MIXED = (
    "Nothing was sent: some of these invoices were submitted before, as `result` shows. Leave these out and send the "
    "rest."
)
MIXED_RUNNING = (
    "Nothing was sent: some of these invoices are on their way or being looked up, as `result` shows. Wait half a "
    "minute and repeat this exact call."
)
ABSENT = (
    "It never left, or two late looks or a person did not find it at Finexio: it may be sent again with the same call."
)
PARTLY = (
    "Some of these invoices are there; those that are not_executed never left, or were not found at Finexio. Leave the "
    "others out and send these."
)
NEAR_OPEN = (
    "Nothing was sent: this looks like an invoice of the same supplier whose outcome is not known yet. Wait until that "
    "one is settled; do not change or split the call."
)
NEAR_REFUSED = (
    "Nothing was sent: this looks like an invoice of the same supplier that was submitted before. If the user says "
    "that it is another one, give the id of the newest that is named as not_a_duplicate_of in the row."
)
NEAR_NOTICE = (
    "{number} looks like {earlier} ({id}), submitted {when}: {why}. If it is the same bill, tell the user: it may be "
    "paid twice."
)
ALIKE_REFUSED = (
    "Nothing was sent: rows of this batch look like one another. If the user says that they are different bills, send "
    "them one by one, each with the id of the one before as not_a_duplicate_of."
)
ALIKE_NOTICE = "Rows look alike: {shown}. If they are the same bill, tell the user: it may be paid twice."
WHY = {"number": "the same number but for its form", "amount": "the same amount and date"}
MAX_NEAR = 10
MAX_ALIKE = 5


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer to a write, before it is masked, cleaned and fitted."""

    tool: ToolSpec
    arguments: Mapping[str, Any]
    written: Written
    record: Any = None
    """What a change of master data shows."""
    rows: Sequence[Row] | None = None
    """A row for each invoice."""
    notices: Sequence[str] = ()
    error: FinexioError | None = None

    def bare(self) -> Reply:
        """The same without anything that Finexio said."""
        rows = None if self.rows is None else [_few(row) for row in self.rows]
        if self.error is not None:
            self.error.problems = ()
        return replace(self, record=None, rows=rows, notices=[NOT_SHOWN])

    def seal(self, outlet: Outlet, *, notices: Sequence[str] = ()) -> Envelope:
        """Make it an envelope, with what else the caller should hear."""
        arguments, notices = dict(self.arguments), [*notices, *self.notices]
        if self.error is not None:
            return outlet.failed(self.error, arguments=arguments, written=self.written, rows=self.rows, notices=notices)
        if self.rows is not None:
            return outlet.batch(self.tool.record, self.rows, arguments=arguments, written=self.written, notices=notices)
        return outlet.record(self.tool.record, self.record, arguments=arguments, written=self.written, notices=notices)


MEANS: Mapping[State, WriteStatus] = {
    State.INTENDED: "in_progress",
    State.SENT: "in_progress",
    State.CONFIRMED: "already_submitted",
    State.REJECTED: "rejected",
    State.IN_DOUBT: "in_doubt",
    State.ABSENT: "not_executed",
    State.CONFLICT: "conflict",
}


def status_of(row: Submission, *, fresh: bool) -> WriteStatus:
    """What the state of a row means for a caller.

    Args:
        row: As the ledger has it.
        fresh: Whether it was this call that submitted it.
    """
    if row.state is State.CONFIRMED and fresh:
        return "confirmed"
    if row.state is State.REJECTED and row.reason in {"not_executed", "never_sent"}:
        return "not_executed"
    return MEANS[row.state]


def worst(statuses: Sequence[WriteStatus]) -> WriteStatus:
    """The status of a call, from those of its rows."""
    return min(statuses, key=WORST_FIRST.index)


def tell_batch(
    tool: ToolSpec,
    arguments: Mapping[str, Any],
    rows: Sequence[Submission],
    *,
    fresh: bool,
    op_id: str,
    records: Sequence[Row | None] = (),
    notices: Sequence[str] = (),
    error: FinexioError | None = None,
) -> Reply:
    """The answer for rows that stand in the ledger, in the order given.

    Args:
        tool: What was called.
        arguments: With what.
        rows: As the ledger has them now.
        fresh: Whether this call submitted them.
        op_id: What the caller may ask for later.
        records: Finexio's own records of the rows, where its answer showed them.
        notices: Further sentences.
        error: What kept Finexio from accepting them.
    """
    statuses: list[WriteStatus] = [status_of(row, fresh=fresh) for row in rows]
    status = worst(statuses)
    shown = [
        _row(row, own, status, record)
        for row, own, record in zip(rows, statuses, [*records, *[None] * (len(rows) - len(records))], strict=True)
    ]
    refused = isinstance(error, Rejected)
    told = [*notices, *_sentences(rows, statuses, refused=refused)]
    good = status in GOOD and not (refused and status == "in_progress")
    failure = None if good else _failure(status, statuses, rows, error)
    if failure is not None:
        shown = [_few(row) for row in shown]
    return Reply(
        tool=tool, arguments=arguments, written=Written(op_id, status), rows=shown, notices=told, error=failure
    )


def _row(row: Submission, own: WriteStatus, status: WriteStatus, record: Row | None) -> Row:
    invoice = row.invoice
    assert invoice is not None, "a batch holds invoices"  # noqa: S101
    base: Row = record or {
        **({"id": row.finexio_id} if row.finexio_id else {}),
        "invoice_number": invoice.number,
        "amount_cents": invoice.amount_cents,
        "currency": invoice.currency,
        "invoice_date": invoice.invoice_date,
        "originating_counterparty_id": invoice.buyer,
    }
    # Finexio's record has a status too: that of the invoice, which a new one does not need.
    base = {name: value for name, value in base.items() if name != "status"}
    return {**base, "status": own} if own != status else base


def _few(row: Row) -> Row:
    return {name: row[name] for name in ("id", "invoice_number", "status") if name in row}


def _sentences(rows: Sequence[Submission], statuses: Sequence[WriteStatus], *, refused: bool) -> list[str]:
    told: list[str] = []
    if "confirmed" in statuses:
        told.append(ACCEPTED)
    if any(row.reason == "found" and status == "confirmed" for row, status in zip(rows, statuses, strict=True)):
        told.append(FOUND)
    if earlier := [row for row, status in zip(rows, statuses, strict=True) if status == "already_submitted"]:
        told.append(EARLIER.format(when=moment(min(row.claimed_at_ms for row in earlier))))
        if any(row.by_operator for row in earlier):
            told.append(SAID)
    if "in_progress" in statuses and not refused:
        told.append(RUNNING)
    return told


def _failure(
    status: WriteStatus, statuses: Sequence[WriteStatus], rows: Sequence[Submission], error: FinexioError | None
) -> FinexioError:
    """The error of a call: Finexio's refusal if there was one, else what the worst row means."""
    there = not {"confirmed", "already_submitted"}.isdisjoint(statuses)
    if status == "not_executed" and there:
        error = NotExecuted(PARTLY)
        error.retryable = False
    elif isinstance(error, Rejected):
        if sentence := _about_refusal(status, rows):
            error.message = f"{error.message} {sentence}"
    elif error is None or error.status != status or isinstance(error, OutcomeUnknown):
        http_status = None if error is None else error.http_status
        error = _failure_of(status)
        error.http_status = http_status
    error.status = status
    error.may_have_happened = not {"in_doubt", "in_progress", "conflict", "confirmed", "already_submitted"}.isdisjoint(
        statuses
    )
    if status == "in_progress":
        error.retry_after_seconds = 30.0
    return error


def _failure_of(status: WriteStatus) -> FinexioError:
    match status:
        case "conflict":
            return Conflict(CONFLICT)
        case "in_doubt":
            return OutcomeUnknown(IN_DOUBT)
        case "not_executed":
            return NotExecuted(ABSENT)
        case _:
            return Rejected("Finexio refused this; nothing was created. Correct it and call again.")


def _about_refusal(status: WriteStatus, rows: Sequence[Submission]) -> str | None:
    if status == "in_doubt":
        return MAYBE_THERE_ALREADY if any(row.invoice is None for row in rows) else MAYBE_THERE
    if status == "in_progress":
        return REFUSED_BATCH
    if any(row.reason == "refused_with_batch" for row in rows):
        return WITH_BATCH
    return None


# Changes of master data --------------------------------------------------------


def tell_change(
    tool: ToolSpec,
    arguments: Mapping[str, Any],
    row: Submission,
    *,
    fresh: bool,
    op_id: str,
    record: Any = None,
    notices: Sequence[str] = (),
    error: FinexioError | None = None,
) -> Reply:
    """The answer for one change as the ledger has it now; `record` is what Finexio's answer showed of it."""
    status = status_of(row, fresh=fresh)
    told = [*notices]
    if status == "already_submitted":
        told.append(EARLIER.format(when=moment(row.claimed_at_ms)))
    if status == "in_progress":
        told.append(RUNNING)
    if status == "confirmed" and row.reason == "found":
        told.append(CHANGED)
    failure = None if status in GOOD else _failure(status, [status], [row], error)
    if failure is not None and status == "conflict":
        taken = tool.trace is not None and tool.trace.created_by and row.reason == "found_other"
        failure.message = CONFLICT_OF_CHANGE if taken and _made(row) == 1 else PARTLY_THERE
    if failure is not None and status == "in_doubt" and _is_partly_hidden(tool, row):
        failure.message = f"{failure.message} {UNSEEN}"
    if record is None and status in {"confirmed", "already_submitted"}:
        record = _stand_in(tool, row)
    return Reply(
        tool=tool, arguments=arguments, written=Written(op_id, status), record=record, notices=told, error=failure
    )


def _made(row: Submission) -> int:
    """How many records a change makes or changes."""
    return 0 if row.change is None else len(row.change.digests)


def _is_partly_hidden(tool: ToolSpec, row: Submission) -> bool:
    """Whether a look may not prove all of it. What was created is known by its key."""
    created = tool.trace is not None and tool.trace.created_by
    digests = row.change.digests if row.change is not None and not created else ()
    return any(
        name.endswith(TAIL) or name in SETTLED or digest == NO_DIGEST for one in digests for name, digest in one.items()
    )


def _stand_in(tool: ToolSpec, row: Submission) -> Any:
    """What shows a change that Finexio's answer did not show."""
    if tool.method == "DELETE":
        return tool.to_record(None, {"id": row.finexio_id or ""}) if tool.to_record else True
    return {"id": row.finexio_id} if row.finexio_id else None


# Nothing sent ------------------------------------------------------------------


def tell_running(tool: ToolSpec, arguments: Mapping[str, Any], rows: Sequence[Submission], op_id: str) -> Reply:
    """The answer while a write is still on its way."""
    if rows[0].invoice is None:
        return Reply(tool=tool, arguments=arguments, written=Written(op_id, "in_progress"), notices=[RUNNING])
    shown = [_row(row, "in_progress", "in_progress", None) for row in rows]
    return Reply(tool=tool, arguments=arguments, written=Written(op_id, "in_progress"), rows=shown, notices=[RUNNING])


def tell_mixed(
    tool: ToolSpec, arguments: Mapping[str, Any], claim: Claim, *, op_id: str, notices: Sequence[str] = ()
) -> Reply:
    """The answer to a batch of which some rows stand in the ledger: refused whole, each row with what is known.

    Of rows that another account has nothing is known but that.
    """
    invoices: Sequence[Row] = arguments["invoices"]
    standing: dict[int, WriteStatus] = {at: status_of(row, fresh=False) for at, row in claim.known.items()}
    statuses: list[WriteStatus] = [
        "conflict" if at in claim.differing | claim.elsewhere else standing.get(at, "not_executed")
        for at in range(len(invoices))
    ]
    status = worst(statuses)
    rows = [
        {
            **_id_of(claim.known.get(at)),
            "invoice_number": invoice["invoice_number"],
            **({} if own == status else {"status": own}),
        }
        for at, (invoice, own) in enumerate(zip(invoices, statuses, strict=True))
    ]
    error = _why_mixed(claim, standing.values())
    error.status, error.retryable = status, False
    error.may_have_happened = not {"in_doubt", "in_progress", "conflict"}.isdisjoint(standing.values())
    return Reply(
        tool=tool, arguments=arguments, written=Written(op_id, status), rows=rows, notices=notices, error=error
    )


def _id_of(row: Submission | None) -> Row:
    return {"id": row.finexio_id} if row is not None and row.finexio_id else {}


def _why_mixed(claim: Claim, standing: Collection[WriteStatus]) -> FinexioError:
    if claim.differing or claim.elsewhere:
        named = dict.fromkeys(claim.elsewhere, "is held under another login")
        named |= {at: f"was submitted {_before(claim.known[at])}" for at in claim.differing}
        problems = [Problem(f"invoices[{at}]", problem) for at, problem in sorted(named.items())]
        return Conflict(ELSEWHERE if claim.elsewhere else DIFFERS, problems=problems)
    if "conflict" in standing:
        return Conflict(CONFLICT)
    if "in_doubt" in standing:
        return OutcomeUnknown(MIXED)
    if set(standing) == {"not_executed"}:
        return NotExecuted(ABSENT)
    return NotExecuted(MIXED_RUNNING if "in_progress" in standing else MIXED)


def _before(row: Submission) -> str:
    """What was submitted earlier, for whoever decides."""
    invoice = row.invoice
    what = f" as {invoice.amount_cents} cents of {invoice.invoice_date}" if invoice else ""
    return f"{moment(row.claimed_at_ms)}{what} ({row.op_id})"


def refuse_near(claim: Claim) -> RefusedByPolicy:
    """Why a batch was not sent: rows that look like earlier ones."""
    unsettled = any(_is_open(near) for near in claim.near)
    problems = [
        Problem(f"invoices[{near.position}]", f"{WHY[near.why]} as {_earlier(near)}")
        for near in claim.near
        if not unsettled or _is_open(near)
    ]
    return RefusedByPolicy(NEAR_OPEN if unsettled else NEAR_REFUSED, problems=problems)


def warn_near(claim: Claim) -> list[str]:
    """Sentences about rows that look like earlier ones, and were sent all the same."""
    sentences = [
        NEAR_NOTICE.format(
            number=_number(claim, near),
            earlier=near.earlier.invoice.number if near.earlier.invoice else "",
            id=near.earlier.finexio_id or near.earlier.op_id,
            when=moment(near.earlier.claimed_at_ms),
            why=WHY[near.why],
        )
        for near in claim.near[:MAX_NEAR]
    ]
    more = len(claim.near) - len(sentences)
    return [*sentences, *([f"{more} more rows look like earlier invoices."] if more else [])]


def _number(claim: Claim, near: Near) -> str:
    invoice = claim.rows[near.position].invoice
    return invoice.number if invoice else ""


def alike_within(wanted: Sequence[Wanted]) -> list[Problem]:
    """Rows of one batch that look like earlier rows of it."""
    first_of: dict[tuple[Any, ...], int] = {}
    problems: dict[int, Problem] = {}
    for position, want in enumerate(wanted):
        invoice = want.invoice
        if invoice is None or want.not_a_duplicate_of is not None:
            continue
        for why, key in (
            ("number", (invoice.supplier, invoice.near_number)),
            ("amount", (invoice.supplier, invoice.invoice_date, invoice.amount_cents)),
        ):
            first = first_of.setdefault(key, position)
            if first != position:
                problems.setdefault(position, Problem(f"invoices[{position}]", f"{WHY[why]} as invoices[{first}]"))
    return list(problems.values())


def refuse_alike(problems: Sequence[Problem]) -> RefusedByPolicy:
    """Why a batch was not sent: rows that look like one another."""
    return RefusedByPolicy(ALIKE_REFUSED, problems=problems)


def warn_alike(problems: Sequence[Problem]) -> list[str]:
    """A sentence about rows that look like one another, and were sent all the same."""
    if not problems:
        return []
    shown = "; ".join(f"{field} has {problem}" for field, problem in problems[:MAX_ALIKE])
    more = len(problems) - MAX_ALIKE
    return [ALIKE_NOTICE.format(shown=f"{shown}; and {more} more" if more > 0 else shown)]


def refuse_day(claim: Claim, limit: int, name: str) -> RefusedByPolicy:
    """Why a batch was not sent: the day's limit, and where that was set."""
    return RefusedByPolicy(
        f"Nothing was sent: with this batch {claim.day_cents} cents would have been submitted within 24 hours, and the "
        f"operator's limit is {limit} ({name}). Do not split the call to get around this; tell the "
        "user."
    )


def _is_open(near: Near) -> bool:
    return near.earlier.state in OPEN or near.earlier.state is State.CONFLICT


def _earlier(near: Near) -> str:
    invoice = near.earlier.invoice
    number = invoice.number if invoice else near.earlier.op_id
    where = near.earlier.finexio_id or near.earlier.op_id
    return f"{number} ({where}, {near.earlier.state}, {moment(near.earlier.claimed_at_ms)})"
