"""Secrets planted everywhere, and looked for everywhere: in results, in errors, in logs at their most talkative."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from finexio_mcp.logs import JsonFormatter, TextFormatter
from finexio_mcp.simulator import Fault, Simulator
from tests.calls import (
    BARE,
    BUYER,
    CREATE_BUYER,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    CREATE_WEBHOOK,
    EVERY_TOOL,
    HOOK,
    INVOICE,
    PATCH_BUYER,
    PATCH_COUNTERPARTY,
    PATCH_SUPPLIER,
    PATCH_WEBHOOK,
    PAY,
    PAYEE,
    PAYER,
    PAYMENT,
    READS,
    REPLACE_BUYER,
    REPLACE_SUPPLIER,
    REPLACE_WEBHOOK,
    SUPPLIER,
    WEBHOOK,
    WRITES,
    Content,
    FakeClock,
    Reply,
    Upstream,
    ask,
    connect_at,
    invoice,
    office,
    office_for,
    reply,
)
from tests.conftest import ERAS, Era, connect

pytestmark = pytest.mark.parametrize("era", ERAS)

ACCOUNT, ROUTING, TAX_ID, CUSTOMER = "948173650284", "991234561", "41-7730925", "5519028374"
DRAWN, REFUNDED = "730194852266", "660273918454"
SSN, PASSPORT, LICENSE = "731-06-4829", "QX77KQZV", "ZD40928ZWKP"
HOOK_PASSWORD, API_PASSWORD = "hook-Zebra-77", "api-Quokka-88"
SECRETS = {
    "bank account": ACCOUNT,
    "routing": ROUTING,
    "tax id": TAX_ID,
    "tax id without its dash": TAX_ID.replace("-", ""),
    "customer account": CUSTOMER,
    "drawdown account": DRAWN,
    "refund account": REFUNDED,
    "social security number": SSN,
    "passport": PASSPORT,
    "driver's license": LICENSE,
    "webhook password": HOOK_PASSWORD,
    "API password": API_PASSWORD,
}
BANK = {"bank_account_number": ACCOUNT, "bank_routing_number": ROUTING, "tax_id": TAX_ID}
OWNER = {
    "controlling_owner": True,
    "first_name": "Ada",
    "last_name": "Stone",
    "country_code": "USA",
    "address1": "12 Hill St",
    "city": "Boise",
    "state": "ID",
    "postal_code": "83702",
    "date_of_birth": "1979-03-02",
    "email": "ada@store.example",
    "ssn": SSN,
    "passport": PASSPORT,
    "passport_country": "CAN",
    "drivers_license_number": LICENSE,
    "drivers_license_state": "ID",
}
FUNDING = {
    "tax_id": TAX_ID,
    "funding_method": "ach_debit",
    "drawdown_bank_account_number": DRAWN,
    "drawdown_bank_routing_number": ROUTING,
    "refund_bank_account_number": REFUNDED,
    "refund_bank_routing_number": ROUTING,
    "owners": [OWNER],
}


ENDS = (SSN[-4:], PASSPORT[-4:], LICENSE[-4:])
"""Of these numbers not even so much is shown."""


def found_in(*places: Any) -> list[str]:
    """Names of the secrets that can be read there, with or without separators between their characters."""
    text = "\n".join(map(str, places))
    bare = "".join(filter(str.isalnum, text))
    return [name for name, secret in SECRETS.items() if secret in text or "".join(filter(str.isalnum, secret)) in bare]


def ends_in(*places: Any) -> list[str]:
    """The ends of the owners' papers that stand there by themselves, as behind a mask; ids hold any digits."""
    return re.findall(rf"(?<![0-9A-Za-z])(?:{'|'.join(ENDS)})(?![0-9A-Za-z])", "\n".join(map(str, places)))


@contextmanager
def every_log_line() -> Generator[io.StringIO]:
    """All that this process would log with every logger at DEBUG, in both forms that our handlers write."""
    stream, root = io.StringIO(), logging.getLogger()
    before, handlers = root.level, [logging.StreamHandler(stream) for _ in range(2)]
    for handler, formatter in zip(handlers, (TextFormatter(), JsonFormatter()), strict=True):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)


