"""The commands of the ledger: what they show, what a person's word does, and that looking changes nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Never, get_args

import click
import pytest
from click.testing import CliRunner, Result

from finexio_mcp.cli import cli
from finexio_mcp.guards.ledger.place import Place
from finexio_mcp.guards.ledger.rows import Look, Outcome, Reason
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.ledger_cli import COMMANDS
from finexio_mcp.ledger_cli.shown import WHY
from tests.guards.ledger.conftest import change, invoice, new_schema
from tests.guards.ledger.conftest import postgresql as postgresql
from tests.ledgers import LONG_AGO_MS, PAY, STORIES, Act, Office, look, outcome, resolve_by, run, send

SECRET = "QXZ918273645"


@pytest.fixture(autouse=True)
def _on_any_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where temporary files are is no matter here."""
    monkeypatch.setenv("FINEXIO_MCP_ALLOW_VOLATILE_LEDGER", "1")


@pytest.fixture
def office() -> Iterator[Office]:
    """A ledger in the user's state directory."""
    office = Office({"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1"})
    yield office
    office.store.close()


def files_of(place: Place) -> dict[str, tuple[bytes, int]]:
    assert place.file is not None
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(place.file.parent.iterdir())}


# Help ------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example_that_parses(name: str) -> None:
    """Ours: the help is the documentation."""
    words = " ".join((COMMANDS[name].help or "").split())

    result = run(name, "--help")

    assert result.exit_code == 0
    lead = next(lead for lead in ("Offline: ", "Example: ") if lead in words)
    program, group, shown, *rest = shlex.split(words.partition(lead)[2])
    assert (program, group, shown) == ("finexio-mcp", "ledger", name)
    assert COMMANDS[name].make_context(name, rest)


def test_the_group_names_its_commands() -> None:
    """Ours: whoever looks for one finds it."""
    result = run("--help")

    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in ("list", "show", "resolve", "verify"))


def test_verify_says_what_a_chain_cannot_show() -> None:
    """Ours: nobody is to believe more than what was checked."""
    words = " ".join(run("verify", "--help").stdout.split())

    assert "cannot show that its newest end was cut off" in words
    assert "keep the number of events and the head outside this machine" in words


def test_settings_that_cannot_be_used_end_with_2_and_names_that_are_none_are_warned_of(office: Office) -> None:
    """Ours: with a misspelt name another ledger would be looked at."""
    wrong = run("list", FINEXIO_MCP_LEDGER_URL=f"mysql://{SECRET}")
    misspelt = run("list", FINEXIO_MCP_LEDGER_ULR="sqlite:////nowhere/ledger.db")

    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "FINEXIO_MCP_LEDGER_URL" in wrong.stderr
    assert SECRET not in wrong.stderr
    assert "warning: FINEXIO_MCP_LEDGER_ULR" in misspelt.stderr


def test_help_of_every_option_is_there() -> None:
    """Ours: nobody has to guess."""
    options = [option for command in COMMANDS.values() for option in command.params if isinstance(option, click.Option)]

    assert [option.name for option in options if not option.help] == []


# Nothing there ---------------------------------------------------------------

COMMAND_LINES = {
    "list": ["list"],
    "show": ["show", "op_1"],
    "resolve": ["resolve", "op_1", "--as", "absent", "--note", "x", "--yes"],
    "verify": ["verify"],
}


@pytest.mark.parametrize("arguments", COMMAND_LINES.values(), ids=COMMAND_LINES)
def test_before_the_first_write_there_is_nothing_and_looking_makes_nothing(
    arguments: list[str], tmp_path: Path
) -> None:
    """Ours: a ledger begins with a write; a list of nothing is no failure, anything else is."""
    result = run(*arguments)

    assert result.exit_code == (0 if arguments == ["list"] else 1)
    assert result.stdout == ""
    assert "Nothing was submitted yet: there is no ledger at" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_list_is_json_too() -> None:
    """Ours: a script need not tell the first day from the others."""
    assert json.loads(run("list", "--json").stdout) == []


@pytest.mark.parametrize("arguments", COMMAND_LINES.values(), ids=COMMAND_LINES)
def test_the_embedded_simulators_ledger_is_said_to_be_in_memory(arguments: list[str], tmp_path: Path) -> None:
    """Ours: it ends with its server, so there is none to look at."""
    result = run(*arguments, FINEXIO_ENVIRONMENT="simulator")

    assert result.exit_code == (0 if arguments == ["list"] else 1)
    assert "lives in the server's memory" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_simulator_before_the_command_counts() -> None:
    """Ours: as everywhere."""
    result = CliRunner().invoke(cli, ["--simulator", "ledger", "list"])

    assert "lives in the server's memory" in result.stderr


# list ------------------------------------------------------------------------


