"""Suppliers: every rule of Finexio's field table, refused and accepted, and agreement with the pretend Finexio.

What is asked of each field stands here once more, as the vendor has it, and is not read from the declarations.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from finexio_mcp.arguments import Checked, check
from finexio_mcp.errors import InvalidArguments
from finexio_mcp.simulator import Received, Simulator
from finexio_mcp.simulator.rules import STATES
from finexio_mcp.tools import BY_NAME

Arguments = dict[str, Any]

CREATE = "create_a_finexio_supplier"
REPLACE = "update_a_finexio_supplier_by_id"
PATCH = "finexio_suppliers_partial_update"
LIST = "list_all_finexio_suppliers"
GET = "get_single_finexio_supplier_by_id"

every_write = pytest.mark.parametrize("tool", [CREATE, REPLACE, PATCH])
whole = pytest.mark.parametrize("tool", [CREATE, REPLACE])

ADDRESS: Arguments = {
    "remit_address_1": "18 Quay St",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602",
}
BANK: Arguments = {"bank_account_number": "000123456789", "bank_routing_number": "021000021"}
EMAIL: Arguments = {"remit_email": "ap@harbor.example"}
PAYABLE: Mapping[str, Arguments] = {
    "ACH": BANK,
    "Wire": BANK,
    "FinexioExpress": {**BANK, "delivery_method": "Email"},
    "Check": {**ADDRESS, "delivery_method": "Mail"},
    "Card": {"delivery_method": "Portal"},
}
"""The least by which a supplier can be paid, by payment method."""
NAMED: Arguments = {"name": "Harbor Paper Co", "external_reference_id": "HARBOR-01"}


def supplier(method: str = "Card", **fields: Any) -> Arguments:
    """The least that Finexio takes."""
    return {**NAMED, "payment_method": method, **PAYABLE[method], **fields}


def addressed(tool: str, **fields: Any) -> Arguments:
    """Fields, and the supplier that they are for if it exists already."""
    return fields if tool == CREATE else {"id": "supplier-1", **fields}


def call(tool: str, **fields: Any) -> Arguments:
    """Arguments of a write that are good but for `fields`, on whatever way a card is delivered."""
    return addressed(tool, **({} if tool == PATCH else supplier(**EMAIL)) | fields)


def without(arguments: Arguments, *names: str) -> Arguments:
    return {name: value for name, value in arguments.items() if name not in names}


def accepted(tool: str, arguments: Arguments) -> Arguments:
    """What goes to Finexio."""
    return check(BY_NAME[tool], arguments).wire


def refused(tool: str, arguments: Arguments) -> dict[str, str]:
    """Each refused field with what is wrong."""
    with pytest.raises(InvalidArguments) as raised:
        check(BY_NAME[tool], arguments)
    assert raised.value.message.startswith("Nothing was sent")
    return {problem.field: problem.problem for problem in raised.value.problems}


# A single field ------------------------------------------------------------------

LENGTHS = {
    "name": 100,
    "care_of": 36,
    "remit_address_1": 40,
    "remit_address_2": 40,
    "remit_city": 40,
    "remit_zipcode": 10,
    "corporate_address_1": 40,
    "corporate_address_2": 40,
    "corporate_city": 40,
    "corporate_zipcode": 10,
    "corporate_phone_number": 16,
    "external_reference_id": 200,
    "tax_id": 11,
    "bank_account_number": 17,
    "notes": 1000,
}
COUNTRIES = ("CAN", "UMI", "USA")
CHOICES = {
    "payment_method": ("ACH", "Card", "Check", "Wire", "FinexioExpress"),
    "delivery_method": ("Mail", "Email", "Portal", "Phone"),
    "notification_method": ("Mail", "Email"),
    "remit_country": COUNTRIES,
    "corporate_country": COUNTRIES,
    "payee_type": (
        "Employee",
        "Business",
        "Individual",
        "InternalTransfer",
        "Student",
        "BankingInstitution",
        "Insurance",
        "Government",
        "Unknown",
    ),
}
NUMBERS: dict[str, tuple[list[int], list[int]]] = {
    "payment_terms": ([0, 30, 365], [-1, 366]),
    "twelve_month_payment_count": ([0, 12_000], [-1]),
    "twelve_month_spend": ([0, 7_500_000], [-1]),
}
STATE_FIELDS = ("remit_state", "corporate_state")
FLAGS = ("ineligible_for_conversion", "ineligible_for_cbm", "internal_payments")

GOOD: list[tuple[str, Any]] = [
    *((name, "7" * length) for name, length in LENGTHS.items()),
    *((name, value) for name, values in CHOICES.items() if name != "payment_method" for value in values),
    *((name, value) for name, (values, _) in NUMBERS.items() for value in values),
    *((name, value) for name in FLAGS for value in (True, False)),
    ("enabled", True),
    ("name", "Ó Briain & Søns, Inc."),
    ("external_reference_id", "Öl & Co. #7/2 (north)"),
    ("bank_account_number", "12345"),
    ("bank_routing_number", "021000021"),
    ("tax_id", "00-1234567"),
    ("remit_email", "ap@harbor.example"),
    ("remit_email", "ap@harbor.example,ar@harbor.example"),
    ("category", "Office supplies"),
    ("sub_category", "Paper"),
    ("category", "x" * 100),
    ("corporate_phone_number", "407-555-1212"),
    ("metadata", {"k" * 25: "v" * 100}),
    ("metadata", {"erp_id": None}),
]
"""Every bound, choice and kind of characters, just within."""

READ_ONLY = ("processing_fee", "created", "updated", "remit_data", "issue_one_disbursement_per_invoice")
BAD: list[tuple[str, Any, str]] = [
    *((name, "7" * (length + 1), f"longer than {length} characters") for name, length in LENGTHS.items()),
    *((name, value.lower(), f"'{value}'") for name, values in CHOICES.items() for value in values),
    *((name, "Pigeon", "must be '") for name in CHOICES),
    ("payment_method", "PrintedCheck", "'Check'"),
    *((name, value, "must be at") for name, (_, values) in NUMBERS.items() for value in values),
    *((name, value, "whole number") for name in NUMBERS for value in ("30", 30.5, True)),
    *((name, value, "true or false") for name in (*FLAGS, "enabled") for value in ("true", 1)),
    ("enabled", False, "only be true"),
    *((name, state, "two capital letters, such as GA") for name in STATE_FIELDS for state in ("al", "XX", "Alabama")),
    *((name, 36602, "must be text") for name in LENGTHS),
    ("external_reference_id", "HARBOR[1]", "square brackets"),
    ("external_reference_id", "HARBOR]", "square brackets"),
    ("external_reference_id", "HARBOR\n01", "printable"),
    ("external_reference_id", "   ", "printable"),
    ("name", "   ", "blank"),
    ("bank_account_number", "0001-234-567", "digits only"),
    ("bank_account_number", "GB29NWBK6016133", "digits only"),
    ("bank_account_number", "6789", "give the whole number"),
    ("bank_account_number", "****6789", "a partial update without this field keeps"),
    ("bank_account_number", "••••6789", "mask"),
    ("bank_routing_number", "0210000210", "nine digits"),
    ("bank_routing_number", "02100002", "nine digits"),
    ("bank_routing_number", "021000022", "typing error"),
    ("bank_routing_number", "0021", "give the whole number"),
    ("bank_routing_number", "*****0021", "mask"),
    ("tax_id", "*****6789", "mask"),
    ("tax_id", "6789", "give the whole number"),
    ("remit_email", "ap", "one e-mail address"),
    ("remit_email", "ap@harbor.example; ar@harbor.example", "commas"),
    ("remit_email", "ap@harbor.example,", "commas"),
    ("category", "x" * 101, "longer than 100"),
    ("sub_category", "x" * 101, "longer than 100"),
    ("metadata", {"k" * 26: "v"}, "longer than 25 characters"),
    ("metadata", {"_erp": "v"}, "underscore"),
    ("metadata", {"erp": "v" * 101}, "longer than 100 characters"),
    ("metadata", '{"erp":"v"}', "must be an array"),
    *((name, "2026-01-01", "no argument of this tool") for name in READ_ONLY),
    ("remit_adress_1", "18 Quay St", "did you mean remit_address_1"),
    ("address_1", "18 Quay St", "did you mean remit_address_1"),
    ("internal_id", "HARBOR-01", "no argument of this tool"),
]
"""The same, just beyond: with some words of what is said."""


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) < 30 else f"{text[:8]}...{len(text)}"


@every_write
@pytest.mark.parametrize(("name", "value"), GOOD, ids=_shown)
def test_what_finexio_documents_is_taken(tool: str, name: str, value: Any) -> None:
    """Documented: the bound itself, each word of a list, each kind of character; it travels as it was given."""
    assert accepted(tool, call(tool, **{name: value}))[name] == value


@every_write
@pytest.mark.parametrize(("name", "value", "words"), BAD, ids=_shown)
def test_what_breaks_a_rule_is_refused_by_its_field(tool: str, name: str, value: Any, words: str) -> None:
    """Documented: Finexio's bounds and lists. Ours: the problem names field and rule, and never holds the value."""
    problems = refused(tool, call(tool, **{name: value}))

    (field,) = [field for field in problems if field.partition("[")[0] == name]
    assert words in problems[field]
    if isinstance(value, str) and len(value) > 8:
        assert value not in str(problems)


