"""Drawdowns: the bank debits that fund payments, and what each of them paid for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from finexio_mcp.errors import FinexioError, Problem, Rejected
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.fields import Id, ListArguments, Moment, ReadArguments, Status, Text100
from finexio_mcp.tools.spec import Effect, Listing, Local, Record, ToolSpec

FUNDED_PAYMENT_FIELDS = {
    "id": "Payment id",
    "supplier_name": "Supplier",
    "amount_cents": "Cents",
    "status": "Status",
    "payment_method": "check, ach, card or wire",
    "delivery_method": "email, mail or phone",
    "tracking_id": "For Finexio's support",
    "invoices": "What it pays: invoice_number, payment_amount_cents, discount_amount_cents",
    "originating_counterparty_id": "Buyer id",
    "receiving_counterparty_id": "Supplier id",
    "supplier_ref_id": "Your vendor code",
    "payment_group_id": "Payment group",
    "address_1": "Street, if mailed",
    "address_2": "Street, second line",
    "city": "City",
    "state": "State",
    "zip": "Postal code",
    "email": "E-mail, if sent by e-mail",
}

DRAWDOWN_FIELDS = {
    "processor_request_id": "Drawdown id (DJ...)",
    "bank_account_last_four": "Debited account, ACH only",
    "created": "Ordered; no time zone",
    "status": "requested, received, error or canceled",
    "amount_cents": "Cents debited",
    "funding_complete_date": "When the money came in",
    "buyer_ref_id": "Your code of the buyer",
    "buyer_name": "Buyer",
    "originating_counterparty_id": "Buyer id",
    "trace_id": "As on the bank statement; often missing",
}

DRAWDOWN = Record(fields=DRAWDOWN_FIELDS, keys=("processor_request_id",))
DRAWDOWN_OR_PAYMENT = Record(fields={**FUNDED_PAYMENT_FIELDS, **DRAWDOWN_FIELDS}, keys=("processor_request_id", "id"))
FUNDED_PAYMENT = Record(
    fields=FUNDED_PAYMENT_FIELDS,
    core=(
        "id",
        "supplier_name",
        "amount_cents",
        "status",
        "payment_method",
        "delivery_method",
        "tracking_id",
        "invoices",
        "address_1",
        "address_2",
        "city",
        "state",
        "zip",
        "email",
    ),
)


class ListDrawdowns(ListArguments):
    buyer_ref_id: Annotated[str | None, Field(max_length=200)] = None
    """Your code of the buyer."""
    originating_counterparty_id: Id | None = None
    """Buyer id."""
    supplier_ref_id: Annotated[str | None, Field(max_length=200)] = None
    """Your vendor code."""
    tracking_id: Text100 | None = None
    """A payment's tracking id."""
    invoice_number: Text100 | None = None
    """An invoice's number."""
    status: Status | None = None
    """requested, received or error."""
    created_start: Moment | None = None
    """Ordered from."""
    created_end: Moment | None = None
    """Ordered until."""
    completed_start: Moment | None = None
    """Funded from."""
    completed_end: Moment | None = None
    """Funded until."""
    amount_cents_start: Annotated[int | None, Field(ge=0)] = None
    """Lowest amount."""
    amount_cents_end: Annotated[int | None, Field(ge=0)] = None
    """Highest amount."""

    def problems(self) -> Iterator[Problem]:
        low, high = self.amount_cents_start, self.amount_cents_end
        if low is not None and high is not None and low > high:
            yield Problem("amount_cents_start", "is above amount_cents_end")


FILTERS = tuple(
    name
    for name, info in ListDrawdowns.model_fields.items()
    if not any(isinstance(trait, Local) for trait in info.metadata)
)


class GetDrawdown(ReadArguments):
    id: Id
    """processor_request_id."""


class ListDrawdownPayments(ListArguments):
    processor_request_id: Id
    """Drawdown id."""


def _drawdown_or_payments(answer: Any, _arguments: dict[str, Any]) -> Any:
    """The drawdown; or, where Finexio answers with the payments that it funded, those, when there are several."""
    rows = answer.get("results") if is_object(answer) and "results" in answer else answer
    if is_array(rows):
        return rows if len(rows) > 1 else rows[0] if rows else None
    return rows if is_object(rows) else None


def _name_filters(error: FinexioError, arguments: dict[str, Any]) -> str | None:
    if isinstance(error, Rejected) and not arguments:
        return f"Finexio wants at least one filter here: {', '.join(FILTERS)}."
    if isinstance(error, Rejected) and "status" in arguments:
        return "Finexio filters by requested, received and error."
    return None


LIST_DRAWDOWNS = ToolSpec(
    name="list_all_finexio_drawdowns",
    title="List drawdowns",
    about=(
        "Find drawdowns (funding pulls, the lump-sum bank debits that fund payments) by date, amount, buyer, supplier, "
        "tracking id or invoice_number. At least one filter."
    ),
    route="GET /reconciliation/drawdown",
    effect=Effect.READ,
    arguments=ListDrawdowns,
    record=DRAWDOWN,
    listing=Listing.PAGES,
    moves_with=("status", "completed_start", "completed_end"),
    slow=True,
    way_out=_name_filters,
    source="Finexio API v2, GET /reconciliation/drawdown",
)

GET_DRAWDOWN = ToolSpec(
    name="get_single_finexio_drawdown_by_id",
    title="Get a drawdown",
    about=(
        "Show one drawdown (bank debit) by its id: amount, status, funding date. "
        "What it paid for: list_all_finexio_drawdown_payments."
    ),
    route="GET /reconciliation/drawdown/{id}",
    effect=Effect.READ,
    arguments=GetDrawdown,
    record=DRAWDOWN_OR_PAYMENT,
    to_record=_drawdown_or_payments,
    source="Finexio API v2, GET /reconciliation/drawdown/{processor_request_id}",
)

LIST_DRAWDOWN_PAYMENTS = ToolSpec(
    name="list_all_finexio_drawdown_payments",
    title="List a drawdown's payments",
    about=(
        "Split one bank debit into the supplier payments it funded, each with its invoices, "
        "to reconcile and book journal entries. Its id comes from list_all_finexio_drawdowns, by amount or date."
    ),
    route="GET /reconciliation/drawdown/{processor_request_id}/payments",
    effect=Effect.READ,
    arguments=ListDrawdownPayments,
    record=FUNDED_PAYMENT,
    listing=Listing.PAGES,
    source="Finexio API v2, GET /reconciliation/drawdown/{processor_request_id}/payments",
)
