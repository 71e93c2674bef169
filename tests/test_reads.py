"""Reads as a client makes them: what each failure is called, and every shape that an answer comes in."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.simulator import Fault
from tests.calls import (
    DRAWDOWN,
    EVERY_TOOL,
    INVOICE,
    OWN,
    PAYMENT,
    READS,
    SUPPLIER,
    WRITES,
    Content,
    FakeClock,
    LateClock,
    Silent,
    Upstream,
    ask,
    connect_at,
    office,
    reply,
)
from tests.conftest import ERAS, Era, connect

pytestmark = pytest.mark.parametrize("era", ERAS)
every_read = pytest.mark.parametrize("tool", READS)

GET_INVOICE = "get_single_finexio_invoice_by_id"
GET_DRAWDOWN = "get_single_finexio_drawdown_by_id"
LIST_DRAWDOWNS = "list_all_finexio_drawdowns"
DRAWDOWN_PAYMENTS = "list_all_finexio_drawdown_payments"
GET_IMAGE = "get_single_finexio_payment_image_by_id"
LIST_IMAGES = "list_all_finexio_payment_images"
HISTORY = "list_all_finexio_counterparty_history"
LIST_WEBHOOKS = "list_all_finexio_webhooks"


async def told(upstream: httpx2.AsyncBaseTransport, era: Era, tool: str, **arguments: Any) -> Content:
    async with connect(upstream, era, **EVERY_TOOL) as client:
        return await ask(client, tool, arguments)


# Failures ------------------------------------------------------------------------


@every_read
async def test_every_read_answers_from_the_books(tool: str, era: Era) -> None:
    """Ours: a result, and not one request that could change something."""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, READS[tool])

    assert content.get("result") or content.get("results") or content.get("text"), content
    assert {request.method for request in sim.journal.requests} == {"GET"}
    assert sim.journal.effects == []


FAILURES: dict[str, tuple[Fault, str, bool]] = {
    "400": (Fault(status=400, body=b'{"detail": "No."}'), "rejected", False),
    "401": (Fault(status=401), "not_authorized", False),
    "403": (Fault(status=403, body=b'{"detail": "You do not have permission."}'), "permission_denied", False),
    "404": (Fault(status=404, body=b'{"detail": "Not found."}'), "not_found", False),
    "408": (Fault(status=408), "unavailable", True),
    "409": (Fault(status=409), "rejected", False),
    "425": (Fault(status=425), "unavailable", True),
    "429": (Fault(status=429), "rate_limited", True),
    "500": (Fault(status=500, body=b"<h1>Server Error (500)</h1>"), "unavailable", True),
    "502": (Fault(status=502), "unavailable", True),
    "503": (Fault(status=503), "unavailable", True),
    "504": (Fault(status=504), "unavailable", True),
    "302": (Fault(status=302, headers={"Location": "https://elsewhere.example/"}), "upstream_unreadable", False),
    "418": (Fault(status=418), "upstream_unreadable", False),
    "refused": (Fault(connect_error=True), "unavailable", True),
    "silent": (Fault(connect_timeout=True), "unavailable", True),
    "reset": (Fault(reset="before_effect"), "unavailable", True),
    "closed": (Fault(reset="after_effect", orderly=True), "unavailable", True),
    "lost": (Fault(lost_answer=True), "unavailable", True),
    "broken off": (Fault(truncate_at=1), "unavailable", True),
    "HTML": (Fault(body=b"<html>Welcome</html>"), "upstream_unreadable", False),
    "half": (Fault(body=b'{"results": ['), "upstream_unreadable", False),
    "text": (Fault(body=b'"none"'), "upstream_unreadable", False),
    "number": (Fault(body=b"7"), "upstream_unreadable", False),
    "NaN": (Fault(body=b'{"amount_cents": NaN}'), "upstream_unreadable", False),
    "too deep": (Fault(body=b"[" * 1000 + b"]" * 1000), "upstream_unreadable", False),
    "10 MB": (Fault(body=b'"' + b"x" * 10_000_001 + b'"'), "upstream_unreadable", False),
}


@every_read
async def test_every_failure_of_a_read_has_its_code_and_changed_nothing(tool: str, era: Era) -> None:
    """Ours: programs go by the code; a read never may have happened."""
    sim = office()
    seen: dict[str, tuple[str, bool]] = {}

    async with connect_at(FakeClock(), sim, era) as client:
        for name, (fault, _, _) in FAILURES.items():
            sim.clear_faults()
            sim.fault(fault, times=None)
            content = await ask(client, tool, READS[tool])
            assert content.keys() == {"error"}, name
            assert content["error"]["may_have_happened"] is False, name
            seen[name] = (content["error"]["code"], content["error"]["retryable"])

    assert seen == {name: (code, retryable) for name, (_, code, retryable) in FAILURES.items()}


async def test_trouble_that_passes_is_not_the_callers(era: Era) -> None:
    """Ours: three failures of three kinds, and the fourth attempt is the answer."""
    sim = office()
    for fault in (Fault(status=503), Fault(reset="before_effect"), Fault(connect_error=True)):
        sim.fault(fault)

    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(client, GET_INVOICE, id=INVOICE)

    assert content["result"]["id"] == INVOICE


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "unavailable")])
async def test_when_to_come_back_is_told(status: int, code: str, era: Era) -> None:
    """Ours: a wait that does not fit into the call is handed to the caller in seconds."""
    sim = office()
    sim.fault(Fault(status=status, headers={"Retry-After": "120"}), times=None)

    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(client, GET_INVOICE, id=INVOICE)

    error = content["error"]
    assert (error["code"], error["retry_after_s"], error["http_status"]) == (code, 120.0, status)
    assert len(sim.journal.requests) == 1


@every_read
async def test_a_read_out_of_time_says_so(tool: str, era: Era) -> None:
    """Ours: every tool ends within its deadline, and a read that did changed nothing."""
    async with connect_at(LateClock(), Silent(), era) as client:
        content = await ask(client, tool, READS[tool])

    assert content["error"]["code"] == "timeout"


@pytest.mark.parametrize(
    ("tool", "attempts"), [(GET_INVOICE, 2), ("list_all_finexio_invoices", 3), (LIST_DRAWDOWNS, 4)]
)
async def test_a_call_has_as_much_time_as_its_kind_needs(tool: str, attempts: int, era: Era) -> None:
    """Ours: 20 s by id, 40 s for a list, 50 s for drawdowns, with attempts of 15 s each."""
    clock = FakeClock()

    def slow(_request: httpx2.Request) -> Exception:
        clock.now += 15
        return httpx2.ReadTimeout("x")

    upstream = Upstream(slow)
    async with connect_at(clock, upstream, era) as client:
        content = await ask(client, tool, READS[tool])

    assert (content["error"]["code"], len(upstream.requests)) == ("unavailable", attempts)


async def test_an_outage_costs_finexio_little_more_than_the_calls_themselves(era: Era) -> None:
    """Ours: 200 calls during an outage make at most 240 requests."""
    sim = office()
    sim.fault(Fault(status=503), times=None)

    async with connect_at(FakeClock(), sim, era) as client:
        for _ in range(200):
            content = await ask(client, GET_INVOICE, id=INVOICE)
            assert content["error"]["code"] == "unavailable"

    assert len(sim.journal.requests) <= 240


async def test_bad_credentials_are_said_plainly_and_asked_once(era: Era) -> None:
    """Documented: bad credentials are a 403 `Invalid username/password.`"""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL, FINEXIO_PASSWORD="not it") as client:
        content = await ask(client, GET_INVOICE, id=INVOICE)

    error = content["error"]
    assert (error["code"], error["http_status"], error["retryable"]) == ("not_authorized", 403, False)
    assert "FINEXIO_USERNAME and FINEXIO_PASSWORD" in error["message"]
    assert len(sim.journal.requests) == 1


async def test_missing_credentials_are_said_per_call_and_nothing_leaves(era: Era) -> None:
    """Ours: the list of tools needs no account, and every call says what to set."""
    sim = office()
    every_tool = {**READS, **WRITES}

    async with connect(sim, era, **EVERY_TOOL, FINEXIO_ENVIRONMENT="sandbox") as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        contents = [await ask(client, tool, arguments) for tool, arguments in every_tool.items()]

    assert tools == every_tool.keys() | OWN
    assert sim.journal.requests == []
    for content in contents:
        assert content["error"]["code"] == "not_configured"
        assert "set FINEXIO_USERNAME and FINEXIO_PASSWORD" in content["error"]["message"]
        assert content.get("status", "not_executed") == "not_executed"


@every_read
async def test_a_fault_of_ours_tells_nothing_but_that(tool: str, era: Era, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: no text of any exception reaches a client; the log has its kind and place."""
    content = await told(Upstream(RuntimeError("secret detail")), era, tool, **READS[tool])

    assert (content["error"]["code"], content["error"]["may_have_happened"]) == ("internal", False)
    assert "secret" not in str(content)
    assert any("RuntimeError" in record.getMessage() for record in caplog.records)
    assert not any("secret detail" in record.getMessage() for record in caplog.records)


