"""The simulator on a port: in a thread for tests, or in the foreground as a server of its own."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import CUT

if TYPE_CHECKING:
    from .reachable import Reachable

START_SECONDS = 10.0
STOP_SECONDS = 2
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def serve(
    simulator: "Reachable",
    *,
    host: str = "127.0.0.1",
    port: int = 8899,
    day_seconds: float | None = 24,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return.

    Args:
        simulator: What is served.
        host: The address to listen on.
        port: 0 takes any free one.
        day_seconds: Real seconds that a virtual day lasts; None stops the clock.
        ready: Called once with the base URL when requests are taken.
    """
    listener = _listen(host, port)
    with simulator.at_origin(_origin(listener)) as base_url, simulator.ticking(day_seconds):
        _Server(simulator, lambda: ready and ready(base_url)).run(sockets=[listener])


@contextmanager
def in_thread(simulator: "Reachable", *, host: str, port: int, day_seconds: float | None) -> Generator[str]:
    listener = _listen(host, port)
    started = threading.Event()
    server = _Server(simulator, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True)
    with simulator.at_origin(_origin(listener)) as base_url, simulator.ticking(day_seconds):
        thread.start()
        if not started.wait(START_SECONDS):
            raise RuntimeError("The simulator's server did not start.")
        try:
            yield base_url
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port))
    # Inherited by each connection: head and body leave apart, and waiting for the other side's ACK costs 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _origin(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A quiet server that says when it is ready and goes when asked, open connections or not."""

    def __init__(self, simulator: "Reachable", ready: Callable[[], object]) -> None:
        self._ready = ready
        self._connections: dict[tuple[str, int], asyncio.Transport] = {}
        super().__init__(
            uvicorn.Config(
                _with_cut(simulator.app, self._connections),
                http=_protocol(self._connections),
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for transport in list(self._connections.values()):
            transport.abort()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The inherited method keeps the signal and raises it again at the end, which would look like a crash.
        self.should_exit = True


def _protocol(connections: dict[tuple[str, int], asyncio.Transport]) -> type[asyncio.Protocol]:
    """uvicorn's HTTP/1.1 protocol, remembering the transport of each connection by the client's address."""

    class Remembering(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if self.client is not None:
                connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                connections.pop(self.client, None)
            super().connection_lost(exc)

    return Remembering


def _with_cut(app: ASGIApp, connections: dict[tuple[str, int], asyncio.Transport]) -> ASGIApp:
    """Hand the application a way to break the connection that its request came over."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("extensions", {})[CUT] = partial(_cut, connections[scope["client"]])
        await app(scope, receive, send)

    return wrapped


def _cut(transport: asyncio.Transport, orderly: bool) -> None:
    if orderly:
        transport.close()
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()