@pytest.mark.parametrize("method", PAYABLE)
@whole
def test_each_method_is_taken_with_the_least_it_needs(tool: str, method: str) -> None:
    """Documented: five methods, each with needs of its own."""
    arguments = addressed(tool, **supplier(method))

    assert accepted(tool, arguments) == arguments


@pytest.mark.parametrize("method", PAYABLE)
def test_a_patch_may_give_any_method(method: str) -> None:
    """Documented: what it needs may be there already; only the stored record can tell."""
    assert accepted(PATCH, call(PATCH, payment_method=method))["payment_method"] == method


@pytest.mark.parametrize("name", STATE_FIELDS)
def test_every_state_of_the_list_is_taken(name: str) -> None:
    """Documented: states, territories, military states and Canadian provinces."""
    assert len(STATES) == len(set(STATES)) == 72
    assert [accepted(CREATE, supplier(**{name: state}))[name] for state in STATES] == list(STATES)


def test_one_method_of_the_older_tools_is_spelled_otherwise_here() -> None:
    """Documented: `PrintedCheck` there, `Check` here; neither is silently taken for the other."""
    problem = refused(CREATE, supplier(payment_method="PrintedCheck"))["payment_method"]

    assert problem == "must be 'ACH', 'Card', 'Check', 'Wire' or 'FinexioExpress'"


