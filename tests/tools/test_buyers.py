"""Buyers and their contacts: what Finexio would refuse is refused here, and people's numbers go to it alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.arguments import check
from finexio_mcp.errors import InvalidArguments
from finexio_mcp.guards.digests import NO_DIGEST, digest_record
from finexio_mcp.logs import JsonFormatter, TextFormatter
from finexio_mcp.shapes import is_object
from finexio_mcp.simulator import Fault, Simulator
from finexio_mcp.tools import BY_NAME
from finexio_mcp.tools.conditions import is_blank
from finexio_mcp.tools.contacts import NO_REFERENCE, ONE_CONTACT
from finexio_mcp.tools.spec import Trace
from tests.calls import Content, FakeClock, Reply, Upstream, ask, changes, connect_at, office, reply
from tests.conftest import ERAS, Era, connect

Arguments = dict[str, Any]

LIST = "list_all_finexio_buyers"
CREATE = "create_a_finexio_buyer"
GET = "get_single_finexio_buyer_by_id"
REPLACE = "update_a_finexio_buyer_by_id"
PATCH = "finexio_buyers_partial_update"
ADD_CONTACTS = "create_a_finexio_buyer_contact"
LIST_CONTACTS = "list_all_finexio_buyer_contacts"
CHANGE_CONTACT = "update_a_finexio_buyer_contact_by_id"
DELETE_CONTACT = "delete_a_finexio_buyer_contact_by_id"

ROUTES: Mapping[str, str] = {
    LIST: "GET /counterparties/buyers",
    CREATE: "POST /counterparties/buyers",
    GET: "GET /counterparties/buyers/{id}/",
    REPLACE: "PUT /counterparties/buyers/{id}/",
    PATCH: "PATCH /counterparties/buyers/{id}/",
    ADD_CONTACTS: "POST /counterparties/buyers/{buyer_id}/contacts",
    LIST_CONTACTS: "GET /counterparties/buyers/{buyer_id}/contacts",
    CHANGE_CONTACT: "PUT /counterparties/buyers/{buyer_id}/contacts/{id}",
    DELETE_CONTACT: "DELETE /counterparties/buyers/{buyer_id}/contacts/{id}",
}
WRITES = (CREATE, REPLACE, PATCH)
every_write = pytest.mark.parametrize("tool", WRITES)
whole_record = pytest.mark.parametrize("tool", [CREATE, REPLACE])
both_eras = pytest.mark.parametrize("era", ERAS)

ACCOUNT, ROUTING, OTHER_ROUTING = "917402886153", "021000021", "011401533"
SSN, PASSPORT, LICENSE, BIRTHDAY, TAX_ID = "471-83-6625", "XK5830917", "B7719-40382", "1969-07-23", "41-7730925"

BUYER: Arguments = {
    "name": "Quay Stores LLC",
    "external_reference_id": "STORE-7",
    "tax_id": TAX_ID,
    "funding_method": "wire",
    "address_1": "7 Main St",
    "city": "Boise",
    "state": "ID",
    "zipcode": "83702",
    "country": "USA",
}
DRAWDOWN: Arguments = {"drawdown_bank_account_number": ACCOUNT, "drawdown_bank_routing_number": ROUTING}
OWNER: Arguments = {
    "controlling_owner": True,
    "first_name": "Ida",
    "last_name": "Moss",
    "country_code": "USA",
    "address1": "1 Hill Rd",
    "city": "Boise",
    "state": "ID",
    "postal_code": "83702",
    "date_of_birth": BIRTHDAY,
    "email": "ida@quay.example",
    "ssn": SSN,
}
WHOLE_OWNER: Arguments = {
    **OWNER,
    "address2": "Flat 2",
    "passport": PASSPORT,
    "passport_country": "USA",
    "drivers_license_number": LICENSE,
    "drivers_license_state": "ID",
}
EVERYTHING: Arguments = {
    **BUYER,
    **DRAWDOWN,
    "funding_method": "ach_debit",
    "dba_name": "Quay",
    "address_2": "Unit 4",
    "corporate_phone_number": "208-555-0142",
    "refund_bank_account_number": "5519028374",
    "refund_bank_routing_number": OTHER_ROUTING,
    "remit_data": "Store seven",
    "metadata": {"region": "west", "opened": 2019},
    "owners": [WHOLE_OWNER, {**OWNER, "first_name": "Rae", "country_code": "CAN", "state": "ON"}],
}
CONTACT: Arguments = {
    "external_reference_id": "S7-CFO",
    "name": "Rae Holt",
    "email": "rae@quay.example",
    "phone": "208-555-0199",
    "primary": True,
    "funding_notification": True,
    "refund_notification": False,
}
LEAST: Mapping[str, Arguments] = {
    CREATE: BUYER,
    REPLACE: {"id": "b-1", **BUYER},
    PATCH: {"id": "b-1", "city": "Boise"},
}


def accepted(tool: str, arguments: Arguments) -> Arguments:
    """What goes to Finexio."""
    return check(BY_NAME[tool], arguments).wire


def refused(tool: str, arguments: Arguments) -> dict[str, str]:
    """Each refused field with what is wrong."""
    with pytest.raises(InvalidArguments) as raised:
        check(BY_NAME[tool], arguments)
    return {problem.field: problem.problem for problem in raised.value.problems}


def with_owner(tool: str, **changed: Any) -> Arguments:
    """The least of a tool with one owner, some of whose fields are otherwise; `None` leaves one out."""
    owner = {name: value for name, value in {**OWNER, **changed}.items() if value is not None}
    return {**LEAST[tool], "owners": [owner]}


# What is declared ------------------------------------------------------------


@pytest.mark.parametrize("tool", ROUTES)
def test_each_operation_on_buyers_is_a_tool_of_their_toolset(tool: str) -> None:
    """Documented: the vendor's current endpoints, slashes as it writes them."""
    assert BY_NAME[tool].route == ROUTES[tool]
    assert BY_NAME[tool].toolset == "buyers"


