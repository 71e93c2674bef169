"""Schemas stay in the subset that every host accepts, and cost a model little."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from finexio_mcp.tools import TOOLS
from finexio_mcp.tools.schema import entry, output_schema
from finexio_mcp.tools.spec import ToolSpec
from tests.tools.samples import is_write, places, schema_of

OF_OBJECTS = {"type", "properties", "required", "additionalProperties", "description"}
OF_TYPE: dict[str, set[str]] = {
    "string": {"type", "description", "enum", "minLength", "maxLength", "pattern", "format"},
    "integer": {"type", "description", "minimum", "maximum"},
    "number": {"type", "description", "minimum", "maximum"},
    "boolean": {"type", "description"},
    "array": {"type", "description", "items", "minItems", "maxItems"},
    "object": OF_OBJECTS,
}
ENVELOPE = {
    "result",
    "next_cursor",
    "prev_cursor",
    "result_count",
    "total_count",
    "status",
    "op_id",
    "notices",
    "error",
}
MAX_TOKENS: Mapping[tuple[str, ...], int] = {
    ("core",): 6_300,
    ("core", "suppliers", "buyers"): 12_000,
    ("ledger",): 400,
    ("chatgpt",): 200,
}
"""What the tools of these toolsets may cost a model together."""

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def nodes(schema: dict[str, Any], level: int = 1) -> Iterator[tuple[dict[str, Any], int]]:
    """Every schema inside a schema, with how many objects deep it lies."""
    yield schema, level
    for inner in schema.get("properties", {}).values():
        yield from nodes(inner, level + ("properties" in inner))
    if "items" in schema:
        yield from nodes(schema["items"], level + ("properties" in schema["items"]))


@every_tool
def test_an_input_schema_uses_only_what_every_host_accepts(tool: ToolSpec) -> None:
    """Ours: one plain type everywhere, and for each type a closed list of keywords."""
    for node, level in nodes(schema_of(tool)):
        assert isinstance(node["type"], str)
        assert set(node) <= OF_TYPE[node["type"]]
        assert level <= 3


@every_tool
def test_objects_are_closed_and_arrays_say_what_they_hold(tool: ToolSpec) -> None:
    """Ours: strict hosts refuse open objects and arrays without items."""
    for node, _ in nodes(schema_of(tool)):
        if node["type"] == "object":
            assert node["additionalProperties"] is False
            assert node["properties"].keys() >= set(node.get("required", []))
        if node["type"] == "array":
            assert node["items"]["type"] in OF_TYPE


@every_tool
def test_formats_are_dates_patterns_compile_and_choices_are_texts(tool: ToolSpec) -> None:
    """Ours: hosts refuse formats they do not know."""
    for node, _ in nodes(schema_of(tool)):
        assert node.get("format", "date") == "date"
        assert re.compile(node.get("pattern", ""))
        assert all(isinstance(choice, str) and choice for choice in node.get("enum", []))


@every_tool
def test_every_argument_tells_the_model_what_it_is_for(tool: ToolSpec) -> None:
    """Ours: those inside an array's objects too."""
    assert [path for path, schema in places(schema_of(tool)) if not schema.get("description", "").strip()] == []


@every_tool
def test_what_identifies_comes_first_and_what_steers_the_answer_last(tool: ToolSpec) -> None:
    """Ours: models fill arguments in the order in which they read them."""
    schema = schema_of(tool)
    names = list(schema["properties"])

    required = schema.get("required", [])
    local = [name for name in names if name in tool.local_names]
    assert names[: len(required)] == required
    assert names[len(names) - len(local) :] == local


def test_a_price_says_that_it_is_in_cents() -> None:
    """Ours: a hundredfold payment is one misread unit away."""
    (words,) = [
        schema["description"]
        for path, schema in places(schema_of("finexio_invoices_bulk_create"))
        if path[-1] == "amount_cents"
    ]

    assert "1000" in words
    assert "$10.00" in words


@every_tool
def test_an_output_schema_promises_nothing_that_finexio_does_not(tool: ToolSpec) -> None:
    """Ours: no key is required, none is forbidden, and what the vendor sends has no type, so no drift is refused."""
    schema = output_schema(tool)

    assert schema["type"] == "object"
    for node, _ in nodes(schema):
        assert set(node) <= {"type", "properties", "items", "description"}
    if tool.gathers:
        # All of it is our own words for what Finexio sent.
        return
    assert set(schema["properties"]) <= ENVELOPE
    result = schema["properties"]["result"]
    record = result.get("items", result)
    assert set(record["properties"]) == set(tool.record.fields)
    assert all(list(words) == ["description"] and words["description"] for words in record["properties"].values())
    assert "type" not in record


@every_tool
def test_an_output_schema_describes_the_envelope_of_its_kind(tool: ToolSpec) -> None:
    """Ours: a list has cursors and counts, a write its outcome, and any answer may be an error or carry notices.

    Documented: ChatGPT prescribes the keys of search and fetch.
    """
    if tool.gathers:
        keys = {"search": {"results"}, "fetch": {"id", "title", "text", "url", "metadata"}}[tool.name]
        assert set(output_schema(tool)["properties"]) == keys | {"error"}
        return
    always = {"result", "notices", "error"}
    of_lists = {"next_cursor", "prev_cursor", "result_count", "total_count"} if tool.listing else set[str]()
    of_writes = {"status", "op_id"} if is_write(tool) else set[str]()

    assert set(output_schema(tool)["properties"]) == always | of_lists | of_writes


@every_tool
def test_an_entry_is_what_the_protocol_lists(tool: ToolSpec) -> None:
    """Ours: nothing beside the protocol's own keys."""
    assert set(entry(tool)) == {"name", "title", "description", "inputSchema", "outputSchema", "annotations"}


def tokens_of(tools: Iterable[ToolSpec]) -> int:
    """What a model reads of the tools."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from bpe_openai import get_encoding  # pyright: ignore[reportMissingTypeStubs]
    listed = [{key: entry(tool)[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    text = json.dumps(listed, separators=(",", ":"), ensure_ascii=False)
    return len(get_encoding("o200k_base").encode(text))


@pytest.mark.parametrize("toolsets", MAX_TOKENS, ids=",".join)
def test_the_list_costs_a_model_few_tokens(toolsets: tuple[str, ...]) -> None:
    """Ours: a model pays for the list in every conversation; for what is off unless asked for, only who asked."""
    listed = [tool for tool in TOOLS if tool.toolset in toolsets]

    assert {tool.toolset for tool in listed} == set(toolsets)
    assert tokens_of(listed) <= MAX_TOKENS[toolsets]


@every_tool
def test_a_description_is_short(tool: ToolSpec) -> None:
    """Ours: what a tool is for takes a few sentences."""
    assert len(tool.about.split()) <= 60
