"""`finexio-mcp audit`: what operators and auditors type, and what is printed where."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from finexio_mcp.audit_cli import COMMANDS
from finexio_mcp.cli import cli
from finexio_mcp.settings import load
from tests.audit.conftest import DAY_MS, START_MS, World, call, payment
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql

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
    result = CliRunner().invoke(cli, ["audit", *arguments], env=dict(office))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def filled(office: Office) -> World:
    world = World(load(**office))
    anyio.run(
        world.record,
        call(arguments={"status": "settled"}, request_id="req_1"),
        payment(
            account="acme",
            name="month end",
            request_id="req_2",
            at_ms=START_MS + DAY_MS,
            ids=("i-1",),
            outcome="in_doubt",
        ),
        call(request_id="req_3", at_ms=START_MS + 2 * DAY_MS, client="a\tb\x1b[31m", name="x"),
    )
    return world


def test_the_list_shows_the_newest_first(office: Office) -> None:
    """Ours: a line for each, for scripts."""
    filled(office)
    result = run(office, "list")

    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[1] == [
        *("2027-01-16T08:00:00Z", "acme", "month end", "token month end", "claude/1.0", "finexio_invoices_bulk_create"),
        *("in_doubt", "12", "op_0123456789abcdef", "req_2", "call", "{}"),
    ]
    assert [row[9] for row in rows] == ["req_3", "req_2", "req_1"]
    assert rows[0][4] == "a b[31m"
    assert rows[2][11] == '{"status":"settled"}'


def test_programs_get_everything(office: Office) -> None:
    """Ours: with arguments and ids as what they are."""
    filled(office)
    [row] = json.loads(run(office, "list", "--json", "--account", "acme").stdout)

    assert len(row.pop("hash")) == 64
    assert row == {
        "at": "2027-01-16T08:00:00Z",
        "account": "acme",
        "entry": 1,
        "kind": "call",
        "request_id": "req_2",
        "caller": "month end",
        "caller_key": "token month end",
        "origin": "token",
        "client": "claude/1.0",
        "tool": "finexio_invoices_bulk_create",
        "access": "pay",
        "arguments": {},
        "outcome": "in_doubt",
        "failed": True,
        "op_id": "op_0123456789abcdef",
        "ids": ["i-1"],
        "upstream": 1,
        "duration_ms": 12,
    }


def is_terminal(_stream: object) -> bool:
    return True


def test_people_get_a_table(files: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: and nothing that moves their cursor."""
    filled(files)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", is_terminal)
    monkeypatch.setenv("COLUMNS", "160")
    table = run(files, "list").stdout

    assert all(word in table for word in ("month end", "in_doubt", "op_0123456789abcdef", "acme", "settled", "12 ms"))
    assert "\x1b[31m" not in table


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--account", "default"], ["req_3", "req_1"]),
        (["--caller", "month end"], ["req_2"]),
        (["--caller", "token month end"], ["req_2"]),
        (["--tool", "list_all_finexio_payments"], ["req_3", "req_1"]),
        (["--outcome", "in_doubt"], ["req_2"]),
        (["--since", "2027-01-16"], ["req_3", "req_2"]),
        (["--until", "2027-01-16"], ["req_2", "req_1"]),
        (["--since", "2027-01-16T08:00:00Z", "--until", "2027-01-16T08:00:01+00:00"], ["req_2"]),
        (["--since", "2027-01-16T09:00:00+01:00", "--until", "2027-01-16"], ["req_2"]),
        (["--limit", "1"], ["req_3"]),
        (["--outcome", "nothing"], []),
    ],
)
def test_what_is_asked_for_is_shown(files: Office, options: list[str], found: list[str]) -> None:
    """Ours: dates count by UTC, and the last day is included."""
    filled(files)
    result = run(files, "list", *options)

    assert [line.split("\t")[9] for line in result.stdout.splitlines()] == found
    assert ("There are more" in result.stderr) == (options[0] == "--limit")
    assert ("No call that was recorded fits" in result.stderr) == (not found)


def test_a_caller_may_be_named_by_what_the_list_of_tokens_shows(files: Office) -> None:
    """Ours: names are given again, ids are not, and a leaked token is looked for by its id."""
    made = call(request_id="req_1", name="month end")
    by_hand = replace(made, caller=replace(made.caller, key="token:4hvfrpuppuwa"))
    signed_in = replace(by_hand, request_id="req_2", caller=replace(made.caller, key="oauth:4hvfrpuppuwb"))
    anyio.run(World(load(**files)).record, by_hand, signed_in)

    for caller, found in (
        ("4hvfrpuppuwa", ["req_1"]),
        ("token:4hvfrpuppuwa", ["req_1"]),
        ("4hvfrpuppuwb", ["req_2"]),
        ("oauth:4hvfrpuppuwb", ["req_2"]),
        ("month end", ["req_1", "req_2"]),
        ("uppuwa", []),
    ):
        lines = run(files, "list", "--caller", caller).stdout.splitlines()
        assert sorted(line.split("\t")[9] for line in lines) == found


