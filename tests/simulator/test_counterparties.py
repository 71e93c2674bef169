"""Suppliers, buyers, the deprecated view of both, and the history they leave."""

from typing import Any

import pytest

from finexio_mcp.simulator import Simulator

from .asking import buyer, client, legacy_supplier, supplier, without

REQUIRED = ["This field is required."]
LEGACY = "/counterparties/"
SUPPLIERS = "/counterparties/suppliers"
BUYERS = "/counterparties/buyers"


async def post(sim: Simulator, path: str, body: Any) -> tuple[int, Any]:
    async with client(sim) as api:
        answer = await api.post(path, json=body)
    return answer.status_code, answer.json()


# --- Creating ----------------------------------------------------------------------------------------------------


async def test_a_counterparty_is_created_and_its_internal_id_upper_cased(sim: Simulator) -> None:
    """Documented: 201, the whole record, `tiressupply` comes back as `TIRESSUPPLY`."""
    status, body = await post(sim, LEGACY, legacy_supplier(internal_id="tiressupply", tax_id="12-3456789"))

    assert status == 201
    assert (body["internal_id"], body["type"], body["payment_method"]) == ("TIRESSUPPLY", "Supplier", "PrintedCheck")
    assert body["tax_id"] == "12-3456789"
    assert body["bank_account_number"] is None
    assert body["notes"] == ""
    assert body["created"] == body["updated"] == "2026-11-20T09:00:00.000000"
    assert [effect.kind for effect in sim.journal.effects] == ["supplier.created"]


async def test_without_a_payment_method_a_counterparty_reads_back_as_printed_check(sim: Simulator) -> None:
    """Documented: a vendor sample shows it, against the description's default of ACH."""
    status, body = await post(sim, LEGACY, {"name": "Bare", "type": "Supplier", "internal_id": "B-1"})

    assert (status, body["payment_method"], body["country"]) == (201, "PrintedCheck", "USA")


