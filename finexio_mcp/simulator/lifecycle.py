"""What time does to an invoice: a payment, its funding, its delivery, its end.

    submitted --0..30 min--> payment (pending) --about an hour--> confirmed (in-progress)
      --17:00, all of the buyer's payments together--> drawdown requested --> received, or error
      --> printed, sent or issued --> settled, or failed as the amount's last four digits ask

The pace per method is the sandbox's. Whatever Finexio does not publish (cut-off, bank hours) is a constant here.
"""

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta

from . import events
from .books import Record
from .clock import read_stamp, stamp
from .events import Event
from .world import World

TO_PAYMENT_SECONDS = (60, 30 * 60)
TO_CONFIRMATION_SECONDS = (10 * 60, 70 * 60)
FUNDING_CUTOFF = time(17, 0)
BANK_OPENS = time(8, 30)
WIRE_FUNDING = timedelta(hours=3)
PRINT_RUN = time(10, 0)
TO_MAILBOX = timedelta(hours=6)
TO_SENDING = timedelta(hours=2)

IN_PROGRESS_DAYS = {"check": (6, 30), "card": (2, 10), "ach": (3, 7), "wire": (1, 4)}

FUNDING_ERROR = "9901"
FAILING_OUTCOMES = ("9902", "9903", "9904")
FINAL = ("settled", "failed", "canceled")

PAYMENT_METHODS = {"Check": "check", "ACH": "ach", "Card": "card", "Wire": "wire", "FinexioExpress": "ach"}
"""A supplier's method to a payment's: Finexio spells them differently, and an express payment is an ACH one."""


def catch_up(world: World, moment: datetime) -> None:
    """Live through everything that was due, in order, each step at its own moment."""
    agenda, until = world.books.agenda, stamp(moment)
    if not agenda or agenda[0][0] > until:
        return
    try:
        while agenda and agenda[0][0] <= until:
            at, _, action, record_id, detail = heapq.heappop(agenda)
            world.live_at(read_stamp(at))
            ACTIONS[action](world, record_id, detail)
    finally:
        world.live_at(None)
        world.changed = True


# --- From invoice to payment -------------------------------------------------------------------------------------


def await_payment(world: World, invoice: Record) -> None:
    """Queue an invoice with those that will share its payment."""
    group = invoice["payment_group_id"] or ""
    if not group and not world.quirks.ungrouped_share_payment:
        group = f"alone-{invoice['id']}"
    key = "|".join((invoice["originating_counterparty_id"], invoice["receiving_counterparty_id"], group))
    queue = world.books.waiting.setdefault(key, [])
    if not queue:
        world.plan(_soon(world, TO_PAYMENT_SECONDS, "form", invoice["id"]), "form_payment", key)
    queue.append(invoice["id"])


def form_payment(world: World, key: str, _: str) -> None:
    queued = (world.books.invoices.get(invoice_id) for invoice_id in world.books.waiting.pop(key, []))
    invoices = [invoice for invoice in queued if invoice and invoice["payment_id"] is None]
    if not invoices:
        return
    supplier = world.books.suppliers[invoices[0]["receiving_counterparty_id"]]
    payment = payment_record(world, supplier, invoices)
    world.books.payments[payment["id"]] = payment
    _add_event(world, payment, events.CREATED)
    for invoice in invoices:
        invoice |= {"payment_id": payment["id"], "status": "in-progress", "updated": world.stamp()}
    world.effect("payment.created", payment["id"])
    world.plan(_soon(world, TO_CONFIRMATION_SECONDS, "confirm", payment["id"]), "confirm_payment", payment["id"])


