"""The doctor: each check by itself, what it says without a connection, and that it tells no secret."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from finexio_mcp import catalog, doctor
from finexio_mcp.doctor import Check, check_access, check_clock, check_credentials, check_settings, run_checks
from finexio_mcp.settings import Settings, load
from finexio_mcp.simulator import Simulator
from tests.conftest import simulator_settings

USER, PASSWORD = "jonathan.accounts", "hunter2-hunter2"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def account(**overrides: Any) -> Settings:
    """Settings of someone with an account in the sandbox."""
    return load(**{"FINEXIO_USERNAME": USER, "FINEXIO_PASSWORD": PASSWORD, "FINEXIO_MCP_RATE": 0, **overrides})


def answering(status: int, body: Any = None, **headers: str) -> httpx2.MockTransport:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    # As a stream, so that a body that cannot be decoded fails where it is read, as over a wire.
    return httpx2.MockTransport(
        lambda _request: httpx2.Response(status, stream=httpx2.ByteStream(content), headers=headers)
    )


def failing(cause: Exception | None, error: type[httpx2.TransportError] = httpx2.ConnectError) -> httpx2.MockTransport:
    def fail(_request: httpx2.Request) -> httpx2.Response:
        raise error("all attempts failed") from cause

    return httpx2.MockTransport(fail)


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken and that nothing listens at."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


# The whole --------------------------------------------------------------------


def test_the_simulator_passes_every_check_and_the_json_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: with the simulator everything passes, offline, and `--json` is one object."""
    code = doctor.examine(simulator_settings(), as_json=True)

    report = json.loads(capsys.readouterr().out)
    assert (code, report["ok"]) == (0, True)
    assert [(check["name"], check["state"]) for check in report["checks"]] == [
        (name, "ok") for name in ("settings", "environment", "access", "account", "reach", "clock", "credentials")
    ]
    assert {"Claude Desktop", "Claude Code", "Cursor", "VS Code"} == set(report["clients"])
    assert all(set(told) == {"where", "text"} for told in report["clients"].values())


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failed_check_makes_the_exit_code_1_and_no_secret_is_told(
    as_json: bool, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: what the doctor prints can be handed to anybody."""
    settings = account(FINEXIO_BASE_URL=f"http://127.0.0.1:{closed_port}/v2")

    code = doctor.examine(settings, as_json=as_json)

    out, err = capsys.readouterr()
    assert code == 1
    assert "Nothing listens" in out
    assert "jo***" in out
    assert not any(secret in out + err for secret in (USER, PASSWORD, "hunter"))


def test_the_text_ends_in_configurations_that_can_be_copied(
    closed_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: however narrow the terminal, a line that is copied stays whole."""
    monkeypatch.setenv("COLUMNS", "40")

    doctor.examine(account(FINEXIO_BASE_URL=f"http://127.0.0.1:{closed_port}/v2"), as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("claude mcp add-json finexio '{") and line.endswith("}'") for line in lines)


# One by one -------------------------------------------------------------------


def test_a_misspelt_setting_is_a_warning_with_the_name_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a limit that does not hold must be noticed."""
    monkeypatch.setenv("FINEXIO_MCP_MAX_BATCH_CENT", "100")

    (check,) = check_settings(account())

    assert check.state == "warn"
    assert "FINEXIO_MCP_MAX_BATCH_CENTS?" in check.says
    assert "FINEXIO_MCP_MAX_BATCH_CENT," in check.do


def test_an_address_of_another_environment_is_a_warning() -> None:
    """Ours: production's address under the sandbox's name is real money."""
    settings = account(FINEXIO_BASE_URL="https://api.finexio.com/v2")

    (check,) = check_settings(settings)

    assert (check.name, check.state) == ("settings", "warn")
    assert "Payments are real." in doctor.check_environment(settings).says


def test_a_server_that_offers_no_tool_fails() -> None:
    """Ours: two settings that cancel each other leave nothing for an agent to do."""
    settings = account(FINEXIO_MCP_ACCESS="read", FINEXIO_MCP_TOOLS="finexio_invoices_bulk_create")

    check = check_access(settings)

    assert check.state == "fail"
    assert f"0 of {len(catalog.read())}" in check.says


async def test_missing_credentials_fail_and_are_not_tried() -> None:
    """Ours: what is not there is named, and nothing is claimed about it."""
    checks = by_name(await run_checks(load(FINEXIO_MCP_RATE=0), answering(403, {"detail": "no"}), lambda: NOON))

    assert checks["account"].state == "fail"
    assert "FINEXIO_USERNAME" in checks["account"].do
    assert checks["reach"].state == "ok"
    assert (checks["credentials"].state, checks["credentials"].says) == ("warn", "Not checked: there are none.")


@pytest.mark.parametrize("status", [200, 301, 403, 404, 500])
async def test_any_answer_proves_that_the_address_is_reached(status: int) -> None:
    """Ours: whether it is the right address is another check's question."""
    checks = await run_checks(load(), answering(status, b"<html>", **{"content-encoding": "gzip"}))

    assert by_name(checks)["reach"].state == "ok"


CAUSES: dict[str, tuple[httpx2.MockTransport, str]] = {
    "certificate": (failing(ssl.SSLCertVerificationError(1, "verify failed")), "not trusted"),
    "no TLS": (failing(ssl.SSLError(1, "wrong version number")), "does not speak TLS"),
    "name": (failing(socket.gaierror(-2, "unknown")), "cannot be resolved"),
    "refused": (failing(ConnectionRefusedError(111, "refused")), "Nothing listens"),
    "timeout": (failing(None, httpx2.ConnectTimeout), "No answer within"),
    "broken": (failing(None, httpx2.RemoteProtocolError), "connection failed"),
}


@pytest.mark.parametrize(("transport", "says"), CAUSES.values(), ids=CAUSES.keys())
async def test_why_an_address_is_not_reached_is_explained(transport: httpx2.MockTransport, says: str) -> None:
    """Ours: the cause, what to do, and nothing claimed about what could not be looked at."""
    checks = by_name(await run_checks(account(), transport))

    assert checks["reach"].state == "fail"
    assert says in checks["reach"].says
    assert checks["reach"].do
    assert {checks["clock"].says, checks["credentials"].says} == {doctor.NOT_REACHED}


async def test_a_proxy_in_the_environment_is_named_when_nothing_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: proxies from the environment are not used, which surprises where they are needed."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass@proxy.example:3128")

    reach = by_name(await run_checks(account(), failing(None)))["reach"]

    assert "HTTPS_PROXY is set" in reach.do
    assert "pass" not in reach.do