LEGACY_ERRORS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"name", "type", "internal_id"}),
    (legacy_supplier(type="Buyer"), {"type"}),
    (legacy_supplier(type="supplier"), {"type"}),
    (legacy_supplier(name="x" * 101), {"name"}),
    (legacy_supplier(name=""), {"name"}),
    (legacy_supplier(name=None), {"name"}),
    (legacy_supplier(name=["x"]), {"name"}),
    (legacy_supplier(state="XX"), {"state"}),
    (legacy_supplier(country="MEX"), {"country"}),
    (legacy_supplier(payment_terms=366), {"payment_terms"}),
    (legacy_supplier(payment_terms=-1), {"payment_terms"}),
    (legacy_supplier(payment_terms="soon"), {"payment_terms"}),
    (legacy_supplier(remit_email="nobody"), {"remit_email"}),
    (legacy_supplier(business_type="Charity"), {"business_type"}),
    (legacy_supplier(ineligible_for_conversion="perhaps"), {"ineligible_for_conversion"}),
    (legacy_supplier(twelve_month_spend="lots"), {"twelve_month_spend"}),
    (legacy_supplier(payment_method="Cash"), {"payment_method"}),
    (
        without(legacy_supplier(), "address_1", "city", "state", "zipcode"),
        {"address_1", "city", "state", "zipcode"},
    ),
    (legacy_supplier(payment_method="Card"), {"remit_email"}),
    (legacy_supplier(payment_method="ACH"), {"remit_email", "bank_account_number", "bank_routing_number"}),
    (legacy_supplier(payment_method="Wire"), {"bank_account_number", "bank_routing_number"}),
    (legacy_supplier(bank_account_number="1" * 18, bank_routing_number="1" * 10), {
        "bank_account_number",
        "bank_routing_number",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("body", "fields"), LEGACY_ERRORS)
async def test_rules_of_the_deprecated_create(sim: Simulator, body: dict[str, Any], fields: set[str]) -> None:
    """Documented: limits, enums and conditional requirements; the error body is inferred."""
    status, errors = await post(sim, LEGACY, body)

    assert (status, set(errors)) == (400, fields)
    assert sim.suppliers == {}


@pytest.mark.parametrize("method", ["PrintedCheck", "ACH", "Card", "Wire"])
async def test_each_method_with_what_it_needs_is_accepted(sim: Simulator, method: str) -> None:
    """Documented: the conditional requirements, met."""
    bank = {"bank_account_number": "123456", "bank_routing_number": "021000021", "remit_email": "a@b.example"}
    status, body = await post(sim, LEGACY, legacy_supplier(payment_method=method, **bank))

    assert (status, body["payment_method"], body["bank_account_number"]) == (201, method, "123456")


async def test_an_internal_id_is_unique_whatever_its_case(sim: Simulator) -> None:
    """Documented: unique per type."""
    sim.add_buyer(external_reference_id="HARBOR-01")
    first, _ = await post(sim, LEGACY, legacy_supplier())
    second, errors = await post(sim, LEGACY, legacy_supplier(internal_id="HARBOR-01"))

    assert (first, second) == (201, 400)
    assert errors == {"internal_id": ["This field must be unique."]}


async def test_a_supplier_is_created_with_only_the_end_of_its_account_shown(sim: Simulator) -> None:
    """Documented: 200, account number as last four, routing number whole."""
    status, body = await post(sim, SUPPLIERS, supplier())

    assert status == 200
    assert (body["bank_account_number"], body["bank_routing_number"]) == ("6789", "021000021")
    assert body["delivery_method"] is None
    assert sim.suppliers[body["id"]]["bank_account_number"] == "000123456789"
    expected: dict[str, Any] = {
        "name": "Harbor Paper Co",
        "care_of": None,
        "remit_address_1": "",
        "external_reference_id": "HARBOR-01",
        "contacts": [],
        "payment_method": "ACH",
        "notification_method": None,
        "payment_terms": None,
        "ineligible_for_conversion": False,
        "payee_type": None,
        "metadata": None,
        "enabled": True,
        "processing_fee": None,
        "internal_payments": False,
    }
    assert expected.items() <= body.items()


CHECK = {
    "payment_method": "Check",
    "delivery_method": "Mail",
    "remit_address_1": "18 Quay St",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602",
}
SUPPLIER_ERRORS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"name", "external_reference_id", "payment_method"}),
    (supplier(payment_method="PrintedCheck"), {"payment_method"}),
    (supplier(external_reference_id="a[b]"), {"external_reference_id"}),
    (supplier(bank_account_number="12-34"), {"bank_account_number"}),
    (without(supplier(), "bank_account_number", "bank_routing_number"), {"bank_account_number", "bank_routing_number"}),
    (
        supplier(payment_method="FinexioExpress", bank_account_number=None),
        {"bank_account_number", "delivery_method"},
    ),
    (supplier(payment_method="FinexioExpress"), {"delivery_method"}),
    (supplier(payment_method="Check"), {
        "remit_address_1", "remit_city", "remit_state", "remit_zipcode", "delivery_method",
    }),
    (supplier(**CHECK, remit_country=""), {"remit_country"}),
    (supplier(**(CHECK | {"delivery_method": ""})), {"delivery_method"}),
    (supplier(**(CHECK | {"delivery_method": "Email"}), remit_email=""), {"remit_email"}),
    (supplier(payment_method="Card"), {"delivery_method"}),
    (supplier(payment_method="Card", remit_email=""), {"delivery_method"}),
    (supplier(payment_method="Card", delivery_method="Email", remit_email=""), {"remit_email"}),
    (supplier(payment_method="Card", delivery_method="Mail", remit_email=""), {"remit_email"}),
    (supplier(bank_account_number="٣٤٥"), {"bank_account_number"}),
    (supplier(remit_email="a@b.example,"), {"remit_email"}),
    (supplier(delivery_method="Pigeon"), {"delivery_method"}),
    (supplier(remit_email="a@b.example, nobody"), {"remit_email"}),
    (supplier(metadata={"_hidden": "x"}), {"metadata"}),
    (supplier(metadata={"k" * 26: "x"}), {"metadata"}),
    (supplier(metadata={"k": "v" * 101}), {"metadata"}),
    (supplier(metadata={"k": 1}), {"metadata"}),
    (supplier(metadata="not json"), {"metadata"}),
    (supplier(metadata="[" * 100_000), {"metadata"}),
    (supplier(care_of="x" * 37), {"care_of"}),
    (supplier(contacts=[{"name": "No primary flag"}]), {"contacts"}),
    (supplier(contacts={"primary": True}), {"contacts"}),
    (supplier(contacts=[{"primary": True}, {"primary": True}]), {"non_field_errors"}),
    (supplier(contacts=[{"primary": flag, "external_reference_id": "A"} for flag in (True, False)]), {"contacts"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "fields"), SUPPLIER_ERRORS)
async def test_rules_of_a_supplier(sim: Simulator, body: dict[str, Any], fields: set[str]) -> None:
    """Documented: limits, enums and conditional requirements; the error body is inferred."""
    status, errors = await post(sim, SUPPLIERS, body)

    assert (status, set(errors)) == (400, fields)
    assert sim.suppliers == {}


