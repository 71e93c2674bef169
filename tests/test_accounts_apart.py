"""Several accounts in one server: nothing of one is ever in what another one is told, nor in what it sends."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import re
import select
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from mcp import Client

from finexio_mcp.logs import JsonFormatter
from finexio_mcp.simulator import Fault, Received, Simulator
from tests.authority.running import authority
from tests.calls import (
    CREATE_CONTACT,
    EVERY_TOOL,
    PATCH_COUNTERPARTY,
    PATCH_WEBHOOK,
    PAY,
    Content,
)
from tests.conftest import ERAS, Era
from tests.replicas.clients import connected, said
from tests.replicas.cluster import SOON
from tests.replicas.firms import Firm, Owners, Watched, accounts_file, keep_password, write
from tests.replicas.watching import Collector, collector, command, free_port, log_lines, scraped
from tests.web.serving import COMMAND, PATIENCE_SECONDS, Child, Site, child, served
from tests.web.talking import MODERN, call, connect, pieces_of_call

ACME = Firm(account="acme", user="fx-api", password="pw-Zinc-4411", mark="kestrel", invoices=105, seed=11)
WEST = Firm(account="acme-west", user="fx-api-2", password="pw-Onyx-5522", mark="merlin", invoices=130, seed=12)
BIRCH = Firm(account="birch", user="birch_bot", password="pw-Jade-6633", mark="osprey", invoices=101, seed=13)
CEDAR = Firm(account="cedar", user="cedar_bot", password="pw-Ruby-7744", mark="plover", invoices=118, seed=14)
FIRMS = (ACME, WEST, BIRCH, CEDAR)
"""One account's name begins another's, and so do their users' names at Finexio."""

REVISIONS = ("2025-11-25", MODERN)
INVOICES, INVOICE = "list_all_finexio_invoices", "get_single_finexio_invoice_by_id"
FIND, SHOW = "find_finexio_submissions", "get_finexio_submission"
NEVER_FOUND = "op_0000000000000000000000"


