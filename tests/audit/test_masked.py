"""Arguments as they are kept: secrets planted everywhere a caller can put one, and looked for in all that is kept."""

from __future__ import annotations

import base64
import json
import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp import catalog
from finexio_mcp.audit import masked as masking
from finexio_mcp.audit.exporting import CSV, JSONL, MANIFEST, export
from finexio_mcp.audit.masked import MAX_CHARS, Masked
from finexio_mcp.audit.reading import Filter
from finexio_mcp.calls import Ended
from finexio_mcp.guards.masking import Mask
from tests.audit.conftest import START_MS, World, call, file_settings

ACCOUNT, ROUTING, TAX_ID, SSN = "948173650284", "991234561", "41-7730925", "731-06-4829"
PASSPORT, HOOK_PASSWORD, API_PASSWORD, API_USER = "QX77KQZV", "hook-Zebra-77", "api-Quokka-88", "ops@acme.example"
BASIC = base64.b64encode(f"{API_USER}:{API_PASSWORD}".encode()).decode()
OURS = (API_PASSWORD, BASIC)
SECRETS = (ACCOUNT, ROUTING, TAX_ID, SSN, PASSPORT, HOOK_PASSWORD, API_PASSWORD, BASIC)
SCHEMAS: dict[str, Any] = {name: listed.entry["inputSchema"] for name, listed in catalog.read().items()}
PAY, HOOK, SUPPLIER, BUYER = (
    "finexio_invoices_bulk_create",
    "create_a_finexio_webhook",
    "create_a_finexio_counterparty",
    "create_a_finexio_buyer",
)


def kept(tool: str, arguments: Any) -> Any:
    return json.loads(Masked(lambda: OURS).arguments(tool, arguments))


def secrets_in(*places: Any) -> list[str]:
    """The secrets that can be read there, with or without separators between their characters."""
    text = "\n".join(map(str, places))
    bare = "".join(filter(str.isalnum, text))
    return [secret for secret in SECRETS if secret in text or "".join(filter(str.isalnum, secret)) in bare]


def test_arguments_are_kept_as_the_tool_declares_them() -> None:
    """Ours: what an auditor asks about stands there."""
    invoice = {
        "invoice_number": "HP-20931",
        "amount_cents": 128_450,
        "currency": "USD",
        "invoice_date": "2026-11-01",
        "originating_counterparty_id": "9d0c2b1e-8a7f-4c3d-9e2b-1f0a5c6d7e8f",
        "account_number": ACCOUNT,
        "note": f"acct {ACCOUNT}, see PO 4711",
        "metadata": {"cost centre": "12", "ssn": SSN},
    }
    assert kept(PAY, {"invoices": [invoice]}) == {
        "invoices": [
            {
                **invoice,
                "account_number": "****0284",
                "note": "acct ****0284, see PO 4711",
                "metadata": [{"name": "cost centre", "value": "12"}, {"name": "ssn", "value": "****"}],
            }
        ]
    }


def test_a_password_is_told_only_to_be_there() -> None:
    """Ours: and of a URL no more than where it leads."""
    url = f"https://{API_USER}:{HOOK_PASSWORD}@hooks.acme.example/fx?key={HOOK_PASSWORD}#{HOOK_PASSWORD}"
    arguments = {"event": "payment.changed", "url": url, "username": "fx", "password": HOOK_PASSWORD}

    assert kept(HOOK, arguments) == {
        "event": "payment.changed",
        "url": "https://hooks.acme.example/fx?****",
        "username": "fx",
        "password": "****",
    }


def test_what_the_operator_unmasks_in_answers_stays_masked_here(tmp_path: Path) -> None:
    """Ours: an audit is read by more people, and for longer."""
    world = World(file_settings(tmp_path, FINEXIO_MCP_UNMASK="bank_account_number"))
    arguments = {"name": "Quayside", "bank_account_number": ACCOUNT, "bank_routing_number": ROUTING}
    anyio.run(world.record, call(SUPPLIER, "write", arguments=arguments))

    assert json.loads(world.rows()[0]["arguments"]) == {
        "name": "Quayside",
        "bank_account_number": "****0284",
        "bank_routing_number": "****4561",
    }


