"""Whatever a model sends, the answer is a check passed or a refusal that repeats nothing of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.arguments import check
from finexio_mcp.errors import FinexioError, InvalidArguments
from finexio_mcp.tools import BY_NAME, TOOLS
from finexio_mcp.tools.spec import ToolSpec
from tests.tools.samples import LEAST, Arguments, Step, invoice, places, plant, schema_of

thorough = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SCHEMAS = {tool.name: schema_of(tool) for tool in TOOLS}
PLACES = {name: list(places(schema)) for name, schema in SCHEMAS.items()}
MARKED = "QXZ918273645"
"""Stands in every planted value; none of our words holds it."""

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**40)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["", ".", "..", "2026-01-01", "USD", "Supplier", "a@b.example", "https://b.example/", "1" * 300])
)
any_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)


def outcome(tool: ToolSpec, arguments: Arguments) -> FinexioError | None:
    """The refusal, or nothing if the arguments pass; any other exception is a failure of the test."""
    try:
        checked = check(tool, arguments)
    except InvalidArguments as refusal:
        return refusal
    json.dumps(checked.wire, allow_nan=False)
    assert set(checked.wire) <= set(tool.arguments.model_fields) - tool.local_names
    return None


def said(refusal: FinexioError) -> str:
    """Every word that a caller or a log could read."""
    return "\n".join([str(refusal), repr(refusal), refusal.message, *(f"{f} {p}" for f, p in refusal.problems)])


tools = st.sampled_from(TOOLS)


@thorough
@given(tool=tools, data=st.data())
def test_any_json_passes_or_is_refused(tool: ToolSpec, data: st.DataObject) -> None:
    """Ours: no input raises anything but a refusal, and what passes can be sent."""
    names = st.sampled_from(sorted(SCHEMAS[tool.name]["properties"])) | st.text(max_size=12)
    wild = data.draw(st.dictionaries(names, any_json, max_size=4))

    outcome(tool, {**LEAST[tool.name], **wild})
    outcome(tool, wild)


@pytest.mark.parametrize("name", sorted(name for name in PLACES if any(len(path) > 1 for path, _ in PLACES[name])))
@settings(thorough, max_examples=60)
@given(data=st.data())
def test_any_json_inside_a_row_passes_or_is_refused(name: str, data: st.DataObject) -> None:
    """Ours: objects in arrays are as safe as the top level."""
    inner = [path for path, _ in PLACES[name] if len(path) > 1]

    arguments = plant(name, data.draw(st.sampled_from(inner)), data.draw(any_json))

    outcome(BY_NAME[name], arguments)


def matching(schema: Mapping[str, Any], *, plausible: bool) -> st.SearchStrategy[Any]:
    """Values that keep what the schema says; what only code checks they may break, unless they are plausible."""
    match schema:
        case {"enum": _}:
            return st.sampled_from(list[Any](schema["enum"]))
        case {"format": "date"}:
            return st.dates().map(str)
        case {"pattern": _}:
            return st.from_regex(str(schema["pattern"]))
        case {"type": "string"}:
            return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 60))
        case {"type": "integer"}:
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case {"type": "number"}:
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "array"}:
            rows = matching(schema["items"], plausible=plausible)
            return st.lists(rows, min_size=schema.get("minItems", 0), max_size=2 if plausible else 4)
        case _:
            return objects(schema, plausible=plausible)


digits = st.text("0123456789", min_size=5, max_size=9)
words = st.text("ABab 01-", min_size=1, max_size=9).map(lambda text: f"W{text}")
PLAUSIBLE: Mapping[str, st.SearchStrategy[Any]] = {
    r".*(^|_)id": st.uuids().map(str),
    r".*email": st.just("ap@b.example"),
    r"url": st.just("https://b.example/hook"),
    r".*_(start|end|after)": st.datetimes().map(lambda moment: moment.isoformat()),
    r"amount_cents_.*": st.just(5),
    r"(.*_)?state": st.just("AL"),
    r"invoice_number": st.text("AB01-/ ", min_size=1, max_size=20).map(lambda text: f"N{text}"),
    r"invoice_date": st.just(invoice()["invoice_date"]),
    r"discount_amount_cents": st.just(0),
    r"(.*_)?(account|routing)_number": digits,
    r"(.+_)?bank_routing_number": st.sampled_from(["021000021", "011401533"]),
    r"payment_terms": st.integers(0, 365),
    r"twelve_month_.*": st.integers(0, 10**6),
    r"(tax_id|password)": digits,
    r"ssn": st.sampled_from(["078-05-1120", "078051120"]),
    r"(first|last)_name|address_?1|city|zipcode|postal_code|passport.*|drivers_license_number|(sub_)?category": words,
    r"enabled|controlling_owner": st.just(value=True),
    r"clear": st.just(["notes"]) | st.just(["phone"]) | st.just(["remit_data"]),
}


def objects(schema: Mapping[str, Any], *, plausible: bool) -> st.SearchStrategy[Arguments]:
    """Objects with all that is required and some of the rest."""
    required = schema.get("required", [])
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for name, inner in schema["properties"].items():
        known = [strategy for pattern, strategy in PLAUSIBLE.items() if plausible and re.fullmatch(pattern, name)]
        strategies[name] = known[-1] if known else matching(inner, plausible=plausible)
    optional = {name: inner for name, inner in strategies.items() if name not in required}
    return st.fixed_dictionaries({name: strategies[name] for name in required}, optional=optional)


def strategies(name: str) -> st.SearchStrategy[Arguments]:
    """Arguments that keep the schema; of one kind in three, most keep the rules between fields as well."""
    likely = objects(SCHEMAS[name], plausible=True)
    return likely.map(lambda drawn: {**drawn, **LEAST[name]}) | likely | objects(SCHEMAS[name], plausible=False)


STRATEGIES = {name: strategies(name) for name in SCHEMAS}


@thorough
@given(tool=tools, data=st.data())
def test_what_keeps_the_schema_is_taken_as_it_is_or_refused_by_a_name_it_declares(
    tool: ToolSpec, data: st.DataObject
) -> None:
    """Ours: rules beyond the schema point at a field that the schema has, and nothing is altered on the way."""
    arguments = data.draw(STRATEGIES[tool.name])
    known = {"", *(re.sub(r"\W+0\W*", "", ".".join(map(str, path))) for path, _ in PLACES[tool.name])}

    refusal = outcome(tool, arguments)

    if refusal is None:
        wire = check(tool, arguments).wire
        cleared: list[str] = arguments.get("clear", [])
        for name, value in arguments.items():
            if name not in tool.local_names and value not in ("", []) and not isinstance(value, list):
                assert wire[name] == value
        assert set(wire) <= {*arguments, *cleared}
        return
    for problem in refusal.problems:
        assert re.sub(r"\[\d+\]\.?", "", problem.field) in known
        assert problem.problem


def forms(value: str) -> list[Any]:
    """A value where it does not belong, in every shape that JSON has."""
    number = int(re.sub(r"\D", "", value) or "0")
    return [
        value,
        f" {value}\n",
        f"{{{value}}} %s {{0}}",
        value * 200,
        [value],
        [[value]],
        {value: value},
        {"name": value, "value": [value]},
        number,
        -number,
        number + 0.5,
        [number],
        f"https://user:{value}@[b.example",
        f"{value}@b.example, {value}@b.example",
        f"2026-02-30T{value}",
        f"****{value}",
    ]


def leaks(tool: ToolSpec, path: tuple[Step, ...], value: Any, marker: str) -> bool:
    """Whether a refusal of the value at this place repeats the marker or its digits."""
    refusal = outcome(tool, plant(tool.name, path, value))
    digits = re.sub(r"\D", "", marker)
    return refusal is not None and (marker in said(refusal) or digits in said(refusal))


@every_tool
def test_no_refusal_repeats_a_value(tool: ToolSpec) -> None:
    """Ours: a refused value may be a bank account or a password, and an error is read, logged and passed on."""
    for path, _ in PLACES[tool.name]:
        for value in forms(MARKED):
            assert not leaks(tool, path, value, MARKED), (path, value)


@thorough
@given(tool=tools, data=st.data(), text=st.text(max_size=12))
def test_no_refusal_repeats_a_value_of_any_kind(tool: ToolSpec, data: st.DataObject, text: str) -> None:
    """Ours: whatever surrounds the value, and wherever it stands."""
    path, _ = data.draw(st.sampled_from(PLACES[tool.name]))
    marker = f"{text}{MARKED}{text}"

    assert not leaks(tool, path, data.draw(st.sampled_from(forms(marker))), MARKED)


REPEATED = {
    "invoices": ("finexio_invoices_bulk_create", "invoice_number"),
    "supplier contacts": ("create_a_finexio_supplier_contact", "external_reference_id"),
    "buyer contacts": ("create_a_finexio_buyer_contact", "external_reference_id"),
    "contacts of a new supplier": ("create_a_finexio_supplier", "external_reference_id"),
    "contacts of a new buyer": ("create_a_finexio_buyer", "external_reference_id"),
}


@pytest.mark.parametrize("rows", REPEATED)
def test_no_refusal_of_a_rule_between_fields_repeats_a_value(rows: str) -> None:
    """Ours: rules over several rows name places, not contents."""
    tool, key = REPEATED[rows]
    array = "invoices" if rows == "invoices" else "contacts"
    row = invoice(originating_counterparty_id=MARKED) if array == "invoices" else {"primary": True, "name": MARKED}

    refusal = outcome(BY_NAME[tool], {**LEAST[tool], array: [{**row, key: MARKED}] * 2})

    assert refusal is not None
    assert MARKED not in said(refusal)


BAD_METADATA: list[Any] = [{MARKED: [1]}, {MARKED: {"a": 1}}, [{"name": MARKED, "value": [1]}]]
OF_INVOICES: list[Any] = [{MARKED: None}, [{"name": MARKED, "value": []}]]
OF_SUPPLIERS_AND_BUYERS: list[Any] = [{MARKED: "x" * 101}, {"x" * 26: MARKED}, {f"_{MARKED}": "x"}]
"""There a value may be null, and keys and values have bounds."""


@pytest.mark.parametrize("tool", [name for name in PLACES if ("metadata",) in {path[-1:] for path, _ in PLACES[name]}])
def test_no_refusal_repeats_a_key_of_metadata(tool: str) -> None:
    """Ours: keys there are the caller's own words, as values are."""
    (path,) = [path for path, _ in PLACES[tool] if path[-1] == "metadata"]

    for metadata in [*BAD_METADATA, *(OF_INVOICES if len(path) > 1 else OF_SUPPLIERS_AND_BUYERS)]:
        refusal = outcome(BY_NAME[tool], plant(tool, path, metadata))
        assert refusal is not None, metadata
        assert MARKED not in said(refusal), metadata