# Ids -----------------------------------------------------------------------------

SEGMENT = re.compile(r"/v2/invoices/([^/?#]+)/")


@pytest.mark.parametrize(
    "value", ["a/b", "a?b#c", "%2e", "%2e%2e", "%2F..%2F", "a\\b", "é", "漢", "a&page=2", "+", "~"]
)
async def test_an_id_is_one_segment_of_the_path_whatever_it_holds(value: str, era: Era) -> None:
    """Ours: the path on the wire always has the shape of the contract's."""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, GET_INVOICE, id=value)

    # No route of Finexio's matches an id with a slash, and what answers then is a page, no record's absence.
    assert content["error"]["code"] == ("upstream_unreadable" if "/" in value else "not_found")
    (request,) = sim.journal.requests
    found = SEGMENT.fullmatch(request.path)
    assert found is not None
    assert (unquote(found[1]), request.query) == (value, ())


@pytest.mark.parametrize("value", ["", ".", "..", " ", "a b", "a\nb", "\x00", "\t", "x" * 201])
async def test_an_id_that_would_change_the_path_is_refused_unsent(value: str, era: Era) -> None:
    """Ours: refused by the name of the argument, and the value is not repeated."""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, GET_INVOICE, id=value)

    assert (content["error"]["code"], sim.journal.requests) == ("invalid_arguments", [])
    assert [problem["field"] for problem in content["error"]["fields"]] == ["id"]


