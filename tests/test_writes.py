"""Writes as a client makes them: sent once, never claimed without proof, and explained when they fail."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import unquote

import anyio
import httpx2
import pytest
from mcp import Client

from finexio_mcp.simulator import Fault, Received
from finexio_mcp.tools.contacts import NO_REFERENCE
from tests.calls import (
    BUYER,
    BUYER_CONTACT,
    BUYER_REFERENCE,
    CONTACT,
    CREATE_BUYER,
    CREATE_BUYER_CONTACT,
    CREATE_CONTACT,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    CREATE_WEBHOOK,
    DELETE_BUYER_CONTACT,
    DELETE_CONTACT,
    DELETE_WEBHOOK,
    EACH_SHAPE,
    EVERY_TOOL,
    HOOK,
    PATCH_BUYER,
    PATCH_COUNTERPARTY,
    PATCH_SUPPLIER,
    PATCH_WEBHOOK,
    PAY,
    REFERENCE,
    REPLACE_BUYER,
    REPLACE_COUNTERPARTY,
    REPLACE_SUPPLIER,
    REPLACE_WEBHOOK,
    SUPPLIER,
    UPDATE_BUYER_CONTACT,
    UPDATE_CONTACT,
    WEBHOOK,
    WRITES,
    Arguments,
    Content,
    FakeClock,
    LateClock,
    Reply,
    Silent,
    Upstream,
    ask,
    changes,
    connect_at,
    invoice,
    office,
    office_for,
    reply,
)
from tests.conftest import ERAS, Era, connect

pytestmark = pytest.mark.parametrize("era", ERAS)
every_write = pytest.mark.parametrize("tool", WRITES)
each_shape = pytest.mark.parametrize("tool", EACH_SHAPE)

Outcome = tuple[str, str | None, bool | None, int]


def outcome(content: Content, sent: int) -> Outcome:
    """Status, error code, whether it may have happened, and how many requests could have changed something."""
    error = content.get("error", {})
    return content["status"], error.get("code"), error.get("may_have_happened"), sent


def is_write(request: Received) -> bool:
    return request.method != "GET"


@dataclass(frozen=True)
class Seen:
    """What a call was answered, and what Finexio's own journal says of it."""

    content: Content
    sent: int
    happened: bool

    @property
    def outcome(self) -> Outcome:
        return outcome(self.content, self.sent)


async def under(tool: str, fault: Fault, era: Era) -> Seen:
    """Call `tool` while this fault meets every request that could change something."""
    sim = office_for(tool)
    sim.quirks.webhook_put_empty = False
    sim.fault(fault, times=None, match=is_write)
    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(client, tool, WRITES[tool])
    return Seen(content, len(changes(sim)), happened=bool(sim.journal.effects))


T = TypeVar("T")


def shared_out(cases: Mapping[str, T], tool: str, era: Era) -> dict[str, T]:
    """Every case in both eras for payments; each other tool meets one half of them in one era, and one in the other."""
    return {
        name: case
        for index, (name, case) in enumerate(cases.items())
        if tool == PAY or index % len(ERAS) == ERAS.index(era)
    }


async def settled(client: Client, tool: str, arguments: Arguments) -> Content:
    """What a repeated call answers once it is neither on its way nor in doubt."""
    while True:
        content = await ask(client, tool, arguments)
        if content["status"] not in {"in_progress", "in_doubt"}:
            return content


# What every write does -----------------------------------------------------------


@every_write
async def test_a_write_that_finexio_takes_is_confirmed_and_sent_once(tool: str, era: Era) -> None:
    """Ours: `confirmed` means that the journal holds exactly one request, and an effect of it."""
    sim = office_for(tool)

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, WRITES[tool])

    (request,) = changes(sim)
    assert outcome(content, 1) == ("confirmed", None, None, 1)
    assert content["op_id"].startswith("op_")
    assert content["result"] is not None
    assert request.index in {effect.request for effect in sim.journal.effects}


UNTAKEN = {
    **{f"status {status}": Fault(status=status) for status in (301, 302, 307, 308, 408, 409, 425, 500, 502, 503, 504)},
    "redirected elsewhere": Fault(status=307, headers={"Location": "http://simulator.invalid/v2/elsewhere/"}),
    "reset before the effect": Fault(reset="before_effect"),
    "lands an hour later": Fault(lands_after=timedelta(hours=1)),
}
TAKEN = {
    "502 after the effect": Fault(status=502, takes_effect=True),
    "reset after the effect": Fault(reset="after_effect"),
    "closed without a word": Fault(reset="after_effect", orderly=True),
    "answer lost": Fault(lost_answer=True),
    "answer breaks off": Fault(truncate_at=2),
    "an HTML page": Fault(body=b"<html>Welcome</html>"),
    "half of the JSON": Fault(body=b'{"id": "x'),
    "not a number": Fault(body=b'{"id": NaN}'),
    "nested without end": Fault(body=b"[" * 100_000),
    "longer than 10 MB": Fault(body=b'"' + b"x" * 10_000_001 + b'"'),
}
LEAVES_NO_TRACE = {REPLACE_WEBHOOK}
"""It sets a password, of which no digest is kept; so that it was set cannot be seen afterwards."""


@each_shape
async def test_a_write_that_gets_no_answer_and_is_not_found_is_in_doubt_and_never_sent_again(
    tool: str, era: Era
) -> None:
    """Ours: after the first byte, everything but a clear answer may have happened; at most one request ever leaves."""
    faults = shared_out(UNTAKEN, tool, era)

    seen = {name: await under(tool, fault, era) for name, fault in faults.items()}

    assert {name for name, case in seen.items() if case.happened} == set()
    doubtful = ("in_doubt", "in_doubt", True, 1)
    assert {name: case.outcome for name, case in seen.items()} == dict.fromkeys(faults, doubtful)


@each_shape
async def test_a_write_that_gets_no_answer_to_trust_is_confirmed_if_finexio_shows_it(tool: str, era: Era) -> None:
    """Ours: Finexio is asked at once, and the journal agrees; what cannot be seen there stays in doubt."""
    faults = shared_out(TAKEN, tool, era)
    found = ("in_doubt", "in_doubt", True, 1) if tool in LEAVES_NO_TRACE else ("confirmed", None, None, 1)

    seen = {name: await under(tool, fault, era) for name, fault in faults.items()}

    assert {name for name, case in seen.items() if case.happened} == set(faults)
    assert {name: case.outcome for name, case in seen.items()} == dict.fromkeys(faults, found)


