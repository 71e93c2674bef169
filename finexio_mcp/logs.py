"""Logs, on stderr only: what happened, never the values it happened to."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

from finexio_mcp.calls import Ended, Observer, current
from finexio_mcp.settings import DEFAULT_ACCOUNT, Settings

OURS = "finexio_mcp"
OF_A_CALL = ("request_id", "account", "tool")
"""What every line carries that is logged while a call runs."""
EXTRAS = (
    *OF_A_CALL,
    "outcome",
    "op_id",
    "duration_ms",
    "caller",
    "caller_key",
    "client",
    "upstream",
    "retries",
)
"""What a line for machines carries beside its message, where it is known."""
MAX_CLIENT_CHARS = 80

calls_logger = logging.getLogger("finexio_mcp.calls")


def log_fault(logger: logging.Logger, error: Exception) -> None:
    """Log a mistake of ours. The message of a foreign exception may hold anything, so only its kind and place are."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("internal error: %s\n%s", type(error).__name__, where)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.split(".")[0] == OURS


def _message(record: logging.LogRecord) -> str:
    """Libraries put requests, URLs and whole messages into theirs, so of those only the template is kept."""
    if _is_ours(record):
        text = record.getMessage()
    elif isinstance(record.msg, str) and record.args:
        text = record.msg
    else:
        # Without arguments it may have been put together already, from anything.
        text = f"{record.module}, line {record.lineno}"
    if record.exc_info and record.exc_info[0] is not None:
        # The text of an exception may hold a value; its kind and place never do.
        text += f"\n{record.exc_info[0].__name__}\n{''.join(traceback.format_tb(record.exc_info[2]))}"
    return text


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says of its call; what it leaves out, the call that runs here says."""
    said = vars(record) if _is_ours(record) else {}
    found = {name: said[name] for name in EXTRAS if said.get(name) is not None}
    call = current()
    if call is not None:
        found = {"request_id": call.request_id, "account": call.caller.account, "tool": call.tool, **found}
    return found


def _in_brackets(record: logging.LogRecord) -> str:
    """The call that a line belongs to. A message that is about a tool has named it."""
    fields = _fields(record)
    account, names_tool = fields.get("account", DEFAULT_ACCOUNT), "tool" in vars(record)
    parts = [
        fields.get("request_id"),
        None if account == DEFAULT_ACCOUNT else f"account {account}",
        None if names_tool else fields.get("tool"),
    ]
    text = ", ".join(part for part in parts if part)
    return f" [{text}]" if text else ""


class TextFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line, *stack = _message(record).split("\n", 1)
        return "\n".join([f"{clock} {record.levelname.lower()} {record.name}: {line}{_in_brackets(record)}", *stack])


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{second}.{int(record.created % 1 * 1000):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        return json.dumps({**line, **_fields(record)})


class CallLog(Observer):
    """One line for every call that was answered."""

    async def ended(self, call: Ended) -> None:
        """Log it, without its arguments."""
        caller = call.caller
        # A name can be given again, a key cannot. Who started the server needs neither.
        name, key = (None, None) if caller.origin == "operator" else (caller.name, caller.key)
        calls_logger.info(
            "%s %s%s %.0f ms%s",
            call.tool,
            call.outcome,
            f" {call.op_id}" if call.op_id else "",
            call.duration_seconds * 1000,
            f" for {name} ({key})" if name else "",
            extra={
                "request_id": call.request_id,
                "account": caller.account,
                "tool": call.tool,
                "outcome": call.outcome,
                "op_id": call.op_id,
                "duration_ms": round(call.duration_seconds * 1000),
                "caller": name,
                "caller_key": key,
                "client": call.client[:MAX_CLIENT_CHARS] if call.client else None,
                "upstream": call.upstream,
                "retries": call.retries,
            },
        )


def configure(settings: Settings) -> None:
    """Send every log line of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # It logs each message that cannot be read, with a stack: strangers could fill the log.
    logging.getLogger("mcp.server.sse").setLevel(logging.CRITICAL)
    logging.getLogger(OURS).setLevel(settings.log_level.upper())