def loaded() -> Simulator:
    """An office with a secret in every place that may hold one."""
    sim = office()
    sim.quirks.webhook_put_empty = False
    sim.suppliers[SUPPLIER] |= {**BANK, "notes": f"New account {ACCOUNT}, routing no. {ROUTING}, EIN {TAX_ID}"}
    sim.buyers[BUYER] |= {**FUNDING, "owners": [{**OWNER}], "dba_name": f"Store {PASSPORT}, {SSN}"}
    sim.buyers[BUYER]["metadata"] = {"ssn": SSN, "note": f"license {LICENSE}", "drawdown": f"a/c {DRAWN}"}
    sim.invoices[INVOICE] |= {
        "account_number": CUSTOMER,
        "note": f"Account {CUSTOMER[:4]} {CUSTOMER[4:7]}-{CUSTOMER[7:]} at the supplier",
        "metadata": {"bank_account_number": ACCOUNT, "tax_id": TAX_ID},
    }
    sim.payments[PAYMENT]["invoices"][0]["public_account_number"] = CUSTOMER
    sim.webhooks[WEBHOOK]["password"] = HOOK_PASSWORD
    old = f"{ACCOUNT[:-1]}9"
    sim.history[0]["changes"] = {"bank_account_number": [old, ACCOUNT], "tax_id": ["None", TAX_ID]}
    return sim


@pytest.mark.parametrize("shape", ["guide", "spec", "snapshot"])
async def test_no_read_shows_a_planted_secret(shape: Any, era: Era) -> None:
    """Ours: in whichever shape and with every field asked for, at most the last four come through."""
    sim = loaded()
    sim.quirks.history_shape = shape
    sim.history[0]["_snapshot"] |= BANK

    with every_log_line() as log:
        async with connect(sim, era, **EVERY_TOOL) as client:
            contents = [await ask(client, tool, arguments) for tool, arguments in READS.items()]
            contents += [
                await ask(client, tool, arguments, fields=["*"])
                for tool, arguments in READS.items()
                if "image" not in tool and tool not in BARE
            ]

    assert found_in(contents, log.getvalue()) == []
    assert ends_in(contents, log.getvalue()) == []
    assert all(f"****{number[-4:]}" in str(contents) for number in (ACCOUNT, DRAWN, REFUNDED))
    assert sim.journal.requests


WITH_SECRETS: dict[str, dict[str, Any]] = {
    CREATE_COUNTERPARTY: {
        **WRITES[CREATE_COUNTERPARTY],
        **BANK,
        "payment_method": "ACH",
        "remit_email": "ar@quay.example",
        "notes": f"Bank account {ACCOUNT}",
    },
    PATCH_COUNTERPARTY: {"id": SUPPLIER, **BANK, "notes": f"Bank account {ACCOUNT}"},
    CREATE_SUPPLIER: {**PAYEE, **BANK, "notes": f"Bank account {ACCOUNT}", "metadata": {"account_number": CUSTOMER}},
    REPLACE_SUPPLIER: {"id": SUPPLIER, **PAYEE, **BANK, "payment_method": "ACH", "care_of": f"a/c {ACCOUNT}"},
    PATCH_SUPPLIER: {"id": SUPPLIER, **BANK, "metadata": {"tax_id": TAX_ID}},
    CREATE_BUYER: {**PAYER, **FUNDING, "remit_data": f"SSN {SSN}"},
    REPLACE_BUYER: {"id": BUYER, **PAYER, **FUNDING, "metadata": {"passport": PASSPORT, "account_number": DRAWN}},
    PATCH_BUYER: {"id": BUYER, **FUNDING, "dba_name": f"Store {LICENSE}"},
    CREATE_WEBHOOK: {**HOOK, "password": HOOK_PASSWORD},
    REPLACE_WEBHOOK: {"id": WEBHOOK, **HOOK, "password": HOOK_PASSWORD},
    PATCH_WEBHOOK: {"id": WEBHOOK, "password": HOOK_PASSWORD},
    PAY: {"invoices": [invoice(account_number=CUSTOMER, note=f"Account {CUSTOMER}", metadata={"tax_id": TAX_ID})]},
}


