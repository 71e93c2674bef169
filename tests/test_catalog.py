"""The catalog: what is listed, and who may use what."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from finexio_mcp import catalog
from finexio_mcp.callers import OPERATOR, Caller, Origin
from finexio_mcp.catalog import may_use, missing_access, require, unknown_tools
from finexio_mcp.errors import AccessDenied
from finexio_mcp.settings import TOOLSETS, Access, Settings, load
from finexio_mcp.tools import CORE, TOOLS
from finexio_mcp.tools.schema import entry
from finexio_mcp.tools.spec import Effect

ALLOWED = {
    "read": {Effect.READ},
    "write": {Effect.READ, Effect.WRITE},
    "pay": {Effect.READ, Effect.WRITE, Effect.PAY},
}


def offered(**settings: Any) -> list[str]:
    """The names that a server with these settings lists."""
    allowed = load(**settings)
    return [name for name, listed in catalog.read().items() if may_use(listed, allowed)]


def test_the_catalog_holds_the_registry() -> None:
    """Ours: a start reads the file instead of importing the declarations, and shows the same."""
    listed = catalog.read()

    assert [row.entry for row in listed.values()] == [entry(tool) for tool in TOOLS]
    assert [(row.toolset, row.access) for row in listed.values()] == [
        (tool.toolset, tool.effect.value) for tool in TOOLS
    ]
    assert list(listed) == [tool.name for tool in TOOLS]


@pytest.mark.parametrize("access", ALLOWED)
def test_access_decides_what_is_offered(access: str) -> None:
    """Ours: reading is less than writing is less than paying."""
    assert offered(FINEXIO_MCP_ACCESS=access) == [tool.name for tool in CORE if tool.effect in ALLOWED[access]]


def test_the_ledgers_own_tools_are_offered_to_those_who_ask_for_them() -> None:
    """Ours: the list is the same as ever for everybody else, and they need no more access than any read."""
    own = ["find_finexio_submissions", "get_finexio_submission"]

    assert offered(FINEXIO_MCP_TOOLSETS="core,ledger") == [*offered(), *own]
    assert offered(FINEXIO_MCP_TOOLSETS="ledger", FINEXIO_MCP_ACCESS="read") == own
    assert not set(own) & set(offered())


OPT_IN = {toolset: [tool for tool in TOOLS if tool.toolset == toolset] for toolset in TOOLSETS if toolset != "core"}


@pytest.mark.parametrize("access", ALLOWED)
@pytest.mark.parametrize("toolset", OPT_IN)
def test_a_toolset_is_offered_to_those_who_ask_for_it_as_far_as_their_access_goes(toolset: str, access: str) -> None:
    """Ours: asking for tools grants no access, and takes none of the others away."""
    asked = {"FINEXIO_MCP_TOOLSETS": f"core,{toolset}", "FINEXIO_MCP_ACCESS": access}
    more = [tool.name for tool in OPT_IN[toolset] if tool.effect in ALLOWED[access]]

    assert OPT_IN[toolset]
    assert offered(**asked) == [*offered(FINEXIO_MCP_ACCESS=access), *more]
    assert offered(**{**asked, "FINEXIO_MCP_TOOLSETS": toolset}) == more


def test_only_reads_of_a_toolset_are_offered_in_production_until_told_otherwise() -> None:
    """Ours: as for the 26."""
    asked = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_MCP_TOOLSETS": "suppliers,buyers"}

    assert offered(**asked) == [
        "list_all_finexio_suppliers",
        "get_single_finexio_supplier_by_id",
        "list_all_finexio_buyers",
        "get_single_finexio_buyer_by_id",
        "list_all_finexio_buyer_contacts",
    ]


def test_a_tool_that_is_named_is_off_while_its_toolset_is() -> None:
    """Ours: both have to allow it, and the refusal names the one that does not."""
    name = "create_a_finexio_supplier"

    assert offered(FINEXIO_MCP_TOOLS=name) == []
    assert offered(FINEXIO_MCP_TOOLS=name, FINEXIO_MCP_TOOLSETS="suppliers") == [name]
    with pytest.raises(AccessDenied, match="add suppliers to FINEXIO_MCP_TOOLSETS"):
        require(catalog.read()[name], load(FINEXIO_MCP_TOOLS=name))


def test_production_offers_reads_until_told_otherwise() -> None:
    """Ours: real money needs a word of the operator's."""
    assert offered(FINEXIO_ENVIRONMENT="production") == offered(FINEXIO_MCP_ACCESS="read")
    assert offered(FINEXIO_ENVIRONMENT="sandbox") == [tool.name for tool in CORE]


def test_named_tools_are_offered_in_the_registrys_order_and_no_others() -> None:
    """Ours: the order never depends on how it was asked for."""
    wanted = "list_all_finexio_webhooks,list_all_finexio_invoices"

    assert offered(FINEXIO_MCP_TOOLS=wanted) == ["list_all_finexio_invoices", "list_all_finexio_webhooks"]