@dataclass(frozen=True)
class Town:
    """A server, Finexio behind it, and the file that names the accounts."""

    site: Site
    finexio: Watched
    directory: Path

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What an operator types beside this server."""
        return command(settings_of(self.directory, FINEXIO_BASE_URL=self.site.settings.api_url), *arguments)

    def token(self, firm: Firm | str, name: str = "", **terms: Any) -> str:
        """For one account."""
        account = firm if isinstance(firm, str) else firm.account
        return self.site.token(terms.pop("access", "pay"), name=name or f"desk {account}", account=account, **terms)

    def under_wrong_login(self, firms: Sequence[Firm] = FIRMS) -> list[str]:
        """Requests that were signed for one company and speak of another, or were signed with a mixture."""
        by_user, owners = {firm.user: firm for firm in firms}, Owners(firms, self.finexio)
        owners.learn()
        wrong: list[str] = []
        for one in self.finexio.signed:
            firm = by_user.get(one.user or "")
            if firm is None or one.password != firm.password or owners.by_books(one.text) - {firm.account}:
                wrong.append(f"{one.user}: {one.method} {one.text}")
        return wrong


def settings_of(directory: Path, **more: str) -> dict[str, str]:
    """Settings of a server for several accounts, with a ledger that outlives it."""
    usual = {
        "FINEXIO_ENVIRONMENT": "simulator",
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_ACCOUNTS_FILE": str(directory / "accounts.toml"),
        "FINEXIO_MCP_LEDGER_URL": f"sqlite:///{directory}/ledger/ledger.db",
        "FINEXIO_MCP_RATE": "0",
        "FINEXIO_MCP_REQUIRE_TOKEN": "1",
        "FINEXIO_MCP_BATCH_SECONDS": "2",
        "FINEXIO_MCP_WRITE_SECONDS": "2",
        "FINEXIO_MCP_ANSWER_SECONDS": "5",
        **EVERY_TOOL,
    }
    return {**usual, **more}


@contextlib.contextmanager
def town(
    directory: Path,
    firms: Sequence[Firm] = FIRMS,
    *,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: str,
) -> Generator[Town]:
    """All in this process, Finexio on a port."""
    accounts_file(directory, firms, limits=limits)
    finexio = Watched(firms)
    with (
        finexio.listening() as base_url,
        served(None, **settings_of(directory, FINEXIO_BASE_URL=base_url, **settings)) as site,
    ):
        yield Town(site, finexio, directory)


@contextlib.contextmanager
def process(
    directory: Path, finexio: Watched, *, command: Sequence[str] = COMMAND, **settings: str
) -> Generator[tuple[Child, Town]]:
    """The server as an operator starts it, before a Finexio that listens already."""
    with child(command=command, **settings_of(directory, **settings)) as server:
        yield server, Town(server.site, finexio, directory)


# What people do all day ------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """An answer, and who got it."""

    firm: Firm
    tool: str
    content: Content

    @property
    def text(self) -> str:
        return json.dumps(self.content, ensure_ascii=False)


@dataclass
class Clerk:
    """Somebody who works for one company."""

    firm: Firm
    client: Client
    chance: Random
    name: str
    told: list[Told] = field(default_factory=list[Told])
    count: int = 0

    async def ask(self, tool: str, **arguments: Any) -> Content:
        content = await said(self.client, tool, arguments)
        self.told.append(Told(self.firm, tool, content))
        return content

    def number(self) -> int:
        """One that this clerk has not used yet."""
        self.count += 1
        return self.count


async def look_at_an_invoice(clerk: Clerk) -> None:
    content = await clerk.ask(INVOICE, id=clerk.firm.old_invoice(clerk.chance.randrange(clerk.firm.invoices)))
    assert "error" in content or clerk.firm.mark in str(content)


async def walk_through_the_list(clerk: Clerk) -> None:
    """To its end, unless Finexio fails on the way."""
    found: list[str] = []
    content = await clerk.ask(INVOICES, limit=clerk.chance.choice((60, 100)))
    while "error" not in content:
        found += [row["id"] for row in content["result"]]
        if content["next_cursor"] is None:
            old = [id_ for id_ in found if id_.startswith(clerk.firm.mark)]
            assert sorted(old) == [clerk.firm.old_invoice(number) for number in range(clerk.firm.invoices)]
            return
        content = await clerk.ask(INVOICES, next_cursor=content["next_cursor"])


async def search_and_fetch(clerk: Clerk) -> None:
    content = await clerk.ask("search", query=f"{clerk.firm.mark}-old-{clerk.chance.randrange(50)}")
    for result in content.get("results", [])[:1]:
        await clerk.ask("fetch", id=result["id"])


async def look_around(clerk: Clerk) -> None:
    firm = clerk.firm
    looks: list[tuple[str, dict[str, Any]]] = [
        ("list_all_finexio_counterparties", {"name": firm.mark}),
        ("get_single_finexio_supplier_by_id", {"id": firm.supplier}),
        ("list_all_finexio_counterparty_history", {"object_id": firm.supplier}),
        ("get_single_finexio_payment_by_id", {"id": firm.payment, "fields": ["*"]}),
        ("list_all_finexio_drawdowns", {"buyer_ref_id": f"{firm.mark}-store"}),
        ("list_all_finexio_supplier_contacts", {"supplier_id": firm.supplier}),
        ("get_single_finexio_webhook_by_id", {"id": firm.webhook, "fields": ["*"]}),
    ]
    for tool, arguments in clerk.chance.sample(looks, 2):
        await clerk.ask(tool, **arguments)


async def look_for_what_is_not_there(clerk: Clerk) -> None:
    content = await clerk.ask(INVOICE, id=f"{clerk.firm.mark}-nowhere")
    assert content["error"]["code"] != "ok"


async def change_a_supplier(clerk: Clerk) -> None:
    await clerk.ask(PATCH_COUNTERPARTY, id=clerk.firm.supplier, payment_terms=clerk.chance.randrange(1, 300))


async def add_a_contact(clerk: Clerk) -> None:
    mark, number = clerk.firm.mark, clerk.number()
    who = {"name": f"{mark} {number}", "external_reference_id": f"{mark}-{clerk.name}-{number}", "primary": False}
    await clerk.ask(CREATE_CONTACT, supplier_id=clerk.firm.supplier, **who)


async def change_a_webhook(clerk: Clerk) -> None:
    await clerk.ask(PATCH_WEBHOOK, id=clerk.firm.webhook, payment_status=clerk.chance.random() < 0.5)


async def pay(clerk: Clerk) -> None:
    """A batch, once more the same, and what this server remembers of it."""
    # Those that look alike are refused while the outcome of one is unknown.
    amounts = clerk.chance.sample(range(10_00, 9_000_000), 2)
    orders = [clerk.firm.order(f"{clerk.name}-{clerk.number()}", cents) for cents in amounts]
    first = await clerk.ask(PAY, invoices=orders)
    again = await clerk.ask(PAY, invoices=orders)
    assert first["status"] in {"confirmed", "in_doubt", "not_executed", "rejected"}
    assert again["status"] in {"already_submitted", "confirmed", "in_doubt", "not_executed", "rejected"}
    shown = await clerk.ask(SHOW, op_id=first["op_id"])
    assert [row["invoice_number"] for row in shown["result"]["rows"]] == [row["invoice_number"] for row in orders]


async def look_into_the_ledger(clerk: Clerk) -> None:
    content = await clerk.ask(FIND, limit=3)
    if content["next_cursor"]:
        await clerk.ask(FIND, next_cursor=content["next_cursor"])


async def get_it_wrong(clerk: Clerk) -> None:
    content = await clerk.ask(
        PAY, invoices=[{**clerk.firm.order("wrong", 1), "amount_cents": f"{clerk.firm.mark} cents"}]
    )
    assert content["error"]["code"] == "invalid_arguments"


Errand = Callable[[Clerk], Awaitable[None]]
ERRANDS: tuple[Errand, ...] = (
    look_at_an_invoice,
    walk_through_the_list,
    search_and_fetch,
    look_around,
    look_around,
    look_for_what_is_not_there,
    change_a_supplier,
    add_a_contact,
    change_a_webhook,
    pay,
    look_into_the_ledger,
    get_it_wrong,
)

WRONG_LOGIN = b'{"detail": "Invalid username/password."}'
ON_READS = (
    Fault(status=500),
    Fault(status=404, body=b'{"detail": "Not found."}'),
    Fault(status=403, body=WRONG_LOGIN),
    Fault(status=429, headers={"Retry-After": "0"}),
    Fault(reset="before_effect"),
    Fault(truncate_at=30),
)
ON_WRITES = (
    Fault(status=500),
    Fault(status=504, takes_effect=True),
    Fault(status=429),
    Fault(status=403, body=WRONG_LOGIN),
    Fault(reset="after_effect"),
    Fault(reset="before_effect"),
    Fault(lands_after=timedelta(hours=1)),
)


def disturb(sim: Simulator, chance: Random, *, reads: float = 0.1, writes: float = 0.2) -> None:
    """Let things go wrong at a company's Finexio from now on, this share of them."""

    def due(fault: Fault, get: bool, share: float) -> Callable[[Received], bool]:
        def fits(request: Received) -> bool:
            if (request.method == "GET") is not get:
                return False
            # In the middle of a list that would mean that the list ends there.
            return (fault.status != 404 or request.api_path.count("/") > 2) and chance.random() < share

        return fits

    for faults, get, share in ((ON_READS, True, reads), (ON_WRITES, False, writes)):
        for fault in faults:
            sim.fault(fault, times=None, match=due(fault, get, share / len(faults)))


