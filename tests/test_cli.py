"""The commands: what they print, what they exit with, and what they say when they cannot."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import runpy
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, Never

import click
import pytest
from click.testing import CliRunner, Result

import finexio_mcp
from finexio_mcp import __version__, generated
from finexio_mcp.cli import cli
from finexio_mcp.simulator import Fault, Received, Simulator
from finexio_mcp.tools import TOOLS
from finexio_mcp.tools.schema import entry
from finexio_mcp.tools.spec import Effect
from tests.calls import CREATE_SUPPLIER, EVERY_TOOL, PAY, READS, WRITES, changes, office

SECRET = "QXZ918273645"
LIST = "list_all_finexio_counterparties"
ON_A_SIMULATOR = {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1"}
"""Wherever these tests keep their files, the ledger may be."""


@pytest.fixture(autouse=True)
def _handlers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    yield
    logging.getLogger("finexio_mcp").setLevel(logging.NOTSET)


def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    """Run a command in this process; whatever it raises is a failure of the test."""
    result = CliRunner().invoke(cli, arguments, input=stdin, env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def finexio() -> Generator[dict[str, str]]:
    """Settings that reach a simulator which all tests here share; to start one takes longer than a call."""
    with Simulator(seed=1).listening() as base_url:
        yield {"FINEXIO_BASE_URL": base_url, **ON_A_SIMULATOR}


def call(*arguments: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and envelope of a call."""
    result = run("call", *arguments, **more)
    return result.exit_code, json.loads(result.stdout)


# Help ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *cli.commands])
def test_every_command_says_what_it_does_and_shows_an_example_that_works(name: str) -> None:
    """Ours: the help is the documentation, so its example has to parse."""
    command = cli.commands[name] if name else cli
    words = " ".join((command.help or "").split())

    result = run(*name.split(), "--help")

    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    lead = next(lead for lead in ("Example: ", "Offline: ", "Try it offline: ") if lead in words)
    program, shown, *rest = shlex.split(words.partition(lead)[2])
    assert program == "finexio-mcp"
    assert shown == (name or "demo")
    assert cli.commands[shown].make_context(shown, rest)


def test_help_of_every_option_is_there() -> None:
    """Ours: but for what its name says already."""
    obvious = {"user", "password"}
    options = [
        option for command in cli.commands.values() for option in command.params if isinstance(option, click.Option)
    ]

    assert [option.name for option in options if not option.help and option.name not in obvious] == []


def test_the_version_is_the_packages() -> None:
    """Ours: a bug report begins with it."""
    assert run("--version").stdout.split()[-1] == __version__


# Settings --------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), ("call", LIST), ("tools",), ("doctor",)], ids=lambda words: " ".join(words))
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("FINEXIO_MCP_RATE", "fast", "must be a number"),
        ("FINEXIO_BASE_URL", f"https://ap:{SECRET}@api.finexio.com/v2", "must not hold a user or password"),
        ("FINEXIO_MCP_TOOLS", "no_such_tool", "is no tool"),
    ],
)
def test_settings_that_cannot_be_used_end_a_command_with_2(
    command: tuple[str, ...], name: str, value: str, told: str
) -> None:
    """Ours: the setting is named, what is wrong is said on stderr, and stdout stays empty."""
    result = run(*command, **{name: value})

    assert result.exit_code == 2
    assert result.stdout == ""
    assert name in result.stderr
    assert told in result.stderr
    assert SECRET not in result.stderr


def test_what_looks_like_a_mistake_is_a_warning(finexio: dict[str, str]) -> None:
    """Ours: a misspelt limit would not hold, and still the call is answered."""
    result = run("call", LIST, '{"limit": 1}', **finexio, FINEXIO_MCP_MAX_BATCH_CENT="5")

    assert result.exit_code == 0
    assert "warning: FINEXIO_MCP_MAX_BATCH_CENT " in result.stderr


# call ------------------------------------------------------------------------