@pytest.mark.parametrize("missing", BUYER)
@whole_record
def test_what_finexio_requires_is_required(tool: str, missing: str) -> None:
    """Documented: nine fields on create. A replace needs them too, since it blanks what it lacks."""
    given = {name: value for name, value in LEAST[tool].items() if name != missing}

    assert refused(tool, given) == {missing: "is required"}
    assert accepted(tool, LEAST[tool]) == LEAST[tool]


@every_write
def test_every_field_is_taken_and_sent_as_it_is(tool: str) -> None:
    """Documented: all that a buyer can be told, its owners included."""
    sent = accepted(tool, {**LEAST[tool], **EVERYTHING})

    assert sent == {**LEAST[tool], **EVERYTHING, "metadata": {"region": "west", "opened": "2019"}}


@pytest.mark.parametrize("tool", [REPLACE, PATCH])
def test_contacts_are_added_with_a_new_buyer_and_otherwise_by_their_own_tools(tool: str) -> None:
    """Ours: a list in a change of the buyer would say nothing of what becomes of the other contacts."""
    assert accepted(CREATE, {**BUYER, "contacts": [CONTACT]})["contacts"] == [CONTACT]
    assert list(refused(tool, {**LEAST[tool], "contacts": [CONTACT]})) == ["contacts"]


# What a field may hold -------------------------------------------------------

LENGTHS = {
    "name": 120,
    "dba_name": 100,
    "address_1": 40,
    "address_2": 40,
    "city": 40,
    "zipcode": 10,
    "corporate_phone_number": 16,
    "external_reference_id": 200,
    "remit_data": 70,
    "tax_id": 11,
}
OWNER_LENGTHS = {
    "first_name": 100,
    "last_name": 100,
    "address1": 40,
    "address2": 40,
    "city": 40,
    "postal_code": 10,
    "passport": 50,
    "drivers_license_number": 50,
}


@pytest.mark.parametrize("field", LENGTHS)
@every_write
def test_a_text_may_be_as_long_as_finexio_says_and_no_longer(tool: str, field: str) -> None:
    """Documented: cut or refused text at the vendor would be found too late."""
    longest = "1" * LENGTHS[field]

    assert accepted(tool, {**LEAST[tool], field: longest})[field] == longest
    assert refused(tool, {**LEAST[tool], field: f"{longest}1"}) == {
        field: f"is longer than {LENGTHS[field]} characters"
    }


@pytest.mark.parametrize("field", OWNER_LENGTHS)
@every_write
def test_an_owners_text_may_be_as_long_and_no_longer(tool: str, field: str) -> None:
    """Documented for addresses; ours for names and numbers, of which no bound is known."""
    longest = "1" * OWNER_LENGTHS[field]
    more = {"passport_country": "CAN"}

    assert accepted(tool, with_owner(tool, **{field: longest}, **more))["owners"][0][field] == longest
    assert refused(tool, with_owner(tool, **{field: f"{longest}1"}, **more)) == {
        f"owners[0].{field}": f"is longer than {OWNER_LENGTHS[field]} characters"
    }


BAD: list[tuple[str, Any]] = [
    ("name", "  "),
    ("external_reference_id", "STORE[7]"),
    ("external_reference_id", " "),
    ("tax_id", "****0925"),
    ("tax_id", "0925"),
    ("address_1", " "),
    ("city", "\t"),
    ("zipcode", " "),
    ("state", "ZZ"),
    ("state", "id"),
    ("country", "MEX"),
    ("funding_method", "ach_same_day_debit"),
    ("funding_method", "check"),
    *((f"{kind}_bank_account_number", bad) for kind in ("drawdown", "refund") for bad in ("****6153", "6153", "91-74")),
    *((f"{kind}_bank_account_number", "1" * 18) for kind in ("drawdown", "refund")),
    *(
        (f"{kind}_bank_routing_number", bad)
        for kind in ("drawdown", "refund")
        for bad in ("****0021", "0021", "021000022", "02100002", "0210000210", "000000000", "02100002x")
    ),
    ("corporate_phone_number", 2085550142),
    ("metadata", {"_region": "west"}),
    ("metadata", {"r" * 26: "west"}),
    ("metadata", {"region": "w" * 101}),
    ("metadata", {"": "west"}),
    ("owners", [OWNER] * 11),
    ("owners", OWNER),
]


@pytest.mark.parametrize(("field", "value"), BAD)
@every_write
def test_what_no_buyer_can_have_is_refused(tool: str, field: str, value: Any) -> None:
    """Documented: characters, choices and check digits; a mask of ours never travels back."""
    problems = refused(tool, {**LEAST[tool], field: value})

    assert {name.split("[")[0] for name in problems} == {field}


GOOD: list[tuple[str, Any]] = [
    ("external_reference_id", "Store #7 (é) {x}"),
    ("state", "QC"),
    ("country", "UMI"),
    ("funding_method", "ach_credit"),
    ("refund_bank_account_number", "0" * 17),
    ("refund_bank_account_number", "00001"),
    ("refund_bank_routing_number", OTHER_ROUTING),
    ("metadata", {"r" * 25: "w" * 100}),
    ("metadata", {"region": "West_coast"}),
    ("metadata", {f"key-{number}": "word" for number in range(60)}),
    ("owners", [OWNER] * 10),
]


@pytest.mark.parametrize(("field", "value"), GOOD)
@every_write
def test_what_a_buyer_can_have_is_taken(tool: str, field: str, value: Any) -> None:
    """Documented: up to each bound."""
    assert accepted(tool, {**LEAST[tool], field: value})[field] == value


def test_a_partial_update_changes_something_and_empties_only_what_can_be_empty() -> None:
    """Documented: nine fields are required of every buyer, so none of those."""
    assert list(refused(PATCH, {"id": "b-1"})) == [""]
    clearable = BY_NAME[PATCH].arguments.clearable
    assert accepted(PATCH, {"id": "b-1", "clear": list(clearable)}) == {"id": "b-1", **dict.fromkeys(clearable, "")}
    for name in (*BUYER, "owners", "metadata", "contacts"):
        assert refused(PATCH, {"id": "b-1", "clear": [name]})["clear[0]"].startswith("cannot be emptied; can be: dba")


