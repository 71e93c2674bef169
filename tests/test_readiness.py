"""`doctor --suppliers`: who cannot be paid and why, read whole or said to be incomplete, safe wherever it is opened."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any, Never

import anyio
import httpx2
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finexio_mcp import readiness
from finexio_mcp.cli import cli
from finexio_mcp.errors import Problem
from finexio_mcp.printing import defused
from finexio_mcp.readiness.judging import NEEDED, NO_METHOD, NOT_KNOWN, NOT_SHOWN, SWITCHED_OFF, Finding, judge
from finexio_mcp.readiness.printing import HEADER, as_csv
from finexio_mcp.readiness.survey import MOST_CHARS, Report, survey
from finexio_mcp.settings import SettingsError
from finexio_mcp.simulator import Fault, Received, Simulator
from tests.calls import FakeClock, Upstream, at_once, reply
from tests.conftest import simulator_settings

LIST = "/v2/counterparties/suppliers"
ACCOUNT, ROUTING = "98765401234", "021000021"
STYLES = ("", "--json", "--csv")

Fields = Mapping[str, Any]

ADDRESS: Fields = {
    "remit_address_1": "18 Quay St",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602",
    "remit_country": "USA",
}
NO_ADDRESS: Fields = dict.fromkeys(ADDRESS)
BANK: Fields = {"bank_account_number": ACCOUNT, "bank_routing_number": ROUTING}
NO_BANK: Fields = dict.fromkeys(BANK)
MAILED: Fields = {"payment_method": "Check", "delivery_method": "Mail", **ADDRESS, **NO_BANK, "remit_email": None}
EMAILED: Fields = {**MAILED, "delivery_method": "Email", "remit_email": "ar@quay.example"}
CARD: Fields = {**EMAILED, **NO_ADDRESS, "payment_method": "Card"}
ACH: Fields = {"payment_method": "ACH", "delivery_method": None, **NO_ADDRESS, **BANK, "remit_email": None}
WIRE: Fields = {**ACH, "payment_method": "Wire"}
EXPRESS: Fields = {**ACH, "payment_method": "FinexioExpress"}


@pytest.fixture(autouse=True)
def _handlers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    yield
    logging.getLogger("finexio_mcp").setLevel(logging.NOTSET)


@pytest.fixture
def books() -> Simulator:
    """A pretend Finexio without suppliers, where waiting takes no time."""
    return Simulator(seed=1, populated=False, sleep=at_once)


async def look(upstream: Simulator | httpx2.AsyncBaseTransport, **overrides: Any) -> Report:
    transport = upstream.transport() if isinstance(upstream, Simulator) else upstream
    with anyio.fail_after(20):
        return await survey(simulator_settings(**overrides), transport, clock=FakeClock())


def problems(findings: list[Finding]) -> dict[str | None, list[str]]:
    """By id, the fields that are told."""
    return {finding.id: [problem.field for problem in finding.problems] for finding in findings}


def run(sim: Simulator, *options: str, **environment: str) -> Result:
    """The command in this process, against a simulator that listens."""
    with sim.listening() as base_url:
        usual = {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_BASE_URL": base_url, "FINEXIO_MCP_RATE": "0"}
        return command(*options, **{**usual, **environment})


def command(*options: str, **environment: str) -> Result:
    result = CliRunner().invoke(cli, ["doctor", "--suppliers", *filter(None, options)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


# Who can be paid -----------------------------------------------------------------

GOOD: dict[str, Fields] = {
    "check by mail": MAILED,
    "check by email": EMAILED,
    "check to Canada": {**MAILED, "remit_state": "ON", "remit_zipcode": "K1A 0B1", "remit_country": "CAN"},
    "card by email": CARD,
    "card by phone": {**CARD, "delivery_method": "Phone", "remit_email": None},
    "card in the portal": {**CARD, "delivery_method": "Portal", "remit_email": ""},
    "ach": ACH,
    "wire": WIRE,
    "express": EXPRESS,
    "express with a delivery": {**EXPRESS, "delivery_method": "Email"},
    "several addresses": {**CARD, "remit_email": "ar@quay.example,ap@quay.example"},
    "no word about enabled": {**ACH, "enabled": None},
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
async def test_a_supplier_who_has_what_the_method_needs_can_be_paid(fields: Fields, books: Simulator) -> None:
    """Documented: what each method needs; an express supplier is stored without a delivery, whatever was sent."""
    books.add_supplier("good", **fields)

    report = await look(books)

    assert (report.suppliers, report.payable, report.complete) == (1, 1, True)
    assert report.not_payable == report.not_judged == []


BAD: list[tuple[Fields, dict[str, Any], list[str]]] = [
    *((MAILED, {name: None}, [name]) for name in ADDRESS),
    *((EMAILED, {name: ""}, [name]) for name in ADDRESS),
    (MAILED, {"remit_city": "  "}, ["remit_city"]),
    (MAILED, dict(NO_ADDRESS), list(ADDRESS)),
    *((fields, {name: None}, [name]) for fields in (ACH, WIRE, EXPRESS) for name in BANK),
    *((fields, dict.fromkeys(BANK, ""), list(BANK)) for fields in (ACH, WIRE, EXPRESS)),
    (MAILED, {"delivery_method": None}, ["delivery_method"]),
    (CARD, {"delivery_method": None}, ["delivery_method"]),
    (CARD, {"delivery_method": ""}, ["delivery_method"]),
    (EMAILED, {"remit_email": None}, ["remit_email"]),
    (CARD, {"remit_email": ""}, ["remit_email"]),
    (CARD, {"remit_email": None, "delivery_method": "Mail"}, ["remit_email"]),
    (CARD, {"remit_email": None, "delivery_method": None}, ["delivery_method", "remit_email"]),
    (EMAILED, {"remit_email": None, "remit_state": None}, ["remit_state", "remit_email"]),
    (ACH, {"enabled": False}, ["enabled"]),
    (ACH, {"enabled": False, "bank_routing_number": None}, ["enabled", "bank_routing_number"]),
    (MAILED, {"payment_method": None}, ["payment_method"]),
    (MAILED, {"payment_method": ""}, ["payment_method"]),
]


@pytest.mark.parametrize(("fields", "change", "lacking"), BAD)
async def test_a_supplier_who_lacks_something_cannot_be_paid_and_it_is_named(
    fields: Fields, change: Fields, lacking: list[str], books: Simulator
) -> None:
    """Documented: what each method needs. A blank is nothing; a supplier may be switched off."""
    books.add_supplier("good", **fields)
    books.add_supplier("bad", **{**fields, **change})

    report = await look(books)

    assert problems(report.not_payable) == {"bad": lacking}
    assert (report.suppliers, report.payable, report.not_judged) == (2, 1, [])


def test_each_problem_says_why_and_the_way_out() -> None:
    """Ours: a controller has to know what to do."""
    found = judge({**EMAILED, "remit_email": None, "remit_zipcode": "", "enabled": False})
    methodless = judge({**ACH, "payment_method": None})

    assert found is not None
    assert methodless is not None
    assert found.problems == (
        Problem("enabled", SWITCHED_OFF),
        Problem(
            "remit_zipcode",
            "is required when payment_method is Check; give the address that checks are mailed to",
        ),
        Problem(
            "remit_email",
            "is required when payment_method is Check and delivery_method is Email; give one address, or several with "
            "commas between",
        ),
    )
    assert "ask Finexio" in SWITCHED_OFF
    assert methodless.problems == (Problem("payment_method", NO_METHOD),)
    assert "ACH, Card, Check, Wire or FinexioExpress" in NO_METHOD


UNCLEAR: list[tuple[Fields, dict[str, Any], list[str]]] = [
    *((ACH, {"payment_method": method}, ["payment_method"]) for method in ("Zelle", "ach", "PrintedCheck", " ACH")),
    *((ACH, {"payment_method": method}, ["payment_method"]) for method in (5, 0, True, ["ACH"], {"is": "ACH"})),
    (ACH, {"payment_method": "Zelle", "enabled": False}, ["enabled", "payment_method"]),
    (ACH, {"bank_account_number": True}, ["bank_account_number"]),
    (ACH, {"bank_account_number": []}, ["bank_account_number"]),
    (ACH, {"bank_routing_number": {"last_four": "0021"}}, ["bank_routing_number"]),
    (MAILED, {"remit_city": ["Mobile"]}, ["remit_city"]),
    (MAILED, {"delivery_method": "web"}, ["delivery_method"]),
    (CARD, {"delivery_method": "email"}, ["delivery_method"]),
    (CARD, {"delivery_method": 3}, ["delivery_method"]),
    (CARD, {"delivery_method": "portal", "remit_email": None}, ["delivery_method"]),
    (ACH, {"enabled": "false"}, ["enabled"]),
    (ACH, {"enabled": 0}, ["enabled"]),
]


@pytest.mark.parametrize(("fields", "change", "unclear"), UNCLEAR)
async def test_what_is_not_known_here_is_not_judged(fields: Fields, change: Fields, unclear: list[str]) -> None:
    """Ours: the vendor adds values and changes types without notice; neither good nor bad follows from them."""
    row = {"id": "odd", "name": "Odd Co", "enabled": True, **fields, **change}
    upstream = Upstream(reply(200, {"count": 1, "next": None, "previous": None, "results": [row]}))

    report = await look(upstream)

    assert problems(report.not_judged) == {"odd": unclear}
    assert (report.suppliers, report.payable, report.not_payable) == (1, 0, [])
    assert NOT_KNOWN in [problem.problem for problem in report.not_judged[0].problems]


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        (ACH, {"remit_city": ["Mobile"], "delivery_method": "web", "remit_email": 7}),
        (MAILED, {"remit_zipcode": 36602, "bank_account_number": []}),
        (WIRE, {"bank_account_number": 98765401234, "bank_routing_number": 21000021}),
        (ACH, {"id": None, "name": None, "external_reference_id": None}),
        (ACH, {"id": 5, "name": ["x"], "external_reference_id": {}}),
    ],
)
async def test_what_the_method_does_not_need_may_be_anything(fields: Fields, change: Fields) -> None:
    """Ours: no rule hangs on it, and numbers without quotes are there all the same."""
    report = await look(Upstream(reply(200, {"count": 1, "next": None, "results": [{**fields, **change}]})))

    assert (report.payable, report.not_payable, report.not_judged) == (1, [], [])


def test_who_it_is_is_told_on_one_line_whatever_was_stored() -> None:
    """Ours: what is no text is not spelt out; it may hold anything."""
    found = judge({"id": 5, "name": {"bank_account_number": ACCOUNT}, "payment_method": ["ACH"]})

    assert found is not None
    assert (found.id, found.external_reference_id) == ("5", None)
    assert found.name == found.payment_method == "(no text)"


async def test_what_is_certain_counts_beside_what_is_unclear() -> None:
    """Ours: without a postal code no check arrives, whatever the city is."""
    row = {**MAILED, "id": None, "name": None, "remit_city": ["Mobile"], "remit_zipcode": None}

    report = await look(Upstream(reply(200, {"count": 1, "next": None, "results": [row]})))

    assert problems(report.not_payable) == {None: ["remit_city", "remit_zipcode"]}
    assert report.not_payable[0].problems[0].problem == NOT_KNOWN
    assert (report.not_payable[0].name, report.not_payable[0].payment_method) == (None, "Check")


@pytest.mark.parametrize("row", [None, 5, "HARBOR-1", ["x"]], ids=str)
async def test_a_row_that_is_no_record_is_not_judged(row: Any) -> None:
    """Ours: it counts, or one supplier fewer would be missed by nobody."""
    report = await look(Upstream(reply(200, {"count": 1, "next": None, "results": [row]})))

    assert (report.suppliers, report.payable, len(report.not_judged)) == (1, 0, 1)


# The rules against those of the simulator ----------------------------------------

MAYBE = st.one_of(st.none(), st.just(""))
SENT: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "payment_method": st.sampled_from(["ACH", "Card", "Check", "Wire", "FinexioExpress"]),
        "delivery_method": st.sampled_from([None, "Mail", "Email", "Portal", "Phone"]),
        "remit_email": MAYBE | st.just("ar@quay.example"),
        **{name: MAYBE | st.just(value) for name, value in {**ADDRESS, **BANK}.items() if name != "remit_country"},
    }
)


@settings(max_examples=300, deadline=None)
@given(SENT)
def test_whom_finexio_takes_can_be_paid_and_whom_it_refuses_cannot(sent: dict[str, Any]) -> None:
    """Documented: the pretend Finexio has its rules from the contract, not from here."""
    if sent["payment_method"] == "FinexioExpress" and sent["delivery_method"] is None:
        # It is asked for when it is sent, and not kept.
        sent["delivery_method"] = "Email"
    sim = Simulator(seed=1, populated=False)
    body = {"name": "Quay Rope Co", "external_reference_id": "QUAY-9", "remit_country": "USA", **sent}

    async def create() -> int:
        async with httpx2.AsyncClient(transport=sim.transport(), auth=("demo", "demo")) as http:
            return (await http.post(f"http://simulator.invalid{LIST}", json=body)).status_code

    taken = anyio.run(create) in {200, 201}

    assert taken is (judge(body) is None)
    assert taken is bool(sim.suppliers)
    assert [judge(row) for row in sim.suppliers.values() if judge(row) is not None] == []


# Reading the list ----------------------------------------------------------------


async def test_a_thousand_suppliers_cost_ten_requests(books: Simulator) -> None:
    """Ours: a page a request, whatever agents may do here and however short their answers are."""
    for number in range(1000):
        books.add_supplier(**({**MAILED, "remit_city": None} if number % 100 == 7 else MAILED))
    seen: list[tuple[int, int | None]] = []
    chosen = simulator_settings(
        FINEXIO_MCP_RESULT_CHARS=5_000,
        FINEXIO_MCP_TOOLSETS="core",
        FINEXIO_MCP_TOOLS="list_all_finexio_invoices",
        FINEXIO_MCP_ACCESS="read",
    )

    with anyio.fail_after(20):
        report = await survey(
            chosen, books.transport(), show=lambda report: seen.append((report.suppliers, report.total))
        )

    assert [(request.method, request.path) for request in books.journal.requests] == [("GET", LIST)] * 10
    assert (report.suppliers, report.payable, len(report.not_payable)) == (1000, 990, 10)
    assert (report.complete, report.notices) == (True, [])
    assert seen == [(hundreds, 1000) for hundreds in range(100, 1001, 100)]


async def test_an_answer_that_was_cut_to_fit_goes_on_where_it_ended() -> None:
    """Ours: everybody is judged once, and how the answers were cut is nobody's concern."""
    rows = [{"id": f"s-{number}", **ACH, "remit_city": ["x" * 400] * 30} for number in range(100)]
    rows[57]["bank_account_number"] = None
    upstream = Upstream(reply(200, {"count": 100, "next": None, "previous": None, "results": rows}))

    report = await look(upstream)

    assert len(upstream.requests) > 1
    assert (report.suppliers, problems(report.not_payable)) == (100, {"s-57": ["bank_account_number"]})
    assert (report.complete, report.notices) == (True, [])


