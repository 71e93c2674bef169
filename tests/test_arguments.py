"""Arguments: what is refused before anything leaves, in words that name the field and never hold its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from finexio_mcp.api.requests import build
from finexio_mcp.arguments import MAX_DEPTH, Checked, check
from finexio_mcp.errors import InvalidArguments
from finexio_mcp.guards.names import sensitive
from finexio_mcp.tools import BY_NAME, TOOLS
from finexio_mcp.tools.spec import Local, ToolSpec
from tests.tools.samples import LEAST, SUPPLIER, WEBHOOK, Arguments, Step, invoice, places, plant, schema_of

CREATE = "create_a_finexio_counterparty"
REPLACE = "update_a_finexio_counterparty_by_id"
PATCH = "finexio_counterparties_partial_update"
PAY = "finexio_invoices_bulk_create"
ADD_CONTACTS = "create_a_finexio_supplier_contact"
CHANGE_CONTACT = "update_a_finexio_supplier_contact_by_id"
DELETE_CONTACT = "delete_a_finexio_supplier_contact_by_id"
SUBSCRIBE = "create_a_finexio_webhook"
PATCH_WEBHOOK = "finexio_webhooks_partial_update"
LIST_PAYMENTS = "list_all_finexio_payments"
LIST_DRAWDOWNS = "list_all_finexio_drawdowns"
GET_INVOICE = "get_single_finexio_invoice_by_id"
CREATE_SUPPLIER = "create_a_finexio_supplier"
PATCH_SUPPLIER = "finexio_suppliers_partial_update"
CREATE_BUYER = "create_a_finexio_buyer"
PATCH_BUYER = "finexio_buyers_partial_update"
ADD_BUYER_CONTACTS = "create_a_finexio_buyer_contact"
CHANGE_BUYER_CONTACT = "update_a_finexio_buyer_contact_by_id"
DELETE_BUYER_CONTACT = "delete_a_finexio_buyer_contact_by_id"

ADDRESS: Arguments = {"address_1": "18 Wharf Street", "city": "Mobile", "state": "AL", "zipcode": "36602"}
BANK: Arguments = {"bank_account_number": "000123456789", "bank_routing_number": "021000021"}
REMIT: Arguments = {"remit_email": "remit@quayside.example"}

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def accepted(tool: str, arguments: Arguments) -> dict[str, Any]:
    """What goes to Finexio."""
    return check(BY_NAME[tool], arguments).wire


def refused(tool: str, arguments: Arguments) -> dict[str, str]:
    """Each refused field with what is wrong."""
    with pytest.raises(InvalidArguments) as raised:
        check(BY_NAME[tool], arguments)
    return {problem.field: problem.problem for problem in raised.value.problems}


def day(distance: int) -> str:
    """A day that many days from today."""
    return (date.today() + timedelta(days=distance)).isoformat()  # noqa: DTZ011


TOLD: Mapping[str, tuple[str, ...]] = {
    "update_a_finexio_supplier_by_id": ("who gets the money", "may blank what it leaves out"),
    "update_a_finexio_buyer_by_id": ("from which account money is drawn", "may blank what it leaves out"),
    "create_a_finexio_supplier_contact": ("without external_reference_id",),
    "create_a_finexio_buyer_contact": ("without external_reference_id",),
}
"""Words of what even the least call is told: of where the money goes, of what may be lost, of who cannot be reached."""


@every_tool
def test_the_least_that_a_tool_needs_is_enough(tool: ToolSpec) -> None:
    """Documented: nothing else is required by Finexio."""
    checked = check(tool, LEAST[tool.name])

    assert isinstance(checked, Checked)
    assert checked.local == {}
    told = TOLD.get(tool.name, ())
    assert len(checked.notices) == len(told)
    assert all(words in notice for words, notice in zip(told, checked.notices, strict=True))
    if tool.name != PAY:
        assert checked.wire == LEAST[tool.name]


@every_tool
def test_each_required_argument_is_missed_by_name(tool: ToolSpec) -> None:
    """Ours: without it nothing leaves."""
    for name in schema_of(tool).get("required", []):
        without = {key: value for key, value in LEAST[tool.name].items() if key != name}
        assert refused(tool.name, without)[name] == "is required"


@pytest.mark.parametrize("raw", [None, {}])
def test_a_call_without_arguments_is_one_with_none(raw: Any) -> None:
    """Documented: the protocol lets `arguments` be left out."""
    assert check(BY_NAME[LIST_PAYMENTS], raw).wire == {}


# Absent ----------------------------------------------------------------------


@every_tool
@pytest.mark.parametrize("empty", [None, "", []], ids=["null", "text", "array"])
def test_an_optional_argument_sent_empty_counts_as_absent(tool: ToolSpec, empty: Any) -> None:
    """Ours: some hosts must send every field; inside the objects of an array they do so too."""
    for path in optional_places(schema_of(tool)):
        if path[0] in LEAST[tool.name] and len(path) == 1:
            continue
        sent = plant(tool.name, path, empty)
        assert check(tool, sent) == check(tool, without(sent, path)), path


def optional_places(schema: Mapping[str, Any], at: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every argument that its object can do without, those inside objects of arrays too."""
    for name, inner in schema["properties"].items():
        if name not in schema.get("required", []):
            yield (*at, name)
        if "properties" in inner.get("items", {}):
            yield from optional_places(inner["items"], (*at, name, 0))


def without(arguments: Arguments, path: tuple[Step, ...]) -> Arguments:
    """The same arguments, but for one place."""
    left = deepcopy(arguments)
    holder: Any = left
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    return left


def test_all_optional_arguments_may_be_sent_empty_at_once() -> None:
    """Ours: the order in which they come does not matter."""
    row = dict.fromkeys(schema_of(PAY)["properties"]["invoices"]["items"]["properties"])

    assert accepted(PAY, {"invoices": [{**row, **invoice()}]}) == accepted(PAY, {"invoices": [invoice()]})


@pytest.mark.parametrize("empty", [None, "", []], ids=["null", "text", "array"])
def test_a_required_argument_sent_empty_is_refused(empty: Any) -> None:
    """Ours: what pays whom is never guessed."""
    required = {key: value for key, value in invoice().items() if key != "currency"}

    for name in required:
        assert f"invoices[0].{name}" in refused(PAY, {"invoices": [invoice(**{name: empty})]})
    assert "invoices" in refused(PAY, {"invoices": empty})