# Owners ----------------------------------------------------------------------


@pytest.mark.parametrize("missing", [name for name in OWNER if name != "ssn"])
@every_write
def test_what_finexio_requires_of_an_owner_is_required(tool: str, missing: str) -> None:
    """Documented: everything but the second line of the address and the numbers."""
    assert refused(tool, with_owner(tool, **{missing: None})) == {f"owners[0].{missing}": "is required"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("controlling_owner", False),
        ("controlling_owner", "true"),
        ("first_name", " "),
        ("last_name", ""),
        ("country_code", "UMI"),
        ("state", "Idaho"),
        ("city", ""),
        ("address1", " "),
        ("postal_code", ""),
        ("date_of_birth", "23.07.1969"),
        ("date_of_birth", "1969-02-30"),
        ("date_of_birth", "****"),
        ("email", "ida"),
        ("email", "ida@quay.example,rae@quay.example"),
        ("email", "a" * 250 + "@b.example"),
        ("ssn", "****6625"),
        ("ssn", "****"),
        ("ssn", "6625"),
        ("ssn", "47183662"),
        ("ssn", "4718366255"),
        ("ssn", "471-836625"),
        ("ssn", "471 83 6625"),
        ("ssn", "47183662x"),
        ("ssn", "٤٧١٨٣٦٦٢٥"),
        ("ssn", 471836625),
        ("passport", "****0917"),
        ("passport", "••••"),
        ("passport", " "),
        ("drivers_license_number", "****0382"),
        ("drivers_license_state", "ZZ"),
        ("nickname", "Moss"),
    ],
)
@every_write
def test_what_no_owner_can_have_is_refused_by_its_place(tool: str, field: str, value: Any) -> None:
    """Documented: who controls the buyer, where they live, and numbers that are whole."""
    arguments = with_owner(tool, passport_country="CAN", **{field: value})
    second = {**arguments, "owners": [OWNER, *arguments["owners"]]}

    assert list(refused(tool, second)) == [f"owners[1].{field}"]


@pytest.mark.parametrize("mask", ["****", "•••• 25"])
@pytest.mark.parametrize("field", ["ssn", "passport", "drivers_license_number", "date_of_birth"])
@every_write
def test_a_mask_of_what_belongs_to_a_person_is_not_taken_back(tool: str, field: str, mask: str) -> None:
    """Ours: to leave out the one field would lose what is stored, since owners are sent as a whole."""
    problems = refused(tool, with_owner(tool, passport_country="CAN", **{field: mask}))

    assert problems == {
        f"owners[0].{field}": "holds a mask, not the real value; a partial update without `owners` keeps those that "
        "Finexio has, and anything else needs the whole value"
    }


@pytest.mark.parametrize("birthday", ["23.07.1969", "1969-02-30", "1969"])
@every_write
def test_a_birthday_that_is_no_day_is_not_called_a_mask(tool: str, birthday: str) -> None:
    """Ours: what is wrong decides what is said."""
    (problem,) = refused(tool, with_owner(tool, date_of_birth=birthday)).values()

    assert problem == "is no date of the calendar; write YYYY-MM-DD"


@pytest.mark.parametrize("ssn", [SSN, SSN.replace("-", "")])
@every_write
def test_a_social_security_number_is_taken_with_or_without_dashes(tool: str, ssn: str) -> None:
    """Ours: nine digits either way, sent as typed."""
    assert accepted(tool, with_owner(tool, ssn=ssn))["owners"][0]["ssn"] == ssn


@every_write
def test_an_owner_in_the_usa_has_a_social_security_number(tool: str) -> None:
    """Documented: required if the country is USA; one in Canada has none."""
    assert refused(tool, with_owner(tool, ssn=None)) == {
        "owners[0].ssn": "is required when country_code is USA; ask the owner for the social security number"
    }
    assert accepted(tool, with_owner(tool, ssn=None, country_code="CAN", state="ON"))


@every_write
def test_a_passport_has_the_country_that_issued_it(tool: str) -> None:
    """Documented: required if there is a passport."""
    assert refused(tool, with_owner(tool, passport=PASSPORT)) == {
        "owners[0].passport_country": "is required beside passport; give the country that issued it"
    }
    assert accepted(tool, with_owner(tool, passport=PASSPORT, passport_country="CAN"))
    assert accepted(tool, with_owner(tool, passport_country="CAN"))


@every_write
def test_each_owner_is_looked_at(tool: str) -> None:
    """Ours: one answer names every place to mend."""
    without = {name: value for name, value in OWNER.items() if name != "ssn"}

    problems = refused(tool, {**LEAST[tool], "owners": [without, OWNER, {**without, "passport": PASSPORT}]})

    assert list(problems) == ["owners[0].ssn", "owners[2].ssn", "owners[2].passport_country"]


# Where the money comes from --------------------------------------------------


@pytest.mark.parametrize("method", ["ach_debit", "reverse_wire"])
@whole_record
def test_a_buyer_that_is_drawn_from_has_an_account_to_draw_from(tool: str, method: str) -> None:
    """Documented: both drawdown numbers for ach_debit and reverse_wire."""
    drawn = {**LEAST[tool], "funding_method": method}

    assert list(refused(tool, drawn)) == list(DRAWDOWN)
    for name, value in DRAWDOWN.items():
        (problem,) = refused(tool, {**drawn, name: value}).items()
        assert problem[0] in DRAWDOWN
        assert problem[0] != name
        assert f"is required when funding_method is {method}; give the whole number" in problem[1]
    assert accepted(tool, {**drawn, **DRAWDOWN}) == {**drawn, **DRAWDOWN}


@pytest.mark.parametrize("method", ["ach_credit", "wire"])
@whole_record
def test_a_buyer_that_sends_the_money_needs_no_account(tool: str, method: str) -> None:
    """Documented: nothing is drawn; an account may be given all the same."""
    assert accepted(tool, {**LEAST[tool], "funding_method": method})
    assert accepted(tool, {**LEAST[tool], "funding_method": method, **DRAWDOWN})