@pytest.mark.parametrize("tool", [PAY, CREATE_COUNTERPARTY, PATCH_COUNTERPARTY, DELETE_CONTACT])
async def test_what_was_found_and_not_answered_says_so(tool: str, era: Era) -> None:
    """Ours: a notice tells that the answer was lost, and the id is the one at Finexio."""
    sim = office_for(tool)
    sim.fault(Fault(reset="after_effect"), match=is_write)

    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(client, tool, WRITES[tool])

    assert any("Finexio was asked" in notice for notice in content["notices"])
    if tool == PAY:
        assert [sim.invoices[row["id"]]["invoice_number"] for row in content["result"]] == ["HP-1"]
    elif tool == DELETE_CONTACT:
        assert content["result"] is True
    else:
        assert content["result"]["id"] in sim.suppliers


REFUSALS: dict[int, str] = {
    400: "rejected",
    401: "not_authorized",
    403: "permission_denied",
    404: "not_found",
    413: "rejected",
    415: "rejected",
    422: "rejected",
}


@every_write
async def test_a_write_that_finexio_refuses_is_rejected_and_did_not_happen(tool: str, era: Era) -> None:
    """Ours: a clear refusal of the only attempt says that nothing happened."""
    field = "invoice_number" if tool == PAY else "name"
    body = json.dumps({"detail": "No.", field: ["No."]}).encode()
    refusals = shared_out({str(status): code for status, code in REFUSALS.items()}, tool, era)

    seen = {status: await under(tool, Fault(status=int(status), body=body), era) for status in refusals}

    assert {status: case.outcome for status, case in seen.items()} == {
        status: ("rejected", code, False, 1) for status, code in refusals.items()
    }


@pytest.mark.parametrize("status", [400, 422])
async def test_a_payment_refused_without_naming_a_field_is_in_doubt_and_looked_up(status: int, era: Era) -> None:
    """Ours: Finexio's duplicate rule may answer so, and speak of an attempt of ours."""
    seen = await under(PAY, Fault(status=status, body=b'{"detail": "No."}'), era)

    assert seen.outcome == ("in_doubt", "rejected", True, 1)
    assert "may already exist" in seen.content["error"]["message"]


@every_write
async def test_a_write_turned_away_for_its_pace_was_not_executed_and_is_not_repeated(tool: str, era: Era) -> None:
    """Ours: 429 stands in front of Finexio's own work; the caller is told when to come back."""
    sim, clock = office_for(tool), FakeClock()
    sim.fault(
        Fault(status=429, headers={"Retry-After": "7"}), times=None, match=lambda request: request.method != "GET"
    )

    async with connect_at(clock, sim, era) as client:
        content = await ask(client, tool, WRITES[tool])

    assert outcome(content, len(changes(sim))) == ("not_executed", "not_executed", False, 1)
    assert (content["error"]["retry_after_s"], content["error"]["retryable"], clock.slept) == (7.0, True, [])


@every_write
async def test_a_write_that_never_connected_is_sent_again_twice_at_most(tool: str, era: Era) -> None:
    """Ours: with proof that nothing left, two more attempts; then it was not executed."""
    refused, silent = Fault(connect_error=True), Fault(connect_timeout=True)
    reached, unreachable = office_for(tool), office_for(tool)
    for fault in (refused, silent):
        reached.fault(fault, match=lambda request: request.method != "GET")
    for fault in (refused, silent, silent, refused, refused):
        unreachable.fault(fault, match=lambda request: request.method != "GET")

    async with connect_at(FakeClock(), reached, era) as client:
        taken = await ask(client, tool, WRITES[tool])
    async with connect_at(FakeClock(), unreachable, era) as client:
        given_up = await ask(client, tool, WRITES[tool])
        unreached, left = len(changes(unreachable)), unreachable.faults_left
        unreachable.clear_faults()
        once_more = await ask(client, tool, WRITES[tool])

    assert outcome(taken, len(changes(reached))) == ("confirmed", None, None, 1)
    assert outcome(given_up, unreached) == ("not_executed", "not_executed", False, 0)
    assert given_up["error"]["retryable"] is True
    assert left == 2, "three attempts in all"
    assert outcome(once_more, len(changes(unreachable))) == ("confirmed", None, None, 1)


CONTACTS = [
    {"id": CONTACT, "external_reference_id": reference, "name": "Rae Lund", "primary": True}
    for reference in (REFERENCE, BUYER_REFERENCE)
]

UNPROVEN = {
    repr(error): error
    for error in (
        httpx2.ConnectError("refused"),
        httpx2.ConnectTimeout("slow"),
        httpx2.PoolTimeout("busy"),
        httpx2.WriteError("broken pipe"),
        RuntimeError("secret detail"),
        ValueError("secret detail"),
    )
}


@every_write
async def test_without_trace_events_nothing_is_proven_and_one_attempt_stays_in_doubt(tool: str, era: Era) -> None:
    """Ours: a transport that does not tell its steps cannot show that nothing left; nor can a fault of our own."""
    for failure in shared_out(UNPROVEN, tool, era).values():

        def respond(request: httpx2.Request, failure: Exception = failure) -> Reply:
            return reply(200, CONTACTS) if request.method == "GET" else failure

        upstream = Upstream(respond)
        async with connect_at(FakeClock(), upstream, era) as client:
            content = await ask(client, tool, WRITES[tool])

        sent = sum(request.method != "GET" for request in upstream.requests)
        assert outcome(content, sent) == ("in_doubt", "in_doubt", True, 1)
        assert "secret" not in str(content)


class Mute(Upstream):
    """Tells one step of a write, then never says anything again."""

    tells_its_steps = True

    def __init__(self, step: str) -> None:
        super().__init__(reply(503))
        self._step = step

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return await super().handle_async_request(request)
        await request.extensions["trace"](self._step, {})
        await anyio.sleep_forever()
        raise AssertionError


@pytest.mark.parametrize("tool", [PAY, PATCH_COUNTERPARTY])
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("connection.connect_tcp.started", ("not_executed", "not_executed", False, 0)),
        ("http11.send_request_headers.started", ("in_doubt", "in_doubt", True, 0)),
    ],
)
async def test_a_write_out_of_time_is_in_doubt_only_if_something_left(
    tool: str, step: str, expected: Outcome, era: Era
) -> None:
    """Ours: before the connection stands, a deadline proves that nothing happened; later it proves nothing."""
    soon = {"FINEXIO_MCP_BATCH_SECONDS": 0.3, "FINEXIO_MCP_WRITE_SECONDS": 0.3}

    async with connect_at(FakeClock(), Mute(step), era, **soon) as client:
        content = await ask(client, tool, WRITES[tool])

    assert outcome(content, 0) == expected