# Required, and not of this call --------------------------------------------------


@pytest.mark.parametrize("name", ["name", "external_reference_id", "payment_method"])
@pytest.mark.parametrize("absent", [None, "", ...], ids=["null", "empty", "left out"])
@whole
def test_a_whole_supplier_has_a_name_a_code_and_a_method(tool: str, absent: Any, name: str) -> None:
    """Documented: on create; a replace must repeat the code, and what it leaves out is blanked."""
    arguments = without(call(tool), name) if absent is ... else call(tool, **{name: absent})

    assert list(refused(tool, arguments)) == [name]


@pytest.mark.parametrize("name", ["name", "external_reference_id", "payment_method"])
def test_a_patch_needs_none_of_them_and_cannot_empty_them(name: str) -> None:
    """Documented: a partial update takes any subset."""
    assert accepted(PATCH, call(PATCH, notes="x")) == {"id": "supplier-1", "notes": "x"}
    assert "cannot be emptied" in refused(PATCH, call(PATCH, clear=[name]))["clear[0]"]


def test_a_patch_that_changes_nothing_is_refused() -> None:
    """Ours: an empty change would be sent for nothing."""
    empties: list[Arguments] = [{}, {"notes": ""}, {"notes": None, "metadata": {}}, {"clear": []}]
    for nothing in empties:
        problem = refused(PATCH, call(PATCH, **nothing))[""]
        assert "nothing to change" in problem
        assert "null and an empty text count as not given, and `clear` empties a field" in problem


@pytest.mark.parametrize("code", [" HARBOR-01", "HARBOR-01  ", " HARBOR-01 "])
@every_write
def test_blanks_around_a_code_are_not_sent(tool: str, code: str) -> None:
    """Ours: they would make two suppliers of what is one; blanks within it stay."""
    assert accepted(tool, call(tool, external_reference_id=code))["external_reference_id"] == "HARBOR-01"
    assert accepted(tool, call(tool, external_reference_id="A  1"))["external_reference_id"] == "A  1"


def test_finexio_chooses_the_id_of_a_new_supplier() -> None:
    """Documented: `id` is read-only."""
    assert "no argument of this tool" in refused(CREATE, supplier(id="supplier-1"))["id"]


@pytest.mark.parametrize("tool", [REPLACE, PATCH, GET])
@pytest.mark.parametrize("key", ["", ".", "..", "a b", "a\n", "x" * 201, None, 7])
def test_an_id_is_one_that_fits_into_an_address(tool: str, key: Any) -> None:
    """Ours: whatever it reads like, it never climbs out of its path."""
    arguments = {"id": key} if tool == GET else {**call(tool, notes="x"), "id": key}

    assert list(refused(tool, arguments)) == ["id"]


@pytest.mark.parametrize("tool", [REPLACE, PATCH])
def test_contacts_are_changed_by_their_own_tools(tool: str) -> None:
    """Ours: contacts in an update would replace all that there are."""
    assert "no argument of this tool" in refused(tool, call(tool, contacts=[{"primary": True}]))["contacts"]


# Contacts of a new supplier ------------------------------------------------------


LONG_EMAIL = "a" * 35 + "@harbor.example"
"""Of fifty characters."""


def contact(**fields: Any) -> Arguments:
    return {"primary": False, **fields}


@pytest.mark.parametrize(
    "contacts",
    [
        [contact(primary=True)],
        [contact(primary=False)],
        [contact(primary=True, external_reference_id="HP-AR"), contact(external_reference_id="HP-CFO")],
        [contact(name="x" * 40, email=LONG_EMAIL, phone="7" * 17, external_reference_id="x" * 100)],
        [contact(payment_notification=True), contact(payment_notification=False)],
        [contact(name="Ann"), contact(name="Ann")],
        [contact()] * 50,
    ],
)
def test_contacts_may_come_with_a_new_supplier(contacts: list[Arguments]) -> None:
    """Documented: an array in the payload, with at most one of them primary."""
    assert accepted(CREATE, supplier(contacts=contacts))["contacts"] == contacts