def test_naming_a_tool_grants_no_access() -> None:
    """Ours: both have to allow it."""
    assert offered(FINEXIO_MCP_TOOLS="finexio_invoices_bulk_create", FINEXIO_MCP_ACCESS="write") == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"FINEXIO_MCP_ACCESS": "write"}, "FINEXIO_MCP_ACCESS=pay"),
        ({"FINEXIO_ENVIRONMENT": "production"}, "FINEXIO_MCP_ACCESS=pay"),
        ({"FINEXIO_MCP_TOOLS": "list_all_finexio_invoices"}, "FINEXIO_MCP_TOOLS"),
    ],
)
def test_a_refusal_names_the_setting_that_would_have_to_change(settings: dict[str, str], told: str) -> None:
    """Ours: the model tells its user, who tells the operator."""
    listed = catalog.read()["finexio_invoices_bulk_create"]

    with pytest.raises(AccessDenied) as raised:
        require(listed, load(**settings))

    assert told in raised.value.message
    assert raised.value.code == "access_denied"
    assert not raised.value.may_have_happened


@pytest.mark.parametrize("name", [tool.name for tool in TOOLS])
def test_what_is_offered_can_be_called_and_nothing_else(name: str) -> None:
    """Ours: the list and the gate are one decision."""
    for access, toolsets in product(ALLOWED, (*TOOLSETS, ",".join(TOOLSETS))):
        settings, listed = load(FINEXIO_MCP_ACCESS=access, FINEXIO_MCP_TOOLSETS=toolsets), catalog.read()[name]
        if may_use(listed, settings):
            require(listed, settings)
        else:
            with pytest.raises(AccessDenied):
                require(listed, settings)


def test_a_toolset_that_is_off_is_named() -> None:
    """Ours: tools of later toolsets stay away until asked for."""
    extra = catalog.Listed(toolset="extra", access="read", entry={"name": "extra_tool"})

    with pytest.raises(AccessDenied, match="extra to FINEXIO_MCP_TOOLSETS"):
        require(extra, load())


def test_a_name_that_is_no_tool_is_reported() -> None:
    """Ours: it would silently offer less than was meant."""
    settings = load(FINEXIO_MCP_TOOLS="list_all_finexio_invoices,list_all_invoices")

    ((name, problem),) = unknown_tools(settings, catalog.read())

    assert name == "FINEXIO_MCP_TOOLS"
    assert "list_all_invoices" in problem


# Callers -------------------------------------------------------------------------

PAYING = load(FINEXIO_ENVIRONMENT="simulator", FINEXIO_MCP_TOOLSETS="core,ledger")
ORIGINS: tuple[Origin, ...] = ("operator", "anonymous", "token", "oauth")


def seen_by(caller: Caller, settings: Settings = PAYING) -> list[str]:
    """The names that this caller is shown."""
    return [name for name, listed in catalog.read().items() if may_use(listed, settings, caller)]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("access", ALLOWED)
def test_a_caller_sees_what_its_own_access_allows(access: Access, origin: Origin) -> None:
    """Ours: the server's settings are the most that anybody gets, and a token may give less."""
    caller = Caller(key="k", name="n", origin=origin, access=access)

    assert seen_by(caller) == [
        tool.name for tool in TOOLS if tool.toolset in {"core", "ledger"} and tool.effect in ALLOWED[access]
    ]
    assert seen_by(caller, load(FINEXIO_ENVIRONMENT="production")) == offered(FINEXIO_MCP_ACCESS="read")


def test_a_caller_sees_only_the_toolsets_and_tools_that_its_token_names() -> None:
    """Ours: what a token names and the server does not offer stays off."""
    ledger = Caller(key="k", name="n", origin="token", toolsets=frozenset({"ledger", "buyers"}))
    single = Caller(key="k", name="n", origin="token", tools=frozenset({"list_all_finexio_invoices"}))

    assert seen_by(ledger) == ["find_finexio_submissions", "get_finexio_submission"]
    assert seen_by(single) == ["list_all_finexio_invoices"]
    assert seen_by(OPERATOR) == offered(FINEXIO_MCP_TOOLSETS="core,ledger")


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_caller_with_too_little_access_is_told_the_way_to_more(origin: Origin) -> None:
    """Ours: a person at the other end can do something with it."""
    listed = catalog.read()["finexio_invoices_bulk_create"]
    caller = Caller(key="k", name="n", origin=origin, access="write")

    with pytest.raises(AccessDenied, match=r"'write'.*'pay'"):
        require(listed, PAYING, caller)
    assert missing_access(listed, PAYING, caller) == "pay"
    assert missing_access(listed, load(FINEXIO_ENVIRONMENT="production"), caller) is None
    assert missing_access(listed, PAYING, OPERATOR) is None


def test_what_more_access_would_not_change_is_not_called_missing_access() -> None:
    """Ours: a client that asks its user for more must get more."""
    listed = catalog.read()["finexio_invoices_bulk_create"]
    elsewhere = Caller(key="k", name="n", origin="oauth", access="read", toolsets=frozenset({"ledger"}))

    assert missing_access(listed, PAYING, elsewhere) is None
