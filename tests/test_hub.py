"""Calls for several accounts on one hub: each on an engine of its own, while the accounts change."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from finexio_mcp import calls
from finexio_mcp.callers import OPERATOR, Caller
from finexio_mcp.calls import Asked, Ended, Observer
from finexio_mcp.catalog import read
from finexio_mcp.hub import Hub
from finexio_mcp.settings import Settings
from finexio_mcp.simulator import Companies, Simulator
from tests.calls import BUYER, PAY, PAYMENT, SUPPLIER, WRITES, Upstream, office, reply
from tests.conftest import simulator_settings

LISTED = read()
SECRET = "secret detail"
LIST = "list_all_finexio_payments"
GET_PAYMENT = "get_single_finexio_payment_by_id"


def of(account: str) -> Caller:
    """Somebody whose token is for this account."""
    return Caller(key=f"token:{account}", name=f"clerk of {account}", origin="token", account=account)


class Watching(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.calls: list[Ended] = []
        self.requests: list[Asked] = []

    async def ended(self, call: Ended) -> None:
        self.calls.append(call)

    def asked(self, asked: Asked) -> None:
        self.requests.append(asked)


class Town:
    """Two companies, and the file that names their accounts."""

    def __init__(self, directory: Path) -> None:
        self.file, self._directory, self._edits = directory / "accounts.toml", directory, 0
        self.companies = Companies(
            {
                name: Simulator(seed=1, username=f"{name}-api", password=f"{name}-password", populated=False)
                for name in ("acme", "zenith")
            }
        )
        for name, company in self.companies.items():
            company.add_payment(f"p-{name}")
            (directory / name).write_text(f"{name}-password")
        self.write("acme", "zenith")

    def write(self, *names: str, more: str = "") -> None:
        """The accounts that there are from now on."""
        tables = (
            f'[accounts.{name}]\nusername = "{name}-api"\npassword_file = "{self._directory / name}"\n{more}\n'
            for name in names
        )
        aside = self.file.with_suffix(".new")
        aside.write_text("".join(tables))
        os.replace(aside, self.file)

    @property
    def settings(self) -> Settings:
        return simulator_settings(FINEXIO_MCP_ACCOUNTS_FILE=str(self.file))

    def users(self) -> list[str | None]:
        """Who made the requests that arrived, in that order."""
        return [record.user for record in self.companies.requests]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at for each call."""
    monkeypatch.setattr("finexio_mcp.accounts.accounts.LOOK_SECONDS", 0.0)