@pytest.mark.parametrize(
    ("contacts", "field", "words"),
    [
        ([contact(primary=True), contact(primary=True)], "contacts", "Only one contact can be set as primary"),
        ([{"name": "Ann"}], "contacts[0].primary", "is required"),
        ([contact(), contact(primary="yes")], "contacts[1].primary", "true or false"),
        ([contact(name="x" * 41)], "contacts[0].name", "longer than 40"),
        ([contact(phone="7" * 18)], "contacts[0].phone", "longer than 17"),
        ([contact(email=f"a{LONG_EMAIL}")], "contacts[0].email", "longer than 50"),
        ([contact(email="ap@b.example,ar@b.example")], "contacts[0].email", "one address"),
        ([contact(external_reference_id="x" * 101)], "contacts[0].external_reference_id", "longer than 100"),
        ([contact(external_reference_id="..")], "contacts[0].external_reference_id", "no id or reference"),
        ([contact(external_reference_id="A")] * 2, "contacts[1].external_reference_id", "twice"),
        ([contact(payment_notification="no")], "contacts[0].payment_notification", "true or false"),
        ([contact(funding_notification=True)], "contacts[0].funding_notification", "no argument"),
        ([contact(id="contact-1")], "contacts[0].id", "no argument"),
        ([contact()] * 51, "contacts", "more than 50"),
        (["Ann"], "contacts[0]", "must be an object"),
        (contact(), "contacts", "must be an array"),
    ],
)
def test_contacts_of_a_new_supplier_keep_their_own_rules(contacts: Any, field: str, words: str) -> None:
    """Documented: the bounds of a contact; flags of buyers' contacts are none of suppliers'."""
    problems = refused(CREATE, supplier(contacts=contacts))

    assert list(problems) == [field]
    assert words in problems[field]


# Rules between fields ------------------------------------------------------------

CARD_OR_CHECK: list[tuple[str, str]] = [("Check", "Email"), ("Card", "Email"), ("Card", "Mail")]
MISSING: list[tuple[str, Arguments, str]] = [
    *((method, PAYABLE[method], name) for method in PAYABLE if method != "Card" for name in PAYABLE[method]),
    ("Card", {**PAYABLE["Card"], **EMAIL}, "delivery_method"),
    *((method, {**PAYABLE[method], "delivery_method": way, **EMAIL}, "remit_email") for method, way in CARD_OR_CHECK),
]
"""A payment method, all that it needs, and what is left out."""


@pytest.mark.parametrize(("method", "needs", "name"), MISSING)
@whole
def test_what_a_method_needs_is_asked_for(tool: str, method: str, needs: Arguments, name: str) -> None:
    """Documented: each need of each method; with it the supplier is taken, without it the problem says what to do."""
    complete = addressed(tool, **NAMED, payment_method=method, **needs)

    assert accepted(tool, complete) == complete
    problems = refused(tool, without(complete, name))

    assert list(problems) == [name]
    rule, _, way_out = problems[name].partition("; ")
    assert rule.startswith("is required when ")
    assert f"payment_method is {method}" in rule
    assert way_out


@pytest.mark.parametrize("name", BANK)
@pytest.mark.parametrize("method", ["ACH", "Wire", "FinexioExpress"])
def test_a_replace_without_bank_numbers_points_to_the_partial_update(method: str, name: str) -> None:
    """Ours: masked numbers cannot be repeated, so whoever means to keep them needs the other tool."""
    problems = refused(REPLACE, without(addressed(REPLACE, **supplier(method)), name))

    assert PATCH in problems[name]
    assert PATCH not in refused(CREATE, without(supplier(method), name))[name]


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("Check", {"remit_country": "USA"}),
        ("Check", {"remit_country": "CAN", "remit_state": "ON"}),
        ("Check", {"delivery_method": "Portal"}),
        ("Check", {"delivery_method": "Phone"}),
        ("Check", {"delivery_method": "Email", **EMAIL}),
        ("Card", {"delivery_method": "Phone"}),
        ("Card", {"delivery_method": "Email", **EMAIL}),
        ("Card", {"delivery_method": "Mail", **EMAIL}),
        ("ACH", {"delivery_method": "Email"}),
        ("Wire", {"delivery_method": "Mail"}),
        ("FinexioExpress", {"delivery_method": "Email"}),
        ("ACH", {"notification_method": "Email"}),
        ("Card", BANK),
        ("Check", BANK),
    ],
)
@whole
def test_what_no_rule_asks_for_is_not_asked_for(tool: str, method: str, fields: Arguments) -> None:
    """Documented: remit_email belongs to Card and Check by Email; Finexio has USA where no country is given."""
    arguments = addressed(tool, **supplier(method, **fields))

    assert accepted(tool, arguments) == arguments