@pytest.mark.parametrize("command", [["list"], ["export", "out"]])
def test_a_tool_that_there_never_was_is_refused(
    files: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Ours: nothing found under a name that was mistyped would be taken for no such call. Former tools are known."""
    monkeypatch.chdir(tmp_path)
    anyio.run(World(load(**files)).record, call("a_former_tool", request_id="req_1"))
    result = run(files, *command, "--tool", "list_all_finexio_payment")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean list_all_finexio_payments?" in result.stderr
    assert not (tmp_path / "out").exists()
    assert run(files, "list", "--tool", "list_all_finexio_buyers").exit_code == 0
    assert "req_1" in run(files, "list", "--tool", "a_former_tool").stdout


def test_an_account_that_was_never_called_for_is_said_to_be_so(office: Office, tmp_path: Path) -> None:
    """Ours: it is no sign that somebody changed anything."""
    filled(office)
    said = "No call for the account 'acmee' was ever recorded. Accounts with calls: acme, default."

    listed = run(office, "list", "--account", "acmee")
    assert (listed.exit_code, listed.stdout, listed.stderr.strip()) == (0, "", said)
    exported = run(office, "export", str(tmp_path / "out"), "--account", "acmee")
    assert (exported.exit_code, exported.stderr.strip()) == (1, f"Nothing was exported: {said}")
    assert not (tmp_path / "out").exists()
    verified = run(office, "verify", "--account", "acmee")
    assert (verified.exit_code, verified.stdout.strip(), verified.stderr) == (1, said, "")


def test_verify_shows_where_each_chain_begins_and_what_was_removed(office: Office) -> None:
    """Ours: to be compared with what somebody noted, since an entry that tells of a removal may be made up."""
    world = filled(office)
    with contextlib.closing(world.store()) as store:
        assert store.retain(7, at_ms=START_MS + 8 * DAY_MS) is not None
    lines = run(office, "verify", "--account", "default").stdout.splitlines()

    assert lines[2:] == [
        "  entry 2 is the first, of 2027-01-17T08:00:00Z",
        "  entry 3 of 2027-01-23T08:00:00Z: 1 older than 7 days removed, 1 to 1, "
        "of 2027-01-15T08:00:00Z to 2027-01-15T08:00:00Z",
    ]
    [chain] = json.loads(run(office, "verify", "--json", "--account", "default").stdout)["chains"]
    assert chain["first_at"] == "2027-01-17T08:00:00Z"
    [removal] = chain["removals"]
    assert removal.pop("hash") == world.heads()["default"].hash
    assert removal == {
        "entry": 3,
        "at": "2027-01-23T08:00:00Z",
        "days": 7,
        "removed": 1,
        "first": 1,
        "last": 1,
        "from": "2027-01-15T08:00:00Z",
        "to": "2027-01-15T08:00:00Z",
    }


def test_times_may_be_said_as_how_long_ago(files: Office) -> None:
    """Ours: 7d and 24h, as people think of them."""
    world = World(load(**files))
    now_ms = time.time_ns() // 1_000_000
    anyio.run(
        world.record, call(request_id="req_old", at_ms=now_ms - 3 * DAY_MS), call(request_id="req_new", at_ms=now_ms)
    )

    for since, count in (("90m", 1), ("24h", 1), ("2d", 1), ("4d", 2), ("1w", 2)):
        assert len(run(files, "list", "--since", since).stdout.splitlines()) == count


@pytest.mark.parametrize("wrong", [["--since", "soon"], ["--until", "2026-13-01"], ["--limit", "0"], ["--since", "३d"]])
def test_what_makes_no_sense_is_said(files: Office, wrong: list[str]) -> None:
    """Ours."""
    result = run(files, "list", *wrong)

    assert (result.exit_code, result.stdout) == (2, "")


def test_where_there_is_nothing_nothing_is_made(files: Office, tmp_path: Path) -> None:
    """Ours: looking leaves no trace."""
    result = run(files, "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing was recorded yet" in result.stderr
    assert json.loads(run(files, "list", "--json").stdout) == []

    assert run(files, "verify").exit_code == 1
    assert run(files, "export", str(tmp_path / "out")).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_an_export_says_where_it_is_and_can_be_verified(office: Office, tmp_path: Path) -> None:
    """Ours: the same command checks it, without the database."""
    filled(office)
    out = str(tmp_path / "out")
    result = run(office, "export", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"3 entries in {out}" in result.stderr

    again = run(office, "export", out)
    assert again.exit_code == 1
    assert "nothing is written over" in again.stderr
    checked = run({}, "verify", "--export", out)
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert checked.stdout.count("head ") == 2


def test_an_export_that_cannot_be_written_is_said(files: Office, tmp_path: Path) -> None:
    """Ours: and it is not called a trouble of the database."""
    filled(files)
    result = run(files, "export", str(tmp_path / "no" / "such" / "place"))

    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


def test_an_export_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Ours."""
    result = run({}, "verify", "--export", str(tmp_path / "none"))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be checked: No such file or directory" in result.stderr


def test_an_export_with_filters_is_not_called_whole(files: Office, tmp_path: Path) -> None:
    """Ours."""
    filled(files)
    run(files, "export", str(tmp_path / "out"), "--tool", "list_all_finexio_payments")
    result = run(files, "verify", "--export", str(tmp_path / "out"))

    assert result.exit_code == 2
    assert "made with filters" in result.stderr


def test_verify_prints_heads_and_ends_well(office: Office) -> None:
    """Ours: what somebody notes elsewhere to compare with."""
    world = filled(office)
    result = run(office, "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    heads = {name: head.hash for name, head in world.heads().items()}
    assert all(f"head {head}" in result.stdout for head in heads.values())

    told = json.loads(run(office, "verify", "--json", "--account", "acme").stdout)
    assert told["ok"]
    assert [(each["account"], each["entries"], each["head"]) for each in told["chains"]] == [("acme", 1, heads["acme"])]
    assert heads["default"] not in json.dumps(told)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE audit_entries SET outcome = 'x' WHERE account = 'default' AND seq = 1", "entry 1: it or the one"),
        ("DELETE FROM audit_entries WHERE account = 'default' AND seq = 1", "entry 1: missing"),
        ("UPDATE audit_entries SET seq = 3 - seq WHERE account = 'default' AND seq = 9", ""),
    ],
)
def test_verify_names_what_is_wrong_and_ends_with_1(office: Office, statement: str, told: str) -> None:
    """Ours: a cron job notices."""
    world = filled(office)
    if not told:
        world.tamper(
            "UPDATE audit_entries SET seq = 9 WHERE account = 'default' AND seq = 1",
            "UPDATE audit_entries SET seq = 1 WHERE account = 'default' AND seq = 2",
            "UPDATE audit_entries SET seq = 2 WHERE account = 'default' AND seq = 9",
        )
        told = "entry 1: it or the one before was changed or moved"
    else:
        world.tamper(statement)
    result = run(office, "verify")

    assert result.exit_code == 1
    assert told in result.stdout
    assert "changed by something else" in result.stderr
    report = json.loads(run(office, "verify", "--json").stdout)
    assert report["ok"] is False
    assert [each["account"] for each in report["chains"] if each["problems"]] == ["default"]


