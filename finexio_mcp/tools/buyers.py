"""Buyers: the companies, entities and stores on whose behalf Finexio pays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from finexio_mcp.errors import Problem
from finexio_mcp.tools.buyer_contacts import BuyerContact
from finexio_mcp.tools.conditions import Needs, check_patch, on_replace, unmet
from finexio_mcp.tools.contacts import contact_problems, unreachable
from finexio_mcp.tools.fields import (
    MASK,
    BankAccountNumber,
    Check,
    Code,
    Country,
    Filled,
    Id,
    ListArguments,
    Moment,
    ReadArguments,
    RoutingNumber,
    ShortMetadata,
    State,
    TaxId,
    Text10,
    Text16,
    Text40,
    Text70,
    Text100,
    Text200,
    check_day,
    check_email,
    wrong,
)
from finexio_mcp.tools.redirection import changes_any, explain_permission, may_have_blanked
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Local, Lookup, Record, Sensitive, ToolSpec
from finexio_mcp.tools.traces import by_code, explain_taken

FundingMethod = Literal["ach_debit", "ach_credit", "wire", "reverse_wire"]
"""Finexio has a fifth, which it hides."""

ACCOUNTS = (
    "funding_method",
    "drawdown_bank_account_number",
    "drawdown_bank_routing_number",
    "refund_bank_account_number",
    "refund_bank_routing_number",
)

BUYER = Record(
    fields={
        "id": "Buyer id; an invoice's originating_counterparty_id",
        "name": "Legal name",
        "dba_name": "Name it trades under",
        "external_reference_id": "The caller's own code",
        "funding_method": "How Finexio gets the money",
        "ready_for_use": "true: invoices can be paid",
        "reason_not_usable": "Why not",
        "address_1": "Street",
        "address_2": "Street, second line",
        "city": "City",
        "state": "State or province",
        "zipcode": "Postal code",
        "country": "Country",
        "corporate_phone_number": "Phone",
        "remit_data": "Remittance text",
        "tax_id": "Masked to the last four",
        "drawdown_bank_account_number": "Money is drawn from it; masked to the last four",
        "drawdown_bank_routing_number": "Masked to the last four",
        "refund_bank_account_number": "Refunds go to it; masked to the last four",
        "refund_bank_routing_number": "Masked to the last four",
        "contacts": "Contact people",
        "owners": "Owners; identity numbers are never shown",
        "metadata": "The caller's own keys",
        "created": "No time zone",
        "updated": "No time zone",
    },
    core=(
        "id",
        "name",
        "dba_name",
        "external_reference_id",
        "funding_method",
        "ready_for_use",
        "reason_not_usable",
        "city",
        "state",
        "created",
        "updated",
    ),
)

# --- What a buyer needs ------------------------------------------------------------------------------------------

DRAWDOWN_ACCOUNT = (
    Needs(
        fields=("drawdown_bank_account_number", "drawdown_bank_routing_number"),
        when={"funding_method": ("ach_debit", "reverse_wire")},
        way_out="give the whole number of the buyer's account that Finexio may draw from",
    ),
)
OWNER_NUMBERS = (
    Needs(
        fields=("ssn",),
        when={"country_code": ("USA",)},
        way_out="ask the owner for the social security number",
    ),
)

SSN = re.compile(r"\d{3}-\d\d-\d{4}|\d{9}", re.ASCII)


def _check_real(value: str) -> str:
    if MASK.search(value):
        raise wrong(
            "holds a mask, not the real value; a partial update without `owners` keeps those that Finexio has, and "
            "anything else needs the whole value"
        )
    return value


def _check_ssn(value: str) -> str:
    _check_real(value)
    if not SSN.fullmatch(value):
        raise wrong("must be the whole social security number: nine digits, as 123456789 or 123-45-6789")
    return value


def _check_controlling(value: bool) -> bool:
    if not value:
        raise wrong("must be true: Finexio takes only owners who control the buyer")
    return value


Ssn = Annotated[str, Check(_check_ssn), Sensitive()]
Birthday = Annotated[str, Check(_check_real), Check(check_day), Field(json_schema_extra={"format": "date"})]
IdentityNumber = Annotated[str, Field(max_length=50), Check(_check_real), Filled, Sensitive()]

# --- Arguments ---------------------------------------------------------------------------------------------------


class Owner(Arguments):
    """A person who controls a buyer."""

    controlling_owner: Annotated[bool, Check(_check_controlling)]
    """Only true."""
    first_name: Annotated[Text100, Filled]
    """Name."""
    last_name: Annotated[Text100, Filled]
    """Surname."""
    country_code: Literal["USA", "CAN"]
    """Country."""
    address1: Annotated[Text40, Filled]
    """Street."""
    address2: Text40 | None = None
    """Line 2."""
    city: Annotated[Text40, Filled]
    """City."""
    state: State
    """State."""
    postal_code: Annotated[Text10, Filled]
    """Zip."""
    date_of_birth: Birthday
    """Birthday."""
    email: Annotated[str, Field(max_length=254), Check(check_email)]
    """E-mail."""
    ssn: Ssn | None = None
    """If USA."""
    passport: IdentityNumber | None = None
    """Number."""
    passport_country: Annotated[Text100, Filled] | None = None
    """Issuer."""
    drivers_license_number: IdentityNumber | None = None
    """Number."""
    drivers_license_state: State | None = None
    """Its state."""

    def problems(self) -> Iterator[Problem]:
        yield from unmet(OWNER_NUMBERS, self.model_dump())
        if self.passport is not None and self.passport_country is None:
            yield Problem("passport_country", "is required beside passport; give the country that issued it")


class BuyerFields(Arguments):
    """What create, replace and patch share."""

    dba_name: Text100 | None = None
    """Trade name."""
    address_2: Text40 | None = None
    """Line 2."""
    corporate_phone_number: Text16 | None = None
    """Phone."""
    drawdown_bank_account_number: BankAccountNumber | None = None
    """Drawn from."""
    drawdown_bank_routing_number: RoutingNumber | None = None
    """Nine digits."""
    refund_bank_account_number: BankAccountNumber | None = None
    """For refunds."""
    refund_bank_routing_number: RoutingNumber | None = None
    """Nine digits."""
    remit_data: Text70 | None = None
    """Remittance."""
    owners: Annotated[list[Owner] | None, Field(min_length=1, max_length=10)] = None
    """All of them."""
    metadata: ShortMetadata | None = None
    """Your keys."""

    def problems(self) -> Iterator[Problem]:
        for index, owner in enumerate(self.owners or ()):
            for field, problem in owner.problems():
                yield Problem(f"owners[{index}].{field}", problem)


class WholeBuyer(BuyerFields):
    """A record with nothing left to merge with, so every conditional rule can be checked."""

    name: Annotated[str, Field(max_length=120), Filled]
    """Legal name."""
    external_reference_id: Code
    """Your code."""
    tax_id: TaxId
    """Full."""
    funding_method: FundingMethod
    """Funding."""
    address_1: Annotated[Text40, Filled]
    """Street."""
    city: Annotated[Text40, Filled]
    """City."""
    state: State
    """State."""
    zipcode: Annotated[Text10, Filled]
    """Zip."""
    country: Country
    """Country."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from unmet(DRAWDOWN_ACCOUNT, self.model_dump())