@whole
def test_all_that_is_missing_is_named_at_once(tool: str) -> None:
    """Ours: one call tells the whole of it."""
    needed = {"Check": {*ADDRESS, "delivery_method"}, "FinexioExpress": {*BANK, "delivery_method"}}
    for method, fields in needed.items():
        assert set(refused(tool, addressed(tool, **NAMED, payment_method=method))) == fields


@whole
def test_a_card_that_goes_nowhere_is_told_of_both_ways(tool: str) -> None:
    """Ours: a delivery_method is missing, and without Portal or Phone an e-mail address as well."""
    problems = refused(tool, addressed(tool, **NAMED, payment_method="Card"))

    assert set(problems) == {"delivery_method", "remit_email"}
    assert "unless delivery_method is Portal or Phone" in problems["remit_email"]


@pytest.mark.parametrize("empty", [None, ""])
def test_a_need_that_is_given_empty_is_not_met(empty: Any) -> None:
    """Ours: null and "" are as good as left out, and the country falls back to USA then."""
    for name in ADDRESS:
        assert list(refused(CREATE, supplier("Check", **{name: empty}))) == [name]
    assert "remit_country" not in accepted(CREATE, supplier("Check", remit_country=empty))


@pytest.mark.parametrize("name", ["remit_address_1", "remit_city", "remit_zipcode"])
def test_blanks_are_no_address(name: str) -> None:
    """Ours: Finexio may take them, and would mail a check to nowhere."""
    assert list(refused(CREATE, supplier("Check", **{name: "  "}))) == [name]
    assert FINEXIO.create(supplier("Check", **{name: "  "})) is None


# Clear ---------------------------------------------------------------------------

CLEARABLE = [
    "care_of",
    *ADDRESS,
    "remit_address_2",
    "remit_email",
    *BANK,
    *(f"corporate_{name}" for name in ("address_1", "address_2", "city", "state", "zipcode", "phone_number")),
    "tax_id",
    "notes",
]
FIXED = [
    "payment_method",
    "delivery_method",
    "notification_method",
    "payee_type",
    "remit_country",
    "corporate_country",
    *NUMBERS,
    *FLAGS,
    "enabled",
    "metadata",
    "id",
    "contacts",
    *READ_ONLY,
    "",
    "Notes",
]


@pytest.mark.parametrize("name", CLEARABLE)
def test_a_text_can_be_emptied(name: str) -> None:
    """Ours: it travels as "", since Finexio's description has no null."""
    assert accepted(PATCH, call(PATCH, clear=[name])) == {"id": "supplier-1", name: ""}


@pytest.mark.parametrize("name", FIXED)
def test_what_is_no_text_cannot_be_emptied(name: str) -> None:
    """Ours: the answer lists what can be."""
    problem = refused(PATCH, call(PATCH, clear=[name]))["clear[0]"]

    assert problem.startswith("cannot be emptied")
    assert all(other in problem for other in CLEARABLE)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"clear": ["notes"], "notes": "x"}, "clear[0]", "do one of the two"),
        ({"clear": ["notes"] * 21}, "clear", "more than 20"),
        ({"clear": "notes"}, "clear", "must be an array"),
    ],
)
def test_emptying_has_its_own_rules(fields: Arguments, field: str, words: str) -> None:
    """Ours: a call that says two things about one field is not guessed at."""
    assert words in refused(PATCH, call(PATCH, **fields))[field]


# Filters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("external_reference_id", "HARBOR-01"),
        ("external_reference_id", "x" * 200),
        ("updated_after", "2026-01-31"),
        ("updated_after", "2026-01-31T08:00:00.123456"),
        ("updated_after", "2026-01-31T08:00:00-05:00"),
        ("enabled", True),
        ("enabled", False),
        ("cbm_optout_date_start", "2026-01-31"),
        ("cbm_optout_date_end", "2026-01-31T23:59:59"),
    ],
)
def test_every_documented_filter_is_taken(name: str, value: Any) -> None:
    """Documented: five filters, besides the page."""
    assert accepted(LIST, {name: value}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("external_reference_id", "x" * 201, "longer than 200"),
        ("updated_after", "yesterday", "no date or time"),
        ("updated_after", "2026-02-30", "no date or time"),
        ("cbm_optout_date_start", "01/31/2026", "no date or time"),
        ("cbm_optout_date_end", 20260131, "must be text"),
        ("enabled", "false", "true or false"),
        ("page", 2, "no argument"),
        ("name", "Harbor", "no argument"),
        ("payment_method", "Card", "no argument"),
        ("limit", 101, "at most 100"),
        ("limit", 0, "at least 1"),
    ],
)
def test_a_filter_that_finexio_would_ignore_is_refused(name: str, value: Any, words: str) -> None:
    """Documented: unknown keys are dropped, so a list would silently be longer than what was asked for."""
    assert words in refused(LIST, {name: value})[name]


