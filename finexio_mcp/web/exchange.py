"""What this server knows of one HTTP request beside what stands in it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from finexio_mcp.callers import Caller
from finexio_mcp.calls import new_request_id
from finexio_mcp.settings import Access

KEY = "finexio_mcp.exchange"
NAME_KEY = "finexio_mcp.request_id"
NAME_HEADER = "X-Request-ID"


@dataclass
class Exchange:
    """One request: who makes it, and what turned out to be missing."""

    caller: Caller
    needs: Access | None = None
    """The access that the caller would need for what it asked."""


def exchange_of(scope: Scope) -> Exchange:
    """What is known of a request that was let in."""
    found: Exchange = scope[KEY]
    return found


def name_request(scope: Scope) -> str:
    """Give a request a name of ours: one that callers choose could be that of somebody else's call."""
    name = scope[NAME_KEY] = new_request_id()
    return name


def name_of(scope: Scope) -> str:
    """What a request is called."""
    name: str = scope[NAME_KEY]
    return name