@every_write
async def test_a_write_with_bad_arguments_leaves_nothing_and_says_so(tool: str, era: Era) -> None:
    """Ours: every answer of a write carries status, op_id and result, a refused one too."""
    sim = office_for(tool)

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, WRITES[tool], no_such_argument=1)

    assert outcome(content, len(sim.journal.requests)) == ("rejected", "invalid_arguments", False, 0)
    assert content["error"]["fields"][0]["field"] == "no_such_argument"
    assert {"op_id", "result"} < content.keys()


@every_write
async def test_bad_credentials_reject_a_write_and_name_the_settings(tool: str, era: Era) -> None:
    """Documented: Finexio answers bad credentials with a 403 before it looks at anything."""
    sim = office_for(tool)

    async with connect(sim, era, **EVERY_TOOL, FINEXIO_PASSWORD="not it") as client:
        content = await ask(client, tool, WRITES[tool])

    assert len(sim.journal.requests) == 1
    assert outcome(content, 1) == ("rejected", "not_authorized", False, 1)
    assert "FINEXIO_USERNAME and FINEXIO_PASSWORD" in content["error"]["message"]


@pytest.mark.parametrize("tool", [PAY, CREATE_COUNTERPARTY])
async def test_a_caller_that_leaves_does_not_cut_a_write_in_half(
    tool: str, era: Era, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: the send belongs to the server; a repeated call tells its outcome, and so does the log."""
    caplog.set_level("INFO", "finexio_mcp.calls")
    arrived, may_answer, sim = anyio.Event(), anyio.Event(), office_for(tool)

    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = await sim.transport().handle_async_request(request)
            if request.method != "GET":
                arrived.set()
                await may_answer.wait()
            return answer

    with anyio.fail_after(10):
        async with connect_at(FakeClock(), Slow(), era) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, client, tool, WRITES[tool])
                await arrived.wait()
                tasks.cancel_scope.cancel()
            may_answer.set()
            content = await settled(client, tool, WRITES[tool])

    assert outcome(content, len(changes(sim))) == ("already_submitted", None, None, 1)
    # Whether the server has heard by then that the caller left is a matter of luck.
    told = re.compile(f"{tool} (settled: )?confirmed {content['op_id']}")
    assert [record for record in caplog.records if told.search(record.message)]


# A batch -------------------------------------------------------------------------

THREE = [invoice("A-1", 10_00), invoice("A-2", 20_00), invoice("A-3", 30_00)]


def stored(row: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """What Finexio would answer for an invoice."""
    return {"id": f"id-{row['invoice_number']}", **row, "currency": "USD", "payment_id": None, **changed}


async def pay(answer: Any, era: Era, invoices: list[dict[str, Any]] = THREE, status: int = 201) -> Content:
    async with connect(Upstream(reply(status, answer)), era) as client:
        return await ask(client, PAY, {"invoices": invoices})


def row_states(content: Content) -> dict[str, tuple[str | None, str]]:
    """Invoice number to id and status, the call's own where a row has none."""
    return {row["invoice_number"]: (row.get("id"), row.get("status", content["status"])) for row in content["result"]}


async def test_a_paid_batch_has_a_row_per_invoice_with_its_core_fields(era: Era) -> None:
    """Ours: who paid what is in the answer, and nothing says that money has moved yet."""
    sim = office()

    async with connect(sim, era) as client:
        content = await ask(client, PAY, {"invoices": THREE})

    assert [row["invoice_number"] for row in content["result"]] == ["A-1", "A-2", "A-3"]
    assert all(sim.invoices[row["id"]]["amount_cents"] == row["amount_cents"] for row in content["result"])
    assert content["result"][0].keys() == {
        "id",
        "invoice_number",
        "amount_cents",
        "currency",
        "invoice_date",
        "originating_counterparty_id",
        "created",
    }
    assert content["notices"] == ["Accepted by Finexio; payments follow by themselves. Not yet paid."]


@pytest.mark.parametrize("order", [[2, 0, 1], [2, 1, 0], [0, 1, 2]], ids=["rotated", "backwards", "as sent"])
async def test_rows_keep_the_callers_order_and_get_their_own_ids(order: list[int], era: Era) -> None:
    """Ours: an id is matched by buyer, supplier, number and amount, never by position."""
    content = await pay([stored(THREE[index]) for index in order], era)

    assert content["status"] == "confirmed"
    assert [(row["invoice_number"], row["id"]) for row in content["result"]] == [
        ("A-1", "id-A-1"),
        ("A-2", "id-A-2"),
        ("A-3", "id-A-3"),
    ]


DOUBTFUL_ROWS: dict[str, Any] = {
    "left out": None,
    "without an id": stored(THREE[1], id=None),
    "with another amount": stored(THREE[1], amount_cents=2_00),
    "of another buyer": stored(THREE[1], originating_counterparty_id="buyer-2"),
    "of another supplier": stored(THREE[1], receiving_counterparty_id="supplier-2"),
    "with another number": stored(THREE[1], invoice_number="A-22"),
    "no object": "A-2",
}


@pytest.mark.parametrize("second", DOUBTFUL_ROWS.values(), ids=DOUBTFUL_ROWS.keys())
async def test_a_row_that_the_answer_does_not_show_as_sent_is_in_doubt(second: Any, era: Era) -> None:
    """Ours: of an accepted batch, only the rows that came back with an id as they were sent are confirmed."""
    answer = [stored(THREE[0]), *([second] if second else []), stored(THREE[2])]

    content = await pay(answer, era)

    assert outcome(content, 1) == ("in_doubt", "in_doubt", True, 1)
    assert row_states(content) == {
        "A-1": ("id-A-1", "confirmed"),
        "A-2": (None, "in_doubt"),
        "A-3": ("id-A-3", "confirmed"),
    }


async def test_numbers_written_another_way_are_still_the_same_invoice(era: Era) -> None:
    """Ours: case, blanks and the type of an amount may come back otherwise."""
    sent = [invoice("ab  12", 10_00)]

    content = await pay([stored(sent[0], invoice_number="AB 12", amount_cents="1000")], era, sent)

    assert (content["status"], content["result"][0]["id"]) == ("confirmed", "id-ab  12")


async def test_one_object_instead_of_an_array_confirms_the_one_it_shows(era: Era) -> None:
    """Documented: the description says one invoice where the guide prints an array."""
    alone = await pay(stored(THREE[0]), era, THREE[:1])
    first_of_three = await pay(stored(THREE[0]), era)

    assert row_states(alone) == {"A-1": ("id-A-1", "confirmed")}
    assert row_states(first_of_three) == {
        "A-1": ("id-A-1", "confirmed"),
        "A-2": (None, "in_doubt"),
        "A-3": (None, "in_doubt"),
    }


async def test_invoices_that_were_not_in_the_call_are_left_out_with_a_notice(era: Era) -> None:
    """Ours: an answer has the caller's rows; strangers in it are mentioned, not shown."""
    content = await pay([stored(invoice("B-9")), *map(stored, THREE)], era)

    assert content["status"] == "confirmed"
    assert [row["invoice_number"] for row in content["result"]] == ["A-1", "A-2", "A-3"]
    assert any("not in this call" in notice for notice in content["notices"])


@pytest.mark.parametrize(
    "answer", [[], {}, None, "accepted", 1, [[]], [None], {"results": []}], ids=lambda answer: repr(answer)
)
async def test_an_accepted_batch_without_its_invoices_is_in_doubt(answer: Any, era: Era) -> None:
    """Ours: 201 says that the batch was taken; only ids say what became of each invoice."""
    content = await pay(answer, era)

    assert outcome(content, 1) == ("in_doubt", "in_doubt", True, 1)
    assert {state for _, state in row_states(content).values()} == {"in_doubt"}


REFUSED = [
    invoice("A-1"),
    invoice("A-2", originating_counterparty_id=SUPPLIER, receiving_counterparty_id="x"),
    invoice("A-3", receiving_counterparty_id="nobody"),
]


async def test_a_refused_batch_rejects_only_the_rows_that_have_a_reason(era: Era) -> None:
    """Ours: whether Finexio keeps the good rows of a batch that it refuses is not documented, so it is looked up."""
    sim = office()

    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(client, PAY, {"invoices": REFUSED})

    assert outcome(content, len(changes(sim))) == ("in_progress", "rejected", True, 1)
    assert row_states(content) == {"A-1": (None, "in_progress"), "A-2": (None, "rejected"), "A-3": (None, "rejected")}
    assert {problem["field"] for problem in content["error"]["fields"]} == {
        "invoices[1].originating_counterparty_id",
        "invoices[1].receiving_counterparty_id",
        "invoices[2].receiving_counterparty_id",
    }


async def test_good_rows_of_a_refused_batch_may_have_been_taken(era: Era) -> None:
    """Ours: should Finexio take them, they are found, and are not sent again."""
    sim = office()
    sim.quirks.batch_atomic = False

    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(client, PAY, {"invoices": [invoice("A-1"), invoice("A-2", receiving_counterparty_id="x")]})
        again = await ask(client, PAY, {"invoices": [invoice("A-1")]})

    old, taken = sim.invoices.values()
    assert (old["invoice_number"], taken["invoice_number"]) == ("OLD-1", "A-1")
    assert row_states(content) == {"A-1": (taken["id"], "confirmed"), "A-2": (None, "rejected")}
    assert row_states(again) == {"A-1": (taken["id"], "already_submitted")}
    assert len(changes(sim)) == 1


@pytest.mark.parametrize(
    "body", [{"detail": "No."}, ["No."], {"non_field_errors": ["No."]}, "No.", None], ids=lambda body: repr(body)
)
async def test_a_refusal_that_names_no_row_leaves_every_row_of_several_open(body: Any, era: Era) -> None:
    """Ours: without reasons row by row there is nothing that could be called rejected at once."""
    content = await pay(body, era, status=400)

    assert outcome(content, 1) == ("in_progress", "rejected", True, 1)
    assert {state for _, state in row_states(content).values()} == {"in_progress"}


async def test_a_refused_invoice_that_was_alone_is_rejected(era: Era) -> None:
    """Ours: with one row there is no doubt which one was refused."""
    sim = office()

    async with connect(sim, era) as client:
        content = await ask(client, PAY, {"invoices": [invoice("OLD-1")]})

    assert outcome(content, len(changes(sim))) == ("rejected", "rejected", False, 1)
    assert content["error"]["fields"][0]["field"] == "invoices[0].invoice_number"
    assert row_states(content) == {"OLD-1": (None, "rejected")}


async def test_a_refusal_without_a_reason_hints_at_a_duplicate(era: Era) -> None:
    """Ours: Finexio's duplicate rule may answer with nothing that names it."""
    content = await pay(None, era, THREE[:1], status=400)

    assert "may already exist" in content["error"]["message"]


# Called again --------------------------------------------------------------------


@every_write
async def test_a_repeated_call_is_answered_and_nothing_is_sent(tool: str, era: Era) -> None:
    """Ours: the same content is the same submission, whoever asks and however often."""
    sim = office_for(tool)

    async with connect(sim, era, **EVERY_TOOL) as client:
        first = await ask(client, tool, WRITES[tool])
        second = await ask(client, tool, WRITES[tool])

    assert outcome(second, len(changes(sim))) == ("already_submitted", None, None, 1)
    assert first["status"] == "confirmed"
    assert second["op_id"] == first["op_id"]
    assert "nothing was sent now" in str(second["notices"])
    if tool == PAY:
        assert [row["id"] for row in second["result"]] == [row["id"] for row in first["result"]]


# Counterparties ------------------------------------------------------------------


async def test_a_created_supplier_comes_back_whole(era: Era) -> None:
    """Documented: `internal_id` is upper-cased by Finexio."""
    sim = office()

    async with connect(sim, era) as client:
        content = await ask(client, CREATE_COUNTERPARTY, name="Quay Rope Co", type="supplier", internal_id="quay-9")

    assert content["result"]["id"] in sim.suppliers
    assert (content["result"]["internal_id"], content["result"]["type"]) == ("QUAY-9", "Supplier")


async def test_a_cleared_field_travels_as_an_empty_text(era: Era) -> None:
    """Ours: `null` counts as absent, so `clear` is how a field is emptied."""
    sim = office()

    async with connect(sim, era) as client:
        await ask(client, PATCH_COUNTERPARTY, id=SUPPLIER, clear=["notes", "remit_email"], payment_terms=None)

    assert changes(sim)[0].body == {"notes": "", "remit_email": ""}


async def test_a_missing_permission_is_explained_and_is_not_taken_for_bad_credentials(era: Era) -> None:
    """Documented: changing bank details needs a permission of its own."""
    sim = office()
    sim.quirks.bank_update_permitted = False

    async with connect(sim, era) as client:
        content = await ask(client, PATCH_COUNTERPARTY, id=SUPPLIER, bank_account_number="000123456789")

    assert outcome(content, len(changes(sim))) == ("rejected", "permission_denied", False, 1)
    assert "bank_account_number may need a permission" in content["error"]["message"]


@pytest.mark.parametrize(
    ("tool", "change"),
    [
        (PATCH_SUPPLIER, {"id": SUPPLIER, "bank_account_number": "000123456789"}),
        (PATCH_BUYER, {"id": BUYER, "drawdown_bank_account_number": "000123456789"}),
    ],
)
async def test_a_missing_permission_is_explained_by_the_newer_tools_too(
    tool: str, change: dict[str, Any], era: Era
) -> None:
    """Documented: it is the same permission there."""
    sim = office()
    sim.quirks.bank_update_permitted = False

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, change)

    assert outcome(content, len(changes(sim))) == ("rejected", "permission_denied", False, 1)
    assert "bank_account_number may need a permission" in content["error"]["message"]