# The same supplier at a pretend Finexio ------------------------------------------


class Finexio:
    """A pretend Finexio that is asked directly, so that hundreds of suppliers cost no time."""

    HEADERS: Mapping[str, str] = {"authorization": "Basic " + base64.b64encode(b"demo:demo").decode()}

    def __init__(self) -> None:
        self.sim = Simulator(seed=1, populated=False)

    def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        """The status, and what the answer holds."""
        content = b"" if body is None else json.dumps(body).encode()
        request = Received(method, f"/v2/counterparties/suppliers{path}", headers=self.HEADERS, body=content)
        answer = self.sim.receive(request).answer
        assert answer is not None
        return answer.status, json.loads(answer.body)

    def create(self, arguments: Arguments) -> dict[str, Any] | None:
        """Nothing if it was taken, else what was said about which field."""
        self.sim.suppliers.clear()
        return self._refusal("POST", "", arguments)

    def replace(self, stored: Arguments, arguments: Arguments) -> dict[str, Any] | None:
        self.keep(stored)
        return self._refusal("PUT", "/supplier-1/", arguments)

    def patch(self, stored: Arguments, arguments: Arguments) -> dict[str, Any] | None:
        self.keep(stored)
        return self._refusal("PATCH", "/supplier-1/", arguments)

    def keep(self, stored: Arguments) -> Any:
        """Have this supplier alone, and show it."""
        self.sim.suppliers.clear()
        self.sim.add_supplier("supplier-1", **stored)
        return self.ask("GET", "/supplier-1/")[1]

    def _refusal(self, method: str, path: str, arguments: Arguments) -> dict[str, Any] | None:
        status, answer = self.ask(method, path, without(arguments, "id"))
        assert status in {200, 400}, answer
        self.sim.journal.clear()
        self.sim.history.clear()
        return answer if status == 400 else None


FINEXIO = Finexio()


def judged(tool: str, arguments: Arguments) -> Checked | set[str]:
    """What we make of arguments: as they would be sent, or the fields that are refused."""
    try:
        return check(BY_NAME[tool], arguments)
    except InvalidArguments as error:
        return {problem.field for problem in error.problems}


def judged_beside(stored: Any, arguments: Arguments) -> Arguments | set[str]:
    """The same of a partial update, beside the record that Finexio shows."""
    checked = judged(PATCH, arguments)
    before = BY_NAME[PATCH].before
    if isinstance(checked, set) or before is None:
        return {"the arguments alone"}
    try:
        return before.resolve([stored], checked.wire)
    except InvalidArguments as error:
        return {problem.field for problem in error.problems}


@pytest.mark.parametrize(("name", "value"), GOOD, ids=_shown)
def test_finexio_takes_what_we_take(name: str, value: Any) -> None:
    """Documented: the pretend Finexio is written from the contract, not from these declarations."""
    assert FINEXIO.create(accepted(CREATE, call(CREATE, **{name: value}))) is None


OURS_ALONE: list[tuple[str, Any]] = [
    ("bank_routing_number", "021000022"),
    ("bank_routing_number", "02100002"),
    ("bank_routing_number", "*****0021"),
    ("bank_account_number", "6789"),
    ("tax_id", "*****6789"),
    ("tax_id", "6789"),
    ("enabled", False),
    ("external_reference_id", "HARBOR\n01"),
    ("remit_email", "a" * 1000 + "@harbor.example"),
    ("category", "x" * 101),
    ("twelve_month_spend", -1),
    ("twelve_month_payment_count", -1),
    ("metadata", {"": "v"}),
    ("payment_terms", "30"),
    ("ineligible_for_cbm", "true"),
    ("notes", 7),
    ("name", "   "),
    ("processing_fee", 0.5),
    ("remit_adress_1", "18 Quay St"),
]


@pytest.mark.parametrize(("name", "value"), OURS_ALONE, ids=_shown)
def test_where_we_are_stricter_than_finexio_it_is_on_purpose(name: str, value: Any) -> None:
    """Ours: check digits, masked ends, characters, kinds of values, and what Finexio drops without a word."""
    assert refused(CREATE, supplier(**{name: value}))
    assert FINEXIO.create(supplier(**{name: value})) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "7" * (length + 1)) for name, length in LENGTHS.items()),
        *((name, "Pigeon") for name in CHOICES),
        *((name, value) for name, value, _ in BAD if name in {"remit_state", "payment_terms"} and value != "30"),
        ("external_reference_id", "HARBOR[1]"),
        ("external_reference_id", ""),
        ("bank_account_number", "0001-234-567"),
        ("remit_email", "ap"),
        ("remit_email", "ap@harbor.example,"),
        ("metadata", {"k" * 26: "v"}),
        ("metadata", {"_erp": "v"}),
        ("metadata", {"erp": "v" * 101}),
        ("contacts", [contact(primary=True), contact(primary=True)]),
        ("contacts", [{"name": "Ann"}]),
        ("contacts", [contact(external_reference_id="A"), contact(external_reference_id="A")]),
    ],
    ids=_shown,
)
def test_finexio_refuses_what_we_refuse(name: str, value: Any) -> None:
    """Documented: no rule of ours keeps out what Finexio would take, but for those named above."""
    assert refused(CREATE, supplier(**{name: value}))
    assert FINEXIO.create(supplier(**{name: value})) is not None


