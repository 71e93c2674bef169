"""The description says what the contract says, and the validator sees what departs from it."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast
from urllib.parse import quote

import pytest
from openapi_core import OpenAPI

from tests.contract import samples
from tests.contract.bodies import (
    BODIES,
    BUYER_BOUNDS,
    BUYER_CASES,
    INVOICE,
    READY_BUYER,
    READY_SUPPLIER,
    SUPPLIER_BOUNDS,
    SUPPLIER_CASES,
)
from tests.contract.samples import FULL, MINIMAL, TOOLS, Arguments
from tests.contract.validator import METHODS, Violations, check, check_answer, description, operation_id, routes

HEADERS = {"Authorization": "Basic ZGVtbzpkZW1v", "Content-Type": "application/json"}

# Every operation of the contract, typed out a second time so that a slip in the description shows.
OPERATIONS = [
    "GET /counterparties/",
    "POST /counterparties/",
    "GET /counterparties/{id}/",
    "PUT /counterparties/{id}/",
    "PATCH /counterparties/{id}/",
    "GET /counterparties/history",
    "GET /counterparties/suppliers",
    "POST /counterparties/suppliers",
    "GET /counterparties/suppliers/{id}/",
    "PUT /counterparties/suppliers/{id}/",
    "PATCH /counterparties/suppliers/{id}/",
    "GET /counterparties/suppliers/{id}/contacts",
    "POST /counterparties/suppliers/{id}/contacts",
    "PUT /counterparties/suppliers/{id}/contacts/{external_reference_id}",
    "DELETE /counterparties/suppliers/{id}/contacts/{external_reference_id}",
    "GET /counterparties/buyers",
    "POST /counterparties/buyers",
    "GET /counterparties/buyers/{id}/",
    "PUT /counterparties/buyers/{id}/",
    "PATCH /counterparties/buyers/{id}/",
    "GET /counterparties/buyers/{id}/contacts",
    "POST /counterparties/buyers/{id}/contacts",
    "PUT /counterparties/buyers/{id}/contacts/{external_reference_id}",
    "DELETE /counterparties/buyers/{id}/contacts/{external_reference_id}",
    "GET /invoices/",
    "GET /invoices/{key}/",
    "POST /invoices/batch/",
    "GET /payments/",
    "GET /payments/{key}/",
    "GET /payments/{key}/images",
    "GET /webhooks/",
    "POST /webhooks/",
    "GET /webhooks/{uuid}/",
    "PUT /webhooks/{uuid}/",
    "PATCH /webhooks/{uuid}/",
    "DELETE /webhooks/{uuid}/",
    "GET /reconciliation/drawdown",
    "GET /reconciliation/drawdown/{processor_request_id}",
    "GET /reconciliation/drawdown/{processor_request_id}/payments",
]

CONTACTS = "/v2/counterparties/suppliers/s-1/contacts"
BATCH = "/v2/invoices/batch/"

REQUIRED: Mapping[str, set[str]] = {
    "createCounterparty": {"name", "type", "internal_id"},
    "replaceCounterparty": {"name", "type", "internal_id"},
    "createSupplier": {"name", "external_reference_id", "payment_method"},
    "replaceSupplier": {"external_reference_id"},
    "createSupplierContacts": {"primary"},
    "replaceSupplierContact": {"primary"},
    "createBuyer": {
        "name",
        "external_reference_id",
        "tax_id",
        "funding_method",
        "address_1",
        "city",
        "state",
        "zipcode",
        "country",
    },
    "replaceBuyer": {"external_reference_id"},
    "createBuyerContacts": {"primary"},
    "replaceBuyerContact": {"primary"},
    "createInvoices": {
        "amount_cents",
        "currency",
        "invoice_date",
        "invoice_number",
        "originating_counterparty_id",
        "receiving_counterparty_id",
    },
    "createWebhook": {"event", "url", "username", "password"},
    "replaceWebhook": {"event", "url", "username", "password"},
}

# What section and table say a value may not be: operation, field, values refused, values taken.
BOUNDS: list[tuple[str, str, list[Any], list[Any]]] = [
    ("createInvoices", "amount_cents", [0, -1, 999_999_901, "100", 100.0, 1e2, True, None], [1, 999_999_900]),
    ("createInvoices", "discount_amount_cents", [-1, 999_999_901, 0.5], [0, 999_999_900]),
    ("createInvoices", "currency", ["EUR", "usd", ""], ["USD"]),
    ("createInvoices", "invoice_date", ["2026-02-30", "2026-1-2", "2026-01-02T00:00:00", "", 20260102], ["2026-01-02"]),
    ("createInvoices", "invoice_due_date", ["soon", None], ["2024-02-29"]),
    ("createInvoices", "invoice_number", ["", "A[1]", "A_1", "A\n", "é", "9" * 50], ["9" * 49, "/.-?:(),' +a"]),
    ("createInvoices", "originating_counterparty_id", ["buyer", "", samples.BUYER_ID[:-1]], [samples.SUPPLIER_ID]),
    ("createInvoices", "note", ["n" * 1001], ["n" * 1000]),
    ("createInvoices", "metadata", [[{"name": "a", "value": "b"}], {"a": None}, {"a": 1.5}], [{"a": "b", "c": 1}, {}]),
    ("createInvoices", "line_items", [{"description": "x"}, [{"text": "x"}], ["x"]], [[{"description": "x"}], []]),
    ("createInvoices", "reconciliation_id", ["r" * 51], ["r" * 50]),
    ("createInvoices", "account_number", ["a" * 251], ["a" * 250]),
    ("createInvoices", "payment_group_id", ["g" * 101], ["g" * 100]),
    ("createInvoices", "accounting_id", ["a" * 71], ["a" * 70]),
    ("createCounterparty", "type", ["Buyer", "supplier"], ["Supplier"]),
    ("replaceCounterparty", "type", ["buyer", ""], ["Buyer"]),
    ("createCounterparty", "name", ["", "n" * 101], ["n" * 100]),
    ("createCounterparty", "internal_id", ["", "i" * 101, 7], ["i" * 100]),
    ("createCounterparty", "address_1", ["a" * 41], ["a" * 40]),
    ("createCounterparty", "state", ["Alabama", "al", "XX"], ["ON", "AE"]),
    ("createCounterparty", "zipcode", ["1" * 11, 36602], ["1" * 10]),
    ("createCounterparty", "country", ["US", "MEX"], ["CAN", "UMI"]),
    ("createCounterparty", "primary_contact_email", ["x", "a@b", f"{'a' * 45}@b.example"], ["", "a@b.example"]),
    ("createCounterparty", "primary_contact_phone", ["1" * 17], ["407-555-1212"]),
    ("createCounterparty", "payment_method", ["Check", "ach", ""], ["Wire"]),
    ("createCounterparty", "bank_account_number", ["1" * 18, 123], ["1" * 17]),
    ("createCounterparty", "bank_routing_number", ["1" * 10], ["1" * 9]),
    ("createCounterparty", "payment_terms", [-1, 366, "30", 30.0], [0, 365]),
    ("createCounterparty", "tax_id", ["1" * 12], ["1" * 11]),
    ("createCounterparty", "ineligible_for_conversion", ["true", 1, None], [False]),
    ("createCounterparty", "business_type", ["Company"], ["InternalTransfer", "Unknown"]),
    ("createCounterparty", "notes", ["n" * 1001], ["n" * 1000]),
    # Stricter here than at the vendor, which would take them: its own switch, and a method that it hides.
    ("createSupplier", "enabled", [False, "true", None], [True]),
    ("createBuyer", "funding_method", ["ach_same_day_debit", "ACH"], ["wire"]),
    # What the vendor's framework would turn into text or a number: a caller has no business sending it.
    ("createSupplier", "remit_zipcode", [36602, None], ["36602"]),
    ("createSupplier", "bank_account_number", [6789, None], ["6789"]),
    ("createSupplier", "payment_terms", ["30", 30.0, None], [30]),
    ("createSupplier", "delivery_method", ["Pigeon", 1], ["Mail", None]),
    ("createSupplier", "internal_payments", ["true", 1, None], [True]),
    ("createSupplier", "processing_fee", [0.5], []),
    ("createSupplier", "id", ["s-1"], []),
    ("createSupplier", "remit_data", ["x"], []),
    ("createBuyer", "ready_for_use", [True], []),
    ("createBuyer", "reason_not_usable", [""], []),
    ("replaceSupplierContact", "email", ["rae"], ["", "rae@harborpaper.example"]),
    ("replaceSupplierContact", "phone", ["1" * 18], ["1" * 17]),
    ("replaceSupplierContact", "name", ["n" * 41], ["n" * 40]),
    ("replaceSupplierContact", "external_reference_id", ["r" * 101], ["r" * 100]),
    ("replaceSupplierContact", "primary", ["true", None], [True]),
    ("createWebhook", "event", ["payment.change", "payment.*"], ["payment.changed"]),
    ("createWebhook", "url", ["hooks.acme.example", "ftp://acme.example", "https://", ""], ["http://127.0.0.1:8080/x"]),
    ("createWebhook", "password", [""], ["p"]),
    ("createWebhook", "content_type", ["text/plain"], ["application/x-www-form-urlencoded"]),
    ("createWebhook", "payment_events", ["true", 1], [False]),
]

CONDITIONS: list[tuple[str, Arguments, set[str]]] = [
    ("createCounterparty", {"payment_method": "PrintedCheck"}, {"address_1", "city", "state", "zipcode"}),
    ("createCounterparty", {"payment_method": "Card"}, {"remit_email"}),
    ("createCounterparty", {"payment_method": "ACH"}, {"remit_email", "bank_account_number", "bank_routing_number"}),
    ("replaceCounterparty", {"payment_method": "Wire"}, {"bank_account_number", "bank_routing_number"}),
]

BAD_PATHS = [
    ("GET", "/v2/invoices", "slash"),
    ("POST", "/v2/invoices/batch", "slash"),
    ("GET", "/v2/counterparties", "slash"),
    ("GET", "/v2/counterparties/suppliers/", "slash"),
    ("POST", "/v2/counterparties/suppliers/", "slash"),
    ("GET", "/v2/counterparties/history/", "slash"),
    ("GET", "/v2/counterparties/suppliers/s-1", "slash"),
    ("GET", f"{CONTACTS}/", "slash"),
    ("DELETE", f"{CONTACTS}/HP-AR/", "slash"),
    ("GET", "/v2/payments/p-1", "slash"),
    ("GET", "/v2/payments/p-1/images/", "slash"),
    ("DELETE", "/v2/webhooks/w-1", "slash"),
    ("GET", "/v2/reconciliation/drawdown/?status=error", "not described"),
    ("GET", "/v2/reconciliation/drawdown/", "slash"),
    ("GET", "/v2/reconciliation/drawdown/DJ1/", "slash"),
    ("GET", "/v2/reconciliation/drawdown/DJ1/payments/", "slash"),
    ("GET", "/v1/invoices/", "/v2"),
    ("GET", "/invoices/", "/v2"),
    ("POST", "/webhooks/", "/v2"),
    ("GET", "/webhooks", "/v2"),
    ("GET", "/v2/refunds/", "not described"),
    ("GET", "/v2/payments//", "slash"),
    ("GET", "/v2/payments/./", "path key"),
    ("GET", "/v2/payments/../", "path key"),
    ("GET", "/v2/payments/%2E%2e/", "path key"),
    ("GET", "/v2/payments/a%0Ab/", "path key"),
    ("GET", "/v2/payments/a b/", "not described"),
    ("GET", "/v2/payments/é/", "not described"),
    ("GET", "/v2/payments/a%2/", "not described"),
    ("DELETE", "/v2/payments/p-1/", "method"),
    ("DELETE", "/v2/counterparties/c-1/", "method"),
    ("GET", "/v2/invoices/batch/", "method"),
    ("GET", f"{CONTACTS}/HP-AR", "method"),
    ("PATCH", f"{CONTACTS}/HP-AR", "method"),
    ("TRACE", "/v2/invoices/", "method"),
    ("PARAMETERS", "/v2/invoices/i-1/", "method"),
]

BAD_QUERIES: list[tuple[str, list[tuple[str, str]], str]] = [
    ("/v2/invoices/", [("page", "0")], "page"),
    ("/v2/invoices/", [("page", "1_0")], "page"),
    ("/v2/invoices/", [("page", "")], "page"),
    ("/v2/invoices/", [("page", "1"), ("page", "2")], "page"),
    ("/v2/invoices/", [("limit", "10")], "limit"),
    ("/v2/invoices/", [("fields", "id")], "fields"),
    ("/v2/invoices/", [("invoice_number", "HP-1")], "invoice_number"),
    ("/v2/invoices/i-1/", [("page", "1")], "page"),
    ("/v2/counterparties/", [("type", "supplier")], "type"),
    ("/v2/counterparties/", [("Type", "Supplier")], "Type"),
    ("/v2/counterparties/", [("name", "")], "name"),
    ("/v2/counterparties/", [("updated_after", "yesterday")], "updated_after"),
    ("/v2/counterparties/history", [("id", "c-1")], "id"),
    (CONTACTS, [("page", "1")], "page"),
    ("/v2/payments/", [("refunded", "True")], "refunded"),
    ("/v2/payments/", [("status", "canceled")], "status"),
    ("/v2/payments/", [("created_start", "2026-13-01")], "created_start"),
    ("/v2/payments/", [("updated_end", "2026-11-20T09:00:00 02:00")], "updated_end"),
    ("/v2/payments/p-1/images", [("checkImageType", "issued")], "checkImageType"),
    ("/v2/reconciliation/drawdown", [], "at least one"),
    ("/v2/reconciliation/drawdown", [("amount_cents_start", "10.00")], "amount_cents_start"),
    ("/v2/reconciliation/drawdown", [("rc", "RC00")], "rc"),
    ("/v2/reconciliation/drawdown", [("status", "Open")], "status"),
    ("/v2/webhooks/", [("next_cursor", "abc")], "next_cursor"),
]


def send(method: str, path: str, body: Any = None, query: list[tuple[str, str]] | None = None) -> Violations:
    content = b"" if body is None else json.dumps(body).encode()
    return check(method, path, query or [], HEADERS, content)


def described_operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for route in routes():
        for method in METHODS:
            if method in route.item:
                yield method.upper(), route.template, route.item[method]


def address(operation: str) -> tuple[str, str]:
    """Method and a path of an operation, its variables filled."""
    method, template = next((m, path) for m, path, item in described_operations() if item["operationId"] == operation)
    return method, f"/v2{template.replace('{', '').replace('}', '-1')}"


def row_of(body: Any) -> Arguments:
    """The fields of a body that is one object, or an array of one."""
    return cast("Arguments", body[0] if isinstance(body, list) else body)


def with_fields(operation: str, **changes: Any) -> Any:
    body = deepcopy(BODIES[operation])
    row_of(body).update(changes)
    return body


def without(operation: str, field: str) -> Any:
    body = deepcopy(BODIES[operation])
    row_of(body).pop(field, None)
    return body


def test_the_description_is_a_valid_openapi_document() -> None:
    """Ours: a slip in the description must not pass for permission."""
    assert OpenAPI.from_dict(description()).version.keyword == "openapi"


def test_the_description_holds_exactly_the_operations_of_the_contract() -> None:
    """Documented: 39 operations, trailing slashes as the vendor has them."""
    assert len(OPERATIONS) == 39
    assert {f"{method} {path}" for method, path, _ in described_operations()} == set(OPERATIONS)
    assert {item["operationId"] for _, _, item in described_operations() if "requestBody" in item} == set(BODIES)


def test_every_value_of_an_enum_is_the_text_it_looks_like() -> None:
    """Ours: in YAML a bare `ON` or `NO` is no province and no word, but a truth value."""
    states = description()["components"]["schemas"]["CounterpartyWrite"]["properties"]["state"]["enum"]

    assert len(set(states)) == 72
    assert all(isinstance(state, str) and len(state) == 2 for state in states)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_path_means_the_operation_it_was_written_for(operation: str) -> None:
    """Ours: `/invoices/batch/` is no invoice and `/counterparties/suppliers` no counterparty."""
    method, path = operation.split(" ")
    named = next(item for m, p, item in described_operations() if (m, p) == (method, path))

    assert operation_id(method, f"/v2{path.replace('{', '').replace('}', '-1')}") == named["operationId"]


@pytest.mark.parametrize("operation", BODIES)
def test_a_good_body_passes_and_a_stray_key_in_it_does_not(operation: str) -> None:
    """Documented: unknown keys vanish without an error at the vendor, so one must never leave."""
    assert send(*address(operation), BODIES[operation]) == []
    assert "stray" in "".join(send(*address(operation), with_fields(operation, stray=1)))


@pytest.mark.parametrize("operation", BODIES)
def test_a_body_may_not_be_missing_empty_or_of_the_other_shape(operation: str) -> None:
    """Documented: contacts and invoices are bare arrays, everything else is one object."""
    body = BODIES[operation]

    assert send(*address(operation))
    assert send(*address(operation), [] if isinstance(body, list) else {})
    assert send(*address(operation), body[0] if isinstance(body, list) else [body])


@pytest.mark.parametrize(("operation", "field"), [(name, field) for name, all_ in REQUIRED.items() for field in all_])
def test_a_body_without_a_required_field_is_refused(operation: str, field: str) -> None:
    """Documented: the fields each write cannot do without."""
    assert f"'{field}' is a required property" in "".join(send(*address(operation), without(operation, field)))


@pytest.mark.parametrize(("operation", "field", "refused", "taken"), BOUNDS, ids=lambda value: str(value)[:24])
def test_a_value_outside_its_bounds_is_refused(
    operation: str, field: str, refused: list[Any], taken: list[Any]
) -> None:
    """Documented: lengths, ranges, enums and formats of what is sent."""
    verdicts = {
        json.dumps(value): send(*address(operation), with_fields(operation, **{field: value})) for value in taken
    }
    assert not any(verdicts.values()), verdicts

    for value in refused:
        violations = send(*address(operation), with_fields(operation, **{field: value}))
        assert any(field in line for line in violations), (value, violations)


@pytest.mark.parametrize(("operation", "chosen", "needed"), CONDITIONS, ids=str)
def test_a_method_brings_its_required_fields(operation: str, chosen: Arguments, needed: set[str]) -> None:
    """Documented: what a payment, delivery or funding method makes necessary."""
    bare = {name: value for name, value in BODIES[operation].items() if name in REQUIRED[operation]}

    violations = send(*address(operation), {**bare, **chosen})

    missing = {line.split("'")[1] for line in violations if "required" in line}
    assert missing == needed


def ready(operation: str) -> Arguments:
    return {} if operation.startswith("patch") else READY_SUPPLIER if operation.endswith("Supplier") else READY_BUYER


OWN_BOUNDS = [
    *[(f"{verb}Supplier", *row) for verb in ("create", "replace", "patch") for row in SUPPLIER_BOUNDS],
    *[(f"{verb}Buyer", *row) for verb in ("create", "replace", "patch") for row in BUYER_BOUNDS],
]


@pytest.mark.parametrize(("operation", "field", "refused", "taken"), OWN_BOUNDS, ids=lambda value: str(value)[:24])
def test_each_field_of_a_supplier_or_buyer_has_its_bounds(
    operation: str, field: str, refused: list[Any], taken: list[Any]
) -> None:
    """Documented: every field of both tables, whichever way it is written."""
    for value in taken:
        assert send(*address(operation), ready(operation) | {field: value}) == [], value
    for value in refused:
        violations = send(*address(operation), ready(operation) | {field: value})
        assert any(field in line for line in violations), (value, violations)


OWN_CASES = [
    *[(f"{verb}Supplier", sent, missing) for verb in ("create", "replace") for sent, missing in SUPPLIER_CASES],
    *[(f"{verb}Buyer", sent, missing) for verb in ("create", "replace") for sent, missing in BUYER_CASES],
]


@pytest.mark.parametrize(("operation", "sent", "missing"), OWN_CASES, ids=str)
def test_a_method_needs_its_fields_as_they_are_sent(operation: str, sent: Arguments, missing: set[str]) -> None:
    """Documented: what each payment, delivery or funding method makes necessary; an empty value is none."""
    required = REQUIRED[f"create{operation.removeprefix('create').removeprefix('replace')}"]
    bare = {name: value for name, value in ready(operation).items() if name in required}

    violations = send(*address(operation), bare | sent)

    assert bool(violations) is bool(missing), violations
    assert all(any(name in line for line in violations) for name in missing), violations


@pytest.mark.parametrize(
    ("operation", "body", "good"),
    [
        ("patchSupplier", {"payment_method": "ACH"}, True),
        ("patchSupplier", {"payment_method": "ACH", "bank_account_number": ""}, False),
        ("patchSupplier", {"bank_account_number": ""}, True),
        ("patchSupplier", {"payment_method": "Check", "remit_city": ""}, False),
        ("patchSupplier", {"payment_method": "Card", "remit_city": "", "delivery_method": "Mail"}, True),
        ("patchSupplier", {"payment_method": "Card", "delivery_method": "Mail", "remit_email": ""}, False),
        ("patchSupplier", {"delivery_method": "Email", "remit_email": ""}, True),
        ("patchSupplier", {"delivery_method": None}, True),
        ("patchBuyer", {"funding_method": "ach_debit"}, True),
        ("patchBuyer", {"funding_method": "ach_debit", "drawdown_bank_routing_number": ""}, False),
        ("patchBuyer", {"drawdown_bank_routing_number": ""}, True),
    ],
)
def test_a_patch_is_any_subset_that_does_not_break_a_rule_by_itself(
    operation: str, body: Arguments, good: bool
) -> None:
    """Documented: any subset. What the rest of the record is, only the vendor knows."""
    assert (send(*address(operation), body) == []) is good


@pytest.mark.parametrize("operation", ["createSupplierContacts", "createBuyerContacts"])
def test_at_most_one_of_the_contacts_sent_is_primary(operation: str) -> None:
    """Documented: "Only one contact can be set as primary."."""
    assert send(*address(operation), [{"primary": True}, {"primary": False}]) == []
    assert send(*address(operation), [{"primary": False}, {"primary": False}]) == []
    assert send(*address(operation), [{"primary": True}, {"primary": True}])


@pytest.mark.parametrize("size", [1, 500, 501])
def test_a_batch_holds_at_most_500_invoices(size: int) -> None:
    """Documented: 1 to 500 invoices a batch."""
    assert bool(send("POST", BATCH, [INVOICE] * size)) is (size > 500)


@pytest.mark.parametrize(("method", "path", "reason"), BAD_PATHS)
def test_a_wrong_path_or_method_is_refused(method: str, path: str, reason: str) -> None:
    """Documented: slashes exactly as listed, ids encoded, no operation that is not listed."""
    assert reason in "".join(send(method, path))


def test_the_list_of_webhooks_alone_may_be_at_the_root_of_the_host() -> None:
    """Known gap: the vendor's file says so of this one operation, its pages do not."""
    assert send("GET", "/webhooks/", query=[("page", "2")]) == []
    assert send("GET", "/v2/webhooks/", query=[("page", "2")]) == []