# Suppliers and buyers ------------------------------------------------------------

LACKING = {
    PATCH_SUPPLIER: (
        {"id": SUPPLIER, "payment_method": "ACH"},
        {"bank_account_number": "000123456789", "bank_routing_number": "021000021"},
    ),
    PATCH_BUYER: (
        {"id": BUYER, "funding_method": "reverse_wire"},
        {"drawdown_bank_account_number": "000123456789", "drawdown_bank_routing_number": "021000021"},
    ),
}
"""A change that needs more, and what it needs."""


@pytest.mark.parametrize("tool", LACKING)
async def test_a_partial_update_that_would_leave_a_record_lacking_is_not_sent_and_says_what_to_give(
    tool: str, era: Era
) -> None:
    """Documented: a method brings its fields. Ours: the stored record is looked at first, and that changes nothing."""
    sim = office()
    change, needed = LACKING[tool]
    for record in (sim.suppliers[SUPPLIER], sim.buyers[BUYER]):
        record.update(dict.fromkeys(record.keys() & needed))

    async with connect(sim, era, **EVERY_TOOL) as client:
        refused = await ask(client, tool, change)
        sent_by_then = changes(sim)
        whole = await ask(client, tool, {**change, **needed})

    assert outcome(refused, len(sent_by_then)) == ("rejected", "invalid_arguments", False, 0)
    assert {problem["field"] for problem in refused["error"]["fields"]} == set(needed)
    assert (whole["status"], len(changes(sim))) == ("confirmed", 1)