def payment_record(world: World, supplier: Record, invoices: Sequence[Record]) -> Record:
    """A new payment for invoices of one buyer and supplier; no event has happened to it yet."""
    now = world.stamp()
    method = PAYMENT_METHODS[supplier["payment_method"]]
    delivery = supplier["delivery_method"]
    return {
        "id": world.chance.uuid("payment"),
        "amount_cents": sum(payable_cents(invoice) for invoice in invoices),
        "currency": "USD",
        "originating_counterparty_id": invoices[0]["originating_counterparty_id"],
        "receiving_counterparty_id": supplier["id"],
        "payment_method": method,
        "reissue_payment_method": None,
        "delivery_method": delivery.lower() if delivery else None,
        "reconciliation_id": invoices[0]["reconciliation_id"] if len(invoices) == 1 else None,
        "tracking_id": world.chance.tracking_id(),
        "instrument_number": None,
        "status": "pending",
        "events": [],
        "invoices": [paid_invoice(invoice) for invoice in invoices],
        "adjustments": [],
        "created": now,
        "updated": now,
        "funding_drawdown_request_id": None,
        "refund_user": None,
        "refund_timestamp": None,
        "refund_reason": None,
        "refund_comment": None,
        "refund_ticket_number": None,
        "reissue_user": None,
        "reissue_timestamp": None,
        "reissue_reason": None,
        "reissue_comment": None,
        "reissue_ticket_number": None,
        "finexio_express": supplier["payment_method"] == "FinexioExpress",
    }


def payable_cents(invoice: Record) -> int:
    return max(0, invoice["amount_cents"] - invoice["discount_amount_cents"])


def paid_invoice(invoice: Record) -> Record:
    """An invoice as its payment lists it."""
    return {
        "id": invoice["id"],
        "invoice_number": invoice["invoice_number"],
        "payment_amount_cents": payable_cents(invoice),
        "metadata": invoice["metadata"],
        "public_account_number": invoice["account_number"],
        "reconciliation_id": invoice["reconciliation_id"],
        "payment_group_id": invoice["payment_group_id"],
    }


def confirm_payment(world: World, payment_id: str, _: str) -> None:
    payment = _live(world, payment_id)
    if payment is None:
        return
    payment["status"] = "in-progress"
    _add_event(world, payment, events.CONFIRMED)
    buyer_id = payment["originating_counterparty_id"]
    world.books.waiting.setdefault(_funding_queue(buyer_id), []).append(payment_id)
    world.plan(_next(world.now(), FUNDING_CUTOFF), "fund_buyer", buyer_id)
    world.effect("payment.updated", payment_id)


# --- Funding -----------------------------------------------------------------------------------------------------


def fund_buyer(world: World, buyer_id: str, _: str) -> None:
    """Ask the buyer's bank once a day for the day's payments; one that is to fail is asked for separately."""
    queued = [_live(world, payment_id) for payment_id in world.books.waiting.pop(_funding_queue(buyer_id), [])]
    payments = [payment for payment in queued if payment]
    doomed = [payment for payment in payments if outcome(payment) == FUNDING_ERROR]
    sound = [payment for payment in payments if outcome(payment) != FUNDING_ERROR]
    for group in (sound, doomed):
        if group:
            request_drawdown(world, world.books.buyers[buyer_id], group)


def request_drawdown(world: World, buyer: Record, payments: Sequence[Record]) -> Record:
    drawdown = drawdown_record(world, buyer, payments)
    drawdown_id = drawdown["processor_request_id"]
    world.books.drawdowns[drawdown_id] = drawdown
    for payment in payments:
        payment["funding_drawdown_request_id"] = drawdown_id
        _add_event(world, payment, _funding(buyer)["requested"])
        world.effect("payment.updated", payment["id"])
    world.effect("drawdown.requested", drawdown_id)
    wired = "wire" in buyer["funding_method"]
    world.plan(world.now() + WIRE_FUNDING if wired else _next(world.now(), BANK_OPENS), "end_funding", drawdown_id)
    return drawdown


def drawdown_record(world: World, buyer: Record, payments: Sequence[Record]) -> Record:
    by_ach_debit = buyer["funding_method"] == "ach_debit"
    account = buyer["drawdown_bank_account_number"]
    return {
        "processor_request_id": world.chance.drawdown_id(),
        "bank_account_last_four": account[-4:] if by_ach_debit and account else None,
        "created": world.stamp(),
        "status": "requested",
        "amount_cents": sum(payment["amount_cents"] for payment in payments),
        "funding_complete_date": None,
        "originating_counterparty_id": buyer["id"],
        "buyer_ref_id": buyer["external_reference_id"],
        "buyer_name": buyer["name"],
        "trace_id": None,
        "_payments": [payment["id"] for payment in payments],
    }


