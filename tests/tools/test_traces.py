"""Every change of master data says how it stands in the ledger and how Finexio is asked what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from finexio_mcp.api.requests import build_get
from finexio_mcp.arguments import check
from finexio_mcp.errors import FinexioError, PermissionDenied, Problem, Rejected
from finexio_mcp.guards.digests import NO_DIGEST, Match, compare, digest_record
from finexio_mcp.tools import BY_NAME, TOOLS
from finexio_mcp.tools.spec import PLACEHOLDER, Effect, ToolSpec, Trace
from finexio_mcp.tools.traces import explain_taken
from tests.contract import samples
from tests.tools.samples import LEAST, PAYEE, PAYER, SUPPLIER, WEBHOOK, Arguments

CREATE = "create_a_finexio_counterparty"
REPLACE = "update_a_finexio_counterparty_by_id"
PATCH = "finexio_counterparties_partial_update"
ADD_CONTACTS = "create_a_finexio_supplier_contact"
CHANGE_CONTACT = "update_a_finexio_supplier_contact_by_id"
DELETE_CONTACT = "delete_a_finexio_supplier_contact_by_id"
SUBSCRIBE = "create_a_finexio_webhook"
CHANGE_WEBHOOK = "update_a_finexio_webhook_by_id"
PATCH_WEBHOOK = "finexio_webhooks_partial_update"
UNSUBSCRIBE = "delete_a_finexio_webhook_by_id"
CREATE_SUPPLIER = "create_a_finexio_supplier"
REPLACE_SUPPLIER = "update_a_finexio_supplier_by_id"
PATCH_SUPPLIER = "finexio_suppliers_partial_update"
CREATE_BUYER = "create_a_finexio_buyer"
REPLACE_BUYER = "update_a_finexio_buyer_by_id"
PATCH_BUYER = "finexio_buyers_partial_update"
ADD_BUYER_CONTACTS = "create_a_finexio_buyer_contact"
CHANGE_BUYER_CONTACT = "update_a_finexio_buyer_contact_by_id"
DELETE_BUYER_CONTACT = "delete_a_finexio_buyer_contact_by_id"

OWNERS = {
    "supplier_id": (ADD_CONTACTS, CHANGE_CONTACT, DELETE_CONTACT),
    "buyer_id": (ADD_BUYER_CONTACTS, CHANGE_BUYER_CONTACT, DELETE_BUYER_CONTACT),
}
"""Who may have contacts, and what is done to these."""
of_each_owner = pytest.mark.parametrize(("owner", "tools"), OWNERS.items(), ids=OWNERS)
Tools = tuple[str, str, str]

CHANGES = [tool for tool in TOOLS if tool.effect is Effect.WRITE]
every_change = pytest.mark.parametrize("tool", CHANGES, ids=lambda tool: tool.name)
STORED: list[Any] = [{"id": "k-1", "external_reference_id": "HP-AR", "name": "Rae Lund", "primary": True}]


def sent(tool: str, arguments: Arguments) -> Arguments:
    """The arguments as they are sent: checked, and resolved where Finexio is asked first."""
    spec = BY_NAME[tool]
    wire = check(spec, arguments).wire
    return spec.before.resolve(STORED, wire) if spec.before else wire


def trace_of(tool: str) -> Trace:
    trace = BY_NAME[tool].trace
    assert trace is not None
    return trace


def records(tool: str, arguments: Arguments) -> tuple[str, ...]:
    return trace_of(tool).records(sent(tool, arguments))


def kept(tool: str, arguments: Arguments) -> Mapping[str, str]:
    return trace_of(tool).kept(sent(tool, arguments))


def is_it(tool: str, row: Arguments, arguments: Arguments) -> bool:
    return trace_of(tool).is_it(row, dict(kept(tool, arguments)))


def expected(tool: str, arguments: Arguments) -> list[Arguments]:
    return trace_of(tool).expected(sent(tool, arguments))


def test_a_change_can_be_traced_and_nothing_else_is() -> None:
    """Ours: an invoice is known by its number, and a read leaves nothing behind."""
    assert [tool.name for tool in TOOLS if tool.trace] == [tool.name for tool in CHANGES]
    assert len(CHANGES) == 19


@every_change
def test_what_is_kept_is_all_that_a_look_needs(tool: ToolSpec) -> None:
    """Ours: after a restart nothing else is left of the call."""
    trace = trace_of(tool.name)
    values = kept(tool.name, LEAST[tool.name])

    path = PLACEHOLDER.findall(trace.look)
    assert {*path, *trace.query} <= set(values)
    assert not set(path) & set(trace.query)
    assert all(values.values())
    assert build_get(trace.look, values).path.startswith("/")


@every_change
def test_a_look_is_one_of_the_reads_that_finexio_documents(tool: ToolSpec) -> None:
    """Documented: there is no read of a single contact, so their list is looked at."""
    routes = {other.route: other.at_host_root for other in TOOLS if other.effect is Effect.READ}

    trace = trace_of(tool.name)
    assert trace.at_host_root is routes[trace.look]
    declared = next(other for other in TOOLS if other.route == trace.look).arguments.model_fields
    assert set(trace.query) <= set(declared)


PRIVATE = (
    "Quayside",
    "Wharf",
    "Unit 4",
    "36602",
    "Ines",
    "Holt",
    "@",
    "555",
    "000123456789",
    "6789",
    "021000021",
    "00-1234567",
    "Prefers",
    "Rae",
    "Front desk",
    "Receivables",
    "Toronto",
    "M5V",
    "Boise",
    "K-12",
    "North",
    "packaging",
    "Ada",
    "Hill",
    "1979",
    "05-1120",
    "91827364",
    "5550198273",
    "7654321",
    "https",
    "hooks",
    "fx-in",
    "correct horse",
)


@every_change
def test_nothing_private_is_stored_in_clear(tool: ToolSpec) -> None:
    """Ours: names, addresses, bank numbers, URLs and passwords have no place in a ledger."""
    arguments = samples.FULL[tool.name]
    found = [
        {"id": id_, "external_reference_id": reference, "email": "old@x.example"}
        for id_, reference in samples.REFERENCES.items()
    ]
    wire = check(tool, arguments).wire
    resolved = tool.before.resolve(found, wire) if tool.before else wire

    trace = trace_of(tool.name)
    stored = [*trace.records(resolved), *trace.kept(resolved), *trace.kept(resolved).values()]
    assert [(text, secret) for text in stored for secret in PRIVATE if secret in text] == []


@every_change
def test_only_a_delete_leaves_nothing_to_compare(tool: ToolSpec) -> None:
    """Ours: of everything else it is known how it should read afterwards, without the ids in its path."""
    trace = trace_of(tool.name)

    assert trace.gone is (tool.method == "DELETE")
    rows = expected(tool.name, LEAST[tool.name])
    assert (rows == []) is trace.gone
    assert all(row and not {"id", *OWNERS} & set(row) for row in rows)


@every_change
def test_only_what_is_created_is_known_by_fields_of_its_own(tool: ToolSpec) -> None:
    """Ours: everything else has an id, or a reference that it had before."""
    trace = trace_of(tool.name)

    assert bool(trace.created_by) is (tool.method == "POST")
    assert all(set(trace.created_by) <= set(row) for row in expected(tool.name, LEAST[tool.name]))


@pytest.mark.parametrize(
    ("create", "created", "later"),
    [
        (CREATE, SUPPLIER, [REPLACE, PATCH, REPLACE_SUPPLIER, PATCH_SUPPLIER]),
        (CREATE_SUPPLIER, PAYEE, [REPLACE, PATCH, REPLACE_SUPPLIER, PATCH_SUPPLIER]),
        (CREATE_BUYER, PAYER, [REPLACE, PATCH, REPLACE_BUYER, PATCH_BUYER]),
        (SUBSCRIBE, WEBHOOK, [CHANGE_WEBHOOK, PATCH_WEBHOOK, UNSUBSCRIBE]),
    ],
)
def test_what_was_created_is_linked_with_what_is_done_to_it_later(
    create: str, created: Arguments, later: list[str]
) -> None:
    """Ours: created, deleted and created again is no repetition. The ledger adds the id once it is known."""
    kind = records(create, created)[0].split(":")[0]

    for tool in later:
        assert records(tool, {**LEAST[tool], "id": "New-ID"})[0] == f"{kind}:new-id"


@of_each_owner
def test_a_contact_is_linked_by_its_reference(owner: str, tools: Tools) -> None:
    """Documented: the reference is its only key; a caller may also name it by its id."""
    add, *later = tools
    added = records(add, {owner: "S-1", "primary": False, "external_reference_id": "HP-AR"})

    assert added == ("contact:s-1:HP-AR",)
    for tool in later:
        for name in ("HP-AR", "k-1"):
            assert added[0] in records(tool, {**LEAST[tool], owner: "s-1", "id": name})


@of_each_owner
def test_a_contact_that_gets_another_reference_is_linked_by_both(owner: str, tools: Tools) -> None:
    """Ours: whichever of them a later call names."""
    _, change, _ = tools
    renamed = {owner: "s-1", "id": "HP-AR", "primary": False, "external_reference_id": "HP-NEW"}

    assert set(records(change, renamed)) == {"contact:s-1:HP-AR", "contact:s-1:HP-NEW", "contact-main:s-1"}
    assert kept(change, renamed) == {owner: "s-1", "id": "HP-AR", "external_reference_id": "HP-NEW"}
    for reference in ("HP-AR", "HP-NEW"):
        assert is_it(change, {"external_reference_id": reference}, renamed)


@of_each_owner
def test_a_new_main_contact_is_a_change_of_the_former_one_too(owner: str, tools: Tools) -> None:
    """Documented: one primary per owner. Rae, then Ines, then Rae again is no repetition."""
    add, change, delete = tools
    rae = records(change, {owner: "s-1", "id": "HP-AR", "primary": True})
    ines = records(add, {owner: "s-1", "primary": True, "name": "Ines"})
    other = records(add, {owner: "s-2", "primary": True, "name": "Ines"})
    plain = records(add, {owner: "s-1", "external_reference_id": "HP-AR", "primary": False})

    assert set(rae) & set(ines)
    assert not set(ines) & set(other)
    assert not set(ines) & set(plain)
    # One that is there may be the main one, whatever it is to become.
    assert set(ines) & set(records(change, {owner: "s-1", "id": "HP-AR", "primary": False}))
    assert set(ines) & set(records(delete, {owner: "s-1", "id": "HP-AR"}))


@of_each_owner
def test_a_contact_without_a_reference_is_linked_with_nothing(owner: str, tools: Tools) -> None:
    """Documented: no later call can name it."""
    assert records(tools[0], {owner: "s-1", "primary": False, "name": "Ines"}) == ()


@of_each_owner
def test_a_contact_without_a_reference_is_known_by_what_it_has_not(owner: str, tools: Tools) -> None:
    """Ours: somebody else of the same name, with an e-mail address, is not the one that was added."""
    (row,) = expected(tools[0], {owner: "s-1", "primary": False, "name": "Ines"})

    assert row == {"primary": False, "name": "Ines", "email": "", "phone": "", "external_reference_id": ""}


# Suppliers and buyers --------------------------------------------------------


@pytest.mark.parametrize("tool", [PATCH_SUPPLIER, REPLACE_SUPPLIER, PATCH_BUYER, REPLACE_BUYER])
def test_both_views_of_a_record_are_linked_by_its_id(tool: str) -> None:
    """Documented: the deprecated view writes to the same records, under the same ids."""
    old = records(PATCH, {"id": "X-1", "city": "Mobile"})

    assert old == ("counterparty:x-1",)
    assert old[0] in records(tool, {**LEAST[tool], "id": "x-1"})


@pytest.mark.parametrize("tool", [CREATE_SUPPLIER, REPLACE_SUPPLIER])
def test_both_views_of_a_supplier_are_linked_by_its_code(tool: str) -> None:
    """Documented: one code, called `internal_id` there and shown in capitals."""
    (old,) = records(CREATE, {**SUPPLIER, "internal_id": "quay-77"})

    assert old in records(tool, {**LEAST[tool], "external_reference_id": "Quay-77"})


def test_a_supplier_and_a_buyer_of_one_code_are_two_records() -> None:
    """Documented: codes are unique per type."""
    supplier = records(CREATE_SUPPLIER, {**PAYEE, "external_reference_id": "ONE"})
    buyer = records(CREATE_BUYER, {**PAYER, "external_reference_id": "ONE"})

    assert not set(supplier) & set(buyer)


@pytest.mark.parametrize(("tool", "least"), [(CREATE_SUPPLIER, PAYEE), (CREATE_BUYER, PAYER)])
def test_a_code_is_looked_for_as_it_was_sent(tool: str, least: Arguments) -> None:
    """Documented: the filter is exact. Ours: what comes back is known in any case of its letters."""
    arguments = {**least, "external_reference_id": "Quay-77"}

    assert kept(tool, arguments) == {"external_reference_id": "Quay-77"}
    assert trace_of(tool).query == ("external_reference_id",)
    assert is_it(tool, {"external_reference_id": "QUAY-77"}, arguments)
    for row in ({"external_reference_id": "QUAY-78"}, {"external_reference_id": None}, {}):
        assert not is_it(tool, row, arguments)


@pytest.mark.parametrize(
    ("tool", "look"),
    [
        (CREATE_SUPPLIER, "GET /counterparties/suppliers"),
        (REPLACE_SUPPLIER, "GET /counterparties/suppliers/{id}/"),
        (PATCH_SUPPLIER, "GET /counterparties/suppliers/{id}/"),
        (CREATE_BUYER, "GET /counterparties/buyers"),
        (REPLACE_BUYER, "GET /counterparties/buyers/{id}/"),
        (PATCH_BUYER, "GET /counterparties/buyers/{id}/"),
        (ADD_BUYER_CONTACTS, "GET /counterparties/buyers/{buyer_id}/contacts"),
        (CHANGE_BUYER_CONTACT, "GET /counterparties/buyers/{buyer_id}/contacts"),
        (DELETE_BUYER_CONTACT, "GET /counterparties/buyers/{buyer_id}/contacts"),
    ],
)
def test_a_change_is_looked_for_where_it_was_made(tool: str, look: str) -> None:
    """Ours: the deprecated view may go away, and shows fewer fields."""
    assert trace_of(tool).look == look


def test_all_of_a_record_is_expected_but_its_id() -> None:
    """Ours: what cannot be compared is kept too, so that a change of it alone is never taken for seen."""
    supplier = {**PAYEE, "delivery_method": "Mail", "remit_email": "a@b.example", "contacts": [{"primary": True}]}
    buyer = {**PAYER, "contacts": [{"primary": True}]}

    assert expected(CREATE_SUPPLIER, supplier) == [supplier]
    assert expected(CREATE_BUYER, buyer) == [buyer]
    assert expected(PATCH_SUPPLIER, {"id": "s-1", "delivery_method": "Phone", "payment_terms": 5}) == [
        {"delivery_method": "Phone", "payment_terms": 5}
    ]


KEY = bytes(32)
WITH_CONTACTS = {**PAYEE, "contacts": [{"primary": True, "name": "Rae Lund"}]}


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        ({}, Match.SAME),
        ({"delivery_method": None}, Match.SAME),
        ({"contacts": [{"id": "k-1"}]}, Match.SAME),
        ({"contacts": []}, Match.SAME),
        ({"payment_method": "ACH"}, Match.OTHER),
        ({"external_reference_id": "QUAY-78"}, Match.DIFFERENT),
        ({"external_reference_id": "quay-77"}, Match.DIFFERENT),
    ],
)
def test_a_created_supplier_is_known_by_its_code_whatever_finexio_makes_of_the_rest(
    shown: Arguments, verdict: Match
) -> None:
    """Documented: Finexio has the last word on the delivery method, and adds fields to contacts."""
    trace = trace_of(CREATE_SUPPLIER)
    (row,) = expected(CREATE_SUPPLIER, WITH_CONTACTS)
    digests = digest_record(KEY, row)

    assert digests["contacts"] == NO_DIGEST
    assert compare(KEY, digests, {**row, **shown}, created_by=trace.created_by) is verdict


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        ({"delivery_method": "Phone", "payment_terms": 5}, Match.SAME),
        ({"delivery_method": "Email", "payment_terms": 5}, Match.UNKNOWN),
        ({"delivery_method": None, "payment_terms": 5}, Match.UNKNOWN),
        ({"delivery_method": "Phone", "payment_terms": 6}, Match.DIFFERENT),
        ({"delivery_method": "Email", "payment_terms": 6}, Match.DIFFERENT),
    ],
)
def test_a_change_with_another_delivery_than_was_sent_stays_open(shown: Arguments, verdict: Match) -> None:
    """Ours: Finexio may have settled it, or the change never came."""
    (row,) = expected(PATCH_SUPPLIER, {"id": "s-1", "delivery_method": "Phone", "payment_terms": 5})

    assert compare(KEY, digest_record(KEY, row), shown) is verdict


@pytest.mark.parametrize("tool", ["list_all_finexio_suppliers", "list_all_finexio_buyers"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Rejected("no", problems=[Problem("external_reference_id", "must be unique")]), True),
        (Rejected("no", problems=[Problem("name", "x"), Problem("external_reference_id", "y")]), True),
        (Rejected("no", problems=[Problem("name", "must be unique")]), False),
        (Rejected("no", problems=[Problem("", "external_reference_id")]), False),
        (Rejected("no"), False),
        (PermissionDenied("no", problems=[Problem("external_reference_id", "unique")]), False),
    ],
    ids=["code", "code too", "name", "no field", "nothing", "permission"],
)
def test_a_refusal_that_names_the_code_points_to_the_list(error: FinexioError, told: bool, tool: str) -> None:
    """Ours: the list shows who has it, and the code itself is not repeated."""
    way_out = explain_taken(tool)(error, {"external_reference_id": "QUAY-77"})

    sentence = f"If the code is taken, {tool} with this external_reference_id shows by whom."
    assert way_out == (sentence if told else None)


@pytest.mark.parametrize(
    ("create", "list_tool"),
    [
        (CREATE, "list_all_finexio_counterparties"),
        (CREATE_SUPPLIER, "list_all_finexio_suppliers"),
        (CREATE_BUYER, "list_all_finexio_buyers"),
    ],
)
def test_each_creation_points_to_the_list_of_its_kind(create: str, list_tool: str) -> None:
    """Ours: a supplier's code says nothing of a buyer's; in the deprecated view it has another name."""
    code = "internal_id" if create == CREATE else "external_reference_id"
    explain, error = BY_NAME[create].way_out, Rejected("no", problems=[Problem(code, "unique")])

    assert explain is not None
    assert explain(error, {}) == f"If the code is taken, {list_tool} with this {code} shows by whom."
    assert code in BY_NAME[list_tool].arguments.model_fields


# The main contact of the deprecated view -------------------------------------

MAIN = "contact-main:c-1"


@pytest.mark.parametrize(
    "fields",
    [
        {"primary_contact_name": "Ines"},
        {"primary_contact_email": "ines@quayside.example"},
        {"primary_contact_phone": "251-555-0142"},
        {"clear": ["primary_contact_phone"]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_the_deprecated_view_changes_the_main_contact(fields: Arguments) -> None:
    """Documented: it shows that contact beside the supplier, and writes it there."""
    assert records(PATCH, {"id": "C-1", **fields}) == ("counterparty:c-1", MAIN)
    assert MAIN in records(CHANGE_CONTACT, {"supplier_id": "C-1", "id": "HP-AR", "primary": True})


def test_a_patch_of_something_else_leaves_the_main_contact_alone_and_a_replacement_never_does() -> None:
    """Documented: a replacement blanks what it leaves out."""
    assert records(PATCH, {"id": "c-1", "city": "Mobile"}) == ("counterparty:c-1",)
    assert MAIN in records(REPLACE, {**SUPPLIER, "id": "C-1"})
    assert MAIN in records(REPLACE, {**SUPPLIER, "id": "c-1", "primary_contact_name": "Ines"})
    assert records(CREATE, {**SUPPLIER, "primary_contact_name": "Ines"}) == ("counterparty:code:QUAY-77",)


@pytest.mark.parametrize(
    ("replace", "patch", "create", "least"),
    [
        (REPLACE_SUPPLIER, PATCH_SUPPLIER, CREATE_SUPPLIER, PAYEE),
        (REPLACE_BUYER, PATCH_BUYER, CREATE_BUYER, PAYER),
    ],
)
def test_a_replacement_by_the_newer_view_may_blank_the_main_contact_too(
    replace: str, patch: str, create: str, least: Arguments
) -> None:
    """Ours: whether it does is not documented; a partial update and a new record leave it alone."""
    assert MAIN in records(replace, {**least, "id": "C-1"})
    assert MAIN not in records(patch, {"id": "C-1", "external_reference_id": "ONE"})
    assert len(records(create, least)) == 1


# Codes, ids, references ------------------------------------------------------


def test_a_vendor_code_is_looked_for_in_capitals() -> None:
    """Documented: Finexio stores it so, and finds it by exactly what it stored."""
    arguments = {**SUPPLIER, "internal_id": "quay-77"}

    assert kept(CREATE, arguments) == {"internal_id": "QUAY-77"}
    assert records(CREATE, arguments) == ("counterparty:code:QUAY-77",)
    assert records(PATCH, {"id": "C-1", "internal_id": "quay-77"}) == ("counterparty:c-1", "counterparty:code:QUAY-77")


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        ({"type": "Supplier", "internal_id": "QUAY-77"}, True),
        ({"type": "supplier", "internal_id": "quay-77"}, True),
        ({"internal_id": "QUAY-77"}, True),
        ({"type": "Buyer", "internal_id": "QUAY-77"}, False),
        ({"type": "Supplier", "internal_id": "QUAY-78"}, False),
        ({"type": "Supplier", "internal_id": None}, False),
        ({}, False),
    ],
)
def test_a_created_supplier_is_found_by_its_code(row: Arguments, meant: bool) -> None:
    """Documented: codes are unique per type; a buyer may have the same. A filter may be ignored, too."""
    assert is_it(CREATE, row, SUPPLIER) is meant


@pytest.mark.parametrize(
    "tool",
    [
        PATCH,
        REPLACE,
        PATCH_WEBHOOK,
        CHANGE_WEBHOOK,
        UNSUBSCRIBE,
        PATCH_SUPPLIER,
        REPLACE_SUPPLIER,
        PATCH_BUYER,
        REPLACE_BUYER,
    ],
)
def test_a_record_that_has_an_id_is_found_by_it(tool: str) -> None:
    """Ours: another record says nothing of this one."""
    arguments = {**LEAST[tool], "id": "x-1"}

    assert is_it(tool, {"id": "X-1"}, arguments)
    assert not is_it(tool, {"id": "x-2"}, arguments)
    assert not is_it(tool, {"id": None}, arguments)
    assert not is_it(tool, {}, arguments)


def test_a_created_webhook_is_found_by_its_event() -> None:
    """Documented: there is one per event and user. Whether it is ours, its URL tells."""
    assert is_it(SUBSCRIBE, {"event": "payment.changed", "url": "https://elsewhere.example"}, WEBHOOK)
    assert not is_it(SUBSCRIBE, {"event": "payment.settled"}, WEBHOOK)
    assert trace_of(SUBSCRIBE).created_by == ("event", "url")


@pytest.mark.parametrize("tool", [CHANGE_CONTACT, DELETE_CONTACT, CHANGE_BUYER_CONTACT, DELETE_BUYER_CONTACT])
def test_a_contact_is_found_by_its_reference_alone(tool: str) -> None:
    """Documented: old contacts have neither id nor reference."""
    arguments = {**LEAST[tool], "id": "k-1"}

    assert is_it(tool, {"external_reference_id": "HP-AR"}, arguments)
    assert not is_it(tool, {"id": "k-1", "external_reference_id": None}, arguments)
    assert not is_it(tool, {}, arguments)


def test_an_emptied_field_is_expected_to_be_empty() -> None:
    """Ours: it travels as "", and whether it is gone is looked at like anything else."""
    assert expected(PATCH_SUPPLIER, {"id": "s-1", "clear": ["care_of"]}) == [{"care_of": ""}]
    assert expected(PATCH_BUYER, {"id": "b-1", "clear": ["remit_data"]}) == [{"remit_data": ""}]
    assert expected(PATCH, {"id": "c-1", "clear": ["notes"], "city": "Mobile"}) == [{"city": "Mobile", "notes": ""}]


@of_each_owner
def test_an_updated_contact_is_expected_to_keep_the_rest(owner: str, tools: Tools) -> None:
    """Documented: an update replaces the contact, so what was left out is sent again."""
    arguments = {owner: "s-1", "id": "k-1", "primary": False, "email": "rae@quayside.example"}

    assert expected(tools[1], arguments) == [
        {"external_reference_id": "HP-AR", "name": "Rae Lund", "email": "rae@quayside.example", "primary": False}
    ]


def test_the_key_of_a_record_starts_with_its_kind() -> None:
    """Ours: the ledger takes what stands before the first colon, and adds the id."""
    for tool in CHANGES:
        for key in records(tool.name, LEAST[tool.name]):
            assert re.match(r"[a-z-]+:.", key)