@pytest.mark.parametrize(("path", "query", "reason"), BAD_QUERIES)
def test_a_wrong_parameter_is_refused(path: str, query: list[tuple[str, str]], reason: str) -> None:
    """Documented: the parameters of each list, their types and values, and no others."""
    assert reason in "".join(send("GET", path, query=query))


@pytest.mark.parametrize("content", [b'[{"amount_cents":1,"amount_cents":2}]', b"[NaN]", b"[{}", b"\xff", b"{}{}"])
def test_a_body_that_only_python_would_read_is_refused(content: bytes) -> None:
    """Ours: a repeated key would let two parties read two amounts."""
    assert "body" in "".join(check("POST", BATCH, [], HEADERS, content))


def test_a_body_where_none_is_described_is_refused() -> None:
    """Documented: reads and deletes carry no body."""
    assert send("GET", "/v2/invoices/", {}) == ["body: none is described here"]
    assert send("DELETE", "/v2/webhooks/w-1/", {}) == ["body: none is described here"]


def test_credentials_and_a_json_content_type_are_needed() -> None:
    """Documented: Basic credentials on every request; bodies as JSON."""
    content = json.dumps([INVOICE]).encode()

    assert check("POST", BATCH, [], {"content-type": "application/json"}, content)
    assert check("POST", BATCH, [], {"authorization": "Bearer x", "content-type": "application/json"}, content)
    assert check("POST", BATCH, [], {"authorization": "Basic ZGVtbzpkZW1v"}, content)
    assert check("POST", BATCH, [], {**HEADERS, "Content-Type": "text/plain"}, content)
    assert check("POST", BATCH, [], {**HEADERS, "Content-Type": "application/json; charset=utf-8"}, content) == []


