"""Buyer contacts: the people who get notices about funding and refunds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from finexio_mcp.errors import Problem
from finexio_mcp.tools.contacts import (
    TEXTS,
    ContactFields,
    Contacts,
    as_deleted,
    contact_problems,
    has_its_reference,
)
from finexio_mcp.tools.fields import Id, ListArguments, Reference
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Local, Lookup, ToolSpec

OF_BUYERS = Contacts(
    "buyer",
    notices={
        "funding_notification": "true: is told of funding",
        "refund_notification": "true: is told of refunds",
    },
)


class BuyerContact(ContactFields):
    """One buyer contact."""

    funding_notification: bool | None = None
    """Tell of funding."""
    refund_notification: bool | None = None
    """Tell of refunds."""


class CreateBuyerContacts(Arguments):
    buyer_id: Id
    """Buyer id."""
    contacts: Annotated[list[BuyerContact], Field(min_length=1, max_length=50)]
    """Contacts to add."""

    def problems(self) -> Iterator[Problem]:
        yield from contact_problems(self.contacts)


class ListBuyerContacts(ListArguments):
    buyer_id: Id
    """Buyer id."""


class UpdateBuyerContact(BuyerContact):
    buyer_id: Id
    """Buyer id."""
    id: Reference
    """Contact id or external_reference_id."""
    clear: Annotated[list[str] | None, Field(min_length=1, max_length=3), Local()] = None
    """Of name, email, phone: which to empty."""

    clearable = TEXTS


class DeleteBuyerContact(Arguments):
    buyer_id: Id
    """Buyer id."""
    id: Reference
    """Contact id or external_reference_id."""


CREATE_BUYER_CONTACTS = ToolSpec(
    name="create_a_finexio_buyer_contact",
    title="Add buyer contacts",
    about=("Add one or more contacts to a buyer, whom Finexio tells of funding or refunds. At most one primary."),
    route=f"POST {OF_BUYERS.route}",
    effect=Effect.WRITE,
    arguments=CreateBuyerContacts,
    record=OF_BUYERS.record,
    toolset="buyers",
    tidy=OF_BUYERS.gather,
    body_rows="contacts",
    to_record=OF_BUYERS.just_sent,
    notice=OF_BUYERS.tell_total,
    trace=OF_BUYERS.created,
    source="Finexio API v2, POST /counterparties/buyers/{id}/contacts",
)

DELETE_BUYER_CONTACT = ToolSpec(
    name="delete_a_finexio_buyer_contact_by_id",
    title="Delete a buyer contact",
    about="Remove one contact person, for good; buyers themselves cannot be deleted.",
    route=f"DELETE {OF_BUYERS.route}/{{id}}",
    effect=Effect.WRITE,
    arguments=DeleteBuyerContact,
    record=OF_BUYERS.record,
    toolset="buyers",
    before=Lookup(route=OF_BUYERS.look, resolve=OF_BUYERS.address),
    to_record=as_deleted,
    trace=OF_BUYERS.deleted,
    source="Finexio API v2, DELETE /counterparties/buyers/{id}/contacts/{external_reference_id}",
)

LIST_BUYER_CONTACTS = ToolSpec(
    name="list_all_finexio_buyer_contacts",
    title="List buyer contacts",
    about="List a buyer's contact people, and who is told of funding and refunds.",
    route=OF_BUYERS.look,
    effect=Effect.READ,
    arguments=ListBuyerContacts,
    record=OF_BUYERS.record,
    toolset="buyers",
    listing=Listing.ARRAY,
    source="Finexio API v2, GET /counterparties/buyers/{id}/contacts",
)

UPDATE_BUYER_CONTACT = ToolSpec(
    name="update_a_finexio_buyer_contact_by_id",
    title="Update a buyer contact",
    about=("Change a buyer contact, notices too; fields left out keep their value, `clear` empties."),
    route=f"PUT {OF_BUYERS.route}/{{id}}",
    effect=Effect.WRITE,
    arguments=UpdateBuyerContact,
    record=OF_BUYERS.record,
    toolset="buyers",
    before=Lookup(route=OF_BUYERS.look, resolve=OF_BUYERS.overlay),
    is_it=has_its_reference,
    trace=OF_BUYERS.changed,
    source="Finexio API v2, PUT /counterparties/buyers/{id}/contacts/{external_reference_id}",
)