def test_the_longest_answer_is_what_settings_allow() -> None:
    """Ours: more would be refused if an operator asked for it."""
    assert simulator_settings(FINEXIO_MCP_RESULT_CHARS=MOST_CHARS).result_chars == MOST_CHARS
    with pytest.raises(SettingsError):
        simulator_settings(FINEXIO_MCP_RESULT_CHARS=MOST_CHARS + 1)


def on_page(number: int, act: Callable[[], object] = lambda: None) -> Callable[[Received], bool]:
    """Whether a request is for that page, and something that happens right before its first answer."""
    pending = [act]

    def fits(request: Received) -> bool:
        if ("page", str(number)) not in request.query:
            return False
        if pending:
            pending.pop()()
        return True

    return fits


@pytest.mark.parametrize(("order", "complete"), [("oldest_first", True), ("newest_first", False)])
async def test_a_list_that_grows_while_it_is_read_is_told(order: Any, complete: bool, books: Simulator) -> None:
    """Ours: who came at its end was read, who came at its begin was not, and then nobody is said to be all."""
    books.order["suppliers"] = order
    for _ in range(250):
        books.add_supplier(**ACH)
    # A delay of no time at all: the answer stays as it is.
    books.fault(Fault(delay_seconds=0.001), match=on_page(2, lambda: books.add_supplier("late", **MAILED)))

    report = await look(books)

    assert report.suppliers == (251 if complete else 250)
    assert report.complete is complete
    assert "The list changed while it was read" in report.notices[0]
    assert ("Only 250 of 251 suppliers were read" in "".join(report.notices)) is not complete
    assert report.not_payable == report.not_judged == []