@pytest.mark.parametrize(
    ("seconds", "state", "word"),
    [(0, "ok", ""), (120, "ok", ""), (-120, "ok", ""), (121, "warn", "ahead of"), (-121, "warn", "behind")],
)
def test_a_clock_that_is_off_by_more_than_two_minutes_is_a_warning(seconds: int, state: str, word: str) -> None:
    """Ours: measured against the `Date` of Finexio's answer."""
    check = check_clock("Wed, 04 Mar 2026 12:00:00 GMT", NOON + timedelta(seconds=seconds))

    assert check.state == state
    assert word in check.says


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Mar 2026 12:00:00 GMT"])
def test_a_clock_that_cannot_be_compared_is_not_called_good(date: str) -> None:
    """Ours: an answer without a readable `Date` proves nothing."""
    check = check_clock(date, NOON)

    assert check.state == "warn"
    assert "Not checked" in check.says


ANSWERS: dict[str, tuple[Callable[[], httpx2.AsyncBaseTransport], str]] = {
    "not_authorized": (lambda: Simulator(username=USER, password="another").transport(), "fail"),
    "permission_denied": (lambda: answering(403, {"detail": "You do not have permission."}), "warn"),
    "not_found": (lambda: answering(404, {"detail": "Not found."}), "fail"),
    "upstream_unreadable": (lambda: answering(200, b"<html>"), "fail"),
    "rate_limited": (lambda: answering(429, **{"retry-after": "3600"}), "warn"),
    "unavailable": (lambda: answering(503, **{"retry-after": "3600"}), "fail"),
}


@pytest.mark.parametrize("code", ANSWERS)
async def test_what_finexio_says_to_the_credentials_is_explained(code: str) -> None:
    """Ours: each code with what to do about it."""
    transport, state = ANSWERS[code]

    check = await check_credentials(account(), transport())

    assert check.state == state
    assert check.says.startswith(f"{code}: ")
    assert check.do


async def test_good_credentials_pass_even_where_agents_may_not_list_webhooks() -> None:
    """Ours: which tools are offered has no bearing on whether the credentials work."""
    settings = account(FINEXIO_MCP_TOOLS="list_all_finexio_invoices")

    check = await check_credentials(settings, Simulator(username=USER, password=PASSWORD).transport())

    assert check.state == "ok"


@pytest.mark.parametrize(("name", "shown"), [("jonathan", "jo***"), ("jo", "***"), ("", "***")])
def test_a_user_name_is_only_hinted_at(name: str, shown: str) -> None:
    """Ours: two letters at most, and none of a name that has no more."""
    assert doctor.hint(name) == shown
