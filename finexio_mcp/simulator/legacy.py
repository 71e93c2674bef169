"""The deprecated view: suppliers and buyers under one roof, with names and spellings of its own."""

from collections.abc import Mapping
from typing import Any

from . import rules, views
from .audit import book
from .books import Record
from .call import Call
from .counterparties import SUPPLIERS, check_unique, commit, read, refuse, updated_after
from .fields import Verb, unmet
from .lists import chosen, contains, exact, narrowed, one_of, page_of
from .wire import Answer, Refusal, json_answer, not_found


def list_counterparties(call: Call) -> Answer:
    world = call.world
    filters = (
        contains("name"),
        one_of("type", ("Buyer", "Supplier"), lambda record: views.counterparty(record)["type"], any_case=True),
        exact("internal_id", lambda record: str(record["external_reference_id"]).upper()),
        updated_after(world),
    )
    both = [*world.books.buyers.values(), *world.books.suppliers.values()]
    rows = narrowed(world.ordered("counterparties", both), chosen(filters, call.request))
    return json_answer(page_of(rows, views.counterparty, call.request, world.quirks.next_host), 201)


def create_counterparty(call: Call) -> Answer:
    world = call.world
    values = read(call, rules.LEGACY, "create")
    if values.pop("type") != "Supplier":
        raise Refusal(400, {"type": ['"Buyer" is not a valid choice.']})
    refuse(
        unmet(rules.LEGACY_NEEDS, values)
        | check_unique(world.books.suppliers, values["internal_id"], None, "internal_id")
    )
    now = world.stamp()
    record: Record = {"id": world.chance.uuid("counterparty")} | SUPPLIERS.blank | {"created": now, "updated": now}
    record |= from_legacy(record, values)
    return json_answer(views.counterparty(book(world, record, call.caller)), 201)


def get_counterparty(call: Call) -> Answer:
    return json_answer(views.counterparty(_counterparty(call)))


def replace_counterparty(call: Call) -> Answer:
    return json_answer(views.counterparty(_update_counterparty(call, "replace")))


def patch_counterparty(call: Call) -> Answer:
    return json_answer(views.counterparty(_update_counterparty(call, "patch")))


def _counterparty(call: Call) -> Record:
    record = call.world.counterparty(call.path["id"])
    if record is None:
        raise not_found()
    return record


def _update_counterparty(call: Call, verb: Verb) -> Record:
    record = _counterparty(call)
    values = read(call, rules.LEGACY, verb)
    kind = views.counterparty(record)["type"]
    if values.pop("type", kind) != kind:
        raise Refusal(400, {"type": ["The type of a counterparty cannot be changed."]})
    if not views.is_buyer(record):
        touched = list(values) if verb == "patch" else None
        refuse(unmet(rules.LEGACY_NEEDS, views.counterparty(record) | values, touched))
    return commit(call, record, from_legacy(record, values), "internal_id")


def from_legacy(record: Record, values: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the deprecated names and spellings into the record's own."""
    names = views.LEGACY_BUYER_NAMES if views.is_buyer(record) else views.LEGACY_SUPPLIER_NAMES
    contact = {own: values[name] for name, own in views.PRIMARY_CONTACT_NAMES.items() if name in values}
    translated = {names.get(name, name): value for name, value in values.items()}
    for name in views.PRIMARY_CONTACT_NAMES:
        translated.pop(name, None)
    if "external_reference_id" in translated:
        translated["external_reference_id"] = translated["external_reference_id"].upper()
    if views.is_buyer(record):
        translated = {name: value for name, value in translated.items() if name in record}
    elif "payment_method" in translated:
        translated["payment_method"] = _own_method(translated["payment_method"])
        translated["delivery_method"] = record.get("delivery_method") or _usual_delivery(translated["payment_method"])
    if contact:
        translated["contacts"] = _with_primary(record, contact)
    return translated


def _own_method(method: str | None) -> str:
    return "Check" if method in (None, "", "PrintedCheck") else method


def _usual_delivery(method: str) -> str | None:
    return {"Check": "Mail", "Card": "Email"}.get(method)


def _with_primary(record: Record, values: dict[str, str]) -> list[Record]:
    """Contacts written through the deprecated view have neither an id nor a reference of their own."""
    if any(contact["primary"] for contact in record["contacts"]):
        return [contact | values if contact["primary"] else contact for contact in record["contacts"]]
    if not any(values.values()):
        return record["contacts"]
    blank = {"id": None, "external_reference_id": None, "name": "", "email": "", "phone": "", "primary": True}
    return [*record["contacts"], {"payment_notification": False} | blank | values]
