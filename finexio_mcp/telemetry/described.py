"""Every metric there is, and the closed sets that its labels come from."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPMethod, HTTPStatus
from typing import Literal, NamedTuple, get_args

from finexio_mcp.errors import FinexioError, WriteStatus

OTHER = "other"
OTHER_ACCOUNT = "_other"
"""For accounts that are not configured. No account can be called that."""


class Described(NamedTuple):
    """A metric, as it is registered and as the documentation lists it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    about: str


CALLS = Described(
    "finexio_mcp_calls_total",
    "counter",
    ("account", "tool", "outcome"),
    "Calls that were answered: `ok`, the status of a write, or the code of an error.",
)
ERRORS = Described(
    "finexio_mcp_call_errors_total",
    "counter",
    ("account", "code"),
    "Calls that were answered with an error.",
)
CALL_SECONDS = Described(
    "finexio_mcp_call_seconds",
    "histogram",
    ("tool",),
    "Time from a call to its answer, waiting included.",
)
RUNNING = Described(
    "finexio_mcp_calls_running",
    "gauge",
    ("account",),
    "Calls that run now.",
)
WAITING = Described(
    "finexio_mcp_calls_waiting",
    "gauge",
    ("account",),
    "Calls that wait for their turn, since the same caller has as many running as it may.",
)
UPSTREAM = Described(
    "finexio_mcp_upstream_requests_total",
    "counter",
    ("account", "method", "outcome"),
    "Requests to Finexio that ended: the HTTP status, or the kind of failure, such as `ConnectError`.",
)
UPSTREAM_SECONDS = Described(
    "finexio_mcp_upstream_seconds",
    "histogram",
    ("method",),
    "Time from a request to Finexio to the end of its answer.",
)
RETRIES = Described(
    "finexio_mcp_upstream_retries_total",
    "counter",
    ("account",),
    "Requests to Finexio that repeated one before.",
)
IN_DOUBT = Described(
    "finexio_mcp_writes_in_doubt",
    "gauge",
    ("account",),
    "Submissions in the ledger whose outcome is unknown. The same on every replica.",
)
IN_CONFLICT = Described(
    "finexio_mcp_writes_in_conflict",
    "gauge",
    ("account",),
    "Submissions in the ledger that Finexio has with another content; a person decides. The same on every replica.",
)
LEDGER_READ = Described(
    "finexio_mcp_ledger_read_timestamp_seconds",
    "gauge",
    ("account",),
    "When the two before were last read from the ledger, in seconds since 1970; before the first time, since when this "
    "server knows the account. It ages when the ledger cannot be read.",
)
AUDIT_WAITING = Described(
    "finexio_mcp_audit_waiting",
    "gauge",
    (),
    "Calls that are not in the audit yet.",
)
AUDIT_LOST = Described(
    "finexio_mcp_audit_lost_total",
    "counter",
    (),
    "Calls that will never be in the audit, since it could not be written for too long.",
)
BUILD = Described(
    "finexio_mcp_build_info",
    "gauge",
    ("version",),
    "Always 1; the label says which version runs.",
)

METRICS = (
    CALLS,
    ERRORS,
    CALL_SECONDS,
    RUNNING,
    WAITING,
    UPSTREAM,
    UPSTREAM_SECONDS,
    RETRIES,
    IN_DOUBT,
    IN_CONFLICT,
    LEDGER_READ,
    AUDIT_WAITING,
    AUDIT_LOST,
    BUILD,
)


def _codes(root: type[FinexioError] = FinexioError) -> Iterator[str]:
    for child in root.__subclasses__():
        yield from (code for code in [vars(child).get("code")] if code)
        yield from _codes(child)


CODES = frozenset(_codes())
"""What a call can fail with."""
OUTCOMES = frozenset({"ok", "caller_left", *get_args(WriteStatus), *CODES})
"""What can come of a call."""
METHODS = frozenset(method.value for method in HTTPMethod)
ANSWERS = frozenset(
    {
        *(str(status.value) for status in HTTPStatus),
        "CancelledError",
        "CloseError",
        "ConnectError",
        "ConnectTimeout",
        "DecodingError",
        "LocalProtocolError",
        "PoolTimeout",
        "ProxyError",
        "ReadError",
        "ReadTimeout",
        "RemoteProtocolError",
        "UnsupportedProtocol",
        "WriteError",
        "WriteTimeout",
    }
)
"""What can come of a request: a status, or the kind of failure."""