def echoing(request: httpx2.Request) -> Reply:
    """A Finexio that repeats in its refusal whatever it was sent."""
    return reply(400, {"detail": f"Cannot read {request.content.decode()}"})


def echoing_by_field(request: httpx2.Request) -> Reply:
    """The same, field by field."""
    sent: Any = json.loads(request.content)
    fields = cast("dict[str, Any]", sent[0] if isinstance(sent, list) else sent)
    return reply(400, {name: [f"'{value}' is not valid."] for name, value in fields.items()})


@pytest.mark.parametrize("tool", WITH_SECRETS)
async def test_no_write_shows_what_it_was_given_in_secret(tool: str, era: Era) -> None:
    """Ours: taken, refused, echoed, lost or answered with nonsense, a secret stays in the request alone."""
    arguments = WITH_SECRETS[tool]
    contents: list[Content] = []
    misfortunes = [Fault(status=500), Fault(lost_answer=True), Fault(body=b"<html>"), Fault(connect_error=True)]

    with every_log_line() as log:
        for fault in [None, *misfortunes]:
            sim = office_for(tool)
            if fault:
                sim.fault(fault, times=None, match=lambda request: request.method != "GET")
            async with connect_at(FakeClock(), sim, era) as client:
                contents.append(await ask(client, tool, arguments))
        for refusal in (echoing, echoing_by_field, RuntimeError(f"{arguments} {API_PASSWORD}")):
            async with connect_at(FakeClock(), Upstream(refusal), era) as client:
                contents.append(await ask(client, tool, arguments))

    assert contents[0]["status"] == "confirmed"
    assert found_in(contents, log.getvalue()) == []
    assert ends_in(contents, log.getvalue()) == []


def ledgers_under(directory: Path) -> list[str]:
    """Every byte of every ledger there."""
    return [path.read_bytes().decode("latin-1") for path in directory.rglob("ledger.db")]