def test_a_replace_that_may_blank_the_account_names_the_way_to_keep_it() -> None:
    """Ours: a model that cannot know the stored number must not make one up."""
    problems = refused(REPLACE, {**LEAST[REPLACE], "funding_method": "ach_debit"})

    assert list(problems) == list(DRAWDOWN)
    assert all(
        problem.endswith(f"; a full replace may blank it, so to keep the stored one use {PATCH}")
        for problem in problems.values()
    )
    assert PATCH not in str(refused(CREATE, {**BUYER, "funding_method": "ach_debit"}))


# Contacts of a new buyer -----------------------------------------------------


def test_only_one_contact_of_a_new_buyer_can_be_primary() -> None:
    """Documented: in the vendor's own words, and with the way out."""
    two = [{"primary": True}, {"primary": False}, {"primary": True}]

    assert refused(CREATE, {**BUYER, "contacts": two}) == {"contacts": ONE_CONTACT}
    assert ONE_CONTACT.startswith("Only one contact can be set as primary. ")
    assert accepted(CREATE, {**BUYER, "contacts": two[:2]})


@pytest.mark.parametrize(
    ("contacts", "field"),
    [
        ([{**CONTACT, "primary": False}, CONTACT], "contacts[1].external_reference_id"),
        ([{"name": "Rae"}], "contacts[0].primary"),
        ([{"primary": True, "payment_notification": True}], "contacts[0].payment_notification"),
        ([{"primary": True, "email": "rae"}], "contacts[0].email"),
        ([{"primary": True, "name": "r" * 41}], "contacts[0].name"),
        ([{"primary": True, "phone": "1" * 18}], "contacts[0].phone"),
        ([{"primary": False}] * 51, "contacts"),
    ],
)
def test_a_contact_of_a_new_buyer_keeps_the_rules_of_contacts(contacts: Any, field: str) -> None:
    """Documented: the same as when it is added later; payments are what suppliers are told of."""
    assert list(refused(CREATE, {**BUYER, "contacts": contacts})) == [field]


@pytest.mark.parametrize("absent", [None, [], ""])
def test_a_buyer_needs_neither_contacts_nor_owners(absent: Any) -> None:
    """Ours: some hosts must send every field."""
    assert accepted(CREATE, {**BUYER, "contacts": absent, "owners": absent, "metadata": absent}) == BUYER


# Notices and ways out --------------------------------------------------------

RISKY = ("funding_method", *DRAWDOWN, "refund_bank_account_number", "refund_bank_routing_number")
GIVEN = {name: EVERYTHING[name] for name in RISKY}


@pytest.mark.parametrize("name", RISKY)
def test_a_change_of_where_the_money_comes_from_is_to_be_confirmed(name: str) -> None:
    """Ours: whoever changes the account of a buyer takes or keeps its money."""
    (notice,) = check(BY_NAME[PATCH], {"id": "b-1", name: GIVEN[name]}).notices

    assert "drawn" in notice
    assert "phone" in notice
    assert check(BY_NAME[PATCH], {"id": "b-1", "city": "Boise", name: None}).notices == ()


def test_an_account_that_is_emptied_is_a_change_too() -> None:
    """Ours: and a list of what to empty may hold anything before it is checked."""
    assert check(BY_NAME[PATCH], {"id": "b-1", "clear": ["refund_bank_account_number"]}).notices
    assert check(BY_NAME[PATCH], {"id": "b-1", "clear": ["dba_name"]}).notices == ()
    assert list(refused(PATCH, {"id": "b-1", "clear": [["dba_name"], {}, 7]})) == ["clear[0]", "clear[1]", "clear[2]"]
    assert list(refused(PATCH, {"id": "b-1", "clear": "funding_method"})) == ["clear"]


def test_a_replacement_says_what_it_decides_and_what_it_may_blank() -> None:
    """Ours: it always names a funding method; whether it blanks what it leaves out, Finexio does not say."""
    drawn, blanked = check(BY_NAME[REPLACE], LEAST[REPLACE]).notices

    assert "from which account money is drawn" in drawn
    assert blanked == (
        f"A full replace may blank what it leaves out: look at `result`, and put back what is gone with {PATCH}."
    )


@pytest.mark.parametrize(
    ("contacts", "told"),
    [
        (None, False),
        ([], False),
        ([CONTACT], False),
        ([{**CONTACT, "external_reference_id": None}], True),
        ([{**CONTACT, "external_reference_id": ""}], True),
        ([CONTACT, {"primary": False}], True),
    ],
)
def test_a_new_buyer_is_told_of_contacts_that_nobody_can_change(contacts: Any, told: bool) -> None:
    """Documented: a contact is changed by its reference alone. Ours: a new buyer redirects nothing, so that is all."""
    assert check(BY_NAME[CREATE], {**EVERYTHING, "contacts": contacts}).notices == ((NO_REFERENCE,) if told else ())


@both_eras
async def test_a_permission_that_is_missing_is_explained(era: Era) -> None:
    """Documented for suppliers: some API users may not change bank numbers."""
    sim = stored_buyer()
    sim.quirks.bank_update_permitted = False
    other = {"drawdown_bank_account_number": "5519028374", "drawdown_bank_routing_number": OTHER_ROUTING}

    async with connected(sim, era) as client:
        denied = await ask(client, PATCH, {"id": "b-1", **other})
        city = await ask(client, PATCH, id="b-1", city="Nampa")

    assert denied["error"]["code"] == "permission_denied"
    assert (
        "Changing drawdown_bank_account_number, drawdown_bank_routing_number may need a permission that Finexio grants "
        "to an API user; ask Finexio for it." in denied["error"]["message"]
    )
    assert city["status"] == "confirmed"


# A partial update beside the stored record -----------------------------------


def connected(sim: Simulator | httpx2.AsyncBaseTransport, era: Era, **more: Any) -> Any:
    """A client that has the tools for buyers."""
    return connect_at(FakeClock(), sim, era, FINEXIO_MCP_TOOLSETS="core,suppliers,buyers", **more)


