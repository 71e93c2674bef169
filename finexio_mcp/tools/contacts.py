"""Supplier contacts: the people who get payment notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from finexio_mcp.errors import NotFound, OutcomeUnknown, Problem, Rejected
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.fields import Email, Id, ListArguments, NewReference, Reference, Text17, Text40
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Local, Lookup, Record, ToolSpec, Trace

CONTACT = Record(
    fields={
        "id": "Contact id; old contacts have none",
        "external_reference_id": "Your own id of the contact",
        "name": "Name",
        "email": "E-mail",
        "phone": "Phone",
        "primary": "true: the supplier's main contact",
        "payment_notification": "true: is told of payments",
    },
    keys=("id", "external_reference_id", "primary"),
)
WRITABLE = tuple(name for name in CONTACT.fields if name != "id")
ONE_CONTACT = "Only one contact can be primary; set primary to true on one of them."


class ContactFields(Arguments):
    """What create and update share."""

    primary: bool
    """Main contact? Setting true unsets the former one."""
    external_reference_id: NewReference | None = None
    """Your unique id; needed for later changes."""
    name: Text40 | None = None
    """Name."""
    email: Email | None = None
    """E-mail."""
    phone: Text17 | None = None
    """Phone."""
    payment_notification: bool | None = None
    """Tell of payments."""


class Contact(ContactFields):
    """One supplier contact."""


class CreateContacts(Arguments):
    supplier_id: Id
    """Supplier id."""
    contacts: Annotated[list[Contact], Field(min_length=1, max_length=50)]
    """Contacts to add."""

    def problems(self) -> Iterator[Problem]:
        if sum(contact.primary for contact in self.contacts) > 1:
            yield Problem("contacts", ONE_CONTACT)
        seen: set[str] = set()
        for index, contact in enumerate(self.contacts):
            reference = contact.external_reference_id
            if reference is not None and reference in seen:
                yield Problem(f"contacts[{index}].external_reference_id", "stands twice in this call")
            seen.add(reference or "")


class ListContacts(ListArguments):
    supplier_id: Id
    """Supplier id."""


class UpdateContact(ContactFields):
    supplier_id: Id
    """Supplier id."""
    id: Reference
    """Contact id or external_reference_id."""
    clear: Annotated[list[str] | None, Field(min_length=1, max_length=3), Local()] = None
    """Of name, email, phone: which to empty."""

    clearable = ("name", "email", "phone")


class DeleteContact(Arguments):
    supplier_id: Id
    """Supplier id."""
    id: Reference
    """Contact id or external_reference_id."""


def _gather(arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A single contact's fields at top level count as one contact."""
    loose = {name: value for name, value in arguments.items() if name in WRITABLE}
    if "contacts" in arguments or not loose:
        return arguments, []
    rest = {name: value for name, value in arguments.items() if name not in loose}
    return {**rest, "contacts": [loose]}, []


def _find(contacts: list[Any], wanted: str) -> dict[str, Any]:
    """The contact with this reference, else with this id.

    Finexio's path takes the reference alone, and an agent naturally holds the id.
    """
    known = [contact for contact in contacts if is_object(contact)]
    for key in ("external_reference_id", "id"):
        for contact in known:
            if contact.get(key) == wanted:
                if not contact.get("external_reference_id"):
                    raise Rejected(
                        "This contact has no external_reference_id, and Finexio can change or delete a contact only "
                        "by that. It has to be changed in the Finexio portal."
                    )
                return contact
    raise NotFound(
        "This supplier has no contact with that id or external_reference_id. "
        "See list_all_finexio_supplier_contacts for those it has."
    )


