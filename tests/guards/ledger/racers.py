"""Processes that claim at the same moment: a program of its own, told what to do on its input.

`{"url": ..., "kind": ..., "claims": [...], "warm": ...}`: for each process the batches that it claims, one after the
other; a batch is a list of numbers. Each number is an invoice of its own, unlike any other. `warm`, which may be
missing: whether somebody writes before them all. The answer is a list of what became of each claim, `[process, batch,
outcome]`.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from contextlib import closing
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, select

from finexio_mcp.guards.ledger.rows import InvoiceFacts, Rules, Wanted
from finexio_mcp.guards.ledger.schema import HEAD
from finexio_mcp.guards.ledger.seen import Mark
from finexio_mcp.guards.ledger.store import Store, Writing, open_engine
from finexio_mcp.guards.ledger.trouble import Unusable

SCOPE = "https://api.example.test/v2"
RULES = Rules(lease_ms=60_000)
PATIENCE_SECONDS = 60


class Unlocked(Store):
    """The lock is forgotten: whoever reads may read what somebody else is just changing."""

    def _lock_head(self, connection: Connection, mark: Mark) -> RowMapping:
        head = self._recognise(connection.execute(select(HEAD)).mappings().one(), mark)
        if self._sqlite:
            # Every statement becomes a transaction of its own.
            connection.exec_driver_sql("COMMIT")
        return head

    def _append(self, writing: Writing) -> int:
        # The chain is a fence of its own: here it is locked for its own sake only, and too late for the claim.
        if self._sqlite:
            writing.connection.exec_driver_sql("BEGIN IMMEDIATE")
        writing.head = super()._lock_head(writing.connection, Mark())
        return super()._append(writing)


KINDS = {"Store": Store, "Unlocked": Unlocked}


def wanted(number: int) -> Wanted:
    facts = InvoiceFacts(
        buyer="b-1",
        supplier="s-1",
        number=str(number),
        amount_cents=1000 + number,
        currency="USD",
        invoice_date="2026-11-01",
        discount_cents=0,
        near_number=str(number),
    )
    return Wanted(identity=f"{SCOPE} b-1 s-1 {number:06}", invoice=facts)


def run(engine: Engine, task: dict[str, Any], process: int, barrier: Barrier, answers: SimpleQueue[list[Any]]) -> None:
    signal.alarm(PATIENCE_SECONDS)
    store = KINDS[task["kind"]](engine, scope=SCOPE, owner=f"process-{process}")
    store.head()
    barrier.wait()
    answers.put([[process, batch, claim(store, batch, process)] for batch in task["claims"][process]])
    store.close()


def claim(store: Store, batch: list[int], process: int) -> str:
    op_id = f"{process}-{'-'.join(map(str, batch))}"
    try:
        claimed = store.claim([wanted(number) for number in batch], op_id=op_id, tool="t", effect="pay", rules=RULES)
    except Unusable as error:
        return error.kind
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "claimed" if claimed.rows else "known" if claimed.known else "near"


def main() -> None:
    signal.alarm(PATIENCE_SECONDS)
    task = json.load(sys.stdin)
    # What is learnt about statements is learnt once, in another scope. No connection is open when processes fork.
    engine = open_engine(task["url"])
    if task.get("warm", True):
        with closing(Store(engine, scope="warm", owner="warm")) as store:
            for _ in range(2):
                claim(store, [0], -1)
    context = multiprocessing.get_context("fork")
    count = len(task["claims"])
    barrier, answers = context.Barrier(count), context.SimpleQueue()
    processes = [context.Process(target=run, args=(engine, task, index, barrier, answers)) for index in range(count)]
    for each in processes:
        each.start()
    told = [line for _ in processes for line in answers.get()]
    for each in processes:
        each.join()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