async def test_a_list_that_ends_before_its_count_is_incomplete(books: Simulator) -> None:
    """Ours: Finexio says that there are more, so nobody may say that all can be paid."""
    for _ in range(250):
        books.add_supplier(**ACH)
    books.fault(Fault(status=404), times=None, match=on_page(3))

    report = await look(books)

    assert (report.suppliers, report.total, report.complete) == (200, 250, False)


async def test_a_list_in_which_the_place_was_lost_is_incomplete() -> None:
    """Ours: as many were read as there are, and still somebody may have been missed."""

    def books_of(letter: str, count: int) -> Callable[[httpx2.Request], httpx2.Response]:
        def page(request: httpx2.Request) -> httpx2.Response:
            start = (int(request.url.params.get("page", 1)) - 1) * 100
            rows = [{"id": f"{letter}-{number}", **ACH} for number in range(count)]
            more = f"{LIST}?page=x" if start + 100 < count else None
            return reply(200, {"count": count, "next": more, "results": rows[start : start + 100]})

        return page

    report = await look(Upstream(books_of("a", 200), books_of("b", 199)))

    assert report.total is not None
    assert report.suppliers >= report.total
    assert report.complete is False
    assert "could not be found again" in "".join(report.notices)


async def test_what_was_read_before_finexio_failed_is_kept(books: Simulator) -> None:
    """Ours: page 4 fails however often it is asked for; the first three stand, and are not taken for all."""
    for number in range(500):
        books.add_supplier(f"s-{number}", **(ACH if number % 150 else {**ACH, **NO_BANK}))
    books.fault(Fault(status=503), times=None, match=on_page(4))

    report = await look(books)

    assert len(books.journal.requests) == 3 + 4
    assert (report.suppliers, report.total, report.complete) == (300, 500, False)
    assert set(problems(report.not_payable)) == {"s-0", "s-150"}
    assert "could not be read to its end. unavailable: " in report.notices[0]
    assert "`finexio-mcp doctor` without --suppliers tells more." in report.notices[0]