def test_false_and_zero_are_values() -> None:
    """Ours: they say something, so they travel."""
    given = {**SUPPLIER, "ineligible_for_conversion": False, "payment_terms": 0, "twelve_month_spend": 0}

    assert accepted(CREATE, given) == given


# Unknown ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "field", "meant"),
    [
        (CREATE, {**SUPPLIER, "adress_1": "x"}, "adress_1", "address_1"),
        (LIST_PAYMENTS, {"created_from": "2026-01-01"}, "created_from", "created_start"),
        (PAY, {"invoices": [invoice(ammount_cents=1)]}, "invoices[0].ammount_cents", "amount_cents"),
        (
            PAY,
            {"invoices": [invoice(line_items=[{"descripton": "x"}])]},
            "invoices[0].line_items[0].descripton",
            "description",
        ),
        (
            ADD_CONTACTS,
            {"supplier_id": "s", "contacts": [{"primary": True, "e_mail": "a"}]},
            "contacts[0].e_mail",
            "email",
        ),
        (LIST_PAYMENTS, {"page": 2}, "page", None),
        (CREATE, {**SUPPLIER, "issue_one_disbursement_per_invoice": True}, "issue_one_disbursement_per_invoice", None),
        ("list_all_finexio_invoices", {"invoice_number": "A"}, "invoice_number", None),
        (CREATE_SUPPLIER, {"address_1": "18 Wharf Street"}, "address_1", "remit_address_1"),
        # Somewhat alike, and something else.
        (CREATE_SUPPLIER, {"internal_id": "QUAY-77"}, "internal_id", None),
        (CREATE, {"external_reference_id": "QUAY-77"}, "external_reference_id", None),
    ],
)
def test_an_unknown_argument_is_named_with_what_was_probably_meant(
    tool: str, arguments: Arguments, field: str, meant: str | None
) -> None:
    """Documented: Finexio drops unknown keys without a word, so a misspelt one would silently change the order."""
    problem = refused(tool, arguments)[field]

    assert problem == "is no argument of this tool" + (f"; did you mean {meant}?" if meant else "")


@pytest.mark.parametrize("name", ["4000 1234 5678 9010", "pass phrase", "x" * 51, "\u202eevil", "a\nb", ""])
def test_an_unknown_name_that_is_no_plain_word_is_not_repeated(name: str) -> None:
    """Ours: a value that slipped into the place of a name may be a secret."""
    problems = refused(LIST_PAYMENTS, {name: "x"})

    assert list(problems) == ["(unreadable name)"]


# Money -----------------------------------------------------------------------


@pytest.mark.parametrize("cents", [1, 10_00, 999_999_900])
def test_whole_cents_are_taken(cents: int) -> None:
    """Documented: from 1 to 999 999 900."""
    assert accepted(PAY, {"invoices": [invoice(amount_cents=cents)]})["invoices"][0]["amount_cents"] == cents


@pytest.mark.parametrize(
    "cents",
    [10.0, 10.5, 1e3, "100", "1e3", "10.00", "$10", True, False, float("nan"), float("inf"), -1e400, [100], {"v": 100}],
    ids=repr,
)
def test_anything_but_a_whole_number_is_no_amount(cents: Any) -> None:
    """Ours: 10.0 may have been meant as dollars, so nothing is converted."""
    problems = refused(PAY, {"invoices": [invoice(amount_cents=cents)]})

    assert problems == {
        "invoices[0].amount_cents": "must be a whole number, without quotes and without a decimal point"
    }


@pytest.mark.parametrize(
    ("cents", "problem"),
    [
        (0, "must be at least 1"),
        (-100, "must be at least 1"),
        (999_999_901, "must be at most 999999900"),
        (10**30, "must be at most 999999900"),
        (-(10**30), "must be at least 1"),
    ],
)
def test_an_amount_out_of_range_is_refused_with_the_bound(cents: int, problem: str) -> None:
    """Documented: 1 to 999 999 900 cents."""
    assert refused(PAY, {"invoices": [invoice(amount_cents=cents)]}) == {"invoices[0].amount_cents": problem}


@pytest.mark.parametrize("discount", [0, 1, 128_449])
def test_a_discount_below_the_amount_is_taken(discount: int) -> None:
    """Documented: a discount is zero or more cents."""
    (row,) = accepted(PAY, {"invoices": [invoice(discount_amount_cents=discount)]})["invoices"]

    assert row["discount_amount_cents"] == discount


@pytest.mark.parametrize("discount", [128_450, 128_451, 999_999_900])
def test_a_discount_that_eats_the_amount_is_refused(discount: int) -> None:
    """Ours: a payment of nothing or less is a mistake."""
    problems = refused(PAY, {"invoices": [invoice(), invoice(invoice_number="B", discount_amount_cents=discount)]})

    assert problems == {"invoices[1].discount_amount_cents": "must be below amount_cents"}


@pytest.mark.parametrize("discount", [-1, 999_999_901, 1.0, "1", True])
def test_a_discount_that_is_no_cents_is_refused(discount: Any) -> None:
    """Documented: whole cents from 0."""
    assert list(refused(PAY, {"invoices": [invoice(discount_amount_cents=discount)]})) == [
        "invoices[0].discount_amount_cents"
    ]


# Invoices --------------------------------------------------------------------


def test_an_invoice_travels_as_it_was_given() -> None:
    """Documented: the request model of an invoice; metadata as a map."""
    given = invoice(
        currency="USD",
        invoice_due_date="2020-02-29",
        discount_amount_cents=450,
        note="Reams, 80 g/m²",
        metadata=[{"name": "run", "value": "41"}, {"name": "desk", "value": 7}],
        line_items=[{"description": "Paper"}],
        reconciliation_id="R-1",
        account_number="00-77",
        payment_group_id="RUN-41",
        accounting_id="A-1",
    )

    assert accepted(PAY, {"invoices": [given]}) == {"invoices": [{**given, "metadata": {"run": "41", "desk": 7}}]}