@pytest.mark.parametrize("tool", WITH_SECRETS)
async def test_the_ledger_holds_no_secret(tool: str, era: Era, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: taken, lost or refused, what is written down for later recognises a value and does not hold it."""
    settings = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_MCP_ACCESS": "pay", "FINEXIO_USERNAME": "demo"}
    settings["FINEXIO_MCP_WEBHOOK_HOSTS"] = "hooks.acme.example"
    misfortunes: list[tuple[Fault | None, str]] = [
        (None, "demo"),
        (Fault(lost_answer=True), "demo"),
        (None, API_PASSWORD),
    ]

    # Where hosts are listed, a changed webhook has to name its own.
    arguments = {**WITH_SECRETS[tool], **({"url": HOOK["url"]} if tool == PATCH_WEBHOOK else {})}

    for number, (fault, password) in enumerate(misfortunes):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / str(number)))
        sim = office_for(tool)
        if fault:
            sim.fault(fault, times=None, match=lambda request: request.method != "GET")
        async with connect_at(FakeClock(), sim, era, **settings, FINEXIO_PASSWORD=password) as client:
            await ask(client, tool, arguments)

    ledgers = ledgers_under(tmp_path)
    # Who looks first, and is turned away, has nothing to write down.
    unwritten = 1 if tool in {PATCH_SUPPLIER, PATCH_BUYER} else 0
    assert sum(tool in ledger for ledger in ledgers) == len(misfortunes) - unwritten
    assert found_in(*ledgers) == []


@pytest.mark.parametrize("tool", WITH_SECRETS)
async def test_no_refused_argument_is_repeated(tool: str, era: Era) -> None:
    """Ours: a problem names the field and the rule, never the value, nor a name that is none."""
    spoilt = [
        {**WITH_SECRETS[tool], HOOK_PASSWORD: 1},
        {**WITH_SECRETS[tool], ACCOUNT: {"x": ACCOUNT}},
        {**dict.fromkeys(WITH_SECRETS[tool], (ACCOUNT, HOOK_PASSWORD, TAX_ID)), "x": ROUTING},
        {
            **WITH_SECRETS[tool],
            **dict.fromkeys(("bank_account_number", "url", "note"), f"{ACCOUNT}*{HOOK_PASSWORD}"),
        },
        {**WITH_SECRETS[tool], "owners": [{**OWNER, "ssn": f"{SSN}-1", "passport": f"{PASSPORT}*", SSN: 1}]},
        {"invoices": [{ACCOUNT: 1, "account_number": f"****{CUSTOMER}", "amount_cents": ACCOUNT}]},
    ]
    sim = office()

    with every_log_line() as log:
        async with connect(sim, era, **EVERY_TOOL) as client:
            contents = [await ask(client, tool, arguments) for arguments in spoilt]

    assert {content["error"]["code"] for content in contents} == {"invalid_arguments"}
    assert sim.journal.requests == []
    assert found_in([content["error"] for content in contents], log.getvalue()) == []
    assert ends_in([content["error"] for content in contents], log.getvalue()) == []


async def test_credentials_appear_in_no_answer_and_no_log(era: Era) -> None:
    """Ours: right or wrong, user name aside, they travel in one header and nowhere else."""
    sim = Simulator(seed=1, populated=False, password=API_PASSWORD)

    with every_log_line() as log:
        async with connect(sim, era, FINEXIO_PASSWORD=API_PASSWORD) as client:
            right = await ask(client, "list_all_finexio_invoices")
        async with connect(office(), era, FINEXIO_PASSWORD=API_PASSWORD) as client:
            wrong = await ask(client, "list_all_finexio_invoices")

    token = base64.b64encode(f"demo:{API_PASSWORD}".encode()).decode()
    assert (right["result_count"], wrong["error"]["code"]) == (0, "not_authorized")
    assert found_in(right, wrong, log.getvalue()) == []
    assert token not in f"{right} {wrong} {log.getvalue()}"


async def test_a_masked_number_is_not_taken_back(era: Era) -> None:
    """Ours: what was read masked and is sent again would overwrite the real number."""
    sim = loaded()
    sim.suppliers[SUPPLIER]["payment_method"] = "ACH"

    async with connect(sim, era) as client:
        shown = (await ask(client, "get_single_finexio_counterparty_by_id", id=SUPPLIER))["result"]
        sim.journal.clear()
        refused = [
            await ask(client, PATCH_COUNTERPARTY, {"id": SUPPLIER, name: shown[name]})
            for name in ("bank_account_number", "bank_routing_number", "tax_id")
        ]
        last_four = await ask(client, PATCH_COUNTERPARTY, id=SUPPLIER, bank_account_number=ACCOUNT[-4:])

    assert {content["error"]["code"] for content in [*refused, last_four]} == {"invalid_arguments"}
    assert sim.journal.requests == []


async def test_only_the_operator_unmasks_and_never_a_password(era: Era) -> None:
    """Ours: field by field."""
    async with connect(loaded(), era, FINEXIO_MCP_UNMASK="bank_routing_number") as client:
        shown = (await ask(client, "get_single_finexio_counterparty_by_id", id=SUPPLIER))["result"]
        hook = await ask(client, "get_single_finexio_webhook_by_id", id=WEBHOOK, fields=["*"])

    assert (shown["bank_routing_number"], shown["bank_account_number"]) == (ROUTING, "****0284")
    assert found_in(hook) == []


async def test_image_links_are_answered_and_never_logged(era: Era) -> None:
    """Ours: a link to a check is as good as the check."""
    with every_log_line() as log:
        async with connect(loaded(), era) as client:
            content = await ask(client, "get_single_finexio_payment_image_by_id", payment_id=PAYMENT)

    assert content["result"]["check_image_url"] not in log.getvalue()
    assert "/images/" not in log.getvalue()


async def test_ids_and_filters_are_not_logged(era: Era) -> None:
    """Ours: the log says which tool, how it ended and how long it took."""
    with every_log_line() as log:
        async with connect(office(), era) as client:
            await ask(client, "list_all_finexio_counterparties", name="Marked Name")
            await ask(client, "get_single_finexio_invoice_by_id", id="marked-id")
            await ask(client, PAY, {"invoices": [invoice("MARKED-1", note="marked note")]})

    lines = log.getvalue().lower()
    assert "list_all_finexio_counterparties ok" in lines
    assert "get_single_finexio_invoice_by_id not_found" in lines
    assert f"{PAY} confirmed op_" in lines
    assert "marked" not in lines