def end_funding(world: World, drawdown_id: str, _: str) -> None:
    drawdown = world.books.drawdowns.get(drawdown_id)
    if drawdown is None or drawdown["status"] != "requested":
        return
    buyer = world.books.buyers[drawdown["originating_counterparty_id"]]
    payments = [world.books.payments[payment_id] for payment_id in drawdown["_payments"]]
    failed = outcome(payments[0]) == FUNDING_ERROR
    drawdown["status"] = "error" if failed else "received"
    if not failed:
        draw = world.chance.stream("trace", drawdown_id)
        drawdown["funding_complete_date"] = world.stamp()
        drawdown["trace_id"] = f"{draw.randrange(10**14, 10**15)}" if draw.random() < 0.4 else None
    world.effect(f"drawdown.{drawdown['status']}", drawdown_id)
    for payment in payments:
        if failed:
            _fail(world, payment, _funding(buyer)["error"], FUNDING_ERROR)
        elif payment["status"] not in FINAL:
            _add_event(world, payment, _funding(buyer)["received"])
            world.effect("payment.updated", payment["id"])
            world.plan(sending_time(world.now(), payment["payment_method"]), "disburse", payment["id"])


# --- Disbursement ------------------------------------------------------------------------------------------------


def sending_time(now: datetime, method: str) -> datetime:
    return _next(now, PRINT_RUN) if method == "check" else now + TO_SENDING


def disburse(world: World, payment_id: str, _: str) -> None:
    payment = _live(world, payment_id)
    if payment is None:
        return
    method = paying_method(payment)
    payment["instrument_number"] = instrument_number(world, payment_id, method)
    _add_event(world, payment, events.DISBURSED[method])
    _set_invoices(world, payment, "sent")
    world.effect("payment.updated", payment_id)
    if method == "check":
        world.plan(world.now() + TO_MAILBOX, "mail_check", payment_id)
    started = payment["reissue_timestamp"] or payment["created"]
    days = world.chance.stream("pace", payment_id, started).uniform(*IN_PROGRESS_DAYS[method])
    end = max(read_stamp(started) + timedelta(days=days), world.now() + TO_MAILBOX * 2)
    world.plan(end, "end_payment", payment_id)


def instrument_number(world: World, payment_id: str, method: str) -> str | None:
    draw = world.chance.stream("instrument", payment_id)
    match method:
        case "check":
            return world.chance.check_number()
        case "ach":
            return f"{draw.randrange(10**14, 10**15)}"
        case "card":
            return f"{draw.randrange(10_000):04}"
        case _:
            return None


def mail_check(world: World, payment_id: str, _: str) -> None:
    payment = _live(world, payment_id)
    if payment is not None:
        _add_event(world, payment, events.MAILED)
        world.effect("payment.updated", payment_id)


def end_payment(world: World, payment_id: str, _: str) -> None:
    payment = _live(world, payment_id)
    if payment is None:
        return
    method, ending = paying_method(payment), outcome(payment)
    if ending in FAILING_OUTCOMES and payment["reissue_timestamp"] is None:
        _fail(world, payment, events.failure(method, ending), ending)
        return
    payment["status"] = "settled"
    _add_event(world, payment, events.SETTLED[method])
    _set_invoices(world, payment, "complete")
    world.effect("payment.settled", payment_id)


def outcome(payment: Record) -> str:
    """The last four digits of the whole payment's amount choose how it ends."""
    return f"{payment['amount_cents']:04}"[-4:]


def paying_method(payment: Record) -> str:
    return payment["reissue_payment_method"] or payment["payment_method"]


# --- Acts of people at the vendor, for which there is no API ------------------------------------------------------


class NotPossible(ValueError):
    """The vendor's portal would not let this payment be treated so."""


def cancel(world: World, payment_id: str) -> Record:
    """Stop a payment before it is funded."""
    payment = world.books.payments[payment_id]
    if payment["status"] in FINAL or payment["funding_drawdown_request_id"]:
        raise NotPossible("Only a payment that is not funded yet can be canceled.")
    payment["status"] = "canceled"
    _add_event(world, payment, events.CANCELED)
    _set_invoices(world, payment, "canceled")
    world.effect("payment.canceled", payment_id)
    return payment