def test_a_call_prints_the_envelope_and_exits_with_0(finexio: dict[str, str]) -> None:
    """Ours: one call, with the data alone on stdout."""
    code, envelope = call(LIST, '{"limit": 2, "type": "Supplier"}', **finexio)

    assert code == 0
    assert envelope["result_count"] == len(envelope["result"]) == 2
    assert envelope["next_cursor"]


def test_a_call_that_fails_prints_the_error_and_exits_with_1(finexio: dict[str, str]) -> None:
    """Ours: scripts see it in the exit code."""
    code, envelope = call("get_single_finexio_invoice_by_id", '{"id": "no-such-id"}', **finexio)

    assert code == 1
    assert envelope["error"]["code"] == "not_found"


def test_a_call_without_json_has_no_arguments(finexio: dict[str, str]) -> None:
    """Ours: `{}` may be left out."""
    code, envelope = call("get_single_finexio_invoice_by_id", **finexio)

    assert code == 1
    assert [problem["field"] for problem in envelope["error"]["fields"]] == ["id"]


def test_arguments_come_from_a_file_or_from_stdin(finexio: dict[str, str], tmp_path: Path) -> None:
    """Ours: so that no secret need stand in the process list."""
    file = tmp_path / "arguments.json"
    file.write_text('{"limit": 3}', encoding="utf-8")

    for text, stdin in ((f"@{file}", None), ("-", '{"limit": 3}')):
        code, envelope = call(LIST, text, stdin=stdin, **finexio)
        assert (code, envelope["result_count"]) == (0, 3)


def test_a_write_says_what_became_of_it(finexio: dict[str, str]) -> None:
    """Ours: a script knows from the status, an operator finds it in the log by its id."""
    supplier = {"name": "Quayside Paper", "type": "Supplier", "internal_id": "quay-77"}

    code, envelope = call("create_a_finexio_counterparty", json.dumps(supplier), **finexio)

    assert (code, envelope["status"]) == (0, "confirmed")
    assert envelope["op_id"].startswith("op_")
    assert envelope["result"]["name"] == "Quayside Paper"


def test_a_write_called_again_is_answered_from_the_ledger(finexio: dict[str, str]) -> None:
    """Ours: each call is a process of its own, and the ledger outlives it."""
    supplier = json.dumps({"name": "Quayside Twine", "type": "Supplier", "internal_id": "quay-78"})

    first, second = (call("create_a_finexio_counterparty", supplier, **finexio) for _ in range(2))

    assert (first[0], first[1]["status"]) == (0, "confirmed")
    assert (second[0], second[1]["status"], second[1]["op_id"]) == (0, "already_submitted", first[1]["op_id"])


