"""The doctor: each check by itself, what it says without a connection, and that it tells no secret."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest

from finexio_mcp import catalog, doctor
from finexio_mcp.doctor import (
    ACCOUNTS_AT_ONCE,
    Check,
    check_access,
    check_accounts,
    check_clock,
    check_credentials,
    check_http,
    check_ledger,
    check_place,
    check_settings,
    run_checks,
)
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.settings import Settings, load
from finexio_mcp.simulator import Companies, Simulator
from tests.accounts.files import entry
from tests.conftest import simulator_settings
from tests.guards.ledger.conftest import invoice, new_schema
from tests.guards.ledger.conftest import postgresql as postgresql
from tests.ledgers import LATE_MS, LONG_AGO_MS, Act, Office, look, outcome, send

USER, PASSWORD = "jonathan.accounts", "hunter2-hunter2"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
BEFORE = ("settings", "environment", "access", "account")
"""Checks that come before those of the ledger."""


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


# Over HTTP --------------------------------------------------------------------


def test_http_is_judged_only_where_somebody_means_to_serve_it() -> None:
    """Ours: whoever uses stdio reads nothing about it."""
    assert list(check_http(account())) == []


@pytest.mark.parametrize(
    ("overrides", "state", "says"),
    [
        ({"FINEXIO_MCP_REQUIRE_TOKEN": True}, "ok", "Nobody is answered without a token."),
        ({"FINEXIO_MCP_HTTP_PORT": 8123}, "ok", "http://127.0.0.1:8123/mcp. Programs on this machine may read."),
        ({"FINEXIO_MCP_NO_AUTH_WRITES": True}, "warn", "order payments"),
        ({"FINEXIO_MCP_HTTP_HOST": "0.0.0.0"}, "fail", "would not start"),
        ({"FINEXIO_MCP_PUBLIC_URL": "https://mcp.acme.example"}, "fail", "callers have to be known"),
    ],
)
def test_the_doctor_says_whether_http_would_be_served(overrides: dict[str, Any], state: str, says: str) -> None:
    """Ours: before somebody starts it and wonders."""
    found = list(check_http(account(**overrides)))

    assert {check.name for check in found} == {"http"}
    assert {check.state for check in found} == {state}
    assert says in found[0].says
    assert (found[0].do == "") is (state == "ok")


# The whole --------------------------------------------------------------------


def test_the_simulator_passes_every_check_and_the_json_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: with the simulator everything passes, offline, and `--json` is one object."""
    code = doctor.examine(simulator_settings(), as_json=True)

    report = json.loads(capsys.readouterr().out)
    assert (code, report["ok"]) == (0, True)
    assert [(check["name"], check["state"]) for check in report["checks"]] == [
        (name, "ok") for name in (*BEFORE, "state", "ledger", "reach", "clock", "credentials")
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


@pytest.mark.parametrize("limit", ["", "INVOICE", "BATCH", "DAY"])
def test_real_payments_without_any_limit_are_a_warning(limit: str) -> None:
    """Ours: that they are real is the operator's wish; that nothing bounds them may not be."""
    limits = {f"FINEXIO_MCP_MAX_{limit}_CENTS": 100} if limit else {}
    settings = account(FINEXIO_ENVIRONMENT="production", FINEXIO_MCP_ACCESS="pay", **limits)

    check = check_access(settings)

    assert check.says.startswith("pay: 26 of ")
    assert check.state == ("ok" if limit else "warn")
    assert ("FINEXIO_MCP_MAX_DAY_CENTS" in check.do) is not bool(limit)


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


# The ledger -------------------------------------------------------------------


def always(value: object) -> Callable[..., object]:
    """A function that answers so, whatever it is asked."""
    return lambda *_arguments: value


@pytest.fixture(autouse=True)
def _on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever temporary files are."""
    monkeypatch.setattr(doctor, "volatile_reason", always(None))
    monkeypatch.setenv("FINEXIO_MCP_ALLOW_VOLATILE_LEDGER", "1")


def begun(act: Act = send, ms: int = LATE_MS, **environment: str) -> Path:
    """The file of a ledger in which one invoice stands so."""
    office = Office({"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1", **environment}, ms)
    with closing(office.store):
        office.submit("op_1", invoice("N-1"), act=act)
    assert office.place.file is not None
    return office.place.file


@pytest.fixture
def state_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where this user's ledgers are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_before_the_first_write_its_place_is_told_and_nothing_is_made(state_home: Path) -> None:
    """Ours: whoever asks how things are changes nothing."""
    state, ledger = check_place(account()), anyio.run(check_ledger, account())

    assert (state.state, ledger.state) == ("ok", "ok")
    assert str(state_home) in state.says
    assert "It is made by the first write." in state.says
    assert "Nothing was submitted yet" in ledger.says
    assert not state_home.exists()


async def test_a_ledger_that_is_fine_is_told_by_its_head(state_home: Path) -> None:
    """Ours: it is this user's alone, whole, and nothing in it waits."""
    begun(outcome(State.CONFIRMED, "accepted"))

    state, ledger = check_place(account()), await check_ledger(account())

    assert (state.state, ledger.state) == ("ok", "ok")
    assert state.says.endswith("It is this user's alone.")
    assert ledger.says.startswith("3 events, head ")
    assert ledger.says.endswith("Nothing is in doubt.")


async def test_checking_changes_no_byte(state_home: Path) -> None:
    """Ours: rights that are too wide are pointed out, and left."""
    file = begun()
    os.chmod(file, 0o644)
    os.chmod(file.parent, 0o755)

    def seen() -> list[tuple[str, int, int, bytes]]:
        paths = sorted(state_home.rglob("*"))
        return [
            (str(path), path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in paths
        ]

    before = seen()
    check_place(account())
    await check_ledger(account())

    assert seen() == before


WAITING: Mapping[str, tuple[Act, int, str, str]] = {
    "looked up": (
        outcome(State.IN_DOUBT, "no_answer"),
        LATE_MS,
        "In doubt: 1. For a person to settle: 0.",
        "Start the",
    ),
    "a person": (look(None), LATE_MS, "In doubt: 1. For a person to settle: 1.", "finexio-mcp ledger resolve"),
    "conflict": (
        look(State.CONFLICT, "found_other"),
        LATE_MS,
        "In doubt: 0. For a person to settle: 1.",
        "finexio-mcp ledger resolve",
    ),
    "left behind": (send, LONG_AGO_MS, "Left behind by a crash: 1.", "Start the server"),
}


@pytest.mark.parametrize(("act", "ms", "says", "do"), WAITING.values(), ids=WAITING)
@pytest.mark.usefixtures("state_home")
async def test_what_waits_for_somebody_is_a_warning(act: Act, ms: int, says: str, do: str) -> None:
    """Ours: with who it waits for, and what they should do."""
    begun(act, ms)

    check = await check_ledger(account())

    assert check.state == "warn"
    assert says in check.says
    assert do in check.do


@pytest.mark.usefixtures("state_home")
async def test_a_ledger_that_was_edited_fails() -> None:
    """Ours: even for agents that only read; somebody wanted something."""
    with closing(sqlite3.connect(begun())) as connection, connection:
        ((definition,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'submissions_fixed'")
        connection.execute("DROP TRIGGER submissions_fixed")
        connection.execute("UPDATE submissions SET amount_cents = 1")
        connection.execute(definition)

    check = await check_ledger(account(FINEXIO_MCP_ACCESS="read"))

    assert check.state == "fail"
    assert "submission 1: it is not what was recorded at first" in check.says
    assert "finexio-mcp ledger verify" in check.do


@pytest.mark.usefixtures("state_home")
async def test_a_key_that_is_not_the_ledgers_is_found_before_a_write_is_refused_for_it() -> None:
    """Ours: everything else works with it, and a replica with another one would refuse its share of the writes."""
    office = Office({"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1"}, LATE_MS)
    assert office.place.key_file is not None
    with closing(office.store):
        office.store.recognise_key(office.place.key_file.read_bytes())
    own = (await check_ledger(account())).state
    office.place.key_file.write_bytes(b"k" * 32)

    check = await check_ledger(account())

    assert own == "ok"
    assert (check.state, check.says) == ("fail", "It cannot be used, so writes are off: wrong key.")


@pytest.mark.parametrize(("access", "state"), [("pay", "fail"), ("write", "fail"), ("read", "warn")])
@pytest.mark.usefixtures("state_home")
async def test_a_ledger_that_cannot_be_used_is_as_bad_as_what_agents_want_to_do(access: str, state: str) -> None:
    """Ours: reads go on without it."""
    begun().with_suffix(".key").unlink()

    check = await check_ledger(account(FINEXIO_MCP_ACCESS=access))

    assert (check.state, check.says) == (state, "It cannot be used, so writes are off: missing key.")
    assert "Restore the key" in check.do


def loosen(file: Path) -> None:
    os.chmod(file.parent, 0o755)


PLACES: Mapping[str, tuple[Callable[[Path], object], str, str]] = {
    "directory": (loosen, "Others may look into", "chmod 700"),
    "file": (lambda file: os.chmod(file, 0o640), "ledger.db.", "chmod 600"),
    "key": (lambda file: os.chmod(file.with_suffix(".key"), 0o604), "ledger.key.", "chmod 600"),
}


@pytest.mark.parametrize(("spoil", "says", "do"), PLACES.values(), ids=PLACES)
@pytest.mark.usefixtures("state_home")
def test_a_ledger_that_others_may_open_is_a_warning(spoil: Callable[[Path], object], says: str, do: str) -> None:
    """Ours: with the command that takes their rights away."""
    spoil(begun())

    check = check_place(account())

    assert check.state == "warn"
    assert says in check.says
    assert do in check.do


def replace_by_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))
    file.symlink_to(file.with_name("elsewhere.db"))


BROKEN: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "key too short": (lambda file: file.with_suffix(".key").write_bytes(b"x"), "holds no key"),
    "link": (replace_by_link, "is no file"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN)
@pytest.mark.usefixtures("state_home")
def test_files_that_no_write_would_use_fail(spoil: Callable[[Path], object], says: str) -> None:
    """Ours: said before the first write finds it out."""
    spoil(begun())

    check = check_place(account())

    assert check.state == "fail"
    assert says in check.says
    assert check.do


def test_a_directory_of_the_operators_that_others_may_write_in_fails(tmp_path: Path) -> None:
    """Ours: there another ledger could be put in this one's place, and we change nothing of others' directories."""
    os.chmod(tmp_path, 0o777)

    check = check_place(account(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/ledger.db"))

    assert check.state == "fail"
    assert f"Others may write in {tmp_path}." in check.says


def test_a_directory_of_the_operators_may_be_looked_into(tmp_path: Path) -> None:
    """Ours: the files in it are closed."""
    os.chmod(tmp_path, 0o755)

    check = check_place(account(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/ledger.db"))

    assert check.state == "ok"


def test_a_file_in_the_directorys_place_fails(tmp_path: Path) -> None:
    """Ours: nothing can be made below it."""
    (tmp_path / "x").write_text("")

    check = check_place(account(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/x/y/ledger.db"))

    assert check.state == "fail"
    assert f"{tmp_path / 'x'} is no directory." in check.says


@pytest.mark.usefixtures("state_home")
def test_a_directory_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: whether the ledger is there already or would be made."""
    monkeypatch.setattr(doctor.os, "access", always(False))

    first = check_place(account())
    begun()
    later = check_place(account())

    assert (first.state, later.state) == ("fail", "fail")
    assert "This user may not write in" in first.says
    assert "writable" in first.do


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives directories away")
@pytest.mark.usefixtures("state_home")
def test_a_directory_of_another_user_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: its owner could put another ledger there."""
    os.chown(begun().parent, 1234, 1234)
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 4321)

    check = check_place(account())

    assert check.state == "fail"
    assert "belongs to another user" in check.says


@pytest.mark.parametrize(
    ("overrides", "state"),
    [
        ({"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": False}, "fail"),
        ({"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": False, "FINEXIO_MCP_ACCESS": "read"}, "warn"),
        ({"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": True}, "warn"),
    ],
)
def test_a_disk_that_forgets_is_named(overrides: dict[str, Any], state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: even where it is allowed."""
    monkeypatch.setattr(doctor, "volatile_reason", always("tmpfs (it is memory)"))

    check = check_place(account(**overrides))

    assert check.state == state
    assert "That is on tmpfs (it is memory)." in check.says
    assert "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER" in check.do


async def test_a_place_that_makes_no_sense_fails_once() -> None:
    """Ours: what has no place is not looked at."""
    settings = account(FINEXIO_MCP_LEDGER_URL="sqlite:///relative/ledger.db")

    state, ledger = check_place(settings), await check_ledger(settings)

    assert (state.state, ledger.state) == ("fail", "warn")
    assert "sqlite:////absolute/path" in state.do


async def test_a_postgresql_ledger_is_checked_and_not_made(postgresql: str) -> None:
    """Ours: before the first write it is empty, after it has a head."""
    url = new_schema(postgresql).replace("postgresql+psycopg://", "postgresql://")
    settings = {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": PASSWORD * 3}

    before = [await check_ledger(account(**settings)) for _ in range(2)]
    with closing(Office(settings).store):
        after = await check_ledger(account(**settings))

    assert check_place(account(**settings)).says.startswith("The ledger is PostgreSQL on ")
    assert ["Nothing was submitted yet" in check.says for check in before] == [True, True]
    assert after.says.startswith("0 events, head ")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_postgresql_that_cannot_be_reached_fails_without_its_password(
    as_json: bool, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: neither the checks nor the configurations hold it, and those say what is to be filled in."""
    url = f"postgresql://books:{PASSWORD}@127.0.0.1:{closed_port}/ledger"
    address = f"http://127.0.0.1:{closed_port}/v2"
    settings = account(
        FINEXIO_BASE_URL=address, FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY=f"{PASSWORD}{PASSWORD}{PASSWORD}"
    )

    code = doctor.examine(settings, as_json=as_json)

    out, err = capsys.readouterr()
    assert code == 1
    assert "cannot be used, so writes are off: unreachable." in " ".join(out.split())
    assert "postgresql://your-ledger" in out
    assert "your-state-key" in out
    assert not any(secret in out + err for secret in (PASSWORD, "hunter", "books"))


async def test_a_ledger_that_takes_too_long_is_not_called_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the doctor ends, and names the command that takes its time."""
    release = threading.Event()
    monkeypatch.setattr(doctor, "LEDGER_SECONDS", 0.01)

    def wait(*_arguments: object) -> None:
        release.wait(10)

    monkeypatch.setattr(doctor, "consult", wait)

    try:
        check = await check_ledger(account())
    finally:
        release.set()

    assert check.state == "warn"
    assert "finexio-mcp ledger verify" in check.do


@pytest.mark.parametrize("given", [True, False])
def test_ready_configurations_lead_to_the_ledger_that_was_checked(
    given: bool, state_home: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: a server that a client starts elsewhere would not know what was submitted here."""
    url = f"sqlite:///{state_home}/own/ledger.db"
    settings = account(
        FINEXIO_BASE_URL=f"http://127.0.0.1:{closed_port}/v2", **({"FINEXIO_MCP_LEDGER_URL": url} if given else {})
    )

    doctor.examine(settings, as_json=True)

    clients = json.loads(capsys.readouterr().out)["clients"]
    told = [url if given else f'"XDG_STATE_HOME": "{state_home}"']
    assert [text for text in told if text not in clients["Claude Desktop"]["text"]] == []


# Several accounts -------------------------------------------------------------


@pytest.fixture
def accounts_file(tmp_path: Path) -> Path:
    """Where the accounts are named, with a password that is this user's alone."""
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    return tmp_path / "accounts.toml"


def several(file: Path, *entries: str, **overrides: Any) -> Settings:
    """Settings of a server that acts for these accounts over HTTP."""
    file.write_text("".join(entries))
    usual = {"FINEXIO_MCP_REQUIRE_TOKEN": True, "FINEXIO_MCP_RATE": 0}
    set_ = {name: value for name, value in {**usual, **overrides}.items() if value is not None}
    return load(FINEXIO_MCP_ACCOUNTS_FILE=str(file), **set_)


def named(*names: str, **keys: Any) -> list[str]:
    """Accounts in TOML, each with a user of its own and the password in a file."""
    return [entry(name, **{"username": f"{name}.accounts", "password_file": "password", **keys}) for name in names]


def companies(*names: str) -> httpx2.AsyncBaseTransport:
    """A pretend Finexio that knows these."""
    known = {name: Simulator(username=f"{name}.accounts", password=PASSWORD, populated=False) for name in names}
    return Companies(known).transport()


async def test_each_of_several_accounts_is_checked_and_named(accounts_file: Path) -> None:
    """Ours: whether it has credentials, what bounds it, and whether Finexio takes them; nothing of another's."""
    limits = {"max_invoice_cents": 500_000, "max_day_cents": 900_000, "rate": 2.5}
    settings = several(accounts_file, *named("acme", **limits), *named("globex"))

    checks = await run_checks(settings, companies("acme", "globex"))

    assert [
        (check.name, check.state) for check in checks if check.name not in {"state", "ledger", "http", "clock"}
    ] == [
        (name, "ok")
        for name in (
            *("settings", "environment", "access", "accounts", "account acme", "account globex"),
            *("reach", "credentials acme", "credentials globex"),
        )
    ]
    found = by_name(checks)
    assert found["accounts"].says.startswith(f"2 in {accounts_file}: acme, globex.")
    assert found["account acme"].says == (
        "User ac***, with a password from a file. At most 500000 cents an invoice, 900000 cents in 24 hours, "
        "2.5 requests a second."
    )
    assert found["account globex"].says.endswith("At most any amount, any number of requests.")


async def test_an_account_that_finexio_does_not_know_fails_alone(accounts_file: Path) -> None:
    """Ours: with what to do, which is not to set the variables of a server with one account."""
    settings = several(accounts_file, *named("acme", "globex"))

    found = by_name(await run_checks(settings, companies("acme")))

    assert (found["credentials acme"].state, found["credentials globex"].state) == ("ok", "fail")
    assert found["credentials globex"].says.startswith("not_authorized: ")
    assert found["credentials globex"].do.startswith(
        "Correct accounts.globex.username, or the password that accounts.globex.password_file names"
    )


async def test_an_account_without_its_password_fails_and_is_not_tried(accounts_file: Path) -> None:
    """Ours: what is missing is named by its key, and the others are tried."""
    settings = several(accounts_file, *named("acme"), entry("globex", password_env="GLOBEX_PASSWORD"))

    found = by_name(await run_checks(settings, companies("acme", "globex")))

    assert found["account globex"].state == "fail"
    assert "accounts.globex.password_env names a variable that is not set" in found["account globex"].says
    assert (found["credentials globex"].state, found["credentials globex"].says) == (
        "warn",
        "Not checked: there are none.",
    )
    assert found["credentials acme"].state == "ok"


async def test_a_file_that_cannot_be_used_fails_with_each_problem(accounts_file: Path) -> None:
    """Ours: and the other checks go on."""
    settings = several(accounts_file, *named("acme", rate=-1), *named("globex", max_day_cent=1))

    checks = await run_checks(settings, companies())

    wrong = [check for check in checks if check.name == "accounts"]
    assert [(check.state, check.says.split()[0]) for check in wrong] == [
        ("fail", "accounts.acme.rate"),
        ("fail", "accounts.globex.max_day_cent"),
    ]
    assert all("FINEXIO_MCP_ACCOUNTS_FILE" in check.do for check in wrong)
    assert by_name(checks)["reach"].state == "ok"


@pytest.mark.parametrize(
    ("names", "overrides", "state", "words"),
    [
        (["acme"], {"FINEXIO_MCP_ACCOUNT": "acme"}, "ok", "Who names none uses acme."),
        (["acme", "default"], {}, "ok", "Who names none uses default."),
        (["acme"], {}, "ok", "Callers have to name one: none is called default."),
        (["acme"], {"FINEXIO_MCP_REQUIRE_TOKEN": None}, "warn", "None is called default"),
        (["acme"], {"FINEXIO_MCP_ACCOUNT": "omni"}, "fail", "FINEXIO_MCP_ACCOUNT names none of them"),
    ],
)
async def test_which_account_those_use_who_name_none_is_told(
    accounts_file: Path, names: list[str], overrides: dict[str, Any], state: str, words: str
) -> None:
    """Ours: over HTTP a token can name one; over stdio nobody can."""
    checks, _ = await check_accounts(several(accounts_file, *named(*names), **overrides))

    assert (checks[0].name, checks[0].state) == ("accounts", state)
    assert words in checks[0].says
    assert ("FINEXIO_MCP_ACCOUNT." in checks[0].do) is (state != "ok")


async def test_accounts_that_sign_in_as_one_user_are_a_warning(accounts_file: Path) -> None:
    """Ours: to Finexio they are one, whatever they are called here."""
    settings = several(accounts_file, *named("acme", "globex", username="one.user"), *named("omni"))

    checks, _ = await check_accounts(settings)

    (warning,) = [check for check in checks if check.state == "warn"]
    assert warning.says.startswith("acme, globex sign in as one user")
    assert "rates add up" in warning.says
    assert "one.user" not in repr(checks)


@pytest.mark.skipif(os.name != "posix", reason="only there a file's mode says who may open it")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o604, True), (0o602, True)])
async def test_a_password_that_everybody_may_read_is_a_warning(accounts_file: Path, mode: int, warned: bool) -> None:
    """Ours: with the command that takes their rights away. The accounts file may be read: it holds no secret."""
    settings = several(accounts_file, *named("acme"))
    os.chmod(accounts_file, 0o644)
    os.chmod(accounts_file.parent / "password", mode)

    checks, _ = await check_accounts(settings)

    warnings = [check for check in checks if check.state == "warn"]
    assert [check.name for check in warnings] == (["account acme"] if warned else [])
    assert all("chmod o-rwx" in check.do for check in warnings)


@pytest.mark.skipif(os.name != "posix", reason="only there a file's mode says who may open it")
async def test_accounts_that_everybody_may_change_are_a_warning(accounts_file: Path) -> None:
    """Ours: whoever can take a limit out of it can pay more."""
    settings = several(accounts_file, *named("acme"))
    os.chmod(accounts_file, 0o646)

    checks, _ = await check_accounts(settings)

    assert [(check.name, "chmod o-w" in check.do) for check in checks if check.state == "warn"] == [("accounts", True)]


async def test_real_payments_without_any_limit_are_a_warning_for_the_account(accounts_file: Path) -> None:
    """Ours: one whose limits are its own is not warned of, nor are all when the server has some."""
    production = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_MCP_ACCESS": "pay"}
    entries = [*named("acme"), *named("globex", max_day_cents=100)]

    bare, _ = await check_accounts(settings := several(accounts_file, *entries, **production))
    bounded, _ = await check_accounts(several(accounts_file, *entries, **production, FINEXIO_MCP_MAX_DAY_CENTS=100))

    assert [check.name for check in bare if check.state == "warn"] == ["account acme"]
    assert [check.name for check in bounded if check.state == "warn"] == []
    assert check_access(settings).state == "ok"


async def test_thirty_accounts_are_asked_some_at_a_time(accounts_file: Path) -> None:
    """Ours: as many as answer, not one after the other, and not all at once."""
    names = [f"a{number}" for number in range(30)]
    world, signing_in, most = Companies({}), 0, 0
    enough = anyio.Event()

    class Busy(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            nonlocal signing_in, most
            if "authorization" not in request.headers:
                return await world.transport().handle_async_request(request)
            signing_in += 1
            most = max(most, signing_in)
            if signing_in == ACCOUNTS_AT_ONCE:
                enough.set()
            # Nobody is answered before as many have asked as may ask at once.
            await enough.wait()
            await anyio.lowlevel.checkpoint()
            signing_in -= 1
            return httpx2.Response(200, json={"count": 0, "next": None, "previous": None, "results": []})

    with anyio.fail_after(20):
        found = await run_checks(several(accounts_file, *named(*names)), Busy())

    signed_in = [check for check in found if check.name.startswith("credentials ")]
    assert [(check.name, check.state) for check in signed_in] == [(f"credentials {name}", "ok") for name in names]
    assert most == ACCOUNTS_AT_ONCE


async def test_a_keyring_that_does_not_answer_is_not_waited_for_for_ever(
    accounts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: it may show a dialog that nobody sees."""
    release = threading.Event()
    monkeypatch.setattr(doctor, "KEYRING_SECONDS", 0.05)

    class Ring:
        @staticmethod
        def get_password(_service: str, _username: str) -> None:
            release.wait(10)

    monkeypatch.setitem(sys.modules, "keyring", Ring)
    settings = several(accounts_file, *named("acme"), entry("globex", password_keyring="finexio"))

    try:
        with anyio.fail_after(5):
            checks, _ = await check_accounts(settings)
    finally:
        release.set()

    found = by_name(checks)
    assert (found["account acme"].state, found["account globex"].state) == ("ok", "fail")
    assert "has not answered yet" in found["account globex"].says


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_told_of_several_accounts_holds_no_secret(
    as_json: bool, accounts_file: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: neither passwords nor users, whatever fails."""
    settings = several(
        accounts_file, *named("acme", username=USER), FINEXIO_BASE_URL=f"http://127.0.0.1:{closed_port}/v2"
    )

    code = doctor.examine(settings, as_json=as_json)

    out, err = capsys.readouterr()
    assert code == 1
    assert "jo***" in out
    assert not any(secret in out + err for secret in (USER, PASSWORD, "hunter"))
    if as_json:
        assert {check["name"] for check in json.loads(out)["checks"]} >= {"accounts", "account acme", "credentials"}


def test_the_simulator_passes_with_several_accounts_too(
    accounts_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: each has a pretend Finexio of its own, which knows its user."""
    settings = several(accounts_file, *named("acme", "globex"), FINEXIO_ENVIRONMENT="simulator")

    code = doctor.examine(settings, as_json=True)

    checks = json.loads(capsys.readouterr().out)["checks"]
    assert code == 0
    assert {"credentials acme", "credentials globex"} <= {check["name"] for check in checks if check["state"] == "ok"}


def test_ready_configurations_name_the_accounts_file_and_no_user(
    accounts_file: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: what is copied starts; both together would be refused."""
    address = f"http://127.0.0.1:{closed_port}/v2"
    settings = several(accounts_file, *named("acme"), FINEXIO_BASE_URL=address, FINEXIO_MCP_ACCOUNT="acme")

    doctor.examine(settings, as_json=True)

    text = json.loads(capsys.readouterr().out)["clients"]["Claude Desktop"]["text"]
    environment = json.loads(text)["mcpServers"]["finexio"]["env"]
    assert environment["FINEXIO_MCP_ACCOUNTS_FILE"] == str(accounts_file)
    assert load(**environment).account == "acme"


def test_ready_configurations_name_files_of_secrets_and_not_what_they_hold(
    tmp_path: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: beside a file the variable would be refused."""
    (tmp_path / "url").write_text(f"postgresql://books:{PASSWORD}@127.0.0.1:{closed_port}/ledger\n")
    (tmp_path / "key").write_text(PASSWORD * 3)
    files = {name: str(tmp_path / file) for name, file in (("LEDGER_URL", "url"), ("STATE_KEY", "key"))}
    settings = account(
        FINEXIO_BASE_URL=f"http://127.0.0.1:{closed_port}/v2",
        **{f"FINEXIO_MCP_{name}_FILE": file for name, file in files.items()},
    )

    doctor.examine(settings, as_json=True)

    out = capsys.readouterr().out
    environment = json.loads(json.loads(out)["clients"]["Claude Desktop"]["text"])["mcpServers"]["finexio"]["env"]
    assert PASSWORD not in out
    assert {name: value for name, value in environment.items() if "LEDGER_URL" in name or "STATE_KEY" in name} == {
        f"FINEXIO_MCP_{name}_FILE": file for name, file in files.items()
    }