def refund(world: World, payment_id: str, *, reason: str, comment: str = "", user: str = "portal") -> Record:
    """Give the whole payment back to the buyer; its invoices may be submitted again."""
    payment = world.books.payments[payment_id]
    if payment["status"] in ("settled", "pending", "canceled") or payment["refund_timestamp"]:
        raise NotPossible("Only a payment that was funded and did not arrive can be refunded.")
    if payment["status"] != "failed":
        payment["status"] = "canceled"
    _add_event(world, payment, events.REFUNDED, payment["status"])
    payment |= {
        "refund_user": user,
        "refund_timestamp": world.stamp(),
        "refund_reason": reason,
        "refund_comment": comment,
        "refund_ticket_number": f"T-{4100 + world.chance.count('ticket')}",
    }
    _set_invoices(world, payment, payment["status"], can_be_resubmitted=True)
    world.effect("payment.refunded", payment_id)
    return payment


def reissue(
    world: World, payment_id: str, *, method: str, reason: str, comment: str = "", user: str = "portal"
) -> Record:
    """Send a payment that did not arrive once more, perhaps in another way."""
    payment = world.books.payments[payment_id]
    if payment["status"] != "failed" or payment["refund_timestamp"] or payment["reissue_timestamp"]:
        raise NotPossible("Only a failed payment can be reissued, and only once.")
    payment |= {
        "status": "in-progress",
        "reissue_payment_method": method,
        "reissue_user": user,
        "reissue_timestamp": world.stamp(),
        "reissue_reason": reason,
        "reissue_comment": comment,
        "reissue_ticket_number": f"T-{4100 + world.chance.count('ticket')}",
    }
    _add_event(world, payment, events.REISSUED)
    _set_invoices(world, payment, "in-progress")
    world.effect("payment.reissued", payment_id)
    world.plan(sending_time(world.now(), method), "disburse", payment_id)
    return payment


def approve_buyer(world: World, buyer_id: str, _: str) -> None:
    buyer = world.books.buyers.get(buyer_id)
    if buyer is not None:
        buyer |= {"ready_for_use": True, "reason_not_usable": "", "updated": world.stamp()}
        world.effect("buyer.approved", buyer_id)


ACTIONS: dict[str, Callable[[World, str, str], None]] = {
    "form_payment": form_payment,
    "confirm_payment": confirm_payment,
    "fund_buyer": fund_buyer,
    "end_funding": end_funding,
    "disburse": disburse,
    "mail_check": mail_check,
    "end_payment": end_payment,
    "approve_buyer": approve_buyer,
}


def _live(world: World, payment_id: str) -> Record | None:
    payment = world.books.payments.get(payment_id)
    return None if payment is None or payment["status"] in FINAL else payment


def _fail(world: World, payment: Record, event: Event, ending: str) -> None:
    payment["status"] = world.quirks.outcome_statuses[ending]
    _add_event(world, payment, event, payment["status"])
    _set_invoices(world, payment, payment["status"])
    world.effect(f"payment.{payment['status']}", payment["id"])


def _add_event(world: World, payment: Record, event: Event, status: str | None = None) -> None:
    at = world.stamp()
    payment["events"].append(events.written(event, at=at, amount_cents=payment["amount_cents"], status=status))
    payment["updated"] = at


def _set_invoices(world: World, payment: Record, status: str, *, can_be_resubmitted: bool = False) -> None:
    for row in payment["invoices"]:
        invoice = world.books.invoices.get(row["id"])
        if invoice is not None:
            invoice |= {"status": status, "can_be_resubmitted": can_be_resubmitted, "updated": world.stamp()}


def _funding(buyer: Record) -> dict[str, Event]:
    return events.FUNDING["wire" if "wire" in buyer["funding_method"] else "ach"]


def _funding_queue(buyer_id: str) -> str:
    return f"funding|{buyer_id}"


def _soon(world: World, bounds: tuple[int, int], *key: str) -> datetime:
    return world.now() + timedelta(seconds=world.chance.stream(*key).randint(*bounds))


def _next(now: datetime, hour: time) -> datetime:
    today = datetime.combine(now.date(), hour)
    return today if today > now else today + timedelta(days=1)