def _overlay(contacts: list[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Finexio replaces a contact whole, so what the caller left out is taken from the stored one."""
    stored = _find(contacts, arguments["id"])
    kept = {name: stored[name] for name in WRITABLE if stored.get(name) is not None}
    return {**kept, **arguments, "id": stored["external_reference_id"]}


def _address(contacts: list[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    return {**arguments, "id": _find(contacts, arguments["id"])["external_reference_id"]}


def _same(sent: dict[str, Any], stored: dict[str, Any]) -> bool:
    if sent.get("external_reference_id"):
        return sent["external_reference_id"] == stored.get("external_reference_id")
    return all((sent.get(name) or "") == (stored.get(name) or "") for name in ("name", "email", "phone"))


def _just_sent(answer: Any, arguments: dict[str, Any]) -> Any:
    """Finexio answers with every contact of the supplier; only those of this call were created."""
    stored = [row for row in (answer if is_array(answer) else [answer]) if is_object(row)]
    created: list[Any] = []
    for sent in arguments["contacts"]:
        # The newest comes last, and old contacts may look the same.
        match = next((row for row in reversed(stored) if row not in created and _same(sent, row)), None)
        if match is None:
            raise OutcomeUnknown(
                "Finexio accepted the call, but its answer does not show every contact that was sent. "
                "Look with list_all_finexio_supplier_contacts before adding any of them again."
            )
        created.append(match)
    return created


def _tell_total(answer: Any) -> str | None:
    return f"This supplier now has {len(answer)} contacts." if is_array(answer) else None


def _deleted(answer: Any, _arguments: dict[str, Any]) -> Any:
    """Documented is `true`; an empty answer says as much. Anything else does not."""
    return True if answer in (None, True) else None


def _has_its_reference(record: dict[str, Any], arguments: dict[str, Any]) -> bool:
    return record.get("external_reference_id") in (arguments["id"], arguments.get("external_reference_id"))


CONTACTS_ROUTE = "/counterparties/suppliers/{supplier_id}/contacts"


def _records(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Every contact that has a reference, and the one place of a main contact, which is taken from another."""
    supplier = arguments["supplier_id"].casefold()
    contacts = arguments.get("contacts", [arguments])
    references = [arguments.get("id"), *(contact.get("external_reference_id") for contact in contacts)]
    main = [f"contact-main:{supplier}"] if any(contact.get("primary") for contact in contacts) else []
    return (*(f"contact:{supplier}:{reference}" for reference in references if reference), *main)


def _kept(arguments: dict[str, Any]) -> dict[str, str]:
    return {name: arguments[name] for name in ("supplier_id", "id", "external_reference_id") if arguments.get(name)}


def _has_kept_reference(row: dict[str, Any], kept: dict[str, str]) -> bool:
    return row.get("external_reference_id") in (kept["id"], kept.get("external_reference_id", kept["id"]))


def _as_created(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """A contact without a reference is known only by all that it has and all that it has not."""
    blank = dict.fromkeys(("external_reference_id", "name", "email", "phone"), "")
    return [{**blank, **contact} for contact in arguments["contacts"]]


def _as_replaced(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in arguments.items() if name in WRITABLE}]


LOOK = f"GET {CONTACTS_ROUTE}"
CREATED = Trace(
    records=_records,
    kept=_kept,
    look=LOOK,
    expected=_as_created,
    created_by=("external_reference_id",),
    is_it=lambda _row, _kept: True,
)
CHANGED = Trace(records=_records, kept=_kept, look=LOOK, expected=_as_replaced, is_it=_has_kept_reference)
DELETED = Trace(
    records=_records, kept=_kept, look=LOOK, expected=lambda _arguments: [], gone=True, is_it=_has_kept_reference
)

CREATE_CONTACTS = ToolSpec(
    name="create_a_finexio_supplier_contact",
    title="Add supplier contacts",
    about=(
        "Add one or more contacts to a supplier, for example from an ERP, so that Finexio can reach them "
        "about electronic payment. At most one primary. To change one, use update."
    ),
    route=f"POST {CONTACTS_ROUTE}",
    effect=Effect.WRITE,
    arguments=CreateContacts,
    record=CONTACT,
    tidy=_gather,
    body_rows="contacts",
    to_record=_just_sent,
    notice=_tell_total,
    trace=CREATED,
    source="Finexio API v2, POST /counterparties/suppliers/{id}/contacts",
)

DELETE_CONTACT = ToolSpec(
    name="delete_a_finexio_supplier_contact_by_id",
    title="Delete a supplier contact",
    about="Remove one contact person, for good; suppliers themselves cannot be deleted.",
    route=f"DELETE {CONTACTS_ROUTE}/{{id}}",
    effect=Effect.WRITE,
    arguments=DeleteContact,
    record=CONTACT,
    before=Lookup(route=LOOK, resolve=_address),
    to_record=_deleted,
    trace=DELETED,
    source="Finexio API v2, DELETE /counterparties/suppliers/{id}/contacts/{external_reference_id}",
)

LIST_CONTACTS = ToolSpec(
    name="list_all_finexio_supplier_contacts",
    title="List supplier contacts",
    about="List a supplier's contact people: e-mail, phone, and who is told of payments.",
    route=f"GET {CONTACTS_ROUTE}",
    effect=Effect.READ,
    arguments=ListContacts,
    record=CONTACT,
    listing=Listing.ARRAY,
    source="Finexio API v2, GET /counterparties/suppliers/{id}/contacts",
)

UPDATE_CONTACT = ToolSpec(
    name="update_a_finexio_supplier_contact_by_id",
    title="Update a supplier contact",
    about=(
        "Change a supplier contact, or turn payment notices on or off; fields left out keep their value, "
        "`clear` empties."
    ),
    route=f"PUT {CONTACTS_ROUTE}/{{id}}",
    effect=Effect.WRITE,
    arguments=UpdateContact,
    record=CONTACT,
    before=Lookup(route=LOOK, resolve=_overlay),
    is_it=_has_its_reference,
    trace=CHANGED,
    source="Finexio API v2, PUT /counterparties/suppliers/{id}/contacts/{external_reference_id}",
)
