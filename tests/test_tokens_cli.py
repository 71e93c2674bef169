"""`finexio-mcp tokens`: what operators type, and what is printed where."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Code, Grant, Terms
from finexio_mcp.cli import cli
from finexio_mcp.settings import load
from finexio_mcp.tokens_cli import COMMANDS
from finexio_mcp.tokens_cli.terms import beyond
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql

TOKEN = re.compile(r"fmcp_[a-z0-9]{12}_[A-Za-z0-9_-]{43}\n")
CODE = re.compile(r"[a-z0-9]{4}(-[a-z0-9]{4}){3}\n")
DAY_MS = 86_400_000
Office = Mapping[str, str]


@pytest.fixture(params=["sqlite", "postgresql", "simulator"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Office:
    """Settings of an operator: nothing but where things are."""
    if request.param == "simulator":
        return {"FINEXIO_ENVIRONMENT": "simulator"}
    if request.param == "postgresql":
        url = new_schema(request.getfixturevalue("postgresql"))
        return {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": "k" * 32}
    return in_file(tmp_path)


def in_file(tmp_path: Path) -> Office:
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    return {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1"}


@pytest.fixture
def files(tmp_path: Path) -> Office:
    """A ledger in a file."""
    return in_file(tmp_path)


def run(office: Office, *arguments: str) -> Result:
    """Run a command in this process; whatever it raises is a failure of the test."""
    result = CliRunner().invoke(cli, ["tokens", *arguments], env=dict(office))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def listed(office: Office) -> list[dict[str, Any]]:
    result = run(office, "list", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def found(office: Office, token: str) -> Grant | None:
    """What a server with these settings finds."""

    async def look() -> Grant | None:
        book = AccessBook(load(**office))
        try:
            return await book.find(token)
        finally:
            await book.aclose()

    return anyio.run(look)


def test_a_token_is_printed_alone_and_works(office: Office) -> None:
    """Ours: `TOKEN=$(finexio-mcp tokens create ...)` is all that a script needs."""
    result = run(office, "create", "--name", "Month end", "--access", "write", "--toolsets", "core")

    assert result.exit_code == 0
    assert TOKEN.fullmatch(result.stdout)
    token = result.stdout.strip()
    assert token not in result.stderr
    assert "access write; toolsets core" in result.stderr
    assert "finexio-mcp tokens revoke 'Month end'" in result.stderr
    assert "warning" not in result.stderr
    grant = found(office, token)
    assert grant is not None
    assert (grant.name, grant.access, grant.toolsets, grant.tools) == ("Month end", "write", {"core"}, None)
    # Safe unless somebody says otherwise.
    assert grant.expires_at_ms is not None
    assert abs(grant.expires_at_ms - grant.created_at_ms - 30 * DAY_MS) < 60_000


@pytest.mark.parametrize(
    ("given", "ms"),
    [("90m", 5_400_000), ("12h", 43_200_000), ("30d", 30 * DAY_MS), ("2w", 14 * DAY_MS), ("1y", 365 * DAY_MS)],
)
def test_a_token_lasts_as_long_as_was_said(files: Office, given: str, ms: int) -> None:
    """Ours."""
    token = run(files, "create", "--name", "n", "--access", "read", "--expires", given).stdout.strip()

    grant = found(files, token)
    assert grant is not None
    assert grant.expires_at_ms is not None
    assert abs(grant.expires_at_ms - grant.created_at_ms - ms) < 60_000


def test_a_token_can_be_made_to_last(files: Office) -> None:
    """Ours: but it has to be said."""
    result = run(files, "create", "--name", "n", "--access", "read", "--expires", "never")

    assert "It ends: never." in result.stderr
    assert listed(files)[0]["expires"] is None


WRONG = {
    "no such tool": ["--tools", "list_all_finexio_payment"],
    "no such toolset": ["--toolsets", "cores"],
    "no tool at all": ["--tools", " , "],
    "tool of another toolset": ["--tools", "list_all_finexio_payments", "--toolsets", "ledger"],
    "tool that needs more": ["--tools", "finexio_invoices_bulk_create"],
    "no duration": ["--expires", "soon"],
    "nothing": ["--expires", "0d"],
    "backwards": ["--expires", "-1d"],
    "too long": ["--expires", "11y"],
    "far too long": ["--expires", "9999999y"],
    "other digits": ["--expires", "३d"],
    "name of two lines": ["--name", "a\nb"],
    "name like an option": ["--name", "-n"],
    "no access": ["--access", "admin"],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("command", ["create", "invite"])
def test_what_makes_no_sense_makes_nothing(files: Office, tmp_path: Path, command: str, wrong: list[str]) -> None:
    """Ours: a token for nothing, or for a tool that was misspelt, would only be found out in use."""
    result = run(files, command, "--name", "n", "--access", "read", *wrong)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error" in result.stderr
    assert not (tmp_path / "ledger").exists()


def test_a_misspelt_tool_is_named_with_the_one_that_was_meant(files: Office) -> None:
    """Ours."""
    near = run(files, "create", "--name", "n", "--access", "read", "--tools", "list_all_finexio_payment")
    assert "did you mean list_all_finexio_payments?" in near.stderr

    far = run(files, "create", "--name", "n", "--access", "read", "--tools", "finexio_invoices_bulk_create")
    assert "finexio_invoices_bulk_create needs --access pay" in far.stderr


def test_what_the_server_does_not_offer_is_said(files: Office) -> None:
    """Ours: a token that promises more than the server gives is made, and nobody wonders later."""
    office = {**files, "FINEXIO_MCP_ACCESS": "read", "FINEXIO_MCP_TOOLSETS": "core"}
    tools = "list_all_finexio_payments,finexio_invoices_bulk_create"
    result = run(office, "create", "--name", "a", "--access", "pay", "--toolsets", "core,ledger", "--tools", tools)

    assert TOKEN.fullmatch(result.stdout)
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning")]
    assert len(warnings) == 2
    assert "FINEXIO_MCP_ACCESS=pay" in warnings[0]
    assert "has no ledger; FINEXIO_MCP_TOOLSETS" in warnings[1]

    office = {**files, "FINEXIO_MCP_TOOLS": "list_all_finexio_payments"}
    result = run(office, "create", "--name", "b", "--access", "pay", "--tools", tools)
    assert "does not offer finexio_invoices_bulk_create" in result.stderr


def test_a_name_is_given_once(office: Office) -> None:
    """Ours: and is free again afterwards."""
    assert run(office, "create", "--name", "n", "--access", "read").exit_code == 0
    for command in ("create", "invite"):
        again = run(office, command, "--name", "N", "--access", "read")
        assert (again.exit_code, again.stdout) == (1, "")
        assert "finexio-mcp tokens revoke N" in again.stderr

    assert run(office, "revoke", "n").exit_code == 0
    assert run(office, "create", "--name", "N", "--access", "read").exit_code == 0


def test_a_revoked_token_is_good_for_nothing(office: Office) -> None:
    """Ours: at once, and saying so once more fails."""
    token = run(office, "create", "--name", "n", "--access", "read").stdout.strip()
    assert found(office, token) is not None
    result = run(office, "revoke", token.split("_")[1])

    assert (result.exit_code, result.stdout) == (0, "")
    assert "next request" in result.stderr
    assert found(office, token) is None
    assert run(office, "revoke", "n").exit_code == 1
    assert run(office, "revoke", "nobody").exit_code == 1


def test_an_invitation_is_printed_alone_and_lets_a_client_in(office: Office) -> None:
    """Ours."""
    result = run(office, "invite", "--name", "chatgpt", "--access", "read", "--valid", "5m", "--expires", "1h")

    assert result.exit_code == 0
    assert CODE.fullmatch(result.stdout)
    assert result.stdout.strip() not in result.stderr
    assert "--oauth builtin" in result.stderr
    assert listed(office)[0]["state"] == "pending"

    async def accept() -> str | None:
        book = AccessBook(load(**office))
        code = Code(
            client_id="c",
            redirect_uri="https://c.example.test/",
            redirect_uri_explicit=True,
            code_challenge="c",
            access="pay",
            resource=None,
            expires_at_ms=book.now_ms() + 60_000,
        )
        try:
            return await book.accept(result.stdout, code)
        finally:
            await book.aclose()

    assert anyio.run(accept) is not None
    assert {key: listed(office)[0][key] for key in ("state", "access", "client_id")} == {
        "state": "active",
        "access": "read",
        "client_id": "c",
    }


def test_with_the_built_in_issuer_an_invitation_warns_of_nothing(files: Office) -> None:
    """Ours."""
    office = {**files, "FINEXIO_MCP_OAUTH_ISSUER": "builtin"}

    assert "warning" not in run(office, "invite", "--name", "n", "--access", "read").stderr


def is_terminal(_stream: object) -> bool:
    return True


def test_the_list_shows_everything_but_secrets(files: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: those that last first, then by name; for scripts, for people, and for programs."""
    texts = [run(files, "create", "--name", name, "--access", "pay").stdout.strip() for name in ("zoe", "adam", "old")]
    texts.append(run(files, "invite", "--name", "bea", "--access", "read").stdout.strip())
    run(files, "revoke", "old")
    tools = ["get_single_finexio_payment_by_id", "list_all_finexio_payments"]
    run(files, "create", "--name", "carl", "--access", "read", "--tools", ",".join(tools), "--expires", "never")
    found(files, texts[0])

    rows = [line.split("\t") for line in run(files, "list").stdout.splitlines()]
    assert [row[1] for row in rows] == ["adam", "carl", "zoe", "bea", "old"]
    assert [row[6] for row in rows] == ["active", "active", "active", "pending", "revoked"]
    assert rows[1][2:6] == ["token", "read", "", ",".join(tools)]
    assert rows[1][8:] == ["never", "never", "default"]
    assert [row[9] == "never" for row in rows] == [True, True, False, True, True]

    fields = listed(files)
    assert [row["name"] for row in fields] == [row[1] for row in rows]
    assert fields[1]["tools"] == tools
    assert set(fields[0]) == {
        *("id", "name", "kind", "access", "toolsets", "tools", "state", "client_id", "resource"),
        *("created", "expires", "revoked", "last_used", "account"),
    }

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", is_terminal)
    monkeypatch.setenv("COLUMNS", "160")
    table = run(files, "list").stdout
    assert all(name in table for name in ("zoe", "adam", "old", "bea", "carl", "get_single_finexio_payment_by_id"))
    everything = table + json.dumps([rows, fields])
    assert not any(text.split("_")[-1] in everything for text in texts)