async def test_any_text_as_an_id_is_refused_or_one_segment(era: Era) -> None:
    """Ours: the same, for whatever a property test comes up with."""
    sim, values = office(), list[str]()

    @settings(max_examples=60, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.text(max_size=12), min_size=5, max_size=5))
    def collect(texts: list[str]) -> None:
        values.extend(texts)

    collect()
    async with connect(sim, era, **EVERY_TOOL) as client:
        for value in dict.fromkeys(value for value in values if value.isprintable()):
            sim.journal.clear()
            content = await ask(client, GET_INVOICE, id=value)
            if sim.journal.requests:
                (request,) = sim.journal.requests
                found = SEGMENT.fullmatch(request.path)
                assert found is not None
                assert unquote(found[1]) == value
            else:
                assert content["error"]["code"] == "invalid_arguments"


# Shapes: records and lists --------------------------------------------------------


async def test_a_name_with_a_broken_character_is_shown(era: Era) -> None:
    """Ours: bytes that are no UTF-8 do not hide a record."""
    content = await told(Upstream(reply(200, b'{"id": "1", "note": "Caf\xe9 Lund"}')), era, GET_INVOICE, id="1")

    assert content["result"]["id"] == "1"
    assert content["result"]["note"].startswith("Caf")
    assert content["result"]["note"].endswith(" Lund")


@pytest.mark.parametrize("note", ["\\ud800", "\\udfff x", "a\\u0000b", "\\u202e\\u200b"])
async def test_a_text_that_no_json_may_carry_is_cleaned(note: str, era: Era) -> None:
    """Ours: lone surrogates, control and bidi characters go; the record stays."""
    content = await told(
        Upstream(reply(200, b'{"id": "1", "note": "' + note.encode() + b'"}')), era, GET_INVOICE, id="1"
    )

    assert content["result"]["id"] == "1"
    assert content["result"].get("note", "").isprintable()


