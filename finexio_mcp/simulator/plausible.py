"""Complete records from a few fields, for tests and for the seed: what is not said is made up, sensibly.

Nothing here is journalled, nor does it leave history: it was always so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from . import events, rules, views
from .audit import settle_delivery
from .books import Record
from .clock import read_stamp, stamp
from .contacts import new_contact
from .counterparties import BUYERS, SUPPLIERS, Kind
from .events import Event
from .invoices import invoice_record
from .legacy import from_legacy
from .lifecycle import (
    FINAL,
    await_payment,
    drawdown_record,
    instrument_number,
    payable_cents,
    payment_record,
)
from .webhooks import webhook_record
from .world import World

INVOICE_STATUS = {"pending": "pending", "in-progress": "in-progress", "settled": "complete"}


def buyer(world: World, fields: Mapping[str, Any]) -> Record:
    number = world.chance.count("buyer")
    record: Record = new_record(world, BUYERS) | {
        "name": f"Buyer {number} LLC",
        "address_1": f"{number} Main St",
        "city": "Boise",
        "state": "ID",
        "zipcode": "83702",
        "country": "USA",
        "external_reference_id": f"BUYER-{number}",
        "tax_id": f"00-{1000000 + number}",
        "funding_method": "ach_debit",
        "drawdown_bank_account_number": f"{4400000000 + number * 1003}",
        "drawdown_bank_routing_number": routing_number(number),
        "ready_for_use": True,
        "reason_not_usable": "",
    }
    return _shelve(world.books.buyers, _overlaid(record, fields))


def supplier(world: World, fields: Mapping[str, Any]) -> Record:
    """What is said stays as it is, even what no operation would let in: an ACH supplier with no account."""
    number = world.chance.count("supplier")
    record: Record = new_record(world, SUPPLIERS) | {
        "name": f"Supplier {number} Inc",
        "external_reference_id": f"SUPPLIER-{number}",
        "payment_method": "Check",
        "delivery_method": None,
        "remit_address_1": f"{number} Quay St",
        "remit_city": "Mobile",
        "remit_state": "AL",
        "remit_zipcode": "36602",
        "remit_email": f"ar@supplier{number}.example",
        "tax_id": f"00-{2000000 + number}",
        "payment_terms": 30,
        "payee_type": "Business",
    }
    record = _overlaid(record, fields)
    usual: Record = {}
    if record["payment_method"] in rules.NO_DELIVERY:
        usual["bank_account_number"] = f"{5500000000 + number * 1009}"
        usual["bank_routing_number"] = routing_number(100 + number)
    if record["payment_method"] == "Check":
        usual["delivery_method"] = "Mail"
    if record["ineligible_for_cbm"]:
        usual["_cbm_optout_date"] = record["created"]
    record |= {name: value for name, value in usual.items() if name not in fields}
    if "delivery_method" not in fields:
        settle_delivery(record)
    return _shelve(world.books.suppliers, record)


def counterparty(world: World, fields: Mapping[str, Any]) -> Record:
    """A supplier or buyer described in the deprecated view's names."""
    given = dict(fields)
    is_buyer = given.pop("type", "Supplier") == "Buyer"
    own = {name: given.pop(name) for name in ("id", "created", "updated") if name in given}
    unknown = set(given) - set(rules.LEGACY)
    if unknown:
        raise TypeError(f"A counterparty has no {', '.join(sorted(unknown))}.")
    translated = from_legacy((BUYERS if is_buyer else SUPPLIERS).blank, given)
    return (buyer if is_buyer else supplier)(world, own | translated)


def contact(world: World, owner_id: str, fields: Mapping[str, Any]) -> Record:
    owner = world.counterparty(owner_id)
    if owner is None:
        raise KeyError(owner_id)
    number = world.chance.count("contact-number")
    schema = rules.BUYER_CONTACT if views.is_buyer(owner) else rules.SUPPLIER_CONTACT
    usual = {
        "external_reference_id": f"CONTACT-{number}",
        "name": f"Contact {number}",
        "email": f"contact{number}@supplier.example",
        "phone": f"251-555-{100 + number % 100:04}",
        "primary": False,
    }
    record = _overlaid(new_contact(world, usual, schema), fields)
    owner["contacts"].append(record)
    return record


def invoice(world: World, fields: Mapping[str, Any]) -> Record:
    """Queued for payment, unless it is said to have one or to be past that."""
    number = world.chance.count("invoice-number")
    parties = {
        "originating_counterparty_id": _some_buyer(world, fields)["id"],
        "receiving_counterparty_id": _some_supplier(world, fields)["id"],
    }
    usual = {
        "amount_cents": 125_00,
        "invoice_date": world.now().date().isoformat(),
        "invoice_number": f"INV-{number:05}",
    }
    record = _overlaid(invoice_record(world, usual | parties), fields)
    _shelve(world.books.invoices, record)
    if record["payment_id"] is None and record["status"] == "pending":
        await_payment(world, record)
    return record


