"""What this server knows of one HTTP request beside what stands in it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from finexio_mcp.callers import Caller
from finexio_mcp.settings import Access

KEY = "finexio_mcp.exchange"


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