@pytest.mark.parametrize("tool", [PATCH_SUPPLIER, PATCH_BUYER])
async def test_a_partial_update_of_a_record_that_is_not_there_changes_nothing(tool: str, era: Era) -> None:
    """Ours: an unknown id is looked for first, so nothing is sent for it."""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, {**WRITES[tool], "id": "nobody"})

    assert outcome(content, len(changes(sim))) == ("rejected", "not_found", False, 0)


@pytest.mark.parametrize("tool", [CREATE_SUPPLIER, CREATE_BUYER])
async def test_contacts_come_with_a_created_record(tool: str, era: Era) -> None:
    """Documented: one call creates both; at most one contact is primary."""
    sim = office()
    contacts = [
        {"primary": True, "name": "Ida Moss", "external_reference_id": "IDA"},
        {"primary": False, "name": "Rae"},
    ]

    async with connect(sim, era, **EVERY_TOOL) as client:
        refused = await ask(client, tool, {**WRITES[tool], "contacts": [contacts[0], {"primary": True}]})
        nothing_yet = sim.journal.requests == []
        created = await ask(client, tool, {**WRITES[tool], "contacts": contacts})
        again = await ask(client, tool, {**WRITES[tool], "contacts": contacts})

    assert (outcome(refused, 0), nothing_yet) == (("rejected", "invalid_arguments", False, 0), True)
    assert [contact["name"] for contact in created["result"]["contacts"]] == ["Ida Moss", "Rae"]
    assert NO_REFERENCE in created["notices"]
    assert (again["status"], len(changes(sim))) == ("already_submitted", 1)


# Contacts ------------------------------------------------------------------------


CONTACT_OF = {
    UPDATE_CONTACT: (f"suppliers/{SUPPLIER}", CONTACT, REFERENCE),
    DELETE_CONTACT: (f"suppliers/{SUPPLIER}", CONTACT, REFERENCE),
    UPDATE_BUYER_CONTACT: (f"buyers/{BUYER}", BUYER_CONTACT, BUYER_REFERENCE),
    DELETE_BUYER_CONTACT: (f"buyers/{BUYER}", BUYER_CONTACT, BUYER_REFERENCE),
}
"""What finds a contact before it changes it: of whom, its id, its reference."""
every_contact = pytest.mark.parametrize("tool", CONTACT_OF)


@pytest.mark.parametrize("by_id", [True, False], ids=["by id", "by reference"])
@every_contact
async def test_a_contact_is_found_by_its_id_and_by_its_reference(tool: str, by_id: bool, era: Era) -> None:
    """Documented: the path takes the reference alone; agents naturally hold the id."""
    sim = office()
    owner, id_, reference = CONTACT_OF[tool]

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, {**WRITES[tool], "id": id_ if by_id else reference})

    assert content["status"] == "confirmed"
    assert changes(sim)[0].path == f"/v2/counterparties/{owner}/contacts/{reference}"


async def test_a_reference_wins_over_an_id_that_reads_the_same(era: Era) -> None:
    """Ours: of two contacts that one word could mean, the one with the reference is meant."""
    sim = office()
    sim.add_contact(SUPPLIER, id="c-9", external_reference_id=CONTACT, name="Namesake")

    async with connect(sim, era) as client:
        await ask(client, DELETE_CONTACT, supplier_id=SUPPLIER, id=CONTACT)

    assert [contact["name"] for contact in sim.suppliers[SUPPLIER]["contacts"]] == ["Rae Lund"]


