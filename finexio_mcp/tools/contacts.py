"""Contacts: the people who get notices about payments, of suppliers here; those of buyers go by the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from finexio_mcp.errors import NotFound, OutcomeUnknown, Problem, Rejected
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.fields import Email, Id, ListArguments, NewReference, Reference, Text17, Text40
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Local, Lookup, Record, ToolSpec, Trace

TEXTS = ("name", "email", "phone")
"""What an update can empty."""
NO_REFERENCE = (
    "A contact without external_reference_id cannot be changed or deleted through the API later, only in the portal."
)
ONE_CONTACT = "Only one contact can be set as primary. Set primary to true on one of them at most."

# --- Whosever they are -------------------------------------------------------------------------------------------


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


def contact_problems(contacts: Sequence[ContactFields]) -> Iterator[Problem]:
    """What keeps an array `contacts` from being taken: two main contacts, or a reference that stands twice."""
    if sum(contact.primary for contact in contacts) > 1:
        yield Problem("contacts", ONE_CONTACT)
    seen: set[str] = set()
    for index, contact in enumerate(contacts):
        reference = contact.external_reference_id
        if reference is not None and reference in seen:
            yield Problem(f"contacts[{index}].external_reference_id", "stands twice in this call")
        seen.add(reference or "")


def unreachable(arguments: dict[str, Any]) -> list[str]:
    """A sentence about contacts that nobody will be able to change, from raw arguments."""
    contacts = arguments.get("contacts")
    rows: list[Any] = contacts if is_array(contacts) else []
    return [NO_REFERENCE] if any(is_object(row) and not row.get("external_reference_id") for row in rows) else []


def _is_kept(row: dict[str, Any], kept: dict[str, str]) -> bool:
    return row.get("external_reference_id") in (kept["id"], kept.get("external_reference_id", kept["id"]))


def _as_created(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """A contact without a reference is known only by all that it has and all that it has not."""
    blank = dict.fromkeys(("external_reference_id", *TEXTS), "")
    return [{**blank, **contact} for contact in arguments["contacts"]]


def _same(sent: dict[str, Any], stored: dict[str, Any]) -> bool:
    if sent.get("external_reference_id"):
        return sent["external_reference_id"] == stored.get("external_reference_id")
    return all((sent.get(name) or "") == (stored.get(name) or "") for name in TEXTS)


@dataclass(frozen=True)
class Contacts:
    """How contacts are added, found and changed; only words and names depend on who has them.

    Args:
        owner: What has them: supplier or buyer.
        notices: The flags that only these contacts have, with a few words each.
    """

    owner: str
    notices: Mapping[str, str]

    @property
    def owner_id(self) -> str:
        return f"{self.owner}_id"

    @property
    def route(self) -> str:
        return f"/counterparties/{self.owner}s/{{{self.owner_id}}}/contacts"

    @property
    def look(self) -> str:
        """There is no read of a single contact."""
        return f"GET {self.route}"

    @property
    def list_tool(self) -> str:
        return f"list_all_finexio_{self.owner}_contacts"

    @cached_property
    def record(self) -> Record:
        return Record(
            fields={
                "id": "Contact id; old contacts have none",
                "external_reference_id": "Your own id of the contact",
                "name": "Name",
                "email": "E-mail",
                "phone": "Phone",
                "primary": f"true: the {self.owner}'s main contact",
                **self.notices,
            },
            keys=("id", "external_reference_id", "primary"),
        )

    @cached_property
    def writable(self) -> tuple[str, ...]:
        return tuple(name for name in self.record.fields if name != "id")

    # Arguments -------------------------------------------------------------------

    def gather(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """A single contact's fields at top level count as one contact."""
        loose = {name: value for name, value in arguments.items() if name in self.writable}
        if loose and "contacts" not in arguments:
            rest = {name: value for name, value in arguments.items() if name not in loose}
            arguments = {**rest, "contacts": [loose]}
        return arguments, unreachable(arguments)

    def find(self, contacts: list[Any], wanted: str) -> dict[str, Any]:
        """The contact with this reference, else with this id.

        Finexio's path takes the reference alone, and an agent naturally holds the id.
        """
        known = [contact for contact in contacts if is_object(contact)]
        for key in ("external_reference_id", "id"):
            for contact in known:
                if contact.get(key) == wanted:
                    if not contact.get("external_reference_id"):
                        raise Rejected(
                            "This contact has no external_reference_id, and Finexio can change or delete a contact "
                            "only by that. It has to be changed in the Finexio portal."
                        )
                    return contact
        raise NotFound(
            f"This {self.owner} has no contact with that id or external_reference_id. "
            f"See {self.list_tool} for those it has."
        )

    def overlay(self, contacts: list[Any], arguments: dict[str, Any]) -> dict[str, Any]:
        """Finexio replaces a contact whole, so what the caller left out is taken from the stored one."""
        stored = self.find(contacts, arguments["id"])
        kept = {name: stored[name] for name in self.writable if stored.get(name) is not None}
        return {**kept, **arguments, "id": stored["external_reference_id"]}

    def address(self, contacts: list[Any], arguments: dict[str, Any]) -> dict[str, Any]:
        return {**arguments, "id": self.find(contacts, arguments["id"])["external_reference_id"]}

    # Answers ---------------------------------------------------------------------

    def just_sent(self, answer: Any, arguments: dict[str, Any]) -> Any:
        """Finexio answers with every contact there is; only those of this call were created."""
        stored = [row for row in (answer if is_array(answer) else [answer]) if is_object(row)]
        created: list[Any] = []
        for sent in arguments["contacts"]:
            # The newest comes last, and old contacts may look the same.
            match = next((row for row in reversed(stored) if row not in created and _same(sent, row)), None)
            if match is None:
                raise OutcomeUnknown(
                    "Finexio accepted the call, but its answer does not show every contact that was sent. "
                    f"Look with {self.list_tool} before adding any of them again."
                )
            created.append(match)
        return created

    def tell_total(self, answer: Any) -> str | None:
        return (
            f"This {self.owner} now has {len(answer)} contact{'' if len(answer) == 1 else 's'}."
            if is_array(answer)
            else None
        )

    # Traces ----------------------------------------------------------------------

    def _records(self, arguments: dict[str, Any]) -> tuple[str, ...]:
        """Every contact that has a reference, and the one place of a main contact, which is taken from another."""
        owner = arguments[self.owner_id].casefold()
        contacts = arguments.get("contacts", [arguments])
        references = [arguments.get("id"), *(contact.get("external_reference_id") for contact in contacts)]
        # Whatever happens to a contact that is there may happen to the main one.
        main = [f"contact-main:{owner}"] if "id" in arguments or any(row.get("primary") for row in contacts) else []
        return (*(f"contact:{owner}:{reference}" for reference in references if reference), *main)

    def _kept(self, arguments: dict[str, Any]) -> dict[str, str]:
        names = (self.owner_id, "id", "external_reference_id")
        return {name: arguments[name] for name in names if arguments.get(name)}

    def _as_replaced(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [{name: value for name, value in arguments.items() if name in self.writable}]

    @property
    def created(self) -> Trace:
        return Trace(
            records=self._records,
            kept=self._kept,
            look=self.look,
            expected=_as_created,
            created_by=("external_reference_id",),
            is_it=lambda _row, _kept: True,
        )

    @property
    def changed(self) -> Trace:
        return Trace(records=self._records, kept=self._kept, look=self.look, expected=self._as_replaced, is_it=_is_kept)

    @property
    def deleted(self) -> Trace:
        return Trace(
            records=self._records,
            kept=self._kept,
            look=self.look,
            expected=lambda _arguments: [],
            gone=True,
            is_it=_is_kept,
        )


def as_deleted(answer: Any, _arguments: dict[str, Any]) -> Any:
    """Documented is `true`; an empty answer says as much. Anything else does not."""
    return True if answer in (None, True) else None


def has_its_reference(record: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Whether a contact is the one that was changed."""
    return record.get("external_reference_id") in (arguments["id"], arguments.get("external_reference_id"))


# --- Suppliers' --------------------------------------------------------------------------------------------------

OF_SUPPLIERS = Contacts("supplier", notices={"payment_notification": "true: is told of payments"})


class Contact(ContactFields):
    """One supplier contact."""

    payment_notification: bool | None = None
    """Tell of payments."""


class CreateContacts(Arguments):
    supplier_id: Id
    """Supplier id."""
    contacts: Annotated[list[Contact], Field(min_length=1, max_length=50)]
    """Contacts to add."""

    def problems(self) -> Iterator[Problem]:
        yield from contact_problems(self.contacts)


class ListContacts(ListArguments):
    supplier_id: Id
    """Supplier id."""


class UpdateContact(Contact):
    supplier_id: Id
    """Supplier id."""
    id: Reference
    """Contact id or external_reference_id."""
    clear: Annotated[list[str] | None, Field(min_length=1, max_length=3), Local()] = None
    """Of name, email, phone: which to empty."""

    clearable = TEXTS


class DeleteContact(Arguments):
    supplier_id: Id
    """Supplier id."""
    id: Reference
    """Contact id or external_reference_id."""


CREATE_CONTACTS = ToolSpec(
    name="create_a_finexio_supplier_contact",
    title="Add supplier contacts",
    about=(
        "Add one or more contacts to a supplier, for example from an ERP, so that Finexio can reach them "
        "about electronic payment. At most one primary. To change one, use update."
    ),
    route=f"POST {OF_SUPPLIERS.route}",
    effect=Effect.WRITE,
    arguments=CreateContacts,
    record=OF_SUPPLIERS.record,
    tidy=OF_SUPPLIERS.gather,
    body_rows="contacts",
    to_record=OF_SUPPLIERS.just_sent,
    notice=OF_SUPPLIERS.tell_total,
    trace=OF_SUPPLIERS.created,
    source="Finexio API v2, POST /counterparties/suppliers/{id}/contacts",
)

DELETE_CONTACT = ToolSpec(
    name="delete_a_finexio_supplier_contact_by_id",
    title="Delete a supplier contact",
    about="Remove one contact person, for good; suppliers themselves cannot be deleted.",
    route=f"DELETE {OF_SUPPLIERS.route}/{{id}}",
    effect=Effect.WRITE,
    arguments=DeleteContact,
    record=OF_SUPPLIERS.record,
    before=Lookup(route=OF_SUPPLIERS.look, resolve=OF_SUPPLIERS.address),
    to_record=as_deleted,
    trace=OF_SUPPLIERS.deleted,
    source="Finexio API v2, DELETE /counterparties/suppliers/{id}/contacts/{external_reference_id}",
)

LIST_CONTACTS = ToolSpec(
    name="list_all_finexio_supplier_contacts",
    title="List supplier contacts",
    about="List a supplier's contact people: e-mail, phone, and who is told of payments.",
    route=OF_SUPPLIERS.look,
    effect=Effect.READ,
    arguments=ListContacts,
    record=OF_SUPPLIERS.record,
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
    route=f"PUT {OF_SUPPLIERS.route}/{{id}}",
    effect=Effect.WRITE,
    arguments=UpdateContact,
    record=OF_SUPPLIERS.record,
    before=Lookup(route=OF_SUPPLIERS.look, resolve=OF_SUPPLIERS.overlay),
    is_it=has_its_reference,
    trace=OF_SUPPLIERS.changed,
    source="Finexio API v2, PUT /counterparties/suppliers/{id}/contacts/{external_reference_id}",
)
