"""Who takes part: the real server as a child process, a pretend Finexio, and a way past the one to the other."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from finexio_mcp.demo.screen import StepFailed

if TYPE_CHECKING:
    import httpx2
    from anyio.abc import Process
    from mcp import Client

Finexio = Callable[[], AbstractAsyncContextManager[str]]
"""Opens a pretend Finexio and gives its base URL."""

START_SECONDS = 20.0
STOP_SECONDS = 5.0
USER = PASSWORD = "demo"


def pretend() -> None:
    """Be Finexio until stdin closes, so that this process ends with the demo, however that ends."""
    from finexio_mcp.simulator import Simulator

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="finexio-demo-", ignore_cleanup_errors=True) as directory:
        simulator = Simulator(username=USER, password=PASSWORD, state=Path(directory) / "books.sqlite")
        with simulator.listening() as base_url:
            sys.stdout.write(f"{base_url}\n")
            sys.stdout.flush()
            sys.stdin.read()


@asynccontextmanager
async def own_process() -> AsyncGenerator[str]:
    """A pretend Finexio as a process of its own."""
    command = [sys.executable, "-c", "from finexio_mcp.demo.stage import pretend; pretend()"]
    process = await anyio.open_process(command, stderr=None, env=_environment(), start_new_session=True)
    try:
        yield await _address(process)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _address(process: Process) -> str:
    """The first line that it prints."""
    from anyio.streams.buffered import BufferedByteReceiveStream

    assert process.stdout is not None, "opened with a pipe"  # noqa: S101
    try:
        with anyio.fail_after(START_SECONDS):
            return (await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)).decode().strip()
    except (anyio.IncompleteRead, TimeoutError):
        raise StepFailed("the pretend Finexio did not start.") from None


async def _stop(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(STOP_SECONDS) as patience:
        await process.wait()
    if patience.cancelled_caught:
        process.kill()
    await process.aclose()


def _environment() -> dict[str, str]:
    """This process's, without the operator's own settings: a demo must never meet a real account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FINEXIO_")}


@asynccontextmanager
async def client(base_url: str) -> AsyncGenerator[Client]:
    """An MCP client that has started our server as any host would: a command, an environment, stdio."""
    from mcp import Client, StdioServerParameters

    with tempfile.TemporaryDirectory(prefix="finexio-demo-", ignore_cleanup_errors=True) as state:
        environment = {
            **_environment(),
            "FINEXIO_ENVIRONMENT": "simulator",
            "FINEXIO_BASE_URL": base_url,
            "FINEXIO_USERNAME": USER,
            "FINEXIO_PASSWORD": PASSWORD,
            "FINEXIO_MCP_RATE": "0",
            "FINEXIO_MCP_LOG_LEVEL": "error",
            # A ledger of its own, that may go with the demo.
            "FINEXIO_MCP_LEDGER_URL": f"sqlite:///{state}/ledger.db",
            "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        }
        server = StdioServerParameters(command=sys.executable, args=["-m", "finexio_mcp"], env=environment)
        async with Client(server) as client:
            yield client


@asynccontextmanager
async def backdoor(base_url: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """Past the server, straight to the pretend Finexio: to move its clock, and to check what the server said."""
    import httpx2

    async with httpx2.AsyncClient(
        base_url=base_url.removesuffix("/v2"), auth=(USER, PASSWORD), trust_env=False
    ) as http:
        yield http
