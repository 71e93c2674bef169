"""Ledgers to measure on: one to record in, and one that is full."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from bench.records import to_pay
from finexio_mcp.guards.identity import wanted_invoices
from finexio_mcp.guards.ledger.place import Place, locate, prepare
from finexio_mcp.guards.ledger.rows import Outcome, Rules
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store, open_store
from finexio_mcp.settings import Settings, load

RULES = Rules(lease_ms=105_000)
FILLED_AT_ONCE = 5_000


def _open(path: Path, base_url: str) -> Store:
    settings: Settings = load(
        FINEXIO_ENVIRONMENT="simulator",
        FINEXIO_BASE_URL=base_url,
        FINEXIO_MCP_LEDGER_URL=f"sqlite:///{path}",
        FINEXIO_MCP_ALLOW_VOLATILE_LEDGER=True,
    )
    place: Place = locate(settings)
    prepare(place, settings)
    return open_store(place, owner="bench")


class Recording:
    """The three transactions of a batch, without a server or Finexio.

    Args:
        state: Where its ledger goes.
        run: What makes the numbers of this run its own.
    """

    def __init__(self, state: Path, run: str) -> None:
        self._store = _open(state / "alone.db", "http://127.0.0.1:1/v2")
        self._run = run
        self._calls = itertools.count()
        self._next = itertools.count(step=1_000)

    def record(self, count: int) -> float:
        """Seconds to record a batch of so many invoices from its claim to its outcome."""
        wire: dict[str, Any] = {"invoices": to_pay(self._run, next(self._next), count)}
        wanted = wanted_invoices(wire, {}, "bench")
        return _submit(self._store, wanted, f"op_{next(self._calls):016x}")


def _submit(store: Store, wanted: Any, op_id: str) -> float:
    began = time.perf_counter()
    claim = store.claim(wanted, op_id=op_id, tool="bench", effect="pay", rules=RULES)
    assert claim.rows, "a batch of this run was known already"
    assert store.mark_sent(op_id, lease_ms=RULES.lease_ms)
    confirmed = {
        row.position: Outcome(state=State.CONFIRMED, reason="accepted", finexio_id=f"{op_id}-{row.position}")
        for row in claim.rows
    }
    store.settle(op_id, confirmed)
    return time.perf_counter() - began


def fill(path: Path, base_url: str, rows: int) -> None:
    """Record so many confirmed invoices."""
    store = _open(path, base_url)
    for start in range(0, rows, FILLED_AT_ONCE):
        wire: dict[str, Any] = {"invoices": to_pay("FULL", start, FILLED_AT_ONCE)}
        _submit(store, wanted_invoices(wire, {}, "bench"), f"op_full{start:011x}")