def test_what_the_tool_does_not_declare_is_counted() -> None:
    """Ours: names and values of it may be anything, at any depth."""
    arguments = {
        "status": "settled",
        HOOK_PASSWORD: 1,
        "authorization": f"Basic {BASIC}",
        "limit": 5,
    }
    assert kept("list_all_finexio_payments", arguments) == {"status": "settled", "limit": 5, "(unknown)": 2}
    assert kept(PAY, {"invoices": [{"invoice_number": "1", "x": ACCOUNT}]}) == {
        "invoices": [{"invoice_number": "1", "(unknown)": 1}]
    }
    assert kept("no_such_tool", {"a": 1}) == {"(unknown)": 1}
    assert kept(PAY, None) == {}


def test_of_a_value_in_another_shape_only_the_type_is_told() -> None:
    """Ours: a call that was refused may hold anything."""
    for value, told in (
        ({"a": ACCOUNT}, "(an object)"),
        ([ACCOUNT], "(a list)"),
        (int(ACCOUNT), "(a number)"),
        (1.5, "(a number)"),
        (True, "(true or false)"),
    ):
        assert kept(SUPPLIER, {"name": value, "bank_account_number": value}) == {
            "name": told,
            "bank_account_number": told,
        }
    assert kept("list_all_finexio_payments", {"limit": ACCOUNT, "created_start": ACCOUNT}) == {
        "limit": "(a text)",
        "created_start": "(a text)",
    }
    assert kept(PAY, {"invoices": f'[{{"note": "{ACCOUNT}"}}]'}) == {"invoices": "(a text)"}
    assert kept(PAY, {"invoices": [{"amount_cents": int(ACCOUNT)}, ACCOUNT]}) == {
        "invoices": [{"amount_cents": "(a number)"}, "(a text)"]
    }
    assert kept(SUPPLIER, {"name": f'{{"password": "{HOOK_PASSWORD}"}}'}) == {"name": "(a text)"}


def test_a_cursor_is_not_kept() -> None:
    """Ours: it carries filters in a form of its own."""
    assert kept("list_all_finexio_payments", {"next_cursor": "abc"}) == {"next_cursor": "(a cursor)"}


def test_numbers_that_may_be_an_account_are_masked_where_no_identifier_stands() -> None:
    """Ours: a confused caller puts them anywhere; ids, invoice numbers and dates stay, or the audit says nothing."""
    shown = kept(SUPPLIER, {"name": f"Pay {ACCOUNT}", "address_1": ROUTING, "internal_id": ACCOUNT})
    assert shown == {"name": "Pay ****0284", "address_1": "****", "internal_id": ACCOUNT}
    for arguments in ({"zipcode": "83702-1234"}, {"zipcode": "M5V 1A1"}):
        assert kept(BUYER, arguments) == arguments
    assert kept(BUYER, {"zipcode": SSN}) == {"zipcode": "****"}
    assert kept("list_all_finexio_payments", {"created_start": "2026-11-01"}) == {"created_start": "2026-11-01"}


def test_what_others_sign_in_with_is_masked_by_its_look() -> None:
    """Ours: a caller may repeat its own token, or a header of somebody else's."""
    notes = (
        "Authorization: Basic dXNlcjpwYXNz, Bearer abc.def, fmcp_abcdefghijkl_0aB1-xyz, eyJhbGciOiJ9.eyJzdWIiOiJ9.c2ln"
    )

    shown = {"notes": "Authorization: Basic ****, Bearer ****, ****, ****"}
    assert kept(SUPPLIER, {"notes": notes}) == shown


def test_an_identifier_that_is_a_known_secret_is_masked_too() -> None:
    """Ours: what stands under a secret's own name is a secret wherever it recurs, in rows that are left out too."""
    rows = [{"invoice_number": f"A{number}", "accounting_id": ACCOUNT} for number in range(300)]
    rows[299]["account_number"] = ACCOUNT
    shown = kept(PAY, {"invoices": rows})

    assert secrets_in(shown) == []
    assert shown["invoices"][0]["accounting_id"] == "****0284"


def test_long_batches_keep_their_first_rows() -> None:
    """Ours: all rows stand in the ledger, under the op_id; the audit says how many it left out."""
    rows = [
        {"invoice_number": f"HP-{number}", "amount_cents": number + 1, "note": "paper " * 20} for number in range(500)
    ]
    text = Masked().arguments(PAY, {"invoices": rows})
    shown = json.loads(text)

    assert len(text) <= MAX_CHARS
    assert shown["(more)"] == {"invoices": 500 - len(shown["invoices"])}
    assert shown["invoices"][0]["invoice_number"] == "HP-0"
    assert len(text) > MAX_CHARS - 400