def test_metadata_may_be_a_map() -> None:
    """Ours: pairs are for hosts that cannot send a map; Finexio gets the same."""
    pairs, plain = [{"name": "run", "value": "41"}, {"name": "n", "value": 7}], {"run": "41", "n": 7}

    (as_pairs,) = accepted(PAY, {"invoices": [invoice(metadata=pairs)]})["invoices"]
    (as_map,) = accepted(PAY, {"invoices": [invoice(metadata=plain)]})["invoices"]

    assert as_pairs == as_map
    assert as_map["metadata"] == plain


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ("run=41", "metadata"),
        (7, "metadata"),
        (["run"], "metadata[0]"),
        ([{"name": "run"}], "metadata[0].value"),
        ([{"value": "41"}], "metadata[0].name"),
        ([{"name": 1, "value": "41"}], "metadata[0].name"),
        ([{"name": "run", "value": "41", "kind": "x"}], "metadata[0].kind"),
        ([{"name": "run", "value": "41"}, {"name": "run", "value": "42"}], "metadata"),
        ({"run": 1.5}, "metadata[0].value"),
        ({"run": True}, "metadata[0].value"),
        ({"run": {"deep": "x"}}, "metadata[0].value"),
        ({"run": ["x"]}, "metadata[0].value"),
    ],
)
def test_metadata_holds_texts_and_whole_numbers_only(metadata: Any, field: str) -> None:
    """Documented: keys and values are texts or whole numbers."""
    assert list(refused(PAY, {"invoices": [invoice(metadata=metadata)]})) == [f"invoices[0].{field}"]


def test_a_batch_holds_1_to_500_invoices() -> None:
    """Documented: 500 is the most that one call takes."""
    rows = [invoice(invoice_number=f"N-{number}") for number in range(501)]

    assert len(accepted(PAY, {"invoices": rows[:500]})["invoices"]) == 500
    assert refused(PAY, {"invoices": rows}) == {"invoices": "has more than 500 entries"}
    assert list(refused(PAY, {"invoices": []})) == ["invoices"]


@pytest.mark.parametrize("invoices", [invoice(), "[]", 1, True, [[invoice()]], [1]], ids=repr)
def test_a_batch_that_is_no_array_of_objects_is_refused(invoices: Any) -> None:
    """Ours: not even a single invoice is put into an array by guess."""
    (field,) = refused(PAY, {"invoices": invoices})

    assert field in {"invoices", "invoices[0]"}


@pytest.mark.parametrize("number", ["A", "QP-20931/7 (rev. 2), O'Neil: final? +1", "0", "x" * 49, "  7 "])
def test_an_invoice_number_of_allowed_characters_is_taken(number: str) -> None:
    """Documented: letters, digits and /.-?:(),' + up to 49."""
    assert accepted(PAY, {"invoices": [invoice(invoice_number=number)]})["invoices"][0]["invoice_number"] == number


@pytest.mark.parametrize("number", ["[7]", "A_7", "#7", "é", "A\n7", "A\t7", "x" * 50, " ", "A*7", "７", 7])
def test_an_invoice_number_of_other_characters_is_refused(number: Any) -> None:
    """Documented: no square brackets and nothing else beyond that set."""
    assert list(refused(PAY, {"invoices": [invoice(invoice_number=number)]})) == ["invoices[0].invoice_number"]


@pytest.mark.parametrize("distance", [-364, 0, 364])
def test_an_invoice_date_within_a_year_is_taken(distance: int) -> None:
    """Documented: 365 days to either side of today."""
    (row,) = accepted(PAY, {"invoices": [invoice(invoice_date=day(distance))]})["invoices"]

    assert row["invoice_date"] == day(distance)


@pytest.mark.parametrize("distance", [-367, 367, 4_000])
def test_an_invoice_date_farther_away_is_refused(distance: int) -> None:
    """Documented: 365 days to either side of today."""
    problems = refused(PAY, {"invoices": [invoice(invoice_date=day(distance))]})

    assert problems == {"invoices[0].invoice_date": "is more than 365 days from today"}


@pytest.mark.parametrize(
    "written",
    [
        "2026-02-30",
        "2026-13-01",
        "20260101",
        "2026-1-1",
        "01/02/2026",
        "2026-01-01T00:00:00",
        "today",
        20260101,
        "２０２６-01-01",
    ],
)
@pytest.mark.parametrize("field", ["invoice_date", "invoice_due_date"])
def test_a_day_is_written_one_way(field: str, written: Any) -> None:
    """Documented: YYYY-MM-DD; other forms are read differently on either side of an ocean."""
    assert list(refused(PAY, {"invoices": [invoice(**{field: written})]})) == [f"invoices[0].{field}"]


def test_a_due_date_may_lie_before_the_invoice_date() -> None:
    """Documented: seen in the vendor's own samples."""
    assert accepted(PAY, {"invoices": [invoice(invoice_due_date=day(-1_000))]})


@pytest.mark.parametrize("currency", [None, ""])
def test_a_missing_currency_is_dollars(currency: Any) -> None:
    """Documented: USD is the only one."""
    for row in (invoice(), invoice(currency=currency)):
        assert accepted(PAY, {"invoices": [row]})["invoices"][0]["currency"] == "USD"


@pytest.mark.parametrize("currency", ["EUR", "usd", "US", 1])
def test_another_currency_is_refused(currency: Any) -> None:
    """Documented: USD is the only one."""
    assert refused(PAY, {"invoices": [invoice(currency=currency)]}) == {"invoices[0].currency": "must be 'USD'"}


@pytest.mark.parametrize(
    "second",
    [
        {},
        {"invoice_number": "qp-20931"},
        {"invoice_number": " QP-20931  "},
        {"originating_counterparty_id": "BUYER-1"},
        {"amount_cents": 5},
    ],
)
def test_the_same_invoice_twice_in_a_batch_is_refused(second: Arguments) -> None:
    """Ours: buyer, supplier and number are the identity, however they are written and whatever the amount."""
    problems = refused(PAY, {"invoices": [invoice(), invoice(**second)]})

    assert list(problems) == ["invoices[1].invoice_number"]
    assert "invoices[0]" in problems["invoices[1].invoice_number"]


@pytest.mark.parametrize(
    "second",
    [
        {"invoice_number": "QP-20932"},
        {"originating_counterparty_id": "buyer-2"},
        {"receiving_counterparty_id": "supplier-2"},
    ],
)
def test_invoices_that_differ_in_buyer_supplier_or_number_are_two(second: Arguments) -> None:
    """Ours: two suppliers may well use the same number."""
    assert len(accepted(PAY, {"invoices": [invoice(), invoice(**second)]})["invoices"]) == 2


