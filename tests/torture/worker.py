"""A process that runs the real engine for agents that repeat what was not clear."""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from tests.torture import mutants, seams
from tests.torture.jobs import Call, Job, Row

PAY = "finexio_invoices_bulk_create"
PAUSE_SECONDS = 0.15
DONE = frozenset({"confirmed", "already_submitted", "conflict"})
UNCLEAR = frozenset({"in_doubt", "in_progress", "ledger_unavailable", "refused_by_policy"})

Tell = Callable[[str], None]


class Answers:
    """A file that holds what this process was told, even if it is killed a moment later."""

    def __init__(self, job: Job) -> None:
        self._file = os.open(job.answers, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, rows: Sequence[Row], content: Any) -> None:
        os.write(self._file, json.dumps({"at": time.monotonic(), "rows": rows, "answer": content}).encode() + b"\n")


def prepare(job: Job, tell: Tell) -> None:
    """Bend the product in this process as the job wants it."""
    seams.install()
    seams.shorten()
    if job.mutant:
        mutants.install(job.mutant, job.gate, tell)
    seams.at("claim: before", functools.partial(_tell_first, tell))
    if job.dies_at:
        seams.signal_at(job.dies_at, signal.SIGKILL, tell, on=job.dies_on)
    if job.stops_at:
        seams.signal_at(job.stops_at, signal.SIGSTOP, tell)


def _tell_first(tell: Tell) -> None:
    """From here on a kill meets something."""
    if seams.passed("claim: before") == 1:
        tell("live")


def run(job: Job, tell: Tell) -> None:
    """Live the life that the job describes."""
    prepare(job, tell)
    anyio.run(_live, job, tell)


async def _live(job: Job, tell: Tell) -> None:
    from finexio_mcp.catalog import read
    from finexio_mcp.hub import Hub
    from finexio_mcp.settings import load

    listed, answers = read(), Answers(job)
    async with Hub(load(**job.settings)) as hub:

        async def ask(rows: Sequence[Row]) -> Any:
            content = (await hub.run(listed[PAY], {"invoices": list(rows)})).content
            answers.note(rows, content)
            return content

        async def live(lane: Sequence[Call]) -> None:
            for call in lane:
                if call.hangs_up:
                    await _hang_up(call.rows, ask)
                await insist(call, ask)

        if job.gate is not None and not job.mutant:
            tell("ready")
            # Opening blocks until somebody opens the other end, and lets everybody go at once.
            os.close(os.open(job.gate, os.O_RDONLY))
        async with anyio.create_task_group() as agents:
            for lane in job.lanes:
                agents.start_soon(live, lane)
        if job.lingers:
            tell("done")
            await anyio.sleep_forever()


async def _hang_up(rows: Sequence[Row], ask: Callable[[Sequence[Row]], Any]) -> None:
    gone = anyio.Event()
    seams.at(seams.BODY_SENT, gone.set)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, rows)
        await gone.wait()
        tasks.cancel_scope.cancel()


async def insist(call: Call, ask: Callable[[Sequence[Row]], Any]) -> None:
    """Ask, and ask again for what has no outcome yet, as the answers say that one may."""
    waiting = [list(call.rows)]
    for _ in range(call.asks):
        if not waiting:
            return
        rows = waiting.pop(0)
        content = await ask(rows)
        unclear, free = sort_out(rows, content)
        waiting += [part for part in (unclear, free) if part]
        if unclear:
            await anyio.sleep(PAUSE_SECONDS)


def sort_out(rows: Sequence[Row], content: Row) -> tuple[list[Row], list[Row]]:
    """Rows whose outcome is not known yet, and rows that may be sent again; the refused ones only if they were good."""
    status = content.get("status")
    shown: list[Row] = content.get("result") or [Row() for _ in rows]
    unclear: list[Row] = []
    free: list[Row] = []
    for row, own in zip(rows, shown, strict=True):
        said = own.get("status", status)
        if said in UNCLEAR:
            unclear.append(row)
        elif said not in DONE and not (said == "rejected" and is_bad(row)):
            free.append(row)
    return unclear, free


def is_bad(row: Row) -> bool:
    """Whether it names a supplier that Finexio does not know."""
    return row["invoice_number"].startswith("BAD")
