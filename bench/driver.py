"""The least of an MCP client: JSON-RPC lines to a child process and back, in either era of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio

Era = Literal["2026-07-28", "2025-11-25"]

ROOT = Path(__file__).parent.parent
LONGEST_LINE = 64 * 1024 * 1024
ANSWER_SECONDS = 30.0
STOP_SECONDS = 5.0

CLIENT = {"name": "bench", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Refused(Exception):
    """A server that did not do what was asked; nothing can be measured on it."""


@contextlib.asynccontextmanager
async def child(
    module: str, environment: Mapping[str, str], *arguments: str, log: int | None = None
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """`python -m MODULE`, with none of our settings but `environment`; it ends with its input, or is made to.

    Args:
        module: What to run.
        environment: Variables.
        arguments: What follows on the command line.
        log: The file that its standard error goes to.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FINEXIO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env={**inherited, **environment},
        cwd=ROOT,
        limit=LONGEST_LINE,
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    with anyio.move_on_after(STOP_SECONDS):
        await process.wait()
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


class Driver:
    """Speaks to one server. Frames are made and answers are read by the caller, outside of what is timed.

    Args:
        process: The server.
        era: The protocol to speak.
    """

    def __init__(self, process: asyncio.subprocess.Process, era: Era) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._era = era
        self._ids = itertools.count(1)
        self.pid = process.pid

    async def open(self) -> None:
        """What the era asks for before the first request: a handshake, or nothing."""
        if self._era == "2026-07-28":
            return
        asked = {"protocolVersion": self._era, "capabilities": {}, "clientInfo": CLIENT}
        self.read(await self.exchange(self.frame("initialize", asked)))
        self._stdin.write(_line({"jsonrpc": "2.0", "method": "notifications/initialized"}))

    def frame(self, method: str, params: Mapping[str, Any] | None = None) -> bytes:
        """One request as it goes over the wire."""
        params = dict(params or {})
        if self._era == "2026-07-28":
            params["_meta"] = META
        return _line({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})

    def call(self, tool: str, arguments: Mapping[str, Any]) -> bytes:
        """One call of a tool as it goes over the wire."""
        return self.frame("tools/call", {"name": tool, "arguments": arguments})

    async def exchange(self, frame: bytes) -> bytes:
        """Send one request and wait for its answer, unread."""
        return (await self.exchange_all([frame], width=1))[0]

    async def exchange_all(self, frames: Sequence[bytes], *, width: int) -> list[bytes]:
        """Send requests, `width` at a time, and collect as many answers, unread and in the order they came."""
        waiting = iter(frames)
        self._stdin.writelines(itertools.islice(waiting, width))
        answers: list[bytes] = []
        while len(answers) < len(frames):
            answer = b""
            with anyio.move_on_after(ANSWER_SECONDS):
                answer = await self._stdout.readline()
            if not answer:
                raise Refused(f"a server ended, or gave no answer for {ANSWER_SECONDS:.0f} s")
            answers.append(answer)
            if (frame := next(waiting, None)) is not None:
                self._stdin.write(frame)
        return answers

    @staticmethod
    def read(answer: bytes) -> dict[str, Any]:
        """The result in an answer.

        Raises:
            Refused: It is an error, of the protocol or of the tool.
        """
        message = json.loads(answer)
        result = message.get("result")
        if result is None or result.get("isError"):
            raise Refused(f"the server answered: {answer[:500].decode(errors='replace')}")
        return result


def _line(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
