"""The real thing: a child process that speaks over its own stdin and stdout, as a desktop host starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from finexio_mcp.simulator import Fault, Received, Simulator
from finexio_mcp.wire import Lines, Output
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
    # Not even where its ledger would be; but here it must not be that of whoever runs the tests.
    server = StdioServerParameters(
        command=SERVE[0], args=SERVE[1:], env={"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}
    )

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


@contextlib.contextmanager
def slow_finexio() -> Generator[tuple[Simulator, dict[str, str], threading.Event]]:
    """An office that takes a payment and thinks about it; settings that reach it; and when one has arrived."""
    sim, arrived = office(), threading.Event()

    def is_payment(request: Received) -> bool:
        if request.method == "POST":
            arrived.set()
        return request.method == "POST"

    sim.fault(Fault(delay_seconds=0.5), match=is_payment)
    with sim.listening() as base_url:
        settings = {"FINEXIO_BASE_URL": base_url, "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1"}
        yield sim, {"FINEXIO_ENVIRONMENT": "simulator", **settings}, arrived


@pytest.mark.parametrize("ending", ["signal", "end of input"])
async def test_a_payment_on_its_way_is_seen_through_before_the_server_leaves(ending: str) -> None:
    """Ours: neither a signal nor a host that hangs up cuts a write in half; its outcome is told and logged."""
    with anyio.fail_after(20), slow_finexio() as (sim, settings, arrived):
        async with child(**settings) as server:
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


HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
SESSION = b"".join(
    json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
    for message in (
        {"method": "initialize", "id": 1, "params": HELLO},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "id": 2, "params": {"name": PAY, "arguments": WRITES[PAY]}},
    )
)
"""All that a client says which pays once."""


async def test_a_payment_ordered_from_a_file_is_answered_into_a_file(tmp_path: Path) -> None:
    """Ours: where the input ends at once, the answer is waited for too."""
    asked, told = tmp_path / "asked", tmp_path / "told"
    asked.write_bytes(SESSION)

    with anyio.fail_after(20), slow_finexio() as (sim, settings, _), asked.open("rb") as stdin, told.open("wb") as out:
        async with await anyio.open_process(SERVE, stdin=stdin, stdout=out, env={**os.environ, **settings}) as process:
            code = await process.wait()

    assert code == 0
    answers = [json.loads(line) for line in told.read_bytes().splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["structuredContent"]["status"] == "confirmed"
    assert len(changes(sim)) == 1


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_a_client_that_dies_before_its_answer_leaves_a_payment_whole_and_no_traceback(kind: str) -> None:
    """Ours: however the connection breaks, it ends like an input that ends; the log tells the outcome."""
    with anyio.fail_after(20), slow_finexio() as (sim, settings, arrived):
        ours, theirs = connected(kind)
        process = await anyio.open_process(SERVE, stdin=theirs[0], stdout=theirs[1], env={**os.environ, **settings})
        close(*theirs)
        async with process:
            os.write(ours[1], SESSION)
            assert await anyio.to_thread.run_sync(arrived.wait, 10)
            close(*ours)
            assert process.stderr is not None
            errors = b"".join([chunk async for chunk in process.stderr]).decode()
            code = await process.wait()

    assert code == 0
    assert len(changes(sim)) == 1
    assert f"{PAY} confirmed op_" in errors
    assert "Traceback" not in errors


Ends = tuple[int, int]
"""What to read from, and what to write to."""


def connected(kind: str) -> tuple[Ends, Ends]:
    """Our ends and theirs: two pipes, or one socket for both ways as a supervisor may hand over."""
    if kind == "socket":
        ours, theirs = (end.detach() for end in socket.socketpair())
        return (ours, ours), (theirs, theirs)
    to_us, from_them = os.pipe()
    to_them, from_us = os.pipe()
    return (to_us, from_us), (to_them, from_them)


def close(*descriptors: int) -> None:
    for descriptor in set(descriptors):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("closed", "command"),
    [("stdin", "<&-"), ("stdout", ">&-"), ("stdin and stdout", "<&- >&-"), ("stdout", f"call {INVOICES} >&-")],
)
def test_what_was_closed_beforehand_is_named_and_nothing_is_done(closed: str, command: str) -> None:
    """Ours: one sentence and exit code 2, before anything is sent whose outcome nobody could be told."""
    shell = f'exec "$0" -m finexio_mcp --simulator {command}'

    done = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable], capture_output=True, text=True, timeout=20, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Nothing was done: {closed} must not be closed.\n"


# Descriptors -----------------------------------------------------------------


class Ended:
    """Remembers that the end of the input was told."""

    told = False

    async def __call__(self) -> None:
        self.told = True


async def lines_of(descriptor: int, output: Output) -> tuple[list[str], bool]:
    ended = Ended()
    with anyio.fail_after(5):
        lines = [line async for line in Lines(descriptor, output, ended)]
    return lines, ended.told


@pytest.fixture
def output() -> Generator[Output]:
    """Where nobody writes to."""
    with open(os.devnull, "wb") as nowhere:
        yield Output(nowhere.fileno())


async def test_lines_of_a_file_end_with_the_file(output: Output, tmp_path: Path) -> None:
    """Ours: whoever waits for the end is told, also where the input cannot be waited for."""
    file = tmp_path / "asked"
    file.write_text('{"a": "ü"}\n\n{"b": 1}\r\nrest', encoding="utf-8")

    with file.open("rb") as opened:
        lines, told = await lines_of(opened.fileno(), output)

    assert lines == ['{"a": "ü"}', "", '{"b": 1}\r', "rest"]
    assert told


async def test_a_connection_that_breaks_off_is_the_end_of_the_input(output: Output) -> None:
    """Ours: a peer that goes with our words unread resets a socket; that is no fault of this server."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(b"one\n")
            ours.sendall(b"never read")
            assert ours.recv(4, socket.MSG_PEEK) == b"one\n"
        lines, told = await lines_of(ours.fileno(), output)

    assert (lines, told) == (["one"], True)


async def test_a_terminal_that_hangs_up_is_the_end_of_the_input(output: Output) -> None:
    """Ours: it answers with an error of input and output."""
    control, terminal = os.openpty()
    os.close(control)
    try:
        assert await lines_of(terminal, output) == ([], True)
    finally:
        os.close(terminal)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_answers_to_a_client_that_left_are_dropped_and_no_more_of_its_calls_are_taken(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: it would never learn what came of them. The log says so once."""
    theirs, ours = connected(kind)
    asked, asking = os.pipe()
    close(*theirs)
    try:
        with contextlib.closing(Output(ours[1])) as broken, anyio.fail_after(5):
            os.write(asking, b"pay\n")
            await broken.write("an answer\n")
            await broken.write("another\n")
            lines, told = await lines_of(asked, broken)
    finally:
        close(*ours, asked, asking)

    assert (lines, told) == ([], True)
    assert len(caplog.records) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
async def test_a_full_disk_does_not_end_the_server_in_the_middle_of_a_write(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: answers that cannot be written are said to be lost, once, and nothing follows half a line."""
    full = os.open("/dev/full", os.O_WRONLY)
    output = Output(full)
    await output.write("an answer\n")
    await output.write("another\n")
    os.close(full)

    assert output.gone
    assert [record.levelname for record in caplog.records] == ["WARNING"]