@pytest.mark.parametrize("reference", [None, ""])
@every_contact
async def test_a_contact_without_a_reference_cannot_be_changed_and_the_answer_says_why(
    tool: str, reference: str | None, era: Era
) -> None:
    """Documented: the reference is the only key in the path, and old contacts have none."""
    sim = office()
    sim.add_contact(CONTACT_OF[tool][0].split("/")[1], id="c-9", external_reference_id=reference)

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, {**WRITES[tool], "id": "c-9"})

    assert outcome(content, len(changes(sim))) == ("rejected", "rejected", False, 0)
    assert "external_reference_id" in content["error"]["message"]


@every_contact
async def test_a_contact_that_is_not_there_changes_nothing(tool: str, era: Era) -> None:
    """Ours: an unknown id is looked for first, so nothing is sent for it."""
    sim = office()

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, {**WRITES[tool], "id": "nobody"})

    assert outcome(content, len(changes(sim))) == ("rejected", "not_found", False, 0)
    owner = CONTACT_OF[tool][0].split("s/")[0]
    assert f"list_all_finexio_{owner}_contacts" in content["error"]["message"]


LOOKUPS_THAT_FAIL: dict[str, tuple[Fault, str]] = {
    "503": (Fault(status=503), "unavailable"),
    "reset": (Fault(reset="before_effect"), "unavailable"),
    "refused": (Fault(connect_error=True), "unavailable"),
    "lost": (Fault(lost_answer=True), "unavailable"),
    "429": (Fault(status=429), "rate_limited"),
    "HTML": (Fault(body=b"<html>"), "upstream_unreadable"),
}


LOOK_FIRST = [*CONTACT_OF, PATCH_SUPPLIER, PATCH_BUYER]


@pytest.mark.parametrize("tool", LOOK_FIRST)
async def test_a_change_whose_record_could_not_be_looked_up_was_not_executed(tool: str, era: Era) -> None:
    """Ours: looking first is a read; while it fails, nothing that changes anything has left."""
    sim, seen = office(), dict[str, Outcome]()

    async with connect_at(FakeClock(), sim, era) as client:
        for name, (fault, _) in LOOKUPS_THAT_FAIL.items():
            sim.clear_faults()
            sim.fault(fault, times=None, method="GET")
            seen[name] = outcome(await ask(client, tool, WRITES[tool]), len(changes(sim)))
    async with connect_at(LateClock(), Silent(), era) as client:
        late = await ask(client, tool, WRITES[tool])
    async with connect(Upstream(RuntimeError("secret detail")), era, **EVERY_TOOL) as client:
        broken = await ask(client, tool, WRITES[tool])

    assert seen == {name: ("not_executed", code, False, 0) for name, (_, code) in LOOKUPS_THAT_FAIL.items()}
    assert outcome(late, 0) == ("not_executed", "timeout", False, 0)
    assert outcome(broken, 0) == ("not_executed", "internal", False, 0)


@pytest.mark.parametrize("reference", ["a/b", "a?b#c", "%2e%2e", "é 漢", "AR desk #1", "+"])
async def test_a_reference_is_one_segment_of_the_path_whatever_it_holds(reference: str, era: Era) -> None:
    """Documented: the reference is text of the caller's own choosing."""
    sim = office()
    sim.suppliers[SUPPLIER]["contacts"][0]["external_reference_id"] = reference

    async with connect(sim, era) as client:
        content = await ask(client, DELETE_CONTACT, supplier_id=SUPPLIER, id=CONTACT)

    *before, segment = changes(sim)[0].path.split("/")
    assert "/".join(before) == f"/v2/counterparties/suppliers/{SUPPLIER}/contacts"
    assert unquote(segment) == reference
    # A server that decodes a path first has no route for it; what answers then is a page, and no refusal.
    assert content["status"] == ("in_doubt" if "/" in reference else "confirmed")


@pytest.mark.parametrize("reference", [".", ".."])
async def test_a_reference_that_would_climb_out_of_the_path_is_never_sent(reference: str, era: Era) -> None:
    """Ours: deleting the contact `..` must not delete the supplier."""
    sim = office()
    sim.suppliers[SUPPLIER]["contacts"][0]["external_reference_id"] = reference

    async with connect(sim, era) as client:
        content = await ask(client, DELETE_CONTACT, supplier_id=SUPPLIER, id=CONTACT)

    assert outcome(content, len(changes(sim))) == ("rejected", "invalid_arguments", False, 0)


async def test_an_update_keeps_what_it_does_not_mention(era: Era) -> None:
    """Ours: Finexio replaces a contact whole, so what was left out is sent as it stands."""
    sim = office()
    before = dict(sim.suppliers[SUPPLIER]["contacts"][0])

    async with connect(sim, era) as client:
        content = await ask(
            client, UPDATE_CONTACT, supplier_id=SUPPLIER, id=CONTACT, primary=False, phone="251-555-0199"
        )

    assert sim.suppliers[SUPPLIER]["contacts"][0] == before | {"primary": False, "phone": "251-555-0199"}
    assert content["result"]["email"] == "rae@harbor.example"


async def test_an_update_can_empty_a_field_and_rename_the_reference(era: Era) -> None:
    """Ours: `clear` empties; a new reference goes into the body, the old one into the path."""
    sim = office()

    async with connect(sim, era) as client:
        await ask(
            client,
            UPDATE_CONTACT,
            supplier_id=SUPPLIER,
            id=REFERENCE,
            primary=True,
            external_reference_id="HP-NEW",
            clear=["email"],
        )

    (request,) = changes(sim)
    assert request.path.endswith(f"/{REFERENCE}")
    assert (request.body["external_reference_id"], request.body["email"]) == ("HP-NEW", "")


async def test_created_contacts_are_the_new_ones_with_the_suppliers_total(era: Era) -> None:
    """Documented: Finexio answers with the supplier's whole contact list."""
    sim = office()
    contacts = [
        {"primary": False, "external_reference_id": "HP-2", "name": "Ida Moss"},
        {"primary": False, "name": "Front desk", "email": "desk@harbor.example"},
    ]

    async with connect(sim, era) as client:
        content = await ask(client, CREATE_CONTACT, supplier_id=SUPPLIER, contacts=contacts)

    assert [row["name"] for row in content["result"]] == ["Ida Moss", "Front desk"]
    assert content["notices"] == [NO_REFERENCE, "This supplier now has 3 contacts."]