def test_a_buyer_cannot_pay_itself() -> None:
    """Ours: swapped or copied ids are a mistake."""
    problems = refused(PAY, {"invoices": [invoice(receiving_counterparty_id="Buyer-1")]})

    assert list(problems) == ["invoices[0].receiving_counterparty_id"]


def test_every_bad_row_is_named() -> None:
    """Ours: one answer is enough to mend a batch."""
    rows = [invoice(invoice_number="A"), invoice(amount_cents=0), invoice(invoice_number="[C]", invoice_date="x")]

    assert set(refused(PAY, {"invoices": rows})) == {
        "invoices[1].amount_cents",
        "invoices[2].invoice_number",
        "invoices[2].invoice_date",
    }


# Counterparties --------------------------------------------------------------

METHODS = [
    ("PrintedCheck", ADDRESS),
    ("Card", REMIT),
    ("ACH", {**REMIT, **BANK}),
    ("Wire", BANK),
]


@pytest.mark.parametrize(("tool", "least"), [(CREATE, SUPPLIER), (REPLACE, {"id": "c-1", **SUPPLIER})])
@pytest.mark.parametrize(("method", "needed"), METHODS)
def test_a_payment_method_needs_its_own_details(tool: str, least: Arguments, method: str, needed: Arguments) -> None:
    """Documented: an address for checks, an e-mail for cards and ACH, both bank numbers for ACH and wires."""
    whole = {**least, "payment_method": method, **needed}

    assert accepted(tool, whole) == whole
    for name in needed:
        for without in ({**whole, name: None}, {key: value for key, value in whole.items() if key != name}):
            problems = refused(tool, without)
            assert list(problems) == [name]
            assert problems[name].startswith(f"is required when payment_method is {method}")
    assert set(refused(tool, {**least, "payment_method": method})) == set(needed)


WAYS_OUT = {
    "PrintedCheck": "give the address that checks are mailed to",
    "Card": "give the address for remittance advice",
    "Wire": "give the whole number from a source that the supplier has confirmed",
}


@pytest.mark.parametrize(("method", "way_out"), WAYS_OUT.items())
def test_what_a_payment_method_lacks_comes_with_a_way_out(method: str, way_out: str) -> None:
    """Ours: the rule alone would tempt a model to make something up."""
    problems = refused(CREATE, {**SUPPLIER, "payment_method": method})

    assert set(problems.values()) == {f"is required when payment_method is {method}; {way_out}"}


@pytest.mark.parametrize("code", [" QUAY-77", "QUAY-77  "])
def test_blanks_around_a_vendor_code_are_not_sent(code: str) -> None:
    """Ours: they would make two suppliers of what is one."""
    assert accepted(CREATE, {**SUPPLIER, "internal_id": code})["internal_id"] == "QUAY-77"
    assert accepted(PATCH, {"id": "c-1", "internal_id": code})["internal_id"] == "QUAY-77"
    for tool, rest in ((CREATE, SUPPLIER), (PATCH, {"id": "c-1"})):
        assert "blank" in refused(tool, {**rest, "internal_id": "  "})["internal_id"]


def test_a_partial_update_that_changes_nothing_says_how_to_empty_a_field_where_one_can() -> None:
    """Ours: some hosts send null for whatever they leave out."""
    said = "gives nothing to change; name at least one field besides the id (null and an empty text count as not given"

    for tool in (PATCH, PATCH_SUPPLIER, PATCH_BUYER):
        assert refused(tool, {"id": "x-1"})[""] == f"{said}, and `clear` empties a field)"
    assert refused(PATCH_WEBHOOK, {"id": "x-1", "url": None})[""] == f"{said})"


def test_no_payment_method_needs_nothing() -> None:
    """Documented: the rules hang on the method that is given."""
    assert accepted(CREATE, {**SUPPLIER, "country": "CAN"})


def test_a_full_replace_without_bank_numbers_points_to_the_partial_update() -> None:
    """Ours: masks cannot travel back and blanks would be lost, so the way out is named."""
    problems = refused(REPLACE, {"id": "c-1", **SUPPLIER, "payment_method": "Wire"})

    assert all("finexio_counterparties_partial_update" in problem for problem in problems.values())


@pytest.mark.parametrize(("method", "_needed"), METHODS)
def test_a_partial_update_needs_none_of_them(method: str, _needed: Arguments) -> None:
    """Documented: what the record has already counts too, and only Finexio knows it."""
    assert accepted(PATCH, {"id": "c-1", "payment_method": method})


@pytest.mark.parametrize("written", ["supplier", "SUPPLIER", "sUpPlIeR"])
def test_a_type_in_any_case_is_sent_capitalised(written: str) -> None:
    """Documented: Finexio's own pages use both, its API the capitalised one."""
    assert accepted(CREATE, {**SUPPLIER, "type": written})["type"] == "Supplier"
    assert accepted(REPLACE, {"id": "c-1", **SUPPLIER, "type": written})["type"] == "Supplier"
    assert accepted("list_all_finexio_counterparties", {"type": "bUYER"})["type"] == "Buyer"