def stored_buyer(**fields: Any) -> Simulator:
    """Books with one buyer of ours, drawn from by ACH unless said otherwise."""
    sim = Simulator(seed=1, populated=False)
    sim.add_buyer("b-1", **{**BUYER, **DRAWDOWN, "funding_method": "ach_debit", **fields})
    sim.journal.clear()
    return sim


NO_ACCOUNT = dict.fromkeys(DRAWDOWN, "")


@pytest.mark.parametrize("method", ["ach_debit", "reverse_wire"])
@both_eras
async def test_a_method_that_draws_is_refused_where_no_account_is_stored(era: Era, method: str) -> None:
    """Documented: the record as it will be has to keep the rule; nothing is sent before it does."""
    sim = stored_buyer(funding_method="wire", **NO_ACCOUNT)

    async with connected(sim, era) as client:
        bare = await ask(client, PATCH, id="b-1", funding_method=method)
        half = await ask(client, PATCH, id="b-1", funding_method=method, drawdown_bank_routing_number=ROUTING)
        none_left = changes(sim)
        full = await ask(client, PATCH, {"id": "b-1", "funding_method": method, **DRAWDOWN})

    assert [field["field"] for field in bare["error"]["fields"]] == list(DRAWDOWN)
    assert [field["field"] for field in half["error"]["fields"]] == ["drawdown_bank_account_number"]
    for content in (bare, half):
        assert content["error"]["code"] == "invalid_arguments"
        assert content["error"]["message"].startswith("Nothing was sent: ")
        assert content["error"]["may_have_happened"] is False
    assert none_left == []
    assert full["status"] == "confirmed"
    assert sim.buyers["b-1"]["funding_method"] == method


@both_eras
async def test_a_method_that_draws_is_taken_where_the_account_is_stored(era: Era) -> None:
    """Documented: only what is given changes, so the stored numbers count."""
    sim = stored_buyer(funding_method="wire")

    async with connected(sim, era) as client:
        content = await ask(client, PATCH, id="b-1", funding_method="ach_debit")

    assert content["status"] == "confirmed"
    assert sim.buyers["b-1"]["drawdown_bank_account_number"] == ACCOUNT


@pytest.mark.parametrize("name", DRAWDOWN)
@both_eras
async def test_an_account_that_is_drawn_from_cannot_be_emptied(era: Era, name: str) -> None:
    """Documented: it can once nothing is drawn any more."""
    sim = stored_buyer()

    async with connected(sim, era) as client:
        refusal = await ask(client, PATCH, id="b-1", clear=[name])
        none_left = changes(sim)
        content = await ask(client, PATCH, id="b-1", clear=[name], funding_method="ach_credit")

    assert [field["field"] for field in refusal["error"]["fields"]] == [name]
    assert none_left == []
    assert content["status"] == "confirmed"
    assert sim.buyers["b-1"][name] == ""


@both_eras
async def test_a_change_that_no_rule_bears_on_passes_whatever_is_stored(era: Era) -> None:
    """Ours: an address can be mended in a record that has been incomplete for years."""
    sim = stored_buyer(**NO_ACCOUNT)

    async with connected(sim, era) as client:
        content = await ask(client, PATCH, id="b-1", city="Nampa", owners=[OWNER], clear=["dba_name"])

    assert content["status"] == "confirmed"
    assert sim.buyers["b-1"]["city"] == "Nampa"


@both_eras
async def test_a_buyer_that_is_not_there_is_not_changed(era: Era) -> None:
    """Ours: the look at the stored record finds that out before anything is sent."""
    sim = stored_buyer()

    async with connected(sim, era) as client:
        content = await ask(client, PATCH, id="b-2", city="Nampa")

    assert content["error"]["code"] == "not_found"
    assert changes(sim) == []


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
records = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(RISKY, any_json | st.sampled_from(["ach_debit", "wire", "", "****6153"]))
)


@settings(max_examples=150, deadline=None)
@given(
    stored=st.lists(records | any_json, max_size=2),
    sent=st.fixed_dictionaries(
        {"id": st.just("b-1")},
        optional={"city": st.just("Nampa"), **{name: st.sampled_from(["", GIVEN[name]]) for name in RISKY}},
    ),
)
def test_whatever_is_stored_the_change_goes_as_it_is_or_is_refused(stored: list[Any], sent: Arguments) -> None:
    """Ours: Finexio may answer with anything. Only the presence of a value counts, masked or not; of a field that it
    does not show nothing is known."""
    before = BY_NAME[PATCH].before
    assert before is not None
    known = next(filter(is_object, stored), None)
    whole: Arguments = {**(known or {}), **sent}
    drawn = any(whole.get("funding_method") == method for method in ("ach_debit", "reverse_wire"))
    in_play = DRAWDOWN if "funding_method" in sent else DRAWDOWN.keys() & sent
    lacking = [name for name in DRAWDOWN if name in in_play and name in whole and is_blank(whole[name])]

    if known is None or not (drawn and lacking):
        assert before.resolve(stored, sent) == sent
        return
    with pytest.raises(InvalidArguments) as raised:
        before.resolve(stored, sent)
    assert [problem.field for problem in raised.value.problems] == lacking


# People's numbers ------------------------------------------------------------

SECRETS = {
    "ssn": SSN,
    "passport": PASSPORT,
    "license": LICENSE,
    "birthday": BIRTHDAY,
}
ENDS = {"ssn": "6625", "passport": "0917", "license": "0382"}


def found_in(*places: Any) -> list[str]:
    """Names of the secrets that can be read there, with or without what separates their characters."""
    text = "\n".join(map(str, places))
    bare = "".join(filter(str.isalnum, text))
    whole = [name for name, secret in SECRETS.items() if secret in text or secret.replace("-", "") in bare]
    return [*whole, *(f"end of {name}" for name, end in ENDS.items() if f"*{end}" in text)]