TEXTS = {**ADDRESS, **BANK, **EMAIL}
DELIVERIES = st.sampled_from(CHOICES["delivery_method"])
METHODS = st.sampled_from(CHOICES["payment_method"])
Values = Mapping[str, st.SearchStrategy[Any]]


def fields(*, always: Values | None = None, maybe: Values | None = None) -> st.SearchStrategy[Arguments]:
    return st.fixed_dictionaries(dict(always or {}), optional=dict(maybe or {}))


@st.composite
def wholes(draw: st.DrawFn) -> Arguments:
    """A new supplier with any of what a rule between fields looks at, often with nearly all of it."""
    complete = {**TEXTS, "delivery_method": draw(DELIVERIES)}
    some: Values = {**{name: st.just(value) for name, value in complete.items()}, "notes": st.just("x")}
    few = draw(st.sets(st.sampled_from(sorted(complete)), max_size=2))
    extras = draw(
        fields(maybe={"remit_country": st.sampled_from(COUNTRIES), "remit_email": st.just("a@b.example,c@d.example")})
    )
    given_ = draw(fields(maybe=some)) if draw(st.booleans()) else without(complete, *few)
    if "remit_email" not in given_:
        extras.pop("remit_email", None)
    return {**NAMED, "payment_method": draw(METHODS), **given_, **extras}


