"""Suppliers and buyers, as their own operations show them."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from . import rules, views
from .audit import book, change, kind, settle_delivery, shelf
from .books import Record
from .call import Call
from .contacts import check_primaries, new_contact, taken
from .fields import UNIQUE, Errors, Field, Needs, Verb, apply, rows_of, unmet
from .lists import Filter, chosen, exact, narrowed, page_of, since, truth, until
from .wire import Answer, Refusal, json_answer, not_found
from .world import World

NEEDS_PERMISSION = (
    "payment_method",
    "bank_account_number",
    "bank_routing_number",
    "drawdown_bank_account_number",
    "drawdown_bank_routing_number",
)

REVIEW = timedelta(days=1)
"""How long a new buyer waits until it is ready for use: our guess."""


@dataclass(frozen=True)
class Kind:
    """What differs between suppliers and buyers."""

    name: str
    schema: Mapping[str, Field]
    needs_sent: tuple[Needs, ...]
    """Looked at as the caller asks for it."""
    needs: tuple[Needs, ...]
    """Looked at as the server will store it."""
    contact: Mapping[str, Field]
    read_only: Record
    view: Callable[[Record], Record]

    @property
    def blank(self) -> Record:
        """A record with nothing in it but what the server fills in."""
        fields = {name: deepcopy(field.fallback) for name, field in self.schema.items()}
        return fields | deepcopy(self.read_only) | {"contacts": []}

    def records(self, world: World) -> dict[str, Record]:
        return world.books.suppliers if self is SUPPLIERS else world.books.buyers


SUPPLIERS = Kind(
    name="suppliers",
    schema=rules.SUPPLIER | {"contacts": Field(rows_of(rules.SUPPLIER_CONTACT))},
    needs_sent=rules.SUPPLIER_NEEDS_SENT,
    needs=rules.SUPPLIER_NEEDS,
    contact=rules.SUPPLIER_CONTACT,
    read_only={
        "processing_fee": None,
        "remit_data": None,
        "issue_one_disbursement_per_invoice": False,
        "_cbm_optout_date": None,
    },
    view=views.supplier,
)
BUYERS = Kind(
    name="buyers",
    schema=rules.BUYER | {"contacts": Field(rows_of(rules.BUYER_CONTACT))},
    needs_sent=(),
    needs=rules.BUYER_NEEDS,
    contact=rules.BUYER_CONTACT,
    read_only={"ready_for_use": False, "reason_not_usable": "Onboarding review is not finished"},
    view=views.buyer,
)


# --- Suppliers ---------------------------------------------------------------------------------------------------


def list_suppliers(call: Call) -> Answer:
    return _list(
        call,
        SUPPLIERS,
        _REFERENCE,
        updated_after(call.world),
        truth("enabled", lambda record: record["enabled"]),
        since("cbm_optout_date_start", "_cbm_optout_date"),
        until("cbm_optout_date_end", "_cbm_optout_date"),
    )


def create_supplier(call: Call) -> Answer:
    return json_answer(views.supplier(_create(call, SUPPLIERS)))


def get_supplier(call: Call) -> Answer:
    return json_answer(views.supplier(_find(call, SUPPLIERS)))


def replace_supplier(call: Call) -> Answer:
    return json_answer(views.supplier(_update(call, SUPPLIERS, "replace")))


def patch_supplier(call: Call) -> Answer:
    return json_answer(views.supplier(_update(call, SUPPLIERS, "patch")))


# --- Buyers ------------------------------------------------------------------------------------------------------


def list_buyers(call: Call) -> Answer:
    return _list(call, BUYERS, _REFERENCE, updated_after(call.world))


def create_buyer(call: Call) -> Answer:
    record = _create(call, BUYERS)
    call.world.plan(call.world.now() + REVIEW, "approve_buyer", record["id"])
    return json_answer(views.buyer(record))


def get_buyer(call: Call) -> Answer:
    return json_answer(views.buyer(_find(call, BUYERS)))


def replace_buyer(call: Call) -> Answer:
    return json_answer(views.buyer(_update(call, BUYERS, "replace")))


def patch_buyer(call: Call) -> Answer:
    return json_answer(views.buyer(_update(call, BUYERS, "patch")))


# --- What both share ---------------------------------------------------------------------------------------------

_REFERENCE = exact("external_reference_id")


def updated_after(world: World) -> Filter:
    return since("updated_after", "updated", inclusive=world.quirks.updated_after_inclusive)


def _list(call: Call, what: Kind, *filters: Filter) -> Answer:
    records = call.world.ordered(what.name, what.records(call.world).values())
    rows = narrowed(records, chosen(filters, call.request))
    # 201 for a list: so says the vendor's description.
    return json_answer(page_of(rows, what.view, call.request, call.world.quirks.next_host), 201)


def _find(call: Call, what: Kind) -> Record:
    record = what.records(call.world).get(call.path["id"])
    if record is None:
        raise not_found()
    return record


def _create(call: Call, what: Kind) -> Record:
    world = call.world
    values = read(call, what.schema, "create")
    values["contacts"] = _new_contacts(world, values["contacts"] or [], what.contact)
    now = world.stamp()
    asked: Record = {"id": ""} | what.blank | values | {"created": now, "updated": now}
    record = dict(asked)
    if what is SUPPLIERS:
        settle_delivery(record)
        _note_optout(world, what.blank, record)
    reference = str(record["external_reference_id"])
    refuse(
        _unmet(what, asked, record, touched=None)
        | check_unique(what.records(world), reference, None, "external_reference_id")
    )
    record["id"] = world.chance.uuid("counterparty")
    return book(world, record, call.caller)


def _update(call: Call, what: Kind, verb: Verb) -> Record:
    record = _find(call, what)
    values = read(call, what.schema, verb)
    if values.get("contacts") is None:
        # A replace that does not mention the contacts leaves them alone: they have operations of their own.
        values.pop("contacts", None)
    else:
        rows = _new_contacts(call.world, values["contacts"], what.contact)
        values["contacts"] = [_same_contact(record, row) for row in rows]
    touched = list(values) if verb == "patch" else None
    return commit(
        call, record, values, "external_reference_id", lambda asked, future: _unmet(what, asked, future, touched)
    )


def _unmet(what: Kind, asked: Record, settled: Record, touched: list[str] | None) -> Errors:
    """The conditional rules that a record breaks, as asked for and as the server will store it.

    With `touched`, the fields of a patch, only the rules that those bear on.
    """
    missing = unmet(what.needs_sent, asked, touched)
    # What would follow from a value that is still missing cannot be said yet.
    return missing | unmet(what.needs, settled | dict.fromkeys(missing), touched)


def _note_optout(world: World, before: Record, after: Record) -> None:
    """When a supplier was taken out of Card by Mail: no record shows it, but the list can be asked for it."""
    if bool(before["ineligible_for_cbm"]) != bool(after["ineligible_for_cbm"]):
        after["_cbm_optout_date"] = world.stamp() if after["ineligible_for_cbm"] else None


def read(call: Call, schema: Mapping[str, Field], verb: Verb) -> dict[str, Any]:
    values, errors = apply(schema, call.body, verb)
    refuse(errors)
    return values


def commit(
    call: Call,
    record: Record,
    values: dict[str, Any],
    reference_name: str,
    check: Callable[[Record, Record], Errors] = lambda asked, future: {},
) -> Record:
    """The checks that need the record as it will be, then the change itself.

    `check` is handed the record as it was asked for and as it would be stored.
    """
    world = call.world
    asked = record | values
    future = dict(asked)
    if not views.is_buyer(record):
        settle_delivery(future)
        _note_optout(world, record, future)
    refuse(
        check(asked, future)
        | check_unique(shelf(world, record), future["external_reference_id"], record["id"], reference_name)
    )
    _check_permission(world, record, values)
    change(world, record, {name: value for name, value in future.items() if value != record.get(name)}, call.caller)
    world.effect(f"{kind(record)}.updated", record["id"])
    return record


def check_unique(others: Mapping[str, Record], reference: str, own_id: str | None, name: str) -> Errors:
    """A reference is unique per type, whatever its case."""
    taken = any(
        str(other["external_reference_id"]).upper() == reference.upper() and other["id"] != own_id
        for other in others.values()
    )
    return {name: [UNIQUE]} if taken else {}


def refuse(errors: Errors) -> None:
    if errors:
        raise Refusal(400, errors)


def _check_permission(world: World, record: Record, values: Mapping[str, Any]) -> None:
    if world.quirks.bank_update_permitted:
        return
    if any(name in values and values[name] != record.get(name) for name in NEEDS_PERMISSION):
        raise Refusal(403, {"detail": "You do not have permission to perform this action."})


def _same_contact(owner: Record, row: Record) -> Record:
    """A contact that keeps its reference keeps its id."""
    known = {contact["external_reference_id"]: contact["id"] for contact in owner["contacts"]}
    reference = row["external_reference_id"]
    return row | {"id": known[reference]} if reference in known and reference else row


def _new_contacts(world: World, rows: list[Record], schema: Mapping[str, Field]) -> list[Record]:
    check_primaries(rows)
    errors = taken([], rows)
    if any(errors):
        raise Refusal(400, {"contacts": errors})
    return [new_contact(world, row, schema) for row in rows]
