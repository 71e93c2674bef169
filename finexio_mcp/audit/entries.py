"""What is kept of a call: one frozen entry, without a secret, and bounded whatever the call held."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from finexio_mcp.audit.masked import Masked, dump
from finexio_mcp.calls import Ended, new_request_id
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.logs import log_fault

Kind = Literal["call", "gap", "retention"]

MAX_KEY_CHARS: Final = 500
MAX_NAME_CHARS: Final = 100
MAX_WORD_CHARS: Final = 64
MAX_IDS_CHARS: Final = 24_000
"""Enough for the 500 rows of a batch."""
MAX_COUNT: Final = 2**31 - 1
LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""
UNREADABLE: Final = "(not readable)"
SERVER: Final = "server"
"""Who wrote an entry that tells of no call."""

logger = logging.getLogger("finexio_mcp.audit")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the audit, before it has its place in a chain."""

    account: str
    at_ms: int
    """When the call came, by the clock of the machine that answered it."""
    request_id: str
    caller_key: str
    caller_name: str
    origin: str
    client: str | None
    """What the client calls itself; nobody has checked it."""
    tool: str
    access: str
    arguments: str
    """JSON."""
    outcome: str
    failed: int
    op_id: str | None
    ids: str
    """JSON: a list of Finexio ids."""
    upstream: int
    duration_ms: int
    kind: Kind = "call"

    @property
    def chars(self) -> int:
        """How much it takes, roughly."""
        return len(self.arguments) + len(self.ids) + 600

    def values(self) -> dict[str, Any]:
        """By column."""
        return asdict(self)


def of_call(call: Ended, masked: Masked) -> Entry:
    """What is kept of a call."""
    caller = call.caller
    return Entry(
        account=_line(caller.account, MAX_WORD_CHARS),
        at_ms=int(min(max(call.at, 0.0), LATEST) * 1000),
        request_id=_line(call.request_id, MAX_WORD_CHARS),
        caller_key=_line(caller.key, MAX_KEY_CHARS),
        caller_name=_line(caller.name, MAX_NAME_CHARS),
        origin=caller.origin,
        client=_line(masked.without_secrets(call.client), MAX_NAME_CHARS) if call.client else None,
        tool=_line(call.tool, MAX_WORD_CHARS),
        access=call.access,
        arguments=_arguments(call, masked),
        outcome=_line(call.outcome, MAX_WORD_CHARS),
        failed=int(call.failed),
        op_id=_line(call.op_id, MAX_WORD_CHARS) if call.op_id else None,
        ids=_listed(call.ids),
        upstream=min(max(call.upstream, 0), MAX_COUNT),
        duration_ms=int(min(max(call.duration_seconds, 0.0) * 1000, MAX_COUNT)),
    )


def of_server(account: str, kind: Kind, outcome: str, facts: Mapping[str, Any], *, at_ms: int, failed: bool) -> Entry:
    """What this program itself has to say in a chain."""
    return Entry(
        account=account,
        at_ms=at_ms,
        request_id=new_request_id(),
        caller_key=SERVER,
        caller_name=SERVER,
        origin=SERVER,
        client=None,
        tool="",
        access="",
        arguments=dump(facts),
        outcome=outcome,
        failed=int(failed),
        op_id=None,
        ids="[]",
        upstream=0,
        duration_ms=0,
        kind=kind,
    )


@dataclass
class Gap:
    """Entries of one account that had to be given up."""

    reads: int = 0
    others: int = 0
    first_ms: int = 0
    last_ms: int = 0

    @property
    def count(self) -> int:
        return self.reads + self.others

    def add(self, entry: Entry) -> None:
        """Count one more."""
        self._span(entry.at_ms, entry.at_ms)
        if entry.access == "read":
            self.reads += 1
        else:
            self.others += 1

    def join(self, other: Gap) -> None:
        """Count what another one counted."""
        self._span(other.first_ms, other.last_ms)
        self.reads += other.reads
        self.others += other.others

    def _span(self, first_ms: int, last_ms: int) -> None:
        self.first_ms = min(self.first_ms, first_ms) if self.count else first_ms
        self.last_ms = max(self.last_ms, last_ms)

    def entry(self, account: str, *, at_ms: int) -> Entry:
        """What stands in their place."""
        facts = {
            "entries": self.count,
            "reads": self.reads,
            "writes": self.others,
            "from": moment(self.first_ms),
            "to": moment(self.last_ms),
        }
        return of_server(account, "gap", "lost", facts, at_ms=at_ms, failed=True)


def _arguments(call: Ended, masked: Masked) -> str:
    try:
        return masked.arguments(call.tool, call.arguments)
    except Exception as error:
        # That there was a call matters more than what it said.
        log_fault(logger, error)
        return dump({UNREADABLE: True})


def _line(text: str, limit: int) -> str:
    return clean(text, limit=limit, single_line=True)


def _listed(ids: Sequence[str]) -> str:
    kept: list[str] = []
    room = MAX_IDS_CHARS
    for each in ids:
        shown = _line(each, MAX_NAME_CHARS)
        room -= len(dump(shown)) + 1
        if room < 30:
            kept.append(f"({len(ids) - len(kept)} more)")
            break
        kept.append(shown)
    return dump(kept)