@pytest.mark.parametrize(
    ("method", "sent", "stored"),
    [
        ("ACH", "Mail", None),
        ("Wire", "Email", None),
        ("FinexioExpress", "Mail", None),
        ("Card", "Mail", "Email"),
        ("Card", "Phone", "Phone"),
        ("Check", "Mail", "Mail"),
    ],
)
async def test_the_server_has_the_last_word_on_delivery(
    sim: Simulator, method: str, sent: str | None, stored: str | None
) -> None:
    """Documented: nothing for bank payments, Email for cards unless Portal or Phone."""
    body = supplier(**(CHECK | {"payment_method": method, "delivery_method": sent}))
    _, created = await post(sim, SUPPLIERS, body)
    async with client(sim) as api:
        replaced = (await api.put(f"{SUPPLIERS}/{created['id']}/", json=body | {"name": "Again"})).json()

    assert (created["delivery_method"], replaced["delivery_method"]) == (stored, stored)


# What is stored, what a patch sends, the fields it is refused for (none: taken) and the delivery method afterwards.
PATCHES: list[tuple[dict[str, Any], dict[str, Any], set[str], str | None]] = [
    ({"payment_method": "FinexioExpress"}, {"payment_terms": 45}, set(), None),
    ({"payment_method": "FinexioExpress"}, {"bank_account_number": "55"}, set(), None),
    ({"payment_method": "FinexioExpress"}, {"delivery_method": "Mail"}, set(), None),
    ({"payment_method": "FinexioExpress"}, {"delivery_method": ""}, {"delivery_method"}, None),
    ({"payment_method": "FinexioExpress"}, {"payment_method": "FinexioExpress"}, {"delivery_method"}, None),
    ({"payment_method": "ACH"}, {"payment_method": "FinexioExpress"}, {"delivery_method"}, None),
    ({"payment_method": "ACH"}, {"payment_method": "FinexioExpress", "delivery_method": "Mail"}, set(), None),
    ({"payment_method": "ACH"}, {"payment_method": "Card"}, {"delivery_method"}, None),
    ({"payment_method": "ACH"}, {"payment_method": "Card", "delivery_method": "Mail"}, set(), "Email"),
    (
        {"payment_method": "ACH", "remit_email": ""},
        {"payment_method": "Card", "delivery_method": "Mail"},
        {"remit_email"},
        None,
    ),
    (
        {"payment_method": "ACH", "remit_email": ""},
        {"payment_method": "Card", "delivery_method": "Phone"},
        set(),
        "Phone",
    ),
    ({"payment_method": "ACH"}, {"payment_method": "Check"}, {"delivery_method"}, None),
    ({"payment_method": "ACH"}, {"payment_method": "Check", "delivery_method": "Mail"}, set(), "Mail"),
    (
        {"payment_method": "ACH", "remit_city": ""},
        {"payment_method": "Check", "delivery_method": "Mail"},
        {"remit_city"},
        None,
    ),
    ({"payment_method": "ACH"}, {"bank_account_number": ""}, {"bank_account_number"}, None),
    ({"payment_method": "Wire"}, {"bank_routing_number": None}, {"bank_routing_number"}, None),
    ({"payment_method": "ACH"}, {"remit_city": "", "remit_email": ""}, set(), None),
    ({"payment_method": "ACH", "bank_routing_number": None}, {"bank_account_number": "55"}, set(), None),
    ({"payment_method": "ACH", "bank_account_number": None}, {"bank_account_number": "55"}, set(), None),
    ({"payment_method": "ACH", "bank_account_number": None}, {"payment_method": "ACH"}, {"bank_account_number"}, None),
    (
        {"payment_method": "ACH", "bank_account_number": None},
        {"payment_method": "Card", "delivery_method": "Email"},
        set(),
        "Email",
    ),
    ({}, {"payment_method": "ACH", "bank_account_number": "55", "bank_routing_number": "021000021"}, set(), None),
    ({}, {"payment_method": "Wire"}, {"bank_account_number", "bank_routing_number"}, "Mail"),
    ({}, {"remit_zipcode": ""}, {"remit_zipcode"}, "Mail"),
    ({}, {"remit_state": ""}, {"remit_state"}, "Mail"),
    ({}, {"remit_country": ""}, {"remit_country"}, "Mail"),
    ({}, {"remit_address_2": "", "care_of": "", "notes": ""}, set(), "Mail"),
    ({"remit_zipcode": ""}, {"remit_address_1": "22 Quay St"}, set(), "Mail"),
    ({"remit_zipcode": ""}, {"remit_zipcode": "36602"}, set(), "Mail"),
    ({"remit_zipcode": ""}, {"delivery_method": "Phone"}, set(), "Phone"),
    ({}, {"delivery_method": "Email"}, set(), "Email"),
    ({"remit_email": ""}, {"delivery_method": "Email"}, {"remit_email"}, "Mail"),
    ({"remit_email": ""}, {"delivery_method": "Email", "remit_email": "a@b.example"}, set(), "Email"),
    ({}, {"delivery_method": None}, {"delivery_method"}, "Mail"),
    ({"payment_method": "Card"}, {"delivery_method": "Mail"}, set(), "Email"),
    ({"payment_method": "Card"}, {"remit_email": ""}, {"remit_email"}, "Email"),
    ({"payment_method": "Card", "remit_email": ""}, {"payment_terms": 45}, set(), "Email"),
    ({"payment_method": "Card", "remit_email": ""}, {"delivery_method": "Portal"}, set(), "Portal"),
    (
        {"payment_method": "Card", "delivery_method": "Phone", "remit_email": ""},
        {"delivery_method": "Mail"},
        {"remit_email"},
        "Phone",
    ),
]


