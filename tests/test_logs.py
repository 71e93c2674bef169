"""Logs: what happened, on stderr, never the values it happened to."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator
from typing import Any

import pytest

from finexio_mcp import logs
from finexio_mcp.logs import JsonFormatter, TextFormatter
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
    """A record of the first second of 1970."""
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, args, exc_info)
    made.created = 0.0
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
        "time": "1970-01-01T00:00:00Z",
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