@pytest.mark.parametrize("written", ["Buyer", "buyer", "Vendor", "Suppliers", 1])
def test_a_buyer_cannot_be_created(written: Any) -> None:
    """Documented: the operation takes suppliers only."""
    assert refused(CREATE, {**SUPPLIER, "type": written}) == {"type": "must be 'Supplier'"}


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("payment_method", ["ACH", "Card", "PrintedCheck", "Wire"], ["Check", "check", "ach", "FinexioExpress", 1]),
        ("country", ["USA", "CAN", "UMI"], ["US", "usa", "MEX"]),
        ("state", ["AL", "PR", "AA", "ON", "YT"], ["XX", "al", "Alabama", "A", 1]),
        ("payment_terms", [0, 30, 365], [-1, 366, 30.0, "30", True]),
        ("twelve_month_payment_count", [0, 12], [-1, 1.0, "12"]),
        ("twelve_month_spend", [0, 12, 80_250.5], [-0.01, "80.00", True, float("nan"), float("inf"), 10**400]),
        ("ineligible_for_conversion", [True, False], ["true", 1, 0]),
        ("business_type", ["Employee", "InternalTransfer", "Unknown"], ["employee", "Company"]),
        (
            "remit_email",
            ["a@b.example", "first.last+x@sub.b.example"],
            ["a", "a@b", "a@b.example, c@d.example", "@b.c"],
        ),
        ("bank_account_number", ["12345", "00012345678901234"], ["1234", "12-345", "12 345", "１２３４５", 12345]),
        ("bank_routing_number", ["021000021"], ["02100002A", "021-00-21", 21000021]),
        ("tax_id", ["00-1234567"], [1234567]),
        ("notes", ["Any text: é, 漢, 😀, <b>"], [["text"]]),
    ],
)
def test_a_counterparty_field_takes_what_finexio_takes(field: str, good: list[Any], bad: list[Any]) -> None:
    """Documented: the field table of counterparties."""
    methods: Arguments = {**ADDRESS, **REMIT, **BANK}

    for value in good:
        assert accepted(CREATE, {**SUPPLIER, **methods, field: value})[field] == value
    for value in bad:
        assert list(refused(CREATE, {**SUPPLIER, **methods, field: value})) == [field]


@pytest.mark.parametrize("text", [" Quayside  Paper ", "cafe\u0301", "ＡＢＣ", "a\nb\tc", "<b>&amp;</b>", "%41", "😀"])
def test_a_text_travels_as_it_was_typed(text: str) -> None:
    """Ours: a legal name or a note is not ours to tidy."""
    assert accepted(CREATE, {**SUPPLIER, "name": text, "notes": text}) == {**SUPPLIER, "name": text, "notes": text}


def test_every_documented_state_is_known() -> None:
    """Documented: the 72 codes of states, territories and provinces."""
    codes = """
        AL AK AS AZ AR AA AE AP CA CO CT DE DC FL GA GU HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM
        NY NC ND MP OH OK OR PA PR RI SC SD TN TX UT VT VI VA WA WV WI WY AB BC MB NB NL NT NS NU ON PE QC SK YT
    """
    known = [
        f"{a}{b}"
        for a in map(chr, range(65, 91))
        for b in map(chr, range(65, 91))
        if _takes(PATCH, {"id": "c-1", "state": f"{a}{b}"})
    ]

    assert sorted(codes.split()) == known
    assert len(known) == 72


def _takes(tool: str, arguments: Arguments) -> bool:
    try:
        return bool(accepted(tool, arguments))
    except InvalidArguments:
        return False


# Lengths ---------------------------------------------------------------------

LENGTHS: list[tuple[str, tuple[Any, ...], int]] = [
    *(
        (CREATE, (name,), length)
        for name, length in {
            "name": 100,
            "internal_id": 100,
            "address_1": 40,
            "address_2": 40,
            "city": 40,
            "zipcode": 10,
            "primary_contact_name": 40,
            "primary_contact_email": 50,
            "primary_contact_phone": 16,
            "remit_email": 50,
            "bank_account_number": 17,
            "bank_routing_number": 9,
            "tax_id": 11,
            "notes": 1000,
        }.items()
    ),
    *(
        (ADD_CONTACTS, ("contacts", 0, name), length)
        for name, length in {"external_reference_id": 100, "name": 40, "email": 50, "phone": 17}.items()
    ),
    *(
        (CHANGE_CONTACT, (name,), length)
        for name, length in {"external_reference_id": 100, "name": 40, "email": 50, "phone": 17}.items()
    ),
    *(
        (PAY, ("invoices", 0, name), length)
        for name, length in {
            "invoice_number": 49,
            "note": 1000,
            "reconciliation_id": 50,
            "account_number": 250,
            "payment_group_id": 100,
            "accounting_id": 70,
        }.items()
    ),
    *((SUBSCRIBE, (name,), 190) for name in ("url", "username", "password")),
]


def _text(field: str, length: int) -> str:
    if "email" in field:
        return "a" * (length - 10) + "@b.example"
    if field == "url":
        return "https://b.example/" + "a" * (length - 18)
    return "1" * length


@pytest.mark.parametrize(("tool", "path", "length"), LENGTHS, ids=lambda value: str(value))
def test_a_text_may_be_as_long_as_finexio_says_and_no_longer(tool: str, path: tuple[Any, ...], length: int) -> None:
    """Documented: cut or refused text at the vendor would be found too late."""
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")

    assert accepted(tool, plant(tool, path, _text(path[-1], length)))
    assert refused(tool, plant(tool, path, _text(path[-1], length + 1))) == {
        field: f"is longer than {length} characters"
    }


# Contacts --------------------------------------------------------------------


def test_one_contact_may_stand_at_top_level() -> None:
    """Ours: users know the tool with a single contact's fields."""
    loose = {"name": "Rae Lund", "email": "rae@quayside.example", "primary": True, "phone": None}

    assert accepted(ADD_CONTACTS, {"supplier_id": "s-1", **loose}) == {
        "supplier_id": "s-1",
        "contacts": [{"name": "Rae Lund", "email": "rae@quayside.example", "primary": True}],
    }


def test_a_contact_at_top_level_keeps_the_same_rules() -> None:
    """Ours: it is named as the one contact that it counts as."""
    assert refused(ADD_CONTACTS, {"supplier_id": "s-1", "email": "rae"}) == {
        "contacts[0].primary": "is required",
        "contacts[0].email": "is no e-mail address; write one address such as ap@example.com",
    }


def test_a_contact_at_top_level_beside_contacts_is_refused() -> None:
    """Ours: it is not known which of them was meant."""
    given = {"supplier_id": "s-1", "contacts": [{"primary": True}], "name": "Rae Lund"}

    assert list(refused(ADD_CONTACTS, given)) == ["name"]


