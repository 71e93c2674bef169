"""The real thing: a child process that speaks over its own stdin and stdout, as a desktop host starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from finexio_mcp.simulator import Fault, Received
from tests.calls import PAY, WRITES, ask, changes, office

SERVE = [sys.executable, "-m", "finexio_mcp"]
INVOICES = "list_all_finexio_invoices"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")


class Child:
    """The server as a process, and the JSON-RPC lines to and from it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin, self._stdout = process.stdin, BufferedByteReceiveStream(process.stdout)
        self.lines: list[bytes] = []

    async def send(self, method: str, params: Any = None, *, number: int | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        message |= ({} if params is None else {"params": params}) | ({} if number is None else {"id": number})
        await self._stdin.send(json.dumps(message).encode() + b"\n")

    async def answer(self, number: int) -> dict[str, Any]:
        """The result with this id; other messages are kept as lines and passed by."""
        while True:
            line = await self._stdout.receive_until(b"\n", 1_000_000)
            self.lines.append(line)
            message = json.loads(line)
            if message.get("id") == number:
                return message["result"]

    async def shake_hands(self) -> dict[str, Any]:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        await self.send("initialize", hello, number=1)
        result = await self.answer(1)
        await self.send("notifications/initialized")
        return result

    async def call(self, number: int, tool: str, arguments: Any) -> None:
        await self.send("tools/call", {"name": tool, "arguments": arguments}, number=number)

    async def hang_up(self) -> None:
        await self._stdin.aclose()

    async def rest(self) -> list[bytes]:
        """Every further line until the output ends."""
        with contextlib.suppress(anyio.EndOfStream, anyio.IncompleteRead):
            while True:
                self.lines.append(await self._stdout.receive_until(b"\n", 1_000_000))
        return self.lines

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return b"".join([chunk async for chunk in self.process.stderr]).decode()


@contextlib.asynccontextmanager
async def child(**settings: str) -> AsyncGenerator[Child]:
    """A server with these settings; killed at the end, should it still be there."""
    process = await anyio.open_process(SERVE, env={**os.environ, **settings})
    try:
        yield Child(process)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def test_a_host_that_knows_nothing_gets_26_tools_and_is_told_what_is_missing() -> None:
    """Ours: it starts and lists without credentials and without a network; a call names what to set."""
    server = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env={})

    with anyio.fail_after(15):
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            content = await ask(client, INVOICES)
            version = client.protocol_version

    assert (len(tools), version) == (26, "2026-07-28")
    assert content["error"]["code"] == "not_configured"


async def test_a_session_is_json_lines_only_and_ends_cleanly_with_its_input() -> None:
    """Ours: stdout is the protocol, stderr the log without values of arguments, and the end of input is no error."""
    settings = {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_MCP_LOG_LEVEL": "debug", "FINEXIO_MCP_LOG_FORMAT": "json"}

    with anyio.fail_after(15):
        async with child(**settings) as server:
            hello = await server.shake_hands()
            await server.send("tools/list", number=2)
            tools = (await server.answer(2))["tools"]
            await server.call(3, INVOICES, {"limit": 2})
            listed = await server.answer(3)
            await server.call(4, "list_all_finexio_counterparties", {"name": "Marked Name"})
            await server.answer(4)
            await server.hang_up()
            lines = await server.rest()
            errors = await server.errors()
            code = await server.process.wait()

    assert hello["serverInfo"]["name"] == "finexio"
    assert len(tools) == 26
    assert listed["structuredContent"]["result_count"] == 2
    assert json.loads(listed["content"][0]["text"]) == listed["structuredContent"]
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    assert code == 0
    logged = [json.loads(line) for line in errors.splitlines()]
    assert [line["outcome"] for line in logged if line.get("tool") == INVOICES] == ["ok"]
    assert "Marked" not in errors


async def test_a_signal_ends_an_idle_server_at_once() -> None:
    """Ours: desktop hosts kill after a few seconds; within three it is gone, and says that all is well."""
    with anyio.fail_after(15):
        async with child(FINEXIO_ENVIRONMENT="simulator") as server:
            await server.shake_hands()
            with anyio.fail_after(3):
                server.process.send_signal(signal.SIGTERM)
                code = await server.process.wait()

    assert code == 0


@pytest.mark.parametrize("ending", ["signal", "end of input"])
async def test_a_payment_on_its_way_is_seen_through_before_the_server_leaves(ending: str) -> None:
    """Ours: neither a signal nor a host that hangs up cuts a write in half; its outcome is told and logged."""
    sim, arrived = office(), threading.Event()

    def is_payment(request: Received) -> bool:
        if request.method == "POST":
            arrived.set()
        return request.method == "POST"

    sim.fault(Fault(delay_seconds=0.5), match=is_payment)
    with anyio.fail_after(20), sim.listening() as base_url:
        async with child(FINEXIO_ENVIRONMENT="simulator", FINEXIO_BASE_URL=base_url) as server:
            await server.shake_hands()
            await server.call(2, PAY, WRITES[PAY])
            assert await anyio.to_thread.run_sync(arrived.wait, 10)
            if ending == "signal":
                server.process.send_signal(signal.SIGTERM)
            else:
                await server.hang_up()
            answer = await server.answer(2)
            errors = await server.errors()
            code = await server.process.wait()

    assert code == 0
    assert answer["structuredContent"]["status"] == "confirmed"
    assert len(changes(sim)) == 1
    assert f"{PAY} confirmed op_" in errors
