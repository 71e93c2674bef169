"""Running the app with uvicorn, until a signal comes and what is on its way has ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator

import anyio
import uvicorn
from anyio.abc import TaskStatus
from sse_starlette.sse import AppStatus

from finexio_mcp.hub import Hub
from finexio_mcp.settings import Settings
from finexio_mcp.web import rules
from finexio_mcp.web.app import create_app
from finexio_mcp.web.connections import BACKLOG, Connection, connections, make_room

KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep an idle connection, so that they, and not we, close it."""
LAST_ANSWERS_SECONDS = 5
"""For reads that are on their way when the writes have ended."""

logger = logging.getLogger("finexio_mcp.web")


def listen(settings: Settings) -> socket.socket:
    """The socket to serve on.

    Raises:
        OSError: The address cannot be had.
    """
    host = settings.http_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio would leave Nagle's algorithm on, which holds the second half of an answer back for 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, settings.http_port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


async def serve(settings: Settings, sock: socket.socket, *, ready: Callable[[str], None]) -> int:
    """Serve until a signal comes; gives the exit code.

    Args:
        settings: What the operator decides.
        sock: From `listen`.
        ready: Told the address once requests are answered.
    """
    base_url, code = rules.base_url(settings, sock.getsockname()[1]), 0
    async with Hub(settings, serving=True) as hub:
        app = create_app(settings, base_url=base_url, hub=hub)
        kind = connections(make_room())
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="none",
            http=kind,
            loop="asyncio",
            proxy_headers=True,
            forwarded_allow_ips=list(settings.forwarded_allow_ips),
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        )
        server = _Server(config, kind, lambda: ready(base_url))
        async with anyio.create_task_group() as tasks:
            if sys.platform != "win32":
                await tasks.start(_leave_on_signal, hub, server)
            try:
                await server.serve(sockets=[sock])
            except NotStarted:
                logger.error("the server could not get ready; what is logged above kept it from that")
                code = 1
            tasks.cancel_scope.cancel()
    return code


class NotStarted(Exception):
    """The app could not get ready."""


class _Server(uvicorn.Server):
    """Tells when it answers, and leaves signals to us where there are any."""

    def __init__(self, config: uvicorn.Config, kind: type[Connection], ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._kind = kind
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn starts, and tell."""
        try:
            await super().startup(sockets)
        except SystemExit:
            # What kept the app from starting stands in the log; a stack of task groups would say no more.
            raise NotStarted from None
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Uvicorn's own handlers would close connections while writes are on their way."""
        with super().capture_signals() if sys.platform == "win32" else contextlib.nullcontext():
            yield

    def leave(self) -> None:
        """End streams, which have no end of their own, and what is not whole yet, and then the server."""
        self._kind.give_all_up()
        AppStatus.should_exit = True
        self.should_exit = True


async def _leave_on_signal(hub: Hub, server: _Server, *, task_status: TaskStatus[None]) -> None:
    """Answer new calls with a refusal until the writes on their way have ended, then close connections."""

    async def leave() -> None:
        logger.info("asked to stop; new calls are refused, writes on their way are waited for")
        await hub.drain()
        with anyio.move_on_after(LAST_ANSWERS_SECONDS):
            await hub.rest()
        server.leave()

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async with anyio.create_task_group() as leaving:
            asked = False
            async for number in signals:
                if asked:
                    logger.warning("asked twice; the outcome of writes on their way is in the ledger")
                    sys.stderr.flush()
                    os._exit(128 + number)
                asked = True
                leaving.start_soon(leave)