def test_texts_are_bounded_and_on_one_line() -> None:
    """Ours: whatever the caller sent."""
    shown = kept(SUPPLIER, {"name": "a" * 100, "notes": "x\u202e\n\x00" * 300, "city": "b" * 10**6})

    assert len(shown["notes"]) <= 1_000
    assert not any(character in shown["notes"] for character in "\u202e\x00\n")
    everything = dict.fromkeys(SCHEMAS[BUYER]["properties"], "z" * 1_000)
    assert len(Masked().arguments(BUYER, everything)) <= MAX_CHARS


def test_what_is_nested_too_deeply_is_no_trouble() -> None:
    """Ours: only its type is told, and nothing walks down there."""
    deep: Any = ACCOUNT
    for _ in range(900):
        deep = [deep]

    assert kept(SUPPLIER, {"name": deep, "x": deep}) == {
        "name": "(a list)",
        "(unknown)": 1,
        "(too much to look at)": True,
    }


def test_a_call_whose_arguments_cannot_be_masked_is_kept_without_them(
    in_file: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: that there was a call matters more than what it said."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError(ACCOUNT)

    monkeypatch.setattr(masking, "_fitted", broken)
    anyio.run(in_file.record, call(arguments={"status": "settled"}))

    assert json.loads(in_file.rows()[0]["arguments"]) == {"(not readable)": True}
    assert ACCOUNT not in caplog.text


# Floods ----------------------------------------------------------------------------

FLOODS: dict[str, dict[str, Any]] = {
    "names": {f"k{number}": number for number in range(60_000)},
    "values that the tool does not have": {"x": list(range(101))},
    "long texts": {"city": "b" * 10**6},
    "names inside": {"invoices": [{"invoice_number": "HP-1", **{f"k{number}": 1 for number in range(200)}}]},
    "names of its own": {"metadata": {f"k{number}": "1" for number in range(1_001)}},
    "pairs": {"invoices": [{"metadata": [{"name": f"k{number}", "value": "1"}]} for number in range(1_001)]},
    "rows": {"invoices": [{"invoice_number": f"HP-{number}"} for number in range(30_001)]},
    "passwords": {"password": [f"Passw0rd-{number}" for number in range(21)]},
    "JSON": {"invoices": [{"note": json.dumps({f"k{number}": 1 for number in range(2_000)})}]},
}


@pytest.mark.parametrize("arguments", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_not_looked_through(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: all other calls wait meanwhile. What cannot hold a secret is kept, and it says so."""
    asked: list[int] = []
    real = Mask.learn

    def counted(mask: Mask, *values: Any) -> Any:
        asked.append(len(values[0]))
        return real(mask, *values)

    monkeypatch.setattr(Mask, "learn", counted)
    rows = [{"invoice_number": ACCOUNT, "amount_cents": 1200, "currency": "USD", "note": HOOK_PASSWORD}]
    shown = kept(PAY, {"invoices": rows, **arguments})

    assert shown["(too much to look at)"] is True
    assert secrets_in(shown) == []
    assert asked == ([2] if "password" in arguments else [])
    if "invoices" not in arguments:
        assert shown["invoices"] == [
            {"invoice_number": "(a text)", "amount_cents": 1200, "currency": "USD", "note": "(a text)"}
        ]


def test_the_largest_batch_is_no_flood() -> None:
    """Ours: of a payment that was made, the audit keeps what it says."""
    rows = [
        {
            "invoice_number": f"HP-{number}",
            "amount_cents": number + 1,
            "account_number": f"{10**9 + number}",
            "note": f'{{"cost centre": {number}}}',
            "metadata": [{"name": f"field {place}", "value": "x" * 20} for place in range(10)],
        }
        for number in range(500)
    ]
    shown = kept(PAY, {"invoices": rows})

    assert shown["invoices"][0]["invoice_number"] == "HP-0"
    assert "(too much to look at)" not in shown


# Everywhere ------------------------------------------------------------------------

IDENTIFIER = masking.ID
NAMES = sorted({name for schema in SCHEMAS.values() for name in schema["properties"]})


def is_identifier(name: str) -> bool:
    """Where a bare number stays, since nothing tells it from an id."""
    return name in masking.AS_THEY_ARE or IDENTIFIER.search(name) is not None


def forms(secret: str) -> st.SearchStrategy[Any]:
    """The ways in which a secret reaches a value that may be anything."""
    plain: list[Any] = [
        secret,
        f"acct: {secret}",
        f"Authorization: Basic {secret}",
        {"password": secret},
        {"bank_account_number": secret},
        {secret: 1},
        [secret],
        [[{"ssn": secret}]],
        f'{{"bank_account_number": "{secret}"}}',
        f"https://u:{secret}@hooks.example/x?k={secret}",
    ]
    if secret.isdigit():
        plain.append(int(secret))
    return st.sampled_from(plain)


KNOWN = {HOOK_PASSWORD: "password", PASSPORT: "passport", TAX_ID: "tax_id"}
"""Secrets that nothing about themselves gives away: these stand under their own name in the same call too."""


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A call of any tool, with secrets anywhere."""
    tool = draw(st.sampled_from(sorted(SCHEMAS)))
    arguments: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 4))):
        secret = draw(st.sampled_from(SECRETS))
        name = draw(st.sampled_from([*SCHEMAS[tool]["properties"], *NAMES[:5], "zzz", secret]))
        value = draw(forms(secret))
        by_its_name = secret in KNOWN or (is_identifier(name) and secret in (ACCOUNT, ROUTING))
        if by_its_name:
            arguments["unheard_of"] = {
                KNOWN.get(secret, "bank_account_number"): secret,
                **arguments.get("unheard_of", {}),
            }
            arguments.setdefault("also", []).append({KNOWN.get(secret, "bank_account_number"): secret})
        schema = SCHEMAS[tool]["properties"].get(name, {})
        if schema.get("type") == "array" and "properties" in schema["items"] and draw(st.booleans()):
            inner = draw(st.sampled_from([*schema["items"]["properties"], "zzz", secret]))
            if is_identifier(inner) and secret in (ACCOUNT, ROUTING):
                arguments.setdefault("also", []).append({"bank_account_number": secret})
            value = [{inner: value}]
        arguments[name] = value
    return tool, arguments


