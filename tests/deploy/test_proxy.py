"""What the proxy does with requests, seen from both of its sides."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from finexio_mcp.web import serving
from finexio_mcp.web.edge import MAX_BODY_BYTES
from tests.deploy import caddy
from tests.deploy.composed import CADDYFILE

PATIENCE_SECONDS = 20.0
SECRET = "fmcp_0123456789ab_of-somebody"
STATE = "state-of-a-sign-in"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

Act = Callable[[SocketStream], Awaitable[None]]


async def answers(stream: SocketStream) -> None:
    await stream.send(OK)


async def dies(stream: SocketStream) -> None:
    """As a process that is killed once it has the request."""
    await stream.aclose()


@dataclass
class Server:
    """Stands where a server of ours would, and keeps what reaches it."""

    act: Act = answers
    health: bytes = OK
    port: int = 0
    asked: anyio.Event = field(default_factory=anyio.Event)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list[tuple[str, dict[str, str], bytes]])
    _life: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def live(self, *, task_status: TaskStatus[None]) -> None:
        with self._life:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            self.port = listener.extra(SocketAttribute.local_port)
            task_status.started()
            async with listener:
                await listener.serve(self._serve)

    def end(self) -> None:
        """Be there no more."""
        self._life.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        reader = BufferedByteReceiveStream(stream)
        async with stream:
            with contextlib.suppress(anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError):
                while True:
                    await self._exchange(stream, reader)

    async def _exchange(self, stream: SocketStream, reader: BufferedByteReceiveStream) -> None:
        first, *lines = (await reader.receive_until(b"\r\n\r\n", 10_000)).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        body = await reader.receive_exactly(length) if length else b""
        if first.startswith("GET /readyz "):
            await stream.send(self.health)
            self.asked.set()
            return
        self.seen.append((first, headers, body))
        await self.act(stream)


@contextlib.asynccontextmanager
async def proxied(home: Path, *servers: Server) -> AsyncGenerator[tuple[caddy.Proxy, httpx2.AsyncClient]]:
    """The proxy before these servers, once it has looked at each, and a client that trusts it."""
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for server in servers:
                await tasks.start(server.live)
            with contextlib.ExitStack() as stack:
                # Starting it waits, and our servers have to answer meanwhile.
                starting = caddy.running(home, [server.port for server in servers])
                proxy = await anyio.to_thread.run_sync(stack.enter_context, starting)
                for server in servers:
                    await server.asked.wait()
                async with httpx2.AsyncClient(
                    base_url=proxy.base_url, verify=proxy.trust, trust_env=False, timeout=PATIENCE_SECONDS
                ) as client:
                    yield proxy, client
            tasks.cancel_scope.cancel()


async def test_requests_go_to_each_server_in_turn(tmp_path: Path) -> None:
    """Ours: so nothing that one server keeps may be needed by the next request."""
    one, other = Server(), Server()
    async with proxied(tmp_path, one, other) as (_, client):
        for _ in range(6):
            assert (await client.post("/mcp", json={})).status_code == 200

    assert (len(one.seen), len(other.seen)) == (3, 3)


async def test_a_post_that_reached_a_server_is_never_sent_again(tmp_path: Path) -> None:
    """Ours: it may have paid. With headers that invite a second try, with a body and without."""
    one, other = Server(dies), Server(dies)
    headers = {"Idempotency-Key": "1", "X-Idempotency-Key": "1"}
    async with proxied(tmp_path, one, other) as (_, client):
        for number in range(8):
            body = b"x" * 1000 if number % 2 else b""
            answer = await client.post("/mcp", content=body, headers=headers if number >= 4 else {})
            assert answer.status_code == 502

    assert len(one.seen) + len(other.seen) == 8


async def test_a_request_that_could_not_be_sent_goes_to_the_other_server(tmp_path: Path) -> None:
    """Ours: a POST with its body too. (One that was on its way when a server ended is answered with 502.)"""
    one, other = Server(), Server(health=LAST)
    async with proxied(tmp_path, one, other) as (_, client):
        other.end()
        found = [await client.post("/mcp", content=b"x" * 5000) for _ in range(4)]

    assert [answer.status_code for answer in found] == [200] * 4
    assert [len(body) for _, _, body in one.seen] == [5000] * 4


async def test_a_server_that_is_not_ready_gets_no_requests(tmp_path: Path) -> None:
    """Ours: such as one that is on its way out."""
    one, leaving = Server(), Server(health=OK.replace(b"200 OK", b"503 No"))
    async with proxied(tmp_path, one, leaving) as (proxy, client):
        await anyio.to_thread.run_sync(proxy.says, "status code out of tolerances")
        for _ in range(4):
            assert (await client.post("/mcp", json={})).status_code == 200

    assert (len(one.seen), leaving.seen) == (4, [])


async def test_the_server_learns_who_asks_and_by_what_name(tmp_path: Path) -> None:
    """Ours: the name as the client has it; the address and the scheme as the proxy sees them, whatever is claimed."""
    server = Server()
    claimed = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "Authorization": f"Bearer {SECRET}"}
    async with proxied(tmp_path, server) as (proxy, client):
        await client.post("/mcp", json={}, headers={**claimed, "Mcp-Method": "tools/list"})

    (_, headers, _) = server.seen[0]
    assert headers["host"] == f"localhost:{proxy.https_port}"
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert (headers["authorization"], headers["mcp-method"]) == (f"Bearer {SECRET}", "tools/list")


async def test_what_a_server_sends_arrives_as_it_is_sent(tmp_path: Path) -> None:
    """Ours: the first half of an answer is there while the second does not exist yet."""
    more = anyio.Event()

    async def in_halves(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\nfirst")
        await more.wait()
        await stream.send(b"other")

    async with (
        proxied(tmp_path, Server(in_halves)) as (_, client),
        client.stream("POST", "/mcp", json={}) as answer,
    ):
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        more.set()
        assert b"".join([piece async for piece in pieces]) == b"other"


async def test_a_body_is_as_large_as_the_servers_take_and_no_larger(tmp_path: Path) -> None:
    """Ours: the proxy refuses the rest, so that it is not sent in vain."""
    server = Server()
    async with proxied(tmp_path, server) as (_, client):
        fits = await client.post("/mcp", content=b"x" * MAX_BODY_BYTES)
        too_large = await client.post("/mcp", content=b"x" * (MAX_BODY_BYTES + 1))

    assert (fits.status_code, too_large.status_code) == (200, 413)
    assert [len(body) for _, _, body in server.seen] == [MAX_BODY_BYTES]


async def test_the_log_of_the_proxy_holds_no_secret(tmp_path: Path) -> None:
    """Ours: failures are logged, without the headers and the queries in which secrets travel."""

    async def fails_with_a_secret(stream: SocketStream) -> None:
        await stream.send(f"HTTP/1.1 200 OK\r\nX-Token: {SECRET}\r\nContent-Length: 5\r\n\r\nab".encode())
        await stream.aclose()

    headers = {"Authorization": f"Bearer {SECRET}", "X-Token": SECRET, "Cookie": f"c={SECRET}"}
    one, other = Server(dies), Server(fails_with_a_secret)
    async with proxied(tmp_path, one, other) as (proxy, client):
        for _ in range(2):
            with contextlib.suppress(httpx2.RemoteProtocolError):
                await client.post(f"/authorize?state={STATE}", headers=headers, content=SECRET)
        await anyio.to_thread.run_sync(proxy.says, '"status":502')
        await anyio.to_thread.run_sync(proxy.says, "aborting with incomplete response")
        log = proxy.log

    assert "/authorize" in log
    assert SECRET not in log
    assert STATE not in log


async def test_plain_http_is_sent_to_https_under_the_public_name(tmp_path: Path) -> None:
    """Ours: without the port that the proxy listens on inside, which nobody reaches."""
    async with proxied(tmp_path, Server()) as (proxy, _):

        def ask() -> tuple[int, str | None]:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.http_port, timeout=PATIENCE_SECONDS)
            connection.request("GET", "/mcp", headers={"Host": caddy.HOST})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location")

        status, location = await anyio.to_thread.run_sync(ask)

    assert (status, location) == (308, f"https://{caddy.HOST}/mcp")


async def test_other_names_are_not_served(tmp_path: Path) -> None:
    """Ours: there is no certificate for them."""
    server = Server()
    async with proxied(tmp_path, server) as (proxy, client):
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"https://127.0.0.1:{proxy.https_port}/mcp")

    assert server.seen == []


def test_the_proxy_closes_idle_connections_first() -> None:
    """Ours: a request is not on its way to a server that is closing the connection."""
    (seconds,) = [line.split()[1] for line in CADDYFILE.read_text().splitlines() if line.split()[:1] == ["keepalive"]]

    assert int(seconds.removesuffix("s")) < serving.KEEP_ALIVE_SECONDS