def test_a_call_adds_1_to_50_contacts() -> None:
    """Ours: one call for a supplier's people."""
    contacts = [{"primary": False, "name": f"N {number}"} for number in range(51)]

    assert len(accepted(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": contacts[:50]})["contacts"]) == 50
    for bad in (contacts, []):
        assert list(refused(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": bad})) == ["contacts"]


def test_only_one_contact_can_be_primary() -> None:
    """Documented: Finexio refuses two."""
    contacts = [{"primary": True}, {"primary": False}, {"primary": True}]

    assert list(refused(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": contacts})) == ["contacts"]
    assert accepted(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": contacts[:2]})


def test_a_reference_stands_once_in_a_call() -> None:
    """Documented: references are unique, and they are the only key of a contact."""
    contacts = [{"primary": False, "external_reference_id": name} for name in ("A", "B", "A")]
    problems = refused(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": contacts})

    assert list(problems) == ["contacts[2].external_reference_id"]
    assert accepted(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": [{"primary": False}, {"primary": False}]})


@pytest.mark.parametrize("primary", [None, "true", 1, "", 0])
def test_primary_has_to_be_said(primary: Any) -> None:
    """Documented: required on every write of a contact."""
    assert list(refused(CHANGE_CONTACT, {"supplier_id": "s-1", "id": "HP-AR", "primary": primary})) == ["primary"]
    assert list(refused(ADD_CONTACTS, {"supplier_id": "s-1", "contacts": [{"primary": primary}]})) == [
        "contacts[0].primary"
    ]


# Partial updates -------------------------------------------------------------


@pytest.mark.parametrize("tool", [PATCH, PATCH_WEBHOOK, PATCH_SUPPLIER, PATCH_BUYER])
@pytest.mark.parametrize("more", [{}, {"url": None}, {"name": ""}, {"clear": []}])
def test_a_partial_update_changes_something(tool: str, more: Arguments) -> None:
    """Ours: an update of nothing would be confirmed as if something had changed."""
    known = {name: value for name, value in more.items() if name in schema_of(tool)["properties"]}

    assert list(refused(tool, {"id": "x-1", **known})) == [""]


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS if tool.arguments.clearable])
def test_a_cleared_field_travels_as_empty_text(tool: str) -> None:
    """Documented: the vendor's schema has no null."""
    least = {key: value for key, value in LEAST[tool].items() if key != "name"}

    for name in BY_NAME[tool].arguments.clearable:
        assert accepted(tool, {**least, "clear": [name]}) == {**least, name: ""}
    every = list(BY_NAME[tool].arguments.clearable)
    assert accepted(tool, {**least, "clear": every}) == {**least, **dict.fromkeys(every, "")}


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (PATCH, "name"),
        (PATCH, "internal_id"),
        (PATCH, "payment_method"),
        (PATCH, "payment_terms"),
        (PATCH, "country"),
        (PATCH, "id"),
        (PATCH, "clear"),
        (PATCH, "no_such_field"),
        (CHANGE_CONTACT, "primary"),
        (CHANGE_CONTACT, "external_reference_id"),
        (CHANGE_CONTACT, "payment_notification"),
        (PATCH_SUPPLIER, "name"),
        (PATCH_SUPPLIER, "external_reference_id"),
        (PATCH_SUPPLIER, "payment_method"),
        (PATCH_SUPPLIER, "delivery_method"),
        (PATCH_SUPPLIER, "payment_terms"),
        (PATCH_SUPPLIER, "remit_country"),
        (PATCH_SUPPLIER, "enabled"),
        (PATCH_SUPPLIER, "metadata"),
        (PATCH_SUPPLIER, "contacts"),
        (PATCH_BUYER, "name"),
        (PATCH_BUYER, "external_reference_id"),
        (PATCH_BUYER, "tax_id"),
        (PATCH_BUYER, "funding_method"),
        (PATCH_BUYER, "address_1"),
        (PATCH_BUYER, "country"),
        (PATCH_BUYER, "owners"),
        (CHANGE_BUYER_CONTACT, "primary"),
        (CHANGE_BUYER_CONTACT, "external_reference_id"),
        (CHANGE_BUYER_CONTACT, "funding_notification"),
    ],
)
def test_what_cannot_be_empty_cannot_be_cleared(tool: str, name: str) -> None:
    """Ours: the refusal lists what can be."""
    problem = refused(tool, {**LEAST[tool], "clear": [name]})["clear[0]"]

    assert problem.startswith("cannot be emptied; can be: ")
    assert all(clearable in problem for clearable in BY_NAME[tool].arguments.clearable)


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS if tool.arguments.clearable])
def test_a_field_is_cleared_or_set_but_not_both(tool: str) -> None:
    """Ours: it is not known which of them was meant."""
    name, *_, other = BY_NAME[tool].arguments.clearable

    problems = refused(tool, {**LEAST[tool], name: "a", "clear": [other, name]})

    assert list(problems) == ["clear[1]"]


# Webhooks --------------------------------------------------------------------


def test_the_short_event_name_is_sent_in_full_and_said() -> None:
    """Documented: some of the vendor's pages drop the last letter; the API takes the full name."""
    for tool, least in ((SUBSCRIBE, WEBHOOK), (PATCH_WEBHOOK, {"id": "w-1"})):
        checked = check(BY_NAME[tool], {**least, "event": "payment.change"})
        assert checked.wire["event"] == "payment.changed"
        assert len(checked.notices) == 1


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("event", ["payment.changed"], ["payment.created", "invoice.changed", "", None]),
        (
            "url",
            ["https://b.example", "http://127.0.0.1:8000/hook", "https://b.example/a?b=c"],
            [
                "b.example",
                "/hook",
                "ftp://b.example",
                "https://",
                "https:///x",
                "https://b.example/a b",
                "javascript:x",
            ],
        ),
        ("username", ["u"], ["", None, 1]),
        ("password", ["a pass phrase, with: signs"], ["", None, "********", "pass•word"]),
        ("content_type", ["application/json", "application/x-www-form-urlencoded"], ["text/plain", "json"]),
        *((flag, [True, False], ["true", 1, 0, "yes"]) for flag in ("invoice_ids", "payment_events", "refund_reason")),
    ],
)
def test_a_webhook_field_takes_what_finexio_takes(field: str, good: list[Any], bad: list[Any]) -> None:
    """Documented: the field table of subscriptions."""
    for value in good:
        assert accepted(SUBSCRIBE, {**WEBHOOK, field: value})[field] == value
    for value in bad:
        assert list(refused(SUBSCRIBE, {**WEBHOOK, field: value})) == [field]


# Filters, moments and ids ----------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-31",
        "2026-01-31T10:00",
        "2026-01-31T10:00:00",
        "2026-01-31T10:00:00.123456",
        "2026-01-31T10:00:00Z",
        "2026-01-31T10:00:00+02:00",
    ],
)
def test_a_moment_is_sent_as_it_was_typed(moment: str) -> None:
    """Documented: Finexio's times have no zone and nobody says which it is, so none is added."""
    assert accepted(LIST_PAYMENTS, {"created_start": moment}) == {"created_start": moment}


