"""Invoices. Posting a batch is the payment order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from finexio_mcp.errors import FinexioError, Problem, Rejected
from finexio_mcp.tools.fields import (
    MAX_CENTS,
    Cents,
    Check,
    Day,
    Id,
    ListArguments,
    Metadata,
    ReadArguments,
    Text50,
    Text70,
    Text100,
    Text1000,
    check_unmasked,
    wrong,
)
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Local, Record, Sensitive, ToolSpec

NUMBER = re.compile(r"[A-Za-z0-9/.\-?:(),' +]+")
MAX_DAYS_AWAY = 365

INVOICE = Record(
    fields={
        "id": "Invoice id",
        "invoice_number": "The supplier's number",
        "amount_cents": "Cents",
        "currency": "USD",
        "invoice_date": "Date",
        "invoice_due_date": "Date",
        "status": "pending, in-progress, sent, complete, failed or canceled",
        "payment_id": "Latest payment, once there is one",
        "originating_counterparty_id": "Buyer id",
        "receiving_counterparty_id": "Supplier id",
        "created": "No time zone",
        "updated": "No time zone",
        "discount_amount_cents": "Cents",
        "note": "Free text",
        "metadata": "Your keys and values",
        "reconciliation_id": "Your accounting key",
        "accounting_id": "Your accounting id",
        "payment_group_id": "Invoices of one group share a payment",
        "account_number": "Masked to the last four",
        "can_be_resubmitted": "true: fully refunded, may be paid again",
        "documentationPresented": "Whether documents were presented",
    },
    core=(
        "id",
        "invoice_number",
        "amount_cents",
        "currency",
        "invoice_date",
        "invoice_due_date",
        "status",
        "payment_id",
        "originating_counterparty_id",
        "receiving_counterparty_id",
        "created",
    ),
)

SUBMITTED = Record(
    fields={**INVOICE.fields, "status": "Where it differs from the call's: the outcome of this row"},
    core=(
        "id",
        "invoice_number",
        "amount_cents",
        "currency",
        "invoice_date",
        "payment_id",
        "originating_counterparty_id",
        "created",
    ),
)


def _check_number(value: str) -> str:
    if not NUMBER.fullmatch(value) or not value.strip():
        raise wrong("may hold letters, digits, blanks and /.-?:(),'+ only")
    return value


def _check_near(value: str) -> str:
    if abs((date.fromisoformat(value) - date.today()).days) > MAX_DAYS_AWAY:  # noqa: DTZ011
        raise wrong(f"is more than {MAX_DAYS_AWAY} days from today")
    return value


class LineItem(BaseModel):
    """One line of remittance text."""

    model_config = Arguments.model_config

    description: str
    """Remittance text."""


class Invoice(BaseModel):
    """One invoice to pay."""

    model_config = Arguments.model_config

    invoice_number: Annotated[str, Field(min_length=1, max_length=49), Check(_check_number)]
    """As the supplier printed it."""
    amount_cents: Cents
    """Whole cents: $10.00 is 1000."""
    currency: Literal["USD"] = "USD"
    """USD."""
    invoice_date: Annotated[Day, Check(_check_near)]
    """Within a year of today."""
    originating_counterparty_id: Id
    """Buyer id."""
    receiving_counterparty_id: Id
    """Supplier id."""
    invoice_due_date: Day | None = None
    """Due date; does not delay payment."""
    discount_amount_cents: Annotated[int | None, Field(ge=0, le=MAX_CENTS)] = None
    """Below amount_cents."""
    note: Text1000 | None = None
    """Free text."""
    metadata: Metadata | None = None
    """Private keys."""
    line_items: list[LineItem] | None = None
    """Remittance lines."""
    reconciliation_id: Text50 | None = None
    """Your accounting key."""
    account_number: Annotated[str | None, Field(max_length=250), Check(check_unmasked), Sensitive()] = None
    """Your account at the supplier."""
    payment_group_id: Text100 | None = None
    """Same value: one payment."""
    accounting_id: Text70 | None = None
    """Your accounting id."""
    resubmit: Annotated[bool | None, Local()] = None
    """true: pay again after a full refund."""
    not_a_duplicate_of: Annotated[Id | None, Local()] = None
    """Earlier invoice's id, if this is another one."""