@pytest.mark.parametrize(("stored", "patch", "missing", "delivery"), PATCHES, ids=str)
async def test_a_patch_is_judged_by_the_record_it_would_make(
    sim: Simulator, stored: dict[str, Any], patch: dict[str, Any], missing: set[str], delivery: str | None
) -> None:
    """Documented: the rules. Ours: only those that a sent field bears on, so that an old record can be mended."""
    record = sim.add_supplier("s-1", **stored)
    before = dict(record)
    async with client(sim) as api:
        answer = await api.patch(f"{SUPPLIERS}/s-1/", json=patch)

    assert answer.status_code == (400 if missing else 200), answer.text
    assert sim.suppliers["s-1"]["delivery_method"] == delivery
    if missing:
        assert answer.json() == dict.fromkeys(missing, REQUIRED)
        assert sim.suppliers["s-1"] == before


async def test_a_reference_is_required_restricted_and_unique_on_every_verb(sim: Simulator) -> None:
    """Documented: required on create and PUT, unique, square brackets forbidden; other characters are not named."""
    sim.add_supplier("s-1", external_reference_id="TAKEN")
    sim.add_supplier("s-2", external_reference_id="MINE")
    unique = {"external_reference_id": ["This field must be unique."]}
    async with client(sim) as api:
        refused = [
            await api.post(SUPPLIERS, json=supplier(external_reference_id="taken")),
            await api.put(f"{SUPPLIERS}/s-2/", json=supplier(external_reference_id="TAKEN")),
            await api.patch(f"{SUPPLIERS}/s-2/", json={"external_reference_id": "TAKEN"}),
        ]
        wrong = [
            await api.put(f"{SUPPLIERS}/s-2/", json=without(supplier(), "external_reference_id")),
            await api.put(f"{SUPPLIERS}/s-2/", json=supplier(external_reference_id="A]")),
            await api.patch(f"{SUPPLIERS}/s-2/", json={"external_reference_id": "[A"}),
            await api.patch(f"{SUPPLIERS}/s-2/", json={"external_reference_id": ""}),
        ]
        same = await api.put(f"{SUPPLIERS}/s-2/", json=supplier(external_reference_id="MINE"))
        odd = await api.patch(f"{SUPPLIERS}/s-2/", json={"external_reference_id": "A & {b} <c> é"})

    assert [answer.json() for answer in refused] == [unique] * 3
    assert [(answer.status_code, set(answer.json())) for answer in wrong] == [(400, {"external_reference_id"})] * 4
    assert (same.status_code, odd.json()["external_reference_id"]) == (200, "A & {b} <c> é")


async def test_no_bound_is_made_up_where_none_is_documented(sim: Simulator) -> None:
    """Documented: limits of some fields, and of these none."""
    long = "x" * 5_000
    mails = ", ".join(["ap@harborpaper.example"] * 200)
    _, body = await post(sim, SUPPLIERS, supplier(category=long, sub_category=long, remit_email=mails))

    assert (body["category"], body["sub_category"], body["remit_email"]) == (long, long, mails)