@pytest.mark.parametrize("stored", [0, 1])
@pytest.mark.parametrize("tool", [CREATE_CONTACT, CREATE_BUYER_CONTACT])
async def test_contacts_are_counted_in_words_that_fit(tool: str, stored: int, era: Era) -> None:
    """Ours: one contact is no contacts; and of one that can be changed later nothing else is said."""
    sim = office()
    owner, records = ("supplier", sim.suppliers) if tool == CREATE_CONTACT else ("buyer", sim.buyers)
    contacts = records[WRITES[tool][f"{owner}_id"]]["contacts"]
    del contacts[stored:]

    async with connect(sim, era, **EVERY_TOOL) as client:
        content = await ask(client, tool, WRITES[tool])

    assert content["notices"] == [f"This {owner} now has {'2 contacts' if stored else '1 contact'}."]


@pytest.mark.parametrize("form", ["one", "array"])
@pytest.mark.parametrize("tool", [CREATE_CONTACT, CREATE_BUYER_CONTACT])
async def test_a_contact_that_nobody_can_change_later_is_told_of(tool: str, form: str, era: Era) -> None:
    """Documented: a contact is changed and deleted by its reference alone."""
    arguments = dict(WRITES[tool])
    (owner,) = (name for name in arguments if name.endswith("r_id"))
    contact = {name: value for name, value in arguments.items() if name not in {owner, "external_reference_id"}}
    given = contact if form == "one" else {"contacts": [{**contact, "external_reference_id": ""}]}

    async with connect(office(), era, **EVERY_TOOL) as client:
        content = await ask(client, tool, {owner: arguments[owner], **given})

    assert (content["status"], content["notices"][0]) == ("confirmed", NO_REFERENCE)


async def test_a_contact_that_is_renamed_in_its_case_alone_is_not_claimed_unseen(era: Era) -> None:
    """Ours: the answer is lost before anything happened, and Finexio still shows the former reference."""
    sim = office()
    sim.fault(Fault(reset="before_effect"), match=is_write)

    async with connect_at(FakeClock(), sim, era) as client:
        content = await ask(
            client,
            UPDATE_CONTACT,
            supplier_id=SUPPLIER,
            id=REFERENCE,
            primary=True,
            external_reference_id=REFERENCE.lower(),
        )

    assert outcome(content, len(changes(sim))) == ("in_doubt", "in_doubt", True, 1)
    assert sim.journal.effects == []


OF_THE_MAIN_CONTACT: Mapping[str, tuple[str, Arguments]] = {
    "named": (PATCH_COUNTERPARTY, {"id": SUPPLIER, "primary_contact_name": "Ida Moss"}),
    "emptied": (PATCH_COUNTERPARTY, {"id": SUPPLIER, "clear": ["primary_contact_phone"]}),
    "replaced": (REPLACE_COUNTERPARTY, WRITES[REPLACE_COUNTERPARTY]),
}
"""What the deprecated view does to a supplier's main contact; a replacement does it without a word."""


@pytest.mark.parametrize("contact_first", [True, False], ids=["contact first", "supplier first"])
@pytest.mark.parametrize("change", OF_THE_MAIN_CONTACT)
async def test_the_main_contact_is_one_record_in_both_views(change: str, contact_first: bool, era: Era) -> None:
    """Ours: there, elsewhere and there again is three changes, by whichever view each was made."""
    sim = office()
    of_contact, of_supplier = (UPDATE_CONTACT, WRITES[UPDATE_CONTACT]), OF_THE_MAIN_CONTACT[change]
    first, second = (of_contact, of_supplier) if contact_first else (of_supplier, of_contact)

    async with connect(sim, era) as client:
        statuses = [(await ask(client, *call))["status"] for call in (first, second, first, first)]

    assert statuses == ["confirmed", "confirmed", "confirmed", "already_submitted"]
    sent = [(request.method, request.path) for request in changes(sim)]
    assert len(sent) == 3
    assert sent[2] == sent[0] != sent[1]


BETWEEN: Mapping[str, tuple[tuple[str, Arguments], tuple[str, Arguments]]] = {
    "no longer the main one": (
        OF_THE_MAIN_CONTACT["named"],
        (UPDATE_CONTACT, {"supplier_id": SUPPLIER, "id": REFERENCE, "primary": False}),
    ),
    "deleted": (OF_THE_MAIN_CONTACT["named"], (DELETE_CONTACT, WRITES[DELETE_CONTACT])),
    "supplier replaced": (
        (UPDATE_CONTACT, WRITES[UPDATE_CONTACT]),
        (REPLACE_SUPPLIER, {**WRITES[REPLACE_SUPPLIER], "external_reference_id": "HARBOR-1"}),
    ),
    "buyer replaced": (
        (UPDATE_BUYER_CONTACT, WRITES[UPDATE_BUYER_CONTACT]),
        (REPLACE_BUYER, {**WRITES[REPLACE_BUYER], "external_reference_id": "STORE-1"}),
    ),
}
"""A change, and another that may undo it."""


@pytest.mark.parametrize("case", BETWEEN)
async def test_what_may_have_been_undone_is_sent_again(case: str, era: Era) -> None:
    """Ours: nobody is told that the main contact is as it was asked for when it may be gone."""
    sim = office()
    first, second = BETWEEN[case]

    async with connect(sim, era, **EVERY_TOOL) as client:
        statuses = [(await ask(client, *call))["status"] for call in (first, second, first)]

    assert statuses == ["confirmed"] * 3
    assert len(changes(sim)) == 3


async def test_a_patch_that_leaves_the_main_contact_alone_does_not_count_as_a_change_of_it(era: Era) -> None:
    """Ours: a repeated call is answered all the same."""
    sim = office()

    async with connect(sim, era) as client:
        answers = [
            await ask(client, UPDATE_CONTACT, WRITES[UPDATE_CONTACT]),
            await ask(client, PATCH_COUNTERPARTY, WRITES[PATCH_COUNTERPARTY]),
            await ask(client, UPDATE_CONTACT, WRITES[UPDATE_CONTACT]),
        ]

    assert [content["status"] for content in answers] == ["confirmed", "confirmed", "already_submitted"]
    assert len(changes(sim)) == 2


async def test_a_contact_like_an_old_one_is_reported_as_the_new_one(era: Era) -> None:
    """Ours: of two that look the same, the later in the list is the one just created."""
    sim = office()
    sim.add_contact(SUPPLIER, id="old", external_reference_id=None, name="Front desk", email="", phone="")

    async with connect(sim, era) as client:
        content = await ask(client, CREATE_CONTACT, supplier_id=SUPPLIER, primary=False, name="Front desk")

    (row,) = content["result"]
    assert row["id"] != "old"