@pytest.mark.parametrize(
    "moment",
    [
        "2026-02-30",
        "2026-1-1",
        "20260131",
        "2026-01-31T25:00",
        "2026-01-31T10",
        "yesterday",
        "2026-01-31\n",
        1769817600,
    ],
)
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    """Ours: a filter that Finexio cannot read may be ignored there."""
    assert list(refused(LIST_PAYMENTS, {"updated_end": moment})) == ["updated_end"]


def test_status_filters_go_through_as_typed() -> None:
    """Documented: values come and go at the vendor, and a read of an unknown one does no harm."""
    assert accepted(LIST_PAYMENTS, {"status": "cancelled"}) == {"status": "cancelled"}
    assert accepted(LIST_DRAWDOWNS, {"status": "canceled"}) == {"status": "canceled"}


@pytest.mark.parametrize(("low", "high"), [(0, 0), (5, 5), (1, 10**12)])
def test_a_range_of_amounts_is_taken(low: int, high: int) -> None:
    """Documented: low and high, in cents."""
    given = {"amount_cents_start": low, "amount_cents_end": high}

    assert accepted(LIST_DRAWDOWNS, given) == given


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"amount_cents_start": 2, "amount_cents_end": 1}, "amount_cents_start"),
        ({"amount_cents_start": -1}, "amount_cents_start"),
        ({"amount_cents_end": 10.0}, "amount_cents_end"),
    ],
)
def test_an_impossible_range_of_amounts_is_refused(given: Arguments, field: str) -> None:
    """Ours: an empty list would look like an answer."""
    assert list(refused(LIST_DRAWDOWNS, given)) == [field]


def test_a_list_of_drawdowns_without_a_filter_is_left_to_finexio() -> None:
    """Documented: a filter is mandatory there; ours is no hidden window of dates."""
    assert accepted(LIST_DRAWDOWNS, {}) == {}


@pytest.mark.parametrize(
    "id_", ["f2a9c1d4-0000-4000-8000-000000000000", "inv_7", "U824-012-419K", "a/b", "%2e%2e", "...", "é"]
)
def test_an_id_is_opaque(id_: str) -> None:
    """Documented: no shape of an id is promised."""
    assert accepted(GET_INVOICE, {"id": id_}) == {"id": id_}


def test_a_contacts_reference_may_hold_blanks() -> None:
    """Documented: a reference is the caller's own text, and the only key of a contact."""
    for tool in (CHANGE_CONTACT, DELETE_CONTACT, CHANGE_BUYER_CONTACT, DELETE_BUYER_CONTACT):
        assert accepted(tool, {**LEAST[tool], "id": "AR desk #1 (é)"})["id"] == "AR desk #1 (é)"


@pytest.mark.parametrize("id_", ["", ".", "..", " ", "a\x00b", "a\nb", "\x7f", "x" * 201, None, 7])
def test_an_id_that_would_lead_elsewhere_is_refused(id_: Any) -> None:
    """Ours: an id becomes one segment of a path."""
    for tool in TOOLS:
        for name in tool.path_names:
            assert name in refused(tool.name, {**LEAST[tool.name], name: id_})


# What steers this server -----------------------------------------------------


def test_what_steers_the_answer_never_leaves() -> None:
    """Ours: Finexio knows no limits, cursors or field lists."""
    local = {"fields": ["id", "*"], "limit": 5, "next_cursor": "abc"}

    checked = check(BY_NAME[LIST_PAYMENTS], {**local, "status": "settled"})

    assert checked == Checked(wire={"status": "settled"}, local=local)


STEERING: Arguments = {
    "fields": ["id"],
    "limit": 5,
    "next_cursor": "abc",
    "clear": ["name"],
    "resubmit": True,
    "not_a_duplicate_of": "i-0",
}
"""Every argument that is for this server alone, wherever it stands."""


@every_tool
def test_no_request_holds_what_steers_this_server(tool: ToolSpec) -> None:
    """Ours: a word that Finexio does not know may be dropped there today and mean something tomorrow."""
    marked = [path for path, _ in places(schema_of(tool)) if path[-1] in STEERING]
    plain = check(tool, LEAST[tool.name])

    for path in marked:
        name = str(path[-1])
        value = [tool.arguments.clearable[0]] if name == "clear" else STEERING[name]
        checked = check(tool, plant(tool.name, path, value))
        emptied = dict.fromkeys(value, "") if name == "clear" else {}
        assert checked.wire == {**plain.wire, **emptied}, path
        assert checked.local == ({"invoices": [{name: value}]} if len(path) > 1 else {name: value}), path
        if not tool.own:
            assert name not in (request := build(tool, checked.wire)).target
            assert f'"{name}"'.encode() not in (request.body or b""), path


def local_fields(model: type[BaseModel]) -> set[str]:
    """Every field marked as local in a model and in those inside it."""
    names: set[str] = set()
    for name, info in model.model_fields.items():
        names |= {name for trait in info.metadata if isinstance(trait, Local)}
        kinds: list[Any] = [info.annotation]
        while kinds:
            kind = kinds.pop()
            kinds += get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                names |= local_fields(kind)
    return names


def test_those_are_all_that_steer_this_server() -> None:
    """Ours: what is added to them has to be added to the test that they never leave."""
    assert set[str]().union(*(local_fields(tool.arguments) for tool in TOOLS)) == set(STEERING)