@pytest.mark.parametrize("text", ["a/b", "a b", "é", "100%", "?page=2", "#", "...", "p+1", "images", "\u2028"])
def test_an_encoded_id_stays_one_segment(text: str) -> None:
    """Ours: whatever an id holds, its path means the same operation, or none."""
    path = f"/v2/payments/{quote(text, safe='')}/images"

    assert operation_id("GET", path) == (None if text == "images" else "getPaymentImages")
    assert (send("GET", path) == []) is (text != "images")


ANSWERS: list[tuple[str, str, int, str, bool]] = [
    ("GET", "/v2/invoices/", 200, '{"count":0,"next":null,"previous":null,"results":[]}', True),
    ("GET", "/v2/invoices/", 200, '{"count":0,"results":[]}', False),
    ("GET", "/v2/invoices/", 200, "[]", False),
    ("GET", "/v2/invoices/", 201, '{"count":0,"next":null,"previous":null,"results":[]}', False),
    ("GET", "/v2/invoices/", 200, '{"count":1,"next":null,"previous":null,"results":[{"id":"i-1"}]}', False),
    ("GET", "/v2/invoices/", 403, '{"detail":"Invalid username/password."}', True),
    ("GET", "/v2/invoices/", 404, '{"title":"Not Found","status":404}', True),
    ("GET", "/v2/invoices/", 404, "<html></html>", False),
    ("POST", BATCH, 400, '[{},{"invoice_date":["Too old."]}]', True),
    ("POST", BATCH, 400, "", False),
    ("POST", BATCH, 500, "{}", False),
    ("POST", "/v2/counterparties/", 400, '{"internal_id":["This field must be unique."]}', True),
    ("POST", "/v2/counterparties/", 400, '{"internal_id":7}', False),
    ("DELETE", "/v2/webhooks/w-1/", 204, "", True),
    ("DELETE", "/v2/webhooks/w-1/", 204, "{}", False),
    ("PUT", "/v2/webhooks/w-1/", 201, "", True),
    ("PUT", "/v2/webhooks/w-1/", 201, "{}", False),
    ("DELETE", f"{CONTACTS}/HP-AR", 200, "true", True),
    ("DELETE", f"{CONTACTS}/HP-AR", 200, "false", False),
    ("POST", CONTACTS, 200, "{}", False),
    ("GET", "/v2/payments/p-1/images", 200, "{}", True),
    ("GET", "/v2/payments/p-1/images", 200, "[]", True),
    ("GET", "/v2/payments/p-1/images", 200, '{"check_image_url":null}', True),
    ("GET", "/v2/payments/p-1/images", 200, '[{"check_image_url":"https://img.example/1"}]', True),
    ("GET", "/v2/payments/p-1/images", 200, '{"url":"https://img.example/1"}', False),
    ("GET", "/v2/reconciliation/drawdown", 400, "", True),
    ("GET", "/v2/reconciliation/drawdown/DJ1", 200, '{"processor_request_id":"DJ1"}', False),
]


@pytest.mark.parametrize(("method", "path", "status", "body", "good"), ANSWERS)
def test_an_answer_is_judged_by_its_status_and_shape(
    method: str, path: str, status: int, body: str, good: bool
) -> None:
    """Documented: what the vendor answers, every shape that its sources name included."""
    assert (check_answer(method, path, status, body.encode()) == []) is good


@pytest.mark.parametrize("tool", TOOLS)
def test_what_a_sample_must_become_is_a_good_request(tool: str) -> None:
    """Ours: the expectations that tools are held to conform themselves."""
    for arguments in (MINIMAL[tool], FULL[tool]):
        path, body = samples.path_of(tool, arguments), samples.body_of(tool, arguments)
        assert send(samples.method_of(tool), path, body, samples.query_of(tool, arguments)) == []
