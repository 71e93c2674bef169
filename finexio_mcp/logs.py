"""Logs, on stderr only: what happened, never the values it happened to."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

from finexio_mcp.settings import Settings

OURS = "finexio_mcp"
EXTRAS = ("tool", "outcome", "op_id", "duration_ms", "caller", "caller_key")


def log_fault(logger: logging.Logger, error: Exception) -> None:
    """Log a mistake of ours. The message of a foreign exception may hold anything, so only its kind and place are."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("internal error: %s\n%s", type(error).__name__, where)


def _message(record: logging.LogRecord) -> str:
    """Libraries put requests, URLs and whole messages into theirs, so of those only the template is kept."""
    if record.name.split(".")[0] == OURS:
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


class TextFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{clock} {record.levelname.lower()} {record.name}: {_message(record)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        line.update({name: value for name in EXTRAS if (value := getattr(record, name, None)) is not None})
        return json.dumps(line)


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
