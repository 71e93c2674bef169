"""Suppliers as a client meets them: what is shown, what is sent, what is told, and what is never sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client

from finexio_mcp.simulator import Fault, Received, Simulator
from finexio_mcp.tools.contacts import NO_REFERENCE
from tests.calls import (
    CREATE_COUNTERPARTY,
    Content,
    FakeClock,
    Upstream,
    ask,
    at_once,
    changes,
    connect_at,
    reply,
)
from tests.conftest import ERAS, Era, connect
from tests.tools.test_suppliers import (
    ADDRESS,
    BAD,
    BANK,
    CREATE,
    EMAIL,
    GET,
    LIST,
    MISSING,
    NAMED,
    PATCH,
    REPLACE,
    call,
    supplier,
    without,
)

pytestmark = pytest.mark.parametrize("era", ERAS)
every_change = pytest.mark.parametrize("tool", [REPLACE, PATCH])
every_write = pytest.mark.parametrize("tool", [CREATE, REPLACE, PATCH])

SUPPLIER = "supplier-1"
TOOLSETS = {"FINEXIO_MCP_TOOLSETS": "core,suppliers"}
REDIRECTS = "decides who gets the money"
MAY_BLANK = "A full replace may blank what it leaves out"


def books(**fields: Any) -> Simulator:
    """One supplier, paid by ACH unless said otherwise."""
    sim = Simulator(seed=1, populated=False, sleep=at_once)
    sim.add_supplier(
        SUPPLIER,
        **{
            "name": "Quay Rope Co",
            "external_reference_id": "QUAY-9",
            "payment_method": "ACH",
            "remit_email": "ar@quay.example",
            **BANK,
            **fields,
        },
    )
    sim.journal.clear()
    return sim


def opened(sim: Simulator, era: Era) -> AbstractAsyncContextManager[Client]:
    """A client of a server that offers the toolset; its pauses take no time."""
    return connect_at(FakeClock(), sim, era, **TOOLSETS)


def is_write(request: Received) -> bool:
    return request.method != "GET"


def outcome(content: Content) -> tuple[str, str | None, bool | None]:
    """Status, error code, and whether it may have happened."""
    error = content.get("error", {})
    return content["status"], error.get("code"), error.get("may_have_happened")


def told(content: Content) -> str:
    return " ".join(content.get("notices", []))


def refused_fields(content: Content) -> dict[str, str]:
    return {problem["field"]: problem["problem"] for problem in content["error"]["fields"]}


# The toolset ---------------------------------------------------------------------


async def test_the_toolset_is_off_unless_the_operator_turns_it_on(era: Era) -> None:
    """Ours: the tools of the deprecated endpoints are what everybody has; a call of another names the setting."""
    async with connect(books(), era) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        content = await ask(client, GET, id=SUPPLIER)

    assert listed.isdisjoint({LIST, CREATE, GET, REPLACE, PATCH})
    assert content["error"]["code"] == "access_denied"
    assert "FINEXIO_MCP_TOOLSETS" in content["error"]["message"]


async def test_with_the_toolset_five_more_tools_are_offered(era: Era) -> None:
    """Ours: beside the others, which stay."""
    async with connect(books(), era, **TOOLSETS) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]

    assert [name for name in listed if name in {LIST, CREATE, GET, REPLACE, PATCH}] == [
        LIST,
        CREATE,
        GET,
        REPLACE,
        PATCH,
    ]
    assert CREATE_COUNTERPARTY in listed


# Nothing leaves ------------------------------------------------------------------


@every_write
async def test_nothing_that_breaks_a_rule_reaches_finexio(tool: str, era: Era) -> None:
    """Ours: every rule is checked here first, whatever Finexio would have said; not even a look is sent."""
    sim = books()
    broken = [(name, call(tool, **{name: value})) for name, value, _ in BAD]
    if tool != PATCH:
        broken += [(name, call(tool, payment_method=method, **needs) | {name: None}) for method, needs, name in MISSING]

    async with opened(sim, era) as client:
        for name, arguments in broken:
            content = await ask(client, tool, arguments)
            assert outcome(content) == ("rejected", "invalid_arguments", False), (name, content)
            assert any(field.partition("[")[0] == name for field in refused_fields(content)), (name, content)

    assert sim.journal.requests == []


async def test_a_patch_that_would_leave_a_supplier_unpayable_is_not_sent(era: Era) -> None:
    """Ours: the stored record is looked at, the answer names what is missing, and with that it passes."""
    sim = books(remit_city="")

    async with opened(sim, era) as client:
        refused = await ask(client, PATCH, id=SUPPLIER, payment_method="Check", delivery_method="Mail")
        sent_before = changes(sim)
        passed = await ask(
            client, PATCH, id=SUPPLIER, payment_method="Check", delivery_method="Mail", remit_city="Mobile"
        )

    assert outcome(refused) == ("rejected", "invalid_arguments", False)
    assert list(refused_fields(refused)) == ["remit_city"]
    assert "payment_method is Check" in refused_fields(refused)["remit_city"]
    assert sent_before == []
    assert passed["status"] == "confirmed"
    assert [request.body for request in changes(sim)] == [
        {"payment_method": "Check", "delivery_method": "Mail", "remit_city": "Mobile"}
    ]


async def test_a_patch_of_a_supplier_that_is_not_there_is_not_sent(era: Era) -> None:
    """Ours: the look before finds that out."""
    sim = books()

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id="supplier-2", notes="x")

    assert outcome(content) == ("rejected", "not_found", False)
    assert changes(sim) == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=503), "unavailable"),
        (Fault(body=b"<html>Welcome</html>"), "upstream_unreadable"),
        (Fault(body=b'{"detail": "later"}'), "upstream_unreadable"),
        (Fault(body=b""), "upstream_unreadable"),
        (Fault(connect_error=True), "unavailable"),
    ],
    ids=["503", "html", "no record", "empty", "unreachable"],
)
async def test_a_patch_whose_look_fails_is_not_sent_and_says_so(fault: Fault, code: str, era: Era) -> None:
    """Ours: without the stored record nobody can tell what the change would do, so nothing happens."""
    sim = books()
    sim.fault(fault, times=None, method="GET")

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, payment_method="Wire")

    assert outcome(content) == ("not_executed", code, False)
    assert "nothing changed" in content["error"]["message"]
    assert changes(sim) == []


# What is sent --------------------------------------------------------------------


async def test_a_new_supplier_comes_back_with_its_contacts(era: Era) -> None:
    """Documented: contacts come in the same payload, and get their ids there."""
    sim = books()
    contacts = [
        {"primary": True, "name": "Rae Lund", "external_reference_id": "HP-AR", "email": "rae@harbor.example"},
        {"primary": False, "name": "Tom Oak", "payment_notification": True},
    ]
    arguments = supplier("Card", contacts=contacts, corporate_city="Mobile", metadata={"erp": "17"})

    async with opened(sim, era) as client:
        content = await ask(client, CREATE, arguments)

    (request,) = sim.journal.requests
    assert (request.method, request.path, request.body) == ("POST", "/v2/counterparties/suppliers", arguments)
    assert content["status"] == "confirmed"
    assert content["result"]["id"] in sim.suppliers
    shown = content["result"]["contacts"]
    assert [contact["name"] for contact in shown] == ["Rae Lund", "Tom Oak"]
    assert all(contact["id"] for contact in shown)


async def test_a_patch_is_one_look_and_one_change(era: Era) -> None:
    """Ours: only the fields that were named travel."""
    sim = books()

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, payment_terms=45, remit_email="a@b.example, c@d.example")

    assert [(request.method, request.path) for request in sim.journal.requests] == [
        ("GET", f"/v2/counterparties/suppliers/{SUPPLIER}/"),
        ("PATCH", f"/v2/counterparties/suppliers/{SUPPLIER}/"),
    ]
    assert changes(sim)[0].body == {"payment_terms": 45, "remit_email": "a@b.example,c@d.example"}
    assert (content["result"]["payment_terms"], content["result"]["name"]) == (45, "Quay Rope Co")


async def test_a_replacement_is_sent_whole_and_keeps_the_contacts(era: Era) -> None:
    """Documented: what is left out is blanked; contacts have operations of their own."""
    sim = books(notes="old")
    sim.add_contact(SUPPLIER, external_reference_id="QR-AR", primary=True)

    async with opened(sim, era) as client:
        content = await ask(client, REPLACE, id=SUPPLIER, **supplier("Wire", external_reference_id="QUAY-9"))

    assert changes(sim)[0].body == supplier("Wire", external_reference_id="QUAY-9")
    assert content["status"] == "confirmed"
    assert "notes" not in content["result"]
    assert [contact["external_reference_id"] for contact in content["result"]["contacts"]] == ["QR-AR"]


async def test_a_cleared_field_travels_as_an_empty_text(era: Era) -> None:
    """Ours: null counts as absent, so `clear` empties."""
    sim = books(notes="old", tax_id="00-1234567")

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, clear=["notes", "tax_id"], payment_terms=None)

    assert changes(sim)[0].body == {"notes": "", "tax_id": ""}
    assert {"notes", "tax_id"}.isdisjoint(content["result"])


@every_write
async def test_metadata_is_a_map_however_it_was_given(tool: str, era: Era) -> None:
    """Documented: an object whose values are texts or null. Ours: the same in other words is the same change."""
    sim = books()
    spellings: list[Any] = [
        {"erp": "17", "site": None},
        {"erp": "17", "site": ""},
        [{"name": "erp", "value": "17"}, {"name": "site", "value": None}],
        [{"name": "erp", "value": 17}, {"name": "site"}],
    ]

    async with opened(sim, era) as client:
        answers = [
            await ask(client, tool, call(tool, external_reference_id="ROPE-1", metadata=metadata))
            for metadata in spellings
        ]

    assert [content["status"] for content in answers] == ["confirmed", *["already_submitted"] * 3]
    assert [request.body["metadata"] for request in changes(sim)] == [{"erp": "17", "site": None}]
    assert answers[0]["result"]["metadata"]["erp"] == "17"


# What is shown -------------------------------------------------------------------


async def test_bank_details_are_shown_by_their_last_four(era: Era) -> None:
    """Documented: Finexio shows the end of the account and the routing number whole. Ours: both are masked alike."""
    sim = books(tax_id="00-1234567")

    async with opened(sim, era) as client:
        answers = [
            await ask(client, GET, id=SUPPLIER),
            await ask(client, LIST),
            await ask(client, PATCH, id=SUPPLIER, **BANK),
            await ask(client, CREATE, supplier("Wire")),
            await ask(client, GET, id=SUPPLIER, fields=["*"]),
        ]

    assert sim.suppliers[SUPPLIER]["bank_account_number"] == "000123456789"
    for content in answers:
        shown: Any = content["result"]
        record: dict[str, Any] = shown[0] if content.get("result_count") else shown
        assert (record["bank_account_number"], record["bank_routing_number"]) == ("****6789", "****0021")
        assert not any(number in json.dumps(content) for number in (*BANK.values(), "00-1234567"))


@every_write
async def test_a_masked_number_never_travels_back(tool: str, era: Era) -> None:
    """Ours: what an answer showed is no number, nor are the four digits that Finexio itself shows."""
    sim = books(tax_id="00-1234567")

    async with opened(sim, era) as client:
        record = (await ask(client, GET, id=SUPPLIER))["result"]
        shown = {name: record[name] for name in (*BANK, "tax_id")}
        for name, mask in shown.items():
            for value in (mask, mask[-4:], mask.replace("*", "•")):
                content = await ask(client, tool, call(tool, payment_method="ACH", **{**BANK, name: value}))
                assert outcome(content) == ("rejected", "invalid_arguments", False), value
                assert list(refused_fields(content)) == [name]

    assert shown == {"bank_account_number": "****6789", "bank_routing_number": "****0021", "tax_id": "****4567"}
    assert changes(sim) == []


async def test_a_row_has_the_core_and_a_record_all(era: Era) -> None:
    """Ours: `fields` widens and narrows, and empty fields are left out."""
    sim = books(category="Marine", notes="x", tax_id="")

    async with opened(sim, era) as client:
        row = (await ask(client, LIST))["result"][0]
        record = (await ask(client, GET, id=SUPPLIER))["result"]
        wide = (await ask(client, LIST, fields=["id", "category", "notes"]))["result"][0]
        narrow = (await ask(client, GET, id=SUPPLIER, fields=["name"]))["result"]
        everything = (await ask(client, GET, id=SUPPLIER, fields=["*"]))["result"]

    assert {"id", "name", "external_reference_id", "payment_method", "remit_email", "enabled"} <= row.keys()
    assert {"category", "notes", "contacts", "corporate_country"}.isdisjoint(row)
    assert (record["category"], record["notes"]) == ("Marine", "x")
    assert "tax_id" not in record
    assert wide == {"id": SUPPLIER, "category": "Marine", "notes": "x"}
    assert narrow.keys() <= {"id", "name"}
    assert narrow["name"] == "Quay Rope Co"
    assert everything.keys() == _as_shown(sim)


def _as_shown(sim: Simulator) -> set[str]:
    hidden = {"remit_data", "issue_one_disbursement_per_invoice"}
    return {name for name in sim.suppliers[SUPPLIER] if not name.startswith("_")} - hidden


# Lists ---------------------------------------------------------------------------


async def test_every_filter_reaches_finexio(era: Era) -> None:
    """Documented: five filters, which combine."""
    sim = books()
    filters = {
        "external_reference_id": "QUAY-9",
        "updated_after": "2026-01-31T08:00:00",
        "enabled": False,
        "cbm_optout_date_start": "2026-01-01",
        "cbm_optout_date_end": "2026-02-01",
    }

    async with opened(sim, era) as client:
        await ask(client, LIST, filters)

    (request,) = sim.journal.requests
    assert request.path == "/v2/counterparties/suppliers"
    assert dict(request.query) == {**filters, "enabled": "false"}


async def test_filters_find_what_they_say(era: Era) -> None:
    """Documented: an exact code, and those that Finexio has switched off."""
    sim = books()
    sim.add_supplier("supplier-2", external_reference_id="ROPE-1", enabled=False)

    async with opened(sim, era) as client:
        by_code = await ask(client, LIST, external_reference_id="QUAY-9")
        off = await ask(client, LIST, enabled=False)

    assert [row["id"] for row in by_code["result"]] == [SUPPLIER]
    assert [(row["id"], row["enabled"]) for row in off["result"]] == [("supplier-2", False)]


async def walk(client: Client, *, after_first: Callable[[], object] = bool, **filters: Any) -> list[str]:
    """Every id, with the filters on the first call alone; `after_first` meddles after the first page."""
    content = await ask(client, LIST, filters)
    ids = [row["id"] for row in content["result"]]
    after_first()
    while content["next_cursor"] is not None:
        content = await ask(client, LIST, next_cursor=content["next_cursor"])
        ids += [row["id"] for row in content["result"]]
    return ids


def stocked(count: int) -> Simulator:
    """So many suppliers, of whom those but the first 250 are switched off."""
    sim = books()
    for number in range(1, count):
        sim.add_supplier(f"more-{number:03}", external_reference_id=f"MORE-{number}", enabled=number < 250)
    return sim


async def test_a_walk_over_250_suppliers_serves_each_once(era: Era) -> None:
    """Ours: in three pages upstream, one a call."""
    sim = stocked(250)

    async with opened(sim, era) as client:
        ids = await walk(client)

    assert (len(ids), set(ids)) == (250, set(sim.suppliers))
    assert [dict(request.query) for request in sim.journal.requests] == [{}, {"page": "2"}, {"page": "3"}]


async def test_a_walk_with_a_filter_keeps_to_it_and_loses_nobody(era: Era) -> None:
    """Ours: the filter is in the cursor; as many leave the list as join it, and nobody is pushed past the reader."""
    sim = stocked(500)
    off = [key for key, record in sim.suppliers.items() if not record["enabled"]]

    def swap() -> None:
        for number, key in enumerate(off[:5]):
            sim.suppliers[key]["enabled"] = True
            sim.add_supplier(f"new-{number}", external_reference_id=f"NEW-{number}", enabled=False)

    async with opened(sim, era) as client:
        ids = await walk(client, after_first=swap, enabled=False)

    assert len(off) == 250
    assert sorted(ids) == sorted([*off, *(f"new-{number}" for number in range(5))])
    assert {dict(request.query)["enabled"] for request in sim.journal.requests} == {"false"}


# What is told --------------------------------------------------------------------


NONE_KEPT = "Finexio keeps no delivery_method"
NO_MAIL = "by Email, not by Mail"
DELIVERED: list[tuple[str, dict[str, Any], str | None, str | None]] = [
    ("ACH", {"delivery_method": "Email"}, NONE_KEPT, None),
    ("Wire", {"delivery_method": "Mail"}, NONE_KEPT, None),
    ("FinexioExpress", {"delivery_method": "Portal"}, NONE_KEPT, None),
    ("Card", {"delivery_method": "Mail", **EMAIL}, NO_MAIL, "Email"),
    ("Card", {"delivery_method": "Phone"}, None, "Phone"),
    ("Card", {"delivery_method": "Email", **EMAIL}, None, "Email"),
    ("Check", {"delivery_method": "Mail"}, None, "Mail"),
]
"""A method, how it is to be delivered, what is said of that, and what Finexio makes of it."""


def beside_the_money(content: Content) -> list[str]:
    """What is told but for what every replacement is told."""
    return [notice for notice in content.get("notices", []) if REDIRECTS not in notice and MAY_BLANK not in notice]


@every_write
async def test_what_finexio_will_make_of_the_delivery_is_told(tool: str, era: Era) -> None:
    """Documented: Finexio has the last word on it. Ours: nobody has to find out from the record."""
    sim = books()

    async with opened(sim, era) as client:
        for number, (method, fields, words, stored) in enumerate(DELIVERED):
            code = f"ROPE-{number}" if tool == CREATE else "QUAY-9"
            arguments = {**call(tool), **supplier(method), "external_reference_id": code}
            content = await ask(client, tool, {**without(arguments, "delivery_method"), **fields})
            said = beside_the_money(content)
            assert content["status"] == "confirmed", (method, fields, content)
            assert len(said) == (0 if words is None else 1), (method, fields, said)
            assert (words or "") in " ".join(said)
            assert sim.suppliers[content["result"]["id"]]["delivery_method"] == stored


@every_write
async def test_a_move_to_a_method_without_a_delivery_says_that_none_is_kept(tool: str, era: Era) -> None:
    """Documented: Finexio empties it, though nobody named it; a new supplier had none."""
    sim = books(payment_method="Card", delivery_method="Portal")
    arguments = call(tool) | ({"payment_method": "ACH"} if tool == PATCH else supplier("ACH"))

    async with opened(sim, era) as client:
        content = await ask(client, tool, without(arguments, "delivery_method"))

    assert content["status"] == "confirmed"
    assert [NONE_KEPT in notice for notice in beside_the_money(content)] == ([] if tool == CREATE else [True])
    assert sim.suppliers[content["result"]["id"]]["delivery_method"] is None


@pytest.mark.parametrize(
    ("method", "delivery", "words", "stored"),
    [("ACH", "Email", NONE_KEPT, None), ("Card", "Mail", NO_MAIL, "Email"), ("Check", "Email", NONE_KEPT, "Email")],
)
async def test_a_patch_of_the_delivery_alone_says_what_may_become_of_it(
    method: str, delivery: str, words: str, stored: str | None, era: Era
) -> None:
    """Ours: by which method the supplier is paid stands in the record; the change is not claimed where it was none."""
    sim = books(payment_method=method, delivery_method=None if method == "ACH" else "Portal")

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, delivery_method=delivery)

    assert content["status"] == "confirmed"
    (said,) = beside_the_money(content)
    assert words in said
    assert (NO_MAIL in said) is (delivery == "Mail")
    assert "See `result`" in said
    assert content["result"].get("delivery_method") == stored


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        ({"bank_account_number": "000123450000"}, True),
        ({"bank_routing_number": "011401533"}, True),
        ({"payment_method": "Wire"}, True),
        ({"clear": ["bank_account_number"]}, True),
        ({"care_of": "Rae Lund"}, True),
        ({"remit_address_1": "1 Other St"}, True),
        ({"remit_address_2": "Unit 9"}, True),
        ({"remit_city": "Boise"}, True),
        ({"remit_state": "ID"}, True),
        ({"remit_country": "CAN"}, True),
        ({"remit_zipcode": "83702"}, True),
        ({"remit_email": "new@quay.example"}, True),
        ({"clear": ["remit_email"]}, True),
        ({"clear": ["care_of"], "notes": "x"}, True),
        ({"notes": "x"}, False),
        ({"corporate_city": "Boise", "payment_terms": 45, "remit_email": None}, False),
        ({"clear": ["notes"]}, False),
    ],
)
async def test_a_patch_that_moves_the_money_says_so(fields: dict[str, Any], warned: bool, era: Era) -> None:
    """Ours: changed bank details, and where checks and cards go, are the usual fraud; the rest is not cried over."""
    card = {"payment_method": "Card", "delivery_method": "Portal"}

    async with opened(books(**(card if "clear" in fields else {})), era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, **fields)

    assert content["status"] == "confirmed"
    assert (REDIRECTS in told(content)) is warned


async def test_a_replacement_moves_the_money_and_a_new_supplier_does_not(era: Era) -> None:
    """Ours: a replacement always names a payment method; of a new supplier nothing is redirected."""
    async with opened(books(), era) as client:
        replaced = await ask(client, REPLACE, id=SUPPLIER, **supplier("ACH", external_reference_id="QUAY-9"))
        created = await ask(client, CREATE, supplier("ACH"))

    assert [REDIRECTS in notice for notice in replaced["notices"]] == [True, False, False]
    assert replaced["notices"][1] == f"{MAY_BLANK}: look at `result`, and put back what is gone with {PATCH}."
    assert NONE_KEPT in replaced["notices"][2]
    assert "notices" not in created


@pytest.mark.parametrize(
    ("contacts", "warned"),
    [
        ([{"primary": True, "external_reference_id": "HP-AR"}, {"primary": False, "name": "Tom Oak"}], True),
        ([{"primary": True, "external_reference_id": "HP-AR"}], False),
        ([], False),
    ],
)
async def test_a_new_supplier_is_told_of_contacts_that_nobody_can_change(
    contacts: list[Any], warned: bool, era: Era
) -> None:
    """Documented: a contact is changed and deleted by its reference alone."""
    async with opened(books(), era) as client:
        content = await ask(client, CREATE, supplier(contacts=contacts))

    assert content["status"] == "confirmed"
    assert content.get("notices", []) == ([NO_REFERENCE] if warned else [])


# What it lacks all the same ------------------------------------------------------


BROKEN: list[tuple[dict[str, Any], str | None]] = [
    ({"bank_routing_number": None}, "for ACH: bank_routing_number."),
    ({"bank_account_number": "", "bank_routing_number": "  "}, "for ACH: bank_account_number, bank_routing_number."),
    ({"payment_method": "Card", "delivery_method": "Email", "remit_email": ""}, "for Card: remit_email."),
    ({"payment_method": "Check", "delivery_method": "Mail", **ADDRESS, "remit_city": ""}, "for Check: remit_city."),
    ({}, None),
    ({"payment_method": "Card", "delivery_method": "Portal", "remit_email": "", **dict.fromkeys(BANK)}, None),
]
"""A stored supplier, and what it lacks."""


@pytest.mark.parametrize(("fields", "lacks"), BROKEN)
async def test_a_good_change_of_a_supplier_who_cannot_be_paid_says_what_is_lacking(
    fields: dict[str, Any], lacks: str | None, era: Era
) -> None:
    """Ours: the change was taken, and nobody should believe that a payment would be."""
    async with opened(books(**fields), era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, notes="x")

    assert content["status"] == "confirmed"
    assert content.get("notices", []) == ([f"As Finexio has it now, this supplier lacks {lacks}"] if lacks else [])


@every_write
async def test_what_finexio_made_of_a_supplier_is_judged_by_its_answer(tool: str, era: Era) -> None:
    """Ours: whatever was sent; a field that the answer does not show is not called lacking."""
    stored = {"id": SUPPLIER, "enabled": True, **supplier("ACH", external_reference_id="QUAY-9")}
    kept, hidden = {**stored, "bank_routing_number": ""}, without(stored, *BANK)
    arguments = {**call(tool, notes="x"), **({} if tool == PATCH else supplier("ACH", external_reference_id="QUAY-9"))}

    said: list[bool] = []
    for answer in (stored, kept, hidden):
        script = [*([reply(200, stored)] if tool == PATCH else []), reply(200, answer)]
        async with connect(Upstream(*script), era, **TOOLSETS) as client:
            content = await ask(client, tool, arguments)
        assert content["status"] == "confirmed"
        said.append("As Finexio has it now, this supplier lacks for ACH: bank_routing_number." in told(content))
        assert ("lacks" in told(content)) is said[-1]

    assert said == [False, True, False]


@pytest.mark.parametrize(
    ("tool", "fields", "named"),
    [
        (PATCH, {"bank_account_number": "000123450000"}, "bank_account_number"),
        (PATCH, {"payment_method": "Wire"}, "payment_method"),
        (REPLACE, supplier("Wire", external_reference_id="QUAY-9"), "payment_method, bank_account_number"),
    ],
)
async def test_a_missing_permission_is_explained(tool: str, fields: dict[str, Any], named: str, era: Era) -> None:
    """Documented: changing bank details or the method needs a permission; it is not about credentials."""
    sim = books()
    sim.quirks.bank_update_permitted = False

    async with opened(sim, era) as client:
        content = await ask(client, tool, id=SUPPLIER, **fields)

    assert outcome(content) == ("rejected", "permission_denied", False)
    message = content["error"]["message"]
    assert "may need a permission that Finexio grants" in message
    assert all(name in message for name in named.split(", "))


async def test_without_the_permission_other_fields_can_be_changed(era: Era) -> None:
    """Documented: the permission is about bank details and the method alone."""
    sim = books()
    sim.quirks.bank_update_permitted = False

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, notes="x")

    assert content["status"] == "confirmed"


@pytest.mark.parametrize("code", ["QUAY-9", "quay-9"])
@every_write
async def test_a_code_that_is_taken_is_named(tool: str, code: str, era: Era) -> None:
    """Documented: `external_reference_id` is unique. Ours: the answer names it, and that nothing happened."""
    sim = books()
    sim.add_supplier("supplier-2", external_reference_id="ROPE-1", payment_method="Card", delivery_method="Portal")
    arguments = call(tool, external_reference_id=code) | ({} if tool == CREATE else {"id": "supplier-2"})

    async with opened(sim, era) as client:
        content = await ask(client, tool, arguments)

    assert outcome(content) == ("rejected", "rejected", False)
    assert "unique" in refused_fields(content)["external_reference_id"]
    points = (
        f"If the code is taken, {LIST} with this external_reference_id shows by whom." in content["error"]["message"]
    )
    assert points is (tool == CREATE)
    assert code not in content["error"]["message"]
    assert sim.journal.effects == []


async def test_a_code_taken_through_the_older_tools_is_taken_here_too(era: Era) -> None:
    """Documented: both views show the same suppliers, so Finexio refuses the second, whichever comes first."""
    older = {"name": "Harbor Paper Co", "type": "Supplier", "internal_id": NAMED["external_reference_id"]}
    sim, other = books(), books()

    async with opened(sim, era) as client:
        first = await ask(client, CREATE, supplier())
        second = await ask(client, CREATE_COUNTERPARTY, older)
    async with opened(other, era) as client:
        third = await ask(client, CREATE_COUNTERPARTY, older)
        fourth = await ask(client, CREATE, supplier())

    assert [first["status"], third["status"]] == ["confirmed", "confirmed"]
    assert [outcome(content) for content in (second, fourth)] == [("rejected", "rejected", False)] * 2
    assert "internal_id" in refused_fields(second)
    assert "external_reference_id" in refused_fields(fourth)
    assert len(sim.suppliers) == len(other.suppliers) == 2


async def test_a_replacement_of_a_supplier_that_is_not_there_changes_nothing(era: Era) -> None:
    """Documented: 404."""
    sim = books()

    async with opened(sim, era) as client:
        content = await ask(client, REPLACE, call(REPLACE) | {"id": "supplier-2"})

    assert outcome(content) == ("rejected", "not_found", False)
    assert sim.journal.effects == []


# Answers that are lost -----------------------------------------------------------

LOST = Fault(reset="after_effect")
NEVER_CAME = Fault(reset="before_effect")


@pytest.mark.parametrize("method", ["Card", "Check", "ACH", "FinexioExpress"])
async def test_a_new_supplier_whose_answer_was_lost_is_found_by_its_code(method: str, era: Era) -> None:
    """Ours: Finexio is asked, the supplier is there as it was sent, and nothing is sent twice."""
    sim = books()
    sim.fault(LOST, match=is_write)
    arguments = supplier(method, contacts=[{"primary": True, "name": "Rae Lund"}], metadata={"erp": "17"}, **EMAIL)

    async with opened(sim, era) as client:
        content = await ask(client, CREATE, arguments)

    assert content["status"] == "confirmed"
    assert "Finexio was asked" in told(content)
    assert sim.suppliers[content["result"]["id"]]["external_reference_id"] == "HARBOR-01"
    assert [request.method for request in sim.journal.requests] == ["POST", "GET"]
    assert dict(sim.journal.requests[1].query) == {"external_reference_id": "HARBOR-01"}


async def test_a_new_supplier_that_is_not_found_stays_in_doubt_and_is_not_sent_again(era: Era) -> None:
    """Ours: it may still arrive."""
    sim = books()
    sim.fault(NEVER_CAME, match=is_write)

    async with opened(sim, era) as client:
        first = await ask(client, CREATE, supplier())
        second = await ask(client, CREATE, supplier())

    assert outcome(first) == outcome(second) == ("in_doubt", "in_doubt", True)
    assert len(changes(sim)) == 1


async def test_a_supplier_of_that_code_with_another_content_is_for_a_person(era: Era) -> None:
    """Ours: it was there before, or somebody else made it; neither may be claimed as ours."""
    sim = books(external_reference_id="HARBOR-01")
    sim.fault(NEVER_CAME, match=is_write)

    async with opened(sim, era) as client:
        content = await ask(client, CREATE, supplier())

    assert outcome(content)[:2] == ("conflict", "conflict")
    assert len(changes(sim)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"notes": "Call first."},
        {"clear": ["remit_city"]},
        {"payment_method": "Card", "delivery_method": "Phone"},
        {"metadata": {"erp": "17", "site": None}},
    ],
    ids=["notes", "clear", "method", "metadata"],
)
async def test_a_change_that_can_be_seen_is_confirmed_by_a_look(fields: dict[str, Any], era: Era) -> None:
    """Ours: the record shows all of it."""
    sim = books(remit_city="Mobile")
    sim.fault(LOST, match=is_write)

    async with opened(sim, era) as client:
        content = await ask(client, PATCH, id=SUPPLIER, **fields)

    assert content["status"] == "confirmed"
    assert content["result"]["id"] == SUPPLIER
    assert "Finexio was asked" in told(content)
    assert len(changes(sim)) == 1


@pytest.mark.parametrize("fault", [LOST, NEVER_CAME], ids=["done", "not done"])
@pytest.mark.parametrize(
    ("stored", "fields"),
    [
        ({}, {"delivery_method": "Email"}),
        ({"payment_method": "Card", "delivery_method": "Email"}, {"delivery_method": "Mail"}),
        (
            {"payment_method": "Card", "delivery_method": "Email"},
            {"payment_method": "Card", "delivery_method": "Mail"},
        ),
    ],
    ids=["ACH", "card", "card anew"],
)
async def test_a_delivery_that_finexio_may_have_settled_otherwise_proves_nothing(
    stored: dict[str, Any], fields: dict[str, Any], fault: Fault, era: Era
) -> None:
    """Documented: Finexio has the last word on it, so the record reads the same, done or not. Ours: nobody claims."""
    sim = books(**stored)
    sim.fault(fault, match=is_write)

    async with opened(sim, era) as client:
        answers = [await ask(client, PATCH, id=SUPPLIER, **fields) for _ in range(2)]

    assert [outcome(content) for content in answers] == [("in_doubt", "in_doubt", True)] * 2
    assert len(changes(sim)) == 1


async def test_a_replacement_whose_answer_was_lost_is_confirmed_by_a_look(era: Era) -> None:
    """Ours: all that was sent can be seen, where no bank number was among it."""
    sim = books()
    sim.fault(LOST, match=is_write)

    async with opened(sim, era) as client:
        content = await ask(client, REPLACE, id=SUPPLIER, **supplier("Card", external_reference_id="QUAY-9", **EMAIL))

    assert (content["status"], content["result"]["id"]) == ("confirmed", SUPPLIER)
    assert "Finexio was asked" in told(content)
    assert len(changes(sim)) == 1


@pytest.mark.parametrize("fault", [LOST, NEVER_CAME], ids=["done", "not done"])
async def test_new_bank_numbers_of_the_same_end_are_for_a_person(fault: Fault, era: Era) -> None:
    """Ours: of an account Finexio shows four digits, which say the same before and after."""
    sim = books()
    sim.fault(fault, match=is_write)
    patch = {"id": SUPPLIER, "bank_account_number": "999123456789", "bank_routing_number": "021000021"}

    async with opened(sim, era) as client:
        answers = [await ask(client, PATCH, patch) for _ in range(3)]

    assert [outcome(content) for content in answers] == [("in_doubt", "in_doubt", True)] * 3
    assert len(changes(sim)) == 1
    assert "999123456789" not in json.dumps(answers)


async def test_a_change_that_is_not_seen_stays_in_doubt(era: Era) -> None:
    """Ours: it may still arrive, so it is not sent again."""
    sim = books()
    sim.fault(NEVER_CAME, match=is_write)

    async with opened(sim, era) as client:
        answers = [await ask(client, PATCH, id=SUPPLIER, notes="Call first.") for _ in range(2)]

    assert [outcome(content) for content in answers] == [("in_doubt", "in_doubt", True)] * 2
    assert len(changes(sim)) == 1


# Repeated calls ------------------------------------------------------------------


@every_write
async def test_a_repeated_call_is_answered_and_nothing_is_sent(tool: str, era: Era) -> None:
    """Ours: asking again is how a model asks; it does not even look at what it changed itself."""
    sim = books()
    arguments = call(tool, external_reference_id="ROPE-1", notes="x")

    async with opened(sim, era) as client:
        first = await ask(client, tool, arguments)
        before = len(sim.journal.requests)
        second = await ask(client, tool, arguments)

    assert (first["status"], second["status"]) == ("confirmed", "already_submitted")
    assert second["op_id"] == first["op_id"]
    assert second["result"]["id"] == first["result"]["id"]
    assert len(sim.journal.requests) == before
    assert len(changes(sim)) == 1


async def test_there_and_back_again_is_three_changes(era: Era) -> None:
    """Ours: between the two there was another write to the record, so the first is sent once more."""
    sim = books()

    async with opened(sim, era) as client:
        statuses = [(await ask(client, PATCH, id=SUPPLIER, payment_terms=days))["status"] for days in (30, 45, 30)]

    assert statuses == ["confirmed"] * 3
    assert [request.body["payment_terms"] for request in changes(sim)] == [30, 45, 30]