SENT: Mapping[str, Arguments] = {
    CREATE: {**EVERYTHING, "external_reference_id": "STORE-8", "contacts": [CONTACT]},
    REPLACE: {"id": "b-1", **EVERYTHING},
    PATCH: {"id": "b-1", "owners": [WHOLE_OWNER]},
}


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Every word that our handlers would write, and what they were given for it."""
    forms = (TextFormatter().format, JsonFormatter().format, logging.LogRecord.getMessage)
    return "\n".join(form(record) for record in caplog.records for form in forms)


@every_write
@both_eras
async def test_identity_numbers_reach_finexio_and_nobody_else(
    tool: str, era: Era, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: they are sent as they are, and no answer, read or log shows even their last four."""
    caplog.set_level(logging.DEBUG)
    sim = stored_buyer()

    async with connected(sim, era) as client:
        written = await ask(client, tool, SENT[tool])
        buyer_id = written["result"]["id"]
        shown = [
            written,
            await ask(client, tool, SENT[tool]),
            await ask(client, GET, id=buyer_id),
            await ask(client, GET, id=buyer_id, fields=["*"]),
            await ask(client, LIST, fields=["*"]),
            await ask(client, "list_all_finexio_counterparty_history", fields=["*"]),
            await ask(client, "get_single_finexio_counterparty_by_id", id=buyer_id, fields=["*"]),
        ]

    assert written["status"] == "confirmed"
    (request,) = changes(sim)
    owner = request.body["owners"][0]
    assert [owner[name] for name in ("ssn", "passport", "drivers_license_number")] == [SSN, PASSPORT, LICENSE]
    assert sim.buyers[buyer_id]["owners"][0]["ssn"] == SSN
    assert shown[2]["result"]["owners"][0]["ssn"] == "****"
    assert found_in(shown, logged(caplog)) == []


def echoing(request: httpx2.Request) -> Reply:
    """A Finexio that repeats in its refusal whatever it was sent."""
    if request.method == "GET":
        return reply(200, {"id": "b-1"})
    return reply(400, {"detail": f"Cannot read {request.content.decode()}"})


def echoing_by_field(request: httpx2.Request) -> Reply:
    """The same, field by field, and inside the owners by place."""
    if request.method == "GET":
        return reply(200, {"id": "b-1"})
    owners = json.loads(request.content)["owners"]
    return reply(
        400,
        {
            "owners": [{name: [f"'{value}' is not valid."] for name, value in owner.items()} for owner in owners],
            "remit_data": [f"Not for {SSN.replace('-', '')} or {PASSPORT}."],
        },
    )


