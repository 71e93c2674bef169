"""Mistakes that would pay twice. A worker runs the product with one of them, and the judge has to notice."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.torture.jobs import LEASE_SECONDS

Tell = Callable[[str], None]

A_WHILE_SECONDS = 60.0
REREAD = "stale"
"""Said by a worker that has read the live rows and waits at the gate before it claims."""


def install(name: str, gate: Path | None, tell: Tell) -> None:
    """Make the mistake, in this process only."""
    if name in RACING:
        _claims_by_an_old_reading(gate, tell, drops_index=name == "claims race")
    else:
        MUTANTS[name]()


def _sent_after_the_post() -> None:
    """The ledger hears of it only when the answer is there."""
    from finexio_mcp.api.client import FinexioClient

    inner = FinexioClient.write

    async def write(self: Any, request: Any, *, until: float, leave: Any, rows: str | None = None) -> Any:
        try:
            return await inner(self, request, until=until, leave=_nothing, rows=rows)
        finally:
            await leave()

    setattr(FinexioClient, "write", write)  # noqa: B010


def _server_errors_refuse() -> None:
    """A 500 is taken for a no."""
    from finexio_mcp import writes
    from finexio_mcp.guards.ledger.rows import Outcome
    from finexio_mcp.guards.ledger.states import State
    from finexio_mcp.verdicts import Verdict

    inner = writes.of_failure

    def of_failure(error: Exception, rows: Any, effect: Any) -> Verdict:
        if (getattr(error, "http_status", None) or 0) >= 500:
            return Verdict({row.position: Outcome(state=State.REJECTED, reason="refused") for row in rows})
        return inner(error, rows, effect)

    setattr(writes, "of_failure", of_failure)  # noqa: B010


def _resolver_sends() -> None:
    """What a look does not find is sent again."""
    from finexio_mcp.api.requests import build
    from finexio_mcp.settling import Settler
    from finexio_mcp.tools.invoices import CREATE_INVOICES

    inner = Settler.findings

    async def findings(self: Any, rows: Any) -> Any:
        found = await inner(self, rows)
        for row in rows:
            if row.invoice is not None and found[row.id].verdict == "not_there":
                request = build(CREATE_INVOICES, {"invoices": [_as_sent(row.invoice)]})
                client = getattr(self, "_client")  # noqa: B009
                await client.write(request, until=client.deadline(LEASE_SECONDS), leave=_nothing)
        return found

    setattr(Settler, "findings", findings)  # noqa: B010


def _as_sent(facts: Any) -> dict[str, Any]:
    return {
        "invoice_number": facts.number,
        "amount_cents": facts.amount_cents,
        "currency": facts.currency,
        "invoice_date": facts.invoice_date,
        "originating_counterparty_id": facts.buyer,
        "receiving_counterparty_id": facts.supplier,
    }


def _caller_cancels_the_send() -> None:
    """Who hangs up takes the request along, wherever it is."""
    from finexio_mcp import writes

    def withdraw(self: Any) -> None:
        self.withdrawn = True
        self.scope.cancel()

    setattr(getattr(writes, "_Job"), "withdraw", withdraw)  # noqa: B009, B010


def _sends_after_a_sleep() -> None:
    """Nobody looks at a clock between the ledger and the first byte, and no deadline ends the call either."""
    from finexio_mcp import writes
    from finexio_mcp.api.client import FinexioClient

    def deadline(_self: Any, _seconds: float) -> float:
        return time.monotonic() + A_WHILE_SECONDS

    assert hasattr(writes, "STALE_SECONDS")
    setattr(writes, "STALE_SECONDS", math.inf)  # noqa: B010
    setattr(FinexioClient, "deadline", deadline)  # noqa: B010


def _claims_by_an_old_reading(gate: Path | None, tell: Tell, *, drops_index: bool) -> None:
    """What is live is read before the lock is taken; with `drops_index` nothing else is in the way either."""
    from finexio_mcp.guards.ledger.store import Store

    claim, live = Store.claim, getattr(Store, "_live")  # noqa: B009
    waiting = [gate]

    def claim_late(self: Any, wanted: Any, **kwargs: Any) -> Any:
        if drops_index:
            with getattr(self, "_engine").begin() as connection:  # noqa: B009
                connection.exec_driver_sql("DROP INDEX IF EXISTS submissions_live")
        with getattr(self, "_reading")() as connection:  # noqa: B009
            stale = live(self, connection, {want.identity: 0 for want in wanted})
        if (path := waiting.pop() if waiting else None) is not None:
            tell(REREAD)
            os.close(os.open(path, os.O_RDONLY))

        def read_already(_connection: Any, _identities: Any) -> Any:
            return stale

        self._live = read_already
        try:
            return claim(self, wanted, **kwargs)
        finally:
            del self._live

    def tolerate(_self: Any) -> None:
        """Somebody else may have dropped the index already."""

    setattr(Store, "claim", claim_late)  # noqa: B010
    setattr(Store, "check", tolerate)  # noqa: B010


async def _nothing() -> None:
    return None


RACING = ("claims race", "claims by an old reading")
MUTANTS: dict[str, Callable[[], None]] = {
    "sent after the post": _sent_after_the_post,
    "5xx refuses": _server_errors_refuse,
    "resolver sends": _resolver_sends,
    "caller cancels the send": _caller_cancels_the_send,
    "sends after a sleep": _sends_after_a_sleep,
}
