"""Changing a supplier or buyer, with the history entry that every change leaves."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from . import rules, views
from .books import Record
from .call import Caller
from .world import World


def book(world: World, record: Record, caller: Caller) -> Record:
    """Enter a complete new supplier or buyer."""
    shelf(world, record)[record["id"]] = record
    _write_history(world, "Created", {}, record, caller)
    world.effect(f"{kind(record)}.created", record["id"])
    return record


def change(world: World, record: Record, values: Mapping[str, Any], caller: Caller) -> Record:
    """Overwrite fields; the caller says what that amounts to (`world.effect`)."""
    before = deepcopy(record)
    record.update(values)
    record["updated"] = world.stamp()
    _write_history(world, "Updated", before, record, caller)
    return record


def settle_delivery(record: Record) -> None:
    """The server has the last word on how a payment method is delivered."""
    if record["payment_method"] in rules.NO_DELIVERY:
        record["delivery_method"] = None
    elif record["payment_method"] == "Card" and record["delivery_method"] not in rules.CARD_DELIVERY:
        record["delivery_method"] = "Email"


def shelf(world: World, record: Record) -> dict[str, Record]:
    return world.books.buyers if views.is_buyer(record) else world.books.suppliers


def kind(record: Record) -> str:
    return "buyer" if views.is_buyer(record) else "supplier"


def _audited(record: Record) -> dict[str, Any]:
    """What history watches: the deprecated view's names where it has one, else the record's own."""
    if not record:
        return {}
    names = views.LEGACY_BUYER_NAMES if views.is_buyer(record) else views.LEGACY_SUPPLIER_NAMES
    hidden = {*names.values(), "created", "updated", "id", "contacts"}
    contacts = [contact["external_reference_id"] or contact["name"] for contact in record["contacts"]]
    return (
        views.outside(record, *hidden)
        | {name: value for name, value in views.counterparty(record).items() if name not in hidden}
        | {"contacts": ", ".join(map(str, contacts)) or None}
    )


def _write_history(world: World, action: str, before: Record, after: Record, caller: Caller) -> None:
    old, new = _audited(before), _audited(after)
    changes = {name: [str(old.get(name)), str(value)] for name, value in new.items() if old.get(name) != value}
    if not changes:
        return
    world.books.history.append(
        {
            "object_id": after["id"],
            "actor": caller.user,
            "remote_addr": caller.address,
            "timestamp": world.stamp(),
            "action": action,
            "changes": changes,
            "_id": world.chance.uuid("history"),
            "_snapshot": views.counterparty(after),
        }
    )