def test_verify_misses_guards(files: Office) -> None:
    """Ours: the chain may be whole still, and anybody could change it."""
    filled(files).execute("DROP TRIGGER audit_entries_fixed")
    result = run(files, "verify")

    assert result.exit_code == 1
    assert "guard audit_entries_fixed: missing" in result.stdout


@pytest.mark.parametrize("command", [["list"], ["verify"], ["export", "out"]])
def test_a_database_that_cannot_be_used_is_said_with_what_to_do(
    files: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Ours: as the ledger's own commands do."""
    monkeypatch.chdir(tmp_path)
    filled(files)
    (tmp_path / "ledger" / "ledger.db").write_bytes(b"not a database at all" * 1000)
    result = run(files, *command)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "restore the newest" in result.stderr
    assert str(tmp_path / "ledger" / "ledger.db") in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_simulator_can_be_named_behind_each_command() -> None:
    """Ours: as for tokens."""
    filled({"FINEXIO_ENVIRONMENT": "simulator"})

    assert len(run({}, "list", "--simulator").stdout.splitlines()) == 3
    assert run({}, "verify", "--simulator").exit_code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_help(name: str) -> None:
    """Ours: with an example, and without settings."""
    result = run({"FINEXIO_MCP_LEDGER_URL": "mysql://x"}, name, "--help")

    assert result.exit_code == 0
    assert "Example: finexio-mcp audit" in result.stdout
