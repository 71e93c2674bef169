"""Calls and requests as observers are told of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from finexio_mcp.callers import Caller
from finexio_mcp.calls import Asked, Ended, Running

CALLER = Caller(key="tok_1", name="assistant", origin="token", account="acme")
ENDED = Ended(
    request_id="req_0123456789abcdef",
    at=1_800_000_000.0,
    duration_seconds=0.012,
    caller=CALLER,
    client="a client",
    tool="list_all_finexio_payments",
    access="read",
    arguments={"status": "QXZ918273645"},
    outcome="ok",
    failed=False,
    op_id=None,
    ids=(),
    upstream=1,
    retries=0,
)
ASKED = Asked(account="acme", method="GET", outcome="200", seconds=0.3, retry=False)


def ended(**changes: Any) -> Ended:
    """A list that was answered for a token of acme, except for what changes."""
    return replace(ENDED, **changes)


def asked(**changes: Any) -> Asked:
    """A GET of acme that was answered, except for what changes."""
    return replace(ASKED, **changes)


def running(**changes: Any) -> Running:
    """The same call while it runs."""
    return replace(Running(request_id=ENDED.request_id, caller=CALLER, tool=ENDED.tool, client=ENDED.client), **changes)