@pytest.mark.parametrize("tool", [name for name in READS if name.startswith("get_") and "image" not in name])
async def test_a_record_is_found_in_every_wrapping(tool: str, era: Era) -> None:
    """Documented: where the vendor's sources disagree, each of them is read."""
    record = {"id": READS[tool]["id"], "amount_cents": 5}
    envelope = {"count": 1, "next": None, "previous": None, "results": [record]}
    upstream = Upstream(reply(200, record), reply(200, [record]), reply(200, envelope))

    async with connect(upstream, era, **EVERY_TOOL) as client:
        contents = [await ask(client, tool, READS[tool]) for _ in range(3)]

    assert contents == [{"result": record}] * 3


async def test_a_record_that_is_not_there_is_unreadable(era: Era) -> None:
    """Ours: an answer without the one record that was asked for is no success."""
    answers: list[Any] = [None, [], [{}, {}], {"results": []}, "x", 1, True]

    async with connect(Upstream(*(reply(200, answer) for answer in answers)), era) as client:
        contents = [await ask(client, GET_INVOICE, id="1") for _ in answers]

    assert {content["error"]["code"] for content in contents} == {"upstream_unreadable"}


LISTS = [name for name in READS if name.startswith("list_") and "image" not in name]


@pytest.mark.parametrize("tool", LISTS)
async def test_a_list_is_found_in_every_wrapping_or_not_at_all(tool: str, era: Era) -> None:
    """Documented: envelope, bare array and bare object all occur. Ours: no rows found is not the same as no rows."""
    row = {
        "id": "r-1",
        "processor_request_id": "r-1",
        "name": "Ida",
        "amount_cents": 5,
        "changes": {"city": ["a", "b"]},
        "url": "https://a.example",
    }
    good: list[Any] = [{"count": 1, "next": None, "previous": None, "results": [row]}, [row], row]
    bad: list[Any] = [None, {"results": None}, {"results": "x"}, 3, "x"]

    async with connect(Upstream(*(reply(200, answer) for answer in [*good, *bad])), era, **EVERY_TOOL) as client:
        found = [await ask(client, tool, READS[tool]) for _ in good]
        lost = [await ask(client, tool, READS[tool]) for _ in bad]

    assert found[0] == found[1] == found[2]
    assert (found[0]["next_cursor"], found[0]["result_count"], found[0]["total_count"]) == (None, 1, 1)
    assert found[0]["result"][0].items() <= row.items()
    assert found[0]["result"][0]
    assert {content["error"]["code"] for content in lost} == {"upstream_unreadable"}


# Shapes: drawdowns ---------------------------------------------------------------


@pytest.mark.parametrize("shape", ["object", "envelope", "array"])
async def test_a_drawdown_and_its_payments_are_read_in_every_shape(shape: Any, era: Era) -> None:
    """Documented: the description and the printed bodies disagree."""
    sim = office()
    sim.quirks.drawdown_by_id_shape = sim.quirks.drawdown_payments_shape = shape

    async with connect(sim, era) as client:
        drawdown = await ask(client, GET_DRAWDOWN, id=DRAWDOWN)
        payments = await ask(client, DRAWDOWN_PAYMENTS, processor_request_id=DRAWDOWN)

    assert drawdown["result"]["processor_request_id"] == DRAWDOWN
    assert [row["id"] for row in payments["result"]] == [PAYMENT]
    assert payments["result"][0]["invoices"][0]["invoice_number"] == "OLD-1"


async def test_a_drawdown_list_without_a_filter_says_which_filters_there_are(era: Era) -> None:
    """Documented: at least one filter is mandatory; the vendor's 400 has no body."""
    sim = office()

    async with connect(sim, era) as client:
        content = await ask(client, LIST_DRAWDOWNS)

    assert content["error"]["code"] == "rejected"
    assert "buyer_ref_id" in content["error"]["message"]
    assert "invoice_number" in content["error"]["message"]
    assert len(sim.journal.requests) == 1, "nothing is added to what was asked"