async def test_when_a_supplier_left_card_by_mail_can_be_asked_for(sim: Simulator) -> None:
    """Documented: the filters. That the date is that of the change, and that no record shows it, is our guess."""
    params = {"cbm_optout_date_start": "2026-11-21", "cbm_optout_date_end": "2026-11-22"}
    sim.add_supplier("s-1")
    sim.add_supplier("s-2", ineligible_for_cbm=True)
    sim.advance(days=1)
    async with client(sim) as api:
        before = (await api.get(SUPPLIERS, params=params)).json()["count"]
        await api.patch(f"{SUPPLIERS}/s-1/", json={"ineligible_for_cbm": True})
        out = (await api.get(SUPPLIERS, params=params)).json()["results"]
        await api.patch(f"{SUPPLIERS}/s-1/", json={"ineligible_for_cbm": False})
        back = (await api.get(SUPPLIERS, params=params)).json()["count"]

    assert (before, [row["id"] for row in out], back) == (0, ["s-1"], 0)
    assert not any("optout" in name for name in out[0])


async def test_metadata_may_be_json_text_and_remit_email_several_addresses(sim: Simulator) -> None:
    """Documented: one page calls metadata a string; remit_email may hold several addresses."""
    _, body = await post(sim, SUPPLIERS, supplier(metadata='{"gl":"5000"}', remit_email="a@b.example, c@d.example"))

    assert (body["metadata"], body["remit_email"]) == ({"gl": "5000"}, "a@b.example, c@d.example")


async def test_a_supplier_is_created_with_its_contacts(sim: Simulator) -> None:
    """Documented: contacts ride along, each with its own id."""
    _, body = await post(sim, SUPPLIERS, supplier(contacts=[{"external_reference_id": "HP-AR", "primary": True}]))

    assert body["contacts"][0]["external_reference_id"] == "HP-AR"
    assert body["contacts"][0]["id"]


BUYER_ERRORS: list[tuple[dict[str, Any], set[str]]] = [
    (
        {},
        {
            "name", "external_reference_id", "tax_id", "funding_method",
            "address_1", "city", "state", "zipcode", "country",
        },
    ),
    (without(buyer(), "drawdown_bank_account_number"), {"drawdown_bank_account_number"}),
    (without(buyer(funding_method="reverse_wire"), "drawdown_bank_routing_number"), {"drawdown_bank_routing_number"}),
    (buyer(funding_method="cash"), {"funding_method"}),
    (buyer(owners=[{"first_name": "Rae"}]), {"owners"}),
    (buyer(external_reference_id="a[b]"), {"external_reference_id"}),
    (buyer(metadata={"_hidden": "x"}), {"metadata"}),
    (buyer(contacts=[{"primary": True}, {"primary": True}]), {"non_field_errors"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "fields"), BUYER_ERRORS)
async def test_rules_of_a_buyer(sim: Simulator, body: dict[str, Any], fields: set[str]) -> None:
    """Documented: required fields, and bank numbers where the money is pulled."""
    status, errors = await post(sim, BUYERS, body)

    assert (status, set(errors)) == (400, fields)


async def test_a_new_buyer_waits_for_its_review(sim: Simulator) -> None:
    """Documented: `ready_for_use` begins false. That a day helps is ours."""
    status, body = await post(sim, BUYERS, without(buyer(funding_method="wire"), "drawdown_bank_account_number"))
    sim.advance(days=1)

    assert (status, body["ready_for_use"], bool(body["reason_not_usable"])) == (200, False, True)
    assert sim.buyers[body["id"]]["ready_for_use"] is True


RAE: dict[str, Any] = {
    "controlling_owner": True, "first_name": "Rae", "last_name": "Lund", "country_code": "USA",
    "address1": "7 Main St", "city": "Boise", "state": "ID", "postal_code": "83702",
    "date_of_birth": "1980-02-29", "email": "rae@store7.example", "ssn": "000-00-0000",
}  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "errors"),
    [
        *((without(RAE, name), {name: REQUIRED}) for name in RAE),
        (RAE | {"ssn": ""}, {"ssn": REQUIRED}),
        (RAE | {"controlling_owner": False}, {"controlling_owner": ["Must be true."]}),
        (RAE | {"passport": "X1"}, {"passport_country": REQUIRED}),
        (RAE | {"country_code": "UMI"}, {"country_code": ['"UMI" is not a valid choice.']}),
        (without(RAE, "ssn") | {"country_code": "CAN"}, None),
        (RAE | {"passport": "X1", "passport_country": "CAN"}, None),
        (RAE | {"drivers_license_number": "D1"}, None),
        (RAE | {"first_name": "R" * 500, "ssn": "0" * 500, "drivers_license_state": "Bavaria"}, None),
    ],
)
async def test_an_owner_is_named_and_has_the_papers_of_a_country(
    sim: Simulator, owner: dict[str, Any], errors: dict[str, Any] | None
) -> None:
    """Documented: who they are, `ssn` if USA, the country of a passport; errors stand at the owner's place."""
    sim.add_buyer("b-1")
    async with client(sim) as api:
        answers = [
            await api.post(BUYERS, json=buyer(owners=[RAE, owner])),
            await api.put(f"{BUYERS}/b-1/", json=buyer(external_reference_id="B-1", owners=[RAE, owner])),
            await api.patch(f"{BUYERS}/b-1/", json={"owners": [RAE, owner]}),
        ]

    for answer in answers:
        assert answer.status_code == (400 if errors else 200)
        if errors:
            assert answer.json() == {"owners": [{}, errors]}
        else:
            assert owner.items() <= answer.json()["owners"][1].items()


