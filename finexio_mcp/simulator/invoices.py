"""Invoices: submitting a batch is the payment order, and nothing takes it back."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from . import rules, views
from .books import Record
from .call import Call
from .clock import stamp
from .fields import Errors, Invalid, apply, uuid
from .lifecycle import await_payment
from .lists import chosen, exact, narrowed, page_of, since, until
from .wire import Answer, Refusal, array_of, json_answer, not_found
from .world import World

DUPLICATE = "An invoice with this number was already submitted for this buyer and supplier."

OLD_FILTERS = (exact("invoice_number"), since("created_start", "created"), until("created_end", "created"))
"""Named for v1; the v2 description lists only `page`."""


def list_invoices(call: Call) -> Answer:
    world = call.world
    filters = () if world.quirks.ignore_invoice_filter else OLD_FILTERS
    rows = narrowed(world.ordered("invoices", _visible(world)), chosen(filters, call.request))
    return json_answer(
        page_of(rows, lambda row: views.invoice(row, world.quirks), call.request, world.quirks.next_host)
    )


def _visible(world: World) -> Iterable[Record]:
    everything = world.books.invoices.values()
    if not world.quirks.visible_after:
        return everything
    shown_until = stamp(world.now() - world.quirks.visible_after)
    return [record for record in everything if record["created"] <= shown_until]


def get_invoice(call: Call) -> Answer:
    record = call.world.books.invoices.get(call.path["key"])
    if record is None:
        raise not_found()
    return json_answer(views.invoice(record, call.world.quirks))


def create_batch(call: Call) -> Answer:
    """A bare array of 1 to 500; errors are positional, with `{}` for a good row."""
    world = call.world
    rows = array_of(call.body)
    if not rows:
        raise Refusal(400, {"non_field_errors": ["This list may not be empty."]})
    if len(rows) > rules.MAX_BATCH:
        raise Refusal(400, {"non_field_errors": [f"Ensure this list has no more than {rules.MAX_BATCH} items."]})
    read = [_read_row(world, row) for row in rows]
    errors = _with_duplicates(world, read)
    if any(errors) and world.quirks.batch_atomic:
        raise Refusal(400, errors)
    good = [values for (values, _), problems in zip(read, errors, strict=True) if not problems]
    created = [submit(world, values) for values in good]
    if any(errors):
        raise Refusal(400, errors)
    shown = [views.invoice(record, world.quirks) for record in created]
    alone = world.quirks.batch_answers == "object" and len(shown) == 1
    return json_answer(shown[0] if alone else shown, 201)


def submit(world: World, values: Mapping[str, Any]) -> Record:
    """Book an invoice and queue it for payment."""
    record = invoice_record(world, values)
    world.books.invoices[record["id"]] = record
    world.effect("invoice.created", record["id"])
    await_payment(world, record)
    return record


def invoice_record(world: World, values: Mapping[str, Any]) -> Record:
    now = world.stamp()
    return {
        "id": values.get("id") or world.chance.uuid("invoice"),
        "amount_cents": values["amount_cents"],
        "currency": values.get("currency", "USD"),
        "discount_amount_cents": values.get("discount_amount_cents", 0),
        "invoice_date": values["invoice_date"],
        "invoice_due_date": values.get("invoice_due_date"),
        "invoice_number": values["invoice_number"],
        "note": values.get("note", ""),
        "originating_counterparty_id": values["originating_counterparty_id"],
        "receiving_counterparty_id": values["receiving_counterparty_id"],
        "metadata": values.get("metadata", {}),
        "payment_id": None,
        "reconciliation_id": values.get("reconciliation_id"),
        "created": now,
        "updated": now,
        "account_number": values.get("account_number"),
        "accounting_id": values.get("accounting_id"),
        "documentationPresented": False,
        "payment_group_id": values.get("payment_group_id", ""),
        "can_be_resubmitted": False,
        "status": "pending",
        "_line_items": values.get("line_items"),
    }


def _read_row(world: World, row: Any) -> tuple[dict[str, Any], Errors]:
    values, errors = apply(rules.INVOICE, row, "create")
    if "invoice_date" in values:
        errors |= _date_errors(world, values["invoice_date"])
    if "originating_counterparty_id" in values:
        errors |= _buyer_errors(world, values["originating_counterparty_id"])
    if "receiving_counterparty_id" in values:
        errors |= _supplier_errors(world, values["receiving_counterparty_id"])
    return values, errors


def _date_errors(world: World, written: str) -> Errors:
    distance = abs(date.fromisoformat(written) - world.now().date())
    if distance <= timedelta(days=rules.INVOICE_DATE_WINDOW_DAYS):
        return {}
    return {"invoice_date": [f"Must be within {rules.INVOICE_DATE_WINDOW_DAYS} days of today."]}


def _buyer_errors(world: World, record_id: str) -> Errors:
    if record_id in world.books.buyers:
        return {}
    return {"originating_counterparty_id": _unknown(world, record_id, "buyer")}


def _supplier_errors(world: World, record_id: str) -> Errors:
    supplier = world.books.suppliers.get(record_id)
    if supplier is None:
        return {"receiving_counterparty_id": _unknown(world, record_id, "supplier")}
    if not supplier["enabled"]:
        return {"receiving_counterparty_id": ["This supplier is not enabled."]}
    return {}


def _unknown(world: World, record_id: str, wanted: str) -> list[str]:
    if world.counterparty(record_id):
        return [f"This counterparty is not a {wanted}."]
    try:
        uuid(record_id)
    except Invalid as exc:
        return exc.problem
    return [f'Invalid pk "{record_id}" - object does not exist.']


def _with_duplicates(world: World, read: list[tuple[dict[str, Any], Errors]]) -> list[Errors]:
    """Errors row by row; a row that repeats a live invoice, or an earlier row, is a duplicate."""
    taken = {_key(record) for record in world.books.invoices.values() if not record["can_be_resubmitted"]}
    result: list[Errors] = []
    for values, problems in read:
        if not problems and _key(values) in taken:
            problems = _duplicate(world)
        elif not problems:
            taken.add(_key(values))
        result.append(problems)
    return result


def _key(values: Mapping[str, Any]) -> tuple[str, str, str]:
    return values["originating_counterparty_id"], values["receiving_counterparty_id"], values["invoice_number"]


def _duplicate(world: World) -> Errors:
    name = {"field": "invoice_number", "non_field": "non_field_errors"}.get(world.quirks.duplicate_error)
    return {name: [DUPLICATE]} if name else {"detail": DUPLICATE}
