"""The events in a payment's life, and what their codes say.

A code is a stage (P processing, F funding, D disbursement), a method (U none, A ACH, C check) and two digits. Public
bodies show five of them, marked here; the rest follows the same grammar and is ours, with W for wire and V for card.
"""

from dataclasses import dataclass

from .books import Record


@dataclass(frozen=True)
class Event:
    code: str
    description: str
    stage: str
    method: str | None
    name: str
    status: str = "in-progress"


CREATED = Event("PU00", "Invoices Created", "processing", None, "requested")  # seen
CONFIRMED = Event("PU12", "Payments Received By Processor", "processing", None, "confirmed")  # seen
REISSUED = Event("PU30", "Payment Reissued", "processing", None, "reissued")
REFUNDED = Event("PU80", "Payment Refunded", "processing", None, "refunded")
CANCELED = Event("PU91", "Payment Canceled Before Funding", "processing", None, "canceled", "canceled")

FUNDING = {
    "ach": {
        "requested": Event("FA00", "Request ACH Funding", "funding", "ach", "requested"),  # seen
        "received": Event("FA10", "ACH Funding Received", "funding", "ach", "received"),  # seen
        "error": Event("FA90", "ACH Funding Error", "funding", "ach", "failed", "failed"),
    },
    "wire": {
        "requested": Event("FW00", "Request Wire Funding", "funding", "wire", "requested"),
        "received": Event("FW10", "Wire Funding Received", "funding", "wire", "received"),
        "error": Event("FW90", "Wire Funding Error", "funding", "wire", "failed", "failed"),
    },
}

DISBURSED = {
    "check": Event("DC13", "Check Printed", "disbursement", "check", "printed"),  # seen
    "ach": Event("DA10", "ACH Payment Sent", "disbursement", "ach", "sent"),
    "wire": Event("DW10", "Wire Payment Sent", "disbursement", "wire", "sent"),
    "card": Event("DV10", "Card Issued", "disbursement", "card", "issued"),
}
MAILED = Event("DC20", "Check Mailed", "disbursement", "check", "mailed")

SETTLED = {
    "check": Event("DC30", "Check Deposited", "disbursement", "check", "settled", "settled"),
    "ach": Event("DA30", "ACH Payment Settled", "disbursement", "ach", "settled", "settled"),
    "wire": Event("DW30", "Wire Payment Settled", "disbursement", "wire", "settled", "settled"),
    "card": Event("DV30", "Card Charged In Full", "disbursement", "card", "settled", "settled"),
}

_METHOD_LETTER = {"check": "C", "ach": "A", "wire": "W", "card": "V"}
_FAILURES = {
    "9902": ("92", "Payment Returned By Recipient Or Bank", "returned"),
    "9903": ("93", "Payment Cancelled By Sender", "canceled"),
    "9904": ("94", "Payment Expired", "expired"),
}


def failure(method: str, outcome: str) -> Event:
    digits, description, name = _FAILURES[outcome]
    return Event(f"D{_METHOD_LETTER[method]}{digits}", description, "disbursement", method, name, "failed")


def written(event: Event, *, at: str, amount_cents: int, status: str | None = None) -> Record:
    return {
        "timestamp": at,
        "event_code": event.code,
        "description": event.description,
        "amount_cents": amount_cents,
        "stage": event.stage,
        "method": event.method,
        "event_name": event.name,
        "status": status or event.status,
    }
