"""Every change of master data says how it stands in the ledger and how Finexio is asked what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from finexio_mcp.api.requests import build_get
from finexio_mcp.arguments import check
from finexio_mcp.tools import BY_NAME, TOOLS
from finexio_mcp.tools.spec import PLACEHOLDER, Effect, ToolSpec, Trace
from tests.contract import samples
from tests.tools.samples import LEAST, SUPPLIER, WEBHOOK, Arguments

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
    assert len(CHANGES) == 10


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
    "https",
    "hooks",
    "fx-in",
    "correct horse",
)


@every_change
def test_nothing_private_is_stored_in_clear(tool: ToolSpec) -> None:
    """Ours: names, addresses, bank numbers, URLs and passwords have no place in a ledger."""
    arguments = samples.FULL[tool.name]
    found = [{"id": samples.CONTACT_ID, "external_reference_id": samples.CONTACT_REFERENCE, "email": "old@x.example"}]
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
    assert all(row and not {"id", "supplier_id"} & set(row) for row in rows)


@every_change
def test_only_what_is_created_is_known_by_fields_of_its_own(tool: ToolSpec) -> None:
    """Ours: everything else has an id, or a reference that it had before."""
    trace = trace_of(tool.name)

    assert bool(trace.created_by) is (tool.method == "POST")
    assert all(set(trace.created_by) <= set(row) for row in expected(tool.name, LEAST[tool.name]))


@pytest.mark.parametrize(
    ("create", "created", "later"),
    [
        (CREATE, SUPPLIER, [REPLACE, PATCH]),
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


def test_a_contact_is_linked_by_its_reference() -> None:
    """Documented: the reference is its only key; a caller may also name it by its id."""
    added = records(ADD_CONTACTS, {"supplier_id": "S-1", "primary": False, "external_reference_id": "HP-AR"})

    assert added == ("contact:s-1:HP-AR",)
    for tool in (CHANGE_CONTACT, DELETE_CONTACT):
        for name in ("HP-AR", "k-1"):
            assert added[0] in records(tool, {**LEAST[tool], "supplier_id": "s-1", "id": name})


def test_a_contact_that_gets_another_reference_is_linked_by_both() -> None:
    """Ours: whichever of them a later call names."""
    renamed = {"supplier_id": "s-1", "id": "HP-AR", "primary": False, "external_reference_id": "HP-NEW"}

    assert set(records(CHANGE_CONTACT, renamed)) == {"contact:s-1:HP-AR", "contact:s-1:HP-NEW"}
    assert kept(CHANGE_CONTACT, renamed) == {"supplier_id": "s-1", "id": "HP-AR", "external_reference_id": "HP-NEW"}
    for reference in ("HP-AR", "HP-NEW"):
        assert is_it(CHANGE_CONTACT, {"external_reference_id": reference}, renamed)


def test_a_new_main_contact_is_a_change_of_the_former_one_too() -> None:
    """Documented: one primary per supplier. Rae, then Ines, then Rae again is no repetition."""
    rae = records(CHANGE_CONTACT, {"supplier_id": "s-1", "id": "HP-AR", "primary": True})
    ines = records(ADD_CONTACTS, {"supplier_id": "s-1", "primary": True, "name": "Ines"})
    other = records(ADD_CONTACTS, {"supplier_id": "s-2", "primary": True, "name": "Ines"})
    plain = records(CHANGE_CONTACT, {"supplier_id": "s-1", "id": "HP-AR", "primary": False})

    assert set(rae) & set(ines)
    assert not set(ines) & set(other)
    assert not set(ines) & set(plain)


def test_a_contact_without_a_reference_is_linked_with_nothing() -> None:
    """Documented: no later call can name it."""
    assert records(ADD_CONTACTS, {"supplier_id": "s-1", "primary": False, "name": "Ines"}) == ()


def test_a_contact_without_a_reference_is_known_by_what_it_has_not() -> None:
    """Ours: somebody else of the same name, with an e-mail address, is not the one that was added."""
    (row,) = expected(ADD_CONTACTS, {"supplier_id": "s-1", "primary": False, "name": "Ines"})

    assert row == {"primary": False, "name": "Ines", "email": "", "phone": "", "external_reference_id": ""}


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


@pytest.mark.parametrize("tool", [PATCH, REPLACE, PATCH_WEBHOOK, CHANGE_WEBHOOK, UNSUBSCRIBE])
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


@pytest.mark.parametrize("tool", [CHANGE_CONTACT, DELETE_CONTACT])
def test_a_contact_is_found_by_its_reference_alone(tool: str) -> None:
    """Documented: old contacts have neither id nor reference."""
    arguments = {**LEAST[tool], "id": "k-1"}

    assert is_it(tool, {"external_reference_id": "HP-AR"}, arguments)
    assert not is_it(tool, {"id": "k-1", "external_reference_id": None}, arguments)
    assert not is_it(tool, {}, arguments)


def test_an_emptied_field_is_expected_to_be_empty() -> None:
    """Ours: it travels as "", and whether it is gone is looked at like anything else."""
    assert expected(PATCH, {"id": "c-1", "clear": ["notes"], "city": "Mobile"}) == [{"city": "Mobile", "notes": ""}]


def test_an_updated_contact_is_expected_to_keep_the_rest() -> None:
    """Documented: an update replaces the contact, so what was left out is sent again."""
    arguments = {"supplier_id": "s-1", "id": "k-1", "primary": False, "email": "rae@quayside.example"}

    assert expected(CHANGE_CONTACT, arguments) == [
        {"external_reference_id": "HP-AR", "name": "Rae Lund", "email": "rae@quayside.example", "primary": False}
    ]


def test_the_key_of_a_record_starts_with_its_kind() -> None:
    """Ours: the ledger takes what stands before the first colon, and adds the id."""
    for tool in CHANGES:
        for key in records(tool.name, LEAST[tool.name]):
            assert re.match(r"[a-z-]+:.", key)