@every_write
@both_eras
async def test_no_misfortune_shows_identity_numbers(tool: str, era: Era, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: lost, refused, echoed or answered with nonsense, they stay in the request."""
    caplog.set_level(logging.DEBUG)
    shown: list[Content] = []

    for fault in (Fault(status=500), Fault(lost_answer=True), Fault(body=b"<html>"), Fault(connect_error=True)):
        sim = stored_buyer()
        sim.fault(fault, times=None, match=lambda request: request.method != "GET")
        async with connected(sim, era) as client:
            shown.append(await ask(client, tool, SENT[tool]))
    for refusal in (echoing, echoing_by_field, RuntimeError(f"{SENT[tool]}")):
        async with connected(Upstream(refusal), era) as client:
            shown.append(await ask(client, tool, SENT[tool]))

    assert {"in_doubt", "not_executed", "rejected"} <= {content["status"] for content in shown}
    assert found_in(shown, logged(caplog)) == []


@every_write
@both_eras
async def test_no_refused_argument_is_repeated(tool: str, era: Era, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: a problem names the field and the rule, never the value nor a name that is none."""
    caplog.set_level(logging.DEBUG)
    sim = stored_buyer()
    spoilt = [
        with_owner(tool, ssn=f"{SSN}9"),
        with_owner(tool, passport=f"*{PASSPORT}", passport_country="CAN"),
        with_owner(tool, drivers_license_number=LICENSE * 9),
        with_owner(tool, date_of_birth=f"{BIRTHDAY}T"),
        {**LEAST[tool], "owners": [{SSN: PASSPORT}]},
        {**LEAST[tool], "owners": [WHOLE_OWNER] * 11},
        {**LEAST[tool], "owners": WHOLE_OWNER},
        {**LEAST[tool], "owners": f"{WHOLE_OWNER}"},
        {**LEAST[tool], "owner": WHOLE_OWNER},
    ]

    async with connected(sim, era) as client:
        contents = [await ask(client, tool, arguments) for arguments in spoilt]

    assert {content["error"]["code"] for content in contents} == {"invalid_arguments"}
    assert sim.journal.requests == []
    assert found_in(contents, logged(caplog)) == []


def ledgers_under(directory: Path) -> str:
    """Every byte of every ledger there."""
    return "\n".join(path.read_bytes().decode("latin-1") for path in directory.rglob("ledger.db"))


@every_write
@both_eras
async def test_the_ledger_holds_no_identity_number(
    tool: str, era: Era, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a file that others may read one day; what is in it recognises a change and tells nothing of people."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    account = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_MCP_ACCESS": "write", "FINEXIO_USERNAME": "demo"}
    contents: list[Content] = []

    for fault in (None, Fault(lost_answer=True)):
        sim = stored_buyer()
        if fault:
            sim.fault(fault, times=None, match=lambda request: request.method != "GET")
        async with connected(sim, era, **account, FINEXIO_PASSWORD="demo") as client:
            changed = {**SENT[tool], "address_2": "Unit 5" if fault else "Unit 4"}
            contents.append(await ask(client, tool, changed))

    assert contents[0]["status"] == "confirmed"
    ledger = ledgers_under(tmp_path)
    assert tool in ledger
    assert found_in(ledger) == []
    assert not [value for value in ("Ida", "Moss", "Hill Rd", ACCOUNT, TAX_ID) if value in ledger]


# Through the server ----------------------------------------------------------


@both_eras
async def test_buyers_are_listed_by_reference_with_what_tells_whether_they_can_pay(era: Era) -> None:
    """Ours: a row carries the core fields; the rest is asked for by id."""
    sim = stored_buyer(ready_for_use=False, reason_not_usable="Under review")
    sim.add_buyer("b-2", external_reference_id="STORE-9")

    async with connected(sim, era) as client:
        content = await ask(client, LIST, external_reference_id="STORE-7")
        every = await ask(client, LIST)

    (row,) = content["result"]
    shown = {name: value for name, value in row.items() if name not in {"created", "updated"}}
    assert shown == {
        "id": "b-1",
        "name": "Quay Stores LLC",
        "external_reference_id": "STORE-7",
        "funding_method": "ach_debit",
        "ready_for_use": False,
        "reason_not_usable": "Under review",
        "city": "Boise",
        "state": "ID",
    }
    assert {row["id"] for row in every["result"]} == {"b-1", "b-2"}


@both_eras
async def test_a_buyer_is_created_once(era: Era) -> None:
    """Ours: the same call again tells what became of the first."""
    sim = Simulator(seed=1, populated=False)

    async with connected(sim, era) as client:
        first = await ask(client, CREATE, {**EVERYTHING, "contacts": [CONTACT]})
        again = await ask(client, CREATE, {**EVERYTHING, "contacts": [CONTACT]})

    assert (first["status"], again["status"]) == ("confirmed", "already_submitted")
    (buyer,) = sim.buyers.values()
    assert buyer["contacts"][0]["funding_notification"] is True
    assert first["result"]["drawdown_bank_account_number"] == "****6153"
    assert len(changes(sim)) == 1


@both_eras
async def test_a_creation_whose_answer_was_lost_is_found_by_its_reference(era: Era) -> None:
    """Ours: Finexio is asked before anybody is told that it failed."""
    sim = Simulator(seed=1, populated=False)
    sim.fault(Fault(lost_answer=True), times=1, match=lambda request: request.method == "POST")

    async with connected(sim, era) as client:
        content = await ask(client, CREATE, {**EVERYTHING, "contacts": [CONTACT]})

    assert content["status"] == "confirmed"
    assert content["result"]["id"] in sim.buyers
    assert len(changes(sim)) == 1


@both_eras
async def test_new_numbers_of_an_owner_are_not_taken_for_stored_when_the_answer_was_lost(era: Era) -> None:
    """Ours: nothing of them is kept, so nothing can be compared, and a person has to look."""
    sim = stored_buyer(owners=[WHOLE_OWNER])
    sim.fault(Fault(reset="before_effect"), times=None, match=lambda request: request.method == "PATCH")

    async with connected(sim, era) as client:
        content = await ask(client, PATCH, id="b-1", city="Boise", owners=[{**WHOLE_OWNER, "ssn": "471-83-6626"}])

    assert content["status"] == "in_doubt"
    assert sim.buyers["b-1"]["owners"][0]["ssn"] == SSN


@both_eras
async def test_a_replace_sends_the_whole_record(era: Era) -> None:
    """Documented: PUT, with the reference repeated."""
    sim = stored_buyer(dba_name="Old")

    async with connected(sim, era) as client:
        content = await ask(client, REPLACE, {"id": "b-1", **BUYER})

    (request,) = changes(sim)
    assert content["status"] == "confirmed"
    assert "drawn" in " ".join(content["notices"])
    assert (request.method, request.path) == ("PUT", "/v2/counterparties/buyers/b-1/")
    assert request.body == BUYER
    assert sim.buyers["b-1"]["dba_name"] == ""


# Contacts --------------------------------------------------------------------


def with_contacts(*contacts: Arguments) -> Simulator:
    """The stored buyer with these contacts."""
    sim = stored_buyer()
    for contact in contacts:
        sim.add_contact("b-1", **contact)
    sim.journal.clear()
    return sim


CFO: Arguments = {"id": "k-1", **CONTACT}


@pytest.mark.parametrize("form", [{"contacts": [CONTACT]}, CONTACT])
@both_eras
async def test_a_contact_is_added_and_its_place_is_taken_from_the_former_one(era: Era, form: Arguments) -> None:
    """Documented: Finexio answers with all contacts; the fields at top level count as one contact."""
    sim = with_contacts({**CFO, "external_reference_id": "S7-OLD"})

    async with connected(sim, era) as client:
        content = await ask(client, ADD_CONTACTS, {"buyer_id": "b-1", **form})

    (request,) = changes(sim)
    assert request.path == "/v2/counterparties/buyers/b-1/contacts"
    assert request.body == [CONTACT]
    (row,) = content["result"]
    assert (content["status"], row["external_reference_id"]) == ("confirmed", "S7-CFO")
    assert content["notices"] == ["This buyer now has 2 contacts."]
    assert [contact["primary"] for contact in sim.buyers["b-1"]["contacts"]] == [False, True]


@pytest.mark.parametrize("key", ["k-1", "S7-CFO"])
@both_eras
async def test_a_contact_is_changed_by_its_id_or_its_reference_and_keeps_the_rest(era: Era, key: str) -> None:
    """Documented: an update replaces the contact, so what was left out is sent again."""
    sim = with_contacts(CFO)

    async with connected(sim, era) as client:
        content = await ask(
            client, CHANGE_CONTACT, buyer_id="b-1", id=key, primary=True, refund_notification=True, clear=["phone"]
        )

    (request,) = changes(sim)
    assert request.path == "/v2/counterparties/buyers/b-1/contacts/S7-CFO"
    assert request.body == {**CONTACT, "refund_notification": True, "phone": ""}
    assert content["status"] == "confirmed"
    assert content["result"]["refund_notification"] is True


@pytest.mark.parametrize("key", ["k-1", "S7-CFO"])
@both_eras
async def test_a_contact_is_listed_and_deleted_by_its_id_or_its_reference(era: Era, key: str) -> None:
    """Documented: the path takes the reference alone."""
    sim = with_contacts(CFO)

    async with connected(sim, era) as client:
        listed = await ask(client, LIST_CONTACTS, buyer_id="b-1")
        content = await ask(client, DELETE_CONTACT, buyer_id="b-1", id=key)

    assert [row["id"] for row in listed["result"]] == ["k-1"]
    assert (content["status"], content["result"]) == ("confirmed", True)
    assert sim.buyers["b-1"]["contacts"] == []


@pytest.mark.parametrize("tool", [CHANGE_CONTACT, DELETE_CONTACT])
@both_eras
async def test_a_contact_that_is_not_there_is_said_of_a_buyer(era: Era, tool: str) -> None:
    """Ours: the error names the list to look at."""
    sim = with_contacts(CFO)
    primary = {"primary": True} if tool == CHANGE_CONTACT else {}

    async with connected(sim, era) as client:
        content = await ask(client, tool, {"buyer_id": "b-1", "id": "k-2", **primary})

    assert content["error"]["code"] == "not_found"
    assert content["error"]["message"].startswith("This buyer has no contact")
    assert LIST_CONTACTS in content["error"]["message"]
    assert changes(sim) == []


def test_contacts_of_buyers_keep_the_rules_of_contacts() -> None:
    """Documented: one primary, references once; buyers are told of funding and refunds, not of payments."""
    two = [{"primary": True}, {"primary": True}]

    assert refused(ADD_CONTACTS, {"buyer_id": "b-1", "contacts": two}) == {"contacts": ONE_CONTACT}
    assert list(refused(ADD_CONTACTS, {"buyer_id": "b-1", "contacts": [CONTACT, {**CONTACT, "primary": False}]})) == [
        "contacts[1].external_reference_id"
    ]
    assert list(refused(ADD_CONTACTS, {"buyer_id": "b-1", "contacts": [{"primary": True}] * 51})) == ["contacts"]
    changed = {"buyer_id": "b-1", "id": "k-1", "primary": True}
    assert list(refused(CHANGE_CONTACT, {**changed, "payment_notification": True})) == ["payment_notification"]
    assert list(refused(CHANGE_CONTACT, {**changed, "clear": ["funding_notification"]})) == ["clear[0]"]
    for tool in (LIST_CONTACTS, DELETE_CONTACT):
        assert refused(tool, {"id": "k-1", "supplier_id": "s-1"})["buyer_id"] == "is required"


# Traces ----------------------------------------------------------------------


def trace_of(tool: str) -> Trace:
    trace = BY_NAME[tool].trace
    assert trace is not None
    return trace


def test_a_buyer_has_one_key_whichever_tool_changes_it() -> None:
    """Documented: the deprecated view shows and changes the same buyers."""
    key = "counterparty:b-1"

    for tool in (REPLACE, PATCH):
        assert trace_of(tool).records({"id": "B-1", "city": "Boise"}) == (key,)
    assert trace_of("finexio_counterparties_partial_update").records({"id": "B-1", "city": "Boise"}) == (key,)


def test_a_reference_is_linked_in_any_case_and_not_with_a_suppliers() -> None:
    """Ours: a buyer and a supplier may have the same."""
    assert trace_of(CREATE).records({**BUYER, "external_reference_id": "store-7"}) == (
        "counterparty:buyer-code:STORE-7",
    )
    assert trace_of(PATCH).records({"id": "b-1", "external_reference_id": "store-7"}) == (
        "counterparty:b-1",
        "counterparty:buyer-code:STORE-7",
    )
    supplier = trace_of("create_a_finexio_supplier").records({"external_reference_id": "store-7"})
    assert set(supplier).isdisjoint(trace_of(CREATE).records(BUYER))


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        ({"external_reference_id": "STORE-7"}, True),
        ({"external_reference_id": "store-7"}, True),
        ({"external_reference_id": "STORE-77"}, False),
        ({"external_reference_id": None}, False),
        ({}, False),
    ],
)
def test_a_created_buyer_is_found_by_its_reference(row: Arguments, meant: bool) -> None:
    """Documented: unique; a filter may be ignored."""
    trace = trace_of(CREATE)

    assert (trace.look, trace.query) == (ROUTES[LIST], ("external_reference_id",))
    assert trace.is_it(row, trace.kept(BUYER)) is meant


