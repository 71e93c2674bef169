"""A reverse proxy that hands each request to the next server in turn, whoever makes it, and sends nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass

import h11

PATIENCE_SECONDS = 60
PIECE = 65_536
HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"})
NO_SERVER = b"no server took this request"
BROKEN = b"the server did not answer"

Address = tuple[str, int]


@dataclass(frozen=True)
class Routed:
    """A request that was handed on."""

    server: str
    method: str
    target: str
    status: int | None
    """`None`: no answer came."""


class Proxy:
    """Which servers there are is said from outside; one that takes no connection is passed over for that request."""

    def __init__(self) -> None:
        self.routed: list[Routed] = []
        self.port = 0
        self._servers: dict[str, Address] = {}
        self._turn = itertools.count()
        self._open: dict[str, set[asyncio.StreamWriter]] = {}
        self._under_way: list[tuple[str, bytes]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # From the test's thread ----------------------------------------------------

    def put_in(self, name: str, address: Address) -> None:
        """Send requests there, too."""
        self._do(lambda: self._servers.__setitem__(name, address))

    def take_out(self, name: str) -> None:
        """Send no more requests there; those that it has are left in peace."""
        self._do(lambda: self._servers.pop(name, None))

    def cut(self, name: str) -> None:
        """Break all connections to a server that are open at this moment."""

        def abort() -> None:
            for writer in self._open.get(name, set()):
                writer.transport.abort()

        self._do(abort)

    def serving(self, piece: str) -> str | None:
        """Which server has a request with this in its body at this moment."""
        found = [name for name, body in list(self._under_way) if piece.encode() in body]
        return found[0] if found else None

    def busy(self, name: str) -> int:
        """Requests that a server has at this moment."""
        return sum(server == name for server, _ in list(self._under_way))

    def count(self, name: str) -> int:
        """Requests that a server has answered."""
        return sum(one.server == name and one.status is not None for one in list(self.routed))

    def _do(self, act: Callable[[], object]) -> None:
        assert self._loop is not None
        done = threading.Event()

        def run() -> None:
            act()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(PATIENCE_SECONDS)

    # In the thread of its own --------------------------------------------------

    async def serve(self, up: threading.Event, over: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        async with server:
            await over.wait()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        with contextlib.suppress(OSError, h11.ProtocolError, asyncio.IncompleteReadError):
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _exchange(
        self, client: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; whether another may follow."""
        request = await _event(client, reader)
        if not isinstance(request, h11.Request):
            return False
        body = b""
        while isinstance(event := await _event(client, reader), h11.Data):
            body += event.data
        await self._pass_on(request, body, client, writer)
        return client.our_state is h11.DONE and client.their_state is h11.DONE

    async def _pass_on(
        self, request: h11.Request, body: bytes, client: h11.Connection, writer: asyncio.StreamWriter
    ) -> None:
        method, target = request.method.decode(), request.target.decode()
        connected = await self._connect()
        if connected is None:
            await _answer(client, writer, 503, NO_SERVER)
            return
        name, from_server, to_server = connected
        self._under_way.append((name, body))
        self._open.setdefault(name, set()).add(to_server)
        status: int | None = None
        try:
            server = h11.Connection(h11.CLIENT)
            headers = [(key, value) for key, value in request.headers if key not in HOP_BY_HOP]
            head = h11.Request(method=method, target=target, headers=[*headers, (b"Connection", b"close")])
            pieces = [server.send(head), server.send(h11.Data(data=body)), server.send(h11.EndOfMessage())]
            to_server.write(b"".join(piece for piece in pieces if piece))
            await to_server.drain()
            status = await _hand_back(server, from_server, client, writer)
        except (OSError, h11.RemoteProtocolError):
            # What the server made of it nobody knows, so it goes to no other one.
            if client.our_state is not h11.SEND_RESPONSE:
                writer.transport.abort()
                raise
            await _answer(client, writer, 502, BROKEN)
        finally:
            self._under_way.remove((name, body))
            self.routed.append(Routed(name, method, target, status))
            self._open[name].discard(to_server)
            to_server.close()
            with contextlib.suppress(OSError):
                await to_server.wait_closed()

    async def _connect(self) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter] | None:
        """To the next server in turn that takes a connection. Until then no byte of the request has left."""
        servers, turn = list(self._servers.items()), next(self._turn)
        for number in range(len(servers)):
            name, address = servers[(turn + number) % len(servers)]
            with contextlib.suppress(OSError):
                return name, *await asyncio.open_connection(*address)
        return None


async def _event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(PIECE))
    return event


async def _hand_back(
    server: h11.Connection, reader: asyncio.StreamReader, client: h11.Connection, writer: asyncio.StreamWriter
) -> int:
    """The answer, piece by piece as it comes."""
    response = await _event(server, reader)
    if not isinstance(response, h11.Response):
        raise h11.RemoteProtocolError("no answer")
    headers = [(key, value) for key, value in response.headers if key not in HOP_BY_HOP]
    writer.write(client.send(h11.Response(status_code=response.status_code, headers=headers)) or b"")
    while isinstance(event := await _event(server, reader), h11.Data):
        writer.write(client.send(h11.Data(data=event.data)) or b"")
        await writer.drain()
    if not isinstance(event, h11.EndOfMessage):
        raise h11.RemoteProtocolError("half an answer")
    writer.write(client.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    return response.status_code


async def _answer(client: h11.Connection, writer: asyncio.StreamWriter, status: int, text: bytes) -> None:
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
    for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=text), h11.EndOfMessage()):
        writer.write(client.send(event) or b"")
    await writer.drain()


@contextlib.contextmanager
def proxying() -> Generator[Proxy]:
    """A proxy on this machine, without servers at first."""
    proxy, up = Proxy(), threading.Event()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(proxy.serve(up, over))
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="proxy", daemon=True)
    thread.start()
    try:
        assert up.wait(PATIENCE_SECONDS), "the proxy did not start"
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