async def a_day(town: Town, errands: Sequence[Errand], *, clerks: int = 1) -> list[Told]:
    """Clerks of all companies, in both eras, at the same time; each has all errands to run, in an order of its own."""
    staff: list[Clerk] = []

    async def work(firm: Firm, era: Era, number: int) -> None:
        name = f"{era[0]}{number}"
        token = town.token(firm, f"{firm.account} {name}")
        async with connected(town.site.base_url, token, era) as client:
            clerk = Clerk(firm, client, Random(f"{firm.account} {name}"), name)
            staff.append(clerk)
            for errand in clerk.chance.sample(errands, len(errands)):
                await errand(clerk)

    with anyio.fail_after(2 * PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for firm in FIRMS:
                for era in ERAS:
                    for number in range(clerks):
                        tasks.start_soon(work, firm, era, number)
    return [told for clerk in staff for told in clerk.told]


# The day, watched ------------------------------------------------------------------


def overheard(told: Sequence[Told], owners: Owners) -> list[str]:
    """Answers that show or name another account, or hold anybody's password."""
    return [
        f"{one.firm.account} {one.tool}: {one.text}"
        for one in told
        if owners.named(one.text) - {one.firm.account} or owners.secrets_in(one.text)
    ]


def mixed_lines(lines: Sequence[Mapping[str, Any]], owners: Owners) -> list[str]:
    """Log lines that show anybody's books, hold a password, or are about one account and name another."""
    found: list[str] = []
    for line in lines:
        text = json.dumps(line, ensure_ascii=False)
        strangers = owners.by_name(text) - {line.get("account")}
        if owners.by_books(text) or owners.secrets_in(text) or ("account" in line and strangers):
            found.append(text)
    return found


def mixed_rows(rows: Sequence[Mapping[str, Any]], owners: Owners) -> list[str]:
    """Rows of the audit that are about one account and name another or show its books, or hold a password."""
    return [
        str(row) for row in rows if owners.named(str(dict(row))) - {row["account"]} or owners.secrets_in(str(dict(row)))
    ]


def audit_rows(directory: Path) -> list[dict[str, Any]]:
    """What the database holds of calls."""
    with contextlib.closing(sqlite3.connect(directory / "ledger" / "ledger.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM audit_entries ORDER BY seq")]


def calls_by_account(told: Sequence[Told]) -> dict[str, int]:
    return dict(Counter(one.firm.account for one in told))


async def test_hundreds_of_calls_of_several_accounts_stay_apart_in_all_that_a_process_says(tmp_path: Path) -> None:
    """Ours: in requests, answers, log, metrics, audit and spans, over both eras, while Finexio fails (A3, C1)."""
    finexio, port = Watched(FIRMS), free_port()
    accounts_file(tmp_path, FIRMS)
    watched = {
        "FINEXIO_MCP_LOG_FORMAT": "json",
        "FINEXIO_MCP_LOG_LEVEL": "debug",
        "FINEXIO_MCP_METRICS_PORT": str(port),
    }
    with collector() as spans, finexio.listening() as base_url:
        watched |= {"FINEXIO_BASE_URL": base_url, "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url}
        with process(tmp_path, finexio, **watched) as (server, place):
            for number, firm in enumerate(FIRMS):
                disturb(finexio[firm.account], Random(number))
            told = await a_day(place, ERRANDS, clerks=2)
            metrics = scraped(port)
            server.terminate()
            code, log = server.end()
    owners = Owners(FIRMS, finexio)
    owners.learn()

    assert code == 0
    assert len(told) >= 200
    assert {owner for one in told for owner in owners.by_books(one.text)} == {firm.account for firm in FIRMS}
    assert place.under_wrong_login() == []
    assert overheard(told, owners) == []
    assert paid_twice(finexio) == []

    lines = log_lines(log)
    assert len([line for line in lines if "plain" in line]) < 5
    ended = [line for line in lines if "outcome" in line and "duration_ms" in line]
    assert Counter(line["account"] for line in ended) == calls_by_account(told)
    assert mixed_lines(lines, owners) == []

    samples = [line for line in metrics.splitlines() if not line.startswith("#")]
    assert counted(samples, "finexio_mcp_calls_total") == calls_by_account(told)
    assert [line for line in samples if len(owners.by_name(line)) > 1 or owners.by_books(line)] == []
    assert owners.secrets_in(metrics) == []

    assert_audit_is_apart(place, told, owners)
    assert_spans_are_apart(spans, owners)


def paid_twice(finexio: Watched) -> list[str]:
    """Numbers that were sent again after Finexio had made an invoice of them."""
    found: list[str] = []
    for firm in finexio.values():
        journal, numbers = firm.journal, {key: record["invoice_number"] for key, record in firm.invoices.items()}
        made: dict[str, int] = {}
        for effect in journal.effects:
            if effect.kind == "invoice.created" and effect.request is not None:
                made[numbers[effect.id]] = effect.request
        for request in journal.requests:
            if request.method == "POST" and request.path.endswith("/batch/"):
                posted = [row["invoice_number"] for row in request.body]
                found += [number for number in posted if number in made and request.index > made[number]]
    return found


def counted(samples: Sequence[str], name: str) -> dict[str, int]:
    """The sum of a metric, by account."""
    sums: Counter[str] = Counter()
    for line in samples:
        if found := re.match(rf'{name}{{.*account="([^"]*)".*}} ([0-9.]+)', line):
            sums[found[1]] += int(float(found[2]))
    return dict(sums)


def assert_audit_is_apart(place: Town, told: Sequence[Told], owners: Owners) -> None:
    """In the database, in an export of everything, and in an export for one account."""
    rows = audit_rows(place.directory)
    assert Counter(row["account"] for row in rows if row["kind"] == "call") == calls_by_account(told)
    assert mixed_rows(rows, owners) == []

    verified = place.command("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    everything = place.directory / "everything"
    exported = place.command("audit", "export", str(everything))
    assert exported.returncode == 0, exported.stderr
    entries = [json.loads(line) for line in (everything / "entries.jsonl").read_text().splitlines()]
    table = list(csv.DictReader(io.StringIO((everything / "entries.csv").read_text())))
    assert len(entries) == len(table) == len(rows)
    assert mixed_rows(entries, owners) == []
    assert mixed_rows(table, owners) == []

    for firm in FIRMS[:2]:
        own = place.directory / firm.account
        assert place.command("audit", "export", "--account", firm.account, str(own)).returncode == 0
        texts = [path.read_text() for path in own.iterdir()]
        assert owners.named("\n".join(texts)) == {firm.account}
        assert firm.mark in "".join(texts)


def assert_spans_are_apart(spans: Collector, owners: Owners) -> None:
    """No trace is about two accounts, and none shows anybody's books."""
    traces = spans.traces()
    about = [owners.by_name(str(trace)) for trace in traces.values()]
    assert {account for accounts in about for account in accounts} == {firm.account for firm in FIRMS}
    assert [accounts for accounts in about if len(accounts) > 1] == []
    everything = "\n".join(map(str, traces.values()))
    assert owners.by_books(everything) == set()
    assert owners.secrets_in(everything) == []


async def test_hundreds_of_calls_stay_apart_down_to_the_last_line_at_debug(tmp_path: Path) -> None:
    """Ours: the same where the app runs in another program, with every line that it could log (A3, C1)."""
    with town(tmp_path) as place, our_log() as log:
        for number, firm in enumerate(FIRMS):
            disturb(place.finexio[firm.account], Random(100 + number))
        told = await a_day(place, ERRANDS)
    owners = Owners(FIRMS, place.finexio)
    owners.learn()

    assert len(told) >= 100
    assert place.under_wrong_login() == []
    assert overheard(told, owners) == []
    assert mixed_lines(log_lines(log.getvalue()), owners) == []
    assert mixed_rows(audit_rows(tmp_path), owners) == []
    assert paid_twice(place.finexio) == []


@contextlib.contextmanager
def our_log() -> Generator[io.StringIO]:
    """All that the server would log, whatever the level; clients in this process log too, and are not meant."""
    stream, logger = io.StringIO(), logging.getLogger("finexio_mcp")
    handler, before = logging.StreamHandler(stream), logger.level
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


# What was given to another ---------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """All four accounts in one server."""
    with town(tmp_path) as place:
        yield place


def altered(cursor: str) -> str:
    """A cursor with another letter in its middle."""
    middle = len(cursor) // 2
    return cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_cursor_of_another_account_is_answered_byte_for_byte_like_a_broken_one(place: Town, revision: str) -> None:
    """Ours: of lists at Finexio and of the ledger, and nobody is asked (A3)."""
    acme, west = place.token(ACME), place.token(WEST)
    for number in range(3):
        paid = call(place.site, revision, PAY, {"invoices": [ACME.order(f"{number}", 10_00 + number)]}, token=acme)
        assert paid.content["status"] == "confirmed"

    for tool, arguments in (
        (INVOICES, {"limit": 100}),
        (FIND, {"limit": 2}),
        (FIND, {"limit": 1, "state": "confirmed"}),
    ):
        cursor = call(place.site, revision, tool, arguments, token=acme).content["next_cursor"]
        before = len(place.finexio.signed)
        given = [
            call(place.site, revision, tool, {"next_cursor": text}, token=west) for text in (cursor, altered(cursor))
        ]
        assert given[0].content["error"]["code"] == "invalid_cursor"
        assert given[0].body == given[1].body
        assert len(place.finexio.signed) == before
        own = call(place.site, revision, tool, {"next_cursor": cursor}, token=acme).content
        assert own["result"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_op_id_of_another_account_is_answered_byte_for_byte_like_one_that_never_was(
    place: Town, revision: str
) -> None:
    """Ours: and what others submitted is not found by its number, its supplier or its state (A3)."""
    acme, west = place.token(ACME), place.token(WEST)
    paid = call(place.site, revision, PAY, {"invoices": [ACME.order("1", 10_00)]}, token=acme).content
    op_id = paid["op_id"]
    never = op_id[:-1] + ("0" if op_id[-1] != "0" else "1")

    shown = [call(place.site, revision, SHOW, {"op_id": text}, token=west) for text in (op_id, never)]
    found = [
        call(place.site, revision, FIND, {name: value}, token=west)
        for name, value in (
            ("invoice_number", "KESTREL-1"),
            ("invoice_number", "NOBODYS-1"),
            ("supplier_id", ACME.supplier),
        )
    ]

    assert shown[0].content["error"]["code"] == "not_found"
    assert shown[0].body == shown[1].body
    assert found[0].content["result"] == []
    assert found[0].body == found[1].body == found[2].body
    own = call(place.site, revision, SHOW, {"op_id": op_id}, token=acme).content
    assert own["result"]["op_id"] == op_id


def test_a_record_of_another_account_is_looked_for_with_ones_own_login_alone(place: Town) -> None:
    """Ours: its id is Finexio's to refuse, and it is told as any other that is not there (A3)."""
    west = place.token(WEST)
    asked = ((INVOICE, {"id": ACME.old_invoice(1)}), (INVOICE, {"id": "nobodys-invoice-001"}))
    given = [call(place.site, MODERN, tool, arguments, token=west).content for tool, arguments in asked]
    fetched = [call(place.site, MODERN, "fetch", {"id": f"invoice:{a['id']}"}, token=west).content for _, a in asked]

    assert given[0]["error"]["code"] == "not_found"
    assert given[0] == given[1]
    assert fetched[0] == fetched[1]
    assert {one.user for one in place.finexio.signed} == {WEST.user}


# One company, two accounts -----------------------------------------------------------

DESK = replace(ACME, account="acme-desk")
"""A second account with the same login, so the same company."""


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_invoice_of_two_accounts_reaches_finexio_once_and_the_second_is_told_nothing_of_the_first(
    tmp_path: Path, revision: str
) -> None:
    """Ours: an invoice is one by buyer, supplier and number, whoever submits it (W4, A3)."""
    accounts_file(tmp_path, (ACME, DESK))
    finexio = Watched([ACME])
    order = {"invoices": [ACME.order("1", 10_00)]}
    with finexio.listening() as base_url, served(None, **settings_of(tmp_path, FINEXIO_BASE_URL=base_url)) as site:
        place = Town(site, finexio, tmp_path)
        acme, desk = place.token(ACME, "ada at acme"), place.token(DESK, "bob at the desk")
        first = call(site, revision, PAY, order, token=acme).content
        second = call(site, revision, PAY, order, token=desk).content
        other = {"invoices": [*order["invoices"], ACME.order("2", 20_00)]}
        mixed = call(site, revision, PAY, other, token=desk).content
        alone = call(site, revision, PAY, {"invoices": other["invoices"][1:]}, token=desk).content
        again = call(site, revision, PAY, order, token=acme).content
        found = call(site, revision, FIND, token=desk).content
        shown = call(site, revision, SHOW, {"op_id": second["op_id"]}, token=desk).content

    assert (first["status"], second["status"], mixed["status"]) == ("confirmed", "conflict", "conflict")
    assert (alone["status"], again["status"]) == ("confirmed", "already_submitted")
    assert len(finexio.posts("KESTREL-1")) == len(finexio.posts("KESTREL-2")) == 1
    told = json.dumps([second, mixed, found, shown])
    learnt = (first["op_id"], first["result"][0]["id"], "acme", "ada")
    assert [text for text in learnt if text in told.replace("acme-desk", "")] == []
    assert re.findall(r"\d{4}-\d\d-\d\dT|\d\d:\d\d", json.dumps([second, mixed])) == []
    assert second["op_id"] not in {first["op_id"], mixed["op_id"]}
    assert [row["op_id"] for row in found["result"]] == [alone["op_id"]]


def test_of_two_accounts_that_submit_the_same_invoices_at_once_one_pays_each(tmp_path: Path) -> None:
    """Ours: in any order, over both eras; each number is posted once, and nobody is told otherwise (W4)."""
    accounts_file(tmp_path, (ACME, DESK))
    finexio = Watched([ACME])
    numbers = [f"{number}" for number in range(20)]
    with (
        finexio.listening() as base_url,
        served(None, **settings_of(tmp_path, FINEXIO_BASE_URL=base_url)) as site,
        ThreadPoolExecutor(16) as clients,
    ):
        place = Town(site, finexio, tmp_path)
        keys = [place.token(firm) for firm in (ACME, DESK)]

        def pay_it(turn: tuple[str, str, str]) -> tuple[str, Content]:
            number, key, revision = turn
            order = {"invoices": [ACME.order(number, 10_00 + 100 * int(number))]}
            return number, call(site, revision, PAY, order, token=key).content

        turns = [(number, key, revision) for number in numbers for revision in REVISIONS for key in keys]
        told = list(clients.map(pay_it, turns, timeout=2 * PATIENCE_SECONDS))

    said_of = {number: Counter(content["status"] for one, content in told if one == number) for number in numbers}
    assert [len(finexio.posts(f"KESTREL-{number}")) for number in numbers] == [1] * len(numbers)
    assert [counts["confirmed"] for counts in said_of.values()] == [1] * len(numbers)
    assert {status for counts in said_of.values() for status in counts} <= {
        "confirmed",
        "already_submitted",
        "in_progress",
        "conflict",
    }
    assert all(counts["conflict"] == 2 for counts in said_of.values())


def test_companies_that_share_ids_and_numbers_share_their_invoices_too(tmp_path: Path) -> None:
    """Ours: by buyer, supplier and number they are the same at one Finexio, whatever the login."""
    twin = replace(WEST, mark=ACME.mark, invoices=0)
    order = {"invoices": [ACME.order("1", 10_00)]}
    with town(tmp_path, (replace(ACME, invoices=0), twin)) as place:
        told = [call(place.site, MODERN, PAY, order, token=place.token(firm)).content for firm in (ACME, twin)]

        assert [content["status"] for content in told] == ["confirmed", "conflict"]
        assert [one.user for one in place.finexio.posts()] == [ACME.user]


# Nobody's account --------------------------------------------------------------------

CLAIM = "finexio_account"


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_token_for_an_account_that_is_not_there_reaches_nobody(place: Town, revision: str) -> None:
    """Ours: nor does one from before there were accounts, unless the file has `default`; nothing is named (A3)."""
    keys = [place.token("nowhere"), place.token("acme-wes"), place.site.token("pay", name="from before")]
    orders = {"invoices": [ACME.order("1", 10_00)]}
    asked: list[tuple[str, dict[str, Any]]] = [
        (INVOICES, {}),
        (INVOICE, {"id": ACME.old_invoice(0)}),
        (PAY, orders),
        ("search", {"query": "kestrel"}),
    ]

    for tool, arguments in asked:
        given = [call(place.site, revision, tool, arguments, token=key).content for key in keys]
        assert {content["error"]["code"] for content in given} == {"not_configured"}
        owners = Owners(FIRMS, place.finexio)
        assert owners.by_name(str(given)) == set()
        assert not any(name in str(given) for name in ("nowhere", "acme-wes", "from before"))
        assert len({re.sub(r"op_[a-z0-9]+", "", str(content)) for content in given}) == 1
    assert place.finexio.signed == []


def test_an_oauth_token_chooses_by_its_claim_and_without_one_nobody_is_asked(tmp_path: Path) -> None:
    """Ours: signed or opaque, a token that names no account, or names it in another form, is refused (A2, A3)."""
    with authority() as issuer:
        signed_in = {
            "FINEXIO_MCP_OAUTH_ISSUER": issuer.issuer,
            "FINEXIO_MCP_OAUTH_CLIENT_ID": issuer.client_id,
            "FINEXIO_MCP_OAUTH_CLIENT_SECRET": issuer.client_secret,
            "FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM": CLAIM,
        }
        with town(tmp_path, FIRMS, limits=None, **signed_in) as place:
            scope, resource = "finexio:read finexio:write finexio:pay", f"{place.site.base_url}/mcp"

            def ask(claims: Mapping[str, Any], kind: Any) -> Any:
                token = issuer.mint(resource=resource, scope=scope, claims=claims, kind=kind)
                return call(place.site, MODERN, INVOICES, {"limit": 1}, token=token)

            for kind in ("jwt", "opaque"):
                refused = [
                    {},
                    {CLAIM: None},
                    {CLAIM: ["acme"]},
                    {CLAIM: ""},
                    {CLAIM: "ACME"},
                    {CLAIM: "acme "},
                    {CLAIM: 7},
                ]
                statuses = [ask(claims, kind).status for claims in refused]
                assert (kind, statuses) == (kind, [401] * len(refused))
                assert ask({CLAIM: "nowhere"}, kind).content["error"]["code"] == "not_configured"
                assert place.finexio.signed == []
                for firm in FIRMS:
                    assert firm.mark in str(ask({CLAIM: firm.account}, kind).content["result"])
                assert [one.user for one in place.finexio.signed] == [firm.user for firm in FIRMS]
                place.finexio.signed.clear()


# Changed under load ------------------------------------------------------------------


class Traffic:
    """Calls for several accounts, without a pause, from threads."""

    def __init__(self, site: Site, keys: Mapping[str, str]) -> None:
        self._site, self._keys = site, keys
        self._over = threading.Event()
        self.told: dict[str, list[Content]] = {account: [] for account in keys}

    @contextlib.contextmanager
    def flowing(self, ask: Callable[[str], tuple[str, dict[str, Any]]]) -> Generator[None]:
        """While inside; `ask` gives tool and arguments for an account."""

        def flow(turn: tuple[str, str]) -> None:
            account, revision = turn
            while not self._over.is_set():
                tool, arguments = ask(account)
                self.told[account].append(
                    call(self._site, revision, tool, arguments, token=self._keys[account]).content
                )

        with ThreadPoolExecutor(2 * len(self._keys)) as clients:
            flows = [clients.submit(flow, (account, revision)) for account in self._keys for revision in REVISIONS]
            try:
                yield
            finally:
                self._over.set()
                for each in flows:
                    each.result(PATIENCE_SECONDS)

    def until(self, account: str, so: Callable[[Content], bool], more: int = 3) -> None:
        """Until an account is answered so, a few times in a row from now on."""
        begun = len(self.told[account])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            fresh = self.told[account][begun:]
            if len(fresh) >= more and all(map(so, fresh[-more:])):
                return
            time.sleep(0.005)
        raise AssertionError(f"{account} was never answered so; at last {self.told[account][-1:]}")


def code_of(content: Content) -> str:
    return content["error"]["code"] if "error" in content else "ok"


def is_code(code: str) -> Callable[[Content], bool]:
    return lambda content: code_of(content) == code


def test_accounts_come_go_and_change_while_calls_run(tmp_path: Path) -> None:
    """Ours: without a restart; no request leaves with a mixture of old and new, or for anybody else (A3)."""
    by_user = {firm.user: firm for firm in (ACME, WEST, BIRCH)}
    with town(tmp_path, (ACME, WEST, BIRCH)) as place:
        accounts_file(tmp_path, (ACME, WEST))
        keys = {account: place.token(account) for account in ("acme", "acme-west", "birch")}
        traffic = Traffic(place.site, keys)
        marks = {"acme": ACME.mark, "acme-west": WEST.mark, "birch": BIRCH.mark}

        def ask(account: str) -> tuple[str, dict[str, Any]]:
            return "list_all_finexio_counterparties", {"name": marks[account]}

        with traffic.flowing(ask):
            traffic.until("birch", is_code("not_configured"))
            accounts_file(tmp_path, (ACME, WEST, BIRCH))
            traffic.until("birch", is_code("ok"))
            accounts_file(tmp_path, (BIRCH, ACME))
            traffic.until("acme-west", is_code("not_configured"))
            write(tmp_path / "accounts.toml", "[accounts.acme\nusername = 'broken")
            traffic.until("acme", is_code("ok"), more=50)
            accounts_file(tmp_path, (WEST, BIRCH, ACME))
            traffic.until("acme-west", is_code("ok"))
            # The account `birch` leads to another company from now on, and back.
            for firm in (replace(WEST, account="birch"), BIRCH):
                accounts_file(tmp_path, (ACME, WEST, firm))
                traffic.until("birch", is_code("ok"))
                traffic.until("birch", shows(firm.mark, marks["birch"]))
        signed = [(one.user, one.password) for one in place.finexio.signed]

    assert set(signed) == {(firm.user, firm.password) for firm in by_user.values()}
    for account, told in traffic.told.items():
        assert len(told) > 10
        assert {code_of(content) for content in told} <= {"ok", "not_configured"}, account
    for account, others in (("acme", {WEST.mark, BIRCH.mark}), ("acme-west", {ACME.mark, BIRCH.mark})):
        assert not [content for content in traffic.told[account] if any(mark in str(content) for mark in others)]


def shows(mark: str, asked: str) -> Callable[[Content], bool]:
    """Whether a search for one company's records found some, which it does with that company's login alone."""
    return lambda content: bool(content.get("result")) is (mark == asked)


def test_a_password_that_changes_under_load_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """Ours: the next requests have the new one, in that account alone; while it is wrong, the answer says so (A1)."""
    with town(tmp_path, (ACME, WEST)) as place:
        keys = {firm.account: place.token(firm) for firm in (ACME, WEST)}
        traffic = Traffic(place.site, keys)
        with traffic.flowing(lambda _account: (INVOICES, {"limit": 1})):
            for _ in range(3):
                traffic.until("acme", is_code("ok"))
                keep_password(tmp_path, replace(ACME, password="pw-Wrong-9999"))
                traffic.until("acme", is_code("not_authorized"))
                keep_password(tmp_path, ACME)
                traffic.until("acme", is_code("ok"))
            (tmp_path / f"{ACME.user}.password").unlink()
            traffic.until("acme", is_code("not_configured"))
            keep_password(tmp_path, ACME)
            traffic.until("acme", is_code("ok"))
        signed = {(one.user, one.password) for one in place.finexio.signed}

    assert signed == {(ACME.user, ACME.password), (ACME.user, "pw-Wrong-9999"), (WEST.user, WEST.password)}
    assert {code_of(content) for content in traffic.told["acme-west"]} == {"ok"}
    assert "pw-" not in str(traffic.told)


# One who wants everything --------------------------------------------------------------


def test_an_account_that_floods_its_own_rate_leaves_others_theirs(tmp_path: Path) -> None:
    """Ours: 300 calls at one request a second wait for each other and for nobody else (T6, A3)."""
    with town(tmp_path, (ACME, WEST), limits={"acme": {"rate": 1, "rate_burst": 2}}) as place:
        greedy, other = place.token(ACME), place.token(WEST)
        with contextlib.ExitStack() as crowd:
            waiting = [crowd.enter_context(connect(place.site)) for _ in range(300)]
            for turn, sock in enumerate(waiting):
                pieces = pieces_of_call(place.site, REVISIONS[turn % 2], INVOICES, {"limit": 1}, token=greedy)
                sock.sendall(b"".join(pieces))
            until_signed(place.finexio, ACME, 2)
            done = [call(place.site, REVISIONS[turn % 2], INVOICES, {"limit": 1}, token=other) for turn in range(40)]
            answered = select.select(waiting, [], [], 0)[0]
        at, others = ([one.at for one in place.finexio.signed if one.user == firm.user] for firm in (ACME, WEST))

    assert [reply.content["result_count"] for reply in done] == [1] * 40
    # More than the rate of the first would have let through, were it one for both.
    assert len(others) > 2 + (others[-1] - at[0]) + 1
    assert len(answered) < 300
    assert [moment for moment in at if sum(moment <= each <= moment + 5.0 for each in at) > 2 + 5 + 1] == []


def until_signed(finexio: Watched, firm: Firm, count: int) -> None:
    """Until so many requests of an account reached Finexio."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum(one.user == firm.user for one in list(finexio.signed)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


# In doubt -------------------------------------------------------------------------------


def test_a_payment_in_doubt_is_looked_up_with_its_own_accounts_login(tmp_path: Path) -> None:
    """Ours: by the call that repeats it, and by the next start; by no other account, nor while its own is gone."""
    firms = [replace(firm, invoices=0) for firm in (ACME, WEST)]
    acme, west = firms
    finexio = Watched(firms)
    accounts_file(tmp_path, firms)
    orders = [{"invoices": [acme.order(f"{number}", 10_00 + number)]} for number in range(2)]
    with finexio.listening() as base_url:
        settings = {"FINEXIO_BASE_URL": base_url, "FINEXIO_MCP_LOOK_SECONDS": "1,2,3,4,5,6,8,10,15,20,30,45,60"}
        finexio["acme"].fault(Fault(reset="after_effect"), method="POST", times=2)
        # Not to be found at once, so that the first look finds nothing.
        finexio["acme"].quirks.visible_after = timedelta(hours=1)
        with process(tmp_path, finexio, command=SOON, **settings) as (server, place):
            keys = place.token(acme), place.token(west)
            doubtful = [call(place.site, MODERN, PAY, order, token=keys[0]).content for order in orders]
            other = call(place.site, MODERN, PAY, orders[0], token=keys[1]).content
            server.process.kill()
            server.process.wait(PATIENCE_SECONDS)
        accounts_file(tmp_path, [west])
        finexio.signed.clear()
        with process(tmp_path, finexio, command=SOON, **settings) as (server, place):
            gone = call(place.site, MODERN, PAY, orders[0], token=keys[0]).content
            served_on = call(place.site, MODERN, PAY, {"invoices": [west.order("9", 90_00)]}, token=keys[1]).content
            without = [one.user for one in finexio.signed]
            finexio["acme"].quirks.visible_after = timedelta(0)
            accounts_file(tmp_path, firms)
            until_signed(finexio, acme, 1)
            settled = until_settled(
                lambda: call(place.site, MODERN, SHOW, {"op_id": doubtful[0]["op_id"]}, token=keys[0])
            )
            repeated = call(place.site, MODERN, PAY, orders[1], token=keys[0]).content

    assert [content["status"] for content in doubtful] == ["in_doubt"] * 2
    assert other["status"] == "conflict"
    assert (gone["error"]["code"], served_on["status"]) == ("not_configured", "confirmed")
    assert set(without) == {west.user}
    assert (settled, repeated["status"]) == ("confirmed", "already_submitted")
    assert [one.text for one in finexio.signed if one.user == west.user and one.method == "GET"] == []
    assert len(finexio.posts("KESTREL-0")) + len(finexio.posts("KESTREL-1")) == 0
    assert len(finexio["acme"].invoices) == 2


def until_settled(show: Callable[[], Any]) -> str:
    """The state of a submission, once it is no longer open."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        (row,) = show().content["result"]["rows"]
        if row["state"] not in {"intended", "sent", "in_doubt"}:
            return row["state"]
        assert time.monotonic() < deadline, row
        time.sleep(0.05)