# What it prints ------------------------------------------------------------------


def test_json_is_one_object_whose_counts_add_up(books: Simulator) -> None:
    """Ours: for programs, in the words that Finexio uses."""
    books.add_supplier("good", **CARD)
    books.add_supplier("bad", **{**ACH, **NO_BANK}, name="Harbor Paper Co", external_reference_id="HARBOR-1")
    books.add_supplier("odd", **{**ACH, "payment_method": "Zelle"}, name="Łódź Ink", external_reference_id="LODZ")

    result = run(books, "--json")

    why = "is required when payment_method is ACH; give the whole number from a source that the supplier has confirmed"
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {
        "suppliers": 3,
        "payable": 1,
        "not_payable": [
            {
                "id": "bad",
                "external_reference_id": "HARBOR-1",
                "name": "Harbor Paper Co",
                "payment_method": "ACH",
                "problems": [{"field": name, "problem": why} for name in BANK],
            }
        ],
        "not_judged": [
            {
                "id": "odd",
                "external_reference_id": "LODZ",
                "name": "Łódź Ink",
                "payment_method": "Zelle",
                "problems": [{"field": "payment_method", "problem": NOT_KNOWN}],
            }
        ],
        "complete": True,
        "notices": [],
    }


def test_csv_has_a_header_and_a_line_for_each_problem(books: Simulator) -> None:
    """Ours: for spreadsheets."""
    books.add_supplier("good", **CARD)
    books.add_supplier("bad", **{**ACH, **NO_BANK}, name='Paper, "Fine" & Co', external_reference_id="HARBOR-1")
    books.add_supplier("odd", **{**ACH, "payment_method": "Zelle"}, name="Ink", external_reference_id="")

    result = run(books, "--csv")

    header, *rows = cells(result.stdout_bytes.decode("utf-8"))
    assert result.exit_code == 1
    assert result.stdout_bytes.count(b"\r\n") == result.stdout_bytes.count(b"\n") == 4
    assert tuple(header) == HEADER
    assert [row[:6] for row in rows] == [
        ["bad", "HARBOR-1", 'Paper, "Fine" & Co', "ACH", "not_payable", "bank_account_number"],
        ["bad", "HARBOR-1", 'Paper, "Fine" & Co', "ACH", "not_payable", "bank_routing_number"],
        ["odd", "", "Ink", "Zelle", "not_judged", "payment_method"],
    ]


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_holds_ids_whole_and_says_things_once(columns: int, books: Simulator) -> None:
    """Ours: an id that is cut or broken cannot be copied."""
    ids = [f"b88d2200-656d-4fe5-87b2-deac8ab8a17{number}" for number in range(3)]
    books.add_supplier(ids[0], **{**MAILED, **NO_ADDRESS}, name="Dockside Awning Repair, Upholstery and Sail Loft")
    books.add_supplier(ids[1], **{**CARD, "remit_email": None}, name="Ravenel", external_reference_id="RAVENEL-ART")
    books.add_supplier(ids[2], **{**ACH, "payment_method": "Zelle"})
    books.add_supplier(**WIRE)

    result = run(books, COLUMNS=str(columns))

    lines = [line.rstrip() for line in result.stdout.splitlines()]
    words = " ".join(result.stdout.split())
    assert all(sum(line.startswith(supplier) for line in lines) == 1 for supplier in ids)
    assert max(map(len, lines)) <= columns
    assert words.count("mailed") == 1
    assert all(name in words for name in ADDRESS)
    assert "RAVENEL-ART, Card" in words
    assert lines.index("Cannot be paid:") < lines.index("Not judged:")
    assert lines[-1] == "4 suppliers read: 1 lacks nothing, 2 cannot be paid, 1 was not judged."