@given(made=calls())
@settings(deadline=None, max_examples=600)
def test_no_secret_is_kept_whatever_the_arguments(made: tuple[str, dict[str, Any]]) -> None:
    """Ours: under a sensitive name, an unknown one, in another shape, as a name, in free text, in a URL, as JSON."""
    tool, arguments = made
    text = Masked(lambda: OURS).arguments(tool, arguments)

    assert secrets_in(text) == []
    assert len(text) <= MAX_CHARS

    flood = Masked(lambda: OURS).arguments(tool, {**arguments, "flood": [None] * 101})
    assert "(too much to look at)" in flood
    assert secrets_in(flood) == []


def test_no_secret_reaches_the_database_an_export_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: looked for in the bytes of the file, and in every file of an export."""
    caplog.set_level(logging.DEBUG)
    found: list[Ended] = []

    @given(made=calls())
    @settings(deadline=None, max_examples=60, database=None)
    def collect(made: tuple[str, dict[str, Any]]) -> None:
        found.append(call(made[0], "write", arguments=made[1], client=f"x {API_PASSWORD}", outcome="invalid_arguments"))

    collect()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = World(file_settings(directory))

        async def record() -> None:
            async with world.log(secrets=OURS) as log:
                for each in found:
                    object.__setattr__(each, "access", "read")
                    await log.ended(each)

        anyio.run(record)
        assert len(world.rows()) == len(found)
        file = world.place.file
        assert file is not None
        with world.reader() as reader:
            export(reader, directory / "out", Filter(), now_ms=START_MS)
        texts = [(directory / "out" / name).read_text(encoding="utf-8") for name in (CSV, JSONL, MANIFEST)]
        # Hashes and the pages of the file hold digits of all kinds, so the file is looked through as it is.
        stored = file.read_bytes().decode("utf-8", errors="replace")
    assert [secret for secret in SECRETS if secret in stored or any(secret in text for text in texts)] == []
    assert secrets_in(caplog.text) == []
