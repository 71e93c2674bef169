"""Who calls, and how far they may go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from finexio_mcp.settings import DEFAULT_ACCOUNT, Access

Origin = Literal["operator", "anonymous", "token", "oauth"]
"""Whoever started this server; somebody on this machine without a token; a token of ours; a sign-in."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One principal, as far as calls are concerned. What the server's own settings forbid stays forbidden."""

    key: str
    """Tells callers apart, never by a secret. Calls of one caller wait for each other, not for those of another."""
    name: str
    """For people, and for the log."""
    origin: Origin
    account: str = DEFAULT_ACCOUNT
    """Whose Finexio account calls go to. It need not be one that this server has."""
    access: Access = "pay"
    """At most."""
    toolsets: frozenset[str] | None = None
    """Only these; `None`: all that the server offers."""
    tools: frozenset[str] | None = None
    """Only these; `None`: all that the server offers."""


OPERATOR = Caller(key="operator", name="operator", origin="operator")
"""Who started the server speaks to it over its own stdin, or runs one of the commands."""