def test_the_simulator_answers_offline_whatever_the_environment_says() -> None:
    """Ours: one option is enough to be sure that no real Finexio is asked."""
    real = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_BASE_URL": "https://api.finexio.com/v2"}

    code, envelope = call(LIST, '{"limit": 1}', "--simulator", **real)

    assert (code, envelope["result_count"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list_all_finexio_invoice",), "did you mean list_all_finexio_invoices?"),
        (("xyz",), "there is no such tool"),
        ((LIST, "{limit: 1}"), "this is no JSON that can be read at character 1"),
        ((LIST, f'{{"name": "{SECRET}"'), "this is no JSON"),
        ((LIST, "[1]"), "a JSON object"),
        ((LIST, "null"), "a JSON object"),
        ((LIST, "@no/such/file"), "cannot be read"),
        ((LIST, "@"), "cannot be read"),
        ((LIST, "{}", "{}"), "unexpected extra argument"),
        ((LIST, "--no-such-option"), "No such option"),
        ((), "Missing argument 'TOOL'"),
    ],
)
def test_a_call_that_makes_no_sense_exits_with_2(arguments: tuple[str, ...], told: str) -> None:
    """Ours: nothing was tried, and what is wrong is said without the arguments' text."""
    result = run("call", "--simulator", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""
    assert SECRET not in result.stderr


def test_a_file_that_is_no_text_is_no_json(tmp_path: Path) -> None:
    """Ours: it may be the wrong file altogether."""
    file = tmp_path / "picture"
    file.write_bytes(b"\xff\xfe\x00")

    result = run("call", LIST, f"@{file}", "--simulator")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "this is no JSON" in result.stderr


def test_a_call_respects_what_the_operator_allows() -> None:
    """Ours: the command is no way around the settings."""
    code, envelope = call("create_a_finexio_webhook", "{}", "--simulator", FINEXIO_MCP_ACCESS="read")

    assert (code, envelope["error"]["code"]) == (1, "access_denied")


def test_without_credentials_a_call_says_what_to_set() -> None:
    """Ours: nothing else works in the sandbox, and a simulator is one option away."""
    result = run("call", LIST)

    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "not_configured"
    assert "FINEXIO_USERNAME" in error["message"]


@pytest.mark.parametrize(("tool", "code"), [("create_a_finexio_counterparty", 0), (LIST, 1)])
def test_an_answer_that_cannot_be_printed_leaves_what_a_write_did(
    tool: str, code: int, finexio: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the disk may be full; a write that is done is no failure, which a script would answer by calling again."""

    def full(_value: Any) -> Never:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("finexio_mcp.printing.print_json", full)
    supplier = '{"name": "Quayside Ink", "type": "Supplier", "internal_id": "quay-79"}'

    result = run("call", tool, "{}" if tool == LIST else supplier, **finexio)

    assert (result.exit_code, result.stdout) == (code, "")
    assert "The answer could not be printed" in result.stderr
    assert ("This write is confirmed (op_" in result.stderr) is (code == 0)


@pytest.mark.parametrize("style", ["text", "json"])
def test_logs_of_a_call_stand_on_stderr_without_its_arguments(style: str, finexio: dict[str, str]) -> None:
    """Ours: even at debug, and even when the call is refused."""
    outcomes: list[str] = []
    for arguments in ({"name": SECRET}, {"name": [SECRET]}):
        result = run(
            *("call", LIST, json.dumps(arguments)),
            **finexio,
            FINEXIO_MCP_LOG_LEVEL="debug",
            FINEXIO_MCP_LOG_FORMAT=style,
        )
        assert SECRET not in result.stderr
        outcomes += [line for line in result.stderr.splitlines() if LIST in line]

    taken, refused = outcomes
    assert " ok " in taken
    assert "invalid_arguments" in refused


# tools and schemas -----------------------------------------------------------


def test_the_table_shows_every_tool_and_what_is_off() -> None:
    """Ours: for people, as the settings stand."""
    result = run("tools", FINEXIO_MCP_ACCESS="read", COLUMNS="200")

    assert result.exit_code == 0
    assert all(tool.name in result.stdout for tool in TOOLS)
    off = [tool for tool in TOOLS if tool.effect is not Effect.READ or tool.toolset != "core"]
    assert result.stdout.count("(off)") == len(off)


@pytest.mark.parametrize("style", ["mcp", "openai", "anthropic"])
def test_schemas_for_agent_frameworks_have_their_shapes(style: str) -> None:
    """Documented: by each of the three."""
    result = run("tools", "--format", style, **EVERY_TOOL)

    shown = json.loads(result.stdout)
    assert shown == [expected(style, entry(tool)) for tool in TOOLS]


@pytest.mark.parametrize("style", ["mcp", "openai", "anthropic"])
@pytest.mark.parametrize("toolsets", ["core", "suppliers", "core,buyers", "buyers,suppliers"])
def test_schemas_hold_the_toolsets_that_are_on(toolsets: str, style: str) -> None:
    """Ours: in the registry's order, each to the letter as it always is."""
    result = run("tools", "--format", style, FINEXIO_MCP_TOOLSETS=toolsets)

    on = [tool for tool in TOOLS if tool.toolset in toolsets.split(",")]
    assert json.loads(result.stdout) == [expected(style, entry(tool)) for tool in on]


def test_the_table_shows_a_toolset_as_on_once_it_is_asked_for() -> None:
    """Ours: people see what there is to ask for, and what they have."""
    off, on = run("tools"), run("tools", **EVERY_TOOL)

    assert off.stdout.count("(off)") == sum(tool.toolset != "core" for tool in TOOLS)
    assert on.stdout.count("(off)") == 0
    assert len(off.stdout.splitlines()) == len(on.stdout.splitlines())


@pytest.mark.parametrize("tool", ["create_a_finexio_supplier", "list_all_finexio_buyers"])
def test_a_call_of_a_tool_that_is_off_names_its_toolset(tool: str, finexio: dict[str, str]) -> None:
    """Ours: whoever calls by hand is told what to set, and nothing is sent."""
    code, envelope = call(tool, json.dumps({**READS, **WRITES}[tool]), **finexio)
    toolset = "suppliers" if "supplier" in tool else "buyers"

    assert (code, envelope["error"]["code"]) == (1, "access_denied")
    assert f"add {toolset} to FINEXIO_MCP_TOOLSETS" in envelope["error"]["message"]


def test_a_supplier_is_created_and_shown_by_hand(finexio: dict[str, str]) -> None:
    """Ours: a toolset that is on can be called as the 26 are."""
    code, created = call(CREATE_SUPPLIER, json.dumps(WRITES[CREATE_SUPPLIER]), **finexio, **EVERY_TOOL)
    shown = call(
        "get_single_finexio_supplier_by_id", json.dumps({"id": created["result"]["id"]}), **finexio, **EVERY_TOOL
    )

    assert (code, created["status"]) == (0, "confirmed")
    assert shown[1]["result"]["delivery_method"] == "Portal"


def expected(style: str, listed: dict[str, Any]) -> dict[str, Any]:
    """A tool as a framework wants it."""
    name, description, schema = listed["name"], listed["description"], listed["inputSchema"]
    return {
        "mcp": listed,
        "openai": {
            "type": "function",
            "function": {"name": name, "description": description, "parameters": schema},
        },
        "anthropic": {"name": name, "description": description, "input_schema": schema},
    }[style]


def test_schemas_check_says_that_all_is_fresh() -> None:
    """Ours: what CI runs."""
    assert (run("schemas", "--check").exit_code, run("schemas").exit_code) == (0, 0)


def test_schemas_check_names_what_is_stale_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: checking is the default."""
    monkeypatch.setattr(generated, "SCHEMAS", tmp_path)

    result = run("schemas")

    assert result.exit_code == 1
    assert f"stale: {LIST}.json" in result.stdout
    assert "make schemas" in result.stderr
    assert list(tmp_path.iterdir()) == []


# As a process ----------------------------------------------------------------


def test_the_module_is_the_command() -> None:
    """Ours: `python -m finexio_mcp` works where no script was installed, and usage errors end it with 2."""
    done = subprocess.run(
        [sys.executable, "-m", "finexio_mcp", "call", "no_such_tool", "--simulator"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no such tool" in done.stderr


def test_letters_go_in_and_out_as_utf_8_whatever_the_locale_is(finexio: dict[str, str], tmp_path: Path) -> None:
    """Ours: JSON is UTF-8, and an answer that cannot be printed would hide what was done."""
    file = tmp_path / "arguments.json"
    file.write_text('\ufeff{"name": "Łódź Papier ☃", "type": "Supplier", "internal_id": "lodz-1"}', encoding="utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}

    done = subprocess.run(
        [sys.executable, "-m", "finexio_mcp", "call", "create_a_finexio_counterparty", f"@{file}"],
        env={**os.environ, **finexio, **locale},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("utf-8"))["result"]["name"] == "Łódź Papier ☃"


def test_every_click_8_can_load_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: what is declared has to work; a type there takes an argument only in the latest ones."""

    def refuse(_argument: Any) -> Never:
        raise TypeError("type 'ParamType' is not subscriptable")

    monkeypatch.setattr(click.ParamType, "__class_getitem__", refuse, raising=False)
    module = runpy.run_path(str(Path(finexio_mcp.__file__).with_name("cli.py")))

    assert module["cli"].commands.keys() == cli.commands.keys()


def test_simulator_before_a_command_counts_for_the_command() -> None:
    """Ours: whoever asks for the simulator must not reach Finexio."""
    result = run("--simulator", "call", LIST, '{"limit": 1}', FINEXIO_BASE_URL="http://127.0.0.1:9/v2")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["result_count"] == 1


def test_json_without_end_is_refused() -> None:
    """Ours: no traceback for a file that a machine wrote."""
    result = run("call", LIST, "[" * 100_000)

    assert result.exit_code == 2
    assert "this is no JSON that can be read" in result.stderr


# Signals ---------------------------------------------------------------------


def command_for(tool: str) -> list[str]:
    return [sys.executable, "-m", "finexio_mcp", "call", tool, json.dumps({**READS, **WRITES}[tool])]


@contextlib.contextmanager
def calling(tool: str, fault: Fault) -> Generator[tuple[subprocess.Popen[str], Simulator, dict[str, str]]]:
    """A call as a process with its environment, once its request has reached a Finexio that answers late or never."""
    sim, arrived = office(), threading.Event()

    def note(_request: Received) -> bool:
        arrived.set()
        return True

    sim.fault(fault, match=note)
    with sim.listening() as base_url:
        environment = {
            **os.environ,
            **ON_A_SIMULATOR,
            "FINEXIO_BASE_URL": base_url,
            "FINEXIO_MCP_LOG_LEVEL": "error",
        }
        process = subprocess.Popen(
            command_for(tool), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert arrived.wait(20)
            yield process, sim, environment
        finally:
            process.kill()
            process.communicate(timeout=10)


with_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@with_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_a_payment_end_and_its_answer_be_printed(number: signal.Signals) -> None:
    """Ours: cut in half, nobody would know whether it was paid."""
    with calling(PAY, Fault(delay_seconds=0.5)) as (process, sim, _):
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)

    assert process.returncode == 0
    assert json.loads(stdout)["status"] == "confirmed"
    assert "its answer is waited for" in stderr
    assert len(changes(sim)) == 1


@with_signals
def test_a_second_signal_cuts_a_payment_short_and_says_that_its_outcome_is_unknown() -> None:
    """Ours: who insists is obeyed, and told to look before paying again; the same call then sends nothing."""
    with calling(PAY, Fault(lost_answer=True)) as (process, sim, environment):
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
        again = subprocess.run(
            command_for(PAY), env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    assert "its answer is waited for" in first
    assert (process.returncode, stdout) == (130, "")
    assert "outcome of this write is unknown" in stderr
    assert "Repeat the same call" in stderr
    assert (again.returncode, json.loads(again.stdout)["status"]) == (0, "in_progress")
    assert len(changes(sim)) == 1


@with_signals
def test_a_signal_ends_a_read_at_once() -> None:
    """Ours: nothing is lost by it."""
    with calling("list_all_finexio_invoices", Fault(lost_answer=True)) as (process, *_):
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=5)

    assert (process.returncode, stdout) == (143, "")
    assert "Traceback" not in stderr


def test_one_tool_is_shown_with_its_arguments() -> None:
    """Ours: whoever makes a call by hand has to see what it takes."""
    (shown,) = json.loads(run("tools", LIST).stdout)

    assert shown["name"] == LIST
    assert "next_cursor" in shown["inputSchema"]["properties"]


def test_a_piped_list_holds_every_name_whole() -> None:
    """Ours: names are for copying, so no column cuts them."""
    lines = run("tools").stdout.splitlines()

    assert [line.split("\t")[0] for line in lines] == [tool.name for tool in TOOLS]


def test_schemas_for_frameworks_hold_what_these_settings_offer() -> None:
    """Ours: an agent is not handed a tool that every call of it would refuse."""
    result = run("tools", "--format", "openai", FINEXIO_MCP_ACCESS="read")

    names = [shown["function"]["name"] for shown in json.loads(result.stdout)]
    assert names == [tool.name for tool in TOOLS if tool.effect is Effect.READ and tool.toolset == "core"]


def test_a_simulator_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Ours: no traceback for a file that holds something else."""
    other = tmp_path / "other.sqlite"
    other.write_text("something else, long enough to be no database at all" * 20)

    result = run("simulator", "--port", "0", "--state", str(other))

    assert result.exit_code == 1
    assert "holds no books of a simulator" in result.stderr