contact_lists = st.lists(
    fields(
        always={"primary": st.booleans()},
        maybe={"external_reference_id": st.sampled_from(["A", "B"]), "name": st.just("Ann")},
    ),
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(wholes(), st.one_of(st.none(), contact_lists))
def test_a_new_supplier_is_taken_exactly_when_finexio_takes_it(
    arguments: Arguments, contacts: list[Arguments] | None
) -> None:
    """Documented: every rule between fields, in whatever combination they meet."""
    sent = arguments if contacts is None else {**arguments, "contacts": contacts}
    ours, theirs = judged(CREATE, sent), FINEXIO.create(sent)

    assert isinstance(ours, Checked) is (theirs is None), (ours, theirs)
    if isinstance(ours, Checked):
        assert ours.wire == without(sent, *([] if contacts else ["contacts"]))
    elif theirs is not None and theirs.keys().isdisjoint({"contacts", "non_field_errors"}):
        assert_named_alike(ours, theirs)


def assert_named_alike(ours: set[str], theirs: Mapping[str, Any]) -> None:
    """Each field that Finexio names is named. What else a card needs, we say before its delivery_method is known."""
    assert theirs.keys() <= ours
    assert ours - theirs.keys() <= ({"remit_email"} if "delivery_method" in theirs else set())


anything_stored = fields(
    always={
        "payment_method": METHODS,
        "delivery_method": st.sampled_from([None, "", *CHOICES["delivery_method"]]),
        "remit_country": st.sampled_from(["USA", "CAN", ""]),
        **{name: st.sampled_from(["", value, value]) for name, value in {**ADDRESS, **EMAIL}.items()},
        **{name: st.sampled_from([None, "", value, value]) for name, value in BANK.items()},
    }
)
"""A record as Finexio may have it, those included that it would not let in today."""


@settings(max_examples=200, deadline=None)
@given(anything_stored, wholes())
def test_a_replacement_is_taken_exactly_when_finexio_takes_it(stored: Arguments, arguments: Arguments) -> None:
    """Documented: a full replace keeps nothing, so the stored record has no say."""
    ours, theirs = judged(REPLACE, {"id": "supplier-1", **arguments}), FINEXIO.replace(stored, arguments)

    assert isinstance(ours, Checked) is (theirs is None), (ours, theirs)
    if not isinstance(ours, Checked) and theirs is not None:
        assert_named_alike(ours, theirs)


@st.composite
def patches(draw: st.DrawFn) -> Arguments:
    """A change of a few fields, of which some are emptied: all that is not said comes from the record."""
    values: Values = {
        "payment_method": METHODS,
        "delivery_method": DELIVERIES,
        "remit_country": st.sampled_from(COUNTRIES),
        "notes": st.just("x"),
        **{name: st.just(value) for name, value in TEXTS.items()},
    }
    named = draw(st.lists(st.sampled_from(sorted(values)), unique=True, min_size=1, max_size=5))
    emptied = [name for name in named if name in TEXTS and draw(st.booleans())]
    changed = {name: draw(values[name]) for name in named if name not in emptied}
    return {**changed, **({"clear": emptied} if emptied else {})}


@settings(max_examples=600, deadline=None)
@given(anything_stored, patches())
def test_a_patch_is_refused_before_it_is_sent_exactly_when_finexio_would_refuse_it(
    stored: Arguments, patch: Arguments
) -> None:
    """Ours: the record that Finexio shows beforehand is enough to know, whatever state it is in."""
    shown = FINEXIO.keep(stored)
    ours = judged_beside(shown, {"id": "supplier-1", **patch})
    sent = {**without(patch, "clear"), **dict.fromkeys(patch.get("clear", ()), "")}
    theirs = FINEXIO.patch(stored, sent)

    assert isinstance(ours, dict) is (theirs is None), (ours, theirs)
    if isinstance(ours, dict):
        assert ours == {"id": "supplier-1", **sent}
    elif theirs is not None:
        assert_named_alike(ours, theirs)


@pytest.mark.parametrize("method", PAYABLE)
@pytest.mark.parametrize("taken", [True, False])
def test_the_suppliers_that_are_tried_are_of_both_kinds(method: str, taken: bool) -> None:
    """Ours: a rule that is never met, or never broken, would prove nothing."""

    def is_one(arguments: Arguments) -> bool:
        return arguments["payment_method"] == method and isinstance(judged(CREATE, arguments), Checked) is taken

    assert find(wholes(), is_one)


# A change beside the record that it changes --------------------------------------


@pytest.mark.parametrize(
    ("stored", "patch", "fields"),
    [
        # A change of method needs all that the new one does.
        ({"payment_method": "Card"}, {"payment_method": "ACH"}, [*BANK]),
        ({"payment_method": "Card"}, {"payment_method": "ACH", **BANK}, []),
        ({"payment_method": "Card", **BANK}, {"payment_method": "Wire"}, []),
        ({"payment_method": "ACH"}, {"payment_method": "Check", "delivery_method": "Mail"}, []),
        (
            {"payment_method": "ACH", "remit_city": "", "remit_zipcode": ""},
            {"payment_method": "Check", "delivery_method": "Mail"},
            ["remit_city", "remit_zipcode"],
        ),
        ({"payment_method": "ACH"}, {"payment_method": "Check"}, ["delivery_method"]),
        ({"payment_method": "ACH", "remit_email": ""}, {"payment_method": "Card", "delivery_method": "Portal"}, []),
        (
            {"payment_method": "ACH", "remit_email": ""},
            {"payment_method": "Card", "delivery_method": "Email"},
            ["remit_email"],
        ),
        (
            {"payment_method": "ACH", "remit_email": ""},
            {"payment_method": "Card", "delivery_method": "Mail", **EMAIL},
            [],
        ),
        # A change of delivery needs an address.
        ({"payment_method": "Check", "remit_email": ""}, {"delivery_method": "Email"}, ["remit_email"]),
        ({"payment_method": "Check"}, {"delivery_method": "Email"}, []),
        # What is needed cannot be emptied.
        ({"payment_method": "Check"}, {"clear": ["remit_zipcode"]}, ["remit_zipcode"]),
        ({"payment_method": "ACH"}, {"clear": ["bank_account_number"]}, ["bank_account_number"]),
        ({"payment_method": "Card", "delivery_method": "Email"}, {"clear": ["remit_email"]}, ["remit_email"]),
        ({"payment_method": "Card", "delivery_method": None}, {"clear": ["remit_email"]}, ["remit_email"]),
        ({"payment_method": "Card", "delivery_method": "Portal"}, {"clear": ["remit_email"]}, []),
        ({"payment_method": "ACH"}, {"clear": ["remit_zipcode", "remit_email"]}, []),
        # A record that is broken already can be mended bit by bit, and otherwise changed.
        ({"payment_method": "Check", "remit_city": "", "remit_zipcode": ""}, {"remit_city": "Mobile"}, []),
        ({"payment_method": "ACH", "bank_account_number": None, "bank_routing_number": None}, BANK, []),
        (
            {"payment_method": "ACH", "bank_account_number": None, "bank_routing_number": None},
            {"bank_account_number": "000123456789"},
            [],
        ),
        (
            {"payment_method": "Check", "remit_city": "", "delivery_method": None},
            {"notes": "x", "tax_id": "00-1234567"},
            [],
        ),
    ],
)
def test_a_patch_is_judged_beside_the_stored_record(stored: Arguments, patch: Arguments, fields: list[str]) -> None:
    """Ours: it is refused for what it brings about, not for what was so before."""
    judgement = judged_beside(FINEXIO.keep(stored), call(PATCH, **patch))

    if fields:
        assert judgement == set(fields)
    else:
        assert isinstance(judgement, dict)
