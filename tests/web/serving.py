"""The server over HTTP on a free port of this machine: in a thread for most tests, as a process for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from queue import Queue
from typing import Any, TypeVar

import httpx2
import uvicorn
from starlette.types import ASGIApp

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Terms
from finexio_mcp.settings import Access, Settings
from finexio_mcp.simulator import Simulator
from finexio_mcp.web import create_app, serving
from tests.conftest import simulator_settings

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""No wait of a test is longer; none is meant to come near it."""
COMMAND = [sys.executable, "-m", "finexio_mcp", "serve", "--http", "--port", "0"]


@dataclass(frozen=True)
class Site:
    """Where a server is, and how to be let in."""

    base_url: str
    settings: Settings

    @property
    def address(self) -> tuple[str, int]:
        """Of its socket."""
        url = httpx2.URL(self.base_url)
        return url.host, url.port or 80

    @property
    def host(self) -> str:
        """As it stands in a `Host` header."""
        return self.base_url.removeprefix("http://")

    def token(self, access: Access, **more: Any) -> str:
        """A token of ours."""
        return token(self.settings, access, **more)


def token(settings: Settings, access: Access, *, name: str = "", **terms: Any) -> str:
    """A token of ours, put into the database of a server that has or will have these settings."""

    async def create() -> str:
        book = AccessBook(settings)
        try:
            _, text = await book.create(name or f"a {access} token", Terms(access=access, **terms), expires_at_ms=None)
        finally:
            await book.aclose()
        return text

    return elsewhere(create)


def elsewhere(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What an async function gives, in a thread of its own: the test may have an event loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, function()).result(PATIENCE_SECONDS)


@contextlib.contextmanager
def served(upstream: Simulator | httpx2.AsyncBaseTransport | None = None, **settings: Any) -> Generator[Site]:
    """Our app under uvicorn in a thread.

    Args:
        upstream: Finexio; left out, it is where the settings say.
        settings: By the names of variables.
    """
    transport = upstream.transport() if isinstance(upstream, Simulator) else upstream
    chosen = simulator_settings(**{"FINEXIO_MCP_HTTP_PORT": 0, **settings})
    with serving.listen(chosen) as listener:
        host, port = listener.getsockname()[:2]
        base_url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        app = create_app(chosen, base_url=chosen.public_url or base_url, transport=transport)
        with running(app, listener):
            yield Site(base_url, chosen)


@contextlib.contextmanager
def running(app: ASGIApp, listener: socket.socket, **more: Any) -> Generator[None]:
    """Any app under uvicorn in a thread, until the test is through with it."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        http=more.pop("http", "h11"),
        loop="asyncio",
        timeout_graceful_shutdown=1,
        **more,
    )
    server = _Server(config)
    # Not by a signal, and not by the flag of sse_starlette: both would reach every server of this process.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    try:
        assert server.up.wait(PATIENCE_SECONDS), "the server did not start"
        assert server.started
        yield
    finally:
        server.leave()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "the server did not end"


class _Server(uvicorn.Server):
    """Says when requests are answered, or that they never will be, and leaves at once when it may."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._left = asyncio.get_running_loop(), asyncio.Event()
        try:
            await super().startup(sockets)
        finally:
            self.up.set()

    async def main_loop(self) -> None:
        # The inherited one looks ten times a second whether it should end, which adds up over some hundred servers.
        await self.on_tick(0)
        await self._left.wait()

    def leave(self) -> None:
        """From the thread of the test."""
        self.should_exit = True
        # Which may have ended by itself, if it could not start.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._left.set)


# As a process ------------------------------------------------------------------


class Child:
    """`finexio-mcp serve --http`, as an operator starts it."""

    def __init__(self, process: subprocess.Popen[str], settings: Settings, ready: str) -> None:
        self.process = process
        self.said: list[str] = []
        self._settings = settings
        self._ready = ready
        self._lines: Queue[str | None] = Queue()
        # What nobody reads would fill its pipe, and then the server could say no more, and do nothing either.
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    @cached_property
    def site(self) -> Site:
        """Once it answers."""
        _, _, rest = self.said_line(self._ready).partition(self._ready)
        return Site(rest.partition(" ")[0].removesuffix("/mcp"), self._settings)

    def said_line(self, piece: str) -> str:
        """The next line on stderr that has this piece in it."""
        while (line := self._lines.get(timeout=PATIENCE_SECONDS)) is not None:
            self.said.append(line)
            if piece in line:
                return line
        raise AssertionError(f"never said: {piece!r}\n{''.join(self.said)}")

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.terminate()

    def end(self) -> tuple[int, str]:
        """Wait for its end: the exit code, and all that it said."""
        code = self.process.wait(PATIENCE_SECONDS)
        while (line := self._lines.get(timeout=PATIENCE_SECONDS)) is not None:
            self.said.append(line)
        return code, "".join(self.said)

    def close(self) -> None:
        """Once it is killed."""
        self._reader.join(PATIENCE_SECONDS)

    def resident_bytes(self) -> int:
        """The memory that it has at this moment; where there is /proc."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def child(
    *options: str, command: Sequence[str] = COMMAND, ready: str = "Serving MCP at ", **settings: str
) -> Generator[Child]:
    """A server with these settings; killed at the end, should it still be there.

    Args:
        options: Of the command line.
        command: What is run.
        ready: What it says before its address.
        settings: By the names of variables.
    """
    environment = {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1", **settings}
    chosen = simulator_settings(**environment)
    with subprocess.Popen(
        [*command, *options],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        server = Child(process, chosen, ready)
        try:
            yield server
        finally:
            process.kill()
            server.close()