def test_what_is_said_of_several_fields_is_said_in_the_plural(books: Simulator) -> None:
    """Ours: in the table alone, where they stand together."""
    books.add_supplier(**{**MAILED, **NO_ADDRESS})
    books.add_supplier(**{**CARD, "remit_email": None})

    table = run(books, COLUMNS="250").stdout
    problems = [
        problem for row in json.loads(run(books, "--json").stdout)["not_payable"] for problem in row["problems"]
    ]

    assert f"{', '.join(ADDRESS)}: are required when payment_method is Check; give the address" in table
    assert "remit_email: is required when payment_method is Card" in table
    assert len(problems) == len(ADDRESS) + 1
    assert all(problem["problem"].startswith("is required when ") for problem in problems)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("supplier", ["s", "b88d2200-656d-4fe5-87b2-deac8ab8a17" * 5])
def test_nothing_is_cut_however_little_room_there_is(columns: int, supplier: str, books: Simulator) -> None:
    """Ours: an id of another shape may take many lines, and what is said beside it stays whole."""
    name = "Dockside Awning Repair, Upholstery and Sail Loft"
    books.add_supplier(supplier, **{**CARD, "remit_email": None}, name=name, external_reference_id="DOCK-1")

    lines = run(books, COLUMNS=str(columns)).stdout.splitlines()
    report = run(books, "--json").stdout

    said = json.loads(report)["not_payable"][0]["problems"][0]["problem"]
    assert {*said.split(), *name.split(), "DOCK-1,", "remit_email:"} <= set(" ".join(lines).split())
    assert supplier in "".join(line.split()[0] for line in lines if line[:1].strip())
    assert max(map(len, lines)) <= max(
        columns, len("1 supplier read: 0 lack nothing, 1 cannot be paid, 0 were not judged.")
    )