async def ask(hub: Hub, account: str, tool: str = LIST, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    with anyio.fail_after(10):
        return (await hub.run(LISTED[tool], dict(arguments or {}), caller=of(account))).content


async def test_each_caller_reaches_the_books_of_their_own_account(town: Town) -> None:
    """Ours."""
    async with Hub(town.settings, town.companies.transport()) as hub:
        rows = [(await ask(hub, name))["result"][0]["id"] for name in ("acme", "zenith", "acme")]

    assert rows == ["p-acme", "p-zenith", "p-acme"]
    assert town.users() == ["acme-api", "zenith-api", "acme-api"]


async def test_a_call_for_an_account_that_is_not_there_is_answered_and_names_nothing(town: Town) -> None:
    """Ours: a read and a payment each say that nothing was sent, in the shape that they always have."""
    async with Hub(town.settings, town.companies.transport()) as hub:
        looked = await ask(hub, "nowhere")
        paid = await ask(hub, "nowhere", PAY, WRITES[PAY])

    assert looked["error"]["code"] == paid["error"]["code"] == "not_configured"
    assert paid["status"] == "not_executed"
    assert town.users() == []
    assert not {"nowhere", "acme", "zenith"} & set(f"{looked}{paid}".replace("'", " ").split())


async def test_accounts_come_and_go_without_a_restart(town: Town) -> None:
    """Ours: what is removed answers no more, and what is added does, from the next call on."""
    town.write("acme")
    async with Hub(town.settings, town.companies.transport()) as hub:
        before = (await ask(hub, "zenith"))["error"]["code"]
        town.write("zenith")
        after = (await ask(hub, "zenith"))["result"][0]["id"]
        gone = (await ask(hub, "acme"))["error"]["code"]

    assert (before, after, gone) == ("not_configured", "p-zenith", "not_configured")


async def test_a_changed_limit_holds_from_the_next_call_on(town: Town) -> None:
    """Ours."""
    paying = {**WRITES[PAY]}
    async with Hub(town.settings, town.companies.transport()) as hub:
        await ask(hub, "acme")
        town.write("acme", more="max_invoice_cents = 1")
        refused = await ask(hub, "acme", PAY, paying)

    assert refused["error"]["code"] == "refused_by_policy"
    assert town.companies["acme"].journal.requests[1:] == []


async def test_a_ledger_that_went_back_is_noticed_by_accounts_that_changed_since(town: Town, tmp_path: Path) -> None:
    """Ours: what it has forgotten was paid. Another engine knows how far the ledger had come in this process."""
    ledger, copy = tmp_path / "ledger" / "ledger.db", tmp_path / "copy.db"
    settings = simulator_settings(
        FINEXIO_MCP_ACCOUNTS_FILE=str(town.file),
        FINEXIO_BASE_URL="http://127.0.0.1:9/v2",
        FINEXIO_MCP_LEDGER_URL=f"sqlite:///{ledger}",
    )
    one, two = ({"invoices": [{**WRITES[PAY]["invoices"][0], "invoice_number": number}]} for number in ("ONE", "TWO"))
    for company in town.companies.values():
        company.add_buyer(BUYER, external_reference_id="S")
        company.add_supplier(SUPPLIER, external_reference_id="H", name="Harbor")
    async with Hub(settings, town.companies.transport()) as hub:
        paid = [(await ask(hub, "acme", PAY, one))["status"]]
        copy.write_bytes(ledger.read_bytes())
        paid.append((await ask(hub, "acme", PAY, two))["status"])
        ledger.write_bytes(copy.read_bytes())
        town.write("acme", "zenith", more="rate = 3.0")
        again = [(await ask(hub, name, PAY, two))["status"] for name in ("acme", "zenith")]

    assert (paid, again) == (["confirmed"] * 2, ["ledger_unavailable"] * 2)
    assert len([record for record in town.companies.requests if record.method == "POST"]) == 2


async def test_a_changed_password_is_used_by_the_next_request(town: Town, tmp_path: Path) -> None:
    """Ours: the file is read each time, so nothing is made anew for that."""
    async with Hub(town.settings, town.companies.transport()) as hub:
        good = await ask(hub, "acme")
        engine = hub.engines["acme"]
        (tmp_path / "acme").write_text("mistyped")
        bad = await ask(hub, "acme")
        (tmp_path / "acme").write_text("acme-password\n")
        again = await ask(hub, "acme")
        same = hub.engines["acme"] is engine

    assert (good["result"], bad["error"]["code"], again["result"]) == (
        again["result"],
        "not_authorized",
        good["result"],
    )
    assert same


async def test_a_payment_on_its_way_ends_although_its_account_is_removed(town: Town) -> None:
    """Ours: what was ordered is seen through, with the credentials that it was ordered with."""
    arrived, may_answer = anyio.Event(), anyio.Event()
    sim = office()

    class Slow(Upstream):
        async def handle_async_request(self, request: Any) -> Any:
            arrived.set()
            await may_answer.wait()
            request.headers["authorization"] = "Basic ZGVtbzpkZW1v"
            return await sim.transport().handle_async_request(request)

    told: list[dict[str, Any]] = []

    async with Hub(town.settings, Slow(reply(500))) as hub, anyio.create_task_group() as tasks:

        async def pay() -> None:
            told.append(await ask(hub, "acme", PAY, WRITES[PAY]))

        tasks.start_soon(pay)
        with anyio.fail_after(10):
            await arrived.wait()
        town.write("zenith")
        told.append(await ask(hub, "acme"))
        may_answer.set()

    gone, paid = told
    assert gone["error"]["code"] == "not_configured"
    assert paid["status"] == "confirmed"


async def test_a_call_that_waits_while_its_account_is_changed_goes_to_the_new_engine(town: Town) -> None:
    """Ours: nothing was done about it yet, and nobody is shutting down."""
    arrived, may_answer = anyio.Event(), anyio.Event()
    plain = town.companies.transport()

    class Slow(Upstream):
        async def handle_async_request(self, request: Any) -> Any:
            arrived.set()
            await may_answer.wait()
            return await plain.handle_async_request(request)

    settings = simulator_settings(FINEXIO_MCP_ACCOUNTS_FILE=str(town.file), FINEXIO_MCP_CALLS_AT_ONCE=1)
    told: list[dict[str, Any]] = []

    async def look() -> None:
        told.append(await ask(hub, "acme"))

    async with Hub(settings, Slow(reply(500))) as hub, anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        with anyio.fail_after(10):
            await arrived.wait()
            tasks.start_soon(look)
            while not hub.engines["acme"].waiting:
                await anyio.lowlevel.checkpoint()
        town.write("acme", more="rate = 0.0")
        tasks.start_soon(look)
        with anyio.fail_after(10):
            while len(town.companies.requests) or not hub.engines["acme"].running:
                await anyio.lowlevel.checkpoint()
        may_answer.set()

    assert [content["result"][0]["id"] for content in told] == ["p-acme"] * 3


async def test_who_shows_no_token_and_has_no_account_is_told_what_to_set(town: Town) -> None:
    """Ours: there is no token to be changed, so the words are others than for one that names no account."""
    async with Hub(town.settings, town.companies.transport()) as hub:
        answers = [
            (await hub.run(LISTED[LIST], {}, caller=caller)).content["error"]
            for caller in (OPERATOR, Caller(key="anonymous", name="anonymous", origin="anonymous"))
        ]

    assert [answer["code"] for answer in answers] == ["not_configured"] * 2
    assert all("FINEXIO_MCP_ACCOUNT" in answer["message"] for answer in answers)


async def test_whoever_started_the_server_uses_the_account_that_the_settings_name(town: Town) -> None:
    """Ours: over stdio there are no tokens."""
    settings = simulator_settings(FINEXIO_MCP_ACCOUNTS_FILE=str(town.file), FINEXIO_MCP_ACCOUNT="zenith")
    async with Hub(settings, town.companies.transport()) as hub:
        await hub.run(LISTED[LIST], {}, caller=OPERATOR)
        await hub.run(LISTED[LIST], {}, caller=Caller(key="anonymous", name="anonymous", origin="anonymous"))

    assert town.users() == ["zenith-api", "zenith-api"]


async def test_every_call_is_told_of_once_with_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: answered, refused and failed ones, and the requests to Finexio beside them."""
    watching = Watching()
    monkeypatch.setattr("finexio_mcp.observers.CallLog", lambda: watching)
    async with Hub(simulator_settings(), Upstream(reply(503), reply(200, {"id": PAYMENT}))) as hub:
        await hub.run(LISTED[GET_PAYMENT], {"id": PAYMENT}, client="Claude 1.0", request_id="req_given")
        await hub.run(LISTED[GET_PAYMENT], {"id": ""})

    good, bad = watching.calls
    assert (good.tool, good.outcome, good.ids, good.upstream, good.retries) == (GET_PAYMENT, "ok", (PAYMENT,), 2, 1)
    assert (good.request_id, good.client, good.caller.key, good.failed) == (
        "req_given",
        "Claude 1.0",
        "operator",
        False,
    )
    assert (bad.outcome, bad.failed, bad.upstream) == ("invalid_arguments", True, 0)
    assert bad.request_id.startswith("req_")
    assert [(asked.method, asked.outcome, asked.retry) for asked in watching.requests] == [
        ("GET", "503", False),
        ("GET", "200", True),
    ]


async def test_a_caller_that_leaves_is_told_of_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: what somebody asked for is recorded, whether or not they waited for the answer."""
    watching, arrived = Watching(), anyio.Event()
    monkeypatch.setattr("finexio_mcp.observers.CallLog", lambda: watching)

    class Silent(Upstream):
        async def handle_async_request(self, request: Any) -> Any:
            arrived.set()
            await anyio.sleep_forever()

    async with Hub(simulator_settings(), Silent(reply(500))) as hub, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: hub.run(LISTED[GET_PAYMENT], {"id": PAYMENT}))
        with anyio.fail_after(10):
            await arrived.wait()
        tasks.cancel_scope.cancel()

    assert [(call.tool, call.outcome, call.failed) for call in watching.calls] == [(GET_PAYMENT, "caller_left", False)]


async def test_who_watches_cannot_spoil_a_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: the answer comes all the same, and the log tells the kind of the failure, not its text."""

    class Broken(Observer):
        async def ended(self, call: Ended) -> None:
            raise RuntimeError(SECRET)

        def asked(self, asked: Asked) -> None:
            raise RuntimeError(SECRET)

    monkeypatch.setattr("finexio_mcp.observers.CallLog", Broken)
    async with Hub(simulator_settings(), Upstream(reply(200, {"id": PAYMENT}))) as hub:
        envelope = await hub.run(LISTED[GET_PAYMENT], {"id": PAYMENT})

    assert envelope.content["result"]["id"] == PAYMENT
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


async def test_what_goes_on_by_itself_is_nobodys_call(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: an engine outlives the call that it was made for, whose name its later lines must not bear."""
    seen: list[object] = []

    class Noting(Hub):
        async def _keep(self, seat: Any) -> None:
            seen.append(calls.current())
            await super()._keep(seat)

    caplog.set_level(logging.INFO)
    async with Noting(simulator_settings(), Upstream(reply(200, {"id": PAYMENT}))) as hub:
        await hub.run(LISTED[GET_PAYMENT], {"id": PAYMENT})

    assert seen == [None]
