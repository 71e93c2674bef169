"""Serving over stdin and stdout, until the input ends or a signal comes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Any

import anyio
from mcp.server import Server

from finexio_mcp.hub import Hub
from finexio_mcp.server import build_server
from finexio_mcp.settings import Settings
from finexio_mcp.wire import standard_streams


async def serve(settings: Settings) -> None:
    """Serve one client."""
    async with Hub(settings) as hub, anyio.create_task_group() as tasks:

        @contextlib.asynccontextmanager
        async def shared(_server: Server[Any]) -> AsyncGenerator[Hub]:
            yield hub

        tasks.start_soon(_leave_on_signal, hub)
        server = build_server(settings, lifespan=shared)
        async with standard_streams(at_end=hub.drain) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def _leave_on_signal(hub: Hub) -> None:
    """A thread that reads a terminal or a file cannot be cancelled, so leaving means to exit."""
    if sys.platform == "win32":
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            await hub.drain()
            with anyio.move_on_after(2.0):
                await hub.aclose()
            sys.stderr.flush()
            os._exit(0)