async def test_the_owners_of_a_buyer_are_shown_as_they_were_sent_history_included(sim: Simulator) -> None:
    """Unknown at the vendor: the worst that it could do, so that whoever reads from it has to be careful."""
    owner = RAE | {"passport": "X7654321", "passport_country": "CAN", "drivers_license_number": "D99887766"}
    status, body = await post(sim, BUYERS, buyer(owners=[owner]))
    async with client(sim) as api:
        [entry] = (await api.get("/counterparties/history", params={"object_id": body["id"]})).json()["results"]

    assert (status, body["owners"][0]["ssn"], body["owners"][0]["passport"]) == (200, "000-00-0000", "X7654321")
    before, after = entry["changes"]["owners"]
    assert before == "None"
    assert all(number in after for number in ("'000-00-0000'", "'X7654321'", "'D99887766'", "'1980-02-29'"))


BUYER_PATCHES: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({}, {"dba_name": ""}, set()),
    ({}, {"drawdown_bank_account_number": ""}, {"drawdown_bank_account_number"}),
    ({}, {"funding_method": "wire", "drawdown_bank_account_number": ""}, set()),
    ({"drawdown_bank_account_number": None}, {"dba_name": "Seven"}, set()),
    ({"drawdown_bank_account_number": None}, {"drawdown_bank_routing_number": "021000021"}, set()),
    ({"drawdown_bank_account_number": None}, {"funding_method": "reverse_wire"}, {"drawdown_bank_account_number"}),
    ({}, {"funding_method": "ach_same_day_debit"}, set()),
]


@pytest.mark.parametrize(("stored", "patch", "missing"), BUYER_PATCHES, ids=str)
async def test_a_patch_of_a_buyer_is_judged_by_the_record_it_would_make(
    sim: Simulator, stored: dict[str, Any], patch: dict[str, Any], missing: set[str]
) -> None:
    """Documented: numbers where the money is pulled. Ours: only the rules that a sent field bears on."""
    sim.add_buyer("b-1", **stored)
    async with client(sim) as api:
        answer = await api.patch(f"{BUYERS}/b-1/", json=patch)

    assert answer.status_code == (400 if missing else 200)
    assert not missing or answer.json() == dict.fromkeys(missing, REQUIRED)


# --- Two views of one record --------------------------------------------------------------------------------------


async def test_both_views_show_the_same_supplier(sim: Simulator) -> None:
    """Documented: the deprecated operations and the newer ones share their records."""
    _, created = await post(sim, SUPPLIERS, supplier(**CHECK, contacts=[{"name": "Rae", "primary": True}]))
    async with client(sim) as api:
        old = (await api.get(f"/counterparties/{created['id']}/")).json()
        await api.patch(f"/counterparties/{created['id']}/", json={"address_1": "22 Quay St", "payment_terms": 45})
        new = (await api.get(f"/counterparties/suppliers/{created['id']}/")).json()

    assert (old["payment_method"], created["payment_method"]) == ("PrintedCheck", "Check")
    assert (old["bank_account_number"], created["bank_account_number"]) == ("000123456789", "6789")
    assert (old["internal_id"], old["primary_contact_name"]) == ("HARBOR-01", "Rae")
    assert (new["remit_address_1"], new["payment_terms"]) == ("22 Quay St", 45)


async def test_a_primary_contact_of_the_deprecated_view_has_neither_id_nor_reference(sim: Simulator) -> None:
    """Documented: old contacts have a null id; that this is where they come from is our guess."""
    _, created = await post(sim, LEGACY, legacy_supplier(primary_contact_name="Rae Lund"))
    async with client(sim) as api:
        contacts = (await api.get(f"/counterparties/suppliers/{created['id']}/contacts")).json()

    assert created["primary_contact_name"] == "Rae Lund"
    assert [(row["id"], row["external_reference_id"], row["primary"]) for row in contacts] == [(None, None, True)]


