"""Records of the size and shape that Finexio sends, the same in every run."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

BUYERS, SUPPLIERS = 3, 40


def identifier(kind: str, index: int) -> str:
    """A UUID that looks random and is not."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {index}"))


def invoice(index: int) -> dict[str, Any]:
    """One stored invoice, with a number of 12 characters."""
    day, minute = index % 28 + 1, index % 60
    return {
        "id": identifier("invoice", index),
        "amount_cents": 1_000 + index * 7_919 % 900_000,
        "currency": "USD",
        "discount_amount_cents": 0,
        "invoice_date": f"2026-09-{day:02}",
        "invoice_due_date": f"2026-10-{day:02}",
        "invoice_number": f"INV-{index:08}",
        "note": "",
        "originating_counterparty_id": identifier("buyer", index % BUYERS),
        "receiving_counterparty_id": identifier("supplier", index % SUPPLIERS),
        "metadata": {},
        "payment_id": identifier("payment", index),
        "reconciliation_id": None,
        "created": f"2026-09-{day:02}T12:{minute:02}:03.{index % 1_000_000:06}",
        "updated": f"2026-09-{day:02}T14:{minute:02}:41.{index * 31 % 1_000_000:06}",
        "account_number": None,
        "accounting_id": None,
        "documentationPresented": False,
        "payment_group_id": "",
        "can_be_resubmitted": False,
        "status": "complete",
    }


def stored(sent: dict[str, Any], key: str) -> dict[str, Any]:
    """What Finexio answers to one row of a batch: the row, with an id and all else still empty."""
    return {**NEW, **sent, "id": key}


NEW = {**invoice(0), "invoice_due_date": None, "payment_id": None, "status": "pending"}


def to_pay(run: str, first: int, count: int) -> list[dict[str, Any]]:
    """Rows of a batch; `run` is four characters that keep the numbers of two runs apart."""
    return [
        {
            "invoice_number": f"{run}{first + index:08}",
            "amount_cents": 1_000 + first + index,
            "currency": "USD",
            "invoice_date": date.today().isoformat(),  # noqa: DTZ011
            "originating_counterparty_id": identifier("buyer", 0),
            "receiving_counterparty_id": identifier("supplier", index % SUPPLIERS),
        }
        for index in range(count)
    ]


def payment(index: int) -> dict[str, Any]:
    """One settled payment of three invoices: the most nested of the records."""
    day = "2026-09-02"
    steps = ("pending", "funding", "sent", "settled")
    return {
        "id": identifier("payment", index),
        "created": f"{day}T12:10:04.201000",
        "updated": f"{day}T18:00:00.288000",
        "amount_cents": 384_900,
        "currency": "USD",
        "originating_counterparty_id": identifier("buyer", 0),
        "receiving_counterparty_id": identifier("supplier", 0),
        "payment_method": "check",
        "delivery_method": "mail",
        "tracking_id": f"RC00K00Q{index:08}",
        "instrument_number": "200417",
        "status": "settled",
        "events": [
            {
                "timestamp": f"2026-09-{at + 2:02}T12:00:00.000000",
                "event_code": f"CH{at:03}",
                "description": f"The check is {step}",
                "amount_cents": 384_900,
                "stage": "in-progress",
                "method": "check",
                "event_name": f"payment.{step}",
                "status": step,
            }
            for at, step in enumerate(steps)
        ],
        "invoices": [
            {
                "id": identifier("invoice", at),
                "invoice_number": f"INV-{at:08}",
                "payment_amount_cents": 128_300,
                "metadata": {"store": f"{at}"},
                "reconciliation_id": None,
                "payment_group_id": "",
                "public_account_number": f"77003{at:04}",
            }
            for at in range(3)
        ],
        "adjustments": [],
        "funding_drawdown_request_id": f"DJ{index:010}",
        "reconciliation_id": None,
        "reissue_payment_method": None,
        **{
            f"{action}_{detail}": None
            for action in ("refund", "reissue")
            for detail in ("user", "timestamp", "reason", "comment", "ticket_number")
        },
    }
