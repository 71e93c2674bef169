"""What the ledger knows, as records that people and models read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finexio_mcp.errors import NotFound
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.rows import Event, Submission, moment
from finexio_mcp.guards.ledger.states import State

Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """Submissions as records, newest first."""

    shown: list[Row]
    ids: list[int]
    more: bool

    def goes_on_after(self, served: int) -> int | None:
        """The row after which the next page begins, when only so many were served; `None` at the end."""
        return self.ids[served - 1] if served and (self.more or served < len(self.ids)) else None


async def find(book: Book, filters: Row, *, limit: int, before_id: int | None) -> Found:
    """Submissions that fit the filters.

    Raises:
        LedgerUnavailable: The ledger cannot be read.
    """
    state = filters.get("state")
    found = await book.find(
        number=filters.get("invoice_number"),
        supplier=filters.get("supplier_id"),
        states=None if state is None else {State(state)},
        limit=limit + 1,
        before_id=before_id,
    )
    shown = found[:limit]
    return Found([row_of(row) for row in shown], [row.id for row in shown], more=len(found) > limit)


async def show(book: Book, op_id: str) -> Row:
    """One call with all that it submitted.

    Raises:
        NotFound: No write of this name went through this ledger.
        LedgerUnavailable: The ledger cannot be read.
    """
    rows = await book.get(op_id)
    if not rows:
        raise NotFound("No write with this op_id stands in the ledger. find_finexio_submissions shows those that do.")
    return call_of(rows, await book.history(op_id))


def call_of(rows: Sequence[Submission], events: Sequence[Event]) -> Row:
    """One call: what it submitted, in the order given, and what happened to that."""
    numbers = {row.position: row.invoice.number for row in rows if row.invoice}
    return {
        "op_id": rows[0].op_id,
        "tool": rows[0].tool,
        "submitted": moment(rows[0].claimed_at_ms),
        "rows": [row_of(row) for row in rows],
        "history": [_event(event, numbers.get(event.position)) for event in events],
    }


def row_of(row: Submission) -> Row:
    """One submission, without what is not known."""
    invoice = row.invoice
    record: Row = {
        "op_id": row.op_id,
        "invoice_number": invoice.number if invoice else None,
        "state": str(row.state),
        "reason": row.reason,
        "amount_cents": invoice.amount_cents if invoice else None,
        "currency": invoice.currency if invoice else None,
        "invoice_date": invoice.invoice_date if invoice else None,
        "originating_counterparty_id": invoice.buyer if invoice else None,
        "receiving_counterparty_id": invoice.supplier if invoice else None,
        "id": row.finexio_id,
        "tool": row.tool,
        "submitted": moment(row.claimed_at_ms),
        "sent": None if row.sent_at_ms is None else moment(row.sent_at_ms),
        "settled": None if row.settled_at_ms is None else moment(row.settled_at_ms),
        "by_operator": row.by_operator or None,
    }
    return {name: value for name, value in record.items() if value is not None}


def _event(event: Event, number: str | None) -> Row:
    record: Row = {
        "at": moment(event.at_ms),
        "invoice_number": number,
        "before": None if event.before is None else str(event.before),
        "after": str(event.after),
        "reason": event.reason,
        "by": event.by,
        "note": event.note,
    }
    return {name: value for name, value in record.items() if value is not None}
