"""Contacts of suppliers and buyers: bare arrays, at most one primary, found only by their own reference."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import rules, views
from .audit import change
from .books import Record
from .call import Call
from .fields import UNIQUE, Errors, Field, apply
from .wire import Answer, Refusal, array_of, json_answer, not_found
from .world import World

TWO_PRIMARIES = "Only one contact can be set as primary."


def list_contacts(call: Call) -> Answer:
    return json_answer(_owner(call)["contacts"])


def add_contacts(call: Call) -> Answer:
    """Takes an array and answers with every contact the owner has now, old ones included."""
    owner = _owner(call)
    schema = _schema(owner)
    read = [apply(schema, row, "create") for row in array_of(call.body)]
    errors = [problems for _, problems in read]
    rows = [values for values, _ in read]
    if not any(errors):
        errors = taken(owner["contacts"], rows)
    if any(errors):
        raise Refusal(400, errors)
    check_primaries(rows)
    added = [new_contact(call.world, row, schema) for row in rows]
    _save(call, owner, _one_primary(owner["contacts"], added) + added)
    for contact in added:
        call.world.effect("contact.created", contact["id"] or contact["external_reference_id"] or "")
    return json_answer(owner["contacts"])


def replace_contact(call: Call) -> Answer:
    """A full replace: what is left out is emptied, except the reference."""
    owner = _owner(call)
    contact = _addressed(call, owner)
    values, errors = apply(_schema(owner), call.body, "replace")
    reference = values.get("external_reference_id") or contact["external_reference_id"]
    others = [other for other in owner["contacts"] if other is not contact]
    if not errors and any(other["external_reference_id"] == reference for other in others):
        errors = {"external_reference_id": [UNIQUE]}
    if errors:
        raise Refusal(400, errors)
    changed = contact | values | {"external_reference_id": reference}
    demoted = iter(_one_primary(others, [changed]))
    _save(call, owner, [changed if other is contact else next(demoted) for other in owner["contacts"]])
    call.world.effect("contact.updated", changed["id"] or reference)
    return json_answer(changed)


def delete_contact(call: Call) -> Answer:
    owner = _owner(call)
    contact = _addressed(call, owner)
    _save(call, owner, [other for other in owner["contacts"] if other is not contact])
    call.world.effect("contact.deleted", contact["id"] or contact["external_reference_id"])
    return json_answer(True)


def new_contact(world: World, values: Mapping[str, Any], schema: Mapping[str, Field]) -> Record:
    contact_id = None if world.quirks.created_contact_ids_null else world.chance.uuid("contact")
    return {"id": contact_id} | {name: values.get(name, field.fallback) for name, field in schema.items()}


def check_primaries(rows: Sequence[Mapping[str, Any]]) -> None:
    if sum(bool(row.get("primary")) for row in rows) > 1:
        raise Refusal(400, {"non_field_errors": [TWO_PRIMARIES]})


def _one_primary(contacts: Sequence[Record], newer: Sequence[Record]) -> list[Record]:
    """A new primary contact silently takes the place of the old one."""
    if not any(contact["primary"] for contact in newer):
        return list(contacts)
    return [contact | {"primary": False} for contact in contacts]


def taken(contacts: Sequence[Record], rows: Sequence[Record]) -> list[Errors]:
    """For each new row what its reference has against those there are and those above it."""
    seen = {contact["external_reference_id"] for contact in contacts} - {None, ""}
    errors: list[Errors] = []
    for row in rows:
        reference = row["external_reference_id"]
        errors.append({"external_reference_id": [UNIQUE]} if reference in seen else {})
        seen |= {reference} - {None, ""}
    return errors


def _schema(owner: Record) -> Mapping[str, Field]:
    return rules.BUYER_CONTACT if views.is_buyer(owner) else rules.SUPPLIER_CONTACT


def _owner(call: Call) -> Record:
    shelf = call.world.books.buyers if "/buyers/" in call.request.path else call.world.books.suppliers
    owner = shelf.get(call.path["id"])
    if owner is None:
        raise not_found()
    return owner


def _addressed(call: Call, owner: Record) -> Record:
    reference = call.path["external_reference_id"]
    for contact in owner["contacts"]:
        if contact["external_reference_id"] == reference:
            return contact
    raise not_found()


def _save(call: Call, owner: Record, contacts: list[Record]) -> None:
    change(call.world, owner, {"contacts": contacts}, call.caller)