def test_where_there_is_nothing_nothing_is_made(files: Office, tmp_path: Path) -> None:
    """Ours: looking leaves no trace."""
    result = run(files, "list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "There are no tokens" in result.stderr
    assert listed(files) == []
    assert run(files, "revoke", "nobody").exit_code == 1
    assert not (tmp_path / "ledger").exists()


def test_a_new_ledger_is_spoken_of(files: Office, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: whoever named the wrong place sees it here, not after a payment."""
    run(files, "create", "--name", "n", "--access", "read")
    assert "a new, empty ledger was begun" in caplog.text
    caplog.clear()
    run(files, "create", "--name", "m", "--access", "read")
    assert caplog.text == ""


@pytest.mark.parametrize(
    "command", [["list"], ["create", "--name", "m", "--access", "read"], ["revoke", "n"], ["revoke", "--all", "--yes"]]
)
def test_a_ledger_that_cannot_be_used_is_said_with_what_to_do(
    files: Office, tmp_path: Path, command: list[str]
) -> None:
    """Ours: as the ledger's own commands do."""
    run(files, "create", "--name", "n", "--access", "read")
    (tmp_path / "ledger" / "ledger.db").write_bytes(b"not a database at all" * 1000)
    result = run(files, *command)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "restore the newest" in result.stderr
    assert str(tmp_path / "ledger" / "ledger.db") in result.stderr


def test_settings_that_cannot_be_used_end_with_2() -> None:
    """Ours: as everywhere."""
    assert run({"FINEXIO_MCP_LEDGER_URL": "mysql://x"}, "list").exit_code == 2


def test_the_simulator_can_be_named_for_all_commands(tmp_path: Path) -> None:
    """Ours: `finexio-mcp --simulator tokens`, whatever the environment says."""
    office = {"FINEXIO_ENVIRONMENT": "production"}
    result = CliRunner().invoke(
        cli, ["--simulator", "tokens", "create", "--name", "n", "--access", "pay"], env=dict(office)
    )

    assert result.exit_code == 0
    assert found({"FINEXIO_ENVIRONMENT": "simulator"}, result.stdout.strip()) is not None
    assert [path.name for path in (tmp_path / "state").rglob("*") if path.is_file()] == ["access.db"]


def test_the_simulator_can_be_named_behind_each_command(tmp_path: Path) -> None:
    """Ours: as for `call` and `doctor`; a token that was made elsewhere would be unknown to the server."""
    simulator = {"FINEXIO_ENVIRONMENT": "production"}
    made = run(simulator, "create", "--name", "n", "--access", "pay", "--simulator")
    invited = run(simulator, "invite", "--name", "m", "--access", "read", "--simulator")

    assert found({"FINEXIO_ENVIRONMENT": "simulator"}, made.stdout.strip()) is not None
    assert [row["name"] for row in json.loads(run(simulator, "list", "--json", "--simulator").stdout)] == ["n", "m"]
    assert run(simulator, "revoke", "n", "--simulator").exit_code == 0
    assert run(simulator, "list").stdout == ""
    for result in (made, invited):
        assert f"It is kept, as a digest, in {tmp_path / 'state'}" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_token_that_could_not_be_printed_is_revoked(files: Office) -> None:
    """Ours: nobody has it, and it would still be one."""
    command = [sys.executable, "-m", "finexio_mcp", "tokens", "create", "--name", "n", "--access", "pay"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, **files},
            timeout=60,
            check=False,
            text=True,
        )

    assert done.returncode == 1
    assert "it was revoked: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
    assert [row["state"] for row in listed(files)] == ["revoked"]


def test_the_commands_load_no_tables_for_people_and_no_protocol(files: Office) -> None:
    """Ours: what needs only a database starts quickly."""
    code = (
        "import sys, finexio_mcp.tokens_cli; print(sorted({'mcp', 'rich', 'sqlalchemy', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_to_use_it(name: str) -> None:
    """Ours: with an example."""
    result = run({}, name, "--help")

    assert result.exit_code == 0
    assert f"finexio-mcp tokens {name}" in " ".join(result.stdout.split())


# Accounts --------------------------------------------------------------------------

ACCOUNTS = """
[accounts.acme]
username = "acme-api"
password_env = "ACME_PASSWORD"

[accounts.other]
username = "other-api"
password_env = "OTHER_PASSWORD"
"""


@pytest.fixture
def company(files: Office, tmp_path: Path) -> Office:
    """With a file of accounts."""
    path = tmp_path / "accounts.toml"
    path.write_text(ACCOUNTS)
    return {**files, "FINEXIO_MCP_ACCOUNTS_FILE": str(path)}


def warnings(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("warning")]


def test_a_token_is_for_the_account_that_was_named(company: Office) -> None:
    """Ours: on the command line, else by the setting, else the default one."""
    named = run(company, "create", "--name", "a", "--access", "read", "--account", "acme")
    by_setting = {**company, "FINEXIO_MCP_ACCOUNT": "other"}
    set_ = run(by_setting, "create", "--name", "b", "--access", "read")
    invited = run(by_setting, "invite", "--name", "c", "--access", "read", "--account", "acme")
    grants = [found(company, result.stdout.strip()) for result in (named, set_)]

    assert [grant and grant.account for grant in grants] == ["acme", "other"]
    assert {row["name"]: row["account"] for row in listed(company)} == {"a": "acme", "b": "other", "c": "acme"}
    assert "access read; account acme" in named.stderr
    assert "access read; account acme" in invited.stderr
    assert [warnings(result) for result in (named, set_)] == [[], []]


def test_an_account_that_is_not_there_is_said(company: Office, files: Office, tmp_path: Path) -> None:
    """Ours: the token is made, since the account may come later; until then its calls are refused."""
    missing = run(company, "create", "--name", "a", "--access", "read", "--account", "acmee")
    unnamed = run(company, "create", "--name", "b", "--access", "read")
    no_file = run(files, "create", "--name", "c", "--access", "read", "--account", "acme")
    fine = run(files, "create", "--name", "d", "--access", "read")
    (tmp_path / "accounts.toml").write_text("nonsense")
    broken = list(beyond(Terms(access="read", account="acme"), load(**company)))

    assert all(TOKEN.fullmatch(result.stdout) for result in (missing, unnamed, no_file, fine))
    assert "has no account 'acmee'" in warnings(missing)[0]
    assert "has no account 'default'" in warnings(unnamed)[0]
    assert "FINEXIO_MCP_ACCOUNTS_FILE is not set" in warnings(no_file)[0]
    assert "cannot be told" in broken[0]
    assert warnings(fine) == []


@pytest.mark.parametrize("name", ["Acme", "a b", "", "-", "a" * 41, "a#b", "../x"])
@pytest.mark.parametrize("words", [["create", "--name", "n", "--access", "read"], ["list"], ["revoke", "--all"]])
def test_a_name_that_no_account_can_have_is_refused(files: Office, tmp_path: Path, name: str, words: list[str]) -> None:
    """Ours."""
    result = run(files, *words, "--account", name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--account" in result.stderr
    assert not (tmp_path / "ledger").exists()


def test_the_list_can_be_of_one_account(company: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the new column comes last, where scripts that count do not notice."""
    for name, account in (("a", "acme"), ("b", "other"), ("c", "default")):
        run(company, "create", "--name", name, "--access", "read", "--account", account)

    rows = [line.split("\t") for line in run(company, "list").stdout.splitlines()]
    assert [(row[1], row[-1], len(row)) for row in rows] == [
        ("a", "acme", 11),
        ("b", "other", 11),
        ("c", "default", 11),
    ]
    of_acme = json.loads(run(company, "list", "--account", "acme", "--json").stdout)
    assert [row["name"] for row in of_acme] == ["a"]
    nobody = run(company, "list", "--account", "nobody")
    assert (nobody.exit_code, nobody.stdout) == (0, "")
    assert "for the account 'nobody'" in nobody.stderr

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", is_terminal)
    monkeypatch.setenv("COLUMNS", "160")
    table = run(company, "list").stdout
    assert "account acme" in table
    assert "account default" not in table


# All at once -----------------------------------------------------------------------


def three(office: Office) -> list[str]:
    """Tokens of two accounts, and an invitation that waits."""
    tokens = [
        run(office, "create", "--name", name, "--access", "read", "--account", account).stdout.strip()
        for name, account in (("a", "acme"), ("b", "other"))
    ]
    run(office, "invite", "--name", "c", "--access", "read", "--account", "acme")
    return tokens


def test_all_can_be_revoked_at_once(office: Office) -> None:
    """Ours: for a machine that was broken into; that nothing is left is no failure."""
    tokens = three(office)
    result = run(office, "revoke", "--all", "--yes")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "Revoked 3 tokens, invitations and sign-ins" in result.stderr
    assert [found(office, token) for token in tokens] == [None, None]
    assert {row["state"] for row in listed(office)} == {"revoked"}
    again = run(office, "revoke", "--all", "--yes")
    assert (again.exit_code, "Revoked 0" in again.stderr) == (0, True)


def test_all_of_one_account_can_be_revoked_at_once(office: Office) -> None:
    """Ours: the others are not touched."""
    acme, other = three(office)
    result = run(office, "revoke", "--all", "--account", "acme", "--yes")

    assert "Revoked 2 tokens, invitations and sign-ins for the account 'acme'" in result.stderr
    assert found(office, acme) is None
    assert found(office, other) is not None


def test_all_are_revoked_only_when_somebody_says_so(files: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a terminal is asked; a script has to say it."""
    (token, _) = three(files)
    unasked = run(files, "revoke", "--all")
    assert (unasked.exit_code, "--yes" in unasked.stderr) == (2, True)

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", is_terminal)
    refused = CliRunner().invoke(cli, ["tokens", "revoke", "--all"], env=dict(files), input="n\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "3 tokens, invitations and sign-ins last" in refused.stderr
    assert found(files, token) is not None

    agreed = CliRunner().invoke(cli, ["tokens", "revoke", "--all"], env=dict(files), input="y\n")
    assert (agreed.exit_code, "Revoked 3" in agreed.stderr) == (0, True)
    assert found(files, token) is None


@pytest.mark.parametrize(
    "words", [[], ["n", "--all"], ["n", "--account", "acme"], ["n", "--yes"], ["--account", "acme"], ["--yes"]]
)
def test_what_is_to_be_revoked_is_said_in_one_way(files: Office, words: list[str]) -> None:
    """Ours: nobody ends more, or less, than was meant."""
    token = run(files, "create", "--name", "n", "--access", "read").stdout.strip()

    assert run(files, "revoke", *words).exit_code == 2
    assert found(files, token) is not None


def test_where_nothing_was_granted_revoking_all_makes_nothing(files: Office, tmp_path: Path) -> None:
    """Ours."""
    assert run(files, "revoke", "--all", "--yes").exit_code == 0
    assert not (tmp_path / "ledger").exists()