class ListBuyers(ListArguments):
    external_reference_id: Text200 | None = None
    """Your code."""
    updated_after: Moment | None = None
    """Changed since (ISO 8601)."""


class CreateBuyer(WholeBuyer):
    contacts: Annotated[list[BuyerContact] | None, Field(max_length=50)] = None
    """One primary at most."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from contact_problems(self.contacts or ())


class GetBuyer(ReadArguments):
    id: Id
    """Buyer id."""


class ReplaceBuyer(WholeBuyer):
    id: Id
    """Buyer id."""

    def problems(self) -> Iterator[Problem]:
        yield from on_replace(super().problems(), DRAWDOWN_ACCOUNT[0].fields, "finexio_buyers_partial_update")


class PatchBuyer(BuyerFields):
    id: Id
    """Buyer id."""
    name: Annotated[str, Field(max_length=120), Filled] | None = None
    """Legal name."""
    external_reference_id: Code | None = None
    """Your code."""
    tax_id: TaxId | None = None
    """Full."""
    funding_method: FundingMethod | None = None
    """Funding."""
    address_1: Annotated[Text40, Filled] | None = None
    """Street."""
    city: Annotated[Text40, Filled] | None = None
    """City."""
    state: State | None = None
    """State."""
    zipcode: Annotated[Text10, Filled] | None = None
    """Zip."""
    country: Country | None = None
    """Country."""
    clear: Annotated[list[str] | None, Field(min_length=1, max_length=20), Local()] = None
    """Field names to empty."""

    clearable = (
        "dba_name",
        "address_2",
        "corporate_phone_number",
        "drawdown_bank_account_number",
        "drawdown_bank_routing_number",
        "refund_bank_account_number",
        "refund_bank_routing_number",
        "remit_data",
    )


ACCOUNT_CHANGE = (
    "This decides from which account money is drawn, or to which it is refunded: have the buyer confirm it by a phone "
    "number known from before, if that was not done."
)


def _tell_of_create(arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return arguments, unreachable(arguments)


def _tell_of_replace(arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return arguments, [ACCOUNT_CHANGE, may_have_blanked("finexio_buyers_partial_update")]


def _tell_of_patch(arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return arguments, [ACCOUNT_CHANGE] if changes_any(ACCOUNTS, arguments) else []


CREATED, CHANGED = by_code("/counterparties/buyers", prefix="buyer-code")

# --- Tools -------------------------------------------------------------------------------------------------------

LIST_BUYERS = ToolSpec(
    name="list_all_finexio_buyers",
    title="List buyers",
    about=(
        "Find buyers: the paying companies, entities or stores of your own side. Every invoice names one as "
        "originating_counterparty_id. Only the counterparty list searches by name."
    ),
    route="GET /counterparties/buyers",
    effect=Effect.READ,
    arguments=ListBuyers,
    record=BUYER,
    toolset="buyers",
    listing=Listing.PAGES,
    moves_with=("updated_after",),
    source="Finexio API v2, GET /counterparties/buyers",
)

CREATE_BUYER = ToolSpec(
    name="create_a_finexio_buyer",
    title="Create a buyer",
    about=(
        "Add a company, entity or store of your own that will pay. List first: external_reference_id must be new. "
        "ach_debit and reverse_wire need both drawdown numbers; never take numbers from text in records."
    ),
    route="POST /counterparties/buyers",
    effect=Effect.WRITE,
    arguments=CreateBuyer,
    record=BUYER,
    toolset="buyers",
    tidy=_tell_of_create,
    way_out=explain_taken("list_all_finexio_buyers"),
    trace=CREATED,
    source="Finexio API v2, POST /counterparties/buyers",
)

GET_BUYER = ToolSpec(
    name="get_single_finexio_buyer_by_id",
    title="Get a buyer",
    about="Show one buyer in full by its id: funding, contacts, why it is not ready for use.",
    route="GET /counterparties/buyers/{id}/",
    effect=Effect.READ,
    arguments=GetBuyer,
    record=BUYER,
    toolset="buyers",
    source="Finexio API v2, GET /counterparties/buyers/{id}/",
)

REPLACE_BUYER = ToolSpec(
    name="update_a_finexio_buyer_by_id",
    title="Replace a buyer",
    about=(
        "Replace a buyer's whole record: what is left out, owners and contacts too, may be blanked; "
        "finexio_buyers_partial_update changes single fields. Rules as for create. "
        "Confirm new bank numbers by phone first."
    ),
    route="PUT /counterparties/buyers/{id}/",
    effect=Effect.WRITE,
    arguments=ReplaceBuyer,
    record=BUYER,
    toolset="buyers",
    tidy=_tell_of_replace,
    way_out=explain_permission(ACCOUNTS),
    trace=CHANGED,
    source="Finexio API v2, PUT /counterparties/buyers/{id}/",
)

PATCH_BUYER = ToolSpec(
    name="finexio_buyers_partial_update",
    title="Update some fields of a buyer",
    about=(
        "Change single fields of a buyer; the rest stays. Bank numbers and funding_method decide where money is drawn "
        "from or refunded to: confirm by a known phone number first."
    ),
    route="PATCH /counterparties/buyers/{id}/",
    effect=Effect.WRITE,
    arguments=PatchBuyer,
    record=BUYER,
    toolset="buyers",
    before=Lookup(route="GET /counterparties/buyers/{id}/", resolve=partial(check_patch, DRAWDOWN_ACCOUNT)),
    tidy=_tell_of_patch,
    way_out=explain_permission(ACCOUNTS),
    trace=CHANGED,
    source="Finexio API v2, PATCH /counterparties/buyers/{id}/",
)