def test_every_reason_is_explained() -> None:
    """Ours: a new reason needs a sentence."""
    assert set(WHY) == set(get_args(Reason))
    assert {reason for _, reason, _ in STORIES.values()} == {None, *get_args(Reason)}
    assert {state for state, _, _ in STORIES.values()} == set(State)


@pytest.mark.parametrize("story", STORIES)
def test_every_state_is_listed_and_shown_with_its_reason(story: str, office: Office) -> None:
    """Ours: whatever became of a submission, its row says so."""
    state, reason, act = STORIES[story]
    office.submit("op_1", invoice("INV-1", amount_cents=1_250_00), act=act)

    (line,) = office.run("list").stdout.splitlines()
    (row,) = office.json("list")
    shown = office.json("show", "op_1")
    told = office.run("show", "op_1").stdout

    columns = line.split("\t")
    assert columns[:3] == ["op_1", state.value, reason or ""]
    assert columns[4:8] == ["INV-1", "125000", "USD", "s-1"]
    assert (row["state"], row["reason"]) == (state.value, reason)
    assert shown["rows"] == [row]
    assert f"INV-1: {state}. " in told
    assert "1,250.00 USD" in told
    assert (WHY[reason] if reason is not None else "Recorded before") in told
    last = shown["history"][-1]
    assert (last["after"], last["reason"]) == (state.value, reason)
    assert columns[3] == (row["needs"] or "")


def test_the_fields_of_a_listed_invoice(office: Office) -> None:
    """Ours: plain names, the same ones as in Finexio's records and in the tools; times in UTC; absent is null."""
    office.submit(
        "op_1", invoice("INV-1", discount_cents=50), act=outcome(State.CONFIRMED, "accepted", finexio_id="f-1")
    )

    assert office.json("list") == [
        {
            "op_id": "op_1",
            "row": 0,
            "tool": PAY,
            "state": "confirmed",
            "reason": "accepted",
            "needs": None,
            "left_behind": False,
            "invoice_number": "INV-1",
            "amount_cents": 1000,
            "discount_amount_cents": 50,
            "currency": "USD",
            "invoice_date": "2026-11-01",
            "originating_counterparty_id": "b-1",
            "receiving_counterparty_id": "s-1",
            "records": None,
            "id": "f-1",
            "http_status": None,
            "generation": 1,
            "submitted": "2096-10-02T07:06:41Z",
            "sent": "2096-10-02T07:06:42Z",
            "settled": "2096-10-02T07:06:43Z",
            "looks": 0,
            "next_look": None,
            "by_operator": False,
            "account": "default",
            "caller": None,
        }
    ]


def test_a_change_of_master_data_is_listed_by_its_records_and_no_digest_is_shown(office: Office) -> None:
    """Ours: what was sent can be recognised, and not be read."""
    office.submit("op_1", change("x", "counterparty:c-1"), act=outcome(State.IN_DOUBT, "no_answer"))

    texts = [office.run(*words).stdout for words in (["list"], ["list", "--json"], ["show", "op_1"])]

    assert all("counterparty:c-1" in text for text in texts)
    assert not any("digest" in text for text in texts)