@pytest.mark.parametrize(
    ("count", "bad", "said"),
    [
        (0, 0, "0 suppliers read: 0 lack nothing, 0 cannot be paid, 0 were not judged."),
        (1, 0, "1 supplier read: 1 lacks nothing, 0 cannot be paid, 0 were not judged."),
        (1200, 35, "1,200 suppliers read: 1,165 lack nothing, 35 cannot be paid, 0 were not judged."),
    ],
)
def test_the_last_line_counts(count: int, bad: int, said: str, books: Simulator) -> None:
    """Ours: with 0 only if nobody lacks anything; whether the rest holds, such as an account, only Finexio knows."""
    for number in range(count):
        books.add_supplier(**(ACH if number >= bad else {**ACH, **NO_BANK}))

    result = run(books)

    assert result.stdout.splitlines()[-1] == said
    assert result.exit_code == (1 if bad else 0)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("unmask", ["", "bank_account_number,bank_routing_number"])
def test_numbers_of_banks_are_never_printed_not_even_masked(style: str, unmask: str, books: Simulator) -> None:
    """Ours: whether they are there is all that this is about, whatever an operator shows to agents."""
    books.add_supplier("half", **{**ACH, "bank_routing_number": None}, name="Half Co")
    books.add_supplier("off", **{**WIRE, "enabled": False}, name="Off Co")

    result = run(books, style, FINEXIO_MCP_UNMASK=unmask)

    assert result.exit_code == 1
    assert "Half Co" in result.stdout
    assert not any(part in result.output for part in (ACCOUNT, ROUTING, ACCOUNT[-4:], ROUTING[-4:], "****"))


def test_a_number_of_a_bank_in_a_name_is_masked(books: Simulator) -> None:
    """Ours: as in every answer, even where an operator shows the field itself to agents."""
    books.add_supplier("half", **{**ACH, "bank_account_number": None}, name=f"Half Co, {ROUTING}")

    result = run(books, "--json", FINEXIO_MCP_UNMASK="bank_routing_number")

    assert json.loads(result.stdout)["not_payable"][0]["name"] == f"Half Co, ****{ROUTING[-4:]}"


HOSTILE = "\x1b[2J\x1b]0;pwned\x07Evil\u202e\u200b\r\nCo [red]x[/red]\t\x9b31m\U000e0041"


@pytest.mark.parametrize("style", STYLES)
def test_names_cannot_steer_a_terminal_or_break_a_line(style: str, books: Simulator) -> None:
    """Ours: names come from outsiders."""
    hostile = {"name": HOSTILE, "external_reference_id": HOSTILE, "payment_method": HOSTILE}
    books.add_supplier("bad", **{**ACH, **NO_BANK, **hostile, "payment_method": "ACH"})
    books.add_supplier("odd", **{**ACH, **hostile})

    result = run(books, style, COLUMNS="500")

    text = result.stdout_bytes.decode("utf-8")
    assert result.exit_code == 1
    assert all(part in text for part in ("pwnedEvil", "[red]x[/red]", "31m"))
    assert style == "" or "Evil Co [red]x[/red] 31m" in text
    assert set(re.findall(r"[^\x20-\x7e]", text)) <= {"\n", *(["\r"] if style == "--csv" else [])}
    assert "\\u" not in text
    if style == "--csv":
        assert [row[0] for row in cells(text)] == ["id", "bad", "bad", "odd"]


# Spreadsheets --------------------------------------------------------------------

FORMULA = re.compile(
    r"[\x00-\x20\x7f-\xa0\u00ad\u2000-\u200f\u2028-\u202f\u2060\u3000\ufeff]*[=+\-@＝＋－＠]|\s*[\t\r\n]"
)
"""What a spreadsheet may take for a formula, written down a second time."""


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        " \t=1",
        "\x00=1",
        "\u200b=1",
        "\ufeff=1",
        "\xa0 +1",
        "＝1+1",
        "\nx",
    ],
)
def test_a_cell_that_begins_as_a_formula_does_is_defused(cell: str) -> None:
    """Ours: blanks and what cannot be seen before it make no difference."""
    assert defused(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "Quay Rope Co", "A-1", "a=b", " x", "'=1", "1-2", "b88d2200-656d", "é+", "  "])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    """Ours: a vendor code is looked up as it is written."""
    assert defused(cell) == cell


