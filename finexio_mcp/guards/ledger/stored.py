"""Rows of the ledger's tables as values, and back."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import RowMapping

from finexio_mcp.guards.ledger import schema
from finexio_mcp.guards.ledger.rows import ChangeFacts, Event, InvoiceFacts, Submission, Wanted
from finexio_mcp.guards.ledger.states import State

CHANGING: Final = ("state", *(column.name for column in (*schema.OUTCOME, *schema.CARE)))
BLANK: Final[Mapping[str, Any]] = {
    **{column.name: None for column in (*schema.FIXED, *schema.OUTCOME, *schema.CARE)},
    "state": State.INTENDED.value,
    "by_operator": 0,
    "looks": 0,
    "superseded": 0,
}
BEFORE: Final = schema.BEFORE_ACCOUNTS
NO_PAST: Final[Mapping[str, Any]] = {"generation": 1, "doubtful_before": 0, "earlier_sent_at_ms": None}


def canonical(number: str) -> str:
    """An invoice number as identities hold it."""
    return " ".join(unicodedata.normalize("NFKC", number).casefold().split())


def fixed(row: RowMapping) -> dict[str, Any]:
    """What never changes, as its digest takes it."""
    kept = {column.name: row[column.name] for column in schema.FIXED}
    # Version 1 knew neither; any other value, and one that somebody takes away, makes another digest.
    named = {name: value for name, value in kept.items() if name not in BEFORE or value != BEFORE[name]}
    return {"id": row["id"], **named}


def facts(want: Wanted) -> dict[str, Any]:
    if want.invoice is not None:
        invoice = want.invoice
        return {
            "identity": want.identity,
            "buyer": invoice.buyer,
            "supplier": invoice.supplier,
            "number": invoice.number,
            "number_key": canonical(invoice.number),
            "near_number": invoice.near_number,
            "amount_cents": invoice.amount_cents,
            "currency": invoice.currency,
            "invoice_date": invoice.invoice_date,
            "discount_cents": invoice.discount_cents,
        }
    if want.change is None:
        return {"identity": want.identity}
    change = want.change
    kept = {"records": change.records, "kept": dict(change.kept), "digests": [dict(each) for each in change.digests]}
    return {"identity": want.identity, "change": json.dumps(kept, sort_keys=True, separators=(",", ":"))}


def changing(row: Submission) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CHANGING} | {"by_operator": int(row.by_operator)}


def submission(row: RowMapping) -> Submission:
    sent_at_ms, earlier_ms = row["sent_at_ms"], row["earlier_sent_at_ms"]
    return Submission(
        id=row["id"],
        op_id=row["op_id"],
        position=row["position"],
        effect=row["effect"],
        account=row["account"],
        caller=row["caller"],
        tool=row["tool"],
        identity=row["identity"],
        generation=row["generation"],
        state=State(row["state"]),
        reason=row["reason"],
        http_status=row["http_status"],
        finexio_id=row["finexio_id"],
        owner=row["owner"],
        lease_until_ms=row["lease_until_ms"],
        claimed_at_ms=row["claimed_at_ms"],
        sent_at_ms=sent_at_ms,
        settled_at_ms=row["settled_at_ms"],
        looks=row["looks"],
        next_look_at_ms=row["next_look_at_ms"],
        absent_since_ms=row["absent_since_ms"],
        by_operator=bool(row["by_operator"]),
        doubtful_before=bool(row["doubtful_before"]),
        searched_from_ms=min((time for time in (sent_at_ms, earlier_ms) if time is not None), default=None),
        invoice=_invoice(row) if row["number"] is not None else None,
        change=_change(row["change"]) if row["change"] is not None else None,
    )


def _invoice(row: RowMapping) -> InvoiceFacts:
    return InvoiceFacts(
        buyer=row["buyer"],
        supplier=row["supplier"],
        number=row["number"],
        amount_cents=row["amount_cents"],
        currency=row["currency"],
        invoice_date=row["invoice_date"],
        discount_cents=row["discount_cents"],
        near_number=row["near_number"],
    )


def _change(stored: str) -> ChangeFacts:
    kept = json.loads(stored)
    return ChangeFacts(records=tuple(kept["records"]), kept=kept["kept"], digests=tuple(kept["digests"]))


def event(row: RowMapping) -> Event:
    return Event(
        seq=row["seq"],
        at_ms=row["at_ms"],
        op_id=row["op_id"],
        position=row["position"],
        before=State(row["before"]) if row["before"] is not None else None,
        after=State(row["after"]),
        by=row["by"],
        reason=row["reason"],
        note=row["note"],
        hash=row["hash"],
    )