async def test_twelve_month_spend_is_a_string_in_the_deprecated_view(sim: Simulator) -> None:
    """Documented: strings like "80.00" are printed, against the description's number."""
    _, created = await post(sim, LEGACY, legacy_supplier(twelve_month_spend=80))

    assert created["twelve_month_spend"] == "80.00"


# --- Changing -----------------------------------------------------------------------------------------------------


async def test_patch_changes_what_it_names_and_nothing_else(sim: Simulator) -> None:
    """Documented: any subset of fields."""
    record = sim.add_supplier("s-1", payment_terms=30)
    before = dict(record)
    sim.advance(hours=1)
    async with client(sim) as api:
        answer = await api.patch("/counterparties/suppliers/s-1/", json={"payment_terms": 45})

    assert answer.status_code == 200
    changed = {name for name in before if before[name] != sim.suppliers["s-1"][name]}
    assert changed == {"payment_terms", "updated"}


async def test_patch_applies_only_the_rules_that_its_fields_touch(sim: Simulator) -> None:
    """Ours: an old record that breaks today's rules can still have its terms changed."""
    sim.add_supplier("s-1", payment_method="ACH", remit_email="")
    async with client(sim) as api:
        terms = await api.patch("/counterparties/s-1/", json={"payment_terms": 10})
        method = await api.patch("/counterparties/s-1/", json={"payment_method": "Card"})

    assert (terms.status_code, method.status_code) == (200, 400)
    assert method.json() == {"remit_email": REQUIRED}


async def test_put_replaces_the_whole_supplier(sim: Simulator) -> None:
    """Documented: full replace; the reference must be repeated, and contacts have operations of their own."""
    sim.add_supplier("s-1", payment_terms=30, care_of="Accounts")
    sim.add_contact("s-1")
    async with client(sim) as api:
        answer = await api.put("/counterparties/suppliers/s-1/", json=without(supplier(), "contacts"))
        refused = await api.put("/counterparties/suppliers/s-1/", json=without(supplier(), "external_reference_id"))

    body = answer.json()
    assert (body["payment_terms"], body["care_of"], body["remit_city"]) == (None, None, "")
    assert len(body["contacts"]) == 1
    assert (refused.status_code, refused.json()) == (400, {"external_reference_id": REQUIRED})


async def test_put_takes_a_masked_account_number_at_its_word(sim: Simulator) -> None:
    """Documented: up to 17 digits. Four are an account number too, which makes reading and writing back a trap."""
    async with client(sim) as api:
        created = (await api.post("/counterparties/suppliers", json=supplier())).json()
        await api.put(f"/counterparties/suppliers/{created['id']}/", json=created)

    assert sim.suppliers[created["id"]]["bank_account_number"] == "6789"


async def test_put_replaces_the_whole_counterparty(sim: Simulator) -> None:
    """Documented: the description requires nothing; what is left out is blank, identity aside."""
    async with client(sim) as api:
        created = (await api.post("/counterparties/", json=legacy_supplier(tax_id="12-3", notes="x"))).json()
        answer = await api.put(f"/counterparties/{created['id']}/", json={"name": "Harbor Paper Company"})

    body = answer.json()
    assert (body["name"], body["internal_id"], body["tax_id"], body["notes"]) == (
        "Harbor Paper Company", "HARBOR-01", "", "",
    )  # fmt: skip
    assert (body["city"], body["country"]) == ("", "USA")


async def test_a_buyer_can_be_changed_but_not_turned_into_a_supplier(sim: Simulator) -> None:
    """Ours: the type of a record stays what it is."""
    sim.add_buyer("b-1")
    async with client(sim) as api:
        renamed = await api.patch("/counterparties/b-1/", json={"name": "New name"})
        turned = await api.patch("/counterparties/b-1/", json={"type": "Supplier"})
        new_view = await api.patch("/counterparties/buyers/b-1/", json={"dba_name": "Seven"})
        replaced = await api.put("/counterparties/buyers/b-1/", json=buyer())

    assert (renamed.status_code, renamed.json()["name"], renamed.json()["type"]) == (200, "New name", "Buyer")
    assert (turned.status_code, new_view.json()["dba_name"], replaced.json()["dba_name"]) == (400, "Seven", "")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/counterparties/s-1/", {"bank_account_number": "999"}),
        ("/counterparties/s-1/", {"payment_method": "Wire"}),
        ("/counterparties/suppliers/s-1/", {"bank_routing_number": "021000021"}),
    ],
)
async def test_changing_a_bank_account_may_need_a_permission(sim: Simulator, path: str, body: dict[str, str]) -> None:
    """Documented: these fields need one; that lacking it is a 403 with another text is inferred."""
    sim.add_supplier("s-1", payment_method="ACH")
    sim.quirks.bank_update_permitted = False
    async with client(sim) as api:
        answer = await api.patch(path, json=body)
        harmless = await api.patch(path, json={"payment_terms": 10})

    assert answer.status_code == 403
    assert "permission" in answer.json()["detail"]
    assert harmless.status_code == 200