CELL = st.text(max_size=12) | st.from_regex(r"[\s\x00'\"]{0,2}[=+\-@;,].{0,5}", fullmatch=True)


@given(st.lists(st.tuples(CELL, CELL, CELL, CELL, CELL), max_size=4), st.booleans())
@example([("\r", '"', ",", "=1", "\n")], True)
def test_csv_comes_back_as_it_was_and_without_formulas(rows: list[tuple[str, ...]], complete: bool) -> None:
    """Ours: RFC 4180 both ways, but for an apostrophe before what would be a formula."""
    findings = [Finding(*row[:4], problems=(Problem("id", row[4]),), judged=True) for row in rows]

    header, *read = cells(as_csv(Report(suppliers=len(rows), not_payable=findings, complete=complete)))

    expected = [(*row[:4], "not_payable", "id", row[4]) for row in rows]
    assert tuple(header) == HEADER
    assert [status for *_, status, _, _ in read[len(rows) :]] == ([] if complete else ["incomplete"])
    for given_cells, cells_read in zip(expected, read, strict=False):
        assert [cell if cell == was else cell[1:] for was, cell in zip(given_cells, cells_read, strict=True)] == [
            *given_cells
        ]
        assert [cell for cell in cells_read if FORMULA.match(cell)] == []


def test_a_formula_in_a_name_is_defused_on_its_way(books: Simulator) -> None:
    """Ours: whoever opens the file runs nothing."""
    books.add_supplier(
        "=bad", **{**ACH, **NO_BANK}, name='=HYPERLINK("http://evil.example")', external_reference_id="@x"
    )

    rows = cells(run(books, "--csv").stdout)

    assert rows[1][:3] == ["'=bad", "'@x", '\'=HYPERLINK("http://evil.example")']


# When it cannot be read ----------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_a_report_that_broke_off_says_so_wherever_it_is_read(style: str, books: Simulator) -> None:
    """Ours: in what was asked for, on stderr and in the exit code; nobody read so far lacks anything here."""
    for _ in range(250):
        books.add_supplier(**ACH)
    books.fault(Fault(body=b"<html>"), times=None, match=on_page(3))

    result = run(books, style)

    said = "Incomplete. 200 suppliers read, of 250: 200 lack nothing, 0 cannot be paid, 0 were not judged."
    assert result.exit_code == 2
    assert "upstream_unreadable: " in result.stderr
    assert "finexio-mcp doctor" in result.stderr
    match style:
        case "--json":
            told = json.loads(result.stdout)
            assert (told["suppliers"], told["payable"], told["complete"]) == (200, 200, False)
            assert told["notices"] == result.stderr.splitlines()
        case "--csv":
            assert cells(result.stdout)[1:] == [["", "", "", "", "incomplete", "", said]]
        case _:
            assert result.stdout.splitlines() == [said]


@pytest.mark.parametrize("style", STYLES)
def test_wrong_credentials_are_said_plainly(style: str, books: Simulator) -> None:
    """Ours: with what the doctor knows more of, and without the password."""
    books.add_supplier(**ACH)

    result = run(books, style, FINEXIO_USERNAME="demo", FINEXIO_PASSWORD="not-hers-918273")

    assert result.exit_code == 2
    assert "not_authorized: " in result.stderr
    assert "`finexio-mcp doctor` without --suppliers tells more." in result.stderr
    assert "918273" not in result.output
    assert "Incomplete. 0 suppliers read" in result.stdout or json.loads(result.stdout)["complete"] is False


def test_without_credentials_it_says_what_to_set() -> None:
    """Ours: nothing was asked, and nothing is claimed."""
    result = command()

    assert result.exit_code == 2
    assert "FINEXIO_USERNAME" in result.stderr
    assert result.stdout.startswith("Incomplete.")


def test_notices_of_a_list_that_moved_are_passed_on(books: Simulator) -> None:
    """Ours: on stderr, beside a report that is whole."""
    for _ in range(150):
        books.add_supplier(**ACH)
    books.fault(Fault(delay_seconds=0.001), match=on_page(2, lambda: books.add_supplier(**ACH)))

    result = run(books)

    assert result.exit_code == 0
    assert result.stderr == "The list changed while it was read: it had 150 rows and has 151 now.\n"
    assert result.stdout == "151 suppliers read: 151 lack nothing, 0 cannot be paid, 0 were not judged.\n"


def test_a_report_that_cannot_be_printed_ends_with_2(monkeypatch: pytest.MonkeyPatch, books: Simulator) -> None:
    """Ours: the disk may be full."""

    def full(*_: Any) -> Never:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(readiness, "print_report", full)
    books.add_supplier(**ACH)

    result = run(books)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "could not be printed: No space left on device." in result.stderr


