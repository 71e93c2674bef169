"""A submission of the ledger as operators see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finexio_mcp.callers import OPERATOR
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.ledger.moves import is_left_behind
from finexio_mcp.guards.ledger.rows import Reason, Submission, moment
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.settings import DEFAULT_ACCOUNT

MAX_SHOWN_CHARS = 200
MAX_NOTE_CHARS = 500

UNSETTLED = (State.IN_DOUBT, State.CONFLICT)
"""States that a person's word leads out of."""

WHY: Mapping[Reason, str] = {
    "never_sent": "Nothing of it left.",
    "abandoned": "Its process ended before anything of it left.",
    "taken_over": "Its process ended while it was being submitted.",
    "accepted": "Finexio's answer shows it.",
    "refused": "Finexio refused it.",
    "refused_with_batch": "Another row of its batch was refused, and it was not found at Finexio afterwards.",
    "not_executed": "Finexio turned it away unread.",
    "no_answer": "It left, and no answer told what came of it.",
    "unclear_answer": "Finexio answered, but the answer does not show it.",
    "unclear_refusal": "Finexio refused it in words that may speak of an earlier attempt from here.",
    "found": "It was looked up and found at Finexio.",
    "unseen": "Finexio accepted it, but its answer does not show it.",
    "found_late": "It had been given up, and then it turned out that Finexio has it.",
    "found_other": "It was looked up, and Finexio has something else in its place.",
    "not_found": "It was looked up twice, long after it left, and not found at Finexio.",
    "operator": "A person said so.",
}
"""What each reason says to whoever reads the history."""

RECORDED = "Recorded before it was sent."
LEAVING = "Recorded before its first byte left."

NEXT_SEEN_TO = "a server sees to it at its next start or write"
PERSON, SERVER = "person", "server"
BRIEFLY: Mapping[str, str] = {
    PERSON: "Waits for a person.",
    SERVER: "A server that runs sees to it.",
    "": "",
}
"""Who has to act, for a narrow column."""


@dataclass(frozen=True)
class Shown:
    """A submission as it stands at a moment of the ledger's clock."""

    row: Submission
    now_ms: int

    @property
    def name(self) -> str:
        """The invoice's number, or the records that a change touches."""
        if self.row.invoice is not None:
            return plain(self.row.invoice.number)
        return plain(", ".join(self.row.change.records)) if self.row.change is not None else self.row.tool

    @property
    def amount(self) -> str:
        """For people."""
        invoice = self.row.invoice
        return f"{_units(invoice.amount_cents)} {plain(invoice.currency)}" if invoice is not None else ""

    @property
    def whose(self) -> tuple[str, ...]:
        """For people: the account and the caller, where there may be several."""
        account = f"account {plain(self.row.account)}" if self.row.account != DEFAULT_ACCOUNT else ""
        caller = f"by {plain(self.row.caller)}" if self.row.caller not in (None, OPERATOR.key) else ""
        return tuple(text for text in (account, caller) if text)

    @property
    def left_behind(self) -> bool:
        """Whether its process did not come back in time, and nobody saw to it yet."""
        return is_left_behind(self.row, self.now_ms)

    @property
    def resolvable(self) -> bool:
        """Whether a person's word counts: nobody knows, and no process is at it any more."""
        return self.row.state in UNSETTLED or (self.row.state is State.SENT and self.left_behind)

    @property
    def needs(self) -> str:
        """Who has to act: a person, a server, or nobody ("")."""
        if self.row.state is State.CONFLICT:
            return PERSON
        if self.row.state is State.IN_DOUBT:
            return PERSON if self.row.next_look_at_ms is None else SERVER
        return SERVER if self.left_behind else ""

    @property
    def why(self) -> str:
        """How it came to its state."""
        return why(self.row.state, self.row.reason)

    @property
    def what_next(self) -> str:
        """What has to happen, in a sentence; "" if it is settled."""
        row = self.row
        if self.left_behind:
            return f"Left behind by a process that ended; {NEXT_SEEN_TO}."
        match row.state:
            case State.INTENDED | State.SENT:
                return f"Its process is at it until {moment(row.lease_until_ms)}, or has ended; then it is looked up."
            case State.IN_DOUBT if row.next_look_at_ms is not None:
                due = max(row.next_look_at_ms, row.lease_until_ms)
                return f"A server that runs asks Finexio again at {moment(due)}, or then as soon as one is started."
            case State.IN_DOUBT | State.CONFLICT:
                return "Only a person can settle it: look in Finexio's portal, then use `finexio-mcp ledger resolve`."
            case _:
                return ""

    def fields(self) -> dict[str, Any]:
        """Everything that is kept of it and means something to others."""
        row, invoice, change = self.row, self.row.invoice, self.row.change
        return {
            "op_id": row.op_id,
            "row": row.position,
            "tool": row.tool,
            "state": row.state.value,
            "reason": row.reason,
            "needs": self.needs or None,
            "left_behind": self.left_behind,
            "invoice_number": invoice.number if invoice else None,
            "amount_cents": invoice.amount_cents if invoice else None,
            "discount_amount_cents": invoice.discount_cents if invoice else None,
            "currency": invoice.currency if invoice else None,
            "invoice_date": invoice.invoice_date if invoice else None,
            "originating_counterparty_id": invoice.buyer if invoice else None,
            "receiving_counterparty_id": invoice.supplier if invoice else None,
            "records": list(change.records) if change else None,
            "id": row.finexio_id,
            "http_status": row.http_status,
            "generation": row.generation,
            "submitted": moment(row.claimed_at_ms),
            "sent": moment_or_none(row.sent_at_ms),
            "settled": moment_or_none(row.settled_at_ms),
            "looks": row.looks,
            "next_look": moment_or_none(row.next_look_at_ms),
            "by_operator": row.by_operator,
            "account": row.account,
            "caller": row.caller,
        }

    def facts(self) -> Iterator[tuple[str, str]]:
        """The same for people: what is there."""
        row = self.row
        if (invoice := row.invoice) is not None:
            less = f", less a discount of {_units(invoice.discount_cents)}" if invoice.discount_cents else ""
            yield "amount", f"{self.amount}{less}"
            yield "invoice date", invoice.invoice_date
            yield "buyer", plain(invoice.buyer)
            yield "supplier", plain(invoice.supplier)
        if row.finexio_id is not None:
            yield "Finexio's id", plain(row.finexio_id)
        if row.http_status is not None:
            yield "HTTP status", str(row.http_status)
        yield "sent", moment_or_none(row.sent_at_ms) or "no byte of it left"
        if row.settled_at_ms is not None:
            yield "settled", moment(row.settled_at_ms)
        if row.looks:
            yield "looked up", f"{row.looks} time{'s' * (row.looks > 1)}"
        if row.generation > 1:
            yield "submitted before", f"{row.generation - 1} time{'s' * (row.generation > 2)}"


def why(state: State, reason: Reason | None) -> str:
    """What brought a submission into a state."""
    if reason is not None:
        return WHY[reason]
    return LEAVING if state is State.SENT else RECORDED


def _units(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"


def plain(text: str, limit: int = MAX_SHOWN_CHARS) -> str:
    """Text that others wrote, for a terminal."""
    return clean(text, limit=limit, single_line=True)


def moment_or_none(ms: int | None) -> str | None:
    """A time of the ledger, where there may be none."""
    return moment(ms) if ms is not None else None
