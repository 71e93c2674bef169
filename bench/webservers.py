"""The servers that are measured over HTTP: ours, which lets nobody in without a token, and the bare one."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from bench.driver import Era, Refused, child
from bench.peers import Ask, Spent, Watch
from bench.web import Post, WebDriver, read, status_of
from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Terms
from finexio_mcp.settings import DEFAULT_ACCOUNT, load

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/mcp")
START_SECONDS = 30.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class WebServer:
    """One that runs."""

    name: str
    pid: int
    driver: WebDriver


class WebServed:
    """A server behind HTTP, spoken to in one era. CPU is that of the server alone."""

    def __init__(self, server: WebServer, era: Era) -> None:
        self.name, self.pid = server.name, server.pid
        self.era: Era = era
        self._driver = server.driver

    def reconnect(self) -> None:
        """Begin with new connections: those that were idle for long may be closed any moment."""
        self._driver.close()

    def call(self, ask: Ask) -> Post:
        """One call of a tool; the right answer holds the id that was asked for."""
        params = {"name": ask.tool, "arguments": ask.arguments}
        return self._driver.post(self.era, "tools/call", params, expected=ask.arguments.get("id", ""))

    def listing(self) -> Post:
        """A request for the list of tools."""
        return self._driver.post(self.era, "tools/list", expected="finexio_invoices_bulk_create")

    async def work(self, posts: Sequence[Post], *, width: int = 1) -> Spent:
        """Send it all, `width` at a time; what one took."""
        self._driver.widen(width)
        watch = Watch(self.pid)
        answers = await self._driver.exchange(posts, width=width)
        spent = watch.read(len(posts))
        for post, answer in zip(posts, answers, strict=True):
            read(post, answer)
        return spent


@contextlib.asynccontextmanager
async def serving(
    name: str, base_url: str, state: Path, *, further: Mapping[str, str] | None = None
) -> AsyncGenerator[WebServer]:
    """`ours` or `bare`, in a process of its own.

    Args:
        name: Which.
        base_url: The upstream.
        state: A directory of this run, for the ledger and what the servers say.
        further: Settings of ours.
    """
    if name == "bare":
        given = {"FINEXIO_BASE_URL": base_url}
        async with running("bench.bare", given, ("http",), state / "bare.log") as (pid, address):
            yield WebServer(name, pid, driver := WebDriver(address, None))
            driver.close()
        return
    settings = {
        "FINEXIO_ENVIRONMENT": "simulator",
        "FINEXIO_BASE_URL": base_url,
        "FINEXIO_MCP_RATE": "0",
        "FINEXIO_MCP_LOG_LEVEL": "error",
        "FINEXIO_MCP_LEDGER_URL": f"sqlite:///{state}/web.db",
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_HTTP_PORT": "0",
        "FINEXIO_MCP_REQUIRE_TOKEN": "1",
        **(further or {}),
    }
    token = await new_token(settings)
    async with running("finexio_mcp", settings, ("serve", "--http"), state / "ours.log") as (pid, address):
        await must_refuse(address)
        yield WebServer(name, pid, driver := WebDriver(address, token))
        driver.close()


async def new_token(settings: Mapping[str, str], *, account: str = DEFAULT_ACCOUNT) -> str:
    """As `finexio-mcp tokens create` makes one, in the ledger's database."""
    book = AccessBook(load(**settings))
    try:
        # Each figure starts its own servers on the same database, where a name is given once.
        terms = Terms(access="pay", account=account)
        _, text = await book.create(f"bench {token_hex(4)}", terms, expires_at_ms=None)
    finally:
        await book.aclose()
    return text


async def must_refuse(address: tuple[str, int]) -> None:
    """A server that lets anybody in would be measured without what is to be measured."""
    for token in (None, "fmcp_" + "a" * 12 + "_" + "A" * 43):
        driver = WebDriver(address, token)
        try:
            answer = (await driver.exchange([driver.post("2026-07-28", "tools/list")]))[0]
        finally:
            driver.close()
        if (status := status_of(answer)) != 401:
            raise Refused(f"without a good token our server answered with {status}")


@contextlib.asynccontextmanager
async def running(
    module: str, environment: Mapping[str, str], arguments: Sequence[str], log: Path
) -> AsyncGenerator[tuple[int, tuple[str, int]]]:
    """A server in a process of its own, and where it listens; what it logs goes to a file."""
    with log.open("wb") as file:
        async with child(module, environment, *arguments, log=file.fileno()) as process:
            try:
                yield process.pid, await _address(process, log)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()


async def _address(process: asyncio.subprocess.Process, log: Path) -> tuple[str, int]:
    """Where it listens, as soon as it says so."""
    until = time.monotonic() + START_SECONDS
    while process.returncode is None and time.monotonic() < until:
        if found := ADDRESS.search(_text(log)):
            return "127.0.0.1", int(found[1])
        await asyncio.sleep(LOOK_SECONDS)
    raise Refused(f"a server did not start: {_text(log)[-500:]}")


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