# The command ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--csv"], "--csv goes with --suppliers"), (["--suppliers", "--csv", "--json"], "exclude each other")],
)
def test_options_that_make_no_sense_together_are_a_usage_error(options: list[str], told: str) -> None:
    """Ours: nothing was asked."""
    result = CliRunner().invoke(cli, ["doctor", "--simulator", *options])

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_offline_the_simulator_has_suppliers_who_cannot_be_paid() -> None:
    """Ours: the example in the help shows what there is to see, and makes none of the other checks."""
    result = command("--simulator", "--json", FINEXIO_ENVIRONMENT="production")

    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr, told["complete"]) == (1, "", True)
    assert told["suppliers"] == told["payable"] + len(told["not_payable"]) > 10
    assert {row["payment_method"] for row in told["not_payable"]} >= {"ACH", "Check"}


class Terminal(io.StringIO):
    """A place to write that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_to_people_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], books: Simulator
) -> None:
    """Ours: on stderr, if that is a terminal; in a log it would be noise."""
    for _ in range(150):
        books.add_supplier(**ACH)
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    with books.listening() as base_url:
        code = readiness.examine(simulator_settings(FINEXIO_BASE_URL=base_url), style="table")

    assert code == 0
    assert ("150/150" in screen.getvalue()) is terminal
    assert bool(screen.getvalue()) is terminal
    assert capsys.readouterr().out == "150 suppliers read: 150 lack nothing, 0 cannot be paid, 0 were not judged.\n"


CHECK = {
    "id": "s-1",
    "external_reference_id": "Q-1",
    "name": "Quay",
    "enabled": True,
    "payment_method": "Check",
    "delivery_method": "Mail",
    "remit_email": "",
    **dict.fromkeys(BANK),
    **dict.fromkeys(ADDRESS, "x"),
}


@pytest.mark.parametrize("name", sorted({*ADDRESS, "delivery_method", "payment_method"} - {"remit_country"}))
def test_a_field_that_finexio_does_not_show_is_not_taken_for_empty(name: str) -> None:
    """Ours: the vendor's answers are known in part only; who may well be payable is not said not to be."""
    assert judge(CHECK) is None
    hidden = judge({key: value for key, value in CHECK.items() if key != name})
    empty = judge({**CHECK, name: None})

    assert hidden is not None
    assert (hidden.judged, hidden.problems) == (False, (Problem(name, NOT_SHOWN),))
    assert empty is not None
    assert empty.judged


@pytest.mark.parametrize("name", ["remit_country", "enabled"])
def test_a_field_with_a_default_need_not_be_shown(name: str) -> None:
    """Documented: USA, and true."""
    assert judge({key: value for key, value in CHECK.items() if key != name}) is None


def test_what_is_certain_is_said_beside_what_is_not_shown() -> None:
    """Ours: one thing that is missing is enough."""
    found = judge({key: value for key, value in {**CHECK, "remit_city": ""}.items() if key != "remit_state"})

    assert found is not None
    assert found.judged
    assert [problem.field for problem in found.problems] == ["remit_city", "remit_state"]


def test_all_that_the_rules_speak_of_is_looked_at() -> None:
    """Ours: a field of a rule that is left out would look as if it was never there."""
    assert set(NEEDED) == {
        *("id", "external_reference_id", "name", "payment_method", "delivery_method", "enabled", "remit_email"),
        *ADDRESS,
        *BANK,
    }


# As a process --------------------------------------------------------------------


def process(base_url: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    usual = {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_BASE_URL": base_url}
    return subprocess.Popen(
        [sys.executable, "-m", "finexio_mcp", "doctor", "--suppliers", *options],
        env={**os.environ, **usual, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_names_go_out_as_utf_8_whatever_the_locale_is(books: Simulator) -> None:
    """Ours: a report that cannot be printed helps nobody."""
    books.add_supplier(**{**ACH, **NO_BANK}, name="Łódź Papier ☃")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}

    with books.listening() as base_url:
        stdout, stderr = process(base_url, **locale).communicate(timeout=60)

    assert stderr == b""
    assert "Łódź Papier ☃" in stdout.decode("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_it_cleanly(books: Simulator) -> None:
    """Ours: with neither a traceback nor half a report, nor a code that speaks of suppliers."""
    arrived = threading.Event()
    for _ in range(150):
        books.add_supplier(**{**ACH, **NO_BANK})
    books.fault(Fault(lost_answer=True), match=on_page(2, arrived.set))

    with books.listening() as base_url:
        running = process(base_url)
        try:
            assert arrived.wait(20)
            running.send_signal(signal.SIGINT)
            stdout, stderr = running.communicate(timeout=10)
        finally:
            running.kill()
            running.communicate(timeout=10)

    assert (running.returncode, stdout) == (130, b"")
    assert stderr == b"Interrupted: this report is not whole.\n"