async def test_contacts_in_a_put_replace_those_there_are(sim: Simulator) -> None:
    """Ours: all of them, and one that keeps its reference keeps its id."""
    sim.add_supplier("s-1")
    kept = sim.add_contact("s-1", external_reference_id="KEPT")
    sim.add_contact("s-1", external_reference_id="GONE")
    rows = [{"external_reference_id": "KEPT", "primary": True}, {"external_reference_id": "NEW", "primary": False}]
    async with client(sim) as api:
        body = (await api.put("/counterparties/suppliers/s-1/", json=supplier(contacts=rows))).json()

    assert [row["external_reference_id"] for row in body["contacts"]] == ["KEPT", "NEW"]
    assert body["contacts"][0]["id"] == kept["id"]


@pytest.mark.parametrize("path", ["/counterparties/no/", "/counterparties/suppliers/no/", "/counterparties/buyers/no/"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_what_is_not_there_is_a_404(sim: Simulator, method: str, path: str) -> None:
    """Documented as 404; the body is inferred."""
    async with client(sim) as api:
        answer = await api.request(method, path, json={"external_reference_id": "X"} if method != "GET" else None)

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


# --- History ------------------------------------------------------------------------------------------------------


async def test_every_change_leaves_a_history_entry_with_who_and_from_where(sim: Simulator) -> None:
    """Documented: printed as field -> [old, new], strings, "None" for null, creation included."""
    async with client(sim) as api:
        created = (await api.post("/counterparties/suppliers", json=supplier())).json()
        sim.advance(days=1)
        await api.patch(
            f"/counterparties/suppliers/{created['id']}/",
            json={"bank_account_number": "555", "remit_city": "Mobile", "payment_terms": 30},
        )
        page = (await api.get("/counterparties/history", params={"object_id": created["id"]})).json()

    newest, oldest = page["results"]
    assert newest == {
        "object_id": created["id"],
        "actor": "demo",
        "remote_addr": "127.0.0.1",
        "timestamp": "2026-11-21T09:00:00.000000",
        "action": "Updated",
        "changes": {
            "bank_account_number": ["000123456789", "555"],
            "payment_terms": ["None", "30"],
            "city": ["", "Mobile"],
        },
    }
    assert oldest["action"] == "Created"
    assert oldest["changes"]["payment_method"] == ["None", "ACH"]


async def test_a_contact_change_shows_in_the_history_of_its_owner(sim: Simulator) -> None:
    """Ours: the deprecated view's contact fields, and which contacts there are."""
    sim.add_supplier("s-1")
    async with client(sim) as api:
        await api.post(
            "/counterparties/suppliers/s-1/contacts",
            json=[{"external_reference_id": "HP-AR", "name": "Rae", "primary": True}],
        )

    assert sim.history[-1]["changes"] == {"primary_contact_name": ["", "Rae"], "contacts": ["None", "HP-AR"]}


async def test_a_change_that_changes_nothing_leaves_no_entry(sim: Simulator) -> None:
    """Ours."""
    sim.add_supplier("s-1", payment_terms=30)
    async with client(sim) as api:
        await api.patch("/counterparties/suppliers/s-1/", json={"payment_terms": 30})

    assert sim.history == []


@pytest.mark.parametrize("shape", ["guide", "spec", "snapshot"])
async def test_history_has_three_shapes(sim: Simulator, shape: Any) -> None:
    """Unknown at the vendor: three descriptions exist."""
    sim.quirks.history_shape = shape
    sim.add_supplier("s-1", name="Harbor")
    sim.add_history(object_id="s-1", changes={"city": ["None", "Mobile"]})
    async with client(sim) as api:
        entry = (await api.get("/counterparties/history")).json()["results"][0]

    expected: dict[str, dict[str, Any]] = {
        "guide": {"object_id": "s-1", "actor": "erp_bot", "changes": {"city": ["None", "Mobile"]}},
        "spec": {
            "objectId": "s-1",
            "action": "Update",
            "changes": [{"field": "city", "oldValue": "None", "newValue": "Mobile"}],
        },
        "snapshot": {"id": "s-1", "name": "Harbor", "type": "Supplier"},
    }
    assert expected[shape].items() <= entry.items()