def identity(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes two invoices the same one: buyer, supplier and number, however it is written."""
    number = " ".join(unicodedata.normalize("NFKC", str(row.get("invoice_number", ""))).casefold().split())
    buyer, supplier = (
        str(row.get(name, "")).casefold() for name in ("originating_counterparty_id", "receiving_counterparty_id")
    )
    return buyer, supplier, number


class CreateInvoices(Arguments):
    invoices: Annotated[list[Invoice], Field(min_length=1, max_length=500)]
    """Invoices to pay."""

    def problems(self) -> Iterator[Problem]:
        first_of: dict[tuple[str, str, str], int] = {}
        for index, invoice in enumerate(self.invoices):
            discount = invoice.discount_amount_cents
            if discount is not None and discount >= invoice.amount_cents:
                yield Problem(f"invoices[{index}].discount_amount_cents", "must be below amount_cents")
            if invoice.originating_counterparty_id.casefold() == invoice.receiving_counterparty_id.casefold():
                yield Problem(f"invoices[{index}].receiving_counterparty_id", "is the buyer itself")
            first = first_of.setdefault(identity(vars(invoice)), index)
            if first != index:
                yield Problem(
                    f"invoices[{index}].invoice_number",
                    f"repeats invoices[{first}]: same buyer, supplier and number; leave one of them out",
                )


class ListInvoices(ListArguments):
    pass


class GetInvoice(ReadArguments):
    id: Id
    """Invoice id."""


def _explain_duplicate(error: FinexioError, arguments: dict[str, Any]) -> str | None:
    del arguments
    if not isinstance(error, Rejected):
        return None
    if not any(problem.field for problem in error.problems):
        return "An invoice with one of these numbers may already exist there."
    if any(problem.field.endswith("invoice_number") for problem in error.problems):
        return (
            "If a number was submitted before, by whatever way, that bill may be paid: look for it, and do not change "
            "the number to get around this."
        )
    return None


CREATE_INVOICES = ToolSpec(
    name="finexio_invoices_bulk_create",
    title="Pay invoices",
    about=(
        "Pay invoices (bills): submitting IS the payment order and cannot be undone or canceled here. "
        "One call for up to 500. Amounts in whole cents; ids from list_all_finexio_counterparties. "
        "Confirm with the user first. "
        "Unclear outcome? Repeat the exact same call: it is never paid twice and tells the state."
    ),
    route="POST /invoices/batch/",
    effect=Effect.PAY,
    arguments=CreateInvoices,
    record=SUBMITTED,
    body_rows="invoices",
    way_out=_explain_duplicate,
    source="Finexio API v2, POST /invoices/batch/",
)

LIST_INVOICES = ToolSpec(
    name="list_all_finexio_invoices",
    title="List invoices",
    about=(
        "List all invoices (bills) with amount, status and payment_id, to see whether one is paid. Finexio offers no "
        "filter. list_all_finexio_drawdowns by invoice_number is faster once it was funded; "
        "nothing there proves nothing."
    ),
    route="GET /invoices/",
    effect=Effect.READ,
    arguments=ListInvoices,
    record=INVOICE,
    listing=Listing.PAGES,
    source="Finexio API v2, GET /invoices/",
)

GET_INVOICE = ToolSpec(
    name="get_single_finexio_invoice_by_id",
    title="Get an invoice",
    about=(
        "Show one invoice in full by its id: status, payment_id, whether it can be resubmitted. "
        "How it was paid: get_single_finexio_payment_by_id with its payment_id."
    ),
    route="GET /invoices/{id}/",
    effect=Effect.READ,
    arguments=GetInvoice,
    record=INVOICE,
    source="Finexio API v2, GET /invoices/{key}/",
)
