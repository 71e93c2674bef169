"""Answers that look like success, or like nothing, and are neither."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.calls import (
    BUYER,
    BUYER_REFERENCE,
    CONTACT,
    CREATE_BUYER,
    CREATE_BUYER_CONTACT,
    CREATE_CONTACT,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    DELETE_BUYER_CONTACT,
    DELETE_CONTACT,
    DELETE_WEBHOOK,
    EVERY_TOOL,
    PATCH_BUYER,
    PATCH_COUNTERPARTY,
    PATCH_SUPPLIER,
    PAY,
    PAYMENT,
    READS,
    REFERENCE,
    REPLACE_BUYER,
    REPLACE_SUPPLIER,
    SUPPLIER,
    UPDATE_BUYER_CONTACT,
    UPDATE_CONTACT,
    WRITES,
    Content,
    FakeClock,
    Upstream,
    ask,
    connect_at,
    invoice,
    office,
    reply,
)
from tests.conftest import ERAS, Era, connect

pytestmark = pytest.mark.parametrize("era", ERAS)

GET_IMAGE = "get_single_finexio_payment_image_by_id"
LIST_IMAGES = "list_all_finexio_payment_images"
CONTACTS = [
    {"id": CONTACT, "external_reference_id": reference, "name": "Rae", "primary": True}
    for reference in (REFERENCE, BUYER_REFERENCE)
]
ANOTHER = {"id": "another", "name": "Another", "external_reference_id": "OTHER"}


@pytest.mark.parametrize(
    ("tool", "answers"),
    [
        (CREATE_COUNTERPARTY, [reply(201, {})]),
        (CREATE_COUNTERPARTY, [reply(201, {"detail": "queued"})]),
        (CREATE_COUNTERPARTY, [reply(201)]),
        (PATCH_COUNTERPARTY, [reply(200, {"id": "another", "name": "Another"})]),
        (UPDATE_CONTACT, [reply(200, CONTACTS), reply(200, {"external_reference_id": "another", "primary": True})]),
        (DELETE_CONTACT, [reply(200, CONTACTS), reply(200, False)]),
        (DELETE_CONTACT, [reply(200, CONTACTS), reply(200, {"detail": "not now"})]),
        (DELETE_WEBHOOK, [reply(200, {"detail": "no"})]),
        *((tool, [reply(200, {})]) for tool in (CREATE_SUPPLIER, CREATE_BUYER, REPLACE_SUPPLIER, REPLACE_BUYER)),
        *((tool, [reply(200, {"detail": "queued"})]) for tool in (CREATE_SUPPLIER, CREATE_BUYER)),
        *((tool, [reply(200)]) for tool in (CREATE_SUPPLIER, CREATE_BUYER, REPLACE_SUPPLIER, REPLACE_BUYER)),
        *((tool, [reply(200, ANOTHER)]) for tool in (REPLACE_SUPPLIER, REPLACE_BUYER)),
        (PATCH_SUPPLIER, [reply(200, {"id": SUPPLIER, "payment_method": "Card"}), reply(200, ANOTHER)]),
        (PATCH_BUYER, [reply(200, {"id": BUYER, "funding_method": "wire"}), reply(200, ANOTHER)]),
        (CREATE_BUYER_CONTACT, [reply(200, CONTACTS)]),
        (UPDATE_BUYER_CONTACT, [reply(200, CONTACTS), reply(200, {**ANOTHER, "primary": True})]),
        (DELETE_BUYER_CONTACT, [reply(200, CONTACTS), reply(200, False)]),
        (DELETE_BUYER_CONTACT, [reply(200, CONTACTS), reply(200, {"detail": "not now"})]),
    ],
)
async def test_a_write_is_confirmed_only_by_the_record_that_was_written(
    tool: str, answers: list[Any], era: Era
) -> None:
    """Ours: a 2xx that shows something else, or nothing, leaves the outcome open."""
    async with connect_at(FakeClock(), Upstream(*answers), era) as client:
        content = await ask(client, tool, WRITES[tool])

    assert (content["status"], content["error"]["code"], content["result"]) == ("in_doubt", "in_doubt", None)


@pytest.mark.parametrize("tool", [tool for tool in READS if tool not in {GET_IMAGE, LIST_IMAGES}])
@pytest.mark.parametrize("body", [{}, {"detail": "Maintenance."}])
async def test_an_object_that_is_no_record_is_not_taken_for_an_empty_list(tool: str, body: Any, era: Era) -> None:
    """Ours: no rows would read as "it is not there", and be paid again."""
    async with connect_at(FakeClock(), Upstream(reply(200, body)), era) as client:
        content = await ask(client, tool, READS[tool])

    assert content["error"]["code"] == "upstream_unreadable"


@pytest.mark.parametrize("tool", [GET_IMAGE, LIST_IMAGES])
@pytest.mark.parametrize("body", [None, "text", 5, {"detail": "Maintenance."}, [{"detail": "x"}]])
async def test_only_the_known_ways_of_saying_so_mean_no_image(tool: str, body: Any, era: Era) -> None:
    """Documented: an empty array or object, or a null link."""
    async with connect_at(FakeClock(), Upstream(reply(200, body)), era) as client:
        content = await ask(client, tool, payment_id=PAYMENT)

    assert content["error"]["code"] == "upstream_unreadable"


async def test_a_number_too_large_for_json_does_not_break_the_answer(era: Era) -> None:
    """Ours: 1e400 is JSON and infinite; the answer stays JSON that any reader takes."""
    body = b'{"id":"1","amount_cents":1e400,"metadata":{"rate":-1e999}}'

    async with connect_at(FakeClock(), Upstream(reply(200, body)), era) as client:
        content = await ask(client, "get_single_finexio_invoice_by_id", id="1")

    assert content["result"]["id"] == "1"
    assert content["result"]["amount_cents"] is None


def length(content: Content) -> int:
    return len(repr(content))


async def test_reasons_for_many_rows_stay_short(era: Era) -> None:
    """Ours: an error is under 10,000 characters, whatever Finexio has to say."""
    batch = [invoice(f"INV-{number:08}") for number in range(500)]
    reasons = [{"invoice_number": ['"Wrong\\" ' * 30]} if number % 2 else {} for number in range(500)]

    async with connect_at(FakeClock(), Upstream(reply(400, reasons)), era) as client:
        content = await ask(client, PAY, invoices=batch)

    assert length(content) < 10_000
    assert content["status"] == "in_progress"
    assert any("rows are left out" in notice for notice in content["notices"])


@pytest.mark.parametrize(("tool", "owner"), [(CREATE_CONTACT, "supplier_id"), (CREATE_BUYER_CONTACT, "buyer_id")])
async def test_what_a_write_created_fits_a_model_too(tool: str, owner: str, era: Era) -> None:
    """Ours: no result is longer than the operator allows; what names the contacts stays."""
    sim = office()
    contacts = [
        {"primary": False, "external_reference_id": f"REF-{n}", "name": "N" * 40, "email": f"{'e' * 30}{n}@a.example"}
        for n in range(50)
    ]

    async with connect(sim, era, **EVERY_TOOL, FINEXIO_MCP_RESULT_CHARS=5_000) as client:
        content = await ask(client, tool, {owner: WRITES[tool][owner], "contacts": contacts})

    assert content["status"] == "confirmed"
    assert [row["external_reference_id"] for row in content["result"]] == [f"REF-{n}" for n in range(50)]
    assert length(content) < 6_000


async def test_a_list_without_cursors_does_not_promise_one(era: Era) -> None:
    """Ours: whoever reads that more follows must be able to get it."""
    images = [{"check_image_url": f"https://img.example/{'x' * 1_000}{n}"} for n in range(40)]

    async with connect_at(FakeClock(), Upstream(reply(200, images)), era, FINEXIO_MCP_RESULT_CHARS=5_000) as client:
        content = await ask(client, LIST_IMAGES, payment_id=PAYMENT)

    assert content["next_cursor"] is None
    assert content["notices"] == [
        f"This answer was cut to fit: {content['result_count']} of 40 rows. The others cannot be shown."
    ]


def _headers(request: httpx2.Request) -> str:
    return str(dict(request.headers))


def _words(_request: httpx2.Request) -> str:
    return "the password is Tidewater-Secret-9!"


@pytest.mark.parametrize(
    "echo",
    [
        _headers,
        _words,
    ],
)
async def test_our_own_credentials_never_come_back(echo: Callable[[httpx2.Request], str], era: Era) -> None:
    """Ours: a proxy that echoes what it was sent does not hand the account to the model."""
    settings = {"FINEXIO_USERNAME": "ap-robot", "FINEXIO_PASSWORD": "Tidewater-Secret-9!"}
    upstream = Upstream(lambda request: reply(400, {"detail": echo(request), "id": echo(request)}))

    async with connect_at(FakeClock(), upstream, era, **settings) as client:
        content = await ask(client, "get_single_finexio_invoice_by_id", id="1")

    assert "Tidewater" not in str(content)
    assert upstream.requests[0].headers["authorization"].split()[1] not in str(content)


@pytest.mark.parametrize(
    ("field", "sentence", "shown"),
    [
        ("bank_account_number", "948173650284 is bad", "****0284 is bad"),
        ("tax_id", "12-3456789 exists", "****6789 exists"),
        (
            "password",
            '"hook-Zebra-77" is too short',
            "is not accepted; the reason is not repeated here, since it may hold the value",
        ),
    ],
)
async def test_a_reason_about_a_stored_secret_does_not_show_it(field: str, sentence: str, shown: str, era: Era) -> None:
    """Ours: by the name of the field, even if the value was not in the call."""
    upstream = Upstream(reply(400, {field: [sentence]}))

    async with connect_at(FakeClock(), upstream, era) as client:
        content = await ask(client, PATCH_COUNTERPARTY, id=SUPPLIER, city="Mobile")

    assert content["error"]["fields"] == [{"field": field, "problem": shown}]


@pytest.mark.parametrize("status", [403, 404])
async def test_the_page_of_a_proxy_is_no_word_of_finexio_s(status: int, era: Era) -> None:
    """Ours: "no such record" from a wrong address would be read as "not paid yet"."""
    page = reply(status, b"<html>nothing here</html>")

    async with connect_at(FakeClock(), Upstream(page), era) as client:
        read = await ask(client, "get_single_finexio_invoice_by_id", id="1")
        listed = await ask(client, "list_all_finexio_invoices")
        paid = await ask(client, PAY, WRITES[PAY])

    assert (read["error"]["code"], listed["error"]["code"]) == ("upstream_unreadable", "upstream_unreadable")
    assert (paid["status"], paid["error"]["code"]) == ("in_doubt", "in_doubt")


async def test_a_password_with_quotes_does_not_come_back_either(era: Era) -> None:
    """Ours: JSON writes it differently, and it is the same password."""
    password = 'ab"cd\\efgh'
    upstream = Upstream(reply(200, {"id": "1", "note": f"it is {password}"}))

    async with connect_at(FakeClock(), upstream, era, FINEXIO_USERNAME="robot", FINEXIO_PASSWORD=password) as client:
        content = await ask(client, "get_single_finexio_invoice_by_id", id="1")

    assert content["result"]["note"] == "it is ****"


async def test_a_refusal_about_no_field_warns_of_a_duplicate(era: Era) -> None:
    """Documented: an invoice that was submitted before is refused; how it is said is not."""
    for body in ({"detail": "Already exists."}, {"non_field_errors": ["Already exists."]}):
        async with connect_at(FakeClock(), Upstream(reply(400, body)), era) as client:
            content = await ask(client, PAY, WRITES[PAY])

        assert "may already exist there" in content["error"]["message"]


@pytest.mark.parametrize("tool", [PATCH_COUNTERPARTY, PATCH_SUPPLIER, PATCH_BUYER])
async def test_letter_case_of_an_id_is_no_doubt(tool: str, era: Era) -> None:
    """Ours: UUIDs are written in either case."""
    record = {"id": "3b0f6f0e-aaaa-4a53-9a36-0a5f8d6c1e11", "name": "Harbor Paper Co"}

    async with connect_at(FakeClock(), Upstream(reply(200, record)), era) as client:
        content = await ask(client, tool, id=record["id"].upper(), name="Harbor Paper Co")

    assert content["status"] == "confirmed"


async def test_a_record_with_very_many_fields_fits(era: Era) -> None:
    """Ours: naming what was cut must not be what is too long."""
    record = {"id": "1", **{f"field_number_{n}": "x" * 20 for n in range(1_500)}}

    async with connect_at(FakeClock(), Upstream(reply(200, record)), era, FINEXIO_MCP_RESULT_CHARS=5_000) as client:
        content = await ask(client, "get_single_finexio_invoice_by_id", id="1")

    assert length(content) <= 5_000
    assert "and 1" in content["notices"][0]


async def test_a_record_of_another_id_is_shown_and_noticed(era: Era) -> None:
    """Ours: old keys may lead to new ids, so it is no failure; it does not pass unseen."""
    async with connect_at(FakeClock(), Upstream(reply(200, {"id": "OTHER", "note": "x"})), era) as client:
        content = await ask(client, "get_single_finexio_invoice_by_id", id="1")

    assert content["result"]["id"] == "OTHER"
    assert content["notices"] == ["Finexio answered with a record of another id than the one asked for."]


async def test_del_does_not_slip_through_a_plain_row(era: Era) -> None:
    """Ours: it is ASCII, JSON does not escape it, and it is a control character."""
    async with connect_at(FakeClock(), Upstream(reply(200, [{"id": "a\x7fb"}])), era) as client:
        content = await ask(client, "list_all_finexio_invoices")

    assert content["result"] == [{"id": "ab"}]


async def test_a_drawdown_answered_with_its_payments_shows_them(era: Era) -> None:
    """Documented: the vendor's sources disagree on what this answers."""
    rows = [{"id": "p-1", "supplier_name": "A"}, {"id": "p-2", "supplier_name": "B"}]

    async with connect_at(FakeClock(), Upstream(reply(200, {"count": 2, "results": rows})), era) as client:
        content = await ask(client, "get_single_finexio_drawdown_by_id", id="DJ1")

    assert content["result"] == rows


@pytest.mark.parametrize("password", ["128450128", '":"1', "confirmed"])
async def test_a_password_that_looks_like_the_answer_does_not_break_it(password: str, era: Era) -> None:
    """Ours: a write that is done is told, whatever the operator's password happens to be."""
    upstream = Upstream(lambda request: reply(201, [{**row, "id": "i-1"} for row in json.loads(request.content)]))
    bill = invoice(amount_cents=128450128, note=f"it is {password}")

    async with connect_at(FakeClock(), upstream, era, FINEXIO_USERNAME="robot", FINEXIO_PASSWORD=password) as client:
        content = await ask(client, PAY, invoices=[bill])

    assert content["status"] == "confirmed"
    assert content["result"][0]["amount_cents"] == 128450128