def test_what_is_said_of_single_invoices_stays_beside_them() -> None:
    """Ours: each row keeps its place, and a batch without any such word has nothing beside it."""
    rows = [
        invoice(invoice_number="QP-1"),
        invoice(invoice_number="QP-2", resubmit=False, not_a_duplicate_of=""),
        invoice(invoice_number="QP-3", resubmit=True, not_a_duplicate_of="i-9"),
    ]

    checked = check(BY_NAME[PAY], {"invoices": rows})

    assert checked.local == {"invoices": [{}, {"resubmit": False}, {"resubmit": True, "not_a_duplicate_of": "i-9"}]}
    assert [row["invoice_number"] for row in checked.wire["invoices"]] == ["QP-1", "QP-2", "QP-3"]
    assert check(BY_NAME[PAY], {"invoices": [rows[0], {**rows[1], "resubmit": None}]}).local == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"resubmit": "true"}, "resubmit"),
        ({"resubmit": 1}, "resubmit"),
        ({"not_a_duplicate_of": "two words"}, "not_a_duplicate_of"),
        ({"not_a_duplicate_of": 7}, "not_a_duplicate_of"),
        ({"not_a_duplicate_of": "x" * 201}, "not_a_duplicate_of"),
    ],
)
def test_what_is_said_of_an_invoice_is_checked(given: Arguments, field: str) -> None:
    """Ours: it decides whether an invoice is paid again."""
    assert list(refused(PAY, {"invoices": [invoice(**given)]})) == [f"invoices[0].{field}"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": 5.0}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"limit": True}, "limit"),
        ({"next_cursor": "x" * 2001}, "next_cursor"),
        ({"next_cursor": 7}, "next_cursor"),
        ({"fields": "id"}, "fields"),
        ({"fields": [1]}, "fields[0]"),
        ({"fields": ["id"] * 61}, "fields"),
    ],
)
def test_what_steers_the_answer_is_bounded(given: Arguments, field: str) -> None:
    """Ours: 1 to 100 rows, and a cursor of at most 2,000 characters."""
    assert list(refused(LIST_PAYMENTS, given)) == [field]


# Secrets ---------------------------------------------------------------------

SECRETS = [(tool, path) for tool in TOOLS for path, _ in places(schema_of(tool)) if sensitive(str(path[-1]))]
every_secret = pytest.mark.parametrize(
    ("tool", "path"), SECRETS, ids=[f"{tool.name}-{path[-1]}" for tool, path in SECRETS]
)


def named(path: tuple[Step, ...]) -> str:
    """A place as a refusal writes it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


@every_secret
@pytest.mark.parametrize("mask", ["****6789", "•••6789", "12345*", "＊＊６７８９", "●●●●6789"])
def test_a_mask_never_travels_back(tool: ToolSpec, path: tuple[Step, ...], mask: str) -> None:
    """Ours: an agent that copies what it was shown would overwrite the real number."""
    assert "mask" in refused(tool.name, plant(tool.name, path, mask))[named(path)]


@pytest.mark.parametrize("visible", ["6789", "0021", "789", "0"])
def test_the_visible_end_of_a_number_is_not_taken_for_the_number(visible: str) -> None:
    """Ours: it would replace the number, and the answer would look the same as before."""
    endings = ("bank_account_number", "bank_routing_number", "tax_id", "ssn")
    shown = [(tool, path) for tool, path in SECRETS if str(path[-1]).endswith(endings)]

    assert len({path[-1] for _, path in shown}) == 8
    for tool, path in shown:
        assert list(refused(tool.name, plant(tool.name, path, visible))) == [named(path)]


# Shape of the refusal --------------------------------------------------------


def test_nesting_beyond_reason_is_refused() -> None:
    """Ours: no schema is nearly as deep."""
    deep: Any = "x"
    for _ in range(MAX_DEPTH):
        deep = [deep]

    assert refused(LIST_PAYMENTS, {"status": deep}) == {"": "is nested too deeply"}
    for _ in range(50_000):
        deep = {"a": deep}
    assert refused(LIST_PAYMENTS, {"status": deep}) == {"": "is nested too deeply"}


def test_a_refusal_says_that_nothing_was_sent() -> None:
    """Ours: the caller may mend the call and repeat it."""
    with pytest.raises(InvalidArguments) as raised:
        check(BY_NAME[GET_INVOICE], {})

    assert raised.value.message.startswith("Nothing was sent")
    assert (raised.value.code, raised.value.may_have_happened) == ("invalid_arguments", False)


def test_what_the_caller_holds_is_not_changed() -> None:
    """Ours: the arguments are read, never written."""
    given = {"supplier_id": "s-1", "primary": True, "name": None}

    check(BY_NAME[ADD_CONTACTS], given)

    assert given == {"supplier_id": "s-1", "primary": True, "name": None}


BROKEN = "half \ud800 pair"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (PAY, {"invoices": [invoice(line_items=[{"description": BROKEN}])]}),
        (PAY, {"invoices": [invoice(metadata={BROKEN: "x"})]}),
        (PAY, {"invoices": [invoice(metadata={"x": BROKEN})]}),
        ("delete_a_finexio_webhook_by_id", {"id": BROKEN}),
        ("list_all_finexio_payments", {"status": BROKEN}),
    ],
)
def test_text_that_has_no_encoding_is_refused_before_anything_leaves(tool: str, arguments: Arguments) -> None:
    """Ours: found while sending, it would look like a write whose outcome nobody knows."""
    assert refused(tool, arguments) == {"": "holds text with a broken character, half of a surrogate pair"}


@pytest.mark.parametrize("name", ["x" * 61, "two words", "a-b", "", "1st", "*x"])
def test_a_field_to_show_is_a_plain_name(name: str) -> None:
    """Ours: it is repeated in a notice, so it cannot be any text."""
    assert refused("get_single_finexio_invoice_by_id", {"id": "x", "fields": [name]}).keys() == {"fields[0]"}


@pytest.mark.parametrize("name", ["str", "int"])
def test_an_unknown_argument_is_named_whatever_it_is_called(name: str) -> None:
    """Ours: the steps that a checker adds to a path are not those that a caller wrote."""
    assert refused("get_single_finexio_invoice_by_id", {"id": "x", name: 1}).keys() == {name}


@pytest.mark.parametrize("tool", [ADD_CONTACTS, ADD_BUYER_CONTACTS, CREATE_SUPPLIER, CREATE_BUYER])
@pytest.mark.parametrize("reference", [".", "..", " ", "line\nbreak", "next\x85line", "bidi\u202e"])
def test_a_contact_is_not_given_a_reference_that_no_later_call_could_address(tool: str, reference: str) -> None:
    """Documented: the reference is the only key in the path of an update."""
    arguments = {**LEAST[tool], "contacts": [{"primary": False, "external_reference_id": reference}]}

    assert refused(tool, arguments).keys() == {"contacts[0].external_reference_id"}