# Shapes: images ------------------------------------------------------------------

ONE, TWO = {"check_image_url": "https://img.example/1"}, {"check_image_url": "https://img.example/2"}


@pytest.mark.parametrize(
    ("answer", "links"),
    [(ONE, [ONE]), ([ONE], [ONE]), ([ONE, TWO], [ONE, TWO]), ([], []), ({}, []), ({"check_image_url": None}, [])],
    ids=["object", "array", "both sides", "empty array", "empty object", "null"],
)
async def test_images_are_read_in_every_shape(answer: Any, links: list[Any], era: Era) -> None:
    """Documented: object, array, empty array, empty object and null all occur."""
    upstream = Upstream(reply(200, answer))

    async with connect(upstream, era) as client:
        every = await ask(client, LIST_IMAGES, payment_id=PAYMENT)
        first = await ask(client, GET_IMAGE, payment_id=PAYMENT)

    assert (every["result"], every["result_count"]) == (links, len(links))
    assert first["result"] == (links[0] if links else [])


async def test_the_side_of_a_check_is_asked_for_by_its_vendor_name(era: Era) -> None:
    """Documented: `checkImageType` is `Issued` or `Deposited`."""
    sim = office()

    async with connect(sim, era) as client:
        front = await ask(client, GET_IMAGE, payment_id=PAYMENT, checkImageType="Issued")
        back = await ask(client, GET_IMAGE, payment_id=PAYMENT, checkImageType="Deposited")

    assert [request.query for request in sim.journal.requests] == [
        (("checkImageType", "Issued"),),
        (("checkImageType", "Deposited"),),
    ]
    assert front["result"]["check_image_url"] != back["result"]["check_image_url"]


# Shapes: history and webhooks ----------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ("guide", {"object_id", "actor", "timestamp", "action", "changes"}),
        ("spec", {"id", "objectId", "date", "username", "action", "changes"}),
        ("snapshot", {"id", "name", "type", "internal_id", "payment_terms"}),
    ],
)
async def test_history_passes_through_in_each_of_its_three_shapes(shape: Any, fields: set[str], era: Era) -> None:
    """Documented: three descriptions, none of which fits the others."""
    sim = office()
    sim.quirks.history_shape = shape

    async with connect(sim, era) as client:
        content = await ask(client, HISTORY, object_id=SUPPLIER)

    (entry,) = content["result"]
    assert fields <= entry.keys()
    if shape == "guide":
        assert entry["changes"] == {"payment_terms": ["30", "45"]}
    if shape == "spec":
        assert entry["changes"] == [{"field": "payment_terms", "oldValue": "30", "newValue": "45"}]


async def test_the_webhook_list_is_also_looked_for_at_the_hosts_root(era: Era) -> None:
    """Documented: the description puts this one operation outside /v2."""
    sim = office()
    sim.quirks.webhook_list_at_root = True

    async with connect(sim, era) as client:
        content = await ask(client, LIST_WEBHOOKS)

    assert content["result_count"] == 1
    assert [request.path for request in sim.journal.requests] == ["/v2/webhooks/", "/webhooks/"]


async def test_a_webhook_list_that_is_nowhere_is_not_found(era: Era) -> None:
    """Ours: the root is tried once."""
    upstream = Upstream(reply(404))

    content = await told(upstream, era, LIST_WEBHOOKS)

    assert (content["error"]["code"], len(upstream.requests)) == ("not_found", 2)


# Fields --------------------------------------------------------------------------


async def test_a_record_is_shown_whole_without_what_is_empty(era: Era) -> None:
    """Ours: null and empty texts are left out at any depth; false and zero are facts."""
    record = {
        "id": "1",
        "note": "",
        "payment_id": None,
        "amount_cents": 0,
        "can_be_resubmitted": False,
        "metadata": {"a": "", "b": None, "c": "x"},
        "unheard_of": ["new"],
    }

    content = await told(Upstream(reply(200, record)), era, GET_INVOICE, id="1")

    assert content["result"] == {
        "id": "1",
        "amount_cents": 0,
        "can_be_resubmitted": False,
        "metadata": {"c": "x"},
        "unheard_of": ["new"],
    }