def test_contacts_and_owners_leave_only_the_word_that_they_were_sent() -> None:
    """Ours: Finexio adds fields to contacts, and owners are people; what holds them is never taken for shown."""
    sent = {**BUYER, "contacts": [CONTACT], "owners": [OWNER]}

    (row,) = trace_of(CREATE).expected(sent)
    digests = digest_record(bytes(32), row)
    assert row == sent
    assert {name for name, digest in digests.items() if digest == NO_DIGEST} == {"contacts", "owners"}
    assert trace_of(PATCH).expected({"id": "b-1", "owners": [OWNER]}) == [{"owners": [OWNER]}]
    assert trace_of(PATCH).kept({"id": "b-1", "owners": [OWNER]}) == {"id": "b-1"}


def test_a_buyers_contact_is_linked_by_its_reference_and_the_main_place() -> None:
    """Documented: one primary per buyer; the reference is a contact's only key."""
    added = trace_of(ADD_CONTACTS).records({"buyer_id": "B-1", "contacts": [CONTACT]})

    assert added == ("contact:b-1:S7-CFO", "contact-main:b-1")
    assert trace_of(DELETE_CONTACT).records({"buyer_id": "b-1", "id": "S7-CFO"}) == added
    assert trace_of(ADD_CONTACTS).records({"buyer_id": "b-1", "contacts": [{**CONTACT, "primary": False}]}) == added[:1]
    assert trace_of(CHANGE_CONTACT).kept({"buyer_id": "b-1", "id": "S7-CFO", "primary": True}) == {
        "buyer_id": "b-1",
        "id": "S7-CFO",
    }


@both_eras
async def test_buyers_are_offered_only_to_those_who_asked_for_them(era: Era) -> None:
    """Ours: the 26 tools stay as they are."""
    async with connect(office(), era) as client:
        usual = {tool.name for tool in (await client.list_tools()).tools}
    async with connect(office(), era, FINEXIO_MCP_TOOLSETS="core,buyers") as client:
        asked = {tool.name for tool in (await client.list_tools()).tools}

    assert usual.isdisjoint(ROUTES)
    assert asked - usual == set(ROUTES)
