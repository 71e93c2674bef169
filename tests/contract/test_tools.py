"""What each tool makes of its arguments is exactly the request that the vendor's contract asks for."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from finexio_mcp.simulator import Simulator
from finexio_mcp.tools import TOOLS as REGISTRY
from tests.conftest import ERAS, Era, connect
from tests.contract.samples import FULL, MINIMAL, NOW, TOOLS, Arguments, body_of, method_of, path_of, query_of
from tests.contract.world import judged, small_world
from tests.tools.samples import places, schema_of

UPDATE_CONTACT = {"update_a_finexio_supplier_contact_by_id", "update_a_finexio_buyer_contact_by_id"}
EVERY_TOOLSET = {"FINEXIO_MCP_TOOLSETS": "core,suppliers,buyers"}
CURSOR = "next_cursor"
"""Comes out of an answer, so no sample can hold one; what becomes of it has a test of its own."""


ROWS = ("contacts", "invoices", "line_items", "metadata", "owners")


def said(arguments: Arguments) -> set[str]:
    """Every argument that a sample gives: those in rows behind the name of their array, those it empties as well."""
    names = {*arguments, *arguments.get("clear", [])}
    for name in ROWS:
        rows: list[Arguments] | Arguments = arguments.get(name, [])
        if isinstance(rows, list):
            names |= {f"{name}.{inner}" for row in rows for inner in said(row)}
    return names


@pytest.mark.parametrize("tool", TOOLS)
def test_a_full_sample_holds_every_argument(tool: str) -> None:
    """Ours: an argument that no sample gives would never be held against the vendor's description."""
    declared = {".".join(str(step) for step in path if step != 0) for path, _ in places(schema_of(tool))}

    assert said(FULL[tool]) == declared - {CURSOR}


def test_every_tool_that_is_one_call_to_finexio_has_its_samples() -> None:
    """Ours: a tool without one would go unchecked; what is answered from several reads has tests of its own."""
    assert (
        list(TOOLS)
        == list(MINIMAL)
        == list(FULL)
        == [tool.name for tool in REGISTRY if not tool.own and not tool.gathers]
    )


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(("samples", "era"), [(MINIMAL, ERAS[0]), (FULL, ERAS[-1])], ids=["minimal", "full"])
async def test_a_call_leaves_exactly_the_request_it_must_become(
    tool: str, samples: Mapping[str, Arguments], era: Era
) -> None:
    """Documented: method, path with its slash, parameters and body of each operation, and nothing of ours in them."""
    arguments, sim = samples[tool], small_world(tool)
    method, path = method_of(tool), path_of(tool, arguments)
    sim.journal.clear()

    with anyio.fail_after(10):
        async with connect(sim, era, **EVERY_TOOLSET) as client:
            answer = await client.call_tool(tool, arguments)

    received = sim.journal.requests
    assert [line for request in received for line in judged(request)] == []
    assert not answer.is_error, answer.structured_content
    # Looking first, or reading back afterwards, is the adapter's business; a second write is not.
    assert {(request.method, request.path) for request in received if request.method != "GET"} <= {(method, path)}
    (request,) = [request for request in received if (request.method, request.path) == (method, path)]
    assert sorted(pair for pair in request.query if pair[0] != "page") == sorted(query_of(tool, arguments))
    assert carried(tool, request.body, arguments) == body_of(tool, arguments)


def carried(tool: str, body: Any, arguments: Arguments) -> Any:
    """The body, without what an update of a contact repeats from the contact as it was."""
    if tool not in UPDATE_CONTACT:
        return body
    return {name: value for name, value in body.items() if name in body_of(tool, arguments)}


@pytest.mark.parametrize("tool", ["list_all_finexio_invoices", "list_all_finexio_payments"])
async def test_a_cursor_becomes_a_page_number_and_nothing_else(tool: str) -> None:
    """Documented: pages are asked for by number; `next_cursor` is a word of ours."""
    sim = Simulator(seed=1, now=NOW)
    filters = {"created_start": "2020-01-01"} if tool == "list_all_finexio_payments" else {}

    with anyio.fail_after(10):
        async with connect(sim, ERAS[0]) as client:
            # One short field, so that a whole page fits into one answer.
            first = await client.call_tool(tool, {**filters, "fields": ["id"]})
            assert first.structured_content
            await client.call_tool(tool, {"next_cursor": first.structured_content["next_cursor"], "fields": ["id"]})

    assert [line for request in sim.journal.requests for line in judged(request)] == []
    assert dict(sim.journal.requests[-1].query) == {**filters, "page": "2"}
