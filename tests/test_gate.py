"""The gate: how many calls of one caller run at once, and that one caller keeps no other waiting."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from finexio_mcp.errors import Overloaded
from finexio_mcp.gate import WAITING_FOR_EACH_RUNNING, Gate
from tests.calls import INVOICE, PAY, Content, ask, changes, invoice, office
from tests.conftest import ERAS, Era, connect

GET_INVOICE = "get_single_finexio_invoice_by_id"


class Crowd:
    """Callers that stay inside until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.inside: list[str] = []
        self.refused: list[str] = []
        self.most = 0
        self.go = anyio.Event()

    async def enter(self, key: str) -> None:
        try:
            async with self._gate.turn(key):
                self.inside.append(key)
                self.most = max(self.most, len(self.inside))
                await self.go.wait()
                self.inside.remove(key)
        except Overloaded:
            self.refused.append(key)


async def test_so_many_run_and_four_times_as_many_wait() -> None:
    """Ours: what is more than that is told so at once, instead of filling the memory."""
    crowd = Crowd(Gate(3))
    running, refused = 0, 0
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(crowd.enter, "ann")
            await anyio.wait_all_tasks_blocked()
            running, refused = len(crowd.inside), len(crowd.refused)
            crowd.go.set()

    assert running == crowd.most == 3
    assert refused == 50 - 3 * (1 + WAITING_FOR_EACH_RUNNING)


async def test_a_crowd_of_one_caller_keeps_no_other_waiting() -> None:
    """Ours: each caller has a lane."""
    crowd = Crowd(Gate(2))
    inside: list[str] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(crowd.enter, "busy")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(crowd.enter, "calm")
            await anyio.wait_all_tasks_blocked()
            inside = list(crowd.inside)
            crowd.go.set()

    assert "calm" in inside
    assert "calm" not in crowd.refused


async def test_whoever_waits_too_long_is_told_so() -> None:
    """Ours: nobody waits for ever, and a turn that was given up is not lost."""
    gate = Gate(1, patience_seconds=0.01)
    with anyio.fail_after(5):
        async with gate.turn("ann"):
            with pytest.raises(Overloaded, match="was not sent") as caught:
                async with gate.turn("ann"):
                    raise AssertionError
        async with gate.turn("ann"):
            pass

    assert caught.value.retryable
    assert caught.value.retry_after_seconds


async def test_a_caller_who_leaves_while_waiting_leaves_no_trace() -> None:
    """Ours: cancelled calls free their place."""
    gate = Gate(1)
    crowd, again = Crowd(gate), Crowd(gate)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(crowd.enter, "ann")
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as leaving:
                for _ in range(WAITING_FOR_EACH_RUNNING):
                    leaving.start_soon(crowd.enter, "ann")
                await anyio.wait_all_tasks_blocked()
                leaving.cancel_scope.cancel()
            crowd.go.set()
        # All places are free again.
        async with anyio.create_task_group() as tasks:
            for _ in range(1 + WAITING_FOR_EACH_RUNNING):
                tasks.start_soon(again.enter, "ann")
            await anyio.wait_all_tasks_blocked()
            again.go.set()

    assert again.refused == []


class Stuck(httpx2.AsyncBaseTransport):
    """A Finexio that answers once it is let go."""

    def __init__(self, real: httpx2.AsyncBaseTransport) -> None:
        self._real = real
        self.go = anyio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await self.go.wait()
        return await self._real.handle_async_request(request)


@pytest.mark.parametrize("era", ERAS)
async def test_an_overloaded_server_says_so_and_nothing_was_sent(era: Era) -> None:
    """Ours: a typed answer that a model can act on; a write among the refused never left."""
    sim = office()
    stuck = Stuck(sim.transport())
    read: list[Content] = []
    refused: Content = {}

    async with connect(stuck, era, FINEXIO_MCP_CALLS_AT_ONCE=1) as client:

        async def ask_once() -> None:
            read.append(await ask(client, GET_INVOICE, {"id": INVOICE}))

        async with anyio.create_task_group() as tasks:
            for _ in range(1 + WAITING_FOR_EACH_RUNNING):
                tasks.start_soon(ask_once)
            await anyio.wait_all_tasks_blocked()
            refused = await ask(client, PAY, {"invoices": [invoice("G-1"), invoice("G-2")]})
            stuck.go.set()

    error = refused["error"]
    assert (error["code"], error["may_have_happened"], error["retryable"]) == ("overloaded", False, True)
    assert error["retry_after_s"] > 0
    assert refused["status"] == "not_executed"
    assert [row["invoice_number"] for row in refused["result"]] == ["G-1", "G-2"]
    assert [answer["result"]["id"] for answer in read] == [INVOICE] * (1 + WAITING_FOR_EACH_RUNNING)
    assert changes(sim) == []