async def test_contacts_created_without_an_id_are_still_reported(era: Era) -> None:
    """Documented: contacts may have `id: null`."""
    sim = office()
    sim.quirks.created_contact_ids_null = True

    async with connect(sim, era) as client:
        content = await ask(client, CREATE_CONTACT, WRITES[CREATE_CONTACT])

    assert [row["name"] for row in content["result"]] == ["Ida Moss"]


@pytest.mark.parametrize("answer", [[], [CONTACTS[0]], {}, True], ids=lambda answer: repr(answer)[:20])
async def test_contacts_missing_from_the_answer_are_in_doubt(answer: Any, era: Era) -> None:
    """Ours: accepted and not shown is no proof that it was stored."""
    async with connect(Upstream(reply(200, answer)), era) as client:
        content = await ask(client, CREATE_CONTACT, WRITES[CREATE_CONTACT])

    assert outcome(content, 1) == ("in_doubt", "in_doubt", True, 1)


async def test_deleting_a_contact_answers_true(era: Era) -> None:
    """Documented: the answer is JSON `true`, or nothing at all."""
    sim = office()
    silent = Upstream(reply(200, CONTACTS), reply(204))

    async with connect(sim, era) as client:
        said = await ask(client, DELETE_CONTACT, WRITES[DELETE_CONTACT])
    async with connect(silent, era) as client:
        unsaid = await ask(client, DELETE_CONTACT, WRITES[DELETE_CONTACT])

    assert said["result"] is True
    assert unsaid["result"] is True
    assert sim.suppliers[SUPPLIER]["contacts"] == []


# Webhooks ------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [REPLACE_WEBHOOK, PATCH_WEBHOOK])
@pytest.mark.parametrize("empty", [True, False], ids=["answered empty", "answered with the record"])
async def test_a_changed_webhook_is_shown_even_if_finexio_answers_empty(tool: str, empty: bool, era: Era) -> None:
    """Documented: the description declares no body for PUT and PATCH, the library behind it sends one."""
    sim = office()
    sim.quirks.webhook_put_empty = empty

    async with connect(sim, era) as client:
        content = await ask(client, tool, {**WRITES[tool], "payment_status": True})

    assert (content["status"], content["result"]["id"], content["result"]["payment_status"]) == (
        "confirmed",
        WEBHOOK,
        True,
    )
    assert len(sim.journal.requests) == (2 if empty else 1)


@pytest.mark.parametrize("tool", [REPLACE_WEBHOOK, PATCH_WEBHOOK])
async def test_a_changed_webhook_that_cannot_be_shown_was_changed_all_the_same(tool: str, era: Era) -> None:
    """Ours: a look that fails afterwards does not take the change back."""
    sim = office()
    sim.fault(Fault(status=404), times=None, method="GET")

    async with connect(sim, era) as client:
        content = await ask(client, tool, WRITES[tool])

    assert (content["status"], content["result"]) == ("confirmed", {"id": WEBHOOK})
    assert content["notices"] == ["Changed; the record could not be shown just now."]


@pytest.mark.parametrize("tool", [CREATE_WEBHOOK, REPLACE_WEBHOOK, PATCH_WEBHOOK])
async def test_the_short_event_name_is_sent_in_full_with_a_notice(tool: str, era: Era) -> None:
    """Documented: prose says `payment.change`, only `payment.changed` is taken."""
    sim = office_for(tool)

    async with connect(sim, era) as client:
        content = await ask(client, tool, {**WRITES[tool], "event": "payment.change"})

    assert changes(sim)[0].body["event"] == "payment.changed"
    assert "event was sent as payment.changed, its full name." in content["notices"]


async def test_the_password_of_a_webhook_is_never_shown(era: Era) -> None:
    """Ours: Finexio returns it in clear on every read."""
    sim = office(webhook=False)
    sim.quirks.webhook_put_empty = False

    async with connect(sim, era) as client:
        created = await ask(client, CREATE_WEBHOOK, HOOK)
        hook_id = created["result"]["id"]
        answers = [
            created,
            await ask(client, "get_single_finexio_webhook_by_id", id=hook_id, fields=["*"]),
            await ask(client, "get_single_finexio_webhook_by_id", id=hook_id, fields=["password", "username"]),
            await ask(client, "list_all_finexio_webhooks", fields=["*"]),
            await ask(client, PATCH_WEBHOOK, id=hook_id, payment_events=True),
            await ask(client, REPLACE_WEBHOOK, {**HOOK, "id": hook_id}),
        ]

    assert changes(sim)[0].body["password"] == HOOK["password"]
    assert HOOK["password"] not in str(answers)
    assert "'password'" not in str([answer["result"] for answer in answers])


@pytest.mark.parametrize("status", [400, 500])
async def test_a_second_webhook_for_one_event_is_no_success(status: int, era: Era) -> None:
    """Documented: one subscription for each event and user; how a second one is refused is not said."""
    sim = office()
    sim.quirks.second_webhook_status = 400 if status == 400 else 500

    async with connect(sim, era) as client:
        content = await ask(client, CREATE_WEBHOOK, HOOK)

    assert content["status"] == ("rejected" if status == 400 else "in_doubt")
    assert len(sim.webhooks) == 1
    if status == 400:
        assert PATCH_WEBHOOK in content["error"]["message"]


async def test_a_deleted_webhook_is_named(era: Era) -> None:
    """Documented: Finexio answers 204 without a body."""
    sim = office()

    async with connect(sim, era) as client:
        content = await ask(client, DELETE_WEBHOOK, id=WEBHOOK)

    assert (content["result"], sim.webhooks) == ({"id": WEBHOOK, "deleted": True}, {})


@pytest.mark.parametrize("tool", [CREATE_COUNTERPARTY, PATCH_COUNTERPARTY, CREATE_WEBHOOK, CREATE_CONTACT])
async def test_an_accepted_write_without_an_answer_is_no_success(tool: str, era: Era) -> None:
    """Ours: an empty 2xx is success only where nothing else can be meant: changed webhooks and deletions."""
    async with connect(Upstream(reply(200, None)), era) as client:
        content = await ask(client, tool, WRITES[tool])

    assert outcome(content, 1) == ("in_doubt", "in_doubt", True, 1)
