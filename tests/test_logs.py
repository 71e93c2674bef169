"""Logs: what happened, on stderr, never the values it happened to."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from finexio_mcp import logs
from finexio_mcp.callers import OPERATOR, Caller
from finexio_mcp.calls import Ended, Running, running
from finexio_mcp.logs import CallLog, JsonFormatter, TextFormatter
from finexio_mcp.settings import load

SECRET = "QXZ918273645"


@pytest.fixture(autouse=True)
def _handlers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    yield
    logging.getLogger(logs.OURS).setLevel(logging.NOTSET)


def record(
    name: str = "finexio_mcp.calls",
    message: Any = "list took 12 ms",
    *args: Any,
    exc_info: Any = None,
    **more: Any,
) -> logging.LogRecord:
    """A record of the first second of 1970, 408 ms in."""
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, args, exc_info)
    made.created = 0.408
    vars(made).update(more)
    return made


def error_with(text: str) -> Any:
    """What `exc_info` holds about an exception with that text."""
    try:
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


def test_a_line_for_people() -> None:
    """Ours: time, severity, place, message."""
    clock, rest = TextFormatter().format(record("finexio_mcp.calls", "%s took %d ms", "list", 12)).split(" ", 1)

    assert len(clock) == 8
    assert rest == "warning finexio_mcp.calls: list took 12 ms"


def test_a_line_for_machines() -> None:
    """Ours: one JSON object with the same, in UTC, and what a call is counted by."""
    line = JsonFormatter().format(
        record(tool="list_all_finexio_invoices", outcome="ok", op_id=None, duration_ms=12, path=SECRET)
    )

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.408Z",
        "level": "warning",
        "logger": "finexio_mcp.calls",
        "message": "list took 12 ms",
        "tool": "list_all_finexio_invoices",
        "outcome": "ok",
        "duration_ms": 12,
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("name", ["mcp.server", "httpx2", "finexio_mcpx", "uvicorn.error", "root"])
def test_of_a_librarys_record_only_the_template_is_kept(formatter: logging.Formatter, name: str) -> None:
    """Ours: libraries put requests, URLs and whole messages into the arguments of their records."""
    line = formatter.format(record(name, "HTTP request: %s %s", "POST", f"https://b.example/{SECRET}"))

    assert "HTTP request: %s %s" in line
    assert SECRET not in line


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("name", ["finexio_mcp.calls", "httpx2"])
def test_an_exception_is_logged_without_its_text(formatter: logging.Formatter, name: str) -> None:
    """Ours: its kind and where it was raised say enough; its text may hold a value."""
    line = formatter.format(record(name, "it broke", exc_info=error_with(SECRET)))

    assert SECRET not in line
    assert "ValueError" in line
    assert "error_with" in line


def test_an_exception_that_came_from_another_is_logged_without_either_text() -> None:
    """Ours: the same holds for causes."""
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        line = TextFormatter().format(record(exc_info=sys.exc_info()))

    assert SECRET not in line


def test_logs_go_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: stdout is the protocol."""
    logs.configure(load())

    logging.getLogger("finexio_mcp.calls").info("listed")
    logging.getLogger("somewhere.else").warning("odd %s", "thing")

    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" ", 1)[1] for line in err.splitlines()] == [
        "info finexio_mcp.calls: listed",
        "warning somewhere.else: odd %s",
    ]


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_ours_and_libraries_stay_quiet(
    level: str, kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: a library at debug would log every request."""
    logs.configure(load(FINEXIO_MCP_LOG_LEVEL=level, FINEXIO_MCP_LOG_FORMAT="json"))

    for severity in ("debug", "info", "warning", "error"):
        logging.getLogger("finexio_mcp.calls").log(logging.getLevelNamesMapping()[severity.upper()], "x")
    logging.getLogger("httpx2").info("HTTP request")

    assert [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()] == kept


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: the last word holds."""
    logs.configure(load())
    logs.configure(load(FINEXIO_MCP_LOG_FORMAT="json"))

    logging.getLogger("finexio_mcp.calls").warning("once")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "once"


@pytest.mark.parametrize("message", [ValueError(SECRET), f"never retrieved: {SECRET}"])
def test_what_a_library_put_together_itself_is_not_logged(message: object) -> None:
    """Ours: without arguments nobody can tell what a line was made of, so only its place is kept."""
    line = TextFormatter().format(record(msg=message, name="asyncio"))

    assert SECRET not in line
    assert "asyncio" in line


# Lines of a call -------------------------------------------------------------------

TOKEN = Caller(key="tok_1", name="assistant", origin="token", account="acme")
CALL = Running(request_id="req_1", caller=TOKEN, tool="list_all_finexio_payments")


def ended(**changes: Any) -> Ended:
    """A list that was answered for a token of acme, except for what changes."""
    usual = Ended(
        request_id="req_1",
        at=1_800_000_000.0,
        duration_seconds=0.2124,
        caller=TOKEN,
        client="a client",
        tool="list_all_finexio_payments",
        access="read",
        arguments={"status": SECRET},
        outcome="ok",
        failed=False,
        op_id=None,
        ids=(),
        upstream=2,
        retries=1,
    )
    return replace(usual, **changes)


@pytest.mark.parametrize("name", ["finexio_mcp.api", "httpx2"])
def test_a_line_from_far_below_says_which_call_it_belongs_to(name: str) -> None:
    """Ours: nobody has to hand the call down for that."""
    with running(CALL):
        line = json.loads(JsonFormatter().format(record(name)))
        text = TextFormatter().format(record(name, "no %s", "answer"))
    after = json.loads(JsonFormatter().format(record(name)))

    assert (line["request_id"], line["account"], line["tool"]) == ("req_1", "acme", "list_all_finexio_payments")
    assert text.endswith(" [req_1, account acme, list_all_finexio_payments]")
    assert {"request_id", "account", "tool"} & set(after) == set()


def test_the_usual_account_stands_in_lines_for_machines_alone() -> None:
    """Ours: people have mostly one."""
    with running(replace(CALL, caller=OPERATOR)):
        line = json.loads(JsonFormatter().format(record()))
        text = TextFormatter().format(record())

    assert line["account"] == "default"
    assert text.endswith("list took 12 ms [req_1, list_all_finexio_payments]")


def test_the_call_stands_before_a_stack() -> None:
    """Ours: at the end of the line that says what happened."""
    with running(CALL):
        first, *rest = TextFormatter().format(record(exc_info=error_with("x"))).splitlines()

    assert first.endswith("[req_1, account acme, list_all_finexio_payments]")
    assert rest[0] == "ValueError"


async def test_lines_of_a_thread_and_of_what_goes_on_later_belong_to_the_call() -> None:
    """Ours: the ledger works in threads, and writes go on after their caller has left."""
    lines: list[str] = []

    def note() -> None:
        lines.append(json.loads(JsonFormatter().format(record()))["request_id"])

    async def later(left: anyio.Event) -> None:
        await left.wait()
        note()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            left = anyio.Event()
            with running(CALL):
                tasks.start_soon(later, left)
                await anyio.to_thread.run_sync(note)
            left.set()

    assert lines == ["req_1", "req_1"]


async def test_a_call_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: who, what, what came of it, how long and how many requests; never its arguments."""
    logs.configure(load(FINEXIO_MCP_LOG_FORMAT="json"))

    await CallLog().ended(ended(outcome="in_doubt", failed=True, op_id="op_1"))

    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    said.pop("time")
    assert said == {
        "level": "info",
        "logger": "finexio_mcp.calls",
        "message": "list_all_finexio_payments in_doubt op_1 212 ms for assistant (tok_1)",
        "request_id": "req_1",
        "account": "acme",
        "tool": "list_all_finexio_payments",
        "outcome": "in_doubt",
        "op_id": "op_1",
        "duration_ms": 212,
        "caller": "assistant",
        "caller_key": "tok_1",
        "client": "a client",
        "upstream": 2,
        "retries": 1,
    }


async def test_the_line_of_a_call_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: the tool stands in its message, and who started the server needs no name."""
    logs.configure(load())

    with running(CALL):
        await CallLog().ended(ended())
        await CallLog().ended(ended(caller=OPERATOR, client=None))

    first, second = (line.split(" ", 3)[3] for line in capsys.readouterr().err.splitlines())
    assert first == "list_all_finexio_payments ok 212 ms for assistant (tok_1) [req_1, account acme]"
    assert second == "list_all_finexio_payments ok 212 ms [req_1]"


async def test_what_a_client_calls_itself_is_cut_and_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: nobody has checked it."""
    logs.configure(load(FINEXIO_MCP_LOG_FORMAT="json"))

    await CallLog().ended(ended(client="a\n\u202e\x1b[2J" + "x" * 10_000))

    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 600
    assert line.isascii()


def test_only_our_own_lines_carry_fields() -> None:
    """Ours: a library may use the same names for anything."""
    line = JsonFormatter().format(record("somewhere.else", "x %s", 1, client=object(), account=SECRET))

    assert {"client", "account"} & set(json.loads(line)) == set()