def test_the_newest_comes_first_and_pages_are_put_together(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: everything by default, at most so many on demand."""
    monkeypatch.setattr("finexio_mcp.ledger_cli.looking.PAGE", 2)
    for number in range(5):
        office.submit(f"op_{number}", invoice(f"N-{number}"), act=outcome(State.CONFIRMED, "accepted"))

    numbers = {limit: [row["op_id"] for row in office.json("list", *limit)] for limit in ((), ("--limit", "3"))}

    assert numbers == {
        (): ["op_4", "op_3", "op_2", "op_1", "op_0"],
        ("--limit", "3"): ["op_4", "op_3", "op_2"],
    }


def test_filters_choose(office: Office) -> None:
    """Ours: by state, by number however it is written, and by supplier."""
    accepted = outcome(State.CONFIRMED, "accepted")
    office.submit("op_1", invoice("INV 1", supplier="s-1"), act=accepted)
    office.submit("op_2", invoice("INV 2", supplier="s-2"), act=outcome(State.REJECTED, "refused"))
    office.submit("op_3", invoice("INV 3", supplier="s-2"), act=outcome(State.IN_DOUBT, "no_answer"))

    def listed(*arguments: str) -> list[str]:
        return [row["op_id"] for row in office.json("list", *arguments)]

    assert listed("--state", "rejected", "--state", "in_doubt") == ["op_3", "op_2"]
    assert listed("--invoice", " inv  1") == ["op_1"]
    assert listed("--supplier", "S-2", "--state", "in_doubt") == ["op_3"]
    assert office.run("list", "--invoice", "4711").exit_code == 0
    assert "Nothing that was submitted fits." in office.run("list", "--invoice", "4711").stderr


def test_a_ledger_without_submissions_says_that_nothing_was_submitted(office: Office) -> None:
    """Ours: whoever asked for everything asked for nothing that could fail to fit."""
    assert office.run("list").stderr == "Nothing was submitted yet.\n"
    assert office.run("list", "--account", "acme").stderr == "Nothing that was submitted fits.\n"


@pytest.mark.parametrize(
    "arguments", [["--state", "paid"], ["--limit", "0"], ["--limit", "x"], ["extra"]], ids=lambda words: " ".join(words)
)
def test_a_list_that_makes_no_sense_exits_with_2(arguments: list[str]) -> None:
    """Ours: usage errors are 2."""
    assert run("list", *arguments).exit_code == 2


def test_what_needs_someone_is_said_first(office: Office) -> None:
    """Ours: in a line, whatever is asked for, and never among the data."""
    office.submit("op_1", invoice("N-1"), act=look(None))
    office.submit("op_2", invoice("N-2", amount_cents=2), act=outcome(State.IN_DOUBT, "no_answer"))
    office.submit("op_3", invoice("N-3", amount_cents=3), act=look(State.CONFLICT, "found_other"))

    result = office.run("list", "--state", "confirmed")

    assert result.stdout == ""
    assert result.stderr.startswith("2 in doubt, 1 conflict: 2 for a person to settle.")
    assert "finexio-mcp ledger resolve OP" in result.stderr
    assert "left behind" not in result.stderr
    needs = {line.split("\t")[0]: line.split("\t")[3] for line in office.run("list").stdout.splitlines()}
    assert needs == {"op_1": "person", "op_2": "server", "op_3": "person"}


def test_what_a_server_still_looks_up_needs_no_person(office: Office) -> None:
    """Ours: nobody is sent to the portal while Finexio is being asked."""
    office.submit("op_1", invoice("N-1"), act=outcome(State.IN_DOUBT, "no_answer"))

    assert office.run("list").stderr.startswith("1 in doubt: a server that runs looks them up.")


def test_nothing_is_said_where_nothing_needs_anyone(office: Office) -> None:
    """Ours: silence is the good news."""
    office.submit("op_1", invoice("N-1"), act=outcome(State.CONFIRMED, "accepted"))

    assert office.run("list").stderr == ""


@pytest.mark.parametrize("act", [STORIES["intended"][2], send], ids=["intended", "sent"])
def test_what_a_process_left_behind_is_pointed_out_and_left_alone(act: Act) -> None:
    """Ours: looking takes nothing over; the next start or write does."""
    office = Office({}, ms=LONG_AGO_MS)
    with closing(office.store):
        before = office.submit("op_1", invoice("N-1"), act=act)

        listed = office.run("list")
        (row,) = office.json("list")
        told = office.run("show", "op_1").stdout

        assert "1 left behind by a process that ended; a server sees to it" in listed.stderr
        assert (row["left_behind"], row["needs"]) == (True, "server")
        assert "next: Left behind by a process that ended" in told
        assert office.store.get("op_1") == before


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["show", "op_1"], ["verify"]], ids=" ".join)
def test_looking_changes_no_byte(arguments: list[str], office: Office) -> None:
    """Ours: neither the ledger nor what lies beside it."""
    office.submit("op_1", invoice("N-1"), act=send)
    before = files_of(office.place)

    assert office.run(*arguments).exit_code == 0

    assert files_of(office.place) == before


def test_text_of_others_does_nothing_to_a_terminal(office: Office) -> None:
    """Ours: references are others' words; in lines they hold no control characters, in JSON they are escaped."""
    office.submit("op_1", change("x", "contact:s-1:a\x1b[2J\u202eb\tc\nd"), act=send)

    for words in (["list"], ["show", "op_1"]):
        told = office.run(*words).stdout
        assert not set(told) & {"\x1b", "\u202e"}
        assert "contact:s-1:a[2Jb c d" in told
    assert office.json("list")[0]["records"] == ["contact:s-1:a\x1b[2J\u202eb\tc\nd"]
    assert "\x1b" not in office.run("list", "--json").stdout


# As a process ----------------------------------------------------------------


with_terminals = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")


def on_a_terminal(office: Office, *arguments: str, typed: bytes = b"", columns: int = 80) -> tuple[int, str]:
    """Exit code and all that a person sees, on a terminal of that width."""
    mine, theirs = os.openpty()
    environment = {**os.environ, **office.environment, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "finexio_mcp", "ledger", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(mine, typed)
    seen = bytearray()
    try:
        while part := os.read(mine, 65_536):
            seen += part
    except OSError:
        # How Linux says that the other end is closed.
        pass
    finally:
        os.close(mine)
    return process.wait(20), re.sub(r"\x1b\[\d*m", "", seen.decode()).replace("\r\n", "\n")


@with_terminals
def test_on_a_terminal_the_list_is_a_table_with_whole_ids(office: Office) -> None:
    """Ours: for people, at the usual width; what is to be copied stays whole."""
    op_id = "op_0123456789abcdef"
    office.submit(op_id, invoice("INV-2026-00017", amount_cents=1_234_567_89), act=look(None))

    code, seen = on_a_terminal(office, "list")

    assert code == 0
    assert seen.startswith("1 in doubt: 1 for a person to settle.")
    assert all(text in seen for text in (op_id, "INV-2026-00017", "1,234,567.89 USD", "in_doubt", "Call"))
    assert max(len(line) for line in seen.splitlines()[1:] if "│" in line) <= 80


def test_letters_come_out_as_utf_8_whatever_the_locale_is(office: Office) -> None:
    """Ours: what cannot be printed would hide what happened."""
    office.submit("op_1", change("x", "contact:Łódź ☃"), act=send)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}

    for words in (["list"], ["list", "--json"], ["show", "op_1"]):
        done = subprocess.run(
            [sys.executable, "-m", "finexio_mcp", "ledger", *words],
            env={**os.environ, **office.environment, **locale},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "contact:Łódź ☃" in done.stdout.decode("utf-8")


@with_terminals
def test_a_closed_stdout_ends_it_before_anything_is_done(office: Office) -> None:
    """Ours: a word that nobody sees recorded is not recorded."""
    office.submit("op_1", invoice("N-1"), act=look(None))
    command = [sys.executable, "-m", "finexio_mcp", "ledger", *COMMAND_LINES["resolve"]]

    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.join(command)} >&-"],
        env={**os.environ, **office.environment},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "Nothing was done" in done.stderr
    assert office.store.get("op_1")[0].state is State.IN_DOUBT


# show ------------------------------------------------------------------------


def test_a_call_is_shown_with_its_rows_and_its_history(office: Office) -> None:
    """Ours: when, from what to what, why, by whom, and a person's words."""
    office.submit("op_1", invoice("N-1"), invoice("N-2", amount_cents=20_00), act=look(None))
    office.store.resolve("op_1", number="N-2", state=State.ABSENT, note="not in the portal\tat noon")

    told = office.run("show", "op_1").stdout
    history = office.json("show", "op_1")["history"]

    assert "op_1: finexio_invoices_bulk_create, recorded 2096-10-02T07:06:41Z" in told
    assert "N-1: in_doubt. It left, and no answer told what came of it." in told
    assert "next: Only a person can settle it" in told
    assert "N-2:  sent → in_doubt, by process me." in told
    assert "N-2:  in_doubt → absent, by a person. A person said so.\n    note: not in the portal at noon" in told
    assert [(event["name"], event["before"], event["after"]) for event in history] == [
        ("N-1", None, "intended"),
        ("N-2", None, "intended"),
        ("N-1", "intended", "sent"),
        ("N-2", "intended", "sent"),
        ("N-1", "sent", "in_doubt"),
        ("N-2", "sent", "in_doubt"),
        ("N-2", "in_doubt", "absent"),
    ]
    assert [event["event"] for event in history] == list(range(1, 8))
    assert (history[-1]["by"], history[-1]["note"]) == ("operator", "not in the portal\tat noon")
    assert history[-1]["hash"] == office.store.head()
    assert office.run("list", "--state", "absent").stdout.startswith("op_1\tabsent\toperator\t\tN-2")


def test_when_finexio_is_asked_again_is_told(office: Office) -> None:
    """Ours: waiting may be all that it takes."""
    office.submit("op_1", invoice("N-1"), act=outcome(State.IN_DOUBT, "no_answer"))

    assert "next: A server that runs asks Finexio again at 2096-10-02T07:07:13Z" in office.run("show", "op_1").stdout


def test_a_submission_after_an_earlier_one_says_so(office: Office) -> None:
    """Ours: who looks for it in the portal may find the earlier one."""
    office.submit("op_1", invoice("N-1"), act=resolve_by(State.ABSENT))
    office.submit("op_2", invoice("N-1"), act=send)

    assert "submitted before: 1 time\n" in office.run("show", "op_2").stdout


@pytest.mark.parametrize("command", ["show", "resolve"])
def test_a_call_that_is_not_there_exits_with_1(command: str, office: Office) -> None:
    """Ours: and the ledger that was asked is named, since it may be the wrong one."""
    office.submit("op_2", invoice("N-1"), act=send)

    result = office.run(*COMMAND_LINES[command])

    assert (result.exit_code, result.stdout) == (1, "")
    assert "knows no call of that op_id" in result.stderr
    assert str(office.place.file) in result.stderr


# resolve ---------------------------------------------------------------------


def resolving(office: Office, word: str, *more: str, note: str = "seen in the portal") -> Result:
    return office.run("resolve", "op_1", "--as", word, "--note", note, *more)


@pytest.mark.parametrize("word", ["confirmed", "absent"])
@pytest.mark.parametrize("act", [look(None), look(State.CONFLICT, "found_other")], ids=["in doubt", "conflict"])
def test_a_persons_word_settles_what_is_in_doubt_or_in_conflict(word: str, act: Act, office: Office) -> None:
    """Ours: it is recorded with its note, and what follows from it is said."""
    office.submit("op_1", invoice("N-1"), act=act)

    result = resolving(office, word, "--yes")

    assert result.exit_code == 0
    assert result.stdout == f"N-1: {word}, recorded in op_1\n"
    assert "paid twice" in result.stderr if word == "absent" else "never be sent again" in result.stderr
    (row,) = office.store.get("op_1")
    assert (row.state, row.reason, row.by_operator) == (State(word), "operator", True)
    assert office.store.history("op_1")[-1].note == "seen in the portal"


def test_the_places_to_look_first_are_named_with_a_day_to_search_from(office: Office) -> None:
    """Ours: Finexio's times have no zone, so the day before counts too."""
    office.submit("op_1", invoice("N-1", amount_cents=77_00), act=look(None))

    told = resolving(office, "absent", "--yes").stderr

    assert "N-1  77.00 USD" in told
    assert "supplier s-1, buyer b-1" in told
    assert "in Finexio's portal" in told
    assert "created since 2096-10-01" in told


def test_the_word_on_a_change_speaks_of_a_change(office: Office) -> None:
    """Ours: nobody is paid twice by an address."""
    office.submit("op_1", change("x", "counterparty:c-1"), act=look(None))

    result = resolving(office, "absent", "--yes")

    assert result.stdout == "counterparty:c-1: absent, recorded in op_1\n"
    assert "paid" not in result.stderr
    assert "done twice" in result.stderr


def test_without_a_number_all_that_is_unsettled_is_resolved_and_named(office: Office) -> None:
    """Ours: what is settled already stays."""
    office.submit("op_1", *(invoice(f"N-{number}", amount_cents=number * 100) for number in (1, 2, 3)))
    send(office.store, "op_1")
    doubt = Outcome(state=State.IN_DOUBT, reason="no_answer")
    office.store.settle("op_1", {0: doubt, 1: Outcome(state=State.CONFIRMED, reason="accepted"), 2: doubt})

    result = resolving(office, "confirmed", "--yes", "--json")

    assert [(row["invoice_number"], row["state"]) for row in json.loads(result.stdout)] == [
        ("N-1", "confirmed"),
        ("N-3", "confirmed"),
    ]
    assert "N-1  1.00 USD" in result.stderr
    assert "N-3  3.00 USD" in result.stderr
    assert "N-2" not in result.stderr
    assert [row.by_operator for row in office.store.get("op_1")] == [True, False, True]


def test_with_a_number_only_that_invoice_is_resolved(office: Office) -> None:
    """Ours: however it is written."""
    office.submit("op_1", invoice("INV 1"), invoice("INV 2", amount_cents=5), act=look(None))

    result = resolving(office, "absent", "--invoice", "inv  2", "--yes")

    assert result.stdout == "INV 2: absent, recorded in op_1\n"
    assert [row.state for row in office.store.get("op_1")] == [State.IN_DOUBT, State.ABSENT]


def test_what_is_still_being_sent_beside_it_is_not_touched(office: Office) -> None:
    """Ours: nobody said anything about it."""
    office.submit("op_1", invoice("N-1"), invoice("N-2", amount_cents=5))
    send(office.store, "op_1")
    office.store.settle("op_1", {0: Outcome(state=State.IN_DOUBT, reason="no_answer")})

    assert resolving(office, "absent", "--yes").stdout == "N-1: absent, recorded in op_1\n"

    assert [row.state for row in office.store.get("op_1")] == [State.ABSENT, State.SENT]


SETTLED = {name: story for name, story in STORIES.items() if story[0] not in (State.IN_DOUBT, State.CONFLICT)}


@pytest.mark.parametrize("story", SETTLED)
def test_any_other_state_is_refused_with_the_reason(story: str, office: Office) -> None:
    """Ours: what is known is not overruled, and what is on its way not cut off."""
    state, _, act = SETTLED[story]
    before = office.submit("op_1", invoice("N-1"), act=act)

    result = resolving(office, "absent", "--yes")

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"N-1: {state}." in result.stderr
    assert "only what is in doubt or in conflict can be resolved" in result.stderr
    assert office.store.get("op_1") == before


def test_what_a_process_left_behind_as_sent_can_be_resolved() -> None:
    """Ours: no server sees to it where its account is gone; what its process never sent needs nobody's word."""
    office = Office({}, ms=LONG_AGO_MS)
    with closing(office.store):
        office.submit("op_1", invoice("N-1"), act=send)
        office.submit("op_2", invoice("N-2", amount_cents=5), act=send)
        office.submit("op_3", invoice("N-3", amount_cents=6))

        refused = office.run("resolve", "op_1", "--as", "absent", "--note", "x", stdin="y\n")
        stood = office.store.get("op_1")[0].state
        told = resolving(office, "absent", "--yes")
        unsent = office.run("resolve", "op_3", "--as", "absent", "--note", "x", "--yes")

        assert (refused.exit_code, stood) == (2, State.SENT)
        assert "sent, sent" in told.stderr
        assert told.stdout == "N-1: absent, recorded in op_1\n"
        assert [event.reason for event in office.store.history("op_1")][-2:] == ["taken_over", "operator"]
        assert [row.state for row in office.store.get("op_2")] == [State.SENT]
        assert unsent.exit_code == 1
        assert office.json("verify")["problems"] == []


def test_a_number_that_the_call_does_not_have_is_refused(office: Office) -> None:
    """Ours: a slip must not settle another invoice."""
    office.submit("op_1", invoice("N-1"), act=look(None))

    result = resolving(office, "absent", "--invoice", "N-11", "--yes")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "submitted no invoice with this number" in result.stderr
    assert office.store.get("op_1")[0].state is State.IN_DOUBT


@pytest.mark.parametrize("note", ["", "  ", "\x1b\u200b\n", "x" * 501], ids=["empty", "blanks", "controls", "long"])
def test_a_note_that_says_nothing_or_too_much_exits_with_2(note: str, office: Office) -> None:
    """Ours: who reads it in a year has to know why."""
    office.submit("op_1", invoice("N-1"), act=look(None))

    result = resolving(office, "confirmed", "--yes", note=note)

    assert result.exit_code == 2
    assert "--note" in result.stderr
    assert office.store.get("op_1")[0].state is State.IN_DOUBT


@pytest.mark.parametrize(
    ("note", "kept"),
    [("x" * 500, "x" * 500), ("a\x1b[31m\u202e b\nc ", "a[31m b c"), ("\u200b" * 3000 + "y" * 400, "y" * 400)],
    ids=["longest", "controls", "flood"],
)
def test_a_note_is_kept_whole_but_for_what_hides_things(note: str, kept: str, office: Office) -> None:
    """Ours: control, bidi and zero-width characters do not enter the ledger."""
    office.submit("op_1", invoice("N-1"), act=look(None))

    assert resolving(office, "confirmed", "--yes", note=note).exit_code == 0

    assert office.store.history("op_1")[-1].note == kept


@pytest.mark.parametrize("arguments", [["--as", "absent"], ["--note", "x"], ["--as", "rejected", "--note", "x"]])
def test_a_word_needs_a_note_and_is_one_of_two(arguments: list[str]) -> None:
    """Ours: usage errors are 2."""
    assert run("resolve", "op_1", *arguments).exit_code == 2


def test_without_a_terminal_and_without_yes_nothing_is_recorded(office: Office) -> None:
    """Ours: a script says that it means it; a `y` in a pipe is not a person."""
    office.submit("op_1", invoice("N-1"), act=look(None))

    result = office.run("resolve", "op_1", "--as", "absent", "--note", "x", stdin="y\n")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--yes" in result.stderr
    assert office.store.get("op_1")[0].state is State.IN_DOUBT


@with_terminals
@pytest.mark.parametrize(
    ("typed", "code", "state"),
    [(b"y\n", 0, State.ABSENT), (b"n\n", 1, State.IN_DOUBT), (b"\n", 1, State.IN_DOUBT), (b"\x04", 1, State.IN_DOUBT)],
    ids=["yes", "no", "enter", "end of input"],
)
def test_on_a_terminal_a_person_is_asked(typed: bytes, code: int, state: State, office: Office) -> None:
    """Ours: with everything in view, and no as the answer of whoever just presses a key."""
    office.submit("op_1", invoice("N-1"), act=look(None))

    ended, seen = on_a_terminal(office, "resolve", "op_1", "--as", "absent", "--note", "not there", typed=typed)

    assert ended == code
    assert seen.index("N-1  10.00 USD") < seen.index("paid twice") < seen.index("Record this? [y/N]")
    assert ("Nothing was recorded." in seen) is (code == 1)
    assert office.store.get("op_1")[0].state is state


def test_what_changed_while_a_person_was_asked_is_not_overruled(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: they agreed to what they saw."""
    office.submit("op_1", invoice("N-1"), invoice("N-2", amount_cents=5), act=look(None))
    ids = {row.position: row.id for row in office.store.get("op_1")}

    def somebody_else_looks() -> None:
        office.store.begin_look(lease_ms=60_000, ids=ids.values(), due_only=False)
        found = Outcome(state=State.CONFIRMED, reason="found", finexio_id="f-1")
        office.store.end_look({ids[0]: Look(outcome=found, next_look_at_ms=None, absent_since_ms=None)})

    monkeypatch.setattr("finexio_mcp.ledger_cli.resolving._ask", somebody_else_looks)

    result = resolving(office, "absent")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "what is known changed meanwhile" in result.stderr
    assert [row.state for row in office.store.get("op_1")] == [State.CONFIRMED, State.IN_DOUBT]


def test_a_word_that_cannot_be_printed_was_recorded_all_the_same(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the disk may be full; what is done is no failure."""
    office.submit("op_1", invoice("N-1"), act=look(None))

    def full(_value: Any) -> Never:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("finexio_mcp.ledger_cli.resolving.print_json", full)

    result = resolving(office, "absent", "--yes", "--json")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "It was recorded; that could not be printed" in result.stderr
    assert office.store.get("op_1")[0].state is State.ABSENT


# verify ----------------------------------------------------------------------


def test_a_whole_ledger_is_told_by_its_events_and_its_head(office: Office) -> None:
    """Ours: what is to be kept elsewhere and compared."""
    office.submit("op_1", invoice("N-1"), act=send)

    report = office.json("verify")

    assert report == {
        "ok": True,
        "events": 2,
        "head": office.store.head(),
        "problems": [],
        "ledger": str(office.place.file),
    }
    assert office.run("verify").stdout.splitlines() == ["events 2", f"head {report['head']}"]


def test_an_edited_ledger_exits_with_1_and_says_what_is_wrong(office: Office) -> None:
    """Ours: by hand, past the guards of the database."""
    office.submit("op_1", invoice("N-1"), act=outcome(State.CONFIRMED, "accepted"))
    assert office.place.file is not None
    with closing(sqlite3.connect(office.place.file)) as connection, connection:
        ((definition,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'submissions_fixed'")
        connection.execute("DROP TRIGGER submissions_fixed")
        connection.execute("UPDATE submissions SET amount_cents = 1")
        connection.execute(definition)

    result, report = office.run("verify"), office.run("verify", "--json")

    assert (result.exit_code, report.exit_code) == (1, 1)
    assert "submission 1: it is not what was recorded at first" in result.stdout
    assert "Keep it as it is" in result.stderr
    told = json.loads(report.stdout)
    assert (told["ok"], len(told["problems"])) == (False, 1)


# Trouble ---------------------------------------------------------------------


def remove_key(file: Path) -> None:
    file.with_suffix(".key").unlink()


def take_guards(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER events_stay")


TROUBLES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "no key": (remove_key, "its key `ledger.key` is not"),
    "no ledger": (Path.unlink, "The ledger was removed"),
    "no database": (lambda file: file.write_bytes(b"something else" * 100), "damaged"),
    "cut": (lambda file: os.truncate(file, 5000), "damaged"),
    "unguarded": (take_guards, "damaged"),
    "empty": (lambda file: os.truncate(file, 0), "damaged"),
}


@pytest.mark.parametrize("arguments", COMMAND_LINES.values(), ids=COMMAND_LINES)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_ledger_that_cannot_be_used_exits_with_1_and_says_what_to_do(
    trouble: str, arguments: list[str], office: Office
) -> None:
    """Ours: it is named, and nothing of it is mended or made anew."""
    office.submit("op_1", invoice("N-1"), act=look(None))
    office.store.close()
    spoil, told = TROUBLES[trouble]
    assert office.place.file is not None
    spoil(office.place.file)
    before = files_of(office.place)

    result = office.run(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr
    assert str(office.place.file.parent) in result.stderr
    assert files_of(office.place) == before


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """Ours: a slip in the settings."""
    file = tmp_path / "books.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE books (id INTEGER)")
    file.with_suffix(".key").write_bytes(b"x" * 32)

    result = run("list", FINEXIO_MCP_LEDGER_URL=f"sqlite:///{file}")

    assert result.exit_code == 1
    assert "another program's database" in result.stderr


def test_a_mistake_of_ours_is_not_called_trouble_of_the_ledger(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: nobody is sent to restore a backup for it."""
    office.submit("op_1", invoice("N-1"), act=send)

    def fail(_store: Store) -> Never:
        raise ZeroDivisionError

    monkeypatch.setattr(Store, "verify", fail)

    result = CliRunner().invoke(cli, ["ledger", "verify"], env=office.environment)

    assert isinstance(result.exception, ZeroDivisionError)


# PostgreSQL ------------------------------------------------------------------


def shared(address: str) -> dict[str, str]:
    """Settings of a PostgreSQL ledger in a schema of its own."""
    url = new_schema(address).replace("postgresql+psycopg://", "postgresql://")
    return {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": SECRET * 3}


def test_a_postgresql_ledger_is_looked_at_and_resolved_like_a_file(postgresql: str) -> None:
    """Ours: nothing is made by looking, and it is one ledger for all hosts."""
    environment = shared(postgresql)

    empty = [run(*words, **environment) for words in COMMAND_LINES.values()]
    assert [result.exit_code for result in empty] == [0, 1, 1, 1]
    assert all("Nothing was submitted yet: there is no ledger at PostgreSQL on" in result.stderr for result in empty)

    office = Office(environment)
    with closing(office.store):
        office.submit("op_1", invoice("N-1"), act=look(None))
        assert office.run("list").stdout.startswith("op_1\tin_doubt\tno_answer\tperson\tN-1\t1000\tUSD\ts-1\t")
        assert resolving(office, "absent", "--yes").stdout == "N-1: absent, recorded in op_1\n"
        assert "by a person" in office.run("show", "op_1").stdout
        assert office.json("verify")["events"] == 4
    texts = "".join(result.stdout + result.stderr for result in empty)
    assert SECRET not in texts


@pytest.mark.parametrize("arguments", COMMAND_LINES.values(), ids=COMMAND_LINES)
def test_a_postgresql_that_cannot_be_reached_is_told_without_its_password(arguments: list[str]) -> None:
    """Ours: neither the driver's text nor the address is printed as it is."""
    url = f"postgresql://books:{SECRET}@127.0.0.1:1/ledger?sslmode=disable"

    result = run(*arguments, FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY=SECRET * 3)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot be reached" in result.stderr
    assert "PostgreSQL on 127.0.0.1:1, database ledger" in result.stderr
    assert SECRET not in result.stderr
    assert "books" not in result.stderr


# What it costs ---------------------------------------------------------------

LOADED = """
import sys
from click.testing import CliRunner
from finexio_mcp.cli import cli
assert CliRunner().invoke(cli, ["ledger", "list"]).exit_code == 0
print(sorted({"mcp", "httpx2", "rich", "sqlalchemy"} & set(sys.modules)))
"""


@pytest.mark.parametrize("environment", ["sandbox", "simulator"])
def test_a_list_of_nothing_loads_no_database(environment: str) -> None:
    """Ours: each command pays for what it needs."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={**os.environ, "FINEXIO_ENVIRONMENT": environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "[]"


# Several accounts ------------------------------------------------------------------


def test_all_accounts_are_listed_with_whose_each_is_or_one_alone(office: Office) -> None:
    """Ours: an operator sees everything; the columns that were there before stay where they were."""
    office.submit("op_1", invoice("INV-1"), act=look(None))
    office.submit("op_2", invoice("INV-2", amount_cents=2000), act=look(None), account="acme", caller="token-7")

    lines = [line.split("\t") for line in office.run("list").stdout.splitlines()]
    alone = office.run("list", "--account", "acme")

    assert [(line[0], line[10:]) for line in lines] == [("op_2", ["acme", "token-7"]), ("op_1", ["default", ""])]
    assert [(row["account"], row["caller"]) for row in office.json("list")] == [("acme", "token-7"), ("default", None)]
    assert [line.split("\t")[0] for line in alone.stdout.splitlines()] == ["op_2"]
    assert alone.stderr.startswith("1 in doubt: ")
    assert office.run("list").stderr.startswith("2 in doubt: ")
    assert office.json("list", "--account", "nobody") == []


def test_a_call_says_whose_it_is_where_there_may_be_several(office: Office) -> None:
    """Ours: for the only account there is, and for whoever started the server, nothing is added."""
    office.submit("op_1", invoice("INV-1"), caller="operator")
    office.submit("op_2", invoice("INV-2", amount_cents=2000), account="acme", caller="token-7")

    first, second = (office.run("show", op_id).stdout.splitlines()[0] for op_id in ("op_1", "op_2"))
    shown = office.json("show", "op_2")

    assert "account" not in first
    assert "operator" not in first
    assert second.endswith(", account acme, by token-7")
    assert (shown["account"], shown["caller"]) == ("acme", "token-7")


def test_a_persons_word_is_taken_for_any_account(office: Office) -> None:
    """Ours: what is to be recorded says whose it is."""
    office.submit("op_2", invoice("INV-2"), act=look(None), account="acme")

    told = office.run("resolve", "op_2", "--as", "confirmed", "--note", "in the portal", "--yes")

    assert told.exit_code == 0
    assert "account acme" in told.stderr
    assert [row["state"] for row in office.json("list", "--account", "acme")] == ["confirmed"]
    assert office.run("verify").exit_code == 0