def payment(world: World, fields: Mapping[str, Any]) -> Record:
    """A payment with the events that its status tells of, and an invoice behind it unless some are named.

    It stays as it is: time does not move it on.
    """
    given = dict(fields)
    status, amount = given.get("status", "in-progress"), given.pop("amount_cents", 125_00)
    paid = [world.books.invoices[key] for key in given.pop("invoice_ids", ())]
    if not paid:
        parties = {name: given[name] for name in _PARTIES if name in given}
        paid = [invoice(world, parties | {"amount_cents": amount, "status": INVOICE_STATUS.get(status, status)})]
    else:
        amount = sum(payable_cents(row) for row in paid)
    record = payment_record(world, _some_supplier(world, paid[0]), paid)
    record = _overlaid(record, given | {"status": status, "amount_cents": amount})
    for row in paid:
        row["payment_id"] = record["id"]
    if "events" not in given:
        record["events"] = _events(world, record, until=given.get("updated", world.stamp()))
        record["updated"] = given.get("updated", record["events"][-1]["timestamp"])
    if "instrument_number" not in given and status not in ("pending", "canceled"):
        record["instrument_number"] = instrument_number(world, record["id"], record["payment_method"])
    return _shelve(world.books.payments, record)


def drawdown(world: World, fields: Mapping[str, Any]) -> Record:
    """A drawdown over the payments named by id in `payments`, or over a new one of that amount."""
    given = dict(fields)
    keys: Sequence[str] = given.pop("payments", ())
    new_id = given.pop("id", given.pop("processor_request_id", None))
    funded = [world.books.payments[key] for key in keys]
    if not funded:
        parties = {name: given[name] for name in ("originating_counterparty_id",) if name in given}
        funded = [payment(world, parties | {"amount_cents": given.pop("amount_cents", 125_00)})]
    owner = world.books.buyers[funded[0]["originating_counterparty_id"]]
    record = drawdown_record(world, owner, funded) | {"status": "received", "funding_complete_date": world.stamp()}
    if given.get("status", "received") != "received":
        record["funding_complete_date"] = None
    record = _overlaid(record, given)
    record["processor_request_id"] = new_id or record["processor_request_id"]
    for row in funded:
        row["funding_drawdown_request_id"] = record["processor_request_id"]
    world.books.drawdowns[record["processor_request_id"]] = record
    return record


def webhook(world: World, fields: Mapping[str, Any]) -> Record:
    usual = {name: rule.fallback for name, rule in rules.WEBHOOK.items()} | {
        "event": "payment.changed",
        "url": "https://hooks.acme.example/finexio",
        "username": "fx-in",
        "password": "correct horse",
    }
    return _shelve(world.books.webhooks, _overlaid(webhook_record(world, usual), fields))


def history(world: World, fields: Mapping[str, Any]) -> Record:
    given = dict(fields)
    object_id = given.get("object_id") or _some_supplier(world, {})["id"]
    subject = world.counterparty(object_id)
    entry: Record = {
        "object_id": object_id,
        "actor": "erp_bot",
        "remote_addr": "203.0.113.9",
        "timestamp": world.stamp(),
        "action": "Updated",
        "changes": {"payment_terms": ["30", "45"]},
        "_id": world.chance.uuid("history"),
        "_snapshot": views.counterparty(subject) if subject else {"id": object_id},
    }
    entry = _overlaid(entry, given)
    world.books.history.append(entry)
    return entry


def routing_number(number: int) -> str:
    """Nine digits with a valid checksum under 99, a prefix that no bank has."""
    digits = f"99{number % 1_000_000:06}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, (3, 7, 1, 3, 7, 1, 3, 7), strict=True))
    return f"{digits}{-total % 10}"


def new_record(world: World, what: Kind) -> Record:
    """A supplier or buyer with an id and nothing else."""
    now = world.stamp()
    return {"id": world.chance.uuid("counterparty")} | what.blank | {"created": now, "updated": now}


_PARTIES = ("originating_counterparty_id", "receiving_counterparty_id")


def _overlaid(record: Record, fields: Mapping[str, Any]) -> Record:
    """A misspelt field name in a test should fail there, not vanish."""
    unknown = [name for name in fields if name not in record]
    if unknown:
        raise TypeError(f"This record has no {', '.join(sorted(unknown))}.")
    given = {name: value for name, value in fields.items() if name != "id" or value is not None}
    if "created" in given and "updated" in record and "updated" not in given:
        given["updated"] = given["created"]
    return record | given


def _shelve(shelf: dict[str, Record], record: Record) -> Record:
    shelf[record["id"]] = record
    return record


def _some_buyer(world: World, fields: Mapping[str, Any]) -> Record:
    return _some(world.books.buyers, fields.get("originating_counterparty_id")) or buyer(world, {})


def _some_supplier(world: World, fields: Mapping[str, Any]) -> Record:
    return _some(world.books.suppliers, fields.get("receiving_counterparty_id")) or supplier(world, {})


def _some(shelf: Mapping[str, Record], wanted: str | None) -> Record | None:
    return shelf[wanted] if wanted else next(iter(shelf.values()), None)


def _events(world: World, record: Record, *, until: str) -> list[Record]:
    """The life so far of a payment in this status, spread over the time it has existed."""
    story = _story(world, record)
    begin = read_stamp(record["created"])
    step = (max(begin, read_stamp(until)) - begin) / max(1, len(story) - 1)
    return [
        events.written(event, at=stamp(begin + step * position), amount_cents=record["amount_cents"])
        for position, event in enumerate(story)
    ]


def _story(world: World, record: Record) -> list[Event]:
    status, method = record["status"], record["payment_method"]
    if status == "pending":
        return [events.CREATED]
    if status == "canceled":
        return [events.CREATED, events.CANCELED]
    owner = world.books.buyers[record["originating_counterparty_id"]]
    funding = events.FUNDING["wire" if "wire" in owner["funding_method"] else "ach"]
    story = [events.CREATED, events.CONFIRMED, funding["requested"], funding["received"], events.DISBURSED[method]]
    if status not in FINAL:
        return story
    return [*story, events.SETTLED[method] if status == "settled" else events.failure(method, "9902")]
