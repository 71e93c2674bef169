"""Drawdowns: one pull from a buyer's bank account, and the payments it funds."""

from collections.abc import Callable, Iterator
from typing import Any

from . import views
from .books import Record
from .call import Call
from .lists import among, at_least, at_most, chosen, exact, narrowed, one_of, page_of, since, until
from .quirks import Shape
from .wire import Answer, Refusal, json_answer, not_found
from .world import World

FILTERABLE_STATUSES = ("requested", "received", "error")


def list_drawdowns(call: Call) -> Answer:
    world = call.world

    def payments(record: Record) -> Iterator[Record]:
        return (world.books.payments[key] for key in record["_payments"] if key in world.books.payments)

    def suppliers(record: Record) -> list[str]:
        found = (world.books.suppliers.get(payment["receiving_counterparty_id"]) for payment in payments(record))
        return [supplier["external_reference_id"] for supplier in found if supplier]

    def tracking_ids(record: Record) -> list[str]:
        return [payment["tracking_id"] for payment in payments(record)]

    def invoice_numbers(record: Record) -> list[str]:
        return [invoice["invoice_number"] for payment in payments(record) for invoice in payment["invoices"]]

    filters = (
        exact("buyer_ref_id"),
        exact("originating_counterparty_id"),
        among("supplier_ref_id", suppliers),
        among("tracking_id", tracking_ids),
        among("invoice_number", invoice_numbers),
        one_of("status", FILTERABLE_STATUSES, lambda record: record["status"]),
        since("created_start", "created"),
        until("created_end", "created"),
        since("completed_start", "funding_complete_date"),
        until("completed_end", "funding_complete_date"),
        at_least("amount_cents_start", "amount_cents"),
        at_most("amount_cents_end", "amount_cents"),
    )
    known = {rule.name for rule in filters} | ({"page"} if world.quirks.page_counts_as_filter else set[str]())
    filtered = any(name in known and value for name, value in call.request.query)
    if world.quirks.drawdown_filter_required and not filtered:
        raise Refusal(400)
    try:
        tests = chosen(filters, call.request)
    except Refusal as refusal:
        raise Refusal(refusal.status) from None
    rows = narrowed(world.ordered("drawdowns", world.books.drawdowns.values()), tests)
    return json_answer(page_of(rows, views.drawdown, call.request, world.quirks.next_host))


def get_drawdown(call: Call) -> Answer:
    return _shaped(call, [_drawdown(call)], views.drawdown, call.world.quirks.drawdown_by_id_shape)


def list_funded_payments(call: Call) -> Answer:
    world = call.world
    keys = _drawdown(call)["_payments"]
    rows = [world.books.payments[key] for key in keys if key in world.books.payments]
    return _shaped(call, rows, lambda row: _detail(world, row), world.quirks.drawdown_payments_shape)


def _drawdown(call: Call) -> Record:
    drawdown = call.world.books.drawdowns.get(call.path["processor_request_id"])
    if drawdown is None:
        raise not_found()
    return drawdown


def _shaped(call: Call, rows: list[Record], view: Callable[[Record], Record], shape: Shape) -> Answer:
    if shape == "envelope":
        return json_answer(page_of(rows, view, call.request, call.world.quirks.next_host))
    shown = [view(row) for row in rows]
    return json_answer(shown if shape == "array" else (shown or [{}])[0])


def _detail(world: World, payment: Record) -> Record:
    """One funded payment, with the address it is mailed to or the mailbox it is sent to."""
    supplier = world.books.suppliers[payment["receiving_counterparty_id"]]
    shown = views.payment(payment, world.quirks)
    mailed, emailed = (payment["delivery_method"] == way for way in ("mail", "email"))

    def place(name: str) -> Any:
        return supplier[name] if mailed else None

    return {
        "id": payment["id"],
        "originating_counterparty_id": payment["originating_counterparty_id"],
        "receiving_counterparty_id": supplier["id"],
        "supplier_ref_id": supplier["external_reference_id"],
        "supplier_name": supplier["name"],
        "amount_cents": payment["amount_cents"],
        "payment_method": shown["payment_method"],
        "delivery_method": payment["delivery_method"],
        "status": payment["status"],
        "payment_group_id": payment["invoices"][0]["payment_group_id"] if payment["invoices"] else "",
        "tracking_id": payment["tracking_id"],
        "address_1": place("remit_address_1"),
        "address_2": place("remit_address_2"),
        "city": place("remit_city"),
        "state": place("remit_state"),
        "zip": place("remit_zipcode"),
        "email": supplier["remit_email"] if emailed else None,
        "invoices": [_funded_invoice(world, row) for row in payment["invoices"]],
    }


def _funded_invoice(world: World, row: Record) -> Record:
    invoice = world.books.invoices.get(row["id"], {})
    return {
        "id": row["id"],
        "payment_amount_cents": row["payment_amount_cents"],
        "discount_amount_cents": invoice.get("discount_amount_cents", 0),
        "invoice_date": invoice.get("invoice_date"),
        "invoice_number": row["invoice_number"],
        "reconciliation_id": row["reconciliation_id"],
        "accounting_id": invoice.get("accounting_id"),
        "account_number": invoice.get("account_number"),
        "metadata": row["metadata"],
    }
